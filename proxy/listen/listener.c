#include "proxy/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/listen/publish.h"
#include "proxy/listen/socket_file.h"

/* Binds and listens. Returns the descriptor or a negative errno. */
static int listener_open_socket(const struct sockaddr *address, socklen_t length, uint32_t backlog)
{
    const int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = 0;

    if (fd < 0)
        return -errno;
    if (address->sa_family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        r = -errno;
    /* [::] means IPv6, whatever net.ipv6.bindv6only says. */
    if (r == 0 && address->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        r = -errno;
    if (r == 0 && (bind(fd, address, length) < 0 || listen(fd, (int)backlog) < 0))
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int listener_fail(const struct listener_config *config, int r, struct error *error)
{
    if (r == -EADDRINUSE)
        return error_set(error, r, "another process serves %s; stop it (only a socket with a path can be taken over)",
                         config->bind.text);
    return error_set(error, r, "cannot listen on %s: %s", config->bind.text, strerror(-r));
}

static int listener_open_abstract(struct listener *listener, struct error *error)
{
    const struct listener_config *config = listener->config;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(config->bind.name);
    int fd;

    if (length > sizeof(address.sun_path) - 1)
        return error_set(error, -ENAMETOOLONG, "abstract name of %zu bytes in %s: at most %zu fit", length,
                         config->bind.text, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path + 1, config->bind.name, length);
    fd = listener_open_socket((struct sockaddr *)&address,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length), config->backlog);
    if (fd < 0)
        return listener_fail(config, fd, error);
    listener->fd = fd;
    return 0;
}

/* A name with several addresses is served on the first that can be bound: one listener is one descriptor. */
static int listener_open_tcp(struct listener *listener, struct error *error)
{
    const struct listener_config *config = listener->config;
    const char *host = config->bind.name && *config->bind.name ? config->bind.name : NULL;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    int fd = -EADDRNOTAVAIL;
    int r;

    snprintf(service, sizeof(service), "%u", config->bind.port);
    r = getaddrinfo(host, service, &hints, &found);
    if (r != 0)
        return error_set(error, r == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL, "cannot resolve the host of %s: %s",
                         config->bind.text, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (const struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next)
        fd = listener_open_socket(ai->ai_addr, ai->ai_addrlen, config->backlog);
    freeaddrinfo(found);
    if (fd < 0)
        return listener_fail(config, fd, error);
    listener->fd = fd;
    return 0;
}

static int listener_open_unix(struct listener *listener, bool takeover, struct error *error)
{
    struct publication publication;
    int r = publish_unix(listener->config, takeover, &publication, error);

    if (r < 0)
        return r;
    listener->fd = publication.fd;
    listener->directory_fd = publication.directory_fd;
    listener->file_name = publication.name;
    listener->device = publication.device;
    listener->inode = publication.inode;
    listener->published = true;
    return 0;
}

int listener_publish(const struct listener_config *config, bool takeover, struct listener **ret_listener,
                     struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int r = -EINVAL;

    if (!listener)
        return error_set(error, -ENOMEM, "out of memory");
    *listener = (struct listener){.config = config, .fd = -1, .directory_fd = -1};
    switch (config->bind.kind) {
    case ADDRESS_UNIX:
        r = listener_open_unix(listener, takeover, error);
        break;
    case ADDRESS_ABSTRACT:
        r = listener_open_abstract(listener, error);
        break;
    case ADDRESS_TCP:
        r = listener_open_tcp(listener, error);
        break;
    case ADDRESS_HTTP:
    case ADDRESS_HTTPS:
        r = error_set(error, r, "%s is the address of a target; a listener has unix: or tcp:", config->bind.text);
        break;
    }
    if (r < 0) {
        listener_free(listener);
        return r;
    }
    *ret_listener = listener;
    return 0;
}

int listener_publish_again(struct listener *listener, struct error *error)
{
    struct listener fresh = {.config = listener->config, .fd = -1, .directory_fd = -1};
    int old = listener->fd;
    int r;

    if (listener->config->bind.kind != ADDRESS_UNIX)
        return error_set(error, -EINVAL, "%s has no file that could be absent", listener->config->bind.text);
    /* Through the path, not directory_fd: the directory may be a new one, too. */
    r = listener_open_unix(&fresh, false, error);
    if (r < 0)
        return r;
    close(listener->directory_fd);
    free(listener->file_name);
    *listener = fresh;
    return old;
}

/* ---- what it is ---- */

static void listener_put(char *out, size_t size, size_t *used, const char *format, ...) PRINTF_LIKE(4, 5);

static void listener_put(char *out, size_t size, size_t *used, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out + *used, size - *used, format, args);
    va_end(args);
    if (n > 0)
        *used = *used + (size_t)n < size ? *used + (size_t)n : size - 1;
}

/* Where a TCP listener is: a name may have several addresses, of which one is served. */
static void listener_put_bound(const struct listener *listener, char *out, size_t size, size_t *used)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    char host[NI_MAXHOST], service[NI_MAXSERV];

    if (getsockname(listener->fd, (struct sockaddr *)&address, &length) < 0 ||
        getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    listener_put(out, size, used,
                 address.ss_family == AF_INET6 ? ", at [%s]:%s, by IPv6 only" : ", at %s:%s, by IPv4 only", host,
                 service);
}

static void listener_put_file(const struct listener *listener, char *out, size_t size, size_t *used)
{
    struct stat st;

    if (fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        listener_put(out, size, used, ", mode %04o, uid %u, gid %u", st.st_mode & 07777, st.st_uid, st.st_gid);
}

static void listener_put_peers(const struct listener_config *config, char *out, size_t size, size_t *used)
{
    for (size_t i = 0; i < config->n_peers; i++) {
        const struct peer_rule *rule = &config->peers[i];

        listener_put(out, size, used, i == 0 ? ", for peers with" : " or");
        if (rule->has_uid)
            listener_put(out, size, used, " uid %u", rule->uid);
        if (rule->has_gid)
            listener_put(out, size, used, "%s gid %u", rule->has_uid ? " and" : "", rule->gid);
    }
}

void listener_describe(const struct listener *listener, char *out, size_t size)
{
    const struct listener_config *config = listener->config;
    size_t used = 0;

    listener_put(out, size, &used, "%s", config->bind.text);
    if (config->bind.kind == ADDRESS_TCP)
        listener_put_bound(listener, out, size, &used);
    else if (config->bind.kind == ADDRESS_UNIX)
        listener_put_file(listener, out, size, &used);
    listener_put_peers(config, out, size, &used);
    listener_put(out, size, &used, ", at most %u clients", config->limit_connections);
    if (config->limit_connections_per_uid < config->limit_connections)
        listener_put(out, size, &used, ", %u of each user", config->limit_connections_per_uid);
}

/* ---- where it is ---- */

static bool listener_is_file(const struct listener *listener, const struct stat *st)
{
    return S_ISSOCK(st->st_mode) && st->st_dev == listener->device && st->st_ino == listener->inode;
}

enum listener_place listener_look(const struct listener *listener)
{
    struct stat st;

    if (listener->config->bind.kind != ADDRESS_UNIX)
        return LISTENER_OURS;
    /* As a client walks: the directory, too, can be replaced. */
    if (lstat(listener->config->bind.name, &st) == 0)
        return listener_is_file(listener, &st) ? LISTENER_OURS : LISTENER_REPLACED;
    return errno == ENOENT || errno == ENOTDIR ? LISTENER_ABSENT : LISTENER_OURS;
}

bool listener_is_succeeded(const struct listener *listener)
{
    return socket_file_is_served(listener->config->bind.name);
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}

void listener_withdraw(struct listener *listener)
{
    struct stat st;

    if (!listener->published)
        return;
    listener->published = false;
    /* Without the lock another process could publish between the look and the unlink. A socket file that stays when the
     * lock can't be had is harmless: the next start finds that nobody serves it. */
    if (publish_lock(listener->directory_fd) < 0)
        return;
    if (fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        listener_is_file(listener, &st))
        unlinkat(listener->directory_fd, listener->file_name, 0);
    publish_unlock(listener->directory_fd);
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    /* Withdrawn while the socket is open: only then is the inode number still ours. */
    listener_withdraw(listener);
    listener_close(listener);
    if (listener->directory_fd >= 0)
        close(listener->directory_fd);
    free(listener->file_name);
    free(listener);
}
