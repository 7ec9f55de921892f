/*
 * NAME fhir_json - a FHIR resource in JSON to a tree (STANDARDS 6.4).
 *
 * jansson reads the JSON, but would turn `1.00` into a double. So a pass over the bytes comes first and hands each number over as
 * a string that opens with U+0001, a character that FHIR forbids in strings (datatypes#string) and that is refused here when sent
 * as an escape. The same pass checks what has to be checked before memory is spent: depth, and a weight that bounds what jansson
 * will allocate. Then the tree is made: "_name" joins "name", arrays become brothers.
 *
 * DIAGNOSTICS struct fhir_fault: too deep, too large, not JSON (with line), a number that is none, control characters.
 * OWNERSHIP jansson's values are freed before return; the tree is in the arena.
 */
#include <jansson.h>

#include "buf.h"
#include "fhir_tree.h"

#define MARK '\1'
#define MARK_ESCAPED "\"\\u0001"

/* What jansson 2.14 takes from the heap, rounded up: object with its table, array with its first slots, string, key with its pair. */
enum { WEIGHT_OBJECT = 320, WEIGHT_ARRAY = 144, WEIGHT_STRING = 112, WEIGHT_MAX = 96 << 20 };

static int fault(struct fhir_fault *f, const char *issue, const char *text, unsigned line)
{
    *f = (struct fhir_fault){.issue = issue, .text = text, .line = line};
    return -1;
}

static int full(struct fhir_fault *f)
{
    *f = (struct fhir_fault){.issue = "too-costly", .text = "The resource needs more memory than its size allows", .is_full = true};
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* End of the string whose first byte behind the quote is at i: index behind the closing quote, or n. */
static size_t string_end(struct span s, size_t i)
{
    while (i < s.n && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return i < s.n ? i + 1 : s.n;
}

bool fhir_json_next(struct span *rest, struct span *out)
{
    struct span s = *rest;
    size_t i = 0, start, depth = 0;
    while (i < s.n && is_blank(s.p[i]))
        i++;
    start = i;
    if (i == s.n)
        return false;
    while (i < s.n) {
        char c = s.p[i++];
        if (c == '"')
            i = string_end(s, i);
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && (depth == 0 || --depth == 0))
            break;
        else if (c == '\n' && depth == 0)
            break;
    }
    *out = span_cut(s, start, i - start);
    *rest = span_from(s, i);
    return true;
}

/* ---- first pass ---- */

struct pass {
    struct span s;
    size_t i, copied;           /* s[copied..i) is still to be copied */
    struct buf out;
    size_t weight;
    unsigned depth, line;
    struct fhir_fault *f;
};

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(struct span t)
{
    size_t i = 0, k;
    if (i < t.n && t.p[i] == '-')
        i++;
    for (k = i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
        ;
    if (i == k || (t.p[k] == '0' && i > k + 1))
        return false;
    if (i < t.n && t.p[i] == '.') {
        for (k = ++i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            ;
        if (i == k)
            return false;
    }
    if (i < t.n && (t.p[i] | 0x20) == 'e') {
        i++;
        if (i < t.n && (t.p[i] == '+' || t.p[i] == '-'))
            i++;
        for (k = i; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            ;
        if (i == k)
            return false;
    }
    return i == t.n;
}

static int pass_number(struct pass *p)
{
    size_t start = p->i;
    while (p->i < p->s.n && ((p->s.p[p->i] >= '0' && p->s.p[p->i] <= '9') || p->s.p[p->i] == '-' || p->s.p[p->i] == '+' ||
                             p->s.p[p->i] == '.' || p->s.p[p->i] == 'e' || p->s.p[p->i] == 'E'))
        p->i++;
    struct span t = span_cut(p->s, start, p->i - start);
    if (t.n > FHIR_MAX_NUMBER)
        return fault(p->f, "too-long", "A number is longer than 64 characters", p->line);
    if (!is_number(t))
        return fault(p->f, "structure", "A number is not written as JSON wants it", p->line);
    buf_add_span(&p->out, span_cut(p->s, p->copied, start - p->copied));
    buf_add(&p->out, MARK_ESCAPED, sizeof MARK_ESCAPED - 1);
    buf_add_span(&p->out, t);
    buf_addc(&p->out, '"');
    p->copied = p->i;
    p->weight += WEIGHT_STRING;
    return 0;
}

/* \u0000 to \u001f other than tab, LF, CR; s[i] is the u */
static bool is_control_escape(struct span s, size_t i)
{
    if (i + 4 >= s.n || s.p[i] != 'u' || s.p[i + 1] != '0' || s.p[i + 2] != '0' || (s.p[i + 3] != '0' && s.p[i + 3] != '1'))
        return false;
    char c = (char)(s.p[i + 4] | 0x20);
    return s.p[i + 3] == '1' || (c != '9' && c != 'a' && c != 'd' && s.p[i + 4] != '9');
}

static int pass_string(struct pass *p)
{
    size_t i = p->i + 1, n = p->s.n;
    const char *t = p->s.p;
    while (i < n && t[i] != '"') {
        if (t[i] == '\\') {
            if (is_control_escape(p->s, i + 1))
                return fault(p->f, "value", "A string holds a control character", p->line);
            i++;
        }
        i++;
    }
    p->weight += WEIGHT_STRING + (i - p->i < 24 ? 0 : i - p->i);
    p->i = i < n ? i + 1 : n;
    return 0;
}

/* A run of blanks becomes one: jansson looks at each byte with care. Line ends stay, they count its lines. */
static void pass_blanks(struct pass *p)
{
    size_t start = p->i;
    while (p->i < p->s.n && (p->s.p[p->i] == ' ' || p->s.p[p->i] == '\t'))
        p->i++;
    if (p->i - start < 2)
        return;
    buf_add_span(&p->out, span_cut(p->s, p->copied, start - p->copied));
    p->copied = p->i - 1;
}

static int first_pass(struct pass *p)
{
    const char *t = p->s.p;
    while (p->i < p->s.n) {
        char c = t[p->i];
        int rc = 0;
        if (c == '"') {
            rc = pass_string(p);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            rc = pass_number(p);
        } else if (c == ' ' || c == '\t') {
            pass_blanks(p);
        } else {
            p->i++;
            p->line += c == '\n';
            if (c == '{' || c == '[') {
                p->weight += c == '{' ? WEIGHT_OBJECT : WEIGHT_ARRAY;
                if (++p->depth > FHIR_MAX_DEPTH)
                    return fault(p->f, "too-costly", "The resource is nested more than 64 levels deep", p->line);
            } else if ((c == '}' || c == ']') && p->depth > 0) {
                p->depth--;
            }
        }
        if (rc)
            return rc;
        if (p->weight > WEIGHT_MAX)
            return fault(p->f, "too-costly", "The resource has too many elements", p->line);
    }
    buf_add_span(&p->out, span_from(p->s, p->copied));
    return p->out.is_full ? fault(p->f, "too-costly", "The resource has too many elements", p->line) : 0;
}

/* ---- jansson to tree ---- */

struct conv {
    struct fhir_builder b;
    struct fhir_fault *f;
};

static int convert_members(struct conv *c, json_t *o);

static bool is_scalar(const json_t *v)
{
    return json_is_string(v) || json_is_boolean(v);
}

static struct span scalar_text(struct conv *c, const json_t *v, uint32_t *flags)
{
    if (json_is_boolean(v))
        return json_is_true(v) ? SPAN_LIT("true") : SPAN_LIT("false");
    struct span s = span_make(json_string_value(v), json_string_length(v));
    if (s.n && s.p[0] == MARK) {
        *flags |= FHIR_IS_NUMBER;
        s = span_from(s, 1);
    }
    return s.n ? arena_dup(c->b.a, s) : SPAN_ABSENT;
}

static bool is_nothing(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) || (json_is_array(v) && json_array_size(v) == 0);
}

/* One element from its value and the object under "_name"; either may be NULL. */
static int convert_element(struct conv *c, const char *key, size_t n, json_t *v, json_t *extra, uint32_t index, uint32_t flags)
{
    if (json_is_array(v) || json_is_array(extra))
        return fault(c->f, "structure", "An array stands directly in another array", 0);
    if (is_nothing(v) && !json_is_object(extra)) {
        if (!c->b.tree->odd && !((flags & FHIR_IN_ARRAY) && json_is_null(v) && json_is_null(extra)))
            c->b.tree->odd = c->b.depth ? c->b.at[c->b.depth - 1] : NULL;
        return 0;
    }
    struct fhir_node *o = fhir_build_add(&c->b, key, n);
    if (!o)
        return full(c->f);
    o->index = index;
    o->flags = flags;
    if (is_scalar(v))
        o->text = scalar_text(c, v, &o->flags);
    fhir_build_open(&c->b, o);
    if (json_is_object(v)) {
        o->flags |= FHIR_IS_OBJECT;
        if (convert_members(c, v))
            return -1;
    } else if (json_is_object(extra) && convert_members(c, extra)) {
        return -1;
    }
    fhir_build_close(&c->b);
    return 0;
}

static int convert_array(struct conv *c, const char *key, size_t n, json_t *v, json_t *extra)
{
    size_t count = json_array_size(v), extras = json_array_size(extra);
    if (extras > count)
        count = extras;
    if (count == 0 && !c->b.tree->odd)
        c->b.tree->odd = c->b.at[c->b.depth - 1];
    for (size_t i = 0; i < count; i++)
        if (convert_element(c, key, n, json_array_get(v, i), json_array_get(extra, i), (uint32_t)i, FHIR_IN_ARRAY))
            return -1;
    return 0;
}

/* The partner "_name" of a primitive, or NULL */
static json_t *partner_of(json_t *o, const char *key, size_t n)
{
    char name[80];
    if (n + 2 > sizeof name)
        return NULL;
    name[0] = '_';
    memcpy(name + 1, key, n + 1);
    return json_object_get(o, name);
}

static bool has_partners(json_t *o)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
        if (key[0] == '_')
            return true;
    return false;
}

static int convert_member(struct conv *c, const char *key, json_t *v, json_t *extra)
{
    size_t n = strlen(key);
    if (n == 12 && memcmp(key, "resourceType", 12) == 0 && json_is_string(v)) {
        struct fhir_node *at = c->b.at[c->b.depth - 1];
        at->flags |= FHIR_RESOURCE;
        at->text = scalar_text(c, v, &at->flags);
        return 0;
    }
    if (n == 3 && memcmp(key, "div", 3) == 0)
        return 0;
    if (!json_is_array(v) && !json_is_array(extra))
        return convert_element(c, key, n, v, extra, 0, 0);
    if ((v && !json_is_array(v)) || (extra && !json_is_array(extra)))
        return fault(c->f, "structure", "An element and its _element do not agree on being an array", 0);
    return convert_array(c, key, n, v, extra);
}

static int convert_members(struct conv *c, json_t *o)
{
    const char *key;
    json_t *v;
    bool has_extras = has_partners(o);
    json_object_foreach(o, key, v) {
        if (key[0] == '_' && json_object_get(o, key + 1))
            continue;                       /* read with its partner */
        int rc = key[0] == '_' ? convert_member(c, key + 1, NULL, v)
                               : convert_member(c, key, v, has_extras ? partner_of(o, key, strlen(key)) : NULL);
        if (rc)
            return rc;
    }
    return arena_is_full(c->b.a) ? full(c->f) : 0;
}

int fhir_json_parse(struct arena *a, struct span bytes, struct fhir_tree *out, struct fhir_fault *f)
{
    struct pass p = {.s = bytes, .line = 1, .f = f};
    json_error_t je;
    json_t *root = NULL;
    int rc = -1;

    *out = (struct fhir_tree){0};
    *f = (struct fhir_fault){0};
    if (span_starts(p.s, "\xEF\xBB\xBF"))
        p.i = p.copied = 3;
    buf_init(&p.out, bytes.n * 5 + 1024);
    if (first_pass(&p))
        goto out;
    root = json_loadb(p.out.p, p.out.n, JSON_REJECT_DUPLICATES, &je);
    if (!root) {
        bool is_double = json_error_code(&je) == json_error_duplicate_key;
        (void)fault(f, is_double ? "invalid" : "structure", is_double ? "A member stands twice in one object" : "This is not JSON",
                    je.line > 0 ? (unsigned)je.line : 0);
        goto out;
    }
    buf_clear(&p.out);
    if (!json_is_object(root)) {
        (void)fault(f, "structure", "A FHIR resource is a JSON object", 1);
        goto out;
    }
    struct conv *c = arena_zalloc(a, sizeof *c);
    if (!c) {
        (void)full(f);
        goto out;
    }
    *c = (struct conv){.b = {.a = a, .tree = out}, .f = f};
    rc = convert_element(c, "", 0, root, NULL, 0, 0);
out:
    json_decref(root);
    buf_clear(&p.out);
    return rc;
}

void fhir_json_init(void)
{
    json_object_seed(0);
}
