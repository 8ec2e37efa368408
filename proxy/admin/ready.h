/* Whether porthole is of use to those who come to it, and what is wrong, in words.
 *
 *   not ready   a stop was asked for, a listener is not at its place, or there are targets and none has a usable
 * endpoint ready       whatever else is wrong: some target without one (the others are still served), a file that was
 * refused (what ran before is served, all of it), memory that is short (who is in is served) */
#ifndef PORTHOLE_ADMIN_READY_H
#define PORTHOLE_ADMIN_READY_H

#include <jansson.h>

#include "proxy/admin/facts.h"

/* An array of texts: what is wrong, but for reloads. The caller owns it. NULL when out of memory; then it is not ready
 * either. */
json_t *ready_look(const struct facts *facts, bool *ret_ready);
/* /readyz: with how the last reload ended, which is a reason, too, when that was badly. Likewise. */
json_t *ready_document(const struct facts *facts, bool *ret_ready);

#endif
