/*
 * NAME fhir_place - what stands at a place of a FHIR message, for rules: fhir "Patient.extension('…').valueString".
 *
 * Patient, Observation, DiagnosticReport and Specimen are those of the record and the observation, found by the paths that the readers
 * left; a component stands for its Observation. Every other type: the first resource of it in the message, contained ones too.
 * The first value in the order of the message is the answer. Bounded by the budget. DIAGNOSTICS none.
 */
#include "fhir_place.h"

#include "fhir_tree.h"

static bool spend(unsigned *budget)
{
    if (!*budget)
        return false;
    --*budget;
    return true;
}

/* "Bundle.entry[3].resource" from the root; NULL when it leads nowhere. */
static const struct fhir_node *follow(const struct fhir_node *root, struct span path, unsigned *budget)
{
    const struct fhir_node *at = root;
    struct span part;
    if (!span_next(&path, '.', &part) || !span_eq(part, root->text))
        return NULL;
    while (at && span_next(&path, '.', &part)) {
        size_t open = span_find(part, '[');
        int64_t index = 0;
        struct span name = span_cut(part, 0, open);
        if (open < part.n && !span_int(span_cut(part, open + 1, part.n - open - 2), &index))
            return NULL;
        at = fhir_child(at, name.p, name.n);
        while (at && index-- > 0 && spend(budget))
            at = fhir_next(at);
    }
    return at;
}

/* The resource of that type at or above a node. */
static const struct fhir_node *resource(const struct fhir_node *at, const char *type)
{
    while (at && !fhir_is_type(at, type))
        at = at->parent;
    return at;
}

static const struct fhir_node *search(const struct fhir_node *at, const char *type, unsigned *budget)
{
    for (; at && spend(budget); at = at->next) {
        if (fhir_is_type(at, type))
            return at;
        const struct fhir_node *below = search(at->child, type, budget);
        if (below)
            return below;
    }
    return NULL;
}

static const struct fhir_node *start(const struct fhir_node *root, const struct record *r, const struct rec_observation *obs, const char *type, unsigned *budget)
{
    struct span path = SPAN_ABSENT;
    bool is_own = true;
    if (strcmp(type, "Patient") == 0)
        path = r->patient.path;
    else if (strcmp(type, "Observation") == 0)
        path = obs ? obs->path : SPAN_ABSENT;
    else if (strcmp(type, "DiagnosticReport") == 0)
        path = r->report.path;
    else if (strcmp(type, "Specimen") == 0)
        path = r->specimen.path;
    else
        is_own = false;
    if (is_own)
        return span_has(path) ? resource(follow(root, path, budget), type) : NULL;
    return fhir_is_type(root, type) ? root : search(root->child, type, budget);
}

static bool fits(const struct fhir_node *at, const struct rec_fhir_step *step, size_t i, unsigned *budget)
{
    if (i >= REC_FHIR_WHERE_MAX || !step->where[i].n)
        return i == 0 || span_eq(at->text, step->text);
    for (const struct fhir_node *c = fhir_child(at, step->where[i].p, step->where[i].n); c && spend(budget); c = fhir_next(c))
        if (fits(c, step, i + 1, budget))
            return true;
    return false;
}

static struct span value(const struct fhir_node *at, const struct rec_fhir_path *path, size_t i, unsigned *budget)
{
    if (i == path->n)
        return at->flags & FHIR_RESOURCE ? SPAN_ABSENT : at->text;
    const struct rec_fhir_step *step = &path->v[i];
    int met = 0;
    for (const struct fhir_node *c = fhir_child(at, step->name.p, step->name.n); c && spend(budget); c = fhir_next(c)) {
        if (!fits(c, step, 0, budget))
            continue;
        if (step->index >= 0 && met++ != step->index)
            continue;
        struct span found = value(c, path, i + 1, budget);
        if (span_has(found) || step->index >= 0)
            return found;
    }
    return SPAN_ABSENT;
}

struct span fhir_place_get(void *source, const struct record *r, const struct rec_observation *obs, const struct rec_fhir_path *path, unsigned *budget)
{
    const struct fhir_node *at = start(source, r, obs, path->type, budget);
    return at ? value(at, path, 0, budget) : SPAN_ABSENT;
}
