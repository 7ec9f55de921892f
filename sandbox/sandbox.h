/*
 * sandbox - `labrelay sandbox`: a small Go.Data 2.50.3 on loopback, to practise on, to demo and to test against.
 * A process of its own with a database of its own; it shares nothing with the engine. Thread: the caller's, only one.
 */
#ifndef LABRELAY_SANDBOX_H
#define LABRELAY_SANDBOX_H

/* argv[0] is the verb. Serves until SIGINT or SIGTERM. Exit code: 0 stopped by signal, 1 cannot start, 2 wrong options. */
int sandbox_main(int argc, char **argv);
#endif
