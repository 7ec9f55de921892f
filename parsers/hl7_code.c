/*
 * NAME hl7_code - CE/CWE triplets, CX, EI, HD.
 * Every filled triplet is kept in the order sent: a code is found by its system, never by its place. Triplets 1-3 and 4-6 always, 10-12
 * where sent; OIDs in .14 .17 .20 name the system when .3 .6 .12 do not. The first component keeps its sub-components as sent:
 * `CTNG&CT&…&1` and `CTNG&NG&…&1` are two tests (QUIRKS 8). DIAGNOSTICS none.
 */
#include "hl7_code.h"

#include <string.h>

#define SYS(name, uri) {{name, sizeof(name) - 1}, {uri, sizeof(uri) - 1}}
static const struct { struct span name, uri; } systems[] = {
    SYS("LN", "http://loinc.org"), SYS("SCT", "http://snomed.info/sct"), SYS("UCUM", "http://unitsofmeasure.org"), SYS("L", "local:L"),
    SYS("HL70078", "http://terminology.hl7.org/CodeSystem/v2-0078"), SYS("HL70487", "http://terminology.hl7.org/CodeSystem/v2-0487"),
    SYS("HL70369", "http://terminology.hl7.org/CodeSystem/v2-0369"), SYS("HL70070", "http://terminology.hl7.org/CodeSystem/v2-0070"),
    SYS("I10", "http://hl7.org/fhir/sid/icd-10"), SYS("LOINC", "http://loinc.org"), SYS("SNOMED-CT", "http://snomed.info/sct"),
    SYS("SNOMEDCT", "http://snomed.info/sct"), SYS("SNOMED CT", "http://snomed.info/sct"),
    SYS("2.16.840.1.113883.6.1", "http://loinc.org"), SYS("2.16.840.1.113883.6.96", "http://snomed.info/sct"),
    SYS("2.16.840.1.113883.6.8", "http://unitsofmeasure.org"),
};

/* "HL70136", or the table number behind 2.16.840.1.113883.12. */
static struct span table_number(struct span name)
{
    struct span digits = SPAN_ABSENT;
    if (name.n == 7 && span_is_nocase(span_cut(name, 0, 3), "HL7"))
        digits = span_from(name, 3);
    else if (span_starts(name, "2.16.840.1.113883.12.") && name.n <= 25)
        digits = span_from(name, 21);
    return span_is_digits(digits) ? digits : SPAN_ABSENT;
}

struct span hl7_code_system(struct hl7_ctx *x, struct span name)
{
    if (!name.n)
        return SPAN_LIT("local");
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++)
        if (name.n == systems[i].name.n && span_eq_nocase(name, systems[i].name))
            return systems[i].uri;
    struct span table = table_number(name);
    if (table.n)
        return HL7_CAT(x->a, SPAN_LIT("http://terminology.hl7.org/CodeSystem/v2-"), span_cut(SPAN_LIT("0000"), 0, 4 - table.n), table);
    if (span_starts(name, "http://") || span_starts(name, "https://") || span_starts(name, "urn:"))
        return name;
    if (span_starts(name, "2.16.") || span_starts(name, "1.2.") || span_starts(name, "1.3."))
        return HL7_CAT(x->a, SPAN_LIT("urn:oid:"), name);
    return HL7_CAT(x->a, SPAN_LIT("local:"), name);
}

bool hl7_is_loinc(struct span c)
{
    unsigned sum = 0;
    size_t n = c.n;
    if (n < 3 || n > 10 || c.p[n - 2] != '-' || !span_is_digits(span_cut(c, 0, n - 2)) || !span_is_digits(span_from(c, n - 1)))
        return false;
    for (size_t i = 0; i < n - 2; i++) { /* mod 10, doubling from the right */
        unsigned d = (unsigned)(c.p[n - 3 - i] - '0');
        if (i % 2 == 0)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return (10 - sum % 10) % 10 == (unsigned)(c.p[n - 1] - '0');
}

static bool add_coding(struct hl7_ctx *x, const struct span *c, size_t n, const unsigned place[5], struct rec_coding *out)
{
    struct span v[5];
    for (size_t i = 0; i < 5; i++)
        v[i] = place[i] <= n ? hl7_leaf(x, c[place[i] - 1]) : SPAN_ABSENT;
    if (!v[0].n && !v[1].n)
        return false;
    *out = (struct rec_coding){.code = v[0], .display = v[1], .version = v[3]};
    out->system = hl7_code_system(x, v[2].n ? v[2] : v[4]);
    if (!v[2].n && !v[4].n && x->o->is_loinc_without_system && hl7_is_loinc(v[0])) {
        out->system = SPAN_LIT("http://loinc.org");
        hl7_warn(x, "W_LOINC_ASSUMED", 0);
    }
    return true;
}

struct rec_codes hl7_codes(struct hl7_ctx *x, struct span rep, char delim)
{
    static const unsigned places[3][5] = {{1, 2, 3, 7, 14}, {4, 5, 6, 8, 17}, {10, 11, 12, 13, 20}};
    struct span c[20];
    struct rec_coding v[3];
    struct rec_codes out = {0};
    size_t n = hl7_split(rep, delim, c, 20);
    for (size_t i = 0; i < 3 && n >= places[i][0]; i++)
        out.n += add_coding(x, c, n, places[i], &v[out.n]);
    if (n >= 9)
        out.text = hl7_leaf(x, c[8]);
    if (!out.n)
        return out;
    struct rec_coding *kept = arena_alloc(x->a, out.n * sizeof *kept);
    if (!kept)
        return (struct rec_codes){0};
    memcpy(kept, v, out.n * sizeof *kept);
    out.v = kept;
    return out;
}

struct rec_codes hl7_codes_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned field)
{
    struct span f = hl7_field(x, s, field);
    return f.n ? hl7_codes(x, hl7_rep1(x, f), x->d.comp) : (struct rec_codes){0};
}

struct rec_codes hl7_codes_plain(struct hl7_ctx *x, struct span rep)
{
    struct rec_codes out = {0};
    struct span code = hl7_leaf(x, rep);
    struct rec_coding *v = code.n ? arena_zalloc(x->a, sizeof *v) : NULL;
    if (v) {
        v->code = code;
        v->system = SPAN_LIT("local");
        out.v = v;
        out.n = 1;
    }
    return out;
}

static bool is_oid(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.')
            return false;
    return s.n > 2 && span_find(s, '.') < s.n;
}

/* ns, universal id and its type into authority-like places */
static void put_universal(struct span uid, struct span type, struct span *oid, struct span *other)
{
    if (span_is_nocase(type, "ISO") || (!type.n && is_oid(uid)))
        *oid = uid;
    else if (other && !other->n)
        *other = uid;
}

bool hl7_id_cx(struct hl7_ctx *x, struct span rep, struct rec_id *out)
{
    struct span c[6], h[3], id[2];
    size_t n = hl7_split(rep, x->d.comp, c, 6);
    *out = (struct rec_id){0};
    if (!n)
        return false;
    size_t ids = hl7_split(c[0], x->d.sub, id, 2);
    out->value = ids ? hl7_leaf(x, id[0]) : SPAN_ABSENT;
    if (!out->value.n)
        return false;
    if (ids > 1)
        out->ns = hl7_leaf(x, id[1]);
    if (n >= 4) {
        size_t k = hl7_split(c[3], x->d.sub, h, 3);
        if (k)
            out->authority = hl7_leaf(x, h[0]);
        if (k > 1)
            put_universal(hl7_leaf(x, h[1]), k > 2 ? hl7_leaf(x, h[2]) : SPAN_ABSENT, &out->oid, &out->authority);
    }
    if (n >= 5)
        out->type = hl7_leaf(x, c[4]);
    return true;
}

bool hl7_id_ei(struct hl7_ctx *x, struct span rep, struct rec_id *out)
{
    struct span c[4];
    size_t n = hl7_split(rep, x->d.comp, c, 4);
    *out = (struct rec_id){0};
    if (n)
        out->value = hl7_leaf(x, c[0]);
    if (n > 1)
        out->ns = hl7_leaf(x, c[1]);
    if (n > 2)
        put_universal(hl7_leaf(x, c[2]), n > 3 ? hl7_leaf(x, c[3]) : SPAN_ABSENT, &out->oid, &out->ns);
    if (!out->value.n && out->ns.n) { /* only a name was sent */
        out->value = out->ns;
        out->ns = SPAN_ABSENT;
    }
    return out->value.n > 0;
}

bool hl7_id_hd(struct hl7_ctx *x, struct span field, struct rec_id *out)
{
    struct span c[3];
    size_t n = hl7_split(hl7_rep1(x, field), x->d.comp, c, 3);
    *out = (struct rec_id){0};
    if (n)
        out->value = hl7_leaf(x, c[0]);
    if (n > 1) {
        struct span uid = hl7_leaf(x, c[1]);
        put_universal(uid, n > 2 ? hl7_leaf(x, c[2]) : SPAN_ABSENT, &out->oid, &out->ns);
        if (!out->value.n)
            out->value = uid;
    }
    return out->value.n > 0;
}
