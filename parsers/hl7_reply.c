/*
 * NAME hl7_reply - ACKs in original and enhanced mode.
 *
 * Every ACK speaks the sender's delimiters and version. MSH-3 to 6, MSH-11, 12, 18, 21 and MSA-2 go back byte for byte.
 * MSH-15 and 16 outside table 0155 count as empty. Content errors with AL/AL: CA, then AE (the bytes are in safe storage).
 * Texts come from our own constants only: no value of the message but the fields named above ever stands in a reply.
 * DIAGNOSTICS ERR_LIMIT never: replies are bounded by the header. Payloads are heap strings of the caller.
 */
#include "hl7_reply.h"

#include <stdio.h>
#include <string.h>

#include "hl7_text.h"
#include "xmem.h"

#define REPLY_MAX ((size_t)1 << 20)

enum answer { ANSWER_ACCEPT, ANSWER_ERROR, ANSWER_REJECT, ANSWER_UNREADABLE, ANSWER_BUSY, ANSWER_SEQUENCE, ANSWER_SILENT };

int hl7_version(struct span v)
{
    int n[3] = {0}, k = 0;
    v = span_trim(v);
    if (!v.n || v.p[0] != '2' || (v.n > 1 && v.p[1] != '.'))
        return 0;
    for (size_t i = 0; i < v.n && k < 3; i++) {
        if (v.p[i] == '.')
            k++;
        else if (v.p[i] >= '0' && v.p[i] <= '9' && k < 3)
            n[k] = n[k] < 10 ? n[k] * 10 + (v.p[i] - '0') : n[k];
        else
            break;
    }
    return n[0] * 100 + (n[1] < 10 ? n[1] : 9) * 10 + (n[2] < 10 ? n[2] : 9);
}

void hl7_head_read(struct arena *a, struct span raw, struct hl7_head *h)
{
    *h = (struct hl7_head){0};
    if (raw.n < 4 || !hl7_lex_delims(raw, &h->d))
        return;
    h->is_usable = true;
    struct span msh = hl7_lex_first(a, raw, h->d.field), rest = span_from(msh, 4), f;
    for (size_t i = 2; i < 22 && span_next(&rest, h->d.field, &f); i++)
        h->f[i] = f;
    if (h->f[12].n > 5 && h->f[12].p[h->f[12].n - 4] == ' ' && h->f[12].p[0] == '2') { /* QUIRKS 21: "2.3 PID" */
        h->f[12].n -= 4;
        for (size_t i = 13; i < 22; i++)
            h->f[i] = SPAN_ABSENT;
    }
}

/* ---- text ---- */

struct ack {
    const struct hl7_options *o;
    const struct reply_conf *rc;
    const struct hl7_head *h;
    struct hl7_delims d;
    int version;
    struct sequence sequence;
    uint64_t *seed;
    struct buf *b;
};

static void put_id(struct buf *b, uint64_t v)
{
    char t[16];
    size_t n = 0;
    do {
        t[n++] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[v % 36];
        v /= 36;
    } while (v);
    while (n)
        buf_addc(b, t[--n]);
}

/* YYYYMMDDHHMMSS+ZZZZ from microseconds; days to date after Howard Hinnant's civil_from_days */
static void put_now(struct buf *b, int64_t us, int offset)
{
    int64_t s = us / 1000000 + (int64_t)offset * 60, days = s / 86400, rem = s % 86400;
    if (rem < 0) {
        rem += 86400;
        days--;
    }
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    int off = offset < 0 ? -offset : offset;
    buf_addf(b, "%04d%02d%02d%02d%02d%02d%c%02d%02d", (int)year, (int)month, (int)day, (int)(rem / 3600), (int)(rem / 60 % 60), (int)(rem % 60),
             offset < 0 ? '-' : '+', off / 60, off % 60);
}

static void put_fields(struct ack *k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(k->b, k->d.field);
}

static void put_delims(struct ack *k)
{
    const char t[5] = {k->d.comp, k->d.rep, k->d.esc, k->d.sub, k->d.trunc};
    for (size_t i = 0; i < 5 && t[i]; i++)
        buf_addc(k->b, t[i]);
}

/* An echoed field, up to a line break: MSH wrapped over lines must not break the reply. Only MSA-2 is echoed whole. */
static void put_echo(struct ack *k, struct span f)
{
    buf_add_span(k->b, span_cut(f, 0, span_find(f, '\n')));
}

static struct span first_rep(const struct ack *k, struct span f)
{
    return k->d.rep ? span_cut(f, 0, span_find(f, k->d.rep)) : f;
}

static bool is_said(struct span f)
{
    f = span_trim(f);
    return f.n && !span_is(f, "\"\"");
}

/* Our own name when the sender named nobody */
static void put_own(struct ack *k, struct span received, const char *option, const char *engine)
{
    const char *own = option && *option ? option : engine ? engine : "";
    if (is_said(received)) {
        put_echo(k, received);
        return;
    }
    for (; *own; own++)
        if (*own != k->d.field && *own >= ' ')
            buf_addc(k->b, *own);
}

static void put_type(struct ack *k)
{
    buf_adds(k->b, "ACK");
    if (k->version < 220 || !k->h->event.n)
        return;
    buf_addc(k->b, k->d.comp);
    buf_add_span(k->b, k->h->event);
    if (k->version >= 231) {
        buf_addc(k->b, k->d.comp);
        buf_adds(k->b, "ACK");
    }
}

static void put_msh(struct ack *k)
{
    const struct span *f = k->h->f;
    buf_adds(k->b, "MSH");
    buf_addc(k->b, k->d.field);
    put_delims(k);
    put_fields(k, 1);
    put_own(k, f[5], k->o->own_app, k->rc->own_app);
    put_fields(k, 1);
    put_own(k, f[6], k->o->own_facility, k->rc->own_facility);
    put_fields(k, 1);
    put_echo(k, f[3]);
    put_fields(k, 1);
    put_echo(k, f[4]);
    put_fields(k, 1);
    put_now(k->b, k->rc->now_us, k->rc->utc_offset_min);
    put_fields(k, 2);
    put_type(k);
    put_fields(k, 1);
    put_id(k->b, k->rc->id_seed + (*k->seed)++);
    put_fields(k, 1);
    put_echo(k, is_said(f[11]) ? f[11] : SPAN_LIT("P"));
    put_fields(k, 1);
    if (is_said(f[12]))
        put_echo(k, f[12]);
    else
        buf_adds(k->b, k->o->default_version ? k->o->default_version : "2.3.1");
    struct span charset = first_rep(k, f[18]);
    if (charset.n || f[21].n) {
        put_fields(k, 6);
        put_echo(k, charset);
    }
    if (f[21].n) {
        put_fields(k, 3);
        put_echo(k, f[21]);
    }
    buf_addc(k->b, '\r');
}

/* "PID^1^3" with the sender's component separator */
static void put_where(struct ack *k, const char *where)
{
    for (; *where; where++)
        buf_addc(k->b, *where == '^' ? k->d.comp : *where);
}

static void put_code(struct ack *k, const struct problem *p, char sep)
{
    buf_add_int(k->b, p->code);
    if (!sep)
        return;
    buf_addc(k->b, sep);
    buf_adds(k->b, p->text);
    buf_addc(k->b, sep);
    buf_adds(k->b, "HL70357");
}

static void put_err_new(struct ack *k, const struct problem *p)
{
    buf_adds(k->b, "ERR");
    put_fields(k, 2);
    put_where(k, p->where);
    put_fields(k, 1);
    put_code(k, p, k->d.comp);
    put_fields(k, 1);
    buf_addc(k->b, p->severity);
    if (p->name) {
        put_fields(k, 1);
        buf_adds(k->b, p->name);
        buf_addc(k->b, k->d.comp);
        buf_addc(k->b, k->d.comp);
        buf_addc(k->b, 'L');
    }
    buf_addc(k->b, '\r');
}

/* ELD: segment ^ sequence ^ field ^ code; from 2.1 the bare code */
static void put_err_old(struct ack *k, const struct problem *p)
{
    unsigned seps = 0;
    if (k->version < 220) {
        put_code(k, p, 0);
        return;
    }
    for (const char *w = p->where; *w && seps < 3; w++) {
        seps += *w == '^';
        if (seps < 3)
            buf_addc(k->b, *w == '^' ? k->d.comp : *w);
    }
    for (seps = seps > 2 ? 2 : seps; seps < 3; seps++)
        buf_addc(k->b, k->d.comp);
    put_code(k, p, k->d.sub);
}

static void put_errs(struct ack *k, const struct problem *p, size_t n, bool is_refusal)
{
    size_t done = 0;
    for (size_t i = 0; i < n && done < HL7_MAX_ERRORS; i++) {
        bool is_warning = p[i].severity == 'W' || p[i].severity == 'I';
        if (!p[i].code || (is_warning && (is_refusal || k->version < 250)))
            continue;
        if (k->version >= 250) {
            put_err_new(k, &p[i]);
        } else {
            if (done)
                buf_addc(k->b, k->d.rep ? k->d.rep : '~');
            else
                buf_adds(k->b, "ERR"), put_fields(k, 1);
            put_err_old(k, &p[i]);
            if (k->version < 220 || !k->d.rep) { /* one code only: ERR-1 does not repeat there */
                done++;
                break;
            }
        }
        done++;
    }
    if (done && k->version < 250)
        buf_addc(k->b, '\r');
}

static void put_ack(struct ack *k, const char *code, const struct problem *p, size_t n)
{
    bool is_refusal = code[1] != 'A';
    put_msh(k);
    buf_adds(k->b, "MSA");
    put_fields(k, 1);
    buf_adds(k->b, code);
    put_fields(k, 1);
    buf_add_span(k->b, k->h->is_usable ? k->h->f[10] : SPAN_ABSENT);
    bool has_text = is_refusal && k->version <= 260 && n, has_number = k->sequence.state >= SEQUENCE_ANSWERED;
    if (has_text) {
        put_fields(k, 1);
        buf_adds(k->b, p[0].text);
    }
    if (has_number) {
        put_fields(k, has_text ? 1 : 2);
        buf_add_int(k->b, k->sequence.number);
    }
    buf_addc(k->b, '\r');
    put_errs(k, p, n, is_refusal);
}

/* ---- which ---- */

enum condition { COND_NONE, COND_AL, COND_NE, COND_ER, COND_SU };

static enum condition condition_of(struct span f)
{
    f = span_trim(f);
    return span_is(f, "AL") ? COND_AL : span_is(f, "NE") ? COND_NE : span_is(f, "ER") ? COND_ER : span_is(f, "SU") ? COND_SU : COND_NONE;
}

/* The MSA-1 codes of STANDARDS 3.3, in order; returns how many. */
static size_t codes_for(enum answer what, enum condition a, enum condition b, const char *out[2])
{
    bool on_error_a = a == COND_AL || a == COND_ER, on_error_b = b == COND_AL || b == COND_ER, is_original = !a && !b;
    bool on_success_a = a == COND_AL || a == COND_SU, on_success_b = b == COND_AL || b == COND_SU;
    size_t n = 0;
    switch (what) {
    case ANSWER_SILENT: break;
    case ANSWER_UNREADABLE: out[n++] = "AR"; break;
    case ANSWER_ACCEPT:
        if (on_success_a)
            out[n++] = "CA";
        if (on_success_b || is_original)
            out[n++] = "AA";
        break;
    case ANSWER_REJECT:
        if (on_error_a)
            out[n++] = "CR";
        else if (on_error_b || is_original)
            out[n++] = "AR";
        break;
    case ANSWER_BUSY:
    case ANSWER_SEQUENCE:
        if (on_error_a)
            out[n++] = "CE";
        else if (on_error_b || is_original)
            out[n++] = "AR";
        break;
    case ANSWER_ERROR:
        if (is_original) {
            out[n++] = "AE";
        } else if (on_error_b) {
            if (on_success_a)
                out[n++] = "CA";
            out[n++] = "AE";
        } else if (on_error_a) {
            out[n++] = "CE";
        }
        break;
    }
    return n;
}

static enum answer answer_of(const struct parsed *m, enum frame_fate fate)
{
    if (m->fate == PARSE_SILENT)
        return ANSWER_SILENT;
    if (fate == FATE_BUSY)
        return ANSWER_BUSY;
    if (m->sequence.state == SEQUENCE_WRONG)
        return ANSWER_SEQUENCE;
    switch (m->fate) {
    case PARSE_ACCEPT: case PARSE_FILTER: return fate == FATE_STORED || fate == FATE_DUPLICATE ? ANSWER_ACCEPT : ANSWER_ERROR;
    case PARSE_REFUSE: return ANSWER_ERROR;
    case PARSE_REJECT: return ANSWER_REJECT;
    case PARSE_QUARANTINE: return ANSWER_UNREADABLE;
    case PARSE_SILENT: break;
    }
    return ANSWER_SILENT;
}

static const struct problem refused_by_us = {.severity = 'F', .code = 207, .name = "NOT_STORED", .text = "Application error"};
static const struct problem busy_now = {.severity = 'F', .code = 207, .name = "BUSY", .text = "Application error"};
static const struct problem wrong_number = {.severity = 'E', .code = 207, .where = "MSH^1^13", .name = "WRONG_SEQUENCE_NUMBER", .text = "Application error"};
static const struct hl7_head no_head = {.d = {'|', '^', '~', '\\', '&', 0}};

static struct ack ack_make(const void *options, const struct reply_conf *rc, const struct hl7_head *h, uint64_t *seed, struct buf *b)
{
    static const struct hl7_options defaults = {0};
    struct ack k = {.o = options ? options : &defaults, .rc = rc, .h = h && h->is_usable ? h : &no_head, .seed = seed, .b = b};
    k.d = k.h->d;
    k.version = k.h->version ? k.h->version : 231;
    return k;
}

/* All ACKs of one message, each handed to take(). */
static size_t answer(struct ack *k, const struct parsed *m, enum frame_fate fate, struct span *out, bool is_joined)
{
    const char *codes[2];
    enum answer what = answer_of(m, fate);
    size_t n = codes_for(what, condition_of(k->h->f[15]), condition_of(k->h->f[16]), codes);
    const struct problem *p = m->problems;
    size_t np = m->n_problems;
    k->sequence = what == ANSWER_BUSY ? (struct sequence){0} : m->sequence; /* nothing was kept: nothing is promised */
    if (what == ANSWER_SEQUENCE) {
        p = &wrong_number;
        np = 1;
    } else if (what == ANSWER_BUSY) {
        p = &busy_now;
        np = 1;
    } else if (what == ANSWER_ERROR && (m->fate == PARSE_ACCEPT || m->fate == PARSE_FILTER)) {
        p = &refused_by_us;
        np = 1;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_commit_of_two = n == 2 && i == 0;
        put_ack(k, codes[i], p, is_commit_of_two ? 0 : np);
        if (!is_joined) {
            size_t len;
            char *t = buf_take(k->b, &len);
            out[i] = span_make(t, len);
        }
    }
    return n;
}

/* ---- batch ---- */

/* FHS or BHS of the reply: roles swapped, ours as id, theirs as reference (field 12). */
static void put_batch_head(const struct hl7_options *o, const struct reply_conf *rc, const char *id, struct span sent, uint64_t *seed, struct buf *b)
{
    struct hl7_head h = no_head;
    struct span rest = span_from(sent, 4), f;
    h.is_usable = true;
    if (hl7_lex_delims(sent, &h.d))
        for (size_t i = 2; i < 13 && span_next(&rest, h.d.field, &f); i++)
            h.f[i] = f;
    else
        h.d = no_head.d;
    struct ack k = ack_make(o, rc, &h, seed, b);
    buf_adds(b, id);
    buf_addc(b, k.d.field);
    put_delims(&k);
    put_fields(&k, 1);
    put_own(&k, h.f[5], o->own_app, rc->own_app);
    put_fields(&k, 1);
    put_own(&k, h.f[6], o->own_facility, rc->own_facility);
    put_fields(&k, 1);
    buf_add_span(b, h.f[3]);
    put_fields(&k, 1);
    buf_add_span(b, h.f[4]);
    put_fields(&k, 1);
    put_now(b, rc->now_us, rc->utc_offset_min);
    put_fields(&k, 4);
    put_id(b, rc->id_seed + (*seed)++);
    put_fields(&k, 1);
    buf_add_span(b, h.f[11]);
    buf_addc(b, '\r');
}

static char sep_of(struct span line)
{
    return line.n > 3 ? line.p[3] : '|';
}

static int reply_batch(const void *options, const struct parse_result *r, const enum frame_fate *fates, const struct reply_conf *rc,
                       struct span **payloads, size_t *n)
{
    static const struct hl7_options defaults = {0};
    static const struct hl7_batch none = {0};
    const struct hl7_options *o = options ? options : &defaults;
    const struct hl7_batch *bt = r->priv ? r->priv : &none;
    struct buf b;
    uint64_t seed = 0;
    size_t acks = 0, len;
    buf_init(&b, SIZE_MAX / 4);
    if (bt->fhs.n)
        put_batch_head(o, rc, "FHS", bt->fhs, &seed, &b);
    put_batch_head(o, rc, "BHS", bt->bhs.n ? bt->bhs : SPAN_LIT("BHS|^~\\&|"), &seed, &b);
    for (size_t i = 0; i < r->n; i++) {
        struct ack k = ack_make(o, rc, r->v[i].priv, &seed, &b);
        acks += answer(&k, &r->v[i], fates[i], NULL, true);
    }
    buf_addf(&b, "BTS%c%zu\r", sep_of(bt->bhs), acks);
    if (bt->fhs.n)
        buf_addf(&b, "FTS%c1\r", sep_of(bt->fhs));
    char *t = buf_take(&b, &len);
    *payloads = xreallocarray(*payloads, *n + 1, sizeof **payloads);
    (*payloads)[(*n)++] = span_make(t, len);
    return 0;
}

int hl7_reply(const void *options, const struct parse_result *r, const enum frame_fate *fates, const struct reply_conf *rc, struct arena *a,
              struct span **payloads, size_t *n, struct err *e)
{
    uint64_t seed = 0;
    struct buf b;
    (void)a;
    (void)e;
    if (r->is_batch)
        return reply_batch(options, r, fates, rc, payloads, n);
    buf_init(&b, SIZE_MAX / 4);
    for (size_t i = 0; i < r->n; i++) {
        struct span out[2];
        struct ack k = ack_make(options, rc, r->v[i].priv, &seed, &b);
        size_t made = answer(&k, &r->v[i], fates[i], out, false);
        if (!made)
            continue;
        *payloads = xreallocarray(*payloads, *n + made, sizeof **payloads);
        for (size_t j = 0; j < made; j++)
            (*payloads)[(*n)++] = out[j];
    }
    buf_clear(&b);
    return 0;
}

int hl7_busy(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e)
{
    struct hl7_frame f;
    struct hl7_head h;
    uint64_t seed = 0;
    const char *codes[2];
    struct buf b;
    (void)e;
    *payload = SPAN_ABSENT;
    if (hl7_lex_frame(a, span_cut(frame, 0, 8192), false, &f) || !f.n_messages)
        return 0;
    size_t i = 0;
    while (!f.v[i].is_message)
        i++;
    hl7_head_read(a, f.v[i].raw, &h);
    size_t eol = span_find(f.v[i].raw, '\r'), lf = span_find(f.v[i].raw, '\n');
    if (!h.is_usable || (eol == f.v[i].raw.n && lf == f.v[i].raw.n)) /* MSH itself is not complete: nothing can be said */
        return 0;
    struct span type = span_trim(span_cut(h.f[9], 0, span_find(h.f[9], h.d.comp)));
    h.version = hl7_version(span_cut(h.f[12], 0, span_find(h.f[12], h.d.comp)));
    if (span_is(type, "ACK") || span_is(type, "MCF") || !codes_for(ANSWER_BUSY, condition_of(h.f[15]), condition_of(h.f[16]), codes))
        return 0;
    struct span evt = span_from(h.f[9], span_find(h.f[9], h.d.comp) + 1);
    h.event = span_trim(span_cut(evt, 0, span_find(evt, h.d.comp)));
    buf_init(&b, REPLY_MAX);
    struct ack k = ack_make(options, rc, &h, &seed, &b);
    put_ack(&k, codes[0], &busy_now, 1);
    size_t len;
    char *t = buf_take(&b, &len);
    *payload = span_make(t, len);
    return 0;
}
