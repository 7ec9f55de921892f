/*
 * control - the control socket: state-changing verbs and live status reach a running engine here.
 *
 * A UNIX stream socket, mode 0600. One request per connection: a line of JSON {"do":"…", …}; one line of JSON back, then close.
 * Server: runs on the LOOP thread; requests go to the engine's mailbox as struct control_mail (owned by the taker), which posts
 * the same mail back with `answer` filled. Client: any process with the rights.
 */
#ifndef LABRELAY_CONTROL_H
#define LABRELAY_CONTROL_H
#include "buf.h"
#include "err.h"
#include "mailbox.h"

#define CONTROL_MAX_BYTES ((size_t)1 << 20)

struct control_mail {
    struct mail mail;                   /* kind MAIL_CONTROL */
    uint64_t conn;
    char *request;                      /* heap, NUL-terminated line */
    char *answer;                       /* heap, filled by the engine */
    bool is_telling;                /* the answer changes nothing and holds without a commit */
};
void control_mail_free(struct control_mail *c);

struct control;
struct event_base;
int  control_open(struct control **out, const char *path, struct event_base *base, struct mailbox *engine, struct mailbox *replies, struct err *e);
void control_close(struct control *c);  /* removes the socket file */

/* Client. 0 answered, 1 nobody listens there (no engine runs), -1 error. */
int  control_ask(const char *path, const char *request, struct buf *answer, struct err *e);
#endif
