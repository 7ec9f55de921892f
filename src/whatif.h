/*
 * whatif - runs stored messages through a configuration and compares what it decides with what the store says was decided.
 *
 * Parser, rules and the writer's body only: nothing is sent, asked or written. Thread: whatif_run() starts its own, each with a read-only
 * connection; the configuration is only read. What is compared is what a configuration decides; what became of it later (no match, sent,
 * superseded) is no difference.
 */
#ifndef LABRELAY_WHATIF_H
#define LABRELAY_WHATIF_H
#include "decide.h"
#include "store.h"

/* Worst first: a result with several differences counts for the first of them. */
enum change {
    CHANGE_PERSON,          /* other identifiers, name, birth date or sex are looked for: it could go to another person */
    CHANGE_WRITER,          /* to another Go.Data */
    CHANGE_KEY,             /* it would not be recognised as the result that it is: written a second time */
    CHANGE_REFUSED,         /* the message would be refused, or has no listener any more */
    CHANGE_DROPPED,         /* was sent or held, would be dropped */
    CHANGE_HELD,            /* was sent, would be held */
    CHANGE_RELEASED,        /* was held, would be sent */
    CHANGE_TAKEN,           /* was dropped or refused, would be sent or held */
    CHANGE_BODY,            /* other fields would be sent */
    CHANGE_REASON,          /* held for another reason */
    CHANGE_ROUTE,           /* the same by another route */
    CHANGE_NONE
};
const char *change_name(enum change c);             /* "person" … */
const char *change_text(enum change c);             /* for people */

struct whatif_field { char *name, *was, *now; };    /* was, now NULL: not there, or hidden (is_hidden) */
struct whatif_line { char *file, *text; unsigned line; };
struct whatif_example {
    int64_t message, delivery;                      /* delivery 0: there was none */
    char *channel, *path;
    enum change change;
    enum delivery_state state;                      /* as it stands, when there is a delivery */
    enum again again;                               /* what a replay would do */
    char *was, *now;                                /* "sent by results", "held UNMAPPED_TEST", "dropped" */
    struct whatif_field *fields;
    size_t n_fields;
    struct whatif_line *lines;                      /* what decides now, with the place in the configuration */
    size_t n_lines;
};
#define WHATIF_NAMES_MAX 64
struct whatif_count { char *name; int64_t n; };     /* a field or a reason, and how often */
struct whatif {
    int64_t messages, results;                      /* compared */
    int64_t changes[CHANGE_NONE + 1];
    int64_t erased, parts, unread;                  /* messages not compared: their bytes are gone; parts of others; never accepted */
    int64_t no_listener;                            /* of those refused: their channel is not in the configuration */
    struct whatif_count names[CHANGE_NONE][WHATIF_NAMES_MAX];   /* fields of person and body, reasons of held, released, reason, dropped */
    struct whatif_example *examples;                /* the worst kind first, each in order of messages; with has_same only the latter */
    size_t n_examples;
};

struct whatif_options {
    const struct config *conf;
    const char *store_path;
    struct store_walk range;
    const int64_t *ids;                             /* NULL: all of range; else only these, rising */
    size_t n_ids;
    const char *reason;                             /* NULL: any; else only deliveries with this reason */
    size_t limit;                                   /* examples of each kind */
    bool has_same;                                  /* those without a change are examples, too (replay lists them) */
    bool has_values;                                /* show values of patients, not only codes */
    unsigned threads;
};
int  whatif_run(const struct whatif_options *o, struct whatif *out, struct err *e);
void whatif_clear(struct whatif *w);
#endif
