/*
 * store_watch - what the store keeps beside messages, for whoever runs the engine: when a channel was last heard, what a person paused,
 * which alarms are up; and the queue in groups.
 * Thread: puts on the engine's, as everything of store.h. Lists: where `at` says. Texts handed to fn live as long as the call.
 */
#ifndef LABRELAY_STORE_WATCH_H
#define LABRELAY_STORE_WATCH_H
#include "store.h"

/* Where to look: the engine's own store (sees the open batch), or a reader. One of the two. */
struct store_at { struct store *q; struct store_reader *r; };

struct store_channel { const char *name; int64_t last_us, day, today; };        /* day: local days since 1970; today: frames of that day */
int  store_put_channel(struct store *q, const struct store_channel *c, struct err *e);
int  store_list_channels(struct store_at at, void (*fn)(void *ctx, const struct store_channel *c), void *ctx, struct err *e);

struct store_pause { const char *kind, *name; int64_t us; const char *who, *why; };     /* kind: "channel" or "writer" */
int  store_put_pause(struct store *q, const struct store_pause *p, struct err *e);
int  store_drop_pause(struct store *q, const char *kind, const char *name, struct err *e);
int  store_list_pauses(struct store_at at, void (*fn)(void *ctx, const struct store_pause *p), void *ctx, struct err *e);

struct store_alarm {
    const char *kind, *subject;         /* "silence", the channel's name */
    int64_t raised_us, cleared_us;      /* cleared_us 0: it is up */
    int64_t said_us;                    /* when its last change reached everybody who is told; 0: not yet */
    int64_t n;                          /* the figure it is about */
    const char *detail;                 /* words, names and figures; never a patient's value */
};
int  store_put_alarm(struct store *q, const struct store_alarm *a, struct err *e);
int  store_drop_alarm(struct store *q, const char *kind, const char *subject, struct err *e);
int  store_list_alarms(struct store_at at, void (*fn)(void *ctx, const struct store_alarm *a), void *ctx, struct err *e);

/* What is not finished, in groups; oldest_us: when the oldest of its messages came in. A million open ones take some seconds. */
struct store_queue { const char *writer, *reason; enum delivery_state state; int64_t n, oldest_us; };
int  store_list_queue(struct store_at at, void (*fn)(void *ctx, const struct store_queue *g), void *ctx, struct err *e);
/* The `limit` lanes whose oldest unfinished delivery is oldest. message: the one it came with. */
struct store_lane { const char *writer, *lane; int64_t n, message, oldest_us; };
int  store_list_lanes(struct store_at at, size_t limit, void (*fn)(void *ctx, const struct store_lane *l), void *ctx, struct err *e);
/* Of one writer: deliveries that a courier may take, and when the oldest of them came in (0: none). Cheap, for every look. */
int  store_oldest_due(struct store *q, const char *writer, int64_t *n_out, int64_t *oldest_us_out, struct err *e);
/* Of one writer ("": no destination): what is held, by reason. */
int  store_list_held(struct store *q, const char *writer, void (*fn)(void *ctx, const char *reason, int64_t n, int64_t oldest_us), void *ctx, struct err *e);

/* The file itself: schema version, pages, tables with their number of rows, the statements that made them. One JSON object. */
int  store_describe(struct store_reader *r, struct buf *b, struct err *e);

/* The first message with an id of at least `id`: its id and time; 0 found, 1 none. */
int  store_next_message(struct store_reader *r, int64_t id, int64_t *id_out, int64_t *received_us_out, struct err *e);
/* The first message that came in at `us` or later, found by halving: ids rise with time. The id after the last when there is none. */
int  store_message_since(struct store_reader *r, int64_t us, int64_t *id_out, struct err *e);
#endif
