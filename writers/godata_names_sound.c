/*
 * NAME godata_names_sound - what a word sounds like, and how far two sounds are apart.
 *
 * The alphabet of sounds: a e i o u, @ (a vowel that may be missing), U and I (the long u/w and i/y of scripts without vowels),
 * Y (the last ya of an Arabic word: i or a), R (Burmese, r or y), L (the article's l), E (ai), F (ei), O (the Russian yo);
 * consonants b d f g h j k l m n p r s t v w z and S (sh) C (ch) Z (zh) X (kh) c (ts) T (th of thin). Doubled letters are one.
 * Within one script vowels count; across scripts a vowel more or less is cheap, because one side never wrote it. No diagnostics.
 */
#include "godata_names_inner.h"

#include <string.h>

#include "godata_name.h"
#include "text.h"

/* ---- scripts ---- */

enum godata_script names_script_of(uint32_t cp)
{
    if (cp < 0x250 || (cp >= 0x1E00 && cp < 0x1F00) || (cp >= 0x250 && cp < 0x370))
        return GODATA_LATIN;
    if (cp >= 0x400 && cp < 0x530)
        return GODATA_CYRILLIC;
    if ((cp >= 0x600 && cp < 0x700) || (cp >= 0x750 && cp < 0x780) || (cp >= 0xFB50 && cp < 0xFF00))
        return GODATA_ARABIC;
    if (cp >= 0x900 && cp < 0x980)
        return GODATA_DEVANAGARI;
    if (cp >= 0x1000 && cp < 0x10A0)
        return GODATA_BURMESE;
    if ((cp >= 0x1200 && cp < 0x13A0) || (cp >= 0x2D80 && cp < 0x2DE0) || (cp >= 0xAB00 && cp < 0xAB30))
        return GODATA_ETHIOPIC;
    if ((cp >= 0x3400 && cp < 0xA000) || (cp >= 0xF900 && cp < 0xFB00) || cp >= 0x20000)
        return GODATA_HAN;
    return GODATA_OTHER;
}

bool names_needs_icu(enum godata_script script, struct span text)
{
    if (script == GODATA_LATIN)
        for (size_t i = 0; i < text.n; i++)
            if ((unsigned char)text.p[i] >= 0x80)
                return true;
    return script == GODATA_HAN || script == GODATA_ETHIOPIC || script == GODATA_DEVANAGARI || script == GODATA_OTHER;
}

struct letter { uint32_t cp; const char *as; };

/* Sounds; a letter that is not here is silent. */
static const struct letter arabic[] = {
    {0x622, "a"}, {0x623, "a"}, {0x624, "U"}, {0x625, "a"}, {0x626, "I"}, {0x627, "a"}, {0x628, "b"}, {0x629, "@"}, {0x62A, "t"}, {0x62B, "T"}, {0x62C, "j"},
    {0x62D, "h"}, {0x62E, "X"}, {0x62F, "d"}, {0x630, "z"}, {0x631, "r"}, {0x632, "z"}, {0x633, "s"}, {0x634, "S"}, {0x635, "s"}, {0x636, "d"}, {0x637, "t"},
    {0x638, "z"}, {0x639, "@"}, {0x63A, "g"}, {0x641, "f"}, {0x642, "k"}, {0x643, "k"}, {0x644, "l"}, {0x645, "m"}, {0x646, "n"}, {0x647, "h"}, {0x648, "U"},
    {0x649, "a"}, {0x64A, "I"}, {0x671, "a"}, {0x67E, "p"}, {0x686, "C"}, {0x698, "Z"}, {0x6A9, "k"}, {0x6AF, "g"}, {0x6BE, "h"}, {0x6C1, "h"}, {0x6CC, "I"},
    {0x6D2, "I"},
};
static const struct letter cyrillic[] = {
    {0x430, "a"}, {0x431, "b"}, {0x432, "v"}, {0x433, "g"}, {0x434, "d"}, {0x435, "e"}, {0x436, "Z"}, {0x437, "z"}, {0x438, "i"}, {0x439, "i"}, {0x43A, "k"},
    {0x43B, "l"}, {0x43C, "m"}, {0x43D, "n"}, {0x43E, "o"}, {0x43F, "p"}, {0x440, "r"}, {0x441, "s"}, {0x442, "t"}, {0x443, "u"}, {0x444, "f"}, {0x445, "X"},
    {0x446, "ts"}, {0x447, "C"}, {0x448, "S"}, {0x449, "S"}, {0x44B, "i"}, {0x44D, "e"}, {0x44E, "iu"}, {0x44F, "ia"}, {0x451, "O"}, {0x452, "j"}, {0x453, "g"},
    {0x454, "ie"}, {0x455, "z"}, {0x456, "i"}, {0x457, "i"}, {0x458, "i"}, {0x459, "l"}, {0x45A, "n"}, {0x45B, "C"}, {0x45C, "k"}, {0x45D, "i"}, {0x45E, "u"},
    {0x45F, "j"}, {0x491, "g"}, {0x493, "g"}, {0x49B, "k"}, {0x4A3, "ng"}, {0x4AF, "u"}, {0x4B1, "u"}, {0x4B3, "h"}, {0x4B7, "j"}, {0x4BB, "h"}, {0x4D9, "a"},
    {0x4E3, "i"}, {0x4E9, "o"}, {0x4EF, "u"},
};
/* What ICU writes for these two scripts, where it says more than a plain letter. */
static const struct letter ethiopic[] = {{'a', "e"}, {0x101, "a"}, {0x1DD, "@"}, {0x259, "@"}, {0x161, "S"}, {0x10D, "C"}, {0x17E, "Z"},
                                          {0xF1, "n"}, {0x1E63, "ts"}, {0x1E0D, "ts"}, {0x1E96, "h"}, {0x1E2B, "h"}};
static const struct letter devanagari[] = {{'a', "@"}, {0x101, "a"}, {0x15B, "S"}, {0x1E63, "S"}, {0x1E45, "ng"}, {0x1E5B, "ri"},
                                            {'c', "C"}, {0x1E43, "n"}, {0x1E41, "n"}, {0x1E25, "h"}};

static const char *find_letter(const struct letter *v, size_t n, uint32_t cp)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].cp == cp)
            return v[i].as;
    return NULL;
}
#define FIND(table, cp) find_letter(table, sizeof(table) / sizeof(table)[0], cp)

/* ---- Latin spelling to sound ---- */

struct spelling { const char *written, *sound; bool at_start; };

static const struct spelling spellings[] = {    /* longer ones first */
    {"chtch", "S", false}, {"shch", "S", false}, {"tsch", "C", false}, {"dsch", "j", false}, {"tch", "C", false}, {"sch", "S", false}, {"szcz", "S", false},
    {"dzh", "j", false}, {"dj", "j", false}, {"sh", "S", false}, {"ch", "C", false}, {"zh", "Z", false}, {"kh", "X", false}, {"gh", "g", false}, {"th", "t", false},
    {"dh", "d", false}, {"ph", "f", false}, {"bh", "b", false}, {"ht", "t", true}, {"hs", "S", true}, {"hl", "l", true}, {"hn", "n", true}, {"hm", "m", true},
    {"tz", "ts", false}, {"gn", "n", false}, {"ck", "k", false}, {"cz", "C", false}, {"sz", "S", false},
    {"que", "ke", false}, {"qui", "ki", false}, {"aee", "ai", false}, {"ou", "u", false}, {"oo", "u", false}, {"ee", "i", false},
    {"ae", "e", false}, {"oe", "o", false}, {"ue", "u", false}, {"ks", "ks", false}, {"xi", "Si", true}, {"xu", "Su", true}, {"x", "ks", false},
    {"ce", "se", false}, {"ci", "si", false}, {"c", "k", false}, {"q", "k", false}, {"y", "i", false},
};

static bool is_vowel(char c)
{
    static const bool vowels[128] = {['a'] = true, ['e'] = true, ['i'] = true, ['o'] = true, ['u'] = true, ['@'] = true,
                                     ['U'] = true, ['I'] = true, ['Y'] = true, ['E'] = true, ['F'] = true, ['O'] = true};
    return vowels[(unsigned char)c & 127];
}

struct sound { char *v; size_t n; };

static void add_sound(struct sound *s, const char *as)
{
    for (; *as; as++) {
        if (s->n + 1 >= GODATA_SOUND_MAX)
            return;
        if (s->n && s->v[s->n - 1] == *as)
            continue;                   /* doubled letters are one */
        s->v[s->n++] = *as;
    }
}

/* is_whole: the word ends here, not only this piece of it. */
static void latin_sound(struct span w, bool is_whole, struct sound *out)
{
    for (size_t i = 0; i < w.n;) {
        const struct spelling *found = NULL;
        for (size_t k = 0; k < sizeof spellings / sizeof spellings[0] && !found; k++)
            if ((!spellings[k].at_start || i == 0) && span_starts(span_from(w, i), spellings[k].written))
                found = &spellings[k];
        if (found) {
            add_sound(out, found->sound);
            i += strlen(found->written);
            continue;
        }
        char c = w.p[i++];
        if (c == 'h' && is_whole && i == w.n && out->n && is_vowel(out->v[out->n - 1]))
            continue;                   /* Mah, Bah */
        if (c == 'R' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            add_sound(out, (char[2]){c, '\0'});
    }
}

static void table_sound(const struct letter *v, size_t n, struct span text, struct sound *out)
{
    size_t len;
    for (size_t i = 0; i < text.n; i += len) {
        len = text_utf8_len(span_from(text, i));
        uint32_t cp = len ? text_utf8_get(span_from(text, i), &len) : 0;
        len = len ? len : 1;
        const char *as = find_letter(v, n, cp);
        if (as)
            add_sound(out, as);
    }
}

/* Latin letters with marks from ICU: the table first, else the letter without its mark; then as spelling. */
static void marked_sound(const struct letter *v, size_t n, struct span latin, struct sound *out)
{
    struct buf plain;
    size_t len;
    buf_init(&plain, 1024);
    for (size_t i = 0; i < latin.n; i += len) {
        len = text_utf8_len(span_from(latin, i));
        uint32_t cp = len ? text_utf8_get(span_from(latin, i), &len) : 0;
        len = len ? len : 1;
        const char *as = find_letter(v, n, cp);
        if (as && ((as[0] >= 'a' && as[0] <= 'z') || as[0] == 'h')) {
            buf_adds(&plain, as);
        } else if (as) {
            latin_sound(buf_span(&plain), false, out);
            add_sound(out, as);
            buf_reset(&plain);
            if (cp == 'c' && latin.n > i + 1 && latin.p[i + 1] == 'h')
                len++;                  /* ch is one letter there */
        } else if (cp == 'j' && span_starts(span_from(latin, i), "j\xC3\xB1")) {
            buf_adds(&plain, "gy");
            len += 2;
        } else {
            godata_name_fold(span_cut(latin, i, len), &plain);
        }
    }
    latin_sound(buf_span(&plain), true, out);
    buf_clear(&plain);
}

/* ai and ei are one vowel, that some write e. */
static void join_vowels(struct sound *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        char c = s->v[i], next = i + 1 < s->n ? s->v[i + 1] : '\0';
        char after = i + 2 < s->n ? s->v[i + 2] : '\0';
        bool is_silent = after == '@' || (after == 'e' && i + 3 == s->n);      /* Tesfaye is Tesfay */
        bool is_pair = (c == 'a' || c == 'e' || c == '@') && (next == 'i' || next == 'I') && (is_silent || !is_vowel(after));
        s->v[n++] = !is_pair ? c : c == 'e' ? 'F' : 'E';
        i += is_pair ? 1U + is_silent : 0U;
    }
    s->n = n;
}

void names_sound(enum godata_script script, struct span folded, struct span latin, char out[GODATA_SOUND_MAX])
{
    struct sound s = {out, 0};
    struct buf plain;
    buf_init(&plain, 4096);
    switch (script) {
    case GODATA_ARABIC:
        table_sound(arabic, sizeof arabic / sizeof arabic[0], folded, &s);
        if (s.n > 1 && out[s.n - 1] == 'I')
            out[s.n - 1] = 'Y';
        if (s.n > 2 && out[s.n - 1] == 'h')
            out[s.n - 1] = '@';         /* the female ending, written with or without its dots */
        break;
    case GODATA_CYRILLIC: table_sound(cyrillic, sizeof cyrillic / sizeof cyrillic[0], folded, &s); break;
    case GODATA_ETHIOPIC: marked_sound(ethiopic, sizeof ethiopic / sizeof ethiopic[0], latin, &s); break;
    case GODATA_DEVANAGARI: marked_sound(devanagari, sizeof devanagari / sizeof devanagari[0], latin, &s); break;
    case GODATA_BURMESE:
        names_burmese_latin(folded, &plain);
        latin_sound(buf_span(&plain), true, &s);
        break;
    case GODATA_HAN:                    /* pinyin: x is sh, q is ch */
        godata_name_fold(latin, &plain);
        for (size_t i = 0; i < plain.n; i++)
            if (plain.p[i] == 'q')
                plain.p[i] = 'C';
        if (plain.n && plain.p[0] == 'C') {
            add_sound(&s, "C");
            latin_sound(span_from(buf_span(&plain), 1), true, &s);
        } else {
            latin_sound(buf_span(&plain), true, &s);
        }
        break;
    case GODATA_LATIN:
        godata_name_fold(span_has(latin) ? latin : folded, &plain);
        latin_sound(buf_span(&plain), true, &s);
        break;
    case GODATA_OTHER:
        godata_name_fold(latin, &plain);
        latin_sound(buf_span(&plain), true, &s);
        break;
    }
    join_vowels(&s);
    out[s.n] = '\0';
    buf_clear(&plain);
}

/* ---- distance ---- */

#define SWAPPED 0.3F                    /* two neighbours in each other's place: typing, never another name */

struct near { char a, b; double cost; };

static const struct near near_vowels[] = {
    {'e', 'i', 0.25}, {'o', 'u', 0.25}, {'a', 'e', 0.25}, {'a', 'o', 0.3}, {'U', 'u', 0.02}, {'U', 'o', 0.05}, {'I', 'i', 0.02}, {'I', 'e', 0.05},
    {'E', 'F', 0.2}, {'E', 'e', 0.15}, {'F', 'e', 0.1}, {'E', 'I', 0.04}, {'F', 'I', 0.04}, {'E', 'a', 0.3}, {'F', 'i', 0.2}, {'E', 'i', 0.3},
    {'O', 'o', 0.05}, {'O', 'e', 0.05}, {'O', 'i', 0.2},
    {'Y', 'i', 0.02}, {'Y', 'a', 0.03}, {'Y', 'I', 0.02}, {'Y', 'e', 0.05},
};
static const struct near near_consonants[] = {
    {'S', 'C', 0.3}, {'S', 's', 0.3}, {'C', 'j', 0.35}, {'C', 'Z', 0.3}, {'Z', 'j', 0.15}, {'Z', 'z', 0.3}, {'Z', 'S', 0.4}, {'C', 'c', 0.3}, {'c', 's', 0.25}, {'c', 'z', 0.3},
    {'s', 'z', 0.25}, {'T', 't', 0.1}, {'T', 's', 0.15}, {'t', 'd', 0.4}, {'k', 'g', 0.3}, {'k', 'X', 0.2}, {'X', 'h', 0.2}, {'g', 'j', 0.3}, {'k', 'C', 0.45}, {'b', 'v', 0.25},
    {'b', 'p', 0.4}, {'p', 'f', 0.2}, {'v', 'f', 0.25}, {'v', 'w', 0.1}, {'n', 'm', 0.45}, {'g', 'h', 0.4}, {'z', 'd', 0.4}, {'Z', 'r', 0.6}, {'w', 'U', 0.02}, {'v', 'U', 0.1},
    {'w', 'u', 0.1}, {'w', 'o', 0.2}, {'j', 'i', 0.2}, {'j', 'I', 0.2}, {'j', 'z', 0.3}, {'C', 's', 0.4}, {'R', 'r', 0.04}, {'R', 'i', 0.04}, {'L', 'l', 0},
};

static double table_cost(const struct near *v, size_t n, char a, char b)
{
    for (size_t i = 0; i < n; i++)
        if ((v[i].a == a && v[i].b == b) || (v[i].a == b && v[i].b == a))
            return v[i].cost;
    return -1;
}

static double letters_apart(char a, char b)
{
    double near;
    if (a == '@' || b == '@')
        return is_vowel(a) && is_vowel(b) ? 0.04 : 1;
    if (is_vowel(a) && is_vowel(b)) {
        near = table_cost(near_vowels, sizeof near_vowels / sizeof near_vowels[0], a, b);
        return near < 0 ? 0.45 : near;
    }
    near = table_cost(near_consonants, sizeof near_consonants / sizeof near_consonants[0], a, b);
    return near < 0 ? 1 : near;
}

enum { SOUNDS = 128 };
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz@UIYRLEFOSCZXT0123456789";

struct costs { float swap[SOUNDS][SOUNDS]; bool is_ready; };

static void fill_costs(struct costs *c)
{
    for (const char *a = alphabet; *a; a++)
        for (const char *b = alphabet; *b; b++)
            c->swap[(unsigned char)*a][(unsigned char)*b] = *a == *b ? 0.0F : (float)letters_apart(*a, *b);
    c->is_ready = true;
}

/* Spelling by ear: voiced or not, and aspirated or not, is written now so, now so. */
static bool is_by_ear(enum godata_script a, enum godata_script b)
{
    return a != b && (a == GODATA_BURMESE || b == GODATA_BURMESE || a == GODATA_HAN || b == GODATA_HAN);
}

static bool is_abjad(enum godata_script s) { return s == GODATA_ARABIC; }

/* What it costs to leave out v[i] of a word of script `own` beside one of script `other`. */
static float drop_cost(const char *v, size_t n, size_t i, enum godata_script own, enum godata_script other)
{
    char c = v[i];
    bool across = own != other;
    switch (c) {
    case '@': return 0.03F;
    case 'h': return across ? 0.25F : 0.4F;
    case 'U':
    case 'I': return 0.6F;
    case 'w': return 0.4F;
    case 'R': return 0.3F;
    case 'L': return 0.15F;
    case 'r': return other == GODATA_BURMESE && (i + 1 == n || !is_vowel(v[i + 1])) ? 0.03F : 1;
    case 't': return across && i > 0 && v[i - 1] == 'n' && (own == GODATA_BURMESE || other == GODATA_BURMESE) ? 0.4F : 1;
    case 'g': return i > 0 && v[i - 1] == 'n' ? 0.5F : 1;
    default: break;
    }
    if (is_vowel(c))
        return is_abjad(other) && across ? 0.06F : across ? 0.3F : 0.4F;
    return 1;
}

double names_cost(const char *a, size_t na, enum godata_script sa, const char *b, size_t nb, enum godata_script sb)
{
    static _Thread_local struct costs costs;
    float row[3][2 * GODATA_SOUND_MAX + 1], drop_b[2 * GODATA_SOUND_MAX];
    if (!costs.is_ready)
        fill_costs(&costs);
    if (na > 2 * GODATA_SOUND_MAX - 1)
        na = 2 * GODATA_SOUND_MAX - 1;
    if (nb > 2 * GODATA_SOUND_MAX - 1)
        nb = 2 * GODATA_SOUND_MAX - 1;
    bool by_ear = is_by_ear(sa, sb);
    float *before = row[0], *above = row[1], *now = row[2];
    above[0] = 0;
    for (size_t j = 0; j < nb; j++) {
        drop_b[j] = drop_cost(b, nb, j, sb, sa);
        above[j + 1] = above[j] + drop_b[j];
    }
    for (size_t i = 0; i < na; i++) {
        float drop_a = drop_cost(a, na, i, sa, sb);
        const float *swap = costs.swap[(unsigned char)a[i] & 127];
        now[0] = above[0] + drop_a;
        for (size_t j = 0; j < nb; j++) {
            float best = swap[(unsigned char)b[j] & 127];
            if (by_ear && best < 0.5F)
                best *= is_vowel(a[i]) ? 0.7F : 0.35F;
            best += above[j];
            if (above[j + 1] + drop_a < best)
                best = above[j + 1] + drop_a;
            if (now[j] + drop_b[j] < best)
                best = now[j] + drop_b[j];
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] && before[j - 1] + SWAPPED < best)
                best = before[j - 1] + SWAPPED;
            now[j + 1] = best;
        }
        float *t = before;
        before = above;
        above = now;
        now = t;
    }
    return (double)above[nb];
}

/* ---- keys ---- */

static char class_of(char c)
{
    switch (c) {
    case 'b': case 'p': case 'f': case 'v': return 'P';
    case 't': case 'd': return 'T';
    case 'k': case 'g': return 'K';
    case 's': case 'z': case 'S': case 'C': case 'Z': case 'c': case 'j': case 'T': return 'S';
    case 'm': case 'n': return 'N';
    case 'l': case 'L': return 'L';
    case 'r': return 'R';
    default: return '\0';               /* vowels, h, kh, w */
    }
}

/* w and R count in the second key only. */
static uint64_t key_of(const char *sound, size_t n, bool with_w)
{
    uint64_t h = UINT64_C(1469598103934665603);
    char last = '\0';
    bool is_empty = true;
    for (size_t i = 0; i < n; i++) {
        char c = sound[i] == 'w' && with_w ? 'P' : sound[i] == 'R' && with_w ? 'R' : class_of(sound[i]);
        if (c == '\0' || c == last)
            continue;
        last = c;
        is_empty = false;
        h = (h ^ (unsigned char)c) * UINT64_C(1099511628211);
    }
    if (is_empty)                       /* vowels only: by the first of them */
        h = (h ^ (n ? 1U : 0U)) * UINT64_C(1099511628211);
    return h | 1;
}

void names_keys(const char *sound, size_t n, uint64_t out[2])
{
    out[0] = key_of(sound, n, false);
    out[1] = memchr(sound, 'w', n) || memchr(sound, 'R', n) ? key_of(sound, n, true) : 0;
}
