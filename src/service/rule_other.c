/*
 * NAME
 *     rule_other - the other observations of the same record: any, every, count
 * DESCRIPTION
 *     any [other] observation where CONDITION         one of them fits
 *     every [other] observation where CONDITION       all of them fit; yes when there is none
 *     count [other] observation where (CONDITION)     how many fit, a number
 *     Only results count, not parts, panels, attachments or what stands under patient and specimen. Within, `observation.` is the one
 *     looked at and `this.` the one on its way. any, every and count do not nest.
 * DIAGNOSTICS
 *     Through the diag while compiling. Records of more than RULE_OTHERS_MAX observations: RULE_LIMIT.
 */
#include <string.h>

#include "rule_inner.h"

bool rule_is_quantifier(const struct rule_compiler *c)
{
    const struct token *t = rule_peek(c), *next = c->i + 1 < c->s->n ? &c->s->v[c->i + 1] : NULL;
    return (token_is(t, "any") || token_is(t, "every") || token_is(t, "count")) && (token_is(next, "other") || token_is(next, "observation") || token_is(next, "observations"));
}

const struct rule_node *rule_parse_quantifier(struct rule_compiler *c, unsigned depth)
{
    const struct token *word = rule_peek(c);
    bool is_count = token_is(word, "count");
    const char *usage = is_count ? "write: count observation where (observation.status = \"final\") > 1" : "write: any observation where observation.status = \"final\"";
    struct rule_node *n = rule_alloc(c->rs, sizeof *n);
    *n = (struct rule_node){.kind = is_count ? NODE_COUNT : token_is(word, "any") ? NODE_ANY : NODE_EVERY, .type = is_count ? RULE_T_NUMBER : RULE_T_BOOL, .n = 1};
    n->args = rule_alloc(c->rs, sizeof *n->args);
    c->i++;
    if (c->in_quantifier) {
        rule_error(c, word, NULL, "any, every and count cannot stand inside each other");
        return NULL;
    }
    n->is_others = rule_accept(c, "other");
    if (!rule_accept(c, "observation")) {
        rule_error(c, rule_peek(c), usage, "\"observation\" is expected here");
        return NULL;
    }
    if (!rule_accept(c, "where")) {
        rule_error(c, rule_peek(c), usage, "\"where\" is expected here");
        return NULL;
    }
    if (is_count && !token_is(rule_peek(c), "(")) {
        rule_error(c, rule_peek(c), usage, "count needs its condition in brackets");
        return NULL;
    }
    c->loops++;
    c->in_quantifier = true;
    n->args[0] = is_count ? rule_parse_bracket(c, depth + 1) : rule_parse_or(c, depth + 1);
    c->in_quantifier = false;
    c->loops--;
    return n->args[0] ? n : NULL;
}

/* How many fit, may fit, and are looked at. */
struct tally { size_t yes, unknown, all; };

static struct tally look(struct rule_scope *x, const struct rule_node *n)
{
    struct tally out = {0};
    const struct rec_observation *at = x->obs, *own = x->own;
    const struct rec_observation *self = own ? own : at;
    if (x->r->n > RULE_OTHERS_MAX)
        x->is_over = true;
    x->own = self;
    for (size_t i = 0; !x->is_over && i < x->r->n; i++) {
        const struct rec_observation *o = &x->r->observations[i];
        if (o->role != OBS_RESULT || (n->is_others && o == self))
            continue;
        x->obs = o;
        enum rule_truth t = rule_test(x, n->args[0]);
        out.all++;
        out.yes += t == TRUTH_YES;
        out.unknown += t == TRUTH_UNKNOWN;
    }
    x->obs = at;
    x->own = own;
    return out;
}

enum rule_truth rule_test_quantifier(struct rule_scope *x, const struct rule_node *n)
{
    struct tally t = look(x, n);
    if (n->kind == NODE_ANY)
        return t.yes ? TRUTH_YES : t.unknown ? TRUTH_UNKNOWN : TRUTH_NO;
    return t.yes + t.unknown < t.all ? TRUTH_NO : t.unknown ? TRUTH_UNKNOWN : TRUTH_YES;
}

struct span rule_count_others(struct rule_scope *x, const struct rule_node *n)
{
    return arena_printf(x->a, "%zu", look(x, n).yes);
}
