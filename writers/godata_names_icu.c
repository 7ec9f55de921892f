/*
 * NAME godata_names_icu - Unicode normalisation and romanisation by ICU.
 *
 * The only file that includes ICU: normalisation of seven scripts and the readings of some 20,000 Han characters are tables that nobody
 * should write again. Text goes in and out as UTF-8.
 * DIAGNOSTICS Aborts when ICU lacks a table that Debian's library always has. A text that ICU refuses is left out.
 */
#include "godata_names_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>

#include "xmem.h"

#define UNITS_MAX 512

enum { TO_SIMPLE, FROM_HAN, FROM_ETHIOPIC, FROM_DEVANAGARI, FROM_ANY, TABLES };

struct names_icu {
    const UNormalizer2 *fold, *nfc;
    UTransliterator *tables[TABLES];
};

static void must(UErrorCode rc, const char *what)
{
    if (U_SUCCESS(rc))
        return;
    (void)fprintf(stderr, "labrelay: ICU has no %s: %s\n", what, u_errorName(rc));
    abort();
}

static UTransliterator *table(struct names_icu *u, size_t i)
{
    static const char *const ids[TABLES] = {"Hant-Hans", "Han-Latin; Latin-ASCII", "Ethiopic-Latin", "Devanagari-Latin", "Any-Latin; Latin-ASCII"};
    if (!u->tables[i]) {
        UErrorCode rc = U_ZERO_ERROR;
        UChar id[48];
        u_uastrncpy(id, ids[i], 48);
        u->tables[i] = utrans_openU(id, -1, UTRANS_FORWARD, NULL, 0, NULL, &rc);
        must(rc, ids[i]);
    }
    return u->tables[i];
}

struct names_icu *names_icu_new(void)
{
    struct names_icu *u = xcalloc(1, sizeof *u);
    UErrorCode rc = U_ZERO_ERROR;
    u->fold = unorm2_getNFKCCasefoldInstance(&rc);
    u->nfc = unorm2_getNFCInstance(&rc);
    must(rc, "normalisation");
    return u;
}

void names_icu_free(struct names_icu *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < TABLES; i++)
        if (u->tables[i])
            utrans_close(u->tables[i]);
    free(u);
}

static int32_t units_of(struct span text, UChar *out)
{
    UErrorCode rc = U_ZERO_ERROR;
    int32_t n = 0;
    if (text.n > UNITS_MAX)             /* a word that long is no name */
        return 0;
    (void)u_strFromUTF8WithSub(out, UNITS_MAX, &n, text.p, (int32_t)text.n, 0xFFFD, NULL, &rc);
    return U_SUCCESS(rc) ? n : 0;
}

static void add_units(struct buf *out, const UChar *v, int32_t n)
{
    char bytes[UNITS_MAX * 3 + 1];
    UErrorCode rc = U_ZERO_ERROR;
    int32_t len = 0;
    (void)u_strToUTF8(bytes, (int32_t)sizeof bytes, &len, v, n, &rc);
    if (U_SUCCESS(rc))
        buf_add(out, bytes, (size_t)len);
}

static int32_t transliterate(struct names_icu *u, size_t which, UChar *v, int32_t n)
{
    UErrorCode rc = U_ZERO_ERROR;
    int32_t limit = n, len = n;
    utrans_transUChars(table(u, which), v, &len, UNITS_MAX, 0, &limit, &rc);
    return U_SUCCESS(rc) ? limit : 0;
}

static bool has_han(const UChar *v, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (v[i] >= 0x2E80 && v[i] <= 0xFAFF)
            return true;
    return false;
}

void names_icu_fold(struct names_icu *u, struct span text, struct buf *out)
{
    UChar v[UNITS_MAX], w[UNITS_MAX];
    UErrorCode rc = U_ZERO_ERROR;
    int32_t n = units_of(text, v);
    int32_t len = unorm2_normalize(u->fold, v, n, w, UNITS_MAX, &rc);
    if (U_FAILURE(rc) || len > UNITS_MAX)
        return;
    if (has_han(w, len))
        len = transliterate(u, TO_SIMPLE, w, len);
    n = unorm2_normalize(u->nfc, w, len, v, UNITS_MAX, &rc);
    if (U_SUCCESS(rc))
        add_units(out, v, n);
}

void names_icu_romanise(struct names_icu *u, enum godata_script script, struct span folded, struct buf *out)
{
    UChar v[UNITS_MAX];
    size_t which = FROM_ANY;
    int32_t n = units_of(folded, v);
    switch (script) {
    case GODATA_HAN: which = FROM_HAN; break;
    case GODATA_ETHIOPIC: which = FROM_ETHIOPIC; break;
    case GODATA_DEVANAGARI: which = FROM_DEVANAGARI; break;
    case GODATA_LATIN:
    case GODATA_ARABIC:
    case GODATA_CYRILLIC:
    case GODATA_BURMESE:
    case GODATA_OTHER: break;
    }
    add_units(out, v, transliterate(u, which, v, n));
}
