/*
 * NAME
 *   sandbox_attach - attachments: multipart upload, download, delete
 *
 *   `name` and `file` are required, `attachmentId` is the client's own id. The type is what the client declared.
 *
 * DIAGNOSTICS
 *   400 MISSING_REQUIRED_PROPERTY, 404 FILE_NOT_FOUND, 422 ValidationError for a repeated id.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* memmem */
#endif
#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "sandbox_server.h"

struct form {
    struct span name, id, file, file_name, file_type;
    bool has_name, has_file;
};

/* A parameter such as name="x" of a header value; absent when it is not there. */
static struct span parameter(struct span value, const char *key)
{
    struct span part;
    while (span_next(&value, ';', &part)) {
        part = span_trim(part);
        size_t eq = span_find(part, '=');
        if (!span_is_nocase(span_cut(part, 0, eq), key))
            continue;
        part = span_from(part, eq + 1);
        if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"')
            part = span_cut(part, 1, part.n - 2);
        return part;
    }
    return SPAN_ABSENT;
}

static void read_part(struct form *f, struct span part)
{
    struct span head = part, body = SPAN_ABSENT, line, disposition = SPAN_ABSENT, type = SPAN_ABSENT;
    const char *blank = memmem(part.p, part.n, "\r\n\r\n", 4);
    if (!blank)
        return;
    head.n = (size_t)(blank - part.p);
    body = span_from(part, head.n + 4);
    while (span_next(&head, '\n', &line)) {
        size_t colon = span_find(line, ':');
        struct span name = span_trim(span_cut(line, 0, colon)), value = span_trim(span_from(line, colon + 1));
        if (span_is_nocase(name, "Content-Disposition"))
            disposition = value;
        else if (span_is_nocase(name, "Content-Type"))
            type = value;
    }
    struct span field = parameter(disposition, "name");
    if (span_is(field, "name")) {
        f->name = body;
        f->has_name = span_has(body);
    } else if (span_is(field, "attachmentId")) {
        f->id = body;
    } else if (span_is(field, "file")) {
        f->file = body;
        f->file_name = parameter(disposition, "filename");
        f->file_type = type;
        f->has_file = true;
    }
}

static void read_form(struct form *f, const struct sandbox_request *r)
{
    struct span boundary = parameter(sandbox_request_header(r, "Content-Type"), "boundary"), body = r->body;
    char mark[160];
    if (!span_has(boundary) || boundary.n > 120)
        return;
    int n = snprintf(mark, sizeof mark, "--%.*s", SPAN_ARG(boundary));
    const char *at = memmem(body.p, body.n, mark, (size_t)n), *end = body.p + body.n;
    while (at) {
        const char *start = at + n;
        if (end - start < 2 || memcmp(start, "--", 2) == 0)
            return;
        const char *next = memmem(start, (size_t)(end - start), mark, (size_t)n);
        if (next && next - start >= 4)                  /* CRLF behind the mark before, CRLF before the next */
            read_part(f, span_make(start + 2, (size_t)(next - start) - 4));
        at = next;
    }
}

void on_attachment_create(struct sandbox_call *c)
{
    struct form f = {0};
    char fresh[SANDBOX_ID_SIZE];
    read_form(&f, c->req);
    if (!f.has_name || !f.has_file) {
        const char *missing = f.has_name ? "file" : f.has_file ? "name" : "name, file";
        call_fail(c, 400, NULL, "MISSING_REQUIRED_PROPERTY", json_pack("{ssss}", "model", "fileAttachment", "properties", missing),
                  "One or more required properties are missing for `fileAttachment`: %s", missing);
        return;
    }
    sandbox_uuid(fresh);
    json_t *doc = json_object();
    json_object_set_new(doc, "id", span_has(f.id) ? json_stringn(f.id.p, f.id.n) : json_string(fresh));
    json_object_set_new(doc, "outbreakId", json_string(c->outbreak_id));
    json_object_set_new(doc, "name", json_stringn_nocheck(f.name.p, f.name.n));
    json_object_set_new(doc, "originalName", json_stringn_nocheck(f.file_name.n ? f.file_name.p : "", f.file_name.n));
    json_object_set_new(doc, "mimeType", span_has(f.file_type) ? json_stringn_nocheck(f.file_type.p, f.file_type.n) : json_string("application/octet-stream"));
    model_stamp_new(c, doc, sandbox_now_ms());
    const char *id = sandbox_json_get(doc, "id");
    if (sandbox_db_insert(c->s->db, RECORD_ATTACHMENT, doc)) {
        call_fail_unique(c, "fileAttachment", id);
    } else {
        sandbox_db_put_file(c->s->db, id, f.file.n ? f.file.p : "", f.file.n);
        call_reply_json(c, 200, doc);
    }
    json_decref(doc);
}

/* The living attachment of the path; NULL: answered. New reference. */
static json_t *attachment_of_path(struct sandbox_call *c)
{
    json_t *doc = sandbox_db_get(c->s->db, RECORD_ATTACHMENT, c->id[0]);
    const char *outbreak = sandbox_json_get(doc, "outbreakId");
    if (doc && !json_is_true(json_object_get(doc, "deleted")) && outbreak && strcmp(outbreak, c->outbreak_id) == 0)
        return doc;
    json_decref(doc);
    call_fail_instance(c, c->id[0], "fileAttachment");
    return NULL;
}

void on_attachment_get(struct sandbox_call *c)
{
    json_t *doc = attachment_of_path(c);
    if (doc)
        call_reply_new(c, doc);
}

void on_attachment_download(struct sandbox_call *c)
{
    json_t *doc = attachment_of_path(c);
    size_t n = 0;
    if (!doc)
        return;
    char *bytes = sandbox_db_get_file(c->s->db, c->id[0], &n);
    const char *original = sandbox_json_get(doc, "originalName"), *dot = original ? strrchr(original, '.') : NULL, *name = sandbox_json_get(doc, "name");
    const char *type = sandbox_json_get(doc, "mimeType");
    if (!bytes) {
        call_fail(c, 404, NULL, "FILE_NOT_FOUND", NULL, "File not found");
    } else if (strpbrk(name, "\r\n") || strpbrk(type, "\r\n")) {
        call_fail_internal(c, json_pack("{ssss}", "message", "Invalid character in header content [\"Content-Disposition\"]", "name", "TypeError"));
    } else {
        buf_addf(&c->headers, "Content-Disposition: attachment;filename=%s%s\r\n", name, dot ? dot : "");
        call_reply(c, 200, type, span_make(bytes, n));
    }
    free(bytes);
    json_decref(doc);
}

void on_attachment_delete(struct sandbox_call *c)
{
    json_t *doc = attachment_of_path(c);
    int64_t now = sandbox_now_ms();
    if (!doc)
        return;
    model_stamp(c, doc, now);
    model_delete(doc, now);
    sandbox_db_update(c->s->db, RECORD_ATTACHMENT, doc);
    json_decref(doc);
    call_reply_json(c, 204, NULL);
}
