/*
 * NAME settle - what a finished task means for its delivery, in the open batch.
 *
 * Exactly once: a delivery whose write may have been executed goes to WAITING with STEP_READBACK, due after settle-unknown; it is
 * written again only after a look that found nothing. An update that may have been executed is simply done again: it compares first.
 * DIAGNOSTICS one line per answer: ids, verdict, HTTP status, reason word, tries, and where the time went.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crash.h"
#include "inner.h"
#include "alarm.h"
#include "log.h"
#include "xmem.h"

#define FIND_AGAIN_MAX 3
#define TOOK_SHARE 8                /* a step counts an eighth in the average */
#define RETRY_FIRST_US 5000000LL    /* 5 s, doubled up to retry-max */

static int64_t back_off(const struct writer_conf *c, int tries)
{
    int64_t us = RETRY_FIRST_US;
    for (int i = 1; i < tries && us < c->retry_max_us; i++)
        us *= 2;
    return us < c->retry_max_us ? us : c->retry_max_us;
}

static void wait_until(struct delivery *d, enum delivery_state s, int64_t us, const struct task *t)
{
    d->state = s;
    d->next_us = us;
    d->tries++;
    delivery_set(&d->reason, t->reason);
    delivery_set(&d->detail, t->detail);
}

int settle_put_target(struct engine *g, const struct delivery *d, const char *remote_id, bool is_tombstone, int64_t now, struct err *e)
{
    struct store_target t = {.remote_id = xstrdup(remote_id), .person_id = xstrdup(d->person_id), .person_type = xstrdup(d->person_type),
                             .body = xstrdup(d->body), .issued_us = d->issued_us, .rank = d->rank, .written_us = now,
                             .delivery_id = d->id, .is_tombstone = is_tombstone};
    memcpy(t.result_key, d->result_key, strnlen(d->result_key, sizeof t.result_key - 1));
    memcpy(t.k, d->result_key, strnlen(d->result_key, sizeof t.k - 1));
    int rc = store_put_target(g->env.store, &t, e);
    store_target_clear(&t);
    return rc;
}

static int finish_write(struct engine *g, struct delivery *d, const char *remote_id, int64_t now, struct err *e)
{
    bool is_removed = d->rank == RANK_WITHDRAWN;
    d->state = is_removed ? DELIVERY_WITHDRAWN : DELIVERY_DELIVERED;
    if (remote_id != d->remote_id)
        delivery_set(&d->remote_id, remote_id);
    delivery_set(&d->reason, "");
    delivery_set(&d->detail, "");
    return settle_put_target(g, d, d->remote_id, is_removed, now, e);
}

static void after_find(struct writer_run *w, struct delivery *d, const struct task *t)
{
    dispatch_set_person(w, d, t->found_id, t->found_type);
    d->state = DELIVERY_READY;
}

static int apply(struct engine *g, struct writer_run *w, struct delivery *d, const struct task *t, int64_t now, struct err *e)
{
    enum delivery_step step = t->step;
    if (t->reason && strcmp(t->reason, "STOPPING") == 0) { /* never begun */
        if (d->state == DELIVERY_CLAIMED)
            d->state = DELIVERY_READY;
        return 0;
    }
    switch (t->verdict) {
    case VERDICT_DELIVERED:
        switch (step) {
        case STEP_FIND:
            after_find(w, d, t);
            return 0;
        case STEP_PERSON:
            after_find(w, d, t);
            d->flags &= ~DELIVERY_IS_FORCED;        /* that was about the person */
            return (d->flags & DELIVERY_IS_PERSON) && t->created_id ? finish_write(g, d, t->created_id, now, e) : 0;
        case STEP_CREATE:
            return finish_write(g, d, t->created_id, now, e);
        case STEP_REMOVE:
            if (d->rank != RANK_WITHDRAWN) /* gone at the person that it stood with by mistake */
                return life_start_anew(g, d, now, e);
            return finish_write(g, d, d->remote_id, now, e);
        case STEP_UPDATE:
            return finish_write(g, d, d->remote_id, now, e);
        case STEP_READBACK:
            if (d->remote_id[0]) { /* an update or removal with an open end: do it again, it compares first */
                d->state = DELIVERY_READY;
                d->step = d->rank == RANK_WITHDRAWN ? STEP_REMOVE : STEP_UPDATE;
                d->next_us = now;
                return 0;
            }
            if (!t->is_absent)
                return finish_write(g, d, t->created_id, now, e);
            d->state = DELIVERY_READY;
            d->step = STEP_CREATE;
            d->next_us = now;
            return 0;
        }
        return 0;
    case VERDICT_RETRY_LATER:
        wait_until(d, DELIVERY_WAITING, now + (t->retry_after_us > 0 && t->retry_after_us < w->conf->retry_max_us ? t->retry_after_us : back_off(w->conf, d->tries + 1)), t);
        return 0;
    case VERDICT_UNREACHABLE:
        wait_until(d, DELIVERY_WAITING, now + back_off(w->conf, 1), t); /* the writer's own pause spaces the tries */
        return 0;
    case VERDICT_UNAUTHORIZED:
        if (d->state == DELIVERY_CLAIMED)
            d->state = DELIVERY_READY; /* nothing was executed; the login chore comes first */
        return 0;
    case VERDICT_REJECTED:
        if (t->reason && strcmp(t->reason, "DELETED_IN_GODATA") == 0 && d->flags & DELIVERY_FORCE_DELETED && step == STEP_UPDATE)
            return life_start_anew(g, d, now, e);
        if (t->reason && strcmp(t->reason, "PERSON_GONE") == 0 && d->tries < FIND_AGAIN_MAX && !(d->flags & DELIVERY_IS_LINKED)) {
            wait_until(d, DELIVERY_READY, now, t); /* deleted or merged since the look: nothing was written, look again */
            d->step = STEP_FIND;
            return 0;
        }
        if (t->reason && strcmp(t->reason, "PERSON_GONE") == 0)
            d->flags = (d->flags & ~DELIVERY_IS_LINKED) | DELIVERY_LINK_LOST; /* whoever was chosen is there no more */
        match_hold(w, d, t, now);
        (void)person_meet_no_match(g, w, d);
        return 0;
    case VERDICT_UNKNOWN:
        wait_until(d, DELIVERY_WAITING, now + w->conf->settle_unknown_us, t);
        if (step == STEP_CREATE)
            d->step = STEP_READBACK;
        return 0;
    }
    return 0;
}

int settle_task(struct engine *g, struct task *t, int64_t now, struct err *e)
{
    struct writer_run *w = writer_of(g, t);
    if (!w)
        return err_set(e, ERR_BUG, "settle", "a task of an unknown writer");
    w->requests += t->requests;
    w->conf->ops->settle(w->w, t, now);
    if (t->kind == TASK_CHORE) {
        w->is_chore_busy = false;
        return 0;
    }
    if (t->kind == TASK_ASK) {
        w->n_busy--;
        review_answered(g, w, t, e);
        return 0;
    }
    if (!t->reason || strcmp(t->reason, "STOPPING") != 0)
        w->took_us += ((t->ended_us > t->started_us ? t->ended_us - t->started_us : 0) - w->took_us) / TOOK_SHARE;
    struct active *x = dispatch_find(w, t->delivery_id);
    if (!x)
        return err_set(e, ERR_BUG, "settle", "an answer for delivery d%lld that is not under way", (long long)t->delivery_id);
    struct delivery *d = &x->d;
    enum delivery_state before = d->state;
    d->updated_us = now;
    if (t->step != STEP_FIND && t->found_type && t->found_type[0] && strcmp(t->person_id, d->person_id) == 0)
        delivery_set(&d->person_type, t->found_type); /* converted between case and contact since */
    if (apply(g, w, d, t, now, e) || store_update_delivery(g->env.store, d, e))
        return -1;
    CRASH_POINT("settled");
    if (d->state == DELIVERY_DELIVERED)
        w->delivered++;
    if (d->rank == RANK_WITHDRAWN && (d->state == DELIVERY_WITHDRAWN || d->state == DELIVERY_HELD)) /* STANDARDS 8.8: somebody has to know */
        alarm_event(g, d->state == DELIVERY_HELD ? "withdrawal-held" : "withdrawn", w->conf->name, 'd', d->id);
    x->is_busy = false;
    w->n_busy--;
    log_event(t->verdict == VERDICT_DELIVERED ? LOG_INFO : LOG_WARNING, "answer", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id),
              log_word("writer", t->writer), log_word("step", delivery_step_name(t->step)), log_word("verdict", verdict_name(t->verdict)),
              log_word("status", delivery_state_name(d->state)), log_word("reason", d->reason), log_int("http", t->http_status),
              log_int("tries", d->tries), log_ms("took", t->ended_us - t->started_us));
    if (d->state != DELIVERY_READY || before != DELIVERY_READY || dispatch_is_crowded(w, x)) {
        if (d->state == DELIVERY_READY)
            dispatch_wake(g, w->conf->name);
        dispatch_forget(w, x); /* ended, held or waiting: the store has it */
    }
    return 0;
}
