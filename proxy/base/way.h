/* Ways: directories that are reached through those of others. */
#ifndef PORTHOLE_BASE_WAY_H
#define PORTHOLE_BASE_WAY_H

#include <stdbool.h>
#include <sys/stat.h>

#include "proxy/base/error.h"

/* Opens a directory (O_PATH), step by step. A symbolic link is followed only where nobody but root and we could have
 * put it; any other is -ELOOP. Returns the descriptor or a negative errno; *ret_shared (which may be NULL) is whether
 * somebody else may rename what is on the way, or make names in the directory itself. */
int way_open(const char *path, bool *ret_shared) WARN_UNUSED;

/* Whether somebody but root and us may make, rename and take away names in a directory. With the sticky bit they may
 * make them, but not touch ours. */
bool way_is_shared(const struct stat *directory);

/* Whether it belongs to root or us. */
bool way_is_trusted_owner(const struct stat *st);

#endif
