/*
 * NAME test_csv - the CSV parser: columns, header, cells, dates, values, what is refused where, what is sniffed.
 * Invented people only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv_inner.h"
#include "option.h"
#include "xmem.h"

struct t {
    struct csv_options o;
    struct arena *a;
    struct parse_result r;
    char *frame;
};

/* "Lab no|specimen.id": one column statement, its words between bars */
static int add(struct csv_options *o, const char *words, size_t *bad, struct err *e)
{
    struct option_list l = {0};
    struct span rest = span_of(words), w;
    while (span_next(&rest, '|', &w))
        option_list_add(&l, w);
    int rc = csv_column_read(&o->columns, &l, bad, e);
    option_list_clear(&l);
    return rc;
}

static void columns(struct csv_options *o, const char *const *words)
{
    struct err e = ERR_INIT;
    size_t bad;
    for (size_t i = 0; words[i]; i++)
        if (add(o, words[i], &bad, &e))
            fail_msg("%s: %s", words[i], e.text);
}

static const char *const usual[] = {"Lab no|specimen.id", "Case|patient.ids|authority|GODATA|type|PI", "Name|patient.family_name", "Sex|patient.sex|optional",
                                    "Taken|specimen.collected_at", "Test|observation.code|system|loinc", "Result|observation.value", NULL};
#define HEAD "Lab no,Case,Name,Sex,Taken,Test,Result\n"

static void read_bytes(struct t *t, const char *p, size_t n)
{
    struct err e = ERR_INIT;
    t->a = arena_new((size_t)64 << 20);
    t->frame = malloc(n ? n : 1);               /* exactly n bytes: a read behind them is seen by ASan */
    assert_non_null(t->frame);
    memcpy(t->frame, p, n);
    assert_int_equal(csv_parser.parse(&t->o, span_make(t->frame, n), t->a, &t->r, &e), 0);
    for (size_t i = 0; i < t->r.n; i++) {
        unsigned sum = 0;
        for (size_t k = 0; k < t->r.v[i].n_records; k++) {
            assert_ptr_equal(t->r.v[i].records[k].message, &t->r.v[i].message);
            sum += (unsigned)t->r.v[i].records[k].n;
        }
        if (t->r.v[i].fate == PARSE_ACCEPT)
            assert_int_equal(sum, t->r.v[i].observations);
    }
}

static struct t t_read(const char *text)
{
    struct t t = {.a = NULL};
    struct span formats = SPAN_LIT("DD/MM/YYYY");
    columns(&t.o, usual);
    option_list_add(&t.o.date_formats, formats);
    read_bytes(&t, text, strlen(text));
    return t;
}

static void t_free(struct t *t)
{
    option_list_clear(&t->o.date_formats);
    csv_columns_free(&t->o.columns);
    arena_free(t->a);
    free(t->frame);
}

static void is(struct span s, const char *text)
{
    if (!span_is(s, text))
        fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(s), text);
}

static void refused(const struct t *t, size_t i, const char *name, const char *where)
{
    assert_true(i < t->r.n);
    assert_int_equal(t->r.v[i].fate, PARSE_REFUSE);
    assert_true(t->r.v[i].n_problems > 0);
    assert_string_equal(t->r.v[i].problems[0].name, name);
    is(t->r.v[i].problems[0].expression, where);
}

static void a_row_is_a_message(void **state)
{
    (void)state;
    struct t t = t_read(HEAD "S-1,C-1,\"O\"\"Hara, Jo\",f,4/11/2026,94500-6,Positive\nS-2,C-2,B,male,2026-11-04T10:15+0300,94500-6,\"<40\"\n");
    assert_int_equal(t.r.n, 2);
    assert_true(t.r.is_batch);
    const struct record *r = t.r.v[0].records;
    is(r->specimen.id, "S-1");
    is(r->patient.family_name, "O\"Hara, Jo");
    is(r->patient.sex, "F");
    is(r->patient.ids.v[0].authority, "GODATA");
    is(r->specimen.collected_at.v, "2026-11-04");
    assert_int_equal(r->specimen.collected_at.prec, 'D');
    is(r->observations[0].code.v[0].system, "http://loinc.org");
    is(r->observations[0].path, "column \"Result\"");
    assert_int_equal(r->observations[0].value.type, REC_V_TEXT);
    assert_int_equal(r->observations[0].status, OBS_ST_FINAL);
    assert_int_equal(t.r.v[1].place, 3);
    r = t.r.v[1].records;
    is(r->specimen.collected_at.v, "2026-11-04T10:15");
    is(r->specimen.collected_at.zone, "+03:00");
    assert_int_equal(r->observations[0].value.type, REC_V_STRUCTURED);
    is(r->observations[0].value.comparator, "<");
    is(r->observations[0].value.num1, "40");
    t_free(&t);
}

/* What is stored of a row reads again by itself, to the same record; the same row elsewhere has the same bytes. */
static void a_stored_row_reads_again(void **state)
{
    (void)state;
    struct t t = t_read("\xef\xbb\xbf" "Week 45;;;;;;\r\nName;Lab no;Result;Test;Case;Taken;Other\r\nR\xe9my;S-1;neg;94500-6;C-1;04/11/2026;\"a\nb\"\r\n\r\nB;S-2;pos;94500-6;C-2;04/11/2026;\r\n");
    assert_int_equal(t.r.n, 2);
    is(t.r.v[0].records->patient.family_name, "R\xc3\xa9my");
    assert_int_equal(t.r.v[1].place, 5);
    struct t again = {.a = NULL};
    columns(&again.o, usual);
    option_list_add(&again.o.date_formats, SPAN_LIT("DD/MM/YYYY"));
    read_bytes(&again, t.r.v[0].raw.p, t.r.v[0].raw.n);
    assert_int_equal(again.r.n, 1);
    assert_true(span_eq(again.r.v[0].raw, t.r.v[0].raw));
    struct buf a, b;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    record_format(t.r.v[0].records, &a);
    record_format(again.r.v[0].records, &b);
    assert_string_equal(a.p, b.p);
    buf_clear(&a);
    buf_clear(&b);
    t_free(&again);
    t_free(&t);
}

static void bad_rows_refuse_themselves(void **state)
{
    (void)state;
    struct t t = t_read(HEAD "S-1,C-1,A,F,31/02/2026,94500-6,pos\nS-2,C-2\nS-3,C-3,A,F,,,pos\nS-4,C-4,A,F,,94500-6,pos,,\nS-5,C-5,A,F,,94500-6,pos,x\nS-6,\"C\"-6,A,F,,94500-6,pos\n"
                        "S-7,C-7,A,q,04/11/2026,94500-6,\nS-8,\"C-8,A,F,,94500-6,pos\nS-9,C-9,A,F,,94500-6,pos\n");
    assert_int_equal(t.r.n, 8);
    refused(&t, 0, "BAD_DATE", "row 2, column \"Taken\"");
    refused(&t, 1, "WRONG_CELL_COUNT", "row 3");
    refused(&t, 2, "MISSING_FIELD", "row 4, column \"Test\"");
    assert_int_equal(t.r.v[3].fate, PARSE_ACCEPT);          /* empty cells may follow */
    refused(&t, 4, "WRONG_CELL_COUNT", "row 6");
    refused(&t, 5, "BAD_QUOTE", "row 7");
    assert_int_equal(t.r.v[6].fate, PARSE_ACCEPT);
    assert_string_equal(t.r.v[6].problems[0].name, "W_UNKNOWN_SEX");
    assert_int_equal(t.r.v[6].records->observations[0].status, OBS_ST_REGISTERED);      /* a test without a value is awaited */
    refused(&t, 7, "OPEN_QUOTE", "row 9");
    t_free(&t);
}

static void headers(void **state)
{
    (void)state;
    struct t t = t_read("Lab no,Case,Name,Taken,Test,Results\nS-1,C-1,A,,94500-6,pos\n");
    assert_int_equal(t.r.n, 1);
    refused(&t, 0, "MISSING_COLUMN", "row 1, column \"Result\" (there is \"Results\")");
    t_free(&t);
    t = t_read("LAB NO , case,Name,Taken,Test,Result,result\nS-1,C-1,A,,94500-6,pos,neg\n");
    refused(&t, 0, "DUPLICATE_COLUMN", "row 1, column \"Result\"");
    t_free(&t);
    t = t_read("\n\n");
    refused(&t, 0, "NO_HEADER", "file");
    t_free(&t);
    t = t_read(HEAD);
    assert_int_equal(t.r.n, 0);
    assert_true(t.r.is_batch);
    t_free(&t);
    t = t_read("PK\x03\x04zzzz");
    assert_int_equal(t.r.v[0].fate, PARSE_QUARANTINE);
    assert_string_equal(t.r.v[0].problems[0].name, "NO_TEXT");
    t_free(&t);
    t = t_read("Total;;;;;;\n" HEAD ",,,,,,\nS-1,C-1,A,F,,,\n");
    assert_int_equal(t.r.n, 1);                             /* a row of empty cells is none; a patient without result is one */
    assert_int_equal(t.r.v[0].fate, PARSE_FILTER);
    assert_string_equal(t.r.v[0].filter_reason, "NO_RESULT");
    assert_int_equal(t.r.v[0].observations, 0);
    assert_true(t.r.v[0].persons->records->patient.is_present);
    assert_ptr_equal(t.r.v[0].persons->records->message, &t.r.v[0].message);
    t_free(&t);
}

static void tests_as_columns(void **state)
{
    (void)state;
    static const char *const wide[] = {"No|specimen.id", "RDT|observation|malaria-rdt|name|Malaria RDT", "VL|observation|hiv-vl|unit|copies/mL", "Code|observation.value|coded|system|lab",
                                       "What|observation.code", "Status|observation.status", "Town|patient.address.city", "Bad|specimen.rejected", NULL};
    struct t t = {.o = {.is_decimal_comma = true}};
    columns(&t.o, wide);
    const char text[] = "No\tRDT\tVL\tCode\tWhat\tStatus\tTown\tBad\n1\tpos\t1,5\tP\tX\tC\tGulu\tno\n2\t\t\t\t\t\t\tyes\n3\tneg\t\t\t\tmaybe\t\t\n4\tneg\t\t\t\t\t\tperhaps\n";
    read_bytes(&t, text, sizeof text - 1);
    assert_int_equal(t.r.n, 4);
    const struct record *r = t.r.v[0].records;
    assert_int_equal(r->n, 3);
    is(r->observations[0].value.codings.v[0].system, "local:lab");
    is(r->observations[1].code.v[0].code, "malaria-rdt");
    is(r->observations[1].code.v[0].display, "Malaria RDT");
    is(r->observations[2].value.num1, "1.5");
    is(r->observations[2].value.text, "1,5");
    is(r->observations[2].unit.code, "copies/mL");
    assert_int_equal(r->observations[2].status, OBS_ST_CORRECTED);
    is(r->patient.address.v[0].city, "Gulu");
    assert_int_equal(t.r.v[1].observations, 0);
    assert_string_equal(t.r.v[1].filter_reason, "NO_RESULT");
    assert_null(t.r.v[1].persons);                          /* nobody in it */
    refused(&t, 2, "BAD_STATUS", "row 4, column \"Status\"");
    refused(&t, 3, "BAD_YES_NO", "row 5, column \"Bad\"");
    t_free(&t);
}

static void limits(void **state)
{
    (void)state;
    struct t t = {.o = {.max_rows = 2, .max_cell = 16, .max_columns = 3, .charset = CSV_UTF8}};
    static const char *const two[] = {"No|specimen.id", "R|observation|x", NULL};
    columns(&t.o, two);
    static const char three[] = "No,R\n1,a\n2,b\n3,c\n", odd[] = "No,R\n1,aaaaaaaaaaaaaaaaaaaaa\n2,\xe9\n";
    read_bytes(&t, three, sizeof three - 1);
    refused(&t, 0, "TOO_MANY_ROWS", "file");
    arena_free(t.a);
    free(t.frame);
    read_bytes(&t, odd, sizeof odd - 1);
    refused(&t, 0, "CELL_TOO_LONG", "row 2");
    refused(&t, 1, "BAD_ENCODING", "row 3, column \"R\"");
    arena_free(t.a);
    free(t.frame);
    read_bytes(&t, "No,R\n1,b,,,\n", 12);
    refused(&t, 0, "TOO_MANY_COLUMNS", "row 2");
    arena_free(t.a);
    free(t.frame);
    t.o.charset = CSV_CHARSET_AUTO;
    read_bytes(&t, "No,R\n1,b\0c\n", 11);
    refused(&t, 0, "ZERO_BYTES", "row 2, column \"R\"");
    t_free(&t);
}

static void dates(void **state)
{
    (void)state;
    static const struct { const char *text, *iso; char prec; } good[] = {
        {"2026", "2026", 'Y'}, {"2026-05", "2026-05", 'M'}, {"2026-05-04", "2026-05-04", 'D'}, {"2026-05-04 9:05", "2026-05-04T09:05", 'N'},
        {"2026-05-04T09:05:07.120Z", "2026-05-04T09:05:07.120", 'F'}, {"4/5/2026", "2026-05-04", 'D'}, {"04/05/2026 09:05:07", "2026-05-04T09:05:07", 'S'},
        {"04-MAY-2026", "2026-05-04", 'D'}, {"29/02/2028", "2028-02-29", 'D'}, {"2026.05.04", "2026-05-04", 'D'}};
    static const char *const bad[] = {"04/05/26", "29/02/2027", "13/13/2026", "4.5.2026", "2026-02-30", "2026-5-4", "today", "45231", "04/05/2026x", "2026-05-04T25:00", "0004/05/2026"};
    struct option_list f = {0};
    struct arena *a = arena_new(1 << 20);
    struct rec_ts ts;
    option_list_add(&f, SPAN_LIT("DD/MM/YYYY"));
    option_list_add(&f, SPAN_LIT("DD-MMM-YYYY"));
    option_list_add(&f, SPAN_LIT("YYYY.MM.DD"));
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(csv_date(&f, span_of(good[i].text), a, &ts));
        is(ts.v, good[i].iso);
        assert_int_equal(ts.prec, good[i].prec);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (csv_date(&f, span_of(bad[i]), a, &ts))
            fail_msg("%s is no date", bad[i]);
    assert_true(csv_date_format_ok("DD/MM/YYYY hh:mm"));
    assert_false(csv_date_format_ok("DD/MM/YY"));
    assert_false(csv_date_format_ok("MM/YYYY"));
    assert_false(csv_date_format_ok("DD/MM/YYYY hh"));
    option_list_clear(&f);
    arena_free(a);
}

static void sniffs(void **state)
{
    (void)state;
    static const char *const csv[] = {"a,b\n", "\xef\xbb\xbf\n\na;b", "a\tb\n1\t2\n"};
    static const char *const other[] = {"MSH|^~\\&|a,b\r", "  {\"a\":1,\"b\":2}", "[1,2]", "<a b=\"1,2\">", "FHS|^~\\&,", "no separator\na,b", "", "\vMSH|,"};
    for (size_t i = 0; i < sizeof csv / sizeof csv[0]; i++)
        assert_true(csv_parser.sniff(span_of(csv[i])));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(csv_parser.sniff(span_of(other[i])));
    assert_false(csv_parser.sniff(span_make("a\0,b", 4)));
}

static void wrong_columns(void **state)
{
    (void)state;
    static const struct { const char *words, *text, *hint; size_t bad; } cases[] = {
        {"A|specimen.idd", "no such field \"specimen.idd\"", "did you mean \"specimen.id\"?", 1},
        {"A|observation.role", "a column cannot fill \"observation.role\"", "", 1},
        {"A|specimen.id|sytem|x", "unknown word \"sytem\" in column \"A\"", "did you mean \"system\"?", 2},
        {"A|specimen.id|system|x", "\"system\" has no meaning for this kind of column", "", 2},
        {"A|observation.code|system", "\"system\" needs a value behind it", "", 2},
        {"A", "write: column \"Header of the file\" specimen.id", "", 0},
        {"A|observation", "write the code of the test behind it: observation \"malaria-rdt\"", "", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct csv_options o = {.max_rows = 1};
        struct err e = ERR_INIT;
        size_t bad = 99;
        assert_int_equal(add(&o, cases[i].words, &bad, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        if (cases[i].hint[0])
            assert_string_equal(e.where, cases[i].hint);
        assert_int_equal(bad, cases[i].bad);
        csv_columns_free(&o.columns);
    }
    static const char *const sets[][3] = {{"A|specimen.id", NULL}, {"A|observation.value", NULL}, {"A|observation.code", "B|patient.sex", NULL}, {"A|patient.sex", "B|patient.sex", NULL}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct csv_options o = {.max_rows = 1};
        struct err e = ERR_INIT;
        columns(&o, sets[i]);
        assert_int_equal(csv_parser.options.check(&o, &e), -1);
        assert_string_equal(e.where, "column");
        csv_columns_free(&o.columns);
    }
}

static void answers(void **state)
{
    (void)state;
    struct t t = t_read(HEAD "S-1,C-1,A,F,,94500-6,pos\nS-2,C-2,A,F,1.1.26,94500-6,pos\nS-3,C-3,A,F,,94500-6,pos\n");
    enum frame_fate fates[] = {FATE_STORED, FATE_REFUSED, FATE_DUPLICATE};
    struct reply_conf rc = {.now_us = 0};
    struct span *p = NULL;
    size_t n = 0;
    struct err e = ERR_INIT;
    assert_int_equal(csv_parser.reply(&t.o, &t.r, fates, &rc, t.a, &p, &n, &e), 0);
    assert_int_equal(n, 1);
    is(p[0], "row,outcome,place,reason\r\n2,stored,,\r\n3,refused,\"row 3, column \"\"Taken\"\"\",\"this is no date in the order that date-format names, nor YYYY-MM-DD\"\r\n4,duplicate,,\r\n");
    free((void *)(uintptr_t)p[0].p);
    free(p);
    t_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_a_message), cmocka_unit_test(a_stored_row_reads_again), cmocka_unit_test(bad_rows_refuse_themselves), cmocka_unit_test(headers),
        cmocka_unit_test(tests_as_columns),   cmocka_unit_test(limits),                   cmocka_unit_test(dates),                      cmocka_unit_test(sniffs),
        cmocka_unit_test(wrong_columns),      cmocka_unit_test(answers)};
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
