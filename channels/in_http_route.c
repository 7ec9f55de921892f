/*
 * NAME in_http_route - what a request asks for: path, method, credentials, media types, Prefer, conditions (STANDARDS 6.6, 6.7).
 *
 * ORDER path, credentials, method, answer's form (406), body's form (415), length (413), so that nobody without a token learns more than that
 * there is a server. Pure: request in, plan out; nothing of the request gets into an answer.
 * DIAGNOSTICS none: the plan holds status, issue code and sentence.
 */
#include <stdio.h>
#include <string.h>

#include "in_http_inner.h"
#include "secret.h"

static const char *const types[] = {"Bundle", "DiagnosticReport", "Observation"};

static void say(struct http_plan *p, int status, const char *issue, const char *text)
{
    p->what = HTTP_SAY;
    p->status = status;
    p->issue = issue;
    p->text = text;
}

static void say_method(struct http_plan *p, const char *allow)
{
    say(p, 405, "not-supported", "This method is not supported here: results are taken in, nothing is kept to be read or changed");
    p->allow = allow;
}

/* ---- credentials ---- */

/* Looks at all of them, always: the time does not tell which one it is. */
static bool is_among(struct span s, unsigned char (*v)[TEXT_SHA256_BYTES], size_t n)
{
    unsigned char sum[TEXT_SHA256_BYTES];
    bool is_in = false;
    text_sha256(s.p ? s.p : "", s.n, sum);
    for (size_t i = 0; i < n; i++)
        is_in |= secret_equal(span_make((const char *)sum, sizeof sum), span_make((const char *)v[i], sizeof sum));
    return is_in;
}

static bool is_let_in(const struct http_secrets *s, const struct http_request *q)
{
    struct span v = http_field(q, "Authorization");
    unsigned char plain[1024];
    int64_t n;
    if (!s->n_tokens && !s->n_basic)
        return true;
    size_t blank = span_find(v, ' ');
    struct span scheme = span_cut(v, 0, blank), rest = span_trim(span_from(v, blank + 1));
    if (span_is_nocase(scheme, "Bearer"))
        return is_among(rest, s->tokens, s->n_tokens);
    if (!span_is_nocase(scheme, "Basic") || rest.n > sizeof plain)
        return false;
    n = text_base64_decode(rest, plain);
    return n > 0 && is_among(span_make((const char *)plain, (size_t)n), s->basic, s->n_basic);
}

/* ---- media types ---- */

static struct span type_only(struct span v)
{
    return span_trim(span_cut(v, 0, span_find(v, ';')));
}

static bool is_one_of(struct span s, const char *const *v)
{
    for (; *v; v++)
        if (span_is_nocase(s, *v))
            return true;
    return false;
}

static bool is_json_type(struct span s)
{
    static const char *const all[] = {"application/fhir+json", "application/json", "text/json", "application/json+fhir", NULL};
    return is_one_of(s, all);
}

static bool is_xml_type(struct span s)
{
    static const char *const all[] = {"application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir", NULL};
    return is_one_of(s, all);
}

static bool is_hl7_type(struct span s)
{
    static const char *const all[] = {"application/hl7-v2+er7", "x-application/hl7-v2+er7", "application/hl7-v2", NULL};
    return is_one_of(s, all);
}

static bool is_version_right(struct span value)
{
    struct span v = http_param(value, "fhirVersion");
    return span_is_absent(v) || span_is(v, "4.0") || span_is(v, "4.0.1");
}

static bool is_charset_right(struct span value)
{
    struct span v = http_param(value, "charset");
    return span_is_absent(v) || span_is_nocase(v, "utf-8") || span_is_nocase(v, "utf8");
}

static bool is_weight_zero(struct span one)
{
    struct span q = http_param(one, "q");
    if (span_is_absent(q))
        return false;
    for (size_t i = 0; i < q.n; i++)
        if (q.p[i] != '0' && q.p[i] != '.')
            return false;
    return true;
}

/* The first form of Accept that we can write; its order counts, weights but 0 do not. */
static bool accept_form(struct span accept, struct http_plan *p)
{
    struct span one;
    while (span_next(&accept, ',', &one)) {
        struct span t = type_only(one);
        if (is_weight_zero(one) || !is_version_right(one))
            continue;
        if (is_json_type(t) || is_xml_type(t)) {
            p->ask.form = is_xml_type(t) ? ASK_FORM_XML : ASK_FORM_JSON;
            return true;
        }
        if (span_is(t, "*/*") || span_is(t, "application/*") || span_is(t, "text/*"))
            return true;
    }
    return false;
}

static bool choose_form(const struct http_request *q, struct http_plan *p)
{
    char format[80];
    struct span accept = http_field(q, "Accept");
    if (http_query(q->query, "_format", format, sizeof format)) {
        for (char *c = format; *c; c++)
            if (*c == ' ')
                *c = '+';               /* application/fhir+json written without escapes */
        struct span f = type_only(span_of(format));
        if (span_is(f, "json") || is_json_type(f))
            p->ask.form = ASK_FORM_JSON;
        else if (span_is(f, "xml") || is_xml_type(f))
            p->ask.form = ASK_FORM_XML;
        else
            return false;
        return is_version_right(span_of(format));
    }
    return !span_has(accept) || accept_form(accept, p);
}

/* ---- Prefer, conditions ---- */

static void read_prefer(const struct http_request *q, struct http_plan *p)
{
    for (size_t i = 0; i < q->n_fields; i++) {
        struct span v = q->fields[i].value, one;
        if (!span_is_nocase(q->fields[i].name, "Prefer"))
            continue;
        for (size_t k = 0; k < 16 && v.n; k++) {
            size_t n = span_find(v, ','), m = span_find(v, ';');
            n = m < n ? m : n;
            one = span_trim(span_cut(v, 0, n));
            v = span_from(v, n + 1);
            if (span_is(one, "return=minimal"))
                p->prefer = HTTP_PREFER_MINIMAL;
            if (span_is(one, "return=representation"))
                p->prefer = HTTP_PREFER_REPRESENTATION;
            if (span_is(one, "return=OperationOutcome"))
                p->prefer = HTTP_PREFER_OUTCOME;
            if (span_is(one, "handling=strict"))
                p->ask.is_strict = true;
            if (span_is(one, "respond-async"))
                p->is_async = true;
        }
    }
}

/* Two requests with one key speak of one resource; the engine makes the same key of what a resource says itself (parsed.identity). Hashed:
 * identifiers may be a patient's. */
static void set_key(struct http_plan *p, const char *type, const char *what)
{
    unsigned char sum[TEXT_SHA256_BYTES];
    char text[600];
    int n = snprintf(text, sizeof text, "%s?%s", type, what);
    text_sha256(text, n > 0 && (size_t)n < sizeof text ? (size_t)n : 0, sum);
    memcpy(p->same_as, "resource:", 9);
    text_hex(sum, 16, p->same_as + 9);
}

/* Without a system, "value" and "|value" are one. */
static void set_identifier_key(struct http_plan *p, const char *type, const char *identifier)
{
    char token[520];
    (void)snprintf(token, sizeof token, "%s%s", strchr(identifier, '|') ? "" : "|", identifier);
    set_key(p, type, token);
}

static void read_condition(const struct http_request *q, const char *type, struct http_plan *p)
{
    struct span v = http_field(q, "If-None-Exist");
    char identifier[512];
    if (!span_has(v))
        return;
    if (span_starts(v, "?"))
        v = span_from(v, 1);
    if (!span_starts(v, "identifier=") || span_find(v, '&') != v.n || !http_query(v, "identifier", identifier, sizeof identifier) || !identifier[0]) {
        say(p, 400, "not-supported", "If-None-Exist is understood as identifier=system|value only");
        return;
    }
    p->has_condition = true;
    set_identifier_key(p, type, identifier);
}

/* ---- paths ---- */

static bool is_id(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n <= 64;
}

static const char *type_named(const struct http_request *q, struct span s)
{
    if (q->takes_persons && span_is(s, "Patient"))
        return "Patient";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (span_is(s, types[i]))
            return types[i];
    return NULL;
}

static bool is_method(const struct http_request *q, const char *name)
{
    return span_is(q->method, name);
}

static void take_at(struct http_plan *p, enum ask_at at, const char *type, int status)
{
    p->what = HTTP_TAKE;
    p->ask.at = at;
    p->status = status;
    if (type)
        (void)snprintf(p->ask.type, sizeof p->ask.type, "%s", type);
}

static void route_type(const struct http_request *q, const char *type, struct http_plan *p)
{
    char identifier[512];
    bool is_bundle = strcmp(type, "Bundle") == 0;
    if (is_method(q, "POST")) {
        take_at(p, ASK_AT_TYPE, type, 201);
        read_condition(q, type, p);
    } else if (is_method(q, "PUT") && !is_bundle) {
        if (!http_query(q->query, "identifier", identifier, sizeof identifier) || !identifier[0]) {
            say(p, 400, "required", "A conditional update names its resource: ?identifier=system|value");
            return;
        }
        take_at(p, ASK_AT_TYPE, type, 201);
        p->is_update = true;
        set_identifier_key(p, type, identifier);
    } else {
        say_method(p, is_bundle ? "POST" : "POST, PUT");
    }
}

static void route_instance(const struct http_request *q, const char *type, struct span id, struct http_plan *p)
{
    if (!is_method(q, "PUT") || strcmp(type, "Bundle") == 0) {
        say_method(p, strcmp(type, "Bundle") == 0 ? "" : "PUT");
    } else if (!is_id(id)) {
        say(p, 400, "value", "This is no id of a resource");
    } else {
        take_at(p, ASK_AT_TYPE, type, 201);
        p->is_update = true;
        (void)snprintf(p->id, sizeof p->id, "%.*s", SPAN_ARG(id));
        char key[80];
        (void)snprintf(key, sizeof key, "_id=%s", p->id);
        set_key(p, type, key);
    }
}

static void route_process(const struct http_request *q, struct http_plan *p)
{
    char value[16];
    if (!is_method(q, "POST")) {
        say_method(p, "POST");
        return;
    }
    take_at(p, ASK_AT_PROCESS, NULL, 200);
    if (http_query(q->query, "async", value, sizeof value) && strcmp(value, "true") == 0)
        p->is_async = true;
}

static void route_status(const struct http_request *q, struct span id, struct http_plan *p)
{
    if (!is_method(q, "GET")) {
        say_method(p, "GET");
        return;
    }
    p->what = HTTP_STATUS;
    if (!span_starts(id, "m") || !span_int(span_from(id, 1), &p->message_id))
        p->message_id = 0;
}

/* rest: the path behind [base]/ */
static void route_fhir(const struct http_request *q, struct span rest, struct http_plan *p)
{
    struct span all = rest, first = SPAN_ABSENT, second = SPAN_ABSENT;
    char name[64];
    if (!rest.n) {
        if (is_method(q, "POST"))
            take_at(p, ASK_AT_BASE, NULL, 200);
        else
            say_method(p, "POST");
        return;
    }
    (void)span_next(&all, '/', &first);
    bool has_second = span_next(&all, '/', &second);
    if (http_unescape(first, false, name, sizeof name) < 0) {
        say(p, 404, "not-found", "There is nothing here");
        return;
    }
    const char *type = type_named(q, span_of(name));
    if (!has_second && strcmp(name, "$process-message") == 0)
        route_process(q, p);
    else if (has_second && !all.n && strcmp(name, "_async") == 0)
        route_status(q, second, p);
    else if (type && !has_second)
        route_type(q, type, p);
    else if (type && has_second && !all.n && !span_starts(second, "_") && !span_starts(second, "$"))
        route_instance(q, type, second, p);
    else if (type && has_second && span_is(span_cut(all, 0, 8), "_history"))
        say_method(p, "");
    else
        say(p, 404, "not-found", type ? "There is no such operation" : "Only Bundle, DiagnosticReport and Observation are taken here");
}

/* ---- bodies ---- */

static void check_body(const struct http_options *o, const struct http_request *q, struct http_plan *p)
{
    struct span type = http_field(q, "Content-Type"), encoding = http_field(q, "Content-Encoding");
    if (!q->is_chunked && !q->length)
        say(p, 400, "required", "There is no body");
    else if (span_has(encoding) && !span_is_nocase(encoding, "identity"))
        say(p, 415, "not-supported", "Content-Encoding is not supported: send the body as it is");
    else if (p->is_hl7 && !is_hl7_type(type_only(type)))
        say(p, 415, "not-supported", "Content-Type must be application/hl7-v2+er7");
    else if (!p->is_hl7 && !span_has(type))
        say(p, 415, "not-supported", "Content-Type is missing: application/fhir+json or application/fhir+xml");
    else if (!p->is_hl7 && !is_json_type(type_only(type)) && !is_xml_type(type_only(type)))
        say(p, 415, "not-supported", "Content-Type must be application/fhir+json or application/fhir+xml");
    else if (!p->is_hl7 && !is_version_right(type))
        say(p, 415, "not-supported", "Only FHIR version 4.0 is read here");
    else if (!is_charset_right(type))
        say(p, 415, "not-supported", "The only charset read here is UTF-8");
    else if (q->has_length && q->length > (uint64_t)o->max_body)
        say(p, 413, "too-long", "The body is too large");
    p->is_xml_sent = is_xml_type(type_only(type));
    if (p->is_hl7)
        p->media = span_starts(type_only(type), "x-") || span_starts(type_only(type), "X-") ? "x-application/hl7-v2+er7; charset=utf-8" : "application/hl7-v2+er7; charset=utf-8";
}

/* The path behind `base`, without the slash; false when it does not lie there. */
static bool is_below(struct span path, const char *base, struct span *rest)
{
    size_t n = strlen(base);
    if (path.n < n || memcmp(path.p, base, n) != 0)
        return false;
    *rest = span_from(path, n);
    if (rest->n && rest->p[0] != '/')
        return false;
    *rest = span_from(*rest, 1);
    return true;
}

void http_route(const struct http_options *o, const struct http_secrets *secrets, const struct http_request *q, struct http_plan *p)
{
    struct span rest = SPAN_ABSENT;
    *p = (struct http_plan){.is_head = is_method(q, "HEAD")};
    bool is_fhir = is_below(q->path, o->path, &rest);
    p->is_hl7 = (span_is(q->path, o->hl7_path) && strcmp(o->hl7_path, o->path) != 0) ||
                (is_fhir && !rest.n && is_hl7_type(type_only(http_field(q, "Content-Type"))));
    bool has_form = p->is_hl7 || choose_form(q, p);
    p->is_xml = p->ask.form == ASK_FORM_XML;
    if (!is_fhir && !p->is_hl7) {
        say(p, 404, "not-found", "There is nothing here");
        return;
    }
    if (!p->is_hl7 && span_is(rest, "metadata")) {
        if (!is_method(q, "GET") && !p->is_head)
            say_method(p, "GET, HEAD");
        else if (!has_form)
            say(p, 406, "not-supported", "The answer can be application/fhir+json or application/fhir+xml");
        else
            p->what = HTTP_METADATA;
        return;
    }
    if (!is_let_in(secrets, q)) {
        say(p, 401, "login", "A valid token or name and password is needed");
        return;
    }
    if (p->is_hl7) {
        take_at(p, ASK_AT_NONE, NULL, 200);
        if (!is_method(q, "POST"))
            say_method(p, "POST");
    } else {
        route_fhir(q, rest, p);
    }
    if (p->what != HTTP_SAY && !has_form)
        say(p, 406, "not-supported", "The answer can be application/fhir+json or application/fhir+xml");
    if (p->what != HTTP_TAKE)
        return;
    read_prefer(q, p);
    check_body(o, q, p);
    if (p->what == HTTP_TAKE && p->ask.form == ASK_FORM_SENT && !p->is_hl7) {
        p->ask.form = p->is_xml_sent ? ASK_FORM_XML : ASK_FORM_JSON;
        p->is_xml = p->is_xml_sent;
    }
}
