/* NAME test_hl7_text - escapes, dates, numbers (STANDARDS 10, items 24-27, 36-40, 54, 79-86 as far as values go) */
#include "test_hl7_util.h"

#include "hl7_code.h"
#include "hl7_obx.h"
#include "hl7_reply.h"

static struct t value_of(const char *type, const char *value)
{
    char text[2000];
    (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 OBR1 "OBX|1|%s|41636-2^E^LN|1|%s||||||F\r", type, value);
    return t_parse(text);
}

static void text_is(const char *type, const char *value, const char *want, const char *warning)
{
    struct t t = value_of(type, value);
    t_eq(t_obs(&t, 0)->value.text, want);
    if (warning)
        assert_true(t_warns(t_rec(&t, 0), warning));
    else
        assert_int_equal(t_rec(&t, 0)->warnings.n, 0);
    t_free(&t);
}

/* [item 24] */
static void delimiter_escapes(void **state)
{
    (void)state;
    text_is("ST", "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f", NULL);
    text_is("ST", "a\\f\\b\\s\\c", "a|b^c", NULL);
    struct t t = value_of("CWE", "1^a\\S\\b^L");
    t_eq(t_obs(&t, 0)->value.codings.v[0].display, "a^b");
    t_eq(t_obs(&t, 0)->value.codings.v[0].system, "local:L");
    t_free(&t);
}

/* [item 25] */
static void format_escapes(void **state)
{
    (void)state;
    text_is("FT", "A\\.br\\B\\H\\C\\N\\\\.sp 2\\D", "A\nBC\n\nD", NULL);
    text_is("FT", "a\\.sp\\b\\.sp+3\\c\\.sk 2\\d\\.in+4\\e\\.ti-4\\f\\.ce\\g\\.fi\\\\.nf\\h", "a\nb\n\n\nc  def\ngh", NULL);
    text_is("FT", "x\\.br\\\\.br\\y", "x\n\ny", NULL);
}

/* [item 26] */
static void odd_escapes(void **state)
{
    (void)state;
    text_is("ST", "a\\X0D0A\\b\\X41\\", "a\nbA", NULL);
    text_is("ST", "a\\XC3A9\\b", "aéb", NULL);
    text_is("ST", "\\Q\\", "\\Q\\", "W_BAD_ESCAPE");
    text_is("ST", "C:\\dir", "C:\\dir", "W_BAD_ESCAPE");
    text_is("ST", "10\\5\\.br\\x", "10\\5\nx", "W_BAD_ESCAPE");
    text_is("ST", "a\\X4\\b", "a\\X4\\b", "W_BAD_ESCAPE");
    text_is("ST", "\\Z12\\", "\\Z12\\", "W_BAD_ESCAPE");
    text_is("ST", "a\\X00\\b", "ab", "W_BAD_ESCAPE");
}

/* [item 27] */
static void null_birth_date(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") "PID|1||C-1||Doe^Ann||\"\"|\"\"\r" OBR1 "OBX|1|ST|X^T^L|1|\"\"||||||F\r");
    assert_true(span_is_null(t_rec(&t, 0)->patient.birth_date.v));
    assert_int_equal(t_rec(&t, 0)->patient.birth_date.prec, 0);
    assert_true(span_is_null(t_rec(&t, 0)->patient.sex));
    assert_true(span_is_absent(t_rec(&t, 0)->patient.middle_name));
    assert_true(span_is_null(t_obs(&t, 0)->value.text));
    assert_int_equal(t_obs(&t, 0)->value.type, REC_V_NONE);
    t_free(&t);
}

static void date_is(const char *sent, const char *v, char prec, const char *zone)
{
    char text[600];
    (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 OBR1 "OBX|1|ST|X^T^L|1|v||||||F|||%s\r", sent);
    struct t t = t_parse(text);
    struct rec_ts got = t_obs(&t, 0)->observed_at;
    t_eq(got.v, v);
    assert_int_equal(got.prec, prec);
    t_eq(got.zone, zone);
    t_free(&t);
}

/* [item 36] */
static void dates(void **state)
{
    (void)state;
    date_is("2026", "2026", 'Y', "");
    date_is("202605", "2026-05", 'M', "");
    date_is("20260504", "2026-05-04", 'D', "");
    date_is("2026050414", "2026-05-04T14", 'H', "+02:00");
    date_is("202605041422", "2026-05-04T14:22", 'N', "+02:00");
    date_is("20260504142233.1234+0530", "2026-05-04T14:22:33.1234", 'F', "+05:30");
    date_is("20260504142233-0000", "2026-05-04T14:22:33", 'S', "Z");
    date_is("20260504142233^D", "2026-05-04", 'D', "");
    date_is("20240229", "2024-02-29", 'D', "");
}

/* [item 38] the zone of MSH-7, else none: the channel's is the engine's */
static void zones(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1\r" OBR1 "OBX|1|ST|X^T^L|1|v||||||F|||202605040030\r");
    assert_true(span_is_absent(t_obs(&t, 0)->observed_at.zone));
    t_free(&t);
}

/* [item 39] */
static void bad_dates(void **state)
{
    (void)state;
    static const char *const bad[] = {"20260230", "00000000", "2026-05-04", "20261301", "05/04/2026", "2026050424", "202605041460", "20260504142261",
                                      "20260504142233+1500", "2026050", "20260504+02", "20260504142233.", "202605041422.5", "abc", "20250229"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[600];
        (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 OBR1 "OBX|1|ST|X^T^L|1|v||||||F|||%s\r", bad[i]);
        struct t t = t_parse(text);
        assert_int_equal(t_obs(&t, 0)->observed_at.prec, 0);
        assert_true(t_warns(t_rec(&t, 0), "W_BAD_DATE OBX[1]-14"));
        assert_int_equal(t_obs(&t, 0)->notes.n, 1);
        assert_non_null(memmem(t_obs(&t, 0)->notes.v[0].p, t_obs(&t, 0)->notes.v[0].n, bad[i], strlen(bad[i])));
        t_free(&t);
        struct hl7_options o = {.is_strict = true};
        t = t_parse_with(&o, text);
        assert_int_equal(t_msg(&t)->fate, PARSE_REFUSE);
        assert_true(t_has_problem(t_msg(&t), 102, "OBX^1^14"));
        t_free(&t);
    }
    struct hl7_options lenient = {.is_lenient_dates = true};
    struct t t = t_parse_with(&lenient, MSH_V("2.5.1") OBR1 "OBX|1|ST|X^T^L|1|v||||||F|||2026-05-04T14:22:33+01:00\r");
    t_eq(t_obs(&t, 0)->observed_at.v, "2026-05-04T14:22:33");
    t_eq(t_obs(&t, 0)->observed_at.zone, "+01:00");
    t_free(&t);
}

static void birth_dates(void **state)
{
    (void)state;
    static const struct { const char *sent, *v; char prec; } rows[] = {
        {"19420815000000", "1942-08-15", 'D'}, {"19420815", "1942-08-15", 'D'}, {"1942", "1942", 'Y'}, {"196203520", "", 0}, {"Aug 15, 1942", "", 0}, {"  ", "", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[600];
        (void)snprintf(text, sizeof text, MSH_V("2.5.1") "PID|1||C-1||Doe^Ann||%s|Female\r" OBR1 OBX1, rows[i].sent);
        struct t t = t_parse(text);
        t_eq(t_rec(&t, 0)->patient.birth_date.v, rows[i].v);
        assert_int_equal(t_rec(&t, 0)->patient.birth_date.prec, rows[i].prec);
        t_eq(t_rec(&t, 0)->patient.sex, "F");
        t_free(&t);
    }
}

/* [item 40] */
static void numbers(void **state)
{
    (void)state;
    struct t t = value_of("NM", "007.50");
    assert_int_equal(t_obs(&t, 0)->value.type, REC_V_NUMBER);
    t_eq(t_obs(&t, 0)->value.text, "007.50");
    t_eq(t_obs(&t, 0)->value.num1, "007.50");
    t_free(&t);
    static const char *const odd[] = {"<12", "1.2E5", "1,5", "***.**", "0 .07", "60~120", "FOO", ".5", "-", "<0.008"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        t = value_of("NM", odd[i]);
        assert_int_equal(t_obs(&t, 0)->value.type, REC_V_TEXT);
        assert_true(t_obs(&t, 0)->value.is_number_odd);
        assert_true(span_is_absent(t_obs(&t, 0)->value.num1));
        t_eq(t_obs(&t, 0)->value.raw, odd[i]);
        assert_true(t_warns(t_rec(&t, 0), "W_BAD_NUMBER OBX[1]-5"));
        t_free(&t);
    }
    struct hl7_options comma = {.is_decimal_comma = true};
    t = t_parse_with(&comma, MSH_V("2.5.1") OBR1 "OBX|1|NM|X^T^L|1|1,5||||||F\r");
    t_eq(t_obs(&t, 0)->value.text, "1,5");
    t_eq(t_obs(&t, 0)->value.num1, "1.5");
    t_free(&t);
}

/* [item 54] */
static void no_value_type(void **state)
{
    (void)state;
    const char *text = MSH_V("2.5.1") OBR1 OBX1 "OBX|2||X^T^L|1|12.5||||||F\r";
    struct t t = t_parse(text);
    assert_int_equal(t_obs(&t, 1)->value.type, REC_V_TEXT);
    t_eq(t_obs(&t, 1)->value.text, "12.5");
    assert_true(t_warns(t_rec(&t, 0), "W_NO_VALUE_TYPE OBX[2]-2"));
    t_free(&t);
    struct hl7_options o = {.is_strict = true};
    t = t_parse_with(&o, text);
    assert_true(t_has_problem(t_msg(&t), 101, "OBX^2^2"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1||X^T^L|1|260373001^Detected^SCT||||||F\r");
    assert_int_equal(t_obs(&t, 0)->value.type, REC_V_CODED);
    t_free(&t);
}

/* [item 82] */
static void structured(void **state)
{
    (void)state;
    static const struct { const char *sent, *text; enum rec_value_type type; const char *comparator, *num1, *num2; } rows[] = {
        {">^100", ">100", REC_V_STRUCTURED, ">", "100", ""}, {"^1^:^128", "1:128", REC_V_RATIO, "=", "1", "128"},
        {"^2^+", "2+", REC_V_STRUCTURED, "=", "2", ""}, {"^100^-^200", "100-200", REC_V_RANGE, "=", "100", "200"},
        {"=^7", "7", REC_V_STRUCTURED, "=", "7", ""}, {"<=^0.5", "<=0.5", REC_V_STRUCTURED, "<=", "0.5", ""},
        {"^1^/^8", "1/8", REC_V_RATIO, "=", "1", "8"}, {"100", "100", REC_V_TEXT, "", "", ""}, {">100", ">100", REC_V_TEXT, "", "", ""},
        {"^abc", "^abc", REC_V_TEXT, "", "", ""}, {"~^5", "^5", REC_V_TEXT, "", "", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct t t = value_of("SN", rows[i].sent);
        const struct rec_value *v = &t_obs(&t, 0)->value;
        t_eq(v->text, rows[i].text);
        assert_int_equal(v->type, rows[i].type);
        t_eq(v->comparator, rows[i].comparator);
        t_eq(v->num1, rows[i].num1);
        t_eq(v->num2, rows[i].num2);
        assert_int_equal(v->is_number_odd, rows[i].type == REC_V_TEXT);
        t_free(&t);
    }
}

/* [item 85] */
static void repeated(void **state)
{
    (void)state;
    struct t t = value_of("ST", "Cholera~Listeria~Salmonella");
    assert_int_equal(t_obs(&t, 0)->value.repeats.n, 3);
    t_eq(t_obs(&t, 0)->value.repeats.v[0], "Cholera");
    t_eq(t_obs(&t, 0)->value.repeats.v[2], "Salmonella");
    t_free(&t);
    t = value_of("TX", "  line one~line two");
    t_eq(t_obs(&t, 0)->value.text, "  line one\nline two");
    t_free(&t);
    t = value_of("CWE", "1^One^L~2^Two^L");
    assert_int_equal(t_obs(&t, 0)->value.codings.n, 2);
    assert_int_equal(t_obs(&t, 0)->value.repeats.n, 2);
    t_eq(t_obs(&t, 0)->value.repeats.v[1], "Two");
    t_free(&t);
}

/* [item 81] */
static void coding_systems(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.7") OBR1 "OBX|1|CWE|EBOV^Ebola^99ROC^41636-2^Ebola virus RNA^LN|1|^^^10828004^Positive^SCT^^^the words|||||||||F\r");
    assert_int_equal(t_obs(&t, 0)->code.n, 2);
    t_eq(t_obs(&t, 0)->code.v[0].system, "local:99ROC");
    t_eq(t_obs(&t, 0)->code.v[1].system, "http://loinc.org");
    t_eq(t_obs(&t, 0)->code.v[1].code, "41636-2");
    t_eq(t_obs(&t, 0)->key, "EBOV|99ROC|1");
    assert_int_equal(t_obs(&t, 0)->value.codings.n, 1);
    t_eq(t_obs(&t, 0)->value.codings.v[0].system, "http://snomed.info/sct");
    t_eq(t_obs(&t, 0)->value.codings.text, "the words");
    t_free(&t);
    static const struct { const char *sent, *uri; } rows[] = {
        {"LN", "http://loinc.org"}, {"HL70078", "http://terminology.hl7.org/CodeSystem/v2-0078"}, {"HL70136", "http://terminology.hl7.org/CodeSystem/v2-0136"},
        {"2.16.840.1.113883.6.1", "http://loinc.org"}, {"2.16.840.1.113883.12.78", "http://terminology.hl7.org/CodeSystem/v2-0078"}, {"", "local"}, {"L", "local:L"},
        {"99MRC", "local:99MRC"}, {"UCUM", "http://unitsofmeasure.org"}, {"1.2.3.4", "urn:oid:1.2.3.4"}, {"http://x.org/y", "http://x.org/y"}};
    struct arena *a = arena_new(1 << 16);
    struct hl7_ctx x = {.a = a, .d = {'|', '^', '~', '\\', '&', 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        t_eq(hl7_code_system(&x, span_of(rows[i].sent)), rows[i].uri);
    assert_true(hl7_is_loinc(SPAN_LIT("41636-2")));
    assert_true(hl7_is_loinc(SPAN_LIT("94500-6")));
    assert_false(hl7_is_loinc(SPAN_LIT("94500-5")));
    assert_false(hl7_is_loinc(SPAN_LIT("-2")));
    arena_free(a);
    struct hl7_options o = {.is_loinc_without_system = true};
    t = t_parse_with(&o, MSH_V("2.5.1") OBR1 "OBX|1|ST|94500-6^SARS|1|v||||||F\r");
    t_eq(t_obs(&t, 0)->code.v[0].system, "http://loinc.org");
    assert_true(t_warns(t_rec(&t, 0), "W_LOINC_ASSUMED"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|ST|^^^99717-32^Ct^L|1|v||||||F\r"); /* only the alternate triplet */
    t_eq(t_obs(&t, 0)->key, "99717-32|L|1");
    t_free(&t);
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(hl7_version(SPAN_LIT("2.3.1")), 231);
    assert_int_equal(hl7_version(SPAN_LIT("2")), 200);
    assert_int_equal(hl7_version(SPAN_LIT("2.9.1")), 291);
    assert_int_equal(hl7_version(SPAN_LIT("2.3.z")), 230);
    assert_int_equal(hl7_version(SPAN_LIT("3.0")), 0);
    assert_int_equal(hl7_version(SPAN_LIT("25")), 0);
    assert_int_equal(hl7_version(SPAN_ABSENT), 0);
}

/* [item 26] \C and \M switch the charset to the end of the repetition (STANDARDS 2.3). */
static void charset_switches(void **state)
{
    (void)state;
    static const struct { const char *msh18, *name, *family, *given, *obx; bool is_bad; } rows[] = {
        {"8859/1", "\\C2D46\\\xc1\xe2\xe3^\xe4", "\xce\x91\xce\xb2\xce\xb3", "\xce\xb4", "x", false},           /* Greek, both components */
        {"8859/1", "\xe9\\C2D4C\\\xb8\\C2842\\\xe9^\xe9", "\xc3\xa9\xd0\x98\xc3\xa9", "\xc3\xa9", "x", false},   /* Cyrillic and back */
        {"8859/1", "\\C2D42\\\xb1\\S\\\xb1^b", "\xc4\x85^\xc4\x85", "b", "x", false},                            /* other escapes within */
        {"", "\\C2D42\\\xb1" "a^b", "\xc4\x85" "a", "b", "x", false},                                                  /* CP1252 guessed, taken back */
        {"8859/2", "\\C2D41\\\xa9^\xe6", "\xc2\xa9", "\xc3\xa6", "x", false},
        {"", "\\M2442\\;3ED^B@O:", "\xe5\xb1\xb1\xe7\x94\xb0", "\xe5\xa4\xaa\xe9\x83\x8e", "x", false},                  /* Yamada Taro */
        {"", "\\m242844\\0!^\\c2842\\b", "\xe4\xb8\x82", "b", "x", false},                                          /* JIS X 0212, lower case */
        {"", "\\C284A\\A^b", "A", "b", "x", false},
        {"", "\\C2949\\1^b", "\xef\xbd\xb1", "\x62", "x", false},
        {"", "\\C9999\\a^b", "\\C9999\\a", "b", "x", true},                                                        /* unknown: as it is */
        {"UNICODE UTF-8", "\\C2D46\\\xc3\xa9^b", "\xc3\xa9", "b", "x", true},                                         /* no bytes to read anew */
        {"", "\\M2442\\;3E^b", ";3E", "b", "x", true},                                                            /* half a character */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[900];
        (void)snprintf(text, sizeof text, "MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||ORU^R01^ORU_R01|M1|P|2.5.1||||||%s\r"
                       "PID|1||C-1^^^GODATA^PI||%s~Plain^Name|||F\r" OBR1 "OBX|1|ST|A^a^L||x||||||F\r", rows[i].msh18, rows[i].name);
        struct t t = t_parse(text);
        t_eq(t_rec(&t, 0)->patient.family_name, rows[i].family);
        if (i != 8)     /* a kana set reads the given name as kana, too */
            t_eq(t_rec(&t, 0)->patient.given_name, rows[i].given);
        t_eq(t_obs(&t, 0)->value.text, rows[i].obx);
        assert_int_equal(t_warns(t_rec(&t, 0), "W_BAD_ESCAPE"), rows[i].is_bad);
        t_free(&t);
    }
    char many[4000] = "";
    for (size_t i = 0; i < 100; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "\\C2842\\%zu", i % 10);
    char text[5000];
    (void)snprintf(text, sizeof text, MSH_V("2.5.1") PID1 OBR1 "OBX|1|ST|A^a^L||%s||||||F\r", many);
    struct t t = t_parse(text);     /* more than is looked at: nothing is lost */
    assert_true(span_starts(t_obs(&t, 0)->value.text, "0123456789"));
    assert_true(t_obs(&t, 0)->value.text.n == 64 + 36 * 8);
    t_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charset_switches),
        cmocka_unit_test(delimiter_escapes), cmocka_unit_test(format_escapes), cmocka_unit_test(odd_escapes), cmocka_unit_test(null_birth_date),
        cmocka_unit_test(dates), cmocka_unit_test(zones), cmocka_unit_test(bad_dates), cmocka_unit_test(birth_dates), cmocka_unit_test(numbers),
        cmocka_unit_test(no_value_type), cmocka_unit_test(structured), cmocka_unit_test(repeated), cmocka_unit_test(coding_systems),
        cmocka_unit_test(versions),
    };
    return cmocka_run_group_tests_name("hl7_text", tests, NULL, NULL);
}
