/* Stand-ins for the real listeners, parsers and writers: their option tables only. For the tests of configuration and rules. */
#ifndef LABRELAY_TEST_CONF_MODULES_H
#define LABRELAY_TEST_CONF_MODULES_H
#include "conf.h"

struct test_mllp { char *address; struct option_list allow; int64_t max_size, idle; int64_t connections; };
struct test_files { char *inbox; int64_t settle; };
struct test_http { char *address, *path, *tokens; };
struct test_hl7 { int charset; char *timezone; bool is_strict; };
struct test_godata { char *url, *login, *password, *outbreak; char match[64]; int no_match; };

extern const struct modules test_modules;
#endif
