/* Where the files are that tell of the memory and the processors of a process's control group, and what they say. Pure:
 * whoever asks has read the files (proc(5): /proc/PID/cgroup, /proc/PID/mountinfo; cgroups(7); the kernel's
 * admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and scheduler/sched-bwc.rst). */
#ifndef PORTHOLE_BASE_CGROUP_H
#define PORTHOLE_BASE_CGROUP_H

#include <limits.h>
#include <stdint.h>

#include "proxy/base/text.h"

enum cgroup_version { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/* The group's directory. Its parents, up to the mount, are groups, too, whose limits hold for it as well. */
struct cgroup_place {
    enum cgroup_version version; /* NONE: the rest says nothing */
    char directory[PATH_MAX];
    size_t mount_length; /* of the part of it that is the mount's own */
};

/* Of the controller "memory" or "cpu". `membership` is what /proc/PID/cgroup holds, `mounts` /proc/PID/mountinfo. A
 * hierarchy of version 1 that has the controller comes before version 2. Of a group that lies outside of what is
 * mounted here, as inside of a container, the mount itself is taken. */
void cgroup_find(struct text membership, struct text mounts, struct text controller, struct cgroup_place *ret_place);
/* Goes on to the parent. False at the mount. */
bool cgroup_go_up(struct cgroup_place *place);

/* memory.max, memory.high and memory.current, or memory.limit_in_bytes and memory.usage_in_bytes, in bytes. UINT64_MAX:
 * no limit ("max", and what version 1 has for that), or not a number. */
uint64_t cgroup_bytes(struct text content);
/* Of memory.stat: what the kernel can have back when it needs it, in bytes: pages of files, and of version 2 its own
 * caches. */
uint64_t cgroup_reclaimable(enum cgroup_version version, struct text stat);

/* cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us: thousandths of a processor, rounded up. UINT64_MAX: no quota
 * ("max", or -1), or not numbers. */
uint64_t cgroup_cpu_max(struct text max);
uint64_t cgroup_cpu_quota(struct text quota, struct text period);

#endif
