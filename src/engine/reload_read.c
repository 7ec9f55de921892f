/*
 * NAME reload_read - the thread that reads configurations, so that the engine never waits for a slow disk or a large table.
 *
 * Reads, checks, runs the tests beside the rules, loads the zones of the listeners. Touches neither the store's writer nor anything that runs.
 * DIAGNOSTICS in reload.text: what `check` prints, then the tests that fail, by name, place and expectation.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "conf_test.h"
#include "reload_inner.h"
#include "store_config.h"
#include "xmem.h"

#define TEXT_MAX_BYTES ((size_t)256 << 10)
enum { KIND_STOP = -1 };

struct reload_reader {
    pthread_t thread;
    struct mailbox *jobs, *engine;
    struct mail stop;
};

struct failures { struct reload *r; const struct conf_test *t; bool is_told; };

static void told(struct failures *x)
{
    if (!x->is_told)
        buf_addf(&x->r->text, "FAIL %s (%s:%u)\n", x->t->name, x->t->file, x->t->line);
    x->is_told = true;
}

static void fail(void *ctx, const struct conf_failure *f)
{
    struct failures *x = ctx;
    told(x);
    buf_addf(&x->r->text, "  %s:%u: %.*s%s%.*s\n    - %.*s\n    + %.*s\n", f->file, f->line, SPAN_ARG(f->expect), span_has(f->path) ? "   at " : "",
             SPAN_ARG(f->path), SPAN_ARG(f->wanted), SPAN_ARG(f->got));
}

static void run_tests(struct reload *r)
{
    for (size_t i = 0; i < r->conf->n_tests; i++) {
        struct failures x = {.r = r, .t = &r->conf->tests[i]};
        struct err e = ERR_INIT;
        int rc = conf_test_run(r->conf, x.t, fail, &x, &e);
        if (rc < 0) {
            told(&x);
            buf_addf(&r->text, "  %s%s%s\n", e.where, e.where[0] ? ": " : "", e.text);
        }
        r->tests++;
        r->failed += rc != 0;
    }
}

static int load_zones(struct reload *r, struct err *e)
{
    r->zones = xcalloc(r->conf->n_listeners, sizeof(struct zone *));
    for (size_t i = 0; i < r->conf->n_listeners; i++)
        if (decide_zone(&r->conf->listeners[i], &r->zones[i], e))
            return err_prefix(e, "listen \"%s\"", r->conf->listeners[i].name);
    return 0;
}

static void forget(struct reload *r)
{
    for (size_t i = 0; r->zones && i < r->conf->n_listeners; i++)
        zone_free(r->zones[i]);
    free(r->zones);
    r->zones = NULL;
    config_free(r->conf);
    r->conf = NULL;
}

static struct config *load_kept(struct reload *r, struct diag *d)
{
    struct store_reader *reader = NULL;
    struct conf_files files = {0};
    struct err e = ERR_INIT;
    struct config *c = NULL;
    int rc = store_reader_open(&reader, r->store_path, &e);
    if (rc == 0 && !r->number)
        rc = store_last_config(reader, r->running, &r->number, &e);
    if (rc == 0)
        rc = store_load_config(reader, r->number, &files, &e);
    if (rc == 0)
        c = config_load_kept(files.v[0].path, &files, r->modules, d);
    else if (rc < 0)
        buf_addf(&r->text, "%s: %s\n", e.where, e.text);
    else if (r->number)
        buf_addf(&r->text, "no texts of a configuration number %lld are kept\n", (long long)r->number);
    else
        buf_adds(&r->text, "no other configuration ran before\n");
    r->errors += rc != 0;
    conf_files_clear(&files);
    store_reader_close(reader);
    return c;
}

static void read_one(struct reload *r)
{
    struct diag *d = diag_new();
    struct err e = ERR_INIT;
    buf_init(&r->text, TEXT_MAX_BYTES);
    r->conf = r->is_undo ? load_kept(r, d) : config_load(r->path, r->modules, d);
    r->errors += diag_errors(d);
    r->warnings = diag_warnings(d);
    diag_format(d, &r->text);
    diag_free(d);
    if (!r->conf)
        return;
    if (!r->is_undo)            /* they passed when it ran; the messages may be others by now */
        run_tests(r);
    if (r->failed) {
        buf_addf(&r->text, "%zu of %zu tests failed.\n", r->failed, r->tests);
        forget(r);
    } else if (load_zones(r, &e)) {
        buf_addf(&r->text, "%s: %s\n", e.where, e.text);
        forget(r);
    }
}

static void *run(void *arg)
{
    struct reload_reader *x = arg;
    for (;;) {
        struct mail *m = mailbox_take_one(x->jobs);
        if (!m) {
            (void)mailbox_wait(x->jobs, -1);
            continue;
        }
        if (m->kind == KIND_STOP)
            return NULL;
        struct reload *r = (struct reload *)(void *)m;
        read_one(r);
        r->read_us = clock_mono_us();
        mailbox_post(x->engine, m);
    }
}

struct reload_reader *reload_reader_open(struct mailbox *engine)
{
    struct reload_reader *x = xcalloc(1, sizeof *x);
    x->jobs = mailbox_new(false);
    x->engine = engine;
    if (pthread_create(&x->thread, NULL, run, x) != 0) {
        mailbox_free(x->jobs);
        free(x);
        return NULL;
    }
    (void)pthread_setname_np(x->thread, "reload");
    return x;
}

void reload_reader_post(struct reload_reader *x, struct reload *r)
{
    mailbox_post(x->jobs, &r->change.mail);
}

void reload_reader_close(struct reload_reader *x)
{
    if (!x)
        return;
    x->stop.kind = KIND_STOP;
    mailbox_post(x->jobs, &x->stop);
    (void)pthread_join(x->thread, NULL);
    mailbox_free(x->jobs);
    free(x);
}
