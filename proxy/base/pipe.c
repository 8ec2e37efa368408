#include "proxy/base/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_PIPES 16 /* a pipe is two descriptors and as much kernel memory as it holds */
#define MOST_SPARE 2

static void pipe_close(struct pipe_store *store, struct pipe *pipe)
{
    close(pipe->in);
    close(pipe->out);
    free(pipe);
    store->n_pipes--;
}

void pipe_store_deinit(struct pipe_store *store)
{
    while (store->spare) {
        struct pipe *pipe = store->spare;

        store->spare = pipe->next;
        pipe_close(store, pipe);
    }
    store->n_spare = 0;
}

static struct pipe *pipe_make(struct pipe_store *store)
{
    struct pipe *pipe = calloc(1, sizeof(*pipe));
    int ends[2];

    if (!pipe || pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        free(pipe);
        return NULL;
    }
    pipe->out = ends[0];
    pipe->in = ends[1];
    (void)fcntl(pipe->in, F_SETPIPE_SZ, (int)PIPE_BYTES); /* as it is, it holds 64 KiB */
    store->n_pipes++;
    return pipe;
}

struct pipe *pipe_take(struct pipe_store *store)
{
    struct pipe *pipe = store->spare;

    if (!pipe)
        return store->n_pipes < MOST_PIPES ? pipe_make(store) : NULL;
    store->spare = pipe->next;
    store->n_spare--;
    return pipe;
}

void pipe_give(struct pipe_store *store, struct pipe *pipe)
{
    if (!pipe)
        return;
    if (pipe->bytes > 0 || store->n_spare == MOST_SPARE) {
        pipe_close(store, pipe);
        return;
    }
    pipe->next = store->spare;
    store->spare = pipe;
    store->n_spare++;
}

ssize_t pipe_fill(struct pipe *pipe, int fd, size_t most)
{
    ssize_t n;

    do
        n = splice(fd, NULL, pipe->in, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    pipe->bytes += (size_t)n;
    return n;
}

ssize_t pipe_drain(struct pipe *pipe, int fd)
{
    ssize_t n;

    do
        n = splice(pipe->out, NULL, fd, NULL, pipe->bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    pipe->bytes -= (size_t)n;
    return n;
}
