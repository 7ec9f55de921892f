/*
 * NAME test_godata_case - identity, body, a new person's additions, and what an update may change. Pure.
 * [item 133]: classification SUSPECT and exactly one usual place of residence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "godata_case.h"

#define LIT(s) SPAN_LIT(s)
#define P "LNG_REFERENCE_DATA_CATEGORY_"

static struct rec_message message = {.format = REC_HL7V2};
static struct rec_id ids[] = {
    {.value = {"MR-1", 4}, .authority = {"CLINIC", 6}, .type = {"MR", 2}},
    {.value = {"CF-1", 4}, .authority = {"UGA", 3}, .type = {"NI", 2}},
    {.value = {"V-9", 3}, .authority = {"CLINIC", 6}, .type = {"VN", 2}},
};
static struct rec_address places[] = {{.city = {"Office", 6}, .use = {"B", 1}}, {.city = {"Kampala", 7}, .use = {"H", 1}}};
static char outbreak[] = "Ebola 2026";
static struct godata_options options = {.outbreak = outbreak};

static struct record record_of(size_t n_ids)
{
    struct record r = {.message = &message};
    r.patient = (struct rec_patient){.ids = {ids, n_ids}, .is_present = true, .address = {places, 2}};
    record_patient_home(&r.patient);
    r.specimen.id = LIT("S-1");
    return r;
}

static struct person_data ruth(void)
{
    return (struct person_data){.first_name = LIT("Ruth"), .last_name = LIT("Nakato \"N\""), .gender = LIT("FEMALE"), .dob = LIT("1995-06-07T00:00:00.000Z"),
                                .city = LIT("Kampala"), .phone_number = LIT("+256 700"), .age = LIT("31")};
}

static json_t *body_of(const struct record *r, const struct person_data *p)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    godata_case_format(&b, &options, r, p);
    json_t *out = json_loads(b.p, JSON_REJECT_DUPLICATES, NULL);
    if (!out)
        fail_msg("no JSON: %s", b.p);
    buf_clear(&b);
    return out;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void test_identity(void **state)
{
    (void)state;
    char a[65], b[65], uuid[GODATA_UUID_BYTES];
    struct record all = record_of(3), mr = record_of(1), nobody = record_of(0);
    struct godata_match_key by_card = {.role = GODATA_BY_DOCUMENT, .document = (char[]){"NATIONAL_ID_CARD"}};
    struct godata_options o = options;
    assert_true(godata_case_identity(&options, &all, a));
    assert_true(godata_case_identity(&options, &mr, b));
    assert_string_equal(a, b);              /* the first document of the message, whatever else stands there */
    o.match = (struct godata_match){&by_card, 1};
    assert_true(godata_case_identity(&o, &all, b));
    assert_string_not_equal(a, b);          /* the first that `match` looks for */
    godata_case_uuid(a, uuid);
    assert_true(godata_is_uuid(span_of(uuid)));
    assert_int_equal(uuid[14], '8');
    assert_true(godata_case_identity(&options, &nobody, b));     /* by the sample */
    assert_string_not_equal(a, b);
    nobody.specimen.id = SPAN_ABSENT;
    assert_false(godata_case_identity(&options, &nobody, b));
    assert_string_equal(b, "");
    all.patient.family_name = LIT("Other");
    all.specimen.id = LIT("S-2");
    assert_true(godata_case_identity(&options, &all, b));
    assert_string_equal(a, b);              /* never the name, the sample or the message */
    o.outbreak = (char[]){"Cholera 2026"};
    o.match.n = 0;
    assert_true(godata_case_identity(&o, &all, b));
    assert_string_not_equal(a, b);
}

static void test_body(void **state)
{
    (void)state;
    struct record r = record_of(3);
    struct person_data p = ruth();
    json_t *b = body_of(&r, &p), *v;
    size_t i, usual = 0;
    assert_string_equal(text(b, "lastName"), "Nakato \"N\"");
    assert_string_equal(text(b, "gender"), P "GENDER_FEMALE");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(b, "age"), "years")), 31);
    assert_null(json_object_get(b, "classification"));           /* only of a new one, or by rule */
    assert_null(json_object_get(b, "outcomeId"));
    assert_int_equal(json_array_size(json_object_get(b, "documents")), 2);  /* a visit number is none */
    json_array_foreach(json_object_get(b, "addresses"), i, v)
        usual += strcmp(text(v, "typeId"), P "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE") == 0;
    assert_int_equal(usual, 1);
    assert_int_equal(json_array_size(json_object_get(b, "addresses")), 2);
    assert_string_equal(text(json_array_get(json_object_get(b, "addresses"), 0), "city"), "Kampala");
    assert_string_equal(text(json_array_get(json_object_get(b, "addresses"), 1), "city"), "Office");
    json_decref(b);
    p.kind = PERSON_CONTACT;
    p.classification = LIT("CONFIRMED");
    p.date_of_onset = LIT("2026-11-01T00:00:00.000Z");
    b = body_of(&r, &p);
    assert_null(json_object_get(b, "classification"));           /* contacts have none */
    assert_null(json_object_get(b, "dateOfOnset"));
    json_decref(b);
    /* a telephone and no address: one address that holds it; nothing at all: no address */
    r.patient.address.n = 0;
    p.city = SPAN_ABSENT;
    b = body_of(&r, &p);
    assert_int_equal(json_array_size(json_object_get(b, "addresses")), 1);
    json_decref(b);
    p.phone_number = SPAN_ABSENT;
    b = body_of(&r, &p);
    assert_null(json_object_get(b, "addresses"));
    json_decref(b);
}

static void test_a_new_one(void **state)
{
    (void)state;
    static const struct { const char *body; bool is_enough; } rows[] = {
        {"{\"firstName\":\"A\",\"dob\":\"1990-01-01T00:00:00.000Z\"}", true}, {"{\"lastName\":\"A\",\"gender\":\"F\"}", true},
        {"{\"lastName\":\"A\",\"documents\":[{\"number\":\"1\"}]}", true},    {"{\"lastName\":\"A\"}", false},
        {"{\"dob\":\"1990-01-01T00:00:00.000Z\",\"gender\":\"F\"}", false},   {"{\"lastName\":\"\",\"gender\":\"F\"}", false},
    };
    json_t *fresh = json_pack("{ssss}", "id", "u-1", "type", "case"), *contact = json_pack("{ssss}", "id", "u-1", "type", "contact"), *none = json_pack("{ss}", "type", "case");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *b = json_loads(rows[i].body, 0, NULL);
        assert_int_equal(godata_case_complete(b, fresh, LIT("CA-YYYY-99999"), "2026-11-21T10:00:00.000Z"), rows[i].is_enough);
        if (rows[i].is_enough) {
            assert_string_equal(text(b, "classification"), P "CASE_CLASSIFICATION_SUSPECT");
            assert_string_equal(text(b, "dateOfReporting"), "2026-11-21T00:00:00.000Z");
            assert_true(json_is_true(json_object_get(b, "isDateOfReportingApproximate")));
            assert_string_equal(text(b, "visualId"), "CA-2026-99999");
            assert_string_equal(text(b, "id"), "u-1");
        }
        json_decref(b);
    }
    json_t *b = json_loads("{\"lastName\":\"A\",\"gender\":\"F\",\"classification\":\"X\"}", 0, NULL);
    assert_false(godata_case_complete(b, none, SPAN_ABSENT, "2026-11-21"));     /* without an id of its own it could be made twice */
    assert_true(godata_case_complete(b, fresh, LIT("*"), "2026-11-21"));
    assert_string_equal(text(b, "classification"), "X");                        /* a rule said so */
    assert_null(json_object_get(b, "visualId"));
    json_decref(b);
    b = json_loads("{\"lastName\":\"A\",\"gender\":\"F\"}", 0, NULL);
    assert_true(godata_case_complete(b, contact, SPAN_ABSENT, "2026-11-21"));
    assert_null(json_object_get(b, "classification"));
    json_decref(b);
    json_decref(fresh);
    json_decref(contact);
    json_decref(none);
}

static void test_masks(void **state)
{
    (void)state;
    static const struct { const char *mask, *said; } rows[] = {
        {"CA-9999999999", "CA-9999999999"}, {"YYYY/99", "2026/99"}, {"", NULL}, {"*", NULL}, {"&&&&", NULL}, {"AB@-99", NULL}, {"CASE", NULL}, {"CA-00-99", "CA-00-99"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b;
        buf_init(&b, 256);
        bool is_made = godata_case_visual_id(&b, span_of(rows[i].mask), LIT("2026-11-21"));
        assert_int_equal(is_made, rows[i].said != NULL);
        if (is_made)
            assert_true(span_is(buf_span(&b), rows[i].said));
        buf_clear(&b);
    }
}

/* now, last, want, fields that may change, forced: what is sent, what the sender changed, what a person edited */
static void test_compare(void **state)
{
    (void)state;
#define ADDRESS(more) "\"addresses\":[{\"typeId\":\"" P "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE\"" more "}]"
    static const struct { const char *now, *last, *want, *update; bool is_forced; const char *sent, *changed, *edited; } rows[] = {
        /* empty is filled */
        {"{}", NULL, "{\"firstName\":\"A\"}", "[]", false, "{\"firstName\":\"A\"}", "", ""},
        {"{\"firstName\":\"\"}", NULL, "{\"firstName\":\"A\"}", "[]", false, "{\"firstName\":\"A\"}", "", ""},
        {"{\"age\":{}}", NULL, "{\"age\":{\"years\":3,\"months\":0}}", "[]", false, "{\"age\":{\"years\":3,\"months\":0}}", "", ""},
        /* the same, and a day with another time of it, are no news */
        {"{\"firstName\":\"A\",\"dob\":\"1990-01-01T00:00:00.000Z\"}", NULL, "{\"firstName\":\"A\",\"dob\":\"1990-01-01T09:00:00.000Z\"}", "[]", false, "{}", "", ""},
        /* what stands otherwise stays when nobody said more */
        {"{\"firstName\":\"A\",\"riskReason\":\"x\"}", NULL, "{\"firstName\":\"B\",\"riskReason\":\"y\"}", "[]", false, "{}", "", ""},
        /* said before: whoever changed it, or emptied it, has decided */
        {"{\"firstName\":\"C\"}", "{\"firstName\":\"B\"}", "{\"firstName\":\"B\"}", "[\"firstName\"]", false, "{}", "", ""},
        {"{}", "{\"firstName\":\"B\"}", "{\"firstName\":\"B\"}", "[\"firstName\"]", false, "{}", "", ""},
        /* the sender changed who it is */
        {"{\"firstName\":\"A\"}", "{\"firstName\":\"A\"}", "{\"firstName\":\"B\"}", "[]", false, "{}", "firstName", ""},
        {"{\"firstName\":\"A\"}", "{\"firstName\":\"A\"}", "{\"firstName\":\"B\"}", "[]", true, "{\"firstName\":\"B\"}", "", ""},
        {"{\"firstName\":\"A\"}", "{\"firstName\":\"A\"}", "{\"firstName\":\"B\"}", "[\"firstName\"]", false, "{\"firstName\":\"B\"}", "", ""},
        /* … or something else that nobody may replace */
        {"{\"riskReason\":\"x\"}", "{\"riskReason\":\"x\"}", "{\"riskReason\":\"y\"}", "[]", false, "{}", "", ""},
        /* it may be replaced, but a person changed it since */
        {"{\"riskReason\":\"z\"}", "{\"riskReason\":\"x\"}", "{\"riskReason\":\"y\"}", "[\"riskReason\"]", false, "{}", "", "riskReason"},
        {"{\"riskReason\":\"z\"}", NULL, "{\"riskReason\":\"y\"}", "[\"riskReason\"]", false, "{\"riskReason\":\"y\"}", "", ""},
        /* documents are added, never removed, and one that a person removed does not come back */
        {"{\"documents\":[{\"type\":\"a\",\"number\":\"1\"}]}", NULL, "{\"documents\":[{\"type\":\"a\",\"number\":\"1\"},{\"type\":\"b\",\"number\":\"2\"}]}", "[]", false,
         "{\"documents\":[{\"type\":\"a\",\"number\":\"1\"},{\"type\":\"b\",\"number\":\"2\"}]}", "", ""},
        {"{\"documents\":[]}", "{\"documents\":[{\"type\":\"a\",\"number\":\"1\"}]}", "{\"documents\":[{\"type\":\"a\",\"number\":\"1\"}]}", "[]", false, "{}", "", ""},
        /* one usual place: completed, made, replaced; the others stand */
        {"{" ADDRESS(",\"city\":\"K\"") "}", NULL, "{" ADDRESS(",\"city\":\"J\",\"phoneNumber\":\"1\"") "}", "[]", false, "{" ADDRESS(",\"city\":\"K\",\"phoneNumber\":\"1\"") "}", "", ""},
        {"{\"addresses\":[{\"typeId\":\"other\"}]}", NULL, "{" ADDRESS(",\"city\":\"J\"") "}", "[]", false,
         "{\"addresses\":[{\"typeId\":\"other\"},{\"typeId\":\"" P "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE\",\"city\":\"J\"}]}", "", ""},
        {"{" ADDRESS(",\"city\":\"K\"") "}", "{" ADDRESS(",\"city\":\"K\"") "}", "{" ADDRESS(",\"city\":\"J\"") "}", "[\"city\"]", false, "{" ADDRESS(",\"city\":\"J\"") "}", "", ""},
        {"{}", "{" ADDRESS(",\"city\":\"K\"") "}", "{" ADDRESS(",\"city\":\"K\"") "}", "[]", false, "{}", "", ""},
    };
#undef ADDRESS
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *now = json_loads(rows[i].now, 0, NULL), *last = rows[i].last ? json_loads(rows[i].last, 0, NULL) : NULL, *want = json_loads(rows[i].want, 0, NULL);
        json_t *update = json_loads(rows[i].update, 0, NULL), *sent = json_loads(rows[i].sent, 0, NULL);
        struct godata_case_patch p;
        assert_true(now && want && update && sent);
        godata_case_compare(now, last, want, update, rows[i].is_forced, &p);
        if (!json_equal(p.body, sent) || strcmp(p.changed, rows[i].changed) != 0 || strcmp(p.edited, rows[i].edited) != 0)
            fail_msg("row %zu: %s, changed \"%s\", edited \"%s\"", i, json_dumps(p.body, 0), p.changed, p.edited);
        json_decref(p.body);
        json_decref(sent);
        json_decref(update);
        json_decref(want);
        json_decref(last);
        json_decref(now);
    }
}

static void test_contradictions(void **state)
{
    (void)state;
    static const struct { const char *who, *person; bool is_other; } rows[] = {
        {"{}", "{\"lastName\":\"A\"}", false},
        {"{\"birth_date\":\"1990-01-01\"}", "{\"dob\":\"1990-01-02T00:00:00.000Z\"}", true},
        {"{\"birth_date\":\"1990\"}", "{\"dob\":\"1991-01-02T00:00:00.000Z\"}", false},
        {"{\"sex\":\"F\"}", "{\"gender\":\"" P "GENDER_MALE\"}", true},
        {"{\"sex\":\"U\"}", "{\"gender\":\"" P "GENDER_MALE\"}", false},
        {"{\"family\":\"Nakato\"}", "{\"lastName\":\"Okello\"}", true},
        {"{\"family\":\"Nakato Ssali\"}", "{\"lastName\":\"Ssali\"}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *who = json_loads(rows[i].who, 0, NULL), *person = json_loads(rows[i].person, 0, NULL);
        if (godata_case_contradicts(who, person) != rows[i].is_other)
            fail_msg("row %zu", i);
        json_decref(who);
        json_decref(person);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity), cmocka_unit_test(test_body), cmocka_unit_test(test_a_new_one),
        cmocka_unit_test(test_masks), cmocka_unit_test(test_compare), cmocka_unit_test(test_contradictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
