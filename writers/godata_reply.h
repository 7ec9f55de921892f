/*
 * godata_reply - one request to Go.Data and what its answer means (facts: GODATA-API section 9). Thread: the courier that runs the task.
 * Whatever is kept of an answer for people is codes, names and field names only: never a message or a body.
 */
#ifndef LABRELAY_GODATA_REPLY_H
#define LABRELAY_GODATA_REPLY_H
#include <jansson.h>

#include "godata_options.h"
#include "http.h"

struct godata_reply {
    enum http_phase phase;
    int status;
    json_t *json;               /* of a 2xx answer; NULL when it was none (204 too) */
    bool is_empty;              /* no body */
    bool is_error;              /* an error object as Go.Data writes them */
    char code[48], name[48];    /* error.code, error.name */
    char inner[48];             /* details.error.name of a 500 */
    int64_t inner_code;         /* details.error.code: 11000 */
    char missing[24];           /* 404: "No instance with id … found for <this>": case, contact, labResult */
    char permissions[128];      /* details.permissions */
    char fields[96];            /* 422: names in details.codes */
    bool is_taken_id;           /* 422: codes.id is uniqueness */
    int64_t retry_after_us;
    int64_t date_us;            /* the server's clock, by its Date; 0: not said */
    char error[96];             /* the client's word when there was no answer: "SSL peer certificate … was not OK" */
};

enum godata_access { GODATA_READ, GODATA_WRITE };       /* read: an unknown end changed nothing */

struct godata_judgement {
    enum verdict verdict;       /* VERDICT_DELIVERED: a 2xx with JSON (or 204) */
    char reason[32];
    char detail[400];
    int64_t retry_after_us;
};

/* Makes the request of the task's options and token. path begins with "/". body absent: none. Counts it in the task. */
void godata_call(struct task *t, struct http_client *http, const char *method, struct span path, struct span body, struct godata_reply *out);
/* The same with another content type of the body. */
void godata_call_as(struct task *t, struct http_client *http, const char *method, struct span path, struct span body, const char *type, struct godata_reply *out);
void godata_reply_clear(struct godata_reply *r);
/* Pure: from bytes as they came. */
void godata_reply_parse(const struct http_answer *a, struct godata_reply *out);
/* The one table: phase, status and error to a verdict. is_token_good: this token was just proven on another route. Pure. */
void godata_judge(const struct godata_reply *r, enum godata_access access, bool is_token_good, struct godata_judgement *out);
/* Fills the answer side of the task. detail may be NULL. */
void godata_finish(struct task *t, enum verdict v, const char *reason, const char *detail);
/* godata_judge and godata_finish; on 401 proves the token with a cheap request first, so that a route without access is told
 * from a dead token. A 2xx with JSON is VERDICT_DELIVERED. */
void godata_conclude(struct task *t, struct http_client *http, const struct godata_reply *r, enum godata_access access);
/* The same for an answer that is not what was asked for: a 2xx of another shape is BAD_ANSWER. Never VERDICT_DELIVERED. */
void godata_fail(struct task *t, struct http_client *http, const struct godata_reply *r, enum godata_access access);

/* Percent-encodes everything but unreserved characters. */
void godata_url_add(struct buf *b, struct span s);
/* A string member of a JSON object; absent when missing, null or no string. Borrowed. */
struct span godata_json_text(const json_t *o, const char *key);
#endif
