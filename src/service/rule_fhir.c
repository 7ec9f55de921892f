/*
 * NAME
 *     rule_fhir - fhir "Patient.extension('http://…').valueString": any place of a FHIR message as text
 * DESCRIPTION
 *     The path is read when the configuration is: the resource and, for the four resources of a record, its element have to exist.
 *     In an HL7 v2 message such a place is absent. One look-up visits FHIR_BUDGET elements at most; more is RULE_LIMIT.
 * DIAGNOSTICS
 *     Through the diag, at the place within the text.
 */
#include <stdio.h>
#include <string.h>

#include "rule_inner.h"
#include "text.h"

#define FHIR_BUDGET 20000u

bool rule_is_fhir(const struct rule_compiler *c)
{
    return token_is(rule_peek(c), "fhir") && c->i + 1 < c->s->n && c->s->v[c->i + 1].kind == TOKEN_STRING;
}

static struct span word_at(struct span text, size_t at)
{
    size_t n = 0;
    for (int ch = 0; at + n < text.n; n++) {
        ch = (unsigned char)text.p[at + n];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9')))
            break;
    }
    return span_cut(text, at, n);
}

const struct rule_node *rule_parse_fhir(struct rule_compiler *c)
{
    const struct token *t = &c->s->v[c->i + 1];
    const char *names[64], *why;
    char hint[160];
    size_t at, n = 0;
    struct rule_node *node = rule_alloc(c->rs, sizeof *node);
    struct rec_fhir_path *path = rule_alloc(c->rs, sizeof *path);
    *node = (struct rule_node){.kind = NODE_FHIR, .type = RULE_T_TEXT, .fhir = path};
    if (rec_fhir_parse(arena_dup(c->rs->a, t->text), path, &at, &why)) {
        c->i += 2;
        return node;
    }
    struct token spot = *t;
    struct span word = word_at(t->text, at);
    spot.at.col += 1;
    for (size_t i = 0; i < at; i++)
        spot.at.col += ((unsigned char)t->text.p[i] & 0xc0) != 0x80;
    spot.at.width = word.n ? (unsigned)word.n : 1;
    bool is_type = strcmp(why, "no such resource") == 0;
    if (is_type)
        for (; rec_fhir_types[n]; n++)
            names[n] = rec_fhir_types[n];
    else if (strcmp(why, "no such element") == 0)
        n = rec_fhir_elements(path->type, names);
    if (n)
        rule_error(c, &spot, diag_guess(word, names, n, hint, sizeof hint), is_type ? "there is no resource \"%.*s\" here" : "%.*s is no element of this resource", SPAN_ARG(word));
    else
        rule_error(c, &spot, "write for instance fhir \"Patient.extension('http://…').valueString\"", "%s", why);
    return NULL;
}

struct span rule_get_fhir(struct rule_scope *x, const struct rule_node *n)
{
    unsigned budget = FHIR_BUDGET;
    if (!x->r->fhir_field)
        return SPAN_ABSENT;
    struct span out = x->r->fhir_field(x->r->source, x->r, x->obs, n->fhir, &budget);
    x->is_over = x->is_over || !budget;
    (void)rule_step(x, (FHIR_BUDGET - budget) / 8);
    return out;
}
