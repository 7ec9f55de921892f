/*
 * NAME labrelay check - reads a configuration as run would, and says everything that is wrong with it; with --live also what the writers'
 * servers say to it (check_live.c).
 * EXIT 0 fine, 1 something is wrong, 3 --live needs --now, 4 a server does not answer.
 */
#include <stdio.h>

#include "check_live.h"
#include "cli.h"

static int check(const struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct diag *d = diag_new();
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    if (!path)
        path = LABRELAY_DEFAULT_CONF;
    struct config *conf = config_load(path, &all_modules, d);
    struct buf live;
    int rc = conf ? EXIT_FINE : EXIT_WRONG;
    buf_init(&live, (size_t)1 << 20);
    if (conf && cli_has(c, "live"))
        rc = check_live(conf, cli_has(c, "now"), d, &live);
    if (cli_has(c, "json")) {
        diag_format_json(d, &b);
        buf_addc(&b, '\n');
        cli_print(&b);
    } else {
        diag_format(d, &b);
        cli_print(&b);
        cli_print(&live);
        if (conf && rc == EXIT_FINE)
            printf("%s: fine: %zu listener%s, %zu writer%s, configuration %s\n", path, conf->n_listeners, conf->n_listeners == 1 ? "" : "s",
                   conf->n_writers, conf->n_writers == 1 ? "" : "s", conf->hash);
    }
    buf_clear(&live);
    buf_clear(&b);
    config_free(conf);
    diag_free(d);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG,
                                        {"live", 0, NULL, "ask the writers' servers too: login, outbreak, permissions, reference data; writes nothing"},
                                        {"now", 0, NULL, "with --live: log in even while an engine runs (its token dies, it logs in anew)"},
                                        CLI_JSON_FLAG};

const struct verb verb_check = {.name = "check", .synopsis = "[-c FILE] [--live [--now]] [--json]", .help = "says everything that is wrong with a configuration",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = check};
