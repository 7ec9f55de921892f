/*
 * NAME fhir_type - dates, codings, identifiers (STANDARDS 6.3, 6.4, 7.6).
 *
 * Names of systems and letters are those that the HL7 v2 reader gives for the same thing, so that a rule need not know where a code
 * came from. A date that is none is absent, with W_BAD_DATE, and its text goes to the notes. DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

/* ---- dates ---- */

static unsigned num(const char *p, size_t n)
{
    unsigned v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (unsigned)(p[i] - '0');
    return v;
}

/* Does s from i look like the shape? d digit, others themselves. */
static bool has_shape(struct span s, size_t i, const char *shape)
{
    for (; *shape; shape++, i++)
        if (i >= s.n || (*shape == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != *shape))
            return false;
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Length of the date part: 4, 7, 10, or 0 */
static size_t date_length(struct span s)
{
    if (!has_shape(s, 0, "dddd") || num(s.p, 4) == 0)
        return 0;
    if (s.n == 4)
        return 4;
    if (!has_shape(s, 4, "-dd") || num(s.p + 5, 2) < 1 || num(s.p + 5, 2) > 12)
        return 0;
    if (s.n == 7)
        return 7;
    if (!has_shape(s, 7, "-dd") || num(s.p + 8, 2) < 1 || num(s.p + 8, 2) > days_in(num(s.p, 4), num(s.p + 5, 2)))
        return 0;
    return s.n == 10 || s.p[10] == 'T' ? 10 : 0;
}

static bool read_zone(struct span z, struct span *out)
{
    if (span_is(z, "Z")) {
        *out = SPAN_LIT("Z");
        return true;
    }
    if (z.n != 6 || (z.p[0] != '+' && z.p[0] != '-') || !has_shape(z, 1, "dd:dd") || num(z.p + 4, 2) > 59 ||
        num(z.p + 1, 2) * 60 + num(z.p + 4, 2) > 14 * 60)
        return false;
    *out = num(z.p + 1, 2) || num(z.p + 4, 2) ? z : SPAN_LIT("Z");
    return true;
}

int fhir_ts(struct fhir_ctx *x, struct span text, struct rec_ts *out)
{
    (void)x;
    *out = (struct rec_ts){0};
    struct span s = span_trim(text), zone = SPAN_ABSENT;
    if (!s.n)
        return 0;
    size_t n = date_length(s);
    if (!n)
        return -1;
    char prec = n == 4 ? 'Y' : n == 7 ? 'M' : 'D';
    if (n < s.n) {
        if (!has_shape(s, 10, "Tdd:dd") || num(s.p + 11, 2) > 23 || num(s.p + 14, 2) > 59)
            return -1;
        n = 16;
        prec = 'N';
        if (has_shape(s, 16, ":dd")) {
            n = 19;
            prec = 'S';
            if (num(s.p + 17, 2) > 60)
                return -1;
        }
        if (prec == 'S' && has_shape(s, 19, ".d")) {
            for (n = 20; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++)
                ;
            prec = 'F';
        }
        if (n < s.n && !read_zone(span_from(s, n), &zone))
            return -1;
    }
    *out = (struct rec_ts){.v = span_cut(s, 0, n), .zone = zone, .prec = prec};
    if (prec != 'N' && n >= 19 && num(s.p + 17, 2) == 60) {     /* a leap second: only its day is sure to be understood */
        *out = (struct rec_ts){.v = span_cut(s, 0, 10), .prec = 'D'};
        return 1;
    }
    return prec == 'N' || (n > 10 && !zone.n) ? 1 : 0;
}

struct rec_ts fhir_ts_get(struct fhir_ctx *x, const struct fhir_node *o, const char *member, struct fhir_list *notes)
{
    struct rec_ts out;
    struct span text = fhir_node_text(fhir_child(o, member, strlen(member)));
    int rc = fhir_ts(x, text, &out);
    if (rc == 0)
        return out;
    fhir_doubt(x, rc < 0 ? "W_BAD_DATE" : "W_ODD_DATE", "value", o, member, "This is no FHIR date or time");
    if (rc < 0 && notes)
        fhir_list_add(x->a, notes, FHIR_CAT(x->a, span_of(member), SPAN_LIT(" as sent: "), span_cut(text, 0, 200)));
    return out;
}

/* ---- codings ---- */

static const struct { const char *from, *to; } systems[] = {
    {"urn:oid:2.16.840.1.113883.6.1", "http://loinc.org"}, {"urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"},
    {"urn:oid:2.16.840.1.113883.6.8", "http://unitsofmeasure.org"},
    {"http://hl7.org/fhir/v3/ObservationInterpretation", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"},
    {"urn:oid:2.16.840.1.113883.5.83", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"},
};
#define V2_TABLE "http://terminology.hl7.org/CodeSystem/v2-"

/* Number of the v2 table behind an old URL or OID */
static struct span table_number(struct span uri)
{
    struct span n = SPAN_ABSENT;
    if (span_starts(uri, "http://hl7.org/fhir/v2/"))
        n = span_from(uri, sizeof "http://hl7.org/fhir/v2/" - 1);
    else if (span_starts(uri, "urn:oid:2.16.840.1.113883.12."))
        n = span_from(uri, sizeof "urn:oid:2.16.840.1.113883.12." - 1);
    return n.n <= 4 && span_is_digits(n) ? n : SPAN_ABSENT;
}

struct span fhir_system(struct fhir_ctx *x, struct span uri)
{
    uri = span_trim(uri);
    if (!uri.n)
        return SPAN_LIT("local");
    if (span_is(uri, "http://loinc.org"))
        return SPAN_LIT("http://loinc.org");
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++)
        if (span_is(uri, systems[i].from))
            return span_of(systems[i].to);
    struct span table = table_number(uri);
    return table.n ? FHIR_CAT(x->a, SPAN_LIT(V2_TABLE), span_cut(SPAN_LIT("0000"), 0, 4 - table.n), table) : uri;
}

struct span fhir_system_short(struct fhir_ctx *x, struct span system)
{
    static const struct { const char *uri, *name; } names[] = {
        {"http://loinc.org", "LN"}, {"http://snomed.info/sct", "SCT"}, {"http://unitsofmeasure.org", "UCUM"},
        {"http://hl7.org/fhir/sid/icd-10", "I10"}, {"local", ""}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is(system, names[i].uri))
            return span_of(names[i].name);
    if (span_starts(system, V2_TABLE))
        return FHIR_CAT(x->a, SPAN_LIT("HL7"), span_from(system, sizeof V2_TABLE - 1));
    return span_starts(system, "local:") ? span_from(system, 6) : system;
}

struct rec_codes fhir_codes(struct fhir_ctx *x, const struct fhir_node *concept)
{
    struct rec_codes out = {0};
    struct rec_coding *v;
    size_t n = fhir_count(concept, "coding");
    if (!concept)
        return out;
    out.text = fhir_text(concept, "text");
    v = n ? arena_array(x->a, n, sizeof *v) : NULL;
    if (!v)
        return out;
    FHIR_EACH(c, concept, "coding") {
        struct rec_coding *k = &v[out.n];
        k->code = span_trim(fhir_text(c, "code"));
        k->display = fhir_text(c, "display");
        if (!k->code.n && !k->display.n)
            continue;
        k->system = fhir_system(x, fhir_text(c, "system"));
        k->version = fhir_text(c, "version");
        out.n++;
    }
    out.v = out.n ? v : NULL;
    return out;
}

struct span fhir_codes_text(const struct rec_codes *c)
{
    if (c->n && c->v[0].display.n)
        return c->v[0].display;
    return c->text.n ? c->text : c->n ? c->v[0].code : SPAN_ABSENT;
}

struct span fhir_code_of(struct fhir_ctx *x, const struct fhir_node *concept, const char *system_part)
{
    struct span first = SPAN_ABSENT;
    FHIR_EACH(c, concept, "coding") {
        struct span code = span_trim(fhir_text(c, "code")), system = fhir_text(c, "system");
        if (code.n && system_part && system.n && memmem(system.p, system.n, system_part, strlen(system_part)))
            return code;
        if (!first.n)
            first = code;
    }
    (void)x;
    return first;
}

/* ---- identifiers ---- */

static struct span id_type(struct fhir_ctx *x, const struct fhir_node *identifier)
{
    return fhir_code_of(x, fhir_get(identifier, "type"), "v2-0203");
}

bool fhir_id(struct fhir_ctx *x, const struct fhir_node *identifier, struct rec_id *out)
{
    *out = (struct rec_id){.value = span_trim(fhir_text(identifier, "value"))};
    if (!out->value.n)
        return false;
    struct span system = span_trim(fhir_text(identifier, "system"));
    if (span_starts(system, "urn:oid:"))
        out->oid = span_from(system, 8);
    else
        out->authority = system;
    if (!out->authority.n)
        out->authority = fhir_text(fhir_get(identifier, "assigner"), "display");
    out->type = id_type(x, identifier);
    out->use = fhir_text(identifier, "use");
    out->path = fhir_path(x->a, identifier, NULL);
    return true;
}

struct span fhir_id_value(struct fhir_ctx *x, const struct fhir_node *o, const char *type)
{
    FHIR_EACH(id, o, "identifier") {
        struct span value = span_trim(fhir_text(id, "value")), t = id_type(x, id);
        bool is_placer = span_is(t, "PLAC") || span_is(t, "PGN");
        if (!value.n || span_is(fhir_text(id, "use"), "old"))
            continue;
        if (type ? span_is(t, type) : !is_placer)
            return value;
    }
    return SPAN_ABSENT;
}

bool fhir_is_number(struct span t)
{
    size_t i = 0, k;
    if (i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
        i++;
    for (k = i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
        ;
    if (i == k)
        return false;
    if (i < t.n && t.p[i] == '.')
        for (k = ++i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            ;
    if (i == k)
        return false;
    if (i < t.n && (t.p[i] | 0x20) == 'e') {
        i++;
        if (i < t.n && (t.p[i] == '+' || t.p[i] == '-'))
            i++;
        for (k = i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            ;
    }
    return i > k && i == t.n;
}
