/* NAME err - caller-owned errors. Pure; long texts are cut. */
#include "err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum err_kind kind, const char *where, const char *fmt, ...)
{
    va_list ap;
    e->kind = kind;
    (void)snprintf(e->where, sizeof e->where, "%s", where ? where : "");
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char head[sizeof e->text], all[2 * sizeof e->text + 4];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    (void)snprintf(all, sizeof all, "%s: %s", head, e->text);
    memcpy(e->text, all, sizeof e->text - 1);
    e->text[sizeof e->text - 1] = '\0';
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
