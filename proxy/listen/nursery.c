#include "proxy/listen/nursery.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/listen/socket_file.h"

#define NURSERY_PROC_BYTES 32 /* "/proc/self/fd/N" */
#define NURSERY_MOST_NAMES 16 /* that are there already, at random */
/* Of a directory with leftovers: names that are read, those that are looked into, and entries of one of them. */
#define NURSERY_MOST_READ 4096
#define NURSERY_MOST_LOOKED_AT 64
#define NURSERY_MOST_ENTRIES 4
#define NURSERY_MOST_REMEMBERED 16 /* directories that were looked through */

static void nursery_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void nursery_close_listing(DIR **listing)
{
    if (*listing)
        closedir(*listing);
}

/* Lists what is in a directory of which we have a descriptor; NULL with errno set. */
static DIR *nursery_list(int fd, const char *name)
{
    int listed = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = listed < 0 ? NULL : fdopendir(listed);

    if (!listing)
        nursery_close(&listed);
    return listing;
}

static bool nursery_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* ---- making ---- */

static int nursery_choose_name(char name[NURSERY_NAME_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[NURSERY_RANDOM];
    char *out = name + sizeof(NURSERY_PREFIX) - 1;

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -EIO;
    memcpy(name, NURSERY_PREFIX, sizeof(NURSERY_PREFIX) - 1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        *out++ = letters[bytes[i] % (sizeof(letters) - 1)];
    *out = '\0';
    return 0;
}

/* Whether a directory is ours, and closed to everybody else; an ACL opens no more than the group's bits say. */
static bool nursery_is_private(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && st->st_uid == geteuid() && (st->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static int nursery_expect_empty(int fd)
{
    _cleanup_(nursery_close_listing) DIR *listing = nursery_list(fd, ".");
    const struct dirent *entry;

    if (!listing)
        return -errno;
    while ((entry = readdir(listing)))
        if (!nursery_is_dots(entry->d_name))
            return -ESTALE;
    return 0;
}

/* What has been opened may be another directory than the one that was made. If it is ours, empty, and for nobody else,
 * it is as good. Its bits are only touched for ourselves: an umask may have taken them. */
static int nursery_own(int fd)
{
    char proc[NURSERY_PROC_BYTES];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!nursery_is_private(&st))
        return -ESTALE;
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if ((st.st_mode & S_IRWXU) != S_IRWXU && chmod(proc, S_IRWXU | (st.st_mode & S_ISGID)) < 0)
        return -errno;
    return nursery_expect_empty(fd);
}

/* Opens one that has just been made. */
static int nursery_open(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
    r = nursery_own(fd);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* Takes away one that could not be opened, for want of descriptors or memory: its name is all that there is. */
static void nursery_unmake(int parent_fd, const char *name)
{
    struct stat st;

    if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && nursery_is_private(&st))
        unlinkat(parent_fd, name, AT_REMOVEDIR);
}

int nursery_make(struct nursery *nursery, int parent_fd)
{
    int fd, r = -EEXIST;

    for (int i = 0; i < NURSERY_MOST_NAMES && r == -EEXIST; i++) {
        r = nursery_choose_name(nursery->name);
        if (r == 0 && mkdirat(parent_fd, nursery->name, S_IRWXU) < 0)
            r = -errno;
    }
    fd = r < 0 ? r : nursery_open(parent_fd, nursery->name);
    if (r == 0 && fd < 0 && fd != -ESTALE)
        nursery_unmake(parent_fd, nursery->name);
    if (fd < 0)
        return fd;
    nursery->parent_fd = parent_fd;
    nursery->fd = fd;
    return 0;
}

/* Into the nursery nobody can come but processes of our own user, and those may be in another container. */
int nursery_make_directory(const struct nursery *nursery, const char *name)
{
    return mkdirat(nursery->fd, name, S_IRWXU) < 0 ? -errno : nursery_open(nursery->fd, name);
}

/* ---- taking away ---- */

/* Only what is empty can be taken away by its name, and only what is still there. */
static void nursery_remove_directory(int parent_fd, const char *name, int fd)
{
    struct stat there, ours;

    if (fstat(fd, &ours) == 0 && fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_dev == ours.st_dev && there.st_ino == ours.st_ino)
        unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void nursery_remove(struct nursery *nursery, const char *file)
{
    if (nursery->fd < 0)
        return;
    if (unlinkat(nursery->fd, file, 0) < 0 && errno == EISDIR)
        unlinkat(nursery->fd, file, AT_REMOVEDIR);
    nursery_remove_directory(nursery->parent_fd, nursery->name, nursery->fd);
    nursery_close(&nursery->fd);
}

/* Takes a socket away if nobody serves it. */
static void nursery_remove_dead_socket(int fd, const char *name)
{
    _cleanup_(nursery_close) int file = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct socket_server server;
    struct stat st;

    if (file >= 0 && fstat(file, &st) == 0 && S_ISSOCK(st.st_mode) &&
        socket_file_probe(file, &server, NULL) == -ECONNREFUSED)
        unlinkat(fd, name, 0);
}

static void nursery_remove_leftover(int parent_fd, const char *name)
{
    _cleanup_(nursery_close_listing) DIR *listing = nursery_list(parent_fd, name);
    const struct dirent *entry;
    struct stat st;

    if (!listing || fstat(dirfd(listing), &st) < 0 || !nursery_is_private(&st))
        return;
    for (int i = 0; i < NURSERY_MOST_ENTRIES && (entry = readdir(listing)); i++)
        if (!nursery_is_dots(entry->d_name))
            nursery_remove_dead_socket(dirfd(listing), entry->d_name);
    nursery_remove_directory(parent_fd, name, dirfd(listing));
}

static bool nursery_is_name(const char *name)
{
    return strlen(name) == NURSERY_NAME_BYTES - 1 && strncmp(name, NURSERY_PREFIX, sizeof(NURSERY_PREFIX) - 1) == 0;
}

/* Whether this process has looked through the directory already: what lies there from an earlier crash is gone, and of
 * many listeners in one directory each would read the names of all the others. A directory's birth tells it from one
 * that has its inode number later. */
static bool nursery_has_looked(int parent_fd)
{
    static struct statx looked[NURSERY_MOST_REMEMBERED];
    static unsigned next;
    struct statx now;

    if (statx(parent_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &now) < 0 || !(now.stx_mask & STATX_BTIME))
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(looked); i++)
        if (looked[i].stx_ino == now.stx_ino && looked[i].stx_dev_major == now.stx_dev_major &&
            looked[i].stx_dev_minor == now.stx_dev_minor && looked[i].stx_btime.tv_sec == now.stx_btime.tv_sec &&
            looked[i].stx_btime.tv_nsec == now.stx_btime.tv_nsec)
            return true;
    looked[next++ % ARRAY_LENGTH(looked)] = now;
    return false;
}

void nursery_remove_leftovers(int parent_fd)
{
    _cleanup_(nursery_close_listing) DIR *listing = nursery_has_looked(parent_fd) ? NULL : nursery_list(parent_fd, ".");
    const struct dirent *entry;
    int n_looked_at = 0;

    for (int i = 0; listing && i < NURSERY_MOST_READ && n_looked_at < NURSERY_MOST_LOOKED_AT; i++) {
        entry = readdir(listing);
        if (!entry)
            return;
        if (!nursery_is_name(entry->d_name))
            continue;
        nursery_remove_leftover(parent_fd, entry->d_name);
        n_looked_at++;
    }
}
