/*
 * lexer - a configuration file as statements: words, "strings", { blocks }, # comments. Grammar: labrelay.conf.5.
 *
 * A newline or ; ends a statement, unless the line ends in , ( \ and or not, or the next line starts with and / or.
 * All memory is in the arena handed over; it must have room (caps below keep a file far under any sensible arena).
 * Thread: whoever loads. Mistakes go to diag; what could be read is returned all the same, so that all mistakes show at once.
 */
#ifndef LABRELAY_LEXER_H
#define LABRELAY_LEXER_H
#include "arena.h"
#include "diag.h"

#define LEXER_MAX_FILE   (1u << 20)
#define LEXER_MAX_STMTS  10000u
#define LEXER_MAX_TOKENS 200000u
#define LEXER_MAX_DEPTH  16u

enum token_kind { TOKEN_WORD, TOKEN_STRING, TOKEN_OP, TOKEN_REGEX };

struct token {
    enum token_kind kind;
    struct span text;           /* string: escapes undone; regex: between the slashes */
    struct diag_place at;
    bool is_nocase;             /* regex: /…/i */
};

struct lexer_stmt {
    struct token *v;            /* at least one */
    size_t n;
    bool has_block;
    struct lexer_stmt *body;
    size_t n_body;
    struct diag_place block_at; /* the { */
};

struct lexer_budget {           /* used so far, over all files of one configuration */
    size_t stmts, tokens;
    bool is_broken;             /* braces do not match or a cap was reached: the statements cannot be trusted */
};

/* The statements of a file registered as number `file` in d. */
void lexer_read(struct diag *d, unsigned file, struct span text, struct arena *a, struct lexer_budget *used,
                struct lexer_stmt **out, size_t *n_out);
bool token_is(const struct token *t, const char *word);         /* this bare word or operator; NULL token: false */
struct diag_place lexer_after(const struct lexer_stmt *s);      /* right behind the last word */
#endif
