#include "config/workers.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/limit.h"
#include "proxy/base/error.h"

/* CPUs an affinity mask is asked about; the kernel refuses a mask smaller than its own. */
#define WORKERS_CPUS_MAX 8192

static bool workers_read_line(const char *directory, const char *file, char *line, int size)
{
    char path[PATH_MAX];
    FILE *from;
    bool read;

    if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int)sizeof(path))
        return false;
    from = fopen(path, "re");
    if (!from)
        return false;
    read = fgets(line, size, from) != NULL;
    fclose(from);
    return read;
}

/* "max 100000" and "-1" are no quota: sscanf finds no positive number. */
static uint64_t workers_ratio(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0 || quota > INT64_MAX / 1000)
        return UINT64_MAX;
    return ((uint64_t)quota * 1000 + (uint64_t)period - 1) / (uint64_t)period;
}

/* The quota that one cgroup directory itself sets. */
static uint64_t workers_quota_of(const char *directory, bool v2)
{
    int64_t quota = 0, period = 0;
    char line[64];

    if (v2) {
        if (!workers_read_line(directory, "cpu.max", line, sizeof(line)) ||
            sscanf(line, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
            return UINT64_MAX;
    } else if (!workers_read_line(directory, "cpu.cfs_quota_us", line, sizeof(line)) ||
               sscanf(line, "%" SCNd64, &quota) != 1 ||
               !workers_read_line(directory, "cpu.cfs_period_us", line, sizeof(line)) ||
               sscanf(line, "%" SCNd64, &period) != 1) {
        return UINT64_MAX;
    }
    return workers_ratio(quota, period);
}

/* Goes from the cgroup up to the mount. Inside a container the path may be the host's, of which only the mount itself
 * is visible. */
static uint64_t workers_quota_upwards(const char *mount, const char *cgroup, bool v2)
{
    char directory[PATH_MAX];
    size_t n_mount = strlen(mount);
    uint64_t least = UINT64_MAX;

    if (snprintf(directory, sizeof(directory), "%s%s", mount, cgroup) >= (int)sizeof(directory))
        return UINT64_MAX;
    for (;;) {
        uint64_t quota = workers_quota_of(directory, v2);
        char *slash = strrchr(directory, '/');
        if (quota < least)
            least = quota;
        if (!slash || (size_t)(slash - directory) < n_mount)
            return least;
        *slash = '\0';
    }
}

/* True when a v1 hierarchy's controllers ("cpu,cpuacct") include cpu. */
static bool workers_has_cpu(const char *controllers, size_t length)
{
    while (length > 0) {
        size_t n = strcspn(controllers, ",:");
        if (n == 3 && strncmp(controllers, "cpu", 3) == 0)
            return true;
        n += n < length;
        controllers += n;
        length -= n;
    }
    return false;
}

/* One line of /proc/self/cgroup is ID:CONTROLLERS:PATH; v2 has no controllers there. */
static uint64_t workers_quota_line(char *line, const char *mount)
{
    char *controllers = strchr(line, ':');
    char *cgroup = controllers ? strchr(controllers + 1, ':') : NULL;
    char v1_mount[PATH_MAX];

    if (!cgroup)
        return UINT64_MAX;
    controllers++;
    cgroup[1 + strcspn(cgroup + 1, "\n")] = '\0';
    if (cgroup == controllers)
        return workers_quota_upwards(mount, cgroup + 1, true);
    if (!workers_has_cpu(controllers, (size_t)(cgroup - controllers)) ||
        snprintf(v1_mount, sizeof(v1_mount), "%s/cpu", mount) >= (int)sizeof(v1_mount))
        return UINT64_MAX;
    return workers_quota_upwards(v1_mount, cgroup + 1, false);
}

uint64_t workers_quota(const char *membership, const char *mount)
{
    char line[PATH_MAX + 256];
    uint64_t least = UINT64_MAX;
    FILE *from = fopen(membership, "re");

    if (!from)
        return UINT64_MAX;
    while (fgets(line, sizeof(line), from)) {
        uint64_t quota = workers_quota_line(line, mount);
        if (quota < least)
            least = quota;
    }
    fclose(from);
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
    uint64_t quota = workers_quota("/proc/self/cgroup", "/sys/fs/cgroup");

    if (quota != UINT64_MAX && (quota + 999) / 1000 < cpus)
        cpus = (quota + 999) / 1000;
    if (cpus > limits[LIMIT_WORKERS].maximum)
        cpus = limits[LIMIT_WORKERS].maximum;
    return cpus > 0 ? (uint32_t)cpus : 1;
}
