/*
 * NAME fhir_specimen - Specimen to rec_specimen (STANDARDS 8.2). The id that a laboratory gave comes first, the orderer's last.
 * DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

static struct span first_of(struct span a, struct span b)
{
    return a.n ? a : b;
}

static void read_ids(struct fhir_ctx *x, const struct fhir_node *o, struct rec_specimen *s)
{
    struct span placer = first_of(fhir_id_value(x, o, "PLAC"), fhir_id_value(x, o, "PGN"));
    struct span filler = first_of(fhir_id_value(x, o, "FILL"), fhir_id_value(x, o, "FGN"));
    s->id = first_of(span_trim(fhir_text(fhir_get(o, "accessionIdentifier"), "value")), first_of(filler, fhir_id_value(x, o, NULL)));
    if (s->id.n)
        s->placer_id = placer;
    else
        s->id = placer;
}

void fhir_specimen_read(struct fhir_ctx *x, const struct fhir_res *specimen, struct rec_specimen *out)
{
    struct fhir_list notes = {0};
    *out = (struct rec_specimen){.role = SPAN_LIT("P")};
    if (!specimen)
        return;
    const struct fhir_node *o = specimen->node, *collection = fhir_get(o, "collection");
    struct span status = fhir_text(o, "status");
    out->path = fhir_path(x->a, o, NULL);
    read_ids(x, o, out);
    out->type = fhir_codes(x, fhir_get(o, "type"));
    out->site = fhir_codes(x, fhir_get(collection, "bodySite"));
    out->method = fhir_codes(x, fhir_get(collection, "method"));
    if (fhir_get(collection, "collectedDateTime"))
        out->collected_at = fhir_ts_get(x, collection, "collectedDateTime", &notes);
    else
        out->collected_at = fhir_ts_get(x, fhir_get(collection, "collectedPeriod"), "start", &notes);
    out->received_at = fhir_ts_get(x, o, "receivedTime", &notes);
    out->is_rejected = span_is(status, "unsatisfactory") || span_is(status, "entered-in-error");
    FHIR_EACH(n, o, "note")
        if (fhir_text(n, "text").n)
            fhir_list_add(x->a, &notes, fhir_text(n, "text"));
    out->notes = fhir_list_done(&notes);
}
