/*
 * NAME bench_parse - how fast one core turns HL7 v2 messages into records.
 *
 *     bench_parse [seconds]
 *
 * Messages are made here, 64 of them, each about 2.4 kB with 10 OBX; the work is parse() of the module: split, decode, group, record with all
 * observations. Then one message with a 600 kB document in base64. Prints messages and megabytes (10^6 bytes) per second of CPU time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hl7_parser.h"

static double cpu_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_message(struct buf *b, unsigned n)
{
    static const char *const codes[] = {"6690-2^Leukocytes", "789-8^Erythrocytes", "718-7^Hemoglobin", "4544-3^Hematocrit", "787-2^MCV",
                                        "785-6^MCH", "786-4^MCHC", "788-0^Erythrocyte distribution width", "777-3^Platelets", "41636-2^Ebola virus RNA"};
    buf_addf(b, "MSH|^~\\&|ANALYZER^1.2.840.99^ISO|LAB%02u^Central laboratory|ENGINE|MOH|20260504142233+0200||ORU^R01^ORU_R01|BENCH%06u|P|2.5.1|||||COD|UNICODE UTF-8\r", n % 100, n);
    buf_addf(b, "PID|1||CASE-%04u^^^GODATA^PI~00%05u^^^COD^NI||Family%u^Given%u^Middle^^^^L||19%02u0203|F|||12 Avenue Example^^Goma^^^COD^H||^PRN^PH^^243^99^1%06u\r", n, n, n, n, n % 90 + 10, n);
    buf_addf(b, "PV1|1|I|WARD^4^B^HOSP||||1234^Doctor^Anna|||||||||||V%06u^^^HOSP^VN\r", n);
    buf_addf(b, "ORC|RE|ORD-%u|F-%u\r", n, n);
    buf_addf(b, "OBR|1|ORD-%u|F-%u|58410-2^Complete blood count panel^LN|||20260504081500+0200|||||||20260504093000+0200||||||||20260504142000+0200||HM|F\r", n, n);
    for (unsigned i = 0; i < 10; i++)
        buf_addf(b, "OBX|%u|NM|%s^LN^X%02u^Local name^99LAB|%u|%u.%u|10*3/uL^thousand per microliter^UCUM|3.50-9.50|%s|||F|||20260504081500+0200|LAB01^Central laboratory||AUTO^Automated^99LAB|XN-10^Analyzer~SN1234^Serial|20260504140500+0200\r",
                 i + 1, codes[i], i, i + 1, n % 40 + i, (n + i) % 10, i % 3 ? "N" : "H");
    buf_addf(b, "NTE|1|L|Checked by the analyzer, run %u\r", n);
    buf_addf(b, "SPM|1|ORD-%u-1^S-2026-%06u||119297000^Blood specimen^SCT|||||||P||||||20260504081500+0200|20260504093000+0200\r", n, n);
}

static void make_document(struct buf *b)
{
    buf_adds(b, "MSH|^~\\&|A|B|C|D|20260504142233+0200||ORU^R01^ORU_R01|DOC1|P|2.5.1\rPID|1||1\rOBR|1||F1|11502-2^Report^LN\rOBX|1|ED|11502-2^Report^LN||^application^pdf^Base64^");
    for (unsigned i = 0; i < 150000; i++)
        buf_adds(b, "QUJD");
    buf_adds(b, "||||||F\r");
}

static int run(const char *name, const struct buf *v, size_t n, double seconds)
{
    struct arena *a = arena_new((size_t)64 << 20);
    double start = cpu_now(), t;
    uint64_t messages = 0, bytes = 0, seen = 0;
    do {
        for (size_t i = 0; i < n; i++) {
            struct parse_result r;
            struct err e = ERR_INIT;
            arena_reset(a);
            if (hl7v2_parser.parse(NULL, buf_span(&v[i]), a, &r, &e) || r.n != 1 || r.v[0].fate != PARSE_ACCEPT) {
                (void)fprintf(stderr, "bench_parse: a message of its own was not accepted\n");
                arena_free(a);
                return 1;
            }
            seen += r.v[0].records[0].n;
            bytes += v[i].n;
            messages++;
        }
        t = cpu_now() - start;
    } while (t < seconds);
    printf("%-10s %8zu bytes  %9.0f messages/s  %8.1f MB/s  %7.2f us each  %llu observations\n", name, v[0].n, (double)messages / t,
           (double)bytes / t / 1e6, t / (double)messages * 1e6, (unsigned long long)seen);
    arena_free(a);
    return 0;
}

int main(int argc, char **argv)
{
    enum { N = 64 };
    struct buf v[N], doc;
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
    for (unsigned i = 0; i < N; i++) {
        buf_init(&v[i], (size_t)1 << 20);
        make_message(&v[i], i * 37 + 1);
    }
    buf_init(&doc, (size_t)4 << 20);
    make_document(&doc);
    int rc = run("oru-10", v, N, seconds) || run("document", &doc, 1, seconds / 4);
    for (unsigned i = 0; i < N; i++)
        buf_clear(&v[i]);
    buf_clear(&doc);
    return rc;
}
