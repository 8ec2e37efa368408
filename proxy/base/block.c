#include "proxy/base/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of its own; zeroed. */
static void *block_map(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return block == MAP_FAILED ? NULL : block;
}

static void *block_remap(void *block, size_t old_bytes, size_t new_bytes)
{
    void *moved = mremap(block, old_bytes, new_bytes, MREMAP_MAYMOVE);

    return moved == MAP_FAILED ? NULL : moved;
}

/* From one kind to the other. */
static void *block_move(void *block, size_t old_bytes, size_t new_bytes)
{
    void *moved = new_bytes < BLOCK_MAPPED_BYTES ? malloc(new_bytes) : block_map(new_bytes);

    if (!moved)
        return NULL;
    if (block)
        memcpy(moved, block, old_bytes < new_bytes ? old_bytes : new_bytes);
    block_free(block, old_bytes);
    return moved;
}

void *block_resize(void *block, size_t old_bytes, size_t new_bytes)
{
    if (old_bytes < BLOCK_MAPPED_BYTES && new_bytes < BLOCK_MAPPED_BYTES)
        return realloc(block, new_bytes);
    if (old_bytes >= BLOCK_MAPPED_BYTES && new_bytes >= BLOCK_MAPPED_BYTES)
        return block_remap(block, old_bytes, new_bytes);
    return block_move(block, old_bytes, new_bytes);
}

void block_free(void *block, size_t bytes)
{
    if (block && bytes >= BLOCK_MAPPED_BYTES)
        munmap(block, bytes);
    else
        free(block);
}
