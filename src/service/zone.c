/*
 * NAME zone - offsets from compiled tzdata.
 * DIAGNOSTICS "no time zone …" with the name; a damaged file says so.
 */
#include "zone.h"

#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "xmem.h"

#define ZONE_DIR "/usr/share/zoneinfo/"
#define ZONE_MAX_BYTES 65536
#define ZONE_MAX_TRANSITIONS 4000

struct zone {
    size_t n;
    int64_t *at;
    int *offset;
    int first;                  /* before the first transition */
};

static uint32_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t be64(const char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct header { size_t isut, isstd, leap, time, type, chars; };

static bool header_read(struct span s, struct header *h)
{
    if (s.n < 44 || memcmp(s.p, "TZif", 4) != 0)
        return false;
    size_t *f[] = {&h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars};
    for (size_t i = 0; i < 6; i++)
        *f[i] = be32(s.p + 20 + 4 * i);
    return h->time <= ZONE_MAX_TRANSITIONS && h->type >= 1 && h->type <= 256 && h->chars <= 1024 && h->leap <= 100 && h->isut <= 256 && h->isstd <= 256;
}

static size_t body_bytes(const struct header *h, size_t width)
{
    return h->time * (width + 1) + h->type * 6 + h->chars + h->leap * (width + 4) + h->isstd + h->isut;
}

int zone_load(struct zone **out, const char *name, struct err *e)
{
    struct buf b, path;
    struct header h;
    struct zone *z = NULL;
    int rc = -1;
    buf_init(&b, ZONE_MAX_BYTES);
    buf_init(&path, 256);
    if (name[0] == '\0' || name[0] == '/' || strstr(name, ".."))
        return err_set(e, ERR_CONFIG, name, "no time zone of this name; write it as in \"Africa/Kampala\"");
    buf_adds(&path, ZONE_DIR);
    buf_adds(&path, name);
    if (path.is_full || fs_load(path.p, &b, e)) {
        (void)err_set(e, ERR_CONFIG, name, "no time zone of this name in " ZONE_DIR "; write it as in \"Africa/Kampala\"");
        goto out;
    }
    struct span s = buf_span(&b);
    size_t width = 4;
    if (!header_read(s, &h))
        goto damaged;
    if (s.p[4] >= '2') { /* the 64-bit block follows the 32-bit one */
        s = span_from(s, 44 + body_bytes(&h, 4));
        width = 8;
        if (!header_read(s, &h))
            goto damaged;
    }
    s = span_from(s, 44);
    if (s.n < body_bytes(&h, width))
        goto damaged;
    z = xcalloc(1, sizeof *z);
    z->n = h.time;
    z->at = xcalloc(h.time, sizeof *z->at);
    z->offset = xcalloc(h.time, sizeof *z->offset);
    const char *index = s.p + h.time * width, *types = index + h.time;
    for (size_t i = 0; i < h.time; i++) {
        unsigned t = (unsigned char)index[i];
        if (t >= h.type)
            goto damaged;
        z->at[i] = width == 8 ? be64(s.p + 8 * i) : (int64_t)(int32_t)be32(s.p + 4 * i);
        z->offset[i] = (int)be32(types + 6 * t);
    }
    z->first = (int)be32(types);
    *out = z;
    z = NULL;
    rc = 0;
    goto out;
damaged:
    (void)err_set(e, ERR_CONFIG, name, "the time zone file is damaged");
out:
    zone_free(z);
    buf_clear(&b);
    buf_clear(&path);
    return rc;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

int zone_offset_s(const struct zone *z, int64_t utc_s)
{
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (z->at[mid] <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? z->offset[lo - 1] : z->first;
}

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool part(struct span v, size_t at, size_t n, int64_t *out)
{
    struct span s = span_cut(v, at, n);
    return s.n == n && span_is_digits(s) && span_int(s, out);
}

bool zone_ts_us(const struct zone *z, const struct rec_ts *t, int64_t *us_out)
{
    int64_t y, mo = 1, d = 1, h = 0, mi = 0, s = 0, us = 0, off = 0;
    struct span v = t->v;
    if (!part(v, 0, 4, &y))
        return false;
    if ((v.n > 4 && !part(v, 5, 2, &mo)) || (v.n > 7 && !part(v, 8, 2, &d)) || (v.n > 10 && !part(v, 11, 2, &h)) ||
        (v.n > 13 && !part(v, 14, 2, &mi)) || (v.n > 16 && !part(v, 17, 2, &s)))
        return false;
    for (size_t i = 20, f = 100000; i < v.n && f; i++, f /= 10) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        us += (v.p[i] - '0') * (int64_t)f;
    }
    int64_t utc = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s, oh, om;
    if (t->zone.n == 6 && part(t->zone, 1, 2, &oh) && part(t->zone, 4, 2, &om)) {
        off = oh * 3600 + om * 60;
        if (t->zone.p[0] == '-')
            off = -off;
    } else if (!span_has(t->zone) && z) {
        off = zone_offset_s(z, utc - zone_offset_s(z, utc)); /* second look corrects near a change */
    }
    *us_out = (utc - off) * 1000000 + us;
    return true;
}
