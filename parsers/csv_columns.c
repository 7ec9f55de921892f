/*
 * NAME csv_columns - the `column` statements of a CSV parser.
 *
 *     column "Lab no"   specimen.id
 *     column "Case ID"  patient.ids authority "GODATA" type "PI"
 *     column "Test"     observation.code system loinc
 *     column "Result"   observation.value
 *     column "RDT"      observation "malaria-rdt" system local name "Malaria RDT" unit "…"
 * The last form is a test of its own: a row has one observation for each such column that is not blank. Behind any of them `optional`:
 * the file may lack the column. Which fields a column can fill: those of the record (labrelay fields) that are a text, a time, a code,
 * an identifier or a list, and patient.address.*.
 * DIAGNOSTICS err.text what is wrong, err.where the nearest word as a hint; both for the configuration.
 */
#include "csv_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xmem.h"

#define NAMES_MAX 128u

static const struct { const char *name; size_t offset; } addresses[] = {
    {"patient.address.line", offsetof(struct rec_address, line)},
    {"patient.address.city", offsetof(struct rec_address, city)},
    {"patient.address.district", offsetof(struct rec_address, district)},
    {"patient.address.state", offsetof(struct rec_address, state)},
    {"patient.address.postal_code", offsetof(struct rec_address, postal_code)},
    {"patient.address.country", offsetof(struct rec_address, country)},
};
#define ADDRESSES_N (sizeof addresses / sizeof addresses[0])

/* What the parser makes itself, or what is more than a cell can say. */
static bool is_fillable(const struct rec_field *f)
{
    static const char *const not[] = {"message.channel", "message.format", "message.kind", "message.structure", "message.version",
                                      "message.processing_id", "message.processing_mode", "message.charset", "patient.flags", "patient.old_ids",
                                      "patient.present", "patient.deceased", "report.status_raw", "report.control", "specimen.ambiguous",
                                      "specimen.control", "observation.key", "observation.status_raw", "observation.role",
                                      "observation.interpretation_text"};
    struct span name = span_of(f->name);
    for (size_t i = 0; i < sizeof not / sizeof not[0]; i++)
        if (span_is(name, not[i]))
            return false;
    return !span_starts(name, "observation.value.") && !(name.n > 5 && span_is(span_from(name, name.n - 5), ".path"));
}

static const char *nearest_field(struct span word)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < record_fields_n && n < NAMES_MAX - ADDRESSES_N; i++)
        if (is_fillable(&record_fields[i]))
            names[n++] = record_fields[i].name;
    for (size_t i = 0; i < ADDRESSES_N; i++)
        names[n++] = addresses[i].name;
    return text_nearest(word, names, n);
}

static int unknown_field(const char *word, struct err *e)
{
    const char *near = nearest_field(span_of(word));
    const struct rec_field *f = record_field_find(span_of(word));
    char hint[96] = "labrelay fields lists them";
    if (near)
        (void)snprintf(hint, sizeof hint, "did you mean \"%s\"?", near);
    return err_set(e, ERR_CONFIG, hint, f ? "a column cannot fill \"%.60s\"" : "no such field \"%.60s\"", word);
}

/* loinc, snomed, ucum and local by their short names; a URL or urn: as it is; any other name is a local system. */
static char *system_of(const char *word)
{
    static const char *const names[][2] = {{"loinc", "http://loinc.org"}, {"snomed", "http://snomed.info/sct"}, {"ucum", "http://unitsofmeasure.org"}};
    char b[200];
    for (size_t i = 0; i < 3; i++)
        if (span_is_nocase(span_of(word), names[i][0]))
            return xstrdup(names[i][1]);
    if (strcmp(word, "local") == 0 || strchr(word, ':'))
        return xstrdup(word);
    (void)snprintf(b, sizeof b, "local:%.180s", word);
    return xstrdup(b);
}

static bool takes(const struct csv_column *c, const char *word)
{
    bool is_code = c->place == CSV_OWN_TEST || (c->place == CSV_FIELD && c->field->type == REC_CODES);
    bool is_id = c->place == CSV_FIELD && (c->field->type == REC_IDS || c->field->type == REC_ID);
    bool is_value = c->place == CSV_OWN_TEST || (c->place == CSV_FIELD && c->field->type == REC_VALUE);
    if (strcmp(word, "system") == 0)
        return is_code || (is_value && c->is_coded);
    if (strcmp(word, "coded") == 0)
        return c->place == CSV_FIELD && c->field->type == REC_VALUE;
    if (strcmp(word, "unit") == 0 || strcmp(word, "name") == 0)
        return c->place == CSV_OWN_TEST;
    return is_id;                       /* authority, type */
}

static int read_extra(struct csv_column *c, const struct option_list *w, size_t *i, struct err *e)
{
    static const char *const names[] = {"system", "authority", "type", "unit", "name", "coded", "optional"};
    const char *word = w->v[*i], *near;
    char **to = NULL, hint[96] = "";
    if (strcmp(word, "optional") == 0) {
        c->is_optional = true;
        return 0;
    }
    if (strcmp(word, "system") == 0)
        to = &c->system;
    else if (strcmp(word, "authority") == 0)
        to = &c->authority;
    else if (strcmp(word, "type") == 0)
        to = &c->type;
    else if (strcmp(word, "unit") == 0)
        to = &c->unit;
    else if (strcmp(word, "name") == 0)
        to = &c->display;
    else if (strcmp(word, "coded") != 0) {
        near = text_nearest(span_of(word), names, sizeof names / sizeof names[0]);
        (void)snprintf(hint, sizeof hint, near ? "did you mean \"%s\"?" : "system, authority, type, unit, name, coded and optional can stand here", near);
        return err_set(e, ERR_CONFIG, hint, "unknown word \"%.60s\" in column \"%.60s\"", word, c->header);
    }
    if (!takes(c, word))
        return err_set(e, ERR_CONFIG, NULL, "\"%s\" has no meaning for this kind of column", word);
    if (!to) {
        c->is_coded = true;
        return 0;
    }
    if (*to)
        return err_set(e, ERR_CONFIG, NULL, "\"%s\" is given twice", word);
    if (*i + 1 >= w->n)
        return err_set(e, ERR_CONFIG, NULL, "\"%s\" needs a value behind it", word);
    ++*i;
    *to = to == &c->system ? system_of(w->v[*i]) : xstrdup(w->v[*i]);
    return 0;
}

static void column_clear(struct csv_column *c)
{
    free(c->header);
    free(c->code);
    free(c->system);
    free(c->display);
    free(c->unit);
    free(c->authority);
    free(c->type);
}

static int read_target(struct csv_column *c, const struct option_list *w, size_t *i, struct err *e)
{
    const char *name = w->v[*i];
    if (strcmp(name, "observation") == 0) {
        if (*i + 1 >= w->n || !w->v[*i + 1][0])
            return err_set(e, ERR_CONFIG, NULL, "write the code of the test behind it: observation \"malaria-rdt\"");
        c->place = CSV_OWN_TEST;
        c->code = xstrdup(w->v[++*i]);
        return 0;
    }
    for (size_t k = 0; k < ADDRESSES_N; k++)
        if (strcmp(name, addresses[k].name) == 0) {
            c->place = CSV_ADDRESS;
            c->address = addresses[k].offset;
            return 0;
        }
    c->field = record_field_find(span_of(name));
    return c->field && is_fillable(c->field) ? 0 : unknown_field(name, e);
}

int csv_column_read(void *value, const struct option_list *w, size_t *bad, struct err *e)
{
    struct csv_columns *all = value;
    struct csv_column c = {.place = CSV_FIELD};
    size_t i = 0;
    *bad = 0;
    if (w->n < 2) {
        *bad = w->n ? w->n - 1 : 0;
        return err_set(e, ERR_CONFIG, NULL, "write: column \"Header of the file\" specimen.id");
    }
    struct span header = span_trim(span_of(w->v[0]));
    if (!header.n)
        return err_set(e, ERR_CONFIG, NULL, "the name of a column is empty");
    c.header = xstrndup(header.p, header.n);
    i = *bad = 1;
    if (read_target(&c, w, &i, e)) {
        *bad = i;
        column_clear(&c);
        return -1;
    }
    for (i++; i < w->n; i++) {
        *bad = i;
        if (read_extra(&c, w, &i, e)) {
            column_clear(&c);
            return -1;
        }
    }
    all->v = xreallocarray(all->v, all->n + 1, sizeof *all->v);
    all->v[all->n++] = c;
    return 0;
}

void csv_columns_free(void *value)
{
    struct csv_columns *all = value;
    for (size_t i = 0; i < all->n; i++)
        column_clear(&all->v[i]);
    free(all->v);
    *all = (struct csv_columns){.n = 0};
}

static bool is_single(const struct csv_column *c)
{
    return c->place == CSV_FIELD && c->field->type != REC_LIST && c->field->type != REC_IDS && c->field->type != REC_CODES;
}

int csv_columns_check(const struct csv_columns *all, struct err *e)
{
    bool has_value = false, has_code = false, has_patient = false;
    for (size_t i = 0; i < all->n; i++) {
        const struct csv_column *c = &all->v[i];
        bool is_field = c->place == CSV_FIELD;
        has_value |= is_field && strcmp(c->field->name, "observation.value") == 0;
        has_code |= is_field && strcmp(c->field->name, "observation.code") == 0;
        has_patient |= c->place == CSV_ADDRESS || c->place == CSV_OWN_TEST || c->field->scope == SCOPE_PATIENT;
        for (size_t k = 0; k < i; k++)
            if (is_single(c) && is_single(&all->v[k]) && c->field == all->v[k].field)
                return err_set(e, ERR_CONFIG, "column", "columns \"%.60s\" and \"%.60s\" both fill %s", all->v[k].header, c->header, c->field->name);
    }
    if (!all->n)
        return err_set(e, ERR_CONFIG, "column", "a CSV file needs columns: column \"Lab no\" specimen.id");
    if (has_value && !has_code)
        return err_set(e, ERR_CONFIG, "column", "a value needs to know its test: add column \"Test\" observation.code, or write column \"Result\" observation \"CODE\"");
    if (has_code && !has_value)
        return err_set(e, ERR_CONFIG, "column", "a column names the test (observation.code) and none its value (observation.value)");
    if (!has_value && !has_patient)
        return err_set(e, ERR_CONFIG, "column", "no column is a result or tells of a patient");
    return 0;
}
