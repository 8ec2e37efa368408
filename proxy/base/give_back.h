/* Giving idle memory back to the kernel without freeing it. */
#ifndef PORTHOLE_BASE_GIVE_BACK_H
#define PORTHOLE_BASE_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `at` is the very beginning of a block of `bytes` that glibc's malloc has handed out. Judged by the word
 * before it, which is malloc's own record of the block's size: readable whenever `at` lies in some block. Always false
 * with another allocator, and under AddressSanitizer. */
bool give_back_is_block(const void *at, size_t bytes);

/* Lets the kernel have the pages that lie wholly inside a block of private anonymous memory and hold nothing but zeros;
 * they read as zeros ever after, so nobody can tell. No other thread may write to the block meanwhile. */
void give_back_zero_pages(void *at, size_t bytes);

#endif
