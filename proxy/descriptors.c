#include "proxy/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/listen/admission.h"

static uint64_t descriptors_for_targets(const struct snapshot *snapshot)
{
    uint64_t n = 0;

    for (size_t i = 0; i < snapshot->n_targets; i++)
        n += snapshot->targets[i].connections_max;
    return n;
}

/* Each client may need one descriptor and each connection to a target another. */
void descriptors_raise(const struct snapshot *snapshot)
{
    uint64_t wanted = 64 + descriptors_for_targets(snapshot);
    struct rlimit limit;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        wanted += admission_most(snapshot_socket(snapshot, i));
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted)
        LOG_EVENT(LOG_LEVEL_WARN, "RLIMIT_NOFILE is less than limits.connections and connections.max add up to",
                  LOG_NUMBER("descriptors", limit.rlim_max), LOG_NUMBER("wanted", wanted));
}

uint64_t descriptors_count(int any)
{
    int next = fcntl(any, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */

    if (next < 0)
        return 0;
    close(next);
    return (uint64_t)next;
}

uint32_t descriptors_places(const struct snapshot *snapshot, uint64_t n_used)
{
    uint64_t for_targets = descriptors_for_targets(snapshot), left;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT32_MAX)
        return UINT32_MAX;
    left = limit.rlim_cur > n_used ? limit.rlim_cur - n_used : 0;
    if (for_targets > left / 2)
        for_targets = left / 2;
    return left - for_targets > 0 ? (uint32_t)(left - for_targets) : 1;
}
