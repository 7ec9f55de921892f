/*
 * NAME in_http_parse - HTTP/1.1 requests from bytes.
 * DIAGNOSTICS none: status and a sentence in the reader.
 */
#include "in_http_parse.h"

#include <string.h>

enum { AT_HEAD, AT_BODY, AT_CHUNK_SIZE, AT_CHUNK, AT_CHUNK_END, AT_TRAILER, AT_END, AT_BAD };

#define TRAILER_MAX ((size_t)4096)
#define EMPTY_LINES_MAX 4

void http_reader_init(struct http_reader *r, size_t max_body)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->head, HTTP_HEAD_MAX);
    buf_init(&r->body, max_body);
    r->max_body = max_body;
}

void http_reader_clear(struct http_reader *r)
{
    buf_clear(&r->head);
    buf_clear(&r->body);
}

void http_reader_reset(struct http_reader *r)
{
    buf_reset(&r->head);
    if (r->body.cap > 65536)
        buf_clear(&r->body);
    else
        buf_reset(&r->body);
    memset(&r->q, 0, sizeof r->q);
    r->state = AT_HEAD;
    r->status = 0;
    r->why = NULL;
    r->left = 0;
    r->line_n = r->trailer_n = 0;
}

bool http_reader_is_begun(const struct http_reader *r)
{
    return r->state != AT_HEAD || r->head.n > 0;
}

static enum http_event bad(struct http_reader *r, int status, const char *why)
{
    r->state = AT_BAD;
    r->status = status;
    r->why = why;
    return HTTP_BAD;
}

/* ---- the head ---- */

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_text(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 ? s.p[i] != '\t' : s.p[i] == 0x7f)
            return false;
    return true;
}

/* One line without its CR LF. False: it does not end so. */
static bool next_line(struct span *rest, struct span *line)
{
    size_t i = span_find(*rest, '\n');
    if (i == rest->n || i == 0 || rest->p[i - 1] != '\r')
        return false;
    *line = span_cut(*rest, 0, i - 1);
    *rest = span_from(*rest, i + 1);
    return true;
}

static enum http_event read_target(struct http_reader *r, struct span t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] <= 0x20 || (unsigned char)t.p[i] >= 0x7f || t.p[i] == '#')
            return bad(r, 400, "The request target holds bytes that must not be there");
    if (t.n > HTTP_TARGET_MAX)
        return bad(r, 414, "The request target is too long");
    if (span_starts(t, "http://") || span_starts(t, "https://")) {
        t = span_from(t, span_starts(t, "https://") ? 8 : 7);
        t = span_from(t, span_find(t, '/'));
    }
    if (!span_starts(t, "/"))
        return bad(r, 400, "The request target is no path");
    size_t q = span_find(t, '?');
    r->q.path = span_cut(t, 0, q);
    r->q.query = q < t.n ? span_from(t, q + 1) : SPAN_ABSENT;
    return HTTP_MORE;
}

static enum http_event read_request_line(struct http_reader *r, struct span line)
{
    size_t a = span_find(line, ' ');
    struct span rest = span_from(line, a + 1);
    size_t b = span_find(rest, ' ');
    struct span version = span_from(rest, b + 1);
    r->q.method = span_cut(line, 0, a);
    if (a == line.n || b == rest.n || !is_token(r->q.method))
        return bad(r, 400, "This is no HTTP request");
    if (!span_starts(version, "HTTP/"))
        return bad(r, 400, "This is no HTTP request");
    if (!span_is(version, "HTTP/1.1") && !span_is(version, "HTTP/1.0"))
        return bad(r, 505, "Only HTTP/1.1 is spoken here");
    r->q.is_close = span_is(version, "HTTP/1.0");
    return read_target(r, span_cut(rest, 0, b));
}

static enum http_event read_length(struct http_reader *r, struct span v)
{
    uint64_t n = 0;
    if (!span_is_digits(v) || v.n > 15)
        return bad(r, v.n > 15 && span_is_digits(v) ? 413 : 400, "Content-Length is no usable number");
    for (size_t i = 0; i < v.n; i++)
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    if (r->q.has_length && r->q.length != n)
        return bad(r, 400, "There are two different Content-Length fields");
    r->q.has_length = true;
    r->q.length = n;
    return HTTP_MORE;
}

static enum http_event read_connection(struct http_reader *r, struct span v)
{
    struct span one;
    while (span_next(&v, ',', &one)) {
        if (span_is_nocase(span_trim(one), "close"))
            r->q.is_close = true;
        if (span_is_nocase(span_trim(one), "keep-alive"))
            r->q.is_close = false;
    }
    return HTTP_MORE;
}

static enum http_event read_field(struct http_reader *r, struct span line)
{
    size_t colon = span_find(line, ':');
    struct span name = span_cut(line, 0, colon), value = span_trim(span_from(line, colon + 1));
    if (colon == line.n || !is_token(name) || !is_text(value))
        return bad(r, 400, "A header field is malformed");
    if (r->q.n_fields == HTTP_FIELDS_MAX)
        return bad(r, 431, "There are too many header fields");
    r->q.fields[r->q.n_fields++] = (struct http_field){name, value};
    if (span_is_nocase(name, "Content-Length"))
        return read_length(r, value);
    if (span_is_nocase(name, "Transfer-Encoding")) {
        if (r->q.is_chunked || !span_is_nocase(value, "chunked"))
            return bad(r, 501, "The only transfer coding known here is chunked");
        r->q.is_chunked = true;
    }
    if (span_is_nocase(name, "Connection"))
        return read_connection(r, value);
    if (span_is_nocase(name, "Expect")) {
        if (!span_is_nocase(value, "100-continue"))
            return bad(r, 417, "This expectation cannot be met");
        r->q.expects_continue = true;
    }
    return HTTP_MORE;
}

static enum http_event read_head(struct http_reader *r)
{
    struct span rest = buf_span(&r->head), line;
    size_t hosts = 0;
    if (memchr(rest.p, '\0', rest.n))
        return bad(r, 400, "There is a NUL byte in the head");
    if (!next_line(&rest, &line))
        return bad(r, 400, "Lines must end with CR LF");
    if (read_request_line(r, line) == HTTP_BAD)
        return HTTP_BAD;
    bool is_old = r->q.is_close;
    while (rest.n) {
        if (!next_line(&rest, &line))
            return bad(r, 400, "Lines must end with CR LF");
        if (!line.n)
            break;
        if (read_field(r, line) == HTTP_BAD)
            return HTTP_BAD;
        hosts += span_is_nocase(r->q.fields[r->q.n_fields - 1].name, "Host");
    }
    if (hosts > 1 || (!hosts && !is_old))
        return bad(r, 400, "There must be one Host field");
    if (r->q.is_chunked && r->q.has_length)
        return bad(r, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (r->q.is_chunked && is_old)
        return bad(r, 400, "HTTP/1.0 knows no chunks");
    r->left = r->q.length;
    r->state = r->q.is_chunked ? AT_CHUNK_SIZE : r->q.length ? AT_BODY : AT_END;
    return HTTP_HEAD;
}

static enum http_event feed_head(struct http_reader *r, struct span *in)
{
    while (in->n) {
        size_t i = span_find(*in, '\n'), n = i < in->n ? i + 1 : in->n;
        buf_add(&r->head, in->p, n);
        if (r->head.is_full)
            return bad(r, r->head.n && memchr(r->head.p, '\n', r->head.n) ? 431 : 414, "The head of the request is too large");
        *in = span_from(*in, n);
        if (r->head.n == 2 && memcmp(r->head.p, "\r\n", 2) == 0 && r->line_n++ < EMPTY_LINES_MAX) {
            buf_reset(&r->head);        /* an empty line before a request (RFC 9112, 2.2) */
            continue;
        }
        if (r->head.n >= 2 && r->head.p[r->head.n - 1] == '\n' && r->head.p[r->head.n - 2] != '\r')
            return bad(r, 400, "Lines must end with CR LF");
        if (r->head.n >= 4 && memcmp(r->head.p + r->head.n - 4, "\r\n\r\n", 4) == 0) {
            r->line_n = 0;
            return read_head(r);
        }
    }
    return HTTP_MORE;
}

/* ---- the body ---- */

static enum http_event take_body(struct http_reader *r, struct span *in)
{
    size_t n = in->n < r->left ? in->n : (size_t)r->left;
    if (r->body.n + n > r->max_body)
        return bad(r, 413, "The body is too large");
    buf_add(&r->body, in->p, n);
    r->left -= n;
    *in = span_from(*in, n);
    return HTTP_MORE;
}

/* A line of at most sizeof line bytes; true when it is whole (without CR LF in line). */
static bool take_line(struct http_reader *r, struct span *in, bool *is_bad)
{
    while (in->n) {
        char c = in->p[0];
        *in = span_from(*in, 1);
        if (c == '\n') {
            *is_bad = r->line_n == 0 || r->line[r->line_n - 1] != '\r';
            if (r->line_n)
                r->line_n--;
            return true;
        }
        if (r->line_n == sizeof r->line || (r->line_n && r->line[r->line_n - 1] == '\r')) {
            *is_bad = true;
            return true;
        }
        r->line[r->line_n++] = c;
    }
    return false;
}

static enum http_event take_chunk_size(struct http_reader *r, struct span *in)
{
    bool is_bad = false;
    uint64_t n = 0;
    size_t i = 0;
    if (!take_line(r, in, &is_bad))
        return HTTP_MORE;
    for (; !is_bad && i < r->line_n && i < 9; i++) {
        char c = r->line[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0)
            break;
        n = n * 16 + (uint64_t)d;
    }
    if (is_bad || i == 0 || i > 8 || (i < r->line_n && r->line[i] != ';' && r->line[i] != ' ' && r->line[i] != '\t'))
        return bad(r, 400, "The size of a chunk is malformed");
    r->line_n = 0;
    r->left = n;
    if (r->body.n + n > r->max_body)
        return bad(r, 413, "The body is too large");
    r->state = n ? AT_CHUNK : AT_TRAILER;
    return HTTP_MORE;
}

static enum http_event take_chunk_end(struct http_reader *r, struct span *in)
{
    bool is_bad = false;
    if (!take_line(r, in, &is_bad))
        return HTTP_MORE;
    if (is_bad || r->line_n)
        return bad(r, 400, "A chunk is not as long as it says");
    r->state = AT_CHUNK_SIZE;
    return HTTP_MORE;
}

static enum http_event take_trailer(struct http_reader *r, struct span *in)
{
    size_t before = in->n;
    bool is_bad = false;
    bool is_whole = take_line(r, in, &is_bad);
    r->trailer_n += before - in->n;
    if (is_bad || r->trailer_n > TRAILER_MAX)
        return bad(r, 400, "The trailer is malformed");
    if (is_whole && r->line_n == 0)
        r->state = AT_END;
    if (is_whole)
        r->line_n = 0;
    return HTTP_MORE;
}

enum http_event http_reader_feed(struct http_reader *r, struct span *in)
{
    enum http_event ev = HTTP_MORE;
    for (;;) {
        if (r->state == AT_END)
            return HTTP_WHOLE;
        if (r->state == AT_BAD)
            return HTTP_BAD;
        if (!in->n)
            return HTTP_MORE;
        switch (r->state) {
        case AT_HEAD: ev = feed_head(r, in); break;
        case AT_BODY:
            ev = take_body(r, in);
            if (ev == HTTP_MORE && r->left == 0)
                r->state = AT_END;
            break;
        case AT_CHUNK_SIZE: ev = take_chunk_size(r, in); break;
        case AT_CHUNK:
            ev = take_body(r, in);
            if (ev == HTTP_MORE && r->left == 0)
                r->state = AT_CHUNK_END;
            break;
        case AT_CHUNK_END: ev = take_chunk_end(r, in); break;
        case AT_TRAILER: ev = take_trailer(r, in); break;
        }
        if (ev != HTTP_MORE)
            return ev;
    }
}

/* ---- pieces ---- */

struct span http_field(const struct http_request *q, const char *name)
{
    for (size_t i = 0; i < q->n_fields; i++)
        if (span_is_nocase(q->fields[i].name, name))
            return q->fields[i].value;
    return SPAN_ABSENT;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int http_unescape(struct span s, bool is_query, char *out, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int a = i + 2 < s.n ? hex_of(s.p[i + 1]) : -1, b = i + 2 < s.n ? hex_of(s.p[i + 2]) : -1;
            if (a < 0 || b < 0)
                return -1;
            c = (char)(a * 16 + b);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (!c || at + 1 >= n)
            return -1;
        out[at++] = c;
    }
    out[at] = '\0';
    return (int)at;
}

bool http_query(struct span query, const char *name, char *out, size_t n)
{
    struct span one;
    while (span_next(&query, '&', &one)) {
        size_t eq = span_find(one, '=');
        if (span_is(span_cut(one, 0, eq), name))
            return http_unescape(span_from(one, eq + 1), true, out, n) >= 0;
    }
    return false;
}

struct span http_param(struct span value, const char *name)
{
    struct span one;
    bool is_first = true;
    while (span_next(&value, ';', &one)) {
        size_t eq = span_find(one, '=');
        if (!is_first && span_is_nocase(span_trim(span_cut(one, 0, eq)), name) && eq < one.n) {
            one = span_trim(span_from(one, eq + 1));
            if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"')
                one = span_cut(one, 1, one.n - 2);
            return one;
        }
        is_first = false;
    }
    return SPAN_ABSENT;
}
