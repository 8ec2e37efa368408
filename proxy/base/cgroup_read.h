/* Reads where the files of this process's control group are, which cgroup finds in what the kernel tells. */
#ifndef PORTHOLE_BASE_CGROUP_READ_H
#define PORTHOLE_BASE_CGROUP_READ_H

#include <stddef.h>

#include "proxy/base/cgroup.h"

/* cgroup_find in two files, as a rule /proc/self/cgroup and /proc/self/mountinfo. CGROUP_NONE, too, when one cannot be
 * read. */
void cgroup_read(const char *membership, const char *mounts, struct text controller, struct cgroup_place *ret_place);
/* Opens a file of the group. A descriptor of the caller's, or -1. */
int cgroup_open_file(const struct cgroup_place *place, const char *name);
/* What an open file of the group holds, from its beginning, as far as there is room; nothing when fd is -1. */
struct text cgroup_read_file(int fd, char *data, size_t size);

#endif
