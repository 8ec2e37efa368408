/* Incarnations of a Unix socket: whether the file at a path is another one than before. Who listens behind it may be
 * another then; connections that were made before lead to the old one, which may live on. */
#ifndef PORTHOLE_REACH_INCARNATION_H
#define PORTHOLE_REACH_INCARNATION_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/clock.h"

/* How old what is known of the file may be, when somebody is about to use a connection that was made before. */
#define INCARNATION_LOOK_MS 100

/* Embedded in its owner; all zero but for the path at first. */
struct incarnation {
    const char *path;   /* borrowed; NULL: it is no file */
    struct instant due; /* when to look next */
    bool is_known;      /* the rest is */
    uint64_t device, inode;
    int64_t since_ns; /* when it was made; where the file system does not tell, when it was last changed */
};

/* Looks at the file: whether it is another one. Not so when nothing was known, nor when there is none now. */
bool incarnation_look(struct incarnation *incarnation, struct instant now);

static inline bool incarnation_is_due(const struct incarnation *incarnation, struct instant now)
{
    return incarnation->path && !instant_before(now, incarnation->due);
}

#endif
