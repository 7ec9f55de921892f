/*
 * NAME person - deliveries that make a person: what follows when nobody matches.
 *
 * One place decides it, wherever the search ended (in the mirror or at Go.Data). All creations of a writer share one lane, so that of many
 * results of one new person the first creates it and the others find it.
 * DIAGNOSTICS NO_CASE.
 */
#include <string.h>

#include "inner.h"

bool person_meet_no_match(struct writer_run *w, struct delivery *d)
{
    bool is_nobody = strcmp(d->reason, "NO_MATCH") == 0 || strcmp(d->reason, "NO_IDENTITY") == 0;
    struct buf lane;
    if (d->state != DELIVERY_HELD || d->step != STEP_FIND || !is_nobody || !(d->flags & (DELIVERY_MAY_CREATE | DELIVERY_MAY_DROP)))
        return false;
    delivery_set(&d->detail, "");
    if (d->flags & DELIVERY_MAY_DROP) {
        d->state = DELIVERY_DROPPED;
        delivery_set(&d->reason, "NO_CASE");
        return true;
    }
    buf_init(&lane, 1024);
    buf_addf(&lane, "%s/new", w->conf->name);
    delivery_set(&d->lane, lane.p);
    buf_clear(&lane);
    delivery_set(&d->reason, "");
    d->state = DELIVERY_READY;
    d->step = STEP_PERSON;
    return true;
}
