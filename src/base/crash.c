/*
 * NAME crash - die by SIGKILL at a named point, in test builds only.
 * DIAGNOSTICS none: the process is gone. A log that cannot be written is ignored.
 */
#include "crash.h"

#ifdef LABRELAY_CRASH
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* getenv only reads here; nothing in the program changes the environment. */
static void log_name(const char *name)
{
    const char *path = getenv("LABRELAY_CRASH_LOG");
    char line[80];
    size_t n = strlen(name);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (n > sizeof line - 1)
        n = sizeof line - 1;
    memcpy(line, name, n);
    line[n] = '\n';
    if (write(fd, line, n + 1) < 0) {
        /* the log is a help, not a promise */
    }
    (void)close(fd);
}

void crash_point(const char *name)
{
    static atomic_long hits;
    const char *at = getenv("LABRELAY_CRASH_AT");
    size_t n = strlen(name);
    log_name(name);
    if (!at || strncmp(at, name, n) != 0 || at[n] != ':')
        return;
    if (atomic_fetch_add(&hits, 1) + 1 == strtol(at + n + 1, NULL, 10))
        (void)raise(SIGKILL);
}
#else
typedef int crash_is_off;       /* a translation unit needs something in it */
#endif
