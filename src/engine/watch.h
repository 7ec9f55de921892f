/*
 * watch - what the engine keeps an eye on beside deliveries: when each channel was last heard, and what a person paused. Inside the engine.
 * Thread: engine only. The truth is in the store (store_watch.h); this is its copy for the running configuration, written with each batch.
 */
#ifndef LABRELAY_ENGINE_WATCH_H
#define LABRELAY_ENGINE_WATCH_H
#include <jansson.h>

#include "inner.h"
#include "store_watch.h"

struct watch_channel {
    int64_t last_us, day, today;        /* day: local days since 1970 in the channel's zone; today: its frames */
    bool is_dirty, is_paused;
};
struct watch {
    struct watch_channel *channels;     /* by index of g->conf->listeners */
    bool *writers_paused;               /* by index of g->conf->writers */
    size_t n_channels, n_writers;
};

/* Reads it from the store, for g->conf: at the start, after a failed batch (what was not stored is not true), after a reload. */
int  watch_open(struct engine *g, struct err *e);
void watch_close(struct engine *g);
void watch_heard(struct engine *g, size_t listener, int64_t n, int64_t now);    /* frames came in on it, taken or not */
int  watch_keep(struct engine *g, struct err *e);                               /* before the commit: what was heard */
void watch_tell_loop(struct engine *g);                                         /* which listeners take nothing */
int64_t watch_day(const struct engine *g, size_t listener, int64_t us);         /* local days since 1970 */
/* {"do":"pause"|"resume","name":…,"kind":"channel"|"writer","by":…,"reason":…}; heap answer */
char *watch_command(struct engine *g, json_t *q, bool is_pause, struct err *e);

/* Pauses or resumes in the store of a configuration, audited; nothing running is told. kind "" means whichever has the name. kind_out and
 * index_out say what it was. 0, or -1 with a text for the person. */
int  watch_put_pause(struct store *q, const struct config *conf, const struct store_pause *p, bool is_pause, const char **kind_out, size_t *index_out,
                     struct err *e);
#endif
