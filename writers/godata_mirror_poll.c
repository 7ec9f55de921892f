/*
 * NAME godata_mirror_poll - which page of Go.Data's lists is read next, and how far a page brings us.
 *
 * SWEEP  everything in the order of ids, which never change: the first load, then once a day and on request. What we hold between two ids of a page
 *   and the page does not list is gone, unless it was put after the page was asked for. It starts behind one look at the newest stamp, so that the
 *   rounds after the first load miss nothing that changed meanwhile.
 * ROUND  what changed: rows whose dbUpdatedAt or updatedAt lies behind the cursor, deleted ones too, in the order (dbUpdatedAt, id). Conversions bump
 *   only updatedAt; synchronised rows only dbUpdatedAt, which is the server's own clock and therefore the only one a cursor is made of.
 * OVERLAP  a row may appear later than its stamp says. Everything up to `floor` is known to have been read: floor is the newest stamp at the start of a
 *   round, less OVERLAP; once OVERLAP has passed on our clock, that stamp itself. So an outbreak at rest is asked for what lies behind its newest row.
 *   When a round had to read more than FEW pages, the next ones of a minute are quick: QUICK_OVERLAP only, and nothing that we wrote ourselves.
 * CLOCKS  no stamp is compared with our clock. A server whose Date lies behind its newest stamp was set back: the cursor goes back with it.
 * COST  one request a list and round when nothing changed; rounds every POLL_US, at most one a second when somebody waits.
 * CRASH STATES the place is in the batch of a page's last rows: after a crash the page is read again, and rows that are known are passed over.
 * DIAGNOSTICS log "mirror loading" (counts), "mirror loaded", "mirror list off" (403: the list's permission is missing), "go.data clock set back".
 */
#include "godata_mirror_inner.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "godata_reply.h"
#include "log.h"
#include "xmem.h"

#define PAGE_ROWS INT64_C(500)
#define PAGE_ROWS_MIN INT64_C(20)           /* a page that did not come (too slow, too large) is asked for again with half the rows */
#define PAGE_ROWS_MORE INT64_C(20)
#define POLL_US (15 * SECOND_US)
#define WANT_US SECOND_US                   /* rounds on request start no closer than this */
#define OVERLAP_MS INT64_C(300000)
#define QUICK_OVERLAP_MS INT64_C(5000)
#define FULL_EVERY_US (60 * SECOND_US)      /* quick rounds in between */
#define FEW_PAGES 2
#define SWEEP_EVERY_US (86400 * SECOND_US)
#define OFF_US (60 * SECOND_US)             /* a list that is refused is tried again after this */
#define RETRY_FIRST_US (2 * SECOND_US)
#define RETRY_MAX_US (60 * SECOND_US)
#define STALE_MAX 1000
#define PROGRESS_US (10 * SECOND_US)
#define FILTER_MAX 16384
#define SLICE_US 3000                       /* of the engine's time, then others get their turn */
#define SLICE_LOOK 8                        /* rows between two looks at the clock */
#define MARK_EVERY_US (OVERLAP_MS * 1000 / (MARKS - 2))

static const char *const list_names[GODATA_LISTS] = {"people", "lab-results"};

bool mirror_is_off(const struct mirror_list *l)
{
    return l->off_until_us != 0;
}

void mirror_forget_polls(struct godata_mirror *m)
{
    m->kind = PAGE_NONE;
    json_decref(m->rows);
    m->rows = NULL;
    m->is_round = false;
    m->round_us = m->retry_us = 0;
    m->failures = 0;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        m->lists[i] = (struct mirror_list){.page_rows = PAGE_ROWS};
}

int64_t godata_mirror_seen_us(const struct godata_mirror *m)
{
    return m->seen_us;
}

void godata_mirror_want(struct godata_mirror *m, int64_t now_us)
{
    if (now_us > m->want_us)
        m->want_us = now_us;
}

void godata_page_clear(struct godata_page *p)
{
    free(p->path);
    p->path = NULL;
}

/* ---- filters ---- */

static void add_stamp(struct buf *b, int64_t ms)
{
    char iso[40];
    clock_format_iso(ms * 1000, iso, sizeof iso);
    buf_json_str(b, iso);
}

/* An id that looks like a date would be taken for one; with a mark behind it it is text again, and the next id is still behind it. */
static void add_id(struct buf *b, const char *id)
{
    struct span s = span_of(id);
    bool is_datelike = s.n >= 10 && span_is_digits(span_cut(s, 0, 4)) && s.p[4] == '-' && s.p[7] == '-';
    buf_addc(b, '"');
    buf_json_inner(b, s);
    buf_adds(b, is_datelike ? "!\"" : "\"");
}

static void add_fields(const struct godata_mirror *m, struct buf *b, enum godata_list list)
{
    buf_adds(b, ",\"fields\":[");
    buf_adds(b, list == GODATA_LIST_PEOPLE ? godata_row_person_fields : godata_row_lab_fields);
    if (list == GODATA_LIST_PEOPLE && godata_options_variable(m->o, 0))
        buf_adds(b, GODATA_ROW_ANSWERS);
    buf_adds(b, "]");
}

/* The lab results' list is a raw one: what is called id elsewhere is sorted as _id there. */
static const char *id_order(enum godata_list list)
{
    return list == GODATA_LIST_PEOPLE ? "\"id ASC\"" : "\"_id ASC\"";
}

static void add_round(const struct godata_mirror *m, const struct mirror_list *l, enum godata_list list, struct buf *b)
{
    buf_adds(b, "{\"where\":{\"and\":[{\"or\":[{\"dbUpdatedAt\":{\"gt\":");
    add_stamp(b, l->from_ms);
    buf_adds(b, "}},{\"updatedAt\":{\"gt\":");
    add_stamp(b, l->from_ms);
    buf_adds(b, "}}]}");
    if (l->is_quick && list == GODATA_LIST_LABS && m->user[0]) {
        buf_adds(b, ",{\"updatedBy\":{\"neq\":");
        buf_json_str(b, m->user);
        buf_adds(b, "}}");
    }
    if (l->has_key) {
        buf_adds(b, ",{\"or\":[{\"dbUpdatedAt\":{\"gt\":");
        add_stamp(b, l->key_ms);
        buf_adds(b, "}},{\"and\":[{\"dbUpdatedAt\":");
        if (l->key_ms)
            add_stamp(b, l->key_ms);
        else
            buf_adds(b, "null");            /* records older than the field */
        buf_adds(b, "},{\"id\":{\"gt\":");
        add_id(b, l->key_id);
        buf_adds(b, "}}]}]}");
    }
    buf_adds(b, "]},\"deleted\":true");
    add_fields(m, b, list);
    buf_adds(b, ",\"order\":[\"dbUpdatedAt ASC\",");
    buf_adds(b, id_order(list));
    buf_adds(b, "],\"limit\":");
    buf_add_int(b, l->page_rows);
    buf_addc(b, '}');
}

static void add_sweep(const struct godata_mirror *m, const struct mirror_list *l, enum godata_list list, struct buf *b)
{
    buf_adds(b, "{\"where\":{");
    if (l->place.at[0]) {
        buf_adds(b, "\"id\":{\"gt\":");
        add_id(b, l->place.at);
        buf_adds(b, "}");
    }
    buf_adds(b, "}");
    add_fields(m, b, list);
    buf_adds(b, ",\"order\":[");
    buf_adds(b, id_order(list));
    buf_adds(b, "],\"limit\":");
    buf_add_int(b, l->page_rows);
    buf_addc(b, '}');
}

static void fill_page(struct godata_mirror *m, enum page_kind kind, enum godata_list list, int64_t now_us, struct godata_page *out)
{
    const struct mirror_list *l = &m->lists[list];
    struct buf filter, path;
    buf_init(&filter, FILTER_MAX);
    buf_init(&path, FILTER_MAX * 3);
    switch (kind) {
    case PAGE_ROUND: add_round(m, l, list, &filter); break;
    case PAGE_SWEEP: add_sweep(m, l, list, &filter); break;
    case PAGE_TOP:
        buf_adds(&filter, "{\"deleted\":true,\"fields\":[\"id\",\"dbUpdatedAt\"],\"order\":[\"dbUpdatedAt DESC\"],\"limit\":1}");
        break;
    case PAGE_NONE: break;
    }
    buf_adds(&path, "/outbreaks/");
    godata_url_add(&path, span_of(m->outbreak));
    buf_adds(&path, list == GODATA_LIST_PEOPLE ? "/people?filter=" : "/lab-results/aggregate?filter=");
    godata_url_add(&path, buf_span(&filter));
    buf_clear(&filter);
    m->kind = kind;
    m->list = list;
    m->number++;
    m->issued_us = now_us;
    m->asked = (size_t)l->page_rows;
    m->n_requests++;
    *out = (struct godata_page){.list = list, .number = m->number, .path = buf_take(&path, NULL)};
}

/* ---- rounds ---- */

/* Time that passed on our clock, jumps left out: what ages marks. */
static void tick(struct godata_mirror *m, int64_t now_us)
{
    int64_t step = now_us - m->last_us;
    if (m->last_us && step > 0)
        m->elapsed_us += step < FULL_EVERY_US ? step : FULL_EVERY_US;
    if (m->last_us && step < 0) {               /* set back: nothing lies in the future */
        m->retry_us = m->retry_us > now_us ? now_us : m->retry_us;
        m->round_us = m->round_us > now_us ? now_us - POLL_US : m->round_us;
        m->want_us = m->want_us > now_us ? now_us : m->want_us;
        m->seen_us = m->seen_us > now_us ? 0 : m->seen_us;
        for (size_t i = 0; i < GODATA_LISTS; i++)
            if (m->lists[i].off_until_us > now_us + OFF_US)
                m->lists[i].off_until_us = now_us + OFF_US;
    }
    m->last_us = now_us;
}

static void add_mark(const struct godata_mirror *m, struct mirror_list *l)
{
    if (l->n_marks && m->elapsed_us - l->marks[l->n_marks - 1].elapsed_us < MARK_EVERY_US)
        return;
    if (l->n_marks == MARKS)
        memmove(l->marks, l->marks + 1, --l->n_marks * sizeof l->marks[0]);
    l->marks[l->n_marks++] = (struct mark){m->elapsed_us, l->place.top_ms};
}

/* A server clock that was set back: everything stamped since lies before the cursor, so that has to go back too. */
static void follow_clock(struct godata_mirror *m, struct mirror_list *l)
{
    if (!m->server_ms || l->place.top_ms <= m->server_ms + OVERLAP_MS)
        return;
    log_event(LOG_WARNING, "go.data clock set back", log_word("writer", m->writer), log_int("seconds", (l->place.top_ms - m->server_ms) / 1000));
    l->place.top_ms = m->server_ms;
    if (l->place.floor_ms > m->server_ms - OVERLAP_MS)
        l->place.floor_ms = m->server_ms - OVERLAP_MS;
    l->n_marks = 0;
}

static void begin_list(struct godata_mirror *m, struct mirror_list *l)
{
    bool is_due = !l->full_elapsed_us || m->elapsed_us - l->full_elapsed_us >= FULL_EVERY_US || l->full_pages <= FEW_PAGES;
    l->is_over = !l->place.is_loaded || mirror_is_off(l);
    l->has_key = false;
    l->pages = 0;
    follow_clock(m, l);
    l->start_top_ms = l->place.top_ms;
    l->is_quick = !is_due;
    l->from_ms = l->place.floor_ms;
    if (l->is_quick && l->from_ms < l->place.top_ms - QUICK_OVERLAP_MS)
        l->from_ms = l->place.top_ms - QUICK_OVERLAP_MS;
    add_mark(m, l);
}

static void begin_round(struct godata_mirror *m, int64_t now_us)
{
    m->is_round = true;
    m->round_us = now_us;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        begin_list(m, &m->lists[i]);
}

/* A list was read to its end: how far everything is known now. */
static void end_list(struct godata_mirror *m, struct mirror_list *l)
{
    int64_t floor_ms = l->start_top_ms - OVERLAP_MS;
    l->is_over = true;
    if (l->is_quick)
        return;
    for (size_t i = 0; i < l->n_marks; i++)
        if (m->elapsed_us - l->marks[i].elapsed_us >= OVERLAP_MS * 1000 && l->marks[i].top_ms > floor_ms)
            floor_ms = l->marks[i].top_ms;
    if (floor_ms > l->place.floor_ms)
        l->place.floor_ms = floor_ms;
    l->full_elapsed_us = m->elapsed_us ? m->elapsed_us : 1;
    l->full_pages = l->pages;
}

static void end_round(struct godata_mirror *m)
{
    bool is_all = true;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        is_all &= m->lists[i].place.is_loaded && !mirror_is_off(&m->lists[i]);
    m->is_round = false;
    m->n_rounds++;
    if (is_all)
        m->seen_us = m->round_us;
}

static int64_t round_due(const struct godata_mirror *m)
{
    int64_t due = m->round_us + POLL_US;
    bool is_any = false;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        is_any |= m->lists[i].place.is_loaded && !mirror_is_off(&m->lists[i]);
    if (!is_any)
        return 0;
    if (m->round_us == 0)
        return 1;
    if (m->want_us > m->round_us) {
        int64_t wanted = m->round_us + WANT_US;
        due = wanted < due ? wanted : due;
    }
    return due;
}

static bool sweep_is_due(const struct mirror_list *l, int64_t now_us)
{
    if (mirror_is_off(l))
        return false;
    return l->place.is_sweeping || !l->place.is_loaded || now_us - l->place.swept_us >= SWEEP_EVERY_US || now_us < l->place.swept_us;
}

static bool next_sweep(struct godata_mirror *m, int64_t now_us, struct godata_page *out)
{
    for (size_t i = 0; i < GODATA_LISTS; i++) {
        struct mirror_list *l = &m->lists[i];
        if (!sweep_is_due(l, now_us))
            continue;
        if (!l->place.is_sweeping) {
            l->place.is_sweeping = true;
            l->place.at[0] = '\0';
            l->swept_rows = 0;
            l->has_top = l->place.is_loaded;    /* the rounds have a cursor of their own already */
        }
        bool needs_top = !l->place.is_loaded && !l->has_top && !l->place.at[0] && !l->place.top_ms;
        fill_page(m, needs_top ? PAGE_TOP : PAGE_SWEEP, (enum godata_list)i, now_us, out);
        return true;
    }
    return false;
}

static int take_more(struct godata_mirror *m, int64_t now_us, struct err *e);

/* The store lost what memory thinks is written: from what it has. */
static bool start_over(struct godata_mirror *m, int64_t now_us, int64_t *next_us)
{
    struct err e = ERR_INIT;
    mirror_forget_polls(m);
    if (mirror_load_places(m, &e) == 0)
        return true;
    log_err(LOG_ERROR, "cannot read the mirror", &e);
    *next_us = now_us + RETRY_FIRST_US;
    return false;
}

bool godata_mirror_next_page(struct godata_mirror *m, int64_t now_us, struct godata_page *out, int64_t *next_us)
{
    struct err e = ERR_INIT;
    *out = (struct godata_page){0};
    *next_us = 0;
    tick(m, now_us);
    if (!m->store || !m->is_confirmed || (m->kind != PAGE_NONE && !m->rows))
        return false;
    if (m->rollbacks != store_rollbacks(m->store) && !start_over(m, now_us, next_us))
        return false;
    if (m->rows && take_more(m, now_us, &e) != 0)
        log_err(LOG_ERROR, "cannot keep a page of the mirror", &e);
    if (m->rows) {
        *next_us = now_us;                  /* at once, but others may do something in between */
        return false;
    }
    if (m->retry_us > now_us) {
        *next_us = m->retry_us;
        return false;
    }
    for (size_t i = 0; i < GODATA_LISTS; i++)
        if (mirror_is_off(&m->lists[i]) && m->lists[i].off_until_us <= now_us)
            m->lists[i].off_until_us = 0;
    for (size_t i = 0; m->round_us == 0 && i < GODATA_LISTS; i++)
        if (!m->lists[i].place.is_loaded && !mirror_is_off(&m->lists[i]))
            m->round_us = now_us;           /* a first load comes first */
    int64_t due = round_due(m);
    if (!m->is_round && due && due <= now_us)
        begin_round(m, now_us);
    for (size_t i = 0; m->is_round && i < GODATA_LISTS; i++)
        if (!m->lists[i].is_over) {
            fill_page(m, PAGE_ROUND, (enum godata_list)i, now_us, out);
            return true;
        }
    if (m->is_round)
        end_round(m);
    if (next_sweep(m, now_us, out))
        return true;
    *next_us = round_due(m);
    for (size_t i = 0; i < GODATA_LISTS; i++) {
        const struct mirror_list *l = &m->lists[i];
        int64_t at = mirror_is_off(l) ? l->off_until_us : l->place.swept_us + SWEEP_EVERY_US;
        if (*next_us == 0 || at < *next_us)
            *next_us = at;
    }
    return false;
}

/* ---- pages ---- */

/* Takes rows for a few milliseconds. *is_done: that were all. */
static int take_slice(struct godata_mirror *m, bool *is_done, struct err *e)
{
    struct mirror_list *l = &m->lists[m->list];
    size_t n = json_array_size(m->rows);
    int64_t until_us = clock_mono_us() + SLICE_US, most = m->server_ms ? m->server_ms + OVERLAP_MS : INT64_MAX;
    while (m->taken < n && (m->taken % SLICE_LOOK != 0 || clock_mono_us() < until_us)) {
        const json_t *o = json_array_get(m->rows, m->taken++);
        if ((m->list == GODATA_LIST_PEOPLE ? mirror_take_person(m, o, m->last_us, e) : mirror_take_lab(m, o, m->last_us, e)) != 0)
            return -1;
        int64_t stamp = godata_row_stamp(o, "dbUpdatedAt");
        if (stamp == 0)
            stamp = godata_row_stamp(o, "updatedAt");          /* records older than the field */
        if (m->kind == PAGE_ROUND && stamp > l->place.top_ms)
            l->place.top_ms = stamp < most ? stamp : most;      /* one stamp from the future must not hide what comes */
        l->rows++;
    }
    *is_done = m->taken >= n;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What we hold behind `from` and up to the page's last id, and the page does not list, is gone. */
static int drop_unlisted(struct godata_mirror *m, enum godata_list list, const json_t *rows, const char *from, const char *last, struct err *e)
{
    size_t n_listed = json_array_size(rows), n = STALE_MAX;
    const char **listed = xcalloc(n_listed ? n_listed : 1, sizeof *listed);
    char *after = xstrdup(from);
    int rc = 0;
    for (size_t i = 0; i < n_listed; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(rows, i), "id"));
        listed[i] = id ? id : "";
    }
    qsort(listed, n_listed, sizeof *listed, by_id);
    while (rc == 0 && n == STALE_MAX) {
        char **ids;
        rc = store_mirror_stale(m->store, (enum store_mirror)list, m->writer, span_of(after), last ? span_of(last) : SPAN_ABSENT, m->issued_us, STALE_MAX, &ids, &n, e);
        for (size_t i = 0; i < n; i++) {
            const char *id = ids[i];
            if (rc == 0 && (n_listed == 0 || !bsearch(&id, listed, n_listed, sizeof *listed, by_id))) {
                rc = mirror_lose(m, list, span_of(id), e);
                m->changes++;
            }
            if (i + 1 == n) {
                free(after);
                after = xstrdup(id);
            }
            free(ids[i]);
        }
        free(ids);
    }
    free(after);
    free(listed);
    return rc;
}

static void note_progress(struct godata_mirror *m, struct mirror_list *l, enum godata_list list, int64_t now_us)
{
    if (l->place.is_loaded || (now_us - l->logged_us < PROGRESS_US && now_us >= l->logged_us))
        return;
    l->logged_us = now_us;
    log_event(LOG_INFO, "mirror loading", log_word("writer", m->writer), log_word("list", list_names[list]), log_int("rows", l->swept_rows));
}

static int end_sweep_page(struct godata_mirror *m, enum godata_list list, const json_t *rows, int64_t now_us, struct err *e)
{
    struct mirror_list *l = &m->lists[list];
    size_t n = json_array_size(rows);
    const char *last = n ? json_string_value(json_object_get(json_array_get(rows, n - 1), "id")) : NULL;
    bool is_end = n < m->asked || !last || strlen(last) >= sizeof l->place.at;
    if (drop_unlisted(m, list, rows, l->place.at, is_end ? NULL : last, e) != 0)
        return -1;
    l->swept_rows += (int64_t)n;
    note_progress(m, l, list, now_us);
    if (!is_end) {
        memcpy(l->place.at, last, strlen(last) + 1);
        return 0;
    }
    bool is_first = !l->place.is_loaded;
    if (is_first)
        log_event(LOG_INFO, "mirror loaded", log_word("writer", m->writer), log_word("list", list_names[list]), log_int("rows", l->swept_rows));
    l->place.is_loaded = true;
    l->place.is_sweeping = false;
    memset(l->place.at, 0, sizeof l->place.at);
    l->place.swept_us = now_us;
    if (is_first)                           /* the first round: at once when everything is there */
        m->round_us = m->lists[GODATA_LIST_PEOPLE].place.is_loaded && m->lists[GODATA_LIST_LABS].place.is_loaded ? 0 : now_us;
    return 0;
}

static void take_top(struct mirror_list *l, const json_t *rows)
{
    l->place.top_ms = godata_row_stamp(json_array_get(rows, 0), "dbUpdatedAt");
    l->place.floor_ms = l->place.top_ms > OVERLAP_MS ? l->place.top_ms - OVERLAP_MS : 0;
    l->has_top = true;
}

static void end_round_page(struct godata_mirror *m, enum godata_list list, const json_t *rows)
{
    struct mirror_list *l = &m->lists[list];
    size_t n = json_array_size(rows);
    const json_t *last = json_array_get(rows, n ? n - 1 : 0);
    struct span id = godata_json_text(last, "id");
    l->pages++;
    if (n < m->asked || id.n == 0 || id.n > GODATA_ROW_ID_MAX) {
        end_list(m, l);
    } else {
        l->has_key = true;
        l->key_ms = godata_row_stamp(last, "dbUpdatedAt");
        memcpy(l->key_id, id.p, id.n);
        l->key_id[id.n] = '\0';
    }
    bool is_over = true;
    for (size_t i = 0; i < GODATA_LISTS; i++)
        is_over &= m->lists[i].is_over;
    if (is_over)
        end_round(m);
}

static void again_later(struct godata_mirror *m, int64_t now_us)
{
    int64_t wait_us = RETRY_FIRST_US;
    for (unsigned i = 0; i < m->failures && wait_us < RETRY_MAX_US; i++)
        wait_us *= 2;
    m->failures++;
    m->retry_us = now_us + (wait_us < RETRY_MAX_US ? wait_us : RETRY_MAX_US);
}

/* The next slice of the answer; with the last one the page is over and the place is written down. */
static int take_more(struct godata_mirror *m, int64_t now_us, struct err *e)
{
    struct mirror_list *l = &m->lists[m->list];
    bool is_done = true;
    int rc = 0;
    if (m->kind == PAGE_TOP)
        take_top(l, m->rows);
    else
        rc = take_slice(m, &is_done, e);
    if (rc == 0 && !is_done)
        return 0;
    if (rc == 0 && m->kind == PAGE_SWEEP)
        rc = end_sweep_page(m, m->list, m->rows, now_us, e);
    if (rc == 0 && m->kind == PAGE_ROUND)
        end_round_page(m, m->list, m->rows);
    json_decref(m->rows);
    m->rows = NULL;
    m->kind = PAGE_NONE;
    m->failures = 0;
    l->page_rows = l->page_rows + PAGE_ROWS_MORE < PAGE_ROWS ? l->page_rows + PAGE_ROWS_MORE : PAGE_ROWS;
    l->off_code[0] = '\0';
    if (rc == 0)
        rc = mirror_save(m, e);
    if (rc != 0)
        again_later(m, now_us);
    return rc;
}

int godata_mirror_take_page(struct godata_mirror *m, const struct godata_page *page, const json_t *rows, int64_t now_us, struct err *e)
{
    tick(m, now_us);
    if (m->kind == PAGE_NONE || m->rows || page->number != m->number)
        return 0;                           /* the outbreak changed meanwhile */
    if (page->server_us)
        m->server_ms = page->server_us / 1000;
    if (m->rollbacks != store_rollbacks(m->store)) {
        m->kind = PAGE_NONE;                /* next_page starts over from what the store has */
        return 0;
    }
    m->rows = json_incref((json_t *)(uintptr_t)rows);
    m->taken = 0;
    return take_more(m, now_us, e);
}

void godata_mirror_page_failed(struct godata_mirror *m, const struct godata_page *page, int http_status, const char *code, int64_t now_us)
{
    struct mirror_list *l = &m->lists[page->list];
    tick(m, now_us);
    if (m->kind == PAGE_NONE || page->number != m->number)
        return;
    m->kind = PAGE_NONE;
    if (http_status == 403 || http_status == 404) {
        if (!l->off_code[0])
            log_event(LOG_ERROR, "mirror list off", log_word("writer", m->writer), log_word("list", list_names[page->list]), log_int("http", http_status),
                      log_word("reason", code ? code : ""));
        l->off_status = http_status;
        l->off_until_us = now_us + OFF_US;
        l->is_over = true;
        size_t n = code ? strnlen(code, sizeof l->off_code - 1) : 0;
        memcpy(l->off_code, n ? code : "?", n ? n : 1);
        l->off_code[n ? n : 1] = '\0';
        return;
    }
    if (http_status == 401)
        return;                             /* the token: a login comes first */
    if (http_status == 0)
        l->page_rows = l->page_rows / 2 > PAGE_ROWS_MIN ? l->page_rows / 2 : PAGE_ROWS_MIN;
    if (m->failures == 0)
        log_event(LOG_WARNING, "mirror page failed", log_word("writer", m->writer), log_word("list", list_names[page->list]), log_int("http", http_status),
                  log_word("reason", code ? code : ""));
    again_later(m, now_us);
}

int godata_mirror_reload(struct godata_mirror *m, struct err *e)
{
    if (!m->store || !m->is_confirmed)
        return err_set(e, ERR_INPUT, "mirror", "the outbreak is not known yet: nothing was read so far");
    for (size_t i = 0; i < GODATA_LISTS; i++) {
        struct mirror_list *l = &m->lists[i];
        if (!l->place.is_sweeping)
            l->place.swept_us = 0;
    }
    return mirror_save(m, e);
}

/* ---- what people are told ---- */

void godata_mirror_report(const struct godata_mirror *m, struct buf *out)
{
    static const char *const keys[GODATA_PERSON_TYPES] = {"cases", "contacts", "contacts_of_contacts"};
    buf_json_kv(out, "outbreak", m->outbreak && m->is_confirmed ? m->outbreak : "");
    buf_json_key(out, "loaded");
    buf_adds(out, godata_mirror_is_loaded(m) ? "true" : "false");
    for (size_t i = 0; i < GODATA_PERSON_TYPES; i++)
        buf_json_kint(out, keys[i], m->of_type[i]);
    buf_json_kint(out, "lab_results", m->labs);
    buf_json_kint(out, "seen_us", m->seen_us);
    buf_json_kint(out, "rounds", m->n_rounds);
    buf_json_kint(out, "requests", m->n_requests);
    buf_json_kint(out, "changes", (int64_t)m->changes);
    buf_json_kint(out, "doubles", m->n_doubles);
    buf_json_key(out, "lists");
    buf_addc(out, '[');
    for (size_t i = 0; i < GODATA_LISTS; i++) {
        const struct mirror_list *l = &m->lists[i];
        buf_json_sep(out);
        buf_addc(out, '{');
        buf_json_kv(out, "name", list_names[i]);
        buf_json_key(out, "loaded");
        buf_adds(out, l->place.is_loaded ? "true" : "false");
        buf_json_key(out, "reading_all");
        buf_adds(out, l->place.is_sweeping ? "true" : "false");
        buf_json_kint(out, "read_so_far", l->place.is_sweeping ? l->swept_rows : 0);
        buf_json_kint(out, "all_read_us", l->place.swept_us);
        buf_json_kv(out, "off", mirror_is_off(l) ? l->off_code : "");
        buf_json_kint(out, "off_http", mirror_is_off(l) ? l->off_status : 0);
        buf_json_kint(out, "rows", l->rows);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}
