/*
 * NAME store - open, batch, commit and recovery of the durable store. Puts: store_put.c; erasing: store_expire.c; reading: store_read.c.
 *
 * FILE FORMAT. One SQLite 3 file, application_id "LaBR", user_version = STORE_VERSION, pages of 8 kB, auto_vacuum incremental,
 * secure_delete on (what is erased is overwritten with zeros), write-ahead log with synchronous=FULL: a commit is one fsync of the log.
 * Beside it: -wal (the log), -shm (its index, no truth in it) and .lock (held by flock while a writer lives; the pid inside is for people).
 * All of them 0600. Foreign keys are off; the engine is the only writer and the invariants below are its and this code's.
 *
 *   word(id, text)            interned words: channel, route, writer, reason, fate, person type. Never deleted. 0 is "".
 *   message(id, …)            one row per message kept; dup_key = first 8 bytes of SHA-256 of (channel, MSH-3, MSH-4, MSH-10).
 *   raw(message, bytes)       its bytes as they arrived, apart so that lists never read them; erased earlier than the rest (keep-raw).
 *   hash(dup_key, …)          what find_duplicate needs of a message that was erased inside the duplicate window.
 *   delivery(id, message, …)  narrow, rewritten with every move. key8 = first 8 bytes of the result key: the index holds numbers.
 *                             flags (DELIVERY_…) since schema 2, with the index delivery_held over what is held, by writer and reason.
 *   delivery_text(id, …)      who, body, detail: written once, rewritten only when they differ. No row: all three empty.
 *   account(message, fate, reason, n)     observations without a delivery (part-of, dropped by place).
 *   fragment(message, first, …) parts of messages that wait for the rest; see store_fragment.c.
 *   counter(channel, what, n) frames: received, stored, refused, quarantined, duplicate. One upsert per commit and word.
 *   sealed(sum, a, b, n)      what erased messages added to the sums: 1 deliveries, 2 accounts, 3 messages (b: 0 count, 1 observations).
 *   target(key, …)            what stands at the writer under a result key; a tombstone when withdrawn: never deleted. Others: store_expire.c.
 *   audit(id, …, hash)        hash = SHA-256(previous hash || fields): a changed or missing row breaks the chain; meta.audit names the last one.
 *   alias(writer, old, now)   identifiers that a sender merged into others, for proposals; since schema 2.
 *   memory, config, meta      small values of writers; configuration hashes; next ids, so that none is ever used twice.
 *   channel, pause, alarm     what was heard when, what a person paused, what is wrong: store_watch.c. Few rows.
 *   trail(last, first, bits)  which identifiers may stand in these messages: store_trail.c. Added without a new version: no row is needed.
 *   mirror_person, mirror_lab, mirror_place   what writers know of the people and results at their end: store_mirror.c. Since schema 2.
 *   Index delivery_open holds the open states only (result key), delivery_due those a courier may take (writer, time): both stay small
 *   however long the history is. CLAIMED stays in delivery_due so that a claim does not touch it; the look-up passes over the few.
 *   Random keys make delivery_open the dearest part of a put once hundreds of thousands wait; everything else is appended.
 *   The log is copied into the file at 16 MB: half of that makes every page of that index be written twice as often, four times
 *   of it makes the one commit that copies wait 60 ms and more (tests/bench/bench_store.c).
 *
 * NUMBERS of enum delivery_state, delivery_step and message_state are on disk: 0 ready, 1 claimed, 2 waiting, 3 held, 4-8 final.
 *
 * INVARIANTS
 *   1. A batch is whole or absent: message, raw, deliveries, accounts, counters and audit rows of one commit appear together.
 *   2. An id given out by a committed batch is never given again, erased or not.
 *   3. A delivery moves only as delivery_can_move() allows; it leaves the file only by store_expire.c, finished.
 *   4. counter, sealed + rows: both sums of DESIGN rule 2 can be recounted at any commit.
 *
 * CRASH STATES (point -> after the next open)
 *   in a batch, before_commit   nothing of the batch; the sender got no reply and sends again.
 *   after_commit                all of the batch; the reply may be lost: the duplicate look-up answers the repeat.
 *   a delivery CLAIMED          its courier may have written: store_recover() makes it WAITING to be read back.
 *   during a checkpoint         the log still holds every page; the next one copies them again.
 *   while creating the file     an empty or table-less file with our id: created again.
 *
 * DIAGNOSTICS ERR_TEMP full disk or busy: nothing written, go on refusing. ERR_BUG disk error: the store is dead, the fsync is never
 * tried again (a second one could lie), stop the process. ERR_CONFIG permissions, foreign or damaged file, second engine (pid named).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "crash.h"
#include "fsutil.h"
#include "store_db.h"
#include "text.h"
#include "xmem.h"

#define DAY_US (INT64_C(86400) * 1000000)

static const char schema_1[] =
    "CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, state INTEGER NOT NULL, received_us INTEGER NOT NULL,"
    " dup_key INTEGER NOT NULL, sha256 BLOB NOT NULL, control_id TEXT NOT NULL, kind TEXT NOT NULL, peer TEXT NOT NULL, reason TEXT NOT NULL,"
    " raw_n INTEGER NOT NULL, observations INTEGER NOT NULL, warnings INTEGER NOT NULL, config INTEGER NOT NULL);"
    "CREATE INDEX message_dup ON message(dup_key);"
    "CREATE TABLE raw(message INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE hash(dup_key INTEGER NOT NULL, message INTEGER NOT NULL, sha256 BLOB NOT NULL, received_us INTEGER NOT NULL, state INTEGER NOT NULL);"
    "CREATE INDEX hash_dup ON hash(dup_key);"
    "CREATE INDEX hash_age ON hash(received_us);"
    "CREATE TABLE delivery(id INTEGER PRIMARY KEY, message INTEGER NOT NULL, state INTEGER NOT NULL, step INTEGER NOT NULL, writer INTEGER NOT NULL,"
    " next_us INTEGER NOT NULL, key8 INTEGER, key, record INTEGER NOT NULL, observation INTEGER NOT NULL, parts INTEGER NOT NULL, rank INTEGER NOT NULL,"
    " issued_us INTEGER NOT NULL, route INTEGER NOT NULL, config INTEGER NOT NULL, reason INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL, path TEXT NOT NULL, lane TEXT NOT NULL, person_type INTEGER NOT NULL, person_id TEXT NOT NULL, remote_id TEXT NOT NULL);"
    "CREATE INDEX delivery_message ON delivery(message);"
    "CREATE INDEX delivery_open ON delivery(key8) WHERE state<4;"
    "CREATE INDEX delivery_due ON delivery(writer,next_us) WHERE state<3;"
    "CREATE TABLE delivery_text(id INTEGER PRIMARY KEY, who TEXT NOT NULL, body TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE TABLE account(message INTEGER NOT NULL, fate INTEGER NOT NULL, reason INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(message,fate,reason)) WITHOUT ROWID;"
    "CREATE TABLE fragment(message INTEGER PRIMARY KEY, first INTEGER NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, us INTEGER NOT NULL);"
    "CREATE INDEX fragment_key ON fragment(key);"
    "CREATE INDEX fragment_first ON fragment(first);"
    "CREATE TABLE counter(channel INTEGER NOT NULL, what INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(channel,what)) WITHOUT ROWID;"
    "CREATE TABLE sealed(sum INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY(sum,a,b)) WITHOUT ROWID;"
    "CREATE TABLE target(id INTEGER PRIMARY KEY, key8 INTEGER NOT NULL, key NOT NULL, remote_id TEXT NOT NULL, person_id TEXT NOT NULL,"
    " person_type INTEGER NOT NULL, body TEXT NOT NULL, issued_us INTEGER NOT NULL, written_us INTEGER NOT NULL, delivery INTEGER NOT NULL,"
    " rank INTEGER NOT NULL, tombstone INTEGER NOT NULL);"
    "CREATE INDEX target_key ON target(key8);"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, us INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, delivery INTEGER NOT NULL,"
    " message INTEGER NOT NULL, reason TEXT NOT NULL, hash BLOB NOT NULL);"
    "CREATE INDEX audit_delivery ON audit(delivery) WHERE delivery<>0;"
    "CREATE TABLE memory(owner TEXT NOT NULL, key TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY(owner,key)) WITHOUT ROWID;"
    "CREATE TABLE config(id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE);"
    "PRAGMA user_version=1;";

/* Nothing is rewritten: a column with a default, indexes over few rows, new tables. */
static const char schema_2[] =
    "ALTER TABLE delivery ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX delivery_held ON delivery(writer,reason) WHERE state=3;"
    "CREATE TABLE channel(name TEXT PRIMARY KEY, last_us INTEGER NOT NULL, day INTEGER NOT NULL, today INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE pause(kind TEXT NOT NULL, name TEXT NOT NULL, us INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY(kind,name)) WITHOUT ROWID;"
    "CREATE TABLE alarm(kind TEXT NOT NULL, subject TEXT NOT NULL, raised_us INTEGER NOT NULL, cleared_us INTEGER NOT NULL, said_us INTEGER NOT NULL,"
    " n INTEGER NOT NULL, detail TEXT NOT NULL, PRIMARY KEY(kind,subject)) WITHOUT ROWID;"
    "CREATE TABLE mirror_person(writer INTEGER NOT NULL, id TEXT NOT NULL, updated INTEGER NOT NULL, db_updated INTEGER NOT NULL, hash INTEGER NOT NULL,"
    " put_us INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY(writer,id)) WITHOUT ROWID;"
    "CREATE TABLE mirror_lab(writer INTEGER NOT NULL, id TEXT NOT NULL, updated INTEGER NOT NULL, db_updated INTEGER NOT NULL, hash INTEGER NOT NULL,"
    " put_us INTEGER NOT NULL, row TEXT NOT NULL, person TEXT NOT NULL, sample TEXT NOT NULL, k TEXT NOT NULL, PRIMARY KEY(writer,id)) WITHOUT ROWID;"
    "CREATE INDEX mirror_lab_person ON mirror_lab(writer,person);"
    "CREATE INDEX mirror_lab_sample ON mirror_lab(writer,sample) WHERE sample<>'';"
    "CREATE INDEX mirror_lab_k ON mirror_lab(writer,k) WHERE k<>'';"
    "CREATE TABLE mirror_place(writer INTEGER NOT NULL, list INTEGER NOT NULL, is_loaded INTEGER NOT NULL, is_sweeping INTEGER NOT NULL,"
    " swept_us INTEGER NOT NULL, top_ms INTEGER NOT NULL, floor_ms INTEGER NOT NULL, at TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY(writer,list)) WITHOUT ROWID;"
    "CREATE TABLE alias(writer INTEGER NOT NULL, old TEXT NOT NULL, now TEXT NOT NULL, message INTEGER NOT NULL, us INTEGER NOT NULL,"
    " PRIMARY KEY(writer,old)) WITHOUT ROWID;"
    "CREATE TABLE config_run(id INTEGER PRIMARY KEY, us INTEGER NOT NULL, config INTEGER NOT NULL, how TEXT NOT NULL, who TEXT NOT NULL);"
    "CREATE TABLE config_text(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, n INTEGER NOT NULL);"
    "CREATE TABLE config_piece(text INTEGER NOT NULL, place INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(text,place));"
    "CREATE TABLE config_file(config INTEGER NOT NULL, place INTEGER NOT NULL, path TEXT NOT NULL, text INTEGER NOT NULL, PRIMARY KEY(config,place)) WITHOUT ROWID;"
    "PRAGMA user_version=2;";

static const char *const message_state_names[] = {[MESSAGE_STORED] = "stored", [MESSAGE_REFUSED] = "refused", [MESSAGE_QUARANTINED] = "quarantined"};

const char *message_state_name(enum message_state s)
{
    return message_state_names[s];
}

int message_state_parse(const char *name, enum message_state *out)
{
    for (size_t i = 0; i < sizeof message_state_names / sizeof message_state_names[0]; i++)
        if (strcmp(message_state_names[i], name) == 0) {
            *out = (enum message_state)i;
            return 0;
        }
    return -1;
}

/* ---- opening ---- */

static int take_lock(struct store *q, const char *path, struct err *e)
{
    size_t n = strlen(path) + sizeof ".lock";
    char pid[24] = "";
    q->lock_path = xmalloc(n);
    (void)snprintf(q->lock_path, n, "%s.lock", path);
    q->lock_fd = open(q->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (q->lock_fd < 0)
        return err_set(e, ERR_CONFIG, q->lock_path, "cannot open the lock file: %s", strerror(errno));
    if (flock(q->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(q->lock_fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? got : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        return err_set(e, ERR_CONFIG, path, "the store is in use by another labrelay (pid %s): stop it first, or use its control socket", *pid ? pid : "unknown");
    }
    n = (size_t)snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(q->lock_fd, 0) != 0 || pwrite(q->lock_fd, pid, n, 0) != (ssize_t)n)
        return err_set(e, errno == ENOSPC ? ERR_TEMP : ERR_CONFIG, q->lock_path, "cannot write the lock file: %s", strerror(errno));
    return 0;
}

/* SQLite gives -wal and -shm the mode of the file, so the file gets its mode before SQLite sees it. */
static int make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        (void)close(fd);
        return fs_sync_parent(path, e);
    }
    if (errno != EEXIST)
        return err_set(e, errno == ENOSPC || errno == EDQUOT ? ERR_TEMP : ERR_CONFIG, path, "cannot create the store: %s", strerror(errno));
    if (chmod(path, 0600) != 0)
        return err_set(e, ERR_CONFIG, path, "cannot set the mode of the store to 0600: %s", strerror(errno));
    return 0;
}

static int create(struct store_db *d, struct err *e)
{
    int64_t tables;
    if (db_int(d, "SELECT count(*) FROM sqlite_master", &tables, e) != 0)
        return -1;
    if (tables != 0)
        return err_set(e, ERR_CONFIG, d->path, "this is an SQLite file, but not a labrelay store: name another path");
    if (db_exec(d, "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", "cannot create", e) != 0 ||
        db_exec(d, "BEGIN IMMEDIATE; PRAGMA application_id=1281442386", "cannot create", e) != 0 || db_exec(d, schema_1, "cannot create", e) != 0 ||
        db_exec(d, schema_2, "cannot create", e) != 0)
        return -1;
    return db_exec(d, "COMMIT", "cannot create", e);
}

static int upgrade(struct store_db *d, const char *schema, struct err *e)
{
    struct err ignored = ERR_INIT;
    if (db_exec(d, "BEGIN IMMEDIATE", "cannot bring up to date", e) != 0)
        return -1;
    if (db_exec(d, schema, "cannot bring up to date", e) == 0 && db_exec(d, "COMMIT", "cannot bring up to date", e) == 0)
        return 0;
    (void)db_exec(d, "ROLLBACK", "cannot bring up to date", &ignored);
    return -1;
}

/* One step per version. */
static int migrate(struct store_db *d, struct err *e)
{
    int64_t version, id;
    if (db_int(d, "PRAGMA user_version", &version, e) != 0 || db_int(d, "PRAGMA application_id", &id, e) != 0)
        return -1;
    if (version > STORE_VERSION)
        return err_set(e, ERR_BUG, d->path, "the store was written by a newer labrelay (schema %lld, this one knows %d): use that version", (long long)version, STORE_VERSION);
    if (version > 0 && id != STORE_APPLICATION_ID)
        return err_set(e, ERR_CONFIG, d->path, "this is an SQLite file, but not a labrelay store: name another path");
    switch (version) {
    case 0:
        return create(d, e);
    case 1:
        return upgrade(d, schema_2, e);
    case STORE_VERSION:
        return 0;
    default:
        return err_set(e, ERR_CONFIG, d->path, "the store has schema %lld, which nothing ever wrote", (long long)version);
    }
}

static int set_up(struct store *q, struct err *e)
{
    struct store_db *d = &q->d;
    int64_t vacuum;
    if (migrate(d, e) != 0 ||
        db_exec(d, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=0;"
                   "PRAGMA journal_size_limit=33554432", "cannot set up", e) != 0 ||
        db_int(d, "PRAGMA auto_vacuum", &vacuum, e) != 0)
        return -1;
    if (vacuum != 2)
        return err_set(e, ERR_CONFIG, d->path, "the store lacks auto_vacuum: it was not made by labrelay");
    return 0;
}

static int on_log_grown(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct store *)ctx)->log_pages = pages;
    return SQLITE_OK;
}

static int load_meta(struct store *q, const char *name, sqlite3_stmt **s, struct err *e)
{
    *s = db_stmt(&q->d, ST_GET_META, e);
    if (!*s)
        return -1;
    bind_text(*s, 1, name);
    return db_row(&q->d, *s, "cannot read", e);
}

/* The next ids: behind every row, and behind every row that was erased. */
static int load_ids(struct store *q, struct err *e)
{
    struct { const char *name, *sql; int64_t *id; } v[] = {{"message", "SELECT max(id) FROM message", &q->next.message},
                                                          {"delivery", "SELECT max(id) FROM delivery", &q->next.delivery}};
    sqlite3_stmt *s;
    int rc;
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        int64_t floor = 0;
        if (db_int(&q->d, v[i].sql, v[i].id, e) != 0 || (rc = load_meta(q, v[i].name, &s, e)) < 0)
            return -1;
        if (rc == 1)
            floor = sqlite3_column_int64(s, 0);
        (void)sqlite3_reset(s);
        *v[i].id = (*v[i].id > floor ? *v[i].id : floor) + 1;
    }
    if (db_int(&q->d, "SELECT max(id) FROM audit", &q->next.audit, e) != 0 || (rc = load_meta(q, "audit", &s, e)) < 0)
        return -1;
    q->next.audit++;
    if (rc == 1 && sqlite3_column_bytes(s, 0) == 40)
        memcpy(q->next.audit_hash, (const char *)sqlite3_column_blob(s, 0) + 8, 32);
    (void)sqlite3_reset(s);
    q->committed = q->next;
    return 0;
}

int store_open(struct store **out, const struct store_conf *conf, struct err *e)
{
    struct store *q = xcalloc(1, sizeof *q);
    *out = NULL;
    q->lock_fd = -1;
    q->window_us = 30 * DAY_US;
    q->log_pages_max = STORE_LOG_PAGES_MAX;
    if (take_lock(q, conf->path, e) != 0 || make_file(conf->path, e) != 0 ||
        db_open(&q->d, conf->path, conf->path, SQLITE_OPEN_READWRITE, e) != 0 || set_up(q, e) != 0 || load_ids(q, e) != 0 || store_open_keys_load(q, e) != 0 ||
        trail_load(q, e) != 0)
        goto bad;
    (void)sqlite3_wal_hook(q->d.db, on_log_grown, q);
    *out = q;
    return 0;
bad:
    store_close(q);
    return -1;
}

void store_close(struct store *q)
{
    if (!q)
        return;
    if (q->d.db) {
        store_rollback(q);
        /* The last close copies the log into the file and removes it; after a disk error nothing may be written any more. */
        if (q->is_dead)
            (void)sqlite3_db_config(q->d.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    db_close(&q->d);
    if (q->lock_fd >= 0)
        (void)close(q->lock_fd);
    free(q->lock_path);
    free(q->counters);
    free(q->open_keys);
    trail_clear(q);
    free(q);
}

void store_set_duplicate_window(struct store *q, int64_t us)
{
    q->window_us = us;
}

/* ---- the batch ---- */

static void drop_batch(struct store *q)
{
    if (q->d.db && !sqlite3_get_autocommit(q->d.db)) {
        struct err ignored = ERR_INIT;
        sqlite3_stmt *s = db_stmt(&q->d, ST_ROLLBACK, &ignored);
        if (s)
            (void)db_run(&q->d, s, "cannot roll back", &ignored);
    }
    word_forget(&q->d);                 /* also when SQLite rolled back by itself (disk full): new words are gone with it */
    q->rollbacks++;
    q->is_open_batch = q->is_erased = false;
    q->counters_n = 0;
    q->next = q->committed;
    trail_dropped(q);
}

int batch_begin(struct store *q, struct err *e)
{
    sqlite3_stmt *s;
    if (q->is_dead || q->is_broken) {
        *e = q->why;
        return -1;
    }
    if (q->is_open_batch)
        return 0;
    s = db_stmt(&q->d, ST_BEGIN, e);
    if (!s || db_run(&q->d, s, "cannot begin", e) != 0)
        return batch_break(q, e);
    q->is_open_batch = true;
    return 0;
}

int batch_break(struct store *q, struct err *e)
{
    if (e->kind == ERR_CONFIG)          /* an open store that cannot be read or written any more: nothing the sender could wait for */
        e->kind = ERR_BUG;
    q->why = *e;
    q->is_dead = q->is_dead || e->kind == ERR_BUG;
    drop_batch(q);                      /* writes nothing: frames of the log without a commit mark count for nothing */
    q->is_broken = true;
    return -1;
}

int batch_fail(struct store *q, struct err *e, const char *what)
{
    (void)db_fail(&q->d, e, what);
    return batch_break(q, e);
}

bool store_is_dirty(const struct store *q)
{
    return q->is_open_batch || q->is_broken;
}

void store_rollback(struct store *q)
{
    drop_batch(q);
    q->is_broken = false;
}

static int flush_counters(struct store *q, struct err *e)
{
    for (size_t i = 0; i < q->counters_n; i++) {
        sqlite3_stmt *s = db_stmt(&q->d, ST_COUNT, e);
        if (!s)
            return -1;
        bind_int(s, 1, q->counters[i].channel);
        bind_int(s, 2, q->counters[i].what);
        bind_int(s, 3, q->counters[i].n);
        if (db_run(&q->d, s, "cannot count", e) != 0)
            return -1;
    }
    return 0;
}

static int put_meta_blob(struct store *q, const char *name, const void *p, size_t n, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_PUT_META, e);
    if (!s)
        return -1;
    bind_text(s, 1, name);
    bind_blob(s, 2, p, n);
    return db_run(&q->d, s, "cannot write", e);
}

/* meta.audit: id of the last row (8 bytes, big-endian) and its hash */
static int flush_audit(struct store *q, struct err *e)
{
    unsigned char head[40];
    if (q->next.audit == q->committed.audit)
        return 0;
    for (unsigned i = 0; i < 8; i++)
        head[i] = (unsigned char)((uint64_t)(q->next.audit - 1) >> (56 - 8 * i));
    memcpy(head + 8, q->next.audit_hash, 32);
    return put_meta_blob(q, "audit", head, sizeof head, e);
}

static void checkpoint(struct store *q, int mode)
{
    int frames = -1, done = -1;
    int rc = sqlite3_wal_checkpoint_v2(q->d.db, NULL, mode, &frames, &done);
    if (rc == SQLITE_OK && (frames == done || frames < 0)) {
        q->log_pages = q->log_tried = 0;
        if (mode == SQLITE_CHECKPOINT_TRUNCATE)
            q->is_log_dirty = false;
    } else if ((rc & 0xff) == SQLITE_IOERR) {
        /* The commit before is safe in the log; but a disk that cannot be synced is not written to again. */
        (void)db_fail(&q->d, &q->why, "cannot move the log into the store");
        if (q->why.kind == ERR_BUG)
            q->is_dead = true;
    } else
        q->log_tried = q->log_pages;    /* a reader is in the way: not again before the log has grown */
}

void store_idle(struct store *q)
{
    if (q->is_dead || q->is_open_batch)
        return;
    if (q->is_log_dirty) {
        (void)sqlite3_busy_timeout(q->d.db, 0);
        checkpoint(q, SQLITE_CHECKPOINT_TRUNCATE);
        (void)sqlite3_busy_timeout(q->d.db, 2000);
    } else if (q->log_pages >= q->log_tried + STORE_LOG_PAGES_IDLE)
        checkpoint(q, SQLITE_CHECKPOINT_PASSIVE);
}

int store_commit(struct store *q, struct err *e)
{
    sqlite3_stmt *s;
    if (q->is_dead || q->is_broken) {
        *e = q->why;
        store_rollback(q);
        return -1;
    }
    if (!q->is_open_batch)
        return 0;
    CRASH_POINT("store_before_commit");
    s = db_stmt(&q->d, ST_COMMIT, e);
    if (!s || flush_counters(q, e) != 0 || flush_audit(q, e) != 0 || trail_close(q, e) != 0 || db_run(&q->d, s, "cannot commit", e) != 0) {
        (void)batch_break(q, e);
        store_rollback(q);
        return -1;
    }
    CRASH_POINT("store_after_commit");
    q->is_open_batch = false;
    q->counters_n = 0;
    q->committed = q->next;
    trail_committed(q);
    q->is_log_dirty = q->is_log_dirty || q->is_erased;
    q->is_erased = false;
    if (q->log_pages >= q->log_tried + q->log_pages_max)
        checkpoint(q, SQLITE_CHECKPOINT_PASSIVE);
    return 0;
}

int store_recover(struct store *q, int64_t now_us, int64_t settle_us, int64_t *n_out, struct err *e)
{
    sqlite3_stmt *s;
    *n_out = 0;
    if (batch_begin(q, e) != 0)
        return -1;
    s = db_stmt(&q->d, ST_RECOVER, e);
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, now_us);
    bind_int(s, 2, settle_us);
    if (db_run(&q->d, s, "cannot recover", e) != 0)
        return batch_break(q, e);
    *n_out = sqlite3_changes64(q->d.db);
    return store_commit(q, e);
}
