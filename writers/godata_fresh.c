/*
 * NAME godata_fresh - our own writes that the mirror does not show yet, found by person and by sample.
 *
 * Entries stand in the order of their writing; two tables of chains lead to them. Pruning rebuilds both: it happens once a round of polls.
 * INVARIANT a chain runs from newer to older entries; numbers in it are places plus one, 0 ends it. DIAGNOSTICS none.
 */
#include "godata_fresh.h"

#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define TABLE ((size_t)1 << 13)
#define TEXTS 10

enum by { BY_PERSON, BY_SAMPLE, BY_N };

struct entry {
    struct godata_mirror_lab lab;       /* texts in `block` */
    char *block;
    size_t bytes;
    int64_t written_us;
    uint32_t next[BY_N];
};
struct godata_fresh {
    struct entry *v;
    size_t n, cap, bytes;
    uint64_t written;
    unsigned looks;
    int64_t pruned_us;
    int64_t lost_us;                    /* the last one that found no room; 0: none */
    uint32_t table[BY_N][TABLE];
};

struct godata_fresh *godata_fresh_new(void)
{
    return xcalloc(1, sizeof(struct godata_fresh));
}

void godata_fresh_free(struct godata_fresh *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].block);
    free(f->v);
    free(f);
}

static size_t slot(struct span s)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return (size_t)(h ^ (h >> 32)) & (TABLE - 1);
}

static struct span key_of(const struct entry *x, enum by by)
{
    return span_of(by == BY_PERSON ? x->lab.person_id : x->lab.sample);
}

static void link_entry(struct godata_fresh *f, size_t i)
{
    for (int by = 0; by < BY_N; by++) {
        struct span key = key_of(&f->v[i], (enum by)by);
        f->v[i].next[by] = 0;
        if (!span_has(key))
            continue;
        uint32_t *head = &f->table[by][slot(key)];
        f->v[i].next[by] = *head;
        *head = (uint32_t)i + 1;
    }
}

static void texts_of(struct godata_mirror_lab *l, const char **v[TEXTS])
{
    const char **const all[TEXTS] = {&l->id, &l->person_id, &l->person_type, &l->sample, &l->tested_for, &l->test_type, &l->result, &l->k, &l->sample_day, &l->created_at};
    memcpy(v, all, sizeof all);
}

bool godata_fresh_put(struct godata_fresh *f, const struct godata_mirror_lab *lab, int64_t written_us)
{
    struct entry x = {.lab = *lab, .written_us = written_us};
    const char **text[TEXTS];
    texts_of(&x.lab, text);
    f->written++;
    for (size_t i = 0; i < TEXTS; i++)
        x.bytes += strlen(*text[i]) + 1;
    if (f->n == GODATA_FRESH_MAX || f->bytes + x.bytes > GODATA_FRESH_TEXT) {
        f->lost_us = written_us;
        return false;
    }
    char *p = x.block = xmalloc(x.bytes);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t n = strlen(*text[i]) + 1;
        memcpy(p, *text[i], n);
        *text[i] = p;
        p += n;
    }
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 64;
        f->v = xreallocarray(f->v, f->cap, sizeof *f->v);
    }
    f->v[f->n] = x;
    f->bytes += x.bytes;
    link_entry(f, f->n++);
    return true;
}

void godata_fresh_prune(struct godata_fresh *f, int64_t before_us)
{
    size_t kept = 0;
    if (before_us != f->pruned_us) {            /* a round was read since */
        f->pruned_us = before_us;
        f->looks = 0;
    }
    if (f->lost_us && f->lost_us < before_us)
        f->lost_us = 0;
    if (f->n == 0 || f->v[0].written_us >= before_us)
        return;
    memset(f->table, 0, sizeof f->table);
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].written_us < before_us) {
            f->bytes -= f->v[i].bytes;
            free(f->v[i].block);
            continue;
        }
        f->v[kept] = f->v[i];
        link_entry(f, kept++);
    }
    f->n = kept;
}

bool godata_fresh_is_whole(const struct godata_fresh *f) { return f->lost_us == 0; }
size_t godata_fresh_count(const struct godata_fresh *f) { return f->n; }
unsigned godata_fresh_looked(struct godata_fresh *f) { return ++f->looks; }
uint64_t godata_fresh_written(const struct godata_fresh *f) { return f->written; }

static const struct godata_mirror_lab *next_of(const struct godata_fresh *f, enum by by, struct span key, size_t *at)
{
    if (!span_has(key))
        return NULL;
    uint32_t i = *at == 0 ? f->table[by][slot(key)] : f->v[*at - 1].next[by];
    while (i && !span_eq(key_of(&f->v[i - 1], by), key))
        i = f->v[i - 1].next[by];
    *at = i;
    return i ? &f->v[i - 1].lab : NULL;
}

const struct godata_mirror_lab *godata_fresh_of_person(const struct godata_fresh *f, struct span person_id, size_t *at)
{
    return next_of(f, BY_PERSON, person_id, at);
}

const struct godata_mirror_lab *godata_fresh_of_sample(const struct godata_fresh *f, struct span sample, size_t *at)
{
    return next_of(f, BY_SAMPLE, sample, at);
}
