/*
 * NAME test_fhir_reply - OperationOutcome and response Bundles: right codes, paths, order, and never a value. [n]: STANDARDS 10.
 */
#include <jansson.h>
#include <libxml/parser.h>

#include "fhir_reply.h"
#include "test_fhir_util.h"

static json_t *load(struct buf *b)
{
    json_error_t e;
    json_t *j = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, &e);
    if (!j)
        fail_msg("not JSON: %s: %s", e.text, b->p);
    buf_clear(b);
    return j;
}

static const char *text_at(json_t *j, const char *path)     /* "entry.1.response.status" */
{
    char name[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, (size_t)strtoul(name, NULL, 10)) : json_object_get(j, name);
        path += n + (path[n] == '.');
    }
    return json_is_string(j) ? json_string_value(j) : "";
}

/* The XML form is well-formed and gives the tree of the JSON form. */
static void must_agree(struct buf *json, struct buf *xml)
{
    struct arena *a = arena_new((size_t)4 << 20);
    struct fhir_tree j, x;
    struct fhir_fault f;
    const struct fhir_node *where;
    assert_false(json->is_full || xml->is_full);
    assert_int_equal(fhir_json_parse(a, buf_span(json), &j, &f), 0);
    assert_int_equal(fhir_xml_parse(a, buf_span(xml), &x, &f), 0);
    if (!fhir_tree_equal(j.root, x.root, &where))
        fail_msg("differs at %.*s\n%s\n%s", SPAN_ARG(fhir_path(a, where, NULL)), json->p, xml->p);
    assert_null(j.odd);
    buf_clear(xml);
    arena_free(a);
}

#define REQ "'request':{'method':'POST','url':'x'},"
#define TRANSACTION BUNDLE("transaction", "{'fullUrl':'urn:uuid:1'," REQ "'resource':" PAT("") "}," \
    "{'fullUrl':'http://h/Observation/o-1','request':{'method':'PUT','url':'Observation/o-1'},'resource':{'resourceType':'Observation','id':'o-1'," \
        "'status':'final'," CODE "}}," \
    "{'fullUrl':'urn:uuid:3'," REQ "'resource':" OBS("") "}")

static void test_transaction(void **state)  /* [item 88] */
{
    struct t t = t_parse(TRANSACTION);
    const struct parsed *p = &t.r.v[0];
    struct buf b, x;
    (void)state;
    for (int i = 0; i < 2; i++) {
        buf_init(i ? &x : &b, 1 << 20);
        fhir_reply_bundle(i ? &x : &b, i ? REC_FHIR_XML : REC_FHIR_JSON, p, FATE_STORED, "https://gw/fhir", INT64_C(1777896153123456));
    }
    must_agree(&b, &x);
    json_t *j = load(&b);
    assert_string_equal(text_at(j, "type"), "transaction-response");
    assert_int_equal(json_array_size(json_object_get(j, "entry")), 3);
    assert_string_equal(text_at(j, "entry.0.response.status"), "201 Created");
    assert_memory_equal(text_at(j, "entry.0.response.location"), "https://gw/fhir/Patient/", 24);
    assert_string_equal(text_at(j, "entry.1.response.location"), "https://gw/fhir/Observation/o-1/_history/1");
    assert_string_equal(text_at(j, "entry.2.response.etag"), "W/\"1\"");
    assert_string_equal(text_at(j, "entry.2.response.lastModified"), "2026-05-04T12:02:33.123Z");
    assert_string_not_equal(text_at(j, "entry.0.response.location"), text_at(j, "entry.2.response.location"));
    json_decref(j);
    char one[65], two[65];
    fhir_reply_id(p, 2, one);
    fhir_reply_id(p, 2, two);
    assert_string_equal(one, two);          /* the same Bundle gets the same answer */
    assert_int_equal(strlen(one), 36);
    assert_int_equal(fhir_reply_status(p, FATE_STORED), 200);
    t_free(&t);
}

static void test_batch(void **state)        /* [item 89] */
{
    struct t t = t_parse(BUNDLE("batch", "{'fullUrl':'urn:uuid:1'," REQ "'resource':" OBS("") "},{'fullUrl':'urn:uuid:2',"
        REQ "'resource':{'resourceType':'Observation'," CODE "}}"));
    struct buf b, x;
    (void)state;
    for (int i = 0; i < 2; i++) {
        buf_init(i ? &x : &b, 1 << 20);
        fhir_reply_bundle(i ? &x : &b, i ? REC_FHIR_XML : REC_FHIR_JSON, &t.r.v[0], FATE_STORED, "http://gw", 0);
    }
    must_agree(&b, &x);
    json_t *j = load(&b);
    assert_string_equal(text_at(j, "type"), "batch-response");
    assert_string_equal(text_at(j, "entry.0.response.status"), "201 Created");
    assert_string_equal(text_at(j, "entry.1.response.status"), "422 Unprocessable Entity");
    assert_string_equal(text_at(j, "entry.1.response.outcome.issue.0.code"), "required");
    assert_string_equal(text_at(j, "entry.1.response.outcome.issue.0.expression.0"), "Bundle.entry[1].resource.status");
    json_decref(j);
    t_free(&t);
}

static void test_outcome(void **state)
{
    static const struct { enum frame_fate fate; const char *severity, *code; unsigned status; } v[] = {
        {FATE_STORED, "information", "informational", 201}, {FATE_DUPLICATE, "information", "duplicate", 200}, {FATE_BUSY, "error", "transient", 503}};
    struct t t = t_parse(OBS(""));
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct buf b, x;
        buf_init(&b, 1 << 20);
        buf_init(&x, 1 << 20);
        fhir_reply_message(&b, REC_FHIR_JSON, &t.r.v[0], v[i].fate);
        fhir_reply_message(&x, REC_FHIR_XML, &t.r.v[0], v[i].fate);
        must_agree(&b, &x);
        json_t *j = load(&b);
        assert_string_equal(text_at(j, "resourceType"), "OperationOutcome");
        assert_string_equal(text_at(j, "issue.0.severity"), v[i].severity);
        assert_string_equal(text_at(j, "issue.0.code"), v[i].code);
        assert_int_equal(fhir_reply_status(&t.r.v[0], v[i].fate), v[i].status);
        json_decref(j);
    }
    t_free(&t);
}

/* What reply() of the module says about a text. Caller frees. */
static char *reply_to(struct t *t, enum frame_fate fate)
{
    struct span *v = NULL;
    size_t n = 0;
    struct err e = ERR_INIT;
    enum frame_fate fates[8] = {fate, fate, fate};
    const struct reply_conf rc = {0};
    assert_int_equal(fhir_parser.reply(NULL, &t->r, fates, &rc, t->a, &v, &n, &e), 0);
    assert_int_equal(n, 1);
    char *text = (char *)(uintptr_t)v[0].p;
    free(v);
    return text;
}

static void test_no_values(void **state)    /* S21 */
{
    static const char *const bad[] = {
        BUNDLE("collection", ENTRY("urn:uuid:SECRET1", "{'resourceType':'Patient','identifier':[{'value':'SECRET2'}],'birthDate':'SECRET3','gender':'SECRET4',"
        "'name':[{'family':'SECRET5'}]}") ","
               ENTRY("urn:uuid:2", OBS_OF("SECRET6", REF("subject", "Patient/SECRET7") ",'valueQuantity':{'value':'SECRET8'}"))),
        "{'resourceType':'Bundle','SECRET9':1,'SECRET9':2}", "{'resourceType':'Bundle','type':'SECRET'}", "{'resourceType':'Bundle','x':'SECRET",
        "<Bundle>SECRET</Bundle>",
        "<Bundle xmlns='http://hl7.org/fhir'><id value='SECRET'></Bundle>"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct t t = t_parse(bad[i]);
        char *text = reply_to(&t, t.r.v[0].fate == PARSE_QUARANTINE ? FATE_QUARANTINED : FATE_REFUSED);
        assert_true(t.r.v[0].fate >= PARSE_REFUSE);
        assert_null(strstr(text, "SECRET"));
        assert_non_null(strstr(text, "error"));
        free(text);
        t_free(&t);
    }
}

static void test_forms(void **state)
{
    struct t t = t_parse("<Observation xmlns='http://hl7.org/fhir'><status value='odd'/></Observation>");
    (void)state;
    char *text = reply_to(&t, FATE_REFUSED);
    assert_memory_equal(text, "<?xml", 5);                  /* in the sender's own form */
    assert_non_null(strstr(text, "<expression value=\"Observation.status\"/>"));
    assert_int_equal(fhir_reply_status(&t.r.v[0], FATE_REFUSED), 422);
    free(text);
    t_free(&t);
    struct span payload;
    struct err e = ERR_INIT;
    assert_int_equal(fhir_parser.busy(NULL, SPAN_LIT("{"), NULL, NULL, &payload, &e), 0);
    assert_non_null(strstr(payload.p, "\"transient\""));
    free((char *)(uintptr_t)payload.p);
}

static void test_process_message(void **state)      /* [item 101] */
{
    struct t t = t_parse(BUNDLE("message", ENTRY("urn:uuid:1", "{'resourceType':'MessageHeader','id':'mh-1','source':{'endpoint':'http://lis/in'}}") ","
        "" ENTRY("urn:uuid:2", OBS(""))));
    static const struct { enum frame_fate fate; const char *code; } v[] = {
        {FATE_STORED, "ok"}, {FATE_DUPLICATE, "ok"}, {FATE_REFUSED, "fatal-error"}, {FATE_BUSY, "transient-error"}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct buf b, x;
        buf_init(&b, 1 << 20);
        buf_init(&x, 1 << 20);
        fhir_reply_process(&b, REC_FHIR_JSON, &t.r.v[0], v[i].fate, "https://gw/fhir/$process-message", 0);
        fhir_reply_process(&x, REC_FHIR_XML, &t.r.v[0], v[i].fate, "https://gw/fhir/$process-message", 0);
        must_agree(&b, &x);
        json_t *j = load(&b);
        assert_string_equal(text_at(j, "entry.0.resource.response.identifier"), "mh-1");
        assert_string_equal(text_at(j, "entry.0.resource.response.code"), v[i].code);
        assert_string_equal(text_at(j, "entry.0.resource.destination.0.endpoint"), "http://lis/in");
        assert_string_equal(text_at(j, "entry.0.resource.response.details.reference"), text_at(j, "entry.1.fullUrl"));
        assert_string_equal(text_at(j, "entry.1.resource.resourceType"), "OperationOutcome");
        json_decref(j);
    }
    t_free(&t);
}

static void test_single(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 16);
    fhir_reply_outcome(&b, REC_FHIR_XML, "error", "not-supported", "a < b & \"c\"", NULL);
    assert_string_equal(b.p, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OperationOutcome xmlns=\"http://hl7.org/fhir\"><issue><severity value=\"error\"/>"
                        "<code value=\"not-supported\"/><diagnostics value=\"a &lt; b &amp; &quot;c&quot;\"/></issue></OperationOutcome>");
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transaction), cmocka_unit_test(test_batch), cmocka_unit_test(test_outcome), cmocka_unit_test(test_no_values),
        cmocka_unit_test(test_forms), cmocka_unit_test(test_process_message), cmocka_unit_test(test_single),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    xmlCleanupParser();
    return rc;
}
