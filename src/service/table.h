/*
 * table - look-up tables from CSV files: what the epidemiologist edits. Format and checks: labrelay.conf.5, TABLES.
 *
 * Immutable after table_load(); any thread may read. Cells are spans into the table's own memory. A look-up is one hash probe.
 * System of a coding: `http://loinc.org`, `local:<channel>` or `local:<NAME>` (the coding system name that the sender wrote).
 */
#ifndef LABRELAY_TABLE_H
#define LABRELAY_TABLE_H
#include "conf_files.h"
#include "diag.h"

#define TABLE_MAX_BYTES (16u << 20)
#define TABLE_MAX_ROWS 200000u
#define TABLE_MAX_COLUMNS 64u
#define TABLE_MAX_KEYS 4u

struct table;
struct tables;                          /* all of a configuration */

struct table_word { struct span text; struct diag_place at; };
struct table_spec {
    struct span name;
    const char *path;                   /* resolved */
    struct diag_place at;               /* of the path in the configuration */
    const struct table_word *keys, *values;     /* column names; values may be empty: all others */
    size_t n_keys, n_values;
    struct conf_files *files;           /* where the file comes from; NULL: from disk */
    bool is_folded;                     /* keys are folded by outcome_fold_text() (results_text) */
};

/* NULL after reporting to d. `text_out` (may be NULL) gets the bytes of the file appended, for the configuration's hash. */
struct table *table_load(const struct table_spec *spec, struct diag *d, struct buf *text_out);
void table_free(struct table *t);

#define TABLE_NONE (-1)
/* Row with these keys (as many as the table has key columns), or TABLE_NONE. */
int64_t table_find(const struct table *t, const struct span *keys);
struct span table_cell(const struct table *t, int64_t row, int column);    /* empty for column < 0 */
int  table_column(const struct table *t, struct span name);                /* -1 when there is none */
const char *table_column_name(const struct table *t, int column);
int  table_columns(const struct table *t);
size_t table_keys(const struct table *t);
int  table_key_column(const struct table *t, size_t i);
bool table_is_value(const struct table *t, int column);                     /* named behind `value`, or no value list was given */
size_t table_rows(const struct table *t);
const char *table_name(const struct table *t);
const char *table_file(const struct table *t);                              /* base name: "tests.csv" */
struct diag_place table_at(const struct table *t);                          /* its path in the configuration */
unsigned table_line(const struct table *t, int64_t row);
struct diag_place table_place(const struct table *t, int64_t row, int column);

struct tables *tables_new(void);
void tables_free(struct tables *ts);                                        /* frees the tables too */
void tables_add(struct tables *ts, struct table *t);
const struct table *tables_find(const struct tables *ts, struct span name);
/* A table that is named in the configuration but could not be loaded: what uses it is not reported once more. */
void tables_add_failed(struct tables *ts, struct span name);
bool tables_is_failed(const struct tables *ts, struct span name);
const struct table *tables_at(const struct tables *ts, size_t i);           /* NULL past the end */
#endif
