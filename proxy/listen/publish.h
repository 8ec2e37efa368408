/* Publishing a Unix socket at a path; the part of listener that touches the file system. */
#ifndef PORTHOLE_LISTEN_PUBLISH_H
#define PORTHOLE_LISTEN_PUBLISH_H

#include "proxy/listen/listener.h"

/* Publishes listener->config at its path and fills in the listener's descriptors, file name, device and inode.
 * On failure the listener, and what was at the path, are untouched and nothing is left behind. */
int publish_unix(struct listener *listener, bool takeover, struct error *error) WARN_UNUSED;

/* Whether there is a socket at the path that somebody serves, as far as this process may tell. */
bool publish_is_served(const char *path);

/* Waits a bounded time for the directory's publishers to be done, then keeps them out until publish_unlock.
 * 0 or a negative errno, -EWOULDBLOCK when somebody holds the lock all the time. */
int publish_lock(int directory_fd) WARN_UNUSED;
void publish_unlock(int directory_fd);

#endif
