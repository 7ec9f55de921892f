/*
 * NAME conf_alarm - reads `alarm { … }` and `expect …`.
 * DIAGNOSTICS through the option reader: place, what is expected.
 */
#include "conf_alarm.h"

#include <stdlib.h>
#include <string.h>

#include "option_value.h"
#include "secret.h"
#include "xmem.h"

#define SECOND 1000000LL
#define DAY (86400LL * SECOND)
#define MINUTE (60LL * SECOND)
#define LOOK_BACK_DAYS 400

static const char *const day_names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* ---- who is told ---- */

static void target_clear(struct alarm_target *t)
{
    option_list_clear(&t->words);
    free(t->url);
    free(t->from);
    free(t->login);
    secret_free(t->secret);
}

static void free_targets(void *value)
{
    struct alarm_targets *all = value;
    for (size_t i = 0; i < all->n; i++)
        target_clear(&all->v[i]);
    free(all->v);
    *all = (struct alarm_targets){0};
}

static struct alarm_target *add(struct alarm_targets *all, enum alarm_way way, struct option_args *a)
{
    if (all->n == ALARM_TARGETS_MAX) {
        (void)option_error(a, NULL, "alarms go to at most %d places", ALARM_TARGETS_MAX);
        return NULL;
    }
    all->v = xreallocarray(all->v, all->n + 1, sizeof *all->v);
    all->v[all->n] = (struct alarm_target){.way = way};
    return &all->v[all->n++];
}

static bool take_string(struct option_args *a, struct span *out)
{
    const struct option_word *w = option_peek(a);
    if (!w || w->kind != OPTION_STRING)
        return false;
    *out = option_next(a)->text;
    return true;
}

static char *copy(struct span s)
{
    return xstrndup(s.n ? s.p : "", s.n);
}

static int read_command(void *value, struct option_args *a)
{
    static const char hint[] = "write: command \"/usr/local/bin/tell\" \"argument\"";
    struct alarm_target *t = add(value, ALARM_COMMAND, a);
    struct span s;
    if (!t)
        return -1;
    if (!take_string(a, &s))
        return option_error(a, hint, "command needs the path of a program in quotes");
    if (!span_starts(s, "/"))
        return option_error(a, hint, "the path of the program has to begin with /");
    do
        option_list_add(&t->words, s);
    while (take_string(a, &s));
    return 0;
}

/* One address as a mail server reads it: nothing that could become a line or a word of its own. */
static bool is_address(struct span s)
{
    size_t at = span_find(s, '@');
    if (at == 0 || at + 1 >= s.n || s.n > 200)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("<>()[]\\,;:\"", s.p[i]))
            return false;
    return true;
}

static int read_mail(void *value, struct option_args *a)
{
    static const char hint[] = "write: mail to \"who@example.org\" from \"labrelay@example.org\" smtp \"smtp://mail.example.org:587\"";
    struct alarm_target *t = add(value, ALARM_MAIL, a);
    struct span s;
    if (!t)
        return -1;
    if (!option_accept(a, "to"))
        return option_error(a, hint, "\"to\" is expected here");
    do {
        if (!take_string(a, &s) || !is_address(s))
            return option_error(a, hint, "a mail address in quotes is expected here");
        option_list_add(&t->words, s);
    } while (option_accept(a, ","));
    if (!option_accept(a, "from"))
        return option_error(a, hint, "\"from\" is expected here");
    if (!take_string(a, &s) || !is_address(s))
        return option_error(a, hint, "a mail address in quotes is expected here");
    t->from = copy(s);
    if (!option_accept(a, "smtp"))
        return option_error(a, hint, "\"smtp\" is expected here");
    if (!take_string(a, &s) || !(span_starts(s, "smtp://") || span_starts(s, "smtps://")) || span_find(s, '@') < s.n)
        return option_error(a, hint, "an address like \"smtp://mail.example.org:587\" is expected here; the account stands behind login");
    t->url = copy(s);
    if (!option_accept(a, "login"))
        return 0;
    if (!take_string(a, &s) || !s.n)
        return option_error(a, "write: login \"account\" password credential \"smtp-password\"", "login needs the name of an account in quotes");
    t->login = copy(s);
    if (!option_accept(a, "password"))
        return option_error(a, "write: login \"account\" password credential \"smtp-password\"", "\"password\" is expected here");
    return option_take_credential(a, &t->secret);
}

static int read_webhook(void *value, struct option_args *a)
{
    static const char hint[] = "write: webhook \"https://chat.example.org/hook\"";
    struct alarm_target *t = add(value, ALARM_WEBHOOK, a);
    struct span s;
    if (!t)
        return -1;
    if (!take_string(a, &s) || !(span_starts(s, "https://") || span_starts(s, "http://")))
        return option_error(a, hint, "webhook needs an address in quotes");
    t->url = copy(s);
    return option_accept(a, "token") ? option_take_credential(a, &t->secret) : 0;
}

/* ---- when ---- */

static int read_remind(void *value, struct option_args *a)
{
    if (option_accept(a, "never")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_duration(a, SECOND, 365 * DAY, value);
}

static int read_age(void *value, struct option_args *a)
{
    if (option_accept(a, "never")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_duration(a, SECOND, 3650 * DAY, value);
}

static int read_count(void *value, struct option_args *a)
{
    if (option_accept(a, "any")) {
        *(int64_t *)value = 0;
        return 0;
    }
    return option_take_int(a, 1, 100000000, value);
}

static int read_floor(void *value, struct option_args *a)
{
    if (!option_accept(a, "below"))
        return option_error(a, "write: disk-free below 10%", "\"below\" is expected here");
    return option_take_percent(a, 0, 95, value);
}

#define A(m) offsetof(struct alarm_conf, m)
static const struct option_row alarm_rows[] = {
    {.name = "queue-age", .type = OPT_CUSTOM, .offset = A(queue_age_us), .custom = read_age, .def = "15m", .syntax = "DURATION|never",
     .help = "a result waits longer than this for a writer"},
    {.name = "writer-down", .type = OPT_CUSTOM, .offset = A(writer_down_us), .custom = read_age, .def = "15m", .syntax = "DURATION|never",
     .help = "a writer does not write for so long, for whatever reason"},
    {.name = "held-count", .type = OPT_CUSTOM, .offset = A(held_count), .custom = read_count, .def = "500", .syntax = "N|any",
     .help = "more results of a writer are held than this"},
    {.name = "held-age", .type = OPT_CUSTOM, .offset = A(held_age_us), .custom = read_age, .def = "30d", .syntax = "DURATION|never",
     .help = "something is held longer than this"},
    {.name = "disk-free", .type = OPT_CUSTOM, .offset = A(disk_free_percent), .custom = read_floor, .def = "below 10%", .syntax = "below N%",
     .help = "the disk of the store is this full"},
    {.name = "settle", .type = OPT_DURATION, .offset = A(settle_us), .max = DAY, .def = "60s",
     .help = "so long has a trouble to be over before the all-clear"},
    {.name = "remind", .type = OPT_CUSTOM, .offset = A(remind_us), .custom = read_remind, .def = "never", .syntax = "DURATION|never",
     .help = "say an alarm again that is still up after so long"},
    {.name = "command", .type = OPT_CUSTOM, .offset = A(targets), .custom = read_command, .custom_free = free_targets, .may_repeat = true,
     .syntax = "\"PATH\" [\"ARGUMENT\" ...]", .help = "run a program with the alarm as JSON on its input; may be given several times"},
    {.name = "command-limit", .type = OPT_DURATION, .offset = A(command_limit_us), .min = SECOND, .max = 10 * MINUTE, .def = "30s",
     .help = "a program that runs longer is stopped"},
    {.name = "mail", .type = OPT_CUSTOM, .offset = A(targets), .custom = read_mail, .custom_free = free_targets, .may_repeat = true,
     .syntax = "to \"ADDRESS\"[, ...] from \"ADDRESS\" smtp \"URL\" [login \"ACCOUNT\" password CREDENTIAL]", .help = "send a mail"},
    {.name = "webhook", .type = OPT_CUSTOM, .offset = A(targets), .custom = read_webhook, .custom_free = free_targets, .may_repeat = true,
     .syntax = "\"URL\" [token CREDENTIAL]", .help = "POST the alarm as JSON"},
};
const struct option_table alarm_table = {alarm_rows, sizeof alarm_rows / sizeof alarm_rows[0], sizeof(struct alarm_conf), NULL};

void alarm_conf_clear(struct alarm_conf *c)
{
    free_targets(&c->targets);
}

static char *again(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

void alarm_conf_copy(struct alarm_conf *out, const struct alarm_conf *from)
{
    *out = *from;
    out->targets = (struct alarm_targets){.v = xcalloc(from->targets.n + 1, sizeof *out->targets.v), .n = from->targets.n};
    for (size_t i = 0; i < from->targets.n; i++) {
        const struct alarm_target *t = &from->targets.v[i];
        out->targets.v[i] = (struct alarm_target){.way = t->way, .url = again(t->url), .from = again(t->from), .login = again(t->login), .secret = again(t->secret)};
        for (size_t k = 0; k < t->words.n; k++)
            option_list_add(&out->targets.v[i].words, span_of(t->words.v[k]));
    }
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_target(const struct alarm_target *a, const struct alarm_target *b)
{
    bool is_same = a->way == b->way && a->words.n == b->words.n && same_text(a->url, b->url) && same_text(a->from, b->from) && same_text(a->login, b->login) &&
                   same_text(a->secret, b->secret);
    for (size_t i = 0; is_same && i < a->words.n; i++)
        is_same = strcmp(a->words.v[i], b->words.v[i]) == 0;
    return is_same;
}

bool alarm_conf_same(const struct alarm_conf *a, const struct alarm_conf *b)
{
    bool is_same = a->queue_age_us == b->queue_age_us && a->writer_down_us == b->writer_down_us && a->held_age_us == b->held_age_us && a->held_count == b->held_count &&
                   a->disk_free_percent == b->disk_free_percent && a->settle_us == b->settle_us && a->remind_us == b->remind_us &&
                   a->command_limit_us == b->command_limit_us && a->targets.n == b->targets.n;
    for (size_t i = 0; is_same && i < a->targets.n; i++)
        is_same = same_target(&a->targets.v[i], &b->targets.v[i]);
    return is_same;
}

/* ---- expect ---- */

static bool clock_time(struct span s, int *minutes)
{
    int64_t h, m;
    size_t colon = span_find(s, ':');
    struct span hours = span_cut(s, 0, colon), rest = colon < s.n ? span_from(s, colon + 1) : SPAN_ABSENT;
    if (hours.n < 1 || hours.n > 2 || rest.n != 2 || !span_is_digits(hours) || !span_is_digits(rest) || !span_int(hours, &h) || !span_int(rest, &m))
        return false;
    *minutes = (int)(h * 60 + m);
    return m < 60 && (h < 24 || (h == 24 && m == 0));
}

static int day_of(struct span s)
{
    for (int i = 0; i < 7; i++)
        if (span_is_nocase(s, day_names[i]))
            return i;
    return -1;
}

/* "mon-sat", "fri-mon", "wed" */
static bool take_days(struct span s, unsigned *days)
{
    size_t dash = span_find(s, '-');
    int from = day_of(span_cut(s, 0, dash)), to = dash < s.n ? day_of(span_from(s, dash + 1)) : from;
    if (from < 0 || to < 0)
        return false;
    for (int i = from;; i = (i + 1) % 7) {
        *days |= 1u << i;
        if (i == to)
            return true;
    }
}

static bool looks_like_days(struct span s)
{
    return s.n == 3 || (s.n == 7 && s.p[3] == '-');
}

int expect_read(void *value, struct option_args *a)
{
    static const char hint[] = "write: expect every 2h during 07:00-19:00 mon-sat";
    struct expect *x = value;
    struct span s;
    *x = (struct expect){.days = 0};
    if (!option_accept(a, "every"))
        return option_error(a, hint, "\"every\" is expected here");
    if (option_take_duration(a, SECOND, 31 * DAY, &x->every_us))
        return -1;
    if (option_accept(a, "during")) {
        const struct option_word *w = option_next(a);
        size_t dash;
        s = w ? w->text : SPAN_ABSENT;
        dash = span_find(s, '-');
        if (!w || dash >= s.n || !clock_time(span_cut(s, 0, dash), &x->from_min) || !clock_time(span_from(s, dash + 1), &x->to_min))
            return option_error(a, hint, "hours like 07:00-19:00 are expected here");
        x->to_min %= 24 * 60;
    }
    for (const struct option_word *w = option_peek(a); w && looks_like_days(w->text); w = option_peek(a)) {
        s = option_next(a)->text;
        if (!take_days(s, &x->days))
            return option_error(a, "the days are mon tue wed thu fri sat sun", "\"%.*s\" names no days", SPAN_ARG(s));
        (void)option_accept(a, ",");
    }
    if (!x->days)
        x->days = 0x7f;
    return 0;
}

/* The expected hours that begin on a local day, as [from, to) in local microseconds; false: none on this day. */
static bool window(const struct expect *x, int64_t day, int64_t *from, int64_t *to)
{
    int weekday = (int)(((day % 7) + 7 + 3) % 7);       /* 1 January 1970 was a Thursday */
    int length = x->to_min > x->from_min ? x->to_min - x->from_min : x->to_min - x->from_min + 24 * 60;
    *from = day * DAY + x->from_min * MINUTE;
    *to = *from + length * MINUTE;
    return (x->days >> weekday) & 1;
}

int64_t expect_between(const struct expect *x, int64_t from_local_us, int64_t to_local_us)
{
    int64_t sum = 0, last = to_local_us / DAY, day = from_local_us / DAY - 1, from, to;
    if (day < last - LOOK_BACK_DAYS)
        day = last - LOOK_BACK_DAYS;
    for (; day <= last; day++) {
        if (!window(x, day, &from, &to))
            continue;
        from = from > from_local_us ? from : from_local_us;
        to = to < to_local_us ? to : to_local_us;
        sum += to > from ? to - from : 0;
    }
    return sum;
}

bool expect_is_on(const struct expect *x, int64_t local_us)
{
    int64_t from, to;
    for (int64_t day = local_us / DAY - 1; day <= local_us / DAY; day++)
        if (window(x, day, &from, &to) && local_us >= from && local_us < to)
            return true;
    return false;
}
