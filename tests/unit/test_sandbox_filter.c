/*
 * NAME test_sandbox_filter - LoopBack filters of the sandbox: matching, quirks, hints, order, paging, fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox_filter.h"

static const char person[] =
    "{\"id\":\"p1\",\"visualId\":\"CA-0000000001\",\"firstName\":\"Almaz\",\"lastName\":\"Testperson\",\"dob\":\"1990-05-04T00:00:00.000Z\","
    "\"age\":{\"years\":36},\"documents\":[{\"type\":\"MRN\",\"number\":\"A1\"},{\"type\":\"PASS\",\"number\":\"B2\"}],\"middleName\":null,"
    "\"sampleIdentifier\":\"2026-11-09\",\"updatedAt\":\"2026-11-09T10:00:00.000Z\",\"tags\":[\"x\",\"y\"],\"and\":1,"
    "\"questionnaireAnswers\":{\"placer_order\":[{\"value\":\"ORD-77\"}],\"seen\":[{\"value\":\"2026-11-09T00:00:00.000Z\"}]},\"word\":\"not\"}";

static bool matches(const char *where, bool is_rewritten)
{
    struct sandbox_cond *c;
    struct err e = ERR_INIT;
    json_t *w = json_loads(where, 0, NULL), *doc = json_loads(person, 0, NULL);
    if (!w || !doc || sandbox_cond_new(&c, w, is_rewritten, &e))
        fail_msg("%s: %s", where, e.text);
    bool out = sandbox_cond_match(c, doc);
    sandbox_cond_free(c);
    json_decref(w);
    json_decref(doc);
    return out;
}

static void matching(void **state)
{
    static const char *const yes[] = {
        "{}", "{\"lastName\":\"Testperson\"}", "{\"documents.number\":\"B2\"}", "{\"documents\":{\"elemMatch\":{\"type\":\"MRN\",\"number\":\"A1\"}}}",
        "{\"documents\":{\"$elemMatch\":{\"number\":{\"inq\":[\"Z\",\"A1\"]}}}}", "{\"and\":[{\"lastName\":{\"regexp\":\"/^testperson$/i\"}},{\"dob\":{\"between\":[\"1990-05-04\",\"1990-05-04T23:59:59.999Z\"]}}]}",
        "{\"or\":[{\"id\":\"p9\"},{\"id\":\"p1\"}]}", "{\"age.years\":{\"gte\":36,\"lt\":37}}", "{\"updatedAt\":{\"gt\":\"2026-11-09T09:59:59.999Z\"}}", "{\"updatedAt\":\"2026-11-09T10:00:00.000Z\"}",
        "{\"firstName\":{\"like\":\"alm\",\"options\":\"i\"}}", "{\"firstName\":{\"nlike\":\"alm\"}}", "{\"firstName\":{\"$regex\":\"^Al\"}}", "{\"nothing\":null}", "{\"middleName\":null}",
        "{\"nothing\":{\"exists\":false}}", "{\"dob\":{\"exists\":true}}", "{\"tags\":\"y\"}", "{\"tags\":{\"nin\":[\"z\"]}}", "{\"lastName\":{\"neq\":\"Other\"}}", "{\"documents.0.number\":\"A1\"}",
        "{\"questionnaireAnswers.placer_order.value\":\"ORD-77\"}", "{\"questionnaireAnswers.seen.value\":{\"gte\":\"2026-11-09\"}}", "{\"id\":{\"$in\":[\"p1\"]}}", "{\"nor\":[{\"id\":\"p2\"}]}",
        "{\"lastName\":{\"gt\":\"Test\"}}", "{\"lastName\":{\"not\":{\"regexp\":\"^X\"}}}", "{\"sampleIdentifier\":{\"regexp\":\"^2026-11-09$\"}}",
    };
    static const char *const no[] = {
        "{\"lastName\":\"testperson\"}", "{\"documents.number\":\"C3\"}", "{\"documents\":{\"elemMatch\":{\"type\":\"MRN\",\"number\":\"B2\"}}}", "{\"id\":{\"in\":[\"p1\"]}}", "{\"nowhere\":\"x\"}",
        "{\"updatedAt\":{\"gt\":\"2026-11-09T10:00:00.000Z\"}}", "{\"age.years\":\"36\"}", "{\"age.years\":{\"gt\":\"1\"}}", "{\"tags\":{\"nin\":[\"x\"]}}", "{\"tags\":{\"neq\":\"x\"}}", "{\"middleName\":{\"neq\":null}}",
        "{\"dob\":\"1990-05-04T00:00:00+00:01\"}", "{\"or\":[]}", "{\"or\":\"x\"}", "{\"id\":{\"inq\":[]}}", "{\"documents\":[]}", "{\"documents.5.number\":\"A1\"}", "{\"nothing\":{\"exists\":true}}",
        "{\"updatedAt\":{\"between\":[\"2026-11-10\",\"2026-11-11\"]}}", "{\"updatedAt\":{\"between\":[]}}",
        "{\"sampleIdentifier\":\"2026-11-09\"}",        /* looks like a date, becomes one, and the stored one is text */
    };
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!matches(yes[i], false) || !matches(yes[i], true))
            fail_msg("should match: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (matches(no[i], false) || matches(no[i], true))
            fail_msg("should not match: %s", no[i]);
}

static void rewritten_values_never_match(void **state)
{
    (void)state;
    assert_true(matches("{\"word\":\"not\"}", false));
    assert_false(matches("{\"word\":\"not\"}", true));
    assert_true(matches("{\"word\":{\"inq\":[\"a\",\"not\"]}}", false));
    assert_false(matches("{\"word\":{\"inq\":[\"a\",\"not\"]}}", true));
    assert_true(matches("{\"_id\":\"p1\"}", true));
}

static void errors(void **state)
{
    struct sandbox_cond *c;
    struct sandbox_filter f;
    struct err e = ERR_INIT;
    json_t *w = json_loads("{\"$where\":\"1\"}", 0, NULL);
    (void)state;
    assert_int_equal(sandbox_cond_new(&c, w, false, &e), -1);
    assert_int_equal(e.kind, ERR_BUG);
    json_decref(w);
    w = json_loads("{\"a\":{\"regexp\":\"(\"}}", 0, NULL);
    assert_int_equal(sandbox_cond_new(&c, w, false, &e), -1);
    json_decref(w);
    w = json_loads("{\"limit\":\"many\"}", 0, NULL);
    assert_int_equal(sandbox_filter_init(&f, w, false, &e), -1);
    assert_int_equal(e.kind, ERR_INPUT);
    json_decref(w);
}

static struct sandbox_cond *compile(const char *where)
{
    struct sandbox_cond *c;
    struct err e = ERR_INIT;
    json_t *w = json_loads(where, 0, NULL);
    assert_int_equal(sandbox_cond_new(&c, w, true, &e), 0);
    json_decref(w);
    return c;
}

static void check_strings(const char *where, const char *field, const char *expected)
{
    struct sandbox_cond *c = compile(where);
    struct sandbox_fields f = {.n = 2, .name = {field, "visualId"}, .values = {json_array(), json_array()}};
    bool known = sandbox_cond_strings(c, &f);
    json_t *both = json_pack("[oo]", f.values[0], f.values[1]);
    char *text = json_dumps(both, JSON_COMPACT);
    if (!known)
        assert_string_equal(text, "[[],[]]");           /* nothing is left behind by a failed attempt */
    assert_string_equal(known ? text : "?", expected);
    free(text);
    json_decref(both);
    sandbox_cond_free(c);
}

static void hints(void **state)
{
    int64_t low, high;
    (void)state;
    check_strings("{\"id\":\"a\"}", "id", "[[\"a\"],[]]");
    check_strings("{\"and\":[{\"x\":1},{\"or\":[{\"id\":\"a\"},{\"id\":{\"inq\":[\"b\",\"c\"]}}]}]}", "id", "[[\"a\",\"b\",\"c\"],[]]");
    check_strings("{\"or\":[{\"id\":\"a\"},{\"x\":1}]}", "id", "?");
    check_strings("{\"id\":{\"neq\":\"a\"}}", "id", "?");
    check_strings("{\"documents\":{\"elemMatch\":{\"number\":\"N\",\"type\":\"T\"}}}", "documents.number", "[[\"N\"],[]]");
    check_strings("{\"documents.number\":{\"inq\":[\"N\",\"M\"]}}", "documents.number", "[[\"N\",\"M\"],[]]");
    check_strings("{\"sampleIdentifier\":\"2026-11-09\"}", "sampleIdentifier", "?");
    check_strings("{\"or\":[{\"id\":\"a\"},{\"visualId\":\"V\"},{\"id\":\"b\"}]}", "id", "[[\"a\",\"b\"],[\"V\"]]");
    check_strings("{\"and\":[{\"or\":[{\"id\":\"a\"},{\"x\":1}]},{\"visualId\":\"V\"}]}", "id", "[[],[\"V\"]]");
    check_strings("{\"or\":[{\"visualId\":\"V\"},{\"documents\":{\"elemMatch\":{\"type\":\"T\",\"number\":\"N\"}}}]}", "documents.number", "[[\"N\"],[\"V\"]]");
    check_strings("{\"documents\":{\"elemMatch\":{\"visualId\":\"V\"}}}", "id", "?");
    /* the keyset cursor: both arms bound updatedAt from below */
    struct sandbox_cond *c = compile("{\"or\":[{\"updatedAt\":{\"gt\":\"2026-11-09T10:00:00.500Z\"}},{\"and\":[{\"updatedAt\":\"2026-11-09T10:00:00.500Z\"},{\"id\":{\"gt\":\"p\"}}]}]}");
    assert_true(sandbox_cond_range(c, "updatedAt", &low, &high));
    assert_true(low == 1794218400500 && high == INT64_MAX);
    assert_false(sandbox_cond_range(c, "dbUpdatedAt", &low, &high));
    sandbox_cond_free(c);
    c = compile("{\"or\":[{\"updatedAt\":{\"gt\":\"2026-11-09T10:00:00.500Z\"}},{\"id\":\"x\"}]}");
    assert_false(sandbox_cond_range(c, "updatedAt", &low, &high));
    sandbox_cond_free(c);
    c = compile("{\"dob\":{\"gte\":\"1990-05-04\",\"lt\":\"1990-05-05\"}}");
    assert_true(sandbox_cond_range(c, "dob", &low, &high));
    assert_true(low == 641779200000 && high == 641865600000);
    sandbox_cond_free(c);
}

static char *page(const char *filter, const char *default_order)
{
    struct sandbox_filter f;
    struct err e = ERR_INIT;
    json_t *fj = json_loads(filter, 0, NULL), *out = json_array(), *doc;
    json_t *docs = json_loads("[{\"id\":\"c\",\"n\":2,\"s\":\"b\"},{\"id\":\"a\",\"n\":1,\"s\":\"b\"},{\"id\":\"d\",\"s\":\"a\"},{\"id\":\"b\",\"n\":10,\"s\":null}]", 0, NULL);
    size_t i;
    assert_int_equal(sandbox_filter_init(&f, fj, false, &e), 0);
    json_t *p = sandbox_filter_page(&f, docs, default_order);
    json_array_foreach(p, i, doc)
        json_array_append_new(out, sandbox_filter_project(&f, doc));
    char *text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    json_decref(p);
    json_decref(docs);
    json_decref(fj);
    sandbox_filter_clear(&f);
    return text;
}

static void check_page(const char *filter, const char *default_order, const char *expected)
{
    char *text = page(filter, default_order);
    assert_string_equal(text, expected);
    free(text);
}

static void order_limit_fields(void **state)
{
    struct sandbox_filter f;
    struct err e = ERR_INIT;
    (void)state;
    check_page("{\"fields\":[\"id\"]}", NULL, "[{\"id\":\"c\"},{\"id\":\"a\"},{\"id\":\"d\"},{\"id\":\"b\"}]");
    check_page("{\"fields\":[\"id\"]}", "s,id", "[{\"id\":\"b\"},{\"id\":\"d\"},{\"id\":\"a\"},{\"id\":\"c\"}]");
    check_page("{\"fields\":{\"id\":true},\"order\":\"n DESC\"}", "id", "[{\"id\":\"b\"},{\"id\":\"c\"},{\"id\":\"a\"},{\"id\":\"d\"}]");
    check_page("{\"fields\":[\"id\"],\"order\":[\"s ASC\",\"id DESC\"],\"limit\":2,\"skip\":1}", "id", "[{\"id\":\"d\"},{\"id\":\"c\"}]");
    check_page("{\"fields\":[\"id\"],\"limit\":\"1\",\"offset\":3}", NULL, "[{\"id\":\"b\"}]");
    check_page("{\"fields\":[\"id\"],\"limit\":-1,\"skip\":3}", NULL, "[{\"id\":\"b\"}]");
    check_page("{\"fields\":{\"id\":false,\"s\":false},\"limit\":1}", NULL, "[{\"n\":2}]");
    check_page("{\"limit\":1,\"skip\":9}", NULL, "[]");
    json_t *fj = json_loads("{\"order\":[\"updatedAt ASC\",\"id ASC\"]}", 0, NULL);
    assert_int_equal(sandbox_filter_init(&f, fj, false, &e), 0);
    assert_true(sandbox_filter_is_cursor(&f, "updatedAt"));
    assert_false(sandbox_filter_is_cursor(&f, "dbUpdatedAt"));
    sandbox_filter_clear(&f);
    json_decref(fj);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching), cmocka_unit_test(rewritten_values_never_match), cmocka_unit_test(errors), cmocka_unit_test(hints), cmocka_unit_test(order_limit_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
