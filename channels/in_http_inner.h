/*
 * in_http_inner - what the files of the HTTP channel share. Private to in_http*.c. Thread: LOOP.
 *
 * in_http_parse reads requests, in_http_route decides what one asks for, in_http_body writes what the channel says itself, in_http_conn is a
 * connection, in_http holds them together.
 */
#ifndef LABRELAY_IN_HTTP_INNER_H
#define LABRELAY_IN_HTTP_INNER_H
#include "in_http.h"
#include "in_http_parse.h"
#include "text.h"

struct http_options {
    char *address, *path, *hl7_path;
    struct option_list allow;
    char *tokens, *basic;               /* lines of the credential files */
    int64_t max_body, max_connections;
    int64_t request_timeout, idle_timeout, answer_timeout;      /* microseconds */
};

struct http_secrets {                   /* SHA-256 of each line: compared whole, whatever their lengths */
    unsigned char (*tokens)[TEXT_SHA256_BYTES], (*basic)[TEXT_SHA256_BYTES];
    size_t n_tokens, n_basic;
};

/* ---- in_http_route.c: pure ---- */
enum http_what {
    HTTP_SAY,                           /* status, issue, text: at once */
    HTTP_METADATA,
    HTTP_TAKE,                          /* its body goes to the engine */
    HTTP_STATUS                         /* [base]/_async/m123 */
};
enum http_prefer { HTTP_PREFER_NONE, HTTP_PREFER_MINIMAL, HTTP_PREFER_REPRESENTATION, HTTP_PREFER_OUTCOME };
struct http_plan {
    enum http_what what;
    int status;                         /* HTTP_SAY; HTTP_TAKE: of a good answer */
    const char *issue, *text;           /* of an OperationOutcome; static */
    const char *allow;                  /* 405: the methods */
    bool is_hl7;                        /* HL7 v2 over HTTP: errors are text/plain, answers ER7 */
    bool is_xml, is_xml_sent;
    bool is_head;                       /* HEAD: no body */
    bool is_async, is_update, has_condition;
    enum http_prefer prefer;
    struct ask ask;
    const char *media;                  /* HL7: of the answer */
    char id[65];                        /* PUT */
    char same_as[80];
    int64_t message_id;                 /* HTTP_STATUS */
};
void http_route(const struct http_options *o, const struct http_secrets *secrets, const struct http_request *q, struct http_plan *out);

/* ---- in_http_body.c: pure ---- */
void http_outcome(struct buf *b, bool is_xml, const char *severity, const char *issue, const char *text);
void http_capabilities(struct buf *b, bool is_xml, bool takes_persons, const char *base);
const char *http_reason(int status);
/* What a good or bad reply of the engine means for FHIR. */
int  http_status_of(const struct http_plan *p, const struct reply *r);

/* ---- in_http_conn.c ---- */
struct http_conn;
struct listener {
    const struct http_options *o;
    struct listener_env env;
    struct http_secrets secrets;
    struct sockaddr_storage *addr;
    int addr_n;
    void *nets;
    size_t n_nets;
    int fd;
    struct event *ready, *pause;
    struct http_conn **slots;
    size_t n_slots, n_open, n_used;     /* with a socket; with or without */
    uint64_t generation;
    int64_t refusal_told_us, n_refusals;
    int64_t last_message_id;            /* highest that was answered */
    bool is_stopping;
    char *chunk;
};
#define HTTP_CHUNK ((size_t)65536)
bool conns_have_room(const struct listener *l);
void http_conn_open(struct listener *l, int fd, const char *peer);
void http_conn_reply(struct listener *l, const struct reply *r);
void http_conns_stop(struct listener *l);           /* ends what is idle; the rest after its answer */
void http_conns_close(struct listener *l);
#endif
