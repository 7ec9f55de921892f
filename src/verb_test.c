/*
 * NAME labrelay test - runs the tests that stand in a configuration: what would become of their messages, against what is expected.
 * Stores nothing, sends nothing, asks nobody. What a failing test prints may hold values of its message: test messages are invented ones.
 * EXIT 0 all pass, 1 one fails or the configuration is wrong, 3 there is none of that name.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "conf_test.h"

struct report {
    struct buf *b;
    bool is_json;
    size_t n;                           /* failures of the running test */
};

static void head(struct report *r, const struct conf_test *t)
{
    if (r->is_json || r->n)
        return;
    buf_addf(r->b, "FAIL %s (%s:%u)\n", t->name, t->file, t->line);
}

struct running { struct report *r; const struct conf_test *t; };

static void failure(void *ctx, const struct conf_failure *f)
{
    struct running *x = ctx;
    struct buf *b = x->r->b;
    head(x->r, x->t);
    x->r->n++;
    if (x->r->is_json) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "file", f->file);
        buf_json_kint(b, "line", f->line);
        buf_json_opt(b, "expect", f->expect);
        buf_json_opt(b, "path", f->path);
        buf_json_key(b, "wanted");
        buf_json_span(b, f->wanted);
        buf_json_key(b, "got");
        buf_json_span(b, f->got);
        buf_addc(b, '}');
        return;
    }
    buf_addf(b, "  %s:%u: %.*s%s%.*s\n    - %.*s\n    + %.*s\n", f->file, f->line, SPAN_ARG(f->expect), span_has(f->path) ? "   at " : "", SPAN_ARG(f->path),
             SPAN_ARG(f->wanted), SPAN_ARG(f->got));
}

static bool run_one(const struct config *conf, const struct conf_test *t, struct report *r)
{
    struct running x = {r, t};
    struct err e = ERR_INIT;
    r->n = 0;
    if (r->is_json) {
        buf_json_sep(r->b);
        buf_addc(r->b, '{');
        buf_json_kv(r->b, "name", t->name);
        buf_json_kv(r->b, "file", t->file);
        buf_json_kint(r->b, "line", t->line);
        buf_json_key(r->b, "failures");
        buf_addc(r->b, '[');
    }
    int rc = conf_test_run(conf, t, failure, &x, &e);
    if (rc < 0 && !r->is_json) {
        head(r, t);
        buf_addf(r->b, "  %s%s%s\n", e.where, e.where[0] ? ": " : "", e.text);
    }
    if (r->is_json) {
        buf_addc(r->b, ']');
        if (rc < 0)
            buf_json_kv(r->b, "error", e.text);
        buf_json_key(r->b, "passed");
        buf_adds(r->b, rc == 0 ? "true}" : "false}");
    } else if (rc == 0) {
        buf_addf(r->b, "ok   %s\n", t->name);
    }
    return rc == 0;
}

static int test(const struct cli *c)
{
    size_t passed = 0, failed = 0;
    struct buf b;
    int rc = EXIT_WRONG;
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    buf_init(&b, (size_t)16 << 20);
    struct report r = {.b = &b, .is_json = cli_has(c, "json")};
    if (r.is_json)
        buf_addc(&b, '[');
    for (size_t i = 0; i < conf->n_tests; i++) {
        if (c->n_args && strcmp(c->args[0], conf->tests[i].name) != 0)
            continue;
        if (run_one(conf, &conf->tests[i], &r))
            passed++;
        else
            failed++;
    }
    if (r.is_json)
        buf_adds(&b, "]\n");
    else if (passed + failed)
        buf_addf(&b, "%zu passed, %zu failed\n", passed, failed);
    cli_print(&b);
    if (c->n_args && passed + failed == 0) {
        fprintf(stderr, "labrelay: there is no test of this name\n");
        rc = EXIT_ABSENT;
    } else {
        if (passed + failed == 0)
            fprintf(stderr, "labrelay: the configuration has no tests; see TESTS in labrelay.conf(5)\n");
        rc = failed ? EXIT_WRONG : EXIT_FINE;
    }
    buf_clear(&b);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_test = {.name = "test", .synopsis = "[-c FILE] [--json] [NAME]", .help = "runs the tests of a configuration; shows what differs",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 1, .run = test};
