/*
 * NAME test_godata_session - the writer's state machine alone: chores are answered by hand, time is a number. No network.
 * What matters most here: no order of answers, restarts and clock jumps makes more than 3 logins without success in 31 minutes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "godata_reply.h"
#include "godata_session.h"
#include "godata_writer.h"
#include "log.h"
#include "xmem.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)

struct fixture {
    struct godata_options o;
    int64_t values[8];
    char keys[8][40];
    size_t n;
    struct writer *w;
    int64_t now;
};

static int64_t mem_get(void *ctx, const char *writer, const char *key, int64_t def)
{
    struct fixture *f = ctx;
    assert_string_equal(writer, "godata");
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->keys[i], key) == 0)
            return f->values[i];
    return def;
}

static void mem_put(void *ctx, const char *writer, const char *key, int64_t v)
{
    struct fixture *f = ctx;
    size_t i = 0;
    (void)writer;
    while (i < f->n && strcmp(f->keys[i], key) != 0)
        i++;
    assert_true(i < 8);
    if (i == f->n)
        (void)snprintf(f->keys[f->n++], sizeof f->keys[0], "%s", key);
    f->values[i] = v;
}

static void restart(struct fixture *f)
{
    const struct writer_memory mem = {.ctx = f, .get = mem_get, .put = mem_put};
    struct err e = ERR_INIT;
    godata_writer.close(f->w);
    assert_int_equal(godata_writer.open(&f->w, "godata", &f->o, &mem, &e), 0);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->now = 1000 * 86400 * SECOND;
    restart(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    godata_writer.close(f->w);
    free(f);
    return 0;
}

static struct task *next(struct fixture *f)
{
    int64_t next_us;
    return godata_writer.chore(f->w, f->now, &next_us);
}

static struct task *expect_chore(struct fixture *f, enum godata_chore c)
{
    struct task *t = next(f);
    assert_non_null(t);
    assert_int_equal(t->chore, c);
    return t;
}

static void give(struct fixture *f, struct task *t, enum verdict v, const char *reason, int http_status)
{
    godata_finish(t, v, reason, NULL);
    t->http_status = http_status;
    godata_writer.settle(f->w, t, f->now);
    task_free(t);
}

static void give_login(struct fixture *f, struct task *t, enum godata_login l)
{
    static const struct { enum verdict v; const char *reason; } words[] = {
        [LOGIN_OK] = {VERDICT_DELIVERED, ""}, [LOGIN_REFUSED] = {VERDICT_REJECTED, "LOGIN_FAILED"}, [LOGIN_BLOCKED] = {VERDICT_REJECTED, "LOGIN_BLOCKED"},
        [LOGIN_TWO_FACTOR] = {VERDICT_REJECTED, "TWO_FACTOR"}, [LOGIN_NOT_SENT] = {VERDICT_UNREACHABLE, "UNREACHABLE"}, [LOGIN_NO_ANSWER] = {VERDICT_UNREACHABLE, "NO_ANSWER"},
    };
    struct godata_news *n = xcalloc(1, sizeof *n);
    n->login = l;
    n->token = xstrdup("tok");
    n->user_id = xstrdup("u1");
    n->ttl_us = 600 * SECOND;
    t->answer = n;
    give(f, t, words[l].v, words[l].reason, l == LOGIN_OK ? 200 : 401);
}

static struct godata_news *news(struct task *t)
{
    struct godata_news *n = xcalloc(1, sizeof *n);
    t->answer = n;
    return n;
}

static void expect_mode(struct fixture *f, enum writer_mode mode, const char *reason)
{
    struct writer_status s;
    godata_writer.status(f->w, &s);
    if (s.mode != mode || strcmp(s.reason ? s.reason : "", reason) != 0)
        fail_msg("mode %d %s, expected %d %s", (int)s.mode, s.reason ? s.reason : "", (int)mode, reason);
}

static void give_outbreak(struct fixture *f, const char *id)
{
    struct task *t = expect_chore(f, CHORE_OUTBREAK);
    news(t)->outbreak_id = id ? xstrdup(id) : NULL;
    give(f, t, VERDICT_DELIVERED, "", 200);
}

static void give_account(struct fixture *f, enum godata_chore c, const char *active)
{
    struct task *t = expect_chore(f, c);
    news(t)->active_outbreak_id = xstrdup(active);
    give(f, t, VERDICT_DELIVERED, "", 200);
}

static void make_ready(struct fixture *f)
{
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_OK);
    give_outbreak(f, "o1");
    give_account(f, CHORE_ACCOUNT, "o1");
    struct task *t = expect_chore(f, CHORE_REFDATA);
    news(t)->codes = json_object();
    give(f, t, VERDICT_DELIVERED, "", 200);
    assert_null(next(f));
    expect_mode(f, WRITER_READY, "");
}

/* A step that comes back; generation of the token it was armed with: now. */
static void give_step(struct fixture *f, enum verdict v, const char *reason, int http_status)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->kind = TASK_STEP;
    t->ops = &godata_writer;
    t->body = xstrdup("{}");
    godata_writer.arm(f->w, t);
    give(f, t, v, reason, http_status);
}

static void test_ready_and_renewal(void **state)
{
    struct fixture *f = *state;
    int accounts = 0;
    make_ready(f);
    for (int i = 0; i < 12; i++) {          /* an hour of nothing: the repeated look at the outbreak keeps the token alive */
        f->now += 5 * MINUTE;
        give_outbreak(f, "o1");
        struct task *t;
        while ((t = next(f))) {             /* reference data every 10 minutes, the account every 30 */
            assert_true(t->chore == CHORE_REFDATA || (t->chore == CHORE_ACCOUNT && i >= 5));
            accounts += t->chore == CHORE_ACCOUNT;
            news(t)->codes = json_object();
            ((struct godata_news *)t->answer)->active_outbreak_id = xstrdup("o1");
            give(f, t, VERDICT_DELIVERED, "", 200);
        }
        expect_mode(f, WRITER_READY, "");
    }
    assert_int_equal(accounts, 2);
    f->now += 9 * MINUTE + SECOND;           /* the machine slept: within a minute of the end a new login comes first */
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_OK);
}

/* Plays what an engine with an impatient operator would do for `minutes`; returns how many logins went out. */
static int logins_within(struct fixture *f, int minutes, enum godata_login l)
{
    int n = 0;
    for (int64_t end = f->now + minutes * MINUTE; f->now < end; f->now += 7 * SECOND) {
        struct task *t = next(f);
        if (t && t->chore == CHORE_LOGIN) {
            n++;
            give_login(f, t, l);
        } else if (t) {
            give(f, t, VERDICT_UNAUTHORIZED, "TOKEN", 401);     /* the probe is answered: it is there */
        }
        if (n % 2)
            restart(f);
        else
            godata_writer.resume(f->w);
    }
    return n;
}

static void test_no_order_of_failures_locks_the_account(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(logins_within(f, 31, LOGIN_REFUSED), 3);
    assert_true(logins_within(f, 310, LOGIN_REFUSED) <= 30);
    restart(f);
    assert_true(logins_within(f, 31, LOGIN_NO_ANSWER) <= 3);    /* nobody knows whether these were counted */
}

static void test_harmless_tries_do_not_count(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        struct task *t = next(f);
        assert_non_null(t);
        if (t->chore == CHORE_PROBE)
            give(f, t, VERDICT_UNAUTHORIZED, "TOKEN", 401);
        else
            give_login(f, t, LOGIN_NOT_SENT);
        struct writer_status s;
        godata_writer.status(f->w, &s);
        if (s.until_us > f->now)
            f->now = s.until_us;
    }
    for (size_t i = 0; i < f->n; i++)
        assert_int_equal(f->values[i], 0);
    godata_writer.resume(f->w);
    make_ready(f);
    /* proven once, a login that gets no answer was no wrong password */
    for (int i = 0; i < 8; i++) {
        give_step(f, VERDICT_UNAUTHORIZED, "TOKEN", 401);
        struct task *t = next(f);
        if (t->chore == CHORE_PROBE) {
            give(f, t, VERDICT_UNAUTHORIZED, "TOKEN", 401);
            t = expect_chore(f, CHORE_LOGIN);
        }
        assert_int_equal(t->chore, CHORE_LOGIN);
        give_login(f, t, LOGIN_NO_ANSWER);
        expect_mode(f, WRITER_PAUSED, "NO_ANSWER");
        struct writer_status s;
        godata_writer.status(f->w, &s);
        f->now = s.until_us;
    }
}

static void test_refused_waits_for_somebody(void **state)
{
    struct fixture *f = *state;
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_REFUSED);
    f->now += 86400 * SECOND;
    assert_null(next(f));
    expect_mode(f, WRITER_PAUSED, "LOGIN_FAILED");
    godata_writer.resume(f->w);
    make_ready(f);
}

static void test_blocked_over_a_clock_jump(void **state)
{
    struct fixture *f = *state;
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_BLOCKED);
    restart(f);
    assert_null(next(f));
    expect_mode(f, WRITER_PAUSED, "LOGIN_BLOCKED");
    f->now -= 400 * 86400 * SECOND;          /* the clock was a year ahead: at most 31 minutes from here */
    restart(f);
    assert_null(next(f));
    f->now += 31 * MINUTE;
    make_ready(f);
}

static void test_limit_over_a_clock_jump(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_REFUSED);
        godata_writer.resume(f->w);
    }
    f->now -= 400 * 86400 * SECOND;
    restart(f);
    assert_null(next(f));
    expect_mode(f, WRITER_PAUSED, "LOGIN_LIMIT");
    f->now += 31 * MINUTE;
    make_ready(f);
}

static void test_account_is_shared(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    for (int i = 0; i < 5; i++) {
        expect_mode(f, WRITER_READY, "");
        f->now += 10 * SECOND;
        give_step(f, VERDICT_UNAUTHORIZED, "TOKEN", 401);
        give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_OK);
    }
    expect_mode(f, WRITER_PAUSED, "ACCOUNT_SHARED");
    assert_null(next(f));
    f->now += MINUTE;
    (void)next(f);
    expect_mode(f, WRITER_READY, "");
}

static void test_old_tokens_do_not_log_in(void **state)
{
    struct fixture *f = *state;
    struct task *old = xcalloc(1, sizeof *old);
    make_ready(f);
    old->kind = TASK_STEP;
    old->ops = &godata_writer;
    godata_writer.arm(f->w, old);
    give_step(f, VERDICT_UNAUTHORIZED, "TOKEN", 401);
    expect_mode(f, WRITER_STARTING, "");
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_OK);
    give(f, old, VERDICT_UNAUTHORIZED, "TOKEN", 401);
    expect_mode(f, WRITER_READY, "");
}

static void test_breaker(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    give_step(f, VERDICT_UNKNOWN, "NO_ANSWER", 0);
    give_step(f, VERDICT_UNKNOWN, "NO_ANSWER", 0);
    give_step(f, VERDICT_DELIVERED, "", 200);                   /* an answer in between: it is alive */
    give_step(f, VERDICT_RETRY_LATER, "NO_ANSWER", 0);
    give_step(f, VERDICT_RETRY_LATER, "NO_ANSWER", 0);
    expect_mode(f, WRITER_READY, "");
    give_step(f, VERDICT_RETRY_LATER, "NO_ANSWER", 0);
    expect_mode(f, WRITER_PAUSED, "NO_ANSWER");
    for (int i = 0; i < 8; i++)
        give_step(f, VERDICT_UNREACHABLE, "UNREACHABLE", 0);    /* what else was under way does not add up */
    struct writer_status s;
    godata_writer.status(f->w, &s);
    assert_int_equal(s.until_us, f->now + 5 * SECOND);
    f->now = s.until_us;
    struct task *t = expect_chore(f, CHORE_PROBE);
    assert_null(next(f));                                       /* one probe */
    give(f, t, VERDICT_RETRY_LATER, "HTTP_502", 502);
    godata_writer.status(f->w, &s);
    assert_int_equal(s.until_us, f->now + 10 * SECOND);
    f->now = s.until_us;
    give(f, expect_chore(f, CHORE_PROBE), VERDICT_DELIVERED, "", 200);
    assert_null(next(f));
    expect_mode(f, WRITER_READY, "");
}

static void test_chores_that_fail_while_it_works(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    f->now += 5 * MINUTE;
    give(f, expect_chore(f, CHORE_OUTBREAK), VERDICT_RETRY_LATER, "HTTP_500", 500);
    expect_mode(f, WRITER_READY, "");                           /* what is known still holds */
    assert_null(next(f));
    f->now += 30 * SECOND;
    give_outbreak(f, NULL);                                     /* now it is gone for good */
    expect_mode(f, WRITER_PAUSED, "OUTBREAK_UNKNOWN");
    f->now += MINUTE;
    give_outbreak(f, "o2");                                     /* another one of that name: the account is looked at again */
    give_account(f, CHORE_ACCOUNT, "o1");
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    f->now += MINUTE;
    give_account(f, CHORE_ACCOUNT, "o2");
    expect_mode(f, WRITER_READY, "");
}

static void test_claim(void **state)
{
    struct fixture *f = *state;
    f->o.claim_account = true;
    give_login(f, expect_chore(f, CHORE_LOGIN), LOGIN_OK);
    give_outbreak(f, "o1");
    give_account(f, CHORE_ACCOUNT, "o9");
    give_account(f, CHORE_CLAIM, "o9");                         /* the server kept the old one: not in a loop */
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    assert_null(next(f));
    f->now += MINUTE;
    give_account(f, CHORE_ACCOUNT, "o9");
    give_account(f, CHORE_CLAIM, "o1");
    struct task *t = expect_chore(f, CHORE_REFDATA);
    give(f, t, VERDICT_RETRY_LATER, "MISSING_PERMISSION", 403);
    expect_mode(f, WRITER_PAUSED, "MISSING_PERMISSION");
    f->now += 5 * MINUTE + SECOND;
    give_outbreak(f, "o1");
    t = expect_chore(f, CHORE_REFDATA);
    news(t)->codes = json_object();
    give(f, t, VERDICT_DELIVERED, "", 200);
    expect_mode(f, WRITER_READY, "");
}

static void test_stopping(void **state)
{
    struct fixture *f = *state;
    give(f, expect_chore(f, CHORE_LOGIN), VERDICT_RETRY_LATER, "STOPPING", 0);
    for (size_t i = 0; i < f->n; i++)
        assert_int_equal(f->values[i], 0);
    make_ready(f);
    give_step(f, VERDICT_RETRY_LATER, "STOPPING", 0);
    expect_mode(f, WRITER_READY, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready_and_renewal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_order_of_failures_locks_the_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_harmless_tries_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_waits_for_somebody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocked_over_a_clock_jump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_over_a_clock_jump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_account_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_tokens_do_not_log_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breaker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chores_that_fail_while_it_works, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopping, setup, teardown),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
