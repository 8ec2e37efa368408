/* Places: what of the file system must stay open for a need, so that ordinary changes of it go on working.
 *
 * A rule of Landlock is about a file or directory that is there, whatever its name; so what is replaced needs a rule
 * for the directory in which that happens:
 *
 *   a file that is read  the directory it lies in, and that of each link on the way that somebody may turn: the last
 *                        one, and links into a place below their own (..data of a ConfigMap, current -> releases/5)
 *   a file by itself     where it is mounted alone, as a container's /etc/hosts is: nobody can replace it
 *   a log                the directory it is made in; what is no regular file, by itself
 *   a socket             its directory, and with directory_mode the one above, in which it is made again
 *
 * The root directory would open everything, so that files right in it are taken by themselves. */
#ifndef PORTHOLE_SANDBOX_PLACE_H
#define PORTHOLE_SANDBOX_PLACE_H

#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/sandbox/needs.h"

/* Told of a path, and the rights over it and all below it. 0, or what place_each is to return. */
typedef int place_fn(void *closure, const char *path, uint64_t rights);

/* Tells what a need takes, in terms of what is there now; may tell a path more than once. */
int place_each(const struct needs_place *place, place_fn *fn, void *closure) WARN_UNUSED;

#endif
