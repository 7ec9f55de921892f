/*
 * NAME godata_reply - requests, answers and the table from answers to verdicts.
 *
 * Principle: a write whose end is not known is UNKNOWN (read back first); a refusal by Go.Data itself is final for this result; a refusal
 * by somebody between (no Go.Data error object) is UNREACHABLE; 500 counts as a refusal when the error is one of shape (TypeError) and as
 * unknown when it is the database's. DIAGNOSTICS reasons as in man labrelay-godata(7).
 */
#include "godata_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godata_session.h"
#include "xmem.h"

#define ANSWER_MAX ((size_t)16 << 20)
#define PATH_MAX_BYTES 16000
#define PERMISSION_RETRY_US (300 * INT64_C(1000000))
#define OUTBREAK_RETRY_US (60 * INT64_C(1000000))
#define BLOCKED_RETRY_US (31 * 60 * INT64_C(1000000))

/* ---- requests ---- */

void godata_url_add(struct buf *b, struct span s)
{
    static const char plain[] = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c && memchr(plain, c, sizeof plain - 1))
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

void godata_call(struct task *t, struct http_client *http, const char *method, struct span path, struct span body, struct godata_reply *out)
{
    godata_call_as(t, http, method, path, body, "application/json", out);
}

void godata_call_as(struct task *t, struct http_client *http, const char *method, struct span path, struct span body, const char *type, struct godata_reply *out)
{
    const struct godata_options *o = t->options;
    const struct godata_armed *armed = t->armed;
    struct span base = span_of(o->url);
    struct http_answer answer;
    struct buf url;

    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    buf_init(&url, PATH_MAX_BYTES);
    buf_add_span(&url, base);
    buf_add_span(&url, path);
    if (url.is_full) {
        *out = (struct godata_reply){.phase = HTTP_ANSWERED, .status = 431, .is_empty = true};
    } else {
        const struct http_request q = {
            .method = method, .url = url.p, .body = body, .content_type = span_is_absent(body) ? NULL : type,
            .authorization = armed && armed->token ? armed->token : NULL, .timeout_us = o->timeout_us, .max_body = ANSWER_MAX,
            .proxy = o->proxy, .proxy_auth = o->proxy_auth, .ca_file = o->ca_file, .is_insecure_ok = o->insecure,
        };
        http_perform(http, &q, &answer);
        godata_reply_parse(&answer, out);
        http_answer_clear(&answer);
        t->requests++;
    }
    t->http_status = out->status;
    buf_clear(&url);
}

/* ---- answers ---- */

struct span godata_json_text(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? span_make(json_string_value(v), json_string_length(v)) : SPAN_ABSENT;
}

/* Codes and names only: what else stands there is dropped, so that no value of a patient slips through. */
static void copy_word(char *out, size_t n, struct span s)
{
    size_t k = 0;
    for (size_t i = 0; i < s.n && k + 1 < n; i++) {
        char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ',' || c == '-')
            out[k++] = c;
    }
    out[k] = '\0';
}

static void read_missing(struct godata_reply *r, struct span message)
{
    static const char found[] = " found for ";
    const char *p = message.n ? memmem(message.p, message.n, found, sizeof found - 1) : NULL;
    if (p && span_starts(message, "No instance with id "))
        copy_word(r->missing, sizeof r->missing, span_from(message, (size_t)(p - message.p) + sizeof found - 1));
}

static void read_fields(struct godata_reply *r, const json_t *codes)
{
    const char *key;
    json_t *v;
    struct buf names;
    buf_init(&names, 4096);
    json_object_foreach((json_t *)(uintptr_t)codes, key, v) {
        if (names.n)
            buf_addc(&names, ',');
        buf_adds(&names, key);
        if (strcmp(key, "id") == 0 && strcmp(json_is_string(json_array_get(v, 0)) ? json_string_value(json_array_get(v, 0)) : "", "uniqueness") == 0)
            r->is_taken_id = true;
    }
    copy_word(r->fields, sizeof r->fields, buf_span(&names));
    buf_clear(&names);
}

static void read_error(struct godata_reply *r, const json_t *error)
{
    const json_t *details = json_object_get(error, "details"), *inner = json_object_get(details, "error");
    r->is_error = true;
    copy_word(r->code, sizeof r->code, godata_json_text(error, "code"));
    copy_word(r->name, sizeof r->name, godata_json_text(error, "name"));
    copy_word(r->inner, sizeof r->inner, godata_json_text(inner, "name"));
    r->inner_code = json_integer_value(json_object_get(inner, "code"));
    copy_word(r->permissions, sizeof r->permissions, godata_json_text(details, "permissions"));
    read_missing(r, godata_json_text(error, "message"));
    read_fields(r, json_object_get(details, "codes"));
}

void godata_reply_parse(const struct http_answer *a, struct godata_reply *out)
{
    *out = (struct godata_reply){.phase = a->phase, .status = a->phase == HTTP_ANSWERED ? a->status : 0, .is_empty = a->body.n == 0,
                                 .retry_after_us = a->retry_after_us, .date_us = a->date_us};
    (void)snprintf(out->error, sizeof out->error, "%.95s", a->error);
    if (a->phase != HTTP_ANSWERED || a->body.n == 0)
        return;
    json_t *v = json_loadb(a->body.p, a->body.n, JSON_REJECT_DUPLICATES, NULL);
    if (a->status >= 200 && a->status < 300) {
        out->json = v;
        return;
    }
    if (json_is_object(json_object_get(v, "error")))
        read_error(out, json_object_get(v, "error"));
    json_decref(v);
}

void godata_reply_clear(struct godata_reply *r)
{
    json_decref(r->json);
    r->json = NULL;
}

/* ---- verdicts ---- */

static void say(struct godata_judgement *j, enum verdict v, const char *reason)
{
    j->verdict = v;
    (void)snprintf(j->reason, sizeof j->reason, "%s", reason);
}

static void say_http(struct godata_judgement *j, enum verdict v, int status)
{
    j->verdict = v;
    (void)snprintf(j->reason, sizeof j->reason, "HTTP_%d", status);
}

/* It may or may not have been executed. */
static void say_open(struct godata_judgement *j, enum godata_access access, const char *reason)
{
    say(j, access == GODATA_WRITE ? VERDICT_UNKNOWN : VERDICT_RETRY_LATER, reason);
}

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void judge_401(const struct godata_reply *r, bool is_token_good, struct godata_judgement *j)
{
    if (strcmp(r->code, "INVALID_TOKEN") == 0 || (strcmp(r->code, "AUTHORIZATION_REQUIRED") == 0 && !is_token_good))
        say(j, VERDICT_UNAUTHORIZED, "TOKEN");
    else
        say_http(j, VERDICT_REJECTED, r->status);
}

static void judge_403(const struct godata_reply *r, struct godata_judgement *j)
{
    if (strcmp(r->code, "MISSING_REQUIRED_PERMISSION") == 0) {
        say(j, VERDICT_RETRY_LATER, "MISSING_PERMISSION");
        j->retry_after_us = PERMISSION_RETRY_US;
    } else if (strcmp(r->code, "ACCESS_DENIED") == 0) {
        say(j, VERDICT_RETRY_LATER, "WRONG_OUTBREAK");
        j->retry_after_us = OUTBREAK_RETRY_US;
    } else {
        say_http(j, VERDICT_REJECTED, r->status);
    }
}

static void judge_422(const struct godata_reply *r, enum godata_access access, struct godata_judgement *j)
{
    if (strcmp(r->code, "ACTION_TEMPORARILY_BLOCKED") == 0) {
        say(j, VERDICT_RETRY_LATER, "LOGIN_BLOCKED");
        j->retry_after_us = BLOCKED_RETRY_US;
    } else if (r->is_taken_id) {
        say_open(j, access, "ID_TAKEN");
    } else {
        say_http(j, VERDICT_REJECTED, r->status);
    }
}

static void judge_500(const struct godata_reply *r, enum godata_access access, struct godata_judgement *j)
{
    bool is_database = starts(r->inner, "Mongo") || strcmp(r->inner, "BulkWriteError") == 0;
    if (r->is_error && strcmp(r->code, "INTERNAL_ERROR") == 0 && !is_database && r->inner_code != 11000)
        say_http(j, VERDICT_REJECTED, r->status);       /* a mistake of shape: the same again gives the same */
    else
        say_open(j, access, r->inner_code == 11000 ? "DUPLICATE_KEY" : "HTTP_500");
}

static void judge_refusal(const struct godata_reply *r, enum godata_access access, bool is_token_good, struct godata_judgement *j)
{
    switch (r->status) {
    case 406: say_open(j, access, "HTTP_406"); return;          /* executed, only the answer is refused */
    case 408: say_open(j, access, "HTTP_408"); return;
    case 413: say(j, VERDICT_REJECTED, "TOO_LARGE"); return;
    case 429: say(j, VERDICT_RETRY_LATER, "HTTP_429"); return;
    case 431: say_http(j, VERDICT_REJECTED, r->status); return;
    case 500: judge_500(r, access, j); return;
    case 503:
        if (r->retry_after_us)                                  /* somebody says in so many words that it was not taken */
            say(j, VERDICT_RETRY_LATER, "HTTP_503");
        else
            say_open(j, access, "HTTP_503");
        return;
    default: break;
    }
    if (r->status >= 500) {
        say_open(j, access, "");
        (void)snprintf(j->reason, sizeof j->reason, "HTTP_%d", r->status);
    } else if (!r->is_error) {
        say(j, VERDICT_UNREACHABLE, "NOT_GODATA");              /* a proxy, a portal: Go.Data never saw it */
    } else if (r->status == 401) {
        judge_401(r, is_token_good, j);
    } else if (r->status == 403) {
        judge_403(r, j);
    } else if (r->status == 404 && r->missing[0]) {
        say(j, VERDICT_REJECTED, strcmp(r->missing, "labResult") == 0 ? "DELETED_IN_GODATA" : "PERSON_GONE");
    } else if (r->status == 422) {
        judge_422(r, access, j);
    } else {
        say_http(j, VERDICT_REJECTED, r->status);
    }
}

void godata_judge(const struct godata_reply *r, enum godata_access access, bool is_token_good, struct godata_judgement *out)
{
    *out = (struct godata_judgement){.verdict = VERDICT_UNKNOWN, .retry_after_us = r->retry_after_us};
    (void)snprintf(out->detail, sizeof out->detail, "%s", r->error);
    switch (r->phase) {
    case HTTP_NOT_SENT: say(out, VERDICT_UNREACHABLE, "UNREACHABLE"); return;
    case HTTP_SENT: say_open(out, access, "NO_ANSWER"); return;
    case HTTP_ANSWERED: break;
    }
    if (r->status == 204 || (r->status >= 200 && r->status < 300 && r->json)) {
        say(out, VERDICT_DELIVERED, "");
        return;
    }
    if (r->status >= 200 && r->status < 300)
        say_open(out, access, "BAD_ANSWER");
    else if (r->status < 400)
        say(out, VERDICT_UNREACHABLE, "NOT_GODATA");            /* redirects are not followed */
    else
        judge_refusal(r, access, is_token_good, out);
    (void)snprintf(out->detail, sizeof out->detail, "HTTP %d%s%s%s%s%s%s%s%s", r->status, r->code[0] ? " " : "", r->code,
                   r->inner[0] ? " " : "", r->inner, r->permissions[0] ? ": " : "", r->permissions, r->fields[0] ? ": " : "", r->fields);
}

void godata_finish(struct task *t, enum verdict v, const char *reason, const char *detail)
{
    free(t->reason);
    free(t->detail);
    t->verdict = v;
    t->reason = reason && reason[0] ? xstrdup(reason) : NULL;
    t->detail = detail && detail[0] ? xstrdup(detail) : NULL;
}

/* Any route that every logged-in user may read. */
static bool is_token_alive(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    godata_call(t, http, "GET", SPAN_LIT("/outbreaks?filter=%7B%22fields%22%3A%5B%22id%22%5D%2C%22limit%22%3A1%7D"), SPAN_ABSENT, &r);
    bool is_alive = r.status == 200 && r.json;
    godata_reply_clear(&r);
    return is_alive;
}

void godata_conclude(struct task *t, struct http_client *http, const struct godata_reply *r, enum godata_access access)
{
    struct godata_judgement j;
    bool is_token_good = r->status == 401 && strcmp(r->code, "AUTHORIZATION_REQUIRED") == 0 && is_token_alive(t, http);
    godata_judge(r, access, is_token_good, &j);
    godata_finish(t, j.verdict, j.reason, j.detail);
    t->retry_after_us = j.retry_after_us;
    t->http_status = r->status;
}

void godata_fail(struct task *t, struct http_client *http, const struct godata_reply *r, enum godata_access access)
{
    godata_conclude(t, http, r, access);
    if (t->verdict == VERDICT_DELIVERED)
        godata_finish(t, access == GODATA_WRITE ? VERDICT_UNKNOWN : VERDICT_RETRY_LATER, "BAD_ANSWER", "a positive answer of another shape");
}
