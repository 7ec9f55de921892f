/*
 * NAME hl7_obx - observations.
 *
 * OBX of one order with the same code and sub-id are lines of one value: the first carries flags and status, the texts are
 * joined, numbers lose their type (several numbers are never compared). D and X speak of a single OBX and stay apart.
 * Work is linear in the number of OBX: keys meet in a hash table, lines are joined once at the end.
 * DIAGNOSTICS problems 101, 102, 103 and warnings of the context.
 */
#include "hl7_obx.h"

#include <string.h>

void hl7_list_add(struct arena *a, struct hl7_list *l, struct span s)
{
    if (arena_grow(a, &l->v, l->n, &l->cap, sizeof *l->v))
        l->v[l->n++] = s;
}

struct rec_list hl7_list_done(const struct hl7_list *l)
{
    return (struct rec_list){l->v, l->n};
}

struct span hl7_list_join(struct arena *a, const struct hl7_list *l)
{
    size_t n = 0;
    if (l->n < 2)
        return l->n ? l->v[0] : SPAN_ABSENT;
    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].n + 1;
    char *p = arena_alloc(a, n + 1);
    if (!p)
        return SPAN_ABSENT;
    n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            p[n++] = '\n';
        if (l->v[i].n)
            memcpy(p + n, l->v[i].p, l->v[i].n);
        n += l->v[i].n;
    }
    return span_make(p, n);
}

void hl7_notes_add(struct hl7_ctx *x, const struct hl7_groups *g, struct hl7_notes notes, struct hl7_list *l)
{
    for (uint32_t i = notes.first; i != HL7_NONE; i = g->note[i].next) {
        struct span f = hl7_field(x, &x->segs[g->note[i].seg], 3), rep, text;
        struct hl7_list lines = {0};
        while (hl7_next_rep(x, &f, &rep)) {
            text = hl7_leaf(x, rep);
            if (text.n)
                hl7_list_add(x->a, &lines, text);
        }
        text = hl7_list_join(x->a, &lines);
        if (text.n)
            hl7_list_add(x->a, l, text);
    }
}

/* ---- status ---- */

static const struct { char code; enum obs_status status; } obx_status[] = {
    {'F', OBS_ST_FINAL}, {'P', OBS_ST_PRELIMINARY}, {'C', OBS_ST_CORRECTED}, {'A', OBS_ST_AMENDED}, {'B', OBS_ST_APPENDED},
    {'V', OBS_ST_VERIFIED}, {'U', OBS_ST_FINALIZED}, {'R', OBS_ST_UNVERIFIED}, {'S', OBS_ST_PRELIMINARY}, {'I', OBS_ST_REGISTERED},
    {'O', OBS_ST_ORDER_ONLY}, {'N', OBS_ST_NOT_ASKED}, {'X', OBS_ST_CANCELLED}, {'D', OBS_ST_DELETED}, {'W', OBS_ST_WITHDRAWN},
};

static const struct { char code; enum obs_status status; const char *report; } obr_status[] = {
    {'F', OBS_ST_FINAL, "final"}, {'P', OBS_ST_PRELIMINARY, "preliminary"}, {'C', OBS_ST_CORRECTED, "corrected"},
    {'O', OBS_ST_REGISTERED, "registered"}, {'S', OBS_ST_REGISTERED, "registered"}, {'I', OBS_ST_REGISTERED, "registered"},
    {'N', OBS_ST_REGISTERED, "registered"}, {'A', OBS_ST_PRELIMINARY, "partial"}, {'R', OBS_ST_UNVERIFIED, "partial"},
    {'M', OBS_ST_PRELIMINARY, "preliminary"}, {'X', OBS_ST_CANCELLED, "cancelled"},
};

static char status_letter(struct span code)
{
    if (code.n != 1)
        return 0;
    return code.p[0] >= 'a' && code.p[0] <= 'z' ? (char)(code.p[0] - 32) : code.p[0];
}

bool hl7_status_obx(struct span code, enum obs_status *out)
{
    for (size_t i = 0; i < sizeof obx_status / sizeof obx_status[0]; i++)
        if (obx_status[i].code == status_letter(code)) {
            *out = obx_status[i].status;
            return true;
        }
    return false;
}

bool hl7_status_obr(struct span code, enum obs_status *out, const char **report)
{
    for (size_t i = 0; i < sizeof obr_status / sizeof obr_status[0]; i++)
        if (obr_status[i].code == status_letter(code)) {
            *out = obr_status[i].status;
            *report = obr_status[i].report;
            return true;
        }
    return false;
}

static void read_status(struct hl7_ctx *x, struct hl7_order_ctx *oc, struct hl7_seg *s, struct rec_observation *o)
{
    o->status_raw = hl7_value(x, s, 11, 1);
    if (span_has(o->status_raw)) {
        if (!hl7_status_obx(o->status_raw, &o->status)) {
            o->status = OBS_ST_UNKNOWN;
            hl7_error(x, 103, "UNKNOWN_STATUS", s, 11);
        }
    } else if (oc->has_default) {
        o->status = oc->default_status;
    } else {
        o->status = OBS_ST_FINAL;
        hl7_warn(x, "W_NO_STATUS", 0);
    }
    if (HL7_IS(hl7_value(x, s, 31, 1), "D"))
        o->status = OBS_ST_DELETED;
}

/* ---- parts of an observation ---- */

static void read_key(struct hl7_ctx *x, struct hl7_seg *s, struct rec_observation *o)
{
    struct span f = hl7_field(x, s, 3), c[6] = {{0}}, code, system = SPAN_ABSENT;
    size_t n = hl7_split(hl7_rep1(x, f), x->d.comp, c, 6);
    o->code = f.n ? hl7_codes(x, hl7_rep1(x, f), x->d.comp) : (struct rec_codes){0};
    f = hl7_field(x, s, 4);
    o->sub_id = hl7_leaf(x, f);
    if (o->code.n == 0 && !o->code.text.n)
        return;
    code = o->code.n == 0 ? o->code.text : o->code.v[0].code.n ? o->code.v[0].code : o->code.v[0].display;
    bool is_first = n >= 1 && (hl7_leaf(x, c[0]).n || (n >= 2 && hl7_leaf(x, c[1]).n));
    size_t at = is_first ? 2 : 5;
    if (n > at)
        system = hl7_leaf(x, c[at]);
    o->key = HL7_CAT(x->a, code, SPAN_LIT("|"), system, SPAN_LIT("|"), o->sub_id);
}

static void read_interpretation(struct hl7_ctx *x, struct hl7_seg *s, struct rec_observation *o)
{
    struct hl7_list codes = {0}, texts = {0};
    struct span f = hl7_field(x, s, 8), rep;
    bool has_text = false;
    while (hl7_next_rep(x, &f, &rep)) {
        struct span c[5] = {{0}};
        size_t n = hl7_split(rep, x->d.comp, c, 5);
        struct span code = n ? hl7_leaf(x, c[0]) : SPAN_ABSENT, text = n > 1 ? hl7_leaf(x, c[1]) : SPAN_ABSENT;
        if (!code.n && n > 3)
            code = hl7_leaf(x, c[3]);
        if (!text.n && n > 4)
            text = hl7_leaf(x, c[4]);
        if (!code.n && !text.n)
            continue;
        hl7_list_add(x->a, &codes, code);
        hl7_list_add(x->a, &texts, text);
        has_text |= text.n > 0;
    }
    o->interpretation = hl7_list_done(&codes);
    if (has_text)
        o->interpretation_text = hl7_list_done(&texts);
}

static void read_unit(struct hl7_ctx *x, struct hl7_seg *s, struct rec_observation *o)
{
    struct span f = hl7_field(x, s, 6), c[6] = {{0}};
    if (!f.n)
        return;
    size_t n = hl7_split(hl7_rep1(x, f), x->d.comp, c, 6), at = 0;
    if (n > 3 && !hl7_leaf(x, c[0]).n && !hl7_leaf(x, c[1]).n)
        at = 3;
    o->unit.code = hl7_leaf(x, c[at]);
    if (n > at + 1)
        o->unit.display = hl7_leaf(x, c[at + 1]);
    struct span system = n > at + 2 ? hl7_leaf(x, c[at + 2]) : SPAN_ABSENT;
    if (system.n)
        o->unit.system = hl7_code_system(x, system);
}

static void read_devices(struct hl7_ctx *x, struct hl7_seg *s, struct rec_observation *o)
{
    struct span f = hl7_field(x, s, 18), rep;
    struct rec_id *v = NULL;
    size_t n = 0, cap = 0;
    while (hl7_next_rep(x, &f, &rep)) {
        struct rec_id id;
        if (!hl7_id_ei(x, rep, &id) || !arena_grow(x->a, &v, n, &cap, sizeof *v))
            continue;
        v[n] = id;
        v[n].path = hl7_where(x->a, s, 18, (unsigned)n + 1);
        n++;
    }
    o->device = (struct rec_ids){v, n};
}

static enum obs_role role_of(struct hl7_ctx *x, struct hl7_seg *s, const struct rec_observation *o, enum obs_role by_place)
{
    if (by_place != OBS_RESULT)
        return by_place;
    if (hl7_value_is_attachment(x, s))
        return OBS_ATTACHMENT;
    struct span type = hl7_value(x, s, 29, 1), sub = hl7_value(x, s, 30, 1);
    if (HL7_IS(type, "QST") || HL7_IS(type, "SCI") || HL7_IS(sub, "AOE") || HL7_IS(sub, "ASC"))
        return OBS_QUESTION;
    for (size_t i = 0; i < o->code.n; i++)
        if (HL7_IS(o->code.v[i].system, "local:IHELAW") && span_starts(o->code.v[i].code, "S_"))
            return OBS_PART;
    return OBS_RESULT;
}

static void read_notes(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_obx *obx, struct hl7_seg *s, struct rec_observation *o)
{
    struct hl7_list l = {0};
    struct span bad[2], t;
    o->observed_at = hl7_date_field(x, s, 14, &bad[0]);
    o->analysed_at = hl7_date_field(x, s, 19, &bad[1]);
    hl7_notes_add(x, g, obx->notes, &l);
    if (span_has(t = hl7_value(x, s, 9, 1)))
        hl7_list_add(x->a, &l, HL7_CAT(x->a, SPAN_LIT("Probability "), t));
    if (span_has(t = hl7_value(x, s, 28, 1)))
        hl7_list_add(x->a, &l, HL7_CAT(x->a, SPAN_LIT("Local process control "), t));
    for (size_t i = 0; i < 2; i++)
        if (bad[i].n)
            hl7_list_add(x->a, &l, bad[i]);
    o->notes = hl7_list_done(&l);
}

static void check(struct hl7_ctx *x, struct hl7_seg *s, bool is_valued)
{
    static const unsigned vital[] = {3, 5, 6};
    if (is_valued && hl7_is_blank(x, hl7_field(x, s, 3)))
        hl7_error(x, 101, "MISSING_FIELD", s, 3);
    for (size_t i = 0; x->has_bad_bytes && i < 3; i++) {
        struct span f = hl7_field(x, s, vital[i]);
        if (f.n && memmem(f.p, f.n, "\xef\xbf\xbd", 3))
            hl7_error(x, 102, "UNDECODABLE", s, vital[i]);
    }
}

void hl7_obx_read(struct hl7_ctx *x, struct hl7_order_ctx *oc, const struct hl7_obx *obx, struct rec_observation *o)
{
    struct hl7_seg *s = &x->segs[obx->seg];
    *o = (struct rec_observation){.parts = 1};
    o->value.path = hl7_where(x->a, s, 5, 0);
    o->path = span_cut(o->value.path, 0, o->value.path.n > 2 ? o->value.path.n - 2 : 0);
    read_key(x, s, o);
    bool is_valued = hl7_value_read(x, s, &o->value);
    check(x, s, is_valued);
    read_unit(x, s, o);
    o->range = hl7_leaf(x, hl7_field(x, s, 7));
    read_interpretation(x, s, o);
    read_status(x, oc, s, o);
    o->method = hl7_codes_field(x, s, 17);
    read_devices(x, s, o);
    o->unique_id = hl7_value(x, s, 21, 1);
    o->absent = hl7_value(x, s, 32, 1);
    read_notes(x, oc->g, obx, s, o);
    o->role = role_of(x, s, o, obx->role);
    if (o->role != OBS_RESULT && hl7_value_is_attachment(x, s)) {
        struct span title = o->code.n ? o->code.v[0].display.n ? o->code.v[0].display : o->code.v[0].code : SPAN_ABSENT;
        hl7_attach(x, s, title, &oc->attachments);
    }
}

/* ---- merging ---- */

struct merger {
    struct hl7_ctx *x;
    struct rec_observation *obs;    /* room for all: observations from the front, their parts from the back */
    size_t n_obx, n_parts;
    uint32_t *table;                /* hash -> index of obs + 1 */
    size_t mask;
    uint32_t *first, *last, *next;  /* chains of parts, by index of obs; 0 ends one (obs[0] is never a part) */
};

static size_t hash(struct span s)
{
    uint64_t h = 1469598103934665603ULL;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211ULL;
    return (size_t)(h ^ h >> 29);
}

static bool is_single(const struct rec_observation *o)
{
    return o->status == OBS_ST_DELETED || o->status == OBS_ST_CANCELLED || o->role != OBS_RESULT || !o->key.n;
}

/* The observation that o continues, or HL7_NONE after entering o as number k. */
static uint32_t find_or_enter(struct merger *m, const struct rec_observation *o, uint32_t k)
{
    size_t h = hash(o->key) & m->mask;
    for (; m->table[h]; h = (h + 1) & m->mask)
        if (span_eq(m->obs[m->table[h] - 1].key, o->key))
            return m->table[h] - 1;
    m->table[h] = k + 1;
    return HL7_NONE;
}

/* obs[from] becomes a part of obs[to] and makes room. */
static void add_part(struct merger *m, uint32_t to, size_t from)
{
    uint32_t me = (uint32_t)(m->n_obx - ++m->n_parts);
    m->obs[me] = m->obs[from];
    m->next[me] = 0;
    if (m->first[to])
        m->next[m->last[to]] = me;
    else
        m->first[to] = me;
    m->last[to] = me;
    m->obs[to].parts++;
}

static void list_union(struct arena *a, struct hl7_list *l, struct rec_list from)
{
    for (size_t i = 0; i < from.n; i++)
        hl7_list_add(a, l, from.v[i]);
}

static bool list_has(const struct hl7_list *l, struct span s)
{
    for (size_t i = 0; i < l->n && i < 64; i++)
        if (span_eq(l->v[i], s))
            return true;
    return false;
}

/* What gathers while the lines of one observation are joined. */
struct gather {
    struct hl7_list texts, raws, notes, interp, interp_text;
    struct rec_coding *codings;
    size_t n_codings, cap_codings;
    const struct rec_value *only;           /* the single value so far */
    size_t n_values;
    bool is_coded, has_number, has_interp_text, has_other_status, has_other_unit;
};

static void gather_one(struct hl7_ctx *x, struct gather *g, const struct rec_observation *o, const struct rec_observation *first)
{
    list_union(x->a, &g->notes, o->notes);
    for (size_t i = 0; i < o->interpretation.n; i++) {
        struct span text = i < o->interpretation_text.n ? o->interpretation_text.v[i] : SPAN_ABSENT;
        if (list_has(&g->interp, o->interpretation.v[i]))
            continue;
        hl7_list_add(x->a, &g->interp, o->interpretation.v[i]);
        hl7_list_add(x->a, &g->interp_text, text);
        g->has_interp_text |= text.n > 0;
    }
    g->has_other_status |= o->status != first->status;
    if (o->value.type == REC_V_NONE)
        return;
    g->has_other_unit |= !span_eq(o->unit.code, first->unit.code) || !span_eq(o->unit.display, first->unit.display);
    g->is_coded = (g->n_values == 0 || g->is_coded) && o->value.type == REC_V_CODED;
    g->has_number |= o->value.type != REC_V_CODED && o->value.type != REC_V_TEXT;
    g->has_number |= o->value.is_number_odd;
    g->only = &o->value;
    g->n_values++;
    if (o->value.repeats.n)
        list_union(x->a, &g->texts, o->value.repeats);
    else if (o->value.text.n)
        hl7_list_add(x->a, &g->texts, o->value.text);
    hl7_list_add(x->a, &g->raws, o->value.raw);
    for (size_t i = 0; i < o->value.codings.n; i++)
        if (arena_grow(x->a, &g->codings, g->n_codings, &g->cap_codings, sizeof *g->codings))
            g->codings[g->n_codings++] = o->value.codings.v[i];
}

static void join_parts(struct merger *m, uint32_t k)
{
    struct hl7_ctx *x = m->x;
    struct rec_observation *o = &m->obs[k];
    struct gather g = {0};
    struct rec_observation first = *o;
    gather_one(x, &g, &first, &first);
    for (uint32_t i = m->first[k]; i; i = m->next[i])
        gather_one(x, &g, &m->obs[i], &first);
    struct span path = o->value.path, type = o->value.data_type;
    if (g.n_values == 1) {
        o->value = *g.only;
        for (uint32_t i = m->first[k]; i; i = m->next[i])
            if (!o->unit.code.n && !o->unit.display.n && g.only == &m->obs[i].value)
                o->unit = m->obs[i].unit;
    } else if (g.n_values > 1) {
        o->value = (struct rec_value){.type = g.is_coded ? REC_V_CODED : REC_V_TEXT, .data_type = type, .path = path};
        o->value.text = hl7_list_join(x->a, &g.texts);
        o->value.repeats = hl7_list_done(&g.texts);
        o->value.raw = hl7_list_join(x->a, &g.raws);
        o->value.is_number_odd = g.has_number;
        if (g.is_coded)
            o->value.codings = (struct rec_codes){g.codings, g.n_codings, first.value.codings.text};
    }
    o->notes = hl7_list_done(&g.notes);
    o->interpretation = hl7_list_done(&g.interp);
    if (g.has_interp_text)
        o->interpretation_text = hl7_list_done(&g.interp_text);
    x->at_seg = NULL;
    if (g.has_other_status)
        hl7_warn_message(x, "W_STATUS_DIFFERS", "OBX");
    if (g.has_other_unit && g.n_values > 1)
        hl7_warn_message(x, "W_UNIT_DIFFERS", "OBX");
}

bool hl7_observations(struct hl7_ctx *x, struct hl7_order_ctx *oc, const uint32_t *index, size_t n, struct record *r)
{
    struct merger m = {.x = x, .n_obx = n};
    size_t size = 8;
    r->observations = NULL;
    r->n = 0;
    if (n == 0)
        return true;
    while (size < 2 * n)
        size *= 2;
    m.mask = size - 1;
    m.obs = r->observations = arena_alloc(x->a, n * sizeof *m.obs);
    m.table = n > 1 ? arena_array(x->a, size, sizeof *m.table) : NULL;
    if (!m.obs || (n > 1 && !m.table))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct rec_observation *o = &m.obs[r->n];
        hl7_obx_read(x, oc, &oc->g->obx[index[i]], o);
        uint32_t to = n > 1 && !is_single(o) ? find_or_enter(&m, o, (uint32_t)r->n) : HL7_NONE;
        if (to == HL7_NONE) {
            r->n++;
            continue;
        }
        if (!m.first) {
            m.first = arena_array(x->a, 3 * n, sizeof *m.first);
            if (!m.first)
                return false;
            m.last = m.first + n;
            m.next = m.last + n;
        }
        add_part(&m, to, r->n);
    }
    for (size_t k = 0; m.first && k < r->n; k++)
        if (m.first[k])
            join_parts(&m, (uint32_t)k);
    return !arena_is_full(x->a);
}
