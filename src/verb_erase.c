/*
 * NAME labrelay erase - all that the store holds of one person, on request of that person.
 *
 * KEY is any identifier of the person or of a specimen, as the laboratory wrote it, or the person's id in Go.Data. Every original that has it is
 * parsed: the message is the person's when a record of it has KEY as an identifier of the patient or as a specimen id; what cannot be
 * parsed counts when KEY stands in it as a word. Messages without their original count by what they were looked for with. From there on by the
 * Go.Data ids that were found: all messages of that person, whatever identifier they had.
 * Without --by nothing is erased. With it, a running engine erases; without one this process does, under the store's lock. Messages that are
 * not finished, or hold other persons too, are named and left unless --anyway; what is in Go.Data's hands at the moment is left in any case.
 * Old files in done and error of file channels that hold KEY as a word are counted, and erased with it.
 * EXIT 0 everything is erased (or only told), 1 something was left or went wrong, 2 usage, 3 nothing is known of KEY, 4 temporary trouble.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "control.h"
#include "fhir_parser.h"
#include "fsutil.h"
#include "store_person.h"
#include "xmem.h"

#define KEY_MIN 3
#define ASK_MAX 100
#define ROUNDS_MAX 4                /* of finding Go.Data ids and messages by them */
#define FILE_MAX_BYTES ((size_t)256 << 20)
#define OUT_MAX ((size_t)64 << 20)

struct found {
    int64_t id;
    size_t open, others;            /* deliveries that are not finished; records of somebody else */
    enum person_erased result;
};

struct search {
    const struct cli *c;
    const struct config *conf;
    struct span key;
    struct buf literal;             /* :"KEY" */
    struct arena *a;
    struct found *v;
    size_t n, cap;
    char **persons;                 /* Go.Data ids */
    size_t n_persons;
    size_t files, files_left;
    int64_t known;
    bool is_grown;
};

/* ---- finding ---- */

static bool is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool has_bytes(struct span in, struct span what)
{
    return in.n >= what.n && what.n && memmem(in.p, in.n, what.p, what.n) != NULL;
}

/* Not as a part of a longer number or name. */
static bool has_word(struct span in, struct span what)
{
    size_t at = 0;
    while (at + what.n <= in.n) {
        const char *p = memmem(in.p + at, in.n - at, what.p, what.n);
        if (!p)
            return false;
        at = (size_t)(p - in.p);
        bool is_start = at == 0 || !is_word_byte(in.p[at - 1]), is_end = at + what.n == in.n || !is_word_byte(in.p[at + what.n]);
        if (is_start && is_end)
            return true;
        at++;
    }
    return false;
}

static bool is_about(const struct search *x, const struct record *r)
{
    for (size_t i = 0; i < r->patient.ids.n; i++)
        if (span_eq(span_trim(r->patient.ids.v[i].value), x->key))
            return true;
    return span_eq(span_trim(r->specimen.id), x->key);
}

static bool is_known_person(const struct search *x, const char *id)
{
    for (size_t i = 0; i < x->n_persons; i++)
        if (strcmp(x->persons[i], id) == 0)
            return true;
    return false;
}

static void add_person(struct search *x, const char *id)
{
    if (!id[0] || is_known_person(x, id))
        return;
    x->persons = xreallocarray(x->persons, x->n_persons + 1, sizeof *x->persons);
    x->persons[x->n_persons++] = xstrdup(id);
    x->is_grown = true;
}

/* Records of the person and of others; false: it cannot be parsed. */
static bool read_records(struct search *x, const struct store_visit *v, size_t *mine, size_t *others)
{
    const struct listener_conf *lc = config_listener_find(x->conf, v->m->channel);
    struct parse_result pr = {.n = 0};
    struct err e = ERR_INIT;
    if (!lc)
        return false;
    arena_reset(x->a);
    const struct parser_conf *pc = config_parser_find(lc, NULL, v->raw);
    if (pc->ops->parse(pc->options, v->raw, x->a, &pr, &e) || pr.n == 0)
        return false;
    size_t n = 0;
    for (size_t k = 0; k < pr.n; k++)
        for (size_t i = 0; i < pr.v[k].n_records; i++, n++) {
            const struct record *r = &pr.v[k].records[i];
            bool is_his = is_about(x, r), is_nobody = r->patient.ids.n == 0 && !span_has(r->patient.family_name);
            *mine += is_his;
            *others += !is_his && !is_nobody;
        }
    return n > 0;
}

/* The same person in every record: one identifier in common is enough. */
static bool is_his(struct search *x, const struct store_visit *v, size_t *others)
{
    size_t mine = 0, n_others = 0;
    bool is_his = false;
    for (size_t i = 0; i < v->n && !is_his; i++)
        is_his = (v->v[i].person_id[0] && (is_known_person(x, v->v[i].person_id) || span_is(x->key, v->v[i].person_id))) ||
                 strstr(v->v[i].who, x->literal.p) != NULL;
    bool is_in = v->raw.p && has_bytes(v->raw, x->key);
    if (v->raw.p && (is_his || is_in)) {
        if (read_records(x, v, &mine, &n_others))
            is_his = is_his || mine > 0;
        else
            is_his = is_his || has_word(v->raw, x->key);
        *others = mine > 0 ? n_others : 0;
    }
    for (size_t i = 0; i < v->n && mine == 0 && x->n_persons; i++)      /* his by what Go.Data knows: so are the others */
        *others += v->v[i].person_id[0] && !is_known_person(x, v->v[i].person_id) && !span_is(x->key, v->v[i].person_id);
    return is_his;
}

static struct found *find(struct search *x, int64_t id)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].id == id)
            return &x->v[i];
    return NULL;
}

static bool visit(void *ctx, const struct store_visit *v)
{
    struct search *x = ctx;
    struct found f = {.id = v->m->id};
    if (!is_his(x, v, &f.others))
        return true;
    for (size_t i = 0; i < v->n; i++) {
        f.open += !delivery_is_final(v->v[i].state);
        if (f.others == 0)
            add_person(x, v->v[i].person_id);
    }
    if (find(x, v->m->id))
        return true;
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 32;
        x->v = xreallocarray(x->v, x->cap, sizeof *x->v);
    }
    x->v[x->n++] = f;
    return true;
}

static int search(struct search *x, struct err *e)
{
    struct store_reader *r = NULL;
    struct store_walk all = {.after_id = 0};
    int rc = store_reader_open(&r, x->conf->store.path, e);
    x->is_grown = true;
    for (int i = 0; i < ROUNDS_MAX && x->is_grown && rc == 0; i++) {
        x->is_grown = false;
        rc = store_walk(r, &all, visit, x, e);
    }
    store_reader_close(r);
    return rc;
}

/* ---- files of file channels ---- */

static const char *path_option(const struct listener_conf *lc, const char *name)
{
    const struct option_table *t = &lc->ops->options;
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].type == OPT_PATH && strcmp(t->rows[i].name, name) == 0) {
            char *path;
            memcpy(&path, (const char *)lc->options + t->rows[i].offset, sizeof path);
            return path;
        }
    return NULL;
}

static void look_through(struct search *x, const char *folder, bool is_erasing)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    while (d && (entry = readdir(d)) != NULL) {
        struct err e = ERR_INIT;
        struct buf b;
        struct stat st;
        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        char *path = xmalloc(strlen(folder) + strlen(entry->d_name) + 2);
        (void)snprintf(path, strlen(folder) + strlen(entry->d_name) + 2, "%s/%s", folder, entry->d_name);
        buf_init(&b, FILE_MAX_BYTES);
        if (fs_load(path, &b, &e) == 0 && has_word(buf_span(&b), x->key)) {
            if (!is_erasing)
                x->files++;
            else if (unlink(path) != 0)
                x->files_left++;
        }
        buf_clear(&b);
        free(path);
    }
    if (d)
        (void)closedir(d);
}

static void files(struct search *x, bool is_erasing)
{
    for (size_t i = 0; i < x->conf->n_listeners; i++) {
        const char *inbox = path_option(&x->conf->listeners[i], "inbox");
        static const char *const names[] = {"done", "error"};
        for (size_t k = 0; inbox && k < 2; k++) {
            const char *set = path_option(&x->conf->listeners[i], names[k]);
            char *path = xmalloc(strlen(inbox) + 8);
            (void)snprintf(path, strlen(inbox) + 8, "%s/%s", inbox, names[k]);
            look_through(x, set ? set : path, is_erasing);
            free(path);
        }
    }
}

/* ---- erasing ---- */

static bool is_wanted(const struct search *x, const struct found *f)
{
    return cli_has(x->c, "anyway") || (f->open == 0 && f->others == 0);
}

static enum person_erased parse_result(const char *word)
{
    for (int k = PERSON_ERASED; k <= PERSON_BUSY; k++)
        if (word && strcmp(word, person_erased_name((enum person_erased)k)) == 0)
            return (enum person_erased)k;
    return PERSON_BUSY;
}

/* Messages v[0..n) of which *done were looked at, and with the last of them what is known of the persons. -1 no engine, else an exit status. */
static int ask(struct search *x, struct found **v, size_t n, bool is_last, size_t *done)
{
    struct buf q, a;
    struct err e = ERR_INIT;
    json_error_t je;
    buf_init(&q, CONTROL_MAX_BYTES);
    buf_init(&a, CONTROL_MAX_BYTES);
    buf_adds(&q, "{\"do\":\"erase\"");
    buf_json_kv(&q, "by", cli_get(x->c, "by"));
    buf_json_kv(&q, "reason", cli_get(x->c, "reason"));
    buf_json_key(&q, "anyway");
    buf_adds(&q, cli_has(x->c, "anyway") ? "true" : "false");
    buf_json_key(&q, "ids");
    buf_addc(&q, '[');
    for (size_t i = 0; i < n; i++) {
        buf_json_sep(&q);
        buf_add_int(&q, v[i]->id);
    }
    buf_addc(&q, ']');
    buf_json_key(&q, "persons");
    buf_addc(&q, '[');
    for (size_t i = 0; i < x->n_persons && is_last; i++) {
        buf_json_sep(&q);
        buf_json_str(&q, x->persons[i]);
    }
    buf_adds(&q, "]}");
    int rc = control_ask(x->conf->control_path, q.p, &a, &e);
    if (rc == 1) {
        rc = -1;
    } else if (rc < 0) {
        rc = cli_fail(&e);
    } else {
        json_t *j = json_loads(a.p, 0, &je), *results = json_object_get(j, "results");
        const char *bad = json_string_value(json_object_get(j, "error"));
        *done = json_array_size(results);
        for (size_t i = 0; i < *done && i < n; i++)
            v[i]->result = parse_result(json_string_value(json_array_get(results, i)));
        x->known += json_integer_value(json_object_get(j, "known"));
        rc = EXIT_FINE;
        if (bad || *done > n || (n && *done == 0)) {
            fprintf(stderr, "labrelay: %s\n", bad ? bad : "the engine's answer cannot be read");
            rc = EXIT_WRONG;
        }
        json_decref(j);
    }
    buf_clear(&q);
    buf_clear(&a);
    return rc;
}

/* No engine runs: under the store's lock. */
static int alone(struct search *x, struct found **v, size_t n)
{
    struct store *q = NULL;
    struct err e = ERR_INIT;
    int rc = store_open(&q, &x->conf->store, &e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = store_erase_of_person(q, v[i]->id, cli_get(x->c, "by"), cli_get(x->c, "reason"), cli_has(x->c, "anyway"), &v[i]->result, &e);
    for (size_t i = 0; i < x->n_persons && rc == 0; i++) {
        int64_t known = 0;
        rc = store_erase_person_id(q, x->persons[i], &known, &e);
        x->known += known;
    }
    if (rc == 0)
        rc = store_commit(q, &e);
    if (rc == 0)
        store_idle(q);
    store_close(q);
    return rc ? cli_fail(&e) : EXIT_FINE;
}

static int erase_all(struct search *x)
{
    struct found **v = xcalloc(x->n + 1, sizeof *v);
    size_t n = 0, done = 0, some = 0;
    int rc = EXIT_FINE;
    for (size_t i = 0; i < x->n; i++) {
        x->v[i].result = PERSON_OPEN;
        if (is_wanted(x, &x->v[i]))
            v[n++] = &x->v[i];
    }
    do {
        size_t part = n - done < ASK_MAX ? n - done : ASK_MAX;
        rc = ask(x, v + done, part, done + part == n, &some);
        if (rc == -1)
            rc = alone(x, v, n), some = n - done;
        done += some;
    } while (rc == EXIT_FINE && done < n);
    free(v);
    return rc;
}

/* ---- telling ---- */

static void tell_text(const struct search *x, bool is_done, struct buf *b)
{
    size_t erased = 0;
    for (size_t i = 0; i < x->n; i++) {
        const struct found *f = &x->v[i];
        if (is_done && f->result == PERSON_ERASED) {
            erased++;
            continue;
        }
        buf_addf(b, "  m%" PRId64, f->id);
        if (f->open)
            buf_addf(b, ", %zu of its results not finished", f->open);
        if (f->others)
            buf_addf(b, ", holds %zu record%s of others", f->others, f->others == 1 ? "" : "s");
        if (is_done)
            buf_addf(b, ": left (%s)", f->others && !f->open ? "others" : person_erased_name(f->result));
        buf_addc(b, '\n');
    }
    if (is_done)
        buf_addf(b, "erased: %zu messages, %" PRId64 " rows known of the person in Go.Data, %zu files\n", erased, x->known, x->files - x->files_left);
    else
        buf_addf(b, "%zu messages, %zu persons of Go.Data, %zu files; nothing was erased: say --by NAME --reason TEXT\n", x->n, x->n_persons, x->files);
    if (x->files_left)
        buf_addf(b, "%zu files could not be erased\n", x->files_left);
}

static void tell_json(const struct search *x, bool is_done, struct buf *b)
{
    buf_adds(b, "{\"messages\":[");
    for (size_t i = 0; i < x->n; i++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kint(b, "id", x->v[i].id);
        buf_json_kint(b, "open", (int64_t)x->v[i].open);
        buf_json_kint(b, "others", (int64_t)x->v[i].others);
        buf_json_kv(b, "result", is_done ? person_erased_name(x->v[i].result) : "");
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    buf_json_kint(b, "persons", (int64_t)x->n_persons);
    buf_json_kint(b, "files", (int64_t)x->files);
    buf_json_kint(b, "files_left", (int64_t)x->files_left);
    buf_json_kint(b, "known", x->known);
    buf_json_key(b, "done");
    buf_adds(b, is_done ? "true}\n" : "false}\n");
}

static int run(struct search *x)
{
    struct err e = ERR_INIT;
    struct buf b;
    bool is_done = cli_has(x->c, "by"), is_left = false;
    int rc = EXIT_FINE;
    if (search(x, &e))
        return cli_fail(&e);
    files(x, false);
    if (x->n == 0 && x->files == 0 && !cli_has(x->c, "json")) {
        fputs("labrelay: nothing is known of this key; it has to be written exactly as it was sent\n", stderr);
        return EXIT_ABSENT;
    }
    if (is_done) {
        rc = erase_all(x);
        if (rc == EXIT_FINE)
            files(x, true);
    }
    for (size_t i = 0; i < x->n; i++)
        is_left = is_left || x->v[i].result != PERSON_ERASED;
    buf_init(&b, OUT_MAX);
    if (cli_has(x->c, "json"))
        tell_json(x, is_done, &b);
    else
        tell_text(x, is_done, &b);
    cli_print(&b);
    buf_clear(&b);
    if (rc == EXIT_FINE && x->n == 0 && x->files == 0)
        return EXIT_ABSENT;
    return rc == EXIT_FINE && is_done && (is_left || x->files_left) ? EXIT_WRONG : rc;
}

static int erase(const struct cli *c)
{
    const char *key = cli_get(c, "person");
    struct search x = {.c = c};
    if (!key)
        return cli_usage(c, "whose? Say --person with an identifier of the person or of a specimen");
    if (strlen(key) < KEY_MIN)
        return cli_usage(c, "a key of less than 3 characters stands in too many messages");
    if (cli_has(c, "by") != cli_has(c, "reason"))
        return cli_usage(c, "who does this, and why? say --by NAME --reason TEXT");
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    fhir_parser_init();
    x.conf = conf;
    x.key = span_of(key);
    x.a = arena_new((size_t)2 << 30);
    buf_init(&x.literal, (size_t)1 << 20);
    buf_addc(&x.literal, ':');
    buf_json_str(&x.literal, key);
    int rc = run(&x);
    for (size_t i = 0; i < x.n_persons; i++)
        free(x.persons[i]);
    free(x.persons);
    free(x.v);
    arena_free(x.a);
    buf_clear(&x.literal);
    config_free(conf);
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"person", 0, "KEY", "an identifier of the person or of a specimen, as it was sent, or the Go.Data id"},
    {"by", 0, "NAME", "who decides; without it nothing is erased"},
    {"reason", 0, "TEXT", "why; kept in the audit trail: name nobody in it"},
    {"anyway", 0, NULL, "also what is not finished (it is dismissed) or holds others, too"},
    CLI_JSON_FLAG,
};

const struct verb verb_erase = {.name = "erase", .synopsis = "[-c FILE] --person KEY [--by NAME --reason TEXT] [--anyway] [--json]",
                                .help = "erases all that the store holds of one person; without --by only tells what that is",
                                .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = erase};
