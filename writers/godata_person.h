/*
 * godata_person - who is it: the people of one outbreak in memory, and the decision which of them a message speaks of.
 *
 * Pure: no I/O, no clock. The mirror feeds it (godata_people_put, _drop) and asks (godata_people_match). Everything put in is copied.
 * Thread: one at a time for each struct godata_people. Persons in a result are views: valid until the next put, drop or free.
 * Rules (issue 4 item 2, DESIGN rule 3, STANDARDS 8.7):
 * - An identifier counts when it is equal byte for byte after trimming; a visualId also when the outbreak's mask completes it to exactly one person.
 * - All identifiers must lead to one person, and nothing the message says about that person may contradict: then the match is SURE.
 * - Names, birth date and sex alone never make a match SURE: they make candidates for a person to confirm.
 * - What one side does not say cannot contradict. Two full birth dates that differ do, however they differ; but 1 January is what people enter who know
 *   only the year, and beside the same year and the same names it counts as that.
 */
#ifndef LABRELAY_GODATA_PERSON_H
#define LABRELAY_GODATA_PERSON_H
#include "godata_names.h"
#include "godata_options.h"

enum godata_person_type { GODATA_CASE, GODATA_CONTACT, GODATA_CONTACT_OF_CONTACT };
#define GODATA_PERSON_TYPES 3

struct godata_born {            /* born between two days, both included; days since 1970-01-01 */
    int32_t from, to;
    char prec;                  /* D M Y as sent, A from an age; 0: not said */
};
/* "1990", "1990-05", "1990-05-04", with anything behind it. false (and not said) when it is no date. */
bool godata_born_date(struct span text, struct godata_born *out);
/* From an age at a day ("2026-05-04…"); months only when years is 0. */
bool godata_born_age(int years, int months, struct span as_of, struct godata_born *out);
/* "1990-05-04", "1990-05", "1990", "about 1990 (age)". */
void godata_born_format(const struct godata_born *b, struct buf *out);

struct godata_document { struct span type, number; };   /* short type: NATIONAL_ID_CARD */

#define GODATA_DOCUMENTS_MAX 16
struct godata_person {          /* what Go.Data knows of a person */
    struct span id, visual_id, last, first, middle;
    const struct godata_document *documents;
    size_t n_documents;
    struct godata_born born;
    enum godata_person_type type;
    char sex;                   /* F, M or 0 */
};

struct godata_person_key { enum godata_role role; struct span document, value; };   /* document empty: of any type */
#define GODATA_KEYS_MAX 31

struct godata_subject {         /* what the message says; spans are the caller's */
    const struct godata_person_key *keys;       /* already mapped by authority and type; GODATA_IGNORE is left out */
    size_t n_keys;
    const struct span *sample_persons;          /* ids of the persons whose known results carry our sample id, near enough in time */
    size_t n_sample_persons;
    struct span sample;                         /* the sample id itself, for the words */
    struct span family, given, middle;
    struct godata_born born;
    char sex;                                   /* F, M; anything else is not known */
    bool is_masked;                             /* anonymous, unknown or unreliable: names and birth date are not to be used to find anybody */
};

enum godata_birth { GODATA_BIRTH_UNKNOWN, GODATA_BIRTH_SAME, GODATA_BIRTH_WITHIN, GODATA_BIRTH_SWAPPED, GODATA_BIRTH_ESTIMATED, GODATA_BIRTH_NEAR, GODATA_BIRTH_ROUGH,
                    GODATA_BIRTH_DIFFERS };
enum godata_field { GODATA_FIELD_UNKNOWN, GODATA_FIELD_SAME, GODATA_FIELD_CLOSE, GODATA_FIELD_DIFFERS };
enum godata_strength { GODATA_WEAK, GODATA_FAIR, GODATA_STRONG };   /* STRONG: every name, the full birth date, and not the other sex */

struct godata_candidate {
    const struct godata_person *person;
    uint32_t keys, by_mask;             /* bit i: keys[i] leads here (exactly; completed by the mask); bit n_keys: the sample does */
    struct godata_likeness names;
    enum godata_field name, sex;
    enum godata_birth birth;
    enum godata_strength strength;
    bool contradicts;
    double score;
};

enum godata_match_state {
    GODATA_MATCH_SURE,                  /* one person, nothing contradicts: candidates[0] */
    GODATA_MATCH_CONFLICT,              /* one person by identifier, but what is said about the person differs: candidates[0] */
    GODATA_MATCH_SPLIT,                 /* the identifiers lead to different persons */
    GODATA_MATCH_AMBIGUOUS,             /* one identifier stands with several persons */
    GODATA_MATCH_UNPROVED,              /* only the mask completes the identifier, and neither name nor birth date speaks for the person */
    GODATA_MATCH_CANDIDATES,            /* nobody by identifier; people who may be meant */
    GODATA_MATCH_NOBODY,
    GODATA_MATCH_NO_IDENTITY            /* the message says nothing to look for */
};
#define GODATA_CANDIDATES_MAX 5
struct godata_people_match {
    enum godata_match_state state;
    struct godata_candidate candidates[GODATA_CANDIDATES_MAX];
    size_t n, n_by_key;                 /* n_by_key: persons an identifier leads to, more than n when they are many */
};
/* AMBIGUOUS_PERSON, IDENTITY_CONFLICT, NO_MATCH, NO_IDENTITY; NULL for SURE. */
const char *godata_match_reason(enum godata_match_state s);

struct godata_people;
struct godata_people *godata_people_new(void);
void godata_people_free(struct godata_people *p);       /* NULL is fine */
/* The outbreak's mask for visualIds of a type. Before the first put; an empty mask completes nothing. */
void godata_people_set_mask(struct godata_people *p, enum godata_person_type type, struct span mask);
/* Adds a person or replaces the one with this id. An empty id is left out. */
void godata_people_put(struct godata_people *p, const struct godata_person *person);
bool godata_people_drop(struct godata_people *p, struct span id);
const struct godata_person *godata_people_find(const struct godata_people *p, struct span id);  /* NULL: nobody */
size_t godata_people_count(const struct godata_people *p);
void godata_people_match(struct godata_people *p, const struct godata_subject *s, struct godata_people_match *out);
/* As godata_people_match, without looking at identifiers. */
void godata_people_candidates(struct godata_people *p, const struct godata_subject *s, struct godata_people_match *out);
/* The same comparison for one pair: is what the message says compatible with this person? Fills everything but keys. */
void godata_people_compare(struct godata_people *p, const struct godata_subject *s, const struct godata_person *person, struct godata_candidate *out);

/* ---- words (godata_person_why.c): for epidemiologists, with the values; never for logs ---- */
/* One line a candidate: who, and which field agreed, differs or is missing. */
void godata_person_evidence(const struct godata_subject *s, const struct godata_candidate *c, struct buf *out);
/* Why the result was not written to anybody, and the one change that would have made it match. Nothing for SURE. */
void godata_person_why(struct godata_people *p, const struct godata_subject *s, const struct godata_people_match *m, struct buf *out);

/* ---- masks (godata_person_mask.c), GODATA-API 3.3 ---- */
/* Is `said` short for the visualId `whole` under the mask: its sequence number, with or without leading zeros, year and fixed letters? */
bool godata_mask_completes(struct span mask, struct span whole, struct span said);
/* The number in the sequence (9s) of a visualId; -1 when it does not fit the mask or the mask has none. */
int64_t godata_mask_number(struct span mask, struct span whole);
/* The number that somebody may have meant as a sequence number: the last run of digits; -1: none. */
int64_t godata_mask_said(struct span said);
#endif
