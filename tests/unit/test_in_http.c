/*
 * NAME test_in_http - the pure parts of the HTTP channel: the reader (every input split at every byte), routing, negotiation, texts.
 * A run of the reader is written down: `METHOD path?query [body]` for each request, `!status` where it gave up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "in_http_inner.h"
#include "xmem.h"

#define MAX_BODY ((size_t)64)

static bool feed(struct http_reader *r, struct span in, struct buf *log)
{
    for (;;) {
        switch (http_reader_feed(r, &in)) {
        case HTTP_MORE:
            assert_int_equal(in.n, 0);
            return true;
        case HTTP_HEAD:
            break;
        case HTTP_WHOLE:
            buf_addf(log, "%.*s %.*s", SPAN_ARG(r->q.method), SPAN_ARG(r->q.path));
            if (r->q.query.p)
                buf_addf(log, "?%.*s", SPAN_ARG(r->q.query));
            if (r->body.n)
                buf_addf(log, " [%.*s]", (int)r->body.n, r->body.p);
            buf_adds(log, r->q.is_close ? " close;" : ";");
            http_reader_reset(r);
            break;
        case HTTP_BAD:
            buf_addf(log, "!%d", r->status);
            assert_non_null(r->why);
            return false;
        }
    }
}

/* The run of text, whole and cut in two at every place: always the same. */
static void expect_run(struct span text, const char *want)
{
    for (size_t cut = 0; cut <= text.n; cut++) {
        struct http_reader r;
        struct buf log;
        char *a = xmalloc(cut + 1), *b = xmalloc(text.n - cut + 1);     /* of exact size: a byte too far is seen by ASan */
        memcpy(a, text.p, cut);
        memcpy(b, text.p + cut, text.n - cut);
        buf_init(&log, 1 << 16);
        buf_adds(&log, "");
        http_reader_init(&r, MAX_BODY);
        if (feed(&r, span_make(a, cut), &log))
            (void)feed(&r, span_make(b, text.n - cut), &log);
        assert_string_equal(log.p ? log.p : "", want);
        http_reader_clear(&r);
        buf_clear(&log);
        free(a);
        free(b);
    }
}
#define RUN(text, want) expect_run(SPAN_LIT(text), want)
#define H "Host: x\r\n"

static void test_requests(void **state)
{
    (void)state;
    RUN("GET / HTTP/1.1\r\n" H "\r\n", "GET /;");
    RUN("\r\n\r\nGET /a?b=c HTTP/1.1\r\n" H "\r\nPUT /d HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" H "\r\n", "GET /a?b=c;PUT /d [abc];GET /;");
    RUN("GET /a? HTTP/1.1\r\n" H "Connection: Keep-Alive, Close\r\n\r\n", "GET /a? close;");
    RUN("GET / HTTP/1.0\r\n\r\n", "GET / close;");
    RUN("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /;");
    RUN("GET http://host:80/a HTTP/1.1\r\n" H "\r\n", "GET /a;");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "POST /;");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", "POST / [ab];");
}

static void test_chunks(void **state)
{
    (void)state;
#define C "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"
    RUN(C "3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n", "POST / [abc0123456789];");
    RUN(C "0\r\nTrailer: x\r\nOther: y\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "POST /;GET /;");
    RUN(C "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n0\r\n\r\n", "POST / [0123456789012345678901234567890123456789012345678901234567890123];");
    RUN(C "41\r\n", "!413");
    RUN(C "3f\r\n012345678901234567890123456789012345678901234567890123456789012\r\n2\r\n", "!413");
    RUN(C "3\r\nabcd\r\n", "!400");
    RUN(C "3\nabc\r\n", "!400");
    RUN(C "g\r\n", "!400");
    RUN(C "\r\n", "!400");
    RUN(C "-1\r\n", "!400");
    RUN(C "000000001\r\n", "!400");
    RUN(C "1 \r\na\r\n0\r\n\r\n", "POST / [a];");
}

static void test_refusals(void **state)
{
    (void)state;
    RUN("GET / HTTP/1.1\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H H "\r\n", "!400");
    RUN("GET / HTTP/1.1\n" H "\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H "a : b\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H ": b\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H "a\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H "a: \x01\r\n\r\n", "!400");
    RUN("GET / HTTP/1.1\r\n" H "a: \0\r\n\r\n", "!400");
    RUN("GET  / HTTP/1.1\r\n" H "\r\n", "!400");
    RUN("GET / HTTP/1.1 \r\n" H "\r\n", "!505");
    RUN("GET / HTTP/2.0\r\n" H "\r\n", "!505");
    RUN("GET x HTTP/1.1\r\n" H "\r\n", "!400");
    RUN("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", "!400");
    RUN("G@T / HTTP/1.1\r\n" H "\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 1x\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "!501");
    RUN("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "!501");
    RUN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "!400");
    RUN("POST / HTTP/1.1\r\n" H "Expect: wonders\r\n\r\n", "!417");
    RUN("POST / HTTP/1.1\r\n" H "Content-Length: 65\r\n\r\n01234567890123456789012345678901234567890123456789012345678901234", "!413");
}

static void test_long_heads(void **state)
{
    struct http_reader r;
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int kind = 0; kind < 3; kind++) {
        struct span in;
        buf_reset(&text);
        buf_adds(&text, kind == 0 ? "GET /" : "GET / HTTP/1.1\r\nA: ");
        for (int i = 0; i < (kind == 2 ? 0 : 40000); i++)
            buf_addc(&text, 'a');
        for (int i = 0; i < (kind == 2 ? 80 : 0); i++)
            buf_adds(&text, "x\r\nA: ");
        buf_adds(&text, "\r\n\r\n");
        http_reader_init(&r, MAX_BODY);
        in = buf_span(&text);
        assert_int_equal(http_reader_feed(&r, &in), HTTP_BAD);
        assert_int_equal(r.status, kind == 0 ? 414 : 431);
        assert_true(r.head.cap <= 2 * HTTP_HEAD_MAX);
        http_reader_clear(&r);
    }
    buf_clear(&text);
}

static void test_pieces(void **state)
{
    char out[16];
    (void)state;
    assert_int_equal(http_unescape(SPAN_LIT("a%20b+c"), false, out, sizeof out), 5);
    assert_string_equal(out, "a b+c");
    assert_int_equal(http_unescape(SPAN_LIT("a%7C+"), true, out, sizeof out), 3);
    assert_string_equal(out, "a| ");
    assert_int_equal(http_unescape(SPAN_LIT("a%00"), true, out, sizeof out), -1);
    assert_int_equal(http_unescape(SPAN_LIT("%4"), true, out, sizeof out), -1);
    assert_int_equal(http_unescape(SPAN_LIT("%zz"), true, out, sizeof out), -1);
    assert_int_equal(http_unescape(SPAN_LIT("0123456789abcdef"), true, out, sizeof out), -1);
    assert_true(http_query(SPAN_LIT("a=1&b=x%3Dy&c"), "b", out, sizeof out));
    assert_string_equal(out, "x=y");
    assert_true(http_query(SPAN_LIT("a=1&c"), "c", out, sizeof out));
    assert_string_equal(out, "");
    assert_false(http_query(SPAN_LIT("ab=1"), "b", out, sizeof out));
    assert_false(http_query(SPAN_ABSENT, "b", out, sizeof out));
    assert_true(span_is(http_param(SPAN_LIT("text/xml; charset=\"UTF-8\" ; x=y"), "Charset"), "UTF-8"));
    assert_true(span_is_absent(http_param(SPAN_LIT("charset=x; y"), "charset")));
}

/* ---- routing ---- */

static struct http_options options(void)
{
    static char path[] = "/fhir", hl7_path[] = "/hl7";
    return (struct http_options){.path = path, .hl7_path = hl7_path, .max_body = 1000};
}

/* The head without Host; a body of 10 bytes is told unless one is told. */
static struct http_plan plan_of(const char *head, const struct http_secrets *secrets)
{
    static struct http_reader r;
    static bool is_used;
    struct http_options o = options();
    struct http_plan p;
    struct buf b;
    if (is_used)
        http_reader_clear(&r);
    is_used = true;
    buf_init(&b, 4096);
    buf_addf(&b, "%s%sHost: x\r\n\r\n", head, strstr(head, "Content-Length") ? "" : "Content-Length: 10\r\n");
    struct span in = buf_span(&b);
    http_reader_init(&r, 1000);
    assert_int_equal(http_reader_feed(&r, &in), HTTP_HEAD);
    http_route(&o, secrets, &r.q, &p);
    buf_clear(&b);
    http_reader_clear(&r);
    is_used = false;
    return p;
}

static const struct http_secrets nobody;

static void expect_plan(const char *head, int status, const char *issue)
{
    struct http_plan p = plan_of(head, &nobody);
    if (p.status != status || (issue == NULL) != (p.what == HTTP_TAKE))
        print_error("%s gives %d %s\n", head, p.status, p.issue ? p.issue : "-");
    assert_int_equal(p.status, status);
    assert_int_equal(p.what, issue ? HTTP_SAY : HTTP_TAKE);
    if (issue)
        assert_string_equal(p.issue, issue);
}

static void test_route(void **state)
{
    static const char json[] = "Content-Type: application/fhir+json\r\n";
    static const struct { const char *line; int status; const char *issue; } all[] = {
        {"POST /fhir", 200, NULL}, {"POST /fhir/", 200, NULL}, {"POST /fhir/Bundle", 201, NULL}, {"POST /fhir/Observation", 201, NULL}, {"POST /fhir/DiagnosticReport", 201, NULL},
        {"POST /fhir/$process-message", 200, NULL}, {"PUT /fhir/DiagnosticReport/a-1.b", 201, NULL}, {"PUT /fhir/Observation?identifier=a%7Cb", 201, NULL},
        {"PUT /fhir/Observation", 400, "required"}, {"PUT /fhir/Observation/a_b", 400, "value"}, {"PUT /fhir/Bundle/a", 405, "not-supported"}, {"GET /fhir", 405, "not-supported"},
        {"PATCH /fhir/Observation/a", 405, "not-supported"}, {"POST /fhir/Patient", 404, "not-found"}, {"POST /fhir/observation", 404, "not-found"}, {"POST /FHIR", 404, "not-found"},
        {"POST /fhirr", 404, "not-found"}, {"POST /fhir/Observation/a/b/c", 404, "not-found"}, {"POST /fhir/%zz", 404, "not-found"}, {"POST /fhir/../x", 404, "not-found"},
        {"POST /fhir?_format=xml", 200, NULL}, {"POST /fhir?_format=application/fhir+xml", 200, NULL}, {"POST /fhir?_format=html", 406, "not-supported"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char head[400];
        (void)snprintf(head, sizeof head, "%s HTTP/1.1\r\n%s", all[i].line, json);
        expect_plan(head, all[i].status, all[i].issue);
    }
    expect_plan("POST /fhir HTTP/1.1\r\n", 415, "not-supported");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: text/plain\r\n", 415, "not-supported");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: application/fhir+json;fhirVersion=5.0\r\n", 415, "not-supported");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: application/fhir+json; fhirVersion=\"4.0\"; charset=UTF-8\r\n", 200, NULL);
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: text/xml; charset=utf-16\r\n", 415, "not-supported");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: text/json\r\nContent-Encoding: gzip\r\n", 415, "not-supported");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: text/json\r\nContent-Length: 1001\r\n", 413, "too-long");
    expect_plan("POST /fhir HTTP/1.1\r\nContent-Type: text/json\r\nContent-Length: 0\r\n", 400, "required");
    expect_plan("POST /hl7 HTTP/1.1\r\nContent-Type: text/plain\r\n", 415, "not-supported");
    expect_plan("POST /hl7 HTTP/1.1\r\nContent-Type: Application/HL7-v2+ER7; charset=utf-8\r\n", 200, NULL);
    expect_plan("PUT /hl7 HTTP/1.1\r\nContent-Type: application/hl7-v2+er7\r\n", 405, "not-supported");
    expect_plan("POST /fhir/Observation HTTP/1.1\r\nContent-Type: text/json\r\nIf-None-Exist: name=x\r\n", 400, "not-supported");
    expect_plan("POST /fhir/Observation HTTP/1.1\r\nContent-Type: text/json\r\nIf-None-Exist: identifier=a|b&code=x\r\n", 400, "not-supported");
}

static void test_accept(void **state)
{
    static const struct { const char *accept; int form; } all[] = {
        {"application/fhir+xml", ASK_FORM_XML}, {"text/xml, application/json", ASK_FORM_XML}, {"application/json;q=0.5, text/html", ASK_FORM_JSON}, {"*/*", ASK_FORM_XML},
        {"text/html, */*;q=0.1", ASK_FORM_XML}, {"application/fhir+json; fhirVersion=4.0.1", ASK_FORM_JSON}, {"application/xml;q=0, application/json", ASK_FORM_JSON},
        {"text/html", -1}, {"*/*;q=0.0", -1}, {"application/fhir+json; fhirVersion=3.0", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char head[300];
        (void)snprintf(head, sizeof head, "POST /fhir HTTP/1.1\r\nContent-Type: application/fhir+xml\r\nAccept: %s\r\n", all[i].accept);
        struct http_plan p = plan_of(head, &nobody);
        if (all[i].form < 0) {
            assert_int_equal(p.status, 406);
            continue;
        }
        assert_int_equal(p.what, HTTP_TAKE);
        assert_int_equal(p.ask.form, all[i].form);
        assert_int_equal(p.is_xml, all[i].form == ASK_FORM_XML);
    }
}

static void test_keys(void **state)
{
    static const char head[] = "PUT /fhir/Observation%s HTTP/1.1\r\nContent-Type: text/json\r\n%s";
    char a[300], b[300];
    (void)state;
    (void)snprintf(a, sizeof a, head, "?identifier=s%7Cv", "");
    (void)snprintf(b, sizeof b, head, "?identifier=s|v", "");
    struct http_plan x = plan_of(a, &nobody), y = plan_of(b, &nobody);
    assert_string_equal(x.same_as, y.same_as);
    assert_true(x.is_update && strlen(x.same_as) == 9 + 32 && !strstr(x.same_as, "s|v"));
    y = plan_of("POST /fhir/Observation HTTP/1.1\r\nContent-Type: text/json\r\nIf-None-Exist: identifier=s%7Cv\r\n", &nobody);
    assert_string_equal(x.same_as, y.same_as);
    assert_true(y.has_condition && !y.is_update);
    x = plan_of("PUT /fhir/Observation?identifier=v HTTP/1.1\r\nContent-Type: text/json\r\n", &nobody);
    assert_string_not_equal(x.same_as, y.same_as);
    y = plan_of("PUT /fhir/Observation?identifier=%7Cv HTTP/1.1\r\nContent-Type: text/json\r\n", &nobody);
    assert_string_equal(x.same_as, y.same_as);
    x = plan_of(a, &nobody);
    y = plan_of("POST /fhir/DiagnosticReport HTTP/1.1\r\nContent-Type: text/json\r\nIf-None-Exist: ?identifier=s|v\r\n", &nobody);
    assert_string_not_equal(x.same_as, y.same_as);
    y = plan_of("POST /fhir/Observation HTTP/1.1\r\nContent-Type: text/json\r\nPrefer: handling=strict; return=minimal\r\nPrefer: respond-async, x\r\n", &nobody);
    assert_true(y.prefer == HTTP_PREFER_MINIMAL && y.is_async && y.ask.is_strict && !x.ask.is_strict && y.same_as[0] == '\0');
}

static void test_secrets(void **state)
{
    unsigned char tokens[2][TEXT_SHA256_BYTES], basic[1][TEXT_SHA256_BYTES];
    struct http_secrets s = {.tokens = tokens, .basic = basic, .n_tokens = 2, .n_basic = 1};
    static const struct { const char *value; int status; } all[] = {
        {"Bearer one", 200}, {"Bearer  two", 200}, {"BEARER two", 200}, {"Bearer tw", 401}, {"Bearer twoo", 401}, {"Bearer", 401}, {"one", 401}, {"Basic YW5uOmJlbg==", 200},
        {"Basic YW5uOmJlbnQ=", 401}, {"Basic one", 401}, {"Bearer ann:ben", 401}, {"Basic ", 401}};
    (void)state;
    text_sha256("one", 3, tokens[0]);
    text_sha256("two", 3, tokens[1]);
    text_sha256("ann:ben", 7, basic[0]);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char head[300];
        (void)snprintf(head, sizeof head, "POST /fhir HTTP/1.1\r\nContent-Type: text/json\r\nAuthorization: %s\r\n", all[i].value);
        assert_int_equal(plan_of(head, &s).status, all[i].status);
    }
    assert_int_equal(plan_of("GET /fhir/metadata HTTP/1.1\r\n", &s).what, HTTP_METADATA);
    assert_int_equal(plan_of("GET /fhir/Patient HTTP/1.1\r\n", &s).status, 401);      /* no more is told to strangers */
    assert_int_equal(plan_of("POST /hl7 HTTP/1.1\r\nContent-Type: application/hl7-v2+er7\r\n", &s).status, 401);
}

static void test_status(void **state)
{
    struct http_plan p = {.status = 201};
    struct reply r = {.status = FATE_STORED, .parser = "fhir", .n = 1};
    (void)state;
    assert_int_equal(http_status_of(&p, &r), 201);
    r.status = FATE_DUPLICATE;
    assert_int_equal(http_status_of(&p, &r), 201);
    p.has_condition = true;
    assert_int_equal(http_status_of(&p, &r), 200);
    r.status = FATE_REFUSED;
    assert_int_equal(http_status_of(&p, &r), 422);
    r.issue = "structure";
    assert_int_equal(http_status_of(&p, &r), 400);
    r.status = FATE_QUARANTINED;
    assert_int_equal(http_status_of(&p, &r), 400);
    r.issue = "too-long";
    assert_int_equal(http_status_of(&p, &r), 413);
    r.parser = NULL;
    assert_int_equal(http_status_of(&p, &r), 415);
    r.status = FATE_BUSY;
    assert_int_equal(http_status_of(&p, &r), 503);
}

static void test_texts(void **state)                            /* [item 104] */
{
    struct buf b;
    (void)state;
    buf_init(&b, 65536);
    http_capabilities(&b, false, false, "/a\"b\\c");
    json_t *j = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "fhirVersion")), "4.0.1");
    assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(j, "rest"), 0), "resource")), 3);
    json_decref(j);
    buf_reset(&b);
    http_outcome(&b, false, "error", "login", "No");
    assert_string_equal(b.p, "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"login\",\"diagnostics\":\"No\"}]}");
    buf_reset(&b);
    http_outcome(&b, true, "error", "login", "No");
    assert_non_null(strstr(b.p, "<OperationOutcome xmlns=\"http://hl7.org/fhir\"><issue><severity value=\"error\"/><code value=\"login\"/><diagnostics value=\"No\"/></issue></OperationOutcome>"));
    buf_clear(&b);
    assert_string_equal(http_reason(503), "Service Unavailable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_chunks), cmocka_unit_test(test_refusals), cmocka_unit_test(test_long_heads), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_route), cmocka_unit_test(test_accept), cmocka_unit_test(test_keys), cmocka_unit_test(test_secrets), cmocka_unit_test(test_status),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
