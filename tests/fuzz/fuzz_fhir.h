/*
 * fuzz_fhir - what fuzz_fhir_json and fuzz_fhir_xml share: the checks, and without libFuzzer (FUZZ_STANDALONE) a replayer that mutates.
 *     fuzz_fhir_… [-n MUTATIONS] [-s SEED] FILE|FOLDER...
 * The last byte of an input chooses options. Asserted: each Observation and component of what is stored stands in exactly one record;
 * the record as JSON is UTF-8; a refusal has a reason; replies can be made in both forms and are read back; nothing leaks.
 * The program defines own_input (a Bundle of its own), own_words (NULL-terminated pieces to insert) and is_mine (by the first byte).
 */
#ifndef LABRELAY_FUZZ_FHIR_H
#define LABRELAY_FUZZ_FHIR_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fhir_reply.h"
#include "fhir_tree.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "fuzz_fhir: broken: %s\n", what);
    abort();
}

static const char *const fuzz_places[] = {"Patient.extension('http://x').valueString", "Patient.name.given[1]", "Observation.component.where(code.coding.code = '1').valueString",
                                          "Specimen.type.coding.where(system='s')[0].code", "Device.extension('u').extension('v').valueCode", "Bundle.entry.fullUrl"};

static void check_message(const struct parsed *m)
{
    unsigned sum = 0;
    bool is_stored = m->fate == PARSE_ACCEPT || m->fate == PARSE_FILTER;
    for (size_t i = 0; i < m->n_records; i++) {
        const struct record *r = &m->records[i];
        struct buf b;
        for (size_t k = 0; k < r->n; k++)
            sum += r->observations[k].parts;
        for (size_t k = 0; k < sizeof fuzz_places / sizeof fuzz_places[0] && r->fhir_field; k++) {
            struct rec_fhir_path p;
            const char *why;
            size_t at;
            unsigned budget = 20000;
            must(rec_fhir_parse(span_of(fuzz_places[k]), &p, &at, &why), "the place compiles");
            struct span found = r->fhir_field(r->source, r, r->n ? &r->observations[0] : NULL, &p, &budget);
            must(text_utf8_valid(found), "a place is UTF-8");
        }
        buf_init(&b, (size_t)8 << 20);
        record_format(r, &b);
        must(b.is_full || text_utf8_valid(buf_span(&b)), "the record as JSON is UTF-8");
        buf_clear(&b);
    }
    must(!is_stored || sum == m->observations, "every Observation stands in one record");
    must(is_stored || (m->n_problems > 0 && m->n_records == 0), "a refusal names its reason and stores nothing");
    must((m->fate == PARSE_FILTER) == (m->filter_reason != NULL), "a filtered message names its reason");
    must(m->priv != NULL, "there is always something for the reply");
    for (size_t i = 0; i < m->n_problems; i++)
        must(m->problems[i].name && m->problems[i].text, "a problem has its words");
}

static void check_reply(const struct parsed *m, enum frame_fate fate)
{
    struct arena *a = arena_new((size_t)32 << 20);
    struct fhir_tree json, xml;
    struct fhir_fault f;
    struct buf j, x;
    for (int k = 0; k < 3; k++) {
        for (int is_xml = 0; is_xml < 2; is_xml++) {
            struct buf *b = is_xml ? &x : &j;
            enum rec_format format = is_xml ? REC_FHIR_XML : REC_FHIR_JSON;
            buf_init(b, (size_t)16 << 20);
            if (k == 0)
                fhir_reply_message(b, format, m, fate);
            else if (k == 1)
                fhir_reply_bundle(b, format, m, fate, "http://h", 0);
            else
                fhir_reply_process(b, format, m, fate, "http://h", 0);
        }
        if (!j.is_full && !x.is_full && j.n < 1 << 20) {
            must(fhir_json_parse(a, buf_span(&j), &json, &f) == 0, "the JSON reply is JSON");
            must(fhir_xml_parse(a, buf_span(&x), &xml, &f) == 0, "the XML reply is XML");
        }
        buf_clear(&j);
        buf_clear(&x);
    }
    arena_free(a);
}

static int fuzz_one(const uint8_t *data, size_t size)
{
    uint8_t pick = size ? data[size - 1] : 0;
    const struct fhir_options o = {.is_strict = pick & 1, .is_other_version_allowed = pick & 2, .test_data = pick >> 2 & 1,
                                   .name_text = pick >> 3 & 1, .effective = pick >> 4 & 1, .max_entries = pick & 32 ? 20 : 0};
    struct arena *a = arena_new((size_t)32 << 20);
    struct parse_result r;
    struct err e = ERR_INIT;
    char *copy = malloc(size ? size : 1);       /* exactly as long as the frame */
    must(copy != NULL, "memory");
    if (size)
        memcpy(copy, data, size);
    struct span frame = span_make(copy, size);
    (void)fhir_parser.sniff(span_cut(frame, 0, 4096));
    if (fhir_parser.parse(&o, frame, a, &r, &e) == 0) {
        must(r.n > 0, "something was read");
        for (size_t i = 0; i < r.n; i++) {
            check_message(&r.v[i]);
            if (i < 3)
                check_reply(&r.v[i], (enum frame_fate)(pick % 5));
        }
    } else {
        must(e.kind == ERR_LIMIT, "only limits fail");
    }
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

static size_t insert(uint8_t *p, size_t n, size_t room, size_t at, const char *w)
{
    size_t wn = strlen(w);
    if (n + wn >= room)
        return n;
    memmove(p + at + wn, p + at, n - at);
    memcpy(p + at, w, wn);
    return n + wn;
}

/* A few edits: bytes, words of the format, cuts, doubled pieces */
static size_t mutate(const char *const *words, uint8_t *p, size_t n, size_t room)
{
    size_t n_words = 0;
    while (words[n_words])
        n_words++;
    for (uint64_t k = rnd(5) + 1; k && n; k--) {
        size_t at = (size_t)rnd(n), len = (size_t)rnd(60), from = (size_t)rnd(n);
        switch (rnd(6)) {
        case 0: p[at] = (uint8_t)rnd(256); break;
        case 1:
            if (rnd(8) == 0)
                n = at ? at : 1;
            break;
        case 2:
            if (at + len < n) {
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            }
            break;
        case 3:                                 /* a piece of it somewhere else: references cross */
            if (at + len < n && from + len < n)
                memmove(p + at, p + from, len);
            break;
        default: n = insert(p, n, room, at, words[rnd(n_words)]); break;
        }
    }
    return n;
}

static void run_bytes(const char *const *words, const uint8_t *original, size_t n, unsigned long mutations)
{
    enum { ROOM = (1 << 20) + 4096 };
    static uint8_t work[ROOM];
    (void)fuzz_one(original, n);
    runs++;
    for (unsigned long i = 0; i < mutations; i++) {
        memcpy(work, original, n);
        (void)fuzz_one(work, mutate(words, work, n, ROOM));
        runs++;
    }
}

static void run_path(bool (*is_mine)(uint8_t), const char *const *words, const char *path, unsigned long mutations)
{
    enum { MAX = 1 << 20 };
    static uint8_t original[MAX];
    struct stat st;
    struct dirent *de;
    if (stat(path, &st))
        return;
    if (!S_ISDIR(st.st_mode)) {
        FILE *f = fopen(path, "rb");
        size_t n = f ? fread(original, 1, MAX, f) : 0, i = 0;
        if (f)
            (void)fclose(f);
        while (i < n && (original[i] == ' ' || original[i] == '\n' || original[i] == 0xEF || original[i] == 0xBB || original[i] == 0xBF))
            i++;
        if (i < n && is_mine(original[i]))
            run_bytes(words, original, n, mutations);
        return;
    }
    DIR *d = opendir(path);
    while (d && (de = readdir(d))) {
        char sub[4096];
        if (de->d_name[0] != '.' && snprintf(sub, sizeof sub, "%s/%s", path, de->d_name) < (int)sizeof sub)
            run_path(is_mine, words, sub, mutations);
    }
    if (d)
        (void)closedir(d);
}

static int fuzz_main(int argc, char **argv, const char *own, const char *const *words, bool (*is_mine)(uint8_t))
{
    unsigned long mutations = 0;
    int first = 1;
    for (; first + 1 < argc && argv[first][0] == '-'; first += 2) {
        if (argv[first][1] == 'n')
            mutations = strtoul(argv[first + 1], NULL, 10);
        else if (argv[first][1] == 's')
            seed = strtoull(argv[first + 1], NULL, 10) | 1;
    }
    run_bytes(words, (const uint8_t *)own, strlen(own), mutations ? mutations * 20 : 2000);
    for (int i = first; i < argc; i++)
        run_path(is_mine, words, argv[i], mutations);
    (void)printf("%s: %lu inputs\n", argv[0], runs);
    return 0;
}
#endif
#endif
