/* Trails: where a path leads, step by step, with an inotify(7) watch on every step.
 *
 *   /etc/porthole/porthole.json -> ..data/porthole.json, ..data -> ..2026_11_28
 *   watched:  /  /etc  /etc/porthole  /etc/porthole/..2026_11_28  and the file itself
 *
 * A directory's watch tells of names that come and go in it, so that a link which leads elsewhere from now on, a
 * directory that is another one, and a file that was renamed over are all told of. What happened does not say where the
 * path leads by now: it is walked again. Directories that we may not read, and mounts, are not told of. */
#ifndef PORTHOLE_BASE_TRAIL_H
#define PORTHOLE_BASE_TRAIL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/error.h"

/* The watches of several trails, some of which they share. All zero at first. */
struct trail_watches {
    int *items; /* owned; with repetitions */
    size_t n_items, capacity;
};

/* One path's. All zero, but for no watches (-1), before it was walked. */
struct trail {
    int file;                /* the watch on what it leads to; -1: that is no file, or not there */
    int directory;           /* the watch on where its last name is looked up; -1: not known */
    char name[NAME_MAX + 1]; /* which is this one */
};

#define TRAIL_INIT \
    {              \
        -1, -1,    \
        {          \
            '\0'   \
        }          \
    }

/* Walks an absolute path and adds its watches. A watch is on a directory before a name is looked up in it, so that
 * nothing happens between the two. 0; or a negative errno of the first step that cannot be watched: what can is. */
int trail_walk(struct trail *trail, int inotify_fd, const char *path, struct trail_watches *watches) WARN_UNUSED;

/* Takes away the watches of `old` that are not in `now`, which is sorted by it; `old` is empty then. */
void trail_watches_drop(struct trail_watches *old, struct trail_watches *now, int inotify_fd);
/* Forgets them, without taking them away. */
void trail_watches_deinit(struct trail_watches *watches);

#endif
