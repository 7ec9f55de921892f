/*
 * ustar - a tar archive (POSIX.1-1988 ustar) of plain files, made in memory. Pure; thread: any.
 */
#ifndef LABRELAY_USTAR_H
#define LABRELAY_USTAR_H
#include "buf.h"

/* Appends a file of mode 0600. name: at most 100 bytes, relative, no "..": a name that does not fit is our bug (assert). */
void ustar_add(struct buf *b, const char *name, struct span bytes, int64_t mtime_s);
void ustar_end(struct buf *b);
#endif
