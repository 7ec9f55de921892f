/*
 * NAME store_trail - where in the store an identifier stands: one Bloom filter for every SEGMENT messages, and the look-up.
 *
 * A message's control id, the texts of what its deliveries look persons up by (who: sample id, visual id, document numbers) and K, the
 * first 8 hex of their result keys, are hashed as they are put; 16 bits each go to the disk once a segment is full, in the commit that
 * fills it. An index of the words themselves would touch a random page for each of them; this writes some 4 kB for 256 messages.
 * A look-up reads all filters (13 MB for a million messages) and then only the segments that may have it. What no filter covers (the open
 * segment, a store of before) is read row by row: the answer is the same, only slower.
 * The open segment lives in memory; store_open() makes it again from the rows.
 * DIAGNOSTICS as store.c and store_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store_db.h"
#include "xmem.h"

#define SEGMENT 256                     /* messages */
#define KEYS_MAX ((size_t)16384)        /* of one segment: many deliveries close it earlier */
#define BITS_PER_KEY 16
#define HASHES 8                        /* with 16 bits a key: 1 in 1700 segments is read in vain */
#define REBUILD_MAX (INT64_C(16) * SEGMENT)
#define TRACE_US (INT64_C(30) * 1000000)

static uint64_t hash_of(struct span s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

/* ---- writing ---- */

static void add(struct store_trail *t, struct span s)
{
    if (!s.n)
        return;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4096;
        t->v = xreallocarray(t->v, t->cap, sizeof *t->v);
    }
    t->v[t->n++] = hash_of(s);
}

void trail_add_message(struct store *q, struct span control_id)
{
    add(&q->trail, control_id);
}

/* Every text that stands behind a colon in the JSON: "role":"visual-id", "value":"CA-1". As written, escapes and all. */
static void add_values(struct store_trail *t, const char *json)
{
    bool is_value = false;
    for (const char *p = json; *p; p++) {
        if (*p != '"') {
            is_value = *p == ':';
            continue;
        }
        const char *start = ++p;
        while (*p && *p != '"')
            p += *p == '\\' && p[1] ? 2 : 1;
        if (is_value)
            add(t, span_make(start, (size_t)(p - start)));
        if (!*p)
            return;
        is_value = false;
    }
}

void trail_add_delivery(struct store *q, const char *who, const char *result_key)
{
    struct store_trail *t = &q->trail;
    if (who && (!t->last_who || strcmp(t->last_who, who) != 0)) {       /* results of one specimen look for the same */
        free(t->last_who);
        t->last_who = xstrdup(who);
        add_values(t, who);
    }
    if (result_key && strlen(result_key) == 64)
        add(t, span_make(result_key, 8));
}

/* An empty filter keeps nobody out. The open segment is read row by row anyway. */
int store_trail_widen(struct store *q, int64_t message_id, struct err *e)
{
    sqlite3_stmt *s;
    if (message_id >= q->trail.first)
        return 0;
    if (batch_begin(q, e) != 0)
        return -1;
    s = db_stmt(&q->d, ST_WIDEN_TRAIL, e);
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, message_id);
    return db_run(&q->d, s, "cannot write the trail", e) == 0 ? 0 : batch_break(q, e);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool visit_bits(uint64_t hash, size_t bits, unsigned char *set, const unsigned char *have)
{
    uint64_t step = (hash >> 32) | 1;
    for (uint64_t i = 0; i < HASHES; i++) {
        size_t bit = (size_t)((hash + i * step) % bits);
        if (set)
            set[bit / 8] |= (unsigned char)(1u << bit % 8);
        else if (!(have[bit / 8] >> bit % 8 & 1))
            return false;
    }
    return true;
}

int trail_close(struct store *q, struct err *e)
{
    struct store_trail *t = &q->trail;
    sqlite3_stmt *s;
    size_t n = 0, bytes;
    if (q->next.message - t->first < SEGMENT && (t->n < KEYS_MAX || q->next.message == t->first))
        return 0;
    uint64_t *v = xmalloc((t->n + 1) * sizeof *v);     /* a copy: a commit that fails goes on with these */
    if (t->n)
        memcpy(v, t->v, t->n * sizeof *v);
    qsort(v, t->n, sizeof *v, by_number);
    for (size_t i = 0; i < t->n; i++)
        if (!n || v[n - 1] != v[i])
            v[n++] = v[i];
    bytes = n * BITS_PER_KEY / 8 + 8;
    unsigned char *bits = xcalloc(1, bytes);
    for (size_t i = 0; i < n; i++)
        (void)visit_bits(v[i], bytes * 8, bits, NULL);
    s = db_stmt(&q->d, ST_PUT_TRAIL, e);
    int rc = s ? 0 : -1;
    if (s) {
        bind_int(s, 1, q->next.message - 1);
        bind_int(s, 2, t->first);
        bind_blob(s, 3, bits, bytes);
        rc = db_run(&q->d, s, "cannot write the trail", e);
    }
    t->is_closing = rc == 0;
    free(bits);
    free(v);
    return rc;
}

static void forget_last(struct store_trail *t)
{
    free(t->last_who);
    t->last_who = NULL;
}

void trail_committed(struct store *q)
{
    struct store_trail *t = &q->trail;
    if (t->is_closing) {
        t->n = 0;
        t->first = q->next.message;
        forget_last(t);
    }
    t->committed_n = t->n;
    t->is_closing = false;
}

void trail_dropped(struct store *q)
{
    q->trail.n = q->trail.committed_n;
    q->trail.is_closing = false;
    forget_last(&q->trail);
}

int trail_load(struct store *q, struct err *e)
{
    static const enum store_stmt which[] = {ST_TRAIL_MESSAGES, ST_TRAIL_DELIVERIES};
    struct store_trail *t = &q->trail;
    int64_t last;
    if (db_exec(&q->d, "CREATE TABLE IF NOT EXISTS trail(last INTEGER PRIMARY KEY, first INTEGER NOT NULL, bits BLOB NOT NULL)", "cannot set up", e) != 0 ||
        db_int(&q->d, "SELECT max((SELECT coalesce(max(last),0) FROM trail),(SELECT coalesce(min(id),1)-1 FROM message))", &last, e) != 0)
        return -1;
    t->first = last + 1;
    if (q->next.message - t->first > REBUILD_MAX) {    /* a store of before: what is there stays without a filter */
        t->first = q->next.message;
        return 0;
    }
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *s = db_stmt(&q->d, which[i], e);
        int rc = s ? 1 : -1;
        if (s)
            bind_int(s, 1, t->first);
        while (rc == 1 && (rc = db_row(&q->d, s, "cannot read the trail", e)) == 1) {
            char *text = column_text(s, 0), *key = i ? column_key(s, 1) : NULL;
            if (i)
                trail_add_delivery(q, text, key);
            else
                trail_add_message(q, span_of(text));
            free(text);
            free(key);
        }
        if (rc < 0)
            return -1;
    }
    t->committed_n = t->n;
    return 0;
}

void trail_clear(struct store *q)
{
    free(q->trail.v);
    forget_last(&q->trail);
    q->trail = (struct store_trail){0};
}

/* ---- looking up ---- */

struct trace {
    struct store_reader *r;
    const char *key;
    struct buf literal;                 /* :"key" */
    uint64_t hash[3];
    size_t n_hashes;
    bool has_k;
    int64_t k_first, k_last;            /* result keys that begin with K, as key8 */
    int64_t *ids;
    size_t n, cap, limit;
};

static void found(struct trace *x, int64_t id)
{
    for (size_t i = x->n; i > 0 && x->ids[i - 1] >= id; i--)
        if (x->ids[i - 1] == id)
            return;
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 32;
        x->ids = xreallocarray(x->ids, x->cap, sizeof *x->ids);
    }
    size_t at = x->n++;
    for (; at > 0 && x->ids[at - 1] > id; at--)
        x->ids[at] = x->ids[at - 1];
    x->ids[at] = id;
}

static int scan(struct trace *x, int64_t first, int64_t last, struct err *e)
{
    static const enum store_stmt which[] = {ST_TRACE_MESSAGES, ST_TRACE_DELIVERIES};
    struct store_db *d = &x->r->d;
    for (size_t i = 0; i < 2 && first <= last; i++) {
        sqlite3_stmt *s = db_stmt(d, which[i], e);
        int rc;
        if (!s)
            return -1;
        bind_int(s, 1, first);
        bind_int(s, 2, last);
        if (i == 0) {
            bind_text(s, 3, x->key);
        } else {
            bind_int(s, 3, x->has_k);
            bind_int(s, 4, x->k_first);
            bind_int(s, 5, x->k_last);
            bind_span(s, 6, buf_span(&x->literal));
        }
        while ((rc = db_row(d, s, "cannot trace", e)) == 1 && x->n < x->limit)
            found(x, sqlite3_column_int64(s, 0));
        (void)sqlite3_reset(s);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static bool may_have(const struct trace *x, const unsigned char *bits, size_t bytes)
{
    for (size_t i = 0; i < x->n_hashes; i++)
        if (visit_bits(x->hash[i], bytes * 8, NULL, bits))
            return true;
    return false;
}

static int walk(struct trace *x, struct err *e)
{
    struct store_db *d = &x->r->d;
    int64_t tables, next = 1;
    int rc = 0;
    if (db_int(d, "SELECT count(*) FROM sqlite_master WHERE name='trail'", &tables, e) != 0)
        return -1;
    if (tables) {
        sqlite3_stmt *s = db_stmt(d, ST_LIST_TRAIL, e);
        if (!s)
            return -1;
        while ((rc = db_row(d, s, "cannot trace", e)) == 1 && x->n < x->limit) {
            int64_t last = sqlite3_column_int64(s, 0), first = sqlite3_column_int64(s, 1);
            const unsigned char *bits = sqlite3_column_blob(s, 2);
            size_t bytes = (size_t)sqlite3_column_bytes(s, 2);
            if (scan(x, next, first - 1, e) != 0 || ((!bytes || may_have(x, bits, bytes)) && scan(x, first, last, e) != 0)) {
                (void)sqlite3_reset(s);
                return -1;
            }
            next = last + 1;
        }
        (void)sqlite3_reset(s);
    }
    return rc < 0 ? -1 : scan(x, next, INT64_MAX, e);
}

/* 8 hex digits, or more of a whole result key: the numbers between which its first 8 bytes lie. */
static void set_k(struct trace *x, struct span key)
{
    uint64_t k = 0;
    char lower[9] = "";
    if (key.n != 8 && key.n != 64)
        return;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i], low = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
        bool is_digit = low >= '0' && low <= '9';
        if (!is_digit && (low < 'a' || low > 'f'))
            return;
        if (i < 8) {
            lower[i] = low;
            k = k << 4 | (uint64_t)(is_digit ? low - '0' : low - 'a' + 10);
        }
    }
    x->has_k = true;
    x->k_first = (int64_t)(k << 32);
    x->k_last = (int64_t)(k << 32 | 0xffffffffu);
    x->hash[x->n_hashes++] = hash_of(span_make(lower, 8));
}

int store_trace(struct store_reader *r, const char *key, size_t limit, int64_t **ids, size_t *n, struct err *e)
{
    struct trace x = {.r = r, .key = key, .limit = limit};
    int rc;
    *ids = NULL;
    *n = 0;
    buf_init(&x.literal, (size_t)1 << 20);
    buf_addc(&x.literal, ':');
    buf_json_span(&x.literal, span_of(key));
    x.hash[x.n_hashes++] = hash_of(span_of(key));
    x.hash[x.n_hashes++] = hash_of(span_cut(buf_span(&x.literal), 2, x.literal.n - 3));
    set_k(&x, span_of(key));
    if (!r->is_held)
        r->deadline_us = clock_mono_us() + TRACE_US;
    rc = *key ? walk(&x, e) : 0;
    buf_clear(&x.literal);
    if (rc != 0) {
        free(x.ids);
        return -1;
    }
    *ids = x.ids;
    *n = x.n;
    return 0;
}
