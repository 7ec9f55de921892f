/*
 * NAME arena - chained blocks, bump allocation.
 * The first block is 16 kB (a usual message needs no second one); further blocks double up to 1 MB.
 * DIAGNOSTICS none: over the cap gives NULL, see arena_is_full().
 */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define FIRST_BLOCK ((size_t)16 << 10)
#define LAST_BLOCK ((size_t)1 << 20)
#define ALIGN ((size_t)16)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct arena {
    struct block *first, *cur;
    size_t held, max;
    bool is_full;
};

static struct block *block_new(struct arena *a, size_t size)
{
    struct block *b = xmalloc(sizeof *b + size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    a->held += size;
    return b;
}

struct arena *arena_new(size_t max_bytes)
{
    struct arena *a = xcalloc(1, sizeof *a);
    a->max = max_bytes;
    a->first = a->cur = block_new(a, FIRST_BLOCK < max_bytes ? FIRST_BLOCK : max_bytes);
    return a;
}

static void free_after(struct arena *a, struct block *b)
{
    struct block *n = b->next;
    b->next = NULL;
    while (n) {
        struct block *next = n->next;
        a->held -= n->size;
        free(n);
        n = next;
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    free_after(a, a->first);
    free(a->first);
    free(a);
}

void arena_reset(struct arena *a)
{
    free_after(a, a->first);
    a->first->used = 0;
    a->cur = a->first;
    a->is_full = false;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct block *b = a->cur;
    if (n > SIZE_MAX - ALIGN)
        goto full;
    n = (n + ALIGN - 1) & ~(ALIGN - 1);
    if (b->size - b->used < n) {
        size_t want = b->size * 2 < LAST_BLOCK ? b->size * 2 : LAST_BLOCK;
        if (want < n)
            want = n;
        if (want > a->max - a->held)
            want = n;
        if (want > a->max - a->held)
            goto full;
        b->next = block_new(a, want);
        a->cur = b = b->next;
    }
    void *p = b->data + b->used;
    b->used += n;
    return p;
full:
    a->is_full = true;
    return NULL;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        a->is_full = true;
        return NULL;
    }
    return arena_zalloc(a, count * size);
}

bool arena_grow(struct arena *a, void *v_ptr, size_t n, size_t *cap, size_t size)
{
    void *old, *new;
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 4;
    new = arena_array(a, want, size);
    if (!new)
        return false;
    memcpy(&old, v_ptr, sizeof old);
    if (n)
        memcpy(new, old, n * size);
    memcpy(v_ptr, &new, sizeof new);
    *cap = want;
    return true;
}

char *arena_strdup(struct arena *a, struct span s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct span arena_dup(struct arena *a, struct span s)
{
    if (!s.n)
        return s.p ? span_null : SPAN_ABSENT;
    char *p = arena_strdup(a, s);
    return p ? span_make(p, s.n) : SPAN_ABSENT;
}

struct span arena_printf(struct arena *a, const char *fmt, ...)
{
    char few[256]; /* most texts are short: formatted once, then copied */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(few, sizeof few, fmt, ap);
    va_end(ap);
    if (n < 0)
        return SPAN_ABSENT;
    char *p = arena_alloc(a, (size_t)n + 1);
    if (!p)
        return SPAN_ABSENT;
    if ((size_t)n < sizeof few) {
        memcpy(p, few, (size_t)n + 1);
        return span_make(p, (size_t)n);
    }
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return span_make(p, (size_t)n);
}

bool arena_is_full(const struct arena *a)
{
    return a->is_full;
}

size_t arena_used(const struct arena *a)
{
    return a->held;
}
