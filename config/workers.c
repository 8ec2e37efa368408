#include "config/workers.h"

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include "config/limit.h"
#include "proxy/base/cgroup_read.h"

/* CPUs an affinity mask is asked about; the kernel refuses a mask smaller than its own. */
#define WORKERS_CPUS_MAX 8192

static uint64_t workers_quota_at(const struct cgroup_place *place)
{
    bool is_v1 = place->version == CGROUP_V1;
    int fd = cgroup_open_file(place, is_v1 ? "cpu.cfs_quota_us" : "cpu.max");
    int period_fd = is_v1 ? cgroup_open_file(place, "cpu.cfs_period_us") : -1;
    char content[64], period_content[64];
    struct text quota = cgroup_read_file(fd, content, sizeof(content));
    struct text period = cgroup_read_file(period_fd, period_content, sizeof(period_content));

    if (fd >= 0)
        close(fd);
    if (period_fd >= 0)
        close(period_fd);
    return is_v1 ? cgroup_cpu_quota(quota, period) : cgroup_cpu_max(quota);
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
