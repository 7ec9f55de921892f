/*
 * again - what is held is routed again after the configuration changed. Inside the engine; engine thread only.
 */
#ifndef LABRELAY_ENGINE_AGAIN_H
#define LABRELAY_ENGINE_AGAIN_H
#include "inner.h"

/* Begins a pass, or widens the one that runs and begins it anew. is_all: more than tables changed. by: for the audit. */
void again_start(struct engine *g, const char *by, bool is_all, const char *const *tables, size_t n_tables);
/* Some milliseconds of it, in the open batch. */
int  again_turn(struct engine *g, int64_t now, struct err *e);
void again_failed(struct engine *g);                    /* the open batch is lost: the pass begins anew */
bool again_is_pending(const struct engine *g);
void again_close(struct engine *g);
#endif
