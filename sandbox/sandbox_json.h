/*
 * sandbox_json - what jansson lacks to look like Node: JSON text with JavaScript numbers, String(x), and small getters.
 * Pure. Thread: any.
 */
#ifndef LABRELAY_SANDBOX_JSON_H
#define LABRELAY_SANDBOX_JSON_H
#include <jansson.h>

#include "buf.h"

/* Appends JSON text: no blanks, keys in insertion order, numbers in JavaScript's shortest form. */
void sandbox_json_dump(struct buf *b, const json_t *v);
/* JavaScript String(v). Heap, caller frees. */
char *sandbox_json_to_string(const json_t *v);
/* Parses with any value at the top. NULL on error; *at_end: the text stopped too early; *position: where. */
json_t *sandbox_json_parse(struct span s, bool *at_end, size_t *position);
/* The string under key, or NULL when absent or not a string. Borrowed. */
const char *sandbox_json_get(const json_t *object, const char *key);
/* parseFloat(text): the longest number at the start. false: NaN. */
bool sandbox_json_parse_float(const char *text, double *out);
#endif
