/*
 * NAME
 *     rule_lab - one observation as a Go.Data lab result
 * DESCRIPTION
 *     Fills every field as STANDARDS 8.2 and 8.3 say. Dates are the calendar day as the sender wrote it, in its own zone
 *     ("2026-05-04T00:00:00.000Z"); a year or month alone is left out and named in the notes. Nothing is filled from another field:
 *     no day is invented, no free text goes into a coded field.
 * DIAGNOSTICS
 *     None. With a full arena fields are absent; rule_run() turns that into ERR_LIMIT.
 */
#include <string.h>

#include "rule_notes.h"

bool rule_is_completed(enum obs_status s)
{
    switch (s) {
    case OBS_ST_FINAL:
    case OBS_ST_AMENDED:
    case OBS_ST_CORRECTED:
    case OBS_ST_APPENDED:
    case OBS_ST_VERIFIED:
    case OBS_ST_FINALIZED: return true;
    case OBS_ST_REGISTERED:
    case OBS_ST_PRELIMINARY:
    case OBS_ST_UNVERIFIED:
    case OBS_ST_CANCELLED:
    case OBS_ST_DELETED:
    case OBS_ST_WITHDRAWN:
    case OBS_ST_NOT_ASKED:
    case OBS_ST_ORDER_ONLY:
    case OBS_ST_UNKNOWN: return false;
    }
    return false;
}

struct span rule_day(const struct rec_ts *t, struct arena *a)
{
    if (t->v.n < 10 || t->prec == 'Y' || t->prec == 'M')
        return SPAN_ABSENT;
    return arena_printf(a, "%.10sT00:00:00.000Z", t->v.p);
}

static struct span day_or_note(const struct rule_scope *x, const struct rec_ts *t, const char *what, struct rule_notes *notes)
{
    struct span day = rule_day(t, x->a);
    if (!span_has(day) && span_has(t->v))
        rule_notes_linef(notes, "%s: %.*s", what, SPAN_ARG(t->v));
    return day;
}

/* The sample type; an unknown one is "other" with the sender's words in the notes. */
static struct span sample_type(struct rule_scope *x, struct rule_notes *notes)
{
    const struct rec_codes *type = &x->r->specimen.type;
    size_t which;
    if (!type->n && !span_has(type->text))
        return SPAN_ABSENT;
    int64_t row = x->rs->specimens ? rule_find_codes(x->r, x->rs->specimens, type, &which) : TABLE_NONE;
    if (row != TABLE_NONE)
        rule_trace_add(x, table_file(x->rs->specimens), table_line(x->rs->specimens, row), "sample type %.*s",
                       SPAN_ARG(table_cell(x->rs->specimens, row, x->rs->specimens_type)));
    struct span found = row == TABLE_NONE ? SPAN_LIT("OTHER_SPECIFY_IN_NOTES_FIELD") : table_cell(x->rs->specimens, row, x->rs->specimens_type);
    if (!span_is(found, "OTHER_SPECIFY_IN_NOTES_FIELD"))
        return found;
    const struct rec_coding *c = type->n ? &type->v[0] : NULL;
    struct span text = span_has(type->text) ? type->text : c ? c->display : SPAN_ABSENT;
    if (c && span_has(c->code))
        rule_notes_linef(notes, "Sample type: %.*s%s(%.*s %.*s)", SPAN_ARG(text), span_has(text) ? " " : "", SPAN_ARG(rule_system_name(c->system)), SPAN_ARG(c->code));
    else if (span_has(text))
        rule_notes_linef(notes, "Sample type: %.*s", SPAN_ARG(text));
    return found;
}

/* labName is a code of a category without default items: only through the table "labs", else a line in the notes. */
static struct span lab_name(struct rule_scope *x, struct rule_notes *notes)
{
    const struct rec_lab *lab = &x->r->report.lab;
    const struct span keys[] = {lab->id, lab->name};
    for (size_t i = 0; x->rs->labs && i < 2; i++) {
        int64_t row = span_has(keys[i]) ? table_find(x->rs->labs, &keys[i]) : TABLE_NONE;
        if (row != TABLE_NONE) {
            rule_trace_add(x, table_file(x->rs->labs), table_line(x->rs->labs, row), "laboratory");
            return table_cell(x->rs->labs, row, x->rs->labs_name);
        }
    }
    if (span_has(lab->name) && span_has(lab->id))
        rule_notes_linef(notes, "Laboratory %.*s (%.*s)", SPAN_ARG(lab->name), SPAN_ARG(lab->id));
    else if (span_has(lab->name) || span_has(lab->id))
        rule_notes_linef(notes, "Laboratory %.*s", SPAN_ARG(span_has(lab->name) ? lab->name : lab->id));
    return SPAN_ABSENT;
}

static bool looks_numeric(struct span s)
{
    s = span_trim(s);
    while (s.n && strchr("<>=~", s.p[0]))
        s = span_trim(span_from(s, 1));
    return s.n && s.p[0] >= '0' && s.p[0] <= '9';
}

static struct span quantitative(const struct rule_scope *x, const struct rule_found *found)
{
    const struct rec_value *v = &x->obs->value;
    struct span text = span_has(v->text) ? v->text : v->num1;
    struct span unit = span_has(x->obs->unit.display) ? x->obs->unit.display : x->obs->unit.code;
    bool is_number = v->type == REC_V_NUMBER || v->type == REC_V_STRUCTURED || v->type == REC_V_RANGE || v->type == REC_V_RATIO;
    bool is_text = v->type == REC_V_TEXT && found->test && strcmp(found->test->outcome.kind, "quantitative") == 0 && looks_numeric(v->text);
    if (!span_has(text) || !(is_number || is_text) || v->is_number_odd || outcome_value_is_absent(v))
        return SPAN_ABSENT;
    if (is_text)                        /* value and unit inside the text ("3.26E+05 cp/mL"): exact, OBX-6 may name another one */
        return span_has(unit) && rule_number_is(span_trim(text)) ? arena_printf(x->a, "%.*s %.*s", SPAN_ARG(text), SPAN_ARG(unit)) : text;
    bool is_told = text.n >= v->comparator.n && span_has(v->comparator) && memcmp(text.p, v->comparator.p, v->comparator.n) == 0;
    struct span comparator = is_told || span_is(v->comparator, "=") ? SPAN_ABSENT : v->comparator;
    return arena_printf(x->a, "%.*s%.*s%s%.*s", SPAN_ARG(comparator), SPAN_ARG(text), span_has(unit) ? " " : "", SPAN_ARG(unit));
}

static const char *result_word(enum outcome_kind k)
{
    switch (k) {
    case OUTCOME_POSITIVE: return "POSITIVE";
    case OUTCOME_NEGATIVE: return "NEGATIVE";
    case OUTCOME_INCONCLUSIVE: return "INCONCLUSIVE";
    case OUTCOME_POSITIVE_OTHER: return "POSITIVE_FOR_OTHER_PATHOGENS_SPECIFY_IN_NOTES_FIELD";
    case OUTCOME_NO_RESULT:
    case OUTCOME_PENDING:
    case OUTCOME_WITHDRAW:
    case OUTCOME_DROP:
    case OUTCOME_HOLD: return NULL;
    }
    return NULL;
}

static void note_state(const struct rule_scope *x, const struct rule_found *found, const struct outcome *o, struct rule_notes *notes)
{
    const struct rec_observation *obs = x->obs;
    if (o->kind == OUTCOME_NO_RESULT && o->reason && strcmp(o->reason, "CANCELLED") == 0)
        rule_notes_line(notes, SPAN_LIT("No result: cancelled by the laboratory"));
    else if (o->kind == OUTCOME_NO_RESULT && o->reason && strcmp(o->reason, "SPECIMEN_REJECTED") == 0)
        rule_notes_line(notes, SPAN_LIT("No result: specimen rejected"));
    else if (o->kind == OUTCOME_NO_RESULT)
        rule_notes_line(notes, SPAN_LIT("No result"));
    else if (obs->status == OBS_ST_UNVERIFIED)
        rule_notes_line(notes, SPAN_LIT("Not verified by the laboratory: the value above is no result yet"));
    else if (o->kind == OUTCOME_PENDING)
        rule_notes_line(notes, SPAN_LIT("Result pending"));
    if (found->test && (found->test->cautions & CAUTION_IGG_ONLY))
        rule_notes_line(notes, SPAN_LIT("IgG only: past infection or vaccination"));
    if (found->test && (found->test->cautions & CAUTION_PAN_GROUP))
        rule_notes_line(notes, SPAN_LIT("Group assay: not specific for one species"));
}

static void note_texts(const struct rule_scope *x, struct rule_notes *notes)
{
    const struct record *r = x->r;
    for (size_t i = 0; i < x->obs->notes.n; i++)
        rule_notes_line(notes, x->obs->notes.v[i]);
    for (size_t i = 0; i < r->report.notes.n; i++)
        rule_notes_line(notes, r->report.notes.v[i]);
    for (size_t i = 0; i < r->specimen.notes.n; i++)
        rule_notes_line(notes, r->specimen.notes.v[i]);
    for (size_t i = 0; i < r->report.attachments.n; i++)
        if (r->report.attachments.v[i].sha256[0])
            rule_notes_linef(notes, "report attached in labrelay %.8s", r->report.attachments.v[i].sha256);
}

/* "Filler F-9001; placer ORD-77; device GX-12" */
static void note_ids(const struct rule_scope *x, struct rule_notes *notes)
{
    const struct rec_report *p = &x->r->report;
    struct span device = x->obs->device.n ? x->obs->device.v[0].value : SPAN_ABSENT;
    const struct { const char *what; struct span id; } parts[] = {{"filler", p->filler_id}, {"placer", p->placer_id}, {"device", device}};
    struct span line = SPAN_ABSENT;
    for (size_t i = 0; i < 3; i++)
        if (span_has(parts[i].id))
            line = span_has(line) ? arena_printf(x->a, "%.*s; %s %.*s", SPAN_ARG(line), parts[i].what, SPAN_ARG(parts[i].id))
                                  : arena_printf(x->a, "%c%s %.*s", parts[i].what[0] - 32, parts[i].what + 1, SPAN_ARG(parts[i].id));
    rule_notes_line(notes, line);
}

/* The other targets of an overall result, so that nothing of them is lost. */
static void note_targets(struct rule_scope *x, const struct rule_found *found, struct rule_notes *notes)
{
    if (!found->test || !found->test->has_targets || x->r->n > 512)
        return;
    for (size_t i = 0; i < x->r->n; i++) {
        const struct rec_observation *o = &x->r->observations[i];
        struct rule_found f;
        if (o == x->obs || o->role != OBS_RESULT)
            continue;
        rule_find_test(x->rs, x->r, o, &f);
        if (f.test && (f.test->cautions & CAUTION_SINGLE_TARGET) && span_eq(f.test->tested_for, found->test->tested_for))
            rule_notes_line(notes, rule_notes_result(x, o, &f));
    }
}

void rule_fill_lab(struct rule_scope *x, const struct rule_found *found, const struct outcome *o, struct lab_result *lab)
{
    struct rule_notes notes;            /* 15 kB of stack, only the used part is touched */
    notes.n = notes.chars = 0;
    notes.is_full = false;
    const struct record *r = x->r;
    const char *word = result_word(o->kind);
    *lab = (struct lab_result){0};
    rule_notes_line(&notes, rule_notes_result(x, x->obs, found));
    note_state(x, found, o, &notes);
    note_targets(x, found, &notes);
    lab->sample_identifier = r->specimen.id;
    lab->date_sample_taken = day_or_note(x, &r->specimen.collected_at, "Sample taken", &notes);
    if (!span_has(lab->date_sample_taken) && !span_has(r->specimen.collected_at.v) && x->rs->opt.sample_date_fallback == 1) {
        lab->date_sample_taken = rule_day(&r->specimen.received_at, x->a);
        if (span_has(lab->date_sample_taken))
            rule_notes_line(&notes, SPAN_LIT("Sample taken: not known; the day the laboratory received it stands for it"));
    }
    lab->date_sample_delivered = day_or_note(x, &r->specimen.received_at, "Sample received", &notes);
    lab->date_testing = day_or_note(x, &x->obs->analysed_at, "Tested", &notes);
    lab->date_of_result = day_or_note(x, &r->report.issued_at, "Issued", &notes);
    lab->sample_type = sample_type(x, &notes);
    lab->lab_name = lab_name(x, &notes);
    lab->test_type = found->test ? found->test->test_type : SPAN_ABSENT;
    lab->tested_for = found->test ? found->test->tested_for : SPAN_ABSENT;
    if (word)
        lab->result = span_of(word);
    if (o->kind != OUTCOME_PENDING && o->kind != OUTCOME_WITHDRAW && x->obs->status != OBS_ST_CANCELLED)
        lab->quantitative_result = quantitative(x, found);
    bool is_completed = rule_is_completed(x->obs->status) && word;
    lab->status = is_completed ? SPAN_LIT("COMPLETED") : SPAN_LIT("IN_PROGRESS");
    for (size_t i = 0; i < x->n_notes; i++)
        rule_notes_line(&notes, x->notes[i]);
    note_texts(x, &notes);
    note_ids(x, &notes);
    lab->notes = rule_notes_end(&notes, x->a);
}
