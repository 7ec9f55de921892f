/*
 * NAME godata_case_create - STEP_PERSON: nobody matched, so the person is created, once.
 *
 * Order: is the person with our id there (an earlier try, another result); is there still nobody (all keys again); is there somebody of
 * that name or document (…/duplicates/find, cases and contacts); POST with our id. Go.Data keeps the id, so a repetition is refused by
 * it (422 uniqueness, 500 code 11000) and a look shows why: every end that is not known is simply tried again. A contact also gets its
 * relationship; whether it has one is looked at before another is made.
 * DIAGNOSTICS NO_IDENTITY NO_MATCH PERSON_INCOMPLETE IDENTITY_CONFLICT POSSIBLE_DUPLICATE PERSON_DELETED NO_SOURCE_CASE, those of STEP_FIND
 * and of godata_judge(). Evidence as STEP_FIND leaves it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_case.h"
#include "godata_work.h"
#include "xmem.h"

#define PATH_BYTES ((size_t)8 << 10)
#define EVIDENCE_MAX ((size_t)256 << 10)
#define CANDIDATES_MAX 10

static const char *const kinds[] = {"case", "contact"};
static const char *collection_of(const char *type) { return strcmp(type, "contact") == 0 ? "/contacts" : "/cases"; }

/* /outbreaks/O/cases[/id][rest] */
static void call(struct task *t, struct http_client *http, const char *method, const char *type, const char *id, const char *rest, struct span body,
                 struct godata_reply *r)
{
    const struct godata_armed *armed = t->armed;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_adds(&path, "/outbreaks/");
    godata_url_add(&path, span_of(armed->outbreak_id));
    buf_adds(&path, collection_of(type));
    if (id) {
        buf_addc(&path, '/');
        godata_url_add(&path, span_of(id));
    }
    buf_adds(&path, rest);
    godata_call(t, http, method, buf_span(&path), body, r);
    buf_clear(&path);
}

static bool is_none(const struct godata_reply *r) { return r->status == 404 && r->missing[0]; }

/* ---- who it is ---- */

static void add_compared(struct buf *b, const char *name, struct span ours, struct span theirs)
{
    buf_json_key(b, name);
    buf_addc(b, '{');
    buf_json_kv(b, "is", !span_has(ours) || !span_has(theirs) ? "not known" : span_eq(ours, theirs) ? "the same" : "different");
    buf_json_opt(b, "message", ours);
    buf_json_opt(b, "godata", theirs);
    buf_addc(b, '}');
}

static bool shares_document(const json_t *a, const json_t *b)
{
    const json_t *x, *y;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(a, "documents"), i, x)
        json_array_foreach((json_t *)(uintptr_t)json_object_get(b, "documents"), k, y)
            if (span_has(godata_json_text(x, "number")) && span_eq(godata_json_text(x, "number"), godata_json_text(y, "number")))
                return true;
    return false;
}

static void add_candidate(struct buf *b, const json_t *who, const json_t *body, const json_t *p, const char *type)
{
    struct span gender = godata_json_text(p, "gender"), sex = godata_json_text(who, "sex");
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_opt(b, "id", godata_json_text(p, "id"));
    buf_json_kv(b, "type", type);
    buf_json_opt(b, "visual_id", godata_json_text(p, "visualId"));
    buf_json_key(b, "agreed");
    buf_adds(b, shares_document(body, p) ? "[\"document\"]" : "[\"name\"]");
    add_compared(b, "birth_date", span_cut(godata_json_text(who, "birth_date"), 0, 10), span_cut(godata_json_text(p, "dob"), 0, 10));
    gender = span_is(gender, GODATA_PREFIX "GENDER_MALE") ? SPAN_LIT("M") : span_is(gender, GODATA_PREFIX "GENDER_FEMALE") ? SPAN_LIT("F") : SPAN_ABSENT;
    add_compared(b, "sex", sex, gender);
    add_compared(b, "family_name", godata_json_text(who, "family"), godata_json_text(p, "lastName"));
    add_compared(b, "given_name", godata_json_text(who, "given"), godata_json_text(p, "firstName"));
    buf_addc(b, '}');
}

static void give_evidence(struct task *t, const json_t *who, const json_t *body, json_t *const lists[2])
{
    struct buf b;
    const json_t *p;
    size_t i, n = 0;
    buf_init(&b, EVIDENCE_MAX);
    buf_adds(&b, "{\"looked_for\":[],\"candidates\":[");
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(lists[k], i, p)
            if (n++ < CANDIDATES_MAX)
                add_candidate(&b, who, body, p, kinds[k]);
    buf_addc(&b, ']');
    buf_json_kint(&b, "found", (int64_t)n);
    buf_addc(&b, '}');
    free(t->evidence);
    t->evidence = buf_take(&b, NULL);
}

static void finish_found(struct task *t, const char *id, const char *type)
{
    free(t->found_id);
    free(t->found_type);
    t->found_id = xstrdup(id);
    t->found_type = xstrdup(type);
    godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
}

/* The person with our id stands: is it the one that the message means? */
static void judge_own(struct task *t, const json_t *who, const json_t *person, const char *type)
{
    const struct godata_armed *armed = t->armed;
    json_t *lists[2] = {NULL, NULL}, *one;
    if (!godata_case_contradicts(who, person)) {
        if (strcmp(type, "contact") == 0 && !armed->has_contact_results && !(t->flags & DELIVERY_IS_PERSON))
            godata_finish(t, VERDICT_REJECTED, "CONTACT_RESULTS_OFF", NULL);
        else
            finish_found(t, json_string_value(json_object_get(person, "id")), type);
        return;
    }
    one = json_pack("[O]", person);
    lists[strcmp(type, "contact") == 0] = one;
    give_evidence(t, who, NULL, lists);
    json_decref(one);
    godata_finish(t, VERDICT_REJECTED, "IDENTITY_CONFLICT", NULL);
}

/* Looks under one type. True: the task has its verdict. */
static bool look_own(struct task *t, struct http_client *http, const json_t *who, const char *type, const char *id)
{
    struct godata_reply r;
    bool is_over = true;
    call(t, http, "GET", type, id, "", SPAN_ABSENT, &r);
    if (r.status == 200 && json_is_object(r.json) && span_is(godata_json_text(r.json, "id"), id))
        judge_own(t, who, r.json, type);
    else if (is_none(&r))
        is_over = false;
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
    return is_over;
}

/* ---- is somebody there ---- */

/* All keys of `match` again, against Go.Data itself. True: the task has its verdict. */
static bool match_again(struct task *t, struct http_client *http)
{
    godata_find_perform(t, http);
    if (t->verdict != VERDICT_REJECTED || !t->reason || (strcmp(t->reason, "NO_MATCH") != 0 && strcmp(t->reason, "NO_IDENTITY") != 0))
        return true;
    free(t->evidence);
    t->evidence = NULL;
    return false;
}

static json_t *candidate_of(const json_t *body, const char *id)
{
    static const char *const keys[] = {"firstName", "middleName", "lastName", "documents"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_object_get(body, keys[i]))
            (void)json_object_set(out, keys[i], json_object_get(body, keys[i]));
    (void)json_object_set_new(out, "id", json_string(id));
    return out;
}

/* True: the task has its verdict. */
static bool find_duplicates(struct task *t, struct http_client *http, const json_t *who, const json_t *body, const char *id)
{
    json_t *candidate = candidate_of(body, id), *lists[2] = {NULL, NULL};
    char *text = json_dumps(candidate, JSON_COMPACT);
    bool is_over = false;
    for (size_t k = 0; k < 2 && !is_over; k++) {
        struct godata_reply r;
        call(t, http, "POST", kinds[k], NULL, "/duplicates/find", span_of(text), &r);
        if (r.status == 200 && json_is_array(json_object_get(r.json, "duplicates"))) {
            lists[k] = json_incref(json_object_get(r.json, "duplicates"));
        } else {
            godata_fail(t, http, &r, GODATA_READ);
            is_over = true;
        }
        godata_reply_clear(&r);
    }
    if (!is_over && json_array_size(lists[0]) + json_array_size(lists[1]) > 0) {
        give_evidence(t, who, body, lists);
        godata_finish(t, VERDICT_REJECTED, "POSSIBLE_DUPLICATE", NULL);
        is_over = true;
    }
    json_decref(lists[0]);
    json_decref(lists[1]);
    json_decref(candidate);
    free(text);
    return is_over;
}

/* ---- contacts ---- */

/* The case that it is a contact of: heap, or NULL with a verdict. */
static char *find_source(struct task *t, struct http_client *http)
{
    const struct godata_options *o = t->options;
    struct span want = span_of(o->contact_of);
    struct godata_reply r;
    struct buf filter;
    char *id = NULL;
    buf_init(&filter, PATH_BYTES);
    buf_adds(&filter, "{\"filter\":{\"where\":{");
    buf_json_key(&filter, godata_is_uuid(want) ? "id" : "visualId");
    buf_json_span(&filter, want);
    buf_adds(&filter, "},\"fields\":[\"id\",\"visualId\",\"classification\"],\"limit\":2}}");
    call(t, http, "POST", "case", NULL, "/filter", buf_span(&filter), &r);
    const json_t *one = json_array_get(r.json, 0);
    if (r.status != 200 || !json_is_array(r.json))
        godata_fail(t, http, &r, GODATA_READ);
    else if (json_array_size(r.json) != 1 || !span_eq(godata_json_text(one, godata_is_uuid(want) ? "id" : "visualId"), want) ||
             span_is(godata_json_text(one, "classification"), GODATA_PREFIX "CASE_CLASSIFICATION_NOT_A_CASE_DISCARDED"))
        godata_finish(t, VERDICT_REJECTED, "NO_SOURCE_CASE", "contact-of names no case, several, or a discarded one");
    else
        id = xstrdup(json_string_value(json_object_get(one, "id")));
    godata_reply_clear(&r);
    buf_clear(&filter);
    return id;
}

static bool is_related(const json_t *list, const char *source)
{
    const json_t *relation, *p;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)list, i, relation)
        json_array_foreach((json_t *)(uintptr_t)json_object_get(relation, "persons"), k, p)
            if (span_is(godata_json_text(p, "id"), source))
                return true;
    return false;
}

/* The contact stands; has it its relationship? Leaves VERDICT_DELIVERED when it has. */
static void relate(struct task *t, struct http_client *http, const char *id, const char *source, const json_t *body)
{
    static const char *const certainty[] = {"1_LOW", "2_MEDIUM", "3_HIGH"};
    const struct godata_options *o = t->options;
    struct godata_reply r;
    struct buf b;
    call(t, http, "GET", "contact", id, "/relationships", SPAN_ABSENT, &r);
    bool is_read = r.status == 200 && json_is_array(r.json), has_it = is_read && is_related(r.json, source);
    if (!is_read)
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
    if (!is_read || has_it)
        return;
    buf_init(&b, PATH_BYTES);
    buf_adds(&b, "{\"persons\":[{");
    buf_json_kv(&b, "id", source);
    buf_adds(&b, "}]");
    buf_json_opt(&b, "contactDate", godata_json_text(body, "dateOfReporting"));
    buf_adds(&b, ",\"contactDateEstimated\":true,\"certaintyLevelId\":\"" GODATA_PREFIX "CERTAINTY_LEVEL_");
    buf_adds(&b, certainty[o->contact_certainty]);
    buf_adds(&b, "\"}");
    call(t, http, "POST", "contact", id, "/relationships", buf_span(&b), &r);
    godata_conclude(t, http, &r, GODATA_WRITE);
    godata_reply_clear(&r);
    buf_clear(&b);
}

/* ---- create ---- */

static bool is_taken(const struct godata_reply *r) { return r->is_taken_id || (r->status == 500 && r->inner_code == 11000); }

/* Our id is taken: by an earlier try of ours whose answer was lost, or by somebody who was deleted. */
static void look_everywhere(struct task *t, struct http_client *http, const json_t *who, const char *id)
{
    for (size_t k = 0; k < 2; k++)
        if (look_own(t, http, who, kinds[k], id))
            return;
    godata_finish(t, VERDICT_REJECTED, "PERSON_DELETED", NULL);
}

static void post(struct task *t, struct http_client *http, const json_t *who, const json_t *body, const char *type, const char *id)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct godata_reply r;
    call(t, http, "POST", type, NULL, "", span_of(text), &r);
    if (is_taken(&r)) {
        look_everywhere(t, http, who, id);
    } else if (r.status >= 200 && r.status < 300 && span_is(godata_json_text(r.json, "id"), id)) {
        finish_found(t, id, type);
        t->created_id = xstrdup(id);
        struct godata_news *n = xcalloc(1, sizeof *n);
        n->person = json_incref(r.json);
        t->answer = n;
    } else if (r.status == 409) {           /* two took the same visual id at one moment */
        godata_finish(t, VERDICT_RETRY_LATER, "HTTP_409", "the visual id was taken at the same moment");
    } else {
        godata_fail(t, http, &r, GODATA_WRITE);
    }
    godata_reply_clear(&r);
    free(text);
}

static void create(struct task *t, struct http_client *http, const json_t *who, const json_t *fresh, const char *type, const char *id)
{
    const struct godata_armed *armed = t->armed;
    struct span mask = span_of(strcmp(type, "contact") == 0 ? armed->contact_mask : armed->case_mask);
    json_t *body = t->flags & DELIVERY_IS_PERSON ? json_loads(t->body, JSON_REJECT_DUPLICATES, NULL) : json_deep_copy(json_object_get(fresh, "body"));
    bool is_contact = strcmp(type, "contact") == 0;
    char *source = NULL, today[32];
    if (is_contact && !armed->has_contact_results && !(t->flags & DELIVERY_IS_PERSON)) {
        godata_finish(t, VERDICT_REJECTED, "CONTACT_RESULTS_OFF", NULL);
        json_decref(body);
        return;
    }
    clock_format_iso(clock_now_us(), today, sizeof today);
    bool is_enough = godata_case_complete(body, fresh, mask, today);
    if (look_own(t, http, who, type, id)) {
        if (is_contact && t->verdict == VERDICT_DELIVERED && (source = find_source(t, http)))
            relate(t, http, id, source, body);
    } else if (!match_again(t, http)) {
        if (!is_enough)
            godata_finish(t, VERDICT_REJECTED, "PERSON_INCOMPLETE", NULL);
        else if ((t->flags & DELIVERY_IS_FORCED || !find_duplicates(t, http, who, body, id)) && (!is_contact || (source = find_source(t, http)))) {
            post(t, http, who, body, type, id);
            if (is_contact && t->verdict == VERDICT_DELIVERED)
                relate(t, http, id, source, body);
        }
    }
    free(source);
    json_decref(body);
}

void godata_case_create_perform(struct task *t, struct http_client *http)
{
    json_t *who = json_loads(t->who ? t->who : "{}", JSON_REJECT_DUPLICATES, NULL);
    const json_t *fresh = json_object_get(who, "new");
    const char *id = json_string_value(json_object_get(fresh, "id")), *type = json_string_value(json_object_get(fresh, "type"));
    if (json_array_size(json_object_get(who, "flags")) > 0)         /* masked, anonymous, unreliable: nobody is made of it */
        godata_finish(t, VERDICT_REJECTED, "NO_IDENTITY", "the sender marks the identity as masked, anonymous, unknown or unreliable");
    else if (!id || !type)
        godata_finish(t, VERDICT_REJECTED, "PERSON_INCOMPLETE", NULL);
    else
        create(t, http, who, fresh, type, id);
    json_decref(who);
}
