#include "proxy/listen/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/listen/acl.h"
#include "proxy/listen/directory.h"
#include "proxy/listen/lock.h"
#include "proxy/listen/nursery.h"
#include "proxy/listen/socket_file.h"

#define PUBLISH_SHORT "s" /* the socket's name in its nursery when no other fits an address */
#define PUBLISH_TRIES 3   /* while somebody moves what we make */
#define PUBLISH_MOST_STRANGERS 64
#define PUBLISH_PROC_BYTES 32 /* "/proc/self/fd/N" */

/* What is renamed over the path is made before: directory, socket, owner and mode, all of it checked. So several can be
 * made before the first is shown, and showing one is a rename, with a look at what is at the path by then. One that may
 * be revoked changes places with a living socket that it replaces, so that this one can be put back as it was: its
 * file, and with it whoever serves it. */
struct publish {
    const struct listener_config *config; /* borrowed */
    const char *path;                     /* borrowed from config */
    const char *real_directory;           /* borrowed; where it must be, NULL when there is no such place yet */
    char *directory_path;                 /* owned; the path without its last component */
    char *name;                           /* owned; the last component, passed on to the listener */
    struct directory directory;           /* its descriptor is passed on to the listener */
    struct nursery nursery;               /* where the socket is made */
    int file_fd;                          /* owned; O_PATH of the socket's file, -1 before there is one */
    int fd;                               /* owned; the socket, passed on to the listener */
    int lock;                             /* owned; -1 when it could not be had */
    enum publish_over over;
    struct claim claim; /* since 0: to be laid now */
    struct stat file;   /* of the socket, when it is made */
    bool made;
    bool shown;                                    /* directory, name and fd are the listener's then, and borrowed */
    bool replaces;                                 /* a living process of our user was at the path */
    bool keeps;                                    /* its file is in the nursery, in the place of ours */
    char socket_name[NAME_MAX + CLAIM_LENGTH + 1]; /* in the nursery: what can be told, and the claim */
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
        p->directory_path = strndup(p->path, length);
    else
        p->directory_path = strdup(slash ? "/" : ".");
    p->name = strdup(name);
    if (!p->directory_path || !p->name) {
        error_set(error, -ENOMEM, "out of memory");
        return -ENOMEM;
    }
    p->directory.path = p->directory_path;
    return 0;
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

    p->replaces = own;
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
    _cleanup_(publish_close) int fd = openat(p->directory.fd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
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
    r = socket_file_probe(fd, &server, NULL);
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

    if (fstat(p->directory.fd, &st) < 0)
        return error_set(error, -errno, "cannot look at directory %s: %s", p->directory.path, strerror(errno));
    p->claim = claim_lay(claim_place(st.st_ino, p->name));
    if (since > 0)
        p->claim.since = since;
    return 0;
}

static int publish_moved(const struct publish *p, struct error *error)
{
    return error_set(error, -ESTALE, "somebody else moves what is made in directory %s", p->directory.path);
}

static int publish_make_nursery(struct publish *p, struct error *error)
{
    int r = nursery_make(&p->nursery, p->directory.fd);

    if (r == -ESTALE)
        return publish_moved(p, error);
    if (r < 0)
        return directory_explain_write(&p->directory, r, error);
    return 0;
}

/* Names the socket in its nursery: what can be told of it, and our claim, for other portholes. False when that does not
 * fit an address. */
static bool publish_name_socket(struct publish *p, const char *name, struct sockaddr_un *ret_address)
{
    char claim[CLAIM_LENGTH + 1];

    claim_format(&p->claim, claim);
    if (snprintf(p->socket_name, sizeof(p->socket_name), "%s%s", name, claim) >= (int)sizeof(p->socket_name))
        return false;
    for (char *slash = strchr(p->socket_name, '/'); slash; slash = strchr(slash, '/'))
        *slash = '!';
    return socket_file_address(p->nursery.fd, p->socket_name, ret_address);
}

/* The address that is bound is what ss(8) shows for the socket's whole life. It must lead through the descriptor of the
 * nursery, for a path could lead elsewhere by then. So the name says as much as fits: the final path, with "!" for "/"
 * as the kernel writes it in sysfs, or the file's name at least. */
static void publish_choose_address(struct publish *p, struct sockaddr_un *ret_address)
{
    if (!publish_name_socket(p, p->path, ret_address) && !publish_name_socket(p, p->name, ret_address))
        publish_name_socket(p, PUBLISH_SHORT, ret_address);
}

static int publish_bind(struct publish *p, struct error *error)
{
    struct sockaddr_un address;
    struct stat st;

    publish_choose_address(p, &address);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == ENOENT
                   ? publish_moved(p, error)
                   : error_set(error, -errno, "cannot make a socket in %s: %s", p->directory.path, strerror(errno));
    /* From here on the file is held, and not named. */
    p->file_fd = openat(p->nursery.fd, p->socket_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (p->file_fd < 0 || fstat(p->file_fd, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return publish_moved(p, error);
    if (listen(p->fd, (int)p->config->backlog) < 0)
        return error_set(error, -errno, "cannot listen on %s: %s", p->path, strerror(errno));
    return 0;
}

/* Whether the next one in the backlog is this process: 0, -EAGAIN when nobody is there, -EPERM when it is not. */
static int publish_accept_ourselves(const struct publish *p)
{
    _cleanup_(publish_close) int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
    struct ucred ucred;
    socklen_t size = sizeof(ucred);

    if (fd < 0)
        return errno == EAGAIN ? -EAGAIN : -errno;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) == 0 && ucred.pid == getpid() ? 0 : -EPERM;
}

/* Proves that the file which is held is that of our socket: who connects to it comes to us. In the nursery another file
 * can only be another process's of our own user, but that may be in another container. */
static int publish_prove(const struct publish *p, struct error *error)
{
    struct socket_server server;
    int r = socket_file_probe(p->file_fd, &server, NULL);

    for (int i = 0; r == 0 && i < PUBLISH_MOST_STRANGERS; i++) {
        r = publish_accept_ourselves(p);
        if (r == 0)
            return 0;
        if (r == -EPERM)
            r = 0;
    }
    return publish_moved(p, error);
}

/* Gives the socket its owner and mode, then reads them back: a volume may ignore them without an error. */
static int publish_set_access(const struct publish *p, struct stat *ret_stat, struct error *error)
{
    const struct listener_config *config = p->config;
    char proc[PUBLISH_PROC_BYTES];
    struct stat st;
    int r = acl_clear(p->file_fd);

    if (r < 0)
        return error_set(error, r, "cannot clear the ACL that the directory of %s gave it: %s", p->path, strerror(-r));
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
    if (acl_is_there(p->file_fd))
        return error_set(error, -EOPNOTSUPP, "the volume of %s keeps an ACL on it that its directory gave", p->path);
    *ret_stat = st;
    return 0;
}

/* ---- making ---- */

/* Takes away what has been made and not been shown, or what was there before and has been kept. */
static void publish_unmake(struct publish *p)
{
    nursery_remove(&p->nursery, p->socket_name);
    publish_close(&p->file_fd);
    if (!p->shown)
        publish_close(&p->fd);
    p->made = p->keeps = false;
}

/* Everything but to show it. */
static int publish_make(struct publish *p, struct error *error)
{
    int r;

    publish_unmake(p);
    r = publish_make_nursery(p, error);
    if (r == 0)
        r = publish_bind(p, error);
    if (r == 0)
        r = publish_prove(p, error);
    if (r == 0)
        r = publish_set_access(p, &p->file, error);
    publish_close(&p->file_fd);
    if (r < 0)
        publish_unmake(p);
    p->made = r == 0;
    return r;
}

static int publish_open(struct publish *p, struct error *error)
{
    int r = publish_split(p, error);

    if (r == 0)
        r = directory_open(&p->directory, p->config, p->real_directory, error);
    if (r == 0)
        r = publish_lay_claim(p, error);
    return r;
}

static void publish_lock(struct publish *p)
{
    p->lock = lock_take(p->directory.fd);
    if (p->lock >= 0)
        nursery_remove_leftovers(p->directory.fd);
}

static void publish_unlock(struct publish *p)
{
    lock_give(p->directory.fd, p->lock);
    p->lock = -1;
}

/* ---- showing ---- */

static bool publish_is_ours(const struct publish *p)
{
    struct stat st;

    return fstatat(p->directory.fd, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == p->file.st_dev &&
           st.st_ino == p->file.st_ino;
}

/* Lets our file and what is at the path change places. 1; 0 when the volume cannot, or nothing is at the path any more;
 * or a negative errno when that is no socket. */
static int publish_exchange(struct publish *p, struct error *error)
{
    int from = p->nursery.fd, to = p->directory.fd;
    struct stat st;

    if (renameat2(from, p->socket_name, to, p->name, RENAME_EXCHANGE) < 0)
        return 0;
    if (fstatat(from, p->socket_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
        return 1;
    if (renameat2(from, p->socket_name, to, p->name, RENAME_EXCHANGE) < 0)
        p->socket_name[0] = '\0'; /* what is not ours is left alone */
    return error_set(error, -EEXIST, "%s is no socket any more; remove it or choose another path", p->path);
}

/* From here on clients connect to us, if it is our file that has the name now. */
static int publish_rename(struct publish *p, bool revocable, struct error *error)
{
    int r = revocable && p->replaces ? publish_exchange(p, error) : 0;

    if (r < 0)
        return r;
    p->keeps = r > 0;
    if (!p->keeps && renameat(p->nursery.fd, p->socket_name, p->directory.fd, p->name) < 0)
        return error_set(error, errno == ENOENT ? -ESTALE : -errno, "cannot publish %s: %s", p->path, strerror(errno));
    return publish_is_ours(p) ? 0 : publish_moved(p, error);
}

/* What is at the path may be another than when the socket was made, and what that one claims. */
static int publish_look_again(struct publish *p, struct error *error)
{
    uint64_t since = p->claim.since;
    int r;

    p->replaces = false;
    r = publish_check_place(p, error);
    p->made = p->made && p->claim.since == since;
    return r;
}

/* The lock is held. Whether it is to be shown, or made only. */
static int publish_try(struct publish *p, bool show, bool revocable, struct error *error)
{
    int r = publish_look_again(p, error);

    if (r == 0 && !p->made)
        r = publish_make(p, error);
    if (r < 0 || !show)
        return r;
    r = publish_rename(p, revocable, error);
    if (r < 0)
        publish_unmake(p);
    return r;
}

static int publish_go(struct publish *p, bool show, bool revocable, struct error *error)
{
    int r = 0;

    publish_lock(p);
    for (int i = 0; i == 0 || (r == -ESTALE && i < PUBLISH_TRIES); i++)
        r = publish_try(p, show, revocable, error);
    publish_unlock(p);
    return r;
}

/* ---- life ---- */

void publish_free(struct publish *p)
{
    if (!p)
        return;
    publish_unmake(p);
    if (!p->shown) {
        directory_undo(&p->directory);
        publish_close(&p->directory.fd);
        free(p->name);
    }
    free(p->directory_path);
    free(p);
}

static struct publish *publish_new(const struct listener_config *config, enum publish_over over, uint64_t since,
                                   const char *real_directory)
{
    struct publish *p = malloc(sizeof(*p));

    if (p)
        *p = (struct publish){.config = config,
                              .path = config->bind.name,
                              .real_directory = real_directory,
                              .directory.fd = -1,
                              .nursery = NURSERY_INIT,
                              .file_fd = -1,
                              .fd = -1,
                              .lock = -1,
                              .over = over,
                              .claim.since = since};
    return p;
}

static void publish_hand_out(struct publish *p, struct publication *ret_publication)
{
    p->shown = true;
    *ret_publication = (struct publication){.fd = p->fd,
                                            .directory_fd = p->directory.fd,
                                            .name = p->name,
                                            .device = p->file.st_dev,
                                            .inode = p->file.st_ino,
                                            .claim = p->claim,
                                            .made_directory = p->directory.created};
}

/* All of it, or nothing; with `show` it cannot be revoked. */
static int publish_begin(struct publish *p, bool show, struct publish **ret_publish, struct error *error)
{
    int r;

    if (!p) {
        error_set(error, -ENOMEM, "out of memory");
        return -ENOMEM;
    }
    r = publish_open(p, error);
    if (r == 0)
        r = publish_go(p, show, false, error);
    if (r == 0)
        *ret_publish = p;
    else
        publish_free(p);
    return r;
}

int publish_prepare(const struct listener_config *config, enum publish_over over, struct publish **ret_publish,
                    struct error *error)
{
    return publish_begin(publish_new(config, over, 0, NULL), false, ret_publish, error);
}

bool publish_replaces(const struct publish *p)
{
    return p->replaces;
}

int publish_show(struct publish *p, struct publication *ret_publication, struct error *error)
{
    int r = publish_go(p, true, true, error);

    if (r == 0)
        publish_hand_out(p, ret_publication);
    return r;
}

void publish_revoke(struct publish *p)
{
    publish_lock(p);
    if (!publish_is_ours(p))
        log_debug("what was shown at %s is not there any more", p->path);
    else if (!p->keeps)
        unlinkat(p->directory.fd, p->name, 0);
    else if (renameat(p->nursery.fd, p->socket_name, p->directory.fd, p->name) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a socket cannot be put back where it was", LOG_STRING("path", p->path),
                  LOG_STRING("error", strerror(errno)));
    publish_unlock(p);
}

int publish_unix(const struct listener_config *config, enum publish_over over, uint64_t since,
                 const char *real_directory, struct publication *ret_publication, struct error *error)
{
    struct publish *p = NULL;
    int r = publish_begin(publish_new(config, over, since, real_directory), true, &p, error);

    if (r != 0)
        return r;
    publish_hand_out(p, ret_publication);
    publish_free(p);
    return 0;
}

/* ---- looking ---- */

static int publish_look_there(struct publish *p, struct error *error)
{
    struct stat st;
    int r = publish_split(p, error);

    if (r == 0)
        r = directory_look(&p->directory, p->config, error);
    if (r == 0 && p->directory.fd < 0)
        return PUBLISH_FOUND_NO_DIRECTORY;
    if (r == 0)
        r = publish_check_place(p, error);
    if (r < 0)
        return r;
    return fstatat(p->directory.fd, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? PUBLISH_FOUND_LEFTOVER
                                                                            : PUBLISH_FOUND_NOTHING;
}

int publish_look(const struct listener_config *config, struct error *error)
{
    struct publish *p = publish_new(config, PUBLISH_OVER_NOBODY, 0, NULL);
    int r = p ? publish_look_there(p, error) : error_set(error, -ENOMEM, "out of memory");

    publish_free(p);
    return r;
}
