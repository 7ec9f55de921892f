/*
 * store_backup - a copy of a store, taken while an engine runs, and a store made of a copy.
 * Thread: any that has no other business; nothing here is the engine's. Both leave a whole file or none.
 */
#ifndef LABRELAY_STORE_BACKUP_H
#define LABRELAY_STORE_BACKUP_H
#include "store.h"

struct store_copy {                         /* what a file holds */
    int64_t bytes, messages, deliveries, last_message, last_received_us, last_audit;
};
/* Copies one moment of the store at from into to, which must not exist (0600, synced). Half of the time it rests, so that commits keep the
 * disk. The copy is checked whole, the audit chain too, before it gets its name. */
int  store_backup(const char *from, const char *to, struct store_copy *out, struct err *e);
/* Checks a store that nobody writes: format, structure, audit chain. ERR_CONFIG: it is none, or damaged. */
int  store_check_copy(const char *path, struct store_copy *out, struct err *e);
/* Makes the store at to of the copy at from, audited in it as done by who. A store that is there is kept beside it as kept (heap; NULL: none was).
 * ERR_CONFIG when an engine runs there, or when it holds messages that the copy lacks and is_forced is not set.
 * What was under way in the copy is looked for in Go.Data before anything is written; what writers knew is read again; ids go on far behind. */
int  store_restore(const char *from, const char *to, const char *who, bool is_forced, char **kept, struct store_copy *out, struct err *e);
#endif
