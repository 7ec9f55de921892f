/*
 * NAME labrelay replay - runs stored messages again through the running configuration.
 * Without --go it only tells what would happen; with it the engine does it, a message at a time, audited. Nothing that was delivered is
 * written a second time: what would differ from it is held for a person.
 * EXIT 0 done (or told), 1 error, 2 usage, 3 nothing fits, or no engine is running, 4 temporary trouble.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "control.h"
#include "kept.h"
#include "whatif.h"
#include "xmem.h"

#define LIST_MAX 100000             /* results of one replay */
#define ASK_MAX 100                 /* messages of one request to the engine */
#define OUT_MAX ((size_t)256 << 20)
#define AGAINS (AGAIN_DIFFERS + 1)

struct replay {
    const struct cli *c;
    const struct config *conf;
    struct whatif w;
    int64_t n_of[AGAINS];
    int64_t *ids;
    size_t n_ids;
    bool is_json;
};

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int take_ids(struct replay *p)
{
    p->ids = xcalloc((size_t)p->c->n_args + 1, sizeof *p->ids);
    for (int i = 0; i < p->c->n_args; i++)
        if (!cli_id(p->c->args[i], 'm', &p->ids[p->n_ids++]))
            return cli_usage(p->c, "the id of a message looks like m12");
    qsort(p->ids, p->n_ids, sizeof *p->ids, by_id);
    return EXIT_FINE;
}

static void tell(const struct replay *p, struct buf *b)
{
    for (size_t i = 0; i < p->w.n_examples; i++) {
        const struct whatif_example *x = &p->w.examples[i];
        if (p->is_json) {
            buf_json_sep(b);
            buf_addc(b, '{');
            buf_json_kint(b, "message", x->message);
            buf_json_kint(b, "delivery", x->delivery);
            buf_json_kv(b, "channel", x->channel);
            buf_json_kv(b, "path", x->path);
            buf_json_kv(b, "was", x->was);
            buf_json_kv(b, "now", x->now);
            buf_json_kv(b, "state", x->delivery ? delivery_state_name(x->state) : "");
            buf_json_kv(b, "replay", again_name(x->again));
            buf_addc(b, '}');
        } else {
            buf_addf(b, "  m%" PRId64, x->message);
            if (x->delivery)
                buf_addf(b, " d%" PRId64 " %s", x->delivery, delivery_state_name(x->state));
            buf_addf(b, " %s: was %s, now %s: %s\n", x->path, x->was, x->now, again_text(x->again));
        }
    }
}

/* One request: messages at[0..n). Adds what the engine did to n_of; *done: it stops early rather than keep its senders waiting. */
static int ask(struct replay *p, const int64_t *at, size_t n, const char *by, size_t *done)
{
    struct buf q, a;
    struct err e = ERR_INIT;
    const char *reason = cli_get(p->c, "reason");
    json_error_t je;
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_adds(&q, "{\"do\":\"replay\"");
    buf_json_kv(&q, "by", by);
    buf_json_kv(&q, "reason", reason ? reason : "");
    buf_json_kv(&q, "why", cli_get(p->c, "why") ? cli_get(p->c, "why") : "");
    buf_json_key(&q, "ids");
    buf_addc(&q, '[');
    for (size_t i = 0; i < n; i++) {
        buf_json_sep(&q);
        buf_add_int(&q, at[i]);
    }
    buf_adds(&q, "]}");
    int rc = control_ask(p->conf->control_path, q.p, &a, &e);
    if (rc == 1) {
        fputs("labrelay: no engine is running with this configuration\n", stderr);
        rc = EXIT_ABSENT;
    } else if (rc < 0) {
        rc = cli_fail(&e);
    } else {
        json_t *j = json_loads(a.p, 0, &je);
        const char *bad = json_string_value(json_object_get(j, "error"));
        if (bad || !j) {
            fprintf(stderr, "labrelay: %s\n", bad ? bad : "the engine's answer cannot be read");
            rc = EXIT_WRONG;
        }
        for (int k = 0; k < AGAINS; k++)
            p->n_of[k] += json_integer_value(json_object_get(j, again_name((enum again)k)));
        *done = (size_t)json_integer_value(json_object_get(j, "messages"));
        if (rc == EXIT_FINE && (*done == 0 || *done > n)) {
            fputs("labrelay: the engine did nothing\n", stderr);
            rc = EXIT_WRONG;
        }
        json_decref(j);
    }
    buf_clear(&q);
    buf_clear(&a);
    return rc;
}

static int go(struct replay *p, const char *by)
{
    int64_t *ids = xcalloc(p->w.n_examples + 1, sizeof *ids);
    size_t n = 0, done = 0, some = 0;
    int rc = EXIT_FINE;
    memset(p->n_of, 0, sizeof p->n_of);
    for (size_t i = 0; i < p->w.n_examples; i++)
        if (!n || ids[n - 1] != p->w.examples[i].message)
            ids[n++] = p->w.examples[i].message;
    for (; done < n && rc == EXIT_FINE; done += some)
        rc = ask(p, ids + done, n - done < ASK_MAX ? n - done : ASK_MAX, by, &some);
    free(ids);
    return rc;
}

static void sums(const struct replay *p, bool is_done, struct buf *b)
{
    if (p->is_json) {
        buf_json_key(b, "sums");
        buf_addc(b, '{');
    } else {
        buf_addf(b, "%s:", is_done ? "done" : "would be");
    }
    bool is_first = true;
    for (int k = 0; k < AGAINS; k++) {
        if (p->is_json) {
            buf_json_kint(b, again_name((enum again)k), p->n_of[k]);
        } else if (p->n_of[k]) {
            buf_addf(b, "%s %s %" PRId64, is_first ? "" : ",", again_name((enum again)k), p->n_of[k]);
            is_first = false;
        }
    }
    if (p->is_json)
        buf_adds(b, "}");
    else
        buf_adds(b, is_first ? " nothing\n" : "\n");
}

static int run(struct replay *p, struct whatif_options *o, struct buf *b)
{
    struct err e = ERR_INIT;
    const char *by = cli_get(p->c, "by");
    int rc = EXIT_FINE;
    bool is_go = cli_has(p->c, "go");
    if (whatif_run(o, &p->w, &e))
        return cli_fail(&e);
    for (size_t i = 0; i < p->w.n_examples; i++)
        p->n_of[p->w.examples[i].again]++;
    if (p->w.erased && !p->is_json)
        fprintf(stderr, "labrelay: %" PRId64 " messages cannot be run again: their originals were erased\n", p->w.erased);
    if (p->w.n_examples == 0 && !p->is_json) {
        fputs("labrelay: no message fits\n", stderr);
        return EXIT_ABSENT;
    }
    if (p->is_json) {
        buf_adds(b, "{\"results\":[");
        tell(p, b);
        buf_addc(b, ']');
        buf_json_kint(b, "erased", p->w.erased);
    } else {
        tell(p, b);
    }
    if (is_go)
        rc = go(p, by);
    if (rc == EXIT_FINE) {
        if (p->is_json) {
            buf_json_key(b, "done");
            buf_adds(b, is_go ? "true" : "false");
        }
        sums(p, is_go, b);
        if (p->is_json)
            buf_adds(b, "}\n");
        else if (!is_go)
            buf_adds(b, "nothing was done: say --go --by NAME\n");
        cli_print(b);
    }
    return rc == EXIT_FINE && p->w.n_examples == 0 ? EXIT_ABSENT : rc;
}

static int replay(const struct cli *c)
{
    const char *since = cli_get(c, "since"), *until = cli_get(c, "until");
    struct replay p = {.c = c, .is_json = cli_has(c, "json")};
    struct whatif_options o = {.limit = LIST_MAX, .has_same = true, .reason = cli_get(c, "reason"), .range = {.channel = cli_get(c, "channel")}};
    struct config *conf = NULL;
    struct buf b;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int rc = EXIT_WRONG;
    if (cli_has(c, "go") && !cli_get(c, "by"))
        return cli_usage(c, "who does this? say --by NAME");
    if (c->n_args == 0 && !since && !until && !o.reason && !o.range.channel)
        return cli_usage(c, "which messages? Say ids, --channel, --since, --until or --reason");
    if ((since && !cli_time(since, &o.range.since_us)) || (until && !cli_time(until, &o.range.until_us)))
        return cli_usage(c, "a time is 7d, 12h, 2026-11-05 or \"2026-11-05 14:30\"");
    buf_init(&b, OUT_MAX);
    rc = take_ids(&p);
    if (rc != EXIT_FINE)
        goto out;
    rc = EXIT_WRONG;
    if (!(conf = kept_config(c)))
        goto out;
    p.conf = o.conf = conf;
    o.store_path = conf->store.path;
    o.threads = cpus > 1 ? (unsigned)cpus : 1;
    if (p.n_ids) {
        o.ids = p.ids;
        o.n_ids = p.n_ids;
        o.range.after_id = p.ids[0] - 1;
        o.range.last_id = p.ids[p.n_ids - 1];
    }
    rc = run(&p, &o, &b);
out:
    whatif_clear(&p.w);
    free(p.ids);
    buf_clear(&b);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"channel", 0, "NAME", "only what came in by this listener"},
    {"since", 0, "TIME", "messages from then on: 7d, 12h, 2026-11-05"},
    {"until", 0, "TIME", "messages before then"},
    {"reason", 0, "WORD", "only results with this reason, for instance UNMAPPED_TEST"},
    {"go", 0, NULL, "do it; else it is only told what would happen"},
    {"by", 0, "NAME", "with --go: who decides; kept in the audit trail"},
    {"why", 0, "TEXT", "with --go: why; kept in the audit trail"},
    CLI_JSON_FLAG,
};

const struct verb verb_replay = {.name = "replay", .synopsis = "[-c FILE] [--channel NAME] [--since TIME] [--until TIME] [--reason WORD] [--go --by NAME] [--json] [ID…]",
                                 .help = "runs stored messages again through the running configuration; without --go tells what would happen",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 1000, .run = replay};
