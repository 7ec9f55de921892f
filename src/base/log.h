/*
 * log - one logfmt line per hop on stderr: `msg=m1042 stored routes=covid ack=AA took=3.1ms`.
 *
 * There is no way to pass patient text: values are integers, or words (codes, names from the config, enum names) that keep only
 * [A-Za-z0-9._:^/@+,-] and at most 96 bytes; log_text() is for our own constant or err.text only and is quoted.
 * Levels: error = a human must act, warning = will have to, info = one line per hop, debug.
 * Thread: any; a line is one write(2), unless the thread holds its lines: the engine does, and lets them go after the commit.
 */
#ifndef LABRELAY_LOG_H
#define LABRELAY_LOG_H
#include "err.h"
#include "span.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *key;
    enum { LOG_F_INT, LOG_F_ID, LOG_F_WORD, LOG_F_TEXT, LOG_F_MS } kind;
    int64_t i;
    char id_prefix;
    struct span s;
};

static inline struct log_field log_int(const char *key, int64_t v) { return (struct log_field){.key = key, .kind = LOG_F_INT, .i = v}; }
/* "m1042", "d2210": prefix letter and number */
static inline struct log_field log_id(const char *key, char prefix, int64_t v) { return (struct log_field){.key = key, .kind = LOG_F_ID, .i = v, .id_prefix = prefix}; }
static inline struct log_field log_word(const char *key, const char *v) { return (struct log_field){.key = key, .kind = LOG_F_WORD, .s = span_of(v)}; }
static inline struct log_field log_span(const char *key, struct span v) { return (struct log_field){.key = key, .kind = LOG_F_WORD, .s = v}; }
static inline struct log_field log_text(const char *key, const char *v) { return (struct log_field){.key = key, .kind = LOG_F_TEXT, .s = span_of(v)}; }
static inline struct log_field log_ms(const char *key, int64_t us) { return (struct log_field){.key = key, .kind = LOG_F_MS, .i = us}; }

void log_set_level(enum log_level l);
enum log_level log_get_level(void);
const char *log_level_name(enum log_level l);
int  log_level_parse(const char *name, enum log_level *out);   /* -1 when it is none */
/* event is a constant phrase ("stored", "rejected"). */
void log_event_v(enum log_level l, const char *event, const struct log_field *f, size_t n);
#define log_event(level, event, ...) \
    log_event_v((level), (event), (const struct log_field[]){__VA_ARGS__}, \
                sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
/* This thread's lines wait in memory (64 kB, then they go) until log_flush(); errors and warnings take all that waits along. */
void log_hold(void);
void log_flush(void);
/* error kind, where and text of e as fields of one line */
void log_err(enum log_level l, const char *event, const struct err *e);
#endif
