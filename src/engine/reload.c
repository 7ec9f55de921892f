/*
 * NAME reload - another configuration while the engine runs (DESIGN rule 8): a bad one changes nothing, a good one is swapped in between two
 * commits.
 *
 * THE WAY of a reload, one struct reload that goes from thread to thread, one reload at a time, the others wait in order:
 *   1. the reader thread reads the files, checks them and runs their tests (reload_read.c);
 *   2. the loop opens the listeners that are new or changed, beside the old ones (loop.h, LOOP_OPEN): one that cannot be opened ends the reload;
 *      Before it the texts go into the store, some kilobytes a turn;
 *   3. the engine writes number, files and audit down and commits: from here on the new configuration runs;
 *   4. the loop lets the old listeners go (LOOP_GO_ON); when it is back nothing of them is under way any more.
 * KEPT ACROSS IT a listener or writer with the same mark (kind, name, words of its block, secrets) is not touched: it takes its options along into
 * the new configuration, which has the same. A changed writer starts when the couriers of the one before have ended; its queue is in the store.
 * WHO NEEDS AN OLD CONFIGURATION frames of leaving listeners (until step 4 is back) and leaving writers: it is freed when all have ended.
 * CRASH STATES before the commit of step 3 the old one, after it the new one ran; the next start reads the files in any case.
 * DIAGNOSTICS "reloaded" with number and times; "reload refused" with the number of errors, and its first lines.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "alarm.h"
#include "clock.h"
#include "crash.h"
#include "log.h"
#include "reload_inner.h"
#include "store_config.h"
#include "watch.h"
#include "xmem.h"

#define ANSWER_MAX_BYTES CONTROL_MAX_BYTES
#define LOG_LINES_MAX 20
#define WAITING_MAX 64
#define KEEP_BYTES ((size_t)256 << 10)

struct retired {                        /* a configuration that runs no more and that somebody still needs */
    struct config *conf;
    size_t users;
    struct retired *next;
};

struct reloads {
    struct reload_reader *reader;       /* from the first reload on */
    struct reload *now;                 /* wherever it is */
    bool is_here;                       /* in no mailbox and at no other thread */
    struct control_mail *waiting;       /* in order */
    size_t n_waiting;
    struct retired *retired;
    size_t next_channel;
};

/* ---- who is where ---- */

const struct channel *channel_find(const struct engine *g, size_t number)
{
    for (const struct channel *c = g->channels; c; c = c->next)
        if (c->number == number)
            return c;
    return NULL;
}

const struct channel *channel_named(const struct engine *g, const char *name)
{
    for (const struct channel *c = g->channels; c; c = c->next)
        if (c->conf == g->conf && strcmp(c->lc->name, name) == 0)
            return c;
    return NULL;
}

struct writer_run *writer_of(struct engine *g, const struct task *t)
{
    for (size_t i = 0; i < g->n_writers; i++)
        if (g->writers[i].w == t->w)
            return &g->writers[i];
    for (struct leaving *x = g->leaving; x; x = x->next)
        if (x->run.w == t->w)
            return &x->run;
    return NULL;
}

struct active *active_find(struct engine *g, int64_t delivery_id, struct writer_run **w)
{
    for (size_t i = 0; i < g->n_writers; i++) {
        struct active *x = dispatch_find(*w = &g->writers[i], delivery_id);
        if (x)
            return x;
    }
    for (struct leaving *l = g->leaving; l; l = l->next) {
        struct active *x = dispatch_find(*w = &l->run, delivery_id);
        if (x)
            return x;
    }
    return NULL;
}

/* ---- old configurations ---- */

static void release(struct engine *g, const struct config *c)
{
    for (struct retired **p = &g->reloads->retired; *p; p = &(*p)->next) {
        struct retired *x = *p;
        if (x->conf != c)
            continue;
        if (--x->users == 0) {
            *p = x->next;
            config_free(x->conf);
            free(x);
        }
        return;
    }
}

static const struct config *conf_of_writer(const struct engine *g, const struct writer_conf *w)
{
    for (const struct retired *x = g->reloads->retired; x; x = x->next)
        if (w >= x->conf->writers && w < x->conf->writers + x->conf->n_writers)
            return x->conf;
    return NULL;
}

/* Writers that have nothing under way any more end; those that wait behind them begin. */
void reload_reap(struct engine *g)
{
    for (struct leaving **p = &g->leaving; *p;) {
        struct leaving *x = *p;
        if (x->run.n_busy || x->run.is_chore_busy) {
            p = &x->next;
            continue;
        }
        *p = x->next;
        const struct config *c = conf_of_writer(g, x->run.conf);
        log_event(LOG_INFO, "writer ended", log_word("writer", x->run.conf->name));
        for (size_t i = 0; i < g->n_writers; i++)
            if (strcmp(g->writers[i].conf->name, x->run.conf->name) == 0)
                g->writers[i].is_behind = false;
        dispatch_close_writer(&x->run);
        free(x);
        release(g, c);
    }
    for (struct leaving *x = g->leaving; x; x = x->next)    /* another one of that name may still be there */
        for (size_t i = 0; i < g->n_writers; i++)
            if (strcmp(g->writers[i].conf->name, x->run.conf->name) == 0)
                g->writers[i].is_behind = true;
}

/* ---- answers ---- */

static void answer(struct engine *g, struct reload *r, struct buf *b)
{
    if (r->asked) {
        free(r->asked->answer);
        r->asked->answer = buf_take(b, NULL);
        mailbox_post(g->env.control_replies, &r->asked->mail);
        r->asked = NULL;
    }
    buf_clear(b);
}

/* The lines that say what is wrong; the excerpts below them are for the one who asked. */
static void log_text_lines(struct span text)
{
    struct span line;
    for (int n = 0; n < LOG_LINES_MAX && span_next(&text, '\n', &line);) {
        char copy[240];
        bool is_head = span_has(line) && line.p[0] != ' ' && line.n && !span_starts(line, "…");
        if (!is_head)
            continue;
        (void)snprintf(copy, sizeof copy, "%.*s", SPAN_ARG(line));
        log_event(LOG_ERROR, "reload", log_text("problem", copy));
        n++;
    }
}

static void refuse(struct engine *g, struct reload *r, const char *why)
{
    struct buf b;
    char text[320];
    (void)snprintf(text, sizeof text, "%s; still running configuration number %lld", why, (long long)g->config_number);
    log_event(LOG_ERROR, "reload refused", log_word("by", r->by), log_word("how", r->how), log_int("number", g->config_number),
              log_int("errors", (int64_t)r->errors), log_int("tests_failed", (int64_t)r->failed), log_text("reason", why));
    log_text_lines(buf_span(&r->text));
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", text);
    buf_json_kint(&b, "errors", (int64_t)r->errors);
    buf_json_kint(&b, "tests_failed", (int64_t)r->failed);
    buf_json_kint(&b, "number", g->config_number);
    buf_json_kv(&b, "config", g->conf->hash);
    buf_json_key(&b, "text");
    buf_json_span(&b, buf_span(&r->text));
    buf_addc(&b, '}');
    answer(g, r, &b);
}

static void accept(struct engine *g, struct reload *r, size_t opened, size_t closed)
{
    struct buf b;
    int64_t now = clock_mono_us();
    log_event(LOG_INFO, "reloaded", log_word("by", r->by), log_word("how", r->how), log_word("config", g->conf->hash), log_int("number", g->config_number),
              log_int("listeners_opened", (int64_t)opened), log_int("listeners_closed", (int64_t)closed), log_ms("read", r->read_us - r->asked_us),
              log_ms("took", now - r->asked_us));
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true");
    buf_json_kint(&b, "number", g->config_number);
    buf_json_kv(&b, "config", g->conf->hash);
    buf_json_kint(&b, "tests", (int64_t)r->tests);
    buf_json_kint(&b, "warnings", (int64_t)r->warnings);
    buf_json_kint(&b, "listeners", (int64_t)g->conf->n_listeners);
    buf_json_kint(&b, "listeners_opened", (int64_t)opened);
    buf_json_kint(&b, "listeners_closed", (int64_t)closed);
    buf_json_kint(&b, "took_us", now - r->asked_us);
    buf_json_key(&b, "text");
    buf_json_span(&b, buf_span(&r->text));
    buf_addc(&b, '}');
    answer(g, r, &b);
}

/* ---- one after the other ---- */

static void free_reload(struct reload *r)
{
    control_mail_free(r->asked);
    for (size_t i = 0; r->zones && r->conf && i < r->conf->n_listeners; i++)
        zone_free(r->zones[i]);
    free(r->zones);
    config_free(r->conf);
    buf_clear(&r->text);
    free(r->change.v);
    free(r->by);
    free(r->path);
    free(r->store_path);
    free(r);
}

void reload_free(struct mail *m)
{
    free_reload((struct reload *)(void *)m);
}

static void begin(struct engine *g, struct control_mail *c)
{
    json_t *q = json_loads(c->request, JSON_REJECT_DUPLICATES, NULL);
    const char *by = json_string_value(json_object_get(q, "by"));
    struct reload *r = xcalloc(1, sizeof *r);
    r->change.mail.kind = MAIL_RELOAD;
    r->asked = c;
    r->by = xstrdup(by && by[0] ? by : "operator");
    r->is_undo = strcmp(json_string_value(json_object_get(q, "do")), "undo") == 0;
    r->how = r->is_undo ? "undo" : "reload";
    r->number = json_integer_value(json_object_get(q, "number"));
    r->running = g->config_number;
    r->asked_us = clock_mono_us();
    r->modules = g->env.modules;
    r->path = xstrdup(g->conf->path);
    r->store_path = xstrdup(g->conf->store.path);
    json_decref(q);
    if (!g->reloads->reader)
        g->reloads->reader = reload_reader_open(g->env.inbox);
    if (!g->reloads->reader) {
        refuse(g, r, "no thread to read it");
        free_reload(r);
        return;
    }
    g->reloads->now = r;
    reload_reader_post(g->reloads->reader, r);
}

static void finish(struct engine *g, struct reload *r)
{
    struct reloads *s = g->reloads;
    s->now = NULL;
    s->is_here = false;
    free_reload(r);
    while (!s->now && s->waiting) {
        struct control_mail *c = s->waiting;
        s->waiting = (struct control_mail *)(void *)c->mail.next;
        s->n_waiting--;
        c->mail.next = NULL;
        begin(g, c);
    }
}

bool reload_ask(struct engine *g, struct control_mail *c)
{
    struct reloads *s = g->reloads;
    json_t *q = json_loads(c->request, JSON_REJECT_DUPLICATES, NULL);
    const char *what = json_string_value(json_object_get(q, "do"));
    bool is_ours = what && (strcmp(what, "reload") == 0 || strcmp(what, "undo") == 0) && s->n_waiting < WAITING_MAX;
    json_decref(q);
    if (!is_ours)
        return false;
    if (!s->now) {
        begin(g, c);
        return true;
    }
    struct control_mail **last = &s->waiting;
    while (*last)
        last = (struct control_mail **)(void *)&(*last)->mail.next;
    c->mail.next = NULL;
    *last = c;
    s->n_waiting++;
    return true;
}

/* ---- step 2: what has to be opened ---- */

/* What cannot change while the engine runs; NULL: nothing of it did. */
static const char *fixed_difference(const struct config *a, const struct config *b)
{
    if (strcmp(a->store.path, b->store.path) != 0)
        return "the store is another file: that needs a restart";
    if (strcmp(a->control_path, b->control_path) != 0)
        return "the control socket is another one: that needs a restart";
    return NULL;
}

static struct channel *unchanged(struct engine *g, const struct listener_conf *lc)
{
    for (struct channel *c = g->channels; c; c = c->next)
        if (c->conf == g->conf && c->lc->ops == lc->ops && strcmp(c->lc->name, lc->name) == 0 && strcmp(c->lc->mark, lc->mark) == 0)
            return c;
    return NULL;
}

static void ask_loop(struct engine *g, struct reload *r, enum loop_ask ask, enum reload_phase phase)
{
    r->phase = phase;
    r->change.ask = ask;
    mailbox_post(g->env.replies, &r->change.mail);
}

static void after_reading(struct engine *g, struct reload *r)
{
    const char *why = !r->conf ? (r->failed ? "a test of the new configuration fails" : "the new configuration has mistakes") : fixed_difference(g->conf, r->conf);
    if (!why && g->is_refusing)
        why = "the store does not take anything now";
    if (why) {
        refuse(g, r, why);
        finish(g, r);
        return;
    }
    r->phase = RELOAD_KEEPING;
}

static void open_listeners(struct engine *g, struct reload *r)
{
    r->change.n = r->conf->n_listeners;
    r->change.v = xcalloc(r->change.n, sizeof *r->change.v);
    r->change.node = r->conf->node;
    r->change.budget_bytes = r->conf->memory_budget_bytes;
    for (size_t i = 0; i < r->change.n; i++) {
        const struct channel *c = unchanged(g, &r->conf->listeners[i]);
        r->change.v[i] = (struct loop_slot){.number = c ? c->number : g->reloads->next_channel++, .conf = &r->conf->listeners[i], .is_kept = c != NULL};
    }
    ask_loop(g, r, LOOP_OPEN, RELOAD_OPENING);
}

bool reload_is_keeping(const struct engine *g)
{
    return g->reloads && g->reloads->now && g->reloads->is_here && g->reloads->now->phase == RELOAD_KEEPING;
}

/* A large table must not make senders wait for one large commit: its text goes into the store some kilobytes a turn, before the swap. */
int reload_turn(struct engine *g, struct err *e)
{
    struct reload *r = g->reloads->now;
    size_t room = KEEP_BYTES;
    if (!reload_is_keeping(g))
        return 0;
    while (r->kept < r->conf->files.n && room) {
        const struct conf_file *f = &r->conf->files.v[r->kept];
        bool is_kept = false;
        if (store_keep_config_text(g->env.store, f, room, &is_kept, e))
            return -1;                  /* reload_failed() follows */
        r->kept += is_kept;
        room -= f->n < room ? f->n : room;
    }
    if (r->kept < r->conf->files.n)
        return 0;
    g->reloads->is_here = false;
    open_listeners(g, r);
    return 0;
}

void reload_failed(struct engine *g)
{
    if (!reload_is_keeping(g))
        return;
    refuse(g, g->reloads->now, "the store does not take anything now");
    finish(g, g->reloads->now);
}

/* ---- step 3: the swap ---- */

#define SWAP(a, b) do { void *swap_ = (a); (a) = (b); (b) = swap_; } while (0)

/* What runs under the options of the old one lives on in the new one. */
static void take_listener(struct listener_conf *old, struct listener_conf *new)
{
    size_t n = old->n_parsers;
    SWAP(old->name, new->name);
    SWAP(old->options, new->options);
    SWAP(old->parsers, new->parsers);
    SWAP(old->parser_options, new->parser_options);
    old->n_parsers = new->n_parsers;
    new->n_parsers = n;
}

static void take_writer(struct writer_conf *old, struct writer_conf *new)
{
    SWAP(old->name, new->name);
    SWAP(old->options, new->options);
}

static struct writer_run *unchanged_writer(struct engine *g, const struct writer_conf *c)
{
    for (size_t i = 0; i < g->n_writers; i++) {
        const struct writer_conf *o = g->writers[i].conf;
        if (o && o->ops == c->ops && strcmp(o->name, c->name) == 0 && strcmp(o->mark, c->mark) == 0)
            return &g->writers[i];
    }
    return NULL;
}

static size_t swap_channels(struct engine *g, struct reload *r)
{
    const struct config *old = g->conf;
    size_t opened = 0;
    for (size_t i = 0; i < r->change.n; i++) {
        struct listener_conf *lc = &r->conf->listeners[i];
        struct channel *c = g->channels;
        while (c && c->number != r->change.v[i].number)
            c = c->next;
        if (c) {
            take_listener(&g->conf->listeners[c->lc - old->listeners], lc);
            zone_free(c->zone);
        } else {
            c = xcalloc(1, sizeof *c);
            c->number = r->change.v[i].number;
            c->next = g->channels;
            g->channels = c;
            opened++;
        }
        c->conf = r->conf;
        c->config_number = g->config_number;
        c->lc = lc;
        c->zone = r->zones[i];
        r->zones[i] = NULL;
    }
    return opened;
}

/* new: those that were opened; zeroed where the running one stays. */
static void swap_writers(struct engine *g, struct reload *r, struct writer_run *new, struct retired *old)
{
    for (size_t i = 0; i < r->conf->n_writers; i++) {
        struct writer_run *same = new[i].conf ? NULL : unchanged_writer(g, &r->conf->writers[i]);
        if (!same)
            continue;
        take_writer(&old->conf->writers[same->conf - old->conf->writers], &r->conf->writers[i]);
        new[i] = *same;
        new[i].conf = &r->conf->writers[i];
        *same = (struct writer_run){.conf = NULL};
    }
    for (size_t i = 0; i < g->n_writers; i++) {
        struct writer_run *w = &g->writers[i];
        if (!w->conf)
            continue;
        for (struct active *x = w->first, *next; x; x = next) {     /* the store has them */
            next = x->next;
            if (!x->is_busy)
                dispatch_forget(w, x);
        }
        struct leaving *x = xcalloc(1, sizeof *x);
        x->run = *w;
        x->next = g->leaving;
        g->leaving = x;
        old->users++;
    }
    free(g->writers);
    g->writers = new;
    g->n_writers = r->conf->n_writers;
}

static void take_settings(struct engine *g)
{
    g->settle_us = 0;
    for (size_t i = 0; i < g->conf->n_writers; i++)
        if (g->conf->writers[i].settle_unknown_us > g->settle_us)
            g->settle_us = g->conf->writers[i].settle_unknown_us;
    store_set_duplicate_window(g->env.store, g->conf->duplicate_window_us);
    retain_open(g);
}

/* What is held is looked at again as far as the change may end it. old is not swapped out yet. */
static void route_again(struct engine *g, const struct config *old, const struct config *new, const char *by)
{
    const char **names = xcalloc(old->n_table_marks + new->n_table_marks + 1, sizeof *names);
    bool is_all = strcmp(old->rules_mark, new->rules_mark) != 0;
    size_t n = 0;
    for (size_t i = 0; i < new->n_listeners && !is_all; i++)
        is_all = unchanged(g, &new->listeners[i]) == NULL;
    for (size_t i = 0; i < new->n_writers && !is_all; i++)
        is_all = unchanged_writer(g, &new->writers[i]) == NULL;
    for (size_t i = 0; i < new->n_table_marks; i++) {
        const struct conf_table_mark *m = &new->table_marks[i], *o = NULL;
        for (size_t k = 0; k < old->n_table_marks && !o; k++)
            o = strcmp(old->table_marks[k].name, m->name) == 0 ? &old->table_marks[k] : NULL;
        if (!o || strcmp(o->mark, m->mark) != 0)
            names[n++] = m->name;
    }
    if (is_all || n)
        again_start(g, by, is_all, names, n);
    free(names);
}

static int write_down(struct engine *g, const struct config *c, const char *by, const char *how, int64_t *number, struct err *e)
{
    char note[64];
    if (store_put_config(g->env.store, c->hash, number, e) || store_put_config_run(g->env.store, *number, how, by, &c->files, e))
        return -1;
    (void)snprintf(note, sizeof note, "number %lld, %s", (long long)*number, c->hash);
    return store_audit(g->env.store, by, how, 0, 0, note, e);
}

static void close_opened(struct writer_run *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].conf)
            dispatch_close_writer(&v[i]);
    free(v);
}

static int swap(struct engine *g, struct reload *r, struct err *e)
{
    struct writer_run *new = xcalloc(r->conf->n_writers, sizeof *new);
    struct err oe = ERR_INIT;
    int64_t number = 0;
    for (size_t i = 0; i < r->conf->n_writers; i++)
        if (!unchanged_writer(g, &r->conf->writers[i]) && dispatch_open_writer(g, &r->conf->writers[i], &new[i], &oe)) {
            new[i].conf = NULL;
            close_opened(new, i);
            buf_addf(&r->text, "%s: %s\n", oe.where, oe.text);
            refuse(g, r, "a writer cannot be opened");
            ask_loop(g, r, LOOP_ABANDON, RELOAD_ABANDONING);
            return 0;
        }
    CRASH_POINT("reload_before");
    if (write_down(g, r->conf, r->by, r->how, &number, e) || store_commit(g->env.store, e)) {
        close_opened(new, r->conf->n_writers);
        refuse(g, r, "the store does not take anything now");
        ask_loop(g, r, LOOP_ABANDON, RELOAD_ABANDONING);
        return -1;
    }
    CRASH_POINT("reload_after");
    route_again(g, g->conf, r->conf, r->by);
    struct retired *old = xcalloc(1, sizeof *old);
    *old = (struct retired){.conf = g->conf, .users = 1, .next = g->reloads->retired};
    g->reloads->retired = old;
    size_t before = g->conf->n_listeners;
    g->config_number = number;
    g->config_since_us = clock_now_us();
    size_t opened = swap_channels(g, r);
    swap_writers(g, r, new, old);
    g->conf = r->conf;
    dispatch_tell_needs(g);
    person_tell_loop(g);
    free(r->zones);
    r->zones = NULL;
    r->conf = NULL;
    take_settings(g);
    config_drop_files(g->conf);
    watch_close(g);
    struct err we = ERR_INIT;
    if (watch_open(g, &we))
        log_err(LOG_ERROR, "cannot read what is paused", &we);
    alarm_reload(g);
    reload_reap(g);
    accept(g, r, opened, before + opened - g->conf->n_listeners);
    ask_loop(g, r, LOOP_GO_ON, RELOAD_SETTLING);
    return 0;
}

/* ---- step 4 ---- */

/* No frame of the listeners that left is anywhere any more. */
static void after_settling(struct engine *g, struct reload *r)
{
    const struct config *old = g->reloads->retired ? g->reloads->retired->conf : NULL;      /* the youngest: reloads come one after the other */
    for (struct channel **p = &g->channels; *p;) {
        struct channel *c = *p;
        if (c->conf == g->conf) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        zone_free(c->zone);
        free(c);
    }
    release(g, old);
    finish(g, r);
}

int reload_step(struct engine *g, struct mail *m, struct err *e)
{
    struct reload *r = (struct reload *)(void *)m;
    switch (r->phase) {
    case RELOAD_READING:
        g->reloads->is_here = true;
        after_reading(g, r);
        return 0;
    case RELOAD_KEEPING:
        return 0;                       /* it is nowhere but here: see reload_turn() */
    case RELOAD_OPENING:
        if (r->change.is_failed) {
            buf_addf(&r->text, "%s: %s\n", r->change.why.where, r->change.why.text);
            refuse(g, r, "a listener cannot be opened");
            finish(g, r);
            return 0;
        }
        if (g->is_refusing) {
            refuse(g, r, "the store does not take anything now");
            ask_loop(g, r, LOOP_ABANDON, RELOAD_ABANDONING);
            return 0;
        }
        return swap(g, r, e);
    case RELOAD_ABANDONING:
        finish(g, r);
        return 0;
    case RELOAD_SETTLING:
        after_settling(g, r);
        return 0;
    }
    return 0;
}

/* ---- start and end ---- */

int reload_open(struct engine *g, struct err *e)
{
    g->reloads = xcalloc(1, sizeof *g->reloads);
    g->reloads->next_channel = g->conf->n_listeners;
    g->config_since_us = g->started_us;
    take_settings(g);
    if (store_put_config(g->env.store, g->conf->hash, &g->config_number, e) ||
        store_put_config_run(g->env.store, g->config_number, "start", "labrelay", &g->conf->files, e))
        return -1;
    if (store_get_memory(g->env.store, "engine", "routed_again", 0) != g->config_number)
        again_start(g, "start", true, NULL, 0);
    for (size_t i = 0; i < g->conf->n_listeners; i++) {
        struct channel *c = xcalloc(1, sizeof *c);
        *c = (struct channel){.next = g->channels, .number = i, .conf = g->conf, .config_number = g->config_number, .lc = &g->conf->listeners[i]};
        g->channels = c;
        if (decide_zone(c->lc, &c->zone, e))
            return err_prefix(e, "listen \"%s\"", c->lc->name);
    }
    config_drop_files(g->conf);
    return 0;
}

void reload_stop(struct engine *g)
{
    if (!g->reloads)
        return;
    if (g->reloads->now && g->reloads->is_here)
        free_reload(g->reloads->now);
    g->reloads->now = NULL;
    reload_reader_close(g->reloads->reader);
    g->reloads->reader = NULL;
    for (struct control_mail *c = g->reloads->waiting, *next; c; c = next) {
        next = (struct control_mail *)(void *)c->mail.next;
        control_mail_free(c);
    }
    g->reloads->waiting = NULL;
}

void reload_close(struct engine *g)
{
    for (struct channel *c = g->channels, *next; c; c = next) {
        next = c->next;
        zone_free(c->zone);
        free(c);
    }
    g->channels = NULL;
    for (struct retired *x = g->reloads ? g->reloads->retired : NULL, *next; x; x = next) {
        next = x->next;
        config_free(x->conf);
        free(x);
    }
    free(g->reloads);
    g->reloads = NULL;
    config_free(g->conf);
    g->conf = NULL;
}
