/*
 * NAME
 *   sandbox_db - storage of the sandbox
 *
 *   record(kind, id) is unique over living and deleted records, as MongoDB's _id is. `updated` and `db_updated` have an index with
 *   the id behind them each: the two cursors that a client pages with cost what they return. document and duplicate_key are
 *   rebuilt when a person is written.
 *
 * DIAGNOSTICS
 *   "labrelay sandbox: database: ..." on stderr and exit 1 for any SQLite error after the file is open.
 */
#include "sandbox_db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_mask.h"
#include "xmem.h"

enum statement {
    ST_BEGIN, ST_COMMIT, ST_INSERT, ST_UPDATE, ST_GET, ST_HEAD, ST_DOCUMENTS_CLEAR, ST_DOCUMENT_ADD, ST_KEYS_CLEAR, ST_KEY_ADD, ST_VISUAL_MAX, ST_VISUAL_HAS,
    ST_DUPLICATES, ST_FILE_PUT, ST_FILE_GET, ST_COUNT, ST_BY_ID, ST_BY_KEY, ST_BY_DOCUMENT, ST_BY_PARENT, ST_BY_PARENT_KEY, ST_BY_UPDATED,
    ST_BY_DB_UPDATED, ST_BY_DOB, ST_BEHIND_ID, ST_UPDATED_ONLY, ST_ALL,
    ST_N
};

static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;";
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS record(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, id TEXT NOT NULL, outbreak TEXT, type TEXT, parent TEXT, key TEXT,"
    " dob INTEGER, updated INTEGER NOT NULL, db_updated INTEGER NOT NULL, deleted INTEGER NOT NULL, body TEXT NOT NULL);"
    "CREATE UNIQUE INDEX IF NOT EXISTS record_id ON record(kind, id);"
    "CREATE INDEX IF NOT EXISTS record_parent ON record(parent, key) WHERE parent IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS record_key ON record(kind, outbreak, key) WHERE key IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS record_updated ON record(kind, outbreak, updated, id);"
    "CREATE INDEX IF NOT EXISTS record_db_updated ON record(kind, outbreak, db_updated, id);"
    "CREATE INDEX IF NOT EXISTS record_dob ON record(outbreak, dob) WHERE dob IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS document(person TEXT NOT NULL, outbreak TEXT, type TEXT, number TEXT);"
    "CREATE INDEX IF NOT EXISTS document_number ON document(outbreak, number);"
    "CREATE INDEX IF NOT EXISTS document_person ON document(person);"
    "CREATE TABLE IF NOT EXISTS duplicate_key(person TEXT NOT NULL, outbreak TEXT, key TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS duplicate_key_key ON duplicate_key(outbreak, key);"
    "CREATE INDEX IF NOT EXISTS duplicate_key_person ON duplicate_key(person);"
    "CREATE TABLE IF NOT EXISTS file(id TEXT PRIMARY KEY, data BLOB);";

#define COLUMNS "SELECT body, type, deleted, parent, seq FROM record "

static const char *const statements[ST_N] = {
    [ST_BEGIN] = "BEGIN",
    [ST_COMMIT] = "COMMIT",
    [ST_INSERT] = "INSERT INTO record(kind, id, outbreak, type, parent, key, dob, updated, db_updated, deleted, body) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [ST_UPDATE] = "UPDATE record SET outbreak=?3, type=?4, parent=?5, key=?6, dob=?7, updated=?8, db_updated=?9, deleted=?10, body=?11 WHERE kind=?1 AND id=?2",
    [ST_GET] = "SELECT body FROM record WHERE kind=?1 AND id=?2",
    [ST_HEAD] = "SELECT type, outbreak, deleted FROM record WHERE kind=1 AND id=?1",
    [ST_DOCUMENTS_CLEAR] = "DELETE FROM document WHERE person=?1",
    [ST_DOCUMENT_ADD] = "INSERT INTO document(person, outbreak, type, number) VALUES(?1,?2,?3,?4)",
    [ST_KEYS_CLEAR] = "DELETE FROM duplicate_key WHERE person=?1",
    [ST_KEY_ADD] = "INSERT INTO duplicate_key(person, outbreak, key) VALUES(?1,?2,?3)",
    [ST_VISUAL_MAX] = "SELECT key FROM record WHERE kind=1 AND outbreak=?1 AND key>=?2 AND key<?3 ORDER BY key DESC",
    [ST_VISUAL_HAS] = "SELECT 1 FROM record WHERE kind=1 AND outbreak=?1 AND key=?2 LIMIT 1",
    [ST_DUPLICATES] = "SELECT DISTINCT person FROM duplicate_key WHERE outbreak=?1 AND key=?2",
    [ST_FILE_PUT] = "INSERT OR REPLACE INTO file(id, data) VALUES(?1,?2)",
    [ST_FILE_GET] = "SELECT data FROM file WHERE id=?1",
    [ST_COUNT] = "SELECT count(*) FROM record WHERE kind=?1 AND (?2 IS NULL OR outbreak=?2) AND (?3 IS NULL OR type=?3) AND deleted=0",
    [ST_BY_ID] = COLUMNS "WHERE kind=?1 AND id=?3 AND (?2 IS NULL OR outbreak=?2)",
    [ST_BY_KEY] = COLUMNS "WHERE kind=?1 AND outbreak=?2 AND key=?3 ORDER BY seq",
    [ST_BY_DOCUMENT] = COLUMNS "WHERE kind=?1 AND id IN (SELECT person FROM document WHERE outbreak=?2 AND number=?3) ORDER BY seq",
    [ST_BY_PARENT] = COLUMNS "INDEXED BY record_parent WHERE kind=?1 AND parent=?3 ORDER BY seq",
    [ST_BY_PARENT_KEY] = COLUMNS "INDEXED BY record_parent WHERE kind=?1 AND parent=?2 AND key=?3 ORDER BY seq",
    [ST_BY_UPDATED] = COLUMNS "WHERE kind=?1 AND outbreak=?2 AND updated>=?3 AND updated<=?4 ORDER BY updated, id",
    [ST_BY_DB_UPDATED] = COLUMNS "WHERE kind=?1 AND outbreak=?2 AND db_updated>=?3 AND db_updated<=?4 ORDER BY db_updated, id",
    [ST_BY_DOB] = COLUMNS "INDEXED BY record_dob WHERE kind=?1 AND outbreak=?2 AND dob IS NOT NULL AND dob>=?3 AND dob<=?4 ORDER BY seq",
    [ST_BEHIND_ID] = COLUMNS "INDEXED BY record_id WHERE kind=?1 AND outbreak=?2 AND id>?3 ORDER BY id",
    [ST_UPDATED_ONLY] = COLUMNS "WHERE kind=?1 AND outbreak=?2 AND updated>=?3 AND updated<=?4 AND db_updated<?3 ORDER BY db_updated, id",
    [ST_ALL] = COLUMNS "WHERE kind=?1 AND (?2 IS NULL OR outbreak=?2) ORDER BY seq",
};

struct sandbox_db {
    sqlite3 *sql;
    sqlite3_stmt *st[ST_N];
    bool is_dirty;
    struct buf text;                    /* reused for bodies */
};

static void fatal(struct sandbox_db *db)
{
    fprintf(stderr, "labrelay sandbox: database: %s\n", sqlite3_errmsg(db->sql));
    exit(1);
}

int sandbox_db_open(struct sandbox_db **out, const char *path, struct err *e)
{
    struct sandbox_db *db = xcalloc(1, sizeof *db);
    *out = NULL;
    buf_init(&db->text, 256u << 20);
    if (sqlite3_open_v2(path ? path : ":memory:", &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        goto fail;
    if (sqlite3_exec(db->sql, pragmas, NULL, NULL, NULL) != SQLITE_OK || sqlite3_exec(db->sql, schema, NULL, NULL, NULL) != SQLITE_OK)
        goto fail;
    for (size_t i = 0; i < ST_N; i++)
        if (sqlite3_prepare_v3(db->sql, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i], NULL) != SQLITE_OK)
            goto fail;
    *out = db;
    return 0;
fail:
    (void)err_set(e, ERR_CONFIG, path ? path : ":memory:", "cannot open the sandbox database: %s", sqlite3_errmsg(db->sql));
    sandbox_db_close(db);
    return -1;
}

void sandbox_db_close(struct sandbox_db *db)
{
    if (!db)
        return;
    if (db->is_dirty)
        sandbox_db_commit(db);
    for (size_t i = 0; i < ST_N; i++)
        sqlite3_finalize(db->st[i]);
    sqlite3_close(db->sql);
    buf_clear(&db->text);
    free(db);
}

bool sandbox_db_is_dirty(const struct sandbox_db *db) { return db->is_dirty; }

/* Runs a statement that returns no rows. */
static int run(struct sandbox_db *db, enum statement which)
{
    int rc = sqlite3_step(db->st[which]);
    sqlite3_reset(db->st[which]);
    sqlite3_clear_bindings(db->st[which]);
    return rc;
}

static void must_run(struct sandbox_db *db, enum statement which)
{
    if (run(db, which) != SQLITE_DONE)
        fatal(db);
}

void sandbox_db_commit(struct sandbox_db *db)
{
    if (!db->is_dirty)
        return;
    must_run(db, ST_COMMIT);
    db->is_dirty = false;
}

static void touch(struct sandbox_db *db)
{
    if (db->is_dirty)
        return;
    must_run(db, ST_BEGIN);
    db->is_dirty = true;
}

static void bind_text(sqlite3_stmt *st, int i, const char *s)
{
    if (s)
        sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

static bool date_at(const json_t *body, const char *key, int64_t *ms)
{
    const char *s = sandbox_json_get(body, key);
    return s && sandbox_date_parse(span_of(s), ms);
}

static const char *key_of(enum record_kind kind, const json_t *body)
{
    switch (kind) {
    case RECORD_PERSON: return sandbox_json_get(body, "visualId");
    case RECORD_LAB: return sandbox_json_get(body, "sampleIdentifier");
    case RECORD_REFDATA: return sandbox_json_get(body, "code");
    case RECORD_USER: return sandbox_json_get(body, "email");
    case RECORD_OUTBREAK: return sandbox_json_get(body, "name");
    case RECORD_RELATION: return sandbox_json_get(json_array_get(json_object_get(body, "persons"), 1), "id");
    case RECORD_LOCATION: return sandbox_json_get(body, "name");
    case RECORD_ATTACHMENT: return NULL;
    }
    return NULL;
}

static const char *parent_of(enum record_kind kind, const json_t *body)
{
    switch (kind) {
    case RECORD_LAB: return sandbox_json_get(body, "personId");
    case RECORD_REFDATA: return sandbox_json_get(body, "categoryId");
    case RECORD_RELATION: return sandbox_json_get(json_array_get(json_object_get(body, "persons"), 0), "id");
    case RECORD_LOCATION: return sandbox_json_get(body, "parentLocationId");
    case RECORD_PERSON: case RECORD_OUTBREAK: case RECORD_USER: case RECORD_ATTACHMENT: return NULL;
    }
    return NULL;
}

static int write_record(struct sandbox_db *db, enum record_kind kind, const json_t *body, enum statement which)
{
    sqlite3_stmt *st = db->st[which];
    int64_t dob = 0, updated = 0, db_updated = 0;
    touch(db);
    (void)date_at(body, "updatedAt", &updated);
    (void)date_at(body, "dbUpdatedAt", &db_updated);
    buf_reset(&db->text);
    sandbox_json_dump(&db->text, body);
    sqlite3_bind_int(st, 1, (int)kind);
    bind_text(st, 2, sandbox_json_get(body, "id"));
    bind_text(st, 3, sandbox_json_get(body, "outbreakId"));
    bind_text(st, 4, kind == RECORD_PERSON ? sandbox_json_get(body, "type") : kind == RECORD_LAB ? sandbox_json_get(body, "personType") : NULL);
    bind_text(st, 5, parent_of(kind, body));
    bind_text(st, 6, key_of(kind, body));
    if (kind == RECORD_PERSON && date_at(body, "dob", &dob))
        sqlite3_bind_int64(st, 7, dob);
    sqlite3_bind_int64(st, 8, updated);
    sqlite3_bind_int64(st, 9, db_updated);
    sqlite3_bind_int(st, 10, json_is_true(json_object_get(body, "deleted")));
    sqlite3_bind_text(st, 11, db->text.p, (int)db->text.n, SQLITE_STATIC);
    return run(db, which);
}

static void index_person(struct sandbox_db *db, const json_t *body, bool is_new)
{
    const char *id = sandbox_json_get(body, "id"), *outbreak = sandbox_json_get(body, "outbreakId"), *kind;
    size_t i;
    json_t *v, *keys;
    if (!is_new) {
        bind_text(db->st[ST_DOCUMENTS_CLEAR], 1, id);
        must_run(db, ST_DOCUMENTS_CLEAR);
        bind_text(db->st[ST_KEYS_CLEAR], 1, id);
        must_run(db, ST_KEYS_CLEAR);
    }
    json_array_foreach(json_object_get(body, "documents"), i, v) {
        sqlite3_stmt *st = db->st[ST_DOCUMENT_ADD];
        bind_text(st, 1, id);
        bind_text(st, 2, outbreak);
        bind_text(st, 3, sandbox_json_get(v, "type"));
        bind_text(st, 4, sandbox_json_get(v, "number"));
        must_run(db, ST_DOCUMENT_ADD);
    }
    json_object_foreach(json_object_get(body, "duplicateKeys"), kind, keys)
        json_array_foreach(keys, i, v) {
            sqlite3_stmt *st = db->st[ST_KEY_ADD];
            bind_text(st, 1, id);
            bind_text(st, 2, outbreak);
            bind_text(st, 3, json_string_value(v));
            must_run(db, ST_KEY_ADD);
        }
}

int sandbox_db_insert(struct sandbox_db *db, enum record_kind kind, const json_t *body)
{
    int rc = write_record(db, kind, body, ST_INSERT);
    if (rc == SQLITE_CONSTRAINT)
        return -1;
    if (rc != SQLITE_DONE)
        fatal(db);
    if (kind == RECORD_PERSON)
        index_person(db, body, true);
    return 0;
}

void sandbox_db_update(struct sandbox_db *db, enum record_kind kind, const json_t *body)
{
    if (write_record(db, kind, body, ST_UPDATE) != SQLITE_DONE)
        fatal(db);
    if (kind == RECORD_PERSON)
        index_person(db, body, false);
}

static json_t *body_of(sqlite3_stmt *st)
{
    return json_loadb((const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0), JSON_ALLOW_NUL, NULL);
}

json_t *sandbox_db_get(struct sandbox_db *db, enum record_kind kind, const char *id)
{
    sqlite3_stmt *st = db->st[ST_GET];
    json_t *body = NULL;
    sqlite3_bind_int(st, 1, (int)kind);
    bind_text(st, 2, id);
    if (sqlite3_step(st) == SQLITE_ROW)
        body = body_of(st);
    sqlite3_reset(st);
    return body;
}

bool sandbox_db_person_head(struct sandbox_db *db, const char *id, struct sandbox_person_head *out)
{
    sqlite3_stmt *st = db->st[ST_HEAD];
    bool found = false;
    bind_text(st, 1, id);
    if (sqlite3_step(st) == SQLITE_ROW) {
        const char *outbreak = (const char *)sqlite3_column_text(st, 1);
        snprintf(out->type, sizeof out->type, "%s", (const char *)sqlite3_column_text(st, 0));
        snprintf(out->outbreak, sizeof out->outbreak, "%s", outbreak ? outbreak : "");
        out->is_deleted = sqlite3_column_int(st, 2) != 0;
        found = true;
    }
    sqlite3_reset(st);
    return found;
}

/* ---- find ---- */

struct walk {
    struct sandbox_db *db;
    const struct sandbox_query *q;
    json_t *seen;                       /* seq -> true when several look-ups may return one record */
    json_t *out;                        /* NULL: count only */
    int64_t count;
    int64_t stop_at;                    /* enough matches, 0: all */
};

/* Steps a bound statement to its end; false when enough was found. */
static bool walk_rows(struct walk *w, enum statement which)
{
    sqlite3_stmt *st = w->db->st[which];
    const struct sandbox_query *q = w->q;
    bool go_on = true;
    int rc;
    while (go_on && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(st, 1), *parent = (const char *)sqlite3_column_text(st, 3);
        if ((sqlite3_column_int(st, 2) && !q->filter->with_deleted) || (q->type && (!type || strcmp(type, q->type) != 0)) ||
            (q->parent && (!parent || strcmp(parent, q->parent) != 0)))
            continue;
        if (w->seen) {
            char seq[24];
            snprintf(seq, sizeof seq, "%lld", (long long)sqlite3_column_int64(st, 4));
            if (json_object_get(w->seen, seq))
                continue;
            json_object_set_new(w->seen, seq, json_true());
        }
        if (!w->out && !q->filter->where) {
            w->count++;
            continue;
        }
        json_t *body = body_of(st);
        if (sandbox_cond_match(q->filter->where, body)) {
            w->count++;
            if (w->out)
                json_array_append(w->out, body);
            go_on = w->stop_at == 0 || w->count < w->stop_at;
        }
        json_decref(body);
    }
    if (go_on && rc != SQLITE_DONE)
        fatal(w->db);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return go_on;
}

static bool walk_strings(struct walk *w, enum statement which, const json_t *values)
{
    size_t i;
    json_t *v;
    json_array_foreach(values, i, v) {
        sqlite3_stmt *st = w->db->st[which];
        sqlite3_bind_int(st, 1, (int)w->q->kind);
        bind_text(st, 2, which == ST_BY_PARENT_KEY ? w->q->parent : w->q->outbreak);
        bind_text(st, 3, json_string_value(v));
        if (!walk_rows(w, which))
            return false;
    }
    return true;
}

/* Look-ups by exact text, several fields at once when an `or` names them. false: the filter does not allow it. */
static bool walk_fields(struct walk *w)
{
    const struct sandbox_query *q = w->q;
    struct sandbox_fields f = {0};
    enum statement by[4];
    if (q->parent && q->key_field) {
        f.name[f.n] = q->key_field, by[f.n++] = ST_BY_PARENT_KEY;
    } else if (!q->parent) {
        f.name[f.n] = "id", by[f.n++] = ST_BY_ID;
        if (q->outbreak && q->key_field)
            f.name[f.n] = q->key_field, by[f.n++] = ST_BY_KEY;
        if (q->outbreak && q->has_documents)
            f.name[f.n] = "documents.number", by[f.n++] = ST_BY_DOCUMENT;
        if (q->kind == RECORD_LAB)
            f.name[f.n] = "personId", by[f.n++] = ST_BY_PARENT;
    }
    for (size_t i = 0; i < f.n; i++)
        f.values[i] = json_array();
    bool known = sandbox_cond_strings(q->filter->where, &f);
    w->seen = json_object();
    for (size_t i = 0; known && i < f.n; i++)
        if (!walk_strings(w, by[i], f.values[i]))
            break;
    json_decref(w->seen);
    w->seen = NULL;
    for (size_t i = 0; i < f.n; i++)
        json_decref(f.values[i]);
    return known;
}

static void walk_range(struct walk *w, enum statement which, int64_t low, int64_t high)
{
    sqlite3_stmt *st = w->db->st[which];
    sqlite3_bind_int(st, 1, (int)w->q->kind);
    bind_text(st, 2, w->q->outbreak);
    sqlite3_bind_int64(st, 3, low);
    sqlite3_bind_int64(st, 4, high);
    (void)walk_rows(w, which);
}

/* The cheapest index that the filter allows; without a hint everything of the outbreak. */
static void walk_best(struct walk *w)
{
    const struct sandbox_query *q = w->q;
    const struct sandbox_filter *f = q->filter;
    int64_t low = INT64_MIN, high = INT64_MAX;
    if (walk_fields(w))
        return;
    if (q->parent) {
        sqlite3_stmt *st = w->db->st[ST_BY_PARENT];
        sqlite3_bind_int(st, 1, (int)q->kind);
        bind_text(st, 3, q->parent);
        (void)walk_rows(w, ST_BY_PARENT);
    } else if (q->outbreak && q->has_documents && sandbox_cond_range(f->where, "dob", &low, &high)) {
        walk_range(w, ST_BY_DOB, low, high);
    } else if (q->outbreak && sandbox_filter_is_cursor(f, "id")) {
        const char *behind = sandbox_cond_above(f->where, "id");
        sqlite3_stmt *st = w->db->st[ST_BEHIND_ID];
        w->stop_at = f->limit ? f->skip + f->limit : 0;
        sqlite3_bind_int(st, 1, (int)q->kind);
        bind_text(st, 2, q->outbreak);
        bind_text(st, 3, behind ? behind : "");
        (void)walk_rows(w, ST_BEHIND_ID);
    } else if (q->outbreak && !sandbox_cond_range(f->where, "dbUpdatedAt", &low, &high) && !sandbox_cond_range(f->where, "updatedAt", &low, &high) &&
               sandbox_cond_either(f->where, "dbUpdatedAt", "updatedAt", &low)) {
        walk_range(w, ST_UPDATED_ONLY, low, INT64_MAX);          /* what raw writes touched: it comes first in the order of dbUpdatedAt */
        if (sandbox_filter_is_cursor(f, "dbUpdatedAt") && f->limit)
            w->stop_at = f->skip + f->limit;
        if (!w->stop_at || w->count < w->stop_at)
            walk_range(w, ST_BY_DB_UPDATED, low, INT64_MAX);
    } else if (q->outbreak && sandbox_filter_is_cursor(f, "updatedAt")) {
        low = INT64_MIN;
        high = INT64_MAX;
        w->stop_at = f->limit ? f->skip + f->limit : 0;
        (void)sandbox_cond_range(f->where, "updatedAt", &low, &high);
        walk_range(w, ST_BY_UPDATED, low, high);
    } else if (q->outbreak && sandbox_filter_is_cursor(f, "dbUpdatedAt")) {
        low = INT64_MIN;
        high = INT64_MAX;
        w->stop_at = f->limit ? f->skip + f->limit : 0;
        (void)sandbox_cond_range(f->where, "dbUpdatedAt", &low, &high);
        walk_range(w, ST_BY_DB_UPDATED, low, high);
    } else if (q->outbreak && sandbox_cond_range(f->where, "updatedAt", &low, &high)) {
        walk_range(w, ST_BY_UPDATED, low, high);
    } else if (q->outbreak && sandbox_cond_range(f->where, "dbUpdatedAt", &low, &high)) {
        walk_range(w, ST_BY_DB_UPDATED, low, high);
    } else {
        sqlite3_stmt *st = w->db->st[ST_ALL];
        sqlite3_bind_int(st, 1, (int)q->kind);
        bind_text(st, 2, q->outbreak);
        (void)walk_rows(w, ST_ALL);
    }
}

json_t *sandbox_db_find(struct sandbox_db *db, const struct sandbox_query *q)
{
    struct walk w = {.db = db, .q = q, .out = json_array()};
    walk_best(&w);
    return w.out;
}

int64_t sandbox_db_count(struct sandbox_db *db, const struct sandbox_query *q)
{
    struct walk w = {.db = db, .q = q};
    if (!q->filter->where && !q->parent && !q->filter->with_deleted) {
        sqlite3_stmt *st = db->st[ST_COUNT];
        sqlite3_bind_int(st, 1, (int)q->kind);
        bind_text(st, 2, q->outbreak);
        bind_text(st, 3, q->type);
        if (sqlite3_step(st) != SQLITE_ROW)
            fatal(db);
        int64_t n = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return n;
    }
    walk_best(&w);
    return w.count;
}

/* ---- visualIds, duplicates, files ---- */

int64_t sandbox_db_max_visual(struct sandbox_db *db, const char *outbreak, const char *value, const struct sandbox_mask_fit *fit)
{
    sqlite3_stmt *st = db->st[ST_VISUAL_MAX];
    char *low = xstrndup(value, fit->at), *high = xmalloc(fit->at + 2);
    int64_t max = -1;
    memcpy(high, value, fit->at);
    high[fit->at] = ':';                                /* the byte after '9' */
    high[fit->at + 1] = '\0';
    bind_text(st, 1, outbreak);
    bind_text(st, 2, low);
    bind_text(st, 3, high);
    while (sqlite3_step(st) == SQLITE_ROW) {
        int64_t n = sandbox_mask_number(value, fit, (const char *)sqlite3_column_text(st, 0));
        max = n > max ? n : max;
        if (n >= 0 && value[fit->at + fit->n] == '\0')
            break;                                      /* descending, and nothing follows the digits: this is the highest */
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    free(low);
    free(high);
    return max;
}

bool sandbox_db_has_visual(struct sandbox_db *db, const char *outbreak, const char *value)
{
    sqlite3_stmt *st = db->st[ST_VISUAL_HAS];
    bind_text(st, 1, outbreak);
    bind_text(st, 2, value);
    bool found = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_reset(st);
    return found;
}

json_t *sandbox_db_duplicates(struct sandbox_db *db, const char *outbreak, const json_t *keys)
{
    sqlite3_stmt *st = db->st[ST_DUPLICATES];
    json_t *seen = json_object(), *out = json_array(), *v, *unused;
    const char *id;
    size_t i;
    json_array_foreach(keys, i, v) {
        bind_text(st, 1, outbreak);
        bind_text(st, 2, json_string_value(v));
        while (sqlite3_step(st) == SQLITE_ROW)
            json_object_set_new(seen, (const char *)sqlite3_column_text(st, 0), json_true());
        sqlite3_reset(st);
    }
    json_object_foreach(seen, id, unused)
        json_array_append_new(out, json_string(id));
    json_decref(seen);
    return out;
}

json_t *sandbox_db_relations(struct sandbox_db *db, const char *outbreak, const char *person_id)
{
    struct sandbox_filter all = {.with_deleted = true};
    struct sandbox_query q = {.kind = RECORD_RELATION, .outbreak = outbreak, .filter = &all};
    struct walk w = {.db = db, .q = &q, .out = json_array(), .seen = json_object()};
    static const enum statement sides[] = {ST_BY_PARENT, ST_BY_KEY};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_bind_int(db->st[sides[i]], 1, RECORD_RELATION);
        if (sides[i] == ST_BY_KEY)
            bind_text(db->st[sides[i]], 2, outbreak);
        bind_text(db->st[sides[i]], 3, person_id);
        (void)walk_rows(&w, sides[i]);
    }
    json_decref(w.seen);
    return w.out;
}

void sandbox_db_put_file(struct sandbox_db *db, const char *id, const void *p, size_t n)
{
    sqlite3_stmt *st = db->st[ST_FILE_PUT];
    touch(db);
    bind_text(st, 1, id);
    sqlite3_bind_blob64(st, 2, p, n, SQLITE_STATIC);
    must_run(db, ST_FILE_PUT);
}

char *sandbox_db_get_file(struct sandbox_db *db, const char *id, size_t *n)
{
    sqlite3_stmt *st = db->st[ST_FILE_GET];
    char *out = NULL;
    bind_text(st, 1, id);
    if (sqlite3_step(st) == SQLITE_ROW) {
        *n = (size_t)sqlite3_column_bytes(st, 0);
        out = xmalloc(*n + 1);
        if (*n)
            memcpy(out, sqlite3_column_blob(st, 0), *n);
    }
    sqlite3_reset(st);
    return out;
}
