/*
 * NAME in_files - listen files: a folder in which HL7 v2 and FHIR files are dropped.
 *
 * BEHAVIOUR (each line is tested by tests/e2e/files.py)
 *   whole file        taken when renamed into the folder, or unchanged for `settle`; claimed by rename into .claimed/, read, handed to the engine
 *   after the commit  stored or known already: done/; anything refused or cut off: error/ with NAME.why.txt; with `ack yes` the answer beside it
 *   crash             what is in .claimed/ is taken again at start; the duplicate rule makes it once
 *   full disk         the engine says so: nothing is taken, claimed files are tried again; a move that fails is tried again every 5 s
 *   no permission     to read: the file stays and is tried again every minute; to move: the same
 *   symbolic link, FIFO, socket, device   moved to error/ unread; a link is never followed
 *   folder            not looked at
 *   0 bytes, larger than max-size         moved to error/ unread
 *   no inotify        found by the rescan
 *   folder lost (share unmounted)         an error in the log; looked for at every rescan
 *   same name again   waits until the first is finished; done/NAME exists: done/NAME.2
 *   names             any bytes; never part of a path, never in the log
 * DIAGNOSTICS info: watching, finished (message ids, counts); the rest: in_files_look, _take, _move.
 */
#include "in_files.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "in_files_inner.h"
#include "log.h"
#include "option.h"
#include "xmem.h"

#define BUSY_RETRY_US ((int64_t)2000000)
#define STUCK_RETRY_US ((int64_t)5000000)
#define SECOND ((int64_t)1000000)
#define DAY (86400 * SECOND)

static int read_keep(void *value, struct option_args *a)
{
    if (option_accept(a, "for-ever")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_duration(a, SECOND, 36500 * DAY, value);
}

#define ROW(opt, kind, field, ...) {.name = opt, .type = kind, .offset = offsetof(struct files_options, field), __VA_ARGS__}
static const struct option_row option_rows[] = {
    ROW("inbox", OPT_PATH, inbox, .is_required = true, .help = "folder in which files are dropped; it must exist"),
    ROW("done", OPT_PATH, done, .help = "folder for files that were taken; done in the inbox unless given; must be on the same file system"),
    ROW("error", OPT_PATH, error, .help = "folder for files that were refused, with NAME.why.txt; error in the inbox unless given"),
    ROW("settle", OPT_DURATION, settle, .def = "5s", .min = 1000, .max = 3600 * SECOND,
        .help = "a file counts as whole when it did not change for this long; one renamed into the inbox does at once"),
    ROW("rescan", OPT_DURATION, rescan, .def = "10s", .min = 100000, .max = 3600 * SECOND, .help = "how often the folder is read whole, for shares that do not tell of changes"),
    ROW("inotify", OPT_YESNO, inotify, .def = "yes", .help = "let the kernel tell of new files; rescan alone finds them otherwise"),
    ROW("max-size", OPT_SIZE, max_size, .def = "16MB", .min = 1024, .max = (int64_t)256 << 20, .help = "largest file; a larger one is refused unread"),
    ROW("keep-done", OPT_CUSTOM, keep_done, .def = "for-ever", .custom = read_keep, .syntax = "DURATION|for-ever",
        .help = "how long files stay in done; the store keeps what is not delivered"),
    ROW("keep-error", OPT_CUSTOM, keep_error, .def = "for-ever", .custom = read_keep, .syntax = "DURATION|for-ever", .help = "how long files stay in error"),
    ROW("read-ahead", OPT_INT, read_ahead, .def = "256", .min = 1, .max = 4096, .help = "files under way at a time"),
    ROW("ack", OPT_YESNO, ack, .def = "no", .help = "write the answer (ACK, OperationOutcome) beside the file in done or error"),
    ROW("order", OPT_CHOICE, order, .choices = "time name", .def = "time", .help = "take files by time of change and name, or by name alone"),
    ROW("ignore", OPT_LIST, ignore, .help = "more endings of names that are left alone, besides .tmp .part .partial .filepart .crdownload ~"),
};

static int options_check(const void *options, struct err *e)
{
    const struct files_options *o = options;
    if (o->done && o->error && strcmp(o->done, o->error) == 0)
        return err_set(e, ERR_CONFIG, "error", "done and error must be two folders");
    if ((o->done && strcmp(o->done, o->inbox) == 0) || (o->error && strcmp(o->error, o->inbox) == 0))
        return err_set(e, ERR_CONFIG, "inbox", "files would come in again: done and error must not be the inbox");
    return 0;
}

/* ---- answers ---- */

static char *join(const struct reply *r, size_t *n_out)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->payloads[i].n;
    *n_out = n;
    if (!n)
        return NULL;
    char *p = xmalloc(n);
    for (size_t i = 0; i < r->n; i++) {
        memcpy(p + at, r->payloads[i].p, r->payloads[i].n);
        at += r->payloads[i].n;
    }
    return p;
}

static char *explain(const struct listener *l, const char *name, const struct reply *r)
{
    char head[240];
    if (r->n_bad == 0 && r->batch_warning)
        (void)snprintf(head, sizeof head,
                       "Taken, but look at it: all %zu complete messages of this file were taken, and the file may not be whole (%s).", r->n_messages, r->batch_warning);
    else if (r->n_messages > 1)
        (void)snprintf(head, sizeof head, "Refused in part: %zu of the %zu messages of this file were refused, the others were taken.", r->n_bad, r->n_messages);
    else
        (void)snprintf(head, sizeof head, "Refused: nothing of this file was taken.");
    return move_why(l, name, head, r->why, r->message_id);
}

static void finish(struct listener *l, struct file_item *it)
{
    int no = move_out(l, FILES_CLAIMED, it->name, it->is_bad, it->why, span_make(it->answer, it->answer_n));
    if (no && no != ENOENT) {
        if (!it->is_stuck) {
            log_event(LOG_ERROR, "cannot move a finished file: trying again", log_word("channel", l->env.name), log_text("reason", strerror(no)));
            it->is_stuck = true;
            l->n_stuck++;
        }
        l->retry_us = clock_mono_us() + STUCK_RETRY_US;
        take_later(l, STUCK_RETRY_US);
        return;
    }
    take_free(l, it);
}

static void listener_reply(struct listener *l, const struct reply *r)
{
    struct file_item *it = take_item(l, r->conn);
    if (!it) {
        log_event(LOG_ERROR, "a reply that nobody waits for: please report", log_word("channel", l->env.name));
        return;
    }
    l->env.account_bytes(-(int64_t)it->bytes);
    it->bytes = 0;
    if (r->is_close || r->status == FATE_BUSY) {    /* nothing was promised: the same file again */
        struct stat st;
        if (!l->is_lost && fstatat(l->dir[FILES_CLAIMED], it->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            look_add_left(l, it->name, &st, clock_mono_us() + BUSY_RETRY_US);
        take_free(l, it);
        take_later(l, BUSY_RETRY_US);
        return;
    }
    it->is_bad = r->n_bad > 0 || r->batch_warning;
    it->why = it->is_bad ? explain(l, it->name, r) : NULL;
    it->answer = l->o->ack ? join(r, &it->answer_n) : NULL;
    log_event(it->is_bad ? LOG_WARNING : LOG_DEBUG, "file finished", log_word("channel", l->env.name),
              log_id("msg", 'm', r->message_id), log_word("to", it->is_bad ? "error" : "done"),
              log_int("messages", (int64_t)r->n_messages), log_int("refused", (int64_t)r->n_bad));
    finish(l, it);
    if (l->n_flying <= l->n_items / 2)
        take_later(l, 0);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    if (l->n_stuck && !l->is_lost && clock_mono_us() >= l->retry_us)
        for (size_t i = 0; i < l->n_items; i++)
            if (l->items[i].id && l->items[i].is_stuck)
                finish(l, &l->items[i]);
    take_pump(l);
    if (l->n_stuck)
        take_later(l, STUCK_RETRY_US);
}

/* ---- life ---- */

static void listener_close(struct listener *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_items; i++)
        if (l->items[i].id) {
            l->env.account_bytes(-(int64_t)l->items[i].bytes);
            take_free(l, &l->items[i]);
        }
    free(l->items);
    look_close(l);
    sweep_close(l);
    if (l->pump_ev)
        event_free(l->pump_ev);
    move_close_dirs(l);
    if (l->env.socket >= 0)
        (void)close(l->env.socket);
    free(l);
}

static int listener_open(struct listener **out, const void *options, const struct listener_env *env, struct err *e)
{
    struct listener *l = xcalloc(1, sizeof *l);
    l->o = options;
    l->env = *env;
    for (int i = 0; i < FILES_DIRS; i++)
        l->dir[i] = -1;
    l->n_items = (size_t)l->o->read_ahead;
    l->items = xcalloc(l->n_items, sizeof *l->items);
    l->pump_ev = event_new(env->base, -1, 0, on_pump, l);
    if (look_open(l, e) || move_open_dirs(l, e)) {
        err_prefix(e, "listen files \"%s\"", env->name);
        listener_close(l);
        return -1;
    }
    if (!l->pump_ev || sweep_open(l)) {
        (void)err_set(e, ERR_TEMP, env->name, "cannot make an event");
        listener_close(l);
        return -1;
    }
    log_event(LOG_INFO, "watching", log_word("channel", env->name), log_word("kind", "files"), log_word("inbox", l->o->inbox));
    if (!env->is_standby)
        look_start(l);
    *out = l;
    return 0;
}

/* What the predecessor took and did not finish lies in the claim folder: both must never look there at the same time. */
static void listener_start(struct listener *l)
{
    look_start(l);
}

static int listener_share(const struct listener *l, const void *new_options)
{
    const struct files_options *o = new_options;
    if (strcmp(o->inbox, l->o->inbox) != 0 || l->dir[FILES_CLAIMED] < 0)
        return -1;
    return fcntl(l->dir[FILES_CLAIMED], F_DUPFD_CLOEXEC, 0);
}

static void listener_stop_accepting(struct listener *l)
{
    l->is_stopping = true;
}

/* What is stuck waits for the next start. */
static bool listener_is_idle(const struct listener *l)
{
    return l->n_flying == l->n_stuck;
}

const struct listener_ops files_listener = {
    .name = "files",
    .default_parser = "hl7v2 fhir",
    .options = {.rows = option_rows, .n = sizeof option_rows / sizeof option_rows[0], .size = sizeof(struct files_options), .check = options_check},
    .open = listener_open,
    .reply = listener_reply,
    .stop_accepting = listener_stop_accepting,
    .is_idle = listener_is_idle,
    .close = listener_close,
    .share = listener_share,
    .start = listener_start,
};
