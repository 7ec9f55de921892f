/*
 * NAME test_godata_odd - the writer's steps against a server that says what it should not: other shapes, proxies, half answers,
 * refusals on one route only. Each step must end with the stated verdict, never with a success, and show no patient in a URL.
 * The server is a thread of this test; it answers each request with the next of a list, and remembers the request lines.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "godata_session.h"
#include "godata_writer.h"
#include "http.h"
#include "log.h"
#include "xmem.h"

#define KEY_A "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0"
#define NOTES "[labrelay 3f2a91c0]\\nA = Detected\\n[/labrelay]"
#define STANDS(result) "{\"id\":\"r1\",\"result\":\"" result "\",\"notes\":\"" NOTES "\"}"
#define REFUSED(status, code) "{\"error\":{\"statusCode\":" #status ",\"name\":\"Error\",\"message\":\"m\",\"code\":\"" code "\"}}"

struct canned { int status; const char *body; };        /* status 0: close without an answer; -1: half an answer */

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const struct canned *answers;
    size_t n, at;
    struct buf lines;                                   /* request lines and Authorization headers */
    char request[16384];
};

static bool read_request(struct server *s, int fd)
{
    size_t n = 0;
    for (;;) {
        ssize_t r = recv(fd, s->request + n, sizeof s->request - 1 - n, 0);
        if (r <= 0)
            return false;
        n += (size_t)r;
        s->request[n] = '\0';
        const char *end = strstr(s->request, "\r\n\r\n"), *length = strcasestr(s->request, "content-length:");
        if (end && n >= (size_t)(end + 4 - s->request) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0))
            return true;
    }
}

static void answer(struct server *s, int fd)
{
    const struct canned *c = s->at < s->n ? &s->answers[s->at++] : &(const struct canned){599, ""};
    const char *authorization = strstr(s->request, "Authorization: ");
    buf_add(&s->lines, s->request, strcspn(s->request, "\r"));
    if (authorization)
        buf_addf(&s->lines, " [%.*s]", (int)strcspn(authorization + 15, "\r"), authorization + 15);
    buf_addc(&s->lines, '\n');
    struct buf out;
    buf_init(&out, 1 << 20);
    if (c->status > 0)
        buf_addf(&out, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", c->status, strlen(c->body), c->body);
    else if (c->status < 0)
        buf_addf(&out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(c->body) + 10, c->body);
    (void)!send(fd, out.p ? out.p : "", out.n, MSG_NOSIGNAL);
    buf_clear(&out);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (int fd = accept(s->fd, NULL, NULL); fd >= 0; fd = accept(s->fd, NULL, NULL)) {
        if (read_request(s, fd))
            answer(s, fd);
        (void)close(fd);
    }
    return NULL;
}

static struct server *server_start(const struct canned *answers, size_t n)
{
    struct server *s = xcalloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->answers = answers;
    s->n = n;
    buf_init(&s->lines, 1 << 16);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static void server_join(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
}

struct job { enum delivery_step step; const char *who, *body, *last_body, *remote_id, *person_type; };

static const char who_all[] = "{\"sample\":\"S-77\",\"ids\":[{\"role\":\"visual-id\",\"value\":\"CASE-SECRET\"},{\"role\":\"document\",\"document\":\"PASSPORT\",\"value\":\"P-SECRET\"}],"
                              "\"family\":\"Secretname\",\"birth_date\":\"1990-02-03\"}";
static const char new_body[] = "{\"result\":\"NEG\",\"notes\":\"" NOTES "\"}", old_body[] = "{\"result\":\"POS\",\"notes\":\"" NOTES "\"}";

/* Runs one step against the canned answers; *lines_out (heap) gets the request lines. */
static struct task *run(const struct job *j, const struct canned *answers, size_t n, char **lines_out)
{
    struct server *s = server_start(answers, n);
    struct godata_options o = {.outbreak = xstrdup("x"), .timeout_us = 3000000, .sample_window_us = INT64_C(60) * 86400 * 1000000};
    struct godata_armed *armed = xcalloc(1, sizeof *armed);
    struct http_client *http = http_client_new();
    struct task *t = xcalloc(1, sizeof *t);
    char url[64];
    size_t len;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/api/", s->port);
    o.url = url;
    armed->token = xstrdup("tok");
    armed->outbreak_id = xstrdup("o1");
    t->kind = TASK_STEP;
    t->ops = &godata_writer;
    t->options = &o;
    t->armed = armed;
    t->step = j->step;
    t->result_key = xstrdup(KEY_A);
    t->who = xstrdup(j->who ? j->who : who_all);
    t->body = xstrdup(j->body ? j->body : new_body);
    t->last_body = xstrdup(j->last_body ? j->last_body : old_body);
    t->person_id = xstrdup("p1");
    t->person_type = xstrdup(j->person_type ? j->person_type : "case");
    t->remote_id = xstrdup(j->remote_id ? j->remote_id : "r1");
    godata_writer.perform(t, http);
    http_client_free(http);
    server_join(s);
    *lines_out = buf_take(&s->lines, &len);
    free(s);
    free(o.outbreak);
    t->options = NULL;
    if (strstr(*lines_out, "SECRET") || strstr(*lines_out, "Secret") || strstr(*lines_out, "1990") || strstr(*lines_out, "Bearer"))
        fail_msg("a URL shows a patient: %s", *lines_out);             /* [item 139] */
    return t;
}

static void expect(const struct job *j, const struct canned *answers, size_t n, enum verdict v, const char *reason, const char *want_lines)
{
    char *lines;
    struct task *t = run(j, answers, n, &lines);
    if (t->verdict != v || strcmp(t->reason ? t->reason : "", reason) != 0)
        fail_msg("%s: %s %s, expected %s %s; requests:\n%s", delivery_step_name(j->step), verdict_name(t->verdict), t->reason ? t->reason : "-", verdict_name(v), reason, lines);
    if (want_lines && strcmp(lines ? lines : "", want_lines) != 0)
        fail_msg("requests:\n%s\nexpected:\n%s", lines, want_lines);
    free(lines);
    task_free(t);
}

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define EXPECT(job, v, reason, lines, ...) \
    expect((job), (const struct canned[]){__VA_ARGS__}, N(((const struct canned[]){__VA_ARGS__})), (v), (reason), (lines))

static const struct job find = {.step = STEP_FIND}, create = {.step = STEP_CREATE}, update = {.step = STEP_UPDATE}, withdraw = {.step = STEP_REMOVE}, readback = {.step = STEP_READBACK};

static void test_requests(void **state)
{
    (void)state;
    EXPECT(&find, VERDICT_REJECTED, "NO_MATCH",
           "GET /api/outbreaks/o1/lab-results/aggregate?filter=%7B%22where%22%3A%7B%22sampleIdentifier%22%3A%22S-77%22%7D%2C%22fields%22%3A%5B%22id%22%2C%22personId%22%2C%22personType%22%2C"
           "%22sampleIdentifier%22%2C%22dateSampleTaken%22%2C%22createdAt%22%5D%2C%22limit%22%3A100%7D HTTP/1.1 [tok]\n"
           "POST /api/outbreaks/o1/cases/filter HTTP/1.1 [tok]\nPOST /api/outbreaks/o1/contacts/filter HTTP/1.1 [tok]\nPOST /api/outbreaks/o1/contacts-of-contacts/filter HTTP/1.1 [tok]\n",
           {200, "[]"}, {200, "[]"}, {200, "[]"}, {200, "[]"});
    EXPECT(&create, VERDICT_DELIVERED, "", "POST /api/outbreaks/o1/cases/p1/lab-results HTTP/1.1 [tok]\n", {200, "{\"id\":\"n1\"}"});
    EXPECT(&update, VERDICT_DELIVERED, "", "GET /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\nPUT /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\n",
           {200, STANDS("POS")}, {200, STANDS("NEG")});
    EXPECT(&withdraw, VERDICT_DELIVERED, "", "GET /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\nDELETE /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\n",
           {200, STANDS("POS")}, {204, ""});
    EXPECT((&(struct job){.step = STEP_READBACK, .last_body = "", .remote_id = ""}), VERDICT_DELIVERED, "", "GET /api/outbreaks/o1/cases/p1/lab-results HTTP/1.1 [tok]\n", {200, "[" STANDS("NEG") "]"});
}

static void test_find(void **state)
{
    (void)state;
    static const char *const odd[] = {"{}", "null", "\"x\"", "17", "true", "", "<html>", "[", "{\"error\":{}}"};
    for (size_t i = 0; i < N(odd); i++) {
        EXPECT(&find, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, odd[i]});
        EXPECT(&find, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, "[]"}, {200, odd[i]});
        EXPECT(&find, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, "[]"}, {200, "[]"}, {200, odd[i]});
    }
    /* lists with nonsense in them find nobody */
    static const char *const nonsense[] = {"[null,1,\"a\",[],{}]", "[{\"id\":5,\"visualId\":\"CASE-SECRET\"}]", "[{\"id\":\"\",\"visualId\":\"CASE-SECRET\"}]",
                                           "[{\"id\":\"a\",\"visualId\":[\"CASE-SECRET\"],\"documents\":{\"number\":\"P-SECRET\"}}]", "[{\"id\":\"a\",\"documents\":[null,{\"number\":7}]}]",
                                           "[{\"sampleIdentifier\":\"S-77\",\"personId\":null}]"};
    for (size_t i = 0; i < N(nonsense); i++)
        EXPECT(&find, VERDICT_REJECTED, "NO_MATCH", NULL, {200, nonsense[i]}, {200, nonsense[i]}, {200, nonsense[i]}, {200, nonsense[i]});
    EXPECT(&find, VERDICT_RETRY_LATER, "NO_ANSWER", NULL, {200, "[]"}, {0, ""}, {0, ""});
    EXPECT(&find, VERDICT_RETRY_LATER, "NO_ANSWER", NULL, {200, "[]"}, {-1, "[]"});
    EXPECT(&find, VERDICT_RETRY_LATER, "HTTP_502", NULL, {502, "<html>"});
    EXPECT(&find, VERDICT_RETRY_LATER, "WRONG_OUTBREAK", NULL, {200, "[]"}, {403, REFUSED(403, "ACCESS_DENIED")});
    /* contacts of contacts are only asked to explain: no permission, no matter */
    EXPECT(&find, VERDICT_REJECTED, "NO_MATCH", NULL, {200, "[]"}, {200, "[]"}, {200, "[]"}, {403, REFUSED(403, "MISSING_REQUIRED_PERMISSION")});
    EXPECT((&(struct job){.step = STEP_FIND, .who = "nonsense"}), VERDICT_REJECTED, "NO_IDENTITY", "", {200, "[]"});
}

static void test_create(void **state)
{
    (void)state;
    static const char *const odd[] = {"{}", "[]", "null", "{\"id\":null}", "{\"id\":7}", "{\"id\":\"\"}", "", "<html>", "{\"id\":\"x\"", "[{\"id\":\"x\"}]"};
    for (size_t i = 0; i < N(odd); i++)
        EXPECT(&create, VERDICT_UNKNOWN, "BAD_ANSWER", NULL, {200, odd[i]});
    EXPECT(&create, VERDICT_UNKNOWN, "NO_ANSWER", "POST /api/outbreaks/o1/cases/p1/lab-results HTTP/1.1 [tok]\n", {0, ""}, {200, "{\"id\":\"twice\"}"});
    EXPECT(&create, VERDICT_UNKNOWN, "NO_ANSWER", NULL, {-1, "{\"id\":\"x\"}"});
    EXPECT(&create, VERDICT_UNKNOWN, "HTTP_504", NULL, {504, ""});
    EXPECT(&create, VERDICT_UNREACHABLE, "NOT_GODATA", NULL, {302, ""});
    EXPECT(&create, VERDICT_RETRY_LATER, "HTTP_429", NULL, {429, ""});
    EXPECT(&create, VERDICT_REJECTED, "HTTP_422", NULL, {422, REFUSED(422, "VALIDATION_ERROR")});
    /* 401: the token is dead, or only this route is closed */
    EXPECT(&create, VERDICT_UNAUTHORIZED, "TOKEN", NULL, {401, REFUSED(401, "AUTHORIZATION_REQUIRED")}, {401, REFUSED(401, "AUTHORIZATION_REQUIRED")});
    EXPECT(&create, VERDICT_REJECTED, "HTTP_401", NULL, {401, REFUSED(401, "AUTHORIZATION_REQUIRED")}, {200, "[]"});
    EXPECT(&create, VERDICT_UNAUTHORIZED, "TOKEN", "POST /api/outbreaks/o1/cases/p1/lab-results HTTP/1.1 [tok]\n", {401, REFUSED(401, "INVALID_TOKEN")}, {200, "[]"});
}

static void test_update_and_remove(void **state)
{
    (void)state;
    static const char *const odd[] = {"[]", "null", "[{\"id\":\"r1\"}]", "", "<html>", "1"};
    for (size_t i = 0; i < N(odd); i++) {
        EXPECT(&update, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, odd[i]});
        EXPECT(&update, VERDICT_UNKNOWN, "BAD_ANSWER", NULL, {200, STANDS("POS")}, {200, odd[i]});
        EXPECT(&withdraw, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, odd[i]});
    }
    EXPECT((&(struct job){.step = STEP_UPDATE, .remote_id = ""}), VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, "[" STANDS("POS") "]"});
    EXPECT(&update, VERDICT_UNKNOWN, "NO_ANSWER", NULL, {200, STANDS("POS")}, {0, ""}, {200, STANDS("NEG")});
    EXPECT(&update, VERDICT_DELIVERED, "", "GET /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\nPUT /api/outbreaks/o1/cases/p1/lab-results/r1 HTTP/1.1 [tok]\n",
           {200, STANDS("NEG")}, {200, STANDS("NEG")});                                    /* executed the first time; the history line is still missing */
    EXPECT(&update, VERDICT_REJECTED, "HUMAN_EDIT", NULL, {200, STANDS("OTHER")});
    EXPECT((&(struct job){.step = STEP_UPDATE, .last_body = ""}), VERDICT_REJECTED, "EXISTS_DIFFERENT", NULL, {200, STANDS("POS")});
    EXPECT(&withdraw, VERDICT_RETRY_LATER, "NO_ANSWER", NULL, {200, STANDS("POS")}, {0, ""});
    EXPECT(&withdraw, VERDICT_DELIVERED, "", NULL, {200, STANDS("POS")}, {404, "{\"error\":{\"statusCode\":404,\"message\":\"No instance with id r1 found for labResult\"}}"});
    EXPECT(&withdraw, VERDICT_DELIVERED, "CLEARED", NULL, {200, STANDS("POS")}, {403, REFUSED(403, "MISSING_REQUIRED_PERMISSION")}, {200, STANDS("x")});
    EXPECT(&withdraw, VERDICT_RETRY_LATER, "WRONG_OUTBREAK", NULL, {200, STANDS("POS")}, {403, REFUSED(403, "ACCESS_DENIED")});
}

static void test_readback(void **state)
{
    (void)state;
    static const char *const odd[] = {"{}", "null", "", "<html>", "{\"id\":\"r1\"}"};
    for (size_t i = 0; i < N(odd); i++)
        EXPECT(&readback, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL, {200, odd[i]});         /* not "absent": nothing may be sent again */
    static const char *const absent[] = {"[]", "[null,{},{\"notes\":7},{\"notes\":\"[labrelay 3f2a91c0]\"}]", "[{\"id\":\"x\",\"notes\":\"[labrelay 00000000]\\n[/labrelay]\"}]"};
    for (size_t i = 0; i < N(absent); i++) {
        char *lines;
        struct task *t = run(&readback, &(const struct canned){200, absent[i]}, 1, &lines);
        assert_int_equal(t->verdict, VERDICT_DELIVERED);
        assert_true(t->is_absent);
        assert_null(t->created_id);
        free(lines);
        task_free(t);
    }
    EXPECT(&readback, VERDICT_RETRY_LATER, "NO_ANSWER", NULL, {0, ""}, {0, ""});
    EXPECT((&(struct job){.step = STEP_READBACK, .last_body = "", .remote_id = ""}), VERDICT_REJECTED, "EXISTS_DIFFERENT", NULL, {200, "[" STANDS("OTHER") "]"});
    /* two of ours, one untouched: the newer goes */
    EXPECT((&(struct job){.step = STEP_READBACK, .last_body = "", .remote_id = ""}), VERDICT_DELIVERED, "DUPLICATE_K",
           "GET /api/outbreaks/o1/cases/p1/lab-results HTTP/1.1 [tok]\nDELETE /api/outbreaks/o1/cases/p1/lab-results/r2 HTTP/1.1 [tok]\n",
           {200, "[{\"id\":\"r2\",\"result\":\"NEG\",\"createdAt\":\"2026-05-04T10:00:01.000Z\",\"notes\":\"" NOTES "\"},{\"id\":\"r1\",\"result\":\"NEG\",\"createdAt\":\"2026-05-04T10:00:00.000Z\",\"notes\":\"" NOTES "\"}]"},
           {204, ""});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_find), cmocka_unit_test(test_create), cmocka_unit_test(test_update_and_remove), cmocka_unit_test(test_readback),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
