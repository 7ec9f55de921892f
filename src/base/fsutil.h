/*
 * fsutil - files: read whole with a cap, write durably. Thread: any. Errors: ERR_CONFIG (path, permission), ERR_TEMP (disk), ERR_LIMIT.
 */
#ifndef LABRELAY_FSUTIL_H
#define LABRELAY_FSUTIL_H
#include "buf.h"
#include "err.h"

/* Appends the whole file to b (whose cap counts). "-" is stdin. */
int  fs_load(const char *path, struct buf *b, struct err *e);
/* Writes path.tmp (0600), fsyncs it, renames it over path and fsyncs the directory. */
int  fs_write_durably(const char *path, struct span bytes, struct err *e);
/* All missing directories of dir, mode 0700. */
int  fs_mkdirs(const char *dir, struct err *e);
/* fsync of the directory that holds path */
int  fs_sync_parent(const char *path, struct err *e);
/* dir of `base_file` + "/" + path, unless path is absolute. Caller frees. */
char *fs_path_beside(const char *base_file, const char *path);
/* Free bytes share of the file system of path in percent (0-100), -1 when unknown. */
int  fs_free_percent(const char *path);
#endif
