/*
 * NAME hl7_text - escapes, dates, numbers.
 *
 * An escape that is not understood stays in the text with its backslash (W_BAD_ESCAPE): text is never deleted. Only the first
 * escape character of such a thing is passed over, so that `10\5\.br\` still finds the line break behind it.
 * A date that is none is absent, with W_BAD_DATE, and its text goes to the notes: never another date.
 * DIAGNOSTICS warnings of the context.
 */
#include "hl7_text.h"

#include <string.h>

#include "text.h"

struct span hl7_cat(struct arena *a, const struct span *v, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += v[i].n;
    char *p = arena_alloc(a, len + 1);
    if (!p)
        return SPAN_ABSENT;
    len = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n)
            memcpy(p + len, v[i].p, v[i].n);
        len += v[i].n;
    }
    return span_make(p, len);
}

/* ---- escapes ---- */

#define SWITCHES_MAX 64
struct sink {                                           /* first pass counts, second writes */
    char *p;
    size_t n;
    bool is_counting;
    struct { size_t at; const struct hl7_set *set; } *switches;     /* second pass; NULL: no room for any */
    size_t n_switches;
};

static void put(struct sink *k, const char *p, size_t n)
{
    if (!k->is_counting && n)
        memcpy(k->p + k->n, p, n);
    k->n += n;
}

static void put_times(struct sink *k, char c, int64_t times)
{
    for (int64_t i = 0; i < times; i++)
        put(k, &c, 1);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \X0D41\: bytes in the message's charset. False when it is no hex. */
static bool put_hex(struct hl7_ctx *x, struct sink *k, struct span h, bool *is_odd)
{
    bool bad = false;
    if (h.n == 0 || h.n % 2)
        return false;
    char *t = arena_alloc(x->a, h.n / 2);
    if (!t)
        return false;
    for (size_t i = 0; i < h.n / 2; i++) {
        int hi = hex(h.p[2 * i]), lo = hex(h.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        t[i] = (char)(unsigned char)(hi * 16 + lo);
    }
    struct span s = span_make(t, h.n / 2);
    if (x->codec)
        s = hl7_charset_decode(x->a, x->codec, s, &bad);
    else if (!text_utf8_valid(s))
        s = hl7_charset_decode(x->a, "cp1252", s, &bad), *is_odd = true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
            continue;
        if (c == '\r')
            put(k, "\n", 1);
        else if (c >= 0x20 || c == '\t' || c == '\n')
            put(k, s.p + i, 1);
        else
            *is_odd = true;
    }
    *is_odd |= bad;
    return true;
}

/* ".sp", ".sp3", ".sp +3": the number, or def */
static int64_t count_of(struct span s, int64_t def)
{
    int64_t n;
    s = span_trim(s);
    if (!span_int(s, &n))
        return s.n ? -1 : def;
    return n < 0 ? 0 : n > 99 ? 99 : n;
}

static bool put_format(struct sink *k, struct span b)
{
    struct span name = span_cut(b, 1, 2), arg = span_from(b, 3);
    int64_t n;
    if (span_is_nocase(name, "br") || span_is_nocase(name, "ce")) {
        put(k, "\n", 1);
        return arg.n == 0;
    }
    if (span_is_nocase(name, "sp") || span_is_nocase(name, "sk")) {
        n = count_of(arg, 1);
        put_times(k, span_is_nocase(name, "sp") ? '\n' : ' ', n);
        return n >= 0;
    }
    if (span_is_nocase(name, "in") || span_is_nocase(name, "ti"))
        return count_of(arg, 0) >= 0;
    return (span_is_nocase(name, "fi") || span_is_nocase(name, "nf")) && arg.n == 0;
}

/* One escape without its escape characters. False: not understood. */
static bool put_escape(struct hl7_ctx *x, struct sink *k, struct span b, bool *is_odd)
{
    const struct hl7_delims *d = &x->d;
    if (b.n == 1) {
        switch (b.p[0] & ~0x20) {
        case 'F': put(k, &d->field, 1); return true;
        case 'S': put(k, &d->comp, 1); return true;
        case 'T': put(k, d->sub ? &d->sub : "&", 1); return true;
        case 'R': put(k, d->rep ? &d->rep : "~", 1); return true;
        case 'E': put(k, &d->esc, 1); return true;
        case 'P': put(k, d->trunc ? &d->trunc : "#", 1); return true;
        case 'H': case 'N': return true;
        default: return false;
        }
    }
    if (b.n >= 3 && b.p[0] == '.') {
        size_t before = k->n;
        if (b.n < 32 && put_format(k, b))
            return true;
        k->n = before;
        return false;
    }
    if (b.n > 1 && (b.p[0] == 'X' || b.p[0] == 'x'))
        return put_hex(x, k, span_from(b, 1), is_odd);
    const struct hl7_set *set = b.n == 5 || b.n == 7 ? hl7_switch_find(b) : NULL;
    if (!set || k->n_switches == SWITCHES_MAX)
        return false;
    if (k->switches) {
        k->switches[k->n_switches].at = k->n;
        k->switches[k->n_switches].set = set;
    }
    k->n_switches++;
    return true;
}

static bool unescape_into(struct hl7_ctx *x, struct sink *k, struct span raw)
{
    bool is_odd = false;
    size_t i = 0;
    while (i < raw.n) {
        struct span rest = span_from(raw, i);
        size_t at = span_find(rest, x->d.esc);
        put(k, rest.p, at);
        i += at;
        if (at == rest.n)
            break;
        struct span body = span_from(rest, at + 1);
        size_t len = span_find(body, x->d.esc);
        if (len < body.n && put_escape(x, k, span_cut(body, 0, len), &is_odd)) {
            i += len + 2;
            continue;
        }
        is_odd = true;
        put(k, &x->d.esc, 1);
        i++;
    }
    return is_odd;
}

/* Runs of text in the charsets they are in; `first` holds up to the first switch. */
static struct span decode_runs(struct hl7_ctx *x, const struct sink *k, const struct hl7_set *first)
{
    struct span out = SPAN_ABSENT;
    bool is_fine = true;
    for (size_t i = 0; i <= k->n_switches; i++) {
        size_t from = i ? k->switches[i - 1].at : 0, end = i < k->n_switches ? k->switches[i].at : k->n;
        struct span run;
        is_fine = hl7_switch_decode(x, i ? k->switches[i - 1].set : first, span_make(k->p + from, end - from), &run) && is_fine;
        out = out.n ? HL7_CAT(x->a, out, run) : run;
    }
    if (!is_fine)
        hl7_warn(x, "W_BAD_ESCAPE", 0);
    return out;
}

struct span hl7_unescape(struct hl7_ctx *x, struct span raw)
{
    const struct hl7_set *set = x->has_switch ? hl7_switch_before(x, raw) : NULL;
    if (!x->has_escape || (!set && hl7_find(raw, x->d.esc) == raw.n))
        return raw;
    struct sink k = {.is_counting = true};
    if (unescape_into(x, &k, raw))
        hl7_warn(x, "W_BAD_ESCAPE", 0);
    k = (struct sink){.p = arena_alloc(x->a, k.n + 1)};
    if (!k.p)
        return SPAN_ABSENT;
    if (x->has_switch && !(k.switches = arena_array(x->a, SWITCHES_MAX, sizeof *k.switches)))
        return SPAN_ABSENT;
    (void)unescape_into(x, &k, raw);
    return set || k.n_switches ? decode_runs(x, &k, set) : span_make(k.p, k.n);
}

static struct span trim(struct span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n' || s.p[0] == '\r')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static struct span finish(struct hl7_ctx *x, struct span raw)
{
    if (raw.n == 2 && raw.p[0] == '"' && raw.p[1] == '"')
        return span_null;
    if (x->d.trunc && raw.p[raw.n - 1] == x->d.trunc)
        hl7_warn(x, "W_TRUNCATED", 0);
    return hl7_unescape(x, raw);
}

struct span hl7_leaf(struct hl7_ctx *x, struct span raw)
{
    raw = trim(raw);
    return raw.n ? finish(x, raw) : SPAN_ABSENT;
}

struct span hl7_leaf_exact(struct hl7_ctx *x, struct span raw)
{
    return trim(raw).n ? finish(x, raw) : SPAN_ABSENT;
}

/* Component n of the first repetition, found in one pass. */
static struct span first_component(const struct hl7_ctx *x, struct span f, unsigned n)
{
    size_t from = 0, i = 0;
    for (; i < f.n; i++) {
        if (f.p[i] == x->d.comp) {
            if (--n == 0)
                break;
            from = i + 1;
        } else if (f.p[i] == x->d.rep && x->d.rep) {
            break;
        }
    }
    if (i >= f.n || f.p[i] != x->d.comp)
        n--;
    return n == 0 ? span_make(f.p + from, i - from) : SPAN_ABSENT;
}

struct span hl7_value(struct hl7_ctx *x, struct hl7_seg *s, unsigned field, unsigned comp)
{
    struct span f = hl7_field(x, s, field);
    return f.n ? hl7_leaf(x, first_component(x, f, comp)) : SPAN_ABSENT;
}

/* ---- dates ---- */

static unsigned num(const char *p, size_t n)
{
    unsigned v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (unsigned)(p[i] - '0');
    return v;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool is_zone(struct span z)
{
    if (z.n != 5 || !span_is_digits(span_from(z, 1)))
        return false;
    return num(z.p + 1, 4) <= 1400 && num(z.p + 3, 2) < 60;
}

static struct span zone_text(struct hl7_ctx *x, struct span z)
{
    char t[6] = {z.p[0], z.p[1], z.p[2], ':', z.p[3], z.p[4]};
    if (num(z.p + 1, 4) == 0)
        return SPAN_LIT("Z");
    if (x->zone.n == 6 && memcmp(x->zone.p, t, 6) == 0)
        return x->zone;
    return arena_dup(x->a, span_make(t, 6));
}

/* Digits of "20260504142233" to "2026-05-04T14:22:33": how many characters stand for n digits */
static size_t iso_put(char *out, const char *d, size_t n)
{
    static const char before[] = {0, 0, 0, 0, '-', 0, '-', 0, 'T', 0, ':', 0, ':', 0};
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (before[i])
            out[k++] = before[i];
        out[k++] = d[i];
    }
    return k;
}

static bool is_calendar_ok(const char *d, size_t n)
{
    unsigned month = n >= 6 ? num(d + 4, 2) : 1;
    if (num(d, 4) == 0 || month < 1 || month > 12)
        return false;
    if (n >= 8 && (num(d + 6, 2) < 1 || num(d + 6, 2) > days_in(num(d, 4), month)))
        return false;
    if (n >= 10 && num(d + 8, 2) > 23)
        return false;
    return n < 12 || num(d + 10, 2) < 60;
}

/* "2026-05-04T14:22:33+02:00" without its punctuation, in t. 0 when it is no such thing. */
static size_t compact_iso(struct span s, char t[40])
{
    size_t n = 0;
    if (s.n < 10 || s.n > 35 || s.p[4] != '-' || s.p[7] != '-')
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_mark = i == 4 || i == 7 || (i > 9 && c == ':') || (i == 10 && (c == 'T' || c == ' '));
        if (c == 'Z' && i == s.n - 1) {
            memcpy(t + n, "+0000", 5);
            n += 5;
        } else if (!is_mark) {
            t[n++] = c;
        }
    }
    return n;
}

/* TS.2, degree of precision, may only lower it */
static size_t lowered(size_t digits, struct span degree)
{
    static const struct { char c; size_t n; } map[] = {{'Y', 4}, {'L', 6}, {'D', 8}, {'H', 10}, {'M', 12}, {'S', 14}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (degree.n == 1 && degree.p[0] == map[i].c && map[i].n < digits)
            return map[i].n;
    return digits;
}

static char precision(size_t digits, bool has_fraction)
{
    switch (digits) {
    case 4: return 'Y';
    case 6: return 'M';
    case 8: return 'D';
    case 10: return 'H';
    case 12: return 'N';
    default: return has_fraction ? 'F' : 'S';
    }
}

static int parse_date(struct hl7_ctx *x, struct span s, struct span degree, struct rec_ts *out)
{
    size_t n = 0;
    struct span fraction = SPAN_ABSENT, zone = SPAN_ABSENT;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    size_t digits = n;
    if (n < s.n && s.p[n] == '.') {
        size_t f = n + 1;
        while (f < s.n && s.p[f] >= '0' && s.p[f] <= '9')
            f++;
        fraction = span_cut(s, n, f - n);
        n = f;
    }
    if (n < s.n)
        zone = span_from(s, n);
    if (digits < 4 || digits > 14 || digits % 2 || !is_calendar_ok(s.p, digits))
        return -1;
    if (fraction.n && (digits != 14 || fraction.n < 2 || fraction.n > 10))
        return -1;
    if (zone.n && ((zone.p[0] != '+' && zone.p[0] != '-') || !is_zone(zone)))
        return -1;
    if (digits == 14 && num(s.p + 12, 2) > 60)
        return -1;
    if (digits == 14 && num(s.p + 12, 2) == 60) { /* a leap second: only its day is sure to be understood */
        digits = 8;
        hl7_warn(x, "W_LEAP_SECOND", 0);
    }
    size_t kept = lowered(digits, degree);
    if (kept < 14)
        fraction = SPAN_ABSENT;
    char *t = arena_alloc(x->a, 20 + fraction.n);
    if (!t)
        return -1;
    size_t k = iso_put(t, s.p, kept);
    if (fraction.n)
        memcpy(t + k, fraction.p, fraction.n);
    out->v = span_make(t, k + fraction.n);
    out->prec = precision(kept, fraction.n > 0);
    if (kept > 8)
        out->zone = zone.n ? zone_text(x, zone) : x->zone;
    return 0;
}

int hl7_date(struct hl7_ctx *x, struct span raw, struct rec_ts *out)
{
    char t[40];
    size_t n;
    *out = (struct rec_ts){0};
    raw = hl7_rep1(x, raw);
    struct span s = trim(hl7_comp(x, raw, 1));
    if (!s.n || (s.n == 2 && s.p[0] == '"' && s.p[1] == '"'))
        return 0;
    if (x->o->is_lenient_dates && (n = compact_iso(s, t)) > 0)
        s = arena_dup(x->a, span_make(t, n));
    return parse_date(x, s, s.n == raw.n ? SPAN_ABSENT : trim(hl7_comp(x, raw, 2)), out);
}

struct rec_ts hl7_date_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned n, struct span *bad)
{
    struct rec_ts out;
    struct span f = hl7_field(x, s, n);
    *bad = SPAN_ABSENT;
    if (f.n == 0 || hl7_date(x, f, &out) == 0)
        return f.n ? out : (struct rec_ts){0};
    char id[4] = {(char)(s->id >> 16), (char)(s->id >> 8 & 0xff), (char)(s->id & 0xff), '-'};
    *bad = arena_printf(x->a, "%.4s%u as sent: %.*s", id, n, SPAN_ARG(span_cut(f, 0, 200)));
    if (x->o->is_strict)
        hl7_error(x, 102, "BAD_DATE", s, n);
    hl7_warn(x, "W_BAD_DATE", 102);
    return (struct rec_ts){0};
}

/* ---- any place ---- */

struct span hl7_raw_field(void *source, const struct rec_path *path)
{
    struct hl7_ctx *x = source;
    uint32_t id = HL7_ID(path->segment[0], path->segment[1], path->segment[2]);
    bool is_msh = id == HL7_ID('M', 'S', 'H');
    unsigned left = path->nth;
    for (size_t i = 0; i < x->n; i++) {
        if (x->segs[i].id != id || --left)
            continue;
        if (is_msh && path->field == 1)
            return path->rep == 1 && path->comp == 1 && path->sub == 1 ? span_make(&x->d.field, 1) : SPAN_ABSENT;
        struct span rest = hl7_field(x, &x->segs[i], is_msh ? path->field - 1 : path->field), rep = SPAN_ABSENT;
        if (is_msh && path->field == 2)
            return path->rep == 1 && path->comp == 1 && path->sub == 1 ? rest : SPAN_ABSENT;
        for (unsigned k = 0; k < path->rep; k++)
            if (!rest.n || !hl7_next_rep(x, &rest, &rep))
                return SPAN_ABSENT;
        return hl7_leaf(x, hl7_sub(x, hl7_comp(x, rep, path->comp), path->sub));
    }
    return SPAN_ABSENT;
}

/* ---- numbers ---- */

bool hl7_is_number(struct span s)
{
    size_t i = 0, digits = 0;
    if (s.n && (s.p[0] == '+' || s.p[0] == '-'))
        i++;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        i++;
        digits++;
    }
    if (digits == 0)
        return false;
    if (i < s.n && s.p[i] == '.')
        i++;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i == s.n;
}
