/*
 * hl7_text - leaves: escapes (STANDARDS 2.3), dates (2.5), numbers (2.6), SN (5.6). Results lie in the frame or the arena.
 */
#ifndef LABRELAY_HL7_TEXT_H
#define LABRELAY_HL7_TEXT_H
#include "hl7_path.h"

/* A leaf as text: unescaped, blanks at both ends removed; `""` is null; nothing is absent. */
struct span hl7_leaf(struct hl7_ctx *x, struct span raw);
/* The same with blanks kept (TX, FT); a leaf of blanks only is absent. */
struct span hl7_leaf_exact(struct hl7_ctx *x, struct span raw);
/* Switches of the charset (hl7_switch.c): the one an escape without its escape characters means, or NULL; the one that holds where a
 * leaf of at_seg begins; and text in it. False: it cannot be read, *out is the text as it is. */
struct hl7_set;
const struct hl7_set *hl7_switch_find(struct span escape);
const struct hl7_set *hl7_switch_before(const struct hl7_ctx *x, struct span leaf);
bool hl7_switch_decode(struct hl7_ctx *x, const struct hl7_set *set, struct span text, struct span *out);
struct span hl7_unescape(struct hl7_ctx *x, struct span raw);

/* The n-th component of a field's first repetition as a leaf. */
struct span hl7_value(struct hl7_ctx *x, struct hl7_seg *s, unsigned field, unsigned comp);

/* DT, TS, DTM. 0; -1 when it is none (out is absent then). Blank and `""`: absent, 0. A time without zone takes x->zone. */
int  hl7_date(struct hl7_ctx *x, struct span raw, struct rec_ts *out);
/* Reads field n as a date; a bad one is a warning and its text goes to *bad ("OBX-14 as sent: …"), else *bad is absent. */
struct rec_ts hl7_date_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned n, struct span *bad);

/* record.raw_field; source is a struct hl7_ctx. MSH-1 is the separator, MSH-2 the delimiters as sent. */
struct span hl7_raw_field(void *source, const struct rec_path *path);

bool hl7_is_number(struct span s);                      /* NM by the standard */
/* Glues up to 4 spans in the arena. */
struct span hl7_cat(struct arena *a, const struct span *v, size_t n);
#define HL7_CAT(a, ...) hl7_cat((a), (const struct span[]){__VA_ARGS__}, sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span))
#endif
