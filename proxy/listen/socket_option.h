/* socket(7): an option of SOL_SOCKET that is a number. The address of a listener may not tell of what family its socket
 * is: one that was passed is of any. */
#ifndef PORTHOLE_LISTEN_SOCKET_OPTION_H
#define PORTHOLE_LISTEN_SOCKET_OPTION_H

#include <errno.h>
#include <sys/socket.h>

/* Its value, or a negative errno. */
static inline int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t length = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -errno : value;
}

#endif
