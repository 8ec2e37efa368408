/* The one spelling of a path, also of one that is not there yet. */
#ifndef PORTHOLE_BASE_REAL_PATH_H
#define PORTHOLE_BASE_REAL_PATH_H

#include "proxy/base/error.h"

/* The absolute path without empty components, "." and "..", and with every symbolic link followed that may be looked
 * at: also one that leads to what is not there yet, and as many in all as the kernel follows. The caller owns it; NULL:
 * out of memory. */
char *real_path(const char *path) WARN_UNUSED;

#endif
