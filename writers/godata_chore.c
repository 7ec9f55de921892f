/*
 * NAME godata_chore - housekeeping requests: log in, find the outbreak, look at the account, claim it, read reference data and the mirror's pages.
 * Each leaves a verdict and, when it learnt something, a struct godata_news. Thread: a courier.
 * DIAGNOSTICS LOGIN_FAILED LOGIN_BLOCKED TWO_FACTOR and those of godata_judge().
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_answers.h"
#include "godata_work.h"
#include "xmem.h"

#define BODY_MAX ((size_t)64 << 10)
#define DEFAULT_TTL_S 600

static char *dup_text(struct span s)
{
    return xstrndup(s.n ? s.p : "", s.n);
}

static struct godata_news *news_new(struct task *t)
{
    struct godata_news *n = xcalloc(1, sizeof *n);
    t->answer = n;
    return n;
}

/* ---- login ---- */

static enum godata_login judge_login(const struct godata_reply *r)
{
    switch (r->phase) {
    case HTTP_NOT_SENT: return LOGIN_NOT_SENT;
    case HTTP_SENT: return LOGIN_NO_ANSWER;
    case HTTP_ANSWERED: break;
    }
    if (r->status == 200 && span_has(godata_json_text(r->json, "id")))
        return LOGIN_OK;
    if (r->status == 200 && json_is_true(json_object_get(r->json, "twoFA")))
        return LOGIN_TWO_FACTOR;
    if (r->status == 422 && strcmp(r->code, "ACTION_TEMPORARILY_BLOCKED") == 0)
        return LOGIN_BLOCKED;
    if (r->is_error && r->status >= 400 && r->status < 500 && r->status != 429)
        return LOGIN_REFUSED;               /* LOGIN_FAILED, INVALID_CAPTCHA, USERNAME_EMAIL_REQUIRED: the same again gives the same */
    /* A portal, a proxy, Go.Data's own trouble: no wrong password was counted. A 502 or 504 may hide anything. */
    return r->is_error || r->status < 500 ? LOGIN_NOT_SENT : LOGIN_NO_ANSWER;
}

static void login(struct task *t, struct http_client *http)
{
    const struct godata_options *o = t->options;
    struct godata_news *n = news_new(t);
    struct godata_judgement j;
    struct godata_reply r;
    struct buf body;

    buf_init(&body, BODY_MAX);
    buf_addc(&body, '{');
    buf_json_kv(&body, "email", o->login);
    buf_json_kv(&body, "password", o->password);
    buf_addc(&body, '}');
    godata_call(t, http, "POST", SPAN_LIT("/users/login"), buf_span(&body), &r);
    explicit_bzero(body.p, body.n);
    buf_clear(&body);
    n->login = judge_login(&r);
    godata_judge(&r, GODATA_READ, true, &j);
    switch (n->login) {
    case LOGIN_OK:
        n->token = dup_text(godata_json_text(r.json, "id"));
        n->user_id = dup_text(godata_json_text(r.json, "userId"));
        n->ttl_us = json_integer_value(json_object_get(r.json, "ttl")) * 1000000;
        if (n->ttl_us <= 0)
            n->ttl_us = (int64_t)DEFAULT_TTL_S * 1000000;
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
        break;
    case LOGIN_REFUSED: godata_finish(t, VERDICT_REJECTED, "LOGIN_FAILED", j.detail); break;
    case LOGIN_BLOCKED: godata_finish(t, VERDICT_REJECTED, "LOGIN_BLOCKED", j.detail); break;
    case LOGIN_TWO_FACTOR: godata_finish(t, VERDICT_REJECTED, "TWO_FACTOR", "the account asks for a second factor"); break;
    case LOGIN_NOT_SENT:
    case LOGIN_NO_ANSWER: godata_finish(t, VERDICT_UNREACHABLE, j.reason, j.detail); break;
    }
    t->retry_after_us = j.retry_after_us;
    godata_reply_clear(&r);
}

/* ---- outbreak ---- */

static void read_outbreaks(const struct godata_options *o, const json_t *list, struct godata_news *n)
{
    struct span want = span_of(o->outbreak);
    const json_t *one = NULL, *v;
    size_t i, named = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        if (span_eq(godata_json_text(v, "id"), want)) {
            one = v;
            named = 1;
            break;
        }
        if (span_eq(godata_json_text(v, "name"), want)) {
            one = v;
            named++;
        }
    }
    n->is_ambiguous = named > 1;
    if (named == 1) {
        n->outbreak_id = dup_text(godata_json_text(one, "id"));
        const json_t *form = json_object_get(one, "labResultsTemplate");
        n->questions = json_is_array(form) ? godata_questions(form) : NULL;
        n->case_mask = dup_text(godata_json_text(one, "caseIdMask"));
        n->contact_mask = dup_text(godata_json_text(one, "contactIdMask"));
        n->coc_mask = dup_text(godata_json_text(one, "contactOfContactIdMask"));
        n->is_contact_results_active = json_is_true(json_object_get(one, "isContactLabResultsActive"));
    }
}

static void get_filtered(struct task *t, struct http_client *http, const char *path, struct span filter, struct godata_reply *r)
{
    struct buf url;
    buf_init(&url, BODY_MAX);
    buf_adds(&url, path);
    godata_url_add(&url, filter);
    godata_call(t, http, "GET", buf_span(&url), SPAN_ABSENT, r);
    buf_clear(&url);
}

static void find_outbreak(struct task *t, struct http_client *http)
{
    const struct godata_options *o = t->options;
    struct godata_reply r;
    struct buf filter;
    buf_init(&filter, BODY_MAX);
    buf_adds(&filter, "{\"where\":{\"or\":[{\"id\":");
    buf_json_str(&filter, o->outbreak);
    buf_adds(&filter, "},{\"name\":");
    buf_json_str(&filter, o->outbreak);
    buf_adds(&filter, "}]},\"fields\":[\"id\",\"name\",\"isContactLabResultsActive\",\"caseIdMask\",\"contactIdMask\",\"labResultsTemplate\","
                      "\"contactOfContactIdMask\"],\"limit\":5}");
    get_filtered(t, http, "/outbreaks?filter=", buf_span(&filter), &r);
    godata_conclude(t, http, &r, GODATA_READ);
    if (t->verdict == VERDICT_DELIVERED && json_is_array(r.json))
        read_outbreaks(o, r.json, news_new(t));
    else if (t->verdict == VERDICT_DELIVERED)
        godata_finish(t, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL);
    godata_reply_clear(&r);
    buf_clear(&filter);
}

/* ---- account ---- */

/* The permissions of the account's roles; NULL when they cannot be told: that alone is no reason to stop. */
static json_t *read_permissions(struct task *t, struct http_client *http, const json_t *roles)
{
    struct godata_reply r;
    struct buf filter;
    json_t *out = NULL, *role, *v, *list = json_incref((json_t *)(uintptr_t)roles);
    size_t i, k;
    char *ids = json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (!ids)
        return NULL;
    buf_init(&filter, BODY_MAX);
    buf_addf(&filter, "{\"where\":{\"id\":{\"inq\":%s}},\"fields\":[\"id\",\"permissionIds\"]}", ids);
    get_filtered(t, http, "/roles?filter=", buf_span(&filter), &r);
    if (r.status == 200 && json_is_array(r.json) && json_array_size(r.json)) {
        out = json_array();
        json_array_foreach(r.json, i, role)
            json_array_foreach(json_object_get(role, "permissionIds"), k, v)
                (void)json_array_append(out, v);
    }
    godata_reply_clear(&r);
    buf_clear(&filter);
    free(ids);
    return out;
}

static void look_at_account(struct task *t, struct http_client *http, const char *method, struct span body)
{
    const struct godata_armed *armed = t->armed;
    struct godata_reply r;
    struct buf path;
    buf_init(&path, BODY_MAX);
    buf_adds(&path, "/users/");
    godata_url_add(&path, span_of(armed->user_id));
    godata_call(t, http, method, buf_span(&path), body, &r);
    godata_conclude(t, http, &r, GODATA_READ);          /* setting the active outbreak again does no harm */
    if (t->verdict == VERDICT_DELIVERED && json_is_object(r.json)) {
        struct godata_news *n = news_new(t);
        n->active_outbreak_id = dup_text(godata_json_text(r.json, "activeOutbreakId"));
        if (method[0] == 'G')
            n->permissions = read_permissions(t, http, json_object_get(r.json, "roleIds"));
    } else if (t->verdict == VERDICT_DELIVERED)
        godata_finish(t, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL);
    godata_reply_clear(&r);
    buf_clear(&path);
}

static void claim_account(struct task *t, struct http_client *http)
{
    const struct godata_armed *armed = t->armed;
    struct buf body;
    buf_init(&body, BODY_MAX);
    buf_addc(&body, '{');
    buf_json_kv(&body, "activeOutbreakId", armed->outbreak_id);
    buf_addc(&body, '}');
    look_at_account(t, http, "PATCH", buf_span(&body));
    buf_clear(&body);
}

/* ---- reference data ---- */

static void read_refdata(struct task *t, struct http_client *http)
{
    static const char filter[] =
        "{\"where\":{\"categoryId\":{\"inq\":[\"" GODATA_PREFIX "LAB_NAME\",\"" GODATA_PREFIX "TYPE_OF_SAMPLE\",\"" GODATA_PREFIX "TYPE_OF_LAB_TEST\",\""
        GODATA_PREFIX "LAB_SEQUENCE_LABORATORY\",\"" GODATA_PREFIX "LAB_SEQUENCE_RESULT\",\"" GODATA_PREFIX "LAB_TEST_RESULT\",\""
        GODATA_PREFIX "LAB_TEST_RESULT_STATUS\",\"" GODATA_PREFIX "GENDER\",\"" GODATA_PREFIX "OCCUPATION\",\"" GODATA_PREFIX "PREGNANCY_STATUS\",\""
        GODATA_PREFIX "CASE_CLASSIFICATION\",\"" GODATA_PREFIX "OUTCOME\",\"" GODATA_PREFIX "RISK_LEVEL\",\"" GODATA_PREFIX "DOCUMENT_TYPE\"]}},"
        "\"fields\":[\"id\",\"categoryId\",\"active\",\"deleted\"]}";
    struct godata_reply r;
    const json_t *v;
    size_t i;
    get_filtered(t, http, "/reference-data?filter=", span_of(filter), &r);
    godata_conclude(t, http, &r, GODATA_READ);
    if (t->verdict == VERDICT_DELIVERED && json_is_array(r.json)) {
        struct godata_news *n = news_new(t);
        n->codes = json_object();
        json_array_foreach(r.json, i, v) {
            bool is_active = !json_is_false(json_object_get(v, "active")) && !json_is_true(json_object_get(v, "deleted"));
            const char *id = json_string_value(json_object_get(v, "id"));
            if (id)
                (void)json_object_set_new(n->codes, id, json_boolean(is_active));
        }
    } else if (t->verdict == VERDICT_DELIVERED) {
        godata_finish(t, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL);
    }
    godata_reply_clear(&r);
}

/* ---- a page of the mirror ---- */

static void read_page(struct task *t, struct http_client *http)
{
    const struct godata_armed *armed = t->armed;
    struct godata_reply r;
    godata_call(t, http, "GET", span_of(armed->page.path), SPAN_ABSENT, &r);
    godata_conclude(t, http, &r, GODATA_READ);
    if (t->verdict == VERDICT_DELIVERED && json_is_array(r.json)) {
        struct godata_news *n = news_new(t);
        n->rows = json_incref(r.json);
        n->date_us = r.date_us;
    } else if (t->verdict == VERDICT_DELIVERED) {
        godata_finish(t, VERDICT_RETRY_LATER, "BAD_ANSWER", NULL);
    }
    godata_reply_clear(&r);
}

/* ---- is anybody there ---- */

/* Any answer of Go.Data itself is good, even a 401: unlike a login it costs nothing when it gets lost. */
static void probe(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    struct godata_judgement j;
    godata_call(t, http, "GET", SPAN_LIT("/outbreaks?filter=%7B%22fields%22%3A%5B%22id%22%5D%2C%22limit%22%3A1%7D"), SPAN_ABSENT, &r);
    godata_judge(&r, GODATA_READ, false, &j);
    if (r.is_error && r.status < 500 && j.verdict != VERDICT_UNAUTHORIZED)
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    else
        godata_finish(t, j.verdict, j.reason, j.detail);
    t->retry_after_us = j.retry_after_us;
    godata_reply_clear(&r);
}

void godata_chore_perform(struct task *t, struct http_client *http)
{
    switch ((enum godata_chore)t->chore) {
    case CHORE_LOGIN: login(t, http); return;
    case CHORE_PROBE: probe(t, http); return;
    case CHORE_OUTBREAK: find_outbreak(t, http); return;
    case CHORE_ACCOUNT: look_at_account(t, http, "GET", SPAN_ABSENT); return;
    case CHORE_CLAIM: claim_account(t, http); return;
    case CHORE_REFDATA: read_refdata(t, http); return;
    case CHORE_PAGE: read_page(t, http); return;
    }
}
