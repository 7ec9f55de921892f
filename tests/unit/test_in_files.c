/*
 * NAME test_in_files - the listener on real folders with an engine of our own: order, claims, read-ahead, retries, budgets, names.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "clock.h"
#include "in_files_inner.h"
#include "log.h"
#include "xmem.h"

struct fixture {
    char dir[64], inbox[80];
    struct files_options o;
    struct listener_env env;
    struct event_base *base;
    struct mailbox *engine;
    struct listener *l;
};

static int64_t held;                    /* bytes of the budget */
static int64_t budget;
static bool accepting;
static int64_t counted;

static int64_t inflight(void) { return held; }
static void account(int64_t delta) { held += delta; assert_true(held >= 0); }
static bool is_accepting(const char *listener) { return accepting && strcmp(listener, "drop") == 0; }
static uint64_t next_reply_id(void) { return 1; }
static void count(const char *listener, const char *what, int64_t n)
{
    assert_string_equal(listener, "drop");
    if (strcmp(what, "refused") == 0)
        counted += n;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/labrelay-unit.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->inbox, sizeof f->inbox, "%s/inbox", f->dir);
    assert_int_equal(mkdir(f->inbox, 0700), 0);
    f->o = (struct files_options){.inbox = f->inbox, .settle = 20000, .rescan = 100000, .max_size = 1000, .read_ahead = 8, .inotify = true};
    f->base = event_base_new();
    f->engine = mailbox_new(false);
    budget = 1 << 20;
    f->env = (struct listener_env){.base = f->base, .engine = f->engine, .name = "drop", .socket = -1, .budget_bytes = &budget, .inflight_bytes = inflight, .account_bytes = account,
                                   .is_accepting = is_accepting, .next_reply_id = next_reply_id, .count = count};
    held = counted = 0;
    accepting = true;
    log_set_level(LOG_ERROR);
    *state = f;
    return 0;
}

static void drop_frames(struct fixture *f)
{
    for (struct mail *m = mailbox_take_all(f->engine), *next; m; m = next) {
        next = m->next;
        frame_free((struct frame *)(void *)m);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    files_listener.close(f->l);
    drop_frames(f);
    assert_int_equal(held, 0);
    mailbox_free(f->engine);
    event_base_free(f->base);
    assert_int_equal(nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (files_listener.open(&f->l, &f->o, &f->env, &e))
        fail_msg("%s: %s", e.where, e.text);
}

static void path_of(struct fixture *f, const char *name, char out[512])
{
    assert_true(snprintf(out, 512, "%s/%s", f->inbox, name) < 512);
}

static void put(struct fixture *f, const char *name, const char *text, time_t mtime)
{
    char hidden[512], path[512];
    struct timespec t[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
    path_of(f, ".new.tmp", hidden);
    path_of(f, name, path);
    int fd = open(hidden, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(futimens(fd, t), 0);
    (void)close(fd);
    assert_int_equal(rename(hidden, path), 0);
}

static bool is_there(struct fixture *f, const char *name)
{
    char path[512];
    struct stat st;
    path_of(f, name, path);
    return lstat(path, &st) == 0;
}

static void spin(struct fixture *f, int64_t us)
{
    int64_t end = clock_mono_us() + us;
    while (clock_mono_us() < end) {
        (void)event_base_loop(f->base, EVLOOP_NONBLOCK);
        (void)usleep(500);
    }
}

/* The next frame of the engine's box, waiting for it; NULL when none comes. */
static struct frame *next_frame(struct fixture *f)
{
    int64_t end = clock_mono_us() + 3000000;
    struct mail *m;
    while ((m = mailbox_take_one(f->engine)) == NULL && clock_mono_us() < end) {
        (void)event_base_loop(f->base, EVLOOP_NONBLOCK);
        (void)usleep(500);
    }
    return (struct frame *)(void *)m;
}

static void answer(struct fixture *f, struct frame *fr, int fate, char *why)
{
    struct reply r = {.listener = f->l, .conn = fr->conn, .status = fate, .message_id = 7, .n_messages = 1, .n_bad = fate == FATE_REFUSED, .why = why};
    struct span payload = SPAN_LIT("MSA|AA|1");
    r.payloads = &payload;
    r.n = 1;
    files_listener.reply(f->l, &r);
    frame_free(fr);
}

static void test_order(void **state)
{
    struct fixture *f = *state;
    static const char *const want[] = {"b", "c", "a1", "a2", "z"};
    put(f, "z", "z", 2000000);
    put(f, "a2", "a2", 1000100);
    put(f, "c", "c", 1000002);
    put(f, "a1", "a1", 1000100);
    put(f, "b", "b", 1000001);
    start(f);
    for (size_t i = 0; i < 5; i++) {
        struct frame *x = next_frame(f);
        assert_non_null(x);
        assert_string_equal(x->peer, want[i]);
        assert_true(x->is_patient && x->raw_n == strlen(want[i]) && memcmp(x->raw, want[i], x->raw_n) == 0);
        answer(f, x, FATE_STORED, NULL);
    }
    assert_true(is_there(f, "done/a1") && is_there(f, "done/z") && !is_there(f, "done/z.ack") && !is_there(f, "z"));
    assert_true(files_listener.is_idle(f->l));
}

static void test_order_by_name(void **state)
{
    struct fixture *f = *state;
    f->o.order = FILES_BY_NAME;
    put(f, "b", "b", 1000001);
    put(f, "a", "a", 1000002);
    start(f);
    struct frame *x = next_frame(f), *y = next_frame(f);
    assert_string_equal(x->peer, "a");
    assert_string_equal(y->peer, "b");
    answer(f, y, FATE_STORED, NULL);
    answer(f, x, FATE_DUPLICATE, NULL);
    assert_true(is_there(f, "done/a") && is_there(f, "done/b"));
}

static void test_read_ahead(void **state)
{
    struct fixture *f = *state;
    struct frame *x[20];
    size_t n = 0;
    char name[16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "f%02d", i);
        put(f, name, name, 1000000 + i);
    }
    start(f);
    x[n++] = next_frame(f);
    spin(f, 100000);
    while ((x[n] = (struct frame *)(void *)mailbox_take_one(f->engine)) != NULL)
        n++;
    assert_int_equal(n, 8);             /* no more than read-ahead */
    for (size_t i = 0; i < 3; i++)
        answer(f, x[i], FATE_STORED, NULL);
    spin(f, 50000);
    assert_int_equal(mailbox_count(f->engine), 0);      /* not one by one: the next come together */
    answer(f, x[3], FATE_STORED, NULL);
    spin(f, 50000);
    assert_int_equal(mailbox_count(f->engine), 4);
    for (size_t i = 4; i < 8; i++)
        answer(f, x[i], FATE_STORED, NULL);
    for (int i = 8; i < 20; i++)
        answer(f, next_frame(f), FATE_STORED, NULL);
    assert_true(is_there(f, "done/f19"));
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    char path[512], text[2000];
    f->o.ack = true;
    put(f, "bad", "x", 1000000);
    start(f);
    answer(f, next_frame(f), FATE_REFUSED, (char *)(uintptr_t)"error 103 CODE at OBX^1^11: not in the table\n");
    assert_true(is_there(f, "error/bad") && is_there(f, "error/bad.ack"));
    path_of(f, "error/bad.why.txt", path);
    FILE *t = fopen(path, "r");
    assert_non_null(t);
    size_t n = fread(text, 1, sizeof text - 1, t);
    text[n] = '\0';
    (void)fclose(t);
    assert_non_null(strstr(text, "File:    bad\n"));
    assert_non_null(strstr(text, "m7"));
    assert_non_null(strstr(text, "error 103 CODE at OBX^1^11: not in the table\n"));
    put(f, "bad", "y", 1000000);        /* the same name again does not replace it */
    answer(f, next_frame(f), FATE_REFUSED, NULL);
    assert_true(is_there(f, "error/bad.2") && is_there(f, "error/bad.2.why.txt"));
}

static void test_refused_unread(void **state)
{
    struct fixture *f = *state;
    char path[512], big[1200];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    put(f, "empty", "", 1000000);
    put(f, "big", big, 1000000);
    path_of(f, "link", path);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    start(f);
    int64_t end = clock_mono_us() + 2000000;
    while (!(is_there(f, "error/empty") && is_there(f, "error/big") && is_there(f, "error/link")) && clock_mono_us() < end)
        spin(f, 10000);
    assert_true(is_there(f, "error/empty.why.txt") && is_there(f, "error/big.why.txt") && is_there(f, "error/link.why.txt"));
    assert_int_equal(counted, 3);
    assert_int_equal(mailbox_count(f->engine), 0);
}

/* Nothing was promised: the file stays claimed and is tried again, later. */
static void test_busy(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "a", 1000000);
    start(f);
    struct frame *x = next_frame(f);
    accepting = false;
    answer(f, x, FATE_BUSY, NULL);
    assert_int_equal(held, 0);
    assert_true(is_there(f, ".claimed/a") && !is_there(f, "done/a") && !is_there(f, "error/a"));
    spin(f, 300000);
    assert_int_equal(mailbox_count(f->engine), 0);
    accepting = true;
    x = next_frame(f);
    assert_non_null(x);
    assert_string_equal(x->peer, "a");
    answer(f, x, FATE_STORED, NULL);
    assert_true(is_there(f, "done/a"));
}

static void test_left_claimed(void **state)
{
    struct fixture *f = *state;
    char path[512];
    path_of(f, ".claimed", path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(f, ".claimed/old", "old", 3000000);
    put(f, "old", "new", 1000000);      /* the same name again, dropped meanwhile */
    put(f, "other", "other", 1000000);
    start(f);
    struct frame *x = next_frame(f);
    assert_true(x->raw_n == 3 && memcmp(x->raw, "old", 3) == 0);    /* first, whatever its time */
    struct frame *y = next_frame(f);
    assert_string_equal(y->peer, "other");
    spin(f, 150000);
    assert_int_equal(mailbox_count(f->engine), 0);      /* the new one waits for the old one */
    answer(f, x, FATE_STORED, NULL);
    answer(f, y, FATE_STORED, NULL);
    x = next_frame(f);
    assert_true(x && memcmp(x->raw, "new", 3) == 0);
    answer(f, x, FATE_STORED, NULL);
    assert_true(is_there(f, "done/old") && is_there(f, "done/old.2"));
}

static void test_budget(void **state)
{
    struct fixture *f = *state;
    budget = 500;
    put(f, "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1000000);
    put(f, "b", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 1000001);
    start(f);
    struct frame *x = next_frame(f);
    spin(f, 300000);
    assert_int_equal(mailbox_count(f->engine), 0);
    answer(f, x, FATE_STORED, NULL);
    x = next_frame(f);
    assert_non_null(x);
    assert_string_equal(x->peer, "b");
    answer(f, x, FATE_STORED, NULL);
}

static void test_stop(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "a", 1000000);
    start(f);
    struct frame *x = next_frame(f);
    files_listener.stop_accepting(f->l);
    assert_false(files_listener.is_idle(f->l));
    put(f, "b", "b", 1000000);
    spin(f, 200000);
    assert_int_equal(mailbox_count(f->engine), 0);
    answer(f, x, FATE_STORED, NULL);
    assert_true(files_listener.is_idle(f->l) && is_there(f, "done/a") && is_there(f, "b"));
}

static void test_rename_never_replaces(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "a", 1);
    put(f, "b", "b", 1);
    int fd = open(f->inbox, O_RDONLY | O_DIRECTORY);
    assert_int_equal(move_rename(fd, "a", fd, "b"), EEXIST);
    assert_int_equal(move_rename(fd, "none", fd, "c"), ENOENT);
    assert_int_equal(move_rename(fd, "a", fd, "c"), 0);
    assert_true(is_there(f, "b") && is_there(f, "c") && !is_there(f, "a"));
    (void)close(fd);
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char other[100];
    (void)snprintf(other, sizeof other, "%s/other", f->dir);
    f->o.done = f->o.error = other;
    assert_int_equal(files_listener.options.check(&f->o, &e), -1);
    f->o.error = f->inbox;
    assert_int_equal(files_listener.options.check(&f->o, &e), -1);
    f->o.error = NULL;
    assert_int_equal(files_listener.options.check(&f->o, &e), 0);
    put(f, "a", "a", 1);
    start(f);
    answer(f, next_frame(f), FATE_STORED, NULL);
    assert_true(is_there(f, "../other/a"));
    files_listener.close(f->l);
    f->l = NULL;
    f->o.done = (char *)(uintptr_t)"/proc/self";        /* another file system */
    assert_int_equal(files_listener.open(&f->l, &f->o, &f->env, &e), -1);
    assert_int_equal(e.kind, ERR_CONFIG);
    f->o.done = NULL;
    f->o.inbox = (char *)(uintptr_t)"/nonexistent/inbox";
    assert_int_equal(files_listener.open(&f->l, &f->o, &f->env, &e), -1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_order), T(test_order_by_name), T(test_read_ahead), T(test_refused), T(test_refused_unread), T(test_busy), T(test_left_claimed), T(test_budget), T(test_stop),
        T(test_rename_never_replaces), T(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
