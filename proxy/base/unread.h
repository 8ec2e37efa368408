/* What the other end of a connection has not read yet of what was sent to it: whether a slow reader takes anything.
 *
 * A Unix socket's own count (SIOCOUTQ) changes only when a whole piece as it was sent has been read, up to 48 KiB. What
 * the other end has in its queue is exact; the kernel tells it (sock_diag(7)) of sockets of our network namespace. */
#ifndef PORTHOLE_BASE_UNREAD_H
#define PORTHOLE_BASE_UNREAD_H

#include <stdint.h>

/* Bytes that the peer of a connected Unix stream socket has not read, exactly; or a negative errno. */
int64_t unread_at_peer(int fd);
/* Bytes on their way that the kernel of the other end has not acknowledged (TCP, the end of file included), or that the
 * other end has not read, in whole pieces (Unix); 0 when that cannot be told. One system call. */
int unread_unsent(int fd);
/* A number that is another one when something has been taken since: the best that is to be had; 0 when none is. A few
 * system calls: for deadlines, not for every round. */
int64_t unread_look(int fd);

#endif
