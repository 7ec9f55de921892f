/*
 * NAME
 *     conf_files - the texts that a configuration was read from
 * DESCRIPTION
 *     A file is kept once, by its path as the configuration names it (resolved beside the file that names it). What is given stands in the order in
 *     which it was read when it was kept, so that the same texts give the same hash.
 * DIAGNOSTICS
 *     ERR_CONFIG "not among the kept files"; else those of fs_load().
 */
#include "conf_files.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "text.h"
#include "xmem.h"

void conf_files_add(struct conf_files *f, const char *path, struct span text)
{
    f->v = xreallocarray(f->v, f->n + 1, sizeof *f->v);
    struct conf_file *x = &f->v[f->n++];
    *x = (struct conf_file){.path = xstrdup(path), .text = xstrndup(text.n ? text.p : "", text.n), .n = text.n};
    text_sha256(x->text, x->n, x->sha256);
}

const struct conf_file *conf_files_find(const struct conf_files *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].path, path) == 0)
            return &f->v[i];
    return NULL;
}

void conf_files_clear(struct conf_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].path);
        free(f->v[i].text);
    }
    free(f->v);
    *f = (struct conf_files){0};
}

int conf_files_load(struct conf_files *f, const char *path, struct buf *b, struct err *e)
{
    size_t before = b->n;
    if (f && f->is_given) {
        const struct conf_file *x = conf_files_find(f, path);
        if (!x)
            return err_set(e, ERR_CONFIG, path, "not among the kept files");
        buf_add(b, x->text, x->n);
        return b->is_full ? err_set(e, ERR_LIMIT, path, "the file is too large") : 0;
    }
    if (fs_load(path, b, e))
        return -1;
    if (f && !conf_files_find(f, path))
        conf_files_add(f, path, span_make(b->p ? b->p + before : "", b->n - before));
    return 0;
}

const char *conf_files_match(const struct conf_files *f, const char *pattern, size_t i)
{
    for (size_t k = 0; k < f->n; k++)
        if (fnmatch(pattern, f->v[k].path, FNM_PATHNAME | FNM_PERIOD) == 0 && i-- == 0)
            return f->v[k].path;
    return NULL;
}
