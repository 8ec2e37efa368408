/* What a configuration needs of the system once everything is open: the places in the file system, the ports, and the
 * powers over files. It is what the sandbox leaves; everything else is given up.
 *
 * From the snapshot, and from what the environment says about certificates and a supervisor. Nothing is looked at. */
#ifndef PORTHOLE_SANDBOX_NEEDS_H
#define PORTHOLE_SANDBOX_NEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

enum needs_kind {
    NEEDS_FILE,      /* to be read, also when another has taken its place: by a rename, or by links that are turned */
    NEEDS_ONE_FILE,  /* to be read, this one: nobody replaces it */
    NEEDS_TREE,      /* a directory, to be listed, and all in it to be read */
    NEEDS_DATA,      /* the same to be changed and made as well */
    NEEDS_LOG,       /* a file to be appended to, and to be made again when it was moved away */
    NEEDS_PUBLISHED, /* a socket to be made at this path */
    NEEDS_TARGET,    /* a socket to be connected to */
};

/* A place, and what for. */
struct needs_place {
    enum needs_kind kind;
    const char *path;      /* borrowed, from the snapshot, the environment, or constant */
    bool with_directory;   /* NEEDS_PUBLISHED: the directory is made again when it has gone */
    const char *what;      /* for people: "the socket of a listener" */
    uint32_t owner, group; /* NEEDS_PUBLISHED: who gets it, OWNER_UNCHANGED */
};

/* Owned by its user; needs_init, needs_deinit. */
struct needs {
    struct needs_place *places; /* owned */
    size_t n_places;
    uint16_t *connect; /* owned; TCP ports to connect to, each once */
    size_t n_connect;
    uint16_t *bind; /* the same to listen on */
    size_t n_bind;
    bool names;    /* of hosts are looked up */
    bool patterns; /* are matched, by generated code where that can be had */
    bool abstract; /* sockets of others are connected to, or may be */
};

/* Lists what the snapshot needs, which must outlive it. 0 or -ENOMEM. */
int needs_init(struct needs *needs, const struct snapshot *snapshot) WARN_UNUSED;
void needs_deinit(struct needs *needs);

#endif
