/*
 * xmem - heap allocation that cannot fail: out of memory ends the process with a line on stderr.
 * Hostile sizes never reach these: whatever grows with the input lives in an arena or a buf, which have caps.
 * Thread: any.
 */
#ifndef LABRELAY_XMEM_H
#define LABRELAY_XMEM_H
#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
/* Room for count elements of size bytes; multiplication is checked. */
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
#endif
