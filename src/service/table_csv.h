/*
 * table_csv - a strict reader of CSV files (RFC 4180): header row, quotes, UTF-8, CR LF or LF. Inside of table.c only.
 * Lines that start with # are skipped before the header (licence notices). Thread: main.
 */
#ifndef LABRELAY_TABLE_CSV_H
#define LABRELAY_TABLE_CSV_H
#include "conf_files.h"
#include "diag.h"

struct csv_cell {
    struct span text;                   /* into csv.text, quotes undone, NUL behind it */
    unsigned line, col, width;
};
struct csv {
    char *text;
    unsigned source;                    /* number in the diag */
    struct csv_cell *columns;
    size_t n_columns;
    struct csv_cell *cells;             /* n_rows x n_columns */
    unsigned *lines;
    size_t n_rows, cap_rows;
};

/* -1 after reporting. `at`: the path's place in the configuration. */
int  csv_load(struct csv *c, const char *path, struct diag_place at, struct diag *d, struct conf_files *files, struct buf *text_out);
void csv_clear(struct csv *c);
#endif
