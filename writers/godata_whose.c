/*
 * NAME godata_whose - whose a delivery is by the mirror, and whether a create may trust the mirror.
 *
 * MATCH  One person by identifiers and nothing that contradicts: found. Several, or a contradiction: held with both sides. Nobody: Go.Data
 * itself is asked once (a courier's STEP_FIND), and only then it is held, with the nearest candidates. Names alone decide only where the
 * configuration says `demographics strong`.
 * FRESH  A look is good while the last round of polls began less than MATCH_FRESH_US ago, after what was just found gone. A create goes without
 * a look at the server when a round began since the result came, and less than WRITE_FRESH_US ago, the mirror shows the person's results at
 * all, and none of them is ours (K) or of the same sample and test: those are read and compared first. So single results are looked
 * up one by one, and what waits in a queue is served by one round.
 * DIAGNOSTICS NO_MATCH NO_IDENTITY AMBIGUOUS_PERSON IDENTITY_CONFLICT CONTACT_RESULTS_OFF CONTACT_OF_CONTACT
 */
#include "godata_whose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_build.h"
#include "godata_fresh.h"
#include "godata_notes.h"
#include "godata_reply.h"
#include "godata_session.h"
#include "store.h"
#include "log.h"
#include "xmem.h"

#define SECOND_US INT64_C(1000000)
#define MATCH_FRESH_US (120 * SECOND_US)
#define WRITE_FRESH_US (20 * SECOND_US)
#define LOOKS_MAX 12                        /* of single persons, before a round is asked for */
#define LOAD_PATIENCE_US (300 * SECOND_US)  /* so long deliveries wait for the first load; then each asks for itself */
#define FRESH_MARGIN_US (5 * SECOND_US)     /* between the end of a write and the start of the round that shows it for sure */
#define EVIDENCE_MAX ((size_t)64 << 10)

const char *const godata_whose_reasons[] = {"NO_MATCH", "AMBIGUOUS_PERSON", "IDENTITY_CONFLICT", "CONTACT_OF_CONTACT", "CONTACT_RESULTS_OFF", "PERSON_GONE",
                                            "NO_IDENTITY", "POSSIBLE_DUPLICATE", "PERSON_INCOMPLETE", "PERSON_DELETED", "NO_SOURCE_CASE", "MERGED_ID", NULL};

/* ---- what the message says ---- */

static enum godata_role role_of(struct span name)
{
    static const enum godata_role all[] = {GODATA_BY_ID, GODATA_BY_VISUAL_ID, GODATA_BY_DOCUMENT, GODATA_BY_QUESTIONNAIRE};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (span_is(name, godata_role_name(all[i])))
            return all[i];
    return GODATA_IGNORE;
}

/* Answers of a questionnaire are kept with the documents: their type is "?" and the variable. */
static void as_document(struct godata_whose *x, struct godata_person_key *k)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_addc(&b, '?');
    buf_add_span(&b, k->document);
    k->document = buf_span(&b);
    k->role = GODATA_BY_DOCUMENT;
    x->rooms[x->n_rooms++] = buf_take(&b, NULL);
}

void godata_whose_init(struct godata_whose *x, const struct godata_options *o, const char *who)
{
    struct godata_subject *s = &x->subject;
    const json_t *id;
    size_t i;
    *x = (struct godata_whose){.who = json_loads(who && who[0] ? who : "{}", JSON_REJECT_DUPLICATES, NULL)};
    json_array_foreach(json_object_get(x->who, "ids"), i, id) {
        struct godata_person_key k = {.role = role_of(godata_json_text(id, "role")), .document = godata_json_text(id, "document"), .value = godata_json_text(id, "value")};
        if (!span_has(k.value) || s->n_keys == GODATA_KEYS_MAX || !godata_options_match(o, k.role, json_string_value(json_object_get(id, "document"))))
            continue;
        if (k.role == GODATA_BY_QUESTIONNAIRE)
            as_document(x, &k);
        x->keys[s->n_keys++] = k;
    }
    s->keys = x->keys;
    s->family = godata_json_text(x->who, "family");
    s->given = godata_json_text(x->who, "given");
    s->middle = godata_json_text(x->who, "middle");
    if (!godata_born_date(godata_json_text(x->who, "birth_date"), &s->born))
        s->born = (struct godata_born){.prec = 0};
    struct span sex = godata_json_text(x->who, "sex");
    s->sex = span_is(sex, "F") || span_is(sex, "M") ? sex.p[0] : '\0';
    s->is_masked = json_array_size(json_object_get(x->who, "flags")) > 0;
}

void godata_whose_clear(struct godata_whose *x)
{
    for (size_t i = 0; i < x->n_rooms; i++)
        free(x->rooms[i]);
    json_decref(x->who);
    *x = (struct godata_whose){.who = NULL};
}

bool godata_whose_is_near(struct span ours, struct span theirs, int64_t window_us)
{
    struct godata_born a, b;
    if (!godata_born_date(span_cut(ours, 0, 10), &a) || !godata_born_date(span_cut(theirs, 0, 10), &b) || a.prec != 'D' || b.prec != 'D')
        return false;
    int64_t apart = a.from > b.from ? a.from - b.from : b.from - a.from;
    return apart <= window_us / (86400 * SECOND_US);
}

/* A person whose known result carries our sample id, when it is near enough in time. */
static void add_sample_person(struct godata_whose *x, const struct godata_mirror_lab *lab, struct span day, int64_t window_us)
{
    struct godata_subject *s = &x->subject;
    struct span theirs = lab->sample_day[0] ? span_of(lab->sample_day) : span_of(lab->created_at);
    if (s->n_sample_persons == GODATA_SAMPLE_PERSONS_MAX || x->n_rooms == GODATA_WHOSE_ROOMS || !godata_whose_is_near(day, theirs, window_us))
        return;
    for (size_t k = 0; k < s->n_sample_persons; k++)
        if (span_is(x->persons[k], lab->person_id))
            return;
    x->rooms[x->n_rooms] = xstrdup(lab->person_id);     /* the rows live until the next look */
    x->persons[s->n_sample_persons++] = span_of(x->rooms[x->n_rooms++]);
}

/* -1: the store cannot be read. */
static int add_sample(struct godata_whose *x, struct writer *w, int64_t now_us)
{
    const struct godata_options *o = godata_session_options(w);
    struct godata_subject *s = &x->subject;
    struct span sample = godata_json_text(x->who, "sample"), day = godata_json_text(x->who, "sample_day");
    const struct godata_mirror_lab *v = NULL, *lab;
    struct err e = ERR_INIT;
    char today[32];
    size_t n = 0, at = 0;
    if (!span_has(sample) || !godata_options_match(o, GODATA_BY_SAMPLE, NULL))
        return 0;
    s->sample = sample;
    s->sample_persons = x->persons;
    if (day.n < 10) {
        clock_format_iso(now_us, today, sizeof today);
        day = span_of(today);
    }
    if (godata_mirror_labs_of_sample(godata_session_mirror(w), sample, &v, &n, &e))
        return -1;
    for (size_t i = 0; i < n; i++)
        add_sample_person(x, &v[i], day, o->sample_window_us);
    while ((lab = godata_fresh_of_sample(godata_session_fresh(w), sample, &at)) != NULL)
        add_sample_person(x, lab, day, o->sample_window_us);
    return 0;
}

/* ---- evidence ---- */

static void add_key_name(struct buf *b, const struct godata_subject *s, size_t k)
{
    struct buf name;
    bool is_answer = k < s->n_keys && span_starts(s->keys[k].document, "?");
    buf_init(&name, 512);
    buf_adds(&name, k == s->n_keys ? godata_role_name(GODATA_BY_SAMPLE) : is_answer ? godata_role_name(GODATA_BY_QUESTIONNAIRE) : godata_role_name(s->keys[k].role));
    if (k < s->n_keys && span_has(s->keys[k].document)) {
        buf_addc(&name, ' ');
        buf_add_span(&name, span_from(s->keys[k].document, is_answer));
    }
    buf_json_span(b, buf_span(&name));
    buf_clear(&name);
}

static void add_compared(struct buf *b, const char *name, struct span ours, struct span theirs, const char *is)
{
    buf_json_key(b, name);
    buf_addc(b, '{');
    buf_json_kv(b, "is", is);
    buf_json_opt(b, "message", ours);
    buf_json_opt(b, "godata", theirs);
    buf_addc(b, '}');
}

static const char *field_is(enum godata_field f)
{
    switch (f) {
    case GODATA_FIELD_UNKNOWN: return "not known";
    case GODATA_FIELD_SAME: return "the same";
    case GODATA_FIELD_CLOSE: return "nearly the same";
    case GODATA_FIELD_DIFFERS: return "different";
    }
    return "not known";
}

static const char *birth_is(enum godata_birth f)
{
    switch (f) {
    case GODATA_BIRTH_UNKNOWN: return "not known";
    case GODATA_BIRTH_SAME:
    case GODATA_BIRTH_WITHIN: return "the same";
    case GODATA_BIRTH_SWAPPED:
    case GODATA_BIRTH_ESTIMATED:
    case GODATA_BIRTH_NEAR:
    case GODATA_BIRTH_ROUGH: return "nearly the same";
    case GODATA_BIRTH_DIFFERS: return "different";
    }
    return "not known";
}

static void add_born(struct buf *b, const char *name, const struct godata_subject *s, const struct godata_candidate *c)
{
    struct buf ours, theirs;
    buf_init(&ours, 64);
    buf_init(&theirs, 64);
    if (s->born.prec)
        godata_born_format(&s->born, &ours);
    if (c->person->born.prec)
        godata_born_format(&c->person->born, &theirs);
    add_compared(b, name, buf_span(&ours), buf_span(&theirs), birth_is(c->birth));
    buf_clear(&ours);
    buf_clear(&theirs);
}

static const char *const types[GODATA_PERSON_TYPES] = {"case", "contact", "contact-of-contact"};

static void add_candidate(struct buf *b, const struct godata_subject *s, const struct godata_candidate *c)
{
    const struct godata_person *p = c->person;
    const char ours[2] = {s->sex, '\0'}, theirs[2] = {p->sex, '\0'};
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_opt(b, "id", p->id);
    buf_json_kv(b, "type", types[p->type]);
    buf_json_opt(b, "visual_id", p->visual_id);
    buf_json_key(b, "agreed");
    buf_addc(b, '[');
    for (size_t k = 0; k <= s->n_keys; k++)
        if ((c->keys | c->by_mask) >> k & 1) {
            buf_json_sep(b);
            add_key_name(b, s, k);
        }
    buf_addc(b, ']');
    add_born(b, "birth_date", s, c);
    add_compared(b, "sex", span_of(ours[0] ? ours : NULL), span_of(theirs[0] ? theirs : NULL), field_is(c->sex));
    add_compared(b, "family_name", s->family, p->last, field_is(c->name));
    add_compared(b, "given_name", s->given, p->first, field_is(c->name));
    buf_addc(b, '}');
}

void godata_whose_evidence(struct godata_people *p, const struct godata_subject *s, const struct godata_people_match *m, struct buf *b)
{
    struct buf why;
    buf_init(&why, EVIDENCE_MAX);
    godata_person_why(p, s, m, &why);
    buf_addc(b, '{');
    if (why.n)
        buf_json_opt(b, "why", buf_span(&why));
    buf_json_key(b, "looked_for");
    buf_addc(b, '[');
    for (size_t k = 0; k <= s->n_keys; k++) {
        struct span value = k < s->n_keys ? s->keys[k].value : s->sample;
        int64_t found = 0;
        if (!span_has(value))
            continue;
        for (size_t i = 0; i < m->n; i++)
            found += ((m->candidates[i].keys | m->candidates[i].by_mask) >> k) & 1;
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_key(b, "by");
        add_key_name(b, s, k);
        buf_json_opt(b, "value", value);
        buf_json_kint(b, "found", found);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    buf_json_key(b, "candidates");
    buf_addc(b, '[');
    for (size_t i = 0; i < m->n; i++)
        add_candidate(b, s, &m->candidates[i]);
    buf_adds(b, "]}");
    buf_clear(&why);
}

/* ---- the decision ---- */

const struct godata_candidate *godata_whose_strong(const struct godata_subject *s, const struct godata_people_match *m)
{
    if (m->state != GODATA_MATCH_CANDIDATES || m->n == 0 || s->is_masked)
        return NULL;
    const struct godata_candidate *c = &m->candidates[0];
    if (c->strength != GODATA_STRONG || c->sex != GODATA_FIELD_SAME || c->contradicts || (m->n > 1 && m->candidates[1].strength != GODATA_WEAK))
        return NULL;
    return c;
}

static void set_found(struct matched *out, const struct godata_person *p)
{
    out->state = MATCH_FOUND;
    out->person_id = xstrndup(p->id.p, p->id.n);
    out->person_type = xstrdup(types[p->type]);
}

/* Is the mirror good enough to say anything now? Else what to do instead. */
static bool is_usable(struct writer *w, const struct delivery *d, int64_t now_us, struct matched *out)
{
    struct godata_mirror *m = godata_session_mirror(w);
    int64_t seen_us = godata_mirror_seen_us(m);
    bool was_gone = strcmp(d->reason, "PERSON_GONE") == 0 && seen_us <= d->updated_us;
    if (godata_mirror_is_loaded(m) && now_us - seen_us < MATCH_FRESH_US && now_us >= seen_us && !was_gone)
        return true;
    godata_mirror_want(m, was_gone ? d->updated_us + 1 : seen_us + 1);     /* a round that began since will do */
    bool is_patient = now_us - godata_session_ready_us(w) < LOAD_PATIENCE_US && godata_mirror_is_possible(m);
    out->state = is_patient || (godata_mirror_is_loaded(m) && was_gone) ? MATCH_WAIT : MATCH_ASK;
    return false;
}

/* Nobody has these identifiers. A sender merged one of them into another: whoever has that one is proposed, never taken. */
static bool propose_alias(struct writer *w, const struct godata_whose *x, struct matched *out)
{
    struct godata_people *people = godata_mirror_people(godata_session_mirror(w));
    struct store *q = godata_session_store(w);
    for (size_t i = 0; q && i < x->subject.n_keys; i++) {
        struct godata_person_key key = x->subject.keys[i];
        struct godata_subject s = x->subject;
        struct godata_people_match m;
        struct err e = ERR_INIT;
        char *now = NULL;
        struct buf old;
        if (key.role != GODATA_BY_DOCUMENT)
            continue;
        buf_init(&old, 4096);
        buf_addf(&old, "%.*s|%.*s", SPAN_ARG(key.document), SPAN_ARG(key.value));
        bool has = store_get_alias(q, godata_session_name(w), buf_span(&old), &now, &e) == 0;
        buf_clear(&old);
        if (!has)
            continue;
        struct span is = span_of(now);
        key.document = span_cut(is, 0, span_find(is, '|'));
        key.value = span_from(is, span_find(is, '|') + 1);
        s.keys = &key;
        s.n_keys = 1;
        s.n_sample_persons = 0;
        godata_people_match(people, &s, &m);
        bool is_proposed = m.n_by_key > 0;
        if (is_proposed) {
            struct buf b;
            buf_init(&b, EVIDENCE_MAX * 4);
            godata_whose_evidence(people, &s, &m, &b);
            out->state = MATCH_HELD;
            out->reason = "MERGED_ID";
            out->evidence = buf_take(&b, NULL);
        }
        free(now);
        if (is_proposed)
            return true;
    }
    return false;
}

void godata_whose_match(struct writer *w, const struct delivery *d, enum match_depth depth, int64_t now_us, struct matched *out)
{
    const struct godata_options *o = godata_session_options(w);
    struct godata_mirror *mirror = godata_session_mirror(w);
    struct godata_people_match m;
    struct godata_whose x;
    *out = (struct matched){.state = MATCH_ASK};
    if (!is_usable(w, d, now_us, out))
        return;
    godata_whose_init(&x, o, d->who);
    if (add_sample(&x, w, now_us)) {
        out->state = MATCH_WAIT;
        godata_whose_clear(&x);
        return;
    }
    if (depth == MATCH_BY_KEY && !o->demographics)
        x.subject.is_masked = true;         /* names are dear to look up and cannot end a hold */
    struct godata_people *people = godata_mirror_people(mirror);
    godata_people_match(people, &x.subject, &m);
    const struct godata_candidate *one = m.state == GODATA_MATCH_SURE ? &m.candidates[0] : o->demographics ? godata_whose_strong(&x.subject, &m) : NULL;
    out->reason = one ? NULL : godata_match_reason(m.state);
    if (one && one->person->type == GODATA_CONTACT_OF_CONTACT)
        out->reason = "CONTACT_OF_CONTACT";
    else if (one && one->person->type == GODATA_CONTACT && !godata_session_shows_contacts(w) && !(d->flags & DELIVERY_IS_PERSON))
        out->reason = "CONTACT_RESULTS_OFF";
    bool is_nobody = m.state == GODATA_MATCH_CANDIDATES || m.state == GODATA_MATCH_NOBODY;
    if (is_nobody && !one && d->flags & DELIVERY_MAY_CREATE && m.n && m.candidates[0].strength != GODATA_WEAK)
        out->reason = "POSSIBLE_DUPLICATE"; /* as good as a hit of Go.Data's own search, which knows no other script or spelling */
    if (!out->reason) {
        set_found(out, one->person);
    } else if (is_nobody && !one && depth == MATCH_WHOLE && propose_alias(w, &x, out)) {
        /* held with the proposal */
    } else if (is_nobody && !one && !(d->flags & DELIVERY_WAS_ASKED)) {
        out->state = MATCH_ASK;
    } else {
        out->state = MATCH_HELD;
        if (depth == MATCH_WHOLE) {
            struct buf b;
            buf_init(&b, EVIDENCE_MAX * 4);
            godata_whose_evidence(people, &x.subject, &m, &b);
            out->evidence = buf_take(&b, NULL);
        }
    }
    godata_whose_clear(&x);
}

/* ---- before a create ---- */

/* A field of our own frozen body; room is for those that have to be unescaped. */
static struct span body_text(const char *body, const char *field, char room[512])
{
    struct span v;
    if (godata_body_text(body, field, &v))
        return v;
    json_t *o = json_loads(body ? body : "", 0, NULL);
    v = godata_json_text(o, field);
    v = span_cut(v, 0, 511);
    memcpy(room, v.n ? v.p : "", v.n);
    json_decref(o);
    return span_make(room, v.n);
}

struct test { struct span sample, tested_for, test_type; char rooms[3][512]; };

static void test_init(struct test *t, const char *body)
{
    t->sample = body_text(body, "sampleIdentifier", t->rooms[0]);
    t->tested_for = body_text(body, "testedFor", t->rooms[1]);
    t->test_type = body_text(body, "testType", t->rooms[2]);
}

static bool is_text(const char *theirs, struct span ours)
{
    return strlen(theirs) == ours.n && (ours.n == 0 || memcmp(theirs, ours.p, ours.n) == 0);
}

static bool concerns(const struct godata_mirror_lab *lab, const struct delivery *d, const struct test *t)
{
    return strncmp(lab->k, d->result_key, GODATA_K_MAX) == 0 ||
           (is_text(lab->sample, t->sample) && is_text(lab->tested_for, t->tested_for) && is_text(lab->test_type, t->test_type));
}

bool godata_whose_must_look(struct writer *w, const struct delivery *d, int64_t since_us, int64_t now_us)
{
    struct godata_mirror *m = godata_session_mirror(w);
    struct godata_fresh *fresh = godata_session_fresh(w);
    const struct godata_mirror_lab *v = NULL, *lab;
    struct err e = ERR_INIT;
    struct test t;
    size_t n = 0, at = 0;
    int64_t seen_us = godata_mirror_seen_us(m), age_us = now_us - seen_us;
    godata_fresh_prune(fresh, seen_us - FRESH_MARGIN_US);
    if (!godata_mirror_is_loaded(m) || age_us > WRITE_FRESH_US || seen_us < since_us || age_us < 0 || !godata_fresh_is_whole(fresh)) {
        if (godata_fresh_looked(fresh) >= LOOKS_MAX)
            godata_mirror_want(m, now_us);      /* so many looks cost more than a round, which serves all that wait */
        return true;
    }
    if (strcmp(d->person_type, "case") != 0 && !godata_session_mirrors_contacts(w))
        return true;                        /* the list of results does not show contacts' */
    if (godata_mirror_labs_of_person(m, span_of(d->person_id), &v, &n, &e))
        return true;
    test_init(&t, d->body);
    for (size_t i = 0; i < n; i++)
        if (concerns(&v[i], d, &t))
            return true;
    while ((lab = godata_fresh_of_person(fresh, span_of(d->person_id), &at)) != NULL)
        if (concerns(lab, d, &t))
            return true;
    return false;
}

void godata_whose_written(struct writer *w, const struct task *t)
{
    char k[GODATA_K_MAX + 1] = "", today[32], day[11] = "", room[512], text[3][512];
    struct test test;
    if (t->verdict != VERDICT_DELIVERED || t->step != STEP_CREATE || !t->created_id || !t->person_id)
        return;
    test_init(&test, t->body);
    const struct span v[3] = {test.sample, test.tested_for, test.test_type};
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(text[i], sizeof text[i], "%.*s", (int)v[i].n, v[i].n ? v[i].p : "");
    struct span taken = body_text(t->body, "dateSampleTaken", room);
    (void)snprintf(k, sizeof k, "%s", t->result_key ? t->result_key : "");
    (void)snprintf(day, sizeof day, "%.*s", (int)taken.n, taken.n ? taken.p : "");
    clock_format_iso(t->ended_us, today, sizeof today);
    struct godata_mirror_lab lab = {.id = t->created_id, .person_id = t->person_id, .person_type = t->found_type ? t->found_type : t->person_type,
                                    .sample = text[0], .tested_for = text[1], .test_type = text[2], .result = "", .k = k, .sample_day = day, .created_at = today};
    (void)godata_fresh_put(godata_session_fresh(w), &lab, t->ended_us);
}

uint64_t godata_whose_changes(const struct writer *w)
{
    struct writer *x = (struct writer *)(uintptr_t)w;
    return godata_mirror_changes(godata_session_mirror(x)) + godata_fresh_written(godata_session_fresh(x));
}
