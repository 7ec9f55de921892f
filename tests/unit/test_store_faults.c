/*
 * NAME test_store_faults - the store when things go wrong: killed in and after a batch, full disk, fsync that fails, a second engine,
 * foreign, newer and damaged files, permissions.
 * fsync and fdatasync of this program stand before libc's, so that one can be made to fail; a failing one is counted to show that it
 * is never tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "store_test.h"

static bool sync_fails;
static unsigned syncs;

static int sync_or_fail(long which, int fd)
{
    syncs++;
    if (sync_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(which, fd);
}

int fsync(int fd)
{
    return sync_or_fail(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_or_fail(SYS_fdatasync, fd);
}

static void commits_with_one_fsync(void **state)
{
    struct place *p = *state;
    (void)put(p, "M0");
    OK(store_commit(p->q, &p->e));      /* the first also makes the log's name durable */
    syncs = 0;
    for (unsigned i = 0; i < 64; i++)
        (void)deliver(p, put(p, "M1"), i + 1, DELIVERY_READY);
    OK(store_count(p->q, "lab", "received", 64, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(syncs, 1);
    OK(store_commit(p->q, &p->e));
    assert_int_equal(syncs, 1);         /* nothing to commit: nothing to sync */
}

/* Runs in a child that kills itself: batches of 5 messages, a byte on the pipe after each commit, dies inside the next batch. */
static void child_writes(struct place *p, int fd, unsigned batches, unsigned more)
{
    struct store *q;
    struct err e = ERR_INIT;
    if (store_open(&q, &p->conf, &e) != 0)
        _exit(1);
    p->q = q;
    for (unsigned b = 0; b <= batches; b++) {
        for (unsigned i = 0; i < (b < batches ? 5 : more); i++) {
            (void)deliver(p, put(p, "M"), b * 5 + i + 1, DELIVERY_CLAIMED);
            if (store_count(q, "lab", "received", 1, &e) != 0 || store_audit(q, "ann", "x", 1, 1, "", &e) != 0)
                _exit(2);
        }
        if (b == batches)
            break;
        if (store_commit(q, &e) != 0 || write(fd, "c", 1) != 1)
            _exit(3);
    }
    (void)raise(SIGKILL);
}

static void killed_in_a_batch(void **state)
{
    struct place *p = *state;
    store_close(p->q);
    p->q = NULL;
    unsigned total = 0;
    for (unsigned round = 0; round < 4; round++) {
        unsigned batches = round * 3, more = round == 0 ? 0 : round == 1 ? 1 : 900;   /* 900: more than the cache, the log holds uncommitted pages */
        int pipes[2], status;
        char seen[64];
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child_writes(p, pipes[1], batches, more);
        (void)close(pipes[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(read(pipes[0], seen, sizeof seen), batches);
        (void)close(pipes[0]);
        total += 5 * batches;
        int64_t n, id;
        OK(store_open(&p->q, &p->conf, &p->e));     /* the dead one's lock does not count */
        assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "received"), total ? (int64_t)total : -1);
        assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), total ? (int64_t)total : -1);
        assert_int_equal(sum_of(p, SUM_DELIVERIES, "claimed", ""), batches ? (int64_t)batches * 5 : -1);
        OK(store_recover(p->q, T0, SECOND, &n, &p->e));
        assert_int_equal(n, batches * 5);
        struct store_reader *r;
        char text[100];
        OK(store_reader_open(&r, p->path, &p->e));
        assert_int_equal(store_check_audit(r, &id, &p->e), 0);
        assert_int_equal(store_check_file(r, text, sizeof text, &p->e), 0);
        store_reader_close(r);
        store_close(p->q);
        p->q = NULL;
    }
    assert_int_equal(total, 90);
}

static void fsync_error_stops_the_store(void **state)
{
    struct place *p = *state;
    struct store_message m = message_of("M2", "M2");
    struct delivery d;
    int64_t first = put(p, "M1");
    OK(store_commit(p->q, &p->e));
    (void)put(p, "M2");
    sync_fails = true;
    syncs = 0;
    assert_int_equal(store_commit(p->q, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_BUG);
    assert_non_null(strstr(p->e.text, "labrelay stops"));
    unsigned tried = syncs;
    assert_true(tried >= 1);
    sync_fails = false;                 /* a second try would say yes: it must not be made */
    assert_int_equal(store_put_message(p->q, &m, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_BUG);
    assert_int_equal(store_commit(p->q, &p->e), -1);
    assert_int_equal(store_get_delivery(p->q, first, &d, &p->e), -1);
    store_rollback(p->q);
    assert_int_equal(store_put_message(p->q, &m, &p->e), -1);
    store_idle(p->q);
    store_close(p->q);
    p->q = NULL;
    assert_int_equal(syncs, tried);
    OK(store_open(&p->q, &p->conf, &p->e));     /* after a start the log is read again from disk */
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages") >= 1, 1);
}

/* Fills until a commit is refused; what was committed stays, nothing of the refused batch; goes on when there is room. */
static unsigned fill(struct place *p, const char *raw, unsigned most)
{
    unsigned kept = 0;
    for (; kept < most; kept++) {
        struct store_message m = message_of("FULL", raw);
        int rc = store_count(p->q, "lab", "received", 1, &p->e);
        if (rc == 0)
            rc = store_put_message(p->q, &m, &p->e);
        bool is_put_refused = rc != 0;
        if (is_put_refused) {
            struct store_message small = message_of("SMALL", "s");
            assert_int_equal(p->e.kind, ERR_TEMP);
            assert_true(store_is_dirty(p->q));
            assert_int_equal(store_put_message(p->q, &small, &p->e), -1);   /* half a batch is never committed */
        }
        rc = store_commit(p->q, &p->e);
        assert_int_equal(rc != 0, is_put_refused || rc != 0);
        if (rc != 0)
            break;
    }
    return kept;
}

static void check_full(struct place *p, unsigned kept, unsigned most)
{
    assert_true(kept > 0 && kept < most);
    assert_int_equal(p->e.kind, ERR_TEMP);
    assert_non_null(strstr(p->e.text, "full"));
    assert_false(store_is_dirty(p->q));
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "received"), kept);
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), kept);
}

static void full_disk_refuses_and_goes_on(void **state)
{
    struct rlimit old, small;
    struct place *p = *state;
    char *raw = xmalloc(60001);
    memset(raw, 'x', 60000);
    raw[60000] = '\0';
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2000000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    unsigned kept = fill(p, raw, 200);
    check_full(p, kept, 200);
    assert_int_equal(store_count(p->q, "a channel that is new", "received", 1, &p->e), 0);
    assert_int_equal(fill(p, raw, 200), 0);     /* refused again, politely */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(fill(p, raw, 3), 3);       /* room again: no restart needed */
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), kept + 3);
    assert_int_equal(store_count(p->q, "a channel that is new", "received", 1, &p->e), 0);
    assert_int_equal(store_commit(p->q, &p->e), 0);
    reopen(p);
    assert_int_equal(sum_of(p, SUM_FRAMES, "a channel that is new", "received"), 1);   /* its word was lost with the refused batch */
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "received"), kept + 3);
    free(raw);
}

static void full_file_system_refuses_and_goes_on(void **state)
{
    struct place *p = *state, inner;
    char *raw = xmalloc(60001), ballast[320];
    int fd;
    static const char zeros[65536];
    if (geteuid() != 0 || mount("tmpfs", p->dir, "tmpfs", 0, "size=6m") != 0) {
        print_message("SKIPPED: only root may mount a small file system (%s)\n", strerror(errno));
        free(raw);
        skip();
    }
    memset(raw, 'x', 60000);
    raw[60000] = '\0';
    place_make(&inner, p->dir);
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", p->dir);
    fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 32; i++)
        assert_int_equal(write(fd, zeros, sizeof zeros), sizeof zeros);
    (void)close(fd);
    if (store_open(&inner.q, &inner.conf, &inner.e) != 0)
        fail_msg("%s", inner.e.text);
    unsigned kept = fill(&inner, raw, 300);
    check_full(&inner, kept, 300);
    assert_int_equal(fill(&inner, raw, 300), 0);
    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(fill(&inner, raw, 3), 3);
    assert_int_equal(sum_of(&inner, SUM_MESSAGES, "stored", "messages"), kept + 3);
    store_close(inner.q);
    place_remove(&inner);
    assert_int_equal(umount(p->dir), 0);
    free(raw);
}

static void refuses_a_second_engine(void **state)
{
    struct place *p = *state;
    struct store *second;
    char pid[24];
    (void)snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_int_equal(store_open(&second, &p->conf, &p->e), -1);
    assert_null(second);
    assert_int_equal(p->e.kind, ERR_CONFIG);
    assert_non_null(strstr(p->e.text, pid));
    (void)put(p, "M1");
    OK(store_commit(p->q, &p->e));      /* the refused one broke nothing */
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), 1);
    store_close(p->q);
    OK(store_open(&p->q, &p->conf, &p->e));
}

static void files_are_for_the_owner_only(void **state)
{
    struct place *p = *state;
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[320];
    struct stat st;
    mode_t old = umask(0);
    store_close(p->q);
    place_remove(p);
    place_make(p, "/tmp");
    OK(store_open(&p->q, &p->conf, &p->e));
    (void)put(p, "M1");
    OK(store_commit(p->q, &p->e));
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", p->path, ends[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    store_close(p->q);
    assert_int_equal(chmod(p->path, 0644), 0);
    OK(store_open(&p->q, &p->conf, &p->e));
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)umask(old);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A store of the first version: what it lacked is added, what it held stays. */
static void brings_an_old_store_up_to_date(void **state)
{
    struct place *p = *state;
    struct store_reader *r;
    store_close(p->q);
    p->q = NULL;
    run_sql(p->path, "DROP INDEX delivery_held; DROP TABLE alias; DROP TABLE channel; DROP TABLE pause; DROP TABLE alarm; DROP TABLE mirror_person; DROP TABLE mirror_lab; DROP TABLE mirror_place; "
                     "DROP TABLE config_run; DROP TABLE config_text; DROP TABLE config_piece; DROP TABLE config_file; "
                     "ALTER TABLE delivery DROP COLUMN flags; PRAGMA user_version=1");
    assert_int_equal(store_reader_open(&r, p->path, &p->e), -1);
    assert_non_null(strstr(p->e.text, "older"));
    p->e = (struct err)ERR_INIT;
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), 0);
    assert_int_equal(store_reader_open(&r, p->path, &p->e), 0);
    struct delivery *v = NULL;
    size_t n = 0;
    struct store_filter f = {.limit = 10};
    assert_int_equal(store_list_deliveries(r, &f, &v, &n, &p->e), 0);
    deliveries_free(v, n);
    store_reader_close(r);
}

static void refuses_what_is_no_store_of_ours(void **state)
{
    struct place *p = *state;
    struct store_reader *r;
    FILE *f;
    store_close(p->q);
    p->q = NULL;
    run_sql(p->path, "PRAGMA user_version=1000");
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_BUG);
    assert_non_null(strstr(p->e.text, "newer"));
    assert_int_equal(store_reader_open(&r, p->path, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_BUG);
    run_sql(p->path, "PRAGMA user_version=2; PRAGMA application_id=7");
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_CONFIG);
    assert_non_null(strstr(p->e.text, "not a labrelay store"));
    assert_int_equal(store_reader_open(&r, p->path, &p->e), -1);
    assert_int_equal(unlink(p->path), 0);
    run_sql(p->path, "CREATE TABLE photos(x)");
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_CONFIG);
    assert_non_null(strstr(p->e.text, "not a labrelay store"));
    f = fopen(p->path, "wb");
    assert_non_null(f);
    for (int i = 0; i < 9000; i++)
        (void)fputs("no database", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_CONFIG);
    assert_non_null(strstr(p->e.text, "damaged"));
    assert_int_equal(unlink(p->path), 0);
    f = fopen(p->path, "wb");           /* a crash right after creating the file: empty */
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    OK(store_open(&p->q, &p->conf, &p->e));
    store_close(p->q);
    p->q = NULL;
    p->conf.path = (char *)(uintptr_t)"/nonexistent/folder/store.db";
    assert_int_equal(store_open(&p->q, &p->conf, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits_with_one_fsync, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_in_a_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fsync_error_stops_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_refuses_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_file_system_refuses_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_second_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_for_the_owner_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(brings_an_old_store_up_to_date, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_store_of_ours, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
