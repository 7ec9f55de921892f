/*
 * crash - named points where a test build kills itself, so that recovery from each of them is proved.
 * Nothing at all unless built with --enable-crash-points (LABRELAY_CRASH). Then LABRELAY_CRASH_AT=name:hit raises SIGKILL at the
 * hit-th time the point is passed (1 is the first), and LABRELAY_CRASH_LOG=file gets the name of every point passed, one a line.
 * Thread: any.
 */
#ifndef LABRELAY_CRASH_H
#define LABRELAY_CRASH_H

#ifdef LABRELAY_CRASH
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif
#endif
