/* Expected hours of a channel, and what a notice looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alarm_post.h"

#define HOUR 3600000000LL
#define DAY (24 * HOUR)
#define MONDAY (4 * DAY)            /* 5 January 1970 */
#define MON_SAT 0x3fu

static const struct expect day_shift = {.every_us = 2 * HOUR, .from_min = 7 * 60, .to_min = 19 * 60, .days = MON_SAT};

static void counts_only_expected_hours(void **state)
{
    (void)state;
    const struct expect *x = &day_shift;
    assert_int_equal(expect_between(x, MONDAY + 8 * HOUR, MONDAY + 10 * HOUR), 2 * HOUR);
    assert_int_equal(expect_between(x, MONDAY, MONDAY + DAY), 12 * HOUR);
    assert_int_equal(expect_between(x, MONDAY + 20 * HOUR, MONDAY + DAY + 6 * HOUR), 0);                    /* the night */
    assert_int_equal(expect_between(x, MONDAY + 18 * HOUR, MONDAY + DAY + 8 * HOUR), 2 * HOUR);             /* over it */
    assert_int_equal(expect_between(x, MONDAY + 5 * DAY + 19 * HOUR, MONDAY + 7 * DAY + 7 * HOUR), 0);      /* Saturday evening to Monday morning */
    assert_int_equal(expect_between(x, MONDAY + 10 * HOUR, MONDAY + 10 * HOUR), 0);
    assert_int_equal(expect_between(x, MONDAY + 10 * HOUR, MONDAY + 9 * HOUR), 0);                          /* the clock was set back */
    assert_int_equal(expect_between(x, 0, MONDAY + 7000 * DAY + 7 * HOUR) > 300 * 12 * HOUR, 1);            /* long ago is still long */
}

static void knows_the_hours(void **state)
{
    (void)state;
    const struct expect *x = &day_shift;
    assert_true(expect_is_on(x, MONDAY + 7 * HOUR));
    assert_true(expect_is_on(x, MONDAY + 19 * HOUR - 1));
    assert_false(expect_is_on(x, MONDAY + 19 * HOUR));
    assert_false(expect_is_on(x, MONDAY + 7 * HOUR - 1));
    assert_false(expect_is_on(x, MONDAY + 6 * DAY + 12 * HOUR));                                            /* Sunday noon */
}

static void a_night_shift_belongs_to_the_day_it_begins(void **state)
{
    (void)state;
    const struct expect x = {.every_us = HOUR, .from_min = 22 * 60, .to_min = 6 * 60, .days = 1u << 4};     /* Friday night */
    int64_t friday = MONDAY + 4 * DAY;
    assert_true(expect_is_on(&x, friday + 23 * HOUR));
    assert_true(expect_is_on(&x, friday + DAY + 5 * HOUR));
    assert_false(expect_is_on(&x, friday + 5 * HOUR));
    assert_false(expect_is_on(&x, friday + DAY + 23 * HOUR));
    assert_int_equal(expect_between(&x, friday, friday + 3 * DAY), 8 * HOUR);
    assert_int_equal(expect_between(&x, friday + DAY, friday + DAY + HOUR), HOUR);
}

static void the_whole_day(void **state)
{
    (void)state;
    const struct expect x = {.every_us = HOUR, .days = 0x7f};
    assert_int_equal(expect_between(&x, MONDAY + HOUR, MONDAY + 3 * DAY), 3 * DAY - HOUR);
    assert_true(expect_is_on(&x, MONDAY));
}

static void a_notice_is_json_and_text(void **state)
{
    (void)state;
    struct notice n = {.what = NOTICE_CLEARED, .kind = "silence", .subject = "lab", .detail = "nothing came", .raised_us = 1000000, .cleared_us = 2000000, .n = 7};
    struct buf b;
    buf_init(&b, 4096);
    notice_json(&n, "gate \"1\"", &b);
    assert_string_equal(b.p, "{\"alarm\":\"silence\",\"state\":\"cleared\",\"subject\":\"lab\",\"node\":\"gate \\\"1\\\"\",\"since\":\"1970-01-01T00:00:01.000Z\","
                             "\"until\":\"1970-01-01T00:00:02.000Z\",\"n\":7,\"text\":\"nothing came\"}\n");
    buf_reset(&b);
    notice_text(&n, "gate", &b);
    assert_non_null(strstr(b.p, "all-clear: silence lab on gate\r\n"));
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_only_expected_hours), cmocka_unit_test(knows_the_hours), cmocka_unit_test(a_night_shift_belongs_to_the_day_it_begins),
        cmocka_unit_test(the_whole_day), cmocka_unit_test(a_notice_is_json_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
