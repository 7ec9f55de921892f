/*
 * NAME
 *   sandbox_auth - users, passwords, tokens, the lock-out
 *
 *   One live token per user: a login removes the others. A token lives 600 s from its last renewal and is renewed by use when older
 *   than 50 s. An expired one is told so once, then it is unknown. Ten wrong passwords lock the account for 30 minutes, right
 *   password or not. Tokens are kept in memory: a restart of the sandbox logs everybody out.
 *
 * DIAGNOSTICS
 *   400 USERNAME_EMAIL_REQUIRED, REQUEST_VALIDATION_ERROR; 401 LOGIN_FAILED; 422 ACTION_TEMPORARILY_BLOCKED, ACTIVE_OUTBREAK_NOT_ALLOWED.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

#define TOKEN_CHARS 64
#define LOGIN_TRIES 10
#define LOCKOUT_MS (30 * 60 * 1000LL)

struct sandbox_user {
    struct sandbox_user *next;
    json_t *body;                       /* as stored; _password and _permissions are never shown */
    char token[TOKEN_CHARS + 1];        /* empty: none */
    int64_t token_made_ms, token_born_ms;
    int64_t failed_ms;
    int fails;
};

static const char *password_of(const struct sandbox_user *u) { return sandbox_json_get(u->body, "_password"); }
const char *auth_user_id(const struct sandbox_user *u) { return sandbox_json_get(u->body, "id"); }
const char *auth_user_active_outbreak(const struct sandbox_user *u) { return sandbox_json_get(u->body, "activeOutbreakId"); }

static bool holds(const json_t *list, const char *text)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), text) == 0)
            return true;
    return false;
}

/* "<group>_all" implies the group's members; the longest group name that fits is the group. */
bool auth_user_may(const struct sandbox_user *u, const char *permission)
{
    static const char *const groups[] = {"case", "contact", "contact_of_contact", "event", "lab_result", "relationship", "outbreak", "reference_data", "user"};
    const json_t *list = json_object_get(u->body, "_permissions");
    const char *group = NULL;
    char all[64];
    if (holds(list, "*") || holds(list, permission))
        return true;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        size_t n = strlen(groups[i]);
        if (strncmp(permission, groups[i], n) == 0 && permission[n] == '_' && (!group || n > strlen(group)))
            group = groups[i];
    }
    if (!group)
        return false;
    snprintf(all, sizeof all, "%s_all", group);
    return holds(list, all);
}

bool auth_user_sees(const struct sandbox_user *u, const char *outbreak_id)
{
    const json_t *list = json_object_get(u->body, "outbreakIds");
    return json_array_size(list) == 0 || holds(list, outbreak_id);
}

static struct sandbox_user *user_link(struct sandbox *s, json_t *body)
{
    struct sandbox_user *u = xcalloc(1, sizeof *u);
    u->body = body;
    u->next = s->users;
    s->users = u;
    return u;
}

struct sandbox_user *auth_user_add(struct sandbox *s, json_t *body, const char *password, json_t *permissions)
{
    char id[SANDBOX_ID_SIZE];
    json_t *now = sandbox_date_json(sandbox_now_ms()), *given = body;
    sandbox_uuid(id);
    body = json_pack("{sssss[s]}", "id", id, "languageId", "english_us", "roleIds", id);
    json_object_update_new(body, json_pack("{s[]sbsisn}", "outbreakIds", "passwordChange", 0, "loginRetriesCount", 0, "bruteForceLoginDate"));
    json_object_update_new(body, json_pack("{sbsbsn}", "disregardGeographicRestrictions", 0, "dontCacheFilters", 0, "lastLogin"));
    json_object_update_new(body, json_pack("{sOsssOsssOsssb}", "createdAt", now, "createdBy", "system", "updatedAt", now, "updatedBy", "system",
        "dbUpdatedAt", now, "createdOn", "API", "deleted", 0));
    json_object_update(body, given);
    json_object_del(body, "password");
    json_object_del(body, "permissions");
    json_object_set_new(body, "_password", json_string(password));
    json_object_set_new(body, "_permissions", permissions);
    json_decref(given);
    json_decref(now);
    (void)sandbox_db_insert(s->db, RECORD_USER, body);
    return user_link(s, body);
}

void auth_load(struct sandbox *s)
{
    struct sandbox_filter all = {0};
    struct sandbox_query q = {.kind = RECORD_USER, .filter = &all};
    json_t *found = sandbox_db_find(s->db, &q), *body;
    size_t i;
    json_array_foreach(found, i, body)
        (void)user_link(s, json_incref(body));
    json_decref(found);
}

void auth_free(struct sandbox *s)
{
    while (s->users) {
        struct sandbox_user *u = s->users;
        s->users = u->next;
        json_decref(u->body);
        free(u);
    }
}

/* ---- tokens ---- */

static void random_token(char out[TOKEN_CHARS + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[TOKEN_CHARS];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort();
    for (size_t i = 0; i < TOKEN_CHARS; i++)
        out[i] = letters[bytes[i] % (sizeof letters - 1)];
    out[TOKEN_CHARS] = '\0';
}

/* The token a request presents: query, X-Access-Token, Authorization raw or behind "Bearer ". */
static struct span presented(const struct sandbox_call *c)
{
    const char *arg = sandbox_json_get(c->args, "access_token");
    struct span t = sandbox_request_header(c->req, "X-Access-Token");
    if (arg && *arg)
        return span_of(arg);
    if (span_has(t))
        return t;
    t = sandbox_request_header(c->req, "Authorization");
    return span_starts(t, "Bearer ") ? span_from(t, 7) : t;
}

enum auth_verdict auth_resolve(struct sandbox_call *c)
{
    struct span token = presented(c), header = sandbox_request_header(c->req, "Authorization");
    int64_t now = sandbox_clock_ms(c->s);
    c->actor = "system";
    for (struct sandbox_user *u = c->s->users; u && token.n == TOKEN_CHARS; u = u->next) {
        if (memcmp(u->token, token.p, TOKEN_CHARS) != 0)
            continue;
        if (now - u->token_made_ms >= c->s->token_ttl_s * 1000) {
            u->token[0] = '\0';
            return AUTH_EXPIRED;
        }
        if (now - u->token_made_ms > 50 * 1000)
            u->token_made_ms = now;
        c->user = u;
        c->actor = auth_user_id(u);
        return AUTH_OK;
    }
    return span_is_nocase(span_cut(header, 0, 7), "Bearer ") ? AUTH_CRASH : AUTH_NONE;
}

/* ---- login ---- */

static struct sandbox_user *user_by_email(struct sandbox *s, const char *email, bool any_case)
{
    for (struct sandbox_user *u = s->users; u; u = u->next) {
        const char *have = sandbox_json_get(u->body, "email");
        if (have && (any_case ? strcasecmp(have, email) : strcmp(have, email)) == 0)
            return u;
    }
    return NULL;
}

/* The user when the password is right; NULL with the call answered. */
static struct sandbox_user *check_password(struct sandbox_call *c, struct sandbox_user *u, const char *password)
{
    int64_t now = sandbox_clock_ms(c->s);
    if (u && u->fails >= LOGIN_TRIES && now - u->failed_ms < LOCKOUT_MS) {
        call_fail(c, 422, NULL, "ACTION_TEMPORARILY_BLOCKED", NULL, "This action has been blocked temporarily");
        return NULL;
    }
    if (u && u->fails >= LOGIN_TRIES)
        u->fails = 0;
    if (u && password && strcmp(password_of(u), password) == 0) {
        u->fails = 0;
        json_object_set_new(u->body, "loginRetriesCount", json_integer(0));
        json_object_set_new(u->body, "bruteForceLoginDate", json_null());
        return u;
    }
    if (u) {
        u->fails++;
        u->failed_ms = now;
        json_object_set_new(u->body, "loginRetriesCount", json_integer(u->fails));
        json_object_set_new(u->body, "bruteForceLoginDate", sandbox_date_json(now));
    }
    call_fail(c, 401, NULL, "LOGIN_FAILED", NULL, "login failed");
    return NULL;
}

/* With two-factor login on, the first step is a 200 without a token; the code would come by mail. */
static bool asks_for_code(struct sandbox_call *c)
{
    if (c->s->faults.two_factor)
        call_reply_new(c, json_pack("{sb}", "twoFA", 1));
    return c->s->faults.two_factor;
}

static void token_issue(struct sandbox *s, struct sandbox_user *u)
{
    random_token(u->token);
    u->token_made_ms = sandbox_clock_ms(s);
    u->token_born_ms = sandbox_now_ms();
    json_object_set_new(u->body, "lastLogin", sandbox_date_json(u->token_born_ms));
    s->logins++;
}

void on_login(struct sandbox_call *c)
{
    const char *email = sandbox_json_get(c->body, "email"), *password = sandbox_json_get(c->body, "password");
    if (!email || !*email) {
        if (json_is_string(json_object_get(c->body, "username")))
            call_fail(c, 401, NULL, "LOGIN_FAILED", NULL, "login failed");
        else
            call_fail(c, 400, NULL, "USERNAME_EMAIL_REQUIRED", NULL, "username or email is required");
        return;
    }
    struct sandbox_user *u = check_password(c, user_by_email(c->s, email, true), password);
    if (!u || asks_for_code(c))
        return;
    token_issue(c->s, u);
    json_t *at = sandbox_date_json(u->token_born_ms);
    call_reply_new(c, json_pack("{sssIsOsssOsssOsssOsb}", "id", u->token, "ttl", (json_int_t)c->s->token_ttl_s, "created", at, "userId",
        auth_user_id(u), "createdAt", at, "createdBy", "system", "updatedAt", at, "updatedBy", "system", "dbUpdatedAt", at, "deleted", 0));
    json_decref(at);
}

void on_oauth_token(struct sandbox_call *c)
{
    static const char *const required[] = {"username", "password"};
    char text[128] = "";
    for (size_t i = 0; i < 2; i++) {
        const char *v = sandbox_json_get(c->body, required[i]);
        size_t n = strlen(text);
        if (!v || !*v)
            snprintf(text + n, sizeof text - n, "%sMissing required parameter: %s", n ? ". " : "", required[i]);
    }
    if (*text) {
        call_fail(c, 400, NULL, "REQUEST_VALIDATION_ERROR", json_pack("{ss}", "errorMessages", text), "Invalid request parameters. Details: %s", text);
        return;
    }
    struct sandbox_user *u = check_password(c, user_by_email(c->s, sandbox_json_get(c->body, "username"), false), sandbox_json_get(c->body, "password"));
    if (!u || asks_for_code(c))
        return;
    token_issue(c->s, u);
    call_reply_new(c, json_pack("{sssIss}", "token_type", "bearer", "expires_in", (json_int_t)c->s->token_ttl_s, "access_token", u->token));
}

void on_logout(struct sandbox_call *c)
{
    c->user->token[0] = '\0';
    call_reply_json(c, 204, NULL);
}

/* No code was ever mailed: none is right. */
void on_two_factor(struct sandbox_call *c) { call_fail(c, 401, NULL, "LOGIN_FAILED", NULL, "login failed"); }

/* ---- users ---- */

static json_t *user_view(const struct sandbox_user *u)
{
    json_t *out = json_object(), *v;
    const char *key;
    json_object_foreach(u->body, key, v)
        if (key[0] != '_')
            json_object_set(out, key, v);
    return out;
}

static struct sandbox_user *user_by_id(struct sandbox *s, const char *id)
{
    for (struct sandbox_user *u = s->users; u; u = u->next)
        if (strcmp(auth_user_id(u), id) == 0)
            return u;
    return NULL;
}

/* The user of the path; others than oneself need a permission. NULL: answered. */
static struct sandbox_user *user_of_path(struct sandbox_call *c, const char *permission)
{
    struct sandbox_user *u = user_by_id(c->s, c->id[0]);
    if (u != c->user && !auth_user_may(c->user, permission)) {
        call_fail_permission(c, permission);
        return NULL;
    }
    if (!u)
        call_fail_instance(c, c->id[0], "user");
    return u;
}

/* What the real server calls availablePermissions is everything that exists, not what the user has: that stands in the roles. */
static json_t *available_permissions(void)
{
    json_t *all = sandbox_route_permissions(), *out = json_array(), *v;
    size_t i;
    json_array_foreach(all, i, v)
        json_array_append_new(out, json_pack("{sOsO}", "id", v, "label", v));
    json_decref(all);
    return out;
}

/* One role per account: the first of its roleIds, with the account's permissions. */
static json_t *role_view(const struct sandbox_user *u)
{
    json_t *permissions = json_object_get(u->body, "_permissions"), *id = json_array_get(json_object_get(u->body, "roleIds"), 0);
    json_t *shown = holds(permissions, "*") ? sandbox_route_permissions() : json_incref(permissions);
    json_t *name = json_sprintf("Role of %s", sandbox_json_get(u->body, "email"));
    return json_pack("{sOsosOssssso}", "id", id ? id : json_object_get(u->body, "id"), "name", name, "createdAt", json_object_get(u->body, "createdAt"),
        "createdBy", "system", "description", "", "permissionIds", shown);
}

void on_roles_list(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_filter(c, false, &f))
        return;
    json_t *all = json_array(), *page, *out = json_array(), *doc;
    size_t i;
    for (struct sandbox_user *u = c->s->users; u; u = u->next) {
        json_t *role = role_view(u);
        if (sandbox_cond_match(f.where, role))
            json_array_append(all, role);
        json_decref(role);
    }
    page = sandbox_filter_page(&f, all, "id");
    json_array_foreach(page, i, doc)
        json_array_append_new(out, sandbox_filter_project(&f, doc));
    call_reply_new(c, out);
    json_decref(page);
    json_decref(all);
    sandbox_filter_clear(&f);
}

void on_user_get(struct sandbox_call *c)
{
    struct sandbox_user *u = user_of_path(c, "user_view");
    if (!u)
        return;
    json_t *view = user_view(u);
    json_object_set_new(view, "availablePermissions", available_permissions());
    call_reply_new(c, view);
}

void on_users_list(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_filter(c, false, &f))
        return;
    json_t *all = json_array(), *page, *out = json_array(), *doc;
    size_t i;
    for (struct sandbox_user *u = c->s->users; u; u = u->next) {
        json_t *view = user_view(u);
        if (sandbox_cond_match(f.where, view))
            json_array_append(all, view);
        json_decref(view);
    }
    page = sandbox_filter_page(&f, all, "id");
    json_array_foreach(page, i, doc)
        json_array_append_new(out, sandbox_filter_project(&f, doc));
    call_reply_new(c, out);
    json_decref(page);
    json_decref(all);
    sandbox_filter_clear(&f);
}

/* A user changes itself; roles, ids and passwords of the sandbox's users are left alone. */
void on_user_patch(struct sandbox_call *c)
{
    static const char *const settable[] = {"activeOutbreakId", "firstName", "lastName", "languageId", "telephoneNumbers", "dontCacheFilters", "outbreakIds"};
    struct sandbox_user *u = user_of_path(c, "user_modify");
    const char *outbreak = sandbox_json_get(c->body, "activeOutbreakId");
    if (!u)
        return;
    if (u == c->user && !auth_user_may(u, "user_modify_own_account") && !auth_user_may(u, "user_modify")) {
        call_fail_permission(c, "user_modify, user_modify_own_account");
        return;
    }
    if (outbreak && !auth_user_sees(u, outbreak)) {
        call_fail(c, 422, NULL, "ACTIVE_OUTBREAK_NOT_ALLOWED", json_pack("{ss}", "activeOutbreakId", outbreak),
            "User is not allowed to access the outbreak `%s`", outbreak);
        return;
    }
    for (size_t i = 0; i < sizeof settable / sizeof settable[0]; i++) {
        json_t *v = json_object_get(c->body, settable[i]);
        if (v && (strcmp(settable[i], "outbreakIds") != 0 || auth_user_may(c->user, "user_modify")))
            json_object_set(u->body, settable[i], v);
    }
    model_stamp(c, u->body, sandbox_now_ms());
    sandbox_db_update(c->s->db, RECORD_USER, u->body);
    call_reply_new(c, user_view(u));
}
