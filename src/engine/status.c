/*
 * NAME status - what a running engine says of itself, and its log level.
 * The rest of `labrelay status` (channels, queue, alarms) is in the store and read by the verb.
 * DIAGNOSTICS warning "log level" when it is changed: later readers of the log must know.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fsutil.h"
#include "log.h"
#include "alarm.h"
#include "watch.h"

#define ANSWER_MAX_BYTES ((size_t)1 << 20)

static const char *mode_name(enum writer_mode m)
{
    switch (m) {
    case WRITER_STARTING: return "starting";
    case WRITER_READY: return "ready";
    case WRITER_PAUSED: return "paused";
    }
    return "?";
}

/* What it has read of the people at the other side, when it keeps a mirror. */
static void tell_mirror(const struct writer_run *w, struct buf *b)
{
    struct err e = ERR_INIT;
    struct buf m;
    if (!w->conf->ops->mirror)
        return;
    buf_init(&m, ANSWER_MAX_BYTES);
    buf_addc(&m, '{');
    if (w->conf->ops->mirror(w->w, WRITER_MIRROR_TELL, clock_now_us(), &m, &e) == 0) {
        buf_addc(&m, '}');
        buf_json_key(b, "mirror");
        buf_add_span(b, buf_span(&m));
    }
    buf_clear(&m);
}

char *status_answer(struct engine *g)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true");
    buf_json_kv(&b, "node", g->conf->node);
    buf_json_kv(&b, "config", g->conf->hash);
    buf_json_kint(&b, "config_number", g->config_number);
    buf_json_kint(&b, "config_since_us", g->config_since_us);
    buf_json_kint(&b, "started_us", g->started_us);
    buf_json_kint(&b, "now_us", clock_now_us());
    buf_json_kv(&b, "log_level", log_level_name(log_get_level()));
    buf_json_kint(&b, "disk_free_percent", fs_free_percent(g->conf->store.path));
    buf_json_key(&b, "accepting");
    buf_adds(&b, g->is_refusing || g->is_low || g->is_capped ? "false" : "true");
    buf_json_key(&b, "store_takes");
    buf_adds(&b, g->is_refusing ? "false" : "true");
    buf_json_key(&b, "store_is_full");
    buf_adds(&b, g->is_capped ? "true" : "false");
    buf_json_key(&b, "writers");
    buf_addc(&b, '[');
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        struct writer_status s = {.mode = WRITER_STARTING};
        w->conf->ops->status(w->w, &s);
        buf_json_sep(&b);
        buf_addc(&b, '{');
        buf_json_kv(&b, "name", w->conf->name);
        bool is_paused = g->watch->writers_paused[i];
        buf_json_kv(&b, "mode", is_paused ? "paused" : mode_name(s.mode));
        buf_json_kv(&b, "reason", is_paused ? "BY_PERSON" : s.reason ? s.reason : "");
        buf_json_kv(&b, "detail", s.detail);
        buf_json_kint(&b, "until_us", s.until_us);
        buf_json_opt(&b, "permissions_missing", span_of(s.missing));
        buf_json_kint(&b, "active", (int64_t)w->n_active);
        buf_json_kint(&b, "busy", (int64_t)w->n_busy);
        buf_json_kint(&b, "delivered", w->delivered);
        tell_mirror(w, &b);
        buf_json_kint(&b, "requests", w->requests);
        buf_addc(&b, '}');
    }
    buf_addc(&b, ']');
    alarm_status(g, &b);
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

char *status_set_log(struct engine *g, const char *level, int64_t for_us)
{
    struct buf b;
    enum log_level lv;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    if (!level || log_level_parse(level, &lv)) {
        buf_json_kv(&b, "error", "log-level is error, warning, info or debug");
    } else {
        enum log_level before = g->log_until_us ? g->log_before : log_get_level();
        g->log_until_us = for_us > 0 ? clock_mono_us() + for_us : 0;
        g->log_before = before;
        log_set_level(lv > LOG_WARNING ? lv : LOG_WARNING);     /* this line is said on every level */
        log_event(LOG_WARNING, "log level", log_word("level", level), log_int("seconds", for_us / 1000000));
        log_set_level(lv);
        buf_adds(&b, "\"ok\":true");
        buf_json_kv(&b, "level", level);
        buf_json_kv(&b, "before", log_level_name(before));
        buf_json_kint(&b, "for_us", for_us > 0 ? for_us : 0);
    }
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

void status_idle(struct engine *g)
{
    if (!g->log_until_us || clock_mono_us() < g->log_until_us)
        return;
    g->log_until_us = 0;
    log_set_level(g->log_before);
    log_event(LOG_WARNING, "log level", log_word("level", log_level_name(g->log_before)));
}
