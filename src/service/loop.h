/*
 * loop - the LOOP thread: one libevent base that carries all listeners, the reply mailbox and the control socket.
 */
#ifndef LABRELAY_LOOP_H
#define LABRELAY_LOOP_H
#include "conf.h"

struct loop;

struct loop_env {
    struct mailbox *engine;                 /* frames go here */
    struct mailbox *replies;                /* made with_fd; replies come from here */
    int64_t budget_bytes;
    uint64_t reply_id_seed;                 /* unique per start: MSH-10 of busy replies */
};

/* Opens all listeners of the config (all errors are logged; -1 when one could not be opened). Does not run yet. */
int  loop_open(struct loop **out, const struct config *c, const struct loop_env *env, struct err *e);
/* Runs until loop_stop(); call on its own thread. */
void loop_run(struct loop *l);
/* From any thread: stop accepting; the loop ends when every listener is idle or grace_us passed. */
void loop_stop(struct loop *l, int64_t grace_us);
void loop_set_accepting(struct loop *l, bool on);       /* any thread: disk floor */
void loop_set_paused(struct loop *l, const char *listener, bool on);    /* any thread: this listener takes nothing, its port stays open */
struct event_base *loop_base(struct loop *l);           /* for the control socket, before loop_run */
/* Counts of frames that never reached the engine since the last call: fn(listener, what, n). Any thread. */
void loop_take_counts(struct loop *l, void (*fn)(void *ctx, const char *listener, const char *what, int64_t n), void *ctx);
void loop_close(struct loop *l);
#endif
