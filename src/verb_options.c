/*
 * NAME labrelay options - every option of the configuration, from the tables that read it; --man prints the lists of the manual pages.
 * EXIT 0; 2 when there is no block of that name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "option.h"
#include "option_value.h"
#include "text.h"

#define BLOCKS_MAX 64u

struct block { char name[64]; const struct option_table *table; };
struct blocks { struct block v[BLOCKS_MAX]; size_t n; };

static void add(struct blocks *b, const char *kind, const char *name, const struct option_table *t)
{
    if (b->n == BLOCKS_MAX)
        abort();
    (void)snprintf(b->v[b->n].name, sizeof b->v[0].name, "%s%s%s", kind, kind[0] ? " " : "", name);
    b->v[b->n++].table = t;
}

static void collect(struct blocks *b)
{
    const char *name;
    const struct option_table *t;
    for (size_t i = 0; (t = config_tables(i, &name)); i++)
        add(b, "", name, t);
    for (size_t i = 0; all_modules.listeners[i]; i++)
        add(b, "listen", all_modules.listeners[i]->name, &all_modules.listeners[i]->options);
    for (size_t i = 0; all_modules.parsers[i]; i++)
        add(b, "parse", all_modules.parsers[i]->name, &all_modules.parsers[i]->options);
    for (size_t i = 0; all_modules.writers[i]; i++)
        add(b, "write", all_modules.writers[i]->name, &all_modules.writers[i]->options);
}

static void as_json(const struct block *x, struct buf *b)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kv(b, "block", x->name);
    buf_json_key(b, "options");
    buf_addc(b, '[');
    for (size_t i = 0; i < x->table->n; i++) {
        const struct option_row *r = &x->table->rows[i];
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "name", r->name);
        buf_json_kv(b, "value", option_value_syntax(r));
        buf_json_opt(b, "default", span_of(r->def));
        buf_json_key(b, "required");
        buf_adds(b, r->is_required ? "true" : "false");
        buf_json_kv(b, "doc", r->help ? r->help : "");
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
}

static bool is_wanted(const struct cli *c, const char *name)
{
    if (!c->n_args)
        return true;
    char want[128] = "";
    for (int i = 0; i < c->n_args; i++)     /* `options listen mllp` and `options "listen mllp"` */
        (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%s%s", i ? " " : "", c->args[i]);
    size_t n = strlen(want);
    return strcmp(want, name) == 0 || (strncmp(want, name, n) == 0 && name[n] == ' ');
}

static int options(const struct cli *c)
{
    struct blocks *all = calloc(1, sizeof *all);
    const char *names[BLOCKS_MAX];
    struct buf b;
    size_t shown = 0;
    if (!all)
        abort();
    collect(all);
    buf_init(&b, (size_t)1 << 20);
    if (cli_has(c, "json"))
        buf_addc(&b, '[');
    for (size_t i = 0; i < all->n; i++) {
        names[i] = all->v[i].name;
        if (!is_wanted(c, all->v[i].name))
            continue;
        shown++;
        if (cli_has(c, "json")) {
            as_json(&all->v[i], &b);
        } else if (cli_has(c, "man")) {
            buf_adds(&b, ".Bl -tag -width Ds\n");
            option_mdoc(all->v[i].table, &b);
            buf_adds(&b, ".El\n");
        } else {
            buf_addf(&b, "%s%s:\n", shown > 1 ? "\n" : "", all->v[i].name);
            option_help(all->v[i].table, &b);
        }
    }
    if (cli_has(c, "json"))
        buf_adds(&b, "]\n");
    const char *near = shown ? NULL : text_nearest(span_of(c->args[c->n_args - 1]), names, all->n);
    if (!shown)
        fprintf(stderr, "labrelay: no block of this name%s%s%s; labrelay options lists them\n", near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    cli_print(&b);
    buf_clear(&b);
    free(all);
    return shown ? EXIT_FINE : EXIT_USAGE;
}

static const struct cli_flag flags[] = {{"man", 0, NULL, "as text of a manual page (mdoc)"}, CLI_JSON_FLAG};

const struct verb verb_options = {.name = "options", .synopsis = "[--man] [--json] [BLOCK]",
                                  .help = "lists the options of the configuration, or those of one block: options listen mllp",
                                  .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 3, .run = options};
