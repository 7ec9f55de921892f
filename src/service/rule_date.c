/*
 * NAME
 *     rule_date - dates in rules: arithmetic, ages, reading and writing
 * DESCRIPTION
 *     A date is as exact as it was sent. Adding keeps that: `2026-05 + 1y` is 2026-05 of the next year, and hours cannot be added to a
 *     day. Months and years are those of the calendar; the 31st of a shorter month is its last day.
 *     Two times with different zones are compared in UTC; where one has no zone, both as they stand. An age is compared by the interval
 *     that the two dates allow: born in 2021, someone is neither surely younger nor surely older than five on 2026-05-04.
 * DIAGNOSTICS
 *     None: what cannot be done is absent or unknown.
 */
#include <stdio.h>
#include <string.h>

#include "rule_inner.h"

#define YEAR_MAX 9999
#define COUNT_MAX 100000

struct when { int64_t year; int month, day, hour, minute, second; };

/* ---- the calendar (proleptic Gregorian, days from 1970-01-01) ---- */
static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

static int64_t day_number(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void of_day_number(int64_t z, struct when *w)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    w->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    w->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    w->year = yoe + era * 400 + (w->month <= 2);
}

static int two(struct span s, size_t i)
{
    return (s.p[i] - '0') * 10 + (s.p[i + 1] - '0');
}

/* "2026-05-04T14:22:33.1": how many parts (1 year … 6 second), 0 when it is none. Fractions are not kept. */
static unsigned read_parts(struct span v, struct when *w)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    size_t n = v.n < sizeof shape - 1 ? v.n : sizeof shape - 1;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == 'd' ? v.p[i] < '0' || v.p[i] > '9' : v.p[i] != shape[i])
            return 0;
    if (n < 4)
        return 0;
    *w = (struct when){.year = two(v, 0) * 100 + two(v, 2), .month = 1, .day = 1};
    unsigned parts = 1;
    if (n >= 7) {
        w->month = two(v, 5);
        parts = 2;
    }
    if (n >= 10) {
        w->day = two(v, 8);
        parts = 3;
    }
    if (n >= 13) {
        w->hour = two(v, 11);
        parts = 4;
    }
    if (n >= 16) {
        w->minute = two(v, 14);
        parts = 5;
    }
    if (n >= 19) {
        w->second = two(v, 17);
        parts = 6;
    }
    bool is_good = w->month >= 1 && w->month <= 12 && w->day >= 1 && w->day <= month_days(w->year, w->month) && w->hour < 24 && w->minute < 60 && w->second <= 60;
    return is_good ? parts : 0;
}

static struct rec_ts *write_parts(struct rule_scope *x, const struct when *w, unsigned parts, struct span zone)
{
    static const char prec[] = "?YMDHNS";
    char text[40];
    size_t lengths[] = {0, 4, 7, 10, 13, 16, 19};
    if (w->year < 1 || w->year > YEAR_MAX)
        return NULL;
    (void)snprintf(text, sizeof text, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)w->year, w->month, w->day, w->hour, w->minute, w->second);
    struct rec_ts *ts = arena_zalloc(x->a, sizeof *ts);
    if (ts)
        *ts = (struct rec_ts){.v = arena_dup(x->a, (struct span){text, lengths[parts]}), .zone = zone, .prec = prec[parts]};
    return ts;
}

bool rule_date_is(struct span s)
{
    struct when w;
    return (s.n == 10 || s.n == 16 || s.n == 19) && read_parts(s, &w) >= 3;
}

/* ---- times: 5y 6mo 2w 3d 12h 30m 10s ---- */
static const struct { const char *unit; enum { UNIT_MONTHS, UNIT_DAYS, UNIT_SECONDS } kind; int64_t n; } units[] = {
    {"y", UNIT_MONTHS, 12}, {"mo", UNIT_MONTHS, 1}, {"w", UNIT_DAYS, 7}, {"d", UNIT_DAYS, 1}, {"h", UNIT_SECONDS, 3600}, {"m", UNIT_SECONDS, 60}, {"s", UNIT_SECONDS, 1},
};

bool rule_duration_read(struct span s, struct rule_duration *out)
{
    size_t n = 0;
    int64_t count = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    if (!n || n > 6 || !span_int(span_cut(s, 0, n), &count) || count > COUNT_MAX)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (span_is(span_from(s, n), units[i].unit)) {
            *out = (struct rule_duration){.months = units[i].kind == UNIT_MONTHS ? count * units[i].n : 0, .days = units[i].kind == UNIT_DAYS ? count * units[i].n : 0,
                                          .seconds = units[i].kind == UNIT_SECONDS ? count * units[i].n : 0};
            return true;
        }
    return false;
}

static void add_months(struct when *w, int64_t months)
{
    int64_t m = w->year * 12 + (w->month - 1) + months;
    w->year = m / 12;
    w->month = (int)(m % 12) + 1;
    if (m < 0 || w->year < 1 || w->year > YEAR_MAX) {
        w->year = 0;
        w->month = 1;
    }
    int last = month_days(w->year, w->month);
    if (w->day > last)
        w->day = last;
}

const struct rec_ts *rule_date_add(struct rule_scope *x, const struct rec_ts *ts, const struct rule_duration *d, bool is_minus)
{
    struct when w;
    unsigned parts = read_parts(ts->v, &w);
    int64_t sign = is_minus ? -1 : 1;
    bool is_exact = parts && (!d->months || parts >= (d->months % 12 ? 2u : 1u)) && (!d->days || parts >= 3) &&
                    (!d->seconds || parts >= (d->seconds % 3600 == 0 ? 4u : d->seconds % 60 == 0 ? 5u : 6u));
    if (!is_exact)
        return NULL;
    add_months(&w, sign * d->months);
    if (d->days || d->seconds) {
        int64_t s = day_number(w.year, w.month, w.day) * 86400 + w.hour * 3600 + w.minute * 60 + w.second + sign * (d->days * 86400 + d->seconds);
        int64_t days = s >= 0 ? s / 86400 : -((86399 - s) / 86400), rest = s - days * 86400;
        of_day_number(days, &w);
        w.hour = (int)(rest / 3600);
        w.minute = (int)(rest / 60 % 60);
        w.second = (int)(rest % 60);
    }
    return write_parts(x, &w, parts, ts->zone);
}

/* ---- zones ---- */
static bool zone_minutes(struct span zone, int *out)
{
    if (span_is(zone, "Z")) {
        *out = 0;
        return true;
    }
    if (zone.n != 6 || (zone.p[0] != '+' && zone.p[0] != '-') || zone.p[3] != ':')
        return false;
    int m = two(zone, 1) * 60 + two(zone, 4);
    *out = zone.p[0] == '-' ? -m : m;
    return true;
}

/* Both in UTC when they are times of known and different zones; else as they are. */
static void align(struct rule_scope *x, const struct rec_ts **a, const struct rec_ts **b)
{
    int za, zb;
    if ((*a)->v.n < 16 || (*b)->v.n < 16 || !zone_minutes((*a)->zone, &za) || !zone_minutes((*b)->zone, &zb) || za == zb)
        return;
    struct rule_duration da = {.seconds = za < 0 ? -za * 60 : za * 60}, db = {.seconds = zb < 0 ? -zb * 60 : zb * 60};
    const struct rec_ts *ua = rule_date_add(x, *a, &da, za > 0), *ub = rule_date_add(x, *b, &db, zb > 0);
    if (ua && ub) {
        *a = ua;
        *b = ub;
    }
}

int rule_date_compare(struct rule_scope *x, const struct rec_ts *ta, const struct rec_ts *tb, bool *is_sure)
{
    align(x, &ta, &tb);
    struct span a = ta->v, b = tb->v;
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    *is_sure = c != 0 || b.n <= a.n;    /* 2026-05-04T14:20 against the day 2026-05-04: that day; 2026-05 against it: not known */
    return c;
}

/* ---- what two dates allow ---- */
struct range { int64_t lo, hi; };       /* seconds, or days when one of the two is no time; both ends included */

static bool range_of(const struct rec_ts *ts, bool is_days, const struct rule_duration *plus, struct range *out)
{
    struct when lo, hi;
    unsigned parts = read_parts(ts->v, &lo);
    if (!parts)
        return false;
    hi = lo;
    if (parts < 2)
        hi.month = 12;
    if (parts < 3)
        hi.day = month_days(hi.year, hi.month);
    if (parts < 4)
        hi.hour = 23;
    if (parts < 5)
        hi.minute = 59;
    if (parts < 6)
        hi.second = 59;
    add_months(&lo, plus->months);
    add_months(&hi, plus->months);
    int64_t more = is_days ? plus->days : plus->days * 86400 + plus->seconds;
    *out = (struct range){day_number(lo.year, lo.month, lo.day) + (is_days ? more : 0), day_number(hi.year, hi.month, hi.day) + (is_days ? more : 0)};
    if (!is_days) {
        out->lo = out->lo * 86400 + lo.hour * 3600 + lo.minute * 60 + lo.second + more;
        out->hi = out->hi * 86400 + hi.hour * 3600 + hi.minute * 60 + hi.second + more;
    }
    return true;
}

enum rule_truth rule_date_age(struct rule_scope *x, const struct rec_ts *from, const struct rec_ts *to, enum rule_op op, const struct rule_duration *d)
{
    static const struct rule_duration none;
    struct range then, now;
    align(x, &from, &to);
    bool is_days = from->v.n < 13 || to->v.n < 13;
    if (is_days && d->seconds)
        return TRUTH_UNKNOWN;           /* hours since a day */
    if (!range_of(from, is_days, d, &then) || !range_of(to, is_days, &none, &now))
        return TRUTH_UNKNOWN;
    bool all_less = now.hi < then.lo, none_less = now.lo >= then.hi, all_more = now.lo > then.hi, none_more = now.hi <= then.lo;
    switch (op) {
    case OP_LT: return all_less ? TRUTH_YES : none_less ? TRUTH_NO : TRUTH_UNKNOWN;
    case OP_GE: return none_less ? TRUTH_YES : all_less ? TRUTH_NO : TRUTH_UNKNOWN;
    case OP_GT: return all_more ? TRUTH_YES : none_more ? TRUTH_NO : TRUTH_UNKNOWN;
    case OP_LE: return none_more ? TRUTH_YES : all_more ? TRUTH_NO : TRUTH_UNKNOWN;
    case OP_EQ:
    case OP_NE: return TRUTH_UNKNOWN;   /* refused by the compiler */
    }
    return TRUTH_UNKNOWN;
}

static int64_t whole_years(struct when a, struct when b)
{
    int64_t n = b.year - a.year;
    return b.month < a.month || (b.month == a.month && b.day < a.day) ? n - 1 : n;
}

bool rule_date_years(const struct rec_ts *from, const struct rec_ts *to, int64_t *out)
{
    struct when a, b;
    unsigned pa = read_parts(from->v, &a), pb = read_parts(to->v, &b);
    if (!pa || !pb)
        return false;
    struct when a_hi = a, b_hi = b;
    a_hi.month = pa < 2 ? 12 : a.month;
    a_hi.day = pa < 3 ? month_days(a_hi.year, a_hi.month) : a.day;
    b_hi.month = pb < 2 ? 12 : b.month;
    b_hi.day = pb < 3 ? month_days(b_hi.year, b_hi.month) : b.day;
    *out = whole_years(a, b_hi);
    return *out == whole_years(a_hi, b);
}

bool rule_date_days(const struct rec_ts *from, const struct rec_ts *to, int64_t *out)
{
    struct when a, b;
    if (read_parts(from->v, &a) < 3 || read_parts(to->v, &b) < 3)
        return false;
    *out = day_number(b.year, b.month, b.day) - day_number(a.year, a.month, a.day);
    return true;
}

/* ---- formats ---- */
static const struct { const char *word; unsigned part; size_t at; } marks[] = {
    {"YYYY", 1, 0}, {"MM", 2, 5}, {"DD", 3, 8}, {"hh", 4, 11}, {"mm", 5, 14}, {"ss", 6, 17},
};
#define MARKS (sizeof marks / sizeof marks[0])

static size_t mark_at(struct span format)
{
    for (size_t i = 0; i < MARKS; i++)
        if (span_starts(format, marks[i].word))
            return i;
    return MARKS;
}

bool rule_date_format_is(struct span format, bool is_input)
{
    unsigned seen = 0;
    size_t n = format.n;
    while (format.n) {
        size_t m = mark_at(format);
        if (m < MARKS && (seen & (1u << m)))
            return false;
        seen |= m < MARKS ? 1u << m : 0;
        format = span_from(format, m < MARKS ? strlen(marks[m].word) : 1);
    }
    /* a coarser part may not be missing below a finer one: no day without its month */
    bool is_whole = !is_input || ((seen & 1u) && (seen & (seen + 1)) == 0);
    return n <= 64 && seen && is_whole;
}

const struct rec_ts *rule_date_read(struct rule_scope *x, struct span text, struct span format)
{
    char out[] = "0000-01-01T00:00:00";
    struct when w;
    unsigned parts = 0;
    text = span_trim(text);
    while (format.n) {
        size_t m = mark_at(format), n = m < MARKS ? strlen(marks[m].word) : 1;
        if (text.n < n || (m < MARKS ? !span_is_digits(span_cut(text, 0, n)) : text.p[0] != format.p[0]))
            return NULL;
        if (m < MARKS) {
            memcpy(out + marks[m].at, text.p, n);
            parts = marks[m].part > parts ? marks[m].part : parts;
        }
        text = span_from(text, n);
        format = span_from(format, n);
    }
    if (text.n || read_parts(span_of(out), &w) != 6 || w.year < 1)
        return NULL;
    return write_parts(x, &w, parts, SPAN_ABSENT);
}

struct span rule_date_write(struct rule_scope *x, const struct rec_ts *ts, struct span format)
{
    struct when w;
    char out[200];
    size_t n = 0;
    unsigned parts = read_parts(ts->v, &w);
    while (format.n && n + 4 < sizeof out) {
        size_t m = mark_at(format), len = m < MARKS ? strlen(marks[m].word) : 1;
        if (m < MARKS && marks[m].part > parts)
            return SPAN_ABSENT;
        memcpy(out + n, m < MARKS ? ts->v.p + marks[m].at : format.p, len);
        n += len;
        format = span_from(format, len);
    }
    return arena_dup(x->a, (struct span){out, n});
}
