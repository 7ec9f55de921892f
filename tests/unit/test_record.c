/* NAME test_record - the field table, the words, the JSON; the golden record of ../shared (LABRELAY_SHARED) */
#include "test_hl7_util.h"

#include <jansson.h>

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < record_fields_n; i++) {
        const struct rec_field *f = &record_fields[i];
        struct span name = span_of(f->name), head;
        assert_ptr_equal(record_field_find(name), f); /* found by name: so no name stands twice */
        assert_true(span_next(&name, '.', &head));
        t_eq(head, rec_scope_name(f->scope));
        assert_true(strlen(f->doc) > 5);
    }
    assert_null(record_field_find(SPAN_LIT("patient.nothing")));
}

static void get(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 "OBR|1|P-1|F-1|X^T^L|||20260504|||||||||||||||20260504||MB|F\r" OBX1 "SPM|1|S1\r");
    const struct record *r = t_rec(&t, 0);
    const struct rec_observation *o = t_obs(&t, 0);
    t_eq(*(const struct span *)record_field_get(r, o, record_field_find(SPAN_LIT("patient.family_name"))), "Doe");
    t_eq(*(const struct span *)record_field_get(r, o, record_field_find(SPAN_LIT("report.lab.id"))), "LAB");
    t_eq(*(const struct span *)record_field_get(r, o, record_field_find(SPAN_LIT("observation.value.text"))), "Detected");
    t_eq(((const struct rec_ts *)record_field_get(r, o, record_field_find(SPAN_LIT("report.issued_at"))))->v, "2026-05-04");
    assert_int_equal(((const struct rec_codes *)record_field_get(r, o, record_field_find(SPAN_LIT("observation.code"))))->n, 1);
    assert_int_equal(((const struct rec_ids *)record_field_get(r, o, record_field_find(SPAN_LIT("patient.ids"))))->n, 1);
    assert_int_equal(*(const enum obs_status *)record_field_get(r, o, record_field_find(SPAN_LIT("observation.status"))), OBS_ST_FINAL);
    assert_true(*(const bool *)record_field_get(r, o, record_field_find(SPAN_LIT("patient.present"))));
    assert_false(*(const bool *)record_field_get(r, o, record_field_find(SPAN_LIT("specimen.rejected"))));
    t_eq(((const struct rec_id *)record_field_get(r, o, record_field_find(SPAN_LIT("message.source_app"))))->value, "DEV");
    assert_int_equal(*(const enum rec_format *)record_field_get(r, o, record_field_find(SPAN_LIT("message.format"))), REC_HL7V2);
    assert_null(record_field_get(r, NULL, record_field_find(SPAN_LIT("observation.key")))); /* no observation at hand */
    t_free(&t);
}

static void words(void **state)
{
    (void)state;
    for (int i = 0; i <= OBS_ST_UNKNOWN; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(obs_status_name((enum obs_status)i), obs_status_name((enum obs_status)k));
    for (int i = 0; i <= OBS_PANEL; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(obs_role_name((enum obs_role)i), obs_role_name((enum obs_role)k));
    for (int i = 0; i <= REC_V_OTHER; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(rec_value_type_name((enum rec_value_type)i), rec_value_type_name((enum rec_value_type)k));
    assert_string_equal(obs_status_name(OBS_ST_WITHDRAWN), "entered-in-error");
    assert_string_equal(rec_format_name(REC_FHIR_XML), "fhir-xml");
    assert_string_equal(rec_type_name(REC_BOOL), "yes/no");
}

static json_t *format(const struct record *r)
{
    struct buf b;
    json_error_t e;
    buf_init(&b, 1 << 20);
    record_format(r, &b);
    json_t *j = json_loads(b.p, JSON_REJECT_DUPLICATES, &e);
    if (!j)
        fail_msg("no JSON: %s in %s", e.text, b.p);
    buf_clear(&b);
    return j;
}

/* Null is null, absence is silence, and what a key already says is not said twice. */
static void json(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") "PID|1||C-1||Doe^\"\"||\"\"|M\r" OBR1 "OBX|1|NM|X^T^L|1|60~120|mg^^UCUM|1-2|~H^High|||F|||20260505\rNTE|1||a \"quoted\" \x01 note\\.br\\x\r"
                         "OBX|2|ED|P^R^L|1|^application^pdf^Base64^SGk=||||||F\r");
    json_t *j = format(t_rec(&t, 0)), *o = json_array_get(json_object_get(j, "observations"), 0), *p = json_object_get(j, "patient");
    assert_true(json_is_null(json_object_get(p, "given_name")));
    assert_true(json_is_null(json_object_get(p, "birth_date")));
    assert_null(json_object_get(p, "middle_name"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "notes"), 0)), "a \"quoted\" \x01 note\nx");
    assert_true(json_is_true(json_object_get(json_object_get(o, "value"), "number_odd")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(o, "value"), "repeats")), 2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "observed_at"), "v")), "2026-05-05");
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "interpretation_text"), 0)), "High");
    assert_null(json_object_get(o, "parts"));
    assert_null(json_object_get(o, "role"));
    o = json_array_get(json_object_get(j, "observations"), 1);
    assert_string_equal(json_string_value(json_object_get(o, "role")), "attachment");
    o = json_array_get(json_object_get(json_object_get(j, "report"), "attachments"), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 2);
    assert_int_equal(json_string_length(json_object_get(o, "sha256")), 64);
    json_decref(j);
    t_free(&t);
}

static bool load(const char *name, char *out, size_t room)
{
    const char *dir = getenv("LABRELAY_SHARED");
    char path[600];
    (void)snprintf(path, sizeof path, "%s/facts/samples/%s", dir ? dir : "../shared", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        (void)fprintf(stderr, "SKIPPED: %s is not there (set LABRELAY_SHARED)\n", path);
        return false;
    }
    size_t n = fread(out, 1, room - 1, f);
    out[n] = '\0';
    (void)fclose(f);
    return n > 0;
}

static void golden(void **state)
{
    static char raw[65536], want[65536];
    json_error_t e;
    size_t i;
    json_t *o;
    (void)state;
    if (!load("golden1.hl7", raw, sizeof raw) || !load("golden1.record.json", want, sizeof want)) {
        skip();
        return;
    }
    json_t *w = json_loads(want, 0, &e);
    assert_non_null(w);
    json_object_del(json_object_get(w, "message"), "channel"); /* the engine's */
    json_array_foreach(json_object_get(w, "observations"), i, o)
        json_object_del(o, "derived");
    struct t t = t_parse(raw);
    json_t *j = format(t_rec(&t, 0));
    assert_true(json_equal(j, w));
    json_decref(j);
    json_decref(w);
    t_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(get), cmocka_unit_test(words), cmocka_unit_test(json), cmocka_unit_test(golden)};
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
