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
#include "xmem.h"

#define LOOK_AGAIN_US 200000        /* how soon the store is asked again when nothing woke us */
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

int dispatch_open(struct engine *g, struct err *e)
{
    struct writer_memory mem = {.ctx = g, .get = memory_get, .put = memory_put};
    g->n_writers = g->conf->n_writers;
    g->writers = xcalloc(g->n_writers, sizeof *g->writers);
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        w->conf = &g->conf->writers[i];
        w->last_mode = WRITER_STARTING;
        if (w->conf->ops->open(&w->w, w->conf->name, w->conf->options, &mem, e))
            return err_prefix(e, "write \"%s\"", w->conf->name);
        w->pool = courier_open(w->conf->name, (size_t)w->conf->couriers, g->env.inbox);
    }
    return 0;
}

void dispatch_close(struct engine *g)
{
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        if (w->pool)
            courier_close(w->pool);
    }
    /* Answers that came in while the couriers ended are of no use any more: a claimed delivery is read back at the next start. */
    for (struct mail *m = mailbox_take_all(g->env.inbox), *next; m; m = next) {
        next = m->next;
        if (m->kind == MAIL_TASK)
            task_free((struct task *)(void *)m);
        else if (m->kind == MAIL_FRAME)
            frame_free((struct frame *)(void *)m);
        else
            free(m);
    }
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        while (w->first)
            dispatch_forget(w, w->first);
        if (w->w)
            w->conf->ops->close(w->w);
    }
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

static int refill(struct engine *g, struct writer_run *w, int64_t now, struct err *e)
{
    struct delivery *v = NULL;
    size_t n = 0;
    if (w->n_active > ACTIVE_MAX / 2 || (w->is_exhausted && now < w->look_next_us))
        return 0;
    if (store_find_due(g->env.store, w->conf->name, now, w->n_active + ACTIVE_MAX, &v, &n, e))
        return -1;
    w->is_exhausted = n < w->n_active + ACTIVE_MAX;
    w->look_next_us = now + LOOK_AGAIN_US;
    struct active **at = &w->first;
    for (size_t i = 0; i < n; i++) {
        if (w->n_active >= ACTIVE_MAX || dispatch_find(w, v[i].id)) {
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

/* Another version of the key whose end is open: this one has to wait for it. */
static int key_is_blocked(struct engine *g, const struct delivery *d, bool *is_blocked, struct err *e)
{
    struct delivery *v = NULL;
    size_t n = 0;
    if (store_find_open(g->env.store, d->result_key, &v, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (v[i].id != d->id && (v[i].state == DELIVERY_CLAIMED || (v[i].state == DELIVERY_WAITING && v[i].step == STEP_READBACK)))
            *is_blocked = true;
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
    switch (version_compare(d->issued_us, d->rank, d->body, t->issued_us, t->rank, t->body)) {
    case VERSION_OLDER:
        d->state = DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, "OLDER");
        return 0;
    case VERSION_SAME:
        d->state = DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, "SAME_AGAIN");
        return 0;
    case VERSION_TIE:
        d->state = DELIVERY_HELD;
        delivery_set(&d->reason, "VERSION_TIE");
        return 0;
    case VERSION_NEWER:
        break;
    }
    if (t->is_tombstone) {
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
    if (strcmp(t->person_id, d->person_id) != 0) {
        d->state = DELIVERY_HELD;
        delivery_set(&d->reason, "PERSON_CHANGED");
        return 0;
    }
    if (t->written_us < now - OLD_KEY_US) {
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
    int rc = -1;
    bool is_write = d->step == STEP_CREATE || d->step == STEP_UPDATE || d->step == STEP_REMOVE;
    if (is_write) {
        d->updated_us = now;
        if (key_is_blocked(g, d, &is_blocked, e))
            return -1;
        if (is_blocked)
            return 0;
        if (decide(g, d, now, &target, &is_over, e))
            goto out;
        if (is_over) {
            if (d->state == DELIVERY_SUPERSEDED && strcmp(d->reason, "SAME_AGAIN") == 0 && d->issued_us > target.issued_us) {
                target.issued_us = d->issued_us; /* confirmed again later: an older correction must not undo it */
                target.rank = d->rank;
                if (store_put_target(g->env.store, &target, e))
                    goto out;
            }
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
    t->person_id = xstrdup(d->person_id);
    t->person_type = xstrdup(d->person_type);
    t->remote_id = xstrdup(d->remote_id);
    t->last_body = xstrdup(target.body ? target.body : "");
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

static int writer_turn(struct engine *g, struct writer_run *w, int64_t now, struct err *e)
{
    struct writer_status s = {.mode = WRITER_STARTING};
    struct lanes *lanes;
    int rc = 0;
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
    if (refill(g, w, now, e))
        return -1;
    size_t room = (size_t)w->conf->couriers * 2;
    if (!w->first || w->n_busy >= room)
        return 0;
    lanes = xcalloc(1, sizeof *lanes);
    for (struct active *x = w->first, *next; x; x = next) {
        next = x->next;
        bool is_free = lane_take(lanes, x->d.lane);
        if (!is_free || x->is_busy)
            continue;
        if (w->n_busy >= room)
            break;
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
        int64_t due = store_next_due(g->env.store, w->conf->name);
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
            if (t->kind == TASK_CHORE)
                w->is_chore_busy = false;
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
