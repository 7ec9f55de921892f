/*
 * NAME store_backup - online copies of a store, and putting one back.
 *
 * BACKUP One read transaction holds the moment; pages are copied a slice at a time by SQLite's backup interface, with rests. The engine goes on
 * writing: its log grows meanwhile and is emptied afterwards. FILE.part gets its name only when it was checked and synced.
 * RESTORE The copy goes to STORE.restoring, is brought up to date and marked there, and is renamed over. Marked means: what may have left the
 * house after the copy was taken is read back first (claimed, or claimed once); the writers' mirrors are emptied, so that every create
 * looks in Go.Data until they are loaded again; ids go on ID_GAP behind those of the copy, since some behind them were given out and stand in logs.
 * CRASH STATES before the last rename: the old store as it was, or (between two renames) under its kept name; a FILE.part or
 * STORE.restoring may be left and is made anew.
 * DIAGNOSTICS ERR_CONFIG what is wrong with which file; ERR_TEMP full disk, busy.
 */
#include "store_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fsutil.h"
#include "store_db.h"
#include "xmem.h"

#define SLICE_PAGES 64                      /* 512 kB */
#define REST_MIN_US 500
#define REST_MAX_US 200000
#define BUSY_US 20000
#define ID_GAP 1000000

static char *name_with(const char *path, const char *end)
{
    size_t n = strlen(path) + strlen(end) + 1;
    char *name = xmalloc(n);
    (void)snprintf(name, n, "%s%s", path, end);
    return name;
}

static void rest(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

static int copy_pages(sqlite3 *to, struct store_db *from, bool is_gentle, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from->db, "main");
    int rc = SQLITE_OK;
    if (!b)
        return err_set(e, ERR_TEMP, from->path, "cannot begin the copy: %s", sqlite3_errmsg(to));
    do {
        int64_t start = clock_mono_us();
        rc = sqlite3_backup_step(b, SLICE_PAGES);
        int64_t took = clock_mono_us() - start;
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
            rest(BUSY_US);
        else if (rc == SQLITE_OK && is_gentle)
            rest(took < REST_MIN_US ? REST_MIN_US : took > REST_MAX_US ? REST_MAX_US : took);
    } while (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED);
    int end = sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE && end == SQLITE_OK)
        return 0;
    int why = end != SQLITE_OK ? end : rc;
    return err_set(e, (why & 0xff) == SQLITE_FULL ? ERR_TEMP : ERR_CONFIG, from->path, "cannot copy: %s", sqlite3_errstr(why));
}

static int sync_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        (void)err_set(e, ERR_TEMP, path, "cannot be synced to the disk: %s", strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    (void)close(fd);
    return 0;
}

/* The pages of an open reader into a new file of our own. */
static int copy_into(struct store_reader *r, const char *path, bool is_gentle, struct err *e)
{
    sqlite3 *to = NULL;
    int fd, rc = -1;
    (void)unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, errno == ENOSPC ? ERR_TEMP : ERR_CONFIG, path, "cannot create the file: %s", strerror(errno));
    (void)close(fd);
    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        (void)err_set(e, ERR_CONFIG, path, "cannot open the file: %s", sqlite3_errmsg(to));
    else if (sqlite3_exec(to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", NULL, NULL, NULL) != SQLITE_OK)
        (void)err_set(e, ERR_CONFIG, path, "cannot prepare the file: %s", sqlite3_errmsg(to));
    else
        rc = copy_pages(to, &r->d, is_gentle, e);
    (void)sqlite3_close(to);
    return rc == 0 ? sync_file(path, e) : -1;
}

/* ---- what a file holds ---- */

static int tell(struct store_reader *r, struct store_copy *out, struct err *e)
{
    int64_t page, pages;
    return db_int(&r->d, "PRAGMA page_size", &page, e) != 0 || db_int(&r->d, "PRAGMA page_count", &pages, e) != 0 ||
                   db_int(&r->d, "SELECT count(*) FROM message", &out->messages, e) != 0 || db_int(&r->d, "SELECT count(*) FROM delivery", &out->deliveries, e) != 0 ||
                   db_int(&r->d, "SELECT max(coalesce((SELECT max(id) FROM message),0),coalesce((SELECT value FROM meta WHERE name='message'),0))", &out->last_message, e) != 0 ||
                   db_int(&r->d, "SELECT max(received_us) FROM message", &out->last_received_us, e) != 0 ||
                   db_int(&r->d, "SELECT max(id) FROM audit", &out->last_audit, e) != 0
               ? -1
               : (out->bytes = page * pages, 0);
}

static int check(struct store_reader *r, const char *path, struct store_copy *out, struct err *e)
{
    char text[200];
    int64_t id;
    int rc = store_check_file(r, text, sizeof text, e);
    if (rc > 0)
        return err_set(e, ERR_CONFIG, path, "the file is damaged: %s", text);
    if (rc == 0)
        rc = store_check_audit(r, &id, e);
    if (rc > 0)
        return err_set(e, ERR_CONFIG, path, "its audit trail is broken at row %lld", (long long)id);
    return rc < 0 ? -1 : tell(r, out, e);
}

int store_check_copy(const char *path, struct store_copy *out, struct err *e)
{
    struct store_reader *r;
    int rc;
    *out = (struct store_copy){0};
    if (store_reader_open_still(&r, path, e) != 0)
        return -1;
    rc = check(r, path, out, e);
    store_reader_close(r);
    return rc;
}

/* ---- backup ---- */

int store_backup(const char *from, const char *to, struct store_copy *out, struct err *e)
{
    struct store_reader *r = NULL;
    struct stat st;
    char *part = name_with(to, ".part");
    int rc = -1;
    if (lstat(to, &st) == 0) {
        (void)err_set(e, ERR_CONFIG, to, "the file is there already: nothing is overwritten");
        goto out;
    }
    if (store_reader_open(&r, from, e) != 0 || store_reader_begin(r, e) != 0)
        goto out;
    rc = copy_into(r, part, true, e);
    store_reader_end(r);
    if (rc == 0)
        rc = store_check_copy(part, out, e);
    if (rc == 0 && renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        rc = err_set(e, ERR_CONFIG, to, "cannot give the copy its name: %s", strerror(errno));
    if (rc == 0)
        rc = fs_sync_parent(to, e);
    else
        (void)unlink(part);
out:
    store_reader_close(r);
    free(part);
    return rc;
}

/* ---- restore ---- */

static int mark(const char *path, const char *who, const struct store_copy *copy, struct err *e)
{
    static const char sql[] = "UPDATE delivery SET state=2,step=4,next_us=0 WHERE state<3 AND step IN(1,4) AND (state=1 OR flags&4096);"
                              "DELETE FROM mirror_place; DELETE FROM mirror_lab; DELETE FROM mirror_person;";
    struct store_conf conf = {.path = xstrdup(path)};
    struct store *q = NULL;
    char note[80];
    int rc = store_open(&q, &conf, e);
    (void)snprintf(note, sizeof note, "from a copy with messages up to m%lld", (long long)copy->last_message);
    if (rc == 0) {
        q->next.message += ID_GAP;
        q->next.delivery += ID_GAP;
        rc = store_audit(q, who, "restore", 0, 0, note, e);
    }
    if (rc == 0)
        rc = db_exec(&q->d, sql, "cannot mark the restored store", e) != 0 || store_keep_ids(q, e) != 0 || store_commit(q, e) != 0 ? -1 : 0;
    store_close(q);
    free(conf.path);
    return rc;
}

/* The store that is there, out of the way. *kept stays NULL when there is none. */
static int set_aside(const char *to, const struct store_copy *copy, bool is_forced, char **kept, struct err *e)
{
    struct store_conf conf = {.path = xstrdup(to)};
    struct store_copy old = {0};
    struct store *q = NULL;
    struct err oe = ERR_INIT;
    char end[40];
    time_t now = time(NULL);
    struct tm t;
    int rc = 0;
    if (access(to, F_OK) != 0)
        goto out;
    /* Opening it takes its lock and empties its log: all of it is one file then. A store that cannot be opened is replaced only by force. */
    if (store_open(&q, &conf, &oe) != 0) {
        if (!is_forced || strstr(oe.text, "in use by another")) {
            *e = oe;
            rc = -1;
            goto out;
        }
    } else {
        store_close(q);
        if (store_check_copy(to, &old, &oe) == 0 && !is_forced && (old.last_message > copy->last_message || old.last_audit > copy->last_audit)) {
            rc = err_set(e, ERR_CONFIG, to, "the store there is newer: it has messages up to m%lld, the copy up to m%lld; say --force to replace it all the same",
                         (long long)old.last_message, (long long)copy->last_message);
            goto out;
        }
    }
    (void)localtime_r(&now, &t);
    (void)strftime(end, sizeof end, ".replaced-%Y%m%d-%H%M%S", &t);
    *kept = name_with(to, end);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        char *a = name_with(to, ends[i]), *b = name_with(*kept, ends[i]);
        if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE) != 0 && errno != ENOENT)
            rc = err_set(e, ERR_CONFIG, a, "cannot be set aside: %s", strerror(errno));
        free(a);
        free(b);
    }
out:
    free(conf.path);
    return rc;
}

int store_restore(const char *from, const char *to, const char *who, bool is_forced, char **kept, struct store_copy *out, struct err *e)
{
    struct store_reader *r = NULL;
    char *fresh = name_with(to, ".restoring"), *lock = name_with(fresh, ".lock");
    int rc = store_check_copy(from, out, e);
    *kept = NULL;
    if (rc == 0)
        rc = store_reader_open_still(&r, from, e);
    if (rc == 0)
        rc = copy_into(r, fresh, false, e);
    store_reader_close(r);
    if (rc == 0)
        rc = mark(fresh, who, out, e) != 0 || sync_file(fresh, e) != 0 || set_aside(to, out, is_forced, kept, e) != 0 ? -1 : 0;
    if (rc == 0 && renameat2(AT_FDCWD, fresh, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        rc = err_set(e, ERR_CONFIG, to, "cannot give the store its name: %s", strerror(errno));
    if (rc == 0)
        rc = fs_sync_parent(to, e);
    if (rc != 0)
        (void)unlink(fresh);
    (void)unlink(lock);
    free(fresh);
    free(lock);
    return rc;
}
