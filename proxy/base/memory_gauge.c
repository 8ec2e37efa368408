#include "proxy/base/memory_gauge.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/base/cgroup_read.h"

#define NO_LEVEL ((struct memory_level){-1, -1, -1, -1})
#define STAT_BYTES 8192 /* of memory.stat, which has 2 KiB or 3 */

/* ---- opening ---- */

static void memory_level_close(struct memory_level *level)
{
    const int fds[] = {level->max, level->high, level->used, level->stat};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *level = NO_LEVEL;
}

static struct memory_level memory_level_open(const struct cgroup_place *place)
{
    if (place->version == CGROUP_V1)
        return (struct memory_level){.max = cgroup_open_file(place, "memory.limit_in_bytes"),
                                     .high = -1,
                                     .used = cgroup_open_file(place, "memory.usage_in_bytes"),
                                     .stat = cgroup_open_file(place, "memory.stat")};
    return (struct memory_level){.max = cgroup_open_file(place, "memory.max"),
                                 .high = cgroup_open_file(place, "memory.high"),
                                 .used = cgroup_open_file(place, "memory.current"),
                                 .stat = cgroup_open_file(place, "memory.stat")};
}

/* ---- looking ---- */

static uint64_t memory_read_bytes(int fd)
{
    char content[64];

    return cgroup_bytes(cgroup_read_file(fd, content, sizeof(content)));
}

/* Above memory.high the kernel makes whoever allocates wait: as good as a limit. */
static uint64_t memory_level_limit(const struct memory_level *level)
{
    uint64_t max = memory_read_bytes(level->max), high = memory_read_bytes(level->high);

    return max < high ? max : high;
}

static struct memory_figures memory_level_look(const struct memory_level *level, enum cgroup_version version)
{
    struct memory_figures figures = {.limit_bytes = memory_level_limit(level),
                                     .used_bytes = memory_read_bytes(level->used)};
    char content[STAT_BYTES];
    uint64_t files;

    if (figures.limit_bytes == UINT64_MAX || figures.used_bytes == UINT64_MAX)
        return (struct memory_figures){.limit_bytes = UINT64_MAX};
    files = cgroup_reclaimable(version, cgroup_read_file(level->stat, content, sizeof(content)));
    figures.used_bytes -= files < figures.used_bytes ? files : figures.used_bytes;
    return figures;
}

static double memory_part(const struct memory_figures *figures)
{
    return figures->limit_bytes > 0 ? (double)figures->used_bytes / (double)figures->limit_bytes : 1;
}

struct memory_figures memory_gauge_look(const struct memory_gauge *gauge)
{
    struct memory_figures nearest = {.limit_bytes = UINT64_MAX};

    for (size_t i = 0; i < gauge->n_levels; i++) {
        struct memory_figures figures = memory_level_look(&gauge->levels[i], gauge->version);

        if (figures.limit_bytes != UINT64_MAX && memory_part(&figures) >= memory_part(&nearest))
            nearest = figures;
    }
    return nearest;
}

/* Pages: all, those that are there, and of those the ones that lie in files (proc(5)). */
uint64_t memory_gauge_own_bytes(const struct memory_gauge *gauge)
{
    unsigned long long resident = 0, in_files = 0;
    char content[128];
    struct text text = cgroup_read_file(gauge->statm, content, sizeof(content) - 1);

    content[text.length] = '\0';
    if (sscanf(content, "%*u %llu %llu", &resident, &in_files) != 2 || in_files > resident)
        return 0;
    return (resident - in_files) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- life ---- */

/* The group's own, and those of its parents that have a limit. */
static void memory_gauge_climb(struct memory_gauge *gauge, struct cgroup_place *place)
{
    do {
        struct memory_level level = memory_level_open(place);

        if (memory_level_limit(&level) != UINT64_MAX && level.used >= 0)
            gauge->levels[gauge->n_levels++] = level;
        else
            memory_level_close(&level);
    } while (gauge->n_levels < MEMORY_GAUGE_LEVELS && cgroup_go_up(place));
    gauge->version = place->version;
}

void memory_gauge_open(struct memory_gauge *gauge, const char *membership, const char *mounts)
{
    struct cgroup_place place;

    *gauge = (struct memory_gauge){.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    cgroup_read(membership, mounts, TEXT_LITERAL("memory"), &place);
    if (place.version != CGROUP_NONE)
        memory_gauge_climb(gauge, &place);
}

void memory_gauge_close(struct memory_gauge *gauge)
{
    for (size_t i = 0; i < gauge->n_levels; i++)
        memory_level_close(&gauge->levels[i]);
    if (gauge->statm >= 0)
        close(gauge->statm);
    *gauge = (struct memory_gauge)MEMORY_GAUGE_INIT;
}
