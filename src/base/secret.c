/* NAME secret - credential files. DIAGNOSTICS name the path, never the content. */
#include "secret.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsutil.h"
#include "xmem.h"

#define SECRET_MAX_BYTES 65536

int secret_load(const char *config_file, const char *name, char **out, struct err *e)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    struct buf b;
    struct stat st;
    char rel[512];
    char *path = NULL;
    mode_t too_open = 077;
    int rc = -1;
    if (name[0] == '\0' || strchr(name, '/'))
        return err_set(e, ERR_CONFIG, name, "a credential is named by a plain word, without a slash");
    buf_init(&b, SECRET_MAX_BYTES);
    if (dir) {
        (void)snprintf(rel, sizeof rel, "%s/%s", dir, name);
        path = xstrdup(rel);
        too_open = 07;      /* systemd lets its service in by an ACL, whose mask shows as the group's bits */
    }
    if (!path || access(path, R_OK) != 0) {
        free(path);
        (void)snprintf(rel, sizeof rel, "credentials/%s", name);
        path = fs_path_beside(config_file, rel);
        too_open = 077;
    }
    if (stat(path, &st) == 0 && (st.st_mode & too_open) != 0) {
        (void)err_set(e, ERR_CONFIG, path, "others can read this credential: chmod 600 it");
        goto out;
    }
    if (fs_load(path, &b, e))
        goto out;
    while (b.n && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == '\r'))
        b.p[--b.n] = '\0';
    if (!b.n || memchr(b.p, '\0', b.n)) {
        (void)err_set(e, ERR_CONFIG, path, "the credential is empty or holds a NUL byte");
        goto out;
    }
    *out = xstrndup(b.p, b.n);
    rc = 0;
out:
    if (b.p)
        explicit_bzero(b.p, b.cap);
    buf_clear(&b);
    free(path);
    return rc;
}

void secret_free(char *s)
{
    if (!s)
        return;
    explicit_bzero(s, strlen(s));
    free(s);
}

bool secret_equal(struct span a, struct span b)
{
    return a.n == b.n && a.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}
