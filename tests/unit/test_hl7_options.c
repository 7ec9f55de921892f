/* NAME test_hl7_options - the option rows of the HL7 parser: defaults are valid texts and mean what zeros mean; [item 38] timezone is required */
#include "test_hl7_util.h"

#include "option.h"

static void defaults(void **state)
{
    (void)state;
    struct hl7_options o = {0};
    assert_int_equal(option_set_defaults(&hl7v2_parser.options, &o), 0);
    assert_string_equal(o.assume_charset, "cp1252");
    assert_string_equal(o.default_version, "2.3.1");
    assert_int_equal(o.processing_ids.n, 1);
    assert_string_equal(o.processing_ids.v[0], "P");
    assert_string_equal(o.missing_processing_id, "P");
    assert_int_equal(o.nonproduction, HL7_NONPRODUCTION_REJECT);
    assert_int_equal(o.qc_rule, HL7_QC_SPM11);
    assert_int_equal(o.obr7, HL7_OBR7_COLLECTION);
    assert_false(o.is_strict || o.is_lenient_dates || o.is_wide || o.is_decimal_comma || o.is_loinc_without_system);
    assert_int_equal(o.max_records, 5000);
    struct err e = ERR_INIT;
    assert_int_equal(hl7v2_parser.options.check(&o, &e), 0);
    option_free_values(&hl7v2_parser.options, &o);
}

static void rows(void **state)
{
    (void)state;
    bool has_zone = false;
    for (size_t i = 0; i < hl7v2_parser.options.n; i++) {
        const struct option_row *r = &hl7v2_parser.options.rows[i];
        assert_true(r->offset < hl7v2_parser.options.size);
        assert_non_null(r->help);
        has_zone |= strcmp(r->name, "timezone") == 0 && r->is_required && r->type == OPT_ZONE;
    }
    assert_true(has_zone);
}

static void wrong(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct hl7_options o = {.assume_charset = (char *)(uintptr_t)"klingon"};
    assert_int_equal(hl7v2_parser.options.check(&o, &e), -1);
    assert_string_equal(e.where, "assume-charset");
    o = (struct hl7_options){.default_version = (char *)(uintptr_t)"3.0"};
    assert_int_equal(hl7v2_parser.options.check(&o, &e), -1);
    assert_string_equal(e.where, "default-version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults), cmocka_unit_test(rows), cmocka_unit_test(wrong)};
    return cmocka_run_group_tests_name("hl7_options", tests, NULL, NULL);
}
