/*
 * NAME godata_build - body, who and result key of one observation.
 *
 * Result key (DESIGN rule 5, STANDARDS 8.8): SHA-256 over length-prefixed parts: outbreak as configured, laboratory (first of report.lab.id,
 * report.lab.name, sending facility, sending application), "s" + specimen id or "f" + filler number, system and code (the LOINC coding when
 * there is one, else the first), sub-id. Never the person, the channel, a control id or a FHIR fullUrl.
 * DIAGNOSTICS ERR_LIMIT when the arena is full; holds NO_KEY and NO_IDENTITY.
 */
#include "godata_build.h"

#include <string.h>

#include "godata_answers.h"
#include "godata_case.h"
#include "godata_files.h"
#include "godata_notes.h"
#include "text.h"

#define BODY_MAX ((size_t)8 << 20)

static struct span first_of(const struct span *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_has(v[i]))
            return v[i];
    return SPAN_ABSENT;
}

static void add_part(struct buf *b, const char *tag, struct span s)
{
    buf_adds(b, tag);
    buf_add_int(b, (int64_t)s.n);
    buf_addc(b, ':');
    buf_add_span(b, s);
    buf_addc(b, ',');
}

static const struct rec_coding *key_coding(const struct rec_codes *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (span_is(c->v[i].system, "http://loinc.org") || span_is(c->v[i].system, "LN"))
            return &c->v[i];
    return c->n ? &c->v[0] : NULL;
}

static struct span make_key(const struct godata_options *o, const struct record *r, const struct rec_observation *obs, struct arena *a)
{
    const struct span labs[] = {r->report.lab.id, r->report.lab.name, r->message->source_facility.value, r->message->source_app.value};
    const struct rec_coding *c = key_coding(&obs->code);
    struct span sub = span_has(obs->sub_id) || r->message->format == REC_HL7V2 ? obs->sub_id : obs->unique_id;
    unsigned char hash[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    struct buf b;

    if (!span_has(r->specimen.id) && !span_has(r->report.filler_id))
        return SPAN_ABSENT;
    buf_init(&b, BODY_MAX);
    add_part(&b, "o", span_of(o->outbreak));
    add_part(&b, "l", first_of(labs, sizeof labs / sizeof labs[0]));
    if (span_has(r->specimen.id))
        add_part(&b, "s", r->specimen.id);
    else
        add_part(&b, "f", r->report.filler_id);
    add_part(&b, "y", c ? c->system : SPAN_ABSENT);
    add_part(&b, "c", c && span_has(c->code) ? c->code : obs->code.text);
    add_part(&b, "u", sub);
    text_sha256(b.p, b.n, hash);
    text_hex(hash, sizeof hash, hex);
    buf_clear(&b);
    return arena_dup(a, span_make(hex, sizeof hex - 1));
}

/* A marker inside the text would end our block early: its bracket is opened up. */
static void add_harmless(struct buf *b, struct span text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '[' && text.p[i] != '\r')
            continue;
        bool is_marker = text.p[i] == '[' && (span_starts(span_from(text, i), "[labrelay ") || span_starts(span_from(text, i), "[/labrelay]"));
        buf_add(b, text.p + from, i - from);
        buf_addc(b, is_marker ? '(' : text.p[i] == '\r' ? '\n' : '[');
        from = i + 1;
    }
    buf_add_span(b, span_from(text, from));
}

static void add_notes(struct buf *b, struct span key, struct span notes)
{
    struct buf text, block;
    buf_init(&text, BODY_MAX);
    buf_init(&block, BODY_MAX);
    add_harmless(&text, span_trim(notes));
    godata_notes_format(&block, span_cut(key, 0, GODATA_K_MAX), buf_span(&text), SPAN_ABSENT);
    buf_json_span(b, buf_span(&block));
    buf_clear(&block);
    buf_clear(&text);
}

static void make_body(struct buf *b, const struct lab_result *given, struct span key)
{
    struct lab_result lab = *given;
    buf_addc(b, '{');
    for (size_t i = 0; i < lab_fields_n; i++) {
        const struct lab_field *f = &lab_fields[i];
        struct span v = *lab_field_at(&lab, f);
        if (f->offset == offsetof(struct lab_result, notes)) {
            buf_json_key(b, f->godata);
            add_notes(b, key, v);
        } else if (span_has(v)) {
            buf_json_key(b, f->godata);
            buf_addc(b, '"');
            if (f->prefix && !span_starts(v, "LNG_"))
                buf_adds(b, f->prefix);
            buf_json_inner(b, v);
            buf_addc(b, '"');
        }
    }
    godata_answers_build(b, &lab);
    buf_addc(b, '}');
}

/* Past a string whose opening quote p stands on; NULL: it does not end. */
static const char *skip_string(const char *p, bool *has_escape)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\') {
            *has_escape = true;
            if (!*++p)
                return NULL;
        }
    return *p ? p + 1 : NULL;
}

/* Past a value, to the comma or brace of the object around it; NULL: damaged. */
static const char *skip_value(const char *p)
{
    bool ignored;
    for (int depth = 0; *p; ) {
        if (*p == '"') {
            p = skip_string(p, &ignored);
            if (!p)
                return NULL;
            continue;
        }
        if (depth == 0 && (*p == ',' || *p == '}'))
            return p;
        depth += *p == '{' || *p == '[';
        depth -= *p == '}' || *p == ']';
        p++;
    }
    return NULL;
}

bool godata_body_text(const char *body, const char *key, struct span *out)
{
    const char *p = body;
    size_t n = strlen(key);
    *out = SPAN_ABSENT;
    if (!p || *p != '{')
        return false;
    while (p && (*p == '{' || *p == ',') && p[1] == '"') {
        const char *name = p + 2;
        bool has_escape = false, is_text;
        p = skip_string(p + 1, &has_escape);
        if (!p || *p != ':')
            return false;
        is_text = p[1] == '"';
        bool is_it = (size_t)(p - 1 - name) == n && memcmp(name, key, n) == 0;
        const char *value = p + 1;
        has_escape = false;
        p = is_text ? skip_string(value, &has_escape) : skip_value(value);
        if (is_it && p && is_text && !has_escape)
            *out = span_make(value + 1, (size_t)(p - value) - 2);
        if (is_it)
            return p && !has_escape;
    }
    return p && (*p == '}' || (p[0] == '{' && p[1] == '}'));
}

static bool is_digits_at(struct span s, const char *shape)
{
    size_t i = 0;
    for (; shape[i]; i++)
        if (i >= s.n || (shape[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != shape[i]))
            return false;
    return true;
}

bool godata_is_searchable(struct span v)
{
    static const char *const words[] = {"id", "and", "or", "not", "like", "nlike", "eq", "ne", "neq", "lt", "lte", "gt", "gte", "inq", "nin", "in",
                                        "between", "exists", "options", "regexp", "regex", "elemMatch", "near", "where", "deleted"};
    if (v.n == 0 || v.n > 256 || v.p[0] == '$')
        return false;
    if (is_digits_at(v, "dddd-dd-dd") && (v.n == 10 || v.p[10] == ' ' || v.p[10] == 'T' || (v.p[10] >= '0' && v.p[10] <= '9')))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (span_is(v, words[i]))
            return false;
    return true;
}

static void add_id(struct buf *b, enum godata_role role, const char *document, struct span value, struct span path)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kv(b, "role", godata_role_name(role));
    if (document)
        buf_json_kv(b, "document", document);
    buf_json_opt(b, "value", value);
    buf_json_opt(b, "path", path);
    buf_addc(b, '}');
}

/* Writes the ids that the configuration has a use for; returns how many of them `match` would look for. */
static size_t add_ids(struct buf *b, const struct godata_options *o, const struct rec_patient *p)
{
    size_t useful = 0;
    for (size_t i = 0; i < p->ids.n; i++) {
        const struct rec_id *id = &p->ids.v[i];
        struct span value = span_trim(id->value);
        const char *document;
        enum godata_role role = godata_options_role(o, id, &document);
        if (!span_has(value) || role == GODATA_IGNORE)
            continue;
        if (role != GODATA_BY_ID && godata_is_uuid(value)) {    /* in form a Go.Data id: it is one when a person has it */
            add_id(b, GODATA_BY_ID, NULL, value, id->path);
            useful += godata_options_match(o, GODATA_BY_ID, NULL);
        }
        add_id(b, role, document, value, id->path);
        useful += godata_options_match(o, role, document);
    }
    return useful;
}

/* What a result does when nobody matches: DELIVERY_… flags, and for whom a person may be created. */
static unsigned no_match_flags(const struct godata_options *o, const struct record *r, const struct person_data *p, struct person_data *fresh)
{
    enum no_match n = p && p->no_match != NO_MATCH_DEFAULT ? p->no_match : o->no_match.action;
    switch (n) {
    case NO_MATCH_DEFAULT:
    case NO_MATCH_PARK: return 0;
    case NO_MATCH_DROP: return DELIVERY_MAY_DROP;
    case NO_MATCH_CREATE_CASE:
    case NO_MATCH_CREATE_CONTACT: break;
    }
    if (!p || (godata_case_is_named(o, &r->patient) && !p->is_ordered))
        return 0;
    *fresh = *p;
    fresh->kind = n == NO_MATCH_CREATE_CONTACT ? PERSON_CONTACT : PERSON_CASE;
    return DELIVERY_MAY_CREATE;
}

size_t godata_build_who(struct buf *b, const struct godata_options *o, const struct record *r, struct span sample_day, const struct person_data *fresh,
                        bool has_body)
{
    const struct rec_patient *p = &r->patient;
    size_t useful = span_has(r->specimen.id) && godata_options_match(o, GODATA_BY_SAMPLE, NULL);
    buf_addc(b, '{');
    buf_json_opt(b, "sample", r->specimen.id);
    buf_json_opt(b, "sample_day", span_cut(sample_day, 0, 10));
    buf_json_key(b, "ids");
    buf_addc(b, '[');
    useful += add_ids(b, o, p);
    buf_addc(b, ']');
    buf_json_opt(b, "family", p->family_name);
    buf_json_opt(b, "given", p->given_name);
    buf_json_opt(b, "middle", p->middle_name);
    buf_json_opt(b, "birth_date", p->birth_date.v);
    buf_json_opt(b, "sex", p->sex);
    if (p->flags.n) {
        buf_json_key(b, "flags");
        buf_addc(b, '[');
        for (size_t i = 0; i < p->flags.n; i++) {
            buf_json_sep(b);
            buf_json_span(b, p->flags.v[i]);
        }
        buf_addc(b, ']');
    }
    if (fresh) {
        buf_json_key(b, "new");
        godata_case_format_new(b, o, r, fresh, has_body);
    }
    buf_addc(b, '}');
    return useful;
}

int godata_build(const void *options, const struct record *r, const struct rec_observation *obs, const struct lab_result *lab,
                 struct arena *a, struct built *out, struct err *e)
{
    const struct godata_options *o = options;
    struct buf body, who;
    struct person_data fresh = {.kind = PERSON_CASE};
    *out = (struct built){0};
    buf_init(&body, BODY_MAX);
    buf_init(&who, BODY_MAX);
    out->result_key = make_key(o, r, obs, a);
    struct lab_result whole = *lab;
    bool has_files = godata_files_build(o, r, &whole, a);
    make_body(&body, &whole, out->result_key);
    out->flags = (has_files ? DELIVERY_HAS_FILES : 0) | no_match_flags(o, r, lab->person, &fresh);
    bool may_create = out->flags & DELIVERY_MAY_CREATE;
    size_t useful = godata_build_who(&who, o, r, lab->date_sample_taken, may_create ? &fresh : NULL, true);
    bool is_full = body.is_full || who.is_full;
    if (!is_full) {
        out->body = arena_dup(a, buf_span(&body));
        out->who = arena_dup(a, buf_span(&who));
        if (span_has(r->specimen.id))
            out->lane_hint = arena_dup(a, r->specimen.id);
    }
    buf_clear(&body);
    buf_clear(&who);
    if (is_full || arena_is_full(a))
        return err_set(e, ERR_LIMIT, NULL, "the body is larger than allowed");
    if (span_is_absent(out->result_key))
        out->hold = "NO_KEY";
    else if (useful == 0 && !may_create)
        out->hold = "NO_IDENTITY";
    return 0;
}
