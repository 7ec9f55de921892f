/*
 * NAME fhir_value - value[x] of an Observation or component, and Attachments (STANDARDS 6.3, 5.6).
 *
 * Shapes are those that the HL7 v2 reader makes of the same value: a Quantity with comparator is "structured", `1:128` a ratio,
 * `100-200` a range. Number texts are kept; a number that is none stays text and is marked odd, and so is what cannot be compared as
 * one number with one unit. An Attachment never becomes a value; a url is never followed. DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"
#include "text.h"

static void set_odd(struct fhir_ctx *x, const struct fhir_node *n, struct rec_value *v)
{
    v->type = REC_V_TEXT;
    v->is_number_odd = true;
    fhir_doubt(x, "W_BAD_NUMBER", "value", n, NULL, "This is no number");
}

static struct rec_coding read_unit(struct fhir_ctx *x, const struct fhir_node *q)
{
    struct rec_coding u = {.code = span_trim(fhir_text(q, "code")), .display = span_trim(fhir_text(q, "unit"))};
    struct span system = fhir_text(q, "system");
    if (!u.code.n) {
        u.code = u.display;
        u.display = SPAN_ABSENT;
    } else if (span_eq(u.code, u.display)) {
        u.display = SPAN_ABSENT;
    }
    if (system.n && u.code.n)
        u.system = fhir_system(x, system);
    return u;
}

static bool is_comparator(struct span c)
{
    return span_is(c, "<") || span_is(c, "<=") || span_is(c, ">") || span_is(c, ">=");
}

static void read_quantity(struct fhir_ctx *x, const struct fhir_node *q, struct rec_observation *o)
{
    struct rec_value *v = &o->value;
    struct span number = span_trim(fhir_text(q, "value")), comparator = span_trim(fhir_text(q, "comparator"));
    o->unit = read_unit(x, q);
    v->raw = number;
    v->text = comparator.n ? FHIR_CAT(x->a, comparator, number) : number;
    if (!number.n)
        return;
    if (!fhir_is_number(number) || (comparator.n && !is_comparator(comparator))) {
        set_odd(x, q, v);
        return;
    }
    v->num1 = number;
    v->type = comparator.n ? REC_V_STRUCTURED : REC_V_NUMBER;
    v->comparator = comparator;
}

static bool is_same_unit(const struct rec_coding *a, const struct rec_coding *b)
{
    return span_eq(a->code, b->code) && span_eq(a->system, b->system);
}

static void read_ratio(struct fhir_ctx *x, const struct fhir_node *n, struct rec_observation *o)
{
    struct rec_value *v = &o->value;
    const struct fhir_node *num = fhir_get(n, "numerator"), *den = fhir_get(n, "denominator");
    struct span a = span_trim(fhir_text(num, "value")), b = span_trim(fhir_text(den, "value")), c = span_trim(fhir_text(num, "comparator"));
    struct rec_coding ua = read_unit(x, num), ub = read_unit(x, den);
    bool is_plain = !fhir_text(den, "comparator").n && (!ub.code.n || is_same_unit(&ua, &ub));
    if (!a.n && !b.n)
        return;
    if (is_plain && fhir_is_number(a) && fhir_is_number(b) && (!c.n || is_comparator(c))) {
        o->unit = ua;
        v->type = REC_V_RATIO;
        v->comparator = c.n ? c : SPAN_LIT("=");
        v->num1 = a;
        v->separator = SPAN_LIT(":");
        v->num2 = b;
        v->text = FHIR_CAT(x->a, c, a, SPAN_LIT(":"), b);
        v->raw = v->text;
        return;
    }
    struct span left = ua.code.n ? FHIR_CAT(x->a, a, SPAN_LIT(" "), ua.code) : a, right = ub.code.n ? FHIR_CAT(x->a, b, SPAN_LIT(" "), ub.code) : b;
    v->text = FHIR_CAT(x->a, c, left, SPAN_LIT(":"), right);
    v->raw = v->text;
    set_odd(x, n, v);
}

static void read_range(struct fhir_ctx *x, const struct fhir_node *n, struct rec_observation *o)
{
    struct rec_value *v = &o->value;
    const struct fhir_node *low = fhir_get(n, "low"), *high = fhir_get(n, "high");
    struct span a = span_trim(fhir_text(low, "value")), b = span_trim(fhir_text(high, "value"));
    struct rec_coding ua = read_unit(x, low), ub = read_unit(x, high);
    if (!a.n && !b.n)
        return;
    o->unit = a.n ? ua : ub;
    v->type = a.n && b.n ? REC_V_RANGE : REC_V_STRUCTURED;
    v->comparator = a.n && b.n ? SPAN_LIT("=") : a.n ? SPAN_LIT(">=") : SPAN_LIT("<=");
    v->num1 = a.n ? a : b;
    if (a.n && b.n) {
        v->separator = SPAN_LIT("-");
        v->num2 = b;
        v->text = FHIR_CAT(x->a, a, SPAN_LIT("-"), b);
    } else {
        v->text = FHIR_CAT(x->a, v->comparator, v->num1);
    }
    v->raw = v->text;
    if ((a.n && !fhir_is_number(a)) || (b.n && !fhir_is_number(b)) || (a.n && b.n && !is_same_unit(&ua, &ub))) {
        v->comparator = v->num1 = v->separator = v->num2 = SPAN_ABSENT;
        set_odd(x, n, v);
    }
}

static void read_coded(struct fhir_ctx *x, const struct fhir_node *n, struct rec_value *v)
{
    v->codings = fhir_codes(x, n);
    v->text = fhir_codes_text(&v->codings);
    v->raw = v->codings.n && v->codings.v[0].code.n ? v->codings.v[0].code : v->text;
    v->type = v->text.n ? REC_V_CODED : REC_V_NONE;
}

static void read_plain(struct rec_value *v, const struct fhir_node *n, enum rec_value_type type)
{
    v->text = v->raw = n->text;
    v->type = n->text.n ? type : REC_V_NONE;
}

static void read_integer(struct fhir_ctx *x, const struct fhir_node *n, struct rec_value *v)
{
    read_plain(v, n, REC_V_NUMBER);
    if (v->type == REC_V_NONE)
        return;
    if (fhir_is_number(span_trim(n->text)))
        v->num1 = span_trim(n->text);
    else
        set_odd(x, n, v);
}

static void read_boolean(struct fhir_ctx *x, const struct fhir_node *n, struct rec_value *v)
{
    read_plain(v, n, REC_V_BOOLEAN);
    if (n->text.n && !span_is(n->text, "true") && !span_is(n->text, "false")) {
        v->type = REC_V_TEXT;
        fhir_doubt(x, "W_BAD_BOOLEAN", "value", n, NULL, "This is neither true nor false");
    }
}

static void read_period(struct fhir_ctx *x, const struct fhir_node *n, struct rec_value *v)
{
    struct span start = fhir_text(n, "start"), end = fhir_text(n, "end");
    if (start.n || end.n) {
        v->text = v->raw = FHIR_CAT(x->a, start, SPAN_LIT("/"), end);
        v->type = REC_V_DATE;
    }
}

static void read_sampled(const struct fhir_node *n, struct rec_value *v)
{
    v->text = v->raw = fhir_text(n, "data");
    v->type = v->text.n ? REC_V_OTHER : REC_V_NONE;
}

void fhir_value_read(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *obs)
{
    struct rec_value *v = &obs->value;
    for (const struct fhir_node *c = o->child; c; c = c->next) {
        if (c->name.n <= 5 || memcmp(c->name.p, "value", 5) != 0 || c->name.p[5] < 'A' || c->name.p[5] > 'Z')
            continue;
        struct span type = span_from(c->name, 5);
        v->data_type = type;
        v->path = fhir_path(x->a, c, NULL);
        if (span_is(type, "CodeableConcept"))
            read_coded(x, c, v);
        else if (span_is(type, "Quantity"))
            read_quantity(x, c, obs);
        else if (span_is(type, "String"))
            read_plain(v, c, REC_V_TEXT);
        else if (span_is(type, "Integer"))
            read_integer(x, c, v);
        else if (span_is(type, "Boolean"))
            read_boolean(x, c, v);
        else if (span_is(type, "Ratio"))
            read_ratio(x, c, obs);
        else if (span_is(type, "Range"))
            read_range(x, c, obs);
        else if (span_is(type, "DateTime"))
            read_plain(v, c, REC_V_DATE);
        else if (span_is(type, "Time"))
            read_plain(v, c, REC_V_TIME);
        else if (span_is(type, "Period"))
            read_period(x, c, v);
        else if (span_is(type, "SampledData"))
            read_sampled(c, v);
        else
            read_plain(v, c, REC_V_OTHER);  /* not R4: kept, never a result */
        return;
    }
}

/* ---- attachments ---- */

const struct fhir_node *fhir_value_attachment(const struct fhir_node *observation)
{
    FHIR_EACH(e, observation, "extension") {
        const struct fhir_node *a = fhir_get(e, "valueAttachment");
        if (a && span_is(fhir_text(e, "url"), "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"))
            return a;
    }
    return NULL;
}

void fhir_attachment_read(struct fhir_ctx *x, const struct fhir_node *n, struct rec_attachment *out)
{
    struct span data = fhir_text(n, "data");
    unsigned char sum[TEXT_SHA256_BYTES];
    *out = (struct rec_attachment){.mime = fhir_text(n, "contentType"), .title = fhir_text(n, "title"), .pointer = fhir_text(n, "url")};
    out->path = fhir_path(x->a, n, NULL);
    if (data.n) {
        unsigned char *p = arena_alloc(x->a, data.n / 4 * 3 + 8);
        int64_t len = p ? text_base64_decode(data, p) : -1;
        if (len < 0)
            fhir_doubt(x, "W_BAD_ENCODING", "value", n, "data", "This is no base64");
        else
            out->bytes = span_make((char *)p, (size_t)len);
    }
    if (out->bytes.n) {
        text_sha256(out->bytes.p, out->bytes.n, sum);
        text_hex(sum, sizeof sum, out->sha256);
    }
    if (span_starts(out->bytes, "%PDF-"))
        out->mime = SPAN_LIT("application/pdf");
    if (!out->mime.n)
        out->mime = SPAN_LIT("application/octet-stream");
}
