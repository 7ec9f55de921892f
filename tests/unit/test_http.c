/*
 * NAME test_http - the HTTP client against a server that behaves as told: how far did a request get, and was it sent once.
 * The server is a thread of this test on a free loopback port; each connection follows the next script of the list.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http.h"
#include "xmem.h"

enum act {
    ACT_END,
    ACT_READ,               /* one whole request */
    ACT_SEND,               /* text */
    ACT_CLOSE,
    ACT_RESET,
    ACT_HOLD,               /* says nothing until the client goes */
    ACT_PAUSE               /* milliseconds in text */
};
struct script { enum act act; const char *text; };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const struct script *steps;
    atomic_int requests, connections;
    pthread_mutex_t lock;
    char last[8192];        /* the last whole request, under the lock */
};

/* Reads a request with its body; false when the client closed. */
static bool read_request(struct server *s, int fd)
{
    char seen[sizeof s->last];
    size_t n = 0, want = 0;
    while (n + 1 < sizeof seen) {
        ssize_t r = recv(fd, seen + n, sizeof seen - 1 - n, 0);
        if (r <= 0)
            return false;
        n += (size_t)r;
        seen[n] = '\0';
        const char *end = strstr(seen, "\r\n\r\n"), *length = strcasestr(seen, "content-length:");
        if (!end)
            continue;
        want = (size_t)(end + 4 - seen) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
        if (n >= want)
            break;
    }
    (void)pthread_mutex_lock(&s->lock);
    memcpy(s->last, seen, n + 1);
    (void)pthread_mutex_unlock(&s->lock);
    atomic_fetch_add(&s->requests, 1);
    return true;
}

/* Whether the last request has this text. */
static bool saw(struct server *s, const char *text)
{
    (void)pthread_mutex_lock(&s->lock);
    bool yes = strstr(s->last, text) != NULL;
    (void)pthread_mutex_unlock(&s->lock);
    return yes;
}

static void hold(int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

/* Plays steps from *at on this connection until it ends. False: no more steps. */
static bool play(struct server *s, int fd, size_t *at)
{
    const struct linger hard = {1, 0};
    for (;; (*at)++) {
        const struct script *step = &s->steps[*at];
        switch (step->act) {
        case ACT_END: return false;
        case ACT_READ:
            if (!read_request(s, fd))
                return true;
            break;
        case ACT_SEND: (void)!send(fd, step->text, strlen(step->text), MSG_NOSIGNAL); break;
        case ACT_RESET: (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard); (*at)++; return true;
        case ACT_CLOSE: (*at)++; return true;
        case ACT_HOLD: hold(fd); (*at)++; return true;
        case ACT_PAUSE: (void)usleep((useconds_t)(1000 * strtoul(step->text, NULL, 10))); break;
        }
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    size_t at = 0;
    bool goes_on = true;
    while (goes_on) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        atomic_fetch_add(&s->connections, 1);
        goes_on = play(s, fd, &at);
        (void)close(fd);
    }
    return NULL;
}

static struct server *server_start(const struct script *steps)
{
    struct server *s = xcalloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->steps = steps;
    assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct http_answer call(struct http_client *c, const struct server *s, const char *method, const char *body, int64_t timeout_us, size_t max)
{
    struct http_answer a;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/api/x", s->port);
    const struct http_request q = {.method = method, .url = url, .body = span_of(body), .content_type = "application/json", .authorization = "tok", .timeout_us = timeout_us, .max_body = max};
    http_perform(c, &q, &a);
    return a;
}

/* One request to a fresh server with a fresh client. */
static struct http_answer once(const struct script *steps, const char *method, const char *body, int64_t timeout_us)
{
    struct server *s = server_start(steps);
    struct http_client *c = http_client_new();
    struct http_answer a = call(c, s, method, body, timeout_us, 0);
    http_client_free(c);
    server_stop(s);
    return a;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

static void expect_phase(struct http_answer *a, enum http_phase phase, int status)
{
    if (a->phase != phase || a->status != status)
        fail_msg("phase %d status %d (%s), expected %d %d", (int)a->phase, a->status, a->error, (int)phase, status);
    assert_true((a->error[0] == '\0') == (phase == HTTP_ANSWERED));
    http_answer_clear(a);
}

static void test_good(void **state)
{
    (void)state;
    static const struct script steps[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 204 No Content\r\n\r\n"}, {ACT_END, NULL}};
    struct server *s = server_start(steps);
    struct http_client *c = http_client_new();
    struct http_answer a = call(c, s, "POST", "{\"a\":1}", 5000000, 0);
    assert_string_equal(a.body.p, "{}");
    assert_true(a.took_us > 0);
    expect_phase(&a, HTTP_ANSWERED, 200);
    assert_true(saw(s, "POST /api/x HTTP/1.1\r\n"));
    assert_true(saw(s, "\r\nAuthorization: tok\r\n"));
    assert_false(saw(s, "Bearer"));
    assert_true(saw(s, "\r\nAccept: application/json\r\n"));
    assert_true(saw(s, "\r\nContent-Type: application/json\r\n"));
    assert_false(saw(s, "Expect:"));
    assert_true(saw(s, "\r\n\r\n{\"a\":1}"));
    a = call(c, s, "DELETE", NULL, 5000000, 0);
    expect_phase(&a, HTTP_ANSWERED, 204);
    assert_true(saw(s, "DELETE /api/x"));
    assert_false(saw(s, "Content-Type"));
    assert_int_equal(atomic_load(&s->connections), 1);          /* kept alive */
    http_client_free(c);
    server_stop(s);
}

static void test_not_sent(void **state)
{
    (void)state;
    static const struct script none[] = {{ACT_END, NULL}};
    struct server *s = server_start(none);
    struct http_client *c = http_client_new();
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
    struct http_answer a = call(c, s, "POST", "{}", 2000000, 0);
    expect_phase(&a, HTTP_NOT_SENT, 0);
    const struct http_request nowhere = {.method = "POST", .url = "http://labrelay.invalid/api", .body = SPAN_LIT("{}"), .timeout_us = 3000000};
    http_perform(c, &nowhere, &a);
    expect_phase(&a, HTTP_NOT_SENT, 0);
    const struct http_request file = {.method = "GET", .url = "file:///etc/passwd", .timeout_us = 1000000};
    http_perform(c, &file, &a);
    assert_int_equal(a.body.n, 0);
    expect_phase(&a, HTTP_NOT_SENT, 0);
    http_client_free(c);
    free(s);
}

static void test_tls_to_a_plain_server(void **state)    /* the request itself never left */
{
    (void)state;
    static const struct script steps[] = {{ACT_SEND, "HTTP/1.1 400 Bad Request\r\n\r\n"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    struct server *s = server_start(steps);
    struct http_client *c = http_client_new();
    struct http_answer a;
    char url[64];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/api", s->port);
    const struct http_request q = {.method = "POST", .url = url, .body = SPAN_LIT("{}"), .timeout_us = 3000000};
    http_perform(c, &q, &a);
    expect_phase(&a, HTTP_NOT_SENT, 0);
    http_client_free(c);
    server_stop(s);
}

static void test_sent_and_lost(void **state)
{
    (void)state;
    static const struct script closed[] = {{ACT_READ, NULL}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script reset[] = {{ACT_READ, NULL}, {ACT_RESET, NULL}, {ACT_END, NULL}};
    static const struct script silent[] = {{ACT_READ, NULL}, {ACT_HOLD, NULL}, {ACT_END, NULL}};
    static const struct script half_head[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 200 OK\r\nContent-Le"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script half_body[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script half_chunk[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"id\":"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script garbage[] = {{ACT_READ, NULL}, {ACT_SEND, "\x01\x02\x03 nonsense\r\n\r\n"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script *const all[] = {closed, reset, silent, half_head, half_body, half_chunk, garbage};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct http_answer a = once(all[i], "POST", "{}", 1000000);
        expect_phase(&a, HTTP_SENT, 0);
    }
}

/* The trap: libcurl repeats a request on its own when a kept connection dies before the first byte of the answer. */
static void test_sent_once_on_a_dying_connection(void **state)
{
    (void)state;
    static const struct script steps[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_READ, NULL}, {ACT_CLOSE, NULL}, {ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    static const struct script resets[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_READ, NULL}, {ACT_RESET, NULL}, {ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    static const struct script *const all[] = {steps, resets};
    static const char *const methods[] = {"POST", "PUT", "DELETE"};
    for (size_t i = 0; i < 2; i++)
        for (size_t m = 0; m < 3; m++) {
            struct server *s = server_start(all[i]);
            struct http_client *c = http_client_new();
            const char *body = m < 2 ? "{}" : NULL;
            struct http_answer a = call(c, s, methods[m], body, 3000000, 0);
            expect_phase(&a, HTTP_ANSWERED, 200);
            a = call(c, s, methods[m], body, 3000000, 0);
            expect_phase(&a, HTTP_SENT, 0);
            assert_int_equal(atomic_load(&s->requests), 2);         /* not three */
            a = call(c, s, methods[m], body, 3000000, 0);           /* and the client lives on */
            expect_phase(&a, HTTP_ANSWERED, 200);
            http_client_free(c);
            server_stop(s);
        }
    struct server *s = server_start(steps);                         /* a GET may be repeated */
    struct http_client *c = http_client_new();
    struct http_answer a = call(c, s, "GET", NULL, 3000000, 0);
    expect_phase(&a, HTTP_ANSWERED, 200);
    a = call(c, s, "GET", NULL, 3000000, 0);
    expect_phase(&a, HTTP_ANSWERED, 200);
    http_client_free(c);
    server_stop(s);
}

static void test_idle_connections_are_left(void **state)
{
    (void)state;
    /* the server would answer on the old connection too, but as a Go.Data about to close it: a new one is taken */
    static const struct script steps[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_READ, NULL}, {ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    struct server *s = server_start(steps);
    struct http_client *c = http_client_new();
    struct http_answer a = call(c, s, "POST", "{}", 3000000, 0);
    expect_phase(&a, HTTP_ANSWERED, 200);
    (void)usleep(4300000);
    (void)call(c, s, "POST", "{}", 500000, 0);
    assert_int_equal(atomic_load(&s->connections), 2);
    http_client_free(c);
    server_stop(s);
}

static struct http_answer through(const struct server *proxy, struct http_client *c, const char *url, const char *auth)
{
    struct http_answer a;
    char at[64];
    (void)snprintf(at, sizeof at, "http://127.0.0.1:%d", proxy->port);
    const struct http_request q = {.method = "POST", .url = url, .body = SPAN_LIT("{}"), .timeout_us = 3000000, .proxy = at, .proxy_auth = auth};
    http_perform(c, &q, &a);
    return a;
}

static void test_proxy(void **state)
{
    (void)state;
    static const struct script plain[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    struct server *s = server_start(plain);
    struct http_client *c = http_client_new();
    struct http_answer a = through(s, c, "http://godata.invalid/api/x", "lab:pass word");
    expect_phase(&a, HTTP_ANSWERED, 200);
    assert_true(saw(s, "POST http://godata.invalid/api/x HTTP/1.1\r\n"));
    assert_true(saw(s, "\r\nProxy-Authorization: Basic bGFiOnBhc3Mgd29yZA==\r\n"));
    http_client_free(c);
    server_stop(s);
    /* a tunnel that the proxy does not give: whatever it says, nothing of the request was sent */
    static const struct script refused[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script denied[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script gone[] = {{ACT_READ, NULL}, {ACT_CLOSE, NULL}, {ACT_END, NULL}};
    static const struct script *const all[] = {refused, denied, gone};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        s = server_start(all[i]);
        c = http_client_new();
        a = through(s, c, "https://godata.invalid/api/x", NULL);
        assert_true(saw(s, "CONNECT godata.invalid:443 HTTP/1.1\r\n"));
        expect_phase(&a, HTTP_NOT_SENT, 0);
        http_client_free(c);
        server_stop(s);
    }
    /* the environment is not looked at */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    a = once(plain, "POST", "{}", 3000000);
    expect_phase(&a, HTTP_ANSWERED, 200);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void test_limits_and_headers(void **state)
{
    (void)state;
    static const struct script big[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789"}, {ACT_END, NULL}};
    struct server *s = server_start(big);
    struct http_client *c = http_client_new();
    struct http_answer a = call(c, s, "POST", "{}", 3000000, 10);
    assert_string_equal(a.error, "the answer is larger than allowed");
    expect_phase(&a, HTTP_SENT, 0);
    http_client_free(c);
    server_stop(s);

    static const struct script later[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"}, {ACT_END, NULL}};
    a = once(later, "POST", "{}", 3000000);
    assert_int_equal(a.retry_after_us, 7000000);
    expect_phase(&a, HTTP_ANSWERED, 429);
    static const struct script much_later[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 503 No\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n"}, {ACT_END, NULL}};
    a = once(much_later, "POST", "{}", 3000000);
    assert_int_equal(a.retry_after_us, INT64_C(3600) * 1000000);
    expect_phase(&a, HTTP_ANSWERED, 503);
    static const struct script redirect[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"}, {ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    a = once(redirect, "GET", NULL, 3000000);
    expect_phase(&a, HTTP_ANSWERED, 302);
    static const struct script slow[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"}, {ACT_PAUSE, "1500"}, {ACT_SEND, "}"}, {ACT_END, NULL}};
    a = once(slow, "POST", "{}", 500000);
    assert_true(a.took_us < 1200000);
    expect_phase(&a, HTTP_SENT, 0);
    static const struct script hundred[] = {{ACT_READ, NULL}, {ACT_SEND, "HTTP/1.1 100 Continue\r\n\r\n"}, {ACT_SEND, OK}, {ACT_END, NULL}};
    a = once(hundred, "POST", "{}", 3000000);
    expect_phase(&a, HTTP_ANSWERED, 200);
}

static void test_no_proxy_from_the_environment(void **state)
{
    (void)state;
    static const struct script steps[] = {{ACT_READ, NULL}, {ACT_SEND, OK}, {ACT_END, NULL}};
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    struct http_answer a = once(steps, "POST", "{}", 3000000);
    (void)unsetenv("http_proxy");
    expect_phase(&a, HTTP_ANSWERED, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_not_sent), cmocka_unit_test(test_tls_to_a_plain_server), cmocka_unit_test(test_sent_and_lost),
        cmocka_unit_test(test_sent_once_on_a_dying_connection), cmocka_unit_test(test_idle_connections_are_left), cmocka_unit_test(test_proxy), cmocka_unit_test(test_limits_and_headers),
        cmocka_unit_test(test_no_proxy_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
