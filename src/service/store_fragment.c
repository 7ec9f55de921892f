/*
 * NAME store_fragment - messages that were sent in parts and wait for the rest, and the bytes of a message for the engine.
 * A row per part of an unfinished set; first = message number of the set's first part. Rows go when the set is joined or given up;
 * the messages stay. While a set waits store_expire() leaves its messages alone.
 * DIAGNOSTICS as in store_put.c: an error of the disk breaks the batch.
 */
#include <stdlib.h>

#include "store_db.h"
#include "xmem.h"

static sqlite3_stmt *stmt(struct store *q, enum store_stmt which, struct err *e)
{
    if (batch_begin(q, e) != 0)
        return NULL;
    sqlite3_stmt *s = db_stmt(&q->d, which, e);
    if (!s)
        (void)batch_break(q, e);
    return s;
}

static int run(struct store *q, sqlite3_stmt *s, struct err *e)
{
    return db_run(&q->d, s, "cannot store a part of a message", e) == 0 ? 0 : batch_break(q, e);
}

int store_put_fragment(struct store *q, int64_t message_id, int64_t first, const char *channel, const char *key, int64_t us, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_PUT_FRAGMENT, e);
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    bind_int(s, 2, first);
    bind_text(s, 3, channel);
    bind_text(s, 4, key);
    bind_int(s, 5, us);
    return run(q, s, e);
}

/* The parts of a set in the order they came. */
static int load_parts(struct store *q, struct store_fragments *f, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_FRAGMENTS_OF, e);
    size_t cap = 0;
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, f->first);
    while ((rc = db_row(&q->d, s, "cannot look for parts of a message", e)) == 1) {
        if (f->n == cap) {
            cap = cap ? cap * 2 : 8;
            f->ids = xreallocarray(f->ids, cap, sizeof *f->ids);
        }
        f->ids[f->n++] = sqlite3_column_int64(s, 0);
    }
    return rc < 0 ? batch_break(q, e) : 0;
}

static int find(struct store *q, sqlite3_stmt *s, struct store_fragments *f, struct err *e)
{
    int rc = db_row(&q->d, s, "cannot look for parts of a message", e);
    *f = (struct store_fragments){0};
    if (rc < 0)
        return batch_break(q, e);
    if (rc == 0)
        return 1;
    f->first = sqlite3_column_int64(s, 0);
    f->channel = column_text(s, 1);
    (void)sqlite3_reset(s);
    return load_parts(q, f, e);
}

int store_find_fragments(struct store *q, const char *key, struct store_fragments *out, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_FIND_FRAGMENT, e);
    if (!s)
        return -1;
    bind_text(s, 1, key);
    return find(q, s, out, e);
}

int store_find_old_fragments(struct store *q, int64_t before_us, struct store_fragments *out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_OLD_FRAGMENT, e);      /* usually there is none: no batch for that */
    if (!s)
        return -1;
    bind_int(s, 1, before_us);
    return find(q, s, out, e);
}

int store_delay_fragments(struct store *q, int64_t first, int64_t us, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_DELAY_FRAGMENTS, e);
    if (!s)
        return -1;
    bind_int(s, 1, first);
    bind_int(s, 2, us);
    return run(q, s, e);
}

int store_drop_fragments(struct store *q, int64_t first, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_DROP_FRAGMENTS, e);
    if (!s)
        return -1;
    bind_int(s, 1, first);
    return run(q, s, e);
}

void store_fragments_clear(struct store_fragments *f)
{
    free(f->channel);
    free(f->ids);
    *f = (struct store_fragments){0};
}

int store_get_raw(struct store *q, int64_t message_id, struct buf *out, struct err *e)
{
    sqlite3_stmt *s = stmt(q, ST_LOAD_RAW, e);
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    int rc = db_row(&q->d, s, "cannot read the message", e);
    if (rc < 0)
        return batch_break(q, e);
    if (rc == 1)
        buf_add(out, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
    (void)sqlite3_reset(s);
    return rc == 1 ? 0 : 1;
}
