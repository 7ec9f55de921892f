/*
 * NAME fhir_xml - a FHIR resource in XML to a tree (STANDARDS 6.5). The only file that sees libxml2.
 *
 * SAX2 events, no libxml2 tree. No network, no entity but the five of XML, any DOCTYPE is refused before it is read on; depth is
 * capped here, sizes by libxml2's own limits (XML_PARSE_HUGE is off). Elements of other namespaces (the narrative) are passed over.
 * Comments, processing instructions and text between elements are ignored.
 *
 * DIAGNOSTICS struct fhir_fault: DOCTYPE, not XML (with line), wrong namespace, too deep. OWNERSHIP the tree is in the arena.
 */
#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "fhir_tree.h"

#define FHIR_NS "http://hl7.org/fhir"

struct sax {
    struct fhir_builder b;
    struct fhir_fault *f;
    xmlParserCtxtPtr ctxt;
    unsigned levels;            /* open XML elements */
    unsigned skip;              /* depth inside a foreign element */
    int error_line;             /* of libxml2's first error */
    bool has_failed;
};

static void stop(struct sax *x, const char *issue, const char *text)
{
    if (!x->has_failed)
        *x->f = (struct fhir_fault){.issue = issue, .text = text, .line = (unsigned)xmlSAX2GetLineNumber(x->ctxt)};
    x->has_failed = true;
    xmlStopParser(x->ctxt);
}

static void stop_full(struct sax *x)
{
    stop(x, "too-costly", "The resource needs more memory than its size allows");
    x->f->is_full = true;
}

static bool is_fhir(const xmlChar *uri)
{
    return uri && strcmp((const char *)uri, FHIR_NS) == 0;
}

static void add_attribute(struct sax *x, const char *name, size_t n, struct span value)
{
    struct fhir_node *c = fhir_build_add(&x->b, name, n);
    if (!c) {
        stop_full(x);
        return;
    }
    c->text = arena_dup(x->b.a, value);
}

/* libxml2 gives each attribute as name, prefix, URI, begin, end */
static void read_attributes(struct sax *x, struct fhir_node *o, int n, const xmlChar **v)
{
    for (int i = 0; i < n; i++, v += 5) {
        struct span value = span_make((const char *)v[3], (size_t)(v[4] - v[3]));
        const char *name = (const char *)v[0];
        if (v[1] || value.n == 0)
            continue;
        if (strcmp(name, "value") == 0)
            o->text = arena_dup(x->b.a, value);
        else if (strcmp(name, "id") == 0 || strcmp(name, "url") == 0)
            add_attribute(x, name, strlen(name), value);
    }
    if (arena_is_full(x->b.a))
        stop_full(x);
}

/* <resource><Patient>: the inner element only names the type of the outer one. */
static bool is_wrapped(const struct sax *x, const char *name)
{
    return name[0] >= 'A' && name[0] <= 'Z' && x->b.depth > 0;
}

static void open_wrapped(struct sax *x, const char *name)
{
    struct fhir_node *o = x->b.at[x->b.depth - 1];
    if (o->flags & FHIR_RESOURCE) {
        stop(x, "structure", "Two resources stand in one element");
        return;
    }
    o->flags |= FHIR_RESOURCE;
    o->text = arena_dup(x->b.a, span_of(name));
    /* opened once more: its end tag closes this, and the element around it stays as it is */
    struct fhir_node *last = x->b.last[x->b.depth - 1];
    fhir_build_open(&x->b, o);
    x->b.last[x->b.depth - 1] = last;
}

static void on_start(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_ns, const xmlChar **ns,
                     int n_attrs, int n_defaulted, const xmlChar **attrs)
{
    struct sax *x = ctx;
    const char *name = (const char *)local;
    (void)prefix, (void)n_ns, (void)ns, (void)n_defaulted;
    if (x->has_failed)
        return;
    if (++x->levels > 2 * FHIR_MAX_DEPTH) {
        stop(x, "too-costly", "The resource is nested more than 64 levels deep");
        return;
    }
    if (x->skip || !is_fhir(uri)) {
        if (x->b.depth == 0)
            stop(x, "structure", "The document is not in the namespace http://hl7.org/fhir");
        x->skip++;
        return;
    }
    if (x->b.depth > FHIR_MAX_DEPTH) {
        stop(x, "too-costly", "The resource is nested more than 64 levels deep");
        return;
    }
    if (is_wrapped(x, name)) {
        open_wrapped(x, name);
        return;
    }
    const struct fhir_node *before = x->b.depth ? x->b.last[x->b.depth - 1] : NULL;
    struct fhir_node *o = fhir_build_add(&x->b, name, strlen(name));
    if (!o) {
        stop_full(x);
        return;
    }
    if (before && span_eq(before->name, o->name))
        o->index = before->index + 1;
    fhir_build_open(&x->b, o);
    if (x->b.depth == 1) {
        o->flags |= FHIR_RESOURCE;
        o->text = arena_dup(x->b.a, span_of(name));
    } else {
        read_attributes(x, o, n_attrs, attrs);
    }
}

static void on_end(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    struct sax *x = ctx;
    (void)local, (void)prefix, (void)uri;
    if (x->has_failed)
        return;
    x->levels--;
    if (x->skip) {
        x->skip--;
        return;
    }
    struct fhir_node *o = x->b.at[x->b.depth - 1];
    struct fhir_node *last = x->b.last[x->b.depth - 1];
    fhir_build_close(&x->b);
    if (x->b.depth && x->b.at[x->b.depth - 1] == o)     /* end of a wrapped resource */
        x->b.last[x->b.depth - 1] = last;
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    stop(ctx, "security", "A DOCTYPE is not accepted");
}

static xmlEntityPtr on_entity(void *ctx, const xmlChar *name)
{
    (void)ctx;
    return xmlGetPredefinedEntity(name);
}

static void on_error(void *ctx, xmlErrorPtr e)
{
    struct sax *x = ctx;        /* the error itself is told by the parser's state at the end; nothing is printed */
    if (e->level >= XML_ERR_ERROR && !x->error_line)
        x->error_line = e->line;
}

int fhir_xml_parse(struct arena *a, struct span bytes, struct fhir_tree *out, struct fhir_fault *f)
{
    struct sax *x = arena_zalloc(a, sizeof *x);
    *out = (struct fhir_tree){0};
    *f = (struct fhir_fault){0};
    if (!x || bytes.n > INT32_MAX) {
        *f = (struct fhir_fault){.issue = "too-costly", .text = "The resource is too large", .is_full = true};
        return -1;
    }
    *x = (struct sax){.b = {.a = a, .tree = out}, .f = f};
    xmlSAXHandler handler = {.startElementNs = on_start, .endElementNs = on_end, .internalSubset = on_doctype, .externalSubset = on_doctype,
                             .getEntity = on_entity, .serror = on_error, .initialized = XML_SAX2_MAGIC};
    xmlParserCtxtPtr ctxt = xmlCreateMemoryParserCtxt(bytes.n ? bytes.p : " ", bytes.n ? (int)bytes.n : 1);
    if (!ctxt) {
        *f = (struct fhir_fault){.issue = "structure", .text = "This is not XML"};
        return -1;
    }
    x->ctxt = ctxt;
    (void)xmlCtxtUseOptions(ctxt, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS);
    *ctxt->sax = handler;
    ctxt->userData = x;
    (void)xmlParseDocument(ctxt);
    bool is_good = ctxt->wellFormed && !x->has_failed;
    if (!is_good && !x->has_failed)
        *f = (struct fhir_fault){.issue = "structure", .text = "This is not XML", .line = x->error_line > 0 ? (unsigned)x->error_line : 0};
    xmlFreeDoc(ctxt->myDoc);
    ctxt->myDoc = NULL;
    xmlFreeParserCtxt(ctxt);
    if (is_good && !out->root) {
        *f = (struct fhir_fault){.issue = "structure", .text = "The document is empty"};
        return -1;
    }
    return is_good ? 0 : -1;
}

void fhir_xml_init(void)
{
    xmlInitParser();
}
