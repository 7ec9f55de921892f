/*
 * NAME life - one result through its versions, where it has to leave one place before it stands in another.
 *
 * A correction that leads to another person, confirmed by a person, is two durable steps and never a move: STEP_REMOVE at the old person
 * (untouched: deleted; else cleared), which leaves a tombstone under the key; then STEP_CREATE at the new one. A crash between them finds
 * either the old target (and withdraws again, which is harmless) or the tombstone (and writes).
 * RECALL  A person linked an earlier version of this result, and this one describes its patient in the very same words: it follows that link.
 * DIAGNOSTICS log line "starts anew".
 */
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "inner.h"
#include "log.h"
#include "xmem.h"

bool life_is_elsewhere(const struct delivery *d, const struct store_target *t)
{
    return d->step == STEP_REMOVE && t->person_id && t->person_id[0] && strcmp(t->person_id, d->person_id) != 0;
}

int life_start_anew(struct engine *g, struct delivery *d, int64_t now, struct err *e)
{
    struct store_target t = {.remote_id = NULL};
    int rc = store_get_target(g->env.store, d->result_key, &t, e);
    if (rc == 0) {
        t.is_tombstone = true;
        t.written_us = now;
        rc = store_put_target(g->env.store, &t, e);
    }
    store_target_clear(&t);
    if (rc < 0)
        return -1;
    CRASH_POINT("life_start_anew");
    d->state = DELIVERY_READY;
    d->step = STEP_CREATE;
    d->next_us = now;
    delivery_set(&d->remote_id, "");
    delivery_set(&d->reason, "");
    delivery_set(&d->detail, "");
    log_event(LOG_INFO, "starts anew", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id));
    return 0;
}

int life_recall(struct engine *g, struct writer_run *w, struct delivery *d, struct err *e)
{
    struct store_target t = {.remote_id = NULL};
    struct delivery before = {0};
    if (!g->knows_links) {
        g->has_links = store_get_memory(g->env.store, "review", "links", 0) > 0;
        g->knows_links = true;
    }
    if (!g->has_links || d->flags & (DELIVERY_IS_LINKED | DELIVERY_IS_PERSON | DELIVERY_LINK_LOST) || !d->result_key[0])
        return 0;
    int rc = store_get_target(g->env.store, d->result_key, &t, e);
    bool is_there = rc == 0 && !t.is_tombstone && t.delivery_id > 0;
    int got = is_there ? store_get_delivery(g->env.store, t.delivery_id, &before, e) : 1;
    bool is_linked = got == 0 && before.flags & DELIVERY_IS_LINKED && strcmp(before.person_id, t.person_id) == 0;
    if (is_linked && strcmp(before.who, d->who) == 0 && strcmp(before.writer, d->writer) == 0) {
        d->flags |= DELIVERY_IS_LINKED;
        dispatch_set_person(w, d, t.person_id, t.person_type);
    } else {
        is_linked = false;
    }
    delivery_clear(&before);
    store_target_clear(&t);
    return rc < 0 || got < 0 ? -1 : is_linked;
}
