/*
 * NAME in_files_sweep - erases old files of done/ and error/, with what stands beside them (keep-done, keep-error).
 *
 * Old: moved there (or changed) longer ago than that. A file in done/ was stored whole before it was moved: what of it is not delivered yet
 * the store still has. Regular files only, a slice at a time so that no connection waits for a folder with many; never in the inbox.
 * DIAGNOSTICS info "erased old files": channel, folder and count, no names. warning: a folder that cannot be read or written, once.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "in_files_inner.h"
#include "log.h"

#define SLICE 500                   /* entries of one turn of the loop */
#define NEXT_US 20000               /* until the next slice */
#define SWEEP_MIN_US 1000000LL
#define SWEEP_MAX_US 600000000LL

static void later(struct listener *l, int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    (void)event_add(l->sweep.ev, &tv);
}

static int64_t keep_of(const struct listener *l, enum files_dir dir)
{
    return dir == FILES_DONE ? l->o->keep_done : l->o->keep_error;
}

/* A tenth of the shorter time, within reason. */
static int64_t period(const struct listener *l)
{
    int64_t a = l->o->keep_done, b = l->o->keep_error, us = (!a || (b && b < a) ? b : a) / 10;
    return us < SWEEP_MIN_US ? SWEEP_MIN_US : us > SWEEP_MAX_US ? SWEEP_MAX_US : us;
}

static void trouble(struct listener *l, int no)
{
    if (!l->sweep.is_told)
        log_event(LOG_WARNING, "cannot erase old files", log_word("channel", l->env.name), log_word("folder", l->sweep.dir == FILES_DONE ? "done" : "error"),
                  log_text("reason", strerror(no)));
    l->sweep.is_told = true;
}

static bool is_old(const struct stat *st, int64_t now_us, int64_t keep_us)
{
    int64_t changed = (int64_t)st->st_ctim.tv_sec * 1000000 + st->st_ctim.tv_nsec / 1000, written = files_mtime_ns(st) / 1000;
    return S_ISREG(st->st_mode) && (changed > written ? changed : written) < now_us - keep_us;
}

static void slice(struct listener *l, DIR *d)
{
    int fd = dirfd(d);
    int64_t now = clock_now_us(), keep = keep_of(l, l->sweep.dir);
    for (size_t i = 0; i < SLICE; i++) {
        struct dirent *x = readdir(d);
        struct stat st;
        if (!x) {
            l->sweep.is_over = true;
            return;
        }
        if (fstatat(fd, x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !is_old(&st, now, keep))
            continue;
        if (unlinkat(fd, x->d_name, 0) == 0)
            l->sweep.n++;
        else
            trouble(l, errno);
    }
}

static void end_dir(struct listener *l)
{
    if (l->sweep.open)
        (void)closedir(l->sweep.open);
    l->sweep.open = NULL;
    if (l->sweep.n)
        log_event(LOG_INFO, "erased old files", log_word("channel", l->env.name), log_word("folder", l->sweep.dir == FILES_DONE ? "done" : "error"),
                  log_int("files", (int64_t)l->sweep.n));
    l->sweep.n = 0;
}

static void on_sweep(evutil_socket_t ev, short what, void *arg)
{
    struct listener *l = arg;
    (void)ev;
    (void)what;
    if (l->is_lost || l->is_stopping) {
        end_dir(l);
        l->sweep.dir = FILES_DONE;
        later(l, period(l));
        return;
    }
    if (!l->sweep.open && keep_of(l, l->sweep.dir)) {
        int fd = openat(l->dir[l->sweep.dir], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        l->sweep.open = fd < 0 ? NULL : fdopendir(fd);
        l->sweep.is_over = false;
        if (!l->sweep.open)
            trouble(l, errno);
        if (!l->sweep.open && fd >= 0)
            (void)close(fd);
    }
    if (l->sweep.open)
        slice(l, l->sweep.open);
    if (l->sweep.open && !l->sweep.is_over) {
        later(l, NEXT_US);
        return;
    }
    end_dir(l);
    bool is_last = l->sweep.dir == FILES_ERROR;
    l->sweep.dir = is_last ? FILES_DONE : FILES_ERROR;
    later(l, is_last ? period(l) : NEXT_US);
}

int sweep_open(struct listener *l)
{
    l->sweep.dir = FILES_DONE;
    if (!l->o->keep_done && !l->o->keep_error)
        return 0;
    l->sweep.ev = event_new(l->env.base, -1, 0, on_sweep, l);
    if (!l->sweep.ev)
        return -1;
    later(l, SWEEP_MIN_US);
    return 0;
}

void sweep_close(struct listener *l)
{
    if (l->sweep.open)
        (void)closedir(l->sweep.open);
    if (l->sweep.ev)
        event_free(l->sweep.ev);
}
