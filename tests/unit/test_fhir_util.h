/*
 * test_fhir_util - parse a Bundle, look at its records, compare trees. For the test_fhir_* programs only.
 * JSON in tests is written with ' for ": Q() makes it JSON. A struct t owns the arena; t_free releases all. Invented people only.
 */
#ifndef LABRELAY_TEST_FHIR_UTIL_H
#define LABRELAY_TEST_FHIR_UTIL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fhir_ctx.h"
#include "fhir_parser.h"

struct t { struct arena *a; struct parse_result r; char *frame; size_t n; };

/* Every observation of what is stored stands in exactly one record; a refusal has a reason. */
static inline void t_check(const struct parsed *m)
{
    unsigned sum = 0;
    for (size_t k = 0; k < m->n_records; k++)
        for (size_t j = 0; j < m->records[k].n; j++)
            sum += m->records[k].observations[j].parts;
    if (m->fate == PARSE_ACCEPT || m->fate == PARSE_FILTER) {
        assert_int_equal(sum, m->observations);
    } else {
        assert_true(m->n_problems > 0);
        assert_int_equal(m->n_records, 0);
        assert_true(m->problems[0].severity == 'E' || m->problems[0].severity == 'F');
    }
}

static inline struct t t_bytes(const struct fhir_options *o, const char *p, size_t n)
{
    struct t t = {.a = arena_new((size_t)64 << 20), .frame = malloc(n ? n : 1), .n = n};
    struct err e = ERR_INIT;
    assert_non_null(t.frame);
    memcpy(t.frame, p, n);      /* exactly n bytes: a read behind them is seen by ASan */
    assert_int_equal(fhir_parser.parse(o, span_make(t.frame, n), t.a, &t.r, &e), 0);
    for (size_t i = 0; i < t.r.n; i++)
        t_check(&t.r.v[i]);
    return t;
}

/* ' becomes " */
static inline struct t t_with(const struct fhir_options *o, const char *text)
{
    size_t n = strlen(text);
    char *json = malloc(n + 1);
    assert_non_null(json);
    memcpy(json, text, n + 1);
    for (size_t i = 0; i < n && text[0] != '<'; i++)
        if (json[i] == '\'')
            json[i] = '"';
    struct t t = t_bytes(o, json, n);
    free(json);
    return t;
}

static inline struct t t_parse(const char *text)
{
    return t_with(NULL, text);
}

static inline void t_free(struct t *t)
{
    arena_free(t->a);
    free(t->frame);
}

static inline const struct rec_observation *t_obs(const struct t *t, size_t record, size_t i)
{
    assert_true(t->r.v[0].n_records > record && t->r.v[0].records[record].n > i);
    return &t->r.v[0].records[record].observations[i];
}

static inline bool t_has_warning(const struct t *t, const char *name)
{
    for (size_t i = 0; i < t->r.v[0].n_problems; i++)
        if (t->r.v[0].problems[i].severity == 'W' && strcmp(t->r.v[0].problems[i].name, name) == 0)
            return true;
    return false;
}

#define assert_span(s, text) t_span((s), (text), __FILE__, __LINE__)
static inline void t_span(struct span s, const char *text, const char *file, int line)
{
    if (!(text ? span_is(s, text) : !s.n)) {
        print_error("\"%.*s\" is not \"%s\"\n", SPAN_ARG(s), text ? text : "");
        _fail(file, line);
    }
}

/* The first problem: its issue code and path. */
#define assert_issue(t, fate_, issue, path) do { \
        assert_int_equal((t)->r.v[0].fate, (fate_)); \
        assert_string_equal((t)->r.v[0].problems[0].name, (issue)); \
        assert_span((t)->r.v[0].problems[0].expression, (path)); } while (0)

/* Pieces of Bundles */
#define BUNDLE(type, entries) "{'resourceType':'Bundle','identifier':{'value':'b-1'},'type':'" type "','entry':[" entries "]}"
#define ENTRY(url, resource) "{'fullUrl':'" url "','resource':" resource "}"
#define PAT(more) "{'resourceType':'Patient','id':'p1','identifier':[{'value':'C-1'}]" more "}"
#define CODE "'code':{'coding':[{'system':'http://loinc.org','code':'41636-2'}]}"
#define OBS_OF(status, more) "{'resourceType':'Observation','status':'" status "'," CODE more "}"
#define OBS(more) OBS_OF("final", more)
#define DR(more) "{'resourceType':'DiagnosticReport','status':'final'," CODE more "}"
#define REF(name, url) ",'" name "':{'reference':'" url "'}"
#define REFS(name, url) ",'" name "':[{'reference':'" url "'}]"

/* A tree as JSON: what repeats becomes an array. For twins of XML documents. */
static inline void t_json(struct buf *b, const struct fhir_node *o)
{
    buf_addc(b, '{');
    if (o->flags & FHIR_RESOURCE) {
        buf_json_key(b, "resourceType");
        buf_json_span(b, o->text);
    }
    for (const struct fhir_node *c = o->child; c; c = c->next) {
        if (c->index)
            continue;
        char name[128];
        bool is_object = c->flags & FHIR_RESOURCE || (!c->text.n && c->child), is_many = fhir_next(c) != NULL || span_is(c->name, "interpretation");
        for (int pass = 0; pass < 2; pass++) {      /* values, then what primitives carry */
            if (pass && is_object)
                break;
            bool has_any = false;
            for (const struct fhir_node *k = c; k && pass; k = fhir_next(k))
                has_any |= k->child != NULL;
            if (pass && !has_any)
                break;
            (void)snprintf(name, sizeof name, "%s%.*s", pass ? "_" : "", SPAN_ARG(c->name));
            buf_json_key(b, name);
            if (is_many)
                buf_addc(b, '[');
            for (const struct fhir_node *k = c; k; k = fhir_next(k)) {
                if (is_many)
                    buf_json_sep(b);
                if (is_object || (pass && k->child))
                    t_json(b, k);
                else if (pass)
                    buf_adds(b, "null");
                else
                    buf_json_span(b, k->text);
            }
            if (is_many)
                buf_addc(b, ']');
        }
    }
    buf_addc(b, '}');
}
#endif
