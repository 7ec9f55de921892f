/*
 * NAME labrelay queue - deliveries that are not finished (or in a given state), one by one or by lane. Holds no patient data: `show` does.
 * A lane is what is written in order: a person once it is known, else a sample.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "glance.h"
#include "kept.h"
#include "store_watch.h"
#include "view.h"

struct lanes { struct buf *b; bool is_json; int64_t now_us; };

/* Before the person is known a lane is named by the sample, which is the laboratory's: its first message stands for it. */
static void on_lane(void *ctx, const struct store_lane *l)
{
    struct lanes *x = ctx;
    const char *slash = strchr(l->lane, '/'), *name = slash ? slash + 1 : l->lane;
    bool is_person = strlen(name) == 36;
    char age[24], sample[40];
    (void)snprintf(sample, sizeof sample, "sample of m%" PRId64, l->message);
    glance_age(l->oldest_us, x->now_us, age, sizeof age);
    if (x->is_json) {
        buf_json_sep(x->b);
        buf_addc(x->b, '{');
        buf_json_kv(x->b, "writer", l->writer);
        buf_json_kv(x->b, "person_id", is_person ? name : "");
        buf_json_kint(x->b, "message", l->message);
        buf_json_kint(x->b, "n", l->n);
        buf_json_kint(x->b, "oldest_us", l->oldest_us);
        buf_addc(x->b, '}');
    } else {
        buf_addf(x->b, "%-20.20s %-38s %8" PRId64 "  oldest %s (m%" PRId64 ")\n", l->writer, is_person ? name : sample, l->n, age, l->message);
    }
}

static int lanes(const struct cli *c, struct store_reader *r, size_t limit, struct buf *b)
{
    struct lanes x = {b, cli_has(c, "json"), clock_now_us()};
    struct err e = ERR_INIT;
    if (x.is_json)
        buf_addc(b, '[');
    if (store_list_lanes((struct store_at){.r = r}, limit, on_lane, &x, &e))
        return cli_fail(&e);
    if (x.is_json)
        buf_adds(b, "]\n");
    else if (!b->n)
        buf_adds(b, "nothing\n");
    cli_print(b);
    return EXIT_FINE;
}

static int queue(const struct cli *c)
{
    const char *state = cli_get(c, "state"), *limit = cli_get(c, "limit");
    struct store_filter f = {.state = state, .writer = cli_get(c, "writer"), .reason = cli_get(c, "reason"), .limit = 100};
    struct store_reader *r = NULL;
    struct delivery *v = NULL;
    struct err e = ERR_INIT;
    struct buf b;
    enum delivery_state parsed;
    size_t n = 0;
    int64_t number;
    int rc = EXIT_WRONG;
    bool is_json = cli_has(c, "json");
    if (state && delivery_state_parse(state, &parsed))
        return cli_usage(c, "states are ready, claimed, waiting, held, delivered, superseded, withdrawn, dismissed, dropped");
    if (limit && span_int(span_of(limit), &number) && number > 0)
        f.limit = (size_t)number;
    buf_init(&b, (size_t)256 << 20);
    struct config *conf = kept_config(c);
    if (!conf || !(r = cli_reader(conf)))
        goto out;
    if (cli_has(c, "lanes")) {
        rc = lanes(c, r, f.limit, &b);
        goto out;
    }
    static const char *const open_states[] = {"claimed", "ready", "waiting", "held"};
    if (is_json)
        buf_addc(&b, '[');
    for (size_t s = 0; s < (state ? 1 : sizeof open_states / sizeof open_states[0]); s++) {
        f.state = state ? state : open_states[s];
        if (store_list_deliveries(r, &f, &v, &n, &e)) {
            rc = cli_fail(&e);
            goto out;
        }
        for (size_t i = 0; i < n; i++) {
            if (is_json) {
                buf_json_sep(&b);
                view_delivery_json_line(&v[i], &b);
            } else {
                view_delivery_line(&v[i], &b);
            }
        }
        deliveries_free(v, n);
        v = NULL;
    }
    if (is_json)
        buf_adds(&b, "]\n");
    else if (!b.n)
        buf_adds(&b, "nothing\n");
    cli_print(&b);
    rc = EXIT_FINE;
out:
    buf_clear(&b);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"state", 's', "STATE", "only this state; default: all that is not finished"},
    {"writer", 'w', "NAME", "only this writer"},
    {"reason", 'r', "WORD", "only this reason"},
    {"limit", 'n', "N", "at most so many of a state; default 100"},
    {"lanes", 0, NULL, "how much waits for each person or sample, the oldest first"},
    CLI_JSON_FLAG,
};

const struct verb verb_queue = {.name = "queue", .synopsis = "[-c FILE] [--state STATE] [--writer NAME] [--lanes] [--json]", .help = "lists deliveries that are not finished",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = queue};
