/*
 * alarm - what is wrong, said once, and once when it is over. Inside the engine; thread: engine only.
 *
 * A state alarm (kind, subject) is up while its condition holds; the all-clear comes when the condition was false for `settle`. Both are rows
 * of the store (store_watch.h): a restart neither repeats an alarm nor loses an all-clear that nobody was told. An event alarm has no state:
 * events of a kind within EVENT_US are said together.
 * Kinds: silence, queue-age, writer-down, mirror-old, held-count, held-age, disk-low, store-refuses; events: withdrawn, withdrawal-held, critical, parts-missing.
 * No patient data: subjects are names of the configuration, details are words, figures and ids.
 */
#ifndef LABRELAY_ENGINE_ALARM_H
#define LABRELAY_ENGINE_ALARM_H
#include "alarm_post.h"
#include "inner.h"

struct alarms;

/* Reads the rows, starts the thread for g->conf->alarm. */
int  alarm_open(struct engine *g, struct err *e);
/* g->conf is another one: keeps the thread where the block is the same, else starts another; never waits. */
void alarm_reload(struct engine *g);
void alarm_stop(struct engine *g);      /* ends the thread: what it did and did not tell is in the inbox */
void alarm_close(struct engine *g);
/* The condition of a state alarm, at every look; detail when it is up. Idempotent. */
void alarm_set(struct engine *g, const char *kind, const char *subject, bool is_up, int64_t n, const char *detail);
/* Something happened, on a channel or at a writer, to a delivery (letter d) or message (m). */
void alarm_event(struct engine *g, const char *kind, const char *subject, char letter, int64_t id);
int  alarm_idle(struct engine *g, struct err *e);       /* looks at all conditions; puts rows into the open batch */
void alarm_send(struct engine *g, bool is_stored);      /* after a commit; or nothing can be stored now, and people must know */
void alarm_lost(struct engine *g);                      /* the batch failed: all rows are written again */
int  alarm_told(struct engine *g, struct notice *n, struct err *e);     /* a notice came back; frees it */
bool alarm_is_up(const struct engine *g, const char *kind, const char *subject);
void alarm_status(const struct engine *g, struct buf *b);
#endif
