/*
 * NAME test_conf_bad - every broken configuration under tests/conf/bad says exactly what its .expect file says, and is not loaded;
 * every one under tests/conf/good loads without an error. Add a case by adding two files. [item 136]
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fsutil.h"
#include "test_conf_modules.h"

static char start[1000];

static void go_to(const char *dir)
{
    const char *src = getenv("srcdir");
    assert_int_equal(chdir(start), 0);
    if (src)
        assert_int_equal(chdir(src), 0);
    if (chdir(dir) != 0)
        fail_msg("no folder %s", dir);
}

static void load_text(const char *path, struct buf *b)
{
    struct err e = ERR_INIT;
    buf_init(b, 1 << 20);
    if (fs_load(path, b, &e))
        fail_msg("%s: %s", path, e.text);
    buf_addc(b, 0);
}

/* What loading says; NULL config expected or not. */
static void load_conf(const char *path, bool is_good, struct buf *said)
{
    struct diag *d = diag_new();
    struct config *c = config_load(path, &test_modules, d);
    buf_init(said, 1 << 20);
    diag_format(d, said);
    buf_addc(said, 0);
    if (is_good != (c != NULL) || is_good != (diag_errors(d) == 0))
        print_error("%s: %s\n", path, said->p);
    assert_int_equal(c != NULL, is_good);
    assert_int_equal(diag_errors(d) == 0, is_good);
    config_free(c);
    diag_free(d);
}

static void test_bad(void **state)
{
    (void)state;
    glob_t g;
    size_t wrong = 0, pairs = 0;
    go_to("tests/conf/bad");
    assert_int_equal(glob("*.conf", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 150);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct buf said, expected;
        char path[300];
        (void)snprintf(path, sizeof path, "%.*s.expect", (int)strlen(g.gl_pathv[i]) - 5, g.gl_pathv[i]);
        load_text(path, &expected);
        load_conf(g.gl_pathv[i], false, &said);
        pairs++;
        if (strcmp(said.p, expected.p) != 0) {
            print_error("%s says\n%snot\n%s", g.gl_pathv[i], said.p, expected.p);
            wrong++;
        }
        buf_clear(&said);
        buf_clear(&expected);
    }
    globfree(&g);
    assert_int_equal(wrong, 0);
    assert_int_equal(glob("*.expect", 0, NULL, &g), 0);
    assert_int_equal(g.gl_pathc, pairs);            /* no .expect without its .conf */
    globfree(&g);
}

static void test_good(void **state)
{
    (void)state;
    glob_t g;
    go_to("tests/conf/good");
    assert_int_equal(glob("*.conf", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 5);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct buf said;
        load_conf(g.gl_pathv[i], true, &said);
        buf_clear(&said);
    }
    globfree(&g);
}

/* Every mistake names a line: only what is missing altogether stands for the whole file. */
static void test_places(void **state)
{
    (void)state;
    glob_t g;
    size_t lines = 0;
    go_to("tests/conf/bad");
    assert_int_equal(glob("*.expect", 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        struct buf b;
        struct span rest, line;
        load_text(g.gl_pathv[i], &b);
        rest = buf_span(&b);
        while (span_next(&rest, '\n', &line)) {
            size_t colon = span_find(line, ':');
            if (!line.n || line.p[0] == ' ' || colon + 1 >= line.n)
                continue;
            bool is_whole_file = line.p[colon + 1] == ' ';
            struct span tail = span_from(line, colon);
            if (is_whole_file && !span_starts(tail, ": error: there is no ") && !span_starts(tail, ": error: send lab needs the table"))
                fail_msg("%s: no place in \"%.*s\"", g.gl_pathv[i], SPAN_ARG(line));
            lines += !is_whole_file;
        }
        buf_clear(&b);
    }
    globfree(&g);
    assert_true(lines >= 150);
}

static int remember_start(void **state)
{
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    return getcwd(start, sizeof start) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad), cmocka_unit_test(test_good), cmocka_unit_test(test_places)};
    return cmocka_run_group_tests(tests, remember_start, NULL);
}
