/*
 * NAME http_load - a plain HTTP load tool: sends the same requests as the engine would, as fast as the server takes them.
 *
 * One thread, epoll, keep-alive connections, one request under way on each. The file has a line for each request: path, TAB, JSON body.
 * usage: http_load IP:PORT TOKEN FILE CONNECTIONS
 * Prints {"requests":N,"failed":N,"seconds":S,"per_second":R}. Exit 0: all answered 200; 1: not; 2: usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "fsutil.h"
#include "xmem.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define CONNECTIONS_MAX 256

struct line { const char *path, *body; size_t path_n, body_n; };
struct conn { int fd; struct buf out, in; size_t sent; bool is_busy; };

static struct line *lines;
static size_t n_lines, next_line, n_done, n_failed;
static const char *token;

static void next_request(struct conn *c)
{
    const struct line *l = &lines[next_line++];
    buf_reset(&c->out);
    buf_reset(&c->in);
    buf_addf(&c->out, "POST %.*s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: %zu\r\n\r\n",
             (int)l->path_n, l->path, token, l->body_n);
    buf_add(&c->out, l->body, l->body_n);
    c->sent = 0;
    c->is_busy = true;
}

static void push(struct conn *c)
{
    while (c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            perror("http_load: send");
            exit(1);
        }
        c->sent += (size_t)n;
    }
}

/* true: a whole answer is there; its status is counted. */
static bool is_answered(struct conn *c)
{
    const char *end = c->in.n ? strstr(c->in.p, "\r\n\r\n") : NULL, *length = end ? strcasestr(c->in.p, "\r\ncontent-length:") : NULL;
    if (!end || !length || length > end)
        return false;
    size_t head = (size_t)(end - c->in.p) + 4, body = (size_t)strtoull(length + 17, NULL, 10);
    if (c->in.n < head + body)
        return false;
    n_failed += strncmp(c->in.p, "HTTP/1.1 200", 12) != 0;
    n_done++;
    return true;
}

static void pull(struct conn *c)
{
    char room[16384];
    for (;;) {
        ssize_t n = recv(c->fd, room, sizeof room, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            fputs("http_load: the server closed the connection\n", stderr);
            exit(1);
        }
        buf_add(&c->in, room, (size_t)n);
        if (c->is_busy && is_answered(c)) {
            c->is_busy = false;
            if (next_line < n_lines) {
                next_request(c);
                push(c);
            }
        }
    }
}

static void read_lines(struct buf *b, const char *path)
{
    struct err e = ERR_INIT;
    if (fs_load(path, b, &e) != 0) {
        fprintf(stderr, "http_load: %s\n", e.text);
        exit(2);
    }
    size_t cap = 0;
    for (char *p = b->p, *end = b->p + b->n; p < end;) {
        char *nl = memchr(p, '\n', (size_t)(end - p)), *tab = memchr(p, '\t', (size_t)(end - p));
        if (!nl || !tab || tab > nl)
            break;
        if (n_lines == cap)
            lines = xreallocarray(lines, cap = cap ? 2 * cap : 1024, sizeof *lines);
        lines[n_lines++] = (struct line){p, tab + 1, (size_t)(tab - p), (size_t)(nl - tab - 1)};
        p = nl + 1;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    char host[64];
    struct buf file;
    if (argc != 5) {
        fputs("usage: http_load IP:PORT TOKEN FILE CONNECTIONS\n", stderr);
        return 2;
    }
    (void)snprintf(host, sizeof host, "%s", argv[1]);
    char *colon = strchr(host, ':');
    if (!colon)
        return 2;
    *colon = '\0';
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return 2;
    token = argv[2];
    buf_init(&file, (size_t)1 << 28);
    read_lines(&file, argv[3]);
    size_t n = strtoul(argv[4], NULL, 10);
    if (n == 0 || n > CONNECTIONS_MAX || n_lines == 0)
        return 2;
    struct conn *v = xcalloc(n, sizeof *v);
    int ep = epoll_create1(EPOLL_CLOEXEC), one = 1;
    for (size_t i = 0; i < n; i++) {
        buf_init(&v[i].out, ANSWER_MAX);
        buf_init(&v[i].in, ANSWER_MAX);
        v[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (v[i].fd < 0 || connect(v[i].fd, (struct sockaddr *)&to, sizeof to) != 0) {
            perror("http_load: connect");
            return 1;
        }
        (void)setsockopt(v[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    int64_t t0 = clock_mono_us();
    for (size_t i = 0; i < n; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = &v[i]}};
        (void)epoll_ctl(ep, EPOLL_CTL_ADD, v[i].fd, &ev);
        if (next_line < n_lines) {
            next_request(&v[i]);
            push(&v[i]);
        }
    }
    for (struct epoll_event ev[CONNECTIONS_MAX]; n_done < n_lines;) {
        int got = epoll_wait(ep, ev, CONNECTIONS_MAX, 30000);
        if (got == 0) {
            fputs("http_load: no answer for 30 s\n", stderr);
            return 1;
        }
        for (int i = 0; i < got; i++) {
            pull(ev[i].data.ptr);
        }
    }
    double s = (double)(clock_mono_us() - t0) / 1e6;
    printf("{\"requests\":%zu,\"failed\":%zu,\"seconds\":%.3f,\"per_second\":%.0f}\n", n_done, n_failed, s, (double)n_done / s);
    for (size_t i = 0; i < n; i++) {
        (void)close(v[i].fd);
        buf_clear(&v[i].out);
        buf_clear(&v[i].in);
    }
    (void)close(ep);
    free(v);
    free(lines);
    buf_clear(&file);
    return n_failed == 0 ? 0 : 1;
}
