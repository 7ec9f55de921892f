/*
 * NAME alarm_post - the thread that tells people of alarms.
 *
 * Every notice goes to every target, in order, one at a time. A target that fails is tried again after 10 s, 60 s and 5 min, then given up
 * for this notice; others do not wait for it. At most PENDING_MAX notices wait: past that the oldest is given back untold.
 * A program gets the notice as JSON on its input, nothing on its command line but the words of the configuration, a small environment, no
 * descriptor of ours; it is stopped with its children when it runs longer than command-limit.
 * DIAGNOSTICS warning "alarm not told" with the target's kind and number and a word: exit status, limit, libcurl's text, HTTP status.
 */
#define _GNU_SOURCE 1                   /* posix_spawn_file_actions_addclosefrom_np */
#include "alarm_post.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "http.h"
#include "log.h"
#include "mailbox.h"
#include "xmem.h"

#define PENDING_MAX 200
#define TRIES_MAX 4
#define MAIL_US 30000000LL
#define WEBHOOK_US 5000000LL            /* cannot be cut short by a stop */
#define NOTICE_MAX_BYTES ((size_t)8 << 10)
#define LOOK_NS 20000000L               /* how often a running program is looked at */

static const int64_t again_us[TRIES_MAX - 1] = {10000000, 60000000, 300000000};

struct target {
    const struct alarm_target *conf;
    _Atomic int64_t told, failed, waiting;
    _Atomic int last;                   /* enum trouble of the last try */
};

struct pending {
    struct notice *n;
    struct { int tries; int64_t due_us; bool is_over, is_told; } at[ALARM_TARGETS_MAX];
    struct pending *next;
};

struct alarm_post {
    struct alarm_conf own;
    const struct alarm_conf *conf;      /* own */
    char *node;
    struct mailbox *in, *answers;
    struct target targets[ALARM_TARGETS_MAX];
    struct pending *first;
    size_t n_pending;
    pthread_t thread;
    atomic_bool is_closing, has_ended;
};

enum trouble { TROUBLE_NONE, TROUBLE_NO_PROGRAM, TROUBLE_EXIT, TROUBLE_LIMIT, TROUBLE_UNREACHABLE, TROUBLE_REFUSED };
static const char *const trouble_names[] = {"", "NO_PROGRAM", "EXIT", "LIMIT", "UNREACHABLE", "REFUSED"};
static const char *const way_names[] = {[ALARM_COMMAND] = "command", [ALARM_MAIL] = "mail", [ALARM_WEBHOOK] = "webhook"};
static const char *const what_names[] = {[NOTICE_RAISED] = "raised", [NOTICE_REMINDER] = "reminder", [NOTICE_EVENT] = "event", [NOTICE_CLEARED] = "cleared"};

const char *notice_what_name(enum notice_what w)
{
    return what_names[w];
}

/* ---- what is said ---- */

static void add_time(struct buf *b, const char *key, int64_t us)
{
    char t[40];
    if (!us)
        return;
    clock_format_iso(us, t, sizeof t);
    buf_json_kv(b, key, t);
}

void notice_json(const struct notice *n, const char *node, struct buf *b)
{
    buf_addc(b, '{');
    buf_json_kv(b, "alarm", n->kind);
    buf_json_kv(b, "state", what_names[n->what]);
    buf_json_kv(b, "subject", n->subject);
    buf_json_kv(b, "node", node);
    add_time(b, "since", n->raised_us);
    add_time(b, "until", n->cleared_us);
    buf_json_kint(b, "n", n->n);
    buf_json_kv(b, "text", n->detail);
    buf_adds(b, "}\n");
}

static const char *heading(enum notice_what w)
{
    switch (w) {
    case NOTICE_RAISED: return "ALARM";
    case NOTICE_REMINDER: return "STILL ALARM";
    case NOTICE_EVENT: return "NOTE";
    case NOTICE_CLEARED: return "all-clear";
    }
    return "";
}

void notice_text(const struct notice *n, const char *node, struct buf *b)
{
    char t[40];
    buf_addf(b, "%s: %s %s on %s\r\n%s\r\n", heading(n->what), n->kind, n->subject, node, n->detail);
    clock_format_iso(n->raised_us, t, sizeof t);
    buf_addf(b, "since %s\r\n", t);
    if (n->what == NOTICE_CLEARED) {
        clock_format_iso(n->cleared_us, t, sizeof t);
        buf_addf(b, "until %s\r\n", t);
    }
    buf_adds(b, "\r\nlabrelay status tells more; so does labrelay-ops(7).\r\n");
}

/* ---- commands ---- */

static bool wait_for(struct alarm_post *p, pid_t pid, int64_t limit_us, int *status)
{
    const struct timespec nap = {.tv_nsec = LOOK_NS};
    int64_t end = clock_mono_us() + limit_us;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if ((got < 0 && errno != EINTR) || clock_mono_us() >= end || atomic_load(&p->is_closing))
            break;
        (void)nanosleep(&nap, NULL);
    }
    (void)kill(-pid, SIGKILL);
    (void)waitpid(pid, status, 0);
    return false;
}

static int spawn(const struct alarm_target *t, const struct notice *n, int in, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char kind[64];
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
    char *env[] = {path, lang, kind, NULL};
    char **argv = xcalloc(t->words.n + 1, sizeof *argv);
    for (size_t i = 0; i < t->words.n; i++)
        argv[i] = t->words.v[i];
    (void)snprintf(kind, sizeof kind, "LABRELAY_ALARM=%s", n->kind);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    (void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(&attr, 0);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    int rc = posix_spawn(pid, argv[0], &files, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    free(argv);
    return rc;
}

static enum trouble run_command(struct alarm_post *p, const struct alarm_target *t, const struct notice *n)
{
    struct buf text;
    int fds[2], status = 0;
    pid_t pid = 0;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return TROUBLE_NO_PROGRAM;
    int rc = spawn(t, n, fds[0], &pid);
    (void)close(fds[0]);
    if (rc == 0) {
        buf_init(&text, NOTICE_MAX_BYTES);      /* less than a pipe holds: never waits for the reader; SIGPIPE is ignored */
        notice_json(n, p->node, &text);
        ssize_t w = write(fds[1], text.p, text.n);
        (void)w;                                /* a program that does not read is none the worse */
        buf_clear(&text);
    }
    (void)close(fds[1]);
    if (rc)
        return TROUBLE_NO_PROGRAM;
    if (!wait_for(p, pid, p->conf->command_limit_us, &status))
        return TROUBLE_LIMIT;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? TROUBLE_NONE : TROUBLE_EXIT;
}

/* ---- mail ---- */

struct upload { struct buf text; size_t at; };

static size_t on_read(char *out, size_t size, size_t n, void *ctx)
{
    struct upload *u = ctx;
    size_t k = u->text.n - u->at < size * n ? u->text.n - u->at : size * n;
    memcpy(out, u->text.p + u->at, k);
    u->at += k;
    return k;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load(&((struct alarm_post *)ctx)->is_closing);
}

/* Header text: one line of ASCII. */
static void add_plain(struct buf *b, const char *s)
{
    for (; *s; s++)
        buf_addc(b, *s >= ' ' && *s <= '~' ? *s : '?');
}

static void mail_text(const struct alarm_post *p, const struct alarm_target *t, const struct notice *n, struct buf *b)
{
    char date[64];
    time_t now = (time_t)(clock_now_us() / 1000000);
    struct tm tm;
    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    buf_addf(b, "Date: %s\r\nFrom: labrelay <%s>\r\nTo: ", date, t->from);
    for (size_t i = 0; i < t->words.n; i++)
        buf_addf(b, "%s<%s>", i ? ",\r\n " : "", t->words.v[i]);
    buf_addf(b, "\r\nMessage-ID: <%lld.%s.%s>\r\nSubject: [labrelay ", (long long)clock_now_us(), what_names[n->what], t->from);
    add_plain(b, p->node);
    buf_addf(b, "] %s: %s ", heading(n->what), n->kind);
    add_plain(b, n->subject);
    buf_adds(b, "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    notice_text(n, p->node, b);
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static enum trouble send_mail(struct alarm_post *p, const struct alarm_target *t, const struct notice *n)
{
    struct upload up = {.at = 0};
    struct curl_slist *to = NULL;
    CURL *c = curl_easy_init();
    if (!c)
        return TROUBLE_UNREACHABLE;
    buf_init(&up.text, (size_t)64 << 10);
    mail_text(p, t, n, &up.text);
    for (size_t i = 0; i < t->words.n; i++)
        to = curl_slist_append(to, t->words.v[i]);
    (void)curl_easy_setopt(c, CURLOPT_URL, t->url);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(MAIL_US / 1000));
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* A password never leaves in the clear; without one STARTTLS is taken where it is offered. */
    (void)curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(t->login && !is_loopback(t->url) ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    (void)curl_easy_setopt(c, CURLOPT_MAIL_FROM, t->from);
    (void)curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
    (void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(c, CURLOPT_READDATA, &up);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, p);
    if (t->login) {
        (void)curl_easy_setopt(c, CURLOPT_USERNAME, t->login);
        (void)curl_easy_setopt(c, CURLOPT_PASSWORD, t->secret);
    }
    CURLcode rc = curl_easy_perform(c);
    curl_easy_cleanup(c);
    curl_slist_free_all(to);
    buf_clear(&up.text);
    if (rc == CURLE_OK)
        return TROUBLE_NONE;
    return rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_OPERATION_TIMEDOUT ? TROUBLE_UNREACHABLE : TROUBLE_REFUSED;
}

/* ---- webhook ---- */

static enum trouble post_webhook(struct alarm_post *p, struct http_client *http, const struct alarm_target *t, const struct notice *n)
{
    struct http_answer a;
    struct buf text, bearer;
    enum trouble bad = TROUBLE_UNREACHABLE;
    buf_init(&text, NOTICE_MAX_BYTES);
    buf_init(&bearer, NOTICE_MAX_BYTES);
    notice_json(n, p->node, &text);
    if (t->secret)
        buf_addf(&bearer, "Bearer %s", t->secret);
    struct http_request q = {.method = "POST", .url = t->url, .body = buf_span(&text), .content_type = "application/json", .authorization = bearer.p,
                             .timeout_us = WEBHOOK_US, .max_body = 65536};
    http_perform(http, &q, &a);
    if (a.phase == HTTP_ANSWERED)
        bad = a.status >= 200 && a.status < 300 ? TROUBLE_NONE : TROUBLE_REFUSED;
    http_answer_clear(&a);
    buf_clear(&text);
    buf_clear(&bearer);
    return bad;
}

/* ---- the thread ---- */

static void try_target(struct alarm_post *p, struct http_client *http, struct pending *x, size_t i)
{
    struct target *t = &p->targets[i];
    enum trouble bad = TROUBLE_NONE;
    switch (t->conf->way) {
    case ALARM_COMMAND:
        bad = run_command(p, t->conf, x->n);
        break;
    case ALARM_MAIL:
        bad = send_mail(p, t->conf, x->n);
        break;
    case ALARM_WEBHOOK:
        bad = post_webhook(p, http, t->conf, x->n);
        break;
    }
    atomic_store(&t->last, bad);
    x->at[i].tries++;
    if (bad == TROUBLE_NONE) {
        x->at[i].is_over = x->at[i].is_told = true;
        (void)atomic_fetch_add(&t->told, 1);
        (void)atomic_fetch_sub(&t->waiting, 1);
        return;
    }
    log_event(LOG_WARNING, "alarm not told", log_word("alarm", x->n->kind), log_word("subject", x->n->subject), log_word("way", way_names[t->conf->way]),
              log_int("target", (int64_t)i + 1), log_word("reason", trouble_names[bad]), log_int("tries", x->at[i].tries));
    x->at[i].is_over = x->at[i].tries >= TRIES_MAX;
    if (x->at[i].is_over) {
        (void)atomic_fetch_add(&t->failed, 1);
        (void)atomic_fetch_sub(&t->waiting, 1);
    } else {
        x->at[i].due_us = clock_mono_us() + again_us[x->at[i].tries - 1];
    }
}

/* Back to the engine, told or not. */
static void finish(struct alarm_post *p, struct pending **at)
{
    struct pending *x = *at;
    x->n->is_told = true;
    for (size_t i = 0; i < p->conf->targets.n; i++) {
        x->n->is_told = x->n->is_told && x->at[i].is_told;
        if (!x->at[i].is_over)
            (void)atomic_fetch_sub(&p->targets[i].waiting, 1);
    }
    *at = x->next;
    p->n_pending--;
    x->n->mail.next = NULL;
    mailbox_post(p->answers, &x->n->mail);
    free(x);
}

static void take(struct alarm_post *p)
{
    struct pending **last = &p->first;
    while (*last)
        last = &(*last)->next;
    for (struct mail *m = mailbox_take_all(p->in), *next; m; m = next) {
        next = m->next;
        struct pending *x = xcalloc(1, sizeof *x);
        x->n = (struct notice *)(void *)m;
        *last = x;
        last = &x->next;
        p->n_pending++;
        for (size_t i = 0; i < p->conf->targets.n; i++)
            (void)atomic_fetch_add(&p->targets[i].waiting, 1);
    }
    while (p->n_pending > PENDING_MAX)
        finish(p, &p->first);
}

/* One round over all that waits; the time until the next try is due, -1: nothing waits. */
static int64_t work(struct alarm_post *p, struct http_client *http)
{
    int64_t next = -1;
    bool is_blocked[ALARM_TARGETS_MAX] = {false};      /* an older notice waits for this target: the order stays */
    for (struct pending **at = &p->first; *at;) {
        struct pending *x = *at;
        bool is_over = true;
        for (size_t i = 0; i < p->conf->targets.n && !atomic_load(&p->is_closing); i++) {
            if (!x->at[i].is_over && !is_blocked[i] && x->at[i].due_us <= clock_mono_us())
                try_target(p, http, x, i);
            if (x->at[i].is_over)
                continue;
            is_over = false;
            is_blocked[i] = true;
            int64_t wait = x->at[i].due_us - clock_mono_us();
            if (x->at[i].due_us && (next < 0 || wait < next))
                next = wait > 0 ? wait : 0;
        }
        if (is_over && !atomic_load(&p->is_closing))
            finish(p, at);
        else
            at = &x->next;
        if (atomic_load(&p->is_closing))
            break;
    }
    return next;
}

static void *run(void *arg)
{
    struct alarm_post *p = arg;
    struct http_client *http = http_client_new();
    int64_t wait = -1;
    while (!atomic_load(&p->is_closing)) {
        (void)mailbox_wait(p->in, wait);
        take(p);
        wait = work(p, http);
    }
    take(p);
    while (p->first) {
        p->first->n->is_cut = true;
        finish(p, &p->first);
    }
    http_client_free(http);
    atomic_store(&p->has_ended, true);
    return NULL;
}

struct alarm_post *alarm_post_open(const struct alarm_conf *conf, const char *node, struct mailbox *answers)
{
    struct alarm_post *p = xcalloc(1, sizeof *p);
    alarm_conf_copy(&p->own, conf);
    p->conf = &p->own;
    p->node = xstrdup(node);
    p->answers = answers;
    p->in = mailbox_new(false);
    for (size_t i = 0; i < conf->targets.n; i++)
        p->targets[i].conf = &p->own.targets.v[i];
    if (pthread_create(&p->thread, NULL, run, p) != 0)
        abort();
    (void)pthread_setname_np(p->thread, "alarm");
    return p;
}

void alarm_post_send(struct alarm_post *p, struct notice *n)
{
    n->mail.kind = MAIL_ALARM;
    mailbox_post(p->in, &n->mail);
}

void alarm_post_end(struct alarm_post *p)
{
    atomic_store(&p->is_closing, true);
    mailbox_wake(p->in);
}

bool alarm_post_has_ended(const struct alarm_post *p)
{
    return atomic_load(&p->has_ended);
}

bool alarm_post_says(const struct alarm_post *p, const struct alarm_conf *conf, const char *node)
{
    return alarm_conf_same(p->conf, conf) && strcmp(p->node, node) == 0;
}

void alarm_post_close(struct alarm_post *p)
{
    if (!p)
        return;
    alarm_post_end(p);
    (void)pthread_join(p->thread, NULL);
    mailbox_free(p->in);
    alarm_conf_clear(&p->own);
    free(p->node);
    free(p);
}

void alarm_post_status(const struct alarm_post *p, struct buf *b)
{
    buf_json_key(b, "alarm_targets");
    buf_addc(b, '[');
    for (size_t i = 0; i < p->conf->targets.n; i++) {
        const struct target *t = &p->targets[i];
        buf_json_sep(b);
        buf_addc(b, '{');
        buf_json_kv(b, "way", way_names[t->conf->way]);
        buf_json_kint(b, "told", atomic_load(&t->told));
        buf_json_kint(b, "failed", atomic_load(&t->failed));
        buf_json_kint(b, "waiting", atomic_load(&t->waiting));
        buf_json_kv(b, "error", trouble_names[atomic_load(&t->last)]);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}
