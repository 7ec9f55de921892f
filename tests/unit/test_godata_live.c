/*
 * NAME test_godata_live - the Go.Data writer against the sandbox: chores, every step, and what goes wrong in between.
 * Needs the program: LABRELAY=/path/to/labrelay. Without it everything is skipped, loudly. [item N]: STANDARDS section 10.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "clock.h"
#include "courier.h"
#include "godata_options.h"
#include "godata_writer.h"
#include "http.h"
#include "log.h"
#include "mailbox.h"
#include "xmem.h"

#define O1 "0b000000-0000-4000-8000-00000000000a"
#define O2 "0b000000-0000-4000-8000-00000000000b"
#define CASE_42 "ca000000-0000-4000-8000-000000000042"
#define CASE_43 "ca000000-0000-4000-8000-000000000043"
#define CONTACT_1 "c0000000-0000-4000-8000-000000000001"
#define COC_1 "cc000000-0000-4000-8000-000000000001"
#define DOC "LNG_REFERENCE_DATA_CATEGORY_DOCUMENT_TYPE_"
#define SEX "LNG_REFERENCE_DATA_CATEGORY_GENDER_"
#define RESULT "LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_"
#define KEY_A "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0"
#define PASSWORD "practice-makes-perfect"

static const char seed[] =
    "{\"outbreaks\":[{\"id\":\"" O1 "\",\"name\":\"Ebola 2026\",\"isContactLabResultsActive\":false},{\"id\":\"" O2 "\",\"name\":\"Cholera 2025\"}],"
    "\"users\":["
    "{\"email\":\"lab@x.example\",\"password\":\"" PASSWORD "\",\"activeOutbreakId\":\"" O1 "\",\"permissions\":[\"*\"]},"
    "{\"email\":\"admin@x.example\",\"password\":\"" PASSWORD "\",\"activeOutbreakId\":\"" O1 "\",\"permissions\":[\"*\"]},"
    "{\"email\":\"wrong@x.example\",\"password\":\"" PASSWORD "\",\"activeOutbreakId\":\"" O2 "\",\"permissions\":[\"*\"]},"
    "{\"email\":\"poor@x.example\",\"password\":\"" PASSWORD "\",\"activeOutbreakId\":\"" O1 "\",\"permissions\":[\"outbreak_view\",\"case_list\",\"contact_list\",\"lab_result_list\","
    "\"case_view_lab_result\",\"case_list_lab_result\",\"case_modify_lab_result\"]}],"
    "\"referenceData\":[{\"categoryId\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_NAME\",\"value\":\"Lab Goma\"}],"
    "\"cases\":[{\"id\":\"" CASE_42 "\",\"visualId\":\"CASE-0042\",\"firstName\":\"Marie\",\"lastName\":\"Ilunga\",\"dob\":\"1990-02-03\",\"gender\":\"" SEX "FEMALE\","
    "\"documents\":[{\"type\":\"" DOC "NATIONAL_ID_CARD\",\"number\":\"0012345\"},{\"type\":\"" DOC "EXTERNAL_ID\",\"number\":\"AB12\"}]},"
    "{\"id\":\"" CASE_43 "\",\"visualId\":\"CASE-0043\",\"firstName\":\"Joseph\",\"lastName\":\"Kabongo\",\"dob\":\"1981-07-09\",\"gender\":\"" SEX "MALE\","
    "\"documents\":[{\"type\":\"" DOC "NATIONAL_ID_CARD\",\"number\":\"0077777\"}]},"
    "{\"id\":\"ca000000-0000-4000-8000-000000000044\",\"visualId\":\"CASE-0044\",\"lastName\":\"Twin\",\"documents\":[{\"type\":\"" DOC "PASSPORT\",\"number\":\"P1\"}]},"
    "{\"id\":\"ca000000-0000-4000-8000-000000000045\",\"visualId\":\"CASE-0045\",\"lastName\":\"Twin\",\"documents\":[{\"type\":\"" DOC "PASSPORT\",\"number\":\"P1\"}]}],"
    "\"contacts\":[{\"id\":\"" CONTACT_1 "\",\"visualId\":\"CONTACT-1\",\"firstName\":\"Hana\",\"lastName\":\"Mbuyi\"}],"
    "\"contactsOfContacts\":[{\"id\":\"" COC_1 "\",\"visualId\":\"COC-1\",\"firstName\":\"Ali\"}]}";

static const char body[] =
    "{\"sampleIdentifier\":\"S-1\",\"dateSampleTaken\":\"2026-05-04T00:00:00.000Z\",\"dateOfResult\":\"2026-05-04T00:00:00.000Z\","
    "\"labName\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_LAB_GOMA\",\"testedFor\":\"Ebola virus\",\"result\":\"" RESULT "POSITIVE\",\"quantitativeResult\":\"24.50\","
    "\"status\":\"" RESULT "STATUS_COMPLETED\",\"notes\":\"[labrelay 3f2a91c0]\\nEbola virus RNA (LN 41636-2) = Detected (SCT 260373001)\\n[/labrelay]\"}";
static const char corrected[] =
    "{\"sampleIdentifier\":\"S-1\",\"dateSampleTaken\":\"2026-05-04T00:00:00.000Z\",\"dateOfResult\":\"2026-05-05T00:00:00.000Z\","
    "\"labName\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_LAB_GOMA\",\"testedFor\":\"Ebola virus\",\"result\":\"" RESULT "NEGATIVE\","
    "\"status\":\"" RESULT "STATUS_COMPLETED\",\"notes\":\"[labrelay 3f2a91c0]\\nEbola virus RNA (LN 41636-2) = Not detected (SCT 260415000)\\n[/labrelay]\"}";

/* ---- the sandbox ---- */

struct box {
    pid_t pid;
    int port;
    char dir[64];
    struct http_client *http;
    char *admin;                            /* token of the account that looks and meddles */
};

struct memory { char key[40]; int64_t v; };

struct fixture {
    struct box box;
    struct godata_options o;
    char url[80];
    struct memory memory[16];
    size_t n_memory, n_puts;
    struct writer *w;
    struct http_client *http;
    int64_t now_us;
};

static int64_t mem_get(void *ctx, const char *writer, const char *key, int64_t def)
{
    struct fixture *f = ctx;
    (void)writer;
    for (size_t i = 0; i < f->n_memory; i++)
        if (strcmp(f->memory[i].key, key) == 0)
            return f->memory[i].v;
    return def;
}

static void mem_put(void *ctx, const char *writer, const char *key, int64_t v)
{
    struct fixture *f = ctx;
    (void)writer;
    f->n_puts++;
    for (size_t i = 0; i < f->n_memory; i++)
        if (strcmp(f->memory[i].key, key) == 0) {
            f->memory[i].v = v;
            return;
        }
    assert_true(f->n_memory < 16);
    (void)snprintf(f->memory[f->n_memory].key, sizeof f->memory[0].key, "%s", key);
    f->memory[f->n_memory++].v = v;
}

static void box_start(struct box *b, int port, const char *flag)
{
    char port_file[96], seed_file[96], port_text[16];
    (void)snprintf(port_file, sizeof port_file, "%s/port", b->dir);
    (void)snprintf(seed_file, sizeof seed_file, "%s/seed.json", b->dir);
    (void)snprintf(port_text, sizeof port_text, "%d", port);
    (void)unlink(port_file);
    b->pid = fork();
    assert_true(b->pid >= 0);
    if (b->pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)execl(getenv("LABRELAY"), "labrelay", "sandbox", "--port", port_text, "--port-file", port_file, "--seed", seed_file, flag, (char *)NULL);
        _exit(127);
    }
    b->port = 0;
    for (int i = 0; i < 200 && b->port == 0; i++) {
        FILE *f = fopen(port_file, "r");
        if (f) {
            if (fscanf(f, "%d", &b->port) != 1)
                b->port = 0;
            (void)fclose(f);
        }
        if (b->port == 0)
            (void)usleep(50000);
    }
    assert_true(b->port > 0);
}

static void box_stop(struct box *b)
{
    if (b->pid > 0) {
        (void)kill(b->pid, SIGKILL);
        (void)waitpid(b->pid, NULL, 0);
    }
    b->pid = 0;
}

/* One request besides the writer; returns the answer's JSON or NULL. status_out may be NULL. */
static json_t *ask(struct box *b, const char *method, const char *path, const char *json, int *status_out)
{
    struct http_answer a;
    char url[512];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", b->port, path);
    const struct http_request q = {.method = method, .url = url, .body = span_of(json), .content_type = "application/json", .authorization = b->admin, .timeout_us = 5000000};
    http_perform(b->http, &q, &a);
    assert_int_equal(a.phase, HTTP_ANSWERED);
    json_t *v = a.body.n ? json_loadb(a.body.p, a.body.n, JSON_DECODE_ANY, NULL) : NULL;
    if (status_out)
        *status_out = a.status;
    http_answer_clear(&a);
    return v;
}

static void tell(struct box *b, const char *method, const char *path, const char *json)
{
    int status;
    json_t *v = ask(b, method, path, json, &status);
    if (status < 200 || status > 299)
        fail_msg("%s %s: HTTP %d", method, path, status);
    json_decref(v);
}

static void admin_login(struct box *b)
{
    free(b->admin);
    b->admin = NULL;
    json_t *v = ask(b, "POST", "/api/users/login", "{\"email\":\"admin@x.example\",\"password\":\"" PASSWORD "\"}", NULL);
    b->admin = xstrdup(json_string_value(json_object_get(v, "id")));
    json_decref(v);
}

static int64_t hits(struct box *b, const char *route)
{
    json_t *v = ask(b, "GET", "/sandbox/stats", NULL, NULL);
    int64_t n = json_integer_value(json_object_get(json_object_get(v, "routes"), route));
    json_decref(v);
    return n;
}

static json_t *labs_of(struct box *b, const char *kind, const char *person)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/api/outbreaks/" O1 "/%s/%s/lab-results", kind, person);
    return ask(b, "GET", path, NULL, NULL);
}

static size_t count_labs(struct box *b, const char *kind, const char *person)
{
    json_t *v = labs_of(b, kind, person);
    size_t n = json_array_size(v);
    json_decref(v);
    return n;
}

/* ---- the writer, driven as the engine drives it ---- */

static void writer_start(struct fixture *f)
{
    const struct writer_memory mem = {.ctx = f, .get = mem_get, .put = mem_put};
    struct err e = ERR_INIT;
    assert_int_equal(godata_writer.open(&f->w, "godata", &f->o, &mem, &e), 0);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char seed_file[96];
    (void)snprintf(f->box.dir, sizeof f->box.dir, "/tmp/labrelay-live-XXXXXX");
    assert_non_null(mkdtemp(f->box.dir));
    (void)snprintf(seed_file, sizeof seed_file, "%s/seed.json", f->box.dir);
    FILE *out = fopen(seed_file, "w");
    assert_non_null(out);
    assert_true(fputs(seed, out) >= 0);
    assert_int_equal(fclose(out), 0);
    f->box.http = http_client_new();
    f->http = http_client_new();
    box_start(&f->box, 0, NULL);
    admin_login(&f->box);
    (void)snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/api", f->box.port);
    f->o = (struct godata_options){.url = f->url, .login = xstrdup("lab@x.example"), .password = xstrdup(PASSWORD), .outbreak = xstrdup("Ebola 2026"),
                                   .timeout_us = 5000000, .sample_window_us = INT64_C(60) * 86400 * 1000000};
    f->now_us = clock_now_us();
    writer_start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[96];
    godata_writer.close(f->w);
    http_client_free(f->http);
    http_client_free(f->box.http);
    box_stop(&f->box);
    (void)snprintf(path, sizeof path, "%s/seed.json", f->box.dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/port", f->box.dir);
    (void)unlink(path);
    (void)rmdir(f->box.dir);
    free(f->box.admin);
    free(f->o.login);
    free(f->o.password);
    free(f->o.outbreak);
    free(f);
    return 0;
}

static void set(char **field, const char *value)
{
    free(*field);
    *field = xstrdup(value);
}

/* Runs chores until none is due now. */
static void run_chores(struct fixture *f)
{
    int64_t next;
    struct task *t;
    for (int i = 0; i < 20 && (t = godata_writer.chore(f->w, f->now_us, &next)); i++) {
        assert_null(godata_writer.chore(f->w, f->now_us, &next));       /* single flight */
        godata_writer.perform(t, f->http);
        godata_writer.settle(f->w, t, f->now_us);
        task_free(t);
    }
}

static struct writer_status status(struct fixture *f)
{
    struct writer_status s;
    godata_writer.status(f->w, &s);
    return s;
}

static void expect_mode(struct fixture *f, enum writer_mode mode, const char *reason)
{
    struct writer_status s = status(f);
    if (s.mode != mode || (reason && (!s.reason || strcmp(reason, s.reason) != 0)))
        fail_msg("mode %d reason %s (%s), expected %d %s", (int)s.mode, s.reason ? s.reason : "-", s.detail, (int)mode, reason ? reason : "-");
}

static void make_ready(struct fixture *f)
{
    run_chores(f);
    expect_mode(f, WRITER_READY, NULL);
}

struct job { const char *who, *body, *last_body, *person_id, *person_type, *remote_id; };

static struct task *armed(struct fixture *f, enum delivery_step step, const struct job *j)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->kind = TASK_STEP;
    t->writer = "godata";
    t->w = f->w;
    t->ops = &godata_writer;
    t->options = &f->o;
    t->step = step;
    t->delivery_id = 7;
    t->result_key = xstrdup(KEY_A);
    t->who = xstrdup(j->who ? j->who : "{}");
    t->body = xstrdup(j->body ? j->body : body);
    t->last_body = xstrdup(j->last_body ? j->last_body : "");
    t->person_id = xstrdup(j->person_id ? j->person_id : CASE_42);
    t->person_type = xstrdup(j->person_type ? j->person_type : "case");
    t->remote_id = xstrdup(j->remote_id ? j->remote_id : "");
    godata_writer.arm(f->w, t);
    return t;
}

static struct task *step(struct fixture *f, enum delivery_step what, const struct job *j)
{
    struct task *t = armed(f, what, j);
    godata_writer.perform(t, f->http);
    godata_writer.settle(f->w, t, f->now_us);
    return t;
}

static void expect(const struct task *t, enum verdict v, const char *reason)
{
    if (t->verdict != v || strcmp(reason, t->reason ? t->reason : "") != 0)
        fail_msg("%s %s (%s), expected %s %s", verdict_name(t->verdict), t->reason ? t->reason : "-", t->detail ? t->detail : "", verdict_name(v), reason);
}

static void expect_step(struct fixture *f, enum delivery_step what, const struct job *j, enum verdict v, const char *reason)
{
    struct task *t = step(f, what, j);
    expect(t, v, reason);
    task_free(t);
}

static char *create(struct fixture *f, const struct job *j)
{
    struct task *t = step(f, STEP_CREATE, j);
    expect(t, VERDICT_DELIVERED, "");
    char *id = xstrdup(t->created_id);
    task_free(t);
    return id;
}

/* ---- tests ---- */

static void test_ready(void **state)
{
    struct fixture *f = *state;
    expect_mode(f, WRITER_STARTING, NULL);
    make_ready(f);
    assert_int_equal(hits(&f->box, "POST /users/login"), 2);        /* ours and the admin's */
    int64_t next;
    assert_null(godata_writer.chore(f->w, f->now_us, &next));
    assert_true(next > f->now_us && next <= f->now_us + 300000000);
    f->now_us += 301000000;                                          /* the outbreak is read again, no login */
    run_chores(f);
    assert_int_equal(hits(&f->box, "GET /outbreaks"), 2);
    assert_int_equal(hits(&f->box, "POST /users/login"), 2);
    set(&f->o.outbreak, O2);                                         /* by id; not the active one */
    f->now_us += 301000000;
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    set(&f->o.outbreak, "Nowhere");
    f->now_us += 301000000;
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "OUTBREAK_UNKNOWN");
}

#define ID(role, value) "{\"role\":\"" role "\",\"value\":\"" value "\"}"
#define CARD(value) "{\"role\":\"document\",\"document\":\"NATIONAL_ID_CARD\",\"value\":\"" value "\"}"
#define EXTERNAL(value) "{\"role\":\"document\",\"document\":\"EXTERNAL_ID\",\"value\":\"" value "\"}"
#define WHO(ids, more) "{\"ids\":[" ids "]" more "}"

static void expect_found(struct fixture *f, const char *who, const char *id, const char *type)
{
    struct task *t = step(f, STEP_FIND, &(struct job){.who = who});
    expect(t, VERDICT_DELIVERED, "");
    assert_string_equal(t->found_id, id);
    assert_string_equal(t->found_type, type);
    assert_non_null(strstr(t->evidence, "\"agreed\":[\""));
    assert_true(t->requests <= 2);
    task_free(t);
}

static void expect_held(struct fixture *f, const char *who, const char *reason)
{
    expect_step(f, STEP_FIND, &(struct job){.who = who}, VERDICT_REJECTED, reason);
}

static void test_find(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    expect_found(f, WHO(ID("visual-id", "CASE-0042"), ""), CASE_42, "case");
    expect_found(f, WHO(ID("visual-id", "CASE-0042") "," CARD("0012345"), ",\"family\":\"ILUNGA\",\"birth_date\":\"1990-02-03\",\"sex\":\"F\""), CASE_42, "case");
    expect_found(f, WHO(ID("godata-id", CASE_43), ",\"family\":\"Kabongo wa Kabongo\""), CASE_43, "case");
    expect_found(f, WHO(ID("visual-id", "CASE-0042") "," CARD("unknown"), ""), CASE_42, "case");
    expect_held(f, WHO(ID("visual-id", "CASE-0042"), ",\"birth_date\":\"1991-02-03\""), "IDENTITY_CONFLICT");          /* [item 120] */
    expect_held(f, WHO(ID("visual-id", "CASE-0042"), ",\"sex\":\"M\""), "IDENTITY_CONFLICT");
    expect_held(f, WHO(ID("visual-id", "CASE-0042"), ",\"family\":\"Kabongo\""), "IDENTITY_CONFLICT");
    expect_held(f, WHO(ID("visual-id", "CASE-0042") "," CARD("0077777"), ""), "IDENTITY_CONFLICT");
    expect_held(f, WHO("{\"role\":\"document\",\"document\":\"PASSPORT\",\"value\":\"P1\"}", ""), "AMBIGUOUS_PERSON");
    expect_held(f, WHO(EXTERNAL("AB-12"), ""), "NO_MATCH");                                                              /* [item 125] */
    expect_held(f, WHO(EXTERNAL("0012345"), ""), "NO_MATCH");                                                            /* right number, wrong type */
    expect_held(f, WHO(ID("visual-id", "2026-05-04"), ""), "NO_IDENTITY");                                               /* [item 124] */
    expect_held(f, WHO(ID("visual-id", "or"), ""), "NO_IDENTITY");
    expect_held(f, WHO(ID("visual-id", "or") "," ID("visual-id", "nobody"), ""), "NO_MATCH");
    expect_held(f, WHO(ID("visual-id", "CONTACT-1"), ""), "CONTACT_RESULTS_OFF");                                        /* [item 122] */
    expect_held(f, WHO(ID("visual-id", "COC-1"), ""), "CONTACT_OF_CONTACT");
    f->o.contact_results = true;
    expect_found(f, WHO(ID("visual-id", "CONTACT-1"), ""), CONTACT_1, "contact");
}

static void test_find_by_sample(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    free(create(f, &(struct job){0}));
    struct task *t = step(f, STEP_FIND, &(struct job){.who = "{\"sample\":\"S-1\",\"sample_day\":\"2026-05-20\",\"ids\":[]}"});     /* [item 119] */
    expect(t, VERDICT_DELIVERED, "");
    assert_string_equal(t->found_id, CASE_42);
    task_free(t);
    expect_held(f, "{\"sample\":\"S-1\",\"sample_day\":\"2026-09-20\",\"ids\":[]}", "NO_MATCH");
    expect_held(f, "{\"sample\":\"S-1\",\"sample_day\":\"2026-05-20\",\"ids\":[" ID("visual-id", "CASE-0043") "]}", "IDENTITY_CONFLICT");
    free(create(f, &(struct job){.person_id = CASE_43}));
    expect_held(f, "{\"sample\":\"S-1\",\"sample_day\":\"2026-05-20\",\"ids\":[]}", "AMBIGUOUS_PERSON");
    struct godata_match_key only_visual = {.role = GODATA_BY_VISUAL_ID};
    f->o.match = (struct godata_match){.v = &only_visual, .n = 1};
    expect_held(f, "{\"sample\":\"S-1\",\"ids\":[" CARD("0012345") "]}", "NO_IDENTITY");
    f->o.match = (struct godata_match){0};
}

static void test_create_and_update(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    char *id = create(f, &(struct job){0});
    json_t *v = labs_of(&f->box, "cases", CASE_42);
    assert_int_equal(json_array_size(v), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(v, 0), "quantitativeResult")), "24.50");
    json_decref(v);

    /* a person writes beside our block: the text survives, the history line is added [items 126, 132] */
    char path[256];
    (void)snprintf(path, sizeof path, "/api/outbreaks/" O1 "/cases/" CASE_42 "/lab-results/%s", id);
    tell(&f->box, "PUT", path, "{\"notes\":\"seen by AB\\n[labrelay 3f2a91c0]\\nEbola virus RNA (LN 41636-2) = Detected (SCT 260373001)\\n[/labrelay]\\ncalled back\"}");
    const struct job update = {.body = corrected, .last_body = body, .remote_id = id};
    expect_step(f, STEP_UPDATE, &update, VERDICT_DELIVERED, "");
    expect_step(f, STEP_UPDATE, &update, VERDICT_DELIVERED, "");               /* again: nothing to do */
    assert_int_equal(hits(&f->box, "PUT /outbreaks/:o/:p/:1/lab-results/:2"), 2);
    v = labs_of(&f->box, "cases", CASE_42);
    const json_t *lab = json_array_get(v, 0);
    assert_string_equal(json_string_value(json_object_get(lab, "result")), RESULT "NEGATIVE");
    assert_null(json_string_value(json_object_get(lab, "quantitativeResult")));
    assert_string_equal(json_string_value(json_object_get(lab, "notes")),
                        "seen by AB\n[labrelay 3f2a91c0]\nEbola virus RNA (LN 41636-2) = Not detected (SCT 260415000)\n2026-05-05 corrected: was Detected\n[/labrelay]\ncalled back");
    json_decref(v);

    tell(&f->box, "PUT", path, "{\"result\":\"" RESULT "INCONCLUSIVE\"}");
    expect_step(f, STEP_UPDATE, &(struct job){.body = body, .last_body = corrected, .remote_id = id}, VERDICT_REJECTED, "HUMAN_EDIT");
    tell(&f->box, "DELETE", path, NULL);
    expect_step(f, STEP_UPDATE, &update, VERDICT_REJECTED, "DELETED_IN_GODATA");
    free(id);
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    char *id = create(f, &(struct job){0}), path[256];
    const struct job gone = {.last_body = body, .remote_id = id};
    expect_step(f, STEP_REMOVE, &gone, VERDICT_DELIVERED, "");                 /* [item 128] */
    assert_int_equal(count_labs(&f->box, "cases", CASE_42), 0);
    expect_step(f, STEP_REMOVE, &gone, VERDICT_DELIVERED, "");
    free(id);

    id = create(f, &(struct job){0});
    (void)snprintf(path, sizeof path, "/api/outbreaks/" O1 "/cases/" CASE_42 "/lab-results/%s", id);
    tell(&f->box, "PUT", path, "{\"testedFor\":\"Ebola Zaire\"}");
    expect_step(f, STEP_REMOVE, &(struct job){.last_body = body, .remote_id = id}, VERDICT_DELIVERED, "CLEARED");
    json_t *v = labs_of(&f->box, "cases", CASE_42);
    assert_int_equal(json_array_size(v), 1);
    assert_null(json_string_value(json_object_get(json_array_get(v, 0), "result")));
    assert_non_null(strstr(json_string_value(json_object_get(json_array_get(v, 0), "notes")), " withdrawn by laboratory: was Detected\n[/labrelay]"));
    json_decref(v);
    free(id);
}

static void test_remove_forbidden(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    char *id = create(f, &(struct job){0});
    godata_writer.close(f->w);
    set(&f->o.login, "poor@x.example");
    writer_start(f);
    make_ready(f);
    expect_step(f, STEP_REMOVE, &(struct job){.last_body = body, .remote_id = id}, VERDICT_DELIVERED, "CLEARED");
    struct task *t = step(f, STEP_CREATE, &(struct job){0});
    expect(t, VERDICT_RETRY_LATER, "MISSING_PERMISSION");
    assert_non_null(strstr(t->detail, "case_create_lab_result"));
    assert_int_equal(t->retry_after_us, 300000000);
    task_free(t);
    expect_mode(f, WRITER_READY, NULL);
    free(id);
}

static void test_token_expires(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    tell(&f->box, "POST", "/sandbox/clock", "{\"advance\":700}");
    struct task *late = armed(f, STEP_FIND, &(struct job){.who = WHO(ID("visual-id", "CASE-0042"), "")});
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNAUTHORIZED, "TOKEN");     /* [item 131] */
    expect_mode(f, WRITER_STARTING, NULL);
    make_ready(f);
    assert_int_equal(hits(&f->box, "POST /users/login"), 3);
    godata_writer.perform(late, f->http);                       /* went out with the old token: no further login */
    godata_writer.settle(f->w, late, f->now_us);
    expect(late, VERDICT_UNAUTHORIZED, "TOKEN");
    task_free(late);
    expect_mode(f, WRITER_READY, NULL);
    run_chores(f);
    assert_int_equal(hits(&f->box, "POST /users/login"), 3);
    free(create(f, &(struct job){0}));
    f->now_us += 545000000;                                      /* idle for long: renewed before it runs out */
    make_ready(f);
    assert_int_equal(hits(&f->box, "POST /users/login"), 4);
}

static void test_route_without_access(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    /* a person id that leads to the contacts-of-contacts route would give 401 for ever; here: a 401 with a living token is no login */
    struct task *t = armed(f, STEP_CREATE, &(struct job){.person_id = "../contacts-of-contacts/" COC_1});
    godata_writer.perform(t, f->http);
    godata_writer.settle(f->w, t, f->now_us);
    assert_int_not_equal(t->verdict, VERDICT_UNAUTHORIZED);
    assert_int_equal(t->verdict, VERDICT_REJECTED);
    task_free(t);
    expect_mode(f, WRITER_READY, NULL);
}

static void test_lockout_is_avoided(void **state)
{
    struct fixture *f = *state;
    set(&f->o.password, "wrong");
    int64_t before = hits(&f->box, "POST /users/login");
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "LOGIN_FAILED");
    assert_int_equal(status(f).until_us, 0);
    f->now_us += 3600 * INT64_C(1000000);
    run_chores(f);                                               /* an hour later: still nobody said go on */
    assert_int_equal(hits(&f->box, "POST /users/login") - before, 1);
    f->now_us -= 3600 * INT64_C(1000000);
    for (int i = 0; i < 6; i++) {                                /* operators and restarts that do not help */
        if (i % 2) {
            godata_writer.resume(f->w);
        } else {
            godata_writer.close(f->w);
            writer_start(f);
        }
        run_chores(f);
    }
    assert_int_equal(hits(&f->box, "POST /users/login") - before, 3);
    expect_mode(f, WRITER_PAUSED, "LOGIN_LIMIT");
    assert_true(status(f).until_us <= f->now_us + 31 * 60 * INT64_C(1000000));
    set(&f->o.password, PASSWORD);
    f->now_us = status(f).until_us;
    make_ready(f);
    assert_int_equal(mem_get(f, "godata", "login_try_1", 0) + mem_get(f, "godata", "login_try_2", 0) + mem_get(f, "godata", "login_try_3", 0), 0);
}

static void test_login_blocked(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++)                                 /* somebody else locked the account */
        json_decref(ask(&f->box, "POST", "/api/users/login", "{\"email\":\"lab@x.example\",\"password\":\"no\"}", NULL));
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "LOGIN_BLOCKED");
    godata_writer.close(f->w);
    writer_start(f);
    int64_t before = hits(&f->box, "POST /users/login");
    run_chores(f);                                               /* a restart does not try earlier */
    expect_mode(f, WRITER_PAUSED, "LOGIN_BLOCKED");
    assert_int_equal(hits(&f->box, "POST /users/login"), before);
    tell(&f->box, "POST", "/sandbox/clock", "{\"advance\":1861}");
    f->now_us = status(f).until_us;
    make_ready(f);
}

static void test_second_factor(void **state)
{
    struct fixture *f = *state;
    int port = f->box.port;
    box_stop(&f->box);
    free(f->box.admin);
    f->box.admin = NULL;
    box_start(&f->box, port, "--two-factor");
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "TWO_FACTOR");
    f->now_us += 3600 * INT64_C(1000000);
    run_chores(f);
    assert_int_equal(hits(&f->box, "POST /users/login"), 1);    /* nobody to type the code in: not again */
    assert_int_equal(mem_get(f, "godata", "login_try_1", 0), 0);
    box_stop(&f->box);
    box_start(&f->box, port, NULL);
    godata_writer.resume(f->w);
    make_ready(f);
}

static void test_wrong_outbreak(void **state)
{
    struct fixture *f = *state;
    set(&f->o.login, "wrong@x.example");
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    int64_t next;
    assert_null(godata_writer.chore(f->w, f->now_us, &next));
    assert_true(next == f->now_us + 60000000);
    f->now_us = next;
    run_chores(f);                                               /* looked again, the same */
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    assert_int_equal(hits(&f->box, "PATCH /users/:1"), 0);
    f->o.claim_account = true;
    f->now_us += 60000000;
    make_ready(f);
    assert_int_equal(hits(&f->box, "PATCH /users/:1"), 1);
    free(create(f, &(struct job){0}));
}

static void test_outbreak_is_switched_away(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    json_t *v = ask(&f->box, "GET", "/api/users", NULL, NULL);
    const char *own = NULL;
    size_t i;
    json_t *u;
    json_array_foreach(v, i, u)
        if (strcmp(json_string_value(json_object_get(u, "email")), "lab@x.example") == 0)
            own = json_string_value(json_object_get(u, "id"));
    char path[128];
    (void)snprintf(path, sizeof path, "/api/users/%s", own);
    tell(&f->box, "PATCH", path, "{\"activeOutbreakId\":\"" O2 "\"}");
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_RETRY_LATER, "WRONG_OUTBREAK");
    run_chores(f);
    expect_mode(f, WRITER_PAUSED, "WRONG_OUTBREAK");
    tell(&f->box, "PATCH", path, "{\"activeOutbreakId\":\"" O1 "\"}");
    f->now_us += 60000000;
    make_ready(f);
    free(create(f, &(struct job){0}));
    json_decref(v);
}

static void test_reply_is_lost(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    tell(&f->box, "POST", "/sandbox/faults", "{\"drop-reply\":1}");
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNKNOWN, "NO_ANSWER");          /* [item 129] */
    tell(&f->box, "POST", "/sandbox/faults", "{\"drop-reply\":0}");
    struct task *t = step(f, STEP_READBACK, &(struct job){0});
    expect(t, VERDICT_DELIVERED, "");
    assert_false(t->is_absent);
    assert_non_null(t->created_id);
    task_free(t);
    assert_int_equal(count_labs(&f->box, "cases", CASE_42), 1);

    tell(&f->box, "POST", "/sandbox/faults", "{\"late\":1}");
    expect_step(f, STEP_CREATE, &(struct job){.person_id = CASE_43}, VERDICT_UNKNOWN, "NO_ANSWER");
    t = step(f, STEP_READBACK, &(struct job){.person_id = CASE_43});
    expect(t, VERDICT_DELIVERED, "");
    assert_true(t->is_absent);
    assert_null(t->created_id);
    task_free(t);
    (void)usleep(1500000);                                                                  /* the server was only slow */
    t = step(f, STEP_READBACK, &(struct job){.person_id = CASE_43});
    assert_false(t->is_absent);
    assert_non_null(t->created_id);
    task_free(t);

    tell(&f->box, "POST", "/sandbox/faults", "{\"late\":0,\"fail-every\":1}");
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNKNOWN, "HTTP_503");
    expect_mode(f, WRITER_READY, NULL);
}

static void test_server_hangs(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    f->o.timeout_us = 1000000;
    tell(&f->box, "POST", "/sandbox/faults", "{\"late\":30,\"late-hold\":true}");
    for (int i = 0; i < 3; i++)
        expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNKNOWN, "NO_ANSWER");
    expect_mode(f, WRITER_PAUSED, "NO_ANSWER");
    f->now_us = status(f).until_us;
    make_ready(f);                                               /* the probe is answered */
}

static void test_doubles(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    char *first = create(f, &(struct job){0});
    free(create(f, &(struct job){0}));
    char *third = create(f, &(struct job){0}), path[256];
    (void)snprintf(path, sizeof path, "/api/outbreaks/" O1 "/cases/" CASE_42 "/lab-results/%s", third);
    tell(&f->box, "PUT", path, "{\"testedFor\":\"edited\"}");
    struct task *t = step(f, STEP_READBACK, &(struct job){.remote_id = first});
    expect(t, VERDICT_DELIVERED, "DUPLICATE_K");
    assert_string_equal(t->created_id, first);
    assert_string_equal(t->detail, "3 results with this key in Go.Data, 1 untouched doubles deleted");
    task_free(t);
    assert_int_equal(count_labs(&f->box, "cases", CASE_42), 2);
    free(first);
    free(third);
}

static void test_readback_of_an_update(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    char *id = create(f, &(struct job){0});
    struct task *t = step(f, STEP_READBACK, &(struct job){.body = corrected, .remote_id = id});      /* after a crash: stands, STEP_UPDATE will see */
    expect(t, VERDICT_DELIVERED, "");
    assert_string_equal(t->created_id, id);
    assert_int_equal(t->requests, 1);
    task_free(t);
    t = step(f, STEP_READBACK, &(struct job){.body = corrected, .last_body = body, .remote_id = id});
    expect(t, VERDICT_DELIVERED, "");
    assert_string_equal(t->created_id, id);
    task_free(t);
    json_t *v = labs_of(&f->box, "cases", CASE_42);
    assert_string_equal(json_string_value(json_object_get(json_array_get(v, 0), "result")), RESULT "NEGATIVE");
    json_decref(v);
    expect_step(f, STEP_READBACK, &(struct job){.body = body}, VERDICT_REJECTED, "EXISTS_DIFFERENT");
    free(id);
}

static void test_person_is_converted(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    struct task *t = step(f, STEP_CREATE, &(struct job){.person_id = CONTACT_1, .person_type = "case"});
    expect(t, VERDICT_REJECTED, "CONTACT_RESULTS_OFF");
    assert_string_equal(t->found_type, "contact");
    task_free(t);
    f->o.contact_results = true;
    t = step(f, STEP_CREATE, &(struct job){.person_id = CONTACT_1, .person_type = "contact"});
    expect(t, VERDICT_DELIVERED, "");
    char *id = xstrdup(t->created_id);
    task_free(t);
    tell(&f->box, "POST", "/api/outbreaks/" O1 "/contacts/" CONTACT_1 "/convert-to-case", "{}");
    t = step(f, STEP_UPDATE, &(struct job){.person_id = CONTACT_1, .person_type = "contact", .body = corrected, .last_body = body, .remote_id = id});
    expect(t, VERDICT_DELIVERED, "");
    assert_string_equal(t->found_type, "case");
    task_free(t);
    expect_step(f, STEP_CREATE, &(struct job){.person_id = "ca000000-0000-4000-8000-000000000099"}, VERDICT_REJECTED, "PERSON_GONE");
    free(id);
}

static void test_reference_data(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    static const char unknown[] = "{\"labName\":\"LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_NOWHERE\",\"result\":\"" RESULT "POSITIVE\"}";
    struct task *t = step(f, STEP_CREATE, &(struct job){.body = unknown});                 /* [item 118] */
    expect(t, VERDICT_REJECTED, "REFDATA_MISSING");
    assert_non_null(strstr(t->detail, "labName LAB_NAME_NOWHERE"));
    assert_int_equal(t->requests, 0);
    task_free(t);
    tell(&f->box, "PATCH", "/api/reference-data/" RESULT "NEGATIVE", "{\"active\":false}");
    f->now_us += 601000000;
    make_ready(f);
    expect_step(f, STEP_FIND, &(struct job){.body = corrected, .who = WHO(ID("visual-id", "CASE-0042"), "")}, VERDICT_REJECTED, "REFDATA_MISSING");
    free(create(f, &(struct job){0}));
}

static void test_server_goes_away(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    int port = f->box.port;
    box_stop(&f->box);
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNREACHABLE, "UNREACHABLE");
    expect_step(f, STEP_CREATE, &(struct job){0}, VERDICT_UNREACHABLE, "UNREACHABLE");
    expect_mode(f, WRITER_PAUSED, "UNREACHABLE");
    assert_int_equal(status(f).until_us, f->now_us + 5000000);
    int64_t waits[] = {10, 20, 40, 80, 160, 300, 300};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {                           /* [item 130] one probe each, further and further apart */
        f->now_us = status(f).until_us;
        run_chores(f);
        assert_int_equal(status(f).until_us - f->now_us, waits[i] * 1000000);
    }
    box_start(&f->box, port, NULL);
    admin_login(&f->box);
    f->now_us = status(f).until_us;
    make_ready(f);                                               /* a new sandbox: the old token is unknown, one login */
    assert_int_equal(hits(&f->box, "POST /users/login"), 2);
    free(create(f, &(struct job){0}));
}

static void test_couriers(void **state)
{
    struct fixture *f = *state;
    struct mailbox *answers = mailbox_new(false);
    make_ready(f);
    struct courier_pool *p = courier_open("godata", 4, answers);
    size_t delivered = 0, back = 0;
    for (int i = 0; i < 40; i++) {
        struct task *t = armed(f, STEP_CREATE, &(struct job){.person_id = i % 2 ? CASE_42 : CASE_43});
        t->mail.kind = 3;
        courier_post(p, t);
    }
    while (back < 40) {
        assert_true(mailbox_wait(answers, 10000000));
        for (struct mail *m = mailbox_take_all(answers), *next; m; m = next) {
            struct task *t = (struct task *)(void *)m;
            next = m->next;
            assert_int_equal(m->kind, 3);
            assert_true(t->ended_us >= t->started_us && t->started_us > 0);
            delivered += t->verdict == VERDICT_DELIVERED && t->created_id;
            back++;
            task_free(t);
        }
    }
    assert_int_equal(delivered, 40);
    assert_int_equal(count_labs(&f->box, "cases", CASE_42) + count_labs(&f->box, "cases", CASE_43), 40);

    /* closing gives back what was not started, unexecuted */
    tell(&f->box, "POST", "/sandbox/faults", "{\"slow\":200}");
    for (int i = 0; i < 20; i++)
        courier_post(p, armed(f, STEP_CREATE, &(struct job){0}));
    courier_close(p);
    tell(&f->box, "POST", "/sandbox/faults", "{\"slow\":0}");
    size_t stopped = 0;
    delivered = back = 0;
    for (struct mail *m = mailbox_take_all(answers), *next; m; m = next) {
        struct task *t = (struct task *)(void *)m;
        next = m->next;
        back++;
        delivered += t->verdict == VERDICT_DELIVERED;
        stopped += t->verdict == VERDICT_RETRY_LATER && strcmp(t->reason, "STOPPING") == 0;
        task_free(t);
    }
    assert_int_equal(back, 20);
    assert_true(stopped >= 12);
    assert_int_equal(stopped + delivered, 20);
    assert_int_equal(count_labs(&f->box, "cases", CASE_42) + count_labs(&f->box, "cases", CASE_43), 40 + delivered);
    mailbox_free(answers);
}

static void test_idle_connection(void **state)
{
    struct fixture *f = *state;
    make_ready(f);
    free(create(f, &(struct job){0}));
    (void)usleep(5500000);                                       /* the server closed it after 5 s */
    free(create(f, &(struct job){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find_by_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_and_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_forbidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token_expires, setup, teardown),
        cmocka_unit_test_setup_teardown(test_route_without_access, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lockout_is_avoided, setup, teardown),
        cmocka_unit_test_setup_teardown(test_login_blocked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_factor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_outbreak, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outbreak_is_switched_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reply_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readback_of_an_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_person_is_converted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reference_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_goes_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_couriers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_connection, setup, teardown),
    };
    if (!getenv("LABRELAY") || access(getenv("LABRELAY"), X_OK) != 0) {
        printf("1..0 # SKIP LABRELAY does not name the program: no sandbox, the writer is NOT tested against it\n");
        return 77;
    }
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
