/*
 * NAME in_files_move - the folders of a file channel, and bringing a file to done/ or error/.
 *
 * CRASH STATES A file is in the inbox, in .claimed/, in done/ or in error/, never in two and never in none: only rename moves it. The
 * explanation (NAME.why.txt) and the answer are written before the move, so that a file in error/ always has its reason; after a crash in
 * between they are written once more. None of this is synced: after a power cut a file may be back where it was, is taken again and
 * is recognised by the duplicate rule.
 * A rename never replaces a file: a name that is taken gets a number.
 * DIAGNOSTICS warning: explanation or answer could not be written (full disk): the file is moved all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "crash.h"
#include "in_files_inner.h"
#include "log.h"
#include "text.h"
#include "xmem.h"

#define SUFFIX_ROOM 24                  /* behind a name: ".99999.outcome.json", ".why.txt" with ".tmp" */
#define TRIES 100000
#define WHY_MAX ((size_t)128 << 10)

/* ---- folders ---- */

static int dir_open(const char *path, int parent, const char *name, int *out, struct err *e)
{
    if (name)
        *out = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    else
        *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0 && errno == ENOENT && (name || parent >= 0)) {
        int rc = name ? mkdirat(parent, name, 0750) : mkdir(path, 0750);
        if (rc == 0)
            *out = name ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (*out < 0)
        return err_set(e, ERR_CONFIG, name ? name : path, "cannot open or make the folder: %s", strerror(errno));
    return 0;
}

int move_open_dirs(struct listener *l, struct err *e)
{
    struct stat st[FILES_DIRS];
    const struct files_options *o = l->o;
    move_close_dirs(l);
    if (dir_open(o->inbox, -1, NULL, &l->dir[FILES_INBOX], e))
        return -1;
    int in = l->dir[FILES_INBOX];
    l->dir[FILES_CLAIMED] = l->env.socket;      /* with its lock: of the listener that this one takes the place of */
    l->env.socket = -1;
    if ((l->dir[FILES_CLAIMED] < 0 && dir_open(NULL, in, ".claimed", &l->dir[FILES_CLAIMED], e)) ||
        dir_open(o->done, in, o->done ? NULL : "done", &l->dir[FILES_DONE], e) || dir_open(o->error, in, o->error ? NULL : "error", &l->dir[FILES_ERROR], e))
        goto bad;
    for (int i = 0; i < FILES_DIRS; i++)
        if (fstat(l->dir[i], &st[i]) != 0 || st[i].st_dev != st[0].st_dev) {
            (void)err_set(e, ERR_CONFIG, l->env.name, "inbox, done and error must be on one file system: files are moved by renaming");
            goto bad;
        }
    if (flock(l->dir[FILES_CLAIMED], LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        (void)err_set(e, ERR_TEMP, l->env.name, "another engine reads this inbox");
        goto bad;
    }
    return 0;
bad:
    move_close_dirs(l);
    return -1;
}

void move_close_dirs(struct listener *l)
{
    for (int i = 0; i < FILES_DIRS; i++) {
        if (l->dir[i] >= 0)
            (void)close(l->dir[i]);
        l->dir[i] = -1;
    }
}

int move_rename(int from, const char *name, int to, const char *to_name)
{
    struct stat st;
    if (renameat2(from, name, to, to_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return errno;
    /* A file system that does not know it (network shares): look first. We are the only one who makes names there. */
    if (fstatat(to, to_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return EEXIST;
    return renameat(from, name, to, to_name) == 0 ? 0 : errno;
}

/* ---- texts ---- */

/* Bytes that are no text become '?': a name must not write control characters into what people read. */
static void add_name(struct buf *b, const char *name)
{
    struct span rest = span_of(name);
    while (rest.n) {
        size_t n = text_utf8_len(rest);
        bool is_plain = n > 1 || (n == 1 && (unsigned char)rest.p[0] >= 0x20 && rest.p[0] != 0x7f);
        if (is_plain)
            buf_add(b, rest.p, n);
        else
            buf_addc(b, '?');
        rest = span_from(rest, n ? n : 1);
    }
}

char *move_why(const struct listener *l, const char *name, const char *head, const char *list, int64_t message_id)
{
    struct buf b;
    char now[40];
    clock_format_local(clock_now_us(), now, sizeof now);
    buf_init(&b, WHY_MAX);
    buf_adds(&b, "File:    ");
    add_name(&b, name);
    buf_addf(&b, "\nChannel: %s\nWhen:    %s\n", l->env.name, now);
    if (message_id)
        buf_addf(&b, "Message: m%lld (see it with: labrelay show m%lld)\n", (long long)message_id, (long long)message_id);
    buf_addf(&b, "\n%s\n", head);
    if (list)
        buf_addf(&b, "\n%s", list);
    buf_adds(&b, "\nThe original was not changed. Correct it and put it into the inbox again.\n");
    return buf_take(&b, NULL);
}

/* ---- moving ---- */

/* Writes to/name by way of a hidden file. 0, or errno. */
static int put_text(int to, const char *name, struct span text)
{
    static const char tmp[] = ".labrelay-text.tmp";
    int fd, no = 0;
    (void)unlinkat(to, tmp, 0);
    fd = openat(to, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return errno;
    for (size_t at = 0; at < text.n && !no;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n < 0 && errno != EINTR)
            no = errno;
        else if (n > 0)
            at += (size_t)n;
    }
    if (close(fd) != 0 && !no)
        no = errno;
    if (!no && renameat(to, tmp, to, name) != 0)
        no = errno;
    if (no)
        (void)unlinkat(to, tmp, 0);
    return no;
}

static const char *answer_end(struct span answer)
{
    answer = span_trim(answer);
    if (span_starts(answer, "{"))
        return ".outcome.json";
    if (span_starts(answer, "row,"))
        return ".rows.csv";
    return span_starts(answer, "<") ? ".outcome.xml" : ".ack";
}

static void put_beside(struct listener *l, int to, const char *name, const char *end, struct span text)
{
    char full[FILES_NAME_MAX + 1];
    (void)snprintf(full, sizeof full, "%s%s", name, end);
    int no = put_text(to, full, text);
    if (no)
        log_event(LOG_WARNING, "cannot write beside a file", log_word("channel", l->env.name), log_word("what", end), log_text("reason", strerror(no)));
}

/* NAME, or NAME.2 and so on; a name that would be too long with an ending is cut. */
static void target_name(const char *name, int try, char out[FILES_NAME_MAX + 1])
{
    size_t n = strlen(name);
    if (n > FILES_NAME_MAX - SUFFIX_ROOM && try == 1)
        n = FILES_NAME_MAX - SUFFIX_ROOM;
    if (try == 1)
        (void)snprintf(out, FILES_NAME_MAX + 1, "%.*s", (int)n, name);
    else
        (void)snprintf(out, FILES_NAME_MAX + 1, "%.*s.%d", (int)(n > FILES_NAME_MAX - SUFFIX_ROOM ? FILES_NAME_MAX - SUFFIX_ROOM : n), name, try);
}

int move_out(struct listener *l, enum files_dir from, const char *name, bool is_bad, const char *why, struct span answer)
{
    int to = l->dir[is_bad ? FILES_ERROR : FILES_DONE];
    for (int try = 1; try < TRIES; try++) {
        char target[FILES_NAME_MAX + 1];
        struct stat st;
        target_name(name, try, target);
        if (fstatat(to, target, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        if (why)
            put_beside(l, to, target, ".why.txt", span_of(why));
        if (span_has(answer))
            put_beside(l, to, target, answer_end(answer), answer);
        CRASH_POINT("files_before_move");
        int no = move_rename(l->dir[from], name, to, target);
        CRASH_POINT("files_after_move");
        if (no != EEXIST)
            return no;
    }
    return EEXIST;
}
