/* send_http - the HTTP half of `labrelay send`. Prints the answer; returns the exit code. Thread: main. */
#ifndef LABRELAY_SEND_HTTP_H
#define LABRELAY_SEND_HTTP_H
#include "cli.h"

/* token_file: a bearer token, or NULL. */
int send_http(const char *to, const char *path, const char *token_file, bool is_json);
#endif
