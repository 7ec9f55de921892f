/*
 * NAME godata_doubt - somebody changed a person in Go.Data: may what we wrote there still be theirs? (DESIGN rule 3)
 *
 * What the message said is compared again with the person as they are now. When it contradicts, or leads to another person, a review item is
 * held beside the delivery: MATCH_CONTRADICTED, with the evidence. Nothing is written or moved: a person decides. Results that a
 * person linked by hand are left alone, and those whose message has been erased.
 * DIAGNOSTICS log line "match contradicted".
 */
#include <stdlib.h>
#include <string.h>

#include "godata_fresh.h"
#include "godata_session.h"
#include "godata_whose.h"
#include "log.h"
#include "store.h"
#include "xmem.h"

#define REASON "MATCH_CONTRADICTED"
#define PERSONS_MAX 16                  /* of a page in one turn; the rest follows with the next */
#define ITEMS_MAX 1000
#define EVIDENCE_MAX ((size_t)256 << 10)

/* Is there such an item already, and nobody has looked at it? */
static int is_told(struct store *q, const struct delivery *d, bool *is, struct err *e)
{
    struct delivery *v = NULL;
    size_t n = 0;
    if (store_find_held(q, d->writer, REASON, 0, ITEMS_MAX, &v, &n, e))
        return -1;
    *is = n == ITEMS_MAX;
    for (size_t i = 0; i < n; i++)
        *is = *is || (v[i].message_id == d->message_id && v[i].record_index == d->record_index && v[i].observation_index == d->observation_index);
    deliveries_free(v, n);
    return 0;
}

static int hold_item(struct store *q, const struct delivery *d, const char *evidence, int64_t now_us, struct err *e)
{
    bool is = false;
    if (is_told(q, d, &is, e))
        return -1;
    if (is)
        return 0;
    struct delivery x = *d;             /* borrows its texts; parts 0: the observation is counted by its own delivery */
    x.id = 0;
    x.parts = 0;
    x.state = DELIVERY_HELD;
    x.step = STEP_FIND;
    x.flags = DELIVERY_HAD_INTENT;      /* no other configuration routes it */
    x.tries = 0;
    x.next_us = x.updated_us = now_us;
    x.result_key = x.body = x.lane = (char *)(uintptr_t)"";
    x.reason = (char *)(uintptr_t)REASON;
    x.detail = (char *)(uintptr_t)evidence;
    if (store_put_delivery(q, &x, e) || store_audit(q, "labrelay", "match contradicted", d->id, d->message_id, REASON, e))
        return -1;
    log_event(LOG_WARNING, "match contradicted", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id), log_id("item", 'd', x.id));
    return 0;
}

/* What the message of d said, beside the person as they are now. */
static bool is_contradicted(struct writer *w, const struct delivery *d, struct span person_id, struct buf *evidence)
{
    struct godata_people *people = godata_mirror_people(godata_session_mirror(w));
    const struct godata_person *p = godata_people_find(people, person_id);
    struct godata_people_match m;
    struct godata_candidate c;
    struct godata_whose x;
    bool is = false;
    if (!p || d->flags & (DELIVERY_IS_LINKED | DELIVERY_IS_PERSON))
        return false;
    godata_whose_init(&x, godata_session_options(w), d->who);
    godata_people_compare(people, &x.subject, p, &c);
    godata_people_match(people, &x.subject, &m);
    bool is_another = m.state == GODATA_MATCH_SURE && !span_eq(m.candidates[0].person->id, person_id);
    if (c.contradicts && m.state != GODATA_MATCH_CONFLICT && m.state != GODATA_MATCH_SPLIT && !is_another) {
        m = (struct godata_people_match){.state = GODATA_MATCH_CONFLICT, .candidates = {c}, .n = 1};   /* found by its sample, or by names */
        is = true;
    }
    is = is || is_another || m.state == GODATA_MATCH_CONFLICT || m.state == GODATA_MATCH_SPLIT;
    if (is)
        godata_whose_evidence(people, &x.subject, &m, evidence);
    godata_whose_clear(&x);
    return is;
}

static int look_at_result(struct writer *w, struct store *q, const char *k, const char *person_id, int64_t now_us, struct err *e)
{
    struct store_target t;
    struct delivery d = {0};
    struct buf evidence;
    int rc = store_find_target(q, k, person_id, &t, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    rc = store_get_delivery(q, t.delivery_id, &d, e);
    store_target_clear(&t);
    if (rc)
        return rc < 0 ? -1 : 0;         /* erased since */
    buf_init(&evidence, EVIDENCE_MAX);
    if (is_contradicted(w, &d, span_of(person_id), &evidence))
        rc = hold_item(q, &d, evidence.p, now_us, e);
    buf_clear(&evidence);
    delivery_clear(&d);
    return rc;
}

void godata_doubt_look(struct writer *w, struct store *q, int64_t now_us)
{
    struct godata_mirror *m = godata_session_mirror(w);
    struct err e = ERR_INIT;
    char *id;
    for (int i = 0; q && i < PERSONS_MAX && (id = godata_mirror_take_changed(m)) != NULL; i++) {
        const struct godata_mirror_lab *v = NULL;
        size_t n = 0;
        int rc = godata_mirror_labs_of_person(m, span_of(id), &v, &n, &e);
        char (*k)[9] = xcalloc(n ? n : 1, sizeof *k);   /* the rows live until the next look */
        for (size_t j = 0; rc == 0 && j < n; j++)
            memcpy(k[j], v[j].k, strnlen(v[j].k, 8));
        for (size_t j = 0; rc == 0 && j < n; j++)
            if (k[j][0])
                rc = look_at_result(w, q, k[j], id, now_us, &e);
        free(k);
        free(id);
        if (rc) {
            log_err(LOG_ERROR, "cannot look at the results of a changed person", &e);
            return;
        }
    }
}
