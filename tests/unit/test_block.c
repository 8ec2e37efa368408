/* Blocks keep what is in them, however they grow and shrink, and large ones go back to the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/block.h"

static void test_block_keeps_what_is_in_it(void **state)
{
    static const size_t sizes[] = {1,
                                   4096,
                                   BLOCK_MAPPED_BYTES - 1,
                                   BLOCK_MAPPED_BYTES,
                                   1u << 20,
                                   5u << 20,
                                   300000,
                                   1u << 24,
                                   4096,
                                   BLOCK_MAPPED_BYTES,
                                   7};
    unsigned char *block = NULL;
    size_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t kept = bytes < sizes[i] ? bytes : sizes[i];

        block = block_resize(block, bytes, sizes[i]);
        assert_non_null(block);
        bytes = sizes[i];
        for (size_t j = 0; j < kept; j += 509)
            assert_int_equal(block[j], (unsigned char)(j / 509));
        for (size_t j = 0; j < bytes; j += 509)
            block[j] = (unsigned char)(j / 509);
        block[bytes - 1] = bytes % 509 == 1 ? block[bytes - 1] : 0;
    }
    block_free(block, bytes);
    block_free(NULL, 0);
}

static void test_block_that_is_large_goes_back_to_the_kernel(void **state)
{
    unsigned char *block = block_resize(NULL, 0, 1u << 20);
    unsigned char resident[1];

    (void)state;
    assert_non_null(block);
    block[0] = 1;
    assert_int_equal(mincore(block, 4096, resident), 0);
    block_free(block, 1u << 20);
    assert_int_not_equal(mincore(block, 4096, resident), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_keeps_what_is_in_it),
        cmocka_unit_test(test_block_that_is_large_goes_back_to_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
