/*
 * diag - all the mistakes of a configuration at once, each with its place, its line, a caret and a guess.
 * Thread: whoever loads. Collects; prints when asked. Format (labrelay.conf.5, DIAGNOSTICS):
 *   FILE:LINE:COL: error: TEXT
 *      15 |     alow      10.20.0.0/16
 *         |     ^~~~ did you mean "allow"?
 */
#ifndef LABRELAY_DIAG_H
#define LABRELAY_DIAG_H
#include "buf.h"

struct diag;

enum diag_level { DIAG_ERROR, DIAG_WARNING };

struct diag_place {             /* a place in a source text that diag knows by number */
    unsigned file;              /* from diag_source() */
    unsigned line, col;         /* 1-based, col in characters */
    unsigned width;             /* how many columns to underline, at least 1 */
};

struct diag *diag_new(void);
void diag_free(struct diag *d);
/* Registers a source text (copied); returns its number. */
unsigned diag_source(struct diag *d, const char *name, struct span text);
const char *diag_source_name(const struct diag *d, unsigned file);      /* "" when there is no such source */
/* Number of the source of this name or base name, and a line of it; false when there is none. */
bool diag_source_find(const struct diag *d, const char *name, unsigned *file);
struct span diag_source_line(const struct diag *d, unsigned file, unsigned line);      /* without its end; absent when there is none */
/* hint may be NULL: "did you mean \"allow\"?" */
void diag_add(struct diag *d, enum diag_level level, struct diag_place at, const char *hint, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A hint for a misspelt word: `did you mean "allow"?` into out, or NULL when no word is near. */
const char *diag_guess(struct span word, const char *const *words, size_t n, char *out, size_t room);
size_t diag_errors(const struct diag *d);
size_t diag_warnings(const struct diag *d);
/* All of them as text, in the order of file and line, ending with "3 errors." (no more than 200 are kept; the rest is counted). */
void diag_format(const struct diag *d, struct buf *b);
void diag_format_json(const struct diag *d, struct buf *b);
#endif
