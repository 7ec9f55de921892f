/*
 * rule_notes - the block of text that we own in Go.Data's notes (STANDARDS 8.3), without its markers. For rule*.c only.
 */
#ifndef LABRELAY_RULE_NOTES_H
#define LABRELAY_RULE_NOTES_H
#include "rule_inner.h"

#define RULE_NOTES_MAX 3900u            /* characters: Go.Data's 4000 less the markers */

struct rule_notes {
    char p[RULE_NOTES_MAX * 4 + 64];
    size_t n, chars;
    bool is_full;
};
void rule_notes_line(struct rule_notes *n, struct span line);       /* line breaks inside become lines; nothing for an empty one */
void rule_notes_linef(struct rule_notes *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct span rule_notes_end(struct rule_notes *n, struct arena *a);
/* "Ebola virus RNA (LN 41636-2) = Detected (SCT 260373001) flag POS; range Not detected" */
struct span rule_notes_result(struct rule_scope *x, const struct rec_observation *obs, const struct rule_found *found);
#endif
