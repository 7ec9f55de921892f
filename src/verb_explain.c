/*
 * NAME labrelay explain - what would become of a message: parse, record, route with the deciding lines, person it would look for, exact JSON.
 * The message is a file, standard input (-) or one of the store (m12), which is read with the configuration as it is now.
 * Stores nothing, sends nothing, asks nobody.
 * EXIT 0 the message would be accepted, 1 it would be refused, 3 the store does not have it (any more).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "fsutil.h"
#include "decide.h"
#include "xmem.h"

#define FILE_MAX_BYTES ((size_t)64 << 20)
#define ARENA_BYTES ((size_t)512 << 20)

struct explained {
    const struct config *conf;
    const struct listener_conf *lc;
    struct arena *a;
    struct buf *b;
    bool is_json;
};

static const char *fate_text(enum parse_fate f)
{
    switch (f) {
    case PARSE_ACCEPT: return "accepted";
    case PARSE_FILTER: return "accepted, nothing to deliver";
    case PARSE_REFUSE: return "refused: its content is wrong";
    case PARSE_REJECT: return "rejected: this kind of message is not taken here";
    case PARSE_QUARANTINE: return "quarantined: it cannot be read";
    case PARSE_SILENT: return "an acknowledgement: never answered";
    }
    return "?";
}

static void problems(struct explained *x, const struct parsed *p)
{
    if (x->is_json) {
        buf_json_key(x->b, "problems");
        buf_addc(x->b, '[');
    }
    for (size_t i = 0; i < p->n_problems; i++) {
        const struct problem *q = &p->problems[i];
        if (x->is_json) {
            char sev[2] = {q->severity, '\0'};
            buf_json_sep(x->b);
            buf_addc(x->b, '{');
            buf_json_kv(x->b, "severity", sev);
            buf_json_kint(x->b, "code", q->code);
            buf_json_kv(x->b, "where", q->where);
            buf_json_kv(x->b, "name", q->name);
            buf_json_kv(x->b, "text", q->text);
            buf_addc(x->b, '}');
        } else {
            struct span at = span_has(q->expression) ? q->expression : span_of(q->where);
            buf_addf(x->b, "  %s %d at %.*s: %s (%s)\n", q->severity == 'W' ? "warning" : q->severity == 'I' ? "note" : "error", q->code, SPAN_ARG(at), q->text, q->name);
        }
    }
    if (x->is_json)
        buf_addc(x->b, ']');
}

static const char *action_text(const struct rule_result *rr, const struct built *bu)
{
    if (rr->action == RULE_DROP)
        return "dropped";
    if (rr->action == RULE_HOLD || bu->hold)
        return "held";
    return rr->is_withdrawal ? "withdraw" : "send";
}

static int observation(struct explained *x, const struct record *r, const struct rec_observation *o, struct err *e)
{
    struct rule_result rr;
    struct built bu = {.hold = NULL};
    struct rule_trace t = {.a = x->a};
    if (o->role != OBS_RESULT) {
        if (x->is_json) {
            buf_json_sep(x->b);
            buf_addc(x->b, '{');
            buf_json_opt(x->b, "path", o->path);
            buf_json_kv(x->b, "role", obs_role_name(o->role));
            buf_json_kint(x->b, "parts", o->parts);
            buf_addc(x->b, '}');
        } else {
            buf_addf(x->b, "%.*s: not a result: %s\n", SPAN_ARG(o->path), obs_role_name(o->role));
        }
        return 0;
    }
    if (rule_run(x->conf->rules, r, o, x->a, &rr, &t, e))
        return -1;
    const struct writer_conf *wc = rr.writer ? config_writer_find(x->conf, rr.writer) : NULL;
    if (wc && rr.action != RULE_DROP && wc->ops->build(wc->options, r, o, &rr.lab, x->a, &bu, e))
        return -1;
    const struct delivery_remark *m;
    const char *reason = rr.action != RULE_SEND_LAB ? rr.reason : bu.hold;
    struct span detail = rr.action == RULE_SEND_LAB ? bu.hold_detail : span_has(rr.table_key) ? rr.table_key : rr.detail;
    if (x->is_json) {
        buf_json_sep(x->b);
        buf_addc(x->b, '{');
        buf_json_opt(x->b, "path", o->path);
        buf_json_kv(x->b, "role", "result");
        buf_json_kint(x->b, "parts", o->parts);
        buf_json_kv(x->b, "action", action_text(&rr, &bu));
        buf_json_kv(x->b, "route", rr.route ? rr.route : "");
        buf_json_kv(x->b, "writer", rr.writer ? rr.writer : "");
        buf_json_kv(x->b, "reason", reason ? reason : "");
        buf_json_opt(x->b, "detail", detail);
        buf_json_key(x->b, "remarks");
        buf_addc(x->b, '[');
        for (size_t i = 0; (m = delivery_remark(rr.flags, i)) != NULL; i++) {
            buf_json_sep(x->b);
            buf_json_str(x->b, m->name);
        }
        buf_addc(x->b, ']');
        buf_json_kv(x->b, "outcome", outcome_name(rr.outcome.kind));
        buf_json_opt(x->b, "rule", rr.outcome.rule);
        buf_json_opt(x->b, "crosscheck", rr.outcome.crosscheck);
        buf_json_key(x->b, "steps");
        buf_addc(x->b, '[');
        for (size_t i = 0; i < t.n; i++) {
            buf_json_sep(x->b);
            buf_addc(x->b, '{');
            buf_json_kv(x->b, "file", t.v[i].file ? t.v[i].file : "");
            buf_json_kint(x->b, "line", t.v[i].line);
            buf_json_opt(x->b, "text", t.v[i].text);
            buf_addc(x->b, '}');
        }
        buf_addc(x->b, ']');
        buf_json_opt(x->b, "result_key", bu.result_key);
        if (span_has(bu.who)) {
            buf_json_key(x->b, "who");
            buf_add_span(x->b, bu.who);
        }
        if (span_has(bu.body) && rr.action == RULE_SEND_LAB) {
            buf_json_key(x->b, "body");
            buf_add_span(x->b, bu.body);
        }
        buf_addc(x->b, '}');
        return 0;
    }
    buf_addf(x->b, "%.*s %.*s\n", SPAN_ARG(o->path), SPAN_ARG(o->code.n ? o->code.v[0].code : SPAN_ABSENT));
    for (size_t i = 0; i < t.n; i++) {
        if (t.v[i].file && t.v[i].line)
            buf_addf(x->b, "  %s:%u: %.*s\n", t.v[i].file, t.v[i].line, SPAN_ARG(t.v[i].text));
        else
            buf_addf(x->b, "  %.*s\n", SPAN_ARG(t.v[i].text));
    }
    buf_addf(x->b, "  => %s%s%s", action_text(&rr, &bu),
             rr.writer && rr.action == RULE_SEND_LAB && !bu.hold ? " to " : "", rr.writer && rr.action == RULE_SEND_LAB && !bu.hold ? rr.writer : "");
    if (reason)
        buf_addf(x->b, ": %s (%s)", reason, reason_text(reason));
    buf_addc(x->b, '\n');
    for (size_t i = 0; (m = delivery_remark(rr.flags, i)) != NULL; i++)
        buf_addf(x->b, "     remark %s: %s\n", m->name, m->text);
    if (span_has(detail))
        buf_addf(x->b, "     %.*s\n", SPAN_ARG(detail));
    if (rr.action == RULE_SEND_LAB && !bu.hold) {
        buf_addf(x->b, "  looks for %.*s\n  sends     %.*s\n", SPAN_ARG(bu.who), SPAN_ARG(bu.body));
    }
    return 0;
}

static void explain_steps(struct explained *x, const struct rule_trace *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (x->is_json) {
            buf_json_sep(x->b);
            buf_addc(x->b, '{');
            buf_json_kv(x->b, "file", t->v[i].file ? t->v[i].file : "");
            buf_json_kint(x->b, "line", t->v[i].line);
            buf_json_opt(x->b, "text", t->v[i].text);
            buf_addc(x->b, '}');
        } else if (t->v[i].file && t->v[i].line) {
            buf_addf(x->b, "  %s:%u: %.*s\n", t->v[i].file, t->v[i].line, SPAN_ARG(t->v[i].text));
        } else {
            buf_addf(x->b, "  %.*s\n", SPAN_ARG(t->v[i].text));
        }
    }
}

/* What becomes of the person of a record, where a route sends persons. */
static int explain_person(struct explained *x, const struct record *r, struct err *e)
{
    struct rule_trace t = {.a = x->a};
    struct decision d;
    if (!rule_takes_persons(x->conf->rules, span_of(x->lc->name)))
        return 0;
    if (decide_person(x->conf, r, x->a, &d, &t, e))
        return -1;
    const char *action = d.rule.action == RULE_DROP ? "nothing" : d.reason ? "held" : "send";
    if (x->is_json) {
        buf_json_key(x->b, "person");
        buf_addc(x->b, '{');
        buf_json_kv(x->b, "action", action);
        buf_json_kv(x->b, "route", d.rule.route ? d.rule.route : "");
        buf_json_kv(x->b, "writer", d.writer ? d.writer->name : "");
        buf_json_kv(x->b, "reason", d.reason ? d.reason : "");
        buf_json_opt(x->b, "detail", d.detail);
        buf_json_key(x->b, "steps");
        buf_addc(x->b, '[');
        explain_steps(x, &t);
        buf_addc(x->b, ']');
        buf_json_opt(x->b, "result_key", d.built.result_key);
        if (span_has(d.built.who)) {
            buf_json_key(x->b, "who");
            buf_add_span(x->b, d.built.who);
        }
        if (span_has(d.body)) {
            buf_json_key(x->b, "body");
            buf_add_span(x->b, d.body);
        }
        buf_addc(x->b, '}');
        return 0;
    }
    buf_addf(x->b, "%.*s (the person)\n", SPAN_ARG(r->patient.path));
    explain_steps(x, &t);
    buf_addf(x->b, "  => %s%s%s", action, d.reason && d.rule.action != RULE_DROP ? ": " : "", d.reason && d.rule.action != RULE_DROP ? d.reason : "");
    buf_addf(x->b, "%s%s%s\n", d.reason && d.rule.action != RULE_DROP ? " (" : "", d.reason && d.rule.action != RULE_DROP ? reason_text(d.reason) : "",
             d.reason && d.rule.action != RULE_DROP ? ")" : "");
    if (d.rule.action != RULE_DROP && !d.reason)
        buf_addf(x->b, "  looks for %.*s\n  sends     %.*s\n", SPAN_ARG(d.built.who), SPAN_ARG(d.body));
    return 0;
}

static int message(struct explained *x, struct parsed *p, struct err *e)
{
    p->message.channel = span_of(x->lc->name);
    if (x->is_json) {
        buf_json_sep(x->b);
        buf_addc(x->b, '{');
        buf_json_opt(x->b, "control_id", p->message.control_id);
        buf_json_opt(x->b, "kind", p->message.kind);
        buf_json_kv(x->b, "fate", fate_text(p->fate));
        buf_json_kint(x->b, "observations", p->observations);
    } else {
        buf_addf(x->b, "message %.*s %.*s: %s; %u observations in %zu record%s\n", SPAN_ARG(p->message.kind), SPAN_ARG(p->message.control_id), fate_text(p->fate),
                 p->observations, p->n_records, p->n_records == 1 ? "" : "s");
    }
    problems(x, p);
    if (x->is_json) {
        buf_json_key(x->b, "records");
        buf_addc(x->b, '[');
    }
    for (size_t i = 0; i < p->n_records && p->fate == PARSE_ACCEPT; i++) {
        struct record *r = &p->records[i];
        if (x->is_json) {
            buf_json_sep(x->b);
            buf_adds(x->b, "{\"record\":");
            record_format(r, x->b);
            buf_json_key(x->b, "results");
            buf_addc(x->b, '[');
        } else {
            buf_addf(x->b, "record %zu:\n", i + 1);
            record_format(r, x->b);
            buf_addc(x->b, '\n');
        }
        for (size_t k = 0; k < r->n; k++)
            if (observation(x, r, &r->observations[k], e))
                return -1;
        if (x->is_json)
            buf_addc(x->b, ']');
        if (explain_person(x, r, e))
            return -1;
        if (x->is_json)
            buf_addc(x->b, '}');
    }
    if (x->is_json)
        buf_adds(x->b, "]}");
    return 0;
}

/* The bytes of message m<id>, and the channel it came in by. */
static int load_stored(const struct config *conf, int64_t id, struct buf *raw, char **channel)
{
    struct store_message_row m = {0};
    struct err e = ERR_INIT;
    struct store_reader *r = cli_reader(conf);
    if (!r)
        return EXIT_WRONG;
    int got = store_load_message(r, id, &m, &e), rc = EXIT_FINE;
    if (got == 0) {
        *channel = xstrdup(m.channel);
        store_message_row_clear(&m);
        got = store_load_raw(r, id, raw, &e);
        if (got > 0)
            fprintf(stderr, "labrelay: the original of m%" PRId64 " was erased (keep-raw, keep-delivered)\n", id);
    } else if (got > 0) {
        fprintf(stderr, "labrelay: there is no message m%" PRId64 "\n", id);
    }
    if (got)
        rc = got < 0 ? cli_fail(&e) : EXIT_ABSENT;
    store_reader_close(r);
    return rc;
}

/* A file of that name is said as ./m12. */
static bool is_stored(const char *what, int64_t *id)
{
    return what[0] == 'm' && cli_id(what, 'm', id);
}

static int explain(const struct cli *c)
{
    const char *channel = cli_get(c, "channel");
    char *came_by = NULL;
    int64_t id = 0;
    struct explained x = {.is_json = cli_has(c, "json")};
    struct parse_result pr = {.n = 0};
    struct err e = ERR_INIT;
    struct buf file, out;
    int rc = EXIT_WRONG;
    buf_init(&file, FILE_MAX_BYTES);
    buf_init(&out, ARENA_BYTES);
    x.b = &out;
    struct config *conf = cli_config(c);
    if (!conf)
        goto out;
    x.conf = conf;
    if (is_stored(c->args[0], &id)) {
        rc = load_stored(conf, id, &file, &came_by);
        if (rc != EXIT_FINE)
            goto out;
        rc = EXIT_WRONG;
        channel = channel ? channel : came_by;
    } else if (fs_load(c->args[0], &file, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    x.lc = channel ? config_listener_find(conf, channel) : conf->n_listeners ? &conf->listeners[0] : NULL;
    if (!x.lc && came_by && channel == came_by) {
        fprintf(stderr, "labrelay: m%" PRId64 " came in by \"%s\", which is not in the configuration any more; say --channel NAME\n", id, came_by);
        rc = EXIT_ABSENT;
        goto out;
    }
    if (!x.lc) {
        rc = cli_usage(c, channel ? "no listener of this name" : "the configuration has no listener");
        goto out;
    }
    x.a = arena_new(ARENA_BYTES);
    const struct parser_conf *pc = config_parser_find(x.lc, NULL, buf_span(&file));
    if (pc->ops->parse(pc->options, buf_span(&file), x.a, &pr, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    if (x.is_json)
        buf_adds(&out, "[");
    bool is_fine = true;
    for (size_t i = 0; i < pr.n; i++) {
        decide_admit(conf, x.lc->name, &pr.v[i]);
        is_fine = is_fine && (pr.v[i].fate == PARSE_ACCEPT || pr.v[i].fate == PARSE_FILTER);
        if (message(&x, &pr.v[i], &e)) {
            rc = cli_fail(&e);
            goto out;
        }
    }
    if (x.is_json)
        buf_adds(&out, "]\n");
    cli_print(&out);
    rc = is_fine ? EXIT_FINE : EXIT_WRONG;
out:
    arena_free(x.a);
    free(came_by);
    buf_clear(&file);
    buf_clear(&out);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"channel", 0, "NAME", "as if it came in here; default: where m12 came in, else the first listener"}, CLI_JSON_FLAG};

const struct verb verb_explain = {.name = "explain", .synopsis = "[-c FILE] [--channel NAME] [--json] FILE|-|ID",
                                  .help = "what would become of a file, of standard input (-) or of a stored message (m12); stores and sends nothing",
                                  .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = explain};
