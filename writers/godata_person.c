/*
 * NAME godata_person - comparing what a message says with one person.
 *
 * What contradicts, and what only speaks against a candidate, are two things: behind an identifier a typing error in the family name is
 * forgiven when everything else is the same to the letter; a given name that differs never is, because cards and numbers wander between
 * brothers, twins, parents and children, who share the family name.
 * DIAGNOSTICS none.
 */
#include "godata_person_inner.h"

#include <string.h>

/* ---- days ---- */

bool person_day(int y, int m, int d, int32_t *out)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1800 || y > 2200 || m < 1 || m > 12 || d < 1 || d > days[m - 1] + (m == 2 && leap))
        return false;
    int yy = m <= 2 ? y - 1 : y, era = yy / 400, yoe = yy - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    *out = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    return true;
}

void person_day_parts(int32_t day, int *y, int *m, int *d)
{
    int z = day + 719468, era = z / 146097, doe = z - era * 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

static int digits(struct span s, size_t at, size_t n)
{
    int64_t v;
    struct span part = span_cut(s, at, n);
    return part.n == n && span_is_digits(part) && span_int(part, &v) ? (int)v : -1;
}

bool godata_born_date(struct span text, struct godata_born *out)
{
    int y = digits(text, 0, 4), m = text.n >= 7 && text.p[4] == '-' ? digits(text, 5, 2) : -1, d = text.n >= 10 && text.p[7] == '-' ? digits(text, 8, 2) : -1;
    *out = (struct godata_born){0};
    bool ok = false;
    if (y >= 0 && m > 0 && d > 0) {
        ok = person_day(y, m, d, &out->from);
        out->to = out->from;
        out->prec = 'D';
    } else if (y >= 0 && m > 0) {
        ok = person_day(y, m, 1, &out->from) && person_day(m == 12 ? y + 1 : y, m == 12 ? 1 : m + 1, 1, &out->to);
        out->to--;
        out->prec = 'M';
    } else if (y >= 0 && text.n == 4) {
        ok = person_day(y, 1, 1, &out->from) && person_day(y, 12, 31, &out->to);
        out->prec = 'Y';
    }
    if (!ok)
        *out = (struct godata_born){0};
    return ok;
}

/* The same day n months earlier; a day that month has not becomes its last one. */
static bool months_before(int32_t day, int n, int32_t *out)
{
    int y, m, d;
    person_day_parts(day, &y, &m, &d);
    int total = y * 12 + m - 1 - n;
    for (; d > 27; d--)
        if (person_day(total / 12, total % 12 + 1, d, out))
            return true;
    return person_day(total / 12, total % 12 + 1, d, out);
}

bool godata_born_age(int years, int months, struct span as_of, struct godata_born *out)
{
    struct godata_born day;
    *out = (struct godata_born){0};
    if (years < 0 || years > 130 || months < 0 || months > 1200 || !godata_born_date(as_of, &day) || day.prec != 'D')
        return false;
    int least = years > 0 ? years * 12 : months, unit = years > 0 || months == 0 ? 12 : 1;
    if (!months_before(day.from, least, &out->to) || !months_before(day.from, least + unit, &out->from))
        return false;
    out->from++;
    out->prec = 'A';
    return true;
}

void godata_born_format(const struct godata_born *b, struct buf *out)
{
    int y, m, d, y2, m2, d2;
    person_day_parts(b->from, &y, &m, &d);
    person_day_parts(b->to, &y2, &m2, &d2);
    switch (b->prec) {
    case 'D': buf_addf(out, "%04d-%02d-%02d", y, m, d); break;
    case 'M': buf_addf(out, "%04d-%02d", y, m); break;
    case 'Y': buf_addf(out, "%04d", y); break;
    case 'A':
        if (y == y2)
            buf_addf(out, "%04d (from the age)", y);
        else
            buf_addf(out, "%04d or %04d (from the age)", y, y2);
        break;
    default: buf_adds(out, "not known");
    }
}

/* ---- fields ---- */

static enum godata_birth two_days(int32_t a, int32_t b)
{
    int y, m, d, y2, m2, d2;
    if (a == b)
        return GODATA_BIRTH_SAME;
    person_day_parts(a, &y, &m, &d);
    person_day_parts(b, &y2, &m2, &d2);
    if (y == y2 && m == d2 && d == m2)
        return GODATA_BIRTH_SWAPPED;
    if (y == y2 && ((m == 1 && d == 1) || (m2 == 1 && d2 == 1)))
        return GODATA_BIRTH_ESTIMATED;
    int apart = (y != y2) + (m != m2) + (d != d2), years = y > y2 ? y - y2 : y2 - y;
    if (apart == 1 && (years == 0 || years <= 2 || years % 10 == 0 || (y / 10 % 10 == y2 % 10 && y % 10 == y2 / 10 % 10)))
        return GODATA_BIRTH_NEAR;
    return GODATA_BIRTH_DIFFERS;
}

enum godata_birth person_birth(const struct godata_born *a, const struct godata_born *b)
{
    if (!a->prec || !b->prec)
        return GODATA_BIRTH_UNKNOWN;
    if (a->prec == 'D' && b->prec == 'D')
        return two_days(a->from, b->from);
    if (a->from <= b->to && b->from <= a->to)
        return GODATA_BIRTH_WITHIN;
    int32_t gap = a->from > b->to ? a->from - b->to : b->from - a->to;
    bool is_age = a->prec == 'A' || b->prec == 'A';
    int32_t span_days = a->to - a->from > b->to - b->from ? a->to - a->from : b->to - b->from;
    /* an age is rounded, guessed or a year old; a year or month is only mistyped */
    return gap <= (is_age ? span_days < 40 ? 92 : 3 * 366 : span_days < 40 ? 31 : 366) ? GODATA_BIRTH_ROUGH : GODATA_BIRTH_DIFFERS;
}

static enum godata_field sex_of(char a, char b)
{
    if ((a != 'F' && a != 'M') || (b != 'F' && b != 'M'))
        return GODATA_FIELD_UNKNOWN;
    return a == b ? GODATA_FIELD_SAME : GODATA_FIELD_DIFFERS;
}

static enum godata_field name_of(const struct godata_likeness *l)
{
    if (!l->has_both)
        return GODATA_FIELD_UNKNOWN;
    if (l->differs)
        return GODATA_FIELD_DIFFERS;
    return l->near_family + l->near_other ? GODATA_FIELD_CLOSE : GODATA_FIELD_SAME;
}

static size_t words_same(const struct godata_likeness *l)
{
    size_t n = 0;
    for (size_t i = 0; i < GODATA_WORDS_MAX; i++)
        n += l->grade[0][i] == GODATA_WORD_SAME;
    return n;
}

static bool birth_contradicts(const struct godata_candidate *c)
{
    switch (c->birth) {
    case GODATA_BIRTH_UNKNOWN:
    case GODATA_BIRTH_SAME:
    case GODATA_BIRTH_WITHIN:
    case GODATA_BIRTH_ROUGH: return false;
    case GODATA_BIRTH_ESTIMATED:        /* 1 January says no more than the year; then every name has to be the same */
        return c->name != GODATA_FIELD_SAME || words_same(&c->names) < 2;
    case GODATA_BIRTH_SWAPPED:
    case GODATA_BIRTH_NEAR:
    case GODATA_BIRTH_DIFFERS: return true;
    }
    return true;
}

static bool name_contradicts(const struct godata_candidate *c)
{
    switch (c->name) {
    case GODATA_FIELD_UNKNOWN:
    case GODATA_FIELD_SAME: return false;
    case GODATA_FIELD_CLOSE:            /* a typing error in the family name, all else to the letter */
        return c->names.near_other > 0 || c->names.near_family > 1 || words_same(&c->names) == 0 || c->birth != GODATA_BIRTH_SAME;
    case GODATA_FIELD_DIFFERS: return true;
    }
    return true;
}

static double birth_points(enum godata_birth b)
{
    switch (b) {
    case GODATA_BIRTH_UNKNOWN: return 0;
    case GODATA_BIRTH_SAME: return 5;
    case GODATA_BIRTH_WITHIN: return 2;
    case GODATA_BIRTH_SWAPPED: return 4;
    case GODATA_BIRTH_ESTIMATED: return 2.5;
    case GODATA_BIRTH_NEAR: return 2.5;
    case GODATA_BIRTH_ROUGH: return 0.7;
    case GODATA_BIRTH_DIFFERS: return -4;
    }
    return 0;
}

static enum godata_strength strength_of(const struct godata_candidate *c)
{
    if (c->name == GODATA_FIELD_SAME && c->names.spare_a + c->names.spare_b == 0 && c->birth == GODATA_BIRTH_SAME && c->sex != GODATA_FIELD_DIFFERS)
        return GODATA_STRONG;
    if (c->name != GODATA_FIELD_DIFFERS && c->sex != GODATA_FIELD_DIFFERS && birth_points(c->birth) >= 2)
        return GODATA_FAIR;
    return GODATA_WEAK;
}

void person_compare(const struct godata_names *names, const struct godata_subject *s, const struct godata_name_words *ours, const struct godata_person *p,
                    const struct godata_name_words *theirs, struct godata_candidate *out)
{
    *out = (struct godata_candidate){.person = p};
    godata_names_compare(names, ours, theirs, &out->names);
    out->name = name_of(&out->names);
    out->birth = person_birth(&s->born, &p->born);
    out->sex = sex_of(s->sex, p->sex);
    out->contradicts = birth_contradicts(out) || out->sex == GODATA_FIELD_DIFFERS || name_contradicts(out);
    out->strength = strength_of(out);
    out->score = 9 * out->names.score - (out->names.differs ? 1 : 0) + birth_points(out->birth) + (out->sex == GODATA_FIELD_SAME ? 0.7 : out->sex == GODATA_FIELD_DIFFERS ? -2 : 0);
}

bool person_is_likely(const struct godata_candidate *c)
{
    return c->score >= 4.5 && c->names.score >= 0.3;
}

const char *godata_match_reason(enum godata_match_state s)
{
    switch (s) {
    case GODATA_MATCH_SURE: return NULL;
    case GODATA_MATCH_CONFLICT:
    case GODATA_MATCH_SPLIT: return "IDENTITY_CONFLICT";
    case GODATA_MATCH_AMBIGUOUS:
    case GODATA_MATCH_UNPROVED: return "AMBIGUOUS_PERSON";
    case GODATA_MATCH_CANDIDATES:
    case GODATA_MATCH_NOBODY: return "NO_MATCH";
    case GODATA_MATCH_NO_IDENTITY: return "NO_IDENTITY";
    }
    return "NO_MATCH";
}
