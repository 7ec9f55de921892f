/* NAME test_hl7_reply - acknowledgements (STANDARDS 10, items 47-60, 64) */
#include "test_hl7_util.h"

#define MSH_A(a15, a16) "MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||ORU^R01^ORU_R01|M1|P|2.5.1|||" a15 "|" a16 "\r"
#define GOOD PID1 OBR1 OBX1
#define BAD PID1 OBR1 "OBX|1|ST||1|value||||||F\r"

static void reply_is(const char *text, const char *want)
{
    char *r = t_reply(text);
    assert_string_equal(r, want);
    free(r);
}

/* The MSA-1 codes in order, "CA+AA"; "" when nothing is said. */
static void codes_are(const char *text, const char *want)
{
    char got[64] = "", *r = t_reply(text);
    for (char *p = r; (p = strstr(p, "MSA|")); p += 4) {
        size_t n = strlen(got);
        (void)snprintf(got + n, sizeof got - n, "%s%.2s", n ? "+" : "", p + 4);
    }
    assert_string_equal(got, want);
    free(r);
}

static void has(const char *text, const char *part)
{
    char *r = t_reply(text);
    if (!strstr(r, part))
        fail_msg("no \"%s\" in: %s", part, r);
    free(r);
}

/* [item 47] [item 57] */
static void original(void **state)
{
    (void)state;
    reply_is(MSH_V("2.5.1") GOOD, "MSH|^~\\&|ENGINE|MOH|DEV|LAB|20260504140233+0200||ACK^R01^ACK|ZZZ|P|2.5.1\nMSA|AA|M1\n");
    has("MSH|^~\\&|DEV^1.2^ISO|LAB|||20260504||ORU^R01|a b\\S\\c|P^T|2.3.1^DEU\r" GOOD, "|LABRELAY|OWN|DEV^1.2^ISO|LAB|");
    has("MSH|^~\\&|DEV^1.2^ISO|LAB|||20260504||ORU^R01|a b\\S\\c|P^T|2.3.1^DEU\r" GOOD, "|P^T|2.3.1^DEU\nMSA|AA|a b\\S\\c\n");
    has("MSH|^~\\&|D|L|||20260504||ORU^R01|1234567890123456789012345|P|2.5.1\r" GOOD, "MSA|AA|1234567890123456789012345\n");
    has("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.3\r" GOOD, "||ACK^R01|ZZZ|");
    has("MSH|^~\\&|D|L|E|M|20260504||ORU|M1|P|2.1\r" GOOD, "||ACK|ZZZ|");
    has("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||8859/1~UNICODE UTF-8\r" GOOD, "|P|2.5.1||||||8859/1\n");
    has("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|1\n2|P|2.5.1\r" GOOD, "MSA|AA|1\n2\n");
}

/* [item 48] [item 49] */
static void enhanced(void **state)
{
    (void)state;
    codes_are(MSH_A("AL", "NE") GOOD, "CA");
    codes_are(MSH_A("NE", "AL") GOOD, "AA");
    codes_are(MSH_A("AL", "AL") GOOD, "CA+AA");
    codes_are(MSH_A("NE", "NE") GOOD, "");
    codes_are(MSH_A("ER", "NE") GOOD, "");
    codes_are(MSH_A("ER", "AL") GOOD, "AA");
    codes_are(MSH_A("SU", "NE") GOOD, "CA");
    codes_are(MSH_A("AL", "") GOOD, "CA");
    codes_are(MSH_A("XX", "") GOOD, "AA"); /* outside table 0155 counts as empty */
    codes_are(MSH_A("ER", "NE") BAD, "CE");
    codes_are(MSH_A("SU", "NE") BAD, "");
    codes_are(MSH_A("NE", "AL") BAD, "AE");
    codes_are(MSH_A("ER", "AL") BAD, "AE");
    codes_are(MSH_A("AL", "NE") BAD, "CE");
    codes_are(MSH_A("AL", "AL") BAD, "CA+AE");
    codes_are("MSH|^~\\&|D|L|E|M|||SIU^S12|M1|P|2.5.1|||ER|NE\r", "CR");
    codes_are("MSH|^~\\&|D|L|E|M|||SIU^S12|M1|P|2.5.1|||AL|AL\r", "CR");
    codes_are("MSH|^~\\&|D|L|E|M|||SIU^S12|M1|P|2.5.1|||NE|AL\r", "AR");
    char *r = t_reply(MSH_A("AL", "AL") GOOD);
    assert_non_null(strstr(r, "\n--\nMSH|")); /* two frames, two ids */
    assert_non_null(strstr(r, "|ZZZ|"));
    assert_non_null(strstr(r, "|1000|"));
    free(r);
}

/* [item 50] */
static void types(void **state)
{
    (void)state;
    has("MSH|^~\\&|D|L|E|M|||SIU^S12|M1|P|2.5.1\r", "MSA|AR|M1|Unsupported message type\nERR||MSH^1^9|200^Unsupported message type^HL70357|E");
    has("MSH|^~\\&|D|L|E|M|||ORU^R99|M1|P|2.5.1\r" GOOD, "|201^Unsupported event code^HL70357|E");
    has("MSH|^~\\&|D|L|E|M|||ORU^R03|M1|P|2.3\r" GOOD, "ERR|MSH^1^9^201&Unsupported event code&HL70357\n");
    struct hl7_options o = {.ignore_types = {(char *[]){(char *)(uintptr_t)"ADT", (char *)(uintptr_t)"ORU^R99"}, 2}};
    char *r = t_reply_with(&o, "MSH|^~\\&|D|L|E|M|||ADT^A08|M1|P|2.5.1\rPID|1||C-1\r", FATE_STORED);
    assert_non_null(strstr(r, "MSA|AA|M1"));
    free(r);
    struct t t = t_parse_with(&o, "MSH|^~\\&|D|L|E|M|||ADT^A08|M1|P|2.5.1\rPID|1||C-1\r");
    assert_int_equal(t_msg(&t)->fate, PARSE_FILTER);
    assert_string_equal(t_msg(&t)->filter_reason, "IGNORED_TYPE");
    t_free(&t);
}

/* [item 51] */
static void processing(void **state)
{
    (void)state;
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|T|2.5.1\r" GOOD, PARSE_REJECT, 202, "MSH^1^11");
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|Q|2.5.1\r" GOOD, PARSE_REJECT, 202, "MSH^1^11");
    struct hl7_options o = {.processing_ids = {(char *[]){(char *)(uintptr_t)"P", (char *)(uintptr_t)"T"}, 2}};
    struct t t = t_parse_with(&o, "MSH|^~\\&|D|L|E|M|||ORU^R01|M1|T|2.5.1\r" GOOD);
    assert_int_equal(t_msg(&t)->fate, PARSE_ACCEPT);
    t_free(&t);
    o = (struct hl7_options){.nonproduction = HL7_NONPRODUCTION_HOLD};
    t = t_parse_with(&o, "MSH|^~\\&|D|L|E|M|||ORU^R01|M1|D|2.5.1\r" GOOD);
    assert_true(t_warns(t_rec(&t, 0), "W_NONPRODUCTION"));
    t_free(&t);
    t = t_parse("MSH|^~\\&|D|L|E|M|||ORU^R01|M1||2.5.1\r" GOOD);
    t_eq(t_msg(&t)->message.processing_id, "P");
    t_free(&t);
}

/* [item 52] */
static void version(void **state)
{
    (void)state;
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|3.0\r" GOOD, PARSE_REJECT, 203, "MSH^1^12");
    codes_are("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|2.5.1^USA\r" GOOD, "AA");
    codes_are("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|2.3.z\r" GOOD, "AA");
    /* the order of refusals: type, event, version, processing id, control id, charset */
    t_refused("MSH|^~\\&|D|L|E|M|||XXX^R01||T|3.0||||||FOO\r", PARSE_REJECT, 200, NULL);
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01||T|3.0||||||FOO\r", PARSE_REJECT, 203, NULL);
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01||T|2.5||||||FOO\r", PARSE_REJECT, 202, NULL);
    t_refused("MSH|^~\\&|D|L|E|M|||ORU^R01||P|2.5||||||FOO\r", PARSE_REFUSE, 101, NULL);
}

/* [item 53] */
static void control_id(void **state)
{
    (void)state;
    has("MSH|^~\\&|D|L|E|M|||ORU^R01||P|2.5.1\r" GOOD, "MSA|AE||Required field missing\nERR||MSH^1^10|101^Required field missing^HL70357|E|MISSING_FIELD");
}

/* [item 55] */
static void status(void **state)
{
    (void)state;
    t_refused(MSH_V("2.5.1") GOOD "OBX|2|ST|X^T^L|1|v||||||Q\r", PARSE_REFUSE, 103, "OBX^2^11");
    t_refused(MSH_V("2.5.1") PID1 "OBR|1||F1|X^T^L|||||||||||||||||||||Y\r" OBX1, PARSE_REFUSE, 103, "OBR^1^25");
    t_refused(MSH_V("2.5.1") PID1, PARSE_REFUSE, 100, NULL);
    t_refused(MSH_V("2.5.1") BAD, PARSE_REFUSE, 101, "OBX^1^3");
    codes_are(MSH_V("2.5.1") PID1 OBR1 "OBX|1|ED|||^TEXT^html^Base64^||||||F\r", "AA"); /* ED without data is no value */
}

/* [item 56] */
static void by_version(void **state)
{
    (void)state;
    has("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|2.3\r" BAD, "MSA|AE|M1|Required field missing\nERR|OBX^1^3^101&Required field missing&HL70357\n");
    has("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|2.7\r" BAD, "MSA|AE|M1\nERR||OBX^1^3|101^");
    has("MSH|^~\\&|D|L|E|M|||ORU|M1|P|2.1\r" BAD, "ERR|101\n");
    has("MSH|^~\\&|D|L|E|M|||ORU^R01|M1|P|2.4\r" PID1 OBR1 "OBX|1|ST||1|v||||||F\rOBX|2|ST||1|v||||||F\r", "HL70357~OBX^2^3^101&");
    char text[3000];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", MSH_V("2.5.1") PID1 OBR1);
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "OBX|1|ST||1|v||||||F\r");
    char *r = t_reply(text);
    int errs = 0;
    for (char *p = r; (p = strstr(p, "\nERR|")); p++)
        errs++;
    assert_int_equal(errs, 20);
    free(r);
}

/* [item 58] */
static void profile(void **state)
{
    (void)state;
    has("MSH|^~\\&|D|L|E||20260504||OUL^R22^OUL_R22|M1|P|2.5.1|||NE|AL||UNICODE UTF-8|||LAB-29^IHE\rSPM|1|S1\rOBR|1||F|X^T^L\r" OBX1,
        "||ACK^R22^ACK|ZZZ|P|2.5.1||||||UNICODE UTF-8|||LAB-29^IHE\nMSA|AA|M1\n");
}

/* [item 59] */
static void never_ack_an_ack(void **state)
{
    (void)state;
    reply_is("MSH|^~\\&|D|L|E|M|||ACK^R01|M1|P|2.5.1\rMSA|AA|X\r", "");
    reply_is("MSH|^~\\&|D|L|E|M|||MCF|M1|P|2.1\rMSA|AA|X\r", "");
    reply_is("MSH|^~\\&|D|L|E|M|||ORA^R33|M1|P|2.5.1\rMSA|AE|X\rERR|1\r", "");
}

/* [item 60] */
static void garbage(void **state)
{
    (void)state;
    reply_is("hello", "MSH|^~\\&|LABRELAY|OWN|||20260504140233+0200||ACK|ZZZ|P|2.3.1\nMSA|AR||Data type error\nERR|MSH^1^2^102&Data type error&HL70357\n");
    has("", "MSA|AR||");
    has("x" MSH_V("2.5.1") GOOD, "MSA|AR||"); /* something in front of MSH */
    struct t t = t_parse("D22MSH|^~\\&|D");
    assert_int_equal(t_msg(&t)->fate, PARSE_QUARANTINE);
    assert_string_equal(t_msg(&t)->problems[0].name, "HLLP");
    t_free(&t);
}

static void busy(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } rows[] = {
        {MSH_V("2.5.1") GOOD, "MSA|AR|M1|Application error\rERR|||207^Application error^HL70357|F"},
        {MSH_A("AL", "NE") GOOD, "MSA|CE|M1|"}, {MSH_A("NE", "AL") GOOD, "MSA|AR|M1|"}, {MSH_A("NE", "NE") GOOD, NULL},
        {"MSH|^~\\&|D|L|E|M|||ORU^R01|M", NULL}, {"junk", NULL}, {"MSH|^~\\&|D|L|E|M|||ACK|M1|P|2.5.1\rMSA|AA\r", NULL}};
    struct reply_conf rc = {.now_us = 0, .own_app = "X", .id_seed = 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *a = arena_new(1 << 20);
        struct span p = SPAN_ABSENT;
        struct err e = ERR_INIT;
        assert_int_equal(hl7v2_parser.busy(NULL, span_of(rows[i].text), &rc, a, &p, &e), 0);
        if (rows[i].want)
            assert_non_null(memmem(p.p, p.n, rows[i].want, strlen(rows[i].want)));
        else
            assert_int_equal(p.n, 0);
        free((void *)(uintptr_t)p.p);
        arena_free(a);
    }
    char *r = t_reply_with(NULL, MSH_A("AL", "AL") GOOD, FATE_BUSY);
    assert_non_null(strstr(r, "MSA|CE|M1"));
    free(r);
    r = t_reply_with(NULL, MSH_V("2.5.1") GOOD, FATE_DUPLICATE);
    assert_non_null(strstr(r, "MSA|AA|M1"));
    free(r);
}

/* [item 64] */
static void no_patient_data(void **state)
{
    (void)state;
    static const char *const bodies[] = {BAD, PID1 OBR1 "OBX|1|ST|X^T^L|1|secretvalue||||||secretstatus\r", "PID|1||SECRETID||Secretname^Ann||secretdate|secretsex\r",
                                         "PID|1||SECRETID||Secretname^Ann||secretdate|secretsex\r" OBR1 "OBX|1|NM|X^T^L|1|secretvalue||||||F\r"};
    for (size_t i = 0; i < 4; i++) {
        char text[1000];
        (void)snprintf(text, sizeof text, "%s%s", MSH_V("2.5.1"), bodies[i]);
        char *r = t_reply(text);
        assert_null(strcasestr(r, "secret"));
        assert_null(strstr(r, "Doe"));
        free(r);
        struct t t = t_parse(text);
        for (size_t k = 0; k < t_msg(&t)->n_records; k++)
            for (size_t w = 0; w < t_msg(&t)->records[k].warnings.n; w++)
                assert_null(strcasestr(arena_strdup(t.a, t_msg(&t)->records[k].warnings.v[w]), "secret"));
        t_free(&t);
    }
}

/* The golden message of ../shared: its record and its ACK. Skipped, loudly, where that folder is missing. */
static void golden(void **state)
{
    (void)state;
    const char *dir = getenv("LABRELAY_SHARED");
    char path[600], *raw = NULL;
    (void)snprintf(path, sizeof path, "%s/facts/samples/golden1.hl7", dir ? dir : "../shared");
    FILE *f = fopen(path, "rb");
    if (!f) {
        (void)fprintf(stderr, "SKIPPED: %s is not there (set LABRELAY_SHARED)\n", path);
        skip();
        return;
    }
    raw = calloc(1, 65536);
    assert_non_null(raw);
    assert_true(fread(raw, 1, 65535, f) > 0);
    (void)fclose(f);
    char *r = t_reply(raw), want[400];
    (void)snprintf(want, sizeof want, "MSH|^~\\&|ENGINE|MOH|GENEXPERT^1.2.840.99^ISO|LAB01|20260504140233+0200||ACK^R01^ACK|ZZZ|P|2.5.1||||||UNICODE UTF-8\nMSA|AA|MSG00001\n");
    assert_string_equal(r, want);
    free(r);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(original), cmocka_unit_test(enhanced), cmocka_unit_test(types), cmocka_unit_test(processing), cmocka_unit_test(version),
        cmocka_unit_test(control_id), cmocka_unit_test(status), cmocka_unit_test(by_version), cmocka_unit_test(profile),
        cmocka_unit_test(never_ack_an_ack), cmocka_unit_test(garbage), cmocka_unit_test(busy), cmocka_unit_test(no_patient_data), cmocka_unit_test(golden),
    };
    return cmocka_run_group_tests_name("hl7_reply", tests, NULL, NULL);
}
