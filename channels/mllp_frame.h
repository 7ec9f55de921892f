/*
 * mllp_frame - MLLP framing: bytes of one connection to frames and back. STANDARDS: V2+ "llp" 4.2, 6.1; Camel and HAPI for the tolerances.
 *
 * Pure: no socket, no clock (the caller passes `now`, monotonic microseconds), no global. One decoder per connection, one thread.
 * Use: feed() bytes, then next() until MLLP_NONE; at end of stream eof(), at deadline() tick(), each followed by next() until MLLP_NONE.
 * The caller may stop calling next() at any time (back pressure): rest() is what was not looked at yet.
 * A frame that lies in one chunk is never copied here; others are gathered in a buffer that never exceeds max_bytes.
 */
#ifndef LABRELAY_MLLP_FRAME_H
#define LABRELAY_MLLP_FRAME_H
#include "span.h"

#define MLLP_SB 0x0b
#define MLLP_EB 0x1c
#define MLLP_CR 0x0d
#define MLLP_HEAD_BYTES ((size_t)4096)  /* kept of a frame that is too large or was shed: enough for an answer from MSH */
#define MLLP_OVERSIZE_FACTOR 4          /* so many times max_bytes are read in search of the end, then it is hopeless */

struct mllp_frame_conf {
    size_t max_bytes;               /* of one frame's data */
    bool is_strict;                 /* only EB CR ends a frame; anything else closes */
    bool allow_bare;                /* "MSH" without SB starts a frame */
    int64_t end_wait_us;            /* EB and then silence ends the frame (strict: closes) */
    int64_t byte_timeout_us;        /* silence inside a frame */
    int64_t frame_timeout_us;       /* from SB to EB */
};

enum mllp_event {
    MLLP_NONE,                      /* nothing more to say before more bytes or time come */
    MLLP_WHOLE,                     /* a frame; bytes valid until the next call on the decoder */
    MLLP_EMPTY,                     /* SB EB: count, never answer */
    MLLP_TRUNCATED,                 /* what there was of a frame whose end never came: quarantine, never answer */
    MLLP_OVERSIZE,                  /* past max_bytes; bytes are its head; MLLP_CLOSE follows */
    MLLP_SHED,                      /* ended after mllp_decoder_shed(); bytes are its head */
    MLLP_CLOSE                      /* the connection must be closed: strict mode, time-out, oversize. Repeats. */
};

struct mllp_decoder;

/* conf is borrowed and must outlive the decoder. */
struct mllp_decoder *mllp_decoder_new(const struct mllp_frame_conf *conf);
void mllp_decoder_free(struct mllp_decoder *d);                 /* NULL is fine */
/* in is borrowed until next() said MLLP_NONE or rest() was fetched. Only when the input before is used up. */
void mllp_decoder_feed(struct mllp_decoder *d, struct span in, int64_t now_us);
enum mllp_event mllp_decoder_next(struct mllp_decoder *d, struct span *bytes_out);
/* Right after MLLP_WHOLE or MLLP_TRUNCATED: the bytes as heap memory of exactly *n_out bytes that the caller owns; without a copy where possible. */
char *mllp_decoder_take(struct mllp_decoder *d, size_t *n_out);
/* The input not looked at yet; the decoder forgets it. Feed it again later. */
struct span mllp_decoder_rest(struct mllp_decoder *d);
void mllp_decoder_eof(struct mllp_decoder *d);
void mllp_decoder_tick(struct mllp_decoder *d, int64_t now_us); /* nothing happens before deadline() */
int64_t mllp_decoder_deadline(const struct mllp_decoder *d);    /* -1: no timer runs (between frames: days may pass) */
/* The reader was stopped by us, not by the peer: the silence up to now does not count. */
void mllp_decoder_resume(struct mllp_decoder *d, int64_t now_us);
/* Memory is short: forget all but the head of the frame under way, which will end as MLLP_SHED. */
void mllp_decoder_shed(struct mllp_decoder *d);
bool mllp_decoder_in_frame(const struct mllp_decoder *d);       /* between SB and the frame's end */
size_t mllp_decoder_held(const struct mllp_decoder *d);         /* heap bytes of the frame buffer */
/* Bytes outside of any frame that are no separators, since the last call. Only the count: they may be patient data. */
uint64_t mllp_decoder_take_stray(struct mllp_decoder *d);

#define MLLP_WRAP_BYTES ((size_t)3)     /* SB, EB, CR */
/* Writes SB data EB CR into out, which has room for payload.n + MLLP_WRAP_BYTES; returns that sum. */
size_t mllp_frame_wrap(struct span payload, char *out);
#endif
