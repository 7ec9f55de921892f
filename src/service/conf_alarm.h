/*
 * conf_alarm - the `alarm { … }` block and `expect` of a listener: what is trouble, and who is told. Grammar: labrelay.conf.5.
 * Immutable after the load, as all of the configuration.
 */
#ifndef LABRELAY_CONF_ALARM_H
#define LABRELAY_CONF_ALARM_H
#include "ops.h"

#define ALARM_TARGETS_MAX 16

struct expect {                         /* expect every 2h during 07:00-19:00 mon-sat */
    int64_t every_us;                   /* of the expected hours; 0: nothing is expected */
    int from_min, to_min;               /* minutes of the local day; equal: the whole day; from > to: past midnight */
    unsigned days;                      /* bit 0 Monday … bit 6 Sunday */
};

enum alarm_way { ALARM_COMMAND, ALARM_MAIL, ALARM_WEBHOOK };
struct alarm_target {
    enum alarm_way way;
    struct option_list words;           /* command: path and arguments; mail: who it goes to */
    char *url, *from, *login, *secret;  /* mail: of the server and the sender; webhook: where, and its bearer token */
};
struct alarm_targets { struct alarm_target *v; size_t n; };

struct alarm_conf {
    int64_t queue_age_us, writer_down_us, held_age_us;      /* 0: never */
    int64_t held_count;                 /* 0: any number */
    int64_t disk_free_percent;
    int64_t settle_us;                  /* so long has the trouble to be over before the all-clear */
    int64_t remind_us;                  /* said again after so long; 0: never */
    int64_t command_limit_us;
    struct alarm_targets targets;
};
extern const struct option_table alarm_table;
/* A copy of its own (alarm_conf_clear), and whether two say the same. */
void alarm_conf_copy(struct alarm_conf *out, const struct alarm_conf *from);
void alarm_conf_clear(struct alarm_conf *c);
bool alarm_conf_same(const struct alarm_conf *a, const struct alarm_conf *b);
/* For an OPT_CUSTOM row of a struct expect. */
int  expect_read(void *value, struct option_args *a);
/* How much of the expected hours lies between two local times (microseconds since 1970 in the channel's zone). At most 400 days are looked at. */
int64_t expect_between(const struct expect *x, int64_t from_local_us, int64_t to_local_us);
/* Is this local time within the expected hours? */
bool expect_is_on(const struct expect *x, int64_t local_us);
#endif
