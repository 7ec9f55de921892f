/*
 * fhir_tree - one small tree for a FHIR resource, equal for its JSON and its XML form (STANDARDS 6.4, 6.5).
 *
 * A node is an element. What repeats stands side by side under one name, as in XML; a primitive has its text, exactly as sent
 * (numbers too), and may have children (id, extension: JSON keeps these under "_name"). A node that holds a resource is flagged and
 * its text is the type. Narrative (div) is not kept. Everything lives in the arena; nothing points into the bytes that were parsed.
 * Thread: owner of the arena.
 */
#ifndef LABRELAY_FHIR_TREE_H
#define LABRELAY_FHIR_TREE_H
#include <string.h>

#include "arena.h"

enum { FHIR_MAX_DEPTH = 64, FHIR_MAX_NUMBER = 64 };
enum fhir_flag { FHIR_RESOURCE = 1, FHIR_IN_ARRAY = 2, FHIR_IS_NUMBER = 4, FHIR_IS_OBJECT = 8 };   /* IN_ARRAY: JSON only */

struct fhir_node {
    struct span name;           /* absent at the root */
    struct span text;           /* value of a primitive, or the type of a resource; absent when there is none */
    struct fhir_node *parent, *child, *next;
    uint32_t index;             /* among its brothers of the same name, from 0 */
    uint32_t flags;
};

struct fhir_tree {
    struct fhir_node *root;
    bool has_modifier;          /* a modifierExtension or implicitRules stands somewhere */
    const struct fhir_node *odd;/* parent of the first null or empty value; NULL when all is proper */
};

/* Why bytes are no resource. text is a whole sentence without any value. */
struct fhir_fault {
    const char *issue;          /* OperationOutcome code: structure, invalid, too-costly */
    const char *text;
    unsigned line;              /* 0 when not known */
    bool is_full;               /* the arena is full: ERR_LIMIT */
};

/* Next JSON text in *rest, for NDJSON: the bytes of one value, *rest moves behind it. False at the end. Never fails: what is wrong
 * with the value is found by fhir_json_parse. */
bool fhir_json_next(struct span *rest, struct span *out);
/* 0, or -1 with *f. */
int  fhir_json_parse(struct arena *a, struct span bytes, struct fhir_tree *out, struct fhir_fault *f);
int  fhir_xml_parse(struct arena *a, struct span bytes, struct fhir_tree *out, struct fhir_fault *f);

/* ---- reading ---- */
static inline const struct fhir_node *fhir_find(const struct fhir_node *first, const char *name, size_t n)
{
    for (; first; first = first->next)
        if (first->name.n == n && memcmp(first->name.p, name, n) == 0)
            return first;
    return NULL;
}
/* First child of that name (a literal), NULL when there is none or o is NULL. */
#define fhir_get(o, name_literal) fhir_child((o), "" name_literal, sizeof(name_literal) - 1)
static inline const struct fhir_node *fhir_child(const struct fhir_node *o, const char *name, size_t n)
{
    return o ? fhir_find(o->child, name, n) : NULL;
}
/* The next brother of the same name. */
static inline const struct fhir_node *fhir_next(const struct fhir_node *o)
{
    return fhir_find(o->next, o->name.p, o->name.n);
}
#define FHIR_EACH(v, o, name_literal) for (const struct fhir_node *v = fhir_get(o, name_literal); v; v = fhir_next(v))
/* Text of a child, absent when there is none. */
#define fhir_text(o, name_literal) fhir_node_text(fhir_get(o, name_literal))
static inline struct span fhir_node_text(const struct fhir_node *o)
{
    return o ? o->text : SPAN_ABSENT;
}
static inline bool fhir_is_type(const struct fhir_node *o, const char *type)
{
    return o && (o->flags & FHIR_RESOURCE) && span_is(o->text, type);
}
size_t fhir_count(const struct fhir_node *o, const char *name);
/* FHIRPath of a node, and of a member of it (NULL: the node): "Bundle.entry[3].resource.status". In the arena. */
struct span fhir_path(struct arena *a, const struct fhir_node *o, const char *member);
/* Are two trees the same, members in any order? For tests. *where gets the node of a that differs. */
bool fhir_tree_equal(const struct fhir_node *a, const struct fhir_node *b, const struct fhir_node **where);

/* ---- building (fhir_json.c, fhir_xml.c) ---- */
struct fhir_builder {
    struct arena *a;
    struct fhir_tree *tree;
    struct span names[256];     /* cache of names already copied */
    struct fhir_node *at[FHIR_MAX_DEPTH + 2];   /* open nodes */
    struct fhir_node *last[FHIR_MAX_DEPTH + 2]; /* last child of each */
    unsigned depth;             /* open nodes */
};
struct span fhir_build_name(struct fhir_builder *b, const char *name, size_t n);
/* A new last child of the innermost open node (the root when none is open); NULL when the arena is full. index by the caller. */
struct fhir_node *fhir_build_add(struct fhir_builder *b, const char *name, size_t n);
void fhir_build_open(struct fhir_builder *b, struct fhir_node *o);  /* caller checks the depth */
void fhir_build_close(struct fhir_builder *b);
/* Once for the process, before threads: what the two libraries would otherwise do at their first use. */
void fhir_json_init(void);
void fhir_xml_init(void);
#endif
