/* Mode and owner of a file cannot be changed in one step. In between it has the new owner with the old mode, or the
 * other way round, or, where both of these could let in somebody whom neither configuration does, a mode with what both
 * have in common. Only who may write to a socket may connect to it. */
#include "proxy/listen/amend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define AMEND_PROC_BYTES 32 /* "/proc/self/fd/N" */
#define AMEND_MODE 07777
#define AMEND_WRITE_ALL 0222

static void amend_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Of an open file (O_PATH will do). 0 or a negative errno. */
static int amend_chmod(int fd, mode_t mode)
{
    char proc[AMEND_PROC_BYTES];

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return chmod(proc, mode) < 0 ? -errno : 0;
}

static int amend_chown(int fd, uid_t uid, gid_t gid)
{
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static mode_t amend_mode_between(mode_t from, mode_t to)
{
    if ((from & AMEND_WRITE_ALL) == AMEND_WRITE_ALL)
        return from;
    return (to & AMEND_WRITE_ALL) == AMEND_WRITE_ALL ? to : from & to;
}

/* Gives a file mode, owner and group, and reads them back. 0, or a negative errno: -EOPNOTSUPP when the volume ignores
 * them without an error. */
static int amend_access(int fd, const struct stat *to)
{
    mode_t now, between, last = to->st_mode & AMEND_MODE;
    struct stat st;
    bool owner;
    int r;

    if (fstat(fd, &st) < 0)
        return -errno;
    owner = st.st_uid != to->st_uid || st.st_gid != to->st_gid;
    now = st.st_mode & AMEND_MODE;
    between = owner ? amend_mode_between(now, last) : last;
    r = between != now ? amend_chmod(fd, between) : 0;
    if (r == 0 && owner)
        r = amend_chown(fd, to->st_uid, to->st_gid);
    /* A change of owner may take bits away. */
    if (r == 0 && (owner || between != last))
        r = amend_chmod(fd, last);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0 && ((st.st_mode & AMEND_MODE) != last || st.st_uid != to->st_uid || st.st_gid != to->st_gid))
        r = -EOPNOTSUPP;
    return r;
}

/* ---- the file ---- */

/* What the file is to be: where nothing is asked for any more, what a new file would get. */
static struct stat amend_wanted(const struct listener *listener, const struct listener_config *config,
                                const struct stat *now)
{
    const struct listener_config *old = listener->config;
    struct stat wanted = *now, directory;
    bool inherits = fstat(listener->directory_fd, &directory) == 0 && (directory.st_mode & S_ISGID);

    wanted.st_mode = (now->st_mode & ~(mode_t)AMEND_MODE) | config->mode;
    if (config->owner != OWNER_UNCHANGED)
        wanted.st_uid = config->owner;
    else if (old->owner != OWNER_UNCHANGED)
        wanted.st_uid = geteuid();
    if (config->group != OWNER_UNCHANGED)
        wanted.st_gid = config->group;
    else if (old->group != OWNER_UNCHANGED)
        wanted.st_gid = inherits ? directory.st_gid : getegid();
    return wanted;
}

static bool amend_differs(const struct stat *a, const struct stat *b)
{
    return ((a->st_mode ^ b->st_mode) & AMEND_MODE) || a->st_uid != b->st_uid || a->st_gid != b->st_gid;
}

/* Whether the configurations do: who has changed the file by hand is let be until then. */
static bool amend_asks(const struct listener_config *old, const struct listener_config *config)
{
    return old->mode != config->mode || old->owner != config->owner || old->group != config->group;
}

/* The file as it is now. 1, 0 when it is not there, or not ours any more: the keeper makes it again as it is to be; or
 * a negative errno. */
static int amend_look(const struct listener *listener, int fd, struct stat *ret_now)
{
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, ret_now) < 0)
        return -errno;
    return listener_is_file(listener, ret_now);
}

static int amend_file(struct listener *listener, const struct listener_config *config, struct amendment *amendment,
                      struct error *error)
{
    _cleanup_(amend_close) int fd = -1;
    struct stat now = {0}, wanted;
    int r;

    if (!amend_asks(listener->config, config))
        return 0;
    fd = openat(listener->directory_fd, listener->file_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    r = amend_look(listener, fd, &now);
    if (r < 0)
        return error_set(error, r, "cannot look at %s, whose mode or owner is to change: %s", config->bind.text,
                         strerror(-r));
    if (r == 0)
        return 0;
    wanted = amend_wanted(listener, config, &now);
    if (!amend_differs(&now, &wanted))
        return 0;
    r = amend_access(fd, &wanted);
    if (r == 0) {
        amendment->file = now;
        return 0;
    }
    if (amend_access(fd, &now) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a socket cannot be given back the mode that it had",
                  LOG_STRING("listener", listener->config->name));
    return error_set(error, r, "cannot give %s mode %04o, uid %u, gid %u: %s (this process has uid %u)",
                     config->bind.text, wanted.st_mode & AMEND_MODE, wanted.st_uid, wanted.st_gid, strerror(-r),
                     geteuid());
}

/* ---- its directory ---- */

static void amend_directory_back(const struct listener *listener, const struct stat *before)
{
    if (amend_access(listener->directory_fd, before) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "the directory of a socket cannot be given back the mode that it had",
                  LOG_STRING("listener", listener->config->name));
}

/* Whether it is one that we made, as the old configuration asked; or, before this process, another of ours. */
static bool amend_is_our_directory(const struct listener *listener, const struct stat *st)
{
    const struct listener_config *old = listener->config;

    return st->st_uid == geteuid() && (listener->made_directory || old->has_directory_mode) &&
           ((st->st_mode ^ old->directory_mode) & AMEND_MODE & ~(mode_t)S_ISGID) == 0;
}

/* The group that a directory gets that is made now, where none is asked for. */
static gid_t amend_inherited_group(const struct listener *listener)
{
    struct stat parent;

    return fstatat(listener->directory_fd, "..", &parent, 0) == 0 && (parent.st_mode & S_ISGID) ? parent.st_gid
                                                                                                : getegid();
}

/* What the directory is to be: its group is the socket's, where that was so when it was made. */
static struct stat amend_wanted_directory(const struct listener *listener, const struct listener_config *config,
                                          const struct stat *now)
{
    const struct listener_config *old = listener->config;
    struct stat wanted = *now;
    gid_t group = old->group != OWNER_UNCHANGED ? old->group : amend_inherited_group(listener);

    if (config->has_directory_mode && (!old->has_directory_mode || old->directory_mode != config->directory_mode))
        wanted.st_mode = (now->st_mode & (S_IFMT | S_ISGID)) | config->directory_mode;
    if (config->group != old->group && now->st_gid == group && amend_is_our_directory(listener, now))
        wanted.st_gid = config->group != OWNER_UNCHANGED ? config->group : amend_inherited_group(listener);
    return wanted;
}

static int amend_directory(struct listener *listener, const struct listener_config *config, struct amendment *amendment,
                           struct error *error)
{
    struct stat now, wanted;
    int r;

    if (fstat(listener->directory_fd, &now) < 0)
        return error_set(error, -errno, "cannot look at the directory of %s: %s", config->bind.text, strerror(errno));
    wanted = amend_wanted_directory(listener, config, &now);
    if (!amend_differs(&now, &wanted))
        return 0;
    if (!amend_is_our_directory(listener, &now))
        return error_set(
            error, -EPERM,
            "the directory of %s has uid %u, gid %u, mode %04o, and was not made by this process: its mode "
            "cannot become %04o; change it, or leave directory_mode out",
            config->bind.text, now.st_uid, now.st_gid, now.st_mode & AMEND_MODE, config->directory_mode);
    r = amend_access(listener->directory_fd, &wanted);
    if (r == 0) {
        amendment->directory = now;
        return 0;
    }
    amend_directory_back(listener, &now);
    return error_set(error, r, "cannot give the directory of %s mode %04o and gid %u: %s", config->bind.text,
                     wanted.st_mode & AMEND_MODE, wanted.st_gid, strerror(-r));
}

/* ---- all of it ---- */

static int amend_backlog(struct listener *listener, const struct listener_config *config, struct amendment *amendment,
                         struct error *error)
{
    /* That of a successor is not ours to change. */
    if (listener->config->backlog == config->backlog || listener->fd < 0)
        return 0;
    if (listen(listener->fd, (int)config->backlog) < 0)
        return error_set(error, -errno, "cannot change the backlog of %s: %s", config->bind.text, strerror(errno));
    amendment->backlog = true;
    return 0;
}

int listener_amend(struct listener *listener, const struct listener_config *config, struct amendment *ret_amendment,
                   struct error *error)
{
    struct amendment amendment = {.listener = listener};
    int r = amend_backlog(listener, config, &amendment, error);

    if (r == 0 && config->bind.kind == ADDRESS_UNIX && listener->directory_fd >= 0)
        r = amend_directory(listener, config, &amendment, error);
    if (r == 0 && config->bind.kind == ADDRESS_UNIX && listener->directory_fd >= 0)
        r = amend_file(listener, config, &amendment, error);
    if (r < 0)
        amendment_undo(&amendment);
    else if (!amendment.backlog && amendment.file.st_nlink == 0 && amendment.directory.st_nlink == 0)
        amendment.listener = NULL;
    *ret_amendment = amendment;
    return r;
}

static void amendment_undo_file(const struct amendment *amendment)
{
    const struct listener *listener = amendment->listener;
    _cleanup_(amend_close) int fd =
        openat(listener->directory_fd, listener->file_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat now;

    if (fd >= 0 && fstat(fd, &now) == 0 && listener_is_file(listener, &now) && amend_access(fd, &amendment->file) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a socket cannot be given back the mode that it had",
                  LOG_STRING("listener", listener->config->name));
}

void amendment_undo(struct amendment *amendment)
{
    struct listener *listener = amendment->listener;

    if (!listener)
        return;
    if (amendment->file.st_nlink > 0)
        amendment_undo_file(amendment);
    if (amendment->directory.st_nlink > 0)
        amend_directory_back(listener, &amendment->directory);
    if (amendment->backlog && listener->fd >= 0 && listen(listener->fd, (int)listener->config->backlog) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a listener cannot be given back its backlog",
                  LOG_STRING("listener", listener->config->name));
    *amendment = (struct amendment){.listener = NULL};
}
