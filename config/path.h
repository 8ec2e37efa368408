/* Paths of route conditions. */
#ifndef PORTHOLE_CONFIG_PATH_H
#define PORTHOLE_CONFIG_PATH_H

#include <stddef.h>

/* NULL when matching can see `path` exactly as it is written (DESIGN: "What matching sees"); else what is wrong with
 * it, a literal, and *ret_at is the byte that it is about. */
const char *path_config_check(const char *path, size_t *ret_at);

#endif
