/*
 * NAME hl7_charset - table 0211 and the names seen in the field; bytes to UTF-8 (STANDARDS 2.4).
 * ISO 8859-1 and Windows-1252 have their own table: bytes 80-9F mean CP1252 in both. The rest goes through iconv.
 * DIAGNOSTICS none: bytes that mean nothing become U+FFFD and are reported to the caller.
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "hl7_lex.h"
#include "text.h"

static const struct { const char *code, *codec; } charsets[] = {
    {"ASCII", ""}, {"US-ASCII", ""}, {"ISO IR6", ""}, {"ISO IR14", "SHIFT_JIS"},
    {"UNICODE UTF-8", "UTF-8"}, {"UNICODE", "UTF-8"}, {"UTF-8", "UTF-8"}, {"UTF8", "UTF-8"}, {"UNICODE-UTF-8", "UTF-8"},
    {"UNICODE UTF8", "UTF-8"},
    {"UNICODE UTF-16", "UTF-8"}, {"UNICODE UTF-32", "UTF-8"},   /* a frame of wide characters was decoded before it was split */
    {"ISO IR87", "ISO-2022-JP"}, {"JIS X 0202", "ISO-2022-JP"}, {"JAS2020", "ISO-2022-JP"}, {"ISO IR159", "ISO-2022-JP-2"},
    {"GB 18030-2000", "GB18030"}, {"GB18030", "GB18030"}, {"GBK", "GBK"}, {"GB2312", "GBK"}, {"KS X 1001", "EUC-KR"},
    {"CNS 11643-1992", "EUC-TW"}, {"BIG-5", "BIG5-HKSCS"}, {"BIG5", "BIG5-HKSCS"}, {"SHIFT_JIS", "CP932"},
    {"WINDOWS-1250", "CP1250"}, {"WINDOWS-1251", "CP1251"}, {"WINDOWS-1253", "CP1253"}, {"WINDOWS-1254", "CP1254"},
    {"WINDOWS-1255", "CP1255"}, {"WINDOWS-1256", "CP1256"}, {"WINDOWS-1257", "CP1257"}, {"WINDOWS-1258", "CP1258"},
    {"CP1250", "CP1250"}, {"CP1251", "CP1251"}, {"CP1253", "CP1253"}, {"CP1254", "CP1254"}, {"CP1255", "CP1255"},
    {"CP1256", "CP1256"}, {"CP1257", "CP1257"}, {"CP1258", "CP1258"}, {"LATIN1", "cp1252"}, {"WINDOWS-1252", "cp1252"}, {"CP1252", "cp1252"},
};

static const char *const latin[] = {NULL, "cp1252", "ISO-8859-2", "ISO-8859-3", "ISO-8859-4", "ISO-8859-5", "ISO-8859-6",
                                    "ISO-8859-7", "ISO-8859-8", "ISO-8859-9", NULL, NULL, NULL, NULL, NULL, "ISO-8859-15"};

/* "8859/1", "ISO8859-1", "ISO-8859-15", "ISO 8859/2" */
static const char *latin_find(struct span c)
{
    int64_t n;
    if (span_is_nocase(span_cut(c, 0, 3), "ISO"))
        c = span_from(c, 3);
    if (c.n && (c.p[0] == '-' || c.p[0] == ' '))
        c = span_from(c, 1);
    if (!span_starts(c, "8859") || c.n < 6 || (c.p[4] != '/' && c.p[4] != '-'))
        return NULL;
    if (!span_int(span_from(c, 5), &n) || n < 1 || n > 15)
        return NULL;
    return latin[n];
}

const char *hl7_charset_find(struct span code)
{
    code = span_trim(code);
    if (!code.n)
        return "";
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
        if (span_is_nocase(code, charsets[i].code))
            return charsets[i].codec;
    return latin_find(code);
}

/* 80-9F of CP1252; the five unused ones keep their C1 meaning as in ISO 8859-1 */
static const uint16_t cp1252[32] = {
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f,
    0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178,
};

int hl7_cp1252_byte(uint32_t c)
{
    for (int i = 0; i < 32; i++)
        if (cp1252[i] == c)
            return 0x80 + i;
    return -1;
}

static struct span decode_cp1252(struct arena *a, struct span in)
{
    size_t high = 0, n = 0;
    for (size_t i = 0; i < in.n; i++)
        high += (unsigned char)in.p[i] >> 7;
    char *out = arena_alloc(a, in.n + 2 * high + 1);
    if (!out)
        return SPAN_ABSENT;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (c < 0x80)
            out[n++] = (char)c;
        else
            n += text_utf8_put(c < 0xa0 ? cp1252[c - 0x80] : c, out + n);
    }
    return span_make(out, n);
}

static struct span decode_utf8(struct arena *a, struct span in, bool *is_bad)
{
    size_t n = 0;
    char *out = arena_alloc(a, in.n * 3 + 1);
    if (!out)
        return SPAN_ABSENT;
    for (size_t i = 0; i < in.n;) {
        size_t len = text_utf8_len(span_from(in, i));
        if (len) {
            memcpy(out + n, in.p + i, len);
            n += len;
            i += len;
        } else {
            n += text_utf8_put(0xfffd, out + n);
            *is_bad = true;
            i++;
        }
    }
    return span_make(out, n);
}

/* No charset read here needs more than 4 bytes of UTF-8 for one byte of its own. */
static struct span decode_iconv(struct arena *a, iconv_t cd, struct span in, bool *is_bad)
{
    char *src = (char *)(uintptr_t)in.p;
    size_t left = in.n, room = in.n * 4 + 16;
    char *out = arena_alloc(a, room + 1), *dst = out;
    if (!out)
        return SPAN_ABSENT;
    while (left) {
        if (iconv(cd, &src, &left, &dst, &room) != (size_t)-1)
            break;
        if (errno == E2BIG || room < 4)
            return SPAN_ABSENT;
        *is_bad = true;
        dst += text_utf8_put(0xfffd, dst);
        room -= 3;
        src++;
        left--;
    }
    (void)iconv(cd, NULL, NULL, &dst, &room);
    return span_make(out, (size_t)(dst - out));
}

struct span hl7_charset_decode(struct arena *a, const char *codec, struct span bytes, bool *is_bad)
{
    if (!bytes.n)
        return bytes;
    if (strcmp(codec, "cp1252") == 0)
        return decode_cp1252(a, bytes);
    if (strcmp(codec, "UTF-8") == 0)
        return decode_utf8(a, bytes, is_bad);
    iconv_t cd = iconv_open("UTF-8", codec);
    if (cd == (iconv_t)-1) /* NOLINT: the API's own idea of an error */
        return SPAN_ABSENT;
    struct span out = decode_iconv(a, cd, bytes, is_bad);
    (void)iconv_close(cd);
    return out;
}
