/*
 * NAME labrelay held - what waits for a person: list, show, release (look again), dismiss (close for good).
 * release and dismiss go to the running engine by the control socket; both need --by and are audited.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "control.h"
#include "view.h"

#define HELD_MAX ((size_t)100000)

static int list(const struct cli *c, struct store_reader *r, int64_t id)
{
    struct store_filter f = {.state = "held", .reason = cli_get(c, "reason"), .limit = HELD_MAX};
    struct delivery *v = NULL, one = {0};
    struct err e = ERR_INIT;
    struct buf b;
    size_t n = 0;
    bool is_json = cli_has(c, "json");
    buf_init(&b, (size_t)256 << 20);
    if (id) {
        int got = store_load_delivery(r, id, &one, &e);
        if (got < 0)
            return cli_fail(&e);
        if (got > 0) {
            fprintf(stderr, "labrelay: there is no delivery d%lld\n", (long long)id);
            return EXIT_ABSENT;
        }
        if (is_json)
            view_delivery_json(&one, &b);
        else
            view_delivery_text(&one, &b);
        delivery_clear(&one);
    } else {
        if (store_list_deliveries(r, &f, &v, &n, &e))
            return cli_fail(&e);
        if (is_json)
            buf_addc(&b, '[');
        for (size_t i = 0; i < n; i++) {
            if (is_json) {
                buf_json_sep(&b);
                view_delivery_json(&v[i], &b);
            } else {
                view_delivery_line(&v[i], &b);
                buf_addf(&b, "          %s\n", reason_text(v[i].reason));
            }
        }
        if (is_json)
            buf_addc(&b, ']');
        else if (!n)
            buf_adds(&b, "nothing is held\n");
        deliveries_free(v, n);
    }
    if (is_json)
        buf_addc(&b, '\n');
    cli_print(&b);
    buf_clear(&b);
    return EXIT_FINE;
}

static int act(const struct cli *c, const struct config *conf, const char *what, int64_t id)
{
    struct buf q, a;
    struct err e = ERR_INIT;
    const char *by = cli_get(c, "by"), *why = cli_get(c, "why");
    if (!by)
        return cli_usage(c, "who does this? say --by NAME");
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_addc(&q, '{');
    buf_json_kv(&q, "do", what);
    buf_json_kint(&q, "id", id);
    buf_json_kv(&q, "by", by);
    buf_json_kv(&q, "reason", why ? why : "");
    buf_addc(&q, '}');
    int rc = control_ask(conf->control_path, q.p, &a, &e);
    if (rc == 1) {
        fputs("labrelay: no engine is running with this configuration\n", stderr);
        rc = EXIT_ABSENT;
    } else if (rc < 0) {
        rc = cli_fail(&e);
    } else {
        cli_print(&a);
        rc = strstr(a.p, "\"error\"") ? EXIT_WRONG : EXIT_FINE;
    }
    buf_clear(&q);
    buf_clear(&a);
    return rc;
}

static int held(const struct cli *c)
{
    const char *what = c->n_args ? c->args[0] : "list";
    struct store_reader *r = NULL;
    int64_t id = 0;
    int rc = EXIT_WRONG;
    bool is_act = strcmp(what, "release") == 0 || strcmp(what, "dismiss") == 0;
    if (!is_act && strcmp(what, "list") != 0 && strcmp(what, "show") != 0)
        return cli_usage(c, "say list, show ID, release ID or dismiss ID");
    if (strcmp(what, "list") != 0 && (c->n_args < 2 || !cli_id(c->args[1], 'd', &id)))
        return cli_usage(c, "which delivery? Its id looks like d12");
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    if (is_act)
        rc = act(c, conf, what, id);
    else if ((r = cli_reader(conf)) != NULL)
        rc = list(c, r, id);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"reason", 'r', "WORD", "list: only this reason"},
    {"by", 0, "NAME", "release, dismiss: who decides; kept in the audit trail"},
    {"why", 0, "TEXT", "release, dismiss: why; kept in the audit trail"},
    CLI_JSON_FLAG,
};

const struct verb verb_held = {.name = "held", .synopsis = "[-c FILE] [list | show ID | release ID --by NAME | dismiss ID --by NAME] [--json]",
                               .help = "what waits for a person to decide", .flags = flags, .n_flags = sizeof flags / sizeof flags[0],
                               .words = "list show release dismiss", .max_args = 2, .run = held};
