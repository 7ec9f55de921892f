/*
 * NAME bench_names - how fast the people of an outbreak are found: by identifier and by name, and how long they take to load.
 *
 *   bench_names [PEOPLE [LOOK-UPS]]        (200000 and 2000 without arguments)
 *
 * The messages are the pairs of tests/names without their identifiers, among invented people of the same lists. Bars: 50 us by id, 5 ms by name
 * (p99 of CPU time), 2 s to load, 150 MB.
 * DIAGNOSTICS exit 1 when a bar is missed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "names_crowd.h"
#include "xmem.h"

static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static bool report(const char *what, int64_t *v, size_t n, int64_t bar_ns)
{
    qsort(v, n, sizeof *v, by_size);
    (void)printf("%-28s p50 %8.3f us   p99 %8.3f us   max %9.3f us   bar %.0f us\n", what, (double)v[n / 2] / 1e3, (double)v[n * 99 / 100] / 1e3, (double)v[n - 1] / 1e3, (double)bar_ns / 1e3);
    return v[n * 99 / 100] <= bar_ns;
}

int main(int argc, char **argv)
{
    size_t people = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000, looks = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    struct godata_people *p = godata_people_new();
    struct crowd_pairs pairs;
    struct rusage usage;
    bool ok = true;
    int64_t *took = xcalloc(looks ? looks : 1, sizeof *took), begin = cpu_ns();
    if (people == 0 || looks == 0)
        return 1;
    crowd_fill(p, "lists.tsv", people);
    double load = (double)(cpu_ns() - begin) / 1e9;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%zu people: loaded in %.2f s (bar 2 s at 200000), %ld MB (bar 150 MB)\n", godata_people_count(p), load, usage.ru_maxrss / 1024);
    ok &= load <= 2.0 * (people > 200000 ? (double)people / 200000 : 1) && usage.ru_maxrss / 1024 < 150;
    crowd_pairs_load(&pairs, "pairs.tsv");
    for (size_t i = 0; i < looks; i++) {
        char number[64];
        struct godata_people_match m;
        (void)snprintf(number, sizeof number, "CASE-2025-%06zu", i * 7919 % people);
        struct godata_person_key key = {GODATA_BY_VISUAL_ID, SPAN_ABSENT, span_of(number)};
        struct godata_subject s = {.keys = &key, .n_keys = 1};
        int64_t t = cpu_ns();
        godata_people_match(p, &s, &m);
        took[i] = cpu_ns() - t;
        ok &= m.state == GODATA_MATCH_SURE;
    }
    ok &= report("by visual id", took, looks, 50000);
    for (size_t i = 0; i < looks; i++) {
        struct godata_person_key keys[4];
        struct godata_subject s;
        struct godata_people_match m;
        crowd_subject(&pairs.v[i % pairs.n], &s, keys);
        int64_t t = cpu_ns();
        godata_people_candidates(p, &s, &m);
        took[i] = cpu_ns() - t;
    }
    ok &= report("by name", took, looks, 5000000);
    (void)printf("%s\n", ok ? "all bars kept" : "WRONG: a bar is missed");
    crowd_pairs_clear(&pairs);
    godata_people_free(p);
    free(took);
    return ok ? 0 : 1;
}
