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

struct draft {
    struct rule_compiler c;
    const struct rule_setup *s;
    struct rule_route *r;
    size_t cap_from, cap_when, cap_todo;
    struct diag_place action_at;
    bool has_action;
};

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

/* Words of the statement from token `from` to before `to`, for the trace. */
static struct span words_of(const struct draft *x, size_t from, size_t to)
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

static const char *file_of(const struct draft *x, const struct token *t)
{
    const char *name = diag_source_name(x->s->d, t->at.file), *slash = strrchr(name, '/');
    return keep(x->c.rs, span_of(slash ? slash + 1 : name));
}

static const struct token *last(const struct draft *x)
{
    return &x->c.s->v[x->c.i - 1];
}

/* ---- statements ---- */
static bool read_from(struct draft *x)
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

static bool read_when(struct draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *t = last(x);
    const struct rule_node *e = rule_parse_condition(&x->c);
    if (!e)
        return false;
    grow(x->c.rs, &x->r->when, x->r->n_when, &x->cap_when, sizeof *x->r->when);
    x->r->when[x->r->n_when++] = (struct rule_when){e, words_of(x, from, x->c.i), file_of(x, t), t->at.line};
    return true;
}

static bool read_allow(struct draft *x)
{
    static const struct { const char *word; unsigned bit; } words[] = {{"immunity", CAUTION_IMMUNITY}, {"avidity", CAUTION_AVIDITY}};
    unsigned before = x->r->allowed;
    for (size_t i = 0; i < 2;)
        if (rule_accept(&x->c, words[i].word)) {
            x->r->allowed |= words[i].bit;
            (void)rule_accept(&x->c, ",");
            i = 0;
        } else {
            i++;
        }
    if (x->r->allowed == before)
        rule_error(&x->c, rule_peek(&x->c), NULL, "allow takes immunity and avidity");
    return x->r->allowed != before;
}

static struct rule_todo *new_todo(struct draft *x, enum rule_step_kind kind, const struct token *t)
{
    grow(x->c.rs, &x->r->todo, x->r->n_todo, &x->cap_todo, sizeof *x->r->todo);
    struct rule_todo *d = &x->r->todo[x->r->n_todo++];
    *d = (struct rule_todo){.kind = kind, .file = file_of(x, t), .line = t->at.line};
    return d;
}

static bool is_statement(const struct token *t);

static bool read_require(struct draft *x)
{
    const struct token *word = last(x), *t;
    size_t n = 0;
    while ((t = rule_peek(&x->c)) != NULL && t->kind == TOKEN_WORD && !is_statement(t)) {
        const struct rec_field *f = rule_field(&x->c, t);
        x->c.i++;
        n++;
        if (f)
            new_todo(x, STEP_REQUIRE_FIELD, word)->field = f;
        (void)rule_accept(&x->c, ",");
    }
    if (!n)
        rule_error(&x->c, t, "write: require specimen.id", "require needs the name of a field");
    return n > 0;
}

struct target {                     /* lab.x or case.x as a place to write to */
    const struct lab_field *lab;
    const struct person_field *person;
    const char *scope, *name;
    bool is_date;
};

static bool person_target(struct draft *x, const struct token *t, struct target *out)
{
    const char *names[64];
    char full[64][40], hint[120];
    const struct person_field *f = person_field_find(span_from(t->text, 5));
    if (f) {
        *out = (struct target){.person = f, .scope = "case", .name = f->name, .is_date = f->is_date};
        return true;
    }
    for (size_t i = 0; i < person_fields_n; i++) {
        (void)snprintf(full[i], sizeof full[i], "case.%s", person_fields[i].name);
        names[i] = full[i];
    }
    rule_error(&x->c, t, diag_guess(t->text, names, person_fields_n, hint, sizeof hint), "there is no field \"%.*s\" in a case   (labrelay fields case)", SPAN_ARG(t->text));
    return false;
}

static const struct lab_field *lab_target(struct draft *x)
{
    const struct token *t = rule_peek(&x->c);
    const char *names[32];
    char full[32][64], hint[120];
    if (!t || t->kind != TOKEN_WORD) {
        rule_error(&x->c, t, NULL, "a field of the lab result is expected here, for instance lab.lab_name");
        return NULL;
    }
    x->c.i++;
    const struct lab_field *f = span_starts(t->text, "lab.") ? lab_field_find(span_from(t->text, 4)) : NULL;
    if (f && (strcmp(f->name, "result") == 0 || strcmp(f->name, "status") == 0 || strcmp(f->name, "notes") == 0)) {
        rule_error(&x->c, t, strcmp(f->name, "result") == 0 ? "state it with result-of, or with a row in the results table" : NULL,
                   "lab.%s is made by the engine and cannot be set", f->name);
        return NULL;
    }
    if (f)
        return f;
    size_t n = lab_fields_n < 32 ? lab_fields_n : 32;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(full[i], sizeof full[i], "lab.%s", lab_fields[i].name);
        names[i] = full[i];
    }
    rule_error(&x->c, t, diag_guess(t->text, names, n, hint, sizeof hint), "there is no field \"%.*s\" in a lab result", SPAN_ARG(t->text));
    return NULL;
}

static bool read_target(struct draft *x, struct target *out)
{
    const struct token *t = rule_peek(&x->c);
    if (t && t->kind == TOKEN_WORD && span_starts(t->text, "case.")) {
        x->c.i++;
        return person_target(x, t, out);
    }
    const struct lab_field *f = lab_target(x);
    if (f)
        *out = (struct target){.lab = f, .scope = "lab", .name = f->name, .is_date = f->is_date};
    return f != NULL;
}

static bool read_set(struct draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *word = last(x);
    struct target f;
    if (!read_target(x, &f))
        return false;
    if (!rule_accept(&x->c, "=")) {
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: set %s.%s = …", f.scope, f.name);
        return false;
    }
    const struct token *t = rule_peek(&x->c);
    const struct rule_node *e = rule_parse_operand(&x->c);
    if (!e)
        return false;
    bool fits = f.is_date ? e->type == RULE_T_DATE : e->type == RULE_T_TEXT || e->type == RULE_T_NUMBER || e->type == RULE_T_VALUE;
    if (!fits) {
        rule_error(&x->c, t, e->type == RULE_T_CODES ? "write code(…) or display(…)" : e->type == RULE_T_LIST || e->type == RULE_T_IDS ? "write first(…)" : NULL,
                   "%s.%s needs %s, not %s", f.scope, f.name, f.is_date ? "a date" : "a text", rule_type_name(e->type));
        return false;
    }
    struct rule_todo *d = new_todo(x, STEP_SET, word);
    d->lab = f.lab;
    d->person = f.person;
    d->expr = e;
    d->text = words_of(x, from, x->c.i);
    return true;
}

/* The value column that a look-up reads: the one named like the target, else the only one. */
static int lookup_column(struct draft *x, const struct table *t, const struct target *f, const struct token *at)
{
    int column = table_column(t, span_of(f->name)), found = -1;
    if (column >= 0)
        return column;
    for (int i = 0; i < table_columns(t); i++) {
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
        rule_error(&x->c, at, NULL, "table \"%s\" has no column \"%s\", and not exactly one other", table_name(t), f->name);
    return found;
}

static bool read_lookup(struct draft *x)
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
    size_t first = x->r->n_todo;
    do {
        struct target f;
        int column = read_target(x, &f) ? lookup_column(x, t, &f, at) : -1;
        if (column < 0)
            return false;
        struct rule_todo *d = new_todo(x, STEP_LOOKUP, word);
        d->lab = f.lab;
        d->person = f.person;
        d->expr = e;
        d->table = t;
        d->column = column;
    } while (rule_accept(&x->c, ","));
    struct span def = SPAN_ABSENT;
    if (rule_accept(&x->c, "default")) {
        const struct token *v = rule_peek(&x->c);
        if (!v || v->kind != TOKEN_STRING) {
            rule_error(&x->c, v, NULL, "default needs a \"text\"");
            return false;
        }
        x->c.i++;
        def = arena_dup(x->c.rs->a, v->text);
    }
    for (size_t i = first; i < x->r->n_todo; i++) {
        x->r->todo[i].def = def;
        x->r->todo[i].text = words_of(x, from, x->c.i);
    }
    return true;
}

static bool set_action(struct draft *x, enum rule_action action, const struct token *t)
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

static bool read_text_action(struct draft *x, enum rule_action action)
{
    const struct token *word = last(x), *t = rule_peek(&x->c);
    if (!t || t->kind != TOKEN_STRING || !t->text.n) {
        rule_error(&x->c, t, action == RULE_HOLD ? "write: hold \"no route\"" : "write: drop \"not notifiable\"", "%.*s needs a \"text\" that says why", SPAN_ARG(word->text));
        return false;
    }
    x->c.i++;
    x->r->text = arena_dup(x->c.rs->a, t->text);
    return set_action(x, action, word);
}

/* The writer named behind `to`; NULL after reporting. */
static const char *read_writer(struct draft *x, const char *what)
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

static bool read_send_person(struct draft *x, enum person_kind kind, const struct token *word)
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

static bool read_send(struct draft *x)
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
static bool read_no_match(struct draft *x)
{
    enum no_match n = rule_accept(&x->c, "park") ? NO_MATCH_PARK : rule_accept(&x->c, "drop") ? NO_MATCH_DROP : NO_MATCH_DEFAULT;
    if (n == NO_MATCH_DEFAULT && rule_accept(&x->c, "create"))
        n = rule_accept(&x->c, "case") ? NO_MATCH_CREATE_CASE : rule_accept(&x->c, "contact") ? NO_MATCH_CREATE_CONTACT : NO_MATCH_DEFAULT;
    x->r->no_match = n;
    if (n == NO_MATCH_DEFAULT)
        rule_error(&x->c, rule_peek(&x->c), NULL, "write: no-match park, no-match create case, no-match create contact or no-match drop");
    return n != NO_MATCH_DEFAULT;
}

static bool read_update(struct draft *x)
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

static bool read_hold(struct draft *x) { return read_text_action(x, RULE_HOLD); }
static bool read_drop(struct draft *x) { return read_text_action(x, RULE_DROP); }

static const struct { const char *word; bool (*read)(struct draft *x); } statements[] = {
    {"from", read_from}, {"when", read_when}, {"allow", read_allow}, {"require", read_require}, {"lookup", read_lookup},
    {"set", read_set}, {"send", read_send}, {"hold", read_hold}, {"drop", read_drop},
    {"no-match", read_no_match}, {"update", read_update},
};
#define STATEMENTS (sizeof statements / sizeof statements[0])

static bool is_statement(const struct token *t)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        if (token_is(t, statements[i].word))
            return true;
    return false;
}

static void read_stmt(struct draft *x, const struct lexer_stmt *stmt)
{
    const char *names[STATEMENTS];
    char hint[80];
    x->c.s = stmt;
    x->c.i = 0;
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
        x->c.i++;
        if (!statements[i].read(x))
            return;
    }
    if (stmt->has_block)
        diag_add(x->s->d, DIAG_ERROR, stmt->block_at, NULL, "\"%.*s\" takes no block", SPAN_ARG(stmt->v[0].text));
}

static void compile_route(struct ruleset *rs, const struct rule_setup *s, const struct lexer_stmt *stmt)
{
    struct rule_route *r = &rs->routes[rs->n_routes];
    struct draft x = {.c = {.d = s->d, .rs = rs, .tables = s->tables, .s = stmt, .i = 1}, .s = s, .r = r};
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
    for (size_t i = 0; i < stmt->n_body; i++)
        read_stmt(&x, &stmt->body[i]);
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
