/* How a place is opened decides how it can be written to without blocking, and without harm to others:
 *
 *   file by path      opened by us, appending
 *   regular file      that we were given (> file): the same description, so that its offset is shared with those who
 * were given it too; with an offset of our own we would write over each other's lines. It never blocks pipe, terminal
 * a description of our own, where that can be had: O_NONBLOCK then is ours alone the same          of another user,
 * which we may not open: the one we were given, asked for room before each write socket            has no second
 * description, but a flag for each write
 *
 * A full disk can take a part of a line, and a terminal or socket may. Who writes next begins with an end of line, so
 * that the torn line stays alone. For that, and so that a write by parts is not interrupted, all who name a place share
 * one struct output and its lock. */
#include "proxy/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/list.h"
#include "proxy/base/way.h"

#define OUTPUT_FILE_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define OUTPUT_FILE_MODE 0640
#define OUTPUT_MOST_LINKS 8

enum output_kind {
    OUTPUT_READY,  /* never blocks */
    OUTPUT_SHARED, /* may block: is asked first */
    OUTPUT_SOCKET,
};

struct output {
    struct list link; /* in outputs */
    unsigned n_refs;  /* guarded by outputs_lock */
    int given_fd;     /* the descriptor that was named; -1: a path was */
    char *path;       /* owned; NULL when a descriptor was named */
    pthread_mutex_t lock;
    int fd; /* owned; stays the same number when a file is opened anew */
    enum output_kind kind;
    bool torn; /* the last line was written in part */
};

static pthread_mutex_t outputs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list outputs = LIST_INIT(outputs); /* guarded by outputs_lock */

/* ---- names ---- */

/* What follows the prefix in a name that begins with it, else NULL. */
static const char *output_after(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

/* The descriptor of ours that a name stands for as it is written, or -1. */
static int output_descriptor_of(const char *name)
{
    char process[32];
    const char *number;
    char *end;
    long fd;

    if (strcmp(name, "stdout") == 0 || strcmp(name, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(name, "stderr") == 0 || strcmp(name, "/dev/stderr") == 0)
        return STDERR_FILENO;
    snprintf(process, sizeof(process), "/proc/%ld/fd/", (long)getpid());
    if (!(number = output_after(name, "/dev/fd/")) && !(number = output_after(name, "/proc/self/fd/")) &&
        !(number = output_after(name, "/proc/thread-self/fd/")) && !(number = output_after(name, process)))
        return -1;
    errno = 0;
    fd = strtol(number, &end, 10);
    return *number < '0' || *number > '9' || *end || errno || fd > 0xffffff ? -1 : (int)fd;
}

/* The same for a name that may be a symbolic link of root's or ours to such a one, as images of servers have for their
 * log files. */
static int output_find_descriptor(const char *name)
{
    char path[256];
    size_t length = strlen(name);
    int fd = output_descriptor_of(name);
    struct stat status;
    ssize_t n;

    if (fd >= 0 || length >= sizeof(path))
        return fd;
    memcpy(path, name, length + 1);
    for (int i = 0; fd < 0 && i < OUTPUT_MOST_LINKS; i++) {
        char target[sizeof(path)];

        n = lstat(path, &status) == 0 && way_is_trusted_owner(&status) ? readlink(path, target, sizeof(target) - 1)
                                                                       : -1;
        if (n <= 0 || target[0] != '/')
            return -1;
        memcpy(path, target, (size_t)n);
        path[n] = '\0';
        fd = output_descriptor_of(path);
    }
    return fd;
}

/* ---- opening ---- */

static int output_open_descriptor(struct output *output)
{
    char path[sizeof("/proc/self/fd/-2147483648")];
    struct stat status;

    if (fstat(output->given_fd, &status) < 0)
        return -errno;
    output->kind = S_ISSOCK(status.st_mode) ? OUTPUT_SOCKET : S_ISREG(status.st_mode) ? OUTPUT_READY : OUTPUT_SHARED;
    if (output->kind == OUTPUT_SHARED) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", output->given_fd);
        output->fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (output->fd >= 0)
            output->kind = OUTPUT_READY;
    }
    if (output->fd < 0)
        output->fd = fcntl(output->given_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return output->fd < 0 ? -errno : 0;
}

/* Opens the directory of a path; what comes after is *ret_name. */
static int output_open_directory(const char *path, const char **ret_name, bool *ret_shared)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;

    *ret_name = path + length;
    if (length >= sizeof(directory))
        return -ENAMETOOLONG;
    memcpy(directory, path, length);
    directory[length] = '\0';
    return way_open(length > 0 ? directory : ".", ret_shared);
}

/* Whether lines may go into what has been opened. Where others can put a name, it must be a file of ours that has no
 * other name: a hard link could be to any file that we may write. */
static int output_check_file(int fd, bool shared)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISBLK(status.st_mode))
        return -ENOTSUP;
    if (shared && (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_nlink != 1))
        return -EPERM;
    return 0;
}

/* Returns the descriptor or a negative errno; *ret_directory_fd, the caller's too, is that of the directory, or -1. */
static int output_open_in(const char *path, int flags, int *ret_directory_fd)
{
    const char *name;
    bool shared = true;
    int directory_fd = output_open_directory(path, &name, &shared);
    int fd, r;

    *ret_directory_fd = directory_fd < 0 ? -1 : directory_fd;
    if (directory_fd < 0)
        return directory_fd;
    fd = openat(directory_fd, name, flags, OUTPUT_FILE_MODE);
    r = fd < 0 ? -errno : output_check_file(fd, shared);
    if (r == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return r;
}

static int output_open_file(const char *path)
{
    int directory_fd, fd = output_open_in(path, OUTPUT_FILE_FLAGS, &directory_fd);

    if (directory_fd >= 0)
        close(directory_fd);
    return fd;
}

/* The same without making anything. 0 or a negative errno. */
static int output_look_file(const char *path)
{
    int directory_fd, fd = output_open_in(path, OUTPUT_FILE_FLAGS & ~O_CREAT, &directory_fd);
    int r = fd < 0 ? fd : 0;

    if (r == -ENOENT && directory_fd >= 0)
        r = faccessat(directory_fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (directory_fd >= 0)
        close(directory_fd);
    return r;
}

int output_look(const char *name)
{
    return output_find_descriptor(name) >= 0 ? 0 : output_look_file(name);
}

const char *output_explain(int code)
{
    switch (code) {
    case -ELOOP:
        return "it is a symbolic link, or behind one that others than root and we could have made";
    case -EPERM:
        return "others may write its directory, and it is not a file that belongs to us and has one name";
    case -ENOTSUP:
        return "it is a block device";
    case -ENXIO:
        return "it is a socket, or a named pipe that nobody reads";
    default:
        return strerror(-code);
    }
}

static int output_open_path(struct output *output, const char *path)
{
    output->path = strdup(path);
    if (!output->path)
        return -ENOMEM;
    output->kind = OUTPUT_READY;
    output->fd = output_open_file(path);
    return output->fd < 0 ? output->fd : 0;
}

static void output_free(struct output *output)
{
    list_remove(&output->link);
    if (output->fd >= 0)
        close(output->fd);
    pthread_mutex_destroy(&output->lock);
    free(output->path);
    free(output);
}

static int output_new(const char *name, int given_fd, struct output **ret_output)
{
    struct output *output = calloc(1, sizeof(*output));
    int r;

    if (!output)
        return -ENOMEM;
    list_init(&output->link);
    pthread_mutex_init(&output->lock, NULL);
    output->n_refs = 1;
    output->given_fd = given_fd;
    output->fd = -1;
    r = given_fd >= 0 ? output_open_descriptor(output) : output_open_path(output, name);
    if (r < 0) {
        output_free(output);
        return r;
    }
    list_append(&outputs, &output->link);
    *ret_output = output;
    return 0;
}

static struct output *output_find(const char *name, int given_fd)
{
    for (struct list *link = outputs.next; link != &outputs; link = link->next) {
        struct output *output = CONTAINER_OF(link, struct output, link);

        if (given_fd >= 0 ? output->given_fd == given_fd : output->path && strcmp(output->path, name) == 0)
            return output;
    }
    return NULL;
}

int output_open(const char *name, struct output **ret_output)
{
    int given_fd = output_find_descriptor(name);
    struct output *output;
    int r = 0;

    pthread_mutex_lock(&outputs_lock);
    output = output_find(name, given_fd);
    if (output)
        output->n_refs++;
    else
        r = output_new(name, given_fd, &output);
    pthread_mutex_unlock(&outputs_lock);
    if (r == 0)
        *ret_output = output;
    return r;
}

void output_unref(struct output *output)
{
    if (!output)
        return;
    pthread_mutex_lock(&outputs_lock);
    if (--output->n_refs == 0)
        output_free(output);
    pthread_mutex_unlock(&outputs_lock);
}

int output_reopen_all(struct error *error)
{
    int r = 0;

    pthread_mutex_lock(&outputs_lock);
    for (struct list *link = outputs.next; link != &outputs; link = link->next) {
        struct output *output = CONTAINER_OF(link, struct output, link);
        int fd;

        if (!output->path)
            continue;
        fd = output_open_file(output->path);
        pthread_mutex_lock(&output->lock);
        if (fd >= 0 && dup3(fd, output->fd, O_CLOEXEC) >= 0)
            output->torn = false;
        else
            r = fd < 0 ? fd : -errno;
        pthread_mutex_unlock(&output->lock);
        if (r < 0)
            error_set(error, r, "cannot open %s again: %s", output->path, output_explain(r));
        if (fd >= 0)
            close(fd);
    }
    pthread_mutex_unlock(&outputs_lock);
    return r;
}

/* ---- writing ---- */

static ssize_t output_put(const struct output *output, const char *data, size_t length)
{
    struct pollfd room = {.fd = output->fd, .events = POLLOUT};
    ssize_t n;

    /* With room for anything a pipe has room for a page. */
    if (output->kind == OUTPUT_SHARED && poll(&room, 1, 0) == 0)
        return -EAGAIN;
    do
        n = output->kind == OUTPUT_SOCKET ? send(output->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                                          : write(output->fd, data, length);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n > 0 ? n : -EAGAIN;
}

/* The same with the lock held. */
static ssize_t output_put_lines(struct output *output, const char *lines, size_t length)
{
    const char *end;
    ssize_t n;

    if (output->torn) {
        n = output_put(output, "\n", 1);
        if (n < 0)
            return n;
        output->torn = false;
    }
    n = output_put(output, lines, length);
    if (n < 0 || lines[n - 1] == '\n')
        return n;
    output->torn = true;
    end = memrchr(lines, '\n', (size_t)n);
    return end ? end + 1 - lines : -EAGAIN;
}

ssize_t output_write(struct output *output, const char *lines, size_t n)
{
    int saved_errno = errno;
    ssize_t taken;

    pthread_mutex_lock(&output->lock);
    taken = output_put_lines(output, lines, n);
    pthread_mutex_unlock(&output->lock);
    errno = saved_errno;
    return taken;
}
