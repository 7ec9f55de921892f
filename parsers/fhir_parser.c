/*
 * NAME fhir_parser - the parser module "fhir": options, sniff, parse and its verdicts, reply.
 *
 * Verdicts: QUARANTINE what is no JSON, XML or FHIR at all; REJECT another FHIR version, another resource, test data; REFUSE content
 * that cannot be used (one OperationOutcome, nothing stored); FILTER a Bundle without any result (NO_RESULT). A batch refuses its bad
 * entries alone. A transaction, message, document or collection is taken whole or not at all. Lines of NDJSON that are Bundles are
 * messages of their own, the others together are one collection.
 * DIAGNOSTICS ERR_LIMIT when the arena is full.
 */
#include "fhir_parser.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "fhir_ctx.h"
#include "fhir_place.h"
#include "fhir_reply.h"
#include "text.h"
#include "xmem.h"

#define REPLY_MAX ((size_t)16 << 20)

static const struct fhir_info no_info = {.kind = FHIR_OTHER};

const struct fhir_info *fhir_info_of(const struct parsed *p)
{
    return p->priv ? p->priv : &no_info;
}

/* ---- envelope ---- */

static void read_party(struct fhir_ctx *x, const struct fhir_node *o, struct rec_id *app)
{
    struct span name = fhir_text(o, "name"), endpoint = fhir_text(o, "endpoint");
    (void)x;
    app->value = name.n ? name : endpoint;
    if (name.n)
        app->ns = endpoint;
}

static void read_facility(struct fhir_ctx *x, const struct fhir_node *ref, struct rec_id *facility)
{
    struct fhir_res *org = fhir_refer_to(x, ref, x->header, "Organization");
    if (!org)
        return;
    facility->value = fhir_id_value(x, org->node, NULL);
    if (!facility->value.n)
        facility->value = fhir_text(org->node, "name");
    else
        facility->ns = fhir_text(org->node, "name");
}

static struct span hash_id(struct fhir_ctx *x, struct span raw)
{
    unsigned char sum[TEXT_SHA256_BYTES];
    char hex[2 * TEXT_SHA256_BYTES + 1];
    text_sha256(raw.p, raw.n, sum);
    text_hex(sum, sizeof sum, hex);
    return arena_printf(x->a, "sha256:%.32s", hex);
}

void fhir_message_read(struct fhir_ctx *x, struct span raw)
{
    const struct fhir_node *root = x->tree->root, *header = x->header ? x->header->node : NULL;
    struct rec_message *m = x->message;
    m->format = x->format;
    m->version = SPAN_LIT("4.0.1");
    m->charset = SPAN_LIT("UTF-8");
    if (!m->processing_id.n)
        m->processing_id = SPAN_LIT("P");
    m->kind = x->kind == FHIR_NDJSON ? SPAN_LIT("ndjson") : root->text;
    if (fhir_is_type(root, "Bundle") && x->kind != FHIR_NDJSON)
        m->kind = FHIR_CAT(x->a, SPAN_LIT("Bundle:"), fhir_text(root, "type"));
    if (header) {
        read_party(x, fhir_get(header, "source"), &m->source_app);
        read_party(x, fhir_get(header, "destination"), &m->destination_app);
        read_facility(x, fhir_get(header, "sender"), &m->source_facility);
    }
    if (!m->source_facility.value.n)
        m->source_facility.value = fhir_text(fhir_get(root, "meta"), "source");
    if (fhir_is_type(root, "Bundle"))
        m->control_id = span_trim(fhir_text(fhir_get(root, "identifier"), "value"));
    if (!m->control_id.n)
        m->control_id = fhir_text(header, "id");
    if (!m->control_id.n)
        m->control_id = hash_id(x, raw);
    m->sent_at = fhir_ts_get(x, root, "timestamp", NULL);
    if (!m->sent_at.prec && x->composition)
        m->sent_at = fhir_ts_get(x, x->composition->node, "date", NULL);
}

/* STANDARDS 6.7: what If-None-Exist and ?identifier= are compared with; the first identifier is the one. */
static struct span identity_of(struct fhir_ctx *x)
{
    const struct fhir_node *root = x->tree->root, *id = fhir_get(root, "identifier");
    struct span value = fhir_text(id, "value");
    return value.n ? FHIR_CAT(x->a, root->text, SPAN_LIT("?"), fhir_text(id, "system"), SPAN_LIT("|"), value) : SPAN_ABSENT;
}

static void read_info(struct fhir_ctx *x, struct parsed *out)
{
    struct fhir_info *info = arena_zalloc(x->a, sizeof *info);
    const struct fhir_node *root = x->tree->root;
    size_t n = x->kind == FHIR_BATCH || x->kind == FHIR_TRANSACTION ? fhir_count(root, "entry") : 0;
    struct fhir_entry *v = n ? arena_array(x->a, n, sizeof *v) : NULL;
    if (!info || (n && !v))
        return;
    *info = (struct fhir_info){.kind = x->kind, .format = x->format, .root = root->text, .id = fhir_text(root, "id"), .entries = v, .n_entries = n};
    if (x->header) {
        info->header_id = x->header->id;
        info->header_endpoint = fhir_text(fhir_get(x->header->node, "source"), "endpoint");
    }
    n = 0;
    FHIR_EACH(e, root, "entry") {
        if (!v)
            break;
        struct span method = fhir_text(fhir_get(e, "request"), "method");
        v[n++] = (struct fhir_entry){.method = method.n ? method : SPAN_LIT("POST"), .type = fhir_node_text(fhir_get(e, "resource"))};
    }
    for (size_t i = 0; v && i < x->n_res && !x->res[i].container; i++)
        if (x->res[i].place < info->n_entries) {
            struct fhir_entry *e = &v[x->res[i].place];
            e->id = x->res[i].id;
            e->version = x->res[i].version;
            e->issue = x->res[i].issue;
        }
    out->priv = info;
    if (x->kind == FHIR_LONE)
        out->identity = identity_of(x);
}

/* ---- one message ---- */

static unsigned count_observations(const struct fhir_ctx *x)
{
    unsigned n = x->n_conclusions;
    for (size_t i = 0; i < x->n_res; i++) {
        const struct fhir_res *r = &x->res[i];
        if (span_is(r->type, "Observation") && fhir_is_usable(r))
            n += (unsigned)fhir_observation_count(r->node) + r->older;
    }
    return n;
}

/* Taken only for its persons. */
static bool is_patient(const struct fhir_node *root)
{
    return (root->flags & FHIR_RESOURCE) && span_is(root->text, "Patient");
}

/* What a lone Patient is where no route sends persons: whatever was found in it, it is not taken. */
static void refuse_patient(struct fhir_ctx *x)
{
    x->errors = x->notices = NULL;
    x->n_errors = x->cap_errors = x->n_notices = x->cap_notices = 0;
    x->at = NULL;
    x->is_reading = false;
    x->is_rejected = true;
    fhir_error(x, "not-supported", x->tree->root, NULL, "Only Bundle, DiagnosticReport and Observation are read by themselves");
}

static bool check_root(struct fhir_ctx *x)
{
    const struct fhir_node *root = x->tree->root, *first = fhir_get(fhir_get(root, "entry"), "resource");
    if (!(root->flags & FHIR_RESOURCE) || !root->text.n) {
        fhir_error(x, "structure", NULL, NULL, "There is no resourceType: this is no FHIR resource");
        return false;
    }
    if (span_is(root->text, "DiagnosticReport") || span_is(root->text, "Observation") || is_patient(root))
        return true;
    if (!span_is(root->text, "Bundle")) {
        x->is_rejected = true;
        fhir_error(x, "not-supported", root, NULL, "Only Bundle, DiagnosticReport and Observation are read by themselves");
        return false;
    }
    if (x->kind == FHIR_OTHER) {
        bool is_missing = !fhir_text(root, "type").n;
        fhir_error(x, is_missing ? "required" : "invalid", root, "type", is_missing ? "The type of the Bundle is missing" : "Bundles of this type bring no results");
        return false;
    }
    if (x->kind == FHIR_MESSAGE && !fhir_is_type(first, "MessageHeader"))
        fhir_doubt(x, "W_NO_MESSAGE_HEADER", "invariant", root, "entry[0]", "A message begins with its MessageHeader (bdl-12)");
    if (x->kind == FHIR_DOCUMENT && !fhir_is_type(first, "Composition"))
        fhir_doubt(x, "W_NO_COMPOSITION", "invariant", root, "entry[0]", "A document begins with its Composition (bdl-11)");
    FHIR_EACH(l, root, "link")
        if (span_is(fhir_text(l, "relation"), "next"))
            fhir_warn(x, "W_MORE_PAGES", l, NULL);
    return true;
}

static enum parse_fate verdict(const struct fhir_ctx *x, const struct parsed *p)
{
    size_t good = 0;
    for (size_t i = 0; i < x->n_res; i++)
        good += fhir_is_usable(&x->res[i]);
    if (x->is_refused)
        return x->is_rejected ? PARSE_REJECT : PARSE_REFUSE;
    if (x->kind == FHIR_BATCH && x->n_errors && !good)
        return x->is_rejected ? PARSE_REJECT : PARSE_REFUSE;
    return p->n_records ? PARSE_ACCEPT : PARSE_FILTER;
}

static enum fhir_kind kind_of(const struct fhir_node *root, bool is_lines)
{
    if (is_lines)
        return FHIR_NDJSON;
    return fhir_is_type(root, "Bundle") ? fhir_bundle_kind(fhir_text(root, "type")) : FHIR_LONE;
}

/* 0, or -1 when the arena is full. */
static int read_message(struct arena *a, const struct fhir_options *o, const struct fhir_tree *tree, enum rec_format format, bool is_lines,
                        struct parsed *out)
{
    struct fhir_ctx *x = arena_zalloc(a, sizeof *x);
    if (!x)
        return -1;
    *x = (struct fhir_ctx){.a = a, .o = o, .format = format, .tree = tree, .message = &out->message};
    x->kind = kind_of(tree->root, is_lines);
    bool is_read = check_root(x);
    if (is_read && fhir_bundle_index(x))
        return -1;
    if (is_read)
        fhir_check(x);
    if (tree->root->flags & FHIR_RESOURCE)
        fhir_message_read(x, out->raw);
    x->at = NULL;
    if (is_read && !x->is_refused && !fhir_reports_read(x))
        return -1;
    if (is_read && x->n_records == 0 && count_observations(x) == 0 && !fhir_persons_read(x, out))
        return -1;
    if (is_patient(tree->root))
        refuse_patient(x);
    if (!x->is_refused) {
        out->records = x->records;
        out->n_records = x->n_records;
        out->observations = count_observations(x);
    }
    out->fate = verdict(x, out);
    if (out->fate == PARSE_FILTER)
        out->filter_reason = "NO_RESULT";
    if (!(tree->root->flags & FHIR_RESOURCE))
        out->fate = PARSE_QUARANTINE;
    for (size_t i = 0; i < out->n_records; i++) {
        out->records[i].message = &out->message;
        out->records[i].fhir_field = fhir_place_get;
        out->records[i].source = tree->root;
    }
    fhir_issues_done(x, out);
    read_info(x, out);
    return arena_is_full(a) ? -1 : 0;
}

/* ---- frames ---- */

static struct span without_bom(struct span s)
{
    return span_starts(s, "\xEF\xBB\xBF") ? span_from(s, 3) : s;
}

static bool is_xml(struct span s)
{
    struct span t = without_bom(s);
    while (t.n && (t.p[0] == ' ' || t.p[0] == '\t' || t.p[0] == '\n' || t.p[0] == '\r'))
        t = span_from(t, 1);
    return t.n && (t.p[0] == '<' || t.p[0] == '\xFF' || t.p[0] == '\xFE');
}

static bool sniff(struct span head)
{
    struct span t = without_bom(head);
    while (t.n && (t.p[0] == ' ' || t.p[0] == '\t' || t.p[0] == '\n' || t.p[0] == '\r'))
        t = span_from(t, 1);
    return t.n && (t.p[0] == '{' || t.p[0] == '<' || (t.n > 2 && t.p[0] == '\xFF' && t.p[1] == '\xFE' && t.p[2] == '<') ||
                   (t.n > 3 && t.p[0] == '\xFE' && t.p[1] == '\xFF' && t.p[3] == '<'));
}

static int set_fault(struct arena *a, const struct fhir_fault *f, enum rec_format format, unsigned line, struct parsed *out)
{
    struct problem *p = arena_zalloc(a, sizeof *p);
    struct fhir_info *info = arena_zalloc(a, sizeof *info);
    if (!p || !info || f->is_full)
        return -1;
    *p = (struct problem){.severity = 'F', .code = 100, .name = f->issue, .text = f->text};
    if (f->line)
        (void)snprintf(p->where, sizeof p->where, "line %u", f->line + line);
    *info = (struct fhir_info){.kind = FHIR_OTHER, .format = format};
    out->problems = p;
    out->n_problems = 1;
    out->fate = PARSE_QUARANTINE;
    out->message.format = format;
    out->priv = info;
    return 0;
}

static int read_single(struct arena *a, const struct fhir_options *o, struct span bytes, struct parsed *out)
{
    struct fhir_fault f;
    struct fhir_tree *tree = arena_zalloc(a, sizeof *tree);
    enum rec_format format = is_xml(bytes) ? REC_FHIR_XML : REC_FHIR_JSON;
    if (!tree)
        return -1;
    int rc = format == REC_FHIR_XML ? fhir_xml_parse(a, without_bom(bytes), tree, &f) : fhir_json_parse(a, bytes, tree, &f);
    return rc ? set_fault(a, &f, format, 0, out) : read_message(a, o, tree, format, false, out);
}

/* ---- NDJSON ---- */

struct lines {
    struct arena *a;
    const struct fhir_options *o;
    struct fhir_tree *tree;         /* the collection under way */
    struct fhir_node *last;
    struct parsed *v, *collection;
    size_t n;
    uint32_t place;
};

static struct fhir_node *new_node(struct arena *a, const char *name, struct fhir_node *parent, uint32_t index)
{
    struct fhir_node *n = arena_zalloc(a, sizeof *n);
    if (n)
        *n = (struct fhir_node){.name = span_of(name), .parent = parent, .index = index, .flags = FHIR_IS_OBJECT};
    return n;
}

static int start_collection(struct lines *l)
{
    l->tree = arena_zalloc(l->a, sizeof *l->tree);
    struct fhir_node *root = l->tree ? new_node(l->a, NULL, NULL, 0) : NULL, *type = root ? new_node(l->a, "type", root, 0) : NULL;
    if (!type)
        return -1;
    root->text = SPAN_LIT("Bundle");
    root->flags |= FHIR_RESOURCE;
    type->text = SPAN_LIT("collection");
    root->child = l->last = type;
    l->tree->root = root;
    l->collection = &l->v[l->n++];
    return 0;
}

static int add_to_collection(struct lines *l, const struct fhir_tree *t)
{
    if (!l->tree && start_collection(l))
        return -1;
    struct fhir_node *entry = new_node(l->a, "entry", l->tree->root, l->place++);
    if (!entry)
        return -1;
    t->root->name = SPAN_LIT("resource");
    t->root->parent = entry;
    entry->child = t->root;
    l->last->next = entry;
    l->last = entry;
    l->tree->has_modifier |= t->has_modifier;
    if (!l->tree->odd)
        l->tree->odd = t->odd;
    return 0;
}

static unsigned lines_in(struct span s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static int read_line(struct lines *l, struct span line, unsigned before)
{
    struct fhir_fault f;
    struct fhir_tree *t = arena_zalloc(l->a, sizeof *t);
    if (!t)
        return -1;
    if (fhir_json_parse(l->a, line, t, &f)) {
        struct parsed *p = &l->v[l->n++];
        p->raw = line;
        return set_fault(l->a, &f, REC_FHIR_JSON, before, p);
    }
    if (!fhir_is_type(t->root, "Bundle"))
        return add_to_collection(l, t);
    l->v[l->n].raw = line;
    return read_message(l->a, l->o, t, REC_FHIR_JSON, false, &l->v[l->n++]);
}

static int read_lines(struct arena *a, const struct fhir_options *o, struct span frame, size_t n, struct parse_result *out)
{
    struct lines l = {.a = a, .o = o, .v = arena_array(a, n + 1, sizeof *l.v)};
    struct span rest = without_bom(frame), line;
    if (!l.v)
        return -1;
    while (fhir_json_next(&rest, &line))
        if (read_line(&l, line, lines_in(span_cut(frame, 0, (size_t)(line.p - frame.p)))))
            return -1;
    if (l.collection) {
        l.collection->raw = frame;
        if (read_message(a, o, l.tree, REC_FHIR_JSON, true, l.collection))
            return -1;
    }
    out->v = l.v;
    out->n = l.n;
    out->is_batch = l.n > 1;
    return 0;
}

static int parse(const void *options, struct span frame, struct arena *a, struct parse_result *out, struct err *e)
{
    static const struct fhir_options defaults = {0};
    const struct fhir_options *o = options ? options : &defaults;
    size_t n = 0;
    struct span rest = without_bom(frame), one;
    int rc;
    *out = (struct parse_result){0};
    while (!is_xml(frame) && fhir_json_next(&rest, &one))
        n++;
    if (n > 1) {
        rc = read_lines(a, o, frame, n, out);
    } else {
        out->v = arena_zalloc(a, sizeof *out->v);
        out->n = out->v ? 1 : 0;
        if (out->v)
            out->v->raw = frame;
        rc = out->v ? read_single(a, o, frame, out->v) : -1;
    }
    if (rc)
        return err_set(e, ERR_LIMIT, NULL, "the resource needs more memory than its size allows");
    return 0;
}

/* ---- replies ---- */

static int add_payload(struct buf *b, struct span **payloads, size_t *n, struct err *e)
{
    if (b->is_full) {
        buf_clear(b);
        return err_set(e, ERR_LIMIT, NULL, "the reply is too long");
    }
    size_t len;
    char *text = buf_take(b, &len);
    *payloads = xreallocarray(*payloads, *n + 1, sizeof **payloads);
    (*payloads)[(*n)++] = span_make(text, len);
    return 0;
}

/* One payload for the frame: what, fhir_answer() knows. */
static int reply(const void *options, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc,
                 struct arena *a, struct span **payloads, size_t *n, struct err *e)
{
    struct buf b;
    (void)options, (void)a;
    buf_init(&b, REPLY_MAX);
    if (!result->n)
        return 0;
    fhir_answer(&b, result, fates, rc);
    return add_payload(&b, payloads, n, e);
}

static int busy(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e)
{
    struct buf b;
    size_t len, n = 0;
    struct span *v = NULL;
    (void)options, (void)rc, (void)a, (void)len;
    buf_init(&b, REPLY_MAX);
    fhir_reply_outcome(&b, is_xml(frame) ? REC_FHIR_XML : REC_FHIR_JSON, "error", "transient", "Not stored: try again later", NULL);
    if (add_payload(&b, &v, &n, e))
        return -1;
    *payload = v[0];
    free(v);
    return 0;
}

/* ---- options ---- */

#define ROW(n, t, f, ...) {.name = n, .type = t, .offset = offsetof(struct fhir_options, f), __VA_ARGS__}

static const struct option_row rows[] = {
    ROW("timezone", OPT_ZONE, timezone, .is_required = true, .help = "the sender's time zone, for times that name none"),
    ROW("allow-other-versions", OPT_YESNO, is_other_version_allowed, .def = "no", .help = "elements of FHIR R5 and STU3 are a remark, not a refusal"),
    ROW("known-modifiers", OPT_LIST, known_modifiers, .help = "URLs of modifierExtension and implicitRules that change nothing for this channel"),
    ROW("test-data", OPT_CHOICE, test_data, .def = "reject", .choices = "reject hold", .help = "what becomes of resources tagged HTEST"),
    ROW("name-text", OPT_CHOICE, name_text, .def = "last", .choices = "last off", .help = "is a name that is only text taken as family name"),
    ROW("effective", OPT_CHOICE, effective, .def = "collection", .choices = "collection analysis", .help = "what Observation.effective means"),
    ROW("max-entries", OPT_INT, max_entries, .min = 1, .max = 1000000, .def = "100000", .help = "most entries of one Bundle"),
    ROW("strict", OPT_YESNO, is_strict, .def = "no", .help = "refuse what would be accepted with a remark"),
};

const struct parser_ops fhir_parser = {
    .name = "fhir",
    .options = {.rows = rows, .n = sizeof rows / sizeof rows[0], .size = sizeof(struct fhir_options)},
    .sniff = sniff,
    .parse = parse,
    .reply = reply,
    .busy = busy,
    .fits = fhir_fits,
};

void fhir_parser_init(void)
{
    fhir_json_init();
    fhir_xml_init();
}
