/*
 * NAME match - whose a delivery is, by what its writer knows without a request; and again when the writer learnt something.
 *
 * The writer decides (writer_ops.match); this file turns the verdict into states. A look takes microseconds by identifier and some
 * milliseconds by name: a turn spends MATCH_SLICE_US at most, the rest follows in the next one.
 * AGAIN  A change at the other side starts a pass over what is held for want of a person. Passes look by key only, which is what can end a
 * hold; the evidence of the others is renewed by a whole pass, never more often than each WHOLE_EVERY_US and a tenth of the time.
 * DIAGNOSTICS log lines "held", "matched again".
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"
#include "xmem.h"

#define PAGE 32                     /* held deliveries read at once */
#define WHOLE_EVERY_US 5000000LL
#define SHARE 10                    /* passes take a tenth of the time at most */

struct rematch {
    uint64_t seen;                  /* the writer's changes that a pass has begun to look at */
    bool has_seen, is_running, is_whole, wants_whole;
    size_t reason;                  /* place in match_reasons */
    int64_t after_id, spent_us, next_us, next_whole_us;
};

void dispatch_set_person(struct writer_run *w, struct delivery *d, const char *id, const char *type)
{
    struct buf lane;
    buf_init(&lane, 1024);
    buf_addf(&lane, "%s/%s", w->conf->name, id);
    delivery_set(&d->lane, lane.p);
    buf_clear(&lane);
    delivery_set(&d->person_id, id);
    delivery_set(&d->person_type, type);
    d->step = STEP_CREATE;          /* decided against the target when its turn comes */
}

static void hold(struct delivery *d, const struct matched *m, int64_t now)
{
    d->state = DELIVERY_HELD;
    d->updated_us = now;
    delivery_set(&d->reason, m->reason);
    delivery_set(&d->detail, m->evidence);
}

int match_delivery(struct engine *g, struct writer_run *w, struct active *x, int64_t now, struct err *e)
{
    struct delivery *d = &x->d;
    struct matched m = {.state = MATCH_WAIT};
    int rc = 1;
    if (clock_mono_us() >= w->match_until_us) {
        w->is_match_late = true;
        return 1;
    }
    w->conf->ops->match(w->w, d, MATCH_WHOLE, now, &m);
    switch (m.state) {
    case MATCH_FOUND:
        dispatch_set_person(w, d, m.person_id, m.person_type);
        rc = 0;
        break;
    case MATCH_HELD:
        hold(d, &m, now);
        if (person_meet_no_match(g, w, d) && d->state == DELIVERY_READY) {
            rc = 0;
            break;
        }
        rc = store_update_delivery(g->env.store, d, e) ? -1 : 1;
        if (rc > 0) {
            log_event(LOG_WARNING, delivery_state_name(d->state), log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id), log_word("reason", d->reason));
            dispatch_forget(w, x);
        }
        break;
    case MATCH_ASK:
        rc = 2;
        break;
    case MATCH_WAIT:
        break;
    }
    matched_clear(&m);
    return rc;
}

static bool is_match_reason(const struct writer_run *w, const char *reason)
{
    for (const char *const *r = w->conf->ops->match_reasons; r && *r && reason; r++)
        if (strcmp(*r, reason) == 0)
            return true;
    return false;
}

void match_hold(struct writer_run *w, struct delivery *d, const struct task *t, int64_t now)
{
    struct matched m = {.state = MATCH_WAIT};
    d->state = DELIVERY_HELD;
    delivery_set(&d->reason, t->reason && t->reason[0] ? t->reason : "REJECTED");
    delivery_set(&d->detail, t->evidence && t->evidence[0] ? t->evidence : t->detail);
    if (t->step != STEP_FIND || !w->conf->ops->match || !is_match_reason(w, t->reason))
        return;
    d->flags |= DELIVERY_WAS_ASKED;
    w->conf->ops->match(w->w, d, MATCH_WHOLE, now, &m);
    if (m.state == MATCH_FOUND) {   /* learnt while the question was under way */
        d->state = DELIVERY_READY;
        d->next_us = now;
        delivery_set(&d->reason, "");
        delivery_set(&d->detail, "");
    } else if (m.state == MATCH_HELD && (strcmp(t->reason, "NO_MATCH") == 0 || strcmp(t->reason, m.reason) == 0)) {
        hold(d, &m, now);
    }
    matched_clear(&m);
}

/* ---- again ---- */

static int look_again(struct engine *g, struct writer_run *w, struct delivery *d, bool is_whole, int64_t now, struct err *e)
{
    struct matched m = {.state = MATCH_WAIT};
    int rc = 0;
    d->flags |= DELIVERY_WAS_ASKED;
    w->conf->ops->match(w->w, d, MATCH_BY_KEY, now, &m);
    if (m.state != MATCH_FOUND && is_whole) {
        matched_clear(&m);
        w->conf->ops->match(w->w, d, MATCH_WHOLE, now, &m);
    }
    if (m.state == MATCH_FOUND) {
        d->state = DELIVERY_READY;
        d->step = STEP_FIND;
        d->next_us = d->updated_us = now;
        d->tries = 0;
        d->flags &= ~DELIVERY_WAS_ASKED;
        delivery_set(&d->reason, "");
        delivery_set(&d->detail, "");
        rc = store_update_delivery(g->env.store, d, e);
        log_event(LOG_INFO, "matched again", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id));
        dispatch_wake(g, w->conf->name);
    } else if (m.state == MATCH_HELD && is_whole && !(d->flags & DELIVERY_MAY_CREATE) &&
               (strcmp(m.reason, d->reason) != 0 || strcmp(m.evidence ? m.evidence : "", d->detail) != 0)) {
        int64_t held_us = d->updated_us;
        hold(d, &m, now);
        d->updated_us = held_us;    /* held since then: other evidence makes it no younger */
        rc = store_update_delivery(g->env.store, d, e);
    }
    matched_clear(&m);
    return rc;
}

bool match_is_pending(const struct writer_run *w, int64_t now)
{
    const struct rematch *r = w->rematch;
    if (!w->conf->ops->match || w->last_mode != WRITER_READY)
        return false;
    if (w->is_match_late || !r || !r->has_seen || r->is_running)
        return true;
    return now >= r->next_us && (r->seen != w->conf->ops->changes(w->w) || (r->wants_whole && now >= r->next_whole_us));
}

static void start_pass(struct writer_run *w, int64_t now)
{
    struct rematch *r = w->rematch;
    r->seen = w->conf->ops->changes(w->w);
    r->has_seen = r->is_running = true;
    r->is_whole = now >= r->next_whole_us;
    r->wants_whole = !r->is_whole;
    r->reason = 0;
    r->after_id = r->spent_us = 0;
}

static void end_pass(struct rematch *r, int64_t now)
{
    r->next_us = now + r->spent_us * SHARE;
    if (r->is_whole)
        r->next_whole_us = now + (r->spent_us * SHARE > WHOLE_EVERY_US ? r->spent_us * SHARE : WHOLE_EVERY_US);
}

int match_again(struct engine *g, struct writer_run *w, int64_t now, struct err *e)
{
    int64_t began = clock_mono_us(), until = began + MATCH_SLICE_US;
    if (!w->conf->ops->match)
        return 0;
    if (!w->rematch)
        w->rematch = xcalloc(1, sizeof *w->rematch);
    struct rematch *r = w->rematch;
    if (!match_is_pending(w, now))
        return 0;
    if (r->next_whole_us > now + 3600 * 1000000LL)
        r->next_us = r->next_whole_us = now;    /* the clock was set back */
    if (!r->is_running)
        start_pass(w, now);
    while (r->is_running && clock_mono_us() < until) {
        const char *reason = w->conf->ops->match_reasons[r->reason];
        struct delivery *v = NULL;
        size_t n = 0;
        int rc = 0;
        if (!reason) {
            r->is_running = false;
            break;
        }
        if (store_find_held(g->env.store, w->conf->name, reason, r->after_id, PAGE, &v, &n, e))
            return -1;
        for (size_t i = 0; i < n && rc == 0 && (i == 0 || clock_mono_us() < until); i++) {
            r->after_id = v[i].id;
            rc = look_again(g, w, &v[i], r->is_whole, now, e);
        }
        deliveries_free(v, n);
        if (rc)
            return -1;
        if (n == 0) {
            r->reason++;
            r->after_id = 0;
        }
    }
    r->spent_us += clock_mono_us() - began;
    if (!r->is_running)
        end_pass(r, now);
    return 0;
}

void match_close(struct writer_run *w)
{
    free(w->rematch);
    w->rematch = NULL;
}
