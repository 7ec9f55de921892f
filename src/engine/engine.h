/*
 * engine - the ENGINE thread: the only writer of the store.
 *
 * Takes all that waits (frames from listeners, finished tasks from couriers, requests from the control socket), does it in one
 * batch, commits once, and only then lets replies and tasks go (DESIGN "Commit, then acknowledge").
 * Thread: engine_open/close on main; engine_run on its own thread; engine_stop and the mailbox from any thread.
 */
#ifndef LABRELAY_ENGINE_H
#define LABRELAY_ENGINE_H
#include "loop.h"
#include "store.h"

struct engine;

struct engine_env {
    struct config *conf;                /* the engine's from engine_open() on, also when that fails: engine_close() frees it */
    const struct modules *modules;      /* for the configurations to come */
    struct store *store;                /* open; the engine uses it, the caller closes it */
    struct mailbox *inbox;              /* frames, tasks, control requests come in here */
    struct mailbox *replies;            /* to the loop */
    struct mailbox *control_replies;    /* to the control socket */
    struct loop *loop;                  /* set with engine_set_loop() when the loop is opened after the engine */
};

int  engine_open(struct engine **out, const struct engine_env *env, struct err *e);
void engine_set_loop(struct engine *g, struct loop *loop);
/* Until engine_stop(); returns 0, or -1 when the store failed for good (then nothing was acknowledged that is not stored). */
int  engine_run(struct engine *g);
void engine_stop(struct engine *g);
void engine_close(struct engine *g);
#endif
