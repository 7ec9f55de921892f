/*
 * NAME record_path - SEG[n]-field[rep].comp.sub: the name of a place in a message, for rules.
 * Pure. DIAGNOSTICS none: what is no path is false.
 */
#include "record.h"

#define PATH_MAX_NUMBER 9999

static bool take_number(struct span *s, unsigned *out)
{
    unsigned n = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        n = n * 10 + (unsigned)(s->p[i] - '0');
        if (n > PATH_MAX_NUMBER)
            return false;
    }
    *s = span_from(*s, i);
    *out = n;
    return i > 0 && n > 0;
}

static bool take(struct span *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = span_from(*s, 1);
    return true;
}

static bool take_index(struct span *s, unsigned *out)
{
    return !take(s, '[') || (take_number(s, out) && take(s, ']'));
}

bool rec_path_parse(struct span text, struct rec_path *out)
{
    *out = (struct rec_path){.nth = 1, .rep = 1, .comp = 1, .sub = 1};
    if (text.n < 5)
        return false;
    for (size_t i = 0; i < 3; i++) {
        char c = text.p[i];
        bool is_letter = c >= 'A' && c <= 'Z', is_digit = c >= '0' && c <= '9';
        if (!is_letter && (i == 0 || !is_digit))
            return false;
        out->segment[i] = c;
    }
    struct span s = span_from(text, 3);
    if (!take_index(&s, &out->nth) || !take(&s, '-') || !take_number(&s, &out->field) || !take_index(&s, &out->rep))
        return false;
    if (take(&s, '.') && (!take_number(&s, &out->comp) || (take(&s, '.') && !take_number(&s, &out->sub))))
        return false;
    return s.n == 0;
}
