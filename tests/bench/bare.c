/*
 * NAME bare - the bare limit that the engine is measured against: same listener, frames, rows, bytes, commits and secure_delete, but no
 * parsing and no rules. The first frame is parsed once to learn what rows the engine writes for such a message; every later frame gets
 * copies of these rows with keys of its own, one commit for all that waits, and a canned AA.
 * usage: bare CONFIG     runs until SIGTERM, like `labrelay run`
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "log.h"
#include "loop.h"
#include "rule.h"
#include "store.h"
#include "xmem.h"

#define ROWS_MAX 64

struct bare {
    const struct config *conf;
    struct store *store;
    struct mailbox *inbox, *replies;
    struct delivery rows[ROWS_MAX];
    size_t n_rows;
    bool is_learnt;
    uint64_t counter;
    int stop;
};

static char *copy_of(struct span s)
{
    return xstrndup(s.n ? s.p : "", s.n);
}

static void learn(struct bare *b, const struct frame *f)
{
    const struct listener_conf *lc = &b->conf->listeners[0];
    struct arena *a = arena_new((size_t)16 << 20);
    struct parse_result pr = {.n = 0};
    struct err e = ERR_INIT;
    if (lc->parser->parse(lc->parser_options, span_make(f->raw, f->raw_n), a, &pr, &e) || pr.n == 0)
        abort();
    pr.v[0].message.channel = span_of(lc->name);
    for (size_t i = 0; i < pr.v[0].n_records; i++) {
        const struct record *r = &pr.v[0].records[i];
        for (size_t k = 0; k < r->n && b->n_rows < ROWS_MAX; k++) {
            struct rule_result rr;
            struct built bu = {.hold = NULL};
            if (r->observations[k].role != OBS_RESULT || rule_run(b->conf->rules, r, &r->observations[k], a, &rr, NULL, &e) || rr.action == RULE_DROP)
                continue;
            const struct writer_conf *wc = rr.writer ? config_writer_find(b->conf, rr.writer) : NULL;
            if (wc && wc->ops->build(wc->options, r, &r->observations[k], &rr.lab, a, &bu, &e))
                abort();
            struct delivery *d = &b->rows[b->n_rows++];
            char lane[128];
            (void)snprintf(lane, sizeof lane, "%s/s:%.*s", wc ? wc->name : "", SPAN_ARG(bu.lane_hint));
            *d = (struct delivery){.parts = 1, .path = copy_of(r->observations[k].path), .route = xstrdup(rr.route ? rr.route : ""), .config = 1,
                                   .writer = xstrdup(wc ? wc->name : ""), .lane = xstrdup(lane), .result_key = copy_of(bu.result_key), .who = copy_of(bu.who),
                                   .body = copy_of(bu.body), .state = rr.action == RULE_HOLD || bu.hold ? DELIVERY_HELD : DELIVERY_READY,
                                   .reason = xstrdup(rr.action == RULE_HOLD ? rr.reason : bu.hold ? bu.hold : ""), .detail = xstrdup(""),
                                   .person_id = xstrdup(""), .person_type = xstrdup(""), .remote_id = xstrdup(""), .observation_index = (unsigned)k};
        }
    }
    arena_free(a);
    b->is_learnt = true;
    fprintf(stderr, "bare: %zu delivery rows a message\n", b->n_rows);
}

static struct span control_id(const struct frame *f)
{
    struct span rest = span_make(f->raw, f->raw_n), out = SPAN_ABSENT;
    for (int i = 0; i < 10 && span_next(&rest, '|', &out); i++)
        ;
    return out;
}

static void put(struct bare *b, struct frame *f)
{
    struct err e = ERR_INIT;
    struct store_message m = {.channel = b->conf->listeners[0].name, .source_app = SPAN_LIT("LOAD"), .source_facility = SPAN_LIT("LAB"), .control_id = control_id(f),
                              .kind = SPAN_LIT("ORU^R01"), .received_us = f->received_us, .peer = f->peer, .state = MESSAGE_STORED, .reason = "",
                              .raw = span_make(f->raw, f->raw_n), .observations = (unsigned)b->n_rows, .config = 1};
    b->counter++;
    memcpy(m.sha256, &b->counter, sizeof b->counter);
    if (store_put_message(b->store, &m, &e) || store_count(b->store, m.channel, "received", 1, &e) || store_count(b->store, m.channel, "stored", 1, &e))
        abort();
    for (size_t i = 0; i < b->n_rows; i++) {
        struct delivery *d = &b->rows[i];
        d->message_id = m.id;
        d->issued_us = d->next_us = d->updated_us = f->received_us;
        if (d->result_key[0]) { /* a key of its own, as random as a hash */
            uint64_t x = (b->counter * ROWS_MAX + i) * 0x9E3779B97F4A7C15u;
            char hex[17];
            (void)snprintf(hex, sizeof hex, "%016llx", (unsigned long long)x);
            memcpy(d->result_key, hex, 16);
        }
        if (store_put_delivery(b->store, d, &e))
            abort();
    }
}

static void answer(struct bare *b, struct frame *f)
{
    struct reply *r = xcalloc(1, sizeof *r);
    struct span id = control_id(f);
    char text[512];
    int n = snprintf(text, sizeof text, "MSH|^~\\&|X|Y|LOAD|LAB|20260101000000+0000||ACK^R01^ACK|%llu|P|2.5.1\rMSA|AA|%.*s\r", (unsigned long long)b->counter, SPAN_ARG(id));
    r->listener = f->listener;
    r->conn = f->conn;
    r->seq = f->seq;
    r->mail.bytes = f->raw_n;
    r->payloads = xcalloc(1, sizeof *r->payloads);
    r->payloads[0] = span_make(xstrndup(text, (size_t)n), (size_t)n);
    r->n = 1;
    mailbox_post(b->replies, &r->mail);
}

static void commit(struct bare *b, struct frame **batch, size_t *n)
{
    struct err e = ERR_INIT;
    if (*n && store_commit(b->store, &e))
        abort();
    for (size_t i = 0; i < *n; i++) {
        answer(b, batch[i]);
        frame_free(batch[i]);
    }
    *n = 0;
}

static void *engine(void *arg)
{
    enum { BATCH_MAX = 4096 };
    struct bare *b = arg;
    struct frame **batch = xcalloc(BATCH_MAX, sizeof *batch);
    size_t n = 0;
    while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
        int64_t opened;
        (void)mailbox_wait(b->inbox, 1000000);
        opened = clock_mono_us();
        for (struct mail *m = mailbox_take_all(b->inbox), *next; m; m = next) {
            next = m->next;
            struct frame *f = (struct frame *)(void *)m;
            if (!b->is_learnt)
                learn(b, f);
            put(b, f);
            batch[n++] = f;
            if (n == BATCH_MAX || clock_mono_us() - opened >= b->conf->store.commit_delay_us) {
                commit(b, batch, &n);
                opened = clock_mono_us();
            }
        }
        commit(b, batch, &n);
    }
    free(batch);
    return NULL;
}

static void *looper(void *arg)
{
    loop_run(arg);
    return NULL;
}

int main(int argc, char **argv)
{
    struct diag *d = diag_new();
    struct buf text;
    struct err e = ERR_INIT;
    struct loop *loop = NULL;
    struct bare b = {.inbox = mailbox_new(false), .replies = mailbox_new(true)};
    sigset_t set;
    int sig;
    pthread_t et, lt;
    if (argc != 2)
        return 2;
    buf_init(&text, 1 << 20);
    log_set_level(LOG_WARNING);
    struct config *conf = config_load(argv[1], &all_modules, d);
    diag_format(d, &text);
    if (!conf) {
        fputs(text.p, stderr);
        return 1;
    }
    b.conf = conf;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    struct loop_env env = {.engine = b.inbox, .replies = b.replies, .budget_bytes = conf->memory_budget_bytes, .reply_id_seed = 1};
    if (store_open(&b.store, &conf->store, &e) || loop_open(&loop, conf, &env, &e)) {
        fprintf(stderr, "bare: %s: %s\n", e.where, e.text);
        return 1;
    }
    if (pthread_create(&et, NULL, engine, &b) || pthread_create(&lt, NULL, looper, loop))
        return 1;
    (void)sigwait(&set, &sig);
    loop_stop(loop, 1000000);
    (void)pthread_join(lt, NULL);
    __atomic_store_n(&b.stop, 1, __ATOMIC_RELEASE);
    mailbox_wake(b.inbox);
    (void)pthread_join(et, NULL);
    loop_close(loop);
    store_close(b.store);
    return 0;
}
