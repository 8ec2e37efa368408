#include "cmd/live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/permission.h"
#include "proxy/base/words.h"
#include "proxy/listen/bind.h"

#define LIVE_WHY_BYTES 512

/* One look, on live's stack. */
struct live_report {
    bool failed;
};

static void live_say(const char *kind, const char *name, const char *what)
{
    printf("%s %s: %s\n", kind, WORDS_SHOW(name), what);
}

static void live_fail(struct live_report *report, const char *kind, const char *name, const char *what)
{
    report->failed = true;
    live_say(kind, name, what);
}

/* ---- sockets ---- */

static bool live_unix_address(const struct address *address, struct sockaddr_un *ret, socklen_t *ret_length)
{
    size_t length = strlen(address->name), lead = address->kind == ADDRESS_ABSTRACT;

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (lead + length >= sizeof(ret->sun_path))
        return false;
    memcpy(ret->sun_path + lead, address->name, length);
    *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + lead + length + !lead);
    return true;
}

/* 0 when somebody listens there, else a negative errno. Not waited for. */
static int live_connect(const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

    if (fd < 0)
        return -errno;
    r = connect(fd, address, length) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* The directory that is there already, of those above the path, into `out`. */
static void live_parent(const char *path, char out[PATH_MAX])
{
    struct stat st;
    char *slash;

    snprintf(out, PATH_MAX, "%s", path);
    do {
        slash = strrchr(out, '/');
        if (slash == out)
            slash[1] = '\0';
        else
            *slash = '\0';
    } while (slash != out && lstat(out, &st) < 0 && errno == ENOENT);
}

static void live_directory(struct live_report *report, const struct listener_config *listener)
{
    char parent[PATH_MAX], what[LIVE_WHY_BYTES];
    size_t length = (size_t)(strrchr(listener->bind.name, '/') - listener->bind.name);

    live_parent(listener->bind.name, parent);
    if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0) {
        snprintf(what, sizeof(what), "%s cannot be written as uid %u, gid %u: %s", WORDS_SHOW(parent),
                 (unsigned)geteuid(), (unsigned)getegid(), strerror(errno));
        live_fail(report, "listener", listener->name, what);
        return;
    }
    live_say("listener", listener->name, strlen(parent) >= length ? "free" : "free, and its directory will be made");
}

/* What lies at the path: nothing, somebody's socket, a leftover, or what is none. */
static void live_path(struct live_report *report, const struct listener_config *listener)
{
    struct sockaddr_un address;
    socklen_t length;
    struct stat st;
    int r;

    if (lstat(listener->bind.name, &st) < 0) {
        live_directory(report, listener);
        return;
    }
    if (!S_ISSOCK(st.st_mode)) {
        live_fail(report, "listener", listener->name, "something that is no socket lies at the path; move it away");
        return;
    }
    r = live_unix_address(&listener->bind, &address, &length) ? live_connect((struct sockaddr *)&address, length)
                                                              : -ENAMETOOLONG;
    if (r == 0 || r == -EAGAIN)
        live_fail(report, "listener", listener->name,
                  "another process serves it: stop that, or start with --takeover if it is a porthole");
    else if (r == -ECONNREFUSED)
        live_say("listener", listener->name, "a socket that nobody serves lies there, and will be replaced");
    else
        live_say("listener", listener->name, strerror(-r));
}

static void live_pathless(struct live_report *report, const struct listener_config *listener)
{
    struct error error = ERROR_INIT;

    if (bind_look(listener, &error) < 0)
        live_fail(report, "listener", listener->name, error.message);
    else
        live_say("listener", listener->name, "free");
}

static void live_listener(struct live_report *report, const struct listener_config *listener)
{
    switch (listener->bind.kind) {
    case ADDRESS_UNIX:
        live_path(report, listener);
        break;
    case ADDRESS_FD:
        live_say("listener", listener->name, "whoever starts it has to pass its socket");
        break;
    default:
        live_pathless(report, listener);
        break;
    }
}

/* ---- targets ---- */

static void live_target_path(const struct target_config *target, const struct address *endpoint)
{
    char why[LIVE_WHY_BYTES];
    struct stat st;

    if (stat(endpoint->name, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        live_say("target", target->name, "what lies at its path is no socket");
    } else if (faccessat(AT_FDCWD, endpoint->name, W_OK, AT_EACCESS) == 0) {
        live_say("target", target->name, "its socket is there");
    } else {
        permission_explain(endpoint->name, why, sizeof(why));
        live_say("target", target->name, why);
    }
}

static void live_target_host(const struct target_config *target, const struct address *endpoint)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int r = getaddrinfo(endpoint->name, NULL, &hints, &found);

    live_say("target", target->name, r == 0 ? "its host has an address" : gai_strerror(r));
    if (r == 0)
        freeaddrinfo(found);
}

static void live_target(const struct target_config *target)
{
    for (size_t i = 0; i < target->n_endpoints; i++) {
        const struct address *endpoint = &target->endpoints[i].address;

        if (endpoint->kind == ADDRESS_UNIX)
            live_target_path(target, endpoint);
        else if (endpoint->kind != ADDRESS_ABSTRACT)
            live_target_host(target, endpoint);
    }
}

/* ---- logs ---- */

static void live_log(struct live_report *report, const struct log_config *log)
{
    char parent[PATH_MAX];
    struct stat st;
    const char *path = log->access && log->access_to[0] == '/' ? log->access_to : NULL;

    if (!path)
        return;
    live_parent(path, parent);
    if (faccessat(AT_FDCWD, stat(path, &st) == 0 ? path : parent, W_OK, AT_EACCESS) < 0)
        live_fail(report, "access log", path, strerror(errno));
    else
        live_say("access log", path, "can be written");
}

int live(const struct snapshot *snapshot)
{
    struct live_report report = {false};

    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        live_listener(&report, snapshot_socket(snapshot, i));
    for (size_t i = 0; i < snapshot->n_targets; i++)
        live_target(&snapshot->targets[i]);
    live_log(&report, &snapshot->log);
    return report.failed ? CMD_FAILED : CMD_OK;
}
