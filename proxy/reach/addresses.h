/* What a host name leads to: an immutable list of addresses, shared by reference, whatever the thread. */
#ifndef PORTHOLE_REACH_ADDRESSES_H
#define PORTHOLE_REACH_ADDRESSES_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/error.h"

/* So many are kept of one name, the first. */
#define ADDRESSES_MOST 64

/* One address, without a port. */
union address_of {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* In the order in which they are to be tried (RFC 6724, as getaddrinfo sorts them), each of them once. */
struct addresses {
    atomic_uint references;
    size_t n; /* at least 1 */
    union address_of list[];
};

struct addrinfo;

/* Those of IPv4 and IPv6 in `found`; NULL when there are none (errno is 0) or when out of memory (ENOMEM). */
struct addresses *addresses_new(const struct addrinfo *found) WARN_UNUSED;
/* Takes another reference and returns the same pointer. Takes NULL. */
struct addresses *addresses_ref(struct addresses *addresses);
/* Gives one back. Takes NULL. Always returns NULL. */
struct addresses *addresses_unref(struct addresses *addresses);

/* Whether both lead to the same places, in whatever order. */
bool addresses_equal(const struct addresses *a, const struct addresses *b);
/* The one of the list that is `address`, whatever the port of that; NULL when it is none of them. */
const union address_of *addresses_find(const struct addresses *addresses, const struct sockaddr *address);

/* "HOST:PORT:ADDRESS,[ADDRESS]", as libcurl wants to be told (CURLOPT_RESOLVE(3)). The caller frees it; NULL when out
 * of memory. */
char *addresses_for_libcurl(const struct addresses *addresses, const char *host, uint16_t port) WARN_UNUSED;

/* Whether somebody has to be asked where this host is: it is neither an address nor this machine itself, localhost
 * (RFC 6761 6.3). */
bool addresses_are_asked_for(const char *host);

/* Asks the system: /etc/hosts, name servers, whatever nsswitch.conf(5) says; may take as long as it likes. 0 with the
 * caller's *ret_addresses; else an EAI_ code of getaddrinfo(3), of which EAI_SYSTEM leaves an errno. */
int addresses_look_up(const char *host, struct addresses **ret_addresses) WARN_UNUSED;

#endif
