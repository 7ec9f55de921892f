/*
 * hl7_path - fields, repetitions, components and sub-components of a segment as spans of its text.
 * Lazy: a segment's fields are indexed when the first is asked for; deeper levels are cut when asked. Raw: nothing is unescaped.
 * Numbers are 1-based as in HL7. Absent where there is nothing.
 */
#ifndef LABRELAY_HL7_PATH_H
#define LABRELAY_HL7_PATH_H
#include <string.h>

#include "hl7_lex.h"

/* Short leaves are the rule: a loop beats a call for them. */
static inline size_t hl7_find(struct span s, char c)
{
    size_t i = 0, end = s.n < 24 ? s.n : 24;
    while (i < end && s.p[i] != c)
        i++;
    if (i < end || end == s.n)
        return i;
    const char *q = memchr(s.p + i, c, s.n - i);
    return q ? (size_t)(q - s.p) : s.n;
}

static inline bool hl7_eq(struct span s, const char *p, size_t n)
{
    return s.n == n && memcmp(s.p, p, n) == 0;
}
#define HL7_IS(s, lit) hl7_eq((s), "" lit, sizeof(lit) - 1)

/* Field n with all its repetitions; for MSH, FHS, BHS pass n - 1 (their field 1 is the separator). Sets the place for warnings. */
struct span hl7_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned n);
/* Takes the next repetition from *rest (start with the field). False when used up. */
bool hl7_next_rep(const struct hl7_ctx *x, struct span *rest, struct span *out);
struct span hl7_rep1(const struct hl7_ctx *x, struct span field);
struct span hl7_comp(const struct hl7_ctx *x, struct span rep, unsigned n);
struct span hl7_sub(const struct hl7_ctx *x, struct span comp, unsigned n);
/* Cuts s at c into v[0..max); the last takes no more than its own part. Returns how many. c 0: one part. */
size_t hl7_split(struct span s, char c, struct span *v, size_t max);
/* Only delimiters, blanks and quotes: nothing is said here. */
bool hl7_is_blank(const struct hl7_ctx *x, struct span s);
#endif
