/* The watcher: tells when files that the configuration was read from hold something else than what was read.
 *
 *   QUIET --- a file is another one ---> UNSETTLED --- all are as they were for WATCHER_SETTLE_MS ---> read, compared
 *     ^                                                                                                     |
 *     +------------------------- the same content as before: nothing; else `changed` is called -------------+
 *
 * A file is told apart by its mark (a stat), and read only when that has come to rest and nobody who writes to it is
 * known: so a half-written one is not read, and of a hundred changes in a row the last one counts. inotify says when to
 * look, at most ten times a second whatever happens in those directories; what it cannot see (a mount, a file system of
 * another machine) is looked for every other second, and every second where there is no inotify. Time is monotonic. */
#ifndef PORTHOLE_WATCHER_H
#define PORTHOLE_WATCHER_H

#include "config/snapshot.h"
#include "proxy/base/file_mark.h"
#include "proxy/base/loop.h"
#include "proxy/base/sha256.h"
#include "proxy/base/trail.h"

#define WATCHER_SETTLE_MS 100
#define WATCHER_ABSENT_MS 2000  /* a file that is gone may be about to come back */
#define WATCHER_WRITER_MS 10000 /* for whoever has written and not closed */

/* One file. */
struct watched {
    char *path; /* owned; absolute, of at most PATH_MAX */
    struct trail trail;
    struct file_mark mark;       /* at the last look */
    struct instant since;        /* when that was seen first */
    struct instant writing;      /* since when somebody has been writing to it; 0: nobody is known to */
    bool unread;                 /* the mark is of something that has not been read */
    bool awaited;                /* by watcher_await */
    char told[SHA256_HEX_BYTES]; /* of what was read, by the snapshot or for `changed`; "": it could not be */
    char found[SHA256_HEX_BYTES];
};

/* Embedded in the server; one thread's. All zero at first, but for loop and changed. */
struct watcher {
    struct loop *loop; /* borrowed */
    /* There is something to read. The last thing that is done: the watcher may be told to follow others in it. */
    void (*changed)(struct watcher *watcher);
    struct watched *files; /* owned */
    size_t n_files;
    int inotify_fd; /* owned, while there are files; -1: there is none */
    struct source source;
    struct trail_watches watches;
    struct timer look;
    bool deaf;       /* the source rests */
    bool blind;      /* something cannot be watched */
    bool told_blind; /* and that is in the log */
};

/* Follows the files that the snapshot took in, instead of those before: its own, and those that answers hold. What they
 * held then is what they are compared with. With "watch": false, and without a snapshot (NULL), none. What has changed
 * since they were read is told soon. 0; or -ENOMEM: none is followed. */
int watcher_follow(struct watcher *watcher, const struct snapshot *snapshot) WARN_UNUSED;
/* Besides, files without which another configuration could not be read, instead of those that it was told so before:
 * tells when one of them can be. The same. */
int watcher_await(struct watcher *watcher, char *const *paths, size_t n_paths) WARN_UNUSED;
/* Somebody has read this file, and knows what it held: that is no change any more. Harmless with one that is not
 * followed, and where it could not be read (""). */
void watcher_know(struct watcher *watcher, const char *path, const char *digest);
/* Harmless twice, and on one that has never followed anything. */
void watcher_stop(struct watcher *watcher);

#endif
