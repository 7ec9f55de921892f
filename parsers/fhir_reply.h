/*
 * fhir_reply - what is said to a sender of FHIR: OperationOutcome, transaction-/batch-response, answer to $process-message.
 *
 * Texts for the HTTP channel and for .why files. Pure; appends to a buf, which states its cap. Issues name paths and codes, never a
 * value (S21). The engine is no repository: ids of created resources are made of the message's hash and the entry's place, so that
 * the same Bundle gets the same answer again. Source: R4 operationoutcome, http.html#transaction-response, messaging.html.
 */
#ifndef LABRELAY_FHIR_REPLY_H
#define LABRELAY_FHIR_REPLY_H
#include "fhir_parser.h"

struct fhir_issue {
    const char *severity;           /* fatal error warning information */
    const char *code;               /* issue-type: structure required value not-supported … */
    const char *text;               /* diagnostics; NULL: none */
    struct span expression;         /* FHIRPath; absent: none */
};

/* An OperationOutcome with these issues (at least one is always written). */
void fhir_reply_issues(struct buf *b, enum rec_format format, const struct fhir_issue *v, size_t n);
/* One issue by itself, for what the channel refuses: 401, 404, 406, 413, 415 … expression NULL: none. */
void fhir_reply_outcome(struct buf *b, enum rec_format format, const char *severity, const char *code, const char *text, const char *expression);
/* The OperationOutcome of one message: its errors and remarks, else what became of it. */
void fhir_reply_message(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate);
/* transaction-response or batch-response, entries in order. base: "https://gateway/fhir", no slash at its end. For a transaction
 * that was refused the channel sends fhir_reply_message instead. */
void fhir_reply_bundle(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate, const char *base, int64_t now_us);
/* Answer to $process-message: Bundle message with MessageHeader.response and the OperationOutcome. */
void fhir_reply_process(struct buf *b, enum rec_format format, const struct parsed *p, enum frame_fate fate, const char *endpoint, int64_t now_us);
/* HTTP status of the whole: 200 (201 for a lone resource) when committed, 400 unreadable, 422 refused, 503 busy. */
unsigned fhir_reply_status(const struct parsed *p, enum frame_fate fate);
/* ---- fhir_answer.c ---- */
/* The one answer of a frame: by rc->ask, in its form. result->n > 0. */
void fhir_answer(struct buf *b, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc);
/* parser_ops.fits: types of Bundles and places that do not go together. */
bool fhir_fits(const struct parsed *p, const struct ask *ask, struct problem *why);

/* Id under which entry `place` is known in answers: its own for PUT, else made of the message's hash; 36 characters and a NUL. */
void fhir_reply_id(const struct parsed *p, size_t place, char out[65]);
#endif
