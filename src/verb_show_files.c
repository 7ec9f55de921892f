/*
 * NAME labrelay show --attachment - documents inside a stored message: counted over all its records in order, from 1; each content once.
 *
 * They are not stored by themselves: the original is read again with the parser of the listener by which it came.
 * DIAGNOSTICS on stderr; exit 3 when there is no such document or the original is gone.
 */
#include "verb_show_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RAW_MAX_BYTES ((size_t)256 << 20)
#define ARENA_FACTOR 12
#define ARENA_EXTRA ((size_t)16 << 20)
#define FILES_MAX 1000u

struct opened { struct buf raw; struct arena *a; const struct rec_attachment *v[FILES_MAX]; size_t n; };

static void add(struct opened *x, const struct rec_attachment *at)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->v[i]->sha256, at->sha256) == 0)
            return;
    if (at->sha256[0] && x->n < FILES_MAX)
        x->v[x->n++] = at;
}

/* 0, 1 when the original or its listener is gone, -1 with *e. Close it in any case. */
static int open_files(struct opened *x, const struct config *conf, struct store_reader *r, const struct store_message_row *m, struct err *e)
{
    struct parse_result pr = {.n = 0};
    const struct listener_conf *lc = config_listener_find(conf, m->channel);
    x->a = NULL;
    x->n = 0;
    buf_init(&x->raw, RAW_MAX_BYTES);
    int rc = store_load_raw(r, m->id, &x->raw, e);
    if (rc || !lc)
        return rc ? rc : 1;
    const struct parser_conf *pc = config_parser_find(lc, NULL, buf_span(&x->raw));
    x->a = arena_new(x->raw.n * ARENA_FACTOR + ARENA_EXTRA);
    if (!pc)
        return 1;
    if (pc->ops->parse(pc->options, buf_span(&x->raw), x->a, &pr, e))
        return -1;
    for (size_t i = 0; i < pr.n; i++)
        for (size_t k = 0; k < pr.v[i].n_records; k++)
            for (size_t n = 0; n < pr.v[i].records[k].report.attachments.n; n++)
                add(x, &pr.v[i].records[k].report.attachments.v[n]);
    return 0;
}

static void close_files(struct opened *x)
{
    arena_free(x->a);
    buf_clear(&x->raw);
}

void show_attachments(const struct config *conf, struct store_reader *r, const struct store_message_row *m, bool is_json, struct buf *b)
{
    struct opened x;
    struct err e = ERR_INIT;
    int rc = open_files(&x, conf, r, m, &e);
    if (is_json) {
        buf_json_key(b, "attachments");
        buf_addc(b, '[');
    }
    for (size_t i = 0; rc == 0 && i < x.n; i++) {
        const struct rec_attachment *at = x.v[i];
        if (is_json) {
            buf_json_sep(b);
            buf_addc(b, '{');
            buf_json_kint(b, "n", (int64_t)i + 1);
            buf_json_opt(b, "mime", at->mime);
            buf_json_kint(b, "bytes", (int64_t)at->bytes.n);
            buf_json_kv(b, "sha256", at->sha256);
            buf_json_opt(b, "path", at->path);
            buf_addc(b, '}');
        } else {
            buf_addf(b, "attachment %zu: %.*s, %zu bytes, sha256 %.8s, at %.*s\n", i + 1, SPAN_ARG(at->mime), at->bytes.n, at->sha256, SPAN_ARG(at->path));
        }
    }
    if (is_json)
        buf_addc(b, ']');
    close_files(&x);
}

static int save(const char *path, struct span bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_good = fd >= 0;
    while (is_good && bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        is_good = n > 0 || (n < 0 && errno == EINTR);
        bytes = span_from(bytes, n > 0 ? (size_t)n : 0);
    }
    is_good = is_good && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0 && close(fd))
        is_good = false;
    if (is_good)
        return EXIT_FINE;
    fprintf(stderr, "labrelay: cannot write %s: %s\n", path, strerror(why));
    return EXIT_WRONG;
}

int show_attachment(const struct cli *c, const struct config *conf, struct store_reader *r, const struct store_message_row *m, struct buf *b)
{
    struct opened x;
    struct err e = ERR_INIT;
    int64_t which = 0;
    const char *out = cli_get(c, "out");
    if (!span_int(span_of(cli_get(c, "attachment")), &which) || which < 1)
        return cli_usage(c, "--attachment takes a number from 1: labrelay show ID lists them");
    int rc = open_files(&x, conf, r, m, &e);
    if (rc < 0) {
        rc = cli_fail(&e);
    } else if (rc > 0 || (uint64_t)which > x.n) {
        if (rc > 0)
            fprintf(stderr, "labrelay: the original of m%" PRId64 " cannot be read again: it was erased, or its listener is not in the configuration\n", m->id);
        else
            fprintf(stderr, "labrelay: m%" PRId64 " holds %zu document%s\n", m->id, x.n, x.n == 1 ? "" : "s");
        rc = EXIT_ABSENT;
    } else if (out) {
        rc = save(out, x.v[which - 1]->bytes);
    } else {
        buf_add_span(b, x.v[which - 1]->bytes);
    }
    close_files(&x);
    return rc;
}
