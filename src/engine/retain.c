/*
 * NAME retain - what the engine erases by itself: by age (keep-delivered, keep-raw) and by size (size-max). Only what is finished.
 *
 * By age a little at every idle turn; pages leave the file as fast as rows go. What stands in Go.Data is forgotten by us when it is older than
 * both keep-delivered and TARGET_US: until then a correction must find it.
 * By size: the file without its unused pages, and the log. From ROOM_HIGH percent of size-max on finished messages go, oldest first, down to
 * ROOM_LOW, a slice of a turn at a time. At size-max less a margin (what is under way still has to be stored, and deliveries need room to be
 * settled) listeners do not accept; they do again when there is room. What is open is never touched.
 * DIAGNOSTICS error "store has reached size-max: not accepting", info "store has room again", "erased" with counts.
 */
#include "clock.h"
#include "inner.h"
#include "log.h"

#define EXPIRE_MAX 200              /* messages of one idle turn */
#define TARGET_US (61LL * 24 * 3600 * 1000000)      /* OLD_KEY: after 60 days a correction is a person's matter anyway */
#define ROOM_HIGH 88
#define ROOM_LOW 82
#define ROOM_STEP 50                /* messages between two looks at the clock */
#define ROOM_LOOK_US 100000
#define ROOM_SLICE_US 30000         /* of ROOM_LOOK_US */
#define ROOM_WAIT_US 250000         /* nothing finished was found: until the next pass */
#define SHRINK_PAGES 512            /* of an idle turn: 4 MB */
#define SHRINK_SHARE 16             /* unused pages that are worth it: 1 in so many */

void retain_open(struct engine *g)
{
    int64_t most = (int64_t)STORE_LOG_PAGES_MAX * STORE_PAGE_BYTES;
    store_set_log_max(g->env.store, g->conf->store.size_max_bytes ? g->conf->store.size_max_bytes / 8 : most);
    g->retain.next_us = 0;
}

static int64_t log_reserve(int64_t cap)
{
    int64_t most = (int64_t)STORE_LOG_PAGES_MAX * STORE_PAGE_BYTES;
    return cap / 8 < most ? cap / 8 : most;
}

/* What must stay free: one batch of messages that are under way, and what settling deliveries writes. */
static int64_t margin(const struct engine *g)
{
    int64_t cap = g->conf->store.size_max_bytes, batch = 2 * g->conf->store.commit_bytes;
    return batch < cap / 16 ? cap / 16 : batch < cap / 4 ? batch : cap / 4;
}

static int look(struct engine *g, struct store_size *s, int64_t *used, struct err *e)
{
    int64_t log = log_reserve(g->conf->store.size_max_bytes);
    if (store_get_size(g->env.store, s, e))
        return -1;
    *used = s->file - s->unused + (s->log > log ? s->log : log) + margin(g);
    return 0;
}

static void set_capped(struct engine *g, int64_t used)
{
    bool is_capped = used >= g->conf->store.size_max_bytes;
    if (is_capped == g->is_capped)
        return;
    if (g->is_capped && used > g->conf->store.size_max_bytes / 100 * 97)
        return;
    g->is_capped = is_capped;
    if (is_capped)
        log_event(LOG_ERROR, "store has reached size-max: not accepting", log_int("used", used), log_int("size_max", g->conf->store.size_max_bytes));
    else
        log_event(LOG_INFO, "store has room again", log_int("used", used), log_int("size_max", g->conf->store.size_max_bytes));
    engine_set_accepting(g);
}

/* Finished messages go until there is room, for a slice of time and of the log: what is erased is written there. */
static int make_room(struct engine *g, struct store_size *s, int64_t *used, int64_t mono, struct err *e)
{
    int64_t cap = g->conf->store.size_max_bytes, unused = s->unused;
    while (clock_mono_us() - mono < ROOM_SLICE_US && s->unused - unused < log_reserve(cap) / 2) {
        size_t n = 0;
        if (store_make_room(g->env.store, ROOM_STEP, &n, e) || look(g, s, used, e))
            return -1;
        g->retain.erased += n;
        if (*used < cap / 100 * ROOM_LOW) {
            g->retain.is_making_room = false;
            log_event(LOG_INFO, "erased to make room", log_int("messages", (int64_t)g->retain.erased), log_int("used", *used));
            return 0;
        }
        if (n == 0) {
            g->retain.room_next_us = mono + ROOM_WAIT_US;
            return 0;
        }
    }
    return 0;
}

int retain_turn(struct engine *g, struct err *e)
{
    int64_t cap = g->conf->store.size_max_bytes, mono = clock_mono_us(), used;
    struct store_size s;
    if (cap == 0 && g->is_capped) {     /* a reload took the cap away */
        g->is_capped = g->retain.is_making_room = false;
        engine_set_accepting(g);
    }
    if (cap == 0 || g->is_refusing || (mono < g->retain.next_us && g->retain.bytes < margin(g) / 8))
        return 0;
    g->retain.next_us = mono + ROOM_LOOK_US;
    g->retain.bytes = 0;
    if (look(g, &s, &used, e))
        return -1;
    if (used >= cap / 100 * ROOM_HIGH && !g->retain.is_making_room) {
        g->retain.is_making_room = true;
        g->retain.erased = 0;
        g->retain.room_next_us = 0;
    }
    if (g->retain.is_making_room && mono >= g->retain.room_next_us && make_room(g, &s, &used, mono, e))
        return -1;
    set_capped(g, used);
    return 0;
}

static int expire(struct engine *g, int64_t now, struct err *e)
{
    const struct store_conf *c = &g->conf->store;
    size_t messages = 0, originals = 0, targets = 0;
    if (c->keep_delivered_us > 0) {
        int64_t most = c->keep_delivered_us > TARGET_US ? c->keep_delivered_us : TARGET_US;
        if (store_expire(g->env.store, now - c->keep_delivered_us, EXPIRE_MAX, &messages, e) ||
            store_expire_targets(g->env.store, now - most, EXPIRE_MAX, &targets, e))
            return -1;
    }
    if (c->keep_raw_us > 0 && store_erase_raw(g->env.store, now - c->keep_raw_us, EXPIRE_MAX, &originals, e))
        return -1;
    if (messages || originals || targets)
        log_event(LOG_DEBUG, "erased by age", log_int("messages", (int64_t)messages), log_int("originals", (int64_t)originals), log_int("targets", (int64_t)targets));
    return 0;
}

int retain_idle(struct engine *g, int64_t now, struct err *e)
{
    struct store_size s;
    if (expire(g, now, e) || retain_turn(g, e) || store_get_size(g->env.store, &s, e))
        return -1;
    if (s.unused > SHRINK_PAGES * STORE_PAGE_BYTES && s.unused > s.file / SHRINK_SHARE && !g->retain.is_making_room && g->n_frames == 0)
        return store_shrink(g->env.store, SHRINK_PAGES, e);
    return 0;
}
