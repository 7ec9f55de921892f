/*
 * NAME test_godata_verdict - the one table from answers to verdicts: every row, read from bodies as a server sends them. Pure.
 * Each case says what a read and a write get. No detail may hold anything but codes, permissions and field names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fsutil.h"
#include "godata_reply.h"
#include "godata_work.h"

#define ERROR(status, more) "{\"error\":{\"statusCode\":" #status ",\"name\":\"Error\",\"message\":\"Marie Ilunga 1990-02-03\"" more "}}"
#define CODE(status, code) ERROR(status, ",\"code\":\"" code "\"")
#define INTERNAL(inner) "{\"error\":{\"statusCode\":500,\"message\":\"Internal error: `Marie`\",\"code\":\"INTERNAL_ERROR\",\"details\":{\"error\":{" inner "}}}}"
#define MISSING(what) "{\"error\":{\"statusCode\":404,\"name\":\"Error\",\"message\":\"No instance with id 0a1b2c3d-0000-4000-8000-000000000001 found for " what "\"}}"
#define HTML "<html><body>Bad Gateway</body></html>"

struct row {
    enum http_phase phase;
    int status;
    const char *body;
    enum verdict read, write;
    const char *reason;
    int64_t retry_after_s;                  /* 0: not asked */
};

static const struct row rows[] = {
    /* how far it got */
    {HTTP_NOT_SENT, 0, "", VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "UNREACHABLE", 0},
    {HTTP_SENT, 0, "", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "NO_ANSWER", 0},
    {HTTP_SENT, 0, "{\"id\":\"half", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "NO_ANSWER", 0},
    /* good ones, and good ones that are none */
    {HTTP_ANSWERED, 200, "{\"id\":\"1\"}", VERDICT_DELIVERED, VERDICT_DELIVERED, "", 0},
    {HTTP_ANSWERED, 200, "[]", VERDICT_DELIVERED, VERDICT_DELIVERED, "", 0},
    {HTTP_ANSWERED, 204, "", VERDICT_DELIVERED, VERDICT_DELIVERED, "", 0},
    {HTTP_ANSWERED, 200, "", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "BAD_ANSWER", 0},
    {HTTP_ANSWERED, 200, HTML, VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "BAD_ANSWER", 0},
    {HTTP_ANSWERED, 200, "{\"id\":\"1\"", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "BAD_ANSWER", 0},
    {HTTP_ANSWERED, 200, "{\"id\":\"1\",\"id\":\"2\"}", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "BAD_ANSWER", 0},
    /* somebody between */
    {HTTP_ANSWERED, 302, "", VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 400, HTML, VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 401, HTML, VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 403, HTML, VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 404, HTML, VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 404, "{}", VERDICT_UNREACHABLE, VERDICT_UNREACHABLE, "NOT_GODATA", 0},
    {HTTP_ANSWERED, 502, HTML, VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_502", 0},
    {HTTP_ANSWERED, 503, HTML, VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_503", 0},
    {HTTP_ANSWERED, 503, HTML, VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "HTTP_503", 20},
    {HTTP_ANSWERED, 504, HTML, VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_504", 0},
    {HTTP_ANSWERED, 500, HTML, VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_500", 0},
    {HTTP_ANSWERED, 429, "", VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "HTTP_429", 7},
    {HTTP_ANSWERED, 408, "", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_408", 0},
    /* Go.Data's refusals */
    {HTTP_ANSWERED, 400, "{\"error\":{\"statusCode\":400,\"name\":\"SyntaxError\",\"message\":\"x\"}}", VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_400", 0},
    {HTTP_ANSWERED, 400, CODE(400, "MISSING_REQUIRED_PROPERTY"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_400", 0},
    {HTTP_ANSWERED, 401, CODE(401, "INVALID_TOKEN"), VERDICT_UNAUTHORIZED, VERDICT_UNAUTHORIZED, "TOKEN", 0},
    {HTTP_ANSWERED, 401, CODE(401, "AUTHORIZATION_REQUIRED"), VERDICT_UNAUTHORIZED, VERDICT_UNAUTHORIZED, "TOKEN", 0},
    {HTTP_ANSWERED, 401, CODE(401, "LOGIN_FAILED"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_401", 0},
    {HTTP_ANSWERED, 401, ERROR(401, ""), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_401", 0},
    {HTTP_ANSWERED, 403, ERROR(403, ",\"code\":\"MISSING_REQUIRED_PERMISSION\",\"details\":{\"permissions\":\"case_create_lab_result\"}"), VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "MISSING_PERMISSION", 300},
    {HTTP_ANSWERED, 403, CODE(403, "ACCESS_DENIED"), VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "WRONG_OUTBREAK", 60},
    {HTTP_ANSWERED, 403, ERROR(403, ""), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_403", 0},
    {HTTP_ANSWERED, 404, MISSING("case"), VERDICT_REJECTED, VERDICT_REJECTED, "PERSON_GONE", 0},
    {HTTP_ANSWERED, 404, MISSING("contact"), VERDICT_REJECTED, VERDICT_REJECTED, "PERSON_GONE", 0},
    {HTTP_ANSWERED, 404, MISSING("labResult"), VERDICT_REJECTED, VERDICT_REJECTED, "DELETED_IN_GODATA", 0},
    {HTTP_ANSWERED, 404, CODE(404, "MODEL_NOT_FOUND"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_404", 0},
    {HTTP_ANSWERED, 404, "{\"error\":{\"statusCode\":404,\"name\":\"Error\",\"message\":\"Shared class \\\"outbreak\\\" has no method handling POST\"}}", VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_404", 0},
    {HTTP_ANSWERED, 406, "Not Acceptable", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_406", 0},
    {HTTP_ANSWERED, 409, CODE(409, "MODEL_CONFLICT"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_409", 0},
    {HTTP_ANSWERED, 413, HTML, VERDICT_REJECTED, VERDICT_REJECTED, "TOO_LARGE", 0},
    {HTTP_ANSWERED, 413, "{\"error\":{\"statusCode\":413,\"name\":\"PayloadTooLargeError\",\"message\":\"x\"}}", VERDICT_REJECTED, VERDICT_REJECTED, "TOO_LARGE", 0},
    {HTTP_ANSWERED, 422, "{\"error\":{\"statusCode\":422,\"name\":\"ValidationError\",\"message\":\"x\",\"details\":{\"codes\":{\"dateOfResult\":[\"date\"]}}}}", VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_422", 0},
    {HTTP_ANSWERED, 422, "{\"error\":{\"statusCode\":422,\"name\":\"ValidationError\",\"message\":\"x\",\"details\":{\"codes\":{\"id\":[\"uniqueness\"]}}}}", VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "ID_TAKEN", 0},
    {HTTP_ANSWERED, 422, CODE(422, "ACTION_TEMPORARILY_BLOCKED"), VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "LOGIN_BLOCKED", 1860},
    {HTTP_ANSWERED, 422, CODE(422, "INVALID_VISUAL_ID_MASK"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_422", 0},
    {HTTP_ANSWERED, 431, "", VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_431", 0},
    {HTTP_ANSWERED, 418, ERROR(418, ""), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_418", 0},
    /* the three kinds of 500 */
    {HTTP_ANSWERED, 500, INTERNAL("\"name\":\"TypeError\",\"message\":\"Marie\""), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_500", 0},
    {HTTP_ANSWERED, 500, INTERNAL(""), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_500", 0},
    {HTTP_ANSWERED, 500, INTERNAL("\"name\":\"MongoError\",\"code\":11000"), VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "DUPLICATE_KEY", 0},
    {HTTP_ANSWERED, 500, INTERNAL("\"name\":\"MongoNetworkError\""), VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_500", 0},
    {HTTP_ANSWERED, 500, INTERNAL("\"name\":\"MongoError\",\"code\":112"), VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_500", 0},
    {HTTP_ANSWERED, 500, ERROR(500, ""), VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_500", 0},
    {HTTP_ANSWERED, 507, ERROR(507, ""), VERDICT_RETRY_LATER, VERDICT_UNKNOWN, "HTTP_507", 0},
};

static void parse(const struct row *row, struct godata_reply *r)
{
    struct http_answer a = {.phase = row->phase, .status = row->status, .retry_after_us = row->status == 429 || row->status == 503 ? row->retry_after_s * 1000000 : 0};
    buf_init(&a.body, 1 << 16);
    buf_adds(&a.body, row->body);
    godata_reply_parse(&a, r);
    http_answer_clear(&a);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int w = 0; w < 2; w++) {
            struct godata_reply r;
            struct godata_judgement j;
            parse(&rows[i], &r);
            godata_judge(&r, w ? GODATA_WRITE : GODATA_READ, false, &j);
            enum verdict want = w ? rows[i].write : rows[i].read;
            if (j.verdict != want || strcmp(j.reason, rows[i].reason) != 0)
                fail_msg("row %zu, HTTP %d, %s: %s %s, expected %s %s", i, rows[i].status, w ? "write" : "read", verdict_name(j.verdict), j.reason, verdict_name(want), rows[i].reason);
            if (rows[i].retry_after_s)
                assert_int_equal(j.retry_after_us, rows[i].retry_after_s * 1000000);
            if (strstr(j.detail, "Marie") || strstr(j.detail, "1990") || strstr(j.detail, "0a1b2c3d"))
                fail_msg("row %zu: the detail holds more than codes: %s", i, j.detail);
            godata_reply_clear(&r);
        }
    }
}

static void test_401_of_a_good_token(void **state)      /* a route without access: never a reason to log in again */
{
    (void)state;
    const struct row row = {HTTP_ANSWERED, 401, CODE(401, "AUTHORIZATION_REQUIRED"), VERDICT_REJECTED, VERDICT_REJECTED, "HTTP_401", 0};
    struct godata_reply r;
    struct godata_judgement j;
    parse(&row, &r);
    godata_judge(&r, GODATA_WRITE, true, &j);
    assert_int_equal(j.verdict, VERDICT_REJECTED);
    assert_string_equal(j.reason, "HTTP_401");
    godata_reply_clear(&r);
}

static void test_details(void **state)
{
    (void)state;
    static const struct { struct row row; const char *detail; } cases[] = {
        {{HTTP_ANSWERED, 403, ERROR(403, ",\"code\":\"MISSING_REQUIRED_PERMISSION\",\"details\":{\"permissions\":\"case_list_lab_result, <b>\"}"), VERDICT_RETRY_LATER, VERDICT_RETRY_LATER, "", 0},
         "HTTP 403 MISSING_REQUIRED_PERMISSION: case_list_lab_result,b"},
        {{HTTP_ANSWERED, 422, "{\"error\":{\"statusCode\":422,\"name\":\"ValidationError\",\"details\":{\"codes\":{\"dateOfResult\":[\"date\"],\"dob\":[\"date\"]}}}}", VERDICT_REJECTED, VERDICT_REJECTED, "", 0},
         "HTTP 422: dateOfResult,dob"},
        {{HTTP_ANSWERED, 500, INTERNAL("\"name\":\"TypeError\""), VERDICT_REJECTED, VERDICT_REJECTED, "", 0}, "HTTP 500 INTERNAL_ERROR TypeError"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct godata_reply r;
        struct godata_judgement j;
        parse(&cases[i].row, &r);
        godata_judge(&r, GODATA_WRITE, false, &j);
        assert_string_equal(j.detail, cases[i].detail);
        godata_reply_clear(&r);
    }
}

static void test_detail_without_answer(void **state)
{
    (void)state;
    const struct http_answer a = {.phase = HTTP_NOT_SENT, .error = "SSL peer certificate or SSH remote key was not OK"};
    struct godata_reply r;
    struct godata_judgement j;
    godata_reply_parse(&a, &r);
    godata_judge(&r, GODATA_WRITE, false, &j);
    assert_int_equal(j.verdict, VERDICT_UNREACHABLE);
    assert_string_equal(j.detail, a.error);
}

/* Answers recorded from a real server, as a write would take them. */
static const struct { const char *name; enum verdict write; const char *reason; } recorded[] = {
    {"04-no-token", VERDICT_UNAUTHORIZED, "TOKEN"}, {"05-garbage-token-raw", VERDICT_UNAUTHORIZED, "TOKEN"}, {"07-login-bad-password", VERDICT_REJECTED, "HTTP_401"},
    {"11-login-ok", VERDICT_DELIVERED, ""}, {"12-older-token-after-second-login", VERDICT_UNAUTHORIZED, "TOKEN"}, {"15-outbreaks-list", VERDICT_DELIVERED, ""},
    {"17-outbreak-not-allowed", VERDICT_RETRY_LATER, "WRONG_OUTBREAK"}, {"18-outbreak-unknown", VERDICT_RETRY_LATER, "WRONG_OUTBREAK"},
    {"31-case-create-other-outbreak-forbidden", VERDICT_RETRY_LATER, "WRONG_OUTBREAK"}, {"38-case-get-unknown", VERDICT_REJECTED, "PERSON_GONE"},
    {"40-case-patch-not-routed", VERDICT_REJECTED, "HTTP_404"}, {"41-lab-create", VERDICT_DELIVERED, ""}, {"45-lab-create-hl7-date-rejected", VERDICT_REJECTED, "HTTP_422"},
    {"48-lab-create-array-500", VERDICT_REJECTED, "HTTP_500"}, {"49-lab-create-questionnaire-string-500", VERDICT_REJECTED, "HTTP_500"},
    {"50-lab-create-malformed-json", VERDICT_REJECTED, "HTTP_400"}, {"52-lab-create-unknown-case", VERDICT_REJECTED, "PERSON_GONE"}, {"56-lab-update", VERDICT_DELIVERED, ""},
    {"58-lab-update-unknown", VERDICT_REJECTED, "DELETED_IN_GODATA"}, {"60-lab-delete-forbidden-for-role", VERDICT_RETRY_LATER, "MISSING_PERMISSION"},
    {"66-contact-via-case-route-404", VERDICT_REJECTED, "PERSON_GONE"}, {"67-coc-lab-create-401-no-acl", VERDICT_UNAUTHORIZED, "TOKEN"}, {"69-attachment-upload-same-id", VERDICT_UNKNOWN, "ID_TAKEN"},
    {"72-viewer-lab-create-forbidden", VERDICT_RETRY_LATER, "MISSING_PERMISSION"}, {"73-body-over-10mb", VERDICT_REJECTED, "TOO_LARGE"}, {"74-lab-delete", VERDICT_DELIVERED, ""},
    {"75-lab-delete-again", VERDICT_REJECTED, "DELETED_IN_GODATA"}, {"78-contact-gone-after-convert", VERDICT_REJECTED, "PERSON_GONE"},
    {"82-case-create-id-of-deleted", VERDICT_UNKNOWN, "DUPLICATE_KEY"}, {"83-filter-too-long-431", VERDICT_REJECTED, "HTTP_431"}, {"84-filter-bad-json", VERDICT_REJECTED, "HTTP_400"},
    {"86-after-logout", VERDICT_UNAUTHORIZED, "TOKEN"}, {"87-expired-token-first-use", VERDICT_UNAUTHORIZED, "TOKEN"}, {"88-expired-token-second-use", VERDICT_UNAUTHORIZED, "TOKEN"},
    {"89-login-locked-out-right-password", VERDICT_RETRY_LATER, "LOGIN_BLOCKED"}, {"90-bearer-unknown-token-no-answer", VERDICT_UNKNOWN, "NO_ANSWER"},
};

static void judge_recorded(const char *text, const char *name, enum verdict v, const char *reason)
{
    json_t *file = json_loads(text, 0, NULL), *response = json_object_get(file, "response"), *body = json_object_get(response, "body");
    const int status = (int)json_integer_value(json_object_get(response, "status"));
    struct http_answer a = {.phase = status ? HTTP_ANSWERED : HTTP_SENT, .status = status};
    char *dump = json_is_object(body) || json_is_array(body) ? json_dumps(body, 0) : NULL;
    struct godata_reply r;
    struct godata_judgement j;
    assert_non_null(file);
    buf_init(&a.body, 1 << 20);
    buf_adds(&a.body, dump ? dump : json_is_string(body) ? json_string_value(body) : "");
    godata_reply_parse(&a, &r);
    godata_judge(&r, GODATA_WRITE, false, &j);
    if (j.verdict != v || strcmp(j.reason, reason) != 0)
        fail_msg("%s: %s %s, expected %s %s", name, verdict_name(j.verdict), j.reason, verdict_name(v), reason);
    godata_reply_clear(&r);
    http_answer_clear(&a);
    free(dump);
    json_decref(file);
}

static void test_recorded_answers(void **state)
{
    (void)state;
    const char *shared = getenv("LABRELAY_SHARED");
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        struct err e = ERR_INIT;
        struct buf path, text;
        buf_init(&path, 4096);
        buf_init(&text, 8 << 20);
        buf_addf(&path, "%s/godata-transcripts/%s.json", shared ? shared : "../shared", recorded[i].name);
        int rc = fs_load(path.p, &text, &e);
        if (rc == 0)
            judge_recorded(text.p, recorded[i].name, recorded[i].write, recorded[i].reason);
        else
            print_message("# SKIP %s is not there\n", path.p);
        buf_clear(&path);
        buf_clear(&text);
        if (rc != 0)
            skip();
    }
}

static void test_urls(void **state)         /* [item 139] ids only, and encoded */
{
    (void)state;
    char outbreak[] = "o/1", person[] = "../x?y";
    struct godata_armed armed = {.outbreak_id = outbreak};
    struct task t = {.armed = &armed, .person_id = person};
    struct buf b;
    buf_init(&b, 4096);
    godata_path_labs(&b, &t, "contact", "a b");
    assert_string_equal(b.p, "/outbreaks/o%2F1/contacts/..%2Fx%3Fy/lab-results/a%20b");
    buf_reset(&b);
    godata_path_labs(&b, &t, "case", NULL);
    assert_string_equal(b.p, "/outbreaks/o%2F1/cases/..%2Fx%3Fy/lab-results");
    buf_reset(&b);
    godata_url_add(&b, SPAN_LIT("a-._~é%"));
    assert_string_equal(b.p, "a-._~%C3%A9%25");
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_401_of_a_good_token), cmocka_unit_test(test_details), cmocka_unit_test(test_detail_without_answer), cmocka_unit_test(test_recorded_answers),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
