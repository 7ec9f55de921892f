/*
 * NAME
 *   sandbox_route - from a request to its handler, in the order in which the real server looks at it
 *
 *   token (expired: 401, unknown Bearer: no answer), body (413, 400), route (404), filter (400), transaction id, authorisation
 *   (401, 403), handler, Accept (406 when all is done). Patterns: `:o` outbreak, `:t` person collection, `:p` person collection
 *   that has lab results, `:1` an id; `%` in a permission is the collection's group (case, contact, ...).
 *
 * DIAGNOSTICS
 *   Answers through sandbox_answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

enum route_flag {
    ROUTE_PUBLIC = 1,                   /* no token needed */
    ROUTE_FREE = 2,                     /* any user, no outbreak rules */
    ROUTE_BARE = 4,                     /* not under /api */
    ROUTE_LAB_POST = 8,                 /* faults apply */
    ROUTE_NO_COC = 16,                  /* nobody may: contacts of contacts get no lab results */
    ROUTE_UPLOAD = 32                   /* the body is not parsed */
};

struct sandbox_route {
    const char *method, *pattern, *permissions;
    unsigned flags;
    handler_fn *handler;
};

#define LAB_PERMISSION(verb) "%_" verb "_lab_result"

static const struct sandbox_route routes[] = {
    {"GET", "/status", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_status},
    {"POST", "/sandbox/faults", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_faults},
    {"GET", "/sandbox/faults", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_faults},
    {"POST", "/sandbox/inject", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_inject},
    {"GET", "/sandbox/stats", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_stats},
    {"POST", "/sandbox/reset-stats", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_stats_reset},
    {"POST", "/sandbox/clock", NULL, ROUTE_PUBLIC | ROUTE_BARE, on_clock},
    {"GET", "/system-settings/version", NULL, ROUTE_PUBLIC, on_version},
    {"POST", "/users/login", NULL, ROUTE_PUBLIC, on_login},
    {"POST", "/oauth/token", NULL, ROUTE_PUBLIC, on_oauth_token},
    {"POST", "/oauth/two-factor-authentication-step-2", NULL, ROUTE_PUBLIC, on_two_factor},
    {"POST", "/users/two-factor-authentication-step-2", NULL, ROUTE_PUBLIC, on_two_factor},
    {"POST", "/users/logout", NULL, ROUTE_FREE, on_logout},
    {"GET", "/users", "user_list", ROUTE_FREE, on_users_list},
    {"GET", "/users/:1", NULL, ROUTE_FREE, on_user_get},
    {"PATCH", "/users/:1", NULL, ROUTE_FREE, on_user_patch},
    {"PUT", "/users/:1", NULL, ROUTE_FREE, on_user_patch},
    {"GET", "/roles", NULL, ROUTE_FREE, on_roles_list},
    {"GET", "/locations", NULL, ROUTE_FREE, on_locations_list},
    {"GET", "/locations/count", NULL, ROUTE_FREE, on_locations_count},
    {"GET", "/locations/:1", NULL, ROUTE_FREE, on_location_get},
    {"GET", "/reference-data", NULL, ROUTE_FREE, on_refdata_list},
    {"GET", "/reference-data/count", NULL, ROUTE_FREE, on_refdata_count},
    {"GET", "/reference-data/available-categories", NULL, ROUTE_FREE, on_refdata_categories},
    {"POST", "/reference-data", "reference_data_create_category_item", ROUTE_FREE, on_refdata_create},
    {"GET", "/reference-data/:1", NULL, ROUTE_FREE, on_refdata_get},
    {"PATCH", "/reference-data/:1", "reference_data_modify_category_item", ROUTE_FREE, on_refdata_update},
    {"PUT", "/reference-data/:1", "reference_data_modify_category_item", ROUTE_FREE, on_refdata_update},
    {"DELETE", "/reference-data/:1", "reference_data_delete_category_item", ROUTE_FREE, on_refdata_delete},
    {"GET", "/outbreaks", NULL, ROUTE_FREE, on_outbreaks_list},
    {"GET", "/outbreaks/count", NULL, ROUTE_FREE, on_outbreaks_count},
    {"GET", "/outbreaks/:o", "outbreak_view", 0, on_outbreak_get},
    {"GET", "/outbreaks/:o/people", "case_list, contact_list, event_list, contact_of_contact_list", 0, on_people_find},
    {"GET", "/outbreaks/:o/people/count", "case_list, contact_list, event_list, contact_of_contact_list", 0, on_people_count},
    {"GET", "/outbreaks/:o/people/filtered-count", "case_list, contact_list, event_list, contact_of_contact_list", 0, on_people_count},
    {"POST", "/outbreaks/:o/attachments", NULL, ROUTE_FREE | ROUTE_UPLOAD, on_attachment_create},
    {"GET", "/outbreaks/:o/attachments/:1", NULL, ROUTE_FREE, on_attachment_get},
    {"GET", "/outbreaks/:o/attachments/:1/download", NULL, ROUTE_FREE, on_attachment_download},
    {"DELETE", "/outbreaks/:o/attachments/:1", NULL, ROUTE_FREE, on_attachment_delete},
    {"GET", "/outbreaks/:o/lab-results/aggregate", "lab_result_list", 0, on_labs_aggregate},
    {"GET", "/outbreaks/:o/lab-results/aggregate-filtered-count", "lab_result_list", 0, on_labs_aggregate_count},
    {"GET", "/outbreaks/:o/lab-results/filtered-count", "lab_result_list", 0, on_labs_aggregate_count},
    {"PUT", "/outbreaks/:o/lab-results/bulk", "lab_result_bulk_modify", 0, on_labs_bulk},
    {"GET", "/outbreaks/:o/lab-results/:1", "lab_result_view", 0, on_outbreak_lab_get},
    {"PUT", "/outbreaks/:o/lab-results/:1", "lab_result_modify", 0, on_outbreak_lab_update},
    {"DELETE", "/outbreaks/:o/lab-results/:1", "lab_result_delete", 0, on_outbreak_lab_delete},
    {"GET", "/outbreaks/:o/:t", "%_list", 0, on_persons_find},
    {"POST", "/outbreaks/:o/:t/filter", "%_list", 0, on_persons_find},
    {"GET", "/outbreaks/:o/cases/count", "case_list", 0, on_persons_count},
    {"GET", "/outbreaks/:o/:t/filtered-count", "%_list", 0, on_persons_filtered_count},
    {"POST", "/outbreaks/:o/:t/filtered-count", "%_list", 0, on_persons_filtered_count},
    {"POST", "/outbreaks/:o/:t", "%_create", 0, on_person_create},
    {"POST", "/outbreaks/:o/:t/generate-visual-id", "%_generate_visual_id", 0, on_visual_id},
    {"POST", "/outbreaks/:o/:t/duplicates/find", "%_list", 0, on_duplicates_find},
    {"GET", "/outbreaks/:o/:t/:1", "%_view", 0, on_person_get},
    {"PUT", "/outbreaks/:o/:t/:1", "%_modify", 0, on_person_update},
    {"DELETE", "/outbreaks/:o/:t/:1", "%_delete", 0, on_person_delete},
    {"POST", "/outbreaks/:o/:t/:1/restore", "%_restore", 0, on_person_restore},
    {"POST", "/outbreaks/:o/:t/:1/convert-to-case", "%_convert_to_case", 0, on_convert},
    {"POST", "/outbreaks/:o/:t/:1/convert-to-contact", "%_convert_to_contact", 0, on_convert},
    {"POST", "/outbreaks/:o/:t/:1/convert-to-contact-of-contact", "%_convert_to_contact_of_contact", 0, on_convert},
    {"POST", "/outbreaks/:o/:t/:1/relationships", "relationship_create", 0, on_relationship_create},
    {"GET", "/outbreaks/:o/:t/:1/relationships", "relationship_list", 0, on_relationships_list},
    {"GET", "/outbreaks/:o/:p/:1/lab-results", LAB_PERMISSION("list"), 0, on_labs_list},
    {"POST", "/outbreaks/:o/:p/:1/lab-results", LAB_PERMISSION("create"), ROUTE_LAB_POST | ROUTE_NO_COC, on_lab_create},
    {"GET", "/outbreaks/:o/:p/:1/lab-results/count", LAB_PERMISSION("list"), 0, on_labs_count},
    {"GET", "/outbreaks/:o/:p/:1/lab-results/filtered-count", "lab_result_list", 0, on_labs_filtered_count},
    {"GET", "/outbreaks/:o/:p/:1/lab-results/:2", LAB_PERMISSION("view"), 0, on_lab_get},
    {"PUT", "/outbreaks/:o/:p/:1/lab-results/:2", LAB_PERMISSION("modify"), 0, on_lab_update},
    {"DELETE", "/outbreaks/:o/:p/:1/lab-results/:2", LAB_PERMISSION("delete"), 0, on_lab_delete},
    {"POST", "/outbreaks/:o/:p/:1/lab-results/:2/restore", LAB_PERMISSION("restore"), 0, on_lab_restore},
};

#define ROUTES_N (sizeof routes / sizeof routes[0])

const struct person_kind person_kinds[PERSON_TYPES] = {
    [PERSON_CASE] = {"cases", "case", "case", REFDATA("PERSON_TYPE_CASE"), "caseIdMask", "CA-9999999999"},
    [PERSON_CONTACT] = {"contacts", "contact", "contact", REFDATA("PERSON_TYPE_CONTACT"), "contactIdMask", "CO-9999999999"},
    [PERSON_COC] = {"contacts-of-contacts", "contact_of_contact", "contactOfContact", REFDATA("PERSON_TYPE_CONTACT_OF_CONTACT"),
        "contactOfContactIdMask", "CC-9999999999"},
    [PERSON_EVENT] = {"events", "event", "event", REFDATA("PERSON_TYPE_EVENT"), "eventIdMask", "EV-9999999999"},
};

int person_type_of(const char *type_id)
{
    for (int i = 0; type_id && i < PERSON_TYPES; i++)
        if (strcmp(person_kinds[i].type, type_id) == 0)
            return i;
    return -1;
}

size_t sandbox_route_count(void) { return ROUTES_N; }
const char *sandbox_route_name(size_t i) { return routes[i].pattern; }
const char *sandbox_route_method(size_t i) { return routes[i].method; }

const struct sandbox_route *sandbox_route_find(const char *method_and_pattern)
{
    for (size_t i = 0; i < ROUTES_N; i++) {
        size_t n = strlen(routes[i].method);
        if (strncmp(method_and_pattern, routes[i].method, n) == 0 && method_and_pattern[n] == ' ' && strcmp(method_and_pattern + n + 1, routes[i].pattern) == 0)
            return &routes[i];
    }
    return NULL;
}

/* Adds a permission, for each group where it holds a %. */
static void add_permission(json_t *names, struct span permission)
{
    size_t mark = span_find(permission, '%');
    for (int t = 0; t < (mark < permission.n ? PERSON_TYPES : 1); t++) {
        struct span rest = span_from(permission, mark + 1);
        json_t *name = mark < permission.n ? json_sprintf("%s%.*s", person_kinds[t].group, SPAN_ARG(rest)) : json_stringn(permission.p, permission.n);
        json_object_set_new(names, json_string_value(name), json_true());
        json_decref(name);
    }
}

json_t *sandbox_route_permissions(void)
{
    json_t *names = json_object(), *out = json_array(), *unused;
    const char *name;
    struct span word;
    add_permission(names, SPAN_LIT("user_modify_own_account"));
    for (size_t i = 0; i < ROUTES_N; i++) {
        struct span rest = span_of(routes[i].permissions);
        while (span_has(rest) && span_next(&rest, ',', &word))
            add_permission(names, span_trim(word));
    }
    json_object_foreach(names, name, unused)
        json_array_append_new(out, json_string(name));
    json_decref(names);
    return out;
}

/* ---- filters ---- */

static int filter_failed(struct sandbox_call *c, const struct err *e)
{
    if (e->kind == ERR_INPUT)
        call_fail(c, 400, NULL, NULL, NULL, "%s", e->text);
    else
        call_fail_internal(c, json_pack("{ssss}", "message", e->text, "name", e->where));
    return -1;
}

int call_filter(struct sandbox_call *c, bool is_rewritten, struct sandbox_filter *out)
{
    struct err e = ERR_INIT;
    return sandbox_filter_init(out, c->filter, is_rewritten, &e) ? filter_failed(c, &e) : 0;
}

int call_where(struct sandbox_call *c, bool is_rewritten, struct sandbox_filter *out)
{
    struct err e = ERR_INIT;
    *out = (struct sandbox_filter){0};
    return sandbox_cond_new(&out->where, c->where, is_rewritten, &e) ? filter_failed(c, &e) : 0;
}

void call_reply_find(struct sandbox_call *c, struct sandbox_query *q, const char *default_order, dress_fn *dress)
{
    json_t *found = sandbox_db_find(c->s->db, q), *page = sandbox_filter_page(q->filter, found, default_order), *out = json_array(), *doc;
    size_t i;
    json_array_foreach(page, i, doc) {
        if (dress)
            dress(c, q->filter, doc);
        json_array_append_new(out, sandbox_filter_project(q->filter, doc));
    }
    call_reply_new(c, out);
    json_decref(page);
    json_decref(found);
}

/* ---- arguments ---- */

static char *url_decode(struct span s, bool plus_is_blank)
{
    char *out = xmalloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned byte;
        char hex[3] = {0};
        if (s.p[i] == '%' && i + 2 < s.n) {
            hex[0] = s.p[i + 1];
            hex[1] = s.p[i + 2];
            if (strspn(hex, "0123456789abcdefABCDEF") == 2 && sscanf(hex, "%x", &byte) == 1) {
                out[n++] = (char)byte;
                i += 2;
                continue;
            }
        }
        out[n++] = s.p[i] == '+' && plus_is_blank ? ' ' : s.p[i];
    }
    out[n] = '\0';
    return out;
}

/* filter[where][visualId]=X becomes nested objects, as the qs library does. */
static void set_nested(json_t *into, const char *name, const char *value)
{
    const char *open = strchr(name, '[');
    char *key = open && open != name ? xstrndup(name, (size_t)(open - name)) : xstrdup(name);
    while (open && open != name) {
        const char *close = strchr(open, ']');
        json_t *next = json_object_get(into, key);
        if (!close)
            break;
        if (!json_is_object(next)) {
            next = json_object();
            json_object_set_new(into, key, next);
        }
        into = next;
        free(key);
        key = xstrndup(open + 1, (size_t)(close - open) - 1);
        open = close[1] == '[' ? close + 1 : NULL;
    }
    json_t *text = json_string(value);
    json_object_set_new(into, key, text ? text : json_string(""));
    free(key);
}

static void read_args(json_t *into, struct span text)
{
    struct span pair;
    while (span_next(&text, '&', &pair)) {
        size_t eq = span_find(pair, '=');
        char *name = url_decode(span_cut(pair, 0, eq), true), *value = url_decode(span_from(pair, eq + 1), true);
        if (*name)
            set_nested(into, name, value);
        free(name);
        free(value);
    }
}

/* filter and where must be objects when given. -1: answered. */
static int read_filter(struct sandbox_call *c, const char *name, json_t **out)
{
    json_t *v = json_object_get(c->args, name);
    if (!v || (json_is_string(v) && json_string_length(v) == 0))
        return 0;
    if (json_is_string(v)) {
        bool at_end;
        size_t at;
        *out = sandbox_json_parse(span_make(json_string_value(v), json_string_length(v)), &at_end, &at);
    } else {
        *out = json_incref(v);
    }
    if (json_is_object(*out) || json_is_array(*out))
        return 0;
    call_fail(c, 400, NULL, NULL, NULL, "Value is not an object.");
    return -1;
}

static bool media_type_is(const struct sandbox_request *r, const char *type)
{
    struct span t = sandbox_request_header(r, "Content-Type");
    return span_is_nocase(span_trim(span_cut(t, 0, span_find(t, ';'))), type);
}

/* -1: answered. What is neither JSON nor a form is ignored: an empty body. */
static int read_body(struct sandbox_call *c)
{
    const struct sandbox_request *r = c->req;
    bool is_json = media_type_is(r, "application/json"), at_end;
    size_t at = 0;
    struct span text = span_trim(r->body);
    c->body = json_object();
    if (is_json || media_type_is(r, "application/x-www-form-urlencoded")) {
        if (r->body.n > SANDBOX_BODY_MAX) {
            call_fail(c, 413, "PayloadTooLargeError", NULL, NULL, "request entity too large");
            return -1;
        }
        if (!is_json)
            read_args(c->body, r->body);
    }
    if (!is_json || r->body.n == 0)
        return 0;
    /* body-parser is strict: an object or an array at the top */
    bool is_strict = !span_has(text) || text.p[0] == '{' || text.p[0] == '[';
    json_t *v = is_strict ? sandbox_json_parse(text, &at_end, &at) : NULL;
    if (v) {
        json_decref(c->body);
        c->body = v;
        return 0;
    }
    if (is_strict && (at_end || !span_has(text)))
        call_fail(c, 400, "SyntaxError", NULL, NULL, "Unexpected end of JSON input");
    else
        call_fail(c, 400, "SyntaxError", NULL, NULL, "Unexpected token %.*s in JSON at position %zu", at < text.n ? 1 : 0, text.p + (at < text.n ? at : 0), at);
    return -1;
}

/* ---- routing ---- */

static bool take_id(char **to, struct span segment)
{
    free(*to);
    *to = url_decode(segment, false);
    return **to != '\0';
}

static bool match_segment(struct sandbox_call *c, const struct sandbox_route *r, struct span want, struct span have)
{
    (void)r;
    if (want.n != 2 || want.p[0] != ':')
        return span_eq(want, have);
    switch (want.p[1]) {
    case 'o':
        return take_id(&c->outbreak_id, have);
    case 't': case 'p':
        for (int i = 0; i < PERSON_TYPES; i++)
            if (span_is(have, person_kinds[i].route)) {
                c->ptype = (enum person_type)i;
                return want.p[1] == 't' || i != PERSON_EVENT;
            }
        return false;
    default:
        return take_id(&c->id[want.p[1] - '1'], have);
    }
}

static bool match_pattern(struct sandbox_call *c, const struct sandbox_route *r, struct span path)
{
    struct span pattern = span_of(r->pattern), want, have;
    for (;;) {
        bool more_pattern = span_next(&pattern, '/', &want), more_path = span_next(&path, '/', &have);
        if (!more_pattern || !more_path)
            return more_pattern == more_path;
        if (!match_segment(c, r, want, have))
            return false;
    }
}

static const struct sandbox_route *find_route(struct sandbox_call *c, struct span path, bool is_api)
{
    for (size_t i = 0; i < ROUTES_N; i++)
        if (is_api != ((routes[i].flags & ROUTE_BARE) != 0) && span_is(c->req->method, routes[i].method) && match_pattern(c, &routes[i], path))
            return &routes[i];
    return NULL;
}

static void reply_no_route(struct sandbox_call *c, struct span target)
{
    static const struct { const char *base, *name; } shared[] = {
        {"/outbreaks", "outbreak"}, {"/users", "user"}, {"/reference-data", "referenceData"}, {"/locations", "location"},
        {"/system-settings", "systemSettings"},
    };
    const struct sandbox_request *r = c->req;
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        size_t n = strlen(shared[i].base);
        if (!span_starts(target, shared[i].base) || (target.n > n && target.p[n] != '/' && target.p[n] != '?'))
            continue;
        struct span rest = span_from(target, n);
        call_fail(c, 404, NULL, NULL, NULL, "Shared class \"%s\" has no method handling %.*s %s%.*s", shared[i].name, SPAN_ARG(r->method),
                  span_starts(rest, "/") ? "" : "/", SPAN_ARG(rest));
        return;
    }
    call_fail(c, 404, NULL, NULL, NULL, "There is no method to handle %.*s %.*s", SPAN_ARG(r->method), SPAN_ARG(target));
}

/* ---- authorisation ---- */

/* Replaces % by the group of the person collection. */
static void expand_permissions(const struct sandbox_call *c, char *out, size_t size)
{
    const char *p = c->route->permissions, *mark = strchr(p, '%');
    if (mark)
        snprintf(out, size, "%.*s%s%s", (int)(mark - p), p, person_kinds[c->ptype].group, mark + 1);
    else
        snprintf(out, size, "%s", p);
}

static bool has_permission(struct sandbox_call *c)
{
    char all[256], one[96];
    struct span rest, word;
    expand_permissions(c, all, sizeof all);
    rest = span_of(all);
    while (span_next(&rest, ',', &word)) {
        word = span_trim(word);
        snprintf(one, sizeof one, "%.*s", SPAN_ARG(word));
        if (auth_user_may(c->user, one))
            return true;
    }
    call_fail_permission(c, all);
    return false;
}

static bool may_touch_outbreak(struct sandbox_call *c)
{
    static const char not_yours[] = "access denied to the given outbreak; the outbreak is not set as one of the user's accessible outbreaks";
    static const char not_active[] = "access to POST/PUT/DELETE actions on outbreak related data is granted only for the active outbreak";
    const char *active = auth_user_active_outbreak(c->user);
    bool is_hidden = !auth_user_sees(c->user, c->outbreak_id);
    bool is_inactive = !span_is(c->req->method, "GET") && (!active || strcmp(active, c->outbreak_id) != 0);
    char text[320];
    if (!is_hidden && !is_inactive)
        return true;
    snprintf(text, sizeof text, "%s%s%s", is_hidden ? not_yours : "", is_hidden && is_inactive ? ", " : "", is_inactive ? not_active : "");
    call_fail(c, 403, NULL, "ACCESS_DENIED", json_pack("{ss}", "accessErrors", text), "Logged in user doesn't have access this endpoint: %s.", text);
    return false;
}

/* 401, 403, 404: answered when false. */
static bool is_allowed(struct sandbox_call *c)
{
    unsigned flags = c->route->flags;
    if (!(flags & ROUTE_BARE) && fault_injects(c)) {
        c->is_spoilt = true;
        if (!c->s->injection.executes) {
            call_reply(c, c->s->injection.status, NULL, SPAN_ABSENT);
            return false;
        }
    }
    if (flags & ROUTE_PUBLIC)
        return true;
    if (!c->user || ((flags & ROUTE_NO_COC) && c->ptype == PERSON_COC)) {
        call_fail_auth(c);
        return false;
    }
    if (c->route->permissions && !has_permission(c))
        return false;
    if (!c->outbreak_id)
        return true;
    if (!(flags & ROUTE_FREE) && !may_touch_outbreak(c))
        return false;
    c->outbreak = json_object_get(c->s->outbreaks, c->outbreak_id);
    if (!c->outbreak) {
        call_fail_model(c, "outbreak", c->outbreak_id);
        return false;
    }
    return true;
}

void sandbox_call_execute(struct sandbox_call *c)
{
    c->route->handler(c);
    if (!c->is_answered)
        call_fail_internal(c, json_object());
}

void sandbox_call_free(struct sandbox_call *c)
{
    json_decref(c->body);
    json_decref(c->args);
    json_decref(c->filter);
    json_decref(c->where);
    free(c->outbreak_id);
    for (size_t i = 0; i < 3; i++)
        free(c->id[i]);
    buf_clear(&c->headers);
    free(c);
}

/* Everything before the handler. false: answered, or never to be. */
static bool prepare(struct sandbox_call *c)
{
    struct span path = c->req->path, target = c->req->target;
    bool is_api = span_starts(path, "/api/") || span_is(path, "/api");
    char txid[SANDBOX_ID_SIZE];
    if (is_api) {
        path = span_from(path, 4);
        target = span_from(target, 4);
        switch (auth_resolve(c)) {
        case AUTH_EXPIRED:
            call_fail(c, 401, NULL, "INVALID_TOKEN", NULL, "Invalid Access Token");
            return false;
        case AUTH_CRASH:                                /* the worker dies of a TypeError: first silence, then a closed connection */
            c->is_answered = true;
            if (c->s->bearer_crashes++ == 0)
                sandbox_conn_hang(c->conn);
            else
                sandbox_conn_drop(c->conn);
            return false;
        case AUTH_NONE: case AUTH_OK:
            break;
        }
    }
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (read_body(c))
        return false;
    c->route = find_route(c, path, is_api);
    if (!c->route) {
        reply_no_route(c, target);
        return false;
    }
    c->s->route_hits[c->route - routes]++;
    json_t *posted = span_is(c->req->method, "POST") ? json_object_get(c->body, "filter") : NULL;
    if (posted && !json_is_object(posted) && !json_is_null(posted)) {
        call_fail(c, 400, NULL, NULL, NULL, "Value is not an object.");
        return false;
    }
    if (json_is_object(posted))                         /* POST .../filter; a bare filter without this key is ignored */
        json_object_set(c->args, "filter", posted);
    if (read_filter(c, "filter", &c->filter) || read_filter(c, "where", &c->where))
        return false;
    if (is_api) {
        sandbox_uuid(txid);
        buf_addf(&c->headers, "Transaction-Id: %s\r\n", txid);
    }
    return is_allowed(c);
}

void sandbox_dispatch(struct sandbox *s, struct sandbox_conn *conn, struct sandbox_request *req)
{
    struct sandbox_call *c = xcalloc(1, sizeof *c);
    c->s = s;
    c->conn = conn;
    c->req = req;
    c->args = json_object();
    buf_init(&c->headers, 4096);
    s->requests++;
    read_args(c->args, req->query);
    if (prepare(c)) {
        if (c->route->flags & ROUTE_LAB_POST)
            c->fate = fault_decide(c);
        int64_t late_ms = c->fate == FATE_LATE ? s->faults.late_ms : fault_injects_late(c);
        if (late_ms > 0) {
            fault_schedule_late(c, late_ms);
            return;
        }
        if (!c->is_answered)
            sandbox_call_execute(c);
    }
    sandbox_call_free(c);
}
