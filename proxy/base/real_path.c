#include "proxy/base/real_path.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After as many the kernel says ELOOP: path_resolution(7). */
#define REAL_PATH_MOST_LINKS 40

/* A walk from the root. realpath(3) would give up where a path ends that is not there yet, and not say where its last
 * link led. On the stack of real_path. */
struct real_path_walk {
    char *real;     /* owned: how far it is, without a final slash; "" is the root */
    char *path;     /* owned: what it goes along */
    const char *at; /* borrowed: what of that is still to come */
    unsigned links; /* that it has followed */
};

static char *real_path_from_here(const char *path)
{
    char *here = getcwd(NULL, 0), *whole = NULL;

    if (asprintf(&whole, "%s/%s", here ? here : "", path) < 0)
        whole = NULL;
    free(here);
    return whole;
}

static void real_path_leave(struct real_path_walk *walk)
{
    char *last = strrchr(walk->real, '/');

    if (last)
        *last = '\0';
}

static bool real_path_enter(struct real_path_walk *walk, const char *name, size_t length)
{
    char *real;

    if (asprintf(&real, "%s/%.*s", walk->real, (int)length, name) < 0)
        return false;
    free(walk->real);
    walk->real = real;
    return true;
}

/* Where it stands on a link, it goes along that first. */
static bool real_path_follow(struct real_path_walk *walk)
{
    char target[PATH_MAX], *path;
    ssize_t length = walk->links < REAL_PATH_MOST_LINKS ? readlink(walk->real, target, sizeof(target)) : -1;

    if (length <= 0)
        return true;
    if (asprintf(&path, "%.*s/%s", (int)length, target, walk->at) < 0)
        return false;
    free(walk->path);
    walk->path = path;
    walk->at = path;
    walk->links++;
    if (path[0] == '/')
        walk->real[0] = '\0';
    else
        real_path_leave(walk);
    return true;
}

/* Along one component. False: out of memory. */
static bool real_path_step(struct real_path_walk *walk)
{
    const char *name = walk->at + strspn(walk->at, "/");
    size_t length = strcspn(name, "/");

    walk->at = name + length;
    if (length == 0 || (length == 1 && name[0] == '.'))
        return true;
    if (length == 2 && memcmp(name, "..", 2) == 0) {
        real_path_leave(walk);
        return true;
    }
    return real_path_enter(walk, name, length) && real_path_follow(walk);
}

char *real_path(const char *path)
{
    struct real_path_walk walk = {.real = strdup(""),
                                  .path = path[0] == '/' ? strdup(path) : real_path_from_here(path)};
    bool fine = walk.real && walk.path;

    walk.at = walk.path;
    while (fine && *walk.at)
        fine = real_path_step(&walk);
    if (fine && walk.real[0] == '\0')
        fine = real_path_enter(&walk, "", 0);
    free(walk.path);
    if (fine)
        return walk.real;
    free(walk.real);
    return NULL;
}
