/* Where a key stands that is there twice: jansson tells of the second only. Pure. */
#ifndef PORTHOLE_CONFIG_DUPLICATE_H
#define PORTHOLE_CONFIG_DUPLICATE_H

#include <stddef.h>
#include <stdint.h>

#define DUPLICATE_NONE SIZE_MAX

/* The offset of the first key in the object around `second` that is written like the key which begins there, with its
 * quote. DUPLICATE_NONE when there is none, as where one of them is written with escapes. */
size_t duplicate_find(const char *text, size_t length, size_t second);

#endif
