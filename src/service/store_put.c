/*
 * NAME store_put - what the engine writes and looks up: messages, deliveries, targets, audit, small values.
 * Everything here is in the open batch (see store.c); look-ups see it. Strings given are copied by SQLite at the step.
 * DIAGNOSTICS an illegal move of a delivery is ERR_BUG and leaves the batch as it was; every error of the disk breaks the batch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crash.h"
#include "store_db.h"
#include "text.h"
#include "xmem.h"

static struct span or_empty(struct span s)
{
    return span_has(s) ? s : SPAN_LIT("");
}

/* Statement and open batch, or NULL with the batch broken. */
static sqlite3_stmt *put_stmt(struct store *q, enum store_stmt which, struct err *e)
{
    sqlite3_stmt *s;
    if (batch_begin(q, e) != 0)
        return NULL;
    s = db_stmt(&q->d, which, e);
    if (!s)
        (void)batch_break(q, e);
    return s;
}

static int put_run(struct store *q, sqlite3_stmt *s, const char *what, struct err *e)
{
    return db_run(&q->d, s, what, e) == 0 ? 0 : batch_break(q, e);
}

static int put_word(struct store *q, const char *text, int64_t *id, struct err *e)
{
    return word_put(&q->d, text, id, e) == 0 ? 0 : batch_break(q, e);
}

/* A look-up: -1 when the store is dead, so that nobody decides on what a failing disk says. */
static sqlite3_stmt *get_stmt(struct store *q, enum store_stmt which, struct err *e)
{
    if (q->is_dead) {
        *e = q->why;
        return NULL;
    }
    return db_stmt(&q->d, which, e);
}

/* ---- messages ---- */

static int64_t duplicate_key(const struct store_message *m)
{
    unsigned char sum[32];
    struct span part[] = {span_of(m->channel), m->source_app, m->source_facility, m->control_id};
    struct buf b;
    uint64_t v = 0;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        buf_add_int(&b, (int64_t)part[i].n);
        buf_addc(&b, ':');
        buf_add_span(&b, or_empty(part[i]));
    }
    text_sha256(b.p, b.n, sum);
    buf_clear(&b);
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | sum[i];
    return (int64_t)v;
}

int store_put_message(struct store *q, struct store_message *m, struct err *e)
{
    int64_t channel;
    sqlite3_stmt *s;
    if (batch_begin(q, e) != 0 || put_word(q, m->channel, &channel, e) != 0)
        return -1;
    s = put_stmt(q, ST_PUT_MESSAGE, e);
    if (!s)
        return -1;
    bind_int(s, 1, q->next.message);
    bind_int(s, 2, channel);
    bind_int(s, 3, (int64_t)m->state);
    bind_int(s, 4, m->received_us);
    bind_int(s, 5, duplicate_key(m));
    bind_blob(s, 6, m->sha256, sizeof m->sha256);
    bind_span(s, 7, m->control_id);
    bind_span(s, 8, m->kind);
    bind_text(s, 9, m->peer);
    bind_text(s, 10, m->reason);
    bind_int(s, 11, (int64_t)m->raw.n);
    bind_int(s, 12, (int64_t)m->observations);
    bind_int(s, 13, (int64_t)m->warnings);
    bind_int(s, 14, m->config);
    if (put_run(q, s, "cannot store the message", e) != 0)
        return -1;
    s = put_stmt(q, ST_PUT_RAW, e);
    if (!s)
        return -1;
    bind_int(s, 1, q->next.message);
    bind_blob(s, 2, m->raw.p, m->raw.n);
    if (put_run(q, s, "cannot store the message", e) != 0)
        return -1;
    m->id = q->next.message++;
    trail_add_message(q, m->control_id);
    CRASH_POINT("store_put_message");
    return 0;
}

int store_find_duplicate(struct store *q, const struct store_message *m, int64_t since_us, int64_t *id_out, enum message_state *state_out, bool *is_reused_out,
                         struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_FIND_DUPLICATE, e);
    int rc;
    *id_out = 0;
    *state_out = MESSAGE_STORED;
    *is_reused_out = false;
    if (!s)
        return -1;
    bind_int(s, 1, duplicate_key(m));
    bind_int(s, 2, since_us);
    while ((rc = db_row(&q->d, s, "cannot look for a duplicate", e)) == 1) {
        if (sqlite3_column_bytes(s, 2) == 32 && memcmp(sqlite3_column_blob(s, 2), m->sha256, 32) == 0) {
            *id_out = sqlite3_column_int64(s, 0);
            *state_out = (enum message_state)sqlite3_column_int(s, 1);
            *is_reused_out = false;
            (void)sqlite3_reset(s);
            return 0;
        }
        *is_reused_out = true;
    }
    return rc;
}

int store_count_key(struct store *q, const struct store_message *m, int64_t since_us, int64_t *n_out, struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_COUNT_KEY, e);
    int rc;
    *n_out = 0;
    if (!s)
        return -1;
    bind_int(s, 1, duplicate_key(m));
    bind_int(s, 2, since_us);
    bind_int(s, 3, (int64_t)MESSAGE_STORED);
    rc = db_row(&q->d, s, "cannot count a key", e);
    if (rc == 1)
        *n_out = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

/* ---- deliveries ---- */

static bool has_text(const struct delivery *d)
{
    return (d->who && *d->who) || (d->body && *d->body) || (d->detail && *d->detail);
}

/* Binds 1..24; the order is that of ST_PUT_DELIVERY and ST_UPDATE_DELIVERY. */
static void bind_delivery(sqlite3_stmt *s, const struct delivery *d, const int64_t word[4], unsigned char key[32])
{
    bind_int(s, 1, d->id);
    bind_int(s, 2, d->message_id);
    bind_int(s, 3, (int64_t)d->record_index);
    bind_int(s, 4, (int64_t)d->observation_index);
    bind_int(s, 5, (int64_t)d->parts);
    bind_text(s, 6, d->path);
    bind_int(s, 7, word[0]);
    bind_int(s, 8, d->config);
    bind_int(s, 9, word[1]);
    bind_text(s, 10, d->lane);
    if (d->result_key && *d->result_key)
        bind_int(s, 11, key_number(d->result_key));
    else
        bind_null(s, 11);
    bind_key(s, 12, d->result_key, key);
    bind_int(s, 13, d->issued_us);
    bind_int(s, 14, d->rank);
    bind_int(s, 15, (int64_t)d->state);
    bind_int(s, 16, (int64_t)d->step);
    bind_int(s, 17, d->tries);
    bind_int(s, 18, d->next_us);
    bind_int(s, 19, word[2]);
    bind_text(s, 20, d->person_id);
    bind_int(s, 21, word[3]);
    bind_text(s, 22, d->remote_id);
    bind_int(s, 23, d->updated_us);
    bind_int(s, 24, (int64_t)d->flags);
}

static int write_delivery(struct store *q, const struct delivery *d, bool is_new, struct err *e)
{
    const char *text[4] = {d->route, d->writer, d->reason, d->person_type};
    unsigned char key[32];
    int64_t word[4];
    sqlite3_stmt *s;
    for (size_t i = 0; i < 4; i++)
        if (put_word(q, text[i], &word[i], e) != 0)
            return -1;
    s = put_stmt(q, is_new ? ST_PUT_DELIVERY : ST_UPDATE_DELIVERY, e);
    if (!s)
        return -1;
    bind_delivery(s, d, word, key);
    if (d->state <= DELIVERY_HELD && d->result_key && *d->result_key)
        store_open_keys_add(q, key_number(d->result_key));
    if (put_run(q, s, "cannot store the delivery", e) != 0)
        return -1;
    if (is_new && !has_text(d))
        return 0;
    s = put_stmt(q, is_new ? ST_PUT_TEXT : ST_UPDATE_TEXT, e);
    if (!s)
        return -1;
    bind_int(s, 1, d->id);
    bind_text(s, 2, d->who);
    bind_text(s, 3, d->body);
    bind_text(s, 4, d->detail);
    return put_run(q, s, "cannot store the delivery", e);
}

int store_put_delivery(struct store *q, struct delivery *d, struct err *e)
{
    if (batch_begin(q, e) != 0)
        return -1;
    d->id = q->next.delivery;
    if (write_delivery(q, d, true, e) != 0)
        return -1;
    q->next.delivery++;
    trail_add_delivery(q, d->who, d->result_key);
    CRASH_POINT("store_put_delivery");
    return 0;
}

int store_update_delivery(struct store *q, const struct delivery *d, struct err *e)
{
    enum delivery_state from = DELIVERY_READY;
    sqlite3_stmt *s = put_stmt(q, ST_GET_STATE, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, d->id);
    rc = db_row(&q->d, s, "cannot read the delivery", e);
    if (rc == 1)
        from = (enum delivery_state)sqlite3_column_int(s, 0);
    (void)sqlite3_reset(s);
    if (rc < 0)
        return batch_break(q, e);
    if (rc == 0)
        return err_set(e, ERR_BUG, q->d.path, "delivery d%lld is not in the store", (long long)d->id);
    if (!delivery_can_move(from, d->state))
        return err_set(e, ERR_BUG, q->d.path, "delivery d%lld may not go from %s to %s", (long long)d->id, delivery_state_name(from), delivery_state_name(d->state));
    if (write_delivery(q, d, false, e) != 0)
        return -1;
    CRASH_POINT("store_update_delivery");
    return 0;
}

int store_get_delivery(struct store *q, int64_t id, struct delivery *out, struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_GET_DELIVERY, e);
    int rc;
    *out = (struct delivery){0};
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&q->d, s, "cannot read the delivery", e);
    if (rc == 1)
        rc = delivery_from_row(&q->d, s, out, e) == 0 ? 1 : -1;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : !rc;
}

int store_get_message(struct store *q, int64_t id, struct store_message_row *out, struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_LOAD_MESSAGE, e);
    int rc;
    *out = (struct store_message_row){0};
    if (!s)
        return -1;
    bind_int(s, 1, id);
    rc = db_row(&q->d, s, "cannot read the message", e);
    if (rc == 1)
        rc = message_from_row(&q->d, s, out, e) == 0 ? 1 : -1;
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : !rc;
}

int store_get_deliveries(struct store *q, int64_t message_id, struct delivery **v, size_t *n, struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_DELIVERIES_OF, e);
    *v = NULL;
    *n = 0;
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    return deliveries_from_rows(&q->d, s, "cannot read deliveries", v, n, e);
}

#define OPEN_KEYS_BITS ((uint64_t)1 << 21)

static void open_key_bits(int64_t key8, uint64_t bit[2])
{
    bit[0] = (uint64_t)key8 % OPEN_KEYS_BITS;
    bit[1] = ((uint64_t)key8 >> 32) % OPEN_KEYS_BITS;
}

void store_open_keys_add(struct store *q, int64_t key8)
{
    uint64_t bit[2];
    open_key_bits(key8, bit);
    for (size_t i = 0; i < 2; i++)
        q->open_keys[bit[i] / 8] |= (unsigned char)(1 << bit[i] % 8);
}

bool store_open_keys_may_have(const struct store *q, int64_t key8)
{
    uint64_t bit[2];
    open_key_bits(key8, bit);
    return (q->open_keys[bit[0] / 8] >> bit[0] % 8 & 1) && (q->open_keys[bit[1] / 8] >> bit[1] % 8 & 1);
}

int store_open_keys_load(struct store *q, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_OPEN_KEYS, e);
    int rc;
    q->open_keys = xcalloc(1, OPEN_KEYS_BITS / 8);
    if (!s)
        return -1;
    while ((rc = db_row(&q->d, s, "cannot read the open result keys", e)) == 1)
        store_open_keys_add(q, sqlite3_column_int64(s, 0));
    (void)sqlite3_reset(s);
    return rc;
}

int store_find_open(struct store *q, const char *result_key, struct delivery **v, size_t *n, struct err *e)
{
    unsigned char key[32];
    sqlite3_stmt *s;
    *v = NULL;
    *n = 0;
    if (!result_key || !*result_key || !store_open_keys_may_have(q, key_number(result_key)))
        return 0;
    s = get_stmt(q, ST_FIND_OPEN, e);
    if (!s)
        return -1;
    bind_int(s, 1, key_number(result_key));
    bind_key(s, 2, result_key, key);
    return deliveries_from_rows(&q->d, s, "cannot look for open deliveries", v, n, e);
}

int store_rewind_due(struct store *q, const char *writer, int64_t now_us, int64_t most_us, int64_t wait_us, struct err *e)
{
    int64_t word;
    sqlite3_stmt *s;
    if (batch_begin(q, e) != 0 || put_word(q, writer, &word, e) != 0)
        return -1;
    s = put_stmt(q, ST_REWIND_DUE, e);
    if (!s)
        return -1;
    bind_int(s, 1, word);
    bind_int(s, 2, now_us);
    bind_int(s, 3, now_us + most_us);
    bind_int(s, 4, now_us + wait_us);
    return put_run(q, s, "cannot set the times of deliveries", e);
}

int store_find_due(struct store *q, const char *writer, int64_t now_us, const char *const *except_lane, size_t n_except, size_t max,
                   struct delivery **v, size_t *n, struct err *e)
{
    int64_t word;
    sqlite3_stmt *s = get_stmt(q, ST_FIND_DUE, e);
    *v = NULL;
    *n = 0;
    if (!s || word_find(&q->d, writer, &word, e) != 0)
        return -1;
    bind_int(s, 1, word);
    bind_int(s, 2, now_us);
    bind_int(s, 3, (int64_t)max);
    for (size_t i = 0; i < STORE_EXCEPT_MAX; i++)
        bind_text(s, 4 + (int)i, i < n_except ? except_lane[i] : "\n");  /* no lane has this name */
    return deliveries_from_rows(&q->d, s, "cannot look for due deliveries", v, n, e);
}

int store_find_held(struct store *q, const char *writer, const char *reason, int64_t after_id, size_t max, struct delivery **v, size_t *n, struct err *e)
{
    int64_t word, reason_word;
    sqlite3_stmt *s = get_stmt(q, ST_FIND_HELD, e);
    *v = NULL;
    *n = 0;
    if (!s || word_find(&q->d, writer, &word, e) != 0 || word_find(&q->d, reason, &reason_word, e) != 0)
        return -1;
    bind_int(s, 1, word);
    bind_int(s, 2, reason_word);
    bind_int(s, 3, after_id);
    bind_int(s, 4, (int64_t)max);
    return deliveries_from_rows(&q->d, s, "cannot look for held deliveries", v, n, e);
}

int store_next_held(struct store *q, struct store_held_kind *at, struct err *e)
{
    sqlite3_stmt *s = get_stmt(q, ST_NEXT_HELD, e);
    int rc;
    if (!s)
        return -1;
    bind_int(s, 1, at->is_begun ? at->writer_id : -1);
    bind_int(s, 2, at->is_begun ? at->reason_id : -1);
    rc = db_row(&q->d, s, "cannot look for held deliveries", e);
    if (rc == 1) {
        at->writer_id = sqlite3_column_int64(s, 0);
        at->reason_id = sqlite3_column_int64(s, 1);
    }
    (void)sqlite3_reset(s);
    if (rc != 1)
        return rc == 0 ? 1 : -1;
    const char *writer = word_get(&q->d, at->writer_id, e), *reason = word_get(&q->d, at->reason_id, e);
    if (!writer || !reason)
        return -1;
    at->is_begun = true;
    (void)snprintf(at->writer, sizeof at->writer, "%s", writer);
    (void)snprintf(at->reason, sizeof at->reason, "%s", reason);
    return 0;
}

int64_t store_next_due(struct store *q, const char *writer)
{
    struct err ignored = ERR_INIT;
    int64_t word, due = 0;
    sqlite3_stmt *s = get_stmt(q, ST_NEXT_DUE, &ignored);
    if (!s || word_find(&q->d, writer, &word, &ignored) != 0)
        return 0;
    bind_int(s, 1, word);
    if (db_row(&q->d, s, "cannot look for due deliveries", &ignored) == 1)
        due = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return due;
}

/* ---- accounts and counters ---- */

int store_account(struct store *q, int64_t message_id, const char *fate, const char *reason, unsigned n, struct err *e)
{
    int64_t fate_word, reason_word;
    sqlite3_stmt *s;
    if (n == 0)
        return 0;
    if (batch_begin(q, e) != 0 || put_word(q, fate, &fate_word, e) != 0 || put_word(q, reason, &reason_word, e) != 0)
        return -1;
    s = put_stmt(q, ST_ACCOUNT, e);
    if (!s)
        return -1;
    bind_int(s, 1, message_id);
    bind_int(s, 2, fate_word);
    bind_int(s, 3, reason_word);
    bind_int(s, 4, (int64_t)n);
    return put_run(q, s, "cannot account", e);
}

int store_count(struct store *q, const char *channel, const char *what, int64_t n, struct err *e)
{
    int64_t channel_word, what_word;
    if (batch_begin(q, e) != 0 || put_word(q, channel, &channel_word, e) != 0 || put_word(q, what, &what_word, e) != 0)
        return -1;
    for (size_t i = 0; i < q->counters_n; i++)
        if (q->counters[i].channel == channel_word && q->counters[i].what == what_word) {
            q->counters[i].n += n;
            return 0;
        }
    if (q->counters_n == q->counters_cap) {
        q->counters_cap = q->counters_cap ? 2 * q->counters_cap : 16;
        q->counters = xreallocarray(q->counters, q->counters_cap, sizeof *q->counters);
    }
    q->counters[q->counters_n++] = (struct store_counter){channel_word, what_word, n};
    return 0;
}

/* ---- targets ---- */

/* The row that s stands on, reset after it. */
static int target_from_row(struct store *q, sqlite3_stmt *s, const char *result_key, struct store_target *out, struct err *e)
{
    const char *type = word_get(&q->d, sqlite3_column_int64(s, 3), e);
    if (type) {
        size_t n = strnlen(result_key, sizeof out->result_key - 1);
        memcpy(out->result_key, result_key, n);
        memcpy(out->k, out->result_key, sizeof out->k - 1);
        out->remote_id = column_text(s, 1);
        out->person_id = column_text(s, 2);
        out->person_type = xstrdup(type);
        out->body = column_text(s, 4);
        out->issued_us = sqlite3_column_int64(s, 5);
        out->written_us = sqlite3_column_int64(s, 6);
        out->delivery_id = sqlite3_column_int64(s, 7);
        out->rank = sqlite3_column_int(s, 8);
        out->is_tombstone = sqlite3_column_int(s, 9) != 0;
    }
    (void)sqlite3_reset(s);
    return type ? 0 : -1;
}

int store_get_target(struct store *q, const char *result_key, struct store_target *out, struct err *e)
{
    unsigned char key[32];
    sqlite3_stmt *s = get_stmt(q, ST_GET_TARGET, e);
    int rc;
    *out = (struct store_target){0};
    if (!s)
        return -1;
    bind_int(s, 1, key_number(result_key));
    bind_key(s, 2, result_key, key);
    rc = db_row(&q->d, s, "cannot read the target", e);
    return rc == 1 ? target_from_row(q, s, result_key, out, e) : rc < 0 ? -1 : 1;
}

int store_find_target(struct store *q, const char *k, const char *person_id, struct store_target *out, struct err *e)
{
    char low[65], high[65];
    sqlite3_stmt *s = get_stmt(q, ST_FIND_TARGET, e);
    int rc;
    *out = (struct store_target){0};
    if (!s)
        return -1;
    if (strlen(k) != 8)
        return 1;
    memset(low, '0', 64);
    memset(high, 'f', 64);
    memcpy(low, k, 8);
    memcpy(high, k, 8);
    low[64] = high[64] = '\0';
    bind_int(s, 1, key_number(low));
    bind_int(s, 2, key_number(high));
    bind_text(s, 3, person_id);
    rc = db_row(&q->d, s, "cannot look for a target", e);
    if (rc != 1)
        return rc < 0 ? -1 : 1;
    char *key = column_key(s, 10);
    rc = target_from_row(q, s, key, out, e);
    free(key);
    return rc;
}

int store_put_target(struct store *q, const struct store_target *t, struct err *e)
{
    static const enum store_stmt tries[] = {ST_UPDATE_TARGET, ST_ADD_TARGET};
    unsigned char key[32];
    int64_t type;
    if (!t->result_key[0])
        return err_set(e, ERR_BUG, q->d.path, "a target needs a result key");
    if (batch_begin(q, e) != 0 || put_word(q, t->person_type, &type, e) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *s = put_stmt(q, tries[i], e);
        if (!s)
            return -1;
        bind_int(s, 1, key_number(t->result_key));
        bind_key(s, 2, t->result_key, key);
        bind_text(s, 3, t->remote_id);
        bind_text(s, 4, t->person_id);
        bind_int(s, 5, type);
        bind_text(s, 6, t->body);
        bind_int(s, 7, t->issued_us);
        bind_int(s, 8, t->written_us);
        bind_int(s, 9, t->delivery_id);
        bind_int(s, 10, t->rank);
        bind_int(s, 11, t->is_tombstone);
        if (put_run(q, s, "cannot store the target", e) != 0)
            return -1;
        if (sqlite3_changes64(q->d.db) > 0)
            break;
    }
    CRASH_POINT("store_put_target");
    return 0;
}

void store_target_clear(struct store_target *t)
{
    free(t->remote_id);
    free(t->person_id);
    free(t->person_type);
    free(t->body);
    *t = (struct store_target){0};
}

/* ---- audit and small values ---- */

int store_audit(struct store *q, const char *who, const char *action, int64_t delivery_id, int64_t message_id, const char *reason, struct err *e)
{
    unsigned char hash[32];
    int64_t us = clock_now_us();
    sqlite3_stmt *s = put_stmt(q, ST_AUDIT, e);
    if (!s)
        return -1;
    reason = reason ? reason : "";
    audit_link(q->next.audit_hash, q->next.audit, us, who, action, delivery_id, message_id, reason, hash);
    bind_int(s, 1, q->next.audit);
    bind_int(s, 2, us);
    bind_text(s, 3, who);
    bind_text(s, 4, action);
    bind_int(s, 5, delivery_id);
    bind_int(s, 6, message_id);
    bind_text(s, 7, reason);
    bind_blob(s, 8, hash, sizeof hash);
    if (put_run(q, s, "cannot write the audit", e) != 0)
        return -1;
    memcpy(q->next.audit_hash, hash, sizeof hash);
    q->next.audit++;
    return 0;
}

int64_t store_get_memory(struct store *q, const char *owner, const char *key, int64_t def)
{
    struct err ignored = ERR_INIT;
    sqlite3_stmt *s = get_stmt(q, ST_GET_MEMORY, &ignored);
    if (!s)
        return def;
    bind_text(s, 1, owner);
    bind_text(s, 2, key);
    if (db_row(&q->d, s, "cannot read", &ignored) == 1)
        def = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return def;
}

int store_put_memory(struct store *q, const char *owner, const char *key, int64_t v, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_PUT_MEMORY, e);
    if (!s)
        return -1;
    bind_text(s, 1, owner);
    bind_text(s, 2, key);
    bind_int(s, 3, v);
    return put_run(q, s, "cannot write", e);
}

int store_put_config(struct store *q, const char *hash, int64_t *number_out, struct err *e)
{
    sqlite3_stmt *s = put_stmt(q, ST_GET_CONFIG, e);
    int rc;
    if (!s)
        return -1;
    bind_text(s, 1, hash);
    rc = db_row(&q->d, s, "cannot read", e);
    if (rc == 1)
        *number_out = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    if (rc < 0)
        return batch_break(q, e);
    if (rc == 1)
        return 0;
    s = put_stmt(q, ST_PUT_CONFIG, e);
    if (!s)
        return -1;
    bind_text(s, 1, hash);
    if (put_run(q, s, "cannot write", e) != 0)
        return -1;
    *number_out = sqlite3_last_insert_rowid(q->d.db);
    return 0;
}
