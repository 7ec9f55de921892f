/*
 * NAME labrelay status - channels, queues, writers, disk and alarms at a glance.
 * Exit status: 0 all is well; 1 there is trouble (not accepting, something paused, an alarm up); 3 no engine runs; 4 the store did not answer in time.
 */
#include <stdlib.h>

#include "cli.h"
#include "control.h"
#include "glance.h"
#include "kept.h"

static int status(const struct cli *c)
{
    struct buf b, a;
    struct err e = ERR_INIT;
    struct store_reader *r = NULL;
    json_t *glance = NULL;
    int rc = EXIT_WRONG;
    buf_init(&b, (size_t)16 << 20);
    buf_init(&a, CONTROL_MAX_BYTES);
    struct config *conf = kept_config(c);
    if (!conf)
        goto out;
    int live = control_ask(conf->control_path, "{\"do\":\"status\"}", &a, &e);
    if (live < 0) {
        rc = cli_fail(&e);
        goto out;
    }
    if (!(r = cli_reader(conf)))
        goto out;
    if (!(glance = glance_load(conf, r, live == 0 ? a.p : NULL, &e))) {
        rc = cli_fail(&e);
        goto out;
    }
    if (cli_has(c, "metrics")) {
        glance_metrics(glance, &b);
    } else if (cli_has(c, "json")) {
        char *t = json_dumps(glance, JSON_COMPACT);
        buf_adds(&b, t ? t : "");
        buf_addc(&b, '\n');
        free(t);
    } else {
        glance_text(glance, &b);
    }
    cli_print(&b);
    rc = live ? EXIT_ABSENT : glance_is_trouble(glance) ? EXIT_WRONG : EXIT_FINE;
out:
    json_decref(glance);
    buf_clear(&b);
    buf_clear(&a);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"metrics", 0, NULL, "print the figures in the text format of Prometheus"}, CLI_JSON_FLAG};

const struct verb verb_status = {.name = "status", .synopsis = "[-c FILE] [--json | --metrics]",
                                 .help = "channels, queues, writers, disk and alarms (exit 1: there is trouble, 3: no engine runs)",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = status};
