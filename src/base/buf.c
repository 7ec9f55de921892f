/* NAME buf - growing buffers with a cap, and JSON text into them. DIAGNOSTICS none: is_full tells. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xmem.h"

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_clear(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->is_full = false;
    if (b->p)
        b->p[0] = '\0';
}

char *buf_take(struct buf *b, size_t *n_out)
{
    char *p = b->p ? b->p : xstrdup("");
    if (n_out)
        *n_out = b->n;
    *b = (struct buf){.max = b->max};
    return p;
}

struct span buf_span(const struct buf *b)
{
    return span_make(b->p ? b->p : "", b->n);
}

static bool reserve(struct buf *b, size_t n)
{
    if (b->is_full || n > b->max - b->n) {
        b->is_full = true;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < need)
            cap *= 2;
        if (cap - 1 > b->max)   /* buf_addc() trusts that cap never lets it past max */
            cap = b->max + 1;
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (!n || !reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_add_span(struct buf *b, struct span s)
{
    buf_add(b, s.p, s.n);
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_byte(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n <= 0 || !reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_add_int(struct buf *b, int64_t v)
{
    char t[24], *e = t + sizeof t, *p = e;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(e - p));
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n >= b->n) {
        buf_reset(b);
        return;
    }
    memmove(b->p, b->p + n, b->n - n + 1);
    b->n -= n;
}

void buf_json_inner(struct buf *b, struct span s)
{
    static const char hex[] = "0123456789abcdef";
    size_t i = 0, from = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t len = 1;
        if (c >= 0x80) {
            len = text_utf8_len(span_from(s, i));
            if (len) {
                i += len;
                continue;
            }
        } else if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            do
                i++;
            while (i < s.n && (c = (unsigned char)s.p[i]) >= 0x20 && c < 0x7f && c != '"' && c != '\\');
            continue;
        }
        buf_add(b, s.p + from, i - from);
        if (c >= 0x80) {
            buf_adds(b, "\xef\xbf\xbd");
        } else if (c == '"' || c == '\\') {
            buf_addc(b, '\\');
            buf_addc(b, (char)c);
        } else if (c == '\n') {
            buf_adds(b, "\\n");
        } else if (c == '\r') {
            buf_adds(b, "\\r");
        } else if (c == '\t') {
            buf_adds(b, "\\t");
        } else {
            char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buf_add(b, u, sizeof u);
        }
        i++;
        from = i;
    }
    buf_add(b, s.n ? s.p + from : "", i - from);
}

void buf_json_span(struct buf *b, struct span s)
{
    buf_addc(b, '"');
    buf_json_inner(b, s);
    buf_addc(b, '"');
}

void buf_json_str(struct buf *b, const char *s)
{
    buf_json_span(b, span_of(s));
}

void buf_json_sep(struct buf *b)
{
    if (b->n) {
        char c = b->p[b->n - 1];
        if (c != '{' && c != '[' && c != ',' && c != ':' && c != '\n')
            buf_addc(b, ',');
    }
}

void buf_json_key(struct buf *b, const char *key)
{
    buf_json_sep(b);
    buf_addc(b, '"');
    buf_adds(b, key);
    buf_adds(b, "\":");
}

void buf_json_opt(struct buf *b, const char *key, struct span s)
{
    if (!span_has(s))
        return;
    buf_json_key(b, key);
    buf_json_span(b, s);
}

void buf_json_kv(struct buf *b, const char *key, const char *value)
{
    buf_json_key(b, key);
    buf_json_str(b, value);
}

void buf_json_kint(struct buf *b, const char *key, int64_t v)
{
    buf_json_key(b, key);
    buf_add_int(b, v);
}
