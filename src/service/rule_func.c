/*
 * NAME
 *     rule_func - the functions of the rules: one table for the compiler, `labrelay functions` and the manual page
 * DESCRIPTION
 *     A row says what each argument may be, what comes out, and how it is used. What a function cannot do (no such part, no such day,
 *     a text that is no number) is absent; nothing is guessed and no value is altered. Formats and lengths are checked when compiled.
 * DIAGNOSTICS
 *     Through the diag while compiling. Running: none; texts are bounded by RULE_TEXT_MAX.
 */
#include <stdlib.h>
#include <string.h>

#include "outcome.h"
#include "rule_inner.h"
#include "text.h"

#define ARGS_MAX 16u
#define PAD_MAX 1000
#define MATCH_LIMIT 20000u
#define DEPTH_LIMIT 500u

#define IS(t) (1u << RULE_T_##t)
#define TEXTS (IS(TEXT) | IS(VALUE) | IS(DATE))
#define CODED (IS(CODES) | IS(VALUE))
#define LISTS (IS(LIST) | IS(CODES) | IS(IDS))

struct func {
    const char *name;
    enum rule_func f;
    unsigned char min, max;
    enum rule_type result;
    unsigned args[3];                   /* types that the argument may have; the last stands for all behind it */
    const char *usage, *help, *example; /* example: a condition that compiles, and the manual page has it */
};

static const struct func funcs[] = {
    {"lower", FUNC_LOWER, 1, 1, RULE_T_TEXT, {TEXTS}, "lower(text)", "the text in lower case", "lower(report.lab.name) = \"central laboratory\""},
    {"upper", FUNC_UPPER, 1, 1, RULE_T_TEXT, {TEXTS}, "upper(text)", "the text in upper case", "upper(observation.sub_id) = \"A\""},
    {"trim", FUNC_TRIM, 1, 1, RULE_T_TEXT, {TEXTS}, "trim(text)", "the text without blanks at both ends", "trim(specimen.id) = \"S-1\""},
    {"concat", FUNC_CONCAT, 1, ARGS_MAX, RULE_T_TEXT, {TEXTS | IS(NUMBER)}, "concat(text, …)", "all texts joined", "concat(report.lab.id, \"-\", specimen.id) = \"LAB1-S1\""},
    {"substr", FUNC_SUBSTR, 2, 3, RULE_T_TEXT, {TEXTS, IS(NUMBER)}, "substr(text, first, length): the first character is 1",
     "a part of the text; without length to the end", "substr(specimen.id, 1, 3) = \"GX-\""},
    {"first", FUNC_FIRST, 1, 1, RULE_T_TEXT, {LISTS}, "first(list)", "the first element of a list, of codes or identifiers", "first(observation.interpretation) = \"POS\""},
    {"count", FUNC_COUNT, 1, 1, RULE_T_NUMBER, {LISTS}, "count(list)", "how many elements a list has", "count(patient.ids) > 1"},
    {"code", FUNC_CODE, 1, 1, RULE_T_TEXT, {CODED}, "code(codes)", "the code of the first coding", "code(specimen.type) = \"119297000\""},
    {"display", FUNC_DISPLAY, 1, 1, RULE_T_TEXT, {CODED}, "display(codes)", "the display of the first coding; else its text, else its code",
     "display(observation.code) = \"Ebola virus RNA\""},
    {"length", FUNC_LENGTH, 1, 1, RULE_T_NUMBER, {TEXTS}, "length(text)", "the number of characters", "length(specimen.id) = 10"},
    {"replace", FUNC_REPLACE, 3, 3, RULE_T_TEXT, {TEXTS, IS(TEXT)}, "replace(text, from, to)", "the text with every `from` replaced",
     "replace(specimen.id, \" \", \"\") = \"S1\""},
    {"split", FUNC_SPLIT, 3, 3, RULE_T_TEXT, {TEXTS, IS(TEXT), IS(NUMBER)}, "split(text, separator, n): the first part is 1", "the n-th part between separators",
     "split(specimen.id, \"-\", 2) = \"2026\""},
    {"starts", FUNC_STARTS, 2, 2, RULE_T_BOOL, {TEXTS, IS(TEXT)}, "starts(text, prefix)", "whether the text starts so", "starts(specimen.id, \"GX-\")"},
    {"ends", FUNC_ENDS, 2, 2, RULE_T_BOOL, {TEXTS, IS(TEXT)}, "ends(text, suffix)", "whether the text ends so", "ends(specimen.id, \"/QC\")"},
    {"contains", FUNC_CONTAINS, 2, 2, RULE_T_BOOL, {TEXTS, IS(TEXT)}, "contains(text, part)", "whether the part stands in the text",
     "contains(first(report.notes), \"repeat\")"},
    {"pad", FUNC_PAD, 3, 3, RULE_T_TEXT, {TEXTS | IS(NUMBER), IS(NUMBER), IS(TEXT)}, "pad(text, width, fill): up to 1000 characters",
     "the text with fill characters before it, up to that width", "pad(specimen.id, 8, \"0\") = \"00001234\""},
    {"group", FUNC_GROUP, 2, 2, RULE_T_TEXT, {TEXTS, IS(NUMBER)}, "group(text ~ /regex/, n): 0 is the whole match", "the n-th bracket of a regular expression",
     "group(specimen.id ~ /^GX-([0-9]+)$/, 1) = \"0042\""},
    {"either", FUNC_EITHER, 2, ARGS_MAX, RULE_T_TEXT, {TEXTS | IS(NUMBER)}, "either(text, …)", "the first of them that is there",
     "either(specimen.id, report.filler_id) = \"F-9001\""},
    {"number", FUNC_NUMBER, 1, 1, RULE_T_NUMBER, {TEXTS}, "number(text)", "the text as a number, if it is one (24.5, not 24,5)", "number(observation.value) < 35.5"},
    {"date", FUNC_DATE, 2, 2, RULE_T_DATE, {TEXTS, IS(TEXT)}, "date(text, format): YYYY MM DD hh mm ss", "the text as a date, if it is written so",
     "date(hl7 \"ZLR-3.1\", \"DD/MM/YYYY\") >= 2026-01-01"},
    {"format", FUNC_FORMAT, 2, 2, RULE_T_TEXT, {IS(DATE), IS(TEXT)}, "format(date, format): YYYY MM DD hh mm ss", "the date as a text, if it is that exact",
     "format(specimen.collected_at, \"DD.MM.YYYY\") = \"04.05.2026\""},
    {"years", FUNC_YEARS, 2, 2, RULE_T_NUMBER, {IS(DATE)}, "years(from, to)", "whole years between two dates, if they are sure",
     "years(patient.birth_date, specimen.collected_at) < 5"},
    {"days", FUNC_DAYS, 2, 2, RULE_T_NUMBER, {IS(DATE)}, "days(from, to)", "days between two dates",
     "days(specimen.collected_at, specimen.received_at) > 7"},
    {"age", FUNC_AGE, 2, 2, RULE_T_DURATION, {IS(DATE)}, "age(from, to)", "the time between two dates, to be compared with a time (5y, 6mo, 2w, 3d, 12h, 30m)",
     "age(patient.birth_date, report.issued_at) < 5y"},
};
#define FUNCS (sizeof funcs / sizeof funcs[0])

bool rule_function_at(size_t i, struct rule_function *out)
{
    if (i >= FUNCS)
        return false;
    *out = (struct rule_function){funcs[i].name, funcs[i].usage, rule_type_name(funcs[i].result), funcs[i].help, funcs[i].example};
    return true;
}

/* ---- compiling ---- */
static const struct func *find(struct rule_compiler *c, const struct token *name)
{
    const char *names[FUNCS];
    char hint[160];
    for (size_t i = 0; i < FUNCS; i++) {
        names[i] = funcs[i].name;
        if (span_is(name->text, funcs[i].name))
            return &funcs[i];
    }
    const char *guess = diag_guess(name->text, names, FUNCS, hint, sizeof hint);
    rule_error(c, name, guess ? guess : "`labrelay functions` lists them", "there is no function \"%.*s\"", SPAN_ARG(name->text));
    return NULL;
}

static unsigned allowed(const struct func *f, size_t i)
{
    size_t last = 0;
    while (last < 2 && f->args[last + 1])
        last++;
    return f->args[i < last ? i : last];
}

/* What must be known before a message comes: formats, widths, counts. */
static bool check_literals(struct rule_compiler *c, const struct func *f, const struct rule_node *n, const struct token *const *at)
{
    size_t which = f->f == FUNC_SPLIT || f->f == FUNC_REPLACE || f->f == FUNC_PAD || f->f == FUNC_DATE || f->f == FUNC_FORMAT || f->f == FUNC_GROUP ? 1 : ARGS_MAX;
    if (which >= n->n)
        return true;
    const struct rule_node *x = n->args[which];
    int64_t number = 0;
    if (x->kind != NODE_LITERAL) {
        rule_error(c, at[which], f->usage, "%s() needs this written out", f->name);
        return false;
    }
    if (f->f == FUNC_DATE || f->f == FUNC_FORMAT) {
        if (rule_date_format_is(x->literal, f->f == FUNC_DATE))
            return true;
        rule_error(c, at[which], "write for instance \"DD/MM/YYYY hh:mm\"", "a format has YYYY, MM, DD, hh, mm, ss, each once%s",
                   f->f == FUNC_DATE ? ", and none without those before it" : "");
    } else if (f->f == FUNC_PAD) {
        if (span_int(x->literal, &number) && number > 0 && number <= PAD_MAX && n->n == 3 && n->args[2]->kind == NODE_LITERAL && n->args[2]->literal.n == 1)
            return true;
        rule_error(c, at[which], f->usage, "pad() needs a width from 1 to %d and one fill character", PAD_MAX);
    } else if (f->f == FUNC_GROUP) {
        if (span_int(x->literal, &number) && number >= 0 && number <= rule_regex_groups(n->regex))
            return true;
        rule_error(c, at[which], f->usage, "the regular expression has %d brackets", rule_regex_groups(n->regex));
    } else {
        if (x->literal.n)
            return true;
        rule_error(c, at[which], f->usage, "this text is empty");
    }
    return false;
}

const struct rule_node *rule_parse_call(struct rule_compiler *c, const struct token *name, unsigned depth)
{
    const struct func *f = find(c, name);
    const struct token *at[ARGS_MAX] = {NULL};
    if (!f)
        return NULL;
    c->i++;                             /* ( */
    struct rule_node *n = rule_alloc(c->rs, sizeof *n);
    *n = (struct rule_node){.kind = NODE_CALL, .type = f->result, .func = f->f, .args = rule_alloc(c->rs, ARGS_MAX * sizeof *n->args)};
    for (;;) {
        const struct token *t = rule_peek(c);
        const struct rule_node *x = rule_parse_operand_at(c, depth + 1);
        if (!x)
            return NULL;
        if (n->n < f->max && !(allowed(f, n->n) & (1u << x->type))) {
            rule_error(c, t, f->usage, "%s() cannot take %s here", f->name, rule_type_name(x->type));
            return NULL;
        }
        if (n->n < ARGS_MAX) {
            at[n->n] = t;
            n->args[n->n] = x;
        }
        n->n++;
        if (f->f == FUNC_GROUP && n->n == 1) {
            if (!rule_accept(c, "~")) {
                rule_error(c, rule_peek(c), f->usage, "group() needs ~ and a regular expression here");
                return NULL;
            }
            if ((n->regex = rule_parse_regex(c)) == NULL)
                return NULL;
        }
        if (rule_accept(c, ","))
            continue;
        if (rule_accept(c, ")"))
            break;
        rule_error(c, rule_peek(c), f->usage, "a , or ) is missing in %s()", f->name);
        return NULL;
    }
    if (n->n < f->min || n->n > f->max) {
        unsigned want = n->n < f->min ? f->min : f->max;
        rule_error(c, name, f->usage, "%s() takes %u value%s, not %zu", f->name, want, want == 1 ? "" : "s", n->n);
        return NULL;
    }
    return check_literals(c, f, n, at) ? n : NULL;
}

/* ---- running: texts ---- */
static uint32_t upper_char(uint32_t c)
{
    if (c >= 'a' && c <= 'z')
        return c - 32;
    if ((c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) || (c >= 0x430 && c <= 0x44f))
        return c - 32;
    if (c >= 0x450 && c <= 0x45f)
        return c - 80;
    if (c >= 0x100 && c <= 0x12f)
        return c & ~1u;
    return c;
}

static uint32_t lower_char(uint32_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c + 32;
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if (c >= 0x100 && c <= 0x12f)
        return c | 1u;
    return c;
}

static struct span map_case(struct span s, uint32_t (*map)(uint32_t), struct arena *a)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    if (!out)
        return SPAN_ABSENT;
    while (s.n) {
        size_t len = text_utf8_len(s);
        if (len)
            n += text_utf8_put(map(text_utf8_get(s, &len)), out + n);
        else
            out[n++] = s.p[0];
        s = span_from(s, len ? len : 1);
    }
    out[n] = 0;
    return (struct span){out, n};
}

static size_t char_count(struct span s)
{
    size_t n = 0;
    for (; s.n; n++) {
        size_t len = text_utf8_len(s);
        s = span_from(s, len ? len : 1);
    }
    return n;
}

static struct span skip_chars(struct span s, int64_t n)
{
    for (; n > 0 && s.n; n--) {
        size_t len = text_utf8_len(s);
        s = span_from(s, len ? len : 1);
    }
    return s;
}

static struct span substr(struct span s, const struct rule_value *from, const struct rule_value *count)
{
    int64_t first = 0, n = INT64_MAX;
    if (!span_int(from->text, &first) || first < 1 || (count && !span_int(count->text, &n)))
        return SPAN_ABSENT;
    s = skip_chars(s, first - 1);
    struct span rest = skip_chars(s, n);
    s.n -= rest.n;
    return s;
}

/* Joins n texts; absent when the sum is more than is allowed. */
static struct span join(struct rule_scope *x, const struct span *v, size_t n)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        total += v[i].n;
    if (total > RULE_TEXT_MAX) {
        x->is_over = true;
        return SPAN_ABSENT;
    }
    char *out = total ? arena_alloc(x->a, total + 1) : NULL;
    if (!out)
        return SPAN_ABSENT;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n)
            memcpy(out + at, v[i].p, v[i].n);
        at += v[i].n;
    }
    out[total] = 0;
    return (struct span){out, total};
}

static size_t search(struct span s, struct span part)
{
    for (size_t i = 0; part.n && i + part.n <= s.n; i++)
        if (memcmp(s.p + i, part.p, part.n) == 0)
            return i;
    return s.n;
}

static struct span replace(struct rule_scope *x, struct span s, struct span from, struct span to)
{
    struct buf b;
    buf_init(&b, RULE_TEXT_MAX);
    while (s.n) {
        size_t at = search(s, from);
        bool is_found = at + from.n <= s.n && at < s.n;
        buf_add_span(&b, span_cut(s, 0, at));
        if (is_found)
            buf_add_span(&b, to);
        s = span_from(s, is_found ? at + from.n : s.n);
    }
    x->is_over = x->is_over || b.is_full;
    struct span out = b.is_full || !b.n ? SPAN_ABSENT : arena_dup(x->a, buf_span(&b));
    buf_clear(&b);
    return out;
}

static struct span split(struct span s, struct span separator, struct span which)
{
    int64_t n = 0;
    if (!span_int(which, &n) || n < 1)
        return SPAN_ABSENT;
    for (;;) {
        size_t at = search(s, separator);
        if (--n == 0)
            return span_cut(s, 0, at);
        if (at >= s.n)
            return SPAN_ABSENT;
        s = span_from(s, at + separator.n);
    }
}

static struct span pad(struct rule_scope *x, struct span s, struct span width, struct span fill)
{
    char room[PAD_MAX];
    int64_t n = 0;
    size_t have = char_count(s);
    if (!span_has(s) || !span_int(width, &n) || (size_t)n <= have || n > PAD_MAX)
        return s;
    memset(room, fill.p[0], (size_t)n - have);
    struct span parts[2] = {{room, (size_t)n - have}, s};
    return join(x, parts, 2);
}

int rule_regex_groups(const pcre2_code *re)
{
    uint32_t n = 0;
    return pcre2_pattern_info(re, PCRE2_INFO_CAPTURECOUNT, &n) == 0 && n < 1000 ? (int)n : 0;
}

/* Length of the match, or negative; the place of bracket `group` goes to *out when it is not NULL. */
static bool match(const pcre2_code *re, struct span s, uint32_t group, struct span *out)
{
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    bool is_found = false;
    if (data && limits) {
        (void)pcre2_set_match_limit(limits, MATCH_LIMIT);
        (void)pcre2_set_depth_limit(limits, DEPTH_LIMIT);
        is_found = pcre2_match(re, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, data, limits) >= 0;
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
        if (is_found && out && group < pcre2_get_ovector_count(data) && at[2 * group] != PCRE2_UNSET && at[2 * group + 1] >= at[2 * group])
            *out = span_cut(s, at[2 * group], at[2 * group + 1] - at[2 * group]);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return is_found;
}

bool rule_matches(struct rule_scope *x, const pcre2_code *re, struct span s)
{
    return span_has(s) && rule_step(x, 50) && match(re, s, 0, NULL);
}

static struct span group(struct rule_scope *x, const struct rule_node *n, struct span s, struct span which)
{
    int64_t i = 0;
    struct span out = SPAN_ABSENT;
    if (span_has(s) && span_int(which, &i) && rule_step(x, 50))
        (void)match(n->regex, s, (uint32_t)i, &out);
    return out;
}

static size_t elements(const struct rule_value *v)
{
    return v->type == RULE_T_LIST ? v->list.n : v->type == RULE_T_IDS ? v->ids.n : v->codes.n;
}

static const struct rec_ts *ts_of(const struct rule_value *v, struct rec_ts *room)
{
    *room = (struct rec_ts){.v = v->text, .prec = 'D'};
    return v->ts ? v->ts : room;
}

static struct span number_text(struct rule_scope *x, bool is_known, int64_t n)
{
    return is_known ? arena_printf(x->a, "%lld", (long long)n) : SPAN_ABSENT;
}

void rule_call(struct rule_scope *x, const struct rule_node *n, struct rule_value *out)
{
    struct rule_value v[ARGS_MAX];
    struct span t[ARGS_MAX];
    struct rec_ts from, to;
    int64_t number = 0;
    for (size_t i = 0; i < n->n; i++) {
        rule_get(x, n->args[i], &v[i]);
        t[i] = rule_text(&v[i]);
    }
    const struct rec_codes *codes = v[0].type == RULE_T_VALUE ? &v[0].value->codings : &v[0].codes;
    switch (n->func) {
    case FUNC_LOWER: out->text = map_case(t[0], lower_char, x->a); break;
    case FUNC_UPPER: out->text = map_case(t[0], upper_char, x->a); break;
    case FUNC_TRIM: out->text = span_trim(t[0]); break;
    case FUNC_CONCAT: out->text = join(x, t, n->n); break;
    case FUNC_SUBSTR: out->text = substr(t[0], &v[1], n->n > 2 ? &v[2] : NULL); break;
    case FUNC_FIRST: out->text = rule_first(&v[0]); break;
    case FUNC_COUNT: out->text = number_text(x, true, (int64_t)elements(&v[0])); break;
    case FUNC_CODE: out->text = codes->n ? codes->v[0].code : SPAN_ABSENT; break;
    case FUNC_DISPLAY: out->text = rule_display(codes); break;
    case FUNC_LENGTH: out->text = number_text(x, true, (int64_t)char_count(t[0])); break;
    case FUNC_REPLACE: out->text = replace(x, t[0], t[1], t[2]); break;
    case FUNC_SPLIT: out->text = split(t[0], t[1], t[2]); break;
    case FUNC_STARTS: out->is_true = t[1].n && t[0].n >= t[1].n && span_eq(span_cut(t[0], 0, t[1].n), t[1]); break;
    case FUNC_ENDS: out->is_true = t[1].n && t[0].n >= t[1].n && span_eq(span_from(t[0], t[0].n - t[1].n), t[1]); break;
    case FUNC_CONTAINS: out->is_true = t[1].n && search(t[0], t[1]) < t[0].n; break;
    case FUNC_PAD: out->text = pad(x, t[0], t[1], t[2]); break;
    case FUNC_GROUP: out->text = group(x, n, t[0], t[1]); break;
    case FUNC_EITHER:
        for (size_t i = 0; i < n->n && !span_has(out->text); i++)
            out->text = t[i];
        break;
    case FUNC_NUMBER: out->text = rule_number_is(span_trim(t[0])) ? span_trim(t[0]) : SPAN_ABSENT; break;
    case FUNC_DATE: out->ts = rule_date_read(x, t[0], t[1]); break;
    case FUNC_FORMAT: out->text = rule_date_write(x, ts_of(&v[0], &from), t[1]); break;
    case FUNC_YEARS: {
        bool is_sure = rule_date_years(ts_of(&v[0], &from), ts_of(&v[1], &to), &number);
        out->text = number_text(x, is_sure, number);
        break;
    }
    case FUNC_DAYS: {
        bool is_sure = rule_date_days(ts_of(&v[0], &from), ts_of(&v[1], &to), &number);
        out->text = number_text(x, is_sure, number);
        break;
    }
    case FUNC_AGE: break;               /* only compared: rule_date_age() */
    }
    out->text = rule_made(x, out->text);
}
