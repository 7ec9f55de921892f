/*
 * NAME godata_match - STEP_FIND: whose result is it (STANDARDS 8.7 steps a to d).
 *
 * One request for the sample id (when `match` uses it), one POST …/filter for cases, one for contacts; when nobody is found, one for
 * contacts of contacts, who can only be held. Go.Data's answers are candidates: every hit is compared again here, byte by byte. All keys
 * must lead to the same single person, and nothing that the message says about that person may contradict.
 * DIAGNOSTICS NO_MATCH NO_IDENTITY AMBIGUOUS_PERSON IDENTITY_CONFLICT CONTACT_RESULTS_OFF CONTACT_OF_CONTACT; the evidence names, per
 * candidate, which field agreed. Values stand in the evidence only, never in reason, detail or log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_build.h"
#include "godata_name.h"
#include "godata_work.h"
#include "xmem.h"

#define LIMIT 25
#define SAMPLES_LIMIT 100
#define KEYS_MAX 32
#define PERSONS_MAX (3 * LIMIT)
#define EVIDENCE_MAX ((size_t)256 << 10)
#define BODY_MAX ((size_t)64 << 10)
#define DAY_US (INT64_C(86400) * 1000000)

struct key {
    enum godata_role role;
    struct span document, value;
    bool is_searchable;
    unsigned found;                     /* persons */
};
struct person {
    const json_t *o;
    const char *type, *id;
    uint32_t keys;                      /* bit i: keys[i] led here */
    bool dob_differs, sex_differs, family_differs;
};
struct search {
    const struct godata_options *o;
    const json_t *who;
    struct key keys[KEYS_MAX];
    size_t n_keys;
    struct person persons[PERSONS_MAX];
    size_t n_persons;
    bool is_cut;                        /* a list was as long as its limit */
    size_t unseen;                      /* persons of our sample that no list shows */
    bool is_unseen_other;               /* one of them is a contact of a contact */
};

static struct span document_code(struct span type)
{
    return span_starts(type, GODATA_DOCUMENT_PREFIX) ? span_from(type, sizeof GODATA_DOCUMENT_PREFIX - 1) : type;
}

static enum godata_role role_of(struct span name)
{
    static const enum godata_role all[] = {GODATA_BY_ID, GODATA_BY_VISUAL_ID, GODATA_BY_DOCUMENT, GODATA_BY_QUESTIONNAIRE};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (span_is(name, godata_role_name(all[i])))
            return all[i];
    return GODATA_IGNORE;
}

static void collect_keys(struct search *s)
{
    const json_t *ids = json_object_get(s->who, "ids"), *id;
    struct span sample = godata_json_text(s->who, "sample");
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)ids, i, id) {
        struct key k = {.role = role_of(godata_json_text(id, "role")), .document = godata_json_text(id, "document"), .value = godata_json_text(id, "value")};
        const char *document = json_string_value(json_object_get(id, "document"));
        if (!span_has(k.value) || s->n_keys == KEYS_MAX - 1 || !godata_options_match(s->o, k.role, document))
            continue;
        k.is_searchable = godata_is_searchable(k.value);
        s->keys[s->n_keys++] = k;
    }
    if (span_has(sample) && godata_options_match(s->o, GODATA_BY_SAMPLE, NULL))
        s->keys[s->n_keys++] = (struct key){.role = GODATA_BY_SAMPLE, .value = sample, .is_searchable = godata_is_searchable(sample)};
}

/* ---- comparing ---- */

/* {"VARIABLE":[{"value":…}]}: texts as they stand, whole numbers by their digits. */
static bool is_answer(const json_t *answers, const struct key *k)
{
    char variable[GODATA_VARIABLE_MAX];
    const json_t *v;
    size_t i;
    if (k->document.n >= sizeof variable)
        return false;
    memcpy(variable, k->document.p, k->document.n);
    variable[k->document.n] = '\0';
    json_array_foreach(json_object_get(answers, variable), i, v) {
        const json_t *value = json_object_get(v, "value");
        int64_t number;
        if (json_is_string(value) ? span_eq(span_trim(godata_json_text(v, "value")), k->value)
                                  : json_is_integer(value) && span_int(k->value, &number) && number == json_integer_value(value) && k->value.p[0] != '0')
            return true;
    }
    return false;
}

static bool key_fits(const struct key *k, const json_t *person)
{
    const json_t *d;
    size_t i;
    switch (k->role) {
    case GODATA_BY_ID: return span_eq(godata_json_text(person, "id"), k->value);
    case GODATA_BY_VISUAL_ID: return span_eq(span_trim(godata_json_text(person, "visualId")), k->value);
    case GODATA_BY_DOCUMENT:
        json_array_foreach((json_t *)(uintptr_t)json_object_get(person, "documents"), i, d)
            if (span_eq(span_trim(godata_json_text(d, "number")), k->value) && span_eq(document_code(godata_json_text(d, "type")), k->document))
                return true;
        return false;
    case GODATA_BY_QUESTIONNAIRE: return is_answer(json_object_get(person, "questionnaireAnswers"), k);
    case GODATA_BY_SAMPLE:
    case GODATA_IGNORE: return false;
    }
    return false;
}

static struct person *person_find(struct search *s, struct span id)
{
    for (size_t i = 0; i < s->n_persons; i++)
        if (span_is(id, s->persons[i].id))
            return &s->persons[i];
    return NULL;
}

static void add_persons(struct search *s, const json_t *list, const char *type)
{
    const json_t *o;
    size_t i;
    if (json_array_size(list) >= LIMIT)
        s->is_cut = true;
    json_array_foreach((json_t *)(uintptr_t)list, i, o) {
        struct span id = godata_json_text(o, "id");
        if (!span_has(id) || json_is_true(json_object_get(o, "deleted")) || person_find(s, id) || s->n_persons == PERSONS_MAX)
            continue;
        struct person *p = &s->persons[s->n_persons++];
        *p = (struct person){.o = o, .type = type, .id = json_string_value(json_object_get(o, "id"))};
        for (size_t k = 0; k < s->n_keys; k++)
            if (s->keys[k].is_searchable && key_fits(&s->keys[k], o))
                p->keys |= UINT32_C(1) << k;
    }
}

/* Day number of "2026-05-04…"; false when it is no date. */
static bool day_number(struct span s, int64_t *out)
{
    int64_t y, m, d;
    if (s.n < 10 || !span_int(span_cut(s, 0, 4), &y) || !span_int(span_cut(s, 5, 2), &m) || !span_int(span_cut(s, 8, 2), &d) || m < 1 || m > 12)
        return false;
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    *out = era * 146097 + doe;
    return true;
}

/* Is a known result with our sample id close enough in time to be of the same sample? */
static bool is_same_sample(const struct search *s, const json_t *lab, struct span sample, struct span our_day)
{
    struct span day = godata_json_text(lab, "dateSampleTaken");
    int64_t ours, theirs;
    if (!span_eq(godata_json_text(lab, "sampleIdentifier"), sample))
        return false;
    if (!span_has(day))
        day = godata_json_text(lab, "createdAt");
    if (!day_number(our_day, &ours) || !day_number(day, &theirs))
        return false;
    int64_t apart = ours > theirs ? ours - theirs : theirs - ours;
    return apart <= s->o->sample_window_us / DAY_US;
}

static void add_samples(struct search *s, const json_t *samples, const char *today)
{
    const struct key *k = s->n_keys ? &s->keys[s->n_keys - 1] : NULL;
    struct span our_day = godata_json_text(s->who, "sample_day");
    const json_t *lab;
    size_t i;
    if (!k || k->role != GODATA_BY_SAMPLE || !k->is_searchable)
        return;
    if (our_day.n < 10)
        our_day = span_of(today);
    if (json_array_size(samples) >= SAMPLES_LIMIT)
        s->is_cut = true;
    json_array_foreach((json_t *)(uintptr_t)samples, i, lab) {
        struct span id = godata_json_text(lab, "personId");
        if (!span_has(id) || !is_same_sample(s, lab, k->value, our_day))
            continue;
        struct person *p = person_find(s, id);
        if (p) {
            p->keys |= UINT32_C(1) << (s->n_keys - 1);
        } else {
            s->unseen++;
            s->is_unseen_other |= span_is(godata_json_text(lab, "personType"), GODATA_PREFIX "PERSON_TYPE_CONTACT_OF_CONTACT");
        }
    }
}

/* Only what both sides say for sure can contradict (STANDARDS 8.7). */
static void check_person(const struct search *s, struct person *p)
{
    struct span born = godata_json_text(s->who, "birth_date"), dob = godata_json_text(p->o, "dob");
    struct span sex = godata_json_text(s->who, "sex"), gender = godata_json_text(p->o, "gender");
    struct span family = godata_json_text(s->who, "family"), last = godata_json_text(p->o, "lastName");
    bool is_female = span_is(gender, GODATA_PREFIX "GENDER_FEMALE"), is_male = span_is(gender, GODATA_PREFIX "GENDER_MALE");
    p->dob_differs = born.n >= 10 && dob.n >= 10 && !span_eq(span_cut(born, 0, 10), span_cut(dob, 0, 10));
    p->sex_differs = (span_is(sex, "F") && is_male) || (span_is(sex, "M") && is_female);
    p->family_differs = span_has(family) && span_has(last) && !godata_name_agrees(family, last);
}

/* ---- evidence ---- */

static void add_key_name(struct buf *b, const struct key *k)
{
    struct buf name;
    buf_init(&name, 512);
    buf_adds(&name, godata_role_name(k->role));
    if (span_has(k->document)) {
        buf_addc(&name, ' ');
        buf_add_span(&name, k->document);
    }
    buf_json_span(b, buf_span(&name));
    buf_clear(&name);
}

static void add_compared(struct buf *b, const char *name, struct span ours, struct span theirs, bool differs)
{
    buf_json_key(b, name);
    buf_addc(b, '{');
    buf_json_kv(b, "is", differs ? "different" : span_has(ours) && span_has(theirs) ? "the same" : "not known");
    buf_json_opt(b, "message", ours);
    buf_json_opt(b, "godata", theirs);
    buf_addc(b, '}');
}

static void add_candidate(const struct search *s, const struct person *p, struct buf *b)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kv(b, "id", p->id);
    buf_json_kv(b, "type", p->type);
    buf_json_opt(b, "visual_id", godata_json_text(p->o, "visualId"));
    buf_json_key(b, "agreed");
    buf_addc(b, '[');
    for (size_t k = 0; k < s->n_keys; k++)
        if (p->keys & UINT32_C(1) << k) {
            buf_json_sep(b);
            add_key_name(b, &s->keys[k]);
        }
    buf_addc(b, ']');
    add_compared(b, "birth_date", span_cut(godata_json_text(s->who, "birth_date"), 0, 10), span_cut(godata_json_text(p->o, "dob"), 0, 10), p->dob_differs);
    struct span gender = godata_json_text(p->o, "gender");
    if (span_starts(gender, GODATA_PREFIX "GENDER_"))
        gender = span_from(gender, sizeof GODATA_PREFIX "GENDER_" - 1);
    add_compared(b, "sex", godata_json_text(s->who, "sex"), gender, p->sex_differs);
    add_compared(b, "family_name", godata_json_text(s->who, "family"), godata_json_text(p->o, "lastName"), p->family_differs);
    add_compared(b, "given_name", godata_json_text(s->who, "given"), godata_json_text(p->o, "firstName"), false);
    buf_addc(b, '}');
}

static void add_evidence(const struct search *s, struct buf *b)
{
    buf_adds(b, "{\"looked_for\":[");
    for (size_t k = 0; k < s->n_keys; k++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_key(b, "by");
        add_key_name(b, &s->keys[k]);
        buf_json_opt(b, "value", s->keys[k].value);
        if (s->keys[k].is_searchable)
            buf_json_kint(b, "found", s->keys[k].found);
        else
            buf_json_kv(b, "skipped", "Go.Data cannot search for this value");
        buf_addc(b, '}');
    }
    buf_adds(b, "],\"candidates\":[");
    for (size_t i = 0; i < s->n_persons; i++)
        if (s->persons[i].keys)
            add_candidate(s, &s->persons[i], b);
    buf_addc(b, ']');
    if (s->unseen)
        buf_json_kint(b, "sample_of_persons_not_visible", (int64_t)s->unseen);
    buf_addc(b, '}');
}

/* ---- the decision ---- */

static void decide(struct search *s, bool has_contact_results, struct godata_found *out)
{
    struct person *one = NULL;
    size_t hits = 0, searchable = 0;
    bool is_split = false;
    for (size_t i = 0; i < s->n_persons; i++) {
        struct person *p = &s->persons[i];
        check_person(s, p);
        if (!p->keys)
            continue;
        hits++;
        one = p;
        for (size_t k = 0; k < s->n_keys; k++)
            s->keys[k].found += (p->keys >> k) & 1;
    }
    for (size_t k = 0; k < s->n_keys; k++) {
        is_split |= s->keys[k].found > 1;
        searchable += s->keys[k].is_searchable;
    }
    out->verdict = VERDICT_REJECTED;
    if (searchable == 0)
        out->reason = "NO_IDENTITY";
    else if (is_split || (s->is_cut && hits))
        out->reason = "AMBIGUOUS_PERSON";
    else if (hits > 1 || (hits && s->unseen))
        out->reason = "IDENTITY_CONFLICT";
    else if (hits == 0)
        out->reason = s->is_unseen_other ? "CONTACT_OF_CONTACT" : "NO_MATCH";
    else if (one->dob_differs || one->sex_differs || one->family_differs)
        out->reason = "IDENTITY_CONFLICT";
    else if (strcmp(one->type, "contact-of-contact") == 0)
        out->reason = "CONTACT_OF_CONTACT";
    else if (strcmp(one->type, "contact") == 0 && !has_contact_results)
        out->reason = "CONTACT_RESULTS_OFF";
    else
        *out = (struct godata_found){.verdict = VERDICT_DELIVERED, .id = one->id, .type = one->type};
}

void godata_find_decide(const struct godata_options *o, const json_t *who, const json_t *cases, const json_t *contacts, const json_t *others,
                        const json_t *samples, bool has_contact_results, const char *today, struct godata_found *out, struct buf *evidence)
{
    struct search *s = xcalloc(1, sizeof *s);
    *out = (struct godata_found){0};
    s->o = o;
    s->who = who;
    collect_keys(s);
    add_persons(s, cases, "case");
    add_persons(s, contacts, "contact");
    add_persons(s, others, "contact-of-contact");
    add_samples(s, samples, today);
    decide(s, has_contact_results, out);
    add_evidence(s, evidence);
    free(s);
}

/* ---- requests ---- */

static void path_start(struct buf *b, const struct task *t, const char *rest)
{
    const struct godata_armed *armed = t->armed;
    buf_adds(b, "/outbreaks/");
    godata_url_add(b, span_of(armed->outbreak_id));
    buf_adds(b, rest);
}

/* -1: the task has its verdict. */
static int get_samples(struct task *t, struct http_client *http, struct span sample, json_t **out)
{
    struct godata_reply r;
    struct buf path, filter;
    int rc = -1;
    buf_init(&path, BODY_MAX);
    buf_init(&filter, BODY_MAX);
    buf_adds(&filter, "{\"where\":{\"sampleIdentifier\":");
    buf_json_span(&filter, sample);
    buf_adds(&filter, "},\"fields\":[\"id\",\"personId\",\"personType\",\"sampleIdentifier\",\"dateSampleTaken\",\"createdAt\"],\"limit\":");
    buf_add_int(&filter, SAMPLES_LIMIT);
    buf_addc(&filter, '}');
    path_start(&path, t, "/lab-results/aggregate?filter=");
    godata_url_add(&path, buf_span(&filter));
    godata_call(t, http, "GET", buf_span(&path), SPAN_ABSENT, &r);
    if (r.status == 200 && json_is_array(r.json)) {
        *out = json_incref(r.json);
        rc = 0;
    } else {
        godata_fail(t, http, &r, GODATA_READ);
    }
    godata_reply_clear(&r);
    buf_clear(&filter);
    buf_clear(&path);
    return rc;
}

static void add_condition(struct buf *b, const char *field, struct span value)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_key(b, field);
    buf_json_span(b, value);
    buf_addc(b, '}');
}

static void add_answer_conditions(struct buf *b, const struct key *key)
{
    char field[GODATA_VARIABLE_MAX + 64];
    int64_t number;
    (void)snprintf(field, sizeof field, "questionnaireAnswers.%.*s.value", SPAN_ARG(key->document));
    add_condition(b, field, key->value);
    if (span_int(key->value, &number) && key->value.p[0] != '0' && key->value.n < 16) {
        buf_addc(b, ',');
        buf_addc(b, '{');
        buf_json_kint(b, field, number);
        buf_addc(b, '}');
    }
}

/* The body of POST …/filter; false when there is nothing to look for. */
static bool make_filter(const struct search *s, const json_t *samples, struct buf *b)
{
    const json_t *lab;
    size_t i;
    bool has = false;
    buf_adds(b, "{\"filter\":{\"where\":{\"or\":[");
    for (size_t k = 0; k < s->n_keys; k++) {
        const struct key *key = &s->keys[k];
        if (!key->is_searchable || key->role == GODATA_BY_SAMPLE)
            continue;
        has = true;
        if (key->role == GODATA_BY_DOCUMENT) {
            buf_json_sep(b);
            struct buf type;
            buf_init(&type, BODY_MAX);
            buf_adds(&type, GODATA_DOCUMENT_PREFIX);
            buf_add_span(&type, key->document);
            buf_adds(b, "{\"documents\":{\"elemMatch\":{");
            buf_json_opt(b, "type", buf_span(&type));
            buf_json_opt(b, "number", key->value);
            buf_adds(b, "}}}");
            buf_clear(&type);
        } else if (key->role == GODATA_BY_QUESTIONNAIRE) {
            add_answer_conditions(b, key);
        } else {
            add_condition(b, key->role == GODATA_BY_ID ? "id" : "visualId", key->value);
        }
    }
    json_array_foreach((json_t *)(uintptr_t)samples, i, lab) {
        struct span id = godata_json_text(lab, "personId");
        bool is_new = true;
        for (size_t j = 0; j < i && is_new; j++)
            is_new = !span_eq(godata_json_text(json_array_get(samples, j), "personId"), id);
        if (is_new && span_has(id) && godata_is_searchable(id)) {
            add_condition(b, "id", id);
            has = true;
        }
    }
    buf_adds(b, "]},\"fields\":[\"id\",\"visualId\",\"documents\",\"firstName\",\"middleName\",\"lastName\",\"dob\",\"gender\",\"questionnaireAnswers\",\"deleted\"],\"limit\":");
    buf_add_int(b, LIMIT);
    buf_adds(b, "}}");
    return has && !b->is_full;
}

/* -1: the task has its verdict. */
static int get_persons(struct task *t, struct http_client *http, const char *kind, struct span filter, json_t **out)
{
    struct godata_reply r;
    struct buf path;
    int rc = -1;
    buf_init(&path, BODY_MAX);
    path_start(&path, t, kind);
    godata_call(t, http, "POST", buf_span(&path), filter, &r);
    if (r.status == 200 && json_is_array(r.json)) {
        *out = json_incref(r.json);
        rc = 0;
    } else {
        godata_fail(t, http, &r, GODATA_READ);
    }
    godata_reply_clear(&r);
    buf_clear(&path);
    return rc;
}

static void finish_found(struct task *t, const struct godata_found *f, struct buf *evidence)
{
    size_t n;
    godata_finish(t, f->verdict, f->reason, NULL);
    t->retry_after_us = 0;
    if (f->verdict == VERDICT_DELIVERED) {
        t->found_id = xstrdup(f->id);
        t->found_type = xstrdup(f->type);
    }
    t->evidence = buf_take(evidence, &n);
}

void godata_find_perform(struct task *t, struct http_client *http)
{
    const struct godata_armed *armed = t->armed;
    bool has_contacts = armed->has_contact_results || t->flags & DELIVERY_IS_PERSON;
    struct search *s = xcalloc(1, sizeof *s);
    json_t *who = json_loads(t->who ? t->who : "{}", JSON_REJECT_DUPLICATES, NULL);
    json_t *cases = NULL, *contacts = NULL, *others = NULL, *samples = NULL;
    struct godata_found found;
    struct buf filter, evidence;
    char today[32];

    buf_init(&filter, BODY_MAX);
    buf_init(&evidence, EVIDENCE_MAX);
    clock_format_iso(clock_now_us(), today, sizeof today);
    s->o = t->options;
    s->who = who;
    collect_keys(s);
    const struct key *last = s->n_keys ? &s->keys[s->n_keys - 1] : NULL;
    if (last && last->role == GODATA_BY_SAMPLE && last->is_searchable && get_samples(t, http, last->value, &samples) != 0)
        goto out;
    bool has_filter = make_filter(s, samples, &filter);
    if (has_filter && (get_persons(t, http, "/cases/filter", buf_span(&filter), &cases) != 0 ||
                       get_persons(t, http, "/contacts/filter", buf_span(&filter), &contacts) != 0))
        goto out;
    godata_find_decide(t->options, who, cases, contacts, NULL, samples, has_contacts, today, &found, &evidence);
    if (has_filter && found.reason && strcmp(found.reason, "NO_MATCH") == 0 &&
        get_persons(t, http, "/contacts-of-contacts/filter", buf_span(&filter), &others) == 0 && json_array_size(others) > 0) {
        buf_reset(&evidence);
        godata_find_decide(t->options, who, cases, contacts, others, samples, has_contacts, today, &found, &evidence);
    }
    finish_found(t, &found, &evidence);
out:
    json_decref(who);
    json_decref(cases);
    json_decref(contacts);
    json_decref(others);
    json_decref(samples);
    buf_clear(&filter);
    buf_clear(&evidence);
    free(s);
}
