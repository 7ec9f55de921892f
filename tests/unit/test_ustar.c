/* A tar archive byte by byte: header fields, checksum, padding, end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ustar.h"

static void writes_headers_that_tar_reads(void **state)
{
    (void)state;
    struct buf b;
    unsigned sum = 0;
    buf_init(&b, 1 << 20);
    ustar_add(&b, "a/b.txt", SPAN_LIT("hello"), 1234567890);
    ustar_add(&b, "empty", SPAN_LIT(""), 0);
    char block[513];
    memset(block, 'x', 512);
    ustar_add(&b, "one-block", span_make(block, 512), 0);
    ustar_end(&b);
    assert_int_equal(b.n, 512 * (2 + 1 + 2 + 2));
    assert_string_equal(b.p, "a/b.txt");
    assert_string_equal(b.p + 100, "0000600");
    assert_string_equal(b.p + 124, "00000000005");
    assert_string_equal(b.p + 136, "11145401322");
    assert_memory_equal(b.p + 257, "ustar\00000", 8);
    assert_int_equal(b.p[156], '0');
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)b.p[i];
    assert_int_equal(strtoul(b.p + 148, NULL, 8), sum);
    assert_int_equal(b.p[154], '\0');
    assert_int_equal(b.p[155], ' ');
    assert_memory_equal(b.p + 512, "hello\0\0\0", 8);
    assert_string_equal(b.p + 1024, "empty");
    assert_memory_equal(b.p + 2048, block, 512);
    for (size_t i = b.n - 1024; i < b.n; i++)
        assert_int_equal(b.p[i], 0);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_headers_that_tar_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
