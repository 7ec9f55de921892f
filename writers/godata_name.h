/*
 * godata_name - names compared after folding: lower case, Latin letters without diacritics. Pure. Thread: any.
 * Used as a contradiction check behind an exact identifier (STANDARDS 8.7), never to find a person.
 */
#ifndef LABRELAY_GODATA_NAME_H
#define LABRELAY_GODATA_NAME_H
#include "buf.h"

/* Appends the folded name: words separated by one blank; hyphen, comma, dot and slash separate, apostrophes vanish. */
void godata_name_fold(struct span name, struct buf *out);
/* Do the two names have a word in common (particles and words of one or two letters count only when there is nothing else), or are
 * they equal when written together? True when one of them has no word at all: nothing to contradict. */
bool godata_name_agrees(struct span a, struct span b);
#endif
