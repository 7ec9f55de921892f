/*
 * NAME godata_names_burmese - Burmese names, syllable by syllable, as their owners write them with Latin letters.
 *
 * The scholarly romanisations follow the spelling (mran mā); passports follow the ear (Myanmar). An onset with its medials, then a rhyme.
 * Tone marks are left out, except that a stopped nasal ends in t (Myint, Thant). No diagnostics.
 */
#include "godata_names_inner.h"

#include <string.h>

#include "text.h"

#define ASAT 0x103A
#define VIRAMA 0x1039
#define CPS_MAX 16

static bool is_base(uint32_t cp) { return (cp >= 0x1000 && cp <= 0x102A) || cp == 0x103F || cp == 0x104E; }

static uint32_t point(struct span s, size_t at, size_t *len)
{
    *len = text_utf8_len(span_from(s, at));
    if (*len == 0) {
        *len = 1;
        return 0xFFFD;
    }
    return text_utf8_get(span_from(s, at), len);
}

size_t names_burmese_syllable(struct span text)
{
    size_t len, at = 0, next;
    (void)point(text, 0, &len);
    for (at = len; at < text.n; at += len) {
        uint32_t cp = point(text, at, &len);
        uint32_t after = at + len < text.n ? point(text, at + len, &next) : 0;
        if (after == 0x1037 && at + len + next < text.n) {      /* the dot may stand before the asat */
            size_t n2;
            if (point(text, at + len + next, &n2) == ASAT)
                after = ASAT;
        }
        if (is_base(cp) && after != ASAT && after != VIRAMA)    /* a letter under a virama begins the next syllable */
            break;
    }
    return at;
}

static const char *onset(uint32_t cp)
{
    static const char *const from_ka[] = {"k", "kh", "g", "g", "ng", "s", "s", "z", "z", "ny", "ny", "t", "ht", "d", "d", "n", "t", "ht", "d", "d", "n", "p", "ph",
                                          "b", "b", "m", "y", "R", "l", "w", "th", "h", "l", "", "", "i", "i", "u", "u", "e", "aw", "aw"};
    return cp >= 0x1000 && cp <= 0x1029 ? from_ka[cp - 0x1000] : cp == 0x103F ? "th" : "";
}

struct rhyme { uint32_t final; const char *vowel, *latin; };

/* vowel: the vowel signs before the final: i ိ, u ု, w medial ွ, o ို, A ော; "" none. */
static const struct rhyme rhymes[] = {
    {0x1000, "", "et"}, {0x1000, "A", "auk"}, {0x1000, "o", "aik"}, {0x1004, "", "in"}, {0x1004, "A", "aung"}, {0x1004, "o", "aing"}, {0x1005, "", "it"},
    {0x1009, "", "in"}, {0x100A, "", "i"}, {0x1010, "", "at"}, {0x1010, "i", "eit"}, {0x1010, "u", "ok"}, {0x1010, "w", "ut"}, {0x1015, "", "at"},
    {0x1015, "i", "eik"}, {0x1015, "u", "ok"}, {0x1015, "w", "ut"}, {0x1014, "", "an"}, {0x1014, "i", "ein"}, {0x1014, "u", "on"}, {0x1014, "w", "un"},
    {0x1019, "", "an"}, {0x1019, "i", "ein"}, {0x1019, "u", "on"}, {0x1019, "w", "un"}, {0x101A, "", "e"}, {0x101A, "A", "aw"},
};

static const char *rhyme_of(uint32_t final, const char *vowel)
{
    const char *plain = "";
    for (size_t i = 0; i < sizeof rhymes / sizeof rhymes[0]; i++)
        if (rhymes[i].final == final) {
            if (strcmp(rhymes[i].vowel, vowel) == 0)
                return rhymes[i].latin;
            if (rhymes[i].vowel[0] == '\0')
                plain = rhymes[i].latin;
        }
    return plain;
}

static bool ends_in_nasal(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && s[n - 1] == 'n';
}

static void add_onset(struct buf *out, uint32_t base, bool has_y, bool has_w, bool has_h)
{
    if (has_h && (base == 0x101A || base == 0x101B || (base == 0x101C && has_y))) {
        buf_adds(out, "sh");
    } else if (has_y && (base == 0x1001)) {
        buf_adds(out, "ch");
    } else {
        if (has_h)
            buf_addc(out, 'h');
        buf_adds(out, onset(base));
        if (has_y)
            buf_addc(out, 'y');
    }
    if (has_w)
        buf_addc(out, 'w');
}

static void add_rhyme(struct buf *out, const uint32_t *v, size_t n, bool has_w)
{
    bool has_e = false, has_aa = false, has_i = false, has_u = false, has_ai = false, has_an = false, is_stopped = false;
    uint32_t final = 0;
    for (size_t i = 1; i < n; i++) {
        if (v[i] == 0x1031) has_e = true;
        if (v[i] == 0x102B || v[i] == 0x102C) has_aa = true;
        if (v[i] == 0x102D || v[i] == 0x102E) has_i = true;
        if (v[i] == 0x102F || v[i] == 0x1030) has_u = true;
        if (v[i] == 0x1032) has_ai = true;
        if (v[i] == 0x1036) has_an = true;
        if (v[i] == 0x1037) is_stopped = true;
        if (is_base(v[i]) && final == 0)
            final = v[i];
    }
    bool is_o = has_i && has_u, is_aw = has_e && has_aa;
    const char *vowel = is_o ? "o" : is_aw ? "A" : has_i ? "i" : has_u ? "u" : "";
    if (final) {
        const char *r = rhyme_of(final, has_w && !vowel[0] ? "w" : vowel);
        bool is_swallowed = has_w && r[0] == 'u' && out->n > 0 && out->p[out->n - 1] == 'w';
        if (is_swallowed)               /* htw + un is written htun */
            out->p[--out->n] = '\0';
        buf_adds(out, r);
        if (is_stopped && ends_in_nasal(r))
            buf_addc(out, 't');
        return;
    }
    if (has_an)
        buf_adds(out, has_u ? "on" : has_i ? "ein" : "an");
    else
        buf_adds(out, is_o ? "o" : is_aw ? "aw" : has_e ? "e" : has_ai ? "e" : has_i ? "i" : has_u ? "u" : v[0] >= 0x1023 && v[0] <= 0x102A ? "" : "a");
}

void names_burmese_latin(struct span syllable, struct buf *out)
{
    uint32_t v[CPS_MAX];
    size_t n = 0, len;
    bool has_y = false, has_w = false, has_h = false;
    for (size_t i = 0; i < syllable.n && n < CPS_MAX; i += len) {
        v[n] = point(syllable, i, &len);
        has_y |= v[n] == 0x103B || v[n] == 0x103C;
        has_w |= v[n] == 0x103D;
        has_h |= v[n] == 0x103E;
        n++;
    }
    if (n == 0)
        return;
    add_onset(out, v[0], has_y, has_w, has_h);
    add_rhyme(out, v, n, has_w);
}
