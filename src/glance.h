/*
 * glance - all that `status`, its metrics and `bundle` tell: one JSON tree of figures, names from the configuration and ids.
 * Holds no patient data: see the test tests/e2e/canary.py. Thread: the verb's.
 */
#ifndef LABRELAY_GLANCE_H
#define LABRELAY_GLANCE_H
#include <jansson.h>

#include "conf.h"
#include "store.h"

/* live: the engine's answer to {"do":"status"}, or NULL when none runs. r NULL: there is no store yet. NULL on error. */
json_t *glance_load(const struct config *conf, struct store_reader *r, const char *live, struct err *e);
/* What is not as it should be: not accepting, something paused, an alarm up. */
bool glance_is_trouble(const json_t *glance);
void glance_text(const json_t *glance, struct buf *b);          /* at most 100 columns */
void glance_metrics(const json_t *glance, struct buf *b);       /* Prometheus text exposition format 0.0.4 */
/* "12s", "5m", "3h", "4d" between two times; "-" when us is 0. */
void glance_age(int64_t us, int64_t now_us, char *out, size_t n);
#endif
