/*
 * NAME
 *     rule_eval - compiled expressions over one observation
 * DESCRIPTION
 *     Conditions have three answers: yes, no, unknown (a comparison that cannot be decided). `not` keeps unknown, `and` and `or`
 *     follow Kleene; a route's condition has to be yes. A field that is absent equals nothing: = and every order are no, != is yes.
 *     A list, codes and identifiers are tested element by element: one that fits is enough (for !=: none equal).
 *     Dates are compared as days, months … as sent, at the shorter precision; when that cannot tell an order, it is unknown.
 * DIAGNOSTICS
 *     None. New texts live in the arena; with a full arena they are absent.
 */
#include <string.h>

#include "outcome.h"
#include "rule_inner.h"
#include "text.h"

/* The i-th text to compare; false past the last. Values and codes count by code, then by display. */
static bool text_at(const struct rule_value *v, size_t i, struct span *out)
{
    switch (v->type) {
    case RULE_T_TEXT:
    case RULE_T_NUMBER:
        *out = v->text;
        return i == 0 && span_has(v->text);
    case RULE_T_LIST:
        if (i < v->list.n)
            *out = v->list.v[i];
        return i < v->list.n;
    case RULE_T_IDS:
        if (i < v->ids.n)
            *out = v->ids.v[i].value;
        return i < v->ids.n;
    case RULE_T_CODES:
        if (i < v->codes.n)
            *out = v->codes.v[i].code;
        return i < v->codes.n;
    case RULE_T_VALUE: {
        const struct rec_codes *c = &v->value->codings;
        if (i == 0)
            *out = v->value->text;
        else if (i <= c->n)
            *out = c->v[i - 1].code;
        else if (i <= 2 * c->n)
            *out = c->v[i - 1 - c->n].display;
        return i == 0 || i <= 2 * c->n;
    }
    case RULE_T_BOOL:
    case RULE_T_DATE:
    case RULE_T_DURATION:
        return false;
    }
    return false;
}

bool rule_is_present(const struct rule_value *v)
{
    switch (v->type) {
    case RULE_T_TEXT:
    case RULE_T_NUMBER: return span_has(v->text);
    case RULE_T_DATE: return span_has(v->text) || (v->ts && span_has(v->ts->v));
    case RULE_T_LIST: return v->list.n > 0;
    case RULE_T_IDS: return v->ids.n > 0 && span_has(v->ids.v[0].value);
    case RULE_T_CODES: return span_has(v->codes.text) || (v->codes.n > 0 && (span_has(v->codes.v[0].code) || span_has(v->codes.v[0].display)));
    case RULE_T_VALUE: return !outcome_value_is_absent(v->value);
    case RULE_T_BOOL: return v->is_true;
    case RULE_T_DURATION: return false;
    }
    return false;
}

struct span rule_display(const struct rec_codes *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (span_has(c->v[i].display))
            return c->v[i].display;
    if (span_has(c->text))
        return c->text;
    return c->n ? c->v[0].code : SPAN_ABSENT;
}

struct span rule_first(const struct rule_value *v)
{
    struct span s = SPAN_ABSENT;
    return text_at(v, 0, &s) ? s : SPAN_ABSENT;
}

struct span rule_text(const struct rule_value *v)
{
    struct span s = SPAN_ABSENT;
    switch (v->type) {
    case RULE_T_DATE: return v->ts ? v->ts->v : v->text;
    case RULE_T_CODES: return rule_display(&v->codes);
    case RULE_T_VALUE: return span_has(v->value->text) ? v->value->text : rule_display(&v->value->codings);
    case RULE_T_BOOL: return v->is_true ? SPAN_LIT("yes") : SPAN_LIT("no");
    case RULE_T_DURATION: return SPAN_ABSENT;
    case RULE_T_TEXT:
    case RULE_T_NUMBER:
    case RULE_T_LIST:
    case RULE_T_IDS: return text_at(v, 0, &s) ? s : SPAN_ABSENT;
    }
    return s;
}

/* ---- fields ---- */
static void get_field(const struct rule_scope *x, const struct rule_node *n, struct rule_value *out)
{
    const struct rec_field *f = n->field;
    const void *p = record_field_get(x->r, n->is_own && x->own ? x->own : x->obs, f);
    if (!p)
        return;
    switch (f->type) {
    case REC_SPAN: out->text = *(const struct span *)p; return;
    case REC_TS: out->ts = p; return;
    case REC_CODES: out->codes = *(const struct rec_codes *)p; return;
    case REC_CODING:
        if (span_has(((const struct rec_coding *)p)->code) || span_has(((const struct rec_coding *)p)->display))
            out->codes = (struct rec_codes){.v = p, .n = 1};
        return;
    case REC_IDS: out->ids = *(const struct rec_ids *)p; return;
    case REC_ID:
        if (span_has(((const struct rec_id *)p)->value))
            out->ids = (struct rec_ids){.v = p, .n = 1};
        return;
    case REC_LIST: out->list = *(const struct rec_list *)p; return;
    case REC_BOOL: out->is_true = *(const bool *)p; return;
    case REC_STATUS: out->text = span_of(obs_status_name(*(const enum obs_status *)p)); return;
    case REC_ROLE: out->text = span_of(obs_role_name(*(const enum obs_role *)p)); return;
    case REC_FORMAT: out->text = span_of(rec_format_name(*(const enum rec_format *)p)); return;
    case REC_VALUE: out->value = p; return;
    }
}

/* "text with {field}" */
static struct span template(struct rule_scope *x, const struct rule_node *n)
{
    struct buf b;
    buf_init(&b, RULE_TEXT_MAX);
    for (size_t i = 0; i < n->n; i++) {
        struct rule_value v;
        rule_get(x, n->args[i], &v);
        buf_add_span(&b, rule_text(&v));
    }
    struct span s = b.is_full ? SPAN_ABSENT : arena_dup(x->a, buf_span(&b));
    x->is_over = x->is_over || b.is_full;
    buf_clear(&b);
    return rule_made(x, s);
}

struct span rule_made(struct rule_scope *x, struct span s)
{
    x->text_bytes += s.n;
    x->is_over = x->is_over || x->text_bytes > RULE_TEXT_MAX;
    return x->is_over ? SPAN_ABSENT : s;
}

bool rule_step(struct rule_scope *x, unsigned n)
{
    x->steps += n;
    x->is_over = x->is_over || x->steps > RULE_STEPS_MAX;
    return !x->is_over;
}

static const struct rec_value no_value;

static void add(struct rule_scope *x, const struct rule_node *n, struct rule_value *out)
{
    struct rule_value v;
    rule_get(x, n->args[0], &v);
    struct rec_ts plain = {.v = v.text, .prec = 'D'};
    if (!rule_is_present(&v))
        return;
    out->ts = rule_date_add(x, v.ts ? v.ts : &plain, &n->duration, n->kind == NODE_SUBTRACT);
    out->is_unsure = !out->ts;          /* hours behind a day */
}

void rule_get(struct rule_scope *x, const struct rule_node *n, struct rule_value *out)
{
    *out = (struct rule_value){.type = n->type};
    if (n->type == RULE_T_VALUE)
        out->value = &no_value;
    if (!rule_step(x, 1))
        return;
    if (n->kind == NODE_FIELD)
        get_field(x, n, out);
    else if (n->kind == NODE_HL7)
        out->text = x->r->raw_field ? x->r->raw_field(x->r->source, &n->path) : SPAN_ABSENT;
    else if (n->kind == NODE_FHIR)
        out->text = rule_get_fhir(x, n);
    else if (n->kind == NODE_CALL)
        rule_call(x, n, out);
    else if (n->kind == NODE_CHOICE)
        rule_get(x, rule_test(x, n->args[0]) == TRUTH_YES ? n->args[1] : n->args[2], out);
    else if (n->kind == NODE_ADD || n->kind == NODE_SUBTRACT)
        add(x, n, out);
    else if (n->kind == NODE_COUNT)
        out->text = rule_count_others(x, n);
    else if (n->kind == NODE_ANY || n->kind == NODE_EVERY || n->kind == NODE_COMPARE)
        out->is_true = rule_test(x, n) == TRUTH_YES;
    else if (n->kind == NODE_TEMPLATE)
        out->text = template(x, n);
    else if (n->type == RULE_T_BOOL)
        out->is_true = span_is(n->literal, "yes");
    else
        out->text = n->literal;
}

/* ---- comparisons ---- */
static enum rule_truth truth(bool b)
{
    return b ? TRUTH_YES : TRUTH_NO;
}

static enum rule_truth not_of(enum rule_truth t)
{
    return t == TRUTH_YES ? TRUTH_NO : t == TRUTH_NO ? TRUTH_YES : TRUTH_UNKNOWN;
}

static bool coding_is(const struct rec_coding *c, struct span text)
{
    if (span_eq(c->code, text))
        return true;
    return text.n == c->system.n + 1 + c->code.n && c->code.n && text.p[c->system.n] == '|' && span_eq(span_cut(text, 0, c->system.n), c->system) &&
           span_eq(span_from(text, c->system.n + 1), c->code);
}

static bool any_is(const struct rule_value *v, struct span text)
{
    struct span s;
    const struct rec_codes *c = v->type == RULE_T_CODES ? &v->codes : v->type == RULE_T_VALUE ? &v->value->codings : NULL;
    for (size_t i = 0; c && i < c->n; i++)
        if (coding_is(&c->v[i], text))
            return true;
    for (size_t i = 0; text_at(v, i, &s); i++)
        if (span_eq(s, text) && (span_has(s) || !span_has(text)))
            return true;
    return false;
}

static enum rule_truth by_order(int c, enum rule_op op)
{
    switch (op) {
    case OP_EQ: return truth(c == 0);
    case OP_NE: return truth(c != 0);
    case OP_LT: return truth(c < 0);
    case OP_GT: return truth(c > 0);
    case OP_LE: return truth(c <= 0);
    case OP_GE: return truth(c >= 0);
    }
    return TRUTH_UNKNOWN;
}

static enum rule_truth compare_dates(struct rule_scope *x, const struct rule_value *a, const struct rule_value *b, enum rule_op op)
{
    struct rec_ts pa = {.v = a->text, .prec = 'D'}, pb = {.v = b->text, .prec = 'D'};
    bool is_sure;
    int c = rule_date_compare(x, a->ts ? a->ts : &pa, b->ts ? b->ts : &pb, &is_sure);
    return is_sure ? by_order(c, op) : TRUTH_UNKNOWN;
}

static enum rule_truth compare_age(struct rule_scope *x, const struct rule_node *n)
{
    struct rule_value v[2];
    struct rec_ts plain[2];
    for (size_t i = 0; i < 2; i++) {
        rule_get(x, n->args[0]->args[i], &v[i]);
        plain[i] = (struct rec_ts){.v = v[i].text, .prec = 'D'};
        if (v[i].is_unsure)
            return TRUTH_UNKNOWN;
        if (!rule_is_present(&v[i]))
            return TRUTH_NO;
    }
    return rule_date_age(x, v[0].ts ? v[0].ts : &plain[0], v[1].ts ? v[1].ts : &plain[1], n->op, &n->args[1]->duration);
}

/* Also shifts the threshold when the units differ by a power of ten only, and that is allowed. */
static bool unit_fits(struct rule_scope *x, const struct rule_node *n, struct span *threshold)
{
    const struct rec_coding *have = &x->obs->unit;
    struct span unit = n->unit;
    if (span_is_absent(unit))
        return true;
    if (!unit.n)
        return !span_has(have->code) && !span_has(have->display);
    if (span_eq(have->code, unit) || span_eq(have->display, unit))
        return true;
    return !n->is_same_unit && (rule_unit_shift(x, have->code, unit, threshold) || rule_unit_shift(x, have->display, unit, threshold));
}

static enum rule_truth compare(struct rule_scope *x, const struct rule_node *n)
{
    struct rule_value a, b;
    if (n->args[0]->type == RULE_T_DURATION)
        return compare_age(x, n);
    rule_get(x, n->args[0], &a);
    rule_get(x, n->args[1], &b);
    if (a.is_unsure || b.is_unsure)
        return TRUTH_UNKNOWN;
    if (a.type == RULE_T_BOOL)
        return truth((a.is_true == b.is_true) == (n->op == OP_EQ));
    if (!rule_is_present(&a) || !rule_is_present(&b))
        return truth(n->op == OP_NE && rule_is_present(&a) != rule_is_present(&b));
    if (a.type == RULE_T_VALUE && b.type == RULE_T_NUMBER)
        return unit_fits(x, n, &b.text) ? rule_number_test(a.value, n->op, b.text) : TRUTH_UNKNOWN;
    if (a.type == RULE_T_NUMBER)
        return by_order(rule_number_cmp(a.text, b.text), n->op);
    if (a.type == RULE_T_DATE)
        return compare_dates(x, &a, &b, n->op);
    return truth(any_is(&a, b.text) == (n->op == OP_EQ));
}

static bool any_in_list(struct rule_scope *x, const struct rule_node *n)
{
    struct rule_value a;
    rule_get(x, n->args[0], &a);
    for (size_t i = 1; i < n->n; i++)
        if (any_is(&a, n->args[i]->literal))
            return true;
    return false;
}

static bool in_table(struct rule_scope *x, const struct rule_node *n)
{
    struct rule_value a;
    struct span s;
    rule_get(x, n->args[0], &a);
    x->hit_table = n->table;
    x->hit_row = TABLE_NONE;
    if (a.type == RULE_T_CODES || a.type == RULE_T_VALUE) {
        const struct rec_codes *c = a.type == RULE_T_CODES ? &a.codes : &a.value->codings;
        size_t which;
        x->hit_row = rule_find_codes(x->r, n->table, c, &which);
        if (x->hit_row == TABLE_NONE && c->n && !x->miss.table && n->args[0]->field && strcmp(n->args[0]->field->name, "observation.code") == 0)
            x->miss = (struct rule_miss){n->table, c->v[0].system, c->v[0].code};
        return x->hit_row != TABLE_NONE;
    }
    for (size_t i = 0; x->hit_row == TABLE_NONE && text_at(&a, i, &s); i++)
        x->hit_row = table_find(n->table, &s);
    return x->hit_row != TABLE_NONE;
}

static enum rule_truth any_match(struct rule_scope *x, const struct rule_node *n)
{
    struct rule_value a;
    struct span s;
    rule_get(x, n->args[0], &a);
    for (size_t i = 0; text_at(&a, i, &s); i++)
        if (rule_matches(x, n->regex, s))
            return TRUTH_YES;
    return TRUTH_NO;
}

enum rule_truth rule_test(struct rule_scope *x, const struct rule_node *n)
{
    enum rule_truth a, b;
    struct rule_value v;
    if (!rule_step(x, 1))
        return TRUTH_UNKNOWN;
    switch (n->kind) {
    case NODE_AND:
        a = rule_test(x, n->args[0]);
        b = a == TRUTH_NO ? a : rule_test(x, n->args[1]);
        return b == TRUTH_NO ? TRUTH_NO : a == TRUTH_YES ? b : TRUTH_UNKNOWN;
    case NODE_OR:
        a = rule_test(x, n->args[0]);
        b = a == TRUTH_YES ? a : rule_test(x, n->args[1]);
        return b == TRUTH_YES ? TRUTH_YES : a == TRUTH_NO ? b : TRUTH_UNKNOWN;
    case NODE_NOT: return not_of(rule_test(x, n->args[0]));
    case NODE_COMPARE: return compare(x, n);
    case NODE_IN_TABLE: return truth(in_table(x, n));
    case NODE_IN_LIST: return truth(any_in_list(x, n));
    case NODE_MATCH: return any_match(x, n);
    case NODE_ANY:
    case NODE_EVERY: return rule_test_quantifier(x, n);
    case NODE_EXISTS:
    case NODE_FIELD:
    case NODE_HL7:
    case NODE_FHIR:
    case NODE_CHOICE:
    case NODE_ADD:
    case NODE_SUBTRACT:
    case NODE_COUNT:
    case NODE_LITERAL:
    case NODE_CALL:
    case NODE_TEMPLATE:
        rule_get(x, n->kind == NODE_EXISTS ? n->args[0] : n, &v);
        return truth(rule_is_present(&v));
    }
    return TRUTH_UNKNOWN;
}
