/*
 * NAME godata_files - PDF reports beside a lab result: named in the body by ids of our own, uploaded before it is written.
 *
 * id = UUID of SHA-256 (outbreak, laboratory, filler number or specimen, content): the same report gives the same id however often it comes and
 * whatever answer was lost, and two patients never share one. An id that is there already is done. An unknown end is tried again.
 * DIAGNOSTICS FILES_GONE (the original is erased, or came in parts), and those of godata_judge().
 */
#include "godata_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define PATH_BYTES ((size_t)8 << 10)
#define KEY_BYTES ((size_t)1 << 16)
#define ID_BYTES 37

static void make_id(const struct godata_options *o, const struct record *r, const char *sha256, char out[ID_BYTES])
{
    unsigned char hash[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    struct span lab = span_has(r->report.lab.id) ? r->report.lab.id : r->report.lab.name;
    struct span parts[] = {span_of(o->outbreak), lab, r->report.filler_id, r->specimen.id, span_of(sha256)};
    struct buf b;
    buf_init(&b, KEY_BYTES);
    buf_adds(&b, "attachment");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        buf_addf(&b, ",%zu:%.*s", parts[i].n, SPAN_ARG(parts[i]));
    text_sha256(b.p, b.n, hash);
    buf_clear(&b);
    hash[6] = (unsigned char)((hash[6] & 0x0f) | 0x50);     /* shaped as a version 5 UUID */
    hash[8] = (unsigned char)((hash[8] & 0x3f) | 0x80);
    text_hex(hash, 16, hex);
    (void)snprintf(out, ID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* ---- build ---- */
bool godata_files_build(const struct godata_options *o, const struct record *r, struct lab_result *lab, struct arena *a)
{
    const struct rec_attachments *all = &r->report.attachments;
    size_t n = 0;
    if (!o->attachments.variable)
        return false;
    struct span *ids = arena_array(a, GODATA_FILES_MAX, sizeof *ids);
    struct lab_answer *answers = arena_array(a, lab->answers.n + 1, sizeof *answers);
    for (size_t i = 0; ids && i < all->n && n < GODATA_FILES_MAX; i++) {
        char id[ID_BYTES];
        if (!all->v[i].sha256[0] || all->v[i].bytes.n > GODATA_FILE_MAX)
            continue;
        make_id(o, r, all->v[i].sha256, id);
        bool is_known = false;
        for (size_t k = 0; k < n; k++)
            is_known = is_known || span_is(ids[k], id);
        if (!is_known)
            ids[n++] = arena_dup(a, span_of(id));
    }
    if (!n || !answers)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < lab->answers.n; i++)
        if (!span_is(lab->answers.v[i].variable, o->attachments.variable))
            answers[at++] = lab->answers.v[i];
    answers[at++] = (struct lab_answer){.variable = span_of(o->attachments.variable), .values = {ids, n}, .is_each = true};
    lab->answers = (struct lab_answers){answers, at};
    return true;
}

/* ---- upload ---- */
static void path_of(struct buf *b, const struct task *t, struct span id)
{
    const struct godata_armed *armed = t->armed;
    buf_adds(b, "/outbreaks/");
    godata_url_add(b, span_of(armed->outbreak_id));
    buf_adds(b, "/attachments");
    if (span_has(id)) {
        buf_addc(b, '/');
        godata_url_add(b, id);
    }
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || strchr("/.+-", s.p[i])))
            return false;
    return s.n > 0 && s.n < 100;
}

static void add_field(struct buf *b, const char *boundary, const char *name, const char *value)
{
    buf_addf(b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, name, value);
}

/* The form; the boundary is one that the file does not hold. */
static void make_form(struct buf *b, char boundary[80], const struct task_file *f, const char *id)
{
    char name[64];
    unsigned salt = 0;
    const char *mime = is_token(span_of(f->mime)) ? f->mime : "application/octet-stream";
    const char *ending = strcmp(mime, "application/pdf") == 0 ? ".pdf" : strcmp(mime, "image/png") == 0 ? ".png" : strcmp(mime, "image/jpeg") == 0 ? ".jpg" : "";
    do
        (void)snprintf(boundary, 80, "labrelay-%s-%u", id, salt++);
    while (memmem(f->bytes, f->n, boundary, strlen(boundary)));
    (void)snprintf(name, sizeof name, "lab-report-%.8s%s", f->sha256, ending);     /* nothing of the message: titles name people */
    add_field(b, boundary, "name", name);
    add_field(b, boundary, "attachmentId", id);
    buf_addf(b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n", boundary, name, mime);
    buf_add(b, f->bytes, f->n);
    buf_addf(b, "\r\n--%s--\r\n", boundary);
}

static bool stands(struct task *t, struct http_client *http, struct span id, bool *is_there)
{
    struct godata_reply r;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    path_of(&path, t, id);
    godata_call(t, http, "GET", buf_span(&path), SPAN_ABSENT, &r);
    *is_there = r.status == 200 && span_eq(godata_json_text(r.json, "id"), id);
    bool is_known = *is_there || (r.status == 404 && r.is_error);
    if (!is_known)
        godata_fail(t, http, &r, GODATA_READ);
    godata_reply_clear(&r);
    buf_clear(&path);
    return is_known;
}

static bool send(struct task *t, struct http_client *http, const struct task_file *f, const char *id)
{
    struct godata_reply r;
    struct buf path, form, type;
    char boundary[80];
    bool is_there = false;
    buf_init(&path, PATH_BYTES);
    buf_init(&type, PATH_BYTES);
    buf_init(&form, GODATA_FILE_MAX + PATH_BYTES);
    path_of(&path, t, SPAN_ABSENT);
    make_form(&form, boundary, f, id);
    buf_addf(&type, "multipart/form-data; boundary=%s", boundary);
    godata_call_as(t, http, "POST", buf_span(&path), buf_span(&form), type.p, &r);
    bool is_sent = r.status == 200 && span_is(godata_json_text(r.json, "id"), id), is_repeated = r.status == 422;
    if (!is_sent && !is_repeated)
        godata_fail(t, http, &r, GODATA_READ);      /* an open end is only tried again: the id makes it harmless */
    godata_reply_clear(&r);
    buf_clear(&form);
    buf_clear(&type);
    buf_clear(&path);
    if (is_repeated && stands(t, http, span_of(id), &is_there)) {
        if (!is_there)
            godata_finish(t, VERDICT_REJECTED, "FILE_REFUSED", "Go.Data does not take the attachment");
        return is_there;
    }
    return is_sent;
}

/* The file that stands at this place of the answer, as godata_files_build() counted. */
static const struct task_file *file_at(const struct task *t, size_t which)
{
    size_t met = 0;
    for (size_t i = 0; i < t->n_files; i++) {
        bool is_known = t->files[i].n > GODATA_FILE_MAX;
        for (size_t k = 0; k < i && !is_known; k++)
            is_known = strcmp(t->files[k].sha256, t->files[i].sha256) == 0;
        if (!is_known && met++ == which)
            return &t->files[i];
    }
    return NULL;
}

bool godata_files_put(struct task *t, struct http_client *http)
{
    const struct godata_options *o = t->options;
    if (!(t->flags & DELIVERY_HAS_FILES) || t->are_files_sent || !o->attachments.variable)
        return true;
    json_t *body = json_loads(t->body ? t->body : "{}", 0, NULL), *answer;
    size_t i;
    bool is_good = true;
    json_array_foreach(json_object_get(json_object_get(body, "questionnaireAnswers"), o->attachments.variable), i, answer) {
        const char *id = json_string_value(json_object_get(answer, "value"));
        bool is_there = false;
        if (!id || !godata_is_uuid(span_of(id)))
            continue;                       /* an answer of a rule: no file of ours */
        is_good = stands(t, http, span_of(id), &is_there);
        if (is_good && !is_there) {
            const struct task_file *f = file_at(t, i);
            is_good = f && send(t, http, f, id);
            if (!f)
                godata_finish(t, VERDICT_REJECTED, "FILES_GONE", "the original of the message cannot be read any more");
        }
        if (!is_good)
            break;
    }
    t->are_files_sent = is_good;
    json_decref(body);
    return is_good;
}
