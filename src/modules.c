/* NAME modules - every listener, parser and writer that is built in. A new one is one line here. */
#include "cli.h"
#include "csv_parser.h"
#include "fhir_parser.h"
#include "godata_writer.h"
#include "hl7_parser.h"
#include "in_files.h"
#include "in_http.h"
#include "in_mllp.h"

static const struct listener_ops *const listeners[] = {
    &mllp_listener,
    &files_listener,
    &http_listener,
    NULL,
};

static const struct parser_ops *const parsers[] = {
    &hl7v2_parser,
    &fhir_parser,
    &csv_parser,
    NULL,
};

static const struct writer_ops *const writers[] = {
    &godata_writer,
    NULL,
};

const struct modules all_modules = {.listeners = listeners, .parsers = parsers, .writers = writers};
