/*
 * NAME
 *   sandbox_lab - lab results of cases, contacts and contacts of contacts
 *
 *   Creating is not idempotent and checks nothing but dates. Two things from the body are honoured that should not be: personType on
 *   create, outbreakId on update. Lists of the whole outbreak hide results of contacts unless the outbreak shows them.
 *
 * DIAGNOSTICS
 *   404 for an unknown person or result, 422 for dates, 500 for bodies that trip the real server (an array; a questionnaire that is text).
 */
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

static const struct property lab_properties[] = {
    {"personId", PROPERTY_STRING}, {"personType", PROPERTY_STRING}, {"dateSampleTaken", PROPERTY_DATE}, {"dateSampleDelivered", PROPERTY_DATE},
    {"dateTesting", PROPERTY_DATE}, {"dateOfResult", PROPERTY_DATE}, {"labName", PROPERTY_STRING}, {"sampleIdentifier", PROPERTY_STRING},
    {"sampleType", PROPERTY_STRING}, {"testType", PROPERTY_STRING}, {"result", PROPERTY_STRING}, {"quantitativeResult", PROPERTY_STRING},
    {"notes", PROPERTY_STRING}, {"status", PROPERTY_STRING}, {"questionnaireAnswers", PROPERTY_ANY}, {"outbreakId", PROPERTY_STRING},
    {"testedFor", PROPERTY_STRING}, {"sequence", PROPERTY_ANY}, {"deletedByParent", PROPERTY_STRING},
};
#define PROPERTIES_N (sizeof lab_properties / sizeof lab_properties[0])

static const char *const bookkeeping[] = {"id", "personId", "createdAt", "createdBy", "updatedAt", "updatedBy", "dbUpdatedAt", "createdOn", "deleted",
    "deletedAt", NULL};

/* ---- questionnaire ---- */

static const char *answer_type(const json_t *outbreak, const char *variable)
{
    size_t i;
    json_t *question;
    json_array_foreach(json_object_get(outbreak, "labResultsTemplate"), i, question) {
        const char *v = sandbox_json_get(question, "variable");
        if (v && strcmp(v, variable) == 0)
            return sandbox_json_get(question, "answerType");
    }
    return NULL;
}

/* Newest first; a plain exchange sort keeps equal ones in place, and the lists are short. */
static void sort_answers(json_t *answers)
{
    size_t n = json_array_size(answers);
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0; k--) {
            json_t *a = json_array_get(answers, k - 1), *b = json_array_get(answers, k);
            const char *da = sandbox_json_get(a, "date"), *db = sandbox_json_get(b, "date");
            if (!da || !db || strcmp(da, db) >= 0)
                break;
            json_incref(a);
            json_incref(b);
            json_array_set_new(answers, k - 1, b);
            json_array_set_new(answers, k, a);
        }
}

static void cast_numeric(json_t *answers)
{
    size_t i;
    json_t *answer;
    json_array_foreach(answers, i, answer) {
        json_t *v = json_object_get(answer, "value");
        double d;
        if (json_is_string(v))
            json_object_set_new(answer, "value", sandbox_json_parse_float(json_string_value(v), &d) ? json_real(d) : json_null());
    }
}

static void fail_type(struct sandbox_call *c, const char *message)
{
    call_fail_internal(c, json_pack("{ssss}", "message", message, "name", "TypeError"));
}

/* -1: answered. */
static int cast_questionnaire(struct sandbox_call *c, json_t *doc)
{
    json_t *all = json_object_get(doc, "questionnaireAnswers"), *answers;
    const char *variable;
    if (json_is_string(all) && json_string_length(all) > 0) {
        fail_type(c, "Cannot assign to read only property '0' of object '[object String]'");
        return -1;
    }
    if (!json_is_object(all))
        return 0;
    all = json_deep_copy(all);
    json_object_set_new(doc, "questionnaireAnswers", all);
    model_convert_dates(all);
    json_object_foreach(all, variable, answers) {
        const char *type = answer_type(c->outbreak, variable);
        bool is_numeric = type && strcmp(type, REFDATA("QUESTION_ANSWER_TYPE_NUMERIC")) == 0;
        if (is_numeric && !json_is_array(answers) && !json_is_null(answers)) {
            fail_type(c, "propValue.forEach is not a function");
            return -1;
        }
        if (is_numeric)
            cast_numeric(answers);
        sort_answers(answers);
    }
    return 0;
}

static void cast_sequence(json_t *doc)
{
    json_t *sequence = json_object_get(doc, "sequence");
    if (!json_is_object(sequence))
        return;
    sequence = json_deep_copy(sequence);
    if (!json_object_get(sequence, "hasSequence"))
        json_object_set_new(sequence, "hasSequence", json_false());
    model_cast_date(sequence, "dateSampleSent");
    model_cast_date(sequence, "dateResult");
    json_object_set_new(doc, "sequence", sequence);
}

/* ---- one result ---- */

json_t *lab_create(struct sandbox_call *c, const char *person_id, const json_t *body)
{
    char id[SANDBOX_ID_SIZE];
    const char *given = c->s->allows_custom_ids ? sandbox_json_get(body, "id") : NULL;
    if (json_is_array(body)) {
        call_fail_internal(c, json_object());
        return NULL;
    }
    json_t *doc = json_object();
    json_object_set_new(doc, "personId", json_string(person_id));
    json_object_set_new(doc, "personType", json_string(person_kinds[c->ptype].type));
    if (model_assign(c, "labResult", lab_properties, PROPERTIES_N, bookkeeping, body, doc) || cast_questionnaire(c, doc)) {
        json_decref(doc);
        return NULL;
    }
    cast_sequence(doc);
    if (json_is_null(json_object_get(doc, "personType")))
        json_object_set_new(doc, "personType", json_string(person_kinds[c->ptype].type));
    json_object_set_new(doc, "outbreakId", json_string(c->outbreak_id));
    sandbox_uuid(id);
    json_object_set_new(doc, "id", json_string(given ? given : id));
    model_stamp_new(c, doc, sandbox_now_ms());
    if (sandbox_db_insert(c->s->db, RECORD_LAB, doc) == 0)
        return doc;
    json_t *old = sandbox_db_get(c->s->db, RECORD_LAB, given ? given : id);
    if (json_is_true(json_object_get(old, "deleted")))
        call_fail_duplicate_key(c, "labResult", given ? given : id);
    else
        call_fail_unique(c, "labResult", given ? given : id);
    json_decref(old);
    json_decref(doc);
    return NULL;
}

/* Is there such a living person on this route? Answered when not. */
static bool person_exists(struct sandbox_call *c)
{
    struct sandbox_person_head head;
    if (sandbox_db_person_head(c->s->db, c->id[0], &head) && !head.is_deleted && strcmp(head.outbreak, c->outbreak_id) == 0 &&
        strcmp(head.type, person_kinds[c->ptype].type) == 0)
        return true;
    call_fail_instance(c, c->id[0], person_kinds[c->ptype].model);
    return false;
}

void on_lab_create(struct sandbox_call *c)
{
    if (!person_exists(c))
        return;
    json_t *doc = lab_create(c, c->id[0], c->body);
    if (!doc)
        return;
    c->s->lab_posts_done++;
    call_reply_new(c, doc);
}

/* The result of the path: of that person, or of the outbreak when person_id is NULL. New reference; NULL: answered. */
static json_t *lab_of_path(struct sandbox_call *c, const char *id, const char *person_id, bool wants_deleted)
{
    json_t *doc = sandbox_db_get(c->s->db, RECORD_LAB, id);
    const char *outbreak = sandbox_json_get(doc, "outbreakId"), *person = sandbox_json_get(doc, "personId");
    bool fits = doc && json_is_true(json_object_get(doc, "deleted")) == wants_deleted;
    if (fits && person_id ? person && strcmp(person, person_id) == 0 : fits && outbreak && strcmp(outbreak, c->outbreak_id) == 0)
        return doc;
    json_decref(doc);
    call_fail_instance(c, id, "labResult");
    return NULL;
}

void on_lab_get(struct sandbox_call *c)
{
    json_t *doc = person_exists(c) ? lab_of_path(c, c->id[1], c->id[0], false) : NULL;
    if (doc)
        call_reply_new(c, doc);
}

void on_outbreak_lab_get(struct sandbox_call *c)
{
    json_t *doc = lab_of_path(c, c->id[0], NULL, false);
    if (doc)
        call_reply_new(c, doc);
}

/* Shallow merge and store; takes doc. */
static void update(struct sandbox_call *c, json_t *doc)
{
    if (!doc)
        return;
    if (json_is_array(c->body))
        call_fail_internal(c, json_object());
    else if (model_assign(c, "labResult", lab_properties, PROPERTIES_N, bookkeeping, c->body, doc) == 0 && cast_questionnaire(c, doc) == 0) {
        cast_sequence(doc);
        model_stamp(c, doc, sandbox_now_ms());
        sandbox_db_update(c->s->db, RECORD_LAB, doc);
        call_reply_json(c, 200, doc);
    }
    json_decref(doc);
}

void on_lab_update(struct sandbox_call *c)
{
    if (person_exists(c))
        update(c, lab_of_path(c, c->id[1], c->id[0], false));
}

void on_outbreak_lab_update(struct sandbox_call *c) { update(c, lab_of_path(c, c->id[0], NULL, false)); }

static void delete(struct sandbox_call *c, json_t *doc)
{
    int64_t now = sandbox_now_ms();
    if (!doc)
        return;
    model_stamp(c, doc, now);
    model_delete(doc, now);
    sandbox_db_update(c->s->db, RECORD_LAB, doc);
    json_decref(doc);
    call_reply_json(c, 204, NULL);
}

void on_lab_delete(struct sandbox_call *c)
{
    if (person_exists(c))
        delete(c, lab_of_path(c, c->id[1], c->id[0], false));
}

void on_outbreak_lab_delete(struct sandbox_call *c) { delete(c, lab_of_path(c, c->id[0], NULL, false)); }

void on_lab_restore(struct sandbox_call *c)
{
    json_t *doc = person_exists(c) ? lab_of_path(c, c->id[1], c->id[0], true) : NULL;
    if (!doc)
        return;
    model_stamp(c, doc, sandbox_now_ms());
    model_restore(doc);
    sandbox_db_update(c->s->db, RECORD_LAB, doc);
    call_reply_new(c, doc);
}

/* ---- lists ---- */

static struct sandbox_query person_labs(struct sandbox_call *c, const struct sandbox_filter *f)
{
    return (struct sandbox_query){.kind = RECORD_LAB, .parent = c->id[0], .filter = f, .key_field = "sampleIdentifier"};
}

void on_labs_list(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (!person_exists(c) || call_filter(c, false, &f))
        return;
    struct sandbox_query q = person_labs(c, &f);
    call_reply_find(c, &q, "id", NULL);
    sandbox_filter_clear(&f);
}

static void count_person_labs(struct sandbox_call *c, struct sandbox_filter *f, const char *type)
{
    struct sandbox_query q = person_labs(c, f);
    q.type = type;
    call_reply_count(c, sandbox_db_count(c->s->db, &q));
    sandbox_filter_clear(f);
}

void on_labs_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (person_exists(c) && call_where(c, false, &f) == 0)
        count_person_labs(c, &f, NULL);
}

void on_labs_filtered_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (person_exists(c) && call_filter(c, true, &f) == 0)
        count_person_labs(c, &f, person_kinds[c->ptype].type);
}

static bool hides_contacts(const struct sandbox_call *c) { return !json_is_true(json_object_get(c->outbreak, "isContactLabResultsActive")); }

static struct sandbox_query outbreak_labs(struct sandbox_call *c, const struct sandbox_filter *f)
{
    struct sandbox_query q = {.kind = RECORD_LAB, .outbreak = c->outbreak_id, .filter = f, .key_field = "sampleIdentifier"};
    if (hides_contacts(c))
        q.type = person_kinds[PERSON_CASE].type;
    return q;
}

/* Sub-queries on the person (where.case, where.contact, where.person) and the rest apart. New references. */
static void split_where(struct sandbox_call *c, json_t **rest, json_t **person)
{
    static const char *const keys[] = {"case", "contact", "person"};
    json_t *where = json_object_get(c->filter, "where");
    *rest = json_is_object(where) ? json_copy(where) : json_object();
    *person = NULL;
    for (size_t i = 0; i < 3; i++) {
        json_t *sub = json_object_get(*rest, keys[i]);
        if (!json_is_object(sub))
            continue;
        if (!*person)
            *person = json_array();
        json_array_append(*person, sub);
        json_object_del(*rest, keys[i]);
    }
}

/* Adds the person as seen in the list; false when the sub-query refuses it. */
static bool add_person(struct sandbox_call *c, json_t *doc, const struct sandbox_cond *wanted, bool is_shown)
{
    json_t *person = sandbox_db_get(c->s->db, RECORD_PERSON, sandbox_json_get(doc, "personId"));
    bool ok = !wanted || (person && !json_is_true(json_object_get(person, "deleted")) && sandbox_cond_match(wanted, person));
    if (ok && is_shown && person)
        json_object_set(doc, "person", person);
    json_decref(person);
    return ok;
}

/* Results of the outbreak that match filter and person sub-query, before paging. NULL: answered. */
static json_t *aggregate(struct sandbox_call *c, struct sandbox_filter *f, bool is_shown)
{
    json_t *rest, *person, *filter = c->filter ? json_copy(c->filter) : json_object(), *found = NULL;
    struct sandbox_cond *wanted = NULL;
    struct err e = ERR_INIT;
    split_where(c, &rest, &person);
    json_object_set_new(filter, "where", rest);
    json_t *all_of = person ? json_pack("{so}", "and", person) : NULL;
    json_decref(c->filter);
    c->filter = filter;
    if (sandbox_cond_new(&wanted, all_of, true, &e)) {
        call_fail_internal(c, json_pack("{ssss}", "message", e.text, "name", e.where));
    } else if (call_filter(c, true, f) == 0) {
        struct sandbox_filter wide = *f;
        struct sandbox_query q = outbreak_labs(c, &wide);
        if (wanted)
            wide.limit = 0;                              /* persons are tested after the search: it must not stop early */
        json_t *all = sandbox_db_find(c->s->db, &q), *doc;
        bool needs_person = wanted || (is_shown && (!f->fields || json_object_get(f->fields, "person")));
        size_t i;
        found = json_array();
        json_array_foreach(all, i, doc)
            if (!needs_person || add_person(c, doc, wanted, is_shown))
                json_array_append(found, doc);
        json_decref(all);
    }
    sandbox_cond_free(wanted);
    json_decref(all_of);
    return found;
}

void on_labs_aggregate(struct sandbox_call *c)
{
    struct sandbox_filter f;
    json_t *found = aggregate(c, &f, true), *doc;
    size_t i;
    if (!found)
        return;
    json_t *page = sandbox_filter_page(&f, found, NULL), *out = json_array();
    json_array_foreach(page, i, doc)
        json_array_append_new(out, sandbox_filter_project(&f, doc));
    call_reply_new(c, out);
    json_decref(page);
    json_decref(found);
    sandbox_filter_clear(&f);
}

void on_labs_aggregate_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    json_t *found = aggregate(c, &f, false);
    if (!found)
        return;
    call_reply_count(c, (int64_t)json_array_size(found));
    json_decref(found);
    sandbox_filter_clear(&f);
}

/* PUT .../lab-results/bulk?where=: not bound to the outbreak of the path, as on the real server. */
void on_labs_bulk(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_where(c, true, &f))
        return;
    struct sandbox_query q = {.kind = RECORD_LAB, .filter = &f};
    json_t *found = sandbox_db_find(c->s->db, &q), *doc;
    int64_t n = 0;
    size_t i;
    json_array_foreach(found, i, doc) {
        if (model_assign(c, "labResult", lab_properties, PROPERTIES_N, bookkeeping, c->body, doc) || cast_questionnaire(c, doc))
            break;
        cast_sequence(doc);
        model_stamp(c, doc, sandbox_now_ms());
        sandbox_db_update(c->s->db, RECORD_LAB, doc);
        n++;
    }
    call_reply_count(c, n);
    json_decref(found);
    sandbox_filter_clear(&f);
}

/* ---- what happens to a person's results ---- */

static json_t *labs_of(struct sandbox_call *c, const char *person_id)
{
    struct sandbox_filter all = {.with_deleted = true};
    struct sandbox_query q = {.kind = RECORD_LAB, .parent = person_id, .filter = &all};
    return sandbox_db_find(c->s->db, &q);
}

void lab_cascade(struct sandbox_call *c, const char *person_id, bool is_delete, int64_t now_ms)
{
    json_t *all = labs_of(c, person_id), *doc;
    size_t i;
    json_array_foreach(all, i, doc) {
        bool is_deleted = json_is_true(json_object_get(doc, "deleted"));
        const char *by = sandbox_json_get(doc, "deletedByParent");
        if (is_delete ? is_deleted : !is_deleted || !by || strcmp(by, person_id) != 0)
            continue;
        if (is_delete) {
            model_delete(doc, now_ms);
            json_object_set_new(doc, "deletedByParent", json_string(person_id));
        } else {
            model_restore(doc);
            json_object_set_new(doc, "deletedByParent", json_null());
        }
        model_stamp(c, doc, now_ms);
        sandbox_db_update(c->s->db, RECORD_LAB, doc);
    }
    json_decref(all);
}

/* A raw bulk write on the real server: dbUpdatedAt stays. */
void lab_retype(struct sandbox_call *c, const char *person_id, const char *type, int64_t now_ms)
{
    json_t *all = labs_of(c, person_id), *doc;
    size_t i;
    json_array_foreach(all, i, doc) {
        json_object_set_new(doc, "personType", json_string(type));
        json_object_set_new(doc, "updatedAt", sandbox_date_json(now_ms));
        json_object_set_new(doc, "updatedBy", json_string(c->actor));
        sandbox_db_update(c->s->db, RECORD_LAB, doc);
    }
    json_decref(all);
}
