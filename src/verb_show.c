/* NAME labrelay show - a message with all that became of it, or one delivery; --raw prints the original bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "kept.h"
#include "verb_show_files.h"
#include "view.h"
#include "xmem.h"

#define RAW_MAX_BYTES ((size_t)256 << 20)

static void audit_line(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct buf *b = ctx;
    char t[32];
    clock_format_local(us, t, sizeof t);
    buf_addf(b, "  audit      %s %s by %s%s%s\n", t, action, who, reason[0] ? ": " : "", reason);
}

static void account_line(void *ctx, const char *fate, const char *reason, int64_t n)
{
    struct buf *b = ctx;
    const char *why = reason_text(reason);
    buf_addf(b, "%" PRId64 " observation%s %s: %s%s%s\n", n, n == 1 ? "" : "s", fate, reason, why[0] ? ": " : "", why);
}

static void account_json(void *ctx, const char *fate, const char *reason, int64_t n)
{
    struct buf *b = ctx;
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kv(b, "fate", fate);
    buf_json_kv(b, "reason", reason);
    buf_json_kint(b, "n", n);
    buf_addc(b, '}');
}

static int show_message(const struct cli *c, const struct config *conf, struct store_reader *r, int64_t id, struct buf *b)
{
    struct store_message_row m = {0};
    struct delivery *v = NULL;
    struct err e = ERR_INIT;
    size_t n = 0;
    int got = store_load_message(r, id, &m, &e);
    if (got) {
        if (got < 0)
            return cli_fail(&e);
        fprintf(stderr, "labrelay: there is no message m%" PRId64 "\n", id);
        return EXIT_ABSENT;
    }
    if (cli_has(c, "attachment")) {
        int rc = show_attachment(c, conf, r, &m, b);
        store_message_row_clear(&m);
        return rc;
    }
    if (cli_has(c, "raw")) {
        got = store_load_raw(r, id, b, &e);
        store_message_row_clear(&m);
        if (got == 0)
            return EXIT_FINE;
        if (got < 0)
            return cli_fail(&e);
        fprintf(stderr, "labrelay: the original of m%" PRId64 " was erased (keep-raw, keep-delivered)\n", id);
        return EXIT_ABSENT;
    }
    if (store_load_deliveries_of(r, id, &v, &n, &e)) {
        store_message_row_clear(&m);
        return cli_fail(&e);
    }
    if (cli_has(c, "json")) {
        view_message_json(&m, b);
        buf_json_key(b, "deliveries");
        buf_addc(b, '[');
        for (size_t i = 0; i < n; i++) {
            buf_json_sep(b);
            view_delivery_json(&v[i], b);
        }
        buf_adds(b, "]");
        buf_json_key(b, "accounts");
        buf_addc(b, '[');
        (void)store_list_accounts(r, id, account_json, b, &e);
        buf_addc(b, ']');
        show_attachments(conf, r, &m, true, b);
        buf_adds(b, "}\n");
    } else {
        view_message_text(&m, b);
        for (size_t i = 0; i < n; i++) {
            view_delivery_text(&v[i], b);
            (void)store_list_audit(r, v[i].id, audit_line, b, &e);
        }
        (void)store_list_accounts(r, id, account_line, b, &e);
        show_attachments(conf, r, &m, false, b);
    }
    deliveries_free(v, n);
    store_message_row_clear(&m);
    return EXIT_FINE;
}

static int show_delivery(const struct cli *c, struct store_reader *r, int64_t id, struct buf *b)
{
    struct delivery d = {0};
    struct err e = ERR_INIT;
    int got = store_load_delivery(r, id, &d, &e);
    if (got) {
        if (got < 0)
            return cli_fail(&e);
        fprintf(stderr, "labrelay: there is no delivery d%" PRId64 "\n", id);
        return EXIT_ABSENT;
    }
    if (cli_has(c, "json")) {
        view_delivery_json(&d, b);
        buf_addc(b, '\n');
    } else {
        view_delivery_text(&d, b);
        (void)store_list_audit(r, d.id, audit_line, b, &e);
    }
    delivery_clear(&d);
    return EXIT_FINE;
}

/* The configuration on disk, or the kept one that the argument names, with everything that it means. */
static int show_effective(const struct cli *c)
{
    const char *which = c->n_args ? c->args[0] : "disk";
    char label[40] = "";
    struct conf_files files = {0};
    struct diag *d = diag_new();
    struct kept k = {0};
    struct buf b, wrong;
    int64_t number = 0;
    int rc = strcmp(which, "disk") == 0 ? EXIT_FINE : kept_open(&k, c);
    buf_init(&b, RAW_MAX_BYTES);
    buf_init(&wrong, RAW_MAX_BYTES);
    if (!k.path)
        k.path = xstrdup(cli_get(c, "config") ? cli_get(c, "config") : LABRELAY_DEFAULT_CONF);
    if (rc == EXIT_FINE && strcmp(which, "disk") != 0)
        rc = kept_files(&k, which, &files, label, sizeof label, &number);
    if (rc == EXIT_FINE) {
        char *path = xstrdup(files.n ? files.v[0].path : k.path);
        buf_addf(&b, "# The effective configuration of %s%s%s: paths and credentials are those of its folder.\n\n", path, number ? ", " : "", number ? label : "");
        struct config *conf = config_load_shown(path, &files, &all_modules, d, &b);
        diag_format(d, &wrong);
        if (conf)
            cli_print(&b);
        else
            fwrite(wrong.p ? wrong.p : "", 1, wrong.n, stderr);
        rc = conf ? EXIT_FINE : EXIT_WRONG;
        config_free(conf);
        free(path);
    }
    conf_files_clear(&files);
    diag_free(d);
    buf_clear(&b);
    buf_clear(&wrong);
    kept_close(&k);
    return rc;
}

static int show(const struct cli *c)
{
    struct store_reader *r = NULL;
    struct buf b;
    int64_t id = 0;
    int rc = EXIT_WRONG;
    if (cli_has(c, "effective"))
        return show_effective(c);
    if (!c->n_args)
        return cli_usage(c, "which message or delivery?");
    bool is_delivery = c->args[0][0] == 'd';
    if (!cli_id(c->args[0], is_delivery ? 'd' : 'm', &id))
        return cli_usage(c, "an id looks like m12 (message) or d12 (delivery)");
    if (is_delivery && cli_has(c, "attachment"))
        return cli_usage(c, "documents are those of a message: m12");
    if (cli_has(c, "out") && !cli_has(c, "attachment"))
        return cli_usage(c, "--out goes with --attachment N");
    buf_init(&b, RAW_MAX_BYTES);
    struct config *conf = kept_config(c);
    if (conf && (r = cli_reader(conf)) != NULL) {
        rc = is_delivery ? show_delivery(c, r, id, &b) : show_message(c, conf, r, id, &b);
        cli_print(&b);
    }
    buf_clear(&b);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"raw", 0, NULL, "the original bytes of a message"},
                                       {"attachment", 0, "N", "the bytes of the N-th document inside a message"},
                                       {"out", 0, "FILE", "write them to a new file (0600) instead of standard output"},
                                       {"effective", 0, NULL, "the configuration with every default: on disk, or NUMBER, or running"}, CLI_JSON_FLAG};

const struct verb verb_show = {.name = "show", .synopsis = "[-c FILE] [--raw] [--attachment N [--out FILE]] [--json] ID | --effective [NUMBER|running]",
                               .help = "a message and what became of it, or one delivery",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 1, .run = show};
