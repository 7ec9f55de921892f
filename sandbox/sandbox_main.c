/*
 * NAME
 *   sandbox_main - `labrelay sandbox`: options, start, stop
 *
 *   The first line on stdout says where it listens; the lines behind it name outbreak and account. SIGINT and SIGTERM end it.
 *   Writes of one turn of the loop are committed before the answers of that turn go out: the commit event has the higher priority.
 *
 * DIAGNOSTICS
 *   Exit 2 for wrong options, 1 when it cannot start; the reason is on stderr.
 */
#include "sandbox.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

struct options {
    const char *db, *seed, *outbreak, *user, *password, *port_file;
    int64_t port;
    bool as_json;
};

static const char usage[] =
    "usage: labrelay sandbox [options]\n"
    "A small Go.Data " SANDBOX_VERSION " on loopback, to practise on. Stop it with Ctrl-C.\n"
    "  --port N          listen on 127.0.0.1:N (default 0: a free port)\n"
    "  --json            say the address, outbreaks and account as one line of JSON\n"
    "  --port-file FILE  write the port number to FILE\n"
    "  --db FILE         keep the data in FILE (default: in memory)\n"
    "  --seed FILE       start with the outbreaks, users, referenceData, cases, contacts and labResults of a JSON file\n"
    "  --outbreak NAME   name of the outbreak (default \"Ebola 2026\")\n"
    "  --user EMAIL      the account (default labrelay@sandbox.example)\n"
    "  --password PW     its password (default practice-makes-perfect)\n"
    "  --token-ttl S     life of a token in seconds (default 600)\n"
    "  --keep-alive S    idle connections are closed after S seconds (default 5)\n"
    "  --two-factor      logins answer {\"twoFA\":true} and no token\n"
    "  --custom-ids      accept ids of lab results from clients\n"
    "faults (lab-result POSTs; also POST /sandbox/faults):\n"
    "  --fail-every N    every Nth answers 503\n"
    "  --drop-reply N    every Nth is written, then the connection is closed without an answer\n"
    "  --late SECONDS    with --late-every N: every Nth is written SECONDS after the connection was closed\n"
    "  --late-every N    (default 1 with --late)\n"
    "  --late-hold       keep the connection of a late one open and silent instead of closing it\n"
    "  --slow MS         every answer of any route waits MS milliseconds\n";

static int64_t stamp_shift_ms;

int64_t sandbox_now_ms(void) { return clock_now_us() / 1000 + stamp_shift_ms; }
void sandbox_shift_stamps(int64_t ms) { stamp_shift_ms += ms; }
int64_t sandbox_clock_ms(const struct sandbox *s) { return sandbox_now_ms() + s->clock_shift_ms; }

void sandbox_uuid(char out[SANDBOX_ID_SIZE])
{
    static unsigned char pool[4096];
    static size_t at = sizeof pool;
    static const char hex[] = "0123456789abcdef";
    if (at + 16 > sizeof pool) {
        for (size_t have = 0; have < sizeof pool; have += 256)
            if (getrandom(pool + have, 256, 0) != 256)
                abort();
        at = 0;
    }
    unsigned char *b = pool + at;
    at += 16;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0, n = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        out[n++] = hex[b[i] >> 4];
        out[n++] = hex[b[i] & 15];
        out[n] = '\0';
    }
}

/* ---- options ---- */

enum option_id { OPT_PORT = 1, OPT_PORT_FILE, OPT_DB, OPT_SEED, OPT_OUTBREAK, OPT_USER, OPT_PASSWORD, OPT_TTL, OPT_KEEP_ALIVE, OPT_CUSTOM_IDS,
    OPT_TWO_FACTOR, OPT_FAIL, OPT_DROP, OPT_LATE, OPT_LATE_EVERY, OPT_LATE_HOLD, OPT_SLOW, OPT_JSON, OPT_HELP };

static const struct option long_options[] = {
    {"port", required_argument, NULL, OPT_PORT}, {"port-file", required_argument, NULL, OPT_PORT_FILE}, {"db", required_argument, NULL, OPT_DB},
    {"seed", required_argument, NULL, OPT_SEED}, {"outbreak", required_argument, NULL, OPT_OUTBREAK}, {"user", required_argument, NULL, OPT_USER},
    {"password", required_argument, NULL, OPT_PASSWORD}, {"token-ttl", required_argument, NULL, OPT_TTL},
    {"keep-alive", required_argument, NULL, OPT_KEEP_ALIVE},
    {"custom-ids", no_argument, NULL, OPT_CUSTOM_IDS}, {"two-factor", no_argument, NULL, OPT_TWO_FACTOR},
    {"fail-every", required_argument, NULL, OPT_FAIL}, {"drop-reply", required_argument, NULL, OPT_DROP},
    {"late", required_argument, NULL, OPT_LATE}, {"late-every", required_argument, NULL, OPT_LATE_EVERY}, {"late-hold", no_argument, NULL, OPT_LATE_HOLD},
    {"slow", required_argument, NULL, OPT_SLOW}, {"json", no_argument, NULL, OPT_JSON}, {"help", no_argument, NULL, OPT_HELP}, {NULL, 0, NULL, 0},
};

/* A number from 0 to max, times scale; fractions are fine where scale allows. */
static int read_number(const char *name, const char *text, double scale, double max, int64_t *out)
{
    char *end;
    double d = strtod(text, &end);
    if (end == text || *end || !(d >= 0) || d > max) {
        fprintf(stderr, "labrelay sandbox: --%s needs a number from 0 to %.0f, not \"%s\"\n", name, max, text);
        return -1;
    }
    *out = (int64_t)(d * scale);
    return 0;
}

static int read_option(struct sandbox *s, struct options *o, int id, const char *name)
{
    struct sandbox_faults *f = &s->faults;
    int64_t n = 0;
    int rc = 0;
    switch ((enum option_id)id) {
    case OPT_PORT: return read_number(name, optarg, 1, 65535, &o->port);
    case OPT_PORT_FILE: o->port_file = optarg; return 0;
    case OPT_DB: o->db = optarg; return 0;
    case OPT_SEED: o->seed = optarg; return 0;
    case OPT_OUTBREAK: o->outbreak = optarg; return 0;
    case OPT_USER: o->user = optarg; return 0;
    case OPT_PASSWORD: o->password = optarg; return 0;
    case OPT_TTL: return read_number(name, optarg, 1, 1e9, &s->token_ttl_s);
    case OPT_KEEP_ALIVE:
        rc = read_number(name, optarg, 1, 86400, &n);
        s->keep_alive_s = (int)n;
        return rc;
    case OPT_CUSTOM_IDS: s->allows_custom_ids = true; return 0;
    case OPT_TWO_FACTOR: f->two_factor = true; return 0;
    case OPT_FAIL: return read_number(name, optarg, 1, 1e9, &f->fail_every);
    case OPT_DROP: return read_number(name, optarg, 1, 1e9, &f->drop_reply);
    case OPT_LATE: return read_number(name, optarg, 1000, 1e6, &f->late_ms);
    case OPT_LATE_EVERY: return read_number(name, optarg, 1, 1e9, &f->late_every);
    case OPT_LATE_HOLD: f->late_hold = true; return 0;
    case OPT_SLOW: return read_number(name, optarg, 1, 1e6, &f->slow_ms);
    case OPT_JSON: o->as_json = true; return 0;
    case OPT_HELP: fputs(usage, stdout); return 1;
    }
    return -1;
}

/* 0 go on, 1 help was shown, -1 wrong. */
static int read_options(struct sandbox *s, struct options *o, int argc, char **argv)
{
    int id, index = 0;
    optind = 1;
    while ((id = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        int rc = id == '?' ? -1 : read_option(s, o, id, long_options[index].name);
        if (rc)
            return rc;
    }
    if (optind < argc) {
        fprintf(stderr, "labrelay sandbox: unexpected argument \"%s\"\n", argv[optind]);
        return -1;
    }
    if (s->faults.late_ms > 0 && s->faults.late_every == 0)
        s->faults.late_every = 1;
    return 0;
}

/* ---- run ---- */

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    event_base_loopbreak(arg);
}

static void on_commit(evutil_socket_t fd, short what, void *arg)
{
    struct sandbox *s = arg;
    (void)fd;
    (void)what;
    sandbox_db_commit(s->db);
}

/* Before each wait for events: whatever was written in this turn gets committed first thing in the next. */
static int loop(struct sandbox *s)
{
    int rc;
    do {
        rc = event_base_loop(s->base, EVLOOP_ONCE);
        if (sandbox_db_is_dirty(s->db))
            event_active(s->commit_event, 0, 0);
    } while (rc == 0 && !event_base_got_break(s->base));
    return rc;
}

static int write_port_file(const char *path, int port, struct err *e)
{
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0)
        return err_set(e, ERR_CONFIG, path, "cannot write the port number");
    return 0;
}

static bool has_own_account(const struct options *o) { return !o->seed || o->user; }
static const char *account_of(const struct options *o) { return o->user ? o->user : "labrelay@sandbox.example"; }
static const char *password_of(const struct options *o) { return o->password ? o->password : "practice-makes-perfect"; }

static void announce_json(const struct sandbox *s, const struct options *o)
{
    const char *id;
    json_t *outbreak, *list = json_array();
    struct buf text;
    json_object_foreach(s->outbreaks, id, outbreak)
        json_array_append_new(list, json_pack("{sssO}", "id", id, "name", json_object_get(outbreak, "name")));
    json_t *all = json_pack("{sosisoss*ss*}", "url", json_sprintf("http://127.0.0.1:%d/api", s->port), "port", s->port, "outbreaks", list,
                            "user", has_own_account(o) ? account_of(o) : NULL, "password", has_own_account(o) ? password_of(o) : NULL);
    buf_init(&text, 1u << 20);
    sandbox_json_dump(&text, all);
    printf("%s\n", text.p);
    buf_clear(&text);
    json_decref(all);
}

static void announce(const struct sandbox *s, const struct options *o)
{
    const char *id;
    json_t *outbreak;
    printf("sandbox listening on http://127.0.0.1:%d/api\n", s->port);
    json_object_foreach(s->outbreaks, id, outbreak)
        printf("outbreak \"%s\" %s\n", sandbox_json_get(outbreak, "name"), id);
    if (has_own_account(o))
        printf("account %s password %s\n", account_of(o), password_of(o));
}

static void load_outbreaks(struct sandbox *s)
{
    struct sandbox_filter all = {0};
    struct sandbox_query q = {.kind = RECORD_OUTBREAK, .filter = &all};
    json_t *found = sandbox_db_find(s->db, &q), *o;
    size_t i;
    json_array_foreach(found, i, o)
        json_object_set(s->outbreaks, sandbox_json_get(o, "id"), o);
    json_decref(found);
    auth_load(s);
}

static int start(struct sandbox *s, const struct options *o, struct err *e)
{
    if (sandbox_db_open(&s->db, o->db, e))
        return -1;
    load_outbreaks(s);
    if (!s->users && seed_load(s, o->seed, o->outbreak, o->user, o->password, e))
        return -1;
    sandbox_db_commit(s->db);
    if (sandbox_http_listen(s, (int)o->port, e))
        return -1;
    return o->port_file ? write_port_file(o->port_file, s->port, e) : 0;
}

static void stop(struct sandbox *s)
{
    sandbox_http_close(s);
    sandbox_db_close(s->db);
    auth_free(s);
    json_decref(s->outbreaks);
    free(s->route_hits);
    if (s->commit_event)
        event_free(s->commit_event);
    event_base_free(s->base);
}

/* Timers to the microsecond: a slow answer of 15 ms must not take 16. */
static struct event_base *base_new(void)
{
    struct event_config *c = event_config_new();
    struct event_base *base = NULL;
    if (c && event_config_set_flag(c, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
        base = event_base_new_with_config(c);
    if (c)
        event_config_free(c);
    return base ? base : event_base_new();
}

int sandbox_main(int argc, char **argv)
{
    struct sandbox s = {.token_ttl_s = 600, .keep_alive_s = 5, .faults.fail_status = 503};
    struct options o = {0};
    struct err e = ERR_INIT;
    int rc = read_options(&s, &o, argc, argv);
    if (rc)
        return rc > 0 ? 0 : 2;
    (void)signal(SIGPIPE, SIG_IGN);
    s.started_ms = sandbox_now_ms();
    s.outbreaks = json_object();
    s.route_hits = xcalloc(sandbox_route_count(), sizeof *s.route_hits);
    s.base = base_new();
    event_base_priority_init(s.base, 2);
    s.commit_event = event_new(s.base, -1, 0, on_commit, &s);
    event_priority_set(s.commit_event, 0);
    if (start(&s, &o, &e)) {
        fprintf(stderr, "labrelay sandbox: %s: %s\n", e.where, e.text);
        stop(&s);
        return 1;
    }
    struct event *interrupt = evsignal_new(s.base, SIGINT, on_stop, s.base), *terminate = evsignal_new(s.base, SIGTERM, on_stop, s.base);
    evsignal_add(interrupt, NULL);
    evsignal_add(terminate, NULL);
    if (o.as_json)
        announce_json(&s, &o);
    else
        announce(&s, &o);
    fflush(stdout);
    (void)loop(&s);
    event_free(interrupt);
    event_free(terminate);
    stop(&s);
    return 0;
}
