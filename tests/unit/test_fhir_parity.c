/*
 * NAME test_fhir_parity - the same report as ORU^R01, FHIR JSON and FHIR XML gives the same record.
 *
 * Every folder of tests/fixtures/parity is read in its three forms; all fields that rules and writers see are compared through
 * record_format(). Left out: the envelope (message), the places (path), and the source's own spelling (raw, data_type, status_raw).
 * The two FHIR forms are compared with nothing left out but message.format and control_id.
 */
#include <dirent.h>
#include <jansson.h>

#include "test_fhir_util.h"

#include "hl7_parser.h"

static char *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    char *p = malloc((size_t)1 << 20);
    assert_non_null(p);
    *n = fread(p, 1, (size_t)1 << 20, f);
    (void)fclose(f);
    return p;
}

static json_t *records_of(const char *dir, const char *kind, const char *file, const struct parser_ops *parser)
{
    char path[1024];
    size_t n;
    struct parse_result r;
    struct err e = ERR_INIT;
    struct buf b;
    (void)snprintf(path, sizeof path, "%s/%s/%s", dir, kind, file);
    char *p = load(path, &n);
    struct arena *a = arena_new((size_t)16 << 20);
    static const struct hl7_options hl7;
    static const struct fhir_options fhir;
    assert_true(parser->sniff(span_make(p, n < 4096 ? n : 4096)));
    assert_int_equal(parser->parse(parser == &fhir_parser ? (const void *)&fhir : &hl7, span_make(p, n), a, &r, &e), 0);
    assert_int_equal(r.n, 1);
    if (r.v[0].fate != PARSE_ACCEPT)
        fail_msg("%s: not accepted: %s %s", path, r.v[0].n_problems ? r.v[0].problems[0].name : "", r.v[0].n_problems ? r.v[0].problems[0].where : "");
    buf_init(&b, (size_t)4 << 20);
    buf_addc(&b, '[');
    for (size_t i = 0; i < r.v[0].n_records; i++)
        record_format(&r.v[0].records[i], &b);
    buf_addc(&b, ']');
    json_t *j = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_true(json_array_size(j) > 0);
    buf_clear(&b);
    arena_free(a);
    free(p);
    return j;
}

static void leave_out(json_t *j, const char *const *names)
{
    size_t i;
    json_t *v;
    const char *key;
    for (const char *const *n = names; *n && json_is_object(j); n++)
        (void)json_object_del(j, *n);
    json_array_foreach(j, i, v)
        leave_out(v, names);
    json_object_foreach(j, key, v)
        leave_out(v, names);
}

static void must_equal(const char *kind, const char *what, json_t *a, json_t *b)
{
    if (json_equal(a, b))
        return;
    char *x = json_dumps(a, JSON_INDENT(1) | JSON_SORT_KEYS), *y = json_dumps(b, JSON_INDENT(1) | JSON_SORT_KEYS);
    char *p = x, *q = y;
    while (p && q && *p && *p == *q) {
        p++;
        q++;
    }
    while (p > x && p[-1] != '\n') {
        p--;
        q--;
    }
    print_error("%s: %s: %.*s <> %.*s\n", kind, what, (int)strcspn(p, "\n"), p, (int)strcspn(q, "\n"), q);
    fail_msg("%s: the records differ", kind);
}

static void compare(const char *dir, const char *kind)
{
    static const char *const envelope[] = {"message", "path", "raw", "data_type", "status_raw", NULL}, *const own[] = {"format", "control_id", NULL};
    json_t *v2 = records_of(dir, kind, "oru.hl7", &hl7v2_parser);
    json_t *js = records_of(dir, kind, "bundle.json", &fhir_parser), *xm = records_of(dir, kind, "bundle.xml", &fhir_parser);
    leave_out(js, own);
    leave_out(xm, own);
    must_equal(kind, "JSON and XML", js, xm);
    leave_out(v2, envelope);
    leave_out(js, envelope);
    must_equal(kind, "HL7 v2 and FHIR", v2, js);
    json_decref(v2);
    json_decref(js);
    json_decref(xm);
}

static void test_parity(void **state)
{
    static const char *const kinds[] = {"pcr_positive", "pcr_negative", "invalid", "numeric_unit", "structured_numeric", "titre", "corrected",
                                        "cancelled", "two_specimens", "panel", "pdf_attached", "non_ascii_names"};
    char dir[512];
    const char *src = getenv("srcdir");
    unsigned n = 0;
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s/tests/fixtures/parity", src ? src : ".");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        compare(dir, kinds[i]);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            compare(dir, e->d_name);
            n++;
        }
    (void)closedir(d);
    print_message("%u reports in three forms\n", n);
    assert_true(n >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
