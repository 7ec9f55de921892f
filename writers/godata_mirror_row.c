/*
 * NAME godata_mirror_row - Go.Data's JSON to the mirror's rows and back.
 *
 * A row's text is its fields with a unit separator between them; the separator inside a value becomes a blank. Order, person: type, sex, born (from,
 * to, precision), visualId, last, first, middle name, then type and number of each document. Lab result: type of person, tested for, test type,
 * result, day of the sample, created at, ours.
 * DIAGNOSTICS none: what cannot be read is absent, as it is in Go.Data.
 */
#include "godata_mirror_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godata_notes.h"
#include "godata_reply.h"

#define SEPARATOR '\x1f'
#define PERSON_TYPE GODATA_PREFIX "PERSON_TYPE_"

const char godata_row_person_fields[] =
    "\"id\",\"type\",\"visualId\",\"documents\",\"firstName\",\"middleName\",\"lastName\",\"dob\",\"age\",\"gender\",\"deleted\",\"createdAt\",\"updatedAt\",\"dbUpdatedAt\"";
const char godata_row_lab_fields[] =
    "\"id\",\"personId\",\"personType\",\"sampleIdentifier\",\"testedFor\",\"testType\",\"result\",\"notes\",\"dateSampleTaken\",\"deleted\",\"createdAt\","
    "\"updatedAt\",\"updatedBy\",\"dbUpdatedAt\"";

static const char *const type_names[GODATA_PERSON_TYPES] = {"case", "contact", "contact-of-contact"};
static const char *const type_codes[GODATA_PERSON_TYPES] = {PERSON_TYPE "CASE", PERSON_TYPE "CONTACT", PERSON_TYPE "CONTACT_OF_CONTACT"};

static struct span value_of(const json_t *o, const char *key)
{
    struct span s = godata_json_text(o, key);
    size_t n = s.n < GODATA_ROW_VALUE_MAX ? s.n : GODATA_ROW_VALUE_MAX;
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;                                /* no half character */
    return span_cut(s, 0, n);
}

static bool type_of(struct span word, const char *const *words, enum godata_person_type *out)
{
    for (size_t i = 0; i < GODATA_PERSON_TYPES; i++)
        if (span_is(word, words[i])) {
            *out = (enum godata_person_type)i;
            return true;
        }
    return false;
}

const char *godata_row_type(struct span code)
{
    enum godata_person_type t;
    return type_of(code, type_codes, &t) ? type_names[t] : "";
}

/* ---- from JSON ---- */

static void read_born(const json_t *o, struct godata_born *out)
{
    const json_t *age = json_object_get(o, "age");
    *out = (struct godata_born){0};
    if (godata_born_date(span_cut(value_of(o, "dob"), 0, 10), out))
        return;
    int64_t years = json_integer_value(json_object_get(age, "years")), months = json_integer_value(json_object_get(age, "months"));
    if (years < 0 || years > 150 || months < 0 || months > 1200 || (years == 0 && months == 0) || !godata_born_age((int)years, (int)months, value_of(o, "createdAt"), out))
        *out = (struct godata_born){0};
}

static size_t read_documents(const json_t *o, struct godata_document *out)
{
    const json_t *d;
    size_t i, n = 0;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(o, "documents"), i, d) {
        struct span type = value_of(d, "type"), number = span_trim(value_of(d, "number"));
        if (!span_has(number) || n == GODATA_DOCUMENTS_MAX)
            continue;
        if (span_starts(type, GODATA_DOCUMENT_PREFIX))
            type = span_from(type, sizeof GODATA_DOCUMENT_PREFIX - 1);
        out[n++] = (struct godata_document){type, number};
    }
    return n;
}

bool godata_row_person_read(const json_t *o, const char *type, struct godata_row_person *out)
{
    struct godata_person *p = &out->person;
    struct span id = godata_json_text(o, "id"), gender = value_of(o, "gender");
    *p = (struct godata_person){.id = id};
    if (id.n == 0 || id.n > GODATA_ROW_ID_MAX || memchr(id.p, '\0', id.n))
        return false;
    if (type[0] ? !type_of(span_of(type), type_names, &p->type) : !type_of(godata_json_text(o, "type"), type_codes, &p->type))
        return false;
    p->visual_id = span_trim(value_of(o, "visualId"));
    p->last = value_of(o, "lastName");
    p->first = value_of(o, "firstName");
    p->middle = value_of(o, "middleName");
    p->sex = span_is(gender, GODATA_PREFIX "GENDER_FEMALE") ? 'F' : span_is(gender, GODATA_PREFIX "GENDER_MALE") ? 'M' : '\0';
    read_born(o, &p->born);
    p->n_documents = read_documents(o, out->documents);
    p->documents = out->documents;
    return true;
}

void godata_row_person_answer(const json_t *o, const char *variable, struct godata_row_person *out)
{
    struct godata_person *p = &out->person;
    const json_t *answer;
    size_t i, used = 0;
    for (size_t k = 0; k < p->n_documents; k++)
        used += span_starts(p->documents[k].type, "?");
    json_array_foreach((json_t *)(uintptr_t)json_object_get(json_object_get(o, "questionnaireAnswers"), variable), i, answer) {
        const json_t *v = json_object_get(answer, "value");
        struct span number = span_trim(value_of(answer, "value"));
        if (used == GODATA_ANSWERS_MAX || p->n_documents == GODATA_DOCUMENTS_MAX || !(span_has(number) || json_is_integer(v)))
            continue;
        char *room = out->answers[used++];
        int n = snprintf(room, sizeof out->answers[0], "?%s", variable);
        if (!span_has(number)) {
            int m = snprintf(room + n + 1, sizeof out->answers[0] - (size_t)n - 1, "%lld", (long long)json_integer_value(v));
            number = span_make(room + n + 1, (size_t)m);
        }
        out->documents[p->n_documents++] = (struct godata_document){span_make(room, (size_t)n), number};
    }
}

bool godata_row_lab_read(const json_t *o, struct span our_user, struct godata_row_lab *out)
{
    struct span by = godata_json_text(o, "updatedBy");
    *out = (struct godata_row_lab){.id = godata_json_text(o, "id"), .person = godata_json_text(o, "personId")};
    if (out->id.n == 0 || out->id.n > GODATA_ROW_ID_MAX || out->person.n > GODATA_ROW_ID_MAX || memchr(out->id.p, '\0', out->id.n))
        return false;
    out->type = span_of(godata_row_type(godata_json_text(o, "personType")));
    out->sample = value_of(o, "sampleIdentifier");
    out->tested_for = value_of(o, "testedFor");
    out->test_type = value_of(o, "testType");
    out->result = value_of(o, "result");
    out->k = godata_notes_k(godata_json_text(o, "notes"));
    out->day = span_cut(value_of(o, "dateSampleTaken"), 0, 10);
    out->created = value_of(o, "createdAt");
    out->is_ours = span_has(our_user) && span_eq(by, our_user);
    return true;
}

static bool digits(struct span s, size_t at, size_t n, int64_t *out)
{
    return at + n <= s.n && span_is_digits(span_cut(s, at, n)) && span_int(span_cut(s, at, n), out);
}

int64_t godata_row_stamp(const json_t *o, const char *key)
{
    struct span s = godata_json_text(o, key);
    struct godata_born day;
    int64_t h = 0, m = 0, sec = 0, ms = 0;
    if (s.n < 19 || !digits(s, 11, 2, &h) || !digits(s, 14, 2, &m) || !digits(s, 17, 2, &sec) || !godata_born_date(span_cut(s, 0, 10), &day) || day.prec != 'D')
        return 0;
    if (s.n >= 23 && s.p[19] == '.' && !digits(s, 20, 3, &ms))
        return 0;
    return (((int64_t)day.from * 24 + h) * 60 + m) * 60000 + sec * 1000 + ms;
}

bool godata_row_is_deleted(const json_t *o)
{
    return json_is_true(json_object_get(o, "deleted"));
}

/* ---- the text in the store ---- */

static void add(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, s.p[i] == SEPARATOR || s.p[i] == '\0' ? ' ' : s.p[i]);
    buf_addc(out, SEPARATOR);
}

static void add_int(struct buf *out, int64_t v)
{
    buf_add_int(out, v);
    buf_addc(out, SEPARATOR);
}

void godata_row_person_encode(const struct godata_person *p, struct buf *out)
{
    add_int(out, (int64_t)p->type);
    add(out, p->sex ? span_make(&p->sex, 1) : SPAN_ABSENT);
    add_int(out, p->born.from);
    add_int(out, p->born.to);
    add(out, p->born.prec ? span_make(&p->born.prec, 1) : SPAN_ABSENT);
    add(out, p->visual_id);
    add(out, p->last);
    add(out, p->first);
    add(out, p->middle);
    for (size_t i = 0; i < p->n_documents; i++) {
        add(out, p->documents[i].type);
        add(out, p->documents[i].number);
    }
}

static bool take_int(struct span *rest, int64_t *out)
{
    struct span s;
    return span_next(rest, SEPARATOR, &s) && span_int(s, out);
}

static bool take_char(struct span *rest, char *out)
{
    struct span s;
    if (!span_next(rest, SEPARATOR, &s))
        return false;
    *out = s.n ? s.p[0] : '\0';
    return true;
}

bool godata_row_person_decode(struct span id, struct span text, struct godata_row_person *out)
{
    struct godata_person *p = &out->person;
    struct span rest = text, type, number;
    int64_t kind, from, to;
    *p = (struct godata_person){.id = id, .documents = out->documents};
    if (!take_int(&rest, &kind) || kind < 0 || kind >= GODATA_PERSON_TYPES || !take_char(&rest, &p->sex) || !take_int(&rest, &from) || !take_int(&rest, &to) ||
        !take_char(&rest, &p->born.prec) || !span_next(&rest, SEPARATOR, &p->visual_id) || !span_next(&rest, SEPARATOR, &p->last) ||
        !span_next(&rest, SEPARATOR, &p->first) || !span_next(&rest, SEPARATOR, &p->middle))
        return false;
    p->type = (enum godata_person_type)kind;
    p->born.from = (int32_t)from;
    p->born.to = (int32_t)to;
    while (p->n_documents < GODATA_DOCUMENTS_MAX && span_has(rest) && span_next(&rest, SEPARATOR, &type) && span_next(&rest, SEPARATOR, &number))
        out->documents[p->n_documents++] = (struct godata_document){type, number};
    return true;
}

void godata_row_lab_encode(const struct godata_row_lab *r, struct buf *out)
{
    add(out, r->type);
    add(out, r->tested_for);
    add(out, r->test_type);
    add(out, r->result);
    add(out, r->day);
    add(out, r->created);
    add_int(out, r->is_ours);
}

bool godata_row_lab_decode(struct span text, struct godata_row_lab *out)
{
    struct span rest = text;
    int64_t ours;
    if (!span_next(&rest, SEPARATOR, &out->type) || !span_next(&rest, SEPARATOR, &out->tested_for) || !span_next(&rest, SEPARATOR, &out->test_type) ||
        !span_next(&rest, SEPARATOR, &out->result) || !span_next(&rest, SEPARATOR, &out->day) || !span_next(&rest, SEPARATOR, &out->created) || !take_int(&rest, &ours))
        return false;
    out->is_ours = ours != 0;
    return true;
}

int64_t godata_row_hash(struct span text, struct span a, struct span b, struct span c)
{
    const struct span parts[] = {text, a, b, c};
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < parts[i].n; k++)
            h = (h ^ (unsigned char)parts[i].p[k]) * UINT64_C(1099511628211);
        h = (h ^ 0x1F) * UINT64_C(1099511628211);
    }
    return (int64_t)(h >> 1);
}
