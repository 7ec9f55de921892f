/*
 * NAME test_godata_match - whose result is it, decided on canned answers; and names compared after folding. Pure.
 * The persons are invented. [item N]: STANDARDS section 10.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "godata_name.h"
#include "godata_work.h"

#define DOC "LNG_REFERENCE_DATA_CATEGORY_DOCUMENT_TYPE_"
#define SEX "LNG_REFERENCE_DATA_CATEGORY_GENDER_"
#define ANA "{\"id\":\"a\",\"visualId\":\"V1\",\"firstName\":\"Ana\",\"lastName\":\"Nzé-Obiang\",\"dob\":\"1990-02-03T00:00:00.000Z\",\"gender\":\"" SEX "FEMALE\"," \
            "\"documents\":[{\"type\":\"" DOC "PASSPORT\",\"number\":\"P1\"},{\"type\":\"" DOC "NATIONAL_ID_CARD\",\"number\":\"001\"}]}"
#define BEN "{\"id\":\"b\",\"visualId\":\"V2\",\"lastName\":\"Ben\",\"documents\":[{\"type\":\"" DOC "NATIONAL_ID_CARD\",\"number\":\"P1\"}]}"
#define LAB(person, taken, created) "{\"id\":\"l\",\"personId\":\"" person "\",\"personType\":\"LNG_REFERENCE_DATA_CATEGORY_PERSON_TYPE_CASE\",\"sampleIdentifier\":\"S1\"" taken ",\"createdAt\":\"" created "T09:00:00.000Z\"}"
#define VISUAL(v) "{\"role\":\"visual-id\",\"value\":\"" v "\"}"
#define PASS(v) "{\"role\":\"document\",\"document\":\"PASSPORT\",\"value\":\"" v "\"}"
#define CARD(v) "{\"role\":\"document\",\"document\":\"NATIONAL_ID_CARD\",\"value\":\"" v "\"}"
#define ANSWER(v) "{\"role\":\"questionnaire\",\"document\":\"nic\",\"value\":\"" v "\"}"
#define WHO(ids, more) "{\"ids\":[" ids "]" more "}"
#define SAMPLE(day) ",\"sample\":\"S1\",\"sample_day\":\"" day "\""

struct row { const char *what, *who, *cases, *contacts, *others, *samples, *reason, *id; bool is_contact_ok; };

static const struct row rows[] = {
    {"visual id", WHO(VISUAL("V1"), ""), "[" ANA "]", "[]", NULL, NULL, NULL, "a", false},
    {"document of the type", WHO(PASS("P1"), ""), "[" ANA "," BEN "]", "[]", NULL, NULL, NULL, "a", false},
    {"the server answers too much: exact comparison decides", WHO(VISUAL("V1"), ""), "[" ANA "," BEN "]", "[" BEN "]", NULL, NULL, NULL, "a", false},
    {"case matters", WHO(VISUAL("v1"), ""), "[" ANA "]", "[]", NULL, NULL, "NO_MATCH", NULL, false},
    {"leading zeros matter", WHO(CARD("1"), ""), "[" ANA "]", "[]", NULL, NULL, "NO_MATCH", NULL, false},
    {"two keys, one person", WHO(VISUAL("V1") "," CARD("001"), ""), "[" ANA "]", "[]", NULL, NULL, NULL, "a", false},
    {"two keys, two persons", WHO(VISUAL("V1") "," CARD("P1"), ""), "[" ANA "," BEN "]", "[]", NULL, NULL, "IDENTITY_CONFLICT", NULL, false},
    {"one key, two persons", WHO(VISUAL("V1"), ""), "[" ANA ",{\"id\":\"c\",\"visualId\":\"V1\"}]", "[]", NULL, NULL, "AMBIGUOUS_PERSON", NULL, false},
    {"a case and a contact with one document", WHO(PASS("P1"), ""), "[" ANA "]", "[{\"id\":\"c\",\"documents\":[{\"type\":\"" DOC "PASSPORT\",\"number\":\"P1\"}]}]", NULL, NULL, "AMBIGUOUS_PERSON", NULL, true},
    {"the same person in both lists was converted between the requests", WHO(VISUAL("V1"), ""), "[" ANA "]", "[" ANA "]", NULL, NULL, NULL, "a", false},
    {"deleted persons do not count", WHO(VISUAL("V9"), ""), "[{\"id\":\"d\",\"visualId\":\"V9\",\"deleted\":true}]", "[]", NULL, NULL, "NO_MATCH", NULL, false},
    {"birth date differs", WHO(VISUAL("V1"), ",\"birth_date\":\"1990-03-02\""), "[" ANA "]", "[]", NULL, NULL, "IDENTITY_CONFLICT", NULL, false},
    {"a month only cannot differ", WHO(VISUAL("V1"), ",\"birth_date\":\"1991-03\""), "[" ANA "]", "[]", NULL, NULL, NULL, "a", false},
    {"sex differs", WHO(VISUAL("V1"), ",\"sex\":\"M\""), "[" ANA "]", "[]", NULL, NULL, "IDENTITY_CONFLICT", NULL, false},
    {"unknown sex cannot differ", WHO(VISUAL("V1"), ",\"sex\":\"U\""), "[" ANA "]", "[]", NULL, NULL, NULL, "a", false},
    {"name differs", WHO(VISUAL("V1"), ",\"family\":\"Mba\""), "[" ANA "]", "[]", NULL, NULL, "IDENTITY_CONFLICT", NULL, false},
    {"one common name is enough", WHO(VISUAL("V1"), ",\"family\":\"OBIANG\""), "[" ANA "]", "[]", NULL, NULL, NULL, "a", false},
    {"contact, shown", WHO(VISUAL("V2"), ""), "[]", "[" BEN "]", NULL, NULL, NULL, "b", true},
    {"contact, not shown", WHO(VISUAL("V2"), ""), "[]", "[" BEN "]", NULL, NULL, "CONTACT_RESULTS_OFF", NULL, false},
    {"contact of a contact", WHO(VISUAL("V2"), ""), "[]", "[]", "[" BEN "]", NULL, "CONTACT_OF_CONTACT", NULL, true},
    {"answer to a question", WHO(ANSWER("NIC77"), ""), "[{\"id\":\"q\",\"questionnaireAnswers\":{\"nic\":[{\"value\":\"NIC77\"}]}}]", "[]", NULL, NULL, NULL, "q", false},
    {"a number as an answer", WHO(ANSWER("77"), ""), "[{\"id\":\"q\",\"questionnaireAnswers\":{\"nic\":[{\"value\":77}]}}]", "[]", NULL, NULL, NULL, "q", false},
    {"an answer to another question", WHO(ANSWER("77"), ""), "[{\"id\":\"q\",\"questionnaireAnswers\":{\"age\":[{\"value\":77}]}}]", "[]", NULL, NULL, "NO_MATCH", NULL, false},
    {"nobody", WHO(VISUAL("V7"), ""), "[]", "[]", "[]", NULL, "NO_MATCH", NULL, false},
    {"no answers at all", WHO(VISUAL("V7"), ""), NULL, NULL, NULL, NULL, "NO_MATCH", NULL, false},
    {"not searchable", WHO(VISUAL("2026-05-04"), ""), "[{\"id\":\"x\",\"visualId\":\"2026-05-04\"}]", "[]", NULL, NULL, "NO_IDENTITY", NULL, false},
    {"nothing to look for", WHO("", ""), "[" ANA "]", "[]", NULL, NULL, "NO_IDENTITY", NULL, false},
    {"role nobody knows", WHO("{\"role\":\"shoe-size\",\"value\":\"V1\"}", ""), "[" ANA "]", "[]", NULL, NULL, "NO_IDENTITY", NULL, false},
    /* sample ids */
    {"sample known", WHO("", SAMPLE("2026-05-04")), "[" ANA "]", "[]", NULL, "[" LAB("a", ",\"dateSampleTaken\":\"2026-05-03T00:00:00.000Z\"", "2026-05-05") "]", NULL, "a", false},
    {"sample of another time", WHO("", SAMPLE("2026-05-04")), "[" ANA "]", "[]", NULL, "[" LAB("a", ",\"dateSampleTaken\":\"2026-03-04T00:00:00.000Z\"", "2026-05-05") "]", "NO_MATCH", NULL, false},
    {"60 days are near enough", WHO("", SAMPLE("2026-05-03")), "[" ANA "]", "[]", NULL, "[" LAB("a", ",\"dateSampleTaken\":\"2026-03-04T00:00:00.000Z\"", "2026-05-05") "]", NULL, "a", false},
    {"without a sample date the record's own counts", WHO("", SAMPLE("2026-05-04")), "[" ANA "]", "[]", NULL, "[" LAB("a", "", "2026-05-05") "]", NULL, "a", false},
    {"sample of two persons", WHO("", SAMPLE("2026-05-04")), "[" ANA "," BEN "]", "[]", NULL, "[" LAB("a", "", "2026-05-05") "," LAB("b", "", "2026-05-05") "]", "AMBIGUOUS_PERSON", NULL, false},
    {"sample against patient id", WHO(VISUAL("V2"), SAMPLE("2026-05-04")), "[" ANA "," BEN "]", "[]", NULL, "[" LAB("a", "", "2026-05-05") "]", "IDENTITY_CONFLICT", NULL, false},
    {"sample of somebody who is not shown", WHO(VISUAL("V2"), SAMPLE("2026-05-04")), "[" BEN "]", "[]", NULL, "[" LAB("z", "", "2026-05-05") "]", "IDENTITY_CONFLICT", NULL, false},
    {"the same, and nobody else", WHO("", SAMPLE("2026-05-04")), "[]", "[]", NULL, "[" LAB("z", "", "2026-05-05") "]", "NO_MATCH", NULL, false},
    {"sample and safety check", WHO("", SAMPLE("2026-05-04") ",\"sex\":\"M\""), "[" ANA "]", "[]", NULL, "[" LAB("a", "", "2026-05-05") "]", "IDENTITY_CONFLICT", NULL, false},
    {"the server answers another sample", WHO("", ",\"sample\":\"S2\""), "[" ANA "]", "[]", NULL, "[" LAB("a", "", "2026-05-05") "]", "NO_MATCH", NULL, false},
};

static json_t *load(const char *text)
{
    if (!text)
        return NULL;
    json_t *v = json_loads(text, 0, NULL);
    assert_non_null(v);
    return v;
}

static void test_rows(void **state)
{
    (void)state;
    const struct godata_options o = {.sample_window_us = INT64_C(60) * 86400 * 1000000};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        json_t *who = load(r->who), *cases = load(r->cases), *contacts = load(r->contacts), *others = load(r->others), *samples = load(r->samples);
        struct godata_found f;
        struct buf evidence;
        buf_init(&evidence, 1 << 16);
        godata_find_decide(&o, who, cases, contacts, others, samples, r->is_contact_ok, "2026-05-04", &f, &evidence);
        if (strcmp(f.reason ? f.reason : "found", r->reason ? r->reason : "found") != 0)
            fail_msg("%s: %s, expected %s\n%s", r->what, f.reason ? f.reason : "found", r->reason ? r->reason : "found", evidence.p);
        assert_int_equal(f.verdict, r->id ? VERDICT_DELIVERED : VERDICT_REJECTED);
        if (r->id)
            assert_string_equal(f.id, r->id);
        json_t *e = load(evidence.p);
        assert_true(json_is_array(json_object_get(e, "candidates")));
        json_decref(e);
        buf_clear(&evidence);
        json_decref(who);
        json_decref(cases);
        json_decref(contacts);
        json_decref(others);
        json_decref(samples);
    }
}

static void test_too_many(void **state)     /* a list as long as its limit may hide another one */
{
    (void)state;
    const struct godata_options o = {0};
    json_t *who = load(WHO(VISUAL("V1"), "")), *cases = load("[" ANA "]");
    for (int i = 0; i < 24; i++)
        json_array_append_new(cases, json_pack("{ss}", "visualId", "V1"));
    struct godata_found f;
    struct buf evidence;
    buf_init(&evidence, 1 << 16);
    godata_find_decide(&o, who, cases, NULL, NULL, NULL, false, "2026-05-04", &f, &evidence);
    assert_string_equal(f.reason, "AMBIGUOUS_PERSON");
    buf_clear(&evidence);
    json_decref(who);
    json_decref(cases);
}

static void test_evidence(void **state)
{
    (void)state;
    const struct godata_options o = {0};
    json_t *who = load(WHO(VISUAL("V1") "," PASS("id"), ",\"birth_date\":\"1990-02-04\",\"sex\":\"F\",\"family\":\"Nze\"")), *cases = load("[" ANA "]");
    struct godata_found f;
    struct buf evidence;
    buf_init(&evidence, 1 << 16);
    godata_find_decide(&o, who, cases, NULL, NULL, NULL, false, "2026-05-04", &f, &evidence);
    assert_string_equal(evidence.p,
        "{\"looked_for\":[{\"by\":\"visual-id\",\"value\":\"V1\",\"found\":1},{\"by\":\"document PASSPORT\",\"value\":\"id\",\"skipped\":\"Go.Data cannot search for this value\"}],"
        "\"candidates\":[{\"id\":\"a\",\"type\":\"case\",\"visual_id\":\"V1\",\"agreed\":[\"visual-id\"],"
        "\"birth_date\":{\"is\":\"different\",\"message\":\"1990-02-04\",\"godata\":\"1990-02-03\"},\"sex\":{\"is\":\"the same\",\"message\":\"F\",\"godata\":\"FEMALE\"},"
        "\"family_name\":{\"is\":\"the same\",\"message\":\"Nze\",\"godata\":\"Nzé-Obiang\"},\"given_name\":{\"is\":\"not known\",\"godata\":\"Ana\"}}]}");
    buf_clear(&evidence);
    json_decref(who);
    json_decref(cases);
}

static void test_fold(void **state)
{
    (void)state;
    static const struct { const char *name, *folded; } cases[] = {
        {"Thérèse", "therese"}, {"N'GUESSAN", "nguessan"}, {"Müller-Lüdenscheid", "muller ludenscheid"}, {"  Ød, Åse. ", "od ase"}, {"Nguyễn Văn Ước", "nguyen van uoc"},
        {"Łukasz Żółć", "lukasz zolc"}, {"Straße", "strasse"}, {"e\xcc\x81", "e"}, {"ИВАНОВ Ёлкин", "иванов ёлкин"}, {"ΑΛΕΞΗΣ", "αλεξησ"}, {"Αλεξης", "αλεξησ"}, {"محمد", "محمد"},
        {"O\xe2\x80\x99" "Brien", "obrien"}, {"", ""}, {" - ", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 256);
        godata_name_fold(span_of(cases[i].name), &b);
        if (!span_is(buf_span(&b), cases[i].folded))
            fail_msg("%s: \"%.*s\", expected \"%s\"", cases[i].name, SPAN_ARG(buf_span(&b)), cases[i].folded);
        buf_clear(&b);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct { const char *a, *b; bool agrees; } cases[] = {
        {"Ilunga", "ILUNGA", true}, {"Nzé", "nze", true}, {"Diallo Barry", "Barry", true}, {"Jean-Pierre", "Jean Pierre", true}, {"JeanPierre", "Jean-Pierre", true},
        {"N'Guessan", "Nguessan", true}, {"Ilunga", "Kabongo", false}, {"de Souza", "de Lima", false}, {"van den Berg", "van den Heuvel", false}, {"bin Ali", "bin Omar", false},
        {"Al Amin", "Al Hassan", false}, {"Le", "Le", true}, {"Li", "Lu", false}, {"", "Ilunga", true}, {"李", "李", true}, {"李", "王", false}, {"محمد", "Mohamed", false},
        {"Ould Ahmed", "Ahmed", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (godata_name_agrees(span_of(cases[i].a), span_of(cases[i].b)) != cases[i].agrees || godata_name_agrees(span_of(cases[i].b), span_of(cases[i].a)) != cases[i].agrees)
            fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_too_many), cmocka_unit_test(test_evidence), cmocka_unit_test(test_fold), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
