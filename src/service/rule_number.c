/*
 * NAME
 *     rule_number - decimal texts compared exactly
 * DESCRIPTION
 *     A number is sign, digits with at most one point, and an optional exponent of at most four digits. Comparison goes digit by
 *     digit at aligned powers of ten: nothing is converted, nothing is rounded.
 *     A value with a comparator is an interval: >100 lies in (100, inf). A test is yes when all of the interval passes, no when
 *     none of it does, else unknown (STANDARDS 8.5 step 4).
 * DIAGNOSTICS
 *     None.
 */
#include "rule_inner.h"

struct number { bool is_minus; struct span digits; size_t point; long exp; };   /* digits may hold one point */

static bool split(struct span s, struct number *n)
{
    *n = (struct number){0};
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        n->is_minus = s.p[0] == '-';
        s = span_from(s, 1);
    }
    size_t i = 0, digits = 0;
    bool has_point = false;
    for (; i < s.n; i++) {
        if (s.p[i] == '.' && !has_point) {
            has_point = true;
            n->point = i;
        } else if (s.p[i] >= '0' && s.p[i] <= '9') {
            digits++;
        } else {
            break;
        }
    }
    if (!digits || s.n > 400)
        return false;
    n->digits = span_cut(s, 0, i);
    if (!has_point)
        n->point = i;
    if (i == s.n)
        return true;
    int64_t e;
    if ((s.p[i] != 'e' && s.p[i] != 'E') || s.n - i > 6 || !span_int(span_from(s, i + 1), &e))
        return false;
    n->exp = (long)e;
    return true;
}

bool rule_number_is(struct span s)
{
    struct number n;
    return split(s, &n);
}

/* Digit at the power of ten `power`. */
static int digit_at(const struct number *n, long power)
{
    long at = (long)n->point - 1 - (power - n->exp);
    if (at >= 0 && at < (long)n->point)
        return n->digits.p[at] - '0';
    at = (long)n->point + (n->exp - power);     /* behind the point: first is power exp-1 */
    if (power < n->exp && at > (long)n->point - 1 && at < (long)n->digits.n && n->digits.p[at] != '.')
        return n->digits.p[at] - '0';
    return 0;
}

static long top_power(const struct number *n)
{
    return (long)n->point - 1 + n->exp;
}

static long low_power(const struct number *n)
{
    long behind = (long)n->digits.n - (long)n->point - 1;
    return n->exp - (behind > 0 ? behind : 0);
}

static int cmp_magnitude(const struct number *a, const struct number *b)
{
    long top = top_power(a) > top_power(b) ? top_power(a) : top_power(b);
    long low = low_power(a) < low_power(b) ? low_power(a) : low_power(b);
    for (long p = top; p >= low; p--) {
        int x = digit_at(a, p), y = digit_at(b, p);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

int rule_number_cmp(struct span a, struct span b)
{
    static const struct number zero = {.digits = {"0", 1}, .point = 1};
    struct number x, y;
    if (!split(a, &x) || !split(b, &y))
        return 0;
    if (cmp_magnitude(&x, &zero) == 0)
        x.is_minus = false;
    if (cmp_magnitude(&y, &zero) == 0)
        y.is_minus = false;
    if (x.is_minus != y.is_minus)
        return x.is_minus ? -1 : 1;
    return x.is_minus ? -cmp_magnitude(&x, &y) : cmp_magnitude(&x, &y);
}

/* ---- intervals ---- */
struct interval { struct span lo, hi; bool lo_open, hi_open; };    /* absent: infinite */

static bool interval_of(struct span comparator, struct span lo, struct span hi, struct interval *v)
{
    if (!rule_number_is(lo) || (span_has(hi) && !rule_number_is(hi)))
        return false;
    *v = (struct interval){lo, span_has(hi) ? hi : lo, false, false};
    if (!span_has(comparator) || span_is(comparator, "="))
        return true;
    if (span_has(hi))
        return false;
    if (span_is(comparator, ">") || span_is(comparator, ">=")) {
        v->hi = SPAN_ABSENT;
        v->lo_open = comparator.n == 1;
    } else if (span_is(comparator, "<") || span_is(comparator, "<=")) {
        v->lo = SPAN_ABSENT;
        v->hi_open = comparator.n == 1;
    } else {
        return false;
    }
    return true;
}

static bool interval_of_value(const struct rec_value *v, struct interval *out)
{
    if (v->is_number_odd)
        return false;
    if (v->type == REC_V_NUMBER)
        return interval_of(v->comparator, span_has(v->num1) ? v->num1 : v->text, SPAN_ABSENT, out);
    if (v->type == REC_V_STRUCTURED || v->type == REC_V_RANGE) {
        if (span_has(v->num2))
            return (v->type == REC_V_RANGE || span_is(v->separator, "-")) && interval_of(v->comparator, v->num1, v->num2, out);
        return !span_has(v->separator) && interval_of(v->comparator, v->num1, SPAN_ABSENT, out);
    }
    if (v->type == REC_V_TEXT) {
        static const char *const signs[] = {">=", "<=", ">", "<", "="};
        struct span s = span_trim(v->text), comparator = SPAN_ABSENT;
        for (size_t i = 0; i < sizeof signs / sizeof signs[0] && !span_has(comparator); i++)
            if (span_starts(s, signs[i]))
                comparator = span_of(signs[i]);
        return interval_of(comparator, span_trim(span_from(s, comparator.n)), SPAN_ABSENT, out);
    }
    return false;
}

/* Where does t lie: below all of v (-1), above all of it (1), or not (0)? Edges count as inside when closed. */
static bool all_above(const struct interval *v, struct span t, bool or_equal)      /* every x in v: x > t (or >=) */
{
    if (!span_has(v->lo))
        return false;
    int c = rule_number_cmp(v->lo, t);
    return c > 0 || (c == 0 && (or_equal || v->lo_open));
}

static bool all_below(const struct interval *v, struct span t, bool or_equal)
{
    if (!span_has(v->hi))
        return false;
    int c = rule_number_cmp(v->hi, t);
    return c < 0 || (c == 0 && (or_equal || v->hi_open));
}

static enum rule_truth decide(bool yes, bool no)
{
    return yes ? TRUTH_YES : no ? TRUTH_NO : TRUTH_UNKNOWN;
}

enum rule_truth rule_number_test(const struct rec_value *v, enum rule_op op, struct span t)
{
    struct interval i;
    if (!interval_of_value(v, &i))
        return TRUTH_UNKNOWN;
    bool is_point = span_has(i.lo) && span_has(i.hi) && !i.lo_open && !i.hi_open && rule_number_cmp(i.lo, i.hi) == 0;
    bool is_same = is_point && rule_number_cmp(i.lo, t) == 0;
    bool is_apart = all_above(&i, t, false) || all_below(&i, t, false);
    switch (op) {
    case OP_GE: return decide(all_above(&i, t, true), all_below(&i, t, false));
    case OP_GT: return decide(all_above(&i, t, false), all_below(&i, t, true));
    case OP_LE: return decide(all_below(&i, t, true), all_above(&i, t, false));
    case OP_LT: return decide(all_below(&i, t, false), all_above(&i, t, true));
    case OP_EQ: return decide(is_same, is_apart);
    case OP_NE: return decide(is_apart, is_same);
    }
    return TRUTH_UNKNOWN;
}
