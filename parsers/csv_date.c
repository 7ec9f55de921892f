/*
 * NAME csv_date - dates as line lists write them.
 *
 * ISO 8601 is always read: YYYY, YYYY-MM, YYYY-MM-DD, and with a time behind T or a blank: hh:mm, hh:mm:ss, hh:mm:ss.fff, and a zone.
 * Other orders only as `date-format` says: tokens YYYY, MM, DD, MMM (Jan … Dec) and hh, mm, ss; every other character stands for itself.
 * MM, DD and hh may have one digit. Years have four digits: 03/04/26 has no safe meaning. A format without a time takes one behind it.
 * A day that the calendar does not have is no date.
 */
#include "csv_inner.h"

#include <stdio.h>
#include <string.h>

struct date { int y, mo, d, h, mi, s; struct span fraction, zone; char prec; };

static const char *const months[12] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const tokens[] = {"YYYY", "MMM", "MM", "DD", "hh", "mm", "ss"};
#define TOKENS_N (sizeof tokens / sizeof tokens[0])

static bool digits(struct span *s, size_t least, size_t most, int *out)
{
    size_t n = 0;
    int v = 0;
    while (n < s->n && n < most && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    if (n < least)
        return false;
    *out = v;
    *s = span_from(*s, n);
    return true;
}

static bool take(struct span *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = span_from(*s, 1);
    return true;
}

static bool is_day(const struct date *x)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (x->y % 4 == 0 && x->y % 100 != 0) || x->y % 400 == 0;
    if (x->y < 1800 || x->y > 2999 || x->mo < 1 || x->mo > 12 || x->d < 1 || x->h > 23 || x->mi > 59 || x->s > 59)
        return false;
    return x->d <= days[x->mo - 1] + (x->mo == 2 && is_leap);
}

/* Z, +02:00, +0200, +02 up to the end. */
static bool read_zone(struct span s, struct date *x)
{
    int h, m = 0;
    x->zone = s;
    if (take(&s, 'Z'))
        return !s.n;
    if (!take(&s, '+') && !take(&s, '-'))
        return false;
    if (!digits(&s, 2, 2, &h))
        return false;
    (void)take(&s, ':');
    return (!s.n || digits(&s, 2, 2, &m)) && !s.n && h < 15 && m < 60;
}

/* hh:mm[:ss[.fff]][zone] up to the end */
static bool read_time(struct span s, struct date *x)
{
    if (!digits(&s, 1, 2, &x->h) || !take(&s, ':') || !digits(&s, 2, 2, &x->mi))
        return false;
    x->prec = 'N';
    if (take(&s, ':')) {
        if (!digits(&s, 2, 2, &x->s))
            return false;
        x->prec = 'S';
        if (take(&s, '.')) {
            size_t n = 0;
            while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
                n++;
            if (n == 0 || n > 9)
                return false;
            x->fraction = span_cut(s, 0, n);
            x->prec = 'F';
            s = span_from(s, n);
        }
    }
    return !s.n || read_zone(s, x);
}

static bool read_iso(struct span s, struct date *x)
{
    *x = (struct date){.mo = 1, .d = 1, .prec = 'Y'};
    if (!digits(&s, 4, 4, &x->y))
        return false;
    if (!s.n)
        return true;
    x->prec = 'M';
    if (!take(&s, '-') || !digits(&s, 2, 2, &x->mo))
        return false;
    if (!s.n)
        return true;
    x->prec = 'D';
    if (!take(&s, '-') || !digits(&s, 2, 2, &x->d))
        return false;
    return !s.n || ((take(&s, 'T') || take(&s, ' ')) && read_time(s, x));
}

static bool read_month(struct span *s, int *out)
{
    for (int i = 0; i < 12; i++)
        if (s->n >= 3 && span_is_nocase(span_cut(*s, 0, 3), months[i])) {
            *out = i + 1;
            *s = span_from(*s, 3);
            return true;
        }
    return false;
}

static size_t token_at(const char *f)
{
    for (size_t i = 0; i < TOKENS_N; i++)
        if (strncmp(f, tokens[i], strlen(tokens[i])) == 0)
            return i;
    return TOKENS_N;
}

static bool read_token(size_t t, struct span *s, struct date *x)
{
    switch (t) {
    case 0: return digits(s, 4, 4, &x->y);
    case 1: return read_month(s, &x->mo);
    case 2: return digits(s, 1, 2, &x->mo);
    case 3: return digits(s, 1, 2, &x->d);
    case 4: return digits(s, 1, 2, &x->h);
    case 5: return digits(s, 2, 2, &x->mi);
    default: return digits(s, 2, 2, &x->s);
    }
}

static bool read_as(const char *f, struct span s, struct date *x)
{
    *x = (struct date){.mo = 1, .d = 1, .prec = 'D'};
    while (*f) {
        size_t t = token_at(f);
        if (t < TOKENS_N ? !read_token(t, &s, x) : !take(&s, *f))
            return false;
        if (t >= 5 && t < TOKENS_N)
            x->prec = t == 5 ? 'N' : 'S';
        f += t < TOKENS_N ? strlen(tokens[t]) : 1;
    }
    return !s.n || (x->prec == 'D' && take(&s, ' ') && read_time(s, x));
}

bool csv_date_format_ok(const char *format)
{
    unsigned seen[TOKENS_N] = {0};
    for (const char *f = format; *f;) {
        size_t t = token_at(f);
        if (t == TOKENS_N && ((*f >= 'a' && *f <= 'z') || (*f >= 'A' && *f <= 'Z')) && *f != 'T')
            return false;
        if (t < TOKENS_N)
            seen[t]++;
        f += t < TOKENS_N ? strlen(tokens[t]) : 1;
    }
    return seen[0] == 1 && seen[1] + seen[2] == 1 && seen[3] == 1 && seen[4] == seen[5] && seen[4] <= 1 && seen[6] <= seen[5];
}

bool csv_date(const struct option_list *formats, struct span text, struct arena *a, struct rec_ts *out)
{
    struct date x;
    char b[48];
    *out = (struct rec_ts){.prec = 0};
    text = span_trim(text);
    if (!text.n)
        return true;
    bool is_read = read_iso(text, &x);
    for (size_t i = 0; i < formats->n && !is_read; i++)
        is_read = read_as(formats->v[i], text, &x);
    if (!is_read || !is_day(&x))
        return false;
    int n = snprintf(b, sizeof b, "%04d-%02d-%02dT%02d:%02d:%02d.%.*s", x.y, x.mo, x.d, x.h, x.mi, x.s, SPAN_ARG(x.fraction));
    static const char precs[] = "YMDNSF";
    static const int lengths[] = {4, 7, 10, 16, 19};
    size_t p = (size_t)(strchr(precs, x.prec) - precs);
    out->v = arena_dup(a, span_make(b, (size_t)(p < 5 ? lengths[p] : n)));
    out->zone = x.zone.n == 5 ? arena_printf(a, "%.3s:%.2s", x.zone.p, x.zone.p + 3) : x.zone.n == 3 ? arena_printf(a, "%.3s:00", x.zone.p) : x.zone;
    out->prec = x.prec;
    return true;
}
