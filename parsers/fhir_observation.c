/*
 * NAME fhir_observation - an Observation and its components to observations of a record (STANDARDS 6.3, 8.3).
 *
 * A component inherits status, times, method and device; its sub-id is its place. An Observation that has components or members and
 * says nothing itself is a panel. dataAbsentReason never hides an interpretation: both are kept. The key is "code|LN|sub-id" as the
 * HL7 v2 reader makes it; of two that would have the same key the second gets its place as sub-id.
 * DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

size_t fhir_observation_count(const struct fhir_node *o)
{
    return 1 + fhir_count(o, "component");
}

static bool is_after(struct span url, const char *tail)
{
    size_t n = strlen(tail);
    return url.n >= n && memcmp(url.p + url.n - n, tail, n) == 0;
}

static void make_key(struct fhir_ctx *x, struct rec_observation *o)
{
    const struct rec_codes *c = &o->code;
    if (c->n == 0 && !c->text.n)
        return;
    struct span code = c->n == 0 ? c->text : c->v[0].code.n ? c->v[0].code : c->v[0].display;
    struct span system = c->n ? fhir_system_short(x, c->v[0].system) : SPAN_ABSENT;
    o->key = FHIR_CAT(x->a, code, SPAN_LIT("|"), system, SPAN_LIT("|"), o->sub_id);
}

static void read_interpretation(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *out)
{
    struct fhir_list codes = {0}, texts = {0};
    bool has_text = false;
    FHIR_EACH(i, o, "interpretation") {
        const struct fhir_node *coding = NULL;
        FHIR_EACH(c, i, "coding") {
            struct span system = fhir_system(x, fhir_text(c, "system"));
            bool is_known = is_after(system, "/v3-ObservationInterpretation") || is_after(system, "/v2-0078");
            if (!coding || is_known)
                coding = c;
            if (is_known)
                break;
        }
        struct span code = span_trim(fhir_text(coding, "code")), text = fhir_text(coding, "display");
        if (!text.n)
            text = fhir_text(i, "text");
        if (!code.n && !text.n)
            continue;
        fhir_list_add(x->a, &codes, code);
        fhir_list_add(x->a, &texts, text);
        has_text |= text.n > 0;
    }
    out->interpretation = fhir_list_done(&codes);
    if (has_text)
        out->interpretation_text = fhir_list_done(&texts);
}

static struct span one_range(struct fhir_ctx *x, const struct fhir_node *r)
{
    struct span text = span_trim(fhir_text(r, "text"));
    struct span low = span_trim(fhir_text(fhir_get(r, "low"), "value")), high = span_trim(fhir_text(fhir_get(r, "high"), "value"));
    if (text.n || (!low.n && !high.n))
        return text;
    if (low.n && high.n)
        return FHIR_CAT(x->a, low, SPAN_LIT("-"), high);
    return FHIR_CAT(x->a, low.n ? SPAN_LIT(">=") : SPAN_LIT("<="), low.n ? low : high);
}

static void read_range(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *out)
{
    FHIR_EACH(r, o, "referenceRange") {
        struct span one = one_range(x, r);
        if (one.n)
            out->range = out->range.n ? FHIR_CAT(x->a, out->range, SPAN_LIT("; "), one) : one;
    }
}

static void read_absent(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *out)
{
    const struct fhir_node *d = fhir_get(o, "dataAbsentReason");
    out->absent = fhir_code_of(x, d, "data-absent-reason");
    if (!out->absent.n)
        out->absent = fhir_text(d, "text");
}

/* What Observation and component share */
static void read_common(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *out)
{
    out->path = fhir_path(x->a, o, NULL);
    out->code = fhir_codes(x, fhir_get(o, "code"));
    fhir_value_read(x, o, out);
    read_absent(x, o, out);
    read_interpretation(x, o, out);
    read_range(x, o, out);
}

static void read_device(struct fhir_ctx *x, const struct fhir_res *r, struct rec_observation *out)
{
    const struct fhir_node *ref = fhir_get(r->node, "device");
    struct rec_id *id = ref ? arena_zalloc(x->a, sizeof *id) : NULL;
    if (!id)
        return;
    struct fhir_ref d = fhir_refer(x, ref, r, "Device");
    const struct fhir_node *device = d.res && span_is(d.res->type, "Device") ? d.res->node : NULL;
    struct span name = fhir_text(fhir_get(device, "deviceName"), "name");
    if (device && fhir_get(device, "identifier") && fhir_id(x, fhir_get(device, "identifier"), id)) {
        id->ns = name.n ? name : fhir_text(device, "manufacturer");
        id->authority = SPAN_ABSENT;
        id->type = SPAN_ABSENT;
    } else if (!fhir_get(ref, "identifier") || !fhir_id(x, fhir_get(ref, "identifier"), id)) {
        id->value = name.n ? name : fhir_text(ref, "display");
    }
    id->path = fhir_path(x->a, ref, NULL);
    if (id->value.n)
        out->device = (struct rec_ids){id, 1};
}

static struct rec_ts read_effective(struct fhir_ctx *x, const struct fhir_node *o, struct fhir_list *notes)
{
    if (fhir_get(o, "effectiveDateTime"))
        return fhir_ts_get(x, o, "effectiveDateTime", notes);
    if (fhir_get(o, "effectivePeriod"))
        return fhir_ts_get(x, fhir_get(o, "effectivePeriod"), "start", notes);
    if (fhir_get(o, "effectiveInstant"))
        return fhir_ts_get(x, o, "effectiveInstant", notes);
    return fhir_ts_get(x, fhir_get(o, "effectiveTiming"), "event", notes);
}

static void read_times(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *out)
{
    struct fhir_list notes = {0};
    struct rec_ts when = read_effective(x, o, &notes);
    FHIR_EACH(e, o, "extension")
        if (is_after(fhir_text(e, "url"), "/observation-analysis-date-time"))
            out->analysed_at = fhir_ts_get(x, e, "valueDateTime", &notes);
    if (x->o->effective == FHIR_EFFECTIVE_COLLECTION)
        out->observed_at = when;
    else if (!out->analysed_at.prec)
        out->analysed_at = when;
    struct fhir_list all = {0};
    FHIR_EACH(n, o, "note")
        if (fhir_text(n, "text").n)
            fhir_list_add(x->a, &all, fhir_text(n, "text"));
    for (size_t i = 0; i < notes.n; i++)
        fhir_list_add(x->a, &all, notes.v[i]);
    out->notes = fhir_list_done(&all);
}

static void read_status(const struct fhir_node *o, bool is_withdrawn, struct rec_observation *out)
{
    out->status_raw = fhir_text(o, "status");
    if (!fhir_status_obs(out->status_raw, &out->status))
        out->status = OBS_ST_UNKNOWN;
    if (out->status == OBS_ST_CANCELLED && span_is(out->absent, "not-asked"))
        out->status = OBS_ST_NOT_ASKED;
    if (is_withdrawn)
        out->status = OBS_ST_WITHDRAWN;
}

static bool says_nothing(const struct rec_observation *o)
{
    return o->value.type == REC_V_NONE && !o->interpretation.n;
}

static enum obs_role role_of(struct fhir_ctx *x, const struct fhir_res *r, const struct rec_observation *o)
{
    if (fhir_value_attachment(r->node))
        return OBS_ATTACHMENT;
    if (r->is_question)
        return OBS_QUESTION;
    if (says_nothing(o) && (fhir_get(r->node, "component") || fhir_get(r->node, "hasMember")))
        return OBS_PANEL;
    struct fhir_ref focus = fhir_refer(x, fhir_get(r->node, "focus"), r, "Specimen");
    return focus.res && span_is(focus.res->type, "Specimen") ? OBS_SPECIMEN_LEVEL : OBS_RESULT;
}

static struct span number_text(struct fhir_ctx *x, size_t n)
{
    return n == 1 ? SPAN_LIT("1") : arena_printf(x->a, "%zu", n);
}

void fhir_observation_read(struct fhir_ctx *x, const struct fhir_res *r, bool is_withdrawn, struct rec_observation *out)
{
    const struct fhir_node *o = r->node;
    size_t place = 0;
    *out = (struct rec_observation){.parts = 1 + r->older};
    read_common(x, o, out);
    read_status(o, is_withdrawn, out);
    out->unique_id = fhir_id_value(x, o, NULL);
    out->method = fhir_codes(x, fhir_get(o, "method"));
    read_device(x, r, out);
    read_times(x, o, out);
    out->role = role_of(x, r, out);
    if (out->role == OBS_ATTACHMENT)
        out->value.type = REC_V_OTHER;
    make_key(x, out);
    FHIR_EACH(c, o, "component") {
        struct rec_observation *sub = &out[++place];
        *sub = (struct rec_observation){.parts = 1, .status = out->status, .status_raw = out->status_raw, .observed_at = out->observed_at,
                                        .analysed_at = out->analysed_at, .method = out->method, .device = out->device, .unique_id = out->unique_id};
        sub->role = r->is_question ? OBS_QUESTION : out->role == OBS_SPECIMEN_LEVEL ? OBS_SPECIMEN_LEVEL : OBS_RESULT;
        sub->sub_id = number_text(x, place);
        read_common(x, c, sub);
        make_key(x, sub);
    }
}

/* ---- keys that would be the same ---- */

static size_t hash(struct span s, size_t h)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * (size_t)1099511628211ULL;
    return h ^ h >> 29;
}

struct seen { size_t first, times; };       /* index + 1 of the one with that key, how often it was wanted */

/* What tells two of one code apart: sub-id, else their own identifier */
static struct span unique_of(const struct rec_observation *o)
{
    return o->sub_id.n ? SPAN_ABSENT : o->unique_id;
}

static struct seen *seek(struct seen *table, size_t size, const struct rec_observation *v, const struct rec_observation *o)
{
    size_t h = hash(unique_of(o), hash(o->key, (size_t)14695981039346656037ULL)) & (size - 1);
    for (; table[h].first; h = (h + 1) & (size - 1)) {
        const struct rec_observation *f = &v[table[h].first - 1];
        if (span_eq(f->key, o->key) && span_eq(unique_of(f), unique_of(o)))
            break;
    }
    return &table[h];
}

bool fhir_observations_number(struct fhir_ctx *x, struct rec_observation *v, size_t n)
{
    size_t size = 8;
    if (n < 2)
        return true;
    while (size < 4 * n)
        size *= 2;
    struct seen *table = arena_array(x->a, size, sizeof *table);
    if (!table)
        return false;
    for (size_t k = 0; k < n; k++) {
        struct rec_observation *o = &v[k];
        struct seen *same = seek(table, size, v, o), *s = same;
        struct span sub = o->sub_id, stem = span_cut(o->key, 0, o->key.n - (o->key.n ? sub.n : 0));
        for (; s->first; s = seek(table, size, v, o)) {         /* until the new key is nobody's */
            struct span times = number_text(x, ++same->times);
            o->sub_id = sub.n ? FHIR_CAT(x->a, sub, SPAN_LIT("."), times) : times;
            o->key = FHIR_CAT(x->a, stem, o->sub_id);
            if (arena_is_full(x->a))
                return false;
        }
        *s = (struct seen){k + 1, 1};
    }
    return true;
}
