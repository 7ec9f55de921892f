/*
 * NAME command_mirror - requests of the control socket about the writers' mirrors.
 *
 * {"do":"mirror"} tells all of them; {"do":"mirror-refresh"[,"writer":"…"][,"full":true]} has them read again, soon or whole.
 * Answers: {"ok":true,"mirrors":[{"writer":"…",…}]} or {"error":"…"}. Counts and times only. Thread: engine.
 */
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"

#define ANSWER_MAX_BYTES ((size_t)1 << 20)

static char *failed(const char *text)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", text);
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

char *command_mirror(struct engine *g, enum writer_mirror what, const char *writer, struct err *e)
{
    size_t n = 0;
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true,\"mirrors\":[");
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        if ((writer && strcmp(w->conf->name, writer) != 0) || !w->conf->ops->mirror)
            continue;
        buf_json_sep(&b);
        buf_addc(&b, '{');
        buf_json_kv(&b, "writer", w->conf->name);
        if (w->conf->ops->mirror(w->w, what, clock_now_us(), &b, e) != 0) {
            buf_clear(&b);
            return failed(e->text);
        }
        buf_addc(&b, '}');
        n++;
        if (what != WRITER_MIRROR_TELL)
            log_event(what == WRITER_MIRROR_RELOAD ? LOG_INFO : LOG_DEBUG, "mirror asked to read again", log_word("writer", w->conf->name),
                      log_word("how", what == WRITER_MIRROR_RELOAD ? "everything" : "changes"));
    }
    if (writer && n == 0) {
        buf_clear(&b);
        return failed("no writer of this name keeps a mirror");
    }
    buf_adds(&b, "]}");
    return buf_take(&b, NULL);
}
