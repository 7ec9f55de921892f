/*
 * godata_mirror_row - what the mirror keeps of a person or a lab result: from Go.Data's JSON, to and from the text in the store. Pure.
 * Only what matching needs is kept. Values are cut at GODATA_ROW_VALUE_MAX bytes; ids longer than GODATA_ROW_ID_MAX are not taken at all.
 */
#ifndef LABRELAY_GODATA_MIRROR_ROW_H
#define LABRELAY_GODATA_MIRROR_ROW_H
#include "godata_mirror.h"

#define GODATA_ROW_ID_MAX 256
#define GODATA_ROW_VALUE_MAX 512
#define GODATA_ANSWERS_MAX 8

/* The names that a list has to give, as the inside of a JSON array. */
extern const char godata_row_person_fields[], godata_row_lab_fields[];

struct godata_row_person {
    struct godata_person person;                            /* spans into the JSON or into the text */
    struct godata_document documents[GODATA_DOCUMENTS_MAX];
    char answers[GODATA_ANSWERS_MAX][GODATA_VARIABLE_MAX + 24];     /* "?variable" and the digits of a number, where they are made */
};
#define GODATA_ROW_ANSWERS ",\"questionnaireAnswers\""              /* beside the fields, when variables are asked for */
/* A person as Go.Data shows it. type "": as its `type` says. false: no person that results can be written to (an event, no id). */
bool godata_row_person_read(const json_t *o, const char *type, struct godata_row_person *out);
/* Adds what the person answered to this question (a variable of the investigation form) as a document of the type "?variable". */
void godata_row_person_answer(const json_t *o, const char *variable, struct godata_row_person *out);
void godata_row_person_encode(const struct godata_person *p, struct buf *out);
/* id and text outlive the use of out. false: not written by godata_row_person_encode(). */
bool godata_row_person_decode(struct span id, struct span text, struct godata_row_person *out);

struct godata_row_lab {
    struct span id, person, type, sample, tested_for, test_type, result, k, day, created;
    bool is_ours;                                           /* written last by our own account */
};
bool godata_row_lab_read(const json_t *o, struct span our_user, struct godata_row_lab *out);
void godata_row_lab_encode(const struct godata_row_lab *r, struct buf *out);
/* id, person, sample and k stand beside the text. */
bool godata_row_lab_decode(struct span text, struct godata_row_lab *out);

/* "case" of LNG_REFERENCE_DATA_CATEGORY_PERSON_TYPE_CASE and the like; "" for anything else. Static. */
const char *godata_row_type(struct span code);
int64_t godata_row_hash(struct span text, struct span a, struct span b, struct span c);
/* "2026-05-04T10:00:00.123Z" to milliseconds; 0 when it is none. */
int64_t godata_row_stamp(const json_t *o, const char *key);
bool godata_row_is_deleted(const json_t *o);
#endif
