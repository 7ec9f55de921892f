/*
 * NAME
 *     table - look-up tables in memory
 * DESCRIPTION
 *     table_csv.c splits the file into cells; here the columns are found, keys checked and indexed (open addressing, at most half
 *     full, FNV-1a over the key cells with a separator that no cell can hold).
 * DIAGNOSTICS
 *     All through the diag: with the place in the CSV file for rows, with the place in the configuration for missing columns.
 */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "outcome.h"
#include "table_csv.h"
#include "text.h"
#include "xmem.h"

struct table {
    char *name, *file;
    struct diag_place at;
    struct csv csv;
    size_t n_keys;
    int keys[TABLE_MAX_KEYS];
    bool is_value[TABLE_MAX_COLUMNS];
    struct arena *folded;               /* folded key cells */
    uint32_t *slots;                    /* row + 1; 0: free */
    size_t mask;
    struct span *plain;                 /* folded tables: the key without accents, by row */
    uint32_t *plain_slots;
};

struct tables {
    struct table **v;
    char **failed;
    size_t n, n_failed;
};

static uint64_t hash_keys(const struct span *keys, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < keys[k].n; i++)
            h = (h ^ (unsigned char)keys[k].p[i]) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    return h ^ h >> 29;
}

static struct span key_cell(const struct table *t, size_t row, size_t k)
{
    return t->csv.cells[row * t->csv.n_columns + (size_t)t->keys[k]].text;
}

static bool row_has(const struct table *t, size_t row, const struct span *keys)
{
    for (size_t k = 0; k < t->n_keys; k++)
        if (!span_eq(key_cell(t, row, k), keys[k]))
            return false;
    return true;
}

int64_t table_find(const struct table *t, const struct span *keys)
{
    for (size_t i = (size_t)hash_keys(keys, t->n_keys) & t->mask; t->slots[i]; i = (i + 1) & t->mask)
        if (row_has(t, t->slots[i] - 1, keys))
            return t->slots[i] - 1;
    for (size_t i = (size_t)hash_keys(keys, 1) & t->mask; t->plain && t->plain_slots[i]; i = (i + 1) & t->mask)
        if (span_eq(t->plain[t->plain_slots[i] - 1], keys[0]))
            return t->plain_slots[i] - 1;
    return TABLE_NONE;
}

/* ---- checks of the keys ---- */
static bool looks_like_spreadsheet_number(struct span s)
{
    size_t i = 0;                       /* 2.60373E+08: what a spreadsheet makes of a long code */
    while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' || s.p[i] == ','))
        i++;
    return i > 0 && i + 2 < s.n && (s.p[i] == 'E' || s.p[i] == 'e') && s.p[i + 1] == '+' && span_is_digits(span_from(s, i + 2));
}

static bool looks_like_spreadsheet_date(struct span s)
{
    static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
    size_t dash = span_find(s, '-');    /* 05-Mar */
    if (dash == 0 || dash > 2 || s.n != dash + 4 || !span_is_digits(span_cut(s, 0, dash)))
        return false;
    for (size_t i = 0; i < 12; i++)
        if (span_is_nocase(span_from(s, dash + 1), months[i]))
            return true;
    return false;
}

/* Check digit of LOINC term codes (mod 10, double-add-double); answer codes LA… and parts LP… have none to be relied on. */
static bool is_loinc(struct span s)
{
    unsigned sum = 0;
    if (s.n < 3 || s.n > 9 || s.p[s.n - 2] != '-' || s.p[s.n - 1] < '0' || s.p[s.n - 1] > '9')
        return false;
    for (size_t i = 0; i < s.n - 2; i++) {
        char c = s.p[s.n - 3 - i];
        if (c < '0' || c > '9')
            return false;
        unsigned v = (unsigned)(c - '0') * (i % 2 == 0 ? 2 : 1);
        sum += v > 9 ? v - 9 : v;
    }
    return (10 - sum % 10) % 10 == (unsigned)(s.p[s.n - 1] - '0');
}

static void check_loinc(const struct table *t, size_t row, struct diag *d)
{
    int system = table_column(t, SPAN_LIT("system")), code = table_column(t, SPAN_LIT("code"));
    if (system < 0 || code < 0 || !span_is(table_cell(t, (int64_t)row, system), "http://loinc.org"))
        return;
    struct span c = table_cell(t, (int64_t)row, code);
    if (span_starts(c, "LA") || span_starts(c, "LP") || is_loinc(c))
        return;
    diag_add(d, DIAG_WARNING, table_place(t, (int64_t)row, code), "a LOINC code looks like 94500-6; its last digit is a check digit",
             "\"%.*s\" is no LOINC code: nothing will ever match this row", SPAN_ARG(c));
}

static bool check_key(const struct table *t, size_t row, size_t k, struct diag *d)
{
    struct csv_cell *c = &t->csv.cells[row * t->csv.n_columns + (size_t)t->keys[k]];
    struct diag_place at = table_place(t, (int64_t)row, t->keys[k]);
    const char *column = table_column_name(t, t->keys[k]);
    struct span trimmed = span_trim(c->text);
    if (!trimmed.n) {
        diag_add(d, DIAG_ERROR, at, NULL, "the key column \"%s\" is empty in this row", column);
        return false;
    }
    if (trimmed.n != c->text.n) {
        diag_add(d, DIAG_WARNING, at, NULL, "blanks around the key \"%.*s\" are ignored", SPAN_ARG(trimmed));
        c->text = trimmed;
    }
    if (looks_like_spreadsheet_number(trimmed)) {
        diag_add(d, DIAG_ERROR, at, "format the column as text before you paste codes into a spreadsheet",
                 "\"%.*s\" is a code that a spreadsheet turned into a number: its digits are lost", SPAN_ARG(trimmed));
        return false;
    }
    if (looks_like_spreadsheet_date(trimmed)) {
        diag_add(d, DIAG_ERROR, at, "format the column as text before you paste codes into a spreadsheet",
                 "\"%.*s\" is a code that a spreadsheet turned into a date", SPAN_ARG(trimmed));
        return false;
    }
    return true;
}

static void fold_key(struct table *t, size_t row, size_t k)
{
    struct csv_cell *c = &t->csv.cells[row * t->csv.n_columns + (size_t)t->keys[k]];
    struct span folded = outcome_fold_text(c->text, t->folded);
    if (!span_is_absent(folded))
        c->text = folded;
}

/* Do two rows say the same, apart from their key and from what is there for people? */
static bool same_result(const struct table *t, size_t x, size_t y)
{
    for (size_t c = 0; c < t->csv.n_columns; c++) {
        const char *name = t->csv.columns[c].text.p;
        if ((int)c == t->keys[0] || strcmp(name, "language") == 0 || strcmp(name, "name") == 0 || strcmp(name, "display") == 0 || strcmp(name, "source") == 0)
            continue;
        if (!span_eq(t->csv.cells[x * t->csv.n_columns + c].text, t->csv.cells[y * t->csv.n_columns + c].text))
            return false;
    }
    return true;
}

static void insert_row(struct table *t, size_t row, struct diag *d)
{
    struct span keys[TABLE_MAX_KEYS];
    for (size_t k = 0; k < t->n_keys; k++)
        keys[k] = key_cell(t, row, k);
    int64_t other = table_find(t, keys);
    if (other != TABLE_NONE) {
        /* one word of two languages ("positive") is the same text twice and says the same: no mistake */
        if (t->folded && same_result(t, row, (size_t)other))
            return;
        diag_add(d, DIAG_ERROR, table_place(t, (int64_t)row, t->keys[t->n_keys - 1]), NULL, "the key of this row stands in line %u already", table_line(t, other));
        return;
    }
    size_t i = (size_t)hash_keys(keys, t->n_keys) & t->mask;
    while (t->slots[i])
        i = (i + 1) & t->mask;
    t->slots[i] = (uint32_t)row + 1;
}

/* Texts without their accents: a second way in, for single-key folded tables. Texts that would mean two things are left out. */
static void index_plain(struct table *t)
{
    if (!t->folded || t->n_keys != 1)
        return;
    struct span *plain = xcalloc(t->csv.n_rows + 1, sizeof *plain);
    bool *is_twice = xcalloc(t->csv.n_rows + 1, sizeof *is_twice);
    t->plain_slots = xcalloc(t->mask + 1, sizeof *t->plain_slots);
    for (size_t row = 0; row < t->csv.n_rows; row++) {
        struct span key = key_cell(t, row, 0);
        plain[row] = outcome_plain_text(key, t->folded);
        if (span_is_absent(plain[row]) || span_eq(plain[row], key) || table_find(t, &plain[row]) != TABLE_NONE)
            continue;
        size_t i = (size_t)hash_keys(&plain[row], 1) & t->mask;
        while (t->plain_slots[i] && !span_eq(plain[t->plain_slots[i] - 1], plain[row]))
            i = (i + 1) & t->mask;
        if (!t->plain_slots[i])
            t->plain_slots[i] = (uint32_t)row + 1;
        else if (!same_result(t, row, t->plain_slots[i] - 1))
            is_twice[t->plain_slots[i] - 1] = true;
    }
    for (size_t row = 0; row < t->csv.n_rows; row++)
        if (is_twice[row])
            plain[row] = SPAN_ABSENT;   /* its slot stays taken and matches nothing */
    free(is_twice);
    t->plain = plain;
}

static void index_rows(struct table *t, struct diag *d)
{
    size_t size = 16;
    while (size < t->csv.n_rows * 2 + 2)
        size *= 2;
    t->slots = xcalloc(size, sizeof *t->slots);
    t->mask = size - 1;
    for (size_t row = 0; row < t->csv.n_rows; row++) {
        bool is_good = true;
        for (size_t k = 0; k < t->n_keys; k++) {
            is_good = check_key(t, row, k, d) && is_good;
            if (t->folded)
                fold_key(t, row, k);
        }
        if (!is_good)
            continue;
        check_loinc(t, row, d);
        insert_row(t, row, d);
    }
    index_plain(t);
}

/* ---- columns ---- */
static int find_column(const struct table *t, const struct table_word *w, struct diag *d)
{
    int c = table_column(t, w->text);
    if (c >= 0)
        return c;
    const char *names[TABLE_MAX_COLUMNS];
    char hint[160];
    for (size_t i = 0; i < t->csv.n_columns; i++)
        names[i] = t->csv.columns[i].text.p;
    diag_add(d, DIAG_ERROR, w->at, diag_guess(w->text, names, t->csv.n_columns, hint, sizeof hint), "%s has no column \"%.*s\"", t->file, SPAN_ARG(w->text));
    return -1;
}

static bool bind_columns(struct table *t, const struct table_spec *spec, struct diag *d)
{
    bool is_good = true;
    for (size_t i = 0; i < spec->n_keys && i < TABLE_MAX_KEYS; i++) {
        t->keys[i] = find_column(t, &spec->keys[i], d);
        is_good = is_good && t->keys[i] >= 0;
    }
    t->n_keys = spec->n_keys;
    for (size_t i = 0; i < spec->n_values; i++) {
        int c = find_column(t, &spec->values[i], d);
        is_good = is_good && c >= 0;
        if (c >= 0)
            t->is_value[c] = true;
    }
    for (size_t c = 0; c < t->csv.n_columns && spec->n_values == 0; c++)
        t->is_value[c] = true;
    return is_good;
}

struct table *table_load(const struct table_spec *spec, struct diag *d, struct buf *text_out)
{
    struct table *t = xcalloc(1, sizeof *t);
    const char *slash = strrchr(spec->path, '/');
    t->name = xstrndup(spec->name.p, spec->name.n);
    t->file = xstrdup(slash ? slash + 1 : spec->path);
    t->at = spec->at;
    size_t errors = diag_errors(d);
    if (csv_load(&t->csv, spec->path, spec->at, d, spec->files, text_out) == 0 && bind_columns(t, spec, d)) {
        if (spec->is_folded)
            t->folded = arena_new(64u << 20);
        index_rows(t, d);
    }
    if (diag_errors(d) == errors)
        return t;
    table_free(t);
    return NULL;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    csv_clear(&t->csv);
    arena_free(t->folded);
    free(t->slots);
    free(t->plain);
    free(t->plain_slots);
    free(t->name);
    free(t->file);
    free(t);
}

/* ---- reading ---- */
struct span table_cell(const struct table *t, int64_t row, int column)
{
    return column < 0 || row < 0 ? SPAN_ABSENT : t->csv.cells[(size_t)row * t->csv.n_columns + (size_t)column].text;
}

int table_column(const struct table *t, struct span name)
{
    for (size_t i = 0; i < t->csv.n_columns; i++)
        if (span_eq(t->csv.columns[i].text, name))
            return (int)i;
    return -1;
}

const char *table_column_name(const struct table *t, int column)
{
    return column < 0 ? "" : t->csv.columns[column].text.p;
}

int table_columns(const struct table *t)
{
    return (int)t->csv.n_columns;
}

size_t table_keys(const struct table *t)
{
    return t->n_keys;
}

int table_key_column(const struct table *t, size_t i)
{
    return t->keys[i];
}

bool table_is_value(const struct table *t, int column)
{
    return column >= 0 && t->is_value[column];
}

size_t table_rows(const struct table *t)
{
    return t->csv.n_rows;
}

const char *table_name(const struct table *t)
{
    return t->name;
}

const char *table_file(const struct table *t)
{
    return t->file;
}

struct diag_place table_at(const struct table *t)
{
    return t->at;
}

unsigned table_line(const struct table *t, int64_t row)
{
    return t->csv.lines[row];
}

struct diag_place table_place(const struct table *t, int64_t row, int column)
{
    const struct csv_cell *c = &t->csv.cells[(size_t)row * t->csv.n_columns + (size_t)(column < 0 ? 0 : column)];
    return (struct diag_place){t->csv.source, c->line, c->col, c->width ? c->width : 1};
}

/* ---- all tables ---- */
struct tables *tables_new(void)
{
    return xcalloc(1, sizeof(struct tables));
}

void tables_free(struct tables *ts)
{
    if (!ts)
        return;
    for (size_t i = 0; i < ts->n; i++)
        table_free(ts->v[i]);
    for (size_t i = 0; i < ts->n_failed; i++)
        free(ts->failed[i]);
    free(ts->failed);
    free(ts->v);
    free(ts);
}

void tables_add_failed(struct tables *ts, struct span name)
{
    ts->failed = xreallocarray(ts->failed, ts->n_failed + 1, sizeof(char *));
    ts->failed[ts->n_failed++] = xstrndup(name.n ? name.p : "", name.n);
}

bool tables_is_failed(const struct tables *ts, struct span name)
{
    for (size_t i = 0; i < ts->n_failed; i++)
        if (span_is(name, ts->failed[i]))
            return true;
    return false;
}

void tables_add(struct tables *ts, struct table *t)
{
    ts->v = xreallocarray(ts->v, ts->n + 1, sizeof(struct table *));
    ts->v[ts->n++] = t;
}

const struct table *tables_find(const struct tables *ts, struct span name)
{
    for (size_t i = 0; i < ts->n; i++)
        if (span_is(name, ts->v[i]->name))
            return ts->v[i];
    return NULL;
}

const struct table *tables_at(const struct tables *ts, size_t i)
{
    return i < ts->n ? ts->v[i] : NULL;
}
