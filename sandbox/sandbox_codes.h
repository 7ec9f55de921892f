/*
 * sandbox_codes - the categories and default items of Go.Data's reference data. Constant.
 */
#ifndef LABRELAY_SANDBOX_CODES_H
#define LABRELAY_SANDBOX_CODES_H
#include <stddef.h>

#define REFDATA_PREFIX "LNG_REFERENCE_DATA_CATEGORY_"

struct sandbox_category {
    const char *id;
    const char *items;                  /* blank-separated; marks: see sandbox_codes.c */
};

extern const struct sandbox_category sandbox_categories[];
extern const size_t sandbox_categories_n;
#endif
