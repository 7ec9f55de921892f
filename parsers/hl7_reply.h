/*
 * hl7_reply - acknowledgements (STANDARDS 3): which are sent, and their text.
 */
#ifndef LABRELAY_HL7_REPLY_H
#define LABRELAY_HL7_REPLY_H
#include "hl7_lex.h"

struct hl7_head {               /* MSH as sent, bytes of the frame: parsed.priv */
    bool is_usable;             /* false: no MSH or no usable delimiters */
    struct hl7_delims d;
    struct span f[22];          /* f[3] = MSH-3 … f[21] = MSH-21; escapes kept */
    struct span event;          /* "R01" or absent */
    int version;
};
struct hl7_batch { struct span fhs, bhs; };     /* first of each, as sent: parse_result.priv */

/* "2.5.1" -> 251, "2" -> 200; 0 when it does not begin with 2. */
int hl7_version(struct span v);
void hl7_head_read(struct arena *a, struct span raw, struct hl7_head *h);
int hl7_reply(const void *options, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc,
              struct arena *a, struct span **payloads, size_t *n, struct err *e);
int hl7_busy(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e);
#endif
