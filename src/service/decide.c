/*
 * NAME decide - rules and body of one observation, in one place for all who need the answer.
 * DIAGNOSTICS ERR_BUG only; what is too large becomes a hold.
 */
#include "decide.h"

#include <stdio.h>
#include <string.h>

static int run(const struct config *c, const struct record *r, const struct rec_observation *o, struct arena *a, struct decision *out,
               struct rule_trace *trace, struct err *e)
{
    if (rule_run(c->rules, r, o, a, &out->rule, trace, e))
        return -1;
    out->writer = out->rule.writer ? config_writer_find(c, out->rule.writer) : NULL;
    if (!out->writer || out->rule.action == RULE_DROP)
        return 0;
    return out->writer->ops->build(out->writer->options, r, o, &out->rule.lab, a, &out->built, e);
}

int decide_observation(const struct config *c, const struct record *r, const struct rec_observation *o, struct arena *a, struct decision *out,
           struct rule_trace *trace, struct err *e)
{
    *out = (struct decision){.writer = NULL};
    if (run(c, r, o, a, out, trace, e)) {
        if (e->kind != ERR_LIMIT)
            return -1;
        *e = ERR_INIT;
        *out = (struct decision){.rule = {.action = RULE_HOLD, .route = out->rule.route, .writer = out->rule.writer, .reason = "TOO_LARGE"}, .writer = out->writer};
    }
    out->built.flags |= out->rule.flags;
    if (out->rule.action == RULE_SEND_LAB) {
        out->reason = out->built.hold;
        out->detail = out->built.hold ? out->built.hold_detail : SPAN_ABSENT;
        out->body = out->built.body;
    } else {
        out->reason = out->rule.reason;
        out->detail = span_has(out->rule.table_key) ? out->rule.table_key : out->rule.detail;
    }
    return 0;
}

int decide_person(const struct config *c, const struct record *r, struct arena *a, struct decision *out, struct rule_trace *trace, struct err *e)
{
    *out = (struct decision){.writer = NULL};
    if (rule_run_person(c->rules, r, a, &out->rule, trace, e) == 0) {
        out->writer = out->rule.writer ? config_writer_find(c, out->rule.writer) : NULL;
        if (!out->writer || out->rule.action == RULE_DROP || !out->rule.person ||
            out->writer->ops->build_person(out->writer->options, r, out->rule.person, a, &out->built, e) == 0)
            goto decided;
    }
    if (e->kind != ERR_LIMIT)
        return -1;
    *e = ERR_INIT;
    *out = (struct decision){.rule = {.action = RULE_HOLD, .route = out->rule.route, .writer = out->rule.writer, .reason = "TOO_LARGE"}, .writer = out->writer};
decided:
    if (out->rule.action == RULE_SEND_PERSON) {
        out->reason = out->built.hold;
        out->detail = out->built.hold ? out->built.hold_detail : SPAN_ABSENT;
        out->body = out->built.body;
    } else {
        out->reason = out->rule.reason;
        out->detail = span_has(out->rule.table_key) ? out->rule.table_key : out->rule.detail;
    }
    return 0;
}

void decide_admit(const struct config *c, const char *channel, struct parsed *p)
{
    if (p->persons && !p->is_persons && rule_takes_persons(c->rules, span_of(channel)))
        parsed_take_persons(p);
}

int64_t decide_issued_us(const struct zone *z, const struct record *r, const struct rec_observation *o, int64_t received_us)
{
    int64_t us;
    if (zone_ts_us(z, &r->report.issued_at, &us) || (o && zone_ts_us(z, &o->analysed_at, &us)) || zone_ts_us(z, &r->message->sent_at, &us))
        return us;
    return received_us;
}

void decide_lane(const struct decision *d, int64_t message_id, char *out, size_t n)
{
    const char *writer = d->writer ? d->writer->name : "";
    if (span_has(d->built.lane_hint))
        (void)snprintf(out, n, "%s/s:%.*s", writer, SPAN_ARG(d->built.lane_hint));
    else
        (void)snprintf(out, n, "%s/m:%lld", writer, (long long)message_id);
}

int decide_zone(const struct listener_conf *lc, struct zone **out, struct err *e)
{
    *out = NULL;
    for (size_t p = 0; p < lc->n_parsers && !*out; p++)
        for (size_t k = 0; k < lc->parsers[p].ops->options.n; k++) {
            const struct option_row *row = &lc->parsers[p].ops->options.rows[k];
            char *name;
            if (row->type != OPT_ZONE)
                continue;
            memcpy(&name, (const char *)lc->parsers[p].options + row->offset, sizeof name);
            if (name)
                return zone_load(out, name, e);
        }
    return 0;
}

/* ---- again ---- */

static bool is_text(struct span s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

static bool is_as_delivered(const struct delivery *was, const struct decision *now)
{
    return now->writer && strcmp(now->writer->name, was->writer) == 0 && is_text(now->built.result_key, was->result_key) && is_text(now->built.who, was->who) &&
           is_text(now->body, was->body);
}

enum again decide_again(const struct delivery *was, const struct decision *now)
{
    bool is_dropped = now->rule.action == RULE_DROP;
    if (!was || was->state == DELIVERY_DROPPED)
        return is_dropped ? AGAIN_NOTHING : now->reason ? AGAIN_HELD : AGAIN_ROUTED;
    switch (was->state) {
    case DELIVERY_READY:
    case DELIVERY_CLAIMED:
    case DELIVERY_WAITING:
        return AGAIN_BUSY;
    case DELIVERY_HELD:
        if (was->parts == 0 && strcmp(was->reason, "REPLAY_DIFFERS") == 0)
            return AGAIN_HELD;          /* only a person may end this hold: it stands beside a delivered result */
        if ((was->flags & DELIVERY_HAD_INTENT) && !is_as_delivered(was, now))
            return AGAIN_HELD;          /* something of it may have left the house under its old key */
        return is_dropped ? AGAIN_DROPPED : now->reason ? AGAIN_HELD : AGAIN_ROUTED;
    case DELIVERY_DISMISSED:
        return AGAIN_CLOSED;
    case DELIVERY_DELIVERED:
    case DELIVERY_WITHDRAWN:
        return is_dropped || now->reason || is_as_delivered(was, now) ? AGAIN_NOTHING : AGAIN_DIFFERS;
    case DELIVERY_SUPERSEDED:           /* another version stands there */
    case DELIVERY_DROPPED:
        return AGAIN_NOTHING;
    }
    return AGAIN_NOTHING;
}

static const struct { const char *name, *text; } agains[] = {
    [AGAIN_NOTHING] = {"nothing", "nothing new"},
    [AGAIN_ROUTED] = {"routed", "goes to the writer, which looks for the person"},
    [AGAIN_HELD] = {"held", "stays held"},
    [AGAIN_DROPPED] = {"dropped", "is dropped"},
    [AGAIN_BUSY] = {"busy", "is under way"},
    [AGAIN_CLOSED] = {"closed", "was closed by a person and stays so"},
    [AGAIN_DIFFERS] = {"differs", "was delivered otherwise: is held for a person"},
};

const char *again_name(enum again a)
{
    return agains[a].name;
}

const char *again_text(enum again a)
{
    return agains[a].text;
}
