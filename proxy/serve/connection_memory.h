/* The memory in which libmicrohttpd keeps a request of a connection and its answer (frontend_memory.h).
 *
 * Above 32 KiB the library maps it for each connection by itself. The program defines mmap(2) and munmap(2), as it does
 * with recv(2) (receipt.h), and gives it places of slabs instead: no system call for a connection that comes or goes,
 * whole pages with nothing else on them, so that those of an idle connection can go back to the kernel (give_back.h),
 * and beside each other the little that is left of it elsewhere. */
#ifndef PORTHOLE_SERVE_CONNECTION_MEMORY_H
#define PORTHOLE_SERVE_CONNECTION_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/list.h"

/* Places of one size, for one thread. Embedded in the daemon whose connections have them. */
struct connection_memory {
    size_t bytes;      /* of a place: whole pages */
    struct list slabs; /* of slab, those with free places first */
    size_t n_free;     /* places */
    size_t n_warm;     /* of them: their pages are still here */
    size_t n_unused;   /* of these: nobody has wanted them since the last rest */
};

void connection_memory_init(struct connection_memory *memory, size_t bytes);
/* Nobody has a place any more. */
void connection_memory_deinit(struct connection_memory *memory);

/* A place, all zeros, or NULL when out of memory. */
void *connection_memory_take(struct connection_memory *memory);
/* Gives it back. False, and nothing happens, when it is none of these. */
bool connection_memory_give(struct connection_memory *memory, void *place);

/* Lets the kernel have the pages of free places that nobody has wanted since the last time: to be called every now and
 * then. */
void connection_memory_rest(struct connection_memory *memory);

/* From here on what this thread unmaps may be a place of this; NULL: it is not. */
void connection_memory_show(struct connection_memory *memory);
/* From here on what it maps of that size is to be one. Only while nothing else is done than to add a connection. */
void connection_memory_offer(struct connection_memory *memory);

#endif
