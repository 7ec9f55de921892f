/*
 * NAME labrelay bundle - what somebody who helps needs to know, in one tar file, without patient data and secrets.
 *
 * In it: version and system; the configuration's files as conf_hide() leaves them; names, sizes and hashes of the tables; status, queue,
 * sums, alarms; the store's shape; how many files lie in inboxes (their names may name patients); our own log lines of --log FILE, without
 * what came from senders (control ids, types). Not in it: messages, results, reasons that people wrote, file names, audit.
 * The file is 0600 and made whole or not at all. Exit: 0, 1 the configuration or the store cannot be read, 2, 4.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "conf_hide.h"
#include "control.h"
#include "fsutil.h"
#include "glance.h"
#include "store_watch.h"
#include "text.h"
#include "ustar.h"
#include "view.h"

#define BUNDLE_MAX_BYTES ((size_t)256 << 20)
#define LOG_MAX_BYTES ((size_t)1 << 20)
#define QUEUE_MAX 1000

struct bundle {
    const struct cli *c;
    struct config *conf;
    struct store_reader *r;             /* NULL: there is no store */
    struct buf tar, text;               /* text: of the member that is being made */
    json_t *glance;
    int64_t now_s;
    size_t n;
};

static void put(struct bundle *x, const char *name)
{
    char path[100];
    (void)snprintf(path, sizeof path, "labrelay-bundle/%s", name);
    ustar_add(&x->tar, path, buf_span(&x->text), x->now_s);
    buf_reset(&x->text);
    x->n++;
}

/* One line of a file of the system, as it is: "MemTotal: …", PRETTY_NAME=… */
static void add_line_of(struct bundle *x, const char *path, const char *begin)
{
    char line[256];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, begin, strlen(begin)) == 0) {
            buf_adds(&x->text, line);
            break;
        }
    if (f)
        (void)fclose(f);
}

static void add_system(struct bundle *x)
{
    struct utsname u;
    struct rlimit files;
    char when[40];
    clock_format_iso(clock_now_us(), when, sizeof when);
    buf_addf(&x->text, "labrelay %s\nmade %s\n", PACKAGE_VERSION, when);
    if (uname(&u) == 0)
        buf_addf(&x->text, "system %s %s %s\n", u.sysname, u.release, u.machine);
    add_line_of(x, "/etc/os-release", "PRETTY_NAME=");
    add_line_of(x, "/proc/meminfo", "MemTotal:");
    add_line_of(x, "/proc/meminfo", "MemAvailable:");
    add_line_of(x, "/proc/loadavg", "");
    buf_addf(&x->text, "processors %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        buf_addf(&x->text, "open files at most %llu\n", (unsigned long long)files.rlim_cur);
    put(x, "system.txt");
}

static bool is_table(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".csv") == 0;
}

static void add_config(struct bundle *x)
{
    struct buf list;
    size_t number = 0;
    buf_init(&list, (size_t)4 << 20);
    for (size_t i = 0; i < x->conf->files.n; i++) {
        const struct conf_file *f = &x->conf->files.v[i];
        unsigned char sum[TEXT_SHA256_BYTES];
        char hex[2 * TEXT_SHA256_BYTES + 1], name[48];
        text_sha256(f->text, f->n, sum);
        text_hex(sum, sizeof sum, hex);
        buf_addf(&list, "%s %10zu %s\n", hex, f->n, f->path);
        if (is_table(f->path))
            continue;
        conf_hide(span_make(f->text, f->n), &all_modules, &x->text);
        (void)snprintf(name, sizeof name, "config/%02zu.conf", number++);
        put(x, name);
    }
    buf_add_span(&x->text, buf_span(&list));
    buf_clear(&list);
    put(x, "config/files.txt");
}

/* What people wrote into a pause may name somebody. */
static void drop_words(json_t *glance)
{
    static const char *const lists[] = {"channels", "writers"};
    json_t *v;
    size_t i;
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(glance, lists[k]), i, v) {
            (void)json_object_del(json_object_get(v, "paused"), "reason");
            (void)json_object_del(json_object_get(v, "paused"), "by");
        }
}

static int add_status(struct bundle *x, struct err *e)
{
    struct buf live;
    buf_init(&live, CONTROL_MAX_BYTES);
    int rc = control_ask(x->conf->control_path, "{\"do\":\"status\"}", &live, e);
    x->glance = glance_load(x->conf, x->r, rc == 0 ? live.p : NULL, e);
    buf_clear(&live);
    if (!x->glance)
        return -1;
    drop_words(x->glance);
    char *t = json_dumps(x->glance, JSON_INDENT(1));
    buf_adds(&x->text, t ? t : "{}");
    free(t);
    put(x, "status.json");
    glance_text(x->glance, &x->text);
    put(x, "status.txt");
    glance_metrics(x->glance, &x->text);
    put(x, "metrics.txt");
    return 0;
}

static int add_queue(struct bundle *x, struct err *e)
{
    static const char *const states[] = {"claimed", "ready", "waiting", "held"};
    for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
        struct store_filter f = {.state = states[s], .limit = QUEUE_MAX};
        struct delivery *v = NULL;
        size_t n = 0;
        if (store_list_deliveries(x->r, &f, &v, &n, e))
            return -1;
        for (size_t i = 0; i < n; i++) {
            view_delivery_json_line(&v[i], &x->text);
            buf_addc(&x->text, '\n');
        }
        deliveries_free(v, n);
    }
    put(x, "queue.jsonl");
    return 0;
}

static void on_alarm(void *ctx, const struct store_alarm *a)
{
    struct buf *b = &((struct bundle *)ctx)->text;
    buf_addc(b, '{');
    buf_json_kv(b, "kind", a->kind);
    buf_json_kv(b, "subject", a->subject);
    buf_json_kint(b, "raised_us", a->raised_us);
    buf_json_kint(b, "cleared_us", a->cleared_us);
    buf_json_kint(b, "said_us", a->said_us);
    buf_json_kint(b, "n", a->n);
    buf_json_kv(b, "detail", a->detail);
    buf_adds(b, "}\n");
}

static int add_store(struct bundle *x, struct err *e)
{
    struct store_at at = {.r = x->r};
    int64_t bad = 0;
    if (store_list_alarms(at, on_alarm, x, e))
        return -1;
    put(x, "alarms.jsonl");
    if (store_describe(x->r, &x->text, e))
        return -1;
    put(x, "store.json");
    int audit = store_check_audit(x->r, &bad, e);
    if (audit < 0)
        return -1;
    buf_addf(&x->text, "audit %s", audit ? "is broken" : "is whole\n");
    if (audit)
        buf_addf(&x->text, " at row %" PRId64 "\n", bad);
    put(x, "audit.txt");
    return add_queue(x, e);
}

static void count_files(struct bundle *x, const char *root, const char *folder)
{
    char path[4096];
    struct stat st;
    struct dirent *d;
    int64_t n = 0, bytes = 0;
    (void)snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    while ((d = readdir(dir)) != NULL)
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            n++;
            bytes += st.st_size;
        }
    (void)closedir(dir);
    buf_addf(&x->text, "%8" PRId64 " files %12" PRId64 " bytes  %s/%s\n", n, bytes, root, folder);
}

static void add_mode(struct bundle *x, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        buf_addf(&x->text, "%04o %12lld bytes  %s\n", (unsigned)(st.st_mode & 07777), (long long)st.st_size, path);
    else
        buf_addf(&x->text, "%s  %s\n", strerror(errno), path);
}

static void add_folders(struct bundle *x)
{
    static const char *const folders[] = {".", "done", "error", "work", "tmp"};
    add_mode(x, x->conf->path);
    add_mode(x, x->conf->store.path);
    add_mode(x, x->conf->control_path);
    for (size_t i = 0; i < x->conf->n_listeners; i++) {
        const char *place = config_listener_place(&x->conf->listeners[i]);
        for (size_t k = 0; place && place[0] == '/' && k < sizeof folders / sizeof folders[0]; k++)
            count_files(x, place, folders[k]);
    }
    put(x, "files.txt");
}

/* Our own lines only, and of them nothing that a sender chose. */
static bool is_ours(struct span line)
{
    for (size_t i = 0; i + 7 < line.n; i++)
        if (memcmp(line.p + i, " level=", 7) == 0)
            return true;
    return false;
}

static void add_log_line(struct bundle *x, struct span line)
{
    static const char *const dropped[] = {"control=", "type=", "file=", "name="};
    struct span word;
    bool is_first = true;
    line = span_cut(line, 0, 1000);
    while (span_next(&line, ' ', &word)) {
        if (!is_first)
            buf_addc(&x->text, ' ');
        is_first = false;
        size_t k = 0;
        while (k < sizeof dropped / sizeof dropped[0] && !span_starts(word, dropped[k]))
            k++;
        if (k < sizeof dropped / sizeof dropped[0])
            buf_addf(&x->text, "%s-", dropped[k]);
        else
            buf_add_span(&x->text, word);
    }
    buf_addc(&x->text, '\n');
}

static int add_log(struct bundle *x, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    char *bytes;
    long size;
    if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0)
        goto bad;
    size_t want = (size_t)size < LOG_MAX_BYTES ? (size_t)size : LOG_MAX_BYTES;
    if (fseek(f, -(long)want, SEEK_END) != 0)
        goto bad;
    bytes = malloc(want + 1);
    if (!bytes)
        abort();
    size_t n = fread(bytes, 1, want, f), other = 0;
    struct span rest = span_make(bytes, n), line;
    if (want < (size_t)size)
        (void)span_next(&rest, '\n', &line);        /* cut in two */
    while (span_next(&rest, '\n', &line))
        if (is_ours(line))
            add_log_line(x, line);
        else
            other += line.n > 0;
    buf_addf(&x->text, "(%zu lines that are not labrelay's own were left out)\n", other);
    put(x, "log.txt");
    free(bytes);
    (void)fclose(f);
    return 0;
bad:
    (void)err_set(e, ERR_CONFIG, path, "cannot read the log: %s", strerror(errno));
    if (f)
        (void)fclose(f);
    return -1;
}

static int bundle(const struct cli *c)
{
    struct bundle x = {.c = c, .now_s = clock_now_us() / 1000000};
    struct err e = ERR_INIT;
    const char *log = cli_get(c, "log");
    int rc = EXIT_WRONG;
    buf_init(&x.tar, BUNDLE_MAX_BYTES);
    buf_init(&x.text, BUNDLE_MAX_BYTES);
    if (!(x.conf = cli_config(c)) || (access(x.conf->store.path, F_OK) == 0 && !(x.r = cli_reader(x.conf))))
        goto out;
    add_system(&x);
    add_config(&x);
    add_folders(&x);
    if (add_status(&x, &e) || (x.r && add_store(&x, &e)) || (log && add_log(&x, log, &e))) {
        rc = cli_fail(&e);
        goto out;
    }
    ustar_end(&x.tar);
    if (x.tar.is_full || x.text.is_full)
        (void)err_set(&e, ERR_LIMIT, c->args[0], "the bundle would be larger than %zu MB", BUNDLE_MAX_BYTES >> 20);
    else
        (void)fs_write_durably(c->args[0], buf_span(&x.tar), &e);
    rc = e.kind != ERR_NONE ? cli_fail(&e) : EXIT_FINE;
    if (rc == EXIT_FINE && cli_has(c, "json"))
        printf("{\"bytes\":%zu,\"files\":%zu}\n", x.tar.n, x.n);
    else if (rc == EXIT_FINE)
        printf("%s: %zu files, %zu bytes, without patient data; look into it before you send it: tar -xOf %s | less\n", c->args[0], x.n, x.tar.n, c->args[0]);
out:
    json_decref(x.glance);
    buf_clear(&x.tar);
    buf_clear(&x.text);
    store_reader_close(x.r);
    config_free(x.conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"log", 0, "FILE", "add the last lines of this log: journalctl -u labrelay >FILE"}, CLI_JSON_FLAG};

const struct verb verb_bundle = {.name = "bundle", .synopsis = "[-c FILE] [--log FILE] [--json] FILE.tar", .help = "a support archive without patient data",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = bundle};
