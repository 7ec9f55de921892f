/*
 * NAME fhir_answer - which answer a frame of FHIR gets, and what must not come by HTTP (STANDARDS 6.1, 6.7).
 *
 * By file: one OperationOutcome in the form of the message. By HTTP: transaction-response, batch-response, the answer to $process-message,
 * or an OperationOutcome, in the form that was asked for. A transaction or batch of which nothing was taken gets the OperationOutcome alone.
 * DIAGNOSTICS none. OWNERSHIP appends to the caller's buf.
 */
#include "fhir_reply.h"

#include <string.h>

static bool is_good(enum frame_fate fate)
{
    return fate == FATE_STORED || fate == FATE_DUPLICATE;
}

void fhir_answer(struct buf *b, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc)
{
    size_t worst = 0;
    for (size_t i = 1; i < result->n; i++)      /* of several messages the first that was not stored speaks */
        if (fates[worst] == FATE_STORED && fates[i] != FATE_STORED)
            worst = i;
    const struct parsed *p = &result->v[worst];
    const struct fhir_info *info = fhir_info_of(p);
    const char *base = rc->ask.base ? rc->ask.base : "";
    enum rec_format form = rc->ask.form == ASK_FORM_XML ? REC_FHIR_XML : rc->ask.form == ASK_FORM_JSON ? REC_FHIR_JSON : info->format;
    bool is_many = (info->kind == FHIR_BATCH || info->kind == FHIR_TRANSACTION) && is_good(fates[worst]);
    if (rc->ask.at == ASK_AT_PROCESS && info->kind == FHIR_MESSAGE)
        fhir_reply_process(b, form, p, fates[worst], base, rc->now_us);
    else if (rc->ask.at == ASK_AT_BASE && is_many)
        fhir_reply_bundle(b, form, p, fates[worst], base, rc->now_us);
    else
        fhir_reply_message(b, form, p, fates[worst]);
}

static bool unfit(struct problem *why, const char *issue, const char *where, const char *text)
{
    *why = (struct problem){.severity = 'E', .code = 199, .name = issue, .text = text};
    memcpy(why->where, where, strlen(where) + 1);
    return false;
}

/* Prefer: handling=strict (STANDARDS 6.6). */
static bool is_all_known(const struct parsed *p, struct problem *why)
{
    for (size_t i = 0; i < p->n_problems; i++)
        if (p->problems[i].severity == 'W' && strcmp(p->problems[i].name, "W_UNKNOWN_ELEMENT") == 0) {
            (void)unfit(why, "invalid", p->problems[i].where, "R4 has no such element, and strict handling was asked for");
            why->expression = p->problems[i].expression;
            return false;
        }
    return true;
}

bool fhir_fits(const struct parsed *p, const struct ask *ask, struct problem *why)
{
    const struct fhir_info *info = fhir_info_of(p);
    switch (ask->at) {
    case ASK_AT_NONE:
        return true;
    case ASK_AT_PROCESS:
        if (info->kind != FHIR_MESSAGE)
            return unfit(why, "invalid", "Bundle.type", "$process-message takes a Bundle of type message");
        break;
    case ASK_AT_BASE:
        if (!span_is(info->root, "Bundle"))
            return unfit(why, "invalid", "", "A Bundle is taken here; a lone resource goes to its type");
        break;
    case ASK_AT_TYPE:
        if (!span_is(info->root, ask->type))
            return unfit(why, "invalid", "", "The resource is not of the type that the URL names");
        break;
    }
    if (info->kind == FHIR_SEARCHSET || info->kind == FHIR_HISTORY || info->kind == FHIR_NDJSON)
        return unfit(why, "invalid", "Bundle.type", "Bundles of this type are taken from files only");
    return !ask->is_strict || is_all_known(p, why);
}
