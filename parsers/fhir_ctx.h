/*
 * fhir_ctx - one message (Bundle or lone resource) while it is read, and its resources. Internal to the fhir_ family.
 *
 * Thread: owner of the arena. Nothing here fails: what is wrong is told by issues; a full arena is seen by arena_is_full().
 */
#ifndef LABRELAY_FHIR_CTX_H
#define LABRELAY_FHIR_CTX_H
#include "fhir_parser.h"
#include "fhir_tree.h"

enum { FHIR_MAX_ERRORS = 50, FHIR_MAX_NOTICES = 50, FHIR_MAX_WARNS = 500, FHIR_MAX_REF_DEPTH = 32, FHIR_DEFAULT_MAX_ENTRIES = 100000,
       FHIR_MAX_GROUPS = 1000 };

struct fhir_res {                       /* a resource that may be used: of an entry, contained, or the root */
    const struct fhir_node *node;
    const struct fhir_node *entry;      /* Bundle.entry, NULL for a lone root */
    struct fhir_res *container;         /* of a contained one, else NULL */
    struct fhir_res *contained;         /* its own, n_contained in a row */
    uint32_t n_contained;
    uint32_t place;                     /* of its entry */
    struct span type, id, version, full_url;
    const struct problem *issue;        /* first error about it; batch: this entry alone fails */
    bool is_left_out;                   /* an older version, or no result of a search */
    bool is_taken;                      /* Observation: stands in a record */
    bool is_member;                     /* Observation: another one names it in hasMember */
    bool is_question;                   /* Observation: supportingInfo of an order */
    uint32_t older;                     /* Observation: observations in its older versions (history) */
    struct rec_patient *patient;        /* Patient: read already */
    size_t warn_from, warn_to;          /* the warnings of that */
};

struct fhir_warn_at { const char *name; struct span where; };
struct fhir_slot { uint64_t hash; struct span a, b, c; struct fhir_res *res; uint32_t count; char kind; };
struct fhir_index { struct fhir_slot *v; size_t mask; };

struct fhir_ctx {
    struct arena *a;
    const struct fhir_options *o;
    enum rec_format format;
    enum fhir_kind kind;
    const struct fhir_tree *tree;
    struct rec_message *message;
    struct fhir_res *res;               /* entries in order, then what they contain */
    size_t n_res;
    struct fhir_index urls, ids;        /* ids: made at first need */
    struct fhir_res *header, *composition;
    struct fhir_res *at;                /* whom an error is about */
    bool is_reading;                    /* records are being made: an error now concerns the whole message, in a batch too */
    bool is_refused;                    /* an error that concerns the whole message */
    bool is_rejected;                   /* … of version or purpose: PARSE_REJECT */
    struct problem *errors, *notices;
    size_t n_errors, cap_errors, n_notices, cap_notices;
    struct fhir_warn_at *warns;
    size_t n_warns, cap_warns;
    /* records under way */
    struct record *records;
    size_t n_records, cap_records;
    unsigned n_conclusions;             /* reports that give an observation by their conclusion */
};

/* An error at member of node at (NULL: at itself). issue: OperationOutcome code; text: a sentence without any value, static. */
void fhir_error(struct fhir_ctx *x, const char *issue, const struct fhir_node *at, const char *member, const char *text);
/* A remark: to the reply, and while records are made to the record's warnings ("W_BAD_DATE Bundle.entry[1]…"). */
void fhir_warn(struct fhir_ctx *x, const char *name, const struct fhir_node *at, const char *member);
/* A warning, in strict mode an error. */
void fhir_doubt(struct fhir_ctx *x, const char *name, const char *issue, const struct fhir_node *at, const char *member, const char *text);
/* Errors, then notices, into *out. */
void fhir_issues_done(struct fhir_ctx *x, struct parsed *out);

struct fhir_list { struct span *v; size_t n, cap; };    /* grows in the arena */
void fhir_list_add(struct arena *a, struct fhir_list *l, struct span s);
struct rec_list fhir_list_done(const struct fhir_list *l);
struct span fhir_cat(struct arena *a, const struct span *v, size_t n);
#define FHIR_CAT(a, ...) fhir_cat((a), (const struct span[]){__VA_ARGS__}, sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span))

/* ---- fhir_bundle.c: the resources ---- */
/* Fills x->res and its index. -1: the arena is full. What is wrong becomes an issue. */
int  fhir_bundle_index(struct fhir_ctx *x);
enum fhir_kind fhir_bundle_kind(struct span type);
/* Is it to be used: no error, not left out? */
static inline bool fhir_is_usable(const struct fhir_res *r)
{
    return !r->issue && !r->is_left_out && !(r->container && r->container->issue);
}

/* ---- fhir_refer.c: references ---- */
void fhir_index_add(struct fhir_index *ix, char kind, struct span a, struct span b, struct span c, struct fhir_res *r);
struct fhir_slot *fhir_index_find(const struct fhir_index *ix, char kind, struct span a, struct span b, struct span c);
bool fhir_index_init(struct fhir_index *ix, struct arena *a, size_t n);
/* Key of the container that a contained resource stands in. */
static inline struct span fhir_container_key(const struct fhir_res *r)
{
    return span_make((const char *)&r->container, sizeof r->container);
}
/* What a Reference element means, seen from the resource it stands in (STANDARDS 6.2). */
struct fhir_ref {
    struct fhir_res *res;               /* NULL when it is not in the Bundle */
    const struct fhir_node *node;       /* the Reference */
    struct span system, value;          /* identifier it names instead; absent when none */
    bool is_several;                    /* more than one match: never used */
};
/* type: wanted type, for identifiers. node NULL gives an empty answer. */
struct fhir_ref fhir_refer(struct fhir_ctx *x, const struct fhir_node *node, const struct fhir_res *from, const char *type);
/* The same, only when it is a usable resource of that type. */
struct fhir_res *fhir_refer_to(struct fhir_ctx *x, const struct fhir_node *node, const struct fhir_res *from, const char *type);

/* ---- fhir_check.c: what makes a resource unusable ---- */
/* Required elements, statuses, modifiers, versions, for every resource. */
void fhir_check(struct fhir_ctx *x);
bool fhir_status_obs(struct span code, enum obs_status *out);
/* Word of record.report.status, NULL when the code is none. */
const char *fhir_status_report(struct span code);
bool fhir_is_test_tag(const struct fhir_node *resource);

/* ---- fhir_type.c: data types ---- */
/* date, dateTime, instant. 0; 1 when readable but not by the standard; -1 when it is none (out absent). Absent text: 0. */
int  fhir_ts(struct fhir_ctx *x, struct span text, struct rec_ts *out);
/* A member, with W_BAD_DATE and its text in *notes ("birthDate as sent: …"), notes may be NULL. */
struct rec_ts fhir_ts_get(struct fhir_ctx *x, const struct fhir_node *o, const char *member, struct fhir_list *notes);
struct span fhir_system(struct fhir_ctx *x, struct span uri);       /* as the v2 reader names it; empty: "local" */
struct span fhir_system_short(struct fhir_ctx *x, struct span system);   /* "LN" for a key; "" for local */
struct rec_codes fhir_codes(struct fhir_ctx *x, const struct fhir_node *concept);
struct span fhir_codes_text(const struct rec_codes *c);             /* display, text, code: the first there is */
/* Code of a concept from a wanted system (part of its URI), else its first code. */
struct span fhir_code_of(struct fhir_ctx *x, const struct fhir_node *concept, const char *system_part);
bool fhir_id(struct fhir_ctx *x, const struct fhir_node *identifier, struct rec_id *out);
/* Value of the first identifier with that type (FILL, PLAC …; NULL: any but PLAC), not use=old. */
struct span fhir_id_value(struct fhir_ctx *x, const struct fhir_node *o, const char *type);
bool fhir_is_number(struct span s);

/* ---- readers ---- */
void fhir_patient_read(struct fhir_ctx *x, const struct fhir_ref *subject, struct rec_patient *out);
void fhir_visit_read(struct fhir_ctx *x, const struct fhir_node *encounter, const struct fhir_res *from, struct rec_patient *out);
void fhir_value_read(struct fhir_ctx *x, const struct fhir_node *o, struct rec_observation *obs);
void fhir_attachment_read(struct fhir_ctx *x, const struct fhir_node *n, struct rec_attachment *out);
/* The Attachment that R4 carries for R5's valueAttachment, or NULL. */
const struct fhir_node *fhir_value_attachment(const struct fhir_node *observation);
/* How many places an Observation takes in a record: itself and its components. */
size_t fhir_observation_count(const struct fhir_node *o);
/* Reads an Observation and its components to out[0..count). is_withdrawn: its report is entered-in-error. */
void fhir_observation_read(struct fhir_ctx *x, const struct fhir_res *r, bool is_withdrawn, struct rec_observation *out);
/* Gives the second of two equal keys a place of its own. */
bool fhir_observations_number(struct fhir_ctx *x, struct rec_observation *v, size_t n);
/* Records of all reports and of what belongs to none; into x->records. False: arena full. */
bool fhir_reports_read(struct fhir_ctx *x);
void fhir_specimen_read(struct fhir_ctx *x, const struct fhir_res *specimen, struct rec_specimen *out);
/* Patients of a message without results (fhir_persons.c), into out->persons. False: arena full. */
bool fhir_persons_read(struct fhir_ctx *x, struct parsed *out);
void fhir_message_read(struct fhir_ctx *x, struct span raw);
#endif
