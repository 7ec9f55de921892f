/*
 * NAME test_godata_build - body, who, result key, notes block and the statements of `write godata`. Pure.
 * [item N]: STANDARDS section 10. The golden body is compared with ../shared when it is there (LABRELAY_SHARED names another place).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fsutil.h"
#include "godata_build.h"
#include "godata_notes.h"
#include "godata_writer.h"
#include "lexer.h"
#include "option.h"
#include "xmem.h"

#define LIT(s) SPAN_LIT(s)

/* The record of the golden message, as far as the writer reads it, and the lab result that the rules make of it. */
struct golden {
    struct rec_message message;
    struct rec_id ids[4];
    struct rec_coding code;
    struct record r;
    struct rec_observation obs;
    struct lab_result lab;
    struct godata_options o;
    struct godata_id_rule rules[2];
    struct arena *a;
};

static struct golden *golden_new(void)
{
    struct golden *g = xcalloc(1, sizeof *g);
    g->a = arena_new(1 << 20);
    g->message = (struct rec_message){.format = REC_HL7V2, .source_app.value = LIT("GENEXPERT"), .source_facility.value = LIT("LAB01"), .control_id = LIT("MSG00001")};
    g->ids[0] = (struct rec_id){.value = LIT("CASE-0042"), .authority = LIT("GODATA"), .type = LIT("PI"), .path = LIT("PID[1]-3[1]")};
    g->ids[1] = (struct rec_id){.value = LIT("0012345"), .authority = LIT("COD"), .type = LIT("NI"), .path = LIT("PID[1]-3[2]")};
    g->code = (struct rec_coding){.code = LIT("41636-2"), .system = LIT("http://loinc.org"), .display = LIT("Ebola virus RNA")};
    g->r = (struct record){.message = &g->message};
    g->r.patient = (struct rec_patient){.ids = {g->ids, 2}, .family_name = LIT("Ilunga"), .given_name = LIT("Marie"), .middle_name = LIT("Thérèse"),
                                        .birth_date = {.v = LIT("1990-02-03"), .prec = 'D'}, .sex = LIT("F"), .is_present = true};
    g->r.report = (struct rec_report){.filler_id = LIT("F-9001"), .placer_id = LIT("ORD-77"), .lab = {.name = LIT("Lab Goma"), .id = LIT("LAB01")}};
    g->r.specimen.id = LIT("S-2026-0001");
    g->obs = (struct rec_observation){.code = {&g->code, 1, SPAN_ABSENT}, .sub_id = LIT("1"), .path = LIT("OBX[1]")};
    g->lab = (struct lab_result){
        .sample_identifier = LIT("S-2026-0001"), .date_sample_taken = LIT("2026-05-04T00:00:00.000Z"), .date_sample_delivered = LIT("2026-05-04T00:00:00.000Z"),
        .date_testing = LIT("2026-05-04T00:00:00.000Z"), .date_of_result = LIT("2026-05-04T00:00:00.000Z"), .lab_name = LIT("LAB_GOMA"), .sample_type = LIT("BLOOD"),
        .test_type = LIT("LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_LAB_TEST_RT_PCR"), .tested_for = LIT("Ebola virus"), .result = LIT("POSITIVE"), .status = LIT("COMPLETED"),
        .notes = LIT("Ebola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected\nCt value 24.1\nFiller F-9001; placer ORD-77; device GX-12")};
    g->rules[0].role = GODATA_BY_VISUAL_ID;
    g->o = (struct godata_options){.outbreak = xstrdup("Ebola 2026")};
    g->rules[0].authority = xstrdup("GODATA");
    g->rules[0].type = xstrdup("PI");
    g->o.ids = (struct godata_ids){g->rules, 1};
    return g;
}

static void golden_free(struct golden *g)
{
    free(g->rules[0].authority);
    free(g->rules[0].type);
    free(g->o.outbreak);
    arena_free(g->a);
    free(g);
}

static struct built build(struct golden *g)
{
    struct built out;
    struct err e = ERR_INIT;
    assert_int_equal(godata_build(&g->o, &g->r, &g->obs, &g->lab, g->a, &out, &e), 0);
    return out;
}

static void assert_span(struct span got, const char *want)
{
    if (!span_is(got, want))
        fail_msg("got:  %.*s\nwant: %s", SPAN_ARG(got), want);
}

static const char golden_body[] =
    "{\"sampleIdentifier\":\"S-2026-0001\",\"dateSampleTaken\":\"2026-05-04T00:00:00.000Z\",\"dateSampleDelivered\":\"2026-05-04T00:00:00.000Z\","
    "\"dateTesting\":\"2026-05-04T00:00:00.000Z\",\"dateOfResult\":\"2026-05-04T00:00:00.000Z\",\"labName\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_LAB_GOMA\","
    "\"sampleType\":\"LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_SAMPLE_BLOOD\",\"testType\":\"LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_LAB_TEST_RT_PCR\",\"testedFor\":\"Ebola virus\","
    "\"result\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_POSITIVE\",\"status\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_STATUS_COMPLETED\","
    "\"notes\":\"[labrelay %.8s]\\nEbola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected\\nCt value 24.1\\n"
    "Filler F-9001; placer ORD-77; device GX-12\\n[/labrelay]\"}";

static void test_body(void **state)     /* [item 140] */
{
    (void)state;
    struct golden *g = golden_new();
    struct built b = build(g);
    char want[2048];
    assert_null(b.hold);
    assert_int_equal(b.result_key.n, 64);
    (void)snprintf(want, sizeof want, golden_body, b.result_key.p);
    assert_span(b.body, want);
    assert_span(b.lane_hint, "S-2026-0001");
    golden_free(g);
}

static char *shared_path(const char *rest)
{
    const char *env = getenv("LABRELAY_SHARED"), *src = getenv("srcdir");
    struct buf b;
    size_t n;
    buf_init(&b, 4096);
    if (env)
        buf_addf(&b, "%s/%s", env, rest);
    else
        buf_addf(&b, "%s/../shared/%s", src ? src : ".", rest);
    return buf_take(&b, &n);
}

static void test_body_is_the_shared_golden_one(void **state)
{
    (void)state;
    char *path = shared_path("facts/samples/golden1.godata.json");
    struct buf file;
    struct err e = ERR_INIT;
    buf_init(&file, 1 << 20);
    if (fs_load(path, &file, &e) != 0) {
        print_message("# SKIP %s is not there: the body is only compared with our own copy\n", path);
        free(path);
        buf_clear(&file);
        skip();
    }
    struct golden *g = golden_new();
    struct built b = build(g);
    json_t *want = json_loadb(file.p, file.n, 0, NULL), *got = json_loadb(b.body.p, b.body.n, 0, NULL);
    assert_non_null(strstr(file.p, "{uid8}"));          /* stands for K */
    const char *notes = json_string_value(json_object_get(want, "notes")), *own = json_string_value(json_object_get(got, "notes"));
    assert_memory_equal(notes, own, strlen("[labrelay "));
    assert_string_equal(notes + strlen("[labrelay {uid8}"), own + strlen("[labrelay 01234567"));
    (void)json_object_del(want, "notes");
    (void)json_object_del(got, "notes");
    assert_true(json_equal(want, got));
    json_decref(want);
    json_decref(got);
    free(path);
    buf_clear(&file);
    golden_free(g);
}

static void test_who(void **state)
{
    (void)state;
    struct golden *g = golden_new();
    struct built b = build(g);
    assert_span(b.who, "{\"sample\":\"S-2026-0001\",\"sample_day\":\"2026-05-04\",\"ids\":[{\"role\":\"visual-id\",\"value\":\"CASE-0042\",\"path\":\"PID[1]-3[1]\"},"
                       "{\"role\":\"document\",\"document\":\"NATIONAL_ID_CARD\",\"value\":\"0012345\",\"path\":\"PID[1]-3[2]\"}],\"family\":\"Ilunga\",\"given\":\"Marie\","
                       "\"middle\":\"Thérèse\",\"birth_date\":\"1990-02-03\",\"sex\":\"F\"}");
    golden_free(g);
}

static void test_roles(void **state)
{
    (void)state;
    static const struct { const char *authority, *type, *document; enum godata_role role; } rows[] = {
        {"GODATA", "PI", NULL, GODATA_BY_VISUAL_ID}, {"OTHER", "PI", "EXTERNAL_ID", GODATA_BY_DOCUMENT}, {"COD", "NI", "NATIONAL_ID_CARD", GODATA_BY_DOCUMENT},
        {"X", "NNCOD", "NATIONAL_ID_CARD", GODATA_BY_DOCUMENT}, {"X", "NNcod", NULL, GODATA_IGNORE}, {"X", "NN", NULL, GODATA_IGNORE},
        {"X", "PPN", "PASSPORT", GODATA_BY_DOCUMENT}, {"X", "MR", "EXTERNAL_ID", GODATA_BY_DOCUMENT}, {"X", "PT", "EXTERNAL_ID", GODATA_BY_DOCUMENT},
        {"X", NULL, "EXTERNAL_ID", GODATA_BY_DOCUMENT}, {"X", "VN", NULL, GODATA_IGNORE}, {"X", "AN", NULL, GODATA_IGNORE}, {"X", "ANON", NULL, GODATA_IGNORE},
    };
    struct golden *g = golden_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct rec_id id = {.value = LIT("1"), .authority = span_of(rows[i].authority), .type = span_of(rows[i].type)};
        const char *document;
        enum godata_role role = godata_options_role(&g->o, &id, &document);
        if (role != rows[i].role || strcmp(document ? document : "", rows[i].document ? rows[i].document : "") != 0)
            fail_msg("%s %s: %s %s", rows[i].authority, rows[i].type ? rows[i].type : "-", godata_role_name(role), document ? document : "-");
    }
    golden_free(g);
}

static void test_result_key(void **state)
{
    (void)state;
    struct golden *g = golden_new();
    struct built a = build(g), b;
    g->r.patient.family_name = LIT("Other");            /* never the person, the channel or the message */
    g->r.patient.ids.n = 1;
    g->message.channel = LIT("elsewhere");
    g->message.control_id = LIT("MSG2");
    g->lab.result = LIT("NEGATIVE");
    g->r.report.lab.name = LIT("renamed");              /* the laboratory's id is what counts */
    b = build(g);
    assert_true(span_eq(a.result_key, b.result_key));
    struct span *const parts[] = {&g->r.specimen.id, &g->obs.sub_id, &g->code.code, &g->code.system, &g->r.report.lab.id};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct span was = *parts[i];
        *parts[i] = LIT("x");
        b = build(g);
        assert_false(span_eq(a.result_key, b.result_key));
        *parts[i] = was;
    }
    free(g->o.outbreak);
    g->o.outbreak = xstrdup("Ebola 2027");
    b = build(g);
    assert_false(span_eq(a.result_key, b.result_key));

    /* parts cannot run into each other: sample "1" sub-id "23" is not sample "12" sub-id "3" */
    g->obs.sub_id = LIT("23");
    g->r.specimen.id = LIT("1");
    a = build(g);
    g->obs.sub_id = LIT("3");
    g->r.specimen.id = LIT("12");
    b = build(g);
    assert_false(span_eq(a.result_key, b.result_key));

    g->r.specimen.id = SPAN_ABSENT;                     /* the filler number stands in, and is no sample of the same text */
    b = build(g);
    assert_null(b.hold);
    g->r.report.filler_id = LIT("S1");
    a = build(g);
    g->r.report.filler_id = SPAN_ABSENT;
    g->r.specimen.id = LIT("S1");
    b = build(g);
    assert_false(span_eq(a.result_key, b.result_key));
    golden_free(g);
}

static void test_holds(void **state)
{
    (void)state;
    struct golden *g = golden_new();
    g->r.specimen.id = SPAN_ABSENT;
    g->r.report.filler_id = SPAN_ABSENT;
    assert_string_equal(build(g).hold, "NO_KEY");
    golden_free(g);

    g = golden_new();
    g->r.patient.ids.n = 0;
    assert_null(build(g).hold);                         /* the sample id may lead to somebody */
    struct godata_match_key visual = {.role = GODATA_BY_VISUAL_ID};
    g->o.match = (struct godata_match){&visual, 1};
    assert_string_equal(build(g).hold, "NO_IDENTITY");
    g->r.patient.ids = (struct rec_ids){&g->ids[1], 1}; /* a national id that `match` does not use */
    assert_string_equal(build(g).hold, "NO_IDENTITY");
    g->r.patient.ids = (struct rec_ids){g->ids, 2};
    assert_null(build(g).hold);
    golden_free(g);
}

static void test_uuid_is_also_a_godata_id(void **state)
{
    (void)state;
    struct golden *g = golden_new();
    g->ids[1] = (struct rec_id){.value = LIT("0a1b2c3d-0000-4000-8000-000000000001"), .type = LIT("MR")};
    struct built b = build(g);
    json_t *who = json_loadb(b.who.p, b.who.n, 0, NULL), *ids = json_object_get(who, "ids");
    assert_int_equal(json_array_size(ids), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(ids, 1), "role")), "godata-id");
    assert_string_equal(json_string_value(json_object_get(json_array_get(ids, 2), "document")), "EXTERNAL_ID");
    json_decref(who);
    golden_free(g);
}

static void test_searchable(void **state)   /* [item 124] */
{
    (void)state;
    static const char *const no[] = {"", "2026-05-04", "2026-05-04T10:00:00.000Z", "2026-05-04 10:00", "2026-05-0412:00", "id", "or", "and", "elemMatch", "exists", "$ne"};
    static const char *const yes[] = {"20260504", "CASE-0042", "2026-05-04-1", "2026-05", "OR", "ids", "or ", "S-2026-05-04"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (godata_is_searchable(span_of(no[i])))
            fail_msg("\"%s\" must not be searched", no[i]);
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!godata_is_searchable(span_of(yes[i])))
            fail_msg("\"%s\" can be searched", yes[i]);
}

/* ---- notes ---- */

static size_t characters(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static void test_notes_are_cut_at_a_line_end(void **state)
{
    (void)state;
    struct buf text, block;
    buf_init(&text, 1 << 20);
    buf_init(&block, 1 << 20);
    for (int i = 0; i < 200; i++)
        buf_addf(&text, "%sligne n° %03d: détecté, à vérifier", i ? "\n" : "", i);
    godata_notes_format(&block, SPAN_LIT("3f2a91c0"), buf_span(&text), SPAN_LIT("2026-05-05 corrected: was Detected"));
    struct span s = buf_span(&block);
    assert_true(characters(s) <= GODATA_NOTES_MAX && characters(s) > GODATA_NOTES_MAX - 60);
    const char *more = strstr(block.p, "\n[more in engine]\n2026-05-05 corrected: was Detected\n[/labrelay]");
    assert_non_null(more);
    const char *line = more;
    while (line[-1] != '\n')
        line--;
    assert_memory_equal(line, "ligne n° ", strlen("ligne n° "));       /* whole lines only */
    assert_int_equal(more - line, (ptrdiff_t)strlen("ligne n° 000: détecté, à vérifier"));

    buf_reset(&block);                                          /* one line too long for anything */
    buf_reset(&text);
    for (int i = 0; i < 5000; i++)
        buf_addc(&text, 'x');
    godata_notes_format(&block, SPAN_LIT("3f2a91c0"), buf_span(&text), SPAN_ABSENT);
    assert_span(buf_span(&block), "[labrelay 3f2a91c0]\n[more in engine]\n[/labrelay]");

    buf_reset(&block);                                          /* exactly 4000 characters stay whole */
    size_t room = GODATA_NOTES_MAX - strlen("[labrelay 3f2a91c0]\n\n[/labrelay]");
    buf_reset(&text);
    for (size_t i = 0; i < room; i++)
        buf_addc(&text, 'y');
    godata_notes_format(&block, SPAN_LIT("3f2a91c0"), buf_span(&text), SPAN_ABSENT);
    assert_int_equal(block.n, GODATA_NOTES_MAX);
    buf_clear(&text);
    buf_clear(&block);
}

static void test_notes_are_found_again(void **state)
{
    (void)state;
    static const char notes[] = "before [labrelay nothing]\n[labrelay 11111111]\nother\n[/labrelay]\n[labrelay 3f2a91c0]\nmine\n2026-05-05 updated: was Pending\n[/labrelay]\nafter";
    struct godata_block b;
    struct buf out;
    buf_init(&out, 4096);
    godata_notes_parse(span_of(notes), SPAN_LIT("3f2a91c0"), &b);
    assert_true(b.is_found);
    assert_span(b.text, "mine\n2026-05-05 updated: was Pending");
    assert_span(b.after, "\nafter");
    godata_notes_history(b.text, &out);
    assert_span(buf_span(&out), "2026-05-05 updated: was Pending");
    buf_reset(&out);
    godata_notes_plain(b.text, &out);
    assert_span(buf_span(&out), "mine");
    assert_span(godata_notes_k(span_of(notes)), "11111111");
    godata_notes_parse(span_of(notes), SPAN_LIT("22222222"), &b);
    assert_false(b.is_found);
    assert_span(b.before, notes);
    godata_notes_parse(SPAN_LIT("[labrelay 3f2a91c0]\nmine, but somebody cut the end"), SPAN_LIT("3f2a91c0"), &b);
    assert_true(b.is_found);
    assert_span(b.text, "");
    assert_span(b.after, "\nmine, but somebody cut the end");
    assert_span(godata_notes_value(SPAN_LIT("A (LN 1) = Not detected (SCT 2) flag NEG; range x")), "Not detected");
    assert_span(godata_notes_value(SPAN_LIT("A = 12 IU/mL; range x\nB = 3")), "12 IU/mL");
    assert_true(span_is_absent(godata_notes_value(SPAN_LIT("no value here\nB = 3"))));
    buf_clear(&out);
}

static void test_markers_in_the_text_are_opened_up(void **state)
{
    (void)state;
    struct golden *g = golden_new();
    g->lab.notes = LIT("x [/labrelay]\n[labrelay 00000000]\r\ny");
    struct built b = build(g);
    json_t *body = json_loadb(b.body.p, b.body.n, 0, NULL);
    struct godata_block block;
    godata_notes_parse(span_of(json_string_value(json_object_get(body, "notes"))), span_cut(b.result_key, 0, 8), &block);
    assert_true(block.is_found);
    assert_span(block.text, "x (/labrelay]\n(labrelay 00000000]\n\ny");
    assert_false(span_has(block.after));
    json_decref(body);
    golden_free(g);
}

/* ---- statements ---- */

/* Reads the block; returns the number of errors, with their text in out. */
static size_t read_block(const char *text, struct godata_options *o, struct buf *out)
{
    static const struct option_table *table = &godata_writer.options;
    struct diag *d = diag_new();
    struct arena *a = arena_new(1 << 20);
    struct lexer_budget used = {0};
    struct lexer_stmt *stmts;
    size_t n;
    const struct option_layer layer = {table, o};
    struct option_reader r = {.diag = d, .config_file = "test.conf", .what = "write godata \"godata\"", .layers = &layer, .n_layers = 1};
    r.at = (struct diag_place){diag_source(d, "test.conf", span_of(text)), 1, 1, 1};
    lexer_read(d, r.at.file, span_of(text), a, &used, &stmts, &n);
    option_read_block(&r, stmts, n);
    size_t errors = diag_errors(d);
    diag_format(d, out);
    arena_free(a);
    diag_free(d);
    return errors;
}

#define BASE "url \"https://godata.example/api\"\nlogin \"a@b.example\"\npassword \"x\"\noutbreak \"Ebola 2026\"\n"

static void test_statements(void **state)
{
    (void)state;
    struct godata_options o = {0};
    struct buf out;
    buf_init(&out, 1 << 16);
    size_t errors = read_block(BASE "match by document NATIONAL_ID_CARD, then visual-id, then document, then sample-id\nno-match park, alarm after 14d\n"
                               "id \"GODATA\" \"PI\" is visual-id\nid \"COD\" \"NI\" is document LNG_REFERENCE_DATA_CATEGORY_DOCUMENT_TYPE_NATIONAL_ID_CARD\n"
                               "id \"*\" \"VN\" is ignore\ntimeout 10s\nclaim-account yes\n", &o, &out);
    if (errors)
        fail_msg("%s", out.p);
    assert_int_equal(o.match.n, 4);
    assert_int_equal(o.match.v[0].role, GODATA_BY_DOCUMENT);
    assert_string_equal(o.match.v[0].document, "NATIONAL_ID_CARD");
    assert_int_equal(o.match.v[1].role, GODATA_BY_VISUAL_ID);
    assert_null(o.match.v[2].document);
    assert_int_equal(o.match.v[3].role, GODATA_BY_SAMPLE);
    assert_int_equal(o.no_match.alarm_us, INT64_C(14) * 86400 * 1000000);
    assert_int_equal(o.ids.n, 3);
    assert_string_equal(o.ids.v[1].document, "NATIONAL_ID_CARD");
    assert_int_equal(o.ids.v[2].role, GODATA_IGNORE);
    assert_int_equal(o.timeout_us, 10000000);
    assert_int_equal(o.sample_window_us, INT64_C(60) * 86400 * 1000000);
    assert_true(o.claim_account && !o.insecure && !o.contact_results);
    assert_false(godata_options_match(&o, GODATA_BY_ID, NULL));
    assert_true(godata_options_match(&o, GODATA_BY_DOCUMENT, "PASSPORT"));
    option_free_values(&godata_writer.options, &o);
    buf_clear(&out);
}

static void test_wrong_statements(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } rows[] = {
        {BASE "no-match create\n", "needs a word"},
        {BASE "no-match create event\n", "case contact"},
        {BASE "no-match create contact\n", "contact-of"},
        {BASE "no-match drop, alarm after 3d\n", ","},
        {BASE "no-match park, alarm\n", "alarm after TIME"},
        {BASE "match visual-id\n", "match needs `by`"},
        {BASE "match by name\n", "name"},
        {BASE "id \"GODATA\" \"PI\" visual-id\n", "is ROLE"},
        {BASE "id \"GODATA\" \"PI\" is sample-id\n", "cannot be a sample-id"},
        {BASE "id \"GODATA\" \"PI\" is document\n", "needs a Go.Data document type"},
        {"url \"http://godata.example/api\"\nlogin \"a\"\npassword \"x\"\noutbreak \"o\"\n", "insecure yes"},
        {"url \"http://127.0.0.1.example/api\"\nlogin \"a\"\npassword \"x\"\noutbreak \"o\"\n", "insecure yes"},
        {"url \"ftp://godata.example\"\nlogin \"a\"\npassword \"x\"\noutbreak \"o\"\n", "must begin with https"},
        {"url \"https://u:p@godata.example/api\"\nlogin \"a\"\npassword \"x\"\noutbreak \"o\"\n", "no login in the url"},
        {"url \"https://godata.example/api?x=1\"\nlogin \"a\"\npassword \"x\"\noutbreak \"o\"\n", "base of the API"},
        {"login \"a\"\npassword \"x\"\noutbreak \"o\"\n", "url is missing"},
        {BASE "timeout 30\n", "unit"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct godata_options o = {0};
        struct buf out;
        buf_init(&out, 1 << 16);
        if (read_block(rows[i].text, &o, &out) != 1 || !strstr(out.p, rows[i].says))
            fail_msg("row %zu (%s): %s", i, rows[i].says, out.p);
        option_free_values(&godata_writer.options, &o);
        buf_clear(&out);
    }
    assert_false(godata_url_is_open("http://localhost:3000/api"));
    assert_false(godata_url_is_open("http://[::1]:3000/api"));
    assert_true(godata_url_is_open("http://10.0.0.7:3000/api"));
    assert_false(godata_url_is_open("https://10.0.0.7/api"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body), cmocka_unit_test(test_body_is_the_shared_golden_one), cmocka_unit_test(test_who), cmocka_unit_test(test_roles),
        cmocka_unit_test(test_result_key), cmocka_unit_test(test_holds), cmocka_unit_test(test_uuid_is_also_a_godata_id), cmocka_unit_test(test_searchable),
        cmocka_unit_test(test_notes_are_cut_at_a_line_end), cmocka_unit_test(test_notes_are_found_again), cmocka_unit_test(test_markers_in_the_text_are_opened_up),
        cmocka_unit_test(test_statements), cmocka_unit_test(test_wrong_statements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
