#include "proxy/base/file_mark.h"

static bool file_mark_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

struct file_mark file_mark_of(const struct stat *status)
{
    return (struct file_mark){status->st_dev, status->st_ino, status->st_size, status->st_mtim, status->st_ctim};
}

struct file_mark file_mark_at(const char *path)
{
    struct stat status;

    return path && stat(path, &status) == 0 ? file_mark_of(&status) : (struct file_mark){0};
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           file_mark_same_time(a->modified, b->modified) && file_mark_same_time(a->changed, b->changed);
}
