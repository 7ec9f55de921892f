/*
 * http - one HTTP client per courier: a libcurl easy handle, keep-alive, its own time limits. Thread: the courier that owns it.
 */
#ifndef LABRELAY_HTTP_H
#define LABRELAY_HTTP_H
#include "buf.h"
#include "err.h"

struct http_client;

struct http_request {
    const char *method, *url;               /* absolute URL */
    struct span body;                       /* with content_type; absent: none */
    const char *content_type;
    const char *authorization;              /* raw value of the header, or NULL */
    int64_t timeout_us;                     /* whole request; connect is capped at 10 s */
    size_t max_body;                        /* of the answer; default 16 MB */
    const char *proxy, *proxy_auth;         /* "http://host:port" and "name:password" for it; NULL: straight, whatever the environment says */
    const char *ca_file;                    /* PEM: the authorities to trust instead of the system's; NULL: those */
    bool is_insecure_ok;                    /* http:// or unverified TLS was allowed by the config */
};

enum http_phase {                           /* how far it got: decides what a failure may have done */
    HTTP_NOT_SENT,                          /* no connection, DNS, TLS: surely not executed */
    HTTP_SENT,                              /* request (partly) sent, no whole answer: may be executed */
    HTTP_ANSWERED
};
struct http_answer {
    enum http_phase phase;
    int status;
    struct buf body;                        /* owned; http_answer_clear */
    int64_t retry_after_us;                 /* of Retry-After, else 0 */
    char error[160];                        /* libcurl's word when not answered; never holds bodies */
    int64_t took_us;
    int64_t date_us;                        /* the answer's Date; 0: none */
};

struct http_client *http_client_new(void);
void http_client_free(struct http_client *c);
/* Never fails as a call: the answer tells all. A request is sent at most once (no automatic retry on a dead keep-alive connection once bytes may have left). */
void http_perform(struct http_client *c, const struct http_request *q, struct http_answer *a);
void http_answer_clear(struct http_answer *a);
#endif
