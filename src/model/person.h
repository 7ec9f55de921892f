/*
 * person - a Go.Data case or contact as data, before it is a body: what `send case` fills and `set case.x = …` overrides.
 *
 * Field names follow Go.Data's models (common/models/case.json, contact.json, person.json, address.json) in snake case; the writer spells
 * them in camel case. Codes are short ("SUSPECT") or whole reference ids: the writer adds the prefix. The fields of the place "address"
 * are those of the usual place of residence. Documents are not among them: the writer makes them of the identifiers it knows.
 * Spans live in the message's arena. Thread: engine.
 */
#ifndef LABRELAY_PERSON_H
#define LABRELAY_PERSON_H
#include "record.h"

enum person_kind { PERSON_CASE, PERSON_CONTACT };
const char *person_kind_name(enum person_kind k);           /* "case", "contact": also Go.Data's word in a delivery's person_type */

/* What happens when nobody in Go.Data matches. DEFAULT: what the writer's own statement says. */
enum no_match { NO_MATCH_DEFAULT, NO_MATCH_PARK, NO_MATCH_CREATE_CASE, NO_MATCH_CREATE_CONTACT, NO_MATCH_DROP };
const char *no_match_name(enum no_match n);                 /* "park", "create case" … */

struct person_data {
    struct span first_name, middle_name, last_name, gender, dob, age, occupation, pregnancy_status;
    struct span date_of_reporting, date_of_onset, classification, outcome_id, date_of_outcome, risk_level, risk_reason;
    struct span address_line_1, city, postal_code, country, location_id, phone_number, email_address;
    enum person_kind kind;
    enum no_match no_match;
    bool is_ordered;            /* somebody at the terminal wants this very person created, whatever the configuration does by itself */
    uint64_t may_change;        /* bit i: `update` names person_fields[i]: a value that stands in Go.Data may be replaced */
    uint64_t is_set;            /* bit i: a rule gave person_fields[i] its value */
};

enum person_place { PERSON_PLAIN, PERSON_AGE, PERSON_ADDRESS };  /* where Go.Data keeps it: top level, age.years, the usual address */
struct person_field {
    const char *name;           /* "first_name": used as case.first_name in rules */
    const char *godata;         /* "firstName" */
    const char *prefix;         /* reference data category prefix for short codes, or NULL */
    enum person_place place;
    bool is_date;
    bool is_identity;           /* who it is: never replaced by itself, a change is for a person to decide */
    bool is_case_only;          /* contacts have no such field */
    size_t offset;
    const char *doc;
};
extern const struct person_field person_fields[];
extern const size_t person_fields_n;                        /* at most 64 */
const struct person_field *person_field_find(struct span name);     /* without "case." */
struct span *person_field_at(struct person_data *p, const struct person_field *f);
struct span person_field_get(const struct person_data *p, const struct person_field *f);
uint64_t person_field_bit(const struct person_field *f);
#endif
