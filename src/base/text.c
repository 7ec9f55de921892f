/* NAME text - UTF-8, SHA-256, base64, nearest word. Pure. */
#include "text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>

size_t text_utf8_len(struct span s)
{
    if (!s.n)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2)
        return 0;
    if (p[0] < 0xe0)
        return s.n >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (p[0] < 0xf0) {
        if (s.n < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0))
            return 0;
        return 3;
    }
    if (p[0] < 0xf5) {
        if (s.n < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
            return 0;
        return 4;
    }
    return 0;
}

bool text_utf8_valid(struct span s)
{
    size_t i = 0;
    while (i < s.n) {
        uint64_t w;
        while (s.n - i >= 8) { /* eight ASCII bytes at a time */
            memcpy(&w, s.p + i, 8);
            if (w & 0x8080808080808080ULL)
                break;
            i += 8;
        }
        if (i >= s.n)
            break;
        size_t len = text_utf8_len(span_from(s, i));
        if (!len)
            return false;
        i += len;
    }
    return true;
}

uint32_t text_utf8_get(struct span s, size_t *len)
{
    const unsigned char *p = (const unsigned char *)s.p;
    *len = text_utf8_len(s);
    switch (*len) {
    case 1: return p[0];
    case 2: return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3: return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4: return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    default: return 0xfffd;
    }
}

size_t text_utf8_put(uint32_t cp, char *out)
{
    unsigned char *o = (unsigned char *)out;
    if (cp < 0x80) {
        o[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        o[0] = (unsigned char)(0xc0 | cp >> 6);
        o[1] = (unsigned char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        o[0] = (unsigned char)(0xe0 | cp >> 12);
        o[1] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
        o[2] = (unsigned char)(0x80 | (cp & 0x3f));
        return 3;
    }
    o[0] = (unsigned char)(0xf0 | cp >> 18);
    o[1] = (unsigned char)(0x80 | (cp >> 12 & 0x3f));
    o[2] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
    o[3] = (unsigned char)(0x80 | (cp & 0x3f));
    return 4;
}

void text_sha256(const void *p, size_t n, unsigned char out[TEXT_SHA256_BYTES])
{
    unsigned len = 0;
    /* The only way it fails is a broken libcrypto: nothing sensible can follow. */
    if (EVP_Digest(p, n, out, &len, EVP_sha256(), NULL) != 1 || len != TEXT_SHA256_BYTES)
        abort();
}

void text_hex(const unsigned char *p, size_t n, char *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[p[i] >> 4];
        out[2 * i + 1] = hex[p[i] & 15];
    }
    out[2 * n] = '\0';
}

static int b64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

int64_t text_base64_decode(struct span s, unsigned char *out)
{
    uint32_t acc = 0;
    unsigned have = 0, pad = 0;
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
            continue;
        if (c == '=') {
            pad++;
            continue;
        }
        int v = b64_value(c);
        if (v < 0 || pad)
            return -1;
        acc = acc << 6 | (uint32_t)v;
        if (++have == 4) {
            out[n++] = (unsigned char)(acc >> 16);
            out[n++] = (unsigned char)(acc >> 8);
            out[n++] = (unsigned char)acc;
            acc = 0;
            have = 0;
        }
    }
    if (have == 1 || (pad && (have < 2 || have + pad != 4))) /* padding may be left out, but not be wrong */
        return -1;
    if (have == 2) {
        out[n++] = (unsigned char)(acc >> 4);
    } else if (have == 3) {
        out[n++] = (unsigned char)(acc >> 10);
        out[n++] = (unsigned char)(acc >> 2);
    }
    return n;
}

#define WORD_MAX 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned text_distance(struct span a, struct span b)
{
    unsigned d[3][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return 99;
    unsigned *two = d[0], *one = d[1], *cur = d[2];
    for (unsigned j = 0; j <= b.n; j++)
        one[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            int x = tolower((unsigned char)a.p[i - 1]), y = tolower((unsigned char)b.p[j - 1]);
            cur[j] = min3(one[j] + 1, cur[j - 1] + 1, one[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b.p[j - 2]) && y == tolower((unsigned char)a.p[i - 2]) && two[j - 2] + 1 < cur[j])
                cur[j] = two[j - 2] + 1;
        }
        unsigned *t = two;
        two = one;
        one = cur;
        cur = t;
    }
    return one[b.n];
}

const char *text_nearest(struct span word, const char *const *words, size_t n)
{
    unsigned limit = (unsigned)(word.n / 3), best = 99;
    const char *found = NULL;
    if (limit < 1)
        limit = 1;
    if (limit > 4)
        limit = 4;
    for (size_t i = 0; i < n; i++) {
        unsigned d = text_distance(word, span_of(words[i]));
        if (d <= limit && d < best) {
            best = d;
            found = words[i];
        }
    }
    return found;
}
