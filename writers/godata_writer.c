/*
 * NAME godata_writer - the ops of the writer `godata`: which function does what, and which step goes to which file.
 * DIAGNOSTICS those of godata_match.c, godata_lab.c and godata_chore.c.
 */
#include "godata_writer.h"

#include <stdio.h>
#include <string.h>

#include "godata_build.h"
#include "godata_case.h"
#include "godata_live.h"
#include "godata_whose.h"
#include "godata_work.h"

/* A code that Go.Data does not have is told before anything is looked for or written. */
static bool is_unwritable(struct task *t)
{
    const struct godata_armed *armed = t->armed;
    char detail[240];
    if (!armed->unwritable)
        return false;
    const char *why = strcmp(armed->unwritable, "REFDATA_MISSING") == 0 ? "not an active entry of Go.Data's reference data"
                    : strcmp(armed->unwritable, "QUESTION_MISSING") == 0 ? "no question of the outbreak's lab result form" : "the question takes a number only";
    (void)snprintf(detail, sizeof detail, "%s: %s", why, armed->missing);
    godata_finish(t, VERDICT_REJECTED, armed->unwritable, detail);
    return true;
}

static void perform(struct task *t, struct http_client *http)
{
    const struct godata_armed *armed = t->armed;
    if (t->kind == TASK_CHORE) {
        godata_chore_perform(t, http);
        return;
    }
    if (!armed->token || !armed->outbreak_id) {         /* armed while the token was being renewed: nothing was sent */
        godata_finish(t, VERDICT_UNAUTHORIZED, "TOKEN", NULL);
        return;
    }
    if (t->kind == TASK_ASK) {
        godata_link_perform(t, http);
        return;
    }
    if (is_unwritable(t))
        return;
    if (t->step == STEP_UPDATE && t->flags & DELIVERY_IS_PERSON) {
        godata_case_update_perform(t, http);
        return;
    }
    switch (t->step) {
    case STEP_FIND: godata_find_perform(t, http); return;
    case STEP_CREATE: godata_create_perform(t, http); return;
    case STEP_UPDATE: godata_update_perform(t, http); return;
    case STEP_REMOVE: godata_remove_perform(t, http); return;
    case STEP_READBACK: godata_readback_perform(t, http); return;
    case STEP_PERSON: godata_case_create_perform(t, http); return;
    }
}

static struct task *chore(struct writer *w, int64_t now_us, int64_t *next_us)
{
    godata_doubt_look(w, godata_session_store(w), now_us);
    return godata_next_chore(w, now_us, next_us);
}

static void settle(struct writer *w, struct task *t, int64_t now_us)
{
    godata_settle(w, t, now_us);
    if (t->kind == TASK_STEP)
        godata_whose_written(w, t);
}

const struct writer_ops godata_writer = {
    .name = "godata",
    .options = {.rows = godata_option_rows, .n = GODATA_OPTION_ROWS, .size = sizeof(struct godata_options), .check = godata_options_check},
    .open = godata_open,
    .build = godata_build,
    .build_person = godata_case_build,
    .check_person = godata_options_check_person,
    .chore = chore,
    .status = godata_status,
    .arm = godata_arm,
    .perform = perform,
    .settle = settle,
    .disarm = godata_disarm,
    .can_write = godata_can_write,
    .resume = godata_resume,
    .held_alarm_us = godata_held_alarm_us,
    .match = godata_whose_match,
    .match_reasons = godata_whose_reasons,
    .changes = godata_whose_changes,
    .must_look = godata_whose_must_look,
    .mirror = godata_session_mirror_run,
    .needs = godata_needs,
    .tell = godata_tell,
    .ask = godata_ask,
    .identity = godata_identity,
    .close = godata_close,
};
