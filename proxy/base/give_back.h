/* Giving idle memory back to the kernel without freeing it. */
#ifndef PORTHOLE_BASE_GIVE_BACK_H
#define PORTHOLE_BASE_GIVE_BACK_H

#include <stddef.h>

/* Lets the kernel have the pages that lie wholly inside a block of private anonymous memory and hold nothing but zeros;
 * they read as zeros ever after, so nobody can tell. No other thread may write to the block meanwhile. */
void give_back_zero_pages(void *at, size_t bytes);

/* Lets the kernel have the pages of the whole process that the C library keeps without use. */
void give_back_free_memory(void);

#endif
