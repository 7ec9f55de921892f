/*
 * NAME labrelay mirror - what the running engine has read of the people and lab results in Go.Data, and reading it again.
 * Exit: 0 fine, 1 no such writer, or a list is refused (status), 3 no engine runs. Counts and times only.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "control.h"
#include "kept.h"

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void add_time(struct buf *b, const char *what, int64_t us)
{
    char text[40];
    if (us <= 0) {
        buf_addf(b, "  %s: never yet\n", what);
        return;
    }
    clock_format_local(us, text, sizeof text);
    buf_addf(b, "  %s: %s\n", what, text);
}

/* One writer's part for people. Returns whether every list may be read. */
static bool tell(const json_t *m, struct buf *b)
{
    const json_t *l;
    bool is_fine = true;
    size_t i;
    buf_addf(b, "%s: %s\n", word(m, "writer"), json_is_true(json_object_get(m, "loaded")) ? "loaded" : "NOT LOADED");
    buf_addf(b, "  outbreak: %s\n", word(m, "outbreak")[0] ? word(m, "outbreak") : "not known yet");
    buf_addf(b, "  %" PRId64 " cases, %" PRId64 " contacts, %" PRId64 " contacts of contacts, %" PRId64 " lab results\n", number(m, "cases"), number(m, "contacts"),
             number(m, "contacts_of_contacts"), number(m, "lab_results"));
    json_array_foreach(json_object_get(m, "lists"), i, l) {
        if (word(l, "off")[0]) {
            is_fine = false;
            buf_addf(b, "  %s: OFF, Go.Data refuses the list (HTTP %" PRId64 " %s); tried again every minute\n", word(l, "name"), number(l, "off_http"), word(l, "off"));
        } else if (json_is_true(json_object_get(l, "reading_all"))) {
            buf_addf(b, "  %s: reading everything, %" PRId64 " so far\n", word(l, "name"), number(l, "read_so_far"));
        }
    }
    add_time(b, "changes read up to", number(m, "seen_us"));
    buf_addf(b, "  since start: %" PRId64 " rounds, %" PRId64 " requests, %" PRId64 " changes", number(m, "rounds"), number(m, "requests"), number(m, "changes"));
    if (number(m, "doubles"))
        buf_addf(b, "; %" PRId64 " results of ours stand twice in Go.Data (see the log)", number(m, "doubles"));
    buf_addc(b, '\n');
    return is_fine;
}

static bool tell_all(const json_t *answer, struct buf *b)
{
    const json_t *m;
    bool is_fine = true;
    size_t i;
    json_array_foreach(json_object_get(answer, "mirrors"), i, m)
        is_fine &= tell(m, b);
    if (json_array_size(json_object_get(answer, "mirrors")) == 0)
        buf_adds(b, "no writer keeps a mirror\n");
    return is_fine;
}

static int mirror(const struct cli *c)
{
    bool is_refresh = strcmp(c->args[0], "refresh") == 0, is_fine = true;
    struct err e = ERR_INIT;
    struct buf q, a, b;
    if (!is_refresh && strcmp(c->args[0], "status") != 0)
        return cli_usage(c, "say status or refresh");
    if (!is_refresh && (c->n_args > 1 || cli_has(c, "full")))
        return cli_usage(c, "a writer and --full go with refresh");
    struct config *conf = kept_config(c);
    if (!conf)
        return EXIT_WRONG;
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_init(&b, CONTROL_MAX_BYTES);
    buf_addc(&q, '{');
    buf_json_kv(&q, "do", is_refresh ? "mirror-refresh" : "mirror");
    if (c->n_args > 1)
        buf_json_kv(&q, "writer", c->args[1]);
    if (cli_has(c, "full"))
        buf_adds(&q, ",\"full\":true");
    buf_addc(&q, '}');
    int rc = control_ask(conf->control_path, q.p, &a, &e);
    json_t *answer = rc == 0 ? json_loads(a.p, 0, NULL) : NULL;
    if (rc == 1) {
        fputs("labrelay: no engine is running: the mirror is read by the engine\n", stderr);
        rc = EXIT_ABSENT;
    } else if (rc < 0) {
        rc = cli_fail(&e);
    } else if (!answer || json_object_get(answer, "error")) {
        fprintf(stderr, "labrelay mirror: %s\n", answer ? word(answer, "error") : "the engine's answer cannot be read");
        rc = EXIT_WRONG;
    } else {
        is_fine = tell_all(answer, &b) || is_refresh;
        if (cli_has(c, "json"))
            cli_print(&a);
        else if (is_refresh)
            puts(cli_has(c, "full") ? "everything is being read again; see labrelay mirror status" : "changes are read within a second");
        else
            cli_print(&b);
        rc = is_fine ? EXIT_FINE : EXIT_WRONG;
    }
    json_decref(answer);
    buf_clear(&q);
    buf_clear(&a);
    buf_clear(&b);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG, {"full", 0, NULL, "refresh: read everything, not only what changed"}};

const struct verb verb_mirror = {.name = "mirror", .synopsis = "[-c FILE] [--json] status | refresh [--full] [WRITER]",
                                 .help = "what has been read of people and results in Go.Data; reads it again",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .words = "status refresh", .min_args = 1, .max_args = 2, .run = mirror};
