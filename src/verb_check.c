/* NAME labrelay check - reads a configuration as run would, and says everything that is wrong with it. */
#include <stdio.h>

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
    if (cli_has(c, "json")) {
        diag_format_json(d, &b);
        buf_addc(&b, '\n');
        cli_print(&b);
    } else {
        diag_format(d, &b);
        cli_print(&b);
        if (conf)
            printf("%s: fine: %zu listener%s, %zu writer%s, configuration %s\n", path, conf->n_listeners, conf->n_listeners == 1 ? "" : "s",
                   conf->n_writers, conf->n_writers == 1 ? "" : "s", conf->hash);
    }
    int rc = conf ? EXIT_FINE : EXIT_WRONG;
    buf_clear(&b);
    config_free(conf);
    diag_free(d);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_check = {.name = "check", .synopsis = "[-c FILE] [--json]", .help = "says everything that is wrong with a configuration",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = check};
