/*
 * cli - the command line: verbs as data, their flags as data. One row gives parsing, --help and the man page's list.
 * Exit codes: 0 fine; 1 it found something wrong (bad config, sums that do not balance, refused message); 2 wrong usage;
 * 3 not there (no such id, no engine running); 4 a temporary trouble (disk, network).
 */
#ifndef LABRELAY_CLI_H
#define LABRELAY_CLI_H
#include "conf.h"
#include "store.h"

enum { EXIT_FINE = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_ABSENT = 3, EXIT_TEMPORARY = 4 };

struct cli_flag {
    const char *name;               /* "config": --config */
    char letter;                    /* 'c': -c; 0: none */
    const char *arg;                /* "FILE"; NULL: a switch */
    const char *help;
};

#define CLI_FLAGS_MAX 16

struct cli {
    const struct verb *verb;
    const char *values[CLI_FLAGS_MAX];  /* by index in verb->flags; "" for a switch that is on */
    char **args;                        /* what is left */
    int n_args;
};

struct verb {
    const char *name;
    const char *synopsis;           /* "-c FILE [--json] FILE" */
    const char *help;               /* one line */
    const struct cli_flag *flags;
    size_t n_flags;
    const char *words;              /* what the first argument may be, blank-separated, for completion; NULL: a file, an id, nothing */
    int min_args, max_args;
    int (*run)(const struct cli *c);
    int (*raw)(int argc, char **argv);      /* instead of all: the verb reads its own command line (sandbox) */
};

const struct verb *cli_verb(size_t i);                      /* all of them in the order of --help; NULL past the last */
/* The flag's value, NULL when it was not given. name must be one of the verb's. */
const char *cli_get(const struct cli *c, const char *name);
bool cli_has(const struct cli *c, const char *name);
int  cli_usage(const struct cli *c, const char *text);      /* prints and returns EXIT_USAGE */
int  cli_fail(const struct err *e);                         /* prints "labrelay: where: text", returns the fitting exit code */
/* Loads the config of -c (or the default); prints the diagnostics and returns NULL on errors. */
struct config *cli_config(const struct cli *c);
/* "m1042", "d2210", "1042" */
bool cli_id(const char *text, char prefix, int64_t *id);
/* A point in time: "7d", "36h", "90m" before now, "2026-11-05" or "2026-11-05 14:30" of the machine's zone. */
bool cli_time(const char *text, int64_t *us);
void cli_print(const struct buf *b);                        /* to stdout */
/* Store for reading, after cli_config; prints the reason on failure. */
struct store_reader *cli_reader(const struct config *conf);

extern const struct modules all_modules;                    /* modules.c */

extern const struct verb verb_run, verb_check, verb_explain, verb_send, verb_status, verb_queue, verb_held, verb_show, verb_verify,
                         verb_sandbox, verb_resume, verb_reload, verb_undo, verb_diff, verb_fields, verb_functions, verb_tables, verb_completion, verb_test, verb_init, verb_trace,
                         verb_whatif, verb_replay, verb_backup, verb_restore, verb_erase;
extern const struct verb verb_pause, verb_tail, verb_log_level, verb_bundle;
extern const struct verb verb_import, verb_options;
extern const struct verb verb_mirror;
#define CLI_CONFIG_FLAG {"config", 'c', "FILE", "the configuration; default " LABRELAY_DEFAULT_CONF}
#define CLI_JSON_FLAG {"json", 0, NULL, "print JSON"}
#endif
