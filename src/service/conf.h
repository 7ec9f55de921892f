/*
 * conf - a configuration, read, checked and compiled whole. Grammar: labrelay.conf.5.
 *
 * Immutable after config_load(); any thread may read it. It outlives everything opened from it: see src/engine/reload.c.
 */
#ifndef LABRELAY_CONF_H
#define LABRELAY_CONF_H
#include "conf_files.h"
#include "conf_alarm.h"
#include "diag.h"
#include "ops.h"

struct ruleset;
struct tables;
struct conf_test;

struct store_conf {
    char *path;                         /* absolute or relative to the config file's folder, resolved */
    int64_t keep_delivered_us;          /* keep-delivered; 0: for ever */
    int64_t keep_raw_us;                /* keep-raw; 0: as long as the message */
    int64_t size_max_bytes;             /* size-max: file and log together; 0: no cap */
    int64_t disk_free_min_percent;      /* stop-accepting when disk-free below N% ; default 5 */
    int64_t commit_delay_us;            /* group commit closes at this age; default 5 ms */
    int64_t commit_bytes;               /* or this size; default 4 MB */
};

struct parser_conf {
    const struct parser_ops *ops;
    void *options;
};

struct listener_conf {
    char *name;
    const struct listener_ops *ops;
    void *options;
    const struct parser_ops *parser;    /* the first of parsers */
    void *parser_options;
    struct parser_conf *parsers;        /* in the order of their `parse` statements */
    size_t n_parsers;
    size_t index;
    char mark[65];                      /* the same: the same kind, name, options and parsers: see conf_mark.h */
    struct expect expect;               /* every listener's own option */
    struct diag_place at;
};

struct writer_conf {
    char *name;
    const struct writer_ops *ops;
    void *options;
    int64_t couriers;                   /* threads for this writer; default 4, 1..32 (engine's own options of every writer) */
    int64_t settle_unknown_us;          /* default 60 s */
    int64_t retry_max_us;               /* back-off cap; default 15 min */
    char mark[65];                      /* as of a listener */
    struct diag_place at;
};

struct conf_table_mark { char *name; char mark[65]; };

struct config {
    char *path;                         /* of the main file */
    bool is_kept;                       /* from kept texts, not from disk */
    char hash[17];                      /* 16 hex of the SHA-256 over all files read, tables included */
    char *node;
    struct store_conf store;
    char *control_path;                 /* control socket; default: store path + ".sock" */
    int64_t duplicate_window_us;        /* duplicate-window; default 30 d */
    int64_t memory_budget_bytes;        /* memory-budget; default 64 MB */
    struct listener_conf *listeners;
    size_t n_listeners;
    struct writer_conf *writers;
    size_t n_writers;
    struct alarm_conf alarm;
    struct tables *tables;
    struct ruleset *rules;
    struct conf_test *tests;            /* see conf_test.h; they live in the memory of rules */
    size_t n_tests;
    /* What decides about observations: the same marks, the same decisions. */
    char rules_mark[65];                /* routes and the settings of the top level */
    struct conf_table_mark *table_marks;    /* of each table: its statement and its file */
    size_t n_table_marks;
    struct conf_files files;            /* what it was read from; until config_drop_files() */
};

/* NULL when there is any error; all of them are in d. Warnings do not stop it. */
struct config *config_load(const char *path, const struct modules *m, struct diag *d);
/* The same from kept texts (conf_files.is_given; taken over and emptied): credentials and time zones still come from the disk. */
struct config *config_load_kept(const char *path, struct conf_files *given, const struct modules *m, struct diag *d);
/* As config_load_kept(), and appends the whole of it to out with every default made explicit and secrets hidden: a configuration again, for the same folder. */
struct config *config_load_shown(const char *path, struct conf_files *given, const struct modules *m, struct diag *d, struct buf *out);
/* The files that it is read from, as far as they can be read, whatever is wrong with it. */
void config_files(const char *path, const struct modules *m, struct conf_files *out);
void config_drop_files(struct config *c);           /* gives their memory back */
/* Where engine and store of a configuration are, even when it has mistakes: heap, or NULL when that cannot be found out. */
void config_locate(const char *path, char **control, char **store);
/* The option tables of the top level, of store and of every writer, for --help and the man page; NULL past the last. */
const struct option_table *config_tables(size_t i, const char **name);
void config_free(struct config *c);     /* NULL is fine */
const char *config_listener_place(const struct listener_conf *lc);      /* its address or inbox; NULL when it has none */
const struct listener_conf *config_listener_find(const struct config *c, const char *name);
/* Which of the listener's parsers reads these bytes: the wanted one (name, NULL: none), else the first that knows them, else the first.
 * NULL when the wanted one is not among them. */
const struct parser_conf *config_parser_find(const struct listener_conf *lc, const char *wanted, struct span frame);
const struct writer_conf *config_writer_find(const struct config *c, const char *name);
#endif
