/*
 * NAME
 *     conf - a configuration, read, checked and compiled whole
 * DESCRIPTION
 *     The top level is read by the same option reader as every block: its options are rows, its nouns (store, table, listen, write,
 *     route, result-of, test) are special words. Routes are compiled last, when everything they name is known. Blocks with mistakes keep
 *     their name, so that one mistake is not reported again wherever the name is used.
 * DIAGNOSTICS
 *     All through the diag. config_load() returns NULL when there is any error.
 */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_effective.h"
#include "conf_mark.h"
#include "conf_read.h"
#include "conf_test.h"
#include "fsutil.h"
#include "option_value.h"
#include "rule_codes.h"
#include "rule_inner.h"
#include "text.h"
#include "xmem.h"

struct globals {
    char *node, *control;
    int64_t duplicate_window_us, memory_budget_bytes;
    int quant_without_result, preliminary, missing_sample_date, sample_date_fallback;
    bool text_from_display;
};
#define G(m) offsetof(struct globals, m)
#define DAY 86400000000LL
#define SECOND 1000000LL
#define MEGA (1024LL * 1024)

static const struct option_row global_rows[] = {
    {.name = "node", .type = OPT_TEXT, .offset = G(node), .def = "labrelay", .help = "our name in acknowledgements, logs and metrics"},
    {.name = "control", .type = OPT_PATH, .offset = G(control), .help = "control socket; the store's path with .sock unless given"},
    {.name = "duplicate-window", .type = OPT_DURATION, .offset = G(duplicate_window_us), .min = 60 * SECOND, .max = 3650 * DAY, .def = "30d",
     .help = "how long a message is recognised when it comes again"},
    {.name = "memory-budget", .type = OPT_SIZE, .offset = G(memory_budget_bytes), .min = 8 * MEGA, .max = 65536 * MEGA, .def = "64MB",
     .help = "bytes of all messages under way together"},
    {.name = "quant-without-result", .type = OPT_CHOICE, .offset = G(quant_without_result), .choices = "hold in-progress", .def = "hold",
     .help = "what to do with a final number for which no result can be derived"},
    {.name = "preliminary", .type = OPT_CHOICE, .offset = G(preliminary), .choices = "write hold", .def = "write",
     .help = "what to do with preliminary results"},
    {.name = "missing-sample-date", .type = OPT_CHOICE, .offset = G(missing_sample_date), .choices = "send hold", .def = "send",
     .help = "what to do with a result whose sample day is not known: Go.Data's screens ask for it"},
    {.name = "sample-date-fallback", .type = OPT_CHOICE, .offset = G(sample_date_fallback), .choices = "none received", .def = "none",
     .help = "the day that stands for a sample day that is not known; the notes say so"},
    {.name = "text-from-display", .type = OPT_YESNO, .offset = G(text_from_display), .def = "no",
     .help = "let the text of a coded value count when none of its codes is in a table"},
};
static const struct option_table global_table = {global_rows, sizeof global_rows / sizeof global_rows[0], sizeof(struct globals), NULL};

#define S(m) offsetof(struct store_conf, m)
static int read_keep(void *value, struct option_args *a)
{
    if (option_accept(a, "for-ever")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_duration(a, 3600 * SECOND, 36500 * DAY, value);
}

static int read_cap(void *value, struct option_args *a)
{
    if (option_accept(a, "none")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_size(a, 32 * MEGA, 1024 * 1024 * MEGA, value);
}

static int read_floor(void *value, struct option_args *a)
{
    static const char *const words[] = {"when", "disk-free", "below"};
    for (size_t i = 0; i < 3; i++)
        if (!option_accept(a, words[i]))
            return option_error(a, "write: stop-accepting when disk-free below 5%", "\"%s\" is expected here", words[i]);
    return option_take_percent(a, 0, 90, value);
}

static const struct option_row store_rows[] = {
    {.name = "keep-delivered", .type = OPT_CUSTOM, .offset = S(keep_delivered_us), .def = "90d", .custom = read_keep, .syntax = "DURATION|for-ever",
     .help = "how long finished messages are kept"},
    {.name = "keep-raw", .type = OPT_CUSTOM, .offset = S(keep_raw_us), .def = "for-ever", .custom = read_keep, .syntax = "DURATION|for-ever",
     .help = "how long the original bytes of finished messages are kept; what became of them stays as long as keep-delivered says"},
    {.name = "size-max", .type = OPT_CUSTOM, .offset = S(size_max_bytes), .def = "none", .custom = read_cap, .syntax = "SIZE|none",
     .help = "bytes of the store and its log together: near it finished messages are erased, oldest first; at it nothing is accepted"},
    {.name = "stop-accepting", .type = OPT_CUSTOM, .offset = S(disk_free_min_percent), .def = "when disk-free below 5%", .custom = read_floor,
     .syntax = "when disk-free below N%", .help = "refuse new messages while the disk is this full"},
    {.name = "commit-delay", .type = OPT_DURATION, .offset = S(commit_delay_us), .min = 1000, .max = SECOND, .def = "5ms",
     .help = "how long a commit waits for more messages"},
    {.name = "commit-size", .type = OPT_SIZE, .offset = S(commit_bytes), .min = 65536, .max = 256 * MEGA, .def = "4MB",
     .help = "how many bytes close a commit"},
};
static const struct option_table store_table = {store_rows, sizeof store_rows / sizeof store_rows[0], sizeof(struct store_conf), NULL};

#define W(m) offsetof(struct writer_conf, m)
static const struct option_row writer_rows[] = {
    {.name = "couriers", .type = OPT_INT, .offset = W(couriers), .min = 1, .max = 32, .def = "4", .help = "requests under way at the same time"},
    {.name = "settle-unknown", .type = OPT_DURATION, .offset = W(settle_unknown_us), .min = SECOND, .max = 3600 * SECOND, .def = "60s",
     .help = "how long to wait before a write with an unknown outcome is looked for"},
    {.name = "retry-max", .type = OPT_DURATION, .offset = W(retry_max_us), .min = 5 * SECOND, .max = 86400 * SECOND, .def = "15m",
     .help = "longest time between two tries"},
};
static const struct option_table writer_table = {writer_rows, sizeof writer_rows / sizeof writer_rows[0], sizeof(struct writer_conf), NULL};

static const struct option_row listener_rows[] = {
    {.name = "expect", .type = OPT_CUSTOM, .offset = offsetof(struct listener_conf, expect), .custom = expect_read,
     .syntax = "every DURATION [during HH:MM-HH:MM] [mon-sat]", .help = "an alarm when nothing comes for so long of these hours (local time of the channel)"},
};
static const struct option_table listener_table = {listener_rows, sizeof listener_rows / sizeof listener_rows[0], sizeof(struct listener_conf), NULL};

const struct option_table *config_tables(size_t i, const char **name)
{
    static const struct { const char *name; const struct option_table *t; } all[] = {
        {"configuration", &global_table}, {"store", &store_table}, {"every writer", &writer_table},
        {"every listener", &listener_table}, {"alarm", &alarm_table}};
    if (i >= sizeof all / sizeof all[0])
        return NULL;
    *name = all[i].name;
    return all[i].t;
}

/* ---- loading ---- */
struct names { const char *noun; char **v; struct diag_place *at; size_t n; };
struct loader {
    struct diag *d;
    const struct modules *m;
    struct config *c;
    struct names listeners, writers, tables;
    const struct lexer_stmt **rules;
    size_t n_rules;
    const struct lexer_stmt **tests;
    size_t n_tests;
    struct buf table_bytes;
    unsigned store_line, alarm_line;
    struct diag_place store_at;
    struct effective show;
    /* while a listen block is read */
    struct listener_conf *listener;
    bool has_parse;
};

static void names_free(struct names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    free(n->at);
}

static void error_at(struct loader *l, const struct lexer_stmt *s, size_t i, const char *hint, const char *text)
{
    diag_add(l->d, DIAG_ERROR, i < s->n ? s->v[i].at : lexer_after(s), hint, "%s", text);
}

static const char *add_name(struct names *names, const struct token *t)
{
    names->v = xreallocarray(names->v, names->n + 1, sizeof *names->v);
    names->at = xreallocarray(names->at, names->n + 1, sizeof *names->at);
    names->v[names->n] = xstrndup(t->text.n ? t->text.p : "", t->text.n);
    names->at[names->n] = t->at;
    return names->v[names->n++];
}

/* Name of a noun at word i: checked, kept, unique among its kind. NULL after reporting. */
static const char *take_name(struct loader *l, const struct lexer_stmt *s, size_t i, const char *noun, struct names *names, bool is_word)
{
    const struct token *t = i < s->n ? &s->v[i] : NULL;
    bool is_right = t && t->kind == (is_word ? TOKEN_WORD : TOKEN_STRING) && t->text.n;
    if (!is_right) {
        char hint[80];
        (void)snprintf(hint, sizeof hint, is_word ? "write: %s tests csv \"tables/tests.csv\" key …" : "write: %s TYPE \"name\" { … }", noun);
        diag_add(l->d, DIAG_ERROR, t ? t->at : lexer_after(s), hint, "%s needs a name%s", noun, is_word ? "" : " in quotes");
        if (t)
            add_name(names, t);         /* what uses the name is not reported as well */
        return NULL;
    }
    for (size_t k = 0; k < t->text.n; k++) {
        char c = t->text.p[k];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!is_plain || t->text.n > 64) {
            diag_add(l->d, DIAG_ERROR, t->at, "names go into logs, files and tables", "a name has at most 64 letters, digits, - _ and .");
            return NULL;
        }
    }
    for (size_t k = 0; k < names->n; k++)
        if (span_is(t->text, names->v[k])) {
            diag_add(l->d, DIAG_ERROR, t->at, NULL, "there is a %s \"%s\" in line %u already", names->noun, names->v[k], names->at[k].line);
            return NULL;
        }
    return add_name(names, t);
}

static void unknown_module(struct loader *l, const struct lexer_stmt *s, size_t i, const char *noun, const char *const *names, size_t n)
{
    char hint[160], all[200] = "";
    size_t at = 0;
    if (i >= s->n) {
        diag_add(l->d, DIAG_ERROR, lexer_after(s), NULL, "the kind of %s is missing", noun);
        return;
    }
    for (size_t k = 0; k < n && at < sizeof all; k++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", k ? " " : "", names[k]);
    const char *guess = diag_guess(s->v[i].text, names, n, hint, sizeof hint);
    if (!guess)
        (void)snprintf(hint, sizeof hint, "there are: %.140s", all);
    diag_add(l->d, DIAG_ERROR, s->v[i].at, hint, "there is no %s \"%.*s\"", noun, SPAN_ARG(s->v[i].text));
}

/* ---- store ---- */
static void load_store(struct loader *l, const struct lexer_stmt *s)
{
    if (l->store_line) {
        diag_add(l->d, DIAG_ERROR, s->v[0].at, NULL, "store is set twice; first in line %u", l->store_line);
        return;
    }
    l->store_line = s->v[0].at.line;
    if (s->n != 2 || s->v[1].kind != TOKEN_STRING || !s->v[1].text.n) {
        error_at(l, s, s->n > 2 ? 2 : 1, "write: store \"/var/lib/labrelay/store.db\" { … }", "store needs one path in quotes");
        return;
    }
    l->store_at = s->v[1].at;
    l->c->store.path = fs_path_beside(l->c->path, s->v[1].text.p);
    struct option_layer layer = {&store_table, &l->c->store};
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = "store", .at = s->v[0].at, .layers = &layer, .n_layers = 1,
                              .on_default = effective_default, .default_ctx = &l->show};
    effective_open(&l->show, s);
    for (size_t i = 0; i < s->n_body; i++)
        effective_stmt(&l->show, &s->body[i], 0, 0, NULL, 0);
    option_read_block(&r, s->body, s->n_body);
    effective_close(&l->show);
}

/* ---- alarm ---- */
static void load_alarm(struct loader *l, const struct lexer_stmt *s)
{
    if (l->alarm_line) {
        diag_add(l->d, DIAG_ERROR, s->v[0].at, "one block may name several commands, mails and webhooks", "alarm is set twice; first in line %u", l->alarm_line);
        return;
    }
    l->alarm_line = s->v[0].at.line;
    if (s->n > 1) {
        error_at(l, s, 1, "write: alarm { command \"/usr/local/bin/tell\" }", "alarm takes a block and no name");
        return;
    }
    struct option_layer layer = {&alarm_table, &l->c->alarm};
    const struct option_table *shown = &alarm_table;
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = "alarm", .at = s->v[0].at, .layers = &layer, .n_layers = 1,
                              .on_default = effective_default, .default_ctx = &l->show};
    effective_open(&l->show, s);
    for (size_t i = 0; i < s->n_body; i++)
        effective_stmt(&l->show, &s->body[i], 0, 0, &shown, 1);
    option_read_block(&r, s->body, s->n_body);
    effective_close(&l->show);
}

/* ---- table ---- */
static void mark_table(struct loader *l, const struct lexer_stmt *s, const char *name, const char *path)
{
    const struct conf_file *f = conf_files_find(&l->c->files, path);
    struct conf_mark m;
    conf_mark_init(&m);
    conf_mark_stmt(&m, s);
    if (f)
        buf_add(&m.b, f->text, f->n);
    l->c->table_marks = xreallocarray(l->c->table_marks, l->c->n_table_marks + 1, sizeof *l->c->table_marks);
    struct conf_table_mark *mark = &l->c->table_marks[l->c->n_table_marks++];
    mark->name = xstrdup(name);
    conf_mark_end(&m, mark->mark);
}

static void load_table(struct loader *l, const struct lexer_stmt *s)
{
    struct table_word keys[TABLE_MAX_KEYS], values[TABLE_MAX_COLUMNS];
    struct table_spec spec = {.keys = keys, .values = values, .files = &l->c->files};
    const char *name = take_name(l, s, 1, "table", &l->tables, true);
    bool is_good = name != NULL;
    if (s->n < 4 || !token_is(&s->v[2], "csv") || s->v[3].kind != TOKEN_STRING) {
        error_at(l, s, s->n > 2 && !token_is(&s->v[2], "csv") ? 2 : 3,
                 "write: table tests csv \"tables/tests.csv\" key system code value test_type", "a table needs csv and a path in quotes");
        is_good = false;
    }
    enum { NOWHERE, KEYS, VALUES } part = NOWHERE;
    for (size_t i = 4; i < s->n && is_good; i++) {
        const struct token *t = &s->v[i];
        if (token_is(t, ","))
            continue;
        if (token_is(t, "key") || token_is(t, "value")) {
            part = token_is(t, "key") ? KEYS : VALUES;
        } else if (t->kind == TOKEN_OP || part == NOWHERE) {
            error_at(l, s, i, "write: table tests csv \"tables/tests.csv\" key system code value test_type", "\"key\" is expected here");
            is_good = false;
        } else if (part == KEYS ? spec.n_keys == TABLE_MAX_KEYS : spec.n_values == TABLE_MAX_COLUMNS) {
            error_at(l, s, i, NULL, "too many columns");
            is_good = false;
        } else if (part == KEYS) {
            keys[spec.n_keys++] = (struct table_word){t->text, t->at};
        } else {
            values[spec.n_values++] = (struct table_word){t->text, t->at};
        }
    }
    if (is_good && !spec.n_keys) {
        error_at(l, s, s->n, "write: key system code", "the table names no key columns");
        is_good = false;
    }
    if (s->has_block)
        diag_add(l->d, DIAG_ERROR, s->block_at, NULL, "\"table\" takes no block");
    struct table *t = NULL;
    char *path = NULL;
    if (is_good) {
        path = fs_path_beside(l->c->path, s->v[3].text.p);
        spec.name = s->v[1].text;
        spec.path = path;
        spec.at = s->v[3].at;
        spec.is_folded = strcmp(name, "results_text") == 0;
        t = table_load(&spec, l->d, &l->table_bytes);
    }
    if (t) {
        mark_table(l, s, name, path);
        tables_add(l->c->tables, t);
    } else if (s->n > 1) {
        tables_add_failed(l->c->tables, s->v[1].text);
    }
    free(path);
}

/* ---- listen ---- */
static void *read_options(struct loader *l, const struct option_table *t, const struct lexer_stmt *s, const char *what, struct diag_place at)
{
    void *values = xcalloc(1, t->size ? t->size : 1);
    struct option_layer layer = {t, values};
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = what, .at = at, .layers = &layer, .n_layers = 1,
                              .on_default = effective_default, .default_ctx = &l->show};
    for (size_t i = 0; s && i < s->n_body; i++)
        effective_stmt(&l->show, &s->body[i], 0, 0, &t, 1);
    option_read_block(&r, s ? s->body : NULL, s ? s->n_body : 0);
    return values;
}

static const struct parser_ops *parser_named(const struct loader *l, struct span name)
{
    for (size_t i = 0; l->m->parsers && l->m->parsers[i]; i++)
        if (span_is(name, l->m->parsers[i]->name))
            return l->m->parsers[i];
    return NULL;
}

static void add_parser(struct loader *l, const struct parser_ops *ops, const struct lexer_stmt *s, struct diag_place at)
{
    struct listener_conf *c = l->listener;
    char what[160];
    (void)snprintf(what, sizeof what, "parse %s of \"%s\"", ops->name, c->name);
    c->parsers = xreallocarray(c->parsers, c->n_parsers + 1, sizeof *c->parsers);
    char head[80];
    (void)snprintf(head, sizeof head, "parse %s", ops->name);
    effective_open_text(&l->show, head);
    c->parsers[c->n_parsers++] = (struct parser_conf){ops, read_options(l, &ops->options, s, what, at)};
    effective_close(&l->show);
    c->parser = c->parsers[0].ops;
    c->parser_options = c->parsers[0].options;
}

static bool has_parser(const struct listener_conf *c, const struct parser_ops *ops)
{
    for (size_t i = 0; i < c->n_parsers; i++)
        if (c->parsers[i].ops == ops)
            return true;
    return false;
}

/* The listener's own choice: of its names those that are built in. */
static void add_default_parsers(struct loader *l, struct diag_place at)
{
    struct span rest = span_of(l->listener->ops->default_parser), name;
    while (span_next(&rest, ' ', &name)) {
        const struct parser_ops *ops = parser_named(l, name);
        if (ops)
            add_parser(l, ops, NULL, at);
    }
}

static bool read_parse(void *ctx, const char *name, struct option_args *a, const struct lexer_stmt *s)
{
    struct loader *l = ctx;
    const char *names[32];
    size_t n = 0, i = a->i;
    (void)name;
    a->i = s->n;
    for (; n < 32 && l->m->parsers && l->m->parsers[n]; n++)
        names[n] = l->m->parsers[n]->name;
    const struct parser_ops *ops = i < s->n ? parser_named(l, s->v[i].text) : NULL;
    bool takes_several = strchr(l->listener->ops->default_parser, ' ') != NULL;
    if (l->has_parse && (!takes_several || (ops && has_parser(l->listener, ops)))) {
        diag_add(l->d, DIAG_ERROR, s->v[i - 1].at, NULL, "parse is set twice in listen %s \"%s\"", l->listener->ops->name, l->listener->name);
        return true;
    }
    l->has_parse = true;
    if (!ops)
        unknown_module(l, s, i, "parser", names, n);
    else if (i + 1 < s->n)
        error_at(l, s, i + 1, "write: parse hl7v2 { … }", "the options of a parser stand in its block");
    else
        add_parser(l, ops, s, s->v[i].at);
    return true;
}

/* A parser is shown where it is read, with its defaults. */
static void show_but_parse(struct loader *l, const struct lexer_stmt *s, const struct option_table *t)
{
    size_t n = 0;
    while (n < s->n && !(s->v[n].kind == TOKEN_WORD && span_is(s->v[n].text, "parse")))
        n++;
    if (n)
        effective_stmt(&l->show, s, 0, n < s->n ? n : 0, &t, 1);
}

/* What the engine alone looks at (alarms) may change without the listener noticing. */
static void mark_listener(struct conf_mark *m, const struct lexer_stmt *s)
{
    struct lexer_stmt head = *s;
    head.n_body = 0;
    conf_mark_stmt(m, &head);
    for (size_t i = 0; i < s->n_body; i++) {
        bool is_engines = false;
        for (size_t k = 0; k < listener_table.n; k++)
            is_engines = is_engines || token_is(&s->body[i].v[0], listener_table.rows[k].name);
        if (!is_engines)
            conf_mark_stmt(m, &s->body[i]);
    }
}

static void load_listener(struct loader *l, const struct lexer_stmt *s)
{
    static const char *const special[] = {"parse", NULL};
    const char *names[32];
    char what[160];
    size_t n = 0;
    const struct listener_ops *ops = NULL;
    for (; n < 32 && l->m->listeners && l->m->listeners[n]; n++) {
        names[n] = l->m->listeners[n]->name;
        if (s->n > 1 && span_is(s->v[1].text, names[n]))
            ops = l->m->listeners[n];
    }
    const char *name = take_name(l, s, 2, "listen", &l->listeners, false);
    if (!ops)
        unknown_module(l, s, 1, "listener", names, n);
    if (!ops || !name)
        return;
    if (s->n > 3) {
        error_at(l, s, 3, "write: listen mllp \"name\" { … }", "unexpected word behind the name");
        return;
    }
    l->c->listeners = xreallocarray(l->c->listeners, l->c->n_listeners + 1, sizeof *l->c->listeners);
    struct listener_conf *c = &l->c->listeners[l->c->n_listeners];
    *c = (struct listener_conf){.name = xstrdup(name), .ops = ops, .index = l->c->n_listeners, .at = s->v[2].at};
    l->c->n_listeners++;
    c->options = xcalloc(1, ops->options.size ? ops->options.size : 1);
    l->listener = c;
    l->has_parse = false;
    (void)snprintf(what, sizeof what, "listen %s \"%s\"", ops->name, name);
    struct option_layer layers[] = {{&ops->options, c->options}, {&listener_table, c}};
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = what, .at = s->v[0].at, .layers = layers, .n_layers = 2,
                              .special = read_parse, .special_names = special, .ctx = l, .on_default = effective_default, .default_ctx = &l->show};
    effective_open(&l->show, s);
    for (size_t i = 0; i < s->n_body; i++)
        show_but_parse(l, &s->body[i], &ops->options);
    option_read_block(&r, s->body, s->n_body);
    if (!l->has_parse) {
        add_default_parsers(l, s->v[0].at);
        if (!c->parser)
            diag_add(l->d, DIAG_ERROR, s->v[0].at, "add: parse hl7v2 { … }", "listen %s \"%s\" does not say what it reads", ops->name, name);
    }
    effective_close(&l->show);
    struct conf_mark m;
    conf_mark_init(&m);
    mark_listener(&m, s);
    conf_mark_secrets(&m, &ops->options, c->options);
    for (size_t i = 0; i < c->n_parsers; i++)
        conf_mark_secrets(&m, &c->parsers[i].ops->options, c->parsers[i].options);
    conf_mark_end(&m, c->mark);
}

/* ---- write ---- */
static void load_writer(struct loader *l, const struct lexer_stmt *s)
{
    const char *names[32];
    char what[160];
    size_t n = 0;
    const struct writer_ops *ops = NULL;
    for (; n < 32 && l->m->writers && l->m->writers[n]; n++) {
        names[n] = l->m->writers[n]->name;
        if (s->n > 1 && span_is(s->v[1].text, names[n]))
            ops = l->m->writers[n];
    }
    const char *name = take_name(l, s, 2, "write", &l->writers, false);
    if (!ops)
        unknown_module(l, s, 1, "writer", names, n);
    if (!ops || !name)
        return;
    if (s->n > 3) {
        error_at(l, s, 3, "write: write godata \"name\" { … }", "unexpected word behind the name");
        return;
    }
    l->c->writers = xreallocarray(l->c->writers, l->c->n_writers + 1, sizeof *l->c->writers);
    struct writer_conf *c = &l->c->writers[l->c->n_writers++];
    *c = (struct writer_conf){.name = xstrdup(name), .ops = ops, .at = s->v[2].at};
    c->options = xcalloc(1, ops->options.size ? ops->options.size : 1);
    (void)snprintf(what, sizeof what, "write %s \"%s\"", ops->name, name);
    struct option_layer layers[] = {{&ops->options, c->options}, {&writer_table, c}};
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = what, .at = s->v[0].at, .layers = layers, .n_layers = 2,
                              .on_default = effective_default, .default_ctx = &l->show};
    const struct option_table *shown[] = {&ops->options, &writer_table};
    effective_open(&l->show, s);
    for (size_t i = 0; i < s->n_body; i++)
        effective_stmt(&l->show, &s->body[i], 0, 0, shown, 2);
    option_read_block(&r, s->body, s->n_body);
    effective_close(&l->show);
    struct conf_mark m;
    conf_mark_init(&m);
    conf_mark_stmt(&m, s);
    conf_mark_secrets(&m, &ops->options, c->options);
    conf_mark_end(&m, c->mark);
}

/* ---- the top level ---- */
static void keep_rule(struct loader *l, const struct lexer_stmt *s)
{
    l->rules = xreallocarray(l->rules, l->n_rules + 1, sizeof(const struct lexer_stmt *));
    l->rules[l->n_rules++] = s;
}

static void keep_test(struct loader *l, const struct lexer_stmt *s)
{
    l->tests = xreallocarray(l->tests, l->n_tests + 1, sizeof(const struct lexer_stmt *));
    l->tests[l->n_tests++] = s;
}

static const struct { const char *word; void (*load)(struct loader *l, const struct lexer_stmt *s); } nouns[] = {
    {"store", load_store}, {"table", load_table}, {"listen", load_listener}, {"write", load_writer}, {"alarm", load_alarm}, {"route", keep_rule}, {"result-of", keep_rule},
    {"test", keep_test},
};

static bool read_noun(void *ctx, const char *name, struct option_args *a, const struct lexer_stmt *s)
{
    struct loader *l = ctx;
    size_t i = a->i - 1;
    a->i = s->n;
    if (i) {
        diag_add(l->d, DIAG_ERROR, s->v[i].at, "start a new line", "\"%s\" begins a statement of its own", name);
        return true;
    }
    bool shows_itself = strcmp(name, "store") == 0 || strcmp(name, "listen") == 0 || strcmp(name, "write") == 0 || strcmp(name, "alarm") == 0;
    if (!shows_itself)
        effective_stmt(&l->show, s, 0, 0, NULL, 0);
    for (size_t k = 0; k < sizeof nouns / sizeof nouns[0]; k++)
        if (strcmp(nouns[k].word, name) == 0)
            nouns[k].load(l, s);
    return true;
}

/* ---- checks over several blocks ---- */
static const char *option_text(const struct option_table *t, const void *values, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct option_row *r = &t->rows[i];
        if (strcmp(r->name, name) == 0 && (r->type == OPT_TEXT || r->type == OPT_ADDRESS || r->type == OPT_PATH))
            return *(char *const *)(const void *)((const char *)values + r->offset);
    }
    return NULL;
}

static bool same_address(const char *a, const char *b)
{
    const char *pa = strrchr(a, ':'), *pb = strrchr(b, ':');
    if (!pa || !pb || strcmp(pa, pb) != 0 || strcmp(pa, ":0") == 0)
        return false;
    size_t na = (size_t)(pa - a), nb = (size_t)(pb - b);
    bool is_any = strncmp(a, "0.0.0.0:", 8) == 0 || strncmp(b, "0.0.0.0:", 8) == 0 || strncmp(a, "[::]:", 5) == 0 || strncmp(b, "[::]:", 5) == 0;
    return is_any || (na == nb && memcmp(a, b, na) == 0);
}

static void check_listeners(struct loader *l)
{
    for (size_t i = 1; i < l->c->n_listeners; i++)
        for (size_t k = 0; k < i; k++) {
            const struct listener_conf *x = &l->c->listeners[i], *y = &l->c->listeners[k];
            const char *ax = option_text(&x->ops->options, x->options, "address"), *ay = option_text(&y->ops->options, y->options, "address");
            const char *ix = option_text(&x->ops->options, x->options, "inbox"), *iy = option_text(&y->ops->options, y->options, "inbox");
            if (ax && ay && same_address(ax, ay))
                diag_add(l->d, DIAG_ERROR, x->at, NULL, "\"%s\" listens on the address of \"%s\"", x->name, y->name);
            if (ix && iy && strcmp(ix, iy) == 0)
                diag_add(l->d, DIAG_ERROR, x->at, NULL, "\"%s\" reads the folder of \"%s\"", x->name, y->name);
        }
}

static void check_writers(struct loader *l)
{
    for (size_t i = 1; i < l->c->n_writers; i++)
        for (size_t k = 0; k < i; k++) {
            const struct writer_conf *x = &l->c->writers[i], *y = &l->c->writers[k];
            const char *ux = option_text(&x->ops->options, x->options, "url"), *uy = option_text(&y->ops->options, y->options, "url");
            const char *lx = option_text(&x->ops->options, x->options, "login"), *ly = option_text(&y->ops->options, y->options, "login");
            if (x->ops == y->ops && ux && uy && lx && ly && strcmp(ux, uy) == 0 && strcmp(lx, ly) == 0)
                diag_add(l->d, DIAG_ERROR, x->at, "give each its own account: a login ends the other's, and the active outbreak belongs to the account",
                         "\"%s\" and \"%s\" share server and login", x->name, y->name);
        }
}

static void compile_rules(struct loader *l, const struct globals *g, struct diag_place end)
{
    struct rule_setup s = {
        .d = l->d, .tables = l->c->tables, .listeners = (const char *const *)l->listeners.v, .writers = (const char *const *)l->writers.v,
        .writers_at = l->writers.at, .n_listeners = l->listeners.n, .n_writers = l->writers.n,
        .opt = {g->quant_without_result, g->text_from_display, g->preliminary, g->missing_sample_date, g->sample_date_fallback},
        .stmts = l->rules, .n_stmts = l->n_rules, .end = end,
    };
    l->c->rules = rule_compile(&s);
}

/* Routes may make persons at a writer: has it what that takes? */
static void check_persons(struct loader *l)
{
    for (size_t i = 0; i < l->c->n_writers && !diag_errors(l->d); i++) {
        const struct writer_conf *w = &l->c->writers[i];
        unsigned needs = rule_needs(l->c->rules, w->name);
        struct err e = ERR_INIT;
        bool makes_contacts = needs & NEED_CONTACT_CREATE, takes_persons = needs & (NEED_CASE_UPDATE | NEED_CONTACT_UPDATE | NEED_CASE_CREATE | NEED_CONTACT_CREATE);
        if (takes_persons && !w->ops->build_person)
            diag_add(l->d, DIAG_ERROR, w->at, NULL, "a route sends persons to \"%s\", which takes none", w->name);
        else if (makes_contacts && w->ops->check_person && w->ops->check_person(w->options, PERSON_CONTACT, &e))
            diag_add(l->d, DIAG_ERROR, w->at, NULL, "a route creates contacts at \"%s\": %s", w->name, e.text);
    }
}

static void set_hash(struct config *c, const struct buf *text, const struct buf *tables)
{
    struct buf all;
    unsigned char sum[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    buf_init(&all, SIZE_MAX / 4);
    buf_add_span(&all, buf_span(text));
    buf_addc(&all, 1);
    buf_add_span(&all, buf_span(tables));
    text_sha256(all.p, all.n, sum);
    text_hex(sum, sizeof sum, hex);
    memcpy(c->hash, hex, sizeof c->hash - 1);
    c->hash[sizeof c->hash - 1] = 0;
    buf_clear(&all);
}

static void take_globals(struct config *c, struct globals *g)
{
    c->node = g->node;
    c->control_path = g->control;
    c->duplicate_window_us = g->duplicate_window_us;
    c->memory_budget_bytes = g->memory_budget_bytes;
    g->node = g->control = NULL;
    if (!c->control_path && c->store.path) {
        size_t n = strlen(c->store.path) + 6;
        c->control_path = xmalloc(n);
        (void)snprintf(c->control_path, n, "%s.sock", c->store.path);
    }
}

/* All but nouns that have marks of their own, tests, and settings that decide about no observation. */
static void mark_rules(struct config *c, const struct conf_text *text)
{
    static const char *const others[] = {"table", "listen", "write", "store", "test", "alarm", "node", "control", "memory-budget", "duplicate-window"};
    struct conf_mark m;
    conf_mark_init(&m);
    for (size_t i = 0; i < text->n; i++) {
        bool is_other = false;
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
            is_other = is_other || token_is(&text->v[i].v[0], others[k]);
        if (!is_other)
            conf_mark_stmt(&m, &text->v[i]);
    }
    conf_mark_end(&m, c->rules_mark);
}

static void load_all(struct loader *l, const struct conf_text *text)
{
    static const char *const special[] = {"store", "table", "listen", "write", "alarm", "route", "result-of", "test", NULL};
    struct globals g = {0};
    struct diag_place end = {.file = 0};
    struct option_layer layer = {&global_table, &g};
    struct option_reader r = {.diag = l->d, .config_file = l->c->path, .what = "the configuration", .at = end, .layers = &layer, .n_layers = 1,
                              .special = read_noun, .special_names = special, .ctx = l, .on_default = effective_default, .default_ctx = &l->show};
    const struct option_table *shown = &global_table;
    for (size_t i = 0; i < text->n; i++) {
        bool is_noun = false;
        for (const char *const *w = special; *w; w++)
            is_noun = is_noun || token_is(&text->v[i].v[0], *w);
        if (!is_noun)
            effective_stmt(&l->show, &text->v[i], 0, 0, &shown, 1);
    }
    option_read_block(&r, text->v, text->n);
    if (!l->alarm_line)
        (void)option_set_defaults(&alarm_table, &l->c->alarm);
    if (!l->store_line)
        diag_add(l->d, DIAG_ERROR, end, "add: store \"/var/lib/labrelay/store.db\"", "there is no store");
    if (!l->listeners.n && !diag_errors(l->d))
        diag_add(l->d, DIAG_WARNING, end, NULL, "there is no listener: nothing will come in");
    check_listeners(l);
    check_writers(l);
    compile_rules(l, &g, end);
    check_persons(l);
    mark_rules(l->c, text);
    conf_tests_compile(l->c, l->d, l->tests, l->n_tests);
    take_globals(l->c, &g);
    option_free_values(&global_table, &g);
}

/* show: NULL, or gets the effective text. read: NULL, or gets the files, also when there is an error. */
static struct config *load(const char *path, struct conf_files *given, const struct modules *m, struct diag *d, struct buf *show, struct conf_files *read)
{
    struct arena *a = arena_new(512u << 20);
    struct conf_text text;
    struct loader l = {.d = d, .m = m, .listeners = {.noun = "listener"}, .writers = {.noun = "writer"}, .tables = {.noun = "table"},
                       .show = {.out = show}};
    l.c = xcalloc(1, sizeof *l.c);
    l.c->path = xstrdup(path);
    l.c->tables = tables_new();
    l.c->files = *given;
    l.c->is_kept = given->is_given;
    *given = (struct conf_files){0};
    buf_init(&l.table_bytes, SIZE_MAX / 4);
    if (conf_read(path, d, a, &l.c->files, &text) == 0 && !text.is_broken) {     /* with braces that do not match all else would be noise */
        load_all(&l, &text);
        set_hash(l.c, &text.bytes, &l.table_bytes);
    }
    conf_text_clear(&text);
    buf_clear(&l.table_bytes);
    names_free(&l.listeners);
    names_free(&l.writers);
    names_free(&l.tables);
    free(l.rules);
    free(l.tests);
    arena_free(a);
    if (read) {
        *read = l.c->files;
        l.c->files = (struct conf_files){0};
    }
    if (diag_errors(d) == 0)
        return l.c;
    config_free(l.c);
    return NULL;
}

struct config *config_load_kept(const char *path, struct conf_files *given, const struct modules *m, struct diag *d)
{
    return load(path, given, m, d, NULL, NULL);
}

struct config *config_load_shown(const char *path, struct conf_files *given, const struct modules *m, struct diag *d, struct buf *out)
{
    return load(path, given, m, d, out, NULL);
}

void config_files(const char *path, const struct modules *m, struct conf_files *out)
{
    struct conf_files none = {0};
    struct diag *d = diag_new();
    config_free(load(path, &none, m, d, NULL, out));
    diag_free(d);
}

struct config *config_load(const char *path, const struct modules *m, struct diag *d)
{
    struct conf_files none = {0};
    return config_load_kept(path, &none, m, d);
}

void config_drop_files(struct config *c)
{
    conf_files_clear(&c->files);
}

void config_locate(const char *path, char **control, char **store)
{
    struct diag *d = diag_new();
    struct arena *a = arena_new(512u << 20);
    struct conf_files files = {0};
    struct conf_text text;
    struct config c = {.path = NULL};
    struct globals g = {.node = NULL};
    (void)conf_read(path, d, a, &files, &text);
    for (size_t i = 0; i < text.n; i++) {
        const struct lexer_stmt *s = &text.v[i];
        bool is_store = token_is(&s->v[0], "store");
        if (s->n < 2 || !s->v[1].text.n || (is_store ? s->v[1].kind != TOKEN_STRING : !token_is(&s->v[0], "control")))
            continue;
        char **to = is_store ? &c.store.path : &g.control;
        free(*to);
        *to = fs_path_beside(path, s->v[1].text.p);
    }
    take_globals(&c, &g);
    *control = c.control_path;
    *store = c.store.path;
    conf_text_clear(&text);
    conf_files_clear(&files);
    arena_free(a);
    diag_free(d);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_listeners; i++) {
        struct listener_conf *x = &c->listeners[i];
        option_free_values(&x->ops->options, x->options);
        for (size_t k = 0; k < x->n_parsers; k++) {
            option_free_values(&x->parsers[k].ops->options, x->parsers[k].options);
            free(x->parsers[k].options);
        }
        free(x->parsers);
        free(x->options);
        free(x->name);
    }
    for (size_t i = 0; i < c->n_writers; i++) {
        option_free_values(&c->writers[i].ops->options, c->writers[i].options);
        free(c->writers[i].options);
        free(c->writers[i].name);
    }
    free(c->listeners);
    free(c->writers);
    option_free_values(&alarm_table, &c->alarm);
    rule_free(c->rules);
    tables_free(c->tables);
    for (size_t i = 0; i < c->n_table_marks; i++)
        free(c->table_marks[i].name);
    free(c->table_marks);
    free(c->store.path);
    free(c->control_path);
    free(c->node);
    free(c->path);
    conf_files_clear(&c->files);
    free(c);
}

const char *config_listener_place(const struct listener_conf *lc)
{
    const char *address = option_text(&lc->ops->options, lc->options, "address");
    return address ? address : option_text(&lc->ops->options, lc->options, "inbox");
}

const struct listener_conf *config_listener_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (strcmp(c->listeners[i].name, name) == 0)
            return &c->listeners[i];
    return NULL;
}

const struct parser_conf *config_parser_find(const struct listener_conf *lc, const char *wanted, struct span frame)
{
    size_t at = 0;
    while (at < frame.n && (frame.p[at] == ' ' || frame.p[at] == '\t' || frame.p[at] == '\r' || frame.p[at] == '\n'))
        at++;
    struct span head = span_cut(frame, at, 4096);
    for (size_t i = 0; i < lc->n_parsers; i++)
        if (wanted ? strcmp(lc->parsers[i].ops->name, wanted) == 0 : lc->parsers[i].ops->sniff(head))
            return &lc->parsers[i];
    return wanted ? NULL : &lc->parsers[0];
}

const struct writer_conf *config_writer_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_writers; i++)
        if (strcmp(c->writers[i].name, name) == 0)
            return &c->writers[i];
    return NULL;
}
