/*
 * NAME fhir_patient - Patient to rec_patient (STANDARDS 8.1), with the letters that HL7 v2 uses for sex, name type and address use.
 *
 * Nothing is guessed: old identifiers and names are not used, a nickname is no name. A subject that is not in the message but has an
 * identifier becomes a patient with that identifier alone. DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

static struct span letter(struct span use, const char *const (*map)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(use, map[i][0]))
            return span_of(map[i][1]);
    return SPAN_ABSENT;
}
#define LETTER(use, map) letter((use), (map), sizeof(map) / sizeof(map)[0])

static void read_ids(struct fhir_ctx *x, const struct fhir_node *o, struct rec_patient *p, struct fhir_list *flags)
{
    struct rec_id *v = NULL;
    size_t n = 0, cap = 0;
    FHIR_EACH(i, o, "identifier") {
        struct rec_id id;
        if (span_is(fhir_text(i, "use"), "old") || !fhir_id(x, i, &id) || !arena_grow(x->a, &v, n, &cap, sizeof *v))
            continue;
        if (span_is(id.type, "ANON"))
            fhir_list_add(x->a, flags, SPAN_LIT("ANONYMOUS"));
        v[n++] = id;
    }
    p->ids = (struct rec_ids){v, n};
}

static unsigned name_rank(struct span use)
{
    static const char *const order[] = {"official", "usual", "", "maiden", "temp"};
    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++)
        if (span_is(use, order[i]) || (!use.n && !*order[i]))
            return i;
    return 99;
}

static struct span join(struct fhir_ctx *x, struct span a, const char *with, struct span b)
{
    return a.n && b.n ? FHIR_CAT(x->a, a, span_of(with), b) : a.n ? a : b;
}

static void read_name(struct fhir_ctx *x, const struct fhir_node *o, struct rec_patient *p, struct fhir_list *flags)
{
    static const char *const uses[][2] = {{"official", "L"}, {"usual", "D"}, {"maiden", "M"}, {"temp", "TEMP"}};
    const struct fhir_node *best = NULL;
    bool is_masked = false;
    FHIR_EACH(n, o, "name") {
        struct span use = fhir_text(n, "use");
        is_masked |= span_is(use, "anonymous");
        bool has_text = fhir_text(n, "family").n || fhir_text(n, "given").n || fhir_text(n, "text").n;
        if (has_text && name_rank(use) < 99 && (!best || name_rank(use) < name_rank(fhir_text(best, "use"))))
            best = n;
    }
    if (is_masked)
        fhir_list_add(x->a, flags, SPAN_LIT("MASKED_NAME"));
    if (!best)
        return;
    p->family_name = span_trim(fhir_text(best, "family"));
    p->name_text = fhir_text(best, "text");
    p->name_use = LETTER(fhir_text(best, "use"), uses);
    FHIR_EACH(g, best, "given") {
        struct span given = span_trim(g->text);
        if (!p->given_name.n)
            p->given_name = given;
        else
            p->middle_name = join(x, p->middle_name, " ", given);
    }
    if (!p->family_name.n && !p->given_name.n && x->o->name_text == FHIR_NAME_TEXT_LAST)
        p->family_name = span_trim(p->name_text);
}

static void read_sex(struct fhir_ctx *x, const struct fhir_node *o, struct rec_patient *p)
{
    static const char *const sexes[][2] = {{"female", "F"}, {"male", "M"}, {"other", "O"}, {"unknown", "U"}};
    struct span gender = fhir_text(o, "gender");
    p->sex = LETTER(gender, sexes);
    if (gender.n && !p->sex.n)
        fhir_doubt(x, "W_UNKNOWN_SEX", "code-invalid", o, "gender", "This is no administrative gender");
}

static void read_addresses(struct fhir_ctx *x, const struct fhir_node *o, struct rec_patient *p)
{
    static const char *const uses[][2] = {{"home", "H"}, {"work", "B"}, {"temp", "C"}, {"billing", "BI"}};
    struct rec_address *v = NULL;
    size_t n = 0, cap = 0;
    FHIR_EACH(a, o, "address") {
        struct rec_address r = {.city = fhir_text(a, "city"), .district = fhir_text(a, "district"), .state = fhir_text(a, "state"),
                                .postal_code = fhir_text(a, "postalCode"), .country = fhir_text(a, "country")};
        FHIR_EACH(l, a, "line")
            r.line = join(x, r.line, ", ", l->text);
        if (!r.line.n)
            r.line = fhir_text(a, "text");
        r.use = LETTER(fhir_text(a, "use"), uses);
        bool is_empty = !(r.line.n || r.city.n || r.district.n || r.state.n || r.postal_code.n || r.country.n);
        if (!is_empty && !span_is(fhir_text(a, "use"), "old") && arena_grow(x->a, &v, n, &cap, sizeof *v))
            v[n++] = r;
    }
    p->address = (struct rec_addresses){v, n};
    record_patient_home(p);
}

static void read_telecoms(struct fhir_ctx *x, const struct fhir_node *o, struct rec_patient *p)
{
    struct fhir_list phone = {0}, email = {0};
    FHIR_EACH(t, o, "telecom") {
        struct span system = fhir_text(t, "system"), value = span_trim(fhir_text(t, "value"));
        if (!value.n || span_is(fhir_text(t, "use"), "old"))
            continue;
        if (span_is(system, "email"))
            fhir_list_add(x->a, &email, value);
        else if (!system.n || span_is(system, "phone") || span_is(system, "sms"))
            fhir_list_add(x->a, &phone, value);
    }
    p->phone = fhir_list_done(&phone);
    p->email = fhir_list_done(&email);
}

static void read_links(struct fhir_ctx *x, const struct fhir_res *r, struct rec_patient *p, struct fhir_list *flags)
{
    struct rec_id *old = NULL;
    size_t n = 0, cap = 0;
    if (span_is(fhir_text(r->node, "active"), "false"))
        fhir_list_add(x->a, flags, SPAN_LIT("INACTIVE"));
    FHIR_EACH(l, r->node, "link") {
        struct span type = fhir_text(l, "type");
        const struct fhir_node *id = fhir_get(fhir_get(l, "other"), "identifier");
        if (span_is(type, "replaced-by")) {
            fhir_list_add(x->a, flags, SPAN_LIT("REPLACED"));
        } else if (span_is(type, "replaces") && id && arena_grow(x->a, &old, n, &cap, sizeof *old) && fhir_id(x, id, &old[n])) {
            n++;
        }
    }
    p->old_ids = (struct rec_ids){old, n};
}

static void read_all(struct fhir_ctx *x, const struct fhir_res *r, struct rec_patient *p)
{
    const struct fhir_node *o = r->node;
    struct fhir_list flags = {0}, notes = {0};
    p->is_present = true;
    p->path = fhir_path(x->a, o, NULL);
    read_ids(x, o, p, &flags);
    read_name(x, o, p, &flags);
    p->birth_date = fhir_ts_get(x, o, "birthDate", &notes);
    read_sex(x, o, p);
    struct span dead = fhir_text(o, "deceasedBoolean");
    p->deceased = span_is(dead, "true") ? SPAN_LIT("Y") : span_is(dead, "false") ? SPAN_LIT("N") : fhir_text(o, "deceasedDateTime");
    read_addresses(x, o, p);
    read_telecoms(x, o, p);
    read_links(x, r, p, &flags);
    p->flags = fhir_list_done(&flags);
    p->notes = fhir_list_done(&notes);
}

/* Known by an identifier only */
static void read_reference(struct fhir_ctx *x, const struct fhir_ref *subject, struct rec_patient *p)
{
    struct rec_id *id = subject->value.n ? arena_zalloc(x->a, sizeof *id) : NULL;
    if (!id)
        return;
    const struct fhir_node *n = fhir_get(subject->node, "identifier");
    if (!n || !fhir_id(x, n, id)) {
        id->value = subject->value;
        if (span_starts(subject->system, "urn:oid:"))
            id->oid = span_from(subject->system, 8);
        else
            id->authority = subject->system;
        id->path = fhir_path(x->a, subject->node, "reference");
    }
    p->ids = (struct rec_ids){id, 1};
    p->is_present = true;
    p->path = fhir_path(x->a, subject->node, NULL);
}

void fhir_patient_read(struct fhir_ctx *x, const struct fhir_ref *subject, struct rec_patient *out)
{
    struct fhir_res *r = subject->res;
    *out = (struct rec_patient){0};
    if (!r) {
        if (!subject->is_several)
            read_reference(x, subject, out);
        return;
    }
    if (!span_is(r->type, "Patient"))
        return;
    if (!r->patient) {
        r->patient = arena_zalloc(x->a, sizeof *r->patient);
        if (!r->patient)
            return;
        r->warn_from = x->n_warns;
        read_all(x, r, r->patient);
        r->warn_to = x->n_warns;
    }
    *out = *r->patient;
}

void fhir_visit_read(struct fhir_ctx *x, const struct fhir_node *encounter, const struct fhir_res *from, struct rec_patient *out)
{
    struct fhir_ref r = fhir_refer(x, encounter, from, "Encounter");
    const struct fhir_node *id = r.res && span_is(r.res->type, "Encounter") ? fhir_get(r.res->node, "identifier") : fhir_get(encounter, "identifier");
    if (id)
        (void)fhir_id(x, id, &out->visit);
}
