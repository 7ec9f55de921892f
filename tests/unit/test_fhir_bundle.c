/*
 * NAME test_fhir_bundle - Bundle types, references, what is refused and why. [n]: item of STANDARDS 10.
 */
#include "test_fhir_util.h"

#define TWO(ref) ENTRY("http://h/fhir/Patient/p1", PAT("")) "," ENTRY("http://h/fhir/Observation/o1", OBS(REF("subject", ref)))

static void must_find(const char *bundle)
{
    struct t t = t_parse(bundle);
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    const struct record *r = &t.r.v[0].records[0];
    if (!r->patient.ids.n || !span_is(r->patient.ids.v[0].value, "C-1"))
        fail_msg("not resolved: %s", bundle);
    t_free(&t);
}

static void test_references(void **state)   /* [item 91] */
{
    (void)state;
    must_find(BUNDLE("collection", TWO("http://h/fhir/Patient/p1")));
    must_find(BUNDLE("collection", TWO("Patient/p1")));
    must_find(BUNDLE("collection", ENTRY("urn:uuid:1", PAT("")) "," ENTRY("urn:uuid:2", OBS(REF("subject", "urn:uuid:1")))));
    must_find(BUNDLE("collection", ENTRY("urn:uuid:1", PAT("")) "," ENTRY("urn:uuid:2", OBS(REF("subject", "Patient/p1")))));
    must_find(BUNDLE("collection", ENTRY("urn:oid:2.999.1", PAT("")) "," ENTRY("urn:uuid:2", OBS(REF("subject", "urn:oid:2.999.1")))));
    must_find(BUNDLE("collection", "{'resource':" PAT("") "},{'resource':" OBS(REF("subject", "urn:uuid:p1")) "}"));
    must_find(BUNDLE("collection", ENTRY("Patient/p1", PAT("")) "," ENTRY("Observation/1", OBS(REF("subject", "Patient/p1")))));
    must_find(BUNDLE("collection", ENTRY("urn:uuid:2", OBS(REF("subject", "#p1") ",'contained':[" PAT("") "]"))));
    must_find(BUNDLE("transaction", "{'fullUrl':'urn:uuid:1','request':{'method':'POST','url':'Patient'},'resource':" PAT("") "},"
        "{'fullUrl':'urn:uuid:2','request':{'method':'POST','url':'Observation'},'resource':" OBS(REF("subject", "Patient?identifier=C%2D1")) "}"));
    must_find(BUNDLE("collection", ENTRY("urn:uuid:1", PAT("")) "," ENTRY("urn:uuid:2", OBS(",'subject':{'identifier':{'value':'C-1'}}"))));
    must_find(BUNDLE("collection", ENTRY("http://h/Patient/p1", "{'resourceType':'Patient','id':'p1','meta':{'versionId':'1'},'identifier':[{'value':'OLD'}]}") ","
        ENTRY("http://h/Patient/p1", "{'resourceType':'Patient','id':'p1','meta':{'versionId':'2'},'identifier':[{'value':'C-1'}]}") ","
        ENTRY("urn:uuid:2", OBS(REF("subject", "http://h/Patient/p1/_history/2")))));
    /* [item 91] in a lone report */
    must_find("{'resourceType':'DiagnosticReport','status':'final'," CODE ",'contained':[" PAT("") ",{'resourceType':'Observation','id':'o1','status':'final'," CODE "}]"
              REF("subject", "#p1") REFS("result", "#o1") "}");
}

static void must_warn(const char *bundle, const char *name, const char *id)
{
    struct t t = t_parse(bundle);
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    if (!t_has_warning(&t, name))
        fail_msg("no %s", name);
    const struct rec_patient *p = &t.r.v[0].records[0].patient;
    assert_span(p->ids.n ? p->ids.v[0].value : SPAN_ABSENT, id);
    assert_int_equal(p->is_present, id != NULL);
    t_free(&t);
}

static void test_unresolved(void **state)
{
    static const struct fhir_options strict = {.is_strict = true};
    (void)state;
    must_warn(BUNDLE("collection", TWO("http://other/fhir/Patient/p1")), "W_UNRESOLVED_SUBJECT", NULL);     /* never fetched, never guessed */
    must_warn(BUNDLE("collection", TWO("Patient/p2")), "W_UNRESOLVED_SUBJECT", NULL);
    must_warn(BUNDLE("collection", ENTRY("urn:uuid:2", OBS(REF("subject", "Patient?identifier=urn:x|C-9")))), "W_COND_REF_UNRESOLVED", "C-9");
    must_warn(BUNDLE("collection", ENTRY("urn:uuid:1", PAT("")) "," ENTRY("urn:uuid:3", "{'resourceType':'Patient','id':'p1','identifier':[{'value':'X'}]}") ","
              ENTRY("urn:uuid:2", OBS(REF("subject", "Patient/p1")))), "W_AMBIGUOUS_SUBJECT", NULL);
    must_warn(BUNDLE("collection", ENTRY("urn:uuid:1", "{'resourceType':'Group','id':'g'}") "," ENTRY("urn:uuid:2", OBS(REF("subject", "urn:uuid:1")))),
              "W_SUBJECT_NOT_PATIENT", NULL);
    struct t t = t_with(&strict, BUNDLE("collection", TWO("Patient/p2")));
    assert_issue(&t, PARSE_REFUSE, "not-found", "Bundle.entry[1].resource.subject.reference");
    t_free(&t);
    t = t_parse(BUNDLE("transaction", "{'fullUrl':'urn:uuid:1','request':{'method':'POST'},'resource':" PAT("") "},"
        "{'fullUrl':'urn:uuid:3','request':{'method':'POST'},'resource':" PAT("") "},"
        "{'fullUrl':'urn:uuid:2','request':{'method':'POST'},'resource':" OBS(REF("subject", "Patient?identifier=C-1")) "}"));
    assert_issue(&t, PARSE_REFUSE, "multiple-matches", "Bundle.entry[2].resource.subject.reference");
    t_free(&t);
}

static void test_types(void **state)        /* [item 105] */
{
    static const char *const refused[] = {"batch-response", "transaction-response", "subscription-notification", "nonsense"};
    char text[400];
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(text, sizeof text, "{'resourceType':'Bundle','type':'%s','entry':[]}", refused[i]);
        struct t t = t_parse(text);
        assert_issue(&t, PARSE_REFUSE, "invalid", "Bundle.type");
        t_free(&t);
    }
    struct t t = t_parse("{'resourceType':'Bundle','entry':[]}");
    assert_issue(&t, PARSE_REFUSE, "required", "Bundle.type");
    t_free(&t);
    t = t_parse("{'resourceType':'Patient'}");
    assert_issue(&t, PARSE_REJECT, "not-supported", "Patient");
    t_free(&t);
    t = t_parse("{'a':1}");
    assert_int_equal(t.r.v[0].fate, PARSE_QUARANTINE);
    t_free(&t);
    t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:1", PAT(""))));
    assert_int_equal(t.r.v[0].fate, PARSE_FILTER);
    assert_string_equal(t.r.v[0].filter_reason, "NO_RESULT");
    t_free(&t);
    t = t_parse(BUNDLE("searchset", ENTRY("urn:uuid:1", OBS("")) ",{'search':{'mode':'outcome'},'resource':{'resourceType':'OperationOutcome'}}"));
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(fhir_info_of(&t.r.v[0])->kind, FHIR_SEARCHSET);
    t_free(&t);
}

static void test_history(void **state)
{
    struct t t = t_parse(BUNDLE("history",
        ENTRY("http://h/Observation/1", "{'resourceType':'Observation','id':'1','meta':{'versionId':'2'},'status':'final'," CODE ",'valueString':'old'}") ","
        ENTRY("http://h/Observation/1", "{'resourceType':'Observation','id':'1','meta':{'versionId':'3'},'status':'corrected'," CODE ",'valueString':'new'}") ","
        ENTRY("http://h/Observation/1", "{'resourceType':'Observation','id':'1','meta':{'versionId':'1'},'status':'preliminary'," CODE "}")));
    (void)state;
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[0].n_records, 1);
    assert_int_equal(t.r.v[0].observations, 3);         /* the older ones are part of the newest */
    assert_span(t_obs(&t, 0, 0)->value.text, "new");
    t_free(&t);
}

static void test_atomic(void **state)       /* [item 89] */
{
#define REQ "'request':{'method':'POST','url':'x'},"
#define THREE "{'fullUrl':'urn:uuid:1'," REQ "'resource':" OBS("") "},{'fullUrl':'urn:uuid:2'," REQ "'resource':{'resourceType':'Observation'," CODE "}}," \
              "{'fullUrl':'urn:uuid:3'," REQ "'resource':" OBS("") "}"
    struct t t = t_parse(BUNDLE("transaction", THREE));
    (void)state;
    assert_issue(&t, PARSE_REFUSE, "required", "Bundle.entry[1].resource.status");
    t_free(&t);
    t = t_parse(BUNDLE("batch", THREE));
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[0].observations, 2);
    const struct fhir_info *info = fhir_info_of(&t.r.v[0]);
    assert_int_equal(info->n_entries, 3);
    assert_null(info->entries[0].issue);
    assert_non_null(info->entries[1].issue);
    assert_null(info->entries[2].issue);
    t_free(&t);
    t = t_parse(BUNDLE("batch", "{'fullUrl':'urn:uuid:2'," REQ "'resource':{'resourceType':'Observation'," CODE "}}"));
    assert_int_equal(t.r.v[0].fate, PARSE_REFUSE);
    t_free(&t);
    /* what leans on a refused Patient is refused with it; the rest is not */
    t = t_parse(BUNDLE("batch", "{'fullUrl':'urn:uuid:1'," REQ "'resource':" PAT(",'modifierExtension':[{'url':'urn:m'}]") "},"
        "{'fullUrl':'urn:uuid:2'," REQ "'resource':" OBS(REF("subject", "urn:uuid:1")) "},{'fullUrl':'urn:uuid:3'," REQ "'resource':" OBS("") "}"));
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[0].observations, 1);
    assert_non_null(fhir_info_of(&t.r.v[0])->entries[1].issue);
    t_free(&t);
    /* a refused report takes what it contains with it */
    t = t_parse(BUNDLE("batch", "{'fullUrl':'urn:uuid:1'," REQ "'resource':{'resourceType':'DiagnosticReport'," CODE ",'contained':[" OBS("") "]}},"
        "{'fullUrl':'urn:uuid:3'," REQ "'resource':" OBS("") "}"));
    assert_int_equal(t.r.v[0].observations, 1);
    t_free(&t);
    t = t_parse(BUNDLE("transaction", "{'fullUrl':'urn:uuid:1','request':{'method':'DELETE','url':'Observation/1'}}"));
    assert_issue(&t, PARSE_REFUSE, "not-supported", "Bundle.entry[0].request.method");
    t_free(&t);
    t = t_parse(BUNDLE("transaction", "{'fullUrl':'http://h/Observation/1','request':{'method':'PUT','url':'Observation/1'},"
        "'resource':{'resourceType':'Observation','id':'1',"
        "'status':'final'," CODE "}},{'fullUrl':'urn:uuid:2','request':{'method':'PUT','url':'Observation/1'},'resource':{'resourceType':'Observation','id':'1',"
        "'status':'final'," CODE "}}"));
    assert_issue(&t, PARSE_REFUSE, "invalid", "Bundle.entry[1].request");
    t_free(&t);
}

/* What is found only while records are made concerns the whole message, in a batch, too. */
static void test_late(void **state)
{
    static const struct fhir_options strict = {.is_strict = true};
    struct t t = t_with(&strict, BUNDLE("batch", "{'fullUrl':'urn:uuid:1'," REQ "'resource':" OBS(",'effectiveDateTime':'no date'") "},{'fullUrl':'urn:uuid:2',"
        REQ "'resource':" OBS("") "}"));
    struct buf b;
    (void)state;
    assert_issue(&t, PARSE_REFUSE, "value", "Bundle.entry[0].resource.effectiveDateTime");
    t_free(&t);
    buf_init(&b, (size_t)4 << 20);          /* 1100 specimens in one report */
    buf_adds(&b, "{'resourceType':'DiagnosticReport','status':'final'," CODE ",'contained':[");
    for (int i = 0; i < 1100; i++)
        buf_addf(&b, "%s{'resourceType':'Specimen','id':'s%d'},{'resourceType':'Observation','id':'o%d','status':'final'," CODE ","
        "'specimen':{'reference':'#s%d'}}", i ? "," : "", i, i, i);
    buf_adds(&b, "],'result':[");
    for (int i = 0; i < 1100; i++)
        buf_addf(&b, "%s{'reference':'#o%d'}", i ? "," : "", i);
    buf_adds(&b, "]}");
    t = t_parse(b.p);
    assert_int_equal(t.r.v[0].fate, PARSE_REFUSE);
    assert_string_equal(t.r.v[0].problems[0].name, "too-costly");
    t_free(&t);
    buf_clear(&b);
}

static void test_full_urls(void **state)
{
    static const struct fhir_options strict = {.is_strict = true}, few = {.max_entries = 1};
    struct t t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:1", OBS("")) "," ENTRY("urn:uuid:1", OBS(""))));
    (void)state;
    assert_issue(&t, PARSE_REFUSE, "invalid", "Bundle.entry[1].fullUrl");
    t_free(&t);
    t = t_with(&strict, BUNDLE("collection", ENTRY("http://h/Patient/other", PAT("")) "," ENTRY("urn:uuid:2", OBS(""))));
    assert_issue(&t, PARSE_REFUSE, "value", "Bundle.entry[0].fullUrl");
    t_free(&t);
    t = t_with(&few, BUNDLE("collection", ENTRY("urn:uuid:1", OBS("")) "," ENTRY("urn:uuid:2", OBS(""))));
    assert_issue(&t, PARSE_REFUSE, "too-costly", "Bundle.entry");
    t_free(&t);
}

static void test_modifiers(void **state)    /* [item 93] */
{
    static char *known[] = {(char *)(uintptr_t)"urn:m"};
    static const struct fhir_options knows = {.known_modifiers = {known, 1}};
    static const struct { const char *text, *path; } bad[] = {
        {BUNDLE("collection", ENTRY("urn:uuid:1", OBS(",'modifierExtension':[{'url':'urn:m'}]"))), "Bundle.entry[0].resource.modifierExtension[0]"},
        {BUNDLE("collection", ENTRY("urn:uuid:1", OBS(",'component':[{" CODE ",'modifierExtension':[{'url':'urn:m'}]}]"))),
         "Bundle.entry[0].resource.component[0].modifierExtension[0]"},
        {BUNDLE("collection", ENTRY("urn:uuid:1", OBS(",'implicitRules':'urn:m'"))), "Bundle.entry[0].resource.implicitRules"},
        {BUNDLE("collection", "{'modifierExtension':[{'url':'urn:m'}],'resource':" OBS("") "}"), "Bundle.entry[0].modifierExtension[0]"},
        {OBS(",'contained':[{'resourceType':'Patient','id':'p1','name':[{'modifierExtension':[{'url':'urn:m'}]}]}]" REF("subject", "#p1")),
         "Observation.contained[0].name[0].modifierExtension[0]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct t t = t_parse(bad[i].text);
        assert_issue(&t, PARSE_REFUSE, "extension", bad[i].path);
        assert_non_null(strstr(t.r.v[0].problems[0].text, "UNKNOWN_MODIFIER"));
        t_free(&t);
        t = t_with(&knows, bad[i].text);
        assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
        t_free(&t);
    }
    struct t t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:1", OBS(",'extension':[{'url':'urn:any','valueString':'x'}]"))));
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[0].n_problems, 0);
    t_free(&t);
}

static void test_other_versions(void **state)       /* [item 103] */
{
    static const struct fhir_options allow = {.is_other_version_allowed = true};
    static const struct { const char *text, *path; } bad[] = {
        {OBS(",'valueAttachment':{'url':'http://x'}"), "Observation.valueAttachment"},
        {OBS(",'valueReference':{'reference':'X/1'}"), "Observation.valueReference"},
        {OBS(",'comment':'x'"), "Observation.comment"},
        {OBS(",'interpretation':{'coding':[{'code':'POS'}]}"), "Observation.interpretation[0]"},
        {OBS(",'meta':{'profile':['http://hl7.org/fhir/5.0/StructureDefinition/Observation']}"), "Observation.meta.profile[0]"},
        {DR(",'composition':{'reference':'Composition/1'}"), "DiagnosticReport.composition"},
        {DR(",'codedDiagnosis':[{'text':'x'}]"), "DiagnosticReport.codedDiagnosis"},
        {BUNDLE("collection", ENTRY("urn:uuid:1", "{'resourceType':'ServiceRequest','code':{'concept':{'text':'x'}}}") "," ENTRY("urn:uuid:2", OBS(""))),
         "Bundle.entry[0].resource.code.concept"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct t t = t_parse(bad[i].text);
        assert_issue(&t, PARSE_REJECT, "not-supported", bad[i].path);
        t_free(&t);
        t = t_with(&allow, bad[i].text);
        assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
        assert_true(t_has_warning(&t, "W_OTHER_VERSION"));
        t_free(&t);
    }
}

static void test_test_data(void **state)    /* S16 */
{
    static const struct fhir_options hold = {.test_data = FHIR_TEST_DATA_HOLD};
    const char *text = BUNDLE("collection", ENTRY("urn:uuid:1", PAT(",'meta':{'security':[{'code':'HTEST'}]}")) "," ENTRY("urn:uuid:2", OBS("")));
    struct t t = t_parse(text);
    (void)state;
    assert_issue(&t, PARSE_REJECT, "business-rule", "Bundle.entry[0].resource.meta");
    assert_span(t.r.v[0].message.processing_id, "T");
    t_free(&t);
    t = t_with(&hold, text);
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_span(t.r.v[0].message.processing_id, "T");
    assert_true(t_has_warning(&t, "W_NONPRODUCTION"));
    assert_span(t.r.v[0].records[0].warnings.v[0], "W_NONPRODUCTION");      /* by it the rules hold */
    t_free(&t);
}

static void test_lines(void **state)
{
    struct t t = t_parse("{'resourceType':'Patient','id':'p1','identifier':[{'value':'C-1'}]}\n" OBS(REF("subject", "Patient/p1")) "\n\n" OBS("") "\n");
    (void)state;
    assert_int_equal(t.r.n, 1);
    assert_int_equal(t.r.v[0].observations, 2);
    assert_span(t.r.v[0].records[0].patient.ids.v[0].value, "C-1");
    assert_span(t_obs(&t, 1, 0)->path, "Bundle.entry[2].resource");
    assert_int_equal(fhir_info_of(&t.r.v[0])->kind, FHIR_NDJSON);
    t_free(&t);
    t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:1", OBS(""))) "\n" BUNDLE("batch-response", "") "\n{'a':\n");
    assert_int_equal(t.r.n, 3);
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[1].fate, PARSE_REFUSE);
    assert_int_equal(t.r.v[2].fate, PARSE_QUARANTINE);
    t_free(&t);
}

static void test_envelope(void **state)
{
    struct t t = t_parse("{'resourceType':'Bundle','id':'x','type':'message','timestamp':'2026-05-04T14:22:33.125Z','entry':["
        ENTRY("urn:uuid:1", "{'resourceType':'MessageHeader','id':'mh-7','source':{'name':'LIS','endpoint':'http://lis'},'sender':{'reference':'urn:uuid:3'}}") ","
        ENTRY("urn:uuid:3", "{'resourceType':'Organization','identifier':[{'value':'LAB01'}],'name':'Lab'}") "," ENTRY("urn:uuid:2", OBS("")) "]}");
    const struct rec_message *m = &t.r.v[0].message;
    (void)state;
    assert_span(m->kind, "Bundle:message");
    assert_span(m->control_id, "mh-7");
    assert_span(m->source_app.value, "LIS");
    assert_span(m->source_app.ns, "http://lis");
    assert_span(m->source_facility.value, "LAB01");
    assert_span(m->sent_at.v, "2026-05-04T14:22:33.125");
    assert_span(m->sent_at.zone, "Z");
    assert_int_equal(m->sent_at.prec, 'F');
    assert_span(t.r.v[0].records[0].report.lab.id, "LAB01");
    assert_ptr_equal(t.r.v[0].records[0].message, m);
    t_free(&t);
    t = t_parse(OBS(""));
    assert_int_equal(t.r.v[0].message.control_id.n, 39);        /* sha256:… of the bytes: a resend is known again */
    t_free(&t);
}

static void test_sniff(void **state)
{
    (void)state;
    assert_true(fhir_parser.sniff(SPAN_LIT("\xEF\xBB\xBF \n{")));
    assert_true(fhir_parser.sniff(SPAN_LIT("<?xml")));
    assert_true(fhir_parser.sniff(span_make("\xFF\xFE<\0?", 5)));
    assert_false(fhir_parser.sniff(SPAN_LIT("MSH|^~\\&|")));
    assert_false(fhir_parser.sniff(SPAN_LIT("[1]")));
    assert_false(fhir_parser.sniff(SPAN_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references), cmocka_unit_test(test_unresolved), cmocka_unit_test(test_types), cmocka_unit_test(test_history),
        cmocka_unit_test(test_atomic), cmocka_unit_test(test_late), cmocka_unit_test(test_full_urls), cmocka_unit_test(test_modifiers),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_test_data), cmocka_unit_test(test_lines), cmocka_unit_test(test_envelope), cmocka_unit_test(test_sniff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
