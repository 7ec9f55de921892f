/*
 * NAME in_mllp - listen mllp: accepts (or dials), checks who may talk, hands sockets to mllp_conn.
 *
 * DIAGNOSTICS info: listening, connected to a device; warning: peer not allowed, too many connections, out of file descriptors, cannot
 *   connect. Refusals are logged once a second at most, with the number of those not shown: a port scan must not fill the disk.
 */
#include "in_mllp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mllp_conn.h"
#include "xmem.h"

#define BACKLOG 128
#define ACCEPT_AT_ONCE 64
#define ACCEPT_PAUSE_US ((int64_t)500000)
#define DIAL_FIRST_US ((int64_t)1000000)
#define DIAL_MOST_US ((int64_t)60000000)
#define DIAL_PATIENCE_US ((int64_t)10000000)
#define REFUSAL_LOG_US ((int64_t)1000000)

struct net {
    struct in6_addr addr;               /* v4 as ::ffff:a.b.c.d */
    unsigned bits;
};

struct listener {
    struct mllp_hub hub;
    const struct mllp_options *o;
    struct sockaddr_storage addr;
    int addr_n;
    struct net *nets;
    size_t n_nets;
    int fd;                             /* listening, or being connected; -1 */
    struct event *ready;                /* of fd */
    struct event *pause;                /* accept again, or dial again */
    int64_t dial_wait_us, refusal_told_us;
    int64_t n_refusals;                 /* not told yet */
    bool is_closing;
};

#define ROW(opt, kind, field, ...) {.name = opt, .type = kind, .offset = offsetof(struct mllp_options, field), __VA_ARGS__}
static const struct option_row option_rows[] = {
    ROW("address", OPT_ADDRESS, address, .is_required = true, .help = "address to listen on, or with mode client to connect to"),
    ROW("mode", OPT_CHOICE, mode, .def = "server", .choices = "server client", .help = "wait for connections, or dial the device (retries after 1 s to 60 s)"),
    ROW("allow", OPT_NETS, allow, .help = "networks that may connect; required unless the address is loopback"),
    ROW("max-size", OPT_SIZE, max_size, .def = "16MB", .min = 1024, .max = (int64_t)256 << 20, .help = "largest message; a larger one is answered 207 and the connection closed"),
    ROW("max-connections", OPT_INT, max_connections, .def = "256", .min = 1, .max = 10000, .help = "connections at a time; more are closed at once"),
    ROW("idle-timeout", OPT_DURATION, idle_timeout, .def = "0s", .min = 0, .max = (int64_t)30 * 86400 * 1000000,
        .help = "close a connection without messages after this time; 0s: never"),
    ROW("byte-timeout", OPT_DURATION, byte_timeout, .def = "30s", .min = 100000, .max = (int64_t)3600 * 1000000, .help = "silence inside a message that makes it truncated"),
    ROW("frame-timeout", OPT_DURATION, frame_timeout, .def = "300s", .min = 1000000, .max = (int64_t)86400 * 1000000, .help = "a message must arrive whole within this time"),
    ROW("ack-deadline", OPT_DURATION, ack_deadline, .def = "15s", .min = 100000, .max = (int64_t)3600 * 1000000,
        .help = "no answer by then: say nothing and close, the sender repeats"),
    ROW("end-wait", OPT_DURATION, end_wait, .def = "250ms", .min = 1000, .max = (int64_t)10 * 1000000, .help = "silence after the end byte that stands for the missing CR"),
    ROW("strict", OPT_YESNO, strict, .def = "no", .help = "accept FS CR only as the end of a message; close otherwise"),
    ROW("allow-bare", OPT_YESNO, allow_bare, .def = "no", .help = "accept messages that begin with MSH without the start byte"),
    ROW("read-ahead", OPT_INT, read_ahead, .def = "64", .min = 1, .max = 4096, .help = "messages taken from one connection before the first is answered"),
    ROW("read-ahead-size", OPT_SIZE, read_ahead_size, .def = "16MB", .min = 1024, .max = (int64_t)1 << 30, .help = "the same in bytes"),
    ROW("release", OPT_INT, release, .def = "1", .min = 1, .max = 2, .help = "MLLP release; 2 sends a commit block before each answer"),
};

/* ---- addresses ---- */

static struct in6_addr as_v6(const struct sockaddr *sa)
{
    struct in6_addr a = {0};
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *s6 = (const void *)sa;
        return s6->sin6_addr;
    }
    const struct sockaddr_in *s4 = (const void *)sa;
    a.s6_addr[10] = a.s6_addr[11] = 0xff;
    memcpy(a.s6_addr + 12, &s4->sin_addr, 4);
    return a;
}

static int address_parse(const char *text, struct sockaddr_storage *ss, int *n, struct err *e)
{
    *n = (int)sizeof *ss;
    memset(ss, 0, sizeof *ss);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)(void *)ss, n) != 0)
        return err_set(e, ERR_CONFIG, "address", "\"%s\" is no address: write 127.0.0.1:2575 or [::1]:2575", text);
    return 0;
}

/* Only for an address that parses. */
static bool is_loopback(const struct sockaddr_storage *ss)
{
    struct in6_addr a = as_v6((const struct sockaddr *)(const void *)ss);
    return IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

static int net_parse(const char *text, struct net *out, struct err *e)
{
    char addr[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    struct in_addr v4;
    int64_t bits = -1;
    bool is_v4 = false;
    if (n >= sizeof addr)
        goto bad;
    memcpy(addr, text, n);
    addr[n] = '\0';
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, addr, &v4) == 1) {
        is_v4 = true;
        out->addr.s6_addr[10] = out->addr.s6_addr[11] = 0xff;
        memcpy(out->addr.s6_addr + 12, &v4, 4);
    } else if (inet_pton(AF_INET6, addr, &out->addr) != 1) {
        goto bad;
    }
    if (!slash)
        bits = is_v4 ? 32 : 128;
    else if (!span_is_digits(span_of(slash + 1)) || !span_int(span_of(slash + 1), &bits) || bits > (is_v4 ? 32 : 128))
        goto bad;
    out->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return 0;
bad:
    return err_set(e, ERR_CONFIG, "allow", "\"%s\" is no network: write 10.20.0.0/16", text);
}

static bool net_has(const struct net *net, const struct in6_addr *a)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr.s6_addr, a->s6_addr, whole) != 0)
        return false;
    if (!rest)
        return true;
    unsigned mask = 0xffu << (8 - rest) & 0xffu;
    return (net->addr.s6_addr[whole] & mask) == (a->s6_addr[whole] & mask);
}

static bool is_allowed(const struct listener *l, const struct sockaddr *sa)
{
    struct in6_addr a = as_v6(sa);
    for (size_t i = 0; i < l->n_nets; i++)
        if (net_has(&l->nets[i], &a))
            return true;
    return l->n_nets == 0;              /* then the address is loopback: options_check() */
}

static void peer_format(const struct sockaddr *sa, char *out, size_t n)
{
    struct in6_addr a = as_v6(sa);
    if (IN6_IS_ADDR_V4MAPPED(&a))
        (void)inet_ntop(AF_INET, a.s6_addr + 12, out, (socklen_t)n);
    else
        (void)inet_ntop(AF_INET6, &a, out, (socklen_t)n);
}

static int options_check(const void *options, struct err *e)
{
    const struct mllp_options *o = options;
    struct sockaddr_storage ss;
    struct net net;
    int n;
    if (address_parse(o->address, &ss, &n, e))
        return -1;
    for (size_t i = 0; i < o->allow.n; i++)
        if (net_parse(o->allow.v[i], &net, e))
            return -1;
    if (o->mode == MLLP_CLIENT)
        return 0;
    if (o->allow.n == 0 && !is_loopback(&ss))
        return err_set(e, ERR_CONFIG, "allow", "without TLS, an address other than loopback needs the networks that may connect: add allow 10.20.0.0/16");
    return 0;
}

/* ---- sockets ---- */

static void socket_tune(int fd)
{
    int on = 1, idle = 60, interval = 10, probes = 6;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static void refusal_log(struct listener *l, const char *peer, const char *reason)
{
    int64_t now = clock_mono_us();
    l->n_refusals++;
    l->hub.env.count(l->hub.env.name, "connections-refused", 1);
    if (l->refusal_told_us && now - l->refusal_told_us < REFUSAL_LOG_US)
        return;
    log_event(LOG_WARNING, "connection refused", log_word("channel", l->hub.env.name), log_word("peer", peer), log_word("reason", reason), log_int("count", l->n_refusals));
    l->refusal_told_us = now;
    l->n_refusals = 0;
}

static void pause_start(struct listener *l, int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    (void)event_add(l->pause, &tv);
}

static void fd_drop(struct listener *l)
{
    if (l->ready)
        event_free(l->ready);
    l->ready = NULL;
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
}

/* ---- server ---- */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)what;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage ss;
        socklen_t n = sizeof ss;
        char peer[64] = "?";
        int c = accept4(fd, (struct sockaddr *)(void *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (c < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (c < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_event(LOG_ERROR, "cannot accept a connection: pausing", log_word("channel", l->hub.env.name), log_text("reason", strerror(errno)));
                (void)event_del(l->ready);
                pause_start(l, ACCEPT_PAUSE_US);
            }
            return;
        }
        peer_format((const struct sockaddr *)(const void *)&ss, peer, sizeof peer);
        if (!is_allowed(l, (const struct sockaddr *)(const void *)&ss)) {
            refusal_log(l, peer, "NOT_ALLOWED");
            (void)close(c);
        } else if ((int64_t)l->hub.n_open >= l->o->max_connections) {
            refusal_log(l, peer, "TOO_MANY_CONNECTIONS");
            (void)close(c);
        } else {
            socket_tune(c);
            (void)conn_open(&l->hub, c, peer);
        }
    }
}

static int server_open(struct listener *l, struct err *e)
{
    int on = 1;
    const char *name = l->hub.env.name;
    bool is_shared = l->hub.env.socket >= 0;
    l->fd = is_shared ? l->hub.env.socket : socket(l->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    l->hub.env.socket = -1;
    if (l->fd < 0)
        return err_set(e, ERR_TEMP, name, "cannot make a socket: %s", strerror(errno));
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!is_shared && (bind(l->fd, (const struct sockaddr *)(const void *)&l->addr, (socklen_t)l->addr_n) != 0 || listen(l->fd, BACKLOG) != 0))
        return err_set(e, errno == EADDRINUSE ? ERR_TEMP : ERR_CONFIG, name, "cannot listen on %s: %s", l->o->address, strerror(errno));
    l->ready = event_new(l->hub.env.base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
    if (!l->ready || event_add(l->ready, NULL) != 0)
        return err_set(e, ERR_TEMP, name, "cannot watch the socket");
    log_event(LOG_INFO, "listening", log_word("channel", name), log_word("kind", "mllp"), log_word("address", l->o->address));
    return 0;
}

/* ---- client ---- */

/* Somewhere in the upper half of the wait: many devices behind one switch must not be dialled in step. */
static void dial_later(struct listener *l)
{
    uint32_t r;
    if (l->is_closing || l->hub.is_stopping)
        return;
    evutil_secure_rng_get_bytes(&r, sizeof r);
    int64_t half = l->dial_wait_us / 2;
    pause_start(l, l->dial_wait_us == DIAL_FIRST_US ? DIAL_FIRST_US + (int64_t)r % half : half + (int64_t)r % half);
    l->dial_wait_us = l->dial_wait_us * 2 < DIAL_MOST_US ? l->dial_wait_us * 2 : DIAL_MOST_US;
}

static void dial_failed(struct listener *l, int no)
{
    log_event(LOG_WARNING, "cannot connect", log_word("channel", l->hub.env.name), log_word("address", l->o->address), log_text("reason", strerror(no)));
    fd_drop(l);
    dial_later(l);
}

static void dial_done(struct listener *l)
{
    char peer[64] = "?";
    int fd = l->fd;
    l->fd = -1;
    fd_drop(l);
    socket_tune(fd);
    peer_format((const struct sockaddr *)(const void *)&l->addr, peer, sizeof peer);
    log_event(LOG_INFO, "connected to the device", log_word("channel", l->hub.env.name), log_word("address", l->o->address));
    (void)conn_open(&l->hub, fd, peer);
}

static void on_dialled(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    int no = 0;
    socklen_t n = sizeof no;
    if (what & EV_TIMEOUT)
        no = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &no, &n) != 0)
        no = errno;
    if (no)
        dial_failed(l, no);
    else
        dial_done(l);
}

static void dial(struct listener *l)
{
    struct timeval patience = {.tv_sec = DIAL_PATIENCE_US / 1000000};
    l->fd = socket(l->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        dial_failed(l, errno);
        return;
    }
    if (connect(l->fd, (const struct sockaddr *)(const void *)&l->addr, (socklen_t)l->addr_n) == 0) {
        dial_done(l);
        return;
    }
    if (errno != EINPROGRESS) {
        dial_failed(l, errno);
        return;
    }
    l->ready = event_new(l->hub.env.base, l->fd, EV_WRITE, on_dialled, l);
    if (!l->ready || event_add(l->ready, &patience) != 0)
        dial_failed(l, ENOMEM);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    if (l->is_closing || l->hub.is_stopping)
        return;
    if (l->o->mode == MLLP_CLIENT)
        dial(l);
    else
        (void)event_add(l->ready, NULL);
}

static void on_conn_closed(struct mllp_hub *h, bool was_useful)
{
    struct listener *l = h->listener;
    if (l->o->mode != MLLP_CLIENT)
        return;
    if (was_useful)
        l->dial_wait_us = DIAL_FIRST_US;
    dial_later(l);
}

/* ---- ops ---- */

static void listener_close(struct listener *l)
{
    if (!l)
        return;
    l->is_closing = true;
    fd_drop(l);
    hub_clear(&l->hub);
    if (l->hub.env.socket >= 0)
        (void)close(l->hub.env.socket);
    if (l->pause)
        event_free(l->pause);
    free(l->nets);
    free(l);
}

static int listener_open(struct listener **out, const void *options, const struct listener_env *env, struct err *e)
{
    struct listener *l = xcalloc(1, sizeof *l);
    l->o = options;
    l->fd = -1;
    l->dial_wait_us = DIAL_FIRST_US;
    l->hub.o = options;
    l->hub.env = *env;
    l->hub.listener = l;
    l->hub.on_closed = on_conn_closed;
    if (hub_init(&l->hub, e))
        goto bad;
    l->pause = event_new(env->base, -1, 0, on_pause_over, l);
    if (!l->pause) {
        (void)err_set(e, ERR_TEMP, env->name, "cannot make an event");
        goto bad;
    }
    if (address_parse(l->o->address, &l->addr, &l->addr_n, e))
        goto bad;
    l->nets = xcalloc(l->o->allow.n, sizeof *l->nets);
    for (l->n_nets = 0; l->n_nets < l->o->allow.n; l->n_nets++)
        if (net_parse(l->o->allow.v[l->n_nets], &l->nets[l->n_nets], e))
            goto bad;
    if (l->o->mode == MLLP_CLIENT && !env->is_standby)
        dial(l);
    else if (l->o->mode == MLLP_SERVER && server_open(l, e))
        goto bad;
    *out = l;
    return 0;
bad:
    listener_close(l);
    return -1;
}

/* A device often takes one connection only: the predecessor's has to be closed. */
static void listener_start(struct listener *l)
{
    if (l->o->mode == MLLP_CLIENT)
        dial(l);
}

static int listener_share(const struct listener *l, const void *new_options)
{
    const struct mllp_options *o = new_options;
    if (l->o->mode != MLLP_SERVER || o->mode != MLLP_SERVER || l->fd < 0 || strcmp(o->address, l->o->address) != 0)
        return -1;
    return fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
}

static void listener_reply(struct listener *l, const struct reply *r)
{
    hub_reply(&l->hub, r);
}

static void listener_stop_accepting(struct listener *l)
{
    fd_drop(l);
    (void)event_del(l->pause);
    hub_stop(&l->hub);
}

static bool listener_is_idle(const struct listener *l)
{
    return hub_is_idle(&l->hub);
}

const struct listener_ops mllp_listener = {
    .name = "mllp",
    .default_parser = "hl7v2",
    .options = {.rows = option_rows, .n = sizeof option_rows / sizeof option_rows[0], .size = sizeof(struct mllp_options), .check = options_check},
    .open = listener_open,
    .reply = listener_reply,
    .stop_accepting = listener_stop_accepting,
    .is_idle = listener_is_idle,
    .close = listener_close,
    .share = listener_share,
    .start = listener_start,
};
