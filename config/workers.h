/* How many workers "auto" means. */
#ifndef PORTHOLE_CONFIG_WORKERS_H
#define PORTHOLE_CONFIG_WORKERS_H

#include <stdint.h>

/* The CPUs this process may use: its affinity, and the quota of its cgroups rounded up. At least 1. */
uint32_t workers_auto(void);

/* The smallest CPU quota, in thousandths of a CPU, of the cgroup that these files tell of (as /proc/self/cgroup and
 * /proc/self/mountinfo) and of all its parents; v2 and v1. UINT64_MAX when there is none. */
uint64_t workers_quota(const char *membership, const char *mounts);

#endif
