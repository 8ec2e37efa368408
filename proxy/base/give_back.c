#include "proxy/base/give_back.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool page_is_zero(const char *page, size_t bytes)
{
    return page[0] == 0 && memcmp(page, page + 1, bytes - 1) == 0;
}

void give_back_zero_pages(void *at, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)at + page - 1) & ~(page - 1), last = ((uintptr_t)at + bytes) & ~(page - 1);

    while (first < last) {
        uintptr_t end = first;

        while (end < last && page_is_zero((const char *)end, page))
            end += page;
        if (end > first)
            madvise((void *)first, end - first, MADV_DONTNEED);
        first = end + page;
    }
}

void give_back_free_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
