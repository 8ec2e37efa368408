/* Binding a socket that has no path; or getting it, bound, from the process that serves it. */
#ifndef PORTHOLE_LISTEN_BIND_H
#define PORTHOLE_LISTEN_BIND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

struct addresses;
struct handover;

/* Where a socket is bound. */
struct bound {
    struct sockaddr_storage address;
    socklen_t length;
};

struct binding {
    int fd;                    /* owned; listening, non-blocking, close-on-exec */
    struct handover *handover; /* owned; whose socket it is until we serve it. NULL: ours alone */
    struct bound bound;
};

/* Binds config->bind, abstract or TCP, and listens. `known`: where its host leads to, or NULL: whoever is to know is
 * asked, for as long as that takes. With takeover, and an address that a process of our user serves, that is asked for
 * its socket; waits some seconds at most. 0 or a negative errno, with the error set to what to do. */
int bind_listener(const struct listener_config *config, bool takeover, const struct addresses *known,
                  struct binding *ret_binding, struct error *error) WARN_UNUSED;
/* Whether the first of these would succeed, without takeover: binds for a moment, and does not listen, so that nobody
 * can connect. 0 or a negative errno, with the error set. */
int bind_look(const struct listener_config *config, struct error *error) WARN_UNUSED;
/* Binds the same again, once it is nobody's: never waits for a name service. A descriptor or a negative errno. */
int bind_again(const struct bound *bound, uint32_t backlog) WARN_UNUSED;

#endif
