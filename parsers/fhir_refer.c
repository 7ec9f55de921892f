/*
 * NAME fhir_refer - references inside a message (STANDARDS 6.2).
 *
 * Order: contained `#id`; fullUrl (with `/_history/n`: of that version); relative by the RESTful root of the entry it stands in;
 * the only resource of that type and id (W_LOOSE_REF); conditional `Patient?identifier=…` and logical identifier: the only resource
 * that has it, else the identifier itself. Several matches are no match. Nothing is ever fetched.
 * One hash table serves fullUrls ('U', with version 'V'), type and id ('T'), contained ids ('C'); another identifiers ('I'), made when
 * first asked for. So work is linear in the number of resources and references.
 * DIAGNOSTICS issues. OWNERSHIP arena.
 */
#include "fhir_ctx.h"

static uint64_t hash_more(uint64_t h, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211ULL;
    return (h ^ 0xff) * 1099511628211ULL;
}

static uint64_t hash_of(char kind, struct span a, struct span b, struct span c)
{
    uint64_t h = hash_more(hash_more(hash_more(1469598103934665603ULL ^ (unsigned char)kind, a), b), c);
    return h ^ h >> 29;
}

bool fhir_index_init(struct fhir_index *ix, struct arena *a, size_t n)
{
    size_t size = 16;
    while (size < 2 * n + 2)
        size *= 2;
    ix->v = arena_array(a, size, sizeof *ix->v);
    ix->mask = size - 1;
    return ix->v != NULL;
}

/* The slot with that key, or the empty one where it would stand. */
static struct fhir_slot *seek(const struct fhir_index *ix, char kind, struct span a, struct span b, struct span c)
{
    uint64_t h = hash_of(kind, a, b, c);
    struct fhir_slot *s;
    for (size_t i = (size_t)h & ix->mask;; i = (i + 1) & ix->mask) {
        s = &ix->v[i];
        if (!s->kind || (s->hash == h && s->kind == kind && span_eq(s->a, a) && span_eq(s->b, b) && span_eq(s->c, c)))
            return s;
    }
}

void fhir_index_add(struct fhir_index *ix, char kind, struct span a, struct span b, struct span c, struct fhir_res *r)
{
    struct fhir_slot *s = seek(ix, kind, a, b, c);
    if (!s->kind)
        *s = (struct fhir_slot){hash_of(kind, a, b, c), a, b, c, r, 0, kind};
    s->count += s->res != r || s->count == 0;
}

struct fhir_slot *fhir_index_find(const struct fhir_index *ix, char kind, struct span a, struct span b, struct span c)
{
    struct fhir_slot *s = ix->v ? seek(ix, kind, a, b, c) : NULL;
    return s && s->kind ? s : NULL;
}

/* ---- forms of reference ---- */

/* Cuts "/_history/n" off; the version or absent. */
static struct span cut_version(struct span *ref)
{
    static const char mark[] = "/_history/";
    for (size_t i = 0; i + sizeof mark - 1 < ref->n; i++)
        if (memcmp(ref->p + i, mark, sizeof mark - 1) == 0) {
            struct span version = span_from(*ref, i + sizeof mark - 1);
            *ref = span_cut(*ref, 0, i);
            return version;
        }
    return SPAN_ABSENT;
}

static bool is_absolute(struct span s)
{
    return span_starts(s, "urn:") || span_starts(s, "http://") || span_starts(s, "https://");
}

/* "Type/id" at the end: the two, and the root before them ("" or "http://…/"). */
static bool split_rest(struct span s, struct span *root, struct span *type, struct span *id)
{
    size_t end = s.n, slash;
    while (end > 0 && s.p[end - 1] != '/')
        end--;
    if (end < 2 || end == s.n)
        return false;
    *id = span_from(s, end);
    slash = end - 1;
    size_t start = slash;
    while (start > 0 && s.p[start - 1] != '/')
        start--;
    *type = span_cut(s, start, slash - start);
    *root = span_cut(s, 0, start);
    return type->n > 0 && type->p[0] >= 'A' && type->p[0] <= 'Z';
}

static struct fhir_res *find_contained(struct fhir_ctx *x, const struct fhir_res *from, struct span id)
{
    const struct fhir_res *top = from->container ? from->container : from;
    if (!id.n)
        return (struct fhir_res *)(uintptr_t)top;
    struct fhir_slot *s = top->n_contained ? fhir_index_find(&x->urls, 'C', id, fhir_container_key(&top->contained[0]), SPAN_ABSENT) : NULL;
    return s ? s->res : NULL;
}

static bool is_version(const struct fhir_res *r, struct span version)
{
    return !version.n || span_eq(r->version, version);
}

/* By fullUrl. Several of one fullUrl differ in version: the reference has to say which. */
static struct fhir_res *find_url(struct fhir_ctx *x, struct span url, struct span version)
{
    struct fhir_slot *s = fhir_index_find(&x->urls, 'U', url, SPAN_ABSENT, SPAN_ABSENT);
    if (!s)
        return NULL;
    if (s->count == 1)
        return is_version(s->res, version) ? s->res : NULL;
    if (version.n) {
        s = fhir_index_find(&x->urls, 'V', url, version, SPAN_ABSENT);
        return s ? s->res : NULL;
    }
    return s->res->is_left_out ? NULL : s->res;
}

static struct fhir_res *find_loose(struct fhir_ctx *x, struct span type, struct span id, struct span version, struct fhir_ref *out)
{
    struct fhir_slot *s = fhir_index_find(&x->urls, 'T', type, id, SPAN_ABSENT);
    if (!s || (s->count == 1 && !is_version(s->res, version)))
        return NULL;
    out->is_several = s->count > 1;
    return s->count == 1 ? s->res : NULL;
}

static void refer_relative(struct fhir_ctx *x, const struct fhir_res *from, struct span ref, struct span version, struct fhir_ref *out)
{
    const struct fhir_res *top = from->container ? from->container : from;
    struct span root, type, id, own_root, t, i;
    if (!split_rest(ref, &root, &type, &id) || root.n)
        return;
    out->res = find_url(x, ref, version);       /* senders that put "Patient/1" into fullUrl, too */
    if (out->res)
        return;
    if (top->full_url.n && split_rest(top->full_url, &own_root, &t, &i) && own_root.n) {
        out->res = find_url(x, FHIR_CAT(x->a, own_root, ref), version);
        if (out->res)
            return;
    }
    out->res = find_loose(x, type, id, version, out);
    if (out->res && out->res->full_url.n)
        fhir_warn(x, "W_LOOSE_REF", out->node, "reference");
}

static void refer_absolute(struct fhir_ctx *x, struct span ref, struct span version, const char *type, struct fhir_ref *out)
{
    struct span root, t, id;
    out->res = find_url(x, ref, version);
    if (out->res)
        return;
    /* entries without fullUrl are known by their id only */
    if (span_starts(ref, "urn:uuid:"))
        out->res = find_loose(x, span_of(type), span_from(ref, 9), version, out);
    else if (split_rest(ref, &root, &t, &id))
        out->res = find_loose(x, t, id, version, out);
    if (out->res && out->res->full_url.n)
        out->res = NULL;
    if (out->res)
        fhir_warn(x, "W_LOOSE_REF", out->node, "reference");
}

/* ---- identifiers ---- */

static bool index_identifiers(struct fhir_ctx *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n_res; i++)
        n += fhir_count(x->res[i].node, "identifier");
    if (!fhir_index_init(&x->ids, x->a, n))
        return false;
    for (size_t i = 0; i < x->n_res; i++) {
        struct fhir_res *r = &x->res[i];
        if (r->is_left_out || r->container)
            continue;
        FHIR_EACH(id, r->node, "identifier") {
            struct span value = span_trim(fhir_text(id, "value"));
            if (value.n)
                fhir_index_add(&x->ids, 'I', r->type, span_trim(fhir_text(id, "system")), value, r);
        }
    }
    return true;
}

static void refer_identifier(struct fhir_ctx *x, struct span type, struct fhir_ref *out)
{
    if (!out->value.n || (!x->ids.v && !index_identifiers(x)))
        return;
    struct fhir_slot *s = fhir_index_find(&x->ids, 'I', type, out->system, out->value);
    if (!s)
        return;
    out->is_several = s->count > 1;
    if (s->count == 1)
        out->res = s->res;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct span unescape_url(struct fhir_ctx *x, struct span s)
{
    if (span_find(s, '%') == s.n)
        return s;
    char *t = arena_alloc(x->a, s.n + 1);
    size_t n = 0;
    if (!t)
        return SPAN_ABSENT;
    for (size_t i = 0; i < s.n; i++) {
        int hi = i + 2 < s.n && s.p[i] == '%' ? hex(s.p[i + 1]) : -1, lo = hi >= 0 ? hex(s.p[i + 2]) : -1;
        if (lo > 0 || hi > 0) {
            t[n++] = (char)(unsigned char)(hi * 16 + lo);
            i += 2;
        } else {
            t[n++] = s.p[i];
        }
    }
    return span_make(t, n);
}

/* "Patient?identifier=sys|val" and no other parameter */
static bool read_conditional(struct fhir_ctx *x, struct span ref, struct span *type, struct fhir_ref *out)
{
    struct span query = span_from(ref, span_find(ref, '?') + 1), rest;
    *type = span_cut(ref, 0, span_find(ref, '?'));
    if (!span_starts(query, "identifier=") || span_find(query, '&') < query.n)
        return false;
    query = unescape_url(x, span_from(query, 11));
    size_t bar = span_find(query, '|');
    rest = bar < query.n ? span_from(query, bar + 1) : query;
    out->system = bar < query.n ? span_cut(query, 0, bar) : SPAN_ABSENT;
    out->value = rest;
    return rest.n > 0;
}

static void refer_conditional(struct fhir_ctx *x, struct span ref, struct fhir_ref *out)
{
    struct span type;
    if (!read_conditional(x, ref, &type, out)) {
        fhir_doubt(x, "W_UNRESOLVED", "not-supported", out->node, "reference", "Only identifier= is understood in a conditional reference");
        return;
    }
    if (x->kind != FHIR_TRANSACTION)
        fhir_warn(x, "W_COND_REF_OUTSIDE_TRANSACTION", out->node, "reference");
    refer_identifier(x, type, out);
    if (out->is_several)
        fhir_error(x, "multiple-matches", out->node, "reference", "Several resources match the conditional reference");
    else if (!out->res)
        fhir_warn(x, "W_COND_REF_UNRESOLVED", out->node, "reference");
}

struct fhir_ref fhir_refer(struct fhir_ctx *x, const struct fhir_node *node, const struct fhir_res *from, const char *type)
{
    struct fhir_ref out = {.node = node};
    struct span ref = span_trim(fhir_text(node, "reference")), version;
    const struct fhir_node *identifier = fhir_get(node, "identifier");
    if (!node)
        return out;
    if (ref.n && ref.p[0] == '#') {
        out.res = find_contained(x, from, span_from(ref, 1));
    } else if (span_find(ref, '?') < ref.n && !is_absolute(ref)) {
        refer_conditional(x, ref, &out);
        return out;
    } else if (ref.n) {
        version = cut_version(&ref);
        if (is_absolute(ref))
            refer_absolute(x, ref, version, type, &out);
        else
            refer_relative(x, from, ref, version, &out);
    }
    if (!out.res && identifier) {
        out.system = span_trim(fhir_text(identifier, "system"));
        out.value = span_trim(fhir_text(identifier, "value"));
        refer_identifier(x, span_of(type), &out);
    }
    return out;
}

struct fhir_res *fhir_refer_to(struct fhir_ctx *x, const struct fhir_node *node, const struct fhir_res *from, const char *type)
{
    struct fhir_ref r = fhir_refer(x, node, from, type);
    return r.res && span_is(r.res->type, type) && fhir_is_usable(r.res) ? r.res : NULL;
}
