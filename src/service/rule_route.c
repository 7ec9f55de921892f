/*
 * NAME
 *     rule_route - route blocks, compiled
 * DESCRIPTION
 *     A route is a set of statements: from, when, allow, require, lookup, set and exactly one of send, hold, drop. Several may stand
 *     on one line. `when` lines all have to be true; `require`, `lookup` and `set` work in the order written.
 * DIAGNOSTICS
 *     Through the diag. A route that cannot be reached, and a last route that does not catch the rest, are errors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule_inner.h"
#include "text.h"

static void grow(struct ruleset *rs, void *v, size_t n, size_t *cap, size_t size)
{
    if (!arena_grow(rs->a, v, n, cap, size))
        abort();
}

static const char *keep(struct ruleset *rs, struct span s)
{
    char *p = arena_strdup(rs->a, s);
    if (!p)
        abort();
    return p;
}

struct span rule_words(const struct rule_draft *x, size_t from, size_t to)
{
    char line[400];
    size_t n = 0;
    for (size_t i = from; i < to && n < sizeof line; i++) {
        const struct token *t = &x->c.s->v[i];
        const char *quote = t->kind == TOKEN_STRING ? "\"" : t->kind == TOKEN_REGEX ? "/" : "";
        bool glue = i == from || token_is(t, ",") || token_is(t, ")") || token_is(&x->c.s->v[i - 1], "(") ||
                    (token_is(t, "(") && i > from + 1 && !token_is(&x->c.s->v[i - 1], "in"));
        int len = snprintf(line + n, sizeof line - n, "%s%s%.*s%s", glue ? "" : " ", quote, SPAN_ARG(t->text), quote);
        n += len > 0 ? (size_t)len : 0;
    }
    return arena_dup(x->c.rs->a, (struct span){line, n < sizeof line ? n : sizeof line - 1});
}

static const char *file_of(const struct rule_draft *x, const struct token *t)
{
    const char *name = diag_source_name(x->s->d, t->at.file), *slash = strrchr(name, '/');
    return keep(x->c.rs, span_of(slash ? slash + 1 : name));
}

static const struct token *last(const struct rule_draft *x)
{
    return &x->c.s->v[x->c.i - 1];
}

/* ---- statements ---- */
static bool read_from(struct rule_draft *x)
{
    char hint[160];
    const struct token *t;
    size_t before = x->r->n_from;
    while ((t = rule_peek(&x->c)) != NULL && (t->kind == TOKEN_STRING || token_is(t, ","))) {
        x->c.i++;
        if (t->kind != TOKEN_STRING)
            continue;
        bool found = false;
        for (size_t i = 0; i < x->s->n_listeners; i++)
            found = found || span_is(t->text, x->s->listeners[i]);
        if (!found)
            rule_error(&x->c, t, diag_guess(t->text, x->s->listeners, x->s->n_listeners, hint, sizeof hint), "there is no listener \"%.*s\"", SPAN_ARG(t->text));
        grow(x->c.rs, &x->r->from, x->r->n_from, &x->cap_from, sizeof *x->r->from);
        x->r->from[x->r->n_from++] = arena_dup(x->c.rs->a, t->text);
    }
    if (x->r->n_from == before)
        rule_error(&x->c, rule_peek(&x->c), "write: from \"lab-a\" \"lab-b\"", "from needs the name of a listener in quotes");
    return x->r->n_from > before;
}

static bool read_when(struct rule_draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *t = last(x);
    const struct rule_node *e = rule_parse_condition(&x->c);
    if (!e)
        return false;
    grow(x->c.rs, &x->r->when, x->r->n_when, &x->cap_when, sizeof *x->r->when);
    x->r->when[x->r->n_when++] = (struct rule_when){e, rule_words(x, from, x->c.i), file_of(x, t), t->at.line};
    return true;
}

static bool read_allow(struct rule_draft *x)
{
    static const struct { const char *word; unsigned bit; } words[] = {{"immunity", CAUTION_IMMUNITY}, {"avidity", CAUTION_AVIDITY}};
    const struct token *word = last(x);
    unsigned bits = 0;
    for (size_t i = 0; i < 2;)
        if (rule_accept(&x->c, words[i].word)) {
            bits |= words[i].bit;
            (void)rule_accept(&x->c, ",");
            i = 0;
        } else {
            i++;
        }
    if (!bits)
        rule_error(&x->c, rule_peek(&x->c), NULL, "allow takes immunity and avidity");
    else if (x->depth)
        rule_todo_new(x, STEP_ALLOW, word)->bits = bits;
    else
        x->r->allowed |= bits;
    return bits != 0;
}

struct rule_todo *rule_todo_new(struct rule_draft *x, enum rule_step_kind kind, const struct token *t)
{
    struct rule_todo *d = rule_alloc(x->c.rs, sizeof *d);
    grow(x->c.rs, &x->into->v, x->into->n, &x->into->cap, sizeof(struct rule_todo *));
    *d = (struct rule_todo){.kind = kind, .file = file_of(x, t), .line = t->at.line};
    x->into->v[x->into->n++] = d;
    return d;
}

static bool is_statement(const struct token *t);

static bool read_require(struct rule_draft *x)
{
    const struct token *word = last(x), *t;
    size_t n = 0;
    while ((t = rule_peek(&x->c)) != NULL && t->kind == TOKEN_WORD && !is_statement(t)) {
        const struct rec_field *f = rule_field(&x->c, t);
        x->c.i++;
        n++;
        if (f)
            rule_todo_new(x, STEP_REQUIRE_FIELD, word)->field = f;
        (void)rule_accept(&x->c, ",");
    }
    if (!n)
        rule_error(&x->c, t, "write: require specimen.id", "require needs the name of a field");
    return n > 0;
}

struct target {                     /* lab.x or case.x as a place to write to */
    const struct lab_field *lab;
    const struct person_field *person;
    struct span variable;           /* of lab.questionnaire, when both are NULL */
    struct span column;             /* the name that a column of a table may have */
};

static bool person_target(struct rule_draft *x, const struct token *t, struct target *out)
{
    const char *names[64];
    char full[64][40], hint[120];
    const struct person_field *f = person_field_find(span_from(t->text, 5));
    if (f) {
        *out = (struct target){.person = f, .column = span_of(f->name)};
        return true;
    }
    for (size_t i = 0; i < person_fields_n; i++) {
        (void)snprintf(full[i], sizeof full[i], "case.%s", person_fields[i].name);
        names[i] = full[i];
    }
    rule_error(&x->c, t, diag_guess(t->text, names, person_fields_n, hint, sizeof hint), "there is no field \"%.*s\" in a case   (labrelay fields case)", SPAN_ARG(t->text));
    return false;
}

static bool read_target(struct rule_draft *x, struct target *out)
{
    const struct token *t = rule_peek(&x->c);
    *out = (struct target){.lab = NULL};
    if (t && t->kind == TOKEN_WORD && span_starts(t->text, "case.")) {
        x->c.i++;
        return person_target(x, t, out);
    }
    if (!rule_lab_target(x, &out->lab, &out->variable))
        return false;
    out->column = out->lab ? span_from(t->text, lab_field_is_sequence(out->lab) ? 13 : 4) : out->variable;
    return true;
}

/* Does the value suit the target? Reports at t. */
static bool fits(struct rule_draft *x, const struct target *f, struct span name, const struct rule_node *e, const struct token *t)
{
    const struct lab_field like = {.name = "", .is_date = f->person && f->person->is_date};
    return rule_lab_fits(&x->c, f->person ? &like : f->lab, name, e, t);
}

static bool read_set(struct rule_draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *word = last(x);
    const struct token *name = rule_peek(&x->c);
    struct target f;
    if (!read_target(x, &f))
        return false;
    if (!rule_accept(&x->c, "=")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: set %.*s = …", SPAN_ARG(last(x)->text));
        return false;
    }
    const struct token *t = rule_peek(&x->c);
    const struct rule_node *e = rule_parse_operand(&x->c);
    if (!e || !fits(x, &f, name->text, e, t))
        return false;
    struct rule_todo *d = rule_todo_new(x, STEP_SET, word);
    d->lab = f.lab;
    d->person = f.person;
    d->variable = f.variable;
    d->expr = e;
    d->text = rule_words(x, from, x->c.i);
    return true;
}

/* The column that a look-up reads: the one behind `column`, else the one named like the target, else the only value. */
static int lookup_column(struct rule_draft *x, const struct table *t, struct span target, const struct token *at)
{
    const char *names[TABLE_MAX_COLUMNS];
    char hint[120];
    int found = -1, n = table_columns(t);
    for (int i = 0; i < n; i++)
        names[i] = table_column_name(t, i);
    if (rule_accept(&x->c, "column")) {
        const struct token *name = rule_peek(&x->c);
        int column = name && name->kind != TOKEN_OP ? table_column(t, name->text) : -1;
        if (column < 0)
            rule_error(&x->c, name, name ? diag_guess(name->text, names, (size_t)n, hint, sizeof hint) : NULL, "table \"%s\" has no column \"%.*s\"", table_name(t),
                       SPAN_ARG(name ? name->text : SPAN_ABSENT));
        x->c.i += name != NULL;
        return column;
    }
    int column = table_column(t, target);
    if (column >= 0)
        return column;
    for (int i = 0; i < n; i++) {
        bool is_key = false;
        for (size_t k = 0; k < table_keys(t); k++)
            is_key = is_key || table_key_column(t, k) == i;
        if (is_key || !table_is_value(t, i))
            continue;
        if (found >= 0)
            found = -2;
        else if (found == -1)
            found = i;
    }
    if (found < 0)
        rule_error(&x->c, at, "write: -> lab.x column NAME", "table \"%s\" has no column \"%.*s\", and not exactly one other", table_name(t), SPAN_ARG(target));
    return found;
}

/* default "text" behind a target; absent when there is none. False after reporting. */
static bool read_default(struct rule_draft *x, struct span *def)
{
    *def = SPAN_ABSENT;
    if (!rule_accept(&x->c, "default"))
        return true;
    const struct token *v = rule_peek(&x->c);
    if (!v || v->kind != TOKEN_STRING) {
        rule_error(&x->c, v, NULL, "default needs a \"text\"");
        return false;
    }
    x->c.i++;
    *def = arena_dup(x->c.rs->a, v->text);
    return true;
}

static bool read_lookup(struct rule_draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *word = last(x);
    const struct rule_node *e = rule_parse_operand(&x->c);
    if (!e)
        return false;
    if (!rule_accept(&x->c, "in")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: lookup FIELD in TABLE -> lab.x");
        return false;
    }
    const struct token *at = rule_peek(&x->c);
    const struct table *t = rule_table(&x->c, e->type, at);
    x->c.i += at != NULL;
    if (!t)
        return false;
    if (!rule_accept(&x->c, "->")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: lookup FIELD in TABLE -> lab.x");
        return false;
    }
    size_t first = x->into->n;
    struct span def;
    do {
        struct target f;
        const struct token *name = rule_peek(&x->c);
        if (!read_target(x, &f))
            return false;
        if (f.lab && lab_field_is_yesno(f.lab)) {
            rule_error(&x->c, name, NULL, "%.*s needs yes or no, a table has texts", SPAN_ARG(name->text));
            return false;
        }
        int column = lookup_column(x, t, f.column, at);
        if (column < 0 || !read_default(x, &def))
            return false;
        struct rule_todo *d = rule_todo_new(x, STEP_LOOKUP, word);
        d->lab = f.lab;
        d->person = f.person;
        d->variable = f.variable;
        d->expr = e;
        d->table = t;
        d->column = column;
        d->def = def;
    } while (rule_accept(&x->c, ","));
    for (size_t i = first; i < x->into->n; i++) {
        if (span_is_absent(x->into->v[i]->def))
            x->into->v[i]->def = def;   /* the last one stands for all that have none of their own */
        x->into->v[i]->text = rule_words(x, from, x->c.i);
    }
    return true;
}

static bool set_action(struct rule_draft *x, enum rule_action action, const struct token *t)
{
    if (x->has_action) {
        rule_error(&x->c, t, NULL, "a route has one of send, hold and drop; the first stands in line %u", x->action_at.line);
        return false;
    }
    x->has_action = true;
    x->action_at = t->at;
    x->r->action = action;
    x->r->action_line = t->at.line;
    return true;
}

static bool read_text_action(struct rule_draft *x, enum rule_action action)
{
    const struct token *word = last(x), *t = rule_peek(&x->c);
    if (!t || t->kind != TOKEN_STRING || !t->text.n) {
        rule_error(&x->c, t, action == RULE_HOLD ? "write: hold \"no route\"" : "write: drop \"not notifiable\"", "%.*s needs a \"text\" that says why", SPAN_ARG(word->text));
        return false;
    }
    x->c.i++;
    if (x->depth) {
        rule_todo_new(x, action == RULE_DROP ? STEP_DROP : STEP_HOLD, word)->why = arena_dup(x->c.rs->a, t->text);
        return true;
    }
    x->r->text = arena_dup(x->c.rs->a, t->text);
    return set_action(x, action, word);
}

/* The writer named behind `to`; NULL after reporting. */
static const char *read_writer(struct rule_draft *x, const char *what)
{
    char hint[160];
    if (!rule_accept(&x->c, "to")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: send %s to \"writer\"", what);
        return NULL;
    }
    const struct token *t = rule_peek(&x->c);
    if (!t || (t->kind != TOKEN_STRING && t->kind != TOKEN_WORD)) {
        rule_error(&x->c, t, NULL, "send %s to needs the name of a writer", what);
        return NULL;
    }
    x->c.i++;
    for (size_t i = 0; i < x->s->n_writers; i++)
        if (span_is(t->text, x->s->writers[i]))
            return keep(x->c.rs, t->text);
    rule_error(&x->c, t, diag_guess(t->text, x->s->writers, x->s->n_writers, hint, sizeof hint), "there is no writer \"%.*s\"", SPAN_ARG(t->text));
    return NULL;
}

static bool read_send_person(struct rule_draft *x, enum person_kind kind, const struct token *word)
{
    if (x->r->person_writer) {
        rule_error(&x->c, word, NULL, "a route sends one of case and contact; the first stands in line %u", x->r->person_line);
        return false;
    }
    x->r->person_writer = read_writer(x, person_kind_name(kind));
    x->r->person_kind = kind;
    x->r->person_line = word->at.line;
    return x->r->person_writer != NULL;
}

static bool read_send(struct rule_draft *x)
{
    const struct token *word = last(x);
    if (rule_accept(&x->c, "case"))
        return read_send_person(x, PERSON_CASE, word);
    if (rule_accept(&x->c, "contact"))
        return read_send_person(x, PERSON_CONTACT, word);
    if (!rule_accept(&x->c, "lab")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: send lab to \"writer\", or send case to \"writer\"");
        return false;
    }
    x->r->writer = read_writer(x, "lab");
    return x->r->writer && set_action(x, RULE_SEND_LAB, word);
}

/* no-match park | create case | create contact | drop: of this route, instead of the writer's */
static bool read_no_match(struct rule_draft *x)
{
    enum no_match n = rule_accept(&x->c, "park") ? NO_MATCH_PARK : rule_accept(&x->c, "drop") ? NO_MATCH_DROP : NO_MATCH_DEFAULT;
    if (n == NO_MATCH_DEFAULT && rule_accept(&x->c, "create"))
        n = rule_accept(&x->c, "case") ? NO_MATCH_CREATE_CASE : rule_accept(&x->c, "contact") ? NO_MATCH_CREATE_CONTACT : NO_MATCH_DEFAULT;
    x->r->no_match = n;
    if (n == NO_MATCH_DEFAULT)
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: no-match park, no-match create case, no-match create contact or no-match drop");
    return n != NO_MATCH_DEFAULT;
}

static bool read_update(struct rule_draft *x)
{
    const struct token *t;
    struct target f;
    size_t n = 0;
    while ((t = rule_peek(&x->c)) != NULL && t->kind == TOKEN_WORD && span_starts(t->text, "case.")) {
        x->c.i++;
        if (!person_target(x, t, &f))
            return false;
        x->r->may_change |= person_field_bit(f.person);
        n++;
        (void)rule_accept(&x->c, ",");
    }
    if (!n)
        rule_error(&x->c, t, "write: update case.phone_number", "update needs the fields of a case that may be replaced in Go.Data");
    return n > 0;
}

static bool read_hold(struct rule_draft *x) { return read_text_action(x, RULE_HOLD); }
static bool read_drop(struct rule_draft *x) { return read_text_action(x, RULE_DROP); }

static const struct { const char *word; bool (*read)(struct rule_draft *x); bool is_of_route; } statements[] = {
    {"from", read_from, true}, {"when", read_when, true}, {"allow", read_allow, false}, {"require", read_require, false}, {"lookup", read_lookup, false},
    {"set", read_set, false}, {"note", rule_read_note, false}, {"flag", rule_read_flag, false}, {"if", rule_read_if, false}, {"else", rule_read_else, false},
    {"for", rule_read_for, false}, {"send", read_send, true}, {"hold", read_hold, false}, {"drop", read_drop, false},
    {"no-match", read_no_match, true}, {"update", read_update, true},
};
#define STATEMENTS (sizeof statements / sizeof statements[0])

static bool is_statement(const struct token *t)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        if (token_is(t, statements[i].word))
            return true;
    return false;
}

static void read_stmt(struct rule_draft *x, const struct lexer_stmt *stmt)
{
    const char *names[STATEMENTS];
    char hint[80];
    x->c.s = stmt;
    x->c.i = 0;
    x->block = NULL;
    for (size_t i = 0; i < STATEMENTS; i++)
        names[i] = statements[i].word;
    while (x->c.i < stmt->n) {
        const struct token *t = &stmt->v[x->c.i];
        size_t i = 0;
        while (i < STATEMENTS && !token_is(t, statements[i].word))
            i++;
        if (i == STATEMENTS) {
            if (x->c.i)
                rule_error(&x->c, t, diag_guess(t->text, names, STATEMENTS, hint, sizeof hint), "unexpected \"%.*s\"", SPAN_ARG(t->text));
            else
                rule_error(&x->c, t, diag_guess(t->text, names, STATEMENTS, hint, sizeof hint), "there is no statement \"%.*s\" in a route", SPAN_ARG(t->text));
            return;
        }
        if (x->depth && statements[i].is_of_route) {
            rule_error(&x->c, t, NULL, "%s stands in the route itself, not inside a block", statements[i].word);
            return;
        }
        if (statements[i].read != rule_read_else)
            x->open_if = NULL;
        x->c.i++;
        if (!statements[i].read(x))
            return;
    }
    if (stmt->has_block && x->block != stmt)
        diag_add(x->s->d, DIAG_ERROR, stmt->block_at, NULL, "\"%.*s\" takes no block", SPAN_ARG(stmt->v[0].text));
}

void rule_route_read(struct rule_draft *x, const struct lexer_stmt *body, size_t n)
{
    x->open_if = NULL;
    for (size_t i = 0; i < n; i++)
        read_stmt(x, &body[i]);
}

static void compile_route(struct ruleset *rs, const struct rule_setup *s, const struct lexer_stmt *stmt)
{
    struct rule_route *r = &rs->routes[rs->n_routes];
    struct rule_draft x = {.c = {.d = s->d, .rs = rs, .tables = s->tables, .s = stmt, .i = 1}, .s = s, .r = r, .into = &r->todo};
    const struct token *name = rule_peek(&x.c);
    if (!name || name->kind != TOKEN_STRING || !name->text.n) {
        rule_error(&x.c, name, "write: route \"name\" { … }", "a route needs a name in quotes");
        return;
    }
    if (stmt->n > 2) {
        rule_error(&x.c, &stmt->v[2], NULL, "unexpected \"%.*s\" behind the name of the route", SPAN_ARG(stmt->v[2].text));
        return;
    }
    if (!stmt->has_block) {
        rule_error(&x.c, NULL, "write: route \"name\" { … }", "a route needs a block");
        return;
    }
    r->name = keep(rs, name->text);
    r->at = name->at;
    r->line = stmt->v[0].at.line;
    r->file = file_of(&x, &stmt->v[0]);
    for (size_t i = 0; i < rs->n_routes; i++)
        if (strcmp(rs->routes[i].name, r->name) == 0)
            rule_error(&x.c, name, NULL, "the route \"%s\" stands in line %u already", r->name, rs->routes[i].line);
    size_t errors = diag_errors(s->d);
    rule_route_read(&x, stmt->body, stmt->n_body);
    r->is_person_only = !x.has_action && r->person_writer;
    if (r->is_person_only)
        r->action = RULE_SEND_PERSON;
    if (!x.has_action && !r->person_writer && diag_errors(s->d) == errors)
        diag_add(s->d, DIAG_ERROR, stmt->v[0].at, "add: send lab to \"writer\", send case to \"writer\", hold \"why\" or drop \"why\"",
                 "the route \"%s\" does not say what to do", r->name);
    rs->n_routes++;
}

/* ---- the routes together ---- */
static bool catches_all(const struct rule_route *r)
{
    return !r->is_person_only && r->n_from == 0 && r->n_when == 0;
}

static void check_order(const struct ruleset *rs, const struct rule_setup *s)
{
    if (!rs->n_routes) {
        diag_add(s->d, DIAG_ERROR, s->end, "add: route \"everything-else\" { hold \"no route\" }", "there is no route");
        return;
    }
    for (size_t i = 0; i + 1 < rs->n_routes; i++)
        if (catches_all(&rs->routes[i])) {
            diag_add(s->d, DIAG_ERROR, rs->routes[i + 1].at, "put the route without from and when last", "this route can never match: \"%s\" in line %u takes everything",
                     rs->routes[i].name, rs->routes[i].line);
            return;
        }
    const struct rule_route *end = &rs->routes[rs->n_routes - 1];
    if (!catches_all(end))
        diag_add(s->d, DIAG_ERROR, end->at, "add: route \"everything-else\" { hold \"no route\" }", "the last route has to say what happens to the rest: no from, no when");
}

static bool names_listener(const struct rule_route *r, const char *listener)
{
    for (size_t i = 0; i < r->n_from; i++)
        if (span_is(r->from[i], listener))
            return true;
    return r->n_from == 0;
}

/* A listener that only the last route takes is probably forgotten in a `from`. */
static void check_listeners(const struct ruleset *rs, const struct rule_setup *s)
{
    for (size_t l = 0; l < s->n_listeners && rs->n_routes > 1; l++) {
        bool is_named = false;
        for (size_t i = 0; i + 1 < rs->n_routes; i++)
            is_named = is_named || names_listener(&rs->routes[i], s->listeners[l]);
        const struct rule_route *end = &rs->routes[rs->n_routes - 1];
        if (!is_named && end->action != RULE_SEND_LAB)
            diag_add(s->d, DIAG_WARNING, end->at, NULL, "nothing of the listener \"%s\" is sent: no route but this one takes it", s->listeners[l]);
    }
}

static void check_writers(const struct ruleset *rs, const struct rule_setup *s)
{
    for (size_t w = 0; w < s->n_writers; w++) {
        bool is_used = false;
        for (size_t i = 0; i < rs->n_routes; i++)
            is_used = is_used || (rs->routes[i].writer && strcmp(rs->routes[i].writer, s->writers[w]) == 0) ||
                      (rs->routes[i].person_writer && strcmp(rs->routes[i].person_writer, s->writers[w]) == 0);
        if (!is_used)
            diag_add(s->d, DIAG_WARNING, s->writers_at[w], NULL, "the writer \"%s\" is never used: no route sends to it", s->writers[w]);
    }
}

struct ruleset *rule_compile(const struct rule_setup *s)
{
    struct arena *a = arena_new(512u << 20);
    struct ruleset *rs = arena_zalloc(a, sizeof *rs);
    bool sends = false;
    if (!rs)
        abort();
    rs->a = a;
    rs->opt = s->opt;
    rs->routes = rule_alloc(rs, (s->n_stmts + 1) * sizeof *rs->routes);
    for (size_t i = 0; i < s->n_stmts; i++)
        if (token_is(&s->stmts[i]->v[0], "route"))
            compile_route(rs, s, s->stmts[i]);
    for (size_t i = 0; i < rs->n_routes; i++)
        sends = sends || rs->routes[i].action == RULE_SEND_LAB;
    rule_bind_tables(rs, s, sends);
    for (size_t i = 0; i < s->n_stmts; i++)
        if (token_is(&s->stmts[i]->v[0], "result-of"))
            rule_compile_result_of(rs, s, s->stmts[i]);
    check_order(rs, s);
    if (!diag_errors(s->d)) {           /* guesses at what was meant, only once the rest is right */
        check_listeners(rs, s);
        check_writers(rs, s);
    }
    return rs;
}

void rule_free(struct ruleset *rs)
{
    if (!rs)
        return;
    for (size_t i = 0; i < rs->n_regexes; i++)
        pcre2_code_free(rs->regexes[i]);
    arena_free(rs->a);
}
