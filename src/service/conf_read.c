/*
 * NAME
 *     conf_read - reads configuration files and follows `include`
 * DESCRIPTION
 *     include "channels.d/" followed by a pattern takes the files that match, sorted by name, at its own place. The pattern is relative to the file that
 *     holds it. No file is read twice, which also ends circles; includes nest at most 8 deep, 200 files in all.
 * DIAGNOSTICS
 *     Files that cannot be read, circles and wrong includes are reported at the include's place.
 */
#include "conf_read.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "text.h"
#include "xmem.h"

#define DEPTH_MAX 8u
#define FILES_MAX 200u
#define TEXT_MAX (256u << 20)

struct reader {
    struct diag *d;
    struct arena *a;
    struct conf_text *out;
    struct conf_files *files;
    struct lexer_budget used;
    char *seen[FILES_MAX];              /* real paths */
    size_t n_seen;
};

static int read_file(struct reader *r, const char *path, const struct diag_place *at, unsigned depth);

static void keep(struct reader *r, const struct lexer_stmt *s)
{
    r->out->v = xreallocarray(r->out->v, r->out->n + 1, sizeof *r->out->v);
    r->out->v[r->out->n++] = *s;
}

static void include(struct reader *r, const char *from, const struct lexer_stmt *s, unsigned depth)
{
    glob_t g;
    if (s->n != 2 || s->v[1].kind != TOKEN_STRING || !s->v[1].text.n || s->has_block) {
        diag_add(r->d, DIAG_ERROR, s->v[s->n > 1 ? 1 : 0].at, "write: include \"channels.d/*.conf\"", "include needs one path in quotes");
        return;
    }
    struct diag_place at = s->v[1].at;
    if (depth >= DEPTH_MAX) {
        diag_add(r->d, DIAG_ERROR, at, NULL, "includes are nested deeper than %u", DEPTH_MAX);
        return;
    }
    char *pattern = fs_path_beside(from, s->v[1].text.p);
    bool is_pattern = strpbrk(s->v[1].text.p, "*?[") != NULL;
    int rc = r->files->is_given ? GLOB_NOMATCH : glob(pattern, 0, NULL, &g);        /* sorted by glob itself */
    const char *kept = r->files->is_given ? conf_files_match(r->files, pattern, 0) : NULL;
    if (kept) {
        for (size_t i = 1; kept; kept = conf_files_match(r->files, pattern, i++))
            (void)read_file(r, kept, &at, depth + 1);
    } else if (rc == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            (void)read_file(r, g.gl_pathv[i], &at, depth + 1);
        globfree(&g);
    } else if (is_pattern) {
        diag_add(r->d, DIAG_WARNING, at, NULL, "no file matches \"%.*s\"", SPAN_ARG(s->v[1].text));
    } else {
        (void)read_file(r, pattern, &at, depth + 1);
    }
    free(pattern);
}

static bool is_new(struct reader *r, const char *path, const struct diag_place *at)
{
    char *real = realpath(path, NULL);
    for (size_t i = 0; real && i < r->n_seen; i++)
        if (strcmp(r->seen[i], real) == 0) {
            diag_add(r->d, DIAG_ERROR, *at, NULL, "%s is included a second time", path);
            free(real);
            return false;
        }
    if (r->n_seen >= FILES_MAX) {
        diag_add(r->d, DIAG_ERROR, *at, NULL, "more than %u files", FILES_MAX);
        free(real);
        return false;
    }
    r->seen[r->n_seen++] = real ? real : xstrdup(path);
    return true;
}

static int read_file(struct reader *r, const char *path, const struct diag_place *at, unsigned depth)
{
    struct buf b;
    struct err e = ERR_INIT;
    struct lexer_stmt *v = NULL;
    size_t n = 0;
    if (at && !is_new(r, path, at))
        return -1;
    buf_init(&b, LEXER_MAX_FILE + 1);
    if (conf_files_load(r->files, path, &b, &e)) {
        struct diag_place none = {.file = at ? 0 : diag_source(r->d, path, SPAN_LIT(""))};
        if (e.kind == ERR_LIMIT)
            diag_add(r->d, DIAG_ERROR, at ? *at : none, NULL, "%s is larger than 1 MB", path);
        else
            diag_add(r->d, DIAG_ERROR, at ? *at : none, NULL, "cannot read %s: %s", path, e.text);
        buf_clear(&b);
        return -1;
    }
    unsigned file = diag_source(r->d, path, buf_span(&b));
    if (!at) {
        struct diag_place self = {.file = file};
        (void)is_new(r, path, &self);
    }
    buf_add_span(&r->out->bytes, buf_span(&b));
    buf_addc(&r->out->bytes, 0);
    lexer_read(r->d, file, buf_span(&b), r->a, &r->used, &v, &n);
    buf_clear(&b);
    for (size_t i = 0; i < n; i++) {
        if (token_is(&v[i].v[0], "include"))
            include(r, path, &v[i], depth);
        else
            keep(r, &v[i]);
    }
    return 0;
}

int conf_read(const char *path, struct diag *d, struct arena *a, struct conf_files *files, struct conf_text *out)
{
    struct reader r = {.d = d, .a = a, .out = out, .files = files};
    *out = (struct conf_text){0};
    buf_init(&out->bytes, TEXT_MAX);
    int rc = read_file(&r, path, NULL, 0);
    for (size_t i = 0; i < r.n_seen; i++)
        free(r.seen[i]);
    out->is_broken = r.used.is_broken;
    return rc;
}

void conf_text_clear(struct conf_text *t)
{
    free(t->v);
    buf_clear(&t->bytes);
}
