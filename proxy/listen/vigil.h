/* A vigil: tells when another process has ended, however it did. A killed one says nothing, and nothing changes in a
 * directory where its socket lies; but whoever has a descriptor of the process itself (pidfd_open(2)) is told. */
#ifndef PORTHOLE_LISTEN_VIGIL_H
#define PORTHOLE_LISTEN_VIGIL_H

#include "proxy/base/loop.h"

/* Embedded in its owner; one thread's. */
struct vigil {
    struct loop *loop; /* borrowed */
    /* The process has ended: what it served, nobody serves any more. The vigil is over; another may begin in it. */
    void (*ended)(struct vigil *vigil);
    int process; /* owned; -1: nobody is watched */
    struct source source;
};

/* The process at the other end of a connected Unix socket; of a client's end, the one that listened. A descriptor that
 * the caller closes, or a negative errno where there is no such thing (an old kernel, another container). */
int vigil_peer(int connection) WARN_UNUSED;

/* Nobody is watched yet. */
void vigil_init(struct vigil *vigil, struct loop *loop, void (*ended)(struct vigil *vigil));
/* Watches this process, whose descriptor is taken over, instead of any other; below 0: none. When that cannot be had,
 * nobody is watched. */
void vigil_keep(struct vigil *vigil, int process);
/* Watches nobody. Harmless twice, and on one of zeros. */
void vigil_end(struct vigil *vigil);

#endif
