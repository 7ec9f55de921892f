/*
 * store_person - erasing what the store holds of one person, at the request of that person.
 * Thread: the writer of the store. All of it is part of the open batch.
 */
#ifndef LABRELAY_STORE_PERSON_H
#define LABRELAY_STORE_PERSON_H
#include "store.h"

enum person_erased {
    PERSON_ERASED,
    PERSON_ABSENT,              /* there is no such message (any more) */
    PERSON_OPEN,                /* something of it waits or is held, and is_anyway is not set; or it waits for its other parts */
    PERSON_BUSY                 /* something of it may be in Go.Data's hands right now: never */
};
const char *person_erased_name(enum person_erased x);
/* One message with its bytes, deliveries and what is known of them in Go.Data; audited without any of it. Open deliveries are dismissed first
 * when is_anyway says so. The sums of `verify` go on with its numbers. */
int  store_erase_of_person(struct store *q, int64_t message_id, const char *who, const char *why, bool is_anyway, enum person_erased *out, struct err *e);
/* What is known of this person in Go.Data: targets (never a tombstone) and rows of every mirror. Reads all targets: about a second for a million. */
int  store_erase_person_id(struct store *q, const char *person_id, int64_t *n_out, struct err *e);
#endif
