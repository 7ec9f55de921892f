/*
 * conf_read - a configuration's files as one list of statements: includes expanded. Inside of conf*.c only. Thread: whoever loads.
 */
#ifndef LABRELAY_CONF_READ_H
#define LABRELAY_CONF_READ_H
#include "conf_files.h"
#include "lexer.h"

struct conf_text {
    struct lexer_stmt *v;               /* heap; their words live in the arena */
    size_t n;
    bool is_broken;                     /* see lexer_budget */
    struct buf bytes;                   /* of all files, for the hash */
};

/* -1 when the main file cannot be read; all mistakes are in d. conf_text_clear() always. files: see conf_files.h. */
int  conf_read(const char *path, struct diag *d, struct arena *a, struct conf_files *files, struct conf_text *out);
void conf_text_clear(struct conf_text *t);
#endif
