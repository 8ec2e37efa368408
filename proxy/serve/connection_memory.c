/* Slabs of places.
 *
 * A slab has as many places as a word has bits. One that has none free is behind all that have. The places that were
 * given back last are taken first, with their pages; more than some of these leave their pages to the kernel, and a
 * slab nobody has a place of goes as soon as there are free places enough without it. */
#include "proxy/serve/connection_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACES 64u /* of a slab: the bits of its words */
#define MOST_WARM PLACES

struct slab {
    struct list link; /* in connection_memory.slabs */
    char *places;     /* owned: a mapping */
    uint64_t free;    /* which of them are */
    uint64_t warm;    /* which of these have pages */
};

static _Thread_local struct connection_memory *memory_shown, *memory_offered;

static void *map_pages(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset); /* NOLINT(performance-no-int-to-ptr) */
}

static void slab_free(struct connection_memory *memory, struct slab *slab)
{
    list_remove(&slab->link);
    syscall(SYS_munmap, slab->places, PLACES * memory->bytes);
    memory->n_free -= PLACES;
    memory->n_warm -= (size_t)__builtin_popcountll(slab->warm);
    free(slab);
}

static struct slab *slab_new(struct connection_memory *memory)
{
    struct slab *slab = calloc(1, sizeof(*slab));

    if (!slab)
        return NULL;
    slab->places = map_pages(NULL, PLACES * memory->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->places == MAP_FAILED) {
        free(slab);
        return NULL;
    }
    madvise(slab->places, PLACES * memory->bytes, MADV_NOHUGEPAGE); /* one would be fifty places */
    slab->free = UINT64_MAX;
    memory->n_free += PLACES;
    list_prepend(&memory->slabs, &slab->link);
    return slab;
}

void connection_memory_init(struct connection_memory *memory, size_t bytes)
{
    *memory = (struct connection_memory){.bytes = bytes};
    list_init(&memory->slabs);
}

void connection_memory_deinit(struct connection_memory *memory)
{
    while (!list_empty(&memory->slabs))
        slab_free(memory, CONTAINER_OF(memory->slabs.next, struct slab, link));
}

/* ---- places ---- */

void *connection_memory_take(struct connection_memory *memory)
{
    struct slab *slab = memory->n_free > 0 ? CONTAINER_OF(memory->slabs.next, struct slab, link) : slab_new(memory);
    uint64_t bit;

    if (!slab)
        return NULL;
    bit = slab->warm ? slab->warm & -slab->warm : slab->free & -slab->free;
    memory->n_free--;
    memory->n_warm -= slab->warm != 0;
    if (memory->n_warm < memory->n_unused)
        memory->n_unused = memory->n_warm;
    slab->free &= ~bit;
    slab->warm &= ~bit;
    if (!slab->free) {
        list_remove(&slab->link);
        list_append(&memory->slabs, &slab->link);
    }
    return slab->places + (size_t)__builtin_ctzll(bit) * memory->bytes;
}

/* What was used of a place, so that pages nobody has touched stay away. */
static void place_clear(char *place, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (char *at = place; at < place + bytes; at += page)
        if (at[0] != 0 || memcmp(at, at + 1, page - 1) != 0)
            memset(at, 0, page);
}

static struct slab *connection_memory_find(const struct connection_memory *memory, const char *place)
{
    for (struct list *link = memory->slabs.previous; link != &memory->slabs; link = link->previous) {
        struct slab *slab = CONTAINER_OF(link, struct slab, link);

        if ((uintptr_t)place - (uintptr_t)slab->places < PLACES * memory->bytes)
            return slab;
    }
    return NULL;
}

bool connection_memory_give(struct connection_memory *memory, void *place)
{
    struct slab *slab = connection_memory_find(memory, place);
    uint64_t bit;

    if (!slab)
        return false;
    bit = UINT64_C(1) << ((size_t)((char *)place - slab->places) / memory->bytes);
    slab->free |= bit;
    memory->n_free++;
    if (memory->n_warm < MOST_WARM) {
        place_clear(place, memory->bytes);
        slab->warm |= bit;
        memory->n_warm++;
    } else {
        madvise(place, memory->bytes, MADV_DONTNEED);
    }
    list_remove(&slab->link);
    list_prepend(&memory->slabs, &slab->link);
    if (slab->free == UINT64_MAX && memory->n_free >= 2 * (size_t)PLACES)
        slab_free(memory, slab);
    return true;
}

static void slab_cool(struct connection_memory *memory, struct slab *slab)
{
    for (; memory->n_unused > 0 && slab->warm; memory->n_unused--, memory->n_warm--) {
        madvise(slab->places + (size_t)__builtin_ctzll(slab->warm) * memory->bytes, memory->bytes, MADV_DONTNEED);
        slab->warm &= slab->warm - 1;
    }
}

void connection_memory_rest(struct connection_memory *memory)
{
    for (struct list *link = memory->slabs.previous; link != &memory->slabs; link = link->previous)
        slab_cool(memory, CONTAINER_OF(link, struct slab, link));
    memory->n_unused = memory->n_warm;
}

/* ---- the library's calls ---- */

void connection_memory_show(struct connection_memory *memory)
{
    memory_shown = memory;
}

void connection_memory_offer(struct connection_memory *memory)
{
    memory_offered = memory;
}

/* ThreadSanitizer must see each mapping, before it has begun even: with it the library maps by itself. */
#ifndef __SANITIZE_THREAD__
static bool memory_is_wanted(const void *at, size_t bytes, int protection, int flags, int fd)
{
    return memory_offered && bytes == memory_offered->bytes && !at && fd == -1 &&
           protection == (PROT_READ | PROT_WRITE) && flags == (MAP_PRIVATE | MAP_ANONYMOUS);
}

/* These stand before libc's, whose own parts call theirs. Whoever else calls them gets what the kernel says. */
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *place = memory_is_wanted(at, bytes, protection, flags, fd) ? connection_memory_take(memory_offered) : NULL;

    return place ? place : map_pages(at, bytes, protection, flags, fd, offset);
}

int munmap(void *at, size_t bytes)
{
    if (memory_shown && bytes == memory_shown->bytes && connection_memory_give(memory_shown, at))
        return 0;
    return (int)syscall(SYS_munmap, at, bytes);
}
#endif
