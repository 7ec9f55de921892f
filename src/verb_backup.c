/*
 * NAME labrelay backup, restore - a copy of the store while the engine runs, and a store made of a copy while it does not.
 * EXIT 0 done, 1 refused or failed (the text says why and what stands where), 2 usage, 4 temporary trouble (full disk).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "clock.h"
#include "store_backup.h"

static void told(const struct cli *c, const struct store_copy *x, const char *file, const char *kept, int64_t us)
{
    char when[32] = "";
    struct buf b;
    buf_init(&b, (size_t)1 << 16);
    if (x->last_received_us)
        clock_format_local(x->last_received_us, when, sizeof when);
    if (cli_has(c, "json")) {
        buf_addc(&b, '{');
        buf_json_kv(&b, "file", file);
        buf_json_kint(&b, "bytes", x->bytes);
        buf_json_kint(&b, "messages", x->messages);
        buf_json_kint(&b, "deliveries", x->deliveries);
        buf_json_kint(&b, "last_message", x->last_message);
        buf_json_kint(&b, "last_received_us", x->last_received_us);
        if (kept)
            buf_json_kv(&b, "kept", kept);
        buf_adds(&b, "}\n");
    } else {
        buf_addf(&b, "%s: %" PRId64 " messages, %" PRId64 " deliveries, %.1f MB, sound; the last message m%" PRId64 "%s%s; %.1f s\n", file, x->messages, x->deliveries,
                 (double)x->bytes / 1048576, x->last_message, when[0] ? " of " : "", when, (double)us / 1e6);
        if (kept)
            buf_addf(&b, "the store of before is kept as %s\n", kept);
    }
    cli_print(&b);
    buf_clear(&b);
}

static int backup(const struct cli *c)
{
    struct store_copy x;
    struct err e = ERR_INIT;
    int64_t start = clock_mono_us();
    int rc = EXIT_FINE;
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    if (store_backup(conf->store.path, c->args[0], &x, &e))
        rc = cli_fail(&e);
    else
        told(c, &x, c->args[0], NULL, clock_mono_us() - start);
    config_free(conf);
    return rc;
}

static int restore(const struct cli *c)
{
    const char *to = cli_get(c, "to"), *by = cli_get(c, "by");
    struct store_copy x;
    struct err e = ERR_INIT;
    struct config *conf = NULL;
    char *kept = NULL;
    int64_t start = clock_mono_us();
    int rc = EXIT_FINE;
    if (!by)
        return cli_usage(c, "who does this? say --by NAME");
    if (!to && !(conf = cli_config(c)))
        return EXIT_WRONG;
    to = to ? to : conf->store.path;
    if (store_restore(c->args[0], to, by, cli_has(c, "force"), &kept, &x, &e)) {
        rc = cli_fail(&e);
        if (kept)
            fprintf(stderr, "labrelay: the store of before is %s\n", kept);
    } else {
        told(c, &x, to, kept, clock_mono_us() - start);
    }
    free(kept);
    config_free(conf);
    return rc;
}

static const struct cli_flag backup_flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_backup = {.name = "backup", .synopsis = "[-c FILE] [--json] FILE", .help = "copies the store into a new file, whole at one moment; the engine may run",
                                 .flags = backup_flags, .n_flags = sizeof backup_flags / sizeof backup_flags[0], .min_args = 1, .max_args = 1, .run = backup};

static const struct cli_flag restore_flags[] = {
    CLI_CONFIG_FLAG,
    {"to", 0, "PATH", "the store to make; default: that of the configuration"},
    {"by", 0, "NAME", "who does this; kept in the audit trail"},
    {"force", 0, NULL, "also over a store that is newer or damaged; it is kept aside"},
    CLI_JSON_FLAG,
};

const struct verb verb_restore = {.name = "restore", .synopsis = "[-c FILE] [--to PATH] [--force] [--json] --by NAME FILE",
                                  .help = "makes the store of a copy, while no engine runs; what was delivered since is found in Go.Data",
                                  .flags = restore_flags, .n_flags = sizeof restore_flags / sizeof restore_flags[0], .min_args = 1, .max_args = 1, .run = restore};
