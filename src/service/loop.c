/*
 * NAME loop - the LOOP thread: listeners, replies, stopping.
 *
 * One loop per process: the functions a listener gets (struct listener_env) carry no context, so the counters are static. All shared
 * with other threads is atomic; locks live in mailbox.c only.
 * DIAGNOSTICS error: each listener that cannot be opened; warning: connections cut at the end of the grace time.
 */
#include "loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mailbox.h"
#include "xmem.h"

#define STOP_LOOK_US 20000              /* how often a stopping loop looks whether all is said */

/* What a listener may count. */
static const char *const count_names[] = {"received", "refused", "empty", "stray-bytes", "connections-refused"};
#define N_COUNTS (sizeof count_names / sizeof count_names[0])

struct lane {                           /* one listener */
    const struct listener_conf *conf;
    struct listener *l;
    _Atomic int64_t counts[N_COUNTS];
    _Atomic bool is_paused;
};

struct loop {
    struct event_base *base;
    struct mailbox *replies;
    struct event *mail_ev, *stop_ev;
    struct lane *lanes;
    size_t n_lanes;
    bool is_stopping;                   /* LOOP's own view of stop_asked */
    int64_t stop_until_us;
};

static struct loop *the_loop;           /* set before the thread starts, cleared after it ended */
static _Atomic int64_t inflight;
static _Atomic bool accepting, stop_asked;
static _Atomic int64_t stop_grace_us;
static _Atomic uint64_t reply_id;

static int64_t inflight_bytes(void)
{
    return atomic_load_explicit(&inflight, memory_order_relaxed);
}

static void account_bytes(int64_t delta)
{
    int64_t before = atomic_fetch_add_explicit(&inflight, delta, memory_order_relaxed);
    assert(before + delta >= 0);
}

static struct lane *lane_named(const struct loop *l, const char *listener)
{
    for (size_t i = 0; i < l->n_lanes; i++)
        if (strcmp(l->lanes[i].conf->name, listener) == 0)
            return &l->lanes[i];
    return NULL;
}

static bool is_accepting(const char *listener)
{
    struct lane *lane = lane_named(the_loop, listener);
    return atomic_load(&accepting) && !atomic_load(&stop_asked) && lane && !atomic_load(&lane->is_paused);
}

/* Steps of 16: a busy answer may use some ids behind its seed. */
static uint64_t next_reply_id(void)
{
    return atomic_fetch_add(&reply_id, 16);
}

static void count(const char *listener, const char *what, int64_t n)
{
    struct lane *lane = lane_named(the_loop, listener);
    for (size_t k = 0; lane && k < N_COUNTS; k++)
        if (strcmp(count_names[k], what) == 0) {
            (void)atomic_fetch_add(&lane->counts[k], n);
            return;
        }
    assert(false && "a count that nobody knows");
}

static struct lane *lane_find(struct loop *l, const struct listener *x)
{
    for (size_t i = 0; i < l->n_lanes; i++)
        if (l->lanes[i].l == x)
            return &l->lanes[i];
    return NULL;
}

static bool is_all_said(const struct loop *l)
{
    for (size_t i = 0; i < l->n_lanes; i++)
        if (!l->lanes[i].conf->ops->is_idle(l->lanes[i].l))
            return false;
    return true;
}

static void stop_begin(struct loop *l)
{
    struct timeval tv = {.tv_usec = STOP_LOOK_US};
    l->is_stopping = true;
    l->stop_until_us = clock_mono_us() + atomic_load(&stop_grace_us);
    for (size_t i = 0; i < l->n_lanes; i++)
        l->lanes[i].conf->ops->stop_accepting(l->lanes[i].l);
    (void)event_add(l->stop_ev, &tv);
}

static void on_stop_look(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    bool is_late = clock_mono_us() >= l->stop_until_us;
    (void)fd;
    (void)what;
    if (!is_late && !is_all_said(l))
        return;
    if (is_late && !is_all_said(l))
        log_event(LOG_WARNING, "stopping with connections that were not answered");
    (void)event_base_loopbreak(l->base);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    struct mail *next;
    (void)fd;
    (void)what;
    for (struct mail *m = mailbox_take_all(l->replies); m; m = next) {
        struct reply *r = (struct reply *)(void *)m;
        next = m->next;
        struct lane *lane = lane_find(l, r->listener);
        if (lane)
            lane->conf->ops->reply(lane->l, r);
        reply_free(r);
    }
    if (atomic_load(&stop_asked) && !l->is_stopping)
        stop_begin(l);
}

static int listeners_open(struct loop *l, const struct config *c, const struct loop_env *env, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < c->n_listeners; i++) {
        struct lane *lane = &l->lanes[i];
        struct listener_env le = {.base = l->base, .engine = env->engine, .name = lane->conf->name, .index = lane->conf->index, .parser = lane->conf->parser,
                                  .parser_options = lane->conf->parser_options, .node = c->node, .budget_bytes = env->budget_bytes, .inflight_bytes = inflight_bytes,
                                  .account_bytes = account_bytes, .is_accepting = is_accepting, .next_reply_id = next_reply_id, .count = count};
        if (lane->conf->ops->open(&lane->l, lane->conf->options, &le, e)) {
            log_err(LOG_ERROR, "cannot open the listener", e);
            lane->l = NULL;
            rc = -1;
        }
    }
    return rc;
}

int loop_open(struct loop **out, const struct config *c, const struct loop_env *env, struct err *e)
{
    struct loop *l = xcalloc(1, sizeof *l);
    struct event_config *ec = event_config_new();
    assert(!the_loop);
    the_loop = l;
    atomic_store(&inflight, 0);
    atomic_store(&accepting, true);
    atomic_store(&stop_asked, false);
    atomic_store(&reply_id, env->reply_id_seed);
    l->replies = env->replies;
    l->n_lanes = c->n_listeners;
    l->lanes = xcalloc(c->n_listeners, sizeof *l->lanes);
    for (size_t i = 0; i < c->n_listeners; i++)
        l->lanes[i].conf = &c->listeners[i];
    if (ec)
        (void)event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK);
    l->base = ec ? event_base_new_with_config(ec) : NULL;
    event_config_free(ec);
    if (l->base) {
        l->mail_ev = event_new(l->base, mailbox_fd(l->replies), EV_READ | EV_PERSIST, on_mail, l);
        l->stop_ev = event_new(l->base, -1, EV_PERSIST, on_stop_look, l);
    }
    if (!l->mail_ev || !l->stop_ev || event_add(l->mail_ev, NULL) != 0) {
        (void)err_set(e, ERR_TEMP, "loop", "cannot make the event loop");
        loop_close(l);
        return -1;
    }
    if (listeners_open(l, c, env, e)) {
        loop_close(l);
        return -1;
    }
    *out = l;
    return 0;
}

void loop_run(struct loop *l)
{
    (void)event_base_dispatch(l->base);
}

void loop_stop(struct loop *l, int64_t grace_us)
{
    atomic_store(&stop_grace_us, grace_us);
    atomic_store(&stop_asked, true);
    mailbox_wake(l->replies);           /* rings the descriptor that the loop watches */
}

void loop_set_accepting(struct loop *l, bool on)
{
    (void)l;
    atomic_store(&accepting, on);
}

void loop_set_paused(struct loop *l, const char *listener, bool on)
{
    struct lane *lane = lane_named(l, listener);
    if (lane)
        atomic_store(&lane->is_paused, on);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_take_counts(struct loop *l, void (*fn)(void *ctx, const char *listener, const char *what, int64_t n), void *ctx)
{
    for (size_t i = 0; i < l->n_lanes; i++)
        for (size_t k = 0; k < N_COUNTS; k++) {
            int64_t n = atomic_exchange(&l->lanes[i].counts[k], 0);
            if (n)
                fn(ctx, l->lanes[i].conf->name, count_names[k], n);
        }
}

void loop_close(struct loop *l)
{
    struct mail *next;
    if (!l)
        return;
    for (size_t i = 0; i < l->n_lanes; i++)
        if (l->lanes[i].l)
            l->lanes[i].conf->ops->close(l->lanes[i].l);
    assert(inflight_bytes() == 0);      /* every listener gave back what it took */
    for (struct mail *m = mailbox_take_all(l->replies); m; m = next) {
        next = m->next;
        reply_free((struct reply *)(void *)m);
    }
    if (l->mail_ev)
        event_free(l->mail_ev);
    if (l->stop_ev)
        event_free(l->stop_ev);
    if (l->base)
        event_base_free(l->base);
    free(l->lanes);
    the_loop = NULL;
    free(l);
}
