/*
 * conf_effective - a configuration written out whole: includes in their place, every option with its value, secrets hidden. Inside of conf*.c only.
 * The text is a configuration again: kept in the folder of the original it passes `check`. Thread: whoever loads.
 */
#ifndef LABRELAY_CONF_EFFECTIVE_H
#define LABRELAY_CONF_EFFECTIVE_H
#include "lexer.h"
#include "ops.h"

struct effective {
    struct buf *out;                    /* NULL: nobody wants it */
    unsigned depth;
};

/* A statement as it stands, with its block; of the words [from, to) only when to is not 0. Secrets of the tables' options are hidden. */
void effective_stmt(struct effective *x, const struct lexer_stmt *s, size_t from, size_t to, const struct option_table *const *tables, size_t n);
/* Words of the head and an opening brace; a closing one. */
void effective_open(struct effective *x, const struct lexer_stmt *s);
void effective_open_text(struct effective *x, const char *head);
void effective_close(struct effective *x);
/* An option that was not named, with its default; nothing when it has none. As option_reader.on_default: ctx is the struct effective. */
void effective_default(void *ctx, const struct option_row *row);
#endif
