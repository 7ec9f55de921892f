/*
 * NAME reroute - a stored message goes through the rules again: after a reload (what is held), or because a person asks (`replay`).
 *
 * The original is parsed again and each observation decided as decide_observation() decides now; decide_again() says what that does to what
 * became of it. A held delivery keeps its row and its place. What has no row (dropped then) and what would differ from a delivered result
 * gets one with parts 0: the sums of `verify` are of the message as it came. The latter is held for a person, who alone may have it written.
 * Several in one batch, each audited; the caller commits.
 * DIAGNOSTICS "routed again" per message that changed: ids and counts. A message that cannot be parsed any more stays as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"
#include "xmem.h"

#define RAW_MAX_BYTES ((size_t)256 << 20)
#define ARENA_FACTOR 12             /* as intake */
#define ARENA_EXTRA ((size_t)4 << 20)
#define WORK_BYTES ((size_t)64 << 20)
#define ANSWER_BYTES ((size_t)1 << 16)
#define TURN_US 50000               /* one request keeps the engine from its senders this long at most (and one message) */

struct again_run {
    struct engine *g;
    struct reroute *q;
    const struct zone *zone;
    struct store_message_row m;
    struct delivery *v;             /* of the message, in order of ids */
    size_t n;
    int64_t now;
    int64_t changed;
};

static void set_span(char **field, struct span s)
{
    free(*field);
    *field = xstrndup(s.n ? s.p : "", s.n);
}

/* What was decided last about this place. */
static struct delivery *find_was(const struct again_run *x, size_t record, size_t observation)
{
    for (size_t i = x->n; i > 0; i--) {
        struct delivery *d = &x->v[i - 1];
        if (d->record_index == record && d->observation_index == observation && !(d->flags & DELIVERY_IS_PERSON))
            return d;
    }
    return NULL;
}

/* All that the configuration decides; the place, the id and the parts stay. */
static void fill(const struct again_run *x, struct delivery *d, const struct record *r, const struct rec_observation *o, const struct decision *now)
{
    char lane[256];
    bool is_same_person = d->who && now->built.who.n == strlen(d->who) && memcmp(now->built.who.p, d->who, now->built.who.n) == 0;
    bool is_linked = is_same_person && now->writer && strcmp(d->writer, now->writer->name) == 0 && (d->flags & DELIVERY_IS_LINKED);
    set_span(&d->path, o->path);
    delivery_set(&d->route, now->rule.route);
    d->config = x->g->config_number;
    delivery_set(&d->writer, now->writer ? now->writer->name : "");
    set_span(&d->result_key, now->built.result_key);
    d->issued_us = decide_issued_us(x->zone, r, o, x->m.received_us);
    d->rank = now->rule.is_withdrawal ? RANK_WITHDRAWN : version_rank_of(o->status);
    set_span(&d->who, now->built.who);
    set_span(&d->body, now->body);
    delivery_set(&d->reason, now->reason ? now->reason : "");
    set_span(&d->detail, now->detail);
    delivery_set(&d->remote_id, "");
    d->tries = 0;
    d->next_us = d->updated_us = x->now;
    d->flags = (d->flags & ~DELIVERY_BY_RULES) | (now->built.flags & DELIVERY_BY_RULES);
    d->step = is_linked ? STEP_CREATE : STEP_FIND;
    d->flags = now->built.flags | (d->flags & (DELIVERY_HAD_INTENT | (is_linked ? DELIVERY_IS_LINKED | DELIVERY_IS_FORCED : 0)));
    if (is_linked)
        return;
    delivery_set(&d->person_id, "");
    delivery_set(&d->person_type, "");
    decide_lane(now, x->m.id, lane, sizeof lane);
    delivery_set(&d->lane, lane);
}

static int put(struct again_run *x, struct delivery *d, bool is_new, struct err *e)
{
    if (d->state == DELIVERY_READY && d->result_key[0] && intake_meet_versions(x->g, d, e))
        return -1;
    if (is_new ? store_put_delivery(x->g->env.store, d, e) : store_update_delivery(x->g->env.store, d, e))
        return -1;
    if (store_trail_widen(x->g->env.store, x->m.id, e) ||
        (x->q->by && store_audit(x->g->env.store, x->q->by, x->q->action ? x->q->action : "replay", d->id, x->m.id, x->q->why ? x->q->why : "", e)))
        return -1;
    x->changed++;
    if (d->state == DELIVERY_READY)
        dispatch_wake(x->g, d->writer);
    return 0;
}

static bool is_held_alike(const struct delivery *was, const struct decision *now)
{
    const char *route = now->rule.route ? now->rule.route : "";
    return strcmp(was->reason, now->reason) == 0 && strcmp(was->route, route) == 0 && now->detail.n == strlen(was->detail) &&
           (now->detail.n == 0 || memcmp(now->detail.p, was->detail, now->detail.n) == 0);
}

/* An observation without a row, or beside the row of what was delivered. */
static int add(struct again_run *x, const struct record *r, const struct rec_observation *o, unsigned ri, unsigned oi, const struct decision *now,
               enum delivery_state state, const char *reason, struct err *e)
{
    struct delivery d = {.message_id = x->m.id, .record_index = ri, .observation_index = oi};
    fill(x, &d, r, o, now);
    d.state = state;
    if (reason)
        delivery_set(&d.reason, reason);
    int rc = put(x, &d, true, e);
    delivery_clear(&d);
    return rc;
}

static int observation(struct again_run *x, const struct record *r, unsigned ri, unsigned oi, struct err *e)
{
    const struct rec_observation *o = &r->observations[oi];
    struct delivery *was = find_was(x, ri, oi);
    struct decision now;
    bool is_not_ours = !x->q->is_replay && (!was || was->state != DELIVERY_HELD || (was->flags & DELIVERY_HAD_INTENT));
    if (o->role != OBS_RESULT || is_not_ours || (x->q->reason && (!was || strcmp(was->reason, x->q->reason) != 0)))
        return 0;
    if (!x->g->work)
        x->g->work = arena_new(WORK_BYTES);
    arena_reset(x->g->work);
    if (decide_observation(x->g->conf, r, o, x->g->work, &now, NULL, e))
        return -1;
    enum again a = decide_again(was, &now);
    x->q->n[a]++;
    switch (a) {
    case AGAIN_NOTHING:
    case AGAIN_BUSY:
    case AGAIN_CLOSED:
        return 0;
    case AGAIN_ROUTED:
        if (!was || was->state == DELIVERY_DROPPED)
            return add(x, r, o, ri, oi, &now, DELIVERY_READY, NULL, e);
        fill(x, was, r, o, &now);
        was->state = DELIVERY_READY;
        return put(x, was, false, e);
    case AGAIN_HELD:
        if (!was || was->state == DELIVERY_DROPPED)
            return add(x, r, o, ri, oi, &now, DELIVERY_HELD, NULL, e);
        if (!now.reason || (was->flags & DELIVERY_HAD_INTENT) || is_held_alike(was, &now))
            return 0;
        fill(x, was, r, o, &now);
        return put(x, was, false, e);
    case AGAIN_DROPPED:
        was->state = DELIVERY_DROPPED;
        was->updated_us = x->now;
        delivery_set(&was->reason, now.reason);
        delivery_set(&was->detail, "");
        return put(x, was, false, e);
    case AGAIN_DIFFERS:
        return add(x, r, o, ri, oi, &now, DELIVERY_HELD, REPLAY_DIFFERS, e);
    }
    return 0;
}

/* The same for the person of a record: only what is held; whoever is not sent stays so. */
static int person(struct again_run *x, const struct record *r, unsigned ri, struct err *e)
{
    struct delivery *was = NULL;
    struct decision now;
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].record_index == ri && (x->v[i].flags & DELIVERY_IS_PERSON))
            was = &x->v[i];
    if (!was || was->state != DELIVERY_HELD || (was->flags & DELIVERY_HAD_INTENT) || (x->q->reason && strcmp(was->reason, x->q->reason) != 0))
        return 0;
    if (!x->g->work)
        x->g->work = arena_new(WORK_BYTES);
    arena_reset(x->g->work);
    if (decide_person(x->g->conf, r, x->g->work, &now, NULL, e))
        return -1;
    enum again a = decide_again(was, &now);
    x->q->n[a]++;
    if (a == AGAIN_DROPPED) {
        was->state = DELIVERY_DROPPED;
        was->updated_us = x->now;
        delivery_set(&was->reason, now.reason);
        delivery_set(&was->detail, "");
        return put(x, was, false, e);
    }
    if ((a != AGAIN_ROUTED && a != AGAIN_HELD) || (a == AGAIN_HELD && (!now.reason || is_held_alike(was, &now))))
        return 0;
    person_fill(was, r, &now, x->zone, x->m.received_us, x->now);
    was->config = x->g->config_number;
    return put(x, was, false, e);
}

static int run(struct again_run *x, const struct listener_conf *lc, struct span raw, struct err *e)
{
    struct arena *a = arena_new(raw.n * ARENA_FACTOR + ARENA_EXTRA);
    struct parse_result pr = {.n = 0};
    struct err pe = ERR_INIT;
    const struct parser_conf *pc = config_parser_find(lc, NULL, raw);
    int rc = 0;
    if (pc->ops->parse(pc->options, raw, a, &pr, &pe) == 0 && pr.n) {
        struct parsed *p = &pr.v[0];
        p->message.channel = span_of(lc->name);
        decide_admit(x->g->conf, lc->name, p);
        for (unsigned ri = 0; ri < p->n_records && rc == 0 && p->fate == PARSE_ACCEPT; ri++)
            rc = person(x, &p->records[ri], ri, e);
        for (unsigned ri = 0; ri < p->n_records && rc == 0 && p->fate == PARSE_ACCEPT; ri++)
            for (unsigned oi = 0; oi < p->records[ri].n && rc == 0; oi++)
                rc = observation(x, &p->records[ri], ri, oi, e);
    }
    arena_free(a);
    return rc;
}

int reroute_message(struct engine *g, int64_t message_id, struct reroute *q, struct err *e)
{
    struct again_run x = {.g = g, .q = q, .now = clock_now_us()};
    struct buf raw;
    int rc = store_get_message(g->env.store, message_id, &x.m, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    const struct listener_conf *lc = config_listener_find(g->conf, x.m.channel);
    buf_init(&raw, RAW_MAX_BYTES);
    bool is_part = strcmp(x.m.reason, "CONTINUED") == 0 || strcmp(x.m.reason, "CONTINUATION") == 0;
    if (lc && x.m.state == MESSAGE_STORED && !is_part && (rc = store_get_raw(g->env.store, message_id, &raw, e)) == 0) {
        const struct channel *ch = channel_named(g, lc->name);
        x.zone = ch ? ch->zone : NULL;
        rc = store_get_deliveries(g->env.store, message_id, &x.v, &x.n, e);
        if (rc == 0)
            rc = run(&x, lc, buf_span(&raw), e);
    }
    if (x.changed)
        log_event(LOG_INFO, "routed again", log_id("msg", 'm', message_id), log_word("channel", x.m.channel), log_int("changed", x.changed));
    deliveries_free(x.v, x.n);
    buf_clear(&raw);
    store_message_row_clear(&x.m);
    return rc < 0 ? -1 : 0;
}

char *reroute_command(struct engine *g, const json_t *request, struct err *e)
{
    const json_t *ids = json_object_get(request, "ids");
    const char *reason = json_string_value(json_object_get(request, "reason"));
    struct reroute q = {.is_replay = true, .by = json_string_value(json_object_get(request, "by")), .why = json_string_value(json_object_get(request, "why")),
                        .reason = reason && reason[0] ? reason : NULL};
    int64_t start = clock_mono_us();
    size_t done = 0, n = json_array_size(ids);
    struct buf b;
    buf_init(&b, ANSWER_BYTES);
    buf_addc(&b, '{');
    if (!q.by || !q.by[0]) {
        buf_json_kv(&b, "error", "who does this? say --by NAME");
    } else {
        while (done < n && (done == 0 || clock_mono_us() - start < TURN_US) &&
               reroute_message(g, json_integer_value(json_array_get(ids, done)), &q, e) == 0)
            done++;
        g->is_broken = g->is_broken || e->kind != ERR_NONE;
        if (e->kind != ERR_NONE)
            buf_json_kv(&b, "error", e->text);
        else
            buf_json_kint(&b, "messages", (int64_t)done);
        for (int k = 0; k <= AGAIN_DIFFERS && e->kind == ERR_NONE; k++)
            buf_json_kint(&b, again_name((enum again)k), q.n[k]);
    }
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}
