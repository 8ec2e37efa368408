/* Publishing a Unix socket at a path; the part of listener that touches the file system. */
#ifndef PORTHOLE_LISTEN_PUBLISH_H
#define PORTHOLE_LISTEN_PUBLISH_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

/* What has been published. */
struct publication {
    int fd;           /* owned; listening, non-blocking, close-on-exec */
    int directory_fd; /* owned; O_DIRECTORY */
    char *name;       /* owned; the file's in that directory */
    dev_t device;     /* of the file */
    ino_t inode;
};

/* Publishes a socket at the path of config->bind. On failure *ret_publication and what was at the path are untouched,
 * and nothing is left behind. */
int publish_unix(const struct listener_config *config, bool takeover, struct publication *ret_publication,
                 struct error *error) WARN_UNUSED;

/* Waits a bounded time for the directory's publishers to be done, then keeps them out until publish_unlock.
 * 0 or a negative errno, -EWOULDBLOCK when somebody holds the lock all the time. */
int publish_lock(int directory_fd) WARN_UNUSED;
void publish_unlock(int directory_fd);

#endif
