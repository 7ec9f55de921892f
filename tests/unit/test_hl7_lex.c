/* NAME test_hl7_lex - delimiters, line ends, charsets, batches (STANDARDS 10, items 19-35, 41-45) */
#include "test_hl7_util.h"

/* [item 19] */
static void other_delimiters(void **state)
{
    (void)state;
    struct t t = t_parse("MSH$%*!@$DEV$LAB$ENGINE$MOH$20260504$$ORU%R01$M1$P$2.5.1\rPID$1$$C-1%%%GOV@1.2.3@ISO*C-2$$Doe%Ann\r"
                         "OBR$1$$F-1$X%Test%L\rOBX$1$ST$X%Test%L$1$a|b!F!c$$$$$$F\r");
    assert_int_equal(t_rec(&t, 0)->patient.ids.n, 2);
    t_eq(t_rec(&t, 0)->patient.ids.v[0].oid, "1.2.3");
    t_eq(t_obs(&t, 0)->value.text, "a|b$c");
    t_free(&t);
    char *r = t_reply("MSH$%*!@$DEV$LAB$ENGINE$MOH$20260504$$ORU%R01$M1$P$2.5.1\rOBX$1$ST$X$1$a$$$$$$F\r");
    assert_non_null(strstr(r, "MSH$%*!@$ENGINE$MOH$DEV$LAB$"));
    assert_non_null(strstr(r, "ACK%R01%ACK"));
    assert_non_null(strstr(r, "MSA$AA$M1\n"));
    free(r);
}

/* [item 20] */
static void truncation(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&#|D|L|E|M|20260504||ORU^R01|M1|P|2.7\r" OBR1 "OBX|1|ST|X^T^L|1|Detec#||||||F\rOBX|2|ST|Y^T^L|1|no\\P\\||||||F\r");
    assert_true(t_warns(t_rec(&t, 0), "W_TRUNCATED OBX[1]-5"));
    assert_false(t_warns(t_rec(&t, 0), "W_TRUNCATED OBX[2]-5"));
    t_eq(t_obs(&t, 0)->value.text, "Detec#");
    t_eq(t_obs(&t, 1)->value.text, "no#");
    t_free(&t);
}

/* [item 21] */
static void two_delimiters(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~|D|L|E|M|20260504||ORU^R01|M1|P|2.3\r" OBR1 "OBX|1|ST|X^T^L|1|a\\F\\&b||||||F\r");
    t_eq(t_obs(&t, 0)->value.text, "a\\F\\&b");
    t_free(&t);
}

/* [item 22] */
static void bad_delimiters(void **state)
{
    (void)state;
    t_refused("MSH||~\\&|D|L|E|M|||ORU^R01|M1|P|2.3\r" OBX1, PARSE_QUARANTINE, 102, "MSH^1^2");
    t_refused("MSH|^~a&|D|L|E|M|||ORU^R01|M1|P|2.3\r" OBX1, PARSE_QUARANTINE, 102, "MSH^1^2");
    t_refused("MSH|^^\\&|D|L|E|M|||ORU^R01|M1|P|2.3\r" OBX1, PARSE_QUARANTINE, 102, "MSH^1^2");
    t_refused("MSH", PARSE_QUARANTINE, 102, "MSH^1^2");
    struct t t = t_parse("MSH|^~\\\\&|D|L|E|M|||ORU^R01|M1|P|2.3\r" OBR1 OBX1); /* a JSON accident is read */
    assert_int_equal(t_msg(&t)->fate, PARSE_ACCEPT);
    t_free(&t);
}

static char *as_json(const struct t *t)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < t_msg(t)->n_records; i++) {
        struct record r = t_msg(t)->records[i];
        r.warnings.n = 0;
        record_format(&r, &b);
    }
    return buf_take(&b, NULL);
}

/* [item 23] */
static void line_ends(void **state)
{
    (void)state;
    static const char *const ends[] = {"\r", "\r\n", "\n", "\r\n\r\n", "\r   "};
    static const char *const lines[] = {"MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1", "PID|1||C-1||Doe^Ann", "OBR|1|P-1|F-1|X^T^L", "OBX|1|ST|X^T^L|1|a||||||F"};
    char *want = NULL;
    for (size_t e = 0; e < 6; e++) {
        char text[512] = "";
        size_t n = 0;
        for (size_t i = 0; i < 4; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", lines[i], e < 5 ? ends[e] : i % 2 ? "\r" : "\n");
        struct t t = t_parse(text);
        char *got = as_json(&t);
        if (want)
            assert_string_equal(got, want);
        else
            want = strdup(got);
        free(got);
        t_free(&t);
    }
    free(want);
    struct t t = t_parse(MSH_V("2.5.1") "obr|1|P-1|F-1|X^T^L\robx|1|ST|X^T^L|1|one\ntwo||||||F"); /* lower case ids; LF in data stays */
    t_eq(t_obs(&t, 0)->value.text, "one\ntwo");
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|TX|X^T^L|1|one\rNEG\rtwo||||||F\r"); /* wrapped lines, one of them looks like an id */
    t_eq(t_obs(&t, 0)->value.text, "one\nNEG\ntwo");
    assert_true(t_warns(t_rec(&t, 0), "W_WRAPPED_LINE"));
    t_free(&t);
}

static void lost_terminator(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.3 PID|1||C-7||Doe^Ann\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.ids.v[0].value, "C-7");
    assert_true(t_warns(t_rec(&t, 0), "W_LOST_TERMINATOR"));
    t_free(&t);
}

/* [item 28] */
static void unknown_things(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") "ZAA|1|x^y&z\rQQQ|1\r" PID1 OBR1 "OBX|1|ST|X^T^L^a^b^c^d^e^f^g^h^i^j^k^l^m^n^o^p^q^r^s|1|v||||||F|||||||||||||||||||||||||||||||||||||||||||||||||||||||||||x\rZZZ|2\r");
    t_eq(t_obs(&t, 0)->value.text, "v");
    t_free(&t);
}

/* [item 29] */
static void latin1(void **state)
{
    (void)state;
    const char *text = "MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||8859/1\rPID|1||C-1||Ren\xe9\x65^Zo\xeb\r" OBR1 OBX1;
    struct t t = t_parse(text);
    t_eq(t_rec(&t, 0)->patient.family_name, "Renée");
    t_eq(t_rec(&t, 0)->patient.given_name, "Zoë");
    assert_memory_equal(t_msg(&t)->raw.p, text, strlen(text));
    t_free(&t);
    t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||8859/2\rPID|1||C-1||\xa3ukasz\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "Łukasz");
    t_free(&t);
    t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||8859/1\rPID|1||C-1||Ren\xc3\xa9\r" OBR1 OBX1); /* says 8859/1, is UTF-8 */
    t_eq(t_rec(&t, 0)->patient.family_name, "René");
    assert_true(t_warns(t_rec(&t, 0), "W_CHARSET_IS_UTF8"));
    t_free(&t);
}

/* [item 30] */
static void big5(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||BIG-5\rPID|1||C-1||\xa6\x5c\xa6\x7c^\xa4\xa4||19900203|F\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "吒帆"); /* A65C, A67C */
    t_eq(t_rec(&t, 0)->patient.given_name, "中");
    t_eq(t_rec(&t, 0)->patient.sex, "F");
    t_free(&t);
}

/* [item 31] */
static void iso2022jp(void **state)
{
    (void)state;
    struct t t = t_parse("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5||||||~ISO IR87||ISO 2022-1994\rPID|1||C-1||\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "山田");
    t_eq(t_rec(&t, 0)->patient.given_name, "太郎");
    t_free(&t);
}

/* [item 32] */
static void undeclared(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") "PID|1||C-1||Ren\xc3\xa9\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "René");
    assert_true(t_warns(t_rec(&t, 0), "W_CHARSET_GUESSED_UTF8"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") "PID|1||C-1||Ren\xe9 \x80\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "René €");
    assert_true(t_warns(t_rec(&t, 0), "W_CHARSET_DEFAULT"));
    t_free(&t);
    struct hl7_options o = {.assume_charset = (char *)(uintptr_t)"8859/5"};
    t = t_parse_with(&o, MSH_V("2.5.1") "PID|1||C-1||\xb8\xd2\xd0\xdd\r" OBR1 OBX1);
    t_eq(t_rec(&t, 0)->patient.family_name, "Иван");
    t_free(&t);
}

/* [item 33] */
static void undecodable(void **state)
{
    (void)state;
#define MSH_U8 "MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||UNICODE UTF-8\r"
    t_refused(MSH_U8 "PID|1||C-1||Ren\xe9\r" OBR1 OBX1, PARSE_REFUSE, 102, "PID^1");
    t_refused(MSH_U8 PID1 OBR1 "OBX|1|ST|X^T^L|1|d\xe9tect\xe9||||||F\r", PARSE_REFUSE, 102, "OBX^1^5");
    struct t t = t_parse(MSH_U8 PID1 OBR1 OBX1 "NTE|1||caf\xe9\r"); /* elsewhere: replaced, and accepted */
    t_eq(t_obs(&t, 0)->notes.v[0], "caf\xef\xbf\xbd");
    t_free(&t);
}

/* [item 34] */
static void unknown_charset(void **state)
{
    (void)state;
    t_refused("MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1||||||FOO\r" PID1 OBR1 OBX1, PARSE_REFUSE, 103, "MSH^1^18");
}

/* [item 35] */
static void byte_order_mark(void **state)
{
    (void)state;
    struct t t = t_parse("\xef\xbb\xbf\r\n " MSH_V("2.5.1") PID1 OBR1 OBX1);
    assert_int_equal(t_msg(&t)->fate, PARSE_ACCEPT);
    t_free(&t);
    assert_true(hl7v2_parser.sniff(span_of("\xef\xbb\xbfMSH|")));
    assert_true(hl7v2_parser.sniff(span_of("BHS|^~\\&")));
    assert_false(hl7v2_parser.sniff(span_of("{\"resourceType\"")));
    struct hl7_options o = {.is_wide = true};
    static const char u[] = "MSH|^~\\&|D|L|E|M|20260504||ORU^R01|M1|P|2.5.1\rOBX|1|ST|X^T^L|1|v||||||F\r";
    char wide[2 * sizeof u + 2] = {(char)0xff, (char)0xfe};
    for (size_t i = 0; i + 1 < sizeof u; i++)
        wide[2 + 2 * i] = u[i];
    t = t_parse_bytes(&o, wide, 2 * sizeof u);
    t_eq(t_obs(&t, 0)->value.text, "v");
    t_free(&t);
}

/* [item 41] */
static void batch(void **state)
{
    (void)state;
    const char *text = "FHS|^~\\&|D|L|E|M|20260504||||FH1\rBHS|^~\\&|D|L|E|M|20260504||||BH1\r" MSH_V("2.5.1") PID1 OBR1 OBX1 MSH_V("2.5.1") PID1 OBR1 OBX1
                       MSH_V("2.5.1") PID1 OBR1 OBX1 "BTS|3\rFTS|1\r";
    struct t t = t_parse(text);
    assert_true(t.r.is_batch);
    assert_int_equal(t.r.n, 3);
    assert_null(t.r.batch_warning);
    t_free(&t);
    char *r = t_reply(text);
    assert_ptr_equal(strstr(r, "FHS|^~\\&|E|M|D|L|"), r);
    assert_non_null(strstr(r, "|FH1\n"));
    assert_non_null(strstr(r, "|BH1\n"));
    assert_non_null(strstr(r, "BTS|3\nFTS|1\n"));
    assert_null(strstr(r, "--\n")); /* one frame */
    free(r);
    t = t_parse("BHS|^~\\&|D|L\rBTS|0\r"); /* an empty batch is legal */
    assert_int_equal(t.r.n, 0);
    t_free(&t);
}

/* [item 42] */
static void batch_counts(void **state)
{
    (void)state;
    struct t t = t_parse("BHS|^~\\&|D\r" MSH_V("2.5.1") OBR1 OBX1 MSH_V("2.5.1") OBR1 OBX1 MSH_V("2.5.1") OBR1 OBX1 "BTS|4\r");
    assert_int_equal(t.r.n, 3);
    assert_string_equal(t.r.batch_warning, "COUNT_MISMATCH");
    t_free(&t);
    t = t_parse("FHS|^~\\&|D\rBHS|^~\\&|D\r" MSH_V("2.5.1") OBR1 OBX1);
    assert_string_equal(t.r.batch_warning, "MISSING_TRAILER");
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 OBX1 MSH_V("2.5.1") OBR1 OBX1); /* several MSH without batch */
    assert_false(t.r.is_batch);
    assert_int_equal(t.r.n, 2);
    t_free(&t);
}

/* [item 43] */
static void addendum(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") OBR1 "OBX|1|ST|X^T^L|1|ab\rADD|cd|u\rADD|nit|||||F\r");
    t_eq(t_obs(&t, 0)->value.text, "abcd");
    t_eq(t_obs(&t, 0)->unit.code, "unit");
    assert_int_equal(t_obs(&t, 0)->status, OBS_ST_FINAL);
    t_free(&t);
}

/* [item 44] the parser marks a fragment; joining is the engine's */
static void fragment(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") OBR1 OBX1 "DSC|c1\r");
    assert_true(t_warns(t_rec(&t, 0), "W_INCOMPLETE_CONTINUATION"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") OBR1 OBX1 "DSC|\r");
    assert_false(t_warns(t_rec(&t, 0), "W_INCOMPLETE_CONTINUATION"));
    t_free(&t);
}

/* [item 45] */
static void types_and_versions(void **state)
{
    (void)state;
    static const char *const types[] = {"ORU", "ORU^R01", "ORU^R01^ORU_R01", "ORU^^ORU_R01", "ORU_R01", "ORU^R01^ORU_R30"};
    static const char *const versions[] = {"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.2", "2.9", "", "2.3.z", " 2.5.1 ^DEU"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t k = 0; k < sizeof versions / sizeof versions[0]; k++) {
            char text[400];
            (void)snprintf(text, sizeof text, "MSH|^~\\&|D|L|E|M|20260504||%s|M1|P|%s\r" PID1 OBR1 OBX1, types[i], versions[k]);
            struct t t = t_parse(text);
            assert_int_equal(t_msg(&t)->fate, PARSE_ACCEPT);
            t_eq(t_msg(&t)->message.kind, "ORU^R01");
            t_free(&t);
        }
}

/* [item 44] parts become one message */
static void test_join(void **state)
{
    (void)state;
    static const struct { const char *part[3]; bool is_whole; const char *want; } t[] = {
        {{"MSH|^~\\&|A|\rPID|1\rOBX|1|ST|ab\rADD\rDSC|p|F\r", "MSH|^~\\&|B|\rADD|cd\rOBX|2\r"}, true, "MSH|^~\\&|A|\rPID|1\rOBX|1|ST|ab\rADD|cd\rOBX|2\r"},
        {{"MSH|^~\\&|A|\rOBX|1\rDSC|p", "MSH|^~\\&|B|\rOBX|2\rDSC|q\r", "MSH|^~\\&|C|\rOBX|3"}, true, "MSH|^~\\&|A|\rOBX|1\rOBX|2\rOBX|3"},
        {{"MSH|^~\\&|A|\rOBX|1\rDSC|p\r", "MSH|^~\\&|B|\rOBX|2\rDSC|q\r"}, false, "MSH|^~\\&|A|\rOBX|1\rOBX|2\rDSC|q\r"},
        {{"MSH|^~\\&|A|\r\nOBX|1\r\nDSC|p\r\n", "MSH|^~\\&|B\nwrapped|x\r\nOBX|2\nmore\r\n"}, true, "MSH|^~\\&|A|\r\nOBX|1\r\nOBX|2\nmore\r\n"},
        {{"MSH|^~\\&|A|\rOBX|1", "MSH|^~\\&|B|\rOBX|2"}, true, "MSH|^~\\&|A|\rOBX|1\rOBX|2"},
        {{"MSH|^~\\&|A|\rOBX|1", "MSH|^~\\#|B|\rOBX|2"}, true, NULL},
        {{"MSH|^~\\&|A|\rOBX|1", "MSH"}, true, NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct arena *a = arena_new(1 << 16);
        struct span part[3];
        size_t n = 0;
        for (; n < 3 && t[i].part[n]; n++)
            part[n] = span_of(t[i].part[n]);
        struct span got = hl7v2_parser.join(part, n, t[i].is_whole, a);
        if (t[i].want)
            t_eq(got, t[i].want);
        else
            assert_true(span_is_absent(got));
        arena_free(a);
    }
}

/* What a part says about its neighbours; its own errors do not count, for it may break off anywhere. */
static void test_parts(void **state)
{
    (void)state;
    struct t t = t_parse(MSH_V("2.5.1") PID1 OBR1 "OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001||||||Q\rOBX|2\rDSC|next^x|F\r");
    assert_int_equal(t_msg(&t)->fate, PARSE_ACCEPT);
    t_eq(t_msg(&t)->continued_by, "next");
    assert_true(span_is_absent(t_msg(&t)->continues));
    assert_true(t_warns(t_rec(&t, 0), "W_INCOMPLETE_CONTINUATION"));
    t_free(&t);
    t = t_parse("MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||ORU^R01^ORU_R01|M1|P|2.5.1||next\r" PID1 OBR1 OBX1);
    t_eq(t_msg(&t)->continues, "next");
    assert_true(span_is_absent(t_msg(&t)->continued_by));
    assert_true(t_warns(t_rec(&t, 0), "W_INCOMPLETE_CONTINUATION"));
    t_free(&t);
    t = t_parse(MSH_V("2.5.1") PID1 OBR1 OBX1 "DSC|next|I\r");
    assert_true(span_is_absent(t_msg(&t)->continued_by));
    assert_false(t_warns(t_rec(&t, 0), "W_INCOMPLETE_CONTINUATION"));
    t_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join), cmocka_unit_test(test_parts),
        cmocka_unit_test(other_delimiters), cmocka_unit_test(truncation), cmocka_unit_test(two_delimiters), cmocka_unit_test(bad_delimiters),
        cmocka_unit_test(line_ends), cmocka_unit_test(lost_terminator), cmocka_unit_test(unknown_things), cmocka_unit_test(latin1),
        cmocka_unit_test(big5), cmocka_unit_test(iso2022jp), cmocka_unit_test(undeclared), cmocka_unit_test(undecodable),
        cmocka_unit_test(unknown_charset), cmocka_unit_test(byte_order_mark), cmocka_unit_test(batch), cmocka_unit_test(batch_counts),
        cmocka_unit_test(addendum), cmocka_unit_test(fragment), cmocka_unit_test(types_and_versions),
    };
    return cmocka_run_group_tests_name("hl7_lex", tests, NULL, NULL);
}
