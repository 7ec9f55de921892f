/*
 * fhir_parser - FHIR R4 (4.0.1) in JSON, XML and NDJSON as a parser module: Bundles, DiagnosticReport, Observation to records.
 *
 * Pure: bytes in, records out; no clock, file, socket or global. Everything lives in the arena it is given. An options struct full
 * of zeros is valid and means the defaults; options are const and shared between threads. Rules: STANDARDS 6 and 8.
 * A reference is never fetched; what is outside the Bundle is outside.
 */
#ifndef LABRELAY_FHIR_PARSER_H
#define LABRELAY_FHIR_PARSER_H
#include "ops.h"

enum fhir_test_data { FHIR_TEST_DATA_REJECT, FHIR_TEST_DATA_HOLD };
enum fhir_name_text { FHIR_NAME_TEXT_LAST, FHIR_NAME_TEXT_OFF };
enum fhir_effective { FHIR_EFFECTIVE_COLLECTION, FHIR_EFFECTIVE_ANALYSIS };

struct fhir_options {
    char *timezone;                     /* the sender's zone; used by the engine for times that name none */
    bool is_other_version_allowed;      /* elements of R5 and STU3 are a warning */
    struct option_list known_modifiers; /* modifierExtension and implicitRules URLs that change nothing here */
    int test_data;                      /* enum fhir_test_data: resources tagged HTEST */
    int name_text;                      /* enum fhir_name_text: is HumanName.text a family name when family is missing */
    int effective;                      /* enum fhir_effective: what Observation.effective[x] means */
    int64_t max_entries;                /* 0: 100000 */
    bool is_strict;
};

enum fhir_kind {
    FHIR_TRANSACTION, FHIR_BATCH, FHIR_MESSAGE, FHIR_DOCUMENT, FHIR_COLLECTION, FHIR_SEARCHSET, FHIR_HISTORY,
    FHIR_LONE,                          /* a DiagnosticReport or Observation by itself */
    FHIR_NDJSON,                        /* the resources of several lines, read as a collection */
    FHIR_OTHER                          /* refused */
};

/* One entry of a transaction or batch, for its response. */
struct fhir_entry {
    struct span method;                 /* POST when none was sent */
    struct span type, id;               /* of the resource */
    struct span version;                /* meta.versionId */
    const struct problem *issue;        /* why it was not taken; NULL: taken */
};

/* parsed.priv of a message of this parser, never NULL. For replies and for the HTTP channel: a POST of kind FHIR_SEARCHSET or
 * FHIR_HISTORY is refused there (422). */
struct fhir_info {
    enum fhir_kind kind;
    enum rec_format format;
    struct span root;                   /* resource type at the root, "Bundle" */
    struct span id;                     /* its id */
    struct span header_id;              /* MessageHeader.id */
    struct span header_endpoint;        /* MessageHeader.source.endpoint */
    const struct fhir_entry *entries;   /* transaction, batch: in order */
    size_t n_entries;
};

extern const struct parser_ops fhir_parser;

/* Before any thread starts: jansson takes its hash seed and libxml2 sets itself up once, for the whole process. */
void fhir_parser_init(void);
const struct fhir_info *fhir_info_of(const struct parsed *p);
#endif
