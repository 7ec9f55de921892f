/*
 * NAME fuzz_csv - the CSV parser against hostile bytes.
 *
 * With libFuzzer: -fsanitize=fuzzer,address,undefined. Without (FUZZ_STANDALONE): fuzz_csv [-n MUTATIONS] [-s SEED] FILE...
 * Length and last byte choose options. Asserted: the sum of observations; the record as JSON is UTF-8; what is stored of an accepted row reads
 * again, alone, to one accepted message of the same bytes; an answer can always be made; only limits fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv_inner.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "fuzz_csv: broken: %s\n", what);
    abort();
}

static struct csv_options options;

static void setup(void)
{
    static const char *const words[][4] = {{"No", "specimen.id"}, {"Name", "patient.family_name"}, {"Taken", "specimen.collected_at"}, {"Test", "observation.code"}, {"Result", "observation.value"},
                                           {"RDT", "observation", "rdt", "optional"}, {"Status", "observation.status", "optional"}, {"Note", "observation.notes", "optional"}};
    struct err e = ERR_INIT;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && !options.max_rows; i++) {
        char *v[4];
        struct option_list l = {v, 0};
        size_t bad;
        for (; l.n < 4 && words[i][l.n]; l.n++)
            v[l.n] = (char *)(uintptr_t)words[i][l.n];
        must(csv_column_read(&options.columns, &l, &bad, &e) == 0, "a column");
    }
    options.max_rows = 1000;
}

static void check_message(const struct csv_options *o, const struct parsed *m)
{
    struct buf b;
    must(m->fate != PARSE_REFUSE || (m->n_problems > 0 && m->problems[0].severity == 'E'), "a refusal names its reason");
    must((m->fate == PARSE_FILTER) == (m->filter_reason != NULL), "a filtered message names its reason");
    if (m->fate != PARSE_ACCEPT)
        return;
    must(m->n_records == 1 && m->records[0].n == m->observations, "every observation is counted");
    buf_init(&b, (size_t)8 << 20);
    record_format(m->records, &b);
    must(b.is_full || text_utf8_valid(buf_span(&b)), "the record as JSON is UTF-8");
    buf_clear(&b);
    struct arena *a = arena_new((size_t)32 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    must(csv_parser.parse(o, m->raw, a, &r, &e) == 0, "what is stored reads again");
    must(r.n == 1 && r.v[0].fate == PARSE_ACCEPT && span_eq(r.v[0].raw, m->raw), "… to the same message");
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    setup();
    struct csv_options o = options;
    uint8_t pick = size ? (uint8_t)(size * 37 + data[size - 1]) : 0;
    o.separator = pick & 3;
    o.charset = (pick >> 2 & 3) % 3;
    o.is_decimal_comma = pick & 16;
    struct arena *a = arena_new((size_t)64 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    struct span *p = NULL;
    size_t n = 0;
    struct reply_conf rc = {.now_us = 0};
    char *copy = malloc(size ? size : 1); /* exactly as long as the frame */
    must(copy != NULL, "memory");
    if (size)
        memcpy(copy, data, size);
    (void)csv_parser.sniff(span_cut(span_make(copy, size), 0, 4096));
    if (csv_parser.parse(&o, span_make(copy, size), a, &r, &e) == 0) {
        enum frame_fate *fates = calloc(r.n + 1, sizeof *fates);
        must(fates != NULL, "memory");
        for (size_t i = 0; i < r.n; i++) {
            check_message(&o, &r.v[i]);
            fates[i] = (enum frame_fate)(i % 5);
        }
        must(csv_parser.reply(&o, &r, fates, &rc, a, &p, &n, &e) == 0, "an answer can always be made");
        for (size_t i = 0; i < n; i++)
            free((void *)(uintptr_t)p[i].p);
        free(p);
        free(fates);
    } else {
        must(e.kind == ERR_LIMIT, "only limits fail");
    }
    arena_free(a);
    free(copy);
    return 0;
}

#ifdef FUZZ_STANDALONE
static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return below ? seed % below : 0;
}

static size_t mutate(uint8_t *p, size_t n, size_t room)
{
    static const char *const words[] = {"\"", "\"\"", ",", ";", "\t", "\r\n", "\n", "\r", "\xe9", "\xc3\xa9", "\xef\xbb\xbf", "2026-11-04", "31/02/2026", "final", "\"\n\"", "No,Name,Taken,Test,Result\n", "\0"};
    for (uint64_t k = rnd(6) + 1; k && n; k--) {
        size_t at = (size_t)rnd(n), len = (size_t)rnd(20);
        const char *w = words[rnd(sizeof words / sizeof words[0])];
        size_t wn = strlen(w);
        switch (rnd(4)) {
        case 0: p[at] = (uint8_t)rnd(256); break;
        case 1:
            if (at + len < n) {
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            }
            break;
        default:
            if (n + wn < room) {
                memmove(p + at + wn, p + at, n - at);
                memcpy(p + at, w, wn);
                n += wn;
            }
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static const char own[] = "Weekly list,,,,,,\r\nNo,Name,Taken,Test,Result,RDT,Status,Note\r\n1,\"O\"\"Hara, Jo\",2026-11-04,A,Positive,neg,final,\"two\nlines\"\r\n"
                              "2,R\xe9my,2026-11-04 10:15,B,<40,,P,\r\n3,B,,A,1.5,,,\r\n4\r\n,,,,,,,\r\n5,X,,,,,,\r\n";
    static uint8_t work[16384];
    static uint8_t from[8192];
    unsigned long mutations = 20000, runs = 0;
    size_t n = sizeof own - 1;
    memcpy(from, own, n);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
            mutations = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10) | 1;
        } else {
            FILE *f = fopen(argv[i], "rb");
            if (f) {
                n = fread(from, 1, sizeof from, f);
                (void)fclose(f);
            }
        }
    }
    for (unsigned long i = 0; i <= mutations; i++, runs++) {
        memcpy(work, from, n);
        (void)LLVMFuzzerTestOneInput(work, i ? mutate(work, n, sizeof work) : n);
    }
    printf("fuzz_csv: %lu inputs, nothing broken\n", runs);
    csv_columns_free(&options.columns);
    return 0;
}
#endif
