/*
 * store_mirror - a writer's mirror of people and lab results in the store: rows that the writer encodes, their stamps, and how far it has read.
 * Patient data: it stands in the store's file only. Thread: engine. Puts are part of the open batch. Texts of a row given to a function are
 * borrowed for the call.
 */
#ifndef LABRELAY_STORE_MIRROR_H
#define LABRELAY_STORE_MIRROR_H
#include "store.h"

enum store_mirror { STORE_MIRROR_PEOPLE, STORE_MIRROR_LABS };
#define STORE_MIRRORS 2

struct store_mirror_row {
    struct span id;
    struct span person, sample, k;          /* of lab results: what they are found by; may be absent */
    struct span row;                        /* the rest, as the writer encodes it */
    int64_t updated_ms, db_updated_ms;      /* the server's stamps; 0: not read from a list yet */
    int64_t hash;                           /* of what matching needs, by the writer */
    int64_t put_us;                         /* our clock */
};

struct store_mirror_place {                 /* how far one list was read */
    bool is_loaded, is_sweeping;
    int64_t swept_us;                       /* our clock: when the last reading of everything ended */
    int64_t top_ms, floor_ms;               /* the server's clock: highest stamp seen; everything up to it is read */
    char at[300];                           /* the last id of the sweep under way */
};

/* 0 found (the stamps; no texts), 1 none. */
int  store_mirror_get(struct store *q, enum store_mirror what, const char *writer, struct span id, struct store_mirror_row *out, struct err *e);
int  store_mirror_put(struct store *q, enum store_mirror what, const char *writer, const struct store_mirror_row *row, struct err *e);
int  store_mirror_drop(struct store *q, enum store_mirror what, const char *writer, struct span id, bool *was_there, struct err *e);
int  store_mirror_count(struct store *q, enum store_mirror what, const char *writer, int64_t *n, struct err *e);
/* Ids behind `after` and up to `upto` (absent: to the end) that were put before before_us, at most max, as one heap array of heap strings. */
int  store_mirror_stale(struct store *q, enum store_mirror what, const char *writer, struct span after, struct span upto, int64_t before_us, size_t max,
                        char ***ids, size_t *n, struct err *e);
/* Calls fn for each row, texts included; fn must not write. */
enum store_mirror_by { MIRROR_ALL_PEOPLE, MIRROR_LABS_OF_PERSON, MIRROR_LABS_OF_SAMPLE, MIRROR_LABS_OF_K, MIRROR_LAB };
int  store_mirror_each(struct store *q, const char *writer, enum store_mirror_by by, struct span value,
                       void (*fn)(void *ctx, const struct store_mirror_row *row), void *ctx, struct err *e);
/* Whose mirror it is, as the writer encodes it; appended to out. 0 found, 1 none. */
int  store_mirror_get_owner(struct store *q, const char *writer, struct buf *out, struct err *e);
int  store_mirror_put_owner(struct store *q, const char *writer, struct span owner, struct err *e);
int  store_mirror_get_place(struct store *q, enum store_mirror what, const char *writer, struct store_mirror_place *out, struct err *e);  /* 0, 1 none: zeros */
int  store_mirror_put_place(struct store *q, enum store_mirror what, const char *writer, const struct store_mirror_place *p, struct err *e);
/* Everything of this writer's mirror. */
int  store_mirror_clear(struct store *q, const char *writer, struct err *e);
/* Counts up with every rollback: what memory holds of uncommitted writes is gone from the store. */
uint64_t store_rollbacks(const struct store *q);
#endif
