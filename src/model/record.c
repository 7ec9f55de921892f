/*
 * NAME record - the table of record fields, words for enums, and the record as JSON.
 *
 * The JSON leaves out what is absent and what another key already says: a status letter that is the plain one of the status, an
 * observation time equal to the collection time, the sub-id (it is the third part of the key). Null (`""`) is written as null.
 * DIAGNOSTICS none; the buffer's cap tells (buf.is_full).
 */
#include "record.h"

#include <string.h>

#define F(scope, type, struct_, member, name, doc) {name, scope, type, offsetof(struct struct_, member), doc}
#define M(type, member, doc) F(SCOPE_MESSAGE, type, rec_message, member, "message." #member, doc)
#define P(type, member, doc) F(SCOPE_PATIENT, type, rec_patient, member, "patient." #member, doc)
#define R(type, member, doc) F(SCOPE_REPORT, type, rec_report, member, "report." #member, doc)
#define S(type, member, doc) F(SCOPE_SPECIMEN, type, rec_specimen, member, "specimen." #member, doc)
#define SB(member, name, doc) F(SCOPE_SPECIMEN, REC_BOOL, rec_specimen, member, "specimen." name, doc)
#define O(type, member, doc) F(SCOPE_OBSERVATION, type, rec_observation, member, "observation." #member, doc)
#define ON(type, member, name, doc) F(SCOPE_OBSERVATION, type, rec_observation, member, "observation." name, doc)

const struct rec_field record_fields[] = {
    M(REC_SPAN, channel, "name of the listener; set by the engine"),
    M(REC_FORMAT, format, "hl7v2, fhir-json, fhir-xml or csv"),
    M(REC_ID, source_app, "sending application: MSH-3; MessageHeader.source"),
    M(REC_ID, source_facility, "sending facility: MSH-4; Bundle.meta.source"),
    M(REC_ID, destination_app, "receiving application: MSH-5; MessageHeader.destination"),
    M(REC_ID, destination_facility, "receiving facility: MSH-6"),
    M(REC_SPAN, control_id, "the sender's number of the message, byte for byte: MSH-10; Bundle.identifier"),
    M(REC_SPAN, kind, "what it is: MSH-9 (ORU^R01); Bundle:type"),
    M(REC_SPAN, structure, "MSH-9.3"),
    M(REC_SPAN, version, "MSH-12.1; FHIR version"),
    M(REC_SPAN, processing_id, "P production, T training, D debugging: MSH-11.1"),
    M(REC_SPAN, processing_mode, "MSH-11.2"),
    M(REC_SPAN, charset, "MSH-18 as sent"),
    M(REC_TS, sent_at, "MSH-7; Bundle.timestamp, Composition.date"),

    P(REC_IDS, ids, "identifiers: PID-3, 2, 4, 19; Patient.identifier"),
    P(REC_SPAN, family_name, "PID-5.1.1; Patient.name.family"),
    P(REC_SPAN, given_name, "PID-5.2; Patient.name.given, the first"),
    P(REC_SPAN, middle_name, "PID-5.3; further given names"),
    P(REC_SPAN, name_use, "PID-5.7; Patient.name.use"),
    P(REC_SPAN, name_text, "Patient.name.text"),
    P(REC_TS, birth_date, "PID-7; Patient.birthDate"),
    P(REC_SPAN, sex, "F M O U A N X: PID-8; Patient.gender"),
    P(REC_SPAN, deceased, "Y, N or a date: PID-30, PID-29; Patient.deceased; never written to Go.Data"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.line, "patient.address.line", "of the home address, else the first: PID-11.1, 11.2; Patient.address.line"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.city, "patient.address.city", "PID-11.3; Patient.address.city"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.district, "patient.address.district", "PID-11.9; Patient.address.district"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.state, "patient.address.state", "PID-11.4; Patient.address.state"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.postal_code, "patient.address.postal_code", "PID-11.5; Patient.address.postalCode"),
    F(SCOPE_PATIENT, REC_SPAN, rec_patient, home.country, "patient.address.country", "PID-11.6; Patient.address.country"),
    P(REC_LIST, phone, "PID-13, 14, 40; Patient.telecom"),
    P(REC_LIST, email, "PID-13, 14, 40; Patient.telecom"),
    P(REC_LIST, flags, "UNKNOWN_IDENTITY UNRELIABLE ANONYMOUS MASKED_NAME INACTIVE REPLACED: PID-31, 32, name and id types"),
    P(REC_ID, visit, "visit number: PV1-19, PID-18; Encounter.identifier; never for matching"),
    P(REC_IDS, old_ids, "identifiers that were replaced: MRG-1; Patient.link"),
    P(REC_LIST, notes, "NTE under PID"),
    P(REC_SPAN, path, "place in the message: PID[1]; FHIRPath"),
    F(SCOPE_PATIENT, REC_BOOL, rec_patient, is_present, "patient.present", "yes when the message has a PID or Patient"),

    R(REC_SPAN, filler_id, "the laboratory's number of the order: OBR-3, ORC-3; DiagnosticReport.identifier"),
    R(REC_SPAN, placer_id, "the orderer's number: OBR-2, ORC-2; ServiceRequest.identifier"),
    R(REC_CODES, code, "what was ordered: OBR-4; DiagnosticReport.code"),
    R(REC_SPAN, status, "registered partial preliminary final amended corrected cancelled unknown: OBR-25, ORC-5; DiagnosticReport.status"),
    R(REC_SPAN, status_raw, "OBR-25 or ORC-5 as sent"),
    R(REC_TS, issued_at, "OBR-22; DiagnosticReport.issued"),
    F(SCOPE_REPORT, REC_SPAN, rec_report, lab.name, "report.lab.name", "name of the laboratory: OBX-23.1, OBX-15.2; performer"),
    F(SCOPE_REPORT, REC_SPAN, rec_report, lab.id, "report.lab.id", "its code: OBX-23.10, OBX-15.1, else MSH-4, MSH-3; performer identifier"),
    R(REC_LIST, notes, "NTE under OBR"),
    R(REC_SPAN, control, "order control: ORC-1"),
    R(REC_SPAN, path, "place in the message: OBR[1]; FHIRPath"),

    S(REC_SPAN, id, "sample number: SPM-2.2, SPM-2.1, SPM-30, SAC-3, SAC-4, OBR-3; Specimen.accessionIdentifier, identifier"),
    S(REC_SPAN, placer_id, "SPM-2.1 where SPM-2.2 is the id"),
    S(REC_CODES, type, "SPM-4, OBR-15; Specimen.type"),
    S(REC_TS, collected_at, "SPM-17.1, OBR-7, OBX-14; Specimen.collection.collected"),
    S(REC_TS, received_at, "SPM-18, OBR-14; Specimen.receivedTime"),
    S(REC_SPAN, role, "P patient, Q control, C calibrator, L pool …: SPM-11; P when empty"),
    S(REC_CODES, site, "SPM-8; Specimen.collection.bodySite"),
    S(REC_CODES, method, "SPM-7; Specimen.collection.method"),
    S(REC_LIST, notes, "NTE under SPM or SAC; Specimen.note"),
    SB(is_rejected, "rejected", "SPM-21 valued; Specimen.status unsatisfactory"),
    SB(is_ambiguous, "ambiguous", "several specimens of the patient could be meant"),
    SB(is_control, "control", "quality control by the channel's qc-rule"),
    S(REC_SPAN, path, "place in the message: SPM[1]; absent without specimen segment"),

    O(REC_SPAN, key, "code | system as sent | sub-id: what tells results of one sample apart"),
    O(REC_CODES, code, "what was measured: OBX-3; Observation.code"),
    O(REC_SPAN, sub_id, "OBX-4; place of the component"),
    O(REC_SPAN, unique_id, "OBX-21; Observation.identifier"),
    O(REC_VALUE, value, "the value: OBX-2, OBX-5; Observation.value"),
    ON(REC_SPAN, value.text, "value.text", "the value as text: >100, 1:128, the display of a code"),
    ON(REC_CODES, value.codings, "value.codings", "the codes of a coded value"),
    ON(REC_SPAN, value.comparator, "value.comparator", "> < >= <= = <>: SN.1; Quantity.comparator"),
    ON(REC_SPAN, value.num1, "value.num1", "the number as sent"),
    ON(REC_SPAN, value.num2, "value.num2", "the second number of a range, ratio or titre"),
    ON(REC_SPAN, value.data_type, "value.data_type", "OBX-2; value[x]"),
    ON(REC_SPAN, value.raw, "value.raw", "OBX-5 as sent"),
    ON(REC_LIST, value.repeats, "value.repeats", "all repetitions where there are several"),
    O(REC_CODING, unit, "OBX-6; Quantity.unit"),
    O(REC_SPAN, absent, "why there is no value: OBX-32; dataAbsentReason"),
    O(REC_LIST, interpretation, "codes of OBX-8; Observation.interpretation"),
    O(REC_LIST, interpretation_text, "texts of OBX-8, same order"),
    O(REC_SPAN, range, "reference range as text, never a result: OBX-7; referenceRange"),
    O(REC_STATUS, status, "OBX-11, else OBR-25; Observation.status"),
    O(REC_SPAN, status_raw, "OBX-11 as sent"),
    O(REC_ROLE, role, "result, part, attachment, patient-level …; only results go through the routes"),
    O(REC_CODES, method, "OBX-17; Observation.method"),
    O(REC_IDS, device, "OBX-18; Observation.device"),
    O(REC_TS, observed_at, "OBX-14; Observation.effective"),
    O(REC_TS, analysed_at, "OBX-19; extension observation-analysis-date-time"),
    O(REC_LIST, notes, "NTE under OBX, OBX-9, OBX-28; Observation.note"),
    O(REC_SPAN, path, "place in the message: OBX[3]; FHIRPath"),
};
const size_t record_fields_n = sizeof record_fields / sizeof record_fields[0];

void record_patient_home(struct rec_patient *p)
{
    p->home = p->address.n ? p->address.v[0] : (struct rec_address){.line = SPAN_ABSENT};
    for (size_t i = 0; i < p->address.n; i++) {
        struct span use = p->address.v[i].use;
        if (span_is(use, "H") || span_is(use, "P") || span_is(use, "L")) {
            p->home = p->address.v[i];
            return;
        }
    }
}

const struct rec_field *record_field_find(struct span name)
{
    for (size_t i = 0; i < record_fields_n; i++)
        if (span_is(name, record_fields[i].name))
            return &record_fields[i];
    return NULL;
}

const void *record_field_get(const struct record *r, const struct rec_observation *obs, const struct rec_field *f)
{
    const void *base = NULL;
    switch (f->scope) {
    case SCOPE_MESSAGE: base = r->message; break;
    case SCOPE_PATIENT: base = &r->patient; break;
    case SCOPE_REPORT: base = &r->report; break;
    case SCOPE_SPECIMEN: base = &r->specimen; break;
    case SCOPE_OBSERVATION: base = obs; break;
    }
    return base ? (const char *)base + f->offset : NULL;
}

/* ---- words ---- */

const char *obs_status_name(enum obs_status s)
{
    switch (s) {
    case OBS_ST_REGISTERED: return "registered";
    case OBS_ST_PRELIMINARY: return "preliminary";
    case OBS_ST_UNVERIFIED: return "unverified";
    case OBS_ST_FINAL: return "final";
    case OBS_ST_AMENDED: return "amended";
    case OBS_ST_CORRECTED: return "corrected";
    case OBS_ST_APPENDED: return "appended";
    case OBS_ST_VERIFIED: return "verified";
    case OBS_ST_FINALIZED: return "finalized";
    case OBS_ST_CANCELLED: return "cancelled";
    case OBS_ST_DELETED: return "deleted";
    case OBS_ST_WITHDRAWN: return "entered-in-error";
    case OBS_ST_NOT_ASKED: return "not-asked";
    case OBS_ST_ORDER_ONLY: return "order-only";
    case OBS_ST_UNKNOWN: return "unknown";
    }
    return "unknown";
}

const char *obs_role_name(enum obs_role r)
{
    switch (r) {
    case OBS_RESULT: return "result";
    case OBS_PART: return "part";
    case OBS_ATTACHMENT: return "attachment";
    case OBS_PATIENT_LEVEL: return "patient-level";
    case OBS_SPECIMEN_LEVEL: return "specimen-level";
    case OBS_ORDER_DOCUMENT: return "order-document";
    case OBS_DEVICE_LEVEL: return "device-level";
    case OBS_QUESTION: return "question";
    case OBS_PANEL: return "panel";
    }
    return "result";
}

const char *rec_format_name(enum rec_format f)
{
    switch (f) {
    case REC_HL7V2: return "hl7v2";
    case REC_FHIR_JSON: return "fhir-json";
    case REC_FHIR_XML: return "fhir-xml";
    case REC_CSV: return "csv";
    }
    return "hl7v2";
}

const char *rec_scope_name(enum rec_scope s)
{
    switch (s) {
    case SCOPE_MESSAGE: return "message";
    case SCOPE_PATIENT: return "patient";
    case SCOPE_REPORT: return "report";
    case SCOPE_SPECIMEN: return "specimen";
    case SCOPE_OBSERVATION: return "observation";
    }
    return "message";
}

const char *rec_type_name(enum rec_type t)
{
    switch (t) {
    case REC_SPAN: return "text";
    case REC_TS: return "time";
    case REC_CODES: return "codes";
    case REC_CODING: return "code";
    case REC_IDS: return "ids";
    case REC_ID: return "id";
    case REC_LIST: return "list";
    case REC_BOOL: return "yes/no";
    case REC_STATUS: return "status";
    case REC_ROLE: return "role";
    case REC_VALUE: return "value";
    case REC_FORMAT: return "format";
    }
    return "text";
}

const char *rec_value_type_name(enum rec_value_type t)
{
    switch (t) {
    case REC_V_NONE: return "none";
    case REC_V_CODED: return "coded";
    case REC_V_TEXT: return "text";
    case REC_V_NUMBER: return "number";
    case REC_V_STRUCTURED: return "structured";
    case REC_V_RANGE: return "range";
    case REC_V_RATIO: return "ratio";
    case REC_V_BOOLEAN: return "boolean";
    case REC_V_DATE: return "date";
    case REC_V_TIME: return "time";
    case REC_V_OTHER: return "other";
    }
    return "none";
}

/* ---- JSON ---- */

static void put_text(struct buf *b, const char *key, struct span s)
{
    if (span_is_absent(s))
        return;
    buf_json_key(b, key);
    if (s.n)
        buf_json_span(b, s);
    else
        buf_adds(b, "null");
}

static void put_list(struct buf *b, const char *key, struct rec_list l)
{
    buf_json_key(b, key);
    buf_addc(b, '[');
    for (size_t i = 0; i < l.n; i++) {
        buf_json_sep(b);
        if (l.v[i].n)
            buf_json_span(b, l.v[i]);
        else
            buf_adds(b, "null");
    }
    buf_addc(b, ']');
}

static void put_some(struct buf *b, const char *key, struct rec_list l)
{
    if (l.n)
        put_list(b, key, l);
}

static void put_ts(struct buf *b, const char *key, struct rec_ts t)
{
    char prec[2] = {t.prec, 0};
    if (span_is_absent(t.v))
        return;
    buf_json_key(b, key);
    if (!t.v.n) {
        buf_adds(b, "null");
        return;
    }
    buf_addc(b, '{');
    buf_json_opt(b, "v", t.v);
    buf_json_kv(b, "prec", prec);
    buf_json_opt(b, "zone", t.zone);
    buf_addc(b, '}');
}

static void put_coding(struct buf *b, const struct rec_coding *c)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_opt(b, "code", c->code);
    buf_json_opt(b, "system", c->system);
    buf_json_opt(b, "display", c->display);
    buf_json_opt(b, "version", c->version);
    buf_addc(b, '}');
}

static void put_codes(struct buf *b, const char *key, const char *text_key, struct rec_codes c)
{
    if (c.n) {
        buf_json_key(b, key);
        buf_addc(b, '[');
        for (size_t i = 0; i < c.n; i++)
            put_coding(b, &c.v[i]);
        buf_addc(b, ']');
    }
    buf_json_opt(b, text_key, c.text);
}

static void put_id_body(struct buf *b, const struct rec_id *id, bool with_path)
{
    buf_addc(b, '{');
    put_text(b, "value", id->value);
    buf_json_opt(b, "authority", id->authority);
    buf_json_opt(b, "oid", id->oid);
    buf_json_opt(b, "type", id->type);
    buf_json_opt(b, "use", id->use);
    buf_json_opt(b, "ns", id->ns);
    if (with_path)
        buf_json_opt(b, "path", id->path);
    buf_addc(b, '}');
}

static void put_id(struct buf *b, const char *key, const struct rec_id *id)
{
    if (!id->value.n)
        return;
    buf_json_key(b, key);
    put_id_body(b, id, true);
}

static void put_ids(struct buf *b, const char *key, struct rec_ids ids, bool with_path)
{
    buf_json_key(b, key);
    buf_addc(b, '[');
    for (size_t i = 0; i < ids.n; i++) {
        buf_json_sep(b);
        put_id_body(b, &ids.v[i], with_path);
    }
    buf_addc(b, ']');
}

static void put_true(struct buf *b, const char *key, bool is)
{
    if (is) {
        buf_json_key(b, key);
        buf_adds(b, "true");
    }
}

static void put_bool(struct buf *b, const char *key, bool is)
{
    buf_json_key(b, key);
    buf_adds(b, is ? "true" : "false");
}

static void put_message(struct buf *b, const struct rec_message *m)
{
    buf_json_key(b, "message");
    buf_addc(b, '{');
    buf_json_opt(b, "channel", m->channel);
    buf_json_kv(b, "format", rec_format_name(m->format));
    put_id(b, "source_app", &m->source_app);
    put_id(b, "source_facility", &m->source_facility);
    buf_json_opt(b, "control_id", m->control_id);
    buf_json_opt(b, "kind", m->kind);
    buf_json_opt(b, "structure", m->structure);
    buf_json_opt(b, "version", m->version);
    buf_json_opt(b, "processing_id", m->processing_id);
    buf_json_opt(b, "processing_mode", m->processing_mode);
    buf_json_opt(b, "charset", m->charset);
    put_ts(b, "sent_at", m->sent_at);
    buf_addc(b, '}');
}

static void put_addresses(struct buf *b, struct rec_addresses a)
{
    if (!a.n)
        return;
    buf_json_key(b, "address");
    buf_addc(b, '[');
    for (size_t i = 0; i < a.n; i++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        put_text(b, "line", a.v[i].line);
        put_text(b, "city", a.v[i].city);
        put_text(b, "district", a.v[i].district);
        put_text(b, "state", a.v[i].state);
        put_text(b, "postal_code", a.v[i].postal_code);
        put_text(b, "country", a.v[i].country);
        put_text(b, "use", a.v[i].use);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void put_patient(struct buf *b, const struct rec_patient *p)
{
    buf_json_key(b, "patient");
    buf_addc(b, '{');
    put_ids(b, "ids", p->ids, true);
    put_text(b, "family_name", p->family_name);
    put_text(b, "given_name", p->given_name);
    put_text(b, "middle_name", p->middle_name);
    put_text(b, "name_use", p->name_use);
    put_text(b, "name_text", p->name_text);
    put_ts(b, "birth_date", p->birth_date);
    put_text(b, "sex", p->sex);
    put_text(b, "deceased", p->deceased);
    put_addresses(b, p->address);
    put_some(b, "phone", p->phone);
    put_some(b, "email", p->email);
    put_list(b, "flags", p->flags);
    put_id(b, "visit", &p->visit);
    if (p->old_ids.n)
        put_ids(b, "old_ids", p->old_ids, true);
    put_some(b, "notes", p->notes);
    buf_addc(b, '}');
}

static void put_attachments(struct buf *b, struct rec_attachments a)
{
    buf_json_key(b, "attachments");
    buf_addc(b, '[');
    for (size_t i = 0; i < a.n; i++) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_opt(b, "mime", a.v[i].mime);
        buf_json_opt(b, "title", a.v[i].title);
        if (a.v[i].bytes.n)
            buf_json_kint(b, "bytes", (int64_t)a.v[i].bytes.n);
        buf_json_opt(b, "sha256", span_of(a.v[i].sha256));
        buf_json_opt(b, "pointer", a.v[i].pointer);
        buf_json_opt(b, "path", a.v[i].path);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

/* The letter of table 0123 that a report status is the plain meaning of */
static bool is_plain_report(struct span status, struct span raw)
{
    static const struct { const char *raw, *status; } plain[] = {{"F", "final"}, {"P", "preliminary"}, {"C", "corrected"}, {"A", "partial"}, {"X", "cancelled"}};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (span_is(raw, plain[i].raw))
            return span_is(status, plain[i].status);
    return span_eq(status, raw);
}

static void put_report(struct buf *b, const struct rec_report *r)
{
    buf_json_key(b, "report");
    buf_addc(b, '{');
    put_text(b, "filler_id", r->filler_id);
    put_text(b, "placer_id", r->placer_id);
    put_codes(b, "code", "code_text", r->code);
    buf_json_opt(b, "status", r->status);
    if (!is_plain_report(r->status, r->status_raw))
        buf_json_opt(b, "status_raw", r->status_raw);
    if (!span_is(r->control, "RE"))
        buf_json_opt(b, "control", r->control);
    put_ts(b, "issued_at", r->issued_at);
    if (r->lab.name.n || r->lab.id.n) {
        buf_json_key(b, "lab");
        buf_addc(b, '{');
        buf_json_opt(b, "name", r->lab.name);
        buf_json_opt(b, "id", r->lab.id);
        buf_addc(b, '}');
    }
    put_attachments(b, r->attachments);
    put_some(b, "notes", r->notes);
    buf_addc(b, '}');
}

static void put_specimen(struct buf *b, const struct rec_specimen *s)
{
    buf_json_key(b, "specimen");
    buf_addc(b, '{');
    put_text(b, "id", s->id);
    put_text(b, "placer_id", s->placer_id);
    put_codes(b, "type", "type_text", s->type);
    put_ts(b, "collected_at", s->collected_at);
    put_ts(b, "received_at", s->received_at);
    put_text(b, "role", s->role);
    put_codes(b, "site", "site_text", s->site);
    put_codes(b, "method", "method_text", s->method);
    put_some(b, "notes", s->notes);
    put_bool(b, "rejected", s->is_rejected);
    put_true(b, "ambiguous", s->is_ambiguous);
    put_true(b, "control", s->is_control);
    buf_addc(b, '}');
}

static void put_value(struct buf *b, const struct rec_value *v)
{
    bool is_coded = v->type == REC_V_CODED;
    buf_json_key(b, "value");
    buf_addc(b, '{');
    buf_json_kv(b, "type", rec_value_type_name(v->type));
    put_codes(b, "codings", "original_text", v->codings);
    if (!is_coded || v->codings.n == 0)
        put_text(b, "text", v->text);
    buf_json_opt(b, "comparator", v->comparator);
    buf_json_opt(b, "num1", v->num1);
    buf_json_opt(b, "separator", v->separator);
    buf_json_opt(b, "num2", v->num2);
    put_some(b, "repeats", v->repeats);
    if (!is_coded)
        buf_json_opt(b, "data_type", v->data_type);
    buf_json_opt(b, "raw", v->raw);
    buf_json_opt(b, "path", v->path);
    put_true(b, "number_odd", v->is_number_odd);
    buf_addc(b, '}');
}

static bool is_plain_status(enum obs_status s, struct span raw)
{
    static const struct { char letter; enum obs_status status; } plain[] = {
        {'F', OBS_ST_FINAL}, {'P', OBS_ST_PRELIMINARY}, {'C', OBS_ST_CORRECTED}, {'A', OBS_ST_AMENDED}, {'B', OBS_ST_APPENDED},
        {'V', OBS_ST_VERIFIED}, {'U', OBS_ST_FINALIZED}, {'R', OBS_ST_UNVERIFIED}, {'I', OBS_ST_REGISTERED}, {'X', OBS_ST_CANCELLED},
        {'D', OBS_ST_DELETED}, {'W', OBS_ST_WITHDRAWN}, {'N', OBS_ST_NOT_ASKED}, {'O', OBS_ST_ORDER_ONLY}};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (raw.n == 1 && raw.p[0] == plain[i].letter)
            return s == plain[i].status;
    return span_is(raw, obs_status_name(s));
}

static bool is_same_time(struct rec_ts a, struct rec_ts b)
{
    return span_eq(a.v, b.v) && span_eq(a.zone, b.zone) && a.prec == b.prec;
}

static void put_observation(struct buf *b, const struct record *r, const struct rec_observation *o)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    buf_json_opt(b, "key", o->key);
    put_codes(b, "code", "code_text", o->code);
    put_value(b, &o->value);
    if (o->unit.code.n || o->unit.display.n) {
        buf_json_key(b, "unit");
        put_coding(b, &o->unit);
    }
    buf_json_opt(b, "unique_id", o->unique_id);
    put_text(b, "absent", o->absent);
    put_some(b, "interpretation", o->interpretation);
    put_some(b, "interpretation_text", o->interpretation_text);
    put_text(b, "range", o->range);
    buf_json_kv(b, "status", obs_status_name(o->status));
    if (!is_plain_status(o->status, o->status_raw))
        buf_json_opt(b, "status_raw", o->status_raw);
    if (o->role != OBS_RESULT)
        buf_json_kv(b, "role", obs_role_name(o->role));
    put_codes(b, "method", "method_text", o->method);
    if (o->device.n)
        put_ids(b, "device", o->device, false);
    if (!is_same_time(o->observed_at, r->specimen.collected_at))
        put_ts(b, "observed_at", o->observed_at);
    put_ts(b, "analysed_at", o->analysed_at);
    put_some(b, "notes", o->notes);
    if (o->parts != 1)
        buf_json_kint(b, "parts", (int64_t)o->parts);
    buf_addc(b, '}');
}

void record_format(const struct record *r, struct buf *b)
{
    buf_json_sep(b);
    buf_addc(b, '{');
    if (r->message)
        put_message(b, r->message);
    put_patient(b, &r->patient);
    put_report(b, &r->report);
    put_specimen(b, &r->specimen);
    buf_json_key(b, "observations");
    buf_addc(b, '[');
    for (size_t i = 0; i < r->n; i++)
        put_observation(b, r, &r->observations[i]);
    buf_addc(b, ']');
    put_list(b, "warnings", r->warnings);
    buf_addc(b, '}');
}
