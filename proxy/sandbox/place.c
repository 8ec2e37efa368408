#include "proxy/sandbox/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/sandbox/landlock_abi.h"

#define PLACE_MOST_LINKS 40 /* as the kernel's own */
#define PLACE_PUBLISH                                                                                      \
    (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR | LANDLOCK_MAKE_REG | LANDLOCK_MAKE_SOCK | LANDLOCK_MAKE_DIR | \
     LANDLOCK_REMOVE_FILE | LANDLOCK_REMOVE_DIR | LANDLOCK_REFER)
#define PLACE_READ (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR)
#define PLACE_APPEND (LANDLOCK_WRITE_FILE | LANDLOCK_MAKE_REG)

/* A walk to a file. */
struct place_walk {
    char at[PATH_MAX];   /* without links; "" is the root */
    char rest[PATH_MAX]; /* still to go */
    int n_links;
    place_fn *fn;
    void *closure;
};

static bool place_is_root(const char *path)
{
    return path[strspn(path, "/")] == '\0';
}

/* Cuts the last component off; false when there was none. */
static bool place_go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

/* ---- files that are read ---- */

static bool place_is_mounted_alone(const char *path)
{
    struct statx file;

    return statx(AT_FDCWD, path, 0, STATX_TYPE, &file) == 0 && (file.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Whether a link at `at` leads below the directory that it lies in. */
static bool place_leads_below(const char *at, const char *target)
{
    size_t n = strlen(at);

    if (target[0] != '/')
        return strncmp(target, "..", 2) != 0 || (target[2] != '/' && target[2] != '\0');
    return strncmp(target, at, n) == 0 && target[n] == '/';
}

/* Nobody turns the kernel's own links, and what lies beside them is not ours. */
static bool place_is_of_kernel(const char *at)
{
    return strncmp(at, "/proc", 5) == 0 || strncmp(at, "/dev", 4) == 0;
}

/* Puts where the link leads before what is still to go. */
static int place_follow(struct place_walk *walk, const char *link, const char *rest)
{
    char target[PATH_MAX], whole[PATH_MAX];
    ssize_t n = readlink(link, target, sizeof(target) - 1);
    int r = 0;

    if (n < 0)
        return -errno;
    target[n] = '\0';
    if (++walk->n_links > PLACE_MOST_LINKS)
        return -ELOOP;
    if (!place_is_root(walk->at) && !place_is_of_kernel(walk->at) &&
        (place_is_root(rest) || place_leads_below(walk->at, target)))
        r = walk->fn(walk->closure, walk->at, PLACE_READ);
    if (snprintf(whole, sizeof(whole), "%s%s", target, rest) >= (int)sizeof(whole))
        return -ENAMETOOLONG;
    memcpy(walk->rest, whole, sizeof(whole));
    if (target[0] == '/')
        walk->at[0] = '\0';
    return r;
}

/* The next component, `length` bytes at `name`, which begins what is still to go. */
static int place_step(struct place_walk *walk, const char *name, size_t length)
{
    char next[PATH_MAX], rest[PATH_MAX];
    struct stat st;

    snprintf(rest, sizeof(rest), "%s", name + length);
    if (length == 2 && memcmp(name, "..", 2) == 0)
        place_go_up(walk->at);
    if ((length == 1 && name[0] == '.') || (length == 2 && memcmp(name, "..", 2) == 0)) {
        memcpy(walk->rest, rest, sizeof(rest));
        return 0;
    }
    if (snprintf(next, sizeof(next), "%s/%.*s", walk->at, (int)length, name) >= (int)sizeof(next))
        return -ENAMETOOLONG;
    if (lstat(next, &st) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return place_follow(walk, next, rest);
    memcpy(walk->at, next, sizeof(next));
    memcpy(walk->rest, rest, sizeof(rest));
    return 0;
}

/* What is not there yet has its directory in walk->at. */
static int place_walk_to(struct place_walk *walk)
{
    int r = 0;

    while (r == 0) {
        const char *name = walk->rest + strspn(walk->rest, "/");
        size_t length = strcspn(name, "/");

        if (length == 0)
            return 0;
        r = place_step(walk, name, length);
    }
    return r;
}

static int place_walk_begin(struct place_walk *walk, const char *path)
{
    walk->at[0] = '\0';
    if (path[0] != '/' && !getcwd(walk->at, sizeof(walk->at)))
        return -errno;
    if (place_is_root(walk->at))
        walk->at[0] = '\0';
    return snprintf(walk->rest, sizeof(walk->rest), "%s", path) < (int)sizeof(walk->rest) ? 0 : -ENAMETOOLONG;
}

static int place_each_of_file(const char *path, place_fn *fn, void *closure)
{
    struct place_walk walk = {.fn = fn, .closure = closure};
    struct stat st;
    int r;

    if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || place_is_mounted_alone(path)))
        return S_ISREG(st.st_mode) ? fn(closure, path, LANDLOCK_READ_FILE) : 0;
    r = place_walk_begin(&walk, path);
    if (r == 0)
        r = place_walk_to(&walk);
    if (r == -ENOENT)
        return place_is_root(walk.at) ? 0 : fn(closure, walk.at, PLACE_READ);
    if (r != 0)
        return r == -ENOTDIR || r == -EACCES || r == -ELOOP || r == -ENAMETOOLONG ? 0 : r;
    place_go_up(walk.at);
    return place_is_root(walk.at) ? fn(closure, path, LANDLOCK_READ_FILE) : fn(closure, walk.at, PLACE_READ);
}

/* ---- what is made ---- */

/* The directory of a path; "." when it names none. */
static int place_directory_of(const char *path, char ret[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    if (!slash || length == 0)
        snprintf(ret, PATH_MAX, "%s", slash ? "/" : ".");
    else
        snprintf(ret, PATH_MAX, "%.*s", (int)length, path);
    return 0;
}

/* A link is never followed there, so that it is one of our own descriptors (/dev/stdout), which is open already. */
static int place_each_of_log(const char *path, place_fn *fn, void *closure)
{
    char directory[PATH_MAX];
    struct stat st;
    bool is_there = lstat(path, &st) == 0;

    if (is_there && S_ISLNK(st.st_mode))
        return 0;
    if (place_directory_of(path, directory) < 0)
        return 0;
    if (is_there && (!S_ISREG(st.st_mode) || place_is_root(directory)))
        return fn(closure, path, LANDLOCK_WRITE_FILE);
    return fn(closure, directory, PLACE_APPEND);
}

static int place_each_of_socket(const struct needs_place *place, place_fn *fn, void *closure)
{
    char directory[PATH_MAX], above[PATH_MAX];
    int r = place_directory_of(place->path, directory);

    if (r < 0)
        return 0;
    r = fn(closure, directory, PLACE_PUBLISH);
    if (r == 0 && place->with_directory && place_directory_of(directory, above) == 0)
        r = fn(closure, above, PLACE_PUBLISH);
    return r;
}

int place_each(const struct needs_place *place, place_fn *fn, void *closure)
{
    switch (place->kind) {
    case NEEDS_FILE:
        return place_each_of_file(place->path, fn, closure);
    case NEEDS_ONE_FILE:
        return fn(closure, place->path, LANDLOCK_READ_FILE);
    case NEEDS_TREE:
        return fn(closure, place->path, PLACE_READ);
    case NEEDS_DATA:
        return fn(closure, place->path,
                  PLACE_READ | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_MAKE_REG | LANDLOCK_MAKE_DIR);
    case NEEDS_LOG:
        return place_each_of_log(place->path, fn, closure);
    case NEEDS_PUBLISHED:
        return place_each_of_socket(place, fn, closure);
    case NEEDS_TARGET:
        break; /* Landlock does not hold who connects to a path */
    }
    return 0;
}
