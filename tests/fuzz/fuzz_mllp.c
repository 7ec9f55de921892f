/*
 * NAME fuzz_mllp - any bytes, cut anywhere, give the same frames; memory stays under the cap; nothing is lost or made up.
 *
 * The first byte chooses the options and a seed for the cuts, the rest is the stream. With libFuzzer: clang -fsanitize=fuzzer,address.
 * With -DFUZZ_STANDALONE: fuzz_mllp [-n ROUNDS] [-s SEED] [FILE…] replays the files, then mutates them for so many rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mllp_frame.h"
#include "text.h"
#include "xmem.h"

#define MAX_BYTES ((size_t)512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct digest {                 /* what came out, folded */
    uint64_t hash;
    size_t whole_bytes, events;
    uint64_t stray;
};

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void must(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "fuzz_mllp: %s\n", what);
    abort();
}

static void fold(struct digest *g, enum mllp_event ev, struct span s)
{
    g->hash = (g->hash ^ (uint64_t)ev) * 1099511628211u;
    for (size_t i = 0; i < s.n; i++)
        g->hash = (g->hash ^ (unsigned char)s.p[i]) * 1099511628211u;
    g->events++;
    g->whole_bytes += s.n;
}

/* True when the connection must be closed. */
static bool drain(struct mllp_decoder *d, struct digest *g)
{
    struct span s;
    for (;;) {
        enum mllp_event ev = mllp_decoder_next(d, &s);
        must(mllp_decoder_held(d) <= (MAX_BYTES > MLLP_HEAD_BYTES ? MAX_BYTES : MLLP_HEAD_BYTES), "the buffer passed its cap");
        if (ev == MLLP_NONE)
            return false;
        if (ev == MLLP_CLOSE)
            return true;
        must(s.n <= MAX_BYTES, "a frame passed its cap");
        must((ev == MLLP_EMPTY) == (s.n == 0), "empty or not");
        must(ev != MLLP_SHED, "shed unasked");
        must(ev == MLLP_EMPTY || (memchr(s.p, MLLP_SB, s.n) == NULL && memchr(s.p, MLLP_EB, s.n) == NULL), "a frame byte inside a frame");
        fold(g, ev, s);
        if (ev == MLLP_WHOLE && s.n % 2) {
            size_t len;
            free(mllp_decoder_take(d, &len));
            must(len == s.n, "taken length");
        }
    }
}

static struct digest run(const struct mllp_frame_conf *c, const char *p, size_t n, bool is_eof, uint32_t cuts)
{
    struct mllp_decoder *d = mllp_decoder_new(c);
    struct digest g = {.hash = 14695981039346656037u};
    bool is_over = false;
    for (size_t i = 0; i < n && !is_over;) {
        size_t step = cuts ? 1 + next_random(&cuts) % 40 : n;
        if (step > n - i)
            step = n - i;
        char *piece = xmalloc(step);
        memcpy(piece, p + i, step);
        mllp_decoder_feed(d, span_make(piece, step), 5);
        is_over = drain(d, &g);
        free(piece);
        i += step;
    }
    if (is_eof && !is_over) {
        mllp_decoder_eof(d);
        is_over = drain(d, &g);
    }
    g.stray = mllp_decoder_take_stray(d);
    g.hash = (g.hash ^ is_over) * 1099511628211u;
    mllp_decoder_free(d);
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct mllp_frame_conf c = {.max_bytes = MAX_BYTES, .is_strict = data[0] & 1, .allow_bare = data[0] & 2, .end_wait_us = 10, .byte_timeout_us = 100, .frame_timeout_us = 1000};
    const char *p = (const char *)data + 2;
    bool is_eof = data[0] & 4;
    struct digest a = run(&c, p, n - 2, is_eof, 0);
    uint32_t seed = data[1] * 2654435761u + 1;
    for (int i = 0; i < 3; i++) {
        struct digest b = run(&c, p, n - 2, is_eof, seed + (uint32_t)i * 97);
        must(a.hash == b.hash && a.events == b.events && a.whole_bytes == b.whole_bytes && a.stray == b.stray, "the cuts changed the frames");
    }
    must(a.whole_bytes + a.stray <= n - 2, "more came out than went in");
    return 0;
}

#ifdef FUZZ_STANDALONE
static const struct span seeds[] = {SPAN_LIT("\0\1\vMSH|^~\\&|a\rPID|1\x1c\r"), SPAN_LIT("\1\2\vaaa\vbbb\x1c\r\v\x1c\r"), SPAN_LIT("\2\3MSH|x\x1c\nMSMSH|y\x1c"),
                                    SPAN_LIT("\4\5\va\x1c\vb\x1c\r\x06\x15 junk\vhalf")};

static void mutate(const char *from, size_t n, uint32_t *r)
{
    static const unsigned char magic[] = {MLLP_SB, MLLP_EB, MLLP_CR, '\n', 0, 'M', 'S', 'H', 6, 0x15, ' ', 'x'};
    size_t room = n + 2048, len = n;
    uint8_t *b = xmalloc(room);
    memcpy(b, from, n);
    for (uint32_t k = next_random(r) % 24 + 1; k; k--) {
        size_t at = next_random(r) % len;
        unsigned char c = magic[next_random(r) % sizeof magic];
        size_t run_n = next_random(r) % 8 ? 1 : next_random(r) % 700;
        switch (next_random(r) % 3) {
        case 0:
            b[at] = next_random(r) % 4 ? c : (uint8_t)next_random(r);
            break;
        case 1:
            if (len + run_n <= room) {
                memmove(b + at + run_n, b + at, len - at);
                memset(b + at, c, run_n);
                len += run_n;
            }
            break;
        case 2:
            if (len > 3) {
                memmove(b + at, b + at + 1, len - at - 1);
                len--;
            }
            break;
        }
    }
    (void)LLVMFuzzerTestOneInput(b, len);
    free(b);
}

int main(int argc, char **argv)
{
    long rounds = 20000;
    uint32_t r = 1;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "-n") == 0)
            rounds = strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "-s") == 0)
            r = (uint32_t)strtoul(argv[i + 1], NULL, 10) | 1;
    }
    int files = argc - i;
    for (; i < argc; i++) {
        static char b[1 << 20];
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(b, 1, sizeof b, f);
        (void)fclose(f);
        (void)LLVMFuzzerTestOneInput((const uint8_t *)b, n);
        for (long k = 0; n && k < rounds / 10; k++)
            mutate(b, n, &r);
    }
    for (long k = 0; k < rounds; k++) {
        size_t s = (size_t)k % (sizeof seeds / sizeof seeds[0]);
        mutate(seeds[s].p, seeds[s].n, &r);
    }
    printf("fuzz_mllp: %d files, %ld rounds, the same frames however they were cut\n", files, rounds);
    return 0;
}
#endif
