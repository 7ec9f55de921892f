/*
 * NAME
 *     outcome - POSITIVE, NEGATIVE, INCONCLUSIVE … of one observation, or why there is none
 * DESCRIPTION
 *     STANDARDS 8.5: gates; then the first of coded value, whole text, numeric rule, interpretation, absent reason that answers.
 *     What the value says is checked against the interpretation. Nothing known is a hold; there is no default result.
 * DIAGNOSTICS
 *     None. With a full arena the spans of the answer are absent, never the answer itself.
 */
#include "outcome.h"

#include <string.h>

struct answer {
    bool is_given;
    enum outcome_kind kind;
    const char *reason;
    struct span rule;
};

static const struct { const char *word; enum outcome_kind kind; } words[] = {
    {"POSITIVE", OUTCOME_POSITIVE},
    {"NEGATIVE", OUTCOME_NEGATIVE},
    {"INCONCLUSIVE", OUTCOME_INCONCLUSIVE},
    {"POSITIVE_OTHER", OUTCOME_POSITIVE_OTHER},
    {"POSITIVE_FOR_OTHER_PATHOGENS_SPECIFY_IN_NOTES_FIELD", OUTCOME_POSITIVE_OTHER},
    {"no_result", OUTCOME_NO_RESULT},
    {"hold", OUTCOME_HOLD},
};

int outcome_parse(const char *word, enum outcome_kind *out)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0) {
            *out = words[i].kind;
            return 0;
        }
    return -1;
}

const char *outcome_name(enum outcome_kind k)
{
    switch (k) {
    case OUTCOME_POSITIVE: return "POSITIVE";
    case OUTCOME_NEGATIVE: return "NEGATIVE";
    case OUTCOME_INCONCLUSIVE: return "INCONCLUSIVE";
    case OUTCOME_POSITIVE_OTHER: return "POSITIVE_OTHER";
    case OUTCOME_NO_RESULT: return "no_result";
    case OUTCOME_PENDING: return "pending";
    case OUTCOME_WITHDRAW: return "withdraw";
    case OUTCOME_DROP: return "drop";
    case OUTCOME_HOLD: return "hold";
    }
    return "?";
}

static bool is_one_of(struct span s, const char *letters)
{
    return s.n == 1 && strchr(letters, s.p[0]) != NULL;
}

bool outcome_is_control(const struct rec_specimen *s)
{
    return s->is_control;
}

bool outcome_is_pooled(const struct rec_specimen *s)
{
    return is_one_of(s->role, "GL");
}

static bool is_word_for_none(struct span s)
{
    static const char *const none[] = {"NA", "ValueNotSet", "U", "UASK", "NAV", "NASK"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (span_is(s, none[i]))
            return true;
    return false;
}

/* Has the coding no system that would give its code a meaning of its own? Table 0353 is HL7's words for "no value". */
static bool is_systemless(struct span system)
{
    return !span_has(system) || span_is(system, "local") || span_is(system, "http://terminology.hl7.org/CodeSystem/v2-0353");
}

bool outcome_value_is_absent(const struct rec_value *v)
{
    if (v->type == REC_V_NONE)
        return true;
    if (v->type == REC_V_CODED) {
        for (size_t i = 0; i < v->codings.n; i++)
            if (span_has(v->codings.v[i].code) && !(is_systemless(v->codings.v[i].system) && is_word_for_none(v->codings.v[i].code)))
                return false;
            else if (!span_has(v->codings.v[i].code) && span_has(v->codings.v[i].display) && !is_word_for_none(v->codings.v[i].display))
                return false;
        return !span_has(v->codings.text) || is_word_for_none(v->codings.text);
    }
    struct span text = span_trim(v->text);
    if (v->repeats.n > 1)
        return false;
    return v->type == REC_V_TEXT ? !text.n || span_is(text, "NA") || span_is(text, "ValueNotSet")
                                 : !text.n && !v->num1.n && !v->raw.n;
}

static void give(struct answer *x, const char *word, struct span rule)
{
    x->is_given = true;
    x->rule = rule;
    if (outcome_parse(word, &x->kind))
        x->kind = OUTCOME_HOLD;
    x->reason = x->kind == OUTCOME_HOLD ? "HELD_VALUE" : x->kind == OUTCOME_NO_RESULT ? "NO_RESULT_VALUE" : NULL;
}

static void conflict(struct answer *x)
{
    x->is_given = true;
    x->kind = OUTCOME_HOLD;
    x->reason = "VALUE_CONFLICT";
}

/* A second answer beside a first: holds win, different results are a conflict. */
static void join(struct answer *x, const struct answer *y)
{
    if (!y->is_given)
        return;
    if (!x->is_given)
        *x = *y;
    else if (x->kind == OUTCOME_HOLD)
        return;
    else if (y->kind == OUTCOME_HOLD)
        *x = *y;
    else if (x->kind != y->kind)
        conflict(x);
}

static struct span code_rule(const struct rec_coding *c, struct arena *a)
{
    if (span_is(c->system, "http://snomed.info/sct"))
        return arena_printf(a, "snomed:%.*s", SPAN_ARG(c->code));
    if (span_is(c->system, "http://loinc.org"))
        return arena_printf(a, "loinc:%.*s", SPAN_ARG(c->code));
    return arena_printf(a, "%.*s:%.*s", SPAN_ARG(c->system), SPAN_ARG(c->code));
}

static bool has_word(struct span list, struct span word)
{
    struct span w;
    while (span_next(&list, ' ', &w))
        if (w.n && span_eq(w, word))
            return true;
    return false;
}

static bool is_organism(const struct outcome_env *env)
{
    return env->test && env->test->kind && strcmp(env->test->kind, "organism") == 0;
}

/* A coded organism that no results table knows: the target, another one, or (without a target list) nobody's guess. */
static void organism_answer(const struct rec_coding *c, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    if (span_is(c->system, "http://snomed.info/sct") && span_is(c->code, "264868006"))      /* No growth */
        give(x, "NEGATIVE", code_rule(c, a));
    else if (has_word(env->test->targets, c->code))
        give(x, "POSITIVE", arena_printf(a, "target:%.*s", SPAN_ARG(c->code)));
    else if (span_has(env->test->targets) && span_is(c->system, "http://snomed.info/sct"))
        give(x, "POSITIVE_OTHER", arena_printf(a, "other organism:%.*s", SPAN_ARG(c->code)));
}

static void text_answer(struct span text, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    struct span folded = outcome_fold_text(text, a), row = SPAN_ABSENT;
    const char *word = span_has(folded) && env->text ? env->text(env->ctx, folded, &row) : NULL;
    if (word)
        give(x, word, arena_printf(a, "text:%.*s", SPAN_ARG(row)));
    else if (is_organism(env) && span_is(folded, "no growth"))
        give(x, "NEGATIVE", SPAN_LIT("text:no growth"));
}

static bool is_pooled_code(const struct rec_coding *c)
{
    return span_is(c->system, "http://snomed.info/sct") && (span_is(c->code, "462371000124108") || span_is(c->code, "895231008"));
}

static void coded_answer(const struct rec_value *v, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    for (size_t i = 0; i < v->codings.n; i++) {
        const struct rec_coding *c = &v->codings.v[i];
        struct answer one = {0};
        struct span row = SPAN_ABSENT;
        const char *word = span_has(c->code) && env->code ? env->code(env->ctx, c->system, c->code, &row) : NULL;
        if (word)
            give(&one, word, code_rule(c, a));
        else if (span_has(c->code) && is_organism(env))
            organism_answer(c, env, a, &one);
        if (one.kind == OUTCOME_HOLD && one.is_given && is_pooled_code(c))
            one.reason = "POOLED";
        join(x, &one);
    }
    if (x->is_given || !v->codings.n)
        return;
    /* A single code without system and text is all that the sender wrote: a text ("NOT DETECTED^", QUIRKS 8). */
    const struct rec_coding *c = &v->codings.v[0];
    if (v->codings.n == 1 && is_systemless(c->system) && span_has(c->code) && !span_has(c->display) && !span_has(v->codings.text))
        text_answer(c->code, env, a, x);
}

/* CWE.2, CWE.9, display: only where the configuration allows it. */
static void display_answer(const struct rec_value *v, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    if (!env->text_from_display || x->is_given)
        return;
    for (size_t i = 0; i < v->codings.n; i++) {
        struct answer one = {0};
        if (span_has(v->codings.v[i].display))
            text_answer(v->codings.v[i].display, env, a, &one);
        join(x, &one);
    }
    if (!x->is_given && span_has(v->codings.text))
        text_answer(v->codings.text, env, a, x);
}

static void texts_answer(const struct rec_value *v, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    if (v->repeats.n < 2) {
        text_answer(v->text, env, a, x);
        return;
    }
    struct answer all = {0};
    for (size_t i = 0; i < v->repeats.n; i++) {
        struct answer one = {0};
        text_answer(v->repeats.v[i], env, a, &one);
        if (!one.is_given)
            return;                     /* one part that nobody knows leaves the whole unknown */
        join(&all, &one);
    }
    *x = all;
}

static void value_answer(const struct rec_observation *obs, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    const struct rec_value *v = &obs->value;
    struct span row = SPAN_ABSENT;
    bool is_number = false;
    switch (v->type) {
    case REC_V_CODED:
        if (v->repeats.n < 2) {
            coded_answer(v, env, a, x);
            display_answer(v, env, a, x);
        }
        break;
    case REC_V_TEXT:
        texts_answer(v, env, a, x);
        is_number = true;               /* a number typed as text: only where a rule is stated */
        break;
    case REC_V_NUMBER:
    case REC_V_STRUCTURED:
    case REC_V_RANGE:
    case REC_V_RATIO:
        is_number = true;
        if (v->is_number_odd)
            text_answer(v->text, env, a, x);
        break;
    case REC_V_BOOLEAN:
        is_number = true;
        break;
    case REC_V_NONE:
    case REC_V_DATE:
    case REC_V_TIME:
    case REC_V_OTHER:
        break;
    }
    const char *word = is_number && !x->is_given && env->number ? env->number(env->ctx, obs, &row) : NULL;
    if (word) {
        give(x, word, arena_printf(a, "rule:%.*s", SPAN_ARG(row)));
        if (x->kind == OUTCOME_HOLD)
            x->reason = "NO_RESULT";    /* undecidable by the rule */
    }
}

static void interpretation_answer(const struct rec_observation *obs, const struct outcome_env *env, struct arena *a, struct answer *x)
{
    for (size_t i = 0; i < obs->interpretation.n; i++) {
        struct answer one = {0};
        struct span row = SPAN_ABSENT, code = obs->interpretation.v[i];
        const char *word = span_has(code) && env->interpretation ? env->interpretation(env->ctx, code, &row) : NULL;
        if (word)
            give(&one, word, arena_printf(a, "interp:%.*s", SPAN_ARG(code)));
        join(x, &one);
    }
}

static void set(struct outcome *out, enum outcome_kind kind, const char *reason)
{
    out->kind = kind;
    out->reason = reason;
}

/* Step 0. True when it decided. */
static bool gate(const struct record *r, const struct rec_observation *obs, struct outcome *out)
{
    if (outcome_is_control(&r->specimen)) {
        set(out, OUTCOME_DROP, "QC");
        return true;
    }
    switch (obs->status) {
    case OBS_ST_NOT_ASKED: set(out, OUTCOME_DROP, "STATUS_N"); return true;
    case OBS_ST_ORDER_ONLY: set(out, OUTCOME_DROP, "STATUS_O"); return true;
    case OBS_ST_DELETED:
    case OBS_ST_WITHDRAWN: set(out, OUTCOME_WITHDRAW, NULL); return true;
    case OBS_ST_CANCELLED: set(out, OUTCOME_NO_RESULT, "CANCELLED"); return true;
    case OBS_ST_UNKNOWN: set(out, OUTCOME_HOLD, "STATUS_UNKNOWN"); return true;
    case OBS_ST_REGISTERED:
    case OBS_ST_UNVERIFIED:
    case OBS_ST_PRELIMINARY:
    case OBS_ST_FINAL:
    case OBS_ST_AMENDED:
    case OBS_ST_CORRECTED:
    case OBS_ST_APPENDED:
    case OBS_ST_VERIFIED:
    case OBS_ST_FINALIZED: break;
    }
    if (outcome_is_pooled(&r->specimen)) {
        set(out, OUTCOME_HOLD, "POOLED");
        return true;
    }
    if (r->specimen.is_rejected) {
        set(out, OUTCOME_NO_RESULT, "SPECIMEN_REJECTED");
        return true;
    }
    if (obs->status == OBS_ST_REGISTERED || obs->status == OBS_ST_UNVERIFIED) {
        set(out, OUTCOME_PENDING, NULL);
        return true;
    }
    return false;
}

static bool is_reason_for_none(struct span absent)
{
    static const char *const none[] = {"error", "not-performed", "unsupported", "not-permitted", "unknown"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (span_is(absent, none[i]))
            return true;
    return false;
}

static void unmapped(const struct rec_observation *obs, struct arena *a, struct outcome *out)
{
    const struct rec_value *v = &obs->value;
    set(out, OUTCOME_HOLD, "UNMAPPED_VALUE");
    if (v->type == REC_V_CODED && v->codings.n && span_has(v->codings.v[0].code)) {
        out->table_key = arena_printf(a, "results|%.*s|%.*s", SPAN_ARG(v->codings.v[0].system), SPAN_ARG(v->codings.v[0].code));
    } else if (v->type == REC_V_TEXT && v->text.n <= 64) {
        struct span folded = outcome_fold_text(v->text, a);
        out->table_key = arena_printf(a, "results_text|%.*s", SPAN_ARG(folded));
    } else if (v->type == REC_V_NUMBER || v->type == REC_V_STRUCTURED || v->type == REC_V_RANGE || v->type == REC_V_RATIO) {
        out->reason = "NO_RESULT";      /* a number without a rule for its test is no result, and no table row could say more */
    }
}

void outcome_derive(const struct record *r, const struct rec_observation *obs, const struct outcome_env *env,
                    struct arena *a, struct outcome *out)
{
    struct answer value = {0}, interp = {0};
    *out = (struct outcome){0};
    if (gate(r, obs, out))
        return;
    bool is_absent = outcome_value_is_absent(&obs->value);
    if (!is_absent)
        value_answer(obs, env, a, &value);
    interpretation_answer(obs, env, a, &interp);
    if (value.is_given) {
        out->rule = value.rule;
        set(out, value.kind, value.reason);
        bool agrees = interp.kind == value.kind || (value.kind == OUTCOME_POSITIVE_OTHER && interp.kind == OUTCOME_POSITIVE);
        if (interp.is_given && value.kind != OUTCOME_HOLD) {
            if (interp.kind == OUTCOME_HOLD)
                set(out, OUTCOME_HOLD, interp.reason);
            else if (!agrees)
                set(out, OUTCOME_HOLD, "VALUE_CONFLICT");
            else
                out->crosscheck = interp.rule;
        }
    } else if (interp.is_given) {
        out->rule = interp.rule;
        set(out, interp.kind, interp.reason);
    } else if (is_absent) {
        set(out, OUTCOME_NO_RESULT, is_reason_for_none(obs->absent) ? "ABSENT" : "EMPTY");
    } else {
        unmapped(obs, a, out);
    }
}
