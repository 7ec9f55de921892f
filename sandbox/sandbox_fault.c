/*
 * NAME
 *   sandbox_fault - faults on demand, counters, the movable clock
 *
 *   "every Nth" counts lab-result POSTs that passed authorisation. fail-every: 503 and nothing is written. drop-reply: written, then
 *   the connection is closed without an answer. late: the connection is closed (or kept silent) and the write happens later.
 *
 * DIAGNOSTICS
 *   none. The control routes are open: the server listens on loopback only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "sandbox_server.h"
#include "xmem.h"

struct late_write {
    struct sandbox_call *call;
    struct event *timer;
};

static bool is_nth(int64_t every, int64_t n) { return every > 0 && n % every == 0; }

enum call_fate fault_decide(struct sandbox_call *c)
{
    struct sandbox_faults *f = &c->s->faults;
    int64_t n = ++f->lab_posts;
    if (is_nth(f->fail_every, n)) {
        call_reply(c, f->fail_status, "text/html; charset=utf-8", SPAN_LIT("<html><body><h1>The server is tired</h1></body></html>\n"));
        return FATE_ANSWER;
    }
    if (f->late_ms > 0 && is_nth(f->late_every, n))
        return FATE_LATE;
    return is_nth(f->drop_reply, n) ? FATE_DROP : FATE_ANSWER;
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct late_write *w = arg;
    (void)fd;
    (void)what;
    w->call->s->late_done++;
    sandbox_call_execute(w->call);
    sandbox_call_free(w->call);
    event_free(w->timer);
    free(w);
}

void fault_schedule_late(struct sandbox_call *c, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    struct late_write *w = xcalloc(1, sizeof *w);
    if (c->s->faults.late_hold)
        sandbox_conn_hang(c->conn);
    else
        sandbox_conn_drop(c->conn);
    c->s->lost++;
    c->conn = NULL;                                     /* the request went with the connection; body and ids are the call's own */
    c->req = NULL;
    w->call = c;
    w->timer = evtimer_new(c->s->base, on_late, w);
    evtimer_add(w->timer, &tv);
}

static void set_count(const json_t *body, const char *key, int64_t scale, int64_t *to)
{
    const json_t *v = json_object_get(body, key);
    if (json_is_number(v) && json_number_value(v) >= 0)
        *to = (int64_t)(json_number_value(v) * (double)scale);
}

/* ---- injections ---- */

bool fault_injects(struct sandbox_call *c)
{
    struct sandbox_injection *j = &c->s->injection;
    if (j->times <= 0 || j->mode == INJECT_LATE || (j->route && j->route != c->route))
        return false;
    if (j->after > 0) {
        j->after--;
        return false;
    }
    j->times--;
    return true;
}

int64_t fault_injects_late(struct sandbox_call *c)
{
    struct sandbox_injection *j = &c->s->injection;
    if (j->times <= 0 || j->mode != INJECT_LATE || (j->route && j->route != c->route))
        return 0;
    j->times--;
    return j->late_ms;
}

/* The shape of GODATA-API section 9; a ValidationError says what is wrong with which field. */
static void spoil_as_godata(struct sandbox_call *c, const struct sandbox_injection *j, const char *more)
{
    json_t *error = json_pack("{sissss}", "statusCode", j->status, "name", j->name[0] ? j->name : "Error", "message", "Injected");
    if (j->code[0])
        json_object_set_new(error, "code", json_string(j->code));
    if (strcmp(j->name, "ValidationError") == 0)
        json_object_set_new(error, "details", json_pack("{s{s[s]}}", "codes", "dateSampleTaken", "date"));
    json_t *whole = json_pack("{so}", "error", error);
    char *text = json_dumps(whole, JSON_COMPACT);
    sandbox_conn_reply(c->conn, j->status, "application/json; charset=utf-8", more, span_of(text));
    free(text);
    json_decref(whole);
}

static void copy_word(const json_t *from, const char *key, char to[64])
{
    const char *s = sandbox_json_get(from, key);
    (void)snprintf(to, 64, "%s", s ? s : "");
}

void fault_spoil(struct sandbox_call *c, struct span body)
{
    const struct sandbox_injection *j = &c->s->injection;
    char more[64] = "";
    switch (j->mode) {
    case INJECT_STATUS:
        if (j->retry_after_s > 0)
            (void)snprintf(more, sizeof more, "Retry-After: %d\r\n", j->retry_after_s);
        if (j->code[0] || j->name[0]) {
            spoil_as_godata(c, j, more);
            return;
        }
        sandbox_conn_reply(c->conn, j->status, "text/html; charset=utf-8", more, SPAN_LIT("<html><body><h1>Injected</h1></body></html>\n"));
        return;
    case INJECT_GARBAGE:
        sandbox_conn_reply(c->conn, 200, "application/json; charset=utf-8", "", SPAN_LIT("{\"id\": <garbage>"));
        return;
    case INJECT_HALF:
        sandbox_conn_half(c->conn, span_has(body) ? span_cut(body, 0, body.n / 2) : SPAN_LIT("{\"id\":"));
        return;
    case INJECT_HANG:
        sandbox_conn_hang(c->conn);
        return;
    case INJECT_CLOSE:
    case INJECT_LATE:
        sandbox_conn_drop(c->conn);
        return;
    }
}

/* {"route": "POST /outbreaks/:o/cases" or absent, "times": 1, "after": 0, "mode": "status", "status": 500, "code": "…", "name": "…", "retry-after": 1, "executes": false} */
void on_inject(struct sandbox_call *c)
{
    static const char *const modes[] = {"status", "half", "garbage", "hang", "close", "late"};
    const char *route = sandbox_json_get(c->body, "route"), *mode = sandbox_json_get(c->body, "mode");
    const json_t *times = json_object_get(c->body, "times"), *status = json_object_get(c->body, "status");
    struct sandbox_injection j = {.times = 1, .status = 500};
    size_t m = 0;
    while (mode && m < 6 && strcmp(mode, modes[m]) != 0)
        m++;
    j.route = route ? sandbox_route_find(route) : NULL;
    if (m == 6 || (route && !j.route)) {
        call_fail(c, 400, NULL, NULL, NULL, "no such %s", m == 6 ? "mode" : "route");
        return;
    }
    j.mode = (enum inject_mode)m;
    if (json_is_integer(times))
        j.times = json_integer_value(times);
    if (json_is_integer(status))
        j.status = (int)json_integer_value(status);
    j.late_ms = 1000;
    if (json_is_integer(json_object_get(c->body, "ms")))
        j.late_ms = json_integer_value(json_object_get(c->body, "ms"));
    j.executes = json_is_true(json_object_get(c->body, "executes"));
    set_count(c->body, "after", 1, &j.after);
    copy_word(c->body, "code", j.code);
    copy_word(c->body, "name", j.name);
    j.retry_after_s = (int)json_integer_value(json_object_get(c->body, "retry-after"));
    c->s->injection = j;
    call_reply_new(c, json_pack("{sIsssisb}", "times", (json_int_t)j.times, "mode", modes[m], "status", j.status, "executes", j.executes));
}

/* ---- control ---- */

void on_faults(struct sandbox_call *c)
{
    struct sandbox_faults *f = &c->s->faults;
    if (span_is(c->req->method, "POST")) {
        struct sandbox_faults before = *f;
        set_count(c->body, "failEvery", 1, &f->fail_every);
        set_count(c->body, "fail-every", 1, &f->fail_every);
        set_count(c->body, "slow", 1, &f->slow_ms);
        set_count(c->body, "dropReply", 1, &f->drop_reply);
        set_count(c->body, "drop-reply", 1, &f->drop_reply);
        set_count(c->body, "late", 1000, &f->late_ms);
        set_count(c->body, "lateEvery", 1, &f->late_every);
        set_count(c->body, "late-every", 1, &f->late_every);
        if (f->late_ms > 0 && f->late_every == 0)
            f->late_every = 1;
        json_t *hold = json_object_get(c->body, "late-hold"), *two_factor = json_object_get(c->body, "two-factor");
        int64_t status = f->fail_status;
        set_count(c->body, "fail-status", 1, &status);
        f->fail_status = (int)status;
        if (hold)
            f->late_hold = json_is_true(hold);
        if (two_factor)
            f->two_factor = json_is_true(two_factor);
        /* a new rhythm starts to count anew */
        if (before.fail_every != f->fail_every || before.drop_reply != f->drop_reply || before.late_every != f->late_every)
            f->lab_posts = 0;
    }
    call_reply_new(c, json_pack("{sIsisIsIsfsIsbsb}", "fail-every", (json_int_t)f->fail_every, "fail-status", f->fail_status, "slow",
        (json_int_t)f->slow_ms, "drop-reply", (json_int_t)f->drop_reply, "late", (double)f->late_ms / 1000.0, "late-every", (json_int_t)f->late_every,
        "late-hold", f->late_hold, "two-factor", f->two_factor));
}

void on_stats(struct sandbox_call *c)
{
    const struct sandbox *s = c->s;
    json_t *hits = json_object();
    for (size_t i = 0; i < sandbox_route_count(); i++)
        if (s->route_hits[i] > 0) {
            json_t *name = json_sprintf("%s %s", sandbox_route_method(i), sandbox_route_name(i));
            json_object_set_new(hits, json_string_value(name), json_integer((json_int_t)s->route_hits[i]));
            json_decref(name);
        }
    call_reply_new(c, json_pack("{sIsIsIsIsIsIsIso}", "requests", (json_int_t)s->requests, "logins", (json_int_t)s->logins, "lab_posts",
        (json_int_t)s->lab_posts_done, "late_done", (json_int_t)s->late_done, "lost", (json_int_t)s->lost, "concurrent", (json_int_t)s->concurrent,
        "concurrent_max", (json_int_t)s->concurrent_max, "routes", hits));
}

void on_stats_reset(struct sandbox_call *c)
{
    struct sandbox *s = c->s;
    memset(s->route_hits, 0, sandbox_route_count() * sizeof *s->route_hits);
    s->requests = s->logins = s->lab_posts_done = s->late_done = s->lost = 0;
    s->concurrent_max = s->concurrent;
    call_reply_json(c, 204, NULL);
}

void on_clock(struct sandbox_call *c)
{
    int64_t ms = 0;
    set_count(c->body, "advance", 1000, &ms);
    c->s->clock_shift_ms += ms;
    ms = json_integer_value(json_object_get(c->body, "stamps")) * 1000;     /* may be negative: a clock that was set back */
    sandbox_shift_stamps(ms);
    c->s->clock_shift_ms -= ms;                                            /* tokens and lock-outs do not notice */
    call_reply_new(c, json_pack("{sI}", "shifted", (json_int_t)(c->s->clock_shift_ms / 1000)));
}
