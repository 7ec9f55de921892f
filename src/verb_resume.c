/* NAME labrelay resume - tells a paused writer to go on (after a password was mended, an outbreak was set). */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "control.h"

static int resume(const struct cli *c)
{
    struct buf q, a;
    struct err e = ERR_INIT;
    const char *by = cli_get(c, "by");
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_adds(&q, "{\"do\":\"resume\"");
    buf_json_kv(&q, "writer", c->args[0]);
    buf_json_kv(&q, "by", by ? by : "operator");
    buf_addc(&q, '}');
    int rc = control_ask(conf->control_path, q.p, &a, &e);
    if (rc == 1)
        fputs("labrelay: no engine is running\n", stderr);
    else if (rc < 0)
        rc = cli_fail(&e);
    else
        cli_print(&a);
    rc = rc == 1 ? EXIT_ABSENT : rc ? rc : strstr(a.p, "\"error\"") ? EXIT_WRONG : EXIT_FINE;
    buf_clear(&q);
    buf_clear(&a);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"by", 0, "NAME", "who says so; kept in the audit trail"}};

const struct verb verb_resume = {.name = "resume", .synopsis = "[-c FILE] [--by NAME] WRITER", .help = "tells a paused writer to go on",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = resume};
