/*
 * NAME labrelay diff - what differs between two configurations, file by file: those that ran, by number, the running one, and the disk.
 * EXIT 0 nothing differs, 1 something does, 3 there is no such configuration.
 */
#include <stdio.h>
#include <string.h>

#include "kept.h"
#include "textdiff.h"

#define OUT_MAX_BYTES ((size_t)256 << 20)

static bool one(const char *path, const struct conf_file *a, const char *a_label, const struct conf_file *b, const char *b_label, struct buf *out)
{
    char left[400], right[400];
    (void)snprintf(left, sizeof left, "%.300s (%s)", a ? path : "/dev/null", a_label);
    (void)snprintf(right, sizeof right, "%.300s (%s)", b ? path : "/dev/null", b_label);
    struct span x = a ? span_make(a->text, a->n) : SPAN_LIT(""), y = b ? span_make(b->text, b->n) : SPAN_LIT("");
    if (a && b)
        return textdiff(x, left, y, right, out);
    if (!textdiff(x, left, y, right, out))      /* an empty file that only one has */
        buf_addf(out, "--- %s\n+++ %s\n", left, right);
    return true;
}

static int diff(const struct cli *c)
{
    const char *a_name = c->n_args ? c->args[0] : "running", *b_name = c->n_args > 1 ? c->args[1] : "disk";
    char a_label[40] = "", b_label[40] = "";
    struct conf_files a = {0}, b = {0};
    struct kept k;
    struct buf out;
    int64_t a_number, b_number;
    size_t n = 0;
    buf_init(&out, OUT_MAX_BYTES);
    int rc = kept_open(&k, c);
    if (rc == EXIT_FINE)
        rc = kept_files(&k, a_name, &a, a_label, sizeof a_label, &a_number);
    if (rc == EXIT_FINE)
        rc = kept_files(&k, b_name, &b, b_label, sizeof b_label, &b_number);
    if (rc == EXIT_FINE) {
        for (size_t i = 0; i < a.n; i++)
            n += one(a.v[i].path, &a.v[i], a_label, conf_files_find(&b, a.v[i].path), b_label, &out);
        for (size_t i = 0; i < b.n; i++)
            if (!conf_files_find(&a, b.v[i].path))
                n += one(b.v[i].path, NULL, a_label, &b.v[i], b_label, &out);
        cli_print(&out);
        rc = n ? EXIT_WRONG : EXIT_FINE;
    }
    conf_files_clear(&a);
    conf_files_clear(&b);
    buf_clear(&out);
    kept_close(&k);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG};

const struct verb verb_diff = {.name = "diff", .synopsis = "[-c FILE] [A [B]]", .help = "what differs between two configurations (a number, running, disk)",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .words = "running disk", .max_args = 2, .run = diff};
