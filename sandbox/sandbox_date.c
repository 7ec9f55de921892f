/*
 * NAME
 *   sandbox_date - dates the way Node 14+ (V8) reads them
 *
 *   Go.Data hands every date to `new Date(x)`. V8 first tries the ECMAScript form; what is left over goes to a loose grammar
 *   in which numbers are collected as day parts, `:` makes them time parts, month names, AM/PM and zone names are known and
 *   words before the first number are skipped. Both are needed: "Nov 9 2026" and "09/11/2026" (US order) are accepted by a
 *   real server, HL7's 20261109 is not (its year is out of range).
 *
 * DIAGNOSTICS
 *   none: false means Invalid Date.
 */
#include "sandbox_date.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "xmem.h"

#define MS_PER_DAY 86400000LL
#define DAYS_MAX 100000000LL            /* either side of 1970: ECMA-262 20.4.1.1 */
#define MS_MAX (DAYS_MAX * MS_PER_DAY)
#define NONE (-2147483647)

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_SYMBOL, TOKEN_SPACE, TOKEN_WORD };
enum word_kind { WORD_OTHER, WORD_MONTH, WORD_AMPM, WORD_ZONE, WORD_T };

struct token {
    enum token_kind kind;
    int number;                         /* value, capped */
    size_t length;                      /* digits or letters */
    char symbol;
    enum word_kind word;
    int value;                          /* month 1-12, hour offset, zone hours */
    bool is_z;
    int ms;                             /* the digits read as a fraction */
};

struct scan {
    struct span s;
    size_t at;
    struct token next;
};

struct parts {
    int day[3];
    size_t days;
    int month;                          /* named */
    bool is_iso;
    int time[4];
    size_t times;
    int hour_offset;                    /* AM 0, PM 12, NONE */
    int zone_sign, zone_hour, zone_minute;
    bool has_number;
};

static bool between(int n, int lo, int hi) { return n >= lo && n <= hi; }

static const struct { const char *name; enum word_kind kind; int value; } words[] = {
    {"jan", WORD_MONTH, 1}, {"feb", WORD_MONTH, 2}, {"mar", WORD_MONTH, 3}, {"apr", WORD_MONTH, 4}, {"may", WORD_MONTH, 5}, {"jun", WORD_MONTH, 6},
    {"jul", WORD_MONTH, 7}, {"aug", WORD_MONTH, 8}, {"sep", WORD_MONTH, 9}, {"oct", WORD_MONTH, 10}, {"nov", WORD_MONTH, 11}, {"dec", WORD_MONTH, 12},
    {"am", WORD_AMPM, 0}, {"pm", WORD_AMPM, 12}, {"ut", WORD_ZONE, 0}, {"utc", WORD_ZONE, 0}, {"z", WORD_ZONE, 0}, {"gmt", WORD_ZONE, 0},
    {"cdt", WORD_ZONE, -5}, {"cst", WORD_ZONE, -6}, {"edt", WORD_ZONE, -4}, {"est", WORD_ZONE, -5}, {"mdt", WORD_ZONE, -6}, {"mst", WORD_ZONE, -7},
    {"pdt", WORD_ZONE, -7}, {"pst", WORD_ZONE, -8}, {"t", WORD_T, 0},
};

/* Words match by three letters; a month name may be longer, the others must be whole. */
static void word_classify(struct token *t, struct span w)
{
    char low[4] = "";
    for (size_t i = 0; i < w.n && i < 3; i++)
        low[i] = (char)tolower((unsigned char)w.p[i]);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(low, words[i].name) != 0 || (words[i].kind != WORD_MONTH && w.n != strlen(words[i].name)))
            continue;
        t->word = words[i].kind;
        t->value = words[i].value;
        t->is_z = w.n == 1 && low[0] == 'z';
        return;
    }
}

static void read_number(struct scan *in, struct token *t)
{
    int64_t n = 0;
    size_t start = in->at;
    t->kind = TOKEN_NUMBER;
    while (in->at < in->s.n && isdigit((unsigned char)in->s.p[in->at])) {
        if (n < 1000000000)
            n = n * 10 + (in->s.p[in->at] - '0');
        in->at++;
    }
    t->length = in->at - start;
    t->number = n > 1000000000 ? 1000000000 : (int)n;
    for (size_t i = 0, scale = 100; i < 3 && i < t->length; i++, scale /= 10)
        t->ms += (in->s.p[start + i] - '0') * (int)scale;
}

static void scan_advance(struct scan *in)
{
    struct token t = {0};
    if (in->at >= in->s.n) {
        t.kind = TOKEN_END;
    } else if (isdigit((unsigned char)in->s.p[in->at])) {
        read_number(in, &t);
    } else if (isalpha((unsigned char)in->s.p[in->at])) {
        size_t start = in->at;
        while (in->at < in->s.n && isalpha((unsigned char)in->s.p[in->at]))
            in->at++;
        t.kind = TOKEN_WORD;
        t.length = in->at - start;
        word_classify(&t, span_make(in->s.p + start, t.length));
    } else if (isspace((unsigned char)in->s.p[in->at])) {
        while (in->at < in->s.n && isspace((unsigned char)in->s.p[in->at]))
            in->at++;
        t.kind = TOKEN_SPACE;
    } else {
        t.kind = TOKEN_SYMBOL;
        t.symbol = in->s.p[in->at++];
        if (t.symbol == '(') {              /* a comment in parentheses, nested */
            int depth = 1;
            while (in->at < in->s.n && depth > 0) {
                depth += in->s.p[in->at] == '(' ? 1 : in->s.p[in->at] == ')' ? -1 : 0;
                in->at++;
            }
        }
    }
    in->next = t;
}

static struct token take(struct scan *in)
{
    struct token t = in->next;
    scan_advance(in);
    return t;
}

static bool is_symbol(const struct token *t, char c) { return t->kind == TOKEN_SYMBOL && t->symbol == c; }
static bool is_sign(const struct token *t) { return is_symbol(t, '+') || is_symbol(t, '-'); }
static bool is_fixed(const struct token *t, size_t digits) { return t->kind == TOKEN_NUMBER && t->length == digits; }

static bool skip(struct scan *in, char c)
{
    if (!is_symbol(&in->next, c))
        return false;
    scan_advance(in);
    return true;
}

static bool day_add(struct parts *p, int n)
{
    if (p->days == 3)
        return false;
    p->day[p->days++] = n;
    return true;
}

static bool time_add(struct parts *p, int n)
{
    if (p->times == 4)
        return false;
    p->time[p->times++] = n;
    return true;
}

static void time_finish(struct parts *p, int n)
{
    (void)time_add(p, n);
    while (p->times < 4)
        p->time[p->times++] = 0;
}

static bool time_expects(const struct parts *p, int n)
{
    return (p->times == 1 && between(n, 0, 59)) || (p->times == 2 && between(n, 0, 59)) || (p->times == 3 && between(n, 0, 999));
}

/* A fixed two-digit field within a range, or no. */
static bool two_digits(struct scan *in, int lo, int hi, int *out)
{
    if (!is_fixed(&in->next, 2) || !between(in->next.number, lo, hi))
        return false;
    *out = take(in).number;
    return true;
}

/* The zone of the ISO form: Z, +hh:mm or +hhmm. */
static bool iso_zone(struct scan *in, struct parts *p)
{
    if (in->next.kind == TOKEN_WORD && in->next.is_z) {
        scan_advance(in);
        p->zone_sign = 1;
        p->zone_hour = p->zone_minute = 0;
    } else if (is_sign(&in->next)) {
        p->zone_sign = take(in).symbol == '+' ? 1 : -1;
        if (is_fixed(&in->next, 4)) {
            int n = take(in).number;
            if (!between(n / 100, 0, 23) || !between(n % 100, 0, 59))
                return false;
            p->zone_hour = n / 100;
            p->zone_minute = n % 100;
        } else if (!two_digits(in, 0, 23, &p->zone_hour) || !skip(in, ':') || !two_digits(in, 0, 59, &p->zone_minute)) {
            return false;
        }
    }
    return in->next.kind == TOKEN_END;
}

static bool iso_time(struct scan *in, struct parts *p)
{
    int hour, n;
    if (!two_digits(in, 0, 24, &hour) || !skip(in, ':') || !two_digits(in, 0, hour == 24 ? 0 : 59, &n))
        return false;
    (void)time_add(p, hour);
    (void)time_add(p, n);
    if (skip(in, ':')) {
        if (!two_digits(in, 0, hour == 24 ? 0 : 59, &n))
            return false;
        (void)time_add(p, n);
        if (skip(in, '.')) {
            if (in->next.kind != TOKEN_NUMBER || (hour == 24 && in->next.number > 0))
                return false;
            (void)time_add(p, take(in).ms);
        }
    }
    return iso_zone(in, p);
}

enum iso_verdict { ISO_DONE, ISO_INVALID, ISO_LEGACY };

/* The ISO form. ISO_LEGACY: *rest is the first token that the loose grammar must go on with. */
static enum iso_verdict parse_iso(struct scan *in, struct parts *p, struct token *rest)
{
    if (is_sign(&in->next)) {
        struct token sign = take(in);
        *rest = sign;
        if (!is_fixed(&in->next, 6))
            return ISO_LEGACY;
        int year = take(in).number;
        if (sign.symbol == '-' && year == 0)
            return ISO_LEGACY;
        (void)day_add(p, sign.symbol == '-' ? -year : year);
    } else if (is_fixed(&in->next, 4)) {
        (void)day_add(p, take(in).number);
    } else {
        *rest = take(in);
        return ISO_LEGACY;
    }
    for (int hi = 12; hi <= 31 && skip(in, '-'); hi += 19) {
        int n;
        if (!two_digits(in, 1, hi, &n)) {
            *rest = take(in);
            return ISO_LEGACY;
        }
        (void)day_add(p, n);
    }
    if (in->next.kind == TOKEN_WORD && in->next.word == WORD_T && in->next.length == 1) {
        scan_advance(in);
        if (!iso_time(in, p))
            return ISO_INVALID;
    } else if (in->next.kind != TOKEN_END) {
        *rest = take(in);
        return ISO_LEGACY;
    }
    p->is_iso = true;
    return ISO_DONE;
}

static bool loose_number(struct scan *in, struct parts *p, int n)
{
    p->has_number = true;
    if (skip(in, ':')) {
        if (skip(in, ':')) {                /* "n::" */
            if (p->times > 0)
                return false;
            (void)time_add(p, n);
            return time_add(p, 0);
        }
        if (!time_add(p, n))
            return false;
        (void)skip(in, '.');
        return true;
    }
    if (is_symbol(&in->next, '.') && time_expects(p, n)) {
        scan_advance(in);
        (void)time_add(p, n);
        if (in->next.kind != TOKEN_NUMBER)
            return false;
        time_finish(p, take(in).ms);
        return true;
    }
    (void)skip(in, '.');
    if (p->zone_hour != NONE && p->zone_minute == NONE && between(n, 0, 59)) {
        p->zone_minute = n;
    } else if (time_expects(p, n)) {
        time_finish(p, n);
        const struct token *t = &in->next;
        return t->kind == TOKEN_END || t->kind == TOKEN_SPACE || is_sign(t) || (t->kind == TOKEN_WORD && t->is_z);
    } else {
        if (!day_add(p, n))
            return false;
        (void)skip(in, '-');
    }
    return true;
}

static bool loose_word(struct scan *in, struct parts *p, const struct token *t)
{
    if (t->word == WORD_AMPM && p->times > 0) {
        p->hour_offset = t->value;
    } else if (t->word == WORD_MONTH) {
        p->month = t->value;
        (void)skip(in, '-');
    } else if (t->word == WORD_ZONE && p->has_number) {
        p->zone_sign = t->value < 0 ? -1 : 1;
        p->zone_hour = abs(t->value);
        p->zone_minute = 0;
    } else if (p->has_number || in->next.kind == TOKEN_NUMBER) {
        return false;
    }
    return true;
}

static bool loose_offset(struct scan *in, struct parts *p, char sign)
{
    int n = 0;
    size_t length = 0;
    p->zone_sign = sign == '+' ? 1 : -1;
    if (in->next.kind == TOKEN_NUMBER) {
        struct token t = take(in);
        n = t.number;
        length = t.length;
    }
    p->has_number = true;
    if (is_symbol(&in->next, ':')) {
        p->zone_hour = n;
        p->zone_minute = NONE;
    } else if (length == 1 || length == 2) {
        p->zone_hour = n;
        p->zone_minute = 0;
    } else if (length == 3 || length == 4) {
        p->zone_hour = n / 100;
        p->zone_minute = n % 100;
    } else {
        return false;
    }
    return true;
}

static bool parse_loose(struct scan *in, struct parts *p, struct token t)
{
    p->has_number = p->days > 0;
    for (; t.kind != TOKEN_END; t = take(in)) {
        bool is_utc = p->zone_hour == 0 && p->zone_minute == 0;
        if (t.kind == TOKEN_NUMBER) {
            if (!loose_number(in, p, t.number))
                return false;
        } else if (t.kind == TOKEN_WORD) {
            if (!loose_word(in, p, &t))
                return false;
        } else if (is_sign(&t) && (is_utc || p->times > 0)) {
            if (!loose_offset(in, p, t.symbol))
                return false;
        } else if ((is_sign(&t) || is_symbol(&t, ')')) && p->has_number) {
            return false;
        }
    }
    return true;
}

static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

/* The three day numbers in the order their values and the month name allow. */
static bool day_write(struct parts *p, int64_t *days_out)
{
    int year = 0, month, day;
    if (p->days < 1)
        return false;
    while (p->days < 3)
        p->day[p->days++] = 1;
    bool first_is_day = between(p->day[0], 1, 31);
    if (p->month == 0) {
        if (p->is_iso || !first_is_day) {
            year = p->day[0], month = p->day[1], day = p->day[2];
        } else {
            month = p->day[0], day = p->day[1], year = p->day[2];
        }
    } else {
        month = p->month;
        if (!first_is_day)
            year = p->day[0], day = p->day[1];
        else
            day = p->day[0], year = p->day[1];
    }
    if (!p->is_iso && between(year, 0, 49))
        year += 2000;
    else if (!p->is_iso && between(year, 50, 99))
        year += 1900;
    if (!between(month, 1, 12) || !between(day, 1, 31))
        return false;
    *days_out = days_from_civil(year, month, day);      /* day 31 of a short month runs over, as in JavaScript */
    return true;
}

static bool time_write(struct parts *p, int64_t *ms_out)
{
    while (p->times < 4)
        p->time[p->times++] = 0;
    int h = p->time[0], m = p->time[1], s = p->time[2], ms = p->time[3];
    if (p->hour_offset != NONE) {
        if (!between(h, 0, 12))
            return false;
        h = h % 12 + p->hour_offset;
    }
    bool is_midnight = h == 24 && m == 0 && s == 0 && ms == 0;
    if ((!between(h, 0, 23) || !between(m, 0, 59) || !between(s, 0, 59) || !between(ms, 0, 999)) && !is_midnight)
        return false;
    *ms_out = ((h * 60LL + m) * 60 + s) * 1000 + ms;
    return true;
}

bool sandbox_date_parse(struct span s, int64_t *ms_out)
{
    struct scan in = {.s = s};
    struct parts p = {.hour_offset = NONE, .zone_sign = 1, .zone_hour = NONE, .zone_minute = NONE};
    struct token rest = {0};
    int64_t days, ms;
    scan_advance(&in);
    enum iso_verdict v = parse_iso(&in, &p, &rest);
    if (v == ISO_INVALID || (v == ISO_LEGACY && !parse_loose(&in, &p, rest)))
        return false;
    if (!day_write(&p, &days) || !time_write(&p, &ms) || days < -DAYS_MAX - 1 || days > DAYS_MAX + 1)
        return false;
    ms += days * MS_PER_DAY;
    if (p.zone_hour != NONE)
        ms -= p.zone_sign * (p.zone_hour * 60LL + (p.zone_minute == NONE ? 0 : p.zone_minute)) * 60000;
    if (ms < -MS_MAX || ms > MS_MAX)
        return false;
    *ms_out = ms;
    return true;
}

bool sandbox_date_of(const json_t *v, int64_t *ms_out)
{
    double d;
    switch (json_typeof(v)) {
    case JSON_STRING:
        return sandbox_date_parse(span_make(json_string_value(v), json_string_length(v)), ms_out);
    case JSON_INTEGER:
    case JSON_REAL:
        d = trunc(json_number_value(v));
        if (!(fabs(d) <= (double)MS_MAX))
            return false;
        *ms_out = (int64_t)d;
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *ms_out = json_is_true(v);
        return true;
    case JSON_NULL:
        return false;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    char *text = sandbox_json_to_string(v);
    bool ok = sandbox_date_parse(span_of(text), ms_out);
    free(text);
    return ok;
}

void sandbox_date_format(int64_t ms, char out[SANDBOX_DATE_SIZE])
{
    int64_t days = ms / MS_PER_DAY, rest = ms % MS_PER_DAY;
    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int d = (int)(doy - (153 * mp + 2) / 5 + 1);
    int m = (int)(mp < 10 ? mp + 3 : mp - 9);
    int y = (int)(yoe + era * 400 + (m <= 2));
    int h = (int)(rest / 3600000), mi = (int)(rest / 60000 % 60), s = (int)(rest / 1000 % 60), f = (int)(rest % 1000);
    if (y >= 0 && y <= 9999)
        snprintf(out, SANDBOX_DATE_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", y, m, d, h, mi, s, f);
    else
        snprintf(out, SANDBOX_DATE_SIZE, "%c%06d-%02d-%02dT%02d:%02d:%02d.%03dZ", y < 0 ? '-' : '+', abs(y), m, d, h, mi, s, f);
}

json_t *sandbox_date_json(int64_t ms)
{
    char text[SANDBOX_DATE_SIZE];
    sandbox_date_format(ms, text);
    return json_string(text);
}

/* Does s from *i on follow the pattern (d = digit)? Then *i moves behind it. */
static bool shape(struct span s, size_t *i, const char *pattern)
{
    size_t at = *i;
    for (; *pattern; pattern++, at++)
        if (at >= s.n || (*pattern == 'd' ? !isdigit((unsigned char)s.p[at]) : s.p[at] != *pattern))
            return false;
    *i = at;
    return true;
}

bool sandbox_date_looks(struct span s)
{
    size_t i = 0;
    if (!shape(s, &i, "dddd-dd-dd"))
        return false;
    if (i < s.n && (s.p[i] == 'T' || isspace((unsigned char)s.p[i])))
        i++;
    if (shape(s, &i, "dd:dd:dd")) {
        (void)shape(s, &i, ".ddd");
        if (!shape(s, &i, "+dd:dd") && !shape(s, &i, "-dd:dd"))
            (void)shape(s, &i, "Z");
    }
    return i == s.n;
}
