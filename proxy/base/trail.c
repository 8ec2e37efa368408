#include "proxy/base/trail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRAIL_MOST_LINKS 40 /* as the kernel's own */
#define TRAIL_DIRECTORY_EVENTS                                                                         \
    (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | \
     IN_DELETE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
#define TRAIL_FILE_EVENTS (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW)

struct trail_walker {
    struct trail *trail;
    struct trail_watches *watches;
    int inotify_fd;
    int n_links;
    int failure;       /* 0 or a negative errno */
    char at[PATH_MAX]; /* where we are: a directory without links on the way to it; "" is the root */
    char rest[PATH_MAX];
};

/* ---- watches ---- */

static int trail_compare(const void *a, const void *b)
{
    int first = *(const int *)a, second = *(const int *)b;

    return (first > second) - (first < second);
}

static int trail_watches_add(struct trail_watches *watches, int watch)
{
    if (watches->n_items == watches->capacity) {
        size_t capacity = watches->capacity ? 2 * watches->capacity : 16;
        int *items = realloc(watches->items, capacity * sizeof(*items));

        if (!items)
            return -ENOMEM;
        watches->items = items;
        watches->capacity = capacity;
    }
    watches->items[watches->n_items++] = watch;
    return 0;
}

void trail_watches_drop(struct trail_watches *old, struct trail_watches *now, int inotify_fd)
{
    if (now->n_items > 0)
        qsort(now->items, now->n_items, sizeof(*now->items), trail_compare);
    for (size_t i = 0; i < old->n_items; i++)
        if (now->n_items == 0 || !bsearch(&old->items[i], now->items, now->n_items, sizeof(*now->items), trail_compare))
            inotify_rm_watch(inotify_fd, old->items[i]);
    old->n_items = 0;
}

void trail_watches_deinit(struct trail_watches *watches)
{
    free(watches->items);
    *watches = (struct trail_watches){.items = NULL};
}

/* Returns the watch, -1 where there is none. */
static int trail_watch(struct trail_walker *walker, const char *path, uint32_t events)
{
    int watch = inotify_add_watch(walker->inotify_fd, path, events), r = watch < 0 ? -errno : 0;

    if (r == 0)
        r = trail_watches_add(walker->watches, watch);
    if (r < 0 && walker->failure == 0)
        walker->failure = r;
    return watch;
}

/* ---- steps ---- */

/* Puts where a link leads before what is still to go. */
static bool trail_follow(struct trail_walker *walker, const char *link)
{
    char target[PATH_MAX], whole[PATH_MAX];
    ssize_t n = ++walker->n_links > TRAIL_MOST_LINKS ? -1 : readlink(link, target, sizeof(target) - 1);
    int length;

    if (n <= 0)
        return false;
    target[n] = '\0';
    length = snprintf(whole, sizeof(whole), "%s/%s", target, walker->rest);
    if (length < 0 || (size_t)length >= sizeof(whole))
        return false;
    memcpy(walker->rest, whole, (size_t)length + 1);
    if (target[0] == '/')
        walker->at[0] = '\0';
    return true;
}

/* Takes the next name off what is still to go: false when there is none, or it is too long. */
static bool trail_next(struct trail_walker *walker, char name[NAME_MAX + 1])
{
    const char *begin = walker->rest + strspn(walker->rest, "/");
    size_t length = strcspn(begin, "/");

    if (length == 0 || length > NAME_MAX)
        return false;
    memcpy(name, begin, length);
    name[length] = '\0';
    memmove(walker->rest, begin + length, strlen(begin + length) + 1);
    return true;
}

/* False when that was the last step. */
static bool trail_step(struct trail_walker *walker, const char *name)
{
    struct trail *trail = walker->trail;
    char path[PATH_MAX];
    struct stat status;
    int n;

    trail->directory = trail_watch(walker, walker->at[0] ? walker->at : "/", TRAIL_DIRECTORY_EVENTS);
    memcpy(trail->name, name, strlen(name) + 1);
    n = snprintf(path, sizeof(path), "%s/%s", walker->at, name);
    if (n < 0 || (size_t)n >= sizeof(path) || lstat(path, &status) < 0)
        return false;
    if (S_ISLNK(status.st_mode))
        return trail_follow(walker, path);
    if (S_ISDIR(status.st_mode)) {
        memcpy(walker->at, path, (size_t)n + 1);
        return true;
    }
    if (walker->rest[strspn(walker->rest, "/")] == '\0')
        trail->file = trail_watch(walker, path, TRAIL_FILE_EVENTS);
    return false;
}

static void trail_go_up(struct trail_walker *walker)
{
    char *slash = strrchr(walker->at, '/');

    if (slash)
        *slash = '\0';
}

int trail_walk(struct trail *trail, int inotify_fd, const char *path, struct trail_watches *watches)
{
    struct trail_walker walker = {.trail = trail, .watches = watches, .inotify_fd = inotify_fd};
    char name[NAME_MAX + 1];
    bool more = true;

    *trail = (struct trail)TRAIL_INIT;
    if (strlen(path) >= sizeof(walker.rest))
        return -ENAMETOOLONG;
    memcpy(walker.rest, path, strlen(path) + 1);
    while (more && trail_next(&walker, name)) {
        if (strcmp(name, "..") == 0)
            trail_go_up(&walker);
        else if (strcmp(name, ".") != 0)
            more = trail_step(&walker, name);
    }
    return walker.failure;
}
