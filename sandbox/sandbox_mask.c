/*
 * NAME
 *   sandbox_mask - visualId masks
 *
 *   A client's visualId is a template: it has to fit the outbreak's mask, and its sequence digits are replaced by the next
 *   free number. Without a 9 in the mask the client's text stays as it is.
 *
 * DIAGNOSTICS
 *   none. sandbox_mask_fill returns memory of the caller.
 */
#include "sandbox_mask.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "xmem.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Length of the piece of value that one mask character takes, 0 when it does not fit. */
static size_t piece(char m, const char *v)
{
    if (*v == '\0')
        return 0;
    if (m == '9' || m == '0')
        return is_digit(*v);
    if (m == '@')
        return isalpha((unsigned char)*v) != 0;
    if (m == '&') {
        size_t n = text_utf8_len(span_of(v));
        return n ? n : 1;
    }
    return *v == m;
}

/* value_start: where the whole value begins, for the position of the sequence. */
static bool match(const char *m, const char *v, const char *value_start, struct sandbox_mask_fit *fit)
{
    while (*m) {
        if (*m == '*') {
            for (;; v++) {
                struct sandbox_mask_fit saved = *fit;
                if (match(m + 1, v, value_start, fit))
                    return true;
                *fit = saved;
                if (*v == '\0')
                    return false;
            }
        }
        if (strncmp(m, "YYYY", 4) == 0) {
            for (int i = 0; i < 4; i++, v++)
                if (!is_digit(*v))
                    return false;
            m += 4;
            continue;
        }
        size_t n = piece(*m, v);
        if (n == 0)
            return false;
        if (*m == '9') {
            if (fit->n == 0)
                fit->at = (size_t)(v - value_start);
            fit->n++;
        }
        v += n;
        m++;
    }
    return *v == '\0';
}

bool sandbox_mask_match(const char *mask, const char *value, struct sandbox_mask_fit *fit)
{
    *fit = (struct sandbox_mask_fit){0};
    return match(mask, value, value, fit);
}

int64_t sandbox_mask_number(const char *value, const struct sandbox_mask_fit *fit, const char *other)
{
    int64_t number = 0;
    if (strlen(value) != strlen(other) || strncmp(value, other, fit->at) != 0)
        return -1;
    if (strcmp(value + fit->at + fit->n, other + fit->at + fit->n) != 0)
        return -1;
    for (size_t i = 0; i < fit->n && i < 18; i++) {
        if (!is_digit(other[fit->at + i]))
            return -1;
        number = number * 10 + (other[fit->at + i] - '0');
    }
    return number;
}

char *sandbox_mask_fill(const char *value, const struct sandbox_mask_fit *fit, int64_t number)
{
    size_t room = strlen(value) + 32;
    char *out = xmalloc(room);
    snprintf(out, room, "%.*s%0*lld%s", (int)fit->at, value, (int)fit->n, (long long)number, value + fit->at + fit->n);
    return out;
}
