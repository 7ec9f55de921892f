/*
 * NAME store_person - one person's messages, targets and mirror rows, erased on request.
 * secure_delete overwrites them in the file; the log that held them is emptied by the next store_idle().
 * DIAGNOSTICS as every put.
 */
#include "store_person.h"

#include "clock.h"
#include "store_db.h"

const char *person_erased_name(enum person_erased x)
{
    switch (x) {
    case PERSON_ERASED: return "erased";
    case PERSON_ABSENT: return "absent";
    case PERSON_OPEN: return "open";
    case PERSON_BUSY: return "busy";
    }
    return "?";
}

static enum person_erased may_erase(const struct delivery *v, size_t n, bool is_anyway)
{
    enum person_erased x = PERSON_ERASED;
    for (size_t i = 0; i < n; i++) {
        /* A create whose end is not known waits with STEP_READBACK; one that waits as such was not carried out. */
        bool is_out = v[i].state == DELIVERY_CLAIMED || (v[i].state == DELIVERY_WAITING && v[i].step != STEP_FIND && v[i].step != STEP_CREATE);
        if (is_out)
            return PERSON_BUSY;
        if (!delivery_is_final(v[i].state) && !is_anyway)
            x = PERSON_OPEN;
    }
    return x;
}

/* By the moves that a delivery may make. */
static int dismiss(struct store *q, struct delivery *d, struct err *e)
{
    d->updated_us = clock_now_us();
    delivery_set(&d->reason, "ERASED");
    delivery_set(&d->detail, "");
    if (d->state != DELIVERY_HELD) {
        d->state = DELIVERY_HELD;
        if (store_update_delivery(q, d, e) != 0)
            return -1;
    }
    d->state = DELIVERY_DISMISSED;
    return store_update_delivery(q, d, e);
}

static int is_waiting_part(struct store *q, int64_t id, bool *out, struct err *e)
{
    sqlite3_stmt *s = db_stmt(&q->d, ST_IS_FRAGMENT, e);
    int rc;
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, id);
    rc = db_row(&q->d, s, "cannot look for parts", e);
    (void)sqlite3_reset(s);
    *out = rc == 1;
    return rc < 0 ? batch_break(q, e) : 0;
}

int store_erase_of_person(struct store *q, int64_t message_id, const char *who, const char *why, bool is_anyway, enum person_erased *out, struct err *e)
{
    struct store_message_row m;
    struct delivery *v = NULL;
    size_t n = 0;
    bool is_part = false;
    int rc = batch_begin(q, e) != 0 ? -1 : store_get_message(q, message_id, &m, e);
    *out = PERSON_ABSENT;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    store_message_row_clear(&m);
    if (is_waiting_part(q, message_id, &is_part, e) != 0 || store_get_deliveries(q, message_id, &v, &n, e) != 0)
        return -1;
    *out = is_part ? PERSON_OPEN : may_erase(v, n, is_anyway);
    for (size_t i = 0; i < n && rc == 0 && *out == PERSON_ERASED; i++)
        if (!delivery_is_final(v[i].state))
            rc = dismiss(q, &v[i], e);
    deliveries_free(v, n);
    if (rc == 0 && *out == PERSON_ERASED)
        rc = store_erase_message(q, message_id, e) != 0 || store_audit(q, who, "erase", 0, message_id, why, e) != 0 ? -1 : 0;
    return rc;
}

int store_erase_person_id(struct store *q, const char *person_id, int64_t *n_out, struct err *e)
{
    static const enum store_stmt which[] = {ST_ERASE_PERSON_TARGETS, ST_ERASE_PERSON_MIRROR, ST_ERASE_PERSON_LABS};
    *n_out = 0;
    if (!*person_id)
        return 0;
    if (batch_begin(q, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        sqlite3_stmt *s = db_stmt(&q->d, which[i], e);
        if (!s)
            return batch_break(q, e);
        bind_text(s, 1, person_id);
        if (db_run(&q->d, s, "cannot erase", e) != 0)
            return batch_break(q, e);
        *n_out += sqlite3_changes64(q->d.db);
    }
    q->is_erased = q->is_erased || *n_out > 0;
    return 0;
}
