#include "proxy/base/give_back.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GIVE_BACK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define GIVE_BACK_SANITIZED 1
#endif
#endif

/* malloc/malloc.c of glibc: a chunk's size, header and rounding included, stands in the word before the block; its
 * lowest three bits are flags, of which "mmapped" (2) would mean another layout. */
#define CHUNK_HEADER_BYTES sizeof(size_t)
#define CHUNK_ALIGNMENT (2 * sizeof(size_t))
#define CHUNK_IS_MMAPPED 2u
#define CHUNK_FLAGS 7u

bool give_back_is_block(const void *at, size_t bytes)
{
#if defined(__GLIBC__) && !defined(GIVE_BACK_SANITIZED)
    /* At the beginning of a page the word before it may be in no mapping at all. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size, wanted = (bytes + CHUNK_HEADER_BYTES + CHUNK_ALIGNMENT - 1) & ~(CHUNK_ALIGNMENT - 1);

    if (((uintptr_t)at & (page - 1)) < CHUNK_HEADER_BYTES)
        return false;
    memcpy(&size, (const char *)at - CHUNK_HEADER_BYTES, sizeof(size));
    /* A remainder too small for a chunk of its own stays with the block. */
    return !(size & CHUNK_IS_MMAPPED) &&
           ((size & ~(size_t)CHUNK_FLAGS) == wanted || (size & ~(size_t)CHUNK_FLAGS) == wanted + CHUNK_ALIGNMENT);
#else
    (void)at;
    (void)bytes;
    return false;
#endif
}

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
