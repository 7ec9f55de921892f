/*
 * NAME labrelay pause, labrelay resume - stops and restarts a channel or a writer, durably.
 * A paused writer sends nothing and its queue grows; a paused channel refuses (207, 503) or leaves its files where they are.
 * With no engine running the pause is written into the store and holds from the next start on. Exit: 0, 1 refused (no such name), 2, 4.
 */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "clock.h"
#include "kept.h"
#include "watch.h"

static int without_engine(const struct config *conf, const struct store_pause *p, bool is_pause, json_t **answer, struct err *e)
{
    struct store *q = NULL;
    const char *kind = "";
    size_t index = 0;
    int rc = store_open(&q, &conf->store, e);
    if (rc == 0)
        rc = watch_put_pause(q, conf, p, is_pause, &kind, &index, e) || store_commit(q, e) ? -1 : 0;
    store_close(q);
    if (rc == 0)
        *answer = json_pack("{s:b,s:s,s:s,s:s,s:b}", "ok", 1, "kind", kind, "name", p->name, "state", is_pause ? "paused" : "running", "engine", 0);
    return rc;
}

static int run(const struct cli *c, bool is_pause)
{
    const char *by = cli_get(c, "by"), *why = cli_get(c, "reason"), *kind = cli_has(c, "channel") ? "channel" : cli_has(c, "writer") ? "writer" : "";
    struct store_pause p = {.kind = kind, .name = c->args[0], .us = clock_now_us(), .who = by ? by : is_pause ? "" : "operator", .why = why ? why : ""};
    struct err e = ERR_INIT;
    json_t *answer = NULL;
    char text[256];
    if (!p.who[0])
        return cli_usage(c, "who does this? say --by NAME");
    struct config *conf = kept_config(c);
    if (!conf)
        return EXIT_WRONG;
    int rc = ask_engine(conf, json_pack("{s:s,s:s,s:s,s:s,s:s}", "do", is_pause ? "pause" : "resume", "name", p.name, "kind", p.kind, "by", p.who, "reason", p.why),
                        &answer, &e);
    if (rc == 1)
        rc = without_engine(conf, &p, is_pause, &answer, &e);
    if (rc) {
        rc = cli_fail(&e);
    } else {
        const char *what = json_string_value(json_object_get(answer, "kind"));
        (void)snprintf(text, sizeof text, "%s %s %s%s", what ? what : "", p.name, is_pause ? "is paused" : "goes on",
                       json_is_false(json_object_get(answer, "engine")) ? "; no engine is running: it holds from the next start on" : "");
        rc = ask_print(c, answer, text);
    }
    json_decref(answer);
    config_free(conf);
    return rc;
}

static int pause_(const struct cli *c) { return run(c, true); }
static int resume(const struct cli *c) { return run(c, false); }

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"by", 0, "NAME", "who says so; kept in the audit trail"},
    {"reason", 0, "TEXT", "why; kept in the audit trail and shown by status"},
    {"channel", 0, NULL, "the name is a channel's"},
    {"writer", 0, NULL, "the name is a writer's"},
    CLI_JSON_FLAG,
};

const struct verb verb_pause = {.name = "pause", .synopsis = "[-c FILE] --by NAME [--reason TEXT] CHANNEL|WRITER", .help = "stops a channel or a writer until resume",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = pause_};
const struct verb verb_resume = {.name = "resume", .synopsis = "[-c FILE] [--by NAME] [--reason TEXT] CHANNEL|WRITER",
                                 .help = "ends a pause, also one that a writer made itself", .flags = flags, .n_flags = sizeof flags / sizeof flags[0],
                                 .min_args = 1, .max_args = 1, .run = resume};
