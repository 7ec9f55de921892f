/*
 * names_crowd - for tests and benches: the invented people of tests/names, and as many more as wanted from the same lists.
 */
#ifndef LABRELAY_NAMES_CROWD_H
#define LABRELAY_NAMES_CROWD_H
#include "godata_person.h"

#define CROWD_COLUMNS 21
enum { PAIR_ID, PAIR_HALF, PAIR_SCRIPT, PAIR_SAME, PAIR_SHARES, A_FAMILY, A_GIVEN, A_MIDDLE, A_BIRTH, A_AGE, A_SEX, A_IDS, B_LAST, B_FIRST, B_MIDDLE, B_DOB, B_AGE, B_SEX,
       B_VISUAL_ID, B_DOCUMENTS, PAIR_WHY };
struct crowd_pair { char *line; struct span f[CROWD_COLUMNS]; };
struct crowd_pairs { struct crowd_pair *v; size_t n; };

/* A file of tests/names, pairs.tsv or judge.tsv; exits with a message when it is not there. */
void crowd_pairs_load(struct crowd_pairs *out, const char *file);
void crowd_pairs_clear(struct crowd_pairs *p);
/* Fills with spans into the pair; keys has room for 4, documents for 4. */
void crowd_subject(const struct crowd_pair *p, struct godata_subject *out, struct godata_person_key *keys);
void crowd_person(const struct crowd_pair *p, struct godata_person *out, struct godata_document *documents);
/* "34y" or "7m" at 2026-05-04, or a date; false when both are empty. */
bool crowd_born(struct span birth, struct span age, struct godata_born *out);
/* n invented persons with the names of lists.tsv or judge_lists.tsv, the same every time, in the order of their ids; spans live for the call. */
void crowd_each(const char *lists, size_t n, void (*fn)(void *ctx, const struct godata_person *p), void *ctx);
/* Puts them. */
void crowd_fill(struct godata_people *people, const char *lists, size_t n);
#endif
