/* Memory of what may be large, and is soon over: from some size on it is a mapping of its own, which goes back to the
 * kernel when it is freed. An allocator that has seen large blocks come and go keeps as much. */
#ifndef PORTHOLE_BASE_BLOCK_H
#define PORTHOLE_BASE_BLOCK_H

#include <stddef.h>

#include "proxy/base/error.h"

#define BLOCK_MAPPED_BYTES ((size_t)128 << 10)

/* A block of `new_bytes` that begins with what one of `old_bytes` had, which is gone; NULL and 0: there was none. NULL
 * when out of memory: then the old one is as it was. */
void *block_resize(void *block, size_t old_bytes, size_t new_bytes) WARN_UNUSED;
/* Takes NULL. */
void block_free(void *block, size_t bytes);

#endif
