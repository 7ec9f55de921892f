/*
 * NAME csv_record - one row of a CSV file becomes one message with one record.
 *
 * Observations: the test and value of the row (observation.code, observation.value), and one for each test column that is not blank.
 * A test without a value is a result that is awaited (status registered). A row without any observation tells of a patient only
 * (NO_RESULT, or a person where a route sends persons); a row with nothing in any column that is configured is accepted and forgotten
 * (EMPTY_ROW). A cell that cannot be read refuses the row.
 * DIAGNOSTICS problems with the row and the column, never a value; -1 when the arena is full.
 */
#include "csv_inner.h"

#include <string.h>

#include "text.h"

#define PROBLEMS_MAX 20u

struct row_work {
    const struct csv_file *f;
    const struct csv_row *row;
    struct parsed *out;
    struct record *r;
    struct rec_observation all;         /* what columns say of every observation of the row */
    struct rec_codes code;
    struct span value;
    const struct csv_column *value_column, *code_column;
    size_t n_lists;
    bool is_filled;
};

struct span csv_where(struct arena *a, unsigned row, const char *column)
{
    return column ? arena_printf(a, "row %u, column \"%.100s\"", row, column) : row ? arena_printf(a, "row %u", row) : SPAN_LIT("header");
}

bool csv_problem(struct arena *a, struct parsed *p, char severity, int code, const char *name, const char *text, struct span where)
{
    struct problem *v = (struct problem *)(uintptr_t)p->problems;
    size_t n = where.n < sizeof v->where - 1 ? where.n : sizeof v->where - 1;
    if (p->n_problems >= PROBLEMS_MAX)
        return true;
    if (!v)
        v = arena_array(a, PROBLEMS_MAX, sizeof *v);
    if (!v)
        return false;
    struct problem *x = &v[p->n_problems];
    if (severity == 'E')                /* errors first */
        for (size_t i = 0; i < p->n_problems; i++)
            if (v[i].severity == 'W') {
                memmove(&v[i + 1], &v[i], (p->n_problems - i) * sizeof *v);
                x = &v[i];
                break;
            }
    *x = (struct problem){.severity = severity, .code = code, .name = name, .text = text, .expression = where};
    while (n && n < where.n && ((unsigned char)where.p[n] & 0xc0) == 0x80)
        n--;                            /* never half a character */
    if (n)
        memcpy(x->where, where.p, n);
    p->problems = v;
    p->n_problems++;
    if (severity == 'E')
        p->fate = PARSE_REFUSE;
    return true;
}

static bool problem(struct row_work *w, const struct csv_column *c, char severity, int code, const char *name, const char *text)
{
    return csv_problem(w->f->a, w->out, severity, code, name, text, csv_where(w->f->a, w->row->number, c ? c->header : NULL));
}

/* ---- words ---- */

static bool is_among(struct span s, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        if (span_is_nocase(s, words[i]))
            return true;
    return false;
}

static struct span sex_of(struct span s)
{
    static const char *const female[] = {"f", "female", "woman", "girl", "féminin", "feminin", "femme", "femenino", "feminino", "mujer", "ж", NULL};
    static const char *const male[] = {"m", "male", "man", "boy", "masculin", "homme", "masculino", "hombre", "м", NULL};
    static const char *const other[] = {"o", "other", "autre", "otro", NULL}, *const unknown[] = {"u", "unknown", "inconnu", "desconocido", "?", NULL};
    if (is_among(s, female))
        return SPAN_LIT("F");
    if (is_among(s, male))
        return SPAN_LIT("M");
    return is_among(s, other) ? SPAN_LIT("O") : is_among(s, unknown) ? SPAN_LIT("U") : SPAN_ABSENT;
}

static bool status_of(struct span s, enum obs_status *out)
{
    static const struct { const char *letter; enum obs_status status; } letters[] = {
        {"I", OBS_ST_REGISTERED}, {"P", OBS_ST_PRELIMINARY}, {"S", OBS_ST_PRELIMINARY}, {"R", OBS_ST_UNVERIFIED}, {"F", OBS_ST_FINAL}, {"C", OBS_ST_CORRECTED},
        {"X", OBS_ST_CANCELLED}, {"D", OBS_ST_DELETED}, {"W", OBS_ST_WITHDRAWN}, {"N", OBS_ST_NOT_ASKED}, {"O", OBS_ST_ORDER_ONLY}, {"pending", OBS_ST_REGISTERED}};
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (span_is_nocase(s, letters[i].letter)) {
            *out = letters[i].status;
            return true;
        }
    for (int k = OBS_ST_REGISTERED; k <= OBS_ST_UNKNOWN; k++)
        if (span_is_nocase(s, obs_status_name((enum obs_status)k))) {
            *out = (enum obs_status)k;
            return true;
        }
    return false;
}

static bool yes_no_of(struct span s, bool *out)
{
    static const char *const yes[] = {"yes", "y", "1", "true", "x", "rejected", "oui", "si", "sí", "sim", NULL};
    static const char *const no[] = {"no", "n", "0", "false", "accepted", "non", "não", NULL};
    *out = is_among(s, yes);
    return *out || is_among(s, no);
}

static bool is_number(struct span s)
{
    size_t digits = 0, points = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9')
            digits++;
        else if (s.p[i] == '.')
            points++;
        else if (i || (s.p[i] != '+' && s.p[i] != '-'))
            return false;
    }
    return digits && points <= 1 && s.p[0] != '.';
}

/* ---- values ---- */

static struct span number_text(struct row_work *w, struct span s)
{
    size_t comma = span_find(s, ',');
    if (!w->f->o->is_decimal_comma || comma == s.n)
        return s;
    struct span c = arena_dup(w->f->a, s);
    if (c.n)
        ((char *)(uintptr_t)c.p)[comma] = '.';
    return c;
}

static void read_value(struct row_work *w, const struct csv_column *c, struct span cell, struct rec_value *v)
{
    static const char *const comparators[] = {">=", "<=", "<", ">", "="};
    *v = (struct rec_value){.type = REC_V_NONE, .text = cell, .raw = cell, .path = arena_printf(w->f->a, "column \"%.100s\"", c->header)};
    if (!cell.n)
        return;
    if (c->is_coded) {
        struct rec_coding *one = arena_zalloc(w->f->a, sizeof *one);
        if (!one)
            return;
        *one = (struct rec_coding){.code = cell, .system = span_of(c->system ? c->system : "local")};
        v->type = REC_V_CODED;
        v->codings = (struct rec_codes){.v = one, .n = 1};
        return;
    }
    struct span number = number_text(w, cell);
    v->type = REC_V_TEXT;
    if (is_number(number)) {
        v->type = REC_V_NUMBER;
        v->num1 = number;
        return;
    }
    for (size_t i = 0; i < 5; i++)
        if (span_starts(number, comparators[i])) {
            struct span rest = span_trim(span_from(number, strlen(comparators[i])));
            if (!is_number(rest))
                return;
            v->type = REC_V_STRUCTURED;
            v->comparator = span_of(comparators[i]);
            v->num1 = rest;
            return;
        }
}

static struct rec_codes one_code(struct row_work *w, const struct csv_column *c, struct span code)
{
    struct rec_coding *v = arena_zalloc(w->f->a, sizeof *v);
    if (!v)
        return (struct rec_codes){.n = 0};
    *v = (struct rec_coding){.code = code, .system = span_of(c->system ? c->system : "local"), .display = span_of(c->display)};
    return (struct rec_codes){.v = v, .n = 1};
}

/* ---- cells to fields ---- */

static bool add_to_list(struct row_work *w, struct rec_list *l, struct span s)
{
    struct span *v = arena_array(w->f->a, l->n + 1, sizeof *v);
    if (!v)
        return false;
    if (l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    v[l->n] = s;
    *l = (struct rec_list){v, l->n + 1};
    return true;
}

static struct rec_id id_of(const struct csv_column *c, struct span s, struct span path)
{
    return (struct rec_id){.value = s, .authority = span_of(c->authority), .type = span_of(c->type), .path = path};
}

static bool add_id(struct row_work *w, struct rec_ids *l, const struct csv_column *c, struct span s)
{
    struct rec_id *v = arena_array(w->f->a, l->n + 1, sizeof *v);
    if (!v)
        return false;
    if (l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    v[l->n] = id_of(c, s, arena_printf(w->f->a, "column \"%.100s\"", c->header));
    *l = (struct rec_ids){v, l->n + 1};
    return true;
}

static bool add_codes(struct row_work *w, struct rec_codes *l, const struct csv_column *c, struct span s)
{
    struct rec_coding *v = arena_array(w->f->a, l->n + 1, sizeof *v);
    if (!v)
        return false;
    if (l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    v[l->n] = (struct rec_coding){.code = s, .system = span_of(c->system ? c->system : "local")};
    l->v = v;
    l->n++;
    return true;
}

static bool put_span(struct row_work *w, const struct csv_column *c, struct span *to, struct span s)
{
    *to = s;
    if (strcmp(c->field->name, "patient.sex") != 0)
        return true;
    *to = sex_of(s);
    return to->n || problem(w, c, 'W', 103, "W_UNKNOWN_SEX", "this word for the sex is not known; it is left open");
}

static bool put_status(struct row_work *w, const struct csv_column *c, struct span s)
{
    w->all.status_raw = s;
    return status_of(s, &w->all.status) || problem(w, c, 'E', 103, "BAD_STATUS", "this word for the status of a result is not known");
}

static bool put_field(struct row_work *w, const struct csv_column *c, void *to, struct span s)
{
    switch (c->field->type) {
    case REC_SPAN: return put_span(w, c, to, s);
    case REC_TS:
        return csv_date(&w->f->o->date_formats, s, w->f->a, to) || problem(w, c, 'E', 102, "BAD_DATE", "this is no date in the order that date-format names, nor YYYY-MM-DD");
    case REC_CODES: return add_codes(w, to, c, s);
    case REC_CODING: ((struct rec_coding *)to)->code = s; return true;
    case REC_IDS: return add_id(w, to, c, s);
    case REC_ID: *(struct rec_id *)to = id_of(c, s, SPAN_ABSENT); return true;
    case REC_LIST: return add_to_list(w, to, s);
    case REC_BOOL: return yes_no_of(s, to) || problem(w, c, 'E', 103, "BAD_YES_NO", "write yes or no");
    case REC_STATUS: return put_status(w, c, s);
    case REC_ROLE:
    case REC_VALUE:
    case REC_FORMAT: return true;
    }
    return true;
}

static bool put_address(struct row_work *w, const struct csv_column *c, struct span s)
{
    struct rec_address *v = (struct rec_address *)(uintptr_t)w->r->patient.address.v;
    if (!v)
        v = arena_zalloc(w->f->a, sizeof *v);
    if (!v)
        return false;
    *(struct span *)(void *)((char *)v + c->address) = s;
    w->r->patient.address = (struct rec_addresses){v, 1};
    record_patient_home(&w->r->patient);
    w->r->patient.is_present = true;
    return true;
}

/* One cell that is not blank. */
static bool put_cell(struct row_work *w, const struct csv_column *c, struct span s)
{
    void *base = NULL;
    w->is_filled = true;
    if (c->place == CSV_OWN_TEST)
        return true;                    /* later: the other columns first */
    if (c->place == CSV_ADDRESS)
        return put_address(w, c, s);
    if (c == w->value_column) {
        w->value = s;
        return true;
    }
    switch (c->field->scope) {
    case SCOPE_MESSAGE: base = &w->out->message; break;
    case SCOPE_PATIENT:
        base = &w->r->patient;
        w->r->patient.is_present = true;
        break;
    case SCOPE_REPORT: base = &w->r->report; break;
    case SCOPE_SPECIMEN:
        base = &w->r->specimen;
        w->r->specimen.path = SPAN_LIT("row");
        break;
    case SCOPE_OBSERVATION: base = &w->all; break;
    }
    return put_field(w, c, (char *)base + c->field->offset, s);
}

/* Decodes the row's cell of column i; *s is trimmed. False: the arena is full or the problem was reported. */
static bool cell_of(struct row_work *w, size_t i, struct span *s)
{
    size_t at = w->f->at[i];
    *s = SPAN_ABSENT;
    if (at >= w->row->n)
        return true;
    struct span raw = span_trim(w->row->cells[at]);
    *s = raw.n ? csv_text(w->f->a, w->f->o->charset, raw) : SPAN_ABSENT;
    if (raw.n && memchr(raw.p, 0, raw.n)) {
        *s = SPAN_ABSENT;
        return problem(w, &w->f->o->columns.v[i], 'E', 102, "ZERO_BYTES", "the cell holds zero bytes: the file is no text, or is UTF-16; save it as CSV UTF-8");
    }
    if (raw.n && !s->n)
        return problem(w, &w->f->o->columns.v[i], 'E', 102, "BAD_ENCODING", "the cell is no UTF-8; save the file as CSV UTF-8, or set charset");
    *s = span_trim(*s);
    return true;
}

static bool add_observation(struct row_work *w, const struct csv_column *c, struct rec_codes code, struct span value)
{
    struct rec_observation *o = &w->r->observations[w->r->n];
    *o = w->all;
    o->code = code;
    read_value(w, c, value, &o->value);
    if (c->unit)
        o->unit = (struct rec_coding){.code = span_of(c->unit)};
    if (!value.n && !o->status_raw.n)
        o->status = OBS_ST_REGISTERED;
    o->key = arena_printf(w->f->a, "%.*s|%.*s|%.*s", SPAN_ARG(code.n ? code.v[0].code : SPAN_ABSENT), SPAN_ARG(code.n ? code.v[0].system : SPAN_ABSENT), SPAN_ARG(o->sub_id));
    o->path = o->value.path;
    o->role = OBS_RESULT;
    o->parts = 1;
    w->r->n++;
    return code.n && !arena_is_full(w->f->a);
}

static bool add_observations(struct row_work *w)
{
    const struct csv_columns *cs = &w->f->o->columns;
    if (w->value.n && !w->all.code.n)
        return problem(w, w->code_column, 'E', 101, "MISSING_FIELD", "there is a result, and no test that it is of");
    if (w->all.code.n && !add_observation(w, w->value_column, w->all.code, w->value))
        return false;
    for (size_t i = 0; i < cs->n; i++) {
        struct span s;
        if (cs->v[i].place != CSV_OWN_TEST)
            continue;
        if (!cell_of(w, i, &s))
            return false;
        if (s.n && !add_observation(w, &cs->v[i], one_code(w, &cs->v[i], span_of(cs->v[i].code)), s))
            return false;
    }
    return true;
}

static bool report_fault(struct row_work *w)
{
    switch (w->row->fault) {
    case CSV_FINE: return true;
    case CSV_OPEN_QUOTE: return problem(w, NULL, 'E', 102, "OPEN_QUOTE", "a quote opens and is never closed: all that follows it in the file was not read");
    case CSV_AFTER_QUOTE: return problem(w, NULL, 'E', 102, "BAD_QUOTE", "behind a closing quote the next column or the end of the line is expected; quotes inside are doubled");
    case CSV_TOO_MANY_CELLS: return problem(w, NULL, 'E', 104, "TOO_MANY_COLUMNS", "the row has more columns than max-columns");
    case CSV_LONG_CELL: return problem(w, NULL, 'E', 104, "CELL_TOO_LONG", "a cell is longer than max-cell: is a quote never closed?");
    }
    return true;
}

/* As many cells as the header; empty ones may follow. */
static bool check_width(struct row_work *w)
{
    size_t n = w->row->n;
    while (n > w->f->header.n && !span_trim(w->row->cells[n - 1]).n)
        n--;
    if (n == w->f->header.n)
        return true;
    return problem(w, NULL, 'E', 102, "WRONG_CELL_COUNT",
                   n > w->f->header.n ? "the row has more cells than the header: a cell with a separator inside has to stand in quotes"
                                      : "the row has fewer cells than the header: was the file cut off?");
}

static void start(struct row_work *w)
{
    const struct csv_options *o = w->f->o;
    w->out->message = (struct rec_message){.format = REC_CSV, .kind = SPAN_LIT("CSV"), .processing_id = SPAN_LIT("P")};
    w->out->message.source_facility.value = span_of(o->facility);
    w->r->message = &w->out->message;
    w->r->patient.path = w->r->report.path = SPAN_LIT("row");
    w->r->specimen.role = SPAN_LIT("P");
    w->all.status = o->status == CSV_PRELIMINARY ? OBS_ST_PRELIMINARY : OBS_ST_FINAL;
    for (size_t i = 0; i < o->columns.n; i++) {
        const struct csv_column *c = &o->columns.v[i];
        if (c->place == CSV_FIELD && c->field->type == REC_VALUE)
            w->value_column = c;
        if (c->place == CSV_FIELD && strcmp(c->field->name, "observation.code") == 0)
            w->code_column = c;
    }
}

static bool read_cells(struct row_work *w)
{
    for (size_t i = 0; i < w->f->o->columns.n; i++) {
        struct span s;
        if (!cell_of(w, i, &s) || (s.n && !put_cell(w, &w->f->o->columns.v[i], s)))
            return false;
    }
    return true;
}

/* Where a route sends persons the row is one; elsewhere there is nothing in it to deliver. */
static void finish_person(struct row_work *w)
{
    struct parsed_persons *p = arena_zalloc(w->f->a, sizeof *p);
    w->out->fate = PARSE_FILTER;
    w->out->filter_reason = "NO_RESULT";
    if (!p || !w->r->patient.is_present)
        return;
    *p = (struct parsed_persons){.fate = PARSE_ACCEPT, .records = w->r, .n_records = 1, .problems = w->out->problems, .n_problems = w->out->n_problems};
    w->out->persons = p;
}

static void finish(struct row_work *w)
{
    struct rec_patient *p = &w->r->patient;
    if (w->out->fate == PARSE_REFUSE) {
        w->out->observations = (unsigned)w->r->n;
        return;
    }
    if (!w->is_filled) {
        w->out->fate = PARSE_FILTER;
        w->out->filter_reason = "EMPTY_ROW";
        return;
    }
    if (!p->family_name.n && !p->given_name.n)
        p->family_name = p->name_text;
    if (!w->r->n) {
        finish_person(w);
        return;
    }
    w->out->records = w->r;
    w->out->n_records = 1;
    w->out->observations = (unsigned)w->r->n;
}

int csv_record(const struct csv_file *f, const struct csv_row *row, struct parsed *out)
{
    struct row_work w = {.f = f, .row = row, .out = out};
    *out = (struct parsed){.fate = PARSE_ACCEPT, .place = row->number};
    /* The header and the row: what is stored can be read again by itself. */
    char *raw = arena_alloc(f->a, f->header.raw.n + row->raw.n + 3);
    w.r = arena_zalloc(f->a, sizeof *w.r);
    if (!raw || !w.r)
        return -1;
    if (f->header.raw.n)
        memcpy(raw, f->header.raw.p, f->header.raw.n);
    raw[f->header.raw.n] = '\n';
    memcpy(raw + f->header.raw.n + 1, row->raw.p, row->raw.n);
    raw[f->header.raw.n + 1 + row->raw.n] = '\n';
    out->raw = span_make(raw, f->header.raw.n + row->raw.n + 2);
    w.r->observations = arena_array(f->a, f->n_tests ? f->n_tests : 1, sizeof *w.r->observations);
    if (!w.r->observations)
        return -1;
    start(&w);
    if (!report_fault(&w))
        return -1;
    bool is_cut = row->fault == CSV_FINE;
    if (is_cut && !check_width(&w))
        return -1;
    if (is_cut && out->fate == PARSE_ACCEPT && (!read_cells(&w) || (out->fate == PARSE_ACCEPT && !add_observations(&w))))
        return -1;
    finish(&w);
    return arena_is_full(f->a) ? -1 : 0;
}
