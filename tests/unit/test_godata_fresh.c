/*
 * NAME test_godata_fresh - what was written since the mirror was brought up to date; and reading our own bodies without parsing them. Pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "godata_build.h"
#include "godata_fresh.h"

static bool put(struct godata_fresh *f, const char *id, const char *person, const char *sample, int64_t us)
{
    const struct godata_mirror_lab lab = {id, person, "case", sample, "Ebola virus", "RT_PCR", "", "01234567", "2026-05-04", "2026-05-05"};
    return godata_fresh_put(f, &lab, us);
}

static size_t count(const struct godata_fresh *f, const char *person, const char *sample)
{
    size_t n = 0, at = 0;
    const struct godata_mirror_lab *lab;
    while ((lab = person ? godata_fresh_of_person(f, span_of(person), &at) : godata_fresh_of_sample(f, span_of(sample), &at)) != NULL) {
        assert_string_equal(person ? lab->person_id : lab->sample, person ? person : sample);
        n++;
    }
    return n;
}

static void test_put_find_prune(void **state)
{
    struct godata_fresh *f = godata_fresh_new();
    char id[16], person[16], sample[16];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(id, sizeof id, "l%d", i);
        (void)snprintf(person, sizeof person, "p%d", i % 4000);
        (void)snprintf(sample, sizeof sample, "s%d", i);
        assert_true(put(f, id, person, sample, i));
    }
    assert_int_equal(count(f, "p17", NULL), 5);
    assert_int_equal(count(f, NULL, "s4017"), 1);
    assert_int_equal(count(f, "p4000", NULL), 0);
    assert_int_equal(count(f, NULL, ""), 0);
    godata_fresh_prune(f, 8000);
    assert_int_equal(godata_fresh_count(f), 12000);
    assert_int_equal(count(f, "p17", NULL), 3);
    assert_int_equal(count(f, NULL, "s17"), 0);
    assert_int_equal(count(f, NULL, "s8017"), 1);
    godata_fresh_prune(f, 8000);
    assert_int_equal(godata_fresh_count(f), 12000);
    godata_fresh_prune(f, 100000);
    assert_int_equal(godata_fresh_count(f), 0);
    assert_int_equal(godata_fresh_written(f), 20000);
    godata_fresh_free(f);
    godata_fresh_free(NULL);
}

/* What found no room is unknown until a round has shown it. */
static void test_full(void **state)
{
    struct godata_fresh *f = godata_fresh_new();
    (void)state;
    for (size_t i = 0; i < GODATA_FRESH_MAX; i++)
        assert_true(put(f, "l", "p", "s", 5));
    assert_true(godata_fresh_is_whole(f));
    assert_false(put(f, "l", "p", "s", 7));
    assert_false(godata_fresh_is_whole(f));
    godata_fresh_prune(f, 6);
    assert_int_equal(godata_fresh_count(f), 0);
    assert_false(godata_fresh_is_whole(f));
    godata_fresh_prune(f, 8);
    assert_true(godata_fresh_is_whole(f));
    godata_fresh_free(f);
}

static void test_body_text(void **state)
{
    static const char body[] = "{\"sampleIdentifier\":\"S1\",\"questionnaireAnswers\":{\"result\":[{\"value\":\"a}\\\"]b\"}]},\"sequence\":{\"hasSequence\":true},\"n\":12,"
                               "\"notes\":\"[labrelay x]\\nresult \\\"x\\\"\",\"result\":\"POSITIVE\",\"testType\":\"\"}";
    struct span v;
    (void)state;
    assert_true(godata_body_text(body, "sampleIdentifier", &v) && span_is(v, "S1"));
    assert_true(godata_body_text(body, "result", &v) && span_is(v, "POSITIVE"));
    assert_true(godata_body_text(body, "testType", &v) && span_is(v, ""));
    assert_true(godata_body_text(body, "testedFor", &v) && span_is_absent(v));
    assert_true(godata_body_text(body, "n", &v) && span_is_absent(v));
    assert_true(godata_body_text(body, "hasSequence", &v) && span_is_absent(v));
    assert_false(godata_body_text(body, "notes", &v));          /* has escapes */
    assert_true(godata_body_text("{}", "x", &v) && span_is_absent(v));
    static const char *const broken[] = {"", "[]", "{\"a\"", "{\"a\":", "{\"a\":\"b", "{\"a\":\"b\\", "{\"b\":{\"c\":1", "{\"b\":\"c\"", "{\"b\" :\"c\"}", "{\"b\":\"c\"x"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_false(godata_body_text(broken[i], "a", &v));
    assert_false(godata_body_text(NULL, "a", &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_put_find_prune), cmocka_unit_test(test_full), cmocka_unit_test(test_body_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
