/*
 * NAME store_expire - erase finished messages, keep their numbers.
 * A message goes when it was received before the limit and every delivery of it is in a final state that it reached before the limit; held
 * ones never go. Raw bytes, deliveries, their texts and accounts are deleted (secure_delete writes zeros), their numbers are added to
 * `sealed`, the hash stays in `hash` as long as the duplicate window may ask for it, targets and audit stay for good.
 * The free pages leave the file in the same batch; the log, which holds old bytes, is emptied by the next store_idle().
 * DIAGNOSTICS as every put.
 */
#include "clock.h"
#include "crash.h"
#include "store_db.h"

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

static int erase(struct store *q, int64_t id, int64_t keep_since_us, struct err *e)
{
    static const enum store_stmt one[] = {ST_SEAL_MESSAGE, ST_SEAL_OBSERVATIONS, ST_SEAL_DELIVERIES, ST_SEAL_ACCOUNTS};
    static const enum store_stmt two[] = {ST_ERASE_TEXT, ST_ERASE_DELIVERIES, ST_ERASE_ACCOUNTS, ST_ERASE_RAW, ST_ERASE_MESSAGE};
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++)
        if (run_for(q, one[i], id, 0, false, e) != 0)
            return -1;
    if (run_for(q, ST_KEEP_HASH, id, keep_since_us, true, e) != 0)
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

static int vacuum(struct store *q, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_VACUUM, e);
    int rc;
    if (!s)
        return batch_break(q, e);
    while ((rc = db_row(&q->d, s, "cannot give space back", e)) == 1)
        ;
    return rc < 0 ? batch_break(q, e) : 0;
}

int store_expire(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e)
{
    int64_t keep_since_us = clock_now_us() - q->window_us;
    bool is_end = false;
    *n_out = 0;
    if (batch_begin(q, e) != 0)
        return -1;
    for (size_t seen = 0; seen < max * SCAN_FACTOR && *n_out < max && !is_end; seen++) {
        sqlite3_stmt *s = db_stmt(&q->d, ST_EXPIRE_SCAN, e);
        int64_t id, received_us;
        bool is_free = false;
        int rc;
        if (!s)
            return batch_break(q, e);
        bind_int(s, 1, q->expire_after);
        bind_int(s, 2, 1);
        rc = db_row(&q->d, s, "cannot look for finished messages", e);
        if (rc < 0)
            return batch_break(q, e);
        id = rc ? sqlite3_column_int64(s, 0) : 0;
        received_us = rc ? sqlite3_column_int64(s, 1) : 0;
        (void)sqlite3_reset(s);
        is_end = rc == 0 || received_us >= before_us;
        q->expire_after = is_end ? 0 : id;      /* at the end: from the start again next time, for those that were held */
        if (is_end)
            break;
        if (is_finished(q, id, before_us, &is_free, e) != 0 || (is_free && erase(q, id, keep_since_us, e) != 0))
            return -1;
        *n_out += is_free;
    }
    if (run_for(q, ST_DROP_HASHES, keep_since_us, (int64_t)max, true, e) != 0)
        return -1;
    if (*n_out == 0)
        return 0;
    q->is_erased = true;
    if (run_for(q, ST_DROP_TRAIL, q->next.message, 0, false, e) != 0)
        return -1;
    return keep_id(q, "message", q->next.message, e) != 0 || keep_id(q, "delivery", q->next.delivery, e) != 0 || vacuum(q, e) != 0 ? -1 : 0;
}
