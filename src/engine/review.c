/*
 * NAME review - what people decide about held deliveries: release, dismiss, link. All of it is audited in the same commit.
 *
 * {"do":"release","id":N,"by":"…","reason":"…","anyway":true}   looked for again; anyway: past the one reason it is held for
 * {"do":"dismiss","id":N,"by":"…","reason":"…"}                 closed for good
 * {"do":"link","id":N,"person":"…","by":"…","reason":"…","anyway":true}   to the person with this Go.Data id or visualId
 * {"do":"create-person","id":N,"type":"case","by":"…","why":"…"}  its case or contact is created first (person.c)
 * "check":true in any of them: only whether it would be done; nothing changes.
 * "expect":{"reason":"…","updated_us":N} in any of them: nothing is done when it is held for another reason, or since another moment.
 *
 * LINK  Go.Data itself is asked for the person (TASK_ASK) before anything changes; the answer of the request waits for that. A crash in
 * between changes nothing: whoever asked got no answer and asks again.
 * ANYWAY  stands for one reason (delivery_force_bit): what is held again for another one needs another word.
 * DIAGNOSTICS log lines "released", "dismissed", "linked"; errors go to whoever asked.
 */
#include "review.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "crash.h"
#include "inner.h"
#include "log.h"
#include "xmem.h"

#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define PERSON_MAX_BYTES 256

struct question {                     /* somebody waits for what a courier finds out */
    struct control_mail *mail;
    json_t *request;
    uint64_t number;
    struct question *next;
};

static char *failed(const char *text)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", text);
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

static char *failed_word(const char *code, const char *text, const char *evidence)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", text);
    buf_json_kv(&b, "code", code);
    if (evidence && evidence[0] == '{') {
        buf_json_key(&b, "evidence");
        buf_adds(&b, evidence);
    }
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

static const char *text_of(const json_t *q, const char *key)
{
    const char *s = json_string_value(json_object_get(q, key));
    return s ? s : "";
}

static bool is_check(const json_t *q)
{
    return json_is_true(json_object_get(q, "check"));
}

static char *done(const struct delivery *d)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true");
    buf_json_kint(&b, "id", d->id);
    buf_json_kv(&b, "state", delivery_state_name(d->state));
    if (d->flags & DELIVERY_IS_LINKED) {
        buf_json_kv(&b, "person_type", d->person_type);
        buf_json_kv(&b, "person_id", d->person_id);
    }
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

/* NULL: it is held, as whoever asks believes. Else the answer. */
static char *load_held(struct engine *g, const json_t *q, struct delivery *d, struct err *e)
{
    const json_t *expect = json_object_get(q, "expect");
    if (!text_of(q, "by")[0])
        return failed("who does this? say --by NAME");
    int rc = store_get_delivery(g->env.store, json_integer_value(json_object_get(q, "id")), d, e);
    if (rc)
        return failed(rc < 0 ? e->text : "there is no such delivery");
    if (d->state != DELIVERY_HELD)
        return failed_word("NOT_HELD", "this delivery is not held", NULL);
    if (expect && (strcmp(text_of(expect, "reason"), d->reason) != 0 || json_integer_value(json_object_get(expect, "updated_us")) != d->updated_us))
        return failed_word("CHANGED", "it changed since: look at it again", NULL);
    return NULL;
}

static bool has_destination(const struct delivery *d)
{
    return d->writer[0] && d->body[0] && d->result_key[0];
}

#define NO_DESTINATION "it has no destination yet: mend the table or the route and send the message again"

/* "WHY (was NO_MATCH)": before and after stand in the audit trail. */
static int audit(struct engine *g, const json_t *q, const char *action, const struct delivery *d, const char *was, struct err *e)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    if (text_of(q, "reason")[0])
        buf_addf(&b, "%s ", text_of(q, "reason"));
    buf_addf(&b, "(was %s", was);
    if (strcmp(action, "link") == 0)
        buf_addf(&b, ", now %s %s", d->person_type, d->person_id);
    buf_addc(&b, ')');
    int rc = store_audit(g->env.store, text_of(q, "by"), action, d->id, d->message_id, b.p, e);
    buf_clear(&b);
    return rc;
}

static int put(struct engine *g, const json_t *q, const char *action, struct delivery *d, struct err *e)
{
    char was[64] = "";
    memcpy(was, d->reason, strnlen(d->reason, sizeof was - 1));
    d->next_us = d->updated_us = clock_now_us();
    d->tries = 0;
    delivery_set(&d->remote_id, "");
    if (d->state == DELIVERY_READY) {
        delivery_set(&d->reason, "");
        delivery_set(&d->detail, "");
    }
    if (store_update_delivery(g->env.store, d, e))
        return -1;
    CRASH_POINT("review_put");
    if (audit(g, q, action, d, was, e))
        return -1;
    if (d->state == DELIVERY_READY)
        dispatch_wake(g, d->writer);
    return 0;
}

static char *run_release(struct engine *g, const json_t *q, struct err *e)
{
    struct delivery d = {0};
    bool is_anyway = json_is_true(json_object_get(q, "anyway"));
    char *answer = load_held(g, q, &d, e);
    unsigned bit = answer ? 0 : delivery_force_bit(d.reason);
    if (answer)
        goto out;
    if (!has_destination(&d)) {
        answer = failed_word("NO_DESTINATION", NO_DESTINATION, NULL);
        goto out;
    }
    if (is_anyway && !bit) {
        answer = failed_word("NOT_FORCED", "--anyway does not help against this reason: link it to the person, mend what the reason names, or release it without", NULL);
        goto out;
    }
    if (is_check(q)) {
        answer = done(&d);
        goto out;
    }
    d.state = DELIVERY_READY;
    d.step = d.flags & DELIVERY_IS_LINKED && d.person_id[0] ? STEP_CREATE : STEP_FIND;
    if (is_anyway)
        d.flags |= DELIVERY_IS_FORCED | bit;
    answer = put(g, q, is_anyway ? "release anyway" : "release", &d, e) ? failed(e->text) : done(&d);
    log_event(LOG_INFO, "released", log_id("msg", 'm', d.message_id), log_id("delivery", 'd', d.id), log_word("anyway", is_anyway ? "yes" : "no"));
out:
    delivery_clear(&d);
    return answer;
}

static char *run_dismiss(struct engine *g, const json_t *q, struct err *e)
{
    struct delivery d = {0};
    char *answer = load_held(g, q, &d, e);
    if (!answer && is_check(q))
        answer = done(&d);
    else if (!answer) {
        d.state = DELIVERY_DISMISSED;
        answer = put(g, q, "dismiss", &d, e) ? failed(e->text) : done(&d);
        log_event(LOG_INFO, "dismissed", log_id("msg", 'm', d.message_id), log_id("delivery", 'd', d.id));
    }
    delivery_clear(&d);
    return answer;
}

/* ---- link ---- */

static struct writer_run *running_writer(struct engine *g, const struct delivery *d)
{
    for (size_t i = 0; i < g->n_writers; i++)
        if (strcmp(g->writers[i].conf->name, d->writer) == 0)
            return &g->writers[i];
    return NULL;
}

/* NULL: the answer comes later. */
static char *run_link(struct engine *g, json_t *q, struct err *e)
{
    struct delivery d = {0};
    struct writer_status status = {.mode = WRITER_STARTING};
    const char *person = text_of(q, "person");
    char *answer = load_held(g, q, &d, e);
    struct writer_run *w = answer ? NULL : running_writer(g, &d);
    if (answer)
        goto out;
    if (w)
        w->conf->ops->status(w->w, &status);
    if (!has_destination(&d))
        answer = failed_word("NO_DESTINATION", NO_DESTINATION, NULL);
    else if (!person[0] || strlen(person) > PERSON_MAX_BYTES)
        answer = failed("to whom? Give the case's visualId or its Go.Data id");
    else if (!g->asking)
        answer = failed_word("NO_ENGINE", "linking asks Go.Data for the person: it needs a running engine", NULL);
    else if (!w)
        answer = failed("its writer is not in the running configuration");
    else if (status.mode != WRITER_READY)
        answer = failed_word("NOT_READY", "Go.Data cannot be asked for the person now: nothing was changed; see labrelay status", NULL);
    if (answer)
        goto out;
    struct question *a = xcalloc(1, sizeof *a);
    a->mail = g->asking;
    a->request = json_incref(q);
    a->number = ++g->last_ask;
    a->next = g->asks;
    g->asks = a;
    struct task *t = xcalloc(1, sizeof *t);
    t->kind = TASK_ASK;
    t->step = STEP_FIND;
    t->ask = a->number;
    t->delivery_id = d.id;
    t->flags = d.flags;
    t->who = xstrdup(d.who);
    t->person_id = xstrdup(person);
    dispatch_put_task(g, w, t);
out:
    delivery_clear(&d);
    return answer;
}

static char *refused_link(const struct task *t)
{
    static const struct { const char *reason, *text; } all[] = {
        {"NO_MATCH", "no case or contact of this outbreak has this visualId or Go.Data id: nothing was changed"},
        {"AMBIGUOUS_PERSON", "several people have this visualId: give the Go.Data id. Nothing was changed"},
        {"CONTACT_OF_CONTACT", "this is a contact of a contact: Go.Data takes no lab results for these. Nothing was changed"},
        {"CONTACT_RESULTS_OFF", "this is a contact, and the outbreak does not show contacts' lab results. Nothing was changed"},
    };
    for (size_t i = 0; t->verdict == VERDICT_REJECTED && t->reason && i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].reason, t->reason) == 0)
            return failed_word(all[i].reason, all[i].text, t->evidence);
    return failed_word(t->reason && t->reason[0] ? t->reason : "NO_ANSWER", "Go.Data could not be asked for the person: nothing was changed; try again", NULL);
}

static char *finish_link(struct engine *g, const json_t *q, struct writer_run *w, const struct task *t, struct err *e)
{
    struct delivery d = {0};
    char *answer = load_held(g, q, &d, e);      /* it may have changed while Go.Data was asked */
    if (answer)
        goto out;
    if (t->verdict != VERDICT_DELIVERED) {
        answer = refused_link(t);
        goto out;
    }
    if (t->detail && t->detail[0] && !json_is_true(json_object_get(q, "anyway"))) {
        struct buf b;
        buf_init(&b, ANSWER_MAX_BYTES);
        buf_addf(&b, "what the message says contradicts this person: %s. Nothing was changed; when it is this person after all, say --anyway", t->detail);
        answer = failed_word("CONTRADICTS", b.p, t->evidence);
        buf_clear(&b);
        goto out;
    }
    if (is_check(q)) {
        answer = done(&d);
        goto out;
    }
    d.flags |= DELIVERY_IS_LINKED | DELIVERY_FORCE_PERSON;      /* whoever links knows whose it is, also against what was written before */
    d.state = DELIVERY_READY;
    dispatch_set_person(w, &d, t->found_id, t->found_type);
    g->has_links = g->knows_links = true;
    bool is_bad = store_put_memory(g->env.store, "review", "links", 1, e) || put(g, q, "link", &d, e);
    answer = is_bad ? failed(e->text) : done(&d);
    log_event(LOG_INFO, "linked", log_id("msg", 'm', d.message_id), log_id("delivery", 'd', d.id));
out:
    delivery_clear(&d);
    return answer;
}

void review_answered(struct engine *g, struct writer_run *w, const struct task *t, struct err *e)
{
    for (struct question **p = &g->asks; *p; p = &(*p)->next) {
        struct question *a = *p;
        if (a->number != t->ask)
            continue;
        *p = a->next;
        a->mail->answer = finish_link(g, a->request, w, t, e);
        a->mail->mail.next = g->controls ? &g->controls->mail : NULL;
        g->controls = a->mail;
        json_decref(a->request);
        free(a);
        return;
    }
}

void review_drop(struct engine *g)
{
    for (struct question *a; (a = g->asks) != NULL;) {
        g->asks = a->next;
        a->mail->answer = failed("the engine could not go on with this: nothing was changed; try again");
        mailbox_post(g->env.control_replies, &a->mail->mail);
        json_decref(a->request);
        free(a);
    }
}

/* The creation itself is person.c's; here is what all decisions have in common. */
static char *run_create(struct engine *g, json_t *q, struct err *e)
{
    struct delivery d = {0};
    const char *type = text_of(q, "type");
    char *answer = NULL;
    if (is_check(q) || json_object_get(q, "expect"))
        answer = load_held(g, q, &d, e);
    if (!answer && strcmp(type, "case") != 0 && strcmp(type, "contact") != 0)
        answer = failed("create a case or a contact");
    else if (!answer && !g->n_writers)
        answer = failed_word("NO_ENGINE", "creating a person needs a running engine", NULL);
    else if (!answer && is_check(q))
        answer = has_destination(&d) ? done(&d) : failed_word("NO_DESTINATION", NO_DESTINATION, NULL);
    delivery_clear(&d);
    if (answer)
        return answer;
    if (!text_of(q, "why")[0])
        (void)json_object_set_new(q, "why", json_string(text_of(q, "reason")));
    return person_command(g, q, e);
}

bool review_is_mine(const char *what)
{
    return strcmp(what, "release") == 0 || strcmp(what, "dismiss") == 0 || strcmp(what, "link") == 0 || strcmp(what, "create-person") == 0;
}

char *review_run(struct engine *g, const char *what, json_t *q, struct err *e)
{
    switch (what[0]) {
    case 'r': return run_release(g, q, e);
    case 'd': return run_dismiss(g, q, e);
    case 'c': return run_create(g, q, e);
    default: return run_link(g, q, e);
    }
}

/* ---- without an engine ---- */

static int run_offline(const struct config *conf, const char *request, struct buf *answer, struct err *e)
{
    struct engine g = {.conf = (struct config *)(uintptr_t)conf};  /* read only: nothing here reloads */
    struct store *q = NULL;
    bool is_telling = false;
    int rc = -1;
    if (store_open(&q, &conf->store, e) == 0) {
        g.env.store = q;
        char *text = command_run(&g, request, &is_telling, e);
        if (!store_is_dirty(q) || store_commit(q, e) == 0) {
            buf_adds(answer, text);
            rc = 0;
        }
        free(text);
    }
    store_close(q);
    return rc;
}

int review_ask(const struct config *conf, const char *request, struct buf *answer, bool *was_offline, struct err *e)
{
    int rc = control_ask(conf->control_path, request, answer, e);
    if (was_offline)
        *was_offline = rc == 1;
    return rc == 1 ? run_offline(conf, request, answer, e) : rc;
}
