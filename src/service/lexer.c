/*
 * NAME
 *     lexer - configuration text to statements
 * DESCRIPTION
 *     One pass, no backtracking. Bare words end at a blank or one of " { } ( ) , ; = < > ! ~ and at ->. A # opens a comment at the
 *     start of a word only. After ~ a /regular expression/ may stand.
 * DIAGNOSTICS
 *     Everything is reported to the diag with its place: open strings and blocks, wrong escapes, control characters, bytes that
 *     are no UTF-8, and the caps of lexer.h. An absent text (arena full) cannot happen below the caps and aborts.
 */
#include "lexer.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

struct lexer {
    struct diag *d;
    unsigned file;
    struct span s;              /* what is left */
    unsigned line, col;
    struct arena *a;
    struct lexer_budget *used;
    bool has_stopped;           /* a cap was reached and reported */
};

struct stmt_list { struct lexer_stmt *v; size_t n, cap; };
struct token_list { struct token *v; size_t n, cap; };

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

bool token_is(const struct token *t, const char *word)
{
    return t && (t->kind == TOKEN_WORD || t->kind == TOKEN_OP) && span_is(t->text, word);
}

struct diag_place lexer_after(const struct lexer_stmt *s)
{
    struct diag_place p = s->v[s->n - 1].at;
    p.col += p.width;
    p.width = 1;
    return p;
}

static struct diag_place here(const struct lexer *l)
{
    return (struct diag_place){l->file, l->line, l->col, 1};
}

static int peek(const struct lexer *l, size_t i)
{
    return i < l->s.n ? (unsigned char)l->s.p[i] : -1;
}

/* One character (a whole UTF-8 sequence) forward. */
static void step(struct lexer *l)
{
    size_t n = text_utf8_len(l->s);
    if (peek(l, 0) == '\n') {
        l->line++;
        l->col = 1;
    } else {
        l->col++;
    }
    l->s = span_from(l->s, n ? n : 1);
}

static bool starts_arrow(const struct lexer *l)
{
    return peek(l, 0) == '-' && peek(l, 1) == '>';
}

static bool ends_word(const struct lexer *l)
{
    int c = peek(l, 0);
    return c < 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' || strchr("\"{}(),;=<>!~", c) != NULL || starts_arrow(l);
}

static void stop(struct lexer *l, const char *what, unsigned max)
{
    if (!l->has_stopped)
        diag_add(l->d, DIAG_ERROR, here(l), NULL, "the configuration has more than %u %s", max, what);
    l->has_stopped = true;
    l->used->is_broken = true;
}

static struct token *new_token(struct lexer *l, struct token_list *t, enum token_kind kind)
{
    if (l->used->tokens >= LEXER_MAX_TOKENS) {
        stop(l, "words", LEXER_MAX_TOKENS);
        return NULL;
    }
    l->used->tokens++;
    if (!arena_grow(l->a, &t->v, t->n, &t->cap, sizeof *t->v))
        abort();
    struct token *x = &t->v[t->n++];
    *x = (struct token){.kind = kind, .at = here(l)};
    return x;
}

static void read_escape(struct lexer *l, char *out, size_t *n)
{
    struct diag_place at = here(l);
    at.width = 2;
    step(l);
    int c = peek(l, 0);
    if (c == '"' || c == '\\' || c == '/') {
        out[(*n)++] = (char)c;
    } else if (c == 'n') {
        out[(*n)++] = '\n';
    } else if (c == 't') {
        out[(*n)++] = '\t';
    } else {
        diag_add(l->d, DIAG_ERROR, at, "in a string write \\\" \\\\ \\n or \\t", "this escape does not exist");
        return;
    }
    step(l);
}

static void read_string(struct lexer *l, struct token_list *t)
{
    struct token *x = new_token(l, t, TOKEN_STRING);
    if (!x)
        return;
    struct diag_place at = here(l);
    step(l);
    size_t room = span_find(l->s, '\n'), n = 0;
    char *out = must(arena_alloc(l->a, room + 1));
    for (;;) {
        int c = peek(l, 0);
        if (c < 0 || c == '\n') {
            at.width = l->col - at.col;
            diag_add(l->d, DIAG_ERROR, at, "a string ends on the line where it began", "this string has no closing \"");
            break;
        }
        if (c == '"') {
            step(l);
            break;
        }
        if (c == '\\') {
            read_escape(l, out, &n);
            continue;
        }
        size_t len = text_utf8_len(l->s);
        memcpy(out + n, l->s.p, len ? len : 1);
        n += len ? len : 1;
        step(l);
    }
    out[n] = 0;
    x->text = (struct span){out, n};
    x->at.width = l->col - x->at.col;
}

static void read_regex(struct lexer *l, struct token_list *t)
{
    struct token *x = new_token(l, t, TOKEN_REGEX);
    if (!x)
        return;
    step(l);
    const char *start = l->s.p;
    size_t n = 0;
    bool is_escaped = false, is_closed = false;
    while (l->s.n && peek(l, 0) != '\n') {
        if (!is_escaped && peek(l, 0) == '/') {
            n = (size_t)(l->s.p - start);
            is_closed = true;
            step(l);
            break;
        }
        is_escaped = !is_escaped && peek(l, 0) == '\\';
        step(l);
    }
    if (is_closed && peek(l, 0) == 'i') {
        x->is_nocase = true;
        step(l);
    }
    x->at.width = l->col - x->at.col;
    x->text = arena_dup(l->a, (struct span){start, n});
    if (!is_closed)
        diag_add(l->d, DIAG_ERROR, x->at, "a regular expression is written /…/ on one line", "this regular expression has no closing /");
}

static void read_word(struct lexer *l, struct token_list *t)
{
    struct token *x = new_token(l, t, TOKEN_WORD);
    if (!x)
        return;
    const char *start = l->s.p;
    while (!ends_word(l))
        step(l);
    x->text = arena_dup(l->a, (struct span){start, (size_t)(l->s.p - start)});
    x->at.width = l->col - x->at.col;
}

static bool read_op(struct lexer *l, struct token_list *t)
{
    static const char *const ops[] = {"!=", "<=", ">=", "->", "=", "<", ">", "(", ")", ",", "~"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!span_starts(l->s, ops[i]))
            continue;
        struct token *x = new_token(l, t, TOKEN_OP);
        if (!x)
            return true;
        x->text = span_of(ops[i]);
        x->at.width = (unsigned)x->text.n;
        for (size_t k = 0; k < x->text.n; k++)
            step(l);
        return true;
    }
    return false;
}

static void skip_comment(struct lexer *l)
{
    while (l->s.n && peek(l, 0) != '\n')
        step(l);
}

/* Blanks, and with `lines` also line ends and comments. */
static void skip_blanks(struct lexer *l, bool lines)
{
    for (;;) {
        int c = peek(l, 0);
        if (c == ' ' || c == '\t' || c == '\r' || (lines && (c == '\n' || c == ';')))
            step(l);
        else if (c == '#')
            skip_comment(l);
        else
            return;
    }
}

/* Does the statement go on although the line ends here? */
static bool goes_on(struct lexer *l, const struct token_list *t, unsigned parens)
{
    const struct token *last = t->n ? &t->v[t->n - 1] : NULL;
    if (!last)
        return false;
    if (parens || token_is(last, ",") || token_is(last, "and") || token_is(last, "or") || token_is(last, "not"))
        return true;
    struct lexer ahead = *l;
    skip_blanks(&ahead, true);
    struct span rest = ahead.s;
    for (size_t i = 0; i < 2; i++) {
        static const char *const joins[] = {"and", "or"};
        size_t n = strlen(joins[i]);
        if (span_starts(rest, joins[i]) && rest.n > n && (rest.p[n] == ' ' || rest.p[n] == '\t' || rest.p[n] == '('))
            return true;
    }
    return false;
}

/* The words of one statement, up to its end or its block. */
static void read_words(struct lexer *l, struct token_list *t)
{
    unsigned parens = 0;
    while (!l->has_stopped) {
        skip_blanks(l, false);
        int c = peek(l, 0);
        if (c == '\\' && (peek(l, 1) == '\n' || (peek(l, 1) == '\r' && peek(l, 2) == '\n'))) {
            step(l);
            skip_blanks(l, true);
            continue;
        }
        if (c == '\n' && goes_on(l, t, parens)) {
            skip_blanks(l, true);
            continue;
        }
        if (c < 0 || c == '\n' || c == ';' || c == '{' || c == '}')
            return;
        if (c == '"') {
            read_string(l, t);
        } else if (c == '/' && t->n && token_is(&t->v[t->n - 1], "~")) {
            read_regex(l, t);
        } else if (read_op(l, t)) {
            if (c == '(')
                parens++;
            else if (c == ')' && parens)
                parens--;
        } else if (ends_word(l)) {      /* a lone ! */
            diag_add(l->d, DIAG_ERROR, here(l), "write != for \"is not\"", "unexpected character \"%c\"", c);
            step(l);
        } else {
            read_word(l, t);
        }
    }
}

static void read_block(struct lexer *l, unsigned depth, struct stmt_list *out);

static void unclosed(struct lexer *l, struct diag_place at)
{
    l->used->is_broken = true;
    diag_add(l->d, DIAG_ERROR, at, "add a }", "this { is never closed");
}

static void read_stmt(struct lexer *l, unsigned depth, struct stmt_list *out)
{
    struct token_list t = {0};
    read_words(l, &t);
    struct lexer_stmt s = {.v = t.v, .n = t.n};
    if (peek(l, 0) == '{' && !l->has_stopped) {
        s.has_block = true;
        s.block_at = here(l);
        step(l);
        struct stmt_list body = {0};
        if (depth + 1 > LEXER_MAX_DEPTH) {
            diag_add(l->d, DIAG_ERROR, s.block_at, NULL, "blocks are nested deeper than %u", LEXER_MAX_DEPTH);
            l->has_stopped = true;
            l->used->is_broken = true;
            return;
        }
        read_block(l, depth + 1, &body);
        s.body = body.v;
        s.n_body = body.n;
        if (peek(l, 0) == '}')
            step(l);
        else if (!l->has_stopped)
            unclosed(l, s.block_at);
        if (!s.n) {
            l->used->is_broken = true;
            diag_add(l->d, DIAG_ERROR, s.block_at, "put the { on the line of the words it belongs to", "this block belongs to nothing");
            return;
        }
    }
    if (!s.n)
        return;
    if (l->used->stmts >= LEXER_MAX_STMTS) {
        stop(l, "statements", LEXER_MAX_STMTS);
        return;
    }
    l->used->stmts++;
    if (!arena_grow(l->a, &out->v, out->n, &out->cap, sizeof *out->v))
        abort();
    out->v[out->n++] = s;
}

static void read_block(struct lexer *l, unsigned depth, struct stmt_list *out)
{
    while (!l->has_stopped) {
        skip_blanks(l, true);
        int c = peek(l, 0);
        if (c < 0)
            return;
        if (c == '}') {
            if (depth)
                return;
            l->used->is_broken = true;
            diag_add(l->d, DIAG_ERROR, here(l), NULL, "this } closes nothing");
            step(l);
            continue;
        }
        read_stmt(l, depth, out);
    }
}

/* The first bytes that cannot stand in a configuration: reported once. */
static void check_bytes(struct lexer l)
{
    while (l.s.n) {
        int c = peek(&l, 0);
        if (text_utf8_len(l.s) == 0) {
            diag_add(l.d, DIAG_ERROR, here(&l), "save the file as UTF-8", "this byte (0x%02x) is no UTF-8", (unsigned)c);
            return;
        }
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
            diag_add(l.d, DIAG_ERROR, here(&l), NULL, "control character 0x%02x", (unsigned)c);
            return;
        }
        step(&l);
    }
}

void lexer_read(struct diag *d, unsigned file, struct span text, struct arena *a, struct lexer_budget *used,
                struct lexer_stmt **out, size_t *n_out)
{
    struct lexer l = {.d = d, .file = file, .s = text, .line = 1, .col = 1, .a = a, .used = used};
    struct stmt_list list = {0};
    if (text.n > LEXER_MAX_FILE) {
        diag_add(d, DIAG_ERROR, (struct diag_place){.file = file}, NULL, "the file is larger than 1 MB");
        l.s.n = 0;
    }
    if (span_starts(l.s, "\xef\xbb\xbf")) {
        diag_add(d, DIAG_WARNING, here(&l), "save it as \"UTF-8\", not \"UTF-8 with BOM\"", "the file starts with a byte order mark");
        l.s = span_from(l.s, 3);
    }
    check_bytes(l);
    read_block(&l, 0, &list);
    *out = list.v;
    *n_out = list.n;
}
