/*
 * NAME test_store_retain - what is erased without its row, by size, and what stands in Go.Data by age; what never is.
 */
#include "store_test.h"

#define PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static struct store_target target_of(int64_t delivery, unsigned key, int64_t written_us, bool is_tombstone)
{
    static char body[] = "{\"sampleIdentifier\":\"S-1\"}", id[] = "r-1", person[] = "p-1", type[] = "case";
    struct store_target t = {.remote_id = id, .person_id = person, .person_type = type, .body = body, .issued_us = T0, .written_us = written_us,
                             .delivery_id = delivery, .rank = RANK_FINAL, .is_tombstone = is_tombstone};
    (void)key_of(key + 1, t.result_key);
    return t;
}

static bool has_target(struct place *p, unsigned key)
{
    struct store_target t;
    char hex[65];
    (void)key_of(key + 1, hex);
    int rc = store_get_target(p->q, hex, &t, &p->e);
    store_target_clear(&t);
    return rc == 0;
}

static bool has_raw(struct place *p, int64_t id)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    int rc = store_get_raw(p->q, id, &b, &p->e);
    buf_clear(&b);
    return rc == 0;
}

static void originals_go_and_rows_stay(void **state)
{
    struct place *p = *state;
    size_t n;
    int64_t done = put(p, "DONE"), held = put(p, "HELD"), d = deliver(p, done, 1, DELIVERY_DELIVERED);
    (void)deliver(p, held, 2, DELIVERY_HELD);
    OK(store_commit(p->q, &p->e));
    OK(store_erase_raw(p->q, T0, 10, &n, &p->e));           /* too young */
    assert_int_equal(n, 0);
    OK(store_erase_raw(p->q, T0 + DAY, 10, &n, &p->e));
    assert_int_equal(n, 1);
    OK(store_commit(p->q, &p->e));
    assert_false(has_raw(p, done));
    assert_true(has_raw(p, held));
    struct delivery back;
    OK(store_get_delivery(p->q, d, &back, &p->e));
    assert_int_equal(back.state, DELIVERY_DELIVERED);
    delivery_clear(&back);
    OK(store_erase_raw(p->q, T0 + DAY, 10, &n, &p->e));     /* not a second time */
    assert_int_equal(n, 0);
    OK(store_expire(p->q, T0 + DAY, 10, &n, &p->e));        /* the row goes later */
    assert_int_equal(n, 1);
    OK(store_commit(p->q, &p->e));
}

static void room_is_made_of_finished_ones_only(void **state)
{
    struct place *p = *state;
    size_t n;
    enum { N = 30 };
    int64_t m[N], d[N];
    for (unsigned i = 0; i < N; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "M%u", i);
        m[i] = put(p, text);
        d[i] = deliver(p, m[i], i + 1, i % 3 == 0 ? DELIVERY_HELD : i % 3 == 1 ? DELIVERY_READY : DELIVERY_DELIVERED);
        if (i % 3 == 2) {
            struct store_target t = target_of(d[i], i, T0, i == 5);
            OK(store_put_target(p->q, &t, &p->e));
        }
    }
    int64_t again = put(p, "AGAIN");                        /* a newer version of the result of M8 waits */
    (void)deliver(p, again, 9, DELIVERY_WAITING);
    OK(store_commit(p->q, &p->e));
    OK(store_make_room(p->q, 4, &n, &p->e));
    assert_int_equal(n, 4);
    OK(store_commit(p->q, &p->e));
    for (unsigned i = 0; i < N; i++)                             /* the oldest went */
        assert_int_equal(has_raw(p, m[i]), i % 3 != 2 || i >= 14);
    assert_false(has_target(p, 2));
    assert_true(has_target(p, 5));                          /* a tombstone stays */
    assert_true(has_target(p, 8));                          /* and what an open version will be compared with */
    assert_true(has_target(p, 14));
    OK(store_make_room(p->q, 100, &n, &p->e));
    assert_int_equal(n, 6);
    OK(store_make_room(p->q, 100, &n, &p->e));
    assert_int_equal(n, 0);
    OK(store_commit(p->q, &p->e));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(has_raw(p, m[i]), i % 3 != 2);
    struct delivery x;
    assert_int_equal(store_get_delivery(p->q, d[2], &x, &p->e), 1);
    OK(store_get_delivery(p->q, d[0], &x, &p->e));
    delivery_clear(&x);
}

static void targets_go_by_age(void **state)
{
    struct place *p = *state;
    size_t n;
    for (unsigned i = 0; i < 6; i++) {
        struct store_target t = target_of((int64_t)i + 1, i, i < 4 ? T0 : T0 + 3 * DAY, i == 1);
        OK(store_put_target(p->q, &t, &p->e));
    }
    (void)deliver(p, put(p, "OPEN"), 3, DELIVERY_HELD);
    OK(store_commit(p->q, &p->e));
    OK(store_expire_targets(p->q, T0 + DAY, 100, &n, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(n, 2);
    const bool stays[] = {false, true, true, false, true, true};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(has_target(p, i), stays[i]);
}

static void one_message_is_erased_when_it_is_finished(void **state)
{
    struct place *p = *state;
    int64_t open = put(p, "OPEN"), done = put(p, "DONE");
    (void)deliver(p, open, 1, DELIVERY_WAITING);
    struct store_target t = target_of(deliver(p, done, 3, DELIVERY_DELIVERED), 2, T0, false);
    OK(store_put_target(p->q, &t, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(store_erase_message(p->q, open, &p->e), -1);
    p->e = ERR_INIT;
    OK(store_erase_message(p->q, done, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_true(has_raw(p, open));
    assert_false(has_raw(p, done));
    assert_false(has_target(p, 2));
    assert_int_equal(put(p, "NEXT"), done + 1);             /* its id is never given again */
}

static bool count_visit(void *ctx, const struct store_message_row *m, struct span raw, unsigned accounted)
{
    int64_t *seen = ctx;
    *seen += !raw.p && accounted == m->observations;
    return true;
}

static void verify_meets_messages_without_their_bytes(void **state)
{
    struct place *p = *state;
    size_t n;
    int64_t seen = 0, id = put(p, "DONE");
    (void)deliver(p, id, 1, DELIVERY_DELIVERED);
    OK(store_erase_raw(p->q, T0 + DAY, 10, &n, &p->e));
    OK(store_commit(p->q, &p->e));
    struct store_reader *r = NULL;
    OK(store_reader_open(&r, p->path, &p->e));
    OK(store_each_message(r, count_visit, &seen, &p->e));
    store_reader_close(r);
    assert_int_equal(seen, 1);
}

static void size_tells_of_unused_pages(void **state)
{
    struct place *p = *state;
    struct store_size full, after, end;
    size_t n;
    for (unsigned i = 0; i < 200; i++) {
        char text[2000];
        (void)memset(text, 'x', sizeof text);
        (void)snprintf(text, 10, "%u", i);
        text[sizeof text - 1] = '\0';
        text[strlen(text)] = ' ';
        (void)deliver(p, put(p, text), i + 1, DELIVERY_DELIVERED);
    }
    OK(store_commit(p->q, &p->e));
    OK(store_get_size(p->q, &full, &p->e));
    OK(store_make_room(p->q, 200, &n, &p->e));
    assert_int_equal(n, 200);
    OK(store_commit(p->q, &p->e));
    OK(store_get_size(p->q, &after, &p->e));
    assert_true(after.unused > full.file / 2 && after.log > 0);
    while (after.unused > 0) {
        OK(store_shrink(p->q, 8, &p->e));
        OK(store_commit(p->q, &p->e));
        OK(store_get_size(p->q, &end, &p->e));
        assert_true(end.unused < after.unused && end.unused >= after.unused - 10 * STORE_PAGE_BYTES);
        after = end;
    }
    assert_true(after.file < full.file / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(originals_go_and_rows_stay), PLACE(room_is_made_of_finished_ones_only), PLACE(targets_go_by_age),
        PLACE(one_message_is_erased_when_it_is_finished), PLACE(verify_meets_messages_without_their_bytes), PLACE(size_tells_of_unused_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
