/*
 * NAME command - requests of the control socket, run between two frames of a batch by the engine.
 *
 * {"do":"status"}  {"do":"pause"|"resume","name":"…","by":"…"}  {"do":"log-level",…}  and those of review.c, import.c, reroute.c
 * {"do":"mirror"}, {"do":"mirror-refresh"}: command_mirror.c
 * The answer is {"ok":true,…} or {"error":"…"}. What a person does is audited in the same commit, and the answer leaves after it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"
#include "watch.h"

#define ANSWER_MAX_BYTES ((size_t)1 << 20)

static char *failed(const char *text)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_addc(&b, '{');
    buf_json_kv(&b, "error", text);
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}

/* What a writer knows of its server, for check --live. */
static char *run_tell(struct engine *g, json_t *q)
{
    const char *name = json_string_value(json_object_get(q, "writer"));
    for (size_t i = 0; name && i < g->n_writers; i++) {
        const struct writer_conf *wc = g->writers[i].conf;
        if (strcmp(wc->name, name) != 0 || !wc->ops->tell || !wc->ops->identity)
            continue;
        char *known = wc->ops->tell(g->writers[i].w, (unsigned)json_integer_value(json_object_get(q, "needs")));
        char *identity = wc->ops->identity(wc->options);
        struct buf b;
        buf_init(&b, ANSWER_MAX_BYTES);
        buf_adds(&b, "{\"ok\":true");
        buf_json_kv(&b, "identity", identity);
        buf_json_key(&b, "known");
        buf_adds(&b, known ? known : "null");
        buf_addc(&b, '}');
        free(known);
        free(identity);
        return buf_take(&b, NULL);
    }
    return failed("no writer of this name in the running configuration");
}

static char *run_import(struct engine *g, json_t *q, struct err *e)
{
    const char *failure = NULL;
    char *answer = import_run(g, json_string_value(json_object_get(q, "channel")), json_string_value(json_object_get(q, "path")),
                              json_string_value(json_object_get(q, "name")), &failure, e);
    return answer ? answer : failed(failure);
}

char *command_run(struct engine *g, const char *request, bool *is_telling, struct err *e)
{
    json_error_t je;
    json_t *q = json_loads(request, JSON_REJECT_DUPLICATES, &je);
    const char *what = q ? json_string_value(json_object_get(q, "do")) : NULL;
    char *answer;
    *is_telling = what && (strcmp(what, "status") == 0 || strcmp(what, "mirror") == 0 || strcmp(what, "log-level") == 0 || strcmp(what, "tell") == 0);
    if (!what)
        answer = failed("not a request");
    else if (strcmp(what, "status") == 0)
        answer = status_answer(g);
    else if (review_is_mine(what))
        answer = review_run(g, what, q, e);
    else if (strcmp(what, "tell") == 0)
        answer = run_tell(g, q);
    else if (strcmp(what, "import") == 0)
        answer = run_import(g, q, e);
    else if (strcmp(what, "pause") == 0 || strcmp(what, "resume") == 0)
        answer = watch_command(g, q, what[0] == 'p', e);
    else if (strcmp(what, "log-level") == 0)
        answer = status_set_log(g, json_string_value(json_object_get(q, "level")), json_integer_value(json_object_get(q, "for_us")));
    else if (strcmp(what, "erase") == 0)
        answer = erase_command(g, q, e);
    else if (strcmp(what, "replay") == 0)
        answer = reroute_command(g, q, e);
    else if (strcmp(what, "mirror") == 0)
        answer = command_mirror(g, WRITER_MIRROR_TELL, NULL, e);
    else if (strcmp(what, "mirror-refresh") == 0)
        answer = command_mirror(g, json_is_true(json_object_get(q, "full")) ? WRITER_MIRROR_RELOAD : WRITER_MIRROR_REFRESH,
                                json_string_value(json_object_get(q, "writer")), e);
    else
        answer = failed("unknown request");
    json_decref(q);
    return answer;
}
