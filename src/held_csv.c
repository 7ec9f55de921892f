/*
 * NAME held_csv - the review queue as a CSV file: written for an epidemiologist with a spreadsheet, read back with decisions in it.
 *
 * Written with a byte order mark (Excel takes it for UTF-8), commas, CR LF. Read back with or without the mark, with commas, semicolons or
 * tabs, CR LF or LF, columns in any order; only id, as_of, decision, person and note are looked at. A cell that a spreadsheet would take for
 * a formula gets an apostrophe in front.
 * APPLY  all rows are checked first (a link by asking Go.Data), each error names row and column; nothing is changed when one is wrong, unless
 * --skip-bad. `as_of` names the hold as it was exported: a delivery that is held for another reason since, or no more, is refused. The audit
 * trail keeps as_of with each decision, so that the same file does nothing the second time.
 * DIAGNOSTICS "row 4, column decision: …" on stderr, or in JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "control.h"
#include "fsutil.h"
#include "held.h"
#include "text.h"
#include "xmem.h"

#define FILE_MAX_BYTES ((size_t)256 << 20)
#define COLUMNS_MAX 64
#define ROWS_MAX 200000
#define CELL_MAX ((size_t)64 << 10)
#define NOTE_MAX 1000

/* ---- writing ---- */

static void add_cell(struct buf *b, struct span s, bool is_last)
{
    buf_addc(b, '"');
    if (span_has(s) && memchr("=+-@\t\r", s.p[0], 6))
        buf_addc(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_addc(b, '"');
        buf_addc(b, s.p[i]);
    }
    buf_adds(b, is_last ? "\"\r\n" : "\",");
}

static const char *const header[] = {
    "id", "as_of", "reason", "why", "held_since", "channel", "sample", "test", "result", "patient", "identifiers",
    "candidate_1", "candidate_2", "candidate_3", "candidate_4", "candidate_5", "decision", "person", "note",
};
#define HEADER_N (sizeof header / sizeof header[0])

static void add_value(const struct delivery *d, const char *first, const char *second, struct buf *t)
{
    held_value(d, first, t);
    size_t n = t->n;
    struct buf more;
    buf_init(&more, CELL_MAX);
    held_value(d, second, &more);
    if (more.n && n)
        buf_addc(t, ' ');
    buf_add_span(t, buf_span(&more));
    buf_clear(&more);
}

static void add_row(const struct delivery *d, struct store_reader *r, struct buf *b)
{
    struct store_message_row m;
    struct err e = ERR_INIT;
    struct buf t;
    char token[HELD_TOKEN_BYTES], since[32];
    bool has_message = store_load_message(r, d->message_id, &m, &e) == 0;
    held_token(d, token);
    clock_format_local(d->updated_us, since, sizeof since);
    for (size_t i = 0; i < HEADER_N; i++) {
        buf_init(&t, CELL_MAX);
        switch (i) {
        case 0: buf_addf(&t, "d%" PRId64, d->id); break;
        case 1: buf_adds(&t, token); break;
        case 2: buf_adds(&t, d->reason); break;
        case 3:
            buf_adds(&t, reason_text(d->reason));
            buf_addc(&t, '\n');
            held_why(d, &t);
            break;
        case 4: buf_adds(&t, since); break;
        case 5: buf_adds(&t, has_message ? m.channel : ""); break;
        case 6: held_value(d, "sampleIdentifier", &t); break;
        case 7: add_value(d, "testedFor", "testType", &t); break;
        case 8: add_value(d, "result", "quantitativeResult", &t); break;
        case 9: held_patient(d, &t); break;
        case 10: held_identifiers(d, &t); break;
        case 11: case 12: case 13: case 14: case 15: held_candidate(d, i - 11, &t); break;
        default: break;
        }
        add_cell(b, span_trim(buf_span(&t)), i + 1 == HEADER_N);
        buf_clear(&t);
    }
    if (has_message)
        store_message_row_clear(&m);
}

int held_export(const struct cli *c, struct store_reader *r, const struct delivery *v, size_t n, const char *path)
{
    struct err e = ERR_INIT;
    struct buf b;
    int rc = EXIT_FINE;
    buf_init(&b, FILE_MAX_BYTES);
    buf_adds(&b, "\xEF\xBB\xBF");
    for (size_t i = 0; i < HEADER_N; i++)
        buf_addf(&b, "%s%s", header[i], i + 1 == HEADER_N ? "\r\n" : ",");
    for (size_t i = 0; i < n; i++)
        add_row(&v[i], r, &b);
    if (b.is_full)
        (void)err_set(&e, ERR_LIMIT, path, "more than %zu MB: export less at a time, see --reason and --since", FILE_MAX_BYTES >> 20);
    if (b.is_full || fs_write_durably(path, buf_span(&b), &e))
        rc = cli_fail(&e);
    else if (cli_has(c, "json"))
        printf("{\"file\":\"written\",\"rows\":%zu}\n", n);
    else
        printf("%zu rows in %s: fill in the columns decision (link, release, dismiss, create case), person and note, then labrelay held apply\n", n, path);
    buf_clear(&b);
    return rc;
}

/* ---- reading ---- */

struct reader { struct span rest; char sep; };

/* One cell, quotes undone, into out. Returns what ended it: the separator, '\n', or 0 at the end of the file; -1: an open quote. */
static int read_cell(struct reader *r, struct buf *out)
{
    buf_reset(out);
    bool is_quoted = span_has(r->rest) && r->rest.p[0] == '"';
    size_t i = is_quoted;
    for (; i < r->rest.n; i++) {
        char ch = r->rest.p[i];
        if (is_quoted && ch == '"') {
            if (i + 1 < r->rest.n && r->rest.p[i + 1] == '"') {
                buf_addc(out, '"');
                i++;
                continue;
            }
            is_quoted = false;
            continue;
        }
        if (!is_quoted && (ch == r->sep || ch == '\n')) {
            r->rest = span_from(r->rest, i + 1);
            return (unsigned char)ch;
        }
        if (is_quoted || ch != '\r')
            buf_addc(out, ch);
    }
    r->rest = span_from(r->rest, i);
    return is_quoted ? -1 : 0;
}

enum column { COLUMN_ID, COLUMN_AS_OF, COLUMN_DECISION, COLUMN_PERSON, COLUMN_NOTE, COLUMNS_N };
static const char *const column_names[COLUMNS_N] = {"id", "as_of", "decision", "person", "note"};

struct row {
    unsigned line;                      /* of the file as a spreadsheet counts: the header is 1 */
    char *cells[COLUMNS_N];
    struct held_decision x;
    struct delivery d;
    char *note;                         /* as audited */
    enum { ROW_EMPTY, ROW_GOOD, ROW_BAD, ROW_AGAIN, ROW_DONE } state;
};

struct sheet {
    struct row *v;
    size_t n, cap;
    size_t errors;
    struct buf report;                  /* JSON array members, or lines */
    bool is_json;
    bool is_away;                       /* Go.Data could not be asked: the rows behind do not wait for it again */
};

static void report(struct sheet *s, unsigned line, const char *column, const char *id, const char *text)
{
    s->errors++;
    if (!s->is_json) {
        buf_addf(&s->report, "row %u, column %s", line, column);
        if (id[0])
            buf_addf(&s->report, " (%.20s)", id);
        buf_addf(&s->report, ": %s\n", text);
        return;
    }
    buf_adds(&s->report, s->report.n ? ",{" : "{");
    buf_json_kint(&s->report, "row", line);
    buf_json_kv(&s->report, "column", column);
    buf_json_kv(&s->report, "id", id);
    buf_json_kv(&s->report, "text", text);
    buf_addc(&s->report, '}');
}

static void bad(struct sheet *s, struct row *w, enum column c, const char *text)
{
    w->state = ROW_BAD;
    report(s, w->line, column_names[c], w->cells[COLUMN_ID], text);
}

static char *cell_text(const struct buf *cell)
{
    struct span s = span_trim(buf_span(cell));
    if (span_has(s) && s.p[0] == '\'')
        s = span_trim(span_from(s, 1));
    return xstrndup(s.n ? s.p : "", s.n);
}

/* The separator that the header line uses most. */
static char find_separator(struct span text)
{
    struct span line = span_cut(text, 0, span_find(text, '\n'));
    size_t best = 0;
    char sep = ',';
    for (const char *p = ",;\t"; *p; p++) {
        size_t n = 0;
        for (size_t i = 0; i < line.n; i++)
            n += line.p[i] == *p;
        if (n > best) {
            best = n;
            sep = *p;
        }
    }
    return sep;
}

/* -1: the file as a whole is of no use; the report says why. */
static int read_sheet(struct sheet *s, struct span text)
{
    int places[COLUMNS_N] = {-1, -1, -1, -1, -1}, column = 0, end;
    struct reader r = {.rest = span_starts(text, "\xEF\xBB\xBF") ? span_from(text, 3) : text};
    struct buf cell;
    unsigned line = 1;
    r.sep = find_separator(r.rest);
    buf_init(&cell, FILE_MAX_BYTES);
    do {
        end = read_cell(&r, &cell);
        for (int k = 0; k < COLUMNS_N; k++)
            if (span_is_nocase(span_trim(buf_span(&cell)), column_names[k]))
                places[k] = column;
        column++;
    } while (end == (unsigned char)r.sep && column < COLUMNS_MAX);
    for (int k = 0; k < COLUMNS_N; k++)
        if (places[k] < 0 && k != COLUMN_PERSON && k != COLUMN_NOTE)
            report(s, 1, column_names[k], "", "the header has no such column: apply a file that labrelay held export wrote");
    while (!s->errors && end > 0 && span_has(r.rest)) {
        struct row w = {.line = ++line};
        bool has = false;
        column = 0;
        do {
            end = read_cell(&r, &cell);
            has = has || cell.n;
            for (int k = 0; k < COLUMNS_N; k++)
                if (places[k] == column)
                    w.cells[k] = cell_text(&cell);
            column++;
        } while (end == (unsigned char)r.sep && column < COLUMNS_MAX);
        for (int k = 0; k < COLUMNS_N; k++)
            if (!w.cells[k])
                w.cells[k] = xstrdup("");
        if (end < 0)
            report(s, line, column_names[COLUMN_ID], w.cells[COLUMN_ID], "a quote in this row is never closed");
        else if (end == (unsigned char)r.sep || s->n == ROWS_MAX)
            report(s, line, column_names[COLUMN_ID], w.cells[COLUMN_ID], "too many columns or rows");
        if (!has || s->errors) {
            for (int k = 0; k < COLUMNS_N; k++)
                free(w.cells[k]);
            continue;
        }
        if (s->n == s->cap) {
            s->cap = s->cap ? s->cap * 2 : 256;
            s->v = xrealloc(s->v, s->cap * sizeof *s->v);
        }
        s->v[s->n++] = w;
    }
    buf_clear(&cell);
    return s->errors ? -1 : 0;
}

/* ---- checking ---- */

struct seen { const char *token; bool has; };

static void look_for_token(void *ctx, int64_t us, const char *who, const char *action, const char *reason)
{
    struct seen *x = ctx;
    (void)us;
    (void)who;
    (void)action;
    x->has = x->has || (x->token[0] && strstr(reason, x->token) != NULL);
}

static bool read_decision(struct row *w, const char *word)
{
    static const struct { const char *word; enum held_action action; bool is_anyway; const char *person; } all[] = {
        {"release", HELD_RELEASE, false, NULL}, {"release anyway", HELD_RELEASE, true, NULL}, {"dismiss", HELD_DISMISS, false, NULL},
        {"link", HELD_LINK, false, NULL}, {"link anyway", HELD_LINK, true, NULL}, {"create case", HELD_CREATE, false, "case"},
        {"create contact", HELD_CREATE, false, "contact"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcasecmp(word, all[i].word) == 0) {
            w->x.action = all[i].action;
            w->x.is_anyway = all[i].is_anyway;
            w->x.person = all[i].person;
            return true;
        }
    return false;
}

static void check_row(struct sheet *s, struct row *w, size_t at, struct store_reader *r)
{
    struct err e = ERR_INIT;
    char token[HELD_TOKEN_BYTES];
    struct seen seen = {.token = w->cells[COLUMN_AS_OF]};
    if (!w->cells[COLUMN_DECISION][0]) {
        if (w->cells[COLUMN_PERSON][0])
            bad(s, w, COLUMN_DECISION, "a person is named, but nothing is decided: say link, or leave both empty");
        return;
    }
    w->state = ROW_GOOD;
    if (!cli_id(w->cells[COLUMN_ID], 'd', &w->x.id)) {
        bad(s, w, COLUMN_ID, "this is no id of a delivery: ids look like d12");
        return;
    }
    for (size_t i = 0; i < at; i++)
        if (s->v[i].x.id == w->x.id && s->v[i].x.action != HELD_NOTHING) {
            bad(s, w, COLUMN_ID, "this delivery is decided in a row above");
            return;
        }
    if (!read_decision(w, w->cells[COLUMN_DECISION])) {
        bad(s, w, COLUMN_DECISION, "say link, release, dismiss, create case or create contact (or link anyway, release anyway), or leave it empty");
        return;
    }
    if (store_load_delivery(r, w->x.id, &w->d, &e)) {
        bad(s, w, COLUMN_ID, "there is no such delivery");
        return;
    }
    if (store_list_audit(r, w->x.id, look_for_token, &seen, &e) == 0 && seen.has) {
        w->state = ROW_AGAIN;
        return;
    }
    held_token(&w->d, token);
    if (w->d.state != DELIVERY_HELD)
        bad(s, w, COLUMN_AS_OF, "it is not held any more: export again");
    else if (strcmp(token, w->cells[COLUMN_AS_OF]) != 0)
        bad(s, w, COLUMN_AS_OF, "it changed since the export: export again and look at it");
    else if (w->x.action == HELD_LINK && !w->cells[COLUMN_PERSON][0])
        bad(s, w, COLUMN_PERSON, "link to whom? Write the case's visualId or its Go.Data id");
    else if (w->x.action != HELD_LINK && w->cells[COLUMN_PERSON][0])
        bad(s, w, COLUMN_PERSON, "a person goes with link only");
    else if (!text_utf8_valid(span_of(w->cells[COLUMN_NOTE])) || !text_utf8_valid(span_of(w->cells[COLUMN_PERSON])))
        bad(s, w, COLUMN_NOTE, "not UTF-8: in Excel save as \"CSV UTF-8 (comma delimited)\"");
    else if (strlen(w->cells[COLUMN_NOTE]) > NOTE_MAX)
        bad(s, w, COLUMN_NOTE, "longer than 1000 characters");
    if (w->state == ROW_BAD)
        return;
    if (w->x.action == HELD_LINK)
        w->x.person = w->cells[COLUMN_PERSON];
    w->x.expect = &w->d;
    struct buf note;
    buf_init(&note, CELL_MAX);
    buf_adds(&note, w->cells[COLUMN_NOTE]);
    buf_addf(&note, "%s(apply %s)", note.n ? " " : "", token);
    w->note = buf_take(&note, NULL);
    w->x.why = w->note;
}

/* Asks the engine whether it would be done, or has it done. */
static void decide_row(struct sheet *s, const struct config *conf, struct row *w, const char *by, bool is_check)
{
    struct err e = ERR_INIT;
    struct buf a;
    buf_init(&a, CONTROL_MAX_BYTES);
    w->x.by = by;
    w->x.is_check = is_check;
    w->x.is_impatient = s->is_away;
    int rc = held_decide(conf, &w->x, &a, &e);
    char *error = rc > 0 ? held_error(&a) : NULL;
    s->is_away = s->is_away || (error && strstr(error, "cannot be asked"));
    if (rc)
        bad(s, w, w->x.action == HELD_LINK ? COLUMN_PERSON : COLUMN_DECISION, rc < 0 ? e.text : error ? error : "refused");
    else if (!is_check)
        w->state = ROW_DONE;
    free(error);
    buf_clear(&a);
}

static size_t count(const struct sheet *s, int state)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += (int)s->v[i].state == state;
    return n;
}

static int print_sums(const struct cli *c, struct sheet *s, bool is_refused)
{
    struct buf b;
    buf_init(&b, FILE_MAX_BYTES);
    if (s->is_json) {
        buf_adds(&b, "{\"errors\":[");
        buf_add_span(&b, buf_span(&s->report));
        buf_addc(&b, ']');
        buf_json_kint(&b, "applied", (int64_t)count(s, ROW_DONE));
        buf_json_kint(&b, "good", (int64_t)(count(s, ROW_DONE) + count(s, ROW_GOOD)));
        buf_json_kint(&b, "applied_before", (int64_t)count(s, ROW_AGAIN));
        buf_json_kint(&b, "undecided", (int64_t)count(s, ROW_EMPTY));
        buf_adds(&b, "}\n");
    } else {
        fwrite(s->report.p ? s->report.p : "", 1, s->report.n, stderr);
        if (is_refused)
            buf_adds(&b, "nothing was changed: mend these rows, or say --skip-bad\n");
        else if (cli_has(c, "check"))
            buf_addf(&b, "%zu rows can be applied\n", count(s, ROW_GOOD));
        else
            buf_addf(&b, "%zu applied, %zu applied before, %zu undecided, %zu wrong\n", count(s, ROW_DONE), count(s, ROW_AGAIN), count(s, ROW_EMPTY), count(s, ROW_BAD));
    }
    cli_print(&b);
    buf_clear(&b);
    return s->errors ? EXIT_WRONG : EXIT_FINE;
}

static int apply_sheet(const struct cli *c, const struct config *conf, struct store_reader *r, struct sheet *s, const char *by)
{
    for (size_t i = 0; i < s->n; i++)
        check_row(s, &s->v[i], i, r);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].state == ROW_GOOD)
            decide_row(s, conf, &s->v[i], by, true);
    bool is_refused = s->errors && !cli_has(c, "skip-bad");
    for (size_t i = 0; i < s->n && !is_refused && !cli_has(c, "check"); i++)
        if (s->v[i].state == ROW_GOOD)
            decide_row(s, conf, &s->v[i], by, false);
    return print_sums(c, s, is_refused);
}

int held_apply(const struct cli *c, const struct config *conf, struct store_reader *r, const char *path)
{
    struct sheet s = {.is_json = cli_has(c, "json")};
    struct err e = ERR_INIT;
    struct buf text;
    int rc;
    const char *by = cli_get(c, "by");
    if (!by)
        return cli_usage(c, "who decided this? say --by NAME");
    buf_init(&text, FILE_MAX_BYTES);
    buf_init(&s.report, FILE_MAX_BYTES);
    if (fs_load(path, &text, &e))
        rc = cli_fail(&e);
    else if (read_sheet(&s, buf_span(&text)))
        rc = print_sums(c, &s, true);
    else
        rc = apply_sheet(c, conf, r, &s, by);
    for (size_t i = 0; i < s.n; i++) {
        for (int k = 0; k < COLUMNS_N; k++)
            free(s.v[i].cells[k]);
        delivery_clear(&s.v[i].d);
        free(s.v[i].note);
    }
    free(s.v);
    buf_clear(&s.report);
    buf_clear(&text);
    return rc;
}
