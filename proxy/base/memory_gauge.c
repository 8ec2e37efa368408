#include "proxy/base/memory_gauge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/base/file_read.h"

#define NO_LEVEL ((struct memory_level){-1, -1, -1, -1})
#define FILE_BYTES 65536 /* of mounts: those of control groups are among the first; of the others less */
#define STAT_BYTES 8192  /* of memory.stat, which has 2 KiB or 3 */

/* ---- opening ---- */

static int memory_level_file(const char *directory, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

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
    const char *at = place->directory;

    if (place->version == CGROUP_V1)
        return (struct memory_level){.max = memory_level_file(at, "memory.limit_in_bytes"),
                                     .high = -1,
                                     .used = memory_level_file(at, "memory.usage_in_bytes"),
                                     .stat = memory_level_file(at, "memory.stat")};
    return (struct memory_level){.max = memory_level_file(at, "memory.max"),
                                 .high = memory_level_file(at, "memory.high"),
                                 .used = memory_level_file(at, "memory.current"),
                                 .stat = memory_level_file(at, "memory.stat")};
}

/* ---- looking ---- */

/* Of a file that stays open, from its beginning. */
static struct text memory_read(int fd, char *data, size_t size)
{
    ssize_t n = fd < 0 ? -1 : pread(fd, data, size, 0);

    return (struct text){data, n > 0 ? (size_t)n : 0};
}

static uint64_t memory_read_bytes(int fd)
{
    char content[64];

    return cgroup_bytes(memory_read(fd, content, sizeof(content)));
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
    files = cgroup_reclaimable(version, memory_read(level->stat, content, sizeof(content)));
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
    struct text text = memory_read(gauge->statm, content, sizeof(content) - 1);

    content[text.length] = '\0';
    if (sscanf(content, "%*u %llu %llu", &resident, &in_files) != 2 || in_files > resident)
        return 0;
    return (resident - in_files) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- life ---- */

static struct text memory_read_file(const char *path, char *data)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : file_read_all(fd, data, FILE_BYTES);

    if (fd >= 0)
        close(fd);
    return (struct text){data, n > 0 ? (size_t)n : 0};
}

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
    char *data = malloc(2 * (size_t)FILE_BYTES);
    struct cgroup_place place = {.version = CGROUP_NONE};

    *gauge = (struct memory_gauge){.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    if (data)
        cgroup_find_memory(memory_read_file(membership, data), memory_read_file(mounts, data + FILE_BYTES), &place);
    free(data);
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
