/*
 * NAME test_rule_words - conditions over one record: dates and times, units, functions, other observations, choices; and the caps.
 * A row is a condition and what it is: yes, no, or ? (cannot be decided). People and numbers are invented.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena.h"
#include "rule.h"
#include "test_conf_modules.h"

static char path[] = "/tmp/labrelay-words-XXXXXX";
static struct arena *arena;

#define SPAN(s) {"" s, sizeof(s) - 1}
#define TS(s, z, p) {.v = SPAN(s), .zone = SPAN(z), .prec = p}

static const struct rec_message message = {.channel = SPAN("lab")};
static const struct rec_coding codes[] = {{.system = SPAN("http://loinc.org"), .code = SPAN("94500-6"), .display = SPAN("SARS RNA")},
                                          {.system = SPAN("http://loinc.org"), .code = SPAN("94309-2")}, {.code = SPAN("CT"), .system = SPAN("local")}};
static const struct span flags[] = {SPAN("POS"), SPAN("H")};
static struct rec_observation observations[] = {
    {.role = OBS_RESULT, .status = OBS_ST_FINAL, .code = {&codes[0], 1, {0}}, .value = {.type = REC_V_NUMBER, .text = SPAN("0.7"), .num1 = SPAN("0.7")}, .unit = {.code = SPAN("g/L")},
     .interpretation = {flags, 2}, .analysed_at = TS("2026-05-06T10:30:00", "+02:00", 'S')},
    {.role = OBS_RESULT, .status = OBS_ST_PRELIMINARY, .code = {&codes[1], 1, {0}}, .value = {.type = REC_V_TEXT, .text = SPAN("24.50")}},
    {.role = OBS_RESULT, .status = OBS_ST_FINAL, .code = {&codes[2], 1, {0}}, .value = {.type = REC_V_TEXT, .text = SPAN("31")}},
    {.role = OBS_PART, .status = OBS_ST_FINAL, .code = {&codes[2], 1, {0}}, .value = {.type = REC_V_TEXT, .text = SPAN("99")}},
};
static struct record record = {
    .message = &message, .observations = observations, .n = 4,
    .patient = {.birth_date = TS("2021-05-04", "", 'D'), .is_present = true},
    .report = {.issued_at = TS("2026-05-04T23:30:00", "Z", 'S'), .filler_id = SPAN("F-9001")},
    .specimen = {.id = SPAN(" GX-2026-0042 "), .collected_at = TS("2026-05-04", "", 'D'), .received_at = TS("2026-05-05T01:00:00", "+02:00", 'S')},
};

static struct config *load(const char *rules)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "store \"s.db\"\nlisten files \"lab\" { inbox \"a\" }\nwrite godata \"g\" { url \"https://g.example/api\" login \"a\" outbreak \"T\" }\n%s", rules) > 0);
    assert_int_equal(fclose(f), 0);
    struct diag *d = diag_new();
    struct config *c = config_load(path, &test_modules, d);
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format(d, &b);
    if (!c)
        fail_msg("%s", b.p);
    buf_clear(&b);
    diag_free(d);
    return c;
}

static struct rule_result run(const char *rules, struct record *r)
{
    struct rule_result out;
    struct err e = ERR_INIT;
    struct config *c = load(rules);
    arena_reset(arena);
    assert_int_equal(rule_run(c->rules, r, &r->observations[0], arena, &out, NULL, &e), 0);
    out.detail = arena_dup(arena, out.detail);
    config_free(c);
    return out;
}

static char truth(const char *condition)
{
    char rules[1000];
    (void)snprintf(rules, sizeof rules, "route \"y\" { when %s\n drop \"y\" }\nroute \"n\" { when not (%s)\n drop \"n\" }\nroute \"z\" { hold \"?\" }\n", condition, condition);
    struct rule_result out = run(rules, &record);
    return out.action == RULE_DROP || span_is(out.detail, "?") ? out.detail.p[0] : '!';
}

static void test_conditions(void **state)
{
    static const struct { const char *condition; char is; } rows[] = {
        /* dates */
        {"specimen.collected_at = 2026-05-04", 'y'}, {"specimen.collected_at + 2d = 2026-05-06", 'y'}, {"specimen.collected_at - 1w = 2026-04-27", 'y'},
        {"specimen.collected_at + 1mo = 2026-06-04", 'y'}, {"2026-01-31 + 1mo = 2026-02-28", 'y'}, {"2024-01-31 + 1mo = 2024-02-29", 'y'}, {"2024-02-29 + 1y = 2025-02-28", 'y'},
        {"2026-12-31 + 1d = 2027-01-01", 'y'}, {"2026-03-01 - 1d = 2026-02-28", 'y'}, {"observation.analysed_at > specimen.collected_at + 2d", 'n'},
        {"observation.analysed_at > specimen.collected_at + 1d", 'y'}, {"observation.analysed_at > specimen.collected_at + 36h", '?'},
        {"observation.analysed_at + 90m = 2026-05-06T12:00", 'y'}, {"observation.analysed_at + 14h >= 2026-05-07", 'y'}, {"observation.observed_at + 2d > 2026-01-01", 'n'},
        {"report.issued_at > specimen.received_at", 'y'},       /* 23:30Z is after 01:00+02:00 = 23:00Z, although the day reads earlier */
        {"9999-12-31 + 1d = 2026-01-01", '?'}, {"0001-01-01 - 2y = 2026-01-01", '?'},
        /* ages */
        {"age(patient.birth_date, specimen.collected_at) < 5y", 'n'}, {"age(patient.birth_date, specimen.collected_at) >= 5y", 'y'},
        {"age(patient.birth_date, specimen.collected_at - 1d) < 5y", 'y'}, {"age(patient.birth_date, specimen.collected_at) > 60mo", 'n'},
        {"age(patient.birth_date, specimen.collected_at) <= 5y", 'y'}, {"age(specimen.collected_at, observation.analysed_at) < 12h", '?'},
        {"age(specimen.received_at, observation.analysed_at) < 34h", 'y'}, {"age(specimen.received_at, observation.analysed_at) >= 33h", 'y'},
        {"age(observation.observed_at, specimen.collected_at) < 5y", 'n'},
        {"years(patient.birth_date, specimen.collected_at) = 5", 'y'}, {"years(patient.birth_date, 2026-05-03) = 4", 'y'}, {"days(specimen.collected_at, observation.analysed_at) = 2", 'y'},
        {"days(observation.analysed_at, specimen.collected_at) = -2", 'y'},
        /* units: a power of ten and nothing else */
        {"observation.value > 50 \"mg/dL\"", 'y'}, {"observation.value > 70 \"mg/dL\"", 'n'}, {"observation.value >= 70 \"mg/dL\"", 'y'}, {"observation.value = 7E1 \"mg/dL\"", 'y'},
        {"observation.value = 0.0007 \"kg/L\"", 'y'}, {"observation.value > 1 \"mmol/L\"", '?'}, {"observation.value > 1 \"\"", '?'}, {"observation.value = 0.7 \"g/L\"", 'y'},
        /* functions */
        {"trim(specimen.id) = \"GX-2026-0042\"", 'y'}, {"upper(lower(\"Été\")) = \"ÉTÉ\"", 'y'}, {"concat(\"a\", 1, report.filler_id) = \"a1F-9001\"", 'y'},
        {"substr(trim(specimen.id), 4, 4) = \"2026\"", 'y'}, {"substr(\"é1\", 2) = \"1\"", 'y'}, {"substr(\"a\", 0) = \"a\"", 'n'}, {"count(observation.interpretation) = 2", 'y'},
        {"first(observation.interpretation) = \"POS\"", 'y'}, {"code(observation.code) = \"94500-6\"", 'y'}, {"display(observation.code) = \"SARS RNA\"", 'y'}, {"length(\"été\") = 3", 'y'},
        {"replace(\"a-b-c\", \"-\", \"\") = \"abc\"", 'y'}, {"replace(\"aaa\", \"a\", \"aa\") = \"aaaaaa\"", 'y'}, {"replace(report.lab.id, \"a\", \"b\") = \"\"", 'n'},
        {"split(\"a/b/c\", \"/\", 3) = \"c\"", 'y'}, {"split(\"a/b\", \"/\", 3) = \"c\"", 'n'}, {"split(\"ab\", \"/\", 1) = \"ab\"", 'y'},
        {"starts(trim(specimen.id), \"GX-\")", 'y'}, {"starts(report.lab.id, \"GX-\")", 'n'}, {"ends(report.filler_id, \"9001\")", 'y'}, {"contains(report.filler_id, \"-9\")", 'y'},
        {"contains(report.filler_id, \"x\")", 'n'}, {"pad(\"42\", 5, \"0\") = \"00042\"", 'y'}, {"pad(\"123456\", 5, \"0\") = \"123456\"", 'y'}, {"pad(report.lab.id, 5, \"0\") = \"00000\"", 'n'},
        {"group(specimen.id ~ /GX-(\\d+)-(\\d+)/, 2) = \"0042\"", 'y'}, {"group(specimen.id ~ /gx-(\\d+)/i, 1) = \"2026\"", 'y'}, {"group(specimen.id ~ /AB-(\\d+)/, 1) = \"2026\"", 'n'},
        {"either(report.lab.id, report.filler_id) = \"F-9001\"", 'y'}, {"number(\"24.50\") = 24.5", 'y'}, {"number(\"24,5\") > 1", 'n'}, {"number(\" 7 \") = 7", 'y'},
        {"date(\"04/05/2026\", \"DD/MM/YYYY\") = 2026-05-04", 'y'}, {"date(\"31/02/2026\", \"DD/MM/YYYY\") = 2026-02-28", 'n'}, {"date(\"2026-5-4\", \"YYYY-MM-DD\") = 2026-05-04", 'n'},
        {"date(\"20260504 1430\", \"YYYYMMDD hhmm\") > 2026-05-04T14:00", 'y'}, {"format(specimen.collected_at, \"DD.MM.YYYY\") = \"04.05.2026\"", 'y'},
        {"format(specimen.collected_at, \"hh:mm\") = \"00:00\"", 'n'}, {"format(observation.analysed_at, \"hh:mm\") = \"10:30\"", 'y'},
        /* choices, and what is yes or no by itself */
        {"if observation.status = \"final\" then no else yes", 'n'}, {"any other observation where observation.status = this.status", 'y'},
        {"concat(if specimen.role = \"Q\" then \"a\" else \"b\", \"c\") = \"bc\"", 'y'}, {"not starts(\"a\", \"b\")", 'y'},
        /* the others */
        {"any observation where observation.status = \"preliminary\"", 'y'}, {"any other observation where observation.interpretation = \"POS\"", 'n'},
        {"every observation where observation.status = \"final\"", 'n'}, {"every other observation where observation.code in (\"94309-2\", \"CT\")", 'y'},
        {"any other observation where observation.status = concat(this.status)", 'y'},
        {"count observation where (observation.status = \"final\") = 2", 'y'}, {"count other observation where (number(observation.value) > 20) = 2", 'y'},
        {"any observation where observation.value > 30", 'y'}, {"any observation where observation.value > 98", 'n'}, {"every observation where observation.value > 0 \"g/L\"", '?'},
        {"not any observation where observation.status = \"corrected\"", 'y'},
    };
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char is = truth(rows[i].condition);
        if (is != rows[i].is) {
            print_error("%s is %c, not %c\n", rows[i].condition, is, rows[i].is);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Each example of the table compiles and runs. */
static void test_examples(void **state)
{
    struct rule_function f;
    (void)state;
    for (size_t i = 0; rule_function_at(i, &f); i++)
        assert_true(truth(f.example) != '!');
}

static void test_caps(void **state)
{
    enum { MANY = 1000 };
    static struct rec_observation many[MANY];
    struct record big = record;
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        many[i] = observations[0];
    big.observations = many;
    big.n = MANY;
    struct rule_result out = run("route \"a\" { from \"lab\" when any observation where observation.status = \"corrected\"\n drop \"x\" }\nroute \"z\" { hold \"?\" }\n", &big);
    assert_true(span_is(out.detail, "?"));
    /* 1000 x 1000 looks: more steps than one observation may take */
    out = run("route \"a\" { from \"lab\"\n for each observation { if any other observation where observation.status = \"corrected\" { note \"x\" } }\n hold \"x\" }\nroute \"z\" { hold \"?\" }\n", &big);
    assert_string_equal(out.reason, "RULE_LIMIT");
    assert_int_equal(out.action, RULE_HOLD);
    /* a text that doubles again and again */
    char rules[4000] = "route \"a\" { from \"lab\" when length(";
    for (size_t i = 0; i < 25; i++)
        (void)snprintf(rules + strlen(rules), sizeof rules - strlen(rules), "replace(");
    (void)snprintf(rules + strlen(rules), sizeof rules - strlen(rules), "\"a\"");
    for (size_t i = 0; i < 25; i++)
        (void)snprintf(rules + strlen(rules), sizeof rules - strlen(rules), ", \"a\", \"aa\")");
    (void)snprintf(rules + strlen(rules), sizeof rules - strlen(rules), ") > 3\n drop \"x\" }\nroute \"z\" { hold \"?\" }\n");
    out = run(rules, &record);
    assert_string_equal(out.reason, "RULE_LIMIT");
    /* a pattern that runs away does not match, and soon */
    static char run_away[3000];
    memset(run_away, 'a', sizeof run_away - 1);
    record.report.lab.id = span_of(run_away);
    assert_int_equal(truth("report.lab.id ~ /^(a+)+b$/"), 'n');
    record.report.lab.id = SPAN_ABSENT;
}

static void test_fhir_paths(void **state)
{
    static const struct { const char *text; int at; } rows[] = {    /* at: -1 good, else the byte that is wrong */
        {"Patient.extension('http://x').valueString", -1}, {"Observation.component.where(code.coding.code = '1').valueQuantity.value", -1}, {"Specimen.collection.collectedDateTime", -1},
        {"ServiceRequest.identifier.where(system='a')[1].value", -1}, {"Patient.name[0].given.first()", -1}, {"Observation.valueCodeableConcept.coding[12].code", -1},
        {"Patient", 7}, {"Pateint.name", 0}, {"Patient.nmae", 8}, {"Patient..name", 8}, {"Patient.name[", 13}, {"Patient.name[-1]", 13}, {"Patient.name.", 13}, {"Patient.name)", 12},
        {"Patient.extension(http)", 18}, {"Patient.extension('http", 23}, {"Patient.where(a='b')", 8}, {"Patient.name.where(use 'x')", 23}, {"Patient.name.exists()", 13},
        {"Patient.name.where(use='a').where(use='b')", 28}, {"Bundle.a.b.c.d.e.f.g.h.i.j.k.l.m", 31}, {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rec_fhir_path p;
        const char *why;
        size_t at = 0;
        bool is_good = rec_fhir_parse(span_of(rows[i].text), &p, &at, &why);
        if (is_good != (rows[i].at < 0) || (!is_good && (at != (size_t)rows[i].at || !why)))
            fail_msg("%s: %s at %zu, %s", rows[i].text, is_good ? "good" : "bad", at, why ? why : "");
    }
}

static int open_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    arena = arena_new(64u << 20);
    return fd >= 0 ? close(fd) : -1;
}

static int close_file(void **state)
{
    (void)state;
    arena_free(arena);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_examples), cmocka_unit_test(test_caps), cmocka_unit_test(test_fhir_paths),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
