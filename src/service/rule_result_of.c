/*
 * NAME
 *     rule_result_of - numeric rules of tests
 * DESCRIPTION
 *     result-of "http://loinc.org|94500-6" {
 *         positive        if value >= 40 "copies/mL"
 *         negative        if value < 40 "copies/mL"
 *         interpretation  A positive
 *         boolean         presence
 *     }
 *     or one clause on the line of result-of itself. A unit is always stated and has to be equal: nothing is converted.
 * DIAGNOSTICS
 *     Through the diag. The code has to stand in the tests table.
 */
#include <stdlib.h>
#include <string.h>

#include "rule_inner.h"
#include "text.h"

static const struct { const char *word; enum outcome_kind kind; } results[] = {
    {"positive", OUTCOME_POSITIVE}, {"negative", OUTCOME_NEGATIVE}, {"inconclusive", OUTCOME_INCONCLUSIVE},
};

struct draft {
    struct rule_compiler c;
    const struct rule_setup *s;
    struct rule_result_of *r;
    size_t cap_clauses, cap_interps;
};

static int result_word(struct draft *x, enum outcome_kind *out)
{
    static const char *const names[] = {"positive", "negative", "inconclusive", "interpretation", "boolean"};
    char hint[80];
    const struct token *t = rule_peek(&x->c);
    for (size_t i = 0; t && i < 3; i++)
        if (token_is(t, results[i].word)) {
            x->c.i++;
            *out = results[i].kind;
            return 0;
        }
    rule_error(&x->c, t, t ? diag_guess(t->text, names, 5, hint, sizeof hint) : NULL, "positive, negative or inconclusive is expected here");
    return -1;
}

/* value OP NUMBER "unit" */
static const struct rule_node *read_test(struct draft *x)
{
    static const char *const signs[] = {[OP_EQ] = "=", [OP_NE] = "!=", [OP_LT] = "<", [OP_GT] = ">", [OP_LE] = "<=", [OP_GE] = ">="};
    struct rule_node *n = rule_alloc(x->c.rs, sizeof *n), *lit = rule_alloc(x->c.rs, sizeof *lit), *field = rule_alloc(x->c.rs, sizeof *field);
    size_t op = 0;
    if (!rule_accept(&x->c, "value")) {
        rule_error(&x->c, rule_peek(&x->c), "write: positive if value >= 40 \"copies/mL\"", "\"value\" is expected here");
        return NULL;
    }
    while (op < 6 && !rule_accept(&x->c, signs[op]))
        op++;
    const struct token *number = rule_peek(&x->c);
    if (op == 6) {
        rule_error(&x->c, number, NULL, "one of = != < > <= >= is expected behind value");
        return NULL;
    }
    if (!number || number->kind != TOKEN_WORD || !rule_number_is(number->text)) {
        rule_error(&x->c, number, NULL, "a number is expected here");
        return NULL;
    }
    x->c.i++;
    const struct token *unit = rule_peek(&x->c);
    if (!unit || unit->kind != TOKEN_STRING) {
        rule_error(&x->c, unit, "write the unit in quotes, exactly as the laboratory sends it; \"\" for none", "the unit is missing: a number without its unit decides nothing");
        return NULL;
    }
    x->c.i++;
    *lit = (struct rule_node){.kind = NODE_LITERAL, .type = RULE_T_NUMBER, .literal = arena_dup(x->c.rs->a, number->text)};
    *field = (struct rule_node){.kind = NODE_FIELD, .type = RULE_T_VALUE, .field = record_field_find(SPAN_LIT("observation.value"))};
    *n = (struct rule_node){.kind = NODE_COMPARE, .type = RULE_T_BOOL, .op = (enum rule_op)op, .unit = arena_dup(x->c.rs->a, unit->text), .is_same_unit = true, .n = 2};
    n->args = rule_alloc(x->c.rs, 2 * sizeof *n->args);
    n->args[0] = field;
    n->args[1] = lit;
    return field->field ? n : NULL;
}

static bool read_clause(struct draft *x)
{
    struct rule_clause clause = {.line = x->c.s->v[x->c.i].at.line, .file = x->r->file};
    if (result_word(x, &clause.kind))
        return false;
    if (!rule_accept(&x->c, "if")) {
        rule_error(&x->c, rule_peek(&x->c), "write: positive if value >= 40 \"copies/mL\"", "\"if\" is expected here");
        return false;
    }
    clause.tests = rule_alloc(x->c.rs, (x->c.s->n / 4 + 2) * sizeof *clause.tests);
    do {
        const struct rule_node *t = read_test(x);
        if (!t)
            return false;
        clause.tests[clause.n++] = t;
    } while (rule_accept(&x->c, "and"));
    if (!arena_grow(x->c.rs->a, &x->r->clauses, x->r->n_clauses, &x->cap_clauses, sizeof clause))
        abort();
    x->r->clauses[x->r->n_clauses++] = clause;
    return true;
}

static bool read_interpretation(struct draft *x)
{
    struct rule_interp one;
    enum outcome_kind kind;
    const struct token *t = rule_peek(&x->c);
    if (!t || (t->kind != TOKEN_WORD && t->kind != TOKEN_STRING)) {
        rule_error(&x->c, t, "write: interpretation A positive", "the code of an interpretation is expected here");
        return false;
    }
    x->c.i++;
    one.code = arena_dup(x->c.rs->a, t->text);
    if (result_word(x, &kind))
        return false;
    one.word = outcome_name(kind);
    if (!arena_grow(x->c.rs->a, &x->r->interps, x->r->n_interps, &x->cap_interps, sizeof one))
        abort();
    x->r->interps[x->r->n_interps++] = one;
    return true;
}

/* Clauses from token i of s on. */
static void read_clauses(struct draft *x, const struct lexer_stmt *s, size_t i)
{
    x->c.s = s;
    x->c.i = i;
    while (x->c.i < s->n) {
        bool is_good;
        if (rule_accept(&x->c, "interpretation")) {
            is_good = read_interpretation(x);
        } else if (rule_accept(&x->c, "boolean")) {
            is_good = rule_accept(&x->c, "presence");
            x->r->boolean_is_presence = is_good;
            if (!is_good)
                rule_error(&x->c, rule_peek(&x->c), "write: boolean presence", "\"presence\" is expected here");
        } else {
            is_good = read_clause(x);
        }
        if (!is_good)
            return;
    }
}

/* The tests rows that the codes name. */
static size_t bind(struct draft *x, const struct lexer_stmt *stmt)
{
    size_t i = 1;
    for (; i < stmt->n && stmt->v[i].kind == TOKEN_STRING; i++) {
        const struct token *t = &stmt->v[i];
        size_t bar = t->text.n;
        while (bar && t->text.p[bar - 1] != '|')
            bar--;
        struct span keys[2] = {span_cut(t->text, 0, bar ? bar - 1 : 0), span_from(t->text, bar)};
        if (!bar || !keys[0].n || !keys[1].n) {
            rule_error(&x->c, t, "write: \"http://loinc.org|94500-6\"", "a test is named \"system|code\"");
            continue;
        }
        int64_t row = x->c.rs->tests ? table_find(x->c.rs->tests, keys) : TABLE_NONE;
        if (!x->c.rs->tests)
            continue;                   /* reported for the routes */
        if (row == TABLE_NONE)
            rule_error(&x->c, t, "add a row for it to the tests table", "the test \"%.*s\" is not in the table \"tests\"", SPAN_ARG(t->text));
        else if (x->c.rs->test_rows[row].result_of)
            rule_error(&x->c, t, NULL, "there is a result-of for this test in line %u already", x->c.rs->test_rows[row].result_of->line);
        else
            x->c.rs->test_rows[row].result_of = x->r;
    }
    return i;
}

void rule_compile_result_of(struct ruleset *rs, const struct rule_setup *s, const struct lexer_stmt *stmt)
{
    struct draft x = {.c = {.d = s->d, .rs = rs, .tables = s->tables, .s = stmt, .i = 1}, .s = s};
    const char *name = diag_source_name(s->d, stmt->v[0].at.file), *slash = strrchr(name, '/');
    x.r = rule_alloc(rs, sizeof *x.r);
    x.r->file = arena_strdup(rs->a, span_of(slash ? slash + 1 : name));
    x.r->line = stmt->v[0].at.line;
    size_t i = bind(&x, stmt);
    if (i == 1) {
        rule_error(&x.c, stmt->n > 1 ? &stmt->v[1] : NULL, "write: result-of \"http://loinc.org|94500-6\" { … }", "result-of needs a test");
        return;
    }
    if (i == stmt->n && !stmt->n_body)
        rule_error(&x.c, NULL, "write: positive if value >= 40 \"copies/mL\"", "result-of needs at least one clause");
    read_clauses(&x, stmt, i);
    for (size_t k = 0; k < stmt->n_body; k++)
        read_clauses(&x, &stmt->body[k], 0);
}
