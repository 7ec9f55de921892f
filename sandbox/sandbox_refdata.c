/*
 * NAME
 *   sandbox_refdata - reference data and locations
 *
 *   The id of a created item is its category and the label in UPPER_SNAKE. Codes are unique among living items; that breach comes
 *   as MongoDB's 11000, a repeated label as 409.
 *
 * DIAGNOSTICS
 *   409 MODEL_CONFLICT, 422 for an unknown category, 500 code 11000.
 */
#include <ctype.h>
#include <string.h>

#include "sandbox_codes.h"
#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"

#define SHIPPED "2018-01-01T01:00:00.000Z"

static const struct property refdata_properties[] = {
    {"categoryId", PROPERTY_STRING}, {"value", PROPERTY_STRING}, {"description", PROPERTY_STRING}, {"code", PROPERTY_STRING}, {"readOnly", PROPERTY_BOOLEAN},
    {"active", PROPERTY_BOOLEAN}, {"colorCode", PROPERTY_STRING}, {"iconId", PROPERTY_STRING}, {"order", PROPERTY_NUMBER}, {"isSystemWide", PROPERTY_BOOLEAN},
};
static const char *const read_only[] = {"id", "createdAt", "createdBy", "updatedAt", "updatedBy", "dbUpdatedAt", "createdOn", "deleted", "deletedAt",
    "isDefaultReferenceData", NULL};
static const char *const read_only_put[] = {"id", "categoryId", "value", "description", "createdAt", "createdBy", "updatedAt", "updatedBy",
    "dbUpdatedAt", "createdOn", "deleted", "deletedAt", "isDefaultReferenceData", NULL};

static void seed_item(struct sandbox *s, const char *category, struct span word, int order)
{
    bool is_read_only = false, is_default = true;
    for (; word.n && (word.p[word.n - 1] == '!' || word.p[word.n - 1] == '?'); word.n--) {
        is_read_only = is_read_only || word.p[word.n - 1] == '!';
        is_default = is_default && word.p[word.n - 1] != '?';
    }
    size_t eq = span_find(word, '=');
    json_t *id = json_sprintf("%s_%.*s", category, (int)eq, word.p), *item = json_object(), *now = sandbox_date_json(s->started_ms);
    json_object_set_new(item, "categoryId", json_string(category));
    json_object_set(item, "value", id);
    json_object_set_new(item, "description", json_sprintf("%s_DESCRIPTION", json_string_value(id)));
    if (eq < word.n)
        json_object_set_new(item, "code", json_stringn(word.p + eq + 1, word.n - eq - 1));
    json_object_update_new(item, json_pack("{sbsbsi}", "readOnly", is_read_only, "active", 1, "order", order));
    if (is_default)
        json_object_set_new(item, "isDefaultReferenceData", json_true());
    json_object_set(item, "id", id);
    json_object_update_new(item, json_pack("{sssssssssOsssb}", "createdAt", SHIPPED, "createdBy", "system", "updatedAt", SHIPPED, "updatedBy",
        "system", "dbUpdatedAt", now, "createdOn", "API", "deleted", 0));
    (void)sandbox_db_insert(s->db, RECORD_REFDATA, item);
    json_decref(item);
    json_decref(id);
    json_decref(now);
}

void refdata_seed(struct sandbox *s)
{
    for (size_t i = 0; i < sandbox_categories_n; i++) {
        struct span rest = span_of(sandbox_categories[i].items), word;
        for (int order = 1; span_has(rest) && span_next(&rest, ' ', &word); order++)
            seed_item(s, sandbox_categories[i].id, word, order);
    }
}

void on_refdata_categories(struct sandbox_call *c)
{
    json_t *out = json_array();
    for (size_t i = 0; i < sandbox_categories_n; i++) {
        const char *id = sandbox_categories[i].id;
        json_array_append_new(out, json_pack("{ssssss+}", "id", id, "name", id, "description", id, "_DESCRIPTION"));
    }
    call_reply_new(c, out);
}

static void find(struct sandbox_call *c, bool is_count)
{
    struct sandbox_filter f;
    if ((is_count && c->where ? call_where(c, false, &f) : call_filter(c, false, &f)))
        return;
    struct sandbox_query q = {.kind = RECORD_REFDATA, .filter = &f};
    if (is_count)
        call_reply_count(c, sandbox_db_count(c->s->db, &q));
    else
        call_reply_find(c, &q, "id", NULL);
    sandbox_filter_clear(&f);
}

void on_refdata_list(struct sandbox_call *c) { find(c, false); }
void on_refdata_count(struct sandbox_call *c) { find(c, true); }

/* The living item of the path; NULL: answered. New reference. */
static json_t *item_of_path(struct sandbox_call *c)
{
    json_t *item = sandbox_db_get(c->s->db, RECORD_REFDATA, c->id[0]);
    if (item && !json_is_true(json_object_get(item, "deleted")))
        return item;
    json_decref(item);
    call_fail(c, 404, NULL, "MODEL_NOT_FOUND", NULL, "Unknown \"referenceData\" id \"%s\".", c->id[0]);
    return NULL;
}

void on_refdata_get(struct sandbox_call *c)
{
    json_t *item = item_of_path(c);
    if (item)
        call_reply_new(c, item);
}

/* "Central Lab Testville" -> CENTRAL_LAB_TESTVILLE: words break at other characters, between letters and digits, before capitals. */
static void add_snake(struct buf *b, const char *label)
{
    char last = '\0';
    for (const char *p = label; *p; p++) {
        bool is_word = isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80;
        bool turns_digit = (isdigit((unsigned char)*p) != 0) != (isdigit((unsigned char)last) != 0);
        bool breaks = last && is_word && (turns_digit || (isupper((unsigned char)*p) && islower((unsigned char)last)));
        if (is_word && (breaks || (last == '\0' && b->n > 0 && b->p[b->n - 1] != '_')))
            buf_addc(b, '_');
        if (is_word)
            buf_addc(b, (char)toupper((unsigned char)*p));
        last = is_word ? *p : '\0';
    }
}

static bool is_category(const char *id)
{
    for (size_t i = 0; id && i < sandbox_categories_n; i++)
        if (strcmp(id, sandbox_categories[i].id) == 0)
            return true;
    return false;
}

/* Is the code taken by another living item? */
static bool code_taken(struct sandbox_call *c, const char *code, const char *own_id)
{
    struct sandbox_filter f = {0};
    struct err e = ERR_INIT;
    json_t *where = json_pack("{sss{ss}}", "code", code, "id", "neq", own_id);
    (void)sandbox_cond_new(&f.where, where, false, &e);
    struct sandbox_query q = {.kind = RECORD_REFDATA, .filter = &f};
    bool taken = sandbox_db_count(c->s->db, &q) > 0;
    sandbox_filter_clear(&f);
    json_decref(where);
    return taken;
}

static void fail_code(struct sandbox_call *c, const char *code)
{
    json_t *text = json_sprintf("E11000 duplicate key error collection: go-data.referenceData index: code_1 dup key: { code: \"%s\" }", code);
    call_fail_internal(c, json_pack("{sisoss}", "code", 11000, "message", text, "name", "MongoError"));
}

json_t *refdata_create(struct sandbox_call *c, const json_t *body)
{
    const char *category = sandbox_json_get(body, "categoryId"), *value = sandbox_json_get(body, "value"), *code;
    struct buf id;
    if (!is_category(category) || !value || !*value) {
        const char *field = is_category(category) ? "value" : "categoryId", *why = is_category(category) ? "presence" : "inclusion";
        const char *text = is_category(category) ? "can't be blank" : "is not included in the list";
        call_fail(c, 422, "ValidationError", NULL, json_pack("{sss{s[s]}s{s[s]}}", "context", "referenceData", "codes", field, why, "messages", field, text),
                  "The `referenceData` instance is not valid. Details: `%s` %s.", field, text);
        return NULL;
    }
    json_t *doc = json_object();
    buf_init(&id, 4096);
    buf_addf(&id, "%s_", category);
    add_snake(&id, value);
    if (model_assign(c, "referenceData", refdata_properties, sizeof refdata_properties / sizeof refdata_properties[0], read_only, body, doc))
        goto refused;
    json_object_set_new(doc, "value", json_string(id.p));
    if (json_object_get(doc, "description"))
        json_object_set_new(doc, "description", json_sprintf("%s_DESCRIPTION", id.p));
    if (!json_object_get(doc, "readOnly"))
        json_object_set_new(doc, "readOnly", json_false());
    if (!json_object_get(doc, "active"))
        json_object_set_new(doc, "active", json_true());
    json_object_set_new(doc, "id", json_string(id.p));
    model_stamp_new(c, doc, sandbox_now_ms());
    code = sandbox_json_get(doc, "code");
    if (code && code_taken(c, code, id.p)) {
        fail_code(c, code);
        goto refused;
    }
    if (sandbox_db_insert(c->s->db, RECORD_REFDATA, doc)) {
        call_fail(c, 409, NULL, "MODEL_CONFLICT", json_pack("{ssss}", "model", "languageToken", "id", id.p),
            "Another `languageToken` with the same identity (%s) already exists.", id.p);
        goto refused;
    }
    buf_clear(&id);
    return doc;
refused:
    buf_clear(&id);
    json_decref(doc);
    return NULL;
}

void on_refdata_create(struct sandbox_call *c)
{
    json_t *doc = refdata_create(c, c->body);
    if (doc)
        call_reply_new(c, doc);
}

void on_refdata_update(struct sandbox_call *c)
{
    json_t *doc = item_of_path(c);
    const char *code;
    if (!doc)
        return;
    if (model_assign(c, "referenceData", refdata_properties, sizeof refdata_properties / sizeof refdata_properties[0], read_only_put, c->body, doc) == 0) {
        code = sandbox_json_get(doc, "code");
        if (code && code_taken(c, code, c->id[0])) {
            fail_code(c, code);
        } else {
            model_stamp(c, doc, sandbox_now_ms());
            sandbox_db_update(c->s->db, RECORD_REFDATA, doc);
            call_reply_json(c, 200, doc);
        }
    }
    json_decref(doc);
}

void on_refdata_delete(struct sandbox_call *c)
{
    json_t *doc = item_of_path(c);
    int64_t now = sandbox_now_ms();
    if (!doc)
        return;
    if (json_is_true(json_object_get(doc, "readOnly"))) {
        call_fail(c, 422, NULL, "MODEL_NOT_EDITABLE", json_pack("{ssss}", "model", "referenceData", "id", c->id[0]),
            "Instance of `referenceData` with id `%s` is not editable", c->id[0]);
    } else {
        model_stamp(c, doc, now);
        model_delete(doc, now);
        json_object_set_new(doc, "code", json_null());
        sandbox_db_update(c->s->db, RECORD_REFDATA, doc);
        call_reply_json(c, 204, NULL);
    }
    json_decref(doc);
}

/* ---- locations: from the seed, read only ---- */

json_t *location_create(struct sandbox_call *c, const json_t *body)
{
    char id[SANDBOX_ID_SIZE];
    json_t *doc = json_object();
    sandbox_uuid(id);
    json_object_update_new(doc, json_pack("{sss[]s[]sb}", "id", id, "synonyms", "identifiers", "active", 1));
    model_stamp_new(c, doc, sandbox_now_ms());
    json_object_update(doc, (json_t *)(uintptr_t)body);
    if (json_is_object(body) && sandbox_json_get(doc, "name") && sandbox_db_insert(c->s->db, RECORD_LOCATION, doc) == 0)
        return doc;
    json_decref(doc);
    return NULL;
}

static void find_locations(struct sandbox_call *c, bool is_count)
{
    struct sandbox_filter f;
    if (is_count && c->where ? call_where(c, false, &f) : call_filter(c, false, &f))
        return;
    struct sandbox_query q = {.kind = RECORD_LOCATION, .filter = &f};
    if (is_count)
        call_reply_count(c, sandbox_db_count(c->s->db, &q));
    else
        call_reply_find(c, &q, "id", NULL);
    sandbox_filter_clear(&f);
}

void on_locations_list(struct sandbox_call *c) { find_locations(c, false); }
void on_locations_count(struct sandbox_call *c) { find_locations(c, true); }

void on_location_get(struct sandbox_call *c)
{
    json_t *doc = sandbox_db_get(c->s->db, RECORD_LOCATION, c->id[0]);
    if (doc)
        call_reply_new(c, doc);
    else
        call_fail(c, 404, NULL, "MODEL_NOT_FOUND", NULL, "Unknown \"location\" id \"%s\".", c->id[0]);
}
