/*
 * NAME
 *   sandbox_http - the connections of the sandbox
 *
 *   HTTP/1.1 on bufferevents, small enough to misbehave on purpose: an answer can be held back, lost, or never given. One request
 *   at a time per connection; what is pipelined waits in the input buffer. Headers over 16 kB get Node's bare 431.
 *
 * DIAGNOSTICS
 *   Malformed requests get a bare 400 and the connection is closed. A connection owns its request until the call is answered.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* gmtime_r */
#endif
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <errno.h>

#include "sandbox_server.h"
#include "xmem.h"

enum conn_state { CONN_HEAD, CONN_BODY, CONN_CHUNK_SIZE, CONN_CHUNK_DATA, CONN_CHUNK_END, CONN_TRAILER, CONN_BUSY, CONN_HUNG, CONN_CLOSING };

struct sandbox_conn {
    struct sandbox *s;
    struct sandbox_conn *next, **prev_next;
    struct bufferevent *bev;
    enum conn_state state;
    struct sandbox_request *req;
    size_t head_n, want;                        /* bytes of the head; bytes still missing of body or chunk */
    struct event *delay;                        /* --slow: the answer waits in `held` */
    struct buf held;
    bool keeps_alive, had_request, is_parsing;
    bool lingers;                               /* close only after the client did: unread bytes would reset the answer away */
};

static void conn_free(struct sandbox_conn *c);
static void conn_parse(struct sandbox_conn *c);

static void request_free(struct sandbox_request *r)
{
    if (r)
        buf_clear(&r->raw);
    free(r);
}

struct span sandbox_request_header(const struct sandbox_request *r, const char *name)
{
    for (size_t i = 0; i < r->headers_n; i++)
        if (span_is_nocase(r->headers[i].name, name))
            return r->headers[i].value;
    return SPAN_ABSENT;
}

static void set_idle_timeout(struct sandbox_conn *c)
{
    struct timeval idle = {c->had_request ? c->s->keep_alive_s : 60, 0};
    bufferevent_set_timeouts(c->bev, &idle, NULL);
}

/* The request is over for this connection: the next may come. */
static void conn_finish(struct sandbox_conn *c)
{
    if (c->state == CONN_BUSY || c->state == CONN_HUNG)
        c->s->concurrent--;
    request_free(c->req);
    c->req = NULL;
    c->state = c->keeps_alive ? CONN_HEAD : CONN_CLOSING;
    if (c->state == CONN_HEAD)
        set_idle_timeout(c);
}

static void conn_send(struct sandbox_conn *c, struct span bytes)
{
    bufferevent_write(c->bev, bytes.p, bytes.n);
    conn_finish(c);
}

static void on_delay_over(evutil_socket_t fd, short what, void *arg)
{
    struct sandbox_conn *c = arg;
    (void)fd;
    (void)what;
    conn_send(c, buf_span(&c->held));
    buf_clear(&c->held);
    conn_parse(c);
}

static const char *status_text(int status)
{
    static const struct { int status; const char *text; } table[] = {
        {200, "OK"}, {204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {406, "Not Acceptable"},
        {409, "Conflict"}, {413, "Payload Too Large"}, {422, "Unprocessable Entity"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {429, "Too Many Requests"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].status == status)
            return table[i].text;
    return "Unknown";
}

static const char *date_line(void)
{
    static char line[64];
    static time_t made;
    time_t now = (time_t)(sandbox_now_ms() / 1000);
    if (now != made) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        made = now;
    }
    return line;
}

void sandbox_conn_reply(struct sandbox_conn *c, int status, const char *type, const char *headers, struct span body)
{
    struct buf b;
    buf_init(&b, SANDBOX_UPLOAD_MAX * 8u);
    bool is_text = !type || strncmp(type, "application/json", 16) == 0 || strncmp(type, "text/", 5) == 0;   /* what would be compressed */
    buf_addf(&b, "HTTP/1.1 %d %s\r\nVary: Origin%s\r\n%s", status, status_text(status), is_text ? ", Accept-Encoding" : "", headers);
    if (type)
        buf_addf(&b, "Content-Type: %s\r\n", type);
    if (status != 204)
        buf_addf(&b, "Content-Length: %zu\r\n", body.n);
    buf_adds(&b, date_line());
    if (c->keeps_alive)
        buf_addf(&b, "Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n\r\n", c->s->keep_alive_s);
    else
        buf_adds(&b, "Connection: close\r\n\r\n");
    if (status != 204)
        buf_add_span(&b, body);
    if (c->s->faults.slow_ms > 0) {
        struct timeval tv = {c->s->faults.slow_ms / 1000, (c->s->faults.slow_ms % 1000) * 1000};
        c->held = b;
        if (!c->delay)
            c->delay = evtimer_new(c->s->base, on_delay_over, c);
        evtimer_add(c->delay, &tv);
        return;
    }
    conn_send(c, buf_span(&b));
    buf_clear(&b);
}

void sandbox_conn_drop(struct sandbox_conn *c)
{
    c->keeps_alive = false;
    conn_finish(c);
}

void sandbox_conn_hang(struct sandbox_conn *c) { c->state = CONN_HUNG; }

void sandbox_conn_half(struct sandbox_conn *c, struct span body)
{
    c->keeps_alive = false;
    evbuffer_add_printf(bufferevent_get_output(c->bev),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", body.n * 2 + 2);
    bufferevent_write(c->bev, body.p, body.n);
    conn_finish(c);
}

/* An answer of the HTTP layer itself, as bare as Node's. */
static void reply_bare(struct sandbox_conn *c, const char *status_line)
{
    evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 %s\r\nConnection: close\r\n\r\n", status_line);
    evbuffer_drain(bufferevent_get_input(c->bev), evbuffer_get_length(bufferevent_get_input(c->bev)));
    c->state = CONN_CLOSING;
    c->lingers = true;
}

/* ---- reading ---- */

/* Cuts request line and headers out of r->raw. false: malformed. */
static bool parse_head(struct sandbox_request *r, size_t head_n)
{
    struct span rest = span_make(r->raw.p, head_n), line, version;
    if (!span_next(&rest, '\n', &line))
        return false;
    line = span_trim(line);
    if (!span_next(&line, ' ', &r->method) || !span_next(&line, ' ', &r->target) || !span_next(&line, ' ', &version) || !span_starts(version, "HTTP/1."))
        return false;
    if (!span_starts(r->target, "/"))
        return false;
    r->is_old = span_is(version, "HTTP/1.0");
    size_t q = span_find(r->target, '?');
    r->path = span_cut(r->target, 0, q);
    r->query = span_from(r->target, q + 1);
    while (span_next(&rest, '\n', &line)) {
        line = span_trim(line);
        if (!span_has(line))
            continue;
        size_t colon = span_find(line, ':');
        if (colon == 0 || colon == line.n)
            return false;
        if (r->headers_n == sizeof r->headers / sizeof r->headers[0])
            continue;
        r->headers[r->headers_n++] = (struct sandbox_header){span_cut(line, 0, colon), span_trim(span_from(line, colon + 1))};
    }
    return true;
}

/* What comes behind the head. */
static void plan_body(struct sandbox_conn *c)
{
    struct sandbox_request *r = c->req;
    struct span length = sandbox_request_header(r, "Content-Length"), connection = sandbox_request_header(r, "Connection");
    int64_t n = 0;
    c->keeps_alive = r->is_old ? span_is_nocase(connection, "keep-alive") : !span_is_nocase(connection, "close");
    if (span_is_nocase(sandbox_request_header(r, "Transfer-Encoding"), "chunked")) {
        c->state = CONN_CHUNK_SIZE;
    } else if (span_has(length) && (!span_int(length, &n) || n < 0)) {
        reply_bare(c, "400 Bad Request");
        return;
    } else {
        c->state = CONN_BODY;
        c->want = (size_t)n;
    }
    if (n > (int64_t)SANDBOX_UPLOAD_MAX)
        reply_bare(c, "413 Payload Too Large");
    else if (span_is_nocase(sandbox_request_header(r, "Expect"), "100-continue"))
        evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* false: more bytes are needed. */
static bool read_head(struct sandbox_conn *c, struct evbuffer *in)
{
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    size_t have = evbuffer_get_length(in);
    if (end.pos < 0 ? have > SANDBOX_HEAD_MAX : (size_t)end.pos > SANDBOX_HEAD_MAX) {
        reply_bare(c, "431 Request Header Fields Too Large");
        return false;
    }
    if (end.pos < 0)
        return false;
    c->head_n = (size_t)end.pos + 4;
    c->req = xcalloc(1, sizeof *c->req);
    buf_init(&c->req->raw, SANDBOX_UPLOAD_MAX + SANDBOX_HEAD_MAX + 4096);
    buf_add(&c->req->raw, evbuffer_pullup(in, (ev_ssize_t)c->head_n), c->head_n);
    evbuffer_drain(in, c->head_n);
    if (!parse_head(c->req, c->head_n)) {
        reply_bare(c, "400 Bad Request");
        return false;
    }
    plan_body(c);
    return c->state != CONN_CLOSING;
}

/* Moves up to c->want bytes into the request; true when all have come. */
static bool read_bytes(struct sandbox_conn *c, struct evbuffer *in)
{
    while (c->want > 0 && evbuffer_get_length(in) > 0) {
        struct evbuffer_iovec v;
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1)
            break;
        size_t n = v.iov_len < c->want ? v.iov_len : c->want;
        buf_add(&c->req->raw, v.iov_base, n);
        evbuffer_drain(in, n);
        c->want -= n;
    }
    return c->want == 0;
}

/* Steps through a chunked body; false: more bytes are needed or the connection is over. */
static bool read_chunks(struct sandbox_conn *c, struct evbuffer *in)
{
    for (;;) {
        char *line;
        if (c->state == CONN_CHUNK_DATA) {
            if (!read_bytes(c, in))
                return false;
            c->state = CONN_CHUNK_END;
        }
        line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
        if (!line)
            return false;
        if (c->state == CONN_CHUNK_SIZE) {
            char *end;
            errno = 0;
            unsigned long n = strtoul(line, &end, 16);
            if (end == line || errno || n > SANDBOX_UPLOAD_MAX || c->req->raw.n + n > SANDBOX_UPLOAD_MAX) {
                free(line);
                reply_bare(c, "400 Bad Request");
                return false;
            }
            c->want = n;
            c->state = n ? CONN_CHUNK_DATA : CONN_TRAILER;
        } else if (c->state == CONN_CHUNK_END) {
            c->state = CONN_CHUNK_SIZE;
        } else if (*line == '\0') {
            free(line);
            return true;
        }
        free(line);
    }
}

static void conn_execute(struct sandbox_conn *c)
{
    struct sandbox_request *r = c->req;
    if (r->raw.is_full) {
        reply_bare(c, "413 Payload Too Large");
        return;
    }
    /* the buffer may have moved while the body came in: cut the head again */
    r->headers_n = 0;
    (void)parse_head(r, c->head_n);
    r->body = span_make(r->raw.p + c->head_n, r->raw.n - c->head_n);
    c->state = CONN_BUSY;
    c->had_request = true;
    bufferevent_set_timeouts(c->bev, NULL, NULL);
    if (++c->s->concurrent > c->s->concurrent_max)
        c->s->concurrent_max = c->s->concurrent;
    sandbox_dispatch(c->s, c, r);
}

static void conn_parse(struct sandbox_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    bool go_on = !c->is_parsing;
    c->is_parsing = true;
    while (go_on) {
        switch (c->state) {
        case CONN_HEAD:
            go_on = evbuffer_get_length(in) > 0 && read_head(c, in);
            break;
        case CONN_BODY:
            if ((go_on = read_bytes(c, in)))
                conn_execute(c);
            break;
        case CONN_CHUNK_SIZE: case CONN_CHUNK_DATA: case CONN_CHUNK_END: case CONN_TRAILER:
            if ((go_on = read_chunks(c, in)))
                conn_execute(c);
            break;
        case CONN_BUSY: case CONN_HUNG: case CONN_CLOSING:
            go_on = false;
            break;
        }
    }
    c->is_parsing = false;
    if (c->state == CONN_CLOSING && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
        conn_free(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct sandbox_conn *c = arg;
    (void)bev;
    if (c->state == CONN_CLOSING || c->state == CONN_HUNG)
        evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
    else
        conn_parse(c);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct sandbox_conn *c = arg;
    (void)bev;
    if (c->state == CONN_CLOSING && c->lingers) {
        struct timeval tv = {2, 0};
        (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
        bufferevent_set_timeouts(c->bev, &tv, NULL);
    } else if (c->state == CONN_CLOSING) {
        conn_free(c);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct sandbox_conn *c = arg;
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        conn_free(c);
}

static void conn_free(struct sandbox_conn *c)
{
    if (c->state == CONN_BUSY || c->state == CONN_HUNG)
        c->s->concurrent--;
    *c->prev_next = c->next;
    if (c->next)
        c->next->prev_next = c->prev_next;
    if (c->delay)
        event_free(c->delay);
    buf_clear(&c->held);
    request_free(c->req);
    bufferevent_free(c->bev);
    free(c);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n, void *arg)
{
    struct sandbox *s = arg;
    int one = 1;
    (void)l;
    (void)sa;
    (void)n;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sandbox_conn *c = xcalloc(1, sizeof *c);
    c->s = s;
    c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c->bev) {
        evutil_closesocket(fd);
        free(c);
        return;
    }
    c->next = s->conns;
    c->prev_next = &s->conns;
    if (c->next)
        c->next->prev_next = &c->next;
    s->conns = c;
    bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
    set_idle_timeout(c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

int sandbox_http_listen(struct sandbox *s, int port, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->listener = evconnlistener_new_bind(s->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, 1024,
        (struct sockaddr *)&a, sizeof a);
    if (!s->listener || getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&a, &n) != 0)
        return err_set(e, ERR_CONFIG, "port", "cannot listen on 127.0.0.1:%d: %s", port, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    s->port = ntohs(a.sin_port);
    return 0;
}

void sandbox_http_close(struct sandbox *s)
{
    while (s->conns)
        conn_free(s->conns);
    if (s->listener)
        evconnlistener_free(s->listener);
    s->listener = NULL;
}
