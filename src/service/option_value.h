/*
 * option_value - one value of an option row: read, default, free, how it is written. Inside of option.c and conf*.c only.
 * Thread: whoever loads.
 */
#ifndef LABRELAY_OPTION_VALUE_H
#define LABRELAY_OPTION_VALUE_H
#include "lexer.h"
#include "option.h"

struct option_args {
    struct diag *diag;
    const char *config_file;
    const char *name;                   /* of the option being read */
    const struct lexer_stmt *stmt;
    size_t i;                           /* next word */
    bool is_refused;                    /* the last option_accept() said no */
    struct option_word word;            /* what peek and next hand out */
    bool (*is_name)(const void *ctx, struct span word);     /* where a list ends; NULL: nowhere */
    const void *ctx;
};

int  option_value_read(const struct option_row *row, void *value, struct option_args *a);
int  option_value_default(const struct option_row *row, void *value);
void option_value_free(const struct option_row *row, void *value);
const char *option_value_syntax(const struct option_row *row);      /* "IP:PORT" */
#endif
