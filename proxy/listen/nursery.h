/* Nurseries: private directories beside the place where a file is to appear.
 *
 * In a nursery a socket (or a directory) is nobody's but ours until it is ready to be renamed over its place. Whoever
 * may write the directory around it can rename the nursery and put something else at its name, so all that is done goes
 * through the descriptor of the one that was checked. */
#ifndef PORTHOLE_LISTEN_NURSERY_H
#define PORTHOLE_LISTEN_NURSERY_H

#include "proxy/base/error.h"

#define NURSERY_PREFIX ".porthole-"
#define NURSERY_RANDOM 8
#define NURSERY_NAME_BYTES (sizeof(NURSERY_PREFIX) + NURSERY_RANDOM)

/* On its user's stack. */
struct nursery {
    int parent_fd; /* borrowed; the directory that it is in */
    int fd;        /* owned; O_PATH, -1 when there is none */
    char name[NURSERY_NAME_BYTES];
};

#define NURSERY_INIT               \
    {                              \
        .parent_fd = -1, .fd = -1, \
    }

/* 0 or a negative errno; -ESTALE when what lies at the name is not what we made, or not ours alone. */
int nursery_make(struct nursery *nursery, int parent_fd) WARN_UNUSED;

/* Makes a directory in the nursery. Returns its descriptor (O_PATH), which is also that of another one in its place if
 * that is as good, ours, empty and for nobody else; or a negative errno, -ESTALE as above. */
int nursery_make_directory(const struct nursery *nursery, const char *name) WARN_UNUSED;

/* Takes it away, with the file of that name if it is still there. Harmless without one, and twice. */
void nursery_remove(struct nursery *nursery, const char *file);

/* Takes away those that a crash left in the directory: private directories of ours with nothing but a socket that
 * nobody serves. However many names there are, only so many are looked at: failing to remove one is no reason not to
 * serve. Looks into a directory once in the life of the process; of the main thread. */
void nursery_remove_leftovers(int parent_fd);

#endif
