/*
 * option - reads statements of the configuration by option tables (model/ops.h): one row gives parsing, range, default, help.
 *
 * Modules see this header for two things: their OPT_CUSTOM rows read words through struct option_args, and report through
 * option_error(). A custom reader takes the words it understands and leaves the rest: what is left has to be the next option of
 * the same line. Thread: whoever loads. All texts handed out are borrowed from the words unless a line says "heap".
 */
#ifndef LABRELAY_OPTION_H
#define LABRELAY_OPTION_H
#include "diag.h"
#include "ops.h"

enum option_word_kind {
    OPTION_WORD,                        /* bare: NATIONAL_ID_CARD, 30d, visual-id */
    OPTION_STRING,                      /* "quoted" */
    OPTION_PUNCT                        /* , ( ) = != < > <= >= ~ -> */
};

struct option_word {
    enum option_word_kind kind;
    struct span text;                   /* without quotes, escapes undone */
    struct diag_place at;
};

/* ---- for custom rows ---- */
const char *option_name(const struct option_args *a);                   /* of the option being read: "match" */
const struct option_word *option_peek(const struct option_args *a);     /* the next word, NULL at the end */
const struct option_word *option_next(struct option_args *a);           /* takes it; NULL at the end */
bool option_accept(struct option_args *a, const char *word);            /* takes the next when it is this bare word or punctuation */
/* Reports at the word taken last, or at the word that option_accept() refused just before. hint may be NULL. Returns -1. */
int  option_error(struct option_args *a, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void option_warning(struct option_args *a, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Each takes one value and reports itself when it is missing or wrong: 0 or -1. */
int  option_take_text(struct option_args *a, char **out);               /* heap; word or string */
int  option_take_int(struct option_args *a, int64_t min, int64_t max, int64_t *out);
int  option_take_size(struct option_args *a, int64_t min, int64_t max, int64_t *out);
int  option_take_duration(struct option_args *a, int64_t min_us, int64_t max_us, int64_t *out_us);
int  option_take_percent(struct option_args *a, int64_t min, int64_t max, int64_t *out);       /* 5% */
int  option_take_credential(struct option_args *a, char **out);         /* heap, secret_free(); `credential "name"` or a string (warned of) */
int  option_take_choice(struct option_args *a, const char *choices, int *out);                  /* blank-separated words */
void option_list_add(struct option_list *l, struct span text);         /* heap copies */
void option_list_clear(struct option_list *l);

/* ---- for the configuration ---- */
struct lexer_stmt;
struct option_layer {                   /* one table with the struct it fills */
    const struct option_table *table;
    void *values;
};
struct option_reader {
    struct diag *diag;
    const char *config_file;            /* main file: base of OPT_PATH and OPT_CREDENTIAL */
    const char *what;                   /* "listen mllp \"district-lab\"", for messages */
    struct diag_place at;               /* of the block's head: missing options are reported there */
    const struct option_layer *layers;
    size_t n_layers;
    /* Words that are no option of a table ("parse"): reads it (and the block of stmt) and returns true. May be NULL. */
    bool (*special)(void *ctx, const char *name, struct option_args *a, const struct lexer_stmt *stmt);
    const char *const *special_names;   /* NULL-terminated */
    void *ctx;
    void (*on_default)(void *ctx, const struct option_row *row);    /* for each option that was not named; may be NULL */
    void *default_ctx;
};
/* Reads all statements of a block, sets defaults of what was not named, reports missing ones. Errors go to diag. */
void option_read_block(const struct option_reader *r, const struct lexer_stmt *body, size_t n);
/* Defaults only into zeroed values; for tests and for tables without block. -1 when a default text of the table is wrong (a bug). */
int  option_set_defaults(const struct option_table *t, void *values);
void option_free_values(const struct option_table *t, void *values);    /* what the values own, not the struct itself */
/* The table for people: "    address IP:PORT   help (default …)" lines, and as mdoc (.It Ic … ) lines for man pages. */
void option_help(const struct option_table *t, struct buf *b);
void option_mdoc(const struct option_table *t, struct buf *b);
#endif
