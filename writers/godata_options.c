/*
 * NAME godata_options - the statements of a `write godata` block, their defaults and what an identifier is for.
 *
 * Identifiers: the first `id` statement that fits decides; behind them stands the default table of STANDARDS 5.1: type NI and NNxxx are
 * national id cards, PPN passports, MR PI PT and no type are looked up as EXTERNAL_ID documents, all else is ignored.
 * Match: without a statement, every key that a message has is used.
 * DIAGNOSTICS through option_error() with the place of the word, and through godata_options_check() for what concerns several statements.
 */
#include "godata_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "option.h"
#include "xmem.h"

#define AT(m) offsetof(struct godata_options, m)

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool godata_is_uuid(struct span s)
{
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? s.p[i] != '-' : !is_hex(s.p[i]))
            return false;
    }
    return true;
}

const char *godata_role_name(enum godata_role r)
{
    switch (r) {
    case GODATA_IGNORE: return "ignore";
    case GODATA_BY_ID: return "godata-id";
    case GODATA_BY_VISUAL_ID: return "visual-id";
    case GODATA_BY_DOCUMENT: return "document";
    case GODATA_BY_SAMPLE: return "sample-id";
    case GODATA_BY_QUESTIONNAIRE: return "questionnaire";
    }
    return "?";
}

static bool is_authority(const char *want, const struct rec_id *id)
{
    if (strcmp(want, "*") == 0)
        return true;
    if (want[0] == '\0')
        return !span_has(id->authority) && !span_has(id->oid) && !span_has(id->ns);
    return span_is(id->authority, want) || span_is(id->oid, want) || span_is(id->ns, want);
}

static bool is_type(const char *want, struct span type)
{
    return strcmp(want, "*") == 0 || span_is(type, want) || (want[0] == '\0' && !span_has(type));
}

static bool is_national_person(struct span type)
{
    if (type.n != 5 || type.p[0] != 'N' || type.p[1] != 'N')
        return false;
    for (size_t i = 2; i < 5; i++)
        if (type.p[i] < 'A' || type.p[i] > 'Z')
            return false;
    return true;
}

enum godata_role godata_options_role(const struct godata_options *o, const struct rec_id *id, const char **document)
{
    *document = NULL;
    for (size_t i = 0; i < o->ids.n; i++) {
        const struct godata_id_rule *r = &o->ids.v[i];
        if (is_authority(r->authority, id) && is_type(r->type, id->type)) {
            *document = r->document;
            return r->role;
        }
    }
    if (span_is(id->use, "old"))
        return GODATA_IGNORE;
    if (span_is(id->type, "NI") || is_national_person(id->type))
        *document = "NATIONAL_ID_CARD";
    else if (span_is(id->type, "PPN"))
        *document = "PASSPORT";
    else if (!span_has(id->type) || span_is(id->type, "MR") || span_is(id->type, "PI") || span_is(id->type, "PT"))
        *document = "EXTERNAL_ID";
    return *document ? GODATA_BY_DOCUMENT : GODATA_IGNORE;
}

bool godata_options_match(const struct godata_options *o, enum godata_role role, const char *document)
{
    if (role == GODATA_IGNORE)
        return false;
    for (size_t i = 0; i < o->match.n; i++) {
        const struct godata_match_key *k = &o->match.v[i];
        bool has_name = role == GODATA_BY_DOCUMENT || role == GODATA_BY_QUESTIONNAIRE;
        if (k->role == role && (!has_name || !k->document || (document && strcmp(k->document, document) == 0)))
            return true;
    }
    return o->match.n == 0;
}

/* The k-th mention of a variable: those of `match`, then those of `id`; false past the last. */
static bool variable_at(const struct godata_options *o, size_t k, const char **out)
{
    *out = NULL;
    if (k < o->match.n)
        *out = o->match.v[k].role == GODATA_BY_QUESTIONNAIRE ? o->match.v[k].document : NULL;
    else if (k - o->match.n < o->ids.n)
        *out = o->ids.v[k - o->match.n].role == GODATA_BY_QUESTIONNAIRE ? o->ids.v[k - o->match.n].document : NULL;
    else
        return false;
    return true;
}

const char *godata_options_variable(const struct godata_options *o, size_t i)
{
    const char *v, *before;
    for (size_t k = 0, n = 0; variable_at(o, k, &v); k++) {
        bool is_new = v != NULL;
        for (size_t j = 0; j < k && is_new; j++) {
            (void)variable_at(o, j, &before);
            is_new = !before || strcmp(before, v) != 0;
        }
        if (is_new && n++ == i)
            return v;
    }
    return NULL;
}

/* The host of the URL, with the brackets of IPv6. */
static struct span url_host(struct span url)
{
    size_t slashes = 0, i = 0;
    while (i < url.n && slashes < 2)
        slashes += url.p[i++] == '/';
    struct span host = span_from(url, i);
    host = span_cut(host, 0, span_find(host, '/'));
    size_t at = span_find(host, '@');
    if (at < host.n)
        host = span_from(host, at + 1);
    if (host.n && host.p[0] == '[')
        return span_cut(host, 0, span_find(host, ']') + 1);
    return span_cut(host, 0, span_find(host, ':'));
}

bool godata_url_is_open(const char *url)
{
    struct span s = span_of(url), host = url_host(s);
    bool is_loopback = span_is_nocase(host, "localhost") || span_is(host, "[::1]") || span_starts(host, "127.");
    for (size_t i = 0; i < host.n && is_loopback && host.p[0] == '1'; i++)
        is_loopback = host.p[i] == '.' || (host.p[i] >= '0' && host.p[i] <= '9');    /* not 127.evil.example */
    return span_starts(s, "http://") && !is_loopback;
}

int godata_options_check(const void *options, struct err *e)
{
    const struct godata_options *o = options;
    struct span url = span_of(o->url);
    if (!span_starts(url, "https://") && !span_starts(url, "http://"))
        return err_set(e, ERR_CONFIG, "url", "the url must begin with https:// (or http:// on this machine)");
    if (span_find(url, '?') < url.n || span_find(url, '#') < url.n || span_find(url_host(url), ' ') < url_host(url).n || url_host(url).n == 0)
        return err_set(e, ERR_CONFIG, "url", "the url must be the base of the API, like https://godata.example/api");
    if (span_find(url, '@') < url.n)
        return err_set(e, ERR_CONFIG, "url", "no login in the url: use login and password");
    if (o->proxy && !span_starts(span_of(o->proxy), "http://"))
        return err_set(e, ERR_CONFIG, "proxy", "write the proxy as http://host:port; what goes through it is still encrypted");
    if (o->proxy && (span_find(span_of(o->proxy), '@') < strlen(o->proxy) || !url_host(span_of(o->proxy)).n))
        return err_set(e, ERR_CONFIG, "proxy", "write the proxy as http://host:port; its login belongs into proxy-auth");
    if (o->proxy_auth && !o->proxy)
        return err_set(e, ERR_CONFIG, "proxy-auth", "proxy-auth without proxy");
    if (o->ca_file && access(o->ca_file, R_OK) != 0)
        return err_set(e, ERR_CONFIG, "ca-file", "the file of certificates cannot be read: %s", strerror(errno));
    if (godata_url_is_open(o->url) && !o->insecure)
        return err_set(e, ERR_CONFIG, "url", "http:// to another machine shows patient data to the network: use https:// or say `insecure yes`");
    return o->no_match.action == NO_MATCH_CREATE_CONTACT ? godata_options_check_person(o, PERSON_CONTACT, e) : 0;
}

int godata_options_check_person(const void *options, enum person_kind kind, struct err *e)
{
    const struct godata_options *o = options;
    if (kind == PERSON_CONTACT && (!o->contact_of || !o->contact_of[0]))
        return err_set(e, ERR_CONFIG, "contact-of", "to create contacts the writer needs contact-of: the case that they are contacts of");
    return 0;
}

/* ---- statements ---- */

/* It becomes part of a field's name in Go.Data's filters. */
static bool is_variable(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n < GODATA_VARIABLE_MAX && s[n] == '\0';
}

/* What stands behind `document` or `questionnaire`; `then`, `,` and the end are no names. */
static int take_name(struct option_args *a, bool is_needed, const char *hint, const char *complaint, char **out)
{
    const struct option_word *next = option_peek(a);
    if (next && next->kind != OPTION_PUNCT && !span_is(next->text, "then"))
        return option_take_text(a, out);
    return is_needed ? option_error(a, hint, "%s", complaint) : 0;
}

/* Reads `visual-id`, `document [TYPE]`, `questionnaire VARIABLE` …; the words that are allowed are named by `words`. */
static int take_role(struct option_args *a, const char *words, bool needs_document, enum godata_role *role, char **document)
{
    static const enum godata_role roles[] = {GODATA_BY_ID, GODATA_BY_VISUAL_ID, GODATA_BY_DOCUMENT, GODATA_BY_QUESTIONNAIRE, GODATA_BY_SAMPLE, GODATA_IGNORE};
    int i = 0;
    *document = NULL;
    if (option_take_choice(a, words, &i) != 0)
        return -1;
    *role = roles[i];
    if (*role == GODATA_BY_QUESTIONNAIRE)
        return take_name(a, true, "questionnaire national_id", "questionnaire needs the variable of a question of the case investigation form", document) ||
                       !is_variable(*document) ? option_error(a, "letters, digits, _ and -", "a questionnaire variable has letters, digits, _ and - only") : 0;
    if (*role != GODATA_BY_DOCUMENT)
        return 0;
    if (take_name(a, needs_document, "document NATIONAL_ID_CARD", "document needs a Go.Data document type behind it", document) != 0)
        return -1;
    if (*document && strncmp(*document, GODATA_DOCUMENT_PREFIX, sizeof GODATA_DOCUMENT_PREFIX - 1) == 0) {
        char *text = xstrdup(*document + sizeof GODATA_DOCUMENT_PREFIX - 1);
        free(*document);
        *document = text;
    }
    return 0;
}

static int read_match(void *value, struct option_args *a)
{
    struct godata_match *m = value;
    if (!option_accept(a, "by"))
        return option_error(a, "match by visual-id, then sample-id", "match needs `by` and what to look for");
    do {
        (void)option_accept(a, "then");
        m->v = xreallocarray(m->v, m->n + 1, sizeof *m->v);
        m->v[m->n] = (struct godata_match_key){0};
        if (take_role(a, "godata-id visual-id document questionnaire sample-id", false, &m->v[m->n].role, &m->v[m->n].document) != 0)
            return -1;
        m->n++;
    } while (option_accept(a, ","));
    return 0;
}

static void free_match(void *value)
{
    struct godata_match *m = value;
    for (size_t i = 0; i < m->n; i++)
        free(m->v[i].document);
    free(m->v);
    *m = (struct godata_match){0};
}

static int read_no_match(void *value, struct option_args *a)
{
    struct godata_no_match *n = value;
    int i = 0, kind = 0;
    if (option_take_choice(a, "park create drop", &i) != 0)
        return -1;
    n->action = i == 0 ? NO_MATCH_PARK : NO_MATCH_DROP;
    if (i == 1) {
        if (option_take_choice(a, "case contact", &kind) != 0)
            return -1;
        n->action = kind == 0 ? NO_MATCH_CREATE_CASE : NO_MATCH_CREATE_CONTACT;
    }
    if (i != 0 || !option_accept(a, ","))
        return 0;
    if (!option_accept(a, "alarm") || !option_accept(a, "after"))
        return option_error(a, "no-match park, alarm after 30d", "after park only `, alarm after TIME` can stand");
    return option_take_duration(a, INT64_C(3600) * 1000000, INT64_C(3650) * 86400 * 1000000, &n->alarm_us);
}

static int read_id(void *value, struct option_args *a)
{
    struct godata_ids *ids = value;
    struct godata_id_rule r = {0};
    int rc = -1;
    if (option_take_text(a, &r.authority) != 0 || option_take_text(a, &r.type) != 0)
        goto out;
    if (!option_accept(a, "is")) {
        rc = option_error(a, "id \"GODATA\" \"PI\" is visual-id", "an id statement reads: id \"AUTHORITY\" \"TYPE\" is ROLE");
        goto out;
    }
    if (take_role(a, "godata-id visual-id document questionnaire sample-id ignore", true, &r.role, &r.document) != 0)
        goto out;
    if (r.role == GODATA_BY_SAMPLE) {
        rc = option_error(a, NULL, "a patient identifier cannot be a sample-id");
        goto out;
    }
    ids->v = xreallocarray(ids->v, ids->n + 1, sizeof *ids->v);
    ids->v[ids->n++] = r;
    return 0;
out:
    free(r.authority);
    free(r.type);
    free(r.document);
    return rc;
}

static void free_ids(void *value)
{
    struct godata_ids *ids = value;
    for (size_t i = 0; i < ids->n; i++) {
        free(ids->v[i].authority);
        free(ids->v[i].type);
        free(ids->v[i].document);
    }
    free(ids->v);
    *ids = (struct godata_ids){0};
}

int64_t godata_held_alarm_us(const void *options, const char *reason)
{
    const struct godata_options *o = options;
    if (strcmp(reason, "NO_MATCH") != 0)
        return 0;
    return o->no_match.alarm_us ? o->no_match.alarm_us : INT64_C(30) * 86400 * 1000000;
}

/* keep | upload VARIABLE */
static int read_attachments(void *value, struct option_args *a)
{
    struct godata_attachments *t = value;
    int i = 0;
    if (option_take_choice(a, "keep upload", &i) != 0)
        return -1;
    free(t->variable);
    t->variable = NULL;
    if (i == 0)
        return 0;
    const struct option_word *next = option_peek(a);
    if (!next || next->kind == OPTION_PUNCT || !span_has(next->text))
        return option_error(a, "attachments upload lab_report", "upload needs the variable of the FILE_UPLOAD question in the outbreak's lab result form");
    return option_take_text(a, &t->variable);
}

static void free_attachments(void *value)
{
    struct godata_attachments *t = value;
    free(t->variable);
    t->variable = NULL;
}

const struct option_row godata_option_rows[GODATA_OPTION_ROWS] = {
    {.name = "url", .type = OPT_TEXT, .offset = AT(url), .is_required = true, .help = "base of the API: https://godata.example/api"},
    {.name = "login", .type = OPT_TEXT, .offset = AT(login), .is_required = true, .help = "e-mail of the account; one account per writer"},
    {.name = "password", .type = OPT_CREDENTIAL, .offset = AT(password), .is_required = true, .help = "its password, from a credential file"},
    {.name = "outbreak", .type = OPT_TEXT, .offset = AT(outbreak), .is_required = true, .help = "name or id of the outbreak to write to"},
    {.name = "claim-account", .type = OPT_YESNO, .offset = AT(claim_account), .def = "no", .help = "make this outbreak the account's active one when it is not"},
    {.name = "match", .type = OPT_CUSTOM, .offset = AT(match), .custom = read_match, .custom_free = free_match,
     .syntax = "by KEY, then KEY …", .help = "what finds the person: document TYPE, visual-id, godata-id, questionnaire VARIABLE, sample-id (default: all)"},
    {.name = "no-match", .type = OPT_CUSTOM, .offset = AT(no_match), .custom = read_no_match,
     .syntax = "park[, alarm after TIME] | create case | create contact | drop", .help = "what to do when nobody matches (default: park, alarm after 30d)"},
    {.name = "contact-of", .type = OPT_TEXT, .offset = AT(contact_of), .help = "visualId or id of the case that a created contact is a contact of"},
    {.name = "contact-certainty", .type = OPT_CHOICE, .offset = AT(contact_certainty), .choices = "low medium high", .def = "low",
     .help = "how certain that contact is"},
    {.name = "id", .type = OPT_CUSTOM, .offset = AT(ids), .custom = read_id, .custom_free = free_ids, .may_repeat = true,
     .syntax = "\"AUTHORITY\" \"TYPE\" is ROLE", .help = "what a patient identifier is: visual-id, godata-id, document TYPE, questionnaire VARIABLE or ignore; may repeat"},
    {.name = "attachments", .type = OPT_CUSTOM, .offset = AT(attachments), .custom = read_attachments, .custom_free = free_attachments,
     .syntax = "keep | upload VARIABLE", .help = "reports in PDF: kept in labrelay's store (default), or uploaded as the answer to a FILE_UPLOAD question"},
    {.name = "sample-window", .type = OPT_DURATION, .offset = AT(sample_window_us), .min = INT64_C(86400) * 1000000, .max = INT64_C(3650) * 86400 * 1000000,
     .def = "60d", .help = "a sample id known in Go.Data counts only when the samples are this close in time"},
    {.name = "demographics", .type = OPT_CHOICE, .offset = AT(demographics), .choices = "candidates strong", .def = "candidates",
     .help = "without an identifier: only candidates for a person to confirm, or `strong`: all names, full birth date and sex of one person alone decide"},
    {.name = "contact-results", .type = OPT_YESNO, .offset = AT(contact_results), .def = "no", .help = "write to contacts even if the outbreak does not show their results"},
    {.name = "timeout", .type = OPT_DURATION, .offset = AT(timeout_us), .min = 1000000, .max = INT64_C(600) * 1000000, .def = "30s", .help = "time for one request"},
    {.name = "proxy", .type = OPT_TEXT, .offset = AT(proxy), .syntax = "\"http://HOST:PORT\"", .help = "proxy that the requests go through; the environment is not looked at"},
    {.name = "proxy-auth", .type = OPT_CREDENTIAL, .offset = AT(proxy_auth), .help = "name:password for the proxy, from a credential file"},
    {.name = "ca-file", .type = OPT_PATH, .offset = AT(ca_file), .help = "PEM file of the authorities to trust instead of the system's"},
    {.name = "insecure", .type = OPT_YESNO, .offset = AT(insecure), .def = "no", .help = "allow http:// to other machines and unverified certificates"},
};
