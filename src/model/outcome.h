/*
 * outcome - the qualitative result of one observation, by STANDARDS 8.5: never a guess.
 * Order: gates, coded value, whole text, the test's numeric rule, interpretation, absent reason; a conflict or nothing known is a hold.
 * Pure: terminology comes in through outcome_env. Thread: any.
 */
#ifndef LABRELAY_OUTCOME_H
#define LABRELAY_OUTCOME_H
#include "arena.h"
#include "record.h"

enum outcome_kind {
    OUTCOME_POSITIVE, OUTCOME_NEGATIVE, OUTCOME_INCONCLUSIVE, OUTCOME_POSITIVE_OTHER,
    OUTCOME_NO_RESULT,          /* known to be none (invalid, rejected, cancelled): IN_PROGRESS and a note, never Negative */
    OUTCOME_PENDING,            /* status says that there is none yet (I, R) */
    OUTCOME_WITHDRAW,           /* D, W, entered-in-error */
    OUTCOME_DROP,               /* O, N, QC: named by `reason` */
    OUTCOME_HOLD                /* `reason` names it: UNMAPPED_VALUE, VALUE_CONFLICT, POOLED, … */
};

struct outcome {
    enum outcome_kind kind;
    const char *reason;         /* static word for DROP, HOLD, NO_RESULT; else NULL */
    struct span rule;           /* what decided, for explain: "snomed:260373001", "text:results_text.csv:12", "interp:POS" */
    struct span crosscheck;     /* "interp:POS" when the interpretation agreed */
    struct span table_key;      /* for holds on a missing row: "results|<system>|<code>", what a new row would have to say */
};

/* The test row that the observation's code was found under (tests.csv), as outcome needs it. */
struct outcome_test {
    const char *kind;           /* presence, quantitative, organism */
    const char *caution;        /* VACCINE_STRAIN, SINGLE_TARGET, … or "" */
    struct span targets;        /* organism: codes that are the target, blank-separated */
};

struct outcome_env {
    void *ctx;
    /* Result of one coding: word of results.csv ("POSITIVE", "no_result", "hold") or NULL when no row; *row names the row. */
    const char *(*code)(void *ctx, struct span system, struct span code, struct span *row);
    /* Result of a whole text, already folded by outcome_fold_text(). */
    const char *(*text)(void *ctx, struct span folded, struct span *row);
    /* Numeric rule of the test (`result-of`): word, or NULL when there is no rule, "hold" when undecidable. */
    const char *(*number)(void *ctx, const struct rec_observation *obs, struct span *row);
    /* Interpretation code, including what the test's own rule maps (A, N …). */
    const char *(*interpretation)(void *ctx, struct span code, struct span *row);
    const struct outcome_test *test;    /* NULL when the code is in no table */
    bool text_from_display;             /* option text-from-display: texts of coded values count when no code is mapped */
};

void outcome_derive(const struct record *r, const struct rec_observation *obs, const struct outcome_env *env,
                    struct arena *a, struct outcome *out);
/* NFC is kept as sent; case-folded (Unicode simple folding of Latin, Greek, Cyrillic), trimmed, blanks (also U+00A0) collapsed,
 * one trailing . * ! removed, the HTML entities of <, >, & undone. Absent when the arena is full. */
struct span outcome_fold_text(struct span text, struct arena *a);
/* The same without accents ("non détecté" -> "non detecte"): a sender may leave them out, but not put others. */
struct span outcome_plain_text(struct span folded, struct arena *a);
/* Is the value a word for "none": absent, NA, ValueNotSet (QUIRKS 1), table 0353? */
bool outcome_value_is_absent(const struct rec_value *v);
bool outcome_is_control(const struct rec_specimen *s);         /* QC, as the parser saw it by the channel's qc rule */
bool outcome_is_pooled(const struct rec_specimen *s);          /* SPM-11 G, L */
/* "POSITIVE", "no_result", … of results tables; -1 when it is none of them. hold gives OUTCOME_HOLD. */
int  outcome_parse(const char *word, enum outcome_kind *out);
const char *outcome_name(enum outcome_kind k);      /* "POSITIVE", "NEGATIVE", "no_result" … */
#endif
