/*
 * NAME labrelay init - writes a small commented configuration that passes check, from flags or, on a terminal, from questions.
 * Never overwrites: neither the configuration nor a password that is there. What it wrote is checked as `check` would; if that finds an
 * error (a time zone that does not exist …), it is shown and the file is taken away again.
 * The password goes to credentials/godata-password beside the file, mode 0600; it is never an argument of the command line.
 * EXIT 0 written, 1 something is wrong, 2 an answer is missing.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "fsutil.h"
#include "xmem.h"

enum answer { A_NODE, A_TIMEZONE, A_URL, A_LOGIN, A_OUTBREAK, A_CHANNEL, A_LISTEN, A_ALLOW, A_TABLES, A_STORE, ANSWERS };

static const struct { const char *flag, *question, *def; } questions[ANSWERS] = {
    [A_NODE] = {"node", "Name of this gateway", "labrelay"},
    [A_TIMEZONE] = {"timezone", "Time zone of the laboratory (like Africa/Kampala)", NULL},
    [A_URL] = {"url", "Go.Data API (like https://godata.moh.example/api)", NULL},
    [A_LOGIN] = {"login", "E-mail of the Go.Data account that is only for this gateway", NULL},
    [A_OUTBREAK] = {"outbreak", "Name of the outbreak, as Go.Data writes it", NULL},
    [A_CHANNEL] = {"channel", "Name of the laboratory or analyzer", "lab"},
    [A_LISTEN] = {"listen", "Address and port for its HL7 v2 messages", "127.0.0.1:2575"},
    [A_ALLOW] = {"allow", "Networks that may connect (like 10.20.0.0/16)", NULL},
    [A_TABLES] = {"tables", "Folder of the tables tests.csv, results.csv …", NULL},
    [A_STORE] = {"store", NULL, NULL},
};

struct draft {
    const struct cli *c;
    const char *path;
    char *answers[ANSWERS];
    bool is_asking;
};

/* One line of the terminal without its end; NULL at the end of input. */
static char *read_line(void)
{
    char line[1024];
    if (!fgets(line, sizeof line, stdin))
        return NULL;
    struct span s = span_trim(span_of(line));
    return xstrndup(s.p, s.n);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

/* What is taken when nothing is said; heap or NULL. */
static char *default_of(const struct draft *x, enum answer a)
{
    char zone[PATH_MAX];
    if (a == A_TIMEZONE && x->is_asking) {
        ssize_t n = readlink("/etc/localtime", zone, sizeof zone - 1);
        zone[n > 0 ? n : 0] = '\0';
        const char *name = strstr(zone, "/zoneinfo/");
        return name ? xstrdup(name + strlen("/zoneinfo/")) : NULL;
    }
    if (a == A_TABLES) {
        char *dir = fs_path_beside(LABRELAY_DEFAULT_CONF, "tables"), *beside = fs_path_beside(x->path, "tables/tests.csv");
        bool is_beside = access(beside, R_OK) == 0;
        free(beside);
        if (is_beside || access(dir, R_OK) != 0) {
            free(dir);
            return is_beside ? xstrdup("tables") : NULL;
        }
        return dir;
    }
    if (a == A_STORE)
        return xstrdup(strcmp(x->path, LABRELAY_DEFAULT_CONF) == 0 ? "/var/lib/labrelay/store.db" : "store.db");
    return questions[a].def ? xstrdup(questions[a].def) : NULL;
}

static int take_answer(struct draft *x, enum answer a)
{
    const char *given = cli_get(x->c, questions[a].flag);
    char text[120];
    bool is_needed = a != A_ALLOW || !is_loopback(x->answers[A_LISTEN]);
    if (given) {
        x->answers[a] = xstrdup(given);
        return EXIT_FINE;
    }
    char *def = default_of(x, a);
    if (x->is_asking && questions[a].question && is_needed && !(a == A_TABLES && def)) {
        printf("%s%s%s%s: ", questions[a].question, def ? " [" : "", def ? def : "", def ? "]" : "");
        fflush(stdout);
        char *said = read_line();
        if (said && said[0]) {
            free(def);
            def = said;
        } else {
            free(said);
        }
    }
    x->answers[a] = def;
    if (def || !is_needed)
        return EXIT_FINE;
    (void)snprintf(text, sizeof text, "what is missing: --%s", questions[a].flag);
    return cli_usage(x->c, text);
}

/* ---- the password ---- */

static char *ask_password(void)
{
    struct termios old, quiet;
    bool is_tty = tcgetattr(STDIN_FILENO, &old) == 0;
    if (is_tty) {                       /* before the question: what is typed right behind it is neither shown nor thrown away */
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    fputs("Password of that account (it is not shown): ", stdout);
    fflush(stdout);
    char *said = read_line();
    if (is_tty) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        putchar('\n');
    }
    return said;
}

static int keep_password(struct draft *x)
{
    struct err e = ERR_INIT;
    int rc = EXIT_FINE;
    char *path = fs_path_beside(x->path, "credentials/godata-password"), *dir = fs_path_beside(x->path, "credentials");
    if (access(path, F_OK) == 0)
        goto out;                       /* from before: kept */
    char *word = cli_has(x->c, "password-stdin") ? read_line() : x->is_asking ? ask_password() : NULL;
    if (!word || !word[0]) {
        rc = cli_usage(x->c, "the password is missing: --password-stdin reads it from standard input");
    } else if (fs_mkdirs(dir, &e) || fs_write_durably(path, span_of(word), &e)) {
        rc = cli_fail(&e);
    }
    if (word)
        explicit_bzero(word, strlen(word));
    free(word);
out:
    free(path);
    free(dir);
    return rc;
}

/* ---- the file ---- */

/* A string of the configuration. */
static void add_string(struct buf *b, const char *text)
{
    buf_addc(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *text);
    }
    buf_addc(b, '"');
}

static void add_table(const struct draft *x, const char *name, const char *columns, struct buf *b)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s.csv", x->answers[A_TABLES], name);
    buf_addf(b, "table %-13s csv ", name);
    add_string(b, path);
    buf_addf(b, "  key %s\n", columns);
}

static void compose(const struct draft *x, struct buf *b)
{
    char *const *a = x->answers;
    buf_adds(b, "# labrelay.conf - made by labrelay init. Grammar and all options: labrelay.conf(5). Rules: labrelay-rules(7).\n"
                "# After a change: labrelay check, labrelay test. Relative paths start at the folder of this file.\n\nnode   ");
    add_string(b, a[A_NODE]);
    buf_adds(b, "        # our name in acknowledgements and logs\nstore  ");
    add_string(b, a[A_STORE]);
    buf_adds(b, "\n\n# ---- tables: what codes mean; edited by the epidemiologist ----\n");
    add_table(x, "tests", "system code  value test_type tested_for", b);
    add_table(x, "results", "system code  value outcome", b);
    add_table(x, "results_text", "text  value outcome", b);
    add_table(x, "specimens", "system code  value sample_type", b);
    buf_adds(b, "\n# ---- what comes in ----\nlisten mllp ");
    add_string(b, a[A_CHANNEL]);
    buf_addf(b, " {\n    address  %s\n", a[A_LISTEN]);
    if (a[A_ALLOW])
        buf_addf(b, "    allow    %s\n", a[A_ALLOW]);
    buf_adds(b, "    parse    hl7v2 { timezone ");
    add_string(b, a[A_TIMEZONE]);
    buf_adds(b, " }\n}\n\n# ---- what goes out ----\nwrite godata \"godata\" {\n    url       ");
    add_string(b, a[A_URL]);
    buf_adds(b, "\n    login     ");
    add_string(b, a[A_LOGIN]);
    buf_adds(b, "\n    password  credential \"godata-password\"      # credentials/godata-password beside this file, mode 0600\n    outbreak  ");
    add_string(b, a[A_OUTBREAK]);
    buf_adds(b, "\n    # what the laboratory's patient numbers are, by assigning authority and type (PID-3.4 and PID-3.5):\n"
                "    # id      \"GODATA\" \"PI\" is visual-id\n"
                "    match     by visual-id, then document NATIONAL_ID_CARD, then sample-id\n    no-match  park\n}\n\n"
                "# ---- what goes where: the first route that fits takes it, the last one takes the rest ----\nroute \"results\" {\n    from     ");
    add_string(b, a[A_CHANNEL]);
    buf_adds(b, "\n    when     observation.code in tests\n    require  specimen.id\n    send     lab to \"godata\"\n}\n"
                "route \"everything-else\" { hold \"no route\" }\n\n"
                "# ---- tests: what has to become of a message of yours; run by labrelay test ----\n"
                "# test \"a positive one\" { message \"positive.hl7\"  expect lab.result \"POSITIVE\" }\n");
}

/* Writes it and reads it back as check would; what is wrong is taken away again. */
static int write_checked(const struct draft *x, const struct buf *b)
{
    struct err e = ERR_INIT;
    struct buf said;
    int rc = EXIT_FINE;
    if (fs_write_durably(x->path, buf_span(b), &e) || chmod(x->path, 0644) != 0)
        return e.kind == ERR_NONE ? EXIT_WRONG : cli_fail(&e);
    struct diag *d = diag_new();
    struct config *conf = config_load(x->path, &all_modules, d);
    buf_init(&said, (size_t)4 << 20);
    diag_format(d, &said);
    fwrite(said.n ? said.p : "", 1, said.n, conf ? stdout : stderr);
    if (conf) {
        printf("%s is written and fine. Next:\n  labrelay run -c %s\n", x->path, x->path);
    } else {
        (void)unlink(x->path);
        fputs("labrelay: nothing was written\n", stderr);
        rc = EXIT_WRONG;
    }
    buf_clear(&said);
    config_free(conf);
    diag_free(d);
    return rc;
}

static int init(const struct cli *c)
{
    struct draft x = {.c = c, .path = c->n_args ? c->args[0] : "labrelay.conf"};
    struct buf b;
    int rc = EXIT_FINE;
    x.is_asking = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (access(x.path, F_OK) == 0) {
        fprintf(stderr, "labrelay: %s exists already; nothing was written\n", x.path);
        return EXIT_WRONG;
    }
    buf_init(&b, (size_t)1 << 20);
    for (int a = 0; a < ANSWERS && rc == EXIT_FINE; a++)
        rc = take_answer(&x, (enum answer)a);
    if (rc == EXIT_FINE)
        rc = keep_password(&x);
    if (rc == EXIT_FINE) {
        compose(&x, &b);
        rc = write_checked(&x, &b);
    }
    for (size_t i = 0; i < ANSWERS; i++)
        free(x.answers[i]);
    buf_clear(&b);
    return rc;
}

static const struct cli_flag flags[] = {
    {"node", 0, "NAME", "name of this gateway; default labrelay"},
    {"timezone", 0, "ZONE", "time zone of the laboratory: Africa/Kampala"},
    {"url", 0, "URL", "Go.Data API: https://godata.moh.example/api"},
    {"login", 0, "E-MAIL", "Go.Data account that is only for this gateway"},
    {"password-stdin", 0, NULL, "read its password from standard input"},
    {"outbreak", 0, "NAME", "name of the outbreak, as Go.Data writes it"},
    {"channel", 0, "NAME", "name of the laboratory or analyzer; default lab"},
    {"listen", 0, "IP:PORT", "for its HL7 v2 messages; default 127.0.0.1:2575"},
    {"allow", 0, "NETWORK", "who may connect; needed unless the address is loopback"},
    {"tables", 0, "FOLDER", "of the tables; default the installed ones"},
    {"store", 0, "PATH", "of the store; default store.db beside the file"},
};

const struct verb verb_init = {.name = "init", .synopsis = "[flags] [FILE]", .help = "writes a first configuration; asks on a terminal for what no flag says",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 1, .run = init};
