/* Memory given back: nobody can tell but the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/give_back.h"

#define PAGES 16

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t count_resident(const char *pages, size_t n)
{
    unsigned char resident[PAGES + 1];
    size_t n_resident = 0;

    assert_true(n <= sizeof(resident));
    assert_int_equal(mincore((void *)pages, n * page_bytes(), resident), 0);
    for (size_t i = 0; i < n; i++)
        n_resident += resident[i] & 1;
    return n_resident;
}

static char *map_pages(void)
{
    char *pages = mmap(NULL, PAGES * page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(pages != MAP_FAILED);
    madvise(pages, PAGES * page_bytes(), MADV_NOHUGEPAGE);
    memset(pages, 'x', PAGES * page_bytes());
    memset(pages, 0, PAGES * page_bytes());
    return pages;
}

static void test_give_back_zero_pages_leave(void **state)
{
    char *pages = map_pages();

    (void)state;
    assert_int_equal(count_resident(pages, PAGES), PAGES);
    give_back_zero_pages(pages, PAGES * page_bytes());
    assert_int_equal(count_resident(pages, PAGES), 0);
    for (size_t i = 0; i < PAGES * page_bytes(); i++)
        assert_int_equal(pages[i], 0);
    munmap(pages, PAGES * page_bytes());
}

/* One byte anywhere on a page keeps it. */
static void test_give_back_keeps_every_byte(void **state)
{
    char *pages = map_pages();
    size_t at[] = {0, page_bytes() - 1, 5 * page_bytes() + 7, 6 * page_bytes(), PAGES * page_bytes() - 1};

    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        pages[at[i]] = (char)('a' + i);
    give_back_zero_pages(pages, PAGES * page_bytes());
    assert_int_equal(count_resident(pages, PAGES), 4);
    for (size_t i = 0; i < PAGES * page_bytes(); i++) {
        char want = 0;

        for (size_t j = 0; j < sizeof(at) / sizeof(at[0]); j++)
            want = at[j] == i ? (char)('a' + j) : want;
        assert_int_equal(pages[i], want);
    }
    munmap(pages, PAGES * page_bytes());
}

/* Pages that only partly belong to the block are somebody else's as well. */
static void test_give_back_leaves_the_edges(void **state)
{
    char *pages = map_pages();

    (void)state;
    give_back_zero_pages(pages + 1, PAGES * page_bytes() - 2);
    assert_int_equal(count_resident(pages, PAGES), 2);
    assert_int_equal(count_resident(pages, 1), 1);
    give_back_zero_pages(pages + 8, page_bytes());
    give_back_zero_pages(pages, page_bytes() - 1);
    give_back_zero_pages(pages, 0);
    assert_int_equal(count_resident(pages, 1), 1);
    munmap(pages, PAGES * page_bytes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_give_back_zero_pages_leave),
        cmocka_unit_test(test_give_back_keeps_every_byte),
        cmocka_unit_test(test_give_back_leaves_the_edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
