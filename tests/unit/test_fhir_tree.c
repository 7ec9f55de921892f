/*
 * NAME test_fhir_tree - JSON and XML to one tree; hostile input is refused with a reason and bounded memory [item 102].
 */
#include "test_fhir_util.h"

static struct fhir_fault fault;

static const struct fhir_node *json(struct arena *a, const char *text)
{
    struct fhir_tree t;
    char *p = strdup(text);
    assert_non_null(p);
    for (char *c = p; *c; c++)
        if (*c == '\'')
            *c = '"';
    int rc = fhir_json_parse(a, span_of(p), &t, &fault);
    free(p);
    return rc ? NULL : t.root;
}

static const struct fhir_node *xml(struct arena *a, const char *text)
{
    struct fhir_tree t;
    return fhir_xml_parse(a, span_of(text), &t, &fault) ? NULL : t.root;
}

static void test_same_tree(void **state)
{
    struct arena *a = arena_new(1 << 20);
    const struct fhir_node *where;
    (void)state;
    const struct fhir_node *j = json(a, "{'resourceType':'Patient','id':'p','active':true,'text':{'status':'generated','div':'<div>x</div>'},"
        "'contained':[{'resourceType':'Organization','name':'L'},{'resourceType':'Observation','valueQuantity':{'value':1.00}}],"
        "'name':[{'family':'Ä','given':['A',null,'C'],'_given':[null,{'id':'g2','extension':[{'url':'u','valueCode':'unknown'}]},{'id':'g3'}]}],"
        "'_birthDate':{'extension':[{'url':'u','valueCode':'unknown'}]},'multipleBirthInteger':2}");
    assert_non_null(j);
    const struct fhir_node *x = xml(a, "<?xml version='1.0'?><!-- c --><Patient xmlns='http://hl7.org/fhir' xmlns:xsi='urn:x' xsi:schemaLocation='a b'>"
        "<id value='p'/><text><status value='generated'/><div xmlns='http://www.w3.org/1999/xhtml'><p>x<b/></p></div></text>"
        "<contained><Organization><name value='L'/></Organization></contained>"
        "<contained><Observation><valueQuantity><value value='1.00'/></valueQuantity></Observation></contained><active value='true'/>"
        "<name><family value='&#xC4;'/><given value='A'/><given id='g2'><extension url='u'><valueCode value='unknown'/></extension></given>"
        "<given id='g3' value='C'/></name><birthDate><extension url='u'><valueCode value='unknown'/></extension></birthDate>"
        "<multipleBirthInteger value='2'/></Patient>");
    assert_non_null(x);
    assert_true(fhir_tree_equal(j, x, &where));
    assert_true(fhir_tree_equal(x, j, &where));
    assert_span(fhir_text(fhir_get(fhir_next(fhir_get(j, "contained")), "valueQuantity"), "value"), "1.00");
    assert_span(fhir_path(a, fhir_next(fhir_get(fhir_get(x, "name"), "given")), "extension"), "Patient.name[0].given[1].extension");
    assert_false(fhir_tree_equal(j, json(a, "{'resourceType':'Patient'}"), &where));
    arena_free(a);
}

static void test_numbers(void **state)
{
    static const char *const good[] = {"0", "-0", "1.00", "1.0E2", "007", "0.0000000000000000000001", "1e-3", "123456789012345678901234567890"};
    static const char *const bad[] = {"01", "1.", ".5", "+1", "1e", "--1", "NaN", "Infinity", "-Infinity", "0x10", "1.2.3"};
    struct arena *a = arena_new(1 << 20);
    char text[200];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        (void)snprintf(text, sizeof text, "{'v':%s}", good[i]);
        const struct fhir_node *n = json(a, text);
        if (strcmp(good[i], "007") == 0) {
            assert_null(n);
            continue;
        }
        assert_non_null(n);
        assert_span(fhir_text(n, "v"), good[i]);
        assert_true(fhir_get(n, "v")->flags & FHIR_IS_NUMBER);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "{'v':%s}", bad[i]);
        assert_null(json(a, text));
        assert_string_equal(fault.issue, "structure");
    }
    char digits[100];
    memset(digits, '1', sizeof digits);
    digits[65] = 0;
    (void)snprintf(text, sizeof text, "{'v':%s}", digits);
    assert_null(json(a, text));
    assert_string_equal(fault.issue, "too-long");
    assert_span(fhir_text(json(a, "{'v':'\\u0031.00'}"), "v"), "1.00");        /* a string stays a string */
    assert_false(fhir_get(json(a, "{'v':'1.00'}"), "v")->flags & FHIR_IS_NUMBER);
    arena_free(a);
}

static char *nested(const char *open, const char *close, unsigned n)
{
    struct buf b;
    buf_init(&b, (size_t)8 << 20);
    for (unsigned i = 0; i < n; i++)
        buf_adds(&b, open);
    for (unsigned i = 0; i < n; i++)
        buf_adds(&b, close);
    size_t len;
    return buf_take(&b, &len);
}

static void test_hostile_json(void **state)
{
    static const struct { const char *text, *issue; } bad[] = {
        {"{'a':1,'a':2}", "invalid"}, {"{'a':'\\ud800'}", "structure"}, {"{'a':'\\u0000'}", "value"}, {"{'a':'\\u0001x'}", "value"},
        {"{'a':'\xff'}", "structure"}, {"{'a':'\xed\xa0\x80'}", "structure"}, {"{'a':", "structure"}, {"{'a':1}}", "structure"},
        {"[1]", "structure"}, {"{'a':1,}", "structure"}, {"{a:1}", "structure"}, {"{'a':1 /* c */}", "structure"}, {"", "structure"},
        {"{'a':[[1]]}", "structure"}, {"{'a':'x','_a':[{}]}", "structure"}, {"{'a':'line\nbreak'}", "structure"},
        {"{'a':tr   ue}", "structure"}, {"{'a':1   2}", "structure"}};
    struct arena *a = arena_new(1 << 20);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(json(a, bad[i].text));
        assert_string_equal(fault.issue, bad[i].issue);
        assert_non_null(fault.text);
    }
    char *deep = nested("{\"a\":", "}", 10000);
    assert_null(json(a, deep));
    assert_string_equal(fault.issue, "too-costly");
    free(deep);
    deep = nested("{\"a\":[", "]}", 33);
    assert_null(json(a, deep));
    free(deep);
    deep = nested("[", "]", 100000);
    assert_null(json(a, deep));
    free(deep);
    assert_true(arena_used(a) < 1 << 20);
    arena_free(a);
}

static void test_many_values(void **state)
{
    struct buf b;
    struct arena *a = arena_new((size_t)96 << 20);
    struct fhir_tree t;
    (void)state;
    buf_init(&b, (size_t)32 << 20);
    buf_adds(&b, "{\"a\":[{}");
    for (unsigned i = 0; i < 2000000; i++)
        buf_adds(&b, ",{}");
    buf_adds(&b, "]}");
    assert_int_equal(fhir_json_parse(a, buf_span(&b), &t, &fault), -1);
    assert_string_equal(fault.issue, "too-costly");
    assert_true(arena_used(a) < (size_t)1 << 20);       /* refused before any of it was built */
    buf_clear(&b);
    arena_free(a);
}

static void test_hostile_xml(void **state)
{
    static const struct { const char *text, *issue; } bad[] = {
        {"<!DOCTYPE a [<!ENTITY x 'y'>]><Patient xmlns='http://hl7.org/fhir'><id value='&x;'/></Patient>", "security"},
        {"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><Patient xmlns='http://hl7.org/fhir'/>", "security"},
        {"<!DOCTYPE lolz [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;'>]><Patient "
         "xmlns='http://hl7.org/fhir'><id value='&c;'/></Patient>", "security"},
        {"<Patient xmlns='http://hl7.org/fhir'><id value='&nbsp;'/></Patient>", "structure"},
        {"<Patient><id value='1'/></Patient>", "structure"}, {"<Patient xmlns='urn:other'/>", "structure"},
        {"<Patient xmlns='http://hl7.org/fhir'><id value='1'></Patient>", "structure"}, {"", "structure"}, {"<", "structure"},
        {"<Patient xmlns='http://hl7.org/fhir'><id value='1' value='2'/></Patient>", "structure"},
        {"<Patient xmlns='http://hl7.org/fhir'/><Patient xmlns='http://hl7.org/fhir'/>", "structure"},
        {"<Bundle xmlns='http://hl7.org/fhir'><entry><resource><A/><B/></resource></entry></Bundle>", "structure"}};
    struct arena *a = arena_new(1 << 20);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(xml(a, bad[i].text));
        assert_string_equal(fault.issue, bad[i].issue);
    }
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    buf_adds(&b, "<Patient xmlns='http://hl7.org/fhir'>");
    for (unsigned i = 0; i < 10000; i++)
        buf_adds(&b, "<a>");
    assert_null(xml(a, b.p));
    assert_string_equal(fault.issue, "too-costly");
    buf_clear(&b);
    assert_true(arena_used(a) < 1 << 20);
    arena_free(a);
}

static void test_full_arena(void **state)
{
    (void)state;
    for (size_t cap = 256; cap < 8192; cap += 256) {
        struct arena *a = arena_new(cap);
        (void)json(a, "{'resourceType':'Patient','name':[{'family':'A','given':['B','C']}],'address':[{'line':['x']}]}");
        (void)xml(a, "<Patient xmlns='http://hl7.org/fhir'><name><family value='A'/><given value='B'/></name></Patient>");
        arena_free(a);
    }
}

static void test_lines(void **state)
{
    struct span rest = SPAN_LIT(" {\"a\":\"}\\\"\"}\n\n{\"b\":[{}]}\r\n{\"c\":1"), one;
    (void)state;
    assert_true(fhir_json_next(&rest, &one));
    assert_span(one, "{\"a\":\"}\\\"\"}");
    assert_true(fhir_json_next(&rest, &one));
    assert_span(one, "{\"b\":[{}]}");
    assert_true(fhir_json_next(&rest, &one));
    assert_span(one, "{\"c\":1");
    assert_false(fhir_json_next(&rest, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tree), cmocka_unit_test(test_numbers), cmocka_unit_test(test_hostile_json), cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_hostile_xml), cmocka_unit_test(test_full_arena), cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
