/* The memory gauge: how much memory is used, of how much that may be.
 *
 * What a limit is for is what cannot be had back when it is reached: pages of files are counted by the kernel, too, and
 * are not counted here. What others in the same group use is: they die of the limit like ourselves.
 *
 * The files are opened before rights are given up, and read again at each look: a limit that is changed while we run
 * holds from then on. Without a limit nothing stays open but what tells of the process itself. */
#ifndef PORTHOLE_BASE_MEMORY_GAUGE_H
#define PORTHOLE_BASE_MEMORY_GAUGE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/cgroup.h"

/* Groups above one another that have a limit: a service, its slice, a container's around them. */
#define MEMORY_GAUGE_LEVELS 4

/* Of one group. All owned, -1: not to be had. */
struct memory_level {
    int max, high, used, stat;
};

/* Embedded; one thread's. */
struct memory_gauge {
    enum cgroup_version version;
    struct memory_level levels[MEMORY_GAUGE_LEVELS];
    size_t n_levels; /* 0: there is no limit */
    int statm;       /* owned, -1: not to be had */
};

#define MEMORY_GAUGE_INIT \
    {                     \
        .statm = -1       \
    }

struct memory_figures {
    uint64_t used_bytes;
    uint64_t limit_bytes; /* UINT64_MAX: there is none, or nothing is known of it */
};

/* As /proc/self has the files; others are for tests. */
void memory_gauge_open(struct memory_gauge *gauge, const char *membership, const char *mounts);
/* Harmless twice. */
void memory_gauge_close(struct memory_gauge *gauge);

/* Of the group that is nearest to its limit. A few system calls, tens of microseconds. */
struct memory_figures memory_gauge_look(const struct memory_gauge *gauge);
/* What the process has for itself of the machine's memory, in bytes; what lies in files and is shared is not. 0: not
 * known. */
uint64_t memory_gauge_own_bytes(const struct memory_gauge *gauge);

#endif
