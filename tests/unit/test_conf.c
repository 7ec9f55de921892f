/* NAME test_conf - what a good configuration becomes: values, defaults, paths, hash, credentials, help. Bad ones: test_conf_bad.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fsutil.h"
#include "option.h"
#include "test_conf_modules.h"

static char dir[] = "/tmp/labrelay-conf-XXXXXX";

static char *in_dir(const char *name)
{
    static char path[2][200];
    static int turn;
    turn = !turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void save(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_dir(name), mode), 0);
}

static struct config *load(const char *text, size_t errors, size_t warnings)
{
    save("c.conf", text, 0644);
    struct diag *d = diag_new();
    struct config *c = config_load(in_dir("c.conf"), &test_modules, d);
    struct buf b;
    buf_init(&b, 1 << 20);
    diag_format(d, &b);
    if (diag_errors(d) != errors || diag_warnings(d) != warnings)
        fail_msg("%zu errors, %zu warnings: %s", diag_errors(d), diag_warnings(d), b.n ? b.p : "");
    buf_clear(&b);
    diag_free(d);
    return c;
}

#define TAIL "route \"z\" { hold \"x\" }\n"

static void test_values(void **state)
{
    (void)state;
    save("credentials/pw", "s3cret\n", 0600);
    struct config *c = load("node \"gw \\\"1\\\"\"\nstore \"data/s.db\" {\n  keep-delivered 14d\n  stop-accepting when disk-free below 7%\n  commit-delay 2ms\n}\n"
                            "duplicate-window 2h\nmemory-budget 128MB\n"
                            "listen mllp \"a\" { address [::1]:2575  allow 10.0.0.0/8, ::1\n allow 192.168.0.1  max-size 1MB  parse hl7v2 { timezone \"Africa/Kampala\"  assume-charset latin1 } }\n"
                            "listen files \"b\" { inbox \"in\" }\n"
                            "write godata \"g\" { url \"https://x/api\"  login \"l\"  password credential \"pw\"  outbreak \"o\"  couriers 7  match by document PASSPORT, then sample-id }\n"
                            "route \"r\" { when observation.status = \"final\" or\n observation.status = \"corrected\" hold \"h\" }\n" TAIL, 0, 1);
    assert_string_equal(c->node, "gw \"1\"");
    assert_string_equal(c->store.path, in_dir("data/s.db"));
    assert_string_equal(c->control_path, in_dir("data/s.db.sock"));
    assert_int_equal(c->store.keep_delivered_us, 14 * 86400000000LL);
    assert_int_equal(c->store.disk_free_min_percent, 7);
    assert_int_equal(c->store.commit_delay_us, 2000);
    assert_int_equal(c->store.commit_bytes, 4 << 20);
    assert_int_equal(c->duplicate_window_us, 7200000000LL);
    assert_int_equal(c->memory_budget_bytes, 128 << 20);
    assert_int_equal(c->n_listeners, 2);
    const struct listener_conf *a = config_listener_find(c, "a");
    const struct test_mllp *m = a->options;
    const struct test_hl7 *h = a->parser_options;
    assert_string_equal(m->address, "[::1]:2575");
    assert_int_equal(m->allow.n, 3);
    assert_string_equal(m->allow.v[2], "192.168.0.1");
    assert_int_equal(m->max_size, 1 << 20);
    assert_int_equal(m->idle, 300000000);
    assert_int_equal(m->connections, 256);
    assert_string_equal(a->parser->name, "hl7v2");
    assert_int_equal(h->charset, 2);
    assert_string_equal(h->timezone, "Africa/Kampala");
    const struct listener_conf *b = config_listener_find(c, "b");
    assert_string_equal(((const struct test_files *)b->options)->inbox, in_dir("in"));
    assert_string_equal(b->parser->name, "fhir");                               /* the listener's own default */
    assert_string_equal(((const struct test_hl7 *)b->parser_options)->timezone, "UTC");
    const struct writer_conf *w = config_writer_find(c, "g");
    const struct test_godata *g = w->options;
    assert_string_equal(g->password, "s3cret");
    assert_string_equal(g->match, "ds");
    assert_int_equal(w->couriers, 7);
    assert_int_equal(w->settle_unknown_us, 60000000);
    assert_int_equal(w->retry_max_us, 900000000);
    assert_null(config_listener_find(c, "g"));
    assert_null(config_writer_find(c, "a"));
    assert_non_null(c->rules);
    config_free(c);
    (void)unlink(in_dir("credentials/pw"));
}

static void test_readable_credential(void **state)
{
    (void)state;
    save("credentials/pw", "s3cret\n", 0644);
    assert_null(load("store \"s\"\nlisten files \"b\" { inbox \"i\" }\nwrite godata \"g\" { url \"http://x\" login \"l\" password credential \"pw\" outbreak \"o\" }\nroute \"z\" { hold \"x\" }\n", 1, 0));
    (void)unlink(in_dir("credentials/pw"));
}

static void test_hash(void **state)
{
    (void)state;
    char first[17];
    save("t.csv", "id,v\n1,a\n", 0644);
    struct config *c = load("store \"s\"\nlisten files \"b\" { inbox \"i\" }\ntable x csv \"t.csv\" key id\n" TAIL, 0, 0);
    memcpy(first, c->hash, 17);
    assert_int_equal(strlen(first), 16);
    config_free(c);
    c = load("store \"s\"\nlisten files \"b\" { inbox \"i\" }\ntable x csv \"t.csv\" key id\n" TAIL, 0, 0);
    assert_string_equal(c->hash, first);
    config_free(c);
    save("t.csv", "id,v\n1,b\n", 0644);
    c = load("store \"s\"\nlisten files \"b\" { inbox \"i\" }\ntable x csv \"t.csv\" key id\n" TAIL, 0, 0);
    assert_string_not_equal(c->hash, first);                                    /* a table is part of the configuration */
    config_free(c);
    (void)unlink(in_dir("t.csv"));
}

static void test_missing_file(void **state)
{
    (void)state;
    struct diag *d = diag_new();
    assert_null(config_load(in_dir("nobody.conf"), &test_modules, d));
    assert_int_equal(diag_errors(d), 1);
    diag_free(d);
}

static void test_warnings(void **state)
{
    (void)state;
    config_free(load("store \"s\"\n" TAIL, 0, 1));                               /* no listener */
    config_free(load("store \"s\"\ninclude \"none/*.conf\"\nlisten files \"b\" { inbox \"i\" }\n" TAIL, 0, 1));
    config_free(load("store \"s\"\nlisten files \"a\" { inbox \"i\" }\nlisten files \"b\" { inbox \"j\" }\nroute \"r\" { from \"a\" hold \"y\" }\n" TAIL, 0, 1));    /* b is in no route */
}

static void test_help(void **state)
{
    (void)state;
    struct buf b;
    const char *name;
    size_t tables = 0;
    buf_init(&b, 1 << 20);
    for (const struct option_table *t; (t = config_tables(tables, &name)) != NULL; tables++) {
        option_help(t, &b);
        option_mdoc(t, &b);
        for (size_t i = 0; i < t->n; i++)
            assert_non_null(t->rows[i].help);
    }
    assert_int_equal(tables, 5);
    assert_non_null(strstr(b.p, "    keep-delivered DURATION|for-ever  how long finished messages are kept (default 90d)\n"));
    assert_non_null(strstr(b.p, "    preliminary write|hold            what"));
    assert_non_null(strstr(b.p, ".It Ic node Ar \"\\(dqTEXT\\(dq\"\n"));
    assert_non_null(strstr(b.p, ".It Ic couriers Ar \"NUMBER\"\nRequests under way at the same time.\nDefault:\n.Ql 4 .\n"));
    buf_clear(&b);
    void *o = calloc(1, sizeof(struct test_mllp));
    assert_int_equal(option_set_defaults(&test_modules.listeners[0]->options, o), 0);
    assert_int_equal(((struct test_mllp *)o)->max_size, 16 << 20);
    option_free_values(&test_modules.listeners[0]->options, o);
    free(o);
}

/* A field or option that its man page does not name is not documented. */
static void assert_named(const struct buf *page, const char *file, const char *macro, const char *name)
{
    char line[120];
    (void)snprintf(line, sizeof line, ".It %s %s ", macro, name);
    if (!strstr(page->p, line))
        fail_msg("%s does not name %s", file, name);
}

static void load_page(const char *file, struct buf *b)
{
    char path[300];
    struct err e = ERR_INIT;
    const char *src = getenv("srcdir");
    (void)snprintf(path, sizeof path, "%s/man/%s", src ? src : ".", file);
    buf_init(b, 1 << 20);
    if (fs_load(path, b, &e))
        fail_msg("%s: %s", path, e.text);
    buf_addc(b, 0);
}

static void test_pages_name_everything(void **state)
{
    (void)state;
    struct buf b;
    char name[100];
    const char *table;
    load_page("labrelay-fields.7", &b);
    for (size_t i = 0; i < record_fields_n; i++)
        assert_named(&b, "labrelay-fields.7", "Li", record_fields[i].name);
    for (size_t i = 0; i < lab_fields_n; i++) {
        (void)snprintf(name, sizeof name, "lab.%s", lab_fields[i].name);
        assert_named(&b, "labrelay-fields.7", "Li", name);
    }
    for (size_t i = 0; i < person_fields_n; i++) {
        (void)snprintf(name, sizeof name, "case.%s", person_fields[i].name);
        assert_named(&b, "labrelay-fields.7", "Li", name);
    }
    buf_clear(&b);
    load_page("labrelay.conf.5", &b);
    for (size_t t = 0; t < 2; t++) {
        const struct option_table *o = config_tables(t, &table);
        for (size_t i = 0; i < o->n; i++)
            assert_named(&b, "labrelay.conf.5", "Ic", o->rows[i].name);
    }
    buf_clear(&b);
}

static int open_dir(void **state)
{
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    return mkdtemp(dir) && mkdir(in_dir("credentials"), 0700) == 0 ? 0 : -1;
}

static int close_dir(void **state)
{
    (void)state;
    (void)unlink(in_dir("c.conf"));
    (void)rmdir(in_dir("credentials"));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_readable_credential), cmocka_unit_test(test_hash), cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_warnings), cmocka_unit_test(test_help), cmocka_unit_test(test_pages_name_everything),
    };
    return cmocka_run_group_tests(tests, open_dir, close_dir);
}
