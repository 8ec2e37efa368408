/* Where a socket is that somebody else has bound, for what a configuration cannot know of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proxy/listen/passed.h"

static char *passed_unix_address(const struct sockaddr_un *address, socklen_t length)
{
    size_t n = length > offsetof(struct sockaddr_un, sun_path) ? length - offsetof(struct sockaddr_un, sun_path) : 0;
    char name[sizeof(address->sun_path) + 1] = "";
    struct address found = {.kind = ADDRESS_UNIX, .name = name};

    if (n == 0)
        return NULL;
    if (address->sun_path[0] == '\0') {
        found.kind = ADDRESS_ABSTRACT;
        memcpy(name, address->sun_path + 1, n - 1);
    } else {
        memcpy(name, address->sun_path, strnlen(address->sun_path, n));
    }
    return address_canonical(&found);
}

static char *passed_tcp_address(int family, const void *ip, in_port_t port)
{
    char host[INET6_ADDRSTRLEN] = "";
    struct address found = {.kind = ADDRESS_TCP, .name = host, .port = ntohs(port)};

    return inet_ntop(family, ip, host, sizeof(host)) ? address_canonical(&found) : NULL;
}

char *passed_address(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound;
    socklen_t length = sizeof(bound);

    memset(&bound, 0, sizeof(bound));
    if (getsockname(fd, &bound.any, &length) < 0)
        return NULL;
    if (bound.any.sa_family == AF_UNIX)
        return passed_unix_address(&bound.local, length);
    if (bound.any.sa_family == AF_INET6)
        return passed_tcp_address(AF_INET6, &bound.v6.sin6_addr, bound.v6.sin6_port);
    return passed_tcp_address(AF_INET, &bound.v4.sin_addr, bound.v4.sin_port);
}

/* A socket on [::] may take IPv4, too: whoever bound it has decided that. */
static bool passed_takes(const char *address, const char *taker)
{
    return strcmp(address, taker) == 0 ||
           (strncmp(address, "tcp:[::]:", 9) == 0 && strncmp(taker, "tcp:[0.0.0.0]:", 14) == 0 &&
            strcmp(address + 9, taker + 14) == 0);
}

static int passed_check_endpoint(const char *address, const struct address *endpoint, struct error *error)
{
    char *takers[ADDRESS_TAKERS_MAX];
    size_t n = 0;
    int r = address_takers(endpoint, ADDRESS_TO_REACH, takers, &n);

    for (size_t i = 0; i < n && r == 0; i++)
        if (passed_takes(address, takers[i]))
            r = -ELOOP;
    address_free_takers(takers, n);
    if (r == -ELOOP)
        return error_set(error, r, "the endpoint %s is a socket that was passed: requests would go in circles",
                         endpoint->text);
    return r < 0 ? error_set(error, r, "out of memory") : 0;
}

int passed_check_loops(const char *address, const struct snapshot *snapshot, struct error *error)
{
    int r = 0;

    for (size_t t = 0; t < snapshot->n_targets; t++)
        for (size_t i = 0; i < snapshot->targets[t].n_endpoints && r == 0; i++)
            r = passed_check_endpoint(address, &snapshot->targets[t].endpoints[i].address, error);
    return r;
}
