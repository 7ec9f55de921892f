/*
 * NAME labrelay - lab results and cases from HL7 v2 and FHIR into WHO Go.Data.
 * The verbs are in verb_*.c; this file finds the verb, reads its flags and prints help. DIAGNOSTICS on stderr, "labrelay: ...".
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cli.h"
#include "text.h"

static const struct verb *const all_verbs[] = {
    &verb_init, &verb_run, &verb_check, &verb_test, &verb_explain, &verb_send, &verb_status, &verb_queue, &verb_held, &verb_show, &verb_trace, &verb_verify,
    &verb_whatif, &verb_replay, &verb_backup, &verb_restore, &verb_erase,
    &verb_pause, &verb_resume, &verb_reload, &verb_undo, &verb_diff, &verb_tail, &verb_log_level, &verb_bundle,
    &verb_tables, &verb_fields, &verb_functions, &verb_sandbox, &verb_completion,
    &verb_import, &verb_options,
    &verb_mirror,
};
#define VERBS_N (sizeof all_verbs / sizeof all_verbs[0])

const struct verb *cli_verb(size_t i)
{
    return i < VERBS_N ? all_verbs[i] : NULL;
}

static void help_all(FILE *out)
{
    fputs("labrelay " PACKAGE_VERSION ": lab results and cases into WHO Go.Data\n\nusage: labrelay VERB [flags] [arguments]\n\n", out);
    for (size_t i = 0; i < VERBS_N; i++)
        fprintf(out, "  %-10s  %s\n", all_verbs[i]->name, all_verbs[i]->help);
    fputs("\nlabrelay VERB --help tells more; so does labrelay(1).\n", out);
}

static void help_verb(FILE *out, const struct verb *v)
{
    fprintf(out, "usage: labrelay %s %s\n%s\n", v->name, v->synopsis, v->help);
    for (size_t i = 0; i < v->n_flags; i++) {
        const struct cli_flag *f = &v->flags[i];
        char left[64], letter[8] = "";
        if (f->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", f->letter);
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->arg ? " " : "", f->arg ? f->arg : "");
        fprintf(out, "  %-26s %s\n", left, f->help);
    }
}

const char *cli_get(const struct cli *c, const char *name)
{
    for (size_t i = 0; i < c->verb->n_flags; i++)
        if (strcmp(c->verb->flags[i].name, name) == 0)
            return c->values[i];
    abort(); /* a verb asks for a flag it does not declare */
}

bool cli_has(const struct cli *c, const char *name)
{
    return cli_get(c, name) != NULL;
}

int cli_usage(const struct cli *c, const char *text)
{
    fprintf(stderr, "labrelay %s: %s\n", c->verb->name, text);
    help_verb(stderr, c->verb);
    return EXIT_USAGE;
}

int cli_fail(const struct err *e)
{
    fprintf(stderr, "labrelay: %s%s%s\n", e->where, e->where[0] ? ": " : "", e->text);
    return e->kind == ERR_TEMP ? EXIT_TEMPORARY : EXIT_WRONG;
}

void cli_print(const struct buf *b)
{
    fwrite(b->p ? b->p : "", 1, b->n, stdout);
    fflush(stdout);
}

bool cli_id(const char *text, char prefix, int64_t *id)
{
    struct span s = span_of(text);
    if (s.n && s.p[0] == prefix)
        s = span_from(s, 1);
    return span_is_digits(s) && span_int(s, id);
}

struct config *cli_config(const struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct diag *d = diag_new();
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    struct config *conf = config_load(path ? path : LABRELAY_DEFAULT_CONF, &all_modules, d);
    if (!conf) {
        diag_format(d, &b);
        fwrite(b.p ? b.p : "", 1, b.n, stderr);
    }
    buf_clear(&b);
    diag_free(d);
    return conf;
}

struct store_reader *cli_reader(const struct config *conf)
{
    struct store_reader *r = NULL;
    struct err e = ERR_INIT;
    if (store_reader_open(&r, conf->store.path, &e))
        (void)cli_fail(&e);
    return r;
}

static const struct cli_flag *flag_find(const struct verb *v, const char *name, size_t n, char letter, size_t *index)
{
    for (size_t i = 0; i < v->n_flags; i++) {
        const struct cli_flag *f = &v->flags[i];
        if ((letter && f->letter == letter) || (!letter && strlen(f->name) == n && memcmp(f->name, name, n) == 0)) {
            *index = i;
            return f;
        }
    }
    return NULL;
}

static int unknown_flag(const struct cli *c, const char *arg)
{
    const char *names[CLI_FLAGS_MAX];
    char text[160];
    for (size_t i = 0; i < c->verb->n_flags; i++)
        names[i] = c->verb->flags[i].name;
    const char *near = strncmp(arg, "--", 2) == 0 ? text_nearest(span_of(arg + 2), names, c->verb->n_flags) : NULL;
    (void)snprintf(text, sizeof text, "unknown flag %.60s%s%s%s", arg, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
    return cli_usage(c, text);
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct cli c = {.verb = v};
    int n = 0;
    if (v->raw)
        return v->raw(argc, argv);
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        const struct cli_flag *f;
        size_t at = 0;
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            help_verb(stdout, v);
            return EXIT_FINE;
        }
        if (strcmp(a, "--") == 0) {
            while (++i < argc)
                argv[n++] = argv[i];
            break;
        }
        if (a[0] != '-' || a[1] == '\0') {
            argv[n++] = a;
            continue;
        }
        char *equals = strchr(a, '=');
        bool is_long = a[1] == '-';
        f = is_long ? flag_find(v, a + 2, equals ? (size_t)(equals - a - 2) : strlen(a + 2), 0, &at) : a[2] == '\0' ? flag_find(v, "", 0, a[1], &at) : NULL;
        if (!f)
            return unknown_flag(&c, a);
        if (!f->arg) {
            c.values[at] = "";
        } else if (is_long && equals) {
            c.values[at] = equals + 1;
        } else if (i + 1 < argc) {
            c.values[at] = argv[++i];
        } else {
            return cli_usage(&c, "a flag needs its value");
        }
    }
    c.args = argv;
    c.n_args = n;
    if (n < v->min_args)
        return cli_usage(&c, "something is missing");
    if (n > v->max_args)
        return cli_usage(&c, "too many arguments");
    return v->run(&c);
}

int main(int argc, char **argv)
{
    const char *names[VERBS_N];
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* patient data never in a core file (STANDARDS S21) */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_all(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_FINE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        puts("labrelay " PACKAGE_VERSION);
        return EXIT_FINE;
    }
    for (size_t i = 0; i < VERBS_N; i++) {
        names[i] = all_verbs[i]->name;
        if (strcmp(argv[1], all_verbs[i]->name) == 0)
            return run_verb(all_verbs[i], argc - 1, argv + 1);
    }
    const char *near = text_nearest(span_of(argv[1]), names, VERBS_N);
    fprintf(stderr, "labrelay: there is no verb \"%.40s\"%s%s%s\n", argv[1], near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    help_all(stderr);
    return EXIT_USAGE;
}
