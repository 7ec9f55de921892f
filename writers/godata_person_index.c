/*
 * NAME godata_person_index - the people of an outbreak in memory, found by identifier, birth date and the consonants of their names.
 *
 * One map from 64-bit keys to lists of slots serves all; a hit by key is always compared again byte by byte or in full. Names go in under
 * the consonant classes of each word and of each two neighbours written together. A search adds up, for everybody who shares a key, how rare
 * that key is and what the birth date says, takes the SHORT_LIST best of them, and compares only those in full.
 * Invariants: a slot in use stands exactly once in the list of each of its keys; a free slot stands in none.
 * DIAGNOSTICS none; out of memory aborts.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "godata_person_inner.h"
#include "xmem.h"

#define SHORT_LIST 220
#define SLOT_KEYS_MAX (4 + GODATA_DOCUMENTS_MAX + 3 * GODATA_WORDS_MAX)
#define QUERY_KEYS_MAX (3 * GODATA_WORDS_MAX + 4)

enum kind { KEY_ID = 1, KEY_VISUAL, KEY_DOCUMENT, KEY_NUMBER, KEY_DAY, KEY_NAME };

struct slot {
    struct godata_person person;        /* spans into `block` */
    struct godata_name_words words;
    char *block;                        /* NULL: free */
};
struct list {                           /* one key; n 0 stays as a hole that the same key fills again */
    uint64_t key;                       /* 0: never used */
    uint32_t n, cap;                    /* cap 0: the one slot stands in `one` */
    union { uint32_t one; uint32_t *v; } at;
};
/* A key's table by its top bits, so that a table that grows takes little room beside the old one; its place by the bits below. */
#define TABLE_BITS 6
#define TABLES (1 << TABLE_BITS)
struct table { struct list *v; uint32_t n, cap; };      /* open addressing, any size */
struct godata_people {
    struct godata_names *names;
    struct slot *slots;
    struct godata_born *born;           /* of each slot: a search reads many of these and nothing else */
    uint32_t n_slots, cap_slots, n_live;
    uint32_t *free_slots;
    uint32_t n_free, cap_free;
    struct table tables[TABLES];
    char *masks[GODATA_PERSON_TYPES];
    float *points;                      /* of each slot, for the search under way */
    uint32_t *touched;
    uint32_t cap_points;
};

#define TABLE_FIRST 16
static void table_set(struct table *t, uint32_t cap) { *t = (struct table){.v = xcalloc(cap, sizeof *t->v), .cap = cap}; }

struct godata_people *godata_people_new(void)
{
    struct godata_people *p = xcalloc(1, sizeof *p);
    p->names = godata_names_new();
    for (size_t i = 0; i < TABLES; i++)
        table_set(&p->tables[i], TABLE_FIRST);
    return p;
}

void godata_people_free(struct godata_people *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->n_slots; i++)
        free(p->slots[i].block);
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < p->tables[t].cap; i++)
            if (p->tables[t].v[i].cap)
                free(p->tables[t].v[i].at.v);
        free(p->tables[t].v);
    }
    for (size_t i = 0; i < GODATA_PERSON_TYPES; i++)
        free(p->masks[i]);
    godata_names_free(p->names);
    free(p->slots);
    free(p->born);
    free(p->free_slots);
    free(p->points);
    free(p->touched);
    free(p);
}

size_t godata_people_count(const struct godata_people *p) { return p->n_live; }

void godata_people_set_mask(struct godata_people *p, enum godata_person_type type, struct span mask)
{
    free(p->masks[type]);
    p->masks[type] = span_has(mask) ? xstrndup(mask.p, mask.n) : NULL;
}

/* ---- keys and lists ---- */

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 33;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return (h ^ (h >> 33)) | 1;
}

static uint64_t key_of(enum kind kind, struct span a, struct span b)
{
    uint64_t h = UINT64_C(1469598103934665603) ^ (uint64_t)kind;
    for (size_t i = 0; i < a.n; i++)
        h = (h ^ (unsigned char)a.p[i]) * UINT64_C(1099511628211);
    h = (h ^ 0xFF) * UINT64_C(1099511628211);
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ (unsigned char)b.p[i]) * UINT64_C(1099511628211);
    return mix(h);
}

static uint64_t number_key(enum kind kind, uint64_t v) { return mix(v * 31 + (uint64_t)kind); }

static size_t table_of(uint64_t key) { return key >> (64 - TABLE_BITS); }

/* Where the key stands or may be put. */
static struct list *table_at(const struct table *t, uint64_t key)
{
    size_t at = (size_t)((((key >> (32 - TABLE_BITS)) & UINT32_MAX) * t->cap) >> 32);
    while (t->v[at].key && t->v[at].key != key)
        at = at + 1 == t->cap ? 0 : at + 1;
    return &t->v[at];
}

static struct list *list_find(const struct godata_people *p, uint64_t key)
{
    struct list *l = table_at(&p->tables[table_of(key)], key);
    return l->key ? l : NULL;
}

static const uint32_t *list_slots(const struct list *l) { return l->cap ? l->at.v : &l->at.one; }

static void table_grow(struct table *t)
{
    struct table bigger;
    table_set(&bigger, t->cap + t->cap / 2);
    for (size_t i = 0; i < t->cap; i++)
        if (t->v[i].key)
            *table_at(&bigger, t->v[i].key) = t->v[i];
    bigger.n = t->n;
    free(t->v);
    *t = bigger;
}

static void list_add(struct godata_people *p, uint64_t key, uint32_t slot)
{
    struct table *t = &p->tables[table_of(key)];
    if ((uint64_t)t->n * 4 >= (uint64_t)t->cap * 3)
        table_grow(t);
    struct list *l = table_at(t, key);
    if (l->key == 0) {
        l->key = key;
        t->n++;
    }
    if (l->n == 0 && l->cap == 0) {
        l->at.one = slot;
    } else if (l->cap == 0) {
        uint32_t first = l->at.one;
        l->cap = 4;
        l->at.v = xmalloc(l->cap * sizeof *l->at.v);
        l->at.v[0] = first;
        l->at.v[1] = slot;
    } else {
        if (l->n == l->cap) {
            l->cap *= 2;
            l->at.v = xreallocarray(l->at.v, l->cap, sizeof *l->at.v);
        }
        l->at.v[l->n] = slot;
    }
    l->n++;
}

static void list_remove(struct godata_people *p, uint64_t key, uint32_t slot)
{
    struct list *l = list_find(p, key);
    if (!l)
        return;
    uint32_t *v = l->cap ? l->at.v : &l->at.one;
    for (uint32_t i = 0; i < l->n; i++)
        if (v[i] == slot) {
            v[i] = v[--l->n];
            return;
        }
}

static void add_key(uint64_t *keys, size_t *n, size_t max, uint64_t key)
{
    for (size_t i = 0; i < *n; i++)
        if (keys[i] == key)
            return;
    if (*n < max)
        keys[(*n)++] = key;
}

static void add_name_keys(const struct godata_people *p, const struct godata_name_words *w, uint64_t *keys, size_t *n, size_t max)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct godata_word *x = godata_names_word(p->names, w->v[i]);
        for (size_t k = 0; k < 2; k++)
            if (x->keys[k] && !x->is_weak)
                add_key(keys, n, max, number_key(KEY_NAME, x->keys[k]));
        if (i + 1 < w->n)
            add_key(keys, n, max, number_key(KEY_NAME, godata_names_joint_key(p->names, w->v[i], w->v[i + 1])));
    }
}

static size_t slot_keys(const struct godata_people *p, const struct slot *s, uint64_t *keys)
{
    size_t n = 0, max = SLOT_KEYS_MAX;
    const struct godata_person *x = &s->person;
    add_key(keys, &n, max, key_of(KEY_ID, x->id, SPAN_ABSENT));
    if (span_has(x->visual_id))
        add_key(keys, &n, max, key_of(KEY_VISUAL, x->visual_id, SPAN_ABSENT));
    int64_t number = p->masks[x->type] ? godata_mask_number(span_of(p->masks[x->type]), x->visual_id) : -1;
    if (number >= 0)
        add_key(keys, &n, max, number_key(KEY_NUMBER, (uint64_t)number));
    for (size_t i = 0; i < x->n_documents; i++)
        if (span_has(x->documents[i].number))
            add_key(keys, &n, max, key_of(KEY_DOCUMENT, x->documents[i].number, SPAN_ABSENT));
    if (x->born.prec == 'D')
        add_key(keys, &n, max, number_key(KEY_DAY, (uint64_t)(int64_t)x->born.from));
    add_name_keys(p, &s->words, keys, &n, max);
    return n;
}

/* ---- people ---- */

static void words_of(struct godata_people *p, struct span family, struct span given, struct span middle, struct godata_name_words *out)
{
    out->n = 0;
    godata_names_add(p->names, family, 0, out);
    godata_names_add(p->names, given, 1, out);
    godata_names_add(p->names, middle, 2, out);
}

static struct span keep(char **at, struct span s)
{
    if (s.n)
        memcpy(*at, s.p, s.n);
    struct span copy = s.n ? span_make(*at, s.n) : SPAN_ABSENT;
    *at += s.n;
    return copy;
}

/* One block holds the documents and all texts. */
static void slot_fill(struct godata_people *p, struct slot *s, const struct godata_person *x)
{
    size_t docs = x->n_documents < GODATA_DOCUMENTS_MAX ? x->n_documents : GODATA_DOCUMENTS_MAX;
    struct span visual = span_trim(x->visual_id);
    size_t bytes = docs * sizeof *x->documents + x->id.n + visual.n + x->last.n + x->first.n + x->middle.n;
    for (size_t i = 0; i < docs; i++)
        bytes += x->documents[i].type.n + x->documents[i].number.n;
    s->block = xmalloc(bytes);
    struct godata_document *d = (struct godata_document *)(void *)s->block;
    char *at = s->block + docs * sizeof *d;
    s->person = (struct godata_person){.documents = docs ? d : NULL, .n_documents = docs, .born = x->born, .type = x->type, .sex = x->sex};
    s->person.id = keep(&at, x->id);
    s->person.visual_id = keep(&at, visual);
    s->person.last = keep(&at, x->last);
    s->person.first = keep(&at, x->first);
    s->person.middle = keep(&at, x->middle);
    for (size_t i = 0; i < docs; i++) {
        d[i].type = keep(&at, x->documents[i].type);
        d[i].number = keep(&at, span_trim(x->documents[i].number));
    }
    words_of(p, x->last, x->first, x->middle, &s->words);
}

static int64_t slot_of(const struct godata_people *p, struct span id)
{
    const struct list *l = list_find(p, key_of(KEY_ID, id, SPAN_ABSENT));
    for (uint32_t i = 0; l && i < l->n; i++)
        if (span_eq(p->slots[list_slots(l)[i]].person.id, id))
            return list_slots(l)[i];
    return -1;
}

static void slot_empty(struct godata_people *p, uint32_t slot)
{
    uint64_t keys[SLOT_KEYS_MAX];
    size_t n = slot_keys(p, &p->slots[slot], keys);
    for (size_t i = 0; i < n; i++)
        list_remove(p, keys[i], slot);
    free(p->slots[slot].block);
    p->slots[slot].block = NULL;
    if (p->n_free == p->cap_free) {
        p->cap_free = p->cap_free ? p->cap_free * 2 : 64;
        p->free_slots = xreallocarray(p->free_slots, p->cap_free, sizeof *p->free_slots);
    }
    p->free_slots[p->n_free++] = slot;
    p->n_live--;
}

void godata_people_put(struct godata_people *p, const struct godata_person *person)
{
    uint64_t keys[SLOT_KEYS_MAX];
    uint32_t slot;
    if (!span_has(person->id))
        return;
    (void)godata_people_drop(p, person->id);
    if (p->n_free) {
        slot = p->free_slots[--p->n_free];
    } else {
        if (p->n_slots == p->cap_slots) {
            p->cap_slots = p->cap_slots ? p->cap_slots * 2 : 256;
            p->slots = xreallocarray(p->slots, p->cap_slots, sizeof *p->slots);
            p->born = xreallocarray(p->born, p->cap_slots, sizeof *p->born);
        }
        slot = p->n_slots++;
    }
    slot_fill(p, &p->slots[slot], person);
    p->born[slot] = person->born;
    size_t n = slot_keys(p, &p->slots[slot], keys);
    for (size_t i = 0; i < n; i++)
        list_add(p, keys[i], slot);
    p->n_live++;
}

bool godata_people_drop(struct godata_people *p, struct span id)
{
    int64_t slot = slot_of(p, id);
    if (slot >= 0)
        slot_empty(p, (uint32_t)slot);
    return slot >= 0;
}

const struct godata_person *godata_people_find(const struct godata_people *p, struct span id)
{
    int64_t slot = slot_of(p, id);
    return slot < 0 ? NULL : &p->slots[slot].person;
}

void godata_people_compare(struct godata_people *p, const struct godata_subject *s, const struct godata_person *person, struct godata_candidate *out)
{
    struct godata_name_words ours, theirs;
    words_of(p, s->family, s->given, s->middle, &ours);
    words_of(p, person->last, person->first, person->middle, &theirs);
    person_compare(p->names, s, &ours, person, &theirs, out);
}

/* ---- by identifier ---- */

struct hit { uint32_t slot, keys, by_mask; };
struct hits { struct hit v[64]; size_t n, all; };       /* all: persons found, shown or not */

static void hit_add(struct hits *h, uint32_t slot, size_t key, bool is_mask)
{
    size_t i = 0;
    while (i < h->n && h->v[i].slot != slot)
        i++;
    if (i == h->n) {
        h->all++;
        if (h->n == sizeof h->v / sizeof h->v[0])
            return;
        h->v[h->n++] = (struct hit){.slot = slot};
    }
    if (is_mask)
        h->v[i].by_mask |= UINT32_C(1) << key;
    else
        h->v[i].keys |= UINT32_C(1) << key;
}

static bool has_document(const struct godata_person *x, const struct godata_person_key *k, struct span value)
{
    for (size_t i = 0; i < x->n_documents; i++)
        if (span_eq(x->documents[i].number, value) && (!span_has(k->document) || span_eq(x->documents[i].type, k->document)))
            return true;
    return false;
}

static void find_by_mask(const struct godata_people *p, struct span said, size_t key, struct hits *h)
{
    int64_t number = godata_mask_said(said);
    const struct list *l = number < 0 ? NULL : list_find(p, number_key(KEY_NUMBER, (uint64_t)number));
    for (uint32_t i = 0; l && i < l->n; i++) {
        const struct godata_person *x = &p->slots[list_slots(l)[i]].person;
        if (p->masks[x->type] && godata_mask_completes(span_of(p->masks[x->type]), x->visual_id, said))
            hit_add(h, list_slots(l)[i], key, true);
    }
}

static unsigned find_by_key(const struct godata_people *p, const struct godata_person_key *k, size_t key, struct hits *h)
{
    struct span value = span_trim(k->value);
    const struct list *l = NULL;
    unsigned found = 0;
    if (!span_has(value))
        return 0;
    switch (k->role) {
    case GODATA_BY_ID: l = list_find(p, key_of(KEY_ID, value, SPAN_ABSENT)); break;
    case GODATA_BY_VISUAL_ID: l = list_find(p, key_of(KEY_VISUAL, value, SPAN_ABSENT)); break;
    case GODATA_BY_DOCUMENT: l = list_find(p, key_of(KEY_DOCUMENT, value, SPAN_ABSENT)); break;
    case GODATA_BY_QUESTIONNAIRE:           /* as documents of the type "?VARIABLE" */
    case GODATA_BY_SAMPLE:
    case GODATA_IGNORE: return 0;
    }
    for (uint32_t i = 0; l && i < l->n; i++) {
        const struct godata_person *x = &p->slots[list_slots(l)[i]].person;
        bool fits = k->role == GODATA_BY_ID ? span_eq(x->id, value) : k->role == GODATA_BY_VISUAL_ID ? span_eq(x->visual_id, value) : has_document(x, k, value);
        if (fits) {
            hit_add(h, list_slots(l)[i], key, false);
            found++;
        }
    }
    if (!found && k->role == GODATA_BY_VISUAL_ID)
        find_by_mask(p, value, key, h);
    return found;
}

/* ---- by name ---- */

struct quick { float points; uint32_t slot; };

static float birth_quick(const struct godata_born *a, const struct godata_born *b)
{
    if (!a->prec || !b->prec)
        return 0;
    if (a->prec == 'D' && a->from == b->from && a->to == b->to)
        return 12;
    if (a->from <= b->to && b->from <= a->to)
        return 4;
    int32_t gap = a->from > b->to ? a->from - b->to : b->from - a->to;
    return gap < 400 ? 2 : gap < 1200 ? 0 : -5;
}

static void touch(struct godata_people *p, uint32_t slot, float points, uint32_t *n)
{
    if (p->points[slot] <= 0) {
        p->touched[(*n)++] = slot;
        p->points[slot] = 0.001F;
    }
    p->points[slot] += points;
}

static void touch_list(struct godata_people *p, uint64_t key, float worth, uint32_t *n)
{
    const struct list *l = list_find(p, key);
    for (uint32_t i = 0; l && i < l->n; i++)
        touch(p, list_slots(l)[i], worth, n);
}

static float rarity(const struct godata_people *p, uint64_t key)
{
    const struct list *l = list_find(p, key);
    return l && l->n ? 1 + log2f((float)p->n_live / (float)l->n) : 0;
}

static void sift_down(struct quick *heap, size_t n, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1;
        if (left < n && heap[left].points < heap[least].points)
            least = left;
        if (left + 1 < n && heap[left + 1].points < heap[least].points)
            least = left + 1;
        if (least == at)
            return;
        struct quick t = heap[at];
        heap[at] = heap[least];
        heap[least] = t;
        at = least;
    }
}

/* Keeps the best; the worst of them on top. */
static void short_list_add(struct quick *heap, size_t *n, struct quick x)
{
    if (*n < SHORT_LIST) {
        heap[(*n)++] = x;
        if (*n == SHORT_LIST)
            for (size_t i = SHORT_LIST / 2; i-- > 0;)
                sift_down(heap, SHORT_LIST, i);
        return;
    }
    if (x.points <= heap[0].points)
        return;
    heap[0] = x;
    sift_down(heap, SHORT_LIST, 0);
}

static void room_for_points(struct godata_people *p)
{
    if (p->cap_points >= p->n_slots)
        return;
    free(p->points);
    free(p->touched);
    p->cap_points = p->cap_slots;
    p->points = xcalloc(p->cap_points, sizeof *p->points);
    p->touched = xmalloc(p->cap_points * sizeof *p->touched);
}

static uint32_t gather(struct godata_people *p, const struct godata_subject *s, const struct godata_name_words *ours)
{
    uint64_t keys[QUERY_KEYS_MAX];
    size_t n_keys = 0;
    uint32_t n = 0;
    int y, m, d;
    int32_t swapped;
    add_name_keys(p, ours, keys, &n_keys, QUERY_KEYS_MAX);
    for (size_t i = 0; i < n_keys; i++)
        touch_list(p, keys[i], rarity(p, keys[i]), &n);
    if (s->born.prec == 'D') {
        touch_list(p, number_key(KEY_DAY, (uint64_t)(int64_t)s->born.from), 0.5F, &n);
        person_day_parts(s->born.from, &y, &m, &d);
        if (m != d && person_day(y, d, m, &swapped))
            touch_list(p, number_key(KEY_DAY, (uint64_t)(int64_t)swapped), 8, &n);
    }
    return n;
}

static size_t short_list(struct godata_people *p, const struct godata_subject *s, const struct godata_name_words *ours, struct quick *heap)
{
    size_t n = 0;
    room_for_points(p);
    uint32_t n_touched = gather(p, s, ours);
    for (uint32_t i = 0; i < n_touched; i++) {
        uint32_t slot = p->touched[i];
        struct quick q = {p->points[slot] + birth_quick(&s->born, &p->born[slot]), slot};
        p->points[slot] = 0;
        short_list_add(heap, &n, q);
    }
    return n;
}

static bool comes_before(const struct godata_candidate *a, const struct godata_candidate *b)
{
    if (a->score > b->score || a->score < b->score)
        return a->score > b->score;
    return span_cmp(a->person->id, b->person->id) < 0;          /* the same order every time */
}

static void insert(struct godata_people_match *out, const struct godata_candidate *c)
{
    size_t at = out->n;
    while (at > 0 && comes_before(c, &out->candidates[at - 1]))
        at--;
    if (at == GODATA_CANDIDATES_MAX)
        return;
    if (out->n < GODATA_CANDIDATES_MAX)
        out->n++;
    memmove(&out->candidates[at + 1], &out->candidates[at], (out->n - 1 - at) * sizeof out->candidates[0]);
    out->candidates[at] = *c;
}

static bool has_names(const struct godata_people *p, const struct godata_name_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (godata_names_word(p->names, w->v[i])->n_sound > 0)
            return true;
    return false;
}

static void by_names(struct godata_people *p, const struct godata_subject *s, const struct godata_name_words *ours, struct godata_people_match *out)
{
    struct quick heap[SHORT_LIST];
    struct godata_candidate c;
    size_t n = short_list(p, s, ours, heap);
    for (size_t i = 0; i < n; i++) {
        const struct slot *x = &p->slots[heap[i].slot];
        person_compare(p->names, s, ours, &x->person, &x->words, &c);
        if (person_is_likely(&c))
            insert(out, &c);
    }
}

void godata_people_candidates(struct godata_people *p, const struct godata_subject *s, struct godata_people_match *out)
{
    struct godata_name_words ours;
    *out = (struct godata_people_match){.state = GODATA_MATCH_NO_IDENTITY};
    words_of(p, s->family, s->given, s->middle, &ours);
    if (s->is_masked || !has_names(p, &ours))
        return;
    by_names(p, s, &ours, out);
    out->state = out->n ? GODATA_MATCH_CANDIDATES : GODATA_MATCH_NOBODY;
}

/* ---- the decision ---- */

static bool speaks_for(const struct godata_candidate *c)
{
    return c->name == GODATA_FIELD_SAME || (c->name == GODATA_FIELD_UNKNOWN && c->birth == GODATA_BIRTH_SAME);
}

static enum godata_match_state decide(const struct hits *h, size_t n_bits, const struct godata_candidate *first)
{
    for (size_t k = 0; k < n_bits; k++) {
        size_t with = 0;
        for (size_t i = 0; i < h->n; i++)
            with += ((h->v[i].keys | h->v[i].by_mask) >> k) & 1;
        if (with > 1)
            return GODATA_MATCH_AMBIGUOUS;
    }
    if (h->all > 1)
        return GODATA_MATCH_SPLIT;
    if (first->contradicts)
        return GODATA_MATCH_CONFLICT;
    return first->keys == 0 && !speaks_for(first) ? GODATA_MATCH_UNPROVED : GODATA_MATCH_SURE;
}

void godata_people_match(struct godata_people *p, const struct godata_subject *s, struct godata_people_match *out)
{
    struct hits *h = xcalloc(1, sizeof *h);
    struct godata_name_words ours;
    size_t n_keys = s->n_keys < GODATA_KEYS_MAX ? s->n_keys : GODATA_KEYS_MAX;
    bool is_asked = s->n_sample_persons > 0 || span_has(s->sample);
    *out = (struct godata_people_match){0};
    for (size_t i = 0; i < n_keys; i++) {
        is_asked |= span_has(span_trim(s->keys[i].value)) && s->keys[i].role != GODATA_IGNORE;
        (void)find_by_key(p, &s->keys[i], i, h);
    }
    for (size_t i = 0; i < s->n_sample_persons; i++) {
        int64_t slot = slot_of(p, s->sample_persons[i]);
        if (slot >= 0)
            hit_add(h, (uint32_t)slot, n_keys, false);
        else
            h->all++;                   /* somebody whom the mirror does not hold: never sure */
    }
    words_of(p, s->family, s->given, s->middle, &ours);
    out->n_by_key = h->all;
    for (size_t i = 0; i < h->n; i++) {
        struct godata_candidate c;
        const struct slot *x = &p->slots[h->v[i].slot];
        person_compare(p->names, s, &ours, &x->person, &x->words, &c);
        c.keys = h->v[i].keys;
        c.by_mask = h->v[i].by_mask;
        insert(out, &c);
    }
    if (out->n) {
        out->state = decide(h, n_keys + 1, &out->candidates[0]);
    } else {
        godata_people_candidates(p, s, out);
        out->n_by_key = h->all;
        if (out->state == GODATA_MATCH_NO_IDENTITY && is_asked)
            out->state = GODATA_MATCH_NOBODY;
    }
    free(h);
}

size_t person_slots(const struct godata_people *p) { return p->n_slots; }
const struct godata_person *person_at(const struct godata_people *p, size_t slot) { return p->slots[slot].block ? &p->slots[slot].person : NULL; }
