/*
 * sandbox_server - what the files of the sandbox share: the server, a request, a call (a request that is being answered) and
 * the handlers. One thread, one event loop.
 */
#ifndef LABRELAY_SANDBOX_SERVER_H
#define LABRELAY_SANDBOX_SERVER_H
#include <event2/event.h>
#include <jansson.h>

#include "buf.h"
#include "err.h"
#include "sandbox_db.h"
#include "span.h"

#define SANDBOX_VERSION "2.50.3"
#define SANDBOX_API_KEY "your_api_key_here"
#define SANDBOX_BODY_MAX (10u << 20)             /* JSON and forms: 413 beyond */
#define SANDBOX_UPLOAD_MAX (64u << 20)           /* anything: connection closed beyond */
#define SANDBOX_HEAD_MAX (16u << 10)             /* 431 beyond */
#define SANDBOX_ID_SIZE 40
#define REFDATA(x) "LNG_REFERENCE_DATA_CATEGORY_" x

struct sandbox_faults {
    int64_t fail_every, drop_reply, late_every, slow_ms, late_ms;
    bool late_hold;                              /* a late write keeps its connection open instead of closing it at once */
    bool two_factor;                             /* logins answer {"twoFA":true} */
    int fail_status;                             /* what fail-every answers */
    int64_t lab_posts;                           /* counter that "every Nth" goes by */
};

/* One planned misbehaviour: the next `times` requests of a route. */
enum inject_mode { INJECT_STATUS, INJECT_HALF, INJECT_GARBAGE, INJECT_HANG, INJECT_CLOSE, INJECT_LATE };
struct sandbox_injection {
    const struct sandbox_route *route;           /* NULL: any route under /api */
    int64_t times;
    int status;
    enum inject_mode mode;
    int64_t late_ms;                    /* INJECT_LATE: the connection is closed at once, the call is carried out later */
    bool executes;                               /* the handler runs, only its answer is spoilt */
    int64_t after;                               /* so many requests of the route pass first */
    char code[64], name[64];                     /* the answer is an error of Go.Data itself with this code and name; both "": a page of something else */
    int retry_after_s;                           /* Retry-After; 0: none */
};

struct sandbox_user;
struct sandbox_conn;
struct sandbox_route;

struct sandbox {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *commit_event;
    struct sandbox_db *db;
    struct sandbox_user *users;                  /* linked list */
    json_t *outbreaks;                           /* id -> body, living ones; written through to the database */
    struct sandbox_faults faults;
    struct sandbox_injection injection;
    int64_t *route_hits;
    int64_t logins, requests, lab_posts_done, late_done, lost, concurrent, concurrent_max;
    int64_t clock_shift_ms, token_ttl_s, started_ms;
    int keep_alive_s, port;
    int bearer_crashes;
    bool allows_custom_ids;                      /* allowCustomIDsOnCreate: a lab result keeps the client's id */
    struct sandbox_conn *conns;
};

/* Now, for stamps; and the shifted clock for tokens and lock-outs. Milliseconds. */
int64_t sandbox_now_ms(void);
void sandbox_shift_stamps(int64_t ms);
int64_t sandbox_clock_ms(const struct sandbox *s);
void sandbox_uuid(char out[SANDBOX_ID_SIZE]);

/* ---- sandbox_http.c: connections ---- */
struct sandbox_header { struct span name, value; };

struct sandbox_request {
    struct buf raw;                              /* owns the bytes that everything below points into */
    struct span method, target, path, query, body;
    struct sandbox_header headers[64];
    size_t headers_n;
    bool is_old;                                 /* HTTP/1.0: closed after the answer unless the client asks for more */
};

/* Listens on loopback; port 0 takes a free one, s->port tells. */
int  sandbox_http_listen(struct sandbox *s, int port, struct err *e);
void sandbox_http_close(struct sandbox *s);
struct span sandbox_request_header(const struct sandbox_request *r, const char *name);
/* Sends an answer now. headers: further lines, each with CRLF, or "". */
void sandbox_conn_reply(struct sandbox_conn *c, int status, const char *type, const char *headers, struct span body);
/* Sends nothing and closes; or sends nothing and waits for the client to go away. */
void sandbox_conn_drop(struct sandbox_conn *c);
void sandbox_conn_hang(struct sandbox_conn *c);
/* Announces twice the bytes it sends, then closes. */
void sandbox_conn_half(struct sandbox_conn *c, struct span body);

/* ---- a call ---- */
enum person_type { PERSON_CASE, PERSON_CONTACT, PERSON_COC, PERSON_EVENT, PERSON_TYPES };

struct person_kind {
    const char *route, *group, *model, *type, *mask_field, *mask_default;
};
extern const struct person_kind person_kinds[PERSON_TYPES];
/* -1 when the text is no person type id. */
int person_type_of(const char *type_id);

enum call_fate { FATE_ANSWER, FATE_DROP, FATE_LATE };

struct sandbox_call {
    struct sandbox *s;
    struct sandbox_conn *conn;                   /* NULL: executed late, nobody listens */
    struct sandbox_request *req;
    const struct sandbox_route *route;
    struct sandbox_user *user;                   /* NULL on public routes */
    const char *actor;                           /* user id for createdBy, updatedBy */
    json_t *body;                                /* parsed body; an empty object when none was understood */
    json_t *args;                                /* query (and form) arguments */
    json_t *filter, *where;                      /* parsed, or NULL */
    char *outbreak_id;
    json_t *outbreak;                            /* borrowed, NULL when unknown */
    enum person_type ptype;
    char *id[3];                                 /* the ids in the path, in order */
    struct buf headers;                          /* further answer headers */
    bool is_answered, is_spoilt;
    enum call_fate fate;
};

/* ---- sandbox_route.c: from request to handler ---- */
void sandbox_dispatch(struct sandbox *s, struct sandbox_conn *conn, struct sandbox_request *req);
size_t sandbox_route_count(void);
const char *sandbox_route_name(size_t i);        /* "POST /outbreaks/:o/cases" */
const char *sandbox_route_method(size_t i);
const struct sandbox_route *sandbox_route_find(const char *method_and_pattern);    /* NULL: no such route */
json_t *sandbox_route_permissions(void);         /* every permission that a route asks for; new array */
/* The write of a late call. The call is complete but for its connection. */
void sandbox_call_execute(struct sandbox_call *call);
void sandbox_call_free(struct sandbox_call *call);

/* ---- sandbox_answer.c: every call gets exactly one answer; later ones are ignored ---- */
void call_reply(struct sandbox_call *c, int status, const char *type, struct span body);
void call_reply_json(struct sandbox_call *c, int status, const json_t *v);
void call_reply_new(struct sandbox_call *c, json_t *v);         /* 200, takes the reference */
void call_reply_count(struct sandbox_call *c, int64_t n);
/* The error shape of strong-error-handler. name NULL: "Error"; code, details NULL: absent. Takes details' reference. */
void call_fail(struct sandbox_call *c, int status, const char *name, const char *code, json_t *details, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void call_fail_internal(struct sandbox_call *c, json_t *error);  /* 500 INTERNAL_ERROR with the error's JSON in the message; takes the reference */
void call_fail_instance(struct sandbox_call *c, const char *id, const char *model);   /* 404 No instance with id */
void call_fail_model(struct sandbox_call *c, const char *model, const char *id);      /* 404 MODEL_NOT_FOUND */
void call_fail_auth(struct sandbox_call *c);                     /* 401 AUTHORIZATION_REQUIRED */
void call_fail_permission(struct sandbox_call *c, const char *permissions);           /* 403 MISSING_REQUIRED_PERMISSION */
/* 422 uniqueness of an id; 500 with MongoDB's 11000. */
void call_fail_unique(struct sandbox_call *c, const char *model, const char *id);
void call_fail_duplicate_key(struct sandbox_call *c, const char *collection, const char *id);
/* sandbox_route.c: the filter of the call, compiled; on -1 the call is answered. */
int  call_filter(struct sandbox_call *c, bool is_rewritten, struct sandbox_filter *out);
/* A filter made of ?where= only. */
int  call_where(struct sandbox_call *c, bool is_rewritten, struct sandbox_filter *out);
/* Finds, pages and answers; each document is passed through `dress` (may be NULL) before fields are picked. */
typedef void dress_fn(struct sandbox_call *c, const struct sandbox_filter *f, json_t *doc);
void call_reply_find(struct sandbox_call *c, struct sandbox_query *q, const char *default_order, dress_fn *dress);

/* ---- sandbox_model.c: typed properties ---- */
enum property_type { PROPERTY_STRING, PROPERTY_DATE, PROPERTY_BOOLEAN, PROPERTY_NUMBER, PROPERTY_ANY };
struct property { const char *name; enum property_type type; };
/*
 * Copies body's properties into doc the way LoopBack casts them: model order first, unknown ones behind. Names in `skip` (NULL-ended)
 * are dropped. Invalid dates are collected as a 422 answer: returns -1 with the call answered.
 */
int  model_assign(struct sandbox_call *c, const char *model, const struct property *properties, size_t n, const char *const *skip, const json_t *body,
    json_t *doc);
void model_stamp_new(struct sandbox_call *c, json_t *doc, int64_t now_ms);      /* createdAt .. deleted */
void model_stamp(struct sandbox_call *c, json_t *doc, int64_t now_ms);          /* updatedAt, updatedBy, dbUpdatedAt */
void model_delete(json_t *doc, int64_t now_ms);
void model_restore(json_t *doc);
/* Dates inside a nested object or array become ISO text where they look like dates. In place. */
void model_convert_dates(json_t *v);
void model_cast_date(json_t *object, const char *key);                          /* invalid becomes null */

/* ---- sandbox_auth.c ---- */
struct sandbox_user *auth_user_add(struct sandbox *s, json_t *body, const char *password, json_t *permissions);    /* takes references */
void auth_load(struct sandbox *s);
void auth_free(struct sandbox *s);
const char *auth_user_id(const struct sandbox_user *u);
const char *auth_user_active_outbreak(const struct sandbox_user *u);
bool auth_user_may(const struct sandbox_user *u, const char *permission);
bool auth_user_sees(const struct sandbox_user *u, const char *outbreak_id);     /* outbreakIds empty or holding it */
enum auth_verdict { AUTH_NONE, AUTH_OK, AUTH_EXPIRED, AUTH_CRASH };
enum auth_verdict auth_resolve(struct sandbox_call *c);

/* ---- sandbox_fault.c ---- */
enum call_fate fault_decide(struct sandbox_call *c);             /* for a lab POST; FATE_ANSWER may have answered 503 already */
int64_t fault_injects_late(struct sandbox_call *c);              /* > 0: an injected late call, so many milliseconds */
void fault_schedule_late(struct sandbox_call *c, int64_t ms);    /* takes the call */
/* Does the injection hit this call? Counts it. */
bool fault_injects(struct sandbox_call *c);
void fault_spoil(struct sandbox_call *c, struct span body);      /* gives the injected answer */

/* ---- sandbox_seed.c ---- */
/* path NULL: the default outbreak and user only. The outbreak and user options may be NULL. */
int  seed_load(struct sandbox *s, const char *path, const char *outbreak, const char *user, const char *password, struct err *e);
json_t *outbreak_create(struct sandbox *s, const json_t *given); /* borrowed reference to the stored outbreak */
void refdata_seed(struct sandbox *s);

/* ---- creation shared by handlers and the seed: the new document, or NULL with the call answered ---- */
json_t *person_create(struct sandbox_call *c, const json_t *body, bool keeps_visual_id);
json_t *lab_create(struct sandbox_call *c, const char *person_id, const json_t *body);
json_t *refdata_create(struct sandbox_call *c, const json_t *body);
json_t *location_create(struct sandbox_call *c, const json_t *body);
/* As the person looks to clients of a type's own route: without type, with the stray address. In place. */
void person_dress(struct sandbox_call *c, const struct sandbox_filter *f, json_t *doc);
/* The living person of the path, NULL with the call answered 404. New reference. */
json_t *person_of_call(struct sandbox_call *c, const char *id);
void lab_cascade(struct sandbox_call *c, const char *person_id, bool is_delete, int64_t now_ms);
void lab_retype(struct sandbox_call *c, const char *person_id, const char *type, int64_t now_ms);
void relation_recount(struct sandbox_call *c, json_t *person);   /* numberOfContacts and the like, from the stored relationships */
/* The follow-up period that starts the day after the date in from_field. */
void person_follow_up(struct sandbox_call *c, json_t *doc, const char *from_field);
void person_duplicate_keys(json_t *doc);
void relation_cascade(struct sandbox_call *c, const char *person_id, bool is_delete, int64_t now_ms);
/* Soft-deletes a person with what hangs on it. Stores. */
void person_remove(struct sandbox_call *c, json_t *doc, int64_t now_ms);

/* ---- handlers ---- */
typedef void handler_fn(struct sandbox_call *c);
handler_fn on_status, on_version, on_login, on_oauth_token, on_logout, on_two_factor, on_user_get, on_user_patch, on_users_list, on_roles_list;
handler_fn on_outbreaks_list, on_outbreaks_count, on_outbreak_get, on_locations_list, on_locations_count, on_location_get;
handler_fn on_refdata_list, on_refdata_count, on_refdata_categories, on_refdata_get, on_refdata_create, on_refdata_update, on_refdata_delete;
handler_fn on_persons_find, on_persons_count, on_persons_filtered_count, on_person_create, on_person_get, on_person_update, on_person_delete, on_person_restore;
handler_fn on_visual_id, on_duplicates_find, on_people_find, on_people_count, on_convert;
handler_fn on_relationship_create, on_relationships_list;
handler_fn on_labs_list, on_labs_count, on_labs_filtered_count, on_lab_create, on_lab_get, on_lab_update, on_lab_delete, on_lab_restore;
handler_fn on_outbreak_lab_get, on_outbreak_lab_update, on_outbreak_lab_delete, on_labs_aggregate, on_labs_aggregate_count, on_labs_bulk;
handler_fn on_attachment_create, on_attachment_get, on_attachment_download, on_attachment_delete;
handler_fn on_faults, on_inject, on_stats, on_stats_reset, on_clock;
#endif
