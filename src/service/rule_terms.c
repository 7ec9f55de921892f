/*
 * NAME
 *     rule_terms - the well-known tables (tests, results, results_text, specimens, labs) as rules and outcomes need them
 * DESCRIPTION
 *     Bound once at load: columns found, words of outcome, kind and caution checked, each tests row digested. At run time a
 *     look-up is one or two hash probes. Local codes: a table row with system local:<channel> matches local codings of that
 *     channel whatever the sender calls its coding system; local:<NAME> matches by that name; the channel's row wins.
 * DIAGNOSTICS
 *     At load through the diag, with the place in the CSV file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule_inner.h"
#include "text.h"

#define INTERPRETATION "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
#define INTERPRETATION_V2 "http://terminology.hl7.org/CodeSystem/v2-0078"

/* ---- look-ups ---- */
int64_t rule_find_coding(const struct record *r, const struct table *t, struct span system, struct span code)
{
    char local[160];
    if (!span_has(code))
        return TABLE_NONE;
    if (table_keys(t) == 1)
        return table_find(t, &code);
    bool is_local = !span_has(system) || span_is(system, "local") || span_starts(system, "local:");
    struct span channel = r->message ? r->message->channel : SPAN_ABSENT;
    if (is_local && span_has(channel) && channel.n < sizeof local - 8) {
        memcpy(local, "local:", 6);
        memcpy(local + 6, channel.p, channel.n);
        struct span keys[2] = {{local, channel.n + 6}, code};
        int64_t row = table_find(t, keys);
        if (row != TABLE_NONE)
            return row;
    }
    struct span keys[2] = {span_has(system) ? system : SPAN_LIT("local"), code};
    return table_find(t, keys);
}

int64_t rule_find_codes(const struct record *r, const struct table *t, const struct rec_codes *codes, size_t *which)
{
    for (int pass = 0; pass < 2; pass++)            /* LOINC first */
        for (size_t i = 0; i < codes->n; i++) {
            if (span_is(codes->v[i].system, "http://loinc.org") != (pass == 0))
                continue;
            int64_t row = rule_find_coding(r, t, codes->v[i].system, codes->v[i].code);
            if (row != TABLE_NONE) {
                *which = i;
                return row;
            }
        }
    *which = 0;
    return TABLE_NONE;
}

void rule_find_test(const struct ruleset *rs, const struct record *r, const struct rec_observation *obs, struct rule_found *out)
{
    *out = (struct rule_found){NULL, TABLE_NONE, 0};
    if (!rs->tests)
        return;
    out->row = rule_find_codes(r, rs->tests, &obs->code, &out->coding);
    if (out->row != TABLE_NONE)
        out->test = &rs->test_rows[out->row];
}

/* ---- what outcome.c asks ---- */
struct asker { struct rule_scope *x; const struct rule_test *test; };

static struct span row_name(const struct rule_scope *x, const struct table *t, int64_t row)
{
    return arena_printf(x->a, "%s:%u", table_file(t), table_line(t, row));
}

static const char *ask_code(void *ctx, struct span system, struct span code, struct span *row)
{
    struct rule_scope *x = ((struct asker *)ctx)->x;
    if (!x->rs->results)
        return NULL;
    if (span_is(system, INTERPRETATION_V2))
        system = SPAN_LIT(INTERPRETATION);
    int64_t r = rule_find_coding(x->r, x->rs->results, system, code);
    if (r == TABLE_NONE)
        return NULL;
    *row = row_name(x, x->rs->results, r);
    return table_cell(x->rs->results, r, x->rs->results_outcome).p;
}

static const char *ask_text(void *ctx, struct span folded, struct span *row)
{
    struct rule_scope *x = ((struct asker *)ctx)->x;
    int64_t r = x->rs->results_text ? table_find(x->rs->results_text, &folded) : TABLE_NONE;
    if (r == TABLE_NONE)
        return NULL;
    *row = row_name(x, x->rs->results_text, r);
    return table_cell(x->rs->results_text, r, x->rs->text_outcome).p;
}

static enum rule_truth clause_test(struct rule_scope *x, const struct rule_clause *c)
{
    enum rule_truth all = TRUTH_YES;
    for (size_t i = 0; i < c->n; i++) {
        enum rule_truth t = rule_test(x, c->tests[i]);
        if (t == TRUTH_NO)
            return TRUTH_NO;
        if (t == TRUTH_UNKNOWN)
            all = TRUTH_UNKNOWN;
    }
    return all;
}

static const char *ask_number(void *ctx, const struct rec_observation *obs, struct span *row)
{
    struct asker *q = ctx;
    const struct rule_result_of *rule = q->test ? q->test->result_of : NULL;
    const char *word = NULL;
    if (!rule)
        return NULL;
    if (obs->value.type == REC_V_BOOLEAN) {
        *row = arena_printf(q->x->a, "%s:%u", rule->file, rule->line);
        if (!rule->boolean_is_presence)
            return NULL;
        return span_is_nocase(obs->value.text, "true") ? "POSITIVE" : span_is_nocase(obs->value.text, "false") ? "NEGATIVE" : "hold";
    }
    for (size_t i = 0; i < rule->n_clauses; i++) {
        const struct rule_clause *c = &rule->clauses[i];
        enum rule_truth t = clause_test(q->x, c);
        if (t == TRUTH_NO)
            continue;
        *row = arena_printf(q->x->a, "%s:%u", c->file, c->line);
        if (t == TRUTH_UNKNOWN || (word && strcmp(word, outcome_name(c->kind)) != 0))
            return "hold";
        word = outcome_name(c->kind);
    }
    return word;
}

static const char *ask_interpretation(void *ctx, struct span code, struct span *row)
{
    struct asker *q = ctx;
    const struct rule_result_of *rule = q->test ? q->test->result_of : NULL;
    for (size_t i = 0; rule && i < rule->n_interps; i++)
        if (span_eq(rule->interps[i].code, code)) {
            *row = arena_printf(q->x->a, "%s:%u", rule->file, rule->line);
            return rule->interps[i].word;
        }
    return ask_code(ctx, SPAN_LIT(INTERPRETATION), code, row);
}

void rule_derive(struct rule_scope *x, const struct rec_observation *obs, const struct rule_found *found, struct outcome *out)
{
    struct rule_scope scope = *x;
    scope.obs = obs;
    struct asker q = {&scope, found->test};
    struct outcome_env env = {&q, ask_code, ask_text, ask_number, ask_interpretation, found->test ? &found->test->outcome : NULL,
                              x->rs->opt.text_from_display};
    outcome_derive(x->r, obs, &env, x->a, out);
}

/* ---- binding at load ---- */
static const struct { const char *word; unsigned bit; } cautions[] = {
    {"VACCINE_STRAIN", CAUTION_VACCINE_STRAIN}, {"PAN_GROUP", CAUTION_PAN_GROUP}, {"SINGLE_TARGET", CAUTION_SINGLE_TARGET},
    {"IGG_ONLY", CAUTION_IGG_ONLY}, {"IMMUNITY", CAUTION_IMMUNITY}, {"AVIDITY", CAUTION_AVIDITY},
    {"ORGANISM_VALUE", CAUTION_ORGANISM_VALUE}, {"QUANT", CAUTION_QUANT}, {"LEGACY_NAME", CAUTION_LEGACY_NAME},
};
#define CAUTIONS (sizeof cautions / sizeof cautions[0])

static unsigned parse_cautions(const struct rule_setup *s, const struct table *t, int64_t row, int column)
{
    struct span rest = table_cell(t, row, column), w;
    unsigned bits = 0;
    const char *names[CAUTIONS];
    char hint[80];
    for (size_t i = 0; i < CAUTIONS; i++)
        names[i] = cautions[i].word;
    while (span_next(&rest, ' ', &w)) {
        size_t i = 0;
        while (i < CAUTIONS && !span_is(w, cautions[i].word))
            i++;
        if (i < CAUTIONS)
            bits |= cautions[i].bit;
        else if (w.n)
            diag_add(s->d, DIAG_ERROR, table_place(t, row, column), diag_guess(w, names, CAUTIONS, hint, sizeof hint), "there is no caution \"%.*s\"", SPAN_ARG(w));
    }
    return bits;
}

static const char *parse_kind(const struct rule_setup *s, const struct table *t, int64_t row, int column)
{
    static const char *const kinds[] = {"presence", "quantitative", "organism"};
    struct span k = table_cell(t, row, column);
    char hint[80];
    for (size_t i = 0; i < 3; i++)
        if (span_is(k, kinds[i]))
            return kinds[i];
    if (k.n)
        diag_add(s->d, DIAG_ERROR, table_place(t, row, column), diag_guess(k, kinds, 3, hint, sizeof hint),
                 "kind is presence, quantitative or organism; not \"%.*s\"", SPAN_ARG(k));
    return "presence";
}

/* Marks overall tests that have single targets (or a vaccine strain test) beside them. Sorted by name: no square work. */
static int by_tested_for(const void *a, const void *b)
{
    const struct rule_test *const *x = a, *const *y = b;
    return span_cmp((*x)->tested_for, (*y)->tested_for);
}

static void mark_targets(struct ruleset *rs, size_t n)
{
    struct rule_test **v = rule_alloc(rs, (n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = &rs->test_rows[i];
    qsort(v, n, sizeof *v, by_tested_for);
    for (size_t i = 0; i < n;) {
        size_t end = i;
        bool has = false;
        for (; end < n && span_eq(v[end]->tested_for, v[i]->tested_for); end++)
            has = has || (v[end]->cautions & (CAUTION_SINGLE_TARGET | CAUTION_VACCINE_STRAIN));
        for (; i < end; i++)
            v[i]->has_targets = has;
    }
}

static void bind_tests(struct ruleset *rs, const struct rule_setup *s)
{
    const struct table *t = rs->tests;
    size_t n = table_rows(t);
    int kind = table_column(t, SPAN_LIT("kind")), caution = table_column(t, SPAN_LIT("caution")), targets = table_column(t, SPAN_LIT("targets"));
    int type = table_column(t, SPAN_LIT("test_type")), tested = table_column(t, SPAN_LIT("tested_for")), name = table_column(t, SPAN_LIT("name"));
    rs->test_rows = rule_alloc(rs, (n + 1) * sizeof *rs->test_rows);
    for (size_t i = 0; i < n; i++) {
        struct rule_test *x = &rs->test_rows[i];
        int64_t row = (int64_t)i;
        x->outcome.kind = parse_kind(s, t, row, kind);
        x->outcome.targets = table_cell(t, row, targets);
        x->cautions = parse_cautions(s, t, row, caution);
        x->outcome.caution = caution < 0 ? "" : table_cell(t, row, caution).p;
        x->test_type = table_cell(t, row, type);
        x->tested_for = table_cell(t, row, tested);
        x->name = table_cell(t, row, name);
        if (!x->test_type.n || !x->tested_for.n)
            diag_add(s->d, DIAG_ERROR, table_place(t, row, x->test_type.n ? tested : type), NULL, "%s is empty in this row", x->test_type.n ? "tested_for" : "test_type");
    }
    mark_targets(rs, n);
}

static void check_outcomes(const struct rule_setup *s, const struct table *t, int column)
{
    static const char *const words[] = {"POSITIVE", "NEGATIVE", "INCONCLUSIVE", "POSITIVE_OTHER", "no_result", "hold"};
    enum outcome_kind kind;
    char hint[80];
    for (size_t i = 0; i < table_rows(t); i++) {
        struct span w = table_cell(t, (int64_t)i, column);
        if (!w.n || outcome_parse(w.p, &kind))
            diag_add(s->d, DIAG_ERROR, table_place(t, (int64_t)i, column), diag_guess(w, words, 6, hint, sizeof hint),
                     "outcome is POSITIVE, NEGATIVE, INCONCLUSIVE, POSITIVE_OTHER, no_result or hold; not \"%.*s\"", SPAN_ARG(w));
    }
}

/* A well-known table with its shape; reported when it has another one. */
static const struct table *known(const struct rule_setup *s, const char *name, const char *key1, const char *key2, const char *v1, const char *v2)
{
    const struct table *t = tables_find(s->tables, span_of(name));
    if (!t)
        return NULL;
    size_t keys = key2 ? 2 : 1;
    bool is_good = table_keys(t) == keys;
    for (size_t i = 0; is_good && i < keys && key1; i++)
        is_good = strcmp(table_column_name(t, table_key_column(t, i)), i ? key2 : key1) == 0;
    if (!is_good)
        diag_add(s->d, DIAG_ERROR, table_at(t), NULL, "table \"%s\" has to have the key%s %s%s%s",
                 name, key2 ? "s" : "", key1 ? key1 : "id (one column)", key2 ? " " : "", key2 ? key2 : "");
    const char *values[] = {v1, v2};
    for (size_t i = 0; i < 2; i++)
        if (values[i] && table_column(t, span_of(values[i])) < 0) {
            diag_add(s->d, DIAG_ERROR, table_at(t), NULL, "table \"%s\" needs a column \"%s\"", name, values[i]);
            is_good = false;
        }
    return is_good ? t : NULL;
}

void rule_bind_tables(struct ruleset *rs, const struct rule_setup *s, bool sends_lab)
{
    size_t errors = diag_errors(s->d);
    rs->tests = known(s, "tests", "system", "code", "test_type", "tested_for");
    rs->results = known(s, "results", "system", "code", "outcome", NULL);
    rs->results_text = known(s, "results_text", "text", NULL, "outcome", NULL);
    rs->specimens = known(s, "specimens", "system", "code", "sample_type", NULL);
    rs->labs = known(s, "labs", NULL, NULL, "lab_name", NULL);
    if (rs->tests)
        bind_tests(rs, s);
    if (rs->results) {
        rs->results_outcome = table_column(rs->results, SPAN_LIT("outcome"));
        check_outcomes(s, rs->results, rs->results_outcome);
    }
    if (rs->results_text) {
        rs->text_outcome = table_column(rs->results_text, SPAN_LIT("outcome"));
        check_outcomes(s, rs->results_text, rs->text_outcome);
    }
    rs->specimens_type = rs->specimens ? table_column(rs->specimens, SPAN_LIT("sample_type")) : -1;
    rs->labs_name = rs->labs ? table_column(rs->labs, SPAN_LIT("lab_name")) : -1;
    if (!sends_lab || diag_errors(s->d) > errors)
        return;
    if (!rs->tests && !tables_is_failed(s->tables, SPAN_LIT("tests")))
        diag_add(s->d, DIAG_ERROR, s->end, "add: table tests csv \"tables/tests.csv\" key system code value test_type tested_for", "send lab needs the table \"tests\"");
    if (!rs->results && !tables_is_failed(s->tables, SPAN_LIT("results")))
        diag_add(s->d, DIAG_ERROR, s->end, "add: table results csv \"tables/results.csv\" key system code value outcome", "send lab needs the table \"results\"");
}
