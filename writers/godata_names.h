/*
 * godata_names - names as people there write them: folded, cut into words, and compared by letters or, across scripts, by sound.
 *
 * A `struct godata_names` remembers every word it has met, with its sound, so that the costly part (Unicode normalisation, romanisation)
 * is done once a word. Words are never forgotten: they are bounded by the names of an outbreak. Pure: no I/O, no clock.
 * Thread: one at a time for each struct (the engine's); numbers of words are valid as long as the struct.
 * Source of the rules: issue 4 item 2, STANDARDS 8.7 step e.
 */
#ifndef LABRELAY_GODATA_NAMES_H
#define LABRELAY_GODATA_NAMES_H
#include "buf.h"

enum godata_script { GODATA_LATIN, GODATA_ARABIC, GODATA_ETHIOPIC, GODATA_CYRILLIC, GODATA_BURMESE, GODATA_DEVANAGARI, GODATA_HAN, GODATA_OTHER };

#define GODATA_SOUND_MAX 32
#define GODATA_WORDS_MAX 12

struct godata_word {
    char *text;                         /* folded, in its own script */
    char sound[GODATA_SOUND_MAX];       /* NUL-terminated; the letters of godata_names_sound.c */
    unsigned char n_sound, script;
    bool is_weak;                       /* a particle, an article, a title, an initial: says little */
    uint64_t keys[2];                   /* of the consonants; 0: none */
};
/* One whole name, its words in the order written. */
struct godata_name_words {
    uint32_t v[GODATA_WORDS_MAX];
    unsigned char field[GODATA_WORDS_MAX];  /* 0 family, 1 given, 2 middle: as the caller added them */
    size_t n;
};

struct godata_names;
struct godata_names *godata_names_new(void);            /* aborts without ICU's data, which stands in the library itself */
void godata_names_free(struct godata_names *n);         /* NULL is fine */
/* Appends the words of a field; more than GODATA_WORDS_MAX are left out. */
void godata_names_add(struct godata_names *n, struct span field_text, unsigned field, struct godata_name_words *out);
const struct godata_word *godata_names_word(const struct godata_names *n, uint32_t word);
size_t godata_names_count(const struct godata_names *n);
/* Key of two neighbouring words written together. */
uint64_t godata_names_joint_key(const struct godata_names *n, uint32_t a, uint32_t b);

enum godata_word_grade { GODATA_WORD_ALONE, GODATA_WORD_FAINT, GODATA_WORD_NEAR, GODATA_WORD_SAME };

/* How much of two names agrees. */
struct godata_likeness {
    double score;                       /* 0 nothing .. 1 all; the longer name's spare words cost a little */
    bool has_both;                      /* both sides have a word */
    bool differs;                       /* words that say something stand without counterpart on both sides */
    bool across;                        /* compared by sound across scripts */
    unsigned spare_a, spare_b;          /* words that say something without counterpart */
    unsigned near_family, near_other;   /* words that agree only roughly: family name beside family name, any other */
    unsigned char grade[2][GODATA_WORDS_MAX];   /* of each word of both sides */
};
void godata_names_compare(const struct godata_names *n, const struct godata_name_words *a, const struct godata_name_words *b, struct godata_likeness *out);
#endif
