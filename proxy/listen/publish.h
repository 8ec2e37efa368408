/* Publishing a Unix socket at a path; the part of listener that touches the file system. */
#ifndef PORTHOLE_LISTEN_PUBLISH_H
#define PORTHOLE_LISTEN_PUBLISH_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/listen/claim.h"

/* What has been published. */
struct publication {
    int fd;           /* owned; listening, non-blocking, close-on-exec */
    int directory_fd; /* owned; O_DIRECTORY */
    char *name;       /* owned; the file's in that directory */
    dev_t device;     /* of the file */
    ino_t inode;
    struct claim claim;
    bool made_directory; /* it was not there before */
};

/* Whose living socket at the path may be replaced. A dead one always is, and what is no socket never. */
enum publish_over {
    PUBLISH_OVER_NOBODY,
    PUBLISH_OVER_PORTHOLE, /* a takeover: of our own user */
    PUBLISH_OVER_ANYBODY,  /* the path is ours already: everybody but a successor */
};

/* What is where one is to be made. */
enum publish_found {
    PUBLISH_FOUND_NOTHING,
    PUBLISH_FOUND_LEFTOVER, /* a socket that nobody serves */
    PUBLISH_FOUND_NO_DIRECTORY,
};

/* One publication under way. Heap; the main thread's. */
struct publish;

/* Makes everything but the last step: a socket that listens where nobody sees it, with its owner and mode, to be shown
 * at the path of config->bind. On failure nothing is left behind. 0 or a negative errno. */
int publish_prepare(const struct listener_config *config, enum publish_over over, struct publish **ret_publish,
                    struct error *error) WARN_UNUSED;
/* Whether what was at the path is a living process's of our user. */
bool publish_replaces(const struct publish *publish);
/* The last step, once: a rename, if what is at the path may still be replaced. *ret_publication is the caller's, who
 * has it until the publish is freed. On failure what was at the path is untouched, and it can only be freed. 0 or a
 * negative errno. */
int publish_show(struct publish *publish, struct publication *ret_publication, struct error *error) WARN_UNUSED;
/* After publish_show, when something else has failed: if it is still our socket that is at the path, a living one that
 * was replaced is there again, without a moment in which nothing is; else it is taken away. */
void publish_revoke(struct publish *publish);
/* What was shown stays and cannot be revoked any more; what was not is taken away, with a directory that was made for
 * it. Takes NULL. */
void publish_free(struct publish *publish);

/* All of it in one go. Publishes a socket at the path of config->bind. `since`: when the path was claimed; 0 for now.
 * `real_directory` is where its directory must be (directory_real_path), or NULL: a link that is put in its place later
 * leads nowhere. On failure *ret_publication and what was at the path are untouched, and nothing is left behind. */
int publish_unix(const struct listener_config *config, enum publish_over over, uint64_t since,
                 const char *real_directory, struct publication *ret_publication, struct error *error) WARN_UNUSED;

/* What publishing over nobody would meet, with nothing made. A publish_found, or a negative errno with the error that
 * it would end with. */
int publish_look(const struct listener_config *config, struct error *error) WARN_UNUSED;

#endif
