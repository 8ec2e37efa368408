#include "proxy/listen/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/words.h"
#include "proxy/listen/socket_option.h"

#define FIRST_FD 3        /* sd_listen_fds(3), SD_LISTEN_FDS_START */
#define PASSED_MOST 1024  /* more than a process has descriptors by default */
#define NAME_BYTES 256    /* FileDescriptorName=, with its end */
#define UNNAMED "unknown" /* sd_listen_fds_with_names(3) */

enum passed_state { PASSED_FREE, PASSED_TAKEN, PASSED_CLOSED };

/* One of them: the descriptor FIRST_FD + its index. */
struct passed_socket {
    char name[NAME_BYTES];
    enum passed_state state;
};

static struct passed_socket *passed_sockets; /* owned; for the process's life */
static size_t passed_n;
static bool passed_is_over; /* the start */

/* ---- the environment ---- */

static const char *passed_variable(const char *name)
{
    return getenv(name); // NOLINT(concurrency-mt-unsafe): there is one thread
}

/* Digits only. -1 where there is no such number. */
static long passed_number(const char *text, long most)
{
    size_t length = text ? strspn(text, "0123456789") : 0;
    long number;

    if (length == 0 || length > 10 || text[length] != '\0')
        return -1;
    number = strtol(text, NULL, 10);
    return number <= most ? number : -1;
}

static size_t passed_count(void)
{
    long pid = passed_number(passed_variable("LISTEN_PID"), INT32_MAX);
    long n = passed_number(passed_variable("LISTEN_FDS"), PASSED_MOST);

    return pid == (long)getpid() && n > 0 ? (size_t)n : 0;
}

static void passed_read_names(const char *names)
{
    for (size_t i = 0; i < passed_n; i++) {
        size_t length = names ? strcspn(names, ":") : 0;
        bool fits = length > 0 && length < NAME_BYTES;

        snprintf(passed_sockets[i].name, NAME_BYTES, "%.*s", fits ? (int)length : (int)strlen(UNNAMED),
                 fits ? names : UNNAMED);
        names = names && names[length] == ':' ? names + length + 1 : NULL;
    }
}

/* At once: nothing that is started before they are looked at may have them. */
static void passed_keep_from_others(void)
{
    for (size_t i = 0; i < passed_n; i++) {
        if (fcntl(FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC) == 0)
            continue;
        LOG_EVENT(LOG_LEVEL_WARN, "LISTEN_FDS counts a descriptor that is not open",
                  LOG_NUMBER("descriptor", FIRST_FD + i));
        passed_sockets[i].state = PASSED_CLOSED;
    }
}

void passed_collect(void)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

    free(passed_sockets);
    passed_is_over = false;
    passed_n = passed_count();
    passed_sockets = calloc(passed_n ? passed_n : 1, sizeof(*passed_sockets));
    if (!passed_sockets)
        passed_n = 0;
    passed_read_names(passed_variable("LISTEN_FDNAMES"));
    passed_keep_from_others();
    for (size_t i = 0; i < ARRAY_LENGTH(variables); i++)
        unsetenv(variables[i]); // NOLINT(concurrency-mt-unsafe): there is one thread
}

/* ---- finding ---- */

/* "3 (web), 4 (admin)", as far as there is room. */
static void passed_list(char *out, size_t size, const char *name)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < passed_n && n < size; i++)
        if (passed_sockets[i].state != PASSED_CLOSED && (!name || strcmp(passed_sockets[i].name, name) == 0))
            n += (size_t)snprintf(out + n, size - n, "%sfd:%zu (\"%s\")", n > 0 ? ", " : "", FIRST_FD + i,
                                  WORDS_SHOW(passed_sockets[i].name));
}

static int passed_miss(const struct listener_config *config, struct error *error)
{
    char list[256];

    if (passed_is_over)
        return error_set(error, -ENOENT, "%s: sockets are taken over at the start only, so this needs a restart",
                         config->bind.text);
    passed_list(list, sizeof(list), NULL);
    if (list[0] == '\0')
        return error_set(error, -ENOENT,
                         "%s: no socket was passed; start it by a socket unit, or by what else sets LISTEN_FDS",
                         config->bind.text);
    return error_set(error, -ENOENT, "%s: no such socket was passed; there are %s", config->bind.text, list);
}

/* Its index, or a negative errno. */
static int passed_find(const struct listener_config *config, struct error *error)
{
    const char *name = config->bind.name;
    size_t n_found = 0, found = 0;
    char list[256];
    long number;

    for (size_t i = 0; i < passed_n; i++) {
        if (passed_sockets[i].state == PASSED_CLOSED || strcmp(passed_sockets[i].name, name) != 0)
            continue;
        found = i;
        n_found++;
    }
    number = n_found == 0 ? passed_number(name, FIRST_FD + PASSED_MOST) : -1;
    if (number >= FIRST_FD && (size_t)(number - FIRST_FD) < passed_n) {
        found = (size_t)(number - FIRST_FD);
        n_found = passed_sockets[found].state != PASSED_CLOSED;
    }
    if (n_found == 0)
        return passed_miss(config, error);
    if (n_found > 1) {
        passed_list(list, sizeof(list), name);
        return error_set(error, -EINVAL, "%s: several sockets have this name; write %s", config->bind.text, list);
    }
    return (int)found;
}

/* ---- checking ---- */

static bool passed_is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

static int passed_check_kind(const struct listener_config *config, int fd, struct error *error)
{
    int type = socket_option(fd, SO_TYPE);
    int domain = socket_option(fd, SO_DOMAIN);
    const char *wrong = NULL;

    if (type == -ENOTSOCK)
        wrong = "is not a socket";
    else if (type < 0)
        return error_set(error, type, "%s: %s", config->bind.text, strerror(-type));
    else if (type != SOCK_STREAM || (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6))
        wrong = "is no stream socket of Unix or TCP (ListenStream= in the socket unit)";
    else if (socket_option(fd, SO_ACCEPTCONN) <= 0 && passed_is_connected(fd))
        wrong = "is one connection, and not a socket that listens: Accept=no is needed in the socket unit";
    else if (socket_option(fd, SO_ACCEPTCONN) <= 0)
        wrong = "is a socket that does not listen";
    return wrong ? error_set(error, -EINVAL, "%s %s", config->bind.text, wrong) : 0;
}

static bool passed_asks_for_peers(const struct listener_config *config)
{
    bool asks = config->n_peers > 0 || config->n_denied > 0 || config->n_trusted > 0 ||
                config->limit_connections_per_uid < config->limit_connections;

    for (size_t i = 0; i < config->n_routes; i++)
        asks = asks || config->routes[i].n_peers > 0 || config->routes[i].n_denied > 0;
    return asks;
}

/* What the configuration can say of others by their address is said of these now. */
static int passed_check_rules(const struct listener_config *config, int fd, struct error *error)
{
    bool is_unix = socket_option(fd, SO_DOMAIN) == AF_UNIX;
    char *address = is_unix ? passed_address(fd) : NULL;
    bool is_abstract = address && strncmp(address, "unix:@", 6) == 0;

    free(address);
    if (!is_unix && passed_asks_for_peers(config))
        return error_set(error, -EINVAL,
                         "%s is a TCP socket, and a TCP peer has no uid or gid: rules on peers are for Unix sockets",
                         config->bind.text);
    if (!is_unix && config->pages != 0 && !config->has_pages)
        return error_set(error, -EINVAL,
                         "%s is a TCP socket, where everybody comes in who reaches it: say which \"pages\" it has "
                         "(healthz, readyz and metrics tell nothing of requests)",
                         config->bind.text);
    if (is_abstract && config->n_peers == 0)
        return error_set(
            error, -EINVAL,
            "%s is an abstract socket, which has no permissions: every process in the network namespace may "
            "connect. Add \"peers\": {\"allow\": [...]}",
            config->bind.text);
    return 0;
}

int passed_take(const struct listener_config *config, int *ret_fd, struct error *error)
{
    int index = passed_find(config, error);
    int fd = FIRST_FD + index;
    int r;

    if (index < 0)
        return index;
    if (passed_sockets[index].state == PASSED_TAKEN)
        return error_set(error, -EADDRINUSE, "%s is the socket of another listener, or was before a reload",
                         config->bind.text);
    r = passed_check_kind(config, fd, error);
    if (r == 0)
        r = passed_check_rules(config, fd, error);
    if (r < 0)
        return r;
    r = fcntl(fd, F_GETFL);
    if (r < 0 || fcntl(fd, F_SETFL, r | O_NONBLOCK) < 0)
        return error_set(error, -errno, "%s: %s", config->bind.text, strerror(errno));
    passed_sockets[index].state = PASSED_TAKEN;
    *ret_fd = fd;
    return 0;
}

void passed_close_rest(void)
{
    for (size_t i = 0; i < passed_n; i++) {
        if (passed_sockets[i].state != PASSED_FREE)
            continue;
        LOG_EVENT(LOG_LEVEL_WARN, "a socket was passed that no listener has, and is closed",
                  LOG_STRING("name", passed_sockets[i].name), LOG_NUMBER("descriptor", FIRST_FD + i));
        close(FIRST_FD + (int)i);
        passed_sockets[i].state = PASSED_CLOSED;
    }
    passed_is_over = true;
}
