/*
 * NAME godata_names - cuts names into words, remembers each word once, compares names.
 *
 * A field is cut at blanks, hyphens, commas, dots and slashes; a run of Han or Burmese further into characters or syllables, because whoever
 * writes them with Latin letters puts the blanks where he likes. Neighbouring words may stand for one word of the other side. The Arabic
 * article becomes a weak word of its own. Comparison looks for the best partner of every word, wherever it stands: people swap family
 * and given name. What is left over on both sides contradicts; left over on one side it is a middle name.
 * DIAGNOSTICS none.
 */
#include "godata_names_inner.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xmem.h"

#define ARTICLE "\xD8\xA7\xD9\x84"      /* al- */
#define FIELD_MAX 512
#define SAME_SHARE 0.08                 /* cost per letter up to which two words are the same name written by two people */
#define SAME_COST 0.7
#define NEAR_SHARE 0.20                 /* ... up to which it may be a typing error */

struct raw { uint64_t hash; char *text; uint32_t words[GODATA_WORDS_MAX]; size_t n; };  /* a run between separators, as sent */

struct godata_names {
    struct names_icu *icu;
    struct godata_word *words;
    size_t n_words, cap_words;
    uint32_t *by_text;                  /* open addressing: number of word + 1 */
    size_t cap_by_text;
    struct raw *raws;
    size_t n_raws, cap_raws;            /* cap: power of two; text NULL is free */
};

struct godata_names *godata_names_new(void)
{
    struct godata_names *n = xcalloc(1, sizeof *n);
    n->icu = names_icu_new();
    n->cap_by_text = n->cap_raws = 256;
    n->by_text = xcalloc(n->cap_by_text, sizeof *n->by_text);
    n->raws = xcalloc(n->cap_raws, sizeof *n->raws);
    return n;
}

void godata_names_free(struct godata_names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_words; i++)
        free(n->words[i].text);
    for (size_t i = 0; i < n->cap_raws; i++)
        free(n->raws[i].text);
    names_icu_free(n->icu);
    free(n->words);
    free(n->by_text);
    free(n->raws);
    free(n);
}

const struct godata_word *godata_names_word(const struct godata_names *n, uint32_t word) { return &n->words[word]; }
size_t godata_names_count(const struct godata_names *n) { return n->n_words; }

static uint64_t hash_of(struct span s)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

/* ---- words ---- */

static bool is_weak(struct span text, enum godata_script script)
{
    static const char *const weak[] = {
        "da", "de", "del", "della", "der", "den", "di", "do", "dos", "das", "du", "la", "le", "van", "von", "y", "e", "al", "el", "bin", "ben", "bint", "ibn", "abu", "abou",
        "ould", "mr", "mrs", "ms", "dr", "mme", "prof", "sheikh", "haji", "hajj", "jr", "sr", "u", "daw", "ma", "ko", "mg", "shri", "smt", "km", "ato", "woizero", "baby", "of",
        "ابن", "بن", "بنت", "ابو", "ام", "ال", "د", "श्री", "श्रीमती", "डा", "ဦး", "ဒေါ်", "မ",
        "ကို", "ဒေါက်တာ", "አቶ", "ወይዘሮ", "ዶክተር", "г", "гр"};
    size_t letters = 0;
    for (size_t i = 0; i < text.n; i++)
        letters += ((unsigned char)text.p[i] & 0xC0) != 0x80;
    if (letters <= 1 && script != GODATA_HAN && script != GODATA_BURMESE && script != GODATA_ETHIOPIC && script != GODATA_DEVANAGARI)
        return true;
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++)
        if (span_is(text, weak[i]))
            return true;
    return false;
}

static void grow_by_text(struct godata_names *n)
{
    size_t cap = n->cap_by_text * 2;
    uint32_t *v = xcalloc(cap, sizeof *v);
    for (uint32_t i = 0; i < n->n_words; i++) {
        size_t at = hash_of(span_of(n->words[i].text)) & (cap - 1);
        while (v[at])
            at = (at + 1) & (cap - 1);
        v[at] = i + 1;
    }
    free(n->by_text);
    n->by_text = v;
    n->cap_by_text = cap;
}

static uint32_t word_put(struct godata_names *n, struct span text, enum godata_script script)
{
    if (n->n_words * 2 >= n->cap_by_text)
        grow_by_text(n);
    size_t at = hash_of(text) & (n->cap_by_text - 1);
    for (; n->by_text[at]; at = (at + 1) & (n->cap_by_text - 1))
        if (span_is(text, n->words[n->by_text[at] - 1].text))
            return n->by_text[at] - 1;
    if (n->n_words == n->cap_words) {
        n->cap_words = n->cap_words ? n->cap_words * 2 : 256;
        n->words = xreallocarray(n->words, n->cap_words, sizeof *n->words);
    }
    struct godata_word *w = &n->words[n->n_words];
    *w = (struct godata_word){.text = xstrndup(text.p, text.n), .script = (unsigned char)script, .is_weak = is_weak(text, script)};
    struct buf latin;
    buf_init(&latin, 4096);
    if (names_needs_icu(script, text))
        names_icu_romanise(n->icu, script, text, &latin);
    names_sound(script, text, buf_span(&latin), w->sound);
    buf_clear(&latin);
    if (span_is(text, ARTICLE))
        memcpy(w->sound, "@L", 3);      /* its l often becomes the next letter: ad-Din */
    w->n_sound = (unsigned char)strlen(w->sound);
    names_keys(w->sound, w->n_sound, w->keys);
    n->by_text[at] = (uint32_t)n->n_words + 1;
    return (uint32_t)n->n_words++;
}

static void raw_add(struct raw *r, uint32_t word)
{
    if (r->n < GODATA_WORDS_MAX)
        r->words[r->n++] = word;
}

static uint32_t point_at(struct span s, size_t *len)
{
    *len = text_utf8_len(s);
    if (*len == 0) {
        *len = 1;
        return 0xFFFD;
    }
    return text_utf8_get(s, len);
}

/* Arabic letters that people write one for the other, without vowel signs. */
static void arabic_plain(struct span text, struct buf *out)
{
    size_t len;
    for (size_t i = 0; i < text.n; i += len) {
        uint32_t cp = point_at(span_from(text, i), &len);
        char bytes[4];
        if ((cp >= 0x64B && cp <= 0x65F) || cp == 0x640 || cp == 0x670 || cp == 0x621)
            continue;
        switch (cp) {
        case 0x622: case 0x623: case 0x625: case 0x671: cp = 0x627; break;
        case 0x649: case 0x6CC: case 0x626: cp = 0x64A; break;
        case 0x6A9: cp = 0x643; break;
        case 0x629: case 0x6C1: case 0x6BE: cp = 0x647; break;
        case 0x624: cp = 0x648; break;
        default: break;
        }
        buf_add(out, bytes, text_utf8_put(cp, bytes));
    }
}

static void put_arabic(struct godata_names *n, struct span text, struct raw *r)
{
    struct buf plain;
    buf_init(&plain, 4096);
    arabic_plain(text, &plain);
    struct span s = buf_span(&plain);
    if (s.n >= 10 && span_starts(s, ARTICLE)) {
        raw_add(r, word_put(n, span_cut(s, 0, 4), GODATA_ARABIC));
        s = span_from(s, 4);
    }
    if (s.n)
        raw_add(r, word_put(n, s, GODATA_ARABIC));
    buf_clear(&plain);
}

static bool is_mark(uint32_t cp)        /* of any script here: never a separator, never the begin of a run */
{
    return (cp >= 0x300 && cp <= 0x36F) || cp == 0x200C || cp == 0x200D || cp == 0x200B;
}

/* One run of folded text in one script. */
static void put_run(struct godata_names *n, struct span text, enum godata_script script, struct raw *r)
{
    size_t len;
    switch (script) {
    case GODATA_HAN:
        for (size_t i = 0; i < text.n; i += len) {
            (void)point_at(span_from(text, i), &len);
            raw_add(r, word_put(n, span_cut(text, i, len), script));
        }
        return;
    case GODATA_BURMESE:
        for (size_t i = 0; i < text.n; i += len) {
            len = names_burmese_syllable(span_from(text, i));
            raw_add(r, word_put(n, span_cut(text, i, len), script));
        }
        return;
    case GODATA_ARABIC: put_arabic(n, text, r); return;
    case GODATA_LATIN:
    case GODATA_ETHIOPIC:
    case GODATA_CYRILLIC:
    case GODATA_DEVANAGARI:
    case GODATA_OTHER: raw_add(r, word_put(n, text, script)); return;
    }
}

static void put_raw(struct godata_names *n, struct span text, struct raw *r)
{
    struct buf folded, clean;
    size_t len;
    buf_init(&folded, 4096);
    buf_init(&clean, 4096);
    bool is_ascii = true;
    for (size_t i = 0; i < text.n; i++)
        is_ascii &= (unsigned char)text.p[i] < 0x80;
    if (!is_ascii)
        names_icu_fold(n->icu, text, &folded);
    for (size_t i = 0; is_ascii && i < text.n; i++)
        buf_addc(&folded, (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i]));
    struct span s = buf_span(&folded);
    enum godata_script script = GODATA_LATIN;
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = point_at(span_from(s, i), &len);
        if (cp == '\'' || cp == '`' || cp == 0xB4 || cp == 0x2018 || cp == 0x2019 || cp == 0x2BC || cp == 0x2BB || cp == 0x2BF || cp == 0x2BE || (cp >= 0x200B && cp <= 0x200D))
            continue;
        enum godata_script now = is_mark(cp) || (cp < 0x80 && !((cp | 32) >= 'a' && (cp | 32) <= 'z')) ? script : names_script_of(cp);
        if (now != script && clean.n) {
            put_run(n, buf_span(&clean), script, r);
            buf_reset(&clean);
        }
        script = now;
        buf_add_span(&clean, span_cut(s, i, len));
    }
    if (clean.n)
        put_run(n, buf_span(&clean), script, r);
    buf_clear(&folded);
    buf_clear(&clean);
}

static const struct raw *raw_get(struct godata_names *n, struct span text)
{
    uint64_t hash = hash_of(text) | 1;
    if (n->n_raws * 2 >= n->cap_raws) {
        size_t cap = n->cap_raws * 2;
        struct raw *v = xcalloc(cap, sizeof *v);
        for (size_t i = 0; i < n->cap_raws; i++)
            if (n->raws[i].text) {
                size_t at = n->raws[i].hash & (cap - 1);
                while (v[at].text)
                    at = (at + 1) & (cap - 1);
                v[at] = n->raws[i];
            }
        free(n->raws);
        n->raws = v;
        n->cap_raws = cap;
    }
    size_t at = hash & (n->cap_raws - 1);
    for (; n->raws[at].text; at = (at + 1) & (n->cap_raws - 1))
        if (n->raws[at].hash == hash && span_is(text, n->raws[at].text))
            return &n->raws[at];
    struct raw *r = &n->raws[at];
    *r = (struct raw){.hash = hash, .text = xstrndup(text.p, text.n)};
    n->n_raws++;
    put_raw(n, text, r);
    return r;
}

static bool is_separator(uint32_t cp)
{
    return cp <= 0x20 || cp == '-' || cp == ',' || cp == '.' || cp == '/' || cp == '_' || cp == '(' || cp == ')' || cp == ';' || cp == 0xA0 || cp == 0xB7 || cp == 0xAD ||
           (cp >= 0x2000 && cp <= 0x200B) || (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2027 || cp == 0x202F || cp == 0x3000 ||
           cp == 0x3001 || cp == 0x30FB || cp == 0x1361 || cp == 0x60C;
}

static void add_raw(struct godata_names *n, struct span text, unsigned field, struct godata_name_words *out)
{
    const struct raw *r = raw_get(n, text);
    for (size_t i = 0; i < r->n && out->n < GODATA_WORDS_MAX; i++) {
        out->field[out->n] = (unsigned char)field;
        out->v[out->n++] = r->words[i];
    }
}

void godata_names_add(struct godata_names *n, struct span field_text, unsigned field, struct godata_name_words *out)
{
    struct span s = span_cut(field_text, 0, FIELD_MAX);
    size_t begin = 0, len;
    for (size_t i = 0; i < s.n; i += len) {
        if (!is_separator(point_at(span_from(s, i), &len)))
            continue;
        if (i > begin)
            add_raw(n, span_cut(s, begin, i - begin), field, out);
        begin = i + len;
    }
    if (s.n > begin)
        add_raw(n, span_from(s, begin), field, out);
}

uint64_t godata_names_joint_key(const struct godata_names *n, uint32_t a, uint32_t b)
{
    char both[2 * GODATA_SOUND_MAX];
    uint64_t keys[2];
    const struct godata_word *x = &n->words[a], *y = &n->words[b];
    memcpy(both, x->sound, x->n_sound);
    memcpy(both + x->n_sound, y->sound, y->n_sound);
    names_keys(both, (size_t)x->n_sound + y->n_sound, keys);
    return keys[0];
}

/* ---- comparing ---- */

struct tie { unsigned char a, na, b, nb, grade; float sim, value; };     /* words a..a+na-1 stand for b..b+nb-1 */
struct ties { struct tie v[GODATA_WORDS_MAX * GODATA_WORDS_MAX * 3]; size_t n; };
struct duel {
    const struct godata_names *n;
    const struct godata_name_words *w[2];
    float weight[2][GODATA_WORDS_MAX];
    bool is_strong[2][GODATA_WORDS_MAX];
};

static void weigh(struct duel *d, size_t side)
{
    bool has_strong = false;
    for (size_t i = 0; i < d->w[side]->n; i++)
        has_strong |= !d->n->words[d->w[side]->v[i]].is_weak;
    for (size_t i = 0; i < d->w[side]->n; i++) {
        const struct godata_word *w = &d->n->words[d->w[side]->v[i]];
        size_t letters = w->n_sound < 3 ? 3 : w->n_sound > 6 ? 6 : w->n_sound;
        d->is_strong[side][i] = !w->is_weak || !has_strong;
        d->weight[side][i] = d->is_strong[side][i] ? (float)letters / 5.0F : 0.12F;
    }
}

static size_t join(const struct duel *d, size_t side, size_t at, size_t count, char *out, size_t *len)
{
    *len = 0;
    for (size_t i = at; i < at + count; i++) {
        const struct godata_word *w = &d->n->words[d->w[side]->v[i]];
        for (size_t k = 0; k < w->n_sound && *len < 2 * GODATA_SOUND_MAX - 1; k++)
            if (*len == 0 || out[*len - 1] != w->sound[k])
                out[(*len)++] = w->sound[k];
    }
    return *len;
}

static bool is_initial(const struct godata_word *w) { return w->script == GODATA_LATIN && strlen(w->text) == 1; }

/* Letters of the shortest word that is joined to others and says something. */
static size_t shortest(const struct duel *d, size_t a, size_t na, size_t b, size_t nb)
{
    size_t least = 4;
    for (size_t i = a; na > 1 && i < a + na; i++)
        if (d->is_strong[0][i] && d->n->words[d->w[0]->v[i]].n_sound < least)
            least = d->n->words[d->w[0]->v[i]].n_sound;
    for (size_t i = b; nb > 1 && i < b + nb; i++)
        if (d->is_strong[1][i] && d->n->words[d->w[1]->v[i]].n_sound < least)
            least = d->n->words[d->w[1]->v[i]].n_sound;
    return least;
}

/* Joined words are worth comparing only when their lengths could fit: a script without vowels writes at least half the letters. */
static bool may_fit(const struct duel *d, size_t a, size_t na, size_t b, size_t nb)
{
    size_t la = 0, lb = 0;
    for (size_t i = a; i < a + na; i++)
        la += d->n->words[d->w[0]->v[i]].n_sound;
    for (size_t i = b; i < b + nb; i++)
        lb += d->n->words[d->w[1]->v[i]].n_sound;
    if (na > 1 && nb > 1)
        return la <= lb + 3 && lb <= la + 3;
    return la <= 2 * lb + 1 && lb <= 2 * la + 1;
}

/* How alike two runs of words are. */
static bool tie_of(const struct duel *d, size_t a, size_t na, size_t b, size_t nb, struct tie *out)
{
    const struct godata_word *x = &d->n->words[d->w[0]->v[a]], *y = &d->n->words[d->w[1]->v[b]];
    char sa[2 * GODATA_SOUND_MAX], sb[2 * GODATA_SOUND_MAX];
    size_t la, lb;
    double share;
    *out = (struct tie){.a = (unsigned char)a, .na = (unsigned char)na, .b = (unsigned char)b, .nb = (unsigned char)nb};
    if (na == 1 && nb == 1 && d->w[0]->v[a] == d->w[1]->v[b]) {
        share = 0;
    } else if (na == 1 && nb == 1 && is_initial(x) != is_initial(y)) {
        if (x->n_sound == 0 || y->n_sound == 0 || x->sound[0] != y->sound[0])
            return false;
        share = 0.07;
    } else if (na + nb > 2 && !may_fit(d, a, na, b, nb)) {
        return false;
    } else {
        join(d, 0, a, na, sa, &la);
        join(d, 1, b, nb, sb, &lb);
        size_t len = la > lb ? la : lb;
        if (la == 0 || lb == 0 || (na + nb > 2 && (la < 2 || lb < 2)))   /* one letter is left of Ei Ei written together: it says nothing */
            return false;
        double cost = names_cost(sa, la, x->script, sb, lb, y->script);
        share = cost / (double)(len < 2 ? 2 : len);
        if (share <= SAME_SHARE && cost > SAME_COST)                    /* a long word is not allowed a lost consonant */
            share = SAME_SHARE + 0.01;
        if (na + nb > 2 && cost > 0.25 * (double)shortest(d, a, na, b, nb))     /* no word may vanish in a joint */
            return false;
        if (na > 1 && nb > 1 && cost > 0.15)                            /* the same letters cut at another place, nothing looser */
            return false;
        if (x->script == GODATA_HAN && y->script == GODATA_HAN)        /* other characters of one sound are another name */
            share = share < 0.01 ? 0.15 : 0.5;
    }
    if (share > 0.34)
        return false;
    out->grade = share <= SAME_SHARE ? GODATA_WORD_SAME : share <= NEAR_SHARE ? GODATA_WORD_NEAR : GODATA_WORD_FAINT;
    out->sim = (float)(1 - share * 2.2);
    for (size_t i = a; i < a + na; i++)
        out->value += d->weight[0][i];
    for (size_t i = b; i < b + nb; i++)
        out->value += d->weight[1][i];
    out->value = out->value * out->sim - 0.02F * (float)(na + nb);
    return true;
}

static void collect_ties(const struct duel *d, struct ties *out)
{
    size_t na = d->w[0]->n, nb = d->w[1]->n;
    struct tie t;
    out->n = 0;
    for (size_t a = 0; a < na; a++)
        for (size_t b = 0; b < nb; b++)
            if (tie_of(d, a, 1, b, 1, &t))
                out->v[out->n++] = t;
}

/* Words written together: only where single words have left something over. */
static void collect_joints(const struct duel *d, struct ties *out)
{
    size_t na = d->w[0]->n, nb = d->w[1]->n, room = sizeof out->v / sizeof out->v[0];
    struct tie t;
    for (size_t more = 2; more <= 4; more++) {
        for (size_t a = 0; a + more <= na; a++)
            for (size_t b = 0; b < nb && out->n < room; b++)
                if (tie_of(d, a, more, b, 1, &t) && t.grade >= GODATA_WORD_NEAR)
                    out->v[out->n++] = t;
        for (size_t b = 0; b + more <= nb; b++)
            for (size_t a = 0; a < na && out->n < room; a++)
                if (tie_of(d, a, 1, b, more, &t) && t.grade >= GODATA_WORD_NEAR)
                    out->v[out->n++] = t;
    }
    for (size_t a = 0; a + 2 <= na; a++)            /* cut at other places: Si Thu, Sith U */
        for (size_t b = 0; b + 2 <= nb && out->n < room; b++)
            if (tie_of(d, a, 2, b, 2, &t) && t.grade == GODATA_WORD_SAME)
                out->v[out->n++] = t;
}

static int by_value(const void *x, const void *y)
{
    const struct tie *a = x, *b = y;
    if (a->value < b->value || a->value > b->value)
        return a->value < b->value ? 1 : -1;
    return a->a != b->a ? (int)a->a - b->a : (int)a->b - b->b;
}

static bool is_free(const unsigned char *used, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        if (used[i])
            return false;
    return true;
}

/* The best ties first, no word twice. Returns what agrees. */
static float choose(const struct duel *d, struct ties *t, struct godata_likeness *out)
{
    unsigned char used[2][GODATA_WORDS_MAX] = {{0}};
    float sum = 0;
    memset(out->grade, 0, sizeof out->grade);
    out->near_family = out->near_other = 0;
    out->across = false;
    qsort(t->v, t->n, sizeof t->v[0], by_value);
    for (size_t i = 0; i < t->n; i++) {
        const struct tie *x = &t->v[i];
        if (x->value <= 0 || !is_free(used[0], x->a, x->na) || !is_free(used[1], x->b, x->nb))
            continue;
        memset(&used[0][x->a], 1, x->na);
        memset(&used[1][x->b], 1, x->nb);
        memset(&out->grade[0][x->a], x->grade, x->na);
        memset(&out->grade[1][x->b], x->grade, x->nb);
        float both = 0;
        for (size_t k = x->a; k < (size_t)x->a + x->na; k++)
            both += d->weight[0][k];
        for (size_t k = x->b; k < (size_t)x->b + x->nb; k++)
            both += d->weight[1][k];
        sum += both * x->sim / 2;
        if (x->grade == GODATA_WORD_NEAR && d->is_strong[0][x->a] && d->is_strong[1][x->b]) {
            bool is_family = d->w[0]->field[x->a] == 0 && d->w[1]->field[x->b] == 0;
            out->near_family += is_family;
            out->near_other += !is_family;
        }
        out->across |= d->n->words[d->w[0]->v[x->a]].script != d->n->words[d->w[1]->v[x->b]].script;
    }
    return sum;
}

static unsigned spare(const struct duel *d, size_t side, const struct godata_likeness *l)
{
    unsigned k = 0;
    for (size_t i = 0; i < d->w[side]->n; i++)
        k += d->is_strong[side][i] && l->grade[side][i] < GODATA_WORD_NEAR;
    return k;
}

void godata_names_compare(const struct godata_names *n, const struct godata_name_words *a, const struct godata_name_words *b, struct godata_likeness *out)
{
    struct duel d = {.n = n, .w = {a, b}};
    struct ties t;
    float total[2] = {0, 0};
    *out = (struct godata_likeness){0};
    if (a->n == 0 || b->n == 0)
        return;
    weigh(&d, 0);
    weigh(&d, 1);
    for (size_t i = 0; i < a->n; i++)
        total[0] += d.weight[0][i];
    for (size_t i = 0; i < b->n; i++)
        total[1] += d.weight[1][i];
    collect_ties(&d, &t);
    float agreed = choose(&d, &t, out);
    if (spare(&d, 0, out) + spare(&d, 1, out) + out->near_family + out->near_other > 0) {
        collect_joints(&d, &t);
        agreed = choose(&d, &t, out);
    }
    float least = total[0] < total[1] ? total[0] : total[1], most = total[0] < total[1] ? total[1] : total[0];
    out->score = (double)(agreed / (least + 0.25F * (most - least)));
    if (out->score > 1)
        out->score = 1;
    out->has_both = true;
    out->spare_a = spare(&d, 0, out);
    out->spare_b = spare(&d, 1, out);
    out->differs = out->spare_a > 0 && out->spare_b > 0;
}
