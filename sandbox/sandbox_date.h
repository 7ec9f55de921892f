/*
 * sandbox_date - dates as Node reads and writes them: `new Date(text)` with V8's two grammars (ISO first, then the loose one),
 * and toISOString(). The process zone is UTC, as on the recorded server. Milliseconds since 1970 UTC. Pure. Thread: any.
 */
#ifndef LABRELAY_SANDBOX_DATE_H
#define LABRELAY_SANDBOX_DATE_H
#include <jansson.h>

#include "span.h"

#define SANDBOX_DATE_SIZE 32

/* What Date.parse() makes of text. false: Invalid Date. */
bool sandbox_date_parse(struct span s, int64_t *ms_out);
/* new Date(v) for a JSON value: numbers are milliseconds, true is 1, arrays and objects go through String(). null is false too. */
bool sandbox_date_of(const json_t *v, int64_t *ms_out);
/* "2026-11-09T00:00:00.000Z"; years outside 0..9999 get a sign and six digits. */
void sandbox_date_format(int64_t ms, char out[SANDBOX_DATE_SIZE]);
json_t *sandbox_date_json(int64_t ms);
/* Go.Data's test for "looks like an ISO date" (YYYY-MM-DD, optional time, milliseconds and zone): such strings become dates. */
bool sandbox_date_looks(struct span s);
#endif
