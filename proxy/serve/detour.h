/* A descriptor whose owner, the library, speaks to nobody for a moment.
 *
 * The library ends a request, and looks for the next one on its connection, only when it has sent an answer of its own.
 * Where the client has had its answer by hand, there must not be another: meanwhile the library's descriptor is one end
 * of a socket that nobody reads, whatever call it sends by. What epoll watches is the socket, not the number, so that
 * nothing is lost of what happens to the connection meanwhile. */
#ifndef PORTHOLE_SERVE_DETOUR_H
#define PORTHOLE_SERVE_DETOUR_H

#include <stdbool.h>

/* Embedded in its client. */
struct detour {
    int fd;   /* borrowed: the number that leads elsewhere */
    int real; /* owned: where it led; -1 when it does */
    int sink; /* owned: the end that nobody reads */
};

#define DETOUR_INIT                      \
    {                                    \
        .fd = -1, .real = -1, .sink = -1 \
    }

/* From here on the number leads elsewhere. False when out of descriptors: nothing has changed. */
bool detour_begin(struct detour *detour, int fd);
/* It leads to the connection again. Harmless when it does. */
void detour_end(struct detour *detour);

#endif
