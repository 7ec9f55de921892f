/*
 * NAME hl7_patient - PID and PV1 to rec_patient (STANDARDS 5.1).
 * Nothing is guessed: a sex that is neither in table 0001 nor its English word stays absent, a nickname is no name.
 * DIAGNOSTICS problem 102 (undecodable bytes in PID), warnings of the context.
 */
#include <string.h>

#include "hl7_oru.h"

struct flags { struct hl7_ctx *x; struct hl7_list l; };

static void add_flag(struct flags *f, const char *name)
{
    for (size_t i = 0; i < f->l.n; i++)
        if (span_is(f->l.v[i], name))
            return;
    hl7_list_add(f->x->a, &f->l, span_of(name));
}

static void read_ids(struct hl7_ctx *x, struct hl7_seg *pid, struct rec_patient *p, struct flags *fl)
{
    static const unsigned fields[] = {3, 2, 4, 19};
    struct rec_id *v = NULL, id;
    size_t n = 0, cap = 0;
    for (size_t k = 0; k < 4; k++) {
        struct span f = hl7_field(x, pid, fields[k]), rep;
        for (unsigned r = 1; hl7_next_rep(x, &f, &rep); r++) {
            if (!hl7_id_cx(x, rep, &id) || !arena_grow(x->a, &v, n, &cap, sizeof *v))
                continue;
            id.path = hl7_where(x->a, pid, fields[k], r);
            if (fields[k] == 19 && !id.type.n)
                id.type = SPAN_LIT("SS");
            if (HL7_IS(id.type, "ANON"))
                add_flag(fl, "ANONYMOUS");
            v[n++] = id;
        }
    }
    p->ids = (struct rec_ids){v, n};
}

/* Place of a name type in the order of preference; 0 is best, 99 never. */
static unsigned name_rank(struct span type)
{
    static const char *const order[] = {"L", "", "D", "U", "A", "B", "M", "C", "T"};
    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++)
        if (span_is_nocase(type, order[i]))
            return i;
    return 99;
}

static void read_name(struct hl7_ctx *x, struct hl7_seg *pid, struct rec_patient *p, struct flags *fl)
{
    struct span f = hl7_field(x, pid, 5), rep, best = SPAN_ABSENT, type;
    unsigned rank = 99;
    while (hl7_next_rep(x, &f, &rep)) {
        type = hl7_leaf(x, hl7_comp(x, rep, 7));
        if (HL7_IS(type, "S") || HL7_IS(type, "MSK") || HL7_IS(type, "NOUSE"))
            add_flag(fl, "MASKED_NAME");
        if (!hl7_is_blank(x, rep) && name_rank(type) < rank) {
            rank = name_rank(type);
            best = rep;
        } else if (HL7_IS(span_trim(rep), "\"\"") && !best.p) {
            best = rep;
        }
    }
    struct span c[7] = {{0}};
    size_t n = hl7_split(best, x->d.comp, c, 7);
    if (n >= 1)
        p->family_name = hl7_leaf(x, hl7_sub(x, c[0], 1));
    if (n >= 2)
        p->given_name = hl7_leaf(x, c[1]);
    if (n >= 3)
        p->middle_name = hl7_leaf(x, c[2]);
    if (n >= 7)
        p->name_use = hl7_leaf(x, c[6]);
}

static void read_sex(struct hl7_ctx *x, struct hl7_seg *pid, struct rec_patient *p)
{
    static const struct { const char *sent, *code; } words[] = {
        {"F", "F"}, {"M", "M"}, {"O", "O"}, {"U", "U"}, {"A", "A"}, {"N", "N"}, {"X", "X"},
        {"FEMALE", "F"}, {"MALE", "M"}, {"OTHER", "O"}, {"UNKNOWN", "U"}};
    struct span s = hl7_value(x, pid, 8, 1);
    if (!s.n) {
        p->sex = s;
        return;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (span_is_nocase(s, words[i].sent))
            p->sex = span_of(words[i].code);
    if (!p->sex.n)
        hl7_warn(x, "W_UNKNOWN_SEX", 103);
}

static struct span add_line(struct hl7_ctx *x, struct span a, struct span b)
{
    return a.n && b.n ? HL7_CAT(x->a, a, SPAN_LIT(", "), b) : a.n ? a : b;
}

static void read_addresses(struct hl7_ctx *x, struct hl7_seg *pid, struct rec_patient *p)
{
    struct span f = hl7_field(x, pid, 11), rep;
    struct rec_address *v = NULL;
    size_t n = 0, cap = 0;
    while (hl7_next_rep(x, &f, &rep)) {
        struct span c[9] = {{0}};
        size_t k = hl7_split(rep, x->d.comp, c, 9);
        for (size_t i = 0; i < k; i++)
            c[i] = hl7_leaf(x, i ? c[i] : hl7_sub(x, c[0], 1));
        if (!(c[0].n || c[1].n || c[2].n || c[3].n || c[4].n || c[5].n || c[8].n) || HL7_IS(c[6], "BA"))
            continue;
        if (arena_grow(x->a, &v, n, &cap, sizeof *v))
            v[n++] = (struct rec_address){.line = add_line(x, c[0], c[1]), .city = c[2], .district = c[8], .state = c[3],
                                          .postal_code = c[4], .country = c[5], .use = c[6]};
    }
    p->address = (struct rec_addresses){v, n};
    record_patient_home(p);
}

/* One XTN or TN: a number, or an e-mail address. */
static struct span read_telecom(struct hl7_ctx *x, struct span rep, bool *is_email)
{
    struct span c[12] = {{0}};
    size_t n = hl7_split(rep, x->d.comp, c, 12);
    for (size_t i = 0; i < n; i++)
        c[i] = hl7_leaf(x, c[i]);
    *is_email = span_is_nocase(c[2], "Internet") || span_is_nocase(c[2], "X.400") || HL7_IS(c[1], "NET");
    if (*is_email)
        return c[3].n ? c[3] : c[0];
    if (c[11].n)
        return c[11];
    if (!c[6].n)
        return c[0];
    struct span out = c[4].n ? HL7_CAT(x->a, c[4].p[0] == '+' ? SPAN_ABSENT : SPAN_LIT("+"), c[4], SPAN_LIT(" ")) : SPAN_ABSENT;
    out = HL7_CAT(x->a, out, c[5], c[5].n ? SPAN_LIT(" ") : SPAN_ABSENT, c[6]);
    return c[7].n ? HL7_CAT(x->a, out, SPAN_LIT(" x"), c[7]) : out;
}

static void read_telecoms(struct hl7_ctx *x, struct hl7_seg *pid, struct rec_patient *p)
{
    static const unsigned fields[] = {13, 14, 40};
    struct hl7_list phone = {0}, email = {0};
    for (size_t k = 0; k < 3; k++) {
        struct span f = hl7_field(x, pid, fields[k]), rep;
        while (hl7_next_rep(x, &f, &rep)) {
            bool is_email = false;
            struct span t = hl7_is_blank(x, rep) ? SPAN_ABSENT : read_telecom(x, rep, &is_email);
            if (t.n)
                hl7_list_add(x->a, is_email ? &email : &phone, t);
        }
    }
    p->phone = hl7_list_done(&phone);
    p->email = hl7_list_done(&email);
}

static void read_reliability(struct hl7_ctx *x, struct hl7_seg *pid, struct flags *fl)
{
    struct span f, rep;
    if (HL7_IS(hl7_value(x, pid, 31, 1), "Y"))
        add_flag(fl, "UNKNOWN_IDENTITY");
    f = hl7_field(x, pid, 32);
    while (hl7_next_rep(x, &f, &rep)) {
        struct span code = hl7_leaf(x, hl7_comp(x, rep, 1));
        if (HL7_IS(code, "US") || HL7_IS(code, "UD") || HL7_IS(code, "UA") || HL7_IS(code, "AL"))
            add_flag(fl, "UNRELIABLE");
    }
}

static void read_visit(struct hl7_ctx *x, struct hl7_seg *pid, uint32_t pv1, struct rec_patient *p)
{
    struct span f = pv1 == HL7_NONE ? SPAN_ABSENT : hl7_field(x, &x->segs[pv1], 19);
    if (f.n && hl7_id_cx(x, hl7_rep1(x, f), &p->visit)) {
        p->visit.path = hl7_where(x->a, &x->segs[pv1], 19, 0);
        return;
    }
    f = pid ? hl7_field(x, pid, 18) : SPAN_ABSENT;
    if (f.n && hl7_id_cx(x, hl7_rep1(x, f), &p->visit))
        p->visit.path = hl7_where(x->a, pid, 18, 0);
}

/* A birth date with a time of zeros is a day (QUIRKS 11). */
static void cut_midnight(struct rec_ts *t)
{
    static const char zeros[] = "T00:00:00";
    if (t->v.n > 10 && t->v.n <= 19 && memcmp(t->v.p + 10, zeros, t->v.n - 10) == 0) {
        t->v.n = 10;
        t->prec = 'D';
        t->zone = SPAN_ABSENT;
    }
}

void hl7_patient_read(struct hl7_ctx *x, const struct hl7_groups *g, const struct hl7_patient *gp, struct rec_patient *out)
{
    struct flags fl = {.x = x};
    struct hl7_list notes = {0};
    struct span bad;
    *out = (struct rec_patient){0};
    struct hl7_seg *pid = gp->pid == HL7_NONE ? NULL : &x->segs[gp->pid];
    read_visit(x, pid, gp->pv1, out);
    hl7_notes_add(x, g, gp->notes, &notes);
    if (pid) {
        out->is_present = true;
        out->path = hl7_where(x->a, pid, 0, 0);
        read_ids(x, pid, out, &fl);
        read_name(x, pid, out, &fl);
        struct span f = hl7_field(x, pid, 7);
        out->birth_date = hl7_date_field(x, pid, 7, &bad);
        if (HL7_IS(span_trim(f), "\"\""))
            out->birth_date.v = span_null;
        cut_midnight(&out->birth_date);
        if (bad.n)
            hl7_list_add(x->a, &notes, bad);
        read_sex(x, pid, out);
        out->deceased = hl7_value(x, pid, 30, 1);
        if (!out->deceased.n && span_has(hl7_value(x, pid, 29, 1)))
            out->deceased = hl7_value(x, pid, 29, 1);
        read_addresses(x, pid, out);
        read_telecoms(x, pid, out);
        read_reliability(x, pid, &fl);
        if (x->has_bad_bytes && memmem(pid->text.p, pid->text.n, "\xef\xbf\xbd", 3))
            hl7_error(x, 102, "UNDECODABLE", pid, 0);
    }
    out->flags = hl7_list_done(&fl.l);
    out->notes = hl7_list_done(&notes);
}
