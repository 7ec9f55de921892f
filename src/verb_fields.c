/* NAME labrelay fields - every field of the record, with its type and source. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void add_one(struct buf *b, bool is_json, const char *name, const char *type, const char *doc)
{
    if (!is_json) {
        buf_addf(b, "%-32s %-8s %s\n", name, type, doc);
        return;
    }
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_kv(b, "name", name);
    buf_json_kv(b, "type", type);
    buf_json_kv(b, "doc", doc);
    buf_addc(b, '}');
}

/* What `set` and `lookup` may write to in a lab result, and what the engine makes itself. */
static bool add_lab(struct buf *b, bool is_json)
{
    for (size_t i = 0; i < lab_fields_n + lab_sequence_fields_n; i++) {
        const struct lab_field *f = i < lab_fields_n ? &lab_fields[i] : &lab_sequence_fields[i - lab_fields_n];
        char name[64];
        (void)snprintf(name, sizeof name, "lab.%s", f->name);
        add_one(b, is_json, name, f->is_date ? "time" : lab_field_is_yesno(f) ? "yes/no" : "text", f->doc);
    }
    add_one(b, is_json, "lab.questionnaire.VARIABLE", "any", "the answer to that question of the outbreak's lab result form");
    return true;
}

static int fields(const struct cli *c)
{
    struct buf b;
    const char *scope = c->n_args ? c->args[0] : NULL;
    bool is_json = cli_has(c, "json"), is_any = false;
    buf_init(&b, (size_t)1 << 20);
    if (is_json)
        buf_addc(&b, '[');
    for (size_t i = 0; i < record_fields_n; i++) {
        const struct rec_field *f = &record_fields[i];
        if (scope && strcmp(scope, rec_scope_name(f->scope)) != 0)
            continue;
        is_any = true;
        if (is_json) {
            buf_json_sep(&b);
            buf_addc(&b, '{');
            buf_json_kv(&b, "name", f->name);
            buf_json_kv(&b, "type", rec_type_name(f->type));
            buf_json_kv(&b, "doc", f->doc);
            buf_addc(&b, '}');
        } else {
            buf_addf(&b, "%-32s %-8s %s\n", f->name, rec_type_name(f->type), f->doc);
        }
    }
    for (size_t i = 0; i < person_fields_n && scope && strcmp(scope, "case") == 0; i++) {
        const struct person_field *f = &person_fields[i];
        is_any = true;
        if (is_json) {
            buf_json_sep(&b);
            buf_addc(&b, '{');
        }
        char name[64];
        (void)snprintf(name, sizeof name, "case.%s", f->name);
        if (is_json) {
            buf_json_kv(&b, "name", name);
            buf_json_kv(&b, "type", f->is_date ? "time" : "text");
            buf_json_kv(&b, "doc", f->doc);
            buf_addc(&b, '}');
        } else {
            buf_addf(&b, "%-32s %-8s %s%s\n", name, f->is_date ? "time" : "text", f->doc, f->is_case_only ? " (cases only)" : "");
        }
    }
    if (scope && strcmp(scope, "lab") == 0)
        is_any = add_lab(&b, is_json);
    if (is_json)
        buf_adds(&b, "]\n");
    if (is_any || is_json)
        cli_print(&b);
    buf_clear(&b);
    return is_any ? EXIT_FINE : cli_usage(c, "scopes are message, patient, report, specimen, observation, lab for what `set lab.x` writes, and case for what `send case` fills");
}

static const struct cli_flag flags[] = {CLI_JSON_FLAG};

const struct verb verb_fields = {.name = "fields", .synopsis = "[--json] [SCOPE]", .help = "lists the fields that rules can use",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .words = "message patient report specimen observation lab case",
                                 .max_args = 1, .run = fields};
