/* Pipes for splice(2): bytes on their way from one socket to another without a copy. For one thread. */
#ifndef PORTHOLE_BASE_PIPE_H
#define PORTHOLE_BASE_PIPE_H

#include <stddef.h>
#include <sys/types.h>

/* Owned by whoever took it; empty when taken and when given back. */
struct pipe {
    struct pipe *next; /* in the free list */
    int in, out;       /* owned; non-blocking */
    size_t bytes;      /* inside */
};

struct pipe_store {
    struct pipe *spare;
    size_t n_spare, n_pipes;
};

/* What one pipe holds at most; less where the user's pipes have used up their memory (pipe(7)). */
#define PIPE_BYTES (256u * 1024)

void pipe_store_deinit(struct pipe_store *store);
/* NULL when there are enough already, or no descriptors: copy instead. */
struct pipe *pipe_take(struct pipe_store *store);
/* Gives one back; one that is not empty is closed with what it holds. Takes NULL. */
void pipe_give(struct pipe_store *store, struct pipe *pipe);

/* From a non-blocking socket into an empty pipe, at most so much, and out of it to another: what was moved, 0 at the
 * end of file (fill), or a negative errno. */
ssize_t pipe_fill(struct pipe *pipe, int fd, size_t most);
ssize_t pipe_drain(struct pipe *pipe, int fd);

#endif
