/* Whether all that was configured is served, in words. Pure. */
#ifndef PORTHOLE_ADMIN_READY_H
#define PORTHOLE_ADMIN_READY_H

#include <jansson.h>

#include "proxy/admin/facts.h"

/* An array of what is missing; empty: nothing is. The caller owns it. NULL when out of memory. A configuration that was
 * refused is no reason: what ran before is served, all of it. */
json_t *ready_reasons(const struct facts *facts);

#endif
