/*
 * rule - routes, compiled at load: which observation goes where, and why.
 *
 * Grammar and function list: labrelay-rules.7. First route whose `from` and `when` fit wins; the last route takes everything.
 * Thread: rule_run() is pure over the immutable ruleset and may run on any thread.
 */
#ifndef LABRELAY_RULE_H
#define LABRELAY_RULE_H
#include "conf.h"
#include "outcome.h"

enum rule_action { RULE_SEND_LAB, RULE_HOLD, RULE_DROP, RULE_SEND_PERSON };   /* the last only of rule_run_person() */

struct rule_step {                      /* one thing that was decided, for explain */
    const char *file;                   /* config file */
    unsigned line;
    struct span text;                   /* "when observation.code in tests: yes (tests.csv:12)" */
};
struct rule_trace { struct rule_step *v; size_t n, cap; struct arena *a; };

struct rule_result {
    enum rule_action action;
    const char *route;                  /* name of the route that took it */
    const char *writer;                 /* of the route, also when it is held; NULL when the route sends nothing */
    const char *reason;                 /* word: NO_ROUTE, RULE, REQUIRED_FIELD, UNMAPPED_TEST, POOLED, QC … */
    struct span detail;                 /* `hold "text"`, the missing field, the missing (table, system, code) */
    struct span table_key;              /* "tests|<system>|<code>" when a missing row holds it, else absent */
    struct lab_result lab;              /* RULE_SEND_LAB: filled and overridden */
    struct outcome outcome;
    const struct person_data *person;        /* who it is about, as rules see it; lab.person is the same. NULL: the route sends nothing */
    bool is_withdrawal;                 /* send as a withdrawal of the result key */
    unsigned flags;                     /* DELIVERY_IS_CRITICAL, DELIVERY_DATE_ORDER, DELIVERY_NO_SAMPLE_DATE */
};

/* What happens to one observation. trace may be NULL. Zone: IANA name of the channel, for dates without zone. -1: ERR_LIMIT (arena). */
int rule_run(const struct ruleset *rs, const struct record *r, const struct rec_observation *obs, struct arena *a,
             struct rule_result *out, struct rule_trace *trace, struct err *e);

/* The person of a record, once per record. RULE_SEND_PERSON, RULE_HOLD, or RULE_DROP with NO_ROUTE: no route sends persons of this record. */
int  rule_run_person(const struct ruleset *rs, const struct record *r, struct arena *a, struct rule_result *out, struct rule_trace *trace, struct err *e);
/* May a record of this listener be sent as a person? Without, messages that only tell of persons are refused as ever. */
bool rule_takes_persons(const struct ruleset *rs, struct span channel);

/* The functions of the rules, for people. false past the last. Static texts. */
struct rule_function {
    const char *name;
    const char *usage;                  /* "substr(text, first, length): the first character is 1" */
    const char *result;                 /* "a text" */
    const char *help;
    const char *example;                /* a condition that uses it */
};
bool rule_function_at(size_t i, struct rule_function *out);
#endif
