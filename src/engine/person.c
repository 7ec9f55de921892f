/*
 * NAME person - deliveries that make a person: what follows when nobody matches.
 *
 * One place decides it, wherever the search ended (in the mirror or at Go.Data). All creations of a writer share one lane, so that of many
 * results of one new person the first creates it and the others find it.
 * A delivery of a person (`send case`) has parts 0: observations are counted without it. Its result key is the identity of the person, so
 * that its versions form a thread; an older message after a newer one changes nothing, and of two with one time the later one counts.
 * DIAGNOSTICS NO_CASE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"
#include "xmem.h"

#define PERSONS_MAX 5000            /* of one message */

/* Was a person of this identity written before? */
static bool stood_once(struct engine *g, const struct delivery *d)
{
    struct store_target t = {.remote_id = NULL};
    struct err e = ERR_INIT;
    bool is_known = store_get_target(g->env.store, d->result_key, &t, &e) == 0;
    store_target_clear(&t);
    return is_known;
}

bool person_meet_no_match(struct engine *g, struct writer_run *w, struct delivery *d)
{
    bool is_nobody = strcmp(d->reason, "NO_MATCH") == 0 || strcmp(d->reason, "NO_IDENTITY") == 0;
    struct buf lane;
    if (d->state != DELIVERY_HELD || d->step != STEP_FIND || !is_nobody || !(d->flags & (DELIVERY_MAY_CREATE | DELIVERY_MAY_DROP)))
        return false;
    if (d->flags & DELIVERY_IS_PERSON && stood_once(g, d)) {
        delivery_set(&d->reason, "PERSON_DELETED");     /* somebody took it away: it is not made again */
        return false;
    }
    delivery_set(&d->detail, "");
    if (d->flags & DELIVERY_MAY_DROP) {
        d->state = DELIVERY_DROPPED;
        delivery_set(&d->reason, "NO_CASE");
        return true;
    }
    buf_init(&lane, 1024);
    buf_addf(&lane, "%s/new", w->conf->name);
    delivery_set(&d->lane, lane.p);
    buf_clear(&lane);
    delivery_set(&d->reason, "");
    d->state = DELIVERY_READY;
    d->step = STEP_PERSON;
    return true;
}

/* ---- send case ---- */

static char *dup_span(struct span s)
{
    return xstrndup(s.n ? s.p : "", s.n);
}

void person_fill(struct delivery *d, const struct record *r, const struct decision *x, const struct zone *z, int64_t received_us, int64_t now)
{
    struct buf lane;
    struct { char **field; struct span v; } texts[] = {
        {&d->path, r->patient.path}, {&d->route, span_of(x->rule.route)}, {&d->writer, span_of(x->writer ? x->writer->name : "")},
        {&d->result_key, x->built.result_key}, {&d->who, x->built.who}, {&d->body, x->body}, {&d->reason, span_of(x->reason)}, {&d->detail, x->detail},
        {&d->person_id, SPAN_ABSENT}, {&d->person_type, SPAN_ABSENT}, {&d->remote_id, SPAN_ABSENT},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i].field);
        *texts[i].field = dup_span(texts[i].v);
    }
    buf_init(&lane, 1024);
    buf_addf(&lane, "%s/", d->writer);
    if (d->result_key[0])
        buf_addf(&lane, "p:%s", d->result_key);
    else
        buf_addf(&lane, "m:%lld", (long long)d->message_id);
    delivery_set(&d->lane, lane.p);
    buf_clear(&lane);
    d->flags = x->built.flags | DELIVERY_IS_PERSON;
    d->issued_us = decide_issued_us(z, r, NULL, received_us);
    d->rank = RANK_FINAL;
    d->step = STEP_FIND;
    d->tries = 0;
    d->next_us = d->updated_us = now;
    d->state = x->reason ? DELIVERY_HELD : DELIVERY_READY;
}

static int put(struct engine *g, struct pending_frame *pf, const struct record *r, unsigned ri, int64_t message_id, const struct decision *x, struct err *e)
{
    struct delivery d = {.message_id = message_id, .record_index = ri, .config = pf->ch->config_number};
    int rc = -1;
    person_fill(&d, r, x, pf->ch->zone, pf->f->received_us, pf->f->received_us);
    if (d.state == DELIVERY_READY && d.result_key[0] && intake_meet_versions(g, &d, e))
        goto out;
    rc = store_put_delivery(g->env.store, &d, e);
    for (size_t i = 0; i < x->built.n_aliases && rc == 0; i++)
        rc = store_put_alias(g->env.store, d.writer, x->built.aliases[i].old, x->built.aliases[i].now, message_id, d.issued_us, e);
    if (rc == 0 && d.state == DELIVERY_READY)
        dispatch_wake(g, d.writer);
out:
    delivery_clear(&d);
    return rc;
}

int person_deliver(struct engine *g, struct pending_frame *pf, const struct parsed *p, int64_t message_id, unsigned *deliveries, struct err *e)
{
    char (*seen)[65] = NULL;
    size_t n = 0;
    int rc = 0;
    if (!rule_takes_persons(pf->ch->conf->rules, p->message.channel))
        return 0;
    if (!g->work)
        g->work = arena_new(INTAKE_WORK_BYTES);
    for (unsigned ri = 0; ri < p->n_records && n < PERSONS_MAX && rc == 0; ri++) {
        struct decision x;
        bool is_again = false;
        arena_reset(g->work);
        rc = decide_person(pf->ch->conf, &p->records[ri], g->work, &x, NULL, e);
        if (rc || x.rule.action == RULE_DROP)
            continue;
        for (size_t i = 0; i < n && !is_again; i++)
            is_again = span_is(x.built.result_key, seen[i]);
        if (is_again)
            continue;               /* several orders of one patient */
        if (x.built.result_key.n == 64) {
            seen = xreallocarray(seen, n + 1, sizeof *seen);
            memcpy(seen[n], x.built.result_key.p, 64);
            seen[n++][64] = '\0';
        }
        rc = put(g, pf, &p->records[ri], ri, message_id, &x, e);
        ++*deliveries;
    }
    free(seen);
    return rc;
}

void person_tell_loop(struct engine *g)
{
    for (size_t i = 0; g->env.loop && i < g->conf->n_listeners; i++)
        loop_set_persons(g->env.loop, g->conf->listeners[i].name, rule_takes_persons(g->conf->rules, span_of(g->conf->listeners[i].name)));
}

static void end(struct delivery *d, enum delivery_state s, const char *reason, bool *is_over)
{
    d->state = s;
    delivery_set(&d->reason, reason);
    *is_over = true;
}

int person_decide(struct engine *g, struct delivery *d, struct store_target *t, bool *is_over, struct err *e)
{
    int found = store_get_target(g->env.store, d->result_key, t, e);
    if (found < 0)
        return -1;
    *is_over = false;
    d->step = STEP_UPDATE;
    delivery_set(&d->remote_id, d->person_id);
    if (found == 1)
        return 0;
    if (version_compare(d->issued_us, d->rank, d->body, t->issued_us, t->rank, t->body) == VERSION_OLDER)
        end(d, DELIVERY_SUPERSEDED, "OLDER", is_over);
    else if (strcmp(t->body, d->body) == 0 && strcmp(t->person_id, d->person_id) == 0)
        end(d, DELIVERY_SUPERSEDED, "SAME_AGAIN", is_over);
    else if (strcmp(t->person_id, d->person_id) != 0 && !(d->flags & DELIVERY_FORCE_PERSON))
        end(d, DELIVERY_HELD, "PERSON_CHANGED", is_over);
    return 0;
}

/* ---- a person decides ---- */

#define RAW_MAX_BYTES ((size_t)256 << 20)
#define ARENA_FACTOR 12             /* as intake */
#define ARENA_EXTRA ((size_t)4 << 20)

static char *refuse(const char *why)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", why);
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

/* `who` of d anew, with the person to create. NULL, or why not. */
static const char *describe(struct engine *g, struct delivery *d, const struct parsed *p, enum person_kind kind, struct arena *a, struct err *e)
{
    struct decision x;
    struct built b = {.hold = NULL};
    if (d->record_index >= p->n_records)
        return "the original is read otherwise now: replay it first";
    const struct record *r = &p->records[d->record_index];
    bool is_person = d->flags & DELIVERY_IS_PERSON;
    if (!is_person && d->observation_index >= r->n)
        return "the original is read otherwise now: replay it first";
    const struct rec_observation *o = is_person ? NULL : &r->observations[d->observation_index];
    if (is_person ? decide_person(g->conf, r, a, &x, NULL, e) : decide_observation(g->conf, r, o, a, &x, NULL, e))
        return e->text;
    struct person_data *who = x.rule.person ? arena_alloc(a, sizeof *who) : NULL;
    if (!who || !x.writer || strcmp(x.writer->name, d->writer) != 0 || (x.rule.action != RULE_SEND_LAB && x.rule.action != RULE_SEND_PERSON))
        return "the rules do not send it now: what holds it has to be mended first";
    *who = *x.rule.person;
    who->kind = kind;
    who->no_match = kind == PERSON_CONTACT ? NO_MATCH_CREATE_CONTACT : NO_MATCH_CREATE_CASE;
    who->is_ordered = true;
    struct lab_result lab = x.rule.lab;
    lab.person = who;
    if (x.writer->ops->check_person && x.writer->ops->check_person(x.writer->options, kind, e))
        return e->text;
    if (is_person ? x.writer->ops->build_person(x.writer->options, r, who, a, &b, e) : x.writer->ops->build(x.writer->options, r, o, &lab, a, &b, e))
        return e->text;
    free(d->who);
    d->who = dup_span(b.who);
    d->flags |= b.flags | DELIVERY_MAY_CREATE | DELIVERY_IS_FORCED;
    return NULL;
}

static const char *read_again(struct engine *g, struct delivery *d, enum person_kind kind, struct err *e)
{
    struct store_message_row m = {0};
    struct parse_result pr = {.n = 0};
    const char *why = "the original of this delivery was erased";
    struct arena *a = NULL;
    struct buf raw;
    buf_init(&raw, RAW_MAX_BYTES);
    if (store_get_message(g->env.store, d->message_id, &m, e) || store_get_raw(g->env.store, d->message_id, &raw, e))
        goto out;
    const struct listener_conf *lc = config_listener_find(g->conf, m.channel);
    why = "the listener that it came in by is not in the configuration any more";
    if (!lc)
        goto out;
    a = arena_new(raw.n * ARENA_FACTOR + ARENA_EXTRA + INTAKE_WORK_BYTES);
    const struct parser_conf *pc = config_parser_find(lc, NULL, buf_span(&raw));
    why = "the original cannot be read any more";
    if (!pc || pc->ops->parse(pc->options, buf_span(&raw), a, &pr, e) || pr.n == 0)
        goto out;
    pr.v[0].message.channel = span_of(lc->name);
    decide_admit(g->conf, lc->name, &pr.v[0]);
    why = describe(g, d, &pr.v[0], kind, a, e);
out:
    arena_free(a);
    buf_clear(&raw);
    store_message_row_clear(&m);
    return why;
}

char *person_command(struct engine *g, const json_t *request, struct err *e)
{
    const char *type = json_string_value(json_object_get(request, "type")), *by = json_string_value(json_object_get(request, "by"));
    const char *why = json_string_value(json_object_get(request, "why")), *problem = NULL;
    enum person_kind kind = type && strcmp(type, "contact") == 0 ? PERSON_CONTACT : PERSON_CASE;
    struct delivery d = {0};
    char *answer = NULL;
    struct buf b;
    if (!by || !by[0])
        return refuse("who does this? say --by NAME");
    if (store_get_delivery(g->env.store, json_integer_value(json_object_get(request, "id")), &d, e))
        return refuse(e->kind == ERR_NONE ? "there is no delivery of this id" : e->text);
    struct writer_run *w = NULL;
    for (size_t i = 0; i < g->n_writers && !w; i++)
        w = strcmp(g->writers[i].conf->name, d.writer) == 0 ? &g->writers[i] : NULL;
    if (d.state != DELIVERY_HELD)
        problem = "it is not held";
    else if (!w || !w->conf->ops->build_person)
        problem = "its writer makes no persons";
    else if (!d.body[0])
        problem = "nothing can be sent of it: what holds it has to be mended first";
    else
        problem = read_again(g, &d, kind, e);
    if (problem) {
        answer = refuse(problem);
        goto out;
    }
    buf_init(&b, 4096);
    buf_addf(&b, "%s/new", d.writer);
    delivery_set(&d.lane, b.p);
    buf_clear(&b);
    d.state = DELIVERY_READY;
    d.step = STEP_PERSON;
    d.tries = 0;
    d.next_us = d.updated_us = clock_now_us();
    delivery_set(&d.reason, "");
    delivery_set(&d.detail, "");
    if (store_update_delivery(g->env.store, &d, e) || store_audit(g->env.store, by, "create", d.id, d.message_id, why ? why : "", e)) {
        answer = refuse(e->text);
        goto out;
    }
    log_event(LOG_INFO, "person ordered", log_id("msg", 'm', d.message_id), log_id("delivery", 'd', d.id), log_word("type", person_kind_name(kind)));
    dispatch_wake(g, d.writer);
    buf_init(&b, 4096);
    buf_adds(&b, "{\"ok\":true");
    buf_json_kint(&b, "id", d.id);
    buf_json_kv(&b, "state", delivery_state_name(d.state));
    buf_addc(&b, '}');
    answer = buf_take(&b, NULL);
out:
    delivery_clear(&d);
    return answer;
}
