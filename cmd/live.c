#include "cmd/live.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/permission.h"
#include "proxy/base/output.h"
#include "proxy/base/words.h"
#include "proxy/listen/bind.h"
#include "proxy/listen/publish.h"

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

static void live_path(struct live_report *report, const struct listener_config *listener)
{
    static const char *const found[] = {
        [PUBLISH_FOUND_NOTHING] = "free",
        [PUBLISH_FOUND_LEFTOVER] = "a socket that nobody serves lies there, and will be replaced",
        [PUBLISH_FOUND_NO_DIRECTORY] = "free, and its directory will be made",
    };
    struct error error = ERROR_INIT;
    int r = publish_look(listener, &error);

    if (r < 0)
        live_fail(report, "listener", listener->name, error.message);
    else
        live_say("listener", listener->name, found[r]);
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
    const char *path = log->access && log->access_to[0] == '/' ? log->access_to : NULL;
    int r = path ? output_look(path) : 0;

    if (r < 0)
        live_fail(report, "access log", path, output_explain(r));
    else if (path)
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
