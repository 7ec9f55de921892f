/*
 * store - the durable store of messages and deliveries.
 *
 * Thread: one writer, the engine (or a verb that holds the lock when no engine runs). Lists open their own read-only connection
 * (store_reader), from any thread. Owns nothing it is handed: bytes are copied into the database before a put returns.
 * Nothing is durable until store_commit() returns 0; only then may a reply be sent or a task be handed to a courier.
 * File format, invariants and crash states: the head of src/service/store.c. That it is SQLite is known to store*.c only.
 */
#ifndef LABRELAY_STORE_H
#define LABRELAY_STORE_H
#include "buf.h"
#include "conf.h"
#include "delivery.h"

/* The write-ahead log is emptied into the file when idle past the first, by a commit past the second (pages of 8 kB). For benchmarks. */
#define STORE_LOG_PAGES_IDLE 512
#define STORE_LOG_PAGES_MAX 2048
#define STORE_PAGE_BYTES 8192

struct store;
struct store_reader;

enum message_state { MESSAGE_STORED, MESSAGE_REFUSED, MESSAGE_QUARANTINED };
const char *message_state_name(enum message_state s);      /* "stored" … */
int  message_state_parse(const char *name, enum message_state *out);

struct store_message {
    int64_t id;
    const char *channel;
    struct span source_app, source_facility, control_id;   /* the duplicate key, with channel (STANDARDS 3.7) */
    struct span kind;                   /* "ORU^R01" */
    unsigned char sha256[32];           /* of the normalized bytes (line ends unified) */
    int64_t received_us;
    const char *peer;
    enum message_state state;
    const char *reason;                 /* why refused or quarantined: "HL7_103 OBX^2^11", "TRUNCATED"; "" when stored */
    struct span raw;
    unsigned observations;              /* of the original */
    unsigned warnings;
    int64_t config;
};

/* Open or create, migrate, verify, take the lock. ERR_CONFIG (path, permissions, locked by another engine), ERR_TEMP (disk), ERR_BUG (newer schema). */
int  store_open(struct store **out, const struct store_conf *conf, struct err *e);
void store_close(struct store *q);                                          /* NULL is fine; an open batch is rolled back */
/* How long message hashes outlive their message (duplicate-window); 30 d until somebody says otherwise. Read by store_expire() only. */
void store_set_duplicate_window(struct store *q, int64_t us);
/* When nothing waits: moves committed pages from the log to the file, so that a busy commit need not. Cheap when there is nothing to do. */
void store_idle(struct store *q);

/* A put that fails for a reason of the disk rolls the whole batch back at once; every later put and the commit then fail with the same
 * error until store_rollback() or the failed store_commit(): half a batch can never be committed. */

/* --- the open batch --- */
int  store_put_message(struct store *q, struct store_message *m, struct err *e);                 /* sets m->id */
/* The message with the same key and content inside the window: its id and state; 0 when there is none. reused: same key, other content. */
int  store_find_duplicate(struct store *q, const struct store_message *m, int64_t since_us, int64_t *id_out, enum message_state *state_out, bool *is_reused_out, struct err *e);
/* How many stored messages inside the window have the key of m, whatever their content. */
int  store_count_key(struct store *q, const struct store_message *m, int64_t since_us, int64_t *n_out, struct err *e);
int  store_put_delivery(struct store *q, struct delivery *d, struct err *e);                     /* sets d->id */
/* Accounts observations that need no delivery: part-of (fate "part-of") or dropped by place ("dropped"), with a reason word. */
int  store_account(struct store *q, int64_t message_id, const char *fate, const char *reason, unsigned n, struct err *e);
/* frames: counter per channel and word: received, stored, refused, quarantined, duplicate. */
int  store_count(struct store *q, const char *channel, const char *what, int64_t n, struct err *e);
/* Writes every field of d; the move from its stored state must be legal (delivery_can_move), else ERR_BUG. */
int  store_update_delivery(struct store *q, const struct delivery *d, struct err *e);
/* Loads one; 0 found, 1 none. Caller clears. Sees the open batch. */
int  store_get_delivery(struct store *q, int64_t id, struct delivery *out, struct err *e);
/* Open deliveries (ready, waiting, held, claimed) with this result key, oldest first, into a heap array. */
int  store_find_open(struct store *q, const char *result_key, struct delivery **v, size_t *n, struct err *e);
/* READY (or WAITING) with next_us <= now for a writer, ordered by next_us, id, at most max, ids > none of `skip` decided by the caller. */
#define STORE_EXCEPT_MAX 8
int  store_find_due(struct store *q, const char *writer, int64_t now_us, const char *const *except_lane, size_t n_except, size_t max,
                    struct delivery **v, size_t *n, struct err *e);     /* at most STORE_EXCEPT_MAX lanes are left out */
/* HELD ones of a writer with this reason and an id above after_id, by id, at most max. */
int  store_find_held(struct store *q, const char *writer, const char *reason, int64_t after_id, size_t max, struct delivery **v, size_t *n, struct err *e);
/* The next kind of held delivery behind *at (all zero: the first): 0 found, 1 no more. */
struct store_held_kind { bool is_begun; int64_t writer_id, reason_id; char writer[80], reason[80]; };
int  store_next_held(struct store *q, struct store_held_kind *at, struct err *e);
/* The clock was set back: what is ready is due now, and nothing waits longer than most_us: it is due after wait_us instead. */
int  store_rewind_due(struct store *q, const char *writer, int64_t now_us, int64_t most_us, int64_t wait_us, struct err *e);
/* Earliest next_us among READY and WAITING of a writer; 0 when none. */
int64_t store_next_due(struct store *q, const char *writer);
void deliveries_free(struct delivery *v, size_t n);

struct store_target {                   /* what stands in Go.Data under a result key */
    char result_key[65];
    char k[9];                          /* first 8 hex */
    char *remote_id, *person_id, *person_type, *body;      /* heap; body: as last written */
    int64_t issued_us, written_us, delivery_id;
    int rank;
    bool is_tombstone;                  /* withdrawn or deleted */
};
int  store_get_target(struct store *q, const char *result_key, struct store_target *out, struct err *e);    /* 0 found, 1 none */
/* The target whose key begins with K (8 hex) and that stands with this person, tombstones left out. 0 found (caller clears), 1 none. */
int  store_find_target(struct store *q, const char *k, const char *person_id, struct store_target *out, struct err *e);
int  store_put_target(struct store *q, const struct store_target *t, struct err *e);
void store_target_clear(struct store_target *t);

/* A message that was sent in parts and waits for more of them (STANDARDS 2.9). key: what the next part will name. */
struct store_fragments { int64_t first; char *channel; int64_t *ids; size_t n; };       /* ids in the order they came; first = ids[0] */
int  store_put_fragment(struct store *q, int64_t message_id, int64_t first, const char *channel, const char *key, int64_t us, struct err *e);
/* The latest set whose last part waits for key; a set whose last part came before before_us. 0 found (caller clears), 1 none, -1. */
int  store_find_fragments(struct store *q, const char *key, struct store_fragments *out, struct err *e);
int  store_find_old_fragments(struct store *q, int64_t before_us, struct store_fragments *out, struct err *e);
int  store_delay_fragments(struct store *q, int64_t first, int64_t us, struct err *e);          /* as if its parts came at us */
int  store_drop_fragments(struct store *q, int64_t first, struct err *e);                       /* it waits no more; its messages stay */
void store_fragments_clear(struct store_fragments *f);
/* Appends the bytes of a message; sees the open batch. 0 found, 1 erased. */
int  store_get_raw(struct store *q, int64_t message_id, struct buf *out, struct err *e);

/* A message of the store and its deliveries, as the open batch has them: 0 found (caller clears), 1 none. */
struct store_message_row;
int  store_get_message(struct store *q, int64_t id, struct store_message_row *out, struct err *e);
int  store_get_deliveries(struct store *q, int64_t message_id, struct delivery **v, size_t *n, struct err *e);
/* A delivery of this message got other identifiers: store_trace() looks at the message itself from now on. */
int  store_trail_widen(struct store *q, int64_t message_id, struct err *e);

/* A sender says that one identifier was merged into another ("NATIONAL_ID_CARD|CF-1": the writer's own words). For proposals only. */
int  store_put_alias(struct store *q, const char *writer, struct span old, struct span now, int64_t message_id, int64_t us, struct err *e);
int  store_get_alias(struct store *q, const char *writer, struct span old, char **now, struct err *e);   /* 0 found (heap), 1 none */
int  store_audit(struct store *q, const char *who, const char *action, int64_t delivery_id, int64_t message_id, const char *reason, struct err *e);   /* hash-chained */
int64_t store_get_memory(struct store *q, const char *owner, const char *key, int64_t def);
int  store_put_memory(struct store *q, const char *owner, const char *key, int64_t v, struct err *e);
/* A number for this configuration hash: the same hash gives the same number. */
int  store_put_config(struct store *q, const char *hash, int64_t *number_out, struct err *e);

/* One fsync for everything since the last commit. On -1 nothing of the batch is stored. ERR_TEMP: full disk, nothing written, go on
 * refusing; ERR_BUG: an I/O error of the disk: stop, never retry the fsync. */
int  store_commit(struct store *q, struct err *e);
void store_rollback(struct store *q);
bool store_is_dirty(const struct store *q);
/* At start: every CLAIMED of a crash becomes WAITING. CREATE and READBACK go on with STEP_READBACK; UPDATE and REMOVE keep their step
 * (they read, compare and then write, so doing them again is harmless); these are due settle_us from now. FIND wrote nothing: due now.
 * Commits. n_out: how many. */
int  store_recover(struct store *q, int64_t now_us, int64_t settle_us, int64_t *n_out, struct err *e);
/* Messages received before before_us, all of whose deliveries are in a final state and were last touched before it, are erased, oldest
 * first, at most max a call; their numbers go to sealed totals, which store_sum() adds in. Part of the open batch: commit it. */
int  store_expire(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e);

/* Finished messages, oldest first, whatever their age, and what they wrote down as standing in Go.Data: for size-max. Nothing that is open.
 * The pages stay in the file for what comes in. *n_out 0: this pass found none. */
int  store_make_room(struct store *q, size_t max, size_t *n_out, struct err *e);
/* Only the bytes of finished messages: rows, sums and what became of them stay. */
int  store_erase_raw(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e);
/* What stands in Go.Data, written before before_us: a correction of it would be held then (EXISTS_DIFFERENT). No tombstones, nothing open. */
int  store_expire_targets(struct store *q, int64_t before_us, size_t max, size_t *n_out, struct err *e);
/* One finished message with its targets, for good. ERR_BUG when it is not finished. */
int  store_erase_message(struct store *q, int64_t id, struct err *e);
struct store_size { int64_t file, unused, log; };       /* bytes; unused is part of file */
int  store_get_size(struct store *q, struct store_size *out, struct err *e);
/* At most so many unused pages leave the file, in the open batch. */
int  store_shrink(struct store *q, size_t pages, struct err *e);
/* A commit that leaves more than this in the log empties it into the file; at most STORE_LOG_PAGES_MAX. */
void store_set_log_max(struct store *q, int64_t bytes);

/* --- reading, any thread, own connection. A call is one short snapshot (ERR_TEMP after 2 s, sums 30 s) unless store_reader_begin() holds one. --- */
int  store_reader_open(struct store_reader **out, const char *path, struct err *e);
void store_reader_close(struct store_reader *r);
/* One snapshot for several calls (both sums of verify must see the same moment). Keeps the log from being reset: end it soon. */
int  store_reader_begin(struct store_reader *r, struct err *e);
void store_reader_end(struct store_reader *r);

struct store_message_row { int64_t id, received_us, config; char *channel, *control_id, *kind, *peer, *reason; enum message_state state; unsigned observations; size_t raw_n; };
void store_message_row_clear(struct store_message_row *m);
int  store_load_message(struct store_reader *r, int64_t id, struct store_message_row *out, struct err *e);       /* 0, 1 none */
int  store_load_raw(struct store_reader *r, int64_t id, struct buf *out, struct err *e);                         /* 0, 1 none (erased) */
int  store_load_delivery(struct store_reader *r, int64_t id, struct delivery *out, struct err *e);
int  store_load_deliveries_of(struct store_reader *r, int64_t message_id, struct delivery **v, size_t *n, struct err *e);
/* Filter for lists; NULL / 0 = any. after_id pages. */
struct store_filter { const char *state, *writer, *reason, *channel; int64_t after_id; size_t limit; };
int  store_list_deliveries(struct store_reader *r, const struct store_filter *f, struct delivery **v, size_t *n, struct err *e);
int  store_list_messages(struct store_reader *r, const struct store_filter *f, struct store_message_row **v, size_t *n, struct err *e);
/* Calls fn for each group, erased messages included: SUM_FRAMES (channel, what, n); SUM_DELIVERIES (state, reason, sum of parts);
 * SUM_ACCOUNTS (fate, reason, n); SUM_MESSAGES (state, "messages", count) and (state, "observations", sum of observations). */
enum store_sum { SUM_FRAMES, SUM_DELIVERIES, SUM_ACCOUNTS, SUM_MESSAGES };
int  store_sum(struct store_reader *r, enum store_sum what, void (*fn)(void *ctx, const char *a, const char *b, int64_t n), void *ctx, struct err *e);
/* Every message with its raw bytes (absent when erased), in id order (for verify): fn returns false to stop. accounted = parts of deliveries + accounts of this message. */
int  store_each_message(struct store_reader *r, bool (*fn)(void *ctx, const struct store_message_row *m, struct span raw, unsigned accounted), void *ctx, struct err *e);
/* Messages with all that became of them, in id order: what `whatif` and `replay` look through. store_walk.c; short snapshots, so that it
 * may take as long as it likes. raw is absent when it was erased; v in order of ids. All is borrowed until fn returns; false stops. */
struct store_walk { int64_t after_id, last_id, since_us, until_us; const char *channel; };     /* last_id, until_us 0 and channel NULL: any */
struct store_visit { const struct store_message_row *m; struct span raw; const struct delivery *v; size_t n; };
int  store_walk(struct store_reader *r, const struct store_walk *w, bool (*fn)(void *ctx, const struct store_visit *v), void *ctx, struct err *e);
int  store_last_message(struct store_reader *r, int64_t *id_out, struct err *e);               /* 0: there is none */
/* Observations of a message that needed no delivery: (fate, reason, n). */
int  store_list_accounts(struct store_reader *r, int64_t message_id, void (*fn)(void *ctx, const char *fate, const char *reason, int64_t n), void *ctx, struct err *e);
int  store_list_audit(struct store_reader *r, int64_t delivery_id,
                      void (*fn)(void *ctx, int64_t us, const char *who, const char *action, const char *reason), void *ctx, struct err *e);
/* The messages in which `key` stands as control id, as a text of what a delivery looks persons up by (sample id, visual id, document …) or
 * as K (8 hex, or a whole result key); ids rising, heap, at most `limit`. A million messages take some 50 ms. */
int  store_trace(struct store_reader *r, const char *key, size_t limit, int64_t **ids, size_t *n, struct err *e);
/* Recomputes the audit chain; 0 whole, 1 broken (id_out names the first bad row). */
int  store_check_audit(struct store_reader *r, int64_t *id_out, struct err *e);
/* Reads the whole file and checks its structure; 0 sound, 1 damaged (text says where). Takes seconds per GB. */
int  store_check_file(struct store_reader *r, char *text, size_t n, struct err *e);
#endif
