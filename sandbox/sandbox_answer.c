/*
 * NAME
 *   sandbox_answer - answers and errors
 *
 *   Errors have the shape {"error":{statusCode,name,message,code,details}}; what has no status of its own becomes 500 INTERNAL_ERROR
 *   with the original error as JSON in message and details. An Accept header that refuses JSON is noticed here, after the deed.
 *
 * DIAGNOSTICS
 *   none: this is where they are made.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sandbox_json.h"
#include "sandbox_server.h"

/* Does the client take JSON? The real server notices only now that it does not. */
static bool accepts_json(const struct sandbox_request *r)
{
    struct span rest = sandbox_request_header(r, "Accept"), one;
    if (!span_has(rest))
        return true;
    while (span_next(&rest, ',', &one)) {
        one = span_trim(span_cut(one, 0, span_find(one, ';')));
        if (span_is_nocase(one, "*/*") || span_is_nocase(one, "application/*") || span_is_nocase(one, "application/json"))
            return true;
    }
    return false;
}

void call_reply(struct sandbox_call *c, int status, const char *type, struct span body)
{
    if (c->is_answered)
        return;
    c->is_answered = true;
    if (!c->conn)
        return;
    if (c->is_spoilt) {
        fault_spoil(c, body);
        return;
    }
    if (c->fate == FATE_DROP) {
        c->s->lost++;
        sandbox_conn_drop(c->conn);
        return;
    }
    if (status < 300 && type && strncmp(type, "application/json", 16) == 0 && !accepts_json(c->req)) {
        status = 406;
        type = "text/plain; charset=utf-8";
        body = SPAN_LIT("Not Acceptable");
    }
    buf_addc(&c->headers, '\0');
    sandbox_conn_reply(c->conn, status, type, c->headers.p, body);
}

void call_reply_json(struct sandbox_call *c, int status, const json_t *v)
{
    static struct buf text;                              /* one thread; keeps its memory between answers */
    if (text.max == 0)
        buf_init(&text, 512u << 20);
    if (c->is_answered || !c->conn) {
        c->is_answered = true;
        return;
    }
    buf_reset(&text);
    if (v)
        sandbox_json_dump(&text, v);
    call_reply(c, status, "application/json; charset=utf-8", buf_span(&text));
}

void call_reply_new(struct sandbox_call *c, json_t *v)
{
    call_reply_json(c, 200, v);
    json_decref(v);
}

void call_reply_count(struct sandbox_call *c, int64_t n) { call_reply_new(c, json_pack("{sI}", "count", (json_int_t)n)); }

void call_fail(struct sandbox_call *c, int status, const char *name, const char *code, json_t *details, const char *fmt, ...)
{
    va_list ap;
    char text[2048];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *error = json_pack("{sisssoso*so*}", "statusCode", status, "name", name ? name : "Error", "message", json_stringn_nocheck(text, strlen(text)),
                              "code", code ? json_string(code) : NULL, "details", details);
    json_t *all = json_pack("{so}", "error", error);
    call_reply_json(c, status, all);
    json_decref(all);
}

void call_fail_internal(struct sandbox_call *c, json_t *error)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    buf_adds(&text, "Internal error: `");
    sandbox_json_dump(&text, error);
    buf_addc(&text, '`');
    json_t *all = json_pack("{s{siss#sss{so}}}", "error", "statusCode", 500, "message", text.p, (int)text.n, "code", "INTERNAL_ERROR", "details",
        "error", error);
    call_reply_json(c, 500, all);
    json_decref(all);
    buf_clear(&text);
}

void call_fail_instance(struct sandbox_call *c, const char *id, const char *model)
{
    call_fail(c, 404, NULL, NULL, NULL, "No instance with id %s found for %s", id, model);
}

void call_fail_model(struct sandbox_call *c, const char *model, const char *id)
{
    call_fail(c, 404, NULL, "MODEL_NOT_FOUND", json_pack("{ssss}", "model", model, "id", id), "Unknown `%s` id `%s`", model, id);
}

void call_fail_auth(struct sandbox_call *c) { call_fail(c, 401, NULL, "AUTHORIZATION_REQUIRED", NULL, "Authorization Required"); }

void call_fail_permission(struct sandbox_call *c, const char *permissions)
{
    call_fail(c, 403, NULL, "MISSING_REQUIRED_PERMISSION", json_pack("{ss}", "permissions", permissions),
              "Logged in user must have (at least) one of the following permissions to access this endpoint: %s.", permissions);
}

void call_fail_unique(struct sandbox_call *c, const char *model, const char *id)
{
    char shown[40];
    size_t n = strlen(id);
    if (n > 32)                                          /* LoopBack shortens values in messages */
        snprintf(shown, sizeof shown, "%.25s...%s", id, id + n - 3);
    else
        snprintf(shown, sizeof shown, "%s", id);
    call_fail(c, 422, "ValidationError", NULL,
              json_pack("{sss{s[s]}s{s[s]}}", "context", model, "codes", "id", "uniqueness", "messages", "id", "is not unique"),
              "The `%s` instance is not valid. Details: `id` is not unique (value: \"%s\").", model, shown);
}

void call_fail_duplicate_key(struct sandbox_call *c, const char *collection, const char *id)
{
    char text[512];
    snprintf(text, sizeof text, "E11000 duplicate key error collection: go-data.%s index: _id_ dup key: { _id: \"%.200s\" }", collection, id);
    call_fail_internal(c, json_pack("{sissss}", "code", 11000, "message", text, "name", "MongoError"));
}
