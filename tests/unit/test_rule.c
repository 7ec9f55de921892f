/*
 * NAME test_rule - records through compiled rules: what is sent, held, dropped, and why. [item N]: STANDARDS section 10.
 * The tables are conf/tables/ of the source tree; each test states its own routes. People and numbers are invented.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena.h"
#include "delivery.h"
#include "fsutil.h"
#include "rule.h"
#include "test_conf_modules.h"

#define SCT "http://snomed.info/sct"
#define LN "http://loinc.org"
#define SEND "route \"r\" { when observation.code in tests  send lab to \"godata\" }\nroute \"rest\" { hold \"no route\" }\n"

static char dir[] = "/tmp/labrelay-rule-XXXXXX";
static struct arena *arena;

#define assert_span(s, text) do { struct span got_ = (s); if (!span_is(got_, text)) fail_msg("\"%.*s\", not \"%s\"", SPAN_ARG(got_), text); } while (0)

/* ---- configurations ---- */
static char *in_dir(const char *name)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void save(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static struct config *load_rules(const char *rules)
{
    static char text[20000], root[PATH_MAX];
    const char *src = getenv("srcdir");
    assert_non_null(realpath(src ? src : ".", root));
    (void)snprintf(text, sizeof text,
                   "store \"s.db\"\n"
                   "table tests csv \"%s/conf/tables/tests.csv\" key system code value test_type tested_for\n"
                   "table results csv \"%s/conf/tables/results.csv\" key system code value outcome\n"
                   "table results_text csv \"%s/conf/tables/results_text.csv\" key text value outcome\n"
                   "table specimens csv \"%s/conf/tables/specimens.csv\" key system code value sample_type\n"
                   "listen files \"lab01\" { inbox \"a\" }\nlisten files \"lab02\" { inbox \"b\" }\n"
                   "write godata \"godata\" { url \"https://g.example/api\" login \"a@example.org\" outbreak \"T\" }\n%s",
                   root, root, root, root, rules);
    save("t.conf", text);
    struct diag *d = diag_new();
    struct config *c = config_load(in_dir("t.conf"), &test_modules, d);
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format(d, &b);
    if (!c)
        fail_msg("%s", b.p);
    buf_clear(&b);
    diag_free(d);
    return c;
}

/* ---- records ---- */
#define OBS_MAX 4
struct rig {
    struct rec_message m;
    struct record r;
    struct rec_observation obs[OBS_MAX];
    struct rec_coding code[OBS_MAX], value[OBS_MAX], type;
    struct span flag[OBS_MAX], note[OBS_MAX];
    struct rec_id device[OBS_MAX], id;
};

static void add_obs(struct rig *g, const char *loinc, const char *name, const char *result)
{
    size_t i = g->r.n++;
    struct rec_observation *o = &g->obs[i];
    g->code[i] = (struct rec_coding){.system = SPAN_LIT(LN), .code = span_of(loinc), .display = span_of(name)};
    *o = (struct rec_observation){.status = OBS_ST_FINAL, .role = OBS_RESULT, .parts = 1, .code = {&g->code[i], 1, {0}}};
    if (result)
        o->value = (struct rec_value){.type = REC_V_TEXT, .text = span_of(result)};
}

/* The shape of the golden message: one coded PCR positive with a flag, a range, a note and a device. */
static void rig_init(struct rig *g)
{
    memset(g, 0, sizeof *g);
    g->m.channel = SPAN_LIT("lab01");
    g->r.message = &g->m;
    g->r.observations = g->obs;
    g->id = (struct rec_id){.value = SPAN_LIT("CASE-0042"), .authority = SPAN_LIT("GODATA"), .type = SPAN_LIT("PI")};
    g->r.patient.ids = (struct rec_ids){&g->id, 1};
    g->r.patient.sex = SPAN_LIT("F");
    g->r.patient.is_present = true;
    g->r.report.filler_id = SPAN_LIT("F-9001");
    g->r.report.placer_id = SPAN_LIT("ORD-77");
    g->r.report.status = SPAN_LIT("final");
    g->r.report.issued_at = (struct rec_ts){SPAN_LIT("2026-05-04T14:20:00"), SPAN_LIT("+02:00"), 'S'};
    g->r.report.lab = (struct rec_lab){.name = SPAN_LIT("Lab Goma"), .id = SPAN_LIT("LAB01")};
    g->r.specimen.id = SPAN_LIT("S-2026-0001");
    g->r.specimen.role = SPAN_LIT("P");
    g->r.specimen.collected_at = (struct rec_ts){SPAN_LIT("2026-05-04T00:15:00"), SPAN_LIT("+02:00"), 'S'};
    g->r.specimen.received_at = (struct rec_ts){SPAN_LIT("2026-05-04T09:30:00"), SPAN_LIT("+02:00"), 'S'};
    g->type = (struct rec_coding){.code = SPAN_LIT("119297000"), .system = SPAN_LIT(SCT), .display = SPAN_LIT("Blood specimen")};
    g->r.specimen.type = (struct rec_codes){&g->type, 1, {0}};
    add_obs(g, "41636-2", "Ebola virus RNA", NULL);
    g->value[0] = (struct rec_coding){.code = SPAN_LIT("260373001"), .system = SPAN_LIT(SCT), .display = SPAN_LIT("Detected")};
    g->obs[0].value = (struct rec_value){.type = REC_V_CODED, .codings = {&g->value[0], 1, {0}}, .text = SPAN_LIT("Detected")};
    g->flag[0] = SPAN_LIT("POS");
    g->obs[0].interpretation = (struct rec_list){&g->flag[0], 1};
    g->obs[0].range = SPAN_LIT("Not detected");
    g->note[0] = SPAN_LIT("Ct value 24.1");
    g->obs[0].notes = (struct rec_list){&g->note[0], 1};
    g->device[0] = (struct rec_id){.value = SPAN_LIT("GX-12")};
    g->obs[0].device = (struct rec_ids){&g->device[0], 1};
    g->obs[0].analysed_at = (struct rec_ts){SPAN_LIT("2026-05-04T14:05:00"), SPAN_LIT("+02:00"), 'S'};
}

static struct rule_result run_obs(const struct config *c, struct rig *g, size_t i)
{
    struct rule_result out;
    struct err e = ERR_INIT;
    arena_reset(arena);
    assert_int_equal(rule_run(c->rules, &g->r, &g->obs[i], arena, &out, NULL, &e), 0);
    return out;
}

static void expect(const struct rule_result *r, enum rule_action action, const char *reason)
{
    if (r->action != action || (reason == NULL) != (r->reason == NULL) || (reason && strcmp(reason, r->reason) != 0))
        fail_msg("action %d %s (%.*s), not %d %s", (int)r->action, r->reason ? r->reason : "-", SPAN_ARG(r->detail), (int)action, reason ? reason : "-");
}

/* One rule text, one record: the fate of its first observation. */
static void one(const char *rules, struct rig *g, enum rule_action action, const char *reason)
{
    struct config *c = load_rules(rules);
    struct rule_result r = run_obs(c, g, 0);
    expect(&r, action, reason);
    config_free(c);
}

/* Does the condition hold for the record? */
static void when(struct rig *g, const char *condition, bool is_true)
{
    char rules[1000];
    (void)snprintf(rules, sizeof rules, "route \"r\" { when %s\n hold \"taken\" }\nroute \"rest\" { drop \"not taken\" }\n", condition);
    struct config *c = load_rules(rules);
    struct rule_result r = run_obs(c, g, 0);
    if ((r.action == RULE_HOLD) != is_true)
        fail_msg("%s: %s", condition, is_true ? "should hold" : "should not hold");
    config_free(c);
}

/* ---- the lab result ---- */
static void test_golden_fields(void **state) /* [item 140] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    save("labs.csv", "id,lab_name\nLAB01,LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_LAB_GOMA\n");
    struct config *c = load_rules("table labs csv \"labs.csv\" key id value lab_name\n"
                                  "route \"r\" { from \"lab01\"  when observation.code in tests  require specimen.id  send lab to \"godata\" }\nroute \"rest\" { hold \"no route\" }\n");
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_string_equal(r.writer, "godata");
    assert_string_equal(r.route, "r");
    assert_span(r.lab.sample_identifier, "S-2026-0001");
    assert_span(r.lab.date_sample_taken, "2026-05-04T00:00:00.000Z");      /* the sender's day, not the UTC day before */
    assert_span(r.lab.date_sample_delivered, "2026-05-04T00:00:00.000Z");
    assert_span(r.lab.date_testing, "2026-05-04T00:00:00.000Z");
    assert_span(r.lab.date_of_result, "2026-05-04T00:00:00.000Z");
    assert_span(r.lab.lab_name, "LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_LAB_GOMA");
    assert_span(r.lab.sample_type, "BLOOD");
    assert_span(r.lab.test_type, "RT_PCR");
    assert_span(r.lab.tested_for, "Ebola virus");
    assert_span(r.lab.result, "POSITIVE");
    assert_true(span_is_absent(r.lab.quantitative_result));
    assert_span(r.lab.status, "COMPLETED");
    assert_span(r.lab.notes, "Ebola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected\nCt value 24.1\nFiller F-9001; placer ORD-77; device GX-12");
    assert_span(r.outcome.rule, "snomed:260373001");
    assert_span(r.outcome.crosscheck, "interp:POS");
    assert_false(r.is_withdrawal);
    config_free(c);
}

static void test_unmapped_parts(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.type.code = SPAN_LIT("999");
    g.type.display = SPAN_LIT("Ear swab");
    g.r.specimen.collected_at = (struct rec_ts){SPAN_LIT("2026-05"), SPAN_ABSENT, 'M'};
    g.r.specimen.received_at = (struct rec_ts){0};
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.sample_type, "OTHER_SPECIFY_IN_NOTES_FIELD");
    assert_true(span_is_absent(r.lab.date_sample_taken) && span_is_absent(r.lab.date_sample_delivered) && span_is_absent(r.lab.lab_name));
    assert_span(r.lab.notes, "Ebola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected\nSample taken: 2026-05\nSample type: Ear swab (SCT 999)\n"
                             "Laboratory Lab Goma (LAB01)\nCt value 24.1\nFiller F-9001; placer ORD-77; device GX-12");
    g.r.specimen.type = (struct rec_codes){0};
    r = run_obs(c, &g, 0);
    assert_true(span_is_absent(r.lab.sample_type));
    config_free(c);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct { enum obs_status s; enum rule_action action; const char *reason, *status, *result; } rows[] = {
        {OBS_ST_FINAL, RULE_SEND_LAB, NULL, "COMPLETED", "POSITIVE"}, {OBS_ST_CORRECTED, RULE_SEND_LAB, NULL, "COMPLETED", "POSITIVE"}, {OBS_ST_AMENDED, RULE_SEND_LAB, NULL, "COMPLETED", "POSITIVE"},
        {OBS_ST_PRELIMINARY, RULE_SEND_LAB, NULL, "IN_PROGRESS", "POSITIVE"}, {OBS_ST_UNVERIFIED, RULE_SEND_LAB, NULL, "IN_PROGRESS", ""}, {OBS_ST_REGISTERED, RULE_SEND_LAB, NULL, "IN_PROGRESS", ""},
        {OBS_ST_CANCELLED, RULE_SEND_LAB, NULL, "IN_PROGRESS", ""}, {OBS_ST_DELETED, RULE_SEND_LAB, NULL, "IN_PROGRESS", ""}, {OBS_ST_WITHDRAWN, RULE_SEND_LAB, NULL, "IN_PROGRESS", ""},
        {OBS_ST_ORDER_ONLY, RULE_DROP, "STATUS_O", "", ""}, {OBS_ST_NOT_ASKED, RULE_DROP, "STATUS_N", "", ""}, {OBS_ST_UNKNOWN, RULE_HOLD, "STATUS_UNKNOWN", "", ""},
    };
    struct rig g;
    rig_init(&g);
    struct config *c = load_rules(SEND);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        g.obs[0].status = rows[i].s;
        struct rule_result r = run_obs(c, &g, 0);
        expect(&r, rows[i].action, rows[i].reason);
        assert_span(r.lab.status, rows[i].status);
        assert_span(r.lab.result, rows[i].result);
        assert_int_equal(r.is_withdrawal, rows[i].s == OBS_ST_DELETED || rows[i].s == OBS_ST_WITHDRAWN);
    }
    g.obs[0].status = OBS_ST_UNVERIFIED;
    struct rule_result r = run_obs(c, &g, 0);
    assert_true(span_starts(r.lab.notes, "Ebola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected\nNot verified by the laboratory"));
    config_free(c);
    g.obs[0].status = OBS_ST_PRELIMINARY;
    one("preliminary hold\n" SEND, &g, RULE_HOLD, "PENDING");
}

/* ---- gates ---- */
static void test_gates(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    static const struct { const char *role, *reason; enum rule_action action; } roles[] = {{"G", "POOLED", RULE_HOLD}, {"L", "POOLED", RULE_HOLD}};
    for (size_t i = 0; i < 2; i++) {
        g.r.specimen.role = span_of(roles[i].role);
        one(SEND, &g, roles[i].action, roles[i].reason);
    }
    rig_init(&g);
    g.r.specimen.is_control = true;
    one(SEND, &g, RULE_DROP, "QC");
    rig_init(&g);
    g.r.specimen.is_ambiguous = true;
    one(SEND, &g, RULE_HOLD, "AMBIGUOUS_SPECIMEN");
    rig_init(&g);
    g.r.report.status = SPAN_LIT("cancelled"); /* [item 87] */
    one(SEND, &g, RULE_HOLD, "STATUS_CONFLICT");
    rig_init(&g);
    g.r.report.control = SPAN_LIT("PR");
    one(SEND, &g, RULE_DROP, "HISTORY");
    static const struct { const char *warning, *reason; } warned[] = {{"W_NONPRODUCTION MSH[1]-11", "NONPRODUCTION"}, {"W_REPLAY MSH[1]-11", "REPLAY"},
                                                                      {"W_INCOMPLETE_CONTINUATION DSC[1]", "INCOMPLETE_CONTINUATION"}, {"W_REPLAY", "REPLAY"},
                                                                      {"W_REPLAYED MSH[1]-11", NULL}, {"REPLAY", NULL}};
    for (size_t i = 0; i < sizeof warned / sizeof warned[0]; i++) { /* [item 51] a test or replayed message is never sent */
        struct span list[2] = {SPAN_LIT("W_BAD_DATE PID[1]-7"), span_of(warned[i].warning)};
        rig_init(&g);
        g.r.warnings = (struct rec_list){list, 2};
        one(SEND, &g, warned[i].reason ? RULE_HOLD : RULE_SEND_LAB, warned[i].reason);
        if (warned[i].reason)
            assert_true(reason_text(warned[i].reason)[0] != '\0');
        g.r.specimen.is_control = true; /* what is no result stays none */
        one(SEND, &g, RULE_DROP, "QC");
    }
    rig_init(&g);
    g.obs[0].role = OBS_QUESTION;
    one(SEND, &g, RULE_DROP, "NOT_A_RESULT");
    rig_init(&g);
    g.r.specimen.is_rejected = true; /* [item 113] */
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.result, "");
    assert_span(r.lab.status, "IN_PROGRESS");
    config_free(c);
    rig_init(&g);
    g.obs[0].interpretation.n = 0;
    g.value[0].code = SPAN_LIT("455371000124106");
    c = load_rules(SEND);
    r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.result, "");
    assert_span(r.lab.status, "IN_PROGRESS");
    config_free(c);
}

static void test_outcome_holds(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.flag[0] = SPAN_LIT("NEG"); /* [item 110] */
    one(SEND, &g, RULE_HOLD, "VALUE_CONFLICT");
    rig_init(&g);
    g.obs[0].interpretation.n = 0;
    g.value[0].code = SPAN_LIT("4711");
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "UNMAPPED_VALUE");
    assert_span(r.table_key, "results|" SCT "|4711");
    g.obs[0].value = (struct rec_value){0}; /* [item 114] the range says Not detected, the value is empty */
    r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "NO_RESULT"); /* [item 134] */
    assert_span(r.lab.result, "");
    config_free(c);
}

static void test_unmapped_test(void **state) /* [item 116] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.code[0].code = SPAN_LIT("41636-3");       /* a wrong check digit is just a code that no row has */
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "UNMAPPED_TEST");
    assert_span(r.table_key, "tests|" LN "|41636-3");
    assert_string_equal(r.route, "rest");
    config_free(c);
    c = load_rules("route \"all\" { send lab to \"godata\" }\n");
    r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "UNMAPPED_TEST");
    assert_span(r.table_key, "tests|" LN "|41636-3");
    config_free(c);
}

/* ---- cautions ---- */
static void test_vaccine_strain(void **state) /* [item 115] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.r.n = 0;
    add_obs(&g, "88875-0", "Measles vaccine strain", "Detected");
    one(SEND, &g, RULE_HOLD, "VACCINE_STRAIN");
    g.obs[0].value.text = SPAN_LIT("Not detected");     /* says nothing about measles either */
    one(SEND, &g, RULE_HOLD, "VACCINE_STRAIN");
    g.obs[0].value.text = SPAN_LIT("Detected");
    add_obs(&g, "48508-6", "Measles virus RNA", "Detected");
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 1);
    expect(&r, RULE_HOLD, "VACCINE_STRAIN");            /* that positive may be the vaccine */
    config_free(c);
}

static void test_single_targets(void **state) /* [item 117] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.r.n = 0;
    add_obs(&g, "94758-0", "E gene", "Positive");
    add_obs(&g, "94534-5", "RdRp gene", "Negative");
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "SINGLE_TARGET");
    r = run_obs(c, &g, 1);
    expect(&r, RULE_HOLD, "SINGLE_TARGET");
    add_obs(&g, "94500-6", "SARS-CoV-2 RNA", "Positive");
    r = run_obs(c, &g, 2);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.result, "POSITIVE");
    assert_true(span_starts(r.lab.notes, "SARS-CoV-2 RNA (LN 94500-6) = Positive\nE gene (LN 94758-0) = Positive\nRdRp gene (LN 94534-5) = Negative\n"));
    r = run_obs(c, &g, 0);
    expect(&r, RULE_DROP, "PART_OF_OVERALL");
    r = run_obs(c, &g, 1);
    expect(&r, RULE_DROP, "PART_OF_OVERALL");
    g.r.n = 2;
    g.obs[1].value.text = SPAN_LIT("POSITIVE");
    r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);                    /* all agree: the first carries it */
    r = run_obs(c, &g, 1);
    expect(&r, RULE_DROP, "PART_OF_OVERALL");
    g.r.n = 1;
    r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);                    /* alone */
    g.r.n = 2;
    g.obs[1].status = OBS_ST_NOT_ASKED;
    r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    config_free(c);
}

static void test_not_diagnostic(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.code[0].code = SPAN_LIT("96603-6");
    one(SEND, &g, RULE_DROP, "NOT_DIAGNOSTIC");
    one("route \"r\" { when observation.code in tests  allow immunity  send lab to \"godata\" }\nroute \"rest\" { hold \"x\" }\n", &g, RULE_SEND_LAB, NULL);
    one("route \"r\" { when observation.code in tests  allow avidity  send lab to \"godata\" }\nroute \"rest\" { hold \"x\" }\n", &g, RULE_DROP, "NOT_DIAGNOSTIC");
    g.code[0].code = SPAN_LIT("94507-1");
    struct config *c = load_rules(SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_non_null(strstr(r.lab.notes.p, "\nIgG only: "));
    config_free(c);
}

/* ---- numbers ---- */
#define VIRAL "result-of \"http://loinc.org|94500-6\" {\n positive if value >= 40 \"copies/mL\"\n negative if value < 40 \"copies/mL\"\n interpretation A positive\n boolean presence }\n"

static void number(struct rig *g, const char *comparator, const char *n, const char *unit)
{
    g->obs[0].value = (struct rec_value){.type = REC_V_STRUCTURED, .comparator = span_of(comparator), .num1 = span_of(n), .text = arena_printf(arena, "%s%s", comparator ? comparator : "", n)};
    g->obs[0].unit = (struct rec_coding){.code = span_of(unit)};
}

static void test_result_of(void **state)
{
    (void)state;
    static const struct { const char *comparator, *n, *unit; enum rule_action action; const char *result, *quant; } rows[] = {
        {NULL, "40", "copies/mL", RULE_SEND_LAB, "POSITIVE", "40 copies/mL"}, {NULL, "39.999", "copies/mL", RULE_SEND_LAB, "NEGATIVE", "39.999 copies/mL"},
        {NULL, "007.50", "copies/mL", RULE_SEND_LAB, "NEGATIVE", "007.50 copies/mL"}, {">", "100", "copies/mL", RULE_SEND_LAB, "POSITIVE", ">100 copies/mL"},
        {">=", "40", "copies/mL", RULE_SEND_LAB, "POSITIVE", ">=40 copies/mL"}, {"<", "40", "copies/mL", RULE_SEND_LAB, "NEGATIVE", "<40 copies/mL"},
        {"<", "100", "copies/mL", RULE_HOLD, "", ""}, /* [item 112] */ {"<=", "40", "copies/mL", RULE_HOLD, "", ""}, {">", "10", "copies/mL", RULE_HOLD, "", ""},
        {NULL, "100", "IU/mL", RULE_HOLD, "", ""}, {NULL, "100", NULL, RULE_HOLD, "", ""}, {NULL, "4E+01", "copies/mL", RULE_SEND_LAB, "POSITIVE", "4E+01 copies/mL"},
    };
    struct rig g;
    rig_init(&g);
    g.code[0].code = SPAN_LIT("94500-6");
    g.obs[0].interpretation.n = 0;
    struct config *c = load_rules(VIRAL SEND);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        arena_reset(arena);
        char n[40], text[40];
        (void)snprintf(n, sizeof n, "%s", rows[i].n);
        number(&g, rows[i].comparator, n, rows[i].unit);
        (void)snprintf(text, sizeof text, "%.*s", SPAN_ARG(g.obs[0].value.text));
        g.obs[0].value.text = span_of(text);
        struct rule_result r = run_obs(c, &g, 0);
        expect(&r, rows[i].action, rows[i].action == RULE_HOLD ? "NO_RESULT" : NULL);
        assert_span(r.lab.result, rows[i].result);
        assert_span(r.lab.quantitative_result, rows[i].quant);
    }
    g.obs[0].value = (struct rec_value){.type = REC_V_BOOLEAN, .text = SPAN_LIT("false")};
    struct rule_result r = run_obs(c, &g, 0);
    assert_span(r.lab.result, "NEGATIVE");
    g.obs[0].value = (struct rec_value){0};
    g.flag[0] = SPAN_LIT("A"); /* [item 111] only because the test's rule says so */
    g.obs[0].interpretation = (struct rec_list){&g.flag[0], 1};
    r = run_obs(c, &g, 0);
    assert_span(r.lab.result, "POSITIVE");
    g.code[0].code = SPAN_LIT("94309-2");
    r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "NO_RESULT");
    config_free(c);
}

static void test_number_without_rule(void **state) /* [item 134] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.obs[0].interpretation.n = 0;
    g.obs[0].value = (struct rec_value){.type = REC_V_NUMBER, .num1 = SPAN_LIT("24.1"), .text = SPAN_LIT("24.1")};
    one(SEND, &g, RULE_HOLD, "NO_RESULT");
    struct config *c = load_rules("quant-without-result in-progress\n" SEND);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.status, "IN_PROGRESS");
    assert_span(r.lab.result, "");
    assert_span(r.lab.quantitative_result, "24.1");
    config_free(c);
}

/* ---- routes ---- */
static void test_order_of_routes(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    const char *rules = "route \"a\" { from \"lab02\"  drop \"other lab\" }\nroute \"b\" { from \"lab01\" \"lab02\"  when patient.sex = \"F\"  when exists patient.ids  hold \"look\" }\n"
                        "route \"c\" { drop \"rest\" }\n";
    struct config *c = load_rules(rules);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "RULE");
    assert_string_equal(r.route, "b");
    assert_span(r.detail, "look");
    g.r.patient.sex = SPAN_LIT("M");
    r = run_obs(c, &g, 0);
    expect(&r, RULE_DROP, "RULE");
    assert_string_equal(r.route, "c");
    g.m.channel = SPAN_LIT("lab02");
    r = run_obs(c, &g, 0);
    assert_string_equal(r.route, "a");
    config_free(c);
    one("route \"x\" { hold \"no route\" }\n", &g, RULE_HOLD, "NO_ROUTE");
}

#define ALL "route \"rest\" { hold \"x\" }\n"

static void test_require_set_lookup(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    save("names.csv", "id,lab_name,extra\nLAB01,GOMA,1\n");
    const char *rules = "table names csv \"names.csv\" key id value lab_name\n"
                        "route \"r\" { when observation.code in tests\n require specimen.id, patient.ids\n lookup report.lab.id in names -> lab.lab_name\n"
                        " set lab.tested_for = concat(upper(display(observation.code)), \" / \", substr(specimen.id, 1, 1))\n set lab.date_testing = 2026-06-01\n"
                        " set lab.date_of_result = specimen.received_at\n set lab.sample_identifier = specimen.placer_id\n send lab to \"godata\" }\n" ALL;
    struct config *c = load_rules(rules);
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.lab_name, "GOMA");
    assert_span(r.lab.tested_for, "EBOLA VIRUS RNA / S");
    assert_span(r.lab.date_testing, "2026-06-01T00:00:00.000Z");
    assert_span(r.lab.date_of_result, "2026-05-04T00:00:00.000Z");
    assert_span(r.lab.sample_identifier, "S-2026-0001");        /* the placer's is absent: a mapping never replaces a value by nothing */
    g.r.report.lab.id = SPAN_LIT("LAB99");
    r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "UNMAPPED_CODE");
    assert_span(r.table_key, "names||LAB99");
    g.r.patient.ids.n = 0;
    r = run_obs(c, &g, 0);
    expect(&r, RULE_HOLD, "REQUIRED_FIELD");
    assert_span(r.detail, "patient.ids");
    config_free(c);
    rig_init(&g);
    g.r.report.lab.id = SPAN_LIT("LAB99");
    c = load_rules("table names csv \"names.csv\" key id value lab_name\nroute \"r\" { when observation.code in tests  lookup report.lab.id in names -> lab.lab_name default \"OTHER\"  send lab to \"godata\" }\n" ALL);
    r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.lab_name, "OTHER");
    config_free(c);
}

static void test_local_codes(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    save("local.csv", "system,code,test_type,tested_for\nlocal:lab01,EBO,PCR,Channel row\nlocal:99GX,EBO,PCR,Name row\nlocal:99GX,ZAI,PCR,Name row\nhttp://loinc.org,41636-2,RT_PCR,LOINC row\n");
    char rules[] = "route \"r\" { when observation.code in mine  lookup observation.code in mine -> lab.tested_for  send lab to \"godata\" }\n" ALL;
    char text[2000];
    (void)snprintf(text, sizeof text, "table mine csv \"local.csv\" key system code value test_type tested_for\n%s", rules);
    struct config *c = load_rules(text);
    struct rec_coding codes[2] = {{.system = SPAN_LIT("local:99GX"), .code = SPAN_LIT("EBO")}, {.system = SPAN_LIT(LN), .code = SPAN_LIT("41636-2")}};
    g.obs[0].code = (struct rec_codes){codes, 2, {0}};
    struct rule_result r = run_obs(c, &g, 0);
    assert_span(r.lab.tested_for, "LOINC row");                 /* LOINC first, wherever it stands */
    config_free(c);
    when(&g, "observation.code = \"EBO\"", true);
    when(&g, "observation.code = \"local:99GX|EBO\"", true);
    when(&g, "observation.code = \"http://loinc.org|EBO\"", false);
    static const struct { const char *channel, *system, *code; bool is_in; } rows[] = {
        {"lab01", "local:ANY", "EBO", true}, {"lab01", "local", "EBO", true}, {"lab02", "local:ANY", "EBO", false}, {"lab02", "local:99GX", "EBO", true}, {"lab02", "local", "EBO", false},
        {"lab01", "local:99GX", "ZAI", true}, {"lab01", LN, "EBO", false}, {"lab01", "", "EBO", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        codes[0] = (struct rec_coding){.system = span_of(rows[i].system), .code = span_of(rows[i].code)};
        g.obs[0].code.n = 1;
        g.m.channel = span_of(rows[i].channel);
        (void)snprintf(text, sizeof text, "table mine csv \"local.csv\" key system code\nroute \"r\" { when observation.code in mine  hold \"in\" }\nroute \"z\" { drop \"out\" }\n");
        c = load_rules(text);
        r = run_obs(c, &g, 0);
        if ((r.action == RULE_HOLD) != rows[i].is_in)
            fail_msg("%s %s|%s", rows[i].channel, rows[i].system, rows[i].code);
        config_free(c);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    static const struct { const char *text; bool is_true; } rows[] = {
        {"patient.sex = \"F\"", true}, {"patient.sex != \"F\"", false}, {"patient.sex in (\"M\", \"F\")", true}, {"not patient.sex in (\"M\", \"F\")", false},
        {"patient.family_name = \"X\"", false}, {"patient.family_name != \"X\"", true}, {"exists patient.family_name", false}, {"not exists patient.family_name", true},
        {"patient.ids = \"CASE-0042\"", true}, {"patient.ids ~ /^CASE-[0-9]{4}$/", true}, {"patient.ids ~ /^case-/", false}, {"patient.ids ~ /^case-/i", true}, {"specimen.id ~ /2026/", true},
        {"specimen.collected_at = 2026-05-04", true}, {"specimen.collected_at > 2026-05-04", false}, {"specimen.collected_at >= 2026-05-04", true}, {"specimen.collected_at < 2026-05-05", true},
        {"specimen.collected_at <= report.issued_at", true}, {"patient.birth_date > 1900-01-01", false}, {"patient.birth_date <= 1900-01-01", false},
        {"observation.status = \"final\"", true}, {"observation.status in (\"preliminary\", \"final\")", true}, {"specimen.rejected", false}, {"specimen.rejected = no", true}, {"patient.present", true},
        {"observation.value = \"260373001\"", true}, {"observation.value = \"Detected\"", true}, {"observation.value = \"" SCT "|260373001\"", true}, {"observation.value = \"detect\"", false},
        {"observation.value in results", true}, {"specimen.type in specimens", true}, {"observation.value in tests", false},
        {"lower(patient.sex) = \"f\" and length(specimen.id) = 11", true}, {"length(specimen.id) > 11 or patient.sex = \"F\"", true}, {"(length(specimen.id) > 11 or patient.sex = \"M\") and exists specimen.id", false},
        {"substr(specimen.id, 3, 4) = \"2026\"", true}, {"substr(specimen.id, 8) = \"0001\"", true}, {"trim(concat(\"  \", patient.sex, \" \")) = \"F\"", true}, {"first(patient.ids) = \"CASE-0042\"", true},
        {"code(observation.code) = \"41636-2\"", true}, {"display(observation.value) = \"Detected\"", true}, {"observation.interpretation = \"POS\"", true}, {"observation.interpretation != \"POS\"", false},
        {"upper(\"\xc3\xa9\") = \"\xc3\x89\"", true}, {"observation.code in tests and observation.value in results", true}, {"message.channel = \"lab01\"", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        when(&g, rows[i].text, rows[i].is_true);
}

/* What cannot be decided is no yes, and its opposite is none either. */
static void test_unknown(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.obs[0].value = (struct rec_value){.type = REC_V_STRUCTURED, .comparator = SPAN_LIT("<"), .num1 = SPAN_LIT("100"), .text = SPAN_LIT("<100")};
    g.obs[0].unit = (struct rec_coding){.code = SPAN_LIT("copies/mL")};
    when(&g, "observation.value >= 40", false);
    when(&g, "not observation.value >= 40", false);
    when(&g, "observation.value >= 40 or patient.sex = \"F\"", true);
    when(&g, "observation.value < 100", true);
    when(&g, "not observation.value >= 100", true);
    when(&g, "observation.value < 100 \"copies/mL\"", true);
    when(&g, "observation.value < 100 \"IU/mL\"", false);
    when(&g, "not observation.value < 100 \"IU/mL\"", false);
    g.r.specimen.collected_at = (struct rec_ts){SPAN_LIT("2026-05"), SPAN_ABSENT, 'M'};
    when(&g, "specimen.collected_at >= 2026-05-04", false);
    when(&g, "not specimen.collected_at >= 2026-05-04", false);
    when(&g, "specimen.collected_at < 2026-06-01", true);
}

/* A pattern that runs away is cut off and does not match. */
/* A message of one ZLR segment: "ZLR-3.1" is "kit 7", everything else is absent. */
static struct span raw_zlr(void *source, const struct rec_path *p)
{
    assert_ptr_equal(source, arena);
    bool is_it = strcmp(p->segment, "ZLR") == 0 && p->nth == 1 && p->field == 3 && p->rep == 1 && p->comp == 1 && p->sub == 1;
    return is_it ? SPAN_LIT("kit 7") : SPAN_ABSENT;
}

static void test_places(void **state) /* [item 28] */
{
    (void)state;
    struct rig g;
    rig_init(&g);
    when(&g, "exists hl7 \"ZLR-3.1\"", false);      /* a record of a format without places */
    g.r.raw_field = raw_zlr;
    g.r.source = arena;
    when(&g, "exists hl7 \"ZLR-3.1\"", true);
    when(&g, "exists hl7 \"ZLR-3\"", true);
    when(&g, "exists hl7 \"ZLR[2]-3\"", false);
    when(&g, "hl7 \"ZLR-3.1\" = \"kit 7\"", true);
    when(&g, "hl7 \"ZLR-3.2\" = \"\"", false);
    when(&g, "not exists hl7 \"ZLR-3[2]\" and upper(hl7 \"ZLR-3\") = \"KIT 7\"", true);
    when(&g, "hl7 \"ZLR[1]-3[1].1.1\" in (\"kit 6\", \"kit 7\")", true);
    when(&g, "hl7 \"ZLR-3\" ~ /^kit [0-9]$/", true);
    struct config *c = load_rules("route \"r\" { when observation.code in tests set lab.lab_name = hl7 \"ZLR-3\" send lab to \"godata\" }\nroute \"rest\" { hold \"no\" }\n");
    struct rule_result r = run_obs(c, &g, 0);
    expect(&r, RULE_SEND_LAB, NULL);
    assert_span(r.lab.lab_name, "kit 7");
    config_free(c);
    static const char *const bad[] = {"", "ZLR", "ZLR-", "ZLR-0", "zlr-3", "1LR-3", "ZLR[0]-3", "ZLR[1-3", "ZLR-3[", "ZLR-3.", "ZLR-3.1.", "ZLR-3.1.1.1", "ZLR-3 ", "ZLR-10000"};
    struct rec_path path;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rec_path_parse(span_of(bad[i]), &path));
    assert_true(rec_path_parse(span_of("OB1[12]-34[5].6.7"), &path));
    assert_string_equal(path.segment, "OB1");
    assert_true(path.nth == 12 && path.field == 34 && path.rep == 5 && path.comp == 6 && path.sub == 7);
}

static void test_regex_is_bounded(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    g.r.specimen.id = SPAN_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
    when(&g, "specimen.id ~ /^(a+)+$/", false);
    g.r.specimen.id = SPAN_LIT("\xff\xfe");
    when(&g, "specimen.id ~ /./", false);
}

static void test_trace(void **state)
{
    (void)state;
    struct rig g;
    struct rule_result out;
    struct err e = ERR_INIT;
    rig_init(&g);
    struct config *c = load_rules("route \"other\" { from \"lab02\" drop \"x\" }\n" SEND);
    arena_reset(arena);
    struct rule_trace t = {.a = arena};
    assert_int_equal(rule_run(c->rules, &g.r, &g.obs[0], arena, &out, &t, &e), 0);
    static const struct { const char *file, *text; } want[] = {
        {"t.conf", "route \"other\": not from this listener"}, {"t.conf", "when observation.code in tests: yes (tests.csv:"}, {"t.conf", "route \"r\" takes it"}, {"tests.csv", "test: Ebola virus, RT_PCR"},
        {NULL, "outcome: POSITIVE by snomed:260373001"}, {"specimens.csv", "sample type BLOOD"}, {"t.conf", "send lab to \"godata\""},
    };
    assert_int_equal(t.n, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < t.n; i++) {
        if (!span_starts(t.v[i].text, want[i].text))
            fail_msg("step %zu: %.*s", i, SPAN_ARG(t.v[i].text));
        assert_int_equal(want[i].file == NULL, t.v[i].file == NULL);
        if (want[i].file) {
            assert_string_equal(t.v[i].file, want[i].file);
            assert_true(t.v[i].line > 0);
        }
    }
    config_free(c);
}

static void test_notes(void **state)
{
    (void)state;
    struct rig g;
    rig_init(&g);
    struct config *c = load_rules(SEND);
    g.note[0] = SPAN_LIT("first\nsecond \r\n\n[/labrelay]\n[labrelay 00000000]");
    struct rule_result r = run_obs(c, &g, 0);
    assert_non_null(strstr(r.lab.notes.p, "\nfirst\nsecond\n[ /labrelay]\n[ labrelay 00000000]\n"));
    static char big[6000];
    memset(big, 'x', sizeof big - 1);
    for (size_t i = 50; i < sizeof big - 1; i += 50)
        big[i] = '\n';
    g.note[0] = span_of(big);
    r = run_obs(c, &g, 0);
    assert_true(r.lab.notes.n <= 3900);
    assert_non_null(strstr(r.lab.notes.p, "\n[more in engine]"));
    config_free(c);
}

/* A full arena is ERR_LIMIT, whatever was being done. */
static void test_full_arena(void **state)
{
    (void)state;
    struct rig g;
    size_t failed = 0;
    rig_init(&g);
    struct config *c = load_rules(SEND);
    static char big[40000];
    memset(big, 'y', sizeof big - 1);
    g.r.report.filler_id = span_of(big);
    for (size_t cap = 1024; cap <= 262144; cap *= 2) {
        struct arena *a = arena_new(cap);
        struct rule_result out;
        struct err e = ERR_INIT;
        if (rule_run(c->rules, &g.r, &g.obs[0], a, &out, NULL, &e)) {
            assert_int_equal(e.kind, ERR_LIMIT);
            failed++;
        } else {
            expect(&out, RULE_SEND_LAB, NULL);
        }
        arena_free(a);
    }
    assert_true(failed > 0 && failed < 9);
    config_free(c);
}

static int open_dir(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return mkdtemp(dir) ? 0 : -1;
}

static int close_dir(void **state)
{
    static const char *const names[] = {"t.conf", "labs.csv", "names.csv", "local.csv"};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        (void)unlink(in_dir(names[i]));
    arena_free(arena);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_fields), cmocka_unit_test(test_unmapped_parts), cmocka_unit_test(test_statuses), cmocka_unit_test(test_gates),
        cmocka_unit_test(test_outcome_holds), cmocka_unit_test(test_unmapped_test), cmocka_unit_test(test_vaccine_strain), cmocka_unit_test(test_single_targets),
        cmocka_unit_test(test_not_diagnostic), cmocka_unit_test(test_result_of), cmocka_unit_test(test_number_without_rule), cmocka_unit_test(test_order_of_routes),
        cmocka_unit_test(test_require_set_lookup), cmocka_unit_test(test_local_codes), cmocka_unit_test(test_conditions), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_regex_is_bounded), cmocka_unit_test(test_places), cmocka_unit_test(test_trace), cmocka_unit_test(test_notes), cmocka_unit_test(test_full_arena),
    };
    return cmocka_run_group_tests(tests, open_dir, close_dir);
}
