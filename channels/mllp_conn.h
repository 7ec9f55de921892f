/*
 * mllp_conn - one MLLP connection and what all connections of a listener share (the hub). Private to in_mllp.
 *
 * Thread: LOOP. A connection owns its socket, its half frame and its unwritten replies. It lives on without a socket (a ghost) until
 * the engine has answered all its frames, because the byte budget is given back with the answer.
 */
#ifndef LABRELAY_MLLP_CONN_H
#define LABRELAY_MLLP_CONN_H
#include <sys/queue.h>

#include "mllp_frame.h"
#include "ops.h"

enum mllp_mode { MLLP_SERVER, MLLP_CLIENT };

struct mllp_options {
    char *address;
    int mode;                           /* enum mllp_mode */
    struct option_list allow;
    int64_t max_size, max_connections;
    int64_t idle_timeout, byte_timeout, frame_timeout, ack_deadline, end_wait;     /* microseconds */
    bool strict, allow_bare;
    int64_t read_ahead, read_ahead_size;
    int64_t release;                    /* 1, 2 */
};

struct mllp_conn;
TAILQ_HEAD(mllp_conns, mllp_conn);

struct mllp_hub {
    const struct mllp_options *o;
    struct mllp_frame_conf frame_conf;
    struct listener_env env;
    struct listener *listener;          /* goes into the frames */
    struct mllp_conn **slots;           /* by the low bits of a connection's id */
    size_t n_slots, first_free;
    uint64_t generation;
    size_t n_open;                      /* with a socket */
    size_t n_ghosts;
    size_t n_outstanding;               /* frames at the engine: as long as there are some, a reply will wake us */
    struct mllp_conns dirty;            /* have replies to write or room to read again */
    struct mllp_conns waiting;          /* stopped reading for want of budget */
    struct event *flush_ev;
    bool is_stopping;
    bool is_flushing;                   /* the dirty ones are being looked at: no need to call for it */
    char *chunk;                        /* one read */
    struct arena *arena;                /* for busy() */
    void (*on_closed)(struct mllp_hub *h, bool was_useful);     /* a socket is gone; useful: at least one frame came over it */
};

int  hub_init(struct mllp_hub *h, struct err *e);       /* after o, env, listener, on_closed were set */
void hub_clear(struct mllp_hub *h);                     /* closes all connections */
/* Takes the connected, non-blocking socket. NULL (and closed) when there is no room. */
struct mllp_conn *conn_open(struct mllp_hub *h, int fd, const char *peer);
void hub_reply(struct mllp_hub *h, const struct reply *r);
void hub_stop(struct mllp_hub *h);                      /* no more frames; what is under way is answered */
bool hub_is_idle(const struct mllp_hub *h);
#endif
