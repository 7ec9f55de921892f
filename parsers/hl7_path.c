/*
 * NAME hl7_path - cuts a segment.
 * The offsets of a segment lie in one pool of the message, so that a usual message costs one allocation for all of them.
 * Fields past HL7_MAX_FIELDS are not reached: no segment defines so many. DIAGNOSTICS none.
 */
#include "hl7_path.h"

#include <string.h>

enum { POOL = 1024 };

static const uint32_t no_fields[1] = {0};

static bool index_fields(struct hl7_ctx *x, struct hl7_seg *s)
{
    const char *p = s->text.p, *end = p + s->text.n, *q = p + 3;
    s->f = no_fields;
    s->nf = 0;
    if (x->pool_cap - x->pool_n < HL7_MAX_FIELDS + 1) {
        x->pool = arena_alloc(x->a, POOL * sizeof *x->pool);
        if (!x->pool)
            return false;
        x->pool_n = 0;
        x->pool_cap = POOL;
    }
    uint32_t *f = x->pool + x->pool_n;
    uint32_t n = 0;
    if (s->text.n < 4 || s->text.n > UINT32_MAX - 2)
        return true;
    while (q && q < end && n < HL7_MAX_FIELDS) {
        f[n++] = (uint32_t)(q + 1 - p);
        q = memchr(q + 1, x->d.field, (size_t)(end - q - 1));
    }
    f[n] = (uint32_t)((q && q < end ? q : end) - p) + 1;
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
    return span_next(rest, x->d.rep, out);
}

struct span hl7_rep1(const struct hl7_ctx *x, struct span field)
{
    return x->d.rep ? span_cut(field, 0, span_find(field, x->d.rep)) : field;
}

static struct span part(struct span s, char c, unsigned n)
{
    struct span out = SPAN_ABSENT;
    if (!c)
        return n == 1 ? s : SPAN_ABSENT;
    for (unsigned i = 0; i < n; i++)
        if (!span_next(&s, c, &out))
            return SPAN_ABSENT;
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
    while (n < max && span_next(&s, c, &v[n]))
        n++;
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
