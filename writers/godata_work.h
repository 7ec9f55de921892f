/*
 * godata_work - what couriers do: one function per kind of task. Each reads only the task (with its const options and armed copy) and
 * always leaves a verdict. Thread: the courier that holds the task.
 */
#ifndef LABRELAY_GODATA_WORK_H
#define LABRELAY_GODATA_WORK_H
#include "godata_reply.h"
#include "godata_session.h"

void godata_chore_perform(struct task *t, struct http_client *http);
void godata_link_perform(struct task *t, struct http_client *http);     /* TASK_ASK */
void godata_find_perform(struct task *t, struct http_client *http);
void godata_create_perform(struct task *t, struct http_client *http);
void godata_update_perform(struct task *t, struct http_client *http);
void godata_remove_perform(struct task *t, struct http_client *http);
void godata_readback_perform(struct task *t, struct http_client *http);
void godata_case_create_perform(struct task *t, struct http_client *http);
void godata_case_update_perform(struct task *t, struct http_client *http);

/* "/outbreaks/O/cases/P/lab-results[/R]" for "case", "/outbreaks/O/contacts/…" for "contact". */
void godata_path_labs(struct buf *b, const struct task *t, const char *person_type, const char *remote_id);

/* ---- the decision of STEP_FIND, pure ---- */
struct godata_found {
    enum verdict verdict;               /* VERDICT_DELIVERED: exactly one */
    const char *reason;                 /* static word */
    const char *id, *type;              /* borrowed from `cases` / `contacts`; type static */
};
/*
 * who: as godata_build() wrote it. cases, contacts, others (contacts of contacts): arrays as Go.Data answered. samples: results with
 * our sample id from lab-results/aggregate. Any may be NULL. today: "2026-05-04", when the sample has no day. evidence: JSON is appended.
 */
void godata_find_decide(const struct godata_options *o, const json_t *who, const json_t *cases, const json_t *contacts, const json_t *others,
                        const json_t *samples, bool has_contact_results, const char *today, struct godata_found *out, struct buf *evidence);
#endif
