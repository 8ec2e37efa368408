#include "proxy/listen/publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/listen/lock.h"
#include "proxy/listen/socket_file.h"

#define PUBLISH_PREFIX ".porthole-"
#define PUBLISH_RANDOM 8
#define PUBLISH_TEMPORARY_BYTES (sizeof(PUBLISH_PREFIX) + PUBLISH_RANDOM)
#define PUBLISH_SHORT "s"     /* the socket's name in the temporary directory when its own does not fit an address */
#define PUBLISH_MOST_LEFT 4   /* entries of a temporary directory that are looked at */
#define PUBLISH_PROC_BYTES 48 /* "/proc/self/fd/N/s" */

/* One publication under way, on its caller's stack. */
struct publish {
    const struct listener_config *config; /* borrowed */
    const char *path;                     /* borrowed from config */
    char *directory;                      /* owned; the path without its last component */
    char *name;                           /* owned; the last component, passed on to the listener */
    int directory_fd;                     /* owned; passed on to the listener */
    int temporary_fd;                     /* owned; O_PATH of our private directory, -1 when there is none */
    int file_fd;                          /* owned; O_PATH of the socket's file, -1 before there is one */
    int fd;                               /* owned; the socket, passed on to the listener */
    int lock;                             /* owned; -1 when it could not be had */
    bool created;                         /* the directory */
    enum publish_over over;
    struct claim claim; /* since 0: to be laid now */
    char temporary[PUBLISH_TEMPORARY_BYTES];
    char socket_name[NAME_MAX + CLAIM_LENGTH + 1]; /* in the temporary directory: what can be told, and the claim */
};

static void publish_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int publish_split(struct publish *p, struct error *error)
{
    const char *slash = strrchr(p->path, '/');
    const char *name = slash ? slash + 1 : p->path;
    size_t length = slash ? (size_t)(slash - p->path) : 0;

    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        error_set(error, -EINVAL, "%s does not name a file", p->path);
        return -EINVAL;
    }
    while (length > 0 && p->path[length - 1] == '/')
        length--;
    if (length > 0)
        p->directory = strndup(p->path, length);
    else
        p->directory = strdup(slash ? "/" : ".");
    p->name = strdup(name);
    if (!p->directory || !p->name) {
        error_set(error, -ENOMEM, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

/* Sets the permission bits of an open directory (O_PATH will do), whatever the umask made of them. An inherited
 * set-group-ID bit stays: it is how a volume says which group its files belong to (fsGroup). */
static int publish_set_directory_mode(int fd, mode_t mode, struct stat *ret_stat)
{
    char proc[PUBLISH_PROC_BYTES];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    mode |= st.st_mode & S_ISGID;
    if ((st.st_mode & 07777) != mode) {
        snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
        if (chmod(proc, mode) < 0 || fstat(fd, &st) < 0)
            return -errno;
    }
    *ret_stat = st;
    return (st.st_mode & 07777) == mode ? 0 : -EOPNOTSUPP;
}

/* Where a path stops to exist: cuts it after its first missing component. */
static void publish_cut_at_missing(char *path)
{
    struct stat st;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(path, &st) < 0)
            return;
        *slash = '/';
    }
}

/* Makes the last directory of the path. Its group is the socket's: with the default modes, whoever may connect may also
 * walk to it. -EEXIST when somebody else made it meanwhile. */
static int publish_create_directory(struct publish *p, struct error *error)
{
    const struct listener_config *config = p->config;
    _cleanup_(publish_close) int fd = -1;
    struct stat st;
    int r;

    if (mkdir(p->directory, 0700) < 0) {
        r = -errno;
        if (r == -EEXIST)
            return r;
        if (r != -ENOENT)
            return error_set(error, r, "cannot make directory %s: %s", p->directory, strerror(-r));
        publish_cut_at_missing(p->directory);
        return error_set(error, r, "directory %s does not exist (only the last directory of a path is made)",
                         p->directory);
    }
    p->created = true;
    fd = open(p->directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot open directory %s: %s", p->directory, strerror(errno));
    if (config->group != OWNER_UNCHANGED &&
        fchownat(fd, "", OWNER_UNCHANGED, config->group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(error, -errno, "cannot give directory %s to group %u: %s", p->directory, config->group,
                         strerror(errno));
    r = publish_set_directory_mode(fd, config->directory_mode, &st);
    if (r < 0)
        return error_set(error, r, "cannot set mode %04o of directory %s: %s", config->directory_mode, p->directory,
                         strerror(-r));
    return 0;
}

static int publish_open_directory(struct publish *p, struct error *error)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    mode_t mode = p->config->directory_mode;
    struct stat st = {0};
    int r;

    p->directory_fd = open(p->directory, flags);
    if (p->directory_fd < 0 && errno == ENOENT) {
        r = publish_create_directory(p, error);
        if (r < 0 && r != -EEXIST)
            return r;
        p->directory_fd = open(p->directory, flags);
    }
    if (p->directory_fd < 0)
        return error_set(error, -errno, "cannot open directory %s: %s (this process has uid %u, gid %u)", p->directory,
                         strerror(errno), geteuid(), getegid());
    if (p->created || !p->config->has_directory_mode)
        return 0;
    r = publish_set_directory_mode(p->directory_fd, mode, &st);
    if (r < 0)
        return error_set(error, r, "cannot set mode %04o of directory %s, which has uid %u, gid %u, mode %04o: %s",
                         mode, p->directory, st.st_uid, st.st_gid, st.st_mode & 07777, strerror(-r));
    return 0;
}

static bool publish_is_temporary_name(const char *name)
{
    return strlen(name) == PUBLISH_TEMPORARY_BYTES - 1 &&
           strncmp(name, PUBLISH_PREFIX, sizeof(PUBLISH_PREFIX) - 1) == 0;
}

/* Takes away a temporary directory with its socket; only that, so that a directory of the same name with anything else
 * in it stays. */
static void publish_remove_temporary(int directory_fd, const char *name)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat st;

    for (int i = 0; directory && i < PUBLISH_MOST_LEFT && (entry = readdir(directory)); i++)
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
            unlinkat(fd, entry->d_name, 0);
    if (directory)
        closedir(directory);
    else
        publish_close(&fd);
    unlinkat(directory_fd, name, AT_REMOVEDIR);
}

/* With the lock held nobody else is publishing, so every temporary directory was left by a crash. Failing to remove one
 * is no reason not to serve. */
static void publish_remove_leftovers(const struct publish *p)
{
    int fd = openat(p->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        publish_close(&fd);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        if (publish_is_temporary_name(entry->d_name))
            publish_remove_temporary(p->directory_fd, entry->d_name);
    closedir(directory);
}

static const char *publish_file_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a named pipe";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "of an unknown type";
    }
}

/* Somebody serves what is at the path. */
static int publish_judge(struct publish *p, const struct socket_server *server, struct error *error)
{
    bool own = server->known && server->uid == geteuid();

    if (p->over == PUBLISH_OVER_NOBODY)
        return error_set(error, -EADDRINUSE, "another process serves %s; stop it or use --takeover", p->path);
    if (p->over == PUBLISH_OVER_PORTHOLE && server->known && !own)
        return error_set(error, -EADDRINUSE,
                         "a process of uid %u serves %s; stop it: --takeover is for processes of the same user (this "
                         "process has uid %u)",
                         server->uid, p->path, geteuid());
    if (!own || !claim_is_later(&server->claim, &p->claim))
        return 0;
    if (p->over == PUBLISH_OVER_ANYBODY)
        return error_set(error, -EADDRINUSE, "another process has taken over %s", p->path);
    p->claim.since = server->claim.since + 1; /* whatever the clocks say */
    return 0;
}

/* Decides whether what is at the path may be replaced. */
static int publish_check_place(struct publish *p, struct error *error)
{
    _cleanup_(publish_close) int fd = openat(p->directory_fd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct socket_server server;
    struct stat st;
    int r;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(error, -errno, "cannot look at %s: %s", p->path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return error_set(error, -EEXIST, "%s is %s, not a socket; remove it or choose another path", p->path,
                         publish_file_type(st.st_mode));
    r = socket_file_probe(fd, &server);
    if (r == 0)
        return publish_judge(p, &server, error);
    if (r == -ECONNREFUSED || p->over == PUBLISH_OVER_ANYBODY)
        return 0;
    if (r == -EPROTOTYPE)
        return error_set(error, -EADDRINUSE, "another process uses %s as a socket of another type", p->path);
    return error_set(
        error, r,
        "cannot tell whether another process serves %s, a socket with uid %u, gid %u, mode %04o, while this "
        "process has uid %u, gid %u: %s; remove it if nobody does",
        p->path, st.st_uid, st.st_gid, st.st_mode & 07777, geteuid(), getegid(), strerror(-r));
}

/* Whose place it is and since when. */
static int publish_lay_claim(struct publish *p, struct error *error)
{
    uint64_t since = p->claim.since;
    struct stat st;

    if (fstat(p->directory_fd, &st) < 0)
        return error_set(error, -errno, "cannot look at directory %s: %s", p->directory, strerror(errno));
    p->claim = claim_lay(claim_place(st.st_ino, p->name));
    if (since > 0)
        p->claim.since = since;
    return 0;
}

static int publish_random_name(char name[PUBLISH_TEMPORARY_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[PUBLISH_RANDOM];
    char *out = name + sizeof(PUBLISH_PREFIX) - 1;

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -EIO;
    memcpy(name, PUBLISH_PREFIX, sizeof(PUBLISH_PREFIX) - 1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        *out++ = letters[bytes[i] % (sizeof(letters) - 1)];
    *out = '\0';
    return 0;
}

/* Makes the private directory in which the socket is nobody's but ours until it is ready. */
static int publish_make_temporary(struct publish *p, struct error *error)
{
    struct stat st;
    int r;

    do {
        r = publish_random_name(p->temporary);
        if (r == 0 && mkdirat(p->directory_fd, p->temporary, 0700) < 0)
            r = -errno;
    } while (r == -EEXIST);
    if (r < 0)
        return error_set(error, r, "cannot write to directory %s: %s (this process has uid %u, gid %u)", p->directory,
                         strerror(-r), geteuid(), getegid());
    p->temporary_fd = openat(p->directory_fd, p->temporary, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->temporary_fd < 0)
        r = -errno;
    else
        r = publish_set_directory_mode(p->temporary_fd, 0700, &st);
    if (r < 0)
        return error_set(error, r, "cannot make a private directory in %s: %s", p->directory, strerror(-r));
    return 0;
}

static void publish_name_socket(struct publish *p, const char *name)
{
    char claim[CLAIM_LENGTH + 1];

    claim_format(&p->claim, claim);
    snprintf(p->socket_name, sizeof(p->socket_name), "%s%s", name, claim);
}

/* The address that is bound is what ss(8) shows for the socket's whole life, so it says as much as can be said: the
 * final path but for the temporary directory, or the file's name at least; and our claim, for other portholes. */
static void publish_choose_address(struct publish *p, struct sockaddr_un *ret_address)
{
    publish_name_socket(p, p->name);
    if (socket_file_real_address(p->temporary_fd, p->socket_name, ret_address) ||
        socket_file_address(p->temporary_fd, p->socket_name, ret_address))
        return;
    publish_name_socket(p, PUBLISH_SHORT);
    if (!socket_file_real_address(p->temporary_fd, p->socket_name, ret_address))
        socket_file_address(p->temporary_fd, p->socket_name, ret_address);
}

static int publish_bind(struct publish *p, struct error *error)
{
    struct sockaddr_un address;
    struct stat st;

    publish_choose_address(p, &address);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(error, -errno, "cannot make a socket in %s: %s", p->directory, strerror(errno));
    /* The directory was empty and is ours alone: what is in it now is what was bound. From here on the file is held,
     * and not named: whoever may write to the volume could have been quicker with the directory, and a name of theirs
     * could be a link to any file of ours. */
    p->file_fd = openat(p->temporary_fd, p->socket_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (p->file_fd < 0 || fstat(p->file_fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return error_set(error, -ESTALE, "directory %s was moved while a socket was made in it", p->directory);
    return 0;
}

/* Gives the socket its owner and mode, then reads them back: a volume may ignore them without an error. */
static int publish_set_access(const struct publish *p, struct stat *ret_stat, struct error *error)
{
    const struct listener_config *config = p->config;
    char proc[PUBLISH_PROC_BYTES];
    struct stat st;

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", p->file_fd);
    if (chmod(proc, config->mode) < 0)
        return error_set(error, -errno, "cannot set mode %04o of %s: %s", config->mode, p->path, strerror(errno));
    if ((config->owner != OWNER_UNCHANGED || config->group != OWNER_UNCHANGED) &&
        fchownat(p->file_fd, "", config->owner, config->group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(error, -errno,
                         "cannot give %s to owner %d, group %d (-1: unchanged): %s (this process has uid %u)", p->path,
                         (int)config->owner, (int)config->group, strerror(errno), geteuid());
    if (fstat(p->file_fd, &st) < 0)
        return error_set(error, -errno, "cannot read back the mode of %s: %s", p->path, strerror(errno));
    if ((st.st_mode & 07777) != config->mode)
        return error_set(error, -EOPNOTSUPP, "the volume of %s ignores modes: asked for %04o, got %04o", p->path,
                         config->mode, st.st_mode & 07777);
    if ((config->owner != OWNER_UNCHANGED && st.st_uid != config->owner) ||
        (config->group != OWNER_UNCHANGED && st.st_gid != config->group))
        return error_set(error, -EOPNOTSUPP,
                         "the volume of %s ignores owners: asked for uid %d, gid %d (-1: unchanged), got %u, %u",
                         p->path, (int)config->owner, (int)config->group, st.st_uid, st.st_gid);
    *ret_stat = st;
    return 0;
}

/* From here on clients connect to us. */
static int publish_show(const struct publish *p, struct error *error)
{
    if (listen(p->fd, (int)p->config->backlog) < 0)
        return error_set(error, -errno, "cannot listen on %s: %s", p->path, strerror(errno));
    if (renameat(p->temporary_fd, p->socket_name, p->directory_fd, p->name) < 0)
        return error_set(error, -errno, "cannot publish %s: %s", p->path, strerror(errno));
    return 0;
}

static int publish_go(struct publish *p, struct stat *ret_stat, struct error *error)
{
    int r = publish_split(p, error);

    if (r == 0)
        r = publish_open_directory(p, error);
    if (r == 0)
        r = publish_lay_claim(p, error);
    if (r < 0)
        return r;
    p->lock = lock_take(p->directory_fd);
    if (p->lock >= 0)
        publish_remove_leftovers(p);
    r = publish_check_place(p, error);
    if (r == 0)
        r = publish_make_temporary(p, error);
    if (r == 0)
        r = publish_bind(p, error);
    if (r == 0)
        r = publish_set_access(p, ret_stat, error);
    if (r == 0)
        r = publish_show(p, error);
    return r;
}

int publish_unix(const struct listener_config *config, enum publish_over over, uint64_t since,
                 struct publication *ret_publication, struct error *error)
{
    struct publish p = {.config = config,
                        .path = config->bind.name,
                        .directory_fd = -1,
                        .temporary_fd = -1,
                        .file_fd = -1,
                        .fd = -1,
                        .lock = -1,
                        .over = over,
                        .claim.since = since};
    struct stat st = {0};
    int r = publish_go(&p, &st, error);

    if (p.temporary[0] != '\0')
        publish_remove_temporary(p.directory_fd, p.temporary);
    publish_close(&p.file_fd);
    publish_close(&p.temporary_fd);
    lock_give(p.directory_fd, p.lock);
    if (r == 0) {
        *ret_publication = (struct publication){.fd = p.fd,
                                                .directory_fd = p.directory_fd,
                                                .name = p.name,
                                                .device = st.st_dev,
                                                .inode = st.st_ino,
                                                .claim = p.claim};
    } else {
        publish_close(&p.fd);
        publish_close(&p.directory_fd);
        if (p.created)
            rmdir(p.directory);
        free(p.name);
    }
    free(p.directory);
    return r;
}
