/*
 * NAME labrelay whatif - what a changed configuration would have made of the messages in the store: parser, rules and body of each, beside
 * what was decided. Sends nothing, asks nobody, writes nothing; the engine may run.
 * EXIT 0 nothing would change, 1 error, 2 usage, 3 a result would (or could) go to another person, 4 temporary trouble, 5 something else
 * would change.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "whatif.h"

#define LIMIT 3
#define LIMIT_MAX 10000
#define LINES_SHOWN 6
#define OUT_MAX ((size_t)256 << 20)

enum { EXIT_OTHER_PERSON = 3, EXIT_CHANGES = 5 };

static void names_text(const struct whatif_count *v, struct buf *b)
{
    if (!v[0].name)
        return;
    buf_adds(b, " (");
    for (size_t i = 0; i < WHATIF_NAMES_MAX && v[i].name; i++)
        buf_addf(b, "%s%s %" PRId64, i ? ", " : "", v[i].name, v[i].n);
    buf_addc(b, ')');
}

static void example_text(const struct whatif_example *x, struct buf *b)
{
    buf_addf(b, "\n  m%" PRId64, x->message);
    if (x->delivery)
        buf_addf(b, " d%" PRId64, x->delivery);
    buf_addf(b, " %s %s on %s: %s; was: %s; now: %s\n", change_name(x->change), x->path, x->channel, change_text(x->change), x->was, x->now);
    for (size_t i = 0; i < x->n_fields; i++)
        buf_addf(b, "    %s: %s -> %s\n", x->fields[i].name, x->fields[i].was ? x->fields[i].was : "(none)", x->fields[i].now ? x->fields[i].now : "(none)");
    for (size_t i = x->n_lines > LINES_SHOWN ? x->n_lines - LINES_SHOWN : 0; i < x->n_lines; i++)
        buf_addf(b, "    %s:%u: %s\n", x->lines[i].file, x->lines[i].line, x->lines[i].text);
}

static void as_text(const struct whatif *w, const struct config *conf, struct buf *b)
{
    buf_addf(b, "%" PRId64 " messages with %" PRId64 " results through %s (%s)\n", w->messages, w->results, conf->path, conf->hash);
    if (w->erased)
        buf_addf(b, "%" PRId64 " messages are not compared: their originals were erased\n", w->erased);
    if (w->no_listener)
        buf_addf(b, "%" PRId64 " messages came in by a listener that this configuration does not have\n", w->no_listener);
    for (size_t i = 0; i <= CHANGE_NONE; i++) {
        enum change c = (enum change)((i + CHANGE_NONE) % (CHANGE_NONE + 1));   /* "same" first */
        if (!w->changes[c])
            continue;
        buf_addf(b, "%9" PRId64 " %-9s %s", w->changes[c], change_name(c), change_text(c));
        if (c != CHANGE_NONE)
            names_text(w->names[c], b);
        buf_addc(b, '\n');
    }
    for (size_t i = 0; i < w->n_examples; i++)
        example_text(&w->examples[i], b);
}

static void field_json(const char *key, const char *value, struct buf *b)
{
    buf_json_key(b, key);
    if (value)
        buf_json_str(b, value);
    else
        buf_adds(b, "null");
}

static void example_json(const struct whatif_example *x, struct buf *b)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kint(b, "message", x->message);
    buf_json_kint(b, "delivery", x->delivery);
    buf_json_kv(b, "channel", x->channel);
    buf_json_kv(b, "path", x->path);
    buf_json_kv(b, "change", change_name(x->change));
    buf_json_kv(b, "was", x->was);
    buf_json_kv(b, "now", x->now);
    buf_json_key(b, "fields");
    buf_addc(b, '[');
    for (size_t i = 0; i < x->n_fields; i++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "name", x->fields[i].name);
        field_json("was", x->fields[i].was, b);
        field_json("now", x->fields[i].now, b);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    buf_json_key(b, "steps");
    buf_addc(b, '[');
    for (size_t i = 0; i < x->n_lines; i++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "file", x->lines[i].file);
        buf_json_kint(b, "line", x->lines[i].line);
        buf_json_kv(b, "text", x->lines[i].text);
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
}

static void as_json(const struct whatif *w, const struct config *conf, struct buf *b)
{
    buf_addc(b, '{');
    buf_json_kv(b, "config", conf->hash);
    buf_json_kint(b, "messages", w->messages);
    buf_json_kint(b, "results", w->results);
    buf_json_kint(b, "erased", w->erased);
    buf_json_kint(b, "parts", w->parts);
    buf_json_kint(b, "never_accepted", w->unread);
    buf_json_kint(b, "no_listener", w->no_listener);
    buf_json_key(b, "changes");
    buf_addc(b, '{');
    for (size_t c = 0; c <= CHANGE_NONE; c++)
        buf_json_kint(b, change_name((enum change)c), w->changes[c]);
    buf_addc(b, '}');
    buf_json_key(b, "by_name");
    buf_addc(b, '{');
    for (size_t c = 0; c < CHANGE_NONE; c++) {
        if (!w->names[c][0].name)
            continue;
        buf_json_key(b, change_name((enum change)c));
        buf_addc(b, '{');
        for (size_t i = 0; i < WHATIF_NAMES_MAX && w->names[c][i].name; i++)
            buf_json_kint(b, w->names[c][i].name, w->names[c][i].n);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
    buf_json_key(b, "examples");
    buf_addc(b, '[');
    for (size_t i = 0; i < w->n_examples; i++)
        example_json(&w->examples[i], b);
    buf_adds(b, "]}\n");
}

static int exit_code(const struct whatif *w)
{
    int64_t n = 0;
    if (w->changes[CHANGE_PERSON] || w->changes[CHANGE_WRITER])
        return EXIT_OTHER_PERSON;
    for (size_t c = 0; c < CHANGE_NONE; c++)
        n += w->changes[c];
    return n || w->no_listener ? EXIT_CHANGES : EXIT_FINE;
}

static struct config *load_config(const char *path)
{
    struct diag *d = diag_new();
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    struct config *conf = config_load(path, &all_modules, d);
    if (!conf) {
        diag_format(d, &b);
        fwrite(b.p ? b.p : "", 1, b.n, stderr);
    }
    buf_clear(&b);
    diag_free(d);
    return conf;
}

static int whatif(const struct cli *c)
{
    const char *since = cli_get(c, "since"), *limit = cli_get(c, "limit");
    struct whatif_options o = {.limit = LIMIT, .has_values = cli_has(c, "values"), .range = {.channel = cli_get(c, "channel")}};
    struct config *conf = NULL, *running = NULL;
    struct whatif w = {.messages = 0};
    struct err e = ERR_INIT;
    struct buf b;
    int64_t n = LIMIT;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int rc = EXIT_WRONG;
    if (limit && (!span_int(span_of(limit), &n) || n < 0 || n > LIMIT_MAX))
        return cli_usage(c, "--limit is a number up to 10000");
    if (strcmp(since ? since : "7d", "all") != 0 && !cli_time(since ? since : "7d", &o.range.since_us))
        return cli_usage(c, "--since is a time: 7d, 12h, 2026-11-05, or all");
    buf_init(&b, OUT_MAX);
    if (!(conf = load_config(c->args[0])) || (cli_get(c, "config") && !(running = load_config(cli_get(c, "config")))))
        goto out;
    o.conf = conf;
    o.store_path = running ? running->store.path : conf->store.path;
    o.limit = (size_t)n;
    o.threads = cpus > 1 ? (unsigned)cpus : 1;
    if (whatif_run(&o, &w, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    if (cli_has(c, "json"))
        as_json(&w, conf, &b);
    else
        as_text(&w, conf, &b);
    cli_print(&b);
    rc = exit_code(&w);
out:
    whatif_clear(&w);
    buf_clear(&b);
    config_free(conf);
    config_free(running);
    return rc;
}

static const struct cli_flag flags[] = {
    {"config", 'c', "FILE", "the configuration whose store is read; default: NEW.conf names it"},
    {"since", 0, "TIME", "messages from then on: 7d (default), 12h, 2026-11-05, all"},
    {"channel", 0, "NAME", "only what came in by this listener"},
    {"limit", 0, "N", "examples of each kind of change; default 3"},
    {"values", 0, NULL, "show values of patients in examples, not only codes"},
    CLI_JSON_FLAG,
};

const struct verb verb_whatif = {.name = "whatif", .synopsis = "[-c FILE] [--since TIME] [--channel NAME] [--limit N] [--values] [--json] NEW.conf",
                                 .help = "what a changed configuration would do with the stored messages; sends nothing",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = whatif};
