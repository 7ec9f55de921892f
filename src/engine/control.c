/*
 * NAME control - the control socket (server on the LOOP thread, client anywhere).
 * DIAGNOSTICS "cannot open the control socket" with the path; a request that is too long or no line is dropped with its connection.
 */
#include "control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "message.h"
#include "xmem.h"

#define CONNS_MAX 64
#define CLIENT_TIMEOUT_S 30

struct conn {
    struct control *c;
    struct bufferevent *bev;
    uint64_t id;
    bool is_answered;
    struct conn *next;
};

struct control {
    struct event_base *base;
    struct mailbox *engine, *replies;
    struct evconnlistener *listener;
    struct event *mail;
    struct conn *first;
    size_t n;
    uint64_t last_id;
    char *path;
};

void control_mail_free(struct control_mail *c)
{
    if (!c)
        return;
    free(c->request);
    free(c->answer);
    free(c);
}

static void conn_close(struct conn *x)
{
    struct control *c = x->c;
    for (struct conn **p = &c->first; *p; p = &(*p)->next)
        if (*p == x) {
            *p = x->next;
            break;
        }
    c->n--;
    bufferevent_free(x->bev);
    free(x);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct conn *x = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t n = 0;
    char *line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF);
    if (!line) {
        if (evbuffer_get_length(in) > CONTROL_MAX_BYTES)
            conn_close(x);
        return;
    }
    struct control_mail *m = xcalloc(1, sizeof *m);
    m->mail.kind = MAIL_CONTROL;
    m->mail.bytes = n;
    m->conn = x->id;
    m->request = xstrndup(line, n);
    free(line);
    bufferevent_disable(bev, EV_READ);
    mailbox_post(x->c->engine, &m->mail);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct conn *x = arg;
    (void)bev;
    if (x->is_answered)
        conn_close(x);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        conn_close(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
    struct control *c = arg;
    (void)l;
    (void)sa;
    (void)len;
    if (c->n >= CONNS_MAX) {
        (void)close(fd);
        return;
    }
    struct conn *x = xcalloc(1, sizeof *x);
    struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
    x->c = c;
    x->id = ++c->last_id;
    x->bev = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE);
    x->next = c->first;
    c->first = x;
    c->n++;
    bufferevent_setcb(x->bev, on_read, on_written, on_event, x);
    bufferevent_set_timeouts(x->bev, &limit, &limit);
    bufferevent_enable(x->bev, EV_READ);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    (void)fd;
    (void)what;
    struct mail *next;
    for (struct mail *m = mailbox_take_all(c->replies); m; m = next) {
        struct control_mail *cm = (struct control_mail *)(void *)m;
        next = m->next;
        for (struct conn *x = c->first; x; x = x->next)
            if (x->id == cm->conn) {
                const char *text = cm->answer ? cm->answer : "{\"error\":\"no answer\"}";
                x->is_answered = true;
                (void)bufferevent_write(x->bev, text, strlen(text));
                (void)bufferevent_write(x->bev, "\n", 1);
                break;
            }
        control_mail_free(cm);
    }
}

static int address(const char *path, struct sockaddr_un *sa, struct err *e)
{
    memset(sa, 0, sizeof *sa);
    sa->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof sa->sun_path)
        return err_set(e, ERR_CONFIG, path, "the path of the control socket is longer than %zu bytes; set `control`", sizeof sa->sun_path - 1);
    memcpy(sa->sun_path, path, strlen(path) + 1);
    return 0;
}

int control_open(struct control **out, const char *path, struct event_base *base, struct mailbox *engine, struct mailbox *replies, struct err *e)
{
    struct sockaddr_un sa;
    if (address(path, &sa, e))
        return -1;
    struct control *c = xcalloc(1, sizeof *c);
    c->base = base;
    c->engine = engine;
    c->replies = replies;
    c->path = xstrdup(path);
    (void)unlink(path); /* the store's lock says that no other engine runs here */
    mode_t old = umask(0177);
    c->listener = evconnlistener_new_bind(base, on_accept, c, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16, (struct sockaddr *)&sa, sizeof sa);
    (void)umask(old);
    if (!c->listener) {
        (void)err_set(e, ERR_CONFIG, path, "cannot open the control socket: %s", strerror(errno));
        free(c->path);
        free(c);
        return -1;
    }
    c->mail = event_new(base, mailbox_fd(replies), EV_READ | EV_PERSIST, on_mail, c);
    (void)event_add(c->mail, NULL);
    *out = c;
    return 0;
}

void control_close(struct control *c)
{
    if (!c)
        return;
    while (c->first)
        conn_close(c->first);
    evconnlistener_free(c->listener);
    event_free(c->mail);
    for (struct mail *m = mailbox_take_all(c->replies), *next; m; m = next) {
        next = m->next;
        control_mail_free((struct control_mail *)(void *)m);
    }
    (void)unlink(c->path);
    free(c->path);
    free(c);
}

int control_ask(const char *path, const char *request, struct buf *answer, struct err *e)
{
    struct sockaddr_un sa;
    struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
    char chunk[4096];
    int rc = -1;
    if (address(path, &sa, e))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, ERR_TEMP, path, "no socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        rc = errno == ENOENT || errno == ECONNREFUSED ? 1 : err_set(e, ERR_CONFIG, path, "cannot reach the engine: %s", strerror(errno));
        goto out;
    }
    struct buf line;
    buf_init(&line, CONTROL_MAX_BYTES);
    buf_adds(&line, request);
    buf_addc(&line, '\n');
    for (size_t done = 0; done < line.n;) {
        ssize_t w = send(fd, line.p + done, line.n - done, MSG_NOSIGNAL);
        if (w <= 0) {
            buf_clear(&line);
            (void)err_set(e, ERR_TEMP, path, "the engine hung up");
            goto out;
        }
        done += (size_t)w;
    }
    buf_clear(&line);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)err_set(e, ERR_TEMP, path, "no answer from the engine: %s", strerror(errno));
            goto out;
        }
        if (n == 0)
            break;
        buf_add(answer, chunk, (size_t)n);
    }
    if (!answer->n || answer->is_full) {
        (void)err_set(e, ERR_TEMP, path, "the engine gave no usable answer");
        goto out;
    }
    rc = 0;
out:
    (void)close(fd);
    return rc;
}
