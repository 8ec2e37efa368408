/* The descriptors that libcurl opens for one attempt: paths too long for a socket address, what the system said, and
 * taking a descriptor over. */
#ifndef PORTHOLE_REACH_CONNECT_SOCKET_H
#define PORTHOLE_REACH_CONNECT_SOCKET_H

#include <sys/socket.h>

#include "config/address.h"
#include "proxy/reach/addresses.h"

/* Embedded in its attempt, which libcurl's callbacks are given while it lasts. */
struct connect_socket {
    const struct address *address; /* borrowed */
    const struct addresses *known; /* where its host name leads to; borrowed; NULL for one without */
    int kept_fd;                   /* the descriptor that libcurl must not close any more, -1 */
    int file_fd;                   /* owned; of an endpoint with a long path, -1 */
    int error_number;              /* of what failed here, 0 */
    struct sockaddr_storage tried; /* the last address of several that a name may have; ss_family is 0 before */
};

#define CONNECT_SOCKET_WHERE_BYTES 64

void connect_socket_init(struct connect_socket *sock, const struct address *address);
/* Sets the callbacks on an easy handle, for another try. */
void connect_socket_begin(struct connect_socket *sock, void *easy);
/* The try is over: libcurl's handle is gone, or taken over. */
void connect_socket_end(struct connect_socket *sock);
/* Writes the internet address that was tried last, "127.0.0.1:80" or "[::1]:80"; "" where none was. */
void connect_socket_where(const struct connect_socket *sock, char out[CONNECT_SOCKET_WHERE_BYTES]);
/* The path for CURLOPT_UNIX_SOCKET_PATH. */
const char *connect_socket_path(const struct address *address);

#endif
