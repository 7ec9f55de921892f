/*
 * NAME command - requests of the control socket, run between two frames of a batch by the engine.
 *
 * {"do":"status"}  {"do":"release","id":N,"by":"…","reason":"…"}  {"do":"dismiss",…}  {"do":"pause"|"resume","name":"…","by":"…"}  {"do":"log-level",…}
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

/* A held delivery goes back to the queue (to be looked for again), or is closed by a person. */
static char *run_held(struct engine *g, json_t *q, bool is_release, struct err *e)
{
    struct delivery d = {0};
    int64_t id = json_integer_value(json_object_get(q, "id")), now = clock_now_us();
    const char *by = json_string_value(json_object_get(q, "by")), *why = json_string_value(json_object_get(q, "reason"));
    char *answer = NULL;
    if (!by || !by[0])
        return failed("who does this? say --by NAME");
    int rc = store_get_delivery(g->env.store, id, &d, e);
    if (rc > 0)
        return failed("there is no such delivery");
    if (rc < 0 || d.state != DELIVERY_HELD) {
        answer = failed(rc < 0 ? e->text : "this delivery is not held");
        goto out;
    }
    if (is_release && (!d.writer[0] || !d.body[0] || !d.result_key[0])) {
        answer = failed("it has no destination yet: mend the table or the route and send the message again");
        goto out;
    }
    d.state = is_release ? DELIVERY_READY : DELIVERY_DISMISSED;
    d.step = STEP_FIND;
    d.next_us = d.updated_us = now;
    d.tries = 0;
    delivery_set(&d.remote_id, "");
    if (store_update_delivery(g->env.store, &d, e) ||
        store_audit(g->env.store, by, is_release ? "release" : "dismiss", d.id, d.message_id, why ? why : "", e)) {
        answer = failed(e->text);
        goto out;
    }
    log_event(LOG_INFO, is_release ? "released" : "dismissed", log_id("msg", 'm', d.message_id), log_id("delivery", 'd', d.id));
    if (is_release)
        dispatch_wake(g, d.writer);
    struct buf b;
    buf_init(&b, ANSWER_MAX_BYTES);
    buf_adds(&b, "{\"ok\":true");
    buf_json_kint(&b, "id", d.id);
    buf_json_kv(&b, "state", delivery_state_name(d.state));
    buf_addc(&b, '}');
    answer = buf_take(&b, NULL);
out:
    delivery_clear(&d);
    return answer;
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
    *is_telling = what && (strcmp(what, "status") == 0 || strcmp(what, "mirror") == 0 || strcmp(what, "log-level") == 0);
    if (!what)
        answer = failed("not a request");
    else if (strcmp(what, "status") == 0)
        answer = status_answer(g);
    else if (strcmp(what, "release") == 0 || strcmp(what, "dismiss") == 0)
        answer = run_held(g, q, what[0] == 'r', e);
    else if (strcmp(what, "import") == 0)
        answer = run_import(g, q, e);
    else if (strcmp(what, "pause") == 0 || strcmp(what, "resume") == 0)
        answer = watch_command(g, q, what[0] == 'p', e);
    else if (strcmp(what, "log-level") == 0)
        answer = status_set_log(g, json_string_value(json_object_get(q, "level")), json_integer_value(json_object_get(q, "for_us")));
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
