/*
 * NAME
 *     conf_effective - what `labrelay show --effective` prints
 * DESCRIPTION
 *     Statements are written as they were read, a line each, so that nothing has to be turned back from values into words; behind those of a block come
 *     the options that nobody named, with their defaults, which are configuration text already. A secret that stands in the configuration itself becomes
 *     "hidden"; `credential "name"` names a file and stays.
 * DIAGNOSTICS
 *     None.
 */
#include "conf_effective.h"

#include <string.h>

static void indent(struct effective *x)
{
    for (unsigned i = 0; i < x->depth; i++)
        buf_adds(x->out, "    ");
}

static void add_string(struct buf *b, struct span s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_addc(b, '\\');
        if (s.p[i] == '\n')
            buf_adds(b, "\\n");
        else if (s.p[i] == '\t')
            buf_adds(b, "\\t");
        else
            buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

static void add_token(struct buf *b, const struct token *t)
{
    switch (t->kind) {
    case TOKEN_WORD:
    case TOKEN_OP:
        buf_add_span(b, t->text);
        return;
    case TOKEN_STRING:
        add_string(b, t->text);
        return;
    case TOKEN_REGEX:
        buf_addf(b, "/%.*s/%s", SPAN_ARG(t->text), t->is_nocase ? "i" : "");
        return;
    }
}

static bool is_secret(const struct token *t, const struct option_table *const *tables, size_t n)
{
    for (size_t k = 0; t->kind == TOKEN_WORD && k < n; k++)
        for (size_t i = 0; i < tables[k]->n; i++)
            if (tables[k]->rows[i].type == OPT_CREDENTIAL && span_is(t->text, tables[k]->rows[i].name))
                return true;
    return false;
}

/* Blanks stand where they were: a bracket right behind a name is another thing than one behind a blank. */
static bool is_apart(const struct token *a, const struct token *b)
{
    if (a->at.file != b->at.file || a->at.line != b->at.line)
        return true;
    if (a->kind == TOKEN_STRING || a->kind == TOKEN_REGEX)
        return !token_is(b, ",") && !token_is(b, ")");
    return b->at.col > a->at.col + a->at.width;
}

static void add_words(struct effective *x, const struct lexer_stmt *s, size_t from, size_t to, const struct option_table *const *tables, size_t n)
{
    for (size_t i = from; i < to; i++) {
        bool is_hidden = i > 0 && s->v[i].kind == TOKEN_STRING && is_secret(&s->v[i - 1], tables, n);
        if (i > from && is_apart(&s->v[i - 1], &s->v[i]))
            buf_addc(x->out, ' ');
        if (is_hidden)
            buf_adds(x->out, "\"hidden\"");
        else
            add_token(x->out, &s->v[i]);
    }
}

void effective_stmt(struct effective *x, const struct lexer_stmt *s, size_t from, size_t to, const struct option_table *const *tables, size_t n)
{
    bool is_part = to != 0;
    if (!x->out)
        return;
    indent(x);
    add_words(x, s, from, is_part ? to : s->n, tables, n);
    if (is_part || !s->has_block) {
        buf_addc(x->out, '\n');
        return;
    }
    buf_adds(x->out, " {\n");
    x->depth++;
    for (size_t i = 0; i < s->n_body; i++)
        effective_stmt(x, &s->body[i], 0, 0, tables, n);
    effective_close(x);
}

void effective_open(struct effective *x, const struct lexer_stmt *s)
{
    if (!x->out)
        return;
    buf_addc(x->out, '\n');
    indent(x);
    add_words(x, s, 0, s->n, NULL, 0);
    buf_adds(x->out, " {\n");
    x->depth++;
}

void effective_open_text(struct effective *x, const char *head)
{
    if (!x->out)
        return;
    indent(x);
    buf_addf(x->out, "%s {\n", head);
    x->depth++;
}

void effective_close(struct effective *x)
{
    if (!x->out)
        return;
    x->depth--;
    indent(x);
    buf_adds(x->out, "}\n");
}

void effective_default(void *ctx, const struct option_row *row)
{
    struct effective *x = ctx;
    if (!x->out || !row->def || !row->def[0])
        return;
    indent(x);
    buf_addf(x->out, "%s %s\n", row->name, row->def);
}
