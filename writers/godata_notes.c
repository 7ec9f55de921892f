/* NAME godata_notes - our block in a lab result's notes: written, found again, cut to size. Pure. No diagnostics. */
#include "godata_notes.h"

#include <string.h>

#define OPEN "[labrelay "
#define CLOSE "[/labrelay]"
#define MORE "[more in engine]"

static size_t points(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* Adds the lines of text as long as they and a newline each fit into room characters; leaves place for the MORE line when not all do. */
static void add_lines(struct buf *out, struct span text, size_t room)
{
    struct span rest = text, line;
    bool fits = points(text) + 1 <= room;
    size_t limit = fits ? room : room > sizeof MORE ? room - sizeof MORE : 0, used = 0;
    while (span_has(text) && span_next(&rest, '\n', &line)) {
        used += points(line) + 1;
        if (used > limit) {
            buf_adds(out, MORE "\n");
            return;
        }
        buf_add_span(out, line);
        buf_addc(out, '\n');
    }
}

void godata_notes_format(struct buf *out, struct span k, struct span text, struct span history)
{
    size_t frame = sizeof OPEN - 1 + GODATA_K_MAX + 2 + sizeof CLOSE - 1;
    size_t kept = span_has(history) ? points(history) + 1 : 0;
    buf_adds(out, OPEN);
    buf_add_span(out, k);
    buf_adds(out, "]\n");
    if (kept > GODATA_NOTES_MAX / 2) {      /* hundreds of corrections: the newest lines stay */
        while (kept > GODATA_NOTES_MAX / 2) {
            size_t cut = span_find(history, '\n');
            history = span_from(history, cut < history.n ? cut + 1 : history.n);
            kept = span_has(history) ? points(history) + 1 : 0;
        }
    }
    add_lines(out, text, GODATA_NOTES_MAX - frame - kept);
    if (kept) {
        buf_add_span(out, history);
        buf_addc(out, '\n');
    }
    buf_adds(out, CLOSE);
}

static size_t search(struct span s, const char *what)
{
    const char *p = s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
    return p ? (size_t)(p - s.p) : s.n;
}

static bool is_k(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == GODATA_K_MAX;
}

/* Index of the first marker whose K is k (any K when k is absent), notes.n when there is none. */
static size_t find_marker(struct span notes, struct span k)
{
    size_t len = sizeof OPEN - 1 + GODATA_K_MAX + 1;
    for (size_t i = search(notes, OPEN); i < notes.n; i += 1 + search(span_from(notes, i + 1), OPEN)) {
        struct span own = span_cut(notes, i + sizeof OPEN - 1, GODATA_K_MAX);
        if (i + len <= notes.n && notes.p[i + len - 1] == ']' && is_k(own) && (span_is_absent(k) || span_eq(own, k)))
            return i;
    }
    return notes.n;
}

struct span godata_notes_k(struct span notes)
{
    size_t i = find_marker(notes, SPAN_ABSENT);
    return i < notes.n ? span_cut(notes, i + sizeof OPEN - 1, GODATA_K_MAX) : SPAN_ABSENT;
}

void godata_notes_parse(struct span notes, struct span k, struct godata_block *out)
{
    size_t from = find_marker(notes, k);
    *out = (struct godata_block){.before = notes};
    if (from == notes.n)
        return;
    out->is_found = true;
    out->before = span_cut(notes, 0, from);
    struct span inside = span_from(notes, from + sizeof OPEN - 1 + GODATA_K_MAX + 1);
    size_t to = search(inside, CLOSE), other = search(inside, OPEN);
    if (to == inside.n || other < to) {     /* the end marker is gone: what follows may be a person's */
        out->after = inside;
        return;
    }
    out->after = span_from(inside, to + sizeof CLOSE - 1);
    out->text = span_trim(span_cut(inside, 0, to));
}

static bool is_history(struct span line)
{
    static const char shape[] = "dddd-dd-dd ";
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (i >= line.n || (shape[i] == 'd' ? line.p[i] < '0' || line.p[i] > '9' : line.p[i] != shape[i]))
            return false;
    struct span word = span_from(line, sizeof shape - 1);
    return span_starts(word, "corrected:") || span_starts(word, "updated:") || span_starts(word, "replaced:") || span_starts(word, "withdrawn by laboratory");
}

static void pick(struct span text, bool is_history_wanted, struct buf *out)
{
    struct span rest = text, line;
    bool is_first = true;
    while (span_has(text) && span_next(&rest, '\n', &line)) {
        if (is_history(line) != is_history_wanted || span_is(line, MORE))
            continue;
        if (!is_first)
            buf_addc(out, '\n');
        buf_add_span(out, line);
        is_first = false;
    }
}

void godata_notes_history(struct span text, struct buf *out)
{
    pick(text, true, out);
}

void godata_notes_plain(struct span text, struct buf *out)
{
    pick(text, false, out);
}

struct span godata_notes_value(struct span text)
{
    struct span line = span_cut(text, 0, span_find(text, '\n'));
    size_t at = search(line, " = ");
    if (at == line.n)
        return SPAN_ABSENT;
    struct span value = span_from(line, at + 3);
    static const char *const ends[] = {" (", " flag ", ";"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        value = span_cut(value, 0, search(value, ends[i]));
    value = span_trim(value);
    return span_has(value) ? value : SPAN_ABSENT;
}
