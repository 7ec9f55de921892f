/* NAME cli_time - points in time on the command line. No diagnostics: the verb says what it wants. */
#include <string.h>
#include <time.h>

#include "cli.h"
#include "clock.h"

static const struct { const char *unit; int64_t us; } units[] = {
    {"s", 1000000LL}, {"m", 60000000LL}, {"h", 3600000000LL}, {"d", 86400000000LL}, {"w", 604800000000LL},
};

static bool number(const char *text, size_t at, size_t n, int *out)
{
    *out = 0;
    for (size_t i = at; i < at + n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *out = *out * 10 + (text[i] - '0');
    }
    return true;
}

static bool date(const char *text, int64_t *us)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    size_t n = strlen(text);
    struct tm t = {.tm_isdst = -1};
    if (n != 10 && n != 16 && n != 19)
        return false;
    for (size_t i = 0; i < n; i++)
        if (form[i] != 'd' && text[i] != form[i] && !(i == 10 && text[i] == 'T'))
            return false;
    if (!number(text, 0, 4, &t.tm_year) || !number(text, 5, 2, &t.tm_mon) || !number(text, 8, 2, &t.tm_mday) ||
        (n > 10 && (!number(text, 11, 2, &t.tm_hour) || !number(text, 14, 2, &t.tm_min))) || (n > 16 && !number(text, 17, 2, &t.tm_sec)))
        return false;
    if (t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    time_t s = mktime(&t);
    *us = (int64_t)s * 1000000;
    return s != (time_t)-1;
}

bool cli_time(const char *text, int64_t *us)
{
    struct span s = span_of(text);
    int64_t n;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t k = strlen(units[i].unit);
        if (s.n <= k || memcmp(s.p + s.n - k, units[i].unit, k) != 0)
            continue;
        struct span digits = span_cut(s, 0, s.n - k);
        if (!span_is_digits(digits) || !span_int(digits, &n) || n > INT64_C(36500) * 86400000000LL / units[i].us)
            return false;
        *us = clock_now_us() - n * units[i].us;
        return true;
    }
    return date(text, us);
}
