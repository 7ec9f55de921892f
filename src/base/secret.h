/*
 * secret - passwords and tokens: read from a credential file, never from argv or the environment, wiped when freed.
 * A credential NAME is looked for in $CREDENTIALS_DIRECTORY (systemd LoadCredential), then in `credentials/` beside the config file.
 * Thread: main (config load). Errors: ERR_CONFIG names the path; a file readable by others is refused.
 */
#ifndef LABRELAY_SECRET_H
#define LABRELAY_SECRET_H
#include "err.h"
#include "span.h"

/* *out: heap string without the trailing line end; free with secret_free. */
int  secret_load(const char *config_file, const char *name, char **out, struct err *e);
void secret_free(char *s);                          /* wipes first; NULL is fine */
bool secret_equal(struct span a, struct span b);    /* constant time for equal lengths */
#endif
