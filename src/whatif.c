/*
 * NAME whatif - stored messages through a configuration, compared with what was decided.
 *
 * The ids are cut into chunks that the threads take in turn; each keeps its own counts and its first examples, which are put together at the
 * end. Without --values only codes (LNG_…), counts and truth values of a body are kept: an example holds nothing of a patient.
 * DIAGNOSTICS as store_read.c and the parsers; a message that cannot be parsed any more is a change, not an error.
 */
#include "whatif.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fhir_parser.h"
#include "xmem.h"

#define CHUNK 1024                  /* ids taken at a time */
#define ARENA_FACTOR 12             /* as in the engine */
#define ARENA_EXTRA ((size_t)4 << 20)
#define WORK_BYTES ((size_t)64 << 20)
#define SMALL_BYTES ((size_t)64 << 10)
#define THREADS_MAX 16

static const struct { const char *name, *text; } changes[] = {
    [CHANGE_PERSON] = {"person", "another person could be meant"},
    [CHANGE_WRITER] = {"writer", "would go to another writer"},
    [CHANGE_KEY] = {"key", "would not be recognised as the result it is, and written again"},
    [CHANGE_REFUSED] = {"refused", "the message would be refused"},
    [CHANGE_DROPPED] = {"dropped", "would be dropped"},
    [CHANGE_HELD] = {"held", "was sent, would be held"},
    [CHANGE_RELEASED] = {"released", "was held, would be sent"},
    [CHANGE_TAKEN] = {"taken", "was dropped or refused, would be taken"},
    [CHANGE_BODY] = {"body", "other fields would be sent"},
    [CHANGE_REASON] = {"reason", "held for another reason"},
    [CHANGE_ROUTE] = {"route", "the same by another route"},
    [CHANGE_NONE] = {"same", "nothing changes"},
};

const char *change_name(enum change c)
{
    return changes[c].name;
}

const char *change_text(enum change c)
{
    return changes[c].text;
}

struct work {                       /* shared; only `next` and `is_failed` change */
    const struct whatif_options *o;
    int64_t last;
    int64_t next;                   /* atomic: the first id of the next chunk */
    int is_failed;                  /* atomic */
};

struct worker {
    struct work *w;
    pthread_t thread;
    struct whatif result;
    struct arena *arena, *scratch;
    size_t cap;                     /* of result.examples */
    size_t n_of[CHANGE_NONE + 1];   /* examples of a kind */
    size_t at_id;                   /* into o->ids */
    struct err e;
};

/* ---- was and now ---- */

/* The writer's build held it: the only holds of a configuration that leave a body behind. */
static bool is_build_hold(const char *reason)
{
    return strcmp(reason, "NO_KEY") == 0 || strcmp(reason, "NO_IDENTITY") == 0;
}

static bool was_sent(const struct delivery *d)
{
    return d->body[0] && d->result_key[0] && !is_build_hold(d->reason);
}

static bool is_text(struct span s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

/* Where in the message an identifier stood, and how a date was flagged, decide about nobody. */
static void forget_places(json_t *who)
{
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(who, "ids"), i, id)
        (void)json_object_del(id, "path");
    (void)json_object_del(who, "flags");
    (void)json_object_del(who, "sample_day");
}

static json_t *load_object(struct span s)
{
    json_t *j = json_loadb(s.n ? s.p : "", s.n, JSON_DECODE_ANY, NULL);
    return j ? j : json_object();
}

static void count_name(struct whatif_count v[WHATIF_NAMES_MAX], const char *name, int64_t n)
{
    for (size_t i = 0; i < WHATIF_NAMES_MAX; i++) {
        if (!v[i].name)
            v[i].name = xstrdup(i + 1 < WHATIF_NAMES_MAX ? name : "others");
        else if (strcmp(v[i].name, name) != 0 && i + 1 < WHATIF_NAMES_MAX)
            continue;
        v[i].n += n;
        return;
    }
}

/* Codes, numbers of things and truth values say nothing about a person. */
static char *shown(const json_t *v, bool has_values)
{
    if (!v)
        return NULL;
    if (json_is_string(v) && (has_values || strncmp(json_string_value(v), "LNG_", 4) == 0))
        return xstrdup(json_string_value(v));
    if (json_is_boolean(v) || has_values) {
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT), *kept = xstrdup(text ? text : "");
        free(text);
        return kept;
    }
    return xstrdup("(hidden)");
}

static void add_field(struct worker *k, struct whatif_example *x, enum change c, const char *name, const json_t *was, const json_t *now)
{
    count_name(k->result.names[c], name, 1);
    if (!x)
        return;
    x->fields = xreallocarray(x->fields, x->n_fields + 1, sizeof *x->fields);
    x->fields[x->n_fields++] = (struct whatif_field){xstrdup(name), shown(was, k->w->o->has_values), shown(now, k->w->o->has_values)};
}

/* The members of two objects that differ, by name. */
static void add_fields(struct worker *k, struct whatif_example *x, enum change c, json_t *was, json_t *now)
{
    const char *name;
    json_t *v;
    json_object_foreach(was, name, v)
        if (!json_equal(v, json_object_get(now, name)))
            add_field(k, x, c, name, v, json_object_get(now, name));
    json_object_foreach(now, name, v)
        if (!json_object_get(was, name))
            add_field(k, x, c, name, NULL, v);
}

/* What differs, read: kept for those who tell the fields. */
struct pair { json_t *was, *now; };

static void pair_clear(struct pair *p)
{
    json_decref(p->was);
    json_decref(p->now);
    *p = (struct pair){NULL, NULL};
}

/* Texts may be written otherwise and say the same. */
static bool differs(const char *was, struct span now, bool is_who, struct pair *p)
{
    if (is_text(now, was))
        return false;
    pair_clear(p);
    p->was = load_object(span_of(was));
    p->now = load_object(now);
    if (is_who) {
        forget_places(p->was);
        forget_places(p->now);
    }
    return !json_equal(p->was, p->now);
}

static enum change compare(const struct delivery *was, const struct decision *now, struct pair *p)
{
    bool is_sent = !now->reason;
    if (now->rule.action == RULE_DROP)
        return was ? CHANGE_DROPPED : CHANGE_NONE;
    if (!was)
        return CHANGE_TAKEN;
    const char *route = now->rule.route ? now->rule.route : "", *writer = now->writer ? now->writer->name : "";
    if (!is_sent && !was_sent(was) && (strcmp(now->reason, was->reason) == 0 || !was->reason[0] || delivery_is_final(was->state)))
        return strcmp(route, was->route) != 0 ? CHANGE_ROUTE : CHANGE_NONE;
    if (!is_sent && !was_sent(was))
        return CHANGE_REASON;
    bool is_same = is_text(now->built.who, was->who) && is_text(now->body, was->body) && is_text(now->built.result_key, was->result_key);
    if (!is_sent)
        return is_same && is_build_hold(now->reason) && delivery_is_final(was->state) ? CHANGE_NONE : CHANGE_HELD;
    if (!was_sent(was))
        return CHANGE_RELEASED;
    if (strcmp(writer, was->writer) != 0)
        return CHANGE_WRITER;
    if (differs(was->who, now->built.who, true, p))
        return CHANGE_PERSON;
    if (!is_text(now->built.result_key, was->result_key))
        return CHANGE_KEY;
    if (differs(was->body, now->body, false, p))
        return CHANGE_BODY;
    return strcmp(route, was->route) != 0 ? CHANGE_ROUTE : CHANGE_NONE;
}

/* ---- examples ---- */

static char *joined(const char *a, const char *b)
{
    struct buf s;
    buf_init(&s, 1 << 16);
    buf_adds(&s, a);
    if (b && b[0]) {
        buf_addc(&s, ' ');
        buf_adds(&s, b);
    }
    return buf_take(&s, NULL);
}

static char *was_text(const struct delivery *d, bool was_refused)
{
    if (!d)
        return xstrdup(was_refused ? "refused" : "dropped");
    if (was_sent(d))
        return joined("sent by", d->route);
    return joined("held", d->reason);
}

static char *now_text(const struct decision *x)
{
    if (!x)
        return xstrdup("refused");
    if (x->rule.action == RULE_DROP)
        return joined("dropped", x->reason);
    return x->reason ? joined("held", x->reason) : joined("sent by", x->rule.route);
}

static void add_lines(struct whatif_example *x, const struct rule_trace *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!t->v[i].file || !t->v[i].line)
            continue;
        x->lines = xreallocarray(x->lines, x->n_lines + 1, sizeof *x->lines);
        x->lines[x->n_lines++] = (struct whatif_line){.file = xstrdup(t->v[i].file), .line = t->v[i].line,
                                                      .text = xstrndup(t->v[i].text.n ? t->v[i].text.p : "", t->v[i].text.n)};
    }
}

static struct whatif_example *new_example(struct worker *k, const struct store_visit *v, const struct delivery *d, struct span path, enum change c)
{
    struct whatif *w = &k->result;
    if (k->n_of[c] >= k->w->o->limit || (c == CHANGE_NONE && !k->w->o->has_same))
        return NULL;
    k->n_of[c]++;
    if (w->n_examples == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 16;
        w->examples = xreallocarray(w->examples, k->cap, sizeof *w->examples);
    }
    struct whatif_example *x = &w->examples[w->n_examples++];
    *x = (struct whatif_example){.message = v->m->id, .delivery = d ? d->id : 0, .channel = xstrdup(v->m->channel),
                                 .path = span_has(path) ? xstrndup(path.p, path.n) : xstrdup(d ? d->path : ""), .change = c,
                                 .state = d ? d->state : DELIVERY_DROPPED};
    return x;
}

static int note(struct worker *k, const struct store_visit *v, const struct delivery *was, bool was_refused, const struct record *r,
                const struct rec_observation *o, const struct decision *now, enum change c, struct pair *p, struct err *e)
{
    const char *wanted = k->w->o->reason;
    if (wanted && (!was || strcmp(was->reason, wanted) != 0))
        return 0;
    struct whatif_example *x = new_example(k, v, was, o ? o->path : SPAN_ABSENT, c);
    k->result.results++;
    k->result.changes[c]++;
    if (x) {
        x->was = was_text(was, was_refused);
        x->now = now_text(now);
        x->again = now ? decide_again(was, now) : AGAIN_NOTHING;
    }
    if (c == CHANGE_NONE)
        return 0;
    switch (c) {
    case CHANGE_PERSON:
    case CHANGE_BODY:
        add_fields(k, x, c, p->was, p->now);
        break;
    case CHANGE_RELEASED:
        count_name(k->result.names[c], was->reason, 1);
        break;
    case CHANGE_HELD:
    case CHANGE_REASON:
    case CHANGE_DROPPED:
        if (now && now->reason)
            count_name(k->result.names[c], now->reason, 1);
        break;
    case CHANGE_WRITER:
    case CHANGE_KEY:
    case CHANGE_REFUSED:
    case CHANGE_TAKEN:
    case CHANGE_ROUTE:
    case CHANGE_NONE:
        break;
    }
    if (x && r && o) {              /* once more, to tell the lines */
        struct rule_trace t = {.a = k->scratch};
        struct decision again;
        if (decide_observation(k->w->o->conf, r, o, k->scratch, &again, &t, e))
            return -1;
        add_lines(x, &t);
    }
    return 0;
}

/* ---- one message ---- */

/* What was decided last about this place: a replay may have added to it. */
static const struct delivery *find_was(const struct store_visit *v, size_t record, size_t observation)
{
    for (size_t i = v->n; i > 0; i--)
        if (v->v[i - 1].record_index == record && v->v[i - 1].observation_index == observation && !(v->v[i - 1].flags & DELIVERY_IS_PERSON))
            return &v->v[i - 1];
    return NULL;
}

static const struct delivery *find_person(const struct store_visit *v, size_t record)
{
    for (size_t i = v->n; i > 0; i--)
        if (v->v[i - 1].record_index == record && (v->v[i - 1].flags & DELIVERY_IS_PERSON))
            return &v->v[i - 1];
    return NULL;
}

/* The persons of a message (send case, send contact): several orders of one patient make one. */
static int persons(struct worker *k, const struct store_visit *v, struct parsed *p, bool was_refused, struct err *e)
{
    static const struct decision nothing = {.rule = {.action = RULE_DROP, .reason = "NO_ROUTE"}, .reason = "NO_ROUTE"};
    struct buf seen;
    int rc = 0;
    buf_init(&seen, WORK_BYTES);
    for (size_t ri = 0; ri < p->n_records && rc == 0; ri++) {
        const struct delivery *was = find_person(v, ri);
        struct decision now = nothing;
        struct pair pair = {NULL, NULL};
        arena_reset(k->scratch);
        if (p->fate == PARSE_ACCEPT)
            rc = decide_person(k->w->o->conf, &p->records[ri], k->scratch, &now, NULL, e);
        bool is_again = now.rule.action != RULE_DROP && now.built.result_key.n && seen.n && memmem(seen.p, seen.n, now.built.result_key.p, now.built.result_key.n);
        if (rc || (!was && (now.rule.action == RULE_DROP || is_again)))
            continue;
        buf_add_span(&seen, now.built.result_key);
        rc = note(k, v, was, was_refused, NULL, NULL, &now, compare(was, &now, &pair), &pair, e);
        pair_clear(&pair);
    }
    buf_clear(&seen);
    return rc;
}

static int refused(struct worker *k, const struct store_visit *v, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (note(k, v, &v->v[i], false, NULL, NULL, NULL, CHANGE_REFUSED, NULL, e))
            return -1;
    k->result.changes[CHANGE_REFUSED] += v->n == 0 && v->m->observations;
    return 0;
}

static int accepted(struct worker *k, const struct store_visit *v, struct parsed *p, bool was_refused, struct err *e)
{
    static const struct decision nothing = {.rule = {.action = RULE_DROP, .reason = "NOT_A_RESULT"}, .reason = "NOT_A_RESULT"};
    bool *is_met = xcalloc(v->n ? v->n : 1, sizeof *is_met);
    int rc = 0;
    for (size_t ri = 0; ri < p->n_records && p->fate == PARSE_ACCEPT && rc == 0; ri++)
        for (size_t oi = 0; oi < p->records[ri].n && rc == 0; oi++) {
            const struct record *r = &p->records[ri];
            const struct rec_observation *o = &r->observations[oi];
            const struct delivery *was = find_was(v, ri, oi);
            struct decision now;
            if (o->role != OBS_RESULT)
                continue;
            arena_reset(k->scratch);
            rc = decide_observation(k->w->o->conf, r, o, k->scratch, &now, NULL, e);
            struct pair pair = {NULL, NULL};
            if (rc == 0)
                rc = note(k, v, was, was_refused, r, o, &now, compare(was, &now, &pair), &pair, e);
            pair_clear(&pair);
            for (size_t i = 0; i < v->n; i++)
                is_met[i] = is_met[i] || (v->v[i].record_index == ri && v->v[i].observation_index == oi);
        }
    for (size_t i = 0; i < v->n && rc == 0; i++)
        if (!is_met[i] && !(v->v[i].flags & DELIVERY_IS_PERSON))
            rc = note(k, v, &v->v[i], false, NULL, NULL, &nothing, CHANGE_DROPPED, NULL, e);
    free(is_met);
    return rc ? rc : persons(k, v, p, was_refused, e);
}

/* Refused for its content: a repeat could be taken now. What a sequence or a condition of the sender refused stays refused. */
static bool was_refused_by_content(const struct store_message_row *m)
{
    return m->state == MESSAGE_REFUSED && strncmp(m->reason, "HL7_", 4) == 0 && strncmp(m->reason, "HL7_207", 7) != 0 && strncmp(m->reason, "HL7_199", 7) != 0;
}

static int message(struct worker *k, const struct store_visit *v, struct err *e)
{
    const struct store_message_row *m = v->m;
    const struct listener_conf *lc = config_listener_find(k->w->o->conf, m->channel);
    struct parse_result pr = {.n = 0};
    struct err pe = ERR_INIT;
    bool was_refused = was_refused_by_content(m);
    if (m->state != MESSAGE_STORED && !was_refused) {
        k->result.unread++;
        return 0;
    }
    if (strcmp(m->reason, "CONTINUED") == 0 || strcmp(m->reason, "CONTINUATION") == 0) {
        k->result.parts++;
        return 0;
    }
    if (!v->raw.p) {
        k->result.erased++;
        return 0;
    }
    k->result.messages++;
    if (!lc) {
        k->result.no_listener++;
        return was_refused ? 0 : refused(k, v, e);
    }
    struct arena *own = v->raw.n > SMALL_BYTES ? arena_new(v->raw.n * ARENA_FACTOR + ARENA_EXTRA) : k->arena;
    arena_reset(own);
    const struct parser_conf *pc = config_parser_find(lc, NULL, v->raw);
    int rc = pc->ops->parse(pc->options, v->raw, own, &pr, &pe);
    if (rc == 0 && pr.n)
        decide_admit(k->w->o->conf, lc->name, &pr.v[0]);
    bool is_taken = rc == 0 && pr.n && (pr.v[0].fate == PARSE_ACCEPT || pr.v[0].fate == PARSE_FILTER || pr.v[0].fate == PARSE_SILENT);
    if (is_taken) {
        pr.v[0].message.channel = span_of(lc->name);
        rc = accepted(k, v, &pr.v[0], was_refused, e);
    } else {
        rc = was_refused || (rc == 0 && pr.n == 0 && v->n == 0) ? 0 : refused(k, v, e);
    }
    if (own != k->arena)
        arena_free(own);
    return rc;
}

/* ---- all of them ---- */

static bool is_wanted(struct worker *k, int64_t id)
{
    const struct whatif_options *o = k->w->o;
    if (!o->ids)
        return true;
    while (k->at_id < o->n_ids && o->ids[k->at_id] < id)
        k->at_id++;
    return k->at_id < o->n_ids && o->ids[k->at_id] == id;
}

static bool visit(void *ctx, const struct store_visit *v)
{
    struct worker *k = ctx;
    if (__atomic_load_n(&k->w->is_failed, __ATOMIC_RELAXED))
        return false;
    return !is_wanted(k, v->m->id) || message(k, v, &k->e) == 0;
}

static void *worker_thread(void *arg)
{
    struct worker *k = arg;
    struct store_reader *r = NULL;
    struct store_walk part = k->w->o->range;
    int64_t end = part.last_id ? part.last_id : k->w->last;
    int rc = store_reader_open(&r, k->w->o->store_path, &k->e);
    k->arena = arena_new(SMALL_BYTES * ARENA_FACTOR + ARENA_EXTRA);
    k->scratch = arena_new(WORK_BYTES);
    while (rc == 0 && !__atomic_load_n(&k->w->is_failed, __ATOMIC_RELAXED)) {
        int64_t first = __atomic_fetch_add(&k->w->next, CHUNK, __ATOMIC_RELAXED);
        if (first > end)
            break;
        part.after_id = first - 1;
        part.last_id = first + CHUNK - 1 < end ? first + CHUNK - 1 : end;
        rc = store_walk(r, &part, visit, k, &k->e);
        if (k->e.kind != ERR_NONE)
            rc = -1;
    }
    if (rc)
        __atomic_store_n(&k->w->is_failed, 1, __ATOMIC_RELAXED);
    arena_free(k->arena);
    arena_free(k->scratch);
    store_reader_close(r);
    return NULL;
}

static void example_clear(struct whatif_example *x)
{
    for (size_t i = 0; i < x->n_fields; i++) {
        free(x->fields[i].name);
        free(x->fields[i].was);
        free(x->fields[i].now);
    }
    for (size_t i = 0; i < x->n_lines; i++) {
        free(x->lines[i].file);
        free(x->lines[i].text);
    }
    free(x->fields);
    free(x->lines);
    free(x->channel);
    free(x->path);
    free(x->was);
    free(x->now);
}

void whatif_clear(struct whatif *w)
{
    for (size_t i = 0; i < w->n_examples; i++)
        example_clear(&w->examples[i]);
    free(w->examples);
    for (size_t c = 0; c < CHANGE_NONE; c++)
        for (size_t i = 0; i < WHATIF_NAMES_MAX; i++)
            free(w->names[c][i].name);
    *w = (struct whatif){.messages = 0};
}

static int by_message(const void *a, const void *b)
{
    const struct whatif_example *x = a, *y = b;
    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->delivery != y->delivery ? (x->delivery < y->delivery ? -1 : 1) : strcmp(x->path, y->path);
}

static int by_change(const void *a, const void *b)
{
    const struct whatif_example *x = a, *y = b;
    return x->change != y->change ? (x->change < y->change ? -1 : 1) : by_message(a, b);
}

/* The first of each kind, of all threads. */
static void cut(struct whatif *w, const struct whatif_options *o)
{
    size_t n = 0, n_of[CHANGE_NONE + 1] = {0};
    qsort(w->examples, w->n_examples, sizeof *w->examples, o->has_same ? by_message : by_change);
    for (size_t i = 0; i < w->n_examples; i++) {
        if (n_of[w->examples[i].change]++ < o->limit)
            w->examples[n++] = w->examples[i];
        else
            example_clear(&w->examples[i]);
    }
    w->n_examples = n;
}

static void put_together(struct whatif *to, struct whatif *from)
{
    int64_t *sum[] = {&to->messages, &to->results, &to->erased, &to->parts, &to->unread, &to->no_listener};
    const int64_t add[] = {from->messages, from->results, from->erased, from->parts, from->unread, from->no_listener};
    for (size_t i = 0; i < sizeof add / sizeof add[0]; i++)
        *sum[i] += add[i];
    for (size_t c = 0; c <= CHANGE_NONE; c++)
        to->changes[c] += from->changes[c];
    for (size_t c = 0; c < CHANGE_NONE; c++)
        for (size_t i = 0; i < WHATIF_NAMES_MAX && from->names[c][i].name; i++)
            count_name(to->names[c], from->names[c][i].name, from->names[c][i].n);
    if (from->n_examples) {
        to->examples = xreallocarray(to->examples, to->n_examples + from->n_examples, sizeof *to->examples);
        memcpy(to->examples + to->n_examples, from->examples, from->n_examples * sizeof *to->examples);
        to->n_examples += from->n_examples;
        from->n_examples = 0;
    }
    whatif_clear(from);
}

int whatif_run(const struct whatif_options *o, struct whatif *out, struct err *e)
{
    struct work w = {.o = o, .next = o->range.after_id + 1};
    unsigned n = o->threads < 1 ? 1 : o->threads > THREADS_MAX ? THREADS_MAX : o->threads, started = 0;
    struct worker *v = xcalloc(n, sizeof *v);
    struct store_reader *r = NULL;
    int rc = -1;
    *out = (struct whatif){.messages = 0};
    fhir_parser_init();
    if (store_reader_open(&r, o->store_path, e) == 0)
        rc = store_last_message(r, &w.last, e);
    store_reader_close(r);
    for (; rc == 0 && started < n; started++) {
        v[started] = (struct worker){.w = &w, .e = ERR_INIT};
        if (pthread_create(&v[started].thread, NULL, worker_thread, &v[started]) != 0) {
            rc = err_set(e, ERR_TEMP, "whatif", "cannot start a thread: %s", strerror(errno));
            __atomic_store_n(&w.is_failed, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(v[i].thread, NULL);
        if (v[i].e.kind != ERR_NONE && rc == 0) {
            *e = v[i].e;
            rc = -1;
        }
        put_together(out, &v[i].result);
    }
    free(v);
    if (out->n_examples)
        cut(out, o);
    return rc;
}
