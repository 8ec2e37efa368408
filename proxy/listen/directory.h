/* The directory of a socket: found, or made when only the last one of the path is missing. */
#ifndef PORTHOLE_LISTEN_DIRECTORY_H
#define PORTHOLE_LISTEN_DIRECTORY_H

#include <stdbool.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

/* On its user's stack. */
struct directory {
    const char *path; /* borrowed */
    int fd;           /* owned; O_RDONLY, -1 when there is none */
    bool created;     /* by us, just now */
};

/* Opens directory->path. One that we make gets the mode and group of the configuration and no ACL; one that was there
 * is never changed: when the configuration asks for a mode, it is refused unless it has that, and belongs to root or
 * us. `real_path` is where it must be, if it is not NULL: where it was when the socket was published first. 0 or a
 * negative errno. */
int directory_open(struct directory *directory, const struct listener_config *config, const char *real_path,
                   struct error *error) WARN_UNUSED;

/* What that would meet, with nothing made or changed. 0 with the directory open, or without (-1) where it would be
 * made; or a negative errno, also when we cannot write to it. */
int directory_look(struct directory *directory, const struct listener_config *config, struct error *error) WARN_UNUSED;

/* Sets the error to why nothing can be made in it. Returns r. */
int directory_explain_write(const struct directory *directory, int r, struct error *error);

/* Where an open directory really is, by descriptor. The caller owns it; NULL when that can't be told. */
char *directory_real_path(int fd) WARN_UNUSED;

/* Takes the directory away again if it was made and is empty. */
void directory_undo(const struct directory *directory);

#endif
