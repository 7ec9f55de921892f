/*
 * NAME held_words - a held delivery in the words of the people who decide about it.
 *
 * The evidence is what the matching or the writer left in `detail`: {"why","looked_for","candidates"} for persons,
 * {"in_godata","written_last","in_message"} for values, plain text for the rest.
 * DIAGNOSTICS none.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "held.h"
#include "text.h"

#define TEXT_MAX ((size_t)1 << 20)

static const char *get(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_t *load(const char *text)
{
    return text && text[0] == '{' ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static void add_lower(struct buf *b, const char *s)
{
    for (; *s; s++)
        buf_addc(b, *s == '_' ? ' ' : (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s));
}

static void add_sep(struct buf *b, size_t from, const char *sep)
{
    if (b->n > from)
        buf_adds(b, sep);
}

/* "document NATIONAL_ID_CARD" as people say it. */
static void add_key_word(struct buf *b, const char *by)
{
    if (strcmp(by, "visual-id") == 0)
        buf_adds(b, "case ID");
    else if (strcmp(by, "godata-id") == 0)
        buf_adds(b, "Go.Data ID");
    else if (strcmp(by, "sample") == 0)
        buf_adds(b, "sample ID");
    else if (strncmp(by, "document ", 9) == 0)
        add_lower(b, by + 9);
    else
        buf_adds(b, by);
}

static const char *sex_word(const char *s)
{
    return strcmp(s, "F") == 0 || strcmp(s, "FEMALE") == 0 ? "female" : strcmp(s, "M") == 0 || strcmp(s, "MALE") == 0 ? "male" : s;
}

static const char *type_word(const char *type)
{
    return strcmp(type, "contact-of-contact") == 0 ? "contact of a contact" : type[0] ? type : "person";
}

void held_token(const struct delivery *d, char out[HELD_TOKEN_BYTES])
{
    unsigned char hash[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    struct buf b;
    buf_init(&b, TEXT_MAX);
    buf_addf(&b, "%" PRId64 " %s %s %" PRId64, d->id, delivery_state_name(d->state), d->reason, d->updated_us);
    text_sha256(b.p, b.n, hash);
    text_hex(hash, sizeof hash, hex);
    buf_clear(&b);
    (void)snprintf(out, HELD_TOKEN_BYTES, "v%.8s", hex);
}

void held_patient(const struct delivery *d, struct buf *b)
{
    json_t *who = load(d->who);
    static const char *const names[] = {"given", "middle", "family"};
    size_t from = b->n;
    for (size_t i = 0; i < 3; i++)
        if (get(who, names[i])[0]) {
            add_sep(b, from, " ");
            buf_adds(b, get(who, names[i]));
        }
    if (b->n == from)
        buf_adds(b, "no name");
    if (get(who, "birth_date")[0])
        buf_addf(b, ", born %s", get(who, "birth_date"));
    if (get(who, "sex")[0])
        buf_addf(b, ", %s", sex_word(get(who, "sex")));
    json_decref(who);
}

void held_identifiers(const struct delivery *d, struct buf *b)
{
    json_t *who = load(d->who), *id;
    size_t i, from = b->n;
    json_array_foreach(json_object_get(who, "ids"), i, id) {
        add_sep(b, from, ", ");
        if (get(id, "document")[0])
            add_lower(b, get(id, "document"));
        else
            add_key_word(b, get(id, "role"));
        buf_addf(b, " %s", get(id, "value"));
    }
    json_decref(who);
}

static void add_code(struct buf *b, const char *field, const char *value)
{
    static const struct { const char *field, *prefix; } prefixes[] = {
        {"result", "LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_"}, {"status", "LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_STATUS_"},
        {"testType", "LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_LAB_TEST_"}, {"sampleType", "LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_SAMPLE_"},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strcmp(prefixes[i].field, field) == 0 && strncmp(value, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0)
            value += strlen(prefixes[i].prefix);
    buf_adds(b, value);
}

void held_value(const struct delivery *d, const char *body_field, struct buf *b)
{
    json_t *body = load(d->body);
    add_code(b, body_field, get(body, body_field));
    json_decref(body);
}

/* ---- candidates ---- */

enum how { AGREES, NEARLY, DIFFERS, MISSING };
static const struct { const char *key, *word; } fields[] = {
    {"family_name", "family name"}, {"given_name", "given name"}, {"birth_date", "birth date"}, {"sex", "sex"},
};
#define FIELDS_N (sizeof fields / sizeof fields[0])

static enum how how_is(const json_t *field)
{
    const char *is = get(field, "is");
    return strcmp(is, "the same") == 0 ? AGREES : strcmp(is, "nearly the same") == 0 ? NEARLY : strcmp(is, "different") == 0 ? DIFFERS : MISSING;
}

static const char *shown(const char *key, const json_t *field, const char *side)
{
    const char *v = get(field, side);
    return !v[0] ? "nothing" : strcmp(key, "sex") == 0 ? sex_word(v) : v;
}

/* "agrees: case ID, sex; differs: birth date (message 1988-03-14, Go.Data 1990-01-01); missing: …" */
static void add_fields(struct buf *b, const json_t *c)
{
    static const char *const words[] = {[AGREES] = "agrees: ", [NEARLY] = "nearly agrees: ", [DIFFERS] = "differs: ", [MISSING] = "missing: "};
    size_t from = b->n;
    for (int how = AGREES; how <= MISSING; how++) {
        size_t start = b->n;
        const json_t *by;
        size_t i;
        bool has = false;
        json_array_foreach(json_object_get(c, "agreed"), i, by) {
            if (how != AGREES)
                break;
            buf_adds(b, has ? ", " : words[how]);
            add_key_word(b, json_string_value(by) ? json_string_value(by) : "");
            has = true;
        }
        for (i = 0; i < FIELDS_N; i++) {
            const json_t *f = json_object_get(c, fields[i].key);
            if (!f || (int)how_is(f) != how)
                continue;
            if (!has && start > from)
                buf_adds(b, "; ");
            buf_adds(b, has ? ", " : words[how]);
            buf_adds(b, fields[i].word);
            if (how == AGREES)
                buf_addf(b, " %s", shown(fields[i].key, f, "godata"));
            else if (how != MISSING)
                buf_addf(b, " (message %s, Go.Data %s)", shown(fields[i].key, f, "message"), shown(fields[i].key, f, "godata"));
            else
                buf_addf(b, " (%s)", get(f, "message")[0] ? "Go.Data says nothing" : get(f, "godata")[0] ? "the message says nothing" : "neither says anything");
            has = true;
        }
    }
}

static void add_candidate(struct buf *b, const json_t *c)
{
    const json_t *family = json_object_get(c, "family_name"), *given = json_object_get(c, "given_name"), *born = json_object_get(c, "birth_date");
    buf_addf(b, "%s %s", type_word(get(c, "type")), get(c, "visual_id")[0] ? get(c, "visual_id") : get(c, "id"));
    if (get(given, "godata")[0] || get(family, "godata")[0])
        buf_addf(b, " %s%s%s", get(given, "godata"), get(given, "godata")[0] && get(family, "godata")[0] ? " " : "", get(family, "godata"));
    if (get(born, "godata")[0])
        buf_addf(b, ", born %s", get(born, "godata"));
    buf_adds(b, ": ");
    add_fields(b, c);
}

void held_candidate(const struct delivery *d, size_t i, struct buf *b)
{
    json_t *j = load(d->detail);
    const json_t *c = json_array_get(json_object_get(j, "candidates"), i);
    if (c)
        add_candidate(b, c);
    json_decref(j);
}

/* ---- why ---- */

static void add_looked_for(struct buf *b, const json_t *j)
{
    const json_t *k;
    size_t i, from = b->n;
    json_array_foreach(json_object_get(j, "looked_for"), i, k) {
        add_sep(b, from, ", ");
        add_key_word(b, get(k, "by"));
        buf_addf(b, " %s", get(k, "value"));
    }
}

/* The one change, from what differs between the message and the first candidate. */
static void add_change(struct buf *b, const struct delivery *d, const json_t *j)
{
    const json_t *list = json_object_get(j, "candidates"), *one = json_array_get(list, 0), *differs = NULL;
    size_t n = 0, at = 0;
    for (size_t i = 0; one && i < FIELDS_N; i++)
        if (how_is(json_object_get(one, fields[i].key)) == DIFFERS) {
            differs = json_object_get(one, fields[i].key);
            at = i;
            n++;
        }
    if (json_array_size(list) == 0 && strcmp(d->reason, "NO_MATCH") == 0) {
        buf_adds(b, "Nobody in the outbreak has ");
        size_t from = b->n;
        add_looked_for(b, j);
        if (b->n == from)
            buf_adds(b, "an identifier of the message");
        buf_adds(b, ".\nIt would have matched if a case or contact in Go.Data had it: enter it there, and the result finds the person.\n");
    } else if (json_array_size(list) == 1 && n == 1) {
        buf_addf(b, "It would have matched if the %s in Go.Data were %s instead of %s.\n", fields[at].word, shown(fields[at].key, differs, "message"),
                 shown(fields[at].key, differs, "godata"));
    } else if (json_array_size(list) == 1 && n > 1) {
        buf_adds(b, "So much differs that the identifier probably stands with the wrong person; it would have matched with another identifier.\n");
    } else if (json_array_size(list) > 1) {
        buf_adds(b, "It would have matched if the identifiers of the message led to one person only.\n");
    }
}

static void add_lab(struct buf *b, const char *title, const json_t *v)
{
    static const char *const names[] = {"result", "quantitativeResult", "status"};
    bool has = false;
    if (!v)
        return;
    buf_adds(b, title);
    for (size_t i = 0; i < 3; i++)
        if (get(v, names[i])[0]) {
            buf_adds(b, has ? ", " : "");
            add_code(b, names[i], get(v, names[i]));
            has = true;
        }
    buf_adds(b, has ? ".\n" : "no result.\n");
}

void held_why(const struct delivery *d, struct buf *b)
{
    json_t *j = load(d->detail);
    if (!j) {
        if (d->detail[0])
            buf_addf(b, "%s\n", d->detail);
        return;
    }
    if (get(j, "why")[0]) {
        struct span rest = span_of(get(j, "why")), line;
        while (span_next(&rest, '\n', &line))
            if (span_has(line) && !span_starts(line, "- ")) {   /* the candidates follow in their own lines */
                buf_add_span(b, line);
                buf_addc(b, '\n');
            }
    } else {
        add_change(b, d, j);
    }
    add_lab(b, "In Go.Data now: ", json_object_get(j, "in_godata"));
    add_lab(b, "Written last by labrelay: ", json_object_get(j, "written_last"));
    add_lab(b, "In the message: ", json_object_get(j, "in_message"));
    json_decref(j);
}

/* ---- show ---- */

static void add_lines(struct buf *b, const char *title, const struct buf *text)
{
    struct span rest = buf_span(text), line;
    bool is_first = true;
    while (text->n && span_next(&rest, '\n', &line)) {
        if (!span_has(line))
            continue;
        buf_addf(b, "  %-12s", is_first ? title : "");
        buf_add_span(b, line);
        buf_addc(b, '\n');
        is_first = false;
    }
}

static void add_line(struct buf *b, const char *title, void (*what)(const struct delivery *, struct buf *), const struct delivery *d)
{
    struct buf t;
    buf_init(&t, TEXT_MAX);
    what(d, &t);
    add_lines(b, title, &t);
    buf_clear(&t);
}

static void sample(const struct delivery *d, struct buf *b)
{
    held_value(d, "sampleIdentifier", b);
    json_t *body = load(d->body);
    if (get(body, "dateSampleTaken")[0])
        buf_addf(b, ", taken %.10s", get(body, "dateSampleTaken"));
    json_decref(body);
}

static void result(const struct delivery *d, struct buf *b)
{
    static const char *const names[] = {"testedFor", "testType", "result", "quantitativeResult", "status"};
    json_t *body = load(d->body);
    size_t from = b->n;
    for (size_t i = 0; i < 5; i++)
        if (get(body, names[i])[0]) {
            add_sep(b, from, ", ");
            add_code(b, names[i], get(body, names[i]));
        }
    json_decref(body);
}

static void issued(const struct delivery *d, struct buf *b)
{
    static const char *const ranks[] = {"registered", "preliminary", "final", "corrected", "withdrawn"};
    char t[32];
    clock_format_local(d->issued_us, t, sizeof t);
    buf_addf(b, "%s of %s", d->rank >= 0 && d->rank <= 4 ? ranks[d->rank] : "?", t);
}

static void what_to_do(const struct delivery *d, struct buf *b)
{
    bool has_destination = d->writer[0] && d->body[0] && d->result_key[0];
    if (has_destination)
        buf_addf(b, "labrelay held link d%" PRId64 " CASE-ID --by NAME --reason WHY\n", d->id);
    if (has_destination && strcmp(d->reason, "NO_MATCH") == 0)
        buf_addf(b, "labrelay held create d%" PRId64 " case --by NAME --reason WHY\n", d->id);
    if (has_destination && delivery_force_bit(d->reason))
        buf_addf(b, "labrelay held release d%" PRId64 " --anyway --by NAME --reason WHY\n", d->id);
    else if (has_destination)
        buf_addf(b, "labrelay held release d%" PRId64 " --by NAME     (looks for the person again)\n", d->id);
    buf_addf(b, "labrelay held dismiss d%" PRId64 " --by NAME --reason WHY\n", d->id);
}

void held_show(const struct delivery *d, const struct store_message_row *m, struct buf *b)
{
    char t[32];
    buf_addf(b, "d%" PRId64 " %s, of message m%" PRId64 " %s\n", d->id, delivery_state_name(d->state), d->message_id, d->path);
    if (d->reason[0])
        buf_addf(b, "  %-12s%s: %s\n", "why", d->reason, reason_text(d->reason));
    clock_format_local(d->updated_us, t, sizeof t);
    buf_addf(b, "  %-12s%s\n", "since", t);
    if (m)
        buf_addf(b, "  %-12s%s, control id %s\n", "from", m->channel, m->control_id);
    add_line(b, "patient", held_patient, d);
    add_line(b, "identifiers", held_identifiers, d);
    add_line(b, "sample", sample, d);
    add_line(b, "result", result, d);
    add_line(b, "version", issued, d);
    add_line(b, "in words", held_why, d);
    for (size_t i = 0;; i++) {
        struct buf c;
        buf_init(&c, TEXT_MAX);
        held_candidate(d, i, &c);
        bool has = c.n > 0;
        if (has)
            add_lines(b, "candidate", &c);
        buf_clear(&c);
        if (!has)
            break;
    }
    if (d->person_id[0])
        buf_addf(b, "  %-12s%s %s\n", "person", d->person_type, d->person_id);
    if (d->state == DELIVERY_HELD)
        add_line(b, "you can", what_to_do, d);
}
