/*
 * NAME in_http_body - what the HTTP channel says itself: OperationOutcome, CapabilityStatement, words for status codes.
 * DIAGNOSTICS none. Texts are constants of ours; the only value of the outside is the configured base path.
 */
#include <string.h>

#include "in_http_inner.h"

const char *http_reason(int status)
{
    static const struct { int status; const char *reason; } all[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
        {415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {422, "Unprocessable Content"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].status == status)
            return all[i].reason;
    return "Unknown";
}

void http_outcome(struct buf *b, bool is_xml, const char *severity, const char *issue, const char *text)
{
    if (is_xml) {
        buf_addf(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OperationOutcome xmlns=\"http://hl7.org/fhir\"><issue><severity value=\"%s\"/><code value=\"%s\"/>"
                    "<diagnostics value=\"%s\"/></issue></OperationOutcome>", severity, issue, text);
        return;
    }
    buf_addf(b, "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"%s\",\"code\":\"%s\",\"diagnostics\":\"%s\"}]}", severity, issue, text);
}

/* The quotes that the format needs around a path of the configuration. */
static void add_path(struct buf *b, bool is_xml, const char *path)
{
    for (; *path; path++)
        if (is_xml && (*path == '&' || *path == '<' || *path == '"'))
            buf_adds(b, *path == '&' ? "&amp;" : *path == '<' ? "&lt;" : "&quot;");
        else if (!is_xml && (*path == '"' || *path == '\\'))
            buf_addf(b, "\\%c", *path);
        else
            buf_addc(b, *path);
}

static const struct { const char *type; bool has_update; } resources[] = {{"Bundle", false}, {"DiagnosticReport", true}, {"Observation", true}, {"Patient", true}};
#define RESOURCES (sizeof resources / sizeof resources[0])

static void capabilities_json(struct buf *b, const char *base, size_t n)
{
    buf_adds(b, "{\"resourceType\":\"CapabilityStatement\",\"status\":\"active\",\"date\":\"2026-11-21\",\"kind\":\"instance\",\"software\":{\"name\":\"labrelay\"},"
                "\"implementation\":{\"description\":\"Takes laboratory results in; nothing is kept to be read. Base path: ");
    add_path(b, false, base);
    buf_adds(b, "\"},\"fhirVersion\":\"4.0.1\",\"format\":[\"json\",\"xml\"],\"rest\":[{\"mode\":\"server\",\"resource\":[");
    for (size_t i = 0; i < n; i++) {
        buf_addf(b, "%s{\"type\":\"%s\",\"interaction\":[{\"code\":\"create\"}%s],\"versioning\":\"no-version\",\"conditionalCreate\":true", i ? "," : "", resources[i].type,
                 resources[i].has_update ? ",{\"code\":\"update\"}" : "");
        buf_adds(b, resources[i].has_update ? ",\"updateCreate\":true,\"conditionalUpdate\":true}" : ",\"updateCreate\":false,\"conditionalUpdate\":false}");
    }
    buf_adds(b, "],\"interaction\":[{\"code\":\"transaction\"},{\"code\":\"batch\"}],\"operation\":[{\"name\":\"process-message\","
                "\"definition\":\"http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message\"}]}]}");
}

static void capabilities_xml(struct buf *b, const char *base, size_t n)
{
    buf_adds(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CapabilityStatement xmlns=\"http://hl7.org/fhir\"><status value=\"active\"/><date value=\"2026-11-21\"/>"
                "<kind value=\"instance\"/><software><name value=\"labrelay\"/></software><implementation>"
                "<description value=\"Takes laboratory results in; nothing is kept to be read. Base path: ");
    add_path(b, true, base);
    buf_adds(b, "\"/></implementation><fhirVersion value=\"4.0.1\"/><format value=\"json\"/><format value=\"xml\"/><rest><mode value=\"server\"/>");
    for (size_t i = 0; i < n; i++) {
        buf_addf(b, "<resource><type value=\"%s\"/><interaction><code value=\"create\"/></interaction>%s<versioning value=\"no-version\"/>", resources[i].type,
                 resources[i].has_update ? "<interaction><code value=\"update\"/></interaction>" : "");
        buf_addf(b, "<updateCreate value=\"%s\"/><conditionalCreate value=\"true\"/><conditionalUpdate value=\"%s\"/></resource>", resources[i].has_update ? "true" : "false",
                 resources[i].has_update ? "true" : "false");
    }
    buf_adds(b, "<interaction><code value=\"transaction\"/></interaction><interaction><code value=\"batch\"/></interaction><operation><name value=\"process-message\"/>"
                "<definition value=\"http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message\"/></operation></rest></CapabilityStatement>");
}

void http_capabilities(struct buf *b, bool is_xml, bool takes_persons, const char *base)
{
    if (is_xml)
        capabilities_xml(b, base, takes_persons ? RESOURCES : RESOURCES - 1);
    else
        capabilities_json(b, base, takes_persons ? RESOURCES : RESOURCES - 1);
}

static bool is_issue(const struct reply *r, const char *word)
{
    return r->issue && strcmp(r->issue, word) == 0;
}

/* STANDARDS 6.7, "Codes": 400 what is broken, 422 what is FHIR and cannot be used. */
int http_status_of(const struct http_plan *p, const struct reply *r)
{
    switch ((enum frame_fate)r->status) {
    case FATE_BUSY:
        return 503;
    case FATE_QUARANTINED:
        if (!r->parser)
            return 415;
        return is_issue(r, "too-long") ? 413 : 400;     /* it needs more memory than its size allows; deep or broken is 400 */
    case FATE_REFUSED:
        return is_issue(r, "structure") ? 400 : is_issue(r, "multiple-matches") ? 412 : 422;
    case FATE_DUPLICATE:
        return p->has_condition || p->is_update ? 200 : p->status;
    case FATE_STORED:
        return p->is_update && r->is_known ? 200 : p->status;
    }
    return 500;
}
