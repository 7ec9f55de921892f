/*
 * NAME engine - the turns of the ENGINE thread.
 *
 * A turn: take all that waits; frames and answers go into one open batch (closed at commit-delay or commit-bytes); deliveries that are
 * due are claimed in the same batch; ONE commit; then replies leave and tasks go to couriers.
 * CRASH STATES before the commit nothing happened; after it a reply or a task may be lost with the process: the sender sends again
 * (duplicate rule), a claimed delivery is read back.
 * DIAGNOSTICS "store refuses" (disk full; senders get 207) and "store failed" (I/O error; the engine stops silently and at once).
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "clock.h"
#include "control.h"
#include "crash.h"
#include "fsutil.h"
#include "inner.h"
#include "log.h"
#include "alarm.h"
#include "watch.h"
#include "xmem.h"

#define IDLE_US 1000000LL           /* an idle turn: expiry, disk floor, counts of the loop */
#define PROBE_US 2000000LL          /* how often a refusing store is tried again */
#define JUMP_US 10000000LL          /* a step of the wall clock that counts as a jump */
#define JUMP_WAIT_MAX_US 900000000LL    /* nobody waits longer than this past a jump (retry-max, when that is longer) */
#define PATIENCE 40                 /* times commit-delay, when nobody waits for the answer … */
#define PATIENT_MAX_US 200000LL     /* … and at most this */

/* After the clock was set back nothing may wait for the time that it showed before. */
static int rewind_due(struct engine *g, int64_t now, struct err *e)
{
    for (size_t i = 0; i < g->conf->n_writers; i++) {
        const struct writer_conf *c = &g->conf->writers[i];
        int64_t most = c->retry_max_us > JUMP_WAIT_MAX_US ? c->retry_max_us : JUMP_WAIT_MAX_US;
        if (store_rewind_due(g->env.store, c->name, now, most, g->settle_us, e))
            return -1;
        if (g->writers)
            dispatch_wake(g, c->name);
    }
    return 0;
}

int engine_open(struct engine **out, const struct engine_env *env, struct err *e)
{
    struct engine *g = xcalloc(1, sizeof *g);
    int64_t recovered = 0;
    g->env = *env;
    g->conf = env->conf;
    g->frames_last = &g->frames;
    g->tasks_last = &g->tasks_out;
    g->started_us = clock_now_us();
    /* Reply ids: microseconds since 1970 never repeat across starts (base 36: 11 characters). */
    g->reply_id = (uint64_t)g->started_us;
    *out = g;
    g->clock_offset_us = g->started_us - clock_mono_us();
    if (reload_open(g, e) || store_recover(env->store, g->started_us, g->settle_us, &recovered, e) || rewind_due(g, g->started_us, e) || store_commit(env->store, e))
        return -1;
    import_sweep(g->conf->store.path);
    log_event(LOG_INFO, "engine started", log_word("node", g->conf->node), log_word("config", g->conf->hash), log_int("number", g->config_number),
              log_int("unknown", recovered));
    return watch_open(g, e) || alarm_open(g, e) ? -1 : dispatch_open(g, e);
}

void engine_set_loop(struct engine *g, struct loop *loop)
{
    g->env.loop = loop;
    watch_tell_loop(g);
    person_tell_loop(g);
}

void engine_stop(struct engine *g)
{
    __atomic_store_n(&g->stop, 1, __ATOMIC_RELEASE);
    mailbox_wake(g->env.inbox);
}

void engine_close(struct engine *g)
{
    if (!g)
        return;
    review_drop(g);
    reload_stop(g);
    alarm_close(g);
    dispatch_close(g);
    again_close(g);
    watch_close(g);
    reload_close(g);
    arena_free(g->spare);
    arena_free(g->work);
    free(g);
}

static void take_count(void *ctx, const char *listener, const char *what, int64_t n)
{
    struct engine *g = ctx;
    struct err e = ERR_INIT;
    if (store_count(g->env.store, listener, what, n, &e))
        log_err(LOG_ERROR, "cannot count", &e);
    const struct listener_conf *lc = strcmp(what, "received") == 0 ? config_listener_find(g->conf, listener) : NULL;
    if (lc)
        watch_heard(g, lc->index, n, clock_now_us());
}

static void put_answer(struct engine *g, struct task *t)
{
    t->mail.next = NULL;
    struct task **p = &g->answers;
    while (*p)
        p = (struct task **)(void *)&(*p)->mail.next;
    *p = t;
}


static void free_answers(struct engine *g)
{
    for (struct task *t = g->answers, *next; t; t = next) {
        next = (struct task *)(void *)t->mail.next;
        task_free(t);
    }
    g->answers = NULL;
}

static int run_control(struct engine *g, struct control_mail *c, struct err *e)
{
    g->asking = c;
    c->answer = command_run(g, c->request, &c->is_telling, e);
    g->asking = NULL;
    if (!c->answer)
        return 0; /* a courier has to ask first */
    c->mail.next = g->controls ? &g->controls->mail : NULL;
    g->controls = c;
    int rc = g->is_broken ? -1 : 0;
    g->is_broken = false;
    return rc;
}

static void post_controls(struct engine *g, bool is_committed)
{
    struct control_mail *next;
    for (struct control_mail *c = g->controls; c; c = next) {
        next = (struct control_mail *)(void *)c->mail.next;
        if (!is_committed && !c->is_telling) {
            free(c->answer);
            c->answer = xstrdup("{\"error\":\"the store does not take anything now: nothing was changed\"}");
        }
        mailbox_post(g->env.control_replies, &c->mail);
    }
    g->controls = NULL;
}

void engine_set_accepting(const struct engine *g)
{
    if (g->env.loop)
        loop_set_accepting(g->env.loop, !g->is_refusing && !g->is_low && !g->is_capped);
}

/* Nothing of the batch was stored. Frames are refused, answers are kept for the next try, claims are forgotten. */
static int batch_failed(struct engine *g, const struct err *why)
{
    log_err(LOG_ERROR, why->kind == ERR_TEMP ? "store refuses" : "store failed", why);
    store_rollback(g->env.store);
    if (why->kind != ERR_TEMP)
        return -1; /* after an I/O error nobody is told anything: every sender sends again */
    intake_reply(g, false);
    post_controls(g, false);
    /* An answer that could not be kept: its delivery is still CLAIMED on disk and is read back when the store takes again. */
    g->must_recover = g->must_recover || g->answers != NULL;
    dispatch_drop(g);
    review_drop(g);
    again_failed(g);
    reload_failed(g);
    for (struct task *t = g->answers; t; t = (struct task *)(void *)t->mail.next)
        if (t->kind == TASK_STEP) {
            struct writer_run *w = NULL;
            struct active *x = active_find(g, t->delivery_id, &w);
            if (x)
                dispatch_forget(w, x);
        }
    free_answers(g);
    struct err ignored = ERR_INIT;
    alarm_lost(g);
    (void)watch_open(g, &ignored); /* a pause that was not stored was not made */
    g->is_refusing = true;
    g->probe_us = clock_mono_us() + PROBE_US;
    engine_set_accepting(g);
    return 0;
}

static int close_batch(struct engine *g)
{
    struct err e = ERR_INIT;
    CRASH_POINT("before_commit");
    if (watch_keep(g, &e) || (store_is_dirty(g->env.store) && store_commit(g->env.store, &e)))
        return batch_failed(g, &e);
    CRASH_POINT("after_commit");
    intake_reply(g, true);
    post_controls(g, true);
    CRASH_POINT("after_reply");
    dispatch_send(g);
    alarm_send(g, true);
    free_answers(g);
    log_flush();
    return 0;
}

static int take_mail(struct engine *g, struct mail *m, struct err *e)
{
    switch ((enum mail_kind)m->kind) {
    case MAIL_FRAME:
        return intake_frame(g, (struct frame *)(void *)m, e);
    case MAIL_TASK:
        put_answer(g, (struct task *)(void *)m);
        return settle_task(g, (struct task *)(void *)m, clock_now_us(), e);
    case MAIL_CONTROL:
        if (reload_ask(g, (struct control_mail *)(void *)m))
            return 0;
        return run_control(g, (struct control_mail *)(void *)m, e);
    case MAIL_RELOAD:
        break; /* not within a batch: see turn() */
    case MAIL_ALARM:
        return alarm_told(g, (struct notice *)(void *)m, e);
    }
    return err_set(e, ERR_BUG, "engine", "unknown mail");
}

/* A batch of files alone may stay open longer: thousands of them must not cost an fsync each. */
static bool batch_is_full(const struct engine *g, int64_t opened_us)
{
    int64_t delay = g->conf->store.commit_delay_us;
    bool is_patient = !g->answers;
    for (const struct pending_frame *pf = g->frames; pf && is_patient; pf = pf->next)
        is_patient = pf->f->is_patient;
    if (is_patient)
        delay = delay * PATIENCE < PATIENT_MAX_US ? delay * PATIENCE : PATIENT_MAX_US;
    return g->frames_bytes >= (size_t)g->conf->store.commit_bytes || clock_mono_us() - opened_us >= delay;
}

static bool may_dispatch(const struct engine *g)
{
    return !g->is_refusing && !__atomic_load_n(&g->stop, __ATOMIC_ACQUIRE);
}

/* The store is asked whether it takes again: disk floor and a commit of its own. */
static void probe(struct engine *g)
{
    struct err e = ERR_INIT;
    int64_t recovered = 0;
    int percent = fs_free_percent(g->conf->store.path);
    bool is_low = percent >= 0 && percent < g->conf->store.disk_free_min_percent;
    if (g->is_refusing && clock_mono_us() >= g->probe_us) {
        g->probe_us = clock_mono_us() + PROBE_US;
        if (store_put_memory(g->env.store, "engine", "probe", clock_now_us(), &e) == 0 &&
            (!g->must_recover || store_recover(g->env.store, clock_now_us(), g->settle_us, &recovered, &e) == 0) &&
            store_commit(g->env.store, &e) == 0) {
            g->is_refusing = false;
            g->must_recover = false;
            log_event(LOG_INFO, "store takes again", log_int("disk_free_percent", percent));
            engine_set_accepting(g);
        } else {
            store_rollback(g->env.store);
        }
    }
    if (is_low != g->is_low) {
        g->is_low = is_low;
        log_event(is_low ? LOG_ERROR : LOG_INFO, is_low ? "disk is nearly full: not accepting" : "disk has room again", log_int("disk_free_percent", percent));
        engine_set_accepting(g);
    }
}

static int look_at_clock(struct engine *g, struct err *e)
{
    int64_t now = clock_now_us(), offset = now - clock_mono_us(), step = offset - g->clock_offset_us;
    g->clock_offset_us = offset;
    if (step < JUMP_US && step > -JUMP_US)
        return 0;
    log_event(LOG_WARNING, "clock jumped", log_int("seconds", step / 1000000));
    return rewind_due(g, now, e);
}

static int idle(struct engine *g, struct err *e)
{
    if (g->env.loop)
        loop_take_counts(g->env.loop, take_count, g);
    probe(g);
    status_idle(g);
    if (!g->is_refusing && (part_give_up(g, clock_now_us(), e) || look_at_clock(g, e)))
        return -1;
    if (alarm_idle(g, e))
        return -1;
    if (!g->is_refusing && retain_idle(g, clock_now_us(), e))
        return -1;
    return 0;
}

static int turn(struct engine *g, struct mail *list)
{
    struct err e = ERR_INIT;
    int64_t opened = clock_mono_us();
    while (list) {
        struct mail *m = list;
        list = m->next;
        m->next = NULL;
        if (m->kind == MAIL_RELOAD) { /* between two commits */
            if (close_batch(g) || (reload_step(g, m, &e) && batch_failed(g, &e)))
                return -1;
            e = ERR_INIT;
            opened = clock_mono_us();
        } else if (take_mail(g, m, &e)) {
            if (batch_failed(g, &e))
                return -1;
            e = ERR_INIT;
            opened = clock_mono_us();
        } else if (batch_is_full(g, opened)) {
            if ((may_dispatch(g) && dispatch_turn(g, clock_now_us(), &e)) || retain_turn(g, &e) ? batch_failed(g, &e) : close_batch(g))
                return -1;
            e = ERR_INIT;
            opened = clock_mono_us();
        }
    }
    reload_reap(g);
    if (may_dispatch(g) && (reload_turn(g, &e) || again_turn(g, clock_now_us(), &e)))
        return batch_failed(g, &e);
    if ((may_dispatch(g) && dispatch_turn(g, clock_now_us(), &e)) || retain_turn(g, &e))
        return batch_failed(g, &e);
    return close_batch(g);
}

int engine_run(struct engine *g)
{
    int64_t idle_at = 0;
    log_hold();
    while (!__atomic_load_n(&g->stop, __ATOMIC_ACQUIRE)) {
        int64_t now = clock_now_us(), mono = clock_mono_us(), wait = IDLE_US, due = dispatch_next_us(g, now);
        if (due >= 0 && due - now < wait)
            wait = due > now ? due - now : 0;
        if ((again_is_pending(g) || reload_is_keeping(g)) && may_dispatch(g))
            wait = 0;
        if (g->retain.is_making_room && g->retain.next_us - mono < wait)
            wait = g->retain.next_us > mono ? g->retain.next_us - mono : 0;
        (void)mailbox_wait(g->env.inbox, wait);
        struct err e = ERR_INIT;
        if (!mailbox_count(g->env.inbox) && wait)
            store_idle(g->env.store);
        if (clock_mono_us() >= idle_at) {
            idle_at = clock_mono_us() + IDLE_US;
            if (idle(g, &e) && batch_failed(g, &e))
                return -1;
        }
        if (turn(g, mailbox_take_all(g->env.inbox)))
            return -1;
    }
    /* Stop: what was taken is committed; what still waits in the inbox was promised nothing. */
    struct err e = ERR_INIT;
    (void)idle(g, &e);
    int rc = turn(g, mailbox_take_all(g->env.inbox));
    if (rc == 0) { /* what couriers still did is written down: nothing of it is in doubt at the next start */
        dispatch_stop(g);
        alarm_stop(g);
        rc = turn(g, mailbox_take_all(g->env.inbox));
    }
    log_flush();
    return rc;
}
