/*
 * godata_notes - the block of text that labrelay owns in a lab result's notes (STANDARDS 8.3). Pure. Thread: any.
 *   [labrelay 3f2a91c0]
 *   …text…
 *   2026-05-05 corrected: was Detected
 *   [/labrelay]
 * Text outside the block is a person's and survives. A block has at most 4000 characters: lines that do not fit are replaced by one
 * `[more in engine]`; history lines are kept before text.
 */
#ifndef LABRELAY_GODATA_NOTES_H
#define LABRELAY_GODATA_NOTES_H
#include "buf.h"

#define GODATA_NOTES_MAX 4000           /* characters */
#define GODATA_K_MAX 8

struct godata_block {
    struct span before, text, after;    /* of the notes; text: between the marker lines, without them */
    bool is_found;
};

/* k: 8 hex digits. text and history: lines without markers, may be empty. */
void godata_notes_format(struct buf *out, struct span k, struct span text, struct span history);
/* Finds our block. Without an end marker only the marker line is the block: what follows is kept as a person's. */
void godata_notes_parse(struct span notes, struct span k, struct godata_block *out);
/* The lines of `text` that are history: a date, a blank, "corrected:", "updated:", "replaced:" or "withdrawn". Appended to out, one newline between. */
void godata_notes_history(struct span text, struct buf *out);
/* Lines that are no history, the same way; `[more in engine]` is left out. */
void godata_notes_plain(struct span text, struct buf *out);
/* What the first line says behind " = ", without codes and flags: "Detected". Absent when it says nothing. */
struct span godata_notes_value(struct span text);
/* The K of the first block in the notes, 8 hex digits; absent when there is none. */
struct span godata_notes_k(struct span notes);
#endif
