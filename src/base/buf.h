/*
 * buf - a growing byte buffer that states its cap. Always NUL-terminated behind its n bytes once something was added.
 * Past the cap nothing more is added and is_full is set: check once at the end. Thread: its owner.
 * JSON writers here produce text directly: the hot path builds bodies without a tree.
 */
#ifndef LABRELAY_BUF_H
#define LABRELAY_BUF_H
#include "span.h"

struct buf {
    char *p;
    size_t n, cap, max;
    bool is_full;
};

void buf_init(struct buf *b, size_t max_bytes);             /* allocates nothing yet */
void buf_clear(struct buf *b);                              /* frees; b may be used again */
void buf_reset(struct buf *b);                              /* empties, keeps the memory */
char *buf_take(struct buf *b, size_t *n_out);               /* caller owns the heap string (NUL-terminated); b is empty again */
struct span buf_span(const struct buf *b);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_adds(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, char c);                   /* slow path of buf_addc */
static inline void buf_addc(struct buf *b, char c)
{
    if (b->n + 1 < b->cap && !b->is_full) {
        b->p[b->n++] = c;
        b->p[b->n] = '\0';
    } else {
        buf_add_byte(b, c);
    }
}
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_add_int(struct buf *b, int64_t v);
void buf_drop_front(struct buf *b, size_t n);               /* moves the rest to the start */

/* A JSON string literal with quotes. Invalid UTF-8 becomes U+FFFD: callers that must not alter bytes validate first. */
void buf_json_span(struct buf *b, struct span s);
void buf_json_str(struct buf *b, const char *s);
/* The inside of a JSON string literal, without the quotes: for texts put together from parts. */
void buf_json_inner(struct buf *b, struct span s);
/* `"key":` with a comma before it unless the last byte opened the object or array. Key must be plain ASCII. */
void buf_json_key(struct buf *b, const char *key);
/* comma for array elements under the same rule */
void buf_json_sep(struct buf *b);
/* key and string value; nothing at all when s is absent or empty */
void buf_json_opt(struct buf *b, const char *key, struct span s);
void buf_json_kv(struct buf *b, const char *key, const char *value);
void buf_json_kint(struct buf *b, const char *key, int64_t v);
#endif
