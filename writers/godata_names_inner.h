/*
 * godata_names_inner - what the files of godata_names share. Nobody else includes it.
 */
#ifndef LABRELAY_GODATA_NAMES_INNER_H
#define LABRELAY_GODATA_NAMES_INNER_H
#include "godata_names.h"

/* ---- godata_names_icu.c: the only file that knows ICU ---- */
struct names_icu;
struct names_icu *names_icu_new(void);
void names_icu_free(struct names_icu *u);
/* Appends the text in NFKC, case-folded; traditional Han characters become simplified ones. Invalid UTF-8 becomes U+FFFD. */
void names_icu_fold(struct names_icu *u, struct span text, struct buf *out);
/* Appends Latin letters, with their marks, of a folded text in any script. */
void names_icu_romanise(struct names_icu *u, enum godata_script script, struct span folded, struct buf *out);

/* ---- godata_names_sound.c ---- */
enum godata_script names_script_of(uint32_t cp);
/* The sound of a folded word; `latin` is its romanisation by ICU for the scripts that need one, else unused. */
void names_sound(enum godata_script script, struct span folded, struct span latin, char out[GODATA_SOUND_MAX]);
bool names_needs_icu(enum godata_script script, struct span folded);
/* What it costs to turn one sound into the other: 0 the same, 1 a consonant lost. The scripts decide what is cheap. */
double names_cost(const char *a, size_t na, enum godata_script sa, const char *b, size_t nb, enum godata_script sb);
/* Keys of the consonants' classes; 0 where there is none. */
void names_keys(const char *sound, size_t n, uint64_t out[2]);

/* ---- godata_names_burmese.c ---- */
/* Length in bytes of the syllable at the start of the text. */
size_t names_burmese_syllable(struct span text);
/* As people write it with Latin letters. */
void names_burmese_latin(struct span syllable, struct buf *out);
#endif
