/*
 * NAME test_fhir_observation - Observation, component, panel, report, specimen, patient to the record. [n]: item of STANDARDS 10.
 */
#include "test_fhir_util.h"

static void test_values(void **state)       /* [item 94] */
{
    static const struct { const char *json; enum rec_value_type type; const char *text, *num1, *comparator, *num2; } v[] = {
        {"'valueQuantity':{'value':1.00,'unit':'g'}", REC_V_NUMBER, "1.00", "1.00", NULL, NULL},
        {"'valueQuantity':{'value':1.0E2}", REC_V_NUMBER, "1.0E2", "1.0E2", NULL, NULL},
        {"'valueQuantity':{'value':100,'comparator':'>'}", REC_V_STRUCTURED, ">100", "100", ">", NULL},
        {"'valueQuantity':{'value':100,'comparator':'ad'}", REC_V_TEXT, "ad100", NULL, NULL, NULL},
        {"'valueQuantity':{'unit':'g'}", REC_V_NONE, NULL, NULL, NULL, NULL},
        {"'valueCodeableConcept':{'coding':[{'system':'http://snomed.info/sct','code':'260373001','display':'Detected'}]}", REC_V_CODED, "Detected", NULL, NULL, NULL},
        {"'valueCodeableConcept':{'text':'Detected'}", REC_V_CODED, "Detected", NULL, NULL, NULL},
        {"'valueCodeableConcept':{}", REC_V_NONE, NULL, NULL, NULL, NULL},
        {"'valueString':' Not detected '", REC_V_TEXT, " Not detected ", NULL, NULL, NULL},
        {"'valueBoolean':true", REC_V_BOOLEAN, "true", NULL, NULL, NULL},
        {"'valueInteger':24", REC_V_NUMBER, "24", "24", NULL, NULL},
        {"'valueRange':{'low':{'value':1.0},'high':{'value':20}}", REC_V_RANGE, "1.0-20", "1.0", "=", "20"},
        {"'valueRange':{'high':{'value':20}}", REC_V_STRUCTURED, "<=20", "20", "<=", NULL},
        {"'valueRatio':{'numerator':{'value':1},'denominator':{'value':128}}", REC_V_RATIO, "1:128", "1", "=", "128"},
        {"'valueRatio':{'numerator':{'value':5,'code':'mg'},'denominator':{'value':1,'code':'mL'}}", REC_V_TEXT, "5 mg:1 mL", NULL, NULL, NULL},
        {"'valueSampledData':{'origin':{'value':0},'period':10,'dimensions':1,'data':'1 2 3'}", REC_V_OTHER, "1 2 3", NULL, NULL, NULL},
        {"'valueTime':'12:30:00'", REC_V_TIME, "12:30:00", NULL, NULL, NULL},
        {"'valueDateTime':'2026-05-04'", REC_V_DATE, "2026-05-04", NULL, NULL, NULL},
        {"'valuePeriod':{'start':'2026-05-04','end':'2026-05-05'}", REC_V_DATE, "2026-05-04/2026-05-05", NULL, NULL, NULL},
    };
    char text[600];
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        (void)snprintf(text, sizeof text, "{'resourceType':'Observation','status':'final'," CODE ",%s}", v[i].json);
        struct t t = t_parse(text);
        const struct rec_value *got = &t_obs(&t, 0, 0)->value;
        if (got->type != v[i].type)
            fail_msg("%s is %s", v[i].json, rec_value_type_name(got->type));
        assert_span(got->text, v[i].text);
        assert_span(got->num1, v[i].num1);
        assert_span(got->comparator, v[i].comparator);
        assert_span(got->num2, v[i].num2);
        t_free(&t);
    }
    struct t t = t_parse(OBS(",'valueQuantity':{'value':7,'unit':'copies','system':'http://unitsofmeasure.org','code':'[copies]'}"));
    assert_span(t_obs(&t, 0, 0)->unit.code, "[copies]");
    assert_span(t_obs(&t, 0, 0)->unit.display, "copies");
    assert_span(t_obs(&t, 0, 0)->unit.system, "http://unitsofmeasure.org");
    assert_span(t_obs(&t, 0, 0)->value.path, "Observation.valueQuantity");
    t_free(&t);
    t = t_parse(OBS(",'valueString':'a','valueInteger':1"));
    assert_issue(&t, PARSE_REFUSE, "structure", "Observation.valueInteger");
    t_free(&t);
}

static void test_status(void **state)       /* [item 97] */
{
    static const struct { const char *code; enum obs_status status; } v[] = {
        {"registered", OBS_ST_REGISTERED}, {"preliminary", OBS_ST_PRELIMINARY}, {"final", OBS_ST_FINAL}, {"amended", OBS_ST_AMENDED},
        {"corrected", OBS_ST_CORRECTED}, {"cancelled", OBS_ST_CANCELLED}, {"entered-in-error", OBS_ST_WITHDRAWN}, {"unknown", OBS_ST_UNKNOWN}};
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        (void)snprintf(text, sizeof text, "{'resourceType':'Observation','status':'%s'," CODE "}", v[i].code);
        struct t t = t_parse(text);
        assert_int_equal(t_obs(&t, 0, 0)->status, v[i].status);
        t_free(&t);
    }
    struct t t = t_parse(OBS_OF("Final", ""));
    assert_issue(&t, PARSE_REFUSE, "code-invalid", "Observation.status");
    t_free(&t);
    t = t_parse("{'resourceType':'Observation'," CODE "}");
    assert_issue(&t, PARSE_REFUSE, "required", "Observation.status");
    t_free(&t);
    t = t_parse("{'resourceType':'Observation','status':'final'}");
    assert_issue(&t, PARSE_REFUSE, "required", "Observation.code");
    t_free(&t);
    t = t_parse("{'resourceType':'Observation','_status':{'extension':[{'url':'u','valueCode':'unknown'}]}," CODE "}");
    assert_int_equal(t_obs(&t, 0, 0)->status, OBS_ST_UNKNOWN);
    t_free(&t);
    t = t_parse(OBS_OF("cancelled", ",'dataAbsentReason':{'coding':[{'code':'not-asked'}]}"));
    assert_int_equal(t_obs(&t, 0, 0)->status, OBS_ST_NOT_ASKED);
    t_free(&t);
    /* a report entered in error withdraws all it names */
    t = t_parse("{'resourceType':'DiagnosticReport','status':'entered-in-error'," CODE ",'contained':[{'resourceType':'Observation','id':'o','status':'final'," CODE "}]"
                REFS("result", "#o") "}");
    assert_int_equal(t_obs(&t, 0, 0)->status, OBS_ST_WITHDRAWN);
    t_free(&t);
}

static void test_components(void **state)   /* [item 96] */
{
    struct t t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:1", PAT("")) "," ENTRY("urn:uuid:3", "{'resourceType':'Specimen','identifier':[{'value':'S1'}]}") ","
        ENTRY("urn:uuid:2", OBS_OF("preliminary", REF("subject", "urn:uuid:1") REF("specimen", "urn:uuid:3") ",'effectiveDateTime':'2026-05-04T08:00:00+02:00',"
        "'component':["
        "{'code':{'coding':[{'system':'http://loinc.org','code':'A'}]},'valueString':'x'},{'code':{'coding':[{'system':'http://loinc.org','code':'B'}]},"
        "'valueInteger':2},"
        "{'code':{'text':'C'},'dataAbsentReason':{'coding':[{'code':'error'}]},'interpretation':[{'coding':[{'code':'POS'}]}]}]"))));
    (void)state;
    const struct record *r = &t.r.v[0].records[0];
    assert_int_equal(t.r.v[0].observations, 4);
    assert_int_equal(r->n, 4);
    assert_int_equal(r->observations[0].role, OBS_PANEL);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(r->observations[i].role, OBS_RESULT);
        assert_int_equal(r->observations[i].status, OBS_ST_PRELIMINARY);
        assert_span(r->observations[i].observed_at.v, "2026-05-04T08:00:00");
    }
    assert_span(r->observations[1].key, "A|LN|1");
    assert_span(r->observations[2].sub_id, "2");
    assert_span(r->observations[3].key, "C||3");
    assert_span(r->observations[3].absent, "error");
    assert_span(r->observations[3].interpretation.v[0], "POS");
    assert_span(r->observations[1].path, "Bundle.entry[2].resource.component[0]");
    assert_span(r->specimen.id, "S1");
    assert_span(r->patient.ids.v[0].value, "C-1");
    t_free(&t);
}

#define MEMBER(id, more) "{'fullUrl':'urn:uuid:" id "','resource':{'resourceType':'Observation','id':'" id "','status':'final'," CODE more "}}"

static void test_members(void **state)      /* [item 92] */
{
    struct t t = t_parse(BUNDLE("collection", MEMBER("1", ",'hasMember':[{'reference':'urn:uuid:2'},{'reference':'urn:uuid:3'}]") ","
                                MEMBER("2", ",'hasMember':[{'reference':'urn:uuid:1'}],'valueString':'x'") "," MEMBER("3", ",'hasMember':[{'reference':'urn:uuid:3'}]")));
    (void)state;
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    assert_int_equal(t.r.v[0].observations, 3);
    assert_true(t_has_warning(&t, "W_CIRCULAR_OR_SHARED"));
    t_free(&t);
    t = t_parse(BUNDLE("collection", MEMBER("1", ",'hasMember':[{'reference':'urn:uuid:2'}]") "," MEMBER("2", ",'valueString':'x'") ","
                       MEMBER("3", ",'hasMember':[{'reference':'urn:uuid:9'}],'valueString':'own'")));
    assert_int_equal(t.r.v[0].n_records, 2);
    assert_int_equal(t_obs(&t, 0, 0)->role, OBS_PANEL);
    assert_int_equal(t_obs(&t, 0, 1)->role, OBS_RESULT);
    assert_int_equal(t_obs(&t, 1, 0)->role, OBS_RESULT);        /* a panel with a value of its own keeps it */
    t_free(&t);
    struct buf b;                                               /* a chain of 1000: no deep recursion, nothing lost */
    buf_init(&b, (size_t)1 << 20);
    buf_adds(&b, "{'resourceType':'Bundle','type':'collection','entry':[");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%s{'fullUrl':'urn:uuid:%d','resource':{'resourceType':'Observation','status':'final'," CODE ",'hasMember':[{'reference':'urn:uuid:%d'}]}}",
                 i ? "," : "", i, i + 1);
    buf_adds(&b, "]}");
    t = t_parse(b.p);
    assert_int_equal(t.r.v[0].observations, 1000);
    assert_true(t_has_warning(&t, "W_TOO_DEEP"));
    t_free(&t);
    buf_clear(&b);
}

static void test_keys(void **state)
{
    struct t t = t_parse(BUNDLE("collection", MEMBER("1", "") "," MEMBER("2", ",'identifier':[{'value':'U-2'}]") "," MEMBER("3", "") "," MEMBER("4", "") ","
        ENTRY("urn:uuid:9", DR(",'result':[{'reference':'urn:uuid:1'},{'reference':'urn:uuid:2'},{'reference':'urn:uuid:3'},{'reference':'urn:uuid:4'}]"))));
    (void)state;
    assert_int_equal(t.r.v[0].n_records, 1);
    assert_span(t_obs(&t, 0, 0)->key, "41636-2|LN|");
    assert_span(t_obs(&t, 0, 1)->unique_id, "U-2");
    assert_span(t_obs(&t, 0, 1)->sub_id, NULL);
    assert_span(t_obs(&t, 0, 2)->key, "41636-2|LN|2");
    assert_span(t_obs(&t, 0, 3)->sub_id, "3");
    t_free(&t);
    t = t_parse("{'resourceType':'Observation','status':'final','code':{'coding':[{'system':'urn:oid:2.16.840.1.113883.6.96','code':'1'},{'code':'loc','display':'d'},"
                "{'system':'http://hl7.org/fhir/v2/78','code':'x'},{'system':'urn:oid:2.999.1','code':'y'},{}],'text':'T'}}");
    const struct rec_codes *c = &t_obs(&t, 0, 0)->code;
    assert_int_equal(c->n, 4);
    assert_span(c->v[0].system, "http://snomed.info/sct");
    assert_span(c->v[1].system, "local");
    assert_span(c->v[2].system, "http://terminology.hl7.org/CodeSystem/v2-0078");
    assert_span(c->v[3].system, "urn:oid:2.999.1");
    assert_span(c->text, "T");
    assert_span(t_obs(&t, 0, 0)->key, "1|SCT|");
    t_free(&t);
}

static void test_groups(void **state)
{
    struct t t = t_parse(BUNDLE("collection", ENTRY("urn:uuid:p", PAT("")) "," ENTRY("urn:uuid:q", "{'resourceType':'Patient','identifier':[{'value':'C-2'}]}") ","
        ENTRY("urn:uuid:s", "{'resourceType':'Specimen','identifier':[{'value':'S1'}],'status':'unsatisfactory'}") "," ENTRY("urn:uuid:s2",
        "{'resourceType':'Specimen','identifier':[{'value':'S2'}]}") ","
        MEMBER("1", REF("specimen", "urn:uuid:s")) "," MEMBER("2", "") "," MEMBER("3", REF("subject", "urn:uuid:q") REF("specimen", "urn:uuid:s2")) ","
        ENTRY("urn:uuid:9", DR(REF("subject", "urn:uuid:p") ",'specimen':[{'reference':'urn:uuid:s'},{'reference':'urn:uuid:s2'}],"
        "'result':[{'reference':'urn:uuid:1'},{'reference':'urn:uuid:2'},{'reference':'urn:uuid:3'}]")) ","
        ENTRY("urn:uuid:10", DR(",'result':[{'reference':'urn:uuid:1'}]"))));
    (void)state;
    const struct record *r = t.r.v[0].records;
    assert_int_equal(t.r.v[0].n_records, 4);
    assert_span(r[0].specimen.id, "S1");
    assert_true(r[0].specimen.is_rejected);
    assert_true(r[1].specimen.is_ambiguous);                    /* two could be meant */
    assert_span(r[2].patient.ids.v[0].value, "C-2");            /* never the report's patient */
    assert_span(r[2].specimen.id, "S2");
    assert_true(t_has_warning(&t, "W_SUBJECT_DIFFERS"));
    assert_true(t_has_warning(&t, "W_SHARED_RESULT"));          /* each result once */
    assert_int_equal(r[3].n, 0);
    t_free(&t);
}

static void test_conclusion(void **state)
{
    struct t t = t_parse(DR(",'conclusionCode':[{'coding':[{'system':'http://snomed.info/sct','code':'260373001'}]}],'conclusion':'Prose'"));
    (void)state;
    assert_int_equal(t.r.v[0].observations, 1);
    assert_int_equal(t_obs(&t, 0, 0)->value.type, REC_V_CODED);
    assert_span(t_obs(&t, 0, 0)->key, "41636-2|LN|");
    assert_span(t_obs(&t, 0, 0)->notes.v[0], "Prose");
    t_free(&t);
    t = t_parse(DR(",'conclusion':'Not detected'"));
    assert_int_equal(t_obs(&t, 0, 0)->value.type, REC_V_OTHER);         /* prose is never a result */
    t_free(&t);
    t = t_parse(DR(",'presentedForm':[{'contentType':'text/plain','data':'QUJD','title':'T'},{'url':'http://x/y.pdf','contentType':'application/pdf'}]"));
    assert_int_equal(t.r.v[0].observations, 0);
    const struct rec_attachments *at = &t.r.v[0].records[0].report.attachments;
    assert_int_equal(at->n, 2);
    assert_span(at->v[0].bytes, "ABC");
    assert_string_equal(at->v[0].sha256, "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78");
    assert_span(at->v[1].pointer, "http://x/y.pdf");                    /* [84] kept, never fetched */
    t_free(&t);
}

static void test_patient(void **state)      /* [item 95] */
{
    static const struct fhir_options off = {.name_text = FHIR_NAME_TEXT_OFF};
#define WHO(more) BUNDLE("collection", ENTRY("urn:uuid:1", "{'resourceType':'Patient'" more "}") "," ENTRY("urn:uuid:2", OBS(REF("subject", "urn:uuid:1"))))
    struct t t = t_parse(WHO(",'active':false,'identifier':[{'use':'old','value':'X'},{'system':'urn:oid:2.999.5','value':' 007 ','type':{'coding':[{'code':'NI'}]}}],"
        "'name':[{'use':'nickname','family':'No'},{'family':'Plain'},{'use':'official','family':'F','given':['G','H','I']}],'gender':'other','_birthDate':{'extension':"
        "[{'url':'http://hl7.org/fhir/StructureDefinition/data-absent-reason','valueCode':'unknown'}]},'deceasedBoolean':true,"
        "'telecom':[{'system':'email','value':'a@example.org'},{'system':'fax','value':'1'},{'value':'2'}],'address':[{'use':'old','city':'X'},{'line':['a','b'],"
        "'city':'C'}],"
        "'link':[{'type':'replaced-by','other':{'reference':'Patient/9'}},{'type':'replaces','other':{'identifier':{'value':'OLD'}}}]"));
    const struct rec_patient *p = &t.r.v[0].records[0].patient;
    (void)state;
    assert_int_equal(p->ids.n, 1);
    assert_span(p->ids.v[0].value, "007");
    assert_span(p->ids.v[0].oid, "2.999.5");
    assert_span(p->ids.v[0].type, "NI");
    assert_span(p->family_name, "F");
    assert_span(p->given_name, "G");
    assert_span(p->middle_name, "H I");
    assert_span(p->name_use, "L");
    assert_span(p->sex, "O");
    assert_int_equal(p->birth_date.prec, 0);
    assert_span(p->deceased, "Y");
    assert_int_equal(p->email.n, 1);
    assert_int_equal(p->phone.n, 1);
    assert_int_equal(p->address.n, 1);
    assert_span(p->address.v[0].line, "a, b");
    assert_int_equal(p->flags.n, 2);
    assert_span(p->flags.v[0], "INACTIVE");
    assert_span(p->flags.v[1], "REPLACED");
    assert_span(p->old_ids.v[0].value, "OLD");
    assert_int_equal(t.r.v[0].n_problems, 0);
    t_free(&t);
    t = t_parse(WHO(",'name':[{'text':'Ann Doe'}],'birthDate':'1990-13-01','gender':'F'"));
    p = &t.r.v[0].records[0].patient;
    assert_span(p->family_name, "Ann Doe");
    assert_span(p->sex, NULL);
    assert_int_equal(p->birth_date.prec, 0);
    assert_span(p->notes.v[0], "birthDate as sent: 1990-13-01");
    assert_true(t_has_warning(&t, "W_BAD_DATE"));
    for (size_t i = 0; i < t.r.v[0].records[0].warnings.n; i++)         /* paths, never values */
        assert_null(memmem(t.r.v[0].records[0].warnings.v[i].p, t.r.v[0].records[0].warnings.v[i].n, "1990", 4));
    t_free(&t);
    t = t_with(&off, WHO(",'name':[{'text':'Ann Doe'}]"));
    assert_span(t.r.v[0].records[0].patient.family_name, NULL);
    assert_span(t.r.v[0].records[0].patient.name_text, "Ann Doe");
    t_free(&t);
}

static void test_dates(void **state)
{
    static const struct { const char *text; int rc; char prec; const char *v, *zone; } d[] = {
        {"2026", 0, 'Y', "2026", NULL}, {"2026-05", 0, 'M', "2026-05", NULL}, {"2024-02-29", 0, 'D', "2024-02-29", NULL},
        {"2026-05-04T14:22:33Z", 0, 'S', "2026-05-04T14:22:33", "Z"}, {"2026-05-04T14:22:33.5-02:30", 0, 'F', "2026-05-04T14:22:33.5", "-02:30"},
        {"2026-05-04T14:22:33+00:00", 0, 'S', "2026-05-04T14:22:33", "Z"}, {"2026-05-04T14:22:33", 1, 'S', "2026-05-04T14:22:33", NULL},
        {"2026-05-04T14:22+02:00", 1, 'N', "2026-05-04T14:22", "+02:00"}, {"2016-12-31T23:59:60Z", 1, 'D', "2016-12-31", NULL},
        {"2026-02-29", -1, 0, NULL, NULL}, {"2026-05-04T24:00:00Z", -1, 0, NULL, NULL}, {"20260504", -1, 0, NULL, NULL},
        {"2026-5-4", -1, 0, NULL, NULL}, {"2026-05-04T14", -1, 0, NULL, NULL}, {"2026-05-04T14:22:33+15:00", -1, 0, NULL, NULL},
        {"2026-05-04 14:22:33", -1, 0, NULL, NULL}, {"0000-01-01", -1, 0, NULL, NULL}, {"2026-05-04T14:22:33.Z", -1, 0, NULL, NULL}, {"", 0, 0, NULL, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof d / sizeof d[0]; i++) {
        struct rec_ts t;
        if (fhir_ts(NULL, span_of(d[i].text), &t) != d[i].rc)
            fail_msg("%s", d[i].text);
        assert_int_equal(t.prec, d[i].prec);
        assert_span(t.v, d[i].v);
        assert_span(t.zone, d[i].zone);
    }
}

static void test_times(void **state)
{
    static const struct fhir_options analysis = {.effective = FHIR_EFFECTIVE_ANALYSIS};
    const char *text = OBS(",'effectivePeriod':{'start':'2026-05-04T08:00:00Z'},'issued':'2026-05-05T08:00:00Z'");
    struct t t = t_parse(text);
    (void)state;
    assert_span(t.r.v[0].records[0].specimen.collected_at.v, "2026-05-04T08:00:00");
    assert_span(t.r.v[0].records[0].report.issued_at.v, "2026-05-05T08:00:00");
    t_free(&t);
    t = t_with(&analysis, text);
    assert_int_equal(t.r.v[0].records[0].specimen.collected_at.prec, 0);
    assert_span(t_obs(&t, 0, 0)->analysed_at.v, "2026-05-04T08:00:00");
    t_free(&t);
}

static void test_roles(void **state)
{
    struct t t = t_parse(BUNDLE("collection", MEMBER("1", ",'valueString':'x'") "," MEMBER("2", REFS("focus", "urn:uuid:3")) ","
        ENTRY("urn:uuid:3", "{'resourceType':'Specimen','id':'3'}") "," ENTRY("urn:uuid:4",
        "{'resourceType':'ServiceRequest','supportingInfo':[{'reference':'urn:uuid:1'}]}")));
    (void)state;
    assert_int_equal(t_obs(&t, 0, 0)->role, OBS_QUESTION);
    assert_int_equal(t_obs(&t, 1, 0)->role, OBS_SPECIMEN_LEVEL);
    t_free(&t);
}

static void test_strict(void **state)
{
    static const struct fhir_options strict = {.is_strict = true};
    static const struct { const char *text, *issue, *path; } bad[] = {
        {OBS(",'colour':'red'"), "structure", "Observation.children()[2]"}, {OBS(",'effectiveDateTime':'yesterday'"), "value", "Observation.effectiveDateTime"},
        {OBS(",'valueString':''"), "structure", "Observation"}, {OBS(",'valueString':'x','dataAbsentReason':{'text':'y'}"), "invariant", "Observation.dataAbsentReason"},
        {BUNDLE("message", ENTRY("urn:uuid:1", OBS(""))), "invariant", "Bundle.entry[0]"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct t t = t_with(&strict, bad[i].text);
        assert_issue(&t, PARSE_REFUSE, bad[i].issue, bad[i].path);
        t_free(&t);
        t = t_parse(bad[i].text);
        assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
        assert_true(t.r.v[0].n_problems > 0);
        t_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_status), cmocka_unit_test(test_components), cmocka_unit_test(test_members),
        cmocka_unit_test(test_keys), cmocka_unit_test(test_groups), cmocka_unit_test(test_conclusion), cmocka_unit_test(test_patient),
        cmocka_unit_test(test_dates), cmocka_unit_test(test_times), cmocka_unit_test(test_roles), cmocka_unit_test(test_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
