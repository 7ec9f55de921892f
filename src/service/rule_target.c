/*
 * NAME
 *     rule_target - gene targets beside an overall result, and the vaccine strain
 * DESCRIPTION
 *     STANDARDS 8.5 "Several OBX of the same test and specimen": a test without the caution SINGLE_TARGET is the overall result and
 *     decides; its targets go into its notes and are dropped as PART_OF_OVERALL. Only single targets: when all agree, the first
 *     carries the result and the others are dropped; when they differ, all are held. Targets are the rows of the tests table with the
 *     same tested_for. A vaccine strain found holds itself and every positive of the same pathogen in the record: that positive may
 *     be the vaccine.
 * DIAGNOSTICS
 *     None. Records of more than 512 observations are not searched: their single targets are held.
 */
#include <string.h>

#include "rule_inner.h"

#define SEARCH_MAX 512u

struct group {
    bool has_overall, has_strain, differs;
    size_t targets, codes;              /* single targets; with another code than ours */
    const struct rec_observation *first;
};

static bool is_same_code(const struct rec_observation *a, const struct rec_observation *b)
{
    return a->code.n && b->code.n && span_eq(a->code.v[0].code, b->code.v[0].code) && span_eq(a->code.v[0].system, b->code.v[0].system);
}

static bool counts(const struct rec_observation *o)
{
    return o->role == OBS_RESULT && o->status != OBS_ST_NOT_ASKED && o->status != OBS_ST_ORDER_ONLY && o->status != OBS_ST_DELETED &&
           o->status != OBS_ST_WITHDRAWN;
}

static void look(struct rule_scope *x, const struct rule_found *found, const struct outcome *mine, struct group *g)
{
    for (size_t i = 0; i < x->r->n; i++) {
        const struct rec_observation *o = &x->r->observations[i];
        struct rule_found f;
        struct outcome other;
        if (!counts(o))
            continue;
        rule_find_test(x->rs, x->r, o, &f);
        if (!f.test || !span_eq(f.test->tested_for, found->test->tested_for))
            continue;
        if (f.test->cautions & CAUTION_VACCINE_STRAIN) {
            rule_derive(x, o, &f, &other);
            g->has_strain = g->has_strain || other.kind == OUTCOME_POSITIVE;
            continue;
        }
        if (!(f.test->cautions & CAUTION_SINGLE_TARGET)) {
            g->has_overall = g->has_overall || o != x->obs;
            continue;
        }
        g->targets++;
        if (!g->first)
            g->first = o;
        if (o == x->obs)
            continue;
        g->codes += !is_same_code(o, x->obs);
        rule_derive(x, o, &f, &other);
        if (other.kind != mine->kind)
            g->differs = true;
    }
}

static bool decide(struct rule_result *out, enum rule_action action, const char *reason)
{
    out->action = action;
    out->reason = reason;
    return true;
}

bool rule_check_targets(struct rule_scope *x, const struct rule_found *found, const struct outcome *o, struct rule_result *out)
{
    struct group g = {0};
    unsigned cautions = found->test->cautions;
    if (cautions & CAUTION_VACCINE_STRAIN) {
        /* Its negative says nothing about the disease either: only "no result" and withdrawals go on. */
        if (o->kind == OUTCOME_POSITIVE || o->kind == OUTCOME_NEGATIVE || o->kind == OUTCOME_INCONCLUSIVE)
            return decide(out, RULE_HOLD, "VACCINE_STRAIN");
        return false;
    }
    if (!found->test->has_targets || o->kind == OUTCOME_WITHDRAW)
        return false;
    bool is_target = (cautions & CAUTION_SINGLE_TARGET) != 0;
    if (x->r->n > SEARCH_MAX)
        return is_target ? decide(out, RULE_HOLD, "SINGLE_TARGET") : false;
    if (x->r->n < 2)
        return false;
    look(x, found, o, &g);
    if (g.has_strain && o->kind == OUTCOME_POSITIVE)
        return decide(out, RULE_HOLD, "VACCINE_STRAIN");
    if (!is_target)
        return false;
    if (g.has_overall)
        return decide(out, RULE_DROP, "PART_OF_OVERALL");
    if (!g.codes)                       /* the same target several times (OBX-4): each is its own result */
        return false;
    if (g.differs)
        return decide(out, RULE_HOLD, "SINGLE_TARGET");
    return g.first == x->obs ? false : decide(out, RULE_DROP, "PART_OF_OVERALL");
}
