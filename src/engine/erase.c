/*
 * NAME erase - one person's messages, erased by the running engine on request.
 *
 * {"do":"erase","ids":[…],"persons":["guid",…],"by":"…","reason":"…","anyway":bool}: {"results":["erased","open",…],"known":N}, one word for each
 * id that was looked at; fewer than asked for when a turn is full. What the couriers have in hand is busy and stays.
 * DIAGNOSTICS info "erased on request": counts.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inner.h"
#include "log.h"
#include "store_person.h"

#define ANSWER_BYTES ((size_t)1 << 20)
#define TURN_US 50000

/* Out of memory, where it is no task under way. true: one is. */
static bool forget(struct engine *g, int64_t message_id)
{
    bool is_busy = false;
    for (size_t i = 0; i < g->n_writers; i++)
        for (struct active *x = g->writers[i].first; x; x = x->next)
            is_busy = is_busy || (x->d.message_id == message_id && x->is_busy);
    for (struct leaving *l = g->leaving; l; l = l->next)
        for (struct active *x = l->run.first; x; x = x->next)
            is_busy = is_busy || (x->d.message_id == message_id && x->is_busy);
    for (size_t i = 0; i < g->n_writers && !is_busy; i++)
        for (struct active *x = g->writers[i].first, *next; x; x = next) {
            next = x->next;
            if (x->d.message_id == message_id)
                dispatch_forget(&g->writers[i], x);
        }
    return is_busy;
}

static int one(struct engine *g, const json_t *q, int64_t id, const char *by, const char *why, enum person_erased *out, struct err *e)
{
    *out = PERSON_BUSY;
    if (forget(g, id))
        return 0;
    return store_erase_of_person(g->env.store, id, by, why, json_is_true(json_object_get(q, "anyway")), out, e);
}

char *erase_command(struct engine *g, const json_t *q, struct err *e)
{
    const json_t *ids = json_object_get(q, "ids"), *persons = json_object_get(q, "persons");
    const char *by = json_string_value(json_object_get(q, "by")), *why = json_string_value(json_object_get(q, "reason"));
    int64_t start = clock_mono_us(), known = 0, erased = 0;
    struct buf b;
    size_t i = 0;
    int rc = 0;
    buf_init(&b, ANSWER_BYTES);
    buf_addc(&b, '{');
    if (!by || !by[0] || !why || !why[0]) {
        buf_json_kv(&b, "error", "who does this, and why? say --by NAME --reason TEXT");
        buf_addc(&b, '}');
        return buf_take(&b, NULL);
    }
    buf_json_key(&b, "results");
    buf_addc(&b, '[');
    for (; i < json_array_size(ids) && rc == 0 && (i == 0 || clock_mono_us() - start < TURN_US); i++) {
        enum person_erased x;
        rc = one(g, q, json_integer_value(json_array_get(ids, i)), by, why, &x, e);
        buf_json_sep(&b);
        buf_json_str(&b, person_erased_name(x));
        erased += rc == 0 && x == PERSON_ERASED;
    }
    buf_addc(&b, ']');
    for (size_t k = 0; k < json_array_size(persons) && rc == 0; k++) {
        int64_t n = 0;
        const char *id = json_string_value(json_array_get(persons, k));
        rc = store_erase_person_id(g->env.store, id ? id : "", &n, e);
        known += n;
    }
    buf_json_kint(&b, "known", known);
    g->is_broken = g->is_broken || rc != 0;
    if (rc)
        buf_json_kv(&b, "error", e->text);
    else
        log_event(LOG_WARNING, "erased on request", log_int("messages", erased), log_int("known", known));
    buf_addc(&b, '}');
    return buf_take(&b, NULL);
}
