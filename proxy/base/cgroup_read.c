#include "proxy/base/cgroup_read.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/base/file_read.h"

#define FILE_BYTES 65536 /* of mounts: those of control groups are among the first; of the others less */

static struct text cgroup_read_whole(const char *path, char *data)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : file_read_all(fd, data, FILE_BYTES);

    if (fd >= 0)
        close(fd);
    return (struct text){data, n > 0 ? (size_t)n : 0};
}

void cgroup_read(const char *membership, const char *mounts, struct text controller, struct cgroup_place *ret_place)
{
    char *data = malloc(2 * (size_t)FILE_BYTES);

    ret_place->version = CGROUP_NONE;
    if (data)
        cgroup_find(cgroup_read_whole(membership, data), cgroup_read_whole(mounts, data + FILE_BYTES), controller,
                    ret_place);
    free(data);
}

int cgroup_open_file(const struct cgroup_place *place, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", place->directory, name) >= (int)sizeof(path))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

struct text cgroup_read_file(int fd, char *data, size_t size)
{
    ssize_t n = fd < 0 ? -1 : pread(fd, data, size, 0);

    return (struct text){data, n > 0 ? (size_t)n : 0};
}
