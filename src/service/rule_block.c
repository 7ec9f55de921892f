/*
 * NAME
 *     rule_block - if, else, for each, note and flag inside a route: compiled and carried out
 * DESCRIPTION
 *     if CONDITION { … } else if CONDITION { … } else { … }
 *     for each [other] observation [where CONDITION] { … }
 *     note VALUE           a line in the notes; "text with {field}" takes fields in braces
 *     flag critical ["why"]
 *     Inside stand allow, require, lookup, set, note, flag, if, for each, and hold or drop, which end the route there. A condition that
 *     cannot be decided is not true: else is taken.
 * DIAGNOSTICS
 *     Through the diag while compiling. Running stops at the caps of rule_inner.h: x->is_over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery.h"
#include "rule_inner.h"
#include "text.h"

#define PIECES_MAX 64u

/* ---- compiling ---- */
static bool read_body(struct rule_draft *x, const struct lexer_stmt *stmt, struct rule_block *into)
{
    struct rule_block *outside = x->into;
    struct rule_compiler at = x->c;
    x->into = into;
    x->depth++;
    rule_route_read(x, stmt->body, stmt->n_body);
    x->depth--;
    x->into = outside;
    x->c = at;
    x->block = stmt;
    x->open_if = NULL;
    return true;
}

/* The block behind the words read so far: it ends the statement. */
static bool has_block(struct rule_draft *x, const char *usage)
{
    const struct lexer_stmt *s = x->c.s;
    if (x->c.i < s->n) {
        rule_error(&x->c, rule_peek(&x->c), usage, "a { is expected here, or and / or");
        return false;
    }
    if (s->has_block)
        return true;
    rule_error(&x->c, NULL, usage, "a { is missing behind this");
    return false;
}

static struct rule_todo *read_condition(struct rule_draft *x, struct rule_block *into)
{
    size_t from = x->c.i - 1;
    const struct token *word = &x->c.s->v[from];
    const struct rule_node *e = rule_parse_condition(&x->c);
    if (!e || !has_block(x, "write: if observation.status = \"final\" { … }"))
        return NULL;
    struct rule_block *outside = x->into;
    x->into = into;
    struct rule_todo *d = rule_todo_new(x, STEP_IF, word);
    x->into = outside;
    d->expr = e;
    d->text = rule_words(x, from, x->c.i);
    (void)read_body(x, x->c.s, &d->body);
    x->open_if = d;
    return d;
}

bool rule_read_if(struct rule_draft *x)
{
    return read_condition(x, x->into) != NULL;
}

bool rule_read_else(struct rule_draft *x)
{
    const struct token *word = &x->c.s->v[x->c.i - 1];
    struct rule_todo *before = x->open_if;
    if (!before || x->c.i != 1) {
        rule_error(&x->c, word, "write: if … { … } else { … }", "this else belongs to no if: it stands behind the } of one");
        return false;
    }
    if (rule_accept(&x->c, "if"))
        return read_condition(x, &before->otherwise) != NULL;
    if (!has_block(x, "write: else { … }, or else if … { … }"))
        return false;
    return read_body(x, x->c.s, &before->otherwise);
}

bool rule_read_for(struct rule_draft *x)
{
    static const char usage[] = "write: for each observation where … { … }";
    size_t from = x->c.i - 1;
    const struct token *word = &x->c.s->v[from];
    if (!rule_accept(&x->c, "each")) {
        rule_error(&x->c, rule_peek(&x->c), usage, "\"each\" is expected behind for");
        return false;
    }
    bool is_others = rule_accept(&x->c, "other");
    if (!rule_accept(&x->c, "observation")) {
        rule_error(&x->c, rule_peek(&x->c), usage, "\"observation\" is expected here");
        return false;
    }
    const struct rule_node *e = NULL;
    if (x->c.loops) {
        rule_error(&x->c, word, NULL, "for each cannot stand inside another for each");
        return false;
    }
    x->c.loops++;
    bool is_good = !rule_accept(&x->c, "where") || (e = rule_parse_condition(&x->c)) != NULL;
    x->c.loops--;
    if (!is_good || !has_block(x, usage))
        return false;
    struct rule_todo *d = rule_todo_new(x, STEP_FOR_EACH, word);
    d->expr = e;
    d->is_others = is_others;
    d->text = rule_words(x, from, x->c.i);
    x->c.loops++;
    (void)read_body(x, x->c.s, &d->body);
    x->c.loops--;
    return true;
}

/* ---- note ---- */
/* Notes say what was found, never whose it is (STANDARDS 8.3). */
static const char *identifies(const struct rule_node *n)
{
    static const char *const names[] = {"patient.family_name", "patient.given_name", "patient.middle_name", "patient.name_text", "patient.ids", "patient.old_ids",
                                        "patient.address", "patient.phone", "patient.email", "patient.birth_date", "patient.visit", "patient.notes"};
    static const char *const segments[] = {"PID", "NK1", "MRG", "GT1", "IN1", "IN2"};
    for (size_t i = 0; n->kind == NODE_FIELD && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(n->field->name, names[i]) == 0)
            return names[i];
    if (n->kind == NODE_FIELD && strncmp(n->field->name, "patient.address.", 16) == 0)
        return n->field->name;
    for (size_t i = 0; n->kind == NODE_HL7 && i < sizeof segments / sizeof segments[0]; i++)
        if (strcmp(n->path.segment, segments[i]) == 0)
            return segments[i];
    if (n->kind == NODE_FHIR && strcmp(n->fhir->type, "Patient") == 0)
        return "Patient";
    if (n->kind == NODE_CALL && (n->func == FUNC_YEARS || n->func == FUNC_DAYS || n->func == FUNC_AGE))
        return NULL;                    /* an age is no birth date */
    for (size_t i = 0; i < n->n; i++) {
        const char *found = n->args[i] ? identifies(n->args[i]) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static const struct rule_node *piece(struct rule_compiler *c, struct span text)
{
    struct rule_node *n = rule_alloc(c->rs, sizeof *n);
    *n = (struct rule_node){.kind = NODE_LITERAL, .type = RULE_T_TEXT, .literal = arena_dup(c->rs->a, text)};
    return n;
}

/* {field} of a string: its column is right unless an escape stands before it. */
static const struct rule_node *braced(struct rule_compiler *c, const struct token *t, size_t at, struct span name)
{
    struct token field = *t;
    field.kind = TOKEN_WORD;
    field.text = name;
    field.at.col += 1;
    for (size_t i = 0; i < at; i++)
        field.at.col += ((unsigned char)t->text.p[i] & 0xc0) != 0x80;
    field.at.width = name.n ? (unsigned)name.n : 1;
    return rule_field_node(c, &field);
}

const struct rule_node *rule_template(struct rule_compiler *c, const struct token *t)
{
    struct rule_node *n = rule_alloc(c->rs, sizeof *n);
    struct span rest = t->text;
    size_t at = 0;
    *n = (struct rule_node){.kind = NODE_TEMPLATE, .type = RULE_T_TEXT, .args = rule_alloc(c->rs, PIECES_MAX * sizeof *n->args)};
    while (rest.n) {
        size_t open = span_find(rest, '{');
        if (n->n + 2 > PIECES_MAX) {
            rule_error(c, t, NULL, "a text takes %u fields at most", PIECES_MAX / 2 - 1);
            return NULL;
        }
        if (open)
            n->args[n->n++] = piece(c, span_cut(rest, 0, open));
        if (open == rest.n)
            break;
        struct span inner = span_from(rest, open + 1);
        size_t close = span_find(inner, '}');
        if (close == inner.n) {
            struct token spot = *t;
            rule_error(c, &spot, "write: note \"Ct value {observation.value}\"", "a { in this text has no }");
            return NULL;
        }
        const struct rule_node *field = braced(c, t, at + open + 1, span_cut(inner, 0, close));
        if (!field)
            return NULL;
        n->args[n->n++] = field;
        at += open + close + 2;
        rest = span_from(inner, close + 1);
    }
    return n;
}

bool rule_read_note(struct rule_draft *x)
{
    size_t from = x->c.i - 1;
    const struct token *word = &x->c.s->v[from], *t = rule_peek(&x->c);
    const struct rule_node *e;
    if (!t) {
        rule_error(&x->c, t, "write: note \"Ct value {observation.value}\"", "note needs a text");
        return false;
    }
    if (t->kind == TOKEN_STRING) {
        if (!t->text.n) {
            rule_error(&x->c, t, NULL, "this note is empty");
            return false;
        }
        e = rule_template(&x->c, t);
        x->c.i++;
    } else {
        e = rule_parse_operand(&x->c);
    }
    if (!e)
        return false;
    if (e->type != RULE_T_TEXT && e->type != RULE_T_NUMBER && e->type != RULE_T_VALUE && e->type != RULE_T_DATE) {
        rule_error(&x->c, t, e->type == RULE_T_CODES ? "write code(…) or display(…)" : e->type == RULE_T_LIST || e->type == RULE_T_IDS ? "write first(…)" : NULL,
                   "note needs a text, not %s", rule_type_name(e->type));
        return false;
    }
    const char *who = identifies(e);
    if (who) {
        rule_error(&x->c, t, NULL, "notes never say who the patient is: %s cannot stand in one", who);
        return false;
    }
    struct rule_todo *d = rule_todo_new(x, STEP_NOTE, word);
    d->expr = e;
    d->text = rule_words(x, from, x->c.i);
    return true;
}

/* ---- flag ---- */
static const struct { const char *word; unsigned bit; } flag_words[] = {{"critical", DELIVERY_IS_CRITICAL}};
#define FLAG_WORDS (sizeof flag_words / sizeof flag_words[0])

bool rule_read_flag(struct rule_draft *x)
{
    const char *names[FLAG_WORDS];
    char hint[80];
    const struct token *word = &x->c.s->v[x->c.i - 1], *t = rule_peek(&x->c);
    for (size_t i = 0; i < FLAG_WORDS; i++) {
        names[i] = flag_words[i].word;
        if (!token_is(t, flag_words[i].word))
            continue;
        x->c.i++;
        struct rule_todo *d = rule_todo_new(x, STEP_FLAG, word);
        d->bits = flag_words[i].bit;
        const struct token *why = rule_peek(&x->c);
        if (why && why->kind == TOKEN_STRING) {
            x->c.i++;
            d->why = arena_dup(x->c.rs->a, why->text);
        }
        return true;
    }
    rule_error(&x->c, t, t ? diag_guess(t->text, names, FLAG_WORDS, hint, sizeof hint) : NULL, "flag takes critical");
    return false;
}

/* ---- running ---- */
bool rule_do_if(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    enum rule_truth t = rule_test(x, d->expr);
    rule_trace_add(x, d->file, d->line, "%.*s: %s", SPAN_ARG(d->text), rule_answer(t));
    return rule_do_steps(x, t == TRUTH_YES ? &d->body : &d->otherwise, out);
}

bool rule_do_for(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    const struct rec_observation *own = x->obs;
    bool goes_on = true;
    size_t n = 0;
    if (x->r->n > RULE_OTHERS_MAX)
        x->is_over = true;
    x->own = own;
    for (size_t i = 0; goes_on && !x->is_over && i < x->r->n; i++) {
        const struct rec_observation *o = &x->r->observations[i];
        if (o->role != OBS_RESULT || (d->is_others && o == own))
            continue;
        x->obs = o;
        if (d->expr && rule_test(x, d->expr) != TRUTH_YES)
            continue;
        n++;
        goes_on = rule_do_steps(x, &d->body, out);
    }
    x->obs = own;
    x->own = NULL;
    rule_trace_add(x, d->file, d->line, "%.*s: %zu", SPAN_ARG(d->text), n);
    return goes_on;
}

void rule_do_note(struct rule_scope *x, const struct rule_todo *d)
{
    struct rule_value v;
    rule_get(x, d->expr, &v);
    struct span text = span_trim(rule_text(&v));
    rule_trace_add(x, d->file, d->line, "%.*s%s", SPAN_ARG(d->text), span_has(text) ? "" : ": nothing to say");
    if (!span_has(text))
        return;
    if (x->n_notes >= RULE_NOTE_LINES_MAX) {
        x->is_over = true;
        return;
    }
    if (arena_grow(x->a, &x->notes, x->n_notes, &x->cap_notes, sizeof *x->notes))
        x->notes[x->n_notes++] = text;
}

void rule_do_flag(struct rule_scope *x, const struct rule_todo *d)
{
    bool is_first = !(x->flags & d->bits);
    x->flags |= d->bits;
    rule_trace_add(x, d->file, d->line, "flag critical%s%.*s%s", span_has(d->why) ? " \"" : "", SPAN_ARG(d->why), span_has(d->why) ? "\"" : "");
    if (x->n_notes >= RULE_NOTE_LINES_MAX || (!is_first && !span_has(d->why)))
        return;
    if (arena_grow(x->a, &x->notes, x->n_notes, &x->cap_notes, sizeof *x->notes))
        x->notes[x->n_notes++] = arena_printf(x->a, "CRITICAL%s%.*s", span_has(d->why) ? ": " : "", SPAN_ARG(d->why));
}

bool rule_do_end(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out)
{
    out->action = d->kind == STEP_DROP ? RULE_DROP : RULE_HOLD;
    out->reason = "RULE";
    out->detail = d->why;
    rule_trace_add(x, d->file, d->line, "%s \"%.*s\"", d->kind == STEP_DROP ? "drop" : "hold", SPAN_ARG(d->why));
    return false;
}
