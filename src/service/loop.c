/*
 * NAME loop - the LOOP thread: listeners, replies, stopping.
 *
 * One loop per process: the functions a listener gets (struct listener_env) carry no context, so the counters are static. All shared
 * with other threads is atomic; locks live in mailbox.c only.
 * CHANGE new listeners are opened beside the old ones (a socket or lock that both need is shared), so that one that cannot be opened changes
 * nothing. Old ones end when all is said, after CHANGE_GRACE_US at the latest; the change is then posted back, behind their last frame.
 * DIAGNOSTICS error: each listener that cannot be opened; warning: connections cut at the end of the grace time.
 */
#include "loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mailbox.h"
#include "xmem.h"

#define STOP_LOOK_US 20000              /* how often a stopping loop looks whether all is said */
#define CHANGE_GRACE_US 5000000LL       /* how long a listener that goes may take to say its last answers */

/* What a listener may count. */
static const char *const count_names[] = {"received", "refused", "empty", "stray-bytes", "connections-refused"};
#define N_COUNTS (sizeof count_names / sizeof count_names[0])

struct tally {                          /* what was counted under a listener's name; stays until the loop is closed */
    struct tally *next;                 /* never changes once it is in the list */
    char *name;
    _Atomic int64_t counts[N_COUNTS];
    _Atomic bool is_paused, takes_persons;
};

struct lane {                           /* one listener */
    struct lane *next;
    size_t number;
    const struct listener_ops *ops;
    struct listener *l;
    char *name;
    bool is_new, is_leaving;            /* of the change that is under way */
    struct lane *waits_for;             /* its predecessor, when it stands by */
};

struct loop {
    struct event_base *base;
    struct mailbox *replies;
    struct mailbox *engine;
    struct event *mail_ev, *stop_ev, *leave_ev;
    struct lane *lanes;                 /* in the order they were opened */
    _Atomic(struct tally *) tallies;
    char *node;                         /* of the running configuration; listeners look at it through listener_env */
    int64_t budget_bytes;
    struct loop_change *change;         /* whose listeners are leaving */
    int64_t leave_until_us;
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

static struct tally *tally_named(struct loop *l, const char *listener)
{
    for (struct tally *t = atomic_load(&l->tallies); t; t = t->next)
        if (strcmp(t->name, listener) == 0)
            return t;
    return NULL;
}

static bool is_accepting(const char *listener)
{
    struct tally *t = tally_named(the_loop, listener);
    return atomic_load(&accepting) && !atomic_load(&stop_asked) && t && !atomic_load(&t->is_paused);
}

static bool takes_persons(const char *listener)
{
    struct tally *t = tally_named(the_loop, listener);
    return t && atomic_load(&t->takes_persons);
}

/* Steps of 16: a busy answer may use some ids behind its seed. */
static uint64_t next_reply_id(void)
{
    return atomic_fetch_add(&reply_id, 16);
}

static void count(const char *listener, const char *what, int64_t n)
{
    struct tally *t = tally_named(the_loop, listener);
    for (size_t k = 0; t && k < N_COUNTS; k++)
        if (strcmp(count_names[k], what) == 0) {
            (void)atomic_fetch_add(&t->counts[k], n);
            return;
        }
    assert(false && "a count that nobody knows");
}

static struct lane *lane_find(struct loop *l, const struct listener *x)
{
    for (struct lane *lane = l->lanes; lane; lane = lane->next)
        if (lane->l == x)
            return lane;
    return NULL;
}

static void tally_add(struct loop *l, const char *name)
{
    if (tally_named(l, name))
        return;
    struct tally *t = xcalloc(1, sizeof *t);
    t->name = xstrdup(name);
    t->next = atomic_load(&l->tallies);
    atomic_store(&l->tallies, t);
}

static void lane_close(struct loop *l, struct lane *x)
{
    for (struct lane **p = &l->lanes; *p; p = &(*p)->next)
        if (*p == x) {
            *p = x->next;
            break;
        }
    for (struct lane *o = l->lanes; o; o = o->next)
        if (o->waits_for == x)
            o->waits_for = NULL;
    if (x->l)
        x->ops->close(x->l);
    free(x->name);
    free(x);
}

/* The listener that one of a new configuration takes the place of: it has the address or the folder, or else the name. NULL: none.
 * *fd: what both need, shared, or -1. */
static struct lane *lane_before(struct loop *l, const struct listener_conf *c, int *fd)
{
    struct lane *named = NULL;
    for (struct lane *x = l->lanes; x; x = x->next) {
        if (x->is_new || x->ops != c->ops)
            continue;
        if (x->ops->share && (*fd = x->ops->share(x->l, c->options)) >= 0)
            return x;
        if (strcmp(x->name, c->name) == 0)
            named = x;
    }
    return named;
}

static int lane_open(struct loop *l, size_t number, const struct listener_conf *c, bool is_new, struct err *e)
{
    struct lane *x = xcalloc(1, sizeof *x), **last = &l->lanes;
    struct listener_env le = {.base = l->base, .engine = l->engine, .index = number, .parser = c->parser, .parser_options = c->parser_options,
                              .node = (const char *const *)&l->node, .budget_bytes = &l->budget_bytes, .socket = -1, .inflight_bytes = inflight_bytes,
                              .account_bytes = account_bytes, .is_accepting = is_accepting, .takes_persons = takes_persons, .next_reply_id = next_reply_id, .count = count};
    x->number = number;
    x->ops = c->ops;
    x->name = xstrdup(c->name);
    le.name = x->name;
    tally_add(l, x->name);
    struct lane *old = is_new ? lane_before(l, c, &le.socket) : NULL;
    x->is_new = is_new;
    le.is_standby = old && x->ops->start;
    x->waits_for = le.is_standby ? old : NULL;
    while (*last)
        last = &(*last)->next;
    *last = x;
    if (x->ops->open(&x->l, c->options, &le, e) == 0)
        return 0;
    log_err(LOG_ERROR, "cannot open the listener", e);
    x->l = NULL;
    lane_close(l, x);
    return -1;
}

static bool is_all_said(const struct loop *l)
{
    for (const struct lane *x = l->lanes; x; x = x->next)
        if (!x->ops->is_idle(x->l))
            return false;
    return true;
}

static void stop_begin(struct loop *l)
{
    struct timeval tv = {.tv_usec = STOP_LOOK_US};
    l->is_stopping = true;
    l->stop_until_us = clock_mono_us() + atomic_load(&stop_grace_us);
    for (struct lane *x = l->lanes; x; x = x->next)
        x->ops->stop_accepting(x->l);
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

/* ---- change ---- */

static void change_return(struct loop *l, struct loop_change *c)
{
    mailbox_post(l->engine, &c->mail);
}

static void change_abandon(struct loop *l)
{
    for (struct lane *x = l->lanes, *next; x; x = next) {
        next = x->next;
        if (x->is_new)
            lane_close(l, x);
    }
}

static void change_open(struct loop *l, struct loop_change *c)
{
    if (l->is_stopping)
        c->is_failed = err_set(&c->why, ERR_TEMP, "loop", "the engine is stopping") != 0;
    for (size_t i = 0; i < c->n && !c->is_failed; i++)
        c->is_failed = !c->v[i].is_kept && lane_open(l, c->v[i].number, c->v[i].conf, true, &c->why);
    if (c->is_failed)
        change_abandon(l);
    change_return(l, c);
}

/* Closes those of the leaving that have nothing more to say; the last one sends the change back. */
static void on_leave_look(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    bool is_late = clock_mono_us() >= l->leave_until_us;
    size_t n = 0;
    (void)fd;
    (void)what;
    for (struct lane *x = l->lanes, *next; x; x = next) {
        next = x->next;
        if (!x->is_leaving)
            continue;
        bool is_idle = x->ops->is_idle(x->l);
        if (!is_idle && !is_late) {
            n++;
            continue;
        }
        if (!is_idle)
            log_event(LOG_WARNING, "closing a listener with connections that were not answered", log_word("channel", x->name));
        struct lane *successor = NULL;
        for (struct lane *o = l->lanes; o; o = o->next)
            if (o->waits_for == x)
                successor = o;
        log_event(LOG_INFO, "listener closed", log_word("channel", x->name));
        lane_close(l, x);
        if (successor && !l->is_stopping)
            successor->ops->start(successor->l);
    }
    if (n)
        return;
    (void)event_del(l->leave_ev);
    struct loop_change *c = l->change;
    l->change = NULL;
    if (c)
        change_return(l, c);
}

static void change_go_on(struct loop *l, struct loop_change *c)
{
    struct timeval tv = {.tv_usec = STOP_LOOK_US};
    bool is_any = false;
    free(l->node);
    l->node = xstrdup(c->node);
    l->budget_bytes = c->budget_bytes;
    for (struct lane *x = l->lanes; x; x = x->next) {
        bool stays = false;
        for (size_t i = 0; i < c->n; i++)
            stays = stays || c->v[i].number == x->number;
        x->is_new = false;
        x->is_leaving = !stays;
        is_any = is_any || x->is_leaving;
        if (x->is_leaving && !l->is_stopping)
            x->ops->stop_accepting(x->l);
    }
    if (!is_any) {
        change_return(l, c);
        return;
    }
    l->change = c;
    l->leave_until_us = clock_mono_us() + CHANGE_GRACE_US;
    (void)event_add(l->leave_ev, &tv);
    on_leave_look(-1, 0, l);
}

static void take_change(struct loop *l, struct loop_change *c)
{
    switch (c->ask) {
    case LOOP_OPEN:
        change_open(l, c);
        return;
    case LOOP_ABANDON:
        change_abandon(l);
        change_return(l, c);
        return;
    case LOOP_GO_ON:
        change_go_on(l, c);
        return;
    }
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
        if (m->kind == MAIL_RELOAD) {
            take_change(l, (struct loop_change *)(void *)m);
            continue;
        }
        struct lane *lane = lane_find(l, r->listener);
        if (lane)
            lane->ops->reply(lane->l, r);
        reply_free(r);
    }
    if (atomic_load(&stop_asked) && !l->is_stopping)
        stop_begin(l);
}

static int listeners_open(struct loop *l, const struct config *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < c->n_listeners; i++)
        if (lane_open(l, c->listeners[i].index, &c->listeners[i], false, e))
            rc = -1;
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
    l->engine = env->engine;
    l->node = xstrdup(c->node ? c->node : "");
    l->budget_bytes = env->budget_bytes;
    if (ec)
        (void)event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK);
    l->base = ec ? event_base_new_with_config(ec) : NULL;
    event_config_free(ec);
    if (l->base) {
        l->mail_ev = event_new(l->base, mailbox_fd(l->replies), EV_READ | EV_PERSIST, on_mail, l);
        l->stop_ev = event_new(l->base, -1, EV_PERSIST, on_stop_look, l);
        l->leave_ev = event_new(l->base, -1, EV_PERSIST, on_leave_look, l);
    }
    if (!l->mail_ev || !l->stop_ev || !l->leave_ev || event_add(l->mail_ev, NULL) != 0) {
        (void)err_set(e, ERR_TEMP, "loop", "cannot make the event loop");
        loop_close(l);
        return -1;
    }
    if (listeners_open(l, c, e)) {
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
    struct tally *t = tally_named(l, listener);
    if (t)
        atomic_store(&t->is_paused, on);
}

void loop_set_persons(struct loop *l, const char *listener, bool on)
{
    struct tally *t = tally_named(l, listener);
    if (t)
        atomic_store(&t->takes_persons, on);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_take_counts(struct loop *l, void (*fn)(void *ctx, const char *listener, const char *what, int64_t n), void *ctx)
{
    for (struct tally *t = atomic_load(&l->tallies); t; t = t->next)
        for (size_t k = 0; k < N_COUNTS; k++) {
            int64_t n = atomic_exchange(&t->counts[k], 0);
            if (n)
                fn(ctx, t->name, count_names[k], n);
        }
}

void loop_close(struct loop *l)
{
    struct mail *next;
    if (!l)
        return;
    while (l->lanes)
        lane_close(l, l->lanes);
    if (l->change)                      /* the engine, which owns it, looks for it in its mailbox */
        change_return(l, l->change);
    assert(inflight_bytes() == 0);      /* every listener gave back what it took */
    for (struct mail *m = mailbox_take_all(l->replies); m; m = next) {
        next = m->next;
        if (m->kind == MAIL_RELOAD)
            mailbox_post(l->engine, m);
        else
            reply_free((struct reply *)(void *)m);
    }
    if (l->mail_ev)
        event_free(l->mail_ev);
    if (l->stop_ev)
        event_free(l->stop_ev);
    if (l->leave_ev)
        event_free(l->leave_ev);
    if (l->base)
        event_base_free(l->base);
    for (struct tally *t = atomic_load(&l->tallies), *after; t; t = after) {
        after = t->next;
        free(t->name);
        free(t);
    }
    free(l->node);
    the_loop = NULL;
    free(l);
}
