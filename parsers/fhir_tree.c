/*
 * NAME fhir_tree - nodes, paths and comparison of FHIR trees.
 *
 * A path shows [i] where an element may repeat: known by its name, so that JSON and XML give the same path.
 * DIAGNOSTICS none; a full arena gives NULL or absent. OWNERSHIP all in the arena.
 */
#include "fhir_tree.h"

size_t fhir_count(const struct fhir_node *o, const char *name)
{
    size_t n = 0;
    for (const struct fhir_node *c = o ? o->child : NULL; c; c = c->next)
        n += span_is(c->name, name);
    return n;
}

/* ---- paths ---- */

static bool is_repeating(const struct fhir_node *o)
{
    static const char *const names[] = {"entry", "identifier", "name", "given", "line", "telecom", "address", "coding", "category", "performer",
        "result", "hasMember", "component", "interpretation", "note", "referenceRange", "presentedForm", "conclusionCode", "basedOn",
        "contained", "extension", "modifierExtension", "link", "author", "specimen", "profile", "tag", "security", "deviceName"};
    if (o->index > 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is(o->name, names[i]))
            return true;
    return false;
}

static size_t digits_of(uint32_t v)
{
    size_t n = 1;
    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

/* A root's type is the sender's word: only what is a resource is repeated, or a name could stand in an error's place. */
static struct span root_word(const struct fhir_node *o)
{
    static const char *const known[] = {"Bundle", "DiagnosticReport", "Observation", "Patient", "Specimen", "ServiceRequest", "Organization", "Practitioner",
                                        "PractitionerRole", "Encounter", "MessageHeader", "OperationOutcome", "Condition", "Immunization", "MedicationRequest",
                                        "Parameters", "Task", "Device", "Location", "QuestionnaireResponse", "Questionnaire", "Basic", "Person", "Group"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (span_is(o->text, known[i]))
            return o->text;
    return SPAN_LIT("Resource");
}

/* Writes the end of the path first; with out NULL only counts. */
static size_t step_put(const struct fhir_node *o, char *end)
{
    size_t n = 0;
    if (o->parent && is_repeating(o)) {
        uint32_t v = o->index;
        size_t digits = digits_of(v);
        n = digits + 2;
        if (end) {
            end[-1] = ']';
            for (size_t i = 0; i < digits; i++, v /= 10)
                end[-2 - (ptrdiff_t)i] = (char)('0' + v % 10);
            end[-(ptrdiff_t)n] = '[';
        }
    }
    struct span word = o->parent ? o->name : root_word(o);
    n += word.n;
    if (end && word.n)
        memcpy(end - n, word.p, word.n);
    if (o->parent) {
        n++;
        if (end)
            end[-(ptrdiff_t)n] = '.';
    }
    return n;
}

struct span fhir_path(struct arena *a, const struct fhir_node *o, const char *member)
{
    size_t n = 0, extra = member ? strlen(member) + 1 : 0;
    for (const struct fhir_node *p = o; p; p = p->parent)
        n += step_put(p, NULL);
    char *t = arena_alloc(a, n + extra + 1);
    if (!t)
        return SPAN_ABSENT;
    char *end = t + n;
    for (const struct fhir_node *p = o; p; p = p->parent)
        end -= step_put(p, end);
    if (extra) {
        t[n] = '.';
        memcpy(t + n + 1, member, extra - 1);
    }
    t[n + extra] = 0;
    return span_make(t, n + extra);
}

/* ---- comparison ---- */

static const struct fhir_node *twin_of(const struct fhir_node *parent, const struct fhir_node *o)
{
    for (const struct fhir_node *c = parent->child; c; c = c->next)
        if (c->index == o->index && span_eq(c->name, o->name))
            return c;
    return NULL;
}

static size_t child_count(const struct fhir_node *o)
{
    size_t n = 0;
    for (const struct fhir_node *c = o->child; c; c = c->next)
        n++;
    return n;
}

bool fhir_tree_equal(const struct fhir_node *a, const struct fhir_node *b, const struct fhir_node **where)
{
    *where = a;
    if (!b || !span_eq(a->text, b->text) || ((a->flags ^ b->flags) & FHIR_RESOURCE) || child_count(a) != child_count(b))
        return false;
    for (const struct fhir_node *c = a->child; c; c = c->next)
        if (!fhir_tree_equal(c, twin_of(b, c), where))
            return false;
    return true;
}

/* ---- building ---- */

struct span fhir_build_name(struct fhir_builder *b, const char *name, size_t n)
{
    unsigned h = (unsigned)n;
    if (n)
        h = (h * 31 + (unsigned char)name[0]) * 31 + (unsigned char)name[n - 1] + (unsigned char)name[n / 2] * 7u;
    struct span *slot = &b->names[h & 255];
    if (slot->n != n || !slot->p || (n && memcmp(slot->p, name, n) != 0))
        *slot = arena_dup(b->a, span_make(name, n));
    return *slot;
}

struct fhir_node *fhir_build_add(struct fhir_builder *b, const char *name, size_t n)
{
    struct fhir_node *o = arena_alloc(b->a, sizeof *o);
    if (!o)
        return NULL;
    *o = (struct fhir_node){0};
    if (b->depth == 0) {
        b->tree->root = o;
        return o;
    }
    o->name = fhir_build_name(b, name, n);
    if (!o->name.p)
        return NULL;
    if (span_is(o->name, "modifierExtension") || span_is(o->name, "implicitRules"))
        b->tree->has_modifier = true;
    struct fhir_node *parent = b->at[b->depth - 1], *last = b->last[b->depth - 1];
    o->parent = parent;
    if (last)
        last->next = o;
    else
        parent->child = o;
    b->last[b->depth - 1] = o;
    return o;
}

void fhir_build_open(struct fhir_builder *b, struct fhir_node *o)
{
    b->at[b->depth] = o;
    b->last[b->depth] = NULL;
    b->depth++;
}

void fhir_build_close(struct fhir_builder *b)
{
    b->depth--;
}
