/*
 * NAME
 *     option - reads blocks of statements by option tables
 * DESCRIPTION
 *     A line may hold several options: after a value the next word has to be an option again. Lists take words up to the next
 *     option name. Every mistake is reported at its word; a statement with a mistake is given up, the next one is read.
 * DIAGNOSTICS
 *     Through the diag of the reader only. A default text that its own row refuses is our bug and aborts.
 */
#include "option.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "option_value.h"
#include "text.h"
#include "xmem.h"

#define NAMES_MAX 160u

struct seen { unsigned line; bool is_set; };

struct block {
    const struct option_reader *r;
    struct seen *seen[4];
    const char *names[NAMES_MAX];
    size_t n_names;
};

static const struct option_row *row_find(const struct option_table *t, struct span name)
{
    for (size_t i = 0; i < t->n; i++)
        if (span_is(name, t->rows[i].name))
            return &t->rows[i];
    return NULL;
}

static void collect_names(struct block *b)
{
    for (size_t l = 0; l < b->r->n_layers; l++)
        for (size_t i = 0; i < b->r->layers[l].table->n && b->n_names < NAMES_MAX; i++)
            b->names[b->n_names++] = b->r->layers[l].table->rows[i].name;
    for (size_t i = 0; b->r->special_names && b->r->special_names[i] && b->n_names < NAMES_MAX; i++)
        b->names[b->n_names++] = b->r->special_names[i];
}

static bool is_name(const void *ctx, struct span word)
{
    const struct block *b = ctx;
    for (size_t i = 0; i < b->n_names; i++)
        if (span_is(word, b->names[i]))
            return true;
    return false;
}

static bool is_repeatable(const struct option_row *row)
{
    return row->type == OPT_LIST || row->type == OPT_NETS || row->may_repeat;
}

/* A second mention is an error, except for lists. */
static int check_twice(struct block *b, struct option_args *a, const struct option_row *row, struct seen *seen)
{
    unsigned line = a->stmt->v[a->i - 1].at.line;
    if (seen->is_set && !is_repeatable(row))
        return option_error(a, NULL, "%s is set twice in %s; first in line %u", row->name, b->r->what, seen->line);
    if (!seen->is_set)
        *seen = (struct seen){line, true};
    return 0;
}

/* An option that stands there, though its line could not be read, is not missing as well. */
static void mark_seen(struct block *b, struct span name, unsigned line)
{
    for (size_t l = 0; l < b->r->n_layers; l++) {
        const struct option_table *t = b->r->layers[l].table;
        const struct option_row *row = row_find(t, name);
        if (row && !b->seen[l][row - t->rows].is_set)
            b->seen[l][row - t->rows] = (struct seen){line, true};
    }
}

static void unknown(struct block *b, struct option_args *a)
{
    const struct token *t = &a->stmt->v[a->i];
    a->i++;
    if (t->kind != TOKEN_WORD) {
        (void)option_error(a, NULL, "unexpected %s in %s: an option name is expected here", t->kind == TOKEN_STRING ? "string" : "sign", b->r->what);
        return;
    }
    const char *near = text_nearest(t->text, b->names, b->n_names);
    char hint[96];
    if (near)
        mark_seen(b, span_of(near), t->at.line);
    (void)option_error(a, diag_guess(t->text, b->names, b->n_names, hint, sizeof hint), "unknown option \"%.*s\" in %s", SPAN_ARG(t->text), b->r->what);
}

/* One option with its value. False when the rest of the statement cannot be understood. */
static bool read_one(struct block *b, struct option_args *a, bool *took_block)
{
    const struct token *t = &a->stmt->v[a->i];
    a->is_refused = false;
    for (size_t l = 0; l < b->r->n_layers && t->kind == TOKEN_WORD; l++) {
        const struct option_table *table = b->r->layers[l].table;
        const struct option_row *row = row_find(table, t->text);
        if (!row)
            continue;
        a->i++;
        a->name = row->name;
        if (check_twice(b, a, row, &b->seen[l][row - table->rows]))
            return false;
        return option_value_read(row, (char *)b->r->layers[l].values + row->offset, a) == 0;
    }
    for (size_t i = 0; t->kind == TOKEN_WORD && b->r->special_names && b->r->special_names[i]; i++)
        if (span_is(t->text, b->r->special_names[i])) {
            a->i++;
            a->name = b->r->special_names[i];
            *took_block = b->r->special(b->r->ctx, a->name, a, a->stmt);
            return true;
        }
    unknown(b, a);
    return false;
}

static void read_stmt(struct block *b, const struct lexer_stmt *s)
{
    struct option_args a = {.diag = b->r->diag, .config_file = b->r->config_file, .stmt = s, .is_name = is_name, .ctx = b};
    bool took_block = false, is_read = true;
    while (a.i < s->n && is_read)
        is_read = read_one(b, &a, &took_block);
    for (size_t i = a.i; !is_read && i < s->n; i++)
        if (s->v[i].kind == TOKEN_WORD)
            mark_seen(b, s->v[i].text, s->v[i].at.line);
    if (is_read && s->has_block && !took_block)
        diag_add(b->r->diag, DIAG_ERROR, s->block_at, NULL, "\"%s\" takes no block", a.name ? a.name : "");
}

static void finish_row(const struct block *b, const struct option_layer *layer, const struct option_row *row, const struct seen *seen)
{
    if (seen->is_set)
        return;
    if (row->is_required) {
        char hint[160];
        (void)snprintf(hint, sizeof hint, "add: %s %s", row->name, option_value_syntax(row));
        diag_add(b->r->diag, DIAG_ERROR, b->r->at, hint, "%s is missing in %s", row->name, b->r->what);
        return;
    }
    if (option_value_default(row, (char *)layer->values + row->offset))
        abort();
    if (b->r->on_default)
        b->r->on_default(b->r->default_ctx, row);
}

void option_read_block(const struct option_reader *r, const struct lexer_stmt *body, size_t n)
{
    struct block b = {.r = r};
    size_t errors = diag_errors(r->diag);
    for (size_t l = 0; l < r->n_layers; l++)
        b.seen[l] = xcalloc(r->layers[l].table->n + 1, sizeof(struct seen));
    collect_names(&b);
    for (size_t i = 0; i < n; i++)
        read_stmt(&b, &body[i]);
    for (size_t l = 0; l < r->n_layers; l++)
        for (size_t i = 0; i < r->layers[l].table->n; i++)
            finish_row(&b, &r->layers[l], &r->layers[l].table->rows[i], &b.seen[l][i]);
    for (size_t l = 0; l < r->n_layers && diag_errors(r->diag) == errors; l++) {
        struct err e = ERR_INIT;
        if (r->layers[l].table->check && r->layers[l].table->check(r->layers[l].values, &e)) {
            struct diag_place at = r->at;
            for (size_t i = 0; i < n; i++)      /* the option that the check names */
                if (e.where[0] && span_is(body[i].v[0].text, e.where))
                    at = body[i].v[0].at;
            diag_add(r->diag, DIAG_ERROR, at, NULL, "%s", e.text);
        }
    }
    for (size_t l = 0; l < r->n_layers; l++)
        free(b.seen[l]);
}

int option_set_defaults(const struct option_table *t, void *values)
{
    for (size_t i = 0; i < t->n; i++)
        if (option_value_default(&t->rows[i], (char *)values + t->rows[i].offset))
            return -1;
    return 0;
}

void option_free_values(const struct option_table *t, void *values)
{
    for (size_t i = 0; values && i < t->n; i++)
        option_value_free(&t->rows[i], (char *)values + t->rows[i].offset);
}

static void add_syntax(struct buf *b, const struct option_row *r)
{
    for (const char *p = option_value_syntax(r); *p; p++)
        buf_addc(b, r->type == OPT_CHOICE && !r->syntax && *p == ' ' ? '|' : *p);
}

void option_help(const struct option_table *t, struct buf *b)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct option_row *r = &t->rows[i];
        size_t from = b->n;
        buf_addf(b, "    %s ", r->name);
        add_syntax(b, r);
        size_t width = b->n - from;
        while (width++ < 36)
            buf_addc(b, ' ');
        buf_addf(b, "  %s", r->help ? r->help : "");
        if (r->is_required)
            buf_adds(b, " (required)");
        else if (r->def && r->def[0])
            buf_addf(b, " (default %s)", r->def);
        buf_addc(b, '\n');
    }
}

/* mdoc: a leading dot or quote and backslashes would be requests. */
static void add_mdoc_text(struct buf *b, const char *s)
{
    if (*s == '.' || *s == '\'')
        buf_adds(b, "\\&");
    if (s[0] >= 'a' && s[0] <= 'z' && ((s[1] >= 'a' && s[1] <= 'z') || s[1] == ' '))      /* a sentence there, a remark in --help */
        buf_addc(b, (char)(*s++ - 'a' + 'A'));
    for (; *s; s++) {
        if (*s == '\\')
            buf_adds(b, "\\e");
        else
            buf_addc(b, *s);
    }
}

/* One quoted argument: quotes are doubled, choices get bars. */
static void add_mdoc_argument(struct buf *b, const char *s, bool are_choices)
{
    buf_addc(b, '"');
    for (; *s; s++) {
        if (*s == '"')
            buf_adds(b, "\\(dq");
        else
            buf_addc(b, are_choices && *s == ' ' ? '|' : *s);
    }
    buf_adds(b, "\"\n");
}

void option_mdoc(const struct option_table *t, struct buf *b)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct option_row *r = &t->rows[i];
        buf_addf(b, ".It Ic %s Ar ", r->name);
        add_mdoc_argument(b, option_value_syntax(r), r->type == OPT_CHOICE && !r->syntax);
        add_mdoc_text(b, r->help && r->help[0] ? r->help : r->name);
        buf_adds(b, ".\n");
        if (r->is_required)
            buf_adds(b, "Required.\n");
        else if (r->def && r->def[0])
            buf_addf(b, "Default:\n.Ql %s .\n", r->def);
    }
}
