/*
 * NAME store_mirror - the tables of a writer's mirror.
 *
 *   mirror_person(writer, id, updated, db_updated, hash, put_us, row)      writer: number of a word
 *   mirror_lab(…, person, sample, k)                                       with an index for each of the three
 *   mirror_place(writer, list, …, owner)                                   list 0 people, 1 lab results, -1: owner only
 * Rows are in the order of their ids, so that reading everything by id appends. DIAGNOSTICS as store.c.
 */
#include <stdlib.h>
#include <string.h>

#include "store_db.h"
#include "store_mirror.h"
#include "xmem.h"

#define OWNER_LIST (-1)

static sqlite3_stmt *put_stmt(struct store *q, enum store_stmt which, struct err *e)
{
    sqlite3_stmt *s = batch_begin(q, e) == 0 ? db_stmt(&q->d, which, e) : NULL;
    if (!s && !q->is_broken && !q->is_dead)
        (void)batch_break(q, e);
    return s;
}

static sqlite3_stmt *get_stmt(struct store *q, enum store_stmt which, struct err *e)
{
    if (q->is_dead) {
        *e = q->why;
        return NULL;
    }
    return db_stmt(&q->d, which, e);
}

static int run(struct store *q, sqlite3_stmt *s, struct err *e)
{
    return db_run(&q->d, s, "cannot write the mirror", e) == 0 ? 0 : batch_break(q, e);
}

static int writer_put(struct store *q, const char *writer, int64_t *id, struct err *e)
{
    if (batch_begin(q, e) != 0)
        return -1;
    return word_put(&q->d, writer, id, e) == 0 ? 0 : batch_break(q, e);
}

/* -1: an error; *id -1: nobody ever wrote for this writer. */
static int writer_find(struct store *q, const char *writer, int64_t *id, struct err *e)
{
    return word_find(&q->d, writer, id, e);
}

static struct span column_span(sqlite3_stmt *s, int i)
{
    const char *p = (const char *)sqlite3_column_text(s, i);
    return p ? span_make(p, (size_t)sqlite3_column_bytes(s, i)) : SPAN_ABSENT;
}

int store_mirror_get(struct store *q, enum store_mirror what, const char *writer, struct span id, struct store_mirror_row *out, struct err *e)
{
    int64_t w;
    sqlite3_stmt *s = get_stmt(q, what == STORE_MIRROR_PEOPLE ? ST_MIRROR_GET_PERSON : ST_MIRROR_GET_LAB, e);
    *out = (struct store_mirror_row){.id = id};
    if (!s || writer_find(q, writer, &w, e) != 0)
        return -1;
    bind_int(s, 1, w);
    bind_span(s, 2, id);
    int rc = db_row(&q->d, s, "cannot read the mirror", e);
    if (rc == 1) {
        out->updated_ms = sqlite3_column_int64(s, 0);
        out->db_updated_ms = sqlite3_column_int64(s, 1);
        out->hash = sqlite3_column_int64(s, 2);
        out->put_us = sqlite3_column_int64(s, 3);
        (void)sqlite3_reset(s);
    }
    return rc < 0 ? -1 : rc == 0;
}

int store_mirror_put(struct store *q, enum store_mirror what, const char *writer, const struct store_mirror_row *r, struct err *e)
{
    int64_t w;
    if (writer_put(q, writer, &w, e) != 0)
        return -1;
    sqlite3_stmt *s = put_stmt(q, what == STORE_MIRROR_PEOPLE ? ST_MIRROR_PUT_PERSON : ST_MIRROR_PUT_LAB, e);
    if (!s)
        return -1;
    bind_int(s, 1, w);
    bind_span(s, 2, r->id);
    bind_int(s, 3, r->updated_ms);
    bind_int(s, 4, r->db_updated_ms);
    bind_int(s, 5, r->hash);
    bind_int(s, 6, r->put_us);
    bind_span(s, 7, r->row);
    if (what == STORE_MIRROR_LABS) {
        bind_span(s, 8, r->person);
        bind_span(s, 9, r->sample);
        bind_span(s, 10, r->k);
    }
    return run(q, s, e);
}

int store_mirror_drop(struct store *q, enum store_mirror what, const char *writer, struct span id, bool *was_there, struct err *e)
{
    int64_t w;
    *was_there = false;
    if (writer_put(q, writer, &w, e) != 0)
        return -1;
    sqlite3_stmt *s = put_stmt(q, what == STORE_MIRROR_PEOPLE ? ST_MIRROR_DROP_PERSON : ST_MIRROR_DROP_LAB, e);
    if (!s)
        return -1;
    bind_int(s, 1, w);
    bind_span(s, 2, id);
    if (run(q, s, e) != 0)
        return -1;
    *was_there = sqlite3_changes64(q->d.db) > 0;
    return 0;
}

int store_mirror_count(struct store *q, enum store_mirror what, const char *writer, int64_t *n, struct err *e)
{
    int64_t w;
    sqlite3_stmt *s = get_stmt(q, what == STORE_MIRROR_PEOPLE ? ST_MIRROR_COUNT_PEOPLE : ST_MIRROR_COUNT_LABS, e);
    *n = 0;
    if (!s || writer_find(q, writer, &w, e) != 0)
        return -1;
    bind_int(s, 1, w);
    int rc = db_row(&q->d, s, "cannot read the mirror", e);
    if (rc == 1)
        *n = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

int store_mirror_stale(struct store *q, enum store_mirror what, const char *writer, struct span after, struct span upto, int64_t before_us, size_t max,
                       char ***ids, size_t *n, struct err *e)
{
    int64_t w;
    int rc;
    sqlite3_stmt *s = get_stmt(q, what == STORE_MIRROR_PEOPLE ? ST_MIRROR_STALE_PEOPLE : ST_MIRROR_STALE_LABS, e);
    *ids = NULL;
    *n = 0;
    if (!s || writer_find(q, writer, &w, e) != 0)
        return -1;
    bind_int(s, 1, w);
    bind_span(s, 2, after);
    if (span_has(upto))
        bind_span(s, 3, upto);
    else
        bind_null(s, 3);
    bind_int(s, 4, before_us);
    bind_int(s, 5, (int64_t)max);
    while ((rc = db_row(&q->d, s, "cannot read the mirror", e)) == 1) {
        *ids = xreallocarray(*ids, *n + 1, sizeof **ids);
        (*ids)[(*n)++] = column_text(s, 0);
    }
    return rc;
}

int store_mirror_each(struct store *q, const char *writer, enum store_mirror_by by, struct span value,
                      void (*fn)(void *ctx, const struct store_mirror_row *row), void *ctx, struct err *e)
{
    static const enum store_stmt which[] = {
        [MIRROR_ALL_PEOPLE] = ST_MIRROR_ALL_PEOPLE, [MIRROR_LABS_OF_PERSON] = ST_MIRROR_LABS_OF_PERSON, [MIRROR_LABS_OF_SAMPLE] = ST_MIRROR_LABS_OF_SAMPLE,
        [MIRROR_LABS_OF_K] = ST_MIRROR_LABS_OF_K, [MIRROR_LAB] = ST_MIRROR_LAB,
    };
    int64_t w;
    int rc;
    sqlite3_stmt *s = get_stmt(q, which[by], e);
    if (!s || writer_find(q, writer, &w, e) != 0)
        return -1;
    bind_int(s, 1, w);
    if (by != MIRROR_ALL_PEOPLE)
        bind_span(s, 2, value);
    while ((rc = db_row(&q->d, s, "cannot read the mirror", e)) == 1) {
        struct store_mirror_row r = {.id = column_span(s, 0), .row = column_span(s, 1)};
        if (by != MIRROR_ALL_PEOPLE) {
            r.person = column_span(s, 2);
            r.sample = column_span(s, 3);
            r.k = column_span(s, 4);
        }
        fn(ctx, &r);
    }
    return rc;
}

/* ---- how far ---- */

/* The row of mirror_place: 1 there (caller resets), 0 none, -1. */
static int place_row(struct store *q, int list, const char *writer, sqlite3_stmt **out, struct err *e)
{
    int64_t w;
    sqlite3_stmt *s = get_stmt(q, ST_MIRROR_GET_PLACE, e);
    if (!s || writer_find(q, writer, &w, e) != 0)
        return -1;
    bind_int(s, 1, w);
    bind_int(s, 2, list);
    *out = s;
    return db_row(&q->d, s, "cannot read the mirror", e);
}

static int place_put(struct store *q, int list, const char *writer, const struct store_mirror_place *p, struct span owner, struct err *e)
{
    int64_t w;
    if (writer_put(q, writer, &w, e) != 0)
        return -1;
    sqlite3_stmt *s = put_stmt(q, ST_MIRROR_PUT_PLACE, e);
    if (!s)
        return -1;
    bind_int(s, 1, w);
    bind_int(s, 2, list);
    bind_int(s, 3, p->is_loaded);
    bind_int(s, 4, p->is_sweeping);
    bind_int(s, 5, p->swept_us);
    bind_int(s, 6, p->top_ms);
    bind_int(s, 7, p->floor_ms);
    bind_text(s, 8, p->at);
    bind_span(s, 9, owner);
    return run(q, s, e);
}

int store_mirror_get_owner(struct store *q, const char *writer, struct buf *out, struct err *e)
{
    sqlite3_stmt *s;
    int rc = place_row(q, OWNER_LIST, writer, &s, e);
    if (rc == 1) {
        buf_add_span(out, column_span(s, 6));
        (void)sqlite3_reset(s);
    }
    return rc < 0 ? -1 : rc == 0;
}

int store_mirror_put_owner(struct store *q, const char *writer, struct span owner, struct err *e)
{
    const struct store_mirror_place none = {0};
    return place_put(q, OWNER_LIST, writer, &none, owner, e);
}

int store_mirror_get_place(struct store *q, enum store_mirror what, const char *writer, struct store_mirror_place *out, struct err *e)
{
    sqlite3_stmt *s;
    int rc = place_row(q, (int)what, writer, &s, e);
    *out = (struct store_mirror_place){0};
    if (rc == 1) {
        struct span at = column_span(s, 5);
        out->is_loaded = sqlite3_column_int(s, 0) != 0;
        out->is_sweeping = sqlite3_column_int(s, 1) != 0;
        out->swept_us = sqlite3_column_int64(s, 2);
        out->top_ms = sqlite3_column_int64(s, 3);
        out->floor_ms = sqlite3_column_int64(s, 4);
        if (at.n && at.n < sizeof out->at)
            memcpy(out->at, at.p, at.n);
        (void)sqlite3_reset(s);
    }
    return rc < 0 ? -1 : rc == 0;
}

int store_mirror_put_place(struct store *q, enum store_mirror what, const char *writer, const struct store_mirror_place *p, struct err *e)
{
    return place_put(q, (int)what, writer, p, SPAN_ABSENT, e);
}

int store_mirror_clear(struct store *q, const char *writer, struct err *e)
{
    static const enum store_stmt which[] = {ST_MIRROR_CLEAR_PEOPLE, ST_MIRROR_CLEAR_LABS, ST_MIRROR_CLEAR_PLACES};
    int64_t w;
    if (writer_put(q, writer, &w, e) != 0)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        sqlite3_stmt *s = put_stmt(q, which[i], e);
        if (!s)
            return -1;
        bind_int(s, 1, w);
        if (run(q, s, e) != 0)
            return -1;
    }
    return 0;
}

uint64_t store_rollbacks(const struct store *q)
{
    return q->rollbacks;
}
