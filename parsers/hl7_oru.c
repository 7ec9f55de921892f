/*
 * NAME hl7_oru - one order (OBR with its ORC, specimen, OBX and NTE) to one record.
 *
 * OBR wins over ORC where both speak. The specimen id is taken from SPM-2 filler, SPM-2 placer, SPM-30, SAC-3, SAC-4, OBR-3, the
 * first that is valued; `id&ROCHE` is the id and a vendor's name space. Collection: SPM-17, OBR-7, OBX-14.
 * A patient's values are read once and shared by its records, with their warnings. DIAGNOSTICS problem 103 (OBR-25), warnings.
 */
#include "hl7_oru.h"

#include <string.h>

static struct hl7_seg *seg_at(struct hl7_ctx *x, uint32_t i)
{
    return i == HL7_NONE ? NULL : &x->segs[i];
}

static struct span value_at(struct hl7_ctx *x, struct hl7_seg *s, unsigned field, unsigned comp)
{
    return s ? hl7_value(x, s, field, comp) : SPAN_ABSENT;
}

/* Sub-component 1 of a component: `id&ROCHE` */
static struct span id_at(struct hl7_ctx *x, struct hl7_seg *s, unsigned field, unsigned comp)
{
    struct span f = s ? hl7_field(x, s, field) : SPAN_ABSENT;
    return f.n ? hl7_leaf(x, hl7_sub(x, hl7_comp(x, hl7_rep1(x, f), comp), 1)) : SPAN_ABSENT;
}

static struct span first_of(struct span a, struct span b)
{
    return a.n ? a : b.n ? b : span_is_null(a) ? a : b;
}

static struct rec_ts date_at(struct hl7_ctx *x, struct hl7_seg *s, unsigned field, struct hl7_list *notes)
{
    struct span bad;
    if (!s)
        return (struct rec_ts){0};
    struct rec_ts t = hl7_date_field(x, s, field, &bad);
    if (bad.n)
        hl7_list_add(x->a, notes, bad);
    return t;
}

/* ---- report ---- */

static const char *orc_status(struct span code)
{
    static const struct { const char *code, *status; } map[] = {{"A", "partial"}, {"CA", "cancelled"}, {"CM", "final"}, {"DC", "cancelled"},
                                                                {"HD", "registered"}, {"IP", "registered"}, {"SC", "registered"}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (span_is_nocase(code, map[i].code))
            return map[i].status;
    return "unknown";
}

static bool is_cancel(struct span control)
{
    static const char *const codes[] = {"CA", "OC", "CR", "DC", "OD"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (span_is_nocase(control, codes[i]))
            return true;
    return false;
}

static void read_status(struct hl7_ctx *x, struct hl7_seg *obr, struct hl7_seg *orc, struct hl7_order_ctx *oc, struct rec_report *r)
{
    const char *report = NULL;
    r->status_raw = value_at(x, obr, 25, 1);
    if (span_has(r->status_raw)) {
        oc->has_default = hl7_status_obr(r->status_raw, &oc->default_status, &report);
        if (!oc->has_default)
            hl7_error(x, 103, "UNKNOWN_STATUS", obr, 25);
    } else if (span_has(value_at(x, orc, 5, 1))) {
        r->status_raw = value_at(x, orc, 5, 1);
        report = orc_status(r->status_raw);
    }
    r->control = value_at(x, orc, 1, 1);
    if (is_cancel(r->control))
        report = "cancelled";
    r->status = span_of(report ? report : "unknown");
}

static void read_numbers(struct hl7_ctx *x, struct hl7_seg *obr, struct hl7_seg *orc, struct rec_report *r)
{
    struct span placer = value_at(x, orc, 2, 1), filler = value_at(x, orc, 3, 1);
    r->placer_id = value_at(x, obr, 2, 1);
    r->filler_id = value_at(x, obr, 3, 1);
    bool differs = (placer.n && r->placer_id.n && !span_eq(placer, r->placer_id)) || (filler.n && r->filler_id.n && !span_eq(filler, r->filler_id));
    if (differs)
        hl7_warn(x, "W_ORDER_NUMBER_DIFFERS", 0);
    r->placer_id = first_of(r->placer_id, placer);
    r->filler_id = first_of(r->filler_id, filler);
}

static void read_report(struct hl7_ctx *x, const struct hl7_order *o, struct hl7_order_ctx *oc, struct hl7_list *notes, struct rec_report *r)
{
    struct hl7_seg *obr = seg_at(x, o->obr), *orc = seg_at(x, o->orc);
    read_numbers(x, obr, orc, r);
    read_status(x, obr, orc, oc, r);
    if (!obr)
        return;
    r->path = hl7_where(x->a, obr, 0, 0);
    r->code = hl7_codes_field(x, obr, 4);
    r->issued_at = date_at(x, obr, 22, notes);
    hl7_notes_add(x, oc->g, o->notes, notes);
}

/* OBX-23, OBX-15, MSH-4, MSH-3: the first that names a laboratory */
static void read_lab(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_order *o, const struct rec_message *m, struct rec_lab *lab)
{
    for (uint32_t i = 0; i < o->n && !lab->id.n && !lab->name.n; i++) {
        struct hl7_seg *s = &x->segs[g->obx[g->obx_of_order[o->first + i]].seg];
        struct span f = hl7_field(x, s, 23), c[10] = {{0}};
        size_t n = hl7_split(hl7_rep1(x, f), x->d.comp, c, 10);
        if (n)
            lab->name = hl7_leaf(x, c[0]);
        lab->id = n >= 10 && span_has(hl7_leaf(x, c[9])) ? hl7_leaf(x, c[9]) : n >= 3 ? hl7_leaf(x, c[2]) : SPAN_ABSENT;
    }
    for (uint32_t i = 0; i < o->n && !lab->id.n && !lab->name.n; i++) {
        struct hl7_seg *s = &x->segs[g->obx[g->obx_of_order[o->first + i]].seg];
        lab->id = hl7_value(x, s, 15, 1);
        lab->name = hl7_value(x, s, 15, 2);
    }
    if (!lab->id.n && !lab->name.n)
        lab->id = first_of(m->source_facility.value, m->source_app.value);
}

/* ---- specimen ---- */

static bool is_qc_role(struct span role)
{
    return role.n == 1 && memchr("QCVEBFO", role.p[0], 7);
}

static void read_spm(struct hl7_ctx *x, struct hl7_seg *spm, struct hl7_list *notes, struct rec_specimen *s)
{
    struct span filler = id_at(x, spm, 2, 2), placer = id_at(x, spm, 2, 1);
    s->path = hl7_where(x->a, spm, 0, 0);
    s->id = first_of(filler, placer);
    if (filler.n)
        s->placer_id = placer;
    if (!s->id.n)
        s->id = first_of(id_at(x, spm, 30, 1), s->id);
    s->type = hl7_codes_field(x, spm, 4);
    s->method = hl7_codes_field(x, spm, 7);
    s->site = hl7_codes_field(x, spm, 8);
    s->role = hl7_value(x, spm, 11, 1);
    s->collected_at = date_at(x, spm, 17, notes);
    s->received_at = date_at(x, spm, 18, notes);
    s->is_rejected = span_has(hl7_value(x, spm, 21, 1));
}

/* OBR-15, SPS: a code in sub-components, role in .7 */
static void read_sps(struct hl7_ctx *x, struct hl7_seg *obr, struct rec_specimen *s)
{
    struct span f = hl7_rep1(x, hl7_field(x, obr, 15)), c[7] = {{0}};
    size_t n = hl7_split(f, x->d.comp, c, 7);
    if (!n)
        return;
    bool is_ce = n >= 3 && x->d.sub && span_find(c[0], x->d.sub) == c[0].n && hl7_leaf(x, c[2]).n
                 && span_starts(hl7_code_system(x, hl7_leaf(x, c[2])), "http");
    s->type = hl7_codes(x, is_ce ? f : c[0], is_ce ? x->d.comp : x->d.sub);
    if (!is_ce && n >= 3)
        s->type.text = hl7_leaf(x, c[2]);
    if (!is_ce && n >= 7)
        s->role = hl7_leaf(x, hl7_sub(x, c[6], 1));
}

static void read_specimen(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_order *o, struct rec_specimen *s)
{
    const struct hl7_specimen *sp = o->specimen == HL7_NONE ? NULL : &g->specimens[o->specimen];
    struct hl7_seg *spm = sp ? seg_at(x, sp->spm) : NULL, *sac = sp ? seg_at(x, sp->sac) : NULL, *obr = seg_at(x, o->obr);
    struct hl7_list notes = {0};
    if (spm)
        read_spm(x, spm, &notes, s);
    else if (sac)
        s->path = hl7_where(x->a, sac, 0, 0);
    if (sac && !s->id.n)
        s->id = first_of(first_of(id_at(x, sac, 3, 1), id_at(x, sac, 4, 1)), s->id);
    if (obr && !s->id.n)
        s->id = first_of(id_at(x, obr, 3, 1), s->id);
    if (obr && !spm)
        read_sps(x, obr, s);
    if (!s->role.n)
        s->role = SPAN_LIT("P");
    if (obr && !s->collected_at.prec && x->o->obr7 == HL7_OBR7_COLLECTION)
        s->collected_at = date_at(x, obr, 7, &notes);
    if (obr && !s->received_at.prec)
        s->received_at = date_at(x, obr, 14, &notes);
    if (sp)
        hl7_notes_add(x, g, sp->notes, &notes);
    s->notes = hl7_list_done(&notes);
    s->is_ambiguous = o->is_ambiguous;
    if (x->o->qc_rule == HL7_QC_SPM11)
        s->is_control = is_qc_role(s->role);
    else if (x->o->qc_rule == HL7_QC_INV_CONTROL)
        s->is_control = sp && sp->is_inv_control;
}

/* ---- records ---- */

/* Times that another field may give when their own is silent */
static void fill_times(struct hl7_ctx *x, struct hl7_seg *obr, struct record *r)
{
    struct span bad;
    struct rec_ts run = {0};
    if (obr && x->o->obr7 == HL7_OBR7_ANALYSIS)
        run = hl7_date_field(x, obr, 7, &bad);
    for (size_t i = 0; i < r->n; i++) {
        if (!r->observations[i].analysed_at.prec)
            r->observations[i].analysed_at = run;
        if (!r->specimen.collected_at.prec && r->observations[i].role == OBS_RESULT)
            r->specimen.collected_at = r->observations[i].observed_at;
    }
}

static struct rec_codes synthesized_code(const struct record *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (!span_eq(r->observations[i].key, r->observations[0].key))
            return (struct rec_codes){0};
    return r->n ? r->observations[0].code : (struct rec_codes){0};
}

static bool read_record(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_order *o, bool is_oul, struct record *r)
{
    struct hl7_order_ctx oc = {.g = g};
    struct hl7_list notes = {0};
    if (is_oul)
        hl7_notes_add(x, g, g->notes, &notes);
    read_report(x, o, &oc, &notes, &r->report);
    read_lab(x, g, o, r->message, &r->report.lab);
    read_specimen(x, g, o, &r->specimen);
    if (!hl7_observations(x, &oc, g->obx_of_order + o->first, o->n, r))
        return false;
    fill_times(x, seg_at(x, o->obr), r);
    if (o->is_synthesized)
        r->report.code = synthesized_code(r);
    r->report.attachments = (struct rec_attachments){oc.attachments.v, oc.attachments.n};
    r->report.notes = hl7_list_done(&notes);
    return true;
}

struct range { size_t from, to; };

static void add_warns(struct hl7_ctx *x, struct range w, struct hl7_list *l)
{
    for (size_t i = w.from; i < w.to; i++) {
        struct span name = span_of(x->warns[i].name);
        hl7_list_add(x->a, l, x->warns[i].where.n ? HL7_CAT(x->a, name, SPAN_LIT(" "), x->warns[i].where) : name);
    }
}

bool hl7_records(struct hl7_ctx *x, const struct hl7_groups *g, const struct rec_message *m, bool is_oul, struct parsed *out)
{
    uint32_t last = HL7_NONE;
    struct rec_patient patient = {0};
    struct range all = {0, x->n_warns}, of_patient = {0, 0};
    struct record *v = arena_array(x->a, g->n_orders ? g->n_orders : 1, sizeof *v);
    if (!v)
        return false;
    for (uint32_t i = 0; i < g->n_orders; i++) {
        struct record *r = &v[i];
        if (g->orders[i].patient != last) {
            last = g->orders[i].patient;
            of_patient.from = x->n_warns;
            hl7_patient_read(x, g, &g->patients[last], &patient);
            of_patient.to = x->n_warns;
        }
        r->message = m;
        r->patient = patient;
        struct range own = {x->n_warns, 0};
        if (!read_record(x, g, &g->orders[i], is_oul, r))
            return false;
        own.to = x->n_warns;
        if (x->n_warns) {
            struct hl7_list l = {0};
            add_warns(x, all, &l);
            add_warns(x, of_patient, &l);
            add_warns(x, own, &l);
            r->warnings = hl7_list_done(&l);
        }
    }
    out->records = v;
    out->n_records = g->n_orders;
    return !arena_is_full(x->a);
}
