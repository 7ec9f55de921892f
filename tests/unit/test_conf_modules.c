/*
 * NAME
 *     test_conf_modules - listeners, parsers and writers that have options and do nothing
 * DESCRIPTION
 *     The tests of configuration and rules need words of every option type, not sockets. Names follow the real modules so that the
 *     example of labrelay.conf.5 passes here too.
 */
#include "test_conf_modules.h"

#include <stddef.h>
#include <string.h>

#include "option.h"

#define M(m) offsetof(struct test_mllp, m)
static const struct option_row mllp_rows[] = {
    {.name = "address", .type = OPT_ADDRESS, .offset = M(address), .is_required = true, .help = "where to listen"},
    {.name = "allow", .type = OPT_NETS, .offset = M(allow), .help = "who may connect"},
    {.name = "max-size", .type = OPT_SIZE, .offset = M(max_size), .min = 1024, .max = 256 << 20, .def = "16MB", .help = "largest message"},
    {.name = "idle-timeout", .type = OPT_DURATION, .offset = M(idle), .min = 1000000, .max = 86400000000, .def = "5m", .help = "silence that closes a connection"},
    {.name = "connections", .type = OPT_INT, .offset = M(connections), .min = 1, .max = 4096, .def = "256", .help = "connections at the same time"},
};
#define F(m) offsetof(struct test_files, m)
static const struct option_row files_rows[] = {
    {.name = "inbox", .type = OPT_PATH, .offset = F(inbox), .is_required = true, .help = "folder to read"},
    {.name = "settle", .type = OPT_DURATION, .offset = F(settle), .min = 100000, .max = 3600000000, .def = "5s", .help = "silence after which a file is whole"},
};
#define H(m) offsetof(struct test_http, m)
static const struct option_row http_rows[] = {
    {.name = "address", .type = OPT_ADDRESS, .offset = H(address), .is_required = true, .help = "where to listen"},
    {.name = "path", .type = OPT_TEXT, .offset = H(path), .def = "/fhir", .help = "base path"},
    {.name = "tokens", .type = OPT_CREDENTIAL, .offset = H(tokens), .help = "bearer tokens"},
};
#define P(m) offsetof(struct test_hl7, m)
static const struct option_row hl7_rows[] = {
    {.name = "assume-charset", .type = OPT_CHOICE, .offset = P(charset), .choices = "ascii utf-8 latin1 cp1252", .def = "utf-8", .help = "charset of messages that name none"},
    {.name = "timezone", .type = OPT_ZONE, .offset = P(timezone), .is_required = true, .help = "zone of times without one"},
    {.name = "strict", .type = OPT_YESNO, .offset = P(is_strict), .def = "no", .help = "refuse what the standard forbids"},
};
static const struct option_row fhir_rows[] = {
    {.name = "timezone", .type = OPT_ZONE, .offset = P(timezone), .def = "UTC", .help = "zone of times without one"},
};

/* match by document TYPE, then visual-id, then sample-id */
static int read_match(void *value, struct option_args *a)
{
    char *out = value;
    if (!option_accept(a, "by"))
        return option_error(a, "write: match by visual-id", "\"by\" is expected here");
    out[0] = 0;
    do {
        int how;
        (void)option_accept(a, "then");
        if (option_take_choice(a, "document visual-id sample-id", &how))
            return -1;
        strncat(out, how == 0 ? "d" : how == 1 ? "v" : "s", 8);
        if (how == 0)
            (void)option_next(a);
    } while (option_accept(a, ","));
    return 0;
}

static int read_no_match(void *value, struct option_args *a)
{
    int64_t after;
    if (option_take_choice(a, "park drop", value))
        return -1;
    if (!option_accept(a, ","))
        return 0;
    if (!option_accept(a, "alarm") || !option_accept(a, "after"))
        return option_error(a, "write: no-match park, alarm after 30d", "\"alarm after\" is expected here");
    return option_take_duration(a, 1, 0x7fffffffffff, &after);
}

static int check_godata(const void *options, struct err *e)
{
    const struct test_godata *o = options;
    if (o->url && strncmp(o->url, "http", 4) != 0)
        return err_set(e, ERR_CONFIG, "url", "url has to start with https:// or http://");
    return 0;
}

#define G(m) offsetof(struct test_godata, m)
static const struct option_row godata_rows[] = {
    {.name = "url", .type = OPT_TEXT, .offset = G(url), .is_required = true, .help = "base URL with /api"},
    {.name = "login", .type = OPT_TEXT, .offset = G(login), .is_required = true, .help = "e-mail of the account"},
    {.name = "password", .type = OPT_CREDENTIAL, .offset = G(password), .help = "its password"},
    {.name = "outbreak", .type = OPT_TEXT, .offset = G(outbreak), .is_required = true, .help = "name or id"},
    {.name = "match", .type = OPT_CUSTOM, .offset = G(match), .custom = read_match, .def = "by visual-id", .syntax = "by WAY, then WAY", .help = "how a person is found"},
    {.name = "no-match", .type = OPT_CUSTOM, .offset = G(no_match), .custom = read_no_match, .def = "park", .syntax = "park|drop", .help = "when nobody is found"},
};

#define TABLE(rows, type) {rows, sizeof rows / sizeof rows[0], sizeof(type), NULL}
static const struct listener_ops mllp = {.name = "mllp", .default_parser = "hl7v2", .options = TABLE(mllp_rows, struct test_mllp)};
static const struct listener_ops files = {.name = "files", .default_parser = "fhir", .options = TABLE(files_rows, struct test_files)};
static const struct listener_ops http = {.name = "http", .default_parser = "fhir", .options = TABLE(http_rows, struct test_http)};
static const struct parser_ops hl7 = {.name = "hl7v2", .options = TABLE(hl7_rows, struct test_hl7)};
static const struct parser_ops fhir = {.name = "fhir", .options = TABLE(fhir_rows, struct test_hl7)};
static const struct writer_ops godata = {.name = "godata", .options = {godata_rows, sizeof godata_rows / sizeof godata_rows[0], sizeof(struct test_godata), check_godata}};

static const struct listener_ops *const listeners[] = {&mllp, &files, &http, NULL};
static const struct parser_ops *const parsers[] = {&hl7, &fhir, NULL};
static const struct writer_ops *const writers[] = {&godata, NULL};
const struct modules test_modules = {listeners, parsers, writers};
