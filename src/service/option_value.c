/*
 * NAME
 *     option_value - values of options: numbers with units, addresses, networks, choices, paths, credentials
 * DESCRIPTION
 *     A second reading of the same value frees the first. Paths are made absolute to the folder of the main configuration file;
 *     credentials are loaded here, once, so that a missing file is a mistake of the configuration.
 * DIAGNOSTICS
 *     Through option_error(). The text of a credential is never printed.
 */
#include "option_value.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsutil.h"
#include "secret.h"
#include "text.h"
#include "xmem.h"
#include "zone.h"

struct unit { const char *name; int64_t factor; };
static const struct unit sizes[] = {{"B", 1}, {"kB", 1024}, {"MB", 1024 * 1024}, {"GB", 1024 * 1024 * 1024}};
static const struct unit times[] = {{"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};

/* ---- the words ---- */
const char *option_name(const struct option_args *a)
{
    return a->name;
}

static void fill_word(struct option_args *a, const struct token *t)
{
    a->word.kind = t->kind == TOKEN_STRING ? OPTION_STRING : t->kind == TOKEN_WORD ? OPTION_WORD : OPTION_PUNCT;
    a->word.text = t->text;
    a->word.at = t->at;
}

const struct option_word *option_peek(const struct option_args *a)
{
    struct option_args *m = (struct option_args *)(uintptr_t)a;     /* the word shown is a cache, not state */
    if (a->i >= a->stmt->n)
        return NULL;
    fill_word(m, &a->stmt->v[a->i]);
    return &a->word;
}

const struct option_word *option_next(struct option_args *a)
{
    const struct option_word *w = option_peek(a);
    if (w)
        a->i++;
    a->is_refused = false;
    return w;
}

bool option_accept(struct option_args *a, const char *word)
{
    a->is_refused = a->i >= a->stmt->n || !token_is(&a->stmt->v[a->i], word);
    if (!a->is_refused)
        a->i++;
    return !a->is_refused;
}

/* The word taken last; after an option_accept() that was refused, the word that it refused. */
static struct diag_place place(const struct option_args *a)
{
    if (a->is_refused)
        return a->i < a->stmt->n ? a->stmt->v[a->i].at : lexer_after(a->stmt);
    return a->stmt->v[a->i ? a->i - 1 : 0].at;
}

int option_error(struct option_args *a, const char *hint, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_add(a->diag, DIAG_ERROR, place(a), hint, "%s", text);
    return -1;
}

void option_warning(struct option_args *a, const char *hint, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_add(a->diag, DIAG_WARNING, place(a), hint, "%s", text);
}

static int missing(struct option_args *a, const char *what)
{
    diag_add(a->diag, DIAG_ERROR, lexer_after(a->stmt), NULL, "%s needs %s", a->name, what);
    return -1;
}

/* The next word as a value; NULL after reporting. */
static const struct option_word *take(struct option_args *a, const char *what)
{
    const struct option_word *w = option_next(a);
    if (!w) {
        (void)missing(a, what);
        return NULL;
    }
    if (w->kind == OPTION_PUNCT) {
        (void)option_error(a, NULL, "%s needs %s, not \"%.*s\"", a->name, what, SPAN_ARG(w->text));
        return NULL;
    }
    return w;
}

/* ---- numbers ---- */
static void name_units(const struct unit *u, size_t n, char *out, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at < room; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", i ? " " : "", u[i].name);
}

static void name_value(int64_t v, const struct unit *u, size_t n, char *out, size_t room)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++)
        if (v >= u[i].factor && v % u[i].factor == 0)
            best = i;
    (void)snprintf(out, room, "%lld%s", (long long)(n ? v / u[best].factor : v), n ? u[best].name : "");
}

static int check_range(struct option_args *a, int64_t v, int64_t min, int64_t max, const struct unit *u, size_t n)
{
    char lo[40], hi[40];
    if ((min == 0 && max == 0) || (v >= min && v <= max))
        return 0;
    name_value(min, u, n, lo, sizeof lo);
    name_value(max, u, n, hi, sizeof hi);
    return option_error(a, NULL, "%s has to be between %s and %s", a->name, lo, hi);
}

static int take_unit_number(struct option_args *a, const struct unit *u, size_t n, const char *example_unit, int64_t min, int64_t max, int64_t *out)
{
    char names[64], example[96];
    const struct option_word *w = take(a, "a number with its unit");
    if (!w)
        return -1;
    size_t digits = 0;
    while (digits < w->text.n && w->text.p[digits] >= '0' && w->text.p[digits] <= '9')
        digits++;
    struct span unit = span_from(w->text, digits);
    int64_t v = 0;
    if (!span_int(span_cut(w->text, 0, digits), &v))
        return option_error(a, NULL, "%s needs a whole number with its unit, for instance 10%s", a->name, example_unit);
    name_units(u, n, names, sizeof names);
    if (!unit.n) {
        (void)snprintf(example, sizeof example, "units are: %s", names);
        return option_error(a, example, "%s needs a unit: write %lld%s, not \"%lld\"", a->name, (long long)v, example_unit, (long long)v);
    }
    for (size_t i = 0; i < n; i++) {
        if (!span_is_nocase(unit, u[i].name))
            continue;
        if (!span_is(unit, u[i].name)) {
            (void)snprintf(example, sizeof example, "write %lld%s", (long long)v, u[i].name);
            return option_error(a, example, "%s has no unit \"%.*s\"", a->name, SPAN_ARG(unit));
        }
        if (v > INT64_MAX / u[i].factor)
            return option_error(a, NULL, "%s is too large", a->name);
        *out = v * u[i].factor;
        return check_range(a, *out, min, max, u, n);
    }
    (void)snprintf(example, sizeof example, "units are: %s", names);
    return option_error(a, example, "%s has no unit \"%.*s\"", a->name, SPAN_ARG(unit));
}

int option_take_int(struct option_args *a, int64_t min, int64_t max, int64_t *out)
{
    const struct option_word *w = take(a, "a number");
    if (!w)
        return -1;
    if (!span_int(w->text, out))
        return option_error(a, NULL, "%s needs a whole number, not \"%.*s\"", a->name, SPAN_ARG(w->text));
    return check_range(a, *out, min, max, NULL, 0);
}

int option_take_size(struct option_args *a, int64_t min, int64_t max, int64_t *out)
{
    return take_unit_number(a, sizes, sizeof sizes / sizeof sizes[0], "MB", min, max, out);
}

int option_take_duration(struct option_args *a, int64_t min_us, int64_t max_us, int64_t *out_us)
{
    return take_unit_number(a, times, sizeof times / sizeof times[0], min_us >= 3600000000 ? "d" : "s", min_us, max_us, out_us);
}

int option_take_percent(struct option_args *a, int64_t min, int64_t max, int64_t *out)
{
    const struct option_word *w = take(a, "a percentage");
    if (!w)
        return -1;
    struct span digits = w->text;
    if (!digits.n || digits.p[digits.n - 1] != '%')
        return option_error(a, NULL, "%s needs a percentage, for instance 5%%", a->name);
    digits.n--;
    if (!span_int(digits, out) || *out < min || *out > max)
        return option_error(a, NULL, "%s has to be between %lld%% and %lld%%", a->name, (long long)min, (long long)max);
    return 0;
}

/* ---- words ---- */
int option_take_choice(struct option_args *a, const char *choices, int *out)
{
    const struct option_word *w = take(a, "a word");
    const char *words[64];
    char *copy = xstrdup(choices);
    size_t n = 0;
    int found = -1;
    for (char *p = copy; *p && n < 64; n++) {
        words[n] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = 0;
    }
    for (size_t i = 0; w && i < n; i++)
        if (span_is(w->text, words[i]))
            found = (int)i;
    if (w && found < 0) {
        char hint[96];
        (void)option_error(a, diag_guess(w->text, words, n, hint, sizeof hint), "%s is one of: %s; not \"%.*s\"", a->name, choices, SPAN_ARG(w->text));
    }
    free(copy);
    if (found < 0)
        return -1;
    *out = found;
    return 0;
}

int option_take_text(struct option_args *a, char **out)
{
    const struct option_word *w = take(a, "a text");
    if (!w)
        return -1;
    free(*out);
    *out = xstrndup(w->text.n ? w->text.p : "", w->text.n);
    return 0;
}

void option_list_add(struct option_list *l, struct span text)
{
    l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
    l->v[l->n++] = xstrndup(text.n ? text.p : "", text.n);
}

void option_list_clear(struct option_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct option_list){0};
}

/* ---- addresses ---- */
static bool ip_parse(struct span s, int *family)
{
    char text[64];
    unsigned char addr[16];
    if (!s.n || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, addr) == 1;
}

static int take_address(struct option_args *a, char **out)
{
    const struct option_word *w = take(a, "an address");
    int family;
    int64_t port;
    if (!w)
        return -1;
    struct span s = w->text, ip = s, port_text = SPAN_ABSENT;
    if (span_starts(s, "[")) {
        size_t close = span_find(s, ']');
        ip = span_cut(s, 1, close ? close - 1 : 0);
        if (close + 1 < s.n && s.p[close + 1] == ':')
            port_text = span_from(s, close + 2);
    } else {
        size_t colon = span_find(s, ':');
        ip = span_cut(s, 0, colon);
        port_text = span_from(s, colon + 1);
    }
    if (!port_text.n)
        return option_error(a, "write IP:PORT or [IPv6]:PORT", "%s has no port", a->name);
    if (!span_is_digits(port_text) || !span_int(port_text, &port) || port > 65535)
        return option_error(a, "a port is a number from 0 to 65535", "%s has no usable port", a->name);
    if (!ip_parse(ip, &family))
        return option_error(a, "write 0.0.0.0 for all, 127.0.0.1 for this machine only", "%s: \"%.*s\" is no IP address", a->name, SPAN_ARG(ip));
    free(*out);
    *out = xstrndup(s.p, s.n);
    return 0;
}

static int check_net(struct option_args *a, struct span s)
{
    int family;
    int64_t bits;
    size_t slash = span_find(s, '/');
    if (!ip_parse(span_cut(s, 0, slash), &family))
        return option_error(a, "write 10.20.0.0/16 or 10.20.1.7", "%s: \"%.*s\" is no network", a->name, SPAN_ARG(s));
    if (slash == s.n)
        return 0;
    if (!span_int(span_from(s, slash + 1), &bits) || bits < 0 || bits > (family == AF_INET ? 32 : 128))
        return option_error(a, family == AF_INET ? "write /0 to /32" : "write /0 to /128", "%s: \"%.*s\" has no usable prefix length", a->name, SPAN_ARG(s));
    return 0;
}

static int take_list(struct option_args *a, struct option_list *out, bool are_nets)
{
    size_t before = out->n;
    for (;;) {
        const struct option_word *w = option_peek(a);
        if (!w || (out->n > before && w->kind == OPTION_WORD && a->is_name && a->is_name(a->ctx, w->text)))
            break;
        if (option_accept(a, ","))
            continue;
        w = take(a, are_nets ? "a network" : "a word");
        if (!w || (are_nets && check_net(a, w->text)))
            return -1;
        option_list_add(out, w->text);
    }
    return out->n > before ? 0 : missing(a, are_nets ? "at least one network" : "at least one word");
}

/* ---- words of one statement, for modules ---- */
#define WORDS_MAX 32u

static int take_words(const struct option_row *row, void *value, struct option_args *a)
{
    struct option_list l = {0};
    struct diag_place at[WORDS_MAX];
    struct err e = ERR_INIT;
    size_t bad = 0;
    for (;;) {
        const struct option_word *w = option_peek(a);
        if (!w || (l.n && w->kind == OPTION_WORD && a->is_name && a->is_name(a->ctx, w->text)) || l.n == WORDS_MAX)
            break;
        w = option_next(a);
        at[l.n] = w->at;
        option_list_add(&l, w->text);
    }
    int rc = l.n ? row->words(value, &l, &bad, &e) : missing(a, "at least one word");
    if (l.n && rc)
        diag_add(a->diag, DIAG_ERROR, at[bad < l.n ? bad : l.n - 1], e.where[0] ? e.where : NULL, "%s", e.text);
    option_list_clear(&l);
    return rc;
}

/* ---- files ---- */
static int take_path(struct option_args *a, char **out)
{
    const struct option_word *w = take(a, "a path");
    if (!w)
        return -1;
    if (!w->text.n || memchr(w->text.p, 0, w->text.n))
        return option_error(a, NULL, "%s needs a path", a->name);
    char *path = xstrndup(w->text.p, w->text.n);
    free(*out);
    *out = fs_path_beside(a->config_file, path);
    free(path);
    return 0;
}

int option_take_credential(struct option_args *a, char **out)
{
    struct err e = ERR_INIT;
    if (!option_accept(a, "credential")) {
        const struct option_word *w = take(a, "credential \"name\"");
        if (!w)
            return -1;
        if (w->kind != OPTION_STRING)
            return option_error(a, "write: credential \"name\"", "%s needs a credential", a->name);
        option_warning(a, "write: credential \"name\", and put it into credentials/name beside the configuration", "%s stands in the configuration itself", a->name);
        secret_free(*out);
        *out = xstrndup(w->text.n ? w->text.p : "", w->text.n);
        return 0;
    }
    const struct option_word *w = take(a, "the name of a credential");
    if (!w)
        return -1;
    if (!w->text.n || memchr(w->text.p, '/', w->text.n) || w->text.p[0] == '.')
        return option_error(a, NULL, "a credential is named by a plain word");
    char *name = xstrndup(w->text.p, w->text.n), *secret = NULL;
    int rc = secret_load(a->config_file, name, &secret, &e);
    free(name);
    if (rc)
        return option_error(a, NULL, "%s%s%s", e.where, e.where[0] ? ": " : "", e.text);
    secret_free(*out);
    *out = secret;
    return 0;
}

static int take_zone(struct option_args *a, char **out)
{
    struct zone *z = NULL;
    struct err e = ERR_INIT;
    char *name = NULL;
    if (option_take_text(a, &name))
        return -1;
    if (zone_load(&z, name, &e)) {
        (void)option_error(a, "zones are named like \"Africa/Kampala\"", "%s: there is no time zone \"%s\"", a->name, name);
        free(name);
        return -1;
    }
    zone_free(z);
    free(*out);
    *out = name;
    return 0;
}

static int take_yesno(struct option_args *a, bool *out)
{
    int choice;
    if (option_take_choice(a, "no yes", &choice))
        return -1;
    *out = choice == 1;
    return 0;
}

/* ---- rows ---- */
int option_value_read(const struct option_row *row, void *value, struct option_args *a)
{
    switch (row->type) {
    case OPT_TEXT: return option_take_text(a, value);
    case OPT_YESNO: return take_yesno(a, value);
    case OPT_INT: return option_take_int(a, row->min, row->max, value);
    case OPT_SIZE: return option_take_size(a, row->min, row->max, value);
    case OPT_DURATION: return option_take_duration(a, row->min, row->max, value);
    case OPT_CHOICE: return option_take_choice(a, row->choices, value);
    case OPT_ADDRESS: return take_address(a, value);
    case OPT_NETS: return take_list(a, value, true);
    case OPT_LIST: return take_list(a, value, false);
    case OPT_PATH: return take_path(a, value);
    case OPT_CREDENTIAL: return option_take_credential(a, value);
    case OPT_ZONE: return take_zone(a, value);
    case OPT_WORDS: return take_words(row, value, a);
    case OPT_CUSTOM: return row->custom(value, a);
    }
    return -1;
}

int option_value_default(const struct option_row *row, void *value)
{
    if (!row->def)
        return 0;
    struct diag *d = diag_new();
    struct arena *arena = arena_new(1 << 20);
    struct lexer_budget used = {0};
    struct lexer_stmt *stmts;
    size_t n;
    char *line = NULL;
    size_t len = strlen(row->name) + strlen(row->def) + 8;
    line = xmalloc(len);
    /* a text default is one string, quoted or not */
    bool is_text = row->type == OPT_TEXT || row->type == OPT_PATH || row->type == OPT_ADDRESS || row->type == OPT_ZONE;
    if (is_text && row->def[0] != '"')
        (void)snprintf(line, len, "%s \"%s\"", row->name, row->def);
    else
        (void)snprintf(line, len, "%s %s", row->name, row->def);
    lexer_read(d, diag_source(d, "default", span_of(line)), span_of(line), arena, &used, &stmts, &n);
    int rc = -1;
    if (n == 1) {
        struct option_args a = {.diag = d, .config_file = "", .name = row->name, .stmt = &stmts[0], .i = 1};
        rc = option_value_read(row, value, &a) || a.i < stmts[0].n ? -1 : 0;
    }
    free(line);
    arena_free(arena);
    diag_free(d);
    return rc;
}

void option_value_free(const struct option_row *row, void *value)
{
    switch (row->type) {
    case OPT_TEXT:
    case OPT_ADDRESS:
    case OPT_PATH:
    case OPT_ZONE:
        free(*(char **)value);
        *(char **)value = NULL;
        return;
    case OPT_CREDENTIAL:
        secret_free(*(char **)value);
        *(char **)value = NULL;
        return;
    case OPT_NETS:
    case OPT_LIST:
        option_list_clear(value);
        return;
    case OPT_WORDS:
    case OPT_CUSTOM:
        if (row->custom_free)
            row->custom_free(value);
        return;
    case OPT_YESNO:
    case OPT_INT:
    case OPT_SIZE:
    case OPT_DURATION:
    case OPT_CHOICE:
        return;
    }
}

const char *option_value_syntax(const struct option_row *row)
{
    if (row->syntax)
        return row->syntax;
    switch (row->type) {
    case OPT_TEXT: return "\"TEXT\"";
    case OPT_YESNO: return "yes|no";
    case OPT_INT: return "NUMBER";
    case OPT_SIZE: return "SIZE";
    case OPT_DURATION: return "DURATION";
    case OPT_CHOICE: return row->choices;
    case OPT_ADDRESS: return "IP:PORT";
    case OPT_NETS: return "NETWORK ...";
    case OPT_LIST: return "WORD ...";
    case OPT_PATH: return "\"PATH\"";
    case OPT_CREDENTIAL: return "credential \"NAME\"";
    case OPT_ZONE: return "\"Area/City\"";
    case OPT_WORDS:
    case OPT_CUSTOM: return "...";
    }
    return "";
}
