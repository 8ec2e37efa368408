/* Routes: which one a request takes. Pure, on the snapshot. */
#ifndef PORTHOLE_EXCHANGE_ROUTE_H
#define PORTHOLE_EXCHANGE_ROUTE_H

#include "config/snapshot.h"
#include "proxy/http/request.h"

enum route_result { ROUTE_FOUND, ROUTE_NONE, ROUTE_AMBIGUOUS, ROUTE_TOO_LONG };

/* Finds the first route of the listener that matches. The path is looked into only where some route has a condition on
 * it; one that could mean something else to the target is ROUTE_AMBIGUOUS unless a route with path_ambiguity "allow"
 * takes it. `scratch` holds the path as matching sees it; where it has fewer bytes than request->origin, a path that
 * would have to be looked into is ROUTE_TOO_LONG. */
enum route_result route_find(const struct listener_config *listener, const struct request *request, char *scratch,
                             size_t scratch_bytes, const struct route_config **ret_route);

#endif
