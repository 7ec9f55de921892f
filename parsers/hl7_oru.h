/*
 * hl7_oru - groups to records: patient, report, specimen, observations (STANDARDS 5.1-5.3, 8.1-8.3). ORU and OUL alike.
 */
#ifndef LABRELAY_HL7_ORU_H
#define LABRELAY_HL7_ORU_H
#include "hl7_obx.h"

/* The patient of a group (hl7_patient.c): from PID and PV1. */
void hl7_patient_read(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_patient *p, struct rec_patient *out);
/* One record per order. Problems go to x. False when the arena is full. */
bool hl7_records(struct hl7_ctx *x, const struct hl7_groups *g, const struct rec_message *m, bool is_oul, struct parsed *out);
/* Messages about patients alone (hl7_adt.c): the events that are read, and one record per PID. False when the arena is full. */
bool hl7_adt_is_event(struct span type, struct span event);
bool hl7_adt_read(struct hl7_ctx *x, const struct rec_message *m, struct record **out, size_t *n);
#endif
