/*
 * NAME send_http - `labrelay send --to http://…`: posts a file to a FHIR or HL7 v2 endpoint and shows the answer.
 *
 * The media type is told from the bytes; a FHIR resource other than a Bundle goes to BASE/Type.
 * DIAGNOSTICS the path and libcurl's word; the file's content never appears.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "http.h"
#include "send_http.h"

#define FILE_MAX_BYTES ((size_t)64 << 20)
#define ANSWER_MAX_BYTES ((size_t)16 << 20)
#define ANSWER_WAIT_US 60000000LL

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct span name_at(struct span s, size_t i)
{
    size_t n = 0;
    while (i + n < s.n && is_name(s.p[i + n]))
        n++;
    return span_cut(s, i, n);
}

/* The FHIR type that the body says it is: the first "resourceType" of JSON, the root element of XML. */
static struct span resource_type(struct span body, bool is_xml)
{
    static const char key[] = "\"resourceType\"";
    if (is_xml) {
        for (size_t i = 0; i + 1 < body.n; i++)
            if (body.p[i] == '<' && is_name(body.p[i + 1]))
                return name_at(body, i + 1);
        return SPAN_ABSENT;
    }
    const char *p = memmem(body.p, body.n, key, sizeof key - 1);
    if (!p)
        return SPAN_ABSENT;
    size_t i = (size_t)(p - body.p) + sizeof key - 1;
    while (i < body.n && !is_name(body.p[i]))
        i++;
    return name_at(body, i);
}

static void make_url(struct buf *url, const char *to, struct span body, bool is_fhir, bool is_xml)
{
    buf_adds(url, to);
    while (url->n && url->p[url->n - 1] == '/')
        url->p[--url->n] = '\0';
    struct span type = is_fhir ? resource_type(body, is_xml) : SPAN_ABSENT;
    if (!span_has(type) || span_is(type, "Bundle"))
        return;
    struct span end = span_from(buf_span(url), url->n > type.n ? url->n - type.n : 0);
    if (!span_eq(end, type)) {
        buf_addc(url, '/');
        buf_add_span(url, type);
    }
}

int send_http(const char *to, const char *path, const char *token_file, bool is_json)
{
    struct buf file, url, auth, out;
    struct err e = ERR_INIT;
    int rc = EXIT_TEMPORARY;
    buf_init(&file, FILE_MAX_BYTES);
    buf_init(&url, 4096);
    buf_init(&auth, 65536);
    buf_init(&out, ANSWER_MAX_BYTES * 2);
    if (fs_load(path, &file, &e) || (token_file && (buf_adds(&auth, "Bearer "), fs_load(token_file, &auth, &e)))) {
        rc = cli_fail(&e);
        goto out;
    }
    while (auth.n && (auth.p[auth.n - 1] == '\n' || auth.p[auth.n - 1] == '\r'))
        auth.p[--auth.n] = '\0';
    struct span body = span_trim(buf_span(&file)), bare = span_starts(body, "\xef\xbb\xbf") ? span_from(body, 3) : body;
    bool is_xml = span_starts(bare, "<"), is_fhir = is_xml || span_starts(bare, "{");
    make_url(&url, to, bare, is_fhir, is_xml);
    struct http_client *c = http_client_new();
    struct http_request q = {.method = "POST", .url = url.p, .body = buf_span(&file), .authorization = auth.n ? auth.p : NULL, .timeout_us = ANSWER_WAIT_US,
                             .content_type = is_xml ? "application/fhir+xml" : is_fhir ? "application/fhir+json" : "application/hl7-v2+er7; charset=utf-8",
                             .max_body = ANSWER_MAX_BYTES, .is_insecure_ok = true};
    struct http_answer a = {.phase = HTTP_NOT_SENT};
    http_perform(c, &q, &a);
    if (a.phase == HTTP_ANSWERED) {
        bool is_fine = a.status >= 200 && a.status < 300;
        rc = is_fine ? EXIT_FINE : a.status >= 500 ? EXIT_TEMPORARY : EXIT_WRONG;
        if (is_json) {
            buf_addc(&out, '{');
            buf_json_kv(&out, "file", path);
            buf_json_kint(&out, "status", a.status);
            buf_json_kint(&out, "took_us", a.took_us);
            buf_json_key(&out, "accepted");
            buf_adds(&out, is_fine ? "true" : "false");
            buf_json_opt(&out, "answer", buf_span(&a.body));
            buf_adds(&out, "}\n");
        } else {
            buf_addf(&out, "%s: HTTP %d, %s after %.1f ms\n", path, a.status, is_fine ? "accepted" : "refused", (double)a.took_us / 1000.0);
            buf_add_span(&out, buf_span(&a.body));
            buf_addc(&out, '\n');
        }
        cli_print(&out);
    } else {
        (void)err_set(&e, ERR_TEMP, url.p, "%s: %s", a.phase == HTTP_NOT_SENT ? "not sent" : "sent, but no whole answer", a.error);
        rc = cli_fail(&e);
    }
    http_answer_clear(&a);
    http_client_free(c);
out:
    if (auth.p)
        explicit_bzero(auth.p, auth.cap);
    buf_clear(&file);
    buf_clear(&url);
    buf_clear(&auth);
    buf_clear(&out);
    return rc;
}
