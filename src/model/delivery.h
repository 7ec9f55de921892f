/*
 * delivery - one result bound for one writer, and the words for what can become of it.
 * Plain data. Strings are heap-owned by the struct (delivery_clear frees them). Thread: engine; a courier sees only the task made of it.
 */
#ifndef LABRELAY_DELIVERY_H
#define LABRELAY_DELIVERY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum delivery_state {
    DELIVERY_READY,         /* to be done at next_us */
    DELIVERY_CLAIMED,       /* durable intent: a courier may be writing it right now; a crash makes it UNKNOWN */
    DELIVERY_WAITING,       /* outcome unknown or retry later: back to READY at next_us */
    DELIVERY_HELD,          /* a person or a table has to decide; reason says why */
    DELIVERY_DELIVERED,
    DELIVERY_SUPERSEDED,    /* a newer version of the same result key took its place, or it brought nothing new */
    DELIVERY_WITHDRAWN,     /* taken back by the laboratory and carried out */
    DELIVERY_DISMISSED,     /* by a person */
    DELIVERY_DROPPED        /* by a rule or gate, named by reason */
};

enum verdict {              /* a courier's answer, never a boolean */
    VERDICT_DELIVERED,
    VERDICT_RETRY_LATER,    /* this one later (429, 5xx known not executed) */
    VERDICT_UNREACHABLE,    /* pauses the whole writer: nobody answers, DNS, TLS, connection refused */
    VERDICT_UNAUTHORIZED,   /* token not accepted; nothing executed: log in again, then the same task */
    VERDICT_REJECTED,       /* for good: held for a person with reason */
    VERDICT_UNKNOWN         /* may have been executed: read back first */
};

enum delivery_step {        /* what has to be done next for a delivery */
    STEP_FIND,              /* whose is it: read-only */
    STEP_CREATE,            /* POST */
    STEP_UPDATE,            /* GET, compare, PUT */
    STEP_REMOVE,            /* withdraw */
    STEP_READBACK,          /* after UNKNOWN: list the person's results, look for K */
    STEP_PERSON             /* nobody matched: create the case or contact. Doing it again is harmless: its id is our own choice */
};

/* Ranks of versions of one result with the same issue time: P < F < C. */
enum version_rank { RANK_REGISTERED = 0, RANK_PRELIMINARY = 1, RANK_FINAL = 2, RANK_CORRECTED = 3, RANK_WITHDRAWN = 4 };

/* delivery.flags; the numbers are on disk */
#define DELIVERY_IS_PERSON  1u      /* a case or contact, not a lab result */
#define DELIVERY_IS_LINKED  2u      /* a person chose person_id (`held link`): it is not looked for again */
#define DELIVERY_IS_FORCED  4u      /* a person said: write it although reason spoke against it (`held release --anyway`) */
#define DELIVERY_WAS_ASKED  8u      /* Go.Data itself was asked for the person, beside the mirror */
#define DELIVERY_MAY_CREATE 16u     /* nobody matches: create the person that `who` describes */
#define DELIVERY_MAY_DROP   32u     /* nobody matches: drop it */
#define DELIVERY_IS_CRITICAL    0x100u  /* a rule said `flag critical` */
#define DELIVERY_DATE_ORDER     0x200u  /* W_DATE_ORDER: taken, delivered, tested, result are not in this order; written as sent */
#define DELIVERY_NO_SAMPLE_DATE 0x400u  /* W_NO_SAMPLE_DATE: Go.Data's screens want the day the sample was taken */
#define DELIVERY_HAD_INTENT     0x1000u /* was claimed once: something of it may have reached the other side */
#define DELIVERY_HAS_FILES      0x800u  /* attachments go before the lab result (`attachments upload`) */
/* What rules and the writer's build decide anew each time a message is routed. */
#define DELIVERY_BY_RULES (DELIVERY_MAY_CREATE | DELIVERY_MAY_DROP | DELIVERY_IS_CRITICAL | DELIVERY_DATE_ORDER | DELIVERY_NO_SAMPLE_DATE | DELIVERY_HAS_FILES)
/* The i-th remark that the flags make on a delivery: "critical", "W_DATE_ORDER" …; NULL past the last. */
struct delivery_remark { const char *name, *text; };
const struct delivery_remark *delivery_remark(unsigned flags, size_t i);
/* what exactly was forced: a person said yes to one reason, any other holds it again */
#define DELIVERY_FORCE_TIE      0x10000u  /* VERSION_TIE */
#define DELIVERY_FORCE_EDIT     0x20000u  /* HUMAN_EDIT */
#define DELIVERY_FORCE_EXISTS   0x40000u  /* EXISTS_DIFFERENT */
#define DELIVERY_FORCE_OLD      0x80000u  /* OLD_KEY */
#define DELIVERY_FORCE_PERSON   0x100000u /* PERSON_CHANGED */
#define DELIVERY_LINK_LOST      0x400000u /* the person that it was linked to is gone: earlier links of this result count no more */
#define DELIVERY_FORCE_DELETED  0x200000u /* DELETED_IN_GODATA */
/* The DELIVERY_FORCE_… bit that gets past this reason; 0: no word of a person does. */
unsigned delivery_force_bit(const char *reason);

struct delivery {
    int64_t id, message_id;
    unsigned record_index, observation_index;   /* place in the parsed original */
    unsigned parts;             /* observations of the original it accounts for (1 + its part-of followers are accounted apart) */
    char *path;                 /* "OBX[3]" */
    char *route;                /* name of the route, or "" */
    int64_t config;             /* number of the config that made it */
    char *writer;               /* name, "" for drops */
    char *lane;                 /* "<writer>/<person id>" once matched, else "<writer>/s:<sample>" or "<writer>/m:<message id>" */
    char *result_key;           /* hex SHA-256 of the key's parts; "" when none could be made */
    int64_t issued_us;          /* version: report.issued_at, else OBX-19, else MSH-7, else received */
    int rank;                   /* enum version_rank */
    char *who;                  /* JSON: what identifies the person; the writer's own shape */
    char *body;                 /* JSON body, frozen after the first intent */
    enum delivery_state state;
    enum delivery_step step;
    int tries;
    int64_t next_us;
    char *reason;               /* word: UNMAPPED_TEST, NO_MATCH, REFDATA_MISSING, HTTP_422 … */
    char *detail;               /* text for people: codes, tables, counts; never a patient's value in logs, may name table keys */
    char *person_id, *person_type;  /* after STEP_FIND: GUID and "case" / "contact" */
    char *remote_id;            /* Go.Data lab result id */
    int64_t updated_us;
    unsigned flags;             /* DELIVERY_… */
};

void delivery_clear(struct delivery *d);
/* Replaces a string field; NULL counts as "". */
void delivery_set(char **field, const char *value);

const char *delivery_state_name(enum delivery_state s);         /* "ready" … */
int  delivery_state_parse(const char *name, enum delivery_state *out);
const char *delivery_step_name(enum delivery_step s);
int  delivery_step_parse(const char *name, enum delivery_step *out);
const char *verdict_name(enum verdict v);
/* May a delivery go from one state to the other? The store refuses the rest. */
bool delivery_can_move(enum delivery_state from, enum delivery_state to);

bool delivery_is_final(enum delivery_state s);                  /* nothing more happens to it */

/* Every hold and drop reason with a sentence for people. */
struct reason { const char *name, *text; };
extern const struct reason reasons[];
extern const size_t reasons_n;
const char *reason_text(const char *name);          /* "" when unknown */
#endif
