/*
 * NAME hl7_parser - the parser module "hl7v2": options, sniff, parse and its verdicts.
 *
 * Order of refusals, the first decides (all are collected, 20 at most): MSH unreadable 102 (quarantine), message type 200, event 201,
 * version 203, processing id 202, MSH-10 missing 101, MSH-18 unknown 103; then the body: 102 undecodable bytes in PID or OBX-3/5/6,
 * 100 neither OBR nor OBX, 101 OBX-3 missing, 103 OBX-11 / OBR-25 not in their tables. Everything else is accepted with a warning.
 * An acknowledgement is never answered. ORU^R40 and ignored types are filtered: acknowledged, no records.
 * DIAGNOSTICS ERR_LIMIT when the arena is full; max-segments and max-records refuse the message with 104.
 */
#include "hl7_parser.h"

#include <stddef.h>
#include <string.h>

#include "hl7_oru.h"
#include "hl7_reply.h"

/* ---- header ---- */

struct envelope {
    struct span type, event, structure;
    bool is_oul, is_specimen_first;
};

static bool in_list(const struct option_list *l, struct span s)
{
    for (size_t i = 0; i < l->n; i++)
        if (span_is_nocase(s, l->v[i]))
            return true;
    return false;
}

static struct span join_kind(struct arena *a, struct span type, struct span event)
{
    if (!event.n)
        return type;
    if (span_is(type, "ORU") && span_is(event, "R01"))
        return SPAN_LIT("ORU^R01");
    return HL7_CAT(a, type, SPAN_LIT("^"), event);
}

/* MSH-9 with the tolerances of STANDARDS 2.7 */
static void read_type(struct hl7_ctx *x, struct hl7_seg *msh, struct envelope *ev)
{
    ev->type = hl7_value(x, msh, 8, 1);
    ev->event = hl7_value(x, msh, 8, 2);
    ev->structure = hl7_value(x, msh, 8, 3);
    if (!ev->event.n && ev->type.n == 7 && ev->type.p[3] == '_') { /* ORU_R01 alone */
        ev->structure = ev->type;
        ev->event = span_from(ev->type, 4);
        ev->type = span_cut(ev->type, 0, 3);
        hl7_warn(x, "W_EVENT_FROM_STRUCTURE", 0);
    }
    bool is_oru = span_is(ev->type, "ORU"), is_oul = span_is(ev->type, "OUL");
    if (!ev->event.n && (is_oru || is_oul) && ev->structure.n == 7 && span_eq(span_cut(ev->structure, 0, 3), ev->type)) {
        ev->event = span_from(ev->structure, 4);
        hl7_warn(x, "W_EVENT_FROM_STRUCTURE", 0);
    } else if (!ev->event.n && is_oru) {
        ev->event = SPAN_LIT("R01");
    }
    ev->is_oul = is_oul;
    ev->is_specimen_first = is_oul && !span_is(ev->event, "R24");
}

static bool is_bare_reply(const struct hl7_ctx *x)
{
    bool has_msa = false;
    for (size_t i = 0; i < x->n; i++) {
        switch (x->segs[i].id) {
        case HL7_ID('M', 'S', 'A'): has_msa = true; break;
        case HL7_ID('M', 'S', 'H'): case HL7_ID('S', 'F', 'T'): case HL7_ID('U', 'A', 'C'): case HL7_ID('E', 'R', 'R'): case HL7_ID('N', 'T', 'E'): break;
        default: return false;
        }
    }
    return has_msa;
}

enum support { READ, READ_ALERT, NO_TYPE, NO_EVENT };

static enum support support_of(struct hl7_ctx *x, const struct envelope *ev)
{
    static const char *const oru[] = {"R01", "R32"}, *const oul[] = {"R22", "R23", "R24"};
    bool is_oru = span_is(ev->type, "ORU"), is_oul = span_is(ev->type, "OUL");
    if (!is_oru && !is_oul)
        return NO_TYPE;
    if (is_oru && span_is(ev->event, "R40"))
        return READ_ALERT;
    for (size_t i = 0; i < 2 && is_oru; i++)
        if (span_is(ev->event, oru[i]))
            return READ;
    for (size_t i = 0; i < 3 && is_oul; i++)
        if (span_is(ev->event, oul[i]))
            return READ;
    return in_list(&x->o->enable, join_kind(x->a, ev->type, ev->event)) ? READ : NO_EVENT;
}

static void read_message(struct hl7_ctx *x, struct hl7_seg *msh, const struct envelope *ev, struct rec_message *m)
{
    struct span bad;
    m->format = REC_HL7V2;
    (void)hl7_id_hd(x, hl7_field(x, msh, 2), &m->source_app);
    (void)hl7_id_hd(x, hl7_field(x, msh, 3), &m->source_facility);
    (void)hl7_id_hd(x, hl7_field(x, msh, 4), &m->destination_app);
    (void)hl7_id_hd(x, hl7_field(x, msh, 5), &m->destination_facility);
    m->sent_at = hl7_date_field(x, msh, 6, &bad);
    if (m->sent_at.prec)
        x->zone = m->sent_at.zone;
    m->kind = join_kind(x->a, ev->type, ev->event);
    m->structure = ev->structure;
    struct span id = hl7_field(x, msh, 9);
    m->control_id = hl7_is_blank(x, id) ? SPAN_ABSENT : id;
    m->processing_id = hl7_value(x, msh, 10, 1);
    m->processing_mode = hl7_value(x, msh, 10, 2);
    m->version = hl7_value(x, msh, 11, 1);
    struct span charset = hl7_field(x, msh, 17);
    m->charset = hl7_is_blank(x, charset) ? SPAN_ABSENT : charset;
}

static bool is_processing_ok(struct hl7_ctx *x, struct hl7_seg *msh, struct rec_message *m)
{
    if (!m->processing_id.n) {
        m->processing_id = span_of(x->o->missing_processing_id ? x->o->missing_processing_id : "P");
        hl7_warn(x, "W_NO_PROCESSING_ID", 0);
    }
    if (x->o->processing_ids.n ? in_list(&x->o->processing_ids, m->processing_id) : span_is(m->processing_id, "P")) {
        if (m->processing_mode.n == 1 && memchr("ARI", m->processing_mode.p[0], 3))
            hl7_warn_message(x, "W_REPLAY", "MSH[1]-11");
        return true;
    }
    if (x->o->nonproduction == HL7_NONPRODUCTION_HOLD && m->processing_id.n == 1 && memchr("PTDNV", m->processing_id.p[0], 5)) {
        hl7_warn_message(x, "W_NONPRODUCTION", "MSH[1]-11");
        return true;
    }
    hl7_error(x, 202, "UNSUPPORTED_PROCESSING_ID", msh, 11);
    return false;
}

static bool is_version_ok(struct hl7_ctx *x, struct hl7_seg *msh, struct rec_message *m)
{
    if (!m->version.n) {
        m->version = span_of(x->o->default_version ? x->o->default_version : "2.3.1");
        hl7_warn(x, "W_NO_VERSION", 0);
    }
    x->version = hl7_version(m->version);
    if (!x->version)
        hl7_error(x, 203, "UNSUPPORTED_VERSION", msh, 12);
    return x->version != 0;
}

/* Everything that MSH alone decides. False: out->fate is set. */
static bool check_header(struct hl7_ctx *x, const struct envelope *ev, bool is_charset_known, struct parsed *out)
{
    struct hl7_seg *msh = &x->segs[0];
    struct rec_message *m = &out->message;
    bool is_version = is_version_ok(x, msh, m);
    enum support s = support_of(x, ev);
    if (in_list(&x->o->ignore_types, ev->type) || in_list(&x->o->ignore_types, m->kind)) {
        out->fate = PARSE_FILTER;
        out->filter_reason = "IGNORED_TYPE";
        x->n_errors = 0;
        return false;
    }
    if (s == NO_TYPE || s == NO_EVENT) {
        x->n_errors = 0;
        hl7_error(x, s == NO_TYPE ? 200 : 201, s == NO_TYPE ? "UNSUPPORTED_TYPE" : "UNSUPPORTED_EVENT", msh, 9);
        out->fate = PARSE_REJECT;
        return false;
    }
    if (!is_version || !is_processing_ok(x, msh, m)) {
        out->fate = PARSE_REJECT;
        return false;
    }
    if (!m->control_id.n)
        hl7_error(x, 101, "MISSING_FIELD", msh, 10);
    if (!is_charset_known)
        hl7_error(x, 103, "UNKNOWN_CHARSET", msh, 18);
    if (x->n_errors) {
        out->fate = PARSE_REFUSE;
        return false;
    }
    if (s == READ_ALERT) {
        out->fate = PARSE_FILTER;
        out->filter_reason = "ALERT_COPY";
        return false;
    }
    return true;
}

/* ---- body ---- */

static int error_rank(int code)
{
    static const int order[] = {104, 102, 100, 101, 103};
    for (int i = 0; i < 5; i++)
        if (order[i] == code)
            return i;
    return 9;
}

/* The first error decides what the sender reads: undecodable bytes before missing fields before codes. Stable, at most 20. */
static void sort_errors(struct hl7_ctx *x)
{
    for (size_t i = 1; i < x->n_errors; i++) {
        struct problem p = x->errors[i];
        size_t k = i;
        for (; k > 0 && error_rank(x->errors[k - 1].code) > error_rank(p.code); k--)
            x->errors[k] = x->errors[k - 1];
        x->errors[k] = p;
    }
}

/* MSH-14 and DSC-1 (STANDARDS 2.9): a part by itself must not be sent. DSC-2 I is about a query, not about parts. */
static void note_fragments(struct hl7_ctx *x, struct parsed *out)
{
    struct hl7_seg *last = &x->segs[x->n - 1];
    out->continues = hl7_value(x, &x->segs[0], 13, 1);
    if (last->id == HL7_ID('D', 'S', 'C') && !span_is(hl7_value(x, last, 2, 1), "I"))
        out->continued_by = hl7_value(x, last, 1, 1);
    if (span_has(out->continued_by))
        hl7_warn_message(x, "W_INCOMPLETE_CONTINUATION", "DSC[1]");
    if (span_has(out->continues))
        hl7_warn_message(x, "W_INCOMPLETE_CONTINUATION", "MSH[1]-14");
}

/* The cut message stays with its records: rules may ask for any field of it. */
static bool keep_source(const struct hl7_ctx *x, struct record *records, size_t n)
{
    struct hl7_ctx *kept = arena_alloc(x->a, sizeof *kept);
    if (!kept)
        return false;
    *kept = *x;
    for (size_t i = 0; i < n; i++) {
        records[i].raw_field = hl7_raw_field;
        records[i].source = kept;
    }
    return true;
}

static int read_body(struct hl7_ctx *x, const struct envelope *ev, struct parsed *out)
{
    struct hl7_groups g;
    bool is_limit = false;
    note_fragments(x, out);
    x->at_seg = NULL;
    if (hl7_group(x, ev->is_oul, ev->is_specimen_first, &g, &is_limit)) {
        if (!is_limit)
            return -1;
        hl7_error(x, 104, "TOO_MANY_RECORDS", NULL, 0);
        out->fate = PARSE_REFUSE;
        return 0;
    }
    if (!hl7_records(x, &g, &out->message, ev->is_oul, out) || !keep_source(x, out->records, out->n_records))
        return -1;
    if (!g.has_obr && g.n_obx == 0)
        hl7_error(x, 100, "NO_RESULTS", NULL, 0);
    if (span_has(out->continued_by))
        x->n_errors = 0; /* broken off anywhere: what is wrong shows when the rest is there */
    sort_errors(x);
    out->fate = x->n_errors ? PARSE_REFUSE : PARSE_ACCEPT;
    return 0;
}

static bool keep_problems(struct hl7_ctx *x, const struct problem **v, size_t *count)
{
    size_t n = x->n_errors + x->n_notices;
    struct problem *p = arena_array(x->a, n ? n : 1, sizeof *p);
    if (!p)
        return false;
    if (x->n_errors)
        memcpy(p, x->errors, x->n_errors * sizeof *p);
    if (x->n_notices)
        memcpy(p + x->n_errors, x->notices, x->n_notices * sizeof *p);
    *v = p;
    *count = n;
    return true;
}

static void quarantine(struct hl7_ctx *x, struct parsed *out, const char *name)
{
    struct hl7_seg msh = {.id = HL7_ID('M', 'S', 'H'), .nth = 1};
    x->n_errors = 0;
    hl7_error(x, 102, name, &msh, 2);
    out->fate = PARSE_QUARANTINE;
    (void)keep_problems(x, &out->problems, &out->n_problems);
}

static unsigned count_obx(const struct hl7_ctx *x)
{
    unsigned n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += x->segs[i].id == HL7_ID('O', 'B', 'X');
    return n;
}

/* What an ADT message is to a route that sends persons. It changes nothing of what the message is to the others. */
static bool read_persons(const struct hl7_ctx *of, bool is_charset_known, struct parsed *out)
{
    struct parsed_persons *p = arena_zalloc(of->a, sizeof *p);
    struct hl7_ctx x = *of;
    if (!p)
        return false;
    x.errors = x.notices = NULL;
    x.warns = NULL;
    x.n_errors = x.cap_errors = x.n_notices = x.cap_notices = x.n_warns = x.cap_warns = 0;
    p->fate = PARSE_REFUSE;
    if (is_version_ok(&x, &x.segs[0], &out->message) && is_processing_ok(&x, &x.segs[0], &out->message)) {
        if (!out->message.control_id.n)
            hl7_error(&x, 101, "MISSING_FIELD", &x.segs[0], 10);
        if (!is_charset_known)
            hl7_error(&x, 103, "UNKNOWN_CHARSET", &x.segs[0], 18);
        if (!hl7_adt_read(&x, &out->message, &p->records, &p->n_records) || !keep_source(&x, p->records, p->n_records))
            return false;
        sort_errors(&x);
        p->fate = x.n_errors ? PARSE_REFUSE : PARSE_ACCEPT;
    } else {
        p->fate = PARSE_REJECT;
    }
    out->persons = p;
    return keep_problems(&x, &p->problems, &p->n_problems);
}

/* MSH-13 as a sequence number. -1 and 0 ask how the link stands: such a message may hold nothing but MSH. True: it does. */
static bool read_sequence(struct hl7_ctx *x, struct parsed *out)
{
    int64_t n;
    if (!x->o->is_sequence || !span_int(hl7_value(x, &x->segs[0], 12, 1), &n) || n < -1)
        return false;
    out->sequence = (struct sequence){SEQUENCE_SENT, n};
    return n < 1 && x->n == 1;
}

static int parse_message(const struct hl7_options *o, struct span raw, struct arena *a, struct parsed *out)
{
    struct hl7_ctx x = {.a = a, .o = o, .raw = raw};
    struct hl7_head *h = arena_zalloc(a, sizeof *h);
    struct envelope ev = {0};
    bool is_limit = false;
    *out = (struct parsed){.raw = raw};
    if (!h)
        return -1;
    hl7_head_read(a, raw, h);
    out->priv = h;
    x.d = h->d;
    if (!h->is_usable) {
        quarantine(&x, out, "BAD_DELIMITERS");
        return 0;
    }
    bool is_charset_known = hl7_lex_decode(&x);
    if (arena_is_full(a))
        return -1;
    if (hl7_lex_segments(&x, &is_limit)) {
        if (!is_limit)
            return -1;
        hl7_error(&x, 104, "TOO_MANY_SEGMENTS", NULL, 0);
        h->version = hl7_version(span_cut(h->f[12], 0, span_find(h->f[12], h->d.comp)));
        out->fate = PARSE_REFUSE;
        return keep_problems(&x, &out->problems, &out->n_problems) ? 0 : -1;
    }
    out->observations = count_obx(&x);
    read_type(&x, &x.segs[0], &ev);
    read_message(&x, &x.segs[0], &ev, &out->message);
    h->event = ev.event;
    if (span_is(ev.type, "ACK") || span_is(ev.type, "MCF") || is_bare_reply(&x)) {
        out->fate = PARSE_SILENT;
        return 0;
    }
    bool is_link_only = read_sequence(&x, out);
    bool go_on = !is_link_only && check_header(&x, &ev, is_charset_known, out);
    h->version = is_link_only ? hl7_version(out->message.version) : x.version;
    if (is_link_only) {
        out->fate = PARSE_FILTER;
        out->filter_reason = "SEQUENCE";
    }
    if (go_on && read_body(&x, &ev, out))
        return -1;
    if (out->fate == PARSE_REJECT && hl7_adt_is_event(ev.type, ev.event) && !read_persons(&x, is_charset_known, out))
        return -1;
    return keep_problems(&x, &out->problems, &out->n_problems) && !arena_is_full(a) ? 0 : -1;
}

/* ---- frame ---- */

static bool count_of(struct span line, int64_t *n)
{
    if (line.n < 5)
        return false;
    struct span rest = span_from(line, 4);
    return span_int(span_trim(span_cut(rest, 0, span_find(rest, line.p[3]))), n);
}

/* BTS-1 against the messages, FTS-1 against the batches, trailers against headers */
static const char *batch_warning(const struct hl7_frame *f)
{
    int64_t in_batch = 0, batches = 0, said;
    bool fhs = false, bhs = false, mismatch = false, missing = false;
    for (size_t i = 0; i < f->n; i++) {
        struct span l = f->v[i].raw;
        if (f->v[i].is_message) {
            in_batch++;
        } else if (span_starts(l, "FHS")) {
            fhs = true;
        } else if (span_starts(l, "BHS")) {
            missing |= bhs;
            bhs = true;
            batches++;
            in_batch = 0;
        } else if (span_starts(l, "BTS")) {
            mismatch |= count_of(l, &said) && said != in_batch;
            bhs = false;
        } else {
            mismatch |= count_of(l, &said) && said != batches;
            fhs = false;
        }
    }
    return mismatch ? "COUNT_MISMATCH" : missing || bhs || fhs ? "MISSING_TRAILER" : NULL;
}

static int keep_batch(const struct hl7_frame *f, struct arena *a, struct parse_result *out)
{
    struct hl7_batch *b = arena_zalloc(a, sizeof *b);
    if (!b)
        return -1;
    for (size_t i = 0; i < f->n; i++) {
        if (!f->v[i].is_message && span_starts(f->v[i].raw, "FHS") && !b->fhs.n)
            b->fhs = f->v[i].raw;
        if (!f->v[i].is_message && span_starts(f->v[i].raw, "BHS") && !b->bhs.n)
            b->bhs = f->v[i].raw;
    }
    out->priv = b;
    out->is_batch = true;
    out->batch_warning = batch_warning(f);
    return 0;
}

/* A file may be a capture with its MLLP bytes still around it. */
static struct span without_framing(struct span s)
{
    struct span end = span_trim(s);
    if (end.n && end.p[end.n - 1] == 0x1c)
        s.n = (size_t)(end.p + end.n - 1 - s.p);
    return s.n && s.p[0] == 0x0b ? span_from(s, 1) : s;
}

static int parse_frame(const struct hl7_options *o, struct span frame, struct arena *a, struct parse_result *out)
{
    struct hl7_frame f;
    struct hl7_ctx x = {.a = a, .o = o};
    *out = (struct parse_result){0};
    frame = without_framing(frame);
    if (hl7_lex_frame(a, frame, o->is_wide, &f))
        return -1;
    out->v = arena_array(a, f.n_messages ? f.n_messages : 1, sizeof *out->v);
    if (!out->v)
        return -1;
    if (!f.is_readable) {
        out->v[0].raw = frame;
        out->n = 1;
        quarantine(&x, &out->v[0], f.is_hllp ? "HLLP" : "NO_HEADER");
        return arena_is_full(a) ? -1 : 0;
    }
    if (!f.v[0].is_message && keep_batch(&f, a, out))
        return -1;
    for (size_t i = 0; i < f.n; i++)
        if (f.v[i].is_message && parse_message(o, f.v[i].raw, a, &out->v[out->n++]))
            return -1;
    return 0;
}

static int parse(const void *options, struct span frame, struct arena *a, struct parse_result *out, struct err *e)
{
    static const struct hl7_options defaults = {0};
    if (parse_frame(options ? options : &defaults, frame, a, out) == 0)
        return 0;
    *out = (struct parse_result){0};
    return err_set(e, ERR_LIMIT, "frame", "the message needs more memory than a message may have");
}

static bool sniff(struct span head)
{
    if (span_starts(head, "\xef\xbb\xbf"))
        head = span_from(head, 3);
    while (head.n && (head.p[0] == ' ' || head.p[0] == '\t' || head.p[0] == '\r' || head.p[0] == '\n' || head.p[0] == '\v'))
        head = span_from(head, 1);
    return span_starts(head, "MSH") || span_starts(head, "FHS") || span_starts(head, "BHS");
}

/* ---- options ---- */

static int check_options(const void *options, struct err *e)
{
    static const char *const extra[] = {"ORU^R30", "ORU^R31", "OUL^R21"};
    const struct hl7_options *o = options;
    for (size_t i = 0; i < o->enable.n; i++) {
        size_t k = 0;
        while (k < 3 && !span_is(span_of(o->enable.v[i]), extra[k]))
            k++;
        if (k == 3)
            return err_set(e, ERR_CONFIG, "enable", "\"%s\" cannot be read; what can be enabled is ORU^R30, ORU^R31 and OUL^R21", o->enable.v[i]);
    }
    if (o->assume_charset && !hl7_charset_find(span_of(o->assume_charset)))
        return err_set(e, ERR_CONFIG, "assume-charset", "\"%s\" is no character set of HL7 table 0211 nor a name such as cp1252", o->assume_charset);
    if (o->default_version && !hl7_version(span_of(o->default_version)))
        return err_set(e, ERR_CONFIG, "default-version", "\"%s\" is no version that can be read; say 2.1 to 2.9", o->default_version);
    return 0;
}

#define ROW(n, t, member, ...) {.name = (n), .type = (t), .offset = offsetof(struct hl7_options, member), __VA_ARGS__}

static const struct option_row rows[] = {
    ROW("timezone", OPT_ZONE, timezone, .is_required = true, .help = "the sender's time zone, for times that name none"),
    ROW("assume-charset", OPT_TEXT, assume_charset, .def = "cp1252", .help = "what bytes are when MSH-18 says nothing and they are no UTF-8"),
    ROW("default-version", OPT_TEXT, default_version, .def = "\"2.3.1\"", .help = "the version when MSH-12 is empty"),
    ROW("processing-ids", OPT_LIST, processing_ids, .def = "P", .help = "values of MSH-11 that are delivered; others are answered with AR 202"),
    ROW("nonproduction", OPT_CHOICE, nonproduction, .def = "reject", .choices = "reject hold", .help = "what becomes of test messages (MSH-11 T, D, N, V)"),
    ROW("missing-processing-id", OPT_TEXT, missing_processing_id, .def = "P", .help = "what an empty MSH-11 means"),
    ROW("strict", OPT_YESNO, is_strict, .def = "no", .help = "refuse bad dates, bad numbers, wrapped lines and values without type"),
    ROW("lenient-dates", OPT_YESNO, is_lenient_dates, .def = "no", .help = "read dates written 2026-05-04T14:22:33, too"),
    ROW("enable", OPT_LIST, enable, .help = "further events to read: ORU^R30 ORU^R31 OUL^R21"),
    ROW("ignore-types", OPT_LIST, ignore_types, .help = "types (ADT) or events (ADT^A08) to accept and forget, for senders that stop on AR"),
    ROW("qc-rule", OPT_CHOICE, qc_rule, .def = "spm11", .choices = "spm11 inv-control none", .help = "how control specimens are told"),
    ROW("obr7", OPT_CHOICE, obr7, .def = "collection", .choices = "collection analysis", .help = "what OBR-7 means for this sender"),
    ROW("loinc-without-system", OPT_YESNO, is_loinc_without_system, .def = "no", .help = "take a code of LOINC shape with a right check digit for LOINC when no system is named"),
    ROW("decimal-comma", OPT_YESNO, is_decimal_comma, .def = "no", .help = "read 1,5 in NM as a number"),
    ROW("wide-characters", OPT_YESNO, is_wide, .def = "no", .help = "read frames in UTF-16 or UTF-32 with byte order mark: files only, MLLP cannot carry them"),
    ROW("max-records", OPT_INT, max_records, .min = 1, .max = 100000, .def = "5000", .help = "orders in one message, at most"),
    ROW("max-segments", OPT_INT, max_segments, .min = 10, .max = 10000000, .def = "100000", .help = "segments in one message, at most"),
    ROW("sequence", OPT_YESNO, is_sequence, .def = "no",
        .help = "MSH-13 is a sequence number: another than the expected one is answered AR, and every reply says in MSA-4 what is expected"),
    ROW("own-app", OPT_TEXT, own_app, .help = "MSH-3 of acknowledgements when the sender names no receiver"),
    ROW("own-facility", OPT_TEXT, own_facility, .help = "MSH-4 of acknowledgements when the sender names no receiver"),
};

const struct parser_ops hl7v2_parser = {
    .name = "hl7v2",
    .options = {rows, sizeof rows / sizeof rows[0], sizeof(struct hl7_options), check_options},
    .sniff = sniff,
    .parse = parse,
    .reply = hl7_reply,
    .busy = hl7_busy,
    .join = hl7_join,
};
