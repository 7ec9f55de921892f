/* csv_inner - what the files of the CSV parser share. Private to csv_*.c. Thread: any; everything lives in the arena or the frame. */
#ifndef LABRELAY_CSV_INNER_H
#define LABRELAY_CSV_INNER_H
#include "csv_parser.h"

#define CSV_PLACE_MAX 160               /* longest place, "row 12, column \"…\"", in bytes */

/* ---- csv_lex.c: bytes to rows of cells (RFC 4180 and what spreadsheets make of it) ---- */
enum csv_fault { CSV_FINE, CSV_OPEN_QUOTE, CSV_AFTER_QUOTE, CSV_TOO_MANY_CELLS, CSV_LONG_CELL };
struct csv_row {
    struct span raw;                    /* as it came, without its line end */
    struct span *cells;                 /* quotes undone, bytes as they came */
    size_t n;
    unsigned number;                    /* the header is 1 when nothing stands above it; what a spreadsheet shows */
    enum csv_fault fault;
};
struct csv_lexer {
    struct span rest;
    char separator;
    unsigned number;                    /* rows taken */
    size_t max_cells, max_cell;
    struct arena *a;
};
/* 1: a row (possibly empty: no cells but one blank), 0: the end, -1: the arena is full. */
int  csv_next_row(struct csv_lexer *l, struct csv_row *out);
bool csv_is_blank(const struct csv_row *r);             /* nothing but blanks in any cell */
/* As UTF-8: what is valid stays, else each byte is a character of Windows-1252. Absent: charset says UTF-8 and it is none; or full. */
struct span csv_text(struct arena *a, int charset, struct span s);

/* ---- csv_columns.c: the `column` statements ---- */
enum csv_place { CSV_FIELD, CSV_ADDRESS, CSV_OWN_TEST };
struct csv_column {
    char *header;                       /* as the file names it; compared without case and outer blanks */
    enum csv_place place;
    const struct rec_field *field;      /* CSV_FIELD */
    size_t address;                     /* CSV_ADDRESS: offset in rec_address */
    char *code, *system, *display, *unit;   /* CSV_OWN_TEST; system also of fields that are codes */
    char *authority, *type;             /* of identifiers */
    bool is_coded;                      /* observation.value: the cell is a code of `system` */
    bool is_optional;                   /* the file may lack it */
};
int  csv_column_read(void *value, const struct option_list *words, size_t *bad, struct err *e);
void csv_columns_free(void *value);
int  csv_columns_check(const struct csv_columns *c, struct err *e);

/* ---- csv_date.c ---- */
bool csv_date_format_ok(const char *format);
/* ISO 8601 or one of the formats, with a time behind it or none. False: it is none, or no day of the calendar. Blank: absent. */
bool csv_date(const struct option_list *formats, struct span text, struct arena *a, struct rec_ts *out);

/* ---- csv_record.c: a row to a message ---- */
struct csv_file {                       /* what the rows of a file share */
    const struct csv_options *o;
    struct arena *a;
    struct csv_row header;
    size_t n_tests;                     /* most observations of a row */
    size_t *at;                         /* column i of the options is cell at[i]; SIZE_MAX: not there */
};
int  csv_record(const struct csv_file *f, const struct csv_row *row, struct parsed *out);      /* -1: the arena is full */
/* Adds a problem to p->problems. where: the place as people read it. False: the arena is full. */
bool csv_problem(struct arena *a, struct parsed *p, char severity, int code, const char *name, const char *text, struct span where);
struct span csv_where(struct arena *a, unsigned row, const char *column);       /* row 12, column "Result" */
#endif
