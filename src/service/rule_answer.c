/*
 * NAME
 *     rule_answer - what `set` and `lookup` write: fields of the lab result, of its sequence, and answers of its questionnaire
 * DESCRIPTION
 *     lab.FIELD, lab.sequence.FIELD and lab.questionnaire.VARIABLE. What the steps of a route set is kept apart and laid over the
 *     lab result once that is filled. An absent value changes nothing: a mapping never replaces a value by nothing.
 *     Days: what Go.Data's screens ask and its API does not check (STANDARDS 8.3). The days are written as sent; a broken order and a
 *     missing sample day leave a flag, or hold when the configuration says so.
 * DIAGNOSTICS
 *     Through the diag while compiling. W_DATE_ORDER, W_NO_SAMPLE_DATE; hold NO_SAMPLE_DATE; more than ANSWERS_MAX answers: RULE_LIMIT.
 */
#include <stdio.h>
#include <string.h>

#include "delivery.h"
#include "rule_inner.h"

#define ANSWERS_MAX 64u
#define VARIABLE_MAX 100u

/* ---- compiling ---- */
static bool is_variable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= VARIABLE_MAX;
}

static void no_such_field(struct rule_draft *x, const struct token *t)
{
    const char *names[64];
    char full[64][64], hint[120];
    size_t n = 0;
    for (size_t i = 0; i < lab_fields_n + lab_sequence_fields_n && n < 64; i++, n++) {
        const struct lab_field *f = i < lab_fields_n ? &lab_fields[i] : &lab_sequence_fields[i - lab_fields_n];
        (void)snprintf(full[n], sizeof full[n], "lab.%s", f->name);
        names[n] = full[n];
    }
    const char *guess = diag_guess(t->text, names, n, hint, sizeof hint);
    rule_error(&x->c, t, guess ? guess : "lab.FIELD, lab.sequence.FIELD or lab.questionnaire.VARIABLE", "there is no field \"%.*s\" in a lab result", SPAN_ARG(t->text));
}

bool rule_lab_target(struct rule_draft *x, const struct lab_field **field, struct span *variable)
{
    static const char questionnaire[] = "lab.questionnaire.";
    const struct token *t = rule_peek(&x->c);
    *field = NULL;
    *variable = SPAN_ABSENT;
    if (!t || t->kind != TOKEN_WORD) {
        rule_error(&x->c, t, NULL, "a field of the lab result is expected here, for instance lab.lab_name");
        return false;
    }
    x->c.i++;
    if (span_starts(t->text, questionnaire)) {
        struct span name = span_from(t->text, sizeof questionnaire - 1);
        if (is_variable(name)) {
            *variable = arena_dup(x->c.rs->a, name);
            return true;
        }
        rule_error(&x->c, t, "write the question's variable: lab.questionnaire.ct_value", "a variable has letters, digits, _ and -, %u at most", VARIABLE_MAX);
        return false;
    }
    const struct lab_field *f = span_starts(t->text, "lab.") ? lab_field_find(span_from(t->text, 4)) : NULL;
    if (!f) {
        no_such_field(x, t);
        return false;
    }
    if (strcmp(f->name, "result") == 0 || strcmp(f->name, "status") == 0 || strcmp(f->name, "notes") == 0) {
        rule_error(&x->c, t, strcmp(f->name, "result") == 0 ? "state it with result-of, or with a row in the results table" :
                             strcmp(f->name, "notes") == 0 ? "write: note \"…\"" : NULL,
                   "lab.%s is made by the engine and cannot be set", f->name);
        return false;
    }
    *field = f;
    return true;
}

bool rule_lab_fits(struct rule_compiler *c, const struct lab_field *f, struct span name, const struct rule_node *e, const struct token *t)
{
    bool is_text = e->type == RULE_T_TEXT || e->type == RULE_T_NUMBER || e->type == RULE_T_VALUE;
    const char *hint = e->type == RULE_T_CODES ? "write code(…) or display(…)" : e->type == RULE_T_IDS || (f && e->type == RULE_T_LIST) ? "write first(…)" : NULL;
    if (!f) {
        if (is_text || e->type == RULE_T_DATE || e->type == RULE_T_LIST || e->type == RULE_T_BOOL)
            return true;
        rule_error(c, t, hint, "an answer is a text, a number, a date, yes or no, or a list of texts; this is %s", rule_type_name(e->type));
        return false;
    }
    if (f->is_date ? e->type == RULE_T_DATE : lab_field_is_yesno(f) ? e->type == RULE_T_BOOL : is_text)
        return true;
    rule_error(c, t, hint, "%.*s needs %s, not %s", SPAN_ARG(name), f->is_date ? "a date" : lab_field_is_yesno(f) ? "yes or no" : "a text", rule_type_name(e->type));
    return false;
}

/* ---- running ---- */
static struct span day_text(struct rule_scope *x, const struct rule_value *v)
{
    struct rec_ts literal = {.v = v->text, .prec = 'D'};
    return rule_day(v->ts ? v->ts : &literal, x->a);
}

static bool put_answer(struct rule_scope *x, struct lab_answer answer, struct lab_result *lab)
{
    size_t n = lab->answers.n, at = 0;
    while (at < n && !span_eq(lab->answers.v[at].variable, answer.variable))
        at++;
    if (at >= ANSWERS_MAX) {
        x->is_over = true;
        return false;
    }
    struct lab_answer *v = arena_array(x->a, n + 1, sizeof *v);
    if (!v)
        return false;
    if (n)
        memcpy(v, lab->answers.v, n * sizeof *v);
    v[at] = answer;
    lab->answers = (struct lab_answers){v, at < n ? n : n + 1};
    return true;
}

bool rule_put(struct rule_scope *x, const struct rule_todo *d, const struct rule_value *v, struct rule_result *out)
{
    struct span text = v->type == RULE_T_DATE ? day_text(x, v) : v->type == RULE_T_LIST ? SPAN_ABSENT : rule_text(v);
    if (d->person && out->person)
        rule_put_person((struct person_data *)(uintptr_t)out->person, d->person, text);
    if (d->person)
        return out->person && span_has(text);
    if (d->lab) {
        if (span_has(text))
            *lab_field_at(&out->lab, d->lab) = text;
        return span_has(text);
    }
    if (v->type == RULE_T_DATE && !span_has(text))
        text = rule_text(v);            /* a month or a year: an answer takes it as it is */
    struct lab_answer answer = {.variable = d->variable, .value = text};
    if (v->type == RULE_T_LIST)
        answer.values = v->list;
    return (span_has(text) || answer.values.n) && put_answer(x, answer, &out->lab);
}

void rule_lab_merge(struct rule_scope *x, struct lab_result *lab, const struct lab_result *over)
{
    struct lab_result o = *over;
    for (size_t i = 0; i < lab_fields_n + lab_sequence_fields_n; i++) {
        const struct lab_field *f = i < lab_fields_n ? &lab_fields[i] : &lab_sequence_fields[i - lab_fields_n];
        struct span *v = lab_field_at(&o, f);
        if (span_has(*v))
            *lab_field_at(lab, f) = *v;
    }
    for (size_t i = 0; i < o.answers.n; i++)
        (void)put_answer(x, o.answers.v[i], lab);
}

/* ---- the days ---- */
bool rule_check_days(struct rule_scope *x, struct rule_result *out)
{
    const struct lab_result *l = &out->lab;
    const struct { const char *name; struct span day; } days[] = {
        {"taken", l->date_sample_taken}, {"delivered", l->date_sample_delivered}, {"tested", l->date_testing}, {"result", l->date_of_result}};
    size_t before = 4;
    for (size_t i = 0; i < 4; i++) {
        if (!span_has(days[i].day))
            continue;
        if (before < 4 && span_cmp(span_cut(days[before].day, 0, 10), span_cut(days[i].day, 0, 10)) > 0) {
            out->flags |= DELIVERY_DATE_ORDER;
            rule_trace_add(x, NULL, 0, "warning W_DATE_ORDER: %s %.10s is before %s %.10s; written as sent", days[i].name, days[i].day.p, days[before].name, days[before].day.p);
        }
        before = i;
    }
    if (span_has(l->date_sample_taken))
        return true;
    if (x->rs->opt.missing_sample_date == 1) {
        out->action = RULE_HOLD;
        out->reason = "NO_SAMPLE_DATE";
        rule_trace_add(x, NULL, 0, "missing-sample-date hold: no day the sample was taken");
        return false;
    }
    out->flags |= DELIVERY_NO_SAMPLE_DATE;
    rule_trace_add(x, NULL, 0, "warning W_NO_SAMPLE_DATE: no day the sample was taken; Go.Data's screens ask for it");
    return true;
}
