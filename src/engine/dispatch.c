/*
 * NAME dispatch - which delivery goes to a courier next.
 *
 * Small active set, big disk queue: at most ACTIVE_MAX deliveries of a writer are in memory, in order of (next_us, id).
 * A lane (writer, person) has at most one task under way, and within the active set the order of a lane is the order of ids.
 * A delivery whose result key has another one with an open end (claimed, or outcome unknown) waits for that one.
 * Nothing is handed to a courier before the commit of its claim: tasks collect in tasks_out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crash.h"
#include "inner.h"
#include "log.h"
#include "rule_codes.h"
#include "watch.h"
#include "xmem.h"

#define LOOK_AGAIN_US 200000        /* how soon the store is asked again when nothing woke us */
#define COMMIT_US 8000              /* a slow commit with what comes before and after it */
#define BEHIND_MAX 15               /* tasks that wait behind the one a courier has */
#define BEHIND_US 20000             /* how long after a version with an open end the next one of its key is looked at again */
#define OLD_KEY_US (60LL * 24 * 3600 * 1000000)

static int64_t memory_get(void *ctx, const char *writer, const char *key, int64_t def)
{
    struct engine *g = ctx;
    return store_get_memory(g->env.store, writer, key, def);
}

static void memory_put(void *ctx, const char *writer, const char *key, int64_t v)
{
    struct engine *g = ctx;
    struct err e = ERR_INIT;
    if (store_put_memory(g->env.store, writer, key, v, &e))
        log_err(LOG_ERROR, "cannot keep a writer's note", &e);
}

int dispatch_open_writer(struct engine *g, const struct writer_conf *c, struct writer_run *out, struct err *e)
{
    struct writer_memory mem = {.ctx = g, .store = g->env.store, .get = memory_get, .put = memory_put};
    *out = (struct writer_run){.conf = c, .last_mode = WRITER_STARTING};
    if (c->ops->open(&out->w, c->name, c->options, &mem, e))
        return err_prefix(e, "write \"%s\"", c->name);
    out->pool = courier_open(c->name, (size_t)c->couriers, g->env.inbox);
    return 0;
}

void dispatch_close_writer(struct writer_run *w)
{
    courier_close(w->pool);
    w->pool = NULL;
    while (w->first)
        dispatch_forget(w, w->first);
    match_close(w);
    if (w->w)
        w->conf->ops->close(w->w);
    w->w = NULL;
}

void dispatch_tell_needs(struct engine *g)
{
    for (size_t i = 0; i < g->n_writers; i++)
        if (g->writers[i].conf->ops->needs)
            g->writers[i].conf->ops->needs(g->writers[i].w, rule_needs(g->conf->rules, g->writers[i].conf->name));
}

int dispatch_open(struct engine *g, struct err *e)
{
    g->n_writers = g->conf->n_writers;
    g->writers = xcalloc(g->n_writers, sizeof *g->writers);
    for (size_t i = 0; i < g->n_writers; i++)
        if (dispatch_open_writer(g, &g->conf->writers[i], &g->writers[i], e))
            return -1;
    dispatch_tell_needs(g);
    return 0;
}

void dispatch_stop(struct engine *g)
{
    for (size_t i = 0; i < g->n_writers; i++) {
        courier_close(g->writers[i].pool);
        g->writers[i].pool = NULL;
    }
    for (struct leaving *x = g->leaving; x; x = x->next) {
        courier_close(x->run.pool);
        x->run.pool = NULL;
    }
}

void dispatch_close(struct engine *g)
{
    dispatch_stop(g);
    /* Answers that came in while the couriers ended are of no use any more: a claimed delivery is read back at the next start. */
    for (struct mail *m = mailbox_take_all(g->env.inbox), *next; m; m = next) {
        next = m->next;
        if (m->kind == MAIL_TASK)
            task_free((struct task *)(void *)m);
        else if (m->kind == MAIL_FRAME)
            frame_free((struct frame *)(void *)m);
        else if (m->kind == MAIL_RELOAD)
            reload_free(m);
        else if (m->kind == MAIL_ALARM)
            free(m);
        else
            control_mail_free((struct control_mail *)(void *)m);
    }
    for (size_t i = 0; i < g->n_writers; i++)
        dispatch_close_writer(&g->writers[i]);
    for (struct leaving *x = g->leaving, *after; x; x = after) {
        after = x->next;
        dispatch_close_writer(&x->run);
        free(x);
    }
    g->leaving = NULL;
    free(g->writers);
    g->writers = NULL;
    g->n_writers = 0;
}

struct active *dispatch_find(struct writer_run *w, int64_t delivery_id)
{
    for (struct active *x = w->first; x; x = x->next)
        if (x->d.id == delivery_id)
            return x;
    return NULL;
}

void dispatch_forget(struct writer_run *w, struct active *x)
{
    for (struct active **p = &w->first; *p; p = &(*p)->next)
        if (*p == x) {
            *p = x->next;
            w->n_active--;
            if (x->is_busy)
                w->n_busy--;
            delivery_clear(&x->d);
            free(x);
            return;
        }
}

void dispatch_wake(struct engine *g, const char *writer)
{
    for (size_t i = 0; i < g->n_writers; i++)
        if (strcmp(g->writers[i].conf->name, writer) == 0) {
            g->writers[i].is_exhausted = false;
            g->writers[i].look_next_us = 0;
        }
}

static bool comes_before(const struct delivery *a, const struct delivery *b)
{
    return a->next_us != b->next_us ? a->next_us < b->next_us : a->id < b->id;
}

static size_t lane_count(const struct writer_run *w, const char *lane)
{
    size_t n = 0;
    for (const struct active *x = w->first; x; x = x->next)
        n += strcmp(x->d.lane, lane) == 0;
    return n;
}

/* Lanes with more than LANE_LOW in memory; the first STORE_EXCEPT_MAX of them by name. */
static size_t crowded_lanes(const struct writer_run *w, const char *lane[STORE_EXCEPT_MAX])
{
    size_t n = 0;
    for (const struct active *x = w->first; x && n < STORE_EXCEPT_MAX; x = x->next) {
        bool is_known = false;
        for (size_t i = 0; i < n && !is_known; i++)
            is_known = strcmp(lane[i], x->d.lane) == 0;
        if (!is_known && lane_count(w, x->d.lane) > LANE_LOW)
            lane[n++] = x->d.lane;
    }
    return n;
}

bool dispatch_is_crowded(struct writer_run *w, const struct active *x)
{
    const char *lane[STORE_EXCEPT_MAX];
    if (lane_count(w, x->d.lane) <= LANE_MAX)
        return false;
    w->n_crowded = crowded_lanes(w, lane);
    return true;
}

static int refill(struct engine *g, struct writer_run *w, int64_t now, struct err *e)
{
    const char *lane[STORE_EXCEPT_MAX];
    struct delivery *v = NULL;
    size_t n = 0, max = w->n_active + ACTIVE_MAX, n_lanes;
    bool is_early = w->is_exhausted && now < w->look_next_us;
    if (w->n_active > ACTIVE_MAX / 2 || (is_early && w->n_crowded == 0))
        return 0;
    n_lanes = crowded_lanes(w, lane);
    if (is_early && n_lanes >= w->n_crowded)
        return 0;
    if (store_find_due(g->env.store, w->conf->name, now, lane, n_lanes, max, &v, &n, e))
        return -1;
    w->is_exhausted = n < max;
    w->look_next_us = now + LOOK_AGAIN_US;
    struct active **at = &w->first;
    for (size_t i = 0; i < n; i++) {
        w->is_exhausted = w->is_exhausted && w->n_active < ACTIVE_MAX;     /* no room: the rest is still there */
        if (w->n_active >= ACTIVE_MAX || dispatch_find(w, v[i].id) || lane_count(w, v[i].lane) >= LANE_MAX) {
            delivery_clear(&v[i]);
            continue;
        }
        struct active *x = xcalloc(1, sizeof *x);
        x->d = v[i];
        at = &w->first;
        while (*at && comes_before(&(*at)->d, &x->d))
            at = &(*at)->next;
        x->next = *at;
        *at = x;
        w->n_active++;
    }
    free(v);
    w->n_crowded = crowded_lanes(w, lane);
    return 0;
}

/* The lanes that a pass has met, as hashes: FIFO within a lane. Two lanes with one hash only wait for each other. */
struct lanes { uint64_t v[LANE_HASH]; };

static bool lane_take(struct lanes *l, const char *lane)
{
    uint64_t h = 14695981039346656037u;
    for (const char *p = lane; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    h |= 1; /* 0 marks a free place */
    size_t i = h % LANE_HASH;
    while (l->v[i]) {
        if (l->v[i] == h)
            return false;
        i = (i + 1) % LANE_HASH;
    }
    l->v[i] = h;
    return true;
}

static struct task *task_new(struct writer_run *w, enum task_kind kind)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->mail.kind = MAIL_TASK;
    t->kind = kind;
    t->writer = w->conf->name;
    t->w = w->w;
    t->ops = w->conf->ops;
    t->options = w->conf->options;
    return t;
}

static void task_put(struct engine *g, struct task *t)
{
    t->mail.next = NULL;
    *g->tasks_last = t;
    g->tasks_last = (struct task **)(void *)&t->mail.next;
}

void dispatch_put_task(struct engine *g, struct writer_run *w, struct task *t)
{
    t->mail.kind = MAIL_TASK;
    t->writer = w->conf->name;
    t->w = w->w;
    t->ops = w->conf->ops;
    t->options = w->conf->options;
    w->conf->ops->arm(w->w, t);
    w->n_busy++;
    task_put(g, t);
}

/* Another version of the key whose end is open: this one has to wait for it. A change that may still be carried out would overwrite it. */
static bool has_open_end(const struct delivery *other, const struct delivery *d)
{
    if (other->id == d->id)
        return false;
    if (other->state == DELIVERY_CLAIMED || (other->state == DELIVERY_WAITING && other->step == STEP_READBACK))
        return true;
    return other->id < d->id && other->state == DELIVERY_WAITING && (other->step == STEP_UPDATE || other->step == STEP_REMOVE);
}

/* until_us: when the other is due, if it waits for that (it may stand behind this one in the lane). */
static int key_is_blocked(struct engine *g, const struct delivery *d, int64_t now, bool *is_blocked, int64_t *until_us, struct err *e)
{
    struct delivery *v = NULL;
    size_t n = 0;
    if (store_find_open(g->env.store, d->result_key, &v, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (has_open_end(&v[i], d)) {
            int64_t due = v[i].next_us > now ? v[i].next_us : now;
            *is_blocked = true;
            if (v[i].state == DELIVERY_WAITING && *until_us < due + BEHIND_US)
                *until_us = due + BEHIND_US;
        }
    deliveries_free(v, n);
    return 0;
}

/* The person is known: create, update, remove, or nothing at all. Decides d->step, or ends the delivery. */
static int decide(struct engine *g, struct delivery *d, int64_t now, struct store_target *t, bool *is_over, struct err *e)
{
    int found = store_get_target(g->env.store, d->result_key, t, e);
    bool is_withdrawal = d->rank == RANK_WITHDRAWN;
    if (found < 0)
        return -1;
    *is_over = true;
    delivery_set(&d->remote_id, "");
    if (found == 1) {
        if (is_withdrawal) {
            d->state = DELIVERY_WITHDRAWN;
            delivery_set(&d->reason, "NOTHING_TO_WITHDRAW");
            return 0;
        }
        d->step = STEP_CREATE;
        *is_over = false;
        return 0;
    }
    enum version_order order = version_compare(d->issued_us, d->rank, d->body, t->issued_us, t->rank, t->body);
    switch (order) {
    case VERSION_OLDER:
        d->state = DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, "OLDER");
        return 0;
    case VERSION_SAME:
        if (!is_withdrawal && strcmp(t->person_id, d->person_id) != 0)
            break; /* the same result, but of somebody else */
        d->state = DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, "SAME_AGAIN");
        return 0;
    case VERSION_TIE:
        if (d->flags & DELIVERY_FORCE_TIE)
            break;
        d->state = DELIVERY_HELD;
        delivery_set(&d->reason, "VERSION_TIE");
        return 0;
    case VERSION_NEWER:
        break;
    }
    if (t->is_tombstone) {
        if (order == VERSION_SAME && !(d->flags & DELIVERY_FORCE_PERSON)) {
            d->state = DELIVERY_HELD;
            delivery_set(&d->reason, "PERSON_CHANGED");
            return 0;
        }
        if (is_withdrawal) {
            d->state = DELIVERY_SUPERSEDED;
            delivery_set(&d->reason, "SAME_AGAIN");
            return 0;
        }
        d->step = STEP_CREATE;
        *is_over = false;
        return 0;
    }
    if (strcmp(t->body, d->body) == 0 && strcmp(t->person_id, d->person_id) == 0 && !is_withdrawal) {
        d->state = DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, "SAME_AGAIN");
        return 0;
    }
    if (strcmp(t->person_id, d->person_id) != 0 && d->flags & DELIVERY_FORCE_PERSON) {
        d->step = STEP_REMOVE; /* there; here it is written anew (life.c) */
        delivery_set(&d->remote_id, t->remote_id);
        *is_over = false;
        return 0;
    }
    if (strcmp(t->person_id, d->person_id) != 0) {
        d->state = DELIVERY_HELD;
        delivery_set(&d->reason, "PERSON_CHANGED");
        return 0;
    }
    if (t->written_us < now - OLD_KEY_US && !(d->flags & DELIVERY_FORCE_OLD)) {
        d->state = DELIVERY_HELD;
        delivery_set(&d->reason, "OLD_KEY");
        return 0;
    }
    d->step = is_withdrawal ? STEP_REMOVE : STEP_UPDATE;
    delivery_set(&d->remote_id, t->remote_id);
    *is_over = false;
    return 0;
}

/* Hands one delivery to a courier (after the commit), or ends it where there is nothing to write. */
static int start(struct engine *g, struct writer_run *w, struct active *x, int64_t now, struct err *e)
{
    struct delivery *d = &x->d;
    struct store_target target = {.remote_id = NULL};
    bool is_over = false, is_blocked = false;
    int64_t until_us = 0, since_us = d->updated_us;
    int rc = -1;
    bool is_write = d->step == STEP_CREATE || d->step == STEP_UPDATE || d->step == STEP_REMOVE;
    if (d->step == STEP_PERSON) {       /* nothing to compare: its own look decides */
        d->updated_us = now;
        d->state = DELIVERY_CLAIMED;
        d->flags |= DELIVERY_HAD_INTENT;
        if (store_update_delivery(g->env.store, d, e))
            return -1;
        CRASH_POINT("claimed");
    }
    if (is_write) {
        if (key_is_blocked(g, d, now, &is_blocked, &until_us, e))
            return -1;
        if (is_blocked && until_us) {   /* it gives way, or the one it waits for could never pass it in the lane */
            d->next_us = until_us;
            if (store_update_delivery(g->env.store, d, e))
                return -1;
            dispatch_wake(g, w->conf->name);
            dispatch_forget(w, x);
        }
        if (is_blocked)
            return 0;
        d->updated_us = now;
        if (d->flags & DELIVERY_IS_PERSON ? person_decide(g, d, &target, &is_over, e) : decide(g, d, now, &target, &is_over, e))
            goto out;
        if (is_over) {
            if (d->state == DELIVERY_SUPERSEDED && strcmp(d->reason, "SAME_AGAIN") == 0 &&
                (d->issued_us > target.issued_us || (d->issued_us == target.issued_us && d->rank > target.rank))) {
                target.issued_us = d->issued_us; /* confirmed again later: an older correction must not undo it */
                target.rank = d->rank;
                if (store_put_target(g->env.store, &target, e))
                    goto out;
            }
            /* Withdrawn before it came: an older version that comes later must not be written. */
            if (d->state == DELIVERY_WITHDRAWN && settle_put_target(g, d, "", true, now, e))
                goto out;
            if (store_update_delivery(g->env.store, d, e))
                goto out;
            log_event(LOG_INFO, "settled", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id),
                      log_word("status", delivery_state_name(d->state)), log_word("reason", d->reason));
            dispatch_forget(w, x);
            rc = 0;
            goto out;
        }
        d->state = DELIVERY_CLAIMED;
        if (store_update_delivery(g->env.store, d, e))
            goto out;
        CRASH_POINT("claimed");
    }
    struct task *t = task_new(w, TASK_STEP);
    t->step = d->step;
    t->delivery_id = d->id;
    t->result_key = xstrdup(d->result_key);
    t->who = xstrdup(d->who);
    t->body = xstrdup(d->body);
    bool is_elsewhere = is_write && life_is_elsewhere(d, &target);
    t->person_id = xstrdup(is_elsewhere ? target.person_id : d->person_id);
    t->person_type = xstrdup(is_elsewhere ? target.person_type : d->person_type);
    t->flags = d->flags;
    t->remote_id = xstrdup(d->remote_id);
    t->last_body = xstrdup(target.body ? target.body : "");
    t->must_look = d->step == STEP_CREATE && (d->flags & DELIVERY_FORCE_EXISTS || !w->conf->ops->must_look || w->conf->ops->must_look(w->w, d, since_us, now));
    bool may_write = d->step == STEP_CREATE || d->step == STEP_UPDATE || d->step == STEP_READBACK;
    if (may_write && (d->flags & DELIVERY_HAS_FILES) && files_load(g, d, t, e)) {
        task_free(t);
        goto out;
    }
    w->conf->ops->arm(w->w, t);
    x->is_busy = true;
    w->n_busy++;
    task_put(g, t);
    rc = 0;
out:
    store_target_clear(&target);
    return rc;
}

static void note_mode(struct writer_run *w, const struct writer_status *s)
{
    if (s->mode == w->last_mode)
        return;
    if (w->last_mode == WRITER_READY)
        courier_recall(w->pool);    /* what has not begun need not wait for its own failure */
    w->last_mode = s->mode;
    switch (s->mode) {
    case WRITER_STARTING:
        break;
    case WRITER_READY:
        log_event(LOG_INFO, "writer ready", log_word("writer", w->conf->name));
        break;
    case WRITER_PAUSED:
        log_event(LOG_ERROR, "writer paused", log_word("writer", w->conf->name), log_word("reason", s->reason ? s->reason : ""), log_text("detail", s->detail));
        break;
    }
}

/* Tasks under way: enough that couriers never wait for a commit, few enough that they are begun soon. One waits behind each that is done;
 * where answers come faster than commits, as many as fill the time of one. */
static size_t room_of(const struct writer_run *w)
{
    int64_t behind = w->took_us > 0 ? COMMIT_US / w->took_us : 1;
    return (size_t)w->conf->couriers * (size_t)(1 + (behind < 1 ? 1 : behind > BEHIND_MAX ? BEHIND_MAX : behind));
}

/* By a person: nothing at all leaves. */
static bool is_paused(const struct engine *g, const struct writer_run *w)
{
    return g->watch->writers_paused[w - g->writers];
}

static int writer_turn(struct engine *g, struct writer_run *w, int64_t now, struct err *e)
{
    struct writer_status s = {.mode = WRITER_STARTING};
    struct lanes *lanes;
    int rc = 0;
    if (w->is_behind || is_paused(g, w))
        return 0;
    if (!w->is_chore_busy) {
        int64_t next = 0;
        struct task *t = w->conf->ops->chore(w->w, now, &next);
        w->chore_next_us = next;
        if (t) {
            t->mail.kind = MAIL_TASK;
            t->kind = TASK_CHORE;
            t->writer = w->conf->name;
            t->w = w->w;
            t->ops = w->conf->ops;
            t->options = w->conf->options;
            w->is_chore_busy = true;
            task_put(g, t);
        }
    }
    w->conf->ops->status(w->w, &s);
    note_mode(w, &s);
    if (s.mode != WRITER_READY)
        return 0;
    if (match_again(g, w, now, e) || refill(g, w, now, e))
        return -1;
    w->is_match_late = false;
    w->match_until_us = clock_mono_us() + MATCH_SLICE_US;
    size_t room = room_of(w);
    if (!w->first || w->n_busy >= room)
        return 0;
    lanes = xcalloc(1, sizeof *lanes);
    for (struct active *x = w->first; x; x = x->next)
        if (x->is_busy) /* whatever stands before it in the list: one task at a time */
            (void)lane_take(lanes, x->d.lane);
    for (struct active *x = w->first, *next; x; x = next) {
        next = x->next;
        if (x->is_busy || !lane_take(lanes, x->d.lane))
            continue;
        if (w->n_busy >= room)
            break;
        if (x->d.step == STEP_FIND) {
            int known = life_recall(g, w, &x->d, e);
            if (known < 0) {
                rc = -1;
                break;
            }
            if (known && !lane_take(lanes, x->d.lane))
                continue;
        }
        if (x->d.step == STEP_FIND && w->conf->ops->match) {
            int m = match_delivery(g, w, x, now, e);
            rc = m < 0 ? -1 : 0;
            if (m < 0)
                break;
            if (m == 1 || (m == 0 && !lane_take(lanes, x->d.lane)))
                continue;           /* held, to wait, or the person's lane is busy */
        }
        if (start(g, w, x, now, e)) {
            rc = -1;
            break;
        }
    }
    free(lanes);
    return rc;
}

int dispatch_turn(struct engine *g, int64_t now, struct err *e)
{
    for (size_t i = 0; i < g->n_writers; i++)
        if (writer_turn(g, &g->writers[i], now, e))
            return -1;
    return 0;
}

int64_t dispatch_next_us(struct engine *g, int64_t now)
{
    int64_t best = -1;
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        if (w->is_behind || is_paused(g, w))
            continue;
        if (match_is_pending(w, now))
            return now;
        int64_t due = w->last_mode == WRITER_READY ? store_next_due(g->env.store, w->conf->name) : -1; /* a pause ends by a chore */
        if (due > 0 && due <= now)
            due = now + LOOK_AGAIN_US; /* due already: something in memory or a pause holds it; look again soon */
        if (!w->is_chore_busy && w->chore_next_us > 0 && (due <= 0 || w->chore_next_us < due))
            due = w->chore_next_us;
        if (due > 0 && (best < 0 || due < best))
            best = due;
    }
    return best;
}

void dispatch_send(struct engine *g)
{
    struct task *next;
    for (struct task *t = g->tasks_out; t; t = next) {
        next = (struct task *)(void *)t->mail.next;
        for (size_t i = 0; i < g->n_writers; i++)
            if (g->writers[i].conf->name == t->writer) {
                t->started_us = clock_now_us();
                courier_post(g->writers[i].pool, t);
                break;
            }
    }
    g->tasks_out = NULL;
    g->tasks_last = &g->tasks_out;
}

void dispatch_drop(struct engine *g)
{
    struct task *next;
    for (struct task *t = g->tasks_out; t; t = next) {
        next = (struct task *)(void *)t->mail.next;
        for (size_t i = 0; i < g->n_writers; i++) {
            struct writer_run *w = &g->writers[i];
            if (w->conf->name != t->writer)
                continue;
            struct active *x = t->kind == TASK_STEP ? dispatch_find(w, t->delivery_id) : NULL;
            if (t->kind == TASK_ASK)
                w->n_busy--;
            if (t->kind == TASK_CHORE) { /* the writer must know, or it would wait for its answer for ever */
                w->is_chore_busy = false;
                t->verdict = VERDICT_RETRY_LATER;
                t->reason = xstrdup("STOPPING");
                w->conf->ops->settle(w->w, t, clock_now_us());
            }
            if (x) {
                x->is_busy = false;
                w->n_busy--;
            }
        }
        task_free(t);
    }
    g->tasks_out = NULL;
    g->tasks_last = &g->tasks_out;
    /* Memory must not say more than the disk: all that is not with a courier is loaded again. */
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        for (struct active *x = w->first, *xn; x; x = xn) {
            xn = x->next;
            if (!x->is_busy)
                dispatch_forget(w, x);
        }
        w->is_exhausted = false;
        w->look_next_us = 0;
    }
}
