/*
 * ops - what a module is: one struct of functions and an option table for each listener, parser and writer.
 * A new one is one file (family) and one line in src/modules.c.
 */
#ifndef LABRELAY_OPS_H
#define LABRELAY_OPS_H
#include "arena.h"
#include "delivery.h"
#include "err.h"
#include "lab.h"
#include "message.h"

/* ---- options as data: one row gives parsing, range, default, --help, man page and did-you-mean ---- */
enum option_type {
    OPT_TEXT,           /* char *: "string" or word */
    OPT_YESNO,          /* bool */
    OPT_INT,            /* int64_t, min..max */
    OPT_SIZE,           /* int64_t bytes; needs a unit: B kB MB GB (1 kB = 1024) */
    OPT_DURATION,       /* int64_t microseconds; needs a unit: ms s m h d */
    OPT_CHOICE,         /* int: index in choices (blank-separated words in `choices`) */
    OPT_ADDRESS,        /* char *: ip:port or [v6]:port, port 0-65535 */
    OPT_NETS,           /* struct option_list of CIDR texts, checked; may repeat */
    OPT_LIST,           /* struct option_list of words or strings; may repeat */
    OPT_PATH,           /* char *: relative to the config file's folder, made absolute */
    OPT_CREDENTIAL,     /* char *: `credential "name"` loaded from its file, or a string (a warning) */
    OPT_ZONE,           /* char *: IANA zone name that exists in tzdata */
    OPT_WORDS,          /* the words of one statement, given to `words` (modules that may not see the configuration: parsers) */
    OPT_CUSTOM          /* parsed by `custom` */
};

struct option_list { char **v; size_t n; };

struct option_args;     /* the words of one statement, see service/option.h */

struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;              /* of the C value in the options struct */
    int64_t min, max;           /* OPT_INT, OPT_SIZE, OPT_DURATION */
    const char *def;            /* default as config text, NULL: none (zero) */
    const char *choices;        /* OPT_CHOICE */
    bool is_required;
    const char *help;           /* one line; the man page and --help print it */
    const char *syntax;         /* for help: "IP:PORT"; NULL: by type */
    int (*custom)(void *value, struct option_args *args);   /* OPT_CUSTOM: 0, or -1 after reporting through option_error() */
    void (*custom_free)(void *value);                       /* OPT_CUSTOM, OPT_WORDS */
    bool may_repeat;            /* OPT_CUSTOM, OPT_WORDS: may be given several times (lists always may) */
    /* OPT_WORDS: the words behind the name. -1: v[*bad] is wrong, e->text says why, e->where (if any) is the hint. Copies what it keeps. */
    int (*words)(void *value, const struct option_list *words, size_t *bad, struct err *e);
};

struct option_table {
    const struct option_row *rows;
    size_t n;
    size_t size;                                    /* of the options struct, allocated zeroed */
    int (*check)(const void *options, struct err *e);   /* over several options; NULL: nothing to check. where = option name */
};

/* ---- parsers: pure ---- */
struct parser_ops {
    const char *name;                               /* "hl7v2" */
    struct option_table options;
    size_t memory_factor;                           /* the arena of a frame holds this many times its bytes at most; 0: the engine's own factor */
    /* Is this what it reads? `head` is the first 4 kB at most. */
    bool (*sniff)(struct span head);
    /* Bytes to messages. -1 only for ERR_LIMIT and ERR_BUG; a bad message is a parsed with its fate. All output lives in a (and frame). */
    int  (*parse)(const void *options, struct span frame, struct arena *a, struct parse_result *out, struct err *e);
    /* The payloads that answer the frame: fates[i] is what became of result->v[i]. Appends heap strings to *out (free each p). */
    int  (*reply)(const void *options, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc,
                  struct arena *a, struct span **payloads, size_t *n, struct err *e);
    /* A positive/negative early answer from the header alone, for a frame that is not handed to the engine (busy, oversize): 207.
     * A heap string for the caller to free, or nothing (absent). */
    int  (*busy)(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e);
    /* May this message come in this way? False: *why is the reason (static texts), the message is refused. NULL: every message may. */
    bool (*fits)(const struct parsed *p, const struct ask *ask, struct problem *why);
    /* The parts of one message, in order, to one frame; is_whole: the last part is there. Absent when they do not fit.
     * NULL: its messages never come in parts. */
    struct span (*join)(const struct span *parts, size_t n, bool is_whole, struct arena *a);
};

/* ---- listeners: run on the LOOP thread ---- */
struct event_base;
struct listener_env {
    struct event_base *base;
    struct mailbox *engine;                         /* post frames here */
    const char *name;                               /* "district-lab" */
    size_t index;                                   /* its number: frame.listener_index */
    const struct parser_ops *parser;                /* for busy() */
    const void *parser_options;
    const char *const *node;                        /* as the running configuration has it: may change while it runs */
    const int64_t *budget_bytes;                    /* the same: of all frames under way */
    int socket;                                     /* from share() of the listener that it takes the place of, or -1; owned by the new one */
    bool is_standby;                                /* its predecessor still works: begin with start() */
    int64_t (*inflight_bytes)(void);                /* taken of that budget */
    void (*account_bytes)(int64_t delta);
    bool (*is_accepting)(const char *listener);     /* false: below the disk floor, stopping, paused by a person */
    bool (*takes_persons)(const char *listener);    /* a route sends persons of this listener; NULL: none */
    uint64_t (*next_reply_id)(void);
    void (*count)(const char *listener, const char *what, int64_t n);   /* frames that never reach the engine: received+refused */
};
struct listener_ops {
    const char *name;                               /* "mllp" */
    const char *default_parser;                     /* "hl7v2", or several: "hl7v2 fhir" (those that are built in) */
    struct option_table options;
    int  (*open)(struct listener **out, const void *options, const struct listener_env *env, struct err *e);
    void (*reply)(struct listener *l, const struct reply *r);   /* borrowed */
    void (*stop_accepting)(struct listener *l);     /* SIGTERM: no new connections or frames; replies still leave */
    bool (*is_idle)(const struct listener *l);      /* nothing under way */
    void (*close)(struct listener *l);
    /* A reload changes its options. A new descriptor for what two cannot open at a time (socket, lock of a folder) when the new options name the
     * same; else -1. Both work for a moment, then the old one is told to stop. */
    int  (*share)(const struct listener *l, const void *new_options);
    void (*start)(struct listener *l);              /* the predecessor of one that was opened with is_standby has ended; NULL: it works already */
};

/* ---- writers ---- */
struct writer;                                      /* the writer's own state; engine thread only */
struct http_client;                                 /* service/http.h; one per courier */

struct task_file {                                  /* an attachment that goes with a lab result; heap */
    char sha256[65];
    char *mime, *bytes;
    size_t n;
};

enum task_kind { TASK_STEP, TASK_CHORE, TASK_ASK };  /* ASK: who is person_id, and is that whom `who` speaks of? Changes nothing */
struct task {
    struct mail mail;
    enum task_kind kind;
    const char *writer;                             /* name; outlives the task */
    struct writer *w;                               /* only for settle() on the engine thread; couriers never touch it */
    const struct writer_ops *ops;
    const void *options;                            /* const, outlives the task */
    int chore;                                      /* the writer's own number */
    enum delivery_step step;
    int64_t delivery_id;
    char *result_key, *who, *body, *person_id, *person_type, *remote_id, *last_body;   /* heap, owned by the task */
    unsigned flags;                                 /* DELIVERY_… of the delivery */
    uint64_t ask;                                   /* TASK_ASK: the engine's number of the question */
    bool must_look;                                 /* STEP_CREATE: look at what stands there first, and adopt or refuse */
    struct task_file *files;                        /* of the report, when the delivery has DELIVERY_HAS_FILES */
    size_t n_files;
    bool are_files_sent;
    void *armed;                                    /* writer's snapshot (token, outbreak id), freed by disarm() */
    /* the answer, filled by perform() */
    enum verdict verdict;
    char *reason, *detail;                          /* heap or NULL */
    int http_status;
    int64_t retry_after_us;                         /* 0: the engine's own back-off */
    char *found_id, *found_type;                    /* STEP_FIND: exactly one person */
    char *created_id;                               /* STEP_CREATE, STEP_READBACK (found): the remote id */
    char *evidence;                                 /* JSON: candidates, per field agreed or not; for held/show */
    bool is_absent;                                 /* STEP_READBACK: looked, it is not there: safe to create */
    unsigned requests;                              /* made for this task */
    int64_t started_us, ended_us;
    void *answer;                                   /* chores: writer's own, freed by disarm() */
};
void task_free(struct task *t);                     /* calls ops->disarm */

enum writer_mode { WRITER_STARTING, WRITER_READY, WRITER_PAUSED };
struct writer_status {
    enum writer_mode mode;
    const char *reason;                             /* word: LOGIN_FAILED, UNREACHABLE, WRONG_OUTBREAK … or NULL */
    char detail[200];
    int64_t until_us;                               /* paused until; 0: until somebody acts */
    const char *missing;                            /* permissions that the account lacks, by name, blank-separated; "" or NULL: none known */
};
struct store;
struct writer_memory {                              /* small durable values of a writer; backed by the store, engine thread only */
    void *ctx;
    int64_t (*get)(void *ctx, const char *writer, const char *key, int64_t def);
    void (*put)(void *ctx, const char *writer, const char *key, int64_t v);      /* in the open batch */
    struct store *store;                            /* for writers with tables of their own (a mirror); NULL in tests: nothing is kept */
};
/* What build() makes of one observation and its lab result. Strings in the arena. */
struct built_alias { struct span old, now; };
struct built {
    struct span body, who, result_key, lane_hint;   /* result_key: 64 hex, absent when no key can be made */
    const char *hold;                               /* reason word when it cannot be sent; else NULL */
    struct span hold_detail;
    unsigned flags;                                 /* DELIVERY_… that the delivery starts with */
    const struct built_alias *aliases;              /* identifiers that were merged into others; in the arena */
    size_t n_aliases;
};

/* Whose a delivery is, as far as the writer knows without asking anybody. */
enum match_state {
    MATCH_FOUND,                                    /* one person: person_id, person_type */
    MATCH_HELD,                                     /* reason, evidence */
    MATCH_ASK,                                      /* a courier has to ask (STEP_FIND) */
    MATCH_WAIT                                      /* not now: something has to be read first */
};
struct matched {
    enum match_state state;
    const char *reason;                             /* static word */
    char *person_id, *person_type, *evidence;       /* heap or NULL; evidence is JSON as task.evidence */
};
void matched_clear(struct matched *m);
enum match_depth { MATCH_BY_KEY, MATCH_WHOLE };     /* by key: a quick look that tells FOUND or nothing; its HELD has no evidence */

enum writer_mirror { WRITER_MIRROR_TELL, WRITER_MIRROR_REFRESH, WRITER_MIRROR_RELOAD };
struct buf;
/* What routes ask of the writer's account: it needs the rights for that. */
enum writer_need { NEED_LAB = 1, NEED_CASE_CREATE = 2, NEED_CONTACT_CREATE = 4, NEED_CASE_UPDATE = 8, NEED_CONTACT_UPDATE = 16, NEED_CLAIM = 32 };

struct writer_ops {
    const char *name;                               /* "godata" */
    struct option_table options;
    int  (*open)(struct writer **out, const char *name, const void *options, const struct writer_memory *mem, struct err *e);
    /* Pure: record and lab result to a frozen body and to what identifies the person. */
    int  (*build)(const void *options, const struct record *r, const struct rec_observation *obs, const struct lab_result *lab,
                  struct arena *a, struct built *out, struct err *e);
    /* The same for the person of a record. NULL: this writer takes no persons. */
    int  (*build_person)(const void *options, const struct record *r, const struct person_data *p, struct arena *a, struct built *out, struct err *e);
    /* What is wrong with these options for a route that sends or creates persons of this kind; where = option name. NULL: nothing can be. */
    int  (*check_person)(const void *options, enum person_kind kind, struct err *e);
    /* Engine thread. The next housekeeping task (login, outbreak, reference data, polls) or NULL. Called again after each settle and at its own wish. */
    struct task *(*chore)(struct writer *w, int64_t now_us, int64_t *next_us);
    void (*status)(const struct writer *w, struct writer_status *out);
    /* Engine thread: gives the task the token and ids it needs. */
    void (*arm)(struct writer *w, struct task *t);
    /* Courier thread: does it; reads only the task and its const options. Always leaves a verdict. */
    void (*perform)(struct task *t, struct http_client *http);
    /* Engine thread, for every task that came back: chores change the state here; steps may (stale token, unreachable). */
    void (*settle)(struct writer *w, struct task *t, int64_t now_us);
    void (*disarm)(struct task *t);
    /* Engine thread. Held as REFDATA_MISSING or QUESTION_MISSING: does the other side have the codes by now? NULL: never asked. */
    bool (*can_write)(struct writer *w, const struct delivery *d);
    void (*resume)(struct writer *w);               /* an operator said go on */
    /* For `check --live`; all may be NULL. Engine thread: what the routes need (enum writer_need, or-ed); what a running writer knows of the
     * other side, as JSON (heap). Any thread, no engine: the same, asked now with one login; writes nothing. What tells two others apart. */
    void (*needs)(struct writer *w, unsigned needs);
    char *(*tell)(const struct writer *w, unsigned needs);
    char *(*ask)(const void *options, unsigned needs);
    char *(*identity)(const void *options);
    /* How old something held for this reason may grow before an alarm; 0: as the `alarm` block says. NULL: always that. */
    int64_t (*held_alarm_us)(const void *options, const char *reason);
    /* Engine thread, no request: at most some milliseconds. NULL: couriers find. Clear *out with matched_clear(). */
    void (*match)(struct writer *w, const struct delivery *d, enum match_depth depth, int64_t now_us, struct matched *out);
    /* The reasons of holds that a change at the other side may end, NULL-terminated; with match only. */
    const char *const *match_reasons;
    /* Moves whenever something was learnt that may end such a hold; with match only. */
    uint64_t (*changes)(const struct writer *w);
    /* Before a create: does it have to look at what stands there? NULL: always. */
    /* since_us: when the delivery came or was decided about; what stood at the other side then must be known. */
    bool (*must_look)(struct writer *w, const struct delivery *d, int64_t since_us, int64_t now_us);
    /* Engine thread. Of the copy that it keeps of the other side: WRITER_MIRROR_TELL appends members of a JSON object, counts only; the others read it again,
     * soon or whole. NULL: it keeps none. */
    int  (*mirror)(struct writer *w, enum writer_mirror what, int64_t now_us, struct buf *out, struct err *e);
    void (*close)(struct writer *w);
};

struct modules {
    const struct listener_ops *const *listeners;    /* NULL-terminated */
    const struct parser_ops *const *parsers;
    const struct writer_ops *const *writers;
};
#endif
