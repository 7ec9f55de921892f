/*
 * NAME courier - a pool of threads between two mailboxes: take a task, ops->perform(), post it back.
 *
 * INVARIANT a thread holds at most one task; started_us and ended_us enclose perform(). After close began, tasks that were not
 * started are answered without a request. Stop mails (one per thread, not tasks) end the threads behind everything that waits.
 * DIAGNOSTICS one warning when fewer threads than asked for could be started.
 */
#include "courier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "http.h"
#include "log.h"
#include "mailbox.h"
#include "xmem.h"

#define THREADS_MAX 32
enum { KIND_STOP = -1 };

struct courier_pool {
    char *name;
    struct mailbox *tasks, *answers;
    pthread_t threads[THREADS_MAX];
    struct mail stops[THREADS_MAX];
    size_t n;
    atomic_bool is_closing;
};

static struct mail *take(struct mailbox *m)
{
    struct mail *x = mailbox_take_one(m);
    while (!x) {
        (void)mailbox_wait(m, -1);
        x = mailbox_take_one(m);
    }
    return x;
}

static void *run(void *arg)
{
    struct courier_pool *p = arg;
    struct http_client *http = http_client_new();
    for (struct mail *x = take(p->tasks); x->kind != KIND_STOP; x = take(p->tasks)) {
        struct task *t = (struct task *)(void *)x;
        t->started_us = clock_now_us();
        if (atomic_load(&p->is_closing)) {
            t->verdict = VERDICT_RETRY_LATER;
            t->reason = xstrdup("STOPPING");
        } else {
            t->ops->perform(t, http);
        }
        t->ended_us = clock_now_us();
        mailbox_post(p->answers, &t->mail);
    }
    http_client_free(http);
    return NULL;
}

struct courier_pool *courier_open(const char *name, size_t threads, struct mailbox *answers)
{
    struct courier_pool *p = xcalloc(1, sizeof *p);
    size_t want = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    p->name = xstrdup(name);
    p->answers = answers;
    p->tasks = mailbox_new(false);
    atomic_init(&p->is_closing, false);
    while (p->n < want && pthread_create(&p->threads[p->n], NULL, run, p) == 0) {
        char label[16];
        (void)snprintf(label, sizeof label, "courier-%zu", p->n);
        (void)pthread_setname_np(p->threads[p->n], label);
        p->n++;
    }
    if (p->n == 0)
        abort();
    if (p->n < want)
        log_event(LOG_WARNING, "couriers started fewer", log_word("writer", p->name), log_int("threads", (int64_t)p->n), log_int("wanted", (int64_t)want));
    return p;
}

void courier_post(struct courier_pool *p, struct task *t)
{
    mailbox_post(p->tasks, &t->mail);
}

void courier_recall(struct courier_pool *p)
{
    for (struct mail *x = mailbox_take_all(p->tasks), *next; x; x = next) {
        next = x->next;
        x->next = NULL;
        if (x->kind == KIND_STOP) {
            mailbox_post(p->tasks, x);
            continue;
        }
        struct task *t = (struct task *)(void *)x;
        t->verdict = VERDICT_RETRY_LATER;
        t->reason = xstrdup("STOPPING");
        t->ended_us = t->started_us = clock_now_us();
        mailbox_post(p->answers, &t->mail);
    }
}

size_t courier_waiting(struct courier_pool *p)
{
    return mailbox_count(p->tasks);
}

void courier_close(struct courier_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->is_closing, true);
    for (size_t i = 0; i < p->n; i++) {
        p->stops[i].kind = KIND_STOP;
        mailbox_post(p->tasks, &p->stops[i]);
    }
    for (size_t i = 0; i < p->n; i++)
        (void)pthread_join(p->threads[i], NULL);
    mailbox_free(p->tasks);
    free(p->name);
    free(p);
}
