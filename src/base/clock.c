/* NAME clock - time in microseconds. No diagnostics. */
#include "clock.h"

#include <stdio.h>
#include <time.h>

static int64_t offset_us;

int64_t clock_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + offset_us;
}

int64_t clock_mono_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void clock_set_offset_us(int64_t offset)
{
    offset_us = offset;
}

void clock_format_iso(int64_t us, char *out, size_t n)
{
    int64_t ms = us / 1000 - (us % 1000 < 0);
    time_t s = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    char day[32];
    (void)gmtime_r(&s, &tm);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, n, "%s.%03dZ", day, (int)(ms - (int64_t)s * 1000));
}

void clock_format_local(int64_t us, char *out, size_t n)
{
    time_t s = (time_t)(us / 1000000);
    struct tm tm;
    (void)localtime_r(&s, &tm);
    if (strftime(out, n, "%Y-%m-%d %H:%M:%S", &tm) == 0 && n)
        out[0] = '\0';
}
