/*
 * alarm_post - tells people of alarms: a thread of its own that runs commands, sends mails and posts webhooks, so that nothing of it can
 * hold up the engine. Ownership of a notice moves with the mailbox; the thread gives it back to the engine's inbox when all were told or
 * it gave up. No patient data: a notice holds names of the configuration, ids and figures.
 */
#ifndef LABRELAY_ENGINE_ALARM_POST_H
#define LABRELAY_ENGINE_ALARM_POST_H
#include "buf.h"
#include "conf_alarm.h"
#include "message.h"

enum notice_what { NOTICE_RAISED, NOTICE_REMINDER, NOTICE_EVENT, NOTICE_CLEARED };
const char *notice_what_name(enum notice_what w);

struct notice {
    struct mail mail;                   /* kind MAIL_ALARM */
    enum notice_what what;
    char kind[32], subject[96], detail[300];
    int64_t raised_us, cleared_us, n;
    bool is_told;                       /* answer: nobody is left who was not told */
    bool is_cut;                        /* answer: the thread ended before */
};

struct alarm_post;
/* Copies conf and node. */
struct alarm_post *alarm_post_open(const struct alarm_conf *conf, const char *node, struct mailbox *answers);
void alarm_post_send(struct alarm_post *p, struct notice *n);
/* Ends the thread; what it has not told comes back untold (into answers). Waits at most 5 s for a webhook under way. */
void alarm_post_close(struct alarm_post *p);
/* Tells it to end without waiting; close it once it has. */
void alarm_post_end(struct alarm_post *p);
bool alarm_post_has_ended(const struct alarm_post *p);
bool alarm_post_says(const struct alarm_post *p, const struct alarm_conf *conf, const char *node);     /* it was opened with the same */
/* "targets":[{"way":…,"told":…,"failed":…,"waiting":…,"error":…}] into an open object. */
void alarm_post_status(const struct alarm_post *p, struct buf *b);
/* The notice as JSON and as lines of text; used by the log's reader and the tests of it too. */
void notice_json(const struct notice *n, const char *node, struct buf *b);
void notice_text(const struct notice *n, const char *node, struct buf *b);
#endif
