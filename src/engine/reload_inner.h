/*
 * reload_inner - one reload on its way between the threads. Private to reload*.c. Whoever holds a struct reload may touch it, nobody else.
 */
#ifndef LABRELAY_RELOAD_INNER_H
#define LABRELAY_RELOAD_INNER_H
#include <pthread.h>

#include "inner.h"

enum reload_phase {
    RELOAD_READING,                     /* at the reader thread: files, checks, tests */
    RELOAD_KEEPING,                     /* at the engine: its texts go into the store */
    RELOAD_OPENING,                     /* at the loop: new listeners, beside the old ones */
    RELOAD_ABANDONING,                  /* at the loop: they are closed again */
    RELOAD_SETTLING                     /* at the loop: the old listeners end; the new configuration runs */
};

struct reload {
    struct loop_change change;          /* first: its mail */
    enum reload_phase phase;
    struct control_mail *asked;         /* to be answered; NULL: it was */
    char *by;                           /* heap */
    const char *how;                    /* reload, undo (static) */
    bool is_undo;                       /* kept texts, not what the disk holds */
    int64_t number;                     /* undo: which one; 0: the last other one that ran */
    int64_t running;                    /* number of the running one */
    /* for the reader */
    const struct modules *modules;
    char *path, *store_path;            /* heap */
    /* from the reader */
    struct config *conf;                /* NULL: it has mistakes */
    struct zone **zones;                /* by listener of conf */
    struct buf text;                    /* the diagnostics, as `check` prints them; failures of its tests */
    size_t errors, warnings, tests, failed;
    int64_t asked_us, read_us;
    size_t kept;                        /* texts that are in the store */
};

/* The reader thread: takes struct reload from its mailbox, posts it back to the engine with conf or text filled. */
struct reload_reader;
struct reload_reader *reload_reader_open(struct mailbox *engine);
void reload_reader_post(struct reload_reader *x, struct reload *r);
void reload_reader_close(struct reload_reader *x);      /* waits for what it reads; NULL is fine */
#endif
