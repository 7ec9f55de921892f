/*
 * NAME labrelay run - the engine: listeners, store, writers, control socket, until SIGTERM or SIGINT.
 *
 * Threads: main opens everything, becomes the LOOP thread's keeper and waits for signals; LOOP and ENGINE have their own; couriers
 * belong to the engine. SIGHUP: the configuration is read again (labrelay reload). Stop: listeners take nothing new, the engine finishes what waits, then all ends (STANDARDS S28).
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli.h"
#include "clock.h"
#include "control.h"
#include "engine.h"
#include "fhir_parser.h"
#include "log.h"
#include "loop.h"
#include "message.h"
#include "xmem.h"

#define GRACE_US 5000000LL
#define MMAP_BYTES (1 << 20)

struct running {
    struct loop *loop;
    struct engine *engine;
    int engine_rc;
    pthread_t main_thread;
};

static void *loop_thread(void *arg)
{
    struct running *r = arg;
    loop_run(r->loop);
    return NULL;
}

static void *engine_thread(void *arg)
{
    struct running *r = arg;
    r->engine_rc = engine_run(r->engine);
    if (r->engine_rc)
        (void)pthread_kill(r->main_thread, SIGTERM); /* the store failed for good: nobody may be told anything more */
    return NULL;
}

/* As `labrelay reload` asks by the control socket; nobody reads the answer, the log has it. */
static void ask_reload(struct mailbox *engine)
{
    struct control_mail *m = xcalloc(1, sizeof *m);
    m->mail.kind = MAIL_CONTROL;
    m->request = xstrdup("{\"do\":\"reload\",\"by\":\"SIGHUP\"}");
    mailbox_post(engine, &m->mail);
}

static int run(const struct cli *c)
{
    struct running r = {.main_thread = pthread_self()};
    struct store *store = NULL;
    struct control *control = NULL;
    struct err e = ERR_INIT;
    pthread_t lt, et;
    sigset_t set;
    int rc = EXIT_WRONG, sig = 0;
    const char *level = cli_get(c, "log-level");
    enum log_level lv;
    if (level) {
        if (log_level_parse(level, &lv))
            return cli_usage(c, "log-level is error, warning, info or debug");
        log_set_level(lv);
    }
    /* Large blocks (bodies, arenas) go back to the system when freed: glibc would raise this by itself and keep them. */
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    struct config *conf = cli_config(c);
    if (!conf)
        return EXIT_WRONG;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    fhir_parser_init();

    struct mailbox *inbox = mailbox_new(false), *replies = mailbox_new(true), *control_replies = mailbox_new(true);
    struct engine_env env = {.conf = conf, .modules = &all_modules, .inbox = inbox, .replies = replies, .control_replies = control_replies};
    if (store_open(&store, &conf->store, &e))
        goto out;
    env.store = store;
    conf = NULL;        /* the engine's */
    if (engine_open(&r.engine, &env, &e))
        goto out;
    struct loop_env le = {.engine = inbox, .replies = replies, .budget_bytes = env.conf->memory_budget_bytes,
                          .reply_id_seed = (uint64_t)clock_now_us() << 8};
    if (loop_open(&r.loop, env.conf, &le, &e) ||
        control_open(&control, env.conf->control_path, loop_base(r.loop), inbox, control_replies, &e))
        goto out;
    engine_set_loop(r.engine, r.loop);
    if (pthread_create(&et, NULL, engine_thread, &r) != 0 || pthread_create(&lt, NULL, loop_thread, &r) != 0) {
        (void)err_set(&e, ERR_TEMP, "run", "cannot start a thread: %s", strerror(errno));
        goto out;
    }
    while (sigwait(&set, &sig) == 0 && sig == SIGHUP)
        ask_reload(inbox);
    log_event(LOG_INFO, "stopping", log_int("signal", sig));
    loop_stop(r.loop, GRACE_US);
    (void)pthread_join(lt, NULL);
    engine_stop(r.engine);
    (void)pthread_join(et, NULL);
    rc = r.engine_rc ? EXIT_TEMPORARY : EXIT_FINE;
    log_event(LOG_INFO, "stopped", log_int("exit", rc));
out:
    if (e.kind != ERR_NONE)
        rc = cli_fail(&e);
    control_close(control);
    loop_close(r.loop);
    engine_close(r.engine);
    store_close(store);
    for (struct mail *m = mailbox_take_all(replies), *next; m; m = next) {
        next = m->next;
        reply_free((struct reply *)(void *)m);
    }
    mailbox_free(replies);
    mailbox_free(control_replies);
    mailbox_free(inbox);
    config_free(conf);
    curl_global_cleanup();
    return rc;
}

static const struct cli_flag flags[] = {
    CLI_CONFIG_FLAG,
    {"log-level", 0, "LEVEL", "error, warning, info (default) or debug"},
};

const struct verb verb_run = {.name = "run", .synopsis = "[-c FILE] [--log-level LEVEL]", .help = "runs the engine until SIGTERM",
                              .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .max_args = 0, .run = run};
