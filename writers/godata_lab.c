/*
 * NAME godata_lab - writing one lab result: create, update, remove, and reading back after an unknown end (STANDARDS 8.8).
 *
 * What labrelay owns in a lab result: the fields that it wrote, and its block in the notes. An update sends only fields whose value changed
 * between the last body written and the new one. A `result`, `status` or `quantitativeResult` that is neither the one nor the other was
 * changed by a person: HUMAN_EDIT. A converted person answers 404 on the old route: the other type is tried once and reported.
 * DIAGNOSTICS HUMAN_EDIT DELETED_IN_GODATA EXISTS_DIFFERENT CONTACT_RESULTS_OFF PERSON_GONE DUPLICATE_K CLEARED and those of
 * godata_judge().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_answers.h"
#include "godata_build.h"
#include "godata_files.h"
#include "godata_notes.h"
#include "godata_work.h"
#include "xmem.h"

#define BODY_MAX ((size_t)8 << 20)
#define PATH_BYTES ((size_t)8 << 10)
#define OPEN_END_RETRY_US (60 * INT64_C(1000000))
#define IN_PROGRESS GODATA_PREFIX "LAB_TEST_RESULT_STATUS_IN_PROGRESS"

static const char *const decisive[] = {"result", "status", "quantitativeResult"};
#define DECISIVE_N (sizeof decisive / sizeof decisive[0])

/* ---- routes ---- */

#define NOBODYS "outbreak"              /* the route of a result whose person is gone: merged into another, or deleted */

void godata_path_labs(struct buf *b, const struct task *t, const char *person_type, const char *remote_id)
{
    const struct godata_armed *armed = t->armed;
    buf_adds(b, "/outbreaks/");
    godata_url_add(b, span_of(armed->outbreak_id));
    if (strcmp(person_type, NOBODYS) != 0) {
        buf_adds(b, strcmp(person_type, "contact") == 0 ? "/contacts/" : "/cases/");
        godata_url_add(b, span_of(t->person_id));
    }
    buf_adds(b, "/lab-results");
    if (remote_id) {
        buf_addc(b, '/');
        godata_url_add(b, span_of(remote_id));
    }
}

/* The type the person has as far as known by now. */
static const char *type_now(const struct task *t)
{
    const char *type = t->found_type ? t->found_type : t->person_type;
    return type && strcmp(type, "contact") == 0 ? "contact" : "case";
}

static void call_once(struct task *t, struct http_client *http, const char *method, const char *type, const char *remote_id, const char *query,
                      struct span body, struct godata_reply *r)
{
    struct buf path;
    buf_init(&path, PATH_BYTES);
    godata_path_labs(&path, t, type, remote_id);
    buf_adds(&path, query);
    godata_call(t, http, method, buf_span(&path), body, r);
    buf_clear(&path);
}

static bool is_other_type(const struct godata_reply *r)
{
    return r->status == 404 && r->missing[0] && strcmp(r->missing, "labResult") != 0;
}

/* Reads on the route of the person's type, and when there is no such person on the other one, which is then remembered. */
static void call_read(struct task *t, struct http_client *http, const char *remote_id, const char *query, struct godata_reply *r)
{
    const char *type = type_now(t), *other = strcmp(type, "case") == 0 ? "contact" : "case";
    call_once(t, http, "GET", type, remote_id, query, SPAN_ABSENT, r);
    if (!is_other_type(r))
        return;
    godata_reply_clear(r);
    call_once(t, http, "GET", other, remote_id, query, SPAN_ABSENT, r);
    if (r->status == 200) {
        free(t->found_type);
        t->found_type = xstrdup(other);
    }
}

static bool may_write(struct task *t)
{
    const struct godata_armed *armed = t->armed;
    if (strcmp(type_now(t), "contact") == 0 && !armed->has_contact_results) {
        godata_finish(t, VERDICT_REJECTED, "CONTACT_RESULTS_OFF", NULL);
        return false;
    }
    return true;
}

/* ---- comparing what stands, what was written last and what is wanted ---- */

static bool is_same(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool is_human_edit(const json_t *now, const json_t *last, const json_t *next)
{
    for (size_t i = 0; i < DECISIVE_N; i++) {
        struct span n = godata_json_text(now, decisive[i]);
        if (!is_same(n, godata_json_text(last, decisive[i])) && !is_same(n, godata_json_text(next, decisive[i])))
            return true;
    }
    return false;
}

static bool is_decisive_same(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < DECISIVE_N; i++)
        if (!is_same(godata_json_text(a, decisive[i]), godata_json_text(b, decisive[i])))
            return false;
    return true;
}

/* Every field that `written` has stands unchanged, and nobody wrote around our notes or answered questions. */
static bool is_untouched(const json_t *now, const json_t *written, struct span k)
{
    struct godata_block b;
    for (size_t i = 0; i < lab_fields_n; i++)
        if (strcmp(lab_fields[i].name, "notes") != 0 &&
            !is_same(godata_json_text(now, lab_fields[i].godata), godata_json_text(written, lab_fields[i].godata)))
            return false;
    godata_notes_parse(godata_json_text(now, "notes"), k, &b);
    return b.is_found && !span_has(span_trim(b.before)) && !span_has(span_trim(b.after)) &&
           godata_answers_are_ours(now, written);
}

static struct span key_k(const struct task *t)
{
    return span_cut(span_of(t->result_key), 0, GODATA_K_MAX);
}

/* ---- notes ---- */

static struct span block_text(const json_t *body, struct span k)
{
    struct godata_block b;
    godata_notes_parse(godata_json_text(body, "notes"), k, &b);
    return b.text;
}

static void add_today(struct buf *b, struct span day)
{
    char now[32];
    clock_format_iso(clock_now_us(), now, sizeof now);
    buf_add_span(b, day.n >= 10 ? span_cut(day, 0, 10) : span_cut(span_of(now), 0, 10));
}

/* What the last version said, for people: its words, else its code. */
static struct span said(const json_t *body, struct span k)
{
    struct span v = godata_notes_value(block_text(body, k));
    if (!span_has(v)) {
        static const char prefix[] = GODATA_PREFIX "LAB_TEST_RESULT_";
        v = godata_json_text(body, "result");
        if (span_starts(v, prefix))
            v = span_from(v, sizeof prefix - 1);
    }
    return v;
}

static void add_history(struct buf *history, struct span line)
{
    struct span all = buf_span(history), last = all;
    for (size_t i = all.n; i-- > 0;)
        if (all.p[i] == '\n') {
            last = span_from(all, i + 1);
            break;
        }
    if (span_has(all) && span_eq(last, line))
        return;                             /* a repeated attempt */
    if (span_has(all))
        buf_addc(history, '\n');
    buf_add_span(history, line);
}

static void put_block(struct buf *out, struct span notes, struct span k, struct span text, struct span history)
{
    struct godata_block b;
    godata_notes_parse(notes, k, &b);
    buf_add_span(out, b.before);
    if (!b.is_found && span_has(b.before))
        buf_addc(out, '\n');
    godata_notes_format(out, k, text, history);
    buf_add_span(out, b.after);
}

/* What somebody else entered, as they see it: the code's word, and the number. */
static void add_entered(struct buf *out, const json_t *now)
{
    static const char prefix[] = GODATA_PREFIX "LAB_TEST_RESULT_";
    struct span v = godata_json_text(now, "result"), n = godata_json_text(now, "quantitativeResult");
    if (span_starts(v, prefix))
        v = span_from(v, sizeof prefix - 1);
    buf_add_span(out, span_has(v) ? v : span_of("no result"));
    if (span_has(n)) {
        buf_addc(out, ' ');
        buf_add_span(out, n);
    }
}

static void merge_notes(struct buf *out, const json_t *now, const json_t *last, const json_t *next, bool is_replacing, struct span k)
{
    struct godata_block stands;
    struct buf text, history, line;
    struct span was = said(last, k);
    buf_init(&text, BODY_MAX);
    buf_init(&history, BODY_MAX);
    buf_init(&line, BODY_MAX);
    godata_notes_parse(godata_json_text(now, "notes"), k, &stands);
    godata_notes_plain(block_text(next, k), &text);
    godata_notes_history(stands.is_found ? stands.text : block_text(last, k), &history);
    if (is_replacing) {
        add_today(&line, SPAN_ABSENT);
        buf_adds(&line, " replaced: was ");
        add_entered(&line, now);
        buf_adds(&line, ", entered in Go.Data");
        add_history(&history, buf_span(&line));
    } else if (span_has(godata_json_text(last, "result")) && !is_same(godata_json_text(last, "result"), godata_json_text(next, "result"))) {
        bool was_open = span_is(godata_json_text(last, "status"), IN_PROGRESS);
        add_today(&line, godata_json_text(next, "dateOfResult"));
        buf_adds(&line, was_open ? " updated: was " : " corrected: was ");
        buf_add_span(&line, was);
        add_history(&history, buf_span(&line));
    }
    put_block(out, godata_json_text(now, "notes"), k, buf_span(&text), buf_span(&history));
    buf_clear(&line);
    buf_clear(&history);
    buf_clear(&text);
}

/* ---- update ---- */

/* The body of the PUT: fields of ours that changed. False when there is nothing to send. */
static bool make_patch(struct buf *b, const json_t *now, const json_t *last, const json_t *next, bool is_replacing, struct span k)
{
    struct buf notes;
    buf_init(&notes, BODY_MAX);
    buf_addc(b, '{');
    for (size_t i = 0; i < lab_fields_n; i++) {
        const char *f = lab_fields[i].godata;
        struct span n = godata_json_text(now, f), w = godata_json_text(next, f);
        if (strcmp(lab_fields[i].name, "notes") == 0 || is_same(w, godata_json_text(last, f)) || is_same(w, n))
            continue;
        buf_json_key(b, f);
        if (span_has(w))
            buf_json_span(b, w);
        else
            buf_adds(b, "null");
    }
    godata_answers_patch(b, now, last, next);
    merge_notes(&notes, now, last, next, is_replacing, k);
    if (!is_same(buf_span(&notes), godata_json_text(now, "notes"))) {
        buf_json_key(b, "notes");
        buf_json_span(b, buf_span(&notes));
    }
    buf_addc(b, '}');
    buf_clear(&notes);
    return b->n > 2;
}

static json_t *load(const char *text)
{
    return text && text[0] ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static void send_patch_as(struct task *t, struct http_client *http, const json_t *now, const json_t *last, const json_t *next, bool is_replacing,
                          const char *remote_id)
{
    struct godata_reply r;
    struct buf patch;
    buf_init(&patch, BODY_MAX);
    if (!make_patch(&patch, now, last, next, is_replacing, key_k(t)))
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    else {
        if (!godata_files_put(t, http)) {
            buf_clear(&patch);
            return;
        }
        call_once(t, http, "PUT", type_now(t), remote_id, "", buf_span(&patch), &r);
        if (r.json && !span_has(godata_json_text(r.json, "id")))
            godata_fail(t, http, &r, GODATA_WRITE);
        else
            godata_conclude(t, http, &r, GODATA_WRITE);
        godata_reply_clear(&r);
    }
    buf_clear(&patch);
}

static void send_patch(struct task *t, struct http_client *http, const json_t *now, const json_t *last, const json_t *next, const char *remote_id)
{
    send_patch_as(t, http, now, last, next, false, remote_id);
}

/* A person said so: what somebody else entered gives way to ours, and stands in the history of our block. */
static void replace(struct task *t, struct http_client *http, const json_t *now, const json_t *last, const json_t *next, const char *remote_id)
{
    json_t *base = last ? json_deep_copy(last) : json_object();
    for (size_t i = 0; i < DECISIVE_N; i++) {
        json_t *v = json_object_get(now, decisive[i]);
        if (v)
            (void)json_object_set(base, decisive[i], v);
        else
            (void)json_object_del(base, decisive[i]);
    }
    send_patch_as(t, http, now, base, next, true, remote_id);
    json_decref(base);
}

static void add_values(struct buf *b, const char *key, const json_t *lab)
{
    buf_json_key(b, key);
    buf_addc(b, '{');
    for (size_t i = 0; i < DECISIVE_N; i++)
        buf_json_opt(b, decisive[i], godata_json_text(lab, decisive[i]));
    buf_addc(b, '}');
}

/* Held for a person to choose: what stands there, what we wrote, what the message says. */
static void propose(struct task *t, const char *reason, const char *detail, const json_t *now, const json_t *last, const json_t *next)
{
    struct buf b;
    buf_init(&b, BODY_MAX);
    buf_addc(&b, '{');
    if (detail)
        buf_json_kv(&b, "why", detail);
    buf_json_opt(&b, "lab_result", godata_json_text(now, "id"));
    add_values(&b, "in_godata", now);
    if (last)
        add_values(&b, "written_last", last);
    add_values(&b, "in_message", next);
    buf_json_opt(&b, "changed_at", godata_json_text(now, "updatedAt"));
    buf_addc(&b, '}');
    godata_finish(t, VERDICT_REJECTED, reason, detail);
    free(t->evidence);
    t->evidence = buf_take(&b, NULL);
}

/* Brings the record `now` (read just before) to the content of body. */
static void bring_up_to_date(struct task *t, struct http_client *http, const json_t *now, const char *remote_id)
{
    json_t *last = load(t->last_body), *next = load(t->body);
    bool is_edited = is_human_edit(now, last ? last : next, next), is_unknown = !last && !is_decisive_same(now, next);
    if ((is_unknown && t->flags & DELIVERY_FORCE_EXISTS) || (is_edited && t->flags & DELIVERY_FORCE_EDIT))
        replace(t, http, now, last, next, remote_id);
    else if (is_unknown)
        propose(t, "EXISTS_DIFFERENT", "what was written last is not known", now, NULL, next);
    else if (is_edited)
        propose(t, "HUMAN_EDIT", NULL, now, last, next);
    else
        send_patch(t, http, now, last ? last : next, next, remote_id);
    json_decref(last);
    json_decref(next);
}

void godata_update_perform(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    if (!may_write(t))
        return;
    call_read(t, http, t->remote_id ? t->remote_id : "", "", &r);
    if (r.status == 200 && json_is_object(r.json))
        bring_up_to_date(t, http, r.json, t->remote_id);
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
}

/* ---- remove ---- */

/* Deleting and clearing may be repeated: an open end is only tried again, after the server had time to finish. */
static void finish_repeatable(struct task *t, struct http_client *http, const struct godata_reply *r)
{
    godata_conclude(t, http, r, GODATA_READ);
    if (t->verdict == VERDICT_RETRY_LATER && t->retry_after_us < OPEN_END_RETRY_US)
        t->retry_after_us = OPEN_END_RETRY_US;
}

static void clear_lab(struct task *t, struct http_client *http, const char *type, const json_t *now, const json_t *last)
{
    struct godata_reply r;
    struct godata_block stands;
    struct buf patch, notes, history, line;
    struct span k = key_k(t), was = said(last, k);
    buf_init(&patch, BODY_MAX);
    buf_init(&notes, BODY_MAX);
    buf_init(&history, BODY_MAX);
    buf_init(&line, BODY_MAX);
    godata_notes_parse(godata_json_text(now, "notes"), k, &stands);
    godata_notes_history(stands.text, &history);
    add_today(&line, SPAN_ABSENT);
    buf_adds(&line, " withdrawn by laboratory");
    if (span_has(was)) {
        buf_adds(&line, ": was ");
        buf_add_span(&line, was);
    }
    add_history(&history, buf_span(&line));
    put_block(&notes, godata_json_text(now, "notes"), k, SPAN_ABSENT, buf_span(&history));
    buf_adds(&patch, "{\"result\":null,\"quantitativeResult\":null,\"status\":\"" IN_PROGRESS "\",\"notes\":");
    buf_json_span(&patch, buf_span(&notes));
    buf_addc(&patch, '}');
    call_once(t, http, "PUT", type, t->remote_id, "", buf_span(&patch), &r);
    finish_repeatable(t, http, &r);
    if (t->verdict == VERDICT_DELIVERED)
        godata_finish(t, VERDICT_DELIVERED, "CLEARED", "not deleted: somebody worked on it, or the account may not delete");
    godata_reply_clear(&r);
    buf_clear(&line);
    buf_clear(&history);
    buf_clear(&notes);
    buf_clear(&patch);
}

static bool is_gone(const struct godata_reply *r)
{
    return r->status == 404 && strcmp(r->missing, "labResult") == 0;
}

void godata_remove_perform(struct task *t, struct http_client *http)
{
    struct godata_reply r, deleted;
    json_t *last = load(t->last_body);
    call_read(t, http, t->remote_id ? t->remote_id : "", "", &r);
    const char *type = type_now(t);
    if (is_other_type(&r)) {                /* the person is gone, the result may stand with whom it was merged into */
        godata_reply_clear(&r);
        type = NOBODYS;
        call_once(t, http, "GET", type, t->remote_id ? t->remote_id : "", "", SPAN_ABSENT, &r);
    }
    if (is_gone(&r)) {
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    } else if (r.status != 200 || !json_is_object(r.json)) {
        godata_fail(t, http, &r, GODATA_READ);
    } else if (!last || !is_untouched(r.json, last, key_k(t))) {
        clear_lab(t, http, type, r.json, last);
    } else {
        call_once(t, http, "DELETE", type, t->remote_id, "", SPAN_ABSENT, &deleted);
        if (is_gone(&deleted))
            godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
        else if (deleted.status == 403 && strcmp(deleted.code, "MISSING_REQUIRED_PERMISSION") == 0)
            clear_lab(t, http, type, r.json, last);
        else
            finish_repeatable(t, http, &deleted);
        godata_reply_clear(&deleted);
    }
    godata_reply_clear(&r);
    json_decref(last);
}

/* ---- read back ---- */

static bool is_before(const json_t *a, const json_t *b)
{
    int c = span_cmp(godata_json_text(a, "createdAt"), godata_json_text(b, "createdAt"));
    return c < 0 || (c == 0 && span_cmp(godata_json_text(a, "id"), godata_json_text(b, "id")) < 0);
}

/* The one to keep: the one that the store knows, else the oldest. */
static const json_t *pick_kept(const struct task *t, const json_t *list, struct span k, size_t *n)
{
    const json_t *lab, *kept = NULL;
    struct span known = span_of(t->remote_id && t->remote_id[0] ? t->remote_id : NULL);
    size_t i;
    *n = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, lab) {
        struct godata_block b;
        godata_notes_parse(godata_json_text(lab, "notes"), k, &b);
        if (!b.is_found || !span_has(godata_json_text(lab, "id")))
            continue;
        (*n)++;
        bool is_known = span_has(known) && span_eq(godata_json_text(lab, "id"), known);
        bool is_kept_known = kept && span_has(known) && span_eq(godata_json_text(kept, "id"), known);
        if (!kept || is_known || (!is_kept_known && is_before(lab, kept)))
            kept = lab;
    }
    return kept;
}

/* Deletes what nobody touched of our own doubles; the rest is for a person. */
static void drop_doubles(struct task *t, struct http_client *http, const json_t *list, const json_t *kept, size_t n)
{
    json_t *body = load(t->body), *last = load(t->last_body);
    const json_t *lab;
    struct span k = key_k(t);
    char detail[96];
    size_t i, deleted = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, lab) {
        struct godata_block b;
        godata_notes_parse(godata_json_text(lab, "notes"), k, &b);
        if (lab == kept || !b.is_found || !span_has(godata_json_text(lab, "id")) || !(is_untouched(lab, body, k) || (last && is_untouched(lab, last, k))))
            continue;
        struct godata_reply r;
        call_once(t, http, "DELETE", type_now(t), json_string_value(json_object_get(lab, "id")), "", SPAN_ABSENT, &r);
        deleted += r.status == 204 || is_gone(&r);
        godata_reply_clear(&r);
    }
    (void)snprintf(detail, sizeof detail, "%zu results with this key in Go.Data, %zu untouched doubles deleted", n, deleted);
    godata_finish(t, t->verdict, "DUPLICATE_K", detail);
    json_decref(body);
    json_decref(last);
}

static void judge_list(struct task *t, struct http_client *http, const json_t *list)
{
    json_t *body = load(t->body);
    size_t n;
    const json_t *kept = pick_kept(t, list, key_k(t), &n);
    if (!kept) {
        t->is_absent = true;
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    } else if (!(t->last_body && t->last_body[0]) && ((t->remote_id && t->remote_id[0]) || is_decisive_same(kept, body))) {
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);    /* of an update only that it stands: STEP_UPDATE compares */
    } else {
        bring_up_to_date(t, http, kept, json_string_value(json_object_get(kept, "id")));
    }
    if (kept && t->verdict == VERDICT_DELIVERED) {
        t->created_id = xstrdup(json_string_value(json_object_get(kept, "id")));
        if (n > 1)
            drop_doubles(t, http, list, kept, n);
    }
    json_decref(body);
}

void godata_readback_perform(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    call_read(t, http, NULL, "", &r);
    if (r.status == 200 && json_is_array(r.json))
        judge_list(t, http, r.json);
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
}

/* ---- looking before the first write (STANDARDS 8.8 rule 3) ---- */

static bool is_same_test(const json_t *lab, const json_t *body)
{
    static const char *const names[] = {"sampleIdentifier", "testedFor", "testType"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!is_same(godata_json_text(lab, names[i]), godata_json_text(body, names[i])))
            return false;
    return span_has(godata_json_text(body, "sampleIdentifier"));
}

/* Fills the sample that somebody registered before its result came: what they entered stays. */
static void fill_registered(struct task *t, struct http_client *http, const json_t *now, const json_t *body)
{
    json_t *last = json_deep_copy(body);
    for (size_t i = 0; i < lab_fields_n; i++)
        if (!span_has(godata_json_text(now, lab_fields[i].godata)))
            (void)json_object_del(last, lab_fields[i].godata);
    for (size_t i = 0; i < DECISIVE_N; i++)
        (void)json_object_del(last, decisive[i]);
    godata_answers_forget(last, now);
    send_patch(t, http, now, last, body, json_string_value(json_object_get(now, "id")));
    json_decref(last);
}

/* What stands in Go.Data for this sample and test. False: nothing, it may be written. Results under other keys of ours do not count. */
static bool adopt(struct task *t, struct http_client *http, const json_t *list)
{
    json_t *body = load(t->body);
    const json_t *lab, *found;
    size_t i, n, hits = 0;
    found = pick_kept(t, list, key_k(t), &n);
    if (!found)
        json_array_foreach((json_t *)(uintptr_t)list, i, lab)
            if (!span_has(godata_notes_k(godata_json_text(lab, "notes"))) && span_has(godata_json_text(lab, "id")) && is_same_test(lab, body)) {
                found = lab;
                hits++;
            }
    if (hits > 1)
        godata_finish(t, VERDICT_REJECTED, "EXISTS_DIFFERENT", "several results stand for this sample and test");
    else if (found && !span_has(godata_json_text(found, "result")))
        fill_registered(t, http, found, body);
    else if (found && is_decisive_same(found, body))
        send_patch(t, http, found, body, body, json_string_value(json_object_get(found, "id")));
    else if (found && t->flags & DELIVERY_FORCE_EXISTS)
        replace(t, http, found, NULL, body, json_string_value(json_object_get(found, "id")));
    else if (found)
        propose(t, "EXISTS_DIFFERENT", "a result stands for this sample and test", found, NULL, body);
    if (found && t->verdict == VERDICT_DELIVERED)
        t->created_id = xstrdup(json_string_value(json_object_get(found, "id")));
    json_decref(body);
    return found != NULL;
}

/* False: the task has its verdict. */
static bool is_free_to_create(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    struct buf query, filter;
    json_t *body = load(t->body);
    struct span sample = godata_json_text(body, "sampleIdentifier");
    bool is_free = false;
    buf_init(&query, PATH_BYTES);
    buf_init(&filter, PATH_BYTES);
    if (span_has(sample) && godata_is_searchable(sample)) {
        buf_adds(&filter, "{\"where\":{\"sampleIdentifier\":");
        buf_json_span(&filter, sample);
        buf_adds(&filter, "}}");
        buf_adds(&query, "?filter=");
        godata_url_add(&query, buf_span(&filter));
    }
    call_read(t, http, NULL, query.n ? query.p : "", &r);
    if (r.status == 200 && json_is_array(r.json))
        is_free = !adopt(t, http, r.json);
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
    buf_clear(&filter);
    buf_clear(&query);
    json_decref(body);
    return is_free && may_write(t);
}

/* ---- create ---- */

static void finish_created(struct task *t, struct http_client *http, struct godata_reply *r)
{
    struct span id = godata_json_text(r->json, "id");
    if (r->status >= 200 && r->status < 300 && span_has(id)) {
        t->created_id = xstrndup(id.p, id.n);
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    } else if (r->status >= 200 && r->status < 300) {
        godata_finish(t, VERDICT_UNKNOWN, "BAD_ANSWER", "a positive answer without an id");
    } else {
        godata_fail(t, http, r, GODATA_WRITE);
    }
}

void godata_create_perform(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    if (!may_write(t) || (t->must_look && !is_free_to_create(t, http)) || !godata_files_put(t, http))
        return;
    call_once(t, http, "POST", type_now(t), NULL, "", span_of(t->body), &r);
    if (is_other_type(&r)) {                /* converted, or gone: a read on the other route tells */
        godata_reply_clear(&r);
        call_read(t, http, NULL, "?filter=%7B%22limit%22%3A1%2C%22fields%22%3A%5B%22id%22%5D%7D", &r);
        if (r.status == 200) {
            godata_reply_clear(&r);
            if (!may_write(t))
                return;
            call_once(t, http, "POST", type_now(t), NULL, "", span_of(t->body), &r);
        }
    }
    finish_created(t, http, &r);
    godata_reply_clear(&r);
}
