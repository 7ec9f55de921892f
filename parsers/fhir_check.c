/*
 * NAME fhir_check - what makes a resource unusable, before anything is read from it (STANDARDS 6.3, 6.8; safety rule S17).
 *
 * Missing status or code, a status that is none, two values; modifierExtension and implicitRules that are not known; elements that
 * only R5 or STU3 have, which are named; test data. Unknown elements are a remark, in strict mode an error.
 * DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include <stdio.h>
#include "fhir_ctx.h"

static const struct { const char *code; enum obs_status status; } obs_codes[] = {
    {"final", OBS_ST_FINAL}, {"preliminary", OBS_ST_PRELIMINARY}, {"registered", OBS_ST_REGISTERED}, {"amended", OBS_ST_AMENDED},
    {"corrected", OBS_ST_CORRECTED}, {"cancelled", OBS_ST_CANCELLED}, {"entered-in-error", OBS_ST_WITHDRAWN}, {"unknown", OBS_ST_UNKNOWN},
};

bool fhir_status_obs(struct span code, enum obs_status *out)
{
    for (size_t i = 0; i < sizeof obs_codes / sizeof obs_codes[0]; i++)
        if (span_is(code, obs_codes[i].code)) {
            *out = obs_codes[i].status;
            return true;
        }
    return false;
}

const char *fhir_status_report(struct span code)
{
    static const char *const codes[] = {"final", "preliminary", "registered", "partial", "amended", "corrected", "cancelled",
                                        "entered-in-error", "unknown"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (span_is(code, codes[i]))
            return codes[i];
    return span_is(code, "appended") ? "amended" : NULL;
}

bool fhir_is_test_tag(const struct fhir_node *resource)
{
    const struct fhir_node *meta = fhir_get(resource, "meta");
    FHIR_EACH(t, meta, "tag")
        if (span_is(fhir_text(t, "code"), "HTEST"))
            return true;
    FHIR_EACH(s, meta, "security")
        if (span_is(fhir_text(s, "code"), "HTEST"))
            return true;
    return false;
}

/* ---- must-understand ---- */

static bool is_known_modifier(const struct fhir_ctx *x, struct span url)
{
    for (size_t i = 0; i < x->o->known_modifiers.n; i++)
        if (span_is(url, x->o->known_modifiers.v[i]))
            return true;
    return false;
}

/* is_top: contained and entry resources are checked by themselves */
static void check_modifiers(struct fhir_ctx *x, const struct fhir_node *o, bool is_top)
{
    for (const struct fhir_node *c = o->child; c; c = c->next) {
        if (span_is(c->name, "modifierExtension") && !is_known_modifier(x, fhir_text(c, "url")))
            fhir_error(x, "extension", c, NULL, "UNKNOWN_MODIFIER: a modifierExtension changes the meaning in a way not known here");
        else if (is_top && span_is(c->name, "implicitRules") && !is_known_modifier(x, c->text))
            fhir_error(x, "extension", c, NULL, "UNKNOWN_MODIFIER: implicitRules name rules not known here");
        else if (!(c->flags & FHIR_RESOURCE) && !span_is(c->name, "extension"))
            check_modifiers(x, c, false);
    }
}

/* ---- other versions ---- */

struct rule { const char *type, *element, *inner, *text; };     /* inner: element that must stand in it; NULL: any */
#define R5 "This element is of FHIR R5; R4 (4.0.1) is understood"
#define R3 "This element is of FHIR STU3; R4 (4.0.1) is understood"

static const struct rule version_rules[] = {
    {"Observation", "valueAttachment", NULL, R5}, {"Observation", "valueReference", NULL, R5}, {"Observation", "triggeredBy", NULL, R5},
    {"Observation", "bodyStructure", NULL, R5}, {"Observation", "instantiatesCanonical", NULL, R5},
    {"Observation", "instantiatesReference", NULL, R5}, {"Observation", "comment", NULL, R3}, {"Observation", "related", NULL, R3},
    {"Observation", "context", NULL, R3},
    {"DiagnosticReport", "study", NULL, R5}, {"DiagnosticReport", "note", NULL, R5}, {"DiagnosticReport", "supportingInfo", NULL, R5},
    {"DiagnosticReport", "composition", NULL, R5}, {"DiagnosticReport", "codedDiagnosis", NULL, R3}, {"DiagnosticReport", "image", NULL, R3},
    {"DiagnosticReport", "context", NULL, R3}, {"ServiceRequest", "code", "concept", R5}, {"ServiceRequest", "code", "reference", R5},
    {"Specimen", "container", "device", R5}, {"MessageHeader", "timestamp", NULL, R3}, {"MessageHeader", "source", "endpointUrl", R5},
    {"MessageHeader", "source", "endpointReference", R5},
};

static void name_version(struct fhir_ctx *x, const struct fhir_node *at, const char *text)
{
    if (x->o->is_other_version_allowed) {
        fhir_warn(x, "W_OTHER_VERSION", at, NULL);
        return;
    }
    x->is_rejected = true;
    fhir_error(x, "not-supported", at, NULL, text);
}

/* meta.profile of a core profile says the version: …/fhir/5.0/… or …|5.0.0 */
static const char *profile_version(struct span url)
{
    static const struct { const char *part, *text; } marks[] = {
        {"http://hl7.org/fhir/5.0/", "The profile is of FHIR R5; R4 (4.0.1) is understood"},
        {"http://hl7.org/fhir/3.0/", "The profile is of FHIR STU3; R4 (4.0.1) is understood"},
        {"http://hl7.org/fhir/1.0/", "The profile is of FHIR DSTU2; R4 (4.0.1) is understood"}};
    static const char core[] = "http://hl7.org/fhir/StructureDefinition/";
    for (size_t i = 0; i < 3; i++)
        if (span_starts(url, marks[i].part))
            return marks[i].text;
    struct span version = span_starts(url, core) ? span_from(url, span_find(url, '|')) : SPAN_ABSENT;
    return span_starts(version, "|5.0") ? marks[0].text : span_starts(version, "|3.0") ? marks[1].text : NULL;
}

static void check_version(struct fhir_ctx *x, const struct fhir_res *r)
{
    FHIR_EACH(p, fhir_get(r->node, "meta"), "profile")
        if (profile_version(p->text))
            name_version(x, p, profile_version(p->text));
    for (const struct fhir_node *c = r->node->child; c; c = c->next)
        for (size_t i = 0; i < sizeof version_rules / sizeof version_rules[0]; i++) {
            const struct rule *v = &version_rules[i];
            if (!span_is(c->name, v->element) || !span_is(r->type, v->type))
                continue;
            const struct fhir_node *in = v->inner ? fhir_child(c, v->inner, strlen(v->inner)) : c;
            if (in) {
                name_version(x, in, v->text);
                break;
            }
        }
    const struct fhir_node *i = fhir_get(r->node, "interpretation");
    if (i && span_is(r->type, "Observation") && (i->flags & FHIR_IS_OBJECT) && !(i->flags & FHIR_IN_ARRAY))
        name_version(x, i, R3);
    if (span_is(r->type, "DiagnosticReport") && span_is(fhir_text(r->node, "status"), "modified"))
        name_version(x, fhir_get(r->node, "status"), R5);
}

/* ---- elements ---- */

#define ANY " id meta implicitRules language text contained extension modifierExtension "
static const struct { const char *type, *names; } elements[] = {
    {"Observation", ANY "identifier basedOn partOf status category code subject focus encounter effectiveDateTime effectivePeriod effectiveTiming "
                    "effectiveInstant issued performer valueQuantity valueCodeableConcept valueString valueBoolean valueInteger valueRange valueRatio "
                    "valueSampledData valueTime valueDateTime valuePeriod dataAbsentReason interpretation note bodySite method specimen device "
                    "referenceRange hasMember derivedFrom component "},
    {"DiagnosticReport", ANY "identifier basedOn status category code subject encounter effectiveDateTime effectivePeriod issued performer "
                         "resultsInterpreter specimen result imagingStudy media conclusion conclusionCode presentedForm "},
    {"Patient", ANY "identifier active name telecom gender birthDate deceasedBoolean deceasedDateTime address maritalStatus "
                "multipleBirthBoolean multipleBirthInteger photo contact communication generalPractitioner managingOrganization link "},
    {"Specimen", ANY "identifier accessionIdentifier status type subject receivedTime parent request collection processing container condition note "},
};

static bool has_name(const char *names, struct span name)
{
    char padded[64];
    if (name.n == 0 || name.n + 3 > sizeof padded)
        return false;
    padded[0] = ' ';
    memcpy(padded + 1, name.p, name.n);
    padded[name.n + 1] = ' ';
    padded[name.n + 2] = 0;
    return strstr(names, padded) != NULL;
}

static void check_elements(struct fhir_ctx *x, const struct fhir_res *r)
{
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        if (!span_is(r->type, elements[i].type))
            continue;
        unsigned n = 0;
        for (const struct fhir_node *c = r->node->child; c; c = c->next, n++) {
            char place[32];             /* its name is the sender's word and may be anybody's */
            if (has_name(elements[i].names, c->name))
                continue;
            (void)snprintf(place, sizeof place, "children()[%u]", n);
            fhir_doubt(x, "W_UNKNOWN_ELEMENT", "structure", r->node, place, "R4 has no such element");
        }
        return;
    }
}

static void check_code(struct fhir_ctx *x, const struct fhir_node *o)
{
    const struct fhir_node *code = fhir_get(o, "code");
    if (!code)
        fhir_error(x, "required", o, "code", "The code is missing");
    else if (!code->child)
        fhir_error(x, "structure", code, NULL, "The code has neither coding nor text");
}

static bool is_value(const struct fhir_node *c)
{
    return c->name.n > 5 && memcmp(c->name.p, "value", 5) == 0 && c->name.p[5] >= 'A' && c->name.p[5] <= 'Z';
}

static void check_values(struct fhir_ctx *x, const struct fhir_node *o)
{
    const struct fhir_node *first = NULL;
    for (const struct fhir_node *c = o->child; c; c = c->next) {
        if (!is_value(c))
            continue;
        if (first)
            fhir_error(x, "structure", c, NULL, "There is more than one value");
        else
            first = c;
    }
    if (first && fhir_get(o, "dataAbsentReason"))
        fhir_doubt(x, "W_VALUE_AND_ABSENT", "invariant", o, "dataAbsentReason", "A value and a reason for its absence exclude each other (obs-6)");
}

static void check_observation(struct fhir_ctx *x, const struct fhir_res *r)
{
    enum obs_status status;
    const struct fhir_node *s = fhir_get(r->node, "status");
    if (!s)
        fhir_error(x, "required", r->node, "status", "The status is missing");
    else if (s->text.n && !fhir_status_obs(s->text, &status))
        fhir_error(x, "code-invalid", s, NULL, "This is no status of an Observation in R4");
    check_code(x, r->node);
    check_values(x, r->node);
    FHIR_EACH(c, r->node, "component") {
        check_code(x, c);
        check_values(x, c);
    }
}

static void check_report(struct fhir_ctx *x, const struct fhir_res *r)
{
    const struct fhir_node *s = fhir_get(r->node, "status");
    if (!s)
        fhir_error(x, "required", r->node, "status", "The status is missing");
    else if (s->text.n && !fhir_status_report(s->text) && !(x->o->is_other_version_allowed && span_is(s->text, "modified")))
        fhir_error(x, "code-invalid", s, NULL, "This is no status of a DiagnosticReport in R4");
    if (!fhir_get(r->node, "code"))
        fhir_doubt(x, "W_NO_REPORT_CODE", "required", r->node, "code", "The code is missing");
}

static bool is_used_type(struct span type)
{
    static const char *const types[] = {"Observation", "DiagnosticReport", "Patient", "Specimen", "ServiceRequest", "MessageHeader",
                                        "Organization", "Composition", "Encounter", "Device"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (span_is(type, types[i]))
            return true;
    return false;
}

static void check_test_data(struct fhir_ctx *x, const struct fhir_node *o)
{
    if (!fhir_is_test_tag(o))
        return;
    x->message->processing_id = SPAN_LIT("T");
    if (x->o->test_data == FHIR_TEST_DATA_HOLD) {
        fhir_warn(x, "W_NONPRODUCTION", o, "meta");
        return;
    }
    x->is_rejected = true;
    fhir_error(x, "business-rule", o, "meta", "Test data (HTEST) are not accepted here");
}

static void check_one(struct fhir_ctx *x, struct fhir_res *r)
{
    if (!is_used_type(r->type) || r->is_left_out)
        return;
    x->at = r;
    if (x->tree->has_modifier)
        check_modifiers(x, r->node, true);
    check_version(x, r);
    check_elements(x, r);
    check_test_data(x, r->node);
    if (span_is(r->type, "Observation"))
        check_observation(x, r);
    else if (span_is(r->type, "DiagnosticReport"))
        check_report(x, r);
}

/* Modifiers of the Bundle itself and of its entries */
static void check_frame(struct fhir_ctx *x)
{
    const struct fhir_node *root = x->tree->root;
    if (x->tree->odd)
        fhir_doubt(x, "W_EMPTY_VALUE", "structure", x->tree->odd, NULL, "A value here is null or empty");
    if (!fhir_is_type(root, "Bundle"))
        return;
    check_test_data(x, root);
    if (!x->tree->has_modifier)
        return;
    FHIR_EACH(c, root, "implicitRules")
        if (!is_known_modifier(x, c->text))
            fhir_error(x, "extension", c, NULL, "UNKNOWN_MODIFIER: implicitRules name rules not known here");
    FHIR_EACH(e, root, "entry")
        FHIR_EACH(m, e, "modifierExtension")
            if (!is_known_modifier(x, fhir_text(m, "url")))
                fhir_error(x, "extension", m, NULL, "UNKNOWN_MODIFIER: a modifierExtension changes the meaning in a way not known here");
}

void fhir_check(struct fhir_ctx *x)
{
    x->at = NULL;
    check_frame(x);
    for (size_t i = 0; i < x->n_res; i++)
        check_one(x, &x->res[i]);
    x->at = NULL;
}
