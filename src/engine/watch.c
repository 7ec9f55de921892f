/*
 * NAME watch - when channels were last heard, and pauses.
 *
 * A paused writer gets no tasks and no chores: nothing leaves, its queue grows; what a courier has in hand is finished. A paused channel
 * keeps its port open and refuses (207, 503), or leaves its files where they are. Both outlive a restart.
 * DIAGNOSTICS info "paused"/"resumed" with kind and name.
 */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "loop.h"
#include "log.h"
#include "xmem.h"

#define DAY_S 86400LL
#define ANSWER_MAX_BYTES ((size_t)64 << 10)

int64_t watch_day(const struct engine *g, size_t listener, int64_t us)
{
    const struct channel *ch = channel_named(g, g->conf->listeners[listener].name);
    const struct zone *z = ch ? ch->zone : NULL;
    int64_t s = us / 1000000;
    return (s + (z ? zone_offset_s(z, s) : 0)) / DAY_S;
}

static size_t channel_at(const struct config *conf, const char *name)
{
    const struct listener_conf *lc = config_listener_find(conf, name);
    return lc ? lc->index : SIZE_MAX;
}

static size_t writer_at(const struct config *conf, const char *name)
{
    const struct writer_conf *w = config_writer_find(conf, name);
    return w ? (size_t)(w - conf->writers) : SIZE_MAX;
}

static void take_channel(void *ctx, const struct store_channel *c)
{
    struct engine *g = ctx;
    size_t i = channel_at(g->conf, c->name);
    if (i >= g->watch->n_channels)
        return;
    struct watch_channel *w = &g->watch->channels[i];
    w->last_us = c->last_us > w->last_us ? c->last_us : w->last_us;
    w->day = c->day;
    w->today = c->today;
}

static void take_pause(void *ctx, const struct store_pause *p)
{
    struct engine *g = ctx;
    size_t i = strcmp(p->kind, "channel") == 0 ? channel_at(g->conf, p->name) : SIZE_MAX, k = strcmp(p->kind, "writer") == 0 ? writer_at(g->conf, p->name) : SIZE_MAX;
    if (i < g->watch->n_channels)
        g->watch->channels[i].is_paused = true;
    if (k < g->watch->n_writers)
        g->watch->writers_paused[k] = true;
}

int watch_open(struct engine *g, struct err *e)
{
    struct store_at at = {.q = g->env.store};
    struct watch *old = g->watch;
    struct watch *w = xcalloc(1, sizeof *w);
    w->n_channels = g->conf->n_listeners;
    w->n_writers = g->conf->n_writers;
    w->channels = xcalloc(w->n_channels + 1, sizeof *w->channels);
    w->writers_paused = xcalloc(w->n_writers + 1, sizeof *w->writers_paused);
    g->watch = w;
    if (old) {
        for (size_t i = 0; i < w->n_channels && old->n_channels == w->n_channels; i++)
            w->channels[i].last_us = old->channels[i].last_us;      /* it was heard, whatever became of it */
        free(old->channels);
        free(old->writers_paused);
        free(old);
    }
    if (store_list_channels(at, take_channel, g, e) || store_list_pauses(at, take_pause, g, e))
        return -1;
    watch_tell_loop(g);
    return 0;
}

void watch_close(struct engine *g)
{
    if (!g->watch)
        return;
    free(g->watch->channels);
    free(g->watch->writers_paused);
    free(g->watch);
    g->watch = NULL;
}

void watch_tell_loop(struct engine *g)
{
    for (size_t i = 0; g->env.loop && i < g->watch->n_channels; i++)
        loop_set_paused(g->env.loop, g->conf->listeners[i].name, g->watch->channels[i].is_paused);
}

void watch_heard(struct engine *g, size_t listener, int64_t n, int64_t now)
{
    struct watch_channel *w = &g->watch->channels[listener];
    int64_t day = watch_day(g, listener, now);
    if (day != w->day) {
        w->day = day;
        w->today = 0;
    }
    w->today += n;
    w->last_us = now;
    w->is_dirty = true;
}

int watch_keep(struct engine *g, struct err *e)
{
    for (size_t i = 0; i < g->watch->n_channels; i++) {
        struct watch_channel *w = &g->watch->channels[i];
        struct store_channel c = {g->conf->listeners[i].name, w->last_us, w->day, w->today};
        if (w->is_dirty && store_put_channel(g->env.store, &c, e))
            return -1;
        w->is_dirty = false;
    }
    return 0;
}

int watch_put_pause(struct store *q, const struct config *conf, const struct store_pause *p, bool is_pause, const char **kind_out, size_t *index_out,
                    struct err *e)
{
    struct buf why;
    size_t channel = strcmp(p->kind, "writer") == 0 ? SIZE_MAX : channel_at(conf, p->name), writer = strcmp(p->kind, "channel") == 0 ? SIZE_MAX : writer_at(conf, p->name);
    if (channel != SIZE_MAX && writer != SIZE_MAX)
        return err_set(e, ERR_INPUT, p->name, "there is a channel and a writer of this name: say --channel or --writer");
    if (channel == SIZE_MAX && writer == SIZE_MAX)
        return err_set(e, ERR_INPUT, p->name, "no channel or writer of this name in the running configuration");
    *kind_out = channel != SIZE_MAX ? "channel" : "writer";
    *index_out = channel != SIZE_MAX ? channel : writer;
    struct store_pause put = *p;
    put.kind = *kind_out;
    if (is_pause ? store_put_pause(q, &put, e) : store_drop_pause(q, put.kind, put.name, e))
        return -1;
    buf_init(&why, ANSWER_MAX_BYTES);
    buf_addf(&why, "%s %s%s%s", put.kind, put.name, p->why[0] ? ": " : "", p->why);
    int rc = store_audit(q, p->who, is_pause ? "pause" : "resume", 0, 0, why.p, e);
    buf_clear(&why);
    return rc;
}

static const char *text_of(json_t *q, const char *key)
{
    const char *v = json_string_value(json_object_get(q, key));
    return v ? v : "";
}

char *watch_command(struct engine *g, json_t *q, bool is_pause, struct err *e)
{
    struct store_pause p = {.kind = text_of(q, "kind"), .name = text_of(q, "name"), .us = clock_now_us(), .who = text_of(q, "by"), .why = text_of(q, "reason")};
    const char *kind = "";
    struct buf b;
    size_t i = 0;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    if (!p.who[0]) {
        buf_json_kv(&b, "error", "who does this? say --by NAME");
    } else if (watch_put_pause(g->env.store, g->conf, &p, is_pause, &kind, &i, e)) {
        buf_json_kv(&b, "error", e->text);
    } else {
        if (strcmp(kind, "channel") == 0) {
            g->watch->channels[i].is_paused = is_pause;
            watch_tell_loop(g);
        } else {
            g->watch->writers_paused[i] = is_pause;
            if (!is_pause)
                g->conf->writers[i].ops->resume(g->writers[i].w);   /* also out of a pause of its own: LOGIN_FAILED … */
            dispatch_wake(g, g->conf->writers[i].name);
        }
        log_event(LOG_INFO, is_pause ? "paused" : "resumed", log_word("kind", kind), log_word("name", p.name));
        buf_adds(&b, "\"ok\":true");
        buf_json_kv(&b, "kind", kind);
        buf_json_kv(&b, "name", p.name);
        buf_json_kv(&b, "state", is_pause ? "paused" : "running");
    }
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}
