/*
 * NAME test_sandbox_date - JavaScript dates and numbers, and visualId masks, as the sandbox reads them.
 * The expected values are what Node gives for the same text with TZ=UTC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_mask.h"

struct pair { const char *text, *expected; };   /* expected NULL: Invalid Date */

static void check_dates(const struct pair *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t ms;
        char out[SANDBOX_DATE_SIZE] = "Invalid Date";
        if (sandbox_date_parse(span_of(list[i].text), &ms))
            sandbox_date_format(ms, out);
        if (strcmp(out, list[i].expected ? list[i].expected : "Invalid Date") != 0)
            fail_msg("\"%s\" is %s, expected %s", list[i].text, out, list[i].expected ? list[i].expected : "Invalid Date");
    }
}

static void iso_dates(void **state)
{
    static const struct pair list[] = {
        {"2026-11-09", "2026-11-09T00:00:00.000Z"},
        {"2026-11", "2026-11-01T00:00:00.000Z"},
        {"2026", "2026-01-01T00:00:00.000Z"},
        {"2026-11-09T10:15:00", "2026-11-09T10:15:00.000Z"},
        {"2026-11-09T10:15Z", "2026-11-09T10:15:00.000Z"},
        {"2026-11-09T10:15:00+03:00", "2026-11-09T07:15:00.000Z"},
        {"2026-11-09T10:15:00-0330", "2026-11-09T13:45:00.000Z"},
        {"2026-11-09T10:15:00.123456Z", "2026-11-09T10:15:00.123Z"},
        {"2026-11-09T10:15:00.5Z", "2026-11-09T10:15:00.500Z"},
        {"2026-11-09T24:00:00Z", "2026-11-10T00:00:00.000Z"},
        {"2026-02-30", "2026-03-02T00:00:00.000Z"},
        {"0001-01-01", "0001-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
        {"+012026-01-01", "+012026-01-01T00:00:00.000Z"},
        {"2024-02-29", "2024-02-29T00:00:00.000Z"},
        {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
        {"2026-11-09T24:00:01Z", NULL},
        {"2026-11-09T10:15:60Z", NULL},
        {"2026-11-09T25:00:00Z", NULL},
        {"2026-11-09T10:15:00+24:00", NULL},
        {"2026-11-09T10Z", NULL},
        {"2026-13-45", NULL},
        {"2026-00-10", NULL},
        {"-000000-01-01", "2001-01-01T00:00:00.000Z"},
    };
    (void)state;
    check_dates(list, sizeof list / sizeof list[0]);
}

static void loose_dates(void **state)
{
    static const struct pair list[] = {
        {"2026-11-09 10:15:00", "2026-11-09T10:15:00.000Z"},
        {"2026/11/09", "2026-11-09T00:00:00.000Z"},
        {"Nov 9 2026", "2026-11-09T00:00:00.000Z"},
        {"9 November 2026 14:05", "2026-11-09T14:05:00.000Z"},
        {"Mon, 09 Nov 2026 10:15:00 GMT", "2026-11-09T10:15:00.000Z"},
        {"Mon Nov 09 2026 10:15:00 GMT+0300 (East Africa Time)", "2026-11-09T07:15:00.000Z"},
        {"11/09/2026 3:07 PM", "2026-11-09T15:07:00.000Z"},
        {"11/09/2026 12:07 am", "2026-11-09T00:07:00.000Z"},
        {"Nov 9 2026 10:15 EST", "2026-11-09T15:15:00.000Z"},
        {"09/11/2026", "2026-09-11T00:00:00.000Z"},
        {"1/2/26", "2026-01-02T00:00:00.000Z"},
        {"1/2/75", "1975-01-02T00:00:00.000Z"},
        {"0", "2000-01-01T00:00:00.000Z"},
        {"32", "2032-01-01T00:00:00.000Z"},
        {"13", NULL},
        {"13/11/2026", NULL},
        {"20261109", NULL},
        {"20261109063000", NULL},
        {"1762646400000", NULL},
        {"", NULL},
        {" ", NULL},
        {"null", NULL},
        {"[object Object]", NULL},
        {"Nov 9 2026 10:15:60", "2026-11-09T10:15:00.000Z"},
        {"Nov 9 2026 13:15 PM", NULL},
        {"9 2026 foo", NULL},
        {"foo9 2026", NULL},
        {"99999999999999999999", NULL},
        {"1 2 3 4", NULL},
    };
    (void)state;
    check_dates(list, sizeof list / sizeof list[0]);
}

static void dates_of_json(void **state)
{
    static const struct pair list[] = {
        {"0", "1970-01-01T00:00:00.000Z"}, {"1762646400000", "2025-11-09T00:00:00.000Z"}, {"1762646400", "1970-01-21T09:37:26.400Z"},
        {"-1", "1969-12-31T23:59:59.999Z"}, {"1.9", "1970-01-01T00:00:00.001Z"}, {"true", "1970-01-01T00:00:00.001Z"},
        {"[\"2026-11-09\"]", "2026-11-09T00:00:00.000Z"}, {"8640000000000000", "+275760-09-13T00:00:00.000Z"},
        {"8640000000000001", NULL}, {"[]", NULL}, {"{}", NULL}, {"null", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        json_t *v = json_loads(list[i].text, JSON_DECODE_ANY, NULL);
        int64_t ms;
        char out[SANDBOX_DATE_SIZE] = "Invalid Date";
        assert_non_null(v);
        if (sandbox_date_of(v, &ms))
            sandbox_date_format(ms, out);
        assert_string_equal(out, list[i].expected ? list[i].expected : "Invalid Date");
        json_decref(v);
    }
}

static void looks_like_a_date(void **state)
{
    static const char *const yes[] = {"2026-11-09", "2026-11-09T", "2026-11-09 ", "2026-11-09T10:15:00", "2026-11-09 10:15:00.123Z", "2026-11-09T10:15:00+03:00", "2026-11-0910:15:00"};
    static const char *const no[] = {"", "2026-11", "2026-11-9", "20261109", "2026-11-09T10:15", "SP-2026-11-09", "2026-11-09x", "2026-11-09T10:15:00.12Z", "2026-11-09T10:15:00+0300"};
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!sandbox_date_looks(span_of(yes[i])))
            fail_msg("\"%s\" should look like a date", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (sandbox_date_looks(span_of(no[i])))
            fail_msg("\"%s\" should not look like a date", no[i]);
}

static void numbers_and_strings(void **state)
{
    static const struct pair text[] = {         /* JSON in, JSON out */
        {"24.50", "24.5"}, {"24.0", "24"}, {"0.1", "0.1"}, {"0.30000000000000004", "0.30000000000000004"}, {"1e21", "1e+21"}, {"1.5e300", "1.5e+300"},
        {"123456789012345680000", "123456789012345680000"}, {"0.000001", "0.000001"}, {"1e-7", "1e-7"}, {"-2.5", "-2.5"}, {"[1,\"a\\n\",null,true,{}]", "[1,\"a\\n\",null,true,{}]"},
    };
    static const struct pair string[] = {       /* JSON in, String() out */
        {"24.50", "24.5"}, {"[\"a\"]", "a"}, {"[1,[2,null],{}]", "1,2,,[object Object]"}, {"{}", "[object Object]"}, {"true", "true"}, {"[]", ""}, {"\"x\"", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        bool at_end;
        size_t at;
        json_t *v = strlen(text[i].text) > 20 && text[i].text[0] == '1' ? json_real(123456789012345680000.0) : sandbox_json_parse(span_of(text[i].text), &at_end, &at);
        struct buf b;
        assert_non_null(v);
        buf_init(&b, 4096);
        sandbox_json_dump(&b, v);
        assert_string_equal(b.p, text[i].expected);
        buf_clear(&b);
        json_decref(v);
    }
    for (size_t i = 0; i < sizeof string / sizeof string[0]; i++) {
        json_t *v = json_loads(string[i].text, JSON_DECODE_ANY, NULL);
        char *s = sandbox_json_to_string(v);
        assert_string_equal(s, string[i].expected);
        free(s);
        json_decref(v);
    }
}

static void parse_float(void **state)
{
    double d;
    (void)state;
    assert_true(sandbox_json_parse_float("24.5", &d) && d == 24.5);
    assert_true(sandbox_json_parse_float(" 12 copies", &d) && d == 12);
    assert_true(sandbox_json_parse_float("-1e3x", &d) && d == -1000);
    assert_false(sandbox_json_parse_float("<20", &d));
    assert_false(sandbox_json_parse_float("", &d));
    assert_false(sandbox_json_parse_float("nan", &d));
    assert_true(sandbox_json_parse_float("0x10", &d) && d == 0);
}

static void broken_json(void **state)
{
    bool at_end = false;
    size_t at;
    (void)state;
    assert_null(sandbox_json_parse(span_of("{\"a\":"), &at_end, &at));
    assert_true(at_end);
    at_end = false;
    assert_null(sandbox_json_parse(span_of("{\"a\":x}"), &at_end, &at));
    assert_false(at_end);
    assert_int_equal(at, 5);
}

static void masks(void **state)
{
    static const struct { const char *mask, *value; bool fits; size_t at, n; } list[] = {
        {"CA-9999999999", "CA-0000000042", true, 3, 10}, {"CA-9999999999", "CA-9999999999", true, 3, 10}, {"CA-9999999999", "CA-42", false, 0, 0},
        {"CA-9999999999", "MRN-7", false, 0, 0}, {"CA-YYYY-99999", "CA-2026-00001", true, 8, 5}, {"CA-YYYY-99999", "CA-YYYY-99999", false, 0, 0},
        {"*", "anything at all", true, 0, 0}, {"*", "", true, 0, 0}, {"@@-00", "ab-12", true, 0, 0}, {"@@-00", "a1-12", false, 0, 0},
        {"&&99", "\xd8\xa7x42", true, 3, 2}, {"*-999", "a-b-007", true, 4, 3}, {"*-999", "a-b-07", false, 0, 0}, {"A-999-B", "A-123-B", true, 2, 3},
    };
    struct sandbox_mask_fit fit;
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        bool fits = sandbox_mask_match(list[i].mask, list[i].value, &fit);
        if (fits != list[i].fits || (fits && (fit.n != list[i].n || (fit.n && fit.at != list[i].at))))
            fail_msg("mask %s, value %s: %d at %zu+%zu", list[i].mask, list[i].value, fits, fit.at, fit.n);
    }
    assert_true(sandbox_mask_match("CA-9999-X", "CA-0042-X", &fit));
    assert_int_equal(sandbox_mask_number("CA-0042-X", &fit, "CA-0041-X"), 41);
    assert_int_equal(sandbox_mask_number("CA-0042-X", &fit, "CB-0041-X"), -1);
    assert_int_equal(sandbox_mask_number("CA-0042-X", &fit, "CA-0041-Y"), -1);
    assert_int_equal(sandbox_mask_number("CA-0042-X", &fit, "CA-00a1-X"), -1);
    char *next = sandbox_mask_fill("CA-0042-X", &fit, 7);
    assert_string_equal(next, "CA-0007-X");
    free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_dates), cmocka_unit_test(loose_dates), cmocka_unit_test(dates_of_json), cmocka_unit_test(looks_like_a_date),
        cmocka_unit_test(numbers_and_strings), cmocka_unit_test(parse_float), cmocka_unit_test(broken_json), cmocka_unit_test(masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
