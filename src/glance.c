/*
 * NAME glance - the figures of status, metrics and bundle. Times are microseconds since 1970 UTC, in fields that end in _us.
 * DIAGNOSTICS as of the store's reader.
 */
#include "glance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "fsutil.h"
#include "store_watch.h"

struct gather { json_t *root, *list; };

static json_t *text(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("");         /* no UTF-8: nothing of ours */
}

static void set(json_t *o, const char *key, json_t *v)
{
    (void)json_object_set_new(o, key, v);
}

static json_t *named(json_t *list, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
        if (strcmp(json_string_value(json_object_get(v, "name")), name) == 0)
            return v;
    return NULL;
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *word(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

static void add(json_t *o, const char *key, int64_t n)
{
    set(o, key, json_integer(number(o, key) + n));
}

/* ---- gathering ---- */

static void on_channel(void *ctx, const struct store_channel *c)
{
    json_t *o = named(json_object_get(((struct gather *)ctx)->root, "channels"), c->name);
    if (!o)
        return;
    set(o, "last_us", json_integer(c->last_us));
    set(o, "today", json_integer(c->today));
    set(o, "day", json_integer(c->day));
}

static void on_pause(void *ctx, const struct store_pause *p)
{
    json_t *o = named(json_object_get(((struct gather *)ctx)->root, strcmp(p->kind, "channel") == 0 ? "channels" : "writers"), p->name), *v;
    if (!o)
        return;
    v = json_object();
    set(v, "since_us", json_integer(p->us));
    set(v, "by", text(p->who));
    set(v, "reason", text(p->why));
    set(o, "paused", v);
}

static void on_alarm(void *ctx, const struct store_alarm *a)
{
    json_t *o;
    if (a->cleared_us)
        return;
    o = json_object();
    set(o, "kind", text(a->kind));
    set(o, "subject", text(a->subject));
    set(o, "since_us", json_integer(a->raised_us));
    set(o, "n", json_integer(a->n));
    set(o, "detail", text(a->detail));
    (void)json_array_append_new(json_object_get(((struct gather *)ctx)->root, "alarms"), o);
}

static void older(json_t *o, const char *key, int64_t us)
{
    int64_t old = number(o, key);
    if (us && (!old || us < old))
        set(o, key, json_integer(us));
}

static void on_queue(void *ctx, const struct store_queue *q)
{
    struct gather *g = ctx;
    json_t *w = named(json_object_get(g->root, "writers"), q->writer), *o;
    if (!w && q->writer[0]) {           /* a reload took it away; what waits for it stays */
        w = json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i}", "name", q->writer, "type", "", "mode", "gone", "ready", 0, "claimed", 0, "waiting", 0, "held", 0,
                      "oldest_us", 0, "oldest_held_us", 0);
        (void)json_array_append_new(json_object_get(g->root, "writers"), w);
    }
    if (w) {
        add(w, delivery_state_name(q->state), q->n);
        older(w, q->state == DELIVERY_HELD ? "oldest_held_us" : "oldest_us", q->oldest_us);
    }
    if (q->state != DELIVERY_HELD)
        return;
    o = json_object();
    set(o, "writer", text(q->writer));
    set(o, "reason", text(q->reason));
    set(o, "n", json_integer(q->n));
    set(o, "oldest_us", json_integer(q->oldest_us));
    (void)json_array_append_new(json_object_get(g->root, "held"), o);
}

static void on_sum(void *ctx, const char *a, const char *b, int64_t n)
{
    (void)json_array_append_new(((struct gather *)ctx)->list, json_pack("[s,s,I]", a, b, (json_int_t)n));
}

static void add_places(json_t *root, const struct config *conf)
{
    json_t *channels = json_array(), *writers = json_array(), *o;
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct listener_conf *lc = &conf->listeners[i];
        const char *place = config_listener_place(lc);
        o = json_pack("{s:s,s:s,s:s,s:i,s:i}", "name", lc->name, "type", lc->ops->name, "address", place ? place : "", "last_us", 0, "today", 0);
        (void)json_array_append_new(channels, o);
    }
    for (size_t i = 0; i < conf->n_writers; i++)
        (void)json_array_append_new(writers, json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i}", "name", conf->writers[i].name, "type", conf->writers[i].ops->name,
                                                       "mode", "stopped", "ready", 0, "claimed", 0, "waiting", 0, "held", 0, "oldest_us", 0, "oldest_held_us", 0));
    set(root, "channels", channels);
    set(root, "writers", writers);
}

static int64_t file_bytes(const char *path, const char *suffix)
{
    char name[4096];
    struct stat st;
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* What the engine says of a writer goes beside what the store says of it. */
static void join_writers(json_t *root)
{
    static const char *const keys[] = {"mode", "reason", "detail", "until_us", "busy", "delivered", "requests", "mirror", "permissions_missing"};
    json_t *w, *v;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(root, "engine"), "writers"), i, v) {
        w = named(json_object_get(root, "writers"), word(v, "name"));
        for (size_t k = 0; w && k < sizeof keys / sizeof keys[0]; k++)
            if (json_object_get(v, keys[k]))
                (void)json_object_set(w, keys[k], json_object_get(v, keys[k]));
    }
    json_array_foreach(json_object_get(root, "writers"), i, w)
        if (number(w, "delivered") > 0)
            set(w, "requests_per_result", json_real((double)number(w, "requests") / (double)number(w, "delivered")));
}

/* Results that rules flag are counted beside the frames; they are none. */
static void part_critical(json_t *root)
{
    json_t *frames = json_object_get(root, "frames"), *critical = json_array();
    for (size_t i = json_array_size(frames); i-- > 0;)
        if (strcmp(json_string_value(json_array_get(json_array_get(frames, i), 1)), "critical") == 0) {
            (void)json_array_insert(critical, 0, json_array_get(frames, i));
            (void)json_array_remove(frames, i);
        }
    set(root, "critical", critical);
}

json_t *glance_load(const struct config *conf, struct store_reader *r, const char *live, struct err *e)
{
    static const struct { enum store_sum sum; const char *name; } sums[] = {{SUM_FRAMES, "frames"}, {SUM_DELIVERIES, "deliveries"}, {SUM_ACCOUNTS, "accounts"}};
    struct gather g = {.root = json_object()};
    struct store_at at = {.r = r};
    json_t *engine = live ? json_loads(live, 0, NULL) : NULL;
    set(g.root, "now_us", json_integer(clock_now_us()));
    set(g.root, "engine", engine ? engine : json_null());
    set(g.root, "config", json_pack("{s:s,s:s,s:s,s:b}", "file", conf->path, "hash", conf->hash, "node", conf->node, "is_broken", conf->is_kept));
    set(g.root, "store", json_pack("{s:s,s:I,s:I,s:i}", "file", conf->store.path, "bytes", (json_int_t)file_bytes(conf->store.path, ""),
                                   "log_bytes", (json_int_t)file_bytes(conf->store.path, "-wal"), "disk_free_percent", fs_free_percent(conf->store.path)));
    add_places(g.root, conf);
    set(g.root, "alarms", json_array());
    set(g.root, "held", json_array());
    if (r && (store_list_channels(at, on_channel, &g, e) || store_list_pauses(at, on_pause, &g, e) || store_list_alarms(at, on_alarm, &g, e) ||
              store_list_queue(at, on_queue, &g, e)))
        goto bad;
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        g.list = json_array();
        set(g.root, sums[i].name, g.list);
        if (r && store_sum(r, sums[i].sum, on_sum, &g, e))
            goto bad;
    }
    part_critical(g.root);
    join_writers(g.root);
    return g.root;
bad:
    json_decref(g.root);
    return NULL;
}

bool glance_is_trouble(const json_t *glance)
{
    const json_t *engine = json_object_get(glance, "engine");
    json_t *v;
    size_t i;
    if (json_array_size(json_object_get(glance, "alarms")) || (json_is_object(engine) && !json_is_true(json_object_get(engine, "accepting"))))
        return true;
    json_array_foreach(json_object_get(glance, "channels"), i, v)
        if (json_object_get(v, "paused"))
            return true;
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        if (json_object_get(v, "paused") || strcmp(word(v, "mode"), "paused") == 0 || strcmp(word(v, "mode"), "gone") == 0)
            return true;
    return false;
}

/* ---- for people ---- */

void glance_age(int64_t us, int64_t now_us, char *out, size_t n)
{
    int64_t s = now_us > us ? (now_us - us) / 1000000 : 0;
    if (!us)
        (void)snprintf(out, n, "-");
    else if (s < 120)
        (void)snprintf(out, n, "%" PRId64 "s", s);
    else if (s < 7200)
        (void)snprintf(out, n, "%" PRId64 "m", s / 60);
    else if (s < 172800)
        (void)snprintf(out, n, "%" PRId64 "h", s / 3600);
    else
        (void)snprintf(out, n, "%" PRId64 "d", s / 86400);
}

static void paused_text(const json_t *o, struct buf *b)
{
    const json_t *p = json_object_get(o, "paused");
    char when[32];
    if (!p)
        return;
    clock_format_local(number(p, "since_us"), when, sizeof when);
    buf_addf(b, "  paused since %s by %.24s%s%.40s\n", when, word(p, "by"), word(p, "reason")[0] ? ": " : "", word(p, "reason"));
}

static void engine_text(const json_t *glance, struct buf *b)
{
    const json_t *engine = json_object_get(glance, "engine"), *store = json_object_get(glance, "store");
    char when[32];
    if (json_is_object(engine)) {
        clock_format_local(number(engine, "started_us"), when, sizeof when);
        buf_addf(b, "engine      running, %s, since %s\n", json_is_true(json_object_get(engine, "accepting")) ? "accepting" : "NOT ACCEPTING", when);
        if (!json_is_true(json_object_get(engine, "store_takes")))
            buf_adds(b, "            the store refuses: senders are told to come again\n");
        clock_format_local(number(engine, "config_since_us"), when, sizeof when);
        buf_addf(b, "config      number %" PRId64 ", %s, since %s\n", number(engine, "config_number"), word(engine, "config"), when);
        const json_t *disk = json_object_get(glance, "config");
        if (json_is_true(json_object_get(disk, "is_broken")))
            buf_adds(b, "            THE FILES ON DISK HAVE MISTAKES: a restart would fail; see labrelay check\n");
        else if (strcmp(word(disk, "hash"), word(engine, "config")) != 0)
            buf_adds(b, "            THE FILES ON DISK ARE ANOTHER CONFIGURATION: a restart or reload runs those; see labrelay diff\n");
        if (strcmp(word(engine, "log_level"), "info") != 0)
            buf_addf(b, "log level   %s\n", word(engine, "log_level"));
    } else {
        buf_adds(b, "engine      not running\n");
    }
    buf_addf(b, "store       %.1f MB, disk %" PRId64 "%% free\n", (double)(number(store, "bytes") + number(store, "log_bytes")) / 1048576.0, number(store, "disk_free_percent"));
}

static void alarms_text(const json_t *glance, struct buf *b)
{
    json_t *v;
    size_t i;
    char when[32];
    if (!json_array_size(json_object_get(glance, "alarms")))
        buf_adds(b, "alarms      none\n");
    json_array_foreach(json_object_get(glance, "alarms"), i, v) {
        clock_format_local(number(v, "since_us"), when, sizeof when);
        buf_addf(b, "ALARM       %s %.40s since %s\n            %.86s\n", word(v, "kind"), word(v, "subject"), when, word(v, "detail"));
    }
}

static void channels_text(const json_t *glance, struct buf *b)
{
    json_t *v;
    size_t i;
    char when[32], age[24];
    if (json_array_size(json_object_get(glance, "channels")))
        buf_addf(b, "\n%-22s %-6s %-28s %-19s %6s %7s\n", "channel", "kind", "address", "last message", "ago", "today");
    json_array_foreach(json_object_get(glance, "channels"), i, v) {
        const char *place = word(v, "address");
        size_t n = strlen(place);
        clock_format_local(number(v, "last_us"), when, sizeof when);
        glance_age(number(v, "last_us"), number(glance, "now_us"), age, sizeof age);
        bool is_long = n > 28;
        buf_addf(b, "%-22.22s %-6.6s %s%-*s %-19s %6s %7" PRId64 "\n", word(v, "name"), word(v, "type"), is_long ? "..." : "", is_long ? 25 : 28,
                 is_long ? place + n - 25 : place, number(v, "last_us") ? when : "never", age, number(v, "today"));
        paused_text(v, b);
    }
}

static void mirror_text(const json_t *m, int64_t now_us, struct buf *b)
{
    char age[24];
    if (!m)
        return;
    glance_age(number(m, "seen_us"), now_us, age, sizeof age);
    buf_addf(b, "  mirror: %" PRId64 " cases, %" PRId64 " contacts, %" PRId64 " lab results%s; changes read %s ago\n", number(m, "cases"), number(m, "contacts"),
             number(m, "lab_results"), json_is_true(json_object_get(m, "loaded")) ? "" : " so far", age);
}

static void writers_text(const json_t *glance, struct buf *b)
{
    json_t *v;
    size_t i;
    char age[24], held[24];
    if (json_array_size(json_object_get(glance, "writers")))
        buf_addf(b, "\n%-22s %-9s %7s %7s %7s %7s %7s %9s %9s\n", "writer", "is", "ready", "waiting", "oldest", "held", "oldest", "delivered", "requests");
    json_array_foreach(json_object_get(glance, "writers"), i, v) {
        glance_age(number(v, "oldest_us"), number(glance, "now_us"), age, sizeof age);
        glance_age(number(v, "oldest_held_us"), number(glance, "now_us"), held, sizeof held);
        buf_addf(b, "%-22.22s %-9s %7" PRId64 " %7" PRId64 " %7s %7" PRId64 " %7s %9" PRId64 " %9" PRId64 "\n", word(v, "name"), word(v, "mode"),
                 number(v, "ready") + number(v, "claimed"), number(v, "waiting"), age, number(v, "held"), held, number(v, "delivered"), number(v, "requests"));
        if (word(v, "reason")[0] && !json_object_get(v, "paused"))
            buf_addf(b, "  %s%s%.70s\n", word(v, "reason"), word(v, "detail")[0] ? ": " : "", word(v, "detail"));
        if (strcmp(word(v, "mode"), "gone") == 0)
            buf_adds(b, "  the configuration has no writer of this name: what waits for it stays until it has one again\n");
        if (word(v, "permissions_missing")[0])
            buf_addf(b, "  the account lacks permissions: %.400s\n", word(v, "permissions_missing"));
        if (json_object_get(v, "requests_per_result"))
            buf_addf(b, "  %.3f requests for each delivered result since the start\n", json_real_value(json_object_get(v, "requests_per_result")));
        mirror_text(json_object_get(v, "mirror"), number(glance, "now_us"), b);
        paused_text(v, b);
    }
}

static void triples_text(const json_t *list, const char *title, struct buf *b)
{
    json_t *v;
    size_t i;
    if (!json_array_size(list))
        return;
    buf_addf(b, "\n%s\n", title);
    json_array_foreach(list, i, v) {
        const char *second = json_string_value(json_array_get(v, 1));
        buf_addf(b, "  %-30.30s %-40.40s %12" JSON_INTEGER_FORMAT "\n", json_string_value(json_array_get(v, 0)), second[0] ? second : "-",
                 json_integer_value(json_array_get(v, 2)));
    }
}

void glance_text(const json_t *glance, struct buf *b)
{
    engine_text(glance, b);
    alarms_text(glance, b);
    channels_text(glance, b);
    writers_text(glance, b);
    triples_text(json_object_get(glance, "frames"), "frames, all there were", b);
    triples_text(json_object_get(glance, "critical"), "results that a rule flags", b);
    triples_text(json_object_get(glance, "deliveries"), "observations, by state and reason", b);
    triples_text(json_object_get(glance, "accounts"), "observations that need no delivery", b);
}

/* ---- for scrapers ---- */

static void metric(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_addf(b, "# HELP labrelay_%s %s\n# TYPE labrelay_%s %s\n", name, help, name, type);
}

static void label(struct buf *b, const char *key, const char *value, bool is_first)
{
    buf_addf(b, "%s%s=\"", is_first ? "" : ",", key);
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_addc(b, '\\');
        if (*p == '\n')
            buf_adds(b, "\\n");
        else
            buf_addc(b, *p);
    }
    buf_addc(b, '"');
}

static void sample(struct buf *b, const char *name, const char *const *keys, const char *const *values, size_t n, double v)
{
    buf_addf(b, "labrelay_%s", name);
    for (size_t i = 0; i < n; i++) {
        buf_addc(b, i ? ',' : '{');
        label(b, keys[i], values[i], true);
    }
    buf_addf(b, "%s %.15g\n", n ? "}" : "", v);
}

static void per_channel(const json_t *glance, const char *name, const char *key, double scale, struct buf *b)
{
    json_t *v;
    size_t i;
    json_array_foreach(json_object_get(glance, "channels"), i, v)
        sample(b, name, (const char *const[]){"channel"}, (const char *const[]){word(v, "name")}, 1, (double)number(v, key) / scale);
}

static void triples_metric(const json_t *list, const char *name, const char *first, const char *second, struct buf *b)
{
    json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
        sample(b, name, (const char *const[]){first, second},
               (const char *const[]){json_string_value(json_array_get(v, 0)), json_string_value(json_array_get(v, 1))}, 2, (double)json_integer_value(json_array_get(v, 2)));
}

void glance_metrics(const json_t *glance, struct buf *b)
{
    static const char *const states[] = {"ready", "claimed", "waiting", "held"};
    const json_t *engine = json_object_get(glance, "engine"), *store = json_object_get(glance, "store");
    json_t *v;
    size_t i;
    metric(b, "up", "gauge", "1 while an engine runs");
    sample(b, "up", NULL, NULL, 0, json_is_object(engine));
    metric(b, "accepting", "gauge", "1 while messages are taken");
    sample(b, "accepting", NULL, NULL, 0, json_is_true(json_object_get(engine, "accepting")));
    metric(b, "disk_free_percent", "gauge", "free share of the store's file system");
    sample(b, "disk_free_percent", NULL, NULL, 0, (double)number(store, "disk_free_percent"));
    metric(b, "store_bytes", "gauge", "size of the store and its log");
    sample(b, "store_bytes", NULL, NULL, 0, (double)(number(store, "bytes") + number(store, "log_bytes")));
    metric(b, "last_frame_seconds", "gauge", "when a channel was last heard, seconds since 1970; 0 never");
    per_channel(glance, "last_frame_seconds", "last_us", 1e6, b);
    metric(b, "frames_total", "counter", "frames by channel and what became of them");
    triples_metric(json_object_get(glance, "frames"), "frames_total", "channel", "what", b);
    metric(b, "flagged_total", "counter", "results that a rule flags, by channel and flag");
    triples_metric(json_object_get(glance, "critical"), "flagged_total", "channel", "flag", b);
    metric(b, "observations", "gauge", "observations by state and reason of their delivery, erased ones included");
    triples_metric(json_object_get(glance, "deliveries"), "observations", "state", "reason", b);
    metric(b, "queue", "gauge", "deliveries that are not finished");
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        for (size_t k = 0; k < sizeof states / sizeof states[0]; k++)
            sample(b, "queue", (const char *const[]){"writer", "state"}, (const char *const[]){word(v, "name"), states[k]}, 2, (double)number(v, states[k]));
    metric(b, "queue_oldest_seconds", "gauge", "when the oldest unfinished, not held delivery came in; 0 none");
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        sample(b, "queue_oldest_seconds", (const char *const[]){"writer"}, (const char *const[]){word(v, "name")}, 1, (double)number(v, "oldest_us") / 1e6);
    metric(b, "writer_ready", "gauge", "1 while a writer writes");
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        sample(b, "writer_ready", (const char *const[]){"writer"}, (const char *const[]){word(v, "name")}, 1, strcmp(word(v, "mode"), "ready") == 0);
    metric(b, "requests_total", "counter", "requests to the writer's server since the start");
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        sample(b, "requests_total", (const char *const[]){"writer"}, (const char *const[]){word(v, "name")}, 1, (double)number(v, "requests"));
    metric(b, "delivered_total", "counter", "results delivered since the start");
    json_array_foreach(json_object_get(glance, "writers"), i, v)
        sample(b, "delivered_total", (const char *const[]){"writer"}, (const char *const[]){word(v, "name")}, 1, (double)number(v, "delivered"));
    metric(b, "alarm", "gauge", "1 for each alarm that is up");
    json_array_foreach(json_object_get(glance, "alarms"), i, v)
        sample(b, "alarm", (const char *const[]){"kind", "subject"}, (const char *const[]){word(v, "kind"), word(v, "subject")}, 2, 1);
}
