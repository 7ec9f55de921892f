/*
 * ask - one request of a verb to the running engine, and its answer for people or scripts. Thread: the verb's.
 */
#ifndef LABRELAY_ASK_H
#define LABRELAY_ASK_H
#include <jansson.h>

#include "cli.h"

/* Sends `request` (reference taken) to the engine of this configuration. 0: *answer is an object (caller drops it); 1: no engine runs; -1. */
int  ask_engine(const struct config *conf, json_t *request, json_t **answer, struct err *e);
/* Prints an answer: as JSON, or its error to stderr, or `text`. Returns the exit code. */
int  ask_print(const struct cli *c, const json_t *answer, const char *text);
#endif
