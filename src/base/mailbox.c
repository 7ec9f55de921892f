/*
 * NAME mailbox - owned things from thread to thread: a mutex, a condition, a list; optionally an eventfd.
 * INVARIANT count and bytes describe the list. A wake ends every wait that runs (wakes changed) and, when none runs, the next one (is_woken).
 */
#include "mailbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "xmem.h"

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct mail *first, **last;
    size_t bytes, count;
    uint64_t wakes;
    size_t waiters;
    bool is_woken;
    int fd;
};

struct mailbox *mailbox_new(bool with_fd)
{
    struct mailbox *m = xcalloc(1, sizeof *m);
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&m->some, &attr);
    (void)pthread_condattr_destroy(&attr);
    m->last = &m->first;
    m->fd = -1;
    if (with_fd) {
        m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (m->fd < 0)
            abort();
    }
    return m;
}

void mailbox_free(struct mailbox *m)
{
    if (!m)
        return;
    assert(m->first == NULL);
    if (m->fd >= 0)
        (void)close(m->fd);
    (void)pthread_cond_destroy(&m->some);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

static void ring(struct mailbox *m)
{
    uint64_t one = 1;
    if (m->fd >= 0) {
        ssize_t w = write(m->fd, &one, sizeof one);
        (void)w; /* EAGAIN means it rings already */
    }
}

void mailbox_post(struct mailbox *m, struct mail *x)
{
    x->next = NULL;
    (void)pthread_mutex_lock(&m->lock);
    bool was_empty = m->first == NULL;
    *m->last = x;
    m->last = &x->next;
    m->count++;
    m->bytes += x->bytes;
    if (was_empty)
        ring(m);
    (void)pthread_cond_signal(&m->some);
    (void)pthread_mutex_unlock(&m->lock);
}

static void silence(struct mailbox *m)
{
    uint64_t v;
    if (m->fd >= 0) {
        ssize_t r = read(m->fd, &v, sizeof v);
        (void)r;
    }
}

struct mail *mailbox_take_all(struct mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    struct mail *x = m->first;
    m->first = NULL;
    m->last = &m->first;
    m->count = 0;
    m->bytes = 0;
    silence(m);
    (void)pthread_mutex_unlock(&m->lock);
    return x;
}

struct mail *mailbox_take_one(struct mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    struct mail *x = m->first;
    if (x) {
        m->first = x->next;
        if (!m->first) {
            m->last = &m->first;
            silence(m);
        }
        m->count--;
        m->bytes -= x->bytes;
        x->next = NULL;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return x;
}

bool mailbox_wait(struct mailbox *m, int64_t timeout_us)
{
    struct timespec until = {0};
    if (timeout_us >= 0) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + timeout_us % 1000000 * 1000;
        until.tv_sec += (time_t)(timeout_us / 1000000 + ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
    }
    (void)pthread_mutex_lock(&m->lock);
    uint64_t wakes = m->wakes;
    m->waiters++;
    while (!m->first && !m->is_woken && m->wakes == wakes) {
        if (timeout_us < 0)
            (void)pthread_cond_wait(&m->some, &m->lock);
        else if (pthread_cond_timedwait(&m->some, &m->lock, &until) == ETIMEDOUT)
            break;
    }
    m->waiters--;
    m->is_woken = false;
    bool has = m->first != NULL;
    (void)pthread_mutex_unlock(&m->lock);
    return has;
}

void mailbox_wake(struct mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    m->wakes++;
    m->is_woken = m->waiters == 0;
    ring(m);
    (void)pthread_cond_broadcast(&m->some);
    (void)pthread_mutex_unlock(&m->lock);
}

int mailbox_fd(const struct mailbox *m)
{
    return m->fd;
}

size_t mailbox_bytes(struct mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    size_t n = m->bytes;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}

size_t mailbox_count(struct mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    size_t n = m->count;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}
