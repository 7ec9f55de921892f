/* NAME test_store_trail - every identifier is found again, whichever segment it is in, after restarts, rollbacks and erasing; nothing else is. */
#include <sqlite3.h>

#include "store_test.h"

static void hash_key(size_t i, char hex[65])
{
    unsigned char sum[32];
    text_sha256(&i, sizeof i, sum);
    text_hex(sum, 32, hex);
}

/* Message i: control id C<i>, sample "S/<i / 2>" (two messages share one), a document with a quote in it, K of hash_key(i). */
static void put_one(struct place *p, size_t i, int64_t us)
{
    char control[32], hex[65], who[200];
    (void)snprintf(control, sizeof control, "C%zu", i);
    (void)snprintf(who, sizeof who, "{\"sample\":\"S/%zu\",\"ids\":[{\"role\":\"document\",\"value\":\"A\\\"%zu\"}],\"family\":\"Okello\"}", i / 2, i);
    struct store_message m = {.channel = "lab", .control_id = span_of(control), .kind = SPAN_LIT("ORU^R01"), .received_us = us, .peer = "10.0.0.1", .reason = "",
                              .raw = SPAN_LIT("MSH"), .observations = 1, .config = 1};
    hash_key(i, hex);
    OK(store_put_message(p->q, &m, &p->e));
    struct delivery d = {.message_id = m.id, .parts = 1, .path = (char *)(uintptr_t)"OBX[1]", .writer = (char *)(uintptr_t)"godata", .result_key = hex, .who = who,
                         .state = DELIVERY_DELIVERED, .updated_us = us};
    OK(store_put_delivery(p->q, &d, &p->e));
}

static void fill(struct place *p, size_t from, size_t to, int64_t us)
{
    for (size_t i = from; i < to; i++) {
        put_one(p, i, us);
        if (i % 7 == 6)
            OK(store_commit(p->q, &p->e));
    }
    OK(store_commit(p->q, &p->e));
}

static size_t find(struct place *p, const char *key, int64_t first)
{
    struct store_reader *r;
    int64_t *ids;
    size_t n;
    OK(store_reader_open(&r, p->path, &p->e));
    OK(store_trace(r, key, 1000, &ids, &n, &p->e));
    if (first && (n == 0 || ids[0] != first))
        fail_msg("%s: %zu found, not m%lld", key, n, (long long)first);
    for (size_t i = 1; i < n; i++)
        assert_true(ids[i - 1] < ids[i]);
    free(ids);
    store_reader_close(r);
    return n;
}

/* Message i has id i + 1 + skipped. */
static void check_all(struct place *p, size_t from, size_t to, size_t step, int64_t skipped)
{
    char text[80], hex[65];
    for (size_t i = from; i < to; i += step) {
        int64_t id = (int64_t)i + 1 + skipped;
        (void)snprintf(text, sizeof text, "C%zu", i);
        assert_int_equal(find(p, text, id), 1);
        (void)snprintf(text, sizeof text, "A\"%zu", i);
        assert_int_equal(find(p, text, id), 1);
        hash_key(i, hex);
        assert_int_equal(find(p, hex, id), 1);
        hex[8] = '\0';
        assert_int_equal(find(p, hex, id), 1);
        for (char *c = hex; *c; c++)
            *c = *c >= 'a' && *c <= 'f' ? (char)(*c - 32) : *c;
        assert_int_equal(find(p, hex, id), 1);
    }
}

static void test_found_in_every_segment(void **state)
{
    struct place *p = *state;
    fill(p, 0, 1000, T0);
    check_all(p, 0, 1000, 37, 0);
    assert_int_equal(find(p, "S/0", 1), 2);
    assert_int_equal(find(p, "S/499", 999), 2);
    assert_int_equal(find(p, "Okello", 1), 1000);
    assert_int_equal(find(p, "C1000", 0), 0);
    assert_int_equal(find(p, "S/50", 101), 2);          /* not S/500 and on, nor as a part */
    assert_int_equal(find(p, "sample", 0), 0);          /* a name of the JSON is no value */
    assert_int_equal(find(p, "", 0), 0);
    assert_int_equal(find(p, "%", 0), 0);
    store_close(p->q);
    p->q = NULL;
}

static int64_t count(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    int rc = sqlite3_step(s);
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    (void)sqlite3_finalize(s);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

static void test_restarts_and_rollbacks(void **state)
{
    struct place *p = *state;
    size_t i = 0;
    while (i < 900) {                   /* a restart in every open segment */
        reopen(p);
        fill(p, i, i + 90, T0);
        put_one(p, i + 5000, T0);           /* never committed: its ids are given again */
        if (i % 180 == 0)
            store_rollback(p->q);
        i += 90;
    }
    reopen(p);
    check_all(p, 0, 900, 31, 0);
    assert_int_equal(find(p, "C5090", 0), 0);
    store_close(p->q);
    p->q = NULL;
    assert_int_equal(count(p->path, "SELECT count(*) FROM trail"), 3);
    assert_int_equal(count(p->path, "SELECT max(last) FROM trail WHERE first=1"), count(p->path, "SELECT min(first)-1 FROM trail WHERE first>1"));
}

static void test_a_store_of_before(void **state)
{
    struct place *p = *state;
    fill(p, 0, 600, T0);
    store_close(p->q);
    (void)count(p->path, "DROP TABLE trail");
    check_all(p, 0, 600, 97, 0);        /* read only, before any engine of today opened it */
    OK(store_open(&p->q, &p->conf, &p->e));
    fill(p, 600, 1200, T0);
    check_all(p, 0, 1200, 97, 0);
    store_close(p->q);
    (void)count(p->path, "DELETE FROM trail WHERE first>1 AND last<1100");      /* a hole is read row by row */
    check_all(p, 0, 1200, 97, 0);
    p->q = NULL;
}

static void test_erased_with_its_messages(void **state)
{
    struct place *p = *state;
    size_t n;
    fill(p, 0, 600, T0);
    fill(p, 600, 700, T0 + DAY);
    do {
        OK(store_expire(p->q, T0 + DAY / 2, 200, &n, &p->e));
        OK(store_commit(p->q, &p->e));
    } while (n > 0);
    assert_int_equal(find(p, "C5", 0), 0);
    check_all(p, 600, 700, 11, 0);
    store_close(p->q);
    assert_int_equal(count(p->path, "SELECT count(*) FROM trail WHERE last<=512"), 0);
    OK(store_open(&p->q, &p->conf, &p->e));
    fill(p, 700, 1300, T0 + DAY);
    check_all(p, 600, 1300, 43, 0);
    store_close(p->q);
    p->q = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_in_every_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restarts_and_rollbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_store_of_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_erased_with_its_messages, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
