/*
 * decide - what a configuration makes of one observation: rules, the writer's body, version. The same for the engine, for what is routed
 * again after a reload or a replay, and for `whatif`, which only compares.
 *
 * Pure: nothing is stored, nobody is asked. Thread: any; the configuration is only read. Everything in *out lives in the arena or the
 * configuration.
 */
#ifndef LABRELAY_DECIDE_H
#define LABRELAY_DECIDE_H
#include "rule.h"
#include "zone.h"

struct decision {
    struct rule_result rule;
    struct built built;
    const struct writer_conf *writer;   /* of the route, also when it is held; NULL: none */
    const char *reason;                 /* of a hold or a drop; NULL when it is sent */
    struct span detail;                 /* of a hold: the table row that is missing, the field, our own words */
    struct span body;                   /* what would be sent: absent unless the rules send it (half a body must never be released) */
};

/* A cap that is reached holds this observation and nothing else (TOO_LARGE). trace may be NULL. -1: ERR_BUG only. */
int  decide_observation(const struct config *c, const struct record *r, const struct rec_observation *o, struct arena *a, struct decision *out,
                        struct rule_trace *trace, struct err *e);
/* The same for the person of a record (routes with send case, send contact). rule.action RULE_DROP: no route sends it. */
int  decide_person(const struct config *c, const struct record *r, struct arena *a, struct decision *out, struct rule_trace *trace, struct err *e);
/* Takes a message for its persons when it has nothing else and a route of this channel sends persons. Before its fate is used. */
void decide_admit(const struct config *c, const char *channel, struct parsed *p);
/* The version's time: when it was reported, else analysed, else sent, else received. z: the channel's zone, may be NULL. */
int64_t decide_issued_us(const struct zone *z, const struct record *r, const struct rec_observation *o, int64_t received_us);
/* The lane before the person is known: "<writer>/s:<sample>", else "<writer>/m:<message>". */
void decide_lane(const struct decision *d, int64_t message_id, char *out, size_t n);
/* The zone that the options of the listener's parsers name: *out is NULL when there is none; zone_free() it. */
int  decide_zone(const struct listener_conf *lc, struct zone **out, struct err *e);

/* What running an observation again does, by what became of it and what is decided now. was NULL: it was dropped by place or rule. */
enum again {
    AGAIN_NOTHING,          /* delivered or replaced as it is decided now, or dropped again */
    AGAIN_ROUTED,           /* held until now, or dropped: goes on to the writer, which looks for the person */
    AGAIN_HELD,             /* held, now with this reason */
    AGAIN_DROPPED,          /* held until now: dropped */
    AGAIN_BUSY,             /* under way */
    AGAIN_CLOSED,           /* closed by a person: stays so */
    AGAIN_DIFFERS           /* delivered, but decided otherwise now: a person decides (never a second write by itself) */
};
enum again decide_again(const struct delivery *was, const struct decision *now);
const char *again_name(enum again a);               /* "routed" … */
const char *again_text(enum again a);               /* for people */
#endif
