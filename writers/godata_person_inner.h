/*
 * godata_person_inner - what the files of godata_person share. Nobody else includes it.
 */
#ifndef LABRELAY_GODATA_PERSON_INNER_H
#define LABRELAY_GODATA_PERSON_INNER_H
#include "godata_person.h"

/* Compares; the words of both names are ready. Fills names, name, birth, sex, strength, contradicts, score. */
void person_compare(const struct godata_names *names, const struct godata_subject *s, const struct godata_name_words *ours, const struct godata_person *p,
                    const struct godata_name_words *theirs, struct godata_candidate *out);
enum godata_birth person_birth(const struct godata_born *ours, const struct godata_born *theirs);
void person_day_parts(int32_t day, int *y, int *m, int *d);
bool person_day(int y, int m, int d, int32_t *out);
/* Is the candidate worth showing, when no identifier leads there? */
bool person_is_likely(const struct godata_candidate *c);
/* For explanations, slow: somebody who has nearly this identifier. */
/* Everybody in turn: NULL where nobody stands. */
size_t person_slots(const struct godata_people *p);
const struct godata_person *person_at(const struct godata_people *p, size_t slot);
/* Other punctuation, case or zeros; other document type; one slip of the pen, of a candidate only: numbers in a row are always one slip apart. */
enum person_likeness { PERSON_UNLIKE, PERSON_SPELT, PERSON_OTHER_TYPE, PERSON_SLIP };
const struct godata_person *person_with_like_key(const struct godata_people *p, const struct godata_person_key *k, const struct godata_people_match *m,
                                                 enum person_likeness *how, struct span *value);
#endif
