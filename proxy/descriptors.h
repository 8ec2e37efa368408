/* How many descriptors the process may have, and how many of them are for clients. Main thread. */
#ifndef PORTHOLE_DESCRIPTORS_H
#define PORTHOLE_DESCRIPTORS_H

#include <stdint.h>

#include "config/snapshot.h"

/* Raises the limit as far as it goes, and warns where it is less than the snapshot could need. */
void descriptors_raise(const struct snapshot *snapshot);
/* How many are open now, while none has been closed; `any` is one of them. */
uint64_t descriptors_count(int any);
/* How many clients the limit allows when `n_used` are for other things: each may need another one for its connection to
 * a target, as far as targets may have so many. At least 1; UINT32_MAX: without a limit. */
uint32_t descriptors_places(const struct snapshot *snapshot, uint64_t n_used);

#endif
