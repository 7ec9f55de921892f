/*
 * sandbox_filter - a whole LoopBack filter: where, order, fields, limit, skip, include. Pure. Thread: any.
 */
#ifndef LABRELAY_SANDBOX_FILTER_H
#define LABRELAY_SANDBOX_FILTER_H
#include "sandbox_cond.h"

struct sandbox_order {
    char *field;
    bool is_descending;
};

struct sandbox_filter {
    struct sandbox_cond *where;
    struct sandbox_order *order;
    size_t order_n;
    json_t *fields;                     /* object name -> true, or NULL: all */
    bool fields_hide;                   /* the named fields are left out instead */
    json_t *include;                    /* borrowed relation names as an object, or NULL */
    int64_t limit, skip;                /* limit 0: none */
    bool with_deleted;
};

/* Fills *f from a filter object (NULL: empty filter). ERR_INPUT: a wrong limit (400). ERR_BUG: what makes the real server answer 500. */
int sandbox_filter_init(struct sandbox_filter *f, const json_t *filter, bool is_rewritten, struct err *e);
void sandbox_filter_clear(struct sandbox_filter *f);

/* Applies order, skip, limit to an array of documents; new reference. default_order: "a,b" ascending, or NULL for as they come. */
json_t *sandbox_filter_page(const struct sandbox_filter *f, json_t *docs, const char *default_order);
/* The document with only the wanted fields; new reference. */
json_t *sandbox_filter_project(const struct sandbox_filter *f, json_t *doc);
/* Is the order exactly `field` ascending, with id ascending behind it or nothing? */
bool sandbox_filter_is_cursor(const struct sandbox_filter *f, const char *field);
#endif
