/*
 * conf_mark - what tells two versions of a block apart: a hash over its words, in order, and over the secrets that they name.
 * Comments, blanks and line breaks do not count; the place in the file does not either. Inside of conf*.c only. Thread: whoever loads.
 */
#ifndef LABRELAY_CONF_MARK_H
#define LABRELAY_CONF_MARK_H
#include "lexer.h"
#include "ops.h"

#define CONF_MARK_BYTES 65

struct conf_mark { struct buf b; };
void conf_mark_init(struct conf_mark *m);
void conf_mark_stmt(struct conf_mark *m, const struct lexer_stmt *s);                      /* with its block */
void conf_mark_secrets(struct conf_mark *m, const struct option_table *t, const void *values);
void conf_mark_end(struct conf_mark *m, char out[CONF_MARK_BYTES]);                         /* 64 hex; clears m */
#endif
