/*
 * NAME test_fhir_samples - the six public documents of ../shared/facts/samples, and every FHIR file of ../shared/corpus.
 *
 * Read at run time from LABRELAY_SHARED (default ../shared beside the source tree); without it the test says SKIPPED and passes.
 * The samples: golden vector 2 (STANDARDS 8.11, [90]) in full, the others by what decides their result; each XML document also as its
 * JSON twin, made here from its tree: the same record. The corpus: accepted or refused with a reason and a place, each observation
 * counted; a table by source is printed.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "test_fhir_util.h"

static char base[512];

static bool has_shared(void)
{
    const char *env = getenv("LABRELAY_SHARED"), *src = getenv("srcdir");
    struct stat st;
    if (env)
        (void)snprintf(base, sizeof base, "%s", env);
    else
        (void)snprintf(base, sizeof base, "%s/../shared", src ? src : ".");
    if (stat(base, &st) == 0)
        return true;
    (void)fprintf(stderr, "SKIPPED: %s is not there (set LABRELAY_SHARED)\n", base);
    return false;
}

static char *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        fail_msg("%s cannot be read", path);
    char *p = malloc((size_t)st.st_size + 1);
    assert_non_null(p);
    *n = fread(p, 1, (size_t)st.st_size, f);
    (void)fclose(f);
    return p;
}

static struct t parse_sample(const char *name)
{
    char path[1024];
    size_t n;
    (void)snprintf(path, sizeof path, "%s/facts/samples/%s", base, name);
    char *p = load(path, &n);
    struct t t = t_bytes(NULL, p, n);
    free(p);
    assert_int_equal(t.r.n, 1);
    assert_int_equal(t.r.v[0].fate, PARSE_ACCEPT);
    return t;
}

static char *record_text(const struct t *t)
{
    struct buf b;
    size_t n;
    buf_init(&b, (size_t)8 << 20);
    for (size_t i = 0; i < t->r.v[0].n_records; i++) {
        struct record r = t->r.v[0].records[i];
        struct rec_message m = *r.message;
        m.format = REC_FHIR_JSON;
        r.message = &m;
        record_format(&r, &b);
    }
    return buf_take(&b, &n);
}

/* The document once more as JSON: the same record. */
static void must_twin(const struct t *t)
{
    struct arena *a = arena_new((size_t)8 << 20);
    struct fhir_tree tree;
    struct fhir_fault f;
    struct buf json;
    assert_int_equal(fhir_xml_parse(a, span_make(t->frame, t->n), &tree, &f), 0);
    buf_init(&json, (size_t)4 << 20);
    t_json(&json, tree.root);
    struct t twin = t_bytes(NULL, json.p, json.n);
    assert_int_equal(twin.r.v[0].message.format, REC_FHIR_JSON);
    char *x = record_text(t), *j = record_text(&twin);
    assert_string_equal(x, j);
    free(x);
    free(j);
    buf_clear(&json);
    t_free(&twin);
    arena_free(a);
}

static void test_golden2(void **state)      /* [item 90] */
{
    (void)state;
    if (!has_shared())
        skip();
    struct t t = parse_sample("Bundle-41Doc-Ebola.xml");
    assert_int_equal(t.r.v[0].n_records, 1);
    assert_int_equal(t.r.v[0].observations, 1);
    assert_int_equal(t.r.v[0].n_problems, 0);
    const struct record *r = &t.r.v[0].records[0];
    assert_span(r->patient.family_name, "Dupont");
    assert_span(r->patient.given_name, "Antoine");
    assert_span(r->patient.birth_date.v, "1981-02-07");
    assert_int_equal(r->patient.birth_date.prec, 'D');
    assert_span(r->patient.sex, "F");
    assert_span(r->patient.ids.v[0].oid, "2.16.756.5.32");
    assert_span(r->patient.ids.v[0].value, "7561234567897");
    const struct rec_observation *o = t_obs(&t, 0, 0);
    assert_span(o->key, "86518-8|LN|");
    assert_int_equal(o->value.type, REC_V_NONE);
    assert_span(o->absent, "not-applicable");
    assert_span(o->interpretation.v[0], "POS");
    assert_int_equal(o->status, OBS_ST_FINAL);
    assert_int_equal(o->role, OBS_RESULT);
    assert_span(r->specimen.collected_at.v, "2024-10-15T14:20:00");
    assert_span(r->specimen.collected_at.zone, "+02:00");
    assert_span(r->specimen.id, "26500923675");
    assert_int_equal(r->specimen.type.n, 0);
    assert_true(r->specimen.type.text.n > 0);
    assert_span(r->report.issued_at.v, "2024-10-20T12:00:00");
    assert_span(r->report.lab.name, "SanLab");
    assert_span(r->report.status, "final");
    assert_span(r->report.placer_id, "26500923675");
    must_twin(&t);
    t_free(&t);
}

static void test_others(void **state)
{
    static const struct { const char *file, *code, *interpretation; enum rec_value_type type; const char *value, *unit, *collected; } v[] = {
        {"Bundle-12Doc-Mpox.xml", "100383-9", "POS", REC_V_CODED, "Positive (qualifier value)", NULL, "2024-04-26"},
        {"Bundle-15Doc-Measles-Seroconversion.xml", "44012-3", "1290194006", REC_V_NONE, NULL, NULL, "2024-07-22T14:20:00"},
        {"Bundle-33Doc-Salmonella-valueString.xml", "56475-7", "POS", REC_V_TEXT, "9,12:-:1,5", NULL, "2024-10-01T14:20:00"},
        {"Bundle-50Doc-HIV-viremia.xml", "62469-2", "POS", REC_V_NUMBER, "65168", "1/mL", "2024-11-01T14:20:00"},
        {"Bundle-UnknownPatientNameBirthDate.json", "6811-4", "U", REC_V_NONE, NULL, NULL, "2024-07-22T07:40:00"},
    };
    (void)state;
    if (!has_shared())
        skip();
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct t t = parse_sample(v[i].file);
        const struct record *r = &t.r.v[0].records[0];
        const struct rec_observation *o = t_obs(&t, 0, 0);
        assert_int_equal(t.r.v[0].observations, 1);
        assert_int_equal(t.r.v[0].n_problems, 0);
        assert_int_equal(o->role, OBS_RESULT);
        assert_int_equal(o->status, OBS_ST_FINAL);
        assert_span(o->code.v[0].code, v[i].code);
        assert_span(o->code.v[0].system, "http://loinc.org");
        assert_span(o->interpretation.v[0], v[i].interpretation);
        assert_int_equal(o->value.type, v[i].type);
        assert_span(o->value.text, v[i].value);
        assert_span(o->unit.code, v[i].unit);
        assert_span(r->specimen.collected_at.v, v[i].collected);
        assert_true(r->specimen.id.n > 0 && r->report.issued_at.prec == 'S');
        assert_span(r->report.lab.name, "SanLab");
        assert_span(r->patient.sex, "F");
        if (strstr(v[i].file, ".xml"))
            must_twin(&t);
        t_free(&t);
    }
}

/* ---- corpus ---- */

struct tally { unsigned files, accepted, filtered, refused, rejected, unreadable, observations; };

static void read_file(const char *path, struct tally *c)
{
    size_t n;
    char *p = load(path, &n);
    struct t t = t_bytes(NULL, p, n);        /* checks that the observations add up and that a refusal has a reason */
    free(p);
    c->files++;
    assert_true(t.r.n > 0);
    for (size_t i = 0; i < t.r.n; i++) {
        const struct parsed *m = &t.r.v[i];
        switch (m->fate) {
        case PARSE_ACCEPT: c->accepted++; break;
        case PARSE_FILTER: c->filtered++; break;
        case PARSE_REFUSE: c->refused++; break;
        case PARSE_REJECT: c->rejected++; break;
        case PARSE_QUARANTINE: c->unreadable++; break;
        case PARSE_SILENT: fail_msg("%s: silent", path); break;
        }
        if (m->fate == PARSE_REFUSE || m->fate == PARSE_REJECT || m->fate == PARSE_QUARANTINE)
            if (!m->problems[0].expression.n && !m->problems[0].where[0])
                fail_msg("%s: refused without a place", path);
        c->observations += m->observations;
        char *text = m->n_records ? record_text(&t) : NULL;
        free(text);
    }
    t_free(&t);
}

static void read_source(const char *source, struct tally *all)
{
    char dir[1024], path[1400];
    struct tally c = {0};
    (void)snprintf(dir, sizeof dir, "%s/corpus/fhir/%s", base, source);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        read_file(path, &c);
    }
    (void)closedir(d);
    print_message("%-22s %5u files %5u accepted %4u filtered %4u refused %4u rejected %3u unreadable %6u observations\n", source, c.files, c.accepted,
                  c.filtered, c.refused, c.rejected, c.unreadable, c.observations);
    all->files += c.files;
    all->accepted += c.accepted;
    all->observations += c.observations;
}

static void test_corpus(void **state)
{
    char dir[1024];
    struct tally all = {0};
    (void)state;
    if (!has_shared())
        skip();
    (void)snprintf(dir, sizeof dir, "%s/corpus/fhir", base);
    DIR *d = opendir(dir);
    if (!d) {
        (void)fprintf(stderr, "SKIPPED: %s is not there\n", dir);
        skip();
    }
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            read_source(e->d_name, &all);
    (void)closedir(d);
    print_message("%-22s %5u files %5u accepted, %u observations\n", "all", all.files, all.accepted, all.observations);
    assert_true(all.files > 1000 && all.accepted > 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden2), cmocka_unit_test(test_others), cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
