/* The one spelling of a path, also of one that is not there yet. */
#ifndef PORTHOLE_BASE_REAL_PATH_H
#define PORTHOLE_BASE_REAL_PATH_H

#include "proxy/base/error.h"

/* The absolute path with every symbolic link, "." and ".." resolved as far as it exists and may be searched; what comes
 * after is taken as it is written, without empty components, "." and "..". The caller owns it; NULL: out of memory. */
char *real_path(const char *path) WARN_UNUSED;

#endif
