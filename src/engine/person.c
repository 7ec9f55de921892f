/*
 * NAME person - deliveries that make a person: what follows when nobody matches.
 *
 * One place decides it, wherever the search ended (in the mirror or at Go.Data). All creations of a writer share one lane, so that of many
 * results of one new person the first creates it and the others find it.
 * A delivery of a person (`send case`) has parts 0: observations are counted without it. Its result key is the identity of the person, so
 * that its versions form a thread; an older message after a newer one changes nothing, and of two with one time the later one counts.
 * DIAGNOSTICS NO_CASE.
 */
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "log.h"
#include "xmem.h"

#define PERSONS_MAX 5000            /* of one message */

bool person_meet_no_match(struct writer_run *w, struct delivery *d)
{
    bool is_nobody = strcmp(d->reason, "NO_MATCH") == 0 || strcmp(d->reason, "NO_IDENTITY") == 0;
    struct buf lane;
    if (d->state != DELIVERY_HELD || d->step != STEP_FIND || !is_nobody || !(d->flags & (DELIVERY_MAY_CREATE | DELIVERY_MAY_DROP)))
        return false;
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

static int put(struct engine *g, struct pending_frame *pf, const struct record *r, unsigned ri, int64_t message_id, const struct decision *x, struct err *e)
{
    struct delivery d = {.message_id = message_id, .record_index = ri, .flags = x->built.flags | DELIVERY_IS_PERSON, .config = pf->ch->config_number,
                         .rank = RANK_FINAL, .step = STEP_FIND, .next_us = pf->f->received_us, .updated_us = pf->f->received_us};
    struct buf lane;
    int rc = -1;
    buf_init(&lane, 1024);
    buf_addf(&lane, "%s/", x->writer ? x->writer->name : "");
    if (span_has(x->built.result_key))
        buf_addf(&lane, "p:%.*s", SPAN_ARG(x->built.result_key));
    else
        buf_addf(&lane, "m:%lld", (long long)message_id);
    d.path = dup_span(r->patient.path);
    d.route = xstrdup(x->rule.route ? x->rule.route : "");
    d.writer = xstrdup(x->writer ? x->writer->name : "");
    d.lane = buf_take(&lane, NULL);
    d.result_key = dup_span(x->built.result_key);
    d.issued_us = decide_issued_us(pf->ch->zone, r, NULL, pf->f->received_us);
    d.who = dup_span(x->built.who);
    d.body = dup_span(x->body);
    d.state = x->reason ? DELIVERY_HELD : DELIVERY_READY;
    d.reason = xstrdup(x->reason ? x->reason : "");
    d.detail = dup_span(x->detail);
    d.person_id = xstrdup("");
    d.person_type = xstrdup("");
    d.remote_id = xstrdup("");
    if (d.state == DELIVERY_READY && d.result_key[0] && intake_meet_versions(g, &d, e))
        goto out;
    rc = store_put_delivery(g->env.store, &d, e);
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
    else if (strcmp(t->person_id, d->person_id) != 0)
        end(d, DELIVERY_HELD, "PERSON_CHANGED", is_over);
    return 0;
}
