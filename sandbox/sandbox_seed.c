/*
 * NAME
 *   sandbox_seed - what stands in a new sandbox
 *
 *   Without a file: one outbreak and one user who may do everything. A file may hold outbreaks, users, referenceData, locations, cases, contacts,
 *   contactsOfContacts and labResults, in the shapes of the API; a user may carry "password" and "permissions", a person keeps its
 *   visualId as written. Records without outbreakId belong to the first outbreak.
 *
 * DIAGNOSTICS
 *   ERR_CONFIG with the list and index of the first record that the API would refuse.
 */
#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

#define DEFAULT_OUTBREAK_ID "5ab0c000-0000-4000-8000-000000000001"
#define DEFAULT_USER_ID "5ab0c000-0000-4000-8000-000000000002"

static json_t *everything(void) { return json_pack("[s]", "*"); }

static void add_user(struct sandbox *s, const json_t *given)
{
    const char *password = sandbox_json_get(given, "password");
    json_t *permissions = json_object_get(given, "permissions");
    (void)auth_user_add(s, json_copy((json_t *)(uintptr_t)given), password ? password : "",
        json_is_array(permissions) ? json_incref(permissions) : everything());
}

/* A call without a request, by which the seed goes through the handlers' own checks. */
static struct sandbox_call *seed_call(struct sandbox *s, const json_t *record)
{
    struct sandbox_call *c = xcalloc(1, sizeof *c);
    const char *outbreak = sandbox_json_get(record, "outbreakId"), *id;
    json_t *first;
    c->s = s;
    c->actor = "system";
    buf_init(&c->headers, 64);
    if (!outbreak) {
        json_object_foreach(s->outbreaks, id, first) {
            outbreak = id;
            break;
        }
    }
    c->outbreak_id = xstrdup(outbreak ? outbreak : "");
    c->outbreak = json_object_get(s->outbreaks, c->outbreak_id);
    return c;
}

static json_t *create(struct sandbox_call *c, const char *list, const json_t *record)
{
    if (strcmp(list, "referenceData") == 0)
        return refdata_create(c, record);
    if (strcmp(list, "locations") == 0)
        return location_create(c, record);
    if (!c->outbreak)
        return NULL;
    if (strcmp(list, "labResults") == 0) {
        const char *person = sandbox_json_get(record, "personId");
        struct sandbox_person_head head;
        if (!person || !sandbox_db_person_head(c->s->db, person, &head))
            return NULL;
        c->ptype = (enum person_type)person_type_of(head.type);
        return lab_create(c, person, record);
    }
    c->ptype = strcmp(list, "cases") == 0 ? PERSON_CASE : strcmp(list, "contacts") == 0 ? PERSON_CONTACT : PERSON_COC;
    return person_create(c, record, true);
}

static int add_all(struct sandbox *s, const json_t *seed, const char *list, struct err *e)
{
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(seed, list), i, record) {
        struct sandbox_call *c = seed_call(s, record);
        json_t *doc = create(c, list, record);
        bool ok = doc != NULL;
        json_decref(doc);
        sandbox_call_free(c);
        if (!ok)
            return err_set(e, ERR_CONFIG, list, "seed: record %zu is refused", i + 1);
    }
    return 0;
}

int seed_load(struct sandbox *s, const char *path, const char *outbreak, const char *user, const char *password, struct err *e)
{
    static const char *const lists[] = {"referenceData", "locations", "cases", "contacts", "contactsOfContacts", "labResults"};
    json_error_t je;
    json_t *seed = path ? json_load_file(path, 0, &je) : json_object(), *one;
    size_t i;
    int rc = -1;
    if (!seed)
        return err_set(e, ERR_CONFIG, path, "seed: line %d: %s", je.line, je.text);
    refdata_seed(s);
    json_array_foreach(json_object_get(seed, "outbreaks"), i, one)
        (void)outbreak_create(s, one);
    if (outbreak || json_object_size(s->outbreaks) == 0) {
        one = json_pack("{ssss}", "id", DEFAULT_OUTBREAK_ID, "name", outbreak ? outbreak : "Ebola 2026");
        (void)outbreak_create(s, one);
        json_decref(one);
    }
    json_array_foreach(json_object_get(seed, "users"), i, one)
        add_user(s, one);
    if (user || !s->users) {
        const char *active;
        json_object_foreach(s->outbreaks, active, one)
            break;
        one = json_pack("{sssssssssssss[s]}", "id", DEFAULT_USER_ID, "firstName", "labrelay", "lastName", "Account", "email",
            user ? user : "labrelay@sandbox.example", "password", password ? password : "practice-makes-perfect", "activeOutbreakId", active,
            "permissions", "*");
        add_user(s, one);
        json_decref(one);
    }
    for (i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (add_all(s, seed, lists[i], e))
            goto out;
    rc = 0;
out:
    json_decref(seed);
    return rc;
}
