/*
 * record - the normalized record: what a message means, whatever format it came in (STANDARDS section 8).
 *
 * One record = one patient (or none) x one report (OBR / DiagnosticReport) x one specimen, with its observations.
 * Plain data, filled by parsers; all memory and all spans live in the arena of the message. Thread: the owner of that arena.
 * A span tells its own three states (span.h): absent, null (the delete indicator), value. Text is UTF-8 as sent: nothing is
 * rounded, converted or trimmed inside. The table record_fields names every field once, for rules, `labrelay fields`,
 * docs, JSON and logs.
 */
#ifndef LABRELAY_RECORD_H
#define LABRELAY_RECORD_H
#include "buf.h"
#include "span.h"

struct rec_ts {                 /* a point in time as sent; `v` is ISO 8601 cut at its precision, no zone */
    struct span v;              /* "2026", "2026-05", "2026-05-04", "2026-05-04T14:22:33.1234" */
    struct span zone;           /* "+02:00", "Z", or absent when nobody named one */
    char prec;                  /* Y M D H N(minute) S F(fraction); 0 when absent */
};
struct rec_coding { struct span code, system, display, version; };
struct rec_codes {              /* CWE / CodeableConcept: codings in the order sent */
    const struct rec_coding *v;
    size_t n;
    struct span text;           /* CWE.9 / CodeableConcept.text */
};
struct rec_id {
    struct span value, authority, oid, type, use, ns;
    struct span path;           /* "PID[1]-3[2]" or FHIRPath */
};
struct rec_ids { const struct rec_id *v; size_t n; };
struct rec_list { const struct span *v; size_t n; };
struct rec_address { struct span line, city, district, state, postal_code, country, use; };
struct rec_addresses { const struct rec_address *v; size_t n; };
struct rec_attachment {
    struct span bytes;          /* decoded; absent when only a pointer was sent */
    struct span mime, title, path, pointer;
    char sha256[65];            /* of bytes, hex; empty without bytes */
};
struct rec_attachments { const struct rec_attachment *v; size_t n; };

enum rec_format { REC_HL7V2, REC_FHIR_JSON, REC_FHIR_XML, REC_CSV };

struct rec_message {            /* the envelope, shared by the records of one message */
    struct span channel;        /* set by the engine, not by parsers */
    enum rec_format format;
    struct rec_id source_app, source_facility;      /* MSH-3, MSH-4 / MessageHeader.source */
    struct rec_id destination_app, destination_facility;
    struct span control_id;     /* MSH-10 / Bundle.identifier.value / MessageHeader.id, exact bytes */
    struct span kind;           /* "ORU^R01", "Bundle:message" */
    struct span structure, version, processing_id, processing_mode, charset;
    struct rec_ts sent_at;      /* MSH-7 / Bundle.timestamp / Composition.date */
};

struct rec_patient {
    struct rec_ids ids;         /* PID-3, 2, 4, 19 / Patient.identifier */
    struct span family_name, given_name, middle_name, name_use, name_text;
    struct rec_ts birth_date;
    struct span sex;            /* F M O U A N X as HL7 table 0001 */
    struct span deceased;       /* "Y", "N" or a date; never written to Go.Data */
    struct rec_addresses address;
    struct rec_address home;    /* of these the first home address, else the first: record_patient_home() */
    struct rec_list phone, email;
    struct rec_list flags;      /* UNKNOWN_IDENTITY, UNRELIABLE, ANONYMOUS, MASKED_NAME, INACTIVE, REPLACED ... */
    struct rec_id visit;
    struct rec_ids old_ids;     /* MRG-1 */
    struct rec_list notes;      /* NTE under PID; a birth date that is none, as sent */
    struct span path;           /* "PID[1]" */
    bool is_present;            /* a PID / Patient stood in the message */
};

struct rec_lab { struct span name, id; };

struct rec_report {
    struct span filler_id, placer_id;
    struct rec_codes code;      /* OBR-4 / DiagnosticReport.code */
    struct span status;         /* registered partial preliminary final amended corrected cancelled unknown */
    struct span status_raw;     /* OBR-25 / ORC-5 as sent */
    struct rec_ts issued_at;    /* OBR-22 / issued */
    struct rec_lab lab;
    struct rec_attachments attachments;
    struct rec_list notes;      /* NTE under OBR (and under PID, MSH for OUL) */
    struct span control;        /* ORC-1 */
    struct span path;           /* "OBR[1]" */
};

struct rec_specimen {
    struct span id, placer_id;
    struct rec_codes type;
    struct rec_ts collected_at, received_at;
    struct span role;           /* SPM-11: P Q C B E F O V R G L H; P when blank */
    struct rec_codes site, method;
    struct rec_list notes;
    bool is_rejected;           /* SPM-21 valued / Specimen.status unsatisfactory */
    bool is_ambiguous;          /* several specimens could be meant: hold AMBIGUOUS_SPECIMEN */
    bool is_control;            /* QC by the channel's qc rule */
    struct span path;           /* "SPM[1]"; absent when the message has no specimen segment */
};

enum obs_status {               /* table 0085 and FHIR Observation.status, kept apart where their effect differs (STANDARDS 5.5) */
    OBS_ST_REGISTERED,          /* I; registered */
    OBS_ST_PRELIMINARY,         /* P, S; preliminary */
    OBS_ST_UNVERIFIED,          /* R */
    OBS_ST_FINAL,               /* F, absent in old versions; final */
    OBS_ST_AMENDED,             /* A; amended */
    OBS_ST_CORRECTED,           /* C; corrected */
    OBS_ST_APPENDED,            /* B; appended */
    OBS_ST_VERIFIED,            /* V */
    OBS_ST_FINALIZED,           /* U: becomes final without the value */
    OBS_ST_CANCELLED,           /* X; cancelled */
    OBS_ST_DELETED,             /* D, OBX-31 D */
    OBS_ST_WITHDRAWN,           /* W; entered-in-error */
    OBS_ST_NOT_ASKED,           /* N */
    OBS_ST_ORDER_ONLY,          /* O */
    OBS_ST_UNKNOWN              /* unknown */
};

enum obs_role {                 /* what an OBX / Observation is for; only OBS_RESULT goes through the rules */
    OBS_RESULT,
    OBS_PART,                   /* continues another observation (same OBX-3 + OBX-4) or is a LAW supplement (IHELAW) */
    OBS_ATTACHMENT,             /* ED, RP: kept with the report */
    OBS_PATIENT_LEVEL,          /* under PID */
    OBS_SPECIMEN_LEVEL,         /* under SPM */
    OBS_ORDER_DOCUMENT,         /* under ORC before TXA */
    OBS_DEVICE_LEVEL,           /* under DEV */
    OBS_QUESTION,               /* OBX-29 QST, SCI; OBX-30 AOE, ASC */
    OBS_PANEL                   /* a FHIR Observation that only groups members */
};

enum rec_value_type { REC_V_NONE, REC_V_CODED, REC_V_TEXT, REC_V_NUMBER, REC_V_STRUCTURED, REC_V_RANGE, REC_V_RATIO,
                      REC_V_BOOLEAN, REC_V_DATE, REC_V_TIME, REC_V_OTHER };

struct rec_value {
    enum rec_value_type type;
    struct rec_codes codings;       /* REC_V_CODED (all triplets; text = CWE.9 / CodeableConcept.text) */
    struct span text;               /* canonical text: ">100", "1:128", "2+", "007.50", joined lines; display for coded */
    struct span comparator;         /* REC_V_STRUCTURED, REC_V_NUMBER: > < >= <= = <> */
    struct span num1, separator, num2;  /* exact number texts; NUMBER uses num1 */
    struct rec_list repeats;        /* all OBX-5 repetitions as canonical texts when there are several */
    struct span data_type;          /* OBX-2, or the FHIR value[x] suffix */
    struct span raw;                /* source text as sent (decoded to UTF-8, escapes kept) */
    struct span path;               /* "OBX[1]-5" */
    bool is_number_odd;             /* typed NM/SN but not a number by the standard: kept as text, never compared */
};

struct rec_observation {
    struct span key;                /* "41636-2|LN|1": code | system as sent | sub-id */
    struct rec_codes code;          /* OBX-3 / Observation.code */
    struct span sub_id, unique_id;  /* OBX-4, OBX-21 (component place for FHIR) */
    struct rec_value value;
    struct rec_coding unit;         /* OBX-6 / Quantity.unit */
    struct span absent;             /* OBX-32 / dataAbsentReason code */
    struct rec_list interpretation; /* OBX-8 codes, in order */
    struct rec_list interpretation_text;    /* OBX-8.2 texts, same index, absent where none */
    struct span range;              /* OBX-7 as text; never a result */
    enum obs_status status;
    struct span status_raw;
    enum obs_role role;
    struct rec_codes method;
    struct rec_ids device;
    struct rec_ts observed_at, analysed_at;     /* OBX-14, OBX-19 */
    struct rec_list notes;          /* NTE, OBX-9, OBX-28 */
    struct span path;               /* "OBX[3]" or FHIRPath */
    unsigned parts;                 /* how many OBX of the original this stands for (1 and its OBS_PART followers merged: 1+n) */
};

/* A place in an HL7 v2 message, SEG[n]-field[rep].comp.sub, all from 1; what is left out is the first. */
struct rec_path {
    char segment[4];
    unsigned nth, field, rep, comp, sub;
};
bool rec_path_parse(struct span text, struct rec_path *out);

/* A place in a FHIR message: a small part of FHIRPath. Spans point into the text it was read from. */
#define REC_FHIR_STEPS_MAX 12
#define REC_FHIR_WHERE_MAX 4
struct rec_fhir_step {
    struct span name;
    struct span where[REC_FHIR_WHERE_MAX], text;    /* extension('url'): "url"; where(a.b = 'text'): a, b */
    int index;                      /* from 0, among those that fit; -1: the first that leads to a value */
};
struct rec_fhir_path {
    const char *type;               /* of rec_fhir_types */
    struct rec_fhir_step v[REC_FHIR_STEPS_MAX + 1];
    size_t n;
};
extern const char *const rec_fhir_types[];          /* NULL-terminated */
/* False: *at is the byte that is wrong, *why a sentence ("no such resource", "no such element" for what has a list of words). */
bool rec_fhir_parse(struct span text, struct rec_fhir_path *out, size_t *at, const char **why);
/* The elements that a resource may begin with, without value[x] and the like; 0 when they are not listed. */
size_t rec_fhir_elements(const char *type, const char *out[64]);

struct record {
    const struct rec_message *message;
    struct rec_patient patient;
    struct rec_report report;
    struct rec_specimen specimen;
    struct rec_observation *observations;
    size_t n;
    struct rec_list warnings;       /* "W_BAD_ESCAPE OBX[2]-5": name and path, never a value */
    /* What stands at a place of the message, as text; absent when nothing does. NULL: this format has no such places. New texts live in
     * the arena of the message. source: the parser's own. */
    struct span (*raw_field)(void *source, const struct rec_path *path);
    void *source;
    /* The same for a place of a FHIR message, seen from this observation (may be NULL). Looks at no more than *budget elements and takes them off.
     * NULL: this format has no such places. */
    struct span (*fhir_field)(void *source, const struct record *r, const struct rec_observation *obs, const struct rec_fhir_path *path, unsigned *budget);
};

/* ---- the field table ---- */
enum rec_scope { SCOPE_MESSAGE, SCOPE_PATIENT, SCOPE_REPORT, SCOPE_SPECIMEN, SCOPE_OBSERVATION };
enum rec_type { REC_SPAN, REC_TS, REC_CODES, REC_CODING, REC_IDS, REC_ID, REC_LIST, REC_BOOL, REC_STATUS, REC_ROLE, REC_VALUE, REC_FORMAT };

struct rec_field {
    const char *name;               /* "observation.code", "report.lab.name" */
    enum rec_scope scope;
    enum rec_type type;
    size_t offset;                  /* in the struct of the scope */
    const char *doc;                /* one line: what, HL7 v2 source, FHIR source */
};
extern const struct rec_field record_fields[];
extern const size_t record_fields_n;

/* Parsers call it when the addresses are read. */
void record_patient_home(struct rec_patient *p);
const struct rec_field *record_field_find(struct span name);
/* Where the field's C value lives; obs is needed for SCOPE_OBSERVATION. Cast by field->type. */
const void *record_field_get(const struct record *r, const struct rec_observation *obs, const struct rec_field *f);

const char *obs_status_name(enum obs_status s);     /* "final", "entered-in-error"… one word each, unique */
const char *obs_role_name(enum obs_role r);
const char *rec_format_name(enum rec_format f);
const char *rec_scope_name(enum rec_scope s);
const char *rec_type_name(enum rec_type t);         /* as in docs: text, time, codes, ids, list, yes/no … */
const char *rec_value_type_name(enum rec_value_type t);

/* The record as JSON, shaped like facts/samples/golden1.record.json: absent fields are left out. Appends to b. */
void record_format(const struct record *r, struct buf *b);
#endif
