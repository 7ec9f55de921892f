/*
 * NAME
 *     rule_expr - conditions and values of rules, compiled with their types
 * DESCRIPTION
 *     condition = and-chain { or and-chain };  and-chain = unary { and unary };  unary = [not] (condition) | test
 *     test = exists (FIELD | hl7 "…") | operand [ = != < > <= >= operand | in TABLE | in (literals) | ~ /regex/ ]
 *     operand = primary { + | - TIME };  primary = "text" | number ["unit"] | YYYY-MM-DD | TIME | yes | no | FIELD | this.FIELD | hl7 "SEG[n]-f[r].c.s"
 *         | fhir "path" | function(operand, …) | if condition then operand else operand | any, every, count … (rule_other.c)
 *     Types are checked here, so that nothing can go wrong when messages run. Grammar for people: labrelay-rules.7.
 * DIAGNOSTICS
 *     Through the diag, at the word concerned. NULL is returned for what could not be compiled.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule_inner.h"
#include "text.h"
#include "xmem.h"

#define DEPTH_MAX RULE_DEPTH_MAX
#define REGEX_MAX 1000u

void *rule_alloc(struct ruleset *rs, size_t n)
{
    void *p = arena_zalloc(rs->a, n);
    if (!p)
        abort();                        /* caps of the lexer keep rules far under the arena */
    return p;
}

void rule_error(struct rule_compiler *c, const struct token *t, const char *hint, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_add(c->d, DIAG_ERROR, t ? t->at : lexer_after(c->s), hint, "%s", text);
}

const struct token *rule_peek(const struct rule_compiler *c)
{
    return c->i < c->s->n ? &c->s->v[c->i] : NULL;
}

bool rule_accept(struct rule_compiler *c, const char *word)
{
    if (!token_is(rule_peek(c), word))
        return false;
    c->i++;
    return true;
}

const char *rule_type_name(enum rule_type t)
{
    switch (t) {
    case RULE_T_BOOL: return "yes or no";
    case RULE_T_TEXT: return "a text";
    case RULE_T_NUMBER: return "a number";
    case RULE_T_DATE: return "a date";
    case RULE_T_LIST: return "a list of texts";
    case RULE_T_CODES: return "a list of codes";
    case RULE_T_IDS: return "a list of identifiers";
    case RULE_T_VALUE: return "a result value";
    case RULE_T_DURATION: return "a time";
    }
    return "?";
}

enum rule_type rule_type_of(const struct rec_field *f)
{
    switch (f->type) {
    case REC_SPAN:
    case REC_STATUS:
    case REC_ROLE:
    case REC_FORMAT: return RULE_T_TEXT;
    case REC_TS: return RULE_T_DATE;
    case REC_CODES:
    case REC_CODING: return RULE_T_CODES;
    case REC_IDS:
    case REC_ID: return RULE_T_IDS;
    case REC_LIST: return RULE_T_LIST;
    case REC_BOOL: return RULE_T_BOOL;
    case REC_VALUE: return RULE_T_VALUE;
    }
    return RULE_T_TEXT;
}

static bool is_scope(struct span s)
{
    static const char *const scopes[] = {"message", "patient", "report", "specimen", "observation"};
    for (size_t i = 0; i < 5; i++)
        if (span_is(s, scopes[i]))
            return true;
    return false;
}

const struct rec_field *rule_field(struct rule_compiler *c, const struct token *t)
{
    const char *names[256];
    char hint[160];
    if (!t || t->kind != TOKEN_WORD) {
        rule_error(c, t, NULL, "a field is expected here, for instance observation.code");
        return NULL;
    }
    const struct rec_field *f = record_field_find(t->text);
    if (f)
        return f;
    size_t n = record_fields_n < 256 ? record_fields_n : 256;
    for (size_t i = 0; i < n; i++)
        names[i] = record_fields[i].name;
    struct span scope = span_cut(t->text, 0, span_find(t->text, '.'));
    const char *guess = diag_guess(t->text, names, n, hint, sizeof hint);
    if (!guess && is_scope(scope)) {
        (void)snprintf(hint, sizeof hint, "`labrelay fields %.*s` lists them", SPAN_ARG(scope));
        guess = hint;
    }
    rule_error(c, t, guess, "there is no field \"%.*s\"", SPAN_ARG(t->text));
    return NULL;
}

static struct rule_node *new_node(struct rule_compiler *c, enum rule_node_kind kind, enum rule_type type)
{
    struct rule_node *n = rule_alloc(c->rs, sizeof *n);
    n->kind = kind;
    n->type = type;
    return n;
}

const struct rule_node *rule_field_node(struct rule_compiler *c, const struct token *t)
{
    struct token plain;
    bool is_own = t && t->kind == TOKEN_WORD && span_starts(t->text, "this.");
    if (is_own) {
        if (!c->loops) {
            rule_error(c, t, "write observation. instead", "this. means something only in for each, any, every and count");
            return NULL;
        }
        plain = *t;
        plain.text = arena_printf(c->rs->a, "observation.%.*s", SPAN_ARG(span_from(t->text, 5)));
        t = &plain;
    }
    const struct rec_field *f = rule_field(c, t);
    if (!f)
        return NULL;
    struct rule_node *n = new_node(c, NODE_FIELD, rule_type_of(f));
    n->field = f;
    n->is_own = is_own;
    return n;
}

static const struct rule_node *join(struct rule_compiler *c, enum rule_node_kind kind, const struct rule_node *a, const struct rule_node *b)
{
    struct rule_node *n = new_node(c, kind, RULE_T_BOOL);
    n->n = b ? 2 : 1;
    n->args = rule_alloc(c->rs, 2 * sizeof *n->args);
    n->args[0] = a;
    n->args[1] = b;
    return n;
}

/* ---- operands ---- */
static bool looks_like_date(struct span s)
{
    return s.n >= 10 && s.p[4] == '-' && s.p[7] == '-' && span_is_digits(span_cut(s, 0, 4)) && span_is_digits(span_cut(s, 5, 2)) && span_is_digits(span_cut(s, 8, 2));
}

static const struct rule_node *literal(struct rule_compiler *c, enum rule_type type, struct span text)
{
    struct rule_node *n = new_node(c, NODE_LITERAL, type);
    n->literal = arena_dup(c->rs->a, text);
    return n;
}

/* hl7 "ZLR-3.1": any place of the message as text */
static bool is_hl7(const struct rule_compiler *c)
{
    return token_is(rule_peek(c), "hl7") && c->i + 1 < c->s->n && c->s->v[c->i + 1].kind == TOKEN_STRING;
}

static const struct rule_node *parse_hl7(struct rule_compiler *c)
{
    const struct token *t = &c->s->v[c->i + 1];
    struct rule_node *n = new_node(c, NODE_HL7, RULE_T_TEXT);
    if (!rec_path_parse(t->text, &n->path)) {
        rule_error(c, t, "write SEG[n]-field[rep].comp.sub, for instance \"ZLR-3.1\" or \"PID-3[2].4\"", "\"%.*s\" is no place in a message", SPAN_ARG(t->text));
        return NULL;
    }
    c->i += 2;
    return n;
}

static const struct rule_node *parse_choice(struct rule_compiler *c, unsigned depth);

static const struct rule_node *parse_primary(struct rule_compiler *c, unsigned depth)
{
    const struct token *t = rule_peek(c);
    struct rule_duration d;
    if (depth > DEPTH_MAX) {
        rule_error(c, t, NULL, "the expression is nested too deeply");
        return NULL;
    }
    if (!t || t->kind == TOKEN_OP || t->kind == TOKEN_REGEX) {
        rule_error(c, t, "a field (observation.code), a \"text\", a number or a date", "a value is missing here");
        return NULL;
    }
    if (is_hl7(c))
        return parse_hl7(c);
    if (rule_is_fhir(c))
        return rule_parse_fhir(c);
    if (token_is(t, "if"))
        return parse_choice(c, depth);
    if (rule_is_quantifier(c))
        return rule_parse_quantifier(c, depth);
    c->i++;
    if (t->kind == TOKEN_STRING)
        return literal(c, RULE_T_TEXT, t->text);
    if (token_is(rule_peek(c), "("))
        return rule_parse_call(c, t, depth);
    if (looks_like_date(t->text)) {
        if (rule_date_is(t->text))
            return literal(c, RULE_T_DATE, t->text);
        rule_error(c, t, "write 2026-05-04, or 2026-05-04T14:30", "there is no such day or time");
        return NULL;
    }
    if (rule_number_is(t->text))
        return literal(c, RULE_T_NUMBER, t->text);
    if (rule_duration_read(t->text, &d)) {
        struct rule_node *n = new_node(c, NODE_LITERAL, RULE_T_DURATION);
        n->duration = d;
        return n;
    }
    if (token_is(t, "yes") || token_is(t, "no"))
        return literal(c, RULE_T_BOOL, t->text);
    if (t->text.n && t->text.p[0] >= '0' && t->text.p[0] <= '9') {
        rule_error(c, t, "times are written 5y, 6mo, 2w, 3d, 12h, 30m, 10s; days 2026-05-04", "\"%.*s\" is no number, date or time", SPAN_ARG(t->text));
        return NULL;
    }
    return rule_field_node(c, t);
}

/* if CONDITION then VALUE else VALUE */
static const struct rule_node *parse_choice(struct rule_compiler *c, unsigned depth)
{
    static const char usage[] = "write: if observation.status = \"final\" then \"A\" else \"B\"";
    const struct rule_node *v[3];
    c->i++;
    if ((v[0] = rule_parse_or(c, depth + 1)) == NULL)
        return NULL;
    for (size_t i = 1; i < 3; i++) {
        const struct token *t = rule_peek(c);
        if (!rule_accept(c, i == 1 ? "then" : "else")) {
            rule_error(c, t, usage, "\"%s\" is expected here", i == 1 ? "then" : "else");
            return NULL;
        }
        t = rule_peek(c);
        if ((v[i] = rule_parse_operand_at(c, depth + 1)) == NULL)
            return NULL;
        if (i == 2 && v[1]->type != v[2]->type) {
            rule_error(c, t, usage, "this is %s, the value behind then is %s", rule_type_name(v[2]->type), rule_type_name(v[1]->type));
            return NULL;
        }
    }
    struct rule_node *n = new_node(c, NODE_CHOICE, v[1]->type);
    n->n = 3;
    n->args = rule_alloc(c->rs, sizeof v);
    memcpy(n->args, v, sizeof v);
    return n;
}

/* A value, and what is added to a date: specimen.collected_at + 2d */
const struct rule_node *rule_parse_operand_at(struct rule_compiler *c, unsigned depth)
{
    const struct rule_node *a = parse_primary(c, depth);
    while (a && (token_is(rule_peek(c), "+") || token_is(rule_peek(c), "-"))) {
        const struct token *sign = rule_peek(c), *t;
        struct rule_node *n = new_node(c, token_is(sign, "+") ? NODE_ADD : NODE_SUBTRACT, RULE_T_DATE);
        c->i++;
        t = rule_peek(c);
        if (a->type != RULE_T_DATE) {
            rule_error(c, sign, a->type == RULE_T_TEXT ? "join texts with concat(…)" : NULL, "only to a date something can be added, not to %s", rule_type_name(a->type));
            return NULL;
        }
        if (!t || t->kind != TOKEN_WORD || !rule_duration_read(t->text, &n->duration)) {
            rule_error(c, t, "write 2d; the units are y mo w d h m s", "a time with its unit is expected here");
            return NULL;
        }
        c->i++;
        n->n = 1;
        n->args = rule_alloc(c->rs, sizeof *n->args);
        n->args[0] = a;
        a = n;
    }
    return a;
}

const struct rule_node *rule_parse_operand(struct rule_compiler *c)
{
    return rule_parse_operand_at(c, 0);
}

/* ---- tests ---- */
static bool take_op(struct rule_compiler *c, enum rule_op *op)
{
    static const char *const signs[] = {[OP_EQ] = "=", [OP_NE] = "!=", [OP_LT] = "<", [OP_GT] = ">", [OP_LE] = "<=", [OP_GE] = ">="};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (rule_accept(c, signs[i])) {
            *op = (enum rule_op)i;
            return true;
        }
    return false;
}

/* What is compared with what; the reason it cannot be, or NULL. */
static const char *mismatch(const struct rule_node *a, enum rule_op op, const struct rule_node *b)
{
    bool is_order = op != OP_EQ && op != OP_NE;
    switch (a->type) {
    case RULE_T_BOOL: return b->type != RULE_T_BOOL ? "compare it with yes or no" : is_order ? "yes and no have no order" : NULL;
    case RULE_T_TEXT: return b->type != RULE_T_TEXT ? "put the other side into \"quotes\" to compare texts" : is_order ? "texts have no order; use = or !=" : NULL;
    case RULE_T_NUMBER: return b->type != RULE_T_NUMBER ? "compare it with a number" : NULL;
    case RULE_T_DATE: return b->type != RULE_T_DATE ? "write dates without quotes: 2026-05-04" : NULL;
    case RULE_T_LIST:
    case RULE_T_CODES:
    case RULE_T_IDS: return b->type != RULE_T_TEXT ? "compare it with a \"text\"" : is_order ? "a list has no order; use = or !=" : NULL;
    case RULE_T_VALUE:
        if (b->type == RULE_T_NUMBER)
            return NULL;
        return b->type != RULE_T_TEXT ? "compare it with a number or a \"text\"" : is_order ? "texts have no order; write the number without quotes" : NULL;
    case RULE_T_DURATION:
        if (b->type != RULE_T_DURATION || a->kind != NODE_CALL || b->kind != NODE_LITERAL)
            return "write: age(patient.birth_date, report.issued_at) < 5y";
        return is_order ? NULL : "an age is below or above, hardly ever the same; use years(…) = 5";
    }
    return NULL;
}

/* Words of a status or role are few: a typo would never match. */
static void check_word(struct rule_compiler *c, const struct rec_field *f, const struct token *t)
{
    const char *names[32];
    size_t n = 0;
    char hint[120];
    if (!f || !t || t->kind != TOKEN_STRING || (f->type != REC_STATUS && f->type != REC_ROLE))
        return;
    for (int s = OBS_ST_REGISTERED; f->type == REC_STATUS && s <= OBS_ST_UNKNOWN; s++)
        names[n++] = obs_status_name((enum obs_status)s);
    for (int r = OBS_RESULT; f->type == REC_ROLE && r <= OBS_PANEL; r++)
        names[n++] = obs_role_name((enum obs_role)r);
    for (size_t i = 0; i < n; i++)
        if (span_is(t->text, names[i]))
            return;
    rule_error(c, t, diag_guess(t->text, names, n, hint, sizeof hint), "%s is never \"%.*s\"", f->name, SPAN_ARG(t->text));
}

static const struct rule_node *parse_compare(struct rule_compiler *c, const struct rule_node *a, enum rule_op op, const struct token *sign, unsigned depth)
{
    const struct token *t = rule_peek(c);
    const struct rule_node *b = rule_parse_operand_at(c, depth + 1);
    if (!b)
        return NULL;
    const char *why = mismatch(a, op, b);
    if (why) {
        if (a->type == RULE_T_DURATION)
            rule_error(c, sign, why, "this cannot be compared so");
        else if (a->type == b->type)
            rule_error(c, sign, why, "%s has no order", rule_type_name(a->type));
        else
            rule_error(c, sign, why, "%s cannot be compared with %s here", rule_type_name(a->type), rule_type_name(b->type));
        return NULL;
    }
    check_word(c, a->field, t);
    struct rule_node *n = (struct rule_node *)(uintptr_t)join(c, NODE_COMPARE, a, b);
    n->op = op;
    const struct token *unit = rule_peek(c);
    if (a->type == RULE_T_VALUE && b->type == RULE_T_NUMBER && unit && unit->kind == TOKEN_STRING) {
        c->i++;
        n->unit = arena_dup(c->rs->a, unit->text);
    }
    return n;
}

static const struct table *table_named(struct rule_compiler *c, const struct token *t)
{
    const char *names[64];
    char hint[120];
    size_t n = 0;
    const struct table *found = t && t->kind == TOKEN_WORD ? tables_find(c->tables, t->text) : NULL;
    if (found || (t && tables_is_failed(c->tables, t->text)))
        return found;
    for (const struct table *x; n < 64 && (x = tables_at(c->tables, n)) != NULL; n++)
        names[n] = table_name(x);
    if (!t)
        rule_error(c, t, NULL, "a table is expected behind in");
    else
        rule_error(c, t, diag_guess(t->text, names, n, hint, sizeof hint), "there is no table \"%.*s\"", SPAN_ARG(t->text));
    return NULL;
}

const struct table *rule_table(struct rule_compiler *c, enum rule_type type, const struct token *t)
{
    const struct table *found = table_named(c, t);
    if (!found)
        return NULL;
    size_t keys = table_keys(found);
    bool is_codes = type == RULE_T_CODES || type == RULE_T_VALUE;
    if ((is_codes && keys <= 2) || (!is_codes && keys == 1))
        return found;
    rule_error(c, t, is_codes ? "codes are looked up by system and code, or by code alone" : "use a table with one key column, or a field of codes",
               "table \"%s\" has %zu key columns; %s cannot be looked up in it", table_name(found), keys, rule_type_name(type));
    return NULL;
}

static const struct rule_node *parse_in(struct rule_compiler *c, const struct rule_node *a, const struct token *at)
{
    if (a->type == RULE_T_BOOL || a->type == RULE_T_NUMBER || a->type == RULE_T_DATE || a->type == RULE_T_DURATION) {
        rule_error(c, at, NULL, "%s cannot be looked up with in", rule_type_name(a->type));
        return NULL;
    }
    if (!rule_accept(c, "(")) {
        const struct token *t = rule_peek(c);
        const struct table *table = rule_table(c, a->type, t);
        c->i += t != NULL;
        if (!table)
            return NULL;
        struct rule_node *n = (struct rule_node *)(uintptr_t)join(c, NODE_IN_TABLE, a, NULL);
        n->table = table;
        return n;
    }
    struct rule_node *n = new_node(c, NODE_IN_LIST, RULE_T_BOOL);
    size_t cap = c->s->n + 2;
    n->args = rule_alloc(c->rs, cap * sizeof *n->args);
    n->args[n->n++] = a;
    for (;;) {
        const struct token *t = rule_peek(c);
        if (!t || t->kind != TOKEN_STRING) {
            rule_error(c, t, "write: in (\"one\", \"two\")", "a \"text\" is expected in this list");
            return NULL;
        }
        check_word(c, a->field, t);
        c->i++;
        n->args[n->n++] = literal(c, RULE_T_TEXT, t->text);
        if (rule_accept(c, ","))
            continue;
        if (rule_accept(c, ")"))
            return n;
        rule_error(c, rule_peek(c), "write: in (\"one\", \"two\")", "a , or ) is missing in this list");
        return NULL;
    }
}

static void keep_regex(struct ruleset *rs, pcre2_code *re)
{
    if (!arena_grow(rs->a, &rs->regexes, rs->n_regexes, &rs->cap_regexes, sizeof(pcre2_code *)))
        abort();
    rs->regexes[rs->n_regexes++] = re;
}

pcre2_code *rule_parse_regex(struct rule_compiler *c)
{
    const struct token *t = rule_peek(c);
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[120];
    if (!t || t->kind != TOKEN_REGEX) {
        rule_error(c, t, "write: ~ /^GX-[0-9]+$/", "a regular expression between slashes is expected behind ~");
        return NULL;
    }
    c->i++;
    if (t->text.n > REGEX_MAX) {
        rule_error(c, t, NULL, "the regular expression is longer than %u bytes", REGEX_MAX);
        return NULL;
    }
    uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (t->is_nocase ? PCRE2_CASELESS : 0);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)(t->text.n ? t->text.p : ""), t->text.n, flags, &code, &at, NULL);
    if (!re) {
        struct token spot = *t;
        spot.at.col += 1 + (unsigned)at;
        spot.at.width = 1;
        (void)pcre2_get_error_message(code, why, sizeof why);
        rule_error(c, &spot, NULL, "the regular expression is wrong here: %s", (const char *)why);
        return NULL;
    }
    keep_regex(c->rs, re);
    return re;
}

static const struct rule_node *parse_match(struct rule_compiler *c, const struct rule_node *a)
{
    const struct token *t = rule_peek(c);
    pcre2_code *re = rule_parse_regex(c);
    if (!re)
        return NULL;
    if (a->type == RULE_T_BOOL || a->type == RULE_T_NUMBER || a->type == RULE_T_DATE || a->type == RULE_T_DURATION) {
        rule_error(c, t, NULL, "%s cannot be matched with a regular expression", rule_type_name(a->type));
        return NULL;
    }
    struct rule_node *n = (struct rule_node *)(uintptr_t)join(c, NODE_MATCH, a, NULL);
    n->regex = re;
    return n;
}

static const struct rule_node *parse_test(struct rule_compiler *c, unsigned depth)
{
    const struct token *first = rule_peek(c);
    enum rule_op op;
    if (rule_accept(c, "exists")) {
        if (is_hl7(c)) {
            const struct rule_node *place = parse_hl7(c);
            return place ? join(c, NODE_EXISTS, place, NULL) : NULL;
        }
        if (rule_is_fhir(c)) {
            const struct rule_node *place = rule_parse_fhir(c);
            return place ? join(c, NODE_EXISTS, place, NULL) : NULL;
        }
        const struct token *t = rule_peek(c);
        const struct rule_node *field = rule_field_node(c, t);
        c->i += t != NULL;
        return field ? join(c, NODE_EXISTS, field, NULL) : NULL;
    }
    const struct rule_node *a = rule_parse_operand_at(c, depth);
    if (!a)
        return NULL;
    const struct token *sign = rule_peek(c);
    if (take_op(c, &op))
        return parse_compare(c, a, op, sign, depth);
    if (rule_accept(c, "in"))
        return parse_in(c, a, sign);
    if (rule_accept(c, "~"))
        return parse_match(c, a);
    if (a->type == RULE_T_BOOL && a->kind != NODE_LITERAL)
        return a;
    rule_error(c, sign ? sign : first, "go on with = != < > <= >= in or ~", "this is %s, not a condition", rule_type_name(a->type));
    return NULL;
}

const struct rule_node *rule_parse_bracket(struct rule_compiler *c, unsigned depth)
{
    const struct token *open = rule_peek(c);
    c->i++;
    const struct rule_node *x = rule_parse_or(c, depth + 1);
    if (x && !rule_accept(c, ")")) {
        rule_error(c, open, NULL, "this ( is never closed");
        return NULL;
    }
    return x;
}

static const struct rule_node *parse_unary(struct rule_compiler *c, unsigned depth)
{
    if (depth > DEPTH_MAX) {
        rule_error(c, rule_peek(c), NULL, "the expression is nested too deeply");
        return NULL;
    }
    if (rule_accept(c, "not")) {
        const struct rule_node *x = parse_unary(c, depth + 1);
        return x ? join(c, NODE_NOT, x, NULL) : NULL;
    }
    if (token_is(rule_peek(c), "("))
        return rule_parse_bracket(c, depth);
    return parse_test(c, depth);
}

static const struct rule_node *parse_and(struct rule_compiler *c, unsigned depth)
{
    const struct rule_node *a = parse_unary(c, depth);
    while (a && rule_accept(c, "and")) {
        const struct rule_node *b = parse_unary(c, depth + 1);
        a = b ? join(c, NODE_AND, a, b) : NULL;
    }
    return a;
}

const struct rule_node *rule_parse_or(struct rule_compiler *c, unsigned depth)
{
    const struct rule_node *a = parse_and(c, depth);
    while (a && rule_accept(c, "or")) {
        const struct rule_node *b = parse_and(c, depth + 1);
        a = b ? join(c, NODE_OR, a, b) : NULL;
    }
    return a;
}

const struct rule_node *rule_parse_condition(struct rule_compiler *c)
{
    return rule_parse_or(c, 0);
}
