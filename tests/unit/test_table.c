/* NAME test_table - CSV as people write it, look-ups, folded texts. What is wrong with a table: tests/conf/bad/csv-*.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "table.h"

static char path[] = "/tmp/labrelay-table-XXXXXX";

#define assert_span(s, text) do { struct span got_ = (s); if (!span_is(got_, text)) fail_msg("\"%.*s\", not \"%s\"", SPAN_ARG(got_), text); } while (0)

static struct table *load(const char *text, size_t n, const char *k1, const char *k2, bool is_folded, size_t *errors, size_t *warnings)
{
    struct table_word keys[2] = {{span_of(k1), {0}}, {span_of(k2), {0}}};
    struct table_spec s = {.name = SPAN_LIT("t"), .path = path, .keys = keys, .n_keys = k2 ? 2 : 1, .is_folded = is_folded};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    struct diag *d = diag_new();
    struct table *t = table_load(&s, d, NULL);
    *errors = diag_errors(d);
    *warnings = diag_warnings(d);
    diag_free(d);
    return t;
}

static struct span look(const struct table *t, const char *k1, const char *k2, const char *column)
{
    struct span keys[2] = {span_of(k1), span_of(k2)};
    return table_cell(t, table_find(t, keys), table_column(t, span_of(column)));
}

static void test_cells(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf# licence, with \"quotes\"\r\n\r\nsystem,code,text\r\ns,1,\"a \"\"b\"\", c\"\r\n\r\ns,2,\"two\nlines\"\r\ns,3,\r\n\"s\",\"4\",end";
    size_t errors, warnings;
    struct table *t = load(text, sizeof text - 1, "system", "code", false, &errors, &warnings);
    assert_non_null(t);
    assert_int_equal(errors, 0);
    assert_int_equal(warnings, 1);
    assert_int_equal(table_rows(t), 4);
    assert_span(look(t, "s", "1", "text"), "a \"b\", c");
    assert_span(look(t, "s", "2", "text"), "two\nlines");
    assert_span(look(t, "s", "3", "text"), "");
    assert_span(look(t, "s", "4", "text"), "end");
    assert_true(span_is_absent(look(t, "s", "5", "text")));
    assert_true(span_is_absent(look(t, "s1", "", "text")));
    assert_true(span_is_absent(look(t, "", "s1", "text")));
    struct span keys[2] = {SPAN_LIT("s"), SPAN_LIT("3")};
    assert_int_equal(table_line(t, table_find(t, keys)), 8);
    assert_int_equal(table_column(t, SPAN_LIT("none")), -1);
    assert_int_equal(strlen(look(t, "s", "1", "text").p), 8);      /* NUL behind every cell */
    table_free(t);
}

static void test_blanks_around_keys(void **state)
{
    (void)state;
    static const char text[] = "code,v\n 12 ,x\n";
    size_t errors, warnings;
    struct table *t = load(text, sizeof text - 1, "code", NULL, false, &errors, &warnings);
    assert_int_equal(warnings, 1);
    assert_span(look(t, "12", NULL, "v"), "x");
    table_free(t);
}

static void test_folded(void **state)
{
    (void)state;
    static const char text[] = "text,outcome,language\nNon D\xc3\xa9tect\xc3\xa9.,NEGATIVE,fr\npositive,POSITIVE,en\nPOSITIVE,POSITIVE,fr\n";
    size_t errors, warnings;
    struct table *t = load(text, sizeof text - 1, "text", NULL, true, &errors, &warnings);
    assert_int_equal(errors, 0);                                    /* the same word of two languages is no duplicate */
    assert_span(look(t, "non d\xc3\xa9tect\xc3\xa9", NULL, "outcome"), "NEGATIVE");
    assert_span(look(t, "non detecte", NULL, "outcome"), "NEGATIVE");
    assert_true(span_is_absent(look(t, "non d\xc3\xa9tecte", NULL, "outcome")));
    assert_true(span_is_absent(look(t, "non", NULL, "outcome")));
    table_free(t);
    static const char other[] = "text,outcome,language\npositive,POSITIVE,en\nPositive,NEGATIVE,fr\n";
    t = load(other, sizeof other - 1, "text", NULL, true, &errors, &warnings);
    assert_null(t);
    assert_int_equal(errors, 1);
    static const char apart[] = "text,outcome\np\xc3\xa9,POSITIVE\np\xc3\xa8,NEGATIVE\n";
    t = load(apart, sizeof apart - 1, "text", NULL, true, &errors, &warnings);
    assert_true(span_is_absent(look(t, "pe", NULL, "outcome")));   /* could mean both: means neither */
    table_free(t);
}

static void test_many_rows(void **state)
{
    (void)state;
    struct buf b;
    size_t errors, warnings;
    buf_init(&b, 1 << 20);
    buf_adds(&b, "system,code,v\n");
    for (int i = 0; i < 5000; i++)
        buf_addf(&b, "s%d,%d,%d\n", i % 7, i, i * 3);
    struct table *t = load(b.p, b.n, "system", "code", false, &errors, &warnings);
    assert_non_null(t);
    for (int i = 0; i < 5000; i++) {
        char k1[16], k2[16], v[16];
        (void)snprintf(k1, sizeof k1, "s%d", i % 7);
        (void)snprintf(k2, sizeof k2, "%d", i);
        (void)snprintf(v, sizeof v, "%d", i * 3);
        assert_span(look(t, k1, k2, "v"), v);
        (void)snprintf(k1, sizeof k1, "s%d", i % 7 + 1);
        assert_true(span_is_absent(look(t, k1, k2, "v")));
    }
    table_free(t);
    buf_clear(&b);
}

static void test_zero_bytes(void **state)
{
    (void)state;
    static const char text[] = "c\0o\0d\0e\0,\0v\0\n\0";
    size_t errors, warnings;
    assert_null(load(text, sizeof text - 1, "code", NULL, false, &errors, &warnings));
    assert_int_equal(errors, 1);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int drop_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells), cmocka_unit_test(test_blanks_around_keys), cmocka_unit_test(test_folded),
                                       cmocka_unit_test(test_many_rows), cmocka_unit_test(test_zero_bytes)};
    return cmocka_run_group_tests(tests, make_file, drop_file);
}
