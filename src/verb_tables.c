/*
 * NAME labrelay tables - what the tables lack: `todo` counts the codes and texts that held results wait for, the most wanted first.
 * A held delivery names what it misses as "table|system|code" or "table|text" (its detail); equal ones are one line here.
 * EXIT 0, also when nothing is missing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "kept.h"
#include "table.h"
#include "xmem.h"

#define PAGE ((size_t)1000)

struct gap { char *key; int64_t n, first_message, first_delivery, last_message; };
struct gaps { struct gap *v; size_t n, cap; size_t *slots; size_t n_slots; };    /* slots: open addressing, index + 1 */

static size_t slot_of(const struct gaps *g, const char *key)
{
    uint64_t h = 1469598103934665603u;
    for (const char *p = key; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    size_t i = (size_t)h & (g->n_slots - 1);
    while (g->slots[i] && strcmp(g->v[g->slots[i] - 1].key, key) != 0)
        i = (i + 1) & (g->n_slots - 1);
    return i;
}

static void add(struct gaps *g, const struct delivery *d)
{
    if (2 * (g->n + 1) > g->n_slots) {
        free(g->slots);
        g->n_slots = g->n_slots ? 2 * g->n_slots : 256;
        g->slots = xcalloc(g->n_slots, sizeof *g->slots);
        for (size_t i = 0; i < g->n; i++)
            g->slots[slot_of(g, g->v[i].key)] = i + 1;
    }
    size_t at = slot_of(g, d->detail);
    if (!g->slots[at]) {
        if (g->n == g->cap) {
            g->cap = g->cap ? 2 * g->cap : 64;
            g->v = xreallocarray(g->v, g->cap, sizeof *g->v);
        }
        g->v[g->n] = (struct gap){.key = xstrdup(d->detail), .first_message = d->message_id, .first_delivery = d->id};
        g->slots[at] = ++g->n;
    }
    struct gap *x = &g->v[g->slots[at] - 1];
    x->n++;
    x->last_message = d->message_id;
}

/* "tests|http://loinc.org|94500-6": a table of the configuration, then its keys. */
static const struct table *table_of(const struct config *conf, const char *key)
{
    struct span s = span_of(key);
    size_t bar = span_find(s, '|');
    return bar < s.n ? tables_find(conf->tables, span_cut(s, 0, bar)) : NULL;
}

static int collect(const struct config *conf, struct store_reader *r, struct gaps *g, struct err *e)
{
    static const char *const reasons_of_gaps[] = {"UNMAPPED_TEST", "UNMAPPED_VALUE", "UNMAPPED_CODE"};
    for (size_t i = 0; i < sizeof reasons_of_gaps / sizeof reasons_of_gaps[0]; i++) {
        struct store_filter f = {.state = "held", .reason = reasons_of_gaps[i], .limit = PAGE};
        size_t n = PAGE;
        while (n == PAGE) {
            struct delivery *v = NULL;
            if (store_list_deliveries(r, &f, &v, &n, e))
                return -1;
            for (size_t k = 0; k < n; k++) {
                f.after_id = v[k].id;
                if (table_of(conf, v[k].detail))
                    add(g, &v[k]);
            }
            deliveries_free(v, n);
        }
    }
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->key, y->key);
}

static void print_text(const struct config *conf, const struct gaps *g, struct buf *b)
{
    if (!g->n)
        buf_adds(b, "no held result waits for a row\n");
    for (size_t i = 0; i < g->n; i++) {
        const struct gap *x = &g->v[i];
        const struct table *t = table_of(conf, x->key);
        struct span rest = span_of(x->key), part;
        (void)span_next(&rest, '|', &part);
        buf_addf(b, "%s:", table_file(t));
        for (size_t k = 0; k < table_keys(t); k++) {
            bool is_last = k + 1 == table_keys(t);
            part = rest;                                    /* the last key may have a | of its own */
            if (!is_last && !span_next(&rest, '|', &part))
                part = SPAN_ABSENT;
            buf_addf(b, " %s \"%.*s\"", table_column_name(t, table_key_column(t, k)), SPAN_ARG(part));
        }
        buf_addf(b, "\n          %" PRId64 " held, for instance m%" PRId64 " (d%" PRId64 "), last m%" PRId64 "\n", x->n, x->first_message, x->first_delivery,
                 x->last_message);
    }
}

static void print_json(const struct config *conf, const struct gaps *g, struct buf *b)
{
    buf_addc(b, '[');
    for (size_t i = 0; i < g->n; i++) {
        const struct gap *x = &g->v[i];
        const struct table *t = table_of(conf, x->key);
        struct span rest = span_of(x->key), part;
        (void)span_next(&rest, '|', &part);
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "table", table_name(t));
        buf_json_kv(b, "file", table_file(t));
        buf_json_key(b, "key");
        buf_addc(b, '{');
        for (size_t k = 0; k < table_keys(t); k++) {
            bool is_last = k + 1 == table_keys(t);
            part = rest;
            if (!is_last && !span_next(&rest, '|', &part))
                part = SPAN_ABSENT;
            buf_json_key(b, table_column_name(t, table_key_column(t, k)));
            buf_json_span(b, part);
        }
        buf_addc(b, '}');
        buf_json_kint(b, "held", x->n);
        buf_json_kint(b, "message", x->first_message);
        buf_json_kint(b, "delivery", x->first_delivery);
        buf_json_kint(b, "last_message", x->last_message);
        buf_addc(b, '}');
    }
    buf_adds(b, "]\n");
}

static int tables(const struct cli *c)
{
    struct gaps g = {0};
    struct err e = ERR_INIT;
    struct store_reader *r = NULL;
    struct buf b;
    int rc = EXIT_WRONG;
    if (strcmp(c->args[0], "todo") != 0)
        return cli_usage(c, "say tables todo");
    buf_init(&b, (size_t)64 << 20);
    struct config *conf = kept_config(c);
    if (conf && (r = cli_reader(conf)) != NULL) {
        if (collect(conf, r, &g, &e)) {
            rc = cli_fail(&e);
        } else {
            if (g.n)
                qsort(g.v, g.n, sizeof *g.v, by_count);
            if (cli_has(c, "json"))
                print_json(conf, &g, &b);
            else
                print_text(conf, &g, &b);
            cli_print(&b);
            rc = EXIT_FINE;
        }
    }
    for (size_t i = 0; i < g.n; i++)
        free(g.v[i].key);
    free(g.v);
    free(g.slots);
    buf_clear(&b);
    store_reader_close(r);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_tables = {.name = "tables", .synopsis = "[-c FILE] todo [--json]", .help = "the codes that held results wait for, with counts and an example",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .words = "todo", .min_args = 1, .max_args = 1, .run = tables};
