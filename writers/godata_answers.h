/*
 * godata_answers - the nested parts of a lab result: questionnaireAnswers and sequence. Pure. Thread: any.
 *
 * Go.Data replaces each as a whole on a PUT (GODATA-API 4.4): an update sends what stands there with our own keys changed.
 */
#ifndef LABRELAY_GODATA_ANSWERS_H
#define LABRELAY_GODATA_ANSWERS_H
#include <jansson.h>

#include "buf.h"
#include "lab.h"

/* Adds the keys "questionnaireAnswers" and "sequence" to the body that is open in b, each only when it says something. */
void godata_answers_build(struct buf *b, const struct lab_result *lab);
/* The same for an update: `now` with what of `next` differs from `last`. Nothing is added when nothing changes. */
void godata_answers_patch(struct buf *b, const json_t *now, const json_t *last, const json_t *next);
/* Nobody but us answered, and what we wrote stands. */
bool godata_answers_are_ours(const json_t *now, const json_t *written);
/* Takes out of `last` what `now` does not have: it is to be written. */
void godata_answers_forget(json_t *last, const json_t *now);

/* What `next` writes and `last` (may be NULL) did not: a code that is not active in `codes`, an answer that `questions` (variable -> type;
 * NULL: not known) does not ask for (`upload`: for a file), or that a NUMERIC question would lose. The reason word, or NULL; *what gets its name. */
const char *godata_answers_check(const json_t *next, const json_t *last, const json_t *codes, const json_t *questions, const char *upload, char *what,
                                 size_t room);
/* labResultsTemplate as an object variable -> type ("NUMERIC"), additional questions included. New reference. */
json_t *godata_questions(const json_t *template);
#endif
