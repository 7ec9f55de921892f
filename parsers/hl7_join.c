/*
 * NAME hl7_join - a message that was sent in parts, as one (STANDARDS 2.9).
 * The lines are copied as they are, so that the charset and the delimiters of the first part hold for all. `ADD|rest` at the beginning
 * of a part stays: it continues the last segment before it, and the reader joins the two.
 * DIAGNOSTICS none.
 */
#include <string.h>

#include "hl7_lex.h"

/* The next line with its terminators behind it. */
static bool next_line(struct span *rest, struct span *line)
{
    size_t i = 0;
    if (!rest->n)
        return false;
    while (i < rest->n && rest->p[i] != '\r' && rest->p[i] != '\n')
        i++;
    while (i < rest->n && (rest->p[i] == '\r' || rest->p[i] == '\n'))
        i++;
    *line = span_cut(*rest, 0, i);
    *rest = span_from(*rest, i);
    return true;
}

static bool is_segment(struct span line, const char *id, char sep)
{
    return line.n >= 3 && span_is_nocase(span_cut(line, 0, 3), id) && (line.n == 3 || line.p[3] == sep);
}

struct joined { char *p; size_t n; };

static void put(struct joined *j, struct span line)
{
    if (j->n && j->p[j->n - 1] != '\r' && j->p[j->n - 1] != '\n')
        j->p[j->n++] = '\r';
    if (line.n)
        memcpy(j->p + j->n, line.p, line.n);
    j->n += line.n;
}

static void put_part(struct joined *j, struct span part, char sep, bool is_first, bool keeps_dsc)
{
    struct span rest = part, line;
    bool is_head = true, is_begun = false;
    while (next_line(&rest, &line)) {
        struct span bare = span_trim(line);
        bool is_id = bare.n >= 4 && bare.p[3] == sep;
        if (is_id && is_begun)
            is_head = false;
        is_begun = is_begun || bare.n;
        if (is_head && !is_first)       /* MSH, and lines it was wrapped into */
            continue;
        if (is_segment(bare, "DSC", sep) && !keeps_dsc)
            continue;
        if (is_segment(bare, "ADD", sep) && bare.n <= 4)
            continue;
        put(j, line);
    }
}

struct span hl7_join(const struct span *parts, size_t n, bool is_whole, struct arena *a)
{
    size_t room = 1;
    for (size_t i = 0; i < n; i++)
        room += parts[i].n + 1;
    if (!n || parts[0].n < 9)
        return SPAN_ABSENT;
    struct joined j = {.p = arena_alloc(a, room)};
    struct hl7_delims first, d;
    if (!j.p || !hl7_lex_delims(parts[0], &first))
        return SPAN_ABSENT;
    for (size_t i = 0; i < n; i++) {
        if (!hl7_lex_delims(parts[i], &d) || memcmp(&d, &first, sizeof d) != 0)
            return SPAN_ABSENT;
        put_part(&j, parts[i], first.field, i == 0, !is_whole && i + 1 == n);
    }
    return span_make(j.p, j.n);
}
