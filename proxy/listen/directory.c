#include "proxy/listen/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/way.h"
#include "proxy/listen/acl.h"
#include "proxy/listen/nursery.h"

#define DIRECTORY_NEW "d"       /* a new one's name in its nursery */
#define DIRECTORY_PROC_BYTES 32 /* "/proc/self/fd/N" */

static void directory_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

char *directory_real_path(int fd)
{
    char proc[DIRECTORY_PROC_BYTES], path[PATH_MAX];
    ssize_t n;

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    n = readlink(proc, path, sizeof(path));
    return n > 0 && (size_t)n < sizeof(path) ? strndup(path, (size_t)n) : NULL;
}

int directory_explain_write(const struct directory *directory, int r, struct error *error)
{
    return error_set(error, r, "cannot write to directory %s: %s (this process has uid %u, gid %u)", directory->path,
                     strerror(-r), geteuid(), getegid());
}

/* ---- making ---- */

/* Where a path stops to exist: its first missing component is the last of *ret_path. */
static void directory_find_missing(const char *path, char ret_path[PATH_MAX])
{
    struct stat st;

    snprintf(ret_path, PATH_MAX, "%s", path);
    for (char *slash = strchr(ret_path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(ret_path, &st) < 0)
            return;
        *slash = '/';
    }
}

/* Opens the directory that a path's last component is to be in; that component is *ret_name. */
static int directory_open_parent(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];

    *ret_name = slash ? slash + 1 : path;
    if (!slash)
        return way_open(".", NULL);
    if (strlen(path) >= sizeof(parent))
        return -ENAMETOOLONG;
    memcpy(parent, path, (size_t)(slash - path) + 1);
    parent[slash - path + 1] = '\0';
    return way_open(parent, NULL);
}

/* An inherited set-group-ID bit stays: it is how a volume says which group its files belong to (fsGroup). */
static int directory_set_mode(int fd, mode_t mode)
{
    char proc[DIRECTORY_PROC_BYTES];
    struct stat st;

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) < 0)
        return -errno;
    mode |= st.st_mode & S_ISGID;
    if (((st.st_mode & 07777) != mode && chmod(proc, mode) < 0) || fstat(fd, &st) < 0)
        return -errno;
    return (st.st_mode & 07777) == mode && !acl_is_there(fd) ? 0 : -EOPNOTSUPP;
}

/* Gives the new directory, which is held and not named, what it is to have. Its group is the socket's: with the default
 * modes, whoever may connect may also walk to it. */
static int directory_set_access(const struct directory *directory, const struct listener_config *config,
                                struct error *error)
{
    int fd = directory->fd;
    int r = acl_clear(fd);

    if (r < 0)
        return error_set(error, r, "cannot clear the ACL of directory %s: %s", directory->path, strerror(-r));
    if (config->group != OWNER_UNCHANGED &&
        fchownat(fd, "", OWNER_UNCHANGED, config->group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(error, -errno, "cannot give directory %s to group %u: %s", directory->path, config->group,
                         strerror(errno));
    r = directory_set_mode(fd, config->directory_mode);
    if (r < 0)
        return error_set(error, r, "cannot set mode %04o of directory %s: %s", config->directory_mode, directory->path,
                         strerror(-r));
    return 0;
}

/* Makes a directory where nobody else can put another in its place, moves it to its name and returns its descriptor
 * (O_PATH) or a negative errno. */
static int directory_make(int parent_fd, const char *name)
{
    struct nursery nursery = NURSERY_INIT;
    int r = nursery_make(&nursery, parent_fd);
    int fd;

    if (r < 0)
        return r;
    fd = nursery_make_directory(&nursery, DIRECTORY_NEW);
    if (fd < 0)
        r = fd;
    else if (renameat2(nursery.fd, DIRECTORY_NEW, parent_fd, name, RENAME_NOREPLACE) < 0)
        r = -errno;
    nursery_remove(&nursery, DIRECTORY_NEW);
    if (r == 0)
        return fd;
    directory_close(&fd);
    return r;
}

static int directory_explain_missing(const struct directory *directory, int r, struct error *error)
{
    char missing[PATH_MAX];

    if (r == -ENOENT) {
        directory_find_missing(directory->path, missing);
        return error_set(error, -ENOENT, "directory %s does not exist (only the last directory of a path is made)",
                         missing);
    }
    return error_set(error, r, "cannot make directory %s: %s", directory->path,
                     r == -ESTALE ? "somebody else moves what is made beside it" : strerror(-r));
}

static int directory_create(struct directory *directory, const struct listener_config *config, struct error *error)
{
    const char *name;
    _cleanup_(directory_close) int parent_fd = directory_open_parent(directory->path, &name);
    int fd = parent_fd < 0 ? parent_fd : directory_make(parent_fd, name);

    if (fd == -EEXIST)
        return 0; /* somebody was quicker */
    if (fd < 0)
        return directory_explain_missing(directory, fd, error);
    directory->created = true;
    directory->fd = fd;
    return directory_set_access(directory, config, error);
}

/* ---- opening ---- */

static int directory_explain(const struct directory *directory, int r, struct error *error)
{
    if (r == -ELOOP)
        return error_set(error, r,
                         "cannot open directory %s: there is a symbolic link on the way that others than root and "
                         "uid %u could have made; name where it leads",
                         directory->path, geteuid());
    return error_set(error, r, "cannot open directory %s: %s (this process has uid %u, gid %u)", directory->path,
                     strerror(-r), geteuid(), getegid());
}

/* What was found or made is open as O_PATH, which is enough to hold it, and not to list and lock it. */
static int directory_open_held(struct directory *directory)
{
    int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    close(directory->fd);
    directory->fd = fd;
    return 0;
}

static int directory_hold(struct directory *directory, int fd, struct error *error)
{
    int r = fd;

    if (fd >= 0) {
        directory->fd = fd;
        r = directory_open_held(directory);
    }
    return r < 0 ? directory_explain(directory, r, error) : 0;
}

/* Finds or makes it. */
static int directory_find(struct directory *directory, const struct listener_config *config, struct error *error)
{
    int fd = way_open(directory->path, NULL);
    int r;

    if (fd == -ENOENT) {
        r = directory_create(directory, config, error);
        if (r < 0)
            return r;
        fd = directory->created ? directory->fd : way_open(directory->path, NULL);
    }
    return directory_hold(directory, fd, error);
}

/* One that was there before. Only its owner knows why it has its mode. */
static int directory_check_mode(const struct directory *directory, mode_t mode, struct error *error)
{
    struct stat st;

    if (fstat(directory->fd, &st) < 0)
        return error_set(error, -errno, "cannot look at directory %s: %s", directory->path, strerror(errno));
    if (way_is_trusted_owner(&st) && ((st.st_mode ^ mode) & 07777 & ~(mode_t)S_ISGID) == 0)
        return 0;
    return error_set(
        error, -EPERM,
        "directory %s was there before, with uid %u, gid %u, mode %04o, and directory_mode asks for one of "
        "root's or ours with %04o: change it, or leave directory_mode out",
        directory->path, st.st_uid, st.st_gid, st.st_mode & 07777, mode);
}

static int directory_check_place(const struct directory *directory, const char *real_path, struct error *error)
{
    char *now = directory_real_path(directory->fd);
    bool same = now && strcmp(now, real_path) == 0;

    if (!same)
        error_set(error, -ELOOP, "directory %s led to %s when its socket was published first, and now to %s",
                  directory->path, real_path, now ? now : "an unknown place");
    free(now);
    return same ? 0 : -ELOOP;
}

int directory_open(struct directory *directory, const struct listener_config *config, const char *real_path,
                   struct error *error)
{
    int r = directory_find(directory, config, error);

    if (r == 0 && real_path)
        r = directory_check_place(directory, real_path, error);
    if (r == 0 && !directory->created && config->has_directory_mode)
        r = directory_check_mode(directory, config->directory_mode, error);
    return r;
}

/* ---- looking ---- */

/* Whether names can be made in one. */
static int directory_try_write(int fd)
{
    return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int directory_look_above(const struct directory *directory, struct error *error)
{
    const char *name;
    _cleanup_(directory_close) int parent_fd = directory_open_parent(directory->path, &name);
    int r = parent_fd < 0 ? parent_fd : directory_try_write(parent_fd);

    return r < 0 ? directory_explain_missing(directory, r, error) : 0;
}

int directory_look(struct directory *directory, const struct listener_config *config, struct error *error)
{
    int fd = way_open(directory->path, NULL), r;

    if (fd == -ENOENT)
        return directory_look_above(directory, error);
    r = directory_hold(directory, fd, error);
    if (r == 0 && config->has_directory_mode)
        r = directory_check_mode(directory, config->directory_mode, error);
    if (r < 0)
        return r;
    r = directory_try_write(directory->fd);
    return r < 0 ? directory_explain_write(directory, r, error) : 0;
}

void directory_undo(const struct directory *directory)
{
    struct stat there, ours;
    const char *name;
    _cleanup_(directory_close) int parent_fd = -1;

    if (!directory->created || directory->fd < 0)
        return;
    parent_fd = directory_open_parent(directory->path, &name);
    if (parent_fd >= 0 && fstat(directory->fd, &ours) == 0 &&
        fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_dev == ours.st_dev &&
        there.st_ino == ours.st_ino)
        unlinkat(parent_fd, name, AT_REMOVEDIR);
}
