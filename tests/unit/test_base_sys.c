/* NAME test_base_sys - err, log, fsutil, secret, clock: what touches the machine. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "fsutil.h"
#include "log.h"
#include "secret.h"
#include "xmem.h"

static char dir[64];

static char *in_dir(const char *name)
{
    static char p[4][256];
    static unsigned i;
    char *out = p[i++ % 4];
    (void)snprintf(out, sizeof p[0], "%s/%s", dir, name);
    return out;
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/labrelay-base-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

/* ---- err ---- */

static void test_err(void **state)
{
    struct err e = ERR_INIT;
    char x[600];
    (void)state;
    assert_int_equal(e.kind, ERR_NONE);
    assert_int_equal(err_set(&e, ERR_INPUT, "PID-5", "%d of %s", 3, "four"), -1);
    assert_int_equal(e.kind, ERR_INPUT);
    assert_string_equal(e.where, "PID-5");
    assert_string_equal(e.text, "3 of four");
    assert_int_equal(err_prefix(&e, "route \"%s\"", "covid"), -1);
    assert_string_equal(e.text, "route \"covid\": 3 of four");
    (void)err_set(&e, ERR_TEMP, e.where, "again: %s", e.text);      /* from itself */
    assert_string_equal(e.where, "PID-5");
    assert_string_equal(e.text, "again: route \"covid\": 3 of four");
    (void)err_set(&e, ERR_BUG, NULL, "x");
    assert_string_equal(e.where, "");
    memset(x, 'x', sizeof x - 1);
    x[sizeof x - 1] = '\0';
    (void)err_set(&e, ERR_LIMIT, x, "%s", x);
    assert_int_equal(strlen(e.where), sizeof e.where - 1);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    (void)err_prefix(&e, "%s", x);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    for (int k = ERR_NONE; k <= ERR_BUG; k++)
        assert_string_not_equal(err_kind_name((enum err_kind)k), "?");
}

/* ---- log ---- */

static int saved_stderr;
static const char *captured(void)
{
    static char b[8192];
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    int fd = open(in_dir("log"), O_RDONLY);
    ssize_t n = read(fd, b, sizeof b - 1);
    (void)close(fd);
    b[n < 0 ? 0 : n] = '\0';
    return b;
}

static void capture(void)
{
    saved_stderr = dup(STDERR_FILENO);
    int fd = open(in_dir("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)dup2(fd, STDERR_FILENO);
    (void)close(fd);
}

static void test_log_line(void **state)
{
    (void)state;
    log_set_level(LOG_INFO);
    capture();
    log_event(LOG_INFO, "stored", log_id("msg", 'm', 1042), log_word("ack", "AA"), log_int("n", -3), log_ms("took", 3120), log_word("none", NULL), log_text("reason", "a \"b\"\nc"));
    const char *s = captured();
    assert_non_null(strstr(s, "Z level=info msg=m1042 stored ack=AA n=-3 took=3.1ms none=- reason=\"a 'b' c\"\n"));
    assert_int_equal(s[4], '-');
}

static void test_log_keeps_no_text(void **state)    /* [item 64] the log's part: what is no code or name comes out as blanks */
{
    (void)state;
    capture();
    log_event(LOG_ERROR, "x", log_word("w", "Okello^Mary Anne\n=\"\xc3\xa9"), log_span("s", SPAN_LIT("a b")));
    const char *s = captured();
    assert_non_null(strstr(s, " x w=Okello^Mary_Anne_____ s=a_b\n"));
}

static void test_log_limits(void **state)
{
    char x[3000];
    (void)state;
    memset(x, 'x', sizeof x - 1);
    x[sizeof x - 1] = '\0';
    capture();
    log_event(LOG_ERROR, "w", log_word("a", x), log_int("end", 1));
    const char *s = captured();
    assert_int_equal(strspn(strstr(s, "a=x") + 2, "x"), 96);
    assert_non_null(strstr(s, "x end=1\n"));
    capture();
    log_event(LOG_ERROR, "t", log_text("a", x), log_text("b", x));
    s = captured();
    assert_int_equal(strlen(s), 1001);
    assert_int_equal(s[1000], '\n');
}

static void test_log_level(void **state)
{
    enum log_level l;
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(log_level_parse("debug", &l), 0);
    assert_int_equal(l, LOG_DEBUG);
    assert_int_equal(log_level_parse("loud", &l), -1);
    log_set_level(LOG_WARNING);
    assert_int_equal(log_get_level(), LOG_WARNING);
    (void)err_set(&e, ERR_CONFIG, "f.conf:3", "no such thing");
    capture();
    log_event(LOG_INFO, "not shown");
    log_err(LOG_WARNING, "shown", &e);
    const char *s = captured();
    assert_null(strstr(s, "not shown"));
    assert_non_null(strstr(s, "level=warning shown kind=config where=\"f.conf:3\" reason=\"no such thing\"\n"));
    log_set_level(LOG_INFO);
}

static void test_log_hold(void **state)
{
    char x[501];
    (void)state;
    memset(x, 'x', 500);
    x[500] = '\0';
    capture();
    log_hold();
    log_event(LOG_INFO, "first", log_int("n", 1));
    log_event(LOG_INFO, "second", log_int("n", 2));
    assert_string_equal(captured(), "");            /* they wait */
    capture();
    log_flush();
    const char *s = captured(), *first = strstr(s, "first n=1\n");
    assert_true(first && strstr(first, "second n=2\n"));
    capture();
    log_event(LOG_INFO, "before", log_int("n", 1));
    log_event(LOG_ERROR, "trouble", log_int("n", 2));   /* an error waits for nobody, and comes after what came before it */
    s = captured();
    first = strstr(s, "before n=1\n");
    assert_true(first && strstr(first, "trouble n=2\n"));
    capture();
    for (int i = 0; i < 200; i++)                   /* more than the memory holds: nothing is lost, nothing is cut */
        log_event(LOG_INFO, "many", log_text("t", x), log_int("i", i));
    log_flush();
    (void)captured();
    FILE *f = fopen(in_dir("log"), "r");
    char line[2000], want[32];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(want, sizeof want, "\" i=%d\n", i);
        assert_non_null(fgets(line, sizeof line, f));
        assert_non_null(strstr(line, want));
    }
    assert_null(fgets(line, sizeof line, f));
    (void)fclose(f);
}

/* ---- fsutil ---- */

static void test_fs_load(void **state)
{
    struct buf b;
    struct err e = ERR_INIT;
    (void)state;
    buf_init(&b, 100);
    put(in_dir("f"), "hello", 0600);
    assert_int_equal(fs_load(in_dir("f"), &b, &e), 0);
    assert_int_equal(fs_load(in_dir("f"), &b, &e), 0);
    assert_string_equal(b.p, "hellohello");
    assert_int_equal(fs_load(in_dir("none"), &b, &e), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.where, in_dir("none"));
    assert_non_null(strstr(e.text, "No such file"));
    assert_int_equal(fs_load(dir, &b, &e), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    buf_clear(&b);
    buf_init(&b, 4);
    assert_int_equal(fs_load(in_dir("f"), &b, &e), -1);
    assert_int_equal(e.kind, ERR_LIMIT);
    buf_clear(&b);
    put(in_dir("empty"), "", 0600);
    assert_int_equal(fs_load(in_dir("empty"), &b, &e), 0);
    assert_int_equal(b.n, 0);
    buf_clear(&b);
}

static void test_fs_write(void **state)
{
    struct err e = ERR_INIT;
    struct buf b;
    struct stat st;
    (void)state;
    buf_init(&b, 100);
    assert_int_equal(fs_write_durably(in_dir("w"), SPAN_LIT("one"), &e), 0);
    assert_int_equal(fs_write_durably(in_dir("w"), SPAN_LIT("two\0x"), &e), 0);
    assert_int_equal(fs_load(in_dir("w"), &b, &e), 0);
    assert_int_equal(b.n, 5);
    assert_memory_equal(b.p, "two\0x", 5);
    assert_int_equal(stat(in_dir("w"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_not_equal(access(in_dir("w.tmp"), F_OK), 0);
    assert_int_equal(fs_write_durably(in_dir("no/such/dir"), SPAN_LIT("x"), &e), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_int_equal(mkdir(in_dir("d"), 0700), 0);
    assert_int_equal(fs_write_durably(in_dir("d"), SPAN_LIT("x"), &e), -1);
    assert_int_not_equal(access(in_dir("d.tmp"), F_OK), 0);     /* nothing is left behind */
    buf_clear(&b);
}

static void test_fs_paths(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    static const struct { const char *base, *path, *want; } rows[] = {
        {"/etc/l/l.conf", "t.csv", "/etc/l/t.csv"}, {"/etc/l/l.conf", "/t.csv", "/t.csv"}, {"l.conf", "t.csv", "t.csv"}, {"/l.conf", "t/x", "/t/x"}, {"a/b", "../c", "a/../c"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *p = fs_path_beside(rows[i].base, rows[i].path);
        assert_string_equal(p, rows[i].want);
        free(p);
    }
    assert_int_equal(fs_mkdirs(in_dir("a/b/c"), &e), 0);
    assert_int_equal(fs_mkdirs(in_dir("a/b/c"), &e), 0);
    assert_int_equal(fs_mkdirs(in_dir("a/b/d/"), &e), 0);
    assert_int_equal(access(in_dir("a/b/d"), F_OK), 0);
    assert_int_equal(fs_mkdirs("", &e), 0);
    put(in_dir("file"), "", 0600);
    assert_int_equal(fs_mkdirs(in_dir("file"), &e), -1);
    assert_int_equal(fs_mkdirs(in_dir("file/x"), &e), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_int_equal(fs_sync_parent(in_dir("file"), &e), 0);
    assert_int_equal(fs_sync_parent(in_dir("none/file"), &e), -1);
    assert_in_range(fs_free_percent(dir), 0, 100);
    assert_int_equal(fs_free_percent(in_dir("none")), -1);
}

/* ---- secret ---- */

static void test_secret(void **state)
{
    struct err e = ERR_INIT;
    char *s = NULL;
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    char conf[256];
    (void)snprintf(conf, sizeof conf, "%s", in_dir("l.conf"));
    assert_int_equal(mkdir(in_dir("credentials"), 0700), 0);
    put(in_dir("credentials/pw"), "s3cret\r\n\n", 0600);
    assert_int_equal(secret_load(conf, "pw", &s, &e), 0);
    assert_string_equal(s, "s3cret");
    secret_free(s);
    put(in_dir("credentials/open"), "x", 0640);
    assert_int_equal(secret_load(conf, "open", &s, &e), -1);
    assert_non_null(strstr(e.text, "chmod 600"));
    put(in_dir("credentials/empty"), "\n", 0600);
    assert_int_equal(secret_load(conf, "empty", &s, &e), -1);
    assert_int_equal(secret_load(conf, "none", &s, &e), -1);
    assert_string_equal(e.where, in_dir("credentials/none"));
    assert_int_equal(secret_load(conf, "../pw", &s, &e), -1);
    assert_int_equal(secret_load(conf, "", &s, &e), -1);
    /* systemd's folder comes first; a group bit is its ACL mask there, a bit for others never is */
    assert_int_equal(mkdir(in_dir("cred"), 0700), 0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", in_dir("cred"), 1), 0);
    put(in_dir("cred/pw"), "from systemd", 0440);
    assert_int_equal(secret_load(conf, "pw", &s, &e), 0);
    assert_string_equal(s, "from systemd");
    secret_free(s);
    put(in_dir("cred/bad"), "x", 0444);
    assert_int_equal(secret_load(conf, "bad", &s, &e), -1);
    put(in_dir("credentials/only"), "beside", 0600);
    assert_int_equal(secret_load(conf, "only", &s, &e), 0);
    assert_string_equal(s, "beside");
    secret_free(s);
    secret_free(NULL);
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    assert_true(secret_equal(SPAN_LIT("abc"), SPAN_LIT("abc")));
    assert_false(secret_equal(SPAN_LIT("abc"), SPAN_LIT("abd")));
    assert_false(secret_equal(SPAN_LIT("abc"), SPAN_LIT("ab")));
    assert_false(secret_equal(SPAN_ABSENT, SPAN_ABSENT));   /* no token opens no door */
}

/* ---- clock ---- */

static void test_clock(void **state)
{
    char t[40];
    (void)state;
    clock_format_iso(1777904400123456, t, sizeof t);
    assert_string_equal(t, "2026-05-04T14:20:00.123Z");
    clock_format_iso(0, t, sizeof t);
    assert_string_equal(t, "1970-01-01T00:00:00.000Z");
    clock_format_iso(-1, t, sizeof t);
    assert_string_equal(t, "1969-12-31T23:59:59.999Z");
    int64_t a = clock_mono_us(), now = clock_now_us();
    clock_set_offset_us((int64_t)86400 * 1000000);
    assert_in_range(clock_now_us() - now, (int64_t)86400 * 1000000, (int64_t)86410 * 1000000);
    assert_in_range(clock_mono_us() - a, 0, 10000000);      /* the monotonic clock does not jump with it */
    clock_set_offset_us(0);
    assert_int_equal(setenv("TZ", "UTC-2", 1), 0);
    tzset();
    clock_format_local(1777904400000000, t, sizeof t);
    assert_string_equal(t, "2026-05-04 16:20:00");
    clock_format_local(0, t, 5);
    assert_string_equal(t, "");
}

static int teardown(void **state)
{
    char cmd[] = "rm", flag[] = "-rf";
    char *argv[] = {cmd, flag, dir, NULL};
    (void)state;
    if (fork() == 0) {
        (void)execvp("rm", argv);
        _exit(1);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err), cmocka_unit_test(test_log_line), cmocka_unit_test(test_log_keeps_no_text), cmocka_unit_test(test_log_limits), cmocka_unit_test(test_log_level), cmocka_unit_test(test_log_hold),
        cmocka_unit_test(test_fs_load), cmocka_unit_test(test_fs_write), cmocka_unit_test(test_fs_paths), cmocka_unit_test(test_secret), cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
