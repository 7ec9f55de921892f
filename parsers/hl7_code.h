/*
 * hl7_code - coded elements, identifiers and names of coding systems (STANDARDS 5.4 OBX-3, 7.6).
 * System names become URIs; what is local keeps its name behind "local:". Arena results.
 */
#ifndef LABRELAY_HL7_CODE_H
#define LABRELAY_HL7_CODE_H
#include "hl7_text.h"

/* "LN" -> http://loinc.org …; other names -> "local:NAME"; empty -> "local". */
struct span hl7_code_system(struct hl7_ctx *x, struct span name);
/* A CE, CWE, CNE … repetition to all its filled triplets; text = .9. delim: component separator (or sub-component in SPS.1). */
struct rec_codes hl7_codes(struct hl7_ctx *x, struct span rep, char delim);
struct rec_codes hl7_codes_field(struct hl7_ctx *x, struct hl7_seg *s, unsigned field);
/* One code without system, for IS and ID. */
struct rec_codes hl7_codes_plain(struct hl7_ctx *x, struct span rep);
bool hl7_is_loinc(struct span code);                    /* shape and check digit */
/* Repetition of CX (PID-3), EI (device), HD (MSH-3). False: nothing in it. */
bool hl7_id_cx(struct hl7_ctx *x, struct span rep, struct rec_id *out);
bool hl7_id_ei(struct hl7_ctx *x, struct span rep, struct rec_id *out);
bool hl7_id_hd(struct hl7_ctx *x, struct span field, struct rec_id *out);
#endif
