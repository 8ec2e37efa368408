#include "config/workers.h"

#include <sched.h>
#include <unistd.h>

#include "config/limit.h"
#include "proxy/base/cgroup_read.h"

/* CPUs an affinity mask is asked about; the kernel refuses a mask smaller than its own. */
#define WORKERS_CPUS_MAX 8192

static struct text workers_read(const struct cgroup_place *place, const char *name, char *data, size_t size)
{
    int fd = cgroup_open_file(place, name);
    struct text text = cgroup_read_file(fd, data, size);

    if (fd >= 0)
        close(fd);
    return text;
}

static uint64_t workers_quota_at(const struct cgroup_place *place)
{
    char quota[64], period[64];

    if (place->version == CGROUP_V2)
        return cgroup_cpu_max(workers_read(place, "cpu.max", quota, sizeof(quota)));
    return cgroup_cpu_quota(workers_read(place, "cpu.cfs_quota_us", quota, sizeof(quota)),
                            workers_read(place, "cpu.cfs_period_us", period, sizeof(period)));
}

uint64_t workers_quota(const char *membership, const char *mounts)
{
    struct cgroup_place place;
    uint64_t least = UINT64_MAX, quota;

    cgroup_read(membership, mounts, TEXT_LITERAL("cpu"), &place);
    if (place.version == CGROUP_NONE)
        return UINT64_MAX;
    do {
        quota = workers_quota_at(&place);
        if (quota < least)
            least = quota;
    } while (cgroup_go_up(&place));
    return least;
}

static uint64_t workers_affinity(void)
{
    cpu_set_t *set = CPU_ALLOC(WORKERS_CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(WORKERS_CPUS_MAX);
    int n = 0;

    if (set && sched_getaffinity(0, size, set) == 0)
        n = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    return n > 0 ? (uint64_t)n : 1;
}

uint32_t workers_auto(void)
{
    uint64_t cpus = workers_affinity();
    uint64_t quota = workers_quota("/proc/self/cgroup", "/proc/self/mountinfo");

    if (quota != UINT64_MAX && (quota + 999) / 1000 < cpus)
        cpus = (quota + 999) / 1000;
    if (cpus > limits[LIMIT_WORKERS].maximum)
        cpus = limits[LIMIT_WORKERS].maximum;
    return cpus > 0 ? (uint32_t)cpus : 1;
}
