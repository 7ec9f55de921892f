/*
 * NAME ask - verbs that talk to the running engine.
 * DIAGNOSTICS the engine's own "error" text on stderr, exit 1.
 */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "control.h"

int ask_engine(const struct config *conf, json_t *request, json_t **answer, struct err *e)
{
    struct buf a;
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    *answer = NULL;
    buf_init(&a, CONTROL_MAX_BYTES);
    int rc = line ? control_ask(conf->control_path, line, &a, e) : err_set(e, ERR_INPUT, "request", "the words are not UTF-8");
    if (rc == 0) {
        *answer = json_loads(a.p, 0, NULL);
        if (!json_is_object(*answer)) {
            json_decref(*answer);
            *answer = NULL;
            rc = err_set(e, ERR_TEMP, conf->control_path, "the engine gave no usable answer");
        }
    }
    free(line);
    buf_clear(&a);
    return rc;
}

int ask_print(const struct cli *c, const json_t *answer, const char *text)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (cli_has(c, "json")) {
        char *t = json_dumps(answer, JSON_COMPACT);
        (void)puts(t ? t : "{}");
        free(t);
    } else if (error) {
        fprintf(stderr, "labrelay: %s\n", error);
    } else {
        (void)puts(text);
    }
    return error ? EXIT_WRONG : EXIT_FINE;
}
