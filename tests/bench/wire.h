/* What the bench's backend and load generator must agree on: the bytes of a body, and how they are sent. */
#ifndef PORTHOLE_BENCH_WIRE_H
#define PORTHOLE_BENCH_WIRE_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

/* Byte i of every body is i modulo a prime, so that a lost, doubled or moved block shows. One stretch is a whole
 * number of periods and small enough to stay in the cache: sending it over and over costs only the copy. */
#define WIRE_PERIOD 251u
#define WIRE_STRETCH (WIRE_PERIOD * 256u)
#define WIRE_STRETCHES 4

static unsigned char wire_stretch[WIRE_STRETCH];

static inline void wire_init(void)
{
    for (size_t i = 0; i < WIRE_STRETCH; i++)
        wire_stretch[i] = (unsigned char)(i % WIRE_PERIOD);
}

/* Fills `address`; -ENAMETOOLONG when the path does not fit. */
static inline int wire_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

/* Sends what is left of a head and of a patterned body, in as few calls as the socket takes; `sent` counts both.
 * Returns 1 when all of it is sent, 0 when the socket is full, or a negative errno. */
static inline int wire_send(int fd, const char *head, size_t head_length, uint64_t body_length, uint64_t *sent)
{
    while (*sent < head_length + body_length) {
        struct iovec iov[1 + WIRE_STRETCHES];
        int n_iov = 0;
        uint64_t at = 0; /* offset in the body */
        if (*sent < head_length)
            iov[n_iov++] = (struct iovec){(void *)(head + *sent), head_length - *sent};
        else
            at = *sent - head_length;
        for (int i = 0; i < WIRE_STRETCHES && at < body_length; i++) {
            size_t offset = at % WIRE_STRETCH;
            size_t length = WIRE_STRETCH - offset;
            if (length > body_length - at)
                length = (size_t)(body_length - at);
            iov[n_iov++] = (struct iovec){wire_stretch + offset, length};
            at += length;
        }
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n_iov};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        *sent += (uint64_t)n;
    }
    return 1;
}

#endif
