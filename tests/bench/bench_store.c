/*
 * NAME bench_store - durable messages a second and the p99 of a commit, for batches of 1, 8 and 64.
 *
 * A message is its raw bytes (2 kB), 10 deliveries with body and person (about 800 bytes each), an account and two counters: what one
 * ORU^R01 with 10 OBX writes. `store` goes through store.h as the engine does: duplicate look-up, open deliveries and target of each key,
 * puts, commit. `bare` puts the same rows of the same bytes into the same tables with the same settings and commits, by statements bound
 * straight to ready values: no look-ups, no words, no hashing. It is the limit that the engine is measured against.
 *
 *   bench_store [--bare | --store] [--batch N] [--messages N] [--deliveries N] [--bytes N] [--dir DIR] [--json]
 *
 * DIAGNOSTICS exit 1 with the store's or SQLite's words.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "store.h"
#include "text.h"
#include "xmem.h"

struct bench {
    const char *dir;
    size_t batch, messages, deliveries, bytes;
    bool is_json;
    char *path;
    struct store_conf conf;
    char *raw, *body, *who;
    int64_t *took;              /* of each commit */
    size_t commits;
    int64_t total_us;
};

static void die(const char *what, const char *text)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, text);
    exit(1);
}

static char *filled(size_t n, const char *with)
{
    char *p = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = with[i % strlen(with)];
    p[n] = '\0';
    return p;
}

static void remove_store(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < 4; i++) {
        struct buf name;
        buf_init(&name, 4096);
        buf_addf(&name, "%s%s", path, ends[i]);
        (void)unlink(name.p);
        buf_clear(&name);
    }
}

/* The same invented key for a message and place in both ways, well spread. */
static void key_of(size_t message, size_t place, unsigned char sum[32], char hex[65])
{
    uint64_t v[2] = {message, place};
    text_sha256(v, sizeof v, sum);
    text_hex(sum, 32, hex);
}

/* ---- through the store ---- */

static void put_one(struct bench *b, struct store *q, size_t i, struct err *e)
{
    char control[24], hex[65];
    unsigned char sum[32];
    enum message_state st;
    int64_t now = clock_now_us(), old;
    bool reused;
    (void)snprintf(control, sizeof control, "MSG%08zu", i);
    struct store_message m = {.channel = "district-lab", .source_app = SPAN_LIT("ANALYZER"), .source_facility = SPAN_LIT("NORTH"), .control_id = span_of(control),
                              .kind = SPAN_LIT("ORU^R01"), .received_us = now, .peer = "10.20.3.4", .reason = "", .raw = span_make(b->raw, b->bytes),
                              .observations = (unsigned)b->deliveries + 1, .config = 1};
    memcpy(b->raw, control, strlen(control));
    text_sha256(b->raw, b->bytes, m.sha256);
    if (store_find_duplicate(q, &m, now - INT64_C(30) * 86400 * 1000000, &old, &st, &reused, e) || store_put_message(q, &m, e) ||
        store_count(q, "district-lab", "received", 1, e) || store_count(q, "district-lab", "stored", 1, e) || store_account(q, m.id, "part-of", "", 1, e))
        die(e->where, e->text);
    for (size_t k = 0; k < b->deliveries; k++) {
        struct store_target t;
        struct delivery *open;
        size_t n;
        char path[32], lane[48];
        key_of(i, k, sum, hex);
        (void)snprintf(path, sizeof path, "OBX[%zu]", k + 1);
        (void)snprintf(lane, sizeof lane, "godata/s:S-%zu", i);
        struct delivery d = {.message_id = m.id, .observation_index = (unsigned)k, .parts = 1, .path = path, .route = (char *)(uintptr_t)"ebola-results", .config = 1,
                             .writer = (char *)(uintptr_t)"godata", .lane = lane, .result_key = hex, .issued_us = now, .rank = RANK_FINAL, .who = b->who,
                             .body = b->body, .state = DELIVERY_READY, .step = STEP_FIND, .next_us = now, .updated_us = now};
        if (store_find_open(q, hex, &open, &n, e) || store_get_target(q, hex, &t, e) < 0 || store_put_delivery(q, &d, e))
            die(e->where, e->text);
        deliveries_free(open, n);
    }
}

static void run_store(struct bench *b)
{
    struct store *q;
    struct err e = ERR_INIT;
    if (store_open(&q, &b->conf, &e))
        die(e.where, e.text);
    int64_t start = clock_mono_us();
    for (size_t i = 0; i < b->messages;) {
        for (size_t k = 0; k < b->batch && i < b->messages; k++, i++)
            put_one(b, q, i, &e);
        int64_t t = clock_mono_us();
        if (store_commit(q, &e))
            die(e.where, e.text);
        b->took[b->commits++] = clock_mono_us() - t;
    }
    b->total_us = clock_mono_us() - start;
    store_close(q);
}

/* ---- bare ---- */

enum { BARE_MESSAGE, BARE_RAW, BARE_ACCOUNT, BARE_COUNTER, BARE_DELIVERY, BARE_TEXT, BARE_BEGIN, BARE_COMMIT, BARE_N };
static const char *const bare_sql[BARE_N] = {
    [BARE_MESSAGE] = "INSERT INTO message(id,channel,state,received_us,dup_key,sha256,control_id,kind,peer,reason,raw_n,observations,warnings,config)"
                     " VALUES(?1,1,0,?2,?3,?4,?5,'ORU^R01','10.20.3.4','',?6,?7,0,1)",
    [BARE_RAW] = "INSERT INTO raw(message,bytes) VALUES(?1,?2)",
    [BARE_ACCOUNT] = "INSERT INTO account(message,fate,reason,n) VALUES(?1,2,0,1)",
    [BARE_COUNTER] = "INSERT INTO counter(channel,what,n) VALUES(1,?1,?2) ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [BARE_DELIVERY] = "INSERT INTO delivery(id,message,record,observation,parts,path,route,config,writer,lane,key8,key,issued_us,rank,state,step,tries,next_us,"
                      "reason,person_id,person_type,remote_id,updated_us) VALUES(?1,?2,0,?3,1,?4,3,1,4,?5,?6,?7,?8,2,0,0,0,?8,0,'',0,'',?8)",
    [BARE_TEXT] = "INSERT INTO delivery_text(id,who,body,detail) VALUES(?1,?2,?3,'')",
    [BARE_BEGIN] = "BEGIN IMMEDIATE",
    [BARE_COMMIT] = "COMMIT",
};

struct bare { sqlite3 *db; sqlite3_stmt *s[BARE_N]; int64_t delivery; int log_pages; };

static int on_log(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct bare *)ctx)->log_pages = pages;
    return SQLITE_OK;
}

static void step(struct bare *x, int which)
{
    if (sqlite3_step(x->s[which]) != SQLITE_DONE)
        die("bare", sqlite3_errmsg(x->db));
    (void)sqlite3_reset(x->s[which]);
}

static int64_t number_of(const unsigned char sum[32])
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | sum[i];
    return (int64_t)v;
}

static void bare_one(struct bench *b, struct bare *x, size_t i, int64_t now, unsigned char (*key)[32])
{
    char control[32], path[32], lane[48];
    sqlite3_stmt *m = x->s[BARE_MESSAGE], *d = x->s[BARE_DELIVERY], *t = x->s[BARE_TEXT];
    int64_t id = (int64_t)i + 1;
    (void)snprintf(control, sizeof control, "MSG%08zu", i);
    (void)snprintf(lane, sizeof lane, "godata/s:S-%zu", i);
    (void)sqlite3_bind_int64(m, 1, id);
    (void)sqlite3_bind_int64(m, 2, now);
    (void)sqlite3_bind_int64(m, 3, number_of(key[b->deliveries]));
    (void)sqlite3_bind_blob(m, 4, key[b->deliveries], 32, SQLITE_STATIC);
    (void)sqlite3_bind_text(m, 5, control, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(m, 6, (int64_t)b->bytes);
    (void)sqlite3_bind_int64(m, 7, (int64_t)b->deliveries + 1);
    step(x, BARE_MESSAGE);
    (void)sqlite3_bind_int64(x->s[BARE_RAW], 1, id);
    (void)sqlite3_bind_blob64(x->s[BARE_RAW], 2, b->raw, b->bytes, SQLITE_STATIC);
    step(x, BARE_RAW);
    (void)sqlite3_bind_int64(x->s[BARE_ACCOUNT], 1, id);
    step(x, BARE_ACCOUNT);
    for (size_t k = 0; k < b->deliveries; k++) {
        (void)snprintf(path, sizeof path, "OBX[%zu]", k + 1);
        x->delivery++;
        (void)sqlite3_bind_int64(d, 1, x->delivery);
        (void)sqlite3_bind_int64(d, 2, id);
        (void)sqlite3_bind_int64(d, 3, (int64_t)k);
        (void)sqlite3_bind_text(d, 4, path, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(d, 5, lane, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(d, 6, number_of(key[k]));
        (void)sqlite3_bind_blob(d, 7, key[k], 32, SQLITE_STATIC);
        (void)sqlite3_bind_int64(d, 8, now);
        step(x, BARE_DELIVERY);
        (void)sqlite3_bind_int64(t, 1, x->delivery);
        (void)sqlite3_bind_text(t, 2, b->who, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(t, 3, b->body, -1, SQLITE_STATIC);
        step(x, BARE_TEXT);
    }
}

static void bare_open(struct bench *b, struct bare *x)
{
    struct store *q;
    struct err e = ERR_INIT;
    if (store_open(&q, &b->conf, &e))       /* makes the file and its tables */
        die(e.where, e.text);
    store_close(q);
    if (sqlite3_open_v2(b->path, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_exec(x->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=0;"
                            "PRAGMA foreign_keys=OFF; PRAGMA mmap_size=0; PRAGMA journal_size_limit=33554432", NULL, NULL, NULL) != SQLITE_OK)
        die("bare", sqlite3_errmsg(x->db));
    (void)sqlite3_wal_hook(x->db, on_log, x);
    for (int i = 0; i < BARE_N; i++)
        if (sqlite3_prepare_v3(x->db, bare_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &x->s[i], NULL) != SQLITE_OK)
            die("bare", sqlite3_errmsg(x->db));
}

static void run_bare(struct bench *b)
{
    struct bare x = {0};
    unsigned char (*key)[32] = xcalloc((b->deliveries + 1) * b->batch, 32);
    char hex[65];
    int64_t now = clock_now_us();
    bare_open(b, &x);
    for (size_t i = 0; i < b->messages;) {
        size_t n = b->messages - i < b->batch ? b->messages - i : b->batch;
        for (size_t k = 0; k < n; k++)      /* the keys are ready before the clock starts */
            for (size_t j = 0; j <= b->deliveries; j++)
                key_of(i + k, j, key[k * (b->deliveries + 1) + j], hex);
        int64_t start = clock_mono_us(), t;
        step(&x, BARE_BEGIN);
        for (size_t k = 0; k < n; k++, i++)
            bare_one(b, &x, i, now, &key[k * (b->deliveries + 1)]);
        t = clock_mono_us();
        for (int w = 1; w <= 2; w++) {
            (void)sqlite3_bind_int64(x.s[BARE_COUNTER], 1, w);
            (void)sqlite3_bind_int64(x.s[BARE_COUNTER], 2, (int64_t)n);
            step(&x, BARE_COUNTER);
        }
        step(&x, BARE_COMMIT);
        if (x.log_pages >= STORE_LOG_PAGES_MAX) {   /* as the store does */
            (void)sqlite3_wal_checkpoint_v2(x.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            x.log_pages = 0;
        }
        int64_t end = clock_mono_us();
        b->took[b->commits++] = end - t;
        b->total_us += end - start;
    }
    for (int i = 0; i < BARE_N; i++)
        (void)sqlite3_finalize(x.s[i]);
    (void)sqlite3_close(x.db);
    free(key);
}

/* ---- report ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double measure(struct bench *b, bool is_bare)
{
    remove_store(b->path);
    b->took = xcalloc(b->messages, sizeof *b->took);
    b->commits = 0;
    b->total_us = 0;
    (is_bare ? run_bare : run_store)(b);
    qsort(b->took, b->commits, sizeof *b->took, by_value);
    double rate = (double)b->messages * 1e6 / (double)b->total_us;
    double p50 = (double)b->took[b->commits / 2] / 1e3, p99 = (double)b->took[b->commits * 99 / 100] / 1e3, worst = (double)b->took[b->commits - 1] / 1e3;
    printf(b->is_json ? "{\"way\":\"%s\",\"batch\":%zu,\"messages_per_s\":%.0f,\"commit_p50_ms\":%.2f,\"commit_p99_ms\":%.2f,\"commit_max_ms\":%.2f}\n"
                      : "%-6s batch %-4zu %8.0f messages/s   commit p50 %7.2f ms   p99 %7.2f ms   max %7.2f ms\n",
           is_bare ? "bare" : "store", b->batch, rate, p50, p99, worst);
    (void)fflush(stdout);
    free(b->took);
    remove_store(b->path);
    return rate;
}

static size_t number(const char *name, const char *text)
{
    int64_t v;
    if (!text || !span_int(span_of(text), &v) || v <= 0)
        die(name, "needs a number above 0");
    return (size_t)v;
}

int main(int argc, char **argv)
{
    struct bench b = {.dir = "/tmp", .deliveries = 10, .bytes = 2048};
    static const size_t batches[] = {1, 8, 64}, messages[] = {1500, 8000, 32000};
    bool is_bare = true, is_store = true;
    struct { const char *name; size_t *value; } numbers[] = {{"--batch", &b.batch}, {"--messages", &b.messages}, {"--deliveries", &b.deliveries}, {"--bytes", &b.bytes}};
    for (int i = 1; i < argc; i++) {
        bool is_known = true;
        if (strcmp(argv[i], "--bare") == 0)
            is_store = false;
        else if (strcmp(argv[i], "--store") == 0)
            is_bare = false;
        else if (strcmp(argv[i], "--json") == 0)
            b.is_json = true;
        else if (strcmp(argv[i], "--dir") == 0 && argv[i + 1])
            b.dir = argv[++i];
        else {
            is_known = false;
            for (size_t k = 0; k < 4; k++)
                if (strcmp(argv[i], numbers[k].name) == 0) {
                    *numbers[k].value = number(argv[i], argv[i + 1]);
                    i++;
                    is_known = true;
                    break;
                }
        }
        if (!is_known)
            die(argv[i], "unknown; see the head of tests/bench/bench_store.c");
    }
    if (b.bytes < 64)
        die("--bytes", "at least 64");
    struct buf path;
    buf_init(&path, 4096);
    buf_addf(&path, "%s/bench_store.%ld.db", b.dir, (long)getpid());
    b.path = buf_take(&path, NULL);
    b.conf.path = b.path;
    b.raw = filled(b.bytes, "OBX|1|NM|94500-6^SARS-CoV-2^LN||1.00|IU/mL|||||F\r");
    b.body = filled(640, "{\"sampleIdentifier\":\"S-1\",\"result\":\"LNG_REFERENCE\"}");
    b.who = filled(160, "{\"documents\":[{\"type\":\"X\",\"number\":\"1\"}]}");
    size_t asked_batch = b.batch, asked_messages = b.messages;
    for (size_t i = 0; i < 3; i++) {
        double bare = 0, store = 0;
        if (asked_batch && i > 0)
            break;
        b.batch = asked_batch ? asked_batch : batches[i];
        b.messages = asked_messages ? asked_messages : asked_batch ? 100 * asked_batch : messages[i];
        if (is_bare)
            bare = measure(&b, true);
        if (is_store)
            store = measure(&b, false);
        if (is_bare && is_store && !b.is_json)
            printf("       the store reaches %.0f %% of bare\n", 100 * store / bare);
    }
    free(b.path);
    free(b.raw);
    free(b.body);
    free(b.who);
    return 0;
}
