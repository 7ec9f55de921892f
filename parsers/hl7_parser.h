/*
 * hl7_parser - HL7 v2 (2.1 to 2.9) as a parser module: ORU^R01/R32 (R30, R31), OUL^R22/R23/R24 (R21) to records, and their ACKs.
 *
 * Pure: bytes in, records out; no clock, file, socket or global. Everything lives in the arena it is given, or in the frame.
 * An options struct full of zeros is valid and means the defaults; options are const and shared between threads.
 */
#ifndef LABRELAY_HL7_PARSER_H
#define LABRELAY_HL7_PARSER_H
#include "ops.h"

enum hl7_nonproduction { HL7_NONPRODUCTION_REJECT, HL7_NONPRODUCTION_HOLD };
enum hl7_qc_rule { HL7_QC_SPM11, HL7_QC_INV_CONTROL, HL7_QC_NONE };
enum hl7_obr7 { HL7_OBR7_COLLECTION, HL7_OBR7_ANALYSIS };

struct hl7_options {
    char *timezone;                     /* the sender's zone; used by the engine for times that name none */
    char *assume_charset;               /* for bytes that are no UTF-8 when MSH-18 says nothing; NULL: cp1252 */
    char *default_version;              /* when MSH-12 is empty; NULL: 2.3.1 */
    struct option_list processing_ids;  /* empty: P */
    int nonproduction;                  /* enum hl7_nonproduction */
    char *missing_processing_id;        /* NULL: P */
    bool is_strict;
    bool is_lenient_dates;
    struct option_list enable;          /* "ORU^R30" "ORU^R31" "OUL^R21" */
    struct option_list ignore_types;    /* "ADT" or "ADT^A08": AA and filtered */
    int qc_rule;                        /* enum hl7_qc_rule */
    int obr7;                           /* enum hl7_obr7 */
    bool is_loinc_without_system;
    bool is_decimal_comma;
    bool is_wide;                       /* frames in UTF-16 or UTF-32 with byte order mark are decoded */
    int64_t max_records, max_segments;  /* of one message; 0: 5000, 100000 */
    bool is_sequence;                   /* MSH-13 is a sequence number that must be the expected one (STANDARDS 2.10) */
    char *own_app, *own_facility;       /* MSH-3/4 of ACKs when MSH-5/6 are empty; NULL: the engine's */
};

extern const struct parser_ops hl7v2_parser;
#endif
