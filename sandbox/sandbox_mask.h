/*
 * sandbox_mask - visualId masks of an outbreak (`CA-9999999999`): does a value fit, and where is its sequence. Pure. Thread: any.
 * Mask characters: 9 sequence digit (one run), YYYY four digits, 0 digit, @ letter, & any character, * any text; others stand for themselves.
 */
#ifndef LABRELAY_SANDBOX_MASK_H
#define LABRELAY_SANDBOX_MASK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox_mask_fit {
    size_t at, n;               /* the sequence digits within the value; n 0: the mask has no sequence */
};

bool sandbox_mask_match(const char *mask, const char *value, struct sandbox_mask_fit *fit);
/* The number in the sequence of a value that differs from `value` in the sequence only; -1 when it is another value. */
int64_t sandbox_mask_number(const char *value, const struct sandbox_mask_fit *fit, const char *other);
/* value with its sequence replaced by number, zero-padded. Heap, caller frees. */
char *sandbox_mask_fill(const char *value, const struct sandbox_mask_fit *fit, int64_t number);
#endif
