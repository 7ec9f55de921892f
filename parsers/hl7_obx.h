/*
 * hl7_obx - one OBX with its notes to one observation, and the merging of value lines (STANDARDS 5.4-5.7, 4.3 rule 11).
 */
#ifndef LABRELAY_HL7_OBX_H
#define LABRELAY_HL7_OBX_H
#include "hl7_code.h"
#include "hl7_group.h"

struct hl7_list { struct span *v; size_t n, cap; };         /* grows in the arena */
void hl7_list_add(struct arena *a, struct hl7_list *l, struct span s);
struct rec_list hl7_list_done(const struct hl7_list *l);
struct span hl7_list_join(struct arena *a, const struct hl7_list *l);    /* with line feeds between */
/* NTE-3 of a chain, repetitions as lines, appended to l. */
void hl7_notes_add(struct hl7_ctx *x, const struct hl7_groups *g, struct hl7_notes notes, struct hl7_list *l);

struct hl7_attachments { struct rec_attachment *v; size_t n, cap; };

/* What all OBX of an order share. */
struct hl7_order_ctx {
    const struct hl7_groups *g;
    bool has_default;                   /* OBR-25 says what an empty OBX-11 means */
    enum obs_status default_status;
    struct hl7_attachments attachments;
};

/* The value of OBX-5 (hl7_value.c). is_valued: there is something; code: OBX-3, for titles of attachments. */
bool hl7_value_read(struct hl7_ctx *x, struct hl7_seg *s, struct rec_value *v);
bool hl7_value_is_attachment(struct hl7_ctx *x, struct hl7_seg *s);
void hl7_attach(struct hl7_ctx *x, struct hl7_seg *s, struct span title, struct hl7_attachments *to);

/* Reads one OBX. Problems that refuse the message are put in x. */
void hl7_obx_read(struct hl7_ctx *x, struct hl7_order_ctx *oc, const struct hl7_obx *obx, struct rec_observation *o);
/* Reads the OBX of an order; those with the same key become one. False when the arena is full. */
bool hl7_observations(struct hl7_ctx *x, struct hl7_order_ctx *oc, const uint32_t *index, size_t n, struct record *r);
/* Tables 0085 and 0123; false when the code is in neither way known. */
bool hl7_status_obx(struct span code, enum obs_status *out);
bool hl7_status_obr(struct span code, enum obs_status *out, const char **report);
#endif
