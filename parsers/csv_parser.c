/*
 * NAME csv_parser - the parser module "csv": options, sniff, header, rows, the answer as CSV.
 *
 * The header is the first of the first 20 rows that names every column that is configured (titles may stand above it). With separator auto
 * the one that finds most of them is taken. Which rows are messages, and what is refused: csv_record.c.
 * DIAGNOSTICS the file as a whole is refused when no row has the columns (101, naming each column that is missing), when it has too many
 * rows (104), and quarantined when it is no text (a workbook, UTF-16). ERR_LIMIT when the arena is full.
 */
#include "csv_parser.h"

#include <stddef.h>
#include <string.h>

#include "csv_inner.h"
#include "text.h"
#include "xmem.h"

#define HEADER_ROWS 20u                 /* titles that may stand above the header */
#define MAX_ROWS 20000
#define MAX_COLUMNS 500
#define MAX_CELL (64 << 10)
#define REPLY_MAX ((size_t)64 << 20)
#define SNIFF_MAX 4096u

static size_t max_of(int64_t option, size_t def)
{
    return option > 0 ? (size_t)option : def;
}

static struct csv_lexer lexer(const struct csv_options *o, struct span text, char separator, struct arena *a)
{
    return (struct csv_lexer){.rest = text, .separator = separator, .max_cells = max_of(o->max_columns, MAX_COLUMNS), .max_cell = max_of(o->max_cell, MAX_CELL), .a = a};
}

/* ---- the header ---- */

struct header {
    struct csv_row row;
    struct csv_lexer behind;            /* reads what follows */
    size_t found, *at;
    size_t twice;                       /* column that stands twice; SIZE_MAX: none */
    bool is_whole;
};

static bool is_header(struct span cell, const char *name)
{
    return span_eq_nocase(span_trim(cell), span_of(name));
}

static int match(const struct csv_options *o, struct arena *a, const struct csv_row *row, struct header *h)
{
    size_t n = o->columns.n, *at = arena_array(a, n ? n : 1, sizeof *at);
    if (!at)
        return -1;
    *h = (struct header){.row = *row, .at = at, .is_whole = true, .twice = SIZE_MAX};
    for (size_t i = 0; i < n; i++) {
        at[i] = SIZE_MAX;
        for (size_t k = 0; k < row->n; k++) {
            struct span cell = csv_text(a, o->charset, row->cells[k]);
            if (!is_header(cell, o->columns.v[i].header))
                continue;
            if (at[i] != SIZE_MAX)
                h->twice = i;
            else
                at[i] = k;
        }
        h->found += at[i] != SIZE_MAX;
        h->is_whole = h->is_whole && (at[i] != SIZE_MAX || o->columns.v[i].is_optional);
    }
    return arena_is_full(a) ? -1 : 0;
}

/* The best row of the first ones for one separator. */
static int look(const struct csv_options *o, struct arena *a, struct span text, char separator, struct header *best)
{
    struct csv_lexer l = lexer(o, text, separator, a);
    struct csv_row row;
    int rc;
    while (l.number < HEADER_ROWS && !best->is_whole && (rc = csv_next_row(&l, &row)) != 0) {
        struct header h;
        if (rc < 0)
            return -1;
        if (csv_is_blank(&row) || row.fault == CSV_OPEN_QUOTE)
            continue;
        if (match(o, a, &row, &h))
            return -1;
        if (!best->at || h.found > best->found || (h.is_whole && !best->is_whole)) {
            *best = h;
            best->behind = l;
        }
    }
    return 0;
}

static int find_header(const struct csv_options *o, struct arena *a, struct span text, struct header *out)
{
    static const char separators[] = {',', ';', '\t'};
    *out = (struct header){.found = 0};
    if (o->separator != CSV_AUTO)
        return look(o, a, text, separators[o->separator - CSV_COMMA], out);
    for (size_t i = 0; i < 3 && !out->is_whole; i++)
        if (look(o, a, text, separators[i], out))
            return -1;
    return 0;
}

/* ---- the file as a whole ---- */

static int whole(struct arena *a, struct span frame, struct parse_result *out, enum parse_fate fate, int code, const char *name, const char *text)
{
    out->v = arena_zalloc(a, sizeof *out->v);
    if (!out->v)
        return -1;
    out->n = 1;
    *out->v = (struct parsed){.raw = frame, .message = {.format = REC_CSV, .kind = SPAN_LIT("CSV")}};
    bool is_kept = csv_problem(a, out->v, 'E', code, name, text, SPAN_LIT("file"));
    out->v->fate = fate;
    return is_kept ? 0 : -1;
}

/* The header cell that is nearest to the name of a missing column. */
static struct span missing_where(struct arena *a, const struct csv_options *o, const struct header *h, const struct csv_column *c)
{
    const char *names[64];
    size_t n = 0;
    for (size_t k = 0; k < h->row.n && n < 64; k++) {
        char *s = arena_strdup(a, span_trim(csv_text(a, o->charset, span_cut(h->row.cells[k], 0, 100))));
        if (s && s[0])
            names[n++] = s;
    }
    const char *near = n ? text_nearest(span_of(c->header), names, n) : NULL;
    return near ? arena_printf(a, "row %u, column \"%.100s\" (there is \"%.60s\")", h->row.number, c->header, near)
                : csv_where(a, h->row.number, c->header);
}

static int refuse_header(const struct csv_options *o, struct arena *a, struct span frame, const struct header *h, struct parse_result *out)
{
    struct parsed p = {.fate = PARSE_REFUSE};
    for (size_t i = 0; i < o->columns.n; i++) {
        const struct csv_column *c = &o->columns.v[i];
        if (h->at && h->at[i] == SIZE_MAX && !c->is_optional &&
            !csv_problem(a, &p, 'E', 101, "MISSING_COLUMN", "the file has no column of this name", missing_where(a, o, h, c)))
            return -1;
        if (h->at && h->twice == i && !csv_problem(a, &p, 'E', 102, "DUPLICATE_COLUMN", "two columns of the file have this name", csv_where(a, h->row.number, c->header)))
            return -1;
    }
    if (whole(a, frame, out, PARSE_REFUSE, 101, "NO_HEADER", "no line names the columns"))
        return -1;
    if (p.n_problems) {
        out->v->problems = p.problems;
        out->v->n_problems = p.n_problems;
    }
    return arena_is_full(a) ? -1 : 0;
}

static bool is_no_text(struct span s, const char **text)
{
    *text = span_starts(s, "PK\x03\x04") || span_starts(s, "\xd0\xcf\x11\xe0") ? "this is a workbook (.xlsx, .xls, .ods), not CSV: save it as CSV UTF-8"
            : span_starts(s, "\xff\xfe") || span_starts(s, "\xfe\xff")             ? "the file is in UTF-16: save it as CSV UTF-8"
                                                                                 : NULL;
    return *text != NULL;
}

static int read_rows(const struct csv_options *o, struct arena *a, struct header *h, struct parse_result *out)
{
    struct csv_file f = {.o = o, .a = a, .header = h->row, .at = h->at};
    size_t cap = 0, max = max_of(o->max_rows, MAX_ROWS);
    struct csv_row row;
    int rc;
    for (size_t i = 0; i < o->columns.n; i++) {
        const struct csv_column *c = &o->columns.v[i];
        f.n_tests += c->place == CSV_OWN_TEST || (c->place == CSV_FIELD && c->field->type == REC_VALUE);
    }
    while ((rc = csv_next_row(&h->behind, &row)) > 0) {
        if (row.fault == CSV_FINE && csv_is_blank(&row))
            continue;
        if (out->n >= max)
            return 1;
        if (!arena_grow(a, &out->v, out->n, &cap, sizeof *out->v) || csv_record(&f, &row, &out->v[out->n]))
            return -1;
        out->n++;
    }
    for (size_t i = 0; i < out->n; i++)          /* the array may have moved */
        if (out->v[i].persons)
            out->v[i].persons->records->message = &out->v[i].message;
        else if (out->v[i].n_records)
            out->v[i].records->message = &out->v[i].message;
    return rc;
}

static int parse_file(const struct csv_options *o, struct span frame, struct arena *a, struct parse_result *out)
{
    struct header h;
    const char *text;
    struct span body = span_starts(frame, "\xef\xbb\xbf") ? span_from(frame, 3) : frame;
    *out = (struct parse_result){.n = 0};
    if (is_no_text(frame, &text))
        return whole(a, frame, out, PARSE_QUARANTINE, 102, "NO_TEXT", text);
    if (find_header(o, a, body, &h))
        return -1;
    if (!h.is_whole || h.twice != SIZE_MAX)
        return refuse_header(o, a, frame, &h, out);
    int rc = read_rows(o, a, &h, out);
    if (rc > 0) {
        *out = (struct parse_result){.n = 0};
        return whole(a, frame, out, PARSE_REFUSE, 104, "TOO_MANY_ROWS", "the file has more rows than max-rows: nothing of it was taken; split it");
    }
    out->is_batch = out->n != 1;
    return rc;
}

static int parse(const void *options, struct span frame, struct arena *a, struct parse_result *out, struct err *e)
{
    static const struct csv_options none = {0};
    if (parse_file(options ? options : &none, frame, a, out) == 0)
        return 0;
    *out = (struct parse_result){.n = 0};
    return err_set(e, ERR_LIMIT, "frame", "the file needs more memory than a file may have: split it");
}

/* Text whose first line that is not blank has a separator, and that is neither HL7 v2 nor FHIR. */
static bool sniff(struct span head)
{
    if (span_starts(head, "\xef\xbb\xbf"))
        head = span_from(head, 3);
    head = span_cut(head, 0, SNIFF_MAX);
    if (head.n && memchr(head.p, 0, head.n))
        return false;
    while (head.n && strchr(" \t\r\n\v", head.p[0]))
        head = span_from(head, 1);
    if (!head.n || strchr("{[<", head.p[0]) || span_starts(head, "MSH") || span_starts(head, "FHS") || span_starts(head, "BHS"))
        return false;
    for (size_t i = 0; i < head.n && head.p[i] != '\n' && head.p[i] != '\r'; i++)
        if (strchr(",;\t", head.p[i]))
            return true;
    return false;
}

/* ---- answer: a CSV file of its own, a line for each row ---- */

static const char *fate_word(enum frame_fate f)
{
    switch (f) {
    case FATE_STORED: return "stored";
    case FATE_DUPLICATE: return "duplicate";
    case FATE_REFUSED: return "refused";
    case FATE_QUARANTINED: return "refused";
    case FATE_BUSY: return "not taken";
    }
    return "";
}

static void add_cell(struct buf *b, struct span s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_addc(b, '"');
        buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

static int reply(const void *options, const struct parse_result *result, const enum frame_fate *fates, const struct reply_conf *rc, struct arena *a,
                 struct span **payloads, size_t *n, struct err *e)
{
    struct buf b;
    size_t len = 0;
    (void)options, (void)rc, (void)a;
    buf_init(&b, REPLY_MAX);
    buf_adds(&b, "row,outcome,place,reason\r\n");
    for (size_t i = 0; i < result->n; i++) {
        const struct parsed *p = &result->v[i];
        const struct problem *q = p->n_problems ? &p->problems[0] : NULL;
        if (p->place)
            buf_addf(&b, "%u", p->place);
        buf_addf(&b, ",%s,", fate_word(fates[i]));
        if (q && (q->severity == 'E' || fates[i] == FATE_STORED)) {
            add_cell(&b, q->expression);
            buf_addc(&b, ',');
            add_cell(&b, span_of(q->text));
        } else {
            buf_addc(&b, ',');
        }
        buf_adds(&b, "\r\n");
    }
    if (b.is_full) {
        buf_clear(&b);
        return err_set(e, ERR_LIMIT, NULL, "the answer is too long");
    }
    char *text = buf_take(&b, &len);
    *payloads = xreallocarray(*payloads, *n + 1, sizeof **payloads);
    (*payloads)[(*n)++] = span_make(text, len);
    return 0;
}

/* A sender of files does not wait for an answer: the file stays where it is. */
static int busy(const void *options, struct span frame, const struct reply_conf *rc, struct arena *a, struct span *payload, struct err *e)
{
    (void)options, (void)frame, (void)rc, (void)a, (void)e;
    *payload = SPAN_ABSENT;
    return 0;
}

/* ---- options ---- */

static int check_options(const void *options, struct err *e)
{
    const struct csv_options *o = options;
    for (size_t i = 0; i < o->date_formats.n; i++)
        if (!csv_date_format_ok(o->date_formats.v[i]))
            return err_set(e, ERR_CONFIG, "date-format", "\"%.60s\" is no order of a date: it needs YYYY, MM (or MMM) and DD once each, such as \"DD/MM/YYYY\"",
                           o->date_formats.v[i]);
    return csv_columns_check(&o->columns, e);
}

#define ROW(n, t, member, ...) {.name = (n), .type = (t), .offset = offsetof(struct csv_options, member), __VA_ARGS__}

static const struct option_row rows[] = {
    ROW("timezone", OPT_ZONE, timezone, .is_required = true, .help = "the zone of times that name none"),
    ROW("column", OPT_WORDS, columns, .words = csv_column_read, .custom_free = csv_columns_free, .may_repeat = true,
        .syntax = "\"HEADER\" FIELD [system NAME] [authority NAME] [type NAME] [coded] [optional] | \"HEADER\" observation \"CODE\" "
                  "[system NAME] [name \"TEXT\"] [unit \"UNIT\"] [optional]",
        .help = "what a column of the file is: a field of the record, or one test with its results; may repeat"),
    ROW("date-format", OPT_LIST, date_formats, .help = "how dates are written besides YYYY-MM-DD: \"DD/MM/YYYY\", \"DD-MMM-YYYY hh:mm\"; tried in this order"),
    ROW("separator", OPT_CHOICE, separator, .def = "auto", .choices = "auto comma semicolon tab", .help = "what stands between two cells"),
    ROW("charset", OPT_CHOICE, charset, .def = "auto", .choices = "auto utf-8 latin1", .help = "auto: UTF-8, and Latin-1 (Windows-1252) for what is none"),
    ROW("decimal-comma", OPT_YESNO, is_decimal_comma, .def = "no", .help = "read 1,5 as a number"),
    ROW("status", OPT_CHOICE, status, .def = "final", .choices = "final preliminary", .help = "of results whose row does not say it"),
    ROW("facility", OPT_TEXT, facility, .help = "name of the sending facility, where no column gives message.source_facility"),
    ROW("max-rows", OPT_INT, max_rows, .min = 1, .max = 50000, .def = "20000", .help = "most rows of a file; a longer one is refused as a whole"),
    ROW("max-columns", OPT_INT, max_columns, .min = 1, .max = 16384, .def = "500", .help = "most columns of a row"),
    ROW("max-cell", OPT_SIZE, max_cell, .min = 16, .max = 1 << 20, .def = "64kB", .help = "longest cell"),
};

const struct parser_ops csv_parser = {
    .name = "csv",
    .options = {rows, sizeof rows / sizeof rows[0], sizeof(struct csv_options), check_options},
    .memory_factor = 512,
    .sniff = sniff,
    .parse = parse,
    .reply = reply,
    .busy = busy,
};
