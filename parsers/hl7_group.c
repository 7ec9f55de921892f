/*
 * NAME hl7_group - the context stack of STANDARDS 4.3, rules 1 to 9.
 *
 * OBX that come before the first OBR of a patient wait ("pending") until that OBR or the end of the patient shows what they are:
 *   an OBR came, under an SPM           specimen observations
 *   an OBR came, version >= 2.6, no ORC patient observations
 *   an OBR came otherwise               results of that OBR (W_OBX_BEFORE_OBR)
 *   none came                           results of an order made for them (W_OBX_WITHOUT_OBR)
 * OBX between ORC and TXA are order documents, OBX under a DEV that no PRT introduced are of the device.
 * What belongs to no order is given to the first order of its patient or specimen, else to an order of its own without OBR, so that
 * every OBX stands in exactly one record. DIAGNOSTICS warnings of the context.
 */
#include "hl7_group.h"

#include <string.h>

#include "hl7_text.h"

#define DEFAULT_MAX_RECORDS 5000

enum last { LAST_MESSAGE, LAST_PATIENT, LAST_ORDER, LAST_OBX, LAST_SPECIMEN, LAST_ORC };

struct walk {
    struct hl7_ctx *x;
    struct hl7_groups *g;
    size_t cap_patients, cap_specimens, cap_orders, cap_obx, cap_note, max_orders;
    uint32_t patient, order, context;           /* current ones; context: specimen of the orders to come */
    uint32_t orc;                               /* waits for its OBR */
    uint32_t pending;                           /* first OBX that waits; n_obx when none */
    uint32_t spm_obx;                           /* first OBX behind an SPM behind an OBR without results; NONE: no */
    uint32_t doc;                               /* first OBX since the ORC that may be a document; NONE: no */
    struct hl7_notes orc_notes;
    bool is_oul, is_specimen_first, has_obr;    /* has_obr: in this patient */
    bool is_spm_level, is_device;
    bool has_results;                           /* the current order has OBX */
    enum last last;
    uint32_t prev_id;
    bool is_limit;
};

static const struct hl7_notes no_notes = {HL7_NONE, HL7_NONE};

static void chain(struct hl7_groups *g, struct hl7_notes *to, uint32_t note)
{
    if (to->first == HL7_NONE)
        to->first = note;
    else
        g->note[to->last].next = note;
    to->last = note;
}

static bool add_order(struct walk *w, struct hl7_order o)
{
    struct hl7_groups *g = w->g;
    if (g->n_orders >= w->max_orders) {
        w->is_limit = true;
        return false;
    }
    if (!arena_grow(w->x->a, &g->orders, g->n_orders, &w->cap_orders, sizeof *g->orders))
        return false;
    struct hl7_patient *p = &g->patients[o.patient];
    if (p->first_order == HL7_NONE)
        p->first_order = g->n_orders;
    p->n_orders++;
    if (o.specimen != HL7_NONE && g->specimens[o.specimen].first_order == HL7_NONE)
        g->specimens[o.specimen].first_order = g->n_orders;
    g->orders[g->n_orders++] = o;
    return true;
}

static struct hl7_order order_make(const struct walk *w, uint32_t obr, uint32_t specimen)
{
    return (struct hl7_order){.obr = obr, .orc = HL7_NONE, .patient = w->patient, .specimen = specimen, .notes = no_notes};
}

/* ---- pending OBX ---- */

static void resolve_with_order(struct walk *w)
{
    struct hl7_groups *g = w->g;
    bool is_moved = false;
    for (uint32_t i = w->pending; i < g->n_obx; i++) {
        struct hl7_obx *o = &g->obx[i];
        if (o->order != HL7_NONE)
            continue;
        if (o->role == OBS_ORDER_DOCUMENT)
            o->order = w->order;
        else if (o->role == OBS_PART) { /* marks: behind an ORC */
            o->role = OBS_RESULT;
            o->order = w->order;
            is_moved = true;
        } else if (o->role == OBS_RESULT && w->x->version < 260) {
            o->order = w->order;
            is_moved = true;
        } else if (o->role == OBS_RESULT) {
            o->role = OBS_PATIENT_LEVEL;
            o->order = w->order;
        } else if (o->role == OBS_SPECIMEN_LEVEL && (o->specimen == w->context || w->context == HL7_NONE)) {
            o->order = w->order;
        }
    }
    w->has_results |= is_moved;
    if (is_moved)
        hl7_warn_message(w->x, "W_OBX_BEFORE_OBR", "OBX[1]");
}

/* The patient has no OBR: one order per specimen for its OBX. */
static bool resolve_without_order(struct walk *w)
{
    struct hl7_groups *g = w->g;
    uint32_t made = HL7_NONE;
    for (uint32_t i = w->pending; i < g->n_obx; i++) {
        struct hl7_obx *o = &g->obx[i];
        if (o->order != HL7_NONE || o->role == OBS_ORDER_DOCUMENT || o->role == OBS_DEVICE_LEVEL)
            continue;
        if (made == HL7_NONE || g->orders[made].specimen != o->specimen) {
            struct hl7_order n = order_make(w, HL7_NONE, o->specimen);
            n.is_synthesized = true;
            if (!add_order(w, n))
                return false;
            made = g->n_orders - 1;
        }
        o->role = OBS_RESULT;
        o->order = made;
    }
    if (made != HL7_NONE)
        hl7_warn_message(w->x, "W_OBX_WITHOUT_OBR", "OBX[1]");
    return true;
}

/* What still belongs to no order goes to the first of its specimen, else of its patient, else to one of its own. */
static bool settle_rest(struct walk *w)
{
    struct hl7_groups *g = w->g;
    struct hl7_patient *p = &g->patients[w->patient];
    for (uint32_t i = w->pending; i < g->n_obx; i++) {
        struct hl7_obx *o = &g->obx[i];
        if (o->order != HL7_NONE)
            continue;
        uint32_t home = p->first_order;
        if (o->specimen != HL7_NONE)
            home = g->specimens[o->specimen].first_order;
        if (home == HL7_NONE) {
            if (!add_order(w, order_make(w, HL7_NONE, o->specimen)))
                return false;
            home = g->n_orders - 1;
        }
        o->order = home;
    }
    return true;
}

static bool end_patient(struct walk *w)
{
    if (w->patient == HL7_NONE)
        return true;
    if (w->orc != HL7_NONE)
        hl7_warn_message(w->x, "W_ORC_WITHOUT_OBR", "ORC[1]");
    if (!w->has_obr && !resolve_without_order(w))
        return false;
    return settle_rest(w);
}

static bool start_patient(struct walk *w, uint32_t pid)
{
    struct hl7_groups *g = w->g;
    if (!end_patient(w) || !arena_grow(w->x->a, &g->patients, g->n_patients, &w->cap_patients, sizeof *g->patients))
        return false;
    w->patient = g->n_patients++;
    g->patients[w->patient] = (struct hl7_patient){.pid = pid, .pv1 = HL7_NONE, .first_order = HL7_NONE, .notes = no_notes};
    w->order = w->context = w->orc = w->doc = w->spm_obx = HL7_NONE;
    w->orc_notes = no_notes;
    w->pending = g->n_obx;
    w->has_obr = w->is_spm_level = w->is_device = w->has_results = false;
    return true;
}

static bool need_patient(struct walk *w)
{
    return w->patient != HL7_NONE || start_patient(w, HL7_NONE);
}

/* ---- segments ---- */

static bool is_same_patient(struct walk *w, uint32_t pid)
{
    static const unsigned fields[] = {3, 5, 7};
    uint32_t old = w->patient == HL7_NONE ? HL7_NONE : w->g->patients[w->patient].pid;
    if (old == HL7_NONE)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!span_eq(hl7_field(w->x, &w->x->segs[old], fields[i]), hl7_field(w->x, &w->x->segs[pid], fields[i])))
            return false;
    return true;
}

static bool on_pid(struct walk *w, uint32_t seg)
{
    if (!is_same_patient(w, seg) && !start_patient(w, seg))
        return false;
    w->is_device = false;
    w->last = LAST_PATIENT;
    return true;
}

static bool on_orc(struct walk *w, uint32_t seg)
{
    if (!need_patient(w))
        return false;
    struct hl7_order *o = w->order == HL7_NONE ? NULL : &w->g->orders[w->order];
    w->doc = w->g->n_obx;
    w->is_device = false;
    if (w->is_oul && o && o->orc == HL7_NONE && !w->has_results && o->obr != HL7_NONE) {
        o->orc = seg;
        w->last = LAST_ORDER;
        return true;
    }
    if (w->orc != HL7_NONE)
        hl7_warn_message(w->x, "W_ORC_WITHOUT_OBR", "ORC[1]");
    w->orc = seg;
    w->last = LAST_ORC;
    return true;
}

static bool on_obr(struct walk *w, uint32_t seg)
{
    if (!need_patient(w))
        return false;
    struct hl7_order o = order_make(w, seg, w->context);
    o.orc = w->orc;
    o.notes = w->orc_notes;
    if (!add_order(w, o))
        return false;
    w->order = w->g->n_orders - 1;
    w->orc = w->doc = w->spm_obx = HL7_NONE;
    w->orc_notes = no_notes;
    w->has_results = w->is_spm_level = w->is_device = false;
    if (!w->has_obr)
        resolve_with_order(w);
    w->has_obr = w->g->has_obr = true;
    w->last = LAST_ORDER;
    return true;
}

static bool is_patient_role(struct walk *w, uint32_t spm)
{
    struct span role = spm == HL7_NONE ? SPAN_ABSENT : hl7_value(w->x, &w->x->segs[spm], 11, 1);
    return !role.n || HL7_IS(role, "P");
}

/* A specimen sent behind its OBR. Of several, the single one of a patient counts. */
static void attach_specimen(struct walk *w, uint32_t spec)
{
    struct hl7_order *o = &w->g->orders[w->order];
    if (o->specimen == HL7_NONE) {
        o->specimen = spec;
    } else {
        o->has_several = true;
        bool was = is_patient_role(w, w->g->specimens[o->specimen].spm), is = is_patient_role(w, w->g->specimens[spec].spm);
        if (was == is)
            o->is_ambiguous = true;
        else if (is)
            o->specimen = spec;
    }
    w->g->specimens[spec].first_order = w->order;
}

static bool add_specimen(struct walk *w, uint32_t spm, uint32_t sac)
{
    struct hl7_groups *g = w->g;
    if (!arena_grow(w->x->a, &g->specimens, g->n_specimens, &w->cap_specimens, sizeof *g->specimens))
        return false;
    g->specimens[g->n_specimens++] = (struct hl7_specimen){.spm = spm, .sac = sac, .first_order = HL7_NONE, .notes = no_notes};
    return true;
}

static bool on_spm(struct walk *w, uint32_t seg)
{
    if (!need_patient(w) || !add_specimen(w, seg, HL7_NONE))
        return false;
    uint32_t spec = w->g->n_specimens - 1;
    bool has_order = w->order != HL7_NONE;
    /* Specimen first: a new group, unless the only order so far stands without specimen and results. */
    bool is_behind = has_order && (!w->is_specimen_first || (!w->has_results && w->g->orders[w->order].specimen == HL7_NONE));
    w->last = LAST_SPECIMEN;
    w->is_device = false;
    if (is_behind) {
        attach_specimen(w, spec);
        w->is_spm_level = w->has_results;
        w->spm_obx = w->has_results ? HL7_NONE : w->g->n_obx;
        if (!w->has_results && !w->is_oul)
            hl7_warn_message(w->x, "W_SPM_BEFORE_OBX", "SPM[1]");
    } else {
        w->context = spec;
        w->order = HL7_NONE;
        w->has_results = w->is_spm_level = false;
    }
    return true;
}

/* The specimen that a SAC, INV or NTE now speaks of */
static uint32_t current_specimen(const struct walk *w)
{
    if (w->order != HL7_NONE && w->g->orders[w->order].specimen != HL7_NONE)
        return w->g->orders[w->order].specimen;
    return w->order == HL7_NONE ? w->context : HL7_NONE;
}

/* R24: "SPM OBX SAC": what came between was said of the specimen. */
static void mark_specimen_obx(struct walk *w)
{
    for (uint32_t i = w->spm_obx; i < w->g->n_obx; i++)
        if (w->g->obx[i].role == OBS_RESULT)
            w->g->obx[i].role = OBS_SPECIMEN_LEVEL;
    w->has_results = w->is_spm_level = false;
    w->spm_obx = HL7_NONE;
}

static bool on_sac(struct walk *w, uint32_t seg)
{
    if (!need_patient(w))
        return false;
    uint32_t spec = current_specimen(w), order = w->order;
    w->last = LAST_SPECIMEN;
    if (spec != HL7_NONE && w->g->specimens[spec].sac == HL7_NONE && !(w->is_specimen_first && order != HL7_NONE && w->has_results)) {
        w->g->specimens[spec].sac = seg;
        if (order != HL7_NONE && w->spm_obx != HL7_NONE)
            mark_specimen_obx(w);
        return true;
    }
    bool is_behind = order != HL7_NONE && (!w->is_specimen_first || (!w->has_results && w->g->orders[order].specimen == HL7_NONE));
    uint32_t spm = !is_behind && w->context != HL7_NONE ? w->g->specimens[w->context].spm : HL7_NONE; /* R23: containers of one specimen */
    if (!add_specimen(w, spm, seg))
        return false;
    if (is_behind) {
        attach_specimen(w, w->g->n_specimens - 1);
        return true;
    }
    w->context = w->g->n_specimens - 1;
    w->order = HL7_NONE;
    w->has_results = w->is_spm_level = false;
    return true;
}

static void on_inv(struct walk *w, uint32_t seg)
{
    uint32_t spec = current_specimen(w);
    if (spec != HL7_NONE && HL7_IS(hl7_value(w->x, &w->x->segs[seg], 3, 1), "CO"))
        w->g->specimens[spec].is_inv_control = true;
}

static bool on_obx(struct walk *w, uint32_t seg)
{
    struct hl7_groups *g = w->g;
    if (!need_patient(w) || !arena_grow(w->x->a, &g->obx, g->n_obx, &w->cap_obx, sizeof *g->obx))
        return false;
    struct hl7_obx *o = &g->obx[g->n_obx++];
    *o = (struct hl7_obx){.seg = seg, .order = HL7_NONE, .specimen = HL7_NONE, .role = OBS_RESULT, .notes = no_notes};
    w->last = LAST_OBX;
    if (w->is_device) {
        o->role = OBS_DEVICE_LEVEL;
        o->order = w->order;
    } else if (w->order != HL7_NONE) {
        o->order = w->order;
        o->role = w->is_spm_level ? OBS_SPECIMEN_LEVEL : OBS_RESULT;
        w->has_results = true;
    } else if (w->context != HL7_NONE) {
        o->specimen = w->context;
        o->role = OBS_SPECIMEN_LEVEL;
    } else if (w->orc != HL7_NONE) {
        o->role = OBS_PART; /* until resolved: behind an ORC, so never of the patient */
    } else if (w->has_obr) {
        o->role = OBS_PATIENT_LEVEL;
    }
    return true;
}

static void on_txa(struct walk *w)
{
    for (uint32_t i = w->doc; w->doc != HL7_NONE && i < w->g->n_obx; i++)
        w->g->obx[i].role = OBS_ORDER_DOCUMENT;
    if (w->doc != HL7_NONE && w->doc < w->g->n_obx)
        w->has_results = false;
    w->doc = HL7_NONE;
}

static bool on_nte(struct walk *w, uint32_t seg)
{
    struct hl7_groups *g = w->g;
    struct hl7_notes *to = &g->notes;
    uint32_t spec;
    if (!arena_grow(w->x->a, &g->note, g->n_note, &w->cap_note, sizeof *g->note))
        return false;
    g->note[g->n_note++] = (struct hl7_note){seg, HL7_NONE};
    switch (w->last) {
    case LAST_MESSAGE: break;
    case LAST_PATIENT: to = &g->patients[w->patient].notes; break;
    case LAST_ORDER: to = &g->orders[w->order].notes; break;
    case LAST_OBX: to = &g->obx[g->n_obx - 1].notes; break;
    case LAST_ORC: to = &w->orc_notes; break;
    case LAST_SPECIMEN:
        spec = current_specimen(w);
        if (spec != HL7_NONE)
            to = &g->specimens[spec].notes;
        break;
    }
    chain(g, to, g->n_note - 1);
    return true;
}

static bool step(struct walk *w, uint32_t i)
{
    switch (w->x->segs[i].id) {
    case HL7_ID('O', 'B', 'X'): return on_obx(w, i);
    case HL7_ID('N', 'T', 'E'): return on_nte(w, i);
    case HL7_ID('O', 'B', 'R'): return on_obr(w, i);
    case HL7_ID('O', 'R', 'C'): return on_orc(w, i);
    case HL7_ID('P', 'I', 'D'): return on_pid(w, i);
    case HL7_ID('S', 'P', 'M'): return on_spm(w, i);
    case HL7_ID('S', 'A', 'C'): return on_sac(w, i);
    case HL7_ID('I', 'N', 'V'): on_inv(w, i); return true;
    case HL7_ID('T', 'X', 'A'): on_txa(w); return true;
    case HL7_ID('D', 'E', 'V'): w->is_device = w->prev_id != HL7_ID('P', 'R', 'T'); return true;
    case HL7_ID('P', 'V', '1'):
        if (w->patient != HL7_NONE && w->g->patients[w->patient].pv1 == HL7_NONE)
            w->g->patients[w->patient].pv1 = i;
        return true;
    default: return true;
    }
}

/* Counting sort of the OBX by order. */
static bool sort_obx(struct hl7_ctx *x, struct hl7_groups *g)
{
    uint32_t at = 0;
    g->obx_of_order = arena_array(x->a, g->n_obx ? g->n_obx : 1, sizeof *g->obx_of_order);
    if (!g->obx_of_order)
        return false;
    for (uint32_t i = 0; i < g->n_obx; i++)
        g->orders[g->obx[i].order].n++;
    for (uint32_t i = 0; i < g->n_orders; i++) {
        g->orders[i].first = at;
        at += g->orders[i].n;
        g->orders[i].n = 0;
    }
    for (uint32_t i = 0; i < g->n_obx; i++) {
        struct hl7_order *o = &g->orders[g->obx[i].order];
        g->obx_of_order[o->first + o->n++] = i;
    }
    return true;
}

/* An identifier pair (placer^filler) names a specimen when one of its halves does. */
static bool is_same_specimen(struct hl7_ctx *x, struct span pair, struct span spm2)
{
    for (unsigned half = 2; half >= 1; half--) {
        struct span a = hl7_leaf(x, hl7_sub(x, hl7_comp(x, pair, half), 1)), b = hl7_leaf(x, hl7_sub(x, hl7_comp(x, spm2, half), 1));
        if (a.n && b.n)
            return span_eq(a, b);
    }
    return false;
}

/* The first specimen behind the order that the pair names. */
static uint32_t named_specimen(struct hl7_ctx *x, const struct hl7_groups *g, uint32_t order, struct span pair)
{
    for (uint32_t k = 0; k < g->n_specimens && pair.n; k++)
        if (g->specimens[k].first_order == order && g->specimens[k].spm != HL7_NONE &&
            is_same_specimen(x, pair, hl7_rep1(x, hl7_field(x, &x->segs[g->specimens[k].spm], 2))))
            return k;
    return HL7_NONE;
}

/* OBX-33 (2.9) names the specimen: when every result of an order names the same of its several specimens, that is the one. */
static void choose_specimen(struct hl7_ctx *x, struct hl7_groups *g, uint32_t order)
{
    struct hl7_order *o = &g->orders[order];
    uint32_t chosen = HL7_NONE;
    for (uint32_t i = 0; i < o->n; i++) {
        const struct hl7_obx *obx = &g->obx[g->obx_of_order[o->first + i]];
        if (obx->role != OBS_RESULT)
            continue;
        struct span pair = hl7_rep1(x, hl7_field(x, &x->segs[obx->seg], 33));
        if (chosen == HL7_NONE)
            chosen = named_specimen(x, g, order, pair);
        if (chosen == HL7_NONE || !is_same_specimen(x, pair, hl7_rep1(x, hl7_field(x, &x->segs[g->specimens[chosen].spm], 2))))
            return;
    }
    if (chosen == HL7_NONE)
        return;
    o->specimen = chosen;
    o->is_ambiguous = false;
}

int hl7_group(struct hl7_ctx *x, bool is_oul, bool is_specimen_first, struct hl7_groups *out, bool *is_limit)
{
    struct walk w = {.x = x, .g = out, .is_oul = is_oul, .is_specimen_first = is_specimen_first, .orc_notes = no_notes};
    *out = (struct hl7_groups){.notes = no_notes};
    w.patient = w.order = w.context = w.orc = w.doc = w.spm_obx = HL7_NONE;
    w.max_orders = x->o->max_records > 0 ? (size_t)x->o->max_records : DEFAULT_MAX_RECORDS;
    for (uint32_t i = 1; i < x->n; i++) {
        if (!step(&w, i)) {
            *is_limit = w.is_limit;
            return -1;
        }
        w.prev_id = x->segs[i].id;
    }
    *is_limit = false;
    if (!end_patient(&w)) {
        *is_limit = w.is_limit;
        return -1;
    }
    if (!sort_obx(x, out))
        return -1;
    for (uint32_t i = 0; i < out->n_orders; i++)
        if (out->orders[i].has_several)
            choose_specimen(x, out, i);
    return 0;
}
