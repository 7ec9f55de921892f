/*
 * NAME godata_case_update - bringing a case or contact that stands up to date: GET, compare, PUT of what differs and may.
 *
 * A value that is missing in Go.Data is filled. One that stands is replaced only when the route's `update` names the field and nobody
 * changed it in Go.Data since we wrote it. What the sender says again is no news. Names, sex and birth date that the sender changed are
 * for a person. Arrays are replaced whole by a PUT, so documents and addresses are sent as they stand, with ours merged in: a document
 * that is missing is added, the usual place of residence is completed, there is never a second one.
 * DIAGNOSTICS HUMAN_EDIT IDENTITY_CHANGED IDENTITY_CONFLICT PERSON_GONE and those of godata_judge(); details are names of fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godata_case.h"
#include "godata_name.h"
#include "godata_work.h"
#include "xmem.h"

#define PATH_BYTES ((size_t)8 << 10)
#define USUAL GODATA_PREFIX "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE"

bool godata_case_contradicts(const json_t *who, const json_t *person)
{
    struct span born = godata_json_text(who, "birth_date"), dob = godata_json_text(person, "dob"), sex = godata_json_text(who, "sex");
    struct span family = godata_json_text(who, "family"), last = godata_json_text(person, "lastName"), gender = godata_json_text(person, "gender");
    if (born.n >= 10 && dob.n >= 10 && !span_eq(span_cut(born, 0, 10), span_cut(dob, 0, 10)))
        return true;
    if ((span_is(sex, "F") && span_is(gender, GODATA_PREFIX "GENDER_MALE")) || (span_is(sex, "M") && span_is(gender, GODATA_PREFIX "GENDER_FEMALE")))
        return true;
    return span_has(family) && span_has(last) && !godata_name_agrees(family, last);
}

/* ---- comparing ---- */

struct sides {                          /* of one object: the person, or the usual address */
    const json_t *now, *last, *want, *update;
    bool is_forced;
    struct godata_case_patch *out;
};

static bool is_named(const json_t *update, const char *name)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)update, i, v)
        if (strcmp(json_string_value(v), name) == 0)
            return true;
    return false;
}

static void note(char *to, size_t n, const char *name)
{
    size_t k = strlen(to);
    (void)snprintf(to + k, n - k, "%s%s", k ? " " : "", name);
}

static struct span text_of(const json_t *o, const struct person_field *f, char room[24])
{
    const json_t *v = json_object_get(o, f->godata);
    if (f->place == PERSON_AGE) {
        const json_t *years = json_object_get(v, "years");
        if (!json_is_integer(years))
            return SPAN_ABSENT;
        (void)snprintf(room, 24, "%lld", (long long)json_integer_value(years));
        return span_of(room);
    }
    struct span s = godata_json_text(o, f->godata);
    return f->is_date ? span_cut(s, 0, 10) : span_trim(s);
}

/* Is the wanted value of this field to be written? */
static bool is_wanted(const struct sides *s, const struct person_field *f)
{
    char rooms[3][24];
    struct span want = text_of(s->want, f, rooms[0]), now = text_of(s->now, f, rooms[1]), last = text_of(s->last, f, rooms[2]);
    if (!span_has(want) || span_eq(want, now))
        return false;
    if (span_has(last) && span_eq(want, last))
        return false;                   /* said before: whoever changed or emptied it since has decided */
    if (!span_has(now) || s->is_forced)
        return true;
    if (is_named(s->update, f->godata)) {
        if (!span_has(last) || span_eq(now, last))
            return true;
        note(s->out->edited, sizeof s->out->edited, f->godata);
    } else if (f->is_identity && span_has(last)) {
        note(s->out->changed, sizeof s->out->changed, f->godata);
    }
    return false;
}

static bool has_document(const json_t *list, const json_t *d)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        if (span_eq(span_trim(godata_json_text(v, "number")), span_trim(godata_json_text(d, "number"))) && span_eq(godata_json_text(v, "type"), godata_json_text(d, "type")))
            return true;
    return false;
}

static void compare_documents(const struct sides *s)
{
    const json_t *now = json_object_get(s->now, "documents"), *last = json_object_get(s->last, "documents"), *d;
    json_t *all = json_is_array(now) ? json_deep_copy(now) : json_array();
    size_t i, added = 0;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(s->want, "documents"), i, d)
        if (!has_document(all, d) && !has_document(last, d)) {
            (void)json_array_append(all, (json_t *)(uintptr_t)d);
            added++;
        }
    if (added)
        (void)json_object_set(s->out->body, "documents", all);
    json_decref(all);
}

static const json_t *usual_of(const json_t *person, size_t *place)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)json_object_get(person, "addresses"), i, v)
        if (span_is(godata_json_text(v, "typeId"), USUAL)) {
            *place = i;
            return v;
        }
    return NULL;
}

static void compare_addresses(const struct sides *s)
{
    size_t place = 0, ignored;
    const json_t *list = json_object_get(s->now, "addresses");
    struct sides a = *s;
    a.now = usual_of(s->now, &place);
    a.want = usual_of(s->want, &ignored);
    a.last = usual_of(s->last, &ignored);
    if (!a.want || (!a.now && a.last && json_equal((json_t *)(uintptr_t)a.want, (json_t *)(uintptr_t)a.last)))
        return;
    json_t *all = json_is_array(list) ? json_deep_copy(list) : json_array();
    if (!a.now) {
        (void)json_array_append(all, (json_t *)(uintptr_t)a.want);
        (void)json_object_set(s->out->body, "addresses", all);
    } else {
        json_t *usual = json_array_get(all, place);
        size_t changed = 0;
        for (size_t i = 0; i < person_fields_n; i++)
            if (person_fields[i].place == PERSON_ADDRESS && is_wanted(&a, &person_fields[i])) {
                (void)json_object_set(usual, person_fields[i].godata, json_object_get(a.want, person_fields[i].godata));
                changed++;
            }
        if (changed)
            (void)json_object_set(s->out->body, "addresses", all);
    }
    json_decref(all);
}

void godata_case_compare(const json_t *now, const json_t *last, const json_t *want, const json_t *update, bool is_forced, struct godata_case_patch *out)
{
    struct sides s = {.now = now, .last = last, .want = want, .update = update, .is_forced = is_forced, .out = out};
    *out = (struct godata_case_patch){.body = json_object()};
    for (size_t i = 0; i < person_fields_n; i++)
        if (person_fields[i].place != PERSON_ADDRESS && is_wanted(&s, &person_fields[i]))
            (void)json_object_set(out->body, person_fields[i].godata, json_object_get(want, person_fields[i].godata));
    compare_documents(&s);
    compare_addresses(&s);
}

/* ---- requests ---- */

static void call(struct task *t, struct http_client *http, const char *method, const char *type, struct span body, struct godata_reply *r)
{
    const struct godata_armed *armed = t->armed;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_adds(&path, "/outbreaks/");
    godata_url_add(&path, span_of(armed->outbreak_id));
    buf_adds(&path, strcmp(type, "contact") == 0 ? "/contacts/" : "/cases/");
    godata_url_add(&path, span_of(t->person_id));
    godata_call(t, http, method, buf_span(&path), body, r);
    buf_clear(&path);
}

/* Reads the person on the route of its type, and when it is not there on the other one, which is then remembered. */
static const char *read_person(struct task *t, struct http_client *http, struct godata_reply *r)
{
    const char *type = strcmp(t->person_type ? t->person_type : "", "contact") == 0 ? "contact" : "case", *other = type[2] == 's' ? "contact" : "case";
    call(t, http, "GET", type, SPAN_ABSENT, r);
    if (r->status != 404 || !r->missing[0])
        return type;
    godata_reply_clear(r);
    call(t, http, "GET", other, SPAN_ABSENT, r);
    if (r->status == 200) {
        free(t->found_type);
        t->found_type = xstrdup(other);
    }
    return other;
}

static void bring_up_to_date(struct task *t, struct http_client *http, const char *type, const json_t *now)
{
    json_t *who = json_loads(t->who, JSON_REJECT_DUPLICATES, NULL), *want = json_loads(t->body, JSON_REJECT_DUPLICATES, NULL);
    json_t *last = t->last_body && t->last_body[0] ? json_loads(t->last_body, JSON_REJECT_DUPLICATES, NULL) : NULL;
    struct godata_case_patch p;
    struct godata_reply r;
    for (size_t i = 0; i < person_fields_n && strcmp(type, "contact") == 0; i++)
        if (person_fields[i].is_case_only)
            (void)json_object_del(want, person_fields[i].godata);
    bool is_forced = t->flags & DELIVERY_FORCE_EDIT, is_linked = t->flags & DELIVERY_IS_LINKED;
    godata_case_compare(now, last, want, json_object_get(json_object_get(who, "new"), "update"), is_forced, &p);
    if (!is_forced && !is_linked && godata_case_contradicts(who, now)) {
        godata_finish(t, VERDICT_REJECTED, "IDENTITY_CONFLICT", "birth date, sex or family name of the person contradict the message");
    } else if (p.changed[0]) {
        godata_finish(t, VERDICT_REJECTED, "IDENTITY_CHANGED", p.changed);
    } else if (p.edited[0]) {
        godata_finish(t, VERDICT_REJECTED, "HUMAN_EDIT", p.edited);
    } else if (json_object_size(p.body) == 0) {
        godata_finish(t, VERDICT_DELIVERED, NULL, NULL);
    } else {
        char *text = json_dumps(p.body, JSON_COMPACT);
        call(t, http, "PUT", type, span_of(text), &r);
        if (r.json && !span_has(godata_json_text(r.json, "id")))
            godata_fail(t, http, &r, GODATA_WRITE);
        else
            godata_conclude(t, http, &r, GODATA_WRITE);
        godata_reply_clear(&r);
        free(text);
    }
    json_decref(p.body);
    json_decref(last);
    json_decref(want);
    json_decref(who);
}

void godata_case_update_perform(struct task *t, struct http_client *http)
{
    struct godata_reply r;
    const char *type = read_person(t, http, &r);
    if (r.status == 200 && json_is_object(r.json))
        bring_up_to_date(t, http, type, r.json);
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
}
