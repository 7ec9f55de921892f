/* NAME err - caller-owned errors. Pure; long texts are cut. */
#include "err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum err_kind kind, const char *where, const char *fmt, ...)
{
    struct err made = {.kind = kind};   /* where and the arguments may point into *e */
    va_list ap;
    (void)snprintf(made.where, sizeof made.where, "%s", where ? where : "");
    va_start(ap, fmt);
    (void)vsnprintf(made.text, sizeof made.text, fmt, ap);
    va_end(ap);
    *e = made;
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char head[sizeof e->text], all[2 * sizeof e->text + 4];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    int n = snprintf(all, sizeof all, "%s: %s", head, e->text);
    all[sizeof e->text - 1] = '\0';
    memcpy(e->text, all, (size_t)n < sizeof e->text ? (size_t)n + 1 : sizeof e->text);
    return -1;
}

const char *err_kind_name(enum err_kind k)
{
    switch (k) {
    case ERR_NONE: return "none";
    case ERR_INPUT: return "input";
    case ERR_CONFIG: return "config";
    case ERR_TEMP: return "temporary";
    case ERR_REJECTED: return "rejected";
    case ERR_LIMIT: return "limit";
    case ERR_BUG: return "bug";
    }
    return "?";
}
