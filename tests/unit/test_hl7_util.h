/*
 * test_hl7_util - parse a message, look at its first record, read its replies. For the test_hl7_* programs only.
 * A struct t owns the arena of one message; t_free releases all. Invented people only.
 */
#ifndef LABRELAY_TEST_HL7_UTIL_H
#define LABRELAY_TEST_HL7_UTIL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hl7_parser.h"

struct t {
    struct arena *a;
    struct parse_result r;
    char *frame;
    size_t frame_n;
};

#define MSH_V(v) "MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||ORU^R01^ORU_R01|M1|P|" v "\r"
#define PID1 "PID|1||C-1^^^GODATA^PI||Doe^Ann||19900203|F\r"
#define OBR1 "OBR|1|P-1|F-1|41636-2^Ebola virus RNA^LN|||20260504|||||||||||||||20260504||MB|F\r"
#define OBX1 "OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||||||F\r"

static inline struct t t_parse_bytes(const struct hl7_options *o, const char *p, size_t n)
{
    struct t t = {.a = arena_new((size_t)64 << 20), .frame = malloc(n ? n : 1), .frame_n = n};
    struct err e = ERR_INIT;
    unsigned sum;
    assert_non_null(t.frame);
    memcpy(t.frame, p, n); /* exactly n bytes: a read behind them is seen by ASan */
    assert_int_equal(hl7v2_parser.parse(o, span_make(t.frame, n), t.a, &t.r, &e), 0);
    for (size_t i = 0; i < t.r.n; i++) { /* the sum that must hold for all that is accepted */
        const struct parsed *m = &t.r.v[i];
        sum = 0;
        for (size_t k = 0; k < m->n_records; k++)
            for (size_t j = 0; j < m->records[k].n; j++)
                sum += m->records[k].observations[j].parts;
        if (m->fate == PARSE_ACCEPT)
            assert_int_equal(sum, m->observations);
    }
    return t;
}

static inline struct t t_parse_with(const struct hl7_options *o, const char *text)
{
    return t_parse_bytes(o, text, strlen(text));
}

static inline struct t t_parse(const char *text)
{
    return t_parse_with(NULL, text);
}

static inline void t_free(struct t *t)
{
    arena_free(t->a);
    free(t->frame);
}

static inline const struct parsed *t_msg(const struct t *t)
{
    assert_true(t->r.n >= 1);
    return &t->r.v[0];
}

static inline const struct record *t_rec(const struct t *t, size_t i)
{
    const struct parsed *m = t_msg(t);
    assert_int_equal(m->fate, PARSE_ACCEPT);
    assert_true(i < m->n_records);
    return &m->records[i];
}

static inline const struct rec_observation *t_obs(const struct t *t, size_t i)
{
    const struct record *r = t_rec(t, 0);
    assert_true(i < r->n);
    return &r->observations[i];
}

static inline void t_eq(struct span s, const char *want)
{
    char got[512];
    (void)snprintf(got, sizeof got, "%.*s", SPAN_ARG(s));
    assert_string_equal(got, want);
}

static inline bool t_warns(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->warnings.n; i++)
        if (span_starts(r->warnings.v[i], name))
            return true;
    return false;
}

static inline bool t_has_problem(const struct parsed *m, int code, const char *where)
{
    for (size_t i = 0; i < m->n_problems; i++)
        if (m->problems[i].code == code && m->problems[i].severity != 'W' && (!where || strcmp(m->problems[i].where, where) == 0))
            return true;
    return false;
}

static inline void t_refused(const char *text, enum parse_fate fate, int code, const char *where)
{
    struct t t = t_parse(text);
    assert_int_equal(t_msg(&t)->fate, fate);
    assert_true(t_msg(&t)->n_problems > 0);
    assert_int_equal(t_msg(&t)->problems[0].code, code);
    if (where)
        assert_string_equal(t_msg(&t)->problems[0].where, where);
    t_free(&t);
}

/* All payloads one after the other, CR as LF, frames parted by "--". Caller frees. */
static inline char *t_reply_with(const struct hl7_options *o, const char *text, enum frame_fate accepted_fate)
{
    struct t t = t_parse_with(o, text);
    struct reply_conf rc = {.now_us = INT64_C(1777896153000000), .utc_offset_min = 120, .own_app = "LABRELAY", .own_facility = "OWN", .id_seed = 46655};
    enum frame_fate fates[32];
    struct span *p = NULL;
    size_t n = 0, len = 0;
    struct err e = ERR_INIT;
    assert_true(t.r.n <= 32);
    for (size_t i = 0; i < t.r.n; i++) {
        enum parse_fate f = t.r.v[i].fate;
        fates[i] = f == PARSE_REFUSE || f == PARSE_REJECT ? FATE_REFUSED : f == PARSE_QUARANTINE ? FATE_QUARANTINED : accepted_fate;
    }
    assert_int_equal(hl7v2_parser.reply(o, &t.r, fates, &rc, t.a, &p, &n, &e), 0);
    char *out = calloc(1, 65536);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        assert_true(len + p[i].n + 4 < 65536);
        if (i)
            len += (size_t)snprintf(out + len, 4, "--\n");
        for (size_t k = 0; k < p[i].n; k++)
            out[len++] = p[i].p[k] == '\r' ? '\n' : p[i].p[k];
        free((void *)(uintptr_t)p[i].p);
    }
    free(p);
    t_free(&t);
    return out;
}

static inline char *t_reply(const char *text)
{
    return t_reply_with(NULL, text, FATE_STORED);
}
#endif
