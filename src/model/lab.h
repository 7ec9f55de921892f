/*
 * lab - a Go.Data lab result as data, before it is a body: what `send lab` fills and `set lab.x = …` overrides.
 *
 * Field names follow Go.Data's model (common/models/lab-result.json) in snake case; the writer spells them in camel case.
 * Codes are short ("RT_PCR", "BLOOD") or whole reference ids ("LNG_REFERENCE_DATA_…"): the writer adds the prefix.
 * Spans live in the message's arena. Thread: engine.
 */
#ifndef LABRELAY_LAB_H
#define LABRELAY_LAB_H
#include "person.h"

struct lab_sequence {               /* Go.Data's `sequence`; has_sequence: "yes", "no" or absent */
    struct span has_sequence, no_sequence_reason, date_sample_sent, lab_id, date_result, result_id;
};
struct lab_answer {                 /* questionnaireAnswers.VARIABLE = [{"value": …}] */
    struct span variable, value;
    struct rec_list values;         /* several (n > 0): a list instead of value */
    bool is_each;                   /* … or, so asked, an answer of its own for each */
};
struct lab_answers { const struct lab_answer *v; size_t n; };

struct lab_result {
    struct span sample_identifier;
    struct span date_sample_taken, date_sample_delivered, date_testing, date_of_result;   /* "2026-05-04T00:00:00.000Z" */
    struct span lab_name, sample_type, test_type, tested_for, result, quantitative_result, status;
    struct span notes;              /* the block between our markers, without the markers */
    const struct person_data *person;    /* who it is about, for a person who has to be created; NULL: not known */
    struct lab_sequence sequence;
    struct lab_answers answers;
};

struct lab_field {
    const char *name;               /* "sample_identifier": used as lab.sample_identifier in rules */
    const char *godata;             /* "sampleIdentifier" */
    const char *prefix;             /* reference data category prefix for short codes, or NULL */
    bool is_date;
    size_t offset;
    const char *doc;
};
extern const struct lab_field lab_fields[];
extern const size_t lab_fields_n;
/* The fields of `sequence`, offsets in struct lab_result too: lab.sequence.lab_id is "sequence.lab_id" here, "labId" in Go.Data. */
extern const struct lab_field lab_sequence_fields[];
extern const size_t lab_sequence_fields_n;
const struct lab_field *lab_field_find(struct span name);   /* without "lab."; of both tables */
bool lab_field_is_yesno(const struct lab_field *f);
bool lab_field_is_sequence(const struct lab_field *f);
struct span *lab_field_at(struct lab_result *l, const struct lab_field *f);
#endif
