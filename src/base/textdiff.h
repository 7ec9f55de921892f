/*
 * textdiff - two texts, line by line, as a unified diff with three lines around each change. Pure. Thread: any.
 */
#ifndef LABRELAY_TEXTDIFF_H
#define LABRELAY_TEXTDIFF_H
#include "buf.h"

/* Appends nothing when the texts are equal. Names stand behind --- and +++. The shortest script is looked for up to 1000 changed lines; past that what
 * lies between the first and the last difference is shown as one change. Returns whether the texts differ. */
bool textdiff(struct span a, const char *a_name, struct span b, const char *b_name, struct buf *out);
#endif
