/* Which routes of a listener a request could take at all, by host and path: so that a thousand routes cost what one
 * does.
 *
 * A route is found under the literal path or prefix and the host that it asks for; one with neither (a pattern, other
 * conditions only) is found under nothing, so for every request. Routes are told in their order. Pure. */
#ifndef PORTHOLE_CONFIG_ROUTE_INDEX_H
#define PORTHOLE_CONFIG_ROUTE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/text.h"

/* With fewer routes than this, trying each is quicker. */
#define ROUTE_INDEX_LEAST 8

#define ROUTE_INDEX_NONE SIZE_MAX

/* Of routes that stay as they are. NULL when out of memory. */
struct route_index *route_index_new(const struct route_config *routes, size_t n_routes) WARN_UNUSED;
/* Takes NULL. */
void route_index_free(struct route_index *index);

/* More lists than that are not merged: every route is told then. */
#define ROUTE_WALK_MOST 64

/* On its way through the candidates for one request. */
struct route_walk {
    const struct route_index *index; /* NULL: every route is a candidate */
    size_t n_routes, next;
    size_t n_lists;
    uint32_t lists[ROUTE_WALK_MOST]; /* the next route of each */
};

/* `host` is without a port; `path` as matching sees it. */
void route_walk_begin(struct route_walk *walk, const struct listener_config *listener, struct text host,
                      struct text path);
/* The number of the next candidate; ROUTE_INDEX_NONE at the end. */
size_t route_walk_next(struct route_walk *walk);

#endif
