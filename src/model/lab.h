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

struct lab_result {
    struct span sample_identifier;
    struct span date_sample_taken, date_sample_delivered, date_testing, date_of_result;   /* "2026-05-04T00:00:00.000Z" */
    struct span lab_name, sample_type, test_type, tested_for, result, quantitative_result, status;
    struct span notes;              /* the block between our markers, without the markers */
    const struct person_data *person;    /* who it is about, for a person who has to be created; NULL: not known */
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
const struct lab_field *lab_field_find(struct span name);   /* without "lab." */
struct span *lab_field_at(struct lab_result *l, const struct lab_field *f);
#endif
