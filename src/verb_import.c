/*
 * NAME labrelay import - a file (CSV, or whatever the channel reads) goes in through the running engine, with an answer for each row.
 *
 * The file is copied beside the store (0600, removed at the end) and the engine reads it there as if the channel had: the same rules, the
 * same store, one commit before the answer. Sent twice, its rows are duplicates. --dry-run reads the file with the configuration by itself
 * and says what would become of each row; it asks nobody and changes nothing.
 * EXIT 0 every row was stored, or known already; 1 one was refused; 2 wrong usage; 3 no engine runs; 4 the engine could not take it now.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"
#include "fsutil.h"
#include "decide.h"
#include "text.h"
#include "xmem.h"

#define FILE_MAX_BYTES ((size_t)16 << 20)       /* as the engine takes it */
#define ANSWER_MAX_BYTES ((size_t)64 << 20)
#define ARENA_BYTES ((size_t)512 << 20)
#define WORK_BYTES ((size_t)64 << 20)
#define KINDS_MAX 64u

struct counts {                         /* "sent POSITIVE" 3, "held UNMAPPED_TEST" 1 … */
    char word[KINDS_MAX][96];
    unsigned n[KINDS_MAX], used;
};

static void count_word(struct counts *c, const char *word)
{
    unsigned i = 0;
    while (i < c->used && strcmp(c->word[i], word) != 0)
        i++;
    if (i == c->used) {
        if (c->used == KINDS_MAX)
            return;
        (void)snprintf(c->word[c->used++], sizeof c->word[0], "%s", word);
    }
    c->n[i]++;
}

static bool reads_csv(const struct listener_conf *lc)
{
    for (size_t i = 0; i < lc->n_parsers; i++)
        if (strcmp(lc->parsers[i].ops->name, "csv") == 0)
            return true;
    return false;
}

/* The one named, or the only one that reads CSV. NULL after saying why. */
static const struct listener_conf *channel_of(const struct cli *c, const struct config *conf)
{
    const char *name = cli_get(c, "channel"), *names[64], *near;
    const struct listener_conf *found = name ? config_listener_find(conf, name) : NULL;
    size_t n = 0;
    if (found)
        return found;
    for (size_t i = 0; i < conf->n_listeners && !name; i++)
        if (reads_csv(&conf->listeners[i])) {
            found = &conf->listeners[i];
            n++;
        }
    if (n == 1)
        return found;
    n = 0;
    for (size_t i = 0; i < conf->n_listeners && n < 64; i++)
        names[n++] = conf->listeners[i].name;
    near = name ? text_nearest(span_of(name), names, n) : NULL;
    if (name)
        fprintf(stderr, "labrelay: no listener is named \"%s\"%s%s%s\n", name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    else
        fprintf(stderr, "labrelay: %s; say --channel NAME\n", found ? "several listeners read CSV" : "no listener reads CSV (parse csv { … })");
    return NULL;
}

/* ---- dry run ---- */

struct dry {
    const struct config *conf;
    const struct listener_conf *lc;
    struct arena *work;
    struct buf *b;
    struct counts counts;
    bool is_json;
};

static void tell_decision(struct dry *x, struct span path, const struct decision *d)
{
    const struct rule_result *rr = &d->rule;
    bool is_person = rr->action == RULE_SEND_PERSON;
    const char *action = rr->action == RULE_DROP ? "dropped" : rr->action == RULE_HOLD || d->reason ? "held" : rr->is_withdrawal ? "withdrawn" : "sent";
    const char *outcome = is_person ? person_kind_name(rr->person->kind) : outcome_name(rr->outcome.kind);
    const char *writer = d->writer && !d->reason ? d->writer->name : "";
    char word[96];
    (void)snprintf(word, sizeof word, "%s %s", action, d->reason ? d->reason : outcome);
    count_word(&x->counts, word);
    if (!x->is_json) {
        buf_addf(x->b, "  %.*s: would be %s%s%s: %s\n", SPAN_ARG(path), action, writer[0] ? " to " : "", writer, d->reason ? d->reason : outcome);
        if (d->reason && span_has(d->detail))
            buf_addf(x->b, "    %.*s\n", SPAN_ARG(d->detail));
        return;
    }
    buf_json_sep(x->b);
    buf_addc(x->b, '{');
    buf_json_opt(x->b, "path", path);
    buf_json_kv(x->b, "action", action);
    buf_json_kv(x->b, "outcome", outcome);
    buf_json_kv(x->b, "reason", d->reason ? d->reason : "");
    buf_json_opt(x->b, "detail", d->detail);
    buf_json_kv(x->b, "writer", writer);
    buf_json_kv(x->b, "route", rr->route ? rr->route : "");
    buf_addc(x->b, '}');
}

static int dry_record(struct dry *x, const struct record *r, struct err *e)
{
    struct decision d;
    for (size_t i = 0; i < r->n; i++) {
        if (r->observations[i].role != OBS_RESULT)
            continue;
        arena_reset(x->work);
        if (decide_observation(x->conf, r, &r->observations[i], x->work, &d, NULL, e))
            return -1;
        tell_decision(x, r->observations[i].path, &d);
    }
    arena_reset(x->work);
    if (!rule_takes_persons(x->conf->rules, span_of(x->lc->name)))
        return 0;
    if (decide_person(x->conf, r, x->work, &d, NULL, e))
        return -1;
    if (d.rule.action != RULE_DROP)
        tell_decision(x, SPAN_LIT("person"), &d);
    return 0;
}

static int dry_message(struct dry *x, struct parsed *p, unsigned place, struct err *e)
{
    decide_admit(x->conf, x->lc->name, p);
    const struct problem *q = p->n_problems ? &p->problems[0] : NULL;
    struct span where = !q ? SPAN_ABSENT : span_has(q->expression) ? q->expression : span_of(q->where);
    bool is_taken = p->fate == PARSE_ACCEPT || p->fate == PARSE_FILTER;
    const char *fate = is_taken ? "would be stored" : "would be refused";
    p->message.channel = span_of(x->lc->name);
    if (!is_taken)
        count_word(&x->counts, "refused");
    if (x->is_json) {
        buf_json_sep(x->b);
        buf_addc(x->b, '{');
        buf_json_kint(x->b, "place", place);
        buf_json_kv(x->b, "fate", fate);
        buf_json_opt(x->b, "where", where);
        buf_json_kv(x->b, "reason", q ? q->text : "");
        buf_json_key(x->b, "results");
        buf_addc(x->b, '[');
    } else if (q) {
        buf_addf(x->b, "row %u: %s; %.*s: %s\n", place, fate, SPAN_ARG(where), q->text);
    } else {
        buf_addf(x->b, "row %u: %s%s\n", place, fate, p->fate == PARSE_FILTER ? ", nothing in it to send" : "");
    }
    for (size_t i = 0; i < p->n_records && p->fate == PARSE_ACCEPT; i++)
        if (dry_record(x, &p->records[i], e))
            return -1;
    if (x->is_json)
        buf_adds(x->b, "]}");
    return 0;
}

static void tell_counts(const struct counts *c, bool is_json, struct buf *b)
{
    for (unsigned i = 0; i < c->used; i++) {
        if (is_json)
            buf_json_kint(b, c->word[i], c->n[i]);
        else
            buf_addf(b, "%s%u %s", i ? ", " : "", c->n[i], c->word[i]);
    }
}

static int dry_run(const struct config *conf, const struct listener_conf *lc, struct span file, bool is_json, struct buf *out)
{
    struct dry x = {.conf = conf, .lc = lc, .b = out, .is_json = is_json};
    const struct parser_conf *pc = config_parser_find(lc, NULL, file);
    struct arena *a = arena_new(ARENA_BYTES);
    struct parse_result pr = {.n = 0};
    struct err e = ERR_INIT;
    int rc = EXIT_FINE;
    x.work = arena_new(WORK_BYTES);
    if (pc->ops->parse(pc->options, file, a, &pr, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    buf_adds(out, is_json ? "{\"dry_run\":true,\"messages\":[" : "");
    for (size_t i = 0; i < pr.n; i++) {
        if (dry_message(&x, &pr.v[i], pr.v[i].place ? pr.v[i].place : (unsigned)i + 1, &e)) {
            rc = cli_fail(&e);
            goto out;
        }
        if (pr.v[i].fate != PARSE_ACCEPT && pr.v[i].fate != PARSE_FILTER)
            rc = EXIT_WRONG;
    }
    if (is_json) {
        buf_adds(out, "],\"totals\":{");
        tell_counts(&x.counts, true, out);
        buf_adds(out, "}}\n");
    } else {
        buf_addf(out, "%zu row%s", pr.n, pr.n == 1 ? "" : "s");
        buf_adds(out, x.counts.used ? ": " : "");
        tell_counts(&x.counts, false, out);
        buf_adds(out, ". Nothing was sent.\n");
    }
out:
    arena_free(x.work);
    arena_free(a);
    return rc;
}

/* ---- through the engine ---- */

/* Writes the copy beside the store, readable for the engine only. 0 with *path (heap), or -1. */
static int spool(const struct config *conf, struct span file, char **path, struct err *e)
{
    char name[48];
    struct stat st;
    (void)snprintf(name, sizeof name, ".import-%ld", (long)getpid());
    *path = fs_path_beside(conf->store.path, name);
    (void)unlink(*path);
    int fd = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, ERR_CONFIG, *path, "cannot write beside the store: %s; run this as the engine's user", strerror(errno));
    if (geteuid() == 0 && stat(conf->store.path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0) {
        (void)close(fd);
        return err_set(e, ERR_CONFIG, *path, "cannot give it to the engine's user: %s", strerror(errno));
    }
    for (size_t at = 0; at < file.n;) {
        ssize_t n = write(fd, file.p + at, file.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            (void)close(fd);
            return err_set(e, ERR_TEMP, *path, "cannot write beside the store: %s", strerror(errno));
        }
        at += (size_t)n;
    }
    return close(fd) == 0 ? 0 : err_set(e, ERR_TEMP, *path, "cannot write beside the store: %s", strerror(errno));
}

static int tell_answer(const json_t *messages, bool is_json, struct buf *out)
{
    struct counts counts = {.used = 0};
    const json_t *m;
    size_t i;
    int rc = EXIT_FINE;
    json_array_foreach(messages, i, m) {
        const char *fate = json_string_value(json_object_get(m, "fate")), *where = json_string_value(json_object_get(m, "where"));
        const char *reason = json_string_value(json_object_get(m, "reason"));
        int64_t id = json_integer_value(json_object_get(m, "message")), place = json_integer_value(json_object_get(m, "place"));
        if (!fate)
            continue;
        count_word(&counts, fate);
        if (strcmp(fate, "refused") == 0)
            rc = EXIT_WRONG;
        if (strcmp(fate, "not taken") == 0)
            rc = EXIT_TEMPORARY;
        if (is_json)
            continue;
        buf_addf(out, "row %" PRId64 ": %s", place ? place : (int64_t)i + 1, fate);
        if (id)
            buf_addf(out, "%s m%" PRId64, strcmp(fate, "duplicate") == 0 ? " of" : "", id);
        if (reason)
            buf_addf(out, "; %s%s%s", where ? where : "", where ? ": " : "", reason);
        buf_addc(out, '\n');
    }
    if (is_json) {
        char *text = json_dumps(messages, JSON_COMPACT);
        buf_addf(out, "{\"messages\":");
        buf_adds(out, text ? text : "[]");
        buf_adds(out, ",\"totals\":{");
        free(text);
    } else {
        buf_addf(out, "%zu row%s: ", i, i == 1 ? "" : "s");
    }
    tell_counts(&counts, is_json, out);
    buf_adds(out, is_json ? "}}\n" : "\n");
    return rc;
}

static int send_in(const struct config *conf, const struct listener_conf *lc, const char *name, struct span file, bool is_json, struct buf *out)
{
    struct err e = ERR_INIT;
    struct buf q, answer;
    char *path = NULL;
    json_t *j = NULL;
    int rc = EXIT_WRONG;
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&answer, ANSWER_MAX_BYTES);
    if (spool(conf, file, &path, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    buf_addc(&q, '{');
    buf_json_kv(&q, "do", "import");
    buf_json_kv(&q, "channel", lc->name);
    buf_json_kv(&q, "path", path);
    buf_json_kv(&q, "name", name);
    buf_addc(&q, '}');
    int asked = control_ask(conf->control_path, q.p, &answer, &e);
    if (asked > 0) {
        fprintf(stderr, "labrelay: no engine runs with this configuration: start it, or say --dry-run\n");
        rc = EXIT_ABSENT;
        goto out;
    }
    if (asked < 0) {
        rc = cli_fail(&e);
        goto out;
    }
    j = json_loads(answer.p, 0, NULL);
    const json_t *messages = json_object_get(j, "messages");
    if (!json_is_array(messages)) {
        const char *why = json_string_value(json_object_get(j, "error"));
        fprintf(stderr, "labrelay: not imported: %s\n", why ? why : "no usable answer");
        rc = EXIT_TEMPORARY;
        goto out;
    }
    rc = tell_answer(messages, is_json, out);
out:
    if (path)
        (void)unlink(path);
    free(path);
    json_decref(j);
    buf_clear(&q);
    buf_clear(&answer);
    return rc;
}

static int import(const struct cli *c)
{
    struct config *conf = cli_config(c);
    struct err e = ERR_INIT;
    struct buf file, out;
    int rc = EXIT_WRONG;
    buf_init(&file, FILE_MAX_BYTES);
    buf_init(&out, ANSWER_MAX_BYTES);
    if (!conf)
        goto out;
    const struct listener_conf *lc = channel_of(c, conf);
    if (!lc) {
        rc = EXIT_USAGE;
        goto out;
    }
    const char *slash = strrchr(c->args[0], '/');
    if (fs_load(c->args[0], &file, &e))
        rc = cli_fail(&e);
    else if (cli_has(c, "dry-run"))
        rc = dry_run(conf, lc, buf_span(&file), cli_has(c, "json"), &out);
    else
        rc = send_in(conf, lc, slash ? slash + 1 : c->args[0], buf_span(&file), cli_has(c, "json"), &out);
    cli_print(&out);
out:
    buf_clear(&file);
    buf_clear(&out);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG,
                                        {"channel", 0, "NAME", "the listener it comes in by; default: the only one that reads CSV"},
                                        {"dry-run", 'n', NULL, "say what would become of each row; send nothing"},
                                        CLI_JSON_FLAG};

const struct verb verb_import = {.name = "import", .synopsis = "[-c FILE] [--channel NAME] [--dry-run] [--json] FILE|-",
                                 .help = "takes a file (CSV) in through the running engine and answers for each row",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 1, .run = import};
