/* NAME test_store_read - the store seen from beside: lists, filters, sums, snapshots, expiry that keeps the sums, audit chain. */
#include <sqlite3.h>

#include "store_test.h"

static struct store_reader *open_reader(struct place *p)
{
    struct store_reader *r;
    OK(store_reader_open(&r, p->path, &p->e));
    return r;
}

static void sees_only_what_is_committed(void **state)
{
    struct place *p = *state;
    struct store_reader *r = open_reader(p);
    struct store_message_row m;
    struct delivery d;
    struct buf raw;
    int64_t id = put(p, "M1"), did = deliver(p, id, 1, DELIVERY_READY);
    buf_init(&raw, 100);
    assert_int_equal(store_load_message(r, id, &m, &p->e), 1);
    assert_int_equal(store_load_raw(r, id, &raw, &p->e), 1);
    OK(store_commit(p->q, &p->e));
    OK(store_load_message(r, id, &m, &p->e));
    assert_string_equal(m.channel, "lab");
    assert_string_equal(m.control_id, "M1");
    assert_string_equal(m.kind, "ORU^R01");
    assert_string_equal(m.peer, "10.2.3.4");
    assert_string_equal(m.reason, "");
    assert_int_equal(m.state, MESSAGE_STORED);
    assert_int_equal(m.observations, 1);
    assert_int_equal(m.raw_n, 2);
    assert_true(m.received_us == T0 && m.config == 1);
    store_message_row_clear(&m);
    OK(store_load_raw(r, id, &raw, &p->e));
    assert_string_equal(raw.p, "M1");
    OK(store_load_delivery(r, did, &d, &p->e));
    assert_string_equal(d.writer, "godata");
    delivery_clear(&d);
    assert_int_equal(store_load_delivery(r, 77, &d, &p->e), 1);
    buf_clear(&raw);
    buf_init(&raw, 1);
    assert_int_equal(store_load_raw(r, id, &raw, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_LIMIT);
    buf_clear(&raw);
    store_reader_close(r);
}

static size_t list(struct place *p, struct store_reader *r, struct store_filter f, int64_t *first)
{
    struct delivery *v;
    size_t n;
    OK(store_list_deliveries(r, &f, &v, &n, &p->e));
    for (size_t i = 1; i < n; i++)
        assert_true(v[i].id > v[i - 1].id);
    *first = n ? v[0].id : 0;
    deliveries_free(v, n);
    return n;
}

static void lists_and_filters_deliveries(void **state)
{
    struct place *p = *state;
    struct store_message other = message_of("X", "X");
    struct delivery d, *v;
    int64_t m = put(p, "M1"), first, m2;
    size_t n;
    other.channel = "clinic";
    OK(store_put_message(p->q, &other, &p->e));
    m2 = other.id;
    for (unsigned i = 0; i < 20; i++) {
        d = delivery_of(i % 2 ? m : m2, i + 1, i < 5 ? DELIVERY_HELD : DELIVERY_DELIVERED);
        delivery_set(&d.reason, i == 3 ? "NO_MATCH" : i < 5 ? "UNMAPPED_TEST" : "");
        delivery_set(&d.writer, i == 7 ? "files" : "godata");
        OK(store_put_delivery(p->q, &d, &p->e));
        delivery_clear(&d);
    }
    OK(store_commit(p->q, &p->e));
    struct store_reader *r = open_reader(p);
    assert_int_equal(list(p, r, (struct store_filter){0}, &first), 20);
    assert_int_equal(list(p, r, (struct store_filter){.state = "held"}, &first), 5);
    assert_int_equal(list(p, r, (struct store_filter){.state = "delivered"}, &first), 15);
    assert_int_equal(list(p, r, (struct store_filter){.state = "held", .reason = "NO_MATCH"}, &first), 1);
    assert_int_equal(first, 4);
    assert_int_equal(list(p, r, (struct store_filter){.writer = "files"}, &first), 1);
    assert_int_equal(list(p, r, (struct store_filter){.channel = "clinic", .state = "held"}, &first), 3);
    assert_int_equal(list(p, r, (struct store_filter){.channel = "lab"}, &first), 10);
    assert_int_equal(list(p, r, (struct store_filter){.channel = "never-heard-of"}, &first), 0);
    assert_int_equal(list(p, r, (struct store_filter){.state = "held", .after_id = 2, .limit = 2}, &first), 2);
    assert_int_equal(first, 3);
    assert_int_equal(store_list_deliveries(r, &(struct store_filter){.state = "hold"}, &v, &n, &p->e), -1);
    assert_int_equal(p->e.kind, ERR_INPUT);
    OK(store_load_deliveries_of(r, m, &v, &n, &p->e));
    assert_int_equal(n, 10);
    deliveries_free(v, n);
    store_reader_close(r);
}

/* Lists go through the index of open ones while these are few and through the ids when they are many: the same answers. */
static void lists_a_long_queue(void **state)
{
    struct place *p = *state;
    int64_t m = put(p, "M1"), first;
    struct delivery d = delivery_of(m, 1, DELIVERY_READY);
    for (unsigned i = 0; i < 20100; i++) {
        d.state = i == 7 || i == 19999 ? DELIVERY_HELD : i == 20050 ? DELIVERY_DELIVERED : DELIVERY_READY;
        OK(store_put_delivery(p->q, &d, &p->e));
    }
    delivery_clear(&d);
    OK(store_commit(p->q, &p->e));
    struct store_reader *r = open_reader(p);
    assert_int_equal(list(p, r, (struct store_filter){.state = "held"}, &first), 2);
    assert_int_equal(first, 8);
    assert_int_equal(list(p, r, (struct store_filter){.state = "ready", .after_id = 7, .limit = 50}, &first), 50);
    assert_int_equal(first, 9);
    assert_int_equal(list(p, r, (struct store_filter){.state = "delivered"}, &first), 1);
    assert_int_equal(list(p, r, (struct store_filter){.state = "ready"}, &first), 20097);
    store_reader_close(r);
}

static void lists_messages(void **state)
{
    struct place *p = *state;
    struct store_message_row *v;
    size_t n;
    struct store_message m = message_of("A", "A");
    OK(store_put_message(p->q, &m, &p->e));
    m.state = MESSAGE_REFUSED;
    m.reason = "HL7_103 OBX^2^11";
    OK(store_put_message(p->q, &m, &p->e));
    m.state = MESSAGE_QUARANTINED;
    m.reason = "TRUNCATED";
    m.channel = "clinic";
    OK(store_put_message(p->q, &m, &p->e));
    OK(store_commit(p->q, &p->e));
    struct store_reader *r = open_reader(p);
    const struct { struct store_filter f; size_t n; int64_t first; } c[] = {
        {{0}, 3, 1}, {{.state = "refused"}, 1, 2}, {{.channel = "clinic"}, 1, 3}, {{.reason = "TRUNCATED"}, 1, 3}, {{.reason = "NONE"}, 0, 0}, {{.after_id = 1, .limit = 1}, 1, 2}};
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        OK(store_list_messages(r, &c[i].f, &v, &n, &p->e));
        assert_int_equal(n, c[i].n);
        if (n)
            assert_int_equal(v[0].id, c[i].first);
        for (size_t k = 0; k < n; k++)
            store_message_row_clear(&v[k]);
        free(v);
    }
    assert_int_equal(store_list_messages(r, &(struct store_filter){.state = "lost"}, &v, &n, &p->e), -1);
    store_reader_close(r);
}

static void counts_and_sums(void **state)
{
    struct place *p = *state;
    int64_t m;
    for (int i = 0; i < 3; i++) {
        OK(store_count(p->q, "lab", "received", 1, &p->e));
        OK(store_count(p->q, "lab", i ? "stored" : "refused", 1, &p->e));
        OK(store_commit(p->q, &p->e));
    }
    m = put(p, "M1");
    for (unsigned i = 0; i < 3; i++) {
        struct delivery d = delivery_of(m, i + 1, i ? DELIVERY_READY : DELIVERY_HELD);
        d.parts = i + 2;
        OK(store_put_delivery(p->q, &d, &p->e));
        delivery_clear(&d);
    }
    OK(store_account(p->q, m, "part-of", "", 2, &p->e));
    OK(store_account(p->q, m, "part-of", "", 3, &p->e));
    OK(store_account(p->q, m, "dropped", "QC", 1, &p->e));
    OK(store_account(p->q, m, "dropped", "HISTORY", 0, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "received"), 3);
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "stored"), 2);
    assert_int_equal(sum_of(p, SUM_FRAMES, "lab", "refused"), 1);
    assert_int_equal(sum_of(p, SUM_DELIVERIES, "ready", ""), 7);
    assert_int_equal(sum_of(p, SUM_DELIVERIES, "held", ""), 2);
    assert_int_equal(sum_of(p, SUM_ACCOUNTS, "part-of", ""), 5);
    assert_int_equal(sum_of(p, SUM_ACCOUNTS, "dropped", "QC"), 1);
    assert_int_equal(sum_of(p, SUM_ACCOUNTS, "dropped", "HISTORY"), -1);
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), 1);
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "observations"), 1);
}

static void a_snapshot_stands_still(void **state)
{
    struct place *p = *state;
    struct wanted w = {.a = "stored", .b = "messages"};
    struct store_reader *r;
    (void)put(p, "M1");
    OK(store_commit(p->q, &p->e));
    r = open_reader(p);
    OK(store_reader_begin(r, &p->e));
    (void)put(p, "M2");
    OK(store_commit(p->q, &p->e));
    OK(store_sum(r, SUM_MESSAGES, on_sum, &w, &p->e));
    assert_int_equal(w.n, 1);
    store_reader_end(r);
    OK(store_sum(r, SUM_MESSAGES, on_sum, &w, &p->e));
    assert_int_equal(w.n, 2);
    store_reader_close(r);
}

struct visit { int64_t ids[100]; size_t n, stop_at; size_t bytes; unsigned accounted; };

static bool on_message(void *ctx, const struct store_message_row *m, struct span raw, unsigned accounted)
{
    struct visit *v = ctx;
    assert_int_equal(raw.n, m->raw_n);
    v->ids[v->n++] = m->id;
    v->bytes += raw.n;
    v->accounted += accounted;
    return v->n != v->stop_at;
}

static void visits_every_message(void **state)
{
    struct place *p = *state;
    struct visit v = {0};
    for (unsigned i = 0; i < 70; i++) {
        int64_t m = put(p, "1234");
        (void)deliver(p, m, i + 1, DELIVERY_READY);
        OK(store_account(p->q, m, "part-of", "", 2, &p->e));
    }
    OK(store_commit(p->q, &p->e));
    struct store_reader *r = open_reader(p);
    OK(store_each_message(r, on_message, &v, &p->e));
    assert_int_equal(v.n, 70);
    assert_int_equal(v.bytes, 280);
    assert_int_equal(v.accounted, 210);
    for (size_t i = 0; i < 70; i++)
        assert_int_equal(v.ids[i], i + 1);
    v = (struct visit){.stop_at = 33};
    OK(store_each_message(r, on_message, &v, &p->e));
    assert_int_equal(v.n, 33);
    store_reader_close(r);
}

static void expires_and_still_balances(void **state)
{
    struct place *p = *state;
    char *raw = xmalloc(20001);
    int64_t done[40], held, young, late, before;
    struct store_message m, probe;
    enum message_state st;
    bool reused;
    size_t n;
    off_t full;
    int64_t id;
    memset(raw, 'x', 20000);
    raw[20000] = '\0';
    for (unsigned i = 0; i < 40; i++) {
        char control[16];
        (void)snprintf(control, sizeof control, "D%u", i);
        m = message_of(control, raw);
        m.observations = 3;
        OK(store_put_message(p->q, &m, &p->e));
        done[i] = m.id;
        (void)deliver(p, m.id, i + 1, i % 2 ? DELIVERY_DELIVERED : DELIVERY_SUPERSEDED);
        OK(store_account(p->q, m.id, "part-of", "", 2, &p->e));
        OK(store_count(p->q, "lab", "received", 1, &p->e));
    }
    held = put(p, "HELD");
    (void)deliver(p, held, 90, DELIVERY_DELIVERED);
    (void)deliver(p, held, 91, DELIVERY_HELD);
    late = put(p, "LATE");              /* old, but delivered only now */
    struct delivery d = delivery_of(late, 92, DELIVERY_DELIVERED);
    d.updated_us = T0 + 2 * DAY;
    OK(store_put_delivery(p->q, &d, &p->e));
    delivery_clear(&d);
    probe = message_of("YOUNG", "y");
    probe.received_us = T0 + 2 * DAY;
    OK(store_put_message(p->q, &probe, &p->e));
    young = probe.id;
    OK(store_commit(p->q, &p->e));
    store_close(p->q);
    full = size_of(p->path);
    OK(store_open(&p->q, &p->conf, &p->e));
    store_set_duplicate_window(p->q, INT64_C(50) * 366 * DAY);
    before = total_of(p, SUM_DELIVERIES) + total_of(p, SUM_ACCOUNTS) + total_of(p, SUM_MESSAGES) + total_of(p, SUM_FRAMES);

    OK(store_expire(p->q, T0 + DAY, 15, &n, &p->e));
    assert_int_equal(n, 15);
    OK(store_commit(p->q, &p->e));
    assert_int_equal(total_of(p, SUM_DELIVERIES) + total_of(p, SUM_ACCOUNTS) + total_of(p, SUM_MESSAGES) + total_of(p, SUM_FRAMES), before);
    for (int round = 0; round < 4; round++) {
        OK(store_expire(p->q, T0 + DAY, 15, &n, &p->e));
        OK(store_commit(p->q, &p->e));
        store_idle(p->q);
    }
    assert_int_equal(n, 0);
    assert_int_equal(total_of(p, SUM_DELIVERIES) + total_of(p, SUM_ACCOUNTS) + total_of(p, SUM_MESSAGES) + total_of(p, SUM_FRAMES), before);
    assert_int_equal(sum_of(p, SUM_DELIVERIES, "superseded", ""), 20);
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "observations"), 40 * 3 + 3);
    struct store_reader *r = open_reader(p);
    struct store_message_row row;
    assert_int_equal(store_load_message(r, done[0], &row, &p->e), 1);
    const int64_t kept[] = {held, late, young};
    for (size_t i = 0; i < 3; i++) {
        OK(store_load_message(r, kept[i], &row, &p->e));
        store_message_row_clear(&row);
    }
    store_reader_close(r);
    m = message_of("D7", raw);          /* its hash outlives it */
    OK(store_find_duplicate(p->q, &m, 0, &id, &st, &reused, &p->e));
    assert_int_equal(id, done[7]);
    assert_int_equal(st, MESSAGE_STORED);
    store_set_duplicate_window(p->q, DAY);      /* and goes with the window */
    OK(store_expire(p->q, T0 + DAY, 100, &n, &p->e));
    OK(store_commit(p->q, &p->e));
    OK(store_find_duplicate(p->q, &m, 0, &id, &st, &reused, &p->e));
    assert_int_equal(id, 0);
    store_close(p->q);
    assert_true(size_of(p->path) < full / 3);   /* the space came back */
    OK(store_open(&p->q, &p->conf, &p->e));
    free(raw);
}

/* Parts of a message wait across a restart, in their order, and are not erased as long as they wait. */
static void parts_wait(void **state)
{
    struct place *p = *state;
    struct store_fragments f;
    struct buf raw;
    size_t n;
    int64_t a = put(p, "A1"), b = put(p, "B1"), a2 = put(p, "A2");
    OK(store_put_fragment(p->q, a, a, "lab", "k1", T0, &p->e));
    OK(store_put_fragment(p->q, b, b, "other", "k1", T0 + SECOND, &p->e));
    assert_int_equal(store_find_fragments(p->q, "k1", &f, &p->e), 0);
    assert_int_equal(f.first, b);                                   /* the latest of two that wait for the same */
    store_fragments_clear(&f);
    OK(store_put_fragment(p->q, a2, a, "lab", "k2", T0 + 2 * SECOND, &p->e));
    OK(store_commit(p->q, &p->e));
    reopen(p);
    OK(store_find_fragments(p->q, "k2", &f, &p->e));
    assert_int_equal(f.n, 2);
    assert_true(f.first == a && f.ids[0] == a && f.ids[1] == a2);
    assert_string_equal(f.channel, "lab");
    store_fragments_clear(&f);
    OK(store_find_fragments(p->q, "k1", &f, &p->e));                /* A1 waits for nothing any more: A2 does */
    assert_int_equal(f.first, b);
    store_fragments_clear(&f);
    assert_int_equal(store_find_fragments(p->q, "k3", &f, &p->e), 1);
    assert_int_equal(store_find_old_fragments(p->q, T0, &f, &p->e), 1);
    OK(store_find_old_fragments(p->q, T0 + 2 * SECOND, &f, &p->e)); /* the age of a set is that of its last part */
    assert_int_equal(f.first, b);
    store_fragments_clear(&f);
    OK(store_delay_fragments(p->q, b, T0 + DAY, &p->e));
    assert_int_equal(store_find_old_fragments(p->q, T0 + 2 * SECOND, &f, &p->e), 1);
    OK(store_expire(p->q, T0 + DAY, 10, &n, &p->e));
    assert_int_equal(n, 0);
    OK(store_drop_fragments(p->q, a, &p->e));
    assert_int_equal(store_find_fragments(p->q, "k2", &f, &p->e), 1);
    buf_init(&raw, 1000);
    OK(store_get_raw(p->q, a2, &raw, &p->e));
    assert_string_equal(raw.p, "A2");
    OK(store_expire(p->q, T0 + DAY, 10, &n, &p->e));
    OK(store_expire(p->q, T0 + DAY, 10, &n, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(store_get_raw(p->q, a2, &raw, &p->e), 1);
    OK(store_get_raw(p->q, b, &raw, &p->e));
    buf_clear(&raw);
}

static void never_gives_an_id_twice(void **state)
{
    struct place *p = *state;
    int64_t m = put(p, "M1"), d = deliver(p, m, 1, DELIVERY_DELIVERED);
    size_t n;
    OK(store_commit(p->q, &p->e));
    OK(store_expire(p->q, T0 + DAY, 10, &n, &p->e));
    assert_int_equal(n, 1);
    OK(store_commit(p->q, &p->e));
    reopen(p);
    assert_int_equal(put(p, "M2"), m + 1);
    assert_int_equal(deliver(p, m + 1, 2, DELIVERY_READY), d + 1);
}

static bool file_holds(const char *path, const char *text)
{
    struct buf b;
    struct err e = ERR_INIT;
    buf_init(&b, 1 << 28);
    bool is_there = access(path, R_OK) == 0 && fs_load(path, &b, &e) == 0 && b.n && memmem(b.p, b.n, text, strlen(text)) != NULL;
    buf_clear(&b);
    return is_there;
}

static void erased_bytes_are_gone_from_disk(void **state)
{
    struct place *p = *state;
    char log[320];
    size_t n;
    (void)snprintf(log, sizeof log, "%s-wal", p->path);
    (void)deliver(p, put(p, "SECRETRAWBYTES"), 1, DELIVERY_DISMISSED);
    (void)put(p, "OTHERBYTES");
    OK(store_commit(p->q, &p->e));
    assert_true(file_holds(log, "SECRETRAWBYTES"));
    reopen(p);
    assert_true(file_holds(p->path, "SECRETRAWBYTES"));
    OK(store_expire(p->q, T0 + DAY, 1, &n, &p->e));
    assert_int_equal(n, 1);
    OK(store_commit(p->q, &p->e));
    store_idle(p->q);
    assert_false(file_holds(p->path, "SECRETRAWBYTES"));
    assert_false(file_holds(log, "SECRETRAWBYTES"));
    assert_true(file_holds(p->path, "OTHERBYTES"));
}

struct trail { char text[400]; };

static void on_audit(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct trail *t = ctx;
    size_t n = strlen(t->text);
    assert_true(us > 0);
    (void)snprintf(t->text + n, sizeof t->text - n, "%s %s %s;", who, action, reason);
}

static void tamper(struct place *p, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int check_audit(struct place *p, int64_t *id)
{
    struct store_reader *r = open_reader(p);
    int rc = store_check_audit(r, id, &p->e);
    store_reader_close(r);
    return rc;
}

static void audit_is_chained(void **state)
{
    struct place *p = *state;
    struct trail t = {{0}};
    int64_t id;
    assert_int_equal(check_audit(p, &id), 0);
    for (int i = 1; i <= 6; i++) {
        OK(store_audit(p->q, "ann", "release", i % 2, i, "looked at it", &p->e));
        if (i % 3 == 0)
            OK(store_commit(p->q, &p->e));
    }
    reopen(p);
    OK(store_audit(p->q, "bob", "dismiss", 1, 9, NULL, &p->e));
    store_rollback(p->q);
    OK(store_audit(p->q, "eve", "dismiss", 1, 9, NULL, &p->e));
    OK(store_commit(p->q, &p->e));
    assert_int_equal(check_audit(p, &id), 0);
    struct store_reader *r = open_reader(p);
    OK(store_list_audit(r, 1, on_audit, &t, &p->e));
    store_reader_close(r);
    assert_string_equal(t.text, "ann release looked at it;ann release looked at it;ann release looked at it;eve dismiss ;");
    store_close(p->q);
    p->q = NULL;
    static const struct { const char *break_it, *mend_it; int64_t at; } c[] = {
        {"UPDATE audit SET who='bob' WHERE id=4", "UPDATE audit SET who='ann' WHERE id=4", 4},
        {"UPDATE audit SET reason='looked at i',action='releaset' WHERE id=2", "UPDATE audit SET reason='looked at it',action='release' WHERE id=2", 2},
        {"UPDATE audit SET id=70 WHERE id=7", "UPDATE audit SET id=7 WHERE id=70", 70},
        {"DELETE FROM audit WHERE id=7", NULL, 7},
        {"DELETE FROM audit WHERE id=3", NULL, 4},
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        tamper(p, c[i].break_it);
        assert_int_equal(check_audit(p, &id), 1);
        assert_int_equal(id, c[i].at);
        if (c[i].mend_it) {
            tamper(p, c[i].mend_it);
            assert_int_equal(check_audit(p, &id), 0);
        }
    }
}

static void reads_without_an_engine(void **state)
{
    struct place *p = *state;
    struct store_reader *r;
    int64_t m = put(p, "M1");
    OK(store_commit(p->q, &p->e));
    store_close(p->q);
    p->q = NULL;
    assert_int_equal(sum_of(p, SUM_MESSAGES, "stored", "messages"), 1);
    assert_int_equal(chmod(p->dir, 0500), 0);
    bool is_root = geteuid() == 0;
    if (is_root) {                      /* root writes everywhere: be nobody for the moment */
        assert_int_equal(chown(p->dir, 65534, 65534), 0);
        assert_int_equal(chown(p->path, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    struct store_message_row row;
    OK(store_reader_open(&r, p->path, &p->e));
    OK(store_load_message(r, m, &row, &p->e));
    store_message_row_clear(&row);
    store_reader_close(r);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(p->dir, 0700), 0);
    assert_int_equal(store_reader_open(&r, "/nonexistent/store.db", &p->e), -1);
    assert_int_equal(p->e.kind, ERR_CONFIG);
    assert_non_null(strstr(p->e.text, "there is no store yet"));
}

static void checks_the_file(void **state)
{
    struct place *p = *state;
    char text[200];
    struct store_reader *r;
    FILE *f;
    for (unsigned i = 0; i < 300; i++)
        (void)deliver(p, put(p, "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"), i + 1, DELIVERY_READY);
    OK(store_commit(p->q, &p->e));
    r = open_reader(p);
    OK(store_check_file(r, text, sizeof text, &p->e));
    assert_string_equal(text, "ok");
    store_reader_close(r);
    store_close(p->q);
    p->q = NULL;
    f = fopen(p->path, "r+b");
    assert_non_null(f);
    for (long page = 12; page < 20; page++) {
        assert_int_equal(fseek(f, page * 8192 + 3, SEEK_SET), 0);
        assert_int_equal(fwrite("\377\377\377\377", 1, 4, f), 4);
    }
    assert_int_equal(fclose(f), 0);
    r = open_reader(p);
    assert_int_equal(store_check_file(r, text, sizeof text, &p->e), 1);
    assert_true(strlen(text) > 5);
    store_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sees_only_what_is_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_and_filters_deliveries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_a_long_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_and_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_stands_still, set_up, tear_down),
        cmocka_unit_test_setup_teardown(visits_every_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expires_and_still_balances, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(never_gives_an_id_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erased_bytes_are_gone_from_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(audit_is_chained, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_without_an_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checks_the_file, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store_read", tests, NULL, NULL);
}
