/*
 * message - what arrived: one frame of bytes and where it came from; immutable; and what a parser made of it.
 * Owner: whoever holds the struct; it moves LOOP -> ENGINE by mailbox. The raw bytes are on the heap and go with it.
 */
#ifndef LABRELAY_MESSAGE_H
#define LABRELAY_MESSAGE_H
#include "mailbox.h"
#include "record.h"

struct listener;

/* mail.kind in the mailboxes of engine and loop; a zeroed frame (or reply) is a frame (or reply) */
enum mail_kind { MAIL_FRAME, MAIL_TASK, MAIL_CONTROL, MAIL_RELOAD, MAIL_ALARM };

enum frame_state { FRAME_WHOLE, FRAME_TRUNCATED, FRAME_OVERSIZE };

/* How a sender asked, when the listener knows (HTTP). All zero: nothing is known, the parser answers as it finds the message. */
enum ask_form { ASK_FORM_SENT, ASK_FORM_JSON, ASK_FORM_XML };           /* of the answer; SENT: that of the message */
enum ask_at { ASK_AT_NONE, ASK_AT_BASE, ASK_AT_TYPE, ASK_AT_PROCESS };  /* no URL, [base], [base]/Type, [base]/$process-message */
struct ask {
    enum ask_form form;
    enum ask_at at;
    char type[24];                  /* ASK_AT_TYPE: "Bundle", "Observation" */
    bool is_strict;                 /* what the standard does not know is refused, whatever the parser's options say */
    const char *base;               /* of URLs in the answer, no slash at its end; outlives the frame; NULL: none */
};

/* One frame on its way from a listener to the engine. */
struct frame {
    struct mail mail;               /* first member; bytes = raw_n + overhead */
    struct listener *listener;      /* who gets the reply */
    uint64_t conn;                  /* the listener's own handle of the connection (or file); never reused while it runs */
    uint64_t seq;                   /* place of the frame on that connection: replies leave in this order */
    size_t listener_index;          /* the listener's number (listener_env.index), never used again: which parser and rules */
    char *raw;                      /* heap, owned */
    size_t raw_n;
    int64_t received_us;
    char peer[64];                  /* "10.2.3.4" or a file's base name */
    enum frame_state state;         /* only WHOLE frames are parsed; others are quarantined and counted */
    const char *parser;             /* name of the parser to use, static; NULL: the first of the listener's that knows the bytes */
    struct ask ask;
    bool is_patient;                /* nobody waits for the answer within milliseconds (files): the batch may stay open for more of them */
    /* What the sender says the resource is ("resource:" and a hash of parsed.identity), "": nothing. Another message of that key exists: it is a
     * duplicate whatever its bytes (If-None-Exist), or with is_update a new version of it (PUT). Several exist: refused. */
    char same_as[80];
    bool is_update;
};
void frame_free(struct frame *f);   /* NULL is fine */

/* The engine's answer to a frame, ENGINE -> LOOP: n payloads (unframed), possibly none. */
struct reply {
    struct mail mail;
    struct listener *listener;
    uint64_t conn, seq;
    struct span *payloads;          /* heap array of heap spans */
    size_t n;
    bool is_close;                  /* nothing can be promised (no commit): say nothing and close */
    int status;                     /* what happened in one number for HTTP/file listeners: enum frame_fate */
    int64_t message_id;             /* first stored message, 0 if none */
    const char *parser;             /* name of the parser that read it, static; NULL: none did */
    const char *issue;              /* word of the first error (problem.name), static; NULL: there is none */
    bool is_known;                  /* frame.same_as: there was one before */
    const char *batch_warning;      /* parse_result.batch_warning, static; NULL: none */
    size_t n_messages, n_bad;       /* in the frame; of these refused or quarantined */
    char *why;                      /* heap: a line for people per error and warning: codes, places, our sentences; NULL: all is well */
};
void reply_free(struct reply *r);

/* ---- what a parser makes of a frame ---- */
enum parse_fate {
    PARSE_ACCEPT,                   /* records (possibly none) to route */
    PARSE_FILTER,                   /* understood, positively acknowledged, nothing to deliver (ORU^R40, …); see filter_reason */
    PARSE_REFUSE,                   /* content wrong: AE / CE */
    PARSE_REJECT,                   /* type, event, version, processing id: AR / CR; state REJECTED */
    PARSE_QUARANTINE,               /* cannot be read at all (no usable header): AR 102 */
    PARSE_SILENT                    /* an acknowledgement: never answered */
};

struct problem {
    char severity;                  /* E W I F (table 0516) */
    int code;                       /* HL7 table 0357: 100 101 102 103 104 198 199 200 201 202 203 207 */
    char where[48];                 /* ERL: "PID^1^3^1^4", or a FHIRPath cut to fit */
    const char *name;               /* our word: "W_BAD_DATE", "MISSING_FIELD" (static storage) */
    const char *text;               /* one sentence without any value from the message (static storage) */
    struct span expression;         /* the whole FHIRPath when `where` is too short for it; absent for HL7 v2 */
};

/* Link-level sequence numbers (HL7 v2.9 2.9.1). The parser says what was sent, the engine what is answered. */
enum sequence_state { SEQUENCE_NONE, SEQUENCE_SENT, SEQUENCE_ANSWERED, SEQUENCE_WRONG };
struct sequence { enum sequence_state state; int64_t number; };    /* sent: MSH-13; answered, wrong: MSA-4 */

/* What a message without results is to a configuration that sends persons; to others it stays what the parsed says (STANDARDS 8.9). */
struct parsed_persons {
    enum parse_fate fate;           /* ACCEPT, REFUSE or REJECT */
    struct record *records;         /* one per patient, without observations */
    size_t n_records;
    const struct problem *problems;
    size_t n_problems;
};

struct parsed {                     /* one message (MSH … / Bundle) of a frame */
    struct span raw;                /* its bytes inside the frame */
    struct rec_message message;
    struct record *records;
    size_t n_records;
    unsigned observations;          /* OBX (FHIR: Observations + components) in the original: the left side of the sum */
    unsigned place;                 /* in the frame, as people count it (row of a CSV file); 0: the parser does not say */
    enum parse_fate fate;
    const char *filter_reason;      /* PARSE_FILTER: static word, e.g. "ALERT_COPY" */
    const struct problem *problems; /* errors first; warnings after */
    size_t n_problems;
    const void *priv;               /* the parser's own, for reply() */
    struct span identity;           /* of a lone resource: "Observation?system|value", what a condition calls it; absent: it has no identifier */
    struct span continues;          /* valued: the rest of the message whose last part named this in continued_by (HL7 MSH-14) */
    struct span continued_by;       /* valued: more of this message comes, naming this (HL7 DSC-1) */
    const struct parsed_persons *persons;   /* the message tells of persons only; NULL: it does not */
    bool is_persons;                /* taken as that: records has no observations */
    struct sequence sequence;       /* NONE unless the parser's options ask for the protocol and the message has a number */
};

/* The message is taken for its persons. */
void parsed_take_persons(struct parsed *p);

struct parse_result {
    struct parsed *v;
    size_t n;
    bool is_batch;                  /* FHS/BHS: the replies travel in one batch */
    const char *batch_warning;      /* "COUNT_MISMATCH", "MISSING_TRAILER" or NULL */
    const void *priv;
};

/* What became of one parsed message: tells reply() what to say. */
enum frame_fate { FATE_STORED, FATE_DUPLICATE, FATE_REFUSED, FATE_QUARANTINED, FATE_BUSY };

struct reply_conf {                 /* all a pure reply() needs from outside */
    int64_t now_us;                 /* MSH-7 */
    int utc_offset_min;             /* of the channel's zone at now_us */
    const char *own_app, *own_facility;     /* MSH-3/4 when the sender named no receiver */
    uint64_t id_seed;               /* MSH-10 = base-36 of id_seed + n, at most 20 characters; unique per store */
    struct ask ask;
    int64_t message_id;             /* of the first message in the store: ids of answers ("m1042"); 0: none */
};
#endif
