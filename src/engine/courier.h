/*
 * courier - threads that carry tasks to a remote system, one request at a time each, and post them back.
 *
 * A task is owned by whoever holds it: courier_post() gives it away, it comes back through the `answers` mailbox with its verdict set and
 * with mail.kind (not negative) and mail.bytes as they were posted. Every posted task comes back, in any order. Couriers never touch the store or a
 * writer's state. Thread: open, post and close from the engine.
 */
#ifndef LABRELAY_COURIER_H
#define LABRELAY_COURIER_H
#include "ops.h"

struct courier_pool;

/* Starts `threads` (1..32) couriers, each with its own HTTP client. `name` is for thread names and logs. Never fails: ends the process
 * when not even one thread can be started. `answers` must outlive the pool. */
struct courier_pool *courier_open(const char *name, size_t threads, struct mailbox *answers);
void courier_post(struct courier_pool *p, struct task *t);
/* Tasks that wait and have not been started. */
size_t courier_waiting(struct courier_pool *p);
/* Tasks that wait come back at once, as those of courier_close(); those under way go on. */
void courier_recall(struct courier_pool *p);
/* Waits for the tasks under way (at most one per thread, bounded by their time limits). Those not started come back with
 * VERDICT_RETRY_LATER, reason STOPPING: surely not executed. NULL is fine. */
void courier_close(struct courier_pool *p);
#endif
