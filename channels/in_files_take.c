/*
 * NAME in_files_take - claims files, reads them, hands them to the engine in one go.
 *
 * ORDER Files are taken by time of change, then name (or by name alone). A file that is not whole yet holds back those behind it, for ten
 * times `settle` at most; one that cannot be read holds back nobody.
 * CLAIM A file is opened (never through a link), looked at, moved to .claimed/ by rename, compared with what was opened, read, and looked at
 * again: one that grew meanwhile goes back. What is refused by its kind or size is never read.
 * READ-AHEAD When half of the files under way are answered, the next are read and posted together: one commit for many files.
 * DIAGNOSTICS warning: not readable, not movable, refused. No names in the log: they may tell a patient's; channel, sizes, counts only.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "crash.h"
#include "in_files_inner.h"
#include "log.h"
#include "xmem.h"

#define SLOT_BITS 20
#define SLOT_MASK (((uint64_t)1 << SLOT_BITS) - 1)
#define BURST_BYTES ((size_t)16 << 20)  /* read in one go before the loop looks at the others */
#define BARRIER_FACTOR 10
#define LATER_FAR_US ((int64_t)60000000)
#define LATER_US ((int64_t)2000000)
#define BUDGET_WAIT_US ((int64_t)200000)
#define CLOSED_WAIT_US ((int64_t)500000)

enum taken { TAKEN, GONE, LATER, CHANGED, STOP };

struct burst { struct mail *first, **last; size_t n, bytes; };

void take_later(struct listener *l, int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000}, at, now;
    if (event_pending(l->pump_ev, EV_TIMEOUT, &at)) {
        (void)event_base_gettimeofday_cached(l->env.base, &now);
        int64_t left = (int64_t)(at.tv_sec - now.tv_sec) * 1000000 + (at.tv_usec - now.tv_usec);
        if (left <= us)
            return;
    }
    (void)event_add(l->pump_ev, &tv);
}

struct file_item *take_item(struct listener *l, uint64_t id)
{
    size_t i = (size_t)(id & SLOT_MASK);
    return i < l->n_items && l->items[i].id == id ? &l->items[i] : NULL;
}

void take_free(struct listener *l, struct file_item *it)
{
    if (it->is_stuck)
        l->n_stuck--;
    free(it->why);
    free(it->answer);
    *it = (struct file_item){.id = 0};
    l->n_flying--;
}

static struct file_item *item_new(struct listener *l, const char *name)
{
    for (size_t i = 0; i < l->n_items; i++)
        if (!l->items[i].id) {
            l->items[i].id = ++l->generation << SLOT_BITS | i;
            (void)snprintf(l->items[i].name, sizeof l->items[i].name, "%s", name);
            l->n_flying++;
            return &l->items[i];
        }
    return NULL;
}

static enum taken later(struct listener *l, struct file_cand *c, int64_t us, const char *what, int no)
{
    c->not_before_us = clock_mono_us() + us;
    if (!c->is_told)
        log_event(LOG_WARNING, what, log_word("channel", l->env.name), log_text("reason", strerror(no)), log_int("bytes", c->size));
    c->is_told = true;
    return LATER;
}

/* What is refused by its kind or size: counted, explained, moved; its bytes are never read. */
static enum taken refuse(struct listener *l, struct file_cand *c, const char *reason, const char *text)
{
    char head[300];
    (void)snprintf(head, sizeof head, "Refused: %s.", text);
    char *why = move_why(l, c->name, head, NULL, 0);
    int no = move_out(l, c->is_left ? FILES_CLAIMED : FILES_INBOX, c->name, true, why, SPAN_ABSENT);
    free(why);
    if (no == ENOENT)
        return GONE;
    if (no)
        return later(l, c, LATER_FAR_US, "cannot move a refused file", no);
    log_event(LOG_WARNING, "file refused", log_word("channel", l->env.name), log_word("reason", reason), log_int("bytes", c->size));
    l->env.count(l->env.name, "received", 1);
    l->env.count(l->env.name, "refused", 1);
    return GONE;
}

static enum taken open_failed(struct listener *l, struct file_cand *c, int no)
{
    switch (no) {
    case ENOENT:
    case ENOTDIR:
        return GONE;
    case ELOOP:
        return refuse(l, c, "SYMLINK", "it is a symbolic link; links are never followed");
    case ENXIO:
    case ENODEV:
        return refuse(l, c, "NOT_A_FILE", "it is not a regular file");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        take_later(l, LATER_US);
        return STOP;
    default:
        return later(l, c, no == EACCES || no == EPERM ? LATER_FAR_US : LATER_US, "cannot read a file: it stays in the inbox", no);
    }
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Moves it to .claimed/ and makes sure that what is there now is what was opened. */
static enum taken claim(struct listener *l, struct file_cand *c, const struct stat *opened)
{
    struct stat st;
    int no;
    if (c->is_left)
        return TAKEN;
    no = move_rename(l->dir[FILES_INBOX], c->name, l->dir[FILES_CLAIMED], c->name);
    if (no == ENOENT)
        return GONE;
    if (no == EEXIST) {                 /* an earlier one of this name is under way */
        c->not_before_us = clock_mono_us() + LATER_US;
        return LATER;
    }
    if (no)
        return later(l, c, LATER_FAR_US, "cannot claim a file: it stays in the inbox", no);
    CRASH_POINT("files_claimed");
    if (fstatat(l->dir[FILES_CLAIMED], c->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&st, opened))
        return TAKEN;
    (void)move_rename(l->dir[FILES_CLAIMED], c->name, l->dir[FILES_INBOX], c->name);
    return CHANGED;
}

/* The whole file, or NULL with errno. */
static char *read_all(int fd, size_t n)
{
    char *p = xmalloc(n + 1);
    size_t at = 0;
    while (at < n) {
        ssize_t k = pread(fd, p + at, n - at, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            int no = k < 0 ? errno : ESTALE;
            free(p);
            errno = no;
            return NULL;
        }
        at += (size_t)k;
    }
    return p;
}

static void add_frame(struct listener *l, struct file_cand *c, char *raw, size_t n, struct burst *b)
{
    struct frame *f = xcalloc(1, sizeof *f);
    struct file_item *it = item_new(l, c->name);
    f->mail.kind = MAIL_FRAME;
    f->mail.bytes = n + sizeof *f;
    f->listener = l;
    f->listener_index = l->env.index;
    f->conn = it->id;
    f->raw = raw;
    f->raw_n = n;
    f->received_us = clock_now_us();
    f->is_patient = true;
    (void)snprintf(f->peer, sizeof f->peer, "%.63s", c->name);
    it->bytes = f->mail.bytes;
    l->env.account_bytes((int64_t)it->bytes);
    *b->last = &f->mail;
    b->last = &f->mail.next;
    b->n++;
    b->bytes += n;
}

static enum taken take_open(struct listener *l, struct file_cand *c, int fd, struct burst *b)
{
    struct stat st, after;
    enum taken t;
    int64_t inflight = l->env.inflight_bytes();
    if (fstat(fd, &st) != 0)
        return later(l, c, LATER_US, "cannot read a file: it stays in the inbox", errno);
    if (S_ISDIR(st.st_mode))
        return GONE;
    if (!S_ISREG(st.st_mode))
        return refuse(l, c, "NOT_A_FILE", "it is not a regular file");
    if (!c->is_left && (st.st_size != c->size || files_mtime_ns(&st) != c->mtime_ns)) {
        look_changed(l, c, &st);
        return CHANGED;
    }
    if (st.st_size == 0)
        return refuse(l, c, "EMPTY", "it is empty (0 bytes)");
    if (st.st_size > l->o->max_size)
        return refuse(l, c, "TOO_LARGE", "it is larger than max-size");
    if (inflight && inflight + st.st_size > *l->env.budget_bytes) {
        if (!l->n_flying)
            take_later(l, BUDGET_WAIT_US);
        return STOP;
    }
    if ((t = claim(l, c, &st)) != TAKEN)
        return t;
    char *raw = read_all(fd, (size_t)st.st_size);
    int no = raw ? 0 : errno;
    bool has_grown = fstat(fd, &after) == 0 && (after.st_size != st.st_size || files_mtime_ns(&after) != files_mtime_ns(&st));
    if (!raw || (has_grown && !c->is_left)) {
        free(raw);
        if (!c->is_left)
            (void)move_rename(l->dir[FILES_CLAIMED], c->name, l->dir[FILES_INBOX], c->name);
        if (no && no != ESTALE)
            return later(l, c, LATER_US, "cannot read a file: it stays in the inbox", no);
        look_changed(l, c, &after);
        return CHANGED;
    }
    add_frame(l, c, raw, (size_t)st.st_size, b);
    return TAKEN;
}

static enum taken take_one(struct listener *l, struct file_cand *c, struct burst *b)
{
    int fd = openat(l->dir[c->is_left ? FILES_CLAIMED : FILES_INBOX], c->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return open_failed(l, c, errno);
    enum taken t = take_open(l, c, fd, b);
    (void)close(fd);
    return t;
}

/* All at once: the engine finds them together and commits them together. */
static void post(struct listener *l, struct burst *b)
{
    *b->last = NULL;
    for (struct mail *m = b->first, *next; m; m = next) {
        next = m->next;
        m->next = NULL;
        mailbox_post(l->env.engine, m);
    }
}

void take_pump(struct listener *l)
{
    struct burst b = {.last = &b.first};
    int64_t now = clock_mono_us(), next = INT64_MAX;
    if (l->is_lost || l->is_stopping || l->n_flying > l->n_items / 2)
        return;
    if (!l->env.is_accepting(l->env.name)) {
        take_later(l, CLOSED_WAIT_US);
        return;
    }
    look_sort(l);
    for (size_t i = 0; i < l->n_order && l->n_flying < l->n_items; i++) {
        struct file_cand *c = l->order[i];
        if (c->is_gone)
            continue;
        int64_t due = look_due(l, c);
        if (c->not_before_us > now) {
            next = c->not_before_us < next ? c->not_before_us : next;
            continue;
        }
        bool is_barrier = now - c->born_us < l->o->settle * BARRIER_FACTOR;
        if (due > now) {
            next = due < next ? due : next;
            if (is_barrier)
                break;
            continue;
        }
        enum taken t = take_one(l, c, &b);
        if (t == TAKEN || t == GONE)
            look_remove(l, c);
        if (t == LATER && c->not_before_us < next)
            next = c->not_before_us;
        if (t == CHANGED) {
            due = look_due(l, c);
            next = due < next ? due : next;
        }
        if (t == STOP || (t == CHANGED && is_barrier))
            break;
        if (b.bytes >= BURST_BYTES) {
            next = now;
            break;
        }
    }
    if (b.n)
        post(l, &b);
    if (next != INT64_MAX)
        take_later(l, next > now ? next - now + 1000 : 0);
}
