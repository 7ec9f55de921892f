/*
 * NAME labrelay tail - messages and their fates as they happen, one line each, from the store; until Ctrl-C or nobody reads any more.
 * Every line holds ids, names of channels and writers, states and reasons: no patient data. A delivery gets a line when it is first seen
 * and at every change of its state or reason; TRACK_MAX of them are followed, the oldest are let go first.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "kept.h"
#include "store_watch.h"
#include "xmem.h"

#define LOOK_MS 250
#define TRACK_MAX 2000
#define SLICE 500

struct tracked { int64_t id; enum delivery_state state; char reason[32]; };

struct tail {
    const struct cli *c;
    struct store_reader *r;
    const char *channel;
    bool is_json, is_held_only;
    int64_t after;                      /* the last message told */
    struct tracked *v;
    size_t n;
    struct buf out;
};

static volatile sig_atomic_t is_over;

static void on_signal(int sig)
{
    (void)sig;
    is_over = 1;
}

/* MSH-9 is the sender's: only what looks like a trigger is shown. */
static const char *kind_of(const char *kind, char out[8])
{
    size_t n = strlen(kind);
    bool is_good = n == 3 || (n == 7 && kind[3] == '^');
    for (size_t i = 0; i < n && is_good; i++)
        is_good = i == 3 || (kind[i] >= 'A' && kind[i] <= 'Z') || (i > 3 && kind[i] >= '0' && kind[i] <= '9');
    if (is_good)
        memcpy(out, kind, n + 1);
    else
        (void)snprintf(out, 8, "-");
    return out;
}

static void tell_message(struct tail *t, const struct store_message_row *m)
{
    char when[32], kind[8];
    if (t->is_held_only)
        return;
    if (t->is_json) {
        buf_addc(&t->out, '{');
        buf_json_kint(&t->out, "at_us", m->received_us);
        buf_json_kint(&t->out, "message", m->id);
        buf_json_kv(&t->out, "state", message_state_name(m->state));
        buf_json_kv(&t->out, "channel", m->channel);
        buf_json_kv(&t->out, "kind", kind_of(m->kind, kind));
        buf_json_kint(&t->out, "observations", m->observations);
        buf_json_kint(&t->out, "bytes", (int64_t)m->raw_n);
        buf_json_kv(&t->out, "reason", m->reason);
        buf_adds(&t->out, "}\n");
        return;
    }
    clock_format_local(m->received_us, when, sizeof when);
    buf_addf(&t->out, "%s  m%-8" PRId64 " %-11s %-16s %-7s %u obs, %zu B %s\n", when, m->id, message_state_name(m->state), m->channel, kind_of(m->kind, kind),
             m->observations, m->raw_n, m->reason);
}

static void tell_delivery(struct tail *t, const struct delivery *d)
{
    char when[32];
    if (t->is_held_only && d->state != DELIVERY_HELD)
        return;
    if (t->is_json) {
        buf_addc(&t->out, '{');
        buf_json_kint(&t->out, "at_us", d->updated_us);
        buf_json_kint(&t->out, "message", d->message_id);
        buf_json_kint(&t->out, "delivery", d->id);
        buf_json_kv(&t->out, "state", delivery_state_name(d->state));
        buf_json_kv(&t->out, "reason", d->reason);
        buf_json_kv(&t->out, "writer", d->writer);
        buf_json_kv(&t->out, "route", d->route);
        buf_json_kv(&t->out, "path", d->path);
        buf_json_kint(&t->out, "tries", d->tries);
        buf_adds(&t->out, "}\n");
        return;
    }
    clock_format_local(d->updated_us, when, sizeof when);
    buf_addf(&t->out, "%s  m%-8" PRId64 " d%-8" PRId64 " %-11s %-16s %s%s%s\n", when, d->message_id, d->id, delivery_state_name(d->state),
             d->writer[0] ? d->writer : "-", d->reason[0] ? d->reason : d->route, d->path[0] ? " " : "", d->path);
}

static bool is_final(enum delivery_state s)
{
    return s > DELIVERY_HELD;
}

static void track(struct tail *t, const struct delivery *d)
{
    if (is_final(d->state))
        return;
    if (t->n == TRACK_MAX) {
        memmove(t->v, t->v + 1, (TRACK_MAX - 1) * sizeof *t->v);
        t->n--;
    }
    struct tracked *x = &t->v[t->n++];
    *x = (struct tracked){.id = d->id, .state = d->state};
    (void)snprintf(x->reason, sizeof x->reason, "%s", d->reason);
}

/* claimed and ready take turns many times in the life of a delivery: one line says enough */
static bool is_news(const struct tracked *x, const struct delivery *d)
{
    bool was_going = x->state == DELIVERY_READY || x->state == DELIVERY_CLAIMED, is_going = d->state == DELIVERY_READY || d->state == DELIVERY_CLAIMED;
    return (!(was_going && is_going) && x->state != d->state) || (!is_going && strncmp(x->reason, d->reason, sizeof x->reason - 1) != 0);
}

static int look_at_tracked(struct tail *t, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct delivery d = {0};
        int rc = store_load_delivery(t->r, t->v[i].id, &d, e);
        if (rc < 0)
            return -1;
        bool stays = rc == 0 && !is_final(d.state);
        if (rc == 0 && is_news(&t->v[i], &d))
            tell_delivery(t, &d);
        if (stays) {
            t->v[n] = (struct tracked){.id = d.id, .state = d.state};
            (void)snprintf(t->v[n].reason, sizeof t->v[n].reason, "%s", d.reason);
            n++;
        }
        delivery_clear(&d);
    }
    t->n = n;
    return 0;
}

static int look_at_new(struct tail *t, bool *is_more, struct err *e)
{
    struct store_filter f = {.channel = t->channel, .after_id = t->after, .limit = SLICE};
    struct store_message_row *m = NULL;
    size_t n = 0;
    int rc = store_list_messages(t->r, &f, &m, &n, e);
    for (size_t i = 0; i < n; i++) {
        struct delivery *d = NULL;
        size_t k = 0;
        t->after = m[i].id;
        if (rc == 0) {
            tell_message(t, &m[i]);
            rc = store_load_deliveries_of(t->r, m[i].id, &d, &k, e);
        }
        for (size_t j = 0; j < k; j++) {
            tell_delivery(t, &d[j]);
            track(t, &d[j]);
        }
        deliveries_free(d, k);
        store_message_row_clear(&m[i]);
    }
    free(m);
    *is_more = n == SLICE;
    return rc;
}

/* False: nobody reads any more. */
static bool put_out(struct tail *t)
{
    size_t n = t->out.n;
    bool is_read = n == 0 || (fwrite(t->out.p, 1, n, stdout) == n && fflush(stdout) == 0);
    buf_reset(&t->out);
    return is_read;
}

static int follow(struct tail *t, bool is_once, struct err *e)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    while (!is_over) {
        bool is_more = true;
        while (is_more && !is_over) {
            if (look_at_new(t, &is_more, e))
                return -1;
            if (!put_out(t))
                return 0;
        }
        if (is_once)
            return 0;
        if (look_at_tracked(t, e))
            return -1;
        if (!put_out(t))
            return 0;
        if (poll(&reader, 1, LOOK_MS) > 0)      /* nothing is asked of it: the pipe was closed */
            return 0;
    }
    return 0;
}

/* Where to begin: the next message, or the first since a time or an id. */
static int begin(struct tail *t, const char *since, struct err *e)
{
    int64_t id, us;
    if (!since)
        return store_last_message(t->r, &t->after, e);
    if (cli_id(since, 'm', &id) && since[0] == 'm') {
        t->after = id - 1;
        return 0;
    }
    if (!cli_time(since, &us))
        return 1;
    if (store_message_since(t->r, us, &id, e))
        return -1;
    t->after = id - 1;
    return 0;
}

static int tail(const struct cli *c)
{
    struct tail t = {.c = c, .channel = cli_get(c, "channel"), .is_json = cli_has(c, "json"), .is_held_only = cli_has(c, "held")};
    struct sigaction act = {.sa_handler = on_signal};
    struct err e = ERR_INIT;
    int rc = EXIT_WRONG;
    struct config *conf = kept_config(c);
    if (!conf)
        return EXIT_WRONG;
    if (t.channel && !config_listener_find(conf, t.channel)) {
        (void)err_set(&e, ERR_INPUT, t.channel, "no channel of this name in the configuration");
        rc = cli_fail(&e);
        goto out;
    }
    if (!(t.r = cli_reader(conf)))
        goto out;
    buf_init(&t.out, (size_t)64 << 20);
    t.v = xcalloc(TRACK_MAX, sizeof *t.v);
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    rc = begin(&t, cli_get(c, "since"), &e);
    if (rc == 1) {
        rc = cli_usage(c, "--since takes a time (2h, 2026-11-05, \"2026-11-05 14:30\") or a message (m12)");
        goto out;
    }
    rc = rc || follow(&t, cli_has(c, "once"), &e) ? cli_fail(&e) : EXIT_FINE;
out:
    buf_clear(&t.out);
    free(t.v);
    store_reader_close(t.r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"channel", 0, "NAME", "only messages of this channel"},
    {"held", 0, NULL, "only what comes to be held"},
    {"since", 0, "TIME|ID", "begin there: 2h, 2026-11-05, m12; default: now"},
    {"once", 0, NULL, "tell what there is and end"},
    {"json", 0, NULL, "one JSON object on each line"},
};

const struct verb verb_tail = {.name = "tail", .synopsis = "[-c FILE] [--channel NAME] [--held] [--since TIME|ID] [--once] [--json]",
                               .help = "messages and what becomes of them, as it happens", .flags = flags, .n_flags = sizeof flags / sizeof flags[0],
                               .max_args = 0, .run = tail};
