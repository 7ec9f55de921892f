/*
 * NAME godata_person_mask - short forms of a visualId (`42` for CASE-2026-00042 under CASE-YYYY-99999).
 *
 * Mask characters (GODATA-API 3.3): 9 sequence digit (one run), YYYY four digits, 0 digit, @ letter, & any character, * any text; others
 * stand for themselves. Whoever writes short leaves out fixed text, the year and leading zeros, never anything else: what 0 @ & * stand for
 * is part of the identity and has to be said. No diagnostics.
 */
#include <string.h>

#include "godata_person.h"

enum piece_kind { FIXED, YEAR, NUMBER, FREE };
struct piece { enum piece_kind kind; struct span text; };
#define PIECES_MAX 32

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80; }

static size_t run_of(struct span s, size_t at, char c)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] == c)
        n++;
    return n;
}

/* Cuts the value into the mask's pieces, the first way that fits. */
static bool cut(struct span mask, struct span value, struct piece *v, size_t n, size_t *n_out)
{
    if (mask.n == 0) {
        *n_out = n;
        return value.n == 0;
    }
    if (n == PIECES_MAX)
        return false;
    char m = mask.p[0];
    size_t count = 1, take = 1;
    enum piece_kind kind = FIXED;
    if (m == '*') {
        for (take = 0; take <= value.n; take++) {
            v[n] = (struct piece){FREE, span_cut(value, 0, take)};
            if (cut(span_from(mask, 1), span_from(value, take), v, n + 1, n_out))
                return true;
        }
        return false;
    }
    if (span_starts(mask, "YYYY")) {
        count = take = 4;
        kind = YEAR;
    } else if (m == '9') {
        count = take = run_of(mask, 0, '9');
        kind = NUMBER;
    } else if (m == '0' || m == '@' || m == '&') {
        kind = FREE;
    }
    struct span part = span_cut(value, 0, take);
    if (part.n < take)
        return false;
    for (size_t i = 0; i < part.n; i++)
        if ((kind == YEAR || kind == NUMBER || m == '0') ? !is_digit(part.p[i]) : m == '@' ? !is_letter(part.p[i]) : kind == FIXED && part.p[i] != m)
            return false;
    v[n] = (struct piece){kind, part};
    return cut(span_from(mask, count), span_from(value, take), v, n + 1, n_out);
}

static int64_t number_of(struct span s)
{
    int64_t v;
    return s.n <= 18 && span_is_digits(s) && span_int(s, &v) ? v : -1;
}

int64_t godata_mask_number(struct span mask, struct span whole)
{
    struct piece v[PIECES_MAX];
    size_t n;
    if (mask.n == 0 || mask.n > 64 || whole.n > 64 || !cut(mask, whole, v, 0, &n))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == NUMBER)
            return number_of(v[i].text);
    return -1;
}

int64_t godata_mask_said(struct span said)
{
    size_t end = said.n;
    while (end > 0 && !is_digit(said.p[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && is_digit(said.p[begin - 1]))
        begin--;
    return number_of(span_cut(said, begin, end - begin));
}

/* One piece off the front of what is said; separators are passed over. */
static struct span next_part(struct span *said)
{
    size_t i = 0, n = 1;
    while (i < said->n && !is_digit(said->p[i]) && !is_letter(said->p[i]))
        i++;
    *said = span_from(*said, i);
    if (said->n == 0)
        return *said;
    bool digits = is_digit(said->p[0]);
    while (n < said->n && (digits ? is_digit(said->p[n]) : is_letter(said->p[n])))
        n++;
    struct span part = span_cut(*said, 0, n);
    *said = span_from(*said, n);
    return part;
}

/* Do the parts of `said`, in order, stand in the pieces, with nothing left out that matters? */
static bool stands_in(const struct piece *v, size_t n, struct span said)
{
    struct span rest = said, part = next_part(&rest);
    bool has_number = false;
    char fixed[64];
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        switch (v[i].kind) {
        case FIXED:                     /* a run of fixed letters, said or left out as one */
            for (; i < n && v[i].kind == FIXED && len < sizeof fixed; i++)
                if (is_letter(v[i].text.p[0]) || is_digit(v[i].text.p[0]))
                    fixed[len++] = v[i].text.p[0];
                else
                    break;
            if (len)
                i--;                    /* the loop steps past the run */
            if (len && part.n == len && span_eq(part, span_make(fixed, len)))
                part = next_part(&rest);
            break;
        case YEAR:
            if (span_eq(part, v[i].text))
                part = next_part(&rest);
            break;
        case NUMBER:
            if (part.n == 0 || number_of(part) < 0 || number_of(part) != number_of(v[i].text) || part.n > v[i].text.n)
                return false;
            has_number = true;
            part = next_part(&rest);
            break;
        case FREE:
            if (v[i].text.n == 0)
                break;
            if (part.n < v[i].text.n || !span_eq(span_cut(part, 0, v[i].text.n), v[i].text))
                return false;
            part = part.n > v[i].text.n ? span_from(part, v[i].text.n) : next_part(&rest);
            break;
        }
    }
    return has_number && part.n == 0;
}

bool godata_mask_completes(struct span mask, struct span whole, struct span said)
{
    struct piece v[PIECES_MAX];
    size_t n;
    if (mask.n == 0 || mask.n > 64 || whole.n > 64 || said.n == 0 || said.n > 64 || !cut(mask, whole, v, 0, &n))
        return false;
    return stands_in(v, n, said);
}
