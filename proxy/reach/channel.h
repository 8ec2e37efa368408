/* Channels: open connections to endpoints, plain or TLS, as connect makes them. */
#ifndef PORTHOLE_REACH_CHANNEL_H
#define PORTHOLE_REACH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* An open connection: non-blocking. Embedded in its owner. */
struct channel {
    int fd;          /* owned, -1 when closed */
    void *tls;       /* owned easy handle, NULL for a plain connection */
    void *multi;     /* borrowed: the multi handle that tls lives in */
    bool maybe_more; /* the last receive got all it asked for: there may be more to read */
};

#define CHANNEL_INIT \
    {                \
        .fd = -1     \
    }

/* As send(2) and recv(2) without flags: a count, 0 at the end (recv), -EAGAIN, or another negative errno. */
ssize_t channel_send(struct channel *channel, const void *data, size_t length);
ssize_t channel_recv(struct channel *channel, void *data, size_t size);
/* Receives into two places, the second of at most CHANNEL_EXTRA_BYTES; the count is over both. */
#define CHANNEL_EXTRA_BYTES 16
ssize_t channel_recv_parts(struct channel *channel, void *data, size_t size, void *extra, size_t extra_size);
/* Whether nothing more has arrived; a byte that has is lost. Costs no system call where the last receive has told it
 * already. */
bool channel_is_silent(struct channel *channel);
/* Closes; harmless when closed. */
void channel_close(struct channel *channel);

#endif
