/*
 * zone - IANA time zones without the process-wide TZ: a reader of compiled tzdata (TZif v2+, RFC 8536).
 * A loaded zone is immutable; any thread may read it. Beyond the table's last transition its POSIX footer is not evaluated for
 * rules with daylight saving; the last known offset is used (tzdata's "fat" and Debian's files reach 2037).
 */
#ifndef LABRELAY_ZONE_H
#define LABRELAY_ZONE_H
#include "err.h"
#include "record.h"

struct zone;

/* name: "Africa/Kampala". ERR_CONFIG when tzdata has no such zone. */
int  zone_load(struct zone **out, const char *name, struct err *e);
void zone_free(struct zone *z);
int  zone_offset_s(const struct zone *z, int64_t utc_s);        /* east positive */
/* A record time as microseconds since 1970 UTC: missing month/day count as 1, missing time as 0; the zone sent wins, else z (NULL: UTC).
 * false when t is absent or is no date. */
bool zone_ts_us(const struct zone *z, const struct rec_ts *t, int64_t *us_out);
#endif
