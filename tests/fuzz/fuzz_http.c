/*
 * NAME fuzz_http - any bytes, cut anywhere, give the same requests; memory stays under its caps; routing never fails.
 *
 * The first two bytes are a seed for the cuts, the rest is the stream. With libFuzzer: clang -fsanitize=fuzzer,address.
 * With -DFUZZ_STANDALONE: fuzz_http [-n ROUNDS] [-s SEED] [FILE…] replays the files, then mutates them for so many rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "in_http_inner.h"
#include "xmem.h"

#define MAX_BODY ((size_t)300)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

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
    fprintf(stderr, "fuzz_http: %s\n", what);
    abort();
}

static void fold(uint64_t *h, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        *h = (*h ^ (unsigned char)s.p[i]) * 1099511628211u;
    *h = (*h ^ s.n) * 1099511628211u;
}

static void look(const struct http_request *q, uint64_t *h)
{
    static char path[] = "/fhir", hl7_path[] = "/hl7";
    static const struct http_options o = {.path = path, .hl7_path = hl7_path, .max_body = (int64_t)MAX_BODY};
    static const struct http_secrets nobody;
    struct http_plan p;
    http_route(&o, &nobody, q, &p);
    must(p.what != HTTP_SAY || (p.status >= 400 && p.status < 600 && p.issue && p.text), "a refusal without reason");
    must(p.what != HTTP_TAKE || p.status == 200 || p.status == 201, "taken with an odd status");
    must(memchr(p.same_as, '\0', sizeof p.same_as) != NULL && memchr(p.id, '\0', sizeof p.id) != NULL, "not ended");
    *h = (*h ^ (uint64_t)p.what ^ (uint64_t)p.status << 8) * 1099511628211u;
    fold(h, q->method);
    fold(h, q->path);
}

/* True when nothing more can be read. */
static bool feed(struct http_reader *r, struct span in, uint64_t *h)
{
    for (;;) {
        enum http_event ev = http_reader_feed(r, &in);
        must(r->head.n <= HTTP_HEAD_MAX && r->body.n <= MAX_BODY, "a cap was passed");
        switch (ev) {
        case HTTP_MORE:
            must(in.n == 0, "bytes were left");
            return false;
        case HTTP_HEAD:
            look(&r->q, h);
            break;
        case HTTP_WHOLE:
            fold(h, buf_span(&r->body));
            http_reader_reset(r);
            break;
        case HTTP_BAD:
            must(r->status >= 400 && r->why, "bad without reason");
            *h = (*h ^ (uint64_t)r->status) * 1099511628211u;
            return true;
        }
    }
}

static uint64_t run(const uint8_t *p, size_t n, uint32_t cuts)
{
    struct http_reader r;
    uint64_t h = 14695981039346656037u;
    bool is_over = false;
    http_reader_init(&r, MAX_BODY);
    for (size_t i = 0; i < n && !is_over;) {
        size_t step = cuts ? 1 + next_random(&cuts) % 50 : n;
        if (step > n - i)
            step = n - i;
        char *piece = xmalloc(step);
        memcpy(piece, p + i, step);
        is_over = feed(&r, span_make(piece, step), &h);
        free(piece);
        i += step;
    }
    http_reader_clear(&r);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 3)
        return 0;
    uint32_t seed = (data[0] + 256u * data[1]) * 2654435761u | 1;
    uint64_t whole = run(data + 2, n - 2, 0);
    for (uint32_t i = 0; i < 3; i++)
        must(run(data + 2, n - 2, seed + 2 * i) == whole, "the cuts changed the requests");
    return 0;
}

#ifdef FUZZ_STANDALONE
static const struct span seeds[] = {
    SPAN_LIT("\1\2POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nAccept: */*;q=0.1\r\nContent-Length: 5\r\n\r\n{...}GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n"),
    SPAN_LIT("\3\4PUT /fhir/Observation?identifier=a%7Cb HTTP/1.1\r\nHost: x\r\nPrefer: return=minimal, respond-async\r\nTransfer-Encoding: chunked\r\nContent-Type: text/xml\r\n\r\n5;x\r\nabcde\r\n0\r\n\r\n"),
    SPAN_LIT("\5\6POST /hl7 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Type: application/hl7-v2+er7; charset=\"utf-8\"\r\nAuthorization: Basic YTpi\r\nContent-Length: 3\r\n\r\nMSH")};

static void mutate(const char *from, size_t n, uint32_t *r)
{
    static const char *const magic[] = {"\r\n", "\r\n\r\n", " ", ":", "%", "?", "Content-Length: 7\r\n", "0\r\n", "fffffff", "\t", ";", ",", "/", "HTTP/1.1", "chunked", "$process-message"};
    size_t room = n + 4096, len = n;
    uint8_t *b = xmalloc(room);
    memcpy(b, from, n);
    for (uint32_t k = next_random(r) % 12 + 1; k; k--) {
        size_t at = next_random(r) % len;
        const char *m = magic[next_random(r) % (sizeof magic / sizeof magic[0])];
        size_t add = strlen(m);
        switch (next_random(r) % 4) {
        case 0:
            b[at] = (uint8_t)next_random(r);
            break;
        case 1:
            if (len + add <= room) {
                memmove(b + at + add, b + at, len - at);
                memcpy(b + at, m, add);
                len += add;
            }
            break;
        case 2:
            if (len > 8) {
                size_t cut = 1 + next_random(r) % 6;
                if (at + cut <= len) {
                    memmove(b + at, b + at + cut, len - at - cut);
                    len -= cut;
                }
            }
            break;
        case 3: {
            size_t many = next_random(r) % 1000;
            if (len + many <= room) {
                memmove(b + at + many, b + at, len - at);
                memset(b + at, m[0], many);
                len += many;
            }
            break;
        }
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
    printf("fuzz_http: %d files, %ld rounds, the same requests however they were cut\n", files, rounds);
    return 0;
}
#endif
