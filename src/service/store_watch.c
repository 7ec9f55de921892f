/*
 * NAME store_watch - channels, pauses, alarms, and the queue in groups. Tables: channel, pause, alarm (store.c, schema 2).
 * Each has few rows: one per channel, per pause, per alarm that is up or whose all-clear was not yet said.
 * DIAGNOSTICS as in store_put.c and store_read.c: an error of the disk breaks the batch; ERR_TEMP when a look takes too long.
 */
#include "store_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_db.h"

#define LOOK_US 30000000LL

static struct store_db *db_of(struct store_at at)
{
    if (at.q)
        return &at.q->d;
    if (!at.r->is_held)
        at.r->deadline_us = clock_mono_us() + LOOK_US;
    return &at.r->d;
}

static sqlite3_stmt *put_stmt(struct store *q, enum store_stmt which, struct err *e)
{
    if (batch_begin(q, e) != 0)
        return NULL;
    sqlite3_stmt *s = db_stmt(&q->d, which, e);
    if (!s)
        (void)batch_break(q, e);
    return s;
}

static int put_run(struct store *q, sqlite3_stmt *s, const char *what, struct err *e)
{
    return db_run(&q->d, s, what, e) == 0 ? 0 : batch_break(q, e);
}

static const char *text_at(sqlite3_stmt *s, int i)
{
    const unsigned char *p = sqlite3_column_text(s, i);
    return p ? (const char *)p : "";
}

/* ---- channels ---- */

int store_put_channel(struct store *q, const struct store_channel *c, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_PUT_CHANNEL, e);
    if (!s)
        return -1;
    bind_text(s, 1, c->name);
    bind_int(s, 2, c->last_us);
    bind_int(s, 3, c->day);
    bind_int(s, 4, c->today);
    return put_run(q, s, "cannot note the channel", e);
}

int store_list_channels(struct store_at at, void (*fn)(void *ctx, const struct store_channel *c), void *ctx, struct err *e)
{
    struct store_db *d = db_of(at);
    sqlite3_stmt *s = db_stmt(d, ST_LIST_CHANNELS, e);
    int rc = s ? 0 : -1;
    while (s && (rc = db_row(d, s, "cannot read the channels", e)) == 1) {
        struct store_channel c = {text_at(s, 0), sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3)};
        fn(ctx, &c);
    }
    return rc;
}

/* ---- pauses ---- */

int store_put_pause(struct store *q, const struct store_pause *p, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_PUT_PAUSE, e);
    if (!s)
        return -1;
    bind_text(s, 1, p->kind);
    bind_text(s, 2, p->name);
    bind_int(s, 3, p->us);
    bind_text(s, 4, p->who);
    bind_text(s, 5, p->why);
    return put_run(q, s, "cannot note the pause", e);
}

int store_drop_pause(struct store *q, const char *kind, const char *name, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_DROP_PAUSE, e);
    if (!s)
        return -1;
    bind_text(s, 1, kind);
    bind_text(s, 2, name);
    return put_run(q, s, "cannot end the pause", e);
}

int store_list_pauses(struct store_at at, void (*fn)(void *ctx, const struct store_pause *p), void *ctx, struct err *e)
{
    struct store_db *d = db_of(at);
    sqlite3_stmt *s = db_stmt(d, ST_LIST_PAUSES, e);
    int rc = s ? 0 : -1;
    while (s && (rc = db_row(d, s, "cannot read the pauses", e)) == 1) {
        struct store_pause p = {text_at(s, 0), text_at(s, 1), sqlite3_column_int64(s, 2), text_at(s, 3), text_at(s, 4)};
        fn(ctx, &p);
    }
    return rc;
}

/* ---- alarms ---- */

int store_put_alarm(struct store *q, const struct store_alarm *a, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_PUT_ALARM, e);
    if (!s)
        return -1;
    bind_text(s, 1, a->kind);
    bind_text(s, 2, a->subject);
    bind_int(s, 3, a->raised_us);
    bind_int(s, 4, a->cleared_us);
    bind_int(s, 5, a->said_us);
    bind_int(s, 6, a->n);
    bind_text(s, 7, a->detail);
    return put_run(q, s, "cannot note the alarm", e);
}

int store_drop_alarm(struct store *q, const char *kind, const char *subject, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_DROP_ALARM, e);
    if (!s)
        return -1;
    bind_text(s, 1, kind);
    bind_text(s, 2, subject);
    return put_run(q, s, "cannot forget the alarm", e);
}

int store_list_alarms(struct store_at at, void (*fn)(void *ctx, const struct store_alarm *a), void *ctx, struct err *e)
{
    struct store_db *d = db_of(at);
    sqlite3_stmt *s = db_stmt(d, ST_LIST_ALARMS, e);
    int rc = s ? 0 : -1;
    while (s && (rc = db_row(d, s, "cannot read the alarms", e)) == 1) {
        struct store_alarm a = {text_at(s, 0), text_at(s, 1), sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3),
                                sqlite3_column_int64(s, 4), sqlite3_column_int64(s, 5), text_at(s, 6)};
        fn(ctx, &a);
    }
    return rc;
}

/* ---- the queue ---- */

int store_list_queue(struct store_at at, void (*fn)(void *ctx, const struct store_queue *g), void *ctx, struct err *e)
{
    struct store_db *d = db_of(at);
    sqlite3_stmt *s = db_stmt(d, ST_QUEUE, e);
    int rc = s ? 0 : -1;
    while (s && (rc = db_row(d, s, "cannot read the queue", e)) == 1) {
        int64_t state = sqlite3_column_int64(s, 1);
        struct store_queue g = {.writer = word_get(d, sqlite3_column_int64(s, 0), e), .reason = word_get(d, sqlite3_column_int64(s, 2), e),
                                .state = (enum delivery_state)state, .n = sqlite3_column_int64(s, 3), .oldest_us = sqlite3_column_int64(s, 4)};
        if (!g.writer || !g.reason) {
            (void)sqlite3_reset(s);
            return -1;
        }
        fn(ctx, &g);
    }
    return rc;
}

int store_list_lanes(struct store_at at, size_t limit, void (*fn)(void *ctx, const struct store_lane *l), void *ctx, struct err *e)
{
    struct store_db *d = db_of(at);
    sqlite3_stmt *s = db_stmt(d, ST_QUEUE_LANES, e);
    int rc = s ? 0 : -1;
    if (s)
        bind_int(s, 1, (int64_t)limit);
    while (s && (rc = db_row(d, s, "cannot read the queue", e)) == 1) {
        struct store_lane l = {.writer = word_get(d, sqlite3_column_int64(s, 0), e), .lane = text_at(s, 1), .n = sqlite3_column_int64(s, 2),
                               .message = sqlite3_column_int64(s, 3), .oldest_us = sqlite3_column_int64(s, 4)};
        if (!l.writer) {
            (void)sqlite3_reset(s);
            return -1;
        }
        fn(ctx, &l);
    }
    return rc;
}

int store_oldest_due(struct store *q, const char *writer, int64_t *n_out, int64_t *oldest_us_out, struct err *e)
{
    int64_t word;
    *n_out = *oldest_us_out = 0;
    if (word_find(&q->d, writer, &word, e) != 0)
        return -1;
    sqlite3_stmt *s = word < 0 ? NULL : db_stmt(&q->d, ST_OLDEST_DUE, e);
    if (!s)
        return word < 0 ? 0 : -1;
    bind_int(s, 1, word);
    int rc = db_row(&q->d, s, "cannot read the queue", e);
    if (rc == 1) {
        *oldest_us_out = sqlite3_column_int64(s, 0);
        *n_out = sqlite3_column_int64(s, 1);
    }
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

int store_list_held(struct store *q, const char *writer, void (*fn)(void *ctx, const char *reason, int64_t n, int64_t oldest_us), void *ctx, struct err *e)
{
    int64_t word;
    int rc;
    if (word_find(&q->d, writer, &word, e) != 0)
        return -1;
    sqlite3_stmt *s = word < 0 ? NULL : db_stmt(&q->d, ST_HELD, e);
    if (!s)
        return word < 0 ? 0 : -1;
    bind_int(s, 1, word);
    while ((rc = db_row(&q->d, s, "cannot read what is held", e)) == 1) {
        const char *reason = word_get(&q->d, sqlite3_column_int64(s, 0), e);
        if (!reason) {
            (void)sqlite3_reset(s);
            return -1;
        }
        fn(ctx, reason, sqlite3_column_int64(s, 1), sqlite3_column_int64(s, 2));
    }
    return rc;
}

/* ---- the file ---- */

static int number_of(struct store_db *d, const char *text, const char *key, struct buf *b, struct err *e)
{
    int64_t v;
    if (db_int(d, text, &v, e) != 0)
        return -1;
    buf_json_kint(b, key, v);
    return 0;
}

static int describe_tables(struct store_db *d, struct buf *b, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, "SELECT type,name,sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", -1, &s, NULL) == SQLITE_OK ? 0 : db_fail(d, e, "cannot read");
    while (rc == 0 && (rc = db_row(d, s, "cannot read", e)) == 1) {
        char count[160];
        bool is_table = strcmp(text_at(s, 0), "table") == 0;
        rc = 0;
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "name", text_at(s, 1));
        buf_json_kv(b, "sql", text_at(s, 2));
        (void)snprintf(count, sizeof count, "SELECT count(*) FROM \"%.100s\"", text_at(s, 1));
        if (is_table)
            rc = number_of(d, count, "rows", b, e);
        buf_addc(b, '}');
    }
    (void)sqlite3_finalize(s);
    return rc;
}

int store_describe(struct store_reader *r, struct buf *b, struct err *e)
{
    struct store_db *d = db_of((struct store_at){.r = r});
    buf_addc(b, '{');
    if (number_of(d, "PRAGMA user_version", "schema", b, e) || number_of(d, "PRAGMA page_size", "page_bytes", b, e) || number_of(d, "PRAGMA page_count", "pages", b, e) ||
        number_of(d, "PRAGMA freelist_count", "free_pages", b, e))
        return -1;
    buf_json_key(b, "tables");
    buf_addc(b, '[');
    if (describe_tables(d, b, e))
        return -1;
    buf_adds(b, "]}\n");
    return 0;
}

/* ---- messages by time ---- */

int store_next_message(struct store_reader *r, int64_t id, int64_t *id_out, int64_t *received_us_out, struct err *e)
{
    struct store_db *d = db_of((struct store_at){.r = r});
    sqlite3_stmt *s = db_stmt(d, ST_NEXT_MESSAGE, e);
    if (!s)
        return -1;
    bind_int(s, 1, id);
    int rc = db_row(d, s, "cannot read a message", e);
    if (rc == 1) {
        *id_out = sqlite3_column_int64(s, 0);
        *received_us_out = sqlite3_column_int64(s, 1);
    }
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : !rc;
}

int store_message_since(struct store_reader *r, int64_t us, int64_t *id_out, struct err *e)
{
    int64_t low = 1, high, id, at;
    if (store_last_message(r, &high, e) != 0)
        return -1;
    high++;
    while (low < high) {                /* the answer is in [low, high] */
        int64_t middle = low + (high - low) / 2;
        int rc = store_next_message(r, middle, &id, &at, e);
        if (rc < 0)
            return -1;
        if (rc == 1 || at >= us)
            high = middle;
        else
            low = id + 1;
    }
    *id_out = low;
    return 0;
}
