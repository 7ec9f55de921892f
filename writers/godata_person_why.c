/*
 * NAME godata_person_why - why a result was not written to anybody, in the words of the people who read it.
 *
 * One paragraph says what stood in the way, with both values beside each other; one says the single change that would have made it match; the
 * candidates follow, a line each. No name of a state, option or function stands in these texts. They hold patient data: evidence only, never a log.
 * DIAGNOSTICS none.
 */
#include <string.h>

#include "godata_person_inner.h"

static void add_lower(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, s.p[i] == '_' ? ' ' : (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]));
}

static void add_document(struct buf *out, struct span type)
{
    if (span_is(type, "NATIONAL_ID_CARD"))
        buf_adds(out, "national ID card number");
    else if (span_is(type, "EXTERNAL_ID"))
        buf_adds(out, "external ID");
    else if (span_starts(type, "?"))
        buf_adds(out, "answer to "), buf_add_span(out, span_from(type, 1));
    else if (span_has(type))
        add_lower(out, type), buf_adds(out, " number");
    else
        buf_adds(out, "document number");
}

static void add_key(struct buf *out, const struct godata_subject *s, size_t i)
{
    struct span value = i < s->n_keys ? span_trim(s->keys[i].value) : s->sample;
    switch (i < s->n_keys ? s->keys[i].role : GODATA_BY_SAMPLE) {
    case GODATA_BY_ID: buf_adds(out, "Go.Data ID"); break;
    case GODATA_BY_VISUAL_ID: buf_adds(out, "case ID"); break;
    case GODATA_BY_DOCUMENT: add_document(out, s->keys[i].document); break;
    case GODATA_BY_SAMPLE: buf_adds(out, "sample ID"); break;
    case GODATA_BY_QUESTIONNAIRE:
    case GODATA_IGNORE: buf_adds(out, "identifier"); break;
    }
    buf_addc(out, ' ');
    buf_add_span(out, value);
}

static void add_person(struct buf *out, const struct godata_person *p)
{
    static const char *const types[GODATA_PERSON_TYPES] = {"case ", "contact ", "contact of a contact "};
    buf_adds(out, types[p->type]);
    buf_add_span(out, span_has(p->visual_id) ? p->visual_id : p->id);
}

static void add_name(struct buf *out, struct span given, struct span middle, struct span family)
{
    struct span v[3] = {given, middle, family};
    bool has = false;
    for (size_t i = 0; i < 3; i++)
        if (span_has(v[i])) {
            buf_adds(out, has ? " " : "");
            buf_add_span(out, v[i]);
            has = true;
        }
    if (!has)
        buf_adds(out, "(no name)");
}

static const char *sex_word(char c) { return c == 'F' ? "female" : c == 'M' ? "male" : "not known"; }

/* ---- differences ---- */

enum { NAME = 1, BIRTH = 2, SEX = 4 };

static const char *birth_hint(enum godata_birth b)
{
    switch (b) {
    case GODATA_BIRTH_SWAPPED: return "; day and month look swapped";
    case GODATA_BIRTH_ESTIMATED: return "; 1 January looks like an estimated date";
    case GODATA_BIRTH_NEAR: return "; only one part of the date differs, perhaps a typing error";
    case GODATA_BIRTH_UNKNOWN:
    case GODATA_BIRTH_SAME:
    case GODATA_BIRTH_WITHIN:
    case GODATA_BIRTH_ROUGH:
    case GODATA_BIRTH_DIFFERS: return "";
    }
    return "";
}

static bool is_birth_apart(enum godata_birth b)
{
    return b == GODATA_BIRTH_SWAPPED || b == GODATA_BIRTH_ESTIMATED || b == GODATA_BIRTH_NEAR || b == GODATA_BIRTH_DIFFERS;
}

static unsigned differences(const struct godata_candidate *c)
{
    unsigned d = (c->name == GODATA_FIELD_DIFFERS ? NAME : 0U) | (is_birth_apart(c->birth) ? BIRTH : 0U) | (c->sex == GODATA_FIELD_DIFFERS ? SEX : 0U);
    return c->name == GODATA_FIELD_CLOSE && (d == 0 || c->names.near_other) ? d | NAME : d;
}

static void add_difference(struct buf *out, const struct godata_subject *s, const struct godata_candidate *c, unsigned which)
{
    const struct godata_person *p = c->person;
    switch (which) {
    case NAME:
        buf_adds(out, "the name in the message is ");
        add_name(out, s->given, s->middle, s->family);
        buf_adds(out, ", in Go.Data ");
        add_name(out, p->first, p->middle, p->last);
        if (c->name == GODATA_FIELD_CLOSE)
            buf_adds(out, "; nearly the same, but relatives have such names too");
        return;
    case BIRTH:
        buf_adds(out, "the birth date in the message is ");
        godata_born_format(&s->born, out);
        buf_adds(out, ", in Go.Data ");
        godata_born_format(&p->born, out);
        buf_adds(out, birth_hint(c->birth));
        return;
    default:
        buf_addf(out, "the sex in the message is %s, in Go.Data %s", sex_word(s->sex), sex_word(p->sex));
    }
}

static void add_keys(struct buf *out, const struct godata_subject *s, uint32_t keys)
{
    bool has = false;
    for (size_t i = 0; i <= s->n_keys; i++)
        if (keys >> i & 1) {
            buf_adds(out, has ? " and " : "");
            add_key(out, s, i);
            has = true;
        }
}

static void why_conflict(const struct godata_subject *s, const struct godata_candidate *c, struct buf *out)
{
    static const char *const words[] = {"", "name", "birth date", "", "sex"};
    unsigned all = differences(c), n = 0;
    buf_adds(out, "By ");
    add_keys(out, s, c->keys | c->by_mask);
    buf_adds(out, " this would be ");
    add_person(out, c->person);
    for (unsigned d = 1; d <= SEX; d <<= 1)
        if (all & d) {
            buf_adds(out, n++ ? "; and " : ", but ");
            add_difference(out, s, c, d);
        }
    buf_adds(out, ". It may be another person.\nIt would have matched");
    if (n > 1) {
        buf_adds(out, " with another identifier: so much differs that the one in the message probably stands with the wrong person. If it is the same person after all, correct ");
        add_person(out, c->person);
        buf_adds(out, " in Go.Data.\n");
        return;
    }
    buf_addf(out, " if the %s in Go.Data were ", words[all <= SEX ? all : 0]);
    if (all == NAME)
        add_name(out, s->given, s->middle, s->family);
    else if (all == BIRTH)
        godata_born_format(&s->born, out);
    else
        buf_adds(out, sex_word(s->sex));
    buf_adds(out, ". Correct it there if the message is right, or ask the laboratory to correct the message. If they are two people, the identifier stands with the wrong one.\n");
}

static void add_list(struct buf *out, const struct godata_people_match *m)
{
    for (size_t i = 0; i < m->n; i++) {
        buf_adds(out, i == 0 ? "" : i + 1 == m->n && m->n_by_key <= m->n ? " and " : ", ");
        add_person(out, m->candidates[i].person);
    }
    if (m->n_by_key > m->n)
        buf_addf(out, " and %zu more", m->n_by_key - m->n);
}

static void why_ambiguous(const struct godata_subject *s, const struct godata_people_match *m, struct buf *out)
{
    size_t k = 0;
    for (; k < s->n_keys; k++) {
        size_t with = 0;
        for (size_t i = 0; i < m->n; i++)
            with += ((m->candidates[i].keys | m->candidates[i].by_mask) >> k) & 1;
        if (with > 1)
            break;
    }
    buf_adds(out, "The ");
    add_key(out, s, k);
    bool by_mask = m->candidates[0].by_mask >> k & 1;
    buf_addf(out, by_mask ? " may be short for several people's: " : " stands with %zu people in Go.Data: ", m->n_by_key);
    add_list(out, m);
    if (by_mask)
        buf_adds(out, ".\nIt would have matched if the message gave the whole case ID.\n");
    else
        buf_adds(out, ".\nIt would have matched if only one of them had it: merge them in Go.Data if they are one person, else correct the wrong one.\n");
}

static void why_split(const struct godata_subject *s, const struct godata_people_match *m, struct buf *out)
{
    buf_adds(out, "The identifiers in the message lead to different people: ");
    for (size_t i = 0; i < m->n; i++) {
        buf_adds(out, i ? "; " : "");
        add_keys(out, s, m->candidates[i].keys | m->candidates[i].by_mask);
        buf_adds(out, " to ");
        add_person(out, m->candidates[i].person);
    }
    if (m->n_by_key > m->n)
        buf_adds(out, "; the sample also to somebody who is not on our list of cases and contacts");
    buf_adds(out, ".\nIt would have matched if all of them led to one person: find out which identifier is wrong, in the message or in Go.Data, and correct it.\n");
}

static void why_unproved(const struct godata_subject *s, const struct godata_people_match *m, struct buf *out)
{
    const struct godata_candidate *c = &m->candidates[0];
    buf_adds(out, "The ");
    add_keys(out, s, c->by_mask);
    buf_adds(out, " in the message is short for ");
    add_person(out, c->person);
    buf_adds(out, " and nobody else, but neither name nor birth date in the message says that it is this person.\nIt would have matched if the message gave the whole case ID, ");
    buf_add_span(out, c->person->visual_id);
    buf_adds(out, ".\n");
}

/* ---- nobody by identifier ---- */

static void add_like_key(struct godata_people *p, const struct godata_subject *s, size_t k, const struct godata_people_match *m, struct buf *out, bool *is_told)
{
    enum person_likeness how;
    struct span value = SPAN_ABSENT;
    const struct godata_person *x = person_with_like_key(p, &s->keys[k], m, &how, &value);
    if (!x)
        return;
    buf_adds(out, "It would have matched if the ");
    add_key(out, s, k);
    switch (how) {
    case PERSON_OTHER_TYPE:
        buf_adds(out, " were entered under that type for ");
        add_person(out, x);
        buf_adds(out, ", who has the same number as ");
        add_document(out, value);
        break;
    case PERSON_SPELT:
        buf_adds(out, " were written ");
        buf_add_span(out, value);
        buf_adds(out, ", as it stands with ");
        add_person(out, x);
        buf_adds(out, ": signs, capitals and leading zeros count");
        break;
    case PERSON_SLIP:
        buf_adds(out, " were ");
        buf_add_span(out, value);
        buf_adds(out, ", which stands with ");
        add_person(out, x);
        buf_adds(out, ": one character is different, perhaps a typing error");
        break;
    case PERSON_UNLIKE: break;
    }
    buf_adds(out, ".\n");
    *is_told = true;
}

static void add_unknown_keys(const struct godata_subject *s, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i <= s->n_keys; i++) {
        bool has = i < s->n_keys ? span_has(span_trim(s->keys[i].value)) && s->keys[i].role != GODATA_IGNORE : span_has(s->sample);
        if (!has)
            continue;
        buf_adds(out, n++ ? " or " : "Nobody in Go.Data has ");
        add_key(out, s, i);
    }
    buf_adds(out, n ? "" : "The message carries no case ID, document number or sample ID");
}

static void add_best_change(const struct godata_subject *s, const struct godata_candidate *c, struct buf *out)
{
    size_t k = 0;
    while (k < s->n_keys && s->keys[k].role != GODATA_BY_DOCUMENT)
        k++;
    buf_adds(out, "It would have matched if ");
    if (k < s->n_keys) {
        add_person(out, c->person);
        buf_adds(out, " had the ");
        add_key(out, s, k);
        buf_adds(out, " in Go.Data. If that is the person, add it there");
    } else {
        buf_adds(out, "the message carried the case ID ");
        buf_add_span(out, span_has(c->person->visual_id) ? c->person->visual_id : c->person->id);
        buf_adds(out, ". If that is the person, link the result by hand");
    }
    unsigned d = differences(c);
    buf_adds(out, d ? "; but first look at what differs: " : ".\n");
    size_t n = 0;
    for (unsigned i = 1; i <= SEX; i <<= 1)
        if (d & i) {
            buf_adds(out, n++ ? "; and " : "");
            add_difference(out, s, c, i);
        }
    buf_adds(out, d ? ".\n" : "");
}

static void why_nobody(struct godata_people *p, const struct godata_subject *s, const struct godata_people_match *m, struct buf *out)
{
    bool is_told = false;
    add_unknown_keys(s, out);
    if (s->is_masked)
        buf_adds(out, ", and the message marks its patient as anonymous or not surely known, so that names and birth date do not count.\n");
    else if (m->n)
        buf_adds(out, m->n == 1 ? ". One person is like the patient, but names and birth date alone never decide.\n"
                                : ". Several people are like the patient, but names and birth date alone never decide.\n");
    else
        buf_adds(out, ", and nobody is like the patient in name and birth date.\n");
    for (size_t k = 0; k < s->n_keys && !is_told; k++)
        add_like_key(p, s, k, m, out, &is_told);
    if (is_told)
        return;
    if (m->n && m->candidates[0].strength == GODATA_STRONG && m->n > 1 && m->candidates[1].strength == GODATA_STRONG)
        buf_adds(out, "It would have matched if the message carried a case ID: the first two candidates agree in everything, as twins or a case entered twice do.\n");
    else if (m->n)
        add_best_change(s, &m->candidates[0], out);
    else if (s->is_masked)
        buf_adds(out, "It would have matched if a case or contact in Go.Data had this identifier.\n");
    else
        buf_adds(out, "It would have matched if the person were in Go.Data: enter the case or contact there, and the result finds it by itself.\n");
}

void godata_person_why(struct godata_people *p, const struct godata_subject *s, const struct godata_people_match *m, struct buf *out)
{
    switch (m->state) {
    case GODATA_MATCH_SURE: return;
    case GODATA_MATCH_CONFLICT: why_conflict(s, &m->candidates[0], out); break;
    case GODATA_MATCH_SPLIT: why_split(s, m, out); break;
    case GODATA_MATCH_AMBIGUOUS: why_ambiguous(s, m, out); break;
    case GODATA_MATCH_UNPROVED: why_unproved(s, m, out); break;
    case GODATA_MATCH_CANDIDATES:
    case GODATA_MATCH_NOBODY: why_nobody(p, s, m, out); break;
    case GODATA_MATCH_NO_IDENTITY:
        buf_adds(out, s->is_masked ? "The message marks its patient as anonymous or not surely known, and carries no case ID, document number or sample ID.\n"
                                   : "The message says nothing about its patient: no case ID, document number or sample ID, and no name.\n");
        buf_adds(out, "It would have matched if the message carried the case ID or a sample ID that is known in Go.Data.\n");
        break;
    }
    for (size_t i = 0; i < m->n; i++)
        godata_person_evidence(s, &m->candidates[i], out);
}

/* ---- evidence ---- */

static const char *birth_word(enum godata_birth b)
{
    switch (b) {
    case GODATA_BIRTH_UNKNOWN: return "missing";
    case GODATA_BIRTH_SAME: return "agrees";
    case GODATA_BIRTH_WITHIN: return "agrees as far as it is known";
    case GODATA_BIRTH_SWAPPED: return "day and month swapped";
    case GODATA_BIRTH_ESTIMATED: return "same year, one of them 1 January";
    case GODATA_BIRTH_NEAR: return "one part differs";
    case GODATA_BIRTH_ROUGH: return "about right";
    case GODATA_BIRTH_DIFFERS: return "differs";
    }
    return "";
}

static const char *field_word(enum godata_field f)
{
    switch (f) {
    case GODATA_FIELD_UNKNOWN: return "missing";
    case GODATA_FIELD_SAME: return "agrees";
    case GODATA_FIELD_CLOSE: return "nearly agrees";
    case GODATA_FIELD_DIFFERS: return "differs";
    }
    return "";
}

static void add_both(struct buf *out, const struct godata_born *a, const struct godata_born *b)
{
    buf_adds(out, " (");
    godata_born_format(a, out);
    buf_adds(out, " / ");
    godata_born_format(b, out);
    buf_adds(out, ")");
}

void godata_person_evidence(const struct godata_subject *s, const struct godata_candidate *c, struct buf *out)
{
    const struct godata_person *p = c->person;
    buf_adds(out, "- ");
    add_person(out, p);
    buf_adds(out, ": ");
    if (c->keys | c->by_mask) {
        add_keys(out, s, c->keys | c->by_mask);
        buf_adds(out, c->keys ? " agrees; " : " agrees as a short form; ");
    }
    buf_addf(out, "name %s", field_word(c->name));
    if (c->name == GODATA_FIELD_SAME && c->names.spare_a + c->names.spare_b)
        buf_adds(out, ", one side has more names");
    buf_adds(out, c->names.across ? ", by sound (" : " (");
    add_name(out, s->given, s->middle, s->family);
    buf_adds(out, " / ");
    add_name(out, p->first, p->middle, p->last);
    buf_addf(out, "); birth date %s", birth_word(c->birth));
    add_both(out, &s->born, &p->born);
    buf_addf(out, "; sex %s (%s / %s)\n", field_word(c->sex), sex_word(s->sex), sex_word(p->sex));
}
