/*
 * clock - the only source of time. Wall clock and monotonic clock in microseconds; a test may move the wall clock.
 * Thread: any (the offset is set before threads start).
 */
#ifndef LABRELAY_CLOCK_H
#define LABRELAY_CLOCK_H
#include <stddef.h>
#include <stdint.h>

int64_t clock_now_us(void);                     /* wall, since 1970 UTC, offset included */
int64_t clock_mono_us(void);
void    clock_set_offset_us(int64_t offset);    /* tests only */
/* "2026-05-04T14:20:00.123Z" */
void    clock_format_iso(int64_t us, char *out, size_t n);
/* "2026-05-04 14:20:00" in the machine's zone, for people */
void    clock_format_local(int64_t us, char *out, size_t n);
#endif
