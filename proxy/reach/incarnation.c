#include "proxy/reach/incarnation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A file system may give the number of a file that was removed to the next one, so that its time counts, too. */
bool incarnation_look(struct incarnation *incarnation, struct instant now)
{
    struct incarnation found = {.path = incarnation->path, .is_known = true};
    const struct statx_timestamp *since;
    struct statx file;
    bool is_another;

    incarnation->due = instant_add_ms(now, INCARNATION_LOOK_MS);
    if (statx(AT_FDCWD, incarnation->path, 0, STATX_INO | STATX_CTIME | STATX_BTIME, &file) < 0)
        return false;
    since = file.stx_mask & STATX_BTIME ? &file.stx_btime : &file.stx_ctime;
    found.due = incarnation->due;
    found.device = makedev(file.stx_dev_major, file.stx_dev_minor);
    found.inode = file.stx_ino;
    found.since_ns = since->tv_sec * INT64_C(1000000000) + since->tv_nsec;
    is_another = incarnation->is_known && (incarnation->device != found.device || incarnation->inode != found.inode ||
                                           incarnation->since_ns != found.since_ns);
    *incarnation = found;
    return is_another;
}
