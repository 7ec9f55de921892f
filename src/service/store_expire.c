/*
 * NAME store_expire - erase finished messages, or only their bytes; keep their numbers.
 * A message goes when it was received before the limit and every delivery of it is in a final state that it reached before the limit; held
 * ones never go. Raw bytes, deliveries, their texts and accounts are deleted (secure_delete writes zeros), their numbers are added to
 * `sealed`, the hash stays in `hash` as long as the duplicate window may ask for it, targets and audit stay for good.
 * The free pages leave the file in the same batch; the log, which holds old bytes, is emptied by the next store_idle().
 * To make room (size-max) age does not count: what is finished goes, oldest first, and with it what it wrote down as standing in Go.Data: if
 * the result comes again, a create looks there first and finds K. The pages are kept for what comes in.
 * What stands in Go.Data (target) goes by age alone, never a tombstone, and never while a version of it is open.
 * DIAGNOSTICS as every put.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "crash.h"
#include "store_db.h"
#include "xmem.h"

#define VACUUM_PAGES 2000
#define LOG_PAGES_MIN 128
#define SCAN_FACTOR 16      /* rows looked at for every one that may be erased: held ones at the front cost little */

static int run_for(struct store *q, enum store_stmt which, int64_t a, int64_t b, bool has_b, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, which, e);
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, a);
    if (has_b)
        bind_int(s, 2, b);
    return db_run(&q->d, s, "cannot erase", e) == 0 ? 0 : batch_break(q, e);
}

static int is_finished(struct store *q, int64_t id, int64_t before_us, bool *out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_EXPIRE_BUSY, e);
    int rc;
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, id);
    bind_int(s, 2, before_us);
    rc = db_row(&q->d, s, "cannot look for finished messages", e);
    (void)sqlite3_reset(s);
    *out = rc == 0;
    return rc < 0 ? batch_break(q, e) : 0;
}

static int erase(struct store *q, int64_t id, int64_t keep_since_us, bool with_targets, struct err *e)
{
    static const enum store_stmt one[] = {ST_SEAL_MESSAGE, ST_SEAL_OBSERVATIONS, ST_SEAL_DELIVERIES, ST_SEAL_ACCOUNTS};
    static const enum store_stmt two[] = {ST_ERASE_TEXT, ST_ERASE_DELIVERIES, ST_ERASE_ACCOUNTS, ST_ERASE_RAW, ST_ERASE_MESSAGE};
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++)
        if (run_for(q, one[i], id, 0, false, e) != 0)
            return -1;
    if (run_for(q, ST_KEEP_HASH, id, keep_since_us, true, e) != 0 || (with_targets && run_for(q, ST_ERASE_TARGETS, id, 0, false, e) != 0))
        return -1;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (run_for(q, two[i], id, 0, false, e) != 0)
            return -1;
    CRASH_POINT("store_expire");
    return 0;
}

/* Ids are never given again, even when the highest row was erased. */
static int keep_id(struct store *q, const char *name, int64_t next, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_PUT_META, e);
    if (!s)
        return batch_break(q, e);
    bind_text(s, 1, name);
    bind_int(s, 2, next - 1);
    return db_run(&q->d, s, "cannot write", e) == 0 ? 0 : batch_break(q, e);
}

int store_keep_ids(struct store *q, struct err *e)
{
    return keep_id(q, "message", q->next.message, e) != 0 || keep_id(q, "delivery", q->next.delivery, e) != 0 ? -1 : 0;
}

/* At most so many pages leave the file. */
static int vacuum(struct store *q, size_t pages, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_VACUUM, e);
    int rc = 1;
    if (!s)
        return batch_break(q, e);
    for (size_t i = 0; i < pages && (rc = db_row(&q->d, s, "cannot give space back", e)) == 1; i++)
        ;
    (void)sqlite3_reset(s);
    return rc < 0 ? batch_break(q, e) : 0;
}

/* The next row of a scan: its number and time. 0 none, 1, -1. */
static int next_row(struct store *q, enum store_stmt which, int64_t after, int64_t *id, int64_t *us, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, which, e);
    int rc;
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, after);
    bind_int(s, 2, 1);
    rc = db_row(&q->d, s, "cannot look for finished messages", e);
    *id = rc == 1 ? sqlite3_column_int64(s, 0) : 0;
    *us = rc == 1 ? sqlite3_column_int64(s, 1) : 0;
    (void)sqlite3_reset(s);
    return rc < 0 ? batch_break(q, e) : rc;
}

enum what { WHOLE_MESSAGES, WITH_TARGETS, ONLY_BYTES };

/* From *after on; at the end from the start again next time, for those that were held. */
static int scan(struct store *q, enum what what, int64_t *after, int64_t before_us, size_t max, size_t *n_out, struct err *e)
{
    int64_t keep_since_us = clock_now_us() - q->window_us;
    *n_out = 0;
    if (batch_begin(q, e) != 0)
        return -1;
    for (size_t seen = 0; seen < max * SCAN_FACTOR && *n_out < max; seen++) {
        int64_t id, us;
        bool is_free = false;
        int rc = next_row(q, what == ONLY_BYTES ? ST_SCAN_RAW : ST_EXPIRE_SCAN, *after, &id, &us, e);
        if (rc < 0)
            return -1;
        bool is_end = rc == 0 || us >= before_us;
        *after = is_end ? 0 : id;
        if (is_end)
            break;
        if (is_finished(q, id, before_us, &is_free, e) != 0)
            return -1;
        if (is_free && (what == ONLY_BYTES ? run_for(q, ST_ERASE_RAW, id, 0, false, e) : erase(q, id, keep_since_us, what == WITH_TARGETS, e)) != 0)
            return -1;
        *n_out += is_free;
    }
    q->is_erased = q->is_erased || *n_out > 0;
    return 0;
}

/* After messages went: what was about them, and the ids that must not come again. */
static int finish(struct store *q, size_t n, size_t max, struct err *e)
{
    if (run_for(q, ST_DROP_HASHES, clock_now_us() - q->window_us, (int64_t)max, true, e) != 0)
        return -1;
    if (n == 0)
        return 0;
    return run_for(q, ST_DROP_TRAIL, q->next.message, 0, false, e) != 0 || store_keep_ids(q, e) != 0 ? -1 : 0;
}

int store_expire(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e)
{
    if (scan(q, WHOLE_MESSAGES, &q->expire_after, before_us, max, n_out, e) != 0 || finish(q, *n_out, max, e) != 0)
        return -1;
    return *n_out ? vacuum(q, VACUUM_PAGES, e) : 0;
}

int store_make_room(struct store *q, size_t max, size_t *n_out, struct err *e)
{
    return scan(q, WITH_TARGETS, &q->room_after, INT64_MAX, max, n_out, e) != 0 || finish(q, *n_out, max, e) != 0 ? -1 : 0;
}

int store_erase_raw(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e)
{
    return scan(q, ONLY_BYTES, &q->raw_after, before_us, max, n_out, e);
}

int store_erase_message(struct store *q, int64_t id, struct err *e)
{
    bool is_free = false;
    if (batch_begin(q, e) != 0 || is_finished(q, id, INT64_MAX, &is_free, e) != 0)
        return -1;
    if (!is_free)
        return err_set(e, ERR_BUG, q->d.path, "message m%lld is not finished", (long long)id);
    if (erase(q, id, clock_now_us() - q->window_us, true, e) != 0 || finish(q, 1, 1, e) != 0)
        return -1;
    q->is_erased = true;
    return 0;
}

int store_expire_targets(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e)
{
    *n_out = 0;
    if (batch_begin(q, e) != 0)
        return -1;
    for (size_t seen = 0; seen < max * SCAN_FACTOR && *n_out < max; seen++) {
        int64_t id, us;
        int rc = next_row(q, ST_SCAN_TARGETS, q->target_after, &id, &us, e);
        if (rc < 0)
            return -1;
        q->target_after = rc ? id : 0;
        if (rc == 0)
            break;
        if (us >= before_us)
            continue;                   /* updated since: others behind it may be older */
        if (run_for(q, ST_ERASE_TARGET, id, 0, false, e) != 0)
            return -1;
        *n_out += sqlite3_changes64(q->d.db) > 0;
    }
    q->is_erased = q->is_erased || *n_out > 0;
    return 0;
}

int store_get_size(struct store *q, struct store_size *out, struct err *e)
{
    int64_t page, pages, unused;
    struct stat st;
    if (db_int(&q->d, "PRAGMA page_size", &page, e) != 0 || db_int(&q->d, "PRAGMA page_count", &pages, e) != 0 ||
        db_int(&q->d, "PRAGMA freelist_count", &unused, e) != 0)
        return -1;
    char *log = xmalloc(strlen(q->d.path) + sizeof "-wal");
    (void)snprintf(log, strlen(q->d.path) + sizeof "-wal", "%s-wal", q->d.path);
    *out = (struct store_size){.file = page * pages, .unused = page * unused, .log = stat(log, &st) == 0 ? (int64_t)st.st_size : 0};
    free(log);
    return 0;
}

int store_shrink(struct store *q, size_t pages, struct err *e)
{
    if (batch_begin(q, e) != 0)
        return -1;
    q->is_erased = true;
    return vacuum(q, pages, e);
}

void store_set_log_max(struct store *q, int64_t bytes)
{
    int64_t pages = bytes / STORE_PAGE_BYTES;
    char text[64];
    struct err ignored = ERR_INIT;
    q->log_pages_max = pages < LOG_PAGES_MIN ? LOG_PAGES_MIN : pages > STORE_LOG_PAGES_MAX ? STORE_LOG_PAGES_MAX : (int)pages;
    /* Its file is cut down to that when it begins anew. */
    (void)snprintf(text, sizeof text, "PRAGMA journal_size_limit=%lld", (long long)(2 * q->log_pages_max) * STORE_PAGE_BYTES);
    (void)db_exec(&q->d, text, "cannot set up", &ignored);
}
