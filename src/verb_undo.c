/*
 * NAME labrelay undo - runs a configuration again that ran before, from the texts that were kept of it.
 *
 * The running engine swaps it in as a reload does. The files on disk are not touched: a restart and the next reload read those. --write puts the kept
 * texts there, after a copy of each file that it changes.
 * EXIT 0 done, 1 refused or not written, 3 no engine runs or no such number.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "fsutil.h"
#include "kept.h"
#include "xmem.h"

#define LIST_MAX 50

struct list { struct buf *b; bool is_json; int n; };

static bool line(void *ctx, const struct store_config_run *x)
{
    struct list *l = ctx;
    char when[40] = "";
    time_t t = (time_t)(x->since_us / 1000000);
    struct tm tm;
    if (l->is_json) {
        buf_json_sep(l->b);
        buf_addc(l->b, '{');
        buf_json_kint(l->b, "number", x->number);
        buf_json_kv(l->b, "config", x->hash);
        buf_json_kint(l->b, "since_us", x->since_us);
        buf_json_kv(l->b, "how", x->how);
        buf_json_kv(l->b, "by", x->who);
        buf_json_key(l->b, "is_kept");
        buf_adds(l->b, x->has_files ? "true}" : "false}");
    } else {
        if (localtime_r(&t, &tm))
            (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        buf_addf(l->b, "%6" PRId64 "  %s  %s  %-6s  %s%s\n", x->number, x->hash, when, x->how, x->who, x->has_files ? "" : "  (its texts are not kept any more)");
    }
    return ++l->n < LIST_MAX;
}

static int list(const struct cli *c, struct kept *k)
{
    struct buf b;
    struct err e = ERR_INIT;
    struct list l = {.b = &b, .is_json = cli_has(c, "json")};
    buf_init(&b, (size_t)1 << 20);
    buf_adds(&b, l.is_json ? "[" : "number  configuration     since                how     by\n");
    int rc = store_list_config_runs(k->reader, line, &l, &e) ? cli_fail(&e) : EXIT_FINE;
    if (l.is_json)
        buf_adds(&b, "]\n");
    if (rc == EXIT_FINE)
        cli_print(&b);
    buf_clear(&b);
    return rc;
}

/* ---- texts back to disk ---- */

static bool is_on_disk(const struct conf_file *f, struct buf *now)
{
    struct err ignored = ERR_INIT;
    buf_init(now, (size_t)64 << 20);
    return fs_load(f->path, now, &ignored) == 0;
}

/* The file as it is goes to PATH.DATE-TIME beside it; the new one has its owner and mode. */
static int write_one(const struct conf_file *f, const char *stamp, struct err *e)
{
    struct buf now;
    struct stat st = {0};
    bool is_there = is_on_disk(f, &now);
    int rc = 0;
    if (is_there && now.n == f->n && memcmp(now.n ? now.p : "", f->text, f->n) == 0) {
        buf_clear(&now);
        return 0;
    }
    if (is_there) {
        struct buf copy;
        buf_init(&copy, 4096);
        buf_addf(&copy, "%s.%s", f->path, stamp);
        rc = stat(f->path, &st) == 0 ? fs_write_durably(copy.p, buf_span(&now), e) : err_set(e, ERR_CONFIG, f->path, "%s", strerror(errno));
        if (rc == 0 && chmod(copy.p, st.st_mode & 07777) == 0)
            printf("kept   %s\n", copy.p);
        buf_clear(&copy);
    }
    if (rc == 0)
        rc = fs_write_durably(f->path, span_make(f->text, f->n), e);
    if (rc == 0 && is_there) {
        (void)chmod(f->path, st.st_mode & 07777);
        if (geteuid() == 0 && chown(f->path, st.st_uid, st.st_gid) != 0)
            rc = err_set(e, ERR_CONFIG, f->path, "cannot give it back to its owner: %s", strerror(errno));
    }
    if (rc == 0)
        printf("wrote  %s\n", f->path);
    buf_clear(&now);
    return rc;
}

static int write_back(struct kept *k, int64_t number)
{
    char name[24], label[40], stamp[32] = "";
    struct conf_files files, disk = {0};
    struct err e = ERR_INIT;
    time_t t = (time_t)(clock_now_us() / 1000000);
    struct tm tm;
    int64_t n;
    (void)snprintf(name, sizeof name, "%" PRId64, number);
    int rc = kept_files(k, name, &files, label, sizeof label, &n);
    if (rc != EXIT_FINE)
        return rc;
    if (localtime_r(&t, &tm))
        (void)strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    for (size_t i = 0; i < files.n && rc == EXIT_FINE; i++)
        if (write_one(&files.v[i], stamp, &e))
            rc = cli_fail(&e);
    config_files(k->path, &all_modules, &disk);
    for (size_t i = 0; i < disk.n && rc == EXIT_FINE; i++)
        if (!conf_files_find(&files, disk.v[i].path))
            fprintf(stderr, "labrelay: %s was not part of number %" PRId64 ", but is read now: move it away\n", disk.v[i].path, number);
    conf_files_clear(&files);
    conf_files_clear(&disk);
    return rc;
}

/* ---- the engine ---- */

static int print_answer(const char *answer, int64_t *number)
{
    json_t *j = json_loads(answer, 0, NULL);
    const char *error = json_string_value(json_object_get(j, "error")), *text = json_string_value(json_object_get(j, "text"));
    *number = json_integer_value(json_object_get(j, "number"));
    if (text)
        fputs(text, error ? stderr : stdout);
    if (error)
        fprintf(stderr, "labrelay: not undone: %s\n", error);
    else
        printf("running configuration number %" PRId64 " (%s)\n", *number, json_string_value(json_object_get(j, "config")));
    int rc = error || !j ? EXIT_WRONG : EXIT_FINE;
    json_decref(j);
    return rc;
}

static void tell_disk(struct kept *k, int64_t number)
{
    char name[24], label[40];
    struct conf_files kept = {0}, disk = {0};
    int64_t n;
    bool is_same = false;
    (void)snprintf(name, sizeof name, "%" PRId64, number);
    if (kept_files(k, name, &kept, label, sizeof label, &n) == EXIT_FINE) {
        config_files(k->path, &all_modules, &disk);
        is_same = kept.n == disk.n;
        for (size_t i = 0; i < kept.n && is_same; i++) {
            const struct conf_file *f = conf_files_find(&disk, kept.v[i].path);
            is_same = f && f->n == kept.v[i].n && memcmp(f->text, kept.v[i].text, f->n) == 0;
        }
    }
    if (!is_same)
        printf("THE FILES ON DISK ARE ANOTHER CONFIGURATION: a restart or reload runs those.\n"
               "See them:  labrelay diff %" PRId64 " disk\nPut number %" PRId64 " there:  labrelay undo %" PRId64 " --write\n", number, number, number);
    conf_files_clear(&kept);
    conf_files_clear(&disk);
}

static int undo(const struct cli *c)
{
    const char *by = cli_get(c, "by");
    struct err e = ERR_INIT;
    struct buf q, a;
    struct kept k;
    int64_t number = 0;
    bool must_write = cli_has(c, "write");
    if (c->n_args && !cli_id(c->args[0], '#', &number))
        return cli_usage(c, "which number? labrelay undo --list shows them");
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    int rc = kept_open(&k, c);
    if (rc != EXIT_FINE || cli_has(c, "list")) {
        rc = rc == EXIT_FINE ? list(c, &k) : rc;
        goto out;
    }
    buf_adds(&q, "{\"do\":\"undo\"");
    buf_json_kint(&q, "number", number);
    buf_json_kv(&q, "by", by ? by : "operator");
    buf_addc(&q, '}');
    int asked = control_ask(k.control, q.p, &a, &e);
    if (asked < 0)
        rc = cli_fail(&e);
    else if (asked == 0 && cli_has(c, "json") && !must_write)
        cli_print(&a);
    if (asked == 0)
        rc = cli_has(c, "json") && !must_write ? (strncmp(a.p, "{\"error\"", 8) == 0 ? EXIT_WRONG : EXIT_FINE) : print_answer(a.p, &number);
    if (asked == 1 && !must_write) {
        fputs("labrelay: no engine is running; with --write the texts go to disk, for the next start\n", stderr);
        rc = EXIT_ABSENT;
    }
    if (asked == 1 && must_write && !number) {
        int64_t last = 0;
        if (store_last_config(k.reader, 0, &last, &e) < 0 || store_last_config(k.reader, last, &number, &e) < 0)
            rc = cli_fail(&e);
    }
    if (rc == EXIT_FINE && must_write)
        rc = write_back(&k, number);
    else if (rc == EXIT_FINE && !cli_has(c, "json"))
        tell_disk(&k, number);
out:
    buf_clear(&q);
    buf_clear(&a);
    kept_close(&k);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"by", 0, "NAME", "who says so; kept in the audit trail"},
    {"write", 0, NULL, "put its texts on disk, too, keeping a copy of what they replace"},
    {"list", 0, NULL, "the configurations that ran, the latest first"},
    CLI_JSON_FLAG,
};

const struct verb verb_undo = {.name = "undo", .synopsis = "[-c FILE] [--by NAME] [--write] [--json] [NUMBER] | --list",
                               .help = "runs the configuration before this one again, or the one with a number",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 1, .run = undo};
