/*
 * NAME http - one HTTP client: a libcurl easy handle with keep-alive that sends a request at most once.
 *
 * How far a request got is told by libcurl's own debug callback: it reports header and body bytes only after the socket took them.
 * libcurl repeats a request by itself when a reused connection dies before the first byte of an answer. For anything but GET the
 * pre-request callback stops that second sending once bytes of the first one left: the answer then says HTTP_SENT. Connections
 * idle for 4 s are not used again (Go.Data closes them after 5 s).
 *
 * OWNERSHIP the client owns the handle; the answer's body belongs to the caller. No redirects, no proxy from the environment, no
 * cookies, HTTP/1.1, TLS 1.2 or later. DIAGNOSTICS none: the answer holds libcurl's word, never a body or a URL.
 */
#include "http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "xmem.h"

#define CONNECT_MS_MAX 10000
#define IDLE_S_MAX 3                        /* libcurl compares whole seconds: 4.0 s idle is too old */
#define BODY_MAX_DEFAULT ((size_t)16 << 20)
#define RETRY_AFTER_S_MAX 3600

struct http_client {
    CURL *curl;
    struct buf *body;                       /* of the answer under way */
    bool is_sent;                           /* bytes of the request left */
    bool is_headed;                         /* the answer's head came to its end: libcurl takes a cut one for whole */
    bool is_repeatable;
    int64_t date_us;                        /* of the answer under way */
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct http_client *c = ctx;
    buf_add(c->body, p, size * n);
    return c->body->is_full ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct http_client *c = ctx;
    struct span line = span_make(p, size * n);
    if (span_starts(line, "HTTP/"))
        c->is_headed = false;
    else if (span_is(line, "\r\n") || span_is(line, "\n"))
        c->is_headed = true;
    else if (line.n > 5 && line.n < 64 && span_is_nocase(span_cut(line, 0, 5), "date:")) {
        char text[64];
        memcpy(text, line.p + 5, line.n - 5);
        text[line.n - 5] = '\0';
        time_t t = curl_getdate(text, NULL);
        c->date_us = t > 0 ? (int64_t)t * 1000000 : 0;
    }
    return size * n;
}

static int on_debug(CURL *h, curl_infotype type, char *p, size_t n, void *ctx)
{
    struct http_client *c = ctx;
    (void)h;
    if (type == CURLINFO_HEADER_OUT && n > 8 && memcmp(p, "CONNECT ", 8) == 0)
        return 0;                           /* to the proxy: of the request itself nothing left yet */
    if (n > 0 && (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT))
        c->is_sent = true;
    return 0;
}

static int on_prerequest(void *ctx, char *peer, char *local, int peer_port, int local_port)
{
    const struct http_client *c = ctx;
    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    return c->is_sent && !c->is_repeatable ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

struct http_client *http_client_new(void)
{
    (void)pthread_once(&global_once, global_init);
    struct http_client *c = xcalloc(1, sizeof *c);
    c->curl = curl_easy_init();
    if (!c->curl)
        abort();
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c);
}

static struct curl_slist *header_add(struct curl_slist *list, const char *name, const char *value)
{
    struct buf line;
    buf_init(&line, 64 * 1024);
    buf_adds(&line, name);
    buf_adds(&line, value);
    struct curl_slist *longer = curl_slist_append(list, line.p);
    if (!longer)
        abort();
    buf_clear(&line);
    return longer;
}

static void prepare(struct http_client *c, const struct http_request *q, struct curl_slist *headers)
{
    long timeout_ms = (long)(q->timeout_us > 0 ? (q->timeout_us + 999) / 1000 : 30000);
    curl_easy_reset(c->curl);               /* keeps connections, drops options */
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, q->url);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms < CONNECT_MS_MAX ? timeout_ms : CONNECT_MS_MAX);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, q->is_insecure_ok ? 0L : 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, q->is_insecure_ok ? 0L : 2L);
    (void)curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROXY, q->proxy ? q->proxy : "");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "");       /* nothing of the environment */
    (void)curl_easy_setopt(c->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (q->proxy && q->proxy_auth)
        (void)curl_easy_setopt(c->curl, CURLOPT_PROXYUSERPWD, q->proxy_auth);
    if (q->ca_file) {                       /* these alone */
        (void)curl_easy_setopt(c->curl, CURLOPT_CAINFO, q->ca_file);
        (void)curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
    }
    (void)curl_easy_setopt(c->curl, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(c->curl, CURLOPT_MAXAGE_CONN, (long)IDLE_S_MAX);
    (void)curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_VERBOSE, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_DEBUGFUNCTION, on_debug);
    (void)curl_easy_setopt(c->curl, CURLOPT_DEBUGDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_PREREQFUNCTION, on_prerequest);
    (void)curl_easy_setopt(c->curl, CURLOPT_PREREQDATA, c);
    if (!span_is_absent(q->body)) {
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, q->body.p);
    }
    (void)curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, q->method);
}

void http_perform(struct http_client *c, const struct http_request *q, struct http_answer *a)
{
    int64_t started_us = clock_mono_us();
    struct curl_slist *headers = header_add(NULL, "Accept: ", "application/json");
    long status = 0;
    curl_off_t retry_s = 0;

    *a = (struct http_answer){.phase = HTTP_NOT_SENT};
    buf_init(&a->body, q->max_body ? q->max_body : BODY_MAX_DEFAULT);
    headers = header_add(headers, "Expect:", "");
    if (q->content_type && !span_is_absent(q->body))
        headers = header_add(headers, "Content-Type: ", q->content_type);
    if (q->authorization)
        headers = header_add(headers, "Authorization: ", q->authorization);
    c->body = &a->body;
    c->is_sent = c->is_headed = false;
    c->date_us = 0;
    c->is_repeatable = strcmp(q->method, "GET") == 0;
    prepare(c, q, headers);

    CURLcode rc = curl_easy_perform(c->curl);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK && status > 0 && c->is_headed) {
        a->phase = HTTP_ANSWERED;
        a->status = (int)status;
        a->date_us = c->date_us;
        if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry_s) == CURLE_OK && retry_s > 0)
            a->retry_after_us = (int64_t)(retry_s < RETRY_AFTER_S_MAX ? retry_s : RETRY_AFTER_S_MAX) * 1000000;
    } else {
        const char *word = a->body.is_full ? "the answer is larger than allowed" : rc == CURLE_OK ? "the answer is cut short" : curl_easy_strerror(rc);
        size_t n = strlen(word) < sizeof a->error ? strlen(word) : sizeof a->error - 1;
        a->phase = c->is_sent ? HTTP_SENT : HTTP_NOT_SENT;
        memcpy(a->error, word, n);
    }
    curl_slist_free_all(headers);
    c->body = NULL;
    a->took_us = clock_mono_us() - started_us;
}

void http_answer_clear(struct http_answer *a)
{
    buf_clear(&a->body);
}
