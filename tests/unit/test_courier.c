/* NAME test_courier - a pool of couriers with a writer that only counts: every task comes back once, and closing executes nothing more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "courier.h"
#include "mailbox.h"
#include "xmem.h"

static atomic_int performed, inside, most_inside, disarmed;
static atomic_bool is_slow;

static void perform(struct task *t, struct http_client *http)
{
    assert_non_null(http);
    int n = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (n > most && !atomic_compare_exchange_weak(&most_inside, &most, n))
        ;
    (void)usleep(atomic_load(&is_slow) ? 100000 : 500);
    t->verdict = VERDICT_DELIVERED;
    t->created_id = xstrdup("x");
    atomic_fetch_add(&performed, 1);
    atomic_fetch_sub(&inside, 1);
}

static void disarm(struct task *t)
{
    (void)t;
    atomic_fetch_add(&disarmed, 1);
}

static const struct writer_ops counting = {.name = "counting", .perform = perform, .disarm = disarm};

static struct task *task_new(int64_t id)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->mail = (struct mail){.kind = 5, .bytes = 7};
    t->ops = &counting;
    t->writer = "counting";
    t->delivery_id = id;
    return t;
}

/* Takes n answers; returns how many had the verdict. */
static size_t take(struct mailbox *m, size_t n, enum verdict v, bool *seen)
{
    size_t got = 0, fit = 0;
    while (got < n) {
        assert_true(mailbox_wait(m, 5000000));
        for (struct mail *x = mailbox_take_all(m), *next; x; x = next) {
            struct task *t = (struct task *)(void *)x;
            next = x->next;
            assert_int_equal(x->kind, 5);
            assert_int_equal(x->bytes, 7);
            assert_false(seen[t->delivery_id]);
            seen[t->delivery_id] = true;
            assert_true(t->started_us > 0 && t->ended_us >= t->started_us);
            fit += t->verdict == v;
            got++;
            task_free(t);
        }
    }
    return fit;
}

static void test_all_come_back(void **state)
{
    (void)state;
    struct mailbox *answers = mailbox_new(false);
    bool seen[500] = {false};
    struct courier_pool *p = courier_open("counting", 6, answers);
    for (int i = 0; i < 500; i++)
        courier_post(p, task_new(i));
    assert_int_equal(take(answers, 500, VERDICT_DELIVERED, seen), 500);
    assert_int_equal(atomic_load(&performed), 500);
    assert_int_equal(atomic_load(&disarmed), 500);
    assert_true(atomic_load(&most_inside) > 1 && atomic_load(&most_inside) <= 6);
    assert_int_equal(courier_waiting(p), 0);
    courier_close(p);
    assert_int_equal(mailbox_count(answers), 0);
    mailbox_free(answers);
}

static void test_close(void **state)
{
    (void)state;
    struct mailbox *answers = mailbox_new(false);
    bool seen[60] = {false};
    atomic_store(&performed, 0);
    atomic_store(&is_slow, true);
    struct courier_pool *p = courier_open("counting", 3, answers);
    for (int i = 0; i < 60; i++)
        courier_post(p, task_new(i));
    courier_close(p);
    size_t stopped = take(answers, 60, VERDICT_RETRY_LATER, seen);
    assert_int_equal(atomic_load(&performed) + (int)stopped, 60);
    assert_true(atomic_load(&performed) <= 6);
    mailbox_free(answers);
    courier_close(NULL);
}

/* Recalled tasks come back unbegun; the one under way is finished, and the pool goes on. */
static void test_recall(void **state)
{
    bool seen[12] = {false};
    (void)state;
    struct mailbox *answers = mailbox_new(false);
    struct courier_pool *p = courier_open("counting", 1, answers);
    atomic_store(&is_slow, true);
    atomic_store(&performed, 0);
    for (int64_t i = 0; i < 10; i++)
        courier_post(p, task_new(i));
    while (atomic_load(&inside) == 0)
        (void)usleep(1000);
    courier_recall(p);
    assert_int_equal(take(answers, 10, VERDICT_RETRY_LATER, seen), 9);
    assert_int_equal(atomic_load(&performed), 1);
    atomic_store(&is_slow, false);
    courier_post(p, task_new(10));
    assert_int_equal(take(answers, 1, VERDICT_DELIVERED, seen), 1);
    courier_close(p);
    mailbox_free(answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_come_back), cmocka_unit_test(test_close), cmocka_unit_test(test_recall)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
