/*
 * NAME labrelay check - reads a configuration as run would, and says everything that is wrong with it; with --live also what the writers'
 * servers say to it (check_live.c).
 * EXIT 0 fine, 1 something is wrong, 3 --live needs --now, 4 a server does not answer.
 */
#include <stdio.h>
#include <string.h>

#include "check_live.h"
#include "cli.h"
#include "store_watch.h"

struct gone { const struct config *conf; struct diag *d; int64_t n; char writer[80]; };

static void tell_gone(struct gone *x)
{
    if (x->n)
        diag_add(x->d, DIAG_WARNING, (struct diag_place){.file = 0}, "they stay in the store until there is a writer of this name again",
                 "%lld results wait for the writer \"%s\", which is not in this configuration", (long long)x->n, x->writer);
    x->n = 0;
}

static void on_queue(void *ctx, const struct store_queue *q)
{
    struct gone *x = ctx;
    if (q->state == DELIVERY_HELD || !q->writer[0] || config_writer_find(x->conf, q->writer))
        return;
    if (strcmp(x->writer, q->writer) != 0)
        tell_gone(x);
    (void)snprintf(x->writer, sizeof x->writer, "%s", q->writer);
    x->n += q->n;
}

/* A writer that was taken away or renamed while something waits for it; nothing when there is no store yet, or not for these eyes. */
static void check_store(const struct config *conf, struct diag *d)
{
    struct gone x = {.conf = conf, .d = d};
    struct store_reader *r = NULL;
    struct err ignored = ERR_INIT;
    if (store_reader_open(&r, conf->store.path, &ignored) == 0 && store_list_queue((struct store_at){.r = r}, on_queue, &x, &ignored) == 0)
        tell_gone(&x);
    store_reader_close(r);
}

static int check(const struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct diag *d = diag_new();
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    if (!path)
        path = LABRELAY_DEFAULT_CONF;
    struct config *conf = config_load(path, &all_modules, d);
    struct buf live;
    int rc = conf ? EXIT_FINE : EXIT_WRONG;
    buf_init(&live, (size_t)1 << 20);
    if (conf)
        check_store(conf, d);
    if (conf && cli_has(c, "live"))
        rc = check_live(conf, cli_has(c, "now"), d, &live);
    if (cli_has(c, "json")) {
        diag_format_json(d, &b);
        buf_addc(&b, '\n');
        cli_print(&b);
    } else {
        diag_format(d, &b);
        cli_print(&b);
        cli_print(&live);
        if (conf && rc == EXIT_FINE)
            printf("%s: fine: %zu listener%s, %zu writer%s, configuration %s\n", path, conf->n_listeners, conf->n_listeners == 1 ? "" : "s",
                   conf->n_writers, conf->n_writers == 1 ? "" : "s", conf->hash);
    }
    buf_clear(&live);
    buf_clear(&b);
    config_free(conf);
    diag_free(d);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG,
                                        {"live", 0, NULL, "ask the writers' servers too: login, outbreak, permissions, reference data; writes nothing"},
                                        {"now", 0, NULL, "with --live: log in even while an engine runs (its token dies, it logs in anew)"},
                                        CLI_JSON_FLAG};

const struct verb verb_check = {.name = "check", .synopsis = "[-c FILE] [--live [--now]] [--json]", .help = "says everything that is wrong with a configuration",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = check};
