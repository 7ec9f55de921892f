/*
 * NAME check_live - compares what the configuration may send with what the other side knows: reference codes, permissions, outbreak.
 *
 * A running engine with the same account is asked for what it knows (at most ten minutes old): a login of ours would take its token away.
 * Without one, each writer's account logs in once, reads, and logs out; nothing is written anywhere but one note beside the store,
 * FILE.login-WRITER, of a login that was refused: a second one within 31 minutes is not tried, so that nobody locks the account by repeating
 * the command (Go.Data locks after ten).
 * DIAGNOSTICS errors at the table's cell or the statement's literal that names a code which is missing or inactive, with the nearest one;
 * errors at the write block for the rest.
 */
#include "check_live.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "fsutil.h"
#include "godata_options.h"
#include "rule_codes.h"
#include "text.h"
#include "xmem.h"

#define NEAR_MAX 4096u
#define REFUSED_S (31 * 60)
#define SEEN_MAX 4096u

struct compare {
    const struct writer_conf *wc;
    json_t *codes;                      /* id -> active */
    json_t *questions;                  /* variable -> type; NULL: not known */
    struct diag *d;
    json_t *seen;                       /* "prefix code": how often it was found missing */
    size_t compared, wrong;
};

/* The nearest active code of the category, without its prefix. Heap or NULL. */
static char *nearest(const json_t *codes, const char *prefix, struct span code)
{
    const char **names = xcalloc(NEAR_MAX, sizeof *names), *id, *near;
    size_t n = 0, skip = strlen(prefix);
    json_t *active;
    json_object_foreach((json_t *)(uintptr_t)codes, id, active)
        if (n < NEAR_MAX && json_is_true(active) && strncmp(id, prefix, skip) == 0)
            names[n++] = id + skip;
    near = text_nearest(code, names, n);
    char *out = near ? xstrdup(near) : NULL;
    free(names);
    return out;
}

static bool has_category(const json_t *codes, const char *prefix)
{
    const char *id;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)codes, id, v)
        if (strncmp(id, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* A literal of the configuration: underlined where it stands in its line. */
static struct diag_place place_of(const struct compare *x, const struct rule_code *c)
{
    struct diag_place at = {.line = c->line, .col = 1, .width = 1};
    if (c->at.line)
        return c->at;
    if (!diag_source_find(x->d, c->file, &at.file))
        return x->wc->at;
    struct span line = diag_source_line(x->d, at.file, c->line);
    for (size_t i = 0; i + c->code.n <= line.n; i++)
        if (memcmp(line.p + i, c->code.p, c->code.n) == 0) {
            at.col = (unsigned)i + 1;
            at.width = (unsigned)c->code.n;
            break;
        }
    return at;
}

static void compare_question(struct compare *x, struct span variable, struct diag_place at, bool is_upload)
{
    const char *names[256], *key, *type;
    char word[128], hint[160];
    size_t n = 0;
    json_t *v;
    if (!x->questions)
        return;
    (void)snprintf(word, sizeof word, "%.*s", SPAN_ARG(variable));
    x->compared++;
    type = json_string_value(json_object_get(x->questions, word));
    if (type && (!is_upload || strcmp(type, "FILE_UPLOAD") == 0))
        return;
    x->wrong++;
    json_object_foreach(x->questions, key, v)
        if (n < 256 && (!is_upload || strcmp(json_string_value(v), "FILE_UPLOAD") == 0))
            names[n++] = key;
    diag_add(x->d, DIAG_ERROR, at, diag_guess(variable, names, n, hint, sizeof hint), type ? "the question \"%s\" of the lab result form of %s takes no file"
             : "there is no question \"%s\" in the lab result form of %s", word, x->wc->name);
}

static void compare_code(void *ctx, const struct rule_code *c)
{
    struct compare *x = ctx;
    if (!c->prefix) {
        compare_question(x, c->code, place_of(x, c), false);
        return;
    }
    size_t skip = strlen(c->prefix);
    char id[256], key[288], hint[160] = "";
    bool is_whole = span_starts(c->code, c->prefix);
    struct span shorter = is_whole ? span_from(c->code, skip) : c->code;
    (void)snprintf(id, sizeof id, "%s%.*s", c->prefix, SPAN_ARG(shorter));
    x->compared++;
    const json_t *active = json_object_get(x->codes, id);
    if (json_is_true(active))
        return;
    x->wrong++;
    (void)snprintf(key, sizeof key, "%s %d", id, (int)c->at.file);
    json_int_t times = json_integer_value(json_object_get(x->seen, key));
    (void)json_object_set_new(x->seen, key, json_integer(times + 1));
    if (times)
        return;                         /* once for each code and table: a table may name it a hundred times */
    char *near = nearest(x->codes, c->prefix, shorter);
    if (near)
        (void)snprintf(hint, sizeof hint, "did you mean \"%s\"?", near);
    else if (!has_category(x->codes, c->prefix))
        (void)snprintf(hint, sizeof hint, "this category of Go.Data has no entry");
    diag_add(x->d, DIAG_ERROR, place_of(x, c), hint[0] ? hint : NULL, "%s \"%.*s\" is %s in the reference data of %s", c->field, SPAN_ARG(shorter),
             active ? "inactive" : "not", x->wc->name);
    free(near);
}

/* ---- the note of a refused login ---- */

static char *note_path(const struct config *conf, const struct writer_conf *wc)
{
    struct buf b;
    buf_init(&b, 8192);
    buf_addf(&b, "%s.login-%s", conf->store.path, wc->name);
    for (size_t i = strlen(conf->store.path); i < b.n; i++)
        if (b.p[i] == '/')
            b.p[i] = '_';
    return buf_take(&b, NULL);
}

static bool was_refused_lately(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_mtime <= time(NULL) && time(NULL) - st.st_mtime < REFUSED_S;
}

static void keep_note(const char *path, const char *state)
{
    struct err e = ERR_INIT;
    if (strcmp(state, "LOGIN_FAILED") == 0 || strcmp(state, "LOGIN_BLOCKED") == 0)
        (void)fs_write_durably(path, SPAN_LIT("a login of check --live was refused\n"), &e);     /* no folder: nobody to protect it for */
    else
        (void)unlink(path);
}

/* ---- asking ---- */

enum asked { ASKED, NEEDS_NOW, ASKED_NOTHING };

static bool is_same_writer(const struct writer_conf *wc, const json_t *answer)
{
    char *mine = wc->ops->identity ? wc->ops->identity(wc->options) : NULL;
    bool is_same = mine && strcmp(mine, json_string_value(json_object_get(answer, "identity")) ? json_string_value(json_object_get(answer, "identity")) : "") == 0;
    free(mine);
    return is_same;
}

/* From a running engine: what its writer knows. */
static enum asked ask_running(const struct config *conf, const struct writer_conf *wc, unsigned needs, bool is_now, json_t **known, struct buf *b)
{
    struct err e = ERR_INIT;
    json_t *answer = NULL;
    int rc = ask_engine(conf, json_pack("{sssssI}", "do", "tell", "writer", wc->name, "needs", (json_int_t)needs), &answer, &e);
    if (rc > 0)
        return ASKED_NOTHING;           /* no engine runs */
    enum asked a = NEEDS_NOW;
    if (rc == 0 && !is_now && is_same_writer(wc, answer) && json_object_get(answer, "known")) {
        *known = json_incref(json_object_get(answer, "known"));
        buf_addf(b, "%s: asked the running engine; its token stays (--now logs in anew)\n", wc->name);
        a = ASKED;
    }
    json_decref(answer);
    return is_now ? ASKED_NOTHING : a;
}

static json_t *ask_server(const struct config *conf, const struct writer_conf *wc, unsigned needs, struct diag *d)
{
    char *path = note_path(conf, wc);
    json_t *known = NULL;
    if (was_refused_lately(path)) {
        diag_add(d, DIAG_ERROR, wc->at, "correct it, wait half an hour or remove the file beside the store", "%s: not logged in: the last login was refused (%s)", wc->name, path);
    } else {
        char *text = wc->ops->ask(wc->options, needs);
        known = text ? json_loads(text, 0, NULL) : NULL;
        const char *state = json_string_value(json_object_get(known, "state"));
        keep_note(path, state ? state : "");
        free(text);
    }
    free(path);
    return known;
}

static const char *state_text(const char *state)
{
    static const char *const texts[][2] = {
        {"LOGIN_FAILED", "login or password are refused"}, {"LOGIN_BLOCKED", "the account's logins are blocked for half an hour"},
        {"TWO_FACTOR", "the account asks for a second factor: give it a role without"}, {"UNREACHABLE", "the server does not answer"},
        {"NO_ANSWER", "the server does not answer"}, {"NOT_GODATA", "something else than Go.Data answers at this url"},
        {"OUTBREAK_UNKNOWN", "no outbreak that the account may see has this name or id"}, {"OUTBREAK_AMBIGUOUS", "several outbreaks have this name: write the id"},
        {"STARTING", "the running engine does not know yet; ask again in a moment, or say --now"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(state, texts[i][0]) == 0)
            return texts[i][1];
    return "it cannot work now";
}

static bool is_temporary(const char *state)
{
    return strcmp(state, "UNREACHABLE") == 0 || strcmp(state, "NO_ANSWER") == 0 || strcmp(state, "STARTING") == 0 || strncmp(state, "HTTP_5", 6) == 0;
}

/* ---- judging ---- */

static void judge_documents(const struct writer_conf *wc, const json_t *known, struct diag *d)
{
    const json_t *v;
    size_t i;
    json_array_foreach(json_object_get((json_t *)(uintptr_t)known, "unknown"), i, v) {
        char hint[160];
        char *near = nearest(json_object_get(known, "codes"), GODATA_DOCUMENT_PREFIX, span_of(json_string_value(v)));
        (void)snprintf(hint, sizeof hint, "did you mean \"%s\"?", near ? near : "");
        diag_add(d, DIAG_ERROR, wc->at, near ? hint : NULL, "document type \"%s\" is not in the reference data of %s", json_string_value(v), wc->name);
        free(near);
    }
}

static void judge_account(const struct writer_conf *wc, const json_t *known, struct diag *d)
{
    const json_t *missing = json_object_get(known, "missing"), *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)missing, i, v)
        diag_add(d, DIAG_ERROR, wc->at, "add it to the account's role in Go.Data", "the account of %s lacks the permission %s", wc->name, json_string_value(v));
    if (json_is_false(json_object_get(known, "is_active")))
        diag_add(d, DIAG_WARNING, wc->at, "set it in Go.Data, or say: claim-account yes", "the active outbreak of the account of %s is another one", wc->name);
    if (json_is_false(json_object_get(known, "permissions_known")))
        diag_add(d, DIAG_WARNING, wc->at, NULL, "the permissions of the account of %s could not be read", wc->name);
}

static int judge(const struct config *conf, const struct writer_conf *wc, json_t *known, struct diag *d, struct buf *b)
{
    const char *state = json_string_value(json_object_get(known, "state")), *detail = json_string_value(json_object_get(known, "detail"));
    struct compare x = {.wc = wc, .codes = json_object_get(known, "codes"), .questions = json_object_get(known, "questions"), .d = d, .seen = json_object()};
    bool is_ready = state && strcmp(state, "ready") == 0;
    if (!is_ready && !(state && strcmp(state, "WRONG_OUTBREAK") == 0))
        diag_add(d, DIAG_ERROR, wc->at, NULL, "%s: %s (%s%s%s)", wc->name, state_text(state ? state : ""), state ? state : "", detail && detail[0] ? ": " : "",
                 detail ? detail : "");
    judge_account(wc, known, d);
    judge_documents(wc, known, d);
    if (x.codes)
        rule_codes(conf->rules, wc->name, compare_code, &x);
    const struct godata_options *o = wc->options;
    if (strcmp(wc->ops->name, "godata") == 0 && o->attachments.variable)
        compare_question(&x, span_of(o->attachments.variable), wc->at, true);
    buf_addf(b, "%s: %s", wc->name, is_ready ? "ready" : state ? state : "?");
    if (json_object_get(known, "outbreak_id"))
        buf_addf(b, ", outbreak %s", json_string_value(json_object_get(known, "outbreak_id")));
    if (x.codes)
        buf_addf(b, ", %zu reference codes, %zu places compared, %zu wrong", json_object_size(x.codes), x.compared, x.wrong);
    if (json_object_get(known, "locations"))
        buf_addf(b, ", %" JSON_INTEGER_FORMAT " locations", json_integer_value(json_object_get(known, "locations")));
    buf_adds(b, ". Nothing was written.\n");
    json_decref(x.seen);
    return is_ready || !state || !is_temporary(state) ? EXIT_FINE : EXIT_TEMPORARY;
}

int check_live(const struct config *conf, bool is_now, struct diag *d, struct buf *b)
{
    int worst = EXIT_FINE;
    for (size_t i = 0; i < conf->n_writers; i++) {
        const struct writer_conf *wc = &conf->writers[i];
        json_t *known = NULL;
        unsigned needs = rule_needs(conf->rules, wc->name);
        if (!wc->ops->ask || !wc->ops->tell)
            continue;
        enum asked a = ask_running(conf, wc, needs, is_now, &known, b);
        if (a == ASKED_NOTHING)
            known = ask_server(conf, wc, needs, d);
        if (a == NEEDS_NOW) {
            fprintf(stderr, "labrelay: an engine runs that cannot be asked about \"%s\" (it has another server, account or outbreak). "
                            "A login would take the token of whoever uses the account: say --now to do it\n", wc->name);
            worst = EXIT_ABSENT;
        }
        int rc = known ? judge(conf, wc, known, d, b) : EXIT_FINE;
        worst = rc > worst ? rc : worst;
        json_decref(known);
    }
    return diag_errors(d) && worst != EXIT_TEMPORARY ? EXIT_WRONG : worst;
}
