/* Whatever the files of control groups and mounts hold, what is found is a path that ends, with the mount in front of
 * it and nothing that leads out of it, and numbers are numbers of bytes, or of processors.
 *
 * Input: /proc/PID/cgroup, /proc/PID/mountinfo and memory.stat, each but the last ended by a byte of 0. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proxy/base/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct text take(const uint8_t **bytes, size_t *size)
{
    const uint8_t *end = *size > 0 ? memchr(*bytes, 0, *size) : NULL;
    struct text text = {(const char *)*bytes, end ? (size_t)(end - *bytes) : *size};

    *bytes += text.length + (end != NULL);
    *size -= text.length + (end != NULL);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text membership = take(&bytes, &size), mounts = take(&bytes, &size);
    struct text stat = {(const char *)bytes, size};
    struct cgroup_place place;
    uint64_t number = cgroup_bytes(stat);
    int n_levels = 0;

    assert(number == UINT64_MAX || number < (uint64_t)1 << 60);
    assert(cgroup_reclaimable(CGROUP_V1, stat) < (uint64_t)1 << 62);
    assert(cgroup_reclaimable(CGROUP_V2, stat) < (uint64_t)1 << 62);
    assert(cgroup_cpu_max(stat) > 0 && cgroup_cpu_quota(stat, membership) > 0);
    cgroup_find(membership, mounts, TEXT_LITERAL("memory"), &place);
    if (place.version == CGROUP_NONE)
        return 0;
    assert(place.mount_length > 0 && place.directory[0] == '/');
    assert(strnlen(place.directory, sizeof(place.directory)) < sizeof(place.directory));
    assert(!strstr(place.directory + place.mount_length, "/.."));
    do
        assert(strlen(place.directory) >= place.mount_length && ++n_levels < PATH_MAX);
    while (cgroup_go_up(&place));
    assert(strlen(place.directory) == place.mount_length);
    return 0;
}
