/*
 * NAME mllp_load - sends generated ORU^R01 over N MLLP connections and waits for the AA of each.
 *
 * Every message has about 2 KB and 10 OBX, a control id and a specimen id of its own; the person goes round through --patients case ids.
 * One thread and epoll, messages patched into templates, one write and mostly one read a message, so that the engine is the limit.
 * usage: mllp_load [--address IP:PORT] [--connections N] [--messages N | --seconds S] [--window N] [--patients N] [--case-prefix TEXT]
 *                  [--seed N] [--timeout S] [--print] [--json]
 *   --window N       messages under way on one connection (1: wait for each answer, as analyzers do)
 *   --seed N         same seed, same messages (duplicates); default: the clock
 *   --print          writes one message to stdout and ends
 * Exit 0: all AA; 1: other answers, lost connections or none in time; 2: usage.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "mllp_frame.h"
#include "xmem.h"

#define N_OBX 10
#define ID_DIGITS 9
#define N_BUCKETS (64 * 64)

static const struct {
    const char *loinc, *name;
} tests[N_OBX] = {
    {"94309-2", "SARS-CoV-2 RNA"}, {"100973-7", "Influenza virus A RNA"}, {"100974-5", "Influenza virus B RNA"}, {"41636-2", "Ebola virus RNA"}, {"41638-8", "Marburg virus RNA"},
    {"103719-1", "Lassa virus RNA"}, {"48508-6", "Measles virus RNA"}, {"54091-4", "Rubella virus RNA"}, {"51664-1", "Chikungunya virus RNA"}, {"79190-5", "Zika virus RNA"},
};

struct options {
    const char *host;
    uint16_t port;
    const char *case_prefix;
    uint64_t connections, messages, window, patients, seed;
    double seconds, timeout;
    bool is_json, is_print;
};

/* The message once, with the places to patch: where an id's digits stand. */
struct template {
    struct buf b;
    size_t control, specimens[2], cases, minutes, values[N_OBX];
};

struct conn {
    int fd;
    uint64_t *ids;              /* ring of those under way */
    int64_t *sent_us;
    size_t head, n;
    char *out;                  /* one frame */
    size_t out_n, out_done;
    struct buf in;
};

struct run {
    struct options o;
    struct template t;
    struct conn *conns;
    size_t n_live;
    int ep;
    uint64_t next_id, n_sent, n_aa, n_other, n_wrong_id;
    int64_t stop_us;
    uint64_t buckets[N_BUCKETS];
    int64_t max_us, last_us;
};

/* ---- messages ---- */

static size_t hole(struct buf *b, size_t digits)
{
    size_t at = b->n;
    for (size_t i = 0; i < digits; i++)
        buf_addc(b, '0');
    return at;
}

static void fill(char *p, size_t digits, uint64_t v)
{
    while (digits--) {
        p[digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

static void template_make(struct template *t, const struct options *o)
{
    struct buf *b = &t->b;
    time_t now = time(NULL);
    struct tm tm;
    char stamp[32];
    (void)gmtime_r(&now, &tm);
    (void)strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S+0000", &tm);
    buf_init(b, 65536);
    buf_addc(b, MLLP_SB);
    buf_addf(b, "MSH|^~\\&|LOADGEN|LAB-LOAD|LABRELAY|MOH|%s||ORU^R01^ORU_R01|%05x-", stamp, (unsigned)(o->seed & 0xfffff));
    t->control = hole(b, ID_DIGITS);
    buf_addf(b, "|P|2.5.1||||||UNICODE UTF-8\rPID|1||%s", o->case_prefix);
    t->cases = hole(b, 5);
    buf_addf(b, "^^^GODATA^PI||Load^Person^^^^^L|||U\rORC|RE|O-%05x-", (unsigned)(o->seed & 0xfffff));
    t->specimens[0] = hole(b, ID_DIGITS);
    buf_addf(b, "\rOBR|1|||85069-3^Respiratory and fever panel^LN|||%.8s00", stamp);
    t->minutes = hole(b, 2);
    buf_addf(b, "00+0000|||||||%s||||||||%s||MB|F\r", stamp, stamp);
    for (int i = 0; i < N_OBX; i++) {
        buf_addf(b, "OBX|%d|CWE|%s^%s^LN|%d|", i + 1, tests[i].loinc, tests[i].name, i + 1);
        t->values[i] = b->n;
        buf_addf(b, "260415000^Not detected    ^SCT||Not detected||||F|||%s||||GX-12|%s||||Load Lab^^^^^^^^^LAB01\r", stamp, stamp);
    }
    buf_addf(b, "SPM|1|^S%05x-", (unsigned)(o->seed & 0xfffff));
    t->specimens[1] = hole(b, ID_DIGITS);
    buf_addf(b, "||119297000^Blood specimen^SCT|||||||P||||||%s\r%c%c", stamp, MLLP_EB, MLLP_CR);
}

/* id decides everything in the message. */
static void message_make(const struct template *t, const struct options *o, uint64_t id, char *out)
{
    static const char detected[] = "260373001^Detected        ^SCT", not_detected[] = "260415000^Not detected    ^SCT";
    memcpy(out, t->b.p, t->b.n);
    fill(out + t->control, ID_DIGITS, id);
    fill(out + t->specimens[0], ID_DIGITS, id);
    fill(out + t->specimens[1], ID_DIGITS, id);
    fill(out + t->cases, 5, id % o->patients + 1);
    fill(out + t->minutes, 2, id % 60);
    for (unsigned i = 0; i < N_OBX; i++)
        memcpy(out + t->values[i], (id >> i & 1) ? detected : not_detected, sizeof detected - 1);
}

/* ---- latencies: 64 steps for each power of two ---- */

static size_t bucket_of(int64_t us)
{
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    if (v < 64)
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - 6u;
    size_t b = (size_t)(shift + 1) * 64 + (size_t)((v >> shift) & 63);
    return b < N_BUCKETS ? b : N_BUCKETS - 1;
}

static double bucket_ms(size_t b)
{
    uint64_t us = b < 64 ? b : (uint64_t)(64 + b % 64) << (b / 64 - 1);
    return (double)us / 1000;
}

static double percentile_ms(const struct run *r, double share)
{
    uint64_t all = r->n_aa + r->n_other, sum = 0;
    for (size_t b = 0; b < N_BUCKETS; b++) {
        sum += r->buckets[b];
        if (all && (double)sum >= share * (double)all)
            return bucket_ms(b);
    }
    return 0;
}

/* ---- connections ---- */

static bool has_more(const struct run *r)
{
    return r->o.messages ? r->n_sent < r->o.messages : clock_mono_us() < r->stop_us;
}

static void watch(struct run *r, struct conn *c, uint32_t events, int op)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    (void)epoll_ctl(r->ep, op, c->fd, &ev);
}

static void drop(struct run *r, struct conn *c)
{
    (void)close(c->fd);
    c->fd = -1;
    r->n_live--;
}

/* Sends as long as the window and the socket have room. */
static void push(struct run *r, struct conn *c)
{
    for (;;) {
        if (c->out_done == c->out_n) {
            if (c->n == r->o.window || !has_more(r))
                return;
            size_t at = (c->head + c->n) % r->o.window;
            message_make(&r->t, &r->o, r->next_id, c->out);
            c->ids[at] = r->next_id++;
            c->sent_us[at] = clock_mono_us();
            c->n++;
            c->out_n = r->t.b.n;
            c->out_done = 0;
            r->n_sent++;
        }
        ssize_t n = send(c->fd, c->out + c->out_done, c->out_n - c->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            watch(r, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0) {
            drop(r, c);
            return;
        }
        c->out_done += (size_t)n;
    }
}

static void note_answer(struct run *r, struct conn *c, struct span ack)
{
    char id[ID_DIGITS];
    int64_t now = clock_mono_us(), took = now - c->sent_us[c->head];
    const char *msa = memmem(ack.p, ack.n, "\rMSA|", 5);
    struct span code = msa ? span_from(ack, (size_t)(msa - ack.p) + 5) : SPAN_ABSENT;
    fill(id, sizeof id, c->ids[c->head]);
    if (span_starts(code, "AA|") || span_starts(code, "CA|"))
        r->n_aa++;
    else
        r->n_other++;
    if (code.n < 9 + ID_DIGITS || memcmp(code.p + 9, id, sizeof id) != 0)
        r->n_wrong_id++;
    r->buckets[bucket_of(took)]++;
    if (took > r->max_us)
        r->max_us = took;
    r->last_us = now;
    c->head = (c->head + 1) % r->o.window;
    c->n--;
}

static void pull(struct run *r, struct conn *c)
{
    char chunk[16384];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(r, c);
        return;
    }
    buf_add(&c->in, chunk, (size_t)n);
    size_t done = 0;
    for (;;) {
        struct span rest = span_from(buf_span(&c->in), done);
        size_t end = span_find(rest, MLLP_EB);
        if (end + 1 >= rest.n || !c->n)
            break;
        if (end > 2)                            /* shorter ones are commit blocks of MLLP release 2 */
            note_answer(r, c, span_cut(rest, 0, end));
        done += end + 2;
    }
    buf_drop_front(&c->in, done);
    push(r, c);
}

static int dial_all(struct run *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(r->o.port)};
    int on = 1;
    if (inet_pton(AF_INET, r->o.host, &a.sin_addr) != 1) {
        fprintf(stderr, "mllp_load: no address: %s\n", r->o.host);
        return -1;
    }
    r->conns = xcalloc(r->o.connections, sizeof *r->conns);
    for (size_t i = 0; i < r->o.connections; i++) {
        struct conn *c = &r->conns[i];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&a, sizeof a) != 0) {
            fprintf(stderr, "mllp_load: cannot connect to %s:%u: %s\n", r->o.host, r->o.port, strerror(errno));
            return -1;
        }
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->ids = xcalloc(r->o.window, sizeof *c->ids);
        c->sent_us = xcalloc(r->o.window, sizeof *c->sent_us);
        c->out = xmalloc(r->t.b.n);
        buf_init(&c->in, (size_t)1 << 20);
        watch(r, c, EPOLLIN, EPOLL_CTL_ADD);
        r->n_live++;
    }
    return 0;
}

static bool is_waiting(const struct run *r)
{
    for (size_t i = 0; i < r->o.connections; i++)
        if (r->conns[i].fd >= 0 && r->conns[i].n)
            return true;
    return false;
}

static void go(struct run *r)
{
    struct epoll_event evs[128];
    for (size_t i = 0; i < r->o.connections; i++)
        push(r, &r->conns[i]);
    for (;;) {
        if (!has_more(r) && !is_waiting(r))
            return;
        int n = epoll_wait(r->ep, evs, 128, 1000);
        int64_t now = clock_mono_us();
        if (r->n_live == 0 || (n <= 0 && (double)(now - r->last_us) > r->o.timeout * 1e6))
            return;
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (c->fd >= 0 && (evs[i].events & EPOLLOUT)) {
                watch(r, c, EPOLLIN, EPOLL_CTL_MOD);
                push(r, c);
            }
            if (c->fd >= 0 && (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                pull(r, c);
        }
    }
}

static int report(const struct run *r, int64_t began_us)
{
    uint64_t lost = r->n_sent - r->n_aa - r->n_other;
    double s = (double)(r->last_us - began_us) / 1e6;
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    double rate = s > 0 ? (double)(r->n_aa + r->n_other) / s : 0;
    printf(r->o.is_json ? "{\"connections\":%llu,\"window\":%llu,\"bytes\":%zu,\"sent\":%llu,\"aa\":%llu,\"other\":%llu,\"lost\":%llu,\"wrong_id\":%llu,\"seconds\":%.3f,"
                          "\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"own_cpu_us\":%.1f}\n"
                        : "%llu connections, window %llu, %zu bytes: %llu sent, %llu AA, %llu other, %llu lost, %llu wrong ids in %.3f s: %.0f/s, p50 %.3f ms, p99 %.3f ms, max %.3f ms; own CPU %.1f us each\n",
           (unsigned long long)r->o.connections, (unsigned long long)r->o.window, r->t.b.n, (unsigned long long)r->n_sent, (unsigned long long)r->n_aa, (unsigned long long)r->n_other,
           (unsigned long long)lost, (unsigned long long)r->n_wrong_id, s, rate, percentile_ms(r, 0.5), percentile_ms(r, 0.99), (double)r->max_us / 1000,
           r->n_sent ? cpu * 1e6 / (double)r->n_sent : 0);
    return r->n_other || lost || r->n_wrong_id || !r->n_aa;
}

static int usage(void)
{
    fprintf(stderr, "usage: mllp_load [--address IP:PORT] [--connections N] [--messages N | --seconds S] [--window N] [--patients N]\n"
                    "                 [--case-prefix TEXT] [--seed N] [--timeout S] [--print] [--json]\n");
    return 2;
}

static bool options_read(struct options *o, int argc, char **argv)
{
    static const struct option rows[] = {{"address", 1, NULL, 'a'}, {"connections", 1, NULL, 'c'}, {"messages", 1, NULL, 'n'}, {"seconds", 1, NULL, 's'}, {"window", 1, NULL, 'w'},
                                         {"patients", 1, NULL, 'p'}, {"case-prefix", 1, NULL, 'x'}, {"seed", 1, NULL, 'S'}, {"timeout", 1, NULL, 't'}, {"json", 0, NULL, 'j'},
                                         {"print", 0, NULL, 'P'}, {NULL, 0, NULL, 0}};
    int k;
    while ((k = getopt_long(argc, argv, "a:c:n:s:w:p:j", rows, NULL)) != -1) {
        char *colon;
        switch (k) {
        case 'a':
            colon = strrchr(optarg, ':');
            if (!colon)
                return false;
            o->port = (uint16_t)strtoul(colon + 1, NULL, 10);
            o->host = xstrndup(optarg, (size_t)(colon - optarg));
            break;
        case 'c': o->connections = strtoull(optarg, NULL, 10); break;
        case 'n': o->messages = strtoull(optarg, NULL, 10); break;
        case 's': o->seconds = strtod(optarg, NULL); break;
        case 'w': o->window = strtoull(optarg, NULL, 10); break;
        case 'p': o->patients = strtoull(optarg, NULL, 10); break;
        case 'x': o->case_prefix = optarg; break;
        case 'S': o->seed = strtoull(optarg, NULL, 10); break;
        case 't': o->timeout = strtod(optarg, NULL); break;
        case 'j': o->is_json = true; break;
        case 'P': o->is_print = true; break;
        default: return false;
        }
    }
    return optind == argc && o->connections && o->window && o->patients && o->port;
}

int main(int argc, char **argv)
{
    static struct run r;
    r.o = (struct options){.host = "127.0.0.1", .port = 2575, .connections = 1, .window = 1, .patients = 100, .case_prefix = "CASE-", .seconds = 5, .timeout = 30, .seed = (uint64_t)clock_now_us() / 1000};
    if (!options_read(&r.o, argc, argv))
        return usage();
    template_make(&r.t, &r.o);
    if (r.o.is_print) {
        char *m = xmalloc(r.t.b.n);
        message_make(&r.t, &r.o, 1, m);
        (void)fwrite(m + 1, 1, r.t.b.n - 3, stdout);
        return 0;
    }
    r.ep = epoll_create1(EPOLL_CLOEXEC);
    r.next_id = 1;
    if (dial_all(&r))
        return 1;
    int64_t began = r.last_us = clock_mono_us();
    r.stop_us = began + (int64_t)(r.o.seconds * 1e6);
    go(&r);
    return report(&r, began);
}
