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

/* A change of listeners while the loop runs: one of it at a time. Posted into env.replies with mail.kind MAIL_RELOAD, it comes back into
 * env.engine each time, behind every frame that the loop posted before. Whoever holds it may read and write it.
 * LOOP_OPEN    opens the listeners of v that are not kept (beside the old ones); is_failed and why: none of them is open.
 * LOOP_ABANDON closes them again.
 * LOOP_GO_ON   lets all go that are neither kept nor new: they take nothing more, their replies still leave; comes back when they are closed. */
enum loop_ask { LOOP_OPEN, LOOP_ABANDON, LOOP_GO_ON };
struct loop_slot { size_t number; const struct listener_conf *conf; bool is_kept; };
struct loop_change {
    struct mail mail;
    enum loop_ask ask;
    struct loop_slot *v;                    /* every listener of the new configuration */
    size_t n;
    const char *node;                       /* of the new configuration; copied */
    int64_t budget_bytes;
    bool is_failed;
    struct err why;
};

/* Opens all listeners of the config, numbered as they stand there (all errors are logged; -1 when one could not be opened). Does not run yet. */
int  loop_open(struct loop **out, const struct config *c, const struct loop_env *env, struct err *e);
/* Runs until loop_stop(); call on its own thread. */
void loop_run(struct loop *l);
/* From any thread: stop accepting; the loop ends when every listener is idle or grace_us passed. */
void loop_stop(struct loop *l, int64_t grace_us);
void loop_set_accepting(struct loop *l, bool on);       /* any thread: disk floor */
void loop_set_persons(struct loop *l, const char *listener, bool on);   /* any thread: a route sends persons that come in here */
void loop_set_paused(struct loop *l, const char *listener, bool on);    /* any thread: this listener takes nothing, its port stays open */
struct event_base *loop_base(struct loop *l);           /* for the control socket, before loop_run */
/* Counts of frames that never reached the engine since the last call: fn(listener, what, n). Any thread. */
void loop_take_counts(struct loop *l, void (*fn)(void *ctx, const char *listener, const char *what, int64_t n), void *ctx);
void loop_close(struct loop *l);
#endif
