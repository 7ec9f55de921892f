/*
 * NAME fsutil - whole files, durably.
 * DIAGNOSTICS names the path and errno's text; contents never appear.
 */
#include "fsutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "xmem.h"

static int fail(struct err *e, const char *path, const char *what)
{
    int no = errno;
    enum err_kind k = no == ENOSPC || no == EIO || no == EDQUOT || no == EMFILE ? ERR_TEMP : ERR_CONFIG;
    return err_set(e, k, path, "%s: %s", what, strerror(no));
}

int fs_load(const char *path, struct buf *b, struct err *e)
{
    char chunk[65536];
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return fail(e, path, "cannot open");
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        (void)fail(e, path, "cannot read");
        goto bad;
    }
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)fail(e, path, "cannot read");
            goto bad;
        }
        if (n == 0)
            break;
        buf_add(b, chunk, (size_t)n);
        if (b->is_full) {
            (void)err_set(e, ERR_LIMIT, path, "larger than %zu bytes", b->max);
            goto bad;
        }
    }
    if (!is_stdin)
        (void)close(fd);
    return 0;
bad:
    if (!is_stdin)
        (void)close(fd);
    return -1;
}

int fs_sync_parent(const char *path, struct err *e)
{
    char *dir = fs_path_beside(path, ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 || fsync(fd) != 0)
        rc = fail(e, dir, "cannot sync");
    if (fd >= 0)
        (void)close(fd);
    free(dir);
    return rc;
}

int fs_write_durably(const char *path, struct span bytes, struct err *e)
{
    size_t n = strlen(path) + 5;
    char *tmp = xmalloc(n);
    int rc = -1, fd;
    (void)snprintf(tmp, n, "%s.tmp", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)fail(e, tmp, "cannot create");
        goto out;
    }
    for (size_t done = 0; done < bytes.n;) {
        ssize_t w = write(fd, bytes.p + done, bytes.n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0) {
            (void)fail(e, tmp, "cannot write");
            goto out;
        }
        done += (size_t)w;
    }
    if (fsync(fd) != 0) {
        (void)fail(e, tmp, "cannot sync");
        goto out;
    }
    if (rename(tmp, path) != 0) {
        (void)fail(e, path, "cannot rename into place");
        goto out;
    }
    rc = fs_sync_parent(path, e);
out:
    if (fd >= 0)
        (void)close(fd);
    if (rc)
        (void)unlink(tmp);
    free(tmp);
    return rc;
}

int fs_mkdirs(const char *dir, struct err *e)
{
    char *p = xstrdup(dir);
    struct stat st;
    int rc = 0;
    if (!dir[0])
        goto out;
    for (char *q = p + 1;; q++) {
        if (*q != '/' && *q != '\0')
            continue;
        char keep = *q;
        *q = '\0';
        if (mkdir(p, 0700) != 0 && errno != EEXIST) {
            rc = fail(e, p, "cannot create the directory");
            break;
        }
        *q = keep;
        if (!keep)
            break;
    }
    if (!rc && stat(p, &st) == 0 && !S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        rc = fail(e, p, "cannot create the directory");
    }
out:
    free(p);
    return rc;
}

char *fs_path_beside(const char *base_file, const char *path)
{
    const char *slash = strrchr(base_file, '/');
    if (path[0] == '/')
        return xstrdup(path);
    size_t dir = slash ? (size_t)(slash - base_file) + 1 : 0, n = dir + strlen(path) + 1;
    char *out = xmalloc(n);
    (void)snprintf(out, n, "%.*s%s", (int)dir, base_file, path);
    return out;
}

int fs_free_percent(const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0 || v.f_blocks == 0)
        return -1;
    return (int)(v.f_bavail * 100 / v.f_blocks);
}
