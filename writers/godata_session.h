/*
 * godata_session - the writer's state on the engine thread: login, outbreak, active outbreak, reference data, pauses.
 *
 * Everything here but godata_chore_perform() runs on the engine thread. A courier sees only struct godata_armed (a copy, never the
 * writer) and leaves struct godata_news behind.
 */
#ifndef LABRELAY_GODATA_SESSION_H
#define LABRELAY_GODATA_SESSION_H
#include <jansson.h>

#include "godata_mirror.h"
#include "godata_options.h"

struct godata_armed {                   /* what a task needs to know; owned by the task */
    char *token, *user_id, *outbreak_id;
    uint64_t generation;                /* which login the token is of */
    char *case_mask, *contact_mask;     /* of the outbreak; NULL when it has none */
    bool has_contact_results;           /* the outbreak shows contacts' results, or the config allows them anyway */
    const char *unwritable;             /* why `body` cannot be written as it is: REFDATA_MISSING, QUESTION_MISSING, ANSWER_NOT_NUMERIC; or NULL */
    char missing[128];                  /* "labName LAB_NAME_LAB_GOMA" */
    struct godata_page page;            /* CHORE_PAGE */
};

enum godata_chore { CHORE_LOGIN = 1, CHORE_PROBE, CHORE_OUTBREAK, CHORE_ACCOUNT, CHORE_CLAIM, CHORE_REFDATA, CHORE_PAGE };

enum godata_login { LOGIN_OK, LOGIN_REFUSED, LOGIN_BLOCKED, LOGIN_TWO_FACTOR, LOGIN_NOT_SENT, LOGIN_NO_ANSWER };

struct godata_news {                    /* what a chore learnt; owned by the task (task.answer) */
    enum godata_login login;
    char *token, *user_id;
    int64_t ttl_us;
    char *outbreak_id;                  /* NULL: none found */
    bool is_ambiguous, is_contact_results_active;
    char *case_mask, *contact_mask, *coc_mask;
    char *active_outbreak_id;           /* "" when the account has none */
    json_t *permissions;                /* of the account's roles, an array of ids; NULL: not known */
    json_t *codes;                      /* object: id -> active (boolean) */
    json_t *questions;                  /* object: variable -> type, of the outbreak's labResultsTemplate */
    json_t *rows;                       /* of a page */
    json_t *person;                     /* just created, as Go.Data shows it */
    int64_t date_us;                    /* the server's clock then; 0: not said */
};

int  godata_open(struct writer **out, const char *name, const void *options, const struct writer_memory *mem, struct err *e);
struct task *godata_next_chore(struct writer *w, int64_t now_us, int64_t *next_us);
void godata_status(const struct writer *w, struct writer_status *out);
void godata_arm(struct writer *w, struct task *t);
void godata_settle(struct writer *w, struct task *t, int64_t now_us);
void godata_disarm(struct task *t);
bool godata_can_write(struct writer *w, const struct delivery *d);       /* the reference data that was read last has all its codes */
void godata_resume(struct writer *w);
int  godata_session_mirror_run(struct writer *w, enum writer_mirror what, int64_t now_us, struct buf *out, struct err *e);
void godata_close(struct writer *w);

void godata_needs(struct writer *w, unsigned needs);

/* ---- for the other files of the writer; engine thread ---- */
json_t *godata_session_questions(const struct writer *w);               /* borrowed: variable -> type; NULL: not known */
json_t *godata_session_codes(const struct writer *w);                   /* borrowed; NULL: not read yet */
const json_t *godata_session_permissions(const struct writer *w);       /* borrowed; NULL: not known */
const char *godata_session_outbreak(const struct writer *w);            /* id, or NULL */
bool godata_session_is_active(const struct writer *w);                  /* it is the account's active outbreak */
struct godata_mirror *godata_session_mirror(struct writer *w);
struct store *godata_session_store(struct writer *w);           /* NULL in tests without one */
const char *godata_session_name(const struct writer *w);
struct godata_fresh *godata_session_fresh(struct writer *w);     /* what the mirror does not show yet */
const struct godata_options *godata_session_options(const struct writer *w);
int64_t godata_session_ready_us(const struct writer *w);        /* since when the session is complete; 0: not yet */
bool godata_session_shows_contacts(const struct writer *w);     /* results may be written to contacts */
bool godata_session_mirrors_contacts(const struct writer *w);   /* Go.Data's list of results shows contacts' results, too */
#endif
