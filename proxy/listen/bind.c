#include "proxy/listen/bind.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proxy/listen/handover.h"
#include "proxy/reach/addresses.h"

#define PATIENCE_MS 5000 /* for a process that is to hand a socket over, or lets go of it */
#define NOBODY_MS 1000   /* for an offer to appear: between two processes there may be none for a moment */
#define STEP_MS 10

enum bind_how {
    BIND_ALONE,
    BIND_TAKEOVER, /* or it is got from the process that serves it */
    BIND_LOOK,     /* for a moment: it never listens */
};

/* ---- binding ---- */

/* Returns the descriptor, which does not listen yet, or a negative errno. */
static int bind_only(const struct sockaddr *address, socklen_t length)
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
    if (r == 0 && bind(fd, address, length) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* Binds and listens. Returns the descriptor or a negative errno. */
static int bind_socket(const struct sockaddr *address, socklen_t length, uint32_t backlog)
{
    int fd = bind_only(address, length), r;

    if (fd < 0 || listen(fd, (int)backlog) == 0)
        return fd;
    r = -errno;
    close(fd);
    return r;
}

static int bind_fail(const struct listener_config *config, int r, struct error *error)
{
    if (error->code != 0)
        return error->code;
    if (r == -EADDRINUSE)
        return error_set(error, r, "another process serves %s; stop it or use --takeover", config->bind.text);
    return error_set(error, r, "cannot listen on %s: %s", config->bind.text, strerror(-r));
}

/* ---- taking over ---- */

/* `bound` is filled in at the end, of whatever it has become. */
static void bind_take(struct handover *handover, struct binding *ret_binding)
{
    *ret_binding = (struct binding){.fd = handover->fds[HANDOVER_LISTENER], .handover = handover};
    handover->fds[HANDOVER_LISTENER] = -1;
}

/* Binds, or gets the socket. Whoever has it may let go of it at any moment, or begin to offer it. 0; or a negative
 * errno, with the error set where more can be said. */
static int bind_or_take(const struct sockaddr *address, socklen_t length, uint32_t backlog, struct binding *ret_binding,
                        struct error *error)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    struct instant now = instant_now(), deadline = instant_add_ms(now, PATIENCE_MS), last_offer = now;
    char text[HANDOVER_ADDRESS_BYTES];
    struct handover *handover;
    int fd, r = handover_address(address, length, text);

    if (r < 0)
        return r;
    while ((fd = bind_socket(address, length, backlog)) == -EADDRINUSE) {
        r = handover_ask(text, deadline, &handover, error);
        if (r == HANDOVER_GOT)
            bind_take(handover, ret_binding);
        if (r <= 0)
            return r;
        now = instant_now();
        if (r != HANDOVER_NOBODY)
            last_offer = now;
        if (!instant_before(now, instant_add_ms(last_offer, NOBODY_MS)) || !instant_before(now, deadline))
            return handover_fail((enum handover_verdict)r, text, error);
        nanosleep(&step, NULL);
    }
    if (fd < 0)
        return fd;
    *ret_binding = (struct binding){.fd = fd};
    return 0;
}

static int bind_address(const struct sockaddr *address, socklen_t length, uint32_t backlog, enum bind_how how,
                        struct binding *ret_binding, struct error *error)
{
    int fd;

    if (how == BIND_TAKEOVER)
        return bind_or_take(address, length, backlog, ret_binding, error);
    fd = how == BIND_LOOK ? bind_only(address, length) : bind_socket(address, length, backlog);
    if (fd < 0)
        return fd;
    *ret_binding = (struct binding){.fd = fd};
    return 0;
}

/* ---- kinds ---- */

static int bind_abstract(const struct listener_config *config, enum bind_how how, struct binding *ret_binding,
                         struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(config->bind.name);

    if (length > sizeof(address.sun_path) - 1)
        return error_set(error, -ENAMETOOLONG, "abstract name of %zu bytes in %s: at most %zu fit", length,
                         config->bind.text, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path + 1, config->bind.name, length);
    return bind_address((struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length),
                        config->backlog, how, ret_binding, error);
}

/* Of several addresses of a name the one that is served now comes first: another one may have become free. */
static bool bind_take_any(const struct addrinfo *found, struct binding *ret_binding)
{
    struct handover *handover;
    char text[HANDOVER_ADDRESS_BYTES];

    for (const struct addrinfo *ai = found; ai && found->ai_next; ai = ai->ai_next) {
        if (handover_address(ai->ai_addr, ai->ai_addrlen, text) == 0 &&
            handover_ask(text, instant_add_ms(instant_now(), PATIENCE_MS), &handover, NULL) == HANDOVER_GOT) {
            bind_take(handover, ret_binding);
            return true;
        }
    }
    return false;
}

/* A name with several addresses is served on the first that this machine has: one listener is one descriptor. One that
 * somebody serves already is not left alone for another, or two processes would share what the name leads to. */
static int bind_first(const struct addrinfo *found, const struct listener_config *config, enum bind_how how,
                      struct binding *ret_binding, struct error *error)
{
    int r = -EADDRNOTAVAIL;

    if (how == BIND_TAKEOVER && bind_take_any(found, ret_binding))
        return 0;
    for (const struct addrinfo *ai = found; ai && r < 0; ai = ai->ai_next) {
        *error = (struct error)ERROR_INIT;
        r = bind_address(ai->ai_addr, ai->ai_addrlen, config->backlog, how, ret_binding, error);
        if (error->code != 0 || r == -EADDRINUSE)
            break;
    }
    return r;
}

static int bind_found(const struct listener_config *config, enum bind_how how, struct binding *ret_binding,
                      struct error *error)
{
    const char *host = config->bind.name && *config->bind.name ? config->bind.name : NULL;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    int r;

    snprintf(service, sizeof(service), "%u", config->bind.port);
    r = getaddrinfo(host, service, &hints, &found);
    if (r != 0)
        return error_set(error, r == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL, "cannot resolve the host of %s: %s",
                         config->bind.text, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    r = bind_first(found, config, how, ret_binding, error);
    freeaddrinfo(found);
    return r;
}

/* The same, of addresses that somebody has found out already. */
static int bind_known(const struct listener_config *config, enum bind_how how, const struct addresses *known,
                      struct binding *ret_binding, struct error *error)
{
    union address_of addresses[ADDRESSES_MOST];
    struct addrinfo list[ADDRESSES_MOST];

    assert(known->n > 0);
    for (size_t i = 0; i < known->n; i++) {
        bool four = known->list[i].any.sa_family == AF_INET;

        addresses[i] = known->list[i];
        if (four)
            addresses[i].four.sin_port = htons(config->bind.port);
        else
            addresses[i].six.sin6_port = htons(config->bind.port);
        list[i] = (struct addrinfo){.ai_addr = &addresses[i].any,
                                    .ai_addrlen = four ? sizeof(addresses[i].four) : sizeof(addresses[i].six),
                                    .ai_next = i + 1 < known->n ? &list[i + 1] : NULL};
    }
    return bind_first(list, config, how, ret_binding, error);
}

static int bind_tcp(const struct listener_config *config, enum bind_how how, const struct addresses *known,
                    struct binding *ret_binding, struct error *error)
{
    return known ? bind_known(config, how, known, ret_binding, error) : bind_found(config, how, ret_binding, error);
}

static int bind_any(const struct listener_config *config, enum bind_how how, const struct addresses *known,
                    struct binding *ret_binding, struct error *error)
{
    struct error why = ERROR_INIT;
    int r = config->bind.kind == ADDRESS_ABSTRACT ? bind_abstract(config, how, ret_binding, &why)
                                                  : bind_tcp(config, how, known, ret_binding, &why);

    if (r == 0)
        return 0;
    r = bind_fail(config, r, &why);
    return error_set(error, r, "%s", why.message);
}

int bind_listener(const struct listener_config *config, bool takeover, const struct addresses *known,
                  struct binding *ret_binding, struct error *error)
{
    int r = bind_any(config, takeover ? BIND_TAKEOVER : BIND_ALONE, known, ret_binding, error);

    if (r < 0)
        return r;
    ret_binding->bound = (struct bound){.length = sizeof(ret_binding->bound.address)};
    (void)!getsockname(ret_binding->fd, (struct sockaddr *)&ret_binding->bound.address, &ret_binding->bound.length);
    return 0;
}

int bind_look(const struct listener_config *config, struct error *error)
{
    struct binding binding = {.fd = -1};
    int r = bind_any(config, BIND_LOOK, NULL, &binding, error);

    if (r == 0)
        close(binding.fd);
    return r;
}

int bind_again(const struct bound *bound, uint32_t backlog)
{
    return bind_socket((const struct sockaddr *)&bound->address, bound->length, backlog);
}
