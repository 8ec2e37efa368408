/* Access control lists: what a directory of somebody else's gives to files that are made in it. */
#ifndef PORTHOLE_LISTEN_ACL_H
#define PORTHOLE_LISTEN_ACL_H

#include <stdbool.h>

#include "proxy/base/error.h"

/* Takes away what a file of ours (open as fd, O_PATH will do) was given by the default ACL of its directory, and, from
 * a directory, what it would give on: owner, group and mode are to say who may do what. 0, also where there is nothing;
 * or a negative errno. */
int acl_clear(int fd) WARN_UNUSED;

/* Whether the file has one; a volume may keep it without an error. */
bool acl_is_there(int fd);

#endif
