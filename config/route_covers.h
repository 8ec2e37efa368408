/* Whether one route takes all that another could, so that the other, below it, is never taken. Pure. */
#ifndef PORTHOLE_CONFIG_ROUTE_COVERS_H
#define PORTHOLE_CONFIG_ROUTE_COVERS_H

#include "config/snapshot.h"
#include "proxy/http/pattern.h"

/* Never true where it is not so. False also where it cannot be seen: two different patterns are not compared, nor are
 * different conditions on fields, parameters or peers. */
bool route_covers(const struct route_config *above, const struct route_config *below, struct pattern_memory *memory);

#endif
