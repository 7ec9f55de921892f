/*
 * review - what people decide about held deliveries: release, dismiss, link.
 * Thread: the engine; review_offline() is for a verb when no engine runs.
 */
#ifndef LABRELAY_REVIEW_H
#define LABRELAY_REVIEW_H
#include "buf.h"
#include "conf.h"

/*
 * Sends a request to the running engine, or when none runs takes the store's lock and does the same here. The answer is JSON:
 * {"ok":true,…} or {"error":"…"}. -1 with e: neither was possible. was_offline (may be NULL): no engine took part.
 */
int  review_ask(const struct config *conf, const char *request, struct buf *answer, bool *was_offline, struct err *e);
#endif
