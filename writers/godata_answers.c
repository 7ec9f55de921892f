/*
 * NAME godata_answers - questionnaireAnswers and sequence of a lab result: built, compared, merged, checked.
 *
 * The server gives back what we wrote in its own spelling: a number for a numeric text, a whole time for a day. Values are compared
 * with that in mind. What a NUMERIC question cannot read as a number it stores as null (GODATA-API 4.4): such an answer is not sent.
 * DIAGNOSTICS REFDATA_MISSING QUESTION_MISSING ANSWER_NOT_NUMERIC, as words for the caller.
 */
#include "godata_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS "questionnaireAnswers"
#define SEQUENCE "sequence"
#define TYPE_PREFIX "LNG_REFERENCE_DATA_CATEGORY_QUESTION_ANSWER_TYPE_"
#define QUESTION_DEPTH 8

/* ---- build ---- */
static void add_answers(struct buf *b, const struct lab_answers *all)
{
    buf_json_key(b, ANSWERS);
    buf_addc(b, '{');
    for (size_t i = 0; i < all->n; i++) {
        const struct lab_answer *one = &all->v[i];
        char variable[128];
        (void)snprintf(variable, sizeof variable, "%.*s", SPAN_ARG(one->variable));
        buf_json_key(b, variable);
        if (one->is_each) {
            buf_addc(b, '[');
            for (size_t k = 0; k < one->values.n; k++) {
                buf_json_sep(b);
                buf_adds(b, "{\"value\":");
                buf_json_span(b, one->values.v[k]);
                buf_addc(b, '}');
            }
            buf_addc(b, ']');
            continue;
        }
        buf_adds(b, "[{\"value\":");
        if (one->values.n) {
            buf_addc(b, '[');
            for (size_t k = 0; k < one->values.n; k++) {
                buf_json_sep(b);
                buf_json_span(b, one->values.v[k]);
            }
            buf_addc(b, ']');
        } else {
            buf_json_span(b, one->value);
        }
        buf_adds(b, "}]");
    }
    buf_addc(b, '}');
}

static void add_sequence(struct buf *b, const struct lab_result *lab)
{
    const struct lab_sequence *q = &lab->sequence;
    struct lab_result copy = *lab;
    bool is_sent = span_has(q->date_sample_sent) || span_has(q->lab_id) || span_has(q->date_result) || span_has(q->result_id);
    bool has = span_has(q->has_sequence) ? span_is(q->has_sequence, "yes") : is_sent;
    buf_json_key(b, SEQUENCE);
    buf_addc(b, '{');
    for (size_t i = 0; i < lab_sequence_fields_n; i++) {
        const struct lab_field *f = &lab_sequence_fields[i];
        struct span v = *lab_field_at(&copy, f);
        if (lab_field_is_yesno(f)) {
            buf_json_key(b, f->godata);
            buf_adds(b, has ? "true" : "false");
        } else if (span_has(v)) {
            buf_json_key(b, f->godata);
            buf_addc(b, '"');
            if (f->prefix && !span_starts(v, "LNG_"))
                buf_adds(b, f->prefix);
            buf_json_inner(b, v);
            buf_addc(b, '"');
        }
    }
    buf_addc(b, '}');
}

void godata_answers_build(struct buf *b, const struct lab_result *lab)
{
    const struct lab_sequence *q = &lab->sequence;
    if (lab->answers.n)
        add_answers(b, &lab->answers);
    if (span_has(q->has_sequence) || span_has(q->no_sequence_reason) || span_has(q->date_sample_sent) || span_has(q->lab_id) || span_has(q->date_result) ||
        span_has(q->result_id))
        add_sequence(b, lab);
}

/* ---- compare ---- */
static bool is_number(const char *s, double *out)
{
    char *end;
    *out = strtod(s, &end);
    return end != s && !*end;
}

static bool is_midnight(const char *time, const char *day)
{
    return strlen(day) == 10 && strncmp(time, day, 10) == 0 && strcmp(time + 10, "T00:00:00.000Z") == 0;
}

static bool is_same(const json_t *a, const json_t *b)
{
    double number;
    size_t i;
    if (!a || !b || json_is_null(a) || json_is_null(b))
        return (!a || json_is_null(a)) && (!b || json_is_null(b));
    if (json_is_string(a) && json_is_number(b))
        return is_number(json_string_value(a), &number) && !(number < json_number_value(b)) && !(number > json_number_value(b));
    if (json_is_number(a) && json_is_string(b))
        return is_same(b, a);
    if (json_is_string(a) && json_is_string(b)) {
        const char *s = json_string_value(a), *t = json_string_value(b);
        return strcmp(s, t) == 0 || is_midnight(s, t) || is_midnight(t, s);
    }
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (i = 0; i < json_array_size(a); i++)
            if (!is_same(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    if (json_is_object(a) && json_is_object(b) && json_object_get(a, "value"))
        return is_same(json_object_get(a, "value"), json_object_get(b, "value"));
    return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

/* ---- update ---- */
/* What stands with our changes, as a new reference; NULL when nothing changes. */
static json_t *merged(const json_t *now, const json_t *last, const json_t *next)
{
    json_t *out = json_is_object(now) ? json_deep_copy(now) : json_object(), *v;
    const char *key;
    bool is_changed = false;
    json_object_foreach((json_t *)(uintptr_t)next, key, v) {
        if (is_same(v, json_object_get(last, key)) || is_same(v, json_object_get(now, key)))
            continue;
        (void)json_object_set(out, key, v);
        is_changed = true;
    }
    json_object_foreach((json_t *)(uintptr_t)last, key, v) {
        if (json_object_get(next, key) || !json_object_get(now, key) || !is_same(v, json_object_get(now, key)))
            continue;                   /* said again, gone, or changed by somebody */
        (void)json_object_del(out, key);
        is_changed = true;
    }
    if (is_changed)
        return out;
    json_decref(out);
    return NULL;
}

static void patch_one(struct buf *b, const char *name, const json_t *now, const json_t *last, const json_t *next)
{
    json_t *all = merged(json_object_get(now, name), json_object_get(last, name), json_object_get(next, name));
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (text) {
        buf_json_key(b, name);
        buf_adds(b, text);
    }
    free(text);
    json_decref(all);
}

void godata_answers_patch(struct buf *b, const json_t *now, const json_t *last, const json_t *next)
{
    patch_one(b, ANSWERS, now, last, next);
    patch_one(b, SEQUENCE, now, last, next);
}

bool godata_answers_are_ours(const json_t *now, const json_t *written)
{
    static const char *const names[] = {ANSWERS, SEQUENCE};
    const char *key;
    json_t *v;
    for (size_t i = 0; i < 2; i++) {
        const json_t *ours = json_object_get(written, names[i]);
        json_object_foreach(json_object_get(now, names[i]), key, v) {
            bool is_default = !json_object_get(ours, key) && (json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0));
            if (!is_default && !is_same(v, json_object_get(ours, key)))
                return false;
        }
        json_object_foreach((json_t *)(uintptr_t)ours, key, v)
            if (!is_same(v, json_object_get(json_object_get(now, names[i]), key)))
                return false;
    }
    return true;
}

void godata_answers_forget(json_t *last, const json_t *now)
{
    static const char *const names[] = {ANSWERS, SEQUENCE};
    for (size_t i = 0; i < 2; i++) {
        json_t *mine = json_object_get(last, names[i]), *v;
        const json_t *theirs = json_object_get(now, names[i]);
        const char *key;
        void *next;
        json_object_foreach_safe(mine, next, key, v)
            if (!json_object_get(theirs, key) || json_is_null(json_object_get(theirs, key)))
                (void)json_object_del(mine, key);
    }
}

/* ---- check ---- */
static void add_questions(json_t *out, const json_t *list, unsigned depth)
{
    const json_t *q, *a;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)list, i, q) {
        const char *variable = json_string_value(json_object_get(q, "variable")), *type = json_string_value(json_object_get(q, "answerType"));
        size_t skip = type && strncmp(type, TYPE_PREFIX, sizeof TYPE_PREFIX - 1) == 0 ? sizeof TYPE_PREFIX - 1 : 0;
        if (variable)
            (void)json_object_set_new(out, variable, json_string(type ? type + skip : ""));
        if (depth < QUESTION_DEPTH)
            json_array_foreach(json_object_get(q, "answers"), k, a)
                add_questions(out, json_object_get(a, "additionalQuestions"), depth + 1);
    }
}

json_t *godata_questions(const json_t *template)
{
    json_t *out = json_object();
    add_questions(out, template, 0);
    return out;
}

/* Could a NUMERIC question read all of it? */
static bool is_numeric(const json_t *answers)
{
    const json_t *one;
    size_t i;
    double number;
    json_array_foreach((json_t *)(uintptr_t)answers, i, one) {
        const char *s = json_string_value(json_object_get(one, "value"));
        if (s && !is_number(s, &number))
            return false;
        if (!s && !json_is_number(json_object_get(one, "value")))
            return false;
    }
    return true;
}

static const char *check_answers(const json_t *next, const json_t *last, const json_t *questions, const char *upload, char *what, size_t room)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)next, key, v) {
        const char *type = json_string_value(json_object_get(questions, key));
        if (is_same(v, json_object_get(last, key)))
            continue;
        (void)snprintf(what, room, ANSWERS " %.80s", key);
        if (!type || (upload && strcmp(key, upload) == 0 && strcmp(type, "FILE_UPLOAD") != 0))
            return "QUESTION_MISSING";
        if (strcmp(type, "NUMERIC") == 0 && !is_numeric(v))
            return "ANSWER_NOT_NUMERIC";
    }
    return NULL;
}

const char *godata_answers_check(const json_t *next, const json_t *last, const json_t *codes, const json_t *questions, const char *upload, char *what, size_t room)
{
    const json_t *sequence = json_object_get(next, SEQUENCE), *old = json_object_get(last, SEQUENCE);
    for (size_t i = 0; codes && i < lab_sequence_fields_n; i++) {
        const struct lab_field *f = &lab_sequence_fields[i];
        const char *code = json_string_value(json_object_get(sequence, f->godata)), *was = json_string_value(json_object_get(old, f->godata));
        if (!f->prefix || !code || (was && strcmp(was, code) == 0) || json_is_true(json_object_get(codes, code)))
            continue;
        size_t skip = strncmp(code, "LNG_REFERENCE_DATA_CATEGORY_", 28) == 0 ? 28 : 0;
        (void)snprintf(what, room, SEQUENCE ".%s %.60s", f->godata, code + skip);
        return "REFDATA_MISSING";
    }
    return questions ? check_answers(json_object_get(next, ANSWERS), json_object_get(last, ANSWERS), questions, upload, what, room) : NULL;
}
