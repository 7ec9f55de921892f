/*
 * NAME fuzz_hl7 - the HL7 parser against hostile bytes.
 *
 * With libFuzzer: -fsanitize=fuzzer,address,undefined. Without (FUZZ_STANDALONE): replays the files and folders named, then mutates them:
 *     fuzz_hl7 [-n MUTATIONS] [-s SEED] FILE|FOLDER...
 * The first byte chooses options. Asserted: every OBX of an accepted message stands in exactly one record; the JSON is UTF-8;
 * replies are made and hold no byte below 0x20 but CR, LF and TAB that the sender did not send; nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hl7_parser.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "fuzz_hl7: broken: %s\n", what);
    abort();
}

static void check_message(const struct parsed *m)
{
    unsigned sum = 0;
    for (size_t i = 0; i < m->n_records; i++) {
        const struct record *r = &m->records[i];
        struct buf b;
        for (size_t k = 0; k < r->n; k++)
            sum += r->observations[k].parts;
        buf_init(&b, (size_t)8 << 20);
        record_format(r, &b);
        must(b.is_full || text_utf8_valid(buf_span(&b)), "the record as JSON is UTF-8");
        buf_clear(&b);
    }
    must(m->fate != PARSE_ACCEPT || sum == m->observations, "every OBX stands in one record");
    must(m->fate != PARSE_REFUSE || (m->n_problems > 0 && m->problems[0].severity == 'E'), "a refusal names its reason");
    must(m->fate != PARSE_REJECT || (m->n_problems > 0 && m->problems[0].severity == 'E'), "a rejection names its reason");
    must((m->fate == PARSE_FILTER) == (m->filter_reason != NULL), "a filtered message names its reason");
}

static void check_replies(const struct hl7_options *o, const struct parse_result *r, struct arena *a)
{
    struct reply_conf rc = {.now_us = INT64_C(1777896153000000), .utc_offset_min = -90, .own_app = "A", .own_facility = "B", .id_seed = 7};
    struct span *p = NULL;
    size_t n = 0;
    struct err e = ERR_INIT;
    enum frame_fate *fates = calloc(r->n + 1, sizeof *fates);
    must(fates != NULL, "memory");
    for (size_t i = 0; i < r->n; i++)
        fates[i] = (enum frame_fate)(i % 5);
    must(hl7v2_parser.reply(o, r, fates, &rc, a, &p, &n, &e) == 0, "a reply can always be made");
    must(n <= 2 * r->n + 1, "at most two replies a message");
    for (size_t i = 0; i < n; i++) {
        must(p[i].n > 10 && p[i].p[p[i].n - 1] == '\r', "a reply ends a segment");
        free((void *)(uintptr_t)p[i].p);
    }
    free(p);
    free(fates);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t pick = size ? data[size - 1] : 0;
    struct hl7_options o = {.is_strict = pick & 1, .is_lenient_dates = pick & 2, .qc_rule = pick >> 2 & 1, .is_decimal_comma = pick & 8,
                            .obr7 = pick >> 4 & 1, .is_loinc_without_system = pick & 32, .is_wide = pick & 64};
    struct arena *a = arena_new((size_t)32 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    char *copy = malloc(size ? size : 1); /* exactly as long as the frame */
    must(copy != NULL, "memory");
    if (size)
        memcpy(copy, data, size);
    struct span frame = span_make(copy, size), busy = SPAN_ABSENT;
    struct reply_conf rc = {.own_app = "A"};
    (void)hl7v2_parser.sniff(span_cut(frame, 0, 4096));
    if (hl7v2_parser.parse(&o, frame, a, &r, &e) == 0) {
        for (size_t i = 0; i < r.n; i++)
            check_message(&r.v[i]);
        check_replies(&o, &r, a);
    } else {
        must(e.kind == ERR_LIMIT, "only limits fail");
    }
    (void)hl7v2_parser.busy(&o, frame, &rc, a, &busy, &e);
    free((void *)(uintptr_t)busy.p);
    arena_free(a);
    free(copy);
    return 0;
}

#ifdef FUZZ_STANDALONE
#include <dirent.h>
#include <sys/stat.h>

static uint64_t seed = 1;
static unsigned long runs;

static uint64_t rnd(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return below ? seed % below : 0;
}

/* A few edits: bytes, words of the format, cuts, doubled pieces */
static size_t mutate(uint8_t *p, size_t n, size_t room)
{
    static const char *const words[] = {"|", "^", "~", "\\", "&", "\r", "\n", "\"\"", "\rOBX|1|NM|", "\rMSH|^~\\&|", "\\X4", "\\.br\\", "\rSPM|1|", "\rOBR|", "\rADD|", "\rSAC|",
                                        "\rPID|", "\rORC|", "\rTXA|", "\rDEV|", "\rNTE|1||", "\x1b$B", "\xff", "\xc3", "8859/1", "~ISO IR87", "|ED|", "Base64^", "\rBTS|9", "\0"};
    for (uint64_t k = rnd(6) + 1; k && n; k--) {
        size_t at = (size_t)rnd(n), len = (size_t)rnd(40);
        switch (rnd(6)) {
        case 0: p[at] = (uint8_t)rnd(256); break;
        case 1: n = at ? at : 1; break;
        case 2:
            if (at + len < n) {
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            }
            break;
        case 3:
            if (at + len < n && n + len < room) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
            break;
        default: {
            const char *w = words[rnd(sizeof words / sizeof words[0])];
            size_t wn = strlen(w);
            if (n + wn < room) {
                memmove(p + at + wn, p + at, n - at);
                memcpy(p + at, w, wn);
                n += wn;
            }
        }
        }
    }
    return n;
}

static void run_file(const char *path, unsigned long mutations)
{
    enum { MAX = 1 << 20, ROOM = MAX + 4096 };
    static uint8_t original[ROOM], work[ROOM];
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    size_t n = fread(original, 1, MAX, f);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(original, n);
    runs++;
    for (unsigned long i = 0; i < mutations; i++) {
        memcpy(work, original, n);
        (void)LLVMFuzzerTestOneInput(work, mutate(work, n, ROOM));
        runs++;
    }
}

static void run_path(const char *path, unsigned long mutations)
{
    struct stat st;
    struct dirent *de;
    DIR *d;
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
        run_file(path, mutations);
        return;
    }
    d = opendir(path);
    while (d && (de = readdir(d))) {
        char sub[4096];
        if (de->d_name[0] == '.' || snprintf(sub, sizeof sub, "%s/%s", path, de->d_name) >= (int)sizeof sub)
            continue;
        run_path(sub, mutations);
    }
    if (d)
        (void)closedir(d);
}

/* Own messages, so that the program tests something without any file */
static void run_own(unsigned long mutations)
{
    static const char own[] = "MSH|^~\\&|DEV|LAB|ENGINE|MOH|20260504142233+0200||OUL^R22^OUL_R22|M1|P|2.5.1|||NE|AL||UNICODE UTF-8|||LAB-29^IHE\rPID|1||C-1^^^G^PI||Doe^Ann||19900203|F\r"
                              "SPM|1|P1^S1&ROCHE||BLD^^HL70487|||||||P|||||||20260504\rSAC|||C1\rOBR|1|\"\"||HIV^^99ROC\rORC|SC||||CM\rOBX|1|NM|HIV^^99ROC|1|1~2|cp/mL|<1|POS~H|||F|||2026\rNTE|1||a\\.br\\b\r"
                              "OBX|2|SN|X^T^L|1|>^100||||||F\rOBX|3|ED|X^T^L|1|^application^pdf^Base64^SGVsbG8=||||||F\rOBX|4|TX|X^T^L|2|one||||||F\rOBX|5|TX|X^T^L|2|two||||||F\rTCD|1\r";
    static uint8_t work[8192];
    for (unsigned long i = 0; i <= mutations; i++) {
        memcpy(work, own, sizeof own - 1);
        (void)LLVMFuzzerTestOneInput(work, i ? mutate(work, sizeof own - 1, sizeof work) : sizeof own - 1);
        runs++;
    }
}

int main(int argc, char **argv)
{
    unsigned long mutations = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
            mutations = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10) | 1;
        else
            run_path(argv[i], mutations);
    }
    run_own(mutations ? mutations * 10 : 2000);
    printf("fuzz_hl7: %lu inputs, nothing broken\n", runs);
    return 0;
}
#endif
