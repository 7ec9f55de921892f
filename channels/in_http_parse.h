/*
 * in_http_parse - reads HTTP/1.1 requests (RFC 9112) from bytes, strictly. Pure: no socket, no clock. Owner: whoever has the reader.
 *
 * Caps: head HTTP_HEAD_MAX bytes and HTTP_FIELDS_MAX lines, body as given. Refused: folded lines, blanks before the colon, bare CR or LF in
 * the head, NUL, both Content-Length and Transfer-Encoding, lengths that differ, transfer codings but chunked, other versions.
 */
#ifndef LABRELAY_IN_HTTP_PARSE_H
#define LABRELAY_IN_HTTP_PARSE_H
#include "buf.h"

#define HTTP_HEAD_MAX ((size_t)16384)
#define HTTP_TARGET_MAX ((size_t)4096)
#define HTTP_FIELDS_MAX 64

struct http_field { struct span name, value; };
struct http_request {                   /* spans into the reader's head; until http_reader_reset() */
    struct span method, path, query;    /* query without the ?, absent when there is none */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t n_fields;
    uint64_t length;
    bool has_length, is_chunked, is_close, expects_continue;
    bool takes_persons;                 /* not of the sender: a route sends what comes in at [base]/Patient */
};

enum http_event {
    HTTP_MORE,                          /* all bytes were used */
    HTTP_HEAD,                          /* the head is whole: look at it, then go on feeding */
    HTTP_WHOLE,                         /* the request is whole; bytes may be left over: of the next */
    HTTP_BAD                            /* status and why say it; nothing more can be read */
};

struct http_reader {
    struct http_request q;
    struct buf head, body;
    int state, status;
    const char *why;                    /* static */
    uint64_t left;                      /* of the body or chunk */
    char line[80];
    size_t line_n, trailer_n;
    size_t max_body;
};

void http_reader_init(struct http_reader *r, size_t max_body);
void http_reader_clear(struct http_reader *r);
void http_reader_reset(struct http_reader *r);                      /* for the next request */
bool http_reader_is_begun(const struct http_reader *r);             /* something of a request came */
enum http_event http_reader_feed(struct http_reader *r, struct span *in);    /* takes from the front of *in */
/* Value of a field, absent when there is none; several are not joined: the first. */
struct span http_field(const struct http_request *q, const char *name);
/* Percent decoding (and + as blank when is_query) into out. Length, or -1: broken, NUL, or no room. */
int  http_unescape(struct span s, bool is_query, char *out, size_t n);
/* The parameter of a query, decoded into out; false when it is not there or broken. */
bool http_query(struct span query, const char *name, char *out, size_t n);
/* Parameter of a header value: text/xml; charset="utf-8". Absent when there is none. */
struct span http_param(struct span value, const char *name);
#endif
