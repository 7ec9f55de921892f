/*
 * NAME fhir_persons - Patients of a message that has no result: one record each, with nothing but the patient (STANDARDS 8.9).
 *
 * A lone Patient, or the usable Patients of a Bundle without Observations. These records are used only where a route sends persons; to
 * the others the message stays what it is: a lone Patient is not taken, a Bundle without results has nothing to deliver.
 * DIAGNOSTICS those of reading a Patient.
 */
#include "fhir_ctx.h"

static bool read_one(struct fhir_ctx *x, struct fhir_res *r, struct record *out)
{
    const struct fhir_ref subject = {.res = r};
    struct fhir_list warnings = {0};
    *out = (struct record){.message = x->message};
    x->at = r;
    size_t from = x->n_warns;
    fhir_patient_read(x, &subject, &out->patient);
    if (r->patient && r->warn_to <= from)
        from = r->warn_from;
    if (!span_is(x->message->processing_id, "P"))
        fhir_list_add(x->a, &warnings, SPAN_LIT("W_NONPRODUCTION"));
    for (size_t i = from; i < x->n_warns; i++)
        fhir_list_add(x->a, &warnings, FHIR_CAT(x->a, span_of(x->warns[i].name), SPAN_LIT(" "), x->warns[i].where));
    out->warnings = fhir_list_done(&warnings);
    return !arena_is_full(x->a);
}

bool fhir_persons_read(struct fhir_ctx *x, struct parsed *out)
{
    struct parsed_persons *p = arena_zalloc(x->a, sizeof *p);
    struct parsed told = {.raw = out->raw};
    size_t cap = 0;
    if (!p)
        return false;
    if (x->kind == FHIR_LONE && !x->message->sent_at.prec)
        x->message->sent_at = fhir_ts_get(x, fhir_get(x->tree->root, "meta"), "lastUpdated", NULL);
    for (size_t i = 0; i < x->n_res && !x->is_refused; i++) {
        struct fhir_res *r = &x->res[i];
        if (!span_is(r->type, "Patient") || !fhir_is_usable(r))
            continue;
        if (!arena_grow(x->a, &p->records, p->n_records, &cap, sizeof *p->records) || !read_one(x, r, &p->records[p->n_records]))
            return false;
        p->n_records++;
    }
    fhir_issues_done(x, &told);
    p->problems = told.problems;
    p->n_problems = told.n_problems;
    p->fate = x->is_refused ? (x->is_rejected ? PARSE_REJECT : PARSE_REFUSE) : PARSE_ACCEPT;
    if (p->n_records || p->fate != PARSE_ACCEPT)
        out->persons = p;
    return !arena_is_full(x->a);
}
