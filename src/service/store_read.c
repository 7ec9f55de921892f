/*
 * NAME store_read - lists, sums and checks, over a read-only connection of their own.
 * Works beside a running engine and without one. In a folder that cannot be written, a store that was closed cleanly is read as it stands.
 * A call is one snapshot and is cut off after 2 s (sums 30 s; 10 min inside store_reader_begin(), for verify), so that the engine's log can be emptied again.
 * DIAGNOSTICS ERR_CONFIG no such store, no permission, damaged; ERR_TEMP too slow; ERR_INPUT a filter names a state that does not exist.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "store_db.h"
#include "xmem.h"

#define CALL_US (INT64_C(2) * 1000000)
#define SUM_US (INT64_C(30) * 1000000)          /* every row is counted: about 0.5 s for a million */
#define SNAPSHOT_US (INT64_C(600) * 1000000)
#define FEW_OPEN 20000
#define MANY_HELD 200000    /* listed from the index alone */
#define SLICE 32            /* messages of one snapshot in store_each_message */

static int is_late(void *ctx)
{
    const struct store_reader *r = ctx;
    return r->deadline_us != 0 && clock_mono_us() > r->deadline_us;
}

/* A fresh deadline for every call, or the snapshot's. */
static sqlite3_stmt *read_stmt(struct store_reader *r, enum store_stmt which, struct err *e)
{
    if (!r->is_held && !r->is_still)
        r->deadline_us = clock_mono_us() + CALL_US;
    return db_stmt(&r->d, which, e);
}

/* file:...?immutable=1 for a path with any characters in it */
static char *immutable_name(const char *path)
{
    static const char hex[] = "0123456789ABCDEF";
    char *name = xmalloc(3 * strlen(path) + sizeof "file:?immutable=1"), *p = name;
    memcpy(p, "file:", 5);
    p += 5;
    for (const unsigned char *c = (const unsigned char *)path; *c; c++)
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || (*c && strchr("/._-", *c)))
            *p++ = (char)*c;
        else {
            *p++ = '%';
            *p++ = hex[*c >> 4];
            *p++ = hex[*c & 15];
        }
    memcpy(p, "?immutable=1", sizeof "?immutable=1");
    return name;
}

/* Nothing in the log: the file alone is the whole truth. */
static bool has_no_log(const char *path)
{
    size_t n = strlen(path) + sizeof "-wal";
    char *log = xmalloc(n);
    struct stat st;
    (void)snprintf(log, n, "%s-wal", path);
    bool is_none = stat(log, &st) != 0 ? errno == ENOENT : st.st_size == 0;
    free(log);
    return is_none;
}

static int check_version(struct store_db *d, bool may_be_old, struct err *e)
{
    int64_t version, id;
    if (db_int(d, "PRAGMA user_version", &version, e) != 0 || db_int(d, "PRAGMA application_id", &id, e) != 0)
        return -1;
    if (id != STORE_APPLICATION_ID)
        return err_set(e, ERR_CONFIG, d->path, "this is not a labrelay store");
    if (version > STORE_VERSION)
        return err_set(e, ERR_BUG, d->path, "the store was written by a newer labrelay (schema %lld, this one knows %d): use that version", (long long)version, STORE_VERSION);
    if (version < STORE_VERSION && !may_be_old)
        return err_set(e, ERR_CONFIG, d->path, "the store was written by an older labrelay: `labrelay run` brings it up to date");
    return 0;
}

static int open_as(struct store_reader *r, const char *path, const char *name, bool may_be_old, struct err *e)
{
    if (db_open(&r->d, path, name, SQLITE_OPEN_READONLY, e) == 0 && db_exec(&r->d, "PRAGMA query_only=ON; PRAGMA cache_size=-1024", "cannot open", e) == 0 &&
        check_version(&r->d, may_be_old, e) == 0)
        return 0;
    db_close(&r->d);
    return -1;
}

int store_reader_open(struct store_reader **out, const char *path, struct err *e)
{
    struct store_reader *r = xcalloc(1, sizeof *r);
    char *name;
    int rc = -1;
    *out = NULL;
    if (access(path, R_OK) != 0) {
        (void)err_set(e, ERR_CONFIG, path, errno == ENOENT ? "there is no store yet: %s" : "cannot read the store: %s", strerror(errno));
        goto bad;
    }
    rc = open_as(r, path, path, false, e);
    if (rc != 0 && e->kind == ERR_CONFIG && has_no_log(path)) {
        name = immutable_name(path);
        rc = open_as(r, path, name, false, e);
        free(name);
    }
    if (rc != 0)
        goto bad;
    sqlite3_progress_handler(r->d.db, 20000, is_late, r);
    *out = r;
    return 0;
bad:
    free(r);
    return -1;
}

int store_reader_open_still(struct store_reader **out, const char *path, struct err *e)
{
    struct store_reader *r = xcalloc(1, sizeof *r);
    char *name = immutable_name(path);
    int rc = -1;
    *out = NULL;
    if (access(path, R_OK) != 0)
        (void)err_set(e, ERR_CONFIG, path, "cannot read it: %s", strerror(errno));
    else if (!has_no_log(path))
        (void)err_set(e, ERR_CONFIG, path, "it has a log (-wal) beside it: it was not closed, or is no copy made by `labrelay backup`");
    else
        rc = open_as(r, path, name, true, e);
    free(name);
    if (rc == 0) {
        *out = r;
        r->deadline_us = 0;             /* it is nobody's log that would grow */
        r->is_still = true;
    } else {
        free(r);
    }
    return rc;
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    store_reader_end(r);
    db_close(&r->d);
    free(r);
}

int store_reader_begin(struct store_reader *r, struct err *e)
{
    int64_t ignored;
    r->deadline_us = clock_mono_us() + SNAPSHOT_US;
    if (db_exec(&r->d, "BEGIN", "cannot begin", e) != 0)
        return -1;
    r->is_held = true;
    if (db_int(&r->d, "SELECT count(*) FROM meta", &ignored, e) == 0)      /* the first read takes the snapshot */
        return 0;
    store_reader_end(r);
    return -1;
}

void store_reader_end(struct store_reader *r)
{
    struct err ignored = ERR_INIT;
    if (!r->is_held)
        return;
    for (size_t i = 0; i < STORE_STMTS; i++)
        if (r->d.stmt[i])
            (void)sqlite3_reset(r->d.stmt[i]);
    (void)db_exec(&r->d, "ROLLBACK", "cannot end", &ignored);
    r->is_held = false;
}

/* ---- messages ---- */

void store_message_row_clear(struct store_message_row *m)
{
    free(m->channel);
    free(m->control_id);
    free(m->kind);
    free(m->peer);
    free(m->reason);
    *m = (struct store_message_row){0};
}

int message_from_row(struct store_db *d, sqlite3_stmt *s, struct store_message_row *out, struct err *e)
{
    const char *channel = word_get(d, sqlite3_column_int64(s, 3), e);
    *out = (struct store_message_row){0};
    if (!channel)
        return -1;
    *out = (struct store_message_row){.id = sqlite3_column_int64(s, 0), .received_us = sqlite3_column_int64(s, 1), .config = sqlite3_column_int64(s, 2),
                                      .channel = xstrdup(channel), .control_id = column_text(s, 4), .kind = column_text(s, 5), .peer = column_text(s, 6),
                                      .reason = column_text(s, 7), .state = (enum message_state)sqlite3_column_int(s, 8),
                                      .observations = (unsigned)sqlite3_column_int64(s, 9), .raw_n = (size_t)sqlite3_column_int64(s, 10)};
    return 0;
}

int store_load_message(struct store_reader *r, int64_t id, struct store_message_row *out, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_LOAD_MESSAGE, e);
    int rc;
    *out = (struct store_message_row){0};
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&r->d, s, "cannot read the message", e);
    if (rc == 1)
        rc = message_from_row(&r->d, s, out, e) == 0 ? 1 : -1;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : !rc;
}

int store_load_raw(struct store_reader *r, int64_t id, struct buf *out, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_LOAD_RAW, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&r->d, s, "cannot read the message", e);
    if (rc == 1)
        buf_add(out, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
    (void)sqlite3_reset(s);
    if (rc == 1 && out->is_full)
        return err_set(e, ERR_LIMIT, r->d.path, "message m%lld is larger than %zu bytes", (long long)id, out->max);
    return rc < 0 ? -1 : !rc;
}

static void messages_free(struct store_message_row *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_message_row_clear(&v[i]);
    free(v);
}

/* -1 any, else the number of the word; -2: nobody ever used that word, so nothing fits. */
static int filter_word(struct store_reader *r, const char *text, int64_t *out, struct err *e)
{
    *out = -1;
    if (!text)
        return 0;
    if (word_find(&r->d, text, out, e) != 0)
        return -1;
    if (*out < 0)
        *out = -2;
    return 0;
}

int store_list_messages(struct store_reader *r, const struct store_filter *f, struct store_message_row **v, size_t *n, struct err *e)
{
    enum message_state state = MESSAGE_STORED;
    size_t cap = 0;
    int64_t channel;
    sqlite3_stmt *s;
    int rc;
    *v = NULL;
    *n = 0;
    if (f->state && message_state_parse(f->state, &state) != 0)
        return err_set(e, ERR_INPUT, "state", "a message is stored, refused or quarantined");
    if (filter_word(r, f->channel, &channel, e) != 0)
        return -1;
    if (channel == -2)
        return 0;
    s = read_stmt(r, ST_LIST_MESSAGES, e);
    if (!s)
        return -1;
    bind_int(s, 1, f->after_id);
    bind_int(s, 2, f->state ? (int64_t)state : -1);
    bind_int(s, 3, channel);
    bind_text(s, 4, f->reason);
    bind_int(s, 5, f->limit ? (int64_t)f->limit : -1);
    while ((rc = db_row(&r->d, s, "cannot list messages", e)) == 1) {
        if (*n == cap) {
            cap = cap ? 2 * cap : 16;
            *v = xreallocarray(*v, cap, sizeof **v);
        }
        if (message_from_row(&r->d, s, &(*v)[*n], e) != 0) {
            (void)sqlite3_reset(s);
            rc = -1;
            break;
        }
        (*n)++;
    }
    if (rc == 0)
        return 0;
    messages_free(*v, *n);
    *v = NULL;
    *n = 0;
    return -1;
}

static int accounted_of(struct store_reader *r, int64_t id, unsigned *out, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_ACCOUNTED, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&r->d, s, "cannot count", e);
    *out = rc == 1 ? (unsigned)sqlite3_column_int64(s, 0) : 0;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* Row, bytes and sum of one message must be of one moment: each gets a snapshot of its own unless one is held. */
static int visit(struct store_reader *r, const struct store_message_row *m, bool (*fn)(void *, const struct store_message_row *, struct span, unsigned), void *ctx,
                 bool *is_stop, struct err *e)
{
    bool is_own = !r->is_held;
    unsigned accounted = 0;
    struct buf raw;
    int rc;
    buf_init(&raw, SIZE_MAX / 2);
    if (is_own && store_reader_begin(r, e) != 0)
        return -1;
    struct store_message_row again;
    rc = store_load_message(r, m->id, &again, e);
    store_message_row_clear(&again);
    if (rc == 0 && store_load_raw(r, m->id, &raw, e) < 0)       /* 1: only its bytes were erased (keep-raw) */
        rc = -1;
    if (rc == 0)
        rc = accounted_of(r, m->id, &accounted, e);
    if (is_own)
        store_reader_end(r);
    if (rc == 0)
        *is_stop = !fn(ctx, m, raw.p ? buf_span(&raw) : SPAN_ABSENT, accounted);
    buf_clear(&raw);
    return rc < 0 ? -1 : 0;             /* 1: it was erased meanwhile */
}

int store_each_message(struct store_reader *r, bool (*fn)(void *ctx, const struct store_message_row *m, struct span raw, unsigned accounted), void *ctx, struct err *e)
{
    struct store_filter f = {.limit = SLICE};
    struct store_message_row *v;
    bool is_stop = false;
    size_t n = SLICE;
    int rc = 0;
    while (rc == 0 && n == SLICE && !is_stop) {
        if (store_list_messages(r, &f, &v, &n, e) != 0)
            return -1;
        for (size_t i = 0; i < n && rc == 0 && !is_stop; i++) {
            f.after_id = v[i].id;
            rc = visit(r, &v[i], fn, ctx, &is_stop, e);
        }
        messages_free(v, n);
    }
    return rc;
}

/* ---- deliveries ---- */

int store_load_delivery(struct store_reader *r, int64_t id, struct delivery *out, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_GET_DELIVERY, e);
    int rc;
    *out = (struct delivery){0};
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&r->d, s, "cannot read the delivery", e);
    if (rc == 1)
        rc = delivery_from_row(&r->d, s, out, e) == 0 ? 1 : -1;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : !rc;
}

int store_load_deliveries_of(struct store_reader *r, int64_t message_id, struct delivery **v, size_t *n, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_DELIVERIES_OF, e);
    *v = NULL;
    *n = 0;
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    return deliveries_from_rows(&r->d, s, "cannot list deliveries", v, n, e);
}

/* Few open ones are found through their index however long the history is; many are met soon by reading on in order of ids, from the first
 * of them on. */
static int span_of_open(struct store_reader *r, bool is_held, bool *is_few, int64_t *after_id, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, is_held ? ST_SPAN_HELD : ST_SPAN_DUE, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, -1);
    rc = db_row(&r->d, s, "cannot list deliveries", e);
    *is_few = rc == 1 && sqlite3_column_int64(s, 0) <= (is_held ? MANY_HELD : FEW_OPEN);
    if (rc == 1 && !*is_few && sqlite3_column_int64(s, 1) - 1 > *after_id)
        *after_id = sqlite3_column_int64(s, 1) - 1;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

int store_list_deliveries(struct store_reader *r, const struct store_filter *f, struct delivery **v, size_t *n, struct err *e)
{
    enum delivery_state state = DELIVERY_READY;
    int64_t word[3];
    const char *text[3] = {f->writer, f->reason, f->channel};
    bool is_few = false;
    int64_t after_id = f->after_id;
    sqlite3_stmt *s;
    *v = NULL;
    *n = 0;
    if (f->state && delivery_state_parse(f->state, &state) != 0)
        return err_set(e, ERR_INPUT, "state", "no such state of a delivery");
    for (size_t i = 0; i < 3; i++) {
        if (filter_word(r, text[i], &word[i], e) != 0)
            return -1;
        if (word[i] == -2)
            return 0;
    }
    if (f->state && state <= DELIVERY_HELD && span_of_open(r, state == DELIVERY_HELD, &is_few, &after_id, e) != 0)
        return -1;
    s = read_stmt(r, !is_few ? ST_LIST_DELIVERIES : state == DELIVERY_HELD ? ST_LIST_HELD : ST_LIST_DUE, e);
    if (!s)
        return -1;
    bind_int(s, 1, after_id);
    bind_int(s, 2, f->state ? (int64_t)state : -1);
    for (int i = 0; i < 3; i++)
        bind_int(s, 3 + i, word[i]);
    bind_int(s, 6, f->limit ? (int64_t)f->limit : -1);
    return deliveries_from_rows(&r->d, s, "cannot list deliveries", v, n, e);
}

/* ---- sums ---- */

static const char *const message_sums[] = {"messages", "observations"};

static int sum_row(struct store_reader *r, sqlite3_stmt *s, enum store_sum what, void (*fn)(void *, const char *, const char *, int64_t), void *ctx, struct err *e)
{
    int64_t a = sqlite3_column_int64(s, 0), b = sqlite3_column_int64(s, 1);
    const char *x = NULL, *y = NULL;
    switch (what) {
    case SUM_FRAMES:
    case SUM_ACCOUNTS:
        x = word_get(&r->d, a, e);
        y = word_get(&r->d, b, e);
        break;
    case SUM_DELIVERIES:
        if (a < 0 || a > DELIVERY_DROPPED)
            return err_set(e, ERR_CONFIG, r->d.path, "the store is damaged: a delivery has state %lld", (long long)a);
        x = delivery_state_name((enum delivery_state)a);
        y = word_get(&r->d, b, e);
        break;
    case SUM_MESSAGES:
        if (a < 0 || a > MESSAGE_QUARANTINED)
            return err_set(e, ERR_CONFIG, r->d.path, "the store is damaged: a message has state %lld", (long long)a);
        x = message_state_name((enum message_state)a);
        fn(ctx, x, message_sums[0], b);
        y = message_sums[1];
        break;
    }
    if (!x || !y)
        return -1;
    fn(ctx, x, y, sqlite3_column_int64(s, 2));
    return 0;
}

int store_sum(struct store_reader *r, enum store_sum what, void (*fn)(void *ctx, const char *a, const char *b, int64_t n), void *ctx, struct err *e)
{
    static const enum store_stmt which[] = {[SUM_FRAMES] = ST_SUM_FRAMES, [SUM_DELIVERIES] = ST_SUM_DELIVERIES, [SUM_ACCOUNTS] = ST_SUM_ACCOUNTS,
                                            [SUM_MESSAGES] = ST_SUM_MESSAGES};
    sqlite3_stmt *s = read_stmt(r, which[what], e);
    int rc;
    if (!s)
        return -1;
    if (!r->is_held)
        r->deadline_us = clock_mono_us() + SUM_US;
    while ((rc = db_row(&r->d, s, "cannot sum", e)) == 1)
        if (sum_row(r, s, what, fn, ctx, e) != 0) {
            (void)sqlite3_reset(s);
            return -1;
        }
    return rc;
}

/* ---- audit and the file ---- */

int store_list_accounts(struct store_reader *r, int64_t message_id, void (*fn)(void *ctx, const char *fate, const char *reason, int64_t n), void *ctx, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_LIST_ACCOUNTS, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    while ((rc = db_row(&r->d, s, "cannot read the accounts", e)) == 1) {
        char *fate = column_text(s, 0), *reason = column_text(s, 1);
        fn(ctx, fate, reason, sqlite3_column_int64(s, 2));
        free(fate);
        free(reason);
    }
    return rc;
}

int store_list_audit(struct store_reader *r, int64_t delivery_id,
                     void (*fn)(void *ctx, int64_t us, const char *who, const char *action, const char *reason), void *ctx, struct err *e)
{
    sqlite3_stmt *s = read_stmt(r, ST_LIST_AUDIT, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, delivery_id);
    while ((rc = db_row(&r->d, s, "cannot read the audit", e)) == 1) {
        char *who = column_text(s, 1), *action = column_text(s, 2), *reason = column_text(s, 3);
        fn(ctx, sqlite3_column_int64(s, 0), who, action, reason);
        free(who);
        free(action);
        free(reason);
    }
    return rc;
}

/* meta.audit names the last row and its hash: rows cut off at the end are missed too. */
static int check_tail(struct store_reader *r, int64_t last, const unsigned char hash[32], int64_t *id_out, struct err *e)
{
    unsigned char want[40];
    sqlite3_stmt *s = read_stmt(r, ST_GET_META, e);
    int64_t head = 0;
    int rc;
    if (!s)
        return -1;
    for (unsigned i = 0; i < 8; i++)
        want[i] = (unsigned char)((uint64_t)last >> (56 - 8 * i));
    memcpy(want + 8, hash, 32);
    bind_text(s, 1, "audit");
    rc = db_row(&r->d, s, "cannot read the audit", e);
    if (rc == 1 && sqlite3_column_bytes(s, 0) == 40) {
        const unsigned char *p = sqlite3_column_blob(s, 0);
        for (unsigned i = 0; i < 8; i++)
            head = head << 8 | p[i];
        rc = memcmp(p, want, 40) != 0;
    } else if (rc >= 0)
        rc = rc == 1 || last != 0;
    (void)sqlite3_reset(s);
    if (rc == 1)
        *id_out = head > last ? last + 1 : last;
    return rc;
}

int store_check_audit(struct store_reader *r, int64_t *id_out, struct err *e)
{
    unsigned char hash[32] = {0}, want[32];
    int64_t last = 0;
    bool is_own = !r->is_held;
    sqlite3_stmt *s;
    int rc;
    *id_out = 0;
    if (is_own && store_reader_begin(r, e) != 0)
        return -1;
    s = read_stmt(r, ST_ALL_AUDIT, e);
    rc = s ? 1 : -1;
    while (s && (rc = db_row(&r->d, s, "cannot read the audit", e)) == 1) {
        int64_t id = sqlite3_column_int64(s, 0);
        char *who = column_text(s, 2), *action = column_text(s, 3), *reason = column_text(s, 6);
        audit_link(hash, id, sqlite3_column_int64(s, 1), who, action, sqlite3_column_int64(s, 4), sqlite3_column_int64(s, 5), reason, want);
        free(who);
        free(action);
        free(reason);
        if (id != last + 1 || sqlite3_column_bytes(s, 7) != 32 || memcmp(sqlite3_column_blob(s, 7), want, 32) != 0) {
            *id_out = id;
            (void)sqlite3_reset(s);
            break;
        }
        memcpy(hash, want, 32);
        last = id;
    }
    if (rc == 0)
        rc = check_tail(r, last, hash, id_out, e);
    if (is_own)
        store_reader_end(r);
    return rc;
}

int store_check_file(struct store_reader *r, char *text, size_t n, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = -1;
    text[0] = '\0';
    r->deadline_us = 0;                 /* as long as it takes */
    if (sqlite3_prepare_v2(r->d.db, "PRAGMA integrity_check(1)", -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW) {
        int code = sqlite3_errcode(r->d.db) & 0xff;
        (void)db_fail(&r->d, e, "cannot check the store");
        if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
            (void)snprintf(text, n, "%s", e->text);
            rc = 1;
        }
    } else {
        const char *said = (const char *)sqlite3_column_text(s, 0);
        (void)snprintf(text, n, "%s", said ? said : "");
        rc = strcmp(text, "ok") != 0;
    }
    (void)sqlite3_finalize(s);
    return rc;
}
