/*
 * NAME hl7_lex - frames to messages, messages to segments.
 *
 * Order of work: find the messages in the raw bytes (a line that begins with MSH starts one; line ends and "MSH" are the same bytes in
 * every charset that MLLP can carry); read MSH-18 from the raw MSH; decode the whole message to UTF-8; split into lines; only then
 * fields. Splitting before decoding would cut Big5 or Shift-JIS characters whose second byte is a delimiter.
 * Lines: STANDARDS 2.2 1-6 with QUIRKS 21, 25, 28, 30; a bare id without separator counts as a segment only when it is a known one,
 * because the wrapped line "NEG" is text. ADD is joined without, a wrapped line with a line feed.
 * DIAGNOSTICS none: limits by return value, the rest as problems of the context.
 */
#include "hl7_lex.h"

#include <stdio.h>
#include <string.h>

#include "hl7_path.h"
#include "text.h"

#define DEFAULT_MAX_SEGMENTS 100000

/* Known segment ids, the frequent ones first: they are counted (ERL.2) and may stand without a separator. */
static const uint32_t known[] = {
    HL7_ID('O', 'B', 'X'), HL7_ID('N', 'T', 'E'), HL7_ID('O', 'B', 'R'), HL7_ID('P', 'I', 'D'), HL7_ID('S', 'P', 'M'), HL7_ID('O', 'R', 'C'),
    HL7_ID('M', 'S', 'H'), HL7_ID('P', 'V', '1'), HL7_ID('S', 'A', 'C'), HL7_ID('I', 'N', 'V'), HL7_ID('T', 'C', 'D'), HL7_ID('S', 'I', 'D'),
    HL7_ID('P', 'R', 'T'), HL7_ID('D', 'E', 'V'), HL7_ID('T', 'Q', '1'), HL7_ID('P', 'D', '1'), HL7_ID('P', 'V', '2'), HL7_ID('N', 'K', '1'),
    HL7_ID('M', 'S', 'A'), HL7_ID('E', 'R', 'R'), HL7_ID('S', 'F', 'T'), HL7_ID('U', 'A', 'C'), HL7_ID('D', 'S', 'C'), HL7_ID('T', 'X', 'A'),
    HL7_ID('C', 'T', 'I'), HL7_ID('F', 'T', '1'), HL7_ID('E', 'V', 'N'), HL7_ID('A', 'D', 'D'), HL7_ID('C', 'T', 'D'), HL7_ID('T', 'Q', '2'),
    HL7_ID('F', 'H', 'S'), HL7_ID('B', 'H', 'S'), HL7_ID('B', 'T', 'S'), HL7_ID('F', 'T', 'S'), HL7_ID('Z', 'L', 'R'), HL7_ID('Q', 'A', 'K'),
    HL7_ID('M', 'R', 'G'), HL7_ID('R', 'O', 'L'), HL7_ID('A', 'R', 'V'), HL7_ID('A', 'L', '1'), HL7_ID('D', 'G', '1'), HL7_ID('I', 'N', '1'),
};
enum { KNOWN_N = sizeof known / sizeof known[0] };

static int known_index(uint32_t id)
{
    for (int i = 0; i < KNOWN_N; i++)
        if (known[i] == id)
            return i;
    return -1;
}

static bool is_alpha(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_alnum(char c)
{
    return is_alpha(c) || (c >= '0' && c <= '9');
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static struct span skip_blank(struct span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n' || s.p[0] == '\r')) {
        s.p++;
        s.n--;
    }
    return s;
}

/* ---- problems ---- */

static size_t put_uint(char *out, unsigned v)
{
    char t[12];
    size_t n = 0, k = 0;
    do {
        t[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        out[k++] = t[--n];
    return k;
}

struct span hl7_where(struct arena *a, const struct hl7_seg *s, unsigned field, unsigned rep)
{
    char t[64];
    size_t n = 0;
    t[n++] = (char)(s->id >> 16);
    t[n++] = (char)(s->id >> 8 & 0xff);
    t[n++] = (char)(s->id & 0xff);
    t[n++] = '[';
    n += put_uint(t + n, s->nth);
    t[n++] = ']';
    if (field) {
        t[n++] = '-';
        n += put_uint(t + n, field);
    }
    if (rep) {
        t[n++] = '[';
        n += put_uint(t + n, rep);
        t[n++] = ']';
    }
    return arena_dup(a, span_make(t, n));
}

static const char *code_text(int code)
{
    switch (code) {
    case 100: return "Segment sequence error";
    case 101: return "Required field missing";
    case 102: return "Data type error";
    case 103: return "Table value not found";
    case 104: return "Value too long";
    case 199: return "Other HL7 error";
    case 200: return "Unsupported message type";
    case 201: return "Unsupported event code";
    case 202: return "Unsupported processing id";
    case 203: return "Unsupported version id";
    default: return "Application error";
    }
}

static void set_where(struct problem *p, const struct hl7_seg *seg, unsigned field)
{
    if (!seg)
        return;
    char id[4] = {(char)(seg->id >> 16), (char)(seg->id >> 8 & 0xff), (char)(seg->id & 0xff), 0};
    if (field)
        (void)snprintf(p->where, sizeof p->where, "%s^%u^%u", id, seg->nth, field);
    else
        (void)snprintf(p->where, sizeof p->where, "%s^%u", id, seg->nth);
}

void hl7_error(struct hl7_ctx *x, int code, const char *name, const struct hl7_seg *seg, unsigned field)
{
    if (x->n_errors >= HL7_MAX_ERRORS || !arena_grow(x->a, &x->errors, x->n_errors, &x->cap_errors, sizeof *x->errors))
        return;
    struct problem *p = &x->errors[x->n_errors++];
    *p = (struct problem){.severity = 'E', .code = code, .name = name, .text = code_text(code)};
    set_where(p, seg, field);
}

static void notice(struct hl7_ctx *x, const char *name, int code, const struct hl7_seg *seg, unsigned field)
{
    if (x->n_notices >= HL7_MAX_NOTICES || !arena_grow(x->a, &x->notices, x->n_notices, &x->cap_notices, sizeof *x->notices))
        return;
    struct problem *p = &x->notices[x->n_notices++];
    *p = (struct problem){.severity = 'W', .code = code, .name = name, .text = code ? code_text(code) : "Accepted with a remark"};
    set_where(p, seg, field);
}

static void add_warn(struct hl7_ctx *x, const char *name, struct span where)
{
    if (x->n_warns < HL7_MAX_WARNS && arena_grow(x->a, &x->warns, x->n_warns, &x->cap_warns, sizeof *x->warns))
        x->warns[x->n_warns++] = (struct hl7_warn){name, where};
}

void hl7_warn(struct hl7_ctx *x, const char *name, int code)
{
    if (x->n_warns >= HL7_MAX_WARNS)
        return;
    add_warn(x, name, x->at_seg ? hl7_where(x->a, x->at_seg, x->at_field, 0) : SPAN_ABSENT);
    notice(x, name, code, x->at_seg, x->at_field);
}

void hl7_warn_message(struct hl7_ctx *x, const char *name, const char *where)
{
    add_warn(x, name, span_of(where));
    notice(x, name, 0, NULL, 0);
}

/* ---- the frame ---- */

/* Two cursors so that looking for the next line end stays linear whatever the mixture of CR and LF. */
struct eol { struct span s; size_t cr, lf; };

static size_t find_from(struct span s, size_t i, char c)
{
    return i >= s.n ? s.n : i + span_find(span_from(s, i), c);
}

static size_t eol_next(struct eol *e, size_t from)
{
    if (e->cr < from)
        e->cr = find_from(e->s, from, '\r');
    if (e->lf < from)
        e->lf = find_from(e->s, from, '\n');
    return e->cr < e->lf ? e->cr : e->lf;
}

static bool is_header(struct span line, const char *id)
{
    return span_starts(line, id) && (line.n == 3 || !is_alnum(line.p[3]));
}

static bool is_batch_line(struct span line)
{
    return is_header(line, "FHS") || is_header(line, "BHS") || is_header(line, "BTS") || is_header(line, "FTS");
}

static bool add_part(struct arena *a, struct hl7_frame *f, size_t *cap, struct span raw, bool is_message)
{
    if (!arena_grow(a, &f->v, f->n, cap, sizeof *f->v))
        return false;
    f->v[f->n++] = (struct hl7_part){raw, is_message};
    f->n_messages += is_message;
    return true;
}

static struct span unwrap(struct arena *a, struct span s, bool is_wide)
{
    bool bad = false;
    const char *codec = NULL;
    if (s.n >= 4 && memcmp(s.p, "\xff\xfe\0\0", 4) == 0)
        codec = "UTF-32";
    else if (s.n >= 4 && memcmp(s.p, "\0\0\xfe\xff", 4) == 0)
        codec = "UTF-32";
    else if (s.n >= 2 && (memcmp(s.p, "\xff\xfe", 2) == 0 || memcmp(s.p, "\xfe\xff", 2) == 0))
        codec = "UTF-16";
    if (codec && is_wide)
        s = hl7_charset_decode(a, codec, s, &bad);
    if (span_starts(s, "\xef\xbb\xbf"))
        s = span_from(s, 3);
    return skip_blank(s);
}

int hl7_lex_frame(struct arena *a, struct span frame, bool is_wide, struct hl7_frame *out)
{
    size_t cap = 0, start = 0;
    bool in_message = false;
    *out = (struct hl7_frame){0};
    struct span s = unwrap(a, frame, is_wide);
    if (arena_is_full(a))
        return -1;
    bool is_batch = is_header(s, "FHS") || is_header(s, "BHS");
    out->is_readable = is_batch || span_starts(s, "MSH");
    out->is_hllp = s.n > 3 && (s.p[0] == 'D' || s.p[0] == 'N') && span_is_digits(span_cut(s, 1, 2));
    if (!out->is_readable)
        return 0;
    struct eol e = {s, 0, 0};
    e.cr = find_from(s, 0, '\r');
    e.lf = find_from(s, 0, '\n');
    for (size_t i = 0; i < s.n;) {
        size_t end = eol_next(&e, i);
        struct span line = skip_blank(span_cut(s, i, end - i));
        bool is_msh = i == 0 ? span_starts(line, "MSH") : line.n > 3 && is_header(line, "MSH");
        bool is_batch_part = is_batch && is_batch_line(line);
        if ((is_msh || is_batch_part) && in_message && !add_part(a, out, &cap, span_cut(s, start, i - start), true))
            return -1;
        if (is_batch_part && !add_part(a, out, &cap, line, false))
            return -1;
        if (is_msh || is_batch_part) {
            in_message = is_msh;
            start = (size_t)(line.p - s.p);
        }
        i = end + 1;
    }
    if (in_message && !add_part(a, out, &cap, span_from(s, start), true))
        return -1;
    return 0;
}

/* ---- delimiters ---- */

static bool is_delim(char c)
{
    return c > 0x20 && c < 0x7f && !is_alnum(c);
}

bool hl7_lex_delims(struct span msh, struct hl7_delims *d)
{
    char c[6] = {0};
    *d = (struct hl7_delims){0};
    if (msh.n < 5)
        return false;
    d->field = msh.p[3];
    struct span rest = span_from(msh, 4);
    size_t n = span_find(rest, d->field);
    size_t eol = span_find(span_cut(rest, 0, n), '\r'), lf = span_find(span_cut(rest, 0, n), '\n');
    n = eol < lf ? eol : lf;
    if (n < 1 || n > 5)
        return false;
    memcpy(c, rest.p, n);
    if (n == 5 && c[3] == c[2]) { /* ^~\\& : a JSON accident */
        c[3] = c[4];
        c[4] = 0;
        n = 4;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_delim(c[i]) || c[i] == d->field || memchr(c, c[i], i))
            return false;
    }
    d->comp = c[0];
    d->rep = c[1];
    d->esc = c[2];
    d->sub = c[3];
    d->trunc = c[4];
    return is_delim(d->field);
}

/* ---- decoding ---- */

static bool is_ascii(struct span s)
{
    uint64_t w, all = 0;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        all |= w;
    }
    for (; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return !(all & 0x8080808080808080ULL);
}

static bool is_single_byte(const char *codec)
{
    return strcmp(codec, "cp1252") == 0 || strncmp(codec, "ISO-8859", 8) == 0 || strncmp(codec, "CP125", 5) == 0;
}

/* The codec of MSH-18: the first repetition; when that is empty (ASCII) the first alternate that is more. NULL: unknown. */
static const char *declared_codec(struct hl7_ctx *x, struct span field)
{
    struct span rest = field, rep;
    const char *codec = "", *c;
    for (bool first = true; !*codec && hl7_next_rep(x, &rest, &rep); first = false) {
        c = hl7_charset_find(hl7_comp(x, rep, 1));
        if (!c && first)
            return NULL;
        if (c)
            codec = c;
    }
    return codec;
}

static bool decode_with(struct hl7_ctx *x, const char *codec)
{
    x->text = hl7_charset_decode(x->a, codec, x->raw, &x->has_bad_bytes);
    if (strcmp(codec, "UTF-8") != 0)
        x->codec = codec;
    return !span_is_absent(x->text);
}

bool hl7_lex_decode(struct hl7_ctx *x)
{
    struct hl7_seg msh = {.text = hl7_lex_first(x->a, x->raw, x->d.field), .id = HL7_ID('M', 'S', 'H'), .nth = 1};
    struct span f18 = hl7_field(x, &msh, 17);
    const char *codec = declared_codec(x, f18);
    bool is_known = codec != NULL, is_jis = codec && strncmp(codec, "ISO-2022", 8) == 0;
    x->text = x->raw;
    x->at_seg = NULL;
    if (!codec)
        codec = "";
    if (is_jis && span_find(x->raw, '\x1b') < x->raw.n && decode_with(x, codec))
        return is_known;
    if (is_ascii(x->raw))
        return is_known;
    bool is_utf8 = text_utf8_valid(x->raw);
    if (is_utf8 && (!*codec || is_single_byte(codec) || is_jis)) {
        hl7_warn_message(x, *codec ? "W_CHARSET_IS_UTF8" : "W_CHARSET_GUESSED_UTF8", "MSH[1]-18");
        return is_known;
    }
    if (is_utf8 && strcmp(codec, "UTF-8") == 0)
        return is_known;
    if (!*codec) {
        codec = x->o->assume_charset ? hl7_charset_find(span_of(x->o->assume_charset)) : "cp1252";
        if (!codec || !*codec)
            codec = "cp1252";
        hl7_warn_message(x, "W_CHARSET_DEFAULT", "MSH[1]-18");
    }
    if (!decode_with(x, codec))
        return false;
    return is_known;
}

/* ---- segments ---- */

/* Upper case, or lower case with a digit or a Z in front: "met|" at the start of a wrapped line is a word, "gt1|" is a segment. */
static bool is_upper_id(struct span s)
{
    bool has_digit = s.p[1] < 'A' || s.p[2] < 'A';
    return (s.p[0] < 'a' && s.p[1] < 'a' && s.p[2] < 'a') || has_digit || s.p[0] == 'z';
}

static bool starts_segment(struct span s, char sep, bool allow_bare)
{
    if (s.n < 3 || !is_alpha(s.p[0]) || !is_alnum(s.p[1]) || !is_alnum(s.p[2]))
        return false;
    if (s.n > 3 && s.p[3] == sep)
        return is_upper_id(s) || known_index(HL7_ID(upper(s.p[0]), upper(s.p[1]), upper(s.p[2]))) >= 0;
    return allow_bare && skip_blank(span_from(s, 3)).n == 0 && known_index(HL7_ID(s.p[0], s.p[1], s.p[2])) >= 0;
}

struct cutter {
    struct span s;
    size_t at;
    char sep;
    bool has_cr, has_lf, is_mixed;
};

static struct cutter cutter_make(struct span s, char sep)
{
    struct cutter c = {.s = s, .sep = sep};
    c.has_cr = span_find(s, '\r') < s.n;
    c.has_lf = span_find(s, '\n') < s.n;
    return c;
}

/* The next line; LF within a CR message ends one only when a segment follows. False at the end. */
static bool cutter_next(struct cutter *c, struct span *out)
{
    if (c->at >= c->s.n)
        return false;
    size_t end = find_from(c->s, c->at, c->has_cr ? '\r' : '\n');
    if (c->has_cr && c->has_lf) {
        size_t body = c->at;
        while (body < end && c->s.p[body] == '\n')
            body++;
        for (size_t q = body; (q = find_from(span_cut(c->s, 0, end), q, '\n')) < end; q++) {
            if (starts_segment(skip_blank(span_cut(c->s, q + 1, end - q - 1)), c->sep, false)) {
                c->is_mixed = true;
                end = q;
                break;
            }
        }
    }
    *out = span_cut(c->s, c->at, end - c->at);
    c->at = end + 1;
    return true;
}

/* Wrapped lines and ADD: the pieces of the segment under way, joined when it ends. */
struct joiner { struct arena *a; struct span *v; size_t n, cap; };

static void joiner_add(struct joiner *j, struct span first, struct span glue, struct span piece)
{
    if (j->n == 0 && arena_grow(j->a, &j->v, j->n, &j->cap, sizeof *j->v))
        j->v[j->n++] = first;
    if (arena_grow(j->a, &j->v, j->n, &j->cap, sizeof *j->v))
        j->v[j->n++] = glue;
    if (arena_grow(j->a, &j->v, j->n, &j->cap, sizeof *j->v))
        j->v[j->n++] = piece;
}

static struct span joiner_take(struct joiner *j, struct span whole)
{
    size_t n = 0;
    if (j->n == 0)
        return whole;
    for (size_t i = 0; i < j->n; i++)
        n += j->v[i].n;
    char *p = arena_alloc(j->a, n + 1);
    if (!p)
        return whole;
    n = 0;
    for (size_t i = 0; i < j->n; i++) {
        if (j->v[i].n)
            memcpy(p + n, j->v[i].p, j->v[i].n);
        n += j->v[i].n;
    }
    j->n = 0;
    return span_make(p, n);
}

static struct span drop_lf(struct span s)
{
    return s.n && s.p[0] == '\n' ? span_from(s, 1) : s;
}

struct span hl7_lex_first(struct arena *a, struct span text, char sep)
{
    struct cutter c = cutter_make(text, sep);
    struct joiner j = {.a = a};
    struct span first = SPAN_ABSENT, piece;
    while (cutter_next(&c, &piece)) {
        struct span bare = skip_blank(piece);
        if (!bare.n)
            continue;
        if (span_is_absent(first))
            first = bare;
        else if (starts_segment(bare, sep, true))
            break;
        else
            joiner_add(&j, first, SPAN_LIT("\n"), drop_lf(piece));
    }
    return joiner_take(&j, first);
}

struct splitter {
    struct hl7_ctx *x;
    size_t cap, max;
    uint32_t counts[KNOWN_N];
    struct joiner j;
};

static bool add_segment(struct splitter *sp, struct span text)
{
    struct hl7_ctx *x = sp->x;
    if (x->n >= sp->max || !arena_grow(x->a, &x->segs, x->n, &sp->cap, sizeof *x->segs))
        return false;
    uint32_t id = HL7_ID(upper(text.p[0]), upper(text.p[1]), upper(text.p[2]));
    int k = known_index(id);
    x->segs[x->n++] = (struct hl7_seg){.text = text, .id = id, .nth = k >= 0 ? ++sp->counts[k] : 1};
    return true;
}

static void close_segment(struct splitter *sp)
{
    struct hl7_ctx *x = sp->x;
    if (x->n && sp->j.n)
        x->segs[x->n - 1].text = joiner_take(&sp->j, x->segs[x->n - 1].text);
}

/* QUIRKS 21: "…|2.3 PID|1|": the terminator behind MSH-12 became a blank. Returns where MSH ends, or n. */
static size_t lost_terminator(struct hl7_ctx *x, struct span msh)
{
    struct hl7_seg s = {.text = msh, .id = HL7_ID('M', 'S', 'H')};
    struct span v = hl7_field(x, &s, 11);
    x->at_seg = NULL;
    if (v.n < 5 || v.p[0] != '2' || v.p[v.n - 4] != ' ')
        return msh.n;
    struct span id = span_from(v, v.n - 3);
    if (known_index(HL7_ID(id.p[0], id.p[1], id.p[2])) < 0)
        return msh.n;
    return (size_t)(id.p - 1 - msh.p);
}

static bool split_lost(struct splitter *sp)
{
    struct hl7_ctx *x = sp->x;
    struct span msh = x->segs[0].text;
    size_t cut = lost_terminator(x, msh);
    if (cut >= msh.n)
        return true;
    hl7_warn_message(x, "W_LOST_TERMINATOR", "MSH[1]-12");
    x->segs[0].text = span_cut(msh, 0, cut);
    return add_segment(sp, span_from(msh, cut + 1));
}

static bool add_line(struct splitter *sp, struct span piece, struct span bare)
{
    struct hl7_ctx *x = sp->x;
    struct span last = x->n ? x->segs[x->n - 1].text : SPAN_ABSENT;
    if (x->n == 0)
        return add_segment(sp, bare);
    if (starts_segment(bare, x->d.field, true)) {
        if (!span_is_nocase(span_cut(bare, 0, 3), "ADD")) {
            close_segment(sp);
            if (x->n == 1 && !split_lost(sp))
                return false;
            return add_segment(sp, bare);
        }
        if (x->n > 1 && bare.n > 4)
            joiner_add(&sp->j, last, SPAN_ABSENT, span_from(bare, 4));
        else
            hl7_warn_message(x, "W_INCOMPLETE_CONTINUATION", "ADD[1]");
        return true;
    }
    if (sp->j.n == 0)
        hl7_warn_message(x, "W_WRAPPED_LINE", "MSH[1]");
    if (x->o->is_strict)
        hl7_error(x, 100, "WRAPPED_LINE", &x->segs[x->n - 1], 0);
    joiner_add(&sp->j, last, SPAN_LIT("\n"), drop_lf(piece));
    return true;
}

int hl7_lex_segments(struct hl7_ctx *x, bool *is_limit)
{
    struct splitter sp = {.x = x, .j = {.a = x->a}};
    struct cutter c = cutter_make(x->text, x->d.field);
    struct span piece;
    sp.max = x->o->max_segments > 0 ? (size_t)x->o->max_segments : DEFAULT_MAX_SEGMENTS;
    *is_limit = false;
    x->n = 0;
    while (cutter_next(&c, &piece)) {
        struct span bare = skip_blank(piece);
        if (bare.n && !add_line(&sp, piece, bare)) {
            *is_limit = x->n >= sp.max;
            return -1;
        }
    }
    close_segment(&sp);
    if (x->n == 1 && !split_lost(&sp))
        return -1;
    if (c.is_mixed)
        hl7_warn_message(x, "W_MIXED_LINE_ENDS", "MSH[1]");
    if (arena_is_full(x->a) || x->n == 0)
        return -1;
    struct span behind = span_from(x->text, 9); /* MSH|^~\&| itself holds one */
    x->has_escape = x->d.esc && span_find(behind, x->d.esc) < behind.n;
    x->has_switch = false;
    for (size_t i = x->has_escape ? span_find(behind, x->d.esc) : behind.n; i + 1 < behind.n && !x->has_switch; i += 1 + span_find(span_from(behind, i + 1), x->d.esc))
        x->has_switch = (behind.p[i + 1] & ~0x20) == 'C' || (behind.p[i + 1] & ~0x20) == 'M';
    return 0;
}
