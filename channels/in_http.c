/*
 * NAME in_http - listen http: accepts connections, checks who may talk, hands sockets to in_http_conn.
 *
 * SECRETS Each line of `tokens` is a bearer token, each line of `basic` a name:password; they are compared as SHA-256, all of them, always.
 * Without either everybody who may connect may post: then only a loopback address or `allow` is taken.
 * DIAGNOSTICS info: listening; warning: peer not allowed, too many connections (once a second at most); error: out of file descriptors.
 */
#include "in_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "in_http_inner.h"
#include "log.h"
#include "xmem.h"

#define BACKLOG 128
#define ACCEPT_AT_ONCE 64
#define ACCEPT_PAUSE_US 500000
#define REFUSAL_LOG_US ((int64_t)1000000)
#define SECOND ((int64_t)1000000)

struct net {
    struct in6_addr addr;               /* v4 as ::ffff:a.b.c.d */
    unsigned bits;
};

#define ROW(opt, kind, field, ...) {.name = opt, .type = kind, .offset = offsetof(struct http_options, field), __VA_ARGS__}
static const struct option_row option_rows[] = {
    ROW("address", OPT_ADDRESS, address, .is_required = true, .help = "address to listen on"),
    ROW("allow", OPT_NETS, allow, .help = "networks that may connect; required unless the address is loopback"),
    ROW("path", OPT_TEXT, path, .def = "\"/fhir\"", .help = "base path of the FHIR endpoints"),
    ROW("hl7-path", OPT_TEXT, hl7_path, .def = "\"/hl7\"", .help = "path for HL7 v2 messages; the base path takes them too, by their media type"),
    ROW("tokens", OPT_CREDENTIAL, tokens, .help = "bearer tokens, one a line of the credential file"),
    ROW("basic", OPT_CREDENTIAL, basic, .help = "names and passwords (name:password), one a line of the credential file"),
    ROW("max-body", OPT_SIZE, max_body, .def = "8MB", .min = 1024, .max = (int64_t)256 << 20, .help = "largest body; a larger one is answered 413"),
    ROW("max-connections", OPT_INT, max_connections, .def = "256", .min = 1, .max = 10000, .help = "connections at a time; more are closed at once"),
    ROW("request-timeout", OPT_DURATION, request_timeout, .def = "30s", .min = 100000, .max = 3600 * SECOND,
        .help = "a request must arrive whole within this time, and its answer be read"),
    ROW("idle-timeout", OPT_DURATION, idle_timeout, .def = "60s", .min = 100000, .max = 3600 * SECOND, .help = "close a connection without requests after this time"),
    ROW("answer-timeout", OPT_DURATION, answer_timeout, .def = "30s", .min = 100000, .max = 3600 * SECOND,
        .help = "nothing committed by then: say nothing and close, the sender repeats"),
};

/* ---- addresses ---- */

static struct in6_addr as_v6(const struct sockaddr *sa)
{
    struct in6_addr a = {0};
    if (sa->sa_family == AF_INET6)
        return ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    a.s6_addr[10] = a.s6_addr[11] = 0xff;
    memcpy(a.s6_addr + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return a;
}

static int address_parse(const char *text, struct sockaddr_storage *ss, int *n, struct err *e)
{
    *n = (int)sizeof *ss;
    memset(ss, 0, sizeof *ss);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)(void *)ss, n) != 0)
        return err_set(e, ERR_CONFIG, "address", "\"%s\" is no address: write 127.0.0.1:8080 or [::1]:8080", text);
    return 0;
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
    struct in6_addr a = as_v6((const struct sockaddr *)(const void *)ss);
    return IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

static int net_parse(const char *text, struct net *out, struct err *e)
{
    char addr[INET6_ADDRSTRLEN + 1];
    size_t n = strcspn(text, "/");
    struct in_addr v4;
    int64_t bits = 0;
    bool is_v4 = false;
    memset(out, 0, sizeof *out);
    if (n >= sizeof addr)
        goto bad;
    memcpy(addr, text, n);
    addr[n] = '\0';
    if (inet_pton(AF_INET, addr, &v4) == 1) {
        is_v4 = true;
        out->addr.s6_addr[10] = out->addr.s6_addr[11] = 0xff;
        memcpy(out->addr.s6_addr + 12, &v4, 4);
    } else if (inet_pton(AF_INET6, addr, &out->addr) != 1) {
        goto bad;
    }
    bits = is_v4 ? 32 : 128;
    if (text[n] && (!span_is_digits(span_of(text + n + 1)) || !span_int(span_of(text + n + 1), &bits) || bits > (is_v4 ? 32 : 128)))
        goto bad;
    out->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return 0;
bad:
    return err_set(e, ERR_CONFIG, "allow", "\"%s\" is no network: write 10.20.0.0/16", text);
}

static bool is_allowed(const struct listener *l, const struct sockaddr *sa)
{
    struct in6_addr a = as_v6(sa);
    const struct net *v = l->nets;
    for (size_t i = 0; i < l->n_nets; i++) {
        unsigned whole = v[i].bits / 8, rest = v[i].bits % 8, mask = rest ? 0xffu << (8 - rest) & 0xffu : 0;
        if (memcmp(v[i].addr.s6_addr, a.s6_addr, whole) == 0 && (!rest || (v[i].addr.s6_addr[whole] & mask) == (a.s6_addr[whole] & mask)))
            return true;
    }
    return l->n_nets == 0;              /* then the address is loopback: options_check() */
}

static void peer_format(const struct sockaddr *sa, char *out, size_t n)
{
    struct in6_addr a = as_v6(sa);
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&a);
    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? a.s6_addr + 12 : a.s6_addr, out, (socklen_t)n);
}

static bool is_path(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f || strchr("?#\"\\<>", s[i]))
            return false;
    return s[0] == '/' && n < 200 && (n == 1 || s[n - 1] != '/');
}

static int options_check(const void *options, struct err *e)
{
    const struct http_options *o = options;
    struct sockaddr_storage ss;
    struct net net;
    int n;
    if (address_parse(o->address, &ss, &n, e))
        return -1;
    for (size_t i = 0; i < o->allow.n; i++)
        if (net_parse(o->allow.v[i], &net, e))
            return -1;
    if (o->allow.n == 0 && !is_loopback(&ss))
        return err_set(e, ERR_CONFIG, "allow", "without TLS, an address other than loopback needs the networks that may connect: add allow 10.20.0.0/16");
    if (!is_path(o->path) || strcmp(o->path, "/") == 0)
        return err_set(e, ERR_CONFIG, "path", "write a path like \"/fhir\"");
    if (!is_path(o->hl7_path))
        return err_set(e, ERR_CONFIG, "hl7-path", "write a path like \"/hl7\"");
    return 0;
}

/* ---- secrets ---- */

static unsigned char (*hash_lines(const char *text, size_t *n))[TEXT_SHA256_BYTES]
{
    unsigned char (*v)[TEXT_SHA256_BYTES] = NULL;
    struct span rest = span_of(text), line;
    *n = 0;
    while (span_next(&rest, '\n', &line)) {
        line = span_trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        v = xreallocarray(v, *n + 1, sizeof *v);
        text_sha256(line.p, line.n, v[(*n)++]);
    }
    return v;
}

/* ---- accepting ---- */

static void refusal_log(struct listener *l, const char *peer, const char *reason)
{
    int64_t now = clock_mono_us();
    l->n_refusals++;
    l->env.count(l->env.name, "connections-refused", 1);
    if (l->refusal_told_us && now - l->refusal_told_us < REFUSAL_LOG_US)
        return;
    log_event(LOG_WARNING, "connection refused", log_word("channel", l->env.name), log_word("peer", peer), log_word("reason", reason), log_int("count", l->n_refusals));
    l->refusal_told_us = now;
    l->n_refusals = 0;
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    if (l->ready)
        (void)event_add(l->ready, NULL);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)what;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage ss;
        socklen_t n = sizeof ss;
        char peer[64] = "?";
        int on = 1, c = accept4(fd, (struct sockaddr *)(void *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (c < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (c < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                struct timeval tv = {.tv_usec = ACCEPT_PAUSE_US};
                log_event(LOG_ERROR, "cannot accept a connection: pausing", log_word("channel", l->env.name), log_text("reason", strerror(errno)));
                (void)event_del(l->ready);
                (void)event_add(l->pause, &tv);
            }
            return;
        }
        peer_format((const struct sockaddr *)(const void *)&ss, peer, sizeof peer);
        if (!is_allowed(l, (const struct sockaddr *)(const void *)&ss)) {
            refusal_log(l, peer, "NOT_ALLOWED");
            (void)close(c);
        } else if (!conns_have_room(l)) {
            refusal_log(l, peer, "TOO_MANY_CONNECTIONS");
            (void)close(c);
        } else {
            (void)setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            http_conn_open(l, c, peer);
        }
    }
}

static int server_open(struct listener *l, struct err *e)
{
    int on = 1;
    const char *name = l->env.name;
    bool is_shared = l->env.socket >= 0;
    l->fd = is_shared ? l->env.socket : socket(l->addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    l->env.socket = -1;
    if (l->fd < 0)
        return err_set(e, ERR_TEMP, name, "cannot make a socket: %s", strerror(errno));
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!is_shared && (bind(l->fd, (const struct sockaddr *)(const void *)l->addr, (socklen_t)l->addr_n) != 0 || listen(l->fd, BACKLOG) != 0))
        return err_set(e, errno == EADDRINUSE ? ERR_TEMP : ERR_CONFIG, name, "cannot listen on %s: %s", l->o->address, strerror(errno));
    l->ready = event_new(l->env.base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
    l->pause = event_new(l->env.base, -1, 0, on_pause_over, l);
    if (!l->ready || !l->pause || event_add(l->ready, NULL) != 0)
        return err_set(e, ERR_TEMP, name, "cannot watch the socket");
    log_event(LOG_INFO, "listening", log_word("channel", name), log_word("kind", "http"), log_word("address", l->o->address));
    return 0;
}

/* ---- ops ---- */

static void server_close(struct listener *l)
{
    if (l->ready)
        event_free(l->ready);
    l->ready = NULL;
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
}

static void listener_close(struct listener *l)
{
    if (!l)
        return;
    server_close(l);
    http_conns_close(l);
    if (l->env.socket >= 0)
        (void)close(l->env.socket);
    if (l->pause)
        event_free(l->pause);
    free(l->slots);
    free(l->nets);
    free(l->addr);
    free(l->secrets.tokens);
    free(l->secrets.basic);
    free(l->chunk);
    free(l);
}

static int listener_open(struct listener **out, const void *options, const struct listener_env *env, struct err *e)
{
    struct listener *l = xcalloc(1, sizeof *l);
    l->o = options;
    l->env = *env;
    l->fd = -1;
    l->addr = xcalloc(1, sizeof *l->addr);
    l->chunk = xmalloc(HTTP_CHUNK);
    l->n_slots = (size_t)l->o->max_connections * 2;     /* ghosts need places too */
    l->slots = xcalloc(l->n_slots, sizeof(struct http_conn *));
    l->secrets.tokens = hash_lines(l->o->tokens, &l->secrets.n_tokens);
    l->secrets.basic = hash_lines(l->o->basic, &l->secrets.n_basic);
    struct net *v = xcalloc(l->o->allow.n, sizeof *v);
    l->nets = v;
    if (address_parse(l->o->address, l->addr, &l->addr_n, e))
        goto bad;
    for (; l->n_nets < l->o->allow.n; l->n_nets++)
        if (net_parse(l->o->allow.v[l->n_nets], &v[l->n_nets], e))
            goto bad;
    if (server_open(l, e))
        goto bad;
    *out = l;
    return 0;
bad:
    listener_close(l);
    return -1;
}

static int listener_share(const struct listener *l, const void *new_options)
{
    const struct http_options *o = new_options;
    return l->fd >= 0 && strcmp(o->address, l->o->address) == 0 ? fcntl(l->fd, F_DUPFD_CLOEXEC, 0) : -1;
}

static void listener_stop_accepting(struct listener *l)
{
    l->is_stopping = true;
    server_close(l);
    http_conns_stop(l);
}

static bool listener_is_idle(const struct listener *l)
{
    return l->n_open == 0;
}

const struct listener_ops http_listener = {
    .name = "http",
    .default_parser = "hl7v2 fhir",
    .options = {.rows = option_rows, .n = sizeof option_rows / sizeof option_rows[0], .size = sizeof(struct http_options), .check = options_check},
    .open = listener_open,
    .reply = http_conn_reply,
    .stop_accepting = listener_stop_accepting,
    .is_idle = listener_is_idle,
    .close = listener_close,
    .share = listener_share,
};
