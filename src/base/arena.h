/*
 * arena - all memory of one message: many small allocations, one free, a stated cap.
 * Nothing in an arena is freed alone. Thread: the owner of the arena; ownership moves with the message through a mailbox.
 * An allocation past the cap returns NULL and sets the full flag: input size becomes ERR_LIMIT, never an abort.
 */
#ifndef LABRELAY_ARENA_H
#define LABRELAY_ARENA_H
#include "span.h"

struct arena;

struct arena *arena_new(size_t max_bytes);
void  arena_free(struct arena *a);                          /* NULL is fine */
void  arena_reset(struct arena *a);                         /* keeps the first block; everything handed out is gone */
void *arena_alloc(struct arena *a, size_t n);               /* aligned for any type, not zeroed; NULL when the cap is reached */
void *arena_zalloc(struct arena *a, size_t n);              /* zeroed */
void *arena_array(struct arena *a, size_t count, size_t size); /* zeroed; overflow counts as over the cap */
/* Grows the last array by doubling: *v has n elements, capacity *cap; false when the cap is reached. */
bool  arena_grow(struct arena *a, void *v_ptr, size_t n, size_t *cap, size_t size);
struct span arena_dup(struct arena *a, struct span s);      /* copy, NUL behind it; keeps the absent/null state; absent when over the cap */
char *arena_strdup(struct arena *a, struct span s);         /* NUL-terminated; NULL when over the cap */
struct span arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool  arena_is_full(const struct arena *a);                 /* an allocation was refused since new/reset */
size_t arena_used(const struct arena *a);                   /* bytes held from the heap */
#endif
