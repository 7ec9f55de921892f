/*
 * NAME record_fhir - a small part of FHIRPath: the name of a place in a FHIR message, for rules.
 *
 * Type.element[n].element.extension('url').element.where(path = 'text').element.first()
 * Type is a resource; indices count from 0, as FHIRPath has them. Elements are written as they stand in the resource: valueString.
 * Pure. DIAGNOSTICS *at is the byte that is wrong, *why a sentence.
 */
#include <string.h>

#include "record.h"

struct reader { struct span s; size_t at; const char *why; };

const char *const rec_fhir_types[] = {"Patient", "Observation", "DiagnosticReport", "Specimen", "ServiceRequest", "Organization", "Practitioner",
                                      "PractitionerRole", "Encounter", "Device", "Location", "MessageHeader", "Composition", "Bundle", NULL};

static const char *const elements[][40] = {
    {"Patient", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "active",
     "name", "telecom", "gender",
     "birthDate", "deceased*", "address", "maritalStatus", "multipleBirth*", "photo", "contact", "communication", "generalPractitioner", "managingOrganization", "link", NULL},
    {"Observation", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "basedOn",
     "partOf", "status", "category", "code",
     "subject", "focus", "encounter", "effective*", "issued", "performer", "value*", "dataAbsentReason", "interpretation", "note", "bodySite", "method", "specimen", "device",
     "referenceRange", "hasMember", "derivedFrom", "component", NULL},
    {"DiagnosticReport", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "basedOn", "status", "category", "code",
     "subject", "encounter", "effective*", "issued", "performer", "resultsInterpreter", "specimen", "result", "imagingStudy", "media", "conclusion", "conclusionCode",
     "presentedForm", NULL},
    {"Specimen", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "accessionIdentifier", "status", "type", "subject",
     "receivedTime", "parent", "request", "collection", "processing", "container", "condition", "note", NULL},
};

static bool fail(struct reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return false;
}

static int peek(const struct reader *r)
{
    return r->at < r->s.n ? (unsigned char)r->s.p[r->at] : -1;
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static void blanks(struct reader *r)
{
    while (take(r, ' ')) {}
}

static struct span name(struct reader *r)
{
    size_t from = r->at;
    for (int c = peek(r); (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (r->at > from && c >= '0' && c <= '9'); c = peek(r))
        r->at++;
    return span_cut(r->s, from, r->at - from);
}

static bool quoted(struct reader *r, struct span *out)
{
    if (!take(r, '\''))
        return fail(r, "a text in single quotes is expected here");
    size_t from = r->at;
    while (peek(r) >= 0 && peek(r) != '\'')
        r->at++;
    *out = span_cut(r->s, from, r->at - from);
    return take(r, '\'') || fail(r, "this text has no closing '");
}

static bool known_element(const char *type, struct span element)
{
    for (size_t t = 0; t < sizeof elements / sizeof elements[0]; t++) {
        if (strcmp(elements[t][0], type) != 0)
            continue;
        for (size_t i = 1; elements[t][i]; i++) {
            size_t n = strlen(elements[t][i]);
            bool is_choice = elements[t][i][n - 1] == '*';
            if (is_choice ? element.n >= n && memcmp(element.p, elements[t][i], n - 1) == 0 : span_is(element, elements[t][i]))
                return true;
        }
        return false;
    }
    return true;                        /* a type whose elements are not listed */
}

size_t rec_fhir_elements(const char *type, const char *out[64])
{
    size_t n = 0;
    for (size_t t = 0; t < sizeof elements / sizeof elements[0]; t++)
        for (size_t i = 1; strcmp(elements[t][0], type) == 0 && elements[t][i] && n < 64; i++)
            if (elements[t][i][strlen(elements[t][i]) - 1] != '*')
                out[n++] = elements[t][i];
    return n;
}

/* where(type.coding.code = 'MR') */
static bool read_where(struct reader *r, struct rec_fhir_step *step)
{
    size_t n = 0;
    blanks(r);
    do {
        if (n >= REC_FHIR_WHERE_MAX)
            return fail(r, "this path is longer than 4 names");
        step->where[n] = name(r);
        if (!step->where[n++].n)
            return fail(r, "the name of an element is expected here");
    } while (take(r, '.'));
    blanks(r);
    if (!take(r, '='))
        return fail(r, "= is expected here: where(system = 'http://…')");
    blanks(r);
    if (!quoted(r, &step->text))
        return false;
    blanks(r);
    return take(r, ')') || fail(r, "a ) is expected here");
}

static bool read_index(struct reader *r, struct rec_fhir_step *step)
{
    unsigned n = 0;
    size_t from = r->at;
    for (int c = peek(r); c >= '0' && c <= '9' && r->at - from < 4; c = peek(r)) {
        n = n * 10 + (unsigned)(c - '0');
        r->at++;
    }
    if (r->at == from)
        return fail(r, "a number from 0 is expected here");
    step->index = (int)n;
    return take(r, ']') || fail(r, "a ] is expected here");
}

static bool read_step(struct reader *r, const char *type, struct rec_fhir_path *out)
{
    struct rec_fhir_step *step = &out->v[out->n];
    size_t from = r->at;
    struct span what = name(r);
    *step = (struct rec_fhir_step){.name = what, .index = -1};
    if (!what.n)
        return fail(r, "the name of an element is expected here");
    bool is_call = take(r, '(');
    if (is_call && out->n && (span_is(what, "where") || span_is(what, "first"))) {     /* both say more about the step before */
        struct rec_fhir_step *before = &out->v[out->n - 1];
        if (before->index >= 0 || (before->where[0].n && span_is(what, "where"))) {
            r->at = from;
            return fail(r, "one where() and one [n] or first() stand behind an element, in this order");
        }
        if (span_is(what, "first")) {
            before->index = 0;
            return take(r, ')') || fail(r, "first() takes nothing");
        }
        if (!read_where(r, before))
            return false;
        return !take(r, '[') || read_index(r, before);
    }
    if (is_call && span_is(what, "extension")) {
        if (!quoted(r, &step->text) || !(take(r, ')') || fail(r, "a ) is expected here")))
            return false;
        step->where[0] = SPAN_LIT("url");
    } else if (is_call) {
        r->at = from;
        return fail(r, "only extension('url'), where(element = 'text') and first() are known here");
    } else if (out->n == 0 && !known_element(type, what)) {
        r->at = from;
        r->why = "no such element";
        return false;
    }
    if (out->n + 1 > REC_FHIR_STEPS_MAX)
        return fail(r, "this path is longer than 12 elements");
    out->n++;
    return !take(r, '[') || read_index(r, step);
}

bool rec_fhir_parse(struct span text, struct rec_fhir_path *out, size_t *at, const char **why)
{
    struct reader r = {.s = text};
    *out = (struct rec_fhir_path){.n = 0};
    struct span type = name(&r);
    bool is_good = false;
    for (size_t i = 0; rec_fhir_types[i] && !out->type; i++)
        if (span_is(type, rec_fhir_types[i]))
            out->type = rec_fhir_types[i];
    if (!out->type) {
        r.at = 0;
        (void)fail(&r, "no such resource");
    } else {
        is_good = true;
        while (is_good && r.at < r.s.n)
            is_good = (take(&r, '.') || fail(&r, "a . is expected here")) && (out->n < REC_FHIR_STEPS_MAX || fail(&r, "this path is longer than 12 elements")) &&
                      read_step(&r, out->type, out);
        if (is_good && !out->n)
            is_good = fail(&r, "the path of an element is expected behind the resource");
    }
    *at = r.at;
    *why = r.why;
    return is_good;
}
