#include "proxy/report/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void process_open(struct process *process)
{
    process->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    process->descriptors = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void process_close(struct process *process)
{
    if (process->statm >= 0)
        close(process->statm);
    if (process->descriptors >= 0)
        close(process->descriptors);
    *process = (struct process)PROCESS_INIT;
}

/* The second number, in pages (proc(5)). */
static uint64_t process_resident_bytes(const struct process *process)
{
    unsigned long long pages = 0;
    char text[128];
    ssize_t n = process->statm < 0 ? -1 : pread(process->statm, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* All but "." and "..", and it counts itself. */
static uint64_t process_count_descriptors(const struct process *process)
{
    char entries[4096];
    uint64_t n = 0;
    ssize_t bytes;

    if (process->descriptors < 0 || lseek(process->descriptors, 0, SEEK_SET) < 0)
        return 0;
    while ((bytes = getdents64(process->descriptors, entries, sizeof(entries))) > 0)
        for (ssize_t at = 0; at < bytes;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);

            n += entry->d_name[0] != '.';
            at += entry->d_reclen;
        }
    return n;
}

static uint64_t process_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

struct process_figures process_read(const struct process *process)
{
    struct process_figures figures = {.resident_bytes = process_resident_bytes(process),
                                      .n_descriptors = process_count_descriptors(process)};
    struct rlimit limit;
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        figures.cpu_ns = process_ns(usage.ru_utime) + process_ns(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        figures.most_descriptors = limit.rlim_cur;
    return figures;
}
