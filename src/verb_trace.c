/*
 * NAME labrelay trace - everything known of a sample, a person, a result or a message, in order of time.
 * KEY: sample id, visual id, document number, control id, K, m12, d12. Looks only into the store; works with and without an engine.
 * A message found by its own id or control id is shown whole, else with the deliveries that carry the key.
 * EXIT 0 something is known, 3 nothing is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "kept.h"
#include "view.h"
#include "xmem.h"

#define LIMIT 1000
#define LIMIT_MAX 100000

struct traced {
    struct store_reader *r;
    const char *key;
    const char *k;                      /* the first 8 digits that a result key has to have; NULL: by the key itself */
    struct buf *b, literal;             /* :"key" */
    bool is_json;
    size_t messages, deliveries;
};

static void when(struct buf *b, int64_t us)
{
    char t[32];
    clock_format_local(us, t, sizeof t);
    buf_adds(b, t);
}

static void audit_line(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct buf *b = ctx;
    buf_adds(b, "      ");
    when(b, us);
    buf_addf(b, " %s by %s%s%s\n", action, who, reason[0] ? ": " : "", reason);
}

static bool is_about(const struct traced *x, const struct delivery *d, bool is_whole)
{
    struct span key = span_of(d->result_key);
    if (x->k)
        return key.n == 64 && span_eq_nocase(span_cut(key, 0, 8), span_cut(span_of(x->k), 0, 8));
    if (is_whole)
        return true;
    bool is_k = (strlen(x->key) == 8 || strlen(x->key) == 64) && span_eq_nocase(span_cut(key, 0, 8), span_cut(span_of(x->key), 0, 8));
    return is_k || (d->who && strstr(d->who, x->literal.p));
}

static void delivery_text(struct traced *x, const struct delivery *d)
{
    struct buf *b = x->b;
    struct err e = ERR_INIT;
    buf_addf(b, "  d%" PRId64 " %s: %s", d->id, d->path, delivery_state_name(d->state));
    if (d->reason[0])
        buf_addf(b, ", %s (%s)", d->reason, reason_text(d->reason));
    buf_adds(b, ", ");
    when(b, d->updated_us);
    buf_addc(b, '\n');
    if (d->detail && d->detail[0] && d->detail[0] != '{')
        buf_addf(b, "      %s\n", d->detail);
    if (d->result_key[0])
        buf_addf(b, "      K %.8s, route \"%s\"", d->result_key, d->route);
    if (d->result_key[0] && d->person_id[0])
        buf_addf(b, ", %s %s", d->person_type, d->person_id);
    if (d->result_key[0] && d->remote_id[0])
        buf_addf(b, ", lab result %s", d->remote_id);
    if (d->result_key[0])
        buf_addc(b, '\n');
    (void)store_list_audit(x->r, d->id, audit_line, b, &e);
}

static int show(struct traced *x, int64_t id, struct err *e)
{
    struct store_message_row m = {0};
    struct delivery *v = NULL;
    struct buf *b = x->b;
    size_t n = 0;
    int got = store_load_message(x->r, id, &m, e);
    if (got)
        return got < 0 ? -1 : 0;
    bool is_whole = !x->k && (strcmp(m.control_id, x->key) == 0 || x->key[0] == '\0');
    if (store_load_deliveries_of(x->r, id, &v, &n, e)) {
        store_message_row_clear(&m);
        return -1;
    }
    x->messages++;
    if (x->is_json) {
        buf_json_sep(b);
        view_message_json(&m, b);
        buf_json_key(b, "deliveries");
        buf_addc(b, '[');
    } else {
        when(b, m.received_us);
        buf_addf(b, " m%" PRId64 " %s on %s from %s, control id %s: %s%s%s\n", m.id, m.kind, m.channel, m.peer, m.control_id, message_state_name(m.state),
                 m.reason[0] ? ", " : "", m.reason);
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_about(x, &v[i], is_whole))
            continue;
        x->deliveries++;
        if (x->is_json) {
            buf_json_sep(b);
            view_delivery_json(&v[i], b);
        } else {
            delivery_text(x, &v[i]);
        }
    }
    if (x->is_json)
        buf_adds(b, "]}");
    deliveries_free(v, n);
    store_message_row_clear(&m);
    return 0;
}

/* m12 and d12 name rows; a delivery stands for all versions of its result. */
static int find(struct traced *x, size_t limit, int64_t **ids, size_t *n, char **key_of, struct err *e)
{
    struct delivery d = {0};
    int64_t id;
    if (x->key[0] == 'm' && cli_id(x->key, 'm', &id)) {
        *ids = xcalloc(1, sizeof **ids);
        **ids = id;
        *n = 1;
        x->key = "";
        return 0;
    }
    if (x->key[0] == 'd' && cli_id(x->key, 'd', &id)) {
        int got = store_load_delivery(x->r, id, &d, e);
        if (got == 0 && strlen(d.result_key) == 64) {
            *key_of = xstrdup(d.result_key);
            x->k = *key_of;
            got = store_trace(x->r, *key_of, limit, ids, n, e);
        } else if (got == 0) {
            *ids = xcalloc(1, sizeof **ids);
            **ids = d.message_id;
            *n = 1;
            x->key = "";
        }
        delivery_clear(&d);
        return got < 0 ? -1 : 0;
    }
    return store_trace(x->r, x->key, limit, ids, n, e);
}

static int trace(const struct cli *c)
{
    const char *limit_text = cli_get(c, "limit");
    struct buf b;
    struct err e = ERR_INIT;
    struct traced x = {.key = c->args[0], .b = &b, .is_json = cli_has(c, "json")};
    int64_t *ids = NULL, limit = LIMIT;
    char *key_of = NULL;
    size_t n = 0;
    int rc = EXIT_WRONG;
    if (limit_text && (!span_int(span_of(limit_text), &limit) || limit < 1 || limit > LIMIT_MAX))
        return cli_usage(c, "--limit is a number from 1 to 100000");
    buf_init(&b, (size_t)256 << 20);
    buf_init(&x.literal, (size_t)1 << 20);
    buf_addc(&x.literal, ':');
    buf_json_str(&x.literal, x.key);
    struct config *conf = kept_config(c);
    if (!conf || (x.r = cli_reader(conf)) == NULL)
        goto out;
    if (x.is_json) {
        buf_addc(&b, '{');
        buf_json_kv(&b, "key", x.key);
        buf_json_key(&b, "messages");
        buf_addc(&b, '[');
    }
    rc = find(&x, (size_t)limit, &ids, &n, &key_of, &e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = show(&x, ids[i], &e);
    if (rc != 0) {
        rc = cli_fail(&e);
        goto out;
    }
    if (x.is_json)
        buf_adds(&b, "]}\n");
    if (x.messages || x.is_json)
        cli_print(&b);
    if (!x.messages && !x.is_json)
        fputs("labrelay: nothing is known of this key; it has to be written exactly as it was sent\n", stderr);
    if (n == (size_t)limit)
        fprintf(stderr, "labrelay: there may be more than %zu messages; say --limit\n", n);
    rc = x.messages ? EXIT_FINE : EXIT_ABSENT;
out:
    free(ids);
    free(key_of);
    buf_clear(&b);
    buf_clear(&x.literal);
    store_reader_close(x.r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, {"limit", 0, "N", "messages at most; default 1000"}, CLI_JSON_FLAG};

const struct verb verb_trace = {.name = "trace", .synopsis = "[-c FILE] [--json] KEY", .help = "everything known of a sample id, a person's id, a control id, K, m12 or d12",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = trace};
