/*
 * NAME
 *     rule - what happens to one observation
 * DESCRIPTION
 *     1. Gates that drop (not a result by its place, status O and N, quality control, history).
 *     2. The first route whose from and when fit. A route that drops is done.
 *     3. Gates that hold (pooled, ambiguous specimen, status conflict, status unknown): no rule can switch them off.
 *     4. hold: the reason is UNMAPPED_TEST when a route before asked for the code in a table in vain, so that a new row finds it
 *        again; NO_ROUTE for the last route, RULE for others.
 *     5. send: the tests row, the outcome, targets and cautions, the lab result, then require, lookup and set in their order.
 * DIAGNOSTICS
 *     -1 with ERR_LIMIT when the arena is full: nothing in *out may be used then.
 */
#include "rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rule_inner.h"

void rule_trace_add(struct rule_scope *x, const char *file, unsigned line, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    if (!x->trace)
        return;
    struct rule_trace *t = x->trace;
    if (!arena_grow(t->a, &t->v, t->n, &t->cap, sizeof *t->v))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    t->v[t->n++] = (struct rule_step){file, line, arena_dup(t->a, (struct span){text, len})};
}

static void decide(struct rule_result *out, enum rule_action action, const char *reason)
{
    out->action = action;
    out->reason = reason;
}

/* ---- gates ---- */
static bool drop_gate(struct rule_scope *x, struct rule_result *out)
{
    const char *reason = NULL;
    if (x->obs->role != OBS_RESULT)
        reason = "NOT_A_RESULT";
    else if (x->obs->status == OBS_ST_ORDER_ONLY)
        reason = "STATUS_O";
    else if (x->obs->status == OBS_ST_NOT_ASKED)
        reason = "STATUS_N";
    else if (outcome_is_control(&x->r->specimen))
        reason = "QC";
    else if (span_is(x->r->report.control, "PR"))
        reason = "HISTORY";
    if (!reason)
        return false;
    decide(out, RULE_DROP, reason);
    rule_trace_add(x, NULL, 0, "gate: drop %s", reason);
    return true;
}

/* What the parser saw on the whole message and that must never be sent unseen: the reason, or NULL. Warnings read "W_NAME place". */
const char *rule_warned_of(const struct rec_list *warnings)
{
    static const char *const reasons_of[] = {"NONPRODUCTION", "REPLAY", "INCOMPLETE_CONTINUATION"};
    for (size_t i = 0; i < sizeof reasons_of / sizeof reasons_of[0]; i++)
        for (size_t k = 0; k < warnings->n; k++) {
            struct span w = warnings->v[k], name = span_cut(w, 0, span_find(w, ' '));
            if (span_starts(name, "W_") && span_is(span_from(name, 2), reasons_of[i]))
                return reasons_of[i];
        }
    return NULL;
}

static bool hold_gate(struct rule_scope *x, struct rule_result *out)
{
    const char *reason = rule_warned_of(&x->r->warnings);
    bool is_cancelled = span_is(x->r->report.status, "cancelled");
    if (reason) {
        decide(out, RULE_HOLD, reason);
        rule_trace_add(x, NULL, 0, "gate: hold %s", reason);
        return true;
    }
    if (outcome_is_pooled(&x->r->specimen))
        reason = "POOLED";
    else if (x->r->specimen.is_ambiguous)
        reason = "AMBIGUOUS_SPECIMEN";
    else if (is_cancelled && rule_is_completed(x->obs->status) && !outcome_value_is_absent(&x->obs->value))
        reason = "STATUS_CONFLICT";
    else if (x->obs->status == OBS_ST_UNKNOWN)
        reason = "STATUS_UNKNOWN";
    if (!reason)
        return false;
    decide(out, RULE_HOLD, reason);
    rule_trace_add(x, NULL, 0, "gate: hold %s", reason);
    return true;
}

/* ---- which route ---- */
const char *rule_answer(enum rule_truth t)
{
    return t == TRUTH_YES ? "yes" : t == TRUTH_NO ? "no" : "cannot be decided";
}

static bool comes_from(const struct rule_scope *x, const struct rule_route *r)
{
    struct span channel = x->r->message ? x->r->message->channel : SPAN_ABSENT;
    for (size_t i = 0; i < r->n_from; i++)
        if (span_eq(r->from[i], channel))
            return true;
    return r->n_from == 0;
}

bool rule_takes(struct rule_scope *x, const struct rule_route *r)
{
    if (!comes_from(x, r)) {
        rule_trace_add(x, r->file, r->line, "route \"%s\": not from this listener", r->name);
        return false;
    }
    for (size_t i = 0; i < r->n_when; i++) {
        const struct rule_when *w = &r->when[i];
        x->hit_table = NULL;
        enum rule_truth t = rule_test(x, w->expr);
        if (x->trace && t == TRUTH_YES && x->hit_table && x->hit_row != TABLE_NONE)
            rule_trace_add(x, w->file, w->line, "%.*s: yes (%s:%u)", SPAN_ARG(w->text), table_file(x->hit_table), table_line(x->hit_table, x->hit_row));
        else if (x->trace)
            rule_trace_add(x, w->file, w->line, "%.*s: %s", SPAN_ARG(w->text), rule_answer(t));
        if (t != TRUTH_YES)
            return false;
    }
    rule_trace_add(x, r->file, r->line, "route \"%s\" takes it", r->name);
    return true;
}

static struct span miss_key(struct rule_scope *x, const char *table, struct span system, struct span code)
{
    return arena_printf(x->a, "%s|%.*s|%.*s", table, SPAN_ARG(system), SPAN_ARG(code));
}

static void run_hold(struct rule_scope *x, const struct rule_route *r, struct rule_result *out)
{
    bool is_last = r->n_from == 0 && r->n_when == 0;
    decide(out, RULE_HOLD, is_last ? "NO_ROUTE" : "RULE");
    out->detail = r->text;
    if (is_last && x->miss.table) {
        out->reason = "UNMAPPED_TEST";
        out->table_key = miss_key(x, table_name(x->miss.table), x->miss.system, x->miss.code);
    }
    rule_trace_add(x, r->file, r->action_line, "hold \"%.*s\" (%s)", SPAN_ARG(r->text), out->reason);
}

/* ---- require, lookup, set ---- */
static bool do_require(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    struct rule_node field = {.kind = NODE_FIELD, .type = rule_type_of(d->field), .field = d->field};
    struct rule_value v;
    rule_get(x, &field, &v);
    bool is_there = rule_is_present(&v);
    rule_trace_add(x, d->file, d->line, "require %s: %s", d->field->name, is_there ? "present" : "missing");
    if (!is_there) {
        decide(out, RULE_HOLD, "REQUIRED_FIELD");
        out->detail = span_of(d->field->name);
    }
    return is_there;
}

static void do_set(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    struct rule_value v;
    rule_get(x, d->expr, &v);
    bool is_set = rule_put(x, d, &v, out);
    rule_trace_add(x, d->file, d->line, "%.*s: %s", SPAN_ARG(d->text), is_set ? "set" : "nothing to set");
}

static void put_text(struct rule_scope *x, const struct rule_todo *d, struct span text, struct rule_result *out)
{
    struct rule_value v = {.type = RULE_T_TEXT, .text = text};
    (void)rule_put(x, d, &v, out);
}

static bool do_lookup(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    struct rule_value v;
    size_t which;
    struct span system = SPAN_ABSENT, code = SPAN_ABSENT;
    int64_t row = TABLE_NONE;
    rule_get(x, d->expr, &v);
    if (v.type == RULE_T_CODES || v.type == RULE_T_VALUE) {
        const struct rec_codes *c = v.type == RULE_T_CODES ? &v.codes : &v.value->codings;
        row = rule_find_codes(x->r, d->table, c, &which);
        if (c->n) {
            system = c->v[0].system;
            code = c->v[0].code;
        }
    } else if (rule_is_present(&v)) {
        code = rule_text(&v);
        row = table_find(d->table, &code);
    }
    struct span cell = table_cell(d->table, row, d->column);
    if (span_has(cell)) {
        put_text(x, d, cell, out);
        rule_trace_add(x, d->file, d->line, "%.*s: %s:%u", SPAN_ARG(d->text), table_file(d->table), table_line(d->table, row));
        return true;
    }
    rule_trace_add(x, d->file, d->line, "%.*s: no row%s", SPAN_ARG(d->text), span_is_absent(d->def) ? "" : ", default");
    if (!span_is_absent(d->def)) {
        put_text(x, d, d->def, out);
        return true;
    }
    decide(out, RULE_HOLD, "UNMAPPED_CODE");
    out->table_key = miss_key(x, table_name(d->table), system, code);
    out->detail = out->table_key;
    return false;
}

bool rule_do_steps(struct rule_scope *x, const struct rule_block *b, struct rule_result *out)
{
    for (size_t i = 0; i < b->n && rule_step(x, 1); i++) {
        const struct rule_todo *d = b->v[i];
        bool goes_on = true;
        if (x->is_person && !rule_is_for_person(x, d))
            continue;
        switch (d->kind) {
        case STEP_REQUIRE_FIELD: goes_on = do_require(x, d, out); break;
        case STEP_SET: do_set(x, d, out); break;
        case STEP_LOOKUP: goes_on = do_lookup(x, d, out); break;
        case STEP_IF: goes_on = rule_do_if(x, d, out); break;
        case STEP_FOR_EACH: goes_on = rule_do_for(x, d, out); break;
        case STEP_NOTE: rule_do_note(x, d); break;
        case STEP_FLAG: rule_do_flag(x, d); break;
        case STEP_ALLOW: x->allowed |= d->bits; break;
        case STEP_HOLD:
        case STEP_DROP: goes_on = rule_do_end(x, d, out); break;
        }
        if (!goes_on)
            return false;
    }
    return true;
}

/* Who it is about, in case that somebody has to be created. */
static void fill_person(struct rule_scope *x, const struct rule_route *r, struct rule_result *out)
{
    struct person_data *p = x->r->patient.is_present ? arena_zalloc(x->a, sizeof *p) : NULL;
    if (!p)
        return;
    rule_fill_person(x, p);
    p->no_match = r->no_match;
    p->kind = r->no_match == NO_MATCH_CREATE_CONTACT ? PERSON_CONTACT : PERSON_CASE;
    out->person = out->lab.person = p;
}


/* The steps of a route run before it is known what the result is; what they set is laid over it later, what they say is told later. */
struct steps {
    struct rule_result out;
    struct rule_trace told;
    bool goes_on;
};

static void run_steps(struct rule_scope *x, const struct rule_route *r, struct steps *s)
{
    struct rule_trace *trace = x->trace;
    *s = (struct steps){.out = {.route = r->name, .writer = r->writer}};
    s->told.a = trace ? trace->a : NULL;
    x->trace = trace ? &s->told : NULL;
    x->allowed = r->allowed;
    if (r->action == RULE_SEND_LAB)
        fill_person(x, r, &s->out);
    s->goes_on = rule_do_steps(x, &r->todo, &s->out);
    x->trace = trace;
}

static void tell_steps(struct rule_scope *x, struct steps *s)
{
    for (size_t i = 0; x->trace && i < s->told.n; i++)
        if (arena_grow(x->trace->a, &x->trace->v, x->trace->n, &x->trace->cap, sizeof *x->trace->v))
            x->trace->v[x->trace->n++] = s->told.v[i];
    s->told.n = 0;
}

/* The steps ended the route: as they say. */
static void end_by_steps(struct rule_scope *x, struct steps *s, struct rule_result *out)
{
    struct outcome o = out->outcome;
    tell_steps(x, s);
    *out = s->out;
    out->outcome = o;
}

/* ---- send ---- */
static void hold_outcome(struct rule_result *out)
{
    const struct outcome *o = &out->outcome;
    decide(out, RULE_HOLD, o->reason);
    out->table_key = o->table_key;
    out->detail = span_has(o->table_key) ? o->table_key : o->rule;
}

/* COMPLETED needs a result (STANDARDS 8.3): known to have none is written as in progress, not known is held. */
static bool check_result(struct rule_scope *x, struct rule_result *out)
{
    const struct outcome *o = &out->outcome;
    bool is_number = o->kind == OUTCOME_HOLD && strcmp(o->reason, "NO_RESULT") == 0;
    if (is_number && x->rs->opt.quant_without_result == 1) {
        rule_trace_add(x, NULL, 0, "quant-without-result in-progress: written without a result");
        return true;
    }
    if (o->kind == OUTCOME_HOLD) {
        hold_outcome(out);
        return false;
    }
    if (o->kind == OUTCOME_DROP) {
        decide(out, RULE_DROP, o->reason);
        return false;
    }
    bool is_empty = o->kind == OUTCOME_NO_RESULT && strcmp(o->reason, "EMPTY") == 0;
    if (is_empty && rule_is_completed(x->obs->status)) {
        decide(out, RULE_HOLD, "NO_RESULT");
        return false;
    }
    if (x->obs->status == OBS_ST_PRELIMINARY && x->rs->opt.preliminary == 1) {
        decide(out, RULE_HOLD, "PENDING");
        return false;
    }
    return true;
}

static bool check_cautions(struct rule_scope *x, const struct rule_found *f, struct rule_result *out)
{
    unsigned filtered = f->test->cautions & (CAUTION_IMMUNITY | CAUTION_AVIDITY) & ~x->allowed;
    if (filtered) {
        decide(out, RULE_DROP, "NOT_DIAGNOSTIC");
        rule_trace_add(x, table_file(x->rs->tests), table_line(x->rs->tests, f->row), "immunity or avidity test: not diagnostic");
        return false;
    }
    if (!rule_check_targets(x, f, &out->outcome, out))
        return true;
    rule_trace_add(x, table_file(x->rs->tests), table_line(x->rs->tests, f->row), "caution: %s %s", out->action == RULE_HOLD ? "hold" : "drop", out->reason);
    return false;
}

static void run_send(struct rule_scope *x, const struct rule_route *r, struct steps *s, struct rule_result *out)
{
    struct rule_found f;
    rule_find_test(x->rs, x->r, x->obs, &f);
    if (!f.test) {
        struct span system = x->obs->code.n ? x->obs->code.v[0].system : SPAN_ABSENT, code = x->obs->code.n ? x->obs->code.v[0].code : SPAN_ABSENT;
        decide(out, RULE_HOLD, "UNMAPPED_TEST");
        out->table_key = miss_key(x, "tests", system, code);
        out->detail = out->table_key;
        rule_trace_add(x, r->file, r->action_line, "the code is not in the table \"tests\"");
        return;
    }
    rule_trace_add(x, table_file(x->rs->tests), table_line(x->rs->tests, f.row), "test: %.*s, %.*s", SPAN_ARG(f.test->tested_for), SPAN_ARG(f.test->test_type));
    rule_derive(x, x->obs, &f, &out->outcome);
    rule_trace_add(x, NULL, 0, "outcome: %s%s%s%s%.*s", outcome_name(out->outcome.kind), out->outcome.reason ? " " : "",
                   out->outcome.reason ? out->outcome.reason : "", span_has(out->outcome.rule) ? " by " : "", SPAN_ARG(out->outcome.rule));
    if (!check_cautions(x, &f, out) || !check_result(x, out))
        return;
    rule_fill_lab(x, &f, &out->outcome, &out->lab);
    if (!s->goes_on) {
        end_by_steps(x, s, out);
        return;
    }
    tell_steps(x, s);
    rule_lab_merge(x, &out->lab, &s->out.lab);
    out->person = out->lab.person = s->out.person;
    if (out->outcome.kind != OUTCOME_WITHDRAW && !rule_check_days(x, out))
        return;
    out->is_withdrawal = out->outcome.kind == OUTCOME_WITHDRAW;
    decide(out, RULE_SEND_LAB, NULL);
    rule_trace_add(x, r->file, r->action_line, "send lab to \"%s\"%s", r->writer, out->is_withdrawal ? " as a withdrawal" : "");
}

static void run(struct rule_scope *x, struct rule_result *out)
{
    if (drop_gate(x, out))
        return;
    for (size_t i = 0; i < x->rs->n_routes; i++) {
        const struct rule_route *r = &x->rs->routes[i];
        if (r->is_person_only || !rule_takes(x, r))
            continue;
        struct steps s;
        out->route = r->name;
        out->writer = r->writer;                /* a hold of this route has a result key too: a newer version replaces it */
        run_steps(x, r, &s);
        if (!s.goes_on && s.out.action == RULE_DROP) {
            end_by_steps(x, &s, out);
        } else if (s.goes_on && r->action == RULE_DROP) {
            tell_steps(x, &s);
            decide(out, RULE_DROP, "RULE");
            out->detail = r->text;
            rule_trace_add(x, r->file, r->action_line, "drop \"%.*s\"", SPAN_ARG(r->text));
        } else if (hold_gate(x, out)) {
            return;
        } else if (r->action == RULE_SEND_LAB) {
            run_send(x, r, &s, out);
        } else if (!s.goes_on) {
            end_by_steps(x, &s, out);
        } else {
            tell_steps(x, &s);
            run_hold(x, r, out);
        }
        return;
    }
    decide(out, RULE_HOLD, "NO_ROUTE");     /* cannot happen: the last route takes everything */
}

int rule_run(const struct ruleset *rs, const struct record *r, const struct rec_observation *obs, struct arena *a,
             struct rule_result *out, struct rule_trace *trace, struct err *e)
{
    struct rule_scope x = {.rs = rs, .r = r, .obs = obs, .a = a, .trace = trace};
    *out = (struct rule_result){.route = ""};
    run(&x, out);
    out->flags |= x.flags;
    if (x.is_over) {
        *out = (struct rule_result){.route = out->route, .writer = out->writer};
        decide(out, RULE_HOLD, "RULE_LIMIT");
        rule_trace_add(&x, NULL, 0, "the rules took more than %u steps, %zu bytes of text or %u notes for this observation", RULE_STEPS_MAX, RULE_TEXT_MAX, RULE_NOTE_LINES_MAX);
    }
    if (arena_is_full(a))
        return err_set(e, ERR_LIMIT, NULL, "the message needs more memory than a message may have");
    return 0;
}
