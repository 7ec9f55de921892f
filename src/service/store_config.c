/*
 * NAME store_config - numbered configurations and the texts of their files.
 *
 * config_run has a row for each time that another configuration began to run. config_file names the files of a number in the order in which they were
 * read; config_text has each text once, in pieces, so that a large one need not go into one commit.
 * DIAGNOSTICS those of store_sql.c.
 */
#include "store_config.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_db.h"

static sqlite3_stmt *put(struct store *q, enum store_stmt which, struct err *e)
{
    sqlite3_stmt *s = batch_begin(q, e) == 0 ? db_stmt(&q->d, which, e) : NULL;
    if (!s && q->is_open_batch)
        (void)batch_break(q, e);
    return s;
}

static int run(struct store *q, sqlite3_stmt *s, struct err *e)
{
    return db_run(&q->d, s, "cannot keep the configuration", e) == 0 ? 0 : batch_break(q, e);
}

/* First column of the first row, def when there is none. */
static int ask(struct store *q, sqlite3_stmt *s, int64_t def, int64_t *out, struct err *e)
{
    int rc = db_row(&q->d, s, "cannot read the configurations", e);
    *out = rc == 1 ? sqlite3_column_int64(s, 0) : def;
    (void)sqlite3_reset(s);
    return rc < 0 ? batch_break(q, e) : 0;
}

static int find_text(struct store *q, const struct conf_file *f, int64_t *id, struct err *e)
{
    sqlite3_stmt *s = put(q, ST_FIND_CONFIG_TEXT, e);
    if (!s)
        return -1;
    bind_blob(s, 1, f->sha256, sizeof f->sha256);
    return ask(q, s, 0, id, e);
}

static int find_or_put_text(struct store *q, const struct conf_file *f, int64_t *id, struct err *e)
{
    sqlite3_stmt *s;
    if (find_text(q, f, id, e))
        return -1;
    if (*id)
        return 0;
    if (!(s = put(q, ST_PUT_CONFIG_TEXT, e)))
        return -1;
    bind_blob(s, 1, f->sha256, sizeof f->sha256);
    bind_int(s, 2, (int64_t)f->n);
    if (run(q, s, e))
        return -1;
    *id = sqlite3_last_insert_rowid(q->d.db);
    return 0;
}

int store_keep_config_text(struct store *q, const struct conf_file *f, size_t most, bool *is_kept, struct err *e)
{
    int64_t id, done;
    sqlite3_stmt *s;
    if (find_or_put_text(q, f, &id, e) || !(s = put(q, ST_KEPT_CONFIG_TEXT, e)))
        return -1;
    bind_int(s, 1, id);
    if (ask(q, s, 0, &done, e))
        return -1;
    size_t n = f->n - (size_t)done < most ? f->n - (size_t)done : most;
    *is_kept = (size_t)done + n == f->n;
    if (!n)
        return 0;
    if (!(s = put(q, ST_PUT_CONFIG_PIECE, e)))
        return -1;
    bind_int(s, 1, id);
    bind_int(s, 2, done);
    bind_blob(s, 3, f->text + done, n);
    return run(q, s, e);
}

static int put_files(struct store *q, int64_t number, const struct conf_files *files, struct err *e)
{
    int64_t n = 0;
    sqlite3_stmt *s = put(q, ST_COUNT_CONFIG_FILES, e);
    if (!s)
        return -1;
    bind_int(s, 1, number);
    if (ask(q, s, 0, &n, e))
        return -1;
    for (size_t i = 0; n == 0 && i < files->n; i++) {
        int64_t text;
        bool is_kept = false;
        while (!is_kept)
            if (store_keep_config_text(q, &files->v[i], SIZE_MAX, &is_kept, e))
                return -1;
        if (find_text(q, &files->v[i], &text, e) || !(s = put(q, ST_PUT_CONFIG_FILE, e)))
            return -1;
        bind_int(s, 1, number);
        bind_int(s, 2, (int64_t)i);
        bind_text(s, 3, files->v[i].path);
        bind_int(s, 4, text);
        if (run(q, s, e))
            return -1;
    }
    return 0;
}

/* The oldest go: runs, then files of numbers that did not run lately, then texts that nobody names. */
static int prune(struct store *q, struct err *e)
{
    static const enum store_stmt steps[] = {ST_PRUNE_CONFIG_RUNS, ST_PRUNE_CONFIG_FILES, ST_PRUNE_CONFIG_TEXTS, ST_PRUNE_CONFIG_PIECES};
    static const int64_t keep[] = {STORE_RUNS_KEPT, STORE_CONFIGS_KEPT, 0, 0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        sqlite3_stmt *s = put(q, steps[i], e);
        if (!s)
            return -1;
        if (keep[i])
            bind_int(s, 1, keep[i]);
        if (run(q, s, e))
            return -1;
    }
    return 0;
}

int store_put_config_run(struct store *q, int64_t number, const char *how, const char *who, const struct conf_files *files, struct err *e)
{
    int64_t last = 0;
    sqlite3_stmt *s = put(q, ST_LAST_CONFIG, e);
    if (!s)
        return -1;
    bind_int(s, 1, 0);
    if (ask(q, s, 0, &last, e))
        return -1;
    if (last == number && strcmp(how, "start") != 0)
        return 0;
    if (!(s = put(q, ST_PUT_CONFIG_RUN, e)))
        return -1;
    bind_int(s, 1, clock_now_us());
    bind_int(s, 2, number);
    bind_text(s, 3, how);
    bind_text(s, 4, who);
    return run(q, s, e) || put_files(q, number, files, e) || prune(q, e) ? -1 : 0;
}

/* ---- reading ---- */

int store_list_config_runs(struct store_reader *r, bool (*fn)(void *ctx, const struct store_config_run *run), void *ctx, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&r->d, ST_LIST_CONFIG_RUNS, e);
    bool goes_on = true;
    int rc = 0;
    if (!s)
        return -1;
    while (goes_on && (rc = db_row(&r->d, s, "cannot read the configurations", e)) == 1) {
        struct store_config_run x = {.number = sqlite3_column_int64(s, 0), .since_us = sqlite3_column_int64(s, 1), .how = (const char *)sqlite3_column_text(s, 3),
                                     .who = (const char *)sqlite3_column_text(s, 4), .has_files = sqlite3_column_int64(s, 5) > 0};
        const char *hash = (const char *)sqlite3_column_text(s, 2);
        size_t n = hash ? strnlen(hash, sizeof x.hash - 1) : 0;
        memcpy(x.hash, hash ? hash : "", n);
        goes_on = fn(ctx, &x);
    }
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

int store_last_config(struct store_reader *r, int64_t skip, int64_t *number_out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&r->d, ST_LAST_CONFIG, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, skip);
    rc = db_row(&r->d, s, "cannot read the configurations", e);
    if (rc == 1)
        *number_out = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : rc == 0;
}

static void take_file(struct conf_files *out, char **path, struct buf *b)
{
    if (*path)
        conf_files_add(out, *path, buf_span(b));
    free(*path);
    *path = NULL;
    b->n = 0;
}

int store_load_config(struct store_reader *r, int64_t number, struct conf_files *out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&r->d, ST_LOAD_CONFIG, e);
    int rc;
    *out = (struct conf_files){.is_given = true};
    if (!s)
        return -1;
    bind_int(s, 1, number);
    int64_t at = -1;
    struct buf b;
    char *path = NULL;
    buf_init(&b, (size_t)64 << 20);
    while ((rc = db_row(&r->d, s, "cannot read the configurations", e)) == 1) {
        const void *bytes = sqlite3_column_blob(s, 2);
        if (sqlite3_column_int64(s, 0) != at) {
            take_file(out, &path, &b);
            at = sqlite3_column_int64(s, 0);
            path = column_text(s, 1);
        }
        if (bytes)
            buf_add(&b, bytes, (size_t)sqlite3_column_bytes(s, 2));
    }
    take_file(out, &path, &b);
    buf_clear(&b);
    if (rc == 0 && out->n)
        return 0;
    conf_files_clear(out);
    return rc < 0 ? -1 : 1;
}
