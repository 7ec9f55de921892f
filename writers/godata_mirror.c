/*
 * NAME godata_mirror - the local copy of an outbreak's people and lab results: what is kept, and what a row that was read does to it.
 *
 * People are in memory and in the store, lab results in the store. A row that was seen before (same stamps) costs one look-up; one whose stamps
 * moved but not what matching needs is noted without being a change. Deleted rows are dropped: merges and cascades are deletions and changes.
 * A person who turns from contact to case keeps the id and changes the type.
 * INVARIANTS memory may know more people than the store only until the next rollback's re-reading: every row that a rolled-back batch held is read
 * again, because the cursors went with it. Rows belong to `owner` (server and outbreak): another one empties the tables in the same batch.
 * Reading pages: godata_mirror_poll.c. DIAGNOSTICS log "mirror emptied", "mirror loaded", "double result in go.data".
 */
#include "godata_mirror_inner.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "xmem.h"

#define OWNER_MAX 8192
#define ROW_MAX 65536
#define FOUND_MAX 4096              /* results of one person or sample that are looked at */
#define UNIT "\x1f"              /* between the parts of the owner */

static void load_early(struct godata_mirror *m);

struct godata_mirror *godata_mirror_open(struct store *q, const char *writer, const struct godata_options *o)
{
    struct godata_mirror *m = xcalloc(1, sizeof *m);
    m->store = q;
    m->writer = xstrdup(writer);
    m->o = o;
    m->people = godata_people_new();
    m->owner = xstrdup("");
    m->user = xstrdup("");
    mirror_forget_polls(m);
    if (q)
        load_early(m);
    return m;
}

static void forget_found(struct godata_mirror *m)
{
    for (size_t i = 0; i < m->n_found; i++)
        free((void *)(uintptr_t)m->found[i].id);    /* one block holds all texts of a row */
    m->n_found = 0;
}

void godata_mirror_close(struct godata_mirror *m)
{
    if (!m)
        return;
    forget_found(m);
    free(m->found);
    json_decref(m->rows);
    free(m->last_double);
    godata_people_free(m->people);
    free(m->writer);
    free(m->outbreak);
    free(m->owner);
    free(m->user);
    for (size_t i = 0; i < m->n_changed; i++)
        free(m->changed[i]);
    free(m);
}

void godata_mirror_set_user(struct godata_mirror *m, const char *user_id)
{
    free(m->user);
    m->user = xstrdup(user_id ? user_id : "");
}

void godata_mirror_show_contacts(struct godata_mirror *m, bool is_shown)
{
    m->shows_contacts = is_shown;
}

struct godata_people *godata_mirror_people(struct godata_mirror *m)
{
    return m->people;
}

uint64_t godata_mirror_changes(const struct godata_mirror *m)
{
    return m->changes;
}

bool godata_mirror_is_loaded(const struct godata_mirror *m)
{
    if (!m->store || !m->is_confirmed)
        return false;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        if (!m->lists[i].place.is_loaded || mirror_is_off(&m->lists[i]))
            return false;
    return true;
}

bool godata_mirror_is_possible(const struct godata_mirror *m)
{
    bool is_possible = m->store != NULL;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        is_possible = is_possible && !m->lists[i].off_code[0];
    return is_possible;
}

/* ---- people in memory ---- */

static void people_put(struct godata_mirror *m, const struct godata_person *p)
{
    const struct godata_person *old = godata_people_find(m->people, p->id);
    if (old)
        m->of_type[old->type]--;
    godata_people_put(m->people, p);
    m->of_type[p->type]++;
}

static void people_drop(struct godata_mirror *m, struct span id)
{
    const struct godata_person *old = godata_people_find(m->people, id);
    if (!old)
        return;
    m->of_type[old->type]--;
    (void)godata_people_drop(m->people, id);
    m->changes++;
}

static void people_empty(struct godata_mirror *m)
{
    godata_people_free(m->people);
    m->people = godata_people_new();
    memset(m->of_type, 0, sizeof m->of_type);
}

static void load_one(void *ctx, const struct store_mirror_row *row)
{
    struct godata_mirror *m = ctx;
    struct godata_row_person r;
    if (!godata_row_person_decode(row->id, row->row, &r))
        return;
    godata_people_put(m->people, &r.person);        /* ids are unique here */
    m->of_type[r.person.type]++;
}

int mirror_load_places(struct godata_mirror *m, struct err *e)
{
    for (int i = 0; i < GODATA_LISTS; i++) {
        struct mirror_list *l = &m->lists[i];
        if (store_mirror_get_place(m->store, (enum store_mirror)i, m->writer, &l->place, e) < 0)
            return -1;
        l->saved = l->place;
    }
    m->rollbacks = store_rollbacks(m->store);
    return store_mirror_count(m->store, STORE_MIRROR_LABS, m->writer, &m->labs, e);
}

int mirror_save(struct godata_mirror *m, struct err *e)
{
    for (int i = 0; i < GODATA_LISTS; i++) {
        struct mirror_list *l = &m->lists[i];
        if (memcmp(&l->place, &l->saved, sizeof l->place) == 0)
            continue;
        if (store_mirror_put_place(m->store, (enum store_mirror)i, m->writer, &l->place, e) != 0)
            return -1;
        l->saved = l->place;
    }
    return 0;
}

/* ---- whose mirror ---- */

/* Server, outbreak, what its list of results shows, three masks. The first two say whose rows these are. */
enum { OWNER_URL, OWNER_OUTBREAK, OWNER_SHOWS, OWNER_MASKS, OWNER_PARTS = OWNER_MASKS + GODATA_PERSON_TYPES };

static char *owner_text(const struct godata_mirror *m, struct span outbreak, const struct span *masks)
{
    struct buf b;
    size_t n = 0;
    buf_init(&b, OWNER_MAX);
    buf_adds(&b, m->o->url);
    for (const char *v; (v = godata_options_variable(m->o, n++)) != NULL;) {
        buf_addc(&b, '?');              /* rows without these answers are not the same rows */
        buf_adds(&b, v);
    }
    buf_adds(&b, UNIT);
    buf_add_span(&b, outbreak);
    buf_adds(&b, UNIT);
    buf_adds(&b, m->shows_contacts ? "contacts" : "");
    for (size_t i = 0; i < GODATA_PERSON_TYPES; i++) {
        buf_adds(&b, UNIT);
        buf_add_span(&b, masks[i]);
    }
    return buf_take(&b, NULL);
}

/* The parts of such a text; false: it is none. */
static bool owner_parts(struct span text, struct span parts[OWNER_PARTS])
{
    for (size_t i = 0; i < OWNER_PARTS; i++)
        if (!span_next(&text, UNIT[0], &parts[i]))
            return false;
    return true;
}

static int load(struct godata_mirror *m, const struct span parts[OWNER_PARTS], struct err *e)
{
    people_empty(m);
    for (int i = 0; i < GODATA_PERSON_TYPES; i++)
        godata_people_set_mask(m->people, (enum godata_person_type)i, parts[OWNER_MASKS + i]);
    free(m->outbreak);
    m->outbreak = xstrndup(parts[OWNER_OUTBREAK].n ? parts[OWNER_OUTBREAK].p : "", parts[OWNER_OUTBREAK].n);
    m->changes++;
    if (mirror_load_places(m, e) != 0 || store_mirror_each(m->store, m->writer, MIRROR_ALL_PEOPLE, SPAN_ABSENT, load_one, m, e) != 0)
        return -1;
    log_event(LOG_INFO, "mirror opened", log_word("writer", m->writer), log_int("people", (int64_t)godata_people_count(m->people)), log_int("lab_results", m->labs));
    return 0;
}

/* At a start: what the store has, before anybody confirmed the outbreak. A failure only means that it is loaded then. */
static void load_early(struct godata_mirror *m)
{
    struct span parts[OWNER_PARTS];
    struct err e = ERR_INIT;
    struct buf kept;
    buf_init(&kept, OWNER_MAX);
    if (store_mirror_get_owner(m->store, m->writer, &kept, &e) == 0 && owner_parts(buf_span(&kept), parts) && load(m, parts, &e) == 0) {
        free(m->owner);
        m->owner = xstrndup(kept.p, kept.n);
    }
    buf_clear(&kept);
}

static int set_masks_only(struct godata_mirror *m, const struct span *masks)
{
    for (int i = 0; i < GODATA_PERSON_TYPES && godata_people_count(m->people) == 0; i++)
        godata_people_set_mask(m->people, (enum godata_person_type)i, masks[i]);
    return 0;
}

int godata_mirror_set_outbreak(struct godata_mirror *m, struct span outbreak_id, struct span case_mask, struct span contact_mask, struct span coc_mask,
                               struct err *e)
{
    const struct span masks[GODATA_PERSON_TYPES] = {case_mask, contact_mask, coc_mask};
    const struct store_mirror_place unread = {0};
    struct span was[OWNER_PARTS], is[OWNER_PARTS];
    struct buf kept;
    int rc = -1;
    if (!m->store)
        return set_masks_only(m, masks);
    char *owner = owner_text(m, outbreak_id, masks);
    if (strcmp(owner, m->owner) == 0) {
        m->is_confirmed = true;
        free(owner);
        return 0;
    }
    m->is_confirmed = false;
    buf_init(&kept, OWNER_MAX);
    if (!owner_parts(span_of(owner), is)) {
        (void)err_set(e, ERR_INPUT, "outbreak", "Go.Data's masks are too long or hold control characters");
        goto out;
    }
    if (store_mirror_get_owner(m->store, m->writer, &kept, e) < 0)
        goto out;
    bool is_known = owner_parts(buf_span(&kept), was);
    bool is_same = is_known && span_eq(was[OWNER_URL], is[OWNER_URL]) && span_eq(was[OWNER_OUTBREAK], is[OWNER_OUTBREAK]);
    if (is_known && !is_same) {
        log_event(LOG_WARNING, "mirror emptied", log_word("writer", m->writer), log_word("reason", "another outbreak or server"));
        if (store_mirror_clear(m->store, m->writer, e) != 0)
            goto out;
    }
    if (is_same && !span_eq(was[OWNER_SHOWS], is[OWNER_SHOWS]) && store_mirror_put_place(m->store, STORE_MIRROR_LABS, m->writer, &unread, e) != 0)
        goto out;
    if (store_mirror_put_owner(m->store, m->writer, span_of(owner), e) != 0)
        goto out;
    mirror_forget_polls(m);
    m->seen_us = 0;
    if (load(m, is, e) != 0)
        goto out;
    free(m->owner);
    m->owner = owner;
    owner = NULL;
    m->is_confirmed = true;
    rc = 0;
out:
    buf_clear(&kept);
    free(owner);
    return rc;
}

/* ---- rows ---- */

int mirror_lose(struct godata_mirror *m, enum godata_list list, struct span id, struct err *e)
{
    bool was_there;
    if (store_mirror_drop(m->store, (enum store_mirror)list, m->writer, id, &was_there, e) != 0)
        return -1;
    if (list == GODATA_LIST_PEOPLE)
        people_drop(m, id);
    else if (was_there)
        m->labs--;
    return 0;
}

/* Stamps of the row in the list against those kept: true when there is nothing new in it. Older stamps are news: the server's clock went back. */
static bool is_old_news(const struct store_mirror_row *kept, const struct store_mirror_row *read)
{
    return read->db_updated_ms == kept->db_updated_ms && read->updated_ms == kept->updated_ms && (read->db_updated_ms || read->updated_ms);
}

/* rc of store_mirror_get: 0 it was there. Is it in memory too? A rollback may have parted them. */
static int put_person(struct godata_mirror *m, const struct godata_person *p, struct store_mirror_row *row, bool is_kept, int64_t kept_hash, struct err *e)
{
    struct buf text;
    int rc = 0;
    buf_init(&text, ROW_MAX);
    godata_row_person_encode(p, &text);
    row->row = buf_span(&text);
    row->hash = godata_row_hash(row->row, SPAN_ABSENT, SPAN_ABSENT, SPAN_ABSENT);
    bool is_changed = !is_kept || kept_hash != row->hash || !godata_people_find(m->people, p->id);
    if (m->store)
        rc = store_mirror_put(m->store, STORE_MIRROR_PEOPLE, m->writer, row, e);
    if (rc == 0 && is_kept && kept_hash != row->hash && m->n_changed < MIRROR_CHANGED_MAX)
        m->changed[m->n_changed++] = xstrndup(p->id.p, p->id.n);
    if (rc == 0 && is_changed) {
        people_put(m, p);
        m->changes++;
    }
    buf_clear(&text);
    return rc;
}

static bool read_person(const struct godata_mirror *m, const json_t *o, const char *type, struct godata_row_person *r)
{
    size_t n = 0;
    if (!godata_row_person_read(o, type, r))
        return false;
    for (const char *v; (v = godata_options_variable(m->o, n++)) != NULL;)
        godata_row_person_answer(o, v, r);
    return true;
}

int mirror_take_person(struct godata_mirror *m, const json_t *o, int64_t now_us, struct err *e)
{
    struct godata_row_person r;
    struct store_mirror_row kept, row = {.put_us = now_us};
    bool is_person = read_person(m, o, "", &r);
    row.id = r.person.id;
    if (!span_has(row.id) || row.id.n > GODATA_ROW_ID_MAX)
        return 0;
    row.updated_ms = godata_row_stamp(o, "updatedAt");
    row.db_updated_ms = godata_row_stamp(o, "dbUpdatedAt");
    int rc = store_mirror_get(m->store, STORE_MIRROR_PEOPLE, m->writer, row.id, &kept, e);
    if (rc < 0)
        return -1;
    if (rc == 0 && is_old_news(&kept, &row))
        return 0;
    if (!is_person || godata_row_is_deleted(o))
        return rc == 0 || godata_people_find(m->people, row.id) ? mirror_lose(m, GODATA_LIST_PEOPLE, row.id, e) : 0;
    return put_person(m, &r.person, &row, rc == 0, kept.hash, e);
}

int godata_mirror_put_person(struct godata_mirror *m, const json_t *person, const char *type, struct err *e)
{
    struct godata_row_person r;
    struct store_mirror_row kept = {.hash = 0}, row = {.put_us = m->last_us};
    int rc = 1;
    if (!read_person(m, person, type, &r))
        return 0;
    row.id = r.person.id;
    if (m->store)
        rc = store_mirror_get(m->store, STORE_MIRROR_PEOPLE, m->writer, row.id, &kept, e);
    /* No stamps: an answer to a write leaves the visualId out, so the next list must be looked at in any case. */
    return rc < 0 ? -1 : put_person(m, &r.person, &row, rc == 0, kept.hash, e);
}

char *godata_mirror_take_changed(struct godata_mirror *m)
{
    return m->n_changed ? m->changed[--m->n_changed] : NULL;
}

/* ---- lab results ---- */

struct lab_list { struct godata_mirror *m; };

static char *keep(char **at, struct span s)
{
    char *start = *at;
    if (s.n)
        memcpy(start, s.p, s.n);
    start[s.n] = '\0';
    *at += s.n + 1;
    return start;
}

static void found_one(void *ctx, const struct store_mirror_row *row)
{
    struct godata_mirror *m = ((struct lab_list *)ctx)->m;
    struct godata_row_lab r;
    if (m->n_found == FOUND_MAX || !godata_row_lab_decode(row->row, &r))
        return;
    if (m->n_found == m->cap_found) {
        m->cap_found = m->cap_found ? m->cap_found * 2 : 16;
        m->found = xreallocarray(m->found, m->cap_found, sizeof *m->found);
    }
    const struct span all[] = {row->id, row->person, row->sample, row->k, r.type, r.tested_for, r.test_type, r.result, r.day, r.created};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        bytes += all[i].n + 1;
    char *at = xmalloc(bytes);
    struct godata_mirror_lab *l = &m->found[m->n_found++];
    l->id = keep(&at, row->id);
    l->person_id = keep(&at, row->person);
    l->sample = keep(&at, row->sample);
    l->k = keep(&at, row->k);
    l->person_type = keep(&at, r.type);
    l->tested_for = keep(&at, r.tested_for);
    l->test_type = keep(&at, r.test_type);
    l->result = keep(&at, r.result);
    l->sample_day = keep(&at, r.day);
    l->created_at = keep(&at, r.created);
}

static int labs_by(struct godata_mirror *m, enum store_mirror_by by, struct span value, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    struct lab_list list = {m};
    forget_found(m);
    int rc = m->store && span_has(value) ? store_mirror_each(m->store, m->writer, by, value, found_one, &list, e) : 0;
    *v = m->found;
    *n = m->n_found;
    return rc;
}

int godata_mirror_labs_of_person(struct godata_mirror *m, struct span person_id, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    return labs_by(m, MIRROR_LABS_OF_PERSON, person_id, v, n, e);
}

int godata_mirror_labs_of_sample(struct godata_mirror *m, struct span sample, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    return labs_by(m, MIRROR_LABS_OF_SAMPLE, sample, v, n, e);
}

int godata_mirror_labs_of_k(struct godata_mirror *m, struct span k, const struct godata_mirror_lab **v, size_t *n, struct err *e)
{
    return labs_by(m, MIRROR_LABS_OF_K, k, v, n, e);
}

static int put_lab(struct godata_mirror *m, const struct godata_row_lab *r, struct store_mirror_row *row, bool is_kept, int64_t kept_hash, struct err *e)
{
    struct buf text;
    buf_init(&text, ROW_MAX);
    godata_row_lab_encode(r, &text);
    row->row = buf_span(&text);
    row->person = r->person;
    row->sample = r->sample;
    row->k = r->k;
    /* Whose hand it was (the last two bytes) is no content. */
    row->hash = godata_row_hash(span_cut(row->row, 0, row->row.n - 2), r->person, r->sample, r->k);
    int rc = store_mirror_put(m->store, STORE_MIRROR_LABS, m->writer, row, e);
    buf_clear(&text);
    if (rc != 0)
        return -1;
    m->labs += !is_kept;
    if (!r->is_ours && (!is_kept || kept_hash != row->hash))
        m->changes++;
    return 0;
}

/* One K twice with one person and sample: two answers to one POST, or a write executed late. Somebody has to look. */
static int look_for_double(struct godata_mirror *m, const struct godata_row_lab *r, struct err *e)
{
    const struct godata_mirror_lab *v;
    size_t n, same = 0;
    if (!span_has(r->k))
        return 0;
    if (godata_mirror_labs_of_k(m, r->k, &v, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        same += span_is(r->person, v[i].person_id) && span_is(r->sample, v[i].sample);
    if (same < 2 || (m->last_double && span_is(r->k, m->last_double)))
        return 0;
    free(m->last_double);
    m->last_double = xstrndup(r->k.p, r->k.n);
    m->n_doubles++;
    log_event(LOG_ERROR, "double result in go.data", log_word("writer", m->writer), log_word("k", m->last_double), log_int("results", (int64_t)same));
    return 0;
}

int mirror_take_lab(struct godata_mirror *m, const json_t *o, int64_t now_us, struct err *e)
{
    struct godata_row_lab r;
    struct store_mirror_row kept, row = {.put_us = now_us};
    if (!godata_row_lab_read(o, span_of(m->user), &r))
        return 0;
    row.id = r.id;
    row.updated_ms = godata_row_stamp(o, "updatedAt");
    row.db_updated_ms = godata_row_stamp(o, "dbUpdatedAt");
    int rc = store_mirror_get(m->store, STORE_MIRROR_LABS, m->writer, row.id, &kept, e);
    if (rc < 0)
        return -1;
    if (rc == 0 && is_old_news(&kept, &row))
        return 0;
    if (godata_row_is_deleted(o)) {
        if (rc == 0 && !r.is_ours)
            m->changes++;
        return rc == 0 ? mirror_lose(m, GODATA_LIST_LABS, row.id, e) : 0;
    }
    if (put_lab(m, &r, &row, rc == 0, kept.hash, e) != 0)
        return -1;
    return rc == 0 && kept.hash == row.hash ? 0 : look_for_double(m, &r, e);
}

int godata_mirror_put_lab(struct godata_mirror *m, const struct godata_mirror_lab *lab, struct err *e)
{
    struct store_mirror_row kept, row = {.put_us = m->last_us, .id = span_of(lab->id)};
    struct godata_row_lab r = {
        .id = span_of(lab->id), .person = span_of(lab->person_id), .type = span_of(lab->person_type), .sample = span_of(lab->sample),
        .tested_for = span_of(lab->tested_for), .test_type = span_of(lab->test_type), .result = span_of(lab->result), .k = span_of(lab->k),
        .day = span_of(lab->sample_day), .created = span_of(lab->created_at), .is_ours = true,
    };
    if (!m->store || row.id.n == 0 || row.id.n > GODATA_ROW_ID_MAX)
        return 0;
    int rc = store_mirror_get(m->store, STORE_MIRROR_LABS, m->writer, row.id, &kept, e);
    return rc < 0 ? -1 : put_lab(m, &r, &row, rc == 0, kept.hash, e);
}

int godata_mirror_drop_lab(struct godata_mirror *m, struct span id, struct err *e)
{
    return m->store ? mirror_lose(m, GODATA_LIST_LABS, id, e) : 0;
}
