/*
 * NAME in_files_look - which files are in the folder, and which of them are whole.
 *
 * inotify tells at once; a scan every `rescan` finds what it did not tell (network shares, overflow). A scan runs in slices, so that a
 * folder with a hundred thousand files does not stop the other channels. A file is whole when it was renamed into the folder, or when its size
 * and time did not change for `settle` (six times that while inotify knows that its creator has not closed it).
 * Names that begin with a dot or end like a file under way (.tmp .part .partial .filepart .crdownload ~) are not looked at; nor are folders.
 * DIAGNOSTICS error: the folder cannot be read (once, and when it is back); warning: no inotify, too many files.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "clock.h"
#include "in_files_inner.h"
#include "log.h"
#include "xmem.h"

#define CANDS_MAX 200000u
#define SCAN_SLICE 512
#define GATHER_US ((int64_t)50000)      /* files that come together are taken together */
#define OPEN_FACTOR 6
#define MAX_US ((int64_t)10000000)

int64_t files_mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static void event_in(struct event *ev, int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    (void)event_add(ev, &tv);
}

/* ---- candidates ---- */

static size_t hash_of(const char *name)
{
    uint64_t h = 1469598103934665603u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static struct file_cand **slot_of(struct listener *l, const char *name)
{
    struct file_cand **p = &l->hash[hash_of(name) & (l->n_hash - 1)];
    while (*p && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

static void hash_grow(struct listener *l)
{
    size_t n = l->n_hash ? l->n_hash * 2 : 256;
    struct file_cand **old = l->hash, *next;
    size_t n_old = l->n_hash;
    l->hash = xcalloc(n, sizeof *l->hash);
    l->n_hash = n;
    for (size_t i = 0; i < n_old; i++)
        for (struct file_cand *c = old[i]; c; c = next) {
            next = c->next;
            size_t k = hash_of(c->name) & (n - 1);
            c->next = l->hash[k];
            l->hash[k] = c;
        }
    free(old);
}

struct file_cand *look_add(struct listener *l, const char *name, const struct stat *st)
{
    if (l->n_cands >= l->n_hash)
        hash_grow(l);
    struct file_cand **p = slot_of(l, name);
    if (*p && (*p)->is_left)
        return NULL;                    /* an older file of this name is under way: this one is seen again by the next scan */
    if (*p) {
        look_changed(l, *p, st);
        return *p;
    }
    if (l->n_cands >= CANDS_MAX) {
        if (!l->is_overfull)
            log_event(LOG_WARNING, "very many files: the rest is looked at later", log_word("channel", l->env.name), log_int("files", (int64_t)l->n_cands));
        l->is_overfull = true;
        return NULL;
    }
    size_t n = strlen(name) + 1;
    struct file_cand *c = xcalloc(1, sizeof *c + n);
    memcpy(c->name, name, n);
    c->mtime_ns = files_mtime_ns(st);
    c->size = st->st_size;
    c->born_us = c->since_us = clock_mono_us();
    c->seen = l->scan_no;
    *p = c;
    l->n_cands++;
    if (l->n_order == l->cap_order) {
        l->cap_order = l->cap_order ? l->cap_order * 2 : 256;
        l->order = xreallocarray(l->order, l->cap_order, sizeof *l->order);
    }
    l->order[l->n_order++] = c;
    l->is_dirty = true;
    return c;
}

void look_add_left(struct listener *l, const char *name, const struct stat *st, int64_t not_before_us)
{
    struct file_cand *c = *slot_of(l, name);
    if (c && c->is_left)
        return;
    if (c)
        look_remove(l, c);
    c = look_add(l, name, st);
    if (!c)
        return;                         /* no room: the next start finds it */
    c->is_left = true;
    c->not_before_us = not_before_us;
}

void look_changed(struct listener *l, struct file_cand *c, const struct stat *st)
{
    c->seen = l->scan_no;
    if (c->mtime_ns == files_mtime_ns(st) && c->size == st->st_size)
        return;
    c->mtime_ns = files_mtime_ns(st);
    c->size = st->st_size;
    c->since_us = clock_mono_us();
    c->is_whole = false;
    l->is_dirty = true;
}

void look_remove(struct listener *l, struct file_cand *c)
{
    struct file_cand **p = slot_of(l, c->name);
    if (*p != c)
        return;
    *p = c->next;
    c->is_gone = true;
    l->n_cands--;
    l->is_dirty = true;
}

static int by_name(const void *a, const void *b)
{
    const struct file_cand *x = *(struct file_cand *const *)a, *y = *(struct file_cand *const *)b;
    if (x->is_left != y->is_left)
        return x->is_left ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_time(const void *a, const void *b)
{
    const struct file_cand *x = *(struct file_cand *const *)a, *y = *(struct file_cand *const *)b;
    if (x->is_left == y->is_left && x->mtime_ns != y->mtime_ns)
        return x->mtime_ns < y->mtime_ns ? -1 : 1;
    return by_name(a, b);
}

void look_sort(struct listener *l)
{
    size_t n = 0;
    if (!l->is_dirty)
        return;
    for (size_t i = 0; i < l->n_order; i++)
        if (l->order[i]->is_gone)
            free(l->order[i]);
        else
            l->order[n++] = l->order[i];
    l->n_order = n;
    if (n)
        qsort(l->order, n, sizeof *l->order, l->o->order == FILES_BY_NAME ? by_name : by_time);
    l->is_dirty = false;
    if (n < CANDS_MAX / 2)
        l->is_overfull = false;
}

int64_t look_due(const struct listener *l, const struct file_cand *c)
{
    if (c->is_left || c->is_whole)
        return 0;
    return c->since_us + l->o->settle * (c->is_open ? OPEN_FACTOR : 1);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

static bool is_ignored(const struct listener *l, const char *name)
{
    static const char *const ends[] = {".tmp", ".part", ".partial", ".filepart", ".crdownload", "~"};
    if (name[0] == '.')
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i]))
            return true;
    for (size_t i = 0; i < l->o->ignore.n; i++)
        if (ends_with(name, l->o->ignore.v[i]))
            return true;
    return false;
}

/* ---- the folder ---- */

static void lost(struct listener *l, int no)
{
    if (!l->is_lost)
        log_event(LOG_ERROR, "cannot read the folder: looking for it again", log_word("channel", l->env.name), log_text("reason", strerror(no)));
    l->is_lost = true;
    move_close_dirs(l);
    if (l->inotify_ev)
        event_free(l->inotify_ev);
    l->inotify_ev = NULL;
    if (l->inotify_fd >= 0)
        (void)close(l->inotify_fd);
    l->inotify_fd = -1;
    if (l->scan)
        (void)closedir(l->scan);
    l->scan = NULL;
}

static void on_inotify(evutil_socket_t fd, short what, void *arg)
{
    _Alignas(struct inotify_event) char b[65536];
    struct listener *l = arg;
    ssize_t n = read(fd, b, sizeof b);
    (void)what;
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *ev = (struct inotify_event *)(void *)(b + at);
        struct stat st;
        at += (ssize_t)(sizeof *ev + ev->len);
        if (ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) {
            lost(l, ESTALE);
            return;
        }
        if (ev->mask & IN_Q_OVERFLOW)
            event_active(l->rescan_ev, EV_TIMEOUT, 0);
        if (!ev->len || is_ignored(l, ev->name) || fstatat(l->dir[FILES_INBOX], ev->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        struct file_cand *c = look_add(l, ev->name, &st);
        if (!c)
            continue;
        if (ev->mask & IN_CREATE)
            c->is_open = S_ISREG(st.st_mode);
        if (ev->mask & IN_CLOSE_WRITE)
            c->is_open = false;
        if (ev->mask & IN_MOVED_TO)
            c->is_whole = true;
    }
    take_later(l, GATHER_US);
}

static void watch(struct listener *l)
{
    if (!l->o->inotify)
        return;
    l->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (l->inotify_fd < 0 || inotify_add_watch(l->inotify_fd, l->o->inbox, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0) {
        log_event(LOG_WARNING, "no inotify: looking at every rescan only", log_word("channel", l->env.name), log_text("reason", strerror(errno)));
        if (l->inotify_fd >= 0)
            (void)close(l->inotify_fd);
        l->inotify_fd = -1;
        return;
    }
    l->inotify_ev = event_new(l->env.base, l->inotify_fd, EV_READ | EV_PERSIST, on_inotify, l);
    if (l->inotify_ev)
        (void)event_add(l->inotify_ev, NULL);
}

static void scan_done(struct listener *l)
{
    (void)closedir(l->scan);
    l->scan = NULL;
    for (size_t i = 0; i < l->n_order; i++)
        if (!l->order[i]->is_gone && !l->order[i]->is_left && l->order[i]->seen != l->scan_no)
            look_remove(l, l->order[i]);
    take_later(l, 0);
}

static void on_scan(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    for (int i = 0; l->scan && i < SCAN_SLICE; i++) {
        struct stat st;
        errno = 0;
        struct dirent *d = readdir(l->scan);
        if (!d) {
            if (errno)
                lost(l, errno);
            else
                scan_done(l);
            return;
        }
        if (d->d_type == DT_DIR || is_ignored(l, d->d_name))
            continue;
        if (fstatat(l->dir[FILES_INBOX], d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        (void)look_add(l, d->d_name, &st);
    }
    if (l->scan)
        event_active(l->scan_ev, EV_TIMEOUT, 0);
}

static void scan_start(struct listener *l)
{
    int fd;
    if (l->scan || l->is_stopping)
        return;
    fd = openat(l->dir[FILES_INBOX], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    l->scan = fd >= 0 ? fdopendir(fd) : NULL;
    if (!l->scan) {
        int no = errno;
        if (fd >= 0)
            (void)close(fd);
        lost(l, no);
        return;
    }
    l->scan_no++;
    event_active(l->scan_ev, EV_TIMEOUT, 0);
}

static void on_rescan(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    struct err e = ERR_INIT;
    (void)fd;
    (void)what;
    event_in(l->rescan_ev, l->o->rescan);
    if (l->is_lost) {
        if (move_open_dirs(l, &e))
            return;
        l->is_lost = false;
        log_event(LOG_INFO, "the folder is back", log_word("channel", l->env.name));
        look_start(l);
        return;
    }
    scan_start(l);
}

/* What an earlier run claimed and did not finish: whole, and first. */
static void find_left(struct listener *l)
{
    int fd = openat(l->dir[FILES_CLAIMED], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *x;
    int64_t n = 0;
    if (!d && fd >= 0)
        (void)close(fd);
    while (d && (x = readdir(d)) != NULL) {
        struct stat st;
        if (x->d_name[0] == '.' || fstatat(l->dir[FILES_CLAIMED], x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        bool is_flying = false;
        for (size_t i = 0; i < l->n_items && !is_flying; i++)
            is_flying = l->items[i].id && strcmp(l->items[i].name, x->d_name) == 0;
        if (is_flying)
            continue;
        look_add_left(l, x->d_name, &st, 0);
        n++;
    }
    if (d)
        (void)closedir(d);
    if (n)
        log_event(LOG_INFO, "claimed before and not finished: taken again", log_word("channel", l->env.name), log_int("files", n));
}

int look_open(struct listener *l, struct err *e)
{
    l->inotify_fd = -1;
    l->scan_ev = event_new(l->env.base, -1, 0, on_scan, l);
    l->rescan_ev = event_new(l->env.base, -1, 0, on_rescan, l);
    if (!l->scan_ev || !l->rescan_ev)
        return err_set(e, ERR_TEMP, l->env.name, "cannot make an event");
    hash_grow(l);
    return 0;
}

void look_start(struct listener *l)
{
    find_left(l);
    watch(l);
    scan_start(l);
    event_in(l->rescan_ev, l->o->rescan < MAX_US ? l->o->rescan : MAX_US);
}

void look_close(struct listener *l)
{
    struct event *all[] = {l->scan_ev, l->rescan_ev, l->inotify_ev};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i])
            event_free(all[i]);
    if (l->inotify_fd >= 0)
        (void)close(l->inotify_fd);
    if (l->scan)
        (void)closedir(l->scan);
    for (size_t i = 0; i < l->n_order; i++)
        free(l->order[i]);
    free(l->order);
    free(l->hash);
}
