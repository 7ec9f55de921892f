/*
 * NAME names_crowd - the people of tests/names for tests and benches. Exits with a message when a file is missing.
 */
#include "names_crowd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define NAMES_MAX 512
#define TODAY SPAN_LIT("2026-05-04")

struct name { char *line; struct span script, kind, native, other[3]; size_t n_other; };
static const char *const scripts[] = {"latin", "arabic", "ethiopic", "cyrillic", "burmese", "devanagari", "chinese"};

static FILE *open_or_die(const char *file)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/names/%s", SRCDIR, file);
    FILE *f = fopen(path, "r");
    if (!f) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    return f;
}

void crowd_pairs_load(struct crowd_pairs *out, const char *file)
{
    FILE *f = open_or_die(file);
    char line[4096];
    *out = (struct crowd_pairs){0};
    bool is_head = true;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (is_head) {
            is_head = false;
            continue;
        }
        out->v = xreallocarray(out->v, out->n + 1, sizeof *out->v);
        struct crowd_pair *p = &out->v[out->n++];
        p->line = xstrdup(line);
        struct span rest = span_of(p->line), part;
        for (size_t i = 0; i < CROWD_COLUMNS; i++)
            p->f[i] = span_next(&rest, '\t', &part) ? part : SPAN_ABSENT;
    }
    (void)fclose(f);
}

void crowd_pairs_clear(struct crowd_pairs *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].line);
    free(p->v);
}

bool crowd_born(struct span birth, struct span age, struct godata_born *out)
{
    int64_t v;
    *out = (struct godata_born){0};
    if (span_has(birth))
        return godata_born_date(birth, out);
    if (age.n < 2 || !span_int(span_cut(age, 0, age.n - 1), &v))
        return false;
    return age.p[age.n - 1] == 'y' ? godata_born_age((int)v, 0, TODAY, out) : godata_born_age(0, (int)v, TODAY, out);
}

void crowd_subject(const struct crowd_pair *p, struct godata_subject *out, struct godata_person_key *keys)
{
    struct span ids = p->f[A_IDS], one;
    size_t n = 0;
    *out = (struct godata_subject){.family = p->f[A_FAMILY], .given = p->f[A_GIVEN], .middle = p->f[A_MIDDLE], .sex = span_has(p->f[A_SEX]) ? p->f[A_SEX].p[0] : '\0', .keys = keys};
    (void)crowd_born(p->f[A_BIRTH], p->f[A_AGE], &out->born);
    while (n < 4 && span_next(&ids, ';', &one)) {
        size_t eq = span_find(one, '=');
        if (span_starts(one, "document:"))
            keys[n++] = (struct godata_person_key){GODATA_BY_DOCUMENT, span_cut(one, 9, eq - 9), span_from(one, eq + 1)};
        else if (span_starts(one, "visual-id="))
            keys[n++] = (struct godata_person_key){GODATA_BY_VISUAL_ID, SPAN_ABSENT, span_from(one, eq + 1)};
        else if (span_starts(one, "id="))
            keys[n++] = (struct godata_person_key){GODATA_BY_ID, SPAN_ABSENT, span_from(one, eq + 1)};
    }
    out->n_keys = n;
}

void crowd_person(const struct crowd_pair *p, struct godata_person *out, struct godata_document *documents)
{
    struct span list = p->f[B_DOCUMENTS], one;
    size_t n = 0;
    *out = (struct godata_person){.id = p->f[PAIR_ID], .visual_id = p->f[B_VISUAL_ID], .last = p->f[B_LAST], .first = p->f[B_FIRST], .middle = p->f[B_MIDDLE],
                                  .documents = documents, .sex = span_has(p->f[B_SEX]) ? p->f[B_SEX].p[0] : '\0'};
    (void)crowd_born(p->f[B_DOB], p->f[B_AGE], &out->born);
    while (n < 4 && span_next(&list, ';', &one)) {
        size_t eq = span_find(one, '=');
        if (eq < one.n)
            documents[n++] = (struct godata_document){span_cut(one, 0, eq), span_from(one, eq + 1)};
    }
    out->n_documents = n;
}

/* ---- the crowd ---- */

static uint64_t state = 1;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)((state * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % n;
}

static size_t load_names(const char *lists, struct name *v)
{
    FILE *f = open_or_die(lists);
    char line[1024];
    size_t n = 0;
    while (n < NAMES_MAX && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        struct name *x = &v[n++];
        *x = (struct name){.line = xstrdup(line)};
        struct span rest = span_of(x->line), other;
        (void)span_next(&rest, '\t', &x->script);
        (void)span_next(&rest, '\t', &x->kind);
        (void)span_next(&rest, '\t', &x->native);
        (void)span_next(&rest, '\t', &other);
        while (x->n_other < 3 && span_next(&other, '|', &x->other[x->n_other]))
            x->n_other++;
    }
    (void)fclose(f);
    return n;
}

static const struct name *pick(const struct name *v, size_t n, const char *script, const char *kind)
{
    for (;;) {
        const struct name *x = &v[below(n)];
        if (span_is(x->script, script) && span_is(x->kind, kind))
            return x;
    }
}

static struct span written(const struct name *x, size_t how) { return how == 0 || x->n_other == 0 ? x->native : x->other[(how - 1) % x->n_other]; }

void crowd_each(const char *lists, size_t n, void (*fn)(void *ctx, const struct godata_person *p), void *ctx)
{
    struct name *names = xcalloc(NAMES_MAX, sizeof *names);
    size_t n_names = load_names(lists, names);
    state = UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < n; i++) {
        char id[64], visual[64], number[64], date[96];
        const char *script = scripts[below(7)], *kind = below(2) ? "man" : "woman";
        size_t how = below(3);
        (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012zu", i);
        (void)snprintf(visual, sizeof visual, "CASE-2025-%06zu", i);
        (void)snprintf(number, sizeof number, "2%09zu", i);
        (void)snprintf(date, sizeof date, "%04zu-%02zu-%02zu", 1940 + below(85), 1 + below(12), 1 + below(28));
        if (below(10) == 0)
            (void)snprintf(date, sizeof date, "%04zu-01-01", 1940 + below(85));     /* estimated */
        struct godata_document doc = {SPAN_LIT("NATIONAL_ID_CARD"), span_of(number)};
        struct godata_person x = {.id = span_of(id), .visual_id = span_of(visual), .documents = &doc, .n_documents = below(2), .sex = kind[0] == 'm' ? 'M' : 'F',
                                  .last = written(pick(names, n_names, script, "family"), how), .first = written(pick(names, n_names, script, kind), how),
                                  .type = below(2) ? GODATA_CASE : GODATA_CONTACT};
        if (below(2))
            x.middle = written(pick(names, n_names, script, kind), how);
        if (below(12))
            (void)godata_born_date(span_of(date), &x.born);
        fn(ctx, &x);
    }
    for (size_t i = 0; i < n_names; i++)
        free(names[i].line);
    free(names);
}

static void put_one(void *ctx, const struct godata_person *p) { godata_people_put(ctx, p); }

void crowd_fill(struct godata_people *people, const char *lists, size_t n) { crowd_each(lists, n, put_one, people); }
