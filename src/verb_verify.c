/*
 * NAME labrelay verify - recounts both sums from the stored originals (DESIGN rule 2).
 *
 * frames:        received = stored + refused + quarantined + duplicate, per channel, against counters and rows.
 * observations:  every stored message is parsed again from its raw bytes; its observations = deliveries in any state + accounts.
 * Also the audit chain. Reads one snapshot only; works while the engine runs.
 * EXIT 0 all balances, 1 something does not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "kept.h"
#include "xmem.h"

#define SUMS_MAX 256

struct sum { char *a, *b; int64_t n; };
struct sums { struct sum v[SUMS_MAX]; size_t n; };

static void add(void *ctx, const char *a, const char *b, int64_t n)
{
    struct sums *s = ctx;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].a, a) == 0 && strcmp(s->v[i].b, b) == 0) {
            s->v[i].n += n;
            return;
        }
    if (s->n < SUMS_MAX)
        s->v[s->n++] = (struct sum){xstrdup(a), xstrdup(b), n};
}

static void sums_clear(struct sums *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].a);
        free(s->v[i].b);
    }
}

static int64_t get(const struct sums *s, const char *a, const char *b)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if ((!a || strcmp(s->v[i].a, a) == 0) && (!b || strcmp(s->v[i].b, b) == 0))
            n += s->v[i].n;
    return n;
}

struct recount {
    const struct config *conf;
    int64_t messages, reparsed, erased, observations, accounted, wrong;
    int64_t first_wrong;
};

static bool recount_one(void *ctx, const struct store_message_row *m, struct span raw, unsigned accounted)
{
    struct recount *rc = ctx;
    const struct listener_conf *lc = config_listener_find(rc->conf, m->channel);
    unsigned found = m->observations;
    if (m->state != MESSAGE_STORED)
        return true;
    rc->messages++;
    rc->erased += m->raw_n && !raw.p;        /* keep-raw: the row still says how many there were */
    if (lc && raw.n) {
        struct arena *a = arena_new(raw.n * 12 + ((size_t)4 << 20));
        struct parse_result pr = {.n = 0};
        struct err e = ERR_INIT;
        const struct parser_conf *pc = config_parser_find(lc, NULL, raw);
        if (pc->ops->parse(pc->options, raw, a, &pr, &e) == 0) {
            found = 0;
            for (size_t i = 0; i < pr.n; i++)
                found += pr.v[i].observations;
            rc->reparsed++;
        }
        arena_free(a);
    }
    rc->observations += found;
    rc->accounted += accounted;
    if (found != accounted || found != m->observations) {
        if (!rc->wrong++)
            rc->first_wrong = m->id;
    }
    return true;
}

static int64_t frames_line(const struct sums *f, const char *channel, struct buf *b, bool is_json)
{
    static const char *const parts[] = {"stored", "refused", "quarantined", "duplicate"};
    int64_t received = get(f, channel, "received"), sum = 0;
    for (size_t i = 0; i < 4; i++)
        sum += get(f, channel, parts[i]);
    if (is_json) {
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "channel", channel);
        buf_json_kint(b, "received", received);
        for (size_t i = 0; i < 4; i++)
            buf_json_kint(b, parts[i], get(f, channel, parts[i]));
        buf_addc(b, '}');
    } else {
        buf_addf(b, "  %-20s received %" PRId64 " = stored %" PRId64 " + refused %" PRId64 " + quarantined %" PRId64 " + duplicate %" PRId64 "%s\n", channel,
                 received, get(f, channel, parts[0]), get(f, channel, parts[1]), get(f, channel, parts[2]), get(f, channel, parts[3]),
                 received == sum ? "" : "   DOES NOT BALANCE");
    }
    return received == sum ? 0 : 1;
}

static int verify(const struct cli *c)
{
    struct sums *frames = xcalloc(1, sizeof *frames), *del = xcalloc(1, sizeof *del), *acc = xcalloc(1, sizeof *acc), *msg = xcalloc(1, sizeof *msg);
    struct store_reader *r = NULL;
    struct err e = ERR_INIT;
    struct buf b;
    bool is_json = cli_has(c, "json");
    int64_t wrong = 0, bad_audit = 0;
    int rc = EXIT_WRONG;
    buf_init(&b, (size_t)1 << 20);
    struct config *conf = kept_config(c);
    struct recount rec = {.conf = conf};
    if (!conf || !(r = cli_reader(conf)))
        goto out;
    if (store_reader_begin(r, &e) || store_sum(r, SUM_FRAMES, add, frames, &e) || store_sum(r, SUM_DELIVERIES, add, del, &e) || store_sum(r, SUM_ACCOUNTS, add, acc, &e) ||
        store_sum(r, SUM_MESSAGES, add, msg, &e) || store_each_message(r, recount_one, &rec, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    int audit = store_check_audit(r, &bad_audit, &e);
    if (audit < 0) {
        rc = cli_fail(&e);
        goto out;
    }
    if (is_json)
        buf_adds(&b, "{\"frames\":[");
    else
        buf_adds(&b, "frames\n");
    for (size_t i = 0; i < frames->n; i++) {
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && strcmp(frames->v[k].a, frames->v[i].a) != 0;
        if (is_first)
            wrong += frames_line(frames, frames->v[i].a, &b, is_json);
    }
    int64_t deliveries = get(del, NULL, NULL), accounts = get(acc, NULL, NULL);
    if (is_json) {
        buf_adds(&b, "],\"observations\":{");
        buf_json_kint(&b, "messages", rec.messages);
        buf_json_kint(&b, "reparsed", rec.reparsed);
        buf_json_kint(&b, "originals_erased", rec.erased);
        buf_json_kint(&b, "in_originals", rec.observations);
        buf_json_kint(&b, "accounted", rec.accounted);
        buf_json_kint(&b, "unbalanced_messages", rec.wrong);
        buf_json_kint(&b, "first_unbalanced", rec.first_wrong);
        buf_json_key(&b, "deliveries");
        buf_addc(&b, '{');
        for (int s = 0; s <= (int)DELIVERY_DROPPED; s++)
            buf_json_kint(&b, delivery_state_name((enum delivery_state)s), get(del, delivery_state_name((enum delivery_state)s), NULL));
        buf_adds(&b, "}");
        buf_json_kint(&b, "part-of", get(acc, "part-of", NULL));
        buf_json_kint(&b, "dropped", get(acc, "dropped", NULL));
        buf_adds(&b, "},");
    } else {
        buf_addf(&b, "observations\n  %" PRId64 " in the originals of %" PRId64 " stored messages (%" PRId64 " parsed again", rec.observations, rec.messages, rec.reparsed);
        if (rec.erased)
            buf_addf(&b, ", %" PRId64 " without their original: keep-raw", rec.erased);
        buf_adds(&b, ")\n  =");
        for (int s = 0; s <= (int)DELIVERY_DROPPED; s++) {
            int64_t n = get(del, delivery_state_name((enum delivery_state)s), NULL);
            if (n)
                buf_addf(&b, " %s %" PRId64 " +", delivery_state_name((enum delivery_state)s), n);
        }
        buf_addf(&b, " part-of %" PRId64 " + dropped %" PRId64 "%s\n", get(acc, "part-of", NULL), get(acc, "dropped", NULL),
                 rec.wrong ? "   DOES NOT BALANCE" : "");
        if (rec.wrong)
            buf_addf(&b, "  %" PRId64 " messages do not balance, the first is m%" PRId64 "\n", rec.wrong, rec.first_wrong);
        if (audit)
            buf_addf(&b, "audit trail: broken at row %" PRId64 "\n", bad_audit);
    }
    wrong += rec.wrong + audit;
    int64_t sealed = deliveries + accounts - rec.accounted;
    if (sealed < 0)
        wrong++;
    if (is_json) {
        buf_json_kint(&b, "erased_observations", sealed);
        buf_json_key(&b, "audit_whole");
        buf_adds(&b, audit ? "false" : "true");
        buf_json_key(&b, "balanced");
        buf_adds(&b, wrong ? "false}\n" : "true}\n");
    } else {
        if (sealed > 0)
            buf_addf(&b, "  and %" PRId64 " of messages erased since\n", sealed);
        buf_adds(&b, wrong ? "verify: DOES NOT BALANCE\n" : "verify: everything balances\n");
    }
    cli_print(&b);
    rc = wrong ? EXIT_WRONG : EXIT_FINE;
out:
    buf_clear(&b);
    if (r)
        store_reader_end(r);
    store_reader_close(r);
    config_free(conf);
    struct sums *all[] = {frames, del, acc, msg};
    for (size_t i = 0; i < 4; i++) {
        sums_clear(all[i]);
        free(all[i]);
    }
    return rc;
}

static const struct cli_flag flags[] = {CLI_CONFIG_FLAG, CLI_JSON_FLAG};

const struct verb verb_verify = {.name = "verify", .synopsis = "[-c FILE] [--json]", .help = "recounts frames and observations from the stored originals",
                                 .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = verify};
