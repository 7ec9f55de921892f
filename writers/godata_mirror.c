/*
 * NAME godata_mirror - the local copy of an outbreak's people and lab results.
 *
 * Not read yet by any poll: it answers that it is not loaded, and holds no people but those put directly.
 */
#include "godata_mirror.h"

#include <stdlib.h>
#include <string.h>

#include "xmem.h"

struct godata_mirror {
    struct store *store;
    char *writer;
    const struct godata_options *o;
    struct godata_people *people;
    uint64_t changes;
};

struct godata_mirror *godata_mirror_open(struct store *q, const char *writer, const struct godata_options *o)
{
    struct godata_mirror *m = xcalloc(1, sizeof *m);
    m->store = q;
    m->writer = xstrdup(writer);
    m->o = o;
    m->people = godata_people_new();
    return m;
}

void godata_mirror_close(struct godata_mirror *m)
{
    if (!m)
        return;
    godata_people_free(m->people);
    free(m->writer);
    free(m);
}

int godata_mirror_set_outbreak(struct godata_mirror *m, struct span outbreak_id, struct span case_mask, struct span contact_mask, struct span coc_mask,
                               struct err *e)
{
    (void)m;
    (void)outbreak_id;
    (void)case_mask;
    (void)contact_mask;
    (void)coc_mask;
    (void)e;
    return 0;
}

bool godata_mirror_is_loaded(const struct godata_mirror *m)
{
    (void)m;
    return false;
}

bool godata_mirror_is_possible(const struct godata_mirror *m)
{
    (void)m;
    return false;
}

int64_t godata_mirror_seen_us(const struct godata_mirror *m)
{
    (void)m;
    return 0;
}

void godata_mirror_want(struct godata_mirror *m, int64_t now_us)
{
    (void)m;
    (void)now_us;
}

struct godata_people *godata_mirror_people(struct godata_mirror *m)
{
    return m->people;
}

static int no_labs(const struct godata_mirror_lab **v, size_t *n)
{
    *v = NULL;
    *n = 0;
    return 0;
}

int godata_mirror_labs_of_person(struct godata_mirror *m, struct span person_id, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    (void)m;
    (void)person_id;
    (void)e;
    return no_labs(v, n);
}

int godata_mirror_labs_of_sample(struct godata_mirror *m, struct span sample, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    (void)m;
    (void)sample;
    (void)e;
    return no_labs(v, n);
}

int godata_mirror_labs_of_k(struct godata_mirror *m, struct span k, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    (void)m;
    (void)k;
    (void)e;
    return no_labs(v, n);
}

int godata_mirror_put_lab(struct godata_mirror *m, const struct godata_mirror_lab *lab, struct err *e)
{
    (void)m;
    (void)lab;
    (void)e;
    return 0;
}

int godata_mirror_drop_lab(struct godata_mirror *m, struct span id, struct err *e)
{
    (void)m;
    (void)id;
    (void)e;
    return 0;
}

int godata_mirror_put_person(struct godata_mirror *m, const json_t *person, const char *type, struct err *e)
{
    (void)m;
    (void)person;
    (void)type;
    (void)e;
    return 0;
}

uint64_t godata_mirror_changes(const struct godata_mirror *m)
{
    return m->changes;
}

void godata_page_clear(struct godata_page *p)
{
    free(p->path);
    p->path = NULL;
}

bool godata_mirror_next_page(struct godata_mirror *m, int64_t now_us, struct godata_page *out, int64_t *next_us)
{
    (void)m;
    (void)now_us;
    *out = (struct godata_page){0};
    *next_us = 0;
    return false;
}

int godata_mirror_take_page(struct godata_mirror *m, const struct godata_page *page, const json_t *rows, int64_t now_us, struct err *e)
{
    (void)m;
    (void)page;
    (void)rows;
    (void)now_us;
    (void)e;
    return 0;
}

void godata_mirror_page_failed(struct godata_mirror *m, const struct godata_page *page, int http_status, const char *code, int64_t now_us)
{
    (void)m;
    (void)page;
    (void)http_status;
    (void)code;
    (void)now_us;
}

int godata_mirror_reload(struct godata_mirror *m, struct err *e)
{
    (void)m;
    (void)e;
    return 0;
}

void godata_mirror_report(const struct godata_mirror *m, struct buf *out)
{
    buf_json_key(out, "loaded");
    buf_adds(out, "false");
    buf_json_kint(out, "changes", (int64_t)m->changes);
}
