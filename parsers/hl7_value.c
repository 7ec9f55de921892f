/*
 * NAME hl7_value - OBX-2 and OBX-5 to a value, and embedded documents to attachments.
 *
 * The text of a value is as sent, escapes undone. A number that is none by the standard stays text and is marked odd; so are several
 * numbers in one field. A trailing empty component (`NOT DETECTED^`) is no part of a text; a component inside one stays.
 * ED and RP never become a value: their data is decoded, hashed and kept with the report; a pointer is never followed.
 * DIAGNOSTICS warnings of the context.
 */
#include <string.h>

#include "hl7_obx.h"
#include "text.h"

enum kind { K_NONE, K_NUMBER, K_SN, K_CODED, K_PLAIN, K_TEXT, K_LINES, K_DATE, K_TIME, K_DOCUMENT, K_OTHER, K_UNKNOWN };

static const struct { const char *name; enum kind kind; } kinds[] = {
    {"NM", K_NUMBER}, {"ST", K_TEXT}, {"CWE", K_CODED}, {"CE", K_CODED}, {"SN", K_SN}, {"TX", K_LINES}, {"FT", K_LINES}, {"IS", K_PLAIN},
    {"ID", K_PLAIN}, {"CNE", K_CODED}, {"CF", K_CODED}, {"DT", K_DATE}, {"TS", K_DATE}, {"DTM", K_DATE}, {"DR", K_DATE}, {"TM", K_TIME},
    {"ED", K_DOCUMENT}, {"RP", K_DOCUMENT}, {"NR", K_OTHER}, {"VR", K_OTHER}, {"NA", K_OTHER}, {"MA", K_OTHER}, {"CP", K_OTHER},
    {"MO", K_OTHER}, {"EI", K_OTHER}, {"CK", K_OTHER}, {"CX", K_OTHER}, {"AD", K_OTHER}, {"PN", K_OTHER}, {"XAD", K_OTHER},
    {"XPN", K_OTHER}, {"XTN", K_OTHER}, {"XCN", K_OTHER}, {"XON", K_OTHER}, {"TN", K_OTHER}, {"CN", K_OTHER}, {"CD", K_OTHER},
    {"HD", K_OTHER}, {"PL", K_OTHER}, {"SI", K_NUMBER}, {"GTS", K_OTHER}, {"CQ", K_OTHER}, {"DLN", K_OTHER}, {"FN", K_OTHER},
};

static enum kind kind_of(struct span type)
{
    if (!type.n)
        return K_NONE;
    if (HL7_IS(type, "NM"))
        return K_NUMBER;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (span_is_nocase(type, kinds[i].name))
            return kinds[i].kind;
    return K_UNKNOWN;
}

bool hl7_value_is_attachment(struct hl7_ctx *x, struct hl7_seg *s)
{
    return kind_of(hl7_value(x, s, 2, 1)) == K_DOCUMENT;
}

static struct span strip_tail(const struct hl7_ctx *x, struct span s)
{
    while (s.n && (s.p[s.n - 1] == x->d.comp || (x->d.sub && s.p[s.n - 1] == x->d.sub)))
        s.n--;
    return s;
}

/* The texts of all repetitions; a single one costs nothing. */
static void read_texts(struct hl7_ctx *x, struct span f, bool is_exact, struct rec_value *v)
{
    struct hl7_list l = {0};
    struct span rep, t;
    if (!x->d.rep || span_find(f, x->d.rep) == f.n) {
        v->text = is_exact ? hl7_leaf_exact(x, strip_tail(x, f)) : hl7_leaf(x, strip_tail(x, f));
        return;
    }
    while (hl7_next_rep(x, &f, &rep)) {
        t = is_exact ? hl7_leaf_exact(x, strip_tail(x, rep)) : hl7_leaf(x, strip_tail(x, rep));
        if (t.n)
            hl7_list_add(x->a, &l, t);
    }
    v->text = hl7_list_join(x->a, &l);
    if (l.n > 1)
        v->repeats = hl7_list_done(&l);
}

static void set_odd(struct hl7_ctx *x, struct rec_value *v)
{
    v->type = REC_V_TEXT;
    v->is_number_odd = true;
    if (x->o->is_strict)
        hl7_error(x, 102, "BAD_NUMBER", x->at_seg, 5);
    hl7_warn(x, "W_BAD_NUMBER", 102);
}

static struct span comma_to_point(struct hl7_ctx *x, struct span t)
{
    struct span c = arena_dup(x->a, t);
    size_t i = span_find(t, ',');
    if (i < t.n && c.n)
        ((char *)(uintptr_t)c.p)[i] = '.';
    return c;
}

static void read_number(struct hl7_ctx *x, struct span f, struct rec_value *v)
{
    read_texts(x, f, false, v);
    v->type = REC_V_NUMBER;
    if (!v->text.n)
        v->type = REC_V_NONE;
    else if (v->repeats.n > 1)
        set_odd(x, v);
    else if (hl7_is_number(v->text))
        v->num1 = v->text;
    else if (x->o->is_decimal_comma && hl7_is_number(comma_to_point(x, v->text)))
        v->num1 = comma_to_point(x, v->text);
    else
        set_odd(x, v);
}

static bool is_comparator(struct span c)
{
    return HL7_IS(c, ">") || HL7_IS(c, "<") || HL7_IS(c, ">=") || HL7_IS(c, "<=") || HL7_IS(c, "=") || HL7_IS(c, "<>");
}

static bool is_separator(struct span s)
{
    return s.n == 1 && memchr("-+/:.", s.p[0], 5);
}

/* SN: comparator ^ number ^ separator ^ number. False: not by the standard. */
static bool read_sn(struct hl7_ctx *x, struct span rep, struct rec_value *v)
{
    struct span c[4] = {{0}};
    size_t n = hl7_split(rep, x->d.comp, c, 4);
    for (size_t i = 0; i < n; i++)
        c[i] = hl7_leaf(x, c[i]);
    if ((c[0].n && !is_comparator(c[0])) || !hl7_is_number(c[1]) || (c[2].n && !is_separator(c[2])))
        return false;
    if ((c[3].n && (!hl7_is_number(c[3]) || !c[2].n)) || (c[2].n && !c[3].n && c[2].p[0] != '+'))
        return false;
    v->comparator = c[0].n ? c[0] : SPAN_LIT("=");
    v->num1 = c[1];
    v->separator = c[2].n ? c[2] : SPAN_ABSENT;
    v->num2 = c[3].n ? c[3] : SPAN_ABSENT;
    v->type = REC_V_STRUCTURED;
    if (c[3].n && c[2].p[0] == '-')
        v->type = REC_V_RANGE;
    else if (c[3].n && (c[2].p[0] == ':' || c[2].p[0] == '/'))
        v->type = REC_V_RATIO;
    v->text = HL7_CAT(x->a, HL7_IS(c[0], "=") ? SPAN_ABSENT : c[0], c[1], c[2], c[3]);
    return true;
}

static void read_structured(struct hl7_ctx *x, struct span f, struct rec_value *v)
{
    if ((!x->d.rep || span_find(f, x->d.rep) == f.n) && read_sn(x, f, v))
        return;
    *v = (struct rec_value){.raw = v->raw, .data_type = v->data_type, .path = v->path};
    read_texts(x, f, false, v);
    if (v->text.n)
        set_odd(x, v);
}

static void read_coded(struct hl7_ctx *x, struct span f, bool is_plain, struct rec_value *v)
{
    struct rec_coding *all = NULL;
    size_t n = 0, cap = 0;
    struct hl7_list texts = {0};
    struct span rep;
    bool has_several = x->d.rep && span_find(f, x->d.rep) < f.n;
    while (hl7_next_rep(x, &f, &rep)) {
        if (HL7_IS(span_trim(rep), "\"\""))
            continue;
        bool is_simple = is_plain && span_find(rep, x->d.comp) == rep.n;
        struct rec_codes c = is_simple ? hl7_codes_plain(x, rep) : hl7_codes(x, rep, x->d.comp);
        struct span text = c.text;
        if (!has_several)
            v->codings = c;
        for (size_t i = 0; i < c.n; i++) {
            if (has_several && arena_grow(x->a, &all, n, &cap, sizeof *all))
                all[n++] = c.v[i];
            if (!text.n || i == 0)
                text = c.v[i].display.n ? c.v[i].display : !text.n ? c.v[i].code : text;
        }
        if (!v->codings.text.n)
            v->codings.text = c.text;
        if (text.n)
            hl7_list_add(x->a, &texts, text);
    }
    if (has_several) {
        v->codings.v = all;
        v->codings.n = n;
    }
    v->text = hl7_list_join(x->a, &texts);
    v->type = v->text.n ? REC_V_CODED : REC_V_NONE;
    if (texts.n > 1)
        v->repeats = hl7_list_done(&texts);
}

/* OBX-2 empty: a triplet whose system is a known one is a code, the rest stays text. */
static enum kind infer(struct hl7_ctx *x, struct hl7_seg *s, struct span f)
{
    struct span system = hl7_leaf(x, hl7_comp(x, hl7_rep1(x, f), 3));
    if (x->o->is_strict)
        hl7_error(x, 101, "MISSING_FIELD", s, 2);
    x->at_field = 2;
    hl7_warn(x, "W_NO_VALUE_TYPE", 0);
    x->at_field = 5;
    return system.n && span_starts(hl7_code_system(x, system), "http") ? K_CODED : K_TEXT;
}

static bool is_said(struct hl7_ctx *x, struct span f, struct span type)
{
    if (span_is_nocase(type, "ED")) /* its first four components describe; without the fifth nothing is said */
        return hl7_comp(x, f, 5).n > 0;
    for (size_t i = 0; i < f.n; i++)
        if (f.p[i] != ' ' && f.p[i] != x->d.comp)
            return !span_is(span_trim(f), "\"\"");
    return false;
}

bool hl7_value_read(struct hl7_ctx *x, struct hl7_seg *s, struct rec_value *v)
{
    v->data_type = hl7_value(x, s, 2, 1);
    enum kind kind = kind_of(v->data_type);
    struct span f = hl7_field(x, s, 5);
    if (!is_said(x, f, v->data_type)) {
        v->raw = kind == K_DOCUMENT ? SPAN_ABSENT : f;
        if (HL7_IS(span_trim(f), "\"\""))
            v->text = span_null;
        return false;
    }
    if (kind == K_DOCUMENT) {
        v->type = REC_V_OTHER;
        return true;
    }
    v->raw = f;
    if (kind == K_NONE)
        kind = infer(x, s, f);
    switch (kind) {
    case K_NUMBER: read_number(x, f, v); break;
    case K_SN: read_structured(x, f, v); break;
    case K_CODED: read_coded(x, f, false, v); break;
    case K_PLAIN: read_coded(x, f, true, v); break;
    case K_LINES: read_texts(x, f, true, v); v->type = REC_V_TEXT; break;
    case K_DATE: read_texts(x, f, false, v); v->type = REC_V_DATE; break;
    case K_TIME: read_texts(x, f, false, v); v->type = REC_V_TIME; break;
    case K_UNKNOWN:
        x->at_field = 2;
        hl7_warn(x, "W_UNKNOWN_VALUE_TYPE", 0);
        read_texts(x, f, false, v);
        v->type = REC_V_OTHER;
        break;
    case K_OTHER: read_texts(x, f, false, v); v->type = REC_V_OTHER; break;
    case K_NONE: case K_DOCUMENT: case K_TEXT: read_texts(x, f, false, v); v->type = REC_V_TEXT; break;
    }
    if (!v->text.n && v->codings.n == 0)
        v->type = REC_V_NONE;
    return true;
}

/* ---- attachments ---- */

static struct span lower(struct hl7_ctx *x, struct span s)
{
    struct span out = arena_dup(x->a, span_cut(s, 0, 64));
    for (size_t i = 0; i < out.n; i++)
        if (out.p[i] >= 'A' && out.p[i] <= 'Z')
            ((char *)(uintptr_t)out.p)[i] = (char)(out.p[i] + 32);
    return out;
}

static struct span mime_of(struct hl7_ctx *x, struct span type, struct span sub, struct span bytes)
{
    static const struct { const char *hl7, *mime; } types[] = {
        {"IM", "image"}, {"AP", "application"}, {"AU", "audio"}, {"TX", "text"}, {"FT", "text"}, {"NS", "application"}, {"SD", "application"}};
    type = lower(x, type);
    sub = lower(x, sub);
    if (span_starts(bytes, "%PDF-") || HL7_IS(sub, "pdf"))
        return SPAN_LIT("application/pdf");
    if (HL7_IS(sub, "html"))
        return SPAN_LIT("text/html");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (span_is_nocase(type, types[i].hl7))
            type = span_of(types[i].mime);
    if (!sub.n)
        return type.n ? type : SPAN_LIT("application/octet-stream");
    return HL7_CAT(x->a, type.n ? type : SPAN_LIT("application"), SPAN_LIT("/"), sub);
}

static struct span decode_hex(struct hl7_ctx *x, struct span s)
{
    char *p = arena_alloc(x->a, s.n / 2 + 1);
    size_t n = 0;
    unsigned v = 0;
    if (!p)
        return SPAN_ABSENT;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], l = (char)(c | 0x20);
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if ((c < '0' || c > '9') && (l < 'a' || l > 'f'))
            return SPAN_ABSENT;
        v = v << 4 | (unsigned)(c <= '9' ? c - '0' : l - 'a' + 10);
        if (n++ % 2)
            p[n / 2 - 1] = (char)(unsigned char)(v & 0xff);
    }
    return n % 2 ? SPAN_ABSENT : span_make(p, n / 2);
}

static struct span decode_data(struct hl7_ctx *x, struct span encoding, struct span data)
{
    data = hl7_unescape(x, data);
    if (span_is_nocase(encoding, "Base64")) {
        unsigned char *p = arena_alloc(x->a, data.n / 4 * 3 + 8);
        int64_t n = p ? text_base64_decode(data, p) : -1;
        return n >= 0 ? span_make((char *)p, (size_t)n) : SPAN_ABSENT;
    }
    return span_is_nocase(encoding, "Hex") ? decode_hex(x, data) : data;
}

static void attach_rep(struct hl7_ctx *x, bool is_pointer, struct span rep, struct rec_attachment *at)
{
    struct span c[5] = {{0}}, rest = rep;
    for (size_t i = 0; i < 4 && span_next(&rest, x->d.comp, &c[i]); i++)
        ;
    if (is_pointer) {
        at->pointer = hl7_leaf(x, c[0]);
        at->mime = mime_of(x, hl7_leaf(x, c[2]), hl7_leaf(x, c[3]), SPAN_ABSENT);
        return;
    }
    if (rest.n) {
        unsigned char sum[TEXT_SHA256_BYTES];
        at->bytes = decode_data(x, hl7_leaf(x, c[3]), rest);
        if (at->bytes.n) {
            text_sha256(at->bytes.p, at->bytes.n, sum);
            text_hex(sum, sizeof sum, at->sha256);
        } else {
            hl7_warn(x, "W_BAD_ENCODING", 102);
        }
    }
    at->mime = mime_of(x, hl7_leaf(x, c[1]), hl7_leaf(x, c[2]), at->bytes);
}

void hl7_attach(struct hl7_ctx *x, struct hl7_seg *s, struct span title, struct hl7_attachments *to)
{
    bool is_pointer = span_is_nocase(hl7_value(x, s, 2, 1), "RP");
    struct span path = hl7_where(x->a, s, 5, 0), f = hl7_field(x, s, 5), rep;
    while (hl7_next_rep(x, &f, &rep)) {
        if (!arena_grow(x->a, &to->v, to->n, &to->cap, sizeof *to->v))
            return;
        struct rec_attachment *at = &to->v[to->n++];
        *at = (struct rec_attachment){.title = title, .path = path};
        attach_rep(x, is_pointer, rep, at);
    }
}
