/*
 * NAME test_godata_whose - what a message says of a person, and what is told about it. Pure. The persons are invented.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "godata_whose.h"

static const struct godata_options all_keys = {.url = NULL};

static void put(struct godata_people *p, const char *id, const char *visual, const char *last, const char *first, const char *dob, char sex, const char *answer)
{
    const struct godata_document d = {SPAN_LIT("?nic"), span_of(answer)};
    struct godata_person x = {.id = span_of(id), .visual_id = span_of(visual), .last = span_of(last), .first = span_of(first), .type = GODATA_CASE, .sex = sex,
                              .documents = &d, .n_documents = answer ? 1 : 0};
    assert_true(godata_born_date(span_of(dob), &x.born));
    godata_people_put(p, &x);
}

static struct godata_people *some_people(void)
{
    struct godata_people *p = godata_people_new();
    put(p, "p1", "CASE-0001", "Okello", "Grace", "1990-02-03", 'F', "NIC77");
    put(p, "p2", "CASE-0002", "Mutombo", "Jean", "1985-07-09", 'M', NULL);
    return p;
}

static void test_an_answer_finds_its_person(void **state)
{
    struct godata_people *p = some_people();
    struct godata_people_match m;
    struct godata_whose x;
    (void)state;
    godata_whose_init(&x, &all_keys, "{\"ids\":[{\"role\":\"questionnaire\",\"document\":\"nic\",\"value\":\"NIC77\"}],\"family\":\"Okello\",\"birth_date\":\"1990-02-03\",\"sex\":\"F\"}");
    godata_people_match(p, &x.subject, &m);
    assert_int_equal(m.state, GODATA_MATCH_SURE);
    assert_true(span_is(m.candidates[0].person->id, "p1"));
    godata_whose_clear(&x);
    godata_whose_init(&x, &all_keys, "{\"ids\":[{\"role\":\"questionnaire\",\"document\":\"age\",\"value\":\"NIC77\"}]}");
    godata_people_match(p, &x.subject, &m);
    assert_int_equal(m.state, GODATA_MATCH_NOBODY);
    godata_whose_clear(&x);
    godata_people_free(p);
}

/* Names, full birth date and sex of one person alone; anything less, or a second one, is for a person to decide. */
static void test_strong(void **state)
{
    static const struct { const char *who; bool is_strong; } rows[] = {
        {"{\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-07-09\",\"sex\":\"M\"}", true},
        {"{\"family\":\"Jean\",\"given\":\"Mutombo\",\"birth_date\":\"1985-07-09\",\"sex\":\"M\"}", true},
        {"{\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-07-09\"}", false},
        {"{\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-07\",\"sex\":\"M\"}", false},
        {"{\"family\":\"Mutombo\",\"birth_date\":\"1985-07-09\",\"sex\":\"M\"}", false},
        {"{\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-09-07\",\"sex\":\"M\"}", false},
        {"{\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-07-09\",\"sex\":\"M\",\"flags\":[\"ANONYMOUS\"]}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct godata_people *p = some_people();
        struct godata_people_match m;
        struct godata_whose x;
        godata_whose_init(&x, &all_keys, rows[i].who);
        godata_people_match(p, &x.subject, &m);
        if ((godata_whose_strong(&x.subject, &m) != NULL) != rows[i].is_strong)
            fail_msg("row %zu", i);
        put(p, "p3", "CASE-0003", "Mutombo", "Jean", "1985-07-09", 'M', NULL);  /* a twin, or a case entered twice */
        godata_people_match(p, &x.subject, &m);
        assert_null(godata_whose_strong(&x.subject, &m));
        godata_whose_clear(&x);
        godata_people_free(p);
    }
}

static void test_near(void **state)
{
    const int64_t window = INT64_C(60) * 86400 * 1000000;
    (void)state;
    assert_true(godata_whose_is_near(SPAN_LIT("2026-05-03"), SPAN_LIT("2026-03-04T00:00:00.000Z"), window));
    assert_false(godata_whose_is_near(SPAN_LIT("2026-05-04"), SPAN_LIT("2026-03-04T00:00:00.000Z"), window));
    assert_true(godata_whose_is_near(SPAN_LIT("2026-03-04"), SPAN_LIT("2026-05-03"), window));
    assert_false(godata_whose_is_near(SPAN_LIT("2026-03-04"), SPAN_ABSENT, window));
    assert_false(godata_whose_is_near(SPAN_LIT("2026-03"), SPAN_LIT("2026-03-04"), window));
}

static void test_evidence(void **state)
{
    struct godata_people *p = some_people();
    struct godata_people_match m;
    struct godata_whose x;
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 16);
    godata_whose_init(&x, &all_keys, "{\"ids\":[{\"role\":\"visual-id\",\"value\":\"CASE-0002\"}],\"family\":\"Mutombo\",\"given\":\"Jean\",\"birth_date\":\"1985-07-19\",\"sex\":\"M\"}");
    godata_people_match(p, &x.subject, &m);
    assert_int_equal(m.state, GODATA_MATCH_CONFLICT);
    godata_whose_evidence(p, &x.subject, &m, &b);
    json_t *j = json_loads(b.p, 0, NULL);
    assert_non_null(j);
    const char *why = json_string_value(json_object_get(j, "why"));
    assert_non_null(why);
    assert_non_null(strstr(why, "the birth date in the message is 1985-07-19, in Go.Data 1985-07-09"));
    const json_t *c = json_array_get(json_object_get(j, "candidates"), 0);
    assert_string_equal(json_string_value(json_object_get(c, "visual_id")), "CASE-0002");
    assert_string_equal(json_string_value(json_array_get(json_object_get(c, "agreed"), 0)), "visual-id");
    assert_string_equal(json_string_value(json_object_get(json_object_get(c, "family_name"), "is")), "the same");
    assert_string_equal(json_string_value(json_object_get(json_object_get(c, "birth_date"), "godata")), "1985-07-09");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(j, "looked_for"), 0), "found")), 1);
    json_decref(j);
    buf_clear(&b);
    godata_whose_clear(&x);
    godata_people_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_an_answer_finds_its_person), cmocka_unit_test(test_strong), cmocka_unit_test(test_near),
                                       cmocka_unit_test(test_evidence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
