/*
 * NAME hl7_adt - messages about patients alone: ADT^A01 A04 A05 A08 A28 A31, and the merges A18 A30 A34 A40 A47 (STANDARDS 4.2, 8.9).
 *
 * One record per PID, with nothing but the patient; MRG-1 (and MRG-4) behind it are its old identifiers. A03 and every other event
 * tell nothing that may be written: they stay refused. These records are used only where a route sends persons.
 * DIAGNOSTICS 101 a message without PID; 102 undecodable bytes in a PID.
 */
#include "hl7_oru.h"

static const char *const upserts[] = {"A01", "A04", "A05", "A08", "A28", "A31"};
static const char *const merges[] = {"A18", "A30", "A34", "A40", "A47"};

static bool is_one_of(struct span s, const char *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(s, v[i]))
            return true;
    return false;
}

bool hl7_adt_is_event(struct span type, struct span event)
{
    return span_is(type, "ADT") && (is_one_of(event, upserts, sizeof upserts / sizeof upserts[0]) ||
                                    is_one_of(event, merges, sizeof merges / sizeof merges[0]));
}

static void read_old_ids(struct hl7_ctx *x, struct hl7_seg *mrg, struct rec_patient *p)
{
    static const unsigned fields[] = {1, 4};
    struct rec_id *v = NULL, id;
    size_t n = 0, cap = 0;
    for (size_t k = 0; k < 2; k++) {
        struct span f = hl7_field(x, mrg, fields[k]), rep;
        for (unsigned r = 1; hl7_next_rep(x, &f, &rep); r++) {
            if (!hl7_id_cx(x, rep, &id) || !arena_grow(x->a, &v, n, &cap, sizeof *v))
                continue;
            id.path = hl7_where(x->a, mrg, fields[k], r);
            v[n++] = id;
        }
    }
    p->old_ids = (struct rec_ids){v, n};
}

/* The patient that begins at segment i: its PV1 and MRG stand before the next PID. */
static void read_patient(struct hl7_ctx *x, uint32_t i, struct record *r)
{
    static const struct hl7_groups none;
    struct hl7_patient p = {.pid = i, .pv1 = HL7_NONE, .first_order = HL7_NONE, .notes = {HL7_NONE, HL7_NONE}};
    uint32_t mrg = HL7_NONE;
    for (uint32_t k = i + 1; k < x->n && x->segs[k].id != HL7_ID('P', 'I', 'D'); k++) {
        if (x->segs[k].id == HL7_ID('P', 'V', '1') && p.pv1 == HL7_NONE)
            p.pv1 = k;
        else if (x->segs[k].id == HL7_ID('M', 'R', 'G') && mrg == HL7_NONE)
            mrg = k;
    }
    hl7_patient_read(x, &none, &p, &r->patient);
    if (mrg != HL7_NONE)
        read_old_ids(x, &x->segs[mrg], &r->patient);
}

bool hl7_adt_read(struct hl7_ctx *x, const struct rec_message *m, struct record **out, size_t *n)
{
    size_t cap = 0;
    struct record *v = NULL;
    *n = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->segs[i].id != HL7_ID('P', 'I', 'D'))
            continue;
        if (!arena_grow(x->a, &v, *n, &cap, sizeof *v))
            return false;
        v[*n] = (struct record){.message = m};
        struct hl7_list warnings = {0};
        read_patient(x, i, &v[*n]);
        for (size_t k = 0; k < x->n_warns; k++) {
            struct span name = span_of(x->warns[k].name);
            hl7_list_add(x->a, &warnings, x->warns[k].where.n ? HL7_CAT(x->a, name, SPAN_LIT(" "), x->warns[k].where) : name);
        }
        v[*n].warnings = hl7_list_done(&warnings);
        ++*n;
    }
    *out = v;
    if (*n == 0)
        hl7_error(x, 101, "MISSING_FIELD", NULL, 0);
    return !arena_is_full(x->a);
}
