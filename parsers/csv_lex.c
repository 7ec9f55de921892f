/*
 * NAME csv_lex - rows and cells of a CSV file.
 *
 * A cell that opens with a quote ends with one; doubled quotes inside are one; line ends inside belong to it. A quote inside a cell that
 * does not open with one is a character like others (spreadsheets write 5" so). Lines end with LF, CR LF or CR. A row that cannot be cut
 * is given whole with its fault, and reading goes on behind its line.
 * DIAGNOSTICS csv_row.fault; -1 when the arena is full.
 */
#include "csv_inner.h"

#include <string.h>

#include "text.h"

static bool at_end(const struct csv_lexer *l, size_t i)
{
    return i >= l->rest.n || l->rest.p[i] == '\n' || l->rest.p[i] == '\r';
}

/* Behind the opening quote at i: the cell without its quotes; *i moves behind the closing one. */
static enum csv_fault quoted(struct csv_lexer *l, size_t *i, struct span *cell)
{
    struct span s = l->rest;
    size_t from = ++*i, doubled = 0;
    for (;; ++*i) {
        if (*i >= s.n)
            return CSV_OPEN_QUOTE;
        if (s.p[*i] != '"')
            continue;
        if (*i + 1 >= s.n || s.p[*i + 1] != '"')
            break;
        ++*i;
        doubled++;
    }
    *cell = span_cut(s, from, *i - from);
    ++*i;
    if (doubled) {
        char *p = arena_alloc(l->a, cell->n + 1);
        size_t n = 0;
        if (!p)
            return CSV_LONG_CELL;
        for (size_t k = 0; k < cell->n; k++) {
            p[n++] = cell->p[k];
            k += cell->p[k] == '"';
        }
        *cell = span_make(p, n);
    }
    return at_end(l, *i) || s.p[*i] == l->separator ? CSV_FINE : CSV_AFTER_QUOTE;
}

static bool add_cell(struct csv_lexer *l, struct csv_row *r, size_t *cap, struct span cell)
{
    if (cell.n > l->max_cell && r->fault == CSV_FINE)
        r->fault = CSV_LONG_CELL;
    if (r->n >= l->max_cells) {
        r->fault = r->fault == CSV_FINE ? CSV_TOO_MANY_CELLS : r->fault;
        return true;
    }
    if (!arena_grow(l->a, &r->cells, r->n, cap, sizeof *r->cells))
        return false;
    r->cells[r->n++] = cell;
    return true;
}

int csv_next_row(struct csv_lexer *l, struct csv_row *out)
{
    struct span s = l->rest;
    size_t i = 0, cap = 0;
    if (!s.n)
        return 0;
    *out = (struct csv_row){.number = ++l->number};
    for (;;) {
        struct span cell;
        size_t from = i;
        if (i < s.n && s.p[i] == '"') {
            enum csv_fault f = quoted(l, &i, &cell);
            if (f != CSV_FINE)
                out->fault = f;
            if (f == CSV_OPEN_QUOTE)
                cell = span_cut(s, from, s.n - from);
            while (!at_end(l, i) && s.p[i] != l->separator)
                i++;
        } else {
            while (!at_end(l, i) && s.p[i] != l->separator)
                i++;
            cell = span_cut(s, from, i - from);
        }
        if (!add_cell(l, out, &cap, cell) || arena_is_full(l->a))
            return -1;
        if (at_end(l, i))
            break;
        i++;
    }
    out->raw = span_cut(s, 0, i);
    if (i < s.n)
        i += s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 1;
    l->rest = span_from(s, i);
    return 1;
}

bool csv_is_blank(const struct csv_row *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (span_trim(r->cells[i]).n)
            return false;
    return true;
}

/* ---- characters ---- */

/* Windows-1252 0x80-0x9f; 0: not assigned, kept as the control character of Latin-1 */
static const uint16_t cp1252[32] = {
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
    0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178};

struct span csv_text(struct arena *a, int charset, struct span s)
{
    if (!s.n || (charset != CSV_LATIN1 && text_utf8_valid(s)))
        return s;
    if (charset == CSV_UTF8)
        return SPAN_ABSENT;
    char *p = arena_alloc(a, s.n * 3 + 1);
    size_t n = 0;
    if (!p)
        return SPAN_ABSENT;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        uint32_t cp = c >= 0x80 && c < 0xa0 && cp1252[c - 0x80] ? cp1252[c - 0x80] : c;
        n += text_utf8_put(cp, p + n);
    }
    return span_make(p, n);
}
