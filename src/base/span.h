/*
 * span - a borrowed slice of bytes: pointer and length, passed by value, never NUL-terminated by promise.
 *
 * Owns nothing: valid as long as the arena or buffer it points into. Thread: any.
 * The three states of an HL7 v2 leaf (v2.9 ch. 2.4.3.1) are told by the pointer:
 *   absent {NULL,0}: no statement;  null {non-NULL,0}: the delete indicator `""`;  value: n > 0.
 */
#ifndef LABRELAY_SPAN_H
#define LABRELAY_SPAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN_ABSENT ((struct span){0})
#define SPAN_LIT(s) ((struct span){("" s), sizeof(s) - 1})
/* For "%.*s": SPAN_ARG(x) expands to the two arguments. */
#define SPAN_ARG(x) (int)(x).n, (x).n ? (x).p : ""

extern const struct span span_null;                 /* the null state: p != NULL, n == 0 */

struct span span_of(const char *s);                 /* of a C string; NULL gives absent */
struct span span_make(const char *p, size_t n);
static inline bool span_is_absent(struct span s) { return s.p == NULL; }
static inline bool span_is_null(struct span s) { return s.p != NULL && s.n == 0; }
static inline bool span_has(struct span s) { return s.n > 0; }

bool span_eq(struct span a, struct span b);
bool span_is(struct span a, const char *s);
bool span_eq_nocase(struct span a, struct span b);  /* ASCII case only */
bool span_is_nocase(struct span a, const char *s);
bool span_starts(struct span a, const char *prefix);
int  span_cmp(struct span a, struct span b);        /* bytes, shorter first on a tie */
struct span span_from(struct span s, size_t i);     /* s[i..]; empty when i is past the end */
struct span span_cut(struct span s, size_t i, size_t n);
struct span span_trim(struct span s);               /* blanks, tabs, CR, LF on both sides */
/* Index of the first c, or s.n. */
size_t span_find(struct span s, char c);
/* Takes what stands before the first c from *rest (all when there is none), moves *rest behind it. false when *rest was used up. */
bool span_next(struct span *rest, char c, struct span *out);
/* Decimal integer, whole span, optional sign. false when it is none or out of range. */
bool span_int(struct span s, int64_t *out);
bool span_is_digits(struct span s);                 /* at least one, all 0-9 */
#endif
