/*
 * NAME
 *     fuzz_conf - configuration text, then CSV text behind a zero byte, through the whole loader and one rule run
 * DESCRIPTION
 *     LLVMFuzzerTestOneInput() for libFuzzer. With -DFUZZ_STANDALONE it has a main() that replays the files named and then runs
 *     seeded mutations of them:  fuzz_conf [-n ROUNDS] [-s SEED] FILE…
 * DIAGNOSTICS
 *     It aborts when loading breaks a promise: a configuration together with errors, none without one, unprintable diagnostics.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "rule.h"
#include "test_conf_modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/labrelay-fuzz-XXXXXX";
static char conf_path[100], csv_path[100];

static void clean(void)
{
    (void)unlink(conf_path);
    (void)unlink(csv_path);
    (void)rmdir(dir);
}

static void put(const char *path, const uint8_t *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static void prepare(void)
{
    if (conf_path[0])
        return;
    if (!mkdtemp(dir))
        abort();
    (void)snprintf(conf_path, sizeof conf_path, "%s/c.conf", dir);
    (void)snprintf(csv_path, sizeof csv_path, "%s/t.csv", dir);
    (void)atexit(clean);
}

static void run_rules(const struct config *c)
{
    static const struct rec_coding code = {.system = {"http://loinc.org", 16}, .code = {"94500-6", 7}};
    static const struct rec_message m = {.channel = {"lab", 3}};
    struct rec_observation obs[3] = {
        {.role = OBS_RESULT, .status = OBS_ST_FINAL, .code = {&code, 1, {0}}, .value = {.type = REC_V_TEXT, .text = SPAN_LIT("Detected")}},
        {.role = OBS_RESULT, .status = OBS_ST_PRELIMINARY, .code = {&code, 1, {0}}, .value = {.type = REC_V_NUMBER, .text = SPAN_LIT("0.7"), .num1 = SPAN_LIT("0.7")},
         .unit = {.code = SPAN_LIT("g/L")}, .analysed_at = {.v = SPAN_LIT("2026-05-06T10:30:00"), .zone = SPAN_LIT("+02:00"), .prec = 'S'}},
        {.role = OBS_PART, .status = OBS_ST_FINAL},
    };
    struct record r = {.message = &m, .observations = obs, .n = 3, .patient = {.birth_date = {.v = SPAN_LIT("2021-05"), .prec = 'M'}, .is_present = true},
                       .specimen = {.id = SPAN_LIT("S-2026-1"), .collected_at = {.v = SPAN_LIT("2026-05-04"), .prec = 'D'}}};
    struct arena *a = arena_new(1 << 20);
    struct rule_trace t = {.a = a};
    struct rule_result out;
    struct err e = ERR_INIT;
    for (size_t i = 0; i < 2; i++)
        if (rule_run(c->rules, &r, &obs[i], a, &out, &t, &e) == 0 && out.action == RULE_SEND_LAB && !out.writer)
            abort();
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    put(conf_path, data, n);
    put(csv_path, zero ? zero + 1 : data, zero ? size - n - 1 : 0);
    struct diag *d = diag_new();
    struct config *c = config_load(conf_path, &test_modules, d);
    if ((c == NULL) != (diag_errors(d) > 0))
        abort();
    struct buf b;
    buf_init(&b, 1 << 24);
    diag_format(d, &b);
    diag_format_json(d, &b);
    if (b.is_full)
        abort();
    buf_clear(&b);
    if (c)
        run_rules(c);
    config_free(c);
    diag_free(d);
    return 0;
}

#ifdef FUZZ_STANDALONE
static uint64_t seed = 1;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* A few bytes changed, cut, doubled, or a word of the grammar put in. */
static size_t mutate(uint8_t *p, size_t n, size_t room)
{
    static const char *const words[] = {"{", "}", "\"", "\n", "when ", "in ", "tests ", "(", ")", "~ /a(/", "->", ",", "and ", "not ", "16MB", "route ", "\\", "#", ";", "set lab.", "if ", "} else {", "for each observation {", "any observation where ", "this.", "+ 2d ", "note \"{", "\xff", "\"\"", "= ", "1e9999"};
    for (uint64_t k = next() % 4 + 1; k && n; k--) {
        size_t at = (size_t)(next() % n), len = (size_t)(next() % 40);
        const char *w = words[next() % (sizeof words / sizeof words[0])];
        switch (next() % 4) {
        case 0: p[at] = (uint8_t)next(); break;
        case 1:
            len = len < n - at ? len : n - at;
            memmove(p + at, p + at + len, n - at - len);
            n -= len;
            break;
        case 2:
            len = strlen(w);
            if (n + len < room) {
                memmove(p + at + len, p + at, n - at);
                memcpy(p + at, w, len);
                n += len;
            }
            break;
        case 3:
            len = len < n - at ? len : n - at;
            if (n + len < room) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
            break;
        }
    }
    return n;
}

static size_t load_file(const char *path, uint8_t *p, size_t room)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t n = fread(p, 1, room, f);
    (void)fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    static uint8_t file[1 << 16], work[1 << 17];
    long rounds = 0;
    int opt;
    while ((opt = getopt(argc, argv, "n:s:")) != -1) {
        if (opt == 'n')
            rounds = strtol(optarg, NULL, 10);
        else if (opt == 's')
            seed = strtoull(optarg, NULL, 10) | 1;
        else
            return 64;
    }
    glob_t own = {0};
    char **names = argv + optind;
    size_t count = (size_t)(argc - optind);
    if (count == 0) { /* as a test: the seeds, and a few changes of each */
        if (glob(SRCDIR "/tests/fuzz/corpus/fuzz_conf/*", 0, NULL, &own) != 0)
            return 64;
        names = own.gl_pathv;
        count = own.gl_pathc;
        rounds = 20;
    }
    for (size_t i = 0; i < count; i++) {
        size_t n = load_file(names[i], file, sizeof file);
        (void)LLVMFuzzerTestOneInput(file, n);
        for (long k = 0; k < rounds; k++) {
            memcpy(work, file, n);
            (void)LLVMFuzzerTestOneInput(work, mutate(work, n, sizeof work));
        }
    }
    globfree(&own);
    return 0;
}
#endif
