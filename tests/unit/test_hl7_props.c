/*
 * NAME test_hl7_props - properties of the HL7 parser on mutated and generated messages.
 * The sum of parts equals the number of OBX for every accepted message (t_parse_bytes asserts it); a cut message never crashes; line ends
 * and trailing delimiters change nothing; time grows with the size, not with its square. Seeded: a failure repeats.
 */
#include "test_hl7_util.h"

#include <time.h>

static uint64_t seed = 88172645463325252ULL;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static const char *const pieces[] = {PID1, "PID|2||C-9||Roe^Bob\r", "ORC|RE|P|F\r", OBR1, OBX1, "OBX|2|NM|A^B^L||1.5|mg||N|||F\r", "OBX|3|TX|A^B^L||text||||||F\r", "NTE|1||note\r",
                                     "SPM|1|S1^T1||BLD^^HL70487\r", "SAC|||C1\r", "INV|X|OK|CO\r", "TXA|1\r", "DEV|1\r", "PRT|1\r", "OBX|4|ED|D^D^L||^a^b^Base64^SGk=||||||F\r", "ADD|more\r", "wrapped text\r",
                                     "PV1|1\r", "ZZZ|1|2\r", "OBX|5|ST|^^||||||||D\r", "TCD|1\r"};

/* [item 66] [item 68] accounting under any order of segments */
static void any_order(void **state)
{
    (void)state;
    static const char *const heads[] = {"ORU^R01", "ORU^R32", "OUL^R22", "OUL^R23", "OUL^R24"}, *const versions[] = {"2.1", "2.3", "2.5.1", "2.6", "2.9"};
    for (int i = 0; i < 3000; i++) {
        char text[4096];
        size_t n = (size_t)snprintf(text, sizeof text, "MSH|^~\\&|D|L|E|M|20260504||%s|M%d|P|%s\r", heads[rnd(5)], i, versions[rnd(5)]);
        for (uint32_t k = rnd(24); k; k--)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", pieces[rnd(sizeof pieces / sizeof pieces[0])]);
        struct t t = t_parse_bytes(NULL, text, n);
        assert_int_equal(t.r.n, 1);
        const struct parsed *m = t_msg(&t);
        bool is_wrapped_msh = m->fate == PARSE_REJECT; /* "2.3\nwrapped text" */
        assert_true(m->fate == PARSE_ACCEPT || is_wrapped_msh || t_has_problem(m, 100, NULL) || t_has_problem(m, 103, NULL));
        unsigned sum = 0;
        for (size_t r = 0; r < m->n_records; r++)
            for (size_t k = 0; k < m->records[r].n; k++)
                sum += m->records[r].observations[k].parts;
        assert_true(is_wrapped_msh || sum == m->observations); /* refused ones, too */
        t_free(&t);
    }
}

static void cut_and_broken(void **state)
{
    (void)state;
    static const char whole[] = MSH_V("2.5.1") PID1 "ORC|RE\r" OBR1 OBX1 "NTE|1||a\\.br\\b\rOBX|2|ED|D^D^L||^a^b^Base64^SGk=||||||F\rSPM|1|S1^T1\r";
    for (size_t n = 0; n < sizeof whole; n++) {
        struct t t = t_parse_bytes(NULL, whole, n);
        t_free(&t);
    }
    for (int i = 0; i < 5000; i++) {
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        for (uint32_t k = rnd(8) + 1; k; k--)
            text[rnd(sizeof whole - 1)] = rnd(3) ? "|^~\\&\r\n\"1A "[rnd(11)] : (char)rnd(256);
        struct t t = t_parse_bytes(NULL, text, sizeof whole - 1);
        t_free(&t);
    }
}

static double seconds_for(const char *text, size_t n)
{
    struct arena *a = arena_new((size_t)512 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    struct timespec from, to;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_int_equal(hl7v2_parser.parse(NULL, span_make(text, n), a, &r, &e), 0);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    arena_free(a);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Shapes that would be slow in a parser with a square in it; 16 times the size may take at most 80 times as long. */
static void linear(void **state)
{
    (void)state;
    static const char *const units[] = {"OBX|1|TX|A^B^L||line||||||F\r", "OBX|1|ST|A^B^L|||||||F\rNTE|1||x\r", "ADD|x\r", "wrapped\r", "a\\b", "~x", "^x", "&x", "OBR|1\rORC|1\r", "SPM|1\r", "\\Q\\",
                                        "MSH|^~\\&|D|L|E|M|||ORU^R01|1|P|2.5\r"};
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        double t[2];
        for (int big = 0; big < 2; big++) {
            size_t len = strlen(units[u]), times = big ? 4800 : 300, n;
            char *text = malloc(times * len + 400);
            assert_non_null(text);
            n = (size_t)snprintf(text, 400, MSH_V("2.5.1") PID1 OBR1 "OBX|1|ST|X^T^L|1|");
            if (units[u][0] >= 'A' && units[u][0] <= 'Z')
                text[n++] = '\r';
            for (size_t i = 0; i < times; i++, n += len)
                memcpy(text + n, units[u], len);
            t[big] = 1e9;
            for (int k = 0; k < 3; k++) {
                double s = seconds_for(text, n);
                t[big] = s < t[big] ? s : t[big];
            }
            free(text);
        }
        if (t[1] > t[0] * 80 + 0.02)
            fail_msg("shape %zu: %.6f s, 16 times the size %.6f s", u, t[0], t[1]);
    }
}

/* A note of many lines needs memory for its lines, not for each beginning of them. */
static void long_note(void **state)
{
    (void)state;
    enum { LINES = 8000 };
    char *text = malloc(LINES * 20 + 500);
    assert_non_null(text);
    size_t n = (size_t)snprintf(text, 400, MSH_V("2.5.1") PID1 OBR1 OBX1 "NTE|1||first");
    for (int i = 0; i < LINES; i++)
        n += (size_t)snprintf(text + n, 20, "~line %d of it", i);
    struct arena *a = arena_new((size_t)4 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    assert_int_equal(hl7v2_parser.parse(NULL, span_make(text, n), a, &r, &e), 0);
    assert_true(r.v[0].records[0].observations[0].notes.v[0].n > LINES * 10);
    arena_free(a);
    free(text);
}

static void document_is_linear(void **state)
{
    (void)state;
    size_t n = 4000000, k;
    char *text = malloc(n + 500);
    assert_non_null(text);
    k = (size_t)snprintf(text, 400, MSH_V("2.5.1") PID1 OBR1 "OBX|1|ED|X^T^L|1|^application^pdf^Base64^");
    memset(text + k, 'A', n);
    k += n;
    k += (size_t)snprintf(text + k, 50, "||||||F\r");
    assert_true(seconds_for(text, k) < 1.0);
    struct arena *a = arena_new((size_t)1 << 20); /* what does not fit is ERR_LIMIT */
    struct parse_result r;
    struct err e = ERR_INIT;
    assert_int_equal(hl7v2_parser.parse(NULL, span_make(text, k), a, &r, &e), -1);
    assert_int_equal(e.kind, ERR_LIMIT);
    assert_true(arena_used(a) <= (size_t)1 << 20);
    arena_free(a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_order), cmocka_unit_test(cut_and_broken), cmocka_unit_test(linear), cmocka_unit_test(long_note), cmocka_unit_test(document_is_linear)};
    return cmocka_run_group_tests_name("hl7_props", tests, NULL, NULL);
}
