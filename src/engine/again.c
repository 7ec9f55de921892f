/*
 * NAME again - what was held because the configuration could not route it goes through the new configuration, some milliseconds a turn.
 *
 * A pass walks the held deliveries, kind by kind (writer, reason), by id. After a reload it looks at those whose end the change may be: when
 * rules, listeners or writers changed, all that rules decide about; when only tables changed, the same but for rows missing in other tables. The
 * original is read and decided again (reroute.c). A delivery that was ever claimed is left to a person: something of it may have left the house.
 * CRASH STATES a pass that did not end is begun again at the next start: the number of the configuration for which one ended is in the store's memory.
 * REFDATA_MISSING and QUESTION_MISSING end without a reload, too: each REFDATA_EVERY_US the writer is asked whether Go.Data has the code by now.
 * DIAGNOSTICS "routed again" per message (reroute.c), "held results looked at again" at the end of a pass that changed something.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "again.h"
#include "clock.h"
#include "crash.h"
#include "log.h"
#include "xmem.h"

#define SLICE_US 5000
#define PAGE 32
#define REFDATA_EVERY_US 30000000LL
#define LOOK_AGAIN_US 1000000LL

struct again_pass {
    bool is_running, is_all, is_ending;     /* ending: in the batch that is not committed yet */
    char **tables;                      /* that changed */
    size_t n_tables;
    char *by;
    struct store_held_kind at;
    bool has_kind;
    int64_t after_id, last_message;
    int64_t looked, changed;
    /* reference data: by writer */
    int64_t refdata_us;
    size_t refdata_writer, refdata_reason;
    int64_t refdata_after;
    bool is_refdata;
};

static bool is_of_table(const char *reason)
{
    return strncmp(reason, "UNMAPPED_", 9) == 0;
}

/* Holds that rules, tables and options decide about, and nobody else. */
static bool is_ours(const char *reason)
{
    static const char *const words[] = {"NO_ROUTE", "RULE", "RULE_LIMIT", "REQUIRED_FIELD", "HELD_VALUE", "VALUE_CONFLICT", "SINGLE_TARGET", "NO_RESULT",
                                        "NO_SAMPLE_DATE", "NO_IDENTITY", "NOT_DIAGNOSTIC", "REFDATA_MISSING", "QUESTION_MISSING", "ANSWER_NOT_NUMERIC"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], reason) == 0)
            return true;
    return is_of_table(reason);
}

/* detail of a missing row: "tests|http://loinc.org|41636-2". */
static bool may_change(const struct again_pass *p, const struct delivery *d)
{
    if (d->flags & DELIVERY_HAD_INTENT)
        return false;
    if (p->is_all || !is_of_table(d->reason))
        return true;
    for (size_t i = 0; i < p->n_tables; i++) {
        size_t n = strlen(p->tables[i]);
        if (strncmp(d->detail, p->tables[i], n) == 0 && d->detail[n] == '|')
            return true;
    }
    return false;
}

static struct again_pass *pass_of(struct engine *g)
{
    if (!g->again)
        g->again = xcalloc(1, sizeof *g->again);
    return g->again;
}

static void begin(struct again_pass *p)
{
    p->at = (struct store_held_kind){.is_begun = false};
    p->has_kind = p->is_ending = false;
    p->looked = p->changed = 0;
}

void again_start(struct engine *g, const char *by, bool is_all, const char *const *tables, size_t n_tables)
{
    struct again_pass *p = pass_of(g);
    p->is_all = is_all || (p->is_running && p->is_all);
    for (size_t i = 0; i < n_tables; i++) {      /* those of a pass that did not end stay */
        p->tables = xreallocarray(p->tables, p->n_tables + 1, sizeof(char *));
        p->tables[p->n_tables++] = xstrdup(tables[i]);
    }
    free(p->by);
    p->by = xstrdup(by);
    p->is_running = true;
    begin(p);
}

void again_failed(struct engine *g)
{
    if (g->again)
        begin(g->again);
}

static void end_pass(struct engine *g, struct again_pass *p)
{
    p->is_running = p->is_ending = false;
    for (size_t i = 0; i < p->n_tables; i++)
        free(p->tables[i]);
    free(p->tables);
    p->tables = NULL;
    p->n_tables = 0;
    if (p->changed)
        log_event(LOG_INFO, "held results looked at again", log_int("number", g->config_number), log_int("messages", p->looked), log_int("changed", p->changed));
}

static int one(struct engine *g, struct again_pass *p, const struct delivery *d, struct err *e)
{
    char why[48];
    struct reroute q = {.reason = d->reason, .by = p->by, .why = why, .action = "reload"};
    (void)snprintf(why, sizeof why, "configuration number %lld", (long long)g->config_number);
    p->last_message = d->message_id;
    p->looked++;
    int rc = reroute_message(g, d->message_id, &q, e);
    CRASH_POINT("routed_again");
    p->changed += q.n[AGAIN_ROUTED] + q.n[AGAIN_DROPPED];
    return rc;
}

static int slice(struct engine *g, struct again_pass *p, struct err *e)
{
    int64_t until = clock_mono_us() + SLICE_US;
    while (clock_mono_us() < until) {
        struct delivery *v = NULL;
        size_t n = 0;
        int rc = 0;
        if (!p->has_kind) {
            rc = store_next_held(g->env.store, &p->at, e);
            p->is_ending = rc > 0;
            if (rc)
                return rc < 0 ? -1 : store_put_memory(g->env.store, "engine", "routed_again", g->config_number, e);
            p->has_kind = is_ours(p->at.reason);
            p->after_id = p->last_message = 0;
            continue;
        }
        if (store_find_held(g->env.store, p->at.writer, p->at.reason, p->after_id, PAGE, &v, &n, e))
            return -1;
        for (size_t i = 0; i < n && rc == 0 && (i == 0 || clock_mono_us() < until); i++) {
            p->after_id = v[i].id;
            if (v[i].message_id != p->last_message && may_change(p, &v[i]))
                rc = one(g, p, &v[i], e);
        }
        deliveries_free(v, n);
        if (rc)
            return -1;
        p->has_kind = n > 0;
    }
    return 0;
}

/* ---- reference data ---- */

static int release(struct engine *g, struct delivery *d, int64_t now, struct err *e)
{
    d->state = DELIVERY_READY;
    d->step = STEP_FIND;
    d->tries = 0;
    d->next_us = d->updated_us = now;
    delivery_set(&d->reason, "");
    delivery_set(&d->detail, "");
    log_event(LOG_INFO, "released: the reference data has its codes now", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id));
    dispatch_wake(g, d->writer);
    return store_update_delivery(g->env.store, d, e) || store_audit(g->env.store, "labrelay", "release", d->id, d->message_id, "reference data", e) ? -1 : 0;
}

static int refdata_slice(struct engine *g, struct again_pass *p, int64_t now, struct err *e)
{
    static const char *const reasons_of[] = {"REFDATA_MISSING", "QUESTION_MISSING"};
    int64_t mono = clock_mono_us(), until = mono + SLICE_US;
    while (p->refdata_writer < g->n_writers && clock_mono_us() < until) {
        struct writer_run *w = &g->writers[p->refdata_writer];
        bool is_ready = w->conf->ops->can_write && w->last_mode == WRITER_READY;
        struct delivery *v = NULL;
        size_t n = 0;
        int rc = 0;
        if (w->conf->ops->can_write && !is_ready)
            p->refdata_us = mono + LOOK_AGAIN_US;
        if (is_ready && store_find_held(g->env.store, w->conf->name, reasons_of[p->refdata_reason], p->refdata_after, PAGE, &v, &n, e))
            return -1;
        for (size_t i = 0; i < n && rc == 0; i++) {
            p->refdata_after = v[i].id;
            if (!(v[i].flags & DELIVERY_HAD_INTENT) && w->conf->ops->can_write(w->w, &v[i]))
                rc = release(g, &v[i], now, e);
        }
        deliveries_free(v, n);
        if (rc)
            return -1;
        if (n)
            continue;
        p->refdata_after = 0;
        p->refdata_reason = (p->refdata_reason + 1) % (sizeof reasons_of / sizeof reasons_of[0]);
        p->refdata_writer += p->refdata_reason == 0;
    }
    p->is_refdata = p->refdata_writer < g->n_writers;
    return 0;
}

int again_turn(struct engine *g, int64_t now, struct err *e)
{
    struct again_pass *p = pass_of(g);
    int64_t mono = clock_mono_us();
    if (!p->is_refdata && mono >= p->refdata_us) {
        p->refdata_us = mono + REFDATA_EVERY_US;
        p->is_refdata = true;
        p->refdata_writer = p->refdata_reason = 0;
        p->refdata_after = 0;
    }
    if (p->is_refdata && refdata_slice(g, p, now, e))
        return -1;
    if (p->is_running && p->is_ending)
        end_pass(g, p);
    return p->is_running ? slice(g, p, e) : 0;
}

bool again_is_pending(const struct engine *g)
{
    return g->again && (g->again->is_running || g->again->is_refdata);
}

void again_close(struct engine *g)
{
    struct again_pass *p = g->again;
    if (!p)
        return;
    for (size_t i = 0; i < p->n_tables; i++)
        free(p->tables[i]);
    free(p->tables);
    free(p->by);
    free(p);
    g->again = NULL;
}
