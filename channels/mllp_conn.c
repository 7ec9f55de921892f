/*
 * NAME mllp_conn - reads frames, hands them to the engine, writes the answers in order.
 *
 * ORDER Every frame handed over takes the next place in the connection's ring. Its reply is written when all replies before it are.
 * PRESSURE (DESIGN) Reading stops, so that TCP slows the peer, when read-ahead is used up, when the byte budget is used up while frames
 *   of ours are at the engine, or when the peer does not read its answers. With the budget used up and nothing at the engine that would give
 *   it back, half frames over their share are shed to their head and whole frames answered 207. Once handed over: the committed answer, or silence.
 * INVARIANT accounted == bytes this connection has taken of the budget; 0 when it is freed.
 * DIAGNOSTICS debug: connected, disconnected; warning: truncated, oversize, stray bytes, peer reset, no answer in time. Counts only.
 */
#include "mllp_conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "xmem.h"

#define CHUNK_BYTES ((size_t)65536)
#define BUSY_ARENA_BYTES ((size_t)1 << 20)
#define OUT_STOP_BYTES ((size_t)262144)         /* unread answers that stop reading */
#define OUT_MAX_BYTES ((size_t)256 << 20)       /* a cap for the buffer; read-ahead bounds it long before */
#define LINGER_US ((int64_t)2000000)
#define SLOT_BITS 20
#define SLOT_MASK (((uint64_t)1 << SLOT_BITS) - 1)
#define NO_SLOT SIZE_MAX

struct place {                          /* of one frame in the order of replies */
    int64_t posted_us;
    size_t bytes;                       /* taken of the budget until the engine answers; 0: it never went there */
    bool is_answered, is_close;
    bool is_silent;                     /* truncated: nothing is ever written for it */
    char *out;                          /* framed, waiting for the places before it */
    size_t out_n;
};

struct mllp_conn {
    TAILQ_ENTRY(mllp_conn) dirty_link, waiting_link;
    struct mllp_hub *h;
    uint64_t id;
    int fd;                             /* -1: a ghost */
    struct event readable, writable, timer;
    struct mllp_decoder *d;
    struct place *ring;
    size_t ring_cap;                    /* a power of two */
    uint64_t head, tail;                /* sequence numbers: oldest not written, next to give */
    size_t n_unanswered;
    size_t ahead_bytes;                 /* of frames at the engine */
    size_t accounted;                   /* half frame and held input, not frames */
    char *held;                         /* input read but not looked at */
    size_t held_n;
    struct buf out;
    size_t out_done;
    int64_t out_since_us, last_byte_us, linger_until_us, armed_us;
    bool is_dirty, is_waiting;
    bool is_paused;                     /* we stopped reading */
    bool is_eof;                        /* the peer shut its side */
    bool is_last;                       /* close when what is due is written */
    bool is_mute;                       /* close when `out` is written, whatever else is due */
    bool is_lingering;
    bool is_stray_told;
    uint64_t frames;
    char peer[64];
};

static void conn_settle(struct mllp_conn *c, int64_t now);
static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

/* ---- the hub ---- */

static void slots_grow(struct mllp_hub *h)
{
    size_t n = h->n_slots ? h->n_slots * 2 : 64;
    h->slots = xreallocarray(h->slots, n, sizeof *h->slots);
    memset(h->slots + h->n_slots, 0, (n - h->n_slots) * sizeof *h->slots);
    h->n_slots = n;
}

static size_t slot_find(struct mllp_hub *h)
{
    if (h->n_open + h->n_ghosts >= SLOT_MASK)
        return NO_SLOT;
    if (h->n_open + h->n_ghosts == h->n_slots)
        slots_grow(h);
    size_t i = h->first_free;           /* where the last one was freed or given: nearly always right at once */
    while (h->slots[i % h->n_slots])
        i++;
    h->first_free = (i + 1) % h->n_slots;
    return i % h->n_slots;
}

static struct mllp_conn *conn_find(const struct mllp_hub *h, uint64_t id)
{
    size_t i = (size_t)(id & SLOT_MASK);
    struct mllp_conn *c = i < h->n_slots ? h->slots[i] : NULL;
    return c && c->id == id ? c : NULL;
}

static bool budget_is_used(const struct mllp_hub *h)
{
    return h->env.inflight_bytes() >= *h->env.budget_bytes;
}

/* Half frames may take three quarters, so that small whole ones still pass. */
static bool half_budget_is_used(const struct mllp_hub *h)
{
    return h->env.inflight_bytes() >= *h->env.budget_bytes / 4 * 3;
}

/* ---- the connection's memory ---- */

static void account_half(struct mllp_conn *c)
{
    size_t now = (c->d ? mllp_decoder_held(c->d) : 0) + c->held_n;
    if (now != c->accounted)
        c->h->env.account_bytes((int64_t)now - (int64_t)c->accounted);
    c->accounted = now;
}

static struct place *place_get(struct mllp_conn *c, uint64_t seq)
{
    return &c->ring[seq & (c->ring_cap - 1)];
}

static struct place *place_new(struct mllp_conn *c, int64_t now)
{
    if (c->tail - c->head == c->ring_cap) {
        size_t cap = c->ring_cap ? c->ring_cap * 2 : 4;
        struct place *ring = xreallocarray(NULL, cap, sizeof *ring);
        for (uint64_t s = c->head; s != c->tail; s++)
            ring[s & (cap - 1)] = *place_get(c, s);
        free(c->ring);
        c->ring = ring;
        c->ring_cap = cap;
    }
    struct place *p = place_get(c, c->tail++);
    *p = (struct place){.posted_us = now};
    return p;
}

static void mark_dirty(struct mllp_conn *c)
{
    struct mllp_hub *h = c->h;
    if (c->is_dirty)
        return;
    if (TAILQ_EMPTY(&h->dirty) && !h->is_flushing)
        event_active(h->flush_ev, EV_TIMEOUT, 0);
    TAILQ_INSERT_TAIL(&h->dirty, c, dirty_link);
    c->is_dirty = true;
}

static void stop_waiting(struct mllp_conn *c)
{
    if (c->is_waiting)
        TAILQ_REMOVE(&c->h->waiting, c, waiting_link);
    c->is_waiting = false;
}

static void conn_free(struct mllp_conn *c)
{
    struct mllp_hub *h = c->h;
    size_t slot = (size_t)(c->id & SLOT_MASK);
    assert(c->fd < 0 && c->n_unanswered == 0 && c->accounted == 0);
    for (uint64_t s = c->head; s != c->tail; s++)
        free(place_get(c, s)->out);
    free(c->ring);
    h->slots[slot] = NULL;
    h->first_free = slot;
    h->n_ghosts--;
    free(c);
}

/* The socket goes; the connection stays as a ghost while the engine owes answers. c may be gone afterwards. */
static void conn_close(struct mllp_conn *c, const char *why)
{
    struct mllp_hub *h = c->h;
    uint64_t stray = mllp_decoder_take_stray(c->d);
    log_event(LOG_DEBUG, "disconnected", log_id("conn", 'c', (int64_t)(c->id >> SLOT_BITS)), log_word("channel", h->env.name), log_word("peer", c->peer),
              log_word("why", why), log_int("frames", (int64_t)c->frames), log_int("stray", (int64_t)stray));
    if (stray)
        h->env.count(h->env.name, "stray-bytes", (int64_t)stray);
    (void)event_del(&c->readable);
    (void)event_del(&c->writable);
    (void)event_del(&c->timer);
    (void)close(c->fd);
    c->fd = -1;
    stop_waiting(c);
    if (c->is_dirty)
        TAILQ_REMOVE(&h->dirty, c, dirty_link);
    c->is_dirty = false;
    mllp_decoder_free(c->d);
    c->d = NULL;
    free(c->held);
    c->held = NULL;
    c->held_n = 0;
    buf_clear(&c->out);
    account_half(c);
    h->n_open--;
    h->n_ghosts++;
    bool was_useful = c->frames > 0;
    if (c->n_unanswered == 0)
        conn_free(c);
    h->on_closed(h, was_useful);
}

/* ---- answers ---- */

static void out_add(struct mllp_conn *c, const char *p, size_t n, int64_t now)
{
    if (c->out.n == c->out_done)
        c->out_since_us = now;
    buf_add(&c->out, p, n);
    mark_dirty(c);
}

/* Frames n payloads, with the commit block of MLLP release 2 before them, as one heap string. */
static char *wrap_all(const struct mllp_hub *h, const struct span *payloads, size_t n, bool is_committed, size_t *n_out)
{
    static const char commit_ack[] = {MLLP_SB, 0x06, MLLP_EB, MLLP_CR}, commit_nak[] = {MLLP_SB, 0x15, MLLP_EB, MLLP_CR};
    size_t all = h->o->release == 2 ? sizeof commit_ack : 0;
    for (size_t i = 0; i < n; i++)
        all += payloads[i].n + MLLP_WRAP_BYTES;
    *n_out = all;
    if (!all)
        return NULL;
    char *out = xmalloc(all), *w = out;
    if (h->o->release == 2) {
        memcpy(w, is_committed ? commit_ack : commit_nak, sizeof commit_ack);
        w += sizeof commit_ack;
    }
    for (size_t i = 0; i < n; i++)
        w += mllp_frame_wrap(payloads[i], w);
    return out;
}

/* Moves the answers whose turn it is to the output. */
static void advance(struct mllp_conn *c, int64_t now)
{
    while (c->head != c->tail && !c->is_mute) {
        struct place *p = place_get(c, c->head);
        if (!p->is_answered)
            break;
        if (p->is_close)
            c->is_mute = true;
        else if (p->out_n)
            out_add(c, p->out, p->out_n, now);
        free(p->out);
        p->out = NULL;
        c->head++;
        mark_dirty(c);
    }
}

static void answer_place(struct mllp_conn *c, struct place *p, const struct span *payloads, size_t n, bool is_committed, int64_t now)
{
    p->is_answered = true;
    if (!p->is_silent && !p->is_close)
        p->out = wrap_all(c->h, payloads, n, is_committed, &p->out_n);
    advance(c, now);
}

/* A frame that never goes to the engine: 207 from its header, in its turn (DESIGN "Pressure"). */
static void answer_busy(struct mllp_conn *c, struct span head, const char *reason, int64_t now)
{
    struct mllp_hub *h = c->h;
    struct reply_conf rc = {.now_us = clock_now_us(), .own_app = "labrelay", .own_facility = *h->env.node, .id_seed = h->env.next_reply_id()};
    struct span payload = SPAN_ABSENT;
    struct err e = ERR_INIT;
    arena_reset(h->arena);
    if (h->env.parser->busy(h->env.parser_options, head, &rc, h->arena, &payload, &e)) {
        log_err(LOG_WARNING, "cannot build the busy answer", &e);
        payload = SPAN_ABSENT;
    }
    log_event(LOG_WARNING, "not taken", log_word("channel", h->env.name), log_word("peer", c->peer),
              log_word("reason", reason), log_word("answer", span_has(payload) ? "207" : "none"));
    h->env.count(h->env.name, "received", 1);
    h->env.count(h->env.name, "refused", 1);
    struct place *p = place_new(c, now);
    answer_place(c, p, &payload, span_has(payload), false, now);
    free((void *)(uintptr_t)payload.p);
}

void hub_reply(struct mllp_hub *h, const struct reply *r)
{
    struct mllp_conn *c = conn_find(h, r->conn);
    struct place *p = c && r->seq - c->head < c->tail - c->head ? place_get(c, r->seq) : NULL;
    int64_t now = clock_mono_us();
    if (!p || p->is_answered) {
        log_event(LOG_ERROR, "a reply that nobody waits for: please report", log_word("channel", h->env.name), log_int("seq", (int64_t)r->seq));
        return;
    }
    h->env.account_bytes(-(int64_t)p->bytes);
    h->n_outstanding--;
    c->n_unanswered--;
    c->ahead_bytes -= p->bytes;
    if (c->fd < 0) {
        p->is_answered = true;
        if (c->n_unanswered == 0)
            conn_free(c);
    } else {
        p->is_close = r->is_close;
        answer_place(c, p, r->payloads, r->n, r->status != FATE_BUSY, now);
    }
    if (!TAILQ_EMPTY(&h->waiting))
        event_active(h->flush_ev, EV_TIMEOUT, 0);
}

/* ---- frames ---- */

static void post_frame(struct mllp_conn *c, enum frame_state state, int64_t now)
{
    struct mllp_hub *h = c->h;
    struct frame *f = xcalloc(1, sizeof *f);
    f->raw = mllp_decoder_take(c->d, &f->raw_n);
    f->mail.kind = MAIL_FRAME;
    f->mail.bytes = f->raw_n + sizeof *f;
    f->listener = h->listener;
    f->listener_index = h->env.index;
    f->conn = c->id;
    f->seq = c->tail;
    f->received_us = clock_now_us();
    f->state = state;
    memcpy(f->peer, c->peer, sizeof f->peer);
    struct place *p = place_new(c, now);
    p->bytes = f->mail.bytes;
    p->is_silent = state != FRAME_WHOLE;
    c->ahead_bytes += p->bytes;
    c->n_unanswered++;
    h->n_outstanding++;
    h->env.account_bytes((int64_t)p->bytes);
    account_half(c);
    mailbox_post(h->env.engine, &f->mail);
}

static void take_truncated(struct mllp_conn *c, struct span bytes, int64_t now)
{
    struct mllp_hub *h = c->h;
    log_event(LOG_WARNING, "truncated frame", log_word("channel", h->env.name), log_word("peer", c->peer), log_int("bytes", (int64_t)bytes.n));
    if (h->env.is_accepting(h->env.name) && !budget_is_used(h)) {
        post_frame(c, FRAME_TRUNCATED, now);
        return;
    }
    h->env.count(h->env.name, "received", 1);
    h->env.count(h->env.name, "refused", 1);
}

static void take_whole(struct mllp_conn *c, struct span bytes, int64_t now)
{
    if (!c->h->env.is_accepting(c->h->env.name))
        answer_busy(c, bytes, "NOT_ACCEPTING", now);
    else if (budget_is_used(c->h))
        answer_busy(c, bytes, "BUDGET", now);
    else
        post_frame(c, FRAME_WHOLE, now);
}

static bool take_event(struct mllp_conn *c, enum mllp_event ev, struct span bytes, int64_t now)
{
    struct mllp_hub *h = c->h;
    switch (ev) {
    case MLLP_NONE:
        return false;
    case MLLP_WHOLE:
        c->frames++;
        take_whole(c, bytes, now);
        return true;
    case MLLP_EMPTY:
        h->env.count(h->env.name, "empty", 1);
        return true;
    case MLLP_TRUNCATED:
        take_truncated(c, bytes, now);
        return true;
    case MLLP_OVERSIZE:
        answer_busy(c, bytes, "OVERSIZE", now);
        return true;
    case MLLP_SHED:
        answer_busy(c, bytes, "BUDGET", now);
        return true;
    case MLLP_CLOSE:
        c->is_last = true;
        return false;
    }
    return false;
}

/* ---- reading ---- */

/* Reading stops when all of it is used and goes on when half of it is free again, or it would stop and go at every frame. */
static bool is_read_ahead_used(const struct mllp_conn *c, bool is_going_on)
{
    const struct mllp_options *o = c->h->o;
    int64_t frames = is_going_on ? (o->read_ahead + 1) / 2 : o->read_ahead, bytes = is_going_on ? o->read_ahead_size / 2 : o->read_ahead_size;
    return (int64_t)(c->tail - c->head) >= frames || (c->n_unanswered && (int64_t)c->ahead_bytes >= bytes) || c->out.n - c->out_done >= OUT_STOP_BYTES;
}

static void pause_reading(struct mllp_conn *c, bool is_for_budget)
{
    c->is_paused = true;
    (void)event_del(&c->readable);
    if (is_for_budget && !c->is_waiting) {
        TAILQ_INSERT_TAIL(&c->h->waiting, c, waiting_link);
        c->is_waiting = true;
    }
}

static bool must_wait_for_budget(const struct mllp_conn *c)
{
    return c->h->n_outstanding && budget_is_used(c->h);
}

/* It would not be stopped again at once by what it has already. */
static bool may_go_on(const struct mllp_conn *c)
{
    if (!c->h->n_outstanding)
        return true;
    return mllp_decoder_held(c->d) > MLLP_HEAD_BYTES ? !half_budget_is_used(c->h) : !budget_is_used(c->h);
}

/* Looks at the decoder's input until it is used up or we must not take more. */
static void pump(struct mllp_conn *c, int64_t now)
{
    struct span bytes;
    bool is_for_budget = false;
    for (;;) {
        is_for_budget = must_wait_for_budget(c);
        if (is_for_budget || is_read_ahead_used(c, false)) {
            struct span rest = mllp_decoder_rest(c->d);
            char *held = rest.n ? xmalloc(rest.n) : NULL;
            if (held)
                memcpy(held, rest.p, rest.n);
            free(c->held);
            c->held = held;
            c->held_n = rest.n;
            pause_reading(c, is_for_budget);
            break;
        }
        if (!take_event(c, mllp_decoder_next(c->d, &bytes), bytes, now))
            break;
    }
    account_half(c);
    if (!c->is_paused && mllp_decoder_held(c->d) > MLLP_HEAD_BYTES && half_budget_is_used(c->h)) {
        if (c->h->n_outstanding)
            pause_reading(c, true);
        else
            mllp_decoder_shed(c->d);
        account_half(c);
    }
    uint64_t stray = mllp_decoder_take_stray(c->d);
    if (stray) {
        c->h->env.count(c->h->env.name, "stray-bytes", (int64_t)stray);
        if (!c->is_stray_told)
            log_event(LOG_WARNING, "bytes outside of a frame", log_word("channel", c->h->env.name), log_word("peer", c->peer), log_int("bytes", (int64_t)stray));
        c->is_stray_told = true;
    }
}

static void resume_reading(struct mllp_conn *c, int64_t now)
{
    char *held = c->held;
    size_t n = c->held_n;
    stop_waiting(c);
    c->is_paused = false;
    c->held = NULL;
    c->held_n = 0;
    mllp_decoder_resume(c->d, now);
    if (n)
        mllp_decoder_feed(c->d, span_make(held, n), now);
    pump(c, now);
    free(held);
    if (!c->is_paused && !c->is_eof && !c->is_last && !c->is_mute)
        (void)event_add(&c->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mllp_conn *c = arg;
    int64_t now = clock_mono_us();
    ssize_t n = recv(fd, c->h->chunk, CHUNK_BYTES, 0);
    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {                       /* a reset is an end of stream on which nothing can be written */
        bool is_reset = n < 0;
        c->is_eof = true;
        (void)event_del(&c->readable);
        if (!c->is_lingering) {
            mllp_decoder_eof(c->d);
            pump(c, now);
        }
        if (is_reset || c->is_lingering) {
            conn_close(c, is_reset ? "reset" : "closed");
            return;
        }
    } else if (!c->is_lingering) {
        c->last_byte_us = now;
        mllp_decoder_feed(c->d, span_make(c->h->chunk, (size_t)n), now);
        pump(c, now);
    }
    conn_settle(c, now);
}

/* ---- writing, timers, the end ---- */

/* False when the connection was lost and is gone. */
static bool write_out(struct mllp_conn *c, int64_t now)
{
    while (c->out_done < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->out_done, c->out.n - c->out_done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(&c->writable, NULL);
            return true;
        }
        if (n < 0) {                    /* the message stays committed; the resend meets the duplicate rule */
            log_event(LOG_INFO, "answer not written", log_word("channel", c->h->env.name), log_word("peer", c->peer), log_int("bytes", (int64_t)(c->out.n - c->out_done)));
            conn_close(c, "lost");
            return false;
        }
        c->out_done += (size_t)n;
        c->out_since_us = now;
    }
    if (c->out.cap > CHUNK_BYTES)
        buf_clear(&c->out);
    else
        buf_reset(&c->out);
    c->out_done = 0;
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct mllp_conn *c = arg;
    (void)fd;
    (void)what;
    mark_dirty(c);
}

/* All is said: tell the peer, then wait for its end, or our last words would be lost with what it still sends. */
static void linger(struct mllp_conn *c, int64_t now)
{
    (void)shutdown(c->fd, SHUT_WR);
    c->is_lingering = true;
    c->linger_until_us = now + LINGER_US;
    stop_waiting(c);
    c->is_paused = false;
    free(c->held);
    c->held = NULL;
    c->held_n = 0;
    account_half(c);
    (void)event_add(&c->readable, NULL);
}

static void arm(struct mllp_conn *c, int64_t now)
{
    int64_t t = INT64_MAX, d;
    if (c->is_lingering) {
        t = c->linger_until_us;
    } else {
        if (c->out_done < c->out.n)
            t = c->out_since_us + c->h->o->ack_deadline;
        if (c->head != c->tail && place_get(c, c->head)->posted_us + c->h->o->ack_deadline < t)
            t = place_get(c, c->head)->posted_us + c->h->o->ack_deadline;
        d = c->is_paused || c->is_eof || c->h->is_stopping ? -1 : mllp_decoder_deadline(c->d);
        if (d >= 0 && d < t)
            t = d;
        if (c->h->o->idle_timeout && c->head == c->tail && !mllp_decoder_in_frame(c->d) && c->last_byte_us + c->h->o->idle_timeout < t)
            t = c->last_byte_us + c->h->o->idle_timeout;
    }
    if (t == INT64_MAX || (c->armed_us && c->armed_us <= t))    /* the one that runs comes first: it will look again */
        return;
    int64_t wait = t > now ? t - now : 0;
    struct timeval tv = {.tv_sec = wait / 1000000, .tv_usec = wait % 1000000};
    (void)event_add(&c->timer, &tv);
    c->armed_us = t;
}

/* After anything happened to c: write, read on, finish, set the timer. c may be gone afterwards. */
static void conn_settle(struct mllp_conn *c, int64_t now)
{
    if (!c->is_lingering && c->out_done < c->out.n && !event_pending(&c->writable, EV_WRITE, NULL) && !write_out(c, now))
        return;
    if (c->is_paused && !c->is_waiting && !c->is_mute && !c->h->is_stopping && !is_read_ahead_used(c, true))
        resume_reading(c, now);
    if (c->is_last || c->is_mute || c->h->is_stopping)
        if (!c->is_lingering)
            (void)event_del(&c->readable);
    bool is_done = c->out_done == c->out.n && (c->is_mute || (c->head == c->tail && !c->is_paused && (c->is_eof || c->is_last)) ||
                                               (c->head == c->tail && c->h->is_stopping));
    if (is_done && !c->is_lingering) {
        if (c->is_eof || c->h->is_stopping) {
            conn_close(c, c->is_eof ? "closed" : "stopping");
            return;
        }
        linger(c, now);
    }
    arm(c, now);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct mllp_conn *c = arg;
    const struct mllp_options *o = c->h->o;
    int64_t now = clock_mono_us();
    (void)fd;
    (void)what;
    c->armed_us = 0;
    if (c->is_lingering && now >= c->linger_until_us) {
        conn_close(c, "lingered");
        return;
    }
    if (!c->is_lingering) {
        bool is_late = c->head != c->tail && now >= place_get(c, c->head)->posted_us + o->ack_deadline;
        bool is_deaf = c->out_done < c->out.n && now >= c->out_since_us + o->ack_deadline;
        if (is_late || is_deaf) {
            log_event(LOG_WARNING, is_late ? "no answer in time: closing" : "the peer does not read its answers: closing",
                      log_word("channel", c->h->env.name), log_word("peer", c->peer));
            conn_close(c, is_late ? "no-answer" : "deaf");
            return;
        }
        if (!c->is_paused && !c->is_eof && !c->h->is_stopping) {
            mllp_decoder_tick(c->d, now);
            pump(c, now);
        }
        if (o->idle_timeout && c->head == c->tail && !mllp_decoder_in_frame(c->d) && now >= c->last_byte_us + o->idle_timeout)
            c->is_last = true;
    }
    conn_settle(c, now);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct mllp_hub *h = arg;
    struct mllp_conns waiting = TAILQ_HEAD_INITIALIZER(waiting);
    struct mllp_conn *c;
    int64_t now = clock_mono_us();
    (void)fd;
    (void)what;
    h->is_flushing = true;
    TAILQ_CONCAT(&waiting, &h->waiting, waiting_link);
    while ((c = TAILQ_FIRST(&waiting)) != NULL) {       /* each once, or those that must wait on would be asked for ever */
        TAILQ_REMOVE(&waiting, c, waiting_link);
        if (!h->is_stopping && !may_go_on(c)) {
            TAILQ_INSERT_TAIL(&h->waiting, c, waiting_link);
            continue;
        }
        c->is_waiting = false;
        if (!h->is_stopping)
            resume_reading(c, now);
        mark_dirty(c);
    }
    while ((c = TAILQ_FIRST(&h->dirty)) != NULL) {
        TAILQ_REMOVE(&h->dirty, c, dirty_link);
        c->is_dirty = false;
        conn_settle(c, now);
    }
    h->is_flushing = false;
}

/* ---- life ---- */

int hub_init(struct mllp_hub *h, struct err *e)
{
    h->frame_conf = (struct mllp_frame_conf){.max_bytes = (size_t)h->o->max_size, .is_strict = h->o->strict, .allow_bare = h->o->allow_bare, .end_wait_us = h->o->end_wait,
                                             .byte_timeout_us = h->o->byte_timeout, .frame_timeout_us = h->o->frame_timeout};
    TAILQ_INIT(&h->dirty);
    TAILQ_INIT(&h->waiting);
    h->flush_ev = event_new(h->env.base, -1, 0, on_flush, h);
    if (!h->flush_ev)
        return err_set(e, ERR_TEMP, h->env.name, "cannot make an event");
    h->chunk = xmalloc(CHUNK_BYTES);
    h->arena = arena_new(BUSY_ARENA_BYTES);
    slots_grow(h);
    return 0;
}

void hub_clear(struct mllp_hub *h)
{
    for (size_t i = 0; i < h->n_slots; i++) {
        struct mllp_conn *c = h->slots[i];
        if (!c)
            continue;
        for (uint64_t s = c->head; s != c->tail; s++) {     /* the engine's answers will find nobody */
            struct place *p = place_get(c, s);
            if (!p->is_answered)
                h->env.account_bytes(-(int64_t)p->bytes);
        }
        c->n_unanswered = 0;
        if (c->fd >= 0)
            conn_close(c, "stopping");
        else
            conn_free(c);
    }
    free(h->slots);
    if (h->flush_ev)
        event_free(h->flush_ev);
    free(h->chunk);
    arena_free(h->arena);
}

struct mllp_conn *conn_open(struct mllp_hub *h, int fd, const char *peer)
{
    size_t slot = slot_find(h);
    if (slot == NO_SLOT) {
        (void)close(fd);
        return NULL;
    }
    struct mllp_conn *c = xcalloc(1, sizeof *c);
    c->h = h;
    c->id = ++h->generation << SLOT_BITS | slot;
    c->fd = fd;
    c->d = mllp_decoder_new(&h->frame_conf);
    c->last_byte_us = clock_mono_us();
    buf_init(&c->out, OUT_MAX_BYTES);
    (void)snprintf(c->peer, sizeof c->peer, "%s", peer);
    (void)event_assign(&c->readable, h->env.base, fd, EV_READ | EV_PERSIST, on_readable, c);
    (void)event_assign(&c->writable, h->env.base, fd, EV_WRITE, on_writable, c);
    (void)event_assign(&c->timer, h->env.base, -1, 0, on_timer, c);
    (void)event_add(&c->readable, NULL);
    h->slots[slot] = c;
    h->n_open++;
    arm(c, c->last_byte_us);
    log_event(LOG_DEBUG, "connected", log_id("conn", 'c', (int64_t)h->generation), log_word("channel", h->env.name), log_word("peer", c->peer));
    return c;
}

void hub_stop(struct mllp_hub *h)
{
    h->is_stopping = true;
    for (size_t i = 0; i < h->n_slots; i++)
        if (h->slots[i] && h->slots[i]->fd >= 0)
            mark_dirty(h->slots[i]);
}

bool hub_is_idle(const struct mllp_hub *h)
{
    return h->n_open == 0;
}
