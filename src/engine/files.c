/*
 * NAME files - the attachments of a delivery, read again from the original of its message, for a courier.
 *
 * The record is not stored: the original is parsed once more, on the engine thread, when a task of a delivery with DELIVERY_HAS_FILES is made.
 * What cannot be read again (an erased original, a listener that is gone, a message in parts) gives no files: the writer says so.
 * DIAGNOSTICS -1 only for the store.
 */
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "log.h"
#include "xmem.h"

#define RAW_MAX_BYTES ((size_t)256 << 20)
#define ARENA_FACTOR 12             /* as intake */
#define ARENA_EXTRA ((size_t)4 << 20)
#define FILES_MAX 64u

static char *copy(struct span s)
{
    char *p = xmalloc(s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

static void take(const struct rec_attachments *all, struct task *t)
{
    t->files = xcalloc(all->n ? all->n : 1, sizeof *t->files);
    for (size_t i = 0; i < all->n && t->n_files < FILES_MAX; i++) {
        const struct rec_attachment *a = &all->v[i];
        if (!a->sha256[0])
            continue;
        struct task_file *f = &t->files[t->n_files++];
        memcpy(f->sha256, a->sha256, sizeof f->sha256);
        f->mime = xstrndup(a->mime.n ? a->mime.p : "", a->mime.n);
        f->bytes = copy(a->bytes);
        f->n = a->bytes.n;
    }
}

static void parse(const struct listener_conf *lc, const struct delivery *d, struct span raw, struct task *t)
{
    struct arena *a = arena_new(raw.n * ARENA_FACTOR + ARENA_EXTRA);
    struct parse_result pr = {.n = 0};
    struct err e = ERR_INIT;
    const struct parser_conf *pc = config_parser_find(lc, NULL, raw);
    if (pc && pc->ops->parse(pc->options, raw, a, &pr, &e) == 0 && pr.n && d->record_index < pr.v[0].n_records)
        take(&pr.v[0].records[d->record_index].report.attachments, t);
    arena_free(a);
}

int files_load(struct engine *g, const struct delivery *d, struct task *t, struct err *e)
{
    struct store_message_row m = {.id = 0};
    struct buf raw;
    int rc = store_get_message(g->env.store, d->message_id, &m, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    const struct listener_conf *lc = config_listener_find(g->conf, m.channel);
    buf_init(&raw, RAW_MAX_BYTES);
    if (lc)
        rc = store_get_raw(g->env.store, d->message_id, &raw, e);
    if (lc && rc == 0)
        parse(lc, d, buf_span(&raw), t);
    if (!t->n_files)
        log_event(LOG_WARNING, "attachments cannot be read again", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id));
    buf_clear(&raw);
    store_message_row_clear(&m);
    return rc < 0 ? -1 : 0;
}
