/*
 * NAME store_walk - messages with their bytes and deliveries, one after the other.
 * A slice (SLICE messages or SLICE_BYTES) is copied in one short snapshot and handed out after it: the engine's log can be emptied
 * however long the caller thinks about a message. A message that is erased between two slices is not met.
 * DIAGNOSTICS as store_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_db.h"
#include "xmem.h"

#define SLICE 128
#define SLICE_BYTES ((size_t)4 << 20)
#define WALK_US (INT64_C(30) * 1000000)         /* millions of rows may lie before the first that fits */

struct slice {
    struct store_message_row m[SLICE];
    char *raw[SLICE];
    size_t raw_n[SLICE], n;
    struct delivery *v;
    size_t n_v;
    bool is_last;
};

static void slice_clear(struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        store_message_row_clear(&s->m[i]);
        free(s->raw[i]);
    }
    deliveries_free(s->v, s->n_v);
    s->v = NULL;
    s->n = s->n_v = 0;
}

static int load_messages(struct store_reader *r, const struct store_walk *w, int64_t after_id, int64_t channel, struct slice *out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&r->d, ST_WALK_MESSAGES, e);
    size_t bytes = 0;
    int rc = 0;
    if (!s)
        return -1;
    bind_int(s, 1, after_id);
    bind_int(s, 2, w->last_id ? w->last_id : INT64_MAX);
    bind_int(s, 3, w->since_us);
    bind_int(s, 4, w->until_us ? w->until_us : INT64_MAX);
    bind_int(s, 5, channel);
    bind_int(s, 6, SLICE);
    while (out->n < SLICE && bytes < SLICE_BYTES && (rc = db_row(&r->d, s, "cannot read messages", e)) == 1) {
        size_t i = out->n;
        if (message_from_row(&r->d, s, &out->m[i], e) != 0) {
            rc = -1;
            break;
        }
        out->raw[i] = NULL;
        out->raw_n[i] = 0;
        if (sqlite3_column_type(s, 11) == SQLITE_BLOB) {
            size_t n = (size_t)sqlite3_column_bytes(s, 11);
            const void *p = sqlite3_column_blob(s, 11);
            out->raw[i] = xmalloc(n + 1);
            if (n)
                memcpy(out->raw[i], p, n);
            out->raw_n[i] = n;
            bytes += n;
        }
        out->n++;
    }
    (void)sqlite3_reset(s);
    out->is_last = rc == 0 && out->n < SLICE && bytes < SLICE_BYTES;
    return rc < 0 ? -1 : 0;
}

static int load(struct store_reader *r, const struct store_walk *w, int64_t after_id, int64_t channel, struct slice *out, struct err *e)
{
    bool is_own = !r->is_held;
    sqlite3_stmt *s;
    int rc;
    if (is_own && store_reader_begin(r, e) != 0)
        return -1;
    if (is_own)
        r->deadline_us = clock_mono_us() + WALK_US;
    rc = load_messages(r, w, after_id, channel, out, e);
    if (rc == 0 && out->n) {
        s = db_stmt(&r->d, ST_WALK_DELIVERIES, e);
        rc = s ? 0 : -1;
        if (s) {
            bind_int(s, 1, out->m[0].id);
            bind_int(s, 2, out->m[out->n - 1].id);
            rc = deliveries_from_rows(&r->d, s, "cannot read deliveries", &out->v, &out->n_v, e);
        }
    }
    if (is_own)
        store_reader_end(r);
    return rc;
}

int store_walk(struct store_reader *r, const struct store_walk *w, bool (*fn)(void *ctx, const struct store_visit *v), void *ctx, struct err *e)
{
    struct slice *s = xcalloc(1, sizeof *s);
    int64_t after_id = w->after_id, channel = -1;
    bool is_over = false;
    int rc = 0;
    if (w->channel) {
        rc = word_find(&r->d, w->channel, &channel, e);
        is_over = channel < 0;                  /* nothing ever came in by it */
    }
    while (rc == 0 && !is_over && (rc = load(r, w, after_id, channel, s, e)) == 0) {
        size_t at = 0;
        for (size_t i = 0; i < s->n && !is_over; i++) {
            while (at < s->n_v && s->v[at].message_id < s->m[i].id)
                at++;                           /* of a message that does not fit the filter */
            size_t end = at;
            while (end < s->n_v && s->v[end].message_id == s->m[i].id)
                end++;
            struct store_visit v = {.m = &s->m[i], .raw = s->raw[i] ? span_make(s->raw[i], s->raw_n[i]) : SPAN_ABSENT, .v = s->v + at, .n = end - at};
            is_over = !fn(ctx, &v);
            at = end;
        }
        after_id = s->n ? s->m[s->n - 1].id : after_id;
        is_over = is_over || s->is_last;
        slice_clear(s);
    }
    slice_clear(s);
    free(s);
    return rc;
}

int store_last_message(struct store_reader *r, int64_t *id_out, struct err *e)
{
    return db_int(&r->d, "SELECT max(id) FROM message", id_out, e);
}
