/*
 * text - small pure helpers for text: UTF-8, hashes, base64, guesses at misspelt words. Thread: any. Owns nothing.
 */
#ifndef LABRELAY_TEXT_H
#define LABRELAY_TEXT_H
#include "span.h"

/* Length (1-4) of the valid UTF-8 sequence at the start of s, 0 when it is none (overlong, surrogate, cut). */
size_t text_utf8_len(struct span s);
bool   text_utf8_valid(struct span s);
/* Decodes one code point; *len gets its length. Only after text_utf8_len() > 0. */
uint32_t text_utf8_get(struct span s, size_t *len);
/* Writes a code point into out (4 bytes room), returns the length. */
size_t text_utf8_put(uint32_t cp, char *out);

#define TEXT_SHA256_BYTES 32
void text_sha256(const void *p, size_t n, unsigned char out[TEXT_SHA256_BYTES]);
/* 2*n hex digits and a NUL: out must hold 2*n+1. */
void text_hex(const unsigned char *p, size_t n, char *out);

/* Length of base64 text that decodes; blanks, CR, LF are skipped. Returns bytes written, or -1 when it is no base64. out holds >= s.n*3/4+3. */
int64_t text_base64_decode(struct span s, unsigned char *out);

/* Damerau-Levenshtein distance, both at most 64 bytes (longer: 99). */
unsigned text_distance(struct span a, struct span b);
/* The nearest of n words to `word` by distance (at most 1/3 of its length, at least 1), or NULL. */
const char *text_nearest(struct span word, const char *const *words, size_t n);
#endif
