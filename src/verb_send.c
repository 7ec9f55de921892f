/*
 * NAME labrelay send - sends files over MLLP, or over HTTP, and shows the answers.
 *
 * Each file is one frame; line ends become CR, which is what HL7 v2 wants. One connection, one outstanding message.
 * EXIT 0 when every answer was AA or CA, 1 when one was refused, 4 when nobody answered.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli.h"
#include "clock.h"
#include "fsutil.h"
#include "mllp_frame.h"
#include "send_http.h"
#include "xmem.h"

#define FILE_MAX_BYTES ((size_t)64 << 20)
#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define ANSWER_WAIT_US 20000000LL
#define QUIET_US 300000LL           /* a second answer (CA, then AA) comes within this */

static int dial(const char *to, struct err *e)
{
    const char *colon = strrchr(to, ':');
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -1;
    if (!colon || colon == to)
        return err_set(e, ERR_CONFIG, to, "write it as host:port");
    size_t n = (size_t)(colon - to);
    char *host = to[0] == '[' && to[n - 1] == ']' ? xstrndup(to + 1, n - 2) : xstrndup(to, n);
    int gai = getaddrinfo(host, colon + 1, &hint, &list);
    free(host);
    if (gai)
        return err_set(e, ERR_TEMP, to, "%s", gai_strerror(gai));
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd >= 0 ? fd : err_set(e, ERR_TEMP, to, "cannot connect: %s", strerror(errno));
}

static int send_all(int fd, const char *p, size_t n, struct err *e)
{
    while (n) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_set(e, ERR_TEMP, "send", "the other side hung up");
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

/* What arrives until it is quiet: frames concatenated in *out, each closed by a line end. Returns how many, -1 when none came. */
static int receive(int fd, struct mllp_decoder *d, struct buf *out, int64_t *first_us, struct err *e)
{
    char chunk[16384];
    int frames = 0;
    int64_t until = clock_mono_us() + ANSWER_WAIT_US;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - clock_mono_us();
        struct span bytes;
        if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) <= 0)
            break;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            break;
        mllp_decoder_feed(d, span_make(chunk, (size_t)n), clock_mono_us());
        enum mllp_event ev;
        while ((ev = mllp_decoder_next(d, &bytes)) != MLLP_NONE && ev != MLLP_CLOSE)
            if (ev == MLLP_WHOLE) {
                buf_add_span(out, bytes);
                buf_addc(out, '\n');
                if (!frames++)
                    *first_us = clock_mono_us();
                until = clock_mono_us() + QUIET_US;
            }
    }
    return frames ? frames : err_set(e, ERR_TEMP, "send", "no answer");
}

static int cr_lines(const struct buf *in, struct buf *out)
{
    for (size_t i = 0; i < in->n; i++) {
        char c = in->p[i];
        if (c == '\n' && i && in->p[i - 1] == '\r')
            continue;
        buf_addc(out, c == '\n' ? '\r' : c);
    }
    return out->is_full ? -1 : 0;
}

static bool is_positive(struct span answer)
{
    for (size_t i = 0; i + 6 <= answer.n; i++)
        if ((i == 0 || answer.p[i - 1] == '\r' || answer.p[i - 1] == '\n') && memcmp(answer.p + i, "MSA", 3) == 0)
            if (answer.p[i + 5] != 'A')
                return false;
    return true;
}

static int send_file(const struct cli *c, const char *path, int fd, struct mllp_decoder *d)
{
    struct buf file, body, answer;
    struct err e = ERR_INIT;
    int rc = EXIT_TEMPORARY;
    buf_init(&file, FILE_MAX_BYTES);
    buf_init(&body, FILE_MAX_BYTES);
    buf_init(&answer, ANSWER_MAX_BYTES);
    if (fs_load(path, &file, &e)) {
        rc = cli_fail(&e);
        goto out;
    }
    if (cli_has(c, "as-is"))
        buf_add(&body, file.p, file.n);
    else
        (void)cr_lines(&file, &body);
    char *frame = xmalloc(body.n + MLLP_WRAP_BYTES);
    size_t n = mllp_frame_wrap(buf_span(&body), frame);
    int64_t t0 = clock_mono_us(), first = t0;
    if (send_all(fd, frame, n, &e) == 0 && receive(fd, d, &answer, &first, &e) > 0) {
        rc = is_positive(buf_span(&answer)) ? EXIT_FINE : EXIT_WRONG;
        for (size_t i = 0; i < answer.n; i++)
            if (answer.p[i] == '\r')
                answer.p[i] = '\n';
        while (answer.n && answer.p[answer.n - 1] == '\n')
            answer.n--;
        struct buf b;
        buf_init(&b, ANSWER_MAX_BYTES * 2);
        if (cli_has(c, "json")) {
            buf_addc(&b, '{');
            buf_json_kv(&b, "file", path);
            buf_json_kint(&b, "took_us", first - t0);
            buf_json_key(&b, "accepted");
            buf_adds(&b, rc ? "false" : "true");
            buf_json_opt(&b, "answer", buf_span(&answer));
            buf_adds(&b, "}\n");
        } else {
            buf_addf(&b, "%s: %s after %.1f ms\n", path, rc ? "refused" : "accepted", (double)(first - t0) / 1000.0);
            buf_add_span(&b, buf_span(&answer));
            buf_addc(&b, '\n');
        }
        cli_print(&b);
        buf_clear(&b);
    } else {
        rc = cli_fail(&e);
    }
    free(frame);
out:
    buf_clear(&file);
    buf_clear(&body);
    buf_clear(&answer);
    return rc;
}

static int send_verb(const struct cli *c)
{
    struct mllp_frame_conf fc = {.max_bytes = ANSWER_MAX_BYTES, .end_wait_us = QUIET_US, .byte_timeout_us = ANSWER_WAIT_US, .frame_timeout_us = ANSWER_WAIT_US};
    struct err e = ERR_INIT;
    const char *to = cli_get(c, "to");
    if (to && (strncmp(to, "http://", 7) == 0 || strncmp(to, "https://", 8) == 0)) {
        int worst_http = EXIT_FINE;
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        for (int i = 0; i < c->n_args; i++) {
            int rc = send_http(to, c->args[i], cli_get(c, "token-file"), cli_has(c, "json"));
            worst_http = rc > worst_http ? rc : worst_http;
        }
        curl_global_cleanup();
        return worst_http;
    }
    int worst = EXIT_FINE, fd = dial(to ? to : "127.0.0.1:2575", &e);
    if (fd < 0)
        return cli_fail(&e);
    struct mllp_decoder *d = mllp_decoder_new(&fc);
    for (int i = 0; i < c->n_args; i++) {
        int rc = send_file(c, c->args[i], fd, d);
        if (rc > worst)
            worst = rc;
    }
    mllp_decoder_free(d);
    (void)close(fd);
    return worst;
}

static const struct cli_flag flags[] = {
    {"to", 't', "HOST:PORT", "the MLLP listener, default 127.0.0.1:2575; or the URL of an HTTP listener, http://HOST:PORT/fhir"},
    {"token-file", 0, "FILE", "HTTP: the bearer token"},
    {"as-is", 0, NULL, "send the bytes of the file unchanged (else line ends become CR)"},
    CLI_JSON_FLAG,
};

const struct verb verb_send = {.name = "send", .synopsis = "[--to HOST:PORT | --to URL] [--as-is] [--json] FILE…",
                                 .help = "sends messages over MLLP or HTTP and shows the answers",
                               .flags = flags, .n_flags = sizeof flags / sizeof flags[0], .min_args = 1, .max_args = 100000, .run = send_verb};
