/*
 * mailbox - hands owned things from one thread to another; the only file with locks.
 *
 * A thing embeds `struct mail` as its first member; posting gives it away, taking makes the taker its owner.
 * Many may post, one thread takes. The taker sleeps in mailbox_wait(), or (event loop) watches mailbox_fd() for reading.
 * Bytes are accounted: mailbox_bytes() is what waits, for back pressure (DESIGN "Pressure is designed").
 */
#ifndef LABRELAY_MAILBOX_H
#define LABRELAY_MAILBOX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail {
    struct mail *next;
    size_t bytes;               /* set by the poster before posting */
    int kind;                   /* the box's users agree on it */
};

struct mailbox;

struct mailbox *mailbox_new(bool with_fd);          /* with_fd: an eventfd for event loops */
void mailbox_free(struct mailbox *m);               /* must be empty: the taker drains it first */
void mailbox_post(struct mailbox *m, struct mail *x);
/* All that waits, oldest first, as a list; NULL when empty. Never blocks. Clears the fd. */
struct mail *mailbox_take_all(struct mailbox *m);
/* The oldest one, or NULL. For boxes with several takers (couriers). */
struct mail *mailbox_take_one(struct mailbox *m);
/* Sleeps until something waits, somebody calls mailbox_wake(), or timeout_us passed (< 0: no limit). True when something waits. */
bool mailbox_wait(struct mailbox *m, int64_t timeout_us);
void mailbox_wake(struct mailbox *m);               /* ends all waits that run, even if empty (stop); with none running, the next one. Several takers that
                                                     may be busy: set a flag before and let them wait with a timeout */
int  mailbox_fd(const struct mailbox *m);
size_t mailbox_bytes(struct mailbox *m);
size_t mailbox_count(struct mailbox *m);
#endif
