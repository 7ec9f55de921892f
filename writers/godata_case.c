/*
 * NAME godata_case - a record's person as Go.Data's JSON: body, identity, and what a new one gets besides (STANDARDS 8.1, 8.7).
 *
 * Exactly one address is the usual place of residence (Go.Data refuses none and two); the others are OTHER. Documents are the
 * identifiers whose role is a document. Classification of a new case: SUSPECT unless a rule says another; reporting: the day of the
 * message, marked approximate.
 * DIAGNOSTICS ERR_LIMIT when the arena is full; hold NO_IDENTITY.
 */
#include "godata_case.h"

#include <stdio.h>
#include <string.h>

#include "godata_build.h"
#include "text.h"

#define BODY_MAX ((size_t)256 << 10)
#define ADDRESSES_MAX 8
#define USUAL GODATA_PREFIX "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE"
#define OTHER GODATA_PREFIX "ADDRESS_TYPE_OTHER"

/* ---- identity ---- */

static void add_part(struct buf *b, const char *tag, struct span s)
{
    buf_adds(b, tag);
    buf_add_int(b, (int64_t)s.n);
    buf_addc(b, ':');
    buf_add_span(b, s);
    buf_addc(b, ',');
}

bool godata_case_is_named(const struct godata_options *o, const struct rec_patient *p)
{
    for (size_t i = 0; i < p->ids.n; i++) {
        const char *document;
        enum godata_role role = godata_options_role(o, &p->ids.v[i], &document);
        if (span_has(span_trim(p->ids.v[i].value)) && (role == GODATA_BY_ID || role == GODATA_BY_VISUAL_ID))
            return true;
    }
    return false;
}

/* The first document in the order of `match`, else in the order of the message. */
static bool add_document(struct buf *b, const struct godata_options *o, const struct rec_patient *p)
{
    size_t keys = o->match.n ? o->match.n : 1;
    for (size_t k = 0; k < keys; k++)
        for (size_t i = 0; i < p->ids.n; i++) {
            const struct godata_match_key *key = o->match.n ? &o->match.v[k] : NULL;
            struct span value = span_trim(p->ids.v[i].value);
            const char *document;
            if (godata_options_role(o, &p->ids.v[i], &document) != GODATA_BY_DOCUMENT || !span_has(value))
                continue;
            if (key && (key->role != GODATA_BY_DOCUMENT || (key->document && strcmp(key->document, document) != 0)))
                continue;
            add_part(b, "d", span_of(document));
            add_part(b, "v", value);
            return true;
        }
    return false;
}

static bool add_identifier(struct buf *b, const struct rec_patient *p)
{
    for (size_t i = 0; i < p->ids.n; i++) {
        const struct rec_id *id = &p->ids.v[i];
        if (!span_has(span_trim(id->value)))
            continue;
        add_part(b, "a", span_has(id->ns) ? id->ns : span_has(id->authority) ? id->authority : id->oid);
        add_part(b, "t", id->type);
        add_part(b, "v", span_trim(id->value));
        return true;
    }
    return false;
}

static bool add_sample(struct buf *b, const struct record *r)
{
    const struct span labs[] = {r->report.lab.id, r->report.lab.name, r->message ? r->message->source_facility.value : SPAN_ABSENT};
    struct span lab = SPAN_ABSENT, sample = span_has(r->specimen.id) ? r->specimen.id : r->report.filler_id;
    for (size_t i = 0; i < 3 && !span_has(lab); i++)
        lab = labs[i];
    if (!span_has(sample))
        return false;
    add_part(b, "l", lab);
    add_part(b, "s", sample);
    return true;
}

bool godata_case_identity(const struct godata_options *o, const struct record *r, char hash[65])
{
    unsigned char sum[TEXT_SHA256_BYTES];
    struct buf b;
    bool is_known;
    buf_init(&b, BODY_MAX);
    add_part(&b, "person", span_of(o->outbreak));
    is_known = add_document(&b, o, &r->patient) || add_identifier(&b, &r->patient) || add_sample(&b, r);
    hash[0] = '\0';
    if (is_known) {
        text_sha256(b.p, b.n, sum);
        text_hex(sum, sizeof sum, hash);
    }
    buf_clear(&b);
    return is_known;
}

void godata_case_uuid(const char hash[65], char out[GODATA_UUID_BYTES])
{
    /* RFC 9562 version 8: 122 bits of our own making */
    (void)snprintf(out, GODATA_UUID_BYTES, "%.8s-%.4s-8%.3s-a%.3s-%.12s", hash, hash + 8, hash + 13, hash + 17, hash + 20);
}

/* ---- the body ---- */

static void add_code(struct buf *b, const struct person_field *f, struct span v)
{
    buf_json_key(b, f->godata);
    buf_addc(b, '"');
    if (f->prefix && !span_starts(v, "LNG_"))
        buf_adds(b, f->prefix);
    buf_json_inner(b, v);
    buf_addc(b, '"');
}

static void add_documents(struct buf *b, const struct godata_options *o, const struct rec_patient *p)
{
    bool has_any = false;
    for (size_t i = 0; i < p->ids.n; i++) {
        const char *document, *other;
        struct span value = span_trim(p->ids.v[i].value);
        bool is_again = false;
        if (godata_options_role(o, &p->ids.v[i], &document) != GODATA_BY_DOCUMENT || !span_has(value))
            continue;
        for (size_t k = 0; k < i && !is_again; k++)
            is_again = span_eq(span_trim(p->ids.v[k].value), value) && godata_options_role(o, &p->ids.v[k], &other) == GODATA_BY_DOCUMENT &&
                       strcmp(other, document) == 0;
        if (is_again)
            continue;
        if (!has_any) {
            buf_json_key(b, "documents");
            buf_addc(b, '[');
        }
        has_any = true;
        buf_json_sep(b);
        buf_adds(b, "{\"type\":\"" GODATA_DOCUMENT_PREFIX);
        buf_json_inner(b, span_of(document));
        buf_addc(b, '"');
        buf_json_opt(b, "number", value);
        buf_addc(b, '}');
    }
    if (has_any)
        buf_addc(b, ']');
}

static bool is_usual(const struct rec_patient *p, const struct rec_address *a)
{
    for (size_t i = 0; i < p->address.n; i++) {
        struct span use = p->address.v[i].use;
        if (span_is(use, "H") || span_is(use, "P") || span_is(use, "L"))
            return a == &p->address.v[i];
    }
    return a == p->address.v;
}

static void add_addresses(struct buf *b, const struct rec_patient *p, const struct person_data *who)
{
    bool has_usual = false;
    for (size_t i = 0; i < person_fields_n; i++)
        has_usual |= person_fields[i].place == PERSON_ADDRESS && span_has(person_field_get(who, &person_fields[i]));
    if (!has_usual)
        return;
    buf_json_key(b, "addresses");
    buf_adds(b, "[{\"typeId\":\"" USUAL "\"");
    for (size_t i = 0; i < person_fields_n; i++)
        if (person_fields[i].place == PERSON_ADDRESS && span_has(person_field_get(who, &person_fields[i])))
            add_code(b, &person_fields[i], person_field_get(who, &person_fields[i]));
    buf_addc(b, '}');
    for (size_t i = 0; i < p->address.n && i < ADDRESSES_MAX; i++) {
        const struct rec_address *a = &p->address.v[i];
        if (is_usual(p, a))
            continue;
        buf_adds(b, ",{\"typeId\":\"" OTHER "\"");
        buf_json_opt(b, "addressLine1", a->line);
        buf_json_opt(b, "city", a->city);
        buf_json_opt(b, "postalCode", a->postal_code);
        buf_json_opt(b, "country", a->country);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

void godata_case_format(struct buf *b, const struct godata_options *o, const struct record *r, const struct person_data *p)
{
    int64_t years;
    buf_addc(b, '{');
    for (size_t i = 0; i < person_fields_n; i++) {
        const struct person_field *f = &person_fields[i];
        struct span v = person_field_get(p, f);
        if (!span_has(v) || (f->is_case_only && p->kind != PERSON_CASE))
            continue;
        switch (f->place) {
        case PERSON_PLAIN: add_code(b, f, v); break;
        case PERSON_AGE:
            if (span_int(v, &years) && years >= 0 && years <= 150) {
                buf_json_key(b, f->godata);
                buf_addf(b, "{\"years\":%d,\"months\":0}", (int)years);
            }
            break;
        case PERSON_ADDRESS: break;
        }
    }
    add_documents(b, o, &r->patient);
    add_addresses(b, &r->patient, p);
    buf_addc(b, '}');
}

void godata_case_format_new(struct buf *b, const struct godata_options *o, const struct record *r, const struct person_data *p, bool has_body)
{
    char hash[65], uuid[GODATA_UUID_BYTES];
    buf_addc(b, '{');
    buf_json_kv(b, "type", person_kind_name(p->kind));
    if (godata_case_identity(o, r, hash)) {
        godata_case_uuid(hash, uuid);
        buf_json_kv(b, "id", uuid);
    }
    if (godata_case_is_named(o, &r->patient)) {
        buf_json_key(b, "known");
        buf_adds(b, "true");
    }
    if (p->may_change) {
        buf_json_key(b, "update");
        buf_addc(b, '[');
        for (size_t i = 0; i < person_fields_n; i++)
            if (p->may_change & person_field_bit(&person_fields[i])) {
                buf_json_sep(b);
                buf_json_str(b, person_fields[i].godata);
            }
        buf_addc(b, ']');
    }
    if (has_body) {
        buf_json_key(b, "body");
        godata_case_format(b, o, r, p);
    }
    buf_addc(b, '}');
}

/* ---- send case ---- */

/* What becomes of a person whom nobody matches: `send case` creates unless the route says otherwise. */
static unsigned flags_of(const struct godata_options *o, const struct record *r, const struct person_data *p)
{
    switch (p->no_match) {
    case NO_MATCH_DEFAULT:
    case NO_MATCH_CREATE_CASE:
    case NO_MATCH_CREATE_CONTACT: return godata_case_is_named(o, &r->patient) ? 0 : DELIVERY_MAY_CREATE;
    case NO_MATCH_DROP: return DELIVERY_MAY_DROP;
    case NO_MATCH_PARK: return 0;
    }
    return 0;
}

/* "NATIONAL_ID_CARD|CF-1", absent when it is no document. */
static struct span alias_of(const struct godata_options *o, const struct rec_id *id, struct arena *a)
{
    const char *document;
    struct span value = span_trim(id->value);
    if (godata_options_role(o, id, &document) != GODATA_BY_DOCUMENT || !span_has(value))
        return SPAN_ABSENT;
    return arena_printf(a, "%s|%.*s", document, SPAN_ARG(value));
}

/* Each old identifier now means the surviving one of the same kind, else the first. */
static void add_aliases(const struct godata_options *o, const struct rec_patient *p, struct arena *a, struct built *out)
{
    struct built_alias *v = arena_array(a, p->old_ids.n, sizeof *v);
    for (size_t i = 0; v && i < p->old_ids.n; i++) {
        struct span old = alias_of(o, &p->old_ids.v[i], a), now = SPAN_ABSENT;
        size_t kind = span_find(old, '|') + 1;
        for (size_t k = 0; k < p->ids.n; k++) {
            struct span s = alias_of(o, &p->ids.v[k], a);
            bool is_alike = span_has(s) && span_eq(span_cut(s, 0, kind), span_cut(old, 0, kind));
            if (span_has(s) && !span_eq(s, old) && (!span_has(now) || (is_alike && !span_eq(span_cut(now, 0, kind), span_cut(old, 0, kind)))))
                now = s;
        }
        if (span_has(old) && span_has(now))
            v[out->n_aliases++] = (struct built_alias){old, now};
    }
    out->aliases = v;
}

/* What a person reads of a merge: the numbers of both. */
static struct span merge_evidence(const struct built *b, struct arena *a)
{
    struct buf t;
    buf_init(&t, BODY_MAX);
    buf_adds(&t, "{\"merged\":[");
    for (size_t i = 0; i < b->n_aliases; i++) {
        buf_json_sep(&t);
        buf_addc(&t, '{');
        buf_json_opt(&t, "was", b->aliases[i].old);
        buf_json_opt(&t, "is", b->aliases[i].now);
        buf_addc(&t, '}');
    }
    buf_adds(&t, "],\"candidates\":[]}");
    struct span out = arena_dup(a, buf_span(&t));
    buf_clear(&t);
    return out;
}

int godata_case_build(const void *options, const struct record *r, const struct person_data *p, struct arena *a, struct built *out, struct err *e)
{
    const struct godata_options *o = options;
    struct record who_only = *r;
    struct buf body, who;
    char hash[65];
    *out = (struct built){.flags = DELIVERY_IS_PERSON | flags_of(o, r, p)};
    who_only.specimen = (struct rec_specimen){.id = SPAN_ABSENT};    /* a person's own data are never matched by a sample */
    who_only.report = (struct rec_report){.filler_id = SPAN_ABSENT};
    buf_init(&body, BODY_MAX);
    buf_init(&who, BODY_MAX);
    bool is_known = godata_case_identity(o, &who_only, hash);
    godata_case_format(&body, o, r, p);
    size_t useful = godata_build_who(&who, o, &who_only, SPAN_ABSENT, p, false);
    bool is_full = body.is_full || who.is_full;
    if (!is_full) {
        out->body = arena_dup(a, buf_span(&body));
        out->who = arena_dup(a, buf_span(&who));
        out->result_key = is_known ? arena_dup(a, span_of(hash)) : SPAN_ABSENT;
    }
    buf_clear(&body);
    buf_clear(&who);
    if (is_full || arena_is_full(a))
        return err_set(e, ERR_LIMIT, NULL, "the person is larger than allowed");
    if (r->patient.old_ids.n) {
        add_aliases(o, &r->patient, a, out);
        out->hold = "MERGE_REVIEW";
        out->hold_detail = merge_evidence(out, a);
    } else if (!is_known || r->patient.flags.n || (useful == 0 && !(out->flags & DELIVERY_MAY_CREATE)))
        out->hold = "NO_IDENTITY";
    return 0;
}

/* ---- a new one ---- */

bool godata_case_visual_id(struct buf *b, struct span mask, struct span day)
{
    bool has_sequence = false;
    for (size_t i = 0; i < mask.n; i++) {
        if (strchr("@&*", mask.p[i]))
            return false;                   /* what stands there is for a person to choose */
        has_sequence |= mask.p[i] == '9';
    }
    if (!has_sequence || day.n < 4)
        return false;
    for (size_t i = 0; i < mask.n; i++) {
        if (span_starts(span_from(mask, i), "YYYY")) {
            buf_add_span(b, span_cut(day, 0, 4));
            i += 3;
        } else {
            buf_addc(b, mask.p[i]);
        }
    }
    return true;
}

static bool has_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && s[0];
}

bool godata_case_complete(json_t *body, const json_t *fresh, struct span mask, const char *today)
{
    const char *id = json_string_value(json_object_get(fresh, "id")), *type = json_string_value(json_object_get(fresh, "type"));
    bool has_name = has_text(body, "firstName") || has_text(body, "lastName");
    bool has_more = has_text(body, "dob") || has_text(body, "gender") || json_array_size(json_object_get(body, "documents")) > 0;
    struct buf visual;
    char day[40];
    if (!id || !has_name || !has_more)
        return false;
    (void)json_object_set_new(body, "id", json_string(id));
    if (!has_text(body, "dateOfReporting")) {
        (void)snprintf(day, sizeof day, "%.10sT00:00:00.000Z", today);
        (void)json_object_set_new(body, "dateOfReporting", json_string(day));
    }
    (void)json_object_set_new(body, "isDateOfReportingApproximate", json_true());
    if (type && strcmp(type, "case") == 0 && !has_text(body, "classification"))
        (void)json_object_set_new(body, "classification", json_string(GODATA_PREFIX "CASE_CLASSIFICATION_SUSPECT"));
    buf_init(&visual, 256);
    if (godata_case_visual_id(&visual, mask, span_of(json_string_value(json_object_get(body, "dateOfReporting")))))
        (void)json_object_set_new(body, "visualId", json_string(visual.p));
    buf_clear(&visual);
    return true;
}
