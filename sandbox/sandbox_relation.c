/*
 * NAME
 *   sandbox_relation - relationships between persons, conversions of their type, the search for duplicates
 *
 *   A relationship has a source (case or event) and a target (contact); counts and the follow-up period of both follow from it.
 *   A conversion keeps the id: the person moves to the other collection, its lab results go along, and the old address is 404.
 *
 * DIAGNOSTICS
 *   404 MODEL_NOT_FOUND, 422 VALIDATION_ERROR, INVALID_RELATIONSHIP_WITH_DISCARDED_CASE, 500 TypeError for a body without persons.
 */
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"

#define DAY_MS 86400000LL
#define UNDER_FOLLOW_UP "LNG_REFERENCE_DATA_CONTACT_FINAL_FOLLOW_UP_STATUS_TYPE_UNDER_FOLLOW_UP"

static const struct property relation_properties[] = {
    {"contactDate", PROPERTY_DATE}, {"contactDateEstimated", PROPERTY_BOOLEAN}, {"certaintyLevelId", PROPERTY_STRING}, {"exposureTypeId", PROPERTY_STRING},
    {"exposureFrequencyId", PROPERTY_STRING}, {"exposureDurationId", PROPERTY_STRING}, {"socialRelationshipTypeId", PROPERTY_STRING},
    {"socialRelationshipDetail", PROPERTY_STRING}, {"comment", PROPERTY_STRING}, {"active", PROPERTY_BOOLEAN},
};
static const char *const read_only[] = {"id", "persons", "outbreakId", "createdAt", "createdBy", "updatedAt", "updatedBy", "dbUpdatedAt", "createdOn",
    "deleted", "deletedAt", NULL};

static bool is_live(const json_t *doc) { return !json_is_true(json_object_get(doc, "deleted")); }

/* Which side is the person on? *other: the other participant. */
static bool is_source(const json_t *relation, const char *id, json_t **other)
{
    json_t *persons = json_object_get(relation, "persons");
    const char *first = sandbox_json_get(json_array_get(persons, 0), "id");
    bool source = first && strcmp(first, id) == 0;
    *other = json_array_get(persons, source ? 1 : 0);
    return source;
}

void relation_recount(struct sandbox_call *c, json_t *person)
{
    const char *id = sandbox_json_get(person, "id"), *last = NULL;
    json_t *all = sandbox_db_relations(c->s->db, c->outbreak_id, id), *r, *other, *shown = json_array();
    int as_source = 0, as_target = 0;
    size_t i;
    json_array_foreach(all, i, r) {
        if (!is_live(r))
            continue;
        bool source = is_source(r, id, &other);
        const char *date = sandbox_json_get(r, "contactDate");
        json_array_append_new(shown, json_pack("{sOsOsOsOsb}", "id", json_object_get(r, "id"), "active", json_object_get(r, "active"), "otherParticipantType",
            json_object_get(other, "type"), "otherParticipantId", json_object_get(other, "id"), source ? "source" : "target", 1));
        as_source += source;
        as_target += !source;
        if (!source && date && (!last || strcmp(date, last) > 0))
            last = date;
    }
    json_object_update_new(person, json_pack("{sbsosisi}", "hasRelationships", as_source + as_target > 0, "relationshipsRepresentation", shown,
        "numberOfExposures", as_target, "numberOfContacts", as_source));
    if (last)
        json_object_set_new(person, "dateOfLastContact", json_string(last));
    json_decref(all);
}

static void recount_and_store(struct sandbox_call *c, const char *id, int64_t now_ms)
{
    json_t *person = sandbox_db_get(c->s->db, RECORD_PERSON, id);
    if (person) {
        const char *type = sandbox_json_get(person, "type");
        relation_recount(c, person);
        if (type && strcmp(type, person_kinds[PERSON_CONTACT].type) == 0 && sandbox_json_get(person, "dateOfLastContact")) {
            bool is_first = !json_object_get(person, "followUp");
            person_follow_up(c, person, "dateOfLastContact");
            if (is_first)
                json_object_set_new(person, "followUpHistory", json_pack("[{ssso}]", "status", UNDER_FOLLOW_UP, "startDate", sandbox_date_json(now_ms)));
        }
        model_stamp(c, person, now_ms);
        sandbox_db_update(c->s->db, RECORD_PERSON, person);
    }
    json_decref(person);
}

/* The living person named in the body. NULL: answered. New reference. */
static json_t *participant(struct sandbox_call *c)
{
    json_t *persons = json_object_get(c->body, "persons");
    const char *id = sandbox_json_get(json_array_get(persons, 0), "id");
    if (!json_is_array(persons) || !id) {
        call_fail_internal(c, json_pack("{ssss}", "message", "Cannot read property 'length' of undefined", "name", "TypeError"));
        return NULL;
    }
    if (strcmp(id, c->id[0]) == 0) {
        call_fail(c, 422, NULL, "VALIDATION_ERROR", NULL, "A person cannot be related to itself");
        return NULL;
    }
    json_t *other = sandbox_db_get(c->s->db, RECORD_PERSON, id);
    if (!other || !is_live(other)) {
        json_decref(other);
        call_fail_model(c, "person", id);
        return NULL;
    }
    const char *classification = sandbox_json_get(other, "classification");
    if (classification && strcmp(classification, REFDATA("CASE_CLASSIFICATION_NOT_A_CASE_DISCARDED")) == 0) {
        call_fail(c, 422, NULL, "INVALID_RELATIONSHIP_WITH_DISCARDED_CASE", json_pack("{ss}", "id", id),
            "A relationship cannot be created with a discarded case");
        json_decref(other);
        return NULL;
    }
    return other;
}

void on_relationship_create(struct sandbox_call *c)
{
    char id[SANDBOX_ID_SIZE];
    int64_t now = sandbox_now_ms();
    json_t *self = person_of_call(c, c->id[0]), *other = self ? participant(c) : NULL, *doc = json_object();
    if (!other)
        goto out;
    /* the case or event of the body is the source; the contact of the path is the target */
    json_object_set_new(doc, "outbreakId", json_string(c->outbreak_id));
    json_object_set_new(doc, "persons", json_pack("[{sOsOsb}{sOsOsb}]", "id", json_object_get(other, "id"), "type", json_object_get(other, "type"), "source", 1,
                                                  "id", json_object_get(self, "id"), "type", json_object_get(self, "type"), "target", 1));
    if (model_assign(c, "relationship", relation_properties, sizeof relation_properties / sizeof relation_properties[0], read_only, c->body, doc))
        goto out;
    if (!json_object_get(doc, "active"))
        json_object_set_new(doc, "active", json_true());
    sandbox_uuid(id);
    json_object_set_new(doc, "id", json_string(id));
    model_stamp_new(c, doc, now);
    (void)sandbox_db_insert(c->s->db, RECORD_RELATION, doc);
    recount_and_store(c, sandbox_json_get(other, "id"), now);
    recount_and_store(c, c->id[0], now);
    call_reply_json(c, 200, doc);
out:
    json_decref(doc);
    json_decref(other);
    json_decref(self);
}

void on_relationships_list(struct sandbox_call *c)
{
    struct sandbox_filter f;
    json_t *self = person_of_call(c, c->id[0]);
    if (!self || call_filter(c, false, &f)) {
        json_decref(self);
        return;
    }
    json_t *all = sandbox_db_relations(c->s->db, c->outbreak_id, c->id[0]), *fit = json_array(), *page, *out = json_array(), *r;
    size_t i;
    json_array_foreach(all, i, r)
        if ((f.with_deleted || is_live(r)) && sandbox_cond_match(f.where, r))
            json_array_append(fit, r);
    page = sandbox_filter_page(&f, fit, "id");
    json_array_foreach(page, i, r)
        json_array_append_new(out, sandbox_filter_project(&f, r));
    call_reply_new(c, out);
    json_decref(page);
    json_decref(fit);
    json_decref(all);
    json_decref(self);
    sandbox_filter_clear(&f);
}

/* A contact without any living relationship goes with its last case. */
static void remove_if_isolated(struct sandbox_call *c, const char *id, int64_t now_ms)
{
    json_t *all = sandbox_db_relations(c->s->db, c->outbreak_id, id), *r, *person;
    size_t i;
    bool is_isolated = true;
    json_array_foreach(all, i, r)
        is_isolated = is_isolated && !is_live(r);
    json_decref(all);
    person = is_isolated ? sandbox_db_get(c->s->db, RECORD_PERSON, id) : NULL;
    if (person && is_live(person) && person_type_of(sandbox_json_get(person, "type")) == PERSON_CONTACT)
        person_remove(c, person, now_ms);
    json_decref(person);
}

void relation_cascade(struct sandbox_call *c, const char *person_id, bool is_delete, int64_t now_ms)
{
    json_t *all = sandbox_db_relations(c->s->db, c->outbreak_id, person_id), *r, *other;
    size_t i;
    json_array_foreach(all, i, r) {
        const char *by = sandbox_json_get(r, "deletedByParent");
        if (is_delete ? !is_live(r) : is_live(r) || !by || strcmp(by, person_id) != 0)
            continue;
        if (is_delete) {
            model_delete(r, now_ms);
            json_object_set_new(r, "deletedByParent", json_string(person_id));
        } else {
            model_restore(r);
            json_object_set_new(r, "deletedByParent", json_null());
        }
        model_stamp(c, r, now_ms);
        sandbox_db_update(c->s->db, RECORD_RELATION, r);
        bool was_source = is_source(r, person_id, &other);
        const char *other_id = sandbox_json_get(other, "id");
        if (is_delete && was_source)
            remove_if_isolated(c, other_id, now_ms);
        recount_and_store(c, other_id, now_ms);
    }
    json_decref(all);
}

/* ---- conversion ---- */

static void retype_relations(struct sandbox_call *c, const char *id, const char *type, int64_t now_ms)
{
    json_t *all = sandbox_db_relations(c->s->db, c->outbreak_id, id), *r, *p;
    size_t i, k;
    json_array_foreach(all, i, r) {
        json_array_foreach(json_object_get(r, "persons"), k, p)
            if (strcmp(sandbox_json_get(p, "id"), id) == 0)
                json_object_set_new(p, "type", json_string(type));
        model_stamp(c, r, now_ms);
        sandbox_db_update(c->s->db, RECORD_RELATION, r);
    }
    json_decref(all);
}

void on_convert(struct sandbox_call *c)
{
    static const struct { const char *suffix; enum person_type to; } targets[] = {
        {"/convert-to-case", PERSON_CASE}, {"/convert-to-contact", PERSON_CONTACT}, {"/convert-to-contact-of-contact", PERSON_COC},
    };
    static const char *const was[PERSON_TYPES] = {"wasCase", "wasContact", "wasContactOfContact", "wasEvent"};
    enum person_type to = PERSON_CASE;
    int64_t now = sandbox_now_ms();
    json_t *doc = person_of_call(c, c->id[0]);
    if (!doc)
        return;
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(targets[i].suffix);
        if (c->req->path.n > n && span_is(span_from(c->req->path, c->req->path.n - n), targets[i].suffix))
            to = targets[i].to;
    }
    if (to == c->ptype || c->ptype == PERSON_EVENT) {
        call_fail_internal(c, json_pack("{ssss}", "message", "This person cannot be converted", "name", "Error"));
        json_decref(doc);
        return;
    }
    json_object_set_new(doc, "type", json_string(person_kinds[to].type));
    json_object_set_new(doc, was[c->ptype], json_true());
    if (to == PERSON_CASE) {
        json_object_set_new(doc, "dateBecomeCase", sandbox_date_json(now - now % DAY_MS));
        if (!sandbox_json_get(doc, "classification"))
            json_object_set_new(doc, "classification", json_string(REFDATA("CASE_CLASSIFICATION_SUSPECT")));
    } else if (to == PERSON_CONTACT) {
        json_object_set_new(doc, "dateBecomeContact", sandbox_date_json(now - now % DAY_MS));
    }
    json_t *keys = json_object_get(doc, "duplicateKeys");
    if (json_array_size(json_object_get(keys, "document")) == 0)
        json_object_del(keys, "document");
    model_stamp(c, doc, now);
    sandbox_db_update(c->s->db, RECORD_PERSON, doc);
    lab_retype(c, c->id[0], person_kinds[to].type, now);
    retype_relations(c, c->id[0], person_kinds[to].type, now);
    person_dress(c, NULL, doc);
    call_reply_new(c, doc);
}

/* ---- duplicates ---- */

void on_duplicates_find(struct sandbox_call *c)
{
    json_t *candidate = json_is_object(c->body) ? json_copy(c->body) : json_object(), *keys = json_array(), *list, *v, *out = json_array();
    const char *kind, *own = sandbox_json_get(c->body, "id");
    size_t i;
    person_duplicate_keys(candidate);
    json_object_foreach(json_object_get(candidate, "duplicateKeys"), kind, list)
        json_array_extend(keys, list);
    json_t *ids = sandbox_db_duplicates(c->s->db, c->outbreak_id, keys);
    json_array_foreach(ids, i, v) {
        const char *id = json_string_value(v);
        json_t *doc = sandbox_db_get(c->s->db, RECORD_PERSON, id);
        if (doc && is_live(doc) && person_type_of(sandbox_json_get(doc, "type")) == (int)c->ptype && (!own || strcmp(own, id) != 0))
            json_array_append(out, doc);
        json_decref(doc);
    }
    call_reply_new(c, json_pack("{so}", "duplicates", out));
    json_decref(ids);
    json_decref(keys);
    json_decref(candidate);
}
