/* NAME lab - the field table of a Go.Data lab result. Pure. Source: Go.Data common/models/lab-result.json; prefixes: reference data. */
#include "lab.h"

#include <string.h>

#define PREFIX "LNG_REFERENCE_DATA_CATEGORY_"
#define AT(m) offsetof(struct lab_result, m)

const struct lab_field lab_fields[] = {
    {"sample_identifier", "sampleIdentifier", NULL, false, AT(sample_identifier), "sample id, exact text"},
    {"date_sample_taken", "dateSampleTaken", NULL, true, AT(date_sample_taken), "day the sample was taken"},
    {"date_sample_delivered", "dateSampleDelivered", NULL, true, AT(date_sample_delivered), "day it reached the laboratory"},
    {"date_testing", "dateTesting", NULL, true, AT(date_testing), "day it was tested"},
    {"date_of_result", "dateOfResult", NULL, true, AT(date_of_result), "day the result was issued"},
    {"lab_name", "labName", PREFIX "LAB_NAME_", false, AT(lab_name), "laboratory, a code of Go.Data's LAB_NAME category"},
    {"sample_type", "sampleType", PREFIX "TYPE_OF_SAMPLE_", false, AT(sample_type), "kind of sample"},
    {"test_type", "testType", PREFIX "TYPE_OF_LAB_TEST_", false, AT(test_type), "kind of test"},
    {"tested_for", "testedFor", NULL, false, AT(tested_for), "pathogen, free text"},
    {"result", "result", PREFIX "LAB_TEST_RESULT_", false, AT(result), "qualitative result"},
    {"quantitative_result", "quantitativeResult", NULL, false, AT(quantitative_result), "number and unit as sent"},
    {"status", "status", PREFIX "LAB_TEST_RESULT_STATUS_", false, AT(status), "IN_PROGRESS or COMPLETED"},
    {"notes", "notes", NULL, false, AT(notes), "our block of the notes"},
};
const size_t lab_fields_n = sizeof lab_fields / sizeof lab_fields[0];

const struct lab_field lab_sequence_fields[] = {
    {"sequence.has_sequence", "hasSequence", NULL, false, AT(sequence.has_sequence), "yes or no; yes by itself when the sample was sent or a result is there"},
    {"sequence.no_sequence_reason", "noSequenceReason", NULL, false, AT(sequence.no_sequence_reason), "why it was not sequenced"},
    {"sequence.date_sample_sent", "dateSampleSent", NULL, true, AT(sequence.date_sample_sent), "day the sample was sent for sequencing"},
    {"sequence.lab_id", "labId", PREFIX "LAB_SEQUENCE_LABORATORY_", false, AT(sequence.lab_id), "sequencing laboratory, a code of Go.Data's LAB_SEQUENCE_LABORATORY"},
    {"sequence.date_result", "dateResult", NULL, true, AT(sequence.date_result), "day of the sequencing result"},
    {"sequence.result_id", "resultId", PREFIX "LAB_SEQUENCE_RESULT_", false, AT(sequence.result_id), "sequence, a code of Go.Data's LAB_SEQUENCE_RESULT"},
};
const size_t lab_sequence_fields_n = sizeof lab_sequence_fields / sizeof lab_sequence_fields[0];

const struct lab_field *lab_field_find(struct span name)
{
    for (size_t i = 0; i < lab_fields_n; i++)
        if (span_is(name, lab_fields[i].name))
            return &lab_fields[i];
    for (size_t i = 0; i < lab_sequence_fields_n; i++)
        if (span_is(name, lab_sequence_fields[i].name))
            return &lab_sequence_fields[i];
    return NULL;
}

bool lab_field_is_yesno(const struct lab_field *f)
{
    return f->offset == AT(sequence.has_sequence);
}

bool lab_field_is_sequence(const struct lab_field *f)
{
    return f >= lab_sequence_fields && f < lab_sequence_fields + lab_sequence_fields_n;
}

struct span *lab_field_at(struct lab_result *l, const struct lab_field *f)
{
    return (struct span *)(void *)((char *)l + f->offset);
}
