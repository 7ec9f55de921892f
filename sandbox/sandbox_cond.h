/*
 * sandbox_cond - LoopBack's `where`, compiled to conditions and evaluated on stored documents, and hints with which the database
 * narrows the candidates. Quirks kept: strings that look like dates become dates, and on the rewritten routes a value that is
 * exactly an operator's name matches nothing. Pure. Thread: any.
 */
#ifndef LABRELAY_SANDBOX_COND_H
#define LABRELAY_SANDBOX_COND_H
#include <jansson.h>

#include "err.h"
#include "span.h"

struct sandbox_cond;                    /* NULL matches everything */

/* Compiles a where object (NULL or empty: *out is NULL). ERR_BUG: what makes the real server answer 500. */
int sandbox_cond_new(struct sandbox_cond **out, const json_t *where, bool is_rewritten, struct err *e);
void sandbox_cond_free(struct sandbox_cond *c);
bool sandbox_cond_match(const struct sandbox_cond *c, const json_t *doc);

/* Up to four fields by name; values: an array for each. */
struct sandbox_fields {
    size_t n;
    const char *name[4];
    json_t *values[4];
};
/* Notes strings so that wherever c matches, one of the fields equals one of its values. false: c does not say so. */
bool sandbox_cond_strings(const struct sandbox_cond *c, const struct sandbox_fields *f);
/* Milliseconds between which the date `field` must lie wherever c matches; false when c does not say. */
bool sandbox_cond_range(const struct sandbox_cond *c, const char *field, int64_t *low, int64_t *high);
/* Milliseconds that one of two dates must reach wherever c matches; false when c does not say. */
bool sandbox_cond_either(const struct sandbox_cond *c, const char *a, const char *b, int64_t *low);
/* The text that the string `field` must lie behind wherever c matches; NULL when c does not say. Borrowed. */
const char *sandbox_cond_above(const struct sandbox_cond *c, const char *field);
/* MongoDB's order of types, for sorting: null, numbers, strings, objects, arrays, booleans. */
int  sandbox_cond_type_rank(const json_t *v);
#endif
