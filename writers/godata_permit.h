/*
 * godata_permit - which of Go.Data's permissions the writer's account lacks for what the configuration asks (GODATA-API 1.4, 4.1,
 * appendix A). Pure. Thread: any.
 */
#ifndef LABRELAY_GODATA_PERMIT_H
#define LABRELAY_GODATA_PERMIT_H
#include <jansson.h>

#include "godata_options.h"

/* What the options ask beyond the routes. */
unsigned godata_permit_needs(const struct godata_options *o, unsigned needs);
/* Does the role list hold it? `<group>_all` implies the members of the group. */
bool godata_permit_has(const json_t *permissions, const char *permission);
/* A new array of permission ids that are needed and not held; empty: all is well. */
json_t *godata_permit_missing(const struct godata_options *o, unsigned needs, const json_t *permissions);
#endif
