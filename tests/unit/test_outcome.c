/*
 * NAME test_outcome - every code and text of the shipped tables, the order of the steps, and what is never guessed.
 * [item N]: STANDARDS section 10. The tables are conf/tables/ of the source tree (srcdir), read as the engine reads them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "outcome.h"
#include "table.h"
#include "xmem.h"

#define SCT "http://snomed.info/sct"
#define LN "http://loinc.org"
#define INTERP "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"

struct world { struct table *results, *texts; struct arena *a; const char *number; };
static struct world w;
static struct outcome_test presence = {"presence", "", {0}};

static struct table *load(const char *name, const char *key1, const char *key2)
{
    char path[512];
    const char *src = getenv("srcdir");
    struct table_word keys[2] = {{span_of(key1), {0}}, {span_of(key2), {0}}};
    struct table_spec s = {.name = span_of(name), .path = path, .keys = keys, .n_keys = key2 ? 2 : 1, .is_folded = !key2};
    struct diag *d = diag_new();
    (void)snprintf(path, sizeof path, "%s/conf/tables/%s.csv", src ? src : ".", name);
    struct table *t = table_load(&s, d, NULL);
    struct buf b;
    buf_init(&b, 1 << 16);
    diag_format(d, &b);
    if (b.n)
        fail_msg("%s", b.p);
    buf_clear(&b);
    diag_free(d);
    assert_non_null(t);
    return t;
}

static const char *ask_code(void *ctx, struct span system, struct span code, struct span *row)
{
    (void)ctx;
    struct span keys[2] = {system, code};
    int64_t r = table_find(w.results, keys);
    *row = SPAN_LIT("row");
    return r == TABLE_NONE ? NULL : table_cell(w.results, r, table_column(w.results, SPAN_LIT("outcome"))).p;
}

static const char *ask_text(void *ctx, struct span folded, struct span *row)
{
    (void)ctx;
    int64_t r = table_find(w.texts, &folded);
    *row = SPAN_LIT("results_text.csv:12");
    return r == TABLE_NONE ? NULL : table_cell(w.texts, r, table_column(w.texts, SPAN_LIT("outcome"))).p;
}

static const char *ask_number(void *ctx, const struct rec_observation *obs, struct span *row)
{
    (void)ctx;
    (void)obs;
    *row = SPAN_LIT("conf:1");
    return w.number;
}

static const char *ask_interp(void *ctx, struct span code, struct span *row)
{
    return ask_code(ctx, SPAN_LIT(INTERP), code, row);
}

static struct outcome derive(struct rec_observation *obs, const struct rec_specimen *s, const struct outcome_test *test)
{
    struct outcome_env env = {NULL, ask_code, ask_text, ask_number, ask_interp, test, false};
    static const struct rec_message m;
    struct record r = {.message = &m, .observations = obs, .n = 1};
    struct outcome o;
    if (s)
        r.specimen = *s;
    arena_reset(w.a);
    outcome_derive(&r, obs, &env, w.a, &o);
    return o;
}

static struct rec_observation of_text(const char *text)
{
    return (struct rec_observation){.status = OBS_ST_FINAL, .value = {.type = REC_V_TEXT, .text = span_of(text)}};
}

static struct rec_coding one_coding;
static struct rec_observation of_code(const char *system, const char *code)
{
    one_coding = (struct rec_coding){.system = span_of(system), .code = span_of(code), .display = SPAN_LIT("some text")};
    return (struct rec_observation){.status = OBS_ST_FINAL, .value = {.type = REC_V_CODED, .codings = {&one_coding, 1, {0}}}};
}

static struct span one_flag;
static void flag(struct rec_observation *o, const char *code)
{
    one_flag = span_of(code);
    o->interpretation = (struct rec_list){&one_flag, 1};
}

static void expect(const struct outcome *o, enum outcome_kind kind, const char *reason, const char *what)
{
    if (o->kind != kind || (reason == NULL) != (o->reason == NULL) || (reason && strcmp(reason, o->reason) != 0))
        fail_msg("%s: %s %s, not %s %s", what, outcome_name(o->kind), o->reason ? o->reason : "-", outcome_name(kind), reason ? reason : "-");
}

/* ---- the tables ---- */
static void test_every_code(void **state) /* [item 108] */
{
    (void)state;
    int system = table_column(w.results, SPAN_LIT("system")), code = table_column(w.results, SPAN_LIT("code")), outcome = table_column(w.results, SPAN_LIT("outcome"));
    size_t n = table_rows(w.results), interps = 0;
    assert_true(n >= 39);
    for (size_t i = 0; i < n; i++) {
        struct span s = table_cell(w.results, (int64_t)i, system), c = table_cell(w.results, (int64_t)i, code), word = table_cell(w.results, (int64_t)i, outcome);
        struct rec_observation obs = {.status = OBS_ST_FINAL};
        if (span_is(s, INTERP)) {
            flag(&obs, c.p);
            interps++;
        } else {
            obs = of_code(s.p, c.p);
        }
        struct outcome o = derive(&obs, NULL, &presence);
        if (span_is(word, "hold"))
            assert_int_equal(o.kind, OUTCOME_HOLD);
        else if (!span_is(word, outcome_name(o.kind)))
            fail_msg("%s|%s: %s, not %s", s.p, c.p, outcome_name(o.kind), word.p);
    }
    assert_true(interps >= 13);
}

/* The table of STANDARDS 8.5, written out: a swapped row of the CSV shows here. */
static void test_codes_by_name(void **state) /* [item 108] */
{
    (void)state;
    static const struct { const char *system, *code; enum outcome_kind kind; const char *reason; } rows[] = {
        {SCT, "260373001", OUTCOME_POSITIVE, NULL}, {SCT, "10828004", OUTCOME_POSITIVE, NULL}, {SCT, "11214006", OUTCOME_POSITIVE, NULL}, {SCT, "260408008", OUTCOME_POSITIVE, NULL},
        {LN, "LA11882-0", OUTCOME_POSITIVE, NULL}, {LN, "LA6576-8", OUTCOME_POSITIVE, NULL}, {LN, "LA15255-5", OUTCOME_POSITIVE, NULL},
        {SCT, "260415000", OUTCOME_NEGATIVE, NULL}, {SCT, "260385009", OUTCOME_NEGATIVE, NULL}, {SCT, "131194007", OUTCOME_NEGATIVE, NULL},
        {LN, "LA11883-8", OUTCOME_NEGATIVE, NULL}, {LN, "LA6577-6", OUTCOME_NEGATIVE, NULL}, {LN, "LA15256-3", OUTCOME_NEGATIVE, NULL},
        {SCT, "419984006", OUTCOME_INCONCLUSIVE, NULL}, {SCT, "82334004", OUTCOME_INCONCLUSIVE, NULL}, {SCT, "42425007", OUTCOME_INCONCLUSIVE, NULL},
        {LN, "LA9663-1", OUTCOME_INCONCLUSIVE, NULL}, {LN, "LA11885-3", OUTCOME_INCONCLUSIVE, NULL},
        {SCT, "455371000124106", OUTCOME_NO_RESULT, "NO_RESULT_VALUE"}, {SCT, "125154007", OUTCOME_NO_RESULT, "NO_RESULT_VALUE"}, {SCT, "373121007", OUTCOME_NO_RESULT, "NO_RESULT_VALUE"},
        {LN, "LA15841-2", OUTCOME_NO_RESULT, "NO_RESULT_VALUE"}, {LN, "LA13548-5", OUTCOME_NO_RESULT, "NO_RESULT_VALUE"},
        {SCT, "720735008", OUTCOME_HOLD, "HELD_VALUE"}, {SCT, "462371000124108", OUTCOME_HOLD, "POOLED"}, {SCT, "895231008", OUTCOME_HOLD, "POOLED"},
        {SCT, "123456789", OUTCOME_HOLD, "UNMAPPED_VALUE"}, {"local:99LAB", "260373001", OUTCOME_HOLD, "UNMAPPED_VALUE"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rec_observation obs = of_code(rows[i].system, rows[i].code);
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, rows[i].kind, rows[i].reason, rows[i].code);
    }
    struct rec_observation obs = of_code(SCT, "260373001");
    assert_true(span_is(derive(&obs, NULL, &presence).rule, "snomed:260373001"));
}

/* A text as a careless sender writes it: upper case, blanks around and inside doubled, a dot behind. */
static char *untidy(struct span text)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_adds(&b, " \t ");
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == ' ')
            buf_adds(&b, "  ");
        else if (c == 0xc3 && i + 1 < text.n && (unsigned char)text.p[i + 1] >= 0xa0) {
            buf_addc(&b, (char)0xc3);
            buf_addc(&b, (char)((unsigned char)text.p[++i] - 0x20));
        } else
            buf_addc(&b, c >= 'a' && c <= 'z' ? (char)(c - 32) : (char)c);
    }
    buf_adds(&b, ". \n");
    return buf_take(&b, NULL);
}

static void test_every_text(void **state) /* [item 108] */
{
    (void)state;
    int text = table_column(w.texts, SPAN_LIT("text")), outcome = table_column(w.texts, SPAN_LIT("outcome"));
    assert_true(table_rows(w.texts) >= 114);
    for (size_t i = 0; i < table_rows(w.texts); i++) {
        struct span t = table_cell(w.texts, (int64_t)i, text), word = table_cell(w.texts, (int64_t)i, outcome);
        char *loud = untidy(t), *exact = xstrndup(t.p, t.n);
        struct rec_observation a = of_text(exact), b = of_text(loud);
        struct outcome x = derive(&a, NULL, &presence);
        if (!span_is(word, outcome_name(x.kind)))
            fail_msg("\"%s\": %s, not %s", exact, outcome_name(x.kind), word.p);
        struct outcome y = derive(&b, NULL, &presence);
        if (y.kind != x.kind)
            fail_msg("\"%s\": %s, not %s", loud, outcome_name(y.kind), word.p);
        free(loud);
        free(exact);
    }
}

static void test_whole_texts(void **state) /* [item 109] */
{
    (void)state;
    static const struct { const char *text; enum outcome_kind kind; } rows[] = {
        {"Not detected", OUTCOME_NEGATIVE}, {"NOT  DETECTED.", OUTCOME_NEGATIVE}, {"non d\xc3\xa9tect\xc3\xa9", OUTCOME_NEGATIVE},
        {"NON D\xc3\x89TECT\xc3\x89", OUTCOME_NEGATIVE}, {"non detecte", OUTCOME_NEGATIVE}, {"NON\xc2\xa0" "D\xc3\x89TECT\xc3\x89", OUTCOME_NEGATIVE},
        {"non de\xcc\x81" "tecte\xcc\x81", OUTCOME_NEGATIVE}, {"Detected*", OUTCOME_POSITIVE}, {"POSITIVE!", OUTCOME_POSITIVE},
        {"Detected (low)", OUTCOME_HOLD}, {"not detected, repeat", OUTCOME_HOLD}, {"Detected..", OUTCOME_HOLD}, {"trace", OUTCOME_HOLD}, {"+", OUTCOME_HOLD}, {"-", OUTCOME_HOLD},
        {"0", OUTCOME_HOLD}, {"Y", OUTCOME_HOLD}, {"present", OUTCOME_HOLD}, {"absent", OUTCOME_HOLD}, {"undetectable", OUTCOME_HOLD}, {"detectable", OUTCOME_HOLD}, {"pending", OUTCOME_HOLD},
        {"abnormal", OUTCOME_HOLD}, {"see note", OUTCOME_HOLD}, {"n\xc3\xb8t detected", OUTCOME_HOLD}, {"non d\xc3\xa8tect\xc3\xa8", OUTCOME_HOLD}, {"detected not", OUTCOME_HOLD},
        {"positive negative", OUTCOME_HOLD}, {"&lt;40", OUTCOME_HOLD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rec_observation obs = of_text(rows[i].text);
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, rows[i].kind, rows[i].kind == OUTCOME_HOLD ? "UNMAPPED_VALUE" : NULL, rows[i].text);
    }
}

static void test_fold(void **state)
{
    (void)state;
    arena_reset(w.a);
    static const struct { const char *in, *out; } rows[] = {
        {"\xc3\x89\xc3\x80\xc3\x87", "\xc3\xa9\xc3\xa0\xc3\xa7"}, {"&lt;40 &amp; &GT;", "<40 & &gt;"}, {"\xc2\xa0 a \xe2\x80\xaf b ", "a b"}, {"\xd0\x9f\xd0\x9e\xd0\x9b", "\xd0\xbf\xd0\xbe\xd0\xbb"},
        {"\xce\x91\xce\xa9", "\xce\xb1\xcf\x89"}, {"\xc5\xb8", "\xc3\xbf"}, {"\xc4\x86", "\xc4\x87"}, {"a.", "a"}, {".", "."}, {"", ""}, {"  ", ""}, {"E\xcc\x81", "\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span got = outcome_fold_text(span_of(rows[i].in), w.a);
        if (!span_is(got, rows[i].out))
            fail_msg("\"%s\" folds to \"%.*s\"", rows[i].in, SPAN_ARG(got));
    }
    assert_true(span_is_absent(outcome_fold_text(SPAN_ABSENT, w.a)));
    assert_true(span_is(outcome_plain_text(SPAN_LIT("n\xc3\xa3o d\xc3\xa9tect\xc3\xa9"), w.a), "nao detecte"));
}

/* ---- the order of the steps ---- */
static void test_cross_check(void **state) /* [item 110] */
{
    (void)state;
    struct rec_observation obs = of_text("Detected");
    flag(&obs, "NEG");
    struct outcome o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "VALUE_CONFLICT", "Detected, NEG");
    flag(&obs, "POS");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "Detected, POS");
    assert_true(span_is(o.crosscheck, "interp:POS"));
    flag(&obs, "A");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "Detected, A: A takes no part");
    flag(&obs, "IE");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "HELD_VALUE", "Detected, IE: the test is not valid");
    struct span both[] = {SPAN_LIT("POS"), SPAN_LIT("NEG")};
    struct rec_observation none = {.status = OBS_ST_FINAL, .interpretation = {both, 2}};
    o = derive(&none, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "VALUE_CONFLICT", "POS~NEG");
    struct rec_coding two[] = {{.system = SPAN_LIT(SCT), .code = SPAN_LIT("260373001")}, {.system = SPAN_LIT(LN), .code = SPAN_LIT("LA11883-8")}};
    struct rec_observation coded = {.status = OBS_ST_FINAL, .value = {.type = REC_V_CODED, .codings = {two, 2, {0}}}};
    o = derive(&coded, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "VALUE_CONFLICT", "two codings that differ");
    two[1].code = SPAN_LIT("LA11882-0");
    o = derive(&coded, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "two codings that agree");
}

static void test_flags_alone(void **state) /* [item 111] */
{
    (void)state;
    static const char *const mute[] = {"A", "H", "N", "L", "AA", "HH", "<", ">", "S", "R", "null"};
    for (size_t i = 0; i < sizeof mute / sizeof mute[0]; i++) {
        struct rec_observation obs = of_text("12 units of something");
        flag(&obs, mute[i]);
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", mute[i]);
        struct rec_observation bare = {.status = OBS_ST_FINAL};
        flag(&bare, mute[i]);
        o = derive(&bare, NULL, &presence);
        expect(&o, OUTCOME_NO_RESULT, "EMPTY", mute[i]);
    }
}

static void test_numbers(void **state) /* [item 112] the comparison itself: test_rule_number.c */
{
    (void)state;
    struct rec_observation obs = {.status = OBS_ST_FINAL, .value = {.type = REC_V_NUMBER, .text = SPAN_LIT("24.1"), .num1 = SPAN_LIT("24.1")}};
    w.number = NULL;
    struct outcome o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "NO_RESULT", "a number without a rule");
    w.number = "hold";
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "NO_RESULT", "a rule that cannot decide");
    w.number = "POSITIVE";
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "a rule that decides");
    assert_true(span_is(o.rule, "rule:conf:1"));
    flag(&obs, "NEG");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "VALUE_CONFLICT", "rule against flag");
    w.number = NULL;
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_NEGATIVE, NULL, "a number with a flag that says it");
}

static void test_never_negative(void **state) /* [item 113] */
{
    (void)state;
    struct rec_observation x = of_text("Negative"), n = of_text("Negative"), inv = of_text("Invalid"), rej = of_text("Negative");
    x.status = OBS_ST_CANCELLED;
    n.status = OBS_ST_NOT_ASKED;
    struct rec_specimen bad = {.is_rejected = true};
    struct outcome o = derive(&x, NULL, &presence);
    expect(&o, OUTCOME_NO_RESULT, "CANCELLED", "X");
    o = derive(&n, NULL, &presence);
    expect(&o, OUTCOME_DROP, "STATUS_N", "N");
    o = derive(&inv, NULL, &presence);
    expect(&o, OUTCOME_NO_RESULT, "NO_RESULT_VALUE", "Invalid");
    o = derive(&rej, &bad, &presence);
    expect(&o, OUTCOME_NO_RESULT, "SPECIMEN_REJECTED", "rejected specimen");
}

static void test_range_is_no_result(void **state) /* [item 114] */
{
    (void)state;
    struct rec_observation obs = {.status = OBS_ST_FINAL, .range = SPAN_LIT("Not detected")};
    struct outcome o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_NO_RESULT, "EMPTY", "only a reference range");
}

static void test_gates(void **state)
{
    (void)state;
    static const struct { enum obs_status s; enum outcome_kind kind; const char *reason; } rows[] = {
        {OBS_ST_REGISTERED, OUTCOME_PENDING, NULL}, {OBS_ST_UNVERIFIED, OUTCOME_PENDING, NULL}, {OBS_ST_PRELIMINARY, OUTCOME_POSITIVE, NULL}, {OBS_ST_FINAL, OUTCOME_POSITIVE, NULL},
        {OBS_ST_AMENDED, OUTCOME_POSITIVE, NULL}, {OBS_ST_CORRECTED, OUTCOME_POSITIVE, NULL}, {OBS_ST_APPENDED, OUTCOME_POSITIVE, NULL}, {OBS_ST_VERIFIED, OUTCOME_POSITIVE, NULL},
        {OBS_ST_FINALIZED, OUTCOME_POSITIVE, NULL}, {OBS_ST_CANCELLED, OUTCOME_NO_RESULT, "CANCELLED"}, {OBS_ST_DELETED, OUTCOME_WITHDRAW, NULL}, {OBS_ST_WITHDRAWN, OUTCOME_WITHDRAW, NULL},
        {OBS_ST_NOT_ASKED, OUTCOME_DROP, "STATUS_N"}, {OBS_ST_ORDER_ONLY, OUTCOME_DROP, "STATUS_O"}, {OBS_ST_UNKNOWN, OUTCOME_HOLD, "STATUS_UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rec_observation obs = of_text("detected");
        obs.status = rows[i].s;
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, rows[i].kind, rows[i].reason, "status");
    }
    static const struct { const char *role; bool is_control; enum outcome_kind kind; const char *reason; } roles[] = {
        {"P", false, OUTCOME_POSITIVE, NULL}, {"", false, OUTCOME_POSITIVE, NULL}, {"R", false, OUTCOME_POSITIVE, NULL}, {"Q", true, OUTCOME_DROP, "QC"},
        {"P", true, OUTCOME_DROP, "QC"}, {"Q", false, OUTCOME_POSITIVE, NULL}, /* qc-rule none or inv-control: the parser said so */
        {"G", false, OUTCOME_HOLD, "POOLED"}, {"L", false, OUTCOME_HOLD, "POOLED"},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct rec_observation obs = of_text("detected");
        struct rec_specimen s = {.role = span_of(roles[i].role), .is_control = roles[i].is_control};
        struct outcome o = derive(&obs, &s, &presence);
        expect(&o, roles[i].kind, roles[i].reason, roles[i].role);
    }
}

static void test_absent(void **state)
{
    (void)state;
    static const char *const none[] = {"error", "not-performed", "unsupported", "not-permitted", "unknown"};
    for (size_t i = 0; i < 5; i++) {
        struct rec_observation obs = {.status = OBS_ST_FINAL, .absent = span_of(none[i])};
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, OUTCOME_NO_RESULT, "ABSENT", none[i]);
    }
    struct rec_observation swiss = {.status = OBS_ST_FINAL, .absent = SPAN_LIT("not-applicable")};
    flag(&swiss, "POS");
    struct outcome o = derive(&swiss, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "not-applicable with POS");
    assert_true(span_is(o.rule, "interp:POS"));
}

/* LAW analyzers: the result stands in OBX-8 only, OBX-5 says ValueNotSet or NA. */
static void test_value_not_set(void **state)
{
    (void)state;
    static const char *const words[] = {"ValueNotSet", "NA", " NA "};
    for (size_t i = 0; i < 3; i++) {
        struct rec_observation obs = of_text(words[i]);
        flag(&obs, "NR");
        struct outcome o = derive(&obs, NULL, &presence);
        expect(&o, OUTCOME_NEGATIVE, NULL, words[i]);
        assert_true(outcome_value_is_absent(&obs.value));
    }
    struct rec_observation coded = of_code("local", "NA");
    assert_true(outcome_value_is_absent(&coded.value));
    coded = of_code(SCT, "260373001");
    assert_false(outcome_value_is_absent(&coded.value));
}

static void test_code_that_is_a_text(void **state)
{
    (void)state;
    struct rec_observation obs = of_code("local", "NOT DETECTED");
    one_coding.display = SPAN_ABSENT;
    struct outcome o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_NEGATIVE, NULL, "NOT DETECTED^");
    obs = of_code("local:99ABC", "NOT DETECTED");
    one_coding.display = SPAN_ABSENT;
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "NOT DETECTED^^99ABC: a code of its system");
    obs = of_code("local:99ABC", "17");
    one_coding.display = SPAN_LIT("Not detected");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "17^Not detected^99ABC: texts of codes do not count");
    assert_true(span_is(o.table_key, "results|local:99ABC|17"));
}

static void test_repeats(void **state)
{
    (void)state;
    struct span parts[] = {SPAN_LIT("Detected"), SPAN_LIT("Detected"), SPAN_LIT("Not detected")};
    struct rec_observation obs = {.status = OBS_ST_FINAL, .value = {.type = REC_V_TEXT, .text = SPAN_LIT("Detected"), .repeats = {parts, 2}}};
    struct outcome o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_POSITIVE, NULL, "two parts that agree");
    obs.value.repeats.n = 3;
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "VALUE_CONFLICT", "parts that differ");
    parts[2] = SPAN_LIT("Listeria");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "a part that nobody knows");
}

static void test_organisms(void **state)
{
    (void)state;
    static const struct outcome_test cholera = {"organism", "", {"75953000 62676009", 17}}, open = {"organism", "", {0}};
    struct rec_observation obs = of_code(SCT, "62676009");
    struct outcome o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_POSITIVE, NULL, "the target");
    obs = of_code(SCT, "27268008");
    o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_POSITIVE_OTHER, NULL, "another organism");
    o = derive(&obs, NULL, &open);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "no target list: nobody's guess");
    obs = of_code("local:X", "27268008");
    o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "a local code is no organism");
    obs = of_code(SCT, "264868006");
    o = derive(&obs, NULL, &open);
    expect(&o, OUTCOME_NEGATIVE, NULL, "no growth");
    obs = of_code(SCT, "260415000");
    o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_NEGATIVE, NULL, "not detected");
    obs = of_text("Vibrio cholerae O1");
    o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "an organism as text");
    obs = of_text("No growth");
    o = derive(&obs, NULL, &cholera);
    expect(&o, OUTCOME_NEGATIVE, NULL, "No growth as text");
    o = derive(&obs, NULL, &presence);
    expect(&o, OUTCOME_HOLD, "UNMAPPED_VALUE", "No growth of no culture");
}

static int open_world(void **state)
{
    (void)state;
    w.a = arena_new(1 << 20);
    w.results = load("results", "system", "code");
    w.texts = load("results_text", "text", NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    table_free(w.results);
    table_free(w.texts);
    arena_free(w.a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code), cmocka_unit_test(test_codes_by_name), cmocka_unit_test(test_every_text), cmocka_unit_test(test_whole_texts),
        cmocka_unit_test(test_fold), cmocka_unit_test(test_cross_check), cmocka_unit_test(test_flags_alone), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_never_negative), cmocka_unit_test(test_range_is_no_result), cmocka_unit_test(test_gates), cmocka_unit_test(test_absent),
        cmocka_unit_test(test_value_not_set), cmocka_unit_test(test_code_that_is_a_text), cmocka_unit_test(test_repeats), cmocka_unit_test(test_organisms),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
