/* NAME span - borrowed slices of bytes. Pure; no diagnostics. */
#include "span.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

const struct span span_null = {"", 0};

struct span span_of(const char *s)
{
    if (!s)
        return SPAN_ABSENT;
    return (struct span){s, strlen(s)};
}

struct span span_make(const char *p, size_t n)
{
    return (struct span){p, n};
}

bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool span_is(struct span a, const char *s)
{
    return span_eq(a, span_of(s));
}

bool span_eq_nocase(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool span_is_nocase(struct span a, const char *s)
{
    return span_eq_nocase(a, span_of(s));
}

bool span_starts(struct span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.n ? a.p : "", prefix, n) == 0;
}

int span_cmp(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

struct span span_from(struct span s, size_t i)
{
    if (i >= s.n)
        return (struct span){s.p ? s.p + s.n : NULL, 0};
    return (struct span){s.p + i, s.n - i};
}

struct span span_cut(struct span s, size_t i, size_t n)
{
    s = span_from(s, i);
    if (s.n > n)
        s.n = n;
    return s;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

size_t span_find(struct span s, char c)
{
    const char *q = s.n ? memchr(s.p, c, s.n) : NULL;
    return q ? (size_t)(q - s.p) : s.n;
}

bool span_next(struct span *rest, char c, struct span *out)
{
    if (!rest->p)
        return false;
    size_t i = span_find(*rest, c);
    *out = (struct span){rest->p, i};
    if (i == rest->n)
        *rest = SPAN_ABSENT;
    else
        *rest = (struct span){rest->p + i + 1, rest->n - i - 1};
    return true;
}

bool span_int(struct span s, int64_t *out)
{
    bool minus = false;
    uint64_t v = 0;
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        minus = s.p[0] == '-';
        s = span_from(s, 1);
    }
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
        if (v > (uint64_t)INT64_MAX + minus)
            return false;
    }
    *out = !minus ? (int64_t)v : v ? -(int64_t)(v - 1) - 1 : 0;
    return true;
}

bool span_is_digits(struct span s)
{
    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}
