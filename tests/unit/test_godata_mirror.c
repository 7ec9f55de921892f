/*
 * NAME test_godata_mirror - the mirror's cursors against a Go.Data made of two JSON arrays and the sandbox's filter language; time is a number.
 */
#include "store_test.h"

#include <jansson.h>

#include "godata_mirror.h"
#include "log.h"
#include "sandbox_filter.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define OUTBREAK "5ab0c000-0000-4000-8000-000000000001"
#define ME "user-of-labrelay"
#define NO_ANSWER 1

struct world {
    struct place p;
    struct godata_options o;
    struct godata_mirror *m;
    json_t *lists[GODATA_LISTS];
    int64_t now_us, server_us;              /* our clock, and the server's */
    bool tells_date;
    int refuse[GODATA_LISTS];               /* HTTP status instead of an answer */
    size_t requests, rows;                  /* counted since the last look */
    char *last_path;
};

/* ---- the server ---- */

static char *iso(int64_t us)
{
    static char text[8][40];
    static unsigned i;
    i = (i + 1) % 8;
    clock_format_iso(us, text[i], sizeof text[i]);
    return text[i];
}

static json_t *find(struct world *w, enum godata_list list, const char *id)
{
    json_t *o;
    size_t i;
    json_array_foreach(w->lists[list], i, o)
        if (strcmp(json_string_value(json_object_get(o, "id")), id) == 0)
            return o;
    fail_msg("no such record: %s", id);
    return NULL;
}

static void stamp(struct world *w, json_t *o)
{
    (void)json_object_set_new(o, "updatedAt", json_string(iso(w->server_us)));
    (void)json_object_set_new(o, "dbUpdatedAt", json_string(iso(w->server_us)));
}

static json_t *person(struct world *w, const char *id, const char *type, const char *last)
{
    char code[80];
    (void)snprintf(code, sizeof code, GODATA_PREFIX "PERSON_TYPE_%s", type);
    json_t *o = json_pack("{ssssssssssso}", "id", id, "type", code, "lastName", last, "firstName", "Amina", "createdAt", iso(w->server_us), "deleted", json_false());
    stamp(w, o);
    (void)json_array_append_new(w->lists[GODATA_LIST_PEOPLE], o);
    return o;
}

static json_t *lab(struct world *w, const char *id, const char *person_id, const char *sample, const char *by)
{
    json_t *o = json_pack("{ssssssssssssso}", "id", id, "personId", person_id, "personType", GODATA_PREFIX "PERSON_TYPE_CASE", "sampleIdentifier", sample, "updatedBy", by,
                          "createdAt", iso(w->server_us), "deleted", json_false());
    stamp(w, o);
    (void)json_array_append_new(w->lists[GODATA_LIST_LABS], o);
    return o;
}

static void set(json_t *o, const char *key, const char *value) { (void)json_object_set_new(o, key, json_string(value)); }

static void mark_deleted(struct world *w, json_t *o, bool is_deleted)
{
    (void)json_object_set_new(o, "deleted", json_boolean(is_deleted));
    stamp(w, o);
}

static json_t *filter_of(const char *path)
{
    const char *s = strstr(path, "filter=");
    struct buf b;
    buf_init(&b, 65536);
    assert_non_null(s);
    for (s += 7; *s; s++) {
        char hex[3] = {s[0] == '%' ? s[1] : '0', s[0] == '%' ? s[2] : '0', '\0'};
        buf_addc(&b, *s == '%' ? (char)strtol(hex, NULL, 16) : *s);
        s += *s == '%' ? 2 : 0;
    }
    json_t *filter = json_loads(b.p, 0, NULL);
    assert_non_null(filter);
    buf_clear(&b);
    return filter;
}

static json_t *answer(struct world *w, const struct godata_page *page)
{
    struct sandbox_filter f;
    struct err e = ERR_INIT;
    json_t *filter = filter_of(page->path), *found = json_array(), *out = json_array(), *o;
    size_t i;
    assert_non_null(strstr(page->path, page->list == GODATA_LIST_PEOPLE ? "/outbreaks/" OUTBREAK "/people?" : "/outbreaks/" OUTBREAK "/lab-results/aggregate?"));
    assert_int_equal(sandbox_filter_init(&f, filter, true, &e), 0);
    assert_in_range(f.limit, 1, 1000);
    json_array_foreach(w->lists[page->list], i, o)
        if ((f.with_deleted || !json_is_true(json_object_get(o, "deleted"))) && sandbox_cond_match(f.where, o))
            (void)json_array_append(found, o);
    json_t *cut = sandbox_filter_page(&f, found, NULL);
    json_array_foreach(cut, i, o)
        (void)json_array_append_new(out, sandbox_filter_project(&f, o));
    w->requests++;
    w->rows += json_array_size(out);
    json_decref(cut);
    json_decref(found);
    json_decref(filter);
    sandbox_filter_clear(&f);
    return out;
}

/* ---- the engine ---- */

/* One page; false: none is wanted now. is_committed: what became of its batch. */
static bool step(struct world *w, bool is_committed)
{
    struct place *p = &w->p;
    struct godata_page page;
    int64_t next_us = w->now_us;
    while (next_us == w->now_us)            /* slices of the page before */
        if (godata_mirror_next_page(w->m, w->now_us, &page, &next_us))
            break;
    if (!page.path) {
        OK(store_commit(p->q, &p->e));
        return false;
    }
    free(w->last_path);
    w->last_path = xstrdup(page.path);
    if (w->refuse[page.list]) {
        godata_mirror_page_failed(w->m, &page, w->refuse[page.list] == NO_ANSWER ? 0 : w->refuse[page.list], "case_list", w->now_us);
    } else {
        json_t *rows = answer(w, &page);
        page.server_us = w->tells_date ? w->server_us : 0;
        OK(godata_mirror_take_page(w->m, &page, rows, w->now_us, &p->e));
        json_decref(rows);
    }
    if (is_committed)
        OK(store_commit(p->q, &p->e));
    else
        store_rollback(p->q);
    godata_page_clear(&page);
    return true;
}

static size_t run(struct world *w)
{
    size_t n = 0;
    while (step(w, true))
        assert_true(++n < 1000);
    return n;
}

static void wait(struct world *w, int64_t us)
{
    w->now_us += us;
    w->server_us += us;
}

/* A while with a round every 15 s, as in life. */
static void live(struct world *w, int64_t us)
{
    for (int64_t t = 0; t < us; t += 15 * SECOND) {
        wait(w, 15 * SECOND);
        (void)run(w);
    }
}

static void set_outbreak_of(struct world *w, struct godata_mirror *m, const char *id)
{
    struct place *p = &w->p;
    OK(godata_mirror_set_outbreak(m, span_of(id), SPAN_LIT("CA-9999999999"), SPAN_LIT("CO-9999999999"), SPAN_ABSENT, &p->e));
    OK(store_commit(p->q, &p->e));
}

static void open_mirror(struct world *w)
{
    w->m = godata_mirror_open(w->p.q, "godata", &w->o);
    godata_mirror_set_user(w->m, ME);
}

static void restart(struct world *w)
{
    godata_mirror_close(w->m);
    reopen(&w->p);
    open_mirror(w);
    set_outbreak_of(w, w->m, OUTBREAK);
}

static int begin(void **state)
{
    static char url[] = "https://godata.example/api";
    struct world *w = xcalloc(1, sizeof *w);
    struct place *p = &w->p;
    place_make(p, "/tmp");
    OK(store_open(&p->q, &p->conf, &p->e));
    w->o.url = url;
    w->now_us = T0;
    w->server_us = T0 - 300 * DAY;          /* a server whose clock has nothing to do with ours */
    w->lists[0] = json_array();
    w->lists[1] = json_array();
    open_mirror(w);
    set_outbreak_of(w, w->m, OUTBREAK);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    godata_mirror_close(w->m);
    store_close(w->p.q);
    place_remove(&w->p);
    json_decref(w->lists[0]);
    json_decref(w->lists[1]);
    free(w->last_path);
    free(w);
    return 0;
}

static const struct godata_person *knows(struct world *w, const char *id) { return godata_people_find(godata_mirror_people(w->m), span_of(id)); }

static void expect_name(struct world *w, const char *id, const char *last)
{
    const struct godata_person *p = knows(w, id);
    if (!p || !span_is(p->last, last))
        fail_msg("%s is %s, expected %s", id, p ? "called otherwise" : "unknown", last);
}

static size_t labs_of(struct world *w, const char *sample)
{
    struct place *p = &w->p;
    const struct godata_mirror_lab *v;
    size_t n;
    OK(godata_mirror_labs_of_sample(w->m, span_of(sample), &v, &n, &p->e));
    return n;
}

static void crowd(struct world *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char id[40];
        (void)snprintf(id, sizeof id, "p-%05zu", i);
        (void)person(w, id, i % 3 ? "CASE" : "CONTACT", "Okello");
        wait(w, SECOND / 10);
    }
}

static bool reports(struct world *w, const char *text)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_addc(&b, '{');
    godata_mirror_report(w->m, &b);
    buf_addc(&b, '}');
    json_t *j = json_loads(b.p, 0, NULL);
    assert_non_null(j);
    bool is_in = strstr(b.p, text) != NULL;
    if (!is_in)
        print_error("%s\n", b.p);
    json_decref(j);
    buf_clear(&b);
    return is_in;
}

/* ---- first load ---- */

static void test_first_load_in_pages(void **state)
{
    struct world *w = *state;
    crowd(w, 1203);
    (void)lab(w, "l1", "p-00001", "S-1", "nurse");
    (void)person(w, "z-event", "EVENT", "Market");
    assert_true(step(w, true));             /* the newest stamp */
    assert_true(step(w, true));
    assert_in_range(godata_people_count(godata_mirror_people(w->m)), 1, 500);       /* the first slices of it */
    assert_false(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_mirror_seen_us(w->m), 0);
    (void)run(w);
    assert_true(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 1203);
    assert_int_equal(labs_of(w, "S-1"), 1);
    assert_null(knows(w, "z-event"));
    assert_int_equal(godata_mirror_seen_us(w->m), w->now_us);
    assert_true(reports(w, "\"cases\":802,\"contacts\":401,\"contacts_of_contacts\":0,\"lab_results\":1"));
}

static void test_what_changes_during_the_load_is_not_missed(void **state)
{
    struct world *w = *state;
    crowd(w, 1203);
    assert_true(step(w, true) && step(w, true));
    wait(w, HOUR);                          /* longer than the overlap */
    json_t *o = find(w, GODATA_LIST_PEOPLE, "p-00007");
    set(o, "lastName", "Mukasa");
    stamp(w, o);
    (void)person(w, "a-new", "CASE", "Behind us");
    mark_deleted(w, find(w, GODATA_LIST_PEOPLE, "p-00009"), true);
    assert_true(step(w, true));
    wait(w, HOUR);
    (void)run(w);
    expect_name(w, "p-00007", "Mukasa");
    expect_name(w, "a-new", "Behind us");
    assert_null(knows(w, "p-00009"));
}

static void test_empty_outbreak(void **state)
{
    struct world *w = *state;
    (void)run(w);
    assert_true(godata_mirror_is_loaded(w->m));
    live(w, 10 * MINUTE);
    (void)person(w, "first", "CASE", "Namukasa");
    live(w, 15 * SECOND);
    expect_name(w, "first", "Namukasa");
}

static void test_an_id_that_looks_like_a_date(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 1000; i++) {
        char id[40];
        (void)snprintf(id, sizeof id, i == 499 ? "2026-11-09" : i < 499 ? "1-%05zu" : "3-%05zu", i);
        (void)person(w, id, "CASE", "Okello");
    }
    (void)run(w);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 1000);
}

/* ---- rounds ---- */

static void test_overlap_makes_no_changes(void **state)
{
    struct world *w = *state;
    crowd(w, 300);
    (void)lab(w, "l1", "p-00001", "S-1", "nurse");
    (void)run(w);
    uint64_t changes = godata_mirror_changes(w->m);
    w->requests = w->rows = 0;
    wait(w, 15 * SECOND);
    assert_int_equal(run(w), 2);
    assert_true(w->rows > 0);               /* the overlap is read … */
    assert_true(godata_mirror_changes(w->m) == changes);
    live(w, 6 * MINUTE);
    w->requests = w->rows = 0;
    live(w, 10 * MINUTE);
    assert_int_equal(w->requests, 2 * 40);  /* one a list and round */
    assert_int_equal(w->rows, 0);           /* … and at rest nothing comes */
    assert_true(godata_mirror_changes(w->m) == changes);
}

static void test_a_row_that_appears_late(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    (void)run(w);
    live(w, 20 * MINUTE);
    w->server_us -= 4 * MINUTE;             /* written by a node whose clock is behind, or committed late */
    json_t *late = person(w, "late", "CASE", "Akello");
    w->server_us += 4 * MINUTE;
    json_incref(late);
    (void)json_array_remove(w->lists[0], json_array_size(w->lists[0]) - 1);
    (void)person(w, "newer", "CASE", "Auma");
    live(w, 15 * SECOND);
    assert_null(knows(w, "late"));
    (void)json_array_append_new(w->lists[0], late);
    live(w, 15 * SECOND);
    expect_name(w, "late", "Akello");
    expect_name(w, "newer", "Auma");
}

static void test_equal_timestamps_over_several_pages(void **state)
{
    struct world *w = *state;
    json_t *o;
    size_t i;
    crowd(w, 1203);
    (void)run(w);
    live(w, 20 * MINUTE);
    json_array_foreach(w->lists[0], i, o) { /* one write for all of them */
        set(o, "lastName", "Same");
        stamp(w, o);
    }
    w->rows = 0;
    live(w, 15 * SECOND);
    assert_int_equal(w->rows, 1203);
    json_array_foreach(w->lists[0], i, o)
        expect_name(w, json_string_value(json_object_get(o, "id")), "Same");
}

static void test_delete_restore_convert_merge(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    (void)lab(w, "l1", "p-00003", "S-3", "nurse");
    (void)run(w);
    live(w, 10 * MINUTE);
    uint64_t changes = godata_mirror_changes(w->m);

    mark_deleted(w, find(w, GODATA_LIST_PEOPLE, "p-00003"), true);
    mark_deleted(w, find(w, GODATA_LIST_LABS, "l1"), true);
    live(w, 15 * SECOND);
    assert_null(knows(w, "p-00003"));
    assert_int_equal(labs_of(w, "S-3"), 0);
    assert_true(godata_mirror_changes(w->m) > changes);

    changes = godata_mirror_changes(w->m);
    mark_deleted(w, find(w, GODATA_LIST_PEOPLE, "p-00003"), false);
    mark_deleted(w, find(w, GODATA_LIST_LABS, "l1"), false);
    live(w, 15 * SECOND);
    expect_name(w, "p-00003", "Okello");
    assert_int_equal(labs_of(w, "S-3"), 1);
    assert_true(godata_mirror_changes(w->m) > changes);

    changes = godata_mirror_changes(w->m);
    assert_int_equal(knows(w, "p-00003")->type, GODATA_CONTACT);
    json_t *o = find(w, GODATA_LIST_PEOPLE, "p-00003");     /* a raw write: dbUpdatedAt stays */
    set(o, "type", GODATA_PREFIX "PERSON_TYPE_CASE");
    set(o, "updatedAt", iso(w->server_us));
    live(w, 15 * SECOND);
    assert_int_equal(knows(w, "p-00003")->type, GODATA_CASE);
    assert_true(godata_mirror_changes(w->m) > changes);
    assert_true(reports(w, "\"cases\":7,\"contacts\":3,"));

    mark_deleted(w, find(w, GODATA_LIST_PEOPLE, "p-00004"), true);      /* merged into 5 */
    o = find(w, GODATA_LIST_PEOPLE, "p-00005");
    (void)json_object_set_new(o, "documents", json_pack("[{ssss}]", "type", GODATA_DOCUMENT_PREFIX "PASSPORT", "number", "AB-4"));
    set(o, "dbUpdatedAt", iso(w->server_us));               /* as a synchronisation does: updatedAt stays */
    live(w, 15 * SECOND);
    assert_null(knows(w, "p-00004"));
    assert_int_equal(knows(w, "p-00005")->n_documents, 1);
    assert_true(span_is(knows(w, "p-00005")->documents[0].type, "PASSPORT"));
}

static void test_a_change_of_no_interest_is_none(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    (void)run(w);
    uint64_t changes = godata_mirror_changes(w->m);
    wait(w, MINUTE);
    json_t *o = find(w, GODATA_LIST_PEOPLE, "p-00002");
    set(o, "classification", "CONFIRMED");
    stamp(w, o);
    live(w, 15 * SECOND);
    assert_true(godata_mirror_changes(w->m) == changes);
}

static void test_rounds_on_request_at_most_one_a_second(void **state)
{
    struct world *w = *state;
    crowd(w, 3);
    (void)run(w);
    wait(w, SECOND / 2);
    godata_mirror_want(w->m, w->now_us);
    assert_int_equal(run(w), 0);
    wait(w, SECOND / 2);
    assert_int_equal(run(w), 2);
    assert_int_equal(godata_mirror_seen_us(w->m), w->now_us);
    wait(w, 2 * SECOND);
    assert_int_equal(run(w), 0);            /* nobody waits any more */
}

/* ---- clocks ---- */

static void test_a_server_clock_that_is_set_back(void **state)
{
    struct world *w = *state;
    w->tells_date = true;
    crowd(w, 10);
    (void)run(w);
    live(w, 10 * MINUTE);
    w->server_us -= HOUR;
    (void)person(w, "after", "CASE", "Nakato");     /* stamped before everything we know */
    json_t *o = find(w, GODATA_LIST_PEOPLE, "p-00004");
    set(o, "lastName", "Mukasa");
    stamp(w, o);
    live(w, MINUTE);
    expect_name(w, "after", "Nakato");
    expect_name(w, "p-00004", "Mukasa");
    (void)person(w, "again", "CASE", "Wasswa");
    live(w, 30 * SECOND);
    expect_name(w, "again", "Wasswa");
}

static void test_our_clock_jumps(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    (void)run(w);
    w->now_us -= 7 * DAY;
    (void)person(w, "one", "CASE", "Nakato");
    live(w, MINUTE);
    expect_name(w, "one", "Nakato");
    w->now_us += 30 * DAY;
    (void)person(w, "two", "CASE", "Nakato");
    live(w, MINUTE);
    expect_name(w, "two", "Nakato");
}

static void test_a_stamp_from_the_future_hides_nothing(void **state)
{
    struct world *w = *state;
    w->tells_date = true;
    crowd(w, 10);
    (void)run(w);
    live(w, 10 * MINUTE);
    json_t *o = find(w, GODATA_LIST_PEOPLE, "p-00001");
    stamp(w, o);
    set(o, "updatedAt", "2099-01-01T00:00:00.000Z");        /* a tablet with a wrong clock, synchronised */
    live(w, MINUTE);
    (void)person(w, "after", "CASE", "Nakato");
    live(w, 15 * SECOND);
    expect_name(w, "after", "Nakato");
    o = find(w, GODATA_LIST_PEOPLE, "p-00002");
    set(o, "dbUpdatedAt", "2099-01-01T00:00:00.000Z");
    live(w, MINUTE);
    (void)person(w, "later", "CASE", "Wasswa");
    live(w, 15 * SECOND);
    expect_name(w, "later", "Wasswa");
}

/* ---- life ---- */

static void test_restart_keeps_everything(void **state)
{
    struct world *w = *state;
    crowd(w, 700);
    (void)lab(w, "l1", "p-00003", "S-3", "nurse");
    (void)run(w);
    live(w, 10 * MINUTE);
    restart(w);
    assert_true(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 700);
    assert_int_equal(labs_of(w, "S-3"), 1);
    assert_int_equal(godata_mirror_seen_us(w->m), 0);
    wait(w, 3 * HOUR);
    (void)person(w, "meanwhile", "CASE", "Nakato");
    wait(w, HOUR);
    w->requests = 0;
    (void)run(w);
    assert_int_equal(w->requests, 2);       /* no second load */
    expect_name(w, "meanwhile", "Nakato");
    assert_int_equal(godata_mirror_seen_us(w->m), w->now_us);
}

static void test_a_crash_at_every_page(void **state)
{
    struct world *w = *state;
    crowd(w, 1203);
    for (size_t i = 0; i < 700; i++) {
        char id[40];
        (void)snprintf(id, sizeof id, "l-%05zu", i);
        (void)lab(w, id, "p-00003", "S-3", "nurse");
    }
    size_t crashes = 0;
    while (!godata_mirror_is_loaded(w->m)) {
        (void)step(w, false);               /* the page is lost with the process */
        restart(w);
        (void)step(w, true);                /* the next start gets a page further, and half of another */
        (void)step(w, true);
        restart(w);
        assert_true(++crashes < 50);
    }
    (void)run(w);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 1203);
    assert_int_equal(labs_of(w, "S-3"), 700);
}

static void test_a_batch_that_is_rolled_back(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    (void)run(w);
    live(w, 10 * MINUTE);
    (void)person(w, "new", "CASE", "Nakato");
    (void)lab(w, "l1", "new", "S-1", "nurse");
    wait(w, 15 * SECOND);
    assert_true(step(w, true));
    assert_true(step(w, false));            /* the page of lab results */
    (void)run(w);
    assert_int_equal(labs_of(w, "S-1"), 1);
    restart(w);
    expect_name(w, "new", "Nakato");
    assert_int_equal(labs_of(w, "S-1"), 1);
}

static void test_another_outbreak_empties(void **state)
{
    static char other[] = "https://other.example/api";
    struct world *w = *state;
    struct place *p = &w->p;
    crowd(w, 10);
    (void)lab(w, "l1", "p-00003", "S-3", "nurse");
    (void)run(w);
    OK(godata_mirror_set_outbreak(w->m, SPAN_LIT(OUTBREAK), SPAN_LIT("EB-99999"), SPAN_ABSENT, SPAN_ABSENT, &p->e));      /* other masks: nothing is lost */
    OK(store_commit(p->q, &p->e));
    assert_true(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 10);
    set_outbreak_of(w, w->m, "another");
    assert_false(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 0);
    assert_int_equal(labs_of(w, "S-3"), 0);
    set_outbreak_of(w, w->m, OUTBREAK);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 0);
    (void)run(w);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 10);
    assert_int_equal(labs_of(w, "S-3"), 1);
    w->o.url = other;                       /* the same id on another server is another outbreak */
    restart(w);
    assert_false(godata_mirror_is_loaded(w->m));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 0);
}

static void test_an_answer_of_the_outbreak_before(void **state)
{
    struct world *w = *state;
    struct place *p = &w->p;
    struct godata_page page;
    int64_t next_us;
    crowd(w, 10);
    assert_true(step(w, true));
    assert_true(godata_mirror_next_page(w->m, w->now_us, &page, &next_us));
    json_t *rows = answer(w, &page);
    set_outbreak_of(w, w->m, "another");
    OK(godata_mirror_take_page(w->m, &page, rows, w->now_us, &p->e));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 0);
    json_decref(rows);
    godata_page_clear(&page);
}

static void test_two_writers_side_by_side(void **state)
{
    static char url[] = "https://other.example/api";
    struct world *w = *state;
    struct godata_options o = {.url = url};
    struct godata_mirror *mine = w->m;
    crowd(w, 10);
    (void)lab(w, "l1", "p-00003", "S-3", "nurse");
    (void)run(w);
    struct godata_mirror *other = godata_mirror_open(w->p.q, "second", &o);
    set_outbreak_of(w, other, OUTBREAK);
    json_t *all = w->lists[0];
    w->lists[0] = json_array();
    (void)person(w, "p-00001", "CASE", "Somebody else");
    w->m = other;
    (void)run(w);
    expect_name(w, "p-00001", "Somebody else");
    assert_int_equal(godata_people_count(godata_mirror_people(other)), 1);
    set_outbreak_of(w, other, "another");
    json_decref(w->lists[0]);
    w->lists[0] = all;
    w->m = mine;
    expect_name(w, "p-00001", "Okello");
    assert_int_equal(labs_of(w, "S-3"), 1);
    godata_mirror_close(other);
}

static void test_a_list_that_is_refused(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    w->refuse[GODATA_LIST_LABS] = 403;
    (void)run(w);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 10);
    assert_false(godata_mirror_is_loaded(w->m));
    assert_false(godata_mirror_is_possible(w->m));
    assert_true(reports(w, "\"off\":\"case_list\",\"off_http\":403"));
    w->requests = 0;
    (void)person(w, "new", "CASE", "Nakato");
    live(w, 45 * SECOND);                   /* people are followed meanwhile */
    expect_name(w, "new", "Nakato");
    assert_int_equal(godata_mirror_seen_us(w->m), 0);
    w->refuse[GODATA_LIST_LABS] = 0;
    live(w, 2 * MINUTE);
    assert_true(godata_mirror_is_loaded(w->m));
    assert_true(godata_mirror_is_possible(w->m));
    assert_true(godata_mirror_seen_us(w->m) > 0);
}

static void test_errors_are_tried_again_ever_later(void **state)
{
    struct world *w = *state;
    crowd(w, 10);
    w->refuse[0] = w->refuse[1] = 503;
    size_t tries = 0;
    for (int i = 0; i < 300; i++) {
        tries += run(w);
        wait(w, SECOND);
    }
    assert_in_range(tries, 4, 12);
    w->refuse[0] = w->refuse[1] = 0;
    live(w, 90 * SECOND);
    assert_true(godata_mirror_is_loaded(w->m));
    assert_true(godata_mirror_is_possible(w->m));
}

static void test_a_page_that_does_not_come_gets_smaller(void **state)
{
    struct world *w = *state;
    crowd(w, 130);
    (void)step(w, true);
    w->refuse[0] = NO_ANSWER;
    for (int i = 0; i < 5; i++) {
        (void)step(w, true);
        wait(w, MINUTE);
    }
    assert_non_null(strstr(w->last_path, "limit%22%3A31"));
    w->refuse[0] = 0;
    (void)step(w, true);
    assert_in_range(godata_people_count(godata_mirror_people(w->m)), 1, 20);
    (void)run(w);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 130);
    assert_true(godata_mirror_is_loaded(w->m));
}

static void test_reading_everything_again(void **state)
{
    struct world *w = *state;
    struct place *p = &w->p;
    crowd(w, 1203);
    (void)run(w);
    live(w, 10 * MINUTE);
    (void)json_array_remove(w->lists[0], 700);      /* gone without a trace, as no round can see */
    (void)json_array_remove(w->lists[0], 3);
    live(w, MINUTE);
    assert_non_null(knows(w, "p-00700"));
    OK(godata_mirror_reload(w->m, &p->e));
    assert_true(step(w, true));
    assert_true(godata_mirror_is_loaded(w->m));     /* what is known stays in use */
    json_t *created = json_pack("{ssss}", "id", "p-00002x", "lastName", "Just created");
    wait(w, SECOND);
    OK(godata_mirror_put_person(w->m, created, "case", &p->e));
    (void)run(w);
    assert_null(knows(w, "p-00700"));
    assert_null(knows(w, "p-00003"));
    assert_non_null(knows(w, "p-00004"));
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 1202);
    wait(w, 25 * HOUR);                             /* once a day anyway: what never came onto the list goes */
    (void)run(w);
    assert_null(knows(w, "p-00002x"));
    json_decref(created);
}

/* ---- lab results ---- */

static void test_our_own_results_are_no_changes(void **state)
{
    struct world *w = *state;
    struct place *p = &w->p;
    const struct godata_mirror_lab mine = {"l1", "p-00001", "case", "S-1", "Ebola virus", "PCR", "POSITIVE", "0badcafe", "2026-05-04", "2026-05-05T00:00:00.000Z"};
    const struct godata_mirror_lab *v;
    size_t n;
    crowd(w, 3);
    (void)run(w);
    uint64_t changes = godata_mirror_changes(w->m);
    OK(godata_mirror_put_lab(w->m, &mine, &p->e));
    assert_int_equal(labs_of(w, "S-1"), 1);
    json_t *o = lab(w, "l1", "p-00001", "S-1", ME);
    set(o, "notes", "before\n[labrelay 0badcafe]\nx\n[/labrelay]");
    set(o, "dateSampleTaken", "2026-05-04T00:00:00.000Z");
    live(w, 15 * SECOND);
    assert_true(godata_mirror_changes(w->m) == changes);
    OK(godata_mirror_labs_of_k(w->m, SPAN_LIT("0badcafe"), &v, &n, &p->e));
    assert_int_equal(n, 1);
    assert_string_equal(v[0].person_id, "p-00001");
    assert_string_equal(v[0].sample_day, "2026-05-04");
    assert_string_equal(v[0].person_type, "case");
    set(o, "result", "changed by hand");
    set(o, "updatedBy", "nurse");
    stamp(w, o);
    wait(w, SECOND);
    live(w, 15 * SECOND);
    assert_true(godata_mirror_changes(w->m) > changes);
    OK(godata_mirror_labs_of_person(w->m, SPAN_LIT("p-00001"), &v, &n, &p->e));
    assert_int_equal(n, 1);
    assert_string_equal(v[0].result, "changed by hand");
    OK(godata_mirror_drop_lab(w->m, SPAN_LIT("l1"), &p->e));
    assert_int_equal(labs_of(w, "S-1"), 0);
}

static void test_one_result_twice_is_noted(void **state)
{
    struct world *w = *state;
    crowd(w, 3);
    (void)run(w);
    set(lab(w, "l1", "p-00001", "S-1", ME), "notes", "[labrelay 0badcafe]\n[/labrelay]");
    set(lab(w, "l2", "p-00002", "S-2", ME), "notes", "[labrelay 0badcafe]\n[/labrelay]");     /* 32 bits agree by chance */
    live(w, 15 * SECOND);
    assert_true(reports(w, "\"doubles\":0"));
    set(lab(w, "l3", "p-00001", "S-1", ME), "notes", "[labrelay 0badcafe]\n[/labrelay]");
    live(w, 15 * SECOND);
    assert_true(reports(w, "\"doubles\":1"));
    live(w, MINUTE);
    assert_true(reports(w, "\"doubles\":1"));
}

static void test_a_flood_of_our_own_is_read_once_a_minute(void **state)
{
    struct world *w = *state;
    crowd(w, 3);
    (void)run(w);
    for (int s = 0; s < 30; s++) {
        for (int i = 0; i < 100; i++) {
            char id[40];
            (void)snprintf(id, sizeof id, "l-%02d-%03d", s, i);
            (void)lab(w, id, "p-00001", "S-1", ME);
        }
        wait(w, SECOND);
        godata_mirror_want(w->m, w->now_us);
        (void)run(w);
    }
    w->rows = w->requests = 0;
    for (int s = 0; s < 20; s++) {
        wait(w, SECOND);
        godata_mirror_want(w->m, w->now_us);
        if (s == 10)
            (void)lab(w, "theirs", "p-00002", "S-2", "nurse");
        (void)run(w);
        if (s == 11)
            assert_int_equal(labs_of(w, "S-2"), 1);     /* what others write is seen in every round */
    }
    assert_true(w->requests < 60);
    live(w, 2 * MINUTE);
    assert_int_equal(labs_of(w, "S-1"), 3000);
}

static void test_contacts_results_begin_to_show(void **state)
{
    struct world *w = *state;
    crowd(w, 3);
    json_t *o = lab(w, "l1", "p-00000", "S-1", "nurse");
    json_incref(o);
    (void)json_array_clear(w->lists[1]);
    (void)run(w);
    live(w, HOUR);
    (void)json_array_append_new(w->lists[1], o);        /* with its old stamps */
    godata_mirror_show_contacts(w->m, true);
    set_outbreak_of(w, w->m, OUTBREAK);
    assert_false(godata_mirror_is_loaded(w->m));
    (void)run(w);
    assert_true(godata_mirror_is_loaded(w->m));
    assert_int_equal(labs_of(w, "S-1"), 1);
    assert_int_equal(godata_people_count(godata_mirror_people(w->m)), 3);
}

static void test_what_a_person_says(void **state)
{
    struct world *w = *state;
    struct place *p = &w->p;
    json_t *o = person(w, "p1", "CASE", "Okello\x1f\x1f");
    set(o, "visualId", " CA-0000000001 ");
    set(o, "dob", "1990-05-04T00:00:00.000Z");
    set(o, "gender", GODATA_PREFIX "GENDER_FEMALE");
    o = person(w, "p2", "CONTACT_OF_CONTACT", "Auma");
    (void)json_object_set_new(o, "age", json_pack("{si}", "years", 30));
    (void)json_object_set_new(o, "lastName", json_integer(7));                /* nothing is validated there */
    (void)json_array_append_new(w->lists[0], json_pack("{ssss}", "id", "", "type", GODATA_PREFIX "PERSON_TYPE_CASE"));
    for (int i = 0; i < 2; i++) {
        (void)run(w);
        const struct godata_person *x = knows(w, "p1");
        assert_non_null(x);
        assert_true(span_starts(x->last, "Okello") && span_is(x->visual_id, "CA-0000000001") && x->sex == 'F' && x->born.prec == 'D');
        x = knows(w, "p2");
        assert_non_null(x);
        assert_true(x->type == GODATA_CONTACT_OF_CONTACT && x->born.prec == 'A' && !span_has(x->last) && x->sex == '\0');
        restart(w);                         /* and the same from the store */
    }
    json_t *bad = json_pack("{ss}", "id", "p9");
    OK(godata_mirror_put_person(w->m, bad, "event", &p->e));
    assert_null(knows(w, "p9"));
    json_decref(bad);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_first_load_in_pages), TEST(test_what_changes_during_the_load_is_not_missed), TEST(test_empty_outbreak), TEST(test_an_id_that_looks_like_a_date),
        TEST(test_overlap_makes_no_changes), TEST(test_a_row_that_appears_late), TEST(test_equal_timestamps_over_several_pages), TEST(test_delete_restore_convert_merge),
        TEST(test_a_change_of_no_interest_is_none), TEST(test_rounds_on_request_at_most_one_a_second), TEST(test_a_server_clock_that_is_set_back), TEST(test_our_clock_jumps),
        TEST(test_a_stamp_from_the_future_hides_nothing), TEST(test_restart_keeps_everything), TEST(test_a_crash_at_every_page), TEST(test_a_batch_that_is_rolled_back),
        TEST(test_another_outbreak_empties), TEST(test_an_answer_of_the_outbreak_before), TEST(test_two_writers_side_by_side), TEST(test_a_list_that_is_refused),
        TEST(test_errors_are_tried_again_ever_later), TEST(test_a_page_that_does_not_come_gets_smaller), TEST(test_reading_everything_again), TEST(test_our_own_results_are_no_changes), TEST(test_one_result_twice_is_noted),
        TEST(test_a_flood_of_our_own_is_read_once_a_minute), TEST(test_contacts_results_begin_to_show), TEST(test_what_a_person_says),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
