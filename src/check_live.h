/*
 * check_live - the part of `labrelay check --live` that asks the writers' servers. Thread: the verb's.
 */
#ifndef LABRELAY_CHECK_LIVE_H
#define LABRELAY_CHECK_LIVE_H
#include "conf.h"

/* Adds what is wrong to d, at the places of the configuration and of its tables; lines about what was found to b. is_now: log in even when
 * an engine with the same account runs. EXIT_FINE, EXIT_WRONG, EXIT_TEMPORARY (a server does not answer) or EXIT_ABSENT (the account could
 * not be asked without --now). */
int check_live(const struct config *conf, bool is_now, struct diag *d, struct buf *b);
#endif
