/*
 * NAME
 *   sandbox_person - cases, contacts, contacts of contacts and events
 *
 *   A client may choose the id. A visualId is a template whose digits the server replaces; it is left out of the answer to a
 *   create with dateOfOnset and to every update. Deleting is soft: the visualId moves into the documents, lab results and
 *   relationships go along.
 *
 * DIAGNOSTICS
 *   409 DUPLICATE_VISUAL_ID, 422 INVALID_VISUAL_ID_MASK, ADDRESS_*, ValidationError; 500 code 11000 for the id of a deleted person.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_mask.h"
#include "sandbox_server.h"
#include "xmem.h"

#define DAY_MS 86400000LL
#define UNDER_FOLLOW_UP "LNG_REFERENCE_DATA_CONTACT_FINAL_FOLLOW_UP_STATUS_TYPE_UNDER_FOLLOW_UP"

static const struct property person_properties[] = {
    {"firstName", PROPERTY_STRING}, {"gender", PROPERTY_STRING}, {"wasContact", PROPERTY_BOOLEAN}, {"wasContactOfContact", PROPERTY_BOOLEAN},
    {"wasCase", PROPERTY_BOOLEAN}, {"outcomeId", PROPERTY_STRING}, {"riskLevel", PROPERTY_STRING}, {"riskReason", PROPERTY_STRING},
    {"transferRefused", PROPERTY_BOOLEAN}, {"safeBurial", PROPERTY_BOOLEAN}, {"classification", PROPERTY_STRING}, {"active", PROPERTY_BOOLEAN},
    {"id", PROPERTY_STRING}, {"visualId", PROPERTY_STRING}, {"name", PROPERTY_STRING}, {"middleName", PROPERTY_STRING}, {"lastName", PROPERTY_STRING},
    {"dob", PROPERTY_DATE}, {"age", PROPERTY_ANY}, {"occupation", PROPERTY_STRING}, {"documents", PROPERTY_ANY}, {"addresses", PROPERTY_ANY},
    {"dateOfReporting", PROPERTY_DATE}, {"isDateOfReportingApproximate", PROPERTY_BOOLEAN}, {"dateOfOnset", PROPERTY_DATE},
    {"isDateOfOnsetApproximate", PROPERTY_BOOLEAN}, {"dateOfInfection", PROPERTY_DATE}, {"dateOfOutcome", PROPERTY_DATE}, {"dateBecomeCase", PROPERTY_DATE},
    {"dateBecomeContact", PROPERTY_DATE}, {"dateOfBurial", PROPERTY_DATE}, {"burialLocationId", PROPERTY_STRING}, {"burialPlaceName", PROPERTY_STRING},
    {"deathLocationId", PROPERTY_STRING}, {"investigationStatus", PROPERTY_STRING}, {"dateInvestigationCompleted", PROPERTY_DATE},
    {"pregnancyStatus", PROPERTY_STRING}, {"date", PROPERTY_DATE}, {"endDate", PROPERTY_DATE}, {"dateOfLastContact", PROPERTY_DATE},
    {"questionnaireAnswers", PROPERTY_ANY}, {"responsibleUserId", PROPERTY_STRING}, {"followUpTeamId", PROPERTY_STRING},
};
#define PROPERTIES_N (sizeof person_properties / sizeof person_properties[0])

static const char *const read_only[] = {"outbreakId", "type", "classificationHistory", "createdAt", "createdBy", "updatedAt", "updatedBy", "dbUpdatedAt",
                                        "createdOn", "deleted", "deletedAt", NULL};

static const char *text_at(const json_t *doc, const char *key)
{
    const char *s = sandbox_json_get(doc, key);
    return s ? s : "";
}

/* ---- derived fields ---- */

/* Lower case, letters and digits only; other scripts keep their bytes. */
static void add_plain(struct buf *b, const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80 || isalnum((unsigned char)*s))
            buf_addc(b, (char)tolower((unsigned char)*s));
}

static void add_key(json_t *list, const char *a, const char *b, bool is_sorted)
{
    struct buf x, y;
    buf_init(&x, 4096);
    buf_init(&y, 4096);
    add_plain(&x, a);
    add_plain(&y, b);
    if (x.n > 0 && y.n > 0) {
        bool swap = is_sorted && strcmp(x.p, y.p) > 0;
        json_array_append_new(list, json_sprintf("%s%s", swap ? y.p : x.p, swap ? x.p : y.p));
    }
    buf_clear(&x);
    buf_clear(&y);
}

void person_duplicate_keys(json_t *doc)
{
    json_t *names = json_array(), *documents = json_array(), *v;
    size_t i;
    add_key(names, text_at(doc, "firstName"), text_at(doc, "lastName"), true);
    add_key(names, text_at(doc, "firstName"), text_at(doc, "middleName"), true);
    add_key(names, text_at(doc, "middleName"), text_at(doc, "lastName"), true);
    json_array_foreach(json_object_get(doc, "documents"), i, v)
        add_key(documents, text_at(v, "type"), text_at(v, "number"), false);
    json_object_set_new(doc, "duplicateKeys", json_pack("{soso}", "name", names, "document", documents));
}

static bool is_usual_place(const json_t *address) { return strcmp(text_at(address, "typeId"), REFDATA("ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE")) == 0; }

static void set_usual_place(json_t *doc)
{
    size_t i;
    json_t *v, *place = NULL;
    json_array_foreach(json_object_get(doc, "addresses"), i, v)
        if (is_usual_place(v))
            place = json_object_get(v, "locationId");
    if (place)
        json_object_set(doc, "usualPlaceOfResidenceLocationId", place);
    else
        json_object_set_new(doc, "usualPlaceOfResidenceLocationId", json_null());
}

static void close_history(json_t *history, const char *now)
{
    size_t n = json_array_size(history);
    if (n > 0)
        json_object_set_new(json_array_get(history, n - 1), "endDate", json_string(now));
}

static void set_classification_history(json_t *doc, const char *before, int64_t now_ms)
{
    const char *after = sandbox_json_get(doc, "classification");
    json_t *history = json_object_get(doc, "classificationHistory"), *entry = json_object();
    char now[SANDBOX_DATE_SIZE];
    bool is_new = !json_is_array(history);
    if (!is_new && strcmp(after ? after : "", before ? before : "") == 0) {
        json_decref(entry);
        return;
    }
    sandbox_date_format(now_ms, now);
    if (is_new) {
        history = json_array();
        json_object_set_new(doc, "classificationHistory", history);
    }
    close_history(history, now);
    if (after)
        json_object_set_new(entry, "classification", json_string(after));
    json_object_set_new(entry, "startDate", json_string(now));
    json_array_append_new(history, entry);
}

/* Cases have a period of one day unless the outbreak follows cases up, too. */
static int64_t follow_up_days(const struct sandbox_call *c, const json_t *doc)
{
    bool is_case = person_type_of(sandbox_json_get(doc, "type")) == PERSON_CASE;
    if (is_case && !json_is_true(json_object_get(c->outbreak, "allowCasesFollowUp")))
        return 1;
    return json_integer_value(json_object_get(c->outbreak, "periodOfFollowup"));
}

void person_follow_up(struct sandbox_call *c, json_t *doc, const char *from_field)
{
    int64_t from, period_days = follow_up_days(c, doc);
    json_t *old = json_object_get(doc, "followUp");
    if (!sandbox_date_parse(span_of(text_at(doc, from_field)), &from))
        return;
    int64_t start = from - ((from % DAY_MS) + DAY_MS) % DAY_MS + DAY_MS, end = start + (period_days > 1 ? period_days - 1 : 0) * DAY_MS;
    json_t *original = old ? json_incref(json_object_get(old, "originalStartDate")) : NULL;
    json_object_set_new(doc, "followUp", json_pack("{sosososs}", "originalStartDate", original ? original : sandbox_date_json(start), "startDate",
        sandbox_date_json(start), "endDate", sandbox_date_json(end), "status", UNDER_FOLLOW_UP));
    json_object_set_new(doc, "active", json_true());
}

/* ---- nested parts ---- */

static void cast_string(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    if (!v || json_is_string(v) || json_is_null(v))
        return;
    char *text = sandbox_json_to_string(v);
    json_object_set_new(object, key, json_string(text));
    free(text);
}

static void cast_parts(json_t *doc)
{
    static const struct { const char *list, *fields[6]; } dates[] = {
        {"addresses", {"date"}}, {"dateRanges", {"startDate", "endDate"}}, {"vaccinesReceived", {"date"}},
    };
    size_t i;
    json_t *v;
    for (size_t k = 0; k < sizeof dates / sizeof dates[0]; k++) {
        json_t *list = json_object_get(doc, dates[k].list);
        if (!json_is_array(list))
            continue;
        list = json_deep_copy(list);
        json_object_set_new(doc, dates[k].list, list);
        json_array_foreach(list, i, v)
            for (size_t f = 0; json_is_object(v) && dates[k].fields[f]; f++)
                model_cast_date(v, dates[k].fields[f]);
    }
    json_array_foreach(json_object_get(doc, "addresses"), i, v)
        if (json_is_object(v) && !json_object_get(v, "geoLocationAccurate"))
            json_object_set_new(v, "geoLocationAccurate", json_false());
    json_array_foreach(json_object_get(doc, "documents"), i, v) {
        cast_string(v, "type");
        cast_string(v, "number");
    }
    v = json_object_get(doc, "questionnaireAnswers");
    if (json_is_object(v)) {
        v = json_deep_copy(v);
        model_convert_dates(v);
        json_object_set_new(doc, "questionnaireAnswers", v);
    }
}

/* -1: answered 422. */
static int check_addresses(struct sandbox_call *c, const json_t *doc)
{
    json_t *list = json_object_get(doc, "addresses"), *v;
    size_t i, usual = 0;
    const char *code = NULL, *text = NULL;
    bool lacks_date = false;
    json_array_foreach(list, i, v) {
        usual += is_usual_place(v);
        if (strcmp(text_at(v, "typeId"), REFDATA("ADDRESS_TYPE_PREVIOUS_USUAL_PLACE_OF_RESIDENCE")) == 0 && !sandbox_json_get(v, "date"))
            lacks_date = true;
    }
    if (json_array_size(list) == 0)
        return 0;
    if (usual == 0)
        code = "ADDRESS_MUST_HAVE_USUAL_PLACE_OF_RESIDENCE", text = "One of the addresses must be set as Current address";
    else if (usual > 1)
        code = "ADDRESS_MULTIPLE_USUAL_PLACE_OF_RESIDENCE", text = "Only one address can be set as Current address";
    else if (lacks_date)
        code = "ADDRESS_PREVIOUS_PLACE_OF_RESIDENCE_MUST_HAVE_DATE", text = "Previous addresses must have a date";
    if (!code)
        return 0;
    call_fail(c, 422, NULL, code, json_pack("{sO}", "addresses", list), "%s", text);
    return -1;
}

/* ---- visualId ---- */

static const char *mask_of(struct sandbox_call *c)
{
    const char *mask = sandbox_json_get(c->outbreak, person_kinds[c->ptype].mask_field);
    return mask && *mask ? mask : person_kinds[c->ptype].mask_default;
}

/* The visualId that the template resolves to; heap. NULL: answered. */
static char *visual_resolve(struct sandbox_call *c, const char *template)
{
    struct sandbox_mask_fit fit;
    const char *mask = mask_of(c);
    if (sandbox_db_has_visual(c->s->db, c->outbreak_id, template)) {
        call_fail(c, 409, NULL, "DUPLICATE_VISUAL_ID", json_pack("{ss}", "id", template), "The visual identifier `%s` is not unique.", template);
        return NULL;
    }
    if (!sandbox_mask_match(mask, template, &fit)) {
        call_fail(c, 422, NULL, "INVALID_VISUAL_ID_MASK", json_pack("{ssss}", "visualIdTemplate", template, "outbreakVisualIdMask", mask),
                  "Provided Visual ID template `%s` does not match Visual ID mask set on outbreak level `%s`", template, mask);
        return NULL;
    }
    if (fit.n == 0)
        return xstrdup(template);
    int64_t max = sandbox_db_max_visual(c->s->db, c->outbreak_id, template, &fit);
    return sandbox_mask_fill(template, &fit, max < 0 ? 1 : max + 1);
}

/* Replaces a template in doc; own: the value the person has already. -1: answered. */
static int set_visual(struct sandbox_call *c, json_t *doc, const char *own)
{
    const char *template = sandbox_json_get(doc, "visualId");
    if (!template || !*template || (own && strcmp(own, template) == 0))
        return 0;
    char *value = visual_resolve(c, template);
    if (!value)
        return -1;
    json_object_set_new(doc, "visualId", json_string(value));
    free(value);
    return 0;
}

void on_visual_id(struct sandbox_call *c)
{
    const char *template = sandbox_json_get(c->body, "visualIdMask");
    char *value = visual_resolve(c, template && *template ? template : mask_of(c));
    if (!value)
        return;
    call_reply_new(c, json_string(value));
    free(value);
}

/* ---- create ---- */

static json_t *new_document(enum person_type type)
{
    switch (type) {
    case PERSON_CASE:
        return json_pack("{sbsbsbsb}", "wasContact", 0, "wasContactOfContact", 0, "transferRefused", 0, "safeBurial", 0);
    case PERSON_CONTACT:
        return json_pack("{sbsbsbsbsb}", "transferRefused", 0, "safeBurial", 0, "wasCase", 0, "wasContactOfContact", 0, "active", 1);
    case PERSON_COC:
        return json_pack("{sbsbsbsbsb}", "transferRefused", 0, "safeBurial", 0, "wasCase", 0, "wasContact", 0, "active", 1);
    case PERSON_EVENT:
    case PERSON_TYPES:
        break;
    }
    return json_object();
}

/* Stores a new person; -1: answered. */
static int insert(struct sandbox_call *c, const json_t *doc)
{
    const char *id = sandbox_json_get(doc, "id");
    if (sandbox_db_insert(c->s->db, RECORD_PERSON, doc) == 0)
        return 0;
    json_t *old = sandbox_db_get(c->s->db, RECORD_PERSON, id);
    if (json_is_true(json_object_get(old, "deleted")))
        call_fail_duplicate_key(c, "person", id);
    else
        call_fail_unique(c, person_kinds[c->ptype].model, id);
    json_decref(old);
    return -1;
}

json_t *person_create(struct sandbox_call *c, const json_t *body, bool keeps_visual_id)
{
    char id[SANDBOX_ID_SIZE];
    int64_t now = sandbox_now_ms();
    json_t *doc = new_document(c->ptype);
    const char *given = sandbox_json_get(body, "id");
    if (!json_is_object(body) || model_assign(c, person_kinds[c->ptype].model, person_properties, PROPERTIES_N, read_only, body, doc))
        goto refused;
    if (!keeps_visual_id && set_visual(c, doc, NULL))
        goto refused;
    cast_parts(doc);
    if (check_addresses(c, doc))
        goto refused;
    sandbox_uuid(id);
    json_object_set_new(doc, "id", json_string(given && *given ? given : id));
    json_object_set_new(doc, "outbreakId", json_string(c->outbreak_id));
    json_object_set_new(doc, "type", json_string(person_kinds[c->ptype].type));
    if (!json_object_get(doc, "isDateOfReportingApproximate"))
        json_object_set_new(doc, "isDateOfReportingApproximate", json_false());
    if (c->ptype == PERSON_CASE)
        set_classification_history(doc, NULL, now);
    json_object_update_new(doc, json_pack("{sbsisi}", "hasRelationships", 0, "numberOfExposures", 0, "numberOfContacts", 0));
    set_usual_place(doc);
    if (c->ptype != PERSON_EVENT)
        person_duplicate_keys(doc);
    model_stamp_new(c, doc, now);
    if (c->ptype == PERSON_CASE)
        person_follow_up(c, doc, "dateOfOnset");
    if (insert(c, doc) == 0)
        return doc;
refused:
    if (!c->is_answered)
        call_fail_internal(c, json_object());
    json_decref(doc);
    return NULL;
}

void person_dress(struct sandbox_call *c, const struct sandbox_filter *f, json_t *doc)
{
    struct sandbox_filter all = {.where = NULL};
    json_object_del(doc, "type");
    if (!json_object_get(doc, "address"))
        json_object_set_new(doc, "address", json_object());
    if (f && f->include && json_object_get(f->include, "labResults")) {
        struct sandbox_query q = {.kind = RECORD_LAB, .parent = sandbox_json_get(doc, "id"), .filter = &all};
        json_object_set_new(doc, "labResults", sandbox_db_find(c->s->db, &q));
    }
}

/* The answer to a create: a case with dateOfOnset is written twice, and the second write forgets the visualId. */
static void dress_created(struct sandbox_call *c, json_t *doc)
{
    person_dress(c, NULL, doc);
    if (c->ptype == PERSON_CASE && sandbox_json_get(doc, "dateOfOnset"))
        json_object_del(doc, "visualId");
}

void on_person_create(struct sandbox_call *c)
{
    json_t *doc, *one, *all = json_array();
    size_t i;
    if (!json_is_array(c->body)) {
        json_decref(all);
        if ((doc = person_create(c, c->body, false))) {
            dress_created(c, doc);
            call_reply_new(c, doc);
        }
        return;
    }
    json_array_foreach(c->body, i, one) {
        if (!(doc = person_create(c, one, false)))
            break;
        dress_created(c, doc);
        json_array_append_new(all, doc);
    }
    call_reply_new(c, all);
}

/* ---- read ---- */

json_t *person_of_call(struct sandbox_call *c, const char *id)
{
    json_t *doc = sandbox_db_get(c->s->db, RECORD_PERSON, id);
    if (doc && !json_is_true(json_object_get(doc, "deleted")) && strcmp(text_at(doc, "outbreakId"), c->outbreak_id) == 0 &&
        strcmp(text_at(doc, "type"), person_kinds[c->ptype].type) == 0)
        return doc;
    json_decref(doc);
    call_fail_instance(c, id, person_kinds[c->ptype].model);
    return NULL;
}

void on_person_get(struct sandbox_call *c)
{
    json_t *doc = person_of_call(c, c->id[0]);
    if (!doc)
        return;
    person_dress(c, NULL, doc);
    call_reply_new(c, doc);
}

static struct sandbox_query persons(struct sandbox_call *c, const struct sandbox_filter *f)
{
    return (struct sandbox_query){.kind = RECORD_PERSON, .outbreak = c->outbreak_id, .type = person_kinds[c->ptype].type, .filter = f,
        .key_field = "visualId", .has_documents = true};
}

void on_persons_find(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_filter(c, true, &f))
        return;
    struct sandbox_query q = persons(c, &f);
    call_reply_find(c, &q, "name,lastName,firstName", person_dress);
    sandbox_filter_clear(&f);
}

static void count(struct sandbox_call *c, struct sandbox_filter *f, bool any_type)
{
    struct sandbox_query q = persons(c, f);
    if (any_type)
        q.type = NULL;
    call_reply_count(c, sandbox_db_count(c->s->db, &q));
    sandbox_filter_clear(f);
}

void on_persons_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_where(c, true, &f) == 0)
        count(c, &f, false);
}

void on_persons_filtered_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_filter(c, true, &f) == 0)
        count(c, &f, false);
}

/* Types that the user may not list are left out without a word, as on the real server. */
static void hide_types(struct sandbox_call *c)
{
    json_t *hidden = json_array(), *where = json_object_get(c->filter, "where"), *wide;
    for (int i = 0; i < PERSON_TYPES; i++) {
        char permission[64];
        (void)snprintf(permission, sizeof permission, "%s_list", person_kinds[i].group);
        if (!auth_user_may(c->user, permission))
            json_array_append_new(hidden, json_string(person_kinds[i].type));
    }
    if (json_array_size(hidden) > 0) {
        json_t *only = json_pack("{s{sO}}", "type", "nin", hidden);
        wide = c->filter ? json_copy(c->filter) : json_object();
        json_object_set_new(wide, "where", json_object_size(where) ? json_pack("{s[Oo]}", "and", where, only) : only);
        json_decref(c->filter);
        c->filter = wide;
    }
    json_decref(hidden);
}

void on_people_find(struct sandbox_call *c)
{
    struct sandbox_filter f;
    hide_types(c);
    if (call_filter(c, true, &f))
        return;
    struct sandbox_query q = persons(c, &f);
    q.type = NULL;
    call_reply_find(c, &q, "name,lastName,firstName", NULL);
    sandbox_filter_clear(&f);
}

void on_people_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if ((c->where ? call_where(c, true, &f) : call_filter(c, true, &f)) == 0)
        count(c, &f, true);
}

/* ---- update, delete, restore ---- */

static bool has_any(const json_t *body, const char *const *names)
{
    for (; *names; names++)
        if (json_object_get(body, *names))
            return true;
    return false;
}

void on_person_update(struct sandbox_call *c)
{
    static const char *const keyed[] = {"firstName", "middleName", "lastName", "documents", NULL};
    json_t *doc = person_of_call(c, c->id[0]);
    const char *new_id = sandbox_json_get(c->body, "id");
    int64_t now = sandbox_now_ms();
    if (!doc)
        return;
    char *visual = sandbox_json_get(doc, "visualId") ? xstrdup(sandbox_json_get(doc, "visualId")) : NULL;
    char *classification = sandbox_json_get(doc, "classification") ? xstrdup(sandbox_json_get(doc, "classification")) : NULL;
    if (new_id && strcmp(new_id, c->id[0]) != 0) {
        call_fail(c, 400, NULL, NULL, NULL, "id property (id) cannot be updated from %s to %s", c->id[0], new_id);
        goto out;
    }
    if (!json_is_object(c->body)) {
        call_fail_internal(c, json_object());
        goto out;
    }
    if (model_assign(c, person_kinds[c->ptype].model, person_properties, PROPERTIES_N, read_only, c->body, doc) || set_visual(c, doc, visual))
        goto out;
    cast_parts(doc);
    if (check_addresses(c, doc))
        goto out;
    if (c->ptype == PERSON_CASE && json_object_get(c->body, "classification"))
        set_classification_history(doc, classification, now);
    if (c->ptype == PERSON_CASE && json_object_get(c->body, "dateOfOnset"))
        person_follow_up(c, doc, "dateOfOnset");
    if (json_object_get(c->body, "addresses"))
        set_usual_place(doc);
    if (c->ptype != PERSON_EVENT && has_any(c->body, keyed))
        person_duplicate_keys(doc);
    model_stamp(c, doc, now);
    sandbox_db_update(c->s->db, RECORD_PERSON, doc);
    person_dress(c, NULL, doc);
    json_object_del(doc, "visualId");
    call_reply_json(c, 200, doc);
out:
    free(visual);
    free(classification);
    json_decref(doc);
}

void person_remove(struct sandbox_call *c, json_t *doc, int64_t now_ms)
{
    const char *visual = sandbox_json_get(doc, "visualId"), *id = sandbox_json_get(doc, "id");
    if (visual && *visual) {
        json_t *documents = json_object_get(doc, "documents");
        documents = json_is_array(documents) ? json_copy(documents) : json_array();
        json_array_append_new(documents, json_pack("{ssss}", "type", REFDATA("DOCUMENT_TYPE_ARCHIVED_ID"), "number", visual));
        json_object_set_new(doc, "documents", documents);
    }
    json_object_set_new(doc, "visualId", json_null());
    model_stamp(c, doc, now_ms);
    model_delete(doc, now_ms);
    sandbox_db_update(c->s->db, RECORD_PERSON, doc);
    lab_cascade(c, id, true, now_ms);
    relation_cascade(c, id, true, now_ms);
}

void on_person_delete(struct sandbox_call *c)
{
    json_t *doc = person_of_call(c, c->id[0]);
    if (!doc)
        return;
    person_remove(c, doc, sandbox_now_ms());
    json_decref(doc);
    call_reply_json(c, 204, NULL);
}

void on_person_restore(struct sandbox_call *c)
{
    json_t *doc = sandbox_db_get(c->s->db, RECORD_PERSON, c->id[0]);
    int64_t now = sandbox_now_ms();
    if (!doc || !json_is_true(json_object_get(doc, "deleted")) || strcmp(text_at(doc, "type"), person_kinds[c->ptype].type) != 0 ||
        strcmp(text_at(doc, "outbreakId"), c->outbreak_id) != 0) {
        call_fail_instance(c, c->id[0], person_kinds[c->ptype].model);
        json_decref(doc);
        return;
    }
    model_stamp(c, doc, now);
    model_restore(doc);
    sandbox_db_update(c->s->db, RECORD_PERSON, doc);
    lab_cascade(c, c->id[0], false, now);
    relation_cascade(c, c->id[0], false, now);
    person_dress(c, NULL, doc);
    call_reply_new(c, doc);
}
