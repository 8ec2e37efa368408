/* A lookout: tells when something may have appeared at paths that are not there yet. One for each worker, which has an
 * inotify(7) instance only while somebody looks out.
 *
 * Watched is the directory, or the nearest above it that exists. It tells of every change there, which need not be the
 * one that is waited for, and not of every way in which a path can come to lead somewhere (a symbolic link on the way,
 * a directory that is mounted): whoever waits tries now and then by itself, too. */
#ifndef PORTHOLE_REACH_LOOKOUT_H
#define PORTHOLE_REACH_LOOKOUT_H

#include "proxy/base/loop.h"

struct lookout {
    struct loop *loop; /* borrowed */
    struct source source;
    int fd;            /* owned; inotify's, -1 while there is no post */
    struct list posts; /* of lookout_post */
};

/* One path that is waited for. Embedded in whoever waits. */
struct lookout_post {
    struct list link;
    const char *path;                      /* borrowed */
    int watch;                             /* inotify's, which posts may share; -1: it cannot be watched */
    void (*fn)(struct lookout_post *post); /* something has changed; may give up this post, and only this one */
    void *closure;
};

void lookout_init(struct lookout *lookout, struct loop *loop);
/* Nobody looks out any more. */
void lookout_deinit(struct lookout *lookout);

/* post->path, fn and closure are set. Without inotify nothing is ever told. */
void lookout_take_post(struct lookout *lookout, struct lookout_post *post);
void lookout_leave_post(struct lookout *lookout, struct lookout_post *post);

#endif
