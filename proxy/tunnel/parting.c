#include "proxy/tunnel/parting.h"

#include <errno.h>
#include <sys/socket.h>

#include "proxy/base/unread.h"

#define BLOCK_BYTES (64u * 1024)
#define BLOCKS_PER_TURN 4 /* then others have theirs */

void parting_begin(struct parting *parting, int fd)
{
    *parting = (struct parting){.fd = fd, .unsent = unread_unsent(fd)};
    shutdown(fd, SHUT_WR);
}

enum parting_result parting_drop(struct parting *parting)
{
    char data[BLOCK_BYTES];

    if (unread_unsent(parting->fd) == 0)
        return PARTING_OVER;
    for (int i = 0; i < BLOCKS_PER_TURN; i++) {
        ssize_t n;

        if (parting->dropped_bytes >= PARTING_MOST_BYTES)
            return PARTING_WAIT;
        n = recv(parting->fd, data, sizeof(data), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return PARTING_WAIT;
        if (n == 0 || (n < 0 && errno != EINTR))
            return PARTING_OVER;
        parting->dropped_bytes += n > 0 ? (uint32_t)n : 0;
    }
    return PARTING_MORE;
}

bool parting_is_taken(struct parting *parting)
{
    int before = parting->unsent;

    parting->unsent = unread_unsent(parting->fd);
    return parting->unsent > 0 && parting->unsent < before;
}
