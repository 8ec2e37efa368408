#include "proxy/reach/lookout.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOKOUT_EVENTS (IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define READS_MOST 16 /* of events, for each wake-up: what is left is told of in the next */

void lookout_init(struct lookout *lookout, struct loop *loop)
{
    *lookout = (struct lookout){.loop = loop, .source = SOURCE_INIT, .fd = -1};
    list_init(&lookout->posts);
}

static void lookout_close(struct lookout *lookout)
{
    if (lookout->fd < 0)
        return;
    loop_remove(&lookout->source);
    close(lookout->fd);
    lookout->fd = -1;
}

void lookout_deinit(struct lookout *lookout)
{
    lookout_close(lookout);
}

/* ---- where to look ---- */

/* Cuts the last segment off; false when there was only the root. */
static bool lookout_go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash || path[1] == '\0')
        return false;
    slash[slash == path] = '\0';
    return true;
}

/* The nearest directory above the path that there is. */
static int lookout_find_watch(const struct lookout *lookout, const char *path)
{
    char at[PATH_MAX];
    size_t length = strlen(path);

    if (length >= sizeof(at))
        return -1;
    memcpy(at, path, length + 1);
    while (lookout_go_up(at)) {
        int watch = inotify_add_watch(lookout->fd, at, LOOKOUT_EVENTS);

        if (watch >= 0 || (errno != ENOENT && errno != ENOTDIR))
            return watch;
    }
    return -1;
}

static bool lookout_is_watched(const struct lookout *lookout, int watch)
{
    for (const struct list *link = lookout->posts.next; link != &lookout->posts; link = link->next)
        if (CONTAINER_OF(link, struct lookout_post, link)->watch == watch)
            return true;
    return false;
}

/* A directory may have come, or gone: the nearest is another one then. */
static void lookout_place(struct lookout *lookout, struct lookout_post *post)
{
    int old = post->watch;

    post->watch = lookout_find_watch(lookout, post->path);
    if (old >= 0 && !lookout_is_watched(lookout, old))
        inotify_rm_watch(lookout->fd, old);
}

/* ---- what is told ---- */

/* The posts of a watch, or all (-1). */
static void lookout_tell(struct lookout *lookout, int watch)
{
    for (struct list *link = lookout->posts.next, *next; link != &lookout->posts; link = next) {
        struct lookout_post *post = CONTAINER_OF(link, struct lookout_post, link);

        next = link->next;
        if (watch >= 0 && post->watch != watch)
            continue;
        lookout_place(lookout, post);
        post->fn(post);
        if (lookout->fd < 0)
            return;
    }
}

static void lookout_on_event(struct source *source, uint32_t events)
{
    struct lookout *lookout = CONTAINER_OF(source, struct lookout, source);
    _Alignas(struct inotify_event) char data[4096];

    (void)events;
    for (int i = 0; i < READS_MOST && lookout->fd >= 0; i++) {
        ssize_t n = read(lookout->fd, data, sizeof(data));

        for (ssize_t at = 0; at < n && lookout->fd >= 0;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(data + at);

            at += (ssize_t)(sizeof(*event) + event->len);
            if (!(event->mask & IN_IGNORED))
                lookout_tell(lookout, event->mask & IN_Q_OVERFLOW ? -1 : event->wd);
        }
        if (n <= 0)
            return;
    }
}

/* ---- posts ---- */

static void lookout_open(struct lookout *lookout)
{
    lookout->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (lookout->fd >= 0 && loop_add(lookout->loop, &lookout->source, lookout->fd, EPOLLIN, lookout_on_event) < 0) {
        close(lookout->fd);
        lookout->fd = -1;
    }
}

void lookout_take_post(struct lookout *lookout, struct lookout_post *post)
{
    if (lookout->fd < 0)
        lookout_open(lookout);
    post->watch = lookout->fd < 0 ? -1 : lookout_find_watch(lookout, post->path);
    list_init(&post->link);
    list_append(&lookout->posts, &post->link);
}

void lookout_leave_post(struct lookout *lookout, struct lookout_post *post)
{
    list_remove(&post->link);
    if (list_empty(&lookout->posts))
        lookout_close(lookout);
    else if (post->watch >= 0 && !lookout_is_watched(lookout, post->watch))
        inotify_rm_watch(lookout->fd, post->watch);
}
