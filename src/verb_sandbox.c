/* NAME labrelay sandbox - a Go.Data stand-in on loopback, to practise on (sandbox/). */
#include "cli.h"
#include "sandbox.h"

const struct verb verb_sandbox = {.name = "sandbox", .synopsis = "[--help]", .help = "a Go.Data stand-in on loopback, to practise on", .raw = sandbox_main};
