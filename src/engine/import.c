/*
 * NAME import - a file that a verb hands over by the control socket goes in as if a listener had read it.
 *
 * {"do":"import","channel":"lab","parser":"csv","path":"/var/lib/labrelay/.import-1234","name":"week-45.csv"}
 * The path is a file that the verb wrote beside the store for us; it is read here and removed, by us and by the verb; what a verb that was
 * killed left there goes at our next start. Answer, after the commit:
 * {"ok":true,"rows":[{"row":2,"fate":"stored","message":17,"where":"…","reason":"…"},…]} in the order of the file.
 * DIAGNOSTICS answers {"error":"…"}: no such channel or parser, a path that is not ours, a file that cannot be read, a store that refuses.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fsutil.h"
#include "inner.h"
#include "xmem.h"

#define PREFIX ".import-"               /* names of the verb's copies; they hold patient data */
#define ANSWER_MAX_BYTES ((size_t)64 << 20)
#define IMPORT_MAX_BYTES ((size_t)16 << 20)

static const char *fate_word(enum frame_fate f)
{
    switch (f) {
    case FATE_STORED: return "stored";
    case FATE_DUPLICATE: return "duplicate";
    case FATE_REFUSED: return "refused";
    case FATE_QUARANTINED: return "refused";
    case FATE_BUSY: return "not taken";
    }
    return "?";
}

static void format_message(const struct parsed *p, enum frame_fate fate, int64_t id, struct buf *b)
{
    const struct problem *q = p->n_problems ? &p->problems[0] : NULL;
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kint(b, "place", p->place);
    buf_json_kv(b, "fate", fate_word(fate));
    buf_json_kint(b, "message", id);
    buf_json_kint(b, "results", p->observations);
    if (q && fate != FATE_DUPLICATE) {
        buf_json_opt(b, "where", span_has(q->expression) ? q->expression : span_of(q->where));
        buf_json_kv(b, "reason", q->text ? q->text : "");
    }
    buf_addc(b, '}');
}

static char *told(const struct pending_frame *pf)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true");
    buf_json_key(&b, "messages");
    buf_addc(&b, '[');
    for (size_t i = 0; pf->is_parsed && i < pf->parsed.n; i++)
        format_message(&pf->parsed.v[i], pf->fates[i], pf->ids[i], &b);
    if (!pf->is_parsed) {
        buf_adds(&b, "{\"place\":0,\"fate\":\"refused\"");
        buf_json_kint(&b, "message", pf->message_id);
        buf_json_kv(&b, "reason", pf->is_unread ? "the file needs more memory than a file may have: split it" : pf->aside ? pf->aside : "UNREADABLE");
        buf_addc(&b, '}');
    }
    buf_adds(&b, "]}");
    return buf_take(&b, NULL);
}

/* Only what stands beside the store under the name that the verb gives its files. */
static bool is_ours(const struct engine *g, const char *path)
{
    const char *slash = strrchr(g->conf->store.path, '/');
    size_t n = slash ? (size_t)(slash - g->conf->store.path) + 1 : 0;
    return strncmp(path, g->conf->store.path, n) == 0 && strncmp(path + n, PREFIX, sizeof PREFIX - 1) == 0 && !strchr(path + n, '/');
}

void import_sweep(const char *store_path)
{
    char *folder = fs_path_beside(store_path, ".");
    DIR *d = opendir(folder);
    const struct dirent *de;
    while (d && (de = readdir(d)))
        if (strncmp(de->d_name, PREFIX, sizeof PREFIX - 1) == 0)
            (void)unlinkat(dirfd(d), de->d_name, 0);
    if (d)
        (void)closedir(d);
    free(folder);
}

char *import_run(struct engine *g, const char *channel, const char *path, const char *name, const char **failure, struct err *e)
{
    const struct channel *ch = channel ? channel_named(g, channel) : NULL;
    struct buf b;
    *failure = !ch                        ? "the running configuration has no listener of this name"
               : !path || !is_ours(g, path) ? "the file does not stand beside the store"
               : g->is_refusing || g->is_low ? "the disk is nearly full: nothing is accepted"
                                             : NULL;
    if (*failure)
        return NULL;
    buf_init(&b, IMPORT_MAX_BYTES);
    if (fs_load(path, &b, e)) {
        buf_clear(&b);
        *failure = "the file cannot be read";
        return NULL;
    }
    (void)unlink(path);
    struct frame *f = xcalloc(1, sizeof *f);
    f->mail.kind = MAIL_FRAME;
    f->listener_index = ch->number;
    f->received_us = clock_now_us();
    f->is_patient = true;
    (void)snprintf(f->peer, sizeof f->peer, "%.63s", name ? name : "import");
    f->raw = buf_take(&b, &f->raw_n);
    if (intake_frame(g, f, e)) {
        *failure = "the store does not take it";
        g->is_broken = true;
        return NULL;
    }
    const struct pending_frame *pf = g->frames;
    while (pf->next)
        pf = pf->next;
    return told(pf);
}
