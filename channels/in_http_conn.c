/*
 * NAME in_http_conn - one HTTP connection: reads a request, hands its body to the engine, writes the answer, then the next.
 *
 * TIME A request must be whole within request-timeout of its first byte, whatever it sends (slowloris); its answer must be read within the same.
 * After the engine has the body only its committed answer is said; none within answer-timeout: the connection is closed, the sender asks again.
 * ORDER One request at a time: pipelined ones wait in the socket.
 * PRESSURE A body that does not fit into the byte budget is refused with 503 and Retry-After before it is read.
 * INVARIANT held == bytes of the budget that the body under way has taken; 0 when the connection is freed. A connection lives on without
 * socket (a ghost) until the engine has answered, because the budget is given back with the answer.
 * DIAGNOSTICS info: refused requests (status, peer, no paths); warning: no answer in time.
 */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "in_http_inner.h"
#include "log.h"
#include "xmem.h"

#define SLOT_BITS 20
#define SLOT_MASK (((uint64_t)1 << SLOT_BITS) - 1)
#define LINGER_US ((int64_t)2000000)
#define LINGER_BYTES ((size_t)4 << 20)   /* of a body that was refused; who sends more does not read our answer anyway */
#define OUT_MAX ((size_t)64 << 20)

enum conn_state { READING, WAITING, WRITING, LINGERING };

struct http_conn {
    struct listener *l;
    uint64_t id;
    int fd;                             /* -1: a ghost */
    enum conn_state state;
    struct event readable, writable, timer;
    struct http_reader r;
    struct http_plan plan;
    bool is_planned;                    /* the head of the request under way was looked at */
    char *rest;                         /* bytes of the next request */
    size_t rest_n;
    size_t held;                        /* bytes of the budget for the body under way or at the engine */
    bool is_at_engine;
    char *copy;                         /* Prefer: return=representation */
    size_t copy_n;
    struct buf out;
    size_t out_done, drained;
    bool is_last;
    int64_t deadline_us;
    char peer[64];
};

static void pump(struct http_conn *c, struct span in);

/* ---- slots ---- */

bool conns_have_room(const struct listener *l)
{
    return l->n_open < (size_t)l->o->max_connections && l->n_used < l->n_slots;
}

static void conn_free(struct http_conn *c)
{
    assert(c->fd < 0 && !c->is_at_engine && c->held == 0);
    c->l->slots[c->id & SLOT_MASK] = NULL;
    c->l->n_used--;
    http_reader_clear(&c->r);
    buf_clear(&c->out);
    free(c->rest);
    free(c->copy);
    free(c);
}

static void give_back(struct http_conn *c)
{
    c->l->env.account_bytes(-(int64_t)c->held);
    c->held = 0;
}

static void conn_close(struct http_conn *c)
{
    (void)event_del(&c->readable);
    (void)event_del(&c->writable);
    (void)event_del(&c->timer);
    (void)close(c->fd);
    c->fd = -1;
    c->l->n_open--;
    if (!c->is_at_engine) {
        give_back(c);
        conn_free(c);
    }
}

static void arm(struct http_conn *c, int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    c->deadline_us = clock_mono_us() + us;
    (void)event_add(&c->timer, &tv);
}

/* ---- answers ---- */

static void add_date(struct buf *b)
{
    char t[48];
    time_t now = (time_t)(clock_now_us() / 1000000);
    struct tm tm;
    if (gmtime_r(&now, &tm) && strftime(t, sizeof t, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        buf_addf(b, "Date: %s\r\n", t);
}

static void start_answer(struct http_conn *c, int status, const char *media, size_t length)
{
    struct buf *b = &c->out;
    buf_addf(b, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    add_date(b);
    if (media && (length || c->plan.is_head))
        buf_addf(b, "Content-Type: %s\r\n", media);
    if (status != 204 && status != 304)
        buf_addf(b, "Content-Length: %zu\r\n", length);
    buf_adds(b, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
    if (status == 503)
        buf_adds(b, "Retry-After: 5\r\n");
    if (status == 401 && c->l->secrets.n_tokens)
        buf_adds(b, "WWW-Authenticate: Bearer realm=\"labrelay\"\r\n");
    if (status == 401 && c->l->secrets.n_basic)
        buf_adds(b, "WWW-Authenticate: Basic realm=\"labrelay\", charset=\"UTF-8\"\r\n");
    if (status == 405)
        buf_addf(b, "Allow: %s\r\n", c->plan.allow ? c->plan.allow : "");
    buf_addf(b, "Connection: %s\r\n", c->is_last ? "close" : "keep-alive");
}

static void end_answer(struct http_conn *c, struct span body)
{
    buf_adds(&c->out, "\r\n");
    if (!c->plan.is_head)
        buf_add_span(&c->out, body);
    c->state = WRITING;
    arm(c, c->l->o->request_timeout);
    (void)event_del(&c->readable);
    (void)event_add(&c->writable, NULL);
}

static const char *media_of(const struct http_plan *p)
{
    return p->is_hl7 ? "text/plain; charset=utf-8" : p->is_xml ? "application/fhir+xml; charset=utf-8" : "application/fhir+json; charset=utf-8";
}

static void say(struct http_conn *c, int status, const char *severity, const char *issue, const char *text)
{
    struct buf b;
    buf_init(&b, 65536);
    if (status >= 400)
        log_event(LOG_INFO, "request refused", log_word("channel", c->l->env.name), log_word("peer", c->peer), log_int("status", status), log_word("issue", issue));
    if (c->plan.is_hl7)
        buf_addf(&b, "%s\n", text);
    else
        http_outcome(&b, c->plan.is_xml, severity, issue, text);
    start_answer(c, status, media_of(&c->plan), b.n);
    end_answer(c, buf_span(&b));
    buf_clear(&b);
}

static void say_error(struct http_conn *c, int status, const char *issue, const char *text)
{
    say(c, status, "error", issue, text);
}

static void say_metadata(struct http_conn *c)
{
    struct buf b;
    unsigned char sum[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1], tag[64];
    buf_init(&b, 65536);
    http_capabilities(&b, c->plan.is_xml, c->r.q.takes_persons, c->l->o->path);
    text_sha256(b.p, b.n, sum);
    text_hex(sum, 8, hex);
    (void)snprintf(tag, sizeof tag, "W/\"%.16s\"", hex);
    bool is_same = span_is(http_field(&c->r.q, "If-None-Match"), tag);
    start_answer(c, is_same ? 304 : 200, media_of(&c->plan), is_same ? 0 : b.n);
    buf_addf(&c->out, "ETag: %s\r\n", tag);
    end_answer(c, is_same ? SPAN_ABSENT : buf_span(&b));
    buf_clear(&b);
}

static void say_status(struct http_conn *c)
{
    if (c->plan.message_id > 0 && c->plan.message_id <= c->l->last_message_id)
        say(c, 200, "information", "informational", "Taken and stored");
    else
        say_error(c, 404, "not-found", "No such request was answered since the start");
}

static void add_location(struct http_conn *c, const struct reply *r)
{
    const struct http_plan *p = &c->plan;
    if (p->ask.at != ASK_AT_TYPE || r->message_id == 0)
        return;
    if (p->id[0])
        buf_addf(&c->out, "Location: %s/%s/%s/_history/m%lld\r\n", c->l->o->path, p->ask.type, p->id, (long long)r->message_id);
    else
        buf_addf(&c->out, "Location: %s/%s/m%lld/_history/1\r\n", c->l->o->path, p->ask.type, (long long)r->message_id);
    buf_adds(&c->out, "ETag: W/\"1\"\r\n");
}

static void answer_hl7(struct http_conn *c, const struct reply *r)
{
    struct buf b;
    if (r->status == FATE_BUSY) {
        say_error(c, 503, "transient", "Not stored: try again later");
        return;
    }
    if (!r->parser) {
        say_error(c, 415, "not-supported", "HL7 v2 is not read on this channel");
        return;
    }
    if (r->n == 0 && r->status == FATE_QUARANTINED) {
        say_error(c, 400, "structure", "This is no HL7 v2 message");
        return;
    }
    buf_init(&b, OUT_MAX / 2);
    for (size_t i = 0; i < r->n; i++)
        buf_add_span(&b, r->payloads[i]);
    start_answer(c, r->n ? 200 : 204, c->plan.media, b.n);
    end_answer(c, buf_span(&b));
    buf_clear(&b);
}

static void answer_fhir(struct http_conn *c, const struct reply *r)
{
    const struct http_plan *p = &c->plan;
    int status = http_status_of(p, r);
    bool is_good = status >= 200 && status < 300;
    struct span body = r->n ? r->payloads[0] : SPAN_ABSENT;
    if (!r->n || status == 413) {
        say(c, status, is_good ? "information" : "error", is_good ? "informational" : status == 503 ? "transient" : status == 413 ? "too-long" : "not-supported",
            is_good ? "Stored" : status == 503 ? "Not stored: try again later" : status == 415 ? "This form is not read on this channel" :
            status == 413 ? "The body needs more memory than its size allows" : "This cannot be read");
        return;
    }
    if (is_good && p->is_async) {
        start_answer(c, 202, NULL, 0);
        buf_addf(&c->out, "Content-Location: %s/_async/m%lld\r\n", c->l->o->path, (long long)r->message_id);
        end_answer(c, SPAN_ABSENT);
        return;
    }
    if (is_good && p->prefer == HTTP_PREFER_MINIMAL && p->ask.at != ASK_AT_PROCESS)
        body = SPAN_ABSENT;
    bool is_echo = is_good && c->copy;
    if (is_echo)
        body = span_make(c->copy, c->copy_n);
    start_answer(c, status,
                 is_echo && p->is_xml_sent != p->is_xml ? p->is_xml_sent ? "application/fhir+xml; charset=utf-8" : "application/fhir+json; charset=utf-8" : media_of(p), body.n);
    if (is_good)
        add_location(c, r);
    end_answer(c, body);
}

void http_conn_reply(struct listener *l, const struct reply *r)
{
    size_t i = (size_t)(r->conn & SLOT_MASK);
    struct http_conn *c = i < l->n_slots ? l->slots[i] : NULL;
    if (!c || c->id != r->conn || !c->is_at_engine) {
        log_event(LOG_ERROR, "a reply that nobody waits for: please report", log_word("channel", l->env.name));
        return;
    }
    c->is_at_engine = false;
    give_back(c);
    if (!r->is_close && r->status != FATE_BUSY && r->message_id > l->last_message_id)
        l->last_message_id = r->message_id;
    if (c->fd < 0) {
        conn_free(c);
    } else if (r->is_close) {
        conn_close(c);
    } else {
        c->is_last = c->is_last || l->is_stopping;
        if (c->plan.is_hl7)
            answer_hl7(c, r);
        else
            answer_fhir(c, r);
    }
}

/* ---- requests ---- */

static void post(struct http_conn *c)
{
    struct listener *l = c->l;
    struct frame *f = xcalloc(1, sizeof *f);
    if (c->plan.prefer == HTTP_PREFER_REPRESENTATION && !c->plan.is_hl7) {
        c->copy_n = c->r.body.n;
        c->copy = xmalloc(c->copy_n ? c->copy_n : 1);
        memcpy(c->copy, c->r.body.p, c->copy_n);
    }
    f->mail.kind = MAIL_FRAME;
    f->raw = buf_take(&c->r.body, &f->raw_n);
    f->mail.bytes = f->raw_n + sizeof *f;
    f->listener = l;
    f->listener_index = l->env.index;
    f->conn = c->id;
    f->received_us = clock_now_us();
    f->parser = c->plan.is_hl7 ? "hl7v2" : "fhir";
    f->ask = c->plan.ask;
    f->ask.base = l->o->path;
    f->is_update = c->plan.is_update;
    memcpy(f->same_as, c->plan.same_as, sizeof f->same_as);
    memcpy(f->peer, c->peer, sizeof f->peer);
    l->env.account_bytes((int64_t)f->mail.bytes - (int64_t)c->held);
    c->held = f->mail.bytes;
    c->is_at_engine = true;
    c->state = WAITING;
    arm(c, l->o->answer_timeout);
    (void)event_del(&c->readable);
    mailbox_post(l->env.engine, &f->mail);
}

static void count_refused(struct http_conn *c)
{
    c->l->env.count(c->l->env.name, "received", 1);
    c->l->env.count(c->l->env.name, "refused", 1);
}

static bool budget_has(const struct listener *l, uint64_t more)
{
    return l->env.inflight_bytes() + (int64_t)more <= *l->env.budget_bytes;
}

/* The body follows, and is nothing that we want: say so, then close, for what comes is not the next request. */
static void refuse_head(struct http_conn *c)
{
    const struct http_request *q = &c->r.q;
    if (q->is_chunked || q->length)
        c->is_last = true;
}

/* True when the request goes on. */
static bool take_head(struct http_conn *c)
{
    struct listener *l = c->l;
    const struct http_request *q = &c->r.q;
    c->r.q.takes_persons = l->env.takes_persons && l->env.takes_persons(l->env.name);
    http_route(l->o, &l->secrets, q, &c->plan);
    c->is_planned = true;
    c->is_last = c->is_last || q->is_close;
    if (c->plan.what == HTTP_TAKE && (!l->env.is_accepting(l->env.name) || l->is_stopping || !budget_has(l, q->length))) {
        refuse_head(c);
        count_refused(c);
        say_error(c, 503, "transient", "Not taken now: try again later");
        return false;
    }
    switch (c->plan.what) {
    case HTTP_SAY:
        refuse_head(c);
        say_error(c, c->plan.status, c->plan.issue, c->plan.text);
        return false;
    case HTTP_METADATA:
        refuse_head(c);
        say_metadata(c);
        return false;
    case HTTP_STATUS:
        refuse_head(c);
        say_status(c);
        return false;
    case HTTP_TAKE:
        break;
    }
    if (q->expects_continue)            /* fits any socket buffer: nothing else is being written */
        (void)send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    return true;
}

static bool hold_body(struct http_conn *c)
{
    size_t n = c->r.body.cap;
    if (n > c->held && !budget_has(c->l, n - c->held)) {
        c->is_last = true;
        count_refused(c);
        say_error(c, 503, "transient", "Not taken now: try again later");
        return false;
    }
    c->l->env.account_bytes((int64_t)n - (int64_t)c->held);
    c->held = n;
    return true;
}

static void keep_rest(struct http_conn *c, struct span in)
{
    char *p = in.n ? xmalloc(in.n) : NULL;
    if (p)
        memcpy(p, in.p, in.n);
    free(c->rest);
    c->rest = p;
    c->rest_n = in.n;
}

/* Reads requests from `in` until one has to be answered or no bytes are left. */
static void pump(struct http_conn *c, struct span in)
{
    while (c->state == READING) {
        bool was_begun = http_reader_is_begun(&c->r);
        enum http_event ev = http_reader_feed(&c->r, &in);
        if (!was_begun && http_reader_is_begun(&c->r))
            arm(c, c->l->o->request_timeout);
        switch (ev) {
        case HTTP_MORE:
            if (c->is_planned)
                (void)hold_body(c);
            if (c->state != READING)
                keep_rest(c, SPAN_ABSENT);
            return;
        case HTTP_HEAD:
            if (!take_head(c))
                break;
            continue;
        case HTTP_WHOLE:
            if (hold_body(c))
                post(c);
            break;
        case HTTP_BAD:
            if (!c->is_planned)
                c->plan = (struct http_plan){.is_hl7 = false};
            c->is_last = true;
            say_error(c, c->r.status, c->r.status == 413 ? "too-long" : "structure", c->r.why);
            break;
        }
        keep_rest(c, in);
        return;
    }
}

static void next_request(struct http_conn *c)
{
    char *rest = c->rest;
    size_t n = c->rest_n;
    http_reader_reset(&c->r);
    buf_clear(&c->out);
    c->out_done = 0;
    c->plan = (struct http_plan){.is_hl7 = false};
    c->is_planned = false;
    free(c->copy);
    c->copy = NULL;
    c->rest = NULL;
    c->rest_n = 0;
    c->state = READING;
    arm(c, c->l->o->idle_timeout);
    (void)event_add(&c->readable, NULL);
    pump(c, span_make(rest, n));
    free(rest);
}

/* ---- the socket ---- */

static void linger(struct http_conn *c)
{
    (void)shutdown(c->fd, SHUT_WR);
    c->state = LINGERING;
    give_back(c);
    arm(c, LINGER_US);
    (void)event_add(&c->readable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    (void)what;
    while (c->out_done < c->out.n) {
        ssize_t n = send(fd, c->out.p + c->out_done, c->out.n - c->out_done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            conn_close(c);
            return;
        }
        c->out_done += (size_t)n;
    }
    (void)event_del(&c->writable);
    give_back(c);
    if (c->is_last || c->l->is_stopping)
        linger(c);
    else
        next_request(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    ssize_t n = recv(fd, c->l->chunk, HTTP_CHUNK, 0);
    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {                       /* a request that was not whole was never one */
        conn_close(c);
        return;
    }
    if (c->state == READING)
        pump(c, span_make(c->l->chunk, (size_t)n));
    else if (c->state == LINGERING && (c->drained += (size_t)n) > LINGER_BYTES)
        conn_close(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    (void)fd;
    (void)what;
    if (c->state == WAITING)
        log_event(LOG_WARNING, "no answer in time: closing", log_word("channel", c->l->env.name), log_word("peer", c->peer));
    if (c->state == READING && http_reader_is_begun(&c->r)) {
        c->is_last = true;
        if (!c->is_planned)
            c->plan = (struct http_plan){.is_hl7 = false};
        say_error(c, 408, "timeout", "The request was not whole in time");
        return;
    }
    conn_close(c);
}

/* ---- life ---- */

void http_conn_open(struct listener *l, int fd, const char *peer)
{
    size_t slot = 0;
    while (slot < l->n_slots && l->slots[slot])
        slot++;
    if (slot == l->n_slots) {
        (void)close(fd);
        return;
    }
    struct http_conn *c = xcalloc(1, sizeof *c);
    c->l = l;
    c->fd = fd;
    c->id = ++l->generation << SLOT_BITS | slot;
    (void)snprintf(c->peer, sizeof c->peer, "%s", peer);
    http_reader_init(&c->r, (size_t)l->o->max_body);
    buf_init(&c->out, OUT_MAX);
    l->slots[slot] = c;
    l->n_open++;
    l->n_used++;
    (void)event_assign(&c->readable, l->env.base, fd, EV_READ | EV_PERSIST, on_readable, c);
    (void)event_assign(&c->writable, l->env.base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    (void)event_assign(&c->timer, l->env.base, -1, 0, on_timer, c);
    arm(c, l->o->request_timeout < l->o->idle_timeout ? l->o->request_timeout : l->o->idle_timeout);
    (void)event_add(&c->readable, NULL);
}

void http_conns_stop(struct listener *l)
{
    for (size_t i = 0; i < l->n_slots; i++) {
        struct http_conn *c = l->slots[i];
        if (c && c->fd >= 0 && (c->state == READING || c->state == LINGERING))
            conn_close(c);
    }
}

void http_conns_close(struct listener *l)
{
    for (size_t i = 0; i < l->n_slots; i++) {
        struct http_conn *c = l->slots[i];
        if (!c)
            continue;
        if (c->is_at_engine) {          /* its answer will find nobody */
            c->is_at_engine = false;
            give_back(c);
        }
        if (c->fd >= 0)
            conn_close(c);
        else
            conn_free(c);
    }
}
