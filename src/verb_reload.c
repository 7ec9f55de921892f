/*
 * NAME labrelay reload - tells the running engine to read its configuration again.
 * The engine reads, checks and tests it and swaps it in; a bad one changes nothing, and its mistakes are printed as `check` prints them.
 * EXIT 0 swapped, 1 refused, 3 no engine runs, 4 no answer.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "control.h"

static void print_text(const char *answer)
{
    json_t *j = json_loads(answer, 0, NULL);
    const char *error = json_string_value(json_object_get(j, "error")), *text = json_string_value(json_object_get(j, "text"));
    if (text)
        fputs(text, error ? stderr : stdout);
    if (error)
        fprintf(stderr, "labrelay: not reloaded: %s\n", error);
    else
        printf("running configuration number %" JSON_INTEGER_FORMAT " (%s); listeners opened %" JSON_INTEGER_FORMAT ", closed %" JSON_INTEGER_FORMAT
               ", kept %" JSON_INTEGER_FORMAT "\n",
               json_integer_value(json_object_get(j, "number")), json_string_value(json_object_get(j, "config")),
               json_integer_value(json_object_get(j, "listeners_opened")), json_integer_value(json_object_get(j, "listeners_closed")),
               json_integer_value(json_object_get(j, "listeners")) - json_integer_value(json_object_get(j, "listeners_opened")));
    json_decref(j);
}

static int reload(const struct cli *c)
{
    struct buf q, a;
    struct err e = ERR_INIT;
    char *control = NULL, *store = NULL;
    const char *by = cli_get(c, "by"), *path = cli_get(c, "config");
    if (!path)
        path = LABRELAY_DEFAULT_CONF;
    config_locate(path, &control, &store);
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_adds(&q, "{\"do\":\"reload\"");
    buf_json_kv(&q, "by", by ? by : "operator");
    buf_addc(&q, '}');
    int asked = control ? control_ask(control, q.p, &a, &e) : err_set(&e, ERR_CONFIG, path, "it does not say where the store is: cannot find the engine");
    int rc = EXIT_ABSENT;
    if (asked == 1)
        fputs("labrelay: no engine is running\n", stderr);
    else if (asked < 0)
        rc = cli_fail(&e);
    else
        rc = strncmp(a.p, "{\"error\"", 8) == 0 ? EXIT_WRONG : EXIT_FINE;
    if (asked == 0 && cli_has(c, "json"))
        cli_print(&a);
    else if (asked == 0)
        print_text(a.p);
    buf_clear(&q);
    buf_clear(&a);
    free(control);
    free(store);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"by", 0, "NAME", "who says so; kept in the audit trail"}, CLI_JSON_FLAG};

const struct verb verb_reload = {.name = "reload", .synopsis = "[-c FILE] [--by NAME] [--json]", .help = "lets the running engine read its configuration again",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = reload};
