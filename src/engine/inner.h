/*
 * inner - what the files of the engine share: its state, and who does which part of a turn.
 * Thread: engine only.
 */
#ifndef LABRELAY_ENGINE_INNER_H
#define LABRELAY_ENGINE_INNER_H
#include <jansson.h>

#include "control.h"
#include "courier.h"
#include "decide.h"
#include "engine.h"
#include "log.h"

#define ACTIVE_MAX 256              /* deliveries of a writer held in memory; the rest waits in the store */
#define INTAKE_WORK_BYTES ((size_t)64 << 20)   /* rules and bodies of one observation or person */
#define LANE_HASH 1024
#define LANE_MAX 32                 /* of one lane in memory: a busy person must not keep the others out */
#define LANE_LOW 8                  /* so few left: the store is asked for more of that lane */

struct active {                     /* one delivery in memory */
    struct delivery d;
    bool is_busy;                   /* a task is under way */
    struct active *next;
};

/* A listener as the engine sees it. After a reload an unchanged one goes on under the new configuration; what still comes from one that leaves
 * is read and routed by the configuration that it was opened under. */
struct channel {
    struct channel *next;
    size_t number;                  /* frame.listener_index */
    const struct config *conf;
    int64_t config_number;          /* of conf */
    const struct listener_conf *lc; /* in conf */
    struct zone *zone;              /* NULL: its parsers name none */
};

struct writer_run {                 /* a writer of the config, running */
    const struct writer_conf *conf;
    bool is_behind;                 /* one of its name is leaving: nothing is begun before that has ended */
    struct writer *w;
    struct courier_pool *pool;
    struct active *first;           /* in order of next_us, id */
    size_t n_active, n_busy;
    bool is_chore_busy;
    int64_t chore_next_us;          /* the writer wants to be asked again then */
    bool is_exhausted;              /* the store had no more due ones at the last look */
    int64_t look_next_us;
    size_t n_crowded;               /* lanes with much in memory at the last look: more of them may be in the store */
    int64_t delivered, requests;    /* since start */
    int64_t took_us;                /* of a step, by a courier, on average of late */
    enum writer_mode last_mode;
    struct rematch *rematch;        /* match.c */
    int64_t match_until_us;         /* clock_mono_us: looks of this turn end then … */
    bool is_match_late;             /* … and some had to wait for the next */
};

struct pending_frame {              /* a frame of the open batch: its reply waits for the commit */
    struct frame *f;
    struct arena *a;
    struct parse_result parsed;
    enum frame_fate *fates;
    int64_t *ids;                   /* of each of its messages in the store; 0: none */
    const struct channel *ch;       /* where it came in; NULL: a listener that was given up: it is not answered */
    const struct parser_conf *parser;   /* that read it; NULL: none could be chosen */
    const char *aside;              /* why a frame that is not parsed was put aside: "TRUNCATED" … */
    bool is_unread;                 /* more than a message may hold: answered 207 from its header */
    bool is_parsed, is_known;       /* known: there is a message with frame.same_as */
    int64_t message_id;
    int64_t started_us;
    struct pending_frame *next;
};

struct alarms;
struct watch;

struct engine {
    struct engine_env env;
    struct config *conf;            /* the running one; nobody but reload.c changes it */
    int64_t config_number, config_since_us;
    struct channel *channels;
    struct reloads *reloads;        /* see reload.c */
    struct again_pass *again;       /* see again.c */
    struct writer_run *writers;
    size_t n_writers;
    struct leaving *leaving;        /* writers that a reload took away or changed: their couriers finish first */
    struct pending_frame *frames, **frames_last;
    size_t frames_bytes, n_frames;
    struct control_mail *controls;  /* answered; leave after the commit */
    struct control_mail *asking;    /* the request that is being run; NULL: none, or no engine runs */
    bool has_links, knows_links;    /* somebody linked a result once (store memory "review" "links") */
    struct question *asks;          /* review.c: requests that wait for a courier */
    uint64_t last_ask;
    struct task *answers;           /* applied in this batch; freed after the commit */
    struct task *tasks_out, **tasks_last;   /* leave after the commit */
    uint64_t reply_id;
    struct arena *spare;            /* a reset arena for the next frame */
    struct arena *work;             /* rules and bodies of one observation; its cap is a hold of that observation, never more */
    int64_t stored_frames, started_us;
    bool is_refusing;               /* the store does not take more: 207 */
    bool is_low;                    /* the disk is nearly full: listeners do not accept, deliveries go on */
    bool is_broken;                 /* a control request could not be written: the open batch is rolled back */
    bool is_capped;                 /* size-max is reached: the same, until finished messages could be erased */
    struct {
        int64_t next_us;            /* monotonic: the store's size is looked at again then, or after so many … */
        int64_t bytes;              /* … of messages */
        int64_t room_next_us;       /* the next pass over finished messages */
        bool is_making_room;        /* near size-max: finished messages go, oldest first */
        size_t erased;              /* since that began */
    } retain;
    bool must_recover;              /* answers were lost to a failed commit: their deliveries are read back */
    int64_t settle_us;              /* the longest settle-unknown of the writers */
    int64_t probe_us;
    int64_t clock_offset_us;        /* wall clock minus monotonic clock: a change is a jump */
    struct alarms *alarms;          /* what is wrong: alarm.h */
    struct watch *watch;            /* channels heard, pauses: watch.h */
    int64_t log_until_us;           /* monotonic; then the log level goes back to … (0: it stays) */
    enum log_level log_before;
    int stop;                       /* atomic */
};

/* intake.c: one frame into the open batch; always leaves a pending_frame. ERR_TEMP/ERR_BUG only. */
int  intake_frame(struct engine *g, struct frame *f, struct err *e);
/* Posts the replies of the batch: after a commit, or as refusals when it failed. */
void intake_reply(struct engine *g, bool is_committed);

/* Deliveries and accounts of a stored message's observations. pf: listener, time and arena. */
int  intake_deliver(struct engine *g, struct pending_frame *pf, const struct parsed *p, int64_t message_id, unsigned *deliveries, struct err *e);

/* A new version meets the open ones of its key, itself excepted. Sets d->state and reason when it does not go ahead. */
int  intake_meet_versions(struct engine *g, struct delivery *d, struct err *e);

void engine_set_accepting(const struct engine *g);                  /* tells the listeners what is_refusing, is_low and is_capped mean */

/* erase.c: {"do":"erase",…}: one person's messages; heap */
char *erase_command(struct engine *g, const json_t *request, struct err *e);

/* retain.c: what may be erased is, in the open batch */
void retain_open(struct engine *g);
int  retain_idle(struct engine *g, int64_t now, struct err *e);     /* by age; gives space back */
int  retain_turn(struct engine *g, struct err *e);                  /* by size-max; sets is_capped */

/* files.c: the attachments of its report into the task */
int  files_load(struct engine *g, const struct delivery *d, struct task *t, struct err *e);

/* reroute.c: a stored message through the rules again */
#define REPLAY_DIFFERS "REPLAY_DIFFERS"
struct reroute {
    bool is_replay;                 /* a person asks: also what was dropped or delivered; else only what is held */
    const char *reason;             /* only deliveries with this reason; NULL: any */
    const char *by, *why;           /* for the audit; by NULL: none is written */
    const char *action;             /* for the audit; NULL: replay */
    int64_t n[AGAIN_DIFFERS + 1];   /* what was done, by enum again; added to */
};
/* In the open batch. Nothing happens to a message that is not there (any more), or whose listener is gone. */
int  reroute_message(struct engine *g, int64_t message_id, struct reroute *q, struct err *e);
/* {"do":"replay","ids":[…],"by":…}: {"messages":how many of ids were done, "routed":N …} or an error; heap. */
char *reroute_command(struct engine *g, const json_t *request, struct err *e);

/* part.c: messages sent in parts (STANDARDS 2.9) */
struct part {                       /* what a message is to others */
    const char *reason;             /* CONTINUED: more comes; CONTINUATION: the last one; NULL: no part */
    struct store_fragments set;     /* the parts before it */
    char key[65];                   /* CONTINUED: what the next one has to name */
    struct arena *a;                /* CONTINUATION: the joined message and its records … */
    struct parse_result joined;     /* … one, accepted */
};
/* Looks for the parts before; joins and parses when this is the last. Changes p's fate and problems to what the whole message deserves. */
int  part_meet(struct engine *g, struct pending_frame *pf, struct parsed *p, struct part *out, struct err *e);
/* The part is stored as m: keeps it waiting, or stores and routes the joined message. */
int  part_take(struct engine *g, struct pending_frame *pf, struct part *part, const struct store_message *m, struct err *e);
void part_clear(struct part *part);
/* Idle turn: sets that waited too long become one message whose results are held. */
int  part_give_up(struct engine *g, int64_t now, struct err *e);

/* dispatch.c */
int  dispatch_open(struct engine *g, struct err *e);
void dispatch_tell_needs(struct engine *g);                             /* what the routes ask of each writer's account, after a reload too */
int  dispatch_open_writer(struct engine *g, const struct writer_conf *c, struct writer_run *out, struct err *e);
void dispatch_close_writer(struct writer_run *w);                       /* waits for its couriers */
int  dispatch_turn(struct engine *g, int64_t now, struct err *e);       /* loads, claims, arms; tasks go to g->tasks_out */
int64_t dispatch_next_us(struct engine *g, int64_t now);                /* when something may be due; -1: nothing known */
void dispatch_send(struct engine *g);                                   /* after the commit */
void dispatch_drop(struct engine *g);                                   /* commit failed: as if never prepared */
void dispatch_close(struct engine *g);
struct active *dispatch_find(struct writer_run *w, int64_t delivery_id);
void dispatch_forget(struct writer_run *w, struct active *x);           /* out of memory; the store has it */
void dispatch_wake(struct engine *g, const char *writer);               /* something new may be due */
bool dispatch_is_crowded(struct writer_run *w, const struct active *x); /* its lane has enough in memory without it */
void dispatch_stop(struct engine *g);                                   /* couriers end; their last answers wait in the inbox */

/* match.c: whose a delivery is, without a request */
#define MATCH_SLICE_US 5000         /* of an engine turn */
/* STEP_FIND of x by what the writer knows. 0 go on with a write step, 1 nothing more to do now (held, or to wait), 2 a courier has to ask, -1. */
int  match_delivery(struct engine *g, struct writer_run *w, struct active *x, int64_t now, struct err *e);
/* Nobody was found by asking: the delivery is held with what the writer can say about it. */
void match_hold(struct writer_run *w, struct delivery *d, const struct task *t, int64_t now);
/* Held deliveries are matched again after the writer learnt something; a slice at a time. */
int  match_again(struct engine *g, struct writer_run *w, int64_t now, struct err *e);
bool match_is_pending(const struct writer_run *w, int64_t now);
void match_close(struct writer_run *w);
/* The person is known: lane and step follow. */
void dispatch_set_person(struct writer_run *w, struct delivery *d, const char *id, const char *type);

/* person.c: deliveries of the persons of an accepted message, one per person; *deliveries counts up. */
int  person_deliver(struct engine *g, struct pending_frame *pf, const struct parsed *p, int64_t message_id, unsigned *deliveries, struct err *e);
/* Which listeners take messages that only tell of persons. */
void person_tell_loop(struct engine *g);
/* {"do":"create-person","id":N,"type":"case"|"contact","by":…,"why":…}: a held delivery goes on by creating its person. Answer as release; heap. */
char *person_command(struct engine *g, const json_t *request, struct err *e);
/* All that the configuration decides of a person's delivery; ids and places stay. */
void person_fill(struct delivery *d, const struct record *r, const struct decision *x, const struct zone *z, int64_t received_us, int64_t now);
/* The person is known: is there anything to bring up to date? Decides d->step, or ends d (*is_over). t: filled with what was written last. */
int  person_decide(struct engine *g, struct delivery *d, struct store_target *t, bool *is_over, struct err *e);
/* nobody was found and d is held for it: true when it goes on instead (a person is created, or it is dropped). Stores nothing. */
bool person_meet_no_match(struct engine *g, struct writer_run *w, struct delivery *d);

/* settle.c: what a finished task means for its delivery */
int  settle_task(struct engine *g, struct task *t, int64_t now, struct err *e);
/* Writes down what stands at the writer under d->result_key. */
int  settle_put_target(struct engine *g, const struct delivery *d, const char *remote_id, bool is_tombstone, int64_t now, struct err *e);

/* status.c: {"do":"status"}, {"do":"log-level"}; heap answers */
char *status_answer(struct engine *g);
char *status_set_log(struct engine *g, const char *level, int64_t for_us);
void status_idle(struct engine *g);                                     /* a log level that was set for a time goes back */

/* A task of ours for this writer's couriers; it leaves after the commit. */
void dispatch_put_task(struct engine *g, struct writer_run *w, struct task *t);

/* review.c: what people decide about held deliveries */
bool review_is_mine(const char *what);
char *review_run(struct engine *g, const char *what, json_t *q, struct err *e);     /* heap; NULL: the answer comes later */
void review_answered(struct engine *g, struct writer_run *w, const struct task *t, struct err *e);
void review_drop(struct engine *g);                             /* nobody will answer the open questions */

/* life.c: one result through its versions */
bool life_is_elsewhere(const struct delivery *d, const struct store_target *t);     /* the step is to withdraw it at another person */
/* 1: an earlier version of this result, of a patient described in the same words, was linked by a person: so is d, step and lane follow. 0, -1. */
int  life_recall(struct engine *g, struct writer_run *w, struct delivery *d, struct err *e);
/* Withdrawn at the old person, or found deleted: the next step writes it anew. */
int  life_start_anew(struct engine *g, struct delivery *d, int64_t now, struct err *e);

/* command.c: one control request; returns the JSON answer (heap), which holds without a commit when it only tells; NULL: it comes later */
char *command_run(struct engine *g, const char *request, bool *is_telling, struct err *e);

void import_sweep(const char *store_path);   /* at the start: copies that a killed verb left beside the store */
/* import.c: a file that a verb wrote beside the store; the answer (heap), or NULL with *failure */
char *import_run(struct engine *g, const char *channel, const char *path, const char *name, const char **failure, struct err *e);

/* reload.c: another configuration while the engine runs */
struct leaving { struct writer_run run; struct leaving *next; };
int  reload_open(struct engine *g, struct err *e);                      /* numbers the first configuration; its channels */
void reload_stop(struct engine *g);                                     /* nothing is under way any more after it, but what waits in mailboxes */
void reload_close(struct engine *g);                                    /* frees every configuration; loop and couriers have ended */
void reload_free(struct mail *m);                                       /* one MAIL_RELOAD that nobody takes any more */
/* A request that is for us is kept (it is answered later): true. */
bool reload_ask(struct engine *g, struct control_mail *c);
/* A MAIL_RELOAD, between two batches. -1: the store failed, as in a batch. */
int  reload_step(struct engine *g, struct mail *m, struct err *e);
int  reload_turn(struct engine *g, struct err *e);                      /* in the open batch: keeps texts of the next configuration */
void reload_failed(struct engine *g);                                   /* the open batch is lost */
bool reload_is_keeping(const struct engine *g);
void reload_reap(struct engine *g);                                     /* writers that left and have nothing under way any more end */
const struct channel *channel_find(const struct engine *g, size_t number);
const struct channel *channel_named(const struct engine *g, const char *name);     /* under the running configuration; NULL: none */
struct writer_run *writer_of(struct engine *g, const struct task *t);  /* leaving ones too; NULL: none */
/* Where a delivery is in memory, leaving writers too; NULL: nowhere. */
struct active *active_find(struct engine *g, int64_t delivery_id, struct writer_run **w);

/* command_mirror.c: what the writers' mirrors hold, or reading them again; writer NULL: of all */
char *command_mirror(struct engine *g, enum writer_mirror what, const char *writer, struct err *e);

/* version.c: which of two versions of a result is newer */
enum version_order { VERSION_NEWER, VERSION_SAME, VERSION_TIE, VERSION_OLDER };
enum version_order version_compare(int64_t issued_us, int rank, const char *body, int64_t other_issued_us, int other_rank, const char *other_body);
int  version_rank_of(enum obs_status s);
#endif
