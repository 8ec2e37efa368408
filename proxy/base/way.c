/* A way is walked by descriptors, one component after the other, so that what was looked at is what is gone on from,
 * whatever is renamed meanwhile.
 *
 * Whose a symbolic link is decides whether it is followed: one that root or we made is part of how the machine is set
 * up
 * (/var/run), one on a volume may be anybody's. A directory that others may write makes everything below it doubtful:
 * what lies there could have been moved there. */
#include "proxy/base/way.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAY_MOST_LINKS 40 /* as the kernel's own */

struct way {
    int fd;      /* owned; where we are */
    bool shared; /* somebody else may rename what was walked through */
    int n_links;
    char rest[PATH_MAX]; /* still to go */
};

bool way_is_trusted_owner(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

bool way_is_shared(const struct stat *directory)
{
    /* With an ACL the group's bits are what it grants at most. */
    return !way_is_trusted_owner(directory) || (directory->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

/* Goes on from fd, a directory, which becomes the way's. */
static int way_enter(struct way *way, int fd)
{
    struct stat st;

    if (way->fd >= 0)
        close(way->fd);
    way->fd = fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    way->shared = way->shared || (way_is_shared(&st) && (!way_is_trusted_owner(&st) || !(st.st_mode & S_ISVTX)));
    return 0;
}

static int way_enter_first(struct way *way, const char *path)
{
    int fd = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : way_enter(way, fd);
}

/* Puts where the link leads before what is still to go. */
static int way_follow(struct way *way, int link_fd, const struct stat *st, const char *rest)
{
    char target[PATH_MAX], whole[sizeof(way->rest)];
    ssize_t n;

    if (way->shared || !way_is_trusted_owner(st) || ++way->n_links > WAY_MOST_LINKS)
        return -ELOOP;
    n = readlinkat(link_fd, "", target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    n = snprintf(whole, sizeof(whole), "%s/%s", target, rest);
    if (n < 0 || (size_t)n >= sizeof(whole))
        return -ENAMETOOLONG;
    memcpy(way->rest, whole, (size_t)n + 1);
    return target[0] == '/' ? way_enter_first(way, target) : 0;
}

/* The next component, of which `rest` is what comes after it. */
static int way_step(struct way *way, const char *name, const char *rest)
{
    int fd = openat(way->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int r;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (S_ISLNK(st.st_mode))
        r = way_follow(way, fd, &st, rest);
    else if (!S_ISDIR(st.st_mode))
        r = -ENOTDIR;
    else {
        memmove(way->rest, rest, strlen(rest) + 1);
        return way_enter(way, fd);
    }
    close(fd);
    return r;
}

static int way_walk(struct way *way)
{
    int r = way_enter_first(way, way->rest);

    while (r == 0) {
        char name[NAME_MAX + 1];
        const char *begin = way->rest + strspn(way->rest, "/");
        size_t length = strcspn(begin, "/");

        if (length == 0)
            return 0;
        if (length > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, begin, length);
        name[length] = '\0';
        r = way_step(way, name, begin + length);
    }
    return r;
}

int way_open(const char *path, bool *ret_shared)
{
    struct way way = {.fd = -1};
    struct stat st;
    int r;

    if (strlen(path) >= sizeof(way.rest))
        return -ENAMETOOLONG;
    memcpy(way.rest, path, strlen(path) + 1);
    r = way_walk(&way);
    if (r == 0 && fstat(way.fd, &st) < 0)
        r = -errno;
    if (r != 0) {
        if (way.fd >= 0)
            close(way.fd);
        return r;
    }
    if (ret_shared)
        *ret_shared = way.shared || way_is_shared(&st);
    return way.fd;
}
