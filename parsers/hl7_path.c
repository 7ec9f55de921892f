/*
 * NAME hl7_path - cuts a segment.
 * The offsets of a segment lie in one pool of the message, so that a usual message costs one allocation for all of them.
 * Fields past HL7_MAX_FIELDS are not reached: no segment defines so many. DIAGNOSTICS none.
 */
#include "hl7_path.h"

#include <string.h>

enum { POOL = 1024 };

static const uint32_t no_fields[1] = {0};

/*
 * The separators of a segment, eight bytes at a time; a long stretch without any (a document) goes to memchr.
 * Writes the offset behind each separator; returns how many, at most max + 1.
 */
static uint32_t find_separators(const char *p, size_t n, char sep, uint32_t *f, uint32_t max)
{
    const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL, pattern = ones * (unsigned char)sep;
    uint32_t k = 0;
    size_t i = 3, quiet = 0;
    while (i < n && k <= max) {
        uint64_t w;
        if (n - i < 8 || quiet > 32) {
            const char *q = memchr(p + i, sep, n - i);
            if (!q)
                break;
            i = (size_t)(q - p) + 1;
            f[k++] = (uint32_t)i;
            quiet = 0;
            continue;
        }
        memcpy(&w, p + i, 8);
        w ^= pattern;
        uint64_t hits = ~((((w & ~highs) + ~highs) | w) | ~highs); /* the high bit of every byte that is zero now */
        if (!hits) {
            quiet++;
            i += 8;
            continue;
        }
        quiet = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        for (; hits && k <= max; hits &= hits - 1)
            f[k++] = (uint32_t)(i + (unsigned)(__builtin_ctzll(hits) >> 3) + 1);
#else
        for (size_t j = 0; j < 8 && k <= max; j++)
            if (p[i + j] == sep)
                f[k++] = (uint32_t)(i + j + 1);
#endif
        i += 8;
    }
    return k;
}

static bool index_fields(struct hl7_ctx *x, struct hl7_seg *s)
{
    s->f = no_fields;
    s->nf = 0;
    if (x->pool_cap - x->pool_n < HL7_MAX_FIELDS + 1) {
        x->pool = arena_alloc(x->a, POOL * sizeof *x->pool);
        if (!x->pool) {
            x->pool_cap = x->pool_n = 0;
            return false;
        }
        x->pool_n = 0;
        x->pool_cap = POOL;
    }
    uint32_t *f = x->pool + x->pool_n;
    if (s->text.n < 4 || s->text.n > UINT32_MAX - 2)
        return true;
    uint32_t n = find_separators(s->text.p, s->text.n, x->d.field, f, HL7_MAX_FIELDS);
    if (n > HL7_MAX_FIELDS)
        n = HL7_MAX_FIELDS;
    else
        f[n] = (uint32_t)s->text.n + 1;
    s->f = f;
    s->nf = n;
    x->pool_n += n + 1;
    return true;
}

struct span hl7_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned n)
{
    x->at_seg = s;
    x->at_field = s->id == HL7_ID('M', 'S', 'H') ? n + 1 : n;
    if (!s->f && !index_fields(x, s))
        return SPAN_ABSENT;
    if (n < 1 || n > s->nf)
        return SPAN_ABSENT;
    size_t from = s->f[n - 1], len = s->f[n] - 1 - s->f[n - 1];
    return len ? span_make(s->text.p + from, len) : SPAN_ABSENT;
}

bool hl7_next_rep(const struct hl7_ctx *x, struct span *rest, struct span *out)
{
    if (!rest->p)
        return false;
    if (!x->d.rep) {
        *out = *rest;
        *rest = SPAN_ABSENT;
        return true;
    }
    size_t i = hl7_find(*rest, x->d.rep);
    *out = (struct span){rest->p, i};
    *rest = i == rest->n ? SPAN_ABSENT : (struct span){rest->p + i + 1, rest->n - i - 1};
    return true;
}

struct span hl7_rep1(const struct hl7_ctx *x, struct span field)
{
    return x->d.rep && field.n ? (struct span){field.p, hl7_find(field, x->d.rep)} : field;
}

static struct span part(struct span s, char c, unsigned n)
{
    struct span out = SPAN_ABSENT;
    if (!c)
        return n == 1 ? s : SPAN_ABSENT;
    for (unsigned i = 0; i < n; i++) {
        if (!s.p)
            return SPAN_ABSENT;
        size_t k = hl7_find(s, c);
        out = (struct span){s.p, k};
        s = k == s.n ? SPAN_ABSENT : (struct span){s.p + k + 1, s.n - k - 1};
    }
    return out;
}

struct span hl7_comp(const struct hl7_ctx *x, struct span rep, unsigned n)
{
    return part(rep, x->d.comp, n);
}

struct span hl7_sub(const struct hl7_ctx *x, struct span comp, unsigned n)
{
    return part(comp, x->d.sub, n);
}

size_t hl7_split(struct span s, char c, struct span *v, size_t max)
{
    size_t n = 0;
    if (!c) {
        v[0] = s;
        return s.n ? 1 : 0;
    }
    while (n < max && s.p) {
        size_t k = hl7_find(s, c);
        v[n++] = (struct span){s.p, k};
        s = k == s.n ? SPAN_ABSENT : (struct span){s.p + k + 1, s.n - k - 1};
    }
    return n;
}

bool hl7_is_blank(const struct hl7_ctx *x, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != ' ' && c != '\t' && c != '\n' && c != '"' && (c != x->d.comp || !c) && (c != x->d.rep || !c) && (c != x->d.sub || !c))
            return false;
    }
    return true;
}
