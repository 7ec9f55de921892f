/*
 * NAME part - messages sent in parts (HL7 DSC; STANDARDS 2.9).
 *
 * Every part is a stored message of its own, acknowledged for itself, with reason CONTINUED, the last with CONTINUATION; its
 * observations are accounted as part-of CONTINUATION. When the last one comes, a message with reason JOINED is stored beside them, in the
 * same batch: its bytes are the joined parts, and its observations are the ones that are routed. It is no received frame and counts
 * as none. A last part that makes a message the parser refuses is refused itself; the others go on waiting for a better one.
 * A set that waits for more than WAIT_US is given up: joined as far as it goes, stored with reason INCOMPLETE_CONTINUATION, its DSC left in,
 * so that every result of it is held under that reason.
 * CRASH STATES sets are rows of the store: they wait across restarts.
 * DIAGNOSTICS "joined", and "parts of a message are missing", with an alarm.
 */
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "inner.h"
#include "log.h"
#include "text.h"
#include "xmem.h"

#define WAIT_US (INT64_C(600) * 1000000)
#define JOIN_MAX_BYTES ((size_t)64 << 20)
#define ARENA_FACTOR 12
#define ARENA_EXTRA ((size_t)4 << 20)
#define GIVE_UP_MAX 20              /* sets in one idle turn */

/* Parts belong together by channel, MSH-3, MSH-4 and pointer. */
static void make_key(const struct rec_message *m, struct span pointer, char out[65])
{
    struct span part[] = {m->channel, m->source_app.value, m->source_facility.value, pointer};
    unsigned char sum[32];
    struct buf b;
    buf_init(&b, JOIN_MAX_BYTES);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        buf_add_int(&b, (int64_t)part[i].n);
        buf_addc(&b, ':');
        buf_add_span(&b, part[i]);
    }
    text_sha256(b.p, b.n, sum);
    text_hex(sum, 32, out);
    buf_clear(&b);
}

/* The parts of the set, and `last` when it has bytes, joined into one frame and parsed. 1: they cannot be. */
static int join(struct engine *g, const struct parser_conf *pc, const struct store_fragments *set, struct span last, bool is_whole, struct arena **a,
                struct parse_result *out, struct err *e)
{
    struct buf b;
    struct err pe = ERR_INIT;
    size_t n = set->n + (last.n > 0), *end = xcalloc(n, sizeof *end);
    struct span *part = xcalloc(n, sizeof *part);
    int rc = 0;
    buf_init(&b, JOIN_MAX_BYTES);
    for (size_t i = 0; i < set->n && rc == 0; i++) {
        rc = store_get_raw(g->env.store, set->ids[i], &b, e);
        end[i] = b.n;
    }
    buf_add_span(&b, last);
    if (rc == 0 && b.is_full)
        rc = 1;
    *a = arena_new(b.n * (ARENA_FACTOR + 1) + ARENA_EXTRA);
    end[n - 1] = b.n;
    for (size_t i = 0; i < n && rc == 0; i++)
        part[i] = span_make(b.p + (i ? end[i - 1] : 0), end[i] - (i ? end[i - 1] : 0));
    if (rc == 0) {
        struct span whole = pc->ops->join(part, n, is_whole, *a);
        rc = !span_has(whole) || pc->ops->parse(pc->options, whole, *a, out, &pe) || out->n != 1 ? 1 : 0;
    }
    buf_clear(&b);
    free(part);
    free(end);
    return rc;
}

/* The whole message was refused: so is the part that completed it, for the same reasons. */
static int refuse(struct pending_frame *pf, struct parsed *p, const struct parsed *whole)
{
    static const struct problem unfit = {.severity = 'E', .code = 207, .where = "MSH^1^14", .name = "PARTS_DO_NOT_FIT", .text = "Application error"};
    const struct problem *v = whole ? whole->problems : &unfit;
    size_t n = whole ? whole->n_problems : 1;
    struct problem *kept = arena_array(pf->a, n ? n : 1, sizeof *kept);
    for (size_t i = 0; kept && i < n; i++) {
        kept[i] = v[i];
        kept[i].expression = SPAN_ABSENT;
    }
    p->fate = PARSE_REFUSE;
    p->problems = kept;
    p->n_problems = kept ? n : 0;
    return 0;
}

int part_meet(struct engine *g, struct pending_frame *pf, struct parsed *p, struct part *out, struct err *e)
{
    char key[65];
    int found = 1;
    if (p->fate != PARSE_ACCEPT && p->fate != PARSE_REFUSE)
        return 0;
    if (span_has(p->continues)) {
        make_key(&p->message, p->continues, key);
        if ((found = store_find_fragments(g->env.store, key, &out->set, e)) < 0)
            return -1;
    }
    if (span_has(p->continued_by) && p->fate == PARSE_ACCEPT) {
        make_key(&p->message, p->continued_by, out->key);
        out->reason = "CONTINUED";
        return 0;
    }
    if (found != 0)
        return 0;
    int rc = join(g, pf->parser, &out->set, p->raw, true, &out->a, &out->joined, e);
    if (rc < 0)
        return -1;
    struct parsed *whole = rc == 0 ? &out->joined.v[0] : NULL;
    if (!whole || whole->fate != PARSE_ACCEPT)
        return refuse(pf, p, whole);
    whole->message.channel = p->message.channel;
    p->fate = PARSE_ACCEPT;
    p->n_problems = 0;
    out->reason = "CONTINUATION";
    return 0;
}

/* Stores the joined message and sends its observations through the rules. */
static int take_whole(struct engine *g, struct pending_frame *pf, const struct store_fragments *set, const struct parsed *whole, const char *reason, struct err *e)
{
    bool is_good = whole->fate == PARSE_ACCEPT;
    unsigned deliveries = 0;
    struct store_message m = {.channel = pf->ch->lc->name, .source_app = whole->message.source_app.value,
                              .source_facility = whole->message.source_facility.value, .control_id = whole->message.control_id, .kind = whole->message.kind,
                              .received_us = pf->f->received_us, .peer = pf->f->peer, .state = is_good ? MESSAGE_STORED : MESSAGE_QUARANTINED, .reason = reason,
                              .raw = whole->raw, .observations = whole->observations, .config = pf->ch->config_number};
    text_sha256(m.raw.p, m.raw.n, m.sha256);
    for (size_t i = 0; i < whole->n_problems; i++)
        m.warnings += whole->problems[i].severity == 'W';
    if (store_put_message(g->env.store, &m, e) || (is_good && intake_deliver(g, pf, whole, m.id, &deliveries, e)) ||
        store_drop_fragments(g->env.store, set->first, e))
        return -1;
    log_event(LOG_INFO, "joined", log_id("msg", 'm', m.id), log_id("first", 'm', set->first), log_word("channel", m.channel), log_int("parts", (int64_t)set->n),
              log_int("bytes", (int64_t)m.raw.n), log_int("observations", m.observations), log_int("deliveries", deliveries), log_word("reason", reason));
    return 0;
}

int part_take(struct engine *g, struct pending_frame *pf, struct part *part, const struct store_message *m, struct err *e)
{
    if (!part->a) {
        int64_t first = part->set.n ? part->set.first : m->id;
        return store_put_fragment(g->env.store, m->id, first, m->channel, part->key, m->received_us, e);
    }
    struct arena *own = pf->a;
    pf->a = part->a;
    int rc = take_whole(g, pf, &part->set, &part->joined.v[0], "JOINED", e);
    pf->a = own;
    return rc;
}

void part_clear(struct part *part)
{
    store_fragments_clear(&part->set);
    arena_free(part->a);
    part->a = NULL;
}

static int give_up(struct engine *g, const struct store_fragments *set, int64_t now, struct err *e)
{
    struct frame f = {.received_us = now};
    struct pending_frame pf = {.f = &f};
    struct parse_result whole = {.n = 0};
    struct buf raw;
    const struct parser_conf *pc = NULL;
    int rc = 1;
    pf.ch = channel_named(g, set->channel);
    log_event(LOG_ERROR, "parts of a message are missing", log_id("msg", 'm', set->first), log_word("channel", set->channel),
              log_int("parts", (int64_t)set->n), log_word("reason", "INCOMPLETE_CONTINUATION"));
    alarm_event(g, "parts-missing", set->channel, 'm', set->first);
    if (!pf.ch)       /* nobody can read them now: the alarm comes again */
        return store_delay_fragments(g->env.store, set->first, now, e);
    buf_init(&raw, JOIN_MAX_BYTES);
    if (store_get_raw(g->env.store, set->first, &raw, e) == 0)
        pc = config_parser_find(pf.ch->lc, NULL, buf_span(&raw));
    buf_clear(&raw);
    if (pc && pc->ops->join)
        rc = join(g, pc, set, SPAN_ABSENT, false, &pf.a, &whole, e);
    if (rc == 0) {
        whole.v[0].message.channel = span_of(set->channel);
        rc = take_whole(g, &pf, set, &whole.v[0], "INCOMPLETE_CONTINUATION", e);
    } else if (rc > 0) {
        rc = store_delay_fragments(g->env.store, set->first, now, e);
    }
    arena_free(pf.a);
    return rc;
}

int part_give_up(struct engine *g, int64_t now, struct err *e)
{
    for (size_t i = 0; i < GIVE_UP_MAX; i++) {
        struct store_fragments set;
        int rc = store_find_old_fragments(g->env.store, now - WAIT_US, &set, e);
        if (rc)
            return rc < 0 ? -1 : 0;
        rc = give_up(g, &set, now, e);
        store_fragments_clear(&set);
        if (rc)
            return -1;
    }
    return 0;
}
