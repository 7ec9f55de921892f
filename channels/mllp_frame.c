/*
 * NAME mllp_frame - the MLLP state machine.
 *
 *   IDLE  --SB-->  FRAME  --EB-->  ENDING  --CR, LF, SB, other byte, silence, end of stream-->  IDLE (or FRAME after SB)
 *   FRAME --SB-->  the frame before is truncated, a new one starts: two are never merged
 *   DEAD           strict mode violated, a time-out, a frame too large: the connection is of no use any more
 *
 * OWNERSHIP The frame buffer belongs to the decoder until take(); it is freed as soon as a frame is over, so that an idle connection holds nothing.
 * COST memchr() over the input, twice at most per byte.
 * DIAGNOSTICS none; events and counts only.
 */
#include "mllp_frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define FIRST_BYTES ((size_t)4096)
#define MLLP_ACK 0x06
#define MLLP_NAK 0x15

enum state { IDLE, FRAME, ENDING, DEAD };
enum keep { KEEP_ALL, KEEP_HEAD_SHED, KEEP_HEAD_OVERSIZE };

struct mllp_decoder {
    const struct mllp_frame_conf *conf;
    struct span in;                 /* not looked at yet */
    struct span item;               /* what next() reported last */
    enum state state;
    enum keep keep;
    char *buf;
    size_t n, cap;                  /* of buf */
    size_t total;                   /* data bytes of the frame, kept or not */
    unsigned bare;                  /* bytes of "MSH" seen between frames (0-2) */
    bool is_item_out;               /* an item was reported; its memory is dropped before the next step */
    enum { NOT_DUE, DUE_EOF, DUE_TIME } due;    /* what eof() or tick() left for next() */
    int64_t now_us, last_byte_us, start_us;
    uint64_t stray;
};

struct mllp_decoder *mllp_decoder_new(const struct mllp_frame_conf *conf)
{
    struct mllp_decoder *d = xcalloc(1, sizeof *d);
    d->conf = conf;
    return d;
}

static void buf_drop(struct mllp_decoder *d)
{
    free(d->buf);
    d->buf = NULL;
    d->n = d->cap = 0;
}

void mllp_decoder_free(struct mllp_decoder *d)
{
    if (!d)
        return;
    buf_drop(d);
    free(d);
}

void mllp_decoder_feed(struct mllp_decoder *d, struct span in, int64_t now_us)
{
    assert(d->in.n == 0);
    d->in = in;
    d->now_us = now_us;
    if (in.n)
        d->last_byte_us = now_us;
}

struct span mllp_decoder_rest(struct mllp_decoder *d)
{
    struct span rest = d->in;
    d->in = SPAN_ABSENT;
    return rest;
}

static void grow(struct mllp_decoder *d, size_t need, size_t most)
{
    size_t cap = d->cap + d->cap / 2;
    if (cap < FIRST_BYTES)
        cap = FIRST_BYTES;
    if (cap < need)
        cap = need;
    if (cap > most)
        cap = most;
    d->buf = xrealloc(d->buf, cap);
    d->cap = cap;
}

static void cut_to_head(struct mllp_decoder *d, enum keep keep)
{
    d->keep = keep;
    if (d->n > MLLP_HEAD_BYTES)
        d->n = MLLP_HEAD_BYTES;
    if (d->cap > MLLP_HEAD_BYTES) {
        d->buf = xrealloc(d->buf, MLLP_HEAD_BYTES);
        d->cap = MLLP_HEAD_BYTES;
    }
}

/* Data bytes of the frame under way go to the buffer, or are only counted. */
static void gather(struct mllp_decoder *d, struct span s)
{
    size_t most = d->conf->max_bytes;
    d->total += s.n;
    if (d->keep == KEEP_ALL && d->total > most)
        cut_to_head(d, KEEP_HEAD_OVERSIZE);
    else if (d->keep == KEEP_HEAD_SHED && d->total > most)
        d->keep = KEEP_HEAD_OVERSIZE;
    if (d->keep != KEEP_ALL)
        most = MLLP_HEAD_BYTES < most ? MLLP_HEAD_BYTES : most;
    if (d->n >= most)
        return;
    if (s.n > most - d->n)
        s.n = most - d->n;
    if (!s.n)
        return;
    if (d->n + s.n > d->cap)
        grow(d, d->n + s.n, most);
    memcpy(d->buf + d->n, s.p, s.n);
    d->n += s.n;
}

static void frame_start(struct mllp_decoder *d)
{
    buf_drop(d);
    d->state = FRAME;
    d->keep = KEEP_ALL;
    d->total = 0;
    d->start_us = d->now_us;
}

static enum mllp_event report(struct mllp_decoder *d, enum mllp_event ev, struct span item, struct span *out)
{
    d->item = item;
    d->is_item_out = true;
    *out = item;
    return ev;
}

/* The frame in the buffer is over: as `ev` when it is all there, else as what its size or shedding made of it. */
static enum mllp_event frame_end(struct mllp_decoder *d, enum mllp_event ev, enum state then, struct span *out)
{
    d->state = then;
    if (d->keep == KEEP_HEAD_OVERSIZE) {
        d->state = DEAD;
        ev = MLLP_OVERSIZE;
    } else if (d->total == 0) {
        ev = MLLP_EMPTY;
    } else if (d->keep == KEEP_HEAD_SHED && ev == MLLP_WHOLE) {
        ev = MLLP_SHED;
    }
    return report(d, ev, span_make(d->buf, d->n), out);
}

static void skip(struct mllp_decoder *d, size_t n)
{
    d->in.p += n;
    d->in.n -= n;
}

static bool is_separator(char c)
{
    switch (c) {
    case '\r': case '\n': case '\0': case ' ': case '\t': case MLLP_ACK: case MLLP_NAK: return true;
    }
    return false;
}

/* One byte between frames. "M", "S" without their "H" are stray bytes after all. */
static void step_idle(struct mllp_decoder *d)
{
    static const char msh[] = "MSH";
    char c = d->in.p[0];
    if (c == MLLP_SB) {
        d->stray += d->bare;
        d->bare = 0;
        skip(d, 1);
        frame_start(d);
        return;
    }
    if (d->conf->allow_bare && c == msh[d->bare]) {
        skip(d, 1);
        if (++d->bare == 3) {
            d->bare = 0;
            frame_start(d);
            gather(d, SPAN_LIT("MSH"));
        }
        return;
    }
    if (d->bare) {              /* look at this byte again, as the first of a new try */
        d->stray += d->bare;
        d->bare = 0;
        return;
    }
    if (!is_separator(c))
        d->stray++;
    skip(d, 1);
}

/* Between frames nothing but SB matters, unless bare frames are allowed. */
static void run_idle(struct mllp_decoder *d)
{
    while (d->in.n && d->state == IDLE)
        step_idle(d);
}

static enum mllp_event run_frame(struct mllp_decoder *d, struct span *out)
{
    size_t stop = span_find(d->in, MLLP_EB);
    size_t sb = span_find(span_cut(d->in, 0, stop), MLLP_SB);
    bool is_eb = sb == stop;        /* no SB before the EB (or before the end of the input) */
    struct span data = span_cut(d->in, 0, sb);
    bool is_at_end = sb == d->in.n;
    /* The usual case, nothing gathered before and EB CR behind the data: no copy. */
    if (is_eb && !is_at_end && d->keep == KEEP_ALL && d->total == 0 && data.n && data.n <= d->conf->max_bytes && sb + 1 < d->in.n && d->in.p[sb + 1] == MLLP_CR) {
        skip(d, sb + 2);
        d->state = IDLE;
        d->total = data.n;
        return report(d, MLLP_WHOLE, data, out);
    }
    gather(d, data);
    skip(d, data.n);
    if (d->keep == KEEP_HEAD_OVERSIZE && d->total > d->conf->max_bytes * MLLP_OVERSIZE_FACTOR)
        return frame_end(d, MLLP_OVERSIZE, DEAD, out);
    if (is_at_end)
        return MLLP_NONE;
    skip(d, 1);
    if (is_eb) {
        d->state = ENDING;
        return d->keep == KEEP_HEAD_OVERSIZE ? frame_end(d, MLLP_OVERSIZE, DEAD, out) : MLLP_NONE;
    }
    d->start_us = d->now_us;
    return frame_end(d, MLLP_TRUNCATED, FRAME, out);
}

static enum mllp_event run_ending(struct mllp_decoder *d, struct span *out)
{
    char c = d->in.p[0];
    if (c == MLLP_CR || (c == '\n' && !d->conf->is_strict)) {
        skip(d, 1);
        return frame_end(d, MLLP_WHOLE, IDLE, out);
    }
    if (d->conf->is_strict)
        return frame_end(d, MLLP_TRUNCATED, DEAD, out);
    return frame_end(d, MLLP_WHOLE, IDLE, out);     /* the byte is looked at again, as in IDLE */
}

/* End of stream, or time passed, with all input used up. */
static enum mllp_event run_due(struct mllp_decoder *d, struct span *out)
{
    bool is_eof = d->due == DUE_EOF;
    d->due = NOT_DUE;
    switch (d->state) {
    case IDLE:
        d->stray += d->bare;
        d->bare = 0;
        return MLLP_NONE;
    case FRAME:
        return frame_end(d, MLLP_TRUNCATED, is_eof ? IDLE : DEAD, out);
    case ENDING:
        return d->conf->is_strict ? frame_end(d, MLLP_TRUNCATED, DEAD, out) : frame_end(d, MLLP_WHOLE, IDLE, out);
    case DEAD:
        break;
    }
    return MLLP_NONE;
}

enum mllp_event mllp_decoder_next(struct mllp_decoder *d, struct span *bytes_out)
{
    enum mllp_event ev = MLLP_NONE;
    *bytes_out = SPAN_ABSENT;
    if (d->is_item_out) {
        d->is_item_out = false;
        d->item = SPAN_ABSENT;
        if (d->state == FRAME)      /* SB ended the last one and began this one */
            frame_start(d);
        else
            buf_drop(d);
    }
    while (ev == MLLP_NONE && d->in.n && d->state != DEAD) {
        switch (d->state) {
        case IDLE: run_idle(d); break;
        case FRAME: ev = run_frame(d, bytes_out); break;
        case ENDING: ev = run_ending(d, bytes_out); break;
        case DEAD: break;
        }
    }
    if (ev == MLLP_NONE && d->due != NOT_DUE && d->in.n == 0)
        ev = run_due(d, bytes_out);
    if (ev == MLLP_NONE && d->state == DEAD) {
        d->in = SPAN_ABSENT;
        return MLLP_CLOSE;
    }
    return ev;
}

char *mllp_decoder_take(struct mllp_decoder *d, size_t *n_out)
{
    char *p;
    assert(d->is_item_out);
    *n_out = d->item.n;
    if (d->buf && d->item.p == d->buf) {
        p = d->cap > d->n ? xrealloc(d->buf, d->n) : d->buf;
        d->buf = NULL;
        d->n = d->cap = 0;
    } else {
        p = xmalloc(d->item.n);
        if (d->item.n)
            memcpy(p, d->item.p, d->item.n);
    }
    d->item = SPAN_ABSENT;
    return p;
}

void mllp_decoder_eof(struct mllp_decoder *d)
{
    assert(d->in.n == 0);
    d->due = DUE_EOF;
}

int64_t mllp_decoder_deadline(const struct mllp_decoder *d)
{
    int64_t silent, whole;
    switch (d->state) {
    case IDLE:
    case DEAD:
        break;
    case FRAME:
        silent = d->last_byte_us + d->conf->byte_timeout_us;
        whole = d->start_us + d->conf->frame_timeout_us;
        return silent < whole ? silent : whole;
    case ENDING:
        return d->last_byte_us + d->conf->end_wait_us;
    }
    return -1;
}

void mllp_decoder_tick(struct mllp_decoder *d, int64_t now_us)
{
    int64_t deadline = mllp_decoder_deadline(d);
    if (d->in.n == 0 && deadline >= 0 && now_us >= deadline)
        d->due = DUE_TIME;
}

void mllp_decoder_resume(struct mllp_decoder *d, int64_t now_us)
{
    d->last_byte_us = now_us;
}

void mllp_decoder_shed(struct mllp_decoder *d)
{
    if (d->state == FRAME && d->keep == KEEP_ALL && !d->is_item_out)
        cut_to_head(d, KEEP_HEAD_SHED);
}

bool mllp_decoder_in_frame(const struct mllp_decoder *d)
{
    return d->state == FRAME || d->state == ENDING;
}

size_t mllp_decoder_held(const struct mllp_decoder *d)
{
    return d->cap;
}

uint64_t mllp_decoder_take_stray(struct mllp_decoder *d)
{
    uint64_t n = d->stray;
    d->stray = 0;
    return n;
}

size_t mllp_frame_wrap(struct span payload, char *out)
{
    out[0] = MLLP_SB;
    if (payload.n)
        memcpy(out + 1, payload.p, payload.n);
    out[payload.n + 1] = MLLP_EB;
    out[payload.n + 2] = MLLP_CR;
    return payload.n + MLLP_WRAP_BYTES;
}
