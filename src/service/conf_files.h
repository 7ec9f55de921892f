/*
 * conf_files - the files that a configuration was read from: main file, includes, tables; never a credential, never a test's message.
 *
 * Filled while a configuration is loaded from disk, or given beforehand: then it is loaded from these texts instead (undo, diff), whatever the
 * disk holds now. Owner: the struct config. Thread: whoever loads; immutable after it.
 */
#ifndef LABRELAY_CONF_FILES_H
#define LABRELAY_CONF_FILES_H
#include "buf.h"
#include "err.h"

struct conf_file {                      /* heap; text ends with a zero byte that n does not count */
    char *path, *text;
    size_t n;
    unsigned char sha256[32];
};
struct conf_files {
    struct conf_file *v;
    size_t n;
    bool is_given;                      /* nothing is read from disk */
};

void conf_files_add(struct conf_files *f, const char *path, struct span text);
const struct conf_file *conf_files_find(const struct conf_files *f, const char *path);     /* NULL: not among them */
void conf_files_clear(struct conf_files *f);
/* Appends the file to b: from disk, and then keeps it; or from what is given. NULL for f: from disk. As fs_load(). */
int  conf_files_load(struct conf_files *f, const char *path, struct buf *b, struct err *e);
/* The i-th path that fits a pattern of glob(3), in the order of its sorting; NULL past the last. Only for what is given. */
const char *conf_files_match(const struct conf_files *f, const char *pattern, size_t i);
#endif
