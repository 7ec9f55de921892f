/*
 * NAME labrelay held - what waits for a person: list, show, link, release, dismiss, create, export, apply.
 *
 * Decisions go to the running engine by the control socket, or straight to the store when none runs (a link needs Go.Data, so an engine);
 * all need --by and are audited. EXIT 0 done, 1 refused or something in the file is wrong, 2 usage, 3 there is no such delivery.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "control.h"
#include "held.h"
#include "kept.h"
#include "text.h"
#include "view.h"
#include "xmem.h"

#define HELD_MAX ((size_t)100000)
#define OUT_MAX ((size_t)512 << 20)

/* "3d", "12h", "30m" back from now, or a local date "2026-11-20", "2026-11-20 08:30". False: neither. */
static bool parse_since(const char *text, int64_t *out)
{
    static const struct { char unit; int64_t s; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    struct tm tm = {.tm_isdst = -1};
    size_t n = strlen(text);
    int64_t v;
    for (size_t i = 0; n > 1 && n < 10 && i < sizeof units / sizeof units[0]; i++)
        if (text[n - 1] == units[i].unit && span_is_digits(span_make(text, n - 1)) && span_int(span_make(text, n - 1), &v)) {
            *out = clock_now_us() - v * units[i].s * 1000000;
            return true;
        }
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && (*end == ' ' || *end == 'T'))
        end = strptime(end + 1, "%H:%M", &tm);
    if (!end || *end)
        return false;
    *out = (int64_t)mktime(&tm) * 1000000;
    return true;
}

/* All that is held and fits --reason --writer --channel --since. -1 after saying why. */
static int load_list(const struct cli *c, struct store_reader *r, struct delivery **v, size_t *n)
{
    struct store_filter f = {.state = "held", .reason = cli_get(c, "reason"), .writer = cli_get(c, "writer"), .channel = cli_get(c, "channel"), .limit = HELD_MAX};
    struct err e = ERR_INIT;
    const char *since = cli_get(c, "since");
    int64_t from = 0;
    if (since && !parse_since(since, &from)) {
        fprintf(stderr, "labrelay held: --since wants a time like 3d, 12h or 2026-11-20, not \"%.40s\"\n", since);
        return -1;
    }
    if (store_list_deliveries(r, &f, v, n, &e)) {
        (void)cli_fail(&e);
        return -1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        struct delivery d = (*v)[i];
        if (d.updated_us >= from)
            (*v)[kept++] = d;
        else
            delivery_clear(&d);
    }
    *n = kept;
    return 0;
}

static int list(const struct cli *c, struct store_reader *r)
{
    struct delivery *v = NULL;
    struct buf b;
    size_t n = 0;
    bool is_json = cli_has(c, "json");
    if (load_list(c, r, &v, &n))
        return EXIT_WRONG;
    buf_init(&b, OUT_MAX);
    if (is_json)
        buf_addc(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (is_json) {
            buf_json_sep(&b);
            view_delivery_json(&v[i], &b);
        } else {
            view_delivery_line(&v[i], &b);
            buf_addf(&b, "          %s\n", reason_text(v[i].reason));
        }
    }
    if (is_json)
        buf_adds(&b, "]\n");
    else if (!n)
        buf_adds(&b, "nothing is held\n");
    cli_print(&b);
    buf_clear(&b);
    deliveries_free(v, n);
    return EXIT_FINE;
}

static void audit_text(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct buf *b = ctx;
    char t[32];
    clock_format_local(us, t, sizeof t);
    buf_addf(b, "  %-12s%s %s: %s%s%s\n", "audit", t, who, action, reason[0] ? ", " : "", reason);
}

static void audit_json(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct buf *b = ctx;
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kint(b, "at_us", us);
    buf_json_kv(b, "by", who);
    buf_json_kv(b, "action", action);
    buf_json_kv(b, "reason", reason);
    buf_addc(b, '}');
}

static void show_json(const struct delivery *d, struct store_reader *r, struct buf *b)
{
    struct err e = ERR_INIT;
    struct buf t;
    static const struct { const char *key; void (*what)(const struct delivery *, struct buf *); } words[] = {
        {"patient", held_patient}, {"identifiers", held_identifiers}, {"why", held_why},
    };
    view_delivery_json(d, b);
    b->n--;                             /* its closing brace: more follows */
    buf_init(&t, OUT_MAX);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        buf_reset(&t);
        words[i].what(d, &t);
        buf_json_opt(b, words[i].key, buf_span(&t));
    }
    buf_json_key(b, "candidates");
    buf_addc(b, '[');
    for (size_t i = 0;; i++) {
        buf_reset(&t);
        held_candidate(d, i, &t);
        if (!t.n)
            break;
        buf_json_sep(b);
        buf_json_span(b, buf_span(&t));
    }
    buf_addc(b, ']');
    buf_json_key(b, "audit");
    buf_addc(b, '[');
    (void)store_list_audit(r, d->id, audit_json, b, &e);
    buf_adds(b, "]}\n");
    buf_clear(&t);
}

static int show(const struct cli *c, struct store_reader *r, int64_t id)
{
    struct delivery d = {0};
    struct store_message_row m;
    struct err e = ERR_INIT;
    struct buf b;
    int got = store_load_delivery(r, id, &d, &e);
    if (got < 0)
        return cli_fail(&e);
    if (got > 0) {
        fprintf(stderr, "labrelay: there is no delivery d%" PRId64 "\n", id);
        return EXIT_ABSENT;
    }
    buf_init(&b, OUT_MAX);
    if (cli_has(c, "json")) {
        show_json(&d, r, &b);
    } else {
        bool has_message = store_load_message(r, d.message_id, &m, &e) == 0;
        held_show(&d, has_message ? &m : NULL, &b);
        if (has_message)
            store_message_row_clear(&m);
        (void)store_list_audit(r, d.id, audit_text, &b, &e);
    }
    cli_print(&b);
    buf_clear(&b);
    delivery_clear(&d);
    return EXIT_FINE;
}

static int act(const struct cli *c, const struct config *conf, struct held_decision *x)
{
    struct buf a;
    struct err e = ERR_INIT;
    x->by = cli_get(c, "by");
    x->why = cli_get(c, "why") ? cli_get(c, "why") : cli_get(c, "reason");
    x->is_anyway = cli_has(c, "anyway");
    if (!x->by)
        return cli_usage(c, "who does this? say --by NAME");
    buf_init(&a, CONTROL_MAX_BYTES);
    int rc = held_decide(conf, x, &a, &e);
    if (rc < 0) {
        rc = cli_fail(&e);
    } else if (cli_has(c, "json")) {
        buf_addc(&a, '\n');
        cli_print(&a);
    } else if (rc) {
        char *error = held_error(&a);
        fprintf(stderr, "labrelay: d%" PRId64 ": %s\n", x->id, error);
        free(error);
    } else {
        static const char *const words[] = {[HELD_NOTHING] = "", [HELD_RELEASE] = "released", [HELD_DISMISS] = "dismissed", [HELD_LINK] = "linked",
                                            [HELD_CREATE] = "to be created"};
        printf("d%" PRId64 " %s\n", x->id, words[x->action]);
    }
    buf_clear(&a);
    return rc;
}

struct word { const char *name; enum held_action action; int n_args; const char *usage; };
static const struct word words[] = {
    {"list", HELD_NOTHING, 1, NULL},
    {"show", HELD_NOTHING, 2, "which delivery? Its id looks like d12"},
    {"release", HELD_RELEASE, 2, "which delivery? Its id looks like d12"},
    {"dismiss", HELD_DISMISS, 2, "which delivery? Its id looks like d12"},
    {"link", HELD_LINK, 3, "say link ID PERSON: the delivery (d12) and the case's visualId or Go.Data id"},
    {"create", HELD_CREATE, 3, "say create ID case, or create ID contact"},
    {"export", HELD_NOTHING, 2, "to which file? export FILE.csv"},
    {"apply", HELD_NOTHING, 2, "which file? apply FILE.csv --by NAME"},
};
#define WORDS_N (sizeof words / sizeof words[0])

static const struct word *find_word(const char *name)
{
    for (size_t i = 0; i < WORDS_N; i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

static int run(const struct cli *c, const struct config *conf, const struct word *w, int64_t id)
{
    struct store_reader *r = NULL;
    int rc = EXIT_WRONG;
    if (w->action != HELD_NOTHING) {
        struct held_decision x = {.action = w->action, .id = id, .person = w->n_args > 2 ? c->args[2] : NULL};
        return act(c, conf, &x);
    }
    if ((r = cli_reader(conf)) == NULL)
        return EXIT_WRONG;
    if (w->name[0] == 's') {
        rc = show(c, r, id);
    } else if (w->name[0] == 'l') {
        rc = list(c, r);
    } else if (w->name[0] == 'a') {
        rc = held_apply(c, conf, r, c->args[1]);
    } else {
        struct delivery *v = NULL;
        size_t n = 0;
        if (load_list(c, r, &v, &n) == 0)
            rc = held_export(c, r, v, n, c->args[1]);
        deliveries_free(v, n);
    }
    store_reader_close(r);
    return rc;
}

static int held(const struct cli *c)
{
    const struct word *w = find_word(c->n_args ? c->args[0] : "list");
    int64_t id = 0;
    if (!w)
        return cli_usage(c, "say list, show ID, link ID PERSON, release ID, dismiss ID, create ID case, export FILE or apply FILE");
    if (w->action == HELD_CREATE && c->n_args == 3 && strcmp(c->args[2], "case") != 0 && strcmp(c->args[2], "contact") != 0)
        return cli_usage(c, w->usage);
    bool is_file = strcmp(w->name, "export") == 0 || strcmp(w->name, "apply") == 0;
    if ((c->n_args ? c->n_args : 1) != w->n_args || (w->n_args > 1 && !is_file && !cli_id(c->args[1], 'd', &id)))
        return cli_usage(c, w->usage ? w->usage : "list takes no more words");
    struct config *conf = kept_config(c);
    if (!conf)
        return EXIT_WRONG;
    int rc = run(c, conf, w, id);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"reason", 'r', "TEXT", "list, export: only this reason; else why: kept in the audit trail"},
    {"writer", 0, "NAME", "list, export: only for this writer"},
    {"channel", 0, "NAME", "list, export: only from this channel"},
    {"since", 0, "TIME", "list, export: only what is held since 3d, 12h, 2026-11-20"},
    {"by", 0, "NAME", "who decides; kept in the audit trail"},
    {"why", 0, "TEXT", "why; the same as --reason"},
    {"anyway", 0, NULL, "release: past the reason it is held for; link: although the message contradicts"},
    {"skip-bad", 0, NULL, "apply: carry out the good rows although others are wrong"},
    {"check", 0, NULL, "apply: only look whether all rows could be carried out"},
    CLI_JSON_FLAG,
};

const struct verb verb_held = {.name = "held",
                               .synopsis = "[-c FILE] [list | show ID | link ID PERSON | release ID | dismiss ID | create ID case | export FILE | apply FILE] [--by NAME] "
                                           "[--reason TEXT] [--anyway] [--json]",
                               .help = "what waits for a person to decide", .flags = flags, .n_flags = sizeof flags / sizeof flags[0],
                               .words = "list show link release dismiss create export apply", .max_args = 3, .run = held};
