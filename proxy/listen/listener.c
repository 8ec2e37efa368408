#include "proxy/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/listen/directory.h"
#include "proxy/listen/handover.h"
#include "proxy/listen/lock.h"
#include "proxy/listen/passed.h"
#include "proxy/listen/peer.h"
#include "proxy/listen/publish.h"
#include "proxy/listen/socket_file.h"

/* A socket without a path: bound, or had from whoever serves it. What is in its backlog is served, whoever accepts it.
 */
static int listener_open_bound(struct listener *listener, bool takeover, const struct addresses *known,
                               struct error *error)
{
    struct binding binding;
    int r = bind_listener(listener->config, takeover, known, &binding, error);

    if (r < 0)
        return r;
    listener->fd = binding.fd;
    listener->bound = binding.bound;
    listener->handover = binding.handover;
    listener->shared = binding.handover;
    return 0;
}

static void listener_take_publication(struct listener *listener, const struct publication *publication)
{
    listener->fd = publication->fd;
    listener->directory_fd = publication->directory_fd;
    if (!listener->real_directory)
        listener->real_directory = directory_real_path(publication->directory_fd);
    listener->file_name = publication->name;
    listener->device = publication->device;
    listener->inode = publication->inode;
    listener->claim = publication->claim;
    listener->made_directory = listener->made_directory || publication->made_directory;
    listener->published = true;
}

int listener_prepare(const struct listener_config *config, bool takeover, const struct addresses *known,
                     struct listener **ret_listener, struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int r = -EINVAL;

    if (!listener)
        return error_set(error, -ENOMEM, "out of memory");
    *listener = (struct listener){.config = config, .fd = -1, .directory_fd = -1};
    switch (config->bind.kind) {
    case ADDRESS_UNIX:
        r = publish_prepare(config, takeover ? PUBLISH_OVER_PORTHOLE : PUBLISH_OVER_NOBODY, &listener->publish, error);
        break;
    case ADDRESS_ABSTRACT:
    case ADDRESS_TCP:
        r = listener_open_bound(listener, takeover, known, error);
        break;
    case ADDRESS_FD:
        r = passed_take(config, &listener->fd, error);
        listener->shared = true;
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

bool listener_replaces(const struct listener *listener)
{
    return listener->publish && publish_replaces(listener->publish);
}

int listener_show(struct listener *listener, struct error *error)
{
    struct publication publication;
    int r;

    if (!listener->publish || listener->published)
        return 0;
    r = publish_show(listener->publish, &publication, error);
    if (r == 0)
        listener_take_publication(listener, &publication);
    return r;
}

void listener_settle(struct listener *listener)
{
    publish_free(listener->publish);
    listener->publish = NULL;
}

int listener_publish(const struct listener_config *config, bool takeover, struct listener **ret_listener,
                     struct error *error)
{
    struct listener *listener = NULL;
    int r = listener_prepare(config, takeover, NULL, &listener, error);

    if (r < 0 || !listener)
        return r;
    r = listener_show(listener, error);
    if (r < 0) {
        listener_free(listener);
        return r;
    }
    listener_settle(listener);
    *ret_listener = listener;
    return 0;
}

int listener_publish_again(struct listener *listener, struct error *error)
{
    struct listener fresh = {.config = listener->config,
                             .fd = -1,
                             .directory_fd = -1,
                             .real_directory = listener->real_directory,
                             .claim.since = listener->claim.since,
                             .made_directory = listener->made_directory};
    struct publication publication;
    int old = listener->fd;
    int r;

    if (listener->config->bind.kind != ADDRESS_UNIX)
        return error_set(error, -EINVAL, "%s has no file that could be absent", listener->config->bind.text);
    /* Through the path, not directory_fd: the directory may be a new one, too. */
    r = publish_unix(fresh.config, PUBLISH_OVER_ANYBODY, fresh.claim.since, fresh.real_directory, &publication, error);
    if (r < 0)
        return r;
    listener_take_publication(&fresh, &publication);
    close(listener->directory_fd);
    free(listener->file_name);
    *listener = fresh;
    return old;
}

int listener_bind_again(struct listener *listener)
{
    int fd = bind_again(&listener->bound, listener->config->backlog);

    if (fd < 0)
        return fd;
    listener->fd = fd;
    listener->shared = false;
    return 0;
}

int listener_listen_again(struct listener *listener)
{
    return listen(listener->fd, (int)listener->config->backlog) < 0 ? -errno : 0;
}

/* ---- what it is ---- */

/* Where a TCP listener is: a name may have several addresses, of which one is served. */
static void listener_describe_bound(const struct listener *listener, struct line *line)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "", text[sizeof(host) + sizeof(service) + 4];
    bool is_ipv6;

    if (getsockname(listener->fd, (struct sockaddr *)&address, &length) < 0 ||
        getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    is_ipv6 = address.ss_family == AF_INET6;
    snprintf(text, sizeof(text), is_ipv6 ? "[%s]:%s" : "%s:%s", host, service);
    line_put_text(line, "at", text_of(text), SIZE_MAX);
    line_put_text(line, "family", text_of(is_ipv6 ? "IPv6 only" : "IPv4 only"), SIZE_MAX);
}

static void listener_describe_passed(const struct listener *listener, struct line *line)
{
    char *address = passed_address(listener->fd);

    if (address)
        line_put_text(line, "at", text_of(address), SIZE_MAX);
    free(address);
}

static void listener_describe_file(const struct listener *listener, struct line *line)
{
    char mode[16];
    struct stat st;

    if (fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    snprintf(mode, sizeof(mode), "%04o", (unsigned)st.st_mode & 07777);
    line_put_text(line, "mode", text_of(mode), SIZE_MAX);
    line_put_number(line, "uid", st.st_uid);
    line_put_number(line, "gid", st.st_gid);
}

/* "uid 0 or gid 4321"; the rest as dots where there are more rules than a line is for. */
static void listener_describe_peers(const char *name, const struct peer_rule *rules, size_t n_rules, struct line *line)
{
    char text[512], rule[PEER_RULE_BYTES];
    size_t used = 0;

    for (size_t i = 0; i < n_rules; i++) {
        size_t n = peer_format_rule(&rules[i], rule);
        bool fits = used + n + sizeof(" or  or ...") <= sizeof(text);

        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i == 0 ? "" : " or ", fits ? rule : "...");
        if (!fits)
            break;
    }
    if (used > 0)
        line_put_text(line, name, (struct text){text, used}, SIZE_MAX);
}

void listener_describe(const struct listener *listener, struct line *line)
{
    const struct listener_config *config = listener->config;

    line_put_text(line, "listener", text_of(config->name), SIZE_MAX);
    line_put_text(line, "address", text_of(config->bind.text), SIZE_MAX);
    if (config->bind.kind == ADDRESS_TCP)
        listener_describe_bound(listener, line);
    else if (config->bind.kind == ADDRESS_UNIX)
        listener_describe_file(listener, line);
    else if (config->bind.kind == ADDRESS_FD)
        listener_describe_passed(listener, line);
    listener_describe_peers("peers", config->peers, config->n_peers, line);
    listener_describe_peers("denied", config->denied, config->n_denied, line);
    line_put_number(line, "connections", config->limit_connections);
    if (config->limit_connections_per_uid < config->limit_connections)
        line_put_number(line, "connections_per_uid", config->limit_connections_per_uid);
}

/* ---- where it is ---- */

bool listener_is_file(const struct listener *listener, const struct stat *st)
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

/* What our claim to the path is now: its directory may be a new one. */
static int listener_claim(const struct listener *listener, struct claim *ret_claim)
{
    const char *path = listener->config->bind.name;
    size_t length = strlen(path) - strlen(listener->file_name);
    char *directory = length > 0 ? strndup(path, length) : strdup(".");
    struct stat st = {0};
    int r = -ENOMEM;

    if (directory)
        r = stat(directory, &st) < 0 ? -errno : 0;
    free(directory);
    if (r == 0)
        *ret_claim =
            (struct claim){.since = listener->claim.since, .place = claim_place(st.st_ino, listener->file_name)};
    return r;
}

int listener_is_succeeded(const struct listener *listener, int *ret_process)
{
    struct socket_server server = {.known = false};
    struct claim ours;
    struct stat st;
    int process = -1;
    int fd = open(listener->config->bind.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : listener_claim(listener, &ours);

    if (r == 0)
        r = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? socket_file_probe(fd, &server, &process) : -ENOTSOCK;
    if (fd >= 0)
        close(fd);
    if (r == 0 && server.known && server.uid == geteuid() && claim_is_later(&server.claim, &ours)) {
        *ret_process = process;
        return 1;
    }
    if (process >= 0)
        close(process);
    return r == 0 && !server.known ? -EAGAIN : 0;
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
    int lock;

    if (!listener->published)
        return;
    listener->published = false;
    /* Without the lock another porthole could publish between the look and the unlink, and would have to publish again
     * when it sees that its socket is gone. */
    lock = lock_take(listener->directory_fd);
    if (fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        listener_is_file(listener, &st))
        unlinkat(listener->directory_fd, listener->file_name, 0);
    lock_give(listener->directory_fd, lock);
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    if (listener->publish && listener->published)
        publish_revoke(listener->publish);
    listener_settle(listener);
    /* Withdrawn while the socket is open: only then is the inode number still ours. */
    listener_withdraw(listener);
    listener_close(listener);
    handover_free(listener->handover);
    if (listener->directory_fd >= 0)
        close(listener->directory_fd);
    free(listener->file_name);
    free(listener->real_directory);
    free(listener);
}
