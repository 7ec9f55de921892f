/* NAME labrelay functions - every function that rules can use, with its result, from the table that the compiler uses. */
#include <string.h>

#include "cli.h"
#include "rule.h"

static int functions(const struct cli *c)
{
    struct rule_function f;
    struct buf b;
    bool is_json = cli_has(c, "json");
    buf_init(&b, (size_t)1 << 20);
    if (is_json)
        buf_addc(&b, '[');
    for (size_t i = 0; rule_function_at(i, &f); i++) {
        if (is_json) {
            buf_json_sep(&b);
            buf_addc(&b, '{');
            buf_json_kv(&b, "name", f.name);
            buf_json_kv(&b, "usage", f.usage);
            buf_json_kv(&b, "result", f.result);
            buf_json_kv(&b, "doc", f.help);
            buf_json_kv(&b, "example", f.example);
            buf_addc(&b, '}');
            continue;
        }
        struct span usage = span_of(f.usage), call = span_cut(usage, 0, span_find(usage, ':')), more = span_from(usage, call.n + 1);
        int pad = 28 - (int)call.n + (strstr(f.usage, "…") ? 2 : 0);    /* the three bytes of … are one column */
        buf_addf(&b, "%.*s%*s %s: %s%s%.*s\n", SPAN_ARG(call), pad, "", f.result, f.help, span_has(more) ? ";" : "", SPAN_ARG(more));
    }
    if (is_json)
        buf_adds(&b, "]\n");
    cli_print(&b);
    buf_clear(&b);
    return EXIT_FINE;
}

static const struct cli_flag flags[] = {CLI_JSON_FLAG};

const struct verb verb_functions = {.name = "functions", .synopsis = "[--json]", .help = "lists the functions that rules can use",
                                    .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = functions};
