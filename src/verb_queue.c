/* NAME labrelay queue - deliveries that are not finished (or in a given state). */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "view.h"

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
    struct config *conf = cli_config(c);
    if (!conf || !(r = cli_reader(conf)))
        goto out;
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
                view_delivery_json(&v[i], &b);
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
    CLI_JSON_FLAG,
};

const struct verb verb_queue = {.name = "queue", .synopsis = "[-c FILE] [--state STATE] [--writer NAME] [--json]", .help = "lists deliveries that are not finished",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = queue};
