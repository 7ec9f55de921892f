/*
 * godata_live - what the account sees and may, as JSON for `labrelay check --live`:
 *   {"state":"ready","outbreak_id":"…","is_active":true,"permissions_known":true,"missing":["case_create"],
 *    "codes":{"LNG_REFERENCE_DATA_CATEGORY_…":true,…},"unknown":["NATIONAL_ID_CRAD"],"locations":12}
 * unknown: document types that the options name and Go.Data does not have.
 * state is "ready" or the reason that stops it (LOGIN_FAILED, UNREACHABLE, OUTBREAK_UNKNOWN …) with "detail". What is not known is left out.
 */
#ifndef LABRELAY_GODATA_LIVE_H
#define LABRELAY_GODATA_LIVE_H
#include "godata_session.h"

/* One login, then only reading, then the token is given back. Heap. */
char *godata_ask(const void *options, unsigned needs);
/* What a running writer knows; nothing is sent. Engine thread. Heap. */
char *godata_tell(const struct writer *w, unsigned needs);
/* Server, account and outbreak in one text: two writers with the same one see the same. Heap. */
char *godata_identity(const void *options);
#endif
