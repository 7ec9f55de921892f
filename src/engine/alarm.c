/*
 * NAME alarm - conditions, rows and notices of alarms. Telling people: alarm_post.c.
 *
 * Life of a row: raised (said_us 0 until everybody was told) → over since quiet_us → cleared after `settle` (said_us 0 again) → dropped once
 * the all-clear was told or given up. What could not be told is tried again every RETELL_US while it is up.
 * DIAGNOSTICS error "alarm", warning "all-clear", each with kind, subject and figure: always in the log, whoever else is told.
 */
#include "alarm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fsutil.h"
#include "log.h"
#include "watch.h"
#include "xmem.h"

#define LOOK_US 5000000LL           /* how often the store is asked for queue and holds */
#define LOOK_COST 50                /* and at most one part in so many of the engine's time */
#define EVENT_US 60000000LL
#define MIRROR_OLD_US 60000000LL
#define RETELL_US 900000000LL
#define ROWS_MAX 500

struct row {
    char kind[32], subject[96], detail[300];
    int64_t raised_us, cleared_us, said_us, n;
    int64_t quiet_us;               /* the condition is false since then; 0: it holds */
    int64_t spoken_us;              /* a notice left then */
    bool is_event, is_dirty, is_under_way, must_say, is_over;
    enum notice_what what;          /* what must be said */
    struct row *next;
};

struct alarms {
    struct row *first;
    size_t n;
    struct alarm_post *post, *ending;   /* ending: of the configuration before */
    int64_t look_us;                /* monotonic: the next look into the store */
    int64_t *down_us;               /* per writer: does not write since then; 0: it writes */
    int64_t *old_us;                /* per writer: its mirror is old since then (a pause or a jump of the clock is over within a minute) */
    struct { int64_t count, oldest_us; int64_t oldest_own_us; char reason[32]; } held;  /* of the writer that is looked at */
    const struct writer_conf *writer;
    int64_t now;
};

static bool is_event_kind(const char *kind)
{
    return strcmp(kind, "withdrawn") == 0 || strcmp(kind, "withdrawal-held") == 0 || strcmp(kind, "critical") == 0 ||
           strcmp(kind, "parts-missing") == 0;
}

static struct row *find(const struct alarms *a, const char *kind, const char *subject)
{
    for (struct row *r = a->first; r; r = r->next)
        if (strcmp(r->kind, kind) == 0 && strncmp(r->subject, subject, sizeof r->subject - 1) == 0)
            return r;
    return NULL;
}

static struct row *add(struct alarms *a, const char *kind, const char *subject)
{
    if (a->n >= ROWS_MAX)
        return NULL;
    struct row *r = xcalloc(1, sizeof *r);
    (void)snprintf(r->kind, sizeof r->kind, "%s", kind);
    (void)snprintf(r->subject, sizeof r->subject, "%s", subject);
    r->is_event = is_event_kind(kind);
    r->next = a->first;
    a->first = r;
    a->n++;
    return r;
}

static void drop(struct alarms *a, struct row *gone)
{
    for (struct row **p = &a->first; *p; p = &(*p)->next)
        if (*p == gone) {
            *p = gone->next;
            free(gone);
            a->n--;
            return;
        }
}

static void say(struct row *r, enum notice_what what, int64_t now)
{
    r->what = what;
    r->must_say = true;
    r->is_dirty = true;
    r->said_us = 0;
    switch (what) {
    case NOTICE_RAISED:
    case NOTICE_REMINDER:
        log_event(LOG_ERROR, "alarm", log_word("kind", r->kind), log_word("subject", r->subject), log_int("n", r->n), log_text("detail", r->detail));
        break;
    case NOTICE_EVENT:
        break;
    case NOTICE_CLEARED:
        log_event(LOG_WARNING, "all-clear", log_word("kind", r->kind), log_word("subject", r->subject), log_ms("lasted", now - r->raised_us));
        break;
    }
}

/* ---- states and events ---- */

void alarm_set(struct engine *g, const char *kind, const char *subject, bool is_up, int64_t n, const char *detail)
{
    struct row *r = find(g->alarms, kind, subject);
    int64_t now = g->alarms->now;
    if (!is_up) {
        if (r && !r->cleared_us && !r->quiet_us)
            r->quiet_us = now;
        if (r && !r->cleared_us && now - r->quiet_us >= g->conf->alarm.settle_us) {
            r->cleared_us = now;
            say(r, NOTICE_CLEARED, now);
        }
        return;
    }
    if (r && r->cleared_us && r->said_us == 0 && !r->is_under_way && r->must_say) {     /* nobody heard that it was over: it never was */
        r->cleared_us = r->quiet_us = 0;
        r->said_us = now;
        r->must_say = false;
        r->is_dirty = true;
        return;
    }
    if (r && r->cleared_us)
        return;                     /* the all-clear is on its way: the next look raises it anew */
    if (!r) {
        if (!(r = add(g->alarms, kind, subject)))
            return;
        r->raised_us = now;
        r->n = n;
        (void)snprintf(r->detail, sizeof r->detail, "%s", detail);
        say(r, NOTICE_RAISED, now);
        return;
    }
    r->quiet_us = 0;
    r->n = n;
    (void)snprintf(r->detail, sizeof r->detail, "%s", detail);
    int64_t since = r->spoken_us ? r->spoken_us : r->raised_us;
    if (g->conf->alarm.remind_us && !r->must_say && !r->is_under_way && now - since >= g->conf->alarm.remind_us)
        say(r, NOTICE_REMINDER, now);
}

void alarm_event(struct engine *g, const char *kind, const char *subject, char letter, int64_t id)
{
    struct row *r = find(g->alarms, kind, subject);
    int64_t now = clock_now_us();
    if (!r && !(r = add(g->alarms, kind, subject)))
        return;
    if (r->n == 0)
        r->raised_us = now;
    r->n++;
    r->cleared_us = now;            /* an event is over at once: it is never up */
    if (r->n == 1)
        (void)snprintf(r->detail, sizeof r->detail, "%c%" PRId64, letter, id);
    else
        (void)snprintf(r->detail, sizeof r->detail, "%" PRId64 " in the last minute, the last is %c%" PRId64, r->n, letter, id);
    r->is_dirty = true;
    log_event(LOG_WARNING, "alarm", log_word("kind", kind), log_word("subject", subject), log_id(letter == 'd' ? "delivery" : "msg", letter, id));
}

bool alarm_is_up(const struct engine *g, const char *kind, const char *subject)
{
    const struct row *r = find(g->alarms, kind, subject);
    return r && !r->cleared_us;
}

/* ---- conditions ---- */

static void look_at_silence(struct engine *g)
{
    int64_t now = g->alarms->now;
    char detail[200], every[24];
    for (size_t i = 0; i < g->conf->n_listeners; i++) {
        const struct listener_conf *lc = &g->conf->listeners[i];
        const struct watch_channel *c = &g->watch->channels[i];
        const struct channel *ch = channel_named(g, lc->name);
        const struct zone *z = ch ? ch->zone : NULL;
        if (!lc->expect.every_us || c->is_paused) {
            alarm_set(g, "silence", lc->name, false, 0, "");
            continue;
        }
        bool is_up = alarm_is_up(g, "silence", lc->name);
        int64_t from = c->last_us > g->started_us || is_up ? c->last_us : g->started_us;    /* before the start nothing could come */
        int64_t off = z ? zone_offset_s(z, now / 1000000) * 1000000LL : 0, off_from = z ? zone_offset_s(z, from / 1000000) * 1000000LL : 0;
        int64_t silent = expect_between(&lc->expect, from + off_from, now + off);
        int64_t s = lc->expect.every_us / 1000000;
        int64_t unit = s % 3600 == 0 ? 3600 : s % 60 == 0 ? 60 : 1;
        (void)snprintf(every, sizeof every, "%" PRId64 " %s", s / unit, unit == 3600 ? "h" : unit == 60 ? "min" : "s");
        (void)snprintf(detail, sizeof detail, "nothing came for more than %s of the expected hours", every);
        alarm_set(g, "silence", lc->name, silent >= lc->expect.every_us && (is_up || expect_is_on(&lc->expect, now + off)), silent / 1000000, detail);
    }
}

static void look_at_store(struct engine *g)
{
    int percent = fs_free_percent(g->conf->store.path);
    char detail[120];
    (void)snprintf(detail, sizeof detail, "%d%% of the disk is free%s", percent, g->is_low ? "; messages are refused" : "");
    alarm_set(g, "disk-low", "store", percent >= 0 && percent < g->conf->alarm.disk_free_percent, percent, detail);
    alarm_set(g, "store-refuses", "store", g->is_refusing || g->is_capped, 0,
              g->is_refusing ? "the store does not take anything: senders are told to come again"
                             : "the store has reached size-max and holds nothing finished that could be erased: senders are told to come again");
}

static void look_at_writers(struct engine *g)
{
    char detail[280];
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        struct writer_status s = {.mode = WRITER_STARTING};
        int64_t *since = &g->alarms->down_us[i];
        bool is_paused = g->watch->writers_paused[i];
        w->conf->ops->status(w->w, &s);
        if (s.mode == WRITER_READY && !is_paused)
            *since = 0;
        else if (!*since)
            *since = g->alarms->now;
        (void)snprintf(detail, sizeof detail, "%s%s%s", is_paused ? "paused by a person" : s.reason ? s.reason : "does not answer", !is_paused && s.detail[0] ? ": " : "",
                       is_paused ? "" : s.detail);
        bool is_late = *since && g->conf->alarm.writer_down_us &&
                       (alarm_is_up(g, "writer-down", w->conf->name) || g->alarms->now - *since >= g->conf->alarm.writer_down_us);    /* up: also over a restart */
        alarm_set(g, "writer-down", w->conf->name, is_late, *since ? (g->alarms->now - *since) / 1000000 : 0, detail);
    }
}

static void on_held(void *ctx, const char *reason, int64_t n, int64_t oldest_us)
{
    struct engine *g = ctx;
    struct alarms *a = g->alarms;
    int64_t own = a->writer && a->writer->ops->held_alarm_us ? a->writer->ops->held_alarm_us(a->writer->options, reason) : 0;
    int64_t limit = own ? own : g->conf->alarm.held_age_us;
    a->held.count += n;
    if (oldest_us && limit && a->now - oldest_us >= limit && (!a->held.oldest_us || oldest_us < a->held.oldest_us)) {
        a->held.oldest_us = oldest_us;
        (void)snprintf(a->held.reason, sizeof a->held.reason, "%s", reason);
    }
}

static int look_at_queue(struct engine *g, const struct writer_conf *w, const char *name, struct err *e)
{
    struct alarms *a = g->alarms;
    const struct alarm_conf *c = &g->conf->alarm;
    int64_t n = 0, oldest = 0;
    char detail[200];
    memset(&a->held, 0, sizeof a->held);
    a->writer = w;
    if ((w && store_oldest_due(g->env.store, w->name, &n, &oldest, e)) || store_list_held(g->env.store, w ? w->name : "", on_held, g, e))
        return -1;
    int64_t age = oldest ? (a->now - oldest) / 1000000 : 0;
    (void)snprintf(detail, sizeof detail, "%" PRId64 " results wait, the oldest for %" PRId64 " min", n, age / 60);
    alarm_set(g, "queue-age", name, n && c->queue_age_us && age * 1000000 >= c->queue_age_us, n, detail);
    (void)snprintf(detail, sizeof detail, "%" PRId64 " results are held", a->held.count);
    alarm_set(g, "held-count", name, c->held_count && a->held.count > c->held_count, a->held.count, detail);
    age = a->held.oldest_us ? (a->now - a->held.oldest_us) / 1000000 : 0;
    (void)snprintf(detail, sizeof detail, "%s: the oldest is held for %" PRId64 " %s", a->held.reason, age >= 172800 ? age / 86400 : age / 60, age >= 172800 ? "days" : "min");
    alarm_set(g, "held-age", name, a->held.oldest_us != 0, age, detail);
    return 0;
}

/* Rows of channels and writers that the configuration does not know any more. */
static void look_at_names(struct engine *g)
{
    for (struct row *r = g->alarms->first; r; r = r->next) {
        bool is_known = r->is_event || strcmp(r->subject, "store") == 0 || strcmp(r->subject, "no-writer") == 0 || config_listener_find(g->conf, r->subject) ||
                        config_writer_find(g->conf, r->subject);
        if (!is_known)
            alarm_set(g, r->kind, r->subject, false, 0, "");
    }
}

/* A mirror whose changes are not read any more: people are missed although the writer writes. */
static void look_at_mirrors(struct engine *g)
{
    char detail[120];
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        struct err e = ERR_INIT;
        struct buf b;
        if (!w->conf->ops->mirror)
            continue;
        buf_init(&b, (size_t)1 << 16);
        buf_addc(&b, '{');
        int rc = w->conf->ops->mirror(w->w, WRITER_MIRROR_TELL, g->alarms->now, &b, &e);
        buf_addc(&b, '}');
        json_t *m = rc == 0 ? json_loads(b.p, 0, NULL) : NULL;
        int64_t seen = json_integer_value(json_object_get(m, "seen_us")), age = seen > 0 ? (g->alarms->now - seen) / 1000000 : 0;
        bool is_paused = g->watch->writers_paused[i] || g->alarms->down_us[i];
        (void)snprintf(detail, sizeof detail, "changes at the other side were read %" PRId64 " min ago", age / 60);
        bool is_old = m && !is_paused && g->conf->alarm.writer_down_us && age * 1000000 >= g->conf->alarm.writer_down_us;
        int64_t *since = &g->alarms->old_us[i];
        *since = !is_old ? 0 : *since ? *since : g->alarms->now;
        alarm_set(g, "mirror-old", w->conf->name, is_old && (alarm_is_up(g, "mirror-old", w->conf->name) || g->alarms->now - *since >= MIRROR_OLD_US), age, detail);
        json_decref(m);
        buf_clear(&b);
    }
}

static int put(struct engine *g, const struct row *r, struct err *e)
{
    struct store_alarm s = {r->kind, r->subject, r->raised_us, r->cleared_us, r->said_us, r->n, r->detail};
    return store_put_alarm(g->env.store, &s, e);
}

static int keep(struct engine *g, struct err *e)
{
    for (struct row *r = g->alarms->first, *next; r; r = next) {
        next = r->next;
        if (r->is_over) {
            if (store_drop_alarm(g->env.store, r->kind, r->subject, e))
                return -1;
            drop(g->alarms, r);
        } else if (r->is_dirty) {
            bool is_spent = r->is_event && r->n == 0;       /* stays in memory: when it was last spoken of */
            if (is_spent ? store_drop_alarm(g->env.store, r->kind, r->subject, e) : put(g, r, e))
                return -1;
            r->is_dirty = false;
        }
    }
    return 0;
}

/* Events that nobody heard of, and alarms that could not be told. */
static void look_at_rows(struct engine *g)
{
    int64_t now = g->alarms->now;
    for (struct row *r = g->alarms->first; r; r = r->next) {
        if (r->must_say || r->is_under_way || r->said_us || r->is_over || (r->is_event && r->n == 0))
            continue;
        if (r->is_event && now - r->spoken_us >= EVENT_US)
            say(r, NOTICE_EVENT, now);
        else if (!r->is_event && now - r->spoken_us >= RETELL_US) {
            r->what = r->cleared_us ? NOTICE_CLEARED : NOTICE_RAISED;
            r->must_say = true;
        }
    }
}

int alarm_idle(struct engine *g, struct err *e)
{
    struct alarms *a = g->alarms;
    a->now = clock_now_us();
    if (a->ending && alarm_post_has_ended(a->ending)) {
        alarm_post_close(a->ending);
        a->ending = NULL;
        if (!alarm_post_says(a->post, &g->conf->alarm, g->conf->node))
            alarm_reload(g);
    }
    look_at_silence(g);
    look_at_store(g);
    look_at_writers(g);
    look_at_names(g);
    int64_t mono = clock_mono_us();
    if (!g->is_refusing && mono >= a->look_us) {
        for (size_t i = 0; i < g->conf->n_writers; i++)
            if (look_at_queue(g, &g->conf->writers[i], g->conf->writers[i].name, e))
                return -1;
        if (look_at_queue(g, NULL, "no-writer", e))
            return -1;
        look_at_mirrors(g);
        int64_t took = clock_mono_us() - mono;
        a->look_us = mono + (took * LOOK_COST > LOOK_US ? took * LOOK_COST : LOOK_US);
    }
    look_at_rows(g);
    if (g->is_refusing) {
        alarm_send(g, false);
        return 0;
    }
    return keep(g, e);
}

/* ---- notices ---- */

void alarm_send(struct engine *g, bool is_stored)
{
    struct alarms *a = g->alarms;
    for (struct row *r = a->first; r; r = r->next) {
        if (!a->post || !r->must_say || r->is_under_way || (is_stored && r->is_dirty))
            continue;
        struct notice *n = xcalloc(1, sizeof *n);
        n->what = r->what;
        (void)snprintf(n->kind, sizeof n->kind, "%s", r->kind);
        (void)snprintf(n->subject, sizeof n->subject, "%s", r->subject);
        (void)snprintf(n->detail, sizeof n->detail, "%s", r->detail);
        n->raised_us = r->raised_us;
        n->cleared_us = r->is_event ? 0 : r->cleared_us;
        n->n = r->n;
        r->must_say = false;
        r->is_under_way = true;
        r->spoken_us = clock_now_us();
        alarm_post_send(a->post, n);
    }
}

int alarm_told(struct engine *g, struct notice *n, struct err *e)
{
    int rc = 0;
    struct row *r = find(g->alarms, n->kind, n->subject);
    if (r) {
        r->is_under_way = false;
        r->is_dirty = true;
        if (n->is_cut && !n->is_told)
            r->must_say = true;     /* by the thread that comes after */
        if (r->is_event && n->is_told) {
            r->n -= n->n;               /* what came meanwhile is said after EVENT_US */
            r->raised_us = r->cleared_us;
        } else if (!r->is_event && n->what == NOTICE_CLEARED && r->cleared_us) {
            r->is_over = n->is_told || !n->is_cut;
        } else if (!r->is_event && !r->must_say) {
            r->said_us = n->is_told ? clock_now_us() : 0;
        }
        if (!g->is_refusing)
            rc = keep(g, e);        /* in the batch that is open: told once is told */
    }
    free(n);
    return rc;
}

void alarm_lost(struct engine *g)
{
    for (struct row *r = g->alarms->first; r; r = r->next)
        r->is_dirty = true;
}

static void take_row(void *ctx, const struct store_alarm *s)
{
    struct engine *g = ctx;
    struct row *r = find(g->alarms, s->kind, s->subject) ? NULL : add(g->alarms, s->kind, s->subject);
    if (!r)
        return;
    r->raised_us = s->raised_us;
    r->cleared_us = s->cleared_us;
    r->said_us = s->said_us;
    r->n = s->n;
    r->spoken_us = s->said_us;
    (void)snprintf(r->detail, sizeof r->detail, "%s", s->detail);
    if (!s->said_us) {              /* the end came before everybody was told */
        r->what = r->is_event ? NOTICE_EVENT : r->cleared_us ? NOTICE_CLEARED : NOTICE_RAISED;
        r->must_say = true;
    }
}

int alarm_open(struct engine *g, struct err *e)
{
    g->alarms = xcalloc(1, sizeof *g->alarms);
    g->alarms->down_us = xcalloc(g->conf->n_writers + 1, sizeof *g->alarms->down_us);
    g->alarms->old_us = xcalloc(g->conf->n_writers + 1, sizeof *g->alarms->old_us);
    g->alarms->post = alarm_post_open(&g->conf->alarm, g->conf->node, g->env.inbox);
    return store_list_alarms((struct store_at){.q = g->env.store}, take_row, g, e);
}

void alarm_reload(struct engine *g)
{
    struct alarms *a = g->alarms;
    free(a->down_us);
    free(a->old_us);
    a->down_us = xcalloc(g->conf->n_writers + 1, sizeof *a->down_us);
    a->old_us = xcalloc(g->conf->n_writers + 1, sizeof *a->old_us);
    if (a->ending || alarm_post_says(a->post, &g->conf->alarm, g->conf->node))
        return;                     /* one is still ending: alarm_idle() looks again */
    alarm_post_end(a->post);
    a->ending = a->post;
    a->post = alarm_post_open(&g->conf->alarm, g->conf->node, g->env.inbox);
}

void alarm_stop(struct engine *g)
{
    alarm_post_close(g->alarms->post);
    alarm_post_close(g->alarms->ending);
    g->alarms->post = g->alarms->ending = NULL;
}

void alarm_close(struct engine *g)
{
    if (!g->alarms)
        return;
    alarm_stop(g);
    while (g->alarms->first)
        drop(g->alarms, g->alarms->first);
    free(g->alarms->down_us);
    free(g->alarms->old_us);
    free(g->alarms);
    g->alarms = NULL;
}

void alarm_status(const struct engine *g, struct buf *b)
{
    if (g->alarms->post)
        alarm_post_status(g->alarms->post, b);
}
