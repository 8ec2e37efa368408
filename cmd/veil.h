/* What a route sends, for showing: values that hold what variables of the environment do stand there as they are
 * written. */
#ifndef PORTHOLE_CMD_VEIL_H
#define PORTHOLE_CMD_VEIL_H

#include <stdbool.h>

#include "config/snapshot.h"

/* Borrows from the route and its snapshot, but for what it replaces. */
struct veil {
    struct edits edits;
    struct rewrite rewrite; /* a path that is put there is "/(environment)" */
};

/* False: out of memory. To be given back in any case. */
bool veil_init(struct veil *veil, const struct snapshot *snapshot, const struct route_config *route) WARN_UNUSED;
void veil_deinit(struct veil *veil, const struct route_config *route);

#endif
