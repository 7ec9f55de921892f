/* NAME test_hl7_record - grouping, patients, specimens, observations (STANDARDS 10, items 65-87; QUIRKS) */
#include "test_hl7_util.h"

#include "text.h"

#define MSH_OUL(e, v) "MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||OUL^" e "^OUL_" e "|M1|P|" v "\r"
#define OBXN(n, code) "OBX|" n "|ST|" code "^T^L|1|v||||||F\r"

/* [item 65] [item 77] */
static void two_patients(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "PID|2||C-2||Roe^Bob\r" "OBR|1||F-2|X^T^L\r" OBXN("1", "A"));
    assert_int_equal(t_msg(&t)->n_records, 2);
    t_eq(t_rec(&t, 0)->patient.birth_date.v, "1990-02-03");
    t_eq(t_rec(&t, 1)->patient.family_name, "Roe");
    t_eq(t_rec(&t, 1)->patient.path, "PID[2]");
    assert_true(span_is_absent(t_rec(&t, 1)->patient.birth_date.v));
    assert_true(span_is_absent(t_rec(&t, 1)->patient.sex));
    assert_int_equal(t_rec(&t, 1)->patient.address.n, 0);
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 PID1 "OBR|2||F-2|X^T^L\r" OBXN("1", "A")); /* the same PID again continues */
    assert_int_equal(t_msg(&t)->n_records, 2);
    t_eq(t_rec(&t, 1)->patient.path, "PID[1]");
    t_free(&t);
}

/* [item 66] */
static void obx_before_obr(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.3") PID1 OBXN("1", "A") OBR1 OBX1);
    assert_int_equal(t_msg(&t)->n_records, 1);
    assert_int_equal(t_rec(&t, 0)->n, 2);
    assert_int_equal(t_obs(&t, 0)->role, OBS_RESULT);
    assert_true(t_warns(t_rec(&t, 0), "W_OBX_BEFORE_OBR"));
    t_free(&t);
    t = t_parse(MSH_V("2.6") PID1 OBXN("1", "A") OBR1 OBX1);
    assert_int_equal(t_obs(&t, 0)->role, OBS_PATIENT_LEVEL);
    assert_int_equal(t_obs(&t, 1)->role, OBS_RESULT);
    t_free(&t);
    t = t_parse(MSH_V("2.8") PID1 OBXN("1", "A") OBXN("2", "A")); /* both lines of one value */
    assert_int_equal(t_msg(&t)->n_records, 1);
    assert_int_equal(t_obs(&t, 0)->role, OBS_RESULT);
    assert_int_equal(t_obs(&t, 0)->parts, 2);
    t_eq(t_rec(&t, 0)->report.code.v[0].code, "A");
    assert_true(t_warns(t_rec(&t, 0), "W_OBX_WITHOUT_OBR"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBX1); /* no PID either */
    assert_false(t_rec(&t, 0)->patient.is_present);
    t_free(&t);
}

/* [item 67] */
static void spm_before_obx(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 "SPM|1|S-1||BLD^Blood^HL70487\r" OBX1);
    assert_int_equal(t_msg(&t)->n_records, 1);
    t_eq(t_rec(&t, 0)->specimen.id, "S-1");
    assert_int_equal(t_obs(&t, 0)->role, OBS_RESULT);
    assert_true(t_warns(t_rec(&t, 0), "W_SPM_BEFORE_OBX"));
    t_free(&t);
}

/* [item 68] */
static void specimen_obx(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "SPM|1|S-1\r" OBXN("1", "VOL") "OBR|2||F-2|X^T^L\r" OBXN("1", "A"));
    assert_int_equal(t_msg(&t)->n_records, 2);
    assert_int_equal(t_obs(&t, 0)->role, OBS_RESULT);
    assert_int_equal(t_obs(&t, 1)->role, OBS_SPECIMEN_LEVEL);
    assert_int_equal(t_rec(&t, 1)->observations[0].role, OBS_RESULT);
    t_eq(t_rec(&t, 1)->specimen.id, "F-2"); /* the specimen of the first order does not leak */
    t_free(&t);
}

/* [item 69] */
static void notes(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 "NTE|1||of patient\r" "ORC|RE\rNTE|1||before OBR\r" OBR1 "NTE|1||of order\r" OBX1 "NTE|1||of result~second line\r" OBXN("2", "B") "SPM|1|S\rNTE|1||of specimen\r");
    const struct record *r = t_rec(&t, 0);
    assert_int_equal(r->patient.notes.n, 1);
    t_eq(r->patient.notes.v[0], "of patient");
    assert_int_equal(r->report.notes.n, 2);
    t_eq(r->report.notes.v[0], "before OBR");
    t_eq(r->report.notes.v[1], "of order");
    assert_int_equal(r->observations[0].notes.n, 1);
    t_eq(r->observations[0].notes.v[0], "of result\nsecond line");
    assert_int_equal(r->observations[1].notes.n, 0);
    assert_int_equal(r->specimen.notes.n, 1);
    t_free(&t);
}

/* [item 70] */
static void twelve_specimens(void **state)
{
    (void)state;
    char text[4000];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", MSH_OUL("R22", "2.5.1"));
    for (int i = 1; i <= 12; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "SPM|%d|S%d&ROCHE||\"\"|||||||P^^HL70369\rSAC|||C%d\rOBR|1|\"\"||HIV^^99ROC\rORC|SC||||CM\r" OBX1 "TCD|HIV\rNTE|1||Ct %d\r", i, i, i, i);
    struct t t = t_parse(text);
    assert_int_equal(t_msg(&t)->n_records, 12);
    for (size_t i = 0; i < 12; i++) {
        char want[10];
        (void)snprintf(want, sizeof want, "S%zu", i + 1);
        t_eq(t_rec(&t, i)->specimen.id, want);
        t_eq(t_rec(&t, i)->report.control, "SC");
        assert_int_equal(t_rec(&t, i)->n, 1);
        assert_true(span_is_null(t_rec(&t, i)->report.placer_id));
    }
    t_free(&t);
    char *r = t_reply(text), *first = strstr(r, "MSA|AA|M1");
    assert_non_null(first);
    assert_null(strstr(first + 1, "MSA|"));
    free(r);
}

/* [item 71] */
static void order_oriented(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_OUL("R24", "2.5.1") PID1 "OBR|1||F1|X^T^L\rORC|SC\rSPM|1|S1\rOBX|1|ST|VOL^V^L||1||||||F\rSAC|||C1\r" OBX1 "OBR|2||F2|Y^T^L\rSPM|1|S2\r" OBXN("1", "B"));
    assert_int_equal(t_msg(&t)->n_records, 2);
    t_eq(t_rec(&t, 0)->specimen.id, "S1");
    assert_int_equal(t_obs(&t, 0)->role, OBS_SPECIMEN_LEVEL);
    assert_int_equal(t_obs(&t, 1)->role, OBS_RESULT);
    t_eq(t_rec(&t, 1)->specimen.id, "S2");
    assert_int_equal(t_rec(&t, 1)->observations[0].role, OBS_RESULT);
    t_free(&t);
    t = t_parse(MSH_OUL("R23", "2.5.1") "SPM|1|\rSAC|||C1\rOBR|1||F1|X^T^L\r" OBX1 "SAC|||C2\rOBR|1||F2|X^T^L\r" OBX1);
    assert_int_equal(t_msg(&t)->n_records, 2);
    t_eq(t_rec(&t, 0)->specimen.id, "C1");
    t_eq(t_rec(&t, 1)->specimen.id, "C2");
    t_free(&t);
}

/* [item 72] [item 73] */
static void quality_control(void **state)
{
    (void)state;
    static const struct { const char *role; bool is_control; } rows[] = {{"Q", true}, {"C", true}, {"B", true}, {"O", true}, {"P", false}, {"", false}, {"L", false}, {"G", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[700];
        (void)snprintf(text, sizeof text, MSH_OUL("R22", "2.5.1") "SPM|1|S1|||||||||%s^^HL70369\rOBR|1||F|X^T^L\r" OBX1, rows[i].role);
        struct t t = t_parse(text);
        assert_int_equal(t_rec(&t, 0)->specimen.is_control, rows[i].is_control);
        t_eq(t_rec(&t, 0)->specimen.role, rows[i].role[0] ? rows[i].role : "P");
        t_free(&t);
    }
    struct hl7_options o = {.qc_rule = HL7_QC_INV_CONTROL};
    struct t t = t_parse_with(&o, MSH_OUL("R22", "2.5.1") "SPM|1|S1|||||||||Q\rOBR|1||F|X^T^L\r" OBX1 "SPM|2|S2|||||||||Q\rINV|HPosCtrl^^99ROC|OK|CO^^HL70384\rOBR|1||F|X^T^L\r" OBX1);
    assert_false(t_rec(&t, 0)->specimen.is_control);
    assert_true(t_rec(&t, 1)->specimen.is_control);
    t_free(&t);
    o.qc_rule = HL7_QC_NONE;
    t = t_parse_with(&o, MSH_OUL("R22", "2.5.1") "SPM|1|S1|||||||||Q\rOBR|1||F|X^T^L\r" OBX1);
    assert_false(t_rec(&t, 0)->specimen.is_control);
    t_free(&t);
}

/* [item 74] */
static void no_results(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.8") PID1 OBR1 OBX1 "OBX|2|ST|Q1^T^L|1|v||||||F||||||||||||||||||QST\rOBX|3|ST|Q2^T^L|1|v||||||F||||||||||||||||||SCI\r"
                         "OBX|4|ST|Q3^T^L|1|v||||||F|||||||||||||||||||AOE\rOBX|5|TS|PT^Pipetting^99ROC^S_OTHER^Other^IHELAW|1|20260504||||||F\r");
    static const enum obs_role want[] = {OBS_RESULT, OBS_QUESTION, OBS_QUESTION, OBS_QUESTION, OBS_PART};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(t_obs(&t, i)->role, want[i]);
    t_free(&t);
    t = t_parse(MSH_V("2.9") PID1 "ORC|RE\rOBX|1|ST|DOC^T^L||text||||||F\rTXA|1\r" OBR1 OBX1 "PRT|1\rDEV|1\rOBX|2|ST|B^T^L||v||||||F\rDEV|2\rOBX|3|ST|D^T^L||v||||||F\r");
    assert_int_equal(t_msg(&t)->n_records, 1);
    static const enum obs_role places[] = {OBS_ORDER_DOCUMENT, OBS_RESULT, OBS_RESULT, OBS_DEVICE_LEVEL};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(t_obs(&t, i)->role, places[i]);
    t_free(&t);
}

/* [item 75] */
static void alert_and_r30(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&|D|L|E|M|||ORU^R40|M1|P|2.8\r" PID1 OBR1 OBX1);
    assert_int_equal(t_msg(&t)->fate, PARSE_FILTER);
    assert_string_equal(t_msg(&t)->filter_reason, "ALERT_COPY");
    assert_int_equal(t_msg(&t)->n_records, 0);
    assert_int_equal(t_msg(&t)->observations, 1);
    t_free(&t);
    const char *r30 = "MSH|^~\\&|D|L|E|M|||ORU^R30^ORU_R30|M1|P|2.5.1\r" PID1 "ORC|NW\r" OBR1 OBX1;
    t_refused(r30, PARSE_REJECT, 201, "MSH^1^9");
    struct hl7_options o = {.enable = {(char *[]){(char *)(uintptr_t)"ORU^R30"}, 1}};
    t = t_parse_with(&o, r30);
    assert_int_equal(t_rec(&t, 0)->n, 1);
    t_free(&t);
    struct err e = ERR_INIT;
    assert_int_equal(hl7v2_parser.options.check(&o, &e), 0);
    o.enable.v = (char *[]){(char *)(uintptr_t)"ADT^A01"};
    assert_int_equal(hl7v2_parser.options.check(&o, &e), -1);
    assert_string_equal(e.where, "enable");
}

/* [item 78] [item 87] */
static void order_status(void **state)
{
    (void)state;
    static const struct { const char *orc1, *orc5, *obr25, *want; } rows[] = {
        {"PR", "", "F", "final"}, {"CA", "", "F", "cancelled"}, {"RE", "CM", "", "final"}, {"RE", "CM", "P", "preliminary"}, {"RE", "", "X", "cancelled"},
        {"RE", "", "M", "preliminary"}, {"RE", "", "A", "partial"}, {"RE", "", "", "unknown"}, {"RE", "", "C", "corrected"}, {"RE", "", "I", "registered"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[700];
        (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 "ORC|%s|P|F||%s\rOBR|1|||X^T^L|||||||||||||||||||||%s\r" OBX1, rows[i].orc1, rows[i].orc5, rows[i].obr25);
        struct t t = t_parse(text);
        t_eq(t_rec(&t, 0)->report.status, rows[i].want);
        t_eq(t_rec(&t, 0)->report.control, rows[i].orc1);
        t_eq(t_rec(&t, 0)->report.placer_id, "P");
        assert_int_equal(t_obs(&t, 0)->status, OBS_ST_FINAL);
        t_free(&t);
    }
    static const struct { const char *obx11, *obr25; enum obs_status want; } st[] = {
        {"", "P", OBS_ST_PRELIMINARY}, {"", "", OBS_ST_FINAL}, {"F^Final results", "P", OBS_ST_FINAL}, {"C", "F", OBS_ST_CORRECTED}, {"", "X", OBS_ST_CANCELLED},
        {"D", "F", OBS_ST_DELETED}, {"W", "F", OBS_ST_WITHDRAWN}, {"U", "F", OBS_ST_FINALIZED}, {"R", "F", OBS_ST_UNVERIFIED}, {"f", "F", OBS_ST_FINAL}, {"", "R", OBS_ST_UNVERIFIED}};
    for (size_t i = 0; i < sizeof st / sizeof st[0]; i++) {
        char text[700];
        (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 "OBR|1||F|X^T^L|||||||||||||||||||||%s\rOBX|1|ST|A^T^L|1|v||||||%s\r", st[i].obr25, st[i].obx11);
        struct t t = t_parse(text);
        assert_int_equal(t_obs(&t, 0)->status, st[i].want);
        assert_int_equal(t_warns(t_rec(&t, 0), "W_NO_STATUS"), !*st[i].obx11 && !*st[i].obr25);
        t_free(&t);
    }
}

/* [item 79] */
static void identifiers(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.3") "PID|1|ALT9|0012^^^HOSP&1.2.3&ISO^MR~A7^^^COD^NI~\"\"~P5^^^&2.16.1&ISO^PPN||Doe^Ann|||||||||||||ACC1^^^H^AN|123-45\rPV1|1||||||||||||||||||V1\r" OBR1 OBX1);
    const struct rec_patient *p = &t_rec(&t, 0)->patient;
    assert_int_equal(p->ids.n, 5);
    t_eq(p->ids.v[0].value, "0012");
    t_eq(p->ids.v[0].authority, "HOSP");
    t_eq(p->ids.v[0].oid, "1.2.3");
    t_eq(p->ids.v[1].type, "NI");
    t_eq(p->ids.v[2].path, "PID[1]-3[4]");
    t_eq(p->ids.v[2].oid, "2.16.1");
    t_eq(p->ids.v[3].value, "ALT9");
    t_eq(p->ids.v[4].type, "SS");
    t_eq(p->visit.value, "V1");
    t_free(&t);
}

/* [item 80] */
static void names(void **state)
{
    (void)state;
    static const struct { const char *pid5, *family, *given; bool is_masked; } rows[] = {
        {"Nick^N^^^^^N~Legal^Ann^M^^^^L", "Legal", "Ann", false}, {"Birth^B^^^^^B~Doe^Ann", "Doe", "Ann", false}, {"X^Y^^^^^S", "", "", true},
        {"van Doe&van&Doe^Ann", "van Doe", "Ann", false}, {" ^ ", "", "", false}, {"Old^A^^^^^BAD", "", "", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[700];
        (void)snprintf(text, sizeof text, MSH_V("2.5.1") "PID|1||C-1||%s\r" OBR1 OBX1, rows[i].pid5);
        struct t t = t_parse(text);
        t_eq(t_rec(&t, 0)->patient.family_name, rows[i].family);
        t_eq(t_rec(&t, 0)->patient.given_name, rows[i].given);
        assert_int_equal(t_rec(&t, 0)->patient.flags.n, rows[i].is_masked);
        t_free(&t);
    }
    struct t t = t_parse(MSH_V("2.5.1") "PID|1||C-1^^^X^ANON||||||||^^Goma^^^COD^H~Bad St^^^^^^BA||+243 1~^NET^Internet^a@example.org~^PRN^CP^^243^99^123||||||||||||||||||Y|US~AL\r" OBR1 OBX1);
    const struct rec_patient *p = &t_rec(&t, 0)->patient;
    assert_int_equal(p->flags.n, 3);
    assert_int_equal(p->address.n, 1);
    assert_int_equal(p->phone.n, 2);
    t_eq(p->phone.v[0], "+243 1");
    t_eq(p->phone.v[1], "+243 99 123");
    t_eq(p->email.v[0], "a@example.org");
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") "PID|1||C-1||Doe^Ann|||2\r" OBR1 OBX1); /* nobody says what 2 is */
    assert_true(span_is_absent(t_rec(&t, 0)->patient.sex));
    assert_true(t_warns(t_rec(&t, 0), "W_UNKNOWN_SEX PID[1]-8"));
    t_free(&t);
}

/* [item 83] [item 84] */
static void attachments(void **state)
{
    (void)state;
    static const char pdf[] = "%PDF-1.4\n%our own little document\n";
    unsigned char sum[TEXT_SHA256_BYTES];
    char hex[65];
    text_sha256(pdf, sizeof pdf - 1, sum);
    text_hex(sum, sizeof sum, hex);
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "OBX|2|ED|PDF^Report^L|1|^application^pdf^Base64^JVBERi0xLjQKJW91ciBv\\.br\\d24gbGl0dGxlIGRvY3VtZW50Cg==||||||F\r"
                         "OBX|3|RP|IMG^Image^L|1|http://192.0.2.1/a?b\\T\\c^^IM^JPEG||||||F\rOBX|4|ED|HEX^H^L|1|^TEXT^plain^Hex^48 49||||||F\rOBX|5|ED|E^E^L|1|^IM^PNG^Base64^***||||||F\r");
    const struct rec_attachments *at = &t_rec(&t, 0)->report.attachments;
    assert_int_equal(at->n, 4);
    assert_string_equal(at->v[0].sha256, hex);
    t_eq(at->v[0].mime, "application/pdf");
    t_eq(at->v[0].title, "Report");
    t_eq(at->v[0].path, "OBX[2]-5");
    t_eq(at->v[1].pointer, "http://192.0.2.1/a?b&c");
    t_eq(at->v[1].mime, "image/jpeg");
    t_eq(at->v[2].bytes, "HI");
    assert_true(span_is_absent(at->v[3].bytes));
    assert_true(t_warns(t_rec(&t, 0), "W_BAD_ENCODING OBX[5]-5"));
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(t_obs(&t, i)->role, OBS_ATTACHMENT);
        assert_true(span_is_absent(t_obs(&t, i)->value.raw));
        assert_true(span_is_absent(t_obs(&t, i)->value.text));
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    record_format(t_rec(&t, 0), &b);
    assert_null(strstr(b.p, "JVBER"));
    buf_clear(&b);
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "OBX|2|ED|PDF^Report^L|1|^application^pdf^Base64^JVBERi0xLjQKJW91ciBv\nd24gbGl0dGxlIGRvY3VtZW50Cg==||||||F\r");
    assert_string_equal(t_rec(&t, 0)->report.attachments.v[0].sha256, hex);
    t_free(&t);
}

/* [item 86] */
static void obx_33_chooses_the_specimen(void **state)
{
    (void)state;
    static const struct { const char *first, *second, *spm, *id; } rows[] = {     /* id NULL: ambiguous */
        {"P2^F2", "P2^F2", "SPM|1|P1^F1\rSPM|2|P2^F2\r", "F2"}, {"^F1&NS", "P9^F1", "SPM|1|P1^F1\rSPM|2|P2^F2\r", "F1"},
        {"P2", "P2", "SPM|1|P1^F1\rSPM|2|P2\r", "P2"}, {"P2^F2", "", "SPM|1|P1^F1\rSPM|2|P2^F2\r", NULL},
        {"P2^F2", "P1^F1", "SPM|1|P1^F1\rSPM|2|P2^F2\r", NULL}, {"P3", "P3", "SPM|1|P1^F1\rSPM|2|P2^F2\r", NULL},
        {"P1^F1", "P1^F1", "SPM|1|P1^F1|||||||||Q\rSPM|2|P2^F2|||||||||P\r", "F1"},
        {"P9", "P9", "SPM|1|P1^F1|||||||||Q\rSPM|2|P2^F2|||||||||P\r", "F2"}, {"P9", "P9", "SPM|1|P1^F1\r", "F1"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[900];
        (void)snprintf(text, sizeof text, MSH_V("2.9") PID1 OBR1 "OBX|1|ST|A^a^L||1||||||F||||||||||||||||||||||%s\r"
                       "OBX|2|ST|B^b^L||2||||||F||||||||||||||||||||||%s\r%s", rows[i].first, rows[i].second, rows[i].spm);
        struct t t = t_parse(text);
        assert_int_equal(t_rec(&t, 0)->specimen.is_ambiguous, !rows[i].id);
        if (rows[i].id)
            t_eq(t_rec(&t, 0)->specimen.id, rows[i].id);
        t_free(&t);
    }
}

static void specimen_ids(void **state)
{
    (void)state;
    static const struct { const char *segs, *id, *placer; } rows[] = {
        {"SPM|1|P1^F1\r", "F1", "P1"}, {"SPM|1|P1\r", "P1", ""}, {"SPM|1|id&BARCODE\r", "id", ""}, {"SPM|1|&ROCHE\r", "F-1", ""},
        {"SPM|1|||||||||||||||||||||||||||||ACC1\r", "ACC1", ""}, {"SPM|1\rSAC|||C1\r", "C1", ""}, {"", "F-1", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[700];
        (void)snprintf(text, sizeof text, MSH_V("2.7") PID1 OBR1 OBX1 "%s", rows[i].segs);
        struct t t = t_parse(text);
        t_eq(t_rec(&t, 0)->specimen.id, rows[i].id);
        t_eq(t_rec(&t, 0)->specimen.placer_id, rows[i].placer);
        assert_int_equal(span_is_absent(t_rec(&t, 0)->specimen.path), !*rows[i].segs);
        t_free(&t);
    }
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "SPM|1|S1\rSPM|2|S2\r");
    assert_true(t_rec(&t, 0)->specimen.is_ambiguous);
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "SPM|1|S1|||||||||Q\rSPM|2|S2|||||||||P|||||||20260503||||RH\r");
    assert_false(t_rec(&t, 0)->specimen.is_ambiguous);
    t_eq(t_rec(&t, 0)->specimen.id, "S2");
    t_free(&t);
    t = t_parse(MSH_V("2.4") PID1 "OBR|1||F-1|X^T^L|||20260501|||||||20260502|BLD&Blood&HL70070^^free text^^^^P\r" OBX1);
    t_eq(t_rec(&t, 0)->specimen.type.v[0].system, "http://terminology.hl7.org/CodeSystem/v2-0070");
    t_eq(t_rec(&t, 0)->specimen.type.text, "free text");
    t_eq(t_rec(&t, 0)->specimen.collected_at.v, "2026-05-01");
    t_eq(t_rec(&t, 0)->specimen.received_at.v, "2026-05-02");
    t_free(&t);
    struct hl7_options o = {.obr7 = HL7_OBR7_ANALYSIS};
    t = t_parse_with(&o, MSH_V("2.4") PID1 "OBR|1||F-1|X^T^L|||20260501\r" OBX1);
    t_eq(t_obs(&t, 0)->analysed_at.v, "2026-05-01");
    assert_true(span_is_absent(t_rec(&t, 0)->specimen.collected_at.v));
    t_free(&t);
}

static void value_lines(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 "OBX|1|TX|R^Report^L|1|one|||A|||F\rOBX|2|TX|R^Report^L|1|||||||F\rOBX|3|TX|R^Report^L|1|three||||||F\rNTE|1||n\rOBX|4|TX|R^Report^L|2|other||||||F\r"
                         "OBX|5|NM|N^Num^L||1||||||F\rOBX|6|NM|N^Num^L||2||||||F\rOBX|7|ST|D^T^L|1|x||||||F\rOBX|8|ST|D^T^L|1|x||||||D\r");
    const struct record *r = t_rec(&t, 0);
    assert_int_equal(r->n, 5);
    t_eq(r->observations[0].value.text, "one\nthree");
    assert_int_equal(r->observations[0].parts, 3);
    assert_int_equal(r->observations[0].interpretation.n, 1);
    assert_int_equal(r->observations[0].notes.n, 1);
    t_eq(r->observations[1].value.text, "other");
    assert_int_equal(r->observations[2].value.type, REC_V_TEXT); /* two numbers are never compared */
    assert_true(r->observations[2].value.is_number_odd);
    assert_int_equal(r->observations[2].value.repeats.n, 2);
    assert_int_equal(r->observations[3].status, OBS_ST_FINAL); /* D is a single OBX */
    assert_int_equal(r->observations[4].status, OBS_ST_DELETED);
    t_free(&t);
}

/* Shapes of QUIRKS.md that are the parser's: 1, 2, 4, 6, 7, 8, 12, 17, 18, 27 */
static void quirks(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|ST|HIV^HIV^99ROC|1/1|ValueNotSet|||\"\"|||F\rOBX|2|ST|HIV^HIV^99ROC|1/2|NA|||POS^Positive|||F\r");
    assert_int_equal(t_rec(&t, 0)->n, 2);
    assert_int_equal(t_obs(&t, 0)->interpretation.n, 0);
    t_eq(t_obs(&t, 1)->interpretation.v[0], "POS");
    t_eq(t_obs(&t, 1)->interpretation_text.v[0], "Positive");
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1||X^T^L|1||10*-1.{copies}/mL^^UCUM||U06T^Anomaly~~U07^^HL70078~^^HL70078^^^^2.5.1|||X\rOBX|2|NM|Y^T^L|1|367|^Copies/mL||~N|||F\r");
    assert_int_equal(t_obs(&t, 0)->value.type, REC_V_NONE);
    assert_int_equal(t_obs(&t, 0)->interpretation.n, 2);
    t_eq(t_obs(&t, 0)->unit.code, "10*-1.{copies}/mL");
    t_eq(t_obs(&t, 0)->unit.system, "http://unitsofmeasure.org");
    assert_int_equal(t_obs(&t, 0)->status, OBS_ST_CANCELLED);
    t_eq(t_obs(&t, 1)->unit.display, "Copies/mL");
    t_eq(t_obs(&t, 1)->interpretation.v[0], "N");
    t_free(&t);
    t = t_parse("MSH|^~\\&|||||20260504||ORU^R32^ORU_R30|M1|P|2.5.1\r" PID1 OBR1 "OBX|1|ST|CTNG&CT&CT-NG IUO Assay&1|1|NOT DETECTED^||||||F\rOBX|2|ST|CTNG&NG&CT-NG IUO Assay&1|1|DETECTED^\rOBX|3|ST|&X&Ct|^5^1|^0.0\r");
    t_eq(t_obs(&t, 0)->value.text, "NOT DETECTED");
    t_eq(t_obs(&t, 1)->value.text, "DETECTED");
    assert_int_equal(t_obs(&t, 0)->parts, 1);
    t_eq(t_obs(&t, 2)->sub_id, "^5^1");
    t_eq(t_obs(&t, 2)->value.text, "^0.0");
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|CWE^^HL70125|A^T^garbage|1|260373001^Detected^SCT||||||F^Final results; Can only be changed\r");
    assert_int_equal(t_obs(&t, 0)->value.type, REC_V_CODED);
    t_eq(t_obs(&t, 0)->code.v[0].system, "local:garbage");
    t_free(&t);
}

static void lab(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|ST|A^T^L|1|v||||||F||||LAB9^Lab nine\r");
    t_eq(t_rec(&t, 0)->report.lab.id, "LAB9");
    t_eq(t_rec(&t, 0)->report.lab.name, "Lab nine");
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 OBX1);
    t_eq(t_rec(&t, 0)->report.lab.id, "LAB");
    t_free(&t);
}

static void limits(void **state)
{
    (void)state;
    struct hl7_options o = {.max_segments = 4};
    struct t t = t_parse_with(&o, MSH_V("2.5.1") PID1 OBR1 OBX1 OBXN("2", "B"));
    assert_int_equal(t_msg(&t)->fate, PARSE_REFUSE);
    assert_int_equal(t_msg(&t)->problems[0].code, 104);
    t_free(&t);
    o = (struct hl7_options){.max_records = 1};
    t = t_parse_with(&o, MSH_V("2.5.1") PID1 OBR1 OBX1 OBR1 OBX1);
    assert_int_equal(t_msg(&t)->problems[0].code, 104);
    t_free(&t);
    struct arena *a = arena_new(9000); /* too little memory is ERR_LIMIT, never a crash */
    struct parse_result r;
    struct err e = ERR_INIT;
    assert_int_equal(hl7v2_parser.parse(NULL, SPAN_LIT(MSH_V("2.5.1") PID1 OBR1 OBX1 OBXN("2", "B")), a, &r, &e), -1);
    assert_int_equal(e.kind, ERR_LIMIT);
    arena_free(a);
}

static void at(const struct record *r, const char *path, const char *want)
{
    struct rec_path p;
    assert_true(rec_path_parse(span_of(path), &p));
    struct span got = r->raw_field(r->source, &p);
    if (want)
        t_eq(got, want);
    else
        assert_true(span_is_absent(got));
}

static void any_place_can_be_asked_for(void **state) /* [item 28] */
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 "ZPI|1|a\\S\\b^c&d~e^f\rzpi|2|\"\"\r" OBR1 OBX1 "OBX|2|ST|X^x^L||y||||||F\rZLR||| kit 7 |\r");
    const struct record *r = t_rec(&t, 0);
    at(r, "ZPI-2", "a^b");
    at(r, "ZPI-2.2", "c");
    at(r, "ZPI-2.2.2", "d");
    at(r, "ZPI-2[2].2", "f");
    at(r, "ZPI-2[3]", NULL);
    at(r, "ZPI-2.3", NULL);
    at(r, "ZPI[2]-1", "2");
    at(r, "ZPI[2]-2", "");          /* the null state */
    at(r, "ZPI[3]-1", NULL);
    at(r, "ZLR-3", "kit 7");
    at(r, "ZLR-9", NULL);
    at(r, "ZLR-99", NULL);
    at(r, "MSH-1", "|");
    at(r, "MSH-2", "^~\\&");
    at(r, "MSH-9.2", "R01");
    at(r, "MSH-10", "M1");
    at(r, "OBX[2]-3.3", "L");
    at(r, "ZZZ-1", NULL);
    t_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obx_33_chooses_the_specimen),
        cmocka_unit_test(any_place_can_be_asked_for),
        cmocka_unit_test(two_patients), cmocka_unit_test(obx_before_obr), cmocka_unit_test(spm_before_obx), cmocka_unit_test(specimen_obx),
        cmocka_unit_test(notes), cmocka_unit_test(twelve_specimens), cmocka_unit_test(order_oriented), cmocka_unit_test(quality_control),
        cmocka_unit_test(no_results), cmocka_unit_test(alert_and_r30), cmocka_unit_test(order_status), cmocka_unit_test(identifiers),
        cmocka_unit_test(names), cmocka_unit_test(attachments), cmocka_unit_test(specimen_ids), cmocka_unit_test(value_lines),
        cmocka_unit_test(quirks), cmocka_unit_test(lab), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests_name("hl7_record", tests, NULL, NULL);
}
