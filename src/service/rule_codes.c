/*
 * NAME
 *     rule_codes - the reference codes that rules and tables can put into a lab result or a person
 * DESCRIPTION
 *     From the tables that `send lab` reads: tests.test_type, the outcomes of results and results_text, specimens.sample_type, labs.lab_name;
 *     from routes: what `set` says as a literal, and the column and default of a look-up.
 *     What is put together at run time cannot be known here; it is held at run time when Go.Data does not have it.
 * DIAGNOSTICS
 *     None.
 */
#include "rule_codes.h"

#include <string.h>

#include "rule_inner.h"

struct walk {
    const struct ruleset *rs;
    void (*visit)(void *ctx, const struct rule_code *c);
    void *ctx;
};

static void give(const struct walk *w, const char *field, const char *prefix, struct span code, struct diag_place at, const char *file, unsigned line)
{
    struct rule_code c = {.field = field, .prefix = prefix, .code = code, .at = at, .file = file, .line = line};
    if (field && prefix && span_has(code))
        w->visit(w->ctx, &c);
}

/* lab.questionnaire.VARIABLE: no code, but something that the other side has to know as well. */
static void give_question(const struct walk *w, const struct rule_todo *t)
{
    struct rule_code c = {.field = "question", .code = t->variable, .file = t->file, .line = t->line};
    if (!t->lab && !t->person && span_has(t->variable))
        w->visit(w->ctx, &c);
}

static void give_lab(const struct walk *w, const char *field, struct span code, struct diag_place at)
{
    const struct lab_field *f = lab_field_find(span_of(field));
    give(w, field, f ? f->prefix : NULL, code, at, NULL, 0);
}

static void column(const struct walk *w, const char *field, const struct table *t, int col)
{
    for (int64_t row = 0; t && col >= 0 && row < (int64_t)table_rows(t); row++)
        give_lab(w, field, table_cell(t, row, col), table_place(t, row, col));
}

static struct span code_of(enum outcome_kind k)
{
    switch (k) {
    case OUTCOME_POSITIVE: return SPAN_LIT("POSITIVE");
    case OUTCOME_NEGATIVE: return SPAN_LIT("NEGATIVE");
    case OUTCOME_INCONCLUSIVE: return SPAN_LIT("INCONCLUSIVE");
    case OUTCOME_POSITIVE_OTHER: return SPAN_LIT("POSITIVE_FOR_OTHER_PATHOGENS_SPECIFY_IN_NOTES_FIELD");
    case OUTCOME_NO_RESULT:
    case OUTCOME_PENDING:
    case OUTCOME_WITHDRAW:
    case OUTCOME_DROP:
    case OUTCOME_HOLD: return SPAN_ABSENT;
    }
    return SPAN_ABSENT;
}

static void outcomes(const struct walk *w, const struct table *t, int col)
{
    enum outcome_kind k;
    for (int64_t row = 0; t && col >= 0 && row < (int64_t)table_rows(t); row++)
        if (outcome_parse(table_cell(t, row, col).p, &k) == 0)
            give_lab(w, "result", code_of(k), table_place(t, row, col));
}

static void block(const struct walk *w, const struct rule_block *b);

static void todo(const struct walk *w, const struct rule_todo *t)
{
    const char *field = t->lab ? t->lab->name : t->person ? t->person->name : NULL;
    const char *prefix = t->lab ? t->lab->prefix : t->person ? t->person->prefix : NULL;
    switch (t->kind) {
    case STEP_REQUIRE_FIELD:
    case STEP_NOTE:
    case STEP_FLAG:
    case STEP_ALLOW:
    case STEP_HOLD:
    case STEP_DROP: return;
    case STEP_IF:
    case STEP_FOR_EACH:
        block(w, &t->body);
        block(w, &t->otherwise);
        return;
    case STEP_SET:
        give_question(w, t);
        if (field && prefix && t->expr && t->expr->kind == NODE_LITERAL)
            give(w, field, prefix, t->expr->literal, (struct diag_place){0}, t->file, t->line);
        return;
    case STEP_LOOKUP:
        give_question(w, t);
        for (int64_t row = 0; field && prefix && t->table && t->column >= 0 && row < (int64_t)table_rows(t->table); row++)
            give(w, field, prefix, table_cell(t->table, row, t->column), table_place(t->table, row, t->column), NULL, 0);
        give(w, field, prefix, t->def, (struct diag_place){0}, t->file, t->line);
        return;
    }
}

static void block(const struct walk *w, const struct rule_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        todo(w, b->v[i]);
}

static bool sends_lab(const struct rule_route *r, const char *writer)
{
    return r->action == RULE_SEND_LAB && !r->is_person_only && r->writer && strcmp(r->writer, writer) == 0;
}

static bool sends_person(const struct rule_route *r, const char *writer)
{
    return r->person_writer && strcmp(r->person_writer, writer) == 0;
}

void rule_codes(const struct ruleset *rs, const char *writer, void (*visit)(void *ctx, const struct rule_code *c), void *ctx)
{
    struct walk w = {rs, visit, ctx};
    bool is_lab = false;
    for (size_t i = 0; i < rs->n_routes; i++) {
        const struct rule_route *r = &rs->routes[i];
        is_lab = is_lab || sends_lab(r, writer);
        if (sends_lab(r, writer) || sends_person(r, writer))
            block(&w, &r->todo);
    }
    if (!is_lab)
        return;
    column(&w, "test_type", rs->tests, rs->tests ? table_column(rs->tests, SPAN_LIT("test_type")) : -1);
    outcomes(&w, rs->results, rs->results_outcome);
    outcomes(&w, rs->results_text, rs->text_outcome);
    column(&w, "sample_type", rs->specimens, rs->specimens_type);
    column(&w, "lab_name", rs->labs, rs->labs_name);
}

unsigned rule_needs(const struct ruleset *rs, const char *writer)
{
    unsigned needs = 0;
    for (size_t i = 0; i < rs->n_routes; i++) {
        const struct rule_route *r = &rs->routes[i];
        if (sends_lab(r, writer))
            needs |= NEED_LAB;
        if (sends_person(r, writer))
            needs |= r->person_kind == PERSON_CONTACT ? NEED_CONTACT_UPDATE : NEED_CASE_UPDATE;
        if (sends_person(r, writer) && r->no_match == NO_MATCH_DEFAULT)     /* sending a person creates it */
            needs |= r->person_kind == PERSON_CONTACT ? NEED_CONTACT_CREATE : NEED_CASE_CREATE;
        if (sends_lab(r, writer) || sends_person(r, writer))
            needs |= r->no_match == NO_MATCH_CREATE_CASE ? NEED_CASE_CREATE : r->no_match == NO_MATCH_CREATE_CONTACT ? NEED_CONTACT_CREATE : 0;
    }
    return needs;
}
