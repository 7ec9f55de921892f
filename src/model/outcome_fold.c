/*
 * NAME
 *     outcome_fold - texts of results made comparable: one case, one kind of blank, composed accents
 * DESCRIPTION
 *     Works on code points. Folding is Unicode's simple folding for Latin (Latin-1, Extended-A, Additional), Greek and Cyrillic.
 *     A letter followed by a combining accent is composed first, so that both ways to write é are one. Not more: a text in
 *     another script is compared as sent.
 * DIAGNOSTICS
 *     Absent when the arena is full. Bytes that are no UTF-8 are kept and will match nothing.
 */
#include "outcome.h"

#include <string.h>

#include "text.h"

struct pair { uint32_t base, mark, composed; };
static const struct pair pairs[] = {
    {'a', 0x300, 0xe0}, {'a', 0x301, 0xe1}, {'a', 0x302, 0xe2}, {'a', 0x303, 0xe3}, {'a', 0x308, 0xe4}, {'a', 0x30a, 0xe5},
    {'c', 0x327, 0xe7}, {'e', 0x300, 0xe8}, {'e', 0x301, 0xe9}, {'e', 0x302, 0xea}, {'e', 0x308, 0xeb}, {'i', 0x300, 0xec},
    {'i', 0x301, 0xed}, {'i', 0x302, 0xee}, {'i', 0x308, 0xef}, {'n', 0x303, 0xf1}, {'o', 0x300, 0xf2}, {'o', 0x301, 0xf3},
    {'o', 0x302, 0xf4}, {'o', 0x303, 0xf5}, {'o', 0x308, 0xf6}, {'u', 0x300, 0xf9}, {'u', 0x301, 0xfa}, {'u', 0x302, 0xfb},
    {'u', 0x308, 0xfc}, {'y', 0x301, 0xfd}, {'y', 0x308, 0xff},
};
#define PAIRS (sizeof pairs / sizeof pairs[0])

static uint32_t fold_char(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xc0 && c <= 0xde && c != 0xd7)
        return c + 32;
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c % 2 ? c + 1 : c;
    if (c == 0x178)
        return 0xff;
    if (c == 0x17f)
        return 's';
    if ((c >= 0x391 && c <= 0x3ab && c != 0x3a2) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c == 0x3c2)
        return 0x3c3;
    if (c == 0x386)
        return 0x3ac;
    if (c >= 0x388 && c <= 0x38a)
        return c + 37;
    if (c == 0x38c)
        return 0x3cc;
    if (c == 0x38e || c == 0x38f)
        return c + 63;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if (c >= 0x460 && c <= 0x481)
        return c | 1;
    return c;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x3000;
}

static uint32_t take_char(struct span *s)
{
    static const struct { const char *text; uint32_t c; } entities[] = {
        {"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&#60;", '<'}, {"&#62;", '>'}, {"&#38;", '&'}, {"&nbsp;", 0xa0},
    };
    for (size_t i = 0; s->p[0] == '&' && i < sizeof entities / sizeof entities[0]; i++)
        if (span_starts(*s, entities[i].text)) {
            *s = span_from(*s, strlen(entities[i].text));
            return entities[i].c;
        }
    size_t n = text_utf8_len(*s);
    uint32_t c = n ? text_utf8_get(*s, &n) : (unsigned char)s->p[0];
    *s = span_from(*s, n ? n : 1);
    return c;
}

/* The composed letter when a combining accent follows. */
static uint32_t compose(uint32_t c, struct span *s)
{
    size_t n = text_utf8_len(*s);
    if (c > 0x7f || n != 2)
        return c;
    uint32_t mark = text_utf8_get(*s, &n);
    for (size_t i = 0; i < PAIRS; i++)
        if (pairs[i].base == c && pairs[i].mark == mark) {
            *s = span_from(*s, n);
            return pairs[i].composed;
        }
    return c;
}

struct span outcome_fold_text(struct span text, struct arena *a)
{
    if (span_is_absent(text))
        return text;
    char *out = arena_alloc(a, text.n * 2 + 1);     /* no folding here grows more than 1 byte to 2 */
    size_t n = 0;
    bool blank = false;
    if (!out)
        return SPAN_ABSENT;
    while (text.n) {
        uint32_t c = take_char(&text);
        if (is_blank(c)) {
            blank = true;
            continue;
        }
        if (blank && n)
            out[n++] = ' ';
        blank = false;
        n += text_utf8_put(compose(fold_char(c), &text), out + n);
    }
    if (n > 1 && strchr(".*!", out[n - 1]))
        n--;
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = 0;
    return (struct span){out, n};
}

struct span outcome_plain_text(struct span folded, struct arena *a)
{
    char *out = arena_alloc(a, folded.n + 1);
    size_t n = 0, len = 0;
    if (!out || span_is_absent(folded))
        return SPAN_ABSENT;
    while (folded.n) {
        uint32_t c = (unsigned char)folded.p[0];
        len = text_utf8_len(folded);
        if (len > 1)
            c = text_utf8_get(folded, &len);
        for (size_t i = 0; len > 1 && i < PAIRS; i++)
            if (pairs[i].composed == c)
                c = pairs[i].base;
        n += text_utf8_put(c, out + n);
        folded = span_from(folded, len ? len : 1);
    }
    out[n] = 0;
    return (struct span){out, n};
}
