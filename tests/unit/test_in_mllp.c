/*
 * NAME test_in_mllp - the MLLP listener and the loop over real sockets, with an engine that echoes.
 * The marks [item N] are those of the conformance checklist (STANDARDS 10). Run it under -fsanitize=thread too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "in_mllp.h"
#include "log.h"
#include "loop.h"
#include "mllp_conn.h"
#include "mllp_frame.h"
#include "option.h"
#include "xmem.h"

/* ---- a parser that knows busy() only, and an engine that echoes ---- */

static int busy(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e)
{
    (void)options;
    (void)rc;
    (void)e;
    (void)a;
    *payload = span_starts(frame, "MSH") ? span_make(xstrdup("207"), 3) : SPAN_ABSENT;
    return 0;
}
static const struct parser_ops test_parser = {.name = "test", .busy = busy};

/* The bytes after "MSH" tell the engine what to do: "close", "many", "busy", "none"; else the answer is "=" and the frame's first 40 bytes. */
struct fixture {
    struct mailbox *engine, *replies;
    struct loop *loop;
    struct config conf;
    struct listener_conf lc;
    struct mllp_options o;
    pthread_t loop_thread, engine_thread;
    atomic_bool is_ending;
    _Atomic int64_t delay_us;           /* the engine sleeps so long before each round */
    _Atomic int whole, truncated, most_waiting;
    _Atomic bool is_reversed;           /* answers a round's frames last first */
    uint16_t port;
    char address[32];
    char *last_truncated;
};

static void add_payload(struct reply *r, const char *p, size_t n)
{
    r->payloads = xreallocarray(r->payloads, r->n + 1, sizeof *r->payloads);
    r->payloads[r->n++] = span_make(xstrndup(p, n), n);
}

static struct reply *answer(struct fixture *t, struct frame *f)
{
    struct reply *r = xcalloc(1, sizeof *r);
    r->listener = f->listener;
    r->conn = f->conn;
    r->seq = f->seq;
    if (f->state != FRAME_WHOLE) {
        free(t->last_truncated);
        t->last_truncated = xstrndup(f->raw, f->raw_n);
        atomic_fetch_add(&t->truncated, 1);     /* only now may the test look */
        r->status = FATE_QUARANTINED;
        return r;
    }
    struct span s = span_make(f->raw, f->raw_n);
    atomic_fetch_add(&t->whole, 1);
    r->status = FATE_STORED;
    if (span_starts(s, "MSHclose"))
        r->is_close = true;
    else if (span_starts(s, "MSHbusy"))
        r->status = FATE_BUSY;
    else if (span_starts(s, "MSHmany"))
        add_payload(r, "first", 5);
    if (!span_starts(s, "MSHnone")) {
        char head[64];
        int n = snprintf(head, sizeof head, "=%.*s", f->raw_n > 40 ? 40 : (int)f->raw_n, f->raw);
        add_payload(r, head, (size_t)n);
    }
    return r;
}

static void *engine_main(void *arg)
{
    struct fixture *t = arg;
    while (!atomic_load(&t->is_ending)) {
        struct mail *next, *turned = NULL;
        if (!mailbox_wait(t->engine, -1))
            continue;
        int64_t delay = atomic_load(&t->delay_us);
        if (delay)
            (void)usleep((useconds_t)delay);
        int n = (int)mailbox_count(t->engine);
        if (n > atomic_load(&t->most_waiting))
            atomic_store(&t->most_waiting, n);
        for (struct mail *m = mailbox_take_all(t->engine); m; m = next) {
            struct frame *f = (struct frame *)(void *)m;
            next = m->next;
            struct reply *r = answer(t, f);
            frame_free(f);
            if (atomic_load(&t->is_reversed)) {
                r->mail.next = turned;
                turned = &r->mail;
            } else {
                mailbox_post(t->replies, &r->mail);
            }
        }
        for (struct mail *m = turned; m; m = next) {
            next = m->next;
            mailbox_post(t->replies, m);
        }
    }
    return NULL;
}

static void *loop_main(void *arg)
{
    loop_run(arg);
    return NULL;
}

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

static struct fixture *fixture_new(void)
{
    struct fixture *t = xcalloc(1, sizeof *t);
    t->port = free_port();
    (void)snprintf(t->address, sizeof t->address, "127.0.0.1:%u", t->port);
    t->o = (struct mllp_options){.address = t->address, .mode = MLLP_SERVER, .max_size = 1 << 20, .max_connections = 64, .byte_timeout = 300000, .frame_timeout = 5000000,
                                 .ack_deadline = 3000000, .end_wait = 250000, .read_ahead = 64, .read_ahead_size = 16 << 20, .release = 1};
    t->lc = (struct listener_conf){.name = (char *)(uintptr_t)"lab", .ops = &mllp_listener, .options = &t->o, .parser = &test_parser};
    t->conf = (struct config){.node = (char *)(uintptr_t)"node", .listeners = &t->lc, .n_listeners = 1};
    return t;
}

static void fixture_start_budget(struct fixture *t, int64_t budget)
{
    struct err e = ERR_INIT;
    t->engine = mailbox_new(false);
    t->replies = mailbox_new(true);
    struct loop_env env = {.engine = t->engine, .replies = t->replies, .budget_bytes = budget, .reply_id_seed = 1000};
    if (loop_open(&t->loop, &t->conf, &env, &e))
        fail_msg("%s: %s", e.where, e.text);
    assert_int_equal(pthread_create(&t->loop_thread, NULL, loop_main, t->loop), 0);
    assert_int_equal(pthread_create(&t->engine_thread, NULL, engine_main, t), 0);
}

static void fixture_start(struct fixture *t)
{
    fixture_start_budget(t, 64 << 20);
}

static void fixture_end(struct fixture *t)
{
    loop_stop(t->loop, 3000000);
    assert_int_equal(pthread_join(t->loop_thread, NULL), 0);
    atomic_store(&t->is_ending, true);
    mailbox_wake(t->engine);
    assert_int_equal(pthread_join(t->engine_thread, NULL), 0);
    struct mail *next;
    for (struct mail *m = mailbox_take_all(t->engine); m; m = next) {
        next = m->next;
        frame_free((struct frame *)(void *)m);
    }
    loop_close(t->loop);
    mailbox_free(t->engine);
    mailbox_free(t->replies);
    free(t->last_truncated);
    free(t);
}

/* ---- a client ---- */

static int dial_from(const struct fixture *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(t->port)};
    struct timeval tv = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    return fd;
}

static void say_n(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w <= 0)
            fail_msg("send: %s", strerror(errno));
        p += w;
        n -= (size_t)w;
    }
}

static void say(int fd, const char *s)
{
    say_n(fd, s, strlen(s));
}

/* Reads until `want` bytes came, the end, or the time; returns what came as a string. */
static const char *hear(int fd, size_t want, int ms)
{
    static char b[1 << 20];
    size_t n = 0;
    int64_t until = clock_mono_us() + ms * 1000;
    while (n < want && clock_mono_us() < until) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)((until - clock_mono_us()) / 1000) + 1) <= 0)
            continue;
        ssize_t r = recv(fd, b + n, want - n, 0);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    b[n] = '\0';
    return b;
}

/* The next n frames, whatever they hold. */
static const char *hear_frames(int fd, int n)
{
    static char b[4096];
    size_t len = 0;
    int seen = 0;
    for (;;) {
        const char *c = hear(fd, 1, 5000);
        if (!*c || len + 2 > sizeof b)
            break;
        b[len++] = *c;
        if (*c == '\r' && len > 1 && b[len - 2] == 0x1c && ++seen == n)
            break;
    }
    b[len] = '\0';
    return b;
}

static void expect(int fd, const char *s)
{
    assert_string_equal(hear(fd, strlen(s), 5000), s);
}

static bool is_closed(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char b[1];
    return poll(&p, 1, ms) == 1 && recv(fd, b, 1, 0) <= 0;
}

static void wait_for(_Atomic int *v, int want)
{
    for (int i = 0; i < 500 && atomic_load(v) < want; i++)
        (void)usleep(10000);
    assert_int_equal(atomic_load(v), want);
}

struct counts {
    int64_t received, refused, empty, stray, connections;
};

static void note_count(void *ctx, const char *listener, const char *what, int64_t n)
{
    struct counts *c = ctx;
    assert_string_equal(listener, "lab");
    if (strcmp(what, "received") == 0)
        c->received += n;
    else if (strcmp(what, "refused") == 0)
        c->refused += n;
    else if (strcmp(what, "empty") == 0)
        c->empty += n;
    else if (strcmp(what, "stray-bytes") == 0)
        c->stray += n;
    else if (strcmp(what, "connections-refused") == 0)
        c->connections += n;
    else
        fail_msg("%s", what);
}

static struct counts counts_take(struct fixture *t)
{
    struct counts c = {0};
    loop_take_counts(t->loop, note_count, &c);
    return c;
}

/* ---- tests ---- */

static void test_one_frame(void **state) /* [item 1] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH|1\x1c\r");
    expect(fd, "\v=MSH|1\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_byte_by_byte(void **state) /* [item 2] */
{
    struct fixture *t = fixture_new();
    static const char m[] = "\vMSH|slow\x1c\r";
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    for (size_t i = 0; i + 1 < sizeof m; i++) {
        say_n(fd, m + i, 1);
        (void)usleep(20000);
    }
    expect(fd, "\v=MSH|slow\x1c\r");
    assert_int_equal(atomic_load(&t->whole), 1);
    (void)close(fd);
    fixture_end(t);
}

static void test_three_in_one_write(void **state) /* [item 3] */
{
    struct fixture *t = fixture_new();
    (void)state;
    atomic_store(&t->is_reversed, true);        /* however the engine answers, the order is that of arrival */
    atomic_store(&t->delay_us, 50000);
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r\vMSHmany2\x1c\r\vMSH3\x1c\r");
    expect(fd, "\v=MSH1\x1c\r\vfirst\x1c\r\v=MSHmany2\x1c\r\v=MSH3\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_missing_cr(void **state) /* [item 4] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSHlf\x1c\n");
    expect(fd, "\v=MSHlf\x1c\r");
    say(fd, "\vMSHalone\x1c");
    expect(fd, "\v=MSHalone\x1c\r");
    (void)close(fd);
    fixture_end(t);
    t = fixture_new();
    t->o.strict = true;
    fixture_start(t);
    fd = dial_from(t);
    say(fd, "\vMSHlf\x1c\n");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    fd = dial_from(t);
    say(fd, "\vMSHok\x1c\r");
    expect(fd, "\v=MSHok\x1c\r");
    say(fd, "\vMSHalone\x1c");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    wait_for(&t->truncated, 2);
    fixture_end(t);
}

static void test_between_frames(void **state) /* [item 5] */
{
    static const char noise[] = "\r\n \0\t\x06\x15";
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say_n(fd, noise, sizeof noise - 1);
    say(fd, "\vMSH1\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    struct counts c = counts_take(t);
    assert_int_equal(c.stray, 0);
    say(fd, "xyz\vMSH2\x1c\r");
    expect(fd, "\v=MSH2\x1c\r");
    c = counts_take(t);
    assert_int_equal(c.stray, 3);
    (void)close(fd);
    fixture_end(t);
}

static void test_sb_in_frame(void **state) /* [item 6] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vaaa\vMSH2\x1c\r");
    expect(fd, "\v=MSH2\x1c\r");
    wait_for(&t->truncated, 1);
    assert_string_equal(t->last_truncated, "aaa");
    assert_string_equal(hear(fd, 1, 100), "");
    (void)close(fd);
    fixture_end(t);
}

static void test_half_then_fin(void **state) /* [item 7] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH|hal");
    (void)shutdown(fd, SHUT_WR);
    assert_true(is_closed(fd, 3000));
    wait_for(&t->truncated, 1);
    assert_string_equal(t->last_truncated, "MSH|hal");
    assert_int_equal(atomic_load(&t->whole), 0);
    (void)close(fd);
    fixture_end(t);
}

static void test_half_close(void **state) /* [item 8] */
{
    struct fixture *t = fixture_new();
    (void)state;
    atomic_store(&t->delay_us, 100000);
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r\vMSH2\x1c");
    (void)shutdown(fd, SHUT_WR);
    expect(fd, "\v=MSH1\x1c\r\v=MSH2\x1c\r");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    fixture_end(t);
}

static void test_gone_before_ack(void **state) /* [item 9] */
{
    struct fixture *t = fixture_new();
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    atomic_store(&t->delay_us, 100000);
    fixture_start(t);
    for (int i = 0; i < 3; i++) {
        int fd = dial_from(t);
        say(fd, "\vMSH1\x1c\r\vMSH2\x1c\r");
        if (i)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        (void)close(fd);
    }
    int fd = dial_from(t);
    say(fd, "\vMSH3\x1c\r");
    expect(fd, "\v=MSH3\x1c\r");
    assert_in_range(atomic_load(&t->whole), 3, 7);      /* a reset may overtake what was sent before it */
    (void)close(fd);
    fixture_end(t);
}

static void test_empty(void **state) /* [item 10] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\v\x1c\r\v\x1c\r\vMSH1\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    assert_string_equal(hear(fd, 1, 100), "");
    assert_int_equal(atomic_load(&t->whole), 1);
    struct counts c = counts_take(t);
    assert_int_equal(c.empty, 2);
    assert_int_equal(c.received, 0);
    (void)close(fd);
    fixture_end(t);
}

static void test_oversize(void **state) /* [item 11] */
{
    struct fixture *t = fixture_new();
    size_t n = (1 << 20) + 1;
    char *big = xmalloc(n + 3);
    (void)state;
    memset(big, 'x', n + 3);
    memcpy(big, "\vMSH", 4);
    big[n + 1] = 0x1c;
    big[n + 2] = '\r';
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r");
    say_n(fd, big, n + 3);
    expect(fd, "\v=MSH1\x1c\r\v207\x1c\r");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    assert_int_equal(atomic_load(&t->whole), 1);
    struct counts c = counts_take(t);
    assert_int_equal(c.received, 1);
    assert_int_equal(c.refused, 1);
    big[n] = 0x1c;          /* exactly max-size */
    big[n + 1] = '\r';
    fd = dial_from(t);
    say_n(fd, big, n + 2);
    assert_int_equal(strlen(hear(fd, 44, 5000)), 44);
    assert_int_equal(atomic_load(&t->whole), 2);
    (void)close(fd);
    free(big);
    fixture_end(t);
}

static void test_byte_timeout(void **state) /* [item 12] */
{
    struct fixture *t = fixture_new();
    (void)state;
    fixture_start(t);
    int idle = dial_from(t), fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r\vMSH|hal");
    expect(fd, "\v=MSH1\x1c\r");
    assert_true(is_closed(fd, 3000));
    wait_for(&t->truncated, 1);
    say(idle, "\vMSH2\x1c\r");
    expect(idle, "\v=MSH2\x1c\r");
    (void)close(fd);
    (void)close(idle);
    fixture_end(t);
}

static void test_idle_timeout(void **state)
{
    struct fixture *t = fixture_new();
    (void)state;
    t->o.idle_timeout = 300000;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    fixture_end(t);
}

static void test_release_2(void **state) /* [item 13] */
{
    struct fixture *t = fixture_new();
    (void)state;
    t->o.release = 2;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r\vMSHbusy\x1c\r\vMSHnone\x1c\r");
    expect(fd, "\v\x06\x1c\r\v=MSH1\x1c\r\v\x15\x1c\r\v=MSHbusy\x1c\r\v\x06\x1c\r");
    loop_set_accepting(t->loop, false);
    say(fd, "\vMSH2\x1c\r");
    expect(fd, "\v\x15\x1c\r\v207\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_not_accepting(void **state) /* [item 18] the listener's part */
{
    struct fixture *t = fixture_new();
    (void)state;
    atomic_store(&t->delay_us, 200000);
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r");
    (void)usleep(50000);
    loop_set_accepting(t->loop, false);
    say(fd, "\vMSH2\x1c\r\vjunk\x1c\r");
    expect(fd, "\v=MSH1\x1c\r\v207\x1c\r");     /* in order, though the 207 was ready long before; junk gets no answer */
    struct counts c = counts_take(t);
    assert_int_equal(c.received, 2);
    assert_int_equal(c.refused, 2);
    loop_set_accepting(t->loop, true);
    say(fd, "\vMSH3\x1c\r");
    expect(fd, "\v=MSH3\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_reply_close(void **state)
{
    struct fixture *t = fixture_new();
    (void)state;
    atomic_store(&t->delay_us, 50000);
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r\vMSHclose\x1c\r\vMSH3\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    fixture_end(t);
}

static void test_ack_deadline(void **state)
{
    struct fixture *t = fixture_new();
    (void)state;
    t->o.ack_deadline = 300000;
    atomic_store(&t->delay_us, 2500000);
    fixture_start(t);
    int fd = dial_from(t);
    int64_t from = clock_mono_us();
    say(fd, "\vMSH1\x1c\r");
    assert_string_equal(hear(fd, 1, 4000), "");
    assert_in_range(clock_mono_us() - from, 290000, 2000000);
    (void)close(fd);
    wait_for(&t->whole, 1);
    atomic_store(&t->delay_us, 0);
    fd = dial_from(t);          /* the late answer found nobody; the next connection is another one */
    say(fd, "\vMSH2\x1c\r");
    expect(fd, "\v=MSH2\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_read_ahead(void **state)
{
    struct fixture *t = fixture_new();
    char want[32];
    (void)state;
    t->o.read_ahead = 8;
    atomic_store(&t->delay_us, 20000);
    fixture_start(t);
    int fd = dial_from(t);
    char all[3000];
    size_t n = 0;
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "\vMSH%03d\x1c\r", i);
    say_n(fd, all, n);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(want, sizeof want, "\v=MSH%03d\x1c\r", i);
        expect(fd, want);
    }
    assert_in_range(atomic_load(&t->most_waiting), 1, 8);
    (void)close(fd);
    fixture_end(t);
}

static void test_budget(void **state)
{
    struct fixture *t = fixture_new();
    enum { N = 6, SIZE = 200000 };
    int fd[N];
    char *big = xmalloc(SIZE);
    (void)state;
    memset(big, 'x', SIZE);
    memcpy(big, "\vMSH", 4);
    fixture_start_budget(t, 512 * 1024);
    for (int i = 0; i < N; i++) {       /* 1.2 MB of half frames in a budget of 0.5 MB and nothing at the engine: some are shed */
        fd[i] = dial_from(t);
        say_n(fd[i], big, SIZE);
    }
    (void)usleep(100000);
    int taken = 0, shed = 0;
    for (int i = 0; i < N; i++)
        say(fd[i], "\x1c\r");
    for (int i = 0; i < N; i++) {
        char c = hear_frames(fd[i], 1)[1];
        taken += c == '=';
        shed += c == '2';
    }
    assert_int_equal(taken + shed, N);
    assert_in_range(taken, 1, 3);
    assert_int_equal(counts_take(t).refused, shed);
    for (int i = 0; i < N; i++)         /* all of it was given back */
        (void)close(fd[i]);
    atomic_store(&t->delay_us, 50000);
    int two[2] = {dial_from(t), dial_from(t)};
    for (int i = 0; i < 2; i++) {       /* with frames at the engine, the others wait instead */
        for (int k = 0; k < 5; k++) {
            say_n(two[i], big, SIZE);
            say(two[i], "\x1c\r");
        }
    }
    int answers = 0, refusals = 0;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 5; k++) {
            const char *one = hear_frames(two[i], 1);
            answers += one[0] && one[1] == '=';
            refusals += one[0] && one[1] == '2';
        }
        (void)close(two[i]);
    }
    assert_int_equal(answers + refusals, 10);
    assert_in_range(answers, 5, 10);
    free(big);
    fixture_end(t);
}

static void test_limits(void **state)
{
    struct fixture *t = fixture_new();
    int fd[5];
    (void)state;
    t->o.max_connections = 4;
    fixture_start(t);
    for (int i = 0; i < 4; i++) {
        fd[i] = dial_from(t);
        say(fd[i], "\vMSH1\x1c\r");
        expect(fd[i], "\v=MSH1\x1c\r");
    }
    fd[4] = dial_from(t);
    assert_true(is_closed(fd[4], 3000));
    (void)close(fd[0]);
    (void)close(fd[4]);
    (void)usleep(100000);
    fd[0] = dial_from(t);
    say(fd[0], "\vMSH2\x1c\r");
    expect(fd[0], "\v=MSH2\x1c\r");
    for (int i = 0; i < 4; i++)
        (void)close(fd[i]);
    assert_int_equal(counts_take(t).connections, 1);
    fixture_end(t);
}

static void test_allow(void **state)
{
    char *other[] = {(char *)(uintptr_t)"10.0.0.0/8", (char *)(uintptr_t)"2001:db8::/32"}, *here[] = {(char *)(uintptr_t)"10.0.0.0/8", (char *)(uintptr_t)"127.0.0.0/30"};
    struct fixture *t = fixture_new();
    (void)state;
    t->o.allow = (struct option_list){other, 2};
    fixture_start(t);
    int fd = dial_from(t);
    assert_true(is_closed(fd, 3000));
    (void)close(fd);
    fixture_end(t);
    t = fixture_new();
    t->o.allow = (struct option_list){here, 2};
    fixture_start(t);
    fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    (void)close(fd);
    fixture_end(t);
}

static void test_defaults(void **state)
{
    struct mllp_options o = {.address = NULL};
    (void)state;
    assert_int_equal(mllp_listener.options.size, sizeof o);
    assert_int_equal(option_set_defaults(&mllp_listener.options, &o), 0);
    assert_int_equal(o.mode, MLLP_SERVER);
    assert_int_equal(o.max_size, 16 << 20);
    assert_int_equal(o.max_connections, 256);
    assert_int_equal(o.idle_timeout, 0);            /* connections may live for days */
    assert_int_equal(o.byte_timeout, 30 * 1000000);
    assert_int_equal(o.frame_timeout, 300 * 1000000);
    assert_int_equal(o.ack_deadline, 15 * 1000000);
    assert_int_equal(o.end_wait, 250000);
    assert_false(o.strict || o.allow_bare);
    assert_int_equal(o.read_ahead, 64);
    assert_int_equal(o.read_ahead_size, 16 << 20);
    assert_int_equal(o.release, 1);
    option_free_values(&mllp_listener.options, &o);
}

static void test_check(void **state)
{
    struct mllp_options o = {.mode = MLLP_SERVER};
    char *nets[] = {(char *)(uintptr_t)"10.0.0.0/8"}, *bad[] = {(char *)(uintptr_t)"10.0.0.0/33"};
    static const struct { const char *address; bool is_ok_alone; } rows[] = {
        {"127.0.0.1:2575", true}, {"127.9.9.9:2575", true}, {"[::1]:2575", true}, {"0.0.0.0:2575", false}, {"[::]:2575", false}, {"10.1.1.1:2575", false}, {"[::ffff:127.0.0.1]:1", true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = ERR_INIT;
        o.address = (char *)(uintptr_t)rows[i].address;
        o.allow = (struct option_list){0};
        assert_int_equal(mllp_listener.options.check(&o, &e), rows[i].is_ok_alone ? 0 : -1);
        if (!rows[i].is_ok_alone)
            assert_string_equal(e.where, "allow");
        o.allow = (struct option_list){nets, 1};
        assert_int_equal(mllp_listener.options.check(&o, &e), 0);
        o.allow = (struct option_list){bad, 1};
        assert_int_equal(mllp_listener.options.check(&o, &e), -1);
    }
    struct err e = ERR_INIT;
    o.allow = (struct option_list){0};
    o.address = (char *)(uintptr_t)"0.0.0.0:1";
    o.mode = MLLP_CLIENT;
    assert_int_equal(mllp_listener.options.check(&o, &e), 0);
}

static void test_address_in_use(void **state)
{
    struct fixture *t = fixture_new();
    struct err e = ERR_INIT;
    struct mailbox *engine = mailbox_new(false), *replies = mailbox_new(true);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(t->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    struct loop_env env = {.engine = engine, .replies = replies, .budget_bytes = 1 << 20};
    assert_int_equal(loop_open(&t->loop, &t->conf, &env, &e), -1);
    assert_non_null(strstr(e.text, "cannot listen on 127.0.0.1:"));
    (void)close(fd);
    mailbox_free(engine);
    mailbox_free(replies);
    free(t);
}

static void test_client_mode(void **state) /* [item 16] */
{
    struct fixture *t = fixture_new();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(t->port)};
    int on = 1, srv = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {.tv_sec = 20};
    (void)state;
    t->o.mode = MLLP_CLIENT;
    int64_t from = clock_mono_us();
    fixture_start(t);                   /* the first try is refused; the next comes after 1 s or a little more */
    (void)usleep(200000);
    (void)setsockopt(srv, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(srv, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    assert_int_equal(bind(srv, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(srv, 4), 0);
    for (int i = 0; i < 2; i++) {       /* a success after a refusal, and again after the device hung up */
        int fd = accept(srv, NULL, NULL);
        assert_true(fd >= 0);
        assert_in_range(clock_mono_us() - from, 950000, 10000000);
        say(fd, "\vMSH1\x1c\r");
        expect(fd, "\v=MSH1\x1c\r");
        from = clock_mono_us();
        (void)close(fd);
    }
    (void)close(srv);
    fixture_end(t);
}

static void test_stop_under_load(void **state) /* [item 137] the listener's part */
{
    struct fixture *t = fixture_new();
    int fd[8];
    (void)state;
    atomic_store(&t->delay_us, 300000);
    fixture_start(t);
    for (int i = 0; i < 8; i++) {
        fd[i] = dial_from(t);
        say(fd[i], "\vMSH1\x1c\r");
    }
    (void)usleep(100000);
    loop_stop(t->loop, 3000000);
    for (int i = 0; i < 8; i++) {       /* what was handed over is answered, then the end */
        expect(fd[i], "\v=MSH1\x1c\r");
        assert_true(is_closed(fd[i], 3000));
        (void)close(fd[i]);
    }
    fixture_end(t);
}

static void test_out_of_descriptors(void **state)
{
    struct fixture *t = fixture_new();
    struct rlimit old, low;
    (void)state;
    fixture_start(t);
    int fd = dial_from(t);
    say(fd, "\vMSH1\x1c\r");
    expect(fd, "\v=MSH1\x1c\r");
    int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(t->port)};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    int probe = dup(0);
    (void)close(probe);
    low.rlim_cur = (rlim_t)probe;       /* the next descriptor is one too many */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(connect(second, (struct sockaddr *)&a, sizeof a), 0);
    say(second, "\vMSH2\x1c\r");
    (void)usleep(100000);
    assert_string_equal(hear(second, 1, 100), "");
    say(fd, "\vMSH3\x1c\r");            /* the others go on */
    expect(fd, "\v=MSH3\x1c\r");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    expect(second, "\v=MSH2\x1c\r");    /* after the pause */
    (void)close(fd);
    (void)close(second);
    fixture_end(t);
}

/* ---- many peers that behave anyhow ---- */

struct peer {
    struct fixture *t;
    uint32_t random;
    long answers;
};

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void *peer_main(void *arg)
{
    static const char *const pieces[] = {"\vMSH|whole\x1c\r", "\vMSH|half", "\x1c", "\r", "\v", "\v\x1c\r", "MSHclose\x1c\r", "\vMSHmany\x1c\r\vMSHbusy\x1c\r\vMSHnone\x1c\r", "noise"};
    struct peer *p = arg;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    char *big = xmalloc(300000);
    memset(big, 'x', 300000);
    for (int round = 0; round < 200; round++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(p->t->port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char in[4096];
        if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
            (void)close(fd);
            continue;
        }
        for (uint32_t k = next_random(&p->random) % 60; k; k--) {
            const char *s = pieces[next_random(&p->random) % (sizeof pieces / sizeof pieces[0])];
            if (next_random(&p->random) % 40 == 0)
                (void)send(fd, big, next_random(&p->random) % 300000, MSG_NOSIGNAL | MSG_DONTWAIT);
            else
                (void)send(fd, s, strlen(s), MSG_NOSIGNAL);
            if (next_random(&p->random) % 4 == 0) {
                ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
                for (ssize_t i = 0; i < n; i++)
                    p->answers += in[i] == 0x1c;
            }
        }
        if (next_random(&p->random) % 3 == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        else if (next_random(&p->random) % 2) {
            struct timeval tv = {.tv_usec = 200000};
            ssize_t n;
            (void)shutdown(fd, SHUT_WR);
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
            while ((n = recv(fd, in, sizeof in, 0)) > 0)
                for (ssize_t i = 0; i < n; i++)
                    p->answers += in[i] == 0x1c;
        }
        (void)close(fd);
    }
    free(big);
    return NULL;
}

/* What the ends must show: every frame answered once, all of the budget given back (loop_close checks it), and it still works. */
static void test_storm(void **state)
{
    struct fixture *t = fixture_new();
    struct peer p[6];
    pthread_t th[6];
    long answers = 0;
    (void)state;
    t->o.read_ahead = 4;
    t->o.max_size = 100000;
    t->o.byte_timeout = 100000;
    atomic_store(&t->delay_us, 2000);
    atomic_store(&t->is_reversed, true);
    fixture_start_budget(t, 500000);
    for (uint32_t i = 0; i < 6; i++) {
        p[i] = (struct peer){.t = t, .random = 77 + i * 1001};
        assert_int_equal(pthread_create(&th[i], NULL, peer_main, &p[i]), 0);
    }
    for (int i = 0; atomic_load(&t->whole) < 200 || i < 10; i++) {
        (void)usleep(100000);
        loop_set_accepting(t->loop, i % 3 != 2);
        if (i > 600)
            fail_msg("the storm came to a halt: %d whole", atomic_load(&t->whole));
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(th[i], NULL), 0);
        answers += p[i].answers;
    }
    loop_set_accepting(t->loop, true);
    assert_true(answers > 0 && atomic_load(&t->truncated) > 10);
    struct counts c = counts_take(t);
    assert_true(c.refused > 0 && c.empty > 0 && c.received == c.refused);
    const char *got = "  ";
    for (int i = 0; i < 200 && got[1] != '='; i++) {  /* the storm's last connections may still fill the house and the budget */
        int fd = dial_from(t);
        (void)send(fd, "\vMSH|after\x1c\r", 13, MSG_NOSIGNAL);
        got = hear(fd, 14, 1000);
        got = got[0] ? got : "  ";
        (void)close(fd);
        (void)usleep(100000);
    }
    assert_string_equal(got, "\v=MSH|after\x1c\r");
    fixture_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_frame), cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_three_in_one_write), cmocka_unit_test(test_missing_cr),
        cmocka_unit_test(test_between_frames), cmocka_unit_test(test_sb_in_frame), cmocka_unit_test(test_half_then_fin), cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_gone_before_ack), cmocka_unit_test(test_empty), cmocka_unit_test(test_oversize), cmocka_unit_test(test_byte_timeout),
        cmocka_unit_test(test_idle_timeout), cmocka_unit_test(test_release_2), cmocka_unit_test(test_not_accepting), cmocka_unit_test(test_reply_close),
        cmocka_unit_test(test_ack_deadline), cmocka_unit_test(test_read_ahead), cmocka_unit_test(test_budget), cmocka_unit_test(test_limits), cmocka_unit_test(test_allow),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_check), cmocka_unit_test(test_address_in_use), cmocka_unit_test(test_client_mode), cmocka_unit_test(test_stop_under_load),
        cmocka_unit_test(test_out_of_descriptors), cmocka_unit_test(test_storm),
    };
    log_set_level(LOG_ERROR);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);     /* after an abort the failure before it is still read */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
