/* store_test - what the store's test programs share: a store in a fresh folder, invented messages and deliveries. */
#ifndef LABRELAY_STORE_TEST_H
#define LABRELAY_STORE_TEST_H
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "fsutil.h"
#include "store.h"
#include "text.h"
#include "xmem.h"

#define SECOND INT64_C(1000000)
#define DAY (INT64_C(86400) * SECOND)
#define T0 INT64_C(1778000000000000)

struct place {
    char dir[256];
    char path[300];
    struct store_conf conf;
    struct store *q;
    struct err e;
};

#define OK(call)                                                                \
    do {                                                                        \
        if ((call) != 0)                                                        \
            fail_msg("%s: %s: %s", #call, p->e.where, p->e.text);               \
    } while (0)

static inline void place_make(struct place *p, const char *base)
{
    static const char dir[] = "/labrelay-store-XXXXXX", file[] = "/store.db";
    size_t n = strlen(base);
    *p = (struct place){.e = ERR_INIT};
    assert_true(n + sizeof dir <= sizeof p->dir);
    memcpy(p->dir, base, n);
    memcpy(p->dir + n, dir, sizeof dir);
    assert_non_null(mkdtemp(p->dir));
    n = strlen(p->dir);
    memcpy(p->path, p->dir, n);
    memcpy(p->path + n, file, sizeof file);
    p->conf.path = p->path;
}

static inline void place_remove(struct place *p)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[320];
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", p->path, ends[i]);
        (void)unlink(name);
    }
    if (rmdir(p->dir) != 0)
        print_error("%s is left behind\n", p->dir);
}

static inline int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    place_make(p, "/tmp");
    OK(store_open(&p->q, &p->conf, &p->e));
    *state = p;
    return 0;
}

static inline int tear_down(void **state)
{
    struct place *p = *state;
    store_close(p->q);
    place_remove(p);
    free(p);
    return 0;
}

static inline void reopen(struct place *p)
{
    store_close(p->q);
    OK(store_open(&p->q, &p->conf, &p->e));
}

static inline struct store_message message_of(const char *control, const char *raw)
{
    struct store_message m = {.channel = "lab", .source_app = SPAN_LIT("ANALYZER"), .source_facility = SPAN_LIT("NORTH"), .control_id = span_of(control),
                              .kind = SPAN_LIT("ORU^R01"), .received_us = T0, .peer = "10.2.3.4", .state = MESSAGE_STORED, .reason = "", .raw = span_of(raw),
                              .observations = 1, .config = 1};
    text_sha256(raw, strlen(raw), m.sha256);
    return m;
}

static inline int64_t put(struct place *p, const char *control)
{
    struct store_message m = message_of(control, control);
    OK(store_put_message(p->q, &m, &p->e));
    return m.id;
}

/* 64 hex digits that differ by n */
static inline const char *key_of(unsigned n, char out[65])
{
    unsigned char sum[32];
    text_sha256(&n, sizeof n, sum);
    text_hex(sum, 32, out);
    return out;
}

static inline struct delivery delivery_of(int64_t message, unsigned key, enum delivery_state state)
{
    char hex[65];
    struct delivery d = {.message_id = message, .observation_index = 2, .parts = 1, .config = 1, .issued_us = T0 - 5 * SECOND, .rank = RANK_FINAL, .state = state,
                         .step = STEP_FIND, .next_us = T0, .updated_us = T0};
    delivery_set(&d.path, "OBX[3]");
    delivery_set(&d.route, "ebola-results");
    delivery_set(&d.writer, "godata");
    delivery_set(&d.lane, "godata/s:S-77");
    delivery_set(&d.result_key, key ? key_of(key, hex) : "");
    delivery_set(&d.who, "{\"documents\":[\"AB-1\"]}");
    delivery_set(&d.body, "{\"sampleIdentifier\":\"S-77\",\"quantitativeResult\":\"1.00\"}");
    delivery_set(&d.reason, "");
    delivery_set(&d.detail, "");
    delivery_set(&d.person_id, "");
    delivery_set(&d.person_type, "");
    delivery_set(&d.remote_id, "");
    return d;
}

static inline int64_t deliver(struct place *p, int64_t message, unsigned key, enum delivery_state state)
{
    struct delivery d = delivery_of(message, key, state);
    OK(store_put_delivery(p->q, &d, &p->e));
    int64_t id = d.id;
    delivery_clear(&d);
    return id;
}

/* Moves a stored delivery. */
static inline int move_to(struct place *p, int64_t id, enum delivery_state state)
{
    struct delivery d;
    OK(store_get_delivery(p->q, id, &d, &p->e));
    d.state = state;
    int rc = store_update_delivery(p->q, &d, &p->e);
    delivery_clear(&d);
    return rc;
}

static inline int state_of(struct place *p, int64_t id)
{
    struct delivery d;
    int rc = store_get_delivery(p->q, id, &d, &p->e);
    if (rc != 0)
        return -1;
    rc = (int)d.state;
    delivery_clear(&d);
    return rc;
}

struct wanted { const char *a, *b; int64_t n; int hits; int64_t total; };

static inline void on_sum(void *ctx, const char *a, const char *b, int64_t n)
{
    struct wanted *w = ctx;
    w->total += n;
    if (strcmp(a, w->a) == 0 && strcmp(b, w->b) == 0) {
        w->n = n;
        w->hits++;
    }
}

/* n of the group (a, b), -1 when there is none */
static inline int64_t sum_of(struct place *p, enum store_sum what, const char *a, const char *b)
{
    struct store_reader *r;
    struct wanted w = {.a = a, .b = b, .n = -1};
    OK(store_reader_open(&r, p->path, &p->e));
    OK(store_sum(r, what, on_sum, &w, &p->e));
    store_reader_close(r);
    assert_true(w.hits <= 1);
    return w.n;
}

static inline int64_t total_of(struct place *p, enum store_sum what)
{
    struct store_reader *r;
    struct wanted w = {.a = "", .b = "", .n = -1};
    OK(store_reader_open(&r, p->path, &p->e));
    OK(store_sum(r, what, on_sum, &w, &p->e));
    store_reader_close(r);
    return w.total;
}

static inline off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}
#endif
