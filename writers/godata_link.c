/*
 * NAME godata_link - TASK_ASK: is there a person with this Go.Data id or visualId in the outbreak, and does what the message says fit?
 *
 * Somebody chose the person, so names that differ in spelling do not count; what cannot be of one person does: another birth date or sex,
 * names that have no part in common. Read-only.
 * DIAGNOSTICS NO_MATCH AMBIGUOUS_PERSON CONTACT_OF_CONTACT CONTACT_RESULTS_OFF. Delivered: found_id, found_type; detail names the fields
 * that contradict ("birth date, sex"), values stand in the evidence only.
 */
#include <stdlib.h>
#include <string.h>

#include "godata_build.h"
#include "godata_name.h"
#include "godata_work.h"
#include "xmem.h"

#define BODY_MAX ((size_t)64 << 10)
#define LISTS 3

static const char *const types[LISTS] = {"case", "contact", "contact-of-contact"};
static const char *const routes[LISTS] = {"/cases/filter", "/contacts/filter", "/contacts-of-contacts/filter"};

static void make_filter(struct buf *b, struct span ref)
{
    buf_adds(b, "{\"filter\":{\"where\":{\"or\":[{\"visualId\":");
    buf_json_span(b, ref);
    buf_adds(b, "},{\"id\":");
    buf_json_span(b, ref);
    buf_adds(b, "}]},\"fields\":[\"id\",\"visualId\",\"firstName\",\"middleName\",\"lastName\",\"dob\",\"gender\",\"deleted\"],\"limit\":25}}");
}

/* NULL: the task has its verdict. */
static json_t *ask(struct task *t, struct http_client *http, const char *route, struct span filter)
{
    const struct godata_armed *armed = t->armed;
    struct godata_reply r;
    struct buf path;
    json_t *list = NULL;
    buf_init(&path, BODY_MAX);
    buf_adds(&path, "/outbreaks/");
    godata_url_add(&path, span_of(armed->outbreak_id));
    buf_adds(&path, route);
    godata_call(t, http, "POST", buf_span(&path), filter, &r);
    if (r.status == 200 && json_is_array(r.json))
        list = json_incref(r.json);
    else
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
    buf_clear(&path);
    return list;
}

static void add_field(struct buf *b, const char *name, struct span ours, struct span theirs, bool differs)
{
    buf_json_key(b, name);
    buf_addc(b, '{');
    buf_json_kv(b, "is", differs ? "different" : span_has(ours) && span_has(theirs) ? "the same" : "not known");
    buf_json_opt(b, "message", ours);
    buf_json_opt(b, "godata", theirs);
    buf_addc(b, '}');
}

static void judge(struct task *t, const json_t *o, const char *type)
{
    const struct godata_armed *armed = t->armed;
    json_t *who = json_loads(t->who ? t->who : "{}", JSON_REJECT_DUPLICATES, NULL);
    struct span born = span_cut(godata_json_text(who, "birth_date"), 0, 10), dob = span_cut(godata_json_text(o, "dob"), 0, 10);
    struct span sex = godata_json_text(who, "sex"), gender = godata_json_text(o, "gender");
    struct span family = godata_json_text(who, "family"), last = godata_json_text(o, "lastName");
    struct span given = godata_json_text(who, "given"), first = godata_json_text(o, "firstName");
    if (span_starts(gender, GODATA_PREFIX "GENDER_"))
        gender = span_from(gender, sizeof GODATA_PREFIX "GENDER_" - 1);
    bool dob_differs = born.n == 10 && dob.n == 10 && !span_eq(born, dob);
    bool sex_differs = (span_is(sex, "F") && span_is(gender, "MALE")) || (span_is(sex, "M") && span_is(gender, "FEMALE"));
    bool name_differs = span_has(family) && span_has(last) && !godata_name_agrees(family, last) && !godata_name_agrees(family, first) &&
                        !godata_name_agrees(given, last) && !godata_name_agrees(given, first);
    struct buf detail, evidence;
    buf_init(&detail, 256);
    buf_init(&evidence, BODY_MAX);
    const struct { bool differs; const char *name; } all[] = {{dob_differs, "birth date"}, {sex_differs, "sex"}, {name_differs, "name"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].differs) {
            buf_adds(&detail, detail.n ? ", " : "");
            buf_adds(&detail, all[i].name);
        }
    buf_adds(&evidence, "{\"candidates\":[{");
    buf_json_opt(&evidence, "id", godata_json_text(o, "id"));
    buf_json_kv(&evidence, "type", type);
    buf_json_opt(&evidence, "visual_id", godata_json_text(o, "visualId"));
    add_field(&evidence, "birth_date", born, dob, dob_differs);
    add_field(&evidence, "sex", sex, gender, sex_differs);
    add_field(&evidence, "family_name", family, last, name_differs);
    add_field(&evidence, "given_name", given, first, false);
    buf_adds(&evidence, "}]}");
    t->evidence = buf_take(&evidence, NULL);
    if (strcmp(type, "contact-of-contact") == 0) {
        godata_finish(t, VERDICT_REJECTED, "CONTACT_OF_CONTACT", NULL);
    } else if (strcmp(type, "contact") == 0 && !armed->has_contact_results) {
        godata_finish(t, VERDICT_REJECTED, "CONTACT_RESULTS_OFF", NULL);
    } else {
        t->found_id = xstrdup(json_string_value(json_object_get(o, "id")));
        t->found_type = xstrdup(type);
        godata_finish(t, VERDICT_DELIVERED, NULL, detail.n ? detail.p : NULL);
    }
    buf_clear(&detail);
    json_decref(who);
}

void godata_link_perform(struct task *t, struct http_client *http)
{
    struct span ref = span_trim(span_of(t->person_id));
    json_t *lists[LISTS] = {NULL};
    const json_t *one = NULL;
    const char *type = NULL;
    size_t hits = 0;
    bool is_cut = false;
    struct buf filter;
    buf_init(&filter, BODY_MAX);
    if (!godata_is_searchable(ref)) {
        godata_finish(t, VERDICT_REJECTED, "NO_MATCH", NULL);
        goto out;
    }
    make_filter(&filter, ref);
    for (size_t k = 0; k < LISTS; k++) {
        const json_t *o;
        size_t i;
        lists[k] = ask(t, http, routes[k], buf_span(&filter));
        if (!lists[k])
            goto out;
        is_cut = is_cut || json_array_size(lists[k]) >= 25;
        json_array_foreach(lists[k], i, o) {
            bool is_meant = span_eq(godata_json_text(o, "id"), ref) || span_eq(span_trim(godata_json_text(o, "visualId")), ref);
            if (!is_meant || !span_has(godata_json_text(o, "id")) || json_is_true(json_object_get(o, "deleted")))
                continue;
            hits++;
            one = o;
            type = types[k];
        }
    }
    if (hits == 1 && !is_cut)
        judge(t, one, type);
    else
        godata_finish(t, VERDICT_REJECTED, hits ? "AMBIGUOUS_PERSON" : "NO_MATCH", NULL);
out:
    for (size_t k = 0; k < LISTS; k++)
        json_decref(lists[k]);
    buf_clear(&filter);
}
