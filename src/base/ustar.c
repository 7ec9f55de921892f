/* NAME ustar - writes tar archives. Numbers are octal text; the checksum is the sum of the header's bytes with its own field as blanks. */
#include "ustar.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 512

struct header {                         /* POSIX.1-1988 */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], user[32], group[32], major[8], minor[8],
        prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

/* n - 1 octal digits and a NUL. */
static void put_octal(char *field, size_t n, uint64_t v)
{
    field[n - 1] = '\0';
    for (size_t i = n - 1; i-- > 0; v /= 8)
        field[i] = (char)('0' + v % 8);
}

void ustar_add(struct buf *b, const char *name, struct span bytes, int64_t mtime_s)
{
    static const char zeros[BLOCK];
    struct header h;
    unsigned sum = 0;
    size_t n = strlen(name);
    memset(&h, 0, sizeof h);
    assert(n > 0 && n <= sizeof h.name && name[0] != '/' && !strstr(name, ".."));
    memcpy(h.name, name, n);
    put_octal(h.mode, sizeof h.mode, 0600);
    put_octal(h.uid, sizeof h.uid, 0);
    put_octal(h.gid, sizeof h.gid, 0);
    put_octal(h.size, sizeof h.size, bytes.n);
    put_octal(h.mtime, sizeof h.mtime, mtime_s > 0 ? (uint64_t)mtime_s : 0);
    memset(h.checksum, ' ', sizeof h.checksum);
    h.type = '0';
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    memcpy(h.user, "labrelay", 8);
    memcpy(h.group, "labrelay", 8);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const unsigned char *)&h)[i];
    put_octal(h.checksum, 7, sum);      /* six digits, NUL, blank */
    buf_add(b, &h, sizeof h);
    buf_add_span(b, bytes);
    if (bytes.n % BLOCK)
        buf_add(b, zeros, BLOCK - bytes.n % BLOCK);
}

void ustar_end(struct buf *b)
{
    static const char zeros[2 * BLOCK];
    buf_add(b, zeros, sizeof zeros);
}
