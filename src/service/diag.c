/*
 * NAME
 *     diag - mistakes of a configuration, collected and printed with their line and a caret
 * DESCRIPTION
 *     Keeps a copy of every source text and at most 200 entries; the rest is counted. Entries are printed in the order of the
 *     sources' registration and of their place, whatever order they were found in.
 * DIAGNOSTICS
 *     None of its own. The text form is described in diag.h; the JSON form is
 *     {"errors":N,"warnings":N,"items":[{"level","file","line","column","text","hint"}]}.
 */
#include "diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xmem.h"

#define KEPT_MAX 200u
#define LINE_MAX_CHARS 160u

struct source {
    char *name, *text;
    size_t n;
};
struct entry {
    enum diag_level level;
    struct diag_place at;
    size_t order;
    char *text, *hint;
};
struct diag {
    struct source *sources;
    size_t n_sources;
    struct entry *v;
    size_t n, errors, warnings;
};

struct diag *diag_new(void)
{
    return xcalloc(1, sizeof(struct diag));
}

void diag_free(struct diag *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_sources; i++) {
        free(d->sources[i].name);
        free(d->sources[i].text);
    }
    for (size_t i = 0; i < d->n; i++) {
        free(d->v[i].text);
        free(d->v[i].hint);
    }
    free(d->sources);
    free(d->v);
    free(d);
}

unsigned diag_source(struct diag *d, const char *name, struct span text)
{
    d->sources = xreallocarray(d->sources, d->n_sources + 1, sizeof *d->sources);
    d->sources[d->n_sources] = (struct source){xstrdup(name), xstrndup(text.n ? text.p : "", text.n), text.n};
    return (unsigned)d->n_sources++;
}

const char *diag_source_name(const struct diag *d, unsigned file)
{
    return file < d->n_sources ? d->sources[file].name : "";
}

bool diag_source_find(const struct diag *d, const char *name, unsigned *file)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        const char *slash = strrchr(d->sources[i].name, '/');
        if (strcmp(d->sources[i].name, name) == 0 || (slash && strcmp(slash + 1, name) == 0)) {
            *file = (unsigned)i;
            return true;
        }
    }
    return false;
}

struct span diag_source_line(const struct diag *d, unsigned file, unsigned line)
{
    struct span rest = file < d->n_sources ? span_of(d->sources[file].text) : SPAN_ABSENT, l = SPAN_ABSENT;
    for (unsigned i = 0; i < line; i++)
        if (!span_next(&rest, '\n', &l))
            return SPAN_ABSENT;
    return l;
}

void diag_add(struct diag *d, enum diag_level level, struct diag_place at, const char *hint, const char *fmt, ...)
{
    if (level == DIAG_ERROR)
        d->errors++;
    else
        d->warnings++;
    if (d->n >= KEPT_MAX)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < d->n; i++)       /* the same mistake found twice on its way is one mistake */
        if (d->v[i].at.file == at.file && d->v[i].at.line == at.line && d->v[i].at.col == at.col && at.line > 0 &&
            strcmp(d->v[i].text, text) == 0) {
            if (level == DIAG_ERROR)
                d->errors--;
            else
                d->warnings--;
            return;
        }
    d->v = xreallocarray(d->v, d->n + 1, sizeof *d->v);
    d->v[d->n] = (struct entry){level, at, d->n, xstrdup(text), hint ? xstrdup(hint) : NULL};
    d->n++;
}

const char *diag_guess(struct span word, const char *const *words, size_t n, char *out, size_t room)
{
    const char *near = text_nearest(word, words, n);
    for (size_t i = 0; !near && word.n >= 3 && i < n; i++)     /* the start of a longer word: hl7 of hl7v2 */
        if (strncmp(words[i], word.p, word.n) == 0)
            near = words[i];
    if (!near)
        return NULL;
    (void)snprintf(out, room, "did you mean \"%s\"?", near);
    return out;
}

size_t diag_errors(const struct diag *d)
{
    return d->errors;
}

size_t diag_warnings(const struct diag *d)
{
    return d->warnings;
}

static int by_place(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    unsigned ka[3] = {a->at.file, a->at.line, a->at.col}, kb[3] = {b->at.file, b->at.line, b->at.col};
    for (size_t i = 0; i < 3; i++)
        if (ka[i] != kb[i])
            return ka[i] < kb[i] ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static struct entry *sorted(const struct diag *d)
{
    struct entry *v = xreallocarray(NULL, d->n + 1, sizeof *v);
    if (d->n)
        memcpy(v, d->v, d->n * sizeof *v);
    qsort(v, d->n, sizeof *v, by_place);
    return v;
}

static struct span line_of(const struct source *s, unsigned line)
{
    struct span rest = {s->text, s->n}, out = SPAN_ABSENT;
    for (unsigned i = 0; i < line; i++)
        if (!span_next(&rest, '\n', &out))
            return SPAN_ABSENT;
    while (out.n && out.p[out.n - 1] == '\r')
        out.n--;
    return out;
}

/* Tabs and other control characters take one column, bytes that are no UTF-8 a question mark: the caret must hit. */
static size_t add_line(struct buf *b, struct span line)
{
    size_t chars = 0;
    while (line.n && chars < LINE_MAX_CHARS) {
        size_t n = text_utf8_len(line);
        if (n == 0)
            buf_addc(b, '?');
        else if (n == 1 && ((unsigned char)line.p[0] < 0x20 || line.p[0] == 0x7f))
            buf_addc(b, ' ');
        else
            buf_add(b, line.p, n);
        line = span_from(line, n ? n : 1);
        chars++;
    }
    return chars;
}

static void add_excerpt(const struct diag *d, const struct entry *e, struct buf *b)
{
    if (e->at.line == 0 || e->at.file >= d->n_sources)
        return;
    struct span line = line_of(&d->sources[e->at.file], e->at.line);
    if (span_is_absent(line) && e->at.col > 1)
        return;
    buf_addf(b, "%5u | ", e->at.line);
    size_t chars = add_line(b, line);
    while (b->n && b->p[b->n - 1] == ' ')
        b->n--;
    buf_adds(b, "\n      |");
    if (e->at.col >= 1 && e->at.col <= chars + 1) {
        buf_addc(b, ' ');
        for (unsigned i = 1; i < e->at.col; i++)
            buf_addc(b, ' ');
        buf_addc(b, '^');
        for (unsigned i = 1; i < e->at.width && e->at.col + i <= chars; i++)
            buf_addc(b, '~');
    }
    if (e->hint)
        buf_addf(b, " %s", e->hint);
    buf_addc(b, '\n');
}

static void add_count(struct buf *b, size_t n, const char *word)
{
    buf_addf(b, "%zu %s%s", n, word, n == 1 ? "" : "s");
}

void diag_format(const struct diag *d, struct buf *b)
{
    struct entry *v = sorted(d);
    for (size_t i = 0; i < d->n; i++) {
        const struct entry *e = &v[i];
        buf_adds(b, diag_source_name(d, e->at.file));
        if (e->at.line)
            buf_addf(b, ":%u:%u", e->at.line, e->at.col ? e->at.col : 1);
        buf_addf(b, ": %s: %s\n", e->level == DIAG_ERROR ? "error" : "warning", e->text);
        if (e->at.line)
            add_excerpt(d, e, b);
        else if (e->hint)
            buf_addf(b, "      | %s\n", e->hint);
    }
    free(v);
    if (d->errors + d->warnings > d->n)
        buf_addf(b, "… and %zu more.\n", d->errors + d->warnings - d->n);
    if (d->errors)
        add_count(b, d->errors, "error");
    if (d->errors && d->warnings)
        buf_adds(b, ", ");
    if (d->warnings)
        add_count(b, d->warnings, "warning");
    if (d->errors + d->warnings)
        buf_adds(b, ".\n");
}

void diag_format_json(const struct diag *d, struct buf *b)
{
    struct entry *v = sorted(d);
    buf_addc(b, '{');
    buf_json_kint(b, "errors", (int64_t)d->errors);
    buf_json_kint(b, "warnings", (int64_t)d->warnings);
    buf_json_key(b, "items");
    buf_addc(b, '[');
    for (size_t i = 0; i < d->n; i++) {
        const struct entry *e = &v[i];
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "level", e->level == DIAG_ERROR ? "error" : "warning");
        buf_json_kv(b, "file", diag_source_name(d, e->at.file));
        buf_json_kint(b, "line", e->at.line);
        buf_json_kint(b, "column", e->at.col);
        buf_json_kv(b, "text", e->text);
        buf_json_opt(b, "hint", span_of(e->hint));
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
    free(v);
}
