/* NAME test_mailbox - ownership from thread to thread: order, accounts, waking. Run it under -fsanitize=thread too. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "mailbox.h"
#include "xmem.h"

struct thing {
    struct mail mail;
    int from, n;
};

static struct mail *thing_new(int from, int n, size_t bytes)
{
    struct thing *t = xcalloc(1, sizeof *t);
    t->from = from;
    t->n = n;
    t->mail.bytes = bytes;
    return &t->mail;
}

static bool rings(struct mailbox *m)
{
    struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void test_one_thread(void **state)
{
    struct mailbox *m = mailbox_new(true);
    (void)state;
    assert_null(mailbox_take_all(m));
    assert_null(mailbox_take_one(m));
    assert_false(rings(m));
    for (int i = 0; i < 3; i++)
        mailbox_post(m, thing_new(0, i, 10));
    assert_true(rings(m));
    assert_int_equal(mailbox_count(m), 3);
    assert_int_equal(mailbox_bytes(m), 30);
    struct mail *x = mailbox_take_one(m);
    assert_int_equal(((struct thing *)(void *)x)->n, 0);
    assert_null(x->next);
    free(x);
    assert_int_equal(mailbox_bytes(m), 20);
    assert_true(rings(m));                  /* there is more */
    x = mailbox_take_all(m);
    assert_int_equal(((struct thing *)(void *)x)->n, 1);
    assert_int_equal(((struct thing *)(void *)x->next)->n, 2);
    assert_null(x->next->next);
    free(x->next);
    free(x);
    assert_false(rings(m));
    assert_int_equal(mailbox_count(m), 0);
    assert_int_equal(mailbox_bytes(m), 0);
    mailbox_post(m, thing_new(0, 9, 1));
    free(mailbox_take_one(m));              /* the last one silences the bell too */
    assert_false(rings(m));
    mailbox_wake(m);
    assert_true(rings(m));
    assert_null(mailbox_take_all(m));
    assert_false(rings(m));
    mailbox_free(m);
    mailbox_free(NULL);
    m = mailbox_new(false);
    assert_int_equal(mailbox_fd(m), -1);
    mailbox_free(m);
}

static void test_wait(void **state)
{
    struct mailbox *m = mailbox_new(false);
    (void)state;
    int64_t t = clock_mono_us();
    assert_false(mailbox_wait(m, 30000));
    assert_in_range(clock_mono_us() - t, 29000, 2000000);
    assert_false(mailbox_wait(m, 0));
    mailbox_wake(m);                        /* before the wait: not lost … */
    t = clock_mono_us();
    assert_false(mailbox_wait(m, 3000000));
    assert_in_range(clock_mono_us() - t, 0, 1000000);
    assert_false(mailbox_wait(m, 1000));    /* … but used up */
    mailbox_post(m, thing_new(0, 0, 1));
    assert_true(mailbox_wait(m, -1));
    assert_true(mailbox_wait(m, 0));
    free(mailbox_take_all(m));
    mailbox_free(m);
}

struct crowd {
    struct mailbox *m;
    int id;
    _Atomic int woken;
    _Atomic int64_t sum;
};

static void *sleeper(void *arg)
{
    struct crowd *c = arg;
    (void)mailbox_wait(c->m, 5000000);
    atomic_fetch_add(&c->woken, 1);
    return NULL;
}

static void test_wake_wakes_all(void **state)
{
    struct crowd c = {.m = mailbox_new(false)};
    pthread_t t[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sleeper, &c), 0);
    (void)usleep(100000);
    int64_t from = clock_mono_us();
    mailbox_wake(c.m);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_in_range(clock_mono_us() - from, 0, 2000000);
    assert_int_equal(atomic_load(&c.woken), 4);
    mailbox_free(c.m);
}

#define POSTERS 4
#define EACH 20000

static void *poster(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < EACH; i++)
        mailbox_post(c->m, thing_new(c->id, i, 3));
    return NULL;
}

static void test_many_posters(void **state)     /* one taker: each poster's things come in its order, none is lost */
{
    struct mailbox *m = mailbox_new(true);
    struct crowd c[POSTERS];
    pthread_t t[POSTERS];
    int next[POSTERS] = {0}, total = 0;
    (void)state;
    for (int i = 0; i < POSTERS; i++) {
        c[i] = (struct crowd){.m = m, .id = i};
        assert_int_equal(pthread_create(&t[i], NULL, poster, &c[i]), 0);
    }
    while (total < POSTERS * EACH) {
        struct mail *after;
        assert_true(mailbox_wait(m, 5000000));
        for (struct mail *x = mailbox_take_all(m); x; x = after) {
            struct thing *it = (struct thing *)(void *)x;
            after = x->next;
            assert_int_equal(it->n, next[it->from]++);
            total++;
            free(it);
        }
    }
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(mailbox_bytes(m), 0);
    mailbox_free(m);
}

static void *taker(void *arg)
{
    struct crowd *c = arg;
    for (;;) {
        if (!mailbox_wait(c->m, 5000000))
            return NULL;
        struct thing *t = (struct thing *)(void *)mailbox_take_one(c->m);
        if (!t)
            continue;                   /* another one was faster */
        bool is_last = t->n < 0;
        if (!is_last)
            atomic_fetch_add(&c->sum, t->n);
        free(t);
        if (is_last)
            return NULL;
    }
}

static void test_many_takers(void **state)
{
    struct crowd c = {.m = mailbox_new(false)};
    pthread_t t[3];
    int64_t sum = 0;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, taker, &c), 0);
    for (int i = 0; i < EACH; i++) {
        sum += i;
        mailbox_post(c.m, thing_new(0, i, 0));
    }
    for (int i = 0; i < 3; i++)
        mailbox_post(c.m, thing_new(0, -1, 0));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(atomic_load(&c.sum), sum);
    assert_int_equal(mailbox_count(c.m), 0);
    mailbox_free(c.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread), cmocka_unit_test(test_wait), cmocka_unit_test(test_wake_wakes_all), cmocka_unit_test(test_many_posters), cmocka_unit_test(test_many_takers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
