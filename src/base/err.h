/*
 * err - the caller-owned error: kind, place and text, no allocation, cannot fail itself.
 * `where` is a path or a file:line, `text` what is wrong and what to do. Neither ever holds a patient's value.
 * Thread: any.
 */
#ifndef LABRELAY_ERR_H
#define LABRELAY_ERR_H
#include <stdarg.h>

enum err_kind {
    ERR_NONE = 0,
    ERR_INPUT,    /* the message or file is wrong: the sender's matter */
    ERR_CONFIG,   /* the configuration or the installation is wrong: the admin's matter */
    ERR_TEMP,     /* works later: disk full, server down */
    ERR_REJECTED, /* the other side said no for good */
    ERR_LIMIT,    /* a stated cap was reached */
    ERR_BUG       /* ours */
};

struct err {
    enum err_kind kind;
    char where[96];
    char text[256];
};

#define ERR_INIT ((struct err){0})

/* Fills *e and returns -1, so that `return err_set(...)` reads well. where may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *where, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Puts "prefix: " before the text; cut at the end where it does not fit. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *err_kind_name(enum err_kind k);
#endif
