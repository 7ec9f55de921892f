/*
 * NAME conf_hide - hides what a configuration says about secrets and people.
 *
 * Works on the text, line by line, so that it also serves a file with mistakes: a string behind the name of an option that takes a
 * credential is hidden unless `credential` stands between them; so is every string in a line that speaks of a patient's field, and what
 * stands before @ in a URL. Comments are cut. No diagnostics.
 */
#include "conf_hide.h"

#include <string.h>

#define HIDDEN "\"(hidden)\""

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static bool table_has(const struct option_table *t, struct span word)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].type == OPT_CREDENTIAL && span_is(word, t->rows[i].name))
            return true;
    return false;
}

static bool takes_secret(struct span word, const struct modules *m)
{
    const char *name;
    const struct option_table *t;
    if (span_is(word, "password") || span_is(word, "token") || span_is(word, "secret") || span_is(word, "webhook"))
        return true;
    for (size_t i = 0; (t = config_tables(i, &name)) != NULL; i++)
        if (table_has(t, word))
            return true;
    for (size_t i = 0; m->listeners[i]; i++)
        if (table_has(&m->listeners[i]->options, word))
            return true;
    for (size_t i = 0; m->writers[i]; i++)
        if (table_has(&m->writers[i]->options, word))
            return true;
    for (size_t i = 0; m->parsers[i]; i++)
        if (table_has(&m->parsers[i]->options, word))
            return true;
    return false;
}

static bool speaks_of_people(struct span line)
{
    static const char *const words[] = {"patient", "person", "Patient", "PID", "NK1", "case.", "contact."};
    for (size_t i = 0; i < line.n; i++)
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
            if (span_starts(span_from(line, i), words[k]))
                return true;
    return false;
}

/* The end of a string or regex that begins at i; the line's end when it is not closed. */
static size_t end_of(struct span line, size_t i)
{
    char quote = line.p[i++];
    while (i < line.n && line.p[i] != quote)
        i += line.p[i] == '\\' ? 2 : 1;
    return i < line.n ? i + 1 : line.n;
}

/* "smtp://me:secret@host" → "smtp://(hidden)@host" */
static void put_string(struct span s, struct buf *out)
{
    size_t scheme = 0, at = span_find(s, '@');
    while (scheme + 3 <= s.n && memcmp(s.p + scheme, "://", 3) != 0)
        scheme++;
    if (scheme + 3 > s.n || at >= s.n || at < scheme) {
        buf_add_span(out, s);
        return;
    }
    buf_add_span(out, span_cut(s, 0, scheme + 3));
    buf_adds(out, "(hidden)");
    buf_add_span(out, span_from(s, at));
}

static void hide_line(struct span line, const struct modules *m, bool *is_secret_next, struct buf *out)
{
    bool is_person = speaks_of_people(line), is_secret = *is_secret_next;
    for (size_t i = 0; i < line.n;) {
        char c = line.p[i];
        if (c == '#')
            break;
        if (c == '"') {
            size_t end = end_of(line, i);
            if (is_secret || is_person)
                buf_adds(out, HIDDEN);
            else
                put_string(span_cut(line, i, end - i), out);
            is_secret = false;
            i = end;
        } else if (c == '/' && (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '~')) {
            size_t end = end_of(line, i);
            if (is_person)
                buf_adds(out, "/(hidden)/");
            else
                buf_add_span(out, span_cut(line, i, end - i));
            i = end;
        } else if (is_word_char(c)) {
            size_t end = i;
            while (end < line.n && is_word_char(line.p[end]))
                end++;
            struct span word = span_cut(line, i, end - i);
            is_secret = takes_secret(word, m);
            buf_add_span(out, word);
            i = end;
        } else {
            buf_addc(out, c);
            i++;
        }
    }
    *is_secret_next = is_secret && line.n && line.p[line.n - 1] == '\\';
    buf_addc(out, '\n');
}

void conf_hide(struct span text, const struct modules *m, struct buf *out)
{
    struct span line;
    bool is_secret_next = false;
    while (span_next(&text, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        hide_line(line, m, &is_secret_next, out);
    }
}
