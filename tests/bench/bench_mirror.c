/*
 * NAME bench_mirror - the mirror at the size of a large outbreak: first load, memory, look-ups, restart, and what an outbreak at rest costs.
 *
 *   bench_mirror [PEOPLE]        (200000 without an argument; as many lab results)
 *
 * Pages as Go.Data would answer them are made from the invented people of tests/names and given to the mirror over a store in a folder of its own
 * under TMPDIR. No network: what is measured is what the engine does. Bars (issue 4, bar 8): memory under 150 MB, 50 us by id, 5 ms by name,
 * restart under 2 s; and a page takes the engine slices of less than 5 ms (p99), an outbreak at rest at most 2 requests a round.
 * DIAGNOSTICS exit 1 when a bar is missed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "godata_mirror.h"
#include "names_crowd.h"
#include "store.h"
#include "xmem.h"

#define PAGE 500
#define SECOND INT64_C(1000000)
#define LOOKS 2000

struct bench {
    struct store *q;
    struct godata_mirror *m;
    struct godata_options o;
    struct store_conf conf;
    char dir[256], path[300];
    int64_t now_us;
    json_t *rows;
    int64_t *took;
    size_t n_took, cap_took, requests, seen;
    struct err e;
};

static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(const struct bench *b, bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_mirror: %s: %s: %s\n", what, b->e.where, b->e.text);
    exit(1);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static bool report(const char *what, int64_t *v, size_t n, int64_t bar_ns)
{
    qsort(v, n, sizeof *v, by_size);
    (void)printf("%-34s p50 %8.1f us   p99 %8.1f us   max %9.1f us   bar %.0f us\n", what, (double)v[n / 2] / 1e3, (double)v[n * 99 / 100] / 1e3,
                 (double)v[n - 1] / 1e3, (double)bar_ns / 1e3);
    return v[n * 99 / 100] <= bar_ns;
}

static void note(struct bench *b, int64_t ns)
{
    if (b->n_took == b->cap_took)
        b->took = xreallocarray(b->took, b->cap_took = b->cap_took ? b->cap_took * 2 : 1024, sizeof *b->took);
    b->took[b->n_took++] = ns;
}

/* The next page; slices of the one before are taken on the way. false: none is wanted now. */
static bool next(struct bench *b, struct godata_page *out)
{
    int64_t next_us = b->now_us;
    while (next_us == b->now_us) {
        int64_t t = cpu_ns();
        if (godata_mirror_next_page(b->m, b->now_us, out, &next_us))
            return true;
        note(b, cpu_ns() - t);
        must(b, store_commit(b->q, &b->e) == 0, "commit");
    }
    return false;
}

/* Hands a page over and commits, as the engine does. */
static void give(struct bench *b, const struct godata_page *page, const json_t *rows, bool is_timed)
{
    int64_t t = cpu_ns();
    must(b, godata_mirror_take_page(b->m, page, rows, b->now_us, &b->e) == 0, "take_page");
    if (is_timed)
        note(b, cpu_ns() - t);
    must(b, store_commit(b->q, &b->e) == 0, "commit");
    b->requests++;
}

/* Asks for pages and answers those of rounds and first looks with nothing, until everything of `list` is asked for. */
static struct godata_page wait_for_sweep(struct bench *b, enum godata_list list)
{
    struct godata_page page;
    json_t *none = json_array();
    for (;;) {
        must(b, next(b, &page), "no page wanted");
        bool is_sweep = !strstr(page.path, "deleted%22%3Atrue") && page.list == list;
        if (is_sweep)
            break;
        give(b, &page, none, false);
        godata_page_clear(&page);
    }
    json_decref(none);
    return page;
}

static void flush(struct bench *b, enum godata_list list)
{
    struct godata_page page = wait_for_sweep(b, list);
    give(b, &page, b->rows, true);
    godata_page_clear(&page);
    json_decref(b->rows);               /* the mirror may still need it */
    b->rows = json_array();
}

static void set(json_t *o, const char *key, struct span s)
{
    if (span_has(s))
        (void)json_object_set_new(o, key, json_stringn(s.p, s.n));
}

static json_t *stamped(struct bench *b)
{
    char iso[40];
    json_t *o = json_object();
    clock_format_iso(INT64_C(1778000000000000) + (int64_t)b->seen++ * 20000, iso, sizeof iso);
    (void)json_object_set_new(o, "createdAt", json_string(iso));
    (void)json_object_set_new(o, "updatedAt", json_string(iso));
    (void)json_object_set_new(o, "dbUpdatedAt", json_string(iso));
    (void)json_object_set_new(o, "deleted", json_false());
    return o;
}

static void add_person(void *ctx, const struct godata_person *p)
{
    struct bench *b = ctx;
    struct buf dob;
    json_t *o = stamped(b);
    buf_init(&dob, 64);
    set(o, "id", p->id);
    set(o, "visualId", p->visual_id);
    set(o, "lastName", p->last);
    set(o, "firstName", p->first);
    set(o, "middleName", p->middle);
    (void)json_object_set_new(o, "type", json_string(p->type == GODATA_CASE ? GODATA_PREFIX "PERSON_TYPE_CASE" : GODATA_PREFIX "PERSON_TYPE_CONTACT"));
    (void)json_object_set_new(o, "gender", json_string(p->sex == 'F' ? GODATA_PREFIX "GENDER_FEMALE" : GODATA_PREFIX "GENDER_MALE"));
    if (p->born.prec == 'D') {
        godata_born_format(&p->born, &dob);
        buf_adds(&dob, "T00:00:00.000Z");
        (void)json_object_set_new(o, "dob", json_string(dob.p));
    }
    if (p->n_documents)
        (void)json_object_set_new(o, "documents", json_pack("[{s:s, s:s%}]", "type", GODATA_DOCUMENT_PREFIX "NATIONAL_ID_CARD", "number", p->documents[0].number.p,
                                                            p->documents[0].number.n));
    (void)json_array_append_new(b->rows, o);
    buf_clear(&dob);
    if (json_array_size(b->rows) == PAGE)
        flush(b, GODATA_LIST_PEOPLE);
}

static void add_lab(struct bench *b, size_t i, size_t people)
{
    char text[96];
    json_t *o = stamped(b);
    (void)snprintf(text, sizeof text, "10000000-0000-4000-8000-%012zu", i);
    (void)json_object_set_new(o, "id", json_string(text));
    (void)snprintf(text, sizeof text, "00000000-0000-4000-8000-%012zu", i * 7919 % people);
    (void)json_object_set_new(o, "personId", json_string(text));
    (void)json_object_set_new(o, "personType", json_string(GODATA_PREFIX "PERSON_TYPE_CASE"));
    (void)snprintf(text, sizeof text, "S-%zu", i / 2);
    (void)json_object_set_new(o, "sampleIdentifier", json_string(text));
    (void)json_object_set_new(o, "testedFor", json_string("Ebola virus"));
    (void)json_object_set_new(o, "testType", json_string(GODATA_PREFIX "TYPE_OF_LAB_TEST_RT_PCR"));
    (void)json_object_set_new(o, "result", json_string(GODATA_PREFIX "LAB_TEST_RESULT_NEGATIVE"));
    (void)json_object_set_new(o, "dateSampleTaken", json_string("2026-05-04T00:00:00.000Z"));
    (void)snprintf(text, sizeof text, "[labrelay %08zx]\nEbola virus RNA = Not detected\n[/labrelay]", (i * 2654435761u) & 0xffffffff);
    (void)json_object_set_new(o, "notes", json_string(text));
    (void)json_array_append_new(b->rows, o);
    if (json_array_size(b->rows) == PAGE)
        flush(b, GODATA_LIST_LABS);
}

static void open_mirror(struct bench *b)
{
    must(b, store_open(&b->q, &b->conf, &b->e) == 0, "store");
    b->m = godata_mirror_open(b->q, "godata", &b->o);
    must(b, godata_mirror_set_outbreak(b->m, SPAN_LIT("5ab0c000-0000-4000-8000-000000000001"), SPAN_LIT("CASE-2025-999999"), SPAN_ABSENT, SPAN_ABSENT, &b->e) == 0,
         "outbreak");
    must(b, store_commit(b->q, &b->e) == 0, "commit");
}

static void close_mirror(struct bench *b)
{
    godata_mirror_close(b->m);
    store_close(b->q);
}

static void remove_store(const struct bench *b)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[340];
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", b->path, ends[i]);
        (void)unlink(name);
    }
    (void)rmdir(b->dir);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static long peak_mb(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

/* ICU loads its tables at the first name in a script: once in a process, told apart from the pages. */
static double first_names(struct bench *b)
{
    const struct godata_person somebody = {.id = SPAN_LIT("?"), .last = SPAN_LIT("A \u0410 \u0627 \u1230"), .first = SPAN_LIT("\u1019 \u0928 \u738b")};
    int64_t t = cpu_ns();
    godata_people_put(godata_mirror_people(b->m), &somebody);
    (void)godata_people_drop(godata_mirror_people(b->m), somebody.id);
    return (double)(cpu_ns() - t) / 1e6;
}

static void first_load(struct bench *b, size_t people)
{
    b->rows = json_array();
    crowd_each("lists.tsv", people, add_person, b);
    flush(b, GODATA_LIST_PEOPLE);
    for (size_t i = 0; i < people; i++)
        add_lab(b, i, people);
    flush(b, GODATA_LIST_LABS);
    json_decref(b->rows);
    struct godata_page page;
    json_t *none = json_array();
    while (next(b, &page)) {            /* the last slices, and the first round */
        give(b, &page, none, false);
        godata_page_clear(&page);
    }
    json_decref(none);
}

/* How many requests a round of an outbreak at rest takes, and that a round makes no change. */
static double rounds_at_rest(struct bench *b)
{
    json_t *none = json_array();
    size_t before = b->requests, rounds = 0;
    uint64_t changes = godata_mirror_changes(b->m);
    for (int i = 0; i < 40; i++) {
        struct godata_page page;
        b->now_us += 15 * SECOND;
        while (next(b, &page)) {
            give(b, &page, none, false);
            godata_page_clear(&page);
        }
        rounds++;
    }
    json_decref(none);
    must(b, godata_mirror_changes(b->m) == changes, "a round at rest made changes");
    return (double)(b->requests - before) / (double)rounds;
}

static bool look_ups(struct bench *b, size_t people)
{
    int64_t *took = xcalloc(LOOKS, sizeof *took);
    struct crowd_pairs pairs;
    bool ok = true;
    crowd_pairs_load(&pairs, "pairs.tsv");
    for (size_t i = 0; i < LOOKS; i++) {
        char number[64];
        struct godata_people_match found;
        (void)snprintf(number, sizeof number, "CASE-2025-%06zu", i * 7919 % people);
        struct godata_person_key key = {GODATA_BY_VISUAL_ID, SPAN_ABSENT, span_of(number)};
        struct godata_subject s = {.keys = &key, .n_keys = 1};
        int64_t t = cpu_ns();
        godata_people_match(godata_mirror_people(b->m), &s, &found);
        took[i] = cpu_ns() - t;
        ok &= found.state == GODATA_MATCH_SURE;
    }
    ok &= report("person by visual id", took, LOOKS, 50000);
    for (size_t i = 0; i < LOOKS; i++) {
        struct godata_person_key keys[4];
        struct godata_subject s;
        struct godata_people_match found;
        crowd_subject(&pairs.v[i % pairs.n], &s, keys);
        int64_t t = cpu_ns();
        godata_people_candidates(godata_mirror_people(b->m), &s, &found);
        took[i] = cpu_ns() - t;
    }
    ok &= report("person by name", took, LOOKS, 5000000);
    for (size_t i = 0; i < LOOKS; i++) {
        char sample[64];
        const struct godata_mirror_lab *v;
        size_t n;
        (void)snprintf(sample, sizeof sample, "S-%zu", i * 7919 % (people / 2));
        int64_t t = cpu_ns();
        must(b, godata_mirror_labs_of_sample(b->m, span_of(sample), &v, &n, &b->e) == 0, "look-up");
        took[i] = cpu_ns() - t;
        ok &= n == 2;
    }
    ok &= report("lab results by sample", took, LOOKS, 200000);
    crowd_pairs_clear(&pairs);
    free(took);
    return ok;
}

int main(int argc, char **argv)
{
    size_t people = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    const char *tmp = getenv("TMPDIR");
    struct bench b = {.now_us = INT64_C(1778100000000000), .e = ERR_INIT};
    char url[] = "https://godata.example/api";
    bool ok = true;
    if (people < 2)
        return 1;
    (void)snprintf(b.dir, sizeof b.dir, "%s/labrelay-mirror-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(b.dir))
        return 1;
    (void)snprintf(b.path, sizeof b.path, "%s/store.db", b.dir);
    b.conf.path = b.path;
    b.o.url = url;
    open_mirror(&b);
    (void)printf("the first names in five scripts take %.0f ms, once\n", first_names(&b));
    int64_t begin = clock_mono_us();
    first_load(&b, people);
    double load = (double)(clock_mono_us() - begin) / 1e6;
    ok &= godata_mirror_is_loaded(b.m) && godata_people_count(godata_mirror_people(b.m)) == people;
    (void)printf("%zu people and as many lab results: first load %.1f s with %zu requests (no network), %ld MB at most (bar 150 MB)\n", people, load, b.requests, peak_mb());
    ok &= report("a slice of a page in the engine", b.took, b.n_took, 5000000);
    double rest = rounds_at_rest(&b);
    (void)printf("at rest: %.2f requests a round (bar 2)\n", rest);
    ok &= rest <= 2.0;
    close_mirror(&b);
    (void)printf("the store: %.0f MB\n", (double)size_of(b.path) / 1e6);
    begin = clock_mono_us();
    int64_t cpu = cpu_ns();
    open_mirror(&b);
    double restart = (double)(cpu_ns() - cpu) / 1e9;
    ok &= godata_mirror_is_loaded(b.m) && godata_people_count(godata_mirror_people(b.m)) == people;
    (void)printf("restart: everything is back after %.2f s of CPU time, %.2f s in all (bar 2 s at 200000)\n", restart, (double)(clock_mono_us() - begin) / 1e6);
    ok &= restart < 2.0;
    ok &= look_ups(&b, people);
    long peak = peak_mb();
    (void)printf("%ld MB at most, two loads and all look-ups included (bar 150 MB)\n", peak);
    ok &= peak < 150;
    (void)printf("%s\n", ok ? "all bars kept" : "WRONG: a bar is missed");
    close_mirror(&b);
    remove_store(&b);
    free(b.took);
    return ok ? 0 : 1;
}
