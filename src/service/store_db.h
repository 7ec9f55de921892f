/*
 * store_db - private to store*.c: one SQLite connection with its cached statements and its interned words.
 * Thread: the one that opened it, or whoever it was given to; never two at a time (NOMUTEX).
 * Out of memory inside SQLite ends the process, as xmalloc does.
 */
#ifndef LABRELAY_STORE_DB_H
#define LABRELAY_STORE_DB_H
#include <sqlite3.h>

#include "store.h"

#define STORE_APPLICATION_ID 0x4c614252 /* "LaBR" in the file's header */
#define STORE_VERSION 2

enum store_stmt {
    ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
    ST_PUT_MESSAGE, ST_PUT_RAW, ST_FIND_DUPLICATE, ST_COUNT_KEY,
    ST_PUT_DELIVERY, ST_PUT_TEXT, ST_UPDATE_DELIVERY, ST_UPDATE_TEXT, ST_GET_STATE, ST_GET_DELIVERY,
    ST_FIND_OPEN, ST_OPEN_KEYS, ST_FIND_DUE, ST_FIND_HELD, ST_NEXT_HELD, ST_REWIND_DUE, ST_NEXT_DUE,
    ST_ACCOUNT, ST_COUNT, ST_GET_TARGET, ST_FIND_TARGET, ST_ADD_TARGET, ST_UPDATE_TARGET,
    ST_PUT_FRAGMENT, ST_FIND_FRAGMENT, ST_OLD_FRAGMENT, ST_FRAGMENTS_OF, ST_DELAY_FRAGMENTS, ST_DROP_FRAGMENTS,
    ST_PUT_ALIAS, ST_GET_ALIAS,
    ST_AUDIT, ST_GET_MEMORY, ST_PUT_MEMORY, ST_GET_CONFIG, ST_PUT_CONFIG,
    ST_FIND_CONFIG_TEXT, ST_PUT_CONFIG_TEXT, ST_KEPT_CONFIG_TEXT, ST_PUT_CONFIG_PIECE, ST_PRUNE_CONFIG_PIECES, ST_COUNT_CONFIG_FILES,
    ST_PUT_CONFIG_FILE, ST_PUT_CONFIG_RUN, ST_LAST_CONFIG,
    ST_PRUNE_CONFIG_RUNS, ST_PRUNE_CONFIG_FILES, ST_PRUNE_CONFIG_TEXTS, ST_LIST_CONFIG_RUNS, ST_LOAD_CONFIG,
    ST_PUT_WORD, ST_GET_WORD, ST_FIND_WORD, ST_GET_META, ST_PUT_META, ST_RECOVER,
    ST_EXPIRE_SCAN, ST_EXPIRE_BUSY, ST_SEAL_MESSAGE, ST_SEAL_OBSERVATIONS, ST_SEAL_DELIVERIES, ST_SEAL_ACCOUNTS, ST_KEEP_HASH, ST_DROP_HASHES,
    ST_ERASE_TEXT, ST_ERASE_DELIVERIES, ST_ERASE_ACCOUNTS, ST_ERASE_RAW, ST_ERASE_MESSAGE, ST_VACUUM,
    ST_LOAD_MESSAGE, ST_LOAD_RAW, ST_DELIVERIES_OF, ST_LIST_DELIVERIES, ST_LIST_DUE, ST_LIST_HELD, ST_SPAN_DUE, ST_SPAN_HELD, ST_LIST_MESSAGES,
    ST_SUM_FRAMES, ST_SUM_DELIVERIES, ST_SUM_ACCOUNTS, ST_SUM_MESSAGES, ST_ACCOUNTED,
    ST_LIST_ACCOUNTS, ST_LIST_AUDIT, ST_ALL_AUDIT,
    ST_IS_FRAGMENT, ST_ERASE_PERSON_TARGETS, ST_ERASE_PERSON_MIRROR, ST_ERASE_PERSON_LABS,
    ST_WIDEN_TRAIL, ST_SCAN_RAW, ST_SCAN_TARGETS, ST_ERASE_TARGETS, ST_ERASE_TARGET,
    ST_PUT_TRAIL, ST_DROP_TRAIL, ST_LIST_TRAIL, ST_TRAIL_MESSAGES, ST_TRAIL_DELIVERIES, ST_TRACE_MESSAGES, ST_TRACE_DELIVERIES,
    ST_WALK_MESSAGES, ST_WALK_DELIVERIES,
    ST_PUT_CHANNEL, ST_LIST_CHANNELS, ST_PUT_PAUSE, ST_DROP_PAUSE, ST_LIST_PAUSES, ST_PUT_ALARM, ST_DROP_ALARM, ST_LIST_ALARMS,
    ST_QUEUE, ST_QUEUE_LANES, ST_OLDEST_DUE, ST_HELD, ST_NEXT_MESSAGE,
    ST_MIRROR_GET_PERSON, ST_MIRROR_GET_LAB, ST_MIRROR_PUT_PERSON, ST_MIRROR_PUT_LAB, ST_MIRROR_DROP_PERSON, ST_MIRROR_DROP_LAB,
    ST_MIRROR_COUNT_PEOPLE, ST_MIRROR_COUNT_LABS, ST_MIRROR_STALE_PEOPLE, ST_MIRROR_STALE_LABS, ST_MIRROR_ALL_PEOPLE,
    ST_MIRROR_LABS_OF_PERSON, ST_MIRROR_LABS_OF_SAMPLE, ST_MIRROR_LABS_OF_K, ST_MIRROR_LAB, ST_MIRROR_GET_PLACE, ST_MIRROR_PUT_PLACE,
    ST_MIRROR_CLEAR_PEOPLE, ST_MIRROR_CLEAR_LABS, ST_MIRROR_CLEAR_PLACES,
    STORE_STMTS
};

struct store_word { int64_t id; char *text; };

struct store_db {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *stmt[STORE_STMTS];
    struct store_word *words;           /* open addressing, by text; power of two */
    size_t words_n, words_cap;
    char **word_by_id;                  /* borrowed from words */
    size_t word_by_id_n;
};

/* flags: SQLITE_OPEN_*. Settings that every connection shares are made here. path may be a file: URI. */
int  db_open(struct store_db *d, const char *path, const char *name, int flags, struct err *e);
void db_close(struct store_db *d);
/* Maps the last error of the connection: full disk ERR_TEMP, damaged or unreadable file ERR_CONFIG, busy ERR_TEMP, the rest ERR_BUG. */
int  db_fail(const struct store_db *d, struct err *e, const char *what);
int  db_exec(struct store_db *d, const char *sql, const char *what, struct err *e);
int  db_int(struct store_db *d, const char *sql, int64_t *out, struct err *e);      /* first column of the first row, 0 when none */

/* The statement, reset, nothing bound yet. Never fails for a sound schema: NULL only with e set. */
sqlite3_stmt *db_stmt(struct store_db *d, enum store_stmt which, struct err *e);
/* Runs one that gives no rows. 0, or -1 (see db_fail). */
int  db_run(struct store_db *d, sqlite3_stmt *s, const char *what, struct err *e);
/* 1 a row, 0 the end (reset), -1. */
int  db_row(struct store_db *d, sqlite3_stmt *s, const char *what, struct err *e);

void bind_int(sqlite3_stmt *s, int i, int64_t v);
void bind_span(sqlite3_stmt *s, int i, struct span v);              /* text; absent as '' ; must outlive the step */
void bind_text(sqlite3_stmt *s, int i, const char *v);              /* NULL as '' */
void bind_blob(sqlite3_stmt *s, int i, const void *p, size_t n);
void bind_null(sqlite3_stmt *s, int i);
/* A result key: 64 hex become 32 bytes, anything else stays text; "" is NULL. bytes: room that outlives the step. */
void bind_key(sqlite3_stmt *s, int i, const char *key, unsigned char bytes[32]);
/* First 8 bytes of what bind_key would bind, as a number: what the indexes hold. */
int64_t key_number(const char *key);
char *column_key(sqlite3_stmt *s, int i);                           /* heap; "" for NULL */
char *column_text(sqlite3_stmt *s, int i);                          /* heap; "" for NULL */

/* Number of a word, 0 for "" or NULL. word_put adds it to the open batch. word_find: -1 when nobody ever used it. */
int  word_put(struct store_db *d, const char *text, int64_t *id_out, struct err *e);
int  word_find(struct store_db *d, const char *text, int64_t *id_out, struct err *e);
/* Borrowed until word_forget; "" for 0. NULL: error. */
const char *word_get(struct store_db *d, int64_t id, struct err *e);
void word_forget(struct store_db *d);                               /* after a rollback: some may never have existed */

/* The columns of a delivery in the order delivery_from_row() reads them, for SELECTs over delivery d LEFT JOIN delivery_text t. */
#define DELIVERY_COLUMNS \
    "d.id,d.message,d.record,d.observation,d.parts,d.path,d.route,d.config,d.writer,d.lane,d.key,d.issued_us,d.rank,d.state,d.step," \
    "d.tries,d.next_us,d.reason,d.person_id,d.person_type,d.remote_id,d.updated_us,t.who,t.body,t.detail,d.flags"
#define DELIVERY_FROM " FROM delivery d LEFT JOIN delivery_text t ON t.id=d.id "
int  delivery_from_row(struct store_db *d, sqlite3_stmt *s, struct delivery *out, struct err *e);
/* The columns id,received_us,config,channel,control_id,kind,peer,reason,state,observations,raw_n. */
int  message_from_row(struct store_db *d, sqlite3_stmt *s, struct store_message_row *out, struct err *e);
/* All rows of s into a heap array. */
int  deliveries_from_rows(struct store_db *d, sqlite3_stmt *s, const char *what, struct delivery **v, size_t *n, struct err *e);

/* SHA-256(previous || every field with its length): one link of the audit chain. */
void audit_link(const unsigned char previous[32], int64_t id, int64_t us, const char *who, const char *action, int64_t delivery_id,
                int64_t message_id, const char *reason, unsigned char out[32]);

/* ---- the reader ---- */
struct store_reader {
    struct store_db d;
    bool is_held;
    bool is_still;                      /* nobody writes the file: no call is cut off */
    int64_t deadline_us;
};
/* A file that no engine has open and that has no log: read as it stands, nothing is made beside it. */
int  store_reader_open_still(struct store_reader **out, const char *path, struct err *e);

/* ---- the writer ---- */
struct store_trail {                    /* the open segment of store_trail.c */
    uint64_t *v;                        /* hashes of what can be looked for */
    size_t n, cap, committed_n;
    int64_t first;                      /* its first message */
    char *last_who;                     /* heap: hashed already */
    bool is_closing;                    /* the open batch writes its filter */
};
struct store_counter { int64_t channel, what, n; };
struct store {
    struct store_db d;
    int lock_fd;
    char *lock_path;
    bool is_open_batch;
    uint64_t rollbacks;                 /* batches that were dropped, see store_rollbacks() */
    bool is_broken;                     /* the batch was rolled back by an error; `why` says which */
    bool is_dead;                       /* fsync failed: nothing is written any more */
    struct err why;
    struct store_counter *counters;     /* of the open batch */
    size_t counters_n, counters_cap;
    struct { int64_t message, delivery, audit; unsigned char audit_hash[32]; } next, committed;
    int64_t window_us;
    int64_t expire_after;               /* messages up to this id were looked at by store_expire */
    int64_t room_after, raw_after, target_after;    /* the same of store_make_room, store_erase_raw, store_expire_targets */
    int log_pages_max;                  /* a commit past this empties the log */
    bool is_erased;                     /* the open batch erased something: the log holds old bytes until it is reset */
    bool is_log_dirty;                  /* the same, committed */
    unsigned char *open_keys;           /* which result keys may have an open delivery: see store_open_keys_add() */
    struct store_trail trail;
    int log_pages;                      /* in the write-ahead log after the last commit */
    int log_tried;                      /* the same when a reader last kept it from being emptied */
};
/* Most results come once: a filter in memory (two bits a key of 2^21) spares the look for open versions of a key that never had one.
 * A bit is set for every open delivery ever written since the start and at the start for all that are open; none is ever cleared. */
void store_open_keys_add(struct store *q, int64_t key8);
bool store_open_keys_may_have(const struct store *q, int64_t key8);
int  store_open_keys_load(struct store *q, struct err *e);
/* store_trail.c: hashes of the open batch; closing a full segment before the commit; after it, or after its end; at the start and the end. */
void trail_add_message(struct store *q, struct span control_id);
void trail_add_delivery(struct store *q, const char *who, const char *result_key);
int  trail_close(struct store *q, struct err *e);
void trail_committed(struct store *q);
void trail_dropped(struct store *q);
int  trail_load(struct store *q, struct err *e);
void trail_clear(struct store *q);
/* Writes down which ids were given, for when the highest rows are gone. In the open batch. */
int  store_keep_ids(struct store *q, struct err *e);
/* Opens a batch if there is none. -1 when the store is dead or the batch is broken. */
int  batch_begin(struct store *q, struct err *e);
/* To be returned after a failed write: maps the error, rolls back, remembers. */
int  batch_fail(struct store *q, struct err *e, const char *what);
/* The same when e is filled already. */
int  batch_break(struct store *q, struct err *e);
#endif
