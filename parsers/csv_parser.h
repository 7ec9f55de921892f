/*
 * csv_parser - CSV files as a parser module: a line list, one row a message. A laboratory without HL7 starts here.
 *
 * Pure: bytes in, records out; no clock, file, socket or global. Everything lives in the arena it is given, or in the frame.
 * The columns of the file are given to fields of the record by `column` statements (csv_columns.c has the grammar).
 * The bytes of each message are the header and its row, as they came: what is stored can be read again by itself, a row that was
 * imported before is a duplicate wherever it stands in the file, and one bad row refuses nothing but itself.
 */
#ifndef LABRELAY_CSV_PARSER_H
#define LABRELAY_CSV_PARSER_H
#include "ops.h"

enum csv_separator { CSV_AUTO, CSV_COMMA, CSV_SEMICOLON, CSV_TAB };
enum csv_charset { CSV_CHARSET_AUTO, CSV_UTF8, CSV_LATIN1 };
enum csv_status { CSV_FINAL, CSV_PRELIMINARY };

struct csv_column;
struct csv_columns { struct csv_column *v; size_t n; };

struct csv_options {
    char *timezone;                     /* used by the engine for times that name none */
    struct csv_columns columns;
    struct option_list date_formats;    /* besides ISO 8601, tried in this order */
    int separator;                      /* enum csv_separator */
    int charset;                        /* enum csv_charset */
    int status;                         /* enum csv_status: of results without a column of their own for it */
    char *facility;                     /* sending facility where no column gives it; NULL: none */
    bool is_decimal_comma;
    int64_t max_rows, max_columns, max_cell;    /* 0: 20000, 500, 64 kB */
};

extern const struct parser_ops csv_parser;
#endif
