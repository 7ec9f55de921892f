/*
 * NAME held_act - one decision about a held delivery, given to the engine, or to the store when no engine runs.
 * A link needs Go.Data; while the writer logs in, it is asked again for a few seconds. DIAGNOSTICS the engine's words.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "held.h"
#include "review.h"
#include "xmem.h"

#define TRIES 20
#define PAUSE_NS 250000000L

static void add_request(const struct held_decision *x, struct buf *q)
{
    static const char *const words[] = {[HELD_NOTHING] = "", [HELD_RELEASE] = "release", [HELD_DISMISS] = "dismiss", [HELD_LINK] = "link",
                                        [HELD_CREATE] = "create-person"};
    buf_addc(q, '{');
    buf_json_kv(q, "do", words[x->action]);
    buf_json_kint(q, "id", x->id);
    buf_json_kv(q, "by", x->by ? x->by : "");
    buf_json_kv(q, "reason", x->why ? x->why : "");
    if (x->action == HELD_LINK || x->action == HELD_CREATE)
        buf_json_kv(q, x->action == HELD_LINK ? "person" : "type", x->person ? x->person : "");
    if (x->is_anyway) {
        buf_json_key(q, "anyway");
        buf_adds(q, "true");
    }
    if (x->is_check) {
        buf_json_key(q, "check");
        buf_adds(q, "true");
    }
    if (x->expect) {
        buf_json_key(q, "expect");
        buf_addc(q, '{');
        buf_json_kv(q, "reason", x->expect->reason);
        buf_json_kint(q, "updated_us", x->expect->updated_us);
        buf_addc(q, '}');
    }
    buf_addc(q, '}');
}

static char *word_of(const struct buf *answer, const char *key)
{
    json_t *j = json_loadb(answer->p ? answer->p : "", answer->n, 0, NULL);
    const char *s = json_string_value(json_object_get(j, key));
    char *out = s ? xstrdup(s) : NULL;
    json_decref(j);
    return out;
}

char *held_error(const struct buf *answer)
{
    return word_of(answer, "error");
}

int held_decide(const struct config *conf, const struct held_decision *x, struct buf *answer, struct err *e)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct buf q;
    int rc = -1;
    buf_init(&q, CONTROL_MAX_BYTES);
    add_request(x, &q);
    for (int tries = 0; tries < (x->is_impatient ? 1 : TRIES); tries++) {
        buf_reset(answer);
        if (q.is_full)
            rc = err_set(e, ERR_LIMIT, "held", "the request is longer than %zu bytes", CONTROL_MAX_BYTES);
        else
            rc = review_ask(conf, q.p, answer, NULL, e);
        char *code = rc == 0 ? word_of(answer, "code") : NULL;
        bool is_early = code && (strcmp(code, "NOT_READY") == 0 || strcmp(code, "TOKEN") == 0);
        free(code);
        if (!is_early || x->is_impatient)
            break;
        (void)nanosleep(&pause, NULL);
    }
    buf_clear(&q);
    char *error = rc == 0 ? held_error(answer) : NULL;
    rc = rc == 0 && error ? 1 : rc;
    free(error);
    return rc;
}
