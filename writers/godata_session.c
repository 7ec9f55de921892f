/*
 * NAME godata_session - one account, one token, one outbreak: the state machine behind the couriers.
 *
 * Order of chores: log in, find the outbreak, look at the account's active outbreak (claim it when allowed), read the reference data; then the
 * writer is ready. Outbreak and reference data are read again every 5 and 10 minutes. Pages of the mirror (godata_mirror_poll.c) come behind all of
 * these; one that fails never pauses the writer, unless nobody answers.
 *
 * LOCK-OUT  Go.Data blocks an account for 30 minutes after 10 wrong passwords. A try is written down (writer_memory) before it is sent and
 * struck out when it turned out harmless; at most 3 stand in any 31 minutes, restarts included. A refusal stops the writer until resume().
 * PAUSES  one reason at a time. `until` 0 and is_stopped: until an operator acts; else chores go on when it is over. UNREACHABLE is left by
 * one probe (which is no login), 5 s doubled up to 5 min.
 * DIAGNOSTICS log lines: "permission missing", "double result in go.data", "account shared"; reasons in status: LOGIN_FAILED LOGIN_LIMIT
 * LOGIN_BLOCKED TWO_FACTOR UNREACHABLE NOT_GODATA OUTBREAK_UNKNOWN OUTBREAK_AMBIGUOUS WRONG_OUTBREAK MISSING_PERMISSION ACCOUNT_SHARED HTTP_nnn.
 */
#include "godata_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godata_answers.h"
#include "godata_fresh.h"
#include "godata_mirror.h"
#include "godata_permit.h"
#include "godata_reply.h"
#include "godata_writer.h"
#include "log.h"
#include "secret.h"
#include "xmem.h"

#define SECOND_US INT64_C(1000000)
#define LOGIN_WINDOW_US (31 * 60 * SECOND_US)
#define LOGIN_TRIES 3
#define TOKEN_MARGIN_US (60 * SECOND_US)
#define OUTBREAK_EVERY_US (300 * SECOND_US)
#define REFDATA_EVERY_US (600 * SECOND_US)
#define ACCOUNT_EVERY_US (1800 * SECOND_US)
#define RECHECK_US (60 * SECOND_US)
#define POSTPONE_US (30 * SECOND_US)
#define BACKOFF_FIRST_US (5 * SECOND_US)
#define BACKOFF_MAX_US (300 * SECOND_US)
#define NO_ANSWERS_MAX 3                    /* in a row: the server hangs */
#define SHARED_LOGINS 6                     /* within SHARED_US: somebody else uses the account */
#define SHARED_US (120 * SECOND_US)
#define ALARM_EVERY_US (300 * SECOND_US)

struct writer {
    char *name;
    const struct godata_options *o;
    struct writer_memory mem;
    bool is_busy;                           /* a chore is under way */

    char *token, *user_id;
    uint64_t generation;
    int64_t ttl_us, token_used_us, logins_us[SHARED_LOGINS];
    bool is_proven;                         /* this password was right since we started */
    int try_slot;

    char *outbreak_id, *case_mask, *contact_mask, *coc_mask;
    bool is_contact_results_active, is_account_good, must_claim;
    json_t *codes, *questions;
    int64_t outbreak_due_us, refdata_due_us, account_due_us;
    unsigned needs;                         /* enum writer_need: what the routes ask of the account */
    json_t *permissions;                    /* NULL: not known */
    char missing[400];                      /* of them, by name */

    struct godata_mirror *mirror;
    struct godata_fresh *fresh;             /* beside it */
    int64_t ready_us;                       /* first time that nothing was missing */

    const char *reason;                     /* static word; NULL: no pause */
    char reason_room[32], detail[200];
    int64_t until_us, backoff_us, alarmed_us;
    bool is_stopped, is_away, is_put_off;   /* away: a probe comes first; put off: a chore was refused, the next success ends it */
    unsigned no_answers;
};

/* ---- pauses ---- */

/* The engine logs the first reason of a pause; another one behind it is logged here. */
static void pause_writer(struct writer *w, const char *reason, const char *detail, int64_t until_us)
{
    if (w->reason && reason && strcmp(w->reason, reason) != 0)
        log_event(LOG_ERROR, "writer paused", log_word("writer", w->name), log_word("reason", reason), log_text("detail", detail ? detail : ""));
    (void)snprintf(w->reason_room, sizeof w->reason_room, "%s", reason && reason[0] ? reason : "UNREACHABLE");
    (void)snprintf(w->detail, sizeof w->detail, "%s", detail ? detail : "");
    w->reason = w->reason_room;
    w->until_us = until_us;
    w->is_stopped = until_us == 0;
    w->is_away = w->is_put_off = false;
}

static void end_pause(struct writer *w)
{
    w->reason = NULL;
    w->detail[0] = '\0';
    w->until_us = 0;
    w->is_stopped = w->is_away = w->is_put_off = false;
}

static bool is_reason(const struct writer *w, const char *reason)
{
    return w->reason && strcmp(w->reason, reason) == 0;
}

static void pause_away(struct writer *w, const struct task *t, int64_t now_us)
{
    if (w->is_stopped || (w->reason && now_us < w->until_us && t->kind == TASK_STEP))
        return;                             /* one of many that failed together */
    w->backoff_us = w->backoff_us ? w->backoff_us * 2 : BACKOFF_FIRST_US;
    if (w->backoff_us > BACKOFF_MAX_US)
        w->backoff_us = BACKOFF_MAX_US;
    int64_t wait_us = t->retry_after_us > w->backoff_us ? t->retry_after_us : w->backoff_us;
    pause_writer(w, t->reason, t->detail, now_us + wait_us);
    w->is_away = true;
}

static void drop_token(struct writer *w)
{
    secret_free(w->token);
    w->token = NULL;
}

/* ---- login tries, durable ---- */

static const char *slot_name(int i)
{
    static const char *const names[LOGIN_TRIES] = {"login_try_1", "login_try_2", "login_try_3"};
    return names[i];
}

static int64_t memory_get(const struct writer *w, const char *key)
{
    return w->mem.get ? w->mem.get(w->mem.ctx, w->name, key, 0) : 0;
}

static void memory_put(const struct writer *w, const char *key, int64_t v)
{
    if (w->mem.put)
        w->mem.put(w->mem.ctx, w->name, key, v);
}

/* Writes one try down; false (and a pause) when that would be the fourth in 31 minutes. */
static bool take_try(struct writer *w, int64_t now_us)
{
    int64_t blocked_us = memory_get(w, "login_blocked_until"), oldest_us = INT64_MAX;
    if (blocked_us > now_us + LOGIN_WINDOW_US) {        /* the clock was set back */
        blocked_us = now_us + LOGIN_WINDOW_US;
        memory_put(w, "login_blocked_until", blocked_us);
    }
    if (blocked_us > now_us) {
        pause_writer(w, "LOGIN_BLOCKED", "Go.Data blocked the account's logins for a while", blocked_us);
        return false;
    }
    w->try_slot = 0;
    for (int i = 0; i < LOGIN_TRIES; i++) {
        int64_t us = memory_get(w, slot_name(i));
        if (us > now_us) {
            us = now_us;
            memory_put(w, slot_name(i), us);
        }
        if (us < oldest_us) {
            oldest_us = us;
            w->try_slot = i;
        }
    }
    if (oldest_us > 0 && now_us - oldest_us < LOGIN_WINDOW_US) {
        pause_writer(w, "LOGIN_LIMIT", "3 logins without success in 31 minutes: no more, the account would be locked", oldest_us + LOGIN_WINDOW_US);
        return false;
    }
    memory_put(w, slot_name(w->try_slot), now_us);
    return true;
}

static void forget_try(struct writer *w)
{
    memory_put(w, slot_name(w->try_slot), 0);
}

static void forget_all_tries(struct writer *w)
{
    for (int i = 0; i < LOGIN_TRIES; i++)
        if (memory_get(w, slot_name(i)) != 0)
            memory_put(w, slot_name(i), 0);
    if (memory_get(w, "login_blocked_until") != 0)
        memory_put(w, "login_blocked_until", 0);
}

/* ---- what is next ---- */

static struct task *chore_new(struct writer *w, enum godata_chore c)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->kind = TASK_CHORE;
    t->writer = w->name;
    t->w = w;
    t->ops = &godata_writer;
    t->options = w->o;
    t->chore = (int)c;
    godata_arm(w, t);
    w->is_busy = true;
    return t;
}

static bool is_complete(const struct writer *w)
{
    return w->token && w->outbreak_id && w->is_account_good && w->codes;
}

struct task *godata_next_chore(struct writer *w, int64_t now_us, int64_t *next_us)
{
    *next_us = 0;
    if (w->is_busy || w->is_stopped)
        return NULL;
    if (w->until_us > now_us + LOGIN_WINDOW_US)
        w->until_us = now_us + LOGIN_WINDOW_US;     /* the clock was set back: no pause is longer */
    if (w->reason && now_us < w->until_us) {
        *next_us = w->until_us;
        return NULL;
    }
    if (w->token && now_us - w->token_used_us > w->ttl_us - TOKEN_MARGIN_US)
        drop_token(w);                      /* nothing used it for long: it is gone or about to be */
    if (w->is_away)
        return chore_new(w, CHORE_PROBE);
    if (!w->token) {
        if (take_try(w, now_us))
            return chore_new(w, CHORE_LOGIN);
        *next_us = w->until_us;
        return NULL;
    }
    if (!w->outbreak_id || now_us >= w->outbreak_due_us)
        return chore_new(w, CHORE_OUTBREAK);
    if (!w->is_account_good)
        return chore_new(w, w->must_claim ? CHORE_CLAIM : CHORE_ACCOUNT);
    if (!w->codes || now_us >= w->refdata_due_us)
        return chore_new(w, CHORE_REFDATA);
    if (now_us >= w->account_due_us)
        return chore_new(w, CHORE_ACCOUNT);
    if (!w->ready_us)
        w->ready_us = now_us;
    if (w->reason)
        end_pause(w);                       /* its time is over and nothing is missing */
    struct godata_page page;
    int64_t page_us;
    if (godata_mirror_next_page(w->mirror, now_us, &page, &page_us)) {
        struct task *t = chore_new(w, CHORE_PAGE);
        ((struct godata_armed *)t->armed)->page = page;
        return t;
    }
    *next_us = w->outbreak_due_us < w->refdata_due_us ? w->outbreak_due_us : w->refdata_due_us;
    if (page_us && page_us < *next_us)
        *next_us = page_us;
    if (w->account_due_us < *next_us)
        *next_us = w->account_due_us;
    return NULL;
}

void godata_status(const struct writer *w, struct writer_status *out)
{
    *out = (struct writer_status){.mode = WRITER_STARTING, .missing = w->missing};
    if (w->reason) {
        out->mode = WRITER_PAUSED;
        out->reason = w->reason;
        out->until_us = w->until_us;
        (void)snprintf(out->detail, sizeof out->detail, "%s", w->detail);
    } else if (is_complete(w)) {
        out->mode = WRITER_READY;
    }
}

/* ---- tasks out ---- */

static char *dup_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

/* Are all reference codes that stand anywhere in the body known and active, with nothing in it that needs a closer look? */
static bool has_known_codes_only(const struct writer *w, const char *body)
{
    static const char start[] = "\"" GODATA_PREFIX;
    if (!body || strstr(body, "\"questionnaireAnswers\"") || strstr(body, "\"sequence\""))
        return false;
    for (const char *p = strstr(body, start); p; p = strstr(p, start)) {
        size_t n = strcspn(++p, "\"\\");
        if (p[n] != '"' || !json_is_true(json_object_getn(w->codes, p, n)))
            return false;
        p += n;
    }
    return true;
}

/* Is the code that a field of the body names known and active? Fields that an update leaves as they are do not count. */
static void check_codes(const struct writer *w, const char *body_text, const char *last_text, struct godata_armed *a)
{
    if (has_known_codes_only(w, body_text))
        return;
    json_t *body = json_loads(body_text ? body_text : "{}", 0, NULL), *last = last_text ? json_loads(last_text, 0, NULL) : NULL;
    for (size_t i = 0; i < lab_fields_n && !a->unwritable; i++) {
        const char *code = json_string_value(json_object_get(body, lab_fields[i].godata));
        const char *old = json_string_value(json_object_get(last, lab_fields[i].godata));
        if (!lab_fields[i].prefix || !code || (old && strcmp(old, code) == 0) || json_is_true(json_object_get(w->codes, code)))
            continue;
        size_t skip = strncmp(code, GODATA_PREFIX, sizeof GODATA_PREFIX - 1) == 0 ? sizeof GODATA_PREFIX - 1 : 0;
        a->unwritable = "REFDATA_MISSING";
        (void)snprintf(a->missing, sizeof a->missing, "%s %.60s", lab_fields[i].godata, code + skip);
    }
    if (!a->unwritable)
        a->unwritable = godata_answers_check(body, last, w->codes, w->questions, w->o->attachments.variable, a->missing, sizeof a->missing);
    json_decref(body);
    json_decref(last);
}

static void miss_code(struct godata_armed *a, const char *field, const char *code)
{
    size_t skip = strncmp(code, GODATA_PREFIX, sizeof GODATA_PREFIX - 1) == 0 ? sizeof GODATA_PREFIX - 1 : 0;
    a->unwritable = "REFDATA_MISSING";
    (void)snprintf(a->missing, sizeof a->missing, "%s %.60s", field, code + skip);
}

/* The same for a case or contact: body of the delivery, or what its result brings along for a new person. */
static void check_person_codes(const struct writer *w, const struct task *t, struct godata_armed *a)
{
    bool is_own = t->flags & DELIVERY_IS_PERSON;
    json_t *text = json_loads(is_own ? t->body : t->who, 0, NULL);
    const json_t *body = is_own ? text : json_object_get(json_object_get(text, "new"), "body"), *d;
    size_t i;
    for (size_t k = 0; k < person_fields_n && !a->unwritable; k++) {
        const char *code = json_string_value(json_object_get(body, person_fields[k].godata));
        if (person_fields[k].prefix && code && !json_is_true(json_object_get(w->codes, code)))
            miss_code(a, person_fields[k].godata, code);
    }
    json_array_foreach((json_t *)(uintptr_t)json_object_get(body, "documents"), i, d) {
        const char *code = json_string_value(json_object_get(d, "type"));
        if (code && !a->unwritable && !json_is_true(json_object_get(w->codes, code)))
            miss_code(a, "documents.type", code);
    }
    json_decref(text);
}

void godata_arm(struct writer *w, struct task *t)
{
    struct godata_armed *a = xcalloc(1, sizeof *a);
    a->token = dup_or_null(w->token);
    a->user_id = dup_or_null(w->user_id);
    a->outbreak_id = dup_or_null(w->outbreak_id);
    a->case_mask = dup_or_null(w->case_mask);
    a->contact_mask = dup_or_null(w->contact_mask);
    a->generation = w->generation;
    a->has_contact_results = w->is_contact_results_active || w->o->contact_results;
    bool is_of_person = t->step == STEP_PERSON || t->flags & DELIVERY_IS_PERSON;
    if (t->kind == TASK_STEP && is_of_person && t->step != STEP_FIND && w->codes)
        check_person_codes(w, t, a);
    else if (t->kind == TASK_STEP && t->step != STEP_REMOVE && t->step != STEP_READBACK && w->codes)
        check_codes(w, t->body, t->step == STEP_UPDATE ? t->last_body : NULL, a);
    t->armed = a;
}

bool godata_can_write(struct writer *w, const struct delivery *d)
{
    struct godata_armed a = {.token = NULL};
    if (!w->codes)
        return false;
    check_codes(w, d->body, NULL, &a);
    return !a.unwritable;
}

void godata_disarm(struct task *t)
{
    struct godata_armed *a = t->armed;
    struct godata_news *n = t->answer;
    if (a) {
        secret_free(a->token);
        free(a->user_id);
        free(a->outbreak_id);
        free(a->case_mask);
        free(a->contact_mask);
        godata_page_clear(&a->page);
        free(a);
    }
    if (n) {
        secret_free(n->token);
        free(n->user_id);
        free(n->outbreak_id);
        free(n->case_mask);
        free(n->contact_mask);
        free(n->coc_mask);
        free(n->active_outbreak_id);
        json_decref(n->codes);
        json_decref(n->questions);
        json_decref(n->rows);
        json_decref(n->permissions);
        json_decref(n->person);
        free(n);
    }
    t->armed = NULL;
    t->answer = NULL;
}

/* ---- tasks back ---- */

static void note_login(struct writer *w, int64_t now_us)
{
    memmove(w->logins_us, w->logins_us + 1, sizeof w->logins_us - sizeof w->logins_us[0]);
    w->logins_us[SHARED_LOGINS - 1] = now_us;
    if (w->logins_us[0] > 0 && now_us - w->logins_us[0] < SHARED_US) {
        memset(w->logins_us, 0, sizeof w->logins_us);
        log_event(LOG_ERROR, "account shared", log_word("writer", w->name), log_int("logins", SHARED_LOGINS));
        pause_writer(w, "ACCOUNT_SHARED", "the token is taken away again and again: another program logs in with this account", now_us + RECHECK_US);
    }
}

static void settle_login(struct writer *w, struct task *t, int64_t now_us)
{
    struct godata_news *n = t->answer;
    switch (n ? n->login : LOGIN_NO_ANSWER) {
    case LOGIN_OK:
        forget_all_tries(w);
        w->is_proven = true;
        drop_token(w);
        free(w->user_id);
        w->token = n->token;
        w->user_id = n->user_id;
        n->token = n->user_id = NULL;
        godata_mirror_set_user(w->mirror, w->user_id);
        w->ttl_us = n->ttl_us;
        w->token_used_us = now_us;
        w->generation++;
        w->backoff_us = 0;
        if (w->is_away || is_reason(w, "LOGIN_LIMIT") || is_reason(w, "LOGIN_BLOCKED") || is_reason(w, "ACCOUNT_SHARED"))
            end_pause(w);
        note_login(w, now_us);
        return;
    case LOGIN_REFUSED:
        w->is_proven = false;
        pause_writer(w, t->reason, t->detail, 0);
        return;
    case LOGIN_TWO_FACTOR:
        forget_try(w);                      /* the password was right */
        pause_writer(w, t->reason, t->detail, 0);
        return;
    case LOGIN_BLOCKED:
        memory_put(w, "login_blocked_until", now_us + LOGIN_WINDOW_US);
        pause_writer(w, t->reason, t->detail, now_us + LOGIN_WINDOW_US);
        return;
    case LOGIN_NOT_SENT:
        forget_try(w);
        pause_away(w, t, now_us);
        return;
    case LOGIN_NO_ANSWER:
        if (w->is_proven)                   /* whatever became of it, it was no wrong password */
            forget_try(w);
        pause_away(w, t, now_us);
        return;
    }
}

static void take_text(char **to, char **from)
{
    free(*to);
    *to = *from;
    *from = NULL;
}

static void settle_outbreak(struct writer *w, struct godata_news *n, int64_t now_us)
{
    struct err e = ERR_INIT;
    w->outbreak_due_us = now_us + OUTBREAK_EVERY_US;
    if (!n->outbreak_id) {
        free(w->outbreak_id);
        w->outbreak_id = NULL;
        pause_writer(w, n->is_ambiguous ? "OUTBREAK_AMBIGUOUS" : "OUTBREAK_UNKNOWN",
                     n->is_ambiguous ? "several outbreaks have this name: configure the id" : "no outbreak that the account may see has this name or id", now_us + RECHECK_US);
        return;
    }
    if (!w->outbreak_id || strcmp(w->outbreak_id, n->outbreak_id) != 0) {
        free(w->outbreak_id);
        w->outbreak_id = xstrdup(n->outbreak_id);
        w->is_account_good = false;
    }
    json_decref(w->questions);
    w->questions = n->questions;
    n->questions = NULL;
    w->is_contact_results_active = n->is_contact_results_active;
    take_text(&w->case_mask, &n->case_mask);
    take_text(&w->contact_mask, &n->contact_mask);
    take_text(&w->coc_mask, &n->coc_mask);
    godata_mirror_show_contacts(w->mirror, w->is_contact_results_active);
    if (godata_mirror_set_outbreak(w->mirror, span_of(w->outbreak_id), span_of(w->case_mask), span_of(w->contact_mask), span_of(w->coc_mask), &e) != 0) {
        log_err(LOG_ERROR, "cannot open the mirror", &e);
        w->outbreak_due_us = now_us + POSTPONE_US;
    }
    if (is_reason(w, "OUTBREAK_UNKNOWN") || is_reason(w, "OUTBREAK_AMBIGUOUS"))
        end_pause(w);
}

/* Said once for each set of them. The writer works as far as it can: what it may not do is refused by Go.Data and held. */
static void note_missing(struct writer *w)
{
    char was[sizeof w->missing];
    size_t i, n = 0;
    json_t *list = w->permissions ? godata_permit_missing(w->o, w->needs, w->permissions) : json_array(), *v;
    memcpy(was, w->missing, sizeof was);
    w->missing[0] = '\0';
    json_array_foreach(list, i, v) {
        const char *id = json_string_value(v);
        int put = snprintf(w->missing + n, sizeof w->missing - n, "%s%s", n ? " " : "", id);
        if (put < 0 || (size_t)put >= sizeof w->missing - n) {
            w->missing[n] = '\0';           /* whole names only */
            break;
        }
        n += (size_t)put;
    }
    if (w->missing[0] && strcmp(was, w->missing) != 0)
        log_event(LOG_ERROR, "permission missing", log_word("writer", w->name), log_int("missing", (int64_t)json_array_size(list)), log_text("permissions", w->missing));
    json_decref(list);
}

void godata_needs(struct writer *w, unsigned needs)
{
    w->needs = needs;
    note_missing(w);
}

static void settle_account(struct writer *w, struct godata_news *n, bool was_claim, int64_t now_us)
{
    if (n->permissions) {
        json_decref(w->permissions);
        w->permissions = n->permissions;
        n->permissions = NULL;
        note_missing(w);
    }
    w->account_due_us = now_us + (w->missing[0] ? OUTBREAK_EVERY_US : ACCOUNT_EVERY_US);
    w->must_claim = false;
    w->is_account_good = w->outbreak_id && strcmp(n->active_outbreak_id, w->outbreak_id) == 0;
    if (w->is_account_good) {
        if (is_reason(w, "WRONG_OUTBREAK"))
            end_pause(w);
    } else if (w->o->claim_account && !was_claim) {
        w->must_claim = true;
        pause_writer(w, "WRONG_OUTBREAK", "the account's active outbreak is another one; claiming it", now_us);
    } else {
        pause_writer(w, "WRONG_OUTBREAK", "the account's active outbreak is another one; set it in Go.Data, or say `claim-account yes`", now_us + RECHECK_US);
    }
}

static void settle_page(struct writer *w, const struct task *t, int64_t now_us)
{
    struct godata_armed *a = t->armed;
    struct godata_news *n = t->answer;
    struct err e = ERR_INIT;
    a->page.server_us = n->date_us;
    if (godata_mirror_take_page(w->mirror, &a->page, n->rows, now_us, &e) != 0)
        log_err(LOG_ERROR, "cannot keep a page of the mirror", &e);
}

static void settle_news(struct writer *w, struct task *t, int64_t now_us)
{
    struct godata_news *n = t->answer;
    w->token_used_us = now_us;
    w->backoff_us = 0;
    w->no_answers = 0;
    if (w->is_away || w->is_put_off)
        end_pause(w);
    if (!n)
        return;
    switch ((enum godata_chore)t->chore) {
    case CHORE_LOGIN:
    case CHORE_PROBE: return;
    case CHORE_OUTBREAK: settle_outbreak(w, n, now_us); return;
    case CHORE_ACCOUNT:
    case CHORE_CLAIM: settle_account(w, n, t->chore == CHORE_CLAIM, now_us); return;
    case CHORE_REFDATA:
        json_decref(w->codes);
        w->codes = n->codes;
        n->codes = NULL;
        w->refdata_due_us = now_us + REFDATA_EVERY_US;
        return;
    case CHORE_PAGE: settle_page(w, t, now_us); return;
    }
}

/* A chore that failed: when the writer works without it, it is only put off. */
static void put_off(struct writer *w, const struct task *t, int64_t now_us)
{
    int64_t wait_us = t->retry_after_us > POSTPONE_US ? t->retry_after_us : POSTPONE_US;
    if (is_complete(w) && t->chore == CHORE_OUTBREAK)
        w->outbreak_due_us = now_us + wait_us;
    else if (is_complete(w) && t->chore == CHORE_REFDATA)
        w->refdata_due_us = now_us + wait_us;
    else if (is_complete(w) && t->chore == CHORE_ACCOUNT)
        w->account_due_us = now_us + wait_us;
    else {
        pause_writer(w, t->reason, t->detail, now_us + wait_us);
        w->is_put_off = true;
    }
    if (t->chore == CHORE_CLAIM)
        w->must_claim = false;
}

/* A page that failed: the writer goes on without it, unless nobody is there. */
static void fail_page(struct writer *w, const struct task *t, int64_t now_us)
{
    const struct godata_armed *a = t->armed;
    bool is_permission = t->reason && strcmp(t->reason, "MISSING_PERMISSION") == 0;
    int status = t->http_status == 401 && t->verdict != VERDICT_UNAUTHORIZED ? 403 : t->http_status;    /* a route that is nobody's, with a good token */
    godata_mirror_page_failed(w->mirror, &a->page, status, is_permission ? t->detail : t->reason, now_us);
    switch (t->verdict) {
    case VERDICT_UNAUTHORIZED:
        if (a->generation == w->generation)
            drop_token(w);
        return;
    case VERDICT_UNREACHABLE: pause_away(w, t, now_us); return;
    case VERDICT_RETRY_LATER:
    case VERDICT_UNKNOWN:
        if (t->http_status == 0 && ++w->no_answers >= NO_ANSWERS_MAX)
            pause_away(w, t, now_us);
        return;
    case VERDICT_DELIVERED:
    case VERDICT_REJECTED: return;
    }
}

static void settle_chore(struct writer *w, struct task *t, int64_t now_us)
{
    const struct godata_armed *a = t->armed;
    w->is_busy = false;
    if (t->reason && strcmp(t->reason, "STOPPING") == 0) {
        if (t->chore == CHORE_LOGIN)
            forget_try(w);
        if (t->chore == CHORE_PAGE)
            godata_mirror_page_failed(w->mirror, &a->page, 401, "STOPPING", now_us);
        return;
    }
    if (t->chore == CHORE_PAGE && t->verdict != VERDICT_DELIVERED) {
        fail_page(w, t, now_us);
        return;
    }
    if (t->chore == CHORE_LOGIN) {
        settle_login(w, t, now_us);
        return;
    }
    switch (t->verdict) {
    case VERDICT_DELIVERED: settle_news(w, t, now_us); return;
    case VERDICT_UNAUTHORIZED:
        if (a && a->generation == w->generation)
            drop_token(w);
        if (w->is_away)
            end_pause(w);                   /* it answers */
        return;
    case VERDICT_UNREACHABLE: pause_away(w, t, now_us); return;
    case VERDICT_RETRY_LATER:
    case VERDICT_UNKNOWN:
        if (t->chore == CHORE_PROBE || t->http_status == 0)
            pause_away(w, t, now_us);
        else
            put_off(w, t, now_us);
        return;
    case VERDICT_REJECTED: put_off(w, t, now_us); return;
    }
}

static void alarm_log(struct writer *w, const struct task *t, const char *event, int64_t now_us)
{
    if (now_us - w->alarmed_us < ALARM_EVERY_US && now_us >= w->alarmed_us)
        return;
    w->alarmed_us = now_us;
    log_event(LOG_ERROR, event, log_word("writer", w->name), log_id("delivery", 'd', t->delivery_id), log_text("detail", t->detail ? t->detail : ""));
}

/* One that was just created is known before the next poll: the other results of the person find it without a request. */
static void learn_person(struct writer *w, const struct task *t)
{
    const struct godata_news *n = t->answer;
    struct err e = ERR_INIT;
    if (n && n->person && t->found_type && godata_mirror_is_loaded(w->mirror) && godata_mirror_put_person(w->mirror, n->person, t->found_type, &e) != 0)
        log_err(LOG_ERROR, "cannot keep a person of the mirror", &e);
}

static void settle_step(struct writer *w, struct task *t, int64_t now_us)
{
    const struct godata_armed *a = t->armed;
    const char *reason = t->reason ? t->reason : "";
    if (strcmp(reason, "STOPPING") == 0)
        return;
    if (t->http_status > 0) {
        w->no_answers = 0;
        if (a && a->generation == w->generation)
            w->token_used_us = now_us;
    }
    switch (t->verdict) {
    case VERDICT_UNAUTHORIZED:
        if (a && a->generation == w->generation)
            drop_token(w);
        return;
    case VERDICT_UNREACHABLE: pause_away(w, t, now_us); return;
    case VERDICT_RETRY_LATER:
    case VERDICT_UNKNOWN:
        if (strcmp(reason, "WRONG_OUTBREAK") == 0)
            w->is_account_good = false;
        else if (strcmp(reason, "MISSING_PERMISSION") == 0)
            alarm_log(w, t, "permission missing", now_us);
        else if (strcmp(reason, "NO_ANSWER") == 0 && ++w->no_answers >= NO_ANSWERS_MAX)
            pause_away(w, t, now_us);
        return;
    case VERDICT_DELIVERED:
        w->backoff_us = 0;
        if (t->step == STEP_PERSON)
            learn_person(w, t);
        if (strcmp(reason, "DUPLICATE_K") == 0) {
            w->alarmed_us = 0;
            alarm_log(w, t, "double result in go.data", now_us);
        }
        return;
    case VERDICT_REJECTED: return;
    }
}

void godata_settle(struct writer *w, struct task *t, int64_t now_us)
{
    switch (t->kind) {
    case TASK_CHORE: settle_chore(w, t, now_us); return;
    case TASK_ASK:
    case TASK_STEP: settle_step(w, t, now_us); return;
    }
}

/* ---- life ---- */

int godata_open(struct writer **out, const char *name, const void *options, const struct writer_memory *mem, struct err *e)
{
    (void)e;
    struct writer *w = xcalloc(1, sizeof *w);
    w->name = xstrdup(name);
    w->o = options;
    if (mem)
        w->mem = *mem;
    w->fresh = godata_fresh_new();
    w->mirror = godata_mirror_open(w->mem.store, w->name, w->o);
    *out = w;
    return 0;
}

void godata_resume(struct writer *w)
{
    end_pause(w);
    w->backoff_us = 0;
    w->no_answers = 0;
    memory_put(w, "login_blocked_until", 0);
}

void godata_close(struct writer *w)
{
    if (!w)
        return;
    drop_token(w);
    free(w->user_id);
    free(w->outbreak_id);
    free(w->case_mask);
    free(w->contact_mask);
    free(w->coc_mask);
    json_decref(w->codes);
    json_decref(w->permissions);
    godata_mirror_close(w->mirror);
    godata_fresh_free(w->fresh);
    json_decref(w->questions);
    free(w->name);
    free(w);
}

int godata_session_mirror_run(struct writer *w, enum writer_mirror what, int64_t now_us, struct buf *out, struct err *e)
{
    switch (what) {
    case WRITER_MIRROR_TELL: godata_mirror_report(w->mirror, out); return 0;
    case WRITER_MIRROR_REFRESH: godata_mirror_want(w->mirror, now_us); return 0;
    case WRITER_MIRROR_RELOAD: return godata_mirror_reload(w->mirror, e);
    }
    return 0;
}

/* ---- for the other files of the writer ---- */

struct godata_mirror *godata_session_mirror(struct writer *w) { return w->mirror; }
struct store *godata_session_store(struct writer *w) { return w->mem.store; }
const char *godata_session_name(const struct writer *w) { return w->name; }
struct godata_fresh *godata_session_fresh(struct writer *w) { return w->fresh; }
const struct godata_options *godata_session_options(const struct writer *w) { return w->o; }
int64_t godata_session_ready_us(const struct writer *w) { return w->ready_us; }
bool godata_session_shows_contacts(const struct writer *w) { return w->is_contact_results_active || w->o->contact_results; }
bool godata_session_mirrors_contacts(const struct writer *w) { return w->is_contact_results_active; }
json_t *godata_session_questions(const struct writer *w) { return w->questions; }
json_t *godata_session_codes(const struct writer *w) { return w->codes; }
const json_t *godata_session_permissions(const struct writer *w) { return w->permissions; }
const char *godata_session_outbreak(const struct writer *w) { return w->outbreak_id; }
bool godata_session_is_active(const struct writer *w) { return w->is_account_good; }
