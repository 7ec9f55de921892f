/*
 * hl7_group - which OBX belongs to which order, specimen and patient (STANDARDS 4.3): one tolerant walk over the segments.
 *
 * Serves ORU (order first) and OUL R21-R24 (specimen first or order first). Order alone never fails a message. Indexes, not
 * pointers, tie the parts together; NONE is "there is none". All in the arena.
 */
#ifndef LABRELAY_HL7_GROUP_H
#define LABRELAY_HL7_GROUP_H
#include "hl7_path.h"

#define HL7_NONE UINT32_MAX

struct hl7_notes { uint32_t first, last; };         /* chain of struct hl7_note */
struct hl7_note { uint32_t seg, next; };

struct hl7_patient { uint32_t pid, pv1, first_order, n_orders; struct hl7_notes notes; };
struct hl7_specimen { uint32_t spm, sac, first_order; bool is_inv_control; struct hl7_notes notes; };
struct hl7_order {                                  /* becomes one record */
    uint32_t obr, orc, patient, specimen;
    uint32_t first, n;                              /* its OBX: obx_of_order[first .. first + n) */
    bool is_ambiguous, is_synthesized, has_several;  /* several: specimens behind it */
    struct hl7_notes notes;
};
struct hl7_obx {
    uint32_t seg, order, specimen;
    enum obs_role role;                             /* by place only */
    struct hl7_notes notes;
};

struct hl7_groups {
    struct hl7_patient *patients;
    struct hl7_specimen *specimens;
    struct hl7_order *orders;
    struct hl7_obx *obx;
    struct hl7_note *note;
    uint32_t n_patients, n_specimens, n_orders, n_obx, n_note;
    uint32_t *obx_of_order;                         /* OBX indexes sorted by order, message order within */
    struct hl7_notes notes;                         /* under MSH */
    bool has_obr;
};

/* is_specimen_first: OUL^R22, R23. is_oul: ORC follows its OBR. 0; -1 when the arena or max-records is reached (*is_limit). */
int hl7_group(struct hl7_ctx *x, bool is_oul, bool is_specimen_first, struct hl7_groups *out, bool *is_limit);
#endif
