/*
 * NAME
 *     table_csv - CSV file to cells
 * DESCRIPTION
 *     Cells are cut in the loaded text itself: the byte behind a cell becomes NUL, doubled quotes are moved together. A row has to
 *     have as many cells as the header; empty lines are skipped.
 * DIAGNOSTICS
 *     Unreadable file (at the place in the configuration); bytes that are no UTF-8, semicolons or tabs instead of commas, missing
 *     header, columns named twice, open quotes, rows of the wrong length, caps (at the place in the CSV file).
 */
#include "table_csv.h"

#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "text.h"
#include "xmem.h"

struct reader {
    struct csv *c;
    struct diag *d;
    char *p, *end;
    unsigned line, col;
};

static struct diag_place place(const struct reader *r, unsigned width)
{
    return (struct diag_place){r->c->source, r->line, r->col, width};
}

static void error(const struct reader *r, unsigned width, const char *hint, const char *text)
{
    diag_add(r->d, DIAG_ERROR, place(r, width), hint, "%s", text);
}

static void step(struct reader *r)
{
    size_t n = text_utf8_len((struct span){r->p, (size_t)(r->end - r->p)});
    if (*r->p == '\n') {
        r->line++;
        r->col = 1;
    } else {
        r->col++;
    }
    r->p += n ? n : 1;
}

static bool at_line_end(const struct reader *r)
{
    return r->p >= r->end || *r->p == '\n' || (*r->p == '\r' && (r->p + 1 >= r->end || r->p[1] == '\n'));
}

static void next_line(struct reader *r)
{
    while (r->p < r->end && *r->p != '\n')
        step(r);
    if (r->p < r->end)
        step(r);
}

static int read_quoted(struct reader *r, struct csv_cell *cell)
{
    struct diag_place at = place(r, 1);
    step(r);
    char *out = r->p;
    cell->text.p = out;
    for (;;) {
        if (r->p >= r->end) {
            diag_add(r->d, DIAG_ERROR, at, "a quote inside a quoted cell is doubled: \"\"", "this quote is never closed");
            return -1;
        }
        if (*r->p == '"') {
            step(r);
            if (r->p >= r->end || *r->p != '"')
                break;
        }
        char *from = r->p;
        step(r);
        memmove(out, from, (size_t)(r->p - from));
        out += r->p - from;
    }
    cell->text.n = (size_t)(out - cell->text.p);
    if (!at_line_end(r) && *r->p != ',') {
        error(r, 1, "a quote inside a quoted cell is doubled: \"\"", "after a closing quote a comma or the end of the line is expected");
        return -1;
    }
    return 0;
}

/* One cell, up to its comma or line end (not taken). */
static int read_cell(struct reader *r, struct csv_cell *cell)
{
    *cell = (struct csv_cell){.line = r->line, .col = r->col};
    if (r->p < r->end && *r->p == '"') {
        if (read_quoted(r, cell))
            return -1;
    } else {
        cell->text.p = r->p;
        while (!at_line_end(r) && *r->p != ',') {
            if (*r->p == '"') {
                error(r, 1, "put the whole cell into quotes and double the quotes inside", "a quote inside an unquoted cell");
                return -1;
            }
            step(r);
        }
        cell->text.n = (size_t)(r->p - cell->text.p);
    }
    cell->width = r->line == cell->line ? r->col - cell->col : 1;
    return 0;
}

/* Cells of one row into v (room for max); returns how many, -1 after reporting. The line end is taken. */
static int64_t read_row(struct reader *r, struct csv_cell *v, size_t max)
{
    size_t n = 0;
    for (;;) {
        struct csv_cell cell;
        if (read_cell(r, &cell))
            return -1;
        if (n < max)
            v[n] = cell;
        n++;
        bool is_last = at_line_end(r);
        char *stop = r->p;
        if (is_last)
            next_line(r);
        else
            step(r);
        if (stop < r->end)
            *stop = 0;
        if (n <= max && v[n - 1].text.p + v[n - 1].text.n < stop)
            ((char *)(uintptr_t)v[n - 1].text.p)[v[n - 1].text.n] = 0;
        if (is_last)
            return (int64_t)n;
    }
}

static int check_separator(const struct reader *r)
{
    struct span head = {r->p, (size_t)(r->end - r->p)};
    head = span_cut(head, 0, span_find(head, '\n'));
    if (span_find(head, ',') < head.n)
        return 0;
    if (span_find(head, ';') < head.n) {
        error(r, 1, "export it as \"CSV (comma separated)\", or replace the semicolons", "the cells are separated by semicolons, not commas");
        return -1;
    }
    if (span_find(head, '\t') < head.n) {
        error(r, 1, "export it as \"CSV (comma separated)\"", "the cells are separated by tabs, not commas");
        return -1;
    }
    return 0;
}

static int read_header(struct reader *r)
{
    struct csv_cell v[TABLE_MAX_COLUMNS];
    while (r->p < r->end && (*r->p == '#' || at_line_end(r)))
        next_line(r);
    if (r->p >= r->end) {
        error(r, 1, "the first line names the columns: system,code,…", "the table is empty");
        return -1;
    }
    if (check_separator(r))
        return -1;
    struct diag_place at = place(r, 1);
    int64_t n = read_row(r, v, TABLE_MAX_COLUMNS);
    if (n < 0)
        return -1;
    if ((size_t)n > TABLE_MAX_COLUMNS) {
        diag_add(r->d, DIAG_ERROR, at, NULL, "more than %u columns", TABLE_MAX_COLUMNS);
        return -1;
    }
    int rc = 0;
    for (int64_t i = 0; i < n; i++) {
        struct diag_place cell = {r->c->source, v[i].line, v[i].col, v[i].width ? v[i].width : 1};
        if (!v[i].text.n) {
            diag_add(r->d, DIAG_ERROR, cell, NULL, "column %lld has no name", (long long)i + 1);
            rc = -1;
        }
        for (int64_t k = 0; k < i && v[i].text.n; k++)
            if (span_eq(v[i].text, v[k].text)) {
                diag_add(r->d, DIAG_ERROR, cell, NULL, "two columns are named \"%.*s\"", SPAN_ARG(v[i].text));
                rc = -1;
            }
    }
    r->c->columns = xcalloc((size_t)n, sizeof *v);
    memcpy(r->c->columns, v, (size_t)n * sizeof *v);
    r->c->n_columns = (size_t)n;
    return rc;
}

static struct csv_cell *next_cells(struct csv *c)
{
    if (c->n_rows == c->cap_rows) {
        c->cap_rows = c->cap_rows ? c->cap_rows * 2 : 64;
        c->cells = xreallocarray(c->cells, c->cap_rows * c->n_columns, sizeof *c->cells);
        c->lines = xreallocarray(c->lines, c->cap_rows, sizeof *c->lines);
    }
    return c->cells + c->n_rows * c->n_columns;
}

static void check_zero_bytes(const struct reader *r)
{
    if (memchr(r->p, 0, (size_t)(r->end - r->p)))
        diag_add(r->d, DIAG_ERROR, place(r, 1), "save it as UTF-8", "the file holds zero bytes; it is no UTF-8 text");
}

static void read_rows(struct reader *r)
{
    struct csv *c = r->c;
    while (r->p < r->end) {
        if (at_line_end(r)) {
            next_line(r);
            continue;
        }
        if (c->n_rows >= TABLE_MAX_ROWS) {
            diag_add(r->d, DIAG_ERROR, place(r, 1), NULL, "more than %u rows", TABLE_MAX_ROWS);
            return;
        }
        struct diag_place at = place(r, 1);
        int64_t n = read_row(r, next_cells(c), c->n_columns);
        if (n < 0)
            next_line(r);
        else if ((size_t)n != c->n_columns)
            diag_add(r->d, DIAG_ERROR, at, "a cell with a comma inside has to stand in quotes", "this row has %lld cell%s, the header has %zu", (long long)n,
                     n == 1 ? "" : "s", c->n_columns);
        else
            c->lines[c->n_rows++] = at.line;
    }
}

static int check_utf8(struct reader r)
{
    while (r.p < r.end) {
        if (text_utf8_len((struct span){r.p, (size_t)(r.end - r.p)}) == 0) {
            diag_add(r.d, DIAG_ERROR, place(&r, 1), "save it as \"CSV UTF-8\"", "this character is not in UTF-8 (byte 0x%02x)", (unsigned)(unsigned char)*r.p);
            return -1;
        }
        step(&r);
    }
    return 0;
}

int csv_load(struct csv *c, const char *path, struct diag_place at, struct diag *d, struct conf_files *files, struct buf *text_out)
{
    struct buf b;
    struct err e = ERR_INIT;
    buf_init(&b, TABLE_MAX_BYTES);
    if (conf_files_load(files, path, &b, &e)) {
        diag_add(d, DIAG_ERROR, at, NULL, "cannot read the table %s: %s", path, e.text);
        buf_clear(&b);
        return -1;
    }
    if (text_out)
        buf_add_span(text_out, buf_span(&b));
    size_t n;
    buf_addc(&b, 0);
    c->text = buf_take(&b, &n);
    if (!c->text) {
        diag_add(d, DIAG_ERROR, at, NULL, "cannot read the table %s", path);
        return -1;
    }
    c->source = diag_source(d, path, (struct span){c->text, n - 1});
    struct reader r = {.c = c, .d = d, .p = c->text, .end = c->text + n - 1, .line = 1, .col = 1};
    if (n > 3 && memcmp(r.p, "\xef\xbb\xbf", 3) == 0) {
        diag_add(d, DIAG_WARNING, place(&r, 1), "save it as \"UTF-8\", not \"UTF-8 with BOM\"", "the table starts with a byte order mark");
        r.p += 3;
    }
    size_t errors = diag_errors(d);
    check_zero_bytes(&r);
    if (check_utf8(r) || diag_errors(d) > errors || read_header(&r))
        return -1;
    read_rows(&r);
    return 0;
}

void csv_clear(struct csv *c)
{
    free(c->text);
    free(c->columns);
    free(c->cells);
    free(c->lines);
    *c = (struct csv){0};
}
