/*
 * store_config - the configurations that ran: their numbers, when, and the texts of their files. Never a credential.
 * Writing is part of the open batch (engine). Reading: any thread, with its own reader.
 */
#ifndef LABRELAY_STORE_CONFIG_H
#define LABRELAY_STORE_CONFIG_H
#include "store.h"

#define STORE_CONFIGS_KEPT 200          /* texts of the latest so many; numbers and times of all runs stay, up to STORE_RUNS_KEPT */
#define STORE_RUNS_KEPT 2000

/* Some more bytes of a text, at most `most`, so that the swap finds it there; several batches may pass between the calls. */
int  store_keep_config_text(struct store *q, const struct conf_file *f, size_t most, bool *is_kept, struct err *e);
/* The configuration with this number runs from now on (how: start, reload, undo). Nothing is added when it is the one that ran last, unless how is
 * start. Keeps its texts when they are not kept yet. */
int  store_put_config_run(struct store *q, int64_t number, const char *how, const char *who, const struct conf_files *files, struct err *e);

struct store_config_run { int64_t number, since_us; char hash[17]; const char *how, *who; bool has_files; };
/* The latest first. fn returns false to stop. */
int  store_list_config_runs(struct store_reader *r, bool (*fn)(void *ctx, const struct store_config_run *run), void *ctx, struct err *e);
/* The one that ran last (skip 0), or the last one with another number than skip. 0 found, 1 none. */
int  store_last_config(struct store_reader *r, int64_t skip, int64_t *number_out, struct err *e);
/* Texts of a number, given (conf_files.is_given). 0 found (caller clears), 1 not kept. */
int  store_load_config(struct store_reader *r, int64_t number, struct conf_files *out, struct err *e);
#endif
