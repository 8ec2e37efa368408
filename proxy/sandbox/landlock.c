#include "proxy/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proxy/sandbox/landlock_abi.h"
#include "proxy/sandbox/place.h"

#define ABI_RENAMES 2
#define ABI_TRUNCATE 3
#define ABI_PORTS 4
#define ABI_DEVICES 5
#define ABI_SCOPES 6

/* A ruleset being filled. */
struct landlock_filling {
    struct landlock *landlock;
    struct landlock_ruleset ruleset;
    int fd; /* owned */
};

static void landlock_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- what this kernel can do ---- */

static int landlock_ask_abi(struct error *error)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);

    if (abi >= ABI_RENAMES)
        return (int)abi;
    if (abi > 0)
        return error_set(error, -EOPNOTSUPP, "ABI %ld of this kernel forbids to rename between directories", abi);
    switch (errno) {
    case ENOSYS:
        return error_set(error, -ENOSYS, "the kernel has no Landlock, or the runtime's filter hides it");
    case EOPNOTSUPP:
        return error_set(error, -EOPNOTSUPP, "Landlock is not among the kernel's lsm= parameter");
    default:
        return error_set(error, -errno, "the kernel does not tell its ABI: %s", strerror(errno));
    }
}

static struct landlock_ruleset landlock_choose(int abi, const struct needs *needs)
{
    struct landlock_ruleset ruleset = {.handled_fs = LANDLOCK_REFER | (LANDLOCK_REFER - 1)};

    if (abi >= ABI_TRUNCATE)
        ruleset.handled_fs |= LANDLOCK_TRUNCATE;
    if (abi >= ABI_DEVICES)
        ruleset.handled_fs |= LANDLOCK_IOCTL_DEV;
    if (abi >= ABI_PORTS)
        ruleset.handled_net = LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP;
    if (abi >= ABI_SCOPES)
        ruleset.scoped = LANDLOCK_SIGNALS | (needs->abstract ? 0 : LANDLOCK_ABSTRACT_SOCKETS);
    return ruleset;
}

/* ---- rules ---- */

static int landlock_remember(struct landlock *landlock, const struct landlock_grant *grant)
{
    struct landlock_grant *grants = realloc(landlock->grants, (landlock->n_grants + 1) * sizeof(*grants));

    if (!grants)
        return -ENOMEM;
    grants[landlock->n_grants++] = *grant;
    landlock->grants = grants;
    return 0;
}

static bool landlock_is_granted(const struct landlock *landlock, const struct landlock_grant *wanted)
{
    for (size_t i = 0; i < landlock->n_grants; i++)
        if (landlock->grants[i].device == wanted->device && landlock->grants[i].inode == wanted->inode &&
            (wanted->rights & ~landlock->grants[i].rights) == 0)
            return true;
    return false;
}

static bool landlock_is_of_kernel(int fd)
{
    struct statfs file_system;

    return fstatfs(fd, &file_system) == 0 && file_system.f_type == PROC_SUPER_MAGIC;
}

/* Of what is open as `fd`. What the kernel takes no rule for (a pipe) is not to be opened anew anyway. */
static int landlock_allow(struct landlock_filling *filling, int fd, const struct stat *st, uint64_t rights)
{
    struct landlock_grant grant = {.device = st->st_dev, .inode = st->st_ino, .rights = rights, .fd = -1};
    struct landlock_beneath rule = {.parent_fd = fd};
    int r;

    rule.allowed = rights & filling->ruleset.handled_fs;
    if (landlock_is_granted(filling->landlock, &grant))
        return 0;
    if (syscall(SYS_landlock_add_rule, filling->fd, LANDLOCK_BENEATH, &rule, 0) < 0)
        return errno == EBADFD ? 0 : -errno;
    /* What is in /proc is made anew when nobody has it: the rule would be of something that has gone. */
    if (landlock_is_of_kernel(fd))
        grant.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    r = landlock_remember(filling->landlock, &grant);
    if (r < 0)
        landlock_close(&grant.fd);
    return r;
}

/* What is not there cannot be opened to us: whoever makes it, makes it in a directory. What could not be opened for
 * want of something would be forbidden from here on. */
static int landlock_open(void *closure, const char *path, uint64_t rights)
{
    struct landlock_filling *filling = closure;
    _cleanup_(landlock_close) int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return -errno;
    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        rights &= LANDLOCK_OF_FILES;
    return landlock_allow(filling, fd, &st, rights);
}

static int landlock_open_ports(const struct landlock_filling *filling, const uint16_t *ports, size_t n_ports,
                               uint64_t right)
{
    struct landlock_port rule = {.allowed = right};

    for (size_t i = 0; filling->ruleset.handled_net && i < n_ports; i++) {
        rule.port = ports[i];
        if (syscall(SYS_landlock_add_rule, filling->fd, LANDLOCK_PORT, &rule, 0) < 0)
            return -errno;
    }
    return 0;
}

static int landlock_fill(struct landlock_filling *filling, const struct needs *needs)
{
    int r = 0;

    for (size_t i = 0; i < needs->n_places && r == 0; i++)
        r = place_each(&needs->places[i], landlock_open, filling);
    if (r == 0)
        r = landlock_open_ports(filling, needs->connect, needs->n_connect, LANDLOCK_CONNECT_TCP);
    if (r == 0)
        r = landlock_open_ports(filling, needs->bind, needs->n_bind, LANDLOCK_BIND_TCP);
    if (r == 0 && syscall(SYS_landlock_restrict_self, filling->fd, 0) < 0)
        r = -errno;
    return r;
}

static int landlock_copy_ports(const uint16_t *ports, size_t n_ports, uint16_t **ret_ports, size_t *ret_n)
{
    *ret_n = 0;
    *ret_ports = malloc((n_ports + 1) * sizeof(*ports));
    if (!*ret_ports)
        return -ENOMEM;
    if (n_ports > 0)
        memcpy(*ret_ports, ports, n_ports * sizeof(*ports));
    *ret_n = n_ports;
    return 0;
}

static void landlock_undo(struct landlock *landlock)
{
    for (size_t i = 0; i < landlock->n_grants; i++)
        landlock_close(&landlock->grants[i].fd);
    free(landlock->grants);
    needs_deinit(&landlock->needs);
    *landlock = (struct landlock){0};
}

int landlock_enter(const struct needs *needs, struct landlock *ret, struct error *error)
{
    int abi = landlock_ask_abi(error), r;
    struct landlock_filling filling = {.landlock = ret};

    *ret = (struct landlock){0};
    if (abi < 0)
        return abi;
    filling.ruleset = landlock_choose(abi, needs);
    filling.fd = (int)syscall(SYS_landlock_create_ruleset, &filling.ruleset, sizeof(filling.ruleset), 0);
    if (filling.fd < 0)
        return error_set(error, -errno, "cannot make a set of rules: %s", strerror(errno));
    r = landlock_copy_ports(needs->connect, needs->n_connect, &ret->needs.connect, &ret->needs.n_connect);
    if (r == 0)
        r = landlock_copy_ports(needs->bind, needs->n_bind, &ret->needs.bind, &ret->needs.n_bind);
    if (r == 0)
        r = landlock_fill(&filling, needs);
    landlock_close(&filling.fd);
    if (r < 0) {
        landlock_undo(ret);
        return error_set(error, r, "the kernel does not take the rules: %s", strerror(-r));
    }
    ret->abi = abi;
    ret->holds_ports = filling.ruleset.handled_net != 0;
    ret->holds_abstract = (filling.ruleset.scoped & LANDLOCK_ABSTRACT_SOCKETS) != 0;
    ret->holds_signals = (filling.ruleset.scoped & LANDLOCK_SIGNALS) != 0;
    return 0;
}

/* ---- what a reload may bring ---- */

/* A question about one need. */
struct landlock_question {
    const struct landlock *landlock;
    struct needs_place place; /* a copy */
    struct error *error;
};

static uint64_t landlock_rights_of(const struct landlock *landlock, const struct stat *st)
{
    uint64_t rights = 0;

    for (size_t i = 0; i < landlock->n_grants; i++)
        if (landlock->grants[i].device == st->st_dev && landlock->grants[i].inode == st->st_ino)
            rights |= landlock->grants[i].rights;
    return rights;
}

/* As the kernel adds them up: of a directory and all above it. Takes the descriptor over. */
static uint64_t landlock_rights_at(const struct landlock *landlock, int fd)
{
    struct stat st, below = {0};
    uint64_t rights = 0;

    while (fd >= 0 && fstat(fd, &st) == 0 && (st.st_dev != below.st_dev || st.st_ino != below.st_ino)) {
        int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

        rights |= landlock_rights_of(landlock, &st);
        landlock_close(&fd);
        fd = above;
        below = st;
    }
    landlock_close(&fd);
    return rights;
}

/* Of a path, or what there is of it: the directory it would be made in. */
static uint64_t landlock_rights_over(const struct landlock *landlock, const char *path)
{
    char *at = strdup(path);
    uint64_t rights = 0;
    struct stat st;

    if (at && stat(at, &st) == 0)
        rights = landlock_rights_of(landlock, &st);
    while (at) {
        int fd = open(*at ? at : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        char *slash = strrchr(at, '/');

        if (fd >= 0) {
            rights |= landlock_rights_at(landlock, fd);
            break;
        }
        if (!slash)
            break;
        *slash = '\0';
    }
    free(at);
    return rights;
}

static int landlock_ask(void *closure, const char *path, uint64_t rights)
{
    const struct landlock_question *question = closure;

    if ((rights & ~landlock_rights_over(question->landlock, path)) == 0)
        return 0;
    return error_set(question->error, -EPERM, "%s (%s) is out of reach since the start: %s", question->place.path,
                     question->place.what, path);
}

static int landlock_admits_ports(const uint16_t *had, size_t n_had, const uint16_t *wanted, size_t n_wanted,
                                 const char *what, struct error *error)
{
    for (size_t i = 0; i < n_wanted; i++) {
        size_t j = 0;

        while (j < n_had && had[j] != wanted[i])
            j++;
        if (j == n_had)
            return error_set(error, -EPERM, "TCP port %u is out of reach since the start: nothing %s it then",
                             wanted[i], what);
    }
    return 0;
}

int landlock_admits(const struct landlock *landlock, const struct needs *needs, struct error *error)
{
    struct landlock_question question = {.landlock = landlock, .error = error};
    int r = 0;

    if (landlock->abi == 0)
        return 0;
    for (size_t i = 0; i < needs->n_places && r == 0; i++) {
        question.place = needs->places[i];
        question.place.with_directory =
            false; /* if it goes, that will be told: no reason to stay with the old one now */
        r = place_each(&question.place, landlock_ask, &question);
    }
    if (r == 0 && landlock->holds_ports)
        r = landlock_admits_ports(landlock->needs.connect, landlock->needs.n_connect, needs->connect, needs->n_connect,
                                  "connected to", error);
    if (r == 0 && landlock->holds_ports)
        r = landlock_admits_ports(landlock->needs.bind, landlock->needs.n_bind, needs->bind, needs->n_bind,
                                  "listened on", error);
    if (r == 0 && landlock->holds_abstract && needs->abstract)
        r = error_set(error, -EPERM, "abstract sockets are out of reach since the start: no target was one then");
    return r;
}
