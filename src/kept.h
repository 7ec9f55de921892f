/*
 * kept - configurations by name, for the verbs diff, undo and show: a number, "running" (what ran last) or "disk".
 */
#ifndef LABRELAY_KEPT_H
#define LABRELAY_KEPT_H
#include "cli.h"
#include "store_config.h"

struct kept {
    char *path, *control, *store;       /* heap; of the configuration of -c, which may have mistakes; control and store may be NULL */
    struct store_reader *reader;        /* NULL: there is no store yet */
};
/* 0, or an exit code after saying why. kept_close() always. */
int  kept_open(struct kept *k, const struct cli *c);
void kept_close(struct kept *k);
/* "disk", "running", "7". label: "number 7". number_out 0 for the disk. 0 (clear files), or an exit code after saying why. */
int  kept_files(struct kept *k, const char *which, struct conf_files *files, char *label, size_t room, int64_t *number_out);
/* As cli_config(), for verbs that ask store and engine only: with mistakes on disk the configuration that ran last serves; a line on stderr says so. */
struct config *kept_config(const struct cli *c);
#endif
