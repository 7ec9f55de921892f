/*
 * NAME
 *   sandbox_model - LoopBack's typed properties
 *
 *   Nothing but dates is validated: strings are String(x), booleans and numbers are cast, unknown properties are kept. An invalid
 *   date answers 422 naming every such field. null stays null for every type.
 *
 * DIAGNOSTICS
 *   422 ValidationError through the call.
 */
#include <stdlib.h>
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"

/* JavaScript truth. */
static bool is_truthy(const json_t *v)
{
    if (json_is_string(v))
        return json_string_length(v) > 0;
    return json_is_true(v) || json_is_array(v) || json_is_object(v) || (json_is_number(v) && json_number_value(v) != 0);
}

static json_t *cast_number(const json_t *v)
{
    double d = 0;
    if (json_is_number(v))
        return json_incref((json_t *)(uintptr_t)v);
    if (json_is_boolean(v))
        return json_integer(json_is_true(v));
    if (json_is_string(v) && sandbox_json_parse_float(json_string_value(v), &d))
        return json_real(d);
    return json_null();                                 /* NaN */
}

/* New reference; NULL: an invalid date. */
static json_t *cast(enum property_type type, json_t *v)
{
    int64_t ms;
    if (json_is_null(v))
        return json_incref(v);
    switch (type) {
    case PROPERTY_STRING:
        if (json_is_string(v))
            return json_incref(v);
        char *text = sandbox_json_to_string(v);
        json_t *out = json_string(text);
        free(text);
        return out;
    case PROPERTY_DATE:
        return sandbox_date_of(v, &ms) ? sandbox_date_json(ms) : NULL;
    case PROPERTY_BOOLEAN:
        return json_boolean(is_truthy(v));
    case PROPERTY_NUMBER:
        return cast_number(v);
    case PROPERTY_ANY:
        break;
    }
    return json_incref(v);
}

static bool is_listed(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static void fail_dates(struct sandbox_call *c, const char *model, const json_t *bad)
{
    json_t *codes = json_object(), *messages = json_object(), *name;
    struct buf text;
    size_t i;
    buf_init(&text, 4096);
    json_array_foreach(bad, i, name) {
        const char *field = json_string_value(name);
        buf_addf(&text, "%s`%s` is not a valid date (value: Invalid Date)", i ? "; " : "", field);
        json_object_set_new(codes, field, json_pack("[s]", "date"));
        json_object_set_new(messages, field, json_pack("[s]", "is not a valid date"));
    }
    call_fail(c, 422, "ValidationError", NULL, json_pack("{sssoso}", "context", model, "codes", codes, "messages", messages),
              "The `%s` instance is not valid. Details: %s.", model, text.p);
    buf_clear(&text);
}

int model_assign(struct sandbox_call *c, const char *model, const struct property *properties, size_t n, const char *const *skip, const json_t *body,
    json_t *doc)
{
    json_t *bad = json_array(), *v;
    const char *key;
    for (size_t i = 0; i < n; i++) {
        v = json_object_get(body, properties[i].name);
        if (!v || is_listed(skip, properties[i].name))
            continue;
        json_t *out = cast(properties[i].type, v);
        if (out)
            json_object_set_new(doc, properties[i].name, out);
        else
            json_array_append_new(bad, json_string(properties[i].name));
    }
    json_object_foreach((json_t *)(uintptr_t)body, key, v) {
        bool is_known = is_listed(skip, key);
        for (size_t i = 0; i < n && !is_known; i++)
            is_known = strcmp(properties[i].name, key) == 0;
        if (!is_known && key[0] != '_')
            json_object_set(doc, key, v);
    }
    bool is_bad = json_array_size(bad) > 0;
    if (is_bad)
        fail_dates(c, model, bad);
    json_decref(bad);
    return is_bad ? -1 : 0;
}

void model_stamp_new(struct sandbox_call *c, json_t *doc, int64_t now_ms)
{
    struct span platform = c->req ? sandbox_request_header(c->req, "platform") : SPAN_ABSENT;
    json_t *now = sandbox_date_json(now_ms);
    json_object_set(doc, "createdAt", now);
    json_object_set_new(doc, "createdBy", json_string(c->actor));
    json_object_set(doc, "updatedAt", now);
    json_object_set_new(doc, "updatedBy", json_string(c->actor));
    json_object_set(doc, "dbUpdatedAt", now);
    json_object_set_new(doc, "createdOn", span_has(platform) ? json_stringn(platform.p, platform.n) : json_string("API"));
    json_object_set_new(doc, "deleted", json_false());
    json_decref(now);
}

void model_stamp(struct sandbox_call *c, json_t *doc, int64_t now_ms)
{
    json_object_set_new(doc, "updatedAt", sandbox_date_json(now_ms));
    json_object_set_new(doc, "updatedBy", json_string(c->actor));
    json_object_set_new(doc, "dbUpdatedAt", sandbox_date_json(now_ms));
}

void model_delete(json_t *doc, int64_t now_ms)
{
    json_object_set_new(doc, "deleted", json_true());
    json_object_set_new(doc, "deletedAt", sandbox_date_json(now_ms));
}

void model_restore(json_t *doc)
{
    json_object_set_new(doc, "deleted", json_false());
    json_object_set_new(doc, "deletedAt", json_null());
}

/* The value as a date when it looks like one; NULL otherwise. */
static json_t *date_of_look(const json_t *v)
{
    int64_t ms;
    struct span s = span_make(json_string_value(v), json_string_length(v));
    return json_is_string(v) && sandbox_date_looks(s) && sandbox_date_parse(s, &ms) ? sandbox_date_json(ms) : NULL;
}

void model_convert_dates(json_t *v)
{
    const char *key;
    json_t *item, *date;
    void *tmp;
    size_t i;
    json_object_foreach_safe(v, tmp, key, item) {
        model_convert_dates(item);
        if ((date = date_of_look(item)))
            json_object_set_new(v, key, date);
    }
    json_array_foreach(v, i, item) {
        model_convert_dates(item);
        if ((date = date_of_look(item)))
            json_array_set_new(v, i, date);
    }
}

void model_cast_date(json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    int64_t ms;
    if (v && !json_is_null(v))
        json_object_set_new(object, key, sandbox_date_of(v, &ms) ? sandbox_date_json(ms) : json_null());
}
