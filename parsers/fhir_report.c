/*
 * NAME fhir_report - DiagnosticReports, and Observations that no report names, to records (STANDARDS 6.3 "result walk", 8.2).
 *
 * One record = one patient, one report, one specimen. Each Observation stands in exactly one record: that of the first report that
 * names it (through `result` or a panel's `hasMember`), else one of its own with its members. What a panel, then the report, says of
 * subject and specimen holds for an Observation that does not say it; another subject makes another record, never the same.
 * A report without results but with conclusionCode gives one observation; with nothing but a conclusion one that no table maps.
 * DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

struct item {                           /* an Observation on its way into a record */
    struct fhir_res *obs;
    struct fhir_ref subject;
    struct fhir_res *specimen;
    bool is_ambiguous;
    uint32_t group;
};

struct group { struct fhir_ref subject; struct fhir_res *specimen; bool is_ambiguous; uint32_t n_items; size_t n_places; };

struct walk {                           /* one report, or one Observation without */
    struct fhir_ctx *x;
    struct fhir_res *report;
    struct item *items;
    size_t n, cap;
    struct group *groups;
    size_t n_groups, cap_groups;
    struct fhir_ref subject;
    struct fhir_res *specimen;
    bool is_ambiguous;
};

/* ---- which observations ---- */

static bool is_same_subject(const struct fhir_ref *a, const struct fhir_ref *b)
{
    if (a->res || b->res)
        return a->res == b->res;
    if (!a->node || !b->node)
        return a->node == b->node;
    return span_eq(a->value, b->value) && span_eq(a->system, b->system) &&
           span_eq(fhir_text(a->node, "reference"), fhir_text(b->node, "reference"));
}

static uint32_t group_of(struct walk *w, const struct item *it)
{
    for (size_t i = w->n_groups; i > 0; i--) {
        const struct group *g = &w->groups[i - 1];
        if (g->specimen == it->specimen && g->is_ambiguous == it->is_ambiguous && is_same_subject(&g->subject, &it->subject))
            return (uint32_t)(i - 1);
    }
    if (w->n_groups >= FHIR_MAX_GROUPS) {
        if (!w->x->is_refused)
            fhir_error(w->x, "too-costly", it->obs->node, NULL, "One report speaks of more than 1000 patients and specimens");
        return 0;
    }
    if (!arena_grow(w->x->a, &w->groups, w->n_groups, &w->cap_groups, sizeof *w->groups))
        return 0;
    w->groups[w->n_groups] = (struct group){it->subject, it->specimen, it->is_ambiguous, 0, 0};
    return (uint32_t)w->n_groups++;
}

static struct fhir_ref own_subject(struct walk *w, struct fhir_res *r)
{
    return fhir_refer(w->x, fhir_get(r->node, "subject"), r, "Patient");
}

static void add_observation(struct walk *w, struct fhir_res *obs, const struct item *above, unsigned depth);

static void add_members(struct walk *w, struct fhir_res *obs, const struct item *it, unsigned depth)
{
    FHIR_EACH(m, obs->node, "hasMember") {
        struct fhir_res *r = fhir_refer_to(w->x, m, obs, "Observation");
        if (!r)
            fhir_warn(w->x, "W_UNRESOLVED_MEMBER", m, NULL);
        else if (depth + 1 > FHIR_MAX_REF_DEPTH)
            fhir_warn(w->x, "W_TOO_DEEP", m, NULL);
        else if (r->is_taken)
            fhir_warn(w->x, "W_CIRCULAR_OR_SHARED", m, NULL);
        else
            add_observation(w, r, it, depth + 1);
    }
}

static void add_observation(struct walk *w, struct fhir_res *obs, const struct item *above, unsigned depth)
{
    struct item it = {.obs = obs, .subject = above->subject, .specimen = above->specimen, .is_ambiguous = above->is_ambiguous};
    const struct fhir_node *specimen = fhir_get(obs->node, "specimen");
    w->x->at = obs;
    obs->is_taken = true;
    if (fhir_get(obs->node, "subject")) {
        it.subject = own_subject(w, obs);
        if (above->subject.node && !is_same_subject(&it.subject, &above->subject))
            fhir_warn(w->x, "W_SUBJECT_DIFFERS", obs->node, "subject");
    }
    if (specimen) {
        it.specimen = fhir_refer_to(w->x, specimen, obs, "Specimen");
        it.is_ambiguous = false;
        if (!it.specimen)
            fhir_warn(w->x, "W_UNRESOLVED_SPECIMEN", obs->node, "specimen");
    }
    it.group = group_of(w, &it);
    if (!arena_grow(w->x->a, &w->items, w->n, &w->cap, sizeof *w->items))
        return;
    w->items[w->n++] = it;
    w->groups[it.group].n_items++;
    w->groups[it.group].n_places += fhir_observation_count(obs->node);
    add_members(w, obs, &it, depth);
}

/* ---- report ---- */

static struct fhir_res *order_of(struct fhir_ctx *x, const struct fhir_res *r, const struct fhir_node **ref)
{
    FHIR_EACH(b, r->node, "basedOn") {
        struct fhir_res *sr = fhir_refer_to(x, b, r, "ServiceRequest");
        *ref = b;
        if (sr)
            return sr;
    }
    return NULL;
}

/* Placer number: of the order, or the logical reference to it */
static struct span placer_of(struct fhir_ctx *x, const struct fhir_res *r)
{
    const struct fhir_node *ref = NULL;
    struct fhir_res *order = order_of(x, r, &ref);
    struct span id = order ? fhir_id_value(x, order->node, "PLAC") : span_trim(fhir_text(fhir_get(ref, "identifier"), "value"));
    return id.n || !order ? id : fhir_id_value(x, order->node, NULL);
}

static bool read_organization(struct fhir_ctx *x, const struct fhir_node *ref, const struct fhir_res *from, struct rec_lab *lab)
{
    struct fhir_ref r = fhir_refer(x, ref, from, "Organization");
    if (r.res && span_is(r.res->type, "PractitionerRole")) {
        from = r.res;
        ref = fhir_get(from->node, "organization");
        r = fhir_refer(x, ref, from, "Organization");
    }
    if (r.res && span_is(r.res->type, "Organization")) {
        lab->name = fhir_text(r.res->node, "name");
        lab->id = fhir_id_value(x, r.res->node, NULL);
    } else if (!r.res && (span_starts(fhir_text(ref, "reference"), "Organization/") || span_is(fhir_text(ref, "type"), "Organization"))) {
        lab->name = fhir_text(ref, "display");
        lab->id = r.value;
    }
    return lab->name.n || lab->id.n;
}

static bool read_labs(struct fhir_ctx *x, const struct fhir_res *r, const char *member, struct rec_lab *lab)
{
    for (const struct fhir_node *p = fhir_child(r->node, member, strlen(member)); p; p = fhir_next(p))
        if (read_organization(x, p, r, lab))
            return true;
    return false;
}

static void read_lab(struct walk *w, uint32_t group, struct rec_lab *lab)
{
    struct fhir_ctx *x = w->x;
    for (size_t i = 0; i < w->n; i++)
        if (w->items[i].group == group && read_labs(x, w->items[i].obs, "performer", lab))
            return;
    if (w->report && read_labs(x, w->report, "performer", lab))
        return;
    if (x->composition && read_labs(x, x->composition, "author", lab))
        return;
    lab->id = x->message->source_facility.value.n ? x->message->source_facility.value : x->message->source_app.value;
}

static struct rec_ts issued_of(struct walk *w, uint32_t group, struct fhir_list *notes)
{
    struct fhir_ctx *x = w->x;
    struct rec_ts t = {0};
    if (w->report)
        t = fhir_ts_get(x, w->report->node, "issued", notes);
    for (size_t i = 0; i < w->n && !t.prec; i++)
        if (w->items[i].group == group)
            t = fhir_ts_get(x, w->items[i].obs->node, "issued", NULL);
    if (!t.prec && x->composition)
        t = fhir_ts_get(x, x->composition->node, "date", NULL);
    return t;
}

static void read_attachments(struct walk *w, uint32_t group, struct rec_report *out)
{
    struct rec_attachment *v = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct fhir_node *a = w->items[i].group == group ? fhir_value_attachment(w->items[i].obs->node) : NULL;
        if (!a || !arena_grow(w->x->a, &v, n, &cap, sizeof *v))
            continue;
        fhir_attachment_read(w->x, a, &v[n++]);
        struct rec_codes code = fhir_codes(w->x, fhir_get(w->items[i].obs->node, "code"));
        if (!v[n - 1].title.n)
            v[n - 1].title = fhir_codes_text(&code);
    }
    const struct fhir_node *report = w->report ? w->report->node : NULL;
    FHIR_EACH(p, report, "presentedForm")
        if (arena_grow(w->x->a, &v, n, &cap, sizeof *v))
            fhir_attachment_read(w->x, p, &v[n++]);
    out->attachments = (struct rec_attachments){v, n};
}

static void read_report(struct walk *w, uint32_t group, struct rec_report *out)
{
    struct fhir_ctx *x = w->x;
    struct fhir_list notes = {0};
    const struct fhir_res *r = w->report ? w->report : w->items[0].obs;
    out->path = fhir_path(x->a, r->node, NULL);
    out->code = fhir_codes(x, fhir_get(r->node, "code"));
    out->status_raw = fhir_text(r->node, "status");
    const char *status = fhir_status_report(out->status_raw);
    out->status = span_of(status ? status : "unknown");
    out->filler_id = fhir_id_value(x, r->node, "FILL");
    if (!out->filler_id.n)
        out->filler_id = fhir_id_value(x, r->node, NULL);
    out->placer_id = placer_of(x, r);
    for (size_t i = 0; i < w->n && !out->placer_id.n; i++)
        if (w->items[i].group == group)
            out->placer_id = placer_of(x, w->items[i].obs);
    if (!out->placer_id.n)
        out->placer_id = fhir_id_value(x, r->node, "PLAC");
    out->issued_at = issued_of(w, group, &notes);
    read_lab(w, group, &out->lab);
    read_attachments(w, group, out);
    if (w->report && w->n && fhir_text(r->node, "conclusion").n)
        fhir_list_add(x->a, &notes, fhir_text(r->node, "conclusion"));
    if (w->report && w->n)
        FHIR_EACH(c, r->node, "conclusionCode") {
            struct rec_codes code = fhir_codes(x, c);
            if (fhir_codes_text(&code).n)
                fhir_list_add(x->a, &notes, FHIR_CAT(x->a, SPAN_LIT("Conclusion "), fhir_codes_text(&code)));
        }
    out->notes = fhir_list_done(&notes);
}

/* ---- conclusion instead of results ---- */

static bool has_conclusion(const struct fhir_res *report)
{
    if (fhir_text(report->node, "conclusion").n)
        return true;
    FHIR_EACH(c, report->node, "conclusionCode")
        if (fhir_get(c, "coding") || fhir_text(c, "text").n)
            return true;
    return false;
}

static void add_codes(struct fhir_ctx *x, const struct fhir_node *report, struct rec_value *v)
{
    struct fhir_list texts = {0};
    struct rec_coding *all = NULL;
    size_t n = 0, cap = 0;
    FHIR_EACH(c, report, "conclusionCode") {
        struct rec_codes code = fhir_codes(x, c);
        struct span text = fhir_codes_text(&code);
        for (size_t i = 0; i < code.n; i++)
            if (arena_grow(x->a, &all, n, &cap, sizeof *all))
                all[n++] = code.v[i];
        if (text.n)
            fhir_list_add(x->a, &texts, text);
        if (!v->codings.text.n)
            v->codings.text = code.text;
    }
    v->codings.v = all;
    v->codings.n = n;
    if (texts.n) {
        v->type = REC_V_CODED;
        v->text = texts.v[0];
        v->raw = texts.v[0];
        v->data_type = SPAN_LIT("CodeableConcept");
    }
    if (texts.n > 1)
        v->repeats = fhir_list_done(&texts);
}

static void read_conclusion(struct fhir_ctx *x, const struct fhir_res *report, struct rec_observation *o)
{
    const struct fhir_node *n = report->node;
    struct span text = fhir_text(n, "conclusion");
    *o = (struct rec_observation){.parts = 1, .role = OBS_RESULT, .code = fhir_codes(x, fhir_get(n, "code"))};
    o->path = fhir_path(x->a, n, NULL);
    o->value.path = fhir_path(x->a, fhir_get(n, "conclusionCode") ? fhir_get(n, "conclusionCode") : fhir_get(n, "conclusion"), NULL);
    add_codes(x, n, &o->value);
    if (o->value.type == REC_V_NONE) {
        o->value.type = REC_V_OTHER;            /* prose: held, whatever it says */
        o->value.text = o->value.raw = text;
        o->value.data_type = SPAN_LIT("conclusion");
    } else if (text.n) {
        struct fhir_list notes = {0};
        fhir_list_add(x->a, &notes, text);
        o->notes = fhir_list_done(&notes);
    }
    const char *status = fhir_status_report(fhir_text(n, "status"));
    o->status_raw = fhir_text(n, "status");
    if (!fhir_status_obs(o->status_raw, &o->status))
        o->status = !status ? OBS_ST_UNKNOWN : strcmp(status, "amended") == 0 ? OBS_ST_AMENDED : OBS_ST_PRELIMINARY;    /* appended, partial */
    struct span code = o->code.n ? o->code.v[0].code.n ? o->code.v[0].code : o->code.v[0].display : o->code.text;
    o->key = FHIR_CAT(x->a, code, SPAN_LIT("|"), o->code.n ? fhir_system_short(x, o->code.v[0].system) : SPAN_ABSENT, SPAN_LIT("|"));
}

/* ---- records ---- */

static void add_warnings(struct fhir_ctx *x, size_t from, size_t to, struct fhir_list *l)
{
    for (size_t i = from; i < to; i++)
        fhir_list_add(x->a, l, FHIR_CAT(x->a, span_of(x->warns[i].name), SPAN_LIT(" "), x->warns[i].where));
}

static void read_specimen(struct walk *w, const struct group *g, struct record *r)
{
    struct fhir_ctx *x = w->x;
    struct rec_specimen *s = &r->specimen;
    const struct fhir_res *top = w->report ? w->report : w->items[0].obs;
    const struct fhir_node *ref = NULL;
    fhir_specimen_read(x, g->specimen, s);
    s->is_ambiguous = g->is_ambiguous;
    struct fhir_res *order = order_of(x, top, &ref);
    if (!order && w->n)
        order = order_of(x, w->items[0].obs, &ref);
    if (!s->id.n && order)
        s->id = fhir_id_value(x, order->node, NULL);
    if (!s->id.n && order)
        s->id = fhir_id_value(x, order->node, "PLAC");
    if (!s->id.n && w->report)
        s->id = r->report.filler_id;
    if (x->o->effective == FHIR_EFFECTIVE_COLLECTION && !s->collected_at.prec && w->report)
        s->collected_at = fhir_get(top->node, "effectivePeriod") ? fhir_ts_get(x, fhir_get(top->node, "effectivePeriod"), "start", NULL)
                                                                  : fhir_ts_get(x, top->node, "effectiveDateTime", NULL);
    for (size_t i = 0; i < r->n && !s->collected_at.prec; i++)
        if (r->observations[i].role == OBS_RESULT)
            s->collected_at = r->observations[i].observed_at;
}

static bool read_observations(struct walk *w, uint32_t group, struct record *r)
{
    const struct group *g = &w->groups[group];
    bool is_withdrawn = w->report && span_is(fhir_text(w->report->node, "status"), "entered-in-error");
    bool is_conclusion = w->n == 0 && w->report && has_conclusion(w->report);
    r->observations = arena_alloc(w->x->a, (g->n_places + 1) * sizeof *r->observations);
    if (!r->observations)
        return false;
    r->n = 0;
    for (size_t i = 0; i < w->n && g->n_items; i++)
        if (w->items[i].group == group) {
            w->x->at = w->items[i].obs;
            fhir_observation_read(w->x, w->items[i].obs, is_withdrawn, &r->observations[r->n]);
            r->n += fhir_observation_count(w->items[i].obs->node);
        }
    if (is_conclusion) {
        w->x->n_conclusions++;
        read_conclusion(w->x, w->report, &r->observations[r->n++]);
    }
    return fhir_observations_number(w->x, r->observations, r->n);
}

static void check_subject(struct fhir_ctx *x, const struct fhir_ref *s)
{
    if (!s->node || (s->res && span_is(s->res->type, "Patient") && fhir_is_usable(s->res)))
        return;
    if (s->res || s->is_several)
        fhir_warn(x, s->is_several ? "W_AMBIGUOUS_SUBJECT" : "W_SUBJECT_NOT_PATIENT", s->node, NULL);
    else if (!s->value.n)
        fhir_doubt(x, "W_UNRESOLVED_SUBJECT", "not-found", s->node, "reference", "The subject is not in the message");
}

static bool read_record(struct walk *w, uint32_t group)
{
    struct fhir_ctx *x = w->x;
    struct fhir_list warnings = {0};
    size_t from = x->n_warns;
    if (!arena_grow(x->a, &x->records, x->n_records, &x->cap_records, sizeof *x->records))
        return false;
    struct record *r = &x->records[x->n_records++];
    *r = (struct record){.message = x->message};
    const struct group *g = &w->groups[group];
    struct fhir_res *top = w->report ? w->report : w->items[0].obs;
    x->at = top;
    fhir_patient_read(x, &g->subject, &r->patient);
    check_subject(x, &g->subject);
    const struct fhir_node *visit = fhir_get(top->node, "encounter");
    if (visit)
        fhir_visit_read(x, visit, top, &r->patient);
    read_report(w, group, &r->report);
    if (!read_observations(w, group, r))
        return false;
    read_specimen(w, g, r);
    if (!span_is(x->message->processing_id, "P"))       /* test data that are to be held: every record says it */
        fhir_list_add(x->a, &warnings, SPAN_LIT("W_NONPRODUCTION"));
    const struct fhir_res *p = g->subject.res;
    if (p && p->patient && p->warn_to <= from)
        add_warnings(x, p->warn_from, p->warn_to, &warnings);
    add_warnings(x, from, x->n_warns, &warnings);
    r->warnings = fhir_list_done(&warnings);
    return !arena_is_full(x->a);
}

/* A batch: what points to a refused Patient or Specimen is refused with it. */
static bool leans_on_refused(struct fhir_ctx *x, struct fhir_res *r)
{
    static const char *const members[] = {"subject", "specimen"};
    if (x->kind != FHIR_BATCH || x->n_errors == 0)
        return false;
    for (size_t i = 0; i < 2; i++)
        for (const struct fhir_node *n = fhir_child(r->node, members[i], strlen(members[i])); n; n = fhir_next(n)) {
            struct fhir_ref to = fhir_refer(x, n, r, i ? "Specimen" : "Patient");
            if (to.res && to.res->issue) {
                x->at = r;
                fhir_error(x, "business-rule", n, NULL, "It refers to an entry that was refused");
                return true;
            }
        }
    return false;
}

static void report_specimen(struct walk *w)
{
    const struct fhir_node *first = fhir_get(w->report->node, "specimen");
    if (!first)
        return;
    if (fhir_next(first)) {
        w->is_ambiguous = true;
        return;
    }
    w->specimen = fhir_refer_to(w->x, first, w->report, "Specimen");
    if (!w->specimen)
        fhir_warn(w->x, "W_UNRESOLVED_SPECIMEN", first, NULL);
}

static bool read_one_report(struct fhir_ctx *x, struct fhir_res *report)
{
    struct walk w = {.x = x, .report = report};
    x->at = report;
    w.subject = own_subject(&w, report);
    report_specimen(&w);
    const struct item above = {.subject = w.subject, .specimen = w.specimen, .is_ambiguous = w.is_ambiguous};
    FHIR_EACH(ref, report->node, "result") {
        struct fhir_res *obs = fhir_refer_to(x, ref, report, "Observation");
        if (!obs)
            fhir_warn(x, "W_UNRESOLVED_RESULT", ref, NULL);
        else if (obs->is_taken)
            fhir_warn(x, "W_SHARED_RESULT", ref, NULL);
        else
            add_observation(&w, obs, &above, 0);
    }
    if (w.n == 0)
        (void)group_of(&w, &above);
    for (uint32_t i = 0; i < w.n_groups && !x->is_refused; i++)
        if (!read_record(&w, i))
            return false;
    return !arena_is_full(x->a);
}

static bool read_alone(struct fhir_ctx *x, struct fhir_res *obs)
{
    struct walk w = {.x = x};
    const struct item above = {0};
    add_observation(&w, obs, &above, 0);
    for (uint32_t i = 0; i < w.n_groups && w.n && !x->is_refused; i++)
        if (!read_record(&w, i))
            return false;
    return !arena_is_full(x->a);
}

/* Who is named in hasMember, and who answers a question of an order */
static void mark(struct fhir_ctx *x)
{
    for (size_t i = 0; i < x->n_res; i++) {
        struct fhir_res *r = &x->res[i];
        bool is_obs = span_is(r->type, "Observation"), is_order = span_is(r->type, "ServiceRequest");
        if (!fhir_is_usable(r) || (!is_obs && !is_order))
            continue;
        for (const struct fhir_node *m = is_obs ? fhir_get(r->node, "hasMember") : fhir_get(r->node, "supportingInfo"); m; m = fhir_next(m)) {
            struct fhir_res *to = fhir_refer_to(x, m, r, "Observation");
            if (to && is_obs)
                to->is_member = true;
            else if (to)
                to->is_question = true;
        }
    }
}

bool fhir_reports_read(struct fhir_ctx *x)
{
    for (size_t i = 0; i < x->n_res; i++)
        if (fhir_is_usable(&x->res[i]) && (span_is(x->res[i].type, "Observation") || span_is(x->res[i].type, "DiagnosticReport")))
            (void)leans_on_refused(x, &x->res[i]);
    x->at = NULL;
    x->is_reading = true;
    mark(x);
    for (size_t i = 0; i < x->n_res; i++)
        if (span_is(x->res[i].type, "DiagnosticReport") && fhir_is_usable(&x->res[i]) && !read_one_report(x, &x->res[i]))
            return false;
    for (int is_last = 0; is_last < 2; is_last++)       /* heads of panels first; then what only a circle names */
        for (size_t i = 0; i < x->n_res; i++) {
            struct fhir_res *r = &x->res[i];
            if (!span_is(r->type, "Observation") || !fhir_is_usable(r) || r->is_taken || (r->is_member && !is_last))
                continue;
            x->at = r;
            if (!read_alone(x, r))
                return false;
        }
    x->at = NULL;
    return true;
}
