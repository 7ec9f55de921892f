/*
 * NAME
 *     conf_test - tests that stand beside the rules, compiled and run
 * DESCRIPTION
 *     test "name" { message "file"  channel "listener"  result 2  expect …  expect … }. `result N` says which result of the message the
 *     expectations behind it speak of; the first until then. Conditions are compiled by the compiler of the rules, words are checked
 *     against the tables they come from, so that a test cannot pass or fail by a typo.
 *     Running does what the engine does with a message up to the store: parse, rules, the writer's build.
 * DIAGNOSTICS
 *     Compiling: through the diag; a message file that is missing is a warning only, the engine does not need it. Running: conf_failure.
 */
#include "conf_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsutil.h"
#include "rule_inner.h"
#include "text.h"

#define MESSAGE_MAX ((size_t)64 << 20)
#define RESULTS_MAX 100000

enum expect_kind { EXPECT_FATE, EXPECT_RESULTS, EXPECT_ACTION, EXPECT_ROUTE, EXPECT_LAB, EXPECT_THAT };
enum expect_action { EXPECTED_SEND, EXPECTED_WITHDRAW, EXPECTED_HOLD, EXPECTED_DROP };

struct conf_expect {
    enum expect_kind kind;
    enum expect_action action;
    size_t result;                      /* which, from 1 */
    int64_t number;                     /* EXPECT_RESULTS */
    int fate;                           /* EXPECT_FATE: enum parse_fate */
    const struct lab_field *lab;
    struct span variable;               /* EXPECT_LAB with lab NULL: lab.questionnaire.VARIABLE */
    struct span value;                  /* route, writer, reason, lab text; absent: any */
    const struct rule_node *condition;
    struct span text;                   /* as written */
    const char *file;
    unsigned line;
};

static const struct { const char *word; enum parse_fate fate; } fates[] = {
    {"accepted", PARSE_ACCEPT}, {"filtered", PARSE_FILTER}, {"refused", PARSE_REFUSE}, {"rejected", PARSE_REJECT},
    {"quarantined", PARSE_QUARANTINE}, {"silent", PARSE_SILENT},
};
#define FATES (sizeof fates / sizeof fates[0])

/* ---- compiling ---- */
struct reader {
    struct rule_compiler c;
    struct config *conf;
    struct conf_test *t;
    size_t result;
    bool has_message;
};

static const char *keep(struct ruleset *rs, struct span s)
{
    char *p = arena_strdup(rs->a, s);
    if (!p)
        abort();
    return p;
}

static struct span keep_span(struct ruleset *rs, struct span s)
{
    return span_of(keep(rs, s));
}

static const char *base_name(struct reader *x, struct diag_place at)
{
    const char *name = diag_source_name(x->c.d, at.file), *slash = strrchr(name, '/');
    return keep(x->c.rs, span_of(slash ? slash + 1 : name));
}

/* The words of the statement from token `from` to before the next, as written. */
static struct span as_written(const struct reader *x, size_t from)
{
    char line[300];
    size_t n = 0;
    for (size_t i = from; i < x->c.i && n < sizeof line; i++) {
        const struct token *t = &x->c.s->v[i];
        const char *quote = t->kind == TOKEN_STRING ? "\"" : t->kind == TOKEN_REGEX ? "/" : "";
        int len = snprintf(line + n, sizeof line - n, "%s%s%.*s%s", i == from ? "" : " ", quote, SPAN_ARG(t->text), quote);
        n += len > 0 ? (size_t)len : 0;
    }
    return keep_span(x->c.rs, (struct span){line, n < sizeof line ? n : sizeof line - 1});
}

static const struct token *take_string(struct reader *x, const char *usage)
{
    const struct token *t = rule_peek(&x->c);
    if (t && t->kind == TOKEN_STRING && t->text.n) {
        x->c.i++;
        return t;
    }
    rule_error(&x->c, t, usage, "a text in quotes is expected here");
    return NULL;
}

/* One of these words; the index, or -1 after reporting with a guess. */
static int take_word(struct reader *x, const char *const *words, size_t n, const char *what)
{
    char hint[160];
    const struct token *t = rule_peek(&x->c);
    for (size_t i = 0; t && t->kind != TOKEN_OP && i < n; i++)
        if (span_is(t->text, words[i])) {
            x->c.i++;
            return (int)i;
        }
    if (!t || t->kind == TOKEN_OP)
        rule_error(&x->c, t, NULL, "%s is missing", what);
    else
        rule_error(&x->c, t, diag_guess(t->text, words, n, hint, sizeof hint), "there is no %s \"%.*s\"", what, SPAN_ARG(t->text));
    return -1;
}

static bool take_number(struct reader *x, int64_t min, int64_t *out)
{
    const struct token *t = rule_peek(&x->c);
    if (t && t->kind == TOKEN_WORD && span_int(t->text, out) && *out >= min && *out <= RESULTS_MAX) {
        x->c.i++;
        return true;
    }
    rule_error(&x->c, t, NULL, "a number from %lld is expected here", (long long)min);
    return false;
}

static bool read_message(struct reader *x)
{
    const struct token *t = take_string(x, "write: message \"tests/positive.hl7\"");
    if (!t)
        return false;
    if (x->has_message) {
        rule_error(&x->c, t, NULL, "message is set twice in test \"%s\"", x->t->name);
        return false;
    }
    char *path = fs_path_beside(x->conf->path, keep(x->c.rs, t->text));
    x->has_message = true;
    x->t->path = keep(x->c.rs, span_of(path));
    if (access(path, R_OK) != 0)
        diag_add(x->c.d, DIAG_WARNING, t->at, NULL, "cannot read the message of test \"%s\"", x->t->name);
    free(path);
    return true;
}

static bool read_channel(struct reader *x)
{
    const struct token *t = take_string(x, "write: channel \"district-lab\"");
    const char *names[64];
    char hint[160];
    size_t n = x->conf->n_listeners < 64 ? x->conf->n_listeners : 64;
    if (!t)
        return false;
    for (size_t i = 0; i < x->conf->n_listeners; i++)
        if (span_is(t->text, x->conf->listeners[i].name)) {
            x->t->listener = i;
            return true;
        }
    for (size_t i = 0; i < n; i++)
        names[i] = x->conf->listeners[i].name;
    rule_error(&x->c, t, diag_guess(t->text, names, n, hint, sizeof hint), "there is no listener \"%.*s\"", SPAN_ARG(t->text));
    return false;
}

/* NO_ROUTE … : any reason that a rule, a table or a writer's build can give. */
static bool read_reason(struct reader *x, struct conf_expect *e)
{
    const char *names[128];
    size_t n = reasons_n < 128 ? reasons_n : 128;
    const struct token *t = rule_peek(&x->c);
    e->kind = EXPECT_ACTION;
    if (!t || token_is(t, "expect") || token_is(t, "result"))
        return true;                    /* hold: for any reason */
    for (size_t i = 0; i < n; i++)
        names[i] = reasons[i].name;
    int at = take_word(x, names, n, "reason");
    if (at >= 0)
        e->value = span_of(reasons[at].name);
    return at >= 0;
}

static bool read_send(struct reader *x, struct conf_expect *e)
{
    const struct token *t = rule_peek(&x->c);
    const char *names[64];
    char hint[160];
    size_t n = x->conf->n_writers < 64 ? x->conf->n_writers : 64;
    e->kind = EXPECT_ACTION;
    e->action = EXPECTED_SEND;
    if (!rule_accept(&x->c, "to"))
        return true;
    if ((t = take_string(x, "write: expect send to \"godata\"")) == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        names[i] = x->conf->writers[i].name;
        if (span_is(t->text, names[i]))
            e->value = span_of(names[i]);
    }
    if (!span_has(e->value))
        rule_error(&x->c, t, diag_guess(t->text, names, n, hint, sizeof hint), "there is no writer \"%.*s\"", SPAN_ARG(t->text));
    return span_has(e->value);
}

static bool read_route(struct reader *x, struct conf_expect *e)
{
    const struct token *t = take_string(x, "write: expect route \"results\"");
    const struct ruleset *rs = x->c.rs;
    const char *names[128];
    char hint[160];
    size_t n = rs->n_routes < 128 ? rs->n_routes : 128;
    if (!t)
        return false;
    e->kind = EXPECT_ROUTE;
    for (size_t i = 0; i < rs->n_routes; i++)
        if (span_is(t->text, rs->routes[i].name)) {
            e->value = span_of(rs->routes[i].name);
            return true;
        }
    for (size_t i = 0; i < n; i++)
        names[i] = rs->routes[i].name;
    rule_error(&x->c, t, diag_guess(t->text, names, n, hint, sizeof hint), "there is no route \"%.*s\"", SPAN_ARG(t->text));
    return false;
}

/* "LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_POSITIVE" and "POSITIVE" are the same. */
static struct span short_code(const struct lab_field *f, struct span v)
{
    return f->prefix && span_starts(v, f->prefix) ? span_from(v, strlen(f->prefix)) : v;
}

/* Result and status have few words: a typo would never match. */
static bool check_lab_word(struct reader *x, const struct lab_field *f, const struct token *t)
{
    static const char *const results[] = {"POSITIVE", "NEGATIVE", "INCONCLUSIVE", "POSITIVE_FOR_OTHER_PATHOGENS_SPECIFY_IN_NOTES_FIELD"};
    static const char *const states[] = {"COMPLETED", "IN_PROGRESS"};
    bool is_result = strcmp(f->name, "result") == 0, is_status = strcmp(f->name, "status") == 0;
    const char *const *words = is_result ? results : states;
    size_t n = is_result ? 4 : 2;
    char hint[160];
    if ((!is_result && !is_status) || !t->text.n)
        return true;
    for (size_t i = 0; i < n; i++)
        if (span_is(short_code(f, t->text), words[i]))
            return true;
    rule_error(&x->c, t, diag_guess(t->text, words, n, hint, sizeof hint), "lab.%s is never \"%.*s\"", f->name, SPAN_ARG(t->text));
    return false;
}

static bool read_lab(struct reader *x, struct conf_expect *e)
{
    const struct token *t = rule_peek(&x->c), *v;
    const char *names[64];
    char hint[160];
    size_t n = lab_fields_n < 64 ? lab_fields_n : 64;
    struct span name = span_from(t->text, 4);
    e->kind = EXPECT_LAB;
    e->lab = lab_field_find(name);
    x->c.i++;
    if (span_starts(name, "questionnaire."))
        e->variable = keep_span(x->c.rs, span_from(name, 14));
    else if (!e->lab) {
        for (size_t i = 0; i < n; i++)
            names[i] = lab_fields[i].name;
        const char *near = text_nearest(name, names, n);
        if (near)
            (void)snprintf(hint, sizeof hint, "did you mean \"lab.%s\"?", near);
        rule_error(&x->c, t, near ? hint : NULL, "a lab result has no field \"%.*s\"", SPAN_ARG(t->text));
        return false;
    }
    v = rule_peek(&x->c);
    if (!v || (v->kind != TOKEN_STRING && v->kind != TOKEN_WORD) || token_is(v, "expect")) {
        rule_error(&x->c, v, "write: expect lab.result \"POSITIVE\"; \"\" for none", "the value of %.*s is missing", SPAN_ARG(t->text));
        return false;
    }
    if (e->lab && !check_lab_word(x, e->lab, v))
        return false;
    x->c.i++;
    e->value = keep_span(x->c.rs, v->text);
    return true;
}

static bool read_what(struct reader *x, struct conf_expect *e)
{
    const struct token *t = rule_peek(&x->c);
    if (t && t->kind == TOKEN_WORD && span_starts(t->text, "lab."))
        return read_lab(x, e);
    if (rule_accept(&x->c, "send"))
        return read_send(x, e);
    if (rule_accept(&x->c, "route"))
        return read_route(x, e);
    if (rule_accept(&x->c, "withdraw")) {
        e->kind = EXPECT_ACTION;
        e->action = EXPECTED_WITHDRAW;
        return true;
    }
    if (token_is(t, "hold") || token_is(t, "drop")) {
        e->action = token_is(t, "hold") ? EXPECTED_HOLD : EXPECTED_DROP;
        x->c.i++;
        return read_reason(x, e);
    }
    if (rule_accept(&x->c, "results")) {
        e->kind = EXPECT_RESULTS;
        return take_number(x, 0, &e->number);
    }
    if (rule_accept(&x->c, "message")) {
        const char *names[FATES];
        for (size_t i = 0; i < FATES; i++)
            names[i] = fates[i].word;
        int at = take_word(x, names, FATES, "fate of a message");
        e->kind = EXPECT_FATE;
        e->fate = at < 0 ? 0 : (int)fates[at].fate;
        return at >= 0;
    }
    if (!t) {
        rule_error(&x->c, NULL, "write: expect lab.result \"POSITIVE\", expect hold NO_ROUTE, expect observation.value > 40 …", "expect what?");
        return false;
    }
    e->kind = EXPECT_THAT;
    e->condition = rule_parse_condition(&x->c);
    return e->condition != NULL;
}

static bool read_expect(struct reader *x)
{
    size_t from = x->c.i - 1;
    struct conf_expect e = {.result = x->result, .line = x->c.s->v[from].at.line, .file = x->t->file};
    if (!read_what(x, &e))
        return false;
    e.text = as_written(x, from);
    if (!arena_grow(x->c.rs->a, &x->t->v, x->t->n, &x->t->cap, sizeof *x->t->v))
        abort();
    x->t->v[x->t->n++] = e;
    return true;
}

static void read_stmt(struct reader *x, const struct lexer_stmt *s)
{
    static const char *const words[] = {"message", "channel", "result", "expect"};
    bool is_read = true;
    x->c.s = s;
    x->c.i = 0;
    while (x->c.i < s->n && is_read) {
        int64_t number = 0;
        switch (take_word(x, words, 4, "statement of a test")) {
        case 0: is_read = read_message(x); break;
        case 1: is_read = read_channel(x); break;
        case 2:
            is_read = take_number(x, 1, &number);
            x->result = (size_t)number;
            break;
        case 3: is_read = read_expect(x); break;
        default: is_read = false; break;
        }
    }
    if (is_read && s->has_block)
        diag_add(x->c.d, DIAG_ERROR, s->block_at, NULL, "no block is expected here");
}

static void compile(struct reader *x, const struct lexer_stmt *s)
{
    size_t errors = diag_errors(x->c.d);
    const struct token *name = s->n > 1 ? &s->v[1] : NULL;
    x->c.s = s;
    if (s->n != 2 || name->kind != TOKEN_STRING || !name->text.n || !s->has_block) {
        diag_add(x->c.d, DIAG_ERROR, s->n > 2 ? s->v[2].at : lexer_after(s), "write: test \"positive PCR\" { message \"positive.hl7\"  expect … }",
                 "a test needs a name in quotes and a block");
        return;
    }
    for (size_t i = 0; i < x->conf->n_tests; i++)
        if (span_is(name->text, x->conf->tests[i].name)) {
            rule_error(&x->c, name, NULL, "there is a test \"%s\" in line %u already", x->conf->tests[i].name, x->conf->tests[i].line);
            return;
        }
    x->t = &x->conf->tests[x->conf->n_tests++];
    *x->t = (struct conf_test){.name = keep(x->c.rs, name->text), .file = base_name(x, name->at), .line = name->at.line, .path = ""};
    x->result = 1;
    x->has_message = false;
    for (size_t i = 0; i < s->n_body; i++)
        read_stmt(x, &s->body[i]);
    x->c.s = s;
    if (diag_errors(x->c.d) != errors)
        return;
    if (!x->has_message)
        rule_error(&x->c, name, "add: message \"positive.hl7\"", "test \"%s\" has no message", x->t->name);
    else if (!x->t->n)
        rule_error(&x->c, name, "add: expect …", "test \"%s\" expects nothing", x->t->name);
    else if (!x->conf->n_listeners)
        rule_error(&x->c, name, NULL, "test \"%s\" needs a listener: it says how the message is read", x->t->name);
}

void conf_tests_compile(struct config *c, struct diag *d, const struct lexer_stmt *const *stmts, size_t n)
{
    if (!n || !c->rules)
        return;
    struct reader x = {.conf = c, .c = {.d = d, .rs = c->rules, .tables = c->tables}};
    c->tests = rule_alloc(c->rules, n * sizeof *c->tests);
    for (size_t i = 0; i < n; i++)
        compile(&x, stmts[i]);
}

/* ---- running ---- */
struct run {
    const struct config *conf;
    const struct conf_test *t;
    struct arena *a;
    void (*fail)(void *ctx, const struct conf_failure *f);
    void *ctx;
    size_t results;                     /* met so far */
    bool has_failed;
};

static void failed(struct run *x, const struct conf_expect *e, struct span path, struct span wanted, struct span got)
{
    struct conf_failure f = {.file = e->file, .line = e->line, .expect = e->text, .path = path, .wanted = wanted, .got = got};
    x->has_failed = true;
    x->fail(x->ctx, &f);
}

static enum expect_action action_of(const struct rule_result *rr, const struct built *b)
{
    if (rr->action == RULE_DROP)
        return EXPECTED_DROP;
    if (rr->action == RULE_HOLD || b->hold)
        return EXPECTED_HOLD;
    return rr->is_withdrawal ? EXPECTED_WITHDRAW : EXPECTED_SEND;
}

static struct span action_text(struct run *x, enum expect_action a, struct span word, struct span detail)
{
    static const char *const names[] = {[EXPECTED_SEND] = "send", [EXPECTED_WITHDRAW] = "withdraw", [EXPECTED_HOLD] = "hold", [EXPECTED_DROP] = "drop"};
    bool is_named = span_has(word) && a == EXPECTED_SEND;
    return arena_printf(x->a, "%s%s%.*s%s%s%.*s", names[a], is_named ? " to \"" : span_has(word) ? " " : "", SPAN_ARG(word), is_named ? "\"" : "",
                        span_has(detail) ? ": " : "", SPAN_ARG(detail));
}

static bool is_lab(const struct lab_field *f, struct span wanted, struct span got)
{
    if (f->is_date && wanted.n == 10)
        got = span_cut(got, 0, 10);     /* dates are days */
    return (!wanted.n && !got.n) || span_eq(short_code(f, wanted), short_code(f, got));
}

/* The answer to a question as one text; several are joined by commas. */
static struct span answer_of(struct run *x, const struct lab_result *lab, struct span variable)
{
    for (size_t i = 0; i < lab->answers.n; i++) {
        const struct lab_answer *one = &lab->answers.v[i];
        if (!span_eq(one->variable, variable))
            continue;
        struct span text = one->values.n ? one->values.v[0] : one->value;
        for (size_t k = 1; k < one->values.n; k++)
            text = arena_printf(x->a, "%.*s,%.*s", SPAN_ARG(text), SPAN_ARG(one->values.v[k]));
        return text;
    }
    return SPAN_ABSENT;
}

static int check_result(struct run *x, const struct record *r, const struct rec_observation *o, struct err *err)
{
    struct rule_result rr;
    struct built b = {.hold = NULL};
    if (rule_run(x->conf->rules, r, o, x->a, &rr, NULL, err))
        return -1;
    const struct writer_conf *wc = rr.writer ? config_writer_find(x->conf, rr.writer) : NULL;
    if (wc && rr.action == RULE_SEND_LAB && wc->ops->build(wc->options, r, o, &rr.lab, x->a, &b, err))
        return -1;
    enum expect_action action = action_of(&rr, &b);
    bool is_sent = action == EXPECTED_SEND || action == EXPECTED_WITHDRAW;
    struct span word = is_sent ? span_of(rr.writer) : span_of(rr.action == RULE_SEND_LAB ? b.hold : rr.reason);
    struct span detail = is_sent ? SPAN_ABSENT : rr.action == RULE_SEND_LAB ? b.hold_detail : span_has(rr.table_key) ? rr.table_key : rr.detail;
    struct span got = action_text(x, action, word, detail);
    for (size_t i = 0; i < x->t->n; i++) {
        const struct conf_expect *e = &x->t->v[i];
        if (e->result != x->results || e->kind == EXPECT_FATE || e->kind == EXPECT_RESULTS)
            continue;
        if (e->kind == EXPECT_ACTION && (e->action != action || (span_has(e->value) && !span_eq(e->value, word)))) {
            failed(x, e, o->path, action_text(x, e->action, e->value, SPAN_ABSENT), got);
        } else if (e->kind == EXPECT_ROUTE && !span_is(e->value, rr.route)) {
            failed(x, e, o->path, e->value, rr.route[0] ? span_of(rr.route) : got);
        } else if (e->kind == EXPECT_LAB && !is_sent) {
            failed(x, e, o->path, e->value, got);
        } else if (e->kind == EXPECT_LAB && !e->lab) {
            struct span v = answer_of(x, &rr.lab, e->variable);
            if ((e->value.n || v.n) && !span_eq(e->value, v))
                failed(x, e, o->path, e->value, v);
        } else if (e->kind == EXPECT_LAB) {
            struct span v = *lab_field_at(&rr.lab, e->lab);
            if (!is_lab(e->lab, e->value, v))
                failed(x, e, o->path, e->value, short_code(e->lab, v));
        } else if (e->kind == EXPECT_THAT) {
            struct rule_scope scope = {.rs = x->conf->rules, .r = r, .obs = o, .a = x->a};
            enum rule_truth t = rule_test(&scope, e->condition);
            if (t != TRUTH_YES)
                failed(x, e, o->path, SPAN_LIT("yes"), t == TRUTH_NO ? SPAN_LIT("no") : SPAN_LIT("cannot be decided"));
        }
    }
    return 0;
}

static const char *fate_word(enum parse_fate f)
{
    for (size_t i = 0; i < FATES; i++)
        if (fates[i].fate == f)
            return fates[i].word;
    return "?";
}

/* The fate of a file is that of its first message which was not accepted, else of its first. */
static enum parse_fate fate_of(const struct parse_result *pr)
{
    for (size_t i = 0; i < pr->n; i++)
        if (pr->v[i].fate != PARSE_ACCEPT)
            return pr->v[i].fate;
    return pr->n ? PARSE_ACCEPT : PARSE_QUARANTINE;
}

static int check_parsed(struct run *x, struct parse_result *pr, struct err *err)
{
    enum parse_fate fate = fate_of(pr);
    for (size_t i = 0; i < pr->n; i++) {
        struct parsed *p = &pr->v[i];
        p->message.channel = span_of(x->conf->listeners[x->t->listener].name);
        for (size_t k = 0; k < p->n_records && p->fate == PARSE_ACCEPT; k++)
            for (size_t n = 0; n < p->records[k].n; n++) {
                const struct rec_observation *o = &p->records[k].observations[n];
                if (o->role != OBS_RESULT)
                    continue;
                x->results++;
                if (check_result(x, &p->records[k], o, err))
                    return -1;
            }
    }
    for (size_t i = 0; i < x->t->n; i++) {
        const struct conf_expect *e = &x->t->v[i];
        if (e->kind == EXPECT_FATE) {
            if (e->fate != (int)fate)
                failed(x, e, SPAN_ABSENT, span_of(fate_word((enum parse_fate)e->fate)), span_of(fate_word(fate)));
        } else if (e->kind == EXPECT_RESULTS) {
            if (e->number != (int64_t)x->results)
                failed(x, e, SPAN_ABSENT, arena_printf(x->a, "%lld", (long long)e->number), arena_printf(x->a, "%zu", x->results));
        } else if (e->result > x->results) {
            struct span got = arena_printf(x->a, "the message is %s and has %zu result%s", fate_word(fate), x->results, x->results == 1 ? "" : "s");
            failed(x, e, SPAN_ABSENT, arena_printf(x->a, "result %zu", e->result), got);
        }
    }
    return 0;
}

int conf_test_run(const struct config *c, const struct conf_test *t, void (*fail)(void *ctx, const struct conf_failure *f), void *ctx, struct err *e)
{
    struct run x = {.conf = c, .t = t, .fail = fail, .ctx = ctx};
    const struct listener_conf *lc = &c->listeners[t->listener];
    struct parse_result pr = {.n = 0};
    struct buf file;
    int rc;
    buf_init(&file, MESSAGE_MAX);
    rc = fs_load(t->path, &file, e);
    if (rc == 0) {
        const struct parser_conf *pc = config_parser_find(lc, NULL, buf_span(&file));
        x.a = arena_new(file.n * 12 + ((size_t)16 << 20));
        rc = pc->ops->parse(pc->options, buf_span(&file), x.a, &pr, e);
        if (rc == 0)
            rc = check_parsed(&x, &pr, e);
    }
    arena_free(x.a);
    buf_clear(&file);
    return rc ? -1 : x.has_failed;
}
