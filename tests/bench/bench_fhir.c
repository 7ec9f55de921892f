/*
 * NAME bench_fhir - how fast one core turns FHIR Bundles into records, beside the bare libraries on the same bytes.
 *
 *     bench_fhir [seconds] [--strict]
 *
 * One Bundle of about 50 kB with 28 results is made here, as JSON and as XML. Bare means json_loadb() and xmlReadMemory() with their trees
 * freed again; ours is parse() of the module: bytes to records. The two run by turns, three rounds each, the medians are compared.
 * Bar: at least half of the bare rate; with --strict a miss fails the run.
 */
#include <jansson.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fhir_parser.h"

enum { RESULTS = 28, ROUNDS = 3 };

static double cpu_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the Bundle: one walk that writes both forms ---- */

struct out { struct buf b; bool is_xml; unsigned depth; };

static void indent(struct out *o)
{
    buf_addc(&o->b, '\n');
    for (unsigned i = 0; i < o->depth; i++)
        buf_adds(&o->b, "  ");
}

static void open_(struct out *o, const char *name, const char *json)
{
    if (!o->is_xml)
        buf_json_sep(&o->b);
    indent(o);
    if (o->is_xml)
        buf_addf(&o->b, "<%s>", name);
    else
        buf_adds(&o->b, json);
    o->depth++;
}

static void close_(struct out *o, const char *name, const char *json)
{
    o->depth--;
    indent(o);
    if (o->is_xml)
        buf_addf(&o->b, "</%s>", name);
    else
        buf_adds(&o->b, json);
}

static void put(struct out *o, const char *name, const char *value, bool is_number)
{
    if (!o->is_xml)
        buf_json_sep(&o->b);
    indent(o);
    if (o->is_xml)
        buf_addf(&o->b, "<%s value=\"%s\"/>", name, value);
    else if (is_number)
        buf_addf(&o->b, "\"%s\": %s", name, value);
    else
        buf_addf(&o->b, "\"%s\": \"%s\"", name, value);
}

static void put_n(struct out *o, const char *name, const char *prefix, unsigned n)
{
    char t[96];
    (void)snprintf(t, sizeof t, "%s%012u", prefix, n);
    put(o, name, t, false);
}

#define URN "urn:uuid:5b1f0a00-0000-4000-8000-"

/* "name": { … reference } or [ { … } ] */
static void put_ref(struct out *o, const char *name, bool is_array, unsigned n)
{
    char head[64];
    (void)snprintf(head, sizeof head, is_array ? "\"%s\": [{" : "\"%s\": {", name);
    open_(o, name, head);
    put_n(o, "reference", URN, n);
    close_(o, name, is_array ? "}]" : "}");
}

static void put_concept(struct out *o, const char *name, bool is_array, const char *system, const char *code, const char *display)
{
    char head[64];
    (void)snprintf(head, sizeof head, is_array ? "\"%s\": [{" : "\"%s\": {", name);
    open_(o, name, head);
    open_(o, "coding", "\"coding\": [{");
    put(o, "system", system, false);
    put(o, "code", code, false);
    put(o, "display", display, false);
    close_(o, "coding", "}]");
    close_(o, name, is_array ? "}]" : "}");
}

static void open_entry(struct out *o, const char *type, unsigned n)
{
    open_(o, "entry", "{");
    put_n(o, "fullUrl", URN, n);
    open_(o, "resource", "\"resource\": {");
    if (o->is_xml)
        open_(o, type, "");
    else
        put(o, "resourceType", type, false);
}

static void close_entry(struct out *o, const char *type)
{
    if (o->is_xml)
        close_(o, type, "");
    close_(o, "resource", "}");
    close_(o, "entry", "}");
}

static void put_patient(struct out *o)
{
    open_entry(o, "Patient", 1);
    open_(o, "identifier", "\"identifier\": [{");
    put(o, "system", "urn:oid:2.999.1.7", false);
    put(o, "value", "CASE-0501", false);
    close_(o, "identifier", "}]");
    open_(o, "name", "\"name\": [{");
    put(o, "use", "official", false);
    put(o, "family", "Example", false);
    close_(o, "name", "}]");
    put(o, "gender", "female", false);
    put(o, "birthDate", "1990-02-03", false);
    close_entry(o, "Patient");
}

static void put_lab(struct out *o)
{
    open_entry(o, "Organization", 2);
    put(o, "name", "District Laboratory", false);
    close_entry(o, "Organization");
}

static void put_specimen(struct out *o)
{
    open_entry(o, "Specimen", 3);
    open_(o, "identifier", "\"identifier\": [{");
    put(o, "value", "S-2026-0501", false);
    close_(o, "identifier", "}]");
    put_concept(o, "type", false, "http://snomed.info/sct", "119297000", "Blood specimen");
    put(o, "receivedTime", "2026-05-04T09:30:00+02:00", false);
    close_entry(o, "Specimen");
}

static void put_observation(struct out *o, unsigned n)
{
    char number[24];
    open_entry(o, "Observation", 100 + n);
    put(o, "status", "final", false);
    put_concept(o, "category", true, "http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory");
    put_concept(o, "code", false, "http://loinc.org", "2345-7", "Glucose [Mass/volume] in Serum or Plasma");
    put_ref(o, "subject", false, 1);
    put(o, "effectiveDateTime", "2026-05-04T08:15:00+02:00", false);
    put_ref(o, "performer", true, 2);
    open_(o, "valueQuantity", "\"valueQuantity\": {");
    (void)snprintf(number, sizeof number, "%u.%02u", n, n * 7 % 100);
    put(o, "value", number, true);
    put(o, "unit", "mmol/L", false);
    put(o, "system", "http://unitsofmeasure.org", false);
    put(o, "code", "mmol/L", false);
    close_(o, "valueQuantity", "}");
    put_concept(o, "interpretation", true, "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "N", "Normal");
    open_(o, "note", "\"note\": [{");
    put(o, "text", "Checked by the analyzer; second measurement on another instrument gave the same result within its precision", false);
    close_(o, "note", "}]");
    put_ref(o, "specimen", false, 3);
    open_(o, "referenceRange", "\"referenceRange\": [{");
    put(o, "text", "3.9-5.8 mmol/L, fasting; see the laboratory's handbook for other ranges", false);
    close_(o, "referenceRange", "}]");
    close_entry(o, "Observation");
}

static void put_report(struct out *o)
{
    open_entry(o, "DiagnosticReport", 4);
    put(o, "status", "final", false);
    put_concept(o, "code", false, "http://loinc.org", "24323-8", "Comprehensive metabolic panel");
    put_ref(o, "subject", false, 1);
    put(o, "issued", "2026-05-04T14:20:00+02:00", false);
    put_ref(o, "specimen", true, 3);
    if (!o->is_xml)
        open_(o, "", "\"result\": [");
    for (unsigned i = 0; i < RESULTS; i++) {
        open_(o, "result", "{");
        put_n(o, "reference", URN, 100 + i);
        close_(o, "result", "}");
    }
    if (!o->is_xml)
        close_(o, "", "]");
    close_entry(o, "DiagnosticReport");
}

static void make_bundle(struct out *o)
{
    buf_init(&o->b, (size_t)1 << 20);
    buf_adds(&o->b, o->is_xml ? "<Bundle xmlns=\"http://hl7.org/fhir\">" : "{\"resourceType\": \"Bundle\"");
    open_(o, "identifier", "\"identifier\": {");
    put(o, "value", "bench-1", false);
    close_(o, "identifier", "}");
    put(o, "type", "collection", false);
    if (!o->is_xml)
        open_(o, "", "\"entry\": [");
    put_patient(o);
    put_lab(o);
    put_specimen(o);
    for (unsigned i = 0; i < RESULTS; i++)
        put_observation(o, i);
    put_report(o);
    if (!o->is_xml)
        close_(o, "", "]");
    buf_adds(&o->b, o->is_xml ? "\n</Bundle>\n" : "\n}\n");
}

/* ---- runs ---- */

static int ours(struct span bytes, struct arena *a)
{
    struct parse_result r;
    struct err e = ERR_INIT;
    arena_reset(a);
    return fhir_parser.parse(NULL, bytes, a, &r, &e) || r.n != 1 || r.v[0].fate != PARSE_ACCEPT || r.v[0].observations != RESULTS ? -1 : 0;
}

static int bare(struct span bytes, bool is_xml)
{
    if (is_xml) {
        xmlDocPtr d = xmlReadMemory(bytes.p, (int)bytes.n, NULL, NULL, XML_PARSE_NONET);
        xmlFreeDoc(d);
        return d ? 0 : -1;
    }
    json_t *j = json_loadb(bytes.p, bytes.n, JSON_REJECT_DUPLICATES, NULL);
    json_decref(j);
    return j ? 0 : -1;
}

/* Bundles per second of CPU time; negative when one failed */
static double rate(struct span bytes, bool is_xml, bool is_bare, struct arena *a, double seconds)
{
    double start = cpu_now(), t;
    unsigned n = 0;
    do {
        for (unsigned i = 0; i < 20; i++, n++)
            if (is_bare ? bare(bytes, is_xml) : ours(bytes, a))
                return -1;
        t = cpu_now() - start;
    } while (t < seconds);
    return n / t;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int compare(const char *name, bool is_xml, double seconds, bool is_strict)
{
    struct out o = {.is_xml = is_xml, .depth = 1};
    struct arena *a = arena_new((size_t)16 << 20);
    double v[2][ROUNDS];
    int rc = 0;
    make_bundle(&o);
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned k = 0; k < 2; k++) {
            v[k][i] = rate(buf_span(&o.b), is_xml, k == 1, a, seconds / (4 * ROUNDS));
            if (v[k][i] < 0)
                rc = -1;
        }
    for (unsigned k = 0; k < 2; k++)
        qsort(v[k], ROUNDS, sizeof v[k][0], by_size);
    double mine = v[0][ROUNDS / 2], theirs = v[1][ROUNDS / 2];
    if (rc)
        (void)fprintf(stderr, "bench_fhir: the %s Bundle was not read\n", name);
    else
        (void)printf("fhir %s  %zu bytes, %d results: %.0f Bundles/s (%.0f MB/s), bare %.0f/s, ratio %.2f (bar 0.50)%s\n", name, o.b.n, RESULTS, mine,
                     mine * (double)o.b.n / 1e6, theirs, mine / theirs, mine / theirs < 0.5 ? "  MISSED" : "");
    if (is_strict && mine / theirs < 0.5)
        rc = -1;
    arena_free(a);
    buf_clear(&o.b);
    return rc;
}

int main(int argc, char **argv)
{
    double seconds = 2.0;
    bool is_strict = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--strict") == 0)
            is_strict = true;
        else
            seconds = strtod(argv[i], NULL);
    int json = compare("JSON", false, seconds, is_strict), xml = compare("XML ", true, seconds, is_strict);
    xmlCleanupParser();
    return json || xml;
}
