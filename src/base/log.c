/*
 * NAME log - logfmt lines on stderr.
 * A line is at most 1,000 bytes; what does not fit is cut. Level and time come first so that journald and people can sort.
 */
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define LINE_MAX_BYTES 1000
#define WORD_MAX_BYTES 96

#define HOLD_MAX_BYTES ((size_t)64 << 10)

static enum log_level level_now = LOG_INFO;
static _Thread_local struct { bool is_on; size_t n; char p[HOLD_MAX_BYTES]; } held;
static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_set_level(enum log_level l)
{
    __atomic_store_n(&level_now, l, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
    return __atomic_load_n(&level_now, __ATOMIC_RELAXED);
}

const char *log_level_name(enum log_level l)
{
    return level_names[l];
}

int log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    return -1;
}

struct line {
    char p[LINE_MAX_BYTES + 2];
    size_t n;
};

static void put(struct line *l, const char *s, size_t n)
{
    if (n > LINE_MAX_BYTES - l->n)
        n = LINE_MAX_BYTES - l->n;
    memcpy(l->p + l->n, s, n);
    l->n += n;
}

static void puts_(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static bool word_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._:^/@+,-", c));
}

static void put_word(struct line *l, struct span s)
{
    if (!s.n)
        put(l, "-", 1);
    for (size_t i = 0; i < s.n && i < WORD_MAX_BYTES; i++)
        put(l, word_char((unsigned char)s.p[i]) ? &s.p[i] : "_", 1);
}

static void put_text(struct line *l, struct span s)
{
    put(l, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            put(l, "'", 1);
        else if (c < 0x20 || c == 0x7f)
            put(l, " ", 1);
        else
            put(l, &s.p[i], 1);
    }
    put(l, "\"", 1);
}

static void put_field(struct line *l, const struct log_field *f)
{
    char t[64];
    puts_(l, " ");
    puts_(l, f->key);
    puts_(l, "=");
    switch (f->kind) {
    case LOG_F_INT:
        (void)snprintf(t, sizeof t, "%lld", (long long)f->i);
        puts_(l, t);
        break;
    case LOG_F_ID:
        (void)snprintf(t, sizeof t, "%c%lld", f->id_prefix, (long long)f->i);
        puts_(l, t);
        break;
    case LOG_F_WORD:
        put_word(l, f->s);
        break;
    case LOG_F_TEXT:
        put_text(l, f->s);
        break;
    case LOG_F_MS:
        (void)snprintf(t, sizeof t, "%.1fms", (double)f->i / 1000.0);
        puts_(l, t);
        break;
    }
}

static void emit(const char *p, size_t n)
{
    ssize_t w = write(STDERR_FILENO, p, n);
    (void)w; /* a log that cannot be written must not stop the flow */
}

void log_event_v(enum log_level lv, const char *event, const struct log_field *f, size_t n)
{
    if (lv > log_get_level())
        return;
    struct line l = {.n = 0};
    char when[40];
    clock_format_iso(clock_now_us(), when, sizeof when);
    puts_(&l, when);
    puts_(&l, " level=");
    puts_(&l, level_names[lv]);
    size_t i = 0;
    if (n && f[0].kind == LOG_F_ID) /* the id of the hop stands first: grep m1042 */
        put_field(&l, &f[i++]);
    puts_(&l, " ");
    puts_(&l, event);
    for (; i < n; i++)
        put_field(&l, &f[i]);
    l.p[l.n++] = '\n';
    if (!held.is_on) {
        emit(l.p, l.n);
        return;
    }
    if (held.n + l.n > HOLD_MAX_BYTES)
        log_flush();
    memcpy(held.p + held.n, l.p, l.n);
    held.n += l.n;
    if (lv <= LOG_WARNING)
        log_flush();
}

void log_hold(void)
{
    held.is_on = true;
}

void log_flush(void)
{
    if (held.n)
        emit(held.p, held.n);
    held.n = 0;
}

void log_err(enum log_level l, const char *event, const struct err *e)
{
    log_event(l, event, log_word("kind", err_kind_name(e->kind)), log_text("where", e->where), log_text("reason", e->text));
}
