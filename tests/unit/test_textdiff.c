/* textdiff: a diff, applied to the first text, gives the second; known outputs; the cap of the search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "textdiff.h"

#define NOTE "\\ No newline at end of file\n"

static char *diff_of(const char *a, const char *b, bool *differs)
{
    struct buf out;
    buf_init(&out, (size_t)64 << 20);
    *differs = textdiff(span_of(a), "a", span_of(b), "b", &out);
    char *p = buf_take(&out, NULL);
    return p ? p : calloc(1, 1);
}

/* Our own small patch(1): hunks must stand where they say, and every kept or removed line must be there. */
static char *apply(const char *a, const char *diff)
{
    struct span rest = span_of(diff), text = span_of(a), line;
    struct buf out;
    size_t at = 0;                      /* lines of a used up */
    buf_init(&out, (size_t)64 << 20);
    assert_true(span_next(&rest, '\n', &line) && span_starts(line, "--- a") && span_next(&rest, '\n', &line) && span_starts(line, "+++ b"));
    size_t hunk_a = 0, hunk_b = 0;
    while (rest.n) {
        if (rest.p[0] == '@') {
            size_t from, n, to, m;
            char head[80];
            assert_int_equal(hunk_a + hunk_b, 0);
            assert_true(span_next(&rest, '\n', &line));
            (void)snprintf(head, sizeof head, "%.*s", SPAN_ARG(line));
            assert_int_equal(sscanf(head, "@@ -%zu,%zu +%zu,%zu @@", &from, &n, &to, &m), 4);
            for (from -= n > 0; at < from; at++) {
                size_t len = span_find(text, '\n') + 1;
                buf_add_span(&out, span_cut(text, 0, len));
                text = span_from(text, len);
            }
            hunk_a = n;
            hunk_b = m;
            continue;
        }
        char sign = rest.p[0];
        rest = span_from(rest, 1);
        size_t len = span_find(rest, '\n') + 1;
        struct span got = span_cut(rest, 0, len);
        rest = span_from(rest, len);
        if (span_starts(rest, NOTE)) {
            got.n--;
            rest = span_from(rest, sizeof NOTE - 1);
        }
        if (sign != '+') {
            assert_true(text.n >= got.n && memcmp(text.p, got.p, got.n) == 0);
            text = span_from(text, got.n);
            at++;
            hunk_a--;
        }
        if (sign != '-') {
            buf_add_span(&out, got);
            hunk_b--;
        }
    }
    assert_int_equal(hunk_a + hunk_b, 0);
    buf_add_span(&out, text);
    char *p = buf_take(&out, NULL);
    return p ? p : calloc(1, 1);
}

static void check(const char *a, const char *b)
{
    bool differs;
    char *d = diff_of(a, b, &differs);
    assert_int_equal(differs, strcmp(a, b) != 0);
    if (differs) {
        char *got = apply(a, d);
        assert_string_equal(got, b);
        free(got);
    } else {
        assert_string_equal(d, "");
    }
    free(d);
}

static void known(void **state)
{
    bool differs;
    (void)state;
    char *d = diff_of("one\ntwo\nthree\n", "one\n2\nthree\n", &differs);
    assert_string_equal(d, "--- a\n+++ b\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
    free(d);
    d = diff_of("", "new\n", &differs);
    assert_string_equal(d, "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+new\n");
    free(d);
    d = diff_of("x", "x\n", &differs);
    assert_string_equal(d, "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-x\n" NOTE "+x\n");
    free(d);
    check("same\n", "same\n");
    check("", "");
}

static uint32_t rnd(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 16;
}

static void make(uint32_t *s, char *out, size_t lines, unsigned words)
{
    size_t n = 0;
    for (size_t i = 0; i < lines; i++)
        n += (size_t)snprintf(out + n, 16, "w%u\n", (unsigned)(rnd(s) % words));
    if (n && rnd(s) % 4 == 0)
        n--;
    out[n] = '\0';
}

static void random_texts(void **state)
{
    static char a[4096], b[4096];
    uint32_t s = 20261121;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        unsigned words = 1 + rnd(&s) % 12;
        make(&s, a, rnd(&s) % 40, words);
        make(&s, b, rnd(&s) % 40, words);
        check(a, b);
    }
}

/* A long text with a few changes stays small; two long texts without anything in common are one change. */
static void long_texts(void **state)
{
    enum { LINES = 50000 };
    char *a = malloc(LINES * 12), *b = malloc(LINES * 12);
    size_t n = 0, m = 0;
    bool differs;
    (void)state;
    for (int i = 0; i < LINES; i++) {
        n += (size_t)snprintf(a + n, 12, "%d\n", i);
        if (i % 10000 != 5000)
            m += (size_t)snprintf(b + m, 12, "%d\n", i);
    }
    char *d = diff_of(a, b, &differs);
    assert_true(strlen(d) < 1000);
    free(d);
    check(a, b);
    for (char *p = b; *p; p++)
        if (*p != '\n')
            *p = (char)(*p + 20);
    check(a, b);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(random_texts), cmocka_unit_test(long_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
