/* Addresses of listeners and endpoints, taken apart. */
#ifndef PORTHOLE_CONFIG_ADDRESS_H
#define PORTHOLE_CONFIG_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"

enum address_kind {
    ADDRESS_UNIX,     /* unix:/path */
    ADDRESS_ABSTRACT, /* unix:@name */
    ADDRESS_FD,       /* fd:name, listeners only: a socket that whoever started us has opened, of any family */
    ADDRESS_TCP,      /* tcp:host:port, listeners and the targets of streams */
    ADDRESS_HTTP,     /* http://host:port, targets only */
    ADDRESS_HTTPS,    /* https://host:port, targets only */
};

static inline bool address_is_unix(enum address_kind kind)
{
    return kind == ADDRESS_UNIX || kind == ADDRESS_ABSTRACT;
}

/* One address, as written and taken apart. */
struct address {
    enum address_kind kind;
    char *text;    /* as the user wrote it, after ${} expansion */
    char *name;    /* path; abstract name without '@'; name of a descriptor; or host, IPv6 without brackets */
    uint16_t port; /* host order; 80 or 443 when an http(s) URL has none; 0 for Unix sockets */
};

enum address_use { ADDRESS_TO_BIND, ADDRESS_TO_REACH };

/* Takes `text` apart: unix:/path, unix:@name, tcp:HOST:PORT, fd:NAME to bind and http(s)://HOST[:PORT] to reach.
 * Returns 0; or 1 with what is wrong in error->message; or -ENOMEM. On success the caller owns the strings. */
int address_parse(const char *text, enum address_use use, struct address *ret_address, struct error *error) WARN_UNUSED;

/* Whether it may be a host: a DNS name or an IPv4 address, without a port. */
bool address_is_host_name(const char *host);

/* Whether it is of TCP, and a host that is this machine's loopback device, as far as its spelling tells: 127.0.0.0/8
 * and ::1 in any spelling, localhost and what is below it (RFC 6761 6.3), and the names that Debian has for ::1. */
bool address_is_loopback(const struct address *address);

/* Frees the strings; takes one that is all zero. */
void address_deinit(struct address *address);

/* The socket that an address names, in the one spelling that all addresses of it share: "unix:/real/path" with the
 * links on its way followed, "unix:@name", "tcp:[host]:port", "fd:name". Looks at the file system, so it holds for as
 * long as nobody moves a link. The caller owns it; NULL: out of memory. */
char *address_canonical(const struct address *address) WARN_UNUSED;

/* As address_canonical spells them, its own first: to reach, the sockets at which a connection may arrive, which for a
 * host of this machine are also those that are bound to more; to bind, those that it may become, for a name of the
 * loopback device is served on one of its addresses. The caller frees them. 0 or -ENOMEM. */
#define ADDRESS_TAKERS_MAX 5
int address_takers(const struct address *address, enum address_use use, char *takers[ADDRESS_TAKERS_MAX],
                   size_t *ret_n) WARN_UNUSED;
void address_free_takers(char *takers[ADDRESS_TAKERS_MAX], size_t n);

#endif
