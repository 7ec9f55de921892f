/*
 * conf_hide - a configuration file's text for strangers: without comments, secrets, accounts in URLs and values that patients are compared with.
 * Pure but for the tables of options it looks through. Thread: the verb's.
 */
#ifndef LABRELAY_CONF_HIDE_H
#define LABRELAY_CONF_HIDE_H
#include "conf.h"

void conf_hide(struct span text, const struct modules *m, struct buf *out);
#endif
