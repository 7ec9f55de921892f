/* NAME labrelay status - channels, queue and writers at a glance; live parts come from the running engine. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "control.h"

static void json_triple(void *ctx, const char *a, const char *b_, int64_t n)
{
    struct buf *b = ctx;
    buf_json_sep(b);
    buf_addc(b, '[');
    buf_json_str(b, a);
    buf_json_sep(b);
    buf_json_str(b, b_);
    buf_addf(b, ",%" PRId64 "]", n);
}

static void text_triple(void *ctx, const char *a, const char *b_, int64_t n)
{
    struct buf *b = ctx;
    buf_addf(b, "  %-20s %-24s %10" PRId64 "\n", a, b_[0] ? b_ : "-", n);
}

static void live_text(const char *answer, struct buf *b)
{
    json_t *j = json_loads(answer, 0, NULL), *w;
    size_t i;
    buf_addf(b, "engine      running, %s, configuration %s (number %" JSON_INTEGER_FORMAT ")\n",
             json_is_true(json_object_get(j, "accepting")) ? "accepting" : "NOT ACCEPTING", json_string_value(json_object_get(j, "config")),
             json_integer_value(json_object_get(j, "config_number")));
    json_array_foreach(json_object_get(j, "writers"), i, w) {
        const char *reason = json_string_value(json_object_get(w, "reason")), *detail = json_string_value(json_object_get(w, "detail"));
        buf_addf(b, "writer      %s: %s%s%s%s%s; %" JSON_INTEGER_FORMAT " under way, %" JSON_INTEGER_FORMAT " delivered with %" JSON_INTEGER_FORMAT " requests since start\n",
                 json_string_value(json_object_get(w, "name")), json_string_value(json_object_get(w, "mode")), reason && reason[0] ? ", " : "", reason ? reason : "",
                 detail && detail[0] ? ": " : "", detail ? detail : "", json_integer_value(json_object_get(w, "busy")),
                 json_integer_value(json_object_get(w, "delivered")), json_integer_value(json_object_get(w, "requests")));
    }
    json_decref(j);
}

static int status(const struct cli *c)
{
    static const struct { enum store_sum sum; const char *json, *text; } parts[] = {
        {SUM_FRAMES, "frames", "frames"}, {SUM_DELIVERIES, "deliveries", "observations, by state and reason"}, {SUM_ACCOUNTS, "accounts", "observations that need no delivery"},
    };
    struct buf b, a;
    struct err e = ERR_INIT;
    struct store_reader *r = NULL;
    bool is_json = cli_has(c, "json");
    int rc = EXIT_WRONG;
    buf_init(&b, (size_t)4 << 20);
    buf_init(&a, CONTROL_MAX_BYTES);
    struct config *conf = cli_config(c);
    if (!conf)
        goto out;
    int live = control_ask(conf->control_path, "{\"do\":\"status\"}", &a, &e);
    if (!(r = cli_reader(conf)))
        goto out;
    while (a.n && a.p[a.n - 1] == '\n')
        a.p[--a.n] = '\0';
    if (is_json) {
        buf_adds(&b, "{\"engine\":");
        buf_adds(&b, live == 0 ? a.p : "null");
    } else if (live == 0) {
        live_text(a.p, &b);
    } else {
        buf_addf(&b, "engine      %s\n", live == 1 ? "not running" : e.text);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (is_json) {
            buf_json_key(&b, parts[i].json);
            buf_addc(&b, '[');
        } else {
            buf_addf(&b, "%s\n", parts[i].text);
        }
        if (store_sum(r, parts[i].sum, is_json ? json_triple : text_triple, &b, &e)) {
            rc = cli_fail(&e);
            goto out;
        }
        if (is_json)
            buf_addc(&b, ']');
    }
    if (is_json)
        buf_adds(&b, "}\n");
    cli_print(&b);
    rc = live == 0 ? EXIT_FINE : EXIT_ABSENT;
out:
    buf_clear(&b);
    buf_clear(&a);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_status = {.name = "status", .synopsis = "[-c FILE] [--json]", .help = "channels, queue and writers at a glance (exit 3: no engine runs)",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = status};
