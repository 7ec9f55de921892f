/* NAME person - the field table of a Go.Data case or contact. Pure. Source: Go.Data common/models/case.json, contact.json, person.json,
 * address.json; prefixes: reference data. */
#include "person.h"

#include <string.h>

#define PREFIX "LNG_REFERENCE_DATA_CATEGORY_"
#define AT(m) offsetof(struct person_data, m)

const struct person_field person_fields[] = {
    {"first_name", "firstName", NULL, PERSON_PLAIN, false, true, false, AT(first_name), "given name; from patient.given_name"},
    {"middle_name", "middleName", NULL, PERSON_PLAIN, false, true, false, AT(middle_name), "further names; from patient.middle_name"},
    {"last_name", "lastName", NULL, PERSON_PLAIN, false, true, false, AT(last_name), "family name; from patient.family_name"},
    {"gender", "gender", PREFIX "GENDER_", PERSON_PLAIN, false, true, false, AT(gender), "MALE or FEMALE; from patient.sex M and F"},
    {"dob", "dob", NULL, PERSON_PLAIN, true, true, false, AT(dob), "birth date; from patient.birth_date when it names a day"},
    {"age", "age", NULL, PERSON_AGE, false, false, false, AT(age), "age in whole years; only by rule"},
    {"occupation", "occupation", PREFIX "OCCUPATION_", PERSON_PLAIN, false, false, false, AT(occupation), "only by rule"},
    {"pregnancy_status", "pregnancyStatus", PREFIX "PREGNANCY_STATUS_", PERSON_PLAIN, false, false, false, AT(pregnancy_status), "only by rule"},
    {"date_of_reporting", "dateOfReporting", NULL, PERSON_PLAIN, true, false, false, AT(date_of_reporting), "a new person: the day of the message"},
    {"date_of_onset", "dateOfOnset", NULL, PERSON_PLAIN, true, false, true, AT(date_of_onset), "only by rule"},
    {"classification", "classification", PREFIX "CASE_CLASSIFICATION_", PERSON_PLAIN, false, false, true, AT(classification),
     "a new case: SUSPECT; of one that stands only by rule and `update`"},
    {"outcome_id", "outcomeId", PREFIX "OUTCOME_", PERSON_PLAIN, false, false, true, AT(outcome_id), "ALIVE, DECEASED, RECOVERED; only by rule"},
    {"date_of_outcome", "dateOfOutcome", NULL, PERSON_PLAIN, true, false, true, AT(date_of_outcome), "only by rule"},
    {"risk_level", "riskLevel", PREFIX "RISK_LEVEL_", PERSON_PLAIN, false, false, false, AT(risk_level), "1_LOW, 2_MEDIUM, 3_HIGH; only by rule"},
    {"risk_reason", "riskReason", NULL, PERSON_PLAIN, false, false, false, AT(risk_reason), "only by rule"},
    {"address_line_1", "addressLine1", NULL, PERSON_ADDRESS, false, false, false, AT(address_line_1), "of the usual place of residence"},
    {"city", "city", NULL, PERSON_ADDRESS, false, false, false, AT(city), "of the usual place of residence"},
    {"postal_code", "postalCode", NULL, PERSON_ADDRESS, false, false, false, AT(postal_code), "of the usual place of residence"},
    {"country", "country", NULL, PERSON_ADDRESS, false, false, false, AT(country), "of the usual place of residence"},
    {"location_id", "locationId", NULL, PERSON_ADDRESS, false, false, false, AT(location_id), "Go.Data location id; only by rule, from a table"},
    {"phone_number", "phoneNumber", NULL, PERSON_ADDRESS, false, false, false, AT(phone_number), "first of patient.phone"},
    {"email_address", "emailAddress", NULL, PERSON_ADDRESS, false, false, false, AT(email_address), "first of patient.email"},
};
const size_t person_fields_n = sizeof person_fields / sizeof person_fields[0];
_Static_assert(sizeof person_fields / sizeof person_fields[0] <= 64, "one bit each");

const char *person_kind_name(enum person_kind k)
{
    switch (k) {
    case PERSON_CASE: return "case";
    case PERSON_CONTACT: return "contact";
    }
    return "?";
}

const char *no_match_name(enum no_match n)
{
    switch (n) {
    case NO_MATCH_DEFAULT: return "";
    case NO_MATCH_PARK: return "park";
    case NO_MATCH_CREATE_CASE: return "create case";
    case NO_MATCH_CREATE_CONTACT: return "create contact";
    case NO_MATCH_DROP: return "drop";
    }
    return "?";
}

const struct person_field *person_field_find(struct span name)
{
    for (size_t i = 0; i < person_fields_n; i++)
        if (span_is(name, person_fields[i].name))
            return &person_fields[i];
    return NULL;
}

struct span *person_field_at(struct person_data *p, const struct person_field *f)
{
    return (struct span *)(void *)((char *)p + f->offset);
}

struct span person_field_get(const struct person_data *p, const struct person_field *f)
{
    return *(const struct span *)(const void *)((const char *)p + f->offset);
}

uint64_t person_field_bit(const struct person_field *f)
{
    return UINT64_C(1) << (size_t)(f - person_fields);
}
