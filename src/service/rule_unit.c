/*
 * NAME
 *     rule_unit - units that differ by a power of ten only
 * DESCRIPTION
 *     In a condition a threshold may name another unit than the message, when the two say the same thing ten, a hundred, a thousand …
 *     times: `observation.value > 50 "mg/dL"` for a value in g/L. The threshold is shifted, exactly; the value is never touched. Units of
 *     other kinds, and counts against volumes of another base (mmol/L and mg/dL), stay undecided. result-of asks for the very same unit.
 * DIAGNOSTICS
 *     None.
 */
#include <string.h>

#include "rule_inner.h"

struct atom { struct span base; int power; };

/* Bases that take prefixes, and spellings that mean the same. */
static const struct { const char *name, *base; int power; } bases[] = {
    {"g", "g", 0}, {"L", "L", 0}, {"l", "L", 0}, {"mol", "mol", 0}, {"m", "m", 0}, {"Pa", "Pa", 0}, {"U", "U", 0},
    {"[IU]", "IU", 0}, {"[iU]", "IU", 0}, {"IU", "IU", 0}, {"{copies}", "copies", 0}, {"copies", "copies", 0}, {"cp", "copies", 0}, {"{cells}", "cells", 0}, {"cells", "cells", 0},
};
static const struct { const char *sign; int power; } prefixes[] = {
    {"", 0}, {"k", 3}, {"d", -1}, {"c", -2}, {"m", -3}, {"u", -6}, {"µ", -6}, {"μ", -6}, {"n", -9}, {"p", -12}, {"f", -15},
};

static bool read_atom(struct span s, struct atom *out)
{
    for (size_t p = 0; p < sizeof prefixes / sizeof prefixes[0]; p++) {
        size_t n = strlen(prefixes[p].sign);
        if (!span_starts(s, prefixes[p].sign))
            continue;
        for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
            if (span_is(span_from(s, n), bases[i].name)) {
                *out = (struct atom){span_of(bases[i].base), prefixes[p].power + bases[i].power};
                return true;
            }
    }
    return false;
}

/* The power of ten by which `have` is larger than `want`: g/L is 10^2 mg/dL … 10^(3-1). False: not the same kind. */
static bool difference(struct span have, struct span want, int *out)
{
    struct span h[2] = {span_cut(have, 0, span_find(have, '/')), SPAN_ABSENT}, w[2] = {span_cut(want, 0, span_find(want, '/')), SPAN_ABSENT};
    h[1] = span_from(have, h[0].n + 1);
    w[1] = span_from(want, w[0].n + 1);
    *out = 0;
    for (size_t i = 0; i < 2; i++) {
        struct atom a, b;
        if (span_eq(h[i], w[i]))
            continue;
        if (!read_atom(h[i], &a) || !read_atom(w[i], &b) || !span_eq(a.base, b.base))
            return false;
        *out += (i ? -1 : 1) * (a.power - b.power);
    }
    return true;
}

bool rule_unit_shift(struct rule_scope *x, struct span have, struct span want, struct span *threshold)
{
    int power = 0;
    int64_t exponent = 0;
    struct span number = *threshold;
    if (!span_has(have) || !span_has(want) || !difference(have, want, &power))
        return false;
    if (!power)
        return true;
    size_t e = 0;
    while (e < number.n && number.p[e] != 'e' && number.p[e] != 'E')
        e++;
    if (e < number.n && !span_int(span_from(number, e + 1), &exponent))
        return false;
    *threshold = arena_printf(x->a, "%.*sE%lld", (int)e, number.p, (long long)(exponent - power));      /* 50 mg/dL are 50E-2 g/L */
    return rule_number_is(*threshold);
}
