/*
 * NAME bench_trace - how long store_trace() and the list of the queue take with many stored messages.
 *
 *   bench_trace [--messages N] [--dir DIR] [--max-ms N] [--held-every N] [--ready N]
 *
 * Builds a store of N (1,000,000) messages with one delivery each, 1 in 1000 of them held and the last N ready (0), then looks for a sample id, a control id and a K
 * of the first, a middle and the last message, for what is not there, and lists what is held. Median of 5; the store is read through a
 * connection of its own each time, as the verbs do; the queue state by state, as the verb queue does. DIAGNOSTICS exit 1 when a median is over --max-ms (100) or an answer is wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "store.h"
#include "text.h"
#include "xmem.h"

static void die(const char *what, const char *text)
{
    (void)fprintf(stderr, "bench_trace: %s: %s\n", what, text);
    exit(1);
}

static void hash_key(size_t i, char hex[65])
{
    unsigned char sum[32];
    text_sha256(&i, sizeof i, sum);
    text_hex(sum, 32, hex);
}

static int64_t held_every = 1000, n_ready;

static enum delivery_state state_at(size_t i, size_t n)
{
    if (i >= n - (size_t)n_ready)
        return DELIVERY_READY;
    return i % (size_t)held_every == 0 ? DELIVERY_HELD : DELIVERY_DELIVERED;
}

static void put(struct store *q, size_t i, size_t n, int64_t now, struct err *e)
{
    static char raw[600];
    char control[24], hex[65], who[300], lane[48];
    (void)snprintf(control, sizeof control, "MSG%08zu", i);
    (void)snprintf(lane, sizeof lane, "godata/s:S-%zu", i);
    (void)snprintf(who, sizeof who, "{\"sample\":\"S-%zu\",\"sample_day\":\"2026-11-04\",\"ids\":[{\"role\":\"visual-id\",\"value\":\"CA-%zu\",\"path\":\"PID-3\"}],"
                   "\"family\":\"Family%zu\",\"given\":\"Given\",\"birth_date\":\"1988-03-14\",\"sex\":\"female\",\"flags\":[]}", i, i / 3, i % 5000);
    if (!raw[0])
        memset(raw, 'x', sizeof raw);
    struct store_message m = {.channel = "lab", .source_app = SPAN_LIT("DEV"), .source_facility = SPAN_LIT("LAB"), .control_id = span_of(control),
                              .kind = SPAN_LIT("ORU^R01"), .received_us = now, .peer = "10.2.3.4", .reason = "", .raw = span_make(raw, sizeof raw),
                              .observations = 1, .config = 1};
    hash_key(i, hex);
    memcpy(m.sha256, hex, 32);
    enum delivery_state state = state_at(i, n);
    struct delivery d = {.parts = 1, .path = (char *)(uintptr_t)"OBX[1]", .route = (char *)(uintptr_t)"results", .config = 1, .writer = (char *)(uintptr_t)"godata",
                         .lane = lane, .result_key = hex, .issued_us = now, .rank = RANK_FINAL, .who = who, .body = (char *)(uintptr_t)"{}",
                         .state = state, .reason = (char *)(uintptr_t)(state == DELIVERY_HELD ? "NO_MATCH" : ""), .next_us = now, .updated_us = now};
    if (store_put_message(q, &m, e))
        die(e->where, e->text);
    d.message_id = m.id;
    if (store_put_delivery(q, &d, e))
        die(e->where, e->text);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The verb queue: the first 100 of each open state. */
static size_t list_queue(struct store_reader *r, struct err *e)
{
    static const char *const states[] = {"claimed", "ready", "waiting", "held"};
    size_t all = 0, n;
    for (size_t i = 0; i < 4; i++) {
        struct store_filter f = {.state = states[i], .limit = 100};
        struct delivery *v;
        if (store_list_deliveries(r, &f, &v, &n, e))
            die(e->where, e->text);
        deliveries_free(v, n);
        all += n;
    }
    return all;
}

/* The median in microseconds; key NULL: the list of what is held; "": the queue. */
static int64_t took(const char *path, const char *key, size_t want)
{
    int64_t us[5];
    for (size_t i = 0; i < 5; i++) {
        struct store_reader *r;
        struct err e = ERR_INIT;
        size_t n;
        int64_t start = clock_mono_us();
        if (store_reader_open(&r, path, &e))
            die(e.where, e.text);
        if (key && !*key) {
            n = list_queue(r, &e);
        } else if (key) {
            int64_t *ids;
            if (store_trace(r, key, 1000, &ids, &n, &e))
                die(e.where, e.text);
            free(ids);
        } else {
            struct store_filter f = {.state = "held", .limit = 1000};
            struct delivery *v;
            if (store_list_deliveries(r, &f, &v, &n, &e))
                die(e.where, e.text);
            deliveries_free(v, n);
        }
        store_reader_close(r);
        us[i] = clock_mono_us() - start;
        if (n != want)
            die(key ? key : "held", "wrong answer");
    }
    qsort(us, 5, sizeof us[0], by_time);
    return us[2];
}

int main(int argc, char **argv)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    const char *dir = "/tmp";
    int64_t messages = 1000000, max_ms = 100, worst = 0;
    struct err e = ERR_INIT;
    struct store *q;
    char path[300], key[80], hex[65];
    for (int i = 1; i + 1 < argc; i += 2) {
        bool is_good = true;
        if (strcmp(argv[i], "--messages") == 0)
            is_good = span_int(span_of(argv[i + 1]), &messages) && messages >= 1000;
        else if (strcmp(argv[i], "--max-ms") == 0)
            is_good = span_int(span_of(argv[i + 1]), &max_ms);
        else if (strcmp(argv[i], "--held-every") == 0)
            is_good = span_int(span_of(argv[i + 1]), &held_every) && held_every > 0;
        else if (strcmp(argv[i], "--ready") == 0)
            is_good = span_int(span_of(argv[i + 1]), &n_ready) && n_ready >= 0;
        else if (strcmp(argv[i], "--dir") == 0)
            dir = argv[i + 1];
        else
            is_good = false;
        if (!is_good)
            die(argv[i], "see the head of bench_trace.c");
    }
    (void)snprintf(path, sizeof path, "%s/labrelay-trace-%ld.db", dir, (long)getpid());
    struct store_conf conf = {.path = path};
    if (store_open(&q, &conf, &e))
        die(e.where, e.text);
    int64_t start = clock_mono_us(), now = clock_now_us();
    for (size_t i = 0; i < (size_t)messages; i++) {
        put(q, i, (size_t)messages, now + (int64_t)i, &e);
        if (i % 1000 == 999 && store_commit(q, &e))
            die(e.where, e.text);
    }
    if (store_commit(q, &e))
        die(e.where, e.text);
    store_close(q);
    printf("%" PRId64 " messages built in %.1f s\n", messages, (double)(clock_mono_us() - start) / 1e6);
    size_t held = 0;
    for (size_t i = 0; i < (size_t)messages; i++)
        held += state_at(i, (size_t)messages) == DELIVERY_HELD;
    struct { const char *what; size_t i, want; bool is_k; const char *form; } looks[] = {
        {"sample, first", 0, 1, false, "S-%zu"}, {"sample, middle", (size_t)messages / 2, 1, false, "S-%zu"}, {"sample, last", (size_t)messages - 1, 1, false, "S-%zu"},
        {"visual id, three messages", 5, 3, false, "CA-%zu"}, {"control id, middle", (size_t)messages / 2, 1, false, "MSG%08zu"},
        {"K, middle", (size_t)messages / 2, 1, true, ""}, {"not there", (size_t)messages * 7, 0, false, "S-%zu"},
    };
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        if (looks[i].is_k) {
            hash_key(looks[i].i, hex);
            memcpy(key, hex, 65);
        } else if (strcmp(looks[i].form, "S-%zu") == 0) {
            (void)snprintf(key, sizeof key, "S-%zu", looks[i].i);
        } else if (strcmp(looks[i].form, "CA-%zu") == 0) {
            (void)snprintf(key, sizeof key, "CA-%zu", looks[i].i);
        } else {
            (void)snprintf(key, sizeof key, "MSG%08zu", looks[i].i);
        }
        int64_t us = took(path, key, looks[i].want);
        worst = us > worst ? us : worst;
        printf("%-28s %7.1f ms\n", looks[i].what, (double)us / 1000);
    }
    int64_t queue_us = took(path, "", (held < 100 ? held : 100) + (size_t)(n_ready < 100 ? n_ready : 100));
    worst = queue_us > worst ? queue_us : worst;
    printf("%-28s %7.1f ms, %zu held, %" PRId64 " ready\n", "queue", (double)queue_us / 1000, held, n_ready);
    int64_t us = took(path, NULL, held < 1000 ? held : 1000);
    worst = us > worst ? us : worst;
    printf("%-28s %7.1f ms\nworst %.1f ms, bar %" PRId64 " ms\n", "queue: what is held", (double)us / 1000, (double)worst / 1000, max_ms);
    for (size_t i = 0; i < 4; i++) {
        char name[320];
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    return worst > max_ms * 1000;
}
