/* Socket files: names beyond what an address holds, what ss(8) shows of them, and whether somebody serves one. */
#ifndef PORTHOLE_LISTEN_SOCKET_FILE_H
#define PORTHOLE_LISTEN_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "proxy/base/error.h"
#include "proxy/listen/claim.h"

/* Who serves a socket: what the kernel says, which nobody can forge. */
struct socket_server {
    bool known; /* false when its backlog is full: it is somebody's, but not to be asked */
    uid_t uid;  /* of the process that called listen */
    struct claim claim;
};

/* The address of `name` in the directory (or, without a name, of the file) that is open as fd: sockaddr_un ends at
 * 107 bytes, a path does not. False when even that does not fit, which a short name always does. */
bool socket_file_address(int fd, const char *name, struct sockaddr_un *ret_address);

/* Tries to connect to the socket file that is open as fd (O_PATH). 0 when somebody serves it, with who it is;
 * -ECONNREFUSED when nobody does; another negative errno when that cannot be told. A file of our own whose mode keeps
 * us out is opened to us for that moment. *ret_process (where not NULL) becomes a descriptor of the process that serves
 * it (vigil_peer), for the caller to close, or is below 0: that is not known. */
int socket_file_probe(int fd, struct socket_server *ret_server, int *ret_process) WARN_UNUSED;

#endif
