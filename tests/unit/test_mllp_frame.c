/*
 * NAME test_mllp_frame - the MLLP state machine, state by state, with every input split at every byte.
 * A run is written down as a line: W:frame (whole), T:frame (truncated), E (empty), O:head (oversize), S:head (shed), C (close).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "mllp_frame.h"
#include "xmem.h"

#define S(us) ((int64_t)(us) * 1000000)

static struct mllp_frame_conf conf_default(void)
{
    return (struct mllp_frame_conf){.max_bytes = 64, .end_wait_us = 250000, .byte_timeout_us = S(30), .frame_timeout_us = S(300)};
}

static void drain(struct mllp_decoder *d, struct buf *log)
{
    struct span s;
    for (;;) {
        enum mllp_event ev = mllp_decoder_next(d, &s);
        const char *word = "";
        switch (ev) {
        case MLLP_NONE: return;
        case MLLP_WHOLE: word = "W:"; break;
        case MLLP_EMPTY: buf_adds(log, "E "); continue;
        case MLLP_TRUNCATED: word = "T:"; break;
        case MLLP_OVERSIZE: word = "O:"; break;
        case MLLP_SHED: word = "S:"; break;
        case MLLP_CLOSE: buf_adds(log, "C "); return;
        }
        buf_adds(log, word);
        if (ev == MLLP_WHOLE || ev == MLLP_TRUNCATED) {
            size_t n;
            char *p = mllp_decoder_take(d, &n);
            assert_int_equal(n, s.n);
            buf_add(log, p, n);
            free(p);
        } else {
            buf_add_span(log, s);
        }
        buf_adds(log, " ");
    }
}

static void feed(struct mllp_decoder *d, struct buf *log, const char *p, size_t n, int64_t now)
{
    mllp_decoder_feed(d, span_make(p, n), now);
    drain(d, log);
}

/* in and, if is_eof, the end of stream: whole, split at every place, byte by byte; always the same. */
static void check_n(const struct mllp_frame_conf *conf, const char *in, size_t n, bool is_eof, const char *want, uint64_t want_stray)
{
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct mllp_decoder *d = mllp_decoder_new(conf);
        struct buf log;
        buf_init(&log, 100000);
        buf_adds(&log, "");
        for (size_t i = 0; i < n;) {
            size_t step = cut == n + 1 ? 1 : i < cut ? cut - i : n - i;
            char *piece = xmalloc(step);        /* its own block, so that ASan sees a step past the end */
            memcpy(piece, in + i, step);
            feed(d, &log, piece, step, 1000);
            free(piece);
            i += step;
        }
        if (is_eof) {
            mllp_decoder_eof(d);
            drain(d, &log);
        }
        char *got = buf_take(&log, NULL);
        if (strncmp(want, "C", 1) != 0 && strstr(got, "C C "))
            *(strstr(got, "C C ") + 2) = '\0';   /* CLOSE repeats with every call */
        if (strcmp(got, want) != 0)
            fail_msg("cut %zu: \"%s\", not \"%s\"", cut, got, want);
        assert_int_equal(mllp_decoder_take_stray(d), want_stray);
        assert_int_equal(mllp_decoder_take_stray(d), 0);
        free(got);
        mllp_decoder_free(d);
    }
}

static void check(const struct mllp_frame_conf *conf, const char *in, const char *want)
{
    check_n(conf, in, strlen(in), false, want, 0);
}

static void test_whole(void **state) /* [item 1] [item 2] [item 3] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check(&c, "\vMSH|1\x1c\r", "W:MSH|1 ");
    check(&c, "\va\rb\x1c\r\vc\x1c\r\vd\x1c\r", "W:a\rb W:c W:d ");
    check(&c, "\va\x1c\r\vhal", "W:a ");
    check_n(&c, "\va\0b\xff\x1c\r", 7, false, "W:a", 0);   /* the C string of the log ends at the NUL; the length was checked by take() */
}

static void test_ends(void **state) /* [item 4] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check(&c, "\va\x1c\n", "W:a ");
    check(&c, "\va\x1c\r\n\vb\x1c\r", "W:a W:b ");
    check(&c, "\va\x1c\vb\x1c\r", "W:a W:b ");
    check_n(&c, "\va\x1cX\vb\x1c\r", 8, false, "W:a W:b ", 1);
    check_n(&c, "\va\x1c\x1c\r", 5, false, "W:a ", 1);
    c.is_strict = true;
    check(&c, "\va\x1c\r\vb\x1c\r", "W:a W:b ");
    check(&c, "\va\x1c\n", "T:a C ");
    check(&c, "\va\x1c\vb\x1c\r", "T:a C ");
    check_n(&c, "\va\x1c", 3, true, "T:a C ", 0);
}

static void test_silence_after_end(void **state) /* [item 4] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        struct buf log;
        c.is_strict = strict;
        struct mllp_decoder *d = mllp_decoder_new(&c);
        buf_init(&log, 1000);
        buf_adds(&log, "");
        feed(d, &log, "\va\x1c", 3, S(10));
        assert_int_equal(mllp_decoder_deadline(d), S(10) + 250000);
        mllp_decoder_tick(d, S(10) + 249999);
        drain(d, &log);
        assert_int_equal(log.n, 0);
        mllp_decoder_tick(d, S(10) + 250000);
        drain(d, &log);
        assert_string_equal(log.p, strict ? "T:a C " : "W:a ");
        assert_int_equal(mllp_decoder_deadline(d), -1);
        if (!strict) {
            buf_reset(&log);
            feed(d, &log, "\r\vb\x1c\r", 5, S(11)); /* the CR that came too late is a separator */
            assert_string_equal(log.p, "W:b ");
        }
        buf_clear(&log);
        mllp_decoder_free(d);
    }
}

static void test_between(void **state) /* [item 5] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check_n(&c, "\r\n \t\0\x06\x15\va\x1c\r\r\n\0 \vb\x1c\r\n", 20, false, "W:a W:b ", 0);
    check_n(&c, "MSH|x\r\va\x1c\r", 10, false, "W:a ", 5);
    check_n(&c, "\x1c\r\x1c\r", 4, true, "", 2);
}

static void test_bare(void **state)
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    c.allow_bare = true;
    check(&c, "MSH|x\x1c\r", "W:MSH|x ");
    check(&c, "\r\nMSH|x\x1c\rMSH|y\x1c\r\vMSH|z\x1c\r", "W:MSH|x W:MSH|y W:MSH|z ");
    check_n(&c, "MMSH|x\x1c\r", 8, false, "W:MSH|x ", 1);
    check_n(&c, "MSMSH|x\x1c\r", 9, false, "W:MSH|x ", 2);
    check_n(&c, "MS\vMSH|x\x1c\r", 10, false, "W:MSH|x ", 2);
    check_n(&c, "MS", 2, true, "", 2);
    check_n(&c, "MSH|x", 5, true, "T:MSH|x ", 0);
    check(&c, "MSH|x\vMSH|y\x1c\r", "T:MSH|x W:MSH|y ");
}

static void test_sb_in_frame(void **state) /* [item 6] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check(&c, "\vaaa\vmsg\x1c\r", "T:aaa W:msg ");
    check(&c, "\va\vb\vc\x1c\r\vd\x1c\r", "T:a T:b W:c W:d ");
    check(&c, "\v\vmsg\x1c\r", "E W:msg ");
    c.is_strict = true;
    check(&c, "\vaaa\vmsg\x1c\r", "T:aaa W:msg ");
}

static void test_eof(void **state) /* [item 7] [item 8] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check_n(&c, "\vhal", 4, true, "T:hal ", 0);
    check_n(&c, "\va\x1c\r\vhal", 8, true, "W:a T:hal ", 0);
    check_n(&c, "\va\x1c", 3, true, "W:a ", 0);
    check_n(&c, "\va\x1c\r", 4, true, "W:a ", 0);
    check_n(&c, "\v", 1, true, "E ", 0);
    check_n(&c, "", 0, true, "", 0);
}

static void test_empty(void **state) /* [item 10] */
{
    struct mllp_frame_conf c = conf_default();
    (void)state;
    check(&c, "\v\x1c\r", "E ");
    check(&c, "\v\x1c\r\v\x1c\n\v\x1c\va\x1c\r", "E E E W:a ");
}

static void test_oversize(void **state) /* [item 11] */
{
    struct mllp_frame_conf c = conf_default();
    char x[400], frame[500], want[500];
    (void)state;
    memset(x, 'x', sizeof x);
    static const int fits[] = {63, 64}, too_much[] = {65, 100, 256};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(frame, sizeof frame, "\v%.*s\x1c\r\vb\x1c\r", fits[i], x);
        (void)snprintf(want, sizeof want, "W:%.*s W:b ", fits[i], x);
        check(&c, frame, want);
    }
    (void)snprintf(want, sizeof want, "O:%.64s C ", x);
    for (size_t i = 0; i < 3; i++) {        /* the end is searched up to four times max_bytes … */
        (void)snprintf(frame, sizeof frame, "\v%.*s\x1c\r\vb\x1c\r", too_much[i], x);
        check(&c, frame, want);
    }
    (void)snprintf(frame, sizeof frame, "\v%.257s", x);
    check(&c, frame, want);                 /* … not farther */
    (void)snprintf(frame, sizeof frame, "\v%.256s", x);
    check(&c, frame, "");
    (void)snprintf(frame, sizeof frame, "\v%.70s\va\x1c\r", x);
    check(&c, frame, want);
    (void)snprintf(frame, sizeof frame, "\v%.70s", x);
    check_n(&c, frame, strlen(frame), true, want, 0);
}

static void test_oversize_memory(void **state) /* [item 11] */
{
    struct mllp_frame_conf c = conf_default();
    char *x = xmalloc(65536);
    struct buf log;
    size_t most = 0;
    (void)state;
    c.max_bytes = 1 << 20;
    struct mllp_decoder *d = mllp_decoder_new(&c);
    buf_init(&log, 100000);
    memset(x, 'x', 65536);
    feed(d, &log, "\vMSH", 4, 0);
    for (int i = 0; i < 63; i++) {
        feed(d, &log, x, 65536, 0);
        if (mllp_decoder_held(d) > most)
            most = mllp_decoder_held(d);
    }
    assert_int_equal(log.n, 0);
    assert_true(most <= c.max_bytes);
    assert_true(mllp_decoder_held(d) <= MLLP_HEAD_BYTES);
    feed(d, &log, x, 65536, 0);
    feed(d, &log, x, 65536, 0);
    assert_memory_equal(log.p, "O:MSHxxx", 8);
    assert_int_equal(strspn(log.p + 5, "x"), MLLP_HEAD_BYTES - 3);
    assert_string_equal(log.p + 2 + MLLP_HEAD_BYTES, " C C ");
    buf_clear(&log);
    mllp_decoder_free(d);
    free(x);
}

static void test_timers(void **state) /* [item 12] */
{
    struct mllp_frame_conf c = conf_default();
    struct mllp_decoder *d = mllp_decoder_new(&c);
    struct buf log;
    (void)state;
    buf_init(&log, 1000);
    buf_adds(&log, "");
    assert_int_equal(mllp_decoder_deadline(d), -1);
    mllp_decoder_tick(d, S(86400));                     /* a day of nothing */
    drain(d, &log);
    feed(d, &log, "\va\x1c\r", 4, S(86400));
    assert_string_equal(log.p, "W:a ");
    assert_int_equal(mllp_decoder_deadline(d), -1);
    buf_reset(&log);
    feed(d, &log, "\vb", 2, S(90000));
    assert_int_equal(mllp_decoder_deadline(d), S(90030));
    feed(d, &log, "c", 1, S(90029));
    assert_int_equal(mllp_decoder_deadline(d), S(90059));
    mllp_decoder_resume(d, S(90050));                   /* we did not read: its silence did not count */
    assert_int_equal(mllp_decoder_deadline(d), S(90080));
    mllp_decoder_tick(d, S(90079));
    drain(d, &log);
    assert_int_equal(log.n, 0);
    mllp_decoder_tick(d, S(90080));
    drain(d, &log);
    assert_string_equal(log.p, "T:bc C ");
    buf_reset(&log);
    feed(d, &log, "\vd\x1c\r", 4, S(90081));            /* nothing is taken any more */
    assert_string_equal(log.p, "C ");
    mllp_decoder_free(d);
    d = mllp_decoder_new(&c);
    buf_reset(&log);
    feed(d, &log, "\v", 1, S(0));
    for (int i = 1; i <= 15; i++)                       /* a byte every 20 s never is silent, but the frame takes too long */
        feed(d, &log, "x", 1, S(20 * i));
    assert_int_equal(mllp_decoder_deadline(d), S(300));
    mllp_decoder_tick(d, S(300));
    drain(d, &log);
    assert_string_equal(log.p, "T:xxxxxxxxxxxxxxx C ");
    mllp_decoder_free(d);
    d = mllp_decoder_new(&c);
    buf_reset(&log);
    feed(d, &log, "\va", 2, S(0));
    feed(d, &log, "\vb", 2, S(20));                     /* the timers are those of the second frame */
    assert_int_equal(mllp_decoder_deadline(d), S(50));
    mllp_decoder_tick(d, S(50));
    drain(d, &log);
    assert_string_equal(log.p, "T:a T:b C ");
    buf_clear(&log);
    mllp_decoder_free(d);
}

static void test_shed(void **state)
{
    struct mllp_frame_conf c = conf_default();
    char *x = xmalloc(20000);
    struct buf log;
    (void)state;
    memset(x, 'x', 20000);
    c.max_bytes = 30000;
    struct mllp_decoder *d = mllp_decoder_new(&c);
    buf_init(&log, 100000);
    feed(d, &log, "\vMSH", 4, 0);
    feed(d, &log, x, 20000, 0);
    assert_true(mllp_decoder_held(d) >= 20003);
    mllp_decoder_shed(d);
    assert_int_equal(mllp_decoder_held(d), MLLP_HEAD_BYTES);
    feed(d, &log, x, 9000, 0);
    feed(d, &log, "\x1c\r\vb\x1c\r", 6, 0);
    assert_memory_equal(log.p, "S:MSHxxx", 8);
    assert_string_equal(log.p + 2 + MLLP_HEAD_BYTES, " W:b ");
    buf_reset(&log);
    mllp_decoder_shed(d);                               /* between frames: nothing to shed */
    feed(d, &log, "\vc\x1c\r", 4, 0);
    assert_string_equal(log.p, "W:c ");
    buf_reset(&log);
    feed(d, &log, "\v", 1, 0);
    feed(d, &log, x, 20000, 0);
    mllp_decoder_shed(d);
    feed(d, &log, x, 20000, 0);                         /* shed, then too large after all */
    feed(d, &log, "\x1c", 1, 0);
    assert_memory_equal(log.p, "O:xxx", 5);
    assert_string_equal(log.p + 2 + MLLP_HEAD_BYTES, " C ");
    buf_clear(&log);
    mllp_decoder_free(d);
    free(x);
}

static void test_rest(void **state)
{
    struct mllp_frame_conf c = conf_default();
    struct mllp_decoder *d = mllp_decoder_new(&c);
    static const char in[] = "\va\x1c\r\vb\x1c\r\vc";
    struct span s;
    (void)state;
    mllp_decoder_feed(d, span_of(in), 0);
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_WHOLE);
    assert_ptr_equal(s.p, in + 1);                      /* not copied */
    s = mllp_decoder_rest(d);
    assert_string_equal(s.p, "\vb\x1c\r\vc");
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_NONE);
    mllp_decoder_feed(d, span_of("\vb\x1c\r\vc"), 0);
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_WHOLE);
    assert_true(span_is(s, "b"));
    assert_false(mllp_decoder_in_frame(d));
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_NONE);
    assert_true(mllp_decoder_in_frame(d));
    assert_true(mllp_decoder_held(d) > 0);
    mllp_decoder_feed(d, span_of("\x1c\r"), 0);
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_WHOLE);
    assert_true(span_is(s, "c"));
    assert_int_equal(mllp_decoder_next(d, &s), MLLP_NONE);
    assert_int_equal(mllp_decoder_held(d), 0);          /* an idle connection holds nothing */
    mllp_decoder_free(d);
}

static void test_wrap(void **state)
{
    char out[16];
    (void)state;
    assert_int_equal(mllp_frame_wrap(SPAN_LIT("MSH"), out), 6);
    assert_memory_equal(out, "\vMSH\x1c\r", 6);
    assert_int_equal(mllp_frame_wrap(SPAN_ABSENT, out), 3);
    assert_memory_equal(out, "\v\x1c\r", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole), cmocka_unit_test(test_ends), cmocka_unit_test(test_silence_after_end), cmocka_unit_test(test_between), cmocka_unit_test(test_bare),
        cmocka_unit_test(test_sb_in_frame), cmocka_unit_test(test_eof), cmocka_unit_test(test_empty), cmocka_unit_test(test_oversize), cmocka_unit_test(test_oversize_memory),
        cmocka_unit_test(test_timers), cmocka_unit_test(test_shed), cmocka_unit_test(test_rest), cmocka_unit_test(test_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
