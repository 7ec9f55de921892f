/*
 * NAME godata_live - asks Go.Data once, for `check --live`: login, outbreak, account and its roles, reference data, locations; logout.
 *
 * The requests are those of the writer's chores. There is one login and never a second try: a wrong password counts towards Go.Data's
 * lock-out. Nothing is written: not even the account's active outbreak, which `claim-account` would set at run time.
 * DIAGNOSTICS "state" and "detail" of the answer; never a body.
 */
#include "godata_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godata_permit.h"
#include "godata_work.h"
#include "godata_writer.h"
#include "xmem.h"

struct live {
    const struct godata_options *o;
    struct http_client *http;
    struct task t;
    json_t *out;
};

static void put(struct live *l, const char *key, const char *text)
{
    (void)json_object_set_new(l->out, key, json_string(text ? text : ""));
}

/* What the chore learnt is taken; the task may be used for the next. */
static void next(struct live *l)
{
    struct godata_armed *keep = l->t.armed;
    l->t.armed = NULL;
    godata_disarm(&l->t);
    free(l->t.reason);
    free(l->t.detail);
    l->t.reason = l->t.detail = NULL;
    l->t.armed = keep;
}

/* One chore; false: the state says why it came to nothing. */
static bool run(struct live *l, enum godata_chore chore)
{
    l->t.chore = (int)chore;
    godata_chore_perform(&l->t, l->http);
    if (l->t.verdict == VERDICT_DELIVERED && l->t.answer)
        return true;
    put(l, "state", l->t.reason ? l->t.reason : "BAD_ANSWER");
    put(l, "detail", l->t.detail);
    next(l);
    return false;
}

static bool log_in(struct live *l)
{
    struct godata_armed *a = l->t.armed;
    if (!run(l, CHORE_LOGIN))
        return false;
    struct godata_news *n = l->t.answer;
    a->token = n->token;
    a->user_id = n->user_id;
    n->token = n->user_id = NULL;
    next(l);
    return true;
}

static bool find_outbreak(struct live *l)
{
    struct godata_armed *a = l->t.armed;
    if (!run(l, CHORE_OUTBREAK))
        return false;
    struct godata_news *n = l->t.answer;
    a->outbreak_id = n->outbreak_id;
    n->outbreak_id = NULL;
    if (!a->outbreak_id) {
        put(l, "state", n->is_ambiguous ? "OUTBREAK_AMBIGUOUS" : "OUTBREAK_UNKNOWN");
        put(l, "detail", "");
    } else {
        put(l, "outbreak_id", a->outbreak_id);
        if (n->questions)
            (void)json_object_set(l->out, "questions", n->questions);
    }
    next(l);
    return a->outbreak_id != NULL;
}

static void tell_permissions(json_t *out, const struct godata_options *o, unsigned needs, const json_t *permissions)
{
    (void)json_object_set_new(out, "permissions_known", json_boolean(permissions != NULL));
    if (permissions)
        (void)json_object_set_new(out, "missing", godata_permit_missing(o, needs, permissions));
}

static void tell_document(json_t *out, const json_t *codes, const char *document)
{
    char id[160];
    size_t i;
    json_t *v, *list = json_object_get(out, "unknown");
    (void)snprintf(id, sizeof id, GODATA_DOCUMENT_PREFIX "%.100s", document ? document : "");
    if (!document || json_is_true(json_object_get(codes, id)))
        return;
    json_array_foreach(list, i, v)
        if (strcmp(json_string_value(v), document) == 0)
            return;
    (void)json_array_append_new(list, json_string(document));
}

/* Document types that the options name and Go.Data does not have. */
static void tell_documents(json_t *out, const struct godata_options *o, const json_t *codes)
{
    (void)json_object_set_new(out, "unknown", json_array());
    for (size_t i = 0; codes && i < o->ids.n; i++)
        if (o->ids.v[i].role == GODATA_BY_DOCUMENT)
            tell_document(out, codes, o->ids.v[i].document);
    for (size_t i = 0; codes && i < o->match.n; i++)
        if (o->match.v[i].role == GODATA_BY_DOCUMENT)
            tell_document(out, codes, o->match.v[i].document);
}

static void look_at_account(struct live *l, unsigned needs)
{
    const struct godata_armed *a = l->t.armed;
    if (!run(l, CHORE_ACCOUNT))
        return;
    const struct godata_news *n = l->t.answer;
    bool is_active = a->outbreak_id && strcmp(n->active_outbreak_id, a->outbreak_id) == 0;
    (void)json_object_set_new(l->out, "is_active", json_boolean(is_active));
    tell_permissions(l->out, l->o, needs, n->permissions);
    next(l);
}

static void read_codes(struct live *l)
{
    if (!run(l, CHORE_REFDATA))
        return;
    (void)json_object_set(l->out, "codes", ((struct godata_news *)l->t.answer)->codes);
    tell_documents(l->out, l->o, json_object_get(l->out, "codes"));
    next(l);
}

static void count_locations(struct live *l)
{
    struct godata_reply r;
    godata_call(&l->t, l->http, "GET", SPAN_LIT("/locations/count"), SPAN_ABSENT, &r);
    if (json_is_integer(json_object_get(r.json, "count")))
        (void)json_object_set(l->out, "locations", json_object_get(r.json, "count"));
    godata_reply_clear(&r);
}

static void log_out(struct live *l)
{
    struct godata_reply r;
    godata_call(&l->t, l->http, "POST", SPAN_LIT("/users/logout"), SPAN_ABSENT, &r);
    godata_reply_clear(&r);
}

char *godata_ask(const void *options, unsigned needs)
{
    struct live l = {.o = options, .http = http_client_new(), .out = json_object()};
    l.t = (struct task){.kind = TASK_CHORE, .writer = "check", .ops = &godata_writer, .options = options, .armed = xcalloc(1, sizeof(struct godata_armed))};
    put(&l, "state", "ready");
    if (log_in(&l)) {
        if (find_outbreak(&l))
            look_at_account(&l, needs);
        read_codes(&l);
        count_locations(&l);
        log_out(&l);
    }
    char *text = json_dumps(l.out, JSON_COMPACT);
    godata_disarm(&l.t);
    free(l.t.reason);
    free(l.t.detail);
    http_client_free(l.http);
    json_decref(l.out);
    return text;
}

char *godata_tell(const struct writer *w, unsigned needs)
{
    struct writer_status s;
    json_t *out = json_object(), *codes = godata_session_codes(w);
    const json_t *permissions = godata_session_permissions(w);
    godata_status(w, &s);
    bool is_known = codes || s.reason;
    (void)json_object_set_new(out, "state", json_string(s.reason ? s.reason : is_known ? "ready" : "STARTING"));
    (void)json_object_set_new(out, "detail", json_string(s.detail));
    if (codes)
        (void)json_object_set(out, "codes", codes);
    if (godata_session_questions(w))
        (void)json_object_set(out, "questions", godata_session_questions(w));
    tell_documents(out, godata_session_options((struct writer *)(uintptr_t)w), codes);
    if (godata_session_outbreak(w)) {
        (void)json_object_set_new(out, "outbreak_id", json_string(godata_session_outbreak(w)));
        (void)json_object_set_new(out, "is_active", json_boolean(godata_session_is_active(w)));
    }
    tell_permissions(out, godata_session_options((struct writer *)(uintptr_t)w), needs, permissions);
    char *text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    return text;
}

char *godata_identity(const void *options)
{
    const struct godata_options *o = options;
    struct buf b;
    buf_init(&b, (size_t)64 << 10);
    buf_addf(&b, "%s %s %s", o->url, o->login, o->outbreak);
    return buf_take(&b, NULL);
}
