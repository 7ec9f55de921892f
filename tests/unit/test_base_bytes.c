/* NAME test_base_bytes - span, arena, buf, text: the ground everything stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "buf.h"
#include "span.h"
#include "text.h"
#include "xmem.h"

#define assert_span(s, text) do { struct span got_ = (s); if (!span_is(got_, text)) fail_msg("\"%.*s\", not \"%s\"", SPAN_ARG(got_), text); } while (0)

/* ---- span ---- */

static void test_span_states(void **state)
{
    (void)state;
    assert_true(span_is_absent(SPAN_ABSENT) && !span_is_null(SPAN_ABSENT) && !span_has(SPAN_ABSENT));
    assert_true(!span_is_absent(span_null) && span_is_null(span_null) && !span_has(span_null));
    assert_true(!span_is_absent(SPAN_LIT("x")) && !span_is_null(SPAN_LIT("x")) && span_has(SPAN_LIT("x")));
    assert_true(span_is_absent(span_of(NULL)));
    assert_true(span_is_null(span_of("")));
}

static void test_span_compare(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN_LIT("ab"), span_make("abc", 2)));
    assert_false(span_eq(SPAN_LIT("ab"), SPAN_LIT("abc")));
    assert_true(span_eq(SPAN_ABSENT, span_null));
    assert_false(span_is(SPAN_LIT("a\0b"), "a"));
    assert_true(span_eq_nocase(SPAN_LIT("PiD"), SPAN_LIT("pId")));
    assert_true(span_is_nocase(SPAN_LIT("Oui"), "oUI"));
    assert_false(span_eq_nocase(SPAN_LIT("pid"), SPAN_LIT("pi")));
    assert_true(span_starts(SPAN_LIT("MSH|"), "MSH"));
    assert_false(span_starts(SPAN_LIT("MS"), "MSH"));
    assert_true(span_starts(SPAN_ABSENT, ""));
    assert_true(span_cmp(SPAN_LIT("a"), SPAN_LIT("b")) < 0);
    assert_true(span_cmp(SPAN_LIT("b"), SPAN_LIT("ab")) > 0);
    assert_true(span_cmp(SPAN_LIT("a"), SPAN_LIT("ab")) < 0);
    assert_true(span_cmp(SPAN_LIT("\xe9"), SPAN_LIT("z")) > 0);
    assert_int_equal(span_cmp(SPAN_ABSENT, span_null), 0);
}

static void test_span_cut(void **state)
{
    (void)state;
    assert_span(span_from(SPAN_LIT("abc"), 1), "bc");
    assert_int_equal(span_from(SPAN_LIT("abc"), 9).n, 0);
    assert_true(span_is_absent(span_from(SPAN_ABSENT, 3)));
    assert_span(span_cut(SPAN_LIT("abcd"), 1, 2), "bc");
    assert_span(span_cut(SPAN_LIT("abcd"), 3, 9), "d");
    assert_span(span_trim(SPAN_LIT(" \r\n\ta b \t")), "a b");
    assert_int_equal(span_trim(SPAN_LIT("   ")).n, 0);
    assert_int_equal(span_find(SPAN_LIT("abc"), 'c'), 2);
    assert_int_equal(span_find(SPAN_LIT("abc"), 'x'), 3);
    assert_int_equal(span_find(SPAN_ABSENT, 'x'), 0);
}

static void test_span_next(void **state)
{
    struct span rest = SPAN_LIT("a||b|"), out;
    (void)state;
    assert_true(span_next(&rest, '|', &out));
    assert_span(out, "a");
    assert_true(span_next(&rest, '|', &out));
    assert_span(out, "");
    assert_true(span_next(&rest, '|', &out));
    assert_span(out, "b");
    assert_true(span_next(&rest, '|', &out));
    assert_span(out, "");
    assert_false(span_next(&rest, '|', &out));
    rest = SPAN_ABSENT;
    assert_false(span_next(&rest, '|', &out));
    rest = SPAN_LIT("one");
    assert_true(span_next(&rest, '|', &out));
    assert_span(out, "one");
    assert_false(span_next(&rest, '|', &out));
}

static void test_span_numbers(void **state)
{
    static const struct { const char *text; bool is_ok; int64_t v; } rows[] = {
        {"0", true, 0}, {"-0", true, 0}, {"+7", true, 7}, {"0042", true, 42}, {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
        {"000000000000000000000005", true, 5}, {"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"99999999999999999999999", false, 0}, {"", false, 0},
        {"-", false, 0}, {"+", false, 0}, {"1 ", false, 0}, {" 1", false, 0}, {"1.0", false, 0}, {"--1", false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t v = 99;
        if (span_int(span_of(rows[i].text), &v) != rows[i].is_ok)
            fail_msg("\"%s\"", rows[i].text);
        assert_int_equal(v, rows[i].is_ok ? rows[i].v : 99);
    }
    assert_true(span_is_digits(SPAN_LIT("0123456789")));
    assert_false(span_is_digits(SPAN_LIT("12a")));
    assert_false(span_is_digits(SPAN_ABSENT));
}

/* ---- arena ---- */

static void test_arena_alloc(void **state)
{
    struct arena *a = arena_new(1 << 20);
    (void)state;
    char *all[200];
    for (size_t i = 0; i < 200; i++) {
        all[i] = arena_alloc(a, i * 7);
        assert_non_null(all[i]);
        assert_int_equal((uintptr_t)all[i] % 16, 0);
        memset(all[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal((unsigned char)all[i][k], i);
    unsigned char *z = arena_zalloc(a, 100000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(z[i], 0);
    assert_false(arena_is_full(a));
    size_t used = arena_used(a);
    assert_true(used >= 100000 && used <= 1 << 20);
    arena_reset(a);
    assert_true(arena_used(a) < used);
    assert_non_null(arena_alloc(a, 10));
    arena_free(a);
    arena_free(NULL);
}

static void test_arena_cap(void **state)
{
    struct arena *a = arena_new(100000);
    size_t got = 0;
    (void)state;
    while (arena_alloc(a, 1000))
        got += 1000;
    assert_true(arena_is_full(a));
    assert_true(got >= 90000 && got <= 100000);
    assert_true(arena_used(a) <= 100000);
    arena_reset(a);
    assert_false(arena_is_full(a));
    assert_null(arena_alloc(a, 200000));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    assert_null(arena_array(a, SIZE_MAX / 2, 4));
    assert_true(arena_is_full(a));
    assert_non_null(arena_alloc(a, 100));      /* small things still fit */
    arena_free(a);
    a = arena_new(10);                          /* a cap below one block is kept too */
    assert_null(arena_alloc(a, 100));
    arena_free(a);
}

static void test_arena_text(void **state)
{
    struct arena *a = arena_new(1 << 16);
    (void)state;
    struct span s = arena_dup(a, span_make("abcd", 3));
    assert_span(s, "abc");
    assert_int_equal(s.p[3], '\0');
    assert_true(span_is_absent(arena_dup(a, SPAN_ABSENT)));
    assert_true(span_is_null(arena_dup(a, span_null)));
    assert_string_equal(arena_strdup(a, SPAN_ABSENT), "");
    assert_span(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_null(arena_alloc(a, 1 << 17));
    char *big = xcalloc(1, 1 << 17);
    memset(big, 'x', (1 << 17) - 1);
    assert_true(span_is_absent(arena_dup(a, span_of(big))));
    assert_true(span_is_absent(arena_printf(a, "%s", big)));
    assert_null(arena_strdup(a, span_of(big)));
    free(big);
    arena_free(a);
}

static void test_arena_grow(void **state)
{
    struct arena *a = arena_new(1 << 16);
    int *v = NULL;
    size_t n = 0, cap = 0;
    (void)state;
    for (; n < 1000; n++) {
        assert_true(arena_grow(a, &v, n, &cap, sizeof *v));
        assert_true(cap > n);
        v[n] = (int)n;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(v[i], i);
    while (arena_grow(a, &v, cap, &cap, sizeof *v))
        continue;
    assert_true(arena_is_full(a));
    assert_int_equal(v[999], 999);              /* what there was is still there */
    arena_free(a);
}

/* ---- buf ---- */

static void test_buf(void **state)
{
    struct buf b;
    size_t n;
    (void)state;
    buf_init(&b, 1000);
    assert_span(buf_span(&b), "");
    buf_add(&b, NULL, 0);
    assert_null(b.p);
    buf_adds(&b, "a");
    buf_addc(&b, 'b');
    buf_add_span(&b, SPAN_LIT("cd"));
    buf_add_span(&b, SPAN_ABSENT);
    buf_addf(&b, "%d%s", 12, "!");
    buf_addf(&b, "%s", "");
    buf_add_int(&b, -34);
    buf_add_int(&b, INT64_MIN);
    assert_string_equal(b.p, "abcd12!-34-9223372036854775808");
    buf_drop_front(&b, 4);
    assert_string_equal(b.p, "12!-34-9223372036854775808");
    buf_drop_front(&b, 999);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    buf_adds(&b, "x");
    char *p = buf_take(&b, &n);
    assert_string_equal(p, "x");
    assert_int_equal(n, 1);
    free(p);
    assert_null(b.p);
    p = buf_take(&b, NULL);
    assert_string_equal(p, "");
    free(p);
    buf_clear(&b);
}

static void test_buf_cap(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10);
    buf_adds(&b, "12345");
    buf_adds(&b, "67890");
    assert_false(b.is_full);
    buf_addc(&b, 'x');
    assert_true(b.is_full);
    assert_string_equal(b.p, "1234567890");
    buf_reset(&b);
    assert_false(b.is_full);
    buf_adds(&b, "12345678901");
    assert_true(b.is_full);
    assert_int_equal(b.n, 0);
    buf_adds(&b, "1");                          /* a hole must not be papered over */
    assert_int_equal(b.n, 0);
    buf_clear(&b);
    assert_false(b.is_full);
    buf_addf(&b, "%s", "12345678901");
    assert_true(b.is_full);
    buf_clear(&b);
}

static void test_buf_json(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    buf_addc(&b, '{');
    buf_json_kv(&b, "a", "q\"b\\s\n\r\t\x01\x7f");
    buf_json_kint(&b, "n", -5);
    buf_json_opt(&b, "none", SPAN_ABSENT);
    buf_json_opt(&b, "empty", span_null);
    buf_json_opt(&b, "u", SPAN_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    buf_json_key(&b, "v");
    buf_addc(&b, '[');
    for (int i = 0; i < 3; i++) {
        buf_json_sep(&b);
        buf_addc(&b, '{');
        buf_addc(&b, '}');
    }
    buf_adds(&b, "]}");
    assert_string_equal(b.p, "{\"a\":\"q\\\"b\\\\s\\n\\r\\t\\u0001\\u007f\",\"n\":-5,\"u\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"v\":[{},{},{}]}");
    buf_reset(&b);
    buf_json_span(&b, SPAN_LIT("a\xff" "b\xc3"));
    assert_string_equal(b.p, "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
    buf_reset(&b);
    buf_json_span(&b, SPAN_ABSENT);
    assert_string_equal(b.p, "\"\"");
    buf_reset(&b);
    buf_json_inner(&b, SPAN_LIT("a\"b~\x7f"));
    assert_string_equal(b.p, "a\\\"b~\\u007f");
    buf_json_inner(&b, SPAN_ABSENT);
    assert_int_equal(b.n, 11);
    buf_reset(&b);
    buf_json_span(&b, SPAN_LIT("a\0b"));
    assert_string_equal(b.p, "\"a\\u0000b\"");
    buf_clear(&b);
}

/* ---- text ---- */

static void test_utf8(void **state)
{
    static const struct { const char *p; size_t n, len; } rows[] = {
        {"a", 1, 1}, {"\0", 1, 1}, {"\xc2\x80", 2, 2}, {"\xc3", 1, 0}, {"\xc0\x80", 2, 0}, {"\xc1\xbf", 2, 0}, {"\xe0\xa0\x80", 3, 3}, {"\xe0\x9f\xbf", 3, 0}, {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0}, {"\xe2\x82", 2, 0}, {"\xf0\x90\x80\x80", 4, 4}, {"\xf0\x8f\xbf\xbf", 4, 0}, {"\xf4\x8f\xbf\xbf", 4, 4}, {"\xf4\x90\x80\x80", 4, 0}, {"\xf5\x80\x80\x80", 4, 0},
        {"\x80", 1, 0}, {"\xff", 1, 0}, {"\xe2\x28\xa1", 3, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span s = span_make(rows[i].p, rows[i].n);
        if (text_utf8_len(s) != rows[i].len)
            fail_msg("row %zu", i);
        assert_int_equal(text_utf8_valid(s), rows[i].len == rows[i].n);
    }
    assert_int_equal(text_utf8_len(SPAN_ABSENT), 0);
    assert_true(text_utf8_valid(SPAN_ABSENT));
    static const uint32_t cps[] = {0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < sizeof cps / sizeof cps[0]; i++) {
        char out[4];
        size_t n = text_utf8_put(cps[i], out), len;
        assert_int_equal(text_utf8_get(span_make(out, n), &len), cps[i]);
        assert_int_equal(len, n);
    }
    for (size_t at = 0; at < 40; at++) {        /* the eight-at-a-time path must find a bad byte wherever it stands */
        char t[40];
        memset(t, 'a', sizeof t);
        assert_true(text_utf8_valid(span_make(t, sizeof t)));
        t[at] = (char)0xe9;
        assert_false(text_utf8_valid(span_make(t, sizeof t)));
        if (at + 1 < sizeof t) {
            t[at] = (char)0xc3;
            t[at + 1] = (char)0xa9;
            assert_true(text_utf8_valid(span_make(t, sizeof t)));
        }
    }
}

static void test_hashes(void **state)
{
    unsigned char h[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    (void)state;
    text_sha256("abc", 3, h);
    text_hex(h, sizeof h, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    text_sha256("", 0, h);
    text_hex(h, sizeof h, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_base64(void **state)
{
    static const struct { const char *text, *want; } rows[] = {
        {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmFy", "foobar"}, {"Zg", "f"}, {"Zm8", "fo"}, {" Zm9\r\nvYm\tFy ", "foobar"}, {"Zm8=\r\n", "fo"},
        {"-_-_", "\xfb\xff\xbf"}, {"+/+/", "\xfb\xff\xbf"}, {"Z", NULL}, {"Zm9vY", NULL}, {"=", NULL}, {"====", NULL}, {"Zm9v=", NULL}, {"Zm8==", NULL}, {"Zg=", NULL}, {"Zg==Zg==", NULL}, {"Zm?v", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span s = span_of(rows[i].text);
        unsigned char *out = xmalloc(s.n * 3 / 4 + 3);
        int64_t n = text_base64_decode(s, out);
        if (rows[i].want ? n != (int64_t)strlen(rows[i].want) || memcmp(out, rows[i].want, (size_t)n) != 0 : n != -1)
            fail_msg("\"%s\": %lld bytes", rows[i].text, (long long)n);
        free(out);
    }
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"address", "allow", "parse", "max-size"};
    (void)state;
    assert_int_equal(text_distance(SPAN_LIT("kitten"), SPAN_LIT("sitting")), 3);
    assert_int_equal(text_distance(SPAN_LIT("ab"), SPAN_LIT("ba")), 1);
    assert_int_equal(text_distance(SPAN_LIT("Abc"), SPAN_LIT("aBC")), 0);
    assert_int_equal(text_distance(SPAN_ABSENT, SPAN_LIT("abc")), 3);
    char longer[66];
    memset(longer, 'x', sizeof longer);
    assert_int_equal(text_distance(span_make(longer, 65), SPAN_LIT("x")), 99);
    assert_int_equal(text_distance(span_make(longer, 64), span_make(longer, 64)), 0);
    assert_string_equal(text_nearest(SPAN_LIT("alow"), words, 4), "allow");
    assert_string_equal(text_nearest(SPAN_LIT("adress"), words, 4), "address");
    assert_string_equal(text_nearest(SPAN_LIT("maxsize"), words, 4), "max-size");
    assert_null(text_nearest(SPAN_LIT("zzz"), words, 4));
    assert_null(text_nearest(SPAN_LIT("x"), words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_states), cmocka_unit_test(test_span_compare), cmocka_unit_test(test_span_cut), cmocka_unit_test(test_span_next), cmocka_unit_test(test_span_numbers),
        cmocka_unit_test(test_arena_alloc), cmocka_unit_test(test_arena_cap), cmocka_unit_test(test_arena_text), cmocka_unit_test(test_arena_grow),
        cmocka_unit_test(test_buf), cmocka_unit_test(test_buf_cap), cmocka_unit_test(test_buf_json),
        cmocka_unit_test(test_utf8), cmocka_unit_test(test_hashes), cmocka_unit_test(test_base64), cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
