/*
 * NAME kept - finds configurations that ran, and the one on disk, however broken that is.
 * DIAGNOSTICS on stderr: no store, no such number.
 */
#include "kept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

int kept_open(struct kept *k, const struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct err e = ERR_INIT;
    *k = (struct kept){.path = xstrdup(path ? path : LABRELAY_DEFAULT_CONF)};
    config_locate(k->path, &k->control, &k->store);
    if (!k->store) {
        fprintf(stderr, "labrelay: %s does not say where the store is\n", k->path);
        return EXIT_WRONG;
    }
    if (store_reader_open(&k->reader, k->store, &e))
        return cli_fail(&e);
    return EXIT_FINE;
}

void kept_close(struct kept *k)
{
    store_reader_close(k->reader);
    free(k->path);
    free(k->control);
    free(k->store);
}

int kept_files(struct kept *k, const char *which, struct conf_files *files, char *label, size_t room, int64_t *number_out)
{
    struct err e = ERR_INIT;
    int rc = 0;
    *files = (struct conf_files){0};
    *number_out = 0;
    if (strcmp(which, "disk") == 0) {
        config_files(k->path, &all_modules, files);
        (void)snprintf(label, room, "on disk");
        return EXIT_FINE;
    }
    if (strcmp(which, "running") == 0)
        rc = store_last_config(k->reader, 0, number_out, &e);
    else if (!cli_id(which, '#', number_out))
        rc = 1;
    if (rc == 0)
        rc = store_load_config(k->reader, *number_out, files, &e);
    if (rc < 0)
        return cli_fail(&e);
    if (rc > 0) {
        fprintf(stderr, "labrelay: there is no kept configuration \"%s\"; labrelay undo --list shows them\n", which);
        return EXIT_ABSENT;
    }
    (void)snprintf(label, room, "number %" PRId64, *number_out);
    return EXIT_FINE;
}

static struct config *load_last(struct kept *k, int64_t *number)
{
    struct conf_files files = {0};
    struct err e = ERR_INIT;
    struct diag *d = diag_new();
    struct config *conf = NULL;
    if (k->store && store_reader_open(&k->reader, k->store, &e) == 0 && store_last_config(k->reader, 0, number, &e) == 0 &&
        store_load_config(k->reader, *number, &files, &e) == 0)
        conf = config_load_kept(files.v[0].path, &files, &all_modules, d);
    conf_files_clear(&files);
    diag_free(d);
    return conf;
}

struct config *kept_config(const struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct kept k = {.path = xstrdup(path ? path : LABRELAY_DEFAULT_CONF)};
    struct diag *d = diag_new();
    int64_t number = 0;
    struct config *conf = config_load(k.path, &all_modules, d);
    if (!conf) {
        config_locate(k.path, &k.control, &k.store);
        conf = load_last(&k, &number);
        if (conf)
            fprintf(stderr, "labrelay: %s has mistakes, which labrelay check tells; this goes by configuration number %" PRId64 ", which ran last\n", k.path, number);
    }
    if (!conf) {
        struct buf b;
        buf_init(&b, (size_t)4 << 20);
        diag_format(d, &b);
        fwrite(b.p ? b.p : "", 1, b.n, stderr);
        buf_clear(&b);
    }
    diag_free(d);
    kept_close(&k);
    return conf;
}
