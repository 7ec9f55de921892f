/*
 * hl7_lex - from the bytes of a frame to messages, and from a message to segments (STANDARDS 2.1, 2.2, 2.4, 2.8, 2.9).
 *
 * Internal to the hl7_ family. Spans point into the frame, or into the arena where the text had to be decoded or joined.
 * Thread: owner of the arena. Nothing here fails: what is wrong is told by the structs and by problems of the context.
 */
#ifndef LABRELAY_HL7_LEX_H
#define LABRELAY_HL7_LEX_H
#include "hl7_parser.h"

#define HL7_ID(a, b, c) ((uint32_t)(unsigned char)(a) << 16 | (uint32_t)(unsigned char)(b) << 8 | (uint32_t)(unsigned char)(c))

struct hl7_delims { char field, comp, rep, esc, sub, trunc; };    /* 0: not in use */

struct hl7_seg {
    struct span text;           /* from the segment id to its end, without terminator */
    uint32_t id;                /* HL7_ID, upper case */
    uint32_t nth;               /* n-th of its id in the message, from 1: ERL.2 and paths */
    const uint32_t *f;          /* offset of field 1, 2, … (of field 1 = what follows the first separator); NULL: not indexed yet */
    uint32_t nf;
};

struct hl7_warn { const char *name; struct span where; };   /* "W_BAD_DATE", "OBX[2]-14" */

/* One message while it is read. */
struct hl7_ctx {
    struct arena *a;
    const struct hl7_options *o;
    struct span raw;            /* bytes in the frame */
    struct span text;           /* UTF-8; raw itself when nothing had to be decoded */
    struct hl7_delims d;
    struct hl7_seg *segs;
    size_t n;
    bool has_escape;            /* the escape character occurs behind MSH */
    bool has_switch;            /* \C or \M occurs behind MSH: a text may be in another charset */
    bool has_bad_bytes;         /* U+FFFD stands for bytes that could not be decoded */
    const char *codec;          /* iconv name of a charset that had to be decoded, "cp1252" for the own table; NULL for UTF-8 */
    int version;                /* 231 for 2.3.1, 200 for 2 */
    struct span zone;           /* of MSH-7, or absent */
    /* where we are, for warnings */
    const struct hl7_seg *at_seg;
    unsigned at_field;
    struct hl7_warn *warns;
    size_t n_warns, cap_warns;
    struct problem *errors, *notices;
    size_t n_errors, cap_errors, n_notices, cap_notices;
    /* index pool */
    uint32_t *pool;
    size_t pool_n, pool_cap;
};

enum { HL7_MAX_ERRORS = 20, HL7_MAX_NOTICES = 20, HL7_MAX_WARNS = 500, HL7_MAX_FIELDS = 64 };

/* ---- the frame ---- */
struct hl7_part { struct span raw; bool is_message; };      /* MSH …, or one FHS BHS BTS FTS line */
struct hl7_frame {
    struct hl7_part *v;
    size_t n, n_messages;
    bool is_readable;           /* false: something else than MSH, FHS, BHS stands first */
    bool is_hllp;
};
/* Splits a frame. 0, or -1 when the arena is full. is_wide: a frame in UTF-16 or UTF-32 with byte order mark is decoded first. */
int hl7_lex_frame(struct arena *a, struct span frame, bool is_wide, struct hl7_frame *out);

/* Parts of one message to one (hl7_join.c): what stands behind MSH is put behind the part before; DSC and bare ADD lines go, the DSC of
 * the last part stays unless is_whole. Absent when the arena is full or a part has other delimiters than the first. */
struct span hl7_join(const struct span *parts, size_t n, bool is_whole, struct arena *a);

/* ---- the message ---- */
/* Delimiters from "MSH|^~\&…"; false when they cannot be used (STANDARDS 2.1). Fills *d. */
bool hl7_lex_delims(struct span msh, struct hl7_delims *d);
/* Decodes x->raw into x->text by MSH-18. False: MSH-18 is no charset we know. 103 is the caller's. */
bool hl7_lex_decode(struct hl7_ctx *x);
/* Splits x->text into x->segs. -1 when the arena or max-segments is reached (then *is_limit). */
int hl7_lex_segments(struct hl7_ctx *x, bool *is_limit);
/* The first segment (MSH) of text alone, with its wrapped lines joined by LF; for headers and replies. */
struct span hl7_lex_first(struct arena *a, struct span text, char sep);

/* ---- charsets (hl7_charset.c) ---- */
/* iconv name for an MSH-18 code: "" for ASCII, "UTF-8", "cp1252" (own table) or another; NULL when unknown. */
const char *hl7_charset_find(struct span code);
/* To UTF-8 in the arena; undecodable bytes become U+FFFD and set *is_bad. Absent when the arena is full or iconv does not know it. */
struct span hl7_charset_decode(struct arena *a, const char *codec, struct span bytes, bool *is_bad);
/* The byte 80-9F that codec "cp1252" reads as c; -1: none. */
int hl7_cp1252_byte(uint32_t c);

/* ---- problems ---- */
/* where: "OBX^2^11"; NULL text uses the code's. Severity E; at most HL7_MAX_ERRORS are kept. */
void hl7_error(struct hl7_ctx *x, int code, const char *name, const struct hl7_seg *seg, unsigned field);
/* A warning at x->at_seg / at_field: goes to the record and, with a code, as severity W to the reply. */
void hl7_warn(struct hl7_ctx *x, const char *name, int code);
void hl7_warn_message(struct hl7_ctx *x, const char *name, const char *where);
/* "OBX[3]-5", "OBX[3]" for field 0, "PID[1]-3[2]" with rep > 0; in the arena. */
struct span hl7_where(struct arena *a, const struct hl7_seg *s, unsigned field, unsigned rep);
#endif
