/*
 * NAME
 *     rule_person - the case or contact that a record tells of, and the routes that send it
 * DESCRIPTION
 *     STANDARDS 8.1: names, sex M and F, a birth date that names a day, the first home address (else the first), the first telephone and
 *     e-mail. The day of the message is the date of reporting. Classification, outcome and every other field come from rules only.
 *     A record's person goes to the first route with `send case` or `send contact` whose from and when fit; routes without are passed
 *     over. A condition over an observation or a specimen is met when one observation of the record meets the whole route.
 * DIAGNOSTICS
 *     -1 with ERR_LIMIT when the arena is full. Holds REQUIRED_FIELD and UNMAPPED_CODE, as for lab results.
 */
#include <string.h>

#include "rule_inner.h"

void rule_fill_person(struct rule_scope *x, struct person_data *out)
{
    const struct rec_patient *p = &x->r->patient;
    *out = (struct person_data){.first_name = p->given_name, .middle_name = p->middle_name, .last_name = p->family_name};
    out->gender = span_is(p->sex, "M") ? SPAN_LIT("MALE") : span_is(p->sex, "F") ? SPAN_LIT("FEMALE") : SPAN_ABSENT;
    out->dob = rule_day(&p->birth_date, x->a);
    if (x->r->message)
        out->date_of_reporting = rule_day(&x->r->message->sent_at, x->a);
    out->address_line_1 = p->home.line;
    out->city = p->home.city;
    out->postal_code = p->home.postal_code;
    out->country = p->home.country;
    if (p->phone.n)
        out->phone_number = p->phone.v[0];
    if (p->email.n)
        out->email_address = p->email.v[0];
}

void rule_put_person(struct person_data *p, const struct person_field *f, struct span text)
{
    if (!span_has(text))                /* a mapping never replaces a value by nothing */
        return;
    *person_field_at(p, f) = text;
    p->is_set |= person_field_bit(f);
}

/* ---- send case, send contact ---- */

static bool is_of_observation(const struct rec_field *f)
{
    return f->scope == SCOPE_OBSERVATION || f->scope == SCOPE_SPECIMEN;
}

/* Notes and flags are the lab result's; hold and drop in a block too, unless the route sends nothing but the person. */
bool rule_is_for_person(const struct rule_scope *x, const struct rule_todo *d)
{
    switch (d->kind) {
    case STEP_REQUIRE_FIELD: return !is_of_observation(d->field);
    case STEP_SET:
    case STEP_LOOKUP: return d->person != NULL;
    case STEP_IF:
    case STEP_FOR_EACH: return true;
    case STEP_NOTE:
    case STEP_FLAG:
    case STEP_ALLOW: return false;
    case STEP_HOLD:
    case STEP_DROP: return x->is_person_only;
    }
    return false;
}

static bool run_route(struct rule_scope *x, const struct rule_route *r, struct rule_result *out)
{
    struct person_data *p = arena_zalloc(x->a, sizeof *p);
    out->route = r->name;
    out->writer = r->person_writer;
    if (!p)
        return false;
    rule_fill_person(x, p);
    p->kind = r->person_kind;
    p->no_match = r->no_match;
    p->may_change = r->may_change;
    out->person = p;
    x->is_person = true;
    x->is_person_only = r->is_person_only;
    if (!rule_do_steps(x, &r->todo, out))
        return true;
    const char *warned = rule_warned_of(&x->r->warnings);
    out->action = warned ? RULE_HOLD : RULE_SEND_PERSON;
    out->reason = warned;
    if (warned)
        return true;
    rule_trace_add(x, r->file, r->person_line, "send %s to \"%s\"", person_kind_name(p->kind), r->person_writer);
    return true;
}

static bool is_taken(struct rule_scope *x, const struct rule_route *r)
{
    static const struct rec_observation none;
    for (size_t i = 0; i < x->r->n; i++) {
        x->obs = &x->r->observations[i];
        if (x->obs->role == OBS_RESULT && rule_takes(x, r))
            return true;
    }
    x->obs = &none;
    return x->r->n == 0 && rule_takes(x, r);
}

int rule_run_person(const struct ruleset *rs, const struct record *r, struct arena *a, struct rule_result *out, struct rule_trace *trace, struct err *e)
{
    struct rule_scope x = {.rs = rs, .r = r, .a = a, .trace = trace};
    *out = (struct rule_result){.action = RULE_DROP, .route = "", .reason = "NO_ROUTE"};
    bool is_of_control = r->n && (outcome_is_control(&r->specimen) || outcome_is_pooled(&r->specimen));
    if (!r->patient.is_present || is_of_control)    /* a control and a pool are nobody */
        return 0;
    for (size_t i = 0; i < rs->n_routes; i++) {
        const struct rule_route *route = &rs->routes[i];
        if (route->person_writer && is_taken(&x, route) && run_route(&x, route, out))
            break;
    }
    if (x.is_over)
        *out = (struct rule_result){.action = RULE_HOLD, .reason = "RULE_LIMIT", .route = out->route, .writer = out->writer};
    if (arena_is_full(a))
        return err_set(e, ERR_LIMIT, NULL, "the message needs more memory than a message may have");
    return 0;
}

bool rule_takes_persons(const struct ruleset *rs, struct span channel)
{
    for (size_t i = 0; i < rs->n_routes; i++) {
        const struct rule_route *r = &rs->routes[i];
        bool is_from = r->n_from == 0;
        for (size_t k = 0; k < r->n_from && !is_from; k++)
            is_from = span_eq(r->from[k], channel);
        if (r->person_writer && is_from)
            return true;
    }
    return false;
}
