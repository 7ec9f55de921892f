/*
 * rule_codes - which reference codes of the other side a configuration may send to a writer, and where each of them stands; and what the
 * routes ask of the writer's account. For `check --live` and for the start of a writer. Thread: any; the ruleset is only read.
 */
#ifndef LABRELAY_RULE_CODES_H
#define LABRELAY_RULE_CODES_H
#include "rule.h"

struct rule_code {
    const char *field;                  /* "test_type": of the lab result, or of the person */
    const char *prefix;                 /* category of the code: "LNG_REFERENCE_DATA_CATEGORY_…_"; NULL: code is the variable of a question */
    struct span code;                   /* short or whole, as written */
    struct diag_place at;               /* of a table's cell; line 0: it stands in the configuration … */
    const char *file;                   /* … here */
    unsigned line;
};
/* Every code once per place; the same code may come again from another row. */
void rule_codes(const struct ruleset *rs, const char *writer, void (*visit)(void *ctx, const struct rule_code *c), void *ctx);
/* enum writer_need, or-ed: what the routes to this writer may do. */
unsigned rule_needs(const struct ruleset *rs, const char *writer);
#endif
