/*
 * NAME godata_name - folding and comparing names.
 * The table maps U+00C0..U+017F to plain letters; Vietnamese and other U+1E00..U+1EFF letters go by their runs; combining marks
 * (U+0300..U+036F) vanish. Greek and Cyrillic are only lower-cased; other scripts are compared as they are. No diagnostics.
 */
#include "godata_name.h"

#include <string.h>

#include "text.h"

#define NAME_MAX 4096
#define WORDS_MAX 32

/* One entry per code point from U+00C0; '\0' is no letter (U+00D7, U+00F7); capitals stand for two letters, see `pairs`. */
static const char latin[] =
    "aaaaaaAceeeeiiii" "dnooooo\0ouuuuyTS" "aaaaaaAceeeeiiii" "dnooooo\0ouuuuyTy"
    "aaaaaaccccccccdd" "ddeeeeeeeeeegggg" "gggghhhhiiiiiiii" "iiIIjjkkklllllll"
    "lllnnnnnnnnnoooo" "ooOOrrrrrrssssss" "ssttttttuuuuuuuu" "uuuuwwyyyzzzzzzs";
/* U+1E00..U+1EFF in runs. */
static const struct { uint32_t upto; char letter; } vietnamese[] = {
    {0x1E01, 'a'}, {0x1E07, 'b'}, {0x1E09, 'c'}, {0x1E13, 'd'}, {0x1E1D, 'e'}, {0x1E1F, 'f'}, {0x1E21, 'g'}, {0x1E2B, 'h'}, {0x1E2F, 'i'},
    {0x1E35, 'k'}, {0x1E3D, 'l'}, {0x1E43, 'm'}, {0x1E4B, 'n'}, {0x1E53, 'o'}, {0x1E57, 'p'}, {0x1E5F, 'r'}, {0x1E69, 's'}, {0x1E71, 't'},
    {0x1E7B, 'u'}, {0x1E7F, 'v'}, {0x1E89, 'w'}, {0x1E8D, 'x'}, {0x1E8F, 'y'}, {0x1E95, 'z'}, {0x1E96, 'h'}, {0x1E97, 't'}, {0x1E98, 'w'},
    {0x1E99, 'y'}, {0x1E9A, 'a'}, {0x1E9F, 's'}, {0x1EB7, 'a'}, {0x1EC7, 'e'}, {0x1ECB, 'i'}, {0x1EE3, 'o'}, {0x1EF1, 'u'}, {0x1EF9, 'y'},
};
static const char *const particles[] = {"abu", "bin", "bint", "das", "della", "dos", "ibn", "van", "von", "der", "den", "ould", "mac"};

static void add_point(struct buf *out, uint32_t cp)
{
    char raw[4];
    buf_add(out, raw, text_utf8_put(cp, raw));
}

static void add_latin(struct buf *out, uint32_t cp)
{
    char c = latin[cp - 0xC0];
    switch (c) {
    case '\0': break;
    case 'A': buf_adds(out, "ae"); break;
    case 'I': buf_adds(out, "ij"); break;
    case 'O': buf_adds(out, "oe"); break;
    case 'S': buf_adds(out, "ss"); break;
    case 'T': buf_adds(out, "th"); break;
    default: buf_addc(out, c); break;
    }
}

static void add_folded(struct buf *out, uint32_t cp)
{
    if (cp >= 0xC0 && cp <= 0x17F) {
        add_latin(out, cp);
    } else if (cp >= 0x1E00 && cp <= 0x1EF9) {
        size_t i = 0;
        while (vietnamese[i].upto < cp)
            i++;
        buf_addc(out, vietnamese[i].letter);
    } else if (cp == 0x1A0 || cp == 0x1A1) {
        buf_addc(out, 'o');
    } else if (cp == 0x1AF || cp == 0x1B0) {
        buf_addc(out, 'u');
    } else if (cp >= 0x300 && cp <= 0x36F) {
        return;
    } else if ((cp >= 0x391 && cp <= 0x3A9) || (cp >= 0x410 && cp <= 0x42F)) {
        add_point(out, cp + 0x20);
    } else if (cp == 0x3C2) {
        add_point(out, 0x3C3);              /* final sigma */
    } else if (cp >= 0x400 && cp <= 0x40F) {
        add_point(out, cp + 0x50);
    } else {
        add_point(out, cp);
    }
}

static bool is_separator(uint32_t cp)
{
    return cp <= 0x20 || cp == '-' || cp == ',' || cp == '.' || cp == '/' || cp == 0xA0 || (cp >= 0x2000 && cp <= 0x2015) || cp == 0x202F || cp == 0x3000;
}

static bool is_apostrophe(uint32_t cp)
{
    return cp == '\'' || cp == '`' || cp == 0xB4 || cp == 0x2018 || cp == 0x2019 || cp == 0x2BC || cp == 0x2BB;
}

void godata_name_fold(struct span name, struct buf *out)
{
    bool is_gap = false;
    size_t begin = out->n;
    for (size_t i = 0; i < name.n;) {
        size_t len = text_utf8_len(span_from(name, i));
        uint32_t cp = len ? text_utf8_get(span_from(name, i), &len) : 0xFFFD;
        i += len ? len : 1;
        if (is_apostrophe(cp))
            continue;
        if (is_separator(cp)) {
            is_gap = true;
            continue;
        }
        if (is_gap && out->n > begin)
            buf_addc(out, ' ');
        is_gap = false;
        if (cp < 0x80)
            buf_addc(out, (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp));
        else
            add_folded(out, cp);
    }
}

static size_t points(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* A short Latin word or a particle says little; two letters of another script may be a whole name. */
static bool is_weak(struct span w)
{
    if (points(w) <= 2 && w.n <= 2)
        return true;
    for (size_t i = 0; i < sizeof particles / sizeof particles[0]; i++)
        if (span_is(w, particles[i]))
            return true;
    return false;
}

static size_t words(struct span s, struct span *v)
{
    size_t n = 0;
    while (n < WORDS_MAX && span_next(&s, ' ', &v[n]))
        n += v[n].n > 0;
    return n;
}

/* Keeps the strong words; all of them when there is none. */
static size_t strong(struct span *v, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_weak(v[i])) {
            struct span w = v[i];
            v[i] = v[k];
            v[k++] = w;
        }
    return k ? k : n;
}

static bool is_same_joined(struct span a, struct span b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a.n && a.p[i] == ' ')
            i++;
        while (j < b.n && b.p[j] == ' ')
            j++;
        if (i == a.n || j == b.n)
            return i == a.n && j == b.n;
        if (a.p[i++] != b.p[j++])
            return false;
    }
}

bool godata_name_agrees(struct span a, struct span b)
{
    struct buf fa, fb;
    struct span va[WORDS_MAX], vb[WORDS_MAX];
    buf_init(&fa, NAME_MAX);
    buf_init(&fb, NAME_MAX);
    godata_name_fold(a, &fa);
    godata_name_fold(b, &fb);
    size_t na = words(buf_span(&fa), va), nb = words(buf_span(&fb), vb);
    bool agrees = na == 0 || nb == 0 || is_same_joined(buf_span(&fa), buf_span(&fb));
    na = strong(va, na);
    nb = strong(vb, nb);
    for (size_t i = 0; i < na && !agrees; i++)
        for (size_t j = 0; j < nb && !agrees; j++)
            agrees = span_eq(va[i], vb[j]);
    buf_clear(&fa);
    buf_clear(&fb);
    return agrees;
}
