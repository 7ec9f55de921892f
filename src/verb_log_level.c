/* NAME labrelay log-level - changes what the running engine logs, for a time or until the next start. Exit: 0, 1, 2, 3 no engine runs. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "kept.h"
#include "log.h"
#include "clock.h"

#define FOR_MAX_US (7LL * 86400 * 1000000)

static bool duration(const char *text, int64_t *us)
{
    int64_t at;
    size_t n = strlen(text);
    if (!n || !strchr("smhd", text[n - 1]) || !cli_time(text, &at))
        return false;
    *us = (clock_now_us() - at + 500000) / 1000000 * 1000000;   /* cli_time() counts back from now */
    return *us >= 1000000 && *us <= FOR_MAX_US;
}

static int log_level(const struct cli *c)
{
    const char *lasts = cli_get(c, "for");
    struct err e = ERR_INIT;
    enum log_level level;
    int64_t us = 0;
    json_t *answer = NULL;
    char text[120];
    if (log_level_parse(c->args[0], &level))
        return cli_usage(c, "the levels are error, warning, info and debug");
    if (lasts && !duration(lasts, &us))
        return cli_usage(c, "--for takes 1s to 7d, like 10m");
    struct config *conf = kept_config(c);
    if (!conf)
        return EXIT_WRONG;
    int rc = ask_engine(conf, json_pack("{s:s,s:s,s:I}", "do", "log-level", "level", c->args[0], "for_us", (json_int_t)us), &answer, &e);
    if (rc == 1)
        fputs("labrelay: no engine is running with this configuration\n", stderr);
    (void)snprintf(text, sizeof text, "log level %s%s%s", c->args[0], lasts ? " for " : " until the engine starts again", lasts ? lasts : "");
    rc = rc == 1 ? EXIT_ABSENT : rc ? cli_fail(&e) : ask_print(c, answer, text);
    json_decref(answer);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"for", 0, "DURATION", "go back by itself after so long: 10m, 2h"}, CLI_JSON_FLAG};

const struct verb verb_log_level = {.name = "log-level", .synopsis = "[-c FILE] [--for DURATION] error|warning|info|debug", .help = "changes what the running engine logs",
                                    .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .words = "error warning info debug", .min_args = 1, .max_args = 1,
                                    .run = log_level};
