/*
 * NAME
 *   sandbox_cond - `where` of LoopBack filters on JSON documents, with MongoDB's idea of a match
 *
 *   `where` is compiled once per request. A path walks through arrays (documents.number means "of any document"); a comparison
 *   holds when any value at the path satisfies it, within one type: dates compare with dates only. A stored date is a JSON string;
 *   it counts as a date when its field is one (by name) or when it stands in questionnaireAnswers, and has toISOString()'s form.
 *
 * DIAGNOSTICS
 *   ERR_BUG for $where and for a bad regular expression: the real server answers 500 there.
 */
#include "sandbox_cond.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "xmem.h"

enum cond_op { OP_AND, OP_OR, OP_NOT, OP_EQ, OP_IN, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_REGEX, OP_EXISTS, OP_ELEM, OP_NEVER };

struct value {
    json_t *json;                       /* owned reference */
    bool is_date;
    int64_t ms;
};

struct sandbox_cond {
    enum cond_op op;
    char *path;
    struct value *values;
    size_t values_n;
    pcre2_code *re;
    bool is_wanted;                     /* OP_EXISTS */
    struct sandbox_cond **kids;
    size_t kids_n;
};

/* ---- compile ---- */

static struct sandbox_cond *cond_alloc(enum cond_op op, const char *path)
{
    struct sandbox_cond *c = xcalloc(1, sizeof *c);
    c->op = op;
    c->path = path ? xstrdup(path) : NULL;
    return c;
}

static void add_kid(struct sandbox_cond *c, struct sandbox_cond *kid)
{
    c->kids = xreallocarray(c->kids, c->kids_n + 1, sizeof *c->kids);
    c->kids[c->kids_n++] = kid;
}

static void add_value(struct sandbox_cond *c, const json_t *v, bool is_rewritten)
{
    static const char *const rewritten[] = {"id", "and", "or", "not", "like", "eq", "ne", "neq", "lt", "lte", "gt", "gte", "inq", "nin", "exists",
        "options", "regexp"};
    struct value out = {0};
    const char *s = json_string_value(v);
    c->values = xreallocarray(c->values, c->values_n + 1, sizeof *c->values);
    if (s && sandbox_date_looks(span_of(s)))
        out.is_date = sandbox_date_parse(span_of(s), &out.ms);
    for (size_t i = 0; s && is_rewritten && i < sizeof rewritten / sizeof rewritten[0]; i++)
        if (strcmp(s, rewritten[i]) == 0)
            out.json = json_sprintf("$%s", s);
    if (!out.json)
        out.json = json_incref((json_t *)(uintptr_t)v);
    c->values[c->values_n++] = out;
}

void sandbox_cond_free(struct sandbox_cond *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->kids_n; i++)
        sandbox_cond_free(c->kids[i]);
    for (size_t i = 0; i < c->values_n; i++)
        json_decref(c->values[i].json);
    pcre2_code_free(c->re);
    free(c->kids);
    free(c->values);
    free(c->path);
    free(c);
}

/* "/body/flags" or a bare pattern; options as in LoopBack's `options` beside it. */
static int regex_compile(struct sandbox_cond *c, const char *pattern, const char *options, struct err *e)
{
    size_t n = strlen(pattern);
    uint32_t flags = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    const char *close = n > 1 && pattern[0] == '/' ? strrchr(pattern + 1, '/') : NULL;
    const char *marks = options ? options : "";
    int code;
    PCRE2_SIZE at;
    if (close) {
        marks = close + 1;
        n = (size_t)(close - pattern) - 1;
        pattern++;
    }
    if (strchr(marks, 'i'))
        flags |= PCRE2_CASELESS;
    if (strchr(marks, 'm'))
        flags |= PCRE2_MULTILINE;
    if (strchr(marks, 's'))
        flags |= PCRE2_DOTALL;
    c->re = pcre2_compile((PCRE2_SPTR)pattern, n, flags, &code, &at, NULL);
    if (!c->re)
        return err_set(e, ERR_BUG, "SyntaxError", "Invalid regular expression");
    return 0;
}

static int compile_where(struct sandbox_cond *into, const json_t *where, bool is_rewritten, struct err *e);

/* One operator of a field. *known is false when the word is none. */
static int compile_operator(struct sandbox_cond *into, const char *path, const char *op, const json_t *arg, const json_t *all, bool is_rewritten,
    bool *known, struct err *e)
{
    static const struct { const char *name; enum cond_op op; bool negated; } table[] = {
        {"eq", OP_EQ, false}, {"neq", OP_EQ, true}, {"ne", OP_EQ, true}, {"inq", OP_IN, false}, {"nin", OP_IN, true}, {"gt", OP_GT, false},
        {"gte", OP_GTE, false}, {"lt", OP_LT, false}, {"lte", OP_LTE, false}, {"regexp", OP_REGEX, false}, {"regex", OP_REGEX, false},
        {"like", OP_REGEX, false}, {"nlike", OP_REGEX, true}, {"ilike", OP_REGEX, false}, {"nilike", OP_REGEX, true}, {"exists", OP_EXISTS, false},
        {"elemMatch", OP_ELEM, false}, {"not", OP_NOT, false}, {"between", OP_AND, false},
    };
    bool has_dollar = op[0] == '$';
    const char *name = op + has_dollar;
    size_t i = 0, n = sizeof table / sizeof table[0];
    if (strcmp(op, "options") == 0 || strcmp(op, "$options") == 0) {
        *known = true;
        return 0;
    }
    if (has_dollar && strcmp(name, "in") == 0)       /* MongoDB's own word is understood with the dollar only */
        name = "inq";
    while (i < n && strcmp(table[i].name, name) != 0)
        i++;
    *known = i < n;
    if (i == n)
        return 0;
    struct sandbox_cond *c = cond_alloc(table[i].op, path), *top = c;
    if (table[i].negated) {
        top = cond_alloc(OP_NOT, NULL);
        add_kid(top, c);
    }
    add_kid(into, top);
    const char *options = sandbox_json_get(all, "options");
    size_t k;
    json_t *item;
    switch (table[i].op) {
    case OP_EQ: case OP_GT: case OP_GTE: case OP_LT: case OP_LTE:
        add_value(c, arg, is_rewritten);
        return 0;
    case OP_IN:
        json_array_foreach(arg, k, item)
            add_value(c, item, is_rewritten);
        return 0;
    case OP_REGEX:
        if (!json_is_string(arg)) {
            c->op = OP_NEVER;
            return 0;
        }
        return regex_compile(c, json_string_value(arg), name[0] == 'i' || name[1] == 'i' ? "i" : options ? options : sandbox_json_get(all, "$options"), e);
    case OP_EXISTS:
        c->is_wanted = json_is_true(arg) || json_is_string(arg) || json_integer_value(arg) != 0;
        return 0;
    case OP_ELEM:
        return compile_where(c, arg, is_rewritten, e);
    case OP_AND:                                      /* between */
        for (k = 0; k < 2; k++) {
            struct sandbox_cond *side = cond_alloc(k == 0 ? OP_GTE : OP_LTE, path);
            item = json_array_get(arg, k);
            if (item)
                add_value(side, item, is_rewritten);
            else
                side->op = OP_NEVER;
            add_kid(c, side);
        }
        return 0;
    case OP_NOT: {
        struct sandbox_cond *inner = cond_alloc(OP_AND, NULL);
        json_t *one = json_pack("{sO}", path, arg);
        add_kid(c, inner);
        int rc = compile_where(inner, one, is_rewritten, e);
        json_decref(one);
        return rc;
    }
    case OP_OR: case OP_NEVER:
        break;
    }
    return 0;
}

/* field: value. An object whose every key is an operator is a condition; any other value is equality. */
static int compile_field(struct sandbox_cond *into, const char *path, const json_t *v, bool is_rewritten, struct err *e)
{
    const char *op;
    json_t *arg;
    if (strcmp(path, "_id") == 0)
        path = "id";
    if (json_is_object(v) && json_object_size(v) > 0) {
        size_t before = into->kids_n;
        bool known = true;
        json_object_foreach((json_t *)(uintptr_t)v, op, arg) {
            if (compile_operator(into, path, op, arg, v, is_rewritten, &known, e))
                return -1;
            if (!known)
                break;
        }
        if (known)
            return 0;
        while (into->kids_n > before)
            sandbox_cond_free(into->kids[--into->kids_n]);
    }
    struct sandbox_cond *c = cond_alloc(OP_EQ, path);
    add_value(c, v, is_rewritten);
    add_kid(into, c);
    return 0;
}

static int compile_group(struct sandbox_cond *into, enum cond_op op, bool is_negated, const json_t *list, bool is_rewritten, struct err *e)
{
    struct sandbox_cond *group = cond_alloc(json_is_array(list) ? op : OP_NEVER, NULL), *top = group;
    size_t i;
    json_t *item;
    if (is_negated) {
        top = cond_alloc(OP_NOT, NULL);
        add_kid(top, group);
    }
    add_kid(into, top);
    json_array_foreach(list, i, item) {
        struct sandbox_cond *kid = cond_alloc(OP_AND, NULL);
        add_kid(group, kid);
        if (compile_where(kid, item, is_rewritten, e))
            return -1;
    }
    return 0;
}

static int compile_where(struct sandbox_cond *into, const json_t *where, bool is_rewritten, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)where, key, v) {
        const char *word = key[0] == '$' ? key + 1 : key;
        int rc;
        if (strcmp(word, "and") == 0)
            rc = compile_group(into, OP_AND, false, v, is_rewritten, e);
        else if (strcmp(word, "or") == 0)
            rc = compile_group(into, OP_OR, false, v, is_rewritten, e);
        else if (strcmp(word, "nor") == 0)
            rc = compile_group(into, OP_OR, true, v, is_rewritten, e);
        else if (strcmp(key, "$where") == 0)
            rc = err_set(e, ERR_BUG, "MongoError", "$where is not allowed in this context");
        else
            rc = compile_field(into, key, v, is_rewritten, e);
        if (rc)
            return -1;
    }
    return 0;
}

int sandbox_cond_new(struct sandbox_cond **out, const json_t *where, bool is_rewritten, struct err *e)
{
    *out = NULL;
    if (!json_is_object(where) || json_object_size(where) == 0)
        return 0;
    struct sandbox_cond *c = cond_alloc(OP_AND, NULL);
    if (compile_where(c, where, is_rewritten, e)) {
        sandbox_cond_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

/* ---- match ---- */

/* Is the stored string a date to MongoDB? Named fields are dates by the models; in questionnaires the server converts them. */
static bool stored_date(const char *path, const json_t *v, int64_t *ms)
{
    static const char *const names[] = {"dob", "startDate", "endDate", "created", "contactDate", "originalStartDate", "lastLogin"};
    const char *s = json_string_value(v), *last = strrchr(path, '.');
    bool is_named = false;
    if (!s || json_string_length(v) != 24 || s[10] != 'T' || s[23] != 'Z')
        return false;
    last = last ? last + 1 : path;
    size_t n = strlen(last);
    is_named = strncmp(last, "date", 4) == 0 || strncmp(path, "questionnaireAnswers", 20) == 0 || (n > 2 && strcmp(last + n - 2, "At") == 0);
    for (size_t i = 0; !is_named && i < sizeof names / sizeof names[0]; i++)
        is_named = strcmp(last, names[i]) == 0;
    return is_named && sandbox_date_parse(span_make(s, 24), ms);
}

int sandbox_cond_type_rank(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL: return 0;
    case JSON_INTEGER: case JSON_REAL: return 1;
    case JSON_STRING: return 2;
    case JSON_OBJECT: return 3;
    case JSON_ARRAY: return 4;
    case JSON_FALSE: case JSON_TRUE: return 5;
    }
    return 6;
}

/* <0, 0, >0; false when the two are of different kinds. */
static bool compare(const char *path, const json_t *stored, const struct value *v, int *out)
{
    int64_t ms;
    bool is_date = stored_date(path, stored, &ms);
    if (is_date != v->is_date)
        return false;
    if (is_date) {
        *out = (ms > v->ms) - (ms < v->ms);
        return true;
    }
    if (sandbox_cond_type_rank(stored) != sandbox_cond_type_rank(v->json))
        return false;
    if (json_is_number(stored)) {
        double a = json_number_value(stored), b = json_number_value(v->json);
        *out = (a > b) - (a < b);
    } else if (json_is_string(stored)) {
        *out = strcmp(json_string_value(stored), json_string_value(v->json));
    } else {
        *out = !json_equal(stored, v->json);
    }
    return true;
}

static bool regex_matches(const pcre2_code *re, const json_t *v)
{
    if (!json_is_string(v))
        return false;
    pcre2_match_data *md = pcre2_match_data_create_from_pattern(re, NULL);
    int rc = pcre2_match(re, (PCRE2_SPTR)json_string_value(v), json_string_length(v), 0, 0, md, NULL);
    pcre2_match_data_free(md);
    return rc >= 0;
}

static bool cond_match_all(const struct sandbox_cond *c, const json_t *doc)
{
    for (size_t i = 0; i < c->kids_n; i++)
        if (!sandbox_cond_match(c->kids[i], doc))
            return false;
    return true;
}

/* One value at the path, not looking into arrays. */
static bool test_one(const struct sandbox_cond *c, const json_t *v)
{
    int order;
    switch (c->op) {
    case OP_EQ:
    case OP_IN:
        for (size_t i = 0; i < c->values_n; i++)
            if (compare(c->path, v, &c->values[i], &order) && order == 0)
                return true;
        return false;
    case OP_GT: return compare(c->path, v, &c->values[0], &order) && order > 0;
    case OP_GTE: return compare(c->path, v, &c->values[0], &order) && order >= 0;
    case OP_LT: return compare(c->path, v, &c->values[0], &order) && order < 0;
    case OP_LTE: return compare(c->path, v, &c->values[0], &order) && order <= 0;
    case OP_REGEX: return regex_matches(c->re, v);
    case OP_EXISTS: return true;
    case OP_ELEM: return json_is_object(v) && cond_match_all(c, v);
    case OP_AND: case OP_OR: case OP_NOT: case OP_NEVER: return false;
    }
    return false;
}

static bool any_at(const struct sandbox_cond *c, const json_t *node, const char *rest, bool *found)
{
    size_t i;
    json_t *item;
    if (*rest == '\0') {
        *found = true;
        if (c->op != OP_ELEM && test_one(c, node))
            return true;
        json_array_foreach(node, i, item)
            if (test_one(c, item))
                return true;
        return false;
    }
    if (json_is_array(node)) {
        char *end;
        size_t index = strtoul(rest, &end, 10);
        if (end != rest && (*end == '.' || *end == '\0') && index < json_array_size(node))
            return any_at(c, json_array_get(node, index), *end ? end + 1 : end, found);
        json_array_foreach(node, i, item)
            if (json_is_object(item) && any_at(c, item, rest, found))
                return true;
        return false;
    }
    const char *dot = strchr(rest, '.');
    size_t n = dot ? (size_t)(dot - rest) : strlen(rest);
    json_t *next = json_object_getn(node, rest, n);
    return next && any_at(c, next, rest + n + (dot != NULL), found);
}

static bool has_null(const struct sandbox_cond *c)
{
    for (size_t i = 0; i < c->values_n; i++)
        if (json_is_null(c->values[i].json))
            return true;
    return false;
}

bool sandbox_cond_match(const struct sandbox_cond *c, const json_t *doc)
{
    bool found = false, matched;
    if (!c)
        return true;
    switch (c->op) {
    case OP_AND:
        return cond_match_all(c, doc);
    case OP_OR:
        for (size_t i = 0; i < c->kids_n; i++)
            if (sandbox_cond_match(c->kids[i], doc))
                return true;
        return false;
    case OP_NOT:
        return !cond_match_all(c, doc);
    case OP_NEVER:
        return false;
    case OP_EXISTS:
        (void)any_at(c, doc, c->path, &found);
        return found == c->is_wanted;
    case OP_EQ: case OP_IN:
        matched = any_at(c, doc, c->path, &found);
        return matched || (!found && has_null(c));      /* null equals "not there" */
    case OP_GT: case OP_GTE: case OP_LT: case OP_LTE: case OP_REGEX: case OP_ELEM:
        return any_at(c, doc, c->path, &found);
    }
    return false;
}

/* ---- hints ---- */

#define FIELDS_MAX 4

/* Which of the fields is this path? n: none. */
static size_t field_index(const struct sandbox_fields *f, const char *prefix, const char *path)
{
    size_t skip = strlen(prefix), i = 0;
    for (; i < f->n; i++) {
        const char *name = f->name[i];
        if (skip > 0 && (strncmp(name, prefix, skip) != 0 || name[skip] != '.'))
            continue;
        if (strcmp(name + (skip > 0 ? skip + 1 : 0), path) == 0)
            break;
    }
    return i;
}

static bool strings_of(const struct sandbox_cond *c, const struct sandbox_fields *f, const char *prefix);

/* Any one kid that says something will do. */
static bool strings_of_all(const struct sandbox_cond *c, const struct sandbox_fields *f, const char *prefix)
{
    for (size_t i = 0; i < c->kids_n; i++)
        if (strings_of(c->kids[i], f, prefix))
            return true;
    return false;
}

/* Every kid has to say something; if not, what was noted is taken back. */
static bool strings_of_any(const struct sandbox_cond *c, const struct sandbox_fields *f, const char *prefix)
{
    size_t before[FIELDS_MAX];
    for (size_t i = 0; i < f->n; i++)
        before[i] = json_array_size(f->values[i]);
    for (size_t k = 0; k < c->kids_n; k++) {
        if (strings_of(c->kids[k], f, prefix))
            continue;
        for (size_t i = 0; i < f->n; i++)
            while (json_array_size(f->values[i]) > before[i])
                json_array_remove(f->values[i], json_array_size(f->values[i]) - 1);
        return false;
    }
    return c->kids_n > 0;
}

/* prefix: the array that an elemMatch around c looks into, or "". */
static bool strings_of(const struct sandbox_cond *c, const struct sandbox_fields *f, const char *prefix)
{
    size_t at;
    switch (c->op) {
    case OP_EQ: case OP_IN:
        at = field_index(f, prefix, c->path);
        if (at == f->n)
            return false;
        for (size_t i = 0; i < c->values_n; i++)
            if (!json_is_string(c->values[i].json) || c->values[i].is_date)
                return false;
        for (size_t i = 0; i < c->values_n; i++)
            json_array_append(f->values[at], c->values[i].json);
        return true;
    case OP_AND:
        return strings_of_all(c, f, prefix);
    case OP_OR:
        return strings_of_any(c, f, prefix);
    case OP_ELEM:                                       /* documents: {elemMatch: {number: x}} says documents.number */
        return prefix[0] == '\0' && strings_of_all(c, f, c->path);
    case OP_NOT: case OP_GT: case OP_GTE: case OP_LT: case OP_LTE: case OP_REGEX: case OP_EXISTS: case OP_NEVER:
        return false;
    }
    return false;
}

bool sandbox_cond_strings(const struct sandbox_cond *c, const struct sandbox_fields *f) { return c && f->n <= FIELDS_MAX && strings_of(c, f, ""); }

static bool range_of_values(const struct sandbox_cond *c, int64_t *low, int64_t *high)
{
    if (c->values_n == 0)
        return false;
    for (size_t i = 0; i < c->values_n; i++) {
        if (!c->values[i].is_date)
            return false;
        int64_t ms = c->values[i].ms;
        bool bounds_low = c->op == OP_EQ || c->op == OP_IN || c->op == OP_GT || c->op == OP_GTE;
        bool bounds_high = c->op == OP_EQ || c->op == OP_IN || c->op == OP_LT || c->op == OP_LTE;
        if (i == 0) {
            *low = bounds_low ? ms : INT64_MIN;
            *high = bounds_high ? ms : INT64_MAX;
        } else {
            *low = ms < *low ? ms : *low;
            *high = ms > *high ? ms : *high;
        }
    }
    return true;
}

bool sandbox_cond_range(const struct sandbox_cond *c, const char *field, int64_t *low, int64_t *high)
{
    bool known = false;
    int64_t a, b;
    if (!c)
        return false;
    switch (c->op) {
    case OP_EQ: case OP_IN: case OP_GT: case OP_GTE: case OP_LT: case OP_LTE:
        return strcmp(c->path, field) == 0 && range_of_values(c, low, high);
    case OP_AND:
        *low = INT64_MIN;
        *high = INT64_MAX;
        for (size_t i = 0; i < c->kids_n; i++) {
            if (!sandbox_cond_range(c->kids[i], field, &a, &b))
                continue;
            known = true;
            *low = a > *low ? a : *low;
            *high = b < *high ? b : *high;
        }
        return known;
    case OP_OR:
        for (size_t i = 0; i < c->kids_n; i++) {
            if (!sandbox_cond_range(c->kids[i], field, &a, &b))
                return false;
            *low = i == 0 || a < *low ? a : *low;
            *high = i == 0 || b > *high ? b : *high;
        }
        return c->kids_n > 0;
    case OP_NOT: case OP_REGEX: case OP_EXISTS: case OP_ELEM: case OP_NEVER:
        return false;
    }
    return false;
}

bool sandbox_cond_either(const struct sandbox_cond *c, const char *a, const char *b, int64_t *low)
{
    int64_t one, high;
    if (!c)
        return false;
    if (sandbox_cond_range(c, a, low, &high) || sandbox_cond_range(c, b, low, &high))
        return *low > INT64_MIN;
    if (c->op == OP_AND) {
        for (size_t i = 0; i < c->kids_n; i++)
            if (sandbox_cond_either(c->kids[i], a, b, low))
                return true;
        return false;
    }
    if (c->op != OP_OR)
        return false;
    for (size_t i = 0; i < c->kids_n; i++) {
        if (!sandbox_cond_either(c->kids[i], a, b, &one))
            return false;
        *low = i == 0 || one < *low ? one : *low;
    }
    return c->kids_n > 0;
}

const char *sandbox_cond_above(const struct sandbox_cond *c, const char *field)
{
    const char *text = NULL;
    if (!c)
        return NULL;
    if (c->op == OP_GT && strcmp(c->path, field) == 0 && c->values_n == 1 && !c->values[0].is_date)
        return json_string_value(c->values[0].json);
    for (size_t i = 0; c->op == OP_AND && i < c->kids_n && !text; i++)
        text = sandbox_cond_above(c->kids[i], field);
    return text;
}
