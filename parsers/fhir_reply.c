/*
 * NAME fhir_reply - OperationOutcome and response Bundles in JSON and XML.
 *
 * A small writer knows both forms: an element is opened, valued or closed by name, arrays are told to JSON and are repetition in XML.
 * DIAGNOSTICS none; a full buf is seen by its is_full. OWNERSHIP appends to the caller's buf.
 */
#include "fhir_reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* ---- writer ---- */

struct out { struct buf *b; bool is_xml; };

static void xml_text(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        switch (c) {
        case '&': buf_adds(b, "&amp;"); break;
        case '<': buf_adds(b, "&lt;"); break;
        case '>': buf_adds(b, "&gt;"); break;
        case '"': buf_adds(b, "&quot;"); break;
        default: buf_addc(b, c < 0x20 ? ' ' : (char)c); break;
        }
    }
}

static void put(const struct out *o, const char *name, struct span value)
{
    if (!value.n)
        return;
    if (!o->is_xml) {
        buf_json_opt(o->b, name, value);
        return;
    }
    buf_addf(o->b, "<%s value=\"", name);
    xml_text(o->b, value);
    buf_adds(o->b, "\"/>");
}

static void put_str(const struct out *o, const char *name, const char *value)
{
    put(o, name, span_of(value));
}

/* ["value"] in JSON */
static void put_array(const struct out *o, const char *name, struct span value)
{
    if (o->is_xml || !value.n) {
        put(o, name, value);
        return;
    }
    buf_json_key(o->b, name);
    buf_addc(o->b, '[');
    buf_json_span(o->b, value);
    buf_addc(o->b, ']');
}

static void open_object(const struct out *o, const char *name)
{
    if (o->is_xml) {
        buf_addf(o->b, "<%s>", name);
        return;
    }
    buf_json_key(o->b, name);
    buf_addc(o->b, '{');
}

static void close_object(const struct out *o, const char *name)
{
    if (o->is_xml)
        buf_addf(o->b, "</%s>", name);
    else
        buf_addc(o->b, '}');
}

static void open_array(const struct out *o, const char *name)
{
    if (o->is_xml)
        return;
    buf_json_key(o->b, name);
    buf_addc(o->b, '[');
}

static void close_array(const struct out *o)
{
    if (!o->is_xml)
        buf_addc(o->b, ']');
}

static void open_element(const struct out *o, const char *name)
{
    if (o->is_xml) {
        buf_addf(o->b, "<%s>", name);
        return;
    }
    buf_json_sep(o->b);
    buf_addc(o->b, '{');
}

/* is_root: the document's own element */
static void open_resource(const struct out *o, const char *type, bool is_root)
{
    if (o->is_xml) {
        buf_addf(o->b, is_root ? "<%s xmlns=\"http://hl7.org/fhir\">" : "<%s>", type);
        return;
    }
    if (is_root)
        buf_addc(o->b, '{');
    buf_json_kv(o->b, "resourceType", type);
}

static void close_resource(const struct out *o, const char *type, bool is_root)
{
    if (o->is_xml)
        buf_addf(o->b, "</%s>", type);
    else if (is_root)
        buf_addc(o->b, '}');
}

/* ---- OperationOutcome ---- */

static void put_issues(const struct out *o, const struct fhir_issue *v, size_t n)
{
    open_array(o, "issue");
    for (size_t i = 0; i < n; i++) {
        open_element(o, "issue");
        put_str(o, "severity", v[i].severity);
        put_str(o, "code", v[i].code);
        put_str(o, "diagnostics", v[i].text);
        put_array(o, "expression", v[i].expression);
        close_object(o, "issue");
    }
    close_array(o);
}

static void put_outcome(const struct out *o, const struct fhir_issue *v, size_t n, bool is_root)
{
    static const struct fhir_issue nothing = {.severity = "information", .code = "informational", .text = "Nothing to report"};
    open_resource(o, "OperationOutcome", is_root);
    put_issues(o, n ? v : &nothing, n ? n : 1);
    close_resource(o, "OperationOutcome", is_root);
}

static struct out start(struct buf *b, enum rec_format format)
{
    struct out o = {.b = b, .is_xml = format == REC_FHIR_XML};
    if (o.is_xml)
        buf_adds(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    return o;
}

void fhir_reply_issues(struct buf *b, enum rec_format format, const struct fhir_issue *v, size_t n)
{
    struct out o = start(b, format);
    put_outcome(&o, v, n, true);
}

void fhir_reply_outcome(struct buf *b, enum rec_format format, const char *severity, const char *code, const char *text, const char *expression)
{
    const struct fhir_issue one = {severity, code, text, span_of(expression)};
    fhir_reply_issues(b, format, &one, 1);
}

static struct fhir_issue issue_of(const struct problem *p)
{
    bool is_remark = p->severity == 'W';
    return (struct fhir_issue){.severity = is_remark ? "warning" : "error", .code = is_remark ? "informational" : p->name,
                               .text = is_remark ? p->name : p->text,
                               .expression = p->expression.n ? p->expression : span_of(p->where[0] && strncmp(p->where, "line ", 5) ? p->where : NULL)};
}

static struct fhir_issue fate_issue(enum frame_fate fate)
{
    switch (fate) {
    case FATE_STORED: return (struct fhir_issue){"information", "informational", "Stored", SPAN_ABSENT};
    case FATE_DUPLICATE: return (struct fhir_issue){"information", "duplicate", "Received before; nothing was stored again", SPAN_ABSENT};
    case FATE_REFUSED: return (struct fhir_issue){"error", "invalid", "Refused", SPAN_ABSENT};
    case FATE_QUARANTINED: return (struct fhir_issue){"error", "structure", "This cannot be read", SPAN_ABSENT};
    case FATE_BUSY: return (struct fhir_issue){"error", "transient", "Not stored: try again later", SPAN_ABSENT};
    }
    return (struct fhir_issue){"error", "exception", NULL, SPAN_ABSENT};
}

enum { MAX_ISSUES = 128 };            /* more than a message keeps */

static size_t collect(const struct parsed *p, enum frame_fate fate, struct fhir_issue v[MAX_ISSUES])
{
    size_t n = 0;
    bool has_error = false;
    for (size_t i = 0; fate != FATE_BUSY && i < p->n_problems && n + 1 < MAX_ISSUES; i++) {
        v[n++] = issue_of(&p->problems[i]);
        has_error |= p->problems[i].severity != 'W';
    }
    if (!has_error || fate == FATE_STORED || fate == FATE_DUPLICATE)
        v[n++] = fate_issue(fate);
    return n;
}

void fhir_reply_message(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate)
{
    struct fhir_issue v[MAX_ISSUES];
    fhir_reply_issues(b, format, v, collect(p, fate, v));
}

unsigned fhir_reply_status(const struct parsed *p, enum frame_fate fate)
{
    switch (fate) {
    case FATE_STORED: return fhir_info_of(p)->kind == FHIR_LONE ? 201 : 200;
    case FATE_DUPLICATE: return 200;
    case FATE_REFUSED: return 422;
    case FATE_QUARANTINED: return 400;
    case FATE_BUSY: return 503;
    }
    return 500;
}

/* ---- response Bundles ---- */

void fhir_reply_id(const struct parsed *p, size_t place, char out[65])
{
    const struct fhir_info *info = fhir_info_of(p);
    unsigned char sum[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1], number[24];
    if (place < info->n_entries && span_is(info->entries[place].method, "PUT") && span_has(info->entries[place].id)) {
        (void)snprintf(out, 65, "%.*s", (int)(info->entries[place].id.n > 64 ? 64 : info->entries[place].id.n), info->entries[place].id.p);
        return;
    }
    struct buf b;
    buf_init(&b, 256);
    text_sha256(p->raw.p, p->raw.n, sum);
    text_hex(sum, sizeof sum, hex);
    buf_adds(&b, hex);
    (void)snprintf(number, sizeof number, ".%zu", place);
    buf_adds(&b, number);
    text_sha256(b.p, b.n, sum);
    buf_clear(&b);
    sum[6] = (unsigned char)((sum[6] & 0x0f) | 0x80);       /* UUID version 8: made of a hash */
    sum[8] = (unsigned char)((sum[8] & 0x3f) | 0x80);
    text_hex(sum, 16, hex);
    (void)snprintf(out, 65, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static void put_instant(const struct out *o, const char *name, int64_t now_us)
{
    char t[40];
    time_t s = (time_t)(now_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&s, &tm))
        return;
    size_t n = strftime(t, sizeof t, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(t + n, sizeof t - n, ".%03dZ", (int)(now_us / 1000 % 1000));
    put_str(o, name, t);
}

static void put_location(const struct out *o, const struct parsed *p, size_t i, const char *base)
{
    const struct fhir_entry *e = &fhir_info_of(p)->entries[i];
    char id[65];
    struct buf url;
    fhir_reply_id(p, i, id);
    buf_init(&url, 4096);
    buf_addf(&url, "%s/%.*s/%s/_history/1", base, SPAN_ARG(span_cut(e->type, 0, 64)), id);
    put(o, "location", buf_span(&url));
    buf_clear(&url);
}

static void put_entry_issue(const struct out *o, const struct problem *issue)
{
    const struct fhir_issue v = issue_of(issue);
    open_object(o, "outcome");
    put_outcome(o, &v, 1, false);
    close_object(o, "outcome");
}

static void put_entry(const struct out *o, const struct parsed *p, size_t i, enum frame_fate fate, const char *base, int64_t now_us)
{
    const struct fhir_entry *e = &fhir_info_of(p)->entries[i];
    bool is_good = !e->issue && (fate == FATE_STORED || fate == FATE_DUPLICATE);
    open_element(o, "entry");
    open_object(o, "response");
    if (is_good) {
        put_str(o, "status", fate == FATE_STORED ? "201 Created" : "200 OK");
        put_location(o, p, i, base);
        put_str(o, "etag", "W/\"1\"");
        put_instant(o, "lastModified", now_us);
    } else if (e->issue) {
        put_str(o, "status", "422 Unprocessable Entity");
        put_entry_issue(o, e->issue);
    } else {
        put_str(o, "status", fate == FATE_BUSY ? "503 Service Unavailable" : "422 Unprocessable Entity");
    }
    close_object(o, "response");
    close_object(o, "entry");
}

void fhir_reply_bundle(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate, const char *base, int64_t now_us)
{
    const struct fhir_info *info = fhir_info_of(p);
    struct out o = start(b, format);
    open_resource(&o, "Bundle", true);
    put_str(&o, "type", info->kind == FHIR_BATCH ? "batch-response" : "transaction-response");
    if (info->n_entries) {
        open_array(&o, "entry");
        for (size_t i = 0; i < info->n_entries; i++)
            put_entry(&o, p, i, fate, base, now_us);
        close_array(&o);
    }
    close_resource(&o, "Bundle", true);
}

/* ---- $process-message ---- */

static void put_urn(const struct out *o, const char *name, const char *id)
{
    char urn[80];
    (void)snprintf(urn, sizeof urn, "urn:uuid:%s", id);
    put_str(o, name, urn);
}

static void put_header(const struct out *o, const struct parsed *p, enum frame_fate fate, const char *endpoint, const char *outcome_id)
{
    const struct fhir_info *info = fhir_info_of(p);
    const char *code = fate == FATE_BUSY ? "transient-error" : fate == FATE_STORED || fate == FATE_DUPLICATE ? "ok" : "fatal-error";
    open_resource(o, "MessageHeader", false);
    open_object(o, "eventCoding");
    put_str(o, "system", "http://terminology.hl7.org/CodeSystem/message-events");
    put_str(o, "code", "admin-notify");
    close_object(o, "eventCoding");
    if (info->header_endpoint.n) {
        open_array(o, "destination");
        open_element(o, "destination");
        put(o, "endpoint", info->header_endpoint);
        close_object(o, "destination");
        close_array(o);
    }
    open_object(o, "source");
    put_str(o, "endpoint", endpoint);
    close_object(o, "source");
    open_object(o, "response");
    put(o, "identifier", info->header_id.n ? info->header_id : p->message.control_id);
    put_str(o, "code", code);
    open_object(o, "details");
    put_urn(o, "reference", outcome_id);
    close_object(o, "details");
    close_object(o, "response");
    close_resource(o, "MessageHeader", false);
}

void fhir_reply_process(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate, const char *endpoint, int64_t now_us)
{
    struct fhir_issue v[MAX_ISSUES];
    size_t n = collect(p, fate, v);
    char header_id[65], outcome_id[65];
    struct out o = start(b, format);
    fhir_reply_id(p, 1000001, header_id);
    fhir_reply_id(p, 1000002, outcome_id);
    open_resource(&o, "Bundle", true);
    put_str(&o, "type", "message");
    put_instant(&o, "timestamp", now_us);
    open_array(&o, "entry");
    open_element(&o, "entry");
    put_urn(&o, "fullUrl", header_id);
    open_object(&o, "resource");
    put_header(&o, p, fate, endpoint, outcome_id);
    close_object(&o, "resource");
    close_object(&o, "entry");
    open_element(&o, "entry");
    put_urn(&o, "fullUrl", outcome_id);
    open_object(&o, "resource");
    put_outcome(&o, v, n, false);
    close_object(&o, "resource");
    close_object(&o, "entry");
    close_array(&o);
    close_resource(&o, "Bundle", true);
}
