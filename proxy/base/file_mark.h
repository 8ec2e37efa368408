/* File marks: what tells one state of a file from another, without reading it. */
#ifndef PORTHOLE_BASE_FILE_MARK_H
#define PORTHOLE_BASE_FILE_MARK_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

/* All zero: there is no file. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct file_mark file_mark_of(const struct stat *status);
/* Of what lies at a path, links followed; of nothing when it cannot be asked about, or for NULL. */
struct file_mark file_mark_at(const char *path);

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b);

static inline bool file_mark_is_set(const struct file_mark *mark)
{
    return mark->inode != 0;
}

#endif
