/*
 * NAME hl7_switch - \Cxxyy\ and \Mxxyyzz\: other character sets inside a text (STANDARDS 2.3).
 *
 * The hex digits of such an escape are the ISO 2022 sequence that would switch. What follows it, to the next one or to the end of the
 * repetition, are bytes of that set. The message was decoded as a whole before, so these bytes are first taken back to what they were.
 * Double-byte sets and the two Japanese single-byte ones are read as 7-bit codes, with or without the high bit.
 * DIAGNOSTICS none: false when the bytes cannot be told any more (a message in UTF-8 or a multibyte set): the text stays as it is.
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "hl7_text.h"
#include "text.h"

enum how { HOW_PLAIN, HOW_CODEC, HOW_JIS, HOW_KANA };
#define LOOK_BACK_MAX 4096      /* a switch does not reach farther: no name has so many components */

struct hl7_set { char kind; const char *code; enum how how; const char *codec; };
static const struct hl7_set sets[] = {
    {'C', "2842", HOW_PLAIN, NULL},
    {'C', "2D41", HOW_CODEC, "cp1252"}, {'C', "2D42", HOW_CODEC, "ISO-8859-2"}, {'C', "2D43", HOW_CODEC, "ISO-8859-3"},
    {'C', "2D44", HOW_CODEC, "ISO-8859-4"}, {'C', "2D4C", HOW_CODEC, "ISO-8859-5"}, {'C', "2D47", HOW_CODEC, "ISO-8859-6"},
    {'C', "2D46", HOW_CODEC, "ISO-8859-7"}, {'C', "2D48", HOW_CODEC, "ISO-8859-8"}, {'C', "2D4D", HOW_CODEC, "ISO-8859-9"},
    {'C', "284A", HOW_JIS, "\x1b(J"}, {'C', "2949", HOW_KANA, NULL},
    {'M', "2442", HOW_JIS, "\x1b$B"}, {'M', "242844", HOW_JIS, "\x1b$(D"},
};

const struct hl7_set *hl7_switch_find(struct span escape)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (escape.n > 1 && (escape.p[0] & ~0x20) == sets[i].kind && span_is_nocase(span_from(escape, 1), sets[i].code))
            return &sets[i];
    return NULL;
}

const struct hl7_set *hl7_switch_before(const struct hl7_ctx *x, struct span leaf)
{
    const struct hl7_set *found = NULL;
    if (!x->at_seg || leaf.p < x->at_seg->text.p || leaf.p > x->at_seg->text.p + x->at_seg->text.n)
        return NULL;
    size_t end = (size_t)(leaf.p - x->at_seg->text.p), from = end;
    while (from && x->at_seg->text.p[from - 1] != x->d.field && x->at_seg->text.p[from - 1] != x->d.rep)
        if (end - --from > LOOK_BACK_MAX)
            return NULL;
    struct span rest = span_cut(x->at_seg->text, from, end - from), piece;
    while (span_next(&rest, x->d.esc, &piece)) {
        const struct hl7_set *s = piece.n == 5 || piece.n == 7 ? hl7_switch_find(piece) : NULL;
        if (s)
            found = s;
    }
    return found;
}

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* The bytes a text had before the message was decoded. */
static bool take_back(struct hl7_ctx *x, struct span s, struct span *out)
{
    *out = s;
    if (is_ascii(s))
        return true;
    if (!x->codec || strncmp(x->codec, "ISO-2022", 8) == 0)
        return false;
    char *p = arena_alloc(x->a, s.n + 16);
    size_t n = 0, len;
    bool is_cp1252 = strcmp(x->codec, "cp1252") == 0, is_fine = p != NULL;
    while (is_fine && is_cp1252 && s.n) {
        uint32_t c = text_utf8_get(s, &len);
        int b = c < 0x80 || (c >= 0xa0 && c < 0x100) ? (int)c : hl7_cp1252_byte(c);
        is_fine = b >= 0;
        p[n++] = (char)(unsigned char)b;
        s = span_from(s, len ? len : 1);
    }
    if (is_fine && !is_cp1252) {
        iconv_t cd = iconv_open(x->codec, "UTF-8");
        if (cd == (iconv_t)-1) /* NOLINT: the API's own idea of an error */
            return false;
        char *src = (char *)(uintptr_t)s.p, *dst = p;
        size_t left = s.n, room = s.n + 16;
        is_fine = iconv(cd, &src, &left, &dst, &room) != (size_t)-1;
        n = (size_t)(dst - p);
        (void)iconv_close(cd);
    }
    *out = span_make(p, n);
    return is_fine;
}

bool hl7_switch_decode(struct hl7_ctx *x, const struct hl7_set *set, struct span text, struct span *out)
{
    struct span bytes;
    bool is_bad = false;
    *out = text;
    if (!set || set->how == HOW_PLAIN || !text.n)
        return true;
    if (!take_back(x, text, &bytes))
        return false;
    if (set->how == HOW_CODEC) {
        *out = hl7_charset_decode(x->a, set->codec, bytes, &is_bad);
        return !is_bad;
    }
    char *p = arena_alloc(x->a, bytes.n + 8);
    size_t n = 0;
    if (!p)
        return false;
    if (set->how == HOW_JIS) {
        n = strlen(set->codec);
        memcpy(p, set->codec, n);
    }
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        p[n++] = (char)(set->how == HOW_JIS ? c & 0x7f : c >= 0x21 && c <= 0x5f ? c | 0x80 : c);
    }
    if (set->how == HOW_JIS) {
        memcpy(p + n, "\x1b(B", 3);
        n += 3;
    }
    *out = hl7_charset_decode(x->a, set->how == HOW_JIS ? "ISO-2022-JP-2" : "SHIFT_JIS", span_make(p, n), &is_bad);
    if (is_bad)
        *out = text;
    return !is_bad;
}
