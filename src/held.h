/*
 * held - what `labrelay held` shows and does: words about one held delivery, its CSV file, and one decision.
 * Shown to people who may see patient data; nothing of it goes to a log. Thread: main.
 */
#ifndef LABRELAY_HELD_H
#define LABRELAY_HELD_H
#include "cli.h"

/* ---- held_words.c ---- */
/* All that helps to decide: message, sample, result, patient, candidates field by field, the one change, what to do. */
void held_show(const struct delivery *d, const struct store_message_row *m, struct buf *b);
void held_patient(const struct delivery *d, struct buf *b);             /* "Amina Okello, born 1988-03-14, female" */
void held_identifiers(const struct delivery *d, struct buf *b);         /* "case ID CA-0001, national ID card 77" */
void held_value(const struct delivery *d, const char *body_field, struct buf *b);       /* of the body; prefixes of Go.Data codes are left out */
void held_why(const struct delivery *d, struct buf *b);                 /* one paragraph or several, lines end with a newline */
#define HELD_CANDIDATES 5
/* One line about candidate i, nothing when there is none. */
void held_candidate(const struct delivery *d, size_t i, struct buf *b);
#define HELD_TOKEN_BYTES 12
/* Names the hold as it stands: another reason or a later hold of the same delivery has another. */
void held_token(const struct delivery *d, char out[HELD_TOKEN_BYTES]);

/* ---- held_act.c ---- */
enum held_action { HELD_NOTHING, HELD_RELEASE, HELD_DISMISS, HELD_LINK, HELD_CREATE };
struct held_decision {
    enum held_action action;
    bool is_anyway;
    bool is_impatient;                  /* Go.Data was not to be had just before: ask once */
    bool is_check;                      /* only ask whether it would be done */
    int64_t id;
    const char *person;                 /* LINK: visualId or Go.Data id; CREATE: "case" or "contact" */
    const char *by, *why;
    const struct delivery *expect;      /* NULL, or as whoever decided saw it */
};
/* The engine's JSON answer is appended. 0 done, 1 refused (the answer says why), -1 with e. */
int  held_decide(const struct config *conf, const struct held_decision *x, struct buf *answer, struct err *e);
/* "error" of an answer; NULL when it has none. Heap. */
char *held_error(const struct buf *answer);

/* ---- held_csv.c ---- */
int  held_export(const struct cli *c, struct store_reader *r, const struct delivery *v, size_t n, const char *path);
int  held_apply(const struct cli *c, const struct config *conf, struct store_reader *r, const char *path);
#endif
