/*
 * NAME fhir_bundle - the resources of a message and their index (STANDARDS 6.1, 6.2).
 *
 * Every resource of an entry and every contained one gets a row. Left out: search outcomes, older versions in a history (the newest
 * of an id counts, older Observations are counted as part of it). Refused: two entries with one fullUrl and version, a transaction
 * that writes the same resource twice, methods other than POST and PUT.
 * DIAGNOSTICS issues; -1 when the arena is full. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

static const struct { const char *name; enum fhir_kind kind; } kinds[] = {
    {"transaction", FHIR_TRANSACTION}, {"batch", FHIR_BATCH}, {"message", FHIR_MESSAGE}, {"document", FHIR_DOCUMENT},
    {"collection", FHIR_COLLECTION}, {"searchset", FHIR_SEARCHSET}, {"history", FHIR_HISTORY},
};

enum fhir_kind fhir_bundle_kind(struct span type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (span_is(type, kinds[i].name))
            return kinds[i].kind;
    return FHIR_OTHER;
}

static void fill(struct fhir_res *r, const struct fhir_node *node, const struct fhir_node *entry, struct fhir_res *container, uint32_t place)
{
    *r = (struct fhir_res){.node = node, .entry = entry, .container = container, .place = place, .type = node->text};
    r->id = span_trim(fhir_text(node, "id"));
    r->version = span_trim(fhir_text(fhir_get(node, "meta"), "versionId"));
    if (!container)
        r->full_url = span_trim(fhir_text(entry, "fullUrl"));
}

static struct fhir_res *add_contained(struct fhir_ctx *x, struct fhir_res *next, struct fhir_res *r)
{
    r->contained = next;
    FHIR_EACH(c, r->node, "contained")
        if (c->flags & FHIR_RESOURCE) {
            fill(next, c, r->entry, r, r->place);
            if (next->id.n)
                fhir_index_add(&x->urls, 'C', next->id, fhir_container_key(next), SPAN_ABSENT, next);
            next++;
            r->n_contained++;
        }
    return next;
}

/* ---- rules about entries ---- */

static void check_request(struct fhir_ctx *x, struct fhir_res *r, const struct fhir_node *entry)
{
    const struct fhir_node *request = fhir_get(entry, "request");
    struct span method = fhir_text(request, "method");
    x->at = r;
    if (!request)
        fhir_doubt(x, "W_NO_REQUEST", "required", entry, "request", "An entry of a transaction or batch needs a request");
    else if (!span_is(method, "POST") && !span_is(method, "PUT"))
        fhir_error(x, "not-supported", request, "method", "Only POST and PUT are understood here");
}

/* fullUrl and id of RESTful entries have to agree */
static void check_url(struct fhir_ctx *x, struct fhir_res *r)
{
    struct span u = r->full_url;
    if (!u.n || !r->id.n || span_starts(u, "urn:") || (u.n > r->id.n && u.p[u.n - r->id.n - 1] == '/' && span_eq(span_from(u, u.n - r->id.n), r->id)))
        return;
    x->at = r;
    fhir_doubt(x, "W_FULLURL_DIFFERS", "value", r->entry, "fullUrl", "fullUrl does not end in the id of its resource");
}

static bool is_put(const struct fhir_res *r)
{
    return span_is(fhir_text(fhir_get(r->entry, "request"), "method"), "PUT");
}

static void add_to_index(struct fhir_ctx *x, struct fhir_res *r)
{
    struct fhir_slot *s;
    x->at = r;
    if (r->full_url.n) {
        s = fhir_index_find(&x->urls, 'V', r->full_url, r->version, SPAN_ABSENT);
        if (s && x->kind != FHIR_HISTORY)
            fhir_error(x, "invalid", r->entry, "fullUrl", "Two entries have this fullUrl");
        fhir_index_add(&x->urls, 'V', r->full_url, r->version, SPAN_ABSENT, r);
        fhir_index_add(&x->urls, 'U', r->full_url, SPAN_ABSENT, SPAN_ABSENT, r);
    }
    if (!r->id.n)
        return;
    s = fhir_index_find(&x->urls, 'T', r->type, r->id, SPAN_ABSENT);
    if (s && x->kind == FHIR_TRANSACTION && is_put(r) && is_put(s->res))
        fhir_error(x, "invalid", r->entry, "request", "The transaction writes this resource twice");
    fhir_index_add(&x->urls, 'T', r->type, r->id, SPAN_ABSENT, r);
}

/* ---- history ---- */

static uint32_t places_of(const struct fhir_res *r)
{
    uint32_t n = span_is(r->type, "Observation") ? (uint32_t)fhir_observation_count(r->node) : 0;
    for (uint32_t i = 0; i < r->n_contained; i++)
        n += places_of(&r->contained[i]);
    return n;
}

static bool is_newer(const struct fhir_res *a, const struct fhir_res *b)
{
    int64_t va, vb;
    if (span_int(a->version, &va) && span_int(b->version, &vb) && va != vb)
        return va > vb;
    struct span ta = fhir_text(fhir_get(a->node, "meta"), "lastUpdated"), tb = fhir_text(fhir_get(b->node, "meta"), "lastUpdated");
    return ta.n && tb.n && span_cmp(ta, tb) > 0;    /* equal or unknown: the first in the Bundle is the newest (R4 http#history) */
}

static void leave_out(struct fhir_res *r)
{
    r->is_left_out = true;
    for (uint32_t i = 0; i < r->n_contained; i++)
        r->contained[i].is_left_out = true;
}

/* The newest of each type and id stays. Older Observations count as part of the newest. */
static void keep_newest(struct fhir_ctx *x, size_t n_entries)
{
    for (size_t i = 0; i < n_entries; i++) {
        struct fhir_res *r = &x->res[i];
        struct fhir_slot *s = r->id.n ? fhir_index_find(&x->urls, 'T', r->type, r->id, SPAN_ABSENT) : NULL;
        if (!s || s->res == r)
            continue;
        struct fhir_res *old = is_newer(r, s->res) ? s->res : r;
        struct fhir_res *newest = old == r ? s->res : r;
        s->res = newest;
        leave_out(old);
        if (span_is(newest->type, "Observation"))
            newest->older += old->older + places_of(old);
        old->older = 0;
    }
    for (size_t i = 0; i <= x->urls.mask; i++)
        if (x->urls.v[i].kind == 'T')
            x->urls.v[i].count = 1;
    for (size_t i = 0; i < n_entries; i++) {
        struct fhir_slot *s = fhir_index_find(&x->urls, 'U', x->res[i].full_url, SPAN_ABSENT, SPAN_ABSENT);
        if (s && !x->res[i].is_left_out)
            s->res = &x->res[i];
    }
}

/* ---- all of it ---- */

static void note_role(struct fhir_ctx *x, struct fhir_res *r)
{
    if (!x->header && span_is(r->type, "MessageHeader"))
        x->header = r;
    if (!x->composition && span_is(r->type, "Composition"))
        x->composition = r;
}

static int index_bundle(struct fhir_ctx *x, const struct fhir_node *bundle)
{
    size_t n_entries = 0, n = 0, i = 0;
    FHIR_EACH(e, bundle, "entry") {
        const struct fhir_node *res = fhir_get(e, "resource");
        n_entries += res && (res->flags & FHIR_RESOURCE);
        n += fhir_count(res, "contained");
    }
    int64_t max = x->o->max_entries > 0 ? x->o->max_entries : FHIR_DEFAULT_MAX_ENTRIES;
    if (n_entries > (uint64_t)max) {
        fhir_error(x, "too-costly", bundle, "entry", "The Bundle has more entries than max-entries allows");
        return 0;
    }
    x->res = arena_array(x->a, n + n_entries + 1, sizeof *x->res);
    if (!x->res || !fhir_index_init(&x->urls, x->a, 3 * n_entries + n))
        return -1;
    x->n_res = n_entries + n;
    struct fhir_res *next = x->res + n_entries;
    FHIR_EACH(e, bundle, "entry") {
        const struct fhir_node *res = fhir_get(e, "resource");
        if (!res || !(res->flags & FHIR_RESOURCE)) {
            x->at = NULL;
            const struct fhir_node *request = fhir_get(e, "request");
            if (request && (x->kind == FHIR_TRANSACTION || x->kind == FHIR_BATCH))
                fhir_error(x, "not-supported", request, "method", "Only POST and PUT of a resource are understood here");
            else
                fhir_doubt(x, "W_NO_RESOURCE", "structure", e, NULL, "The entry holds no resource");
            continue;
        }
        struct fhir_res *r = &x->res[i++];
        fill(r, res, e, NULL, e->index);
        next = add_contained(x, next, r);
        add_to_index(x, r);
        note_role(x, r);
        if (x->kind == FHIR_TRANSACTION || x->kind == FHIR_BATCH)
            check_request(x, r, e);
        if (span_is(fhir_text(fhir_get(e, "search"), "mode"), "outcome"))
            leave_out(r);
        check_url(x, r);
    }
    x->n_res = (size_t)(next - x->res);
    if (x->kind == FHIR_HISTORY)
        keep_newest(x, n_entries);
    x->at = NULL;
    return 0;
}

static int index_lone(struct fhir_ctx *x, const struct fhir_node *root)
{
    x->res = arena_array(x->a, fhir_count(root, "contained") + 1, sizeof *x->res);
    if (!x->res || !fhir_index_init(&x->urls, x->a, 3 + fhir_count(root, "contained")))
        return -1;
    fill(x->res, root, NULL, NULL, 0);
    x->n_res = (size_t)(add_contained(x, x->res + 1, x->res) - x->res);
    add_to_index(x, x->res);
    x->at = NULL;
    return 0;
}

int fhir_bundle_index(struct fhir_ctx *x)
{
    const struct fhir_node *root = x->tree->root;
    return fhir_is_type(root, "Bundle") ? index_bundle(x, root) : index_lone(x, root);
}
