/*
 * NAME intake - a frame becomes messages and deliveries in the open batch; its reply waits for the commit.
 *
 * Every frame ends in exactly one count (stored, refused, quarantined, duplicate) and every observation of a stored message in one
 * delivery or account: `labrelay verify` adds both up again.
 * DIAGNOSTICS received/stored/rejected lines: ids, counts, codes, paths.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "inner.h"
#include "log.h"
#include "text.h"
#include "watch.h"
#include "xmem.h"

#define ARENA_FACTOR 12             /* arena cap: this many times the frame … */
#define WHY_MAX_BYTES ((size_t)64 << 10)
#define UNREAD_HEAD ((size_t)4096)
#define CONTROL_BYTES 48
#define ARENA_MOST ((size_t)256 << 20)  /* … where the parser asks for more memory than that */
#define ARENA_EXTRA ((size_t)4 << 20)   /* … plus this: a stated cap for hostile structure */

static int sha_normalized(struct span raw, unsigned char out[32])
{
    /* Line ends unified: the same message resent by a bridge that turns CR into CRLF is the same message (STANDARDS 3.7). */
    if (span_find(raw, '\n') == raw.n) {
        text_sha256(raw.p, raw.n, out);
        return 0;
    }
    char *p = xmalloc(raw.n);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '\n' && i && raw.p[i - 1] == '\r')
            continue;
        p[n++] = c == '\n' ? '\r' : c;
    }
    text_sha256(p, n, out);
    free(p);
    return 0;
}

static int count(struct engine *g, const char *channel, const char *what, struct err *e)
{
    return store_count(g->env.store, channel, what, 1, e);
}

/* MSH-9 is the sender's, too: only what looks like a type of message goes into the log. */
static struct span plain_kind(struct span s)
{
    bool is_good = s.n == 3 || (s.n == 7 && s.p[3] == '^');
    for (size_t i = 0; i < s.n && is_good; i++)
        is_good = i == 3 || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9');
    return is_good || !s.n ? s : SPAN_LIT("other");
}

static int put_aside(struct engine *g, struct pending_frame *pf, struct span raw, enum message_state state, const char *reason,
                     const struct rec_message *head, struct err *e)
{
    const char *channel = pf->ch->lc->name;
    struct store_message m = {.channel = channel, .received_us = pf->f->received_us, .peer = pf->f->peer, .state = state, .reason = reason,
                              .raw = raw, .config = pf->ch->config_number};
    if (head) {
        m.source_app = head->source_app.value;
        m.source_facility = head->source_facility.value;
        m.control_id = head->control_id;
        m.kind = head->kind;
    }
    (void)sha_normalized(raw, m.sha256);
    if (!head)
        pf->aside = reason;
    if (store_put_message(g->env.store, &m, e) || count(g, channel, state == MESSAGE_REFUSED ? "refused" : "quarantined", e))
        return -1;
    if (!pf->message_id)
        pf->message_id = m.id;
    log_event(LOG_WARNING, state == MESSAGE_REFUSED ? "refused" : "quarantined", log_id("msg", 'm', m.id), log_word("channel", channel),
              log_span("type", plain_kind(m.kind)), log_span("control", m.control_id), log_int("bytes", (int64_t)raw.n), log_word("reason", reason));
    return 0;
}

/* Does d take the place of what is open? Ties stay beside each other; of the same result, a patient named better takes the place of a hold. */
static bool is_replaced(const struct delivery *o, const struct delivery *d)
{
    switch (version_compare(d->issued_us, d->rank, d->body, o->issued_us, o->rank, o->body)) {
    case VERSION_NEWER: return true;
    case VERSION_TIE: return !o->body[0] || (d->flags & DELIVERY_IS_PERSON) != 0;
    case VERSION_SAME: return o->state == DELIVERY_HELD;
    case VERSION_OLDER: return false;
    }
    return false;
}

/* What d is to the version that stands there: of what is past nobody need decide. NEWER when nothing does. */
static int compare_standing(struct engine *g, const struct delivery *d, enum version_order *out, struct err *e)
{
    struct store_target t = {.remote_id = NULL};
    int rc = store_get_target(g->env.store, d->result_key, &t, e);
    *out = rc == 0 ? version_compare(d->issued_us, d->rank, d->body, t.issued_us, t.rank, t.body) : VERSION_NEWER;
    store_target_clear(&t);
    return rc < 0 ? -1 : 0;
}

/* What becomes of d by an open one of its key; NULL: it goes ahead. */
static const char *met(const struct delivery *o, const struct delivery *d)
{
    switch (version_compare(d->issued_us, d->rank, d->body, o->issued_us, o->rank, o->body)) {
    case VERSION_SAME: /* of another patient: whoever is found decides, or a person */
        return strcmp(d->who, o->who) == 0 ? "SAME_AGAIN" : NULL;
    case VERSION_OLDER:
        return "OLDER";
    case VERSION_TIE:
        if (d->flags & DELIVERY_IS_PERSON)
            return NULL; /* what came later is newer: senders say the time of a registration in minutes */
        if (o->state == DELIVERY_HELD && (!o->body[0] || strcmp(o->reason, "VERSION_TIE") == 0))
            return NULL; /* what could not be read takes no part: the sender, or we, mended it */
        return "VERSION_TIE";
    case VERSION_NEWER:
        return NULL;
    }
    return NULL;
}

int intake_meet_versions(struct engine *g, struct delivery *d, struct err *e)
{
    struct delivery *v = NULL;
    size_t n = 0;
    int rc = -1;
    if (store_find_open(g->env.store, d->result_key, &v, &n, e))
        return -1;
    const char *reason = NULL;
    for (size_t i = 0; i < n; i++) {        /* all of them before a verdict: a repetition or an old one is no tie */
        const char *now = v[i].id == d->id ? NULL : met(&v[i], d);
        if (now && (!reason || strcmp(reason, "VERSION_TIE") == 0))
            reason = now;
    }
    if (reason && strcmp(reason, "VERSION_TIE") == 0) {
        enum version_order standing;
        if (compare_standing(g, d, &standing, e))
            goto out;
        if (standing == VERSION_OLDER)
            reason = "OLDER";
        else if (standing == VERSION_SAME)
            reason = NULL;                  /* what stands there, repeated: its turn tells whether of the same person */
    }
    if (reason) {
        d->state = strcmp(reason, "VERSION_TIE") == 0 ? DELIVERY_HELD : DELIVERY_SUPERSEDED;
        delivery_set(&d->reason, reason);
    }
    for (size_t i = 0; i < n && d->state == DELIVERY_READY; i++) {
        struct delivery *o = &v[i];
        /* What may have reached Go.Data already must be settled first; the lane keeps the order. */
        bool is_open_end = o->state == DELIVERY_CLAIMED || (o->state == DELIVERY_WAITING && o->step != STEP_FIND);
        struct writer_run *w = NULL;
        struct active *x = active_find(g, o->id, &w);
        if (o->id == d->id || is_open_end || (x && x->is_busy) || !is_replaced(o, d))
            continue;
        o->state = DELIVERY_SUPERSEDED;
        o->updated_us = d->updated_us;
        delivery_set(&o->reason, "OLDER");
        if (store_update_delivery(g->env.store, o, e))
            goto out;
        if (x)
            dispatch_forget(w, x);
    }
    rc = 0;
out:
    deliveries_free(v, n);
    return rc;
}

static char *dup_span(struct span s)
{
    return xstrndup(s.n ? s.p : "", s.n);
}

/* What the rules remarked on it: W_DATE_ORDER, a critical result … */
static int tell_remarks(struct engine *g, const struct pending_frame *pf, const struct delivery *d, struct err *e)
{
    const char *channel = pf->ch->lc->name;
    const struct delivery_remark *m;
    for (size_t i = 0; (m = delivery_remark(d->flags, i)) != NULL; i++)
        log_event(LOG_WARNING, "remark", log_id("msg", 'm', d->message_id), log_id("delivery", 'd', d->id), log_word("channel", channel), log_word("route", d->route),
                  log_word("remark", m->name), log_text("text", m->text));
    if (d->flags & DELIVERY_IS_CRITICAL)
        alarm_event(g, "critical", channel, 'd', d->id);
    return d->flags & DELIVERY_IS_CRITICAL ? count(g, channel, "critical", e) : 0;
}

static int deliver_observation(struct engine *g, struct pending_frame *pf, int64_t message_id, const struct record *r, unsigned ri, unsigned oi, struct err *e)
{
    const struct rec_observation *o = &r->observations[oi];
    struct decision x;
    struct delivery d = {0};
    char lane[256];
    int rc = -1;
    if (!g->work)
        g->work = arena_new(INTAKE_WORK_BYTES);
    arena_reset(g->work);
    if (decide_observation(pf->ch->conf, r, o, g->work, &x, NULL, e))
        return -1;
    if (x.rule.action == RULE_DROP)
        return store_account(g->env.store, message_id, "dropped", x.reason, o->parts, e);

    d.message_id = message_id;
    d.record_index = ri;
    d.observation_index = oi;
    d.parts = o->parts;
    d.path = dup_span(o->path);
    d.route = xstrdup(x.rule.route ? x.rule.route : "");
    d.config = pf->ch->config_number;
    d.writer = xstrdup(x.writer ? x.writer->name : "");
    d.result_key = dup_span(x.built.result_key);
    d.issued_us = decide_issued_us(pf->ch->zone, r, o, pf->f->received_us);
    d.rank = x.rule.is_withdrawal ? RANK_WITHDRAWN : version_rank_of(o->status);
    d.who = dup_span(x.built.who);
    d.flags = x.built.flags;
    d.body = dup_span(x.body);
    d.step = STEP_FIND;
    d.next_us = pf->f->received_us;
    d.state = x.reason ? DELIVERY_HELD : DELIVERY_READY;
    d.updated_us = pf->f->received_us;
    d.reason = xstrdup(x.reason ? x.reason : "");
    d.detail = dup_span(x.detail);
    decide_lane(&x, message_id, lane, sizeof lane);
    d.lane = xstrdup(lane);
    d.person_id = xstrdup("");
    d.person_type = xstrdup("");
    d.remote_id = xstrdup("");
    if (d.state == DELIVERY_READY && d.result_key[0] && intake_meet_versions(g, &d, e))
        goto out;
    if (store_put_delivery(g->env.store, &d, e))
        goto out;
    if (d.flags && tell_remarks(g, pf, &d, e))
        goto out;
    if (d.state == DELIVERY_READY)
        dispatch_wake(g, d.writer);
    rc = 0;
out:
    delivery_clear(&d);
    return rc;
}

static int store_refused(struct engine *g, struct pending_frame *pf, const struct parsed *p, enum frame_fate *fate, struct err *e)
{
    char reason[96] = "HL7_102";
    bool is_quarantine = p->fate == PARSE_QUARANTINE;
    for (size_t i = 0; i < p->n_problems; i++)
        if (p->problems[i].severity == 'E' || p->problems[i].severity == 'F') {
            (void)snprintf(reason, sizeof reason, "HL7_%d %s", p->problems[i].code, p->problems[i].where);
            break;
        }
    *fate = is_quarantine ? FATE_QUARANTINED : FATE_REFUSED;
    return put_aside(g, pf, p->raw, is_quarantine ? MESSAGE_QUARANTINED : MESSAGE_REFUSED, reason, &p->message, e);
}

static bool is_named_by_sender(const struct pending_frame *pf)
{
    return pf->f->same_as[0] != '\0' && pf->parsed.n == 1;
}

/* A resource that came by itself over HTTP is known by its own identifier: later conditions find it. */
static bool is_named_by_identity(const struct pending_frame *pf, const struct parsed *p)
{
    return pf->f->ask.at == ASK_AT_TYPE && span_has(p->identity);
}

/* The row of a message as it came. control: room for the name of one that has none. */
static struct store_message row_of(const struct pending_frame *pf, const struct parsed *p, char control[CONTROL_BYTES])
{
    struct store_message m = {.channel = pf->ch->lc->name, .source_app = p->message.source_app.value,
                              .source_facility = p->message.source_facility.value, .control_id = p->message.control_id, .kind = p->message.kind,
                              .received_us = pf->f->received_us, .peer = pf->f->peer, .state = MESSAGE_STORED, .reason = "", .raw = p->raw,
                              .observations = p->observations, .config = pf->ch->config_number};
    (void)sha_normalized(p->raw, m.sha256);
    for (size_t i = 0; i < p->n_problems; i++)
        m.warnings += p->problems[i].severity == 'W';
    if (is_named_by_sender(pf)) {
        m.control_id = span_of(pf->f->same_as);
        m.source_app = m.source_facility = SPAN_ABSENT;     /* whoever sends it, it is the same resource */
    } else if (is_named_by_identity(pf, p)) {
        unsigned char sum[TEXT_SHA256_BYTES];
        text_sha256(p->identity.p, p->identity.n, sum);
        memcpy(control, "resource:", 9);
        text_hex(sum, 16, control + 9);         /* as the HTTP channel makes frame.same_as */
        m.control_id = span_of(control);
        m.source_app = m.source_facility = SPAN_ABSENT;
    } else if (!span_has(m.control_id)) {
        memcpy(control, "sha256:", 7);
        text_hex(m.sha256, 8, control + 7);     /* nothing in it names the message: its bytes do (STANDARDS 6.7, idempotency) */
        m.control_id = span_of(control);
    }
    return m;
}

static void refuse_for(struct pending_frame *pf, struct parsed *p, const struct problem *why)
{
    struct problem *kept = arena_alloc(pf->a, sizeof *kept);
    p->fate = PARSE_REFUSE;
    if (kept)
        *kept = *why;
    p->problems = kept;
    p->n_problems = kept != NULL;
}

/* STANDARDS 6.7: how many resources the sender may mean. Of one, a PUT is a version, kept under a key of its own that a condition does not count. */
static int meet_condition(struct engine *g, struct pending_frame *pf, struct parsed *p, struct store_message *m, int64_t since_us, char control[CONTROL_BYTES],
                          struct err *e)
{
    int64_t n;
    if (store_count_key(g->env.store, m, since_us, &n, e))
        return -1;
    pf->is_known = n == 1;
    if (n > 1)
        refuse_for(pf, p, &(struct problem){.severity = 'E', .code = 199, .name = "multiple-matches", .text = "several resources have this identifier"});
    if (pf->is_known && pf->f->is_update) {
        (void)snprintf(control, CONTROL_BYTES, "version:%.*s", CONTROL_BYTES - 10, pf->f->same_as + strcspn(pf->f->same_as, ":") + 1);
        m->control_id = span_of(control);
    }
    return 0;
}

/* The same message was taken before: counted, and answered as then. */
static int meet_duplicate(struct engine *g, struct pending_frame *pf, struct parsed *p, struct store_message *m, char control[CONTROL_BYTES], bool *is_reused,
                          bool *is_duplicate, struct err *e)
{
    int64_t old_id = 0, since_us = pf->f->received_us - g->conf->duplicate_window_us;
    enum message_state old_state;
    *is_duplicate = false;
    if (store_find_duplicate(g->env.store, m, since_us, &old_id, &old_state, is_reused, e))
        return -1;
    if (is_named_by_sender(pf)) {
        if (meet_condition(g, pf, p, m, since_us, control, e))
            return -1;
        if (p->fate == PARSE_REFUSE)
            return 0;
        if (pf->is_known && !old_id && pf->f->is_update && store_find_duplicate(g->env.store, m, since_us, &old_id, &old_state, is_reused, e))
            return -1;
    }
    if (pf->is_known && !pf->f->is_update && !old_id) {
        *is_duplicate = true;
        log_event(LOG_INFO, "exists already", log_word("channel", m->channel));
        return count(g, m->channel, "duplicate", e);
    }
    if (!old_id || old_state != MESSAGE_STORED)
        return 0;
    *is_duplicate = true;
    if (!pf->message_id)
        pf->message_id = old_id;
    log_event(LOG_INFO, "duplicate", log_id("msg", 'm', old_id), log_word("channel", m->channel), log_span("control", m->control_id));
    return count(g, m->channel, "duplicate", e);
}

int intake_deliver(struct engine *g, struct pending_frame *pf, const struct parsed *p, int64_t message_id, unsigned *deliveries, struct err *e)
{
    unsigned accounted = 0;
    *deliveries = 0;
    for (unsigned ri = 0; ri < p->n_records; ri++) {
        struct record *r = &p->records[ri];
        for (unsigned oi = 0; oi < r->n; oi++) {
            const struct rec_observation *o = &r->observations[oi];
            accounted += o->parts;
            if (o->role == OBS_RESULT) {
                ++*deliveries;
                if (deliver_observation(g, pf, message_id, r, ri, oi, e))
                    return -1;
                continue;
            }
            bool is_part = o->role == OBS_PART || o->role == OBS_ATTACHMENT || o->role == OBS_PANEL;
            if (store_account(g->env.store, message_id, is_part ? "part-of" : "dropped", is_part ? obs_role_name(o->role) : "NOT_A_RESULT", o->parts, e))
                return -1;
        }
    }
    if (person_deliver(g, pf, p, message_id, deliveries, e))
        return -1;
    if (accounted != p->observations)
        log_event(LOG_ERROR, "observations do not add up: please report", log_id("msg", 'm', message_id), log_int("in", p->observations), log_int("out", accounted));
    return 0;
}

/* A part of a message, or a message without results, is kept and accounted as a whole; the others go through the rules. */
static int store_accepted(struct engine *g, struct pending_frame *pf, struct parsed *p, enum frame_fate *fate, struct err *e)
{
    char control[CONTROL_BYTES];
    struct store_message m = row_of(pf, p, control);
    struct part part = {.reason = NULL};
    bool is_reused = false, is_duplicate = false;
    unsigned deliveries = 0;
    if (meet_duplicate(g, pf, p, &m, control, &is_reused, &is_duplicate, e))
        return -1;
    *fate = FATE_DUPLICATE;
    if (is_duplicate && p->fate == PARSE_REFUSE) {      /* the last part of a message that was joined: it was good then */
        p->fate = PARSE_ACCEPT;
        p->n_problems = 0;
    }
    if (is_duplicate)
        return 0;
    if (pf->parser->ops->join && part_meet(g, pf, p, &part, e))
        return -1;
    if (p->fate == PARSE_REFUSE) {      /* a part that makes the whole one refused, or that belongs to nothing and says nothing */
        part_clear(&part);
        return store_refused(g, pf, p, fate, e);
    }
    if (p->fate == PARSE_FILTER)
        m.reason = p->filter_reason;
    else if (part.reason)
        m.reason = part.reason;
    const char *fate_word = part.reason ? "part-of" : "dropped", *why = part.reason ? "CONTINUATION" : p->fate == PARSE_FILTER ? p->filter_reason : "NOT_A_RESULT";
    bool is_whole = p->fate != PARSE_ACCEPT || part.reason || p->is_persons;
    int rc = store_put_message(g->env.store, &m, e) || count(g, m.channel, "stored", e) ||
             (is_whole && p->observations && store_account(g->env.store, m.id, fate_word, why, p->observations, e)) ||
             (part.reason && part_take(g, pf, &part, &m, e)) || (!is_whole && intake_deliver(g, pf, p, m.id, &deliveries, e)) ||
             (p->is_persons && p->fate == PARSE_ACCEPT && person_deliver(g, pf, p, m.id, &deliveries, e)) ? -1 : 0;
    part_clear(&part);
    if (rc)
        return -1;
    if (!pf->message_id)
        pf->message_id = m.id;
    *fate = FATE_STORED;
    if (is_reused && !pf->is_known && !is_named_by_identity(pf, p))
        log_event(LOG_WARNING, "control id used again with other content", log_id("msg", 'm', m.id), log_word("channel", m.channel));
    log_event(LOG_INFO, "stored", log_id("msg", 'm', m.id), log_word("channel", m.channel), log_word("peer", pf->f->is_patient ? "file" : pf->f->peer),
              log_span("type", plain_kind(m.kind)), log_span("control", m.control_id), log_int("bytes", (int64_t)p->raw.n), log_int("observations", p->observations),
              log_int("deliveries", deliveries), log_int("warnings", m.warnings), log_ms("took", clock_mono_us() - pf->started_us));
    return 0;
}

/* A message that must not come in this way is refused for that reason alone. */
static void check_fit(struct pending_frame *pf, struct parsed *p)
{
    struct problem why = {.severity = 'E'};
    if (!pf->parser->ops->fits(p, &pf->f->ask, &why))
        refuse_for(pf, p, &why);
}

/* STANDARDS 2.10: what is expected next from a sender is kept in the batch of the message, and so is durable before the reply. */
static int meet_sequence(struct engine *g, struct pending_frame *pf, struct parsed *p, struct err *e)
{
    const struct rec_message *m = &p->message;
    struct span part[] = {m->channel, m->source_app.value, m->source_facility.value};
    struct buf key;
    buf_init(&key, 1 << 20);
    for (size_t i = 0; i < 3; i++)
        buf_addf(&key, "%zu:%.*s", part[i].n, SPAN_ARG(part[i]));
    int64_t n = p->sequence.number, expected = store_get_memory(g->env.store, "sequence", key.p, 0), next = expected;
    p->sequence.state = SEQUENCE_ANSWERED;
    if (n == -1) {
        next = 0;
    } else if (n == 0) {
        p->sequence.number = expected ? expected : -1;
    } else if (!expected || n == expected) {
        next = n + 1;
    } else {
        p->sequence = (struct sequence){SEQUENCE_WRONG, expected};
        refuse_for(pf, p, &(struct problem){.severity = 'E', .code = 207, .where = "MSH^1^13", .name = "WRONG_SEQUENCE_NUMBER",
                                            .text = "the sequence number is not the expected one"});
    }
    int rc = next == expected ? 0 : store_put_memory(g->env.store, "sequence", key.p, next, e);
    buf_clear(&key);
    return rc;
}

static int intake_parsed(struct engine *g, struct pending_frame *pf, struct err *e)
{
    const struct listener_conf *lc = pf->ch->lc;
    int64_t first = 0;
    pf->fates = xcalloc(pf->parsed.n, sizeof *pf->fates);
    pf->ids = xcalloc(pf->parsed.n, sizeof *pf->ids);
    for (size_t i = 0; i < pf->parsed.n; i++) {
        struct parsed *p = &pf->parsed.v[i];
        pf->message_id = 0;
        p->message.channel = span_of(lc->name);
        decide_admit(pf->ch->conf, lc->name, p);
        if (pf->parser->ops->fits && (p->fate == PARSE_ACCEPT || p->fate == PARSE_FILTER))
            check_fit(pf, p);
        if (p->sequence.state == SEQUENCE_SENT && meet_sequence(g, pf, p, e))
            return -1;
        if (count(g, lc->name, "received", e))
            return -1;
        /* What is wrong with the last part of a message may be right once it is joined. */
        switch (p->fate == PARSE_REFUSE && span_has(p->continues) ? PARSE_ACCEPT : p->fate) {
        case PARSE_ACCEPT:
        case PARSE_FILTER:
        case PARSE_SILENT:
            if (store_accepted(g, pf, p, &pf->fates[i], e))
                return -1;
            break;
        case PARSE_REFUSE:
        case PARSE_REJECT:
        case PARSE_QUARANTINE:
            if (store_refused(g, pf, p, &pf->fates[i], e))
                return -1;
            break;
        }
        pf->ids[i] = pf->message_id;
        first = first ? first : pf->message_id;
    }
    pf->message_id = first;
    return 0;
}

/* Headers and trailers without a message are legal (HL7 2.10.3): kept, counted, answered by an empty batch. */
static int intake_empty_batch(struct engine *g, struct pending_frame *pf, struct span raw, struct err *e)
{
    const char *channel = pf->ch->lc->name;
    struct store_message m = {.channel = channel, .received_us = pf->f->received_us, .peer = pf->f->peer, .state = MESSAGE_STORED,
                              .reason = "EMPTY_BATCH", .raw = raw, .config = pf->ch->config_number};
    (void)sha_normalized(raw, m.sha256);
    pf->is_parsed = true;
    if (count(g, channel, "received", e) || store_put_message(g->env.store, &m, e) || count(g, channel, "stored", e))
        return -1;
    pf->message_id = m.id;
    return 0;
}

/* Of a size that the frame and its parser deserve; those for small frames are used again. */
static void take_arena(struct engine *g, struct pending_frame *pf)
{
    size_t factor = pf->parser->ops->memory_factor, n = pf->f->raw_n;
    bool is_small = n <= (size_t)64 << 10;
    if (factor) {
        size_t cap = n * factor + ARENA_EXTRA;
        pf->a = arena_new(cap < ARENA_MOST ? cap : ARENA_MOST);
    } else if (g->spare && is_small) {
        pf->a = g->spare;
        g->spare = NULL;
    } else {
        pf->a = arena_new((is_small ? (size_t)64 << 10 : n) * ARENA_FACTOR + ARENA_EXTRA);
    }
}

int intake_frame(struct engine *g, struct frame *f, struct err *e)
{
    struct pending_frame *pf = xcalloc(1, sizeof *pf);
    struct err pe = ERR_INIT;
    pf->f = f;
    pf->started_us = clock_mono_us();
    *g->frames_last = pf;
    g->frames_last = &pf->next;
    g->n_frames++;
    g->frames_bytes += f->raw_n;
    g->retain.bytes += (int64_t)f->raw_n;
    pf->ch = channel_find(g, f->listener_index);
    if (!pf->ch)
        return 0;
    if (pf->ch->conf == g->conf)
        watch_heard(g, pf->ch->lc->index, 1, clock_now_us());
    const struct listener_conf *lc = pf->ch->lc;
    struct span raw = span_make(f->raw, f->raw_n);
    if (f->state != FRAME_WHOLE) {
        if (count(g, lc->name, "received", e))
            return -1;
        return put_aside(g, pf, raw, MESSAGE_QUARANTINED, f->state == FRAME_TRUNCATED ? "TRUNCATED" : "OVERSIZE", NULL, e);
    }
    pf->parser = config_parser_find(lc, f->parser, raw);
    if (!pf->parser) {
        if (count(g, lc->name, "received", e))
            return -1;
        return put_aside(g, pf, raw, MESSAGE_QUARANTINED, "NO_PARSER", NULL, e);
    }
    take_arena(g, pf);
    bool is_read = pf->parser->ops->parse(pf->parser->options, raw, pf->a, &pf->parsed, &pe) == 0;
    if (is_read && pf->parsed.n == 0 && pf->parsed.is_batch)
        return intake_empty_batch(g, pf, raw, e);
    if (!is_read || pf->parsed.n == 0) {
        pf->is_unread = pe.kind == ERR_LIMIT;
        arena_free(pf->a);              /* it may hold many times the frame: not while the store takes that */
        pf->a = NULL;
        const char *reason = pe.kind == ERR_LIMIT ? "TOO_LARGE" : pe.kind == ERR_NONE ? "EMPTY" : "PARSER_FAILED";
        log_err(LOG_ERROR, "cannot parse", &pe);
        pf->parsed = (struct parse_result){0};
        if (count(g, lc->name, "received", e))
            return -1;
        return put_aside(g, pf, raw, MESSAGE_QUARANTINED, reason, NULL, e);
    }
    pf->is_parsed = true;
    return intake_parsed(g, pf, e);
}

/* What is wrong, for people: codes, places and our own sentences. */
static void tell_problems(const struct parsed *p, size_t place, size_t n, struct buf *b)
{
    for (size_t i = 0; i < p->n_problems; i++) {
        const struct problem *x = &p->problems[i];
        struct span at = span_has(x->expression) ? x->expression : span_of(x->where);
        if (n > 1)
            buf_addf(b, "message %zu: ", place + 1);
        buf_addf(b, "%s", x->severity == 'W' ? "remark" : x->severity == 'I' ? "note" : "error");
        if (x->code)
            buf_addf(b, " %d", x->code);
        if (x->name)
            buf_addf(b, " %s", x->name);
        if (span_has(at))
            buf_addf(b, " at %.*s", SPAN_ARG(at));
        buf_addf(b, ": %s\n", x->text ? x->text : "");
    }
}

static void tell(struct pending_frame *pf, struct reply *r)
{
    struct buf b;
    buf_init(&b, WHY_MAX_BYTES);
    r->n_messages = pf->is_parsed ? pf->parsed.n : 1;
    r->n_bad = pf->is_parsed ? 0 : 1;
    if (pf->is_unread)
        r->issue = "too-long";
    if (!pf->is_parsed)
        buf_addf(&b, "error %s: the file or message as a whole could not be read\n", pf->aside ? pf->aside : "UNREADABLE");
    for (size_t i = 0; pf->is_parsed && i < pf->parsed.n; i++) {
        const struct parsed *p = &pf->parsed.v[i];
        r->n_bad += pf->fates[i] == FATE_REFUSED || pf->fates[i] == FATE_QUARANTINED;
        for (size_t k = 0; k < p->n_problems && !r->issue; k++)
            if (p->problems[k].severity == 'E' || p->problems[k].severity == 'F')
                r->issue = p->problems[k].name;
        tell_problems(p, i, pf->parsed.n, &b);
    }
    if (pf->is_parsed && pf->parsed.batch_warning) {
        buf_addf(&b, "error %s: the batch does not hold what its trailers say, or has none: it may be cut off\n", pf->parsed.batch_warning);
        r->batch_warning = pf->parsed.batch_warning;
    }
    if (b.n)
        r->why = buf_take(&b, NULL);
    buf_clear(&b);
}

/* Kept, but beyond what a message may hold: the sender is told 207, else it would send it again for ever in silence. */
static void answer_unread(struct engine *g, struct pending_frame *pf, const struct reply_conf *rc, struct reply *r)
{
    struct err e = ERR_INIT;
    struct span payload = SPAN_ABSENT;
    struct arena *a = arena_new((size_t)1 << 20);
    struct span head = span_make(pf->f->raw, pf->f->raw_n < UNREAD_HEAD ? pf->f->raw_n : UNREAD_HEAD);
    if (pf->parser->ops->busy(pf->parser->options, head, rc, a, &payload, &e) == 0 && span_has(payload)) {
        r->payloads = xcalloc(1, sizeof *r->payloads);
        r->payloads[0] = payload;
        r->n = 1;
        g->reply_id += 2;
    }
    arena_free(a);
}

static struct reply *answer(struct engine *g, struct pending_frame *pf, bool is_committed)
{
    struct reply *r = xcalloc(1, sizeof *r);
    struct err e = ERR_INIT;
    int64_t now = clock_now_us();
    struct zone *z = pf->ch ? pf->ch->zone : NULL;
    struct reply_conf rc = {.now_us = now, .utc_offset_min = z ? zone_offset_s(z, now / 1000000) / 60 : 0, .own_app = "labrelay",
                            .own_facility = g->conf->node, .id_seed = g->reply_id, .ask = pf->f->ask, .message_id = pf->message_id};
    r->listener = pf->f->listener;
    r->conn = pf->f->conn;
    r->seq = pf->f->seq;
    r->mail.bytes = pf->f->raw_n; /* what it gives back to the byte budget */
    r->message_id = pf->message_id;
    r->is_known = pf->is_known;
    r->parser = pf->parser ? pf->parser->ops->name : NULL;
    if (!pf->ch) {
        r->status = FATE_BUSY;
        r->is_close = true;
        return r;
    }
    if (is_committed)
        tell(pf, r);
    if (!pf->is_parsed) {
        r->status = is_committed ? FATE_QUARANTINED : FATE_BUSY;
        if (pf->is_unread && pf->parser->ops->busy)
            answer_unread(g, pf, &rc, r);
        return r;
    }
    if (!is_committed)
        for (size_t i = 0; i < pf->parsed.n; i++)
            pf->fates[i] = FATE_BUSY;
    r->status = pf->parsed.n ? (int)pf->fates[0] : is_committed ? FATE_STORED : FATE_BUSY;
    if (pf->parser->ops->reply(pf->parser->options, &pf->parsed, pf->fates, &rc, pf->a, &r->payloads, &r->n, &e)) {
        log_err(LOG_ERROR, "cannot build the reply", &e);
        r->is_close = true;
    }
    g->reply_id += pf->parsed.n * 2 + 1;
    return r;
}

void intake_reply(struct engine *g, bool is_committed)
{
    struct pending_frame *next;
    for (struct pending_frame *pf = g->frames; pf; pf = next) {
        next = pf->next;
        if (pf->fates == NULL && pf->is_parsed)
            pf->fates = xcalloc(pf->parsed.n, sizeof *pf->fates);
        if (pf->f->listener) {              /* else a verb sent it: the control socket answers */
            struct reply *r = answer(g, pf, is_committed);
            mailbox_post(g->env.replies, &r->mail);
        }
        free(pf->fates);
        free(pf->ids);
        frame_free(pf->f);
        if (pf->a && !g->spare && pf->parser && !pf->parser->ops->memory_factor && arena_used(pf->a) <= (size_t)256 << 10) {
            arena_reset(pf->a);
            g->spare = pf->a;
        } else {
            arena_free(pf->a);
        }
        free(pf);
    }
    g->frames = NULL;
    g->frames_last = &g->frames;
    g->n_frames = 0;
    g->frames_bytes = 0;
}
