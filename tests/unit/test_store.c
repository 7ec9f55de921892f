/* NAME test_store - puts and look-ups of the store: every field comes back, duplicates, illegal moves, due and open, targets, audit. */
#include "store_test.h"

static void stores_and_loads_every_field(void **state)
{
    struct place *p = *state;
    char key[65];
    struct delivery d, got;
    int64_t m = put(p, "M1");
    d = delivery_of(m, 7, DELIVERY_HELD);
    d.record_index = 3;
    d.parts = 4;
    d.config = 12;
    d.tries = 5;
    d.rank = RANK_CORRECTED;
    d.step = STEP_UPDATE;
    d.next_us = T0 + 77;
    d.updated_us = T0 + 78;
    delivery_set(&d.reason, "NO_MATCH");
    delivery_set(&d.detail, "0 of 3 identifiers");
    delivery_set(&d.person_id, "11111111-2222-3333-4444-555555555555");
    delivery_set(&d.person_type, "case");
    delivery_set(&d.remote_id, "lr-1");
    OK(store_put_delivery(p->q, &d, &p->e));
    OK(store_commit(p->q, &p->e));
    reopen(p);
    OK(store_get_delivery(p->q, d.id, &got, &p->e));
    assert_int_equal(got.id, d.id);
    assert_int_equal(got.message_id, m);
    assert_int_equal(got.record_index, 3);
    assert_int_equal(got.observation_index, 2);
    assert_int_equal(got.parts, 4);
    assert_string_equal(got.path, "OBX[3]");
    assert_string_equal(got.route, "ebola-results");
    assert_int_equal(got.config, 12);
    assert_string_equal(got.writer, "godata");
    assert_string_equal(got.lane, "godata/s:S-77");
    assert_string_equal(got.result_key, key_of(7, key));
    assert_int_equal(got.issued_us, d.issued_us);
    assert_int_equal(got.rank, RANK_CORRECTED);
    assert_string_equal(got.who, d.who);
    assert_string_equal(got.body, d.body);
    assert_int_equal(got.state, DELIVERY_HELD);
    assert_int_equal(got.step, STEP_UPDATE);
    assert_int_equal(got.tries, 5);
    assert_int_equal(got.next_us, T0 + 77);
    assert_string_equal(got.reason, "NO_MATCH");
    assert_string_equal(got.detail, "0 of 3 identifiers");
    assert_string_equal(got.person_id, d.person_id);
    assert_string_equal(got.person_type, "case");
    assert_string_equal(got.remote_id, "lr-1");
    assert_int_equal(got.updated_us, T0 + 78);
    delivery_clear(&got);
    delivery_clear(&d);
    assert_int_equal(store_get_delivery(p->q, 999, &got, &p->e), 1);
}

static void update_writes_every_field(void **state)
{
    struct place *p = *state;
    struct delivery d, got;
    char key[65];
    int64_t id = deliver(p, put(p, "M1"), 1, DELIVERY_READY);
    d = delivery_of(1, 9, DELIVERY_CLAIMED);
    d.id = id;
    d.tries = 1;
    d.step = STEP_CREATE;
    d.next_us = T0 + SECOND;
    delivery_set(&d.lane, "godata/p1");
    delivery_set(&d.body, "{}");
    delivery_set(&d.who, "");
    delivery_set(&d.person_type, "contact");
    OK(store_update_delivery(p->q, &d, &p->e));
    OK(store_commit(p->q, &p->e));
    OK(store_get_delivery(p->q, id, &got, &p->e));
    assert_int_equal(got.state, DELIVERY_CLAIMED);
    assert_int_equal(got.step, STEP_CREATE);
    assert_int_equal(got.tries, 1);
    assert_int_equal(got.next_us, T0 + SECOND);
    assert_string_equal(got.lane, "godata/p1");
    assert_string_equal(got.body, "{}");
    assert_string_equal(got.who, "");
    assert_string_equal(got.person_type, "contact");
    assert_string_equal(got.result_key, key_of(9, key));
    delivery_clear(&got);
    delivery_clear(&d);
}

static void drops_have_no_text_until_they_get_one(void **state)
{
    struct place *p = *state;
    struct delivery d = delivery_of(put(p, "M1"), 0, DELIVERY_HELD), got;
    delivery_set(&d.who, "");
    delivery_set(&d.body, "");
    OK(store_put_delivery(p->q, &d, &p->e));
    OK(store_get_delivery(p->q, d.id, &got, &p->e));
    assert_string_equal(got.body, "");
    assert_string_equal(got.result_key, "");
    delivery_clear(&got);
    delivery_set(&d.body, "{\"a\":1}");
    d.state = DELIVERY_READY;
    OK(store_update_delivery(p->q, &d, &p->e));
    OK(store_get_delivery(p->q, d.id, &got, &p->e));
    assert_string_equal(got.body, "{\"a\":1}");
    delivery_clear(&got);
    delivery_clear(&d);
}

static void every_illegal_move_is_refused(void **state)
{
    struct place *p = *state;
    int64_t m = put(p, "M1");
    unsigned refused = 0, allowed = 0;
    for (int from = DELIVERY_READY; from <= DELIVERY_DROPPED; from++)
        for (int to = DELIVERY_READY; to <= DELIVERY_DROPPED; to++) {
            int64_t id = deliver(p, m, 0, (enum delivery_state)from);
            int rc = move_to(p, id, (enum delivery_state)to);
            if (delivery_can_move((enum delivery_state)from, (enum delivery_state)to)) {
                assert_int_equal(rc, 0);
                assert_int_equal(state_of(p, id), to);
                allowed++;
            } else {
                assert_int_equal(rc, -1);
                assert_int_equal(p->e.kind, ERR_BUG);
                assert_non_null(strstr(p->e.text, delivery_state_name((enum delivery_state)to)));
                assert_int_equal(state_of(p, id), from);
                refused++;
            }
        }
    assert_true(refused >= 45 && allowed >= 15);    /* five final states of nine reach nothing at all */
    OK(store_commit(p->q, &p->e));                  /* a refusal leaves the batch whole */
    struct delivery none = delivery_of(m, 0, DELIVERY_READY);
    none.id = 12345;
    assert_int_equal(store_update_delivery(p->q, &none, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_BUG);
    delivery_clear(&none);
}

static void finds_duplicates(void **state)
{
    struct place *p = *state;
    struct store_message m = message_of("C1", "MSH|one"), other = message_of("C1", "MSH|two"), facility = m, channel = m, shifted = m;
    enum message_state st;
    int64_t id, first;
    bool reused;
    OK(store_find_duplicate(p->q, &m, 0, &id, &st, &reused, &p->e));
    assert_int_equal(id, 0);
    assert_false(reused);
    OK(store_put_message(p->q, &m, &p->e));
    first = m.id;
    OK(store_find_duplicate(p->q, &m, 0, &id, &st, &reused, &p->e));     /* inside the open batch */
    assert_int_equal(id, first);
    OK(store_commit(p->q, &p->e));
    OK(store_find_duplicate(p->q, &m, T0, &id, &st, &reused, &p->e));
    assert_int_equal(id, first);
    assert_int_equal(st, MESSAGE_STORED);
    assert_false(reused);
    OK(store_find_duplicate(p->q, &m, T0 + 1, &id, &st, &reused, &p->e));    /* outside the window */
    assert_int_equal(id, 0);
    assert_false(reused);
    OK(store_find_duplicate(p->q, &other, 0, &id, &st, &reused, &p->e));     /* the device started its numbers again */
    assert_int_equal(id, 0);
    assert_true(reused);
    facility.source_facility = SPAN_LIT("SOUTH");
    channel.channel = "lab2";
    shifted.source_app = SPAN_LIT("ANALYZERN");         /* the same letters, cut elsewhere */
    shifted.source_facility = SPAN_LIT("ORTH");
    const struct store_message *const different[] = {&facility, &channel, &shifted};
    for (size_t i = 0; i < 3; i++) {
        OK(store_find_duplicate(p->q, different[i], 0, &id, &st, &reused, &p->e));
        assert_int_equal(id, 0);
        assert_false(reused);
    }
    int64_t n = -1;
    OK(store_count_key(p->q, &facility, 0, &n, &p->e));
    assert_int_equal(n, 0);
    OK(store_count_key(p->q, &other, T0, &n, &p->e));       /* of this key, whatever the content */
    assert_int_equal(n, 1);
    OK(store_count_key(p->q, &other, T0 + 1, &n, &p->e));
    assert_int_equal(n, 0);
    m.state = MESSAGE_REFUSED;
    OK(store_put_message(p->q, &m, &p->e));
    OK(store_put_message(p->q, &other, &p->e));
    OK(store_count_key(p->q, &m, 0, &n, &p->e));            /* what was refused does not count */
    assert_int_equal(n, 2);
    OK(store_find_duplicate(p->q, &m, 0, &id, &st, &reused, &p->e));     /* the newest of the same content, although another came since */
    assert_int_equal(id, m.id);
    assert_int_equal(st, MESSAGE_REFUSED);
    assert_false(reused);
}

static void due_again_after_the_clock_was_set_back(void **state)
{
    struct place *p = *state;
    struct { enum delivery_state state; int64_t next, want; } row[] = {
        {DELIVERY_READY, T0 + 3600 * SECOND, T0},  {DELIVERY_READY, T0 - SECOND, T0 - SECOND},  {DELIVERY_WAITING, T0 + 3600 * SECOND, T0 + 60 * SECOND},
        {DELIVERY_WAITING, T0 + 800 * SECOND, T0 + 800 * SECOND}, {DELIVERY_HELD, T0 + 3600 * SECOND, T0 + 3600 * SECOND}};
    int64_t m = put(p, "M1"), id[5];
    for (size_t i = 0; i < 5; i++) {
        struct delivery d = delivery_of(m, (unsigned)i + 1, row[i].state);
        d.next_us = row[i].next;
        OK(store_put_delivery(p->q, &d, &p->e));
        id[i] = d.id;
        delivery_clear(&d);
    }
    OK(store_rewind_due(p->q, "godata", T0, 900 * SECOND, 60 * SECOND, &p->e));
    OK(store_commit(p->q, &p->e));
    for (size_t i = 0; i < 5; i++) {
        struct delivery d;
        OK(store_get_delivery(p->q, id[i], &d, &p->e));
        assert_true(d.next_us == row[i].want);
        delivery_clear(&d);
    }
}

static void finds_due_in_order(void **state)
{
    struct place *p = *state;
    struct { enum delivery_state state; int64_t next; const char *writer; } row[] = {
        {DELIVERY_READY, T0 + 30, "godata"}, {DELIVERY_WAITING, T0 + 10, "godata"}, {DELIVERY_CLAIMED, T0 + 1, "godata"}, {DELIVERY_HELD, T0 + 2, "godata"},
        {DELIVERY_READY, T0 + 10, "godata"}, {DELIVERY_READY, T0 + 99, "godata"},   {DELIVERY_READY, T0 + 3, "files"},    {DELIVERY_DELIVERED, T0, "godata"}};
    struct delivery *v;
    size_t n;
    int64_t m = put(p, "M1"), id[8];
    for (size_t i = 0; i < 8; i++) {
        struct delivery d = delivery_of(m, (unsigned)i + 1, row[i].state);
        d.next_us = row[i].next;
        delivery_set(&d.writer, row[i].writer);
        OK(store_put_delivery(p->q, &d, &p->e));
        id[i] = d.id;
        delivery_clear(&d);
    }
    OK(store_find_due(p->q, "godata", T0 + 50, NULL, 0, 10, &v, &n, &p->e));
    assert_int_equal(n, 3);
    assert_int_equal(v[0].id, id[1]);
    assert_int_equal(v[1].id, id[4]);
    assert_int_equal(v[2].id, id[0]);
    assert_non_null(strstr(v[0].body, "S-77"));
    deliveries_free(v, n);
    OK(store_find_due(p->q, "godata", T0 + 50, NULL, 0, 1, &v, &n, &p->e));
    assert_int_equal(n, 1);
    deliveries_free(v, n);
    OK(store_find_due(p->q, "godata", T0 + 50, (const char *[]){"godata/s:S-77"}, 1, 10, &v, &n, &p->e));
    assert_int_equal(n, 0);                     /* the only lane is left out */
    deliveries_free(v, n);
    OK(store_find_due(p->q, "nobody", T0 + 50, NULL, 0, 10, &v, &n, &p->e));
    assert_int_equal(n, 0);
    deliveries_free(v, n);
    assert_true(store_next_due(p->q, "godata") == T0 + 10);
    assert_true(store_next_due(p->q, "files") == T0 + 3);
    assert_true(store_next_due(p->q, "nobody") == 0);
}

static void finds_open_by_key(void **state)
{
    struct place *p = *state;
    struct delivery *v;
    char key[65], close_key[65];
    size_t n;
    int64_t m = put(p, "M1"), id[9];
    for (int s = DELIVERY_READY; s <= DELIVERY_DROPPED; s++)
        id[s] = deliver(p, m, 5, (enum delivery_state)s);
    (void)deliver(p, m, 6, DELIVERY_READY);
    OK(store_find_open(p->q, key_of(5, key), &v, &n, &p->e));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(v[i].id, id[i]);
    deliveries_free(v, n);
    memcpy(close_key, key, sizeof key);     /* the index knows the first 16 digits only; the rest must agree too */
    close_key[40] = close_key[40] == 'a' ? 'b' : 'a';
    OK(store_find_open(p->q, close_key, &v, &n, &p->e));
    assert_int_equal(n, 0);
    OK(store_find_open(p->q, "", &v, &n, &p->e));
    assert_int_equal(n, 0);
}

static void keeps_targets(void **state)
{
    struct place *p = *state;
    struct store_target t = {.remote_id = xstrdup("lr-9"), .person_id = xstrdup("p-1"), .person_type = xstrdup("case"), .body = xstrdup("{\"x\":1}"),
                             .issued_us = T0, .written_us = T0 + 4, .delivery_id = 3, .rank = RANK_FINAL}, got;
    char key[65];
    assert_int_equal(store_put_target(p->q, &t, &p->e), -1);     /* without a key */
    memcpy(t.result_key, key_of(11, key), sizeof key);
    assert_int_equal(store_get_target(p->q, key, &got, &p->e), 1);
    OK(store_put_target(p->q, &t, &p->e));
    OK(store_commit(p->q, &p->e));
    t.is_tombstone = true;
    t.rank = RANK_WITHDRAWN;
    free(t.body);
    t.body = xstrdup("");
    OK(store_put_target(p->q, &t, &p->e));
    OK(store_commit(p->q, &p->e));
    reopen(p);
    OK(store_get_target(p->q, key, &got, &p->e));
    assert_string_equal(got.result_key, key);
    assert_memory_equal(got.k, key, 8);
    assert_int_equal(strlen(got.k), 8);
    assert_string_equal(got.remote_id, "lr-9");
    assert_string_equal(got.person_id, "p-1");
    assert_string_equal(got.person_type, "case");
    assert_string_equal(got.body, "");
    assert_true(got.issued_us == T0 && got.written_us == T0 + 4 && got.delivery_id == 3);
    assert_int_equal(got.rank, RANK_WITHDRAWN);
    assert_true(got.is_tombstone);
    store_target_clear(&got);
    store_target_clear(&t);
}

static void keeps_small_values(void **state)
{
    struct place *p = *state;
    int64_t a, b, c;
    assert_true(store_get_memory(p->q, "godata", "cursor", -5) == -5);
    OK(store_put_memory(p->q, "godata", "cursor", 17, &p->e));
    OK(store_put_memory(p->q, "godata", "cursor", 18, &p->e));
    OK(store_put_memory(p->q, "other", "cursor", 1, &p->e));
    OK(store_put_config(p->q, "00112233", &a, &p->e));
    OK(store_put_config(p->q, "44556677", &b, &p->e));
    OK(store_commit(p->q, &p->e));
    reopen(p);
    assert_true(store_get_memory(p->q, "godata", "cursor", -5) == 18);
    OK(store_put_config(p->q, "00112233", &c, &p->e));
    assert_true(a == c && a != b && a > 0);
}

static void rollback_takes_everything_back(void **state)
{
    struct place *p = *state;
    int64_t first, id;
    OK(store_count(p->q, "lab", "received", 1, &p->e));
    first = put(p, "M1");
    OK(store_commit(p->q, &p->e));
    assert_false(store_is_dirty(p->q));
    id = deliver(p, put(p, "M2"), 4, DELIVERY_READY);
    OK(store_audit(p->q, "ann", "release", id, first, "", &p->e));
    OK(store_count(p->q, "brand-new-channel", "received", 5, &p->e));
    OK(store_account(p->q, first, "dropped", "QC", 2, &p->e));
    assert_true(store_is_dirty(p->q));
    store_rollback(p->q);
    assert_false(store_is_dirty(p->q));
    assert_int_equal(state_of(p, id), -1);
    assert_int_equal(put(p, "M3"), first + 1);          /* nothing was ever promised under that number */
    OK(store_count(p->q, "brand-new-channel", "received", 1, &p->e));     /* its word went with the batch */
    OK(store_commit(p->q, &p->e));
    assert_int_equal(sum_of(p, SUM_FRAMES, "brand-new-channel", "received"), 1);
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "received"), 1);
    assert_int_equal(total_of(p, SUM_ACCOUNTS), 0);
    OK(store_commit(p->q, &p->e));                      /* nothing to do is no error */
}

static void recovers_claimed(void **state)
{
    struct place *p = *state;
    static const enum delivery_step want[] = {[STEP_FIND] = STEP_FIND, [STEP_CREATE] = STEP_READBACK, [STEP_UPDATE] = STEP_UPDATE, [STEP_REMOVE] = STEP_REMOVE,
                                              [STEP_READBACK] = STEP_READBACK};
    int64_t m = put(p, "M1"), id[5], other = deliver(p, m, 50, DELIVERY_HELD), ready = deliver(p, m, 51, DELIVERY_READY), n;
    struct delivery d;
    for (int s = STEP_FIND; s <= STEP_READBACK; s++) {
        d = delivery_of(m, (unsigned)s + 1, DELIVERY_CLAIMED);
        d.step = (enum delivery_step)s;
        OK(store_put_delivery(p->q, &d, &p->e));
        id[s] = d.id;
        delivery_clear(&d);
    }
    OK(store_commit(p->q, &p->e));
    reopen(p);
    OK(store_recover(p->q, T0 + DAY, 60 * SECOND, &n, &p->e));
    assert_int_equal(n, 5);
    assert_false(store_is_dirty(p->q));
    for (int s = STEP_FIND; s <= STEP_READBACK; s++) {
        OK(store_get_delivery(p->q, id[s], &d, &p->e));
        assert_int_equal(d.state, DELIVERY_WAITING);
        assert_int_equal(d.step, want[s]);
        assert_true(d.next_us == T0 + DAY + (s == STEP_FIND ? 0 : 60 * SECOND));
        assert_true(strstr(d.body, "S-77") != NULL);
        delivery_clear(&d);
    }
    assert_int_equal(state_of(p, other), DELIVERY_HELD);
    assert_int_equal(state_of(p, ready), DELIVERY_READY);
    OK(store_recover(p->q, T0 + DAY, 60 * SECOND, &n, &p->e));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stores_and_loads_every_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(update_writes_every_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_have_no_text_until_they_get_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_illegal_move_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_duplicates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_due_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_open_by_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_targets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(due_again_after_the_clock_was_set_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_small_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rollback_takes_everything_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recovers_claimed, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
