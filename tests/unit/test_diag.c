/* NAME test_diag - the form of diagnostics: place, line, caret, hint, order, caps, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diag.h"

static void expect(const struct diag *d, const char *text)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format(d, &b);
    buf_addc(&b, 0);
    assert_string_equal(b.p, text);
    buf_clear(&b);
}

static void test_form(void **state)
{
    (void)state;
    struct diag *d = diag_new();
    expect(d, "");
    unsigned f = diag_source(d, "a.conf", SPAN_LIT("one\n\talow 10.0.0.0/8\r\n\xc3\xa9t\xc3\xa9 x\nlast"));
    diag_add(d, DIAG_ERROR, (struct diag_place){f, 3, 5, 1}, NULL, "third %d", 3);
    diag_add(d, DIAG_ERROR, (struct diag_place){f, 2, 2, 4}, "did you mean \"allow\"?", "unknown option \"alow\"");
    expect(d, "a.conf:2:2: error: unknown option \"alow\"\n    2 |  alow 10.0.0.0/8\n      |  ^~~~ did you mean \"allow\"?\n"
              "a.conf:3:5: error: third 3\n    3 | \xc3\xa9t\xc3\xa9 x\n      |     ^\n2 errors.\n");
    diag_add(d, DIAG_WARNING, (struct diag_place){f, 4, 5, 1}, NULL, "behind the end");
    diag_add(d, DIAG_ERROR, (struct diag_place){f, 0, 0, 0}, "do this", "whole file");
    expect(d, "a.conf: error: whole file\n      | do this\n"
              "a.conf:2:2: error: unknown option \"alow\"\n    2 |  alow 10.0.0.0/8\n      |  ^~~~ did you mean \"allow\"?\n"
              "a.conf:3:5: error: third 3\n    3 | \xc3\xa9t\xc3\xa9 x\n      |     ^\n"
              "a.conf:4:5: warning: behind the end\n    4 | last\n      |     ^\n3 errors, 1 warning.\n");
    assert_int_equal(diag_errors(d), 3);
    assert_int_equal(diag_warnings(d), 1);
    diag_free(d);
}

static void test_order_and_twice(void **state)
{
    (void)state;
    struct diag *d = diag_new();
    unsigned a = diag_source(d, "a", SPAN_LIT("x y\n")), b = diag_source(d, "b", SPAN_LIT("z\n"));
    diag_add(d, DIAG_ERROR, (struct diag_place){b, 1, 1, 1}, NULL, "in b");
    diag_add(d, DIAG_ERROR, (struct diag_place){a, 1, 3, 9}, NULL, "y");
    diag_add(d, DIAG_ERROR, (struct diag_place){a, 1, 1, 1}, NULL, "x");
    diag_add(d, DIAG_ERROR, (struct diag_place){a, 1, 1, 1}, NULL, "x");      /* the same again is one mistake */
    expect(d, "a:1:1: error: x\n    1 | x y\n      | ^\na:1:3: error: y\n    1 | x y\n      |   ^\nb:1:1: error: in b\n    1 | z\n      | ^\n3 errors.\n");
    diag_free(d);
}

static void test_cap(void **state)
{
    (void)state;
    struct diag *d = diag_new();
    unsigned a = diag_source(d, "a", SPAN_LIT("x\n"));
    for (unsigned i = 0; i < 250; i++)
        diag_add(d, DIAG_ERROR, (struct diag_place){a, i + 1, 1, 1}, NULL, "n");
    assert_int_equal(diag_errors(d), 250);
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format(d, &b);
    assert_non_null(strstr(b.p, "and 50 more.\n250 errors.\n"));
    buf_clear(&b);
    diag_free(d);
}

static void test_json(void **state)
{
    (void)state;
    struct diag *d = diag_new();
    unsigned a = diag_source(d, "a", SPAN_LIT("x\n"));
    diag_add(d, DIAG_WARNING, (struct diag_place){a, 1, 1, 1}, "say \"y\"", "bad \"x\"");
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format_json(d, &b);
    buf_addc(&b, 0);
    assert_string_equal(b.p, "{\"errors\":0,\"warnings\":1,\"items\":[{\"level\":\"warning\",\"file\":\"a\",\"line\":1,\"column\":1,\"text\":\"bad \\\"x\\\"\",\"hint\":\"say \\\"y\\\"\"}]}");
    buf_clear(&b);
    diag_free(d);
}

static void test_guess(void **state)
{
    (void)state;
    static const char *const words[] = {"allow", "address", "hl7v2"};
    char out[64];
    assert_string_equal(diag_guess(SPAN_LIT("alow"), words, 3, out, sizeof out), "did you mean \"allow\"?");
    assert_string_equal(diag_guess(SPAN_LIT("adress"), words, 3, out, sizeof out), "did you mean \"address\"?");
    assert_string_equal(diag_guess(SPAN_LIT("hl7"), words, 3, out, sizeof out), "did you mean \"hl7v2\"?");
    assert_null(diag_guess(SPAN_LIT("zzz"), words, 3, out, sizeof out));
    assert_null(diag_guess(SPAN_ABSENT, words, 3, out, sizeof out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_form), cmocka_unit_test(test_order_and_twice), cmocka_unit_test(test_cap), cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_guess)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
