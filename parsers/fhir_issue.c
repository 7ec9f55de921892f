/*
 * NAME fhir_issue - errors and remarks while a message is read, and small lists.
 *
 * An error in a batch concerns the entry it stands in; everywhere else the whole message. Each has the code of an OperationOutcome
 * (problem.name), a number of HL7 table 0357, and a FHIRPath: never a value. DIAGNOSTICS none. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

static int number_of(const char *issue)
{
    static const struct { const char *issue; int code; } map[] = {
        {"structure", 100}, {"required", 101}, {"value", 102}, {"code-invalid", 103}, {"not-supported", 200}, {"too-costly", 198}, {"too-long", 198}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (strcmp(map[i].issue, issue) == 0)
            return map[i].code;
    return 199;
}

static struct problem make(struct fhir_ctx *x, char severity, const char *issue, const struct fhir_node *at, const char *member, const char *text)
{
    struct problem p = {.severity = severity, .code = number_of(issue), .name = issue, .text = text};
    p.expression = at ? fhir_path(x->a, at, member) : SPAN_ABSENT;
    size_t n = p.expression.n < sizeof p.where ? p.expression.n : sizeof p.where - 1;
    if (n)
        memcpy(p.where, p.expression.p, n);
    return p;
}

void fhir_error(struct fhir_ctx *x, const char *issue, const struct fhir_node *at, const char *member, const char *text)
{
    bool is_alone = x->kind == FHIR_BATCH && x->at && !x->is_reading;
    if (!is_alone)
        x->is_refused = true;
    struct fhir_res *top = !x->at || x->is_reading ? NULL : x->at->container ? x->at->container : x->at;
    if (top && top->issue && is_alone && x->n_errors >= FHIR_MAX_ERRORS)
        return;
    if (x->n_errors < FHIR_MAX_ERRORS || (is_alone && !top->issue)) {
        struct problem p = make(x, 'E', issue, at, member, text);
        if (x->n_errors < FHIR_MAX_ERRORS && arena_grow(x->a, &x->errors, x->n_errors, &x->cap_errors, sizeof *x->errors))
            x->errors[x->n_errors++] = p;
        struct problem *kept = top && !top->issue ? arena_alloc(x->a, sizeof *kept) : NULL;
        if (kept) {
            *kept = p;
            top->issue = kept;
            x->at->issue = kept;
        }
    }
}

void fhir_warn(struct fhir_ctx *x, const char *name, const struct fhir_node *at, const char *member)
{
    if (x->n_warns >= FHIR_MAX_WARNS)
        return;
    if (arena_grow(x->a, &x->warns, x->n_warns, &x->cap_warns, sizeof *x->warns))
        x->warns[x->n_warns++] = (struct fhir_warn_at){name, at ? fhir_path(x->a, at, member) : SPAN_ABSENT};
    if (x->n_notices >= FHIR_MAX_NOTICES || !arena_grow(x->a, &x->notices, x->n_notices, &x->cap_notices, sizeof *x->notices))
        return;
    x->notices[x->n_notices++] = make(x, 'W', "informational", at, member, "Accepted with a remark");
    x->notices[x->n_notices - 1].name = name;
    x->notices[x->n_notices - 1].code = 0;
}

void fhir_doubt(struct fhir_ctx *x, const char *name, const char *issue, const struct fhir_node *at, const char *member, const char *text)
{
    if (x->o->is_strict)
        fhir_error(x, issue, at, member, text);
    else
        fhir_warn(x, name, at, member);
}

void fhir_issues_done(struct fhir_ctx *x, struct parsed *out)
{
    struct problem *v = arena_array(x->a, x->n_errors + x->n_notices + 1, sizeof *v);
    if (!v)
        return;
    if (x->n_errors)
        memcpy(v, x->errors, x->n_errors * sizeof *v);
    if (x->n_notices)
        memcpy(v + x->n_errors, x->notices, x->n_notices * sizeof *v);
    out->problems = v;
    out->n_problems = x->n_errors + x->n_notices;
}

void fhir_list_add(struct arena *a, struct fhir_list *l, struct span s)
{
    if (arena_grow(a, &l->v, l->n, &l->cap, sizeof *l->v))
        l->v[l->n++] = s;
}

struct rec_list fhir_list_done(const struct fhir_list *l)
{
    return (struct rec_list){l->v, l->n};
}

struct span fhir_cat(struct arena *a, const struct span *v, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += v[i].n;
    char *p = arena_alloc(a, len + 1);
    if (!p)
        return SPAN_ABSENT;
    len = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n)
            memcpy(p + len, v[i].p, v[i].n);
        len += v[i].n;
    }
    p[len] = 0;
    return span_make(p, len);
}
